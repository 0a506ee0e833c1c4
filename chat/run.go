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

// pruneIn is how long Run waits for events to become old enough.
const pruneIn = time.Minute

// Work says how [Service.Run] is to be done.
type Work struct {
	// EventRetention is how long events are kept in the log; 0 is for ever.
	EventRetention time.Duration
}

// Run does what is done behind the requests, until ctx ends: it puts messages
// into the search index, and removes what deleted chats hold, what identified those
// whose accounts were deleted, and events that are too old. It looks when it is woken, and now and then. Several may run over one database, on one machine and on
// many.
func (s *Service) Run(ctx context.Context, wake <-chan struct{}, w Work) {
	var pruning time.Time // when to look for old events again
	prune := func() (bool, error) {
		if w.EventRetention <= 0 || time.Now().Before(pruning) {
			return false, nil
		}
		more, err := s.prune(ctx, w.EventRetention)
		if err == nil && !more {
			pruning = time.Now().Add(pruneIn)
		}
		return more, err
	}
	idle, retry := gatherFor, time.Duration(0)
	told := "" // of what went wrong last, so as not to tell it each time
	for ctx.Err() == nil {
		begun := time.Now()
		more, err := s.work(ctx, prune)
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
func (s *Service) work(ctx context.Context, prune func() (bool, error)) (more bool, err error) {
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
	return indexed || swept || erased || pruned, errors.Join(indexing, sweeping, erasing, pruning)
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
