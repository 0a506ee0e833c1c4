package caddymsg

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/caddyserver/certmagic"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/natstest"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// site runs Caddy in this process: one site with a handler for each given
// configuration.
type site struct {
	t       *testing.T
	folder  string
	address string
}

func newSite(t *testing.T) *site {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	t.Cleanup(func() { require.NoError(t, caddy.Stop()) })
	return &site{t: t, folder: t.TempDir(), address: l.Addr().String()}
}

func (s *site) load(handlers ...Handler) error {
	s.t.Helper()
	type object = map[string]any
	var routes []object
	for i, h := range handlers {
		var fields object
		encoded, err := json.Marshal(h)
		require.NoError(s.t, err)
		require.NoError(s.t, json.Unmarshal(encoded, &fields))
		fields["handler"] = "messaging"
		routes = append(routes, object{
			"match":  []object{{"header": object{"X-Handler": []string{strconv.Itoa(i)}}}},
			"handle": []object{fields},
		})
	}
	config, err := json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"logging": object{"logs": object{"default": object{"writer": object{"output": "discard"}}}},
		"storage": object{"module": "file_system", "root": s.folder},
		"apps": object{"http": object{"servers": object{"site": object{
			"listen": []string{s.address}, "routes": routes, "automatic_https": object{"disable": true},
		}}}},
	})
	require.NoError(s.t, err)
	return caddy.Load(config, true)
}

// status asks a handler for the messages of nobody.
func (s *site) status(handler int) int {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.address+"/v1/messages", nil)
	require.NoError(s.t, err)
	r.Header.Set("X-Handler", strconv.Itoa(handler))
	r.Close = true
	// Caddy's listener of the configuration before may be about to close.
	response, err := http.DefaultClient.Do(r)
	for attempt := 0; err != nil && attempt < 10; attempt++ {
		response, err = http.DefaultClient.Do(r)
	}
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return response.StatusCode
}

// requireReferences checks how many handlers hold each backend; there must be
// no others.
func requireReferences(t *testing.T, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	backends.Range(func(key, _ any) bool {
		got[key.(string)], _ = backends.References(key)
		return true
	})
	require.Equal(t, want, got)
}

// onEachEngine runs a test on SQLite and on PostgreSQL, one after the other:
// Caddy is there once in this process.
func onEachEngine(t *testing.T, test func(t *testing.T, newDatabase func(testing.TB) string)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "messaging.db") })
	})
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.NewDatabase) })
}

// Reloads, those that fail too, leave as many references as there are
// handlers.
func TestPoolReferences(t *testing.T) {
	onEachEngine(t, func(t *testing.T, newDatabase func(testing.TB) string) {
		s := newSite(t)
		// In variables, because an address holds a password.
		database := func(variable string) (identity string) {
			address := newDatabase(t)
			t.Setenv(variable, address)
			identity, err := store.Identity(address)
			require.NoError(t, err)
			return identity
		}
		const one, two, three = "{env.ONE}", "{env.TWO}", "{env.THREE}"
		identityOfOne, identityOfTwo := database("ONE"), database("TWO")
		untouched := database("THREE")
		garbage := filepath.Join(s.folder, "garbage.db")
		require.NoError(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600))
		running := map[string]int{identityOfOne: 2, identityOfTwo: 1}

		for range 20 {
			require.NoError(t, s.load(Handler{Database: one}, Handler{Database: one, Registration: "closed"}, Handler{Database: two}))
			requireReferences(t, running)
			for handler := range 3 {
				require.Equal(t, http.StatusUnauthorized, s.status(handler))
			}
		}
		for name, handlers := range map[string][]Handler{
			"provision": {{Database: one}, {Database: two}, {Database: one, SessionSecret: Secrets{"{env.NOT_SET_ANYWHERE.}{nothing}"}}},
			"validate":  {{Database: one}, {Database: three}, {Database: two, API: "v9"}},
			"start":     {{Database: one}, {Database: garbage}},
		} {
			require.Error(t, s.load(handlers...), name)
			requireReferences(t, running)
			require.Equal(t, http.StatusUnauthorized, s.status(0), name)
		}
		require.NoFileExists(t, untouched)

		require.NoError(t, s.load(Handler{Database: two}))
		requireReferences(t, map[string]int{identityOfTwo: 1})
		require.NoError(t, caddy.Stop())
		requireReferences(t, map[string]int{})
	})
}

