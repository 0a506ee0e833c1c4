package bus_test

import (
	"bytes"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/bus"
)

// patience is how long something may take that is awaited.
const patience = time.Minute

// node is one that takes part in a bus.
type node struct {
	bus.Bus
	tb testing.TB

	mu     sync.Mutex
	heard  []bus.Message
	inside int // of receive
	most   int
	ended  bool
	late   int // messages after Close
	log    bytes.Buffer
}

// newNode makes a node of a bus that open opens. It is closed with the test.
func newNode(tb testing.TB, open func(receive func(bus.Message), log *slog.Logger) (bus.Bus, error)) *node {
	tb.Helper()
	n := &node{tb: tb}
	b, err := open(n.receive, slog.New(slog.NewTextHandler(writer{n}, nil)))
	require.NoError(tb, err)
	n.Bus = b
	tb.Cleanup(func() {
		n.close()
		if tb.Failed() {
			tb.Logf("log of a node:\n%s", n.logged())
		}
	})
	return n
}

// writer lets the log be read while it is written.
type writer struct{ n *node }

func (w writer) Write(p []byte) (int, error) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.log.Write(p)
}

func (n *node) receive(m bus.Message) {
	n.mu.Lock()
	n.inside++
	n.most = max(n.most, n.inside)
	n.heard = append(n.heard, m)
	if n.ended {
		n.late++
	}
	n.mu.Unlock()
	runtime.Gosched()
	n.mu.Lock()
	n.inside--
	n.mu.Unlock()
}

// close closes the bus, and looks whether it has kept to its contract.
func (n *node) close() {
	n.tb.Helper()
	n.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	require.False(n.tb, n.Healthy())
	require.Zero(n.tb, n.inside, "it still receives")
	require.LessOrEqual(n.tb, n.most, 1, "it has received from several goroutines")
	require.Zero(n.tb, n.late, "it has received after it was closed")
	n.ended = true
}

func (n *node) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// messages are the data of what has been heard of a kind.
func (n *node) messages(kind string) (data []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.heard {
		if m.Kind == kind {
			data = append(data, string(m.Data))
		}
	}
	return data
}

// has tells whether a message was heard.
func (n *node) has(kind, data string) bool { return slices.Contains(n.messages(kind), data) }

func (n *node) awaitHealth(healthy bool) {
	n.tb.Helper()
	await(n.tb, func() bool { return n.Healthy() == healthy })
}

// await polls until something is so.
func await(tb testing.TB, so func() bool) {
	tb.Helper()
	require.Eventually(tb, so, patience, time.Millisecond)
}

// talk has one say something until the others hear it: it may take a while until
// the servers have told each other who listens.
func talk(tb testing.TB, from *node, kind, data string, to ...*node) {
	tb.Helper()
	await(tb, func() bool {
		from.Publish(kind, []byte(data))
		return !slices.ContainsFunc(to, func(n *node) bool { return !n.has(kind, data) })
	})
	require.False(tb, from.has(kind, data), "its own message has come back")
}

// goroutines are those that a bus has started.
func goroutines() (found []string) {
	all := make([]byte, 1<<22)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "nats-io/nats.go.") || strings.Contains(stack, "messaging/bus.(") ||
			strings.Contains(stack, "store.(*postgres).listen") {
			found = append(found, stack)
		}
	}
	return found
}

// noGoroutines waits until none is left.
func noGoroutines(tb testing.TB) {
	tb.Helper()
	// Those of the library end by themselves, when they are told to.
	deadline := time.Now().Add(patience)
	for len(goroutines()) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	require.Empty(tb, goroutines())
}

func TestNone(t *testing.T) {
	var b bus.Bus = bus.None{}
	b.Publish(bus.Log, []byte("1"))
	require.False(t, b.Carries(bus.Log))
	require.True(t, b.Healthy())
	b.Close()
}
