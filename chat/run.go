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

// Run does what is done behind the requests, until ctx ends: it puts messages
// into the search index, and removes what deleted chats hold. It looks when it is
// woken, and now and then. Several may run over one database, on one machine and on
// many.
func (s *Service) Run(ctx context.Context, wake <-chan struct{}) {
	idle, retry := gatherFor, time.Duration(0)
	told := "" // of what went wrong last, so as not to tell it each time
	for ctx.Err() == nil {
		begun := time.Now()
		more, err := s.work(ctx)
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
func (s *Service) work(ctx context.Context) (more bool, err error) {
	indexed, indexing := unpanicked(func() (bool, error) { return s.index(ctx) })
	if indexing != nil {
		indexing = fmt.Errorf("index messages: %w", indexing)
	}
	swept, sweeping := unpanicked(func() (bool, error) { return s.sweep(ctx) })
	if sweeping != nil {
		sweeping = fmt.Errorf("remove deleted chats: %w", sweeping)
	}
	return indexed || swept, errors.Join(indexing, sweeping)
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
