package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/caddymsg/messaging/store"
)

// How the work behind the requests waits: for more to come, so that one commit
// serves many; for what it is not told of, as other nodes' sends; and after it
// has failed.
const (
	gatherFor         = 50 * time.Millisecond
	idleFor           = 5 * time.Second
	retryIn, retryMax = time.Second, 30 * time.Second
)

// pruneIn is how long Run waits for events to become old enough, and for what is to be
// tidied.
const pruneIn = time.Minute

// Work says how [Service.Run] is to be done.
type Work struct {
	// EventRetention is how long events are kept in the log; 0 is for ever.
	EventRetention time.Duration
}

// Run does what is done behind the requests, until ctx ends: it puts messages
// into the search index, and removes what deleted chats hold, what identified those
// whose accounts were deleted, events that are too old, and what nobody can use any more.
// It looks when it is woken, and now and then. Several may run over one database, on one
// machine and on many.
func (s *Service) Run(ctx context.Context, wake <-chan struct{}, w Work) {
	prune := nowAndThen(func() (bool, error) {
		if w.EventRetention <= 0 {
			return false, nil
		}
		return s.prune(ctx, w.EventRetention)
	})
	tidy := nowAndThen(func() (bool, error) { return s.tidy(ctx) })
	idle, retry := gatherFor, time.Duration(0)
	told := "" // of what went wrong last, so as not to tell it each time
	for ctx.Err() == nil {
		begun := time.Now()
		more, err := s.work(ctx, prune, tidy)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if what, _, _ := strings.Cut(err.Error(), "\ngoroutine "); what != told {
				told = what
				s.log.LogAttrs(ctx, slog.LevelError, "work behind the requests: it waits until this has passed", slog.Any("error", err))
			}
			retry = min(max(retryIn, 2*retry), retryMax)
			if !sleep(ctx, retry) {
				return
			}
			continue
		}
		retry, told = 0, ""
		if more {
			idle = gatherFor
			// Where sends wait, they have half of the time.
			if s.store.Stats().Waiting > 0 && !sleep(ctx, time.Since(begun)) {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
			idle = gatherFor
			if !sleep(ctx, gatherFor) {
				return
			}
		case <-time.After(idle):
			// On PostgreSQL an event may be there some time after its commit, and
			// after it was told of: it looks soon, and then later and later.
			idle = min(2*idle, idleFor)
		}
	}
}

// Wakes tells whether an event is one that [Service.Run] should be woken for.
func Wakes(e store.Event) bool {
	return isIndexed(e) || e.Type == store.ChatDeleted
}

// work does some of what there is to do, and tells whether there may be more. What
// fails does not keep the rest from being done.
func (s *Service) work(ctx context.Context, prune, tidy func() (bool, error)) (more bool, err error) {
	indexed, indexing := unpanicked(func() (bool, error) { return s.index(ctx) })
	if indexing != nil {
		indexing = fmt.Errorf("index messages: %w", indexing)
	}
	swept, sweeping := unpanicked(func() (bool, error) { return s.sweep(ctx) })
	if sweeping != nil {
		sweeping = fmt.Errorf("remove deleted chats: %w", sweeping)
	}
	erased, erasing := unpanicked(func() (bool, error) { return s.erase(ctx) })
	if erasing != nil {
		erasing = fmt.Errorf("remove what identifies deleted accounts: %w", erasing)
	}
	pruned, pruning := unpanicked(prune)
	if pruning != nil {
		pruning = fmt.Errorf("remove old events: %w", pruning)
	}
	tidied, tidying := unpanicked(tidy)
	if tidying != nil {
		tidying = fmt.Errorf("remove what nobody can use any more: %w", tidying)
	}
	return indexed || swept || erased || pruned || tidied, errors.Join(indexing, sweeping, erasing, pruning, tidying)
}

// nowAndThen does something again at once while there may be more of it, and otherwise
// once in pruneIn.
func nowAndThen(do func() (more bool, err error)) func() (more bool, err error) {
	var next time.Time
	return func() (bool, error) {
		if time.Now().Before(next) {
			return false, nil
		}
		more, err := do()
		if err == nil && !more {
			next = time.Now().Add(pruneIn)
		}
		return more, err
	}
}

// prunedAtOnce is how many events are removed in an Update: no sender waits for
// more.
const prunedAtOnce = 500

// prune removes some of the events that are older than they are kept, and tells
// whether there may be more.
func (s *Service) prune(ctx context.Context, retention time.Duration) (more bool, err error) {
	before := s.now().Add(-retention)
	var removed int
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := passIrrelevant(tx, before); err != nil {
			return err
		}
		removed, err = tx.PruneEvents(before, prunedAtOnce)
		return err
	})
	return removed > 0, err
}

// tidiedAtOnce is how much of each kind is tidied in an Update: no sender waits for
// more.
const tidiedAtOnce = 500

// mailsKept is how long a mail waits where nobody tries to send it: longer than it is
// tried for where somebody does, who tells when it is given up.
const mailsKept = (72 + 4) * time.Hour

// tidy removes some of what has ended: accounts that have waited for their address to be
// verified for too long, tokens that came by mail, and mails that nobody sends. It tells
// whether there may be more.
func (s *Service) tidy(ctx context.Context) (more bool, err error) {
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		mails, err := tx.DeleteOldMails(now.Add(-mailsKept), tidiedAtOnce)
		if err != nil {
			return err
		}
		registrations, err := tx.DeleteExpiredRegistrations(now, tidiedAtOnce)
		if err != nil {
			return err
		}
		tokens, err := tx.DeleteExpiredOneTimeTokens(now, tidiedAtOnce)
		more = max(mails, registrations, tokens) == tidiedAtOnce
		return err
	})
	return more, err
}

// unpanicked makes an error of a panic: it must not end the web server.
func unpanicked(do func() (bool, error)) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
