# Keeps the PostgreSQL whose programs are in $1, in the working folder, and
# follows the orders that come on stdin, a line each. The answer to an order is
# its exit status. The end of stdin is the end of whoever gave the orders,
# however that came about: then the server and the folder go, too.

bin=$1
folder=$PWD

# Who does not hear the answer any more is gone; but stdin tells that, and the
# clean-up is still to do.
trap '' PIPE

ctl() {
	"$bin/pg_ctl" -D data -s -w -t 60 "$@" </dev/null >>log 2>&1
}

while read -r order port; do
	case $order in
	init)
		# --no-locale: texts sort by their bytes on every machine.
		"$bin/initdb" -D data -U postgres --pwfile=password --auth=scram-sha-256 \
			--encoding=UTF8 --no-locale --no-sync </dev/null >>log 2>&1
		;;
	start)
		# The server may crash here, and the machine may not: fsync gives
		# nothing, and the other guards stay as they are. The folder may be in
		# memory, of which a log of the default 1 GB would take too much.
		ctl -l log -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
			-c max_connections=200 -c fsync=off -c max_wal_size=256MB" start
		;;
	stop)
		ctl -m fast stop
		;;
	crash)
		ctl -m immediate stop
		;;
	esac
	echo $?
done

ctl -m immediate stop
cd / && rm -rf "$folder"
