package store_test

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// ear listens to a channel.
type ear struct {
	end   context.CancelFunc
	ended chan error
	mu    sync.Mutex
	heard []string
}

// newEar begins to listen. It ends with the test, if it has not before.
func newEar(tb testing.TB, s *store.Store, channel string) *ear {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	e := &ear{end: cancel, ended: make(chan error, 1)}
	began := make(chan struct{}, 1)
	go func() {
		e.ended <- s.Listen(ctx, channel, func(payload string) {
			if payload == "" {
				began <- struct{}{}
				return
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			e.heard = append(e.heard, payload)
		})
		close(e.ended)
	}()
	tb.Cleanup(func() {
		cancel()
		for range e.ended { // until it is closed
		}
	})
	select {
	case <-began:
	case err := <-e.ended:
		require.NoError(tb, err)
	}
	return e
}

func (e *ear) has(payload string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.heard, payload)
}

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

func (e *ear) await(tb testing.TB, payload string) {
	tb.Helper()
	require.Eventually(tb, func() bool { return e.has(payload) }, patience, time.Millisecond)
}

func TestPostgresNotify(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	a := openPostgres(t, store.Options{Database: database})
	b := openPostgres(t, store.Options{Database: database})
	const channel = `a channel's "name"`
	near, far, stranger := newEar(t, a, channel), newEar(t, b, channel), newEar(t, b, "another")
	for _, payload := range []string{"one", "it's two", "three"} {
		require.NoError(t, a.Notify(t.Context(), channel, payload))
	}
	require.NoError(t, b.Notify(t.Context(), channel, "four"))
	require.NoError(t, b.Notify(t.Context(), "another", "five"))
	for _, e := range []*ear{near, far} {
		e.await(t, "four")
		require.Equal(t, []string{"one", "it's two", "three", "four"}, e.all())
	}
	stranger.await(t, "five")
	require.Equal(t, []string{"five"}, stranger.all())

	t.Run("an Update does not notify by itself, and holds nobody up", func(t *testing.T) {
		release := make(chan struct{})
		done := make(chan error, 1)
		there := make(chan struct{})
		arrived := sync.OnceFunc(func() { close(there) })
		go func() {
			done <- b.Update(context.Background(), func(*store.Tx) error {
				arrived()
				<-release
				return nil
			})
		}()
		receive(t, there)
		require.NoError(t, a.Notify(t.Context(), channel, "meanwhile"))
		far.await(t, "meanwhile")
		close(release)
		require.NoError(t, receive(t, done))
	})
	t.Run("the caller leaves", func(t *testing.T) {
		near.end()
		require.ErrorIs(t, receive(t, near.ended), context.Canceled)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.Notify(ctx, channel, "late"), context.Canceled)
		require.Error(t, a.Listen(ctx, channel, func(string) { t.Error("it listens") }))
	})
	t.Run("the store is closed", func(t *testing.T) {
		require.NoError(t, b.Close())
		require.Error(t, receive(t, far.ended))
		require.Error(t, receive(t, stranger.ended))
		require.ErrorIs(t, b.Notify(t.Context(), channel, "late"), store.ErrUnavailable)
		require.ErrorIs(t, b.Listen(t.Context(), channel, func(string) { t.Error("it listens") }), store.ErrUnavailable)
		require.NotContains(t, far.all(), "late")
	})
}

// A connection that is lost is told of, whatever it was lost of.
func TestPostgresListenerIsLost(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	address := server.NewDatabase(t)
	relay, relayed := newRelay(t, address)
	s := openPostgres(t, store.Options{Database: relayed})
	for name, lose := range map[string]func(){
		"it is terminated":   func() { terminate(t, address) },
		"it is cut":          func() { relay.cut() },
		"the server ends":    func() { server.Stop(t); server.Resume(t) },
		"the server crashes": func() { server.Crash(t); server.Resume(t) },
	} {
		e := newEar(t, s, "channel")
		lose()
		require.ErrorIs(t, receive(t, e.ended), store.ErrUnavailable, name)
		again := newEar(t, s, "channel")
		require.NoError(t, s.Notify(t.Context(), "channel", name), name)
		again.await(t, name)
		again.end()
	}
	t.Run("nothing moves any more", func(t *testing.T) {
		e := newEar(t, s, "channel")
		relay.swallow.Store(true)
		e.end()
		require.ErrorIs(t, receive(t, e.ended), context.Canceled)
		opening := make(chan error, 1)
		go func() { opening <- s.Listen(context.Background(), "channel", func(string) {}) }()
		require.NoError(t, s.Close())
		require.Error(t, receive(t, opening))
	})
}

// Sessions that are idle are ended by a server that is set to; but one that listens
// is not idle.
func TestPostgresListenerIsNotIdle(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	parsed, err := url.Parse(database)
	require.NoError(t, err)
	db := openDatabase(t, database)
	if _, err := db.ExecContext(t.Context(), `ALTER DATABASE `+filepath.Base(parsed.Path)+` SET idle_session_timeout = '50ms'`); err != nil {
		t.Skipf("a PostgreSQL before 14: %v", err)
	}
	e := newEar(t, s, "channel")
	idle := openDatabase(t, withOption(t, database, "application_name", "idle"))
	require.NoError(t, idle.PingContext(t.Context())) // after e, and keeps its connection
	await(t, db, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'idle')`)
	require.NoError(t, s.Notify(t.Context(), "channel", "heard"))
	e.await(t, "heard")
	require.Empty(t, e.ended)
}

// An SQLite file has nobody else to listen to.
func TestSQLiteNotify(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{})
	require.ErrorIs(t, s.Notify(t.Context(), "channel", "payload"), store.ErrNotShared)
	require.ErrorIs(t, s.Listen(t.Context(), "channel", func(string) {}), store.ErrNotShared)
	require.False(t, store.Options{Database: "chat.db"}.Shared())
	require.True(t, store.Options{Database: "postgres://chat@db.example.com/chat"}.Shared())
	require.True(t, store.Options{Database: "postgresql://chat@db.example.com/chat"}.Shared())
}
