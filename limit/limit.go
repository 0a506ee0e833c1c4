// Package limit bounds how often something is done: by an account, and from an
// address. Each node remembers by itself what has been done, in bounded memory; what
// somebody could get around by asking several nodes is in the database besides. The
// arithmetic is the same in both places, and so it is ours.
package limit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Limiter holds what is done to its limits. It outlives configurations. Its methods
// may be called from many goroutines; nil has no limits.
type Limiter struct {
	store   *store.Store
	refused func(Name)
	seed    seed
	now     func() int64 // in microseconds: its own clock, which nobody sets

	mu     sync.Mutex
	tables map[Name]*table // of the limits that are on
}

// New makes a Limiter with the standard rates. What nodes share is in a database; refused,
// if it is set, is told of each refusal, by the limit.
func New(s *store.Store, refused func(Name)) *Limiter {
	if refused == nil {
		refused = func(Name) {}
	}
	began := time.Now()
	l := &Limiter{
		store: s, refused: refused, seed: seed{maphash.MakeSeed()},
		now:    func() int64 { return 1 + time.Since(began).Microseconds() }, // 0 says nothing
		tables: map[Name]*table{},
	}
	l.Configure(nil)
	return l
}

// Configure takes over rates; what is not named has its standard rate. A limit whose
// rate changes begins anew.
func (l *Limiter) Configure(rates map[Name]Rate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range Names() {
		rate, given := rates[name]
		if !given {
			rate = Standard(name)
		}
		switch before := l.tables[name]; {
		case rate == Rate{}:
			delete(l.tables, name)
		case before == nil || before.rate != rate:
			l.tables[name] = newTable(rate, maxBuckets, name.shared())
		}
	}
}

// Ask is for something that is limited.
type Ask struct {
	Limit Name
	// Key says whose it is. The empty one is nobody's, and has no limit.
	Key string
	// Events are how many it is; 0 is 1.
	Events int
	// Quiet says that nobody is told what is left, unless it is too little.
	Quiet bool
}

// State is what somebody has left of a limit.
type State struct {
	Limit Name
	Rate  Rate
	// Remaining is how many events are left now, and Reset how long it takes until
	// there are as many as there can be.
	Remaining int
	Reset     time.Duration
}

// ExceededError is the error of one event too many.
type ExceededError struct {
	Limit Name
	// RetryAfter is how long it takes until there is one left.
	RetryAfter time.Duration
}

// Error implements error.
func (e *ExceededError) Error() string {
	return fmt.Sprintf("the limit %s is reached: wait %s", e.Limit, e.RetryAfter)
}

// Taken is what was taken, for who may have to give it back.
type Taken struct {
	limiter *Limiter
	parts   []part
}

// part is what was taken of one limit.
type part struct {
	limit      Name
	table      *table
	id         uint64
	n          int
	at         int64     // of the limiter's clock
	wall       time.Time // the same moment
	overflowed bool
	quiet      bool
	key        []byte // in the database; nil, if it is not there
	// fullAt is what is known of a bucket that the table has no place for.
	fullAt int64
}

// Take takes what is asked for, all of it, or else nothing: then it returns an
// [ExceededError]. Other errors are the database's. What is left is told to whoever the
// context has for it (see [WithObserver]).
func (l *Limiter) Take(ctx context.Context, asks ...Ask) (Taken, error) {
	if l == nil {
		return Taken{}, nil
	}
	parts, left, err := l.takeHere(asks)
	tell(ctx, left)
	if err == nil {
		left, err = l.takeShared(ctx, parts)
		tell(ctx, left)
	}
	if exceeded := (*ExceededError)(nil); errors.As(err, &exceeded) {
		l.refused(exceeded.Limit)
	}
	if err != nil {
		return Taken{}, err
	}
	return Taken{l, parts}, nil
}

// takeHere takes from what this node remembers, and tells what is left.
func (l *Limiter) takeHere(asks []Ask) ([]part, []State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wall := l.now(), time.Now()
	parts := make([]part, 0, len(asks))
	var exceeded *ExceededError
	for _, ask := range asks {
		t := l.tables[ask.Limit]
		if t == nil || ask.Key == "" {
			continue
		}
		p := part{limit: ask.Limit, table: t, id: l.seed.id(ask.Key), n: max(1, ask.Events), at: now, wall: wall, quiet: ask.Quiet}
		if ask.Limit.shared() {
			p.key = storedKey(ask, t.rate)
		}
		fullAt := t.fullAt(p.id)
		if _, ok := t.rate.take(fullAt, now, p.n); !ok {
			// The one that takes longest: before that, there is no use in trying.
			if wait := t.rate.wait(fullAt, now, p.n); exceeded == nil || wait > exceeded.RetryAfter {
				exceeded = &ExceededError{ask.Limit, wait}
			}
		}
		parts = append(parts, p)
	}
	left := make([]State, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		if exceeded == nil {
			after, _ := p.table.rate.take(p.table.fullAt(p.id), now, p.n)
			p.overflowed, p.fullAt = p.table.set(p.id, after, now), after
		}
		if !p.quiet || exceeded != nil && exceeded.Limit == p.limit {
			left = append(left, p.state(now))
		}
	}
	if exceeded != nil {
		return nil, left, exceeded
	}
	return parts, left, nil
}

