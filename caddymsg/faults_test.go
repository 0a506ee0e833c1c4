package caddymsg_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// Two nodes are under load, and one of them reaches PostgreSQL through a network
// that fails in all ways, and PostgreSQL itself goes down. What was answered
// with 200 is stored, once; all else was answered with 503; and the nodes come
// back by themselves.
func TestFaults(t *testing.T) {
	t.Parallel()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	w := newFaultsWorld(t, mathrand.New(mathrand.NewPCG(seed, 0)))

	w.phase(t, "connections are cut", func(f *faultsPhase) {
		for f.failed(behindProxy) < 20 {
			f.work(behindProxy, w.random.IntN(40))
			w.proxy.cutAll()
		}
		require.Zero(t, f.failed(direct), "the other node has its own connections")
	})
	w.phase(t, "connections are cut in the midst of what they carry", func(f *faultsPhase) {
		for f.failed(behindProxy) < 30 {
			f.await("the connection is cut", w.proxy.cutAfter(w.random.IntN(5000)))
		}
		require.Zero(t, f.failed(direct), "the other node has its own connections")
	})
	w.phase(t, "connections are cut before a commit", func(f *faultsPhase) {
		for f.lost.Load() < 5 {
			f.await("the connection is cut", w.proxy.cutAtCommit(false))
			f.work(behindProxy, 1) // else, in the end, all wait for an answer to a key
		}
		f.storedOfLost = func(stored, lost int) {
			require.Zero(t, stored, "of %d sends that failed before their commit", lost)
		}
	})
	w.phase(t, "connections are cut before the answer to a commit", func(f *faultsPhase) {
		for f.lost.Load() < 5 {
			f.await("the connection is cut", w.proxy.cutAtCommit(true))
			f.work(behindProxy, 1)
		}
		f.storedOfLost = func(stored, lost int) {
			require.NotZero(t, stored, "of %d sends that failed after their commit: the test cuts too early", lost)
		}
	})
	w.phase(t, "connections are refused", func(f *faultsPhase) {
		w.proxy.refuse(true)
		w.proxy.cutAll()
		f.awaitFailures(behindProxy, 20)
		require.Zero(t, f.failed(direct), "the other node has its own connections")
		w.proxy.refuse(false)
	})
	w.phase(t, "new connections are swallowed while they are set up", func(f *faultsPhase) {
		swallowed := w.proxy.swallowNew(2)
		w.proxy.cutAll()
		f.await("connections are swallowed", swallowed)
		require.Zero(t, f.failed(direct), "the other node has its own connections")
	})
	w.phase(t, "PostgreSQL crashes", func(f *faultsPhase) {
		for range 2 {
			f.work(everywhere, w.random.IntN(100))
			w.postgres.Crash(t)
			f.awaitFailures(everywhere, 20)
			w.postgres.Resume(t)
			f.recover()
		}
	})
	w.phase(t, "PostgreSQL is stopped", func(f *faultsPhase) {
		for range 2 {
			f.work(everywhere, w.random.IntN(100))
			w.postgres.Stop(t)
			f.awaitFailures(everywhere, 20)
			w.postgres.Resume(t)
			f.recover()
		}
	})
	w.phase(t, "the network swallows everything", func(f *faultsPhase) {
		release := w.proxy.hang()
		// Each hangs for as long as the store is patient, and is answered then.
		f.await("every client behind the proxy has failed", f.allFailed)
		release()
	})

	for i, node := range w.nodes {
		select {
		case <-node.Done():
			t.Errorf("node %d has ended", i)
		default:
		}
		log := node.Log()
		require.NotContains(t, log, w.password)
		require.NotContains(t, strings.ToLower(log), "panic")
		require.NotContains(t, log, "goroutine ")
	}
}

// The nodes, as a phase counts failures.
const (
	behindProxy = iota
	direct
	everywhere
)

// faultsWorld is two nodes, the people who use them, and what these were told.
type faultsWorld struct {
	postgres *pgtest.Server
	proxy    *faultsProxy
	nodes    []*frontdoor.Server
	password string // of the database
	people   []*frontdoor.Client
	groups   []int64
	random   *mathrand.Rand

	mu    sync.Mutex
	sends map[string]*faultsSend // by text, which is unique
	seqs  map[int64]int64        // the highest that was answered, by group
}

// faultsSend is a message that somebody has sent, if need be more than once.
type faultsSend struct {
	sender, key, text string
	group             int64  // or
	to                string // a person
	answer            nodesMessage
	answered, failed  bool // an answer was 200; one was not
}

const faultsPeople = 6

