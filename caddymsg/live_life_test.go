package caddymsg_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// liveListener is somebody who hears what happens over an open connection, and
// writes down what of it is in the log.
type liveListener struct {
	client *frontdoor.Client
	stream bool // server-sent events, and not a WebSocket
	conn   *frontdoor.Live
	cursor string
	heard  []liveHeard
}

// liveHeard is an event: its cursor, its type, and a message's text.
type liveHeard struct{ cursor, kind, text string }

// connect returns when it is told where it begins: it hears what happens from then on.
func (l *liveListener) connect(ctx context.Context) (err error) {
	if l.stream {
		l.conn, err = l.client.Events(ctx, l.cursor)
	} else {
		l.conn, err = l.client.WebSocket(ctx, l.cursor)
	}
	if err != nil {
		return err
	}
	if f, err := l.conn.Next(); err != nil || f.Type != "hello" {
		l.conn.Close()
		return fmt.Errorf("it begins with %q: %w", f.Type, err)
	}
	l.cursor = l.conn.Cursor
	return nil
}

// listen writes down what it hears, until it hears a text. Its error is the end of
// the connection.
func (l *liveListener) listen(until string) error {
	for {
		f, err := l.conn.Next()
		if err != nil {
			return err
		}
		l.cursor = l.conn.Cursor
		switch f.Type {
		case "heartbeat":
			continue
		case "resync":
			return fmt.Errorf("it is told to begin anew: %s", f.Data)
		}
		var m struct{ Text string }
		if err := json.Unmarshal(f.Data, &m); err != nil {
			return err
		}
		l.heard = append(l.heard, liveHeard{f.ID, f.Type, m.Text})
		if until != "" && m.Text == until {
			return nil
		}
	}
}

// texts are those of the messages, in the order in which they were heard.
func (l *liveListener) texts() (texts []string) {
	for _, heard := range l.heard {
		if heard.kind == "message.created" {
			texts = append(texts, heard.text)
		}
	}
	return texts
}

// liveListeners are people with as many connections, half of them WebSockets. Each is in
// the group.
func liveListeners(t *testing.T, s *frontdoor.Server, owner *frontdoor.Client, group int64, people, each int) (listeners []*liveListener) {
	t.Helper()
	for i := range people {
		name := fmt.Sprint("listener", i)
		c := frontdoor.SignUp(t, s.URL, name)
		add(t, owner, group, name)
		for n := range each {
			listeners = append(listeners, &liveListener{client: c, stream: n%2 == 1})
		}
	}
	return listeners
}

