package caddymsg_test

import (
	"bytes"
	"context"
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// caddyCommand runs a command of Caddy to its end.
func caddyCommand(t *testing.T, opts frontdoor.Options, args ...string) (ok bool, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, err := frontdoor.Command(ctx, opts, args...)
	require.NoError(t, err)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	require.NoError(t, ctx.Err(), "it runs on")
	require.NotContains(t, errs.String(), "DATA RACE")
	require.NotContains(t, errs.String(), "panic")
	return err == nil, out.String(), errs.String()
}

// passwordOf is the password in an address.
func passwordOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	password, ok := parsed.User.Password()
	require.True(t, ok)
	return password
}

// A database that Caddy has made is copied to PostgreSQL and back. Caddy on each
// copy answers as before: the same history, the same people, still signed in.
func TestCopyCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := pgtest.NewDatabase(t)
	password := passwordOf(t, address)
	addressFile := filepath.Join(dir, "address")
	require.NoError(t, os.WriteFile(addressFile, []byte(address+"\n"), 0o600))
	env := []string{"COPY_DATABASE=" + address}

	s := frontdoor.Start(t, frontdoor.Options{Dir: dir})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	bob := frontdoor.SignUp(t, s.URL, "Bób")
	alice.Post("/v1/group_chat", "").Want(http.StatusOK)
	for _, text := range []string{"hi", "🙂 漢字", "it's \"quoted\"\n\\x00 $1 ?1"} {
		alice.Post("/v1/messages", frontdoor.JSON(t, map[string]any{"group_chat_id": 1, "message": text})).Want(http.StatusOK)
		bob.Post("/v1/messages", frontdoor.JSON(t, map[string]any{"dest_username": "alice", "message": text})).Want(http.StatusOK)
	}
	paths := []string{"/v1/messages", "/v1/messages/group/1", "/v1/messages/p2p/B%C3%B3b"}
	history := func(c *frontdoor.Client) (answers []string) {
		for _, path := range paths {
			answers = append(answers, c.Get(path).Want(http.StatusOK).Text)
		}
		return answers
	}
	want := history(alice)
	require.NoError(t, s.Stop(t.Context()))

	var checksums []string
	for _, step := range []struct {
		from, to, caddyfile string
	}{
		{"{$DIR}/messaging.db", "{env.COPY_DATABASE}", lifeSite("{$PORT}", "database {env.COPY_DATABASE}", "bcrypt_cost 4")},
		{"{file." + addressFile + "}", "{$DIR}/back.db", lifeSite("{$PORT}", "database {$DIR}/back.db", "bcrypt_cost 4")},
	} {
		inDir := func(path string) string { return regexp.MustCompile(`^\{\$DIR\}`).ReplaceAllLiteralString(path, dir) }
		ok, out, progress := caddyCommand(t, frontdoor.Options{Dir: dir, Env: env},
			"messaging", "copy", "--from", inDir(step.from), "--to", inDir(step.to))
		require.True(t, ok, progress)
		require.NotContains(t, out+progress, password)
		for _, table := range []string{"users", "sessions", "chats", "participants", "messages", "events"} {
			require.Regexp(t, `(?m)^`+table+` +\d+ +[0-9a-f]{64}$`, out)
			require.Regexp(t, `(?m)^copy `+table+`: (\d+) of (\d+)$`, progress)
			require.Regexp(t, `(?m)^check `+table+`: (\d+) of (\d+)$`, progress)
		}
		require.Regexp(t, `(?m)^users +2 `, out)
		require.Regexp(t, `(?m)^messages +6 `, out)
		require.Contains(t, out, "Both databases hold the same.")
		// The failed login below is in the audit log of the copy that is copied.
		checksums = append(checksums, regexp.MustCompile(`(?m)^audit_log +.*\n`).ReplaceAllString(out, ""))

		s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Caddyfile: step.caddyfile, Env: env})
		require.Equal(t, want, history(lifeAgain(t, alice, s.URL)), "still signed in")
		fresh := frontdoor.NewClient(t, s.URL)
		fresh.Post("/v1/auth/login", `{"username":"alice","password":"other password"}`).Want(http.StatusBadRequest)
		require.NoError(t, s.Stop(t.Context()))
	}
	require.Equal(t, checksums[0], checksums[1])

	// Life goes on in the last copy, with ids that nothing had.
	s = frontdoor.Start(t, frontdoor.Options{Dir: dir, Caddyfile: lifeSite("{$PORT}", "database {$DIR}/back.db", "bcrypt_cost 4")})
	fresh := frontdoor.NewClient(t, s.URL)
	fresh.Post("/v1/auth/login", `{"username":"alice","password":"open sesame"}`).Want(http.StatusOK)
	frontdoor.SignUp(t, s.URL, "carol")
	fresh.Post("/v1/messages", `{"group_chat_id":1,"message":"after"}`).Want(http.StatusOK)
	group := lifeMessages(fresh, "/v1/messages/group/1")
	last := group[len(group)-1]
	require.Equal(t, lifeMessage{ID: 7, ChatID: 1, Seq: 4, SenderUsername: "alice", Text: "after"}, last)
}