func newFaultsWorld(t *testing.T, random *mathrand.Rand) *faultsWorld {
	t.Helper()
	w := &faultsWorld{postgres: pgtest.Start(t), random: random, sends: map[string]*faultsSend{}, seqs: map[int64]int64{}}
	w.proxy = newFaultsProxy(t, w.postgres.HostPort())
	address := w.postgres.NewDatabase(t)
	u := nodesURL(t, address)
	w.password, _ = u.User.Password()
	u.Host = w.proxy.listener.Addr().String()
	secret := rand.Text() + rand.Text()
	for _, address := range []string{u.String(), address} {
		opts := nodesOptions(address, secret)
		// Fewer connections than there are people: some wait for one when all are
		// lost.
		opts.Caddyfile = strings.Replace(opts.Caddyfile, "bcrypt_cost", "database_readers 2\n\t\tdatabase_writers 3\n\t\tbcrypt_cost", 1)
		w.nodes = append(w.nodes, frontdoor.Start(t, opts))
	}
	var others []string
	for i := range faultsPeople {
		w.people = append(w.people, frontdoor.SignUp(t, w.nodes[i%2].URL, nodesPerson(i)))
		if i > 0 {
			others = append(others, nodesPerson(i))
		}
	}
	for range 2 {
		w.groups = append(w.groups, nodesGroup(t, w.people[0], others...))
	}
	return w
}

// faultsPhase is one fault, and the load while it lasts.
type faultsPhase struct {
	t       *testing.T
	w       *faultsWorld
	name    string
	stop    atomic.Bool
	loads   sync.WaitGroup
	senders []*faultsSender
	readers []*faultsReader
	lost    atomic.Int64 // sends at the node behind the proxy without a key that failed

	// storedOfLost, if set, is told how many of these are stored nevertheless.
	storedOfLost func(stored, lost int)
}

// faultsCount is what became of a client's requests.
type faultsCount struct{ succeeded, failed atomic.Int64 }

type faultsSender struct {
	faultsCount
	node, person int
	client       *frontdoor.Client
	random       *mathrand.Rand
}

type faultsReader struct {
	faultsCount
	client *frontdoor.Client
	random *mathrand.Rand
}

// phase puts the nodes under load, has a fault done to them, and checks
// everything that was ever answered when they are back.
func (w *faultsWorld) phase(t *testing.T, name string, fault func(*faultsPhase)) {
	began := time.Now()
	f := &faultsPhase{t: t, w: w, name: name}
	defer func() {
		f.stop.Store(true)
		f.loads.Wait()
	}()
	for node, server := range w.nodes {
		for person := range w.people {
			s := &faultsSender{
				node: node, person: person, client: nodesElsewhere(t, w.people[person], server.URL),
				random: mathrand.New(mathrand.NewPCG(w.random.Uint64(), 0)),
			}
			f.senders = append(f.senders, s)
			f.loads.Go(func() { f.send(s) })
		}
		r := &faultsReader{
			client: nodesElsewhere(t, w.people[0], server.URL),
			random: mathrand.New(mathrand.NewPCG(w.random.Uint64(), 0)),
		}
		f.readers = append(f.readers, r)
		f.loads.Go(func() { f.read(r) })
	}
	f.work(everywhere, 5)
	fault(f)
	f.recover()
	f.stop.Store(true)
	f.loads.Wait()
	f.failNow()
	f.check()
	var succeeded int64
	for _, s := range f.senders {
		succeeded += s.succeeded.Load()
	}
	t.Logf("%s: %d sends succeeded, %d at the proxy and %d elsewhere failed, in %s", name, succeeded,
		f.failed(behindProxy), f.failed(direct), time.Since(began).Round(time.Millisecond))
}

// failNow ends the test if a client has found a fault.
func (f *faultsPhase) failNow() {
	f.t.Helper()
	if f.t.Failed() {
		f.t.Fatalf("while %s", f.name)
	}
}

// await waits until something is so. The deadline is there to end a test that
// would hang.
func (f *faultsPhase) await(what string, so func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); !so(); time.Sleep(time.Millisecond) {
		f.failNow()
		if time.Now().After(deadline) {
			f.t.Fatalf("while %s: in vain waited until %s", f.name, what)
		}
	}
}

// work lets the senders at a node have so many successes.
func (f *faultsPhase) work(node, successes int) {
	f.t.Helper()
	until := f.sum(node, (*faultsCount).successes) + int64(successes)
	f.await("clients have sent something", func() bool { return f.sum(node, (*faultsCount).successes) >= until })
}

// awaitFailures waits until requests at a node fail.
func (f *faultsPhase) awaitFailures(node, failures int) {
	f.t.Helper()
	until := f.failed(node) + int64(failures)
	f.await("requests fail", func() bool { return f.failed(node) >= until })
}

