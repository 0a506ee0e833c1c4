package live

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// spreadOver is over how long clients come back, for each that is connected: a
// thousand a second.
const spreadOver = time.Millisecond

// spreadOf is over how long so many come back, who are told at once.
func spreadOf(connections int) time.Duration {
	return max(time.Second, time.Duration(connections)*spreadOver)
}

// Refuse takes no new connections from now on.
func (h *Hub) Refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// leaveWithin is how long one may take to leave whose line has been cut.
const leaveWithin = 100 * time.Millisecond

// Drain takes no new connections, and ends those that there are, one after another
// and in no certain order, within a time; it returns when all have ended, or when
// ctx does, or when the time is over. Who has been told to go, and does not, is cut
// off before the end, if there is time to be told.
func (h *Hub) Drain(ctx context.Context, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	h.Refuse()
	h.mu.Lock()
	all := make([]*Connection, 0, h.count)
	for _, u := range h.users {
		all = append(all, u.connections...)
	}
	h.mu.Unlock()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	// The last ones need a moment, too: also those whose clients say nothing.
	over := max(0, min(within*4/5, within-closeWithin-leaveWithin))
	start := time.Now()
	spread := spreadOf(len(all))
	for i, c := range all {
		due := over * time.Duration(i) / time.Duration(len(all))
		if !pause(ctx, time.Until(start.Add(due))) {
			due = within
		}
		c.Close(closing(Restarting, within-due, spread))
	}
	for cut := over == 0; h.Connections() > 0 && pause(ctx, 5*time.Millisecond); {
		if !cut && time.Since(start) >= within-leaveWithin {
			cut = true
			for _, c := range all {
				if h.has(c) { // else its line may be another request's
					c.joined.Cut()
				}
			}
		}
	}
}

func (h *Hub) has(c *Connection) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(c.user.connections, c)
}

// Lag is how many events the hub knows to have been committed and has not handed
// on yet. It counts events that are nobody's here, too, and ids that were given to
// none.
func (h *Hub) Lag() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.following {
		return 0
	}
	return max(0, h.known.Load()-h.position)
}

// Connections counts them.
func (h *Hub) Connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// pause returns false if ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
