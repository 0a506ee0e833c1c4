package caddymsg

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// backends are the databases in use, by their identity. They outlive a
// configuration: the next one takes its backend from here before the one
// before it gives it back.
var backends = caddy.NewUsagePool()

// backend is a database and what belongs to it, shared by all handlers that
// name it.
type backend struct {
	identity string // of the database
	hashing  *auth.HashQueue
	metrics  *metrics
	hub      *live.Hub
	wake     chan struct{} // what is done behind the requests

	mu     sync.Mutex
	users  int  // the pool, and every request that is being answered
	closed bool // no users are left
	store  *store.Store

	working sync.Mutex
	endWork func() // what is done behind the requests; it waits
}

func newBackend(identity string) *backend {
	b := &backend{identity: identity, hashing: auth.NewHashQueue(), users: 1, wake: make(chan struct{}, 1), endWork: func() {}}
	b.metrics = newMetrics(b)
	b.hub = live.NewHub(live.Observer{Closed: func(live.Reason) {}, Delivered: func(int) {}})
	return b
}

// open opens the database. If that has been done, it takes over what may change
// under way: the numbers of connections, and the password; and the log, because
// that of a configuration ends with it.
func (b *backend) open(ctx context.Context, opts store.Options, log *slog.Logger) (*store.Store, error) {
	s, opened, err := b.openOnce(ctx, opts)
	if err != nil {
		return nil, err
	}
	// What follows waits for the database, and so is not under the lock, which
	// requests take.
	if !opened {
		if err := s.Configure(ctx, opts); err != nil {
			return s, err
		}
	}
	rules := chat.New(s, log)
	b.hub.Use(rules, log)
	b.work(rules)
	return s, nil
}

// openOnce tells whether it has opened the database, which may have been open.
func (b *backend) openOnce(ctx context.Context, opts store.Options) (s *store.Store, opened bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, store.ErrUnavailable
	}
	if b.store == nil {
		opts.OnCommit, opts.OnBatch = b.committed, b.metrics.observeBatch
		if b.store, err = store.Open(ctx, opts); err != nil {
			b.store = nil
			return nil, false, err
		}
		opened = true
	}
	return b.store, opened, nil
}

// work does what is done behind the requests, with these rules in place of those
// before.
func (b *backend) work(rules *chat.Service) {
	b.working.Lock()
	defer b.working.Unlock()
	b.endWork()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { rules.Run(ctx, b.wake, chat.Work{}) })
	running.Go(func() { b.hub.Run(ctx) })
	b.endWork = func() {
		cancel()
		running.Wait()
	}
}

// committed is told the events of each commit.
func (b *backend) committed(events []store.Event) {
	b.metrics.countEvents(events)
	b.hub.Committed(events[len(events)-1].ID)
	if !slices.ContainsFunc(events, chat.Wakes) {
		return
	}
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// acquire keeps the database open until release. A request may go on after the
// configuration that it came in with has been cleaned up.
func (b *backend) acquire() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.users++
	return true
}

// Destruct is called when no configuration uses the backend any more.
func (b *backend) Destruct() error { return b.release() }

// release gives back what acquire gave. Whoever is last closes the database.
func (b *backend) release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users--
	if b.users > 0 {
		return nil
	}
	b.closed = true
	if b.store == nil {
		return nil
	}
	// Whoever opens it has a hold on it: nobody begins this anew.
	b.working.Lock()
	defer b.working.Unlock()
	b.endWork()
	if err := b.store.Close(); err != nil {
		return fmt.Errorf("close database %s: %w", b.identity, err)
	}
	return nil
}

// stats are of the store, or zero while it is not open.
func (b *backend) stats() store.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.store == nil || b.closed {
		return store.Stats{}
	}
	return b.store.Stats()
}