// liveAll does something for all of them at once.
func liveAll(listeners []*liveListener, do func(*liveListener) error) error {
	failures := make([]error, len(listeners))
	var wg sync.WaitGroup
	for i, l := range listeners {
		wg.Go(func() {
			if err := do(l); err != nil {
				failures[i] = fmt.Errorf("listener %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

// liveSend sends a message to a group. Without an answer it does so again, with the
// same key, wherever the server is by then.
func liveSend(ctx context.Context, c func() *frontdoor.Client, group int64, text string) error {
	body := fmt.Sprintf(`{"group_chat_id":%d,"message":%q}`, group, text)
	for {
		r, err := c().Try(ctx, http.MethodPost, "/v1/messages", body, "Idempotency-Key", text)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			time.Sleep(5 * time.Millisecond) // until there is a server again
		case r.StatusCode != http.StatusOK:
			return fmt.Errorf("%d %s", r.StatusCode, r.Text)
		default:
			return nil
		}
	}
}

// Through a hundred reloads under load, no connection ends, and each hears all
// messages once, in one order. When the process ends, they are ended one after another,
// and are told when to come back.
func TestLiveThroughReloads(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const people, each, senders, reloads = 10, 20, 2, 100
		// Between messages, each of which two hundred hear.
		pause := 20 * time.Millisecond
		if lifeRace() {
			pause *= 4
		}
		site := func(n int) string {
			return lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost "+strconv.Itoa(4+n%2))
		}
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: site(0)})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		owner := frontdoor.SignUp(t, s.URL, "owner")
		group := newGroup(owner)
		listeners := liveListeners(t, s, owner, group, people, each)
		for _, l := range listeners[each:] {
			l.client.Unchecked = "they hear what the first one hears"
		}
		goroutines := lifeGoroutines(t, s)
		require.NoError(t, liveAll(listeners, func(l *liveListener) error { return l.connect(ctx) }))

		listened := make(chan error, 1)
		go func() { listened <- liveAll(listeners, func(l *liveListener) error { return l.listen("the end") }) }()
		var (
			done    atomic.Bool
			answers atomic.Int64
			sent    [senders][]string
			sending sync.WaitGroup
			failure atomic.Pointer[string]
		)
		for i := range senders {
			sending.Go(func() {
				for n := 0; !done.Load(); n++ {
					text := fmt.Sprintf("%d from %d", n, i)
					if err := liveSend(ctx, func() *frontdoor.Client { return owner }, group, text); err != nil {
						failure.Store(new(err.Error()))
						return
					}
					sent[i] = append(sent[i], text)
					answers.Add(1)
					time.Sleep(pause)
				}
			})
		}
		for n := range reloads {
			before := answers.Load()
			require.NoError(t, s.Reload(ctx, site(n+1)))
			lifeEventually(t, "messages are sent again", func() bool { return answers.Load() > before || failure.Load() != nil })
		}
		done.Store(true)
		sending.Wait()
		if why := failure.Load(); why != nil {
			t.Fatal(*why)
		}
		require.NoError(t, liveSend(ctx, func() *frontdoor.Client { return owner }, group, "the end"))
		require.NoError(t, <-listened)
		t.Logf("%d messages", answers.Load())

		want := append(slices.Concat(sent[:]...), "the end")
		require.ElementsMatch(t, want, listeners[0].texts())
		for i := range senders {
			from := slices.DeleteFunc(listeners[0].texts(), func(text string) bool { return !slices.Contains(sent[i], text) })
			require.Equal(t, sent[i], from, "they come in another order than they were sent in")
		}
		for i, l := range listeners {
			require.Equal(t, listeners[0].heard, l.heard, "listener %d has heard something else", i)
		}
		require.EqualValues(t, len(listeners), lifeMetrics(t, s).sum("messaging_live_connections"))
		require.Zero(t, lifeMetrics(t, s).sum("messaging_live_closed_total"))
		require.EqualValues(t, len(listeners)/2, lifeMetrics(t, s).requests()["GET /v1/ws 101"])

		// They leave, and nothing is left of them.
		for _, l := range listeners {
			l.conn.Close()
		}
		owner.HTTP.CloseIdleConnections()
		lifeEventually(t, "no more goroutines run than before", func() bool { return lifeGoroutines(t, s) < goroutines+10 })
		require.Zero(t, lifeMetrics(t, s).sum("messaging_live_connections"))

		// They come back for the exit.
		require.NoError(t, liveAll(listeners, func(l *liveListener) error { return l.connect(ctx) }))
		require.NoError(t, liveSend(ctx, func() *frontdoor.Client { return owner }, group, "welcome back"))
		require.NoError(t, liveAll(listeners, func(l *liveListener) error { return l.listen("welcome back") }))
		liveStop(t, s, owner, listeners)
		for i, l := range listeners {
			require.Equal(t, listeners[0].heard, l.heard, "listener %d has heard something else", i)
		}
	})
}

// liveStop stops a server with connections, which has the delay of 5 seconds.
func liveStop(t *testing.T, s *frontdoor.Server, somebody *frontdoor.Client, listeners []*liveListener) {
	t.Helper()
	limit := 7 * time.Second
	if lifeRace() {
		limit += 5 * time.Second // as in TestStop
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var (
		mu       sync.Mutex
		closings []*frontdoor.EndedError // in the order in which they came
		began    = make(chan struct{})
	)
	all := make(chan error, 1)
	go func() {
		all <- liveAll(listeners, func(l *liveListener) error {
			err := l.listen("")
			ended := new(frontdoor.EndedError)
			if !errors.As(err, &ended) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if closings = append(closings, ended); len(closings) == 1 {
				close(began)
			}
			if l.stream != (ended.Status == 0) {
				return fmt.Errorf("status %d", ended.Status)
			}
			return nil
		})
	}()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()

	// Meanwhile, it answers, but takes no connections.
	<-began
	somebody.Get("/v1/chats").Want(http.StatusOK)
	for _, connect := range []func(context.Context, string) (*frontdoor.Live, error){somebody.WebSocket, somebody.Events} {
		_, err := connect(ctx, "")
		refused := new(frontdoor.RefusedError)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "restarting", refused.Want(http.StatusServiceUnavailable).Field("code"))
	}
	require.NoError(t, syscall.Kill(s.PID, syscall.SIGTERM)) // once more
	somebody.HTTP.CloseIdleConnections()
	require.NoError(t, <-all)
	require.NoError(t, <-stopped)

	require.Len(t, closings, len(listeners))
	var retries []int
	for _, c := range closings {
		require.Equal(t, "restarting", c.Code)
		require.NotNil(t, c.RetryMS)
		require.Contains(t, []int{0, 1012}, c.Status)
		retries = append(retries, *c.RetryMS)
	}
	// Who is told first has to wait the longest for the next server. The times differ by
	// a second for chance, and by four for the order.
	tenth := len(retries) / 10
	require.Greater(t, slices.Min(retries[:tenth]), slices.Max(retries[len(retries)-tenth:])+1000, "they are not ended one after another")
	require.Greater(t, len(slices.Compact(slices.Sorted(slices.Values(retries)))), len(retries)/2, "many come back at once")
}

// A server under load is killed, again and again. Those who listen come back, and in
// the end each has heard each message once.
func TestLiveThroughCrashes(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const people, each, senders, rounds = 4, 4, 4, 8
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()

		opts := frontdoor.Options{Dir: t.TempDir(), Database: engine.NewDatabase(t)}
		s := frontdoor.Start(t, opts)
		owner := frontdoor.SignUp(t, s.URL, "owner")
		group := newGroup(owner)
		listeners := liveListeners(t, s, owner, group, people, each)
		var base atomic.Pointer[string]
		base.Store(&s.URL)
		// again is for one goroutine: somebody's client of the server that there is.
		again := func(somebody *frontdoor.Client) func() *frontdoor.Client {
			var (
				at *string
				c  *frontdoor.Client
			)
			return func() *frontdoor.Client {
				if now := base.Load(); now != at {
					at, c = now, lifeAgain(t, somebody, *now)
				}
				return c
			}
		}

		var connected sync.WaitGroup
		connected.Add(len(listeners))
		listened := make(chan error, 1)
		go func() {
			listened <- liveAll(listeners, func(l *liveListener) error {
				first := sync.OnceFunc(connected.Done)
				for client := again(l.client); ; {
					l.client = client()
					err := l.connect(ctx)
					if err == nil {
						first() // from here on, it must hear all
						if err = l.listen("the end"); err == nil {
							return nil
						}
						l.conn.Close()
					}
					if refused := (*frontdoor.RefusedError)(nil); ctx.Err() != nil || errors.As(err, &refused) {
						return err
					}
					time.Sleep(time.Millisecond) // until there is a server again
				}
			})
		}()
		connected.Wait()

		var (
			done    atomic.Bool
			answers = make(chan struct{}, 1)
			sent    [senders][]string
			sending sync.WaitGroup
			failure atomic.Pointer[string]
		)
		for i := range senders {
			client := again(owner)
			sending.Go(func() {
				for n := 0; !done.Load(); n++ {
					text := fmt.Sprintf("%d from %d", n, i)
					if err := liveSend(ctx, client, group, text); err != nil {
						failure.Store(new(err.Error()))
						cancel()
						return
					}
					sent[i] = append(sent[i], text)
					select {
					case answers <- struct{}{}:
					case <-ctx.Done():
					}
				}
			})
		}
		for range rounds {
			for range 1 + random.IntN(100) {
				select {
				case <-answers:
				case <-ctx.Done():
					t.Fatal(failure.Load())
				}
			}
			s.Kill()
			s = frontdoor.Start(t, opts)
			base.Store(&s.URL)
		}
		done.Store(true)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			sending.Wait()
		}()
		for waiting := true; waiting; {
			select {
			case <-answers:
			case <-ended:
				waiting = false
			}
		}
		if why := failure.Load(); why != nil {
			t.Fatal(*why)
		}
		require.NoError(t, liveSend(ctx, again(owner), group, "the end"))
		require.NoError(t, <-listened)

		want := append(slices.Concat(sent[:]...), "the end")
		t.Logf("%d messages", len(want))
		require.ElementsMatch(t, want, listeners[0].texts())
		for i, l := range listeners {
			require.Equal(t, listeners[0].heard, l.heard, "listener %d has heard something else", i)
		}
	})
}