// What can't be copied ends the command with a status and an error, in which no
// password is.
func TestCopyCommandErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := lifeMade(t, dir)
	other := filepath.Join(dir, "other.db")
	ok, _, stderr := caddyCommand(t, frontdoor.Options{Dir: dir}, "messaging", "copy", "--from", source, "--to", other)
	require.True(t, ok, stderr)
	const password = "pa55w0rd"
	missing := filepath.Join(dir, "missing.db")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no flags":              {nil, "required flag"},
		"no destination":        {[]string{"--from", source}, "required flag"},
		"an argument":           {[]string{"--from", source, "--to", missing, "more"}, "more"},
		"an empty flag":         {[]string{"--from", "", "--to", missing}, "--from"},
		"no variable":           {[]string{"--from", source, "--to", "{env.COPY_NOTHING}"}, "env.COPY_NOTHING"},
		"braces in a password":  {[]string{"--from", source, "--to", "postgres://ada:{" + password + "}@localhost/db"}, "--to"},
		"no source":             {[]string{"--from", missing, "--to", filepath.Join(dir, "new.db")}, "there is no file"},
		"destination has rows":  {[]string{"--from", source, "--to", other}, "not empty"},
		"the same":              {[]string{"--from", source, "--to", source}, "both the source and the destination"},
		"unknown engine":        {[]string{"--from", source, "--to", "mysql://ada:" + password + "@localhost/db"}, "there is no engine"},
		"an unreadable address": {[]string{"--from", source, "--to", "postgres://ada:" + password + "/@localhost/db"}, "percent-encoded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, out, stderr := caddyCommand(t, frontdoor.Options{Dir: dir}, append([]string{"messaging", "copy"}, test.args...)...)
			require.False(t, ok)
			require.Contains(t, stderr, test.want)
			require.NotContains(t, out+stderr, password)
			require.Empty(t, out)
			require.NoFileExists(t, missing)
		})
	}
}

// An interrupt breaks a copy off, and the destination stays empty.
func TestCopyCommandInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := lifeMade(t, dir)
	address := pgtest.NewDatabase(t)
	beside, err := sql.Open("pgx", address)
	require.NoError(t, err)
	t.Cleanup(func() { beside.Close() })
	env := []string{"COPY_DATABASE=" + address}

	// Somebody else writes to the destination, so that the copy waits.
	s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Env: env, Caddyfile: lifeSite("{$PORT}", "database {env.COPY_DATABASE}")})
	require.NoError(t, s.Stop(t.Context()))
	lock, err := beside.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = lock.Rollback() }()
	_, err = lock.Exec(`LOCK TABLE events IN ROW EXCLUSIVE MODE`)
	require.NoError(t, err)

	cmd, err := frontdoor.Command(t.Context(), frontdoor.Options{Dir: dir, Env: env},
		"messaging", "copy", "--from", source, "--to", "{env.COPY_DATABASE}")
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	lifeEventually(t, "the copy waits for a lock", func() bool {
		var waits bool
		require.NoError(t, beside.QueryRow(`
			SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits))
		return waits
	})
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	err = cmd.Wait()
	require.Error(t, err)
	require.True(t, cmd.ProcessState.Exited(), "it ended by itself")
	require.Contains(t, stderr.String(), "interrupted")
	require.NotContains(t, stderr.String(), passwordOf(t, address))
	require.NoError(t, lock.Rollback())
	var rows int
	require.NoError(t, beside.QueryRow(`SELECT count(*) FROM users`).Scan(&rows))
	require.Zero(t, rows)
}

func TestMessagingCommandHelp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{"messaging"}, {"help", "messaging"}, {"messaging", "--help"}} {
		ok, out, stderr := caddyCommand(t, frontdoor.Options{Dir: dir}, args...)
		require.True(t, ok, stderr)
		require.Contains(t, out, "copy ")
		require.Contains(t, out, "user ")
	}
	ok, out, stderr := caddyCommand(t, frontdoor.Options{Dir: dir}, "messaging", "copy", "--help")
	require.True(t, ok, stderr)
	for _, part := range []string{"--from", "--to", "caddy messaging copy --from /data/messaging.db", "Stop the servers"} {
		require.Contains(t, out, part)
	}
	ok, _, stderr = caddyCommand(t, frontdoor.Options{Dir: dir}, "messaging", "no-such-command")
	require.False(t, ok)
	require.Contains(t, stderr, "no-such-command")
}