// recover waits until every client succeeds.
func (f *faultsPhase) recover() {
	f.t.Helper()
	var counts []*faultsCount
	var before []int64
	for _, s := range f.senders {
		counts, before = append(counts, &s.faultsCount), append(before, s.successes())
	}
	for _, r := range f.readers {
		counts, before = append(counts, &r.faultsCount), append(before, r.successes())
	}
	f.await("every client succeeds again", func() bool {
		for i, c := range counts {
			// The first may have been done before.
			if c.successes() < before[i]+2 {
				return false
			}
		}
		return true
	})
}

func (c *faultsCount) successes() int64 { return c.succeeded.Load() }
func (c *faultsCount) failures() int64  { return c.failed.Load() }

func (f *faultsPhase) failed(node int) int64 { return f.sum(node, (*faultsCount).failures) }

func (f *faultsPhase) sum(node int, count func(*faultsCount) int64) (sum int64) {
	for _, s := range f.senders {
		if node == everywhere || node == s.node {
			sum += count(&s.faultsCount)
		}
	}
	return sum
}

func (f *faultsPhase) allFailed() bool {
	return !slices.ContainsFunc(f.senders, func(s *faultsSender) bool { return s.node == behindProxy && s.failures() == 0 })
}

// backOff is what a client does that was told to come later, only faster.
func backOff() { time.Sleep(10 * time.Millisecond) }

// send sends one message after the other, by turns to the groups and to people,
// two of three with a key: these it sends again until they are answered.
func (f *faultsPhase) send(s *faultsSender) {
	for n := 0; !f.stop.Load() && !f.t.Failed(); n++ {
		m := &faultsSend{sender: nodesPerson(s.person), text: fmt.Sprintf("%s: %d of %s at %d", f.name, n, nodesPerson(s.person), s.node)}
		if n%2 == 0 {
			m.group = f.w.groups[s.random.IntN(len(f.w.groups))]
		} else {
			// All of them talk to the one who reads, and that one to everybody.
			m.to = nodesPerson(0)
			if s.person == 0 {
				m.to = nodesPerson(s.random.IntN(faultsPeople))
			}
		}
		if s.random.IntN(3) > 0 {
			m.key = rand.Text()
		}
		f.w.mu.Lock()
		f.w.sends[m.text] = m
		f.w.mu.Unlock()
		for !f.sendOnce(s, m) && m.key != "" && !f.t.Failed() {
			backOff()
		}
	}
}

// sendOnce tells whether it was answered with 200.
func (f *faultsPhase) sendOnce(s *faultsSender, m *faultsSend) bool {
	r, err := s.client.Try(f.t.Context(), "POST", "/v1/messages", nodesSend(f.t, m.group, m.to, m.text, m.key))
	if err != nil {
		f.t.Errorf("%s: a send was not answered: %v", m.text, err)
		return false
	}
	var answer nodesMessage
	ok := f.judge(r, &answer)
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if !ok {
		m.failed = true
		s.failed.Add(1)
		if m.key == "" && s.node == behindProxy {
			f.lost.Add(1)
		}
		return false
	}
	s.succeeded.Add(1)
	m.answered, m.answer = true, answer
	if m.group != 0 {
		f.w.seqs[m.group] = max(f.w.seqs[m.group], answer.Seq)
	}
	return true
}

// judge takes an answer: either it is a 200, which is decoded, or it tells that
// the database is out of reach.
func (f *faultsPhase) judge(r *frontdoor.Response, into any) (ok bool) {
	if r.StatusCode == 200 {
		if err := json.Unmarshal([]byte(r.Text), into); err != nil {
			f.t.Errorf("%v: %s", err, r.Text)
		}
		return true
	}
	var problem struct {
		Status int
		Code   string
	}
	err := json.Unmarshal([]byte(r.Text), &problem)
	if err != nil || r.StatusCode != 503 || problem.Status != 503 || problem.Code != "database_unavailable" ||
		r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("Retry-After") == "" ||
		strings.Contains(r.Text, f.w.password) {
		f.t.Errorf("%s %s: status %d, %v: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, r.Header, r.Text)
	}
	return false
}

// read reads the groups again and again, mostly what is new.
func (f *faultsPhase) read(c *faultsReader) {
	type place struct{ id, seq int64 }
	known := map[int64]place{}
	for !f.stop.Load() && !f.t.Failed() {
		group := f.w.groups[c.random.IntN(len(f.w.groups))]
		from := known[group]
		if c.random.IntN(10) == 0 {
			from = place{}
		}
		path := fmt.Sprintf("/v1/messages/group/%d", group)
		if from.id > 0 {
			path += fmt.Sprint("?after=", from.id)
		}
		f.w.mu.Lock()
		least := f.w.seqs[group]
		f.w.mu.Unlock()
		r, err := c.client.Try(f.t.Context(), "GET", path, "")
		if err != nil {
			// A history that was broken off does not look like one that has ended.
			if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				f.t.Errorf("%s: %v", path, err)
			}
			c.failed.Add(1)
			continue
		}
		var messages []nodesMessage
		if !f.judge(r, &messages) {
			c.failed.Add(1)
			backOff()
			continue
		}
		last := from
		for _, m := range messages {
			if m.Seq != last.seq+1 || m.ID <= last.id {
				f.t.Errorf("%s: behind %+v comes %+v", path, last, m)
			}
			last = place{m.ID, m.Seq}
		}
		if last.seq < least {
			f.t.Errorf("%s: it ends with %d, and %d had been answered before", path, last.seq, least)
		}
		known[group] = last
		c.succeeded.Add(1)
	}
}

