package live

import (
	"context"
	"time"

	"github.com/caddymsg/messaging/chat"
)

const (
	// maxMissed is how many events a connection is given of what it missed: with
	// more, to fetch what there is now is quicker.
	maxMissed = 10_000
	// missedAtOnce is how many of them are read at once.
	missedAtOnce = 64
)

// Resync is why a client has to fetch anew what it wants to know: what it missed
// can't be told.
type Resync string

// The reasons for it.
const (
	OtherEpoch Resync = "epoch"   // the cursor is of another log, or none
	Expired    Resync = "expired" // what came behind it has been removed for its age
	TooFar     Resync = "too_far" // there is more than is worth telling one by one
)

// Hello is where a connection begins.
type Hello struct {
	// Cursor is where the log goes on.
	Cursor string
	// Resync says that this is not where the client was; or it is empty.
	Resync Resync
	At     time.Time
}

// Start tells the client what it missed since a cursor, and has the connection
// follow from there, without a gap and without telling anything twice. With no
// cursor it follows from now on. hello and then emit are called in turn, and may
// block; Start returns their errors, and those of the database.
func (c *Connection) Start(ctx context.Context, cursor string, hello func(Hello) error, emit func([]*Event) error) error {
	log, _ := c.hub.state()
	feed, from, ids, resync, err := c.missed(ctx, log, cursor)
	if err != nil {
		return err
	}
	if epoch, _ := c.hub.place(); feed.Epoch != epoch {
		// The database has become another one, of which the hub has yet to hear: it can
		// follow nothing of that. The client keeps its cursor, or gets one of the new.
		if cursor == "" || resync != "" {
			cursor = formatCursor(feed.Epoch, from)
		}
		if err := hello(Hello{Cursor: cursor, Resync: resync, At: time.Now()}); err != nil {
			return err
		}
		c.closeForGap()
		return nil
	}
	if cursor == "" || resync != "" {
		// It follows from now on, and the hello goes first: it is not notified.
		// What has been committed before is none of its, also where the hub has yet
		// to come to it.
		epoch, now := c.hub.follows(c, from)
		if err := hello(Hello{Cursor: formatCursor(epoch, max(from, now)), Resync: resync, At: time.Now()}); err != nil {
			return err
		}
		c.start()
		return nil
	}
	if err := hello(Hello{Cursor: cursor, At: time.Now()}); err != nil {
		return err
	}
	epoch, upTo := feed.Epoch, from
	for following := false; ; {
		if err := c.catchUp(ctx, log, epoch, ids, emit); err != nil {
			return err
		}
		all := len(ids) < maxMissed
		if all {
			from = max(from, upTo)
		} else {
			from = ids[len(ids)-1]
		}
		switch {
		case c.Ended(), following && all:
			c.start()
			return nil
		case following:
		case len(ids) <= missedAtOnce:
			following = true
			_, upTo = c.hub.follows(c, from)
		default:
			// As long as there is much, it is not yet in anybody's way: what comes
			// meanwhile is read from the log, too, and not queued.
			_, upTo = c.hub.place()
		}
		if ids = nil; from < upTo {
			if feed, ids, err = log.Missed(ctx, c.user.id, from, upTo, maxMissed); err != nil {
				return err
			}
			if feed.Epoch != epoch || from < feed.Pruned {
				c.closeForGap()
				return nil
			}
		}
	}
}

// missed finds out what came behind a cursor, and up to where in the log that is;
// or why it can't be told, and where the log ends. Behind no cursor, nothing came.
// The feed is of the moment when that was found out.
func (c *Connection) missed(ctx context.Context, log Log, cursor string) (feed chat.Feed, upTo int64, ids []int64, resync Resync, err error) {
	epoch, from, ok := parseCursor(cursor)
	_, upTo = c.hub.place()
	if ok && from < upTo {
		feed, ids, err = log.Missed(ctx, c.user.id, from, upTo, maxMissed+1)
	} else {
		feed, err = log.Feed(ctx)
	}
	switch {
	case err != nil:
		return feed, 0, nil, "", err
	case cursor == "":
		return feed, feed.Last, nil, "", nil
	case !ok, epoch != feed.Epoch, from > feed.Last:
		return feed, feed.Last, nil, OtherEpoch, nil
	case from < feed.Pruned:
		return feed, feed.Last, nil, Expired, nil
	case len(ids) > maxMissed:
		return feed, feed.Last, nil, TooFar, nil
	}
	return feed, max(from, upTo), ids, "", nil
}

// catchUp emits events of the log, by their ids, as long as the connection has not
// ended. It ends, if some have been removed for their age since they were listed.
func (c *Connection) catchUp(ctx context.Context, log Log, epoch string, ids []int64, emit func([]*Event) error) error {
	for len(ids) > 0 && !c.Ended() {
		part := ids[:min(len(ids), missedAtOnce)]
		ids = ids[len(part):]
		events, err := log.EventsByID(ctx, part)
		if err != nil {
			return err
		}
		if len(events) < len(part) {
			c.closeForGap()
			return nil
		}
		told := make([]*Event, len(events))
		for i, e := range events {
			told[i] = &Event{Event: e, Cursor: formatCursor(epoch, e.ID)}
		}
		if err := emit(told); err != nil {
			return err
		}
	}
	return nil
}

// closeForGap ends a connection to which nothing more can be told in order. What
// happened to it may have happened to all.
func (c *Connection) closeForGap() {
	c.Close(closing(Gap, 0, spreadOf(c.hub.Connections())))
}

// place is how far the hub is in the log.
func (h *Hub) place() (epoch string, position int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.epoch, h.position
}

// follows has a connection get what happens from now on, but for what is up to a
// place in the log: it may be ahead of the hub, if it comes from another node.
func (h *Hub) follows(c *Connection, from int64) (epoch string, position int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live, c.position = true, from
	return h.epoch, h.position
}