// liveOpen has somebody in a group listen over both transports.
func liveOpen(t *testing.T, s *frontdoor.Server) (owner *frontdoor.Client, group int64, listeners []*liveListener) {
	t.Helper()
	owner = frontdoor.SignUp(t, s.URL, "owner")
	group = newGroup(owner)
	listeners = liveListeners(t, s, owner, group, 2, 4)
	require.NoError(t, liveAll(listeners, func(l *liveListener) error { return l.connect(t.Context()) }))
	return owner, group, listeners
}

// Connections to a database that is not configured any more are told to come back,
// to whoever then serves it, and then it is closed.
func TestLiveDatabaseGone(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Env: []string{"NEXT=" + engine.NewDatabase(t)},
			Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4", "shutdown_delay 1s"),
		})
		owner, _, listeners := liveOpen(t, s)
		lifeReload(t, s, lifeSite("{$PORT}", "database {env.NEXT}", "bcrypt_cost 4"), owner)
		require.NoError(t, liveAll(listeners, func(l *liveListener) error {
			ended := new(frontdoor.EndedError)
			if err := l.listen(""); !errors.As(err, &ended) || ended.Code != "restarting" || ended.RetryMS == nil {
				return fmt.Errorf("it has ended with %w", err)
			}
			return nil
		}))
		lifeEventually(t, "the old database is closed", func() bool {
			if engine == frontdoor.Postgres {
				return lifeConnections(t, s.Database) == 0
			}
			return len(lifeOpenFiles(t, s, s.Database)) == 0
		})
		// The way to the new one is open.
		_, _, listeners = liveOpen(t, s)
		for _, l := range listeners {
			l.conn.Close()
		}
	})
}