// check compares what is stored with what was answered since the test began.
func (f *faultsPhase) check() {
	t, w := f.t, f.w
	t.Helper()
	var paths []string
	for _, group := range w.groups {
		paths = append(paths, fmt.Sprint("/v1/messages/group/", group))
	}
	for i := range faultsPeople {
		paths = append(paths, "/v1/messages/p2p/"+nodesPerson(i))
	}
	stored := map[string]nodesMessage{}
	for _, path := range paths {
		var chats [2][]nodesMessage
		for node, server := range w.nodes {
			nodesElsewhere(t, w.people[0], server.URL).Get(path).Want(200).Decode(&chats[node])
		}
		require.Equal(t, chats[0], chats[1], "%s: the nodes don't show the same", path)
		for i, m := range chats[0] {
			require.EqualValues(t, i+1, m.Seq, "%s: a gap", path)
			require.Equal(t, chats[0][0].ChatID, m.ChatID)
			require.True(t, i == 0 || chats[0][i-1].ID < m.ID, "%s: the ids are out of order", path)
			require.Zero(t, stored[m.Text], "%q is stored twice", m.Text)
			require.NotNil(t, w.sends[m.Text], "nobody has sent %q", m.Text)
			stored[m.Text] = m
		}
	}
	var again []*faultsSend
	storedOfLost, lost := 0, 0
	for _, m := range w.sends {
		found, ok := stored[m.text]
		switch {
		case m.answered:
			require.Equal(t, m.answer, found, "%q was answered and is not there as it was", m.text)
			require.Equal(t, m.key, found.ClientID)
			require.Equal(t, m.sender, found.SenderUsername)
			if m.failed {
				again = append(again, m)
			}
		case ok:
			require.Equal(t, m.sender, found.SenderUsername)
			require.Equal(t, m.key, found.ClientID)
		}
		if strings.HasPrefix(m.text, f.name+":") && m.failed && m.key == "" {
			lost++
			if ok {
				storedOfLost++
			}
		}
		require.True(t, m.answered || m.key == "", "%q was given up", m.text)
	}
	if f.storedOfLost != nil {
		f.storedOfLost(storedOfLost, lost)
	}
	// A key still gets its first answer, at either node.
	slices.SortFunc(again, func(a, b *faultsSend) int { return int(b.answer.ID - a.answer.ID) })
	for i, m := range again[:min(len(again), 20)] {
		person := slices.IndexFunc(w.people, func(c *frontdoor.Client) bool { return m.sender == nodesPerson(slices.Index(w.people, c)) })
		c := nodesElsewhere(t, w.people[person], w.nodes[i%2].URL)
		var answer nodesMessage
		c.Post("/v1/messages", nodesSend(t, m.group, m.to, "another text", m.key)).Want(200).Decode(&answer)
		require.Equal(t, m.answer, answer)
	}
}

// faultsProxy is a network that fails.
type faultsProxy struct {
	listener *net.TCPListener
	server   string
	carrying sync.WaitGroup

	mu       sync.Mutex
	links    map[*faultsLink]struct{}
	refusing bool
	hanging  chan struct{} // closed when it goes on; nil if it does not hang
	held     int           // of what has come while it hangs
	trap     *faultsTrap
	swallow  int // so many new connections, when the server has let them in
}

// faultsLink is a connection through the proxy.
type faultsLink struct {
	client, server *net.TCPConn
	cut            chan struct{}
	once           sync.Once

	// Both are guarded by the proxy.
	open      bool // the server has let the client in
	swallowed bool // nothing comes through any more, nor does it end
}