// A backend stays open as long as a request needs it, and no longer.
func TestBackendLeaves(t *testing.T) {
	onEachEngine(t, func(t *testing.T, newDatabase func(testing.TB) string) {
		opts := backendOptions{store: store.Options{Database: newDatabase(t)}}
		b := openBackend(t, opts)
		s := b.store
		nextConfiguration(t, b, opts)
		require.Same(t, s, b.store)

		require.True(t, b.acquire())
		require.NoError(t, b.Destruct()) // the request goes on
		require.NoError(t, s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.LastMessageID(); return err }))
		require.Positive(t, b.stats().Connections)

		require.NoError(t, b.release())
		require.False(t, b.acquire())
		require.Zero(t, b.stats().Connections)
		require.ErrorIs(t, s.View(t.Context(), func(*store.Tx) error { return nil }), store.ErrUnavailable)
	})
}

// openBackend opens a backend, as the first configuration does that names it.
func openBackend(t *testing.T, opts backendOptions) *backend {
	t.Helper()
	b := newBackend("a database")
	opts.log = slog.New(slog.DiscardHandler)
	require.NoError(t, b.open(t.Context(), &opts))
	return b
}

// nextConfiguration lets another configuration have a backend.
func nextConfiguration(t *testing.T, b *backend, opts backendOptions) {
	t.Helper()
	opts.log = slog.New(slog.DiscardHandler)
	require.NoError(t, b.open(t.Context(), &opts))
	require.NoError(t, b.takeOver(t.Context(), &opts))
}

// connect opens a connection of somebody who has signed up for it. What it is
// notified of goes to the channel.
func connect(t *testing.T, b *backend, s *store.Store, username string) (c *live.Connection, notified <-chan struct{}) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	accounts := auth.New(s, chat.New(s, log), auth.NewHasher(b.hashing, bcrypt.MinCost), auth.Options{
		SessionLifetime: time.Hour, PasswordMinLength: 1,
	}, log)
	_, _, err := accounts.Register(t.Context(), auth.Registration{Username: username, Password: "open sesame"})
	require.NoError(t, err)
	session, err := accounts.Login(t.Context(), username, "open sesame", nil)
	require.NoError(t, err)
	caller, _, err := accounts.Authenticate(t.Context(), session.Token)
	require.NoError(t, err)
	told := make(chan struct{}, 1)
	c, err = b.hub.Join(t.Context(), live.Joining{
		Caller: caller, Transport: "websocket", Notify: func() { told <- struct{}{} },
	}, live.Limits{})
	require.NoError(t, err)
	hello := func(live.Hello) error { return nil }
	require.NoError(t, c.Start(t.Context(), "", hello, func([]*live.Event) error { return nil }))
	return c, told
}