// takeShared takes from what the nodes share, and gives back what was taken here if
// that fails. It tells what is left.
func (l *Limiter) takeShared(ctx context.Context, parts []part) ([]State, error) {
	var takings []store.RateTaking
	var of []int // the parts
	for i := range parts {
		if p := &parts[i]; p.key != nil {
			takings = append(takings, store.RateTaking{
				Key: p.key, Cost: micros(int64(p.n) * p.table.rate.cost()), Room: micros(p.table.rate.room()),
			})
			of = append(of, i)
		}
	}
	if len(takings) == 0 {
		return nil, nil
	}
	// As of the moment that it was taken here: what is given back is measured from then.
	now := parts[0].wall
	fullAt, refused, err := l.takeStored(ctx, takings, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	here := l.now()
	if err != nil || refused >= 0 {
		for i := range parts {
			p := &parts[i]
			p.table.giveBack(p.id, p.overflowed, p.at, here, p.n)
		}
	}
	if err != nil {
		return nil, err
	}
	var left []State
	var exceeded *ExceededError
	for i, at := range fullAt {
		p := &parts[of[i]]
		if at.IsZero() {
			continue // it was not asked
		}
		// This node knows now what the others have taken, and need not ask for what is
		// refused anyway.
		known := p.at + at.Sub(now).Microseconds()
		if p.fullAt = known; known > p.table.fullAt(p.id) {
			p.overflowed = p.table.set(p.id, known, here)
		}
		if i == refused {
			exceeded = &ExceededError{p.limit, p.table.rate.wait(p.owedUntil(), here, p.n)}
		}
		if !p.quiet || i == refused {
			left = append(left, p.state(here))
		}
	}
	if exceeded != nil {
		return left, exceeded
	}
	return left, nil
}

// errRefused undoes an Update.
var errRefused = errors.New("refused")

// takeStored takes in the database, all or nothing. It returns when each bucket that
// was asked will be full, and which has refused, or -1.
func (l *Limiter) takeStored(ctx context.Context, takings []store.RateTaking, now time.Time) (fullAt []time.Time, refused int, err error) {
	err = l.store.Update(ctx, func(tx *store.Tx) error {
		fullAt, refused = make([]time.Time, len(takings)), -1
		for _, i := range store.RateOrder(takings) {
			var ok bool
			var err error
			if fullAt[i], ok, err = tx.TakeRate(takings[i], now); err != nil {
				return err
			}
			if !ok {
				refused = i
				return errRefused
			}
		}
		// Not sooner: what it locks is in no order, and others wait for it who have
		// something that this one would wait for.
		return tx.DeleteFullRates(now, swept)
	})
	if errors.Is(err, errRefused) {
		for i := range fullAt {
			if i != refused {
				fullAt[i] = time.Time{} // it was undone
			}
		}
		err = nil
	}
	return fullAt, refused, err
}

// swept is how many rows that say nothing are removed with each that is written.
const swept = 4

// GiveBack returns what was taken: it does not count. What has come back by itself
// meanwhile is not returned.
func (t Taken) GiveBack(ctx context.Context) error {
	l := t.limiter
	if l == nil || len(t.parts) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // it is not the fault of who waits no longer
	tell(ctx, l.giveBackHere(t.parts))
	var returns []store.RateTaking
	now := time.Now()
	for _, p := range t.parts {
		if p.key == nil {
			continue
		}
		left := int64(p.n)*p.table.rate.cost() - now.Sub(p.wall).Microseconds()
		if left > 0 {
			returns = append(returns, store.RateTaking{Key: p.key, Cost: micros(left)})
		}
	}
	if len(returns) == 0 {
		return nil
	}
	err := l.store.Update(ctx, func(tx *store.Tx) error {
		for _, i := range store.RateOrder(returns) {
			if err := tx.ReturnRate(returns[i], now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("give back what a limit counts: %w", err)
	}
	return nil
}

func (l *Limiter) giveBackHere(parts []part) []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	left := make([]State, 0, len(parts))
	for _, p := range parts {
		p.table.giveBack(p.id, p.overflowed, p.at, now, p.n)
		p.fullAt = p.table.rate.giveBack(p.fullAt, p.at, now, p.n)
		if !p.quiet {
			left = append(left, p.state(now))
		}
	}
	return left
}

// state is what is left. It is called with the limiter's lock held.
func (p part) state(now int64) State {
	rate, owed := p.table.rate, max(0, p.owedUntil()-now)
	return State{
		Limit: p.limit, Rate: rate,
		Remaining: int(max(0, rate.room()-owed) / rate.cost()), Reset: micros(owed),
	}
}

// owedUntil is when its bucket will be full. It is called with the limiter's lock held.
func (p part) owedUntil() int64 {
	if p.table.stored && p.table.buckets[p.id] == nil {
		return p.fullAt
	}
	return p.table.fullAt(p.id)
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// storedKey is what the database knows a bucket by. It does not say whose it is; who has
// a list of addresses or usernames can try them. Another rate is another bucket: what is owed to one says nothing of the other.
func storedKey(ask Ask, rate Rate) []byte {
	sum := sha256.Sum256([]byte(string(ask.Limit) + "\x00" + rate.String() + "\x00" + ask.Key))
	return sum[:]
}
