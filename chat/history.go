package chat

import (
	"context"
	"errors"
	"iter"
	"strconv"

	"github.com/caddymsg/messaging/store"
)

// readAtOnce is how many messages of an unlimited history are in memory.
const readAtOnce = 128

// Page says which messages of a history one wants, by their ids. The zero Page
// is all of them.
type Page struct {
	// After and Before bound the page, and are not in it; 0 is no bound.
	After, Before int64
	// Limit is how many messages the page has at most, from 1 to
	// [MaxListLimit]; 0 is no limit. The page starts behind After, if that is
	// set; otherwise it ends at Before: it has the newest messages.
	Limit int
}

func (p Page) validate() error {
	switch {
	case p.After < 0:
		return invalid("after", "cursor_invalid", "after is the id of a message.")
	case p.Before < 0:
		return invalid("before", "cursor_invalid", "before is the id of a message.")
	case p.Limit < 0 || p.Limit > MaxListLimit:
		return invalid("limit", "limit_invalid", "limit is a number from 1 to "+strconv.Itoa(MaxListLimit)+".")
	}
	return nil
}

// History is an open list of messages, oldest first. What is sent after it was
// opened is not in it.
type History struct {
	store *store.Store
	read  reader
	span  store.Span // what has not been read
	limit int        // of the page; 0 is none
	batch []Message  // what has been read and not been handed on
}

// reader reads up to limit messages of a span, oldest first. Fewer are all
// there are.
type reader func(tx *store.Tx, in store.Span, limit int) ([]Message, error)

// ChatMessages opens the messages of a chat. It returns Forbidden if the
// caller is not in it.
func (s *Service) ChatMessages(ctx context.Context, caller Caller, chatID int64, page Page) (*History, error) {
	return s.open(ctx, page, func(tx *store.Tx, in store.Span, limit int) ([]Message, error) {
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return nil, err
		}
		return s.listed(tx, caller)(tx.ListChatMessages(caller.UserID, chatID, in, limit))
	})
}

// DirectMessages opens the messages between the caller and the named person.
// It returns NotFound if there is no such person; two who have not talked have
// no messages.
func (s *Service) DirectMessages(ctx context.Context, caller Caller, username string, page Page) (*History, error) {
	return s.open(ctx, page, func(tx *store.Tx, in store.Span, limit int) ([]Message, error) {
		other, err := findUser(tx, username, "dest_username")
		if err != nil {
			return nil, err
		}
		c, err := tx.FindDirectChat(caller.UserID, other.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return s.listed(tx, caller)(tx.ListChatMessages(caller.UserID, c.ID, in, limit))
	})
}

// Messages opens the messages of all chats that the caller takes part in now.
func (s *Service) Messages(ctx context.Context, caller Caller, page Page) (*History, error) {
	// The chats of a person share the ids with everybody's. A slice of ids,
	// as wide as it takes to find a batch, costs one look into each of their
	// chats and the messages it finds; the whole span would cost all that is
	// left, for each batch anew.
	width := int64(readAtOnce)
	return s.open(ctx, page, func(tx *store.Tx, in store.Span, limit int) (found []Message, err error) {
		for len(found) < limit && in.After+1 < in.Before {
			slice, want := in.Cut(width), limit-len(found)
			part, err := tx.ListMessagesOf(caller.UserID, slice, want)
			if err != nil {
				return nil, err
			}
			if in.FromEnd {
				found = append(part, found...)
			} else {
				found = append(found, part...)
			}
			if len(part) == want {
				// The slice may hold more: the next is as wide as this batch was.
				width = max(readAtOnce, part[want-1].ID-part[0].ID+1)
				break
			}
			in = in.Without(slice)
			width *= 2
		}
		return found, s.decorate(tx, caller, found)
	})
}

// listed decorates a list that has been read.
func (s *Service) listed(tx *store.Tx, caller Caller) func([]Message, error) ([]Message, error) {
	return func(found []Message, err error) ([]Message, error) {
		if err == nil {
			err = s.decorate(tx, caller, found)
		}
		return found, err
	}
}

// open reads the first messages, so that whoever may not see them hears of it
// at once.
func (s *Service) open(ctx context.Context, page Page, read reader) (*History, error) {
	if err := page.validate(); err != nil {
		return nil, err
	}
	h := &History{store: s.store, read: read, limit: page.Limit, span: store.Span{
		After: page.After, Before: page.Before, FromEnd: page.Limit > 0 && page.After == 0,
	}}
	err := s.store.View(ctx, func(tx *store.Tx) error {
		last, err := tx.LastMessageID()
		if err != nil {
			return err
		}
		if h.span.Before == 0 || h.span.Before > last {
			h.span.Before = last + 1
		}
		return h.next(tx)
	})
	return h, err
}

// next reads the next batch.
func (h *History) next(tx *store.Tx) (err error) {
	limit := h.limit
	if limit == 0 {
		limit = readAtOnce
	}
	h.batch, err = h.read(tx, h.span, limit)
	if err == nil && len(h.batch) > 0 {
		h.span.After = h.batch[len(h.batch)-1].ID
	}
	return err
}

// All hands on the messages, oldest first, once. It ends after an error. No
// transaction is open while it hands on: a slow reader holds nothing up.
func (h *History) All(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for len(h.batch) > 0 {
			for _, m := range h.batch {
				if !yield(m, nil) {
					return
				}
			}
			if h.limit > 0 || len(h.batch) < readAtOnce {
				return
			}
			if err := h.store.View(ctx, h.next); err != nil {
				yield(Message{}, err)
				return
			}
		}
	}
}
