package bus_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

func openStore(tb testing.TB, database string) *store.Store {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: database})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

// newPostgres makes a node with a store of its own.
func newPostgres(tb testing.TB, database, channel string) *node {
	tb.Helper()
	s := openStore(tb, database)
	return newNode(tb, func(receive func(bus.Message), log *slog.Logger) (bus.Bus, error) {
		return bus.OpenPostgres(s, channel, receive, log), nil
	})
}

// execute runs a statement as another program would.
func execute(tb testing.TB, database, statement string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), database)
	require.NoError(tb, err)
	defer conn.Close(tb.Context())
	_, err = conn.Exec(tb.Context(), statement)
	require.NoError(tb, err)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	a, b := newPostgres(t, database, "caddymsg_test"), newPostgres(t, database, "caddymsg_test")
	stranger := newPostgres(t, database, "caddymsg_other")
	for _, n := range []*node{a, b, stranger} {
		n.awaitHealth(true)
		await(t, func() bool { return n.has(bus.Log, "") }) // some may have been missed
		require.True(t, n.Carries(bus.Log))
		require.False(t, n.Carries("typing"))
	}
	a.Publish("typing", []byte("nobody hears it"))
	a.Publish(bus.Log, []byte("7"))
	await(t, func() bool { return b.has(bus.Log, "7") })
	b.Publish(bus.Log, []byte("6")) // committed later
	await(t, func() bool { return a.has(bus.Log, "6") })
	require.Equal(t, []string{"", "6"}, a.messages(bus.Log))
	require.Equal(t, []string{"", "7"}, b.messages(bus.Log))

	for _, payload := range []string{"x", "", bus.Sender(a.Bus) + " 8"} {
		execute(t, database, `SELECT pg_notify('caddymsg_test', '`+payload+`')`)
	}
	execute(t, database, `NOTIFY caddymsg_test, 'another 9'`)
	await(t, func() bool { return a.has(bus.Log, "9") })
	require.NotContains(t, a.messages(bus.Log), "8")
	require.NotContains(t, a.messages(bus.Log), "x")

	const count = 5000
	for id := 100; id < 100+count; id++ {
		a.Publish(bus.Log, []byte(strconv.Itoa(id)))
	}
	await(t, func() bool { return b.has(bus.Log, strconv.Itoa(100+count-1)) })
	require.Less(t, len(b.messages(bus.Log)), count/10, "they are not coalesced")

	b.close()
	a.Publish(bus.Log, []byte("100000"))
	require.Equal(t, []string{""}, stranger.messages(bus.Log))
	require.Empty(t, b.messages("typing"))
}

// The connection comes back, and so does what was published meanwhile, as far as it
// matters.
func TestPostgresConnectionGoes(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	database := server.NewDatabase(t)
	a, b := newPostgres(t, database, "caddymsg_test"), newPostgres(t, database, "caddymsg_test")
	id := 0
	bothTalk := func() {
		t.Helper()
		a.awaitHealth(true)
		b.awaitHealth(true)
		id++
		talk(t, a, bus.Log, strconv.Itoa(id), b)
		id++
		talk(t, b, bus.Log, strconv.Itoa(id), a)
	}
	looks := func() int { return strings.Count("\n"+strings.Join(b.messages(bus.Log), "\n")+"\n", "\n\n") }
	bothTalk()
	for range 2 {
		before := len(b.messages(bus.Log))
		execute(t, database, `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE '%LISTEN%' AND pid <> pg_backend_pid()`)
		await(t, func() bool {
			return len(b.messages(bus.Log)) > before && b.messages(bus.Log)[len(b.messages(bus.Log))-1] == ""
		})
		bothTalk()
	}
	for name, end := range map[string]func(testing.TB){"crash": server.Crash, "stop": server.Stop} {
		end(t)
		a.awaitHealth(false)
		b.awaitHealth(false)
		id++
		a.Publish(bus.Log, []byte(strconv.Itoa(id)))
		await(t, func() bool { return strings.Contains(a.logged(), "other nodes are not notified") })
		id++
		last := strconv.Itoa(id)
		a.Publish(bus.Log, []byte(last))
		before := looks()
		server.Resume(t)
		bothTalk()
		require.Greater(t, looks(), before, name)
		require.NotContains(t, a.logged(), "password")
	}
}

// Not beside other tests, whose goroutines would be seen.
func TestPostgresClose(t *testing.T) {
	noGoroutines(t)
	server := pgtest.Start(t)
	database := server.NewDatabase(t)
	n := newPostgres(t, database, "caddymsg_test")
	n.awaitHealth(true)
	n.close()
	noGoroutines(t)
	newPostgres(t, database, "caddymsg_test").close() // at once
	noGoroutines(t)

	n = newPostgres(t, database, "caddymsg_test")
	n.awaitHealth(true)
	server.Crash(t)
	n.awaitHealth(false)
	n.Publish(bus.Log, []byte("1"))
	n.close()
	noGoroutines(t)
	server.Resume(t)

	t.Run("the store is closed first", func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Database: database})
		require.NoError(t, err)
		n := newNode(t, func(receive func(bus.Message), log *slog.Logger) (bus.Bus, error) {
			return bus.OpenPostgres(s, "caddymsg_test", receive, log), nil
		})
		n.awaitHealth(true)
		require.NoError(t, s.Close())
		n.awaitHealth(false)
		n.close()
		noGoroutines(t)
	})
	t.Run("an SQLite file", func(t *testing.T) {
		s := openStore(t, filepath.Join(t.TempDir(), "messaging.db"))
		n := newNode(t, func(receive func(bus.Message), log *slog.Logger) (bus.Bus, error) {
			return bus.OpenPostgres(s, "caddymsg_test", receive, log), nil
		})
		await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
		require.False(t, n.Healthy())
		n.close()
		noGoroutines(t)
	})
}
