package caddymsg_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// chatPassword can be told apart from all else, and its special characters make
// it another text within an address.
const chatPassword = "sesame/open@42"

// chatDatabase makes a database that belongs to the user chat, and returns its
// address with chatPassword, and the administrator's.
func chatDatabase(t *testing.T, server *pgtest.Server) (address *url.URL, admin string) {
	t.Helper()
	admin = server.NewDatabase(t)
	address, err := url.Parse(admin)
	require.NoError(t, err)
	administer(t, admin, fmt.Sprintf(`CREATE ROLE chat LOGIN PASSWORD '%s'; ALTER DATABASE "%s" OWNER TO chat`,
		chatPassword, strings.TrimPrefix(address.Path, "/")))
	address.User = url.UserPassword("chat", chatPassword)
	return address, admin
}

// administer has a database carry out some statements.
func administer(t *testing.T, admin, statements string) {
	t.Helper()
	_, err := frontdoor.OpenDatabase(t, admin).Exec(statements)
	require.NoError(t, err)
}

// disconnectChat ends all connections of the user chat.
func disconnectChat(t *testing.T, admin string) {
	t.Helper()
	administer(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chat'`)
}

// requireNoPassword fails the test if a text holds a password, as it is or as it
// stands in an address.
func requireNoPassword(t *testing.T, text, what string) {
	t.Helper()
	for _, secret := range []string{chatPassword, url.QueryEscape(chatPassword), url.PathEscape(chatPassword)} {
		require.NotContains(t, text, secret, what)
	}
	require.NotContains(t, text, "sesame", what)
}

// A PostgreSQL that can't be used ends the start, with words that name it and
// say what to do.
func TestStartErrorsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	address, admin := chatDatabase(t, server)
	administer(t, admin, `CREATE ROLE guest LOGIN PASSWORD '`+chatPassword+`'`)
	with := func(change func(*url.URL)) string {
		other := *address
		change(&other)
		return other.String()
	}
	newer := server.NewDatabase(t)
	require.NoError(t, frontdoor.Start(t, frontdoor.Options{Database: newer}).Stop(t.Context()))
	administer(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)

	for name, test := range map[string]struct {
		database string
		want     []string // parts of the message
	}{
		"made by a newer version": {newer, []string{"newer version", "99999"}},
		"wrong password": {with(func(u *url.URL) { u.User = url.UserPassword("chat", "sesame") }),
			[]string{"does not let this user in", "password"}},
		"no such user": {with(func(u *url.URL) { u.User = url.UserPassword("nobody", chatPassword) }),
			[]string{"does not let this user in"}},
		"no such database": {with(func(u *url.URL) { u.Path = "/nothing" }), []string{"CREATE DATABASE"}},
		"a user who may make no tables": {with(func(u *url.URL) { u.User = url.UserPassword("guest", chatPassword) }),
			[]string{"right to make tables"}},
		"nobody listens": {with(func(u *url.URL) { u.Host = lifeFreeAddress(t) }), []string{"no server answers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := lifeFailToStart(t, frontdoor.Options{Dir: t.TempDir(), Database: test.database})
			identity, err := store.Identity(test.database)
			require.NoError(t, err)
			require.Contains(t, log, identity)
			for _, part := range test.want {
				require.Contains(t, log, part)
			}
			require.NotContains(t, log, "panic")
			requireNoPassword(t, log, "the log")
		})
	}
}