// With 0s, nobody is waited for.
func TestLiveStopAtOnce(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4", "shutdown_delay 0s")})
	_, _, listeners := liveOpen(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(ctx) }()
	// Whether the process has the time to say so is left to chance.
	require.Error(t, liveAll(listeners, func(l *liveListener) error { return l.listen("") }))
	require.NoError(t, <-stopped)
}

// Who does not read does not hold up the exit, whatever the connection.
func TestLiveStopWithStalledReaders(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4", "shutdown_delay 1s"),
		})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		for _, path := range []string{"/v1/ws", "/v1/events"} {
			for range 3 {
				liveStall(t, s, alice, path)
			}
		}
		lifeEventually(t, "they are connected", func() bool { return lifeMetrics(t, s).sum("messaging_live_connections") == 6 })
		lifeFillHistory(t, alice, "alice") // nobody reads it
		limit := 3 * time.Second
		if lifeRace() {
			limit += 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
	})
}

// liveStall opens a connection, and reads nothing of it.
func liveStall(t *testing.T, s *frontdoor.Server, c *frontdoor.Client, path string) {
	t.Helper()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n", path)
	if path == "/v1/ws" {
		request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	}
	for _, cookie := range lifeCookies(t, c, s.URL) {
		request += "Cookie: " + cookie.String() + "\r\n"
	}
	conn := lifeNarrow(t, s)
	_, err := conn.Write([]byte(request + "\r\n"))
	require.NoError(t, err)
}

