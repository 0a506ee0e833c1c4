package live

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddymsg/messaging/chat"
)

const (
	// eventsAtOnce is how many events are read from the log at once. Between them,
	// connections come to write: they may not fill a queue.
	eventsAtOnce = maxQueue / 4
	// pollEvery bounds how late an event of another process is heard of, if
	// nobody tells of it.
	pollEvery = time.Second
	// On PostgreSQL an event may be listed some time after its commit: how long
	// to wait for one that is known of, first and at most.
	lagMin, lagMax = time.Millisecond, 100 * time.Millisecond
	// retryMax is the longest wait for a database that has failed.
	retryMax = 2 * time.Second
)

// Run follows the log whenever somebody is connected, and tells who is, until ctx
// ends. One at a time may run.
func (h *Hub) Run(ctx context.Context) {
	attended := make(chan struct{})
	go func() {
		defer close(attended)
		h.attend(ctx)
	}()
	defer func() { <-attended }()
	for {
		h.follow(ctx)
		select {
		case <-ctx.Done():
			return
		case <-h.joined:
		}
	}
}

// follow reads the log until nobody is connected.
func (h *Hub) follow(ctx context.Context) {
	var lag, retry time.Duration
	told := false // that the database does not answer
	for {
		log, epoch, position, ok := h.next()
		if !ok {
			return
		}
		feed, events, err := log.FeedAfter(ctx, position, eventsAtOnce)
		wait := pollEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !told {
				told = true
				h.logger.LogAttrs(ctx, slog.LevelError, "events can't be read: connections wait until this has passed", slog.Any("error", err))
			}
			retry = min(max(lagMax, 2*retry), retryMax)
			wait = retry
		case feed.Epoch != epoch, position > feed.Last, position < feed.Pruned:
			h.reset(feed)
			continue
		default:
			retry, told = 0, false
			for _, e := range events {
				position = e.ID
				h.dispatch(e)
				h.presence.narrow(e)
			}
			behind := h.known.Load() > position
			switch {
			case len(events) == eventsAtOnce, len(events) > 0 && behind:
				lag = 0
				continue
			case behind:
				lag = min(max(lagMin, 2*lag), lagMax)
				wait = lag
			default:
				lag = 0
			}
		}
		wake := h.wake
		if lag > 0 || retry > 0 {
			wake = nil // to be told of more makes nothing quicker
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next tells where to read on, unless nobody is connected.
func (h *Hub) next() (log Log, epoch string, position int64, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following = h.count > 0
	return h.log, h.epoch, h.position, h.following
}

// reset goes on with another log, in place of the one that there was: the database
// has become one that was behind, or what comes next has been removed for its age.
// Who is connected comes back, and is told. Nothing that was known of them counts
// for those who come.
func (h *Hub) reset(feed chat.Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch, h.position = feed.Epoch, feed.Last
	h.known.Store(0)
	spread := spreadOf(h.count)
	for _, u := range h.users {
		for _, c := range u.connections {
			c.Close(closing(Gap, 0, spread))
		}
	}
	clear(h.users)
	clear(h.rooms)
}