// The password of an address is seen nowhere: neither while all is well, nor
// while the server is away or lets nobody in.
func TestDatabasePassword(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	address, admin := chatDatabase(t, server)
	s := frontdoor.Start(t, frontdoor.Options{
		Database: address.String(), Env: []string{"WRONG=" + strings.Replace(address.String(), "sesame", "sesamo", 1)},
		Caddyfile: "{\n\tdebug\n\tmetrics\n}\n" +
			strings.Replace(frontdoor.DefaultCaddyfile, "\tmessaging {", "\tlog\n\tmessaging {", 1),
	})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	body := lifeToSelf(t, "alice", "hi")
	alice.Post("/v1/messages", body).Want(http.StatusOK)
	seen := func(when string) {
		t.Helper()
		caddy := frontdoor.NewClient(t, s.Admin)
		for _, path := range []string{"/config/", "/metrics"} {
			r := caddy.Get(path).Want(http.StatusOK)
			require.Contains(t, r.Text, "messaging", "this is not what was to be looked at")
			requireNoPassword(t, r.Text, path+" "+when)
		}
		saved, err := os.ReadFile(filepath.Join(s.Dir, "caddy", "autosave.json"))
		require.NoError(t, err)
		require.Contains(t, string(saved), "{env.DATABASE}")
		requireNoPassword(t, string(saved), "autosave.json "+when)
		requireNoPassword(t, s.Log(), "the log "+when)
	}
	seen("while all is well")

	err := s.Reload(t.Context(), strings.Replace(frontdoor.DefaultCaddyfile, "DATABASE", "WRONG", 1))
	require.ErrorContains(t, err, "does not let this user in")
	requireNoPassword(t, err.Error(), "the answer to a reload")
	require.NotContains(t, err.Error(), "sesamo")
	require.NotContains(t, s.Log(), "sesamo")
	seen("after a reload that failed")
	lifeAwaitListeners(t, s)
	alice.Post("/v1/messages", body).Want(http.StatusOK)

	server.Crash(t)
	for _, r := range []*frontdoor.Response{
		alice.Post("/v1/messages", body), alice.Get("/v1/messages"),
		alice.Post("/v1/auth/login", credentials(t, "alice", "open sesame")),
	} {
		lifeWantUnavailable(t, r)
		requireNoPassword(t, r.Text, "an answer")
	}
	seen("while the server is away")

	server.Resume(t)
	lifeEventually(t, "the service is back", func() bool {
		return alice.Post("/v1/messages", body).StatusCode == http.StatusOK
	})
	administer(t, admin, `ALTER ROLE chat PASSWORD 'another'`)
	disconnectChat(t, admin)
	lifeEventually(t, "the server lets nobody in", func() bool {
		return alice.Post("/v1/messages", body).StatusCode == http.StatusServiceUnavailable
	})
	r := alice.Post("/v1/messages", body)
	lifeWantUnavailable(t, r)
	requireNoPassword(t, r.Text, "an answer")
	seen("while the server lets nobody in")
}

// A reload takes over a new password and other numbers of connections. The
// backend stays the same: nobody is cut off.
func TestReloadChangesConnections(t *testing.T) {
	t.Parallel()
	const senders = 20
	server := pgtest.Start(t)
	address, admin := chatDatabase(t, server)
	address.User = nil
	dir := t.TempDir()
	writePassword := func(password string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte(url.QueryEscape(password)), 0o600))
	}
	caddyfile := func(options ...string) string {
		database := "database " + strings.Replace(address.String(), "://", "://chat:{file.{$DIR}/password}@", 1)
		return lifeSite("{$PORT}", append(options, database, "bcrypt_cost 4")...)
	}
	writePassword(chatPassword)
	s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Caddyfile: caddyfile()})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	body := lifeToSelf(t, "alice", "hi")
	var groups [senders]string // a chat each: in one, they would wait for their turns
	for i := range groups {
		group := alice.Post("/v1/group_chat", "").Want(http.StatusOK).Field("chat_id")
		groups[i] = fmt.Sprintf(`{"group_chat_id": %v, "message": "hi"}`, group)
	}

	requireWriters := func(writers int) {
		t.Helper()
		lifeEventually(t, "the search index, which writes too, has nothing to do", func() bool {
			var done bool
			err := frontdoor.OpenDatabase(t, admin).QueryRowContext(t.Context(), `
				SELECT backfilled > 0 AND position >= (SELECT coalesce(max(id), 0) FROM events WHERE type = 'message.created')
				FROM search_state`).Scan(&done)
			return err == nil && done
		})
		unlock := lifeLock(t, admin)
		answers := make(chan int, senders)
		for _, body := range groups {
			go func() {
				r, err := alice.Try(context.WithoutCancel(t.Context()), http.MethodPost, "/v1/messages", body)
				if err != nil {
					answers <- 0
					return
				}
				answers <- r.StatusCode
			}()
		}
		lifeEventually(t, fmt.Sprint("all but ", writers, " wait for a connection"), func() bool {
			return int(lifeMetrics(t, s).sum("messaging_updates_waiting")) == senders-writers
		})
		unlock()
		for range senders {
			require.Equal(t, http.StatusOK, <-answers)
		}
	}
	requireWriters(10) // by default
	lifeReload(t, s, caddyfile("database_readers 2", "database_writers 3"), alice)
	requireWriters(3)
	require.LessOrEqual(t, lifeMetrics(t, s).sum("messaging_database_connections"), 5.0)

	administer(t, admin, `ALTER ROLE chat PASSWORD 'another/one'`)
	writePassword("another/one")
	lifeReload(t, s, caddyfile("database_writers 4"), alice)
	disconnectChat(t, admin)
	lifeEventually(t, "connections are made with the new password", func() bool {
		return alice.Post("/v1/messages", body).StatusCode == http.StatusOK
	})
	requireWriters(4)
	require.Greater(t, lifeMetrics(t, s).sum("messaging_messages_sent_total"), 3.0*senders, "its numbers began anew")
}