// A person, and an address, may have so many connections. A reload changes the
// number for those to come.
func TestLiveTooMany(t *testing.T) {
	t.Parallel()
	site := func(options ...string) string {
		return lifeSite("{$PORT}", append([]string{"database {env.DATABASE}", "bcrypt_cost 4"}, options...)...)
	}
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: site("connections_per_user 2", "connections_per_address 3")})
	alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
	take := func(c *frontdoor.Client, stream bool) *frontdoor.Live {
		t.Helper()
		l := &liveListener{client: c, stream: stream}
		require.NoError(t, l.connect(t.Context()))
		t.Cleanup(l.conn.Close)
		return l.conn
	}
	refuse := func(c *frontdoor.Client) {
		t.Helper()
		for _, stream := range []bool{false, true} {
			refused := new(frontdoor.RefusedError)
			require.ErrorAs(t, (&liveListener{client: c, stream: stream}).connect(t.Context()), &refused)
			require.Equal(t, "too_many_connections", refused.Want(http.StatusTooManyRequests).Field("code"))
			require.NotEmpty(t, refused.Header.Get("Retry-After"))
		}
	}
	one := take(alice, false)
	take(alice, true)
	refuse(alice) // too many of hers
	take(bob, false)
	refuse(bob) // too many from the address

	one.Close()
	lifeEventually(t, "she has left", func() bool { return lifeMetrics(t, s).sum("messaging_live_connections") == 2 })
	take(alice, true)
	refuse(alice)
	refuse(bob)
	for n, options := range [][]string{
		{"connections_per_user 3", "connections_per_address off"},
		{"connections_per_user off"},
	} {
		lifeReload(t, s, site(options...), alice, bob)
		take(alice, n%2 == 0)
	}
	require.EqualValues(t, 5, lifeMetrics(t, s).sum("messaging_live_connections"))
	require.ElementsMatch(t, []string{"websocket", "sse"}, lifeMetrics(t, s).labels("messaging_live_connections", "transport"))
}

// What a connection does shows in the metrics.
func TestLiveMetrics(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		owner, group, listeners := liveOpen(t, s)
		for n := range 3 {
			owner.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"%d"}`, group, n)).Want(http.StatusOK)
		}
		require.NoError(t, liveAll(listeners, func(l *liveListener) error { return l.listen("2") }))
		m := lifeMetrics(t, s)
		require.EqualValues(t, len(listeners)/2, m.sum("messaging_live_connections", "transport", "websocket"))
		require.EqualValues(t, len(listeners)/2, m.sum("messaging_live_connections", "transport", "sse"))
		heard := 0
		for _, l := range listeners {
			heard += len(l.heard)
		}
		require.EqualValues(t, heard, m.sum("messaging_events_delivered_total"))
		lifeEventually(t, "all is handed on", func() bool { return lifeMetrics(t, s).sum("messaging_events_behind") == 0 })
		require.Len(t, m.with("messaging_events_behind"), 1)
		if engine == frontdoor.Postgres {
			lifeEventually(t, "it hears of other nodes", func() bool { return lifeMetrics(t, s).sum("messaging_bus_healthy") == 1 })
		} else {
			require.Empty(t, m.with("messaging_bus_healthy"))
		}

		listeners[0].client.Post("/v1/auth/logout", "").Want(http.StatusOK)
		for _, l := range listeners[:4] { // of one session
			ended := new(frontdoor.EndedError)
			require.ErrorAs(t, l.listen(""), &ended)
			require.Equal(t, "session_ended", ended.Code)
			require.Nil(t, ended.RetryMS)
		}
		m = lifeMetrics(t, s)
		require.EqualValues(t, 4, m.sum("messaging_live_closed_total", "reason", "session_ended"))
		for _, l := range listeners {
			l.conn.Close()
		}
		lifeEventually(t, "all have left", func() bool { return lifeMetrics(t, s).sum("messaging_live_connections") == 0 })
	})
}