// metricOf is the value of a backend's metric that has one label, besides the
// database.
func metricOf(t *testing.T, b *backend, name, label string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	require.NoError(t, b.metrics.register(registry))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if family.GetName() == name && l.GetValue() == label {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return 0
}

// Open connections keep a backend open that no configuration names any more, and
// are told to come back. The request that one began as has long been answered.
func TestConnectionsHoldTheBackend(t *testing.T) {
	onEachEngine(t, func(t *testing.T, newDatabase func(testing.TB) string) {
		opts := backendOptions{store: store.Options{Database: newDatabase(t)}, shutdownDelay: time.Minute}
		b := openBackend(t, opts)
		s := b.store
		c, notified := connect(t, b, s, "alice")
		require.InDelta(t, 1, metricOf(t, b, "messaging_live_connections", "websocket"), 0)

		// Another configuration keeps it, and goes.
		nextConfiguration(t, b, opts)
		require.Same(t, s, b.store)
		events, closing := c.Take()
		require.Empty(t, events)
		require.Nil(t, closing)

		require.NoError(t, b.Destruct())
		<-notified
		_, closing = c.Take()
		require.Equal(t, live.Restarting, closing.Reason)
		require.Positive(t, closing.RetryAfter)
		require.NoError(t, s.View(t.Context(), func(tx *store.Tx) error { _, err := tx.LastMessageID(); return err }))
		_, err := b.hub.Join(t.Context(), live.Joining{Caller: c.Caller(), Notify: func() {}}, live.Limits{})
		refusal := (*chat.Error)(nil)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, "restarting", refusal.Code)

		c.Leave()
		c.Leave() // does nothing
		require.False(t, b.acquire())
		require.ErrorIs(t, s.View(t.Context(), func(*store.Tx) error { return nil }), store.ErrUnavailable)
		require.InDelta(t, 0, metricOf(t, b, "messaging_live_connections", "websocket"), 0)
		require.InDelta(t, 1, metricOf(t, b, "messaging_live_closed_total", "restarting"), 0)
	})
}

// The other nodes are told of what is written, in the way that the last configuration
// says.
func TestBackendBus(t *testing.T) {
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	opts := backendOptions{store: store.Options{Database: pgtest.NewDatabase(t)}}
	b := openBackend(t, opts)
	s := b.store
	t.Cleanup(func() { require.NoError(t, b.Destruct()) })
	rules := chat.New(s, log)
	feed, err := rules.Feed(ctx)
	require.NoError(t, err)
	namespace, _, _ := strings.Cut(feed.Epoch, "-")
	user, _, err := auth.New(s, rules, auth.NewHasher(b.hashing, bcrypt.MinCost), auth.Options{}, log).Register(ctx, auth.Registration{Username: "alice", Password: "open sesame"})
	require.NoError(t, err)

	// hear lets another node listen, which notes the highest id that it is told.
	hear := func(open func(receive func(bus.Message)) (bus.Bus, error)) *atomic.Int64 {
		last := new(atomic.Int64)
		other, err := open(func(m bus.Message) {
			id, _ := strconv.ParseInt(string(m.Data), 10, 64) // it may have none
			last.Store(max(id, last.Load()))
		})
		require.NoError(t, err)
		t.Cleanup(other.Close)
		awaitTrue(t, other.Healthy)
		return last
	}
	send := func() {
		awaitTrue(t, func() bool { return b.busHealthy() == 1 })
		_, err := rules.Send(ctx, chat.Caller{UserID: user.ID, Username: user.Username}, chat.Draft{To: user.Username, Text: "hi"})
		require.NoError(t, err)
	}
	atPostgres := hear(func(receive func(bus.Message)) (bus.Bus, error) {
		return bus.OpenPostgres(s, "caddymsg_"+namespace, receive, log), nil
	})
	send()
	awaitTrue(t, func() bool { return atPostgres.Load() > 0 })

	opts.bus = bus.NATSOptions{Servers: natstest.Start(t, 1, nil).URLs()}
	atNATS := hear(func(receive func(bus.Message)) (bus.Bus, error) {
		nats := opts.bus
		nats.Subject, nats.Log = "caddymsg."+namespace, log
		return bus.OpenNATS(nats, receive)
	})
	nextConfiguration(t, b, opts)
	before := atPostgres.Load()
	for atNATS.Load() == 0 { // the server may not yet have told who listens
		send()
	}
	require.Equal(t, before, atPostgres.Load(), "they are told both ways")

	// The same once more is no reason to open another, and nor is one that can't be
	// opened.
	open := b.bus.Load()
	nextConfiguration(t, b, opts)
	require.Same(t, open, b.bus.Load())
	opts.bus.CA, opts.log = "/nowhere", log
	require.Error(t, b.takeOver(ctx, &opts))
	require.Same(t, open, b.bus.Load())
}

