package caddymsg_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/natstest"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// liveNodesSite is a node with a bus, or, without servers of one, with that of
// PostgreSQL.
func liveNodesSite(servers []string) string {
	if len(servers) == 0 {
		return nodesCaddyfile
	}
	return strings.Replace(nodesCaddyfile, "bcrypt_cost", "bus "+strings.Join(servers, " ")+"\n\t\tbcrypt_cost", 1)
}

// Three nodes, with people at each, who hop from one to another. While nodes are
// killed, the servers of the bus go down one after another and all at once, and
// PostgreSQL breaks off connections, has a bad network, and crashes, each message that
// was answered with 200 comes to each connection that it is for, once, in the order
// that all others hear, and to nobody else; and nobody is told to begin anew.
func TestLiveNodesThroughFaults(t *testing.T) {
	t.Parallel()
	w := newLiveNodes(t, 3)
	w.phase("nothing is wrong", func() {})
	w.phase("nodes are killed", func() {
		for _, node := range w.random.Perm(len(w.nodes))[:2] {
			w.kill(node)
		}
	})
	w.phase("servers of the bus go down, one after another", func() {
		for server := range w.bus.URLs() {
			w.bus.Kill(t, server)
			w.work(10)
			w.bus.Restart(t, server)
		}
	})
	w.phase("no server of the bus is there", func() {
		for server := range w.bus.URLs() {
			w.bus.Kill(t, server)
		}
		w.healthy(0)
		w.reach() // by looking, now and then
		for server := range w.bus.URLs() {
			w.bus.Restart(t, server)
		}
	})
	w.phase("PostgreSQL ends all connections", func() {
		for range 2 {
			w.work(w.random.IntN(20))
			w.terminate()
		}
	})
	w.phase("the network cuts connections", func() {
		for range 2 {
			w.work(w.random.IntN(20))
			w.proxy.cutAll()
			w.await("the connection is cut", w.proxy.cutAfter(w.random.IntN(20_000)))
		}
	})
	w.phase("the network swallows everything, and goes on", func() {
		// Not for long: what is in the midst of a commit keeps the other nodes
		// waiting, and PostgreSQL is patient with it for 10 seconds.
		for range 3 {
			release := w.proxy.hang()
			w.await("something is swallowed", func() bool { return w.proxy.holds(2) })
			release()
			w.workAt(behindProxy, 5)
		}
	})
	w.phase("PostgreSQL crashes", func() {
		w.postgres.Crash(t)
		w.postgres.Resume(t)
	})
	w.end()
}

// The same, without a bus of its own.
func TestLiveNodesThroughFaultsWithoutBus(t *testing.T) {
	t.Parallel()
	w := newLiveNodes(t, 0)
	w.phase("a node is killed", func() { w.kill(w.random.IntN(len(w.nodes))) })
	w.phase("PostgreSQL ends all connections", func() {
		for range 2 {
			w.work(w.random.IntN(20))
			w.terminate()
		}
	})
	w.phase("the network cuts connections", func() {
		w.proxy.cutAll()
		w.await("the connection is cut", w.proxy.cutAfter(w.random.IntN(20_000)))
	})
	w.end()
}

const (
	liveNodesPeople  = 6
	liveNodesSenders = 3
)

// liveNodes is three nodes, and people who listen and send.
type liveNodes struct {
	t        *testing.T
	random   *mathrand.Rand // of the test's goroutine
	ctx      context.Context
	cancel   context.CancelCauseFunc // the reason is why the test has failed
	postgres *pgtest.Server
	proxy    *faultsProxy      // in front of it, for the first node
	bus      *natstest.Cluster // or nil
	database string
	options  []frontdoor.Options
	nodes    []atomic.Pointer[frontdoor.Server]
	calm     []int // goroutines of each, when nobody was there

	people    []*frontdoor.Client
	groups    []int64
	members   [][]int // of each group
	listeners []*liveNodesListener
	listening sync.WaitGroup

	stop     atomic.Bool
	sending  sync.WaitGroup
	answered []atomic.Int64 // by node
	marks    int

	mu      sync.Mutex
	clients map[string]*frontdoor.Client // by person and node
	sent    []liveNodesSent
}

