package bus

import (
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstPause and lastPause are how long to wait before another attempt to
	// reach the outside, at first and in the long run.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// line is what the ways to the outside have in common: they are opened again
// whenever they are lost.
type line struct {
	sender  string // this node, in its messages
	receive func(Message)
	log     *slog.Logger
	outbox  *outbox
	open    atomic.Bool

	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newLine(receive func(Message), log *slog.Logger) *line {
	return &line{sender: rand.Text(), receive: receive, log: log, outbox: newOutbox()}
}

// start runs functions until Close.
func (l *line) start(functions ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for _, run := range functions {
		l.running.Go(func() { run(ctx) })
	}
}

// Publish leaves a message to be sent.
func (l *line) Publish(kind string, data []byte) { l.outbox.add(Message{Kind: kind, Data: data}) }

// Healthy tells whether the line is open.
func (l *line) Healthy() bool { return l.open.Load() }

// Close ends what runs, and waits for it.
func (l *line) Close() {
	l.cancel()
	l.running.Wait()
}

// opened is called when messages of others come in from now on.
func (l *line) opened(ctx context.Context) {
	l.open.Store(true)
	l.log.InfoContext(ctx, "bus connected")
	l.receive(Message{Kind: Log}) // some may have been lost
}

// keepOpen calls connect, which returns when the line is lost, again and again,
// until ctx ends.
func (l *line) keepOpen(ctx context.Context, connect func(context.Context) error) {
	pause := firstPause
	var told time.Time
	for ctx.Err() == nil {
		began := time.Now()
		err := connect(ctx)
		wasOpen := l.open.Swap(false)
		if ctx.Err() != nil {
			return
		}
		if wasOpen && time.Since(began) > lastPause { // and not lost as soon as it was open
			pause, told = firstPause, time.Time{}
		}
		if time.Since(told) > time.Minute { // and not with each attempt
			l.log.WarnContext(ctx, "bus not connected; it is tried again", "error", err)
			told = time.Now()
		}
		wait(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}

// wait waits for a random time up to a longest one: not all nodes come at once.
func wait(ctx context.Context, longest time.Duration) {
	timer := time.NewTimer(longest/2 + mathrand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// envelope is how data is sent.
func (l *line) envelope(data []byte) []byte {
	return append([]byte(l.sender+" "), data...)
}

// deliver hands on what has come in, unless this node has sent it.
func (l *line) deliver(kind, envelope string) {
	sender, data, ok := strings.Cut(envelope, " ")
	if !ok || sender == l.sender {
		return
	}
	l.receive(Message{Kind: kind, Data: []byte(data)})
}