// awaitTrue waits until something is so.
func awaitTrue(t *testing.T, so func() bool) {
	t.Helper()
	require.Eventually(t, so, 30*time.Second, time.Millisecond)
}

// All databases are drained side by side, and in no time if there is nobody.
func TestDrain(t *testing.T) {
	open := func(delay time.Duration) (*backend, *store.Store) {
		b := openBackend(t, backendOptions{
			store: store.Options{Database: filepath.Join(t.TempDir(), "messaging.db")}, shutdownDelay: delay,
		})
		t.Cleanup(func() { require.NoError(t, b.Destruct()) })
		return b, b.store
	}
	one, inOne := open(time.Hour)
	two, inTwo := open(time.Hour)
	empty, _ := open(time.Hour)
	stuck, inStuck := open(0)
	alice, toldAlice := connect(t, one, inOne, "alice")
	bob, toldBob := connect(t, two, inTwo, "bob")
	carol, _ := connect(t, stuck, inStuck, "carol") // does not leave
	defer carol.Leave()

	drained := make(chan struct{})
	go func() {
		defer close(drained)
		app := App{options: map[*backend]*backendOptions{one: nil, two: nil, empty: nil, stuck: nil}}
		app.drain()
	}()
	<-toldAlice
	<-toldBob
	alice.Leave()
	bob.Leave()
	<-drained

	// Carol's connection remains, and keeps the database open. The hub has ended all
	// the same, and noted when she was last seen.
	db, err := sql.Open("sqlite3", stuck.options.store.Database)
	require.NoError(t, err)
	defer db.Close()
	var lastSeen sql.NullInt64
	require.NoError(t, db.QueryRow(`SELECT last_seen_at FROM users WHERE username = 'carol'`).Scan(&lastSeen))
	require.Positive(t, lastSeen.Int64)
}

// A configuration that is refused changes nothing that the one before goes by, and
// one that is taken over changes it at once.
func TestRefusedOptions(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(t.TempDir(), "messaging.db")
	garbage := filepath.Join(s.folder, "garbage.db")
	require.NoError(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600))
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer occupied.Close()
	changed := Handler{
		Database: path, ShutdownDelay: new(caddy.Duration(0)), EventRetention: caddy.Duration(time.Minute), Admin: []string{"alice"},
	}

	// The first has all its options at once: of its two handlers, the last one's.
	first := Handler{Database: path, ShutdownDelay: new(caddy.Duration(time.Second))}
	require.NoError(t, s.load(Handler{Database: path, Admin: []string{"bob"}}, first))
	value, there := backends.References(path)
	require.True(t, there)
	require.Equal(t, 2, value)
	var b *backend
	backends.Range(func(_, value any) bool { b = value.(*backend); return true })
	require.Equal(t, time.Second, b.options.shutdownDelay)
	require.Equal(t, []string{"bob"}, b.options.admins)
	_, _, err = auth.New(b.store, b.rules, auth.NewHasher(b.hashing, bcrypt.MinCost), auth.Options{}, b.log).
		Register(t.Context(), auth.Registration{Username: "alice", Password: "open sesame"})
	require.NoError(t, err)
	isAdmin := func() (is bool) {
		require.NoError(t, b.store.View(t.Context(), func(tx *store.Tx) error {
			user, err := tx.FindUserByKey("alice")
			is = user.Admin
			return err
		}))
		return is
	}

	before, work := b.options, b.work
	address := s.address
	for name, refused := range map[string]struct {
		address  string
		handlers []Handler
	}{
		"database": {address, []Handler{changed, {Database: garbage}}},
		"port":     {occupied.Addr().String(), []Handler{changed}},
	} {
		s.address = refused.address
		require.Error(t, s.load(refused.handlers...), name)
		require.Same(t, before, b.options, name)
		require.Same(t, work, b.work, name)
		require.False(t, isAdmin(), name)
	}

	s.address = address
	require.NoError(t, s.load(changed))
	require.Zero(t, b.options.shutdownDelay)
	require.Equal(t, time.Minute, b.options.eventRetention)
	require.NotSame(t, work, b.work)
	require.True(t, isAdmin())
}

