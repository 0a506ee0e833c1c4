package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// Identity names a database: all paths that lead to a file have the same, and so
// have all addresses that differ in the password and in how to connect alone. It
// may be shown: it holds no password, and neither does an error.
func Identity(database string) (string, error) {
	if isPostgres(database) {
		return postgresIdentity(database)
	}
	if scheme := scheme.FindString(database); scheme != "" {
		return "", fmt.Errorf("there is no engine for %s…; there are a path, for SQLite, and postgres://…", scheme)
	}
	// What is meant for an address must not become the name of a file, which
	// would hold the password.
	if misspelt.MatchString(database) {
		return "", errAddress
	}
	return sqliteIdentity(database)
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// misspelt are addresses with another case or another number of slashes, those
// without a scheme, or with two, and lists of settings: host=… password=….
var misspelt = regexp.MustCompile(`(?i)^postgres(ql)?:|://|:.*@|` +
	`(^|[\s;])(host|hostaddr|server|user|username|user id|password|pwd|dbname|database|service)\s*=`)

// shown is how an error names a database: an SQLite file as it was named.
func shown(database string) string {
	if !isPostgres(database) {
		return database
	}
	identity, err := postgresIdentity(database)
	if err != nil {
		return "postgres://…"
	}
	return identity
}

// sqliteIdentity is the same for all paths that lead to the same file, and
// stays so when the file, or its folder, is made.
func sqliteIdentity(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	// A link may lead to a file that is not there yet. (Linux follows as many.)
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	missing := ""
	for there := path; ; there = filepath.Dir(there) {
		if resolved, err := filepath.EvalSymlinks(there); err == nil {
			return filepath.Join(resolved, missing), nil
		}
		if there == filepath.Dir(there) {
			return path, nil
		}
		missing = filepath.Join(filepath.Base(there), missing)
	}
}

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

var errAddress = errors.New("it is no path, and not postgres://user:password@host:port/database?option=value; in an address, special characters are percent-encoded: / is %2F, @ is %40")

// parsePostgres reads an address. Its errors show nothing of it: what can't be
// read may hold the password in any place.
func parsePostgres(address string) (*pgx.ConnConfig, error) {
	// A password with a bare @ / ? or # in it would end there, and what is left
	// of it be taken for the host, the database or an option, and be shown.
	_, rest, _ := strings.Cut(address, "://")
	authority, others := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, others = rest[:end], rest[end:]
	}
	if strings.Count(authority, "@") > 1 || strings.Contains(others, "@") {
		return nil, errAddress
	}
	if _, err := url.Parse(address); err != nil {
		return nil, errAddress
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("an option of the address, or a file that one names, can't be read; they are those of libpq: sslmode, sslrootcert, search_path …")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if _, ok := config.RuntimeParams["application_name"]; !ok {
		config.RuntimeParams["application_name"] = "caddymsg"
	}
	// That an idle connection leads nowhere is found out within half a minute.
	config.DialFunc = (&net.Dialer{Timeout: config.ConnectTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	// Of several hosts, one that can be written to; and a connection to a server
	// that has become a standby, by another name, is none to keep.
	if config.ValidateConnect == nil {
		config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
			if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, conn); err != nil {
				return fmt.Errorf("the server can't be written to; name the primary: %w", err)
			}
			return nil
		}
	}
	// A statement whose context ends is broken off; the connection goes on.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return config, nil
}

// postgresIdentity is an address without the password and the options, but for
// the one that tells where in the database the tables are.
func postgresIdentity(address string) (string, error) {
	config, err := parsePostgres(address)
	if err != nil {
		return "", err
	}
	hosts := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, other := range config.Fallbacks { // one with and one without TLS, perhaps
		if host := net.JoinHostPort(other.Host, strconv.Itoa(int(other.Port))); host != hosts[len(hosts)-1] {
			hosts = append(hosts, host)
		}
	}
	var options []string
	for _, name := range []string{"search_path", "options"} { // the second may set the first
		if value := config.RuntimeParams[name]; value != "" {
			options = append(options, name+"="+value)
		}
	}
	identity := fmt.Sprintf("postgres://%s@%s/%s", config.User, strings.Join(hosts, ","), config.Database)
	if len(options) > 0 {
		identity += "?" + strings.Join(options, "&")
	}
	return identity, nil
}
