package live

import (
	"context"
	"sync"
	"time"

	"github.com/caddymsg/messaging/chat"
)

const (
	// typingEvery is how often it is told that somebody is typing in a chat.
	typingEvery = 3 * time.Second
	// maxTyping is how much of that is told at once.
	maxTyping = 1 << 16
)

// typing is who was told to be typing just now.
type typing struct {
	mu     sync.Mutex
	passed map[typist]time.Time
	order  []typist // in that of time
}

func newTyping() *typing { return &typing{passed: map[typist]time.Time{}} }

// recent tells whether that has been told just now.
func (t *typing) recent(who typist, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(now)
	_, recent := t.passed[who]
	return recent
}

// pass tells whether to tell it, and takes it that it is told.
func (t *typing) pass(who typist, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(now)
	if _, recent := t.passed[who]; recent || len(t.order) >= maxTyping {
		return false
	}
	t.passed[who] = now
	t.order = append(t.order, who)
	return true
}

func (t *typing) clear(now time.Time) {
	for len(t.order) > 0 && now.Sub(t.passed[t.order[0]]) >= typingEvery {
		delete(t.passed, t.order[0])
		t.order = t.order[1:]
	}
	if len(t.order) == 0 {
		t.order = nil
	}
}

// Type tells the others in a chat, as far as they are connected, that the caller is
// writing there. If that has been told just now, it does nothing. It returns
// Forbidden for a chat in which the caller can't send anything.
func (h *Hub) Type(ctx context.Context, caller chat.Caller, chatID int64) error {
	who := typist{ChatID: chatID, UserID: caller.UserID}
	if h.typing.recent(who, time.Now()) {
		return nil
	}
	log, _ := h.state()
	if err := log.MayType(ctx, caller, chatID); err != nil {
		return err
	}
	if h.typing.pass(who, time.Now()) {
		h.tellTyping(who)
		h.publish(Typing, who)
	}
	return nil
}

// tellTyping tells those who are connected here.
func (h *Hub) tellTyping(who typist) {
	e := &Event{Event: chat.Event{Type: Typing, ChatID: who.ChatID, UserID: who.UserID, At: time.Now()}}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.rooms[who.ChatID] {
		if u.id == who.UserID {
			continue
		}
		for _, c := range u.connections {
			if c.follows() {
				c.pushEphemeral(e) // or not: it is soon over
			}
		}
	}
}
