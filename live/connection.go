package live

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/caddymsg/messaging/chat"
)

// How much waits for a connection, in events. The events themselves are shared by
// all who wait for them.
const (
	maxQueue = 256
	// maxQueueEphemeral is how much may wait if what is not in the log is to be
	// added.
	maxQueueEphemeral = maxQueue / 2
)

// Connection is one of somebody's open connections, of whatever transport. The
// transport calls [Connection.Start], then [Connection.Take] whenever it is
// notified, and [Connection.Leave] at the end.
type Connection struct {
	hub     *Hub
	user    *user
	joined  Joining
	network string    // empty, if it is unknown
	ends    time.Time // for its age

	mu       sync.Mutex
	queue    []*Event
	position int64    // in the log: what is up to it has been queued, or is none of its
	live     bool     // it gets what happens; before, what it missed
	started  bool     // the transport may be notified
	notified bool     // and has been, and has not taken all since
	closing  *Closing // it gets nothing any more
	// renews is when the access token ends that it came by, if it is not refreshed until
	// then; or a session that is not extended by its use. Zero is never.
	renews time.Time

	// Under the lock of the hub's presence.
	present bool            // it counts
	watches map[int64]known // whom, and what it was told of them last
}

// Joining is who connects.
type Joining struct {
	Caller  chat.Caller
	Address netip.Addr
	// ChatID is the one chat that it hears of as things happen; 0 is all. What was missed
	// since a cursor is not looked through for it.
	ChatID int64
	// Transport names the kind of connection, for the metrics.
	Transport string
	// Notify is called when there is something to take, and not again before all
	// has been taken. It must not block. It may be called before Join returns, if
	// the connection is closed by then.
	Notify func()
	// Cut cuts the connection off, if its client has been told to go and does not.
	// It may be called from whatever goroutine, also when the connection has left. A
	// transport that has no need of it has none.
	Cut func()
}

// Caller is who is connected. The names are those at the time of connecting.
func (c *Connection) Caller() chat.Caller { return c.joined.Caller }

// Take returns what has come since the last call, in order, or how the
// connection ends. When it returns neither, Notify will be called again.
func (c *Connection) Take() ([]*Event, *Closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return nil, c.closing
	}
	events := c.queue
	c.queue = nil
	c.notified = len(events) > 0
	return events, nil
}

// Cursor is where the log goes on for a client that has been told all that Take has
// returned: there may have been nothing for it for long. It is empty if there is
// something to take.
func (c *Connection) Cursor() string {
	c.hub.mu.Lock() // what the hub has passed has been queued then
	defer c.hub.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil || !c.started || len(c.queue) > 0 {
		return ""
	}
	return c.cursor()
}

// cursor is behind all that has been queued. It is called with both locks held.
func (c *Connection) cursor() string {
	return formatCursor(c.hub.epoch, max(c.position, c.hub.position))
}

// Close ends the connection: the transport is notified, even before Start has
// returned, and takes the closing.
func (c *Connection) Close(closing Closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(closing)
}

func (c *Connection) close(closing Closing) {
	if c.closing != nil {
		return
	}
	c.closing, c.queue = &closing, nil
	c.hub.observe.Closed(closing.Reason)
	c.started = true // also if it is still told what it missed
	c.notify()
}

// Ended tells that it has been closed: what its client still asks for is not to be
// done.
func (c *Connection) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil
}

// notify is called with the lock held.
func (c *Connection) notify() {
	if c.started && !c.notified {
		c.notified = true
		c.joined.Notify()
	}
}

// push queues an event of the log, unless the connection reads it there. It never
// blocks.
func (c *Connection) push(e *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing != nil, !c.live, e.ID <= c.position, !c.hears(e):
		return
	case len(c.queue) >= maxQueue:
		c.close(closing(Slow, 0, time.Second))
		return
	}
	c.position = e.ID
	c.queue = append(c.queue, e)
	c.notify()
}

// hears tells whether an event is one of those that the connection is for.
func (c *Connection) hears(e *Event) bool { return c.joined.ChatID == 0 || c.joined.ChatID == e.ChatID }

// pushEphemeral queues what is not in the log, also for a connection that is still
// told what it missed. It never blocks. It returns false if there is no room, and
// the connection goes on.
func (c *Connection) pushEphemeral(e *Event) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil || !c.hears(e) {
		return true // nobody waits for it
	}
	if len(c.queue) >= maxQueueEphemeral {
		return false
	}
	c.queue = append(c.queue, e)
	c.notify()
	return true
}

// Check ends the connection if it is too old, or if the access token that it came by
// has ended and was not refreshed. The transport calls it with each heartbeat.
func (c *Connection) Check(ctx context.Context) {
	if c.checkAge() {
		_, _ = c.Authenticate(ctx) // which ends it, if that is so; if it can't be found out, the next one may
	}
}

// checkAge tells whether it has to be asked for the session again.
func (c *Connection) checkAge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.After(c.ends) {
		c.close(closing(Old, 0, time.Second))
	}
	return c.closing == nil && !c.renews.IsZero() && !now.Before(c.renews)
}

// Authenticate finds out who the caller is now: what they may do, and what they are
// called, may have changed since they connected. If their session or its access token
// has ended it returns Unauthenticated, and ends the connection.
func (c *Connection) Authenticate(ctx context.Context) (chat.Caller, error) {
	log, _ := c.hub.state()
	caller, end, err := log.Session(ctx, c.joined.Caller.SessionID)
	caller.Address = c.joined.Caller.Address
	c.mu.Lock()
	defer c.mu.Unlock()
	if refusal := (*chat.Error)(nil); errors.As(err, &refusal) && refusal.Kind == chat.Unauthenticated {
		if refusal.Code == chat.TokenExpired {
			c.close(closing(Old, 0, time.Second)) // with another token
		} else {
			c.close(Closing{Reason: SessionEnded})
		}
	}
	if err != nil {
		return caller, err
	}
	if !end.Slides {
		c.renews = end.At
		return caller, nil
	}
	// To connect is to use a session, which moves its end: who is connected comes back
	// in time for that.
	if half := time.Now().Add(time.Until(end.At) / 2); half.Before(c.ends) {
		c.ends = half
	}
	return caller, nil
}

// Heartbeat queues a sign of life. Its cursor is behind all that has been queued
// before: somebody to whom nothing happens does not come back with an old one.
func (c *Connection) Heartbeat() {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil || !c.started || len(c.queue) >= maxQueueEphemeral {
		return
	}
	c.queue = append(c.queue, &Event{
		Event:  chat.Event{Type: Heartbeat, At: time.Now()},
		Cursor: c.cursor(),
	})
	c.notify()
}

// follows tells whether it gets what happens: it is not told what it missed.
func (c *Connection) follows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

// start lets the transport be notified.
func (c *Connection) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = true
	if len(c.queue) > 0 || c.closing != nil {
		c.notify()
	}
}

// Leave ends it in the hub. The transport calls it once, when it has ended.
func (c *Connection) Leave() { c.hub.leave(c) }