// faultsTrap cuts the connection that steps into it.
type faultsTrap struct {
	bytes    int  // so many are let through before, in either direction
	atCommit bool // instead, the first commit
	answer   bool // it is let through, and its answer is not
	sprung   atomic.Bool
}

func newFaultsProxy(t *testing.T, server string) *faultsProxy {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	p := &faultsProxy{listener: listener, server: server, links: map[*faultsLink]struct{}{}}
	p.carrying.Go(func() {
		for {
			client, err := listener.AcceptTCP()
			if err != nil {
				return // the test ends
			}
			p.carrying.Go(func() { p.carry(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.refuse(true)
		p.cutAll()
		p.carrying.Wait()
	})
	return p
}

// carry connects a client with the server until either is gone.
func (p *faultsProxy) carry(client *net.TCPConn) {
	l := &faultsLink{client: client, cut: make(chan struct{})}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		l.end(true)
		return
	}
	l.server = server.(*net.TCPConn)
	p.mu.Lock()
	refused := p.refusing
	if !refused {
		p.links[l] = struct{}{}
	}
	p.mu.Unlock()
	if refused {
		l.end(true)
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(l, l.server, client) })
	pumps.Go(func() { p.pump(l, client, l.server) })
	pumps.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// end closes both sides; with a reset, or in order.
func (l *faultsLink) end(reset bool) {
	l.once.Do(func() {
		close(l.cut)
		for _, conn := range []*net.TCPConn{l.client, l.server} {
			if conn == nil {
				continue
			}
			if reset {
				_ = conn.SetLinger(0) // then it closes in order, which will do
			}
			conn.Close()
		}
	})
}

func (p *faultsProxy) pump(l *faultsLink, to, from *net.TCPConn) {
	defer l.end(false)
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		hanging := p.hanging
		if hanging != nil {
			p.held++
		}
		p.mu.Unlock()
		if hanging != nil {
			select {
			case <-hanging:
			case <-l.cut:
				return
			}
		}
		if err != nil || !p.pass(l, to, buf[:n]) {
			return
		}
	}
}

// pass hands on what came, as far as no trap is in its way.
func (p *faultsProxy) pass(l *faultsLink, to *net.TCPConn, what []byte) bool {
	p.mu.Lock()
	if l.swallowed {
		p.mu.Unlock()
		return true
	}
	if to == l.client && !l.open && bytes.HasSuffix(what, []byte("Z\x00\x00\x00\x05I")) { // ReadyForQuery
		l.open = true
		if p.swallow > 0 {
			p.swallow--
			l.swallowed = true // but for this
		}
	}
	trap, through := p.trap, len(what)
	switch {
	case trap == nil:
	case !trap.atCommit && trap.bytes <= len(what):
		through = trap.bytes
	case !trap.atCommit:
		trap.bytes -= len(what)
		trap = nil
	case to != l.server || !bytes.Contains(what, []byte("commit\x00")):
		trap = nil
	case !trap.answer:
		through = 0
	}
	if trap != nil {
		p.trap = nil
	}
	p.mu.Unlock()
	_, err := to.Write(what[:through])
	if trap != nil {
		// After a reset the server would not read what has come before.
		l.end(!trap.answer)
		trap.sprung.Store(true)
	}
	return err == nil && trap == nil
}

// cutAll resets all connections.
func (p *faultsProxy) cutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end(true)
	}
}

// swallowNew swallows for ever what comes over so many new connections, as soon
// as the server has let the client in, and tells when it does so.
func (p *faultsProxy) swallowNew(n int) (done func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = n
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.swallow == 0
	}
}

// cutAfter resets a connection after so many more bytes, and tells when it has.
func (p *faultsProxy) cutAfter(n int) (done func() bool) { return p.set(&faultsTrap{bytes: n}) }

// cutAtCommit cuts the next connection that commits: before the commit, or
// before its answer.
func (p *faultsProxy) cutAtCommit(answer bool) (done func() bool) {
	return p.set(&faultsTrap{atCommit: true, answer: answer})
}

func (p *faultsProxy) set(trap *faultsTrap) (done func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = trap
	return trap.sprung.Load
}

// refuse has new connections reset, or no longer.
func (p *faultsProxy) refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
}

// hang swallows everything until it is released: then it comes through after
// all, as over a network that was out for a while.
func (p *faultsProxy) hang() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hanging := make(chan struct{})
	p.hanging, p.held = hanging, 0
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hanging = nil
		close(hanging)
	}
}

// holds tells whether something from so many connections waits for hang to be
// released.
func (p *faultsProxy) holds(connections int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held >= connections
}
