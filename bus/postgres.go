package bus

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddymsg/messaging/store"
)

// notifyPause is the least time between two notifications: each is a commit, and
// wakes up every session that listens.
const notifyPause = 5 * time.Millisecond

// postgresBus is a channel of the database itself.
type postgresBus struct {
	*line
	store   *store.Store
	channel string
}

// OpenPostgres makes a bus of a PostgreSQL that the nodes share. It carries messages
// of the kind [Log] alone. Messages of others are handed to receive by one goroutine,
// one after another; it must not block. It is to be closed before the store.
func OpenPostgres(s *store.Store, channel string, receive func(Message), log *slog.Logger) Bus {
	b := &postgresBus{newLine(receive, log), s, channel}
	b.start(func(ctx context.Context) { b.keepOpen(ctx, b.listen) }, b.notify)
	return b
}

// Carries tells that wake-ups get there. Who is typing is not worth a commit.
func (b *postgresBus) Carries(kind string) bool { return kind == Log }

// Publish leaves a message to be sent.
func (b *postgresBus) Publish(kind string, data []byte) {
	if b.Carries(kind) {
		b.line.Publish(kind, data)
	}
}

// listen returns when the connection is lost, with the reason.
func (b *postgresBus) listen(ctx context.Context) error {
	return b.store.Listen(ctx, b.channel, func(payload string) {
		if payload == "" {
			b.opened(ctx)
			return
		}
		b.deliver(Log, payload)
	})
}

// notify sends what is published. A commit comes before its notification, which
// therefore may be late, but never too early.
func (b *postgresBus) notify(ctx context.Context) {
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.outbox.wake:
		}
		for _, m := range b.outbox.take() {
			err := b.store.Notify(ctx, b.channel, string(b.envelope(m.Data)))
			if err == nil {
				failed = false
				continue
			}
			if !failed && ctx.Err() == nil {
				b.log.WarnContext(ctx, "other nodes are not notified; it is tried again", "error", err)
			}
			failed = true
			b.outbox.add(m)
			wait(ctx, firstPause)
		}
		wait(ctx, notifyPause)
	}
}
