package caddymsg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
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
	basics   *auth.Basics
	metrics  *metrics
	hub      *live.Hub
	bus      atomic.Pointer[openedBus] // nil until it is open
	log      *slog.Logger              // of the configuration
	moveLog  func(*slog.Logger)
	wake     chan struct{}                // what is done behind the requests
	mailing  atomic.Pointer[auth.Mailing] // nil: no mails are sent
	wakeMail chan struct{}

	starting sync.Mutex // held to open it, and to change its options

	mu        sync.Mutex
	users     int  // the pool, every request that is being answered, and every open connection
	closed    bool // no users are left
	store     *store.Store
	rules     *chat.Service   // over the store
	limits    *limit.Limiter  // of what they are asked
	following *task           // the hub; as long as the store is open
	work      *task           // what is done behind the requests
	mails     *task           // what sends mails
	options   *backendOptions // in effect; nil until it is open
}

// backendOptions are what the handlers of a configuration that share a backend
// should agree on: the last one's count.
type backendOptions struct {
	store         store.Options
	bus           bus.NATSOptions // without servers, PostgreSQL itself is the bus
	mail          mailOptions
	shutdownDelay time.Duration
	// eventRetention is how long events are kept; 0 is for ever.
	eventRetention time.Duration
	rates          map[limit.Name]limit.Rate
	admins         []string     // of all the handlers
	log            *slog.Logger // ends with the configuration
}

func newBackend(identity string) *backend {
	b := &backend{
		identity: identity, hashing: auth.NewHashQueue(), basics: auth.NewBasics(), users: 1,
		wake: make(chan struct{}, 1), wakeMail: make(chan struct{}, 1),
	}
	b.log, b.moveLog = newMovingLog()
	b.hub = live.NewHub(live.Observer{
		Joined: b.joined, Left: b.left,
		Closed:    func(reason live.Reason) { b.metrics.closings.WithLabelValues(string(reason)).Inc() },
		Delivered: func(connections int) { b.metrics.delivered.Add(float64(connections)) },
	}, b.log)
	b.metrics = newMetrics(b)
	return b
}

// open opens the database. If it is open, a configuration uses it that may go on:
// the options are only checked, and takeOver puts them into effect. Whoever calls it
// has a hold on the backend.
func (b *backend) open(ctx context.Context, opts *backendOptions) error {
	b.starting.Lock()
	defer b.starting.Unlock()
	switch b.inEffect() {
	case opts: // another handler of the configuration has opened it
		return nil
	case nil:
		if err := b.openStore(ctx, opts.store); err != nil {
			return err
		}
		return b.apply(ctx, opts)
	default:
		return b.store.Check(ctx, opts.store)
	}
}

// takeOver puts options that open has checked into effect, when the configuration
// before can't come back any more.
func (b *backend) takeOver(ctx context.Context, opts *backendOptions) error {
	b.starting.Lock()
	defer b.starting.Unlock()
	if b.inEffect() == opts {
		return nil
	}
	return errors.Join(b.store.Configure(opts.store), b.apply(ctx, opts))
}

func (b *backend) openStore(ctx context.Context, opts store.Options) error {
	opts.OnCommit, opts.OnBatch = b.committed, b.metrics.observeBatch
	opened, err := store.Open(ctx, opts)
	if err != nil {
		return err
	}
	limits := limit.New(opened, func(name limit.Name) { b.metrics.limited.WithLabelValues(string(name)).Inc() })
	rules := chat.New(opened, b.log)
	rules.Limit(limits)
	b.hub.Use(rules)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store, b.rules, b.limits = opened, rules, limits
	b.following = begin(b.hub.Run)
	return nil
}

// apply does what it can, if something of it fails. It waits for the database, and
// so is not under the lock, which requests take.
func (b *backend) apply(ctx context.Context, opts *backendOptions) error {
	b.moveLog(opts.log)
	b.limits.Configure(opts.rates)
	err := errors.Join(b.openBus(ctx, opts), b.grantAdmin(ctx, opts.admins))
	b.work.end()
	b.mails.end()
	mails := b.beginMailing(ctx, opts.mail)
	work := begin(func(ctx context.Context) { b.rules.Run(ctx, b.wake, chat.Work{EventRetention: opts.eventRetention}) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.work, b.mails, b.options = work, mails, opts
	return err
}

func (b *backend) inEffect() *backendOptions {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.options
}

// grantAdmin makes administrators of the accounts that the configuration names.
func (b *backend) grantAdmin(ctx context.Context, usernames []string) error {
	missing, err := b.rules.GrantAdmin(ctx, chat.Operator("configuration"), usernames)
	for _, name := range missing {
		b.log.WarnContext(ctx, "no account of this name to make an administrator of; "+
			"register it, then run caddy reload --force", "username", name)
	}
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// committed is told the events of each commit.
func (b *backend) committed(events []store.Event) {
	b.metrics.countEvents(events)
	last := events[len(events)-1].ID
	b.hub.Committed(last)
	if to := b.bus.Load(); to != nil {
		to.Publish(bus.Log, strconv.AppendInt(nil, last, 10))
	}
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

// joined is told of each connection: it keeps the database open, and goes on when
// the request that it began as has been answered.
func (b *backend) joined(transport string) {
	b.metrics.live.WithLabelValues(transport).Inc()
	b.acquire() // the request has a hold on it: it is not closed
}

func (b *backend) left(transport string) {
	b.metrics.live.WithLabelValues(transport).Dec()
	if err := b.release(); err != nil {
		b.log.Error("release database", "error", err)
	}
}

// Destruct is called when no configuration uses the backend any more. Requests go
// on; connections are told to come back, to whoever then serves them.
func (b *backend) Destruct() error {
	b.hub.Refuse()
	go b.drain() // no owner: the connections have a hold on the backend
	return b.release()
}

// drain ends the connections, within the delay. Then it ends the hub, whatever
// connections remain: it tells the other nodes that it goes, and notes when its users
// were last seen, while there is still time.
func (b *backend) drain() {
	b.mu.Lock()
	opts, following := b.options, b.following
	b.mu.Unlock()
	if opts == nil {
		return
	}
	b.hub.Drain(context.Background(), opts.shutdownDelay)
	following.end()
}

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
	b.work.end()
	b.mails.end()
	b.following.end()
	if opened := b.bus.Load(); opened != nil {
		opened.Close()
	}
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

// task is something that goes on until it is ended. nil is none.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func begin(do func(context.Context)) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{cancel, make(chan struct{})}
	go func() {
		defer close(t.done)
		do(ctx)
	}()
	return t
}

// end returns when it has ended.
func (t *task) end() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}