// liveNodesSent is a message that was answered with 200.
type liveNodesSent struct {
	members []int // who is to hear it
	message nodesMessage
}

// newLiveNodes starts nodes, with so many servers of a bus, and everybody listens and
// sends.
func newLiveNodes(t *testing.T, busServers int) *liveNodes {
	t.Helper()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &liveNodes{
		t: t, random: mathrand.New(mathrand.NewPCG(seed, 0)), ctx: ctx, cancel: cancel, postgres: pgtest.Start(t),
		nodes: make([]atomic.Pointer[frontdoor.Server], 3), calm: make([]int, 3), answered: make([]atomic.Int64, 3),
		clients: map[string]*frontdoor.Client{},
	}
	w.proxy = newFaultsProxy(t, w.postgres.HostPort())
	w.database = w.postgres.NewDatabase(t)
	behind := nodesURL(t, w.database)
	behind.Host = w.proxy.listener.Addr().String()
	var servers []string
	if busServers > 0 {
		w.bus = natstest.Start(t, busServers, nil)
		servers = w.bus.URLs()
	}
	secret := rand.Text() + rand.Text()
	var starting sync.WaitGroup
	for i := range w.nodes {
		address := w.database
		if i == behindProxy {
			address = behind.String()
		}
		opts := nodesOptions(address, secret)
		opts.Caddyfile = liveNodesSite(servers)
		w.options = append(w.options, opts)
		starting.Go(func() { w.nodes[i].Store(frontdoor.Start(t, opts)) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	w.healthy(1)
	for i := range w.nodes {
		w.calm[i] = lifeGoroutines(t, w.nodes[i].Load())
	}

	for i := range liveNodesPeople {
		w.people = append(w.people, frontdoor.SignUp(t, w.nodes[i%len(w.nodes)].Load().URL, nodesPerson(i)))
	}
	// One group is of all, and the others have no member in common.
	for _, members := range [][]int{{0, 1, 2, 3, 4, 5}, {0, 1, 2}, {3, 4, 5}} {
		var others []string
		for _, person := range members[1:] {
			others = append(others, nodesPerson(person))
		}
		w.groups = append(w.groups, nodesGroup(t, w.people[members[0]], others...))
		w.members = append(w.members, members)
	}
	var connected sync.WaitGroup
	for person := range w.people {
		for way := range liveNodesWays {
			l := &liveNodesListener{person: person, way: way, random: mathrand.New(mathrand.NewPCG(w.random.Uint64(), 0))}
			w.listeners = append(w.listeners, l)
			connected.Add(1)
			w.listening.Go(func() { w.fail(w.listen(l, sync.OnceFunc(connected.Done))) })
		}
	}
	t.Cleanup(func() { // also if the test fails
		w.stop.Store(true)
		cancel(nil)
		w.sending.Wait()
		w.listening.Wait()
	})
	connected.Wait()
	for node := range w.nodes {
		for i := range liveNodesSenders {
			random := mathrand.New(mathrand.NewPCG(w.random.Uint64(), 0))
			w.sending.Go(func() { w.fail(w.sendMany(node, fmt.Sprintf("%d at %d", i, node), random)) })
		}
	}
	return w
}

// fail ends everything, if there is an error.
func (w *liveNodes) fail(err error) {
	if err != nil && w.ctx.Err() == nil {
		w.cancel(err)
	}
}

// await waits until something is so. The deadline is there to end a test that would
// hang.
func (w *liveNodes) await(what string, so func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if w.ctx.Err() != nil {
			w.t.Fatal(context.Cause(w.ctx))
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("in vain waited until %s", what)
		}
	}
}

// phase has something happen, after which everybody still hears of everybody, and the
// nodes of each other.
func (w *liveNodes) phase(name string, fault func()) {
	w.t.Helper()
	began := time.Now()
	w.work(10)
	fault()
	w.reach()
	w.healthy(1)
	w.t.Logf("%s: %s", name, time.Since(began).Round(time.Millisecond))
}

// work waits for so many messages to be answered.
func (w *liveNodes) work(messages int) {
	w.t.Helper()
	w.workAt(everyNode, messages)
}

const everyNode = -1

func (w *liveNodes) workAt(node, messages int) {
	w.t.Helper()
	count := func() (sum int64) {
		for i := range w.answered {
			if node == everyNode || i == node {
				sum += w.answered[i].Load()
			}
		}
		return sum
	}
	until := count() + int64(messages)
	w.await("messages are answered", func() bool { return count() >= until })
}

// reach sends something to all through each node, and waits until everybody has heard
// it.
func (w *liveNodes) reach() {
	w.t.Helper()
	for node := range w.nodes {
		w.marks++
		require.NoError(w.t, w.send(node, 0, w.groups[0], "", fmt.Sprint("mark ", w.marks), w.members[0]))
	}
	for i, l := range w.listeners {
		w.await(fmt.Sprintf("listener %d hears mark %d", i, w.marks), func() bool { return int(l.mark.Load()) == w.marks })
	}
}

// healthy waits until all nodes say of the bus what it should be.
func (w *liveNodes) healthy(want float64) {
	w.t.Helper()
	for i := range w.nodes {
		w.await("it is told how the bus is", func() bool {
			return lifeMetrics(w.t, w.nodes[i].Load()).sum("messaging_bus_healthy") == want
		})
	}
}

// kill kills a node, and starts it again some messages later.
func (w *liveNodes) kill(node int) {
	w.t.Helper()
	w.nodes[node].Load().Kill()
	for other := range w.nodes {
		if other != node {
			w.workAt(other, 10)
		}
	}
	w.nodes[node].Store(frontdoor.Start(w.t, w.options[node]))
}

// terminate ends all connections to the database.
func (w *liveNodes) terminate() {
	w.t.Helper()
	_, err := frontdoor.OpenDatabase(w.t, w.database).ExecContext(w.t.Context(), `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	require.NoError(w.t, err)
}

// client is somebody at a node, as it is now.
func (w *liveNodes) client(person, node int) *frontdoor.Client {
	base := w.nodes[node].Load().URL
	key := fmt.Sprint(person, " ", base)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients[key] == nil {
		w.clients[key] = lifeAgain(w.t, w.people[person], base)
	}
	return w.clients[key]
}

// sendMany sends messages through a node, one after another, until the test has had
// enough.
func (w *liveNodes) sendMany(node int, name string, random *mathrand.Rand) error {
	for n := 0; !w.stop.Load(); n++ {
		text := fmt.Sprintf("%d by %s", n, name)
		group := random.IntN(len(w.groups) + 1)
		var err error
		if group < len(w.groups) {
			members := w.members[group]
			err = w.send(node, members[random.IntN(len(members))], w.groups[group], "", text, members)
		} else {
			from := random.IntN(len(w.people))
			to := (from + 1 + random.IntN(len(w.people)-1)) % len(w.people)
			err = w.send(node, from, 0, nodesPerson(to), text, []int{from, to})
		}
		if err != nil {
			return err
		}
		time.Sleep(15 * time.Millisecond) // there are others who are to hear it
	}
	return nil
}

// send sends a message, with the same key until it is answered.
func (w *liveNodes) send(node, from int, group int64, to, text string, members []int) error {
	body := nodesSend(w.t, group, to, text, text)
	for {
		r, err := w.client(from, node).Try(w.ctx, http.MethodPost, "/v1/messages", body)
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case err == nil && r.StatusCode == http.StatusOK:
			sent := liveNodesSent{members: members}
			if err := json.Unmarshal([]byte(r.Text), &sent.message); err != nil {
				return err
			}
			w.mu.Lock()
			w.sent = append(w.sent, sent)
			w.mu.Unlock()
			w.answered[node].Add(1)
			return nil
		case err == nil && (r.StatusCode != http.StatusServiceUnavailable || r.Field("code") != "database_unavailable"):
			return fmt.Errorf("%s is answered with %d %s", text, r.StatusCode, r.Text)
		}
		backOff()
	}
}

// The ways to hear of what happens.
const (
	liveNodesWebSocket = iota
	liveNodesStream
	liveNodesPoll
	liveNodesWays
)

// liveNodesListener is somebody's open connection, now to this node, now to that.
type liveNodesListener struct {
	person, way int
	random      *mathrand.Rand
	mark        atomic.Int64 // the last that it has heard

	cursor string
	last   int64 // the offset of the last event
	heard  []nodesMessage
	hops   int
	over   bool // it has heard the end
}

// The last message.
const liveNodesEnd = "the end"

var errLiveNodesWrong = errors.New("what should not happen")

// listen listens until it has heard the end, at whichever node is there. It tells when
// it is connected: from there on it must hear all.
func (w *liveNodes) listen(l *liveNodesListener, connected func()) error {
	defer connected()
	for !l.over {
		err := w.hear(l, connected)
		ended, refused := (*frontdoor.EndedError)(nil), (*frontdoor.RefusedError)(nil)
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case errors.Is(err, errLiveNodesWrong):
			return err
		case errors.As(err, &ended) && ended.Status != 1006 && ended.RetryMS == nil,
			errors.As(err, &refused) && refused.StatusCode != http.StatusServiceUnavailable:
			return fmt.Errorf("%w: %w", errLiveNodesWrong, err)
		}
		l.hops++
		time.Sleep(time.Millisecond) // nobody comes back at once
	}
	return nil
}

// hear is over when the connection ends, or when it has had enough of this node.
func (w *liveNodes) hear(l *liveNodesListener, connected func()) error {
	client := w.client(l.person, l.random.IntN(len(w.nodes)))
	frames := 5 + l.random.IntN(100)
	if l.way == liveNodesPoll {
		return w.poll(l, client, frames, connected)
	}
	connect := client.WebSocket
	if l.way == liveNodesStream {
		connect = client.Events
	}
	conn, err := connect(w.ctx, l.cursor)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range frames {
		f, err := conn.Next()
		if err != nil {
			return err
		}
		l.cursor = conn.Cursor
		switch f.Type {
		case "hello":
			connected()
			continue
		case "heartbeat":
			continue
		}
		if err := l.take(f); err != nil || l.over {
			return err
		}
	}
	return nil
}

// poll is hear, for one who asks again and again.
func (w *liveNodes) poll(l *liveNodesListener, client *frontdoor.Client, frames int, connected func()) error {
	for frames > 0 {
		path := "/v1/events"
		if l.cursor != "" {
			path += "?wait=5&after=" + url.QueryEscape(l.cursor)
		}
		r, err := client.Try(w.ctx, http.MethodGet, path, "", "Accept", "application/json")
		if err != nil {
			return err
		}
		if r.StatusCode != http.StatusOK {
			return &frontdoor.RefusedError{Response: r}
		}
		var told struct {
			Events []frontdoor.Frame
			Cursor string
			Resync string
		}
		if err := json.Unmarshal([]byte(r.Text), &told); err != nil || told.Resync != "" || told.Cursor == "" {
			return fmt.Errorf("%w: %w: %s", errLiveNodesWrong, err, r.Text)
		}
		for _, f := range told.Events {
			if err := l.take(f); err != nil || l.over {
				return err
			}
		}
		l.cursor = told.Cursor
		connected()
		frames -= len(told.Events)
	}
	return nil
}

// take takes an event.
func (l *liveNodesListener) take(f frontdoor.Frame) error {
	if f.Type == "resync" {
		return fmt.Errorf("%w: it is told to begin anew: %s", errLiveNodesWrong, f.Data)
	}
	offset, err := strconv.ParseInt(f.ID[strings.LastIndex(f.ID, ".")+1:], 10, 64)
	if err != nil || offset <= l.last {
		return fmt.Errorf("%w: behind %d comes %s: %s", errLiveNodesWrong, l.last, f.ID, f.Data)
	}
	l.last = offset
	if f.Type != "message.created" {
		return nil
	}
	var m nodesMessage
	if err := json.Unmarshal(f.Data, &m); err != nil {
		return fmt.Errorf("%w: %w: %s", errLiveNodesWrong, err, f.Data)
	}
	l.heard = append(l.heard, m)
	if mark, ok := strings.CutPrefix(m.Text, "mark "); ok {
		n, _ := strconv.ParseInt(mark, 10, 64) // it is one
		l.mark.Store(n)
	}
	l.over = m.Text == liveNodesEnd
	return nil
}

// end ends the load, and compares what was heard with what was sent. Then all is as it
// was before.
func (w *liveNodes) end() {
	t := w.t
	t.Helper()
	w.stop.Store(true)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w.sending.Wait()
	}()
	w.await("all has been sent", func() bool { return liveNodesClosed(sent) })
	require.NoError(t, w.send(0, 0, w.groups[0], "", liveNodesEnd, w.members[0]))
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		w.listening.Wait()
	}()
	w.await("everybody has heard the end", func() bool { return liveNodesClosed(heard) })
	require.NoError(t, context.Cause(w.ctx))

	// In each chat, the messages have numbers without a gap, and each was answered once.
	hops := 0
	for i, l := range w.listeners {
		hops += l.hops
		want, got := map[int64][]nodesMessage{}, map[int64][]nodesMessage{}
		for _, s := range w.sent {
			if slices.Contains(s.members, l.person) {
				want[s.message.ChatID] = append(want[s.message.ChatID], s.message)
			}
		}
		for _, messages := range want {
			slices.SortFunc(messages, func(a, b nodesMessage) int { return int(a.Seq - b.Seq) })
			for n, m := range messages {
				require.EqualValues(t, n+1, m.Seq)
			}
		}
		for _, m := range l.heard {
			got[m.ChatID] = append(got[m.ChatID], m)
		}
		require.Equal(t, want, got, "listener %d", i)
	}
	t.Logf("%d messages, %d hops", len(w.sent), hops)
	require.Greater(t, hops, len(w.listeners))

	for _, c := range append(w.people, slices.Collect(maps.Values(w.clients))...) {
		c.HTTP.CloseIdleConnections()
	}
	for i := range w.nodes {
		node := w.nodes[i].Load()
		w.await("it is calm again", func() bool {
			m := lifeMetrics(t, node)
			return m.sum("messaging_live_connections") == 0 && m.sum("messaging_events_behind") == 0 && lifeGoroutines(t, node) < w.calm[i]+10
		})
		log := strings.ToLower(node.Log())
		require.NotContains(t, log, "panic")
		require.NotContains(t, log, "goroutine ")
	}
}

func liveNodesClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// What is done at one node takes effect at the other.
func TestLiveNodes(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string]int{"over NATS": 1, "over PostgreSQL": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newLivePair(t, servers)
			t.Run("a session ends", p.sessionEnds)
			t.Run("somebody signs out everywhere", p.signedOutEverywhere)
			t.Run("an account is deactivated", p.accountIsDeactivated)
			t.Run("a participant is removed", p.participantIsRemoved)
			t.Run("what happens is heard at once", p.atOnce)
			t.Run("who is there, and who is typing", p.presence)
			t.Run("wake-ups are lost", p.wakeUpsAreLost)
			t.Run("a cursor of the node that is ahead", p.cursorIsAhead)
			t.Run("the log is another one", p.otherLog)
		})
	}
}

// livePair is two nodes.
type livePair struct {
	bus      *natstest.Cluster // or nil
	options  frontdoor.Options
	database string
	one, two string // their addresses
	nodes    []*frontdoor.Server
}

func newLivePair(t *testing.T, servers int) *livePair {
	t.Helper()
	p := &livePair{database: pgtest.NewDatabase(t), nodes: make([]*frontdoor.Server, 2)}
	opts := nodesOptions(p.database, rand.Text()+rand.Text())
	if servers > 0 {
		p.bus = natstest.Start(t, servers, nil)
		opts.Caddyfile = liveNodesSite(p.bus.URLs())
	}
	p.options = opts
	nodesAtOnce(len(p.nodes), func(i int) { p.nodes[i] = frontdoor.Start(t, opts) })
	if t.Failed() {
		t.FailNow()
	}
	p.one, p.two = p.nodes[0].URL, p.nodes[1].URL
	p.healthy(t, 1)
	return p
}

func (p *livePair) healthy(t *testing.T, want float64) {
	t.Helper()
	for _, node := range p.nodes {
		lifeEventually(t, "it is told how the bus is", func() bool { return lifeMetrics(t, node).sum("messaging_bus_healthy") == want })
	}
}

// liveConnected is an open connection of a test that waits for what is sure to come.
type liveConnected struct {
	*frontdoor.Live
	t *testing.T
}

// liveConnectedFor is the longest that such a connection lasts.
const liveConnectedFor = time.Minute

// liveConnect connects somebody to a node, over both transports.
func liveConnect(t *testing.T, c *frontdoor.Client, base, after string) (both []liveConnected) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), liveConnectedFor)
	t.Cleanup(cancel)
	c = nodesElsewhere(t, c, base)
	for _, connect := range []func(context.Context, string) (*frontdoor.Live, error){c.WebSocket, c.Events} {
		conn, err := connect(ctx, after)
		require.NoError(t, err)
		t.Cleanup(conn.Close)
		f, err := conn.Next()
		require.NoError(t, err)
		require.Equal(t, "hello", f.Type)
		both = append(both, liveConnected{conn, t})
	}
	return both
}

// hear is what comes up to a type of event, or up to a message with a text.
func (l liveConnected) hear(until string) (frames []frontdoor.Frame) {
	l.t.Helper()
	for {
		f, err := l.Next()
		require.NoError(l.t, err, "it waits for %s", until)
		if f.Type == "heartbeat" {
			continue
		}
		frames = append(frames, f)
		if f.Type == until || liveText(l.t, f) == until {
			return frames
		}
	}
}

// liveText is the text of a message.
func liveText(t *testing.T, f frontdoor.Frame) string {
	t.Helper()
	if f.Type != "message.created" {
		return ""
	}
	var m nodesMessage
	require.NoError(t, json.Unmarshal(f.Data, &m))
	return m.Text
}

func liveTexts(t *testing.T, frames []frontdoor.Frame) (texts []string) {
	t.Helper()
	for _, f := range frames {
		if text := liveText(t, f); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// wantEnd waits for the end of the connection.
func (l liveConnected) wantEnd(code string, status int) *frontdoor.EndedError {
	l.t.Helper()
	for {
		_, err := l.Next()
		if err == nil {
			continue
		}
		ended := new(frontdoor.EndedError)
		require.ErrorAs(l.t, err, &ended)
		require.Equal(l.t, code, ended.Code)
		require.Contains(l.t, []int{0, status}, ended.Status) // 0: not of a WebSocket
		return ended
	}
}

// say sends a message at a node, to a group or to a person.
func (p *livePair) say(t *testing.T, c *frontdoor.Client, base string, group int64, person, text string) {
	t.Helper()
	nodesElsewhere(t, c, base).Post("/v1/messages", nodesSend(t, group, person, text, "")).Want(http.StatusOK)
}

func (p *livePair) sessionEnds(t *testing.T) {
	alice := frontdoor.SignUp(t, p.one, "alice")
	again := frontdoor.NewClient(t, p.two)
	again.Post("/v1/auth/login", `{"username":"alice","password":"open sesame"}`).Want(http.StatusOK)
	ending, staying := liveConnect(t, alice, p.two, ""), liveConnect(t, again, p.two, "")
	alice.Post("/v1/auth/logout", "").Want(http.StatusOK)
	for _, l := range ending {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
	p.say(t, again, p.one, 0, "alice", "still here")
	for _, l := range staying {
		l.hear("still here")
	}
}

func (p *livePair) signedOutEverywhere(t *testing.T) {
	clara := frontdoor.SignUp(t, p.one, "clara")
	there := frontdoor.NewClient(t, p.two)
	there.Post("/v1/auth/login", `{"username":"clara","password":"open sesame"}`).Want(http.StatusOK)
	bot := byToken(t, p.two, "clara")
	staying, ending := liveConnect(t, clara, p.two, ""), append(liveConnect(t, there, p.two, ""), connected(t, bot)...)
	clara.Delete("/v1/me/sessions?others=true").Want(http.StatusOK)
	for _, c := range []*frontdoor.Client{there, bot} {
		requireAnswer(t, c.Get("/v1/me"), http.StatusUnauthorized, "unauthenticated", "")
	}
	for _, l := range ending {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
	p.say(t, clara, p.one, 0, "clara", "still here")
	for _, l := range staying {
		l.hear("still here")
	}
	clara.Delete("/v1/me/sessions").Want(http.StatusOK)
	for _, l := range staying {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
}

func (p *livePair) accountIsDeactivated(t *testing.T) {
	root, bob := frontdoor.SignUp(t, p.one, "root"), frontdoor.SignUp(t, p.two, "bob")
	_, err := frontdoor.OpenDatabase(t, p.database).ExecContext(t.Context(), `UPDATE users SET admin = 1 WHERE username = 'root'`)
	require.NoError(t, err)
	ending, staying := liveConnect(t, bob, p.two, ""), liveConnect(t, root, p.two, "")
	id := idOf(bob.Get("/v1/me"))
	root.Do(http.MethodPatch, fmt.Sprint("/v1/admin/users/", id), `{"deactivated":true}`).Want(http.StatusOK)
	for _, l := range ending {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
	p.say(t, root, p.one, 0, "root", "still here")
	for _, l := range staying {
		l.hear("still here")
	}
}

func (p *livePair) participantIsRemoved(t *testing.T) {
	owner, member := frontdoor.SignUp(t, p.one, "olga"), frontdoor.SignUp(t, p.two, "mona")
	group := nodesGroup(t, owner, "mona")
	removed, staying := liveConnect(t, member, p.two, ""), liveConnect(t, owner, p.two, "")
	participants := fmt.Sprintf("/v1/group_chat/%d/participants", group)
	p.say(t, owner, p.one, group, "", "with her")
	owner.Delete(participants + "/mona").Want(http.StatusOK)
	p.say(t, owner, p.one, group, "", "without her")
	p.say(t, owner, p.two, group, "", "without her at her node")
	p.say(t, owner, p.one, 0, "mona", "to her alone")
	owner.Post(participants, `{"username":"mona"}`).Want(http.StatusOK)
	p.say(t, owner, p.one, group, "", "with her again")
	for _, l := range removed {
		require.Equal(t, []string{"with her"}, liveTexts(t, l.hear("participant.removed")))
		require.Equal(t, []string{"to her alone", "with her again"}, liveTexts(t, l.hear("with her again")))
	}
	for _, l := range staying {
		require.Equal(t, []string{"with her", "without her", "without her at her node", "to her alone", "with her again"},
			liveTexts(t, l.hear("with her again")))
	}
}

// Without wake-ups, it would take a second each time, and the connection does not last
// that long.
func (p *livePair) atOnce(t *testing.T) {
	vera := frontdoor.SignUp(t, p.one, "vera")
	hearing := liveConnect(t, vera, p.two, "")
	for n := range 2 * liveConnectedFor / time.Second {
		text := fmt.Sprint("now ", n)
		p.say(t, vera, p.one, 0, "vera", text)
		for _, l := range hearing {
			l.hear(text)
		}
	}
}

// loseBus ends the bus until it is mended, if it is not PostgreSQL.
func (p *livePair) loseBus(t *testing.T) (mend func()) {
	t.Helper()
	if p.bus == nil {
		return func() {}
	}
	p.bus.Kill(t, 0)
	p.healthy(t, 0)
	return func() {
		p.bus.Restart(t, 0)
		p.healthy(t, 1)
	}
}

// Over PostgreSQL, a node knows of those who are there alone.
func (p *livePair) presence(t *testing.T) {
	there, watching := frontdoor.SignUp(t, p.one, "theo"), frontdoor.SignUp(t, p.two, "wanda")
	group := nodesGroup(t, there, "wanda")
	id := idOf(there.Get("/v1/me"))
	online := func(base string) bool {
		t.Helper()
		var told struct{ Presence []struct{ Online bool } }
		nodesElsewhere(t, watching, base).Get(fmt.Sprint("/v1/presence?user_ids=", id)).Want(http.StatusOK).Decode(&told)
		require.Len(t, told.Presence, 1)
		return told.Presence[0].Online
	}
	socket := watching.Socket("/v1/ws")
	socket.Await("hello")
	socket.Send(fmt.Sprintf(`{"id":"s","type":"presence.subscribe","data":{"user_ids":[%d]}}`, id))
	require.Equal(t, false, socket.Await("presence").Field("online"))
	theirs := liveConnect(t, there, p.one, "")
	require.True(t, online(p.one))
	there.Post(fmt.Sprintf("/v1/chats/%d/typing", group), "").Want(http.StatusOK)
	if p.bus == nil {
		p.say(t, there, p.one, group, "", "something else")
		for f := socket.Next(); f.Type != "message.created"; f = socket.Next() {
			require.NotContains(t, []string{"presence", "typing"}, f.Type)
		}
		require.False(t, online(p.two))
		return
	}
	require.Equal(t, true, socket.Await("presence").Field("online"))
	require.EqualValues(t, id, socket.Await("typing").Field("user_id"))
	require.True(t, online(p.two))

	// A node that begins asks who is there.
	node := frontdoor.Start(t, p.options)
	lifeEventually(t, "a new node knows", func() bool { return online(node.URL) })
	node.Kill()

	for _, l := range theirs {
		l.Close()
	}
	require.Equal(t, false, socket.Await("presence").Field("online"))
	require.False(t, online(p.two))
}

func (p *livePair) wakeUpsAreLost(t *testing.T) {
	defer p.loseBus(t)()
	ulla := frontdoor.SignUp(t, p.one, "ulla")
	hearing := liveConnect(t, ulla, p.two, "")
	for n := range 2 {
		text := fmt.Sprint("unannounced ", n)
		p.say(t, ulla, p.one, 0, "ulla", text)
		for _, l := range hearing {
			l.hear(text)
		}
	}
}

// Without wake-ups, a node finds out some time later what was written at another. Who
// comes from there has heard of it already, and does not hear it again.
func (p *livePair) cursorIsAhead(t *testing.T) {
	defer p.loseBus(t)()
	carla := frontdoor.SignUp(t, p.one, "carla")
	liveConnect(t, carla, p.two, "") // both nodes follow the log
	at, other := p.one, p.two
	hearing := liveConnect(t, carla, at, "")
	for round := range 6 {
		ahead, behind := fmt.Sprint("ahead ", round), fmt.Sprint("behind ", round)
		p.say(t, carla, at, 0, "carla", ahead)
		for _, l := range hearing {
			texts := liveTexts(t, l.hear(ahead))
			require.Equal(t, ahead, texts[len(texts)-1])
			require.Len(t, texts, min(round, 1)+1) // that of before, and this
		}
		cursor := hearing[round%2].Cursor
		at, other = other, at
		hearing = liveConnect(t, carla, at, cursor)
		p.say(t, carla, at, 0, "carla", behind)
	}
}

func (p *livePair) otherLog(t *testing.T) {
	erin := frontdoor.SignUp(t, p.one, "erin")
	connected := append(liveConnect(t, erin, p.one, ""), liveConnect(t, erin, p.two, "")...)
	cursor := connected[0].Cursor
	_, err := frontdoor.OpenDatabase(t, p.database).ExecContext(t.Context(), `UPDATE feed SET epoch = 'ffffffffffff'`)
	require.NoError(t, err)
	for _, l := range connected {
		require.NotNil(t, l.wantEnd("resync", 4002).RetryMS)
	}
	connected = append(liveConnect(t, erin, p.one, cursor), liveConnect(t, erin, p.two, cursor)...)
	for _, l := range connected {
		told, err := l.Next()
		require.NoError(t, err)
		require.Equal(t, "resync", told.Type)
		require.JSONEq(t, `{"reason":"epoch"}`, string(told.Data))
		require.Regexp(t, "^ffffffffffff-", l.Cursor)
	}
	p.say(t, erin, p.one, 0, "erin", "from one")
	p.say(t, erin, p.two, 0, "erin", "from two")
	for _, l := range connected {
		require.Equal(t, []string{"from one", "from two"}, liveTexts(t, l.hear("from two")))
	}
	cursor = connected[0].Cursor
	p.say(t, erin, p.two, 0, "erin", "missed")
	for _, l := range liveConnect(t, erin, p.two, cursor) {
		require.Equal(t, []string{"missed"}, liveTexts(t, l.hear("missed")))
	}
}