// What outlives a configuration writes to the log of the next.
func TestMovingLog(t *testing.T) {
	var one, two bytes.Buffer
	log, move := newMovingLog()
	log.Info("nowhere")
	inGroup := log.With("a", 1).WithGroup("g").With("b", 2)
	move(slog.New(slog.NewTextHandler(&one, nil)))
	inGroup.Info("first", "c", 3)
	require.False(t, log.Enabled(t.Context(), slog.LevelDebug))
	move(slog.New(slog.NewTextHandler(&two, &slog.HandlerOptions{Level: slog.LevelDebug})))
	inGroup.Debug("second")
	require.Contains(t, one.String(), "msg=first a=1 g.b=2 g.c=3\n")
	require.NotContains(t, one.String(), "second")
	require.Contains(t, two.String(), "msg=second a=1 g.b=2\n")
	require.NotContains(t, one.String()+two.String(), "nowhere")
}

// A backend that was never opened makes no file when it goes.
func TestBackendNeverOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messaging.db")
	require.NoError(t, newBackend(path).Destruct())
	require.NoFileExists(t, path)
}

func TestDatabaseIdentity(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(folder, "data"), 0o700))
	require.NoError(t, os.Symlink("data", filepath.Join(folder, "link")))
	require.NoError(t, os.Symlink(filepath.Join("data", "chat.db"), filepath.Join(folder, "alias.db")))
	t.Chdir(folder)

	// Before the file is there, and after: a reload must find its backend.
	for _, made := range []bool{false, true} {
		if made {
			require.NoError(t, os.WriteFile(filepath.Join("data", "chat.db"), nil, 0o600))
			require.NoError(t, os.Mkdir(filepath.Join("data", "deep"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join("data", "deep", "chat.db"), nil, 0o600))
		}
		for path, want := range map[string]string{
			"data/chat.db":                           "data/chat.db",
			"./data/../data//chat.db":                "data/chat.db",
			filepath.Join(folder, "data", "chat.db"): "data/chat.db",
			"link/chat.db":                           "data/chat.db",
			"alias.db":                               "data/chat.db",
			"data/deep/chat.db":                      "data/deep/chat.db",
			"link/deep/chat.db":                      "data/deep/chat.db", // its folder is not there at first
			"data/other.db":                          "data/other.db",
		} {
			got, err := store.Identity(path)
			require.NoError(t, err)
			require.Equal(t, filepath.Join(folder, want), got, "%s, made: %v", path, made)
		}
	}
}

// Servers that start at the same time, over one storage, agree on the secret.
func TestStoredSecret(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var wg sync.WaitGroup
	secrets := make([]string, 3)
	for i := range secrets {
		wg.Go(func() {
			storage := &certmagic.FileStorage{Path: folder}
			secret, err := storedSecret(t.Context(), storage)
			if err == nil {
				secrets[i] = secret
			}
		})
	}
	wg.Wait()
	require.GreaterOrEqual(t, len(secrets[0]), auth.MinSecretLength)
	for _, secret := range secrets {
		require.Equal(t, secrets[0], secret)
	}

	elsewhere, err := storedSecret(t.Context(), &certmagic.FileStorage{Path: t.TempDir()})
	require.NoError(t, err)
	require.NotEqual(t, secrets[0], elsewhere)

	_, err = storedSecret(t.Context(), &certmagic.FileStorage{Path: "/proc/nowhere"})
	require.Error(t, err)
}
