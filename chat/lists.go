package chat

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Window says which page of a chat one wants: that of a Page with a limit, or one
// around a message, if that is set.
type Window struct {
	Page
	// Around is an id, and AroundSeq, which wins, a number in the chat. One half
	// of the page is before it; the message itself comes next, if one sees it.
	Around, AroundSeq int64
}

// ChatWindow lists a page of a chat, oldest first. It returns Invalid for the
// window, and Forbidden if the caller is not in the chat.
func (s *Service) ChatWindow(ctx context.Context, caller Caller, chatID int64, w Window) ([]Message, error) {
	switch {
	case w.Around < 0:
		return nil, invalid("around", "cursor_invalid", "around is the id of a message.")
	case w.AroundSeq < 0:
		return nil, invalid("around_seq", "cursor_invalid", "around_seq is the number of a message in its chat.")
	}
	if err := w.validate(); err != nil {
		return nil, err
	}
	if w.Limit == 0 {
		w.Limit = MaxListLimit
	}
	return s.list(ctx, caller, func(tx *store.Tx) (found []Message, err error) {
		c, err := chatOf(tx, caller, chatID)
		if err != nil {
			return nil, err
		}
		last, err := tx.LastMessageID()
		if err != nil {
			return nil, err
		}
		around := w.Around
		if w.AroundSeq > 0 {
			around = last + 1 // beyond the chat's last
			if w.AroundSeq <= c.LastSeq {
				around, err = tx.FindMessageIDBySeq(chatID, w.AroundSeq)
			}
			if err != nil {
				return nil, err
			}
		}
		if around == 0 {
			in := store.Span{After: w.After, Before: w.Before, FromEnd: w.After == 0}
			if in.Before == 0 || in.Before > last {
				in.Before = last + 1
			}
			found, err = tx.ListChatMessages(caller.UserID, chatID, in, w.Limit)
		} else {
			half := (w.Limit - 1) / 2
			found, err = tx.ListChatMessages(caller.UserID, chatID,
				store.Span{Before: min(around, last+1), FromEnd: true}, half)
			if err != nil {
				return nil, err
			}
			var rest []Message
			rest, err = tx.ListChatMessages(caller.UserID, chatID,
				store.Span{After: around - 1, Before: last + 1}, w.Limit-half)
			found = append(found, rest...)
		}
		if err == nil {
			err = countReaders(tx, chatID, found)
		}
		return found, err
	})
}

// Direction is which way a message went.
type Direction int

// The directions: either, from the caller, or to the caller.
const (
	SentOrReceived Direction = iota
	Sent
	Received
)

// MessageQuery says which messages one wants. All that is set must hold.
type MessageQuery struct {
	ChatID    int64 // 0 is all chats of the caller
	Direction Direction
	Sender    string
	// Receiver is somebody whom it went to alone: not what went to a group.
	Receiver string
	Date     string // a day in UTC: 2006-01-02
	// Present leaves out those that have been deleted.
	Present bool
	// Alone leaves out those of groups; of notes to oneself, one is the receiver, too.
	Alone bool
	// After and Before bound the ids.
	After, Before int64
	// FromEnd takes the last ones that a limit leaves, if the filter gives no order.
	FromEnd bool
	Filter  Filter
}

// FindMessages lists messages of chats that the caller takes part in, by their
// ids if the filter gives no order. It returns Forbidden for a chat that the caller
// is not in, NotFound for a sender or receiver that does not exist, and Invalid for the
// date.
func (s *Service) FindMessages(ctx context.Context, caller Caller, q MessageQuery) ([]Message, error) {
	return s.list(ctx, caller, func(tx *store.Tx) ([]Message, error) {
		chatID, f, err := q.resolve(tx, caller)
		if err != nil || chatID == noChat {
			return nil, err
		}
		backwards := q.FromEnd && len(f.Order) == 0
		if backwards {
			f.Order = []store.Order{{Field: MessageID, Descending: true}}
		}
		if chatID == 0 && len(q.Filter.Order) == 0 && f.Limited && f.Offset <= MaxListLimit {
			return walk(tx, caller, q, f)
		}
		found, err := tx.FilterMessages(caller.UserID, chatID, f)
		if backwards {
			slices.Reverse(found)
		}
		if err == nil && q.ChatID != 0 {
			err = countReaders(tx, q.ChatID, found)
		}
		return found, err
	})
}

// CountMessages counts what FindMessages lists, whatever limit and offset the filter
// has. It returns the same errors. As it looks at each of these messages, it is a search,
// and TooMany for one too many.
func (s *Service) CountMessages(ctx context.Context, caller Caller, q MessageQuery) (n int, err error) {
	if err := s.takeSearch(ctx, caller); err != nil {
		return 0, err
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		n = 0
		chatID, f, err := q.resolve(tx, caller)
		if err == nil && chatID != noChat {
			n, err = tx.CountMessages(caller.UserID, chatID, f)
		}
		return err
	})
	return n, err
}

// noChat is in place of the chat of two who have none.
const noChat int64 = -1

// resolve finds whom a query names, and makes a filter of what it asks for, of one chat
// or, if that is 0, of all that the caller takes part in.
func (q MessageQuery) resolve(tx *store.Tx, caller Caller) (chatID int64, f Filter, err error) {
	f = q.Filter
	f.Where = slices.Clone(f.Where)
	where := func(field store.Field, match store.Match, value any) {
		f.Where = append(f.Where, store.Condition{Field: field, Match: match, Value: value})
	}
	chatID = q.ChatID
	if chatID != 0 {
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return 0, f, err
		}
	}
	if q.Sender != "" {
		sender, err := findUser(tx, q.Sender, "sender")
		if err != nil {
			return 0, f, err
		}
		where(MessageSenderID, store.Equal, sender.ID)
	}
	if q.Receiver != "" {
		receiver, err := findUser(tx, q.Receiver, "receiver")
		if err != nil {
			return 0, f, err
		}
		where(store.MessageReceiverID, store.Equal, receiver.ID)
		if chatID == 0 && receiver.ID != caller.UserID {
			c, err := tx.FindDirectChat(caller.UserID, receiver.ID)
			switch {
			case errors.Is(err, store.ErrNotFound):
				chatID = noChat
			case err != nil:
				return 0, f, err
			default:
				chatID = c.ID // there is no need to look at the others
			}
		}
	}
	if q.Date != "" {
		day, err := time.Parse(time.DateOnly, q.Date)
		if err != nil {
			return 0, f, invalid("date", "date_invalid", "A date is a day in UTC, such as 2006-01-02.")
		}
		where(MessageCreatedAt, store.Above, day.UnixMicro()-1)
		where(MessageCreatedAt, store.Below, day.AddDate(0, 0, 1).UnixMicro())
	}
	switch {
	case q.Direction == Sent:
		where(MessageSenderID, store.Equal, caller.UserID)
	case q.Direction == Received && q.Alone:
		where(store.MessageReceiverID, store.Equal, caller.UserID)
	case q.Direction == Received:
		where(MessageSenderID, store.NotEqual, caller.UserID)
	}
	if q.Present {
		where(store.MessageDeletedAt, store.Missing, nil)
	}
	if q.Alone {
		where(store.MessageInGroup, store.Equal, int64(0))
	}
	if q.After > 0 {
		where(MessageID, store.Above, q.After)
	}
	if q.Before > 0 {
		where(MessageID, store.Below, q.Before)
	}
	return chatID, f, nil
}

// walk finds messages of all chats of the caller in the order of their ids. To
// sort all that there are would cost as much as they are many, and mostly the first
// ones are asked for: it looks into slices of ids, each twice as wide as the one
// before.
func walk(tx *store.Tx, caller Caller, q MessageQuery, f Filter) (found []Message, err error) {
	last, err := tx.LastMessageID()
	if err != nil {
		return nil, err
	}
	in := store.Span{After: q.After, Before: last + 1, FromEnd: q.FromEnd}
	if q.Before > 0 {
		in.Before = min(in.Before, q.Before)
	}
	skip, limit := f.Offset, f.Limit
	f.Offset = 0
	f.Where = slices.Clip(f.Where)
	conditions := f.Where
	for width := int64(readAtOnce); len(found) < limit && in.After+1 < in.Before; width *= 2 {
		slice := in.Cut(width)
		in = in.Without(slice)
		f.Where = append(conditions,
			store.Condition{Field: MessageID, Match: store.Above, Value: slice.After},
			store.Condition{Field: MessageID, Match: store.Below, Value: slice.Before})
		f.Limit = skip + limit - len(found)
		part, err := tx.FilterMessages(caller.UserID, 0, f)
		if err != nil {
			return nil, err
		}
		skipped := min(skip, len(part))
		skip -= skipped
		found = append(found, part[skipped:]...)
	}
	if q.FromEnd {
		slices.Reverse(found)
	}
	return found, nil
}

// Thread lists a message and what was said in reply to it, and in reply to that,
// oldest first: up to limit messages, those behind the id after. For a reply, it
// is the thread that it is in. It returns Invalid for after and limit, and
// NotFound for a message that the caller does not see.
func (s *Service) Thread(ctx context.Context, caller Caller, id, after int64, limit int) ([]Message, error) {
	if err := (Page{After: after, Limit: limit}).validate(); err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = MaxListLimit
	}
	return s.list(ctx, caller, func(tx *store.Tx) (found []Message, err error) {
		m, err := messageOf(tx, caller, id)
		if err != nil {
			return nil, err
		}
		if m.ThreadID != 0 {
			id = m.ThreadID
		}
		if after < id {
			root, err := tx.FindMessage(caller.UserID, id)
			switch {
			case err == nil:
				found = append(found, root)
			case !errors.Is(err, store.ErrNotFound): // the caller may have hidden it
				return nil, err
			}
		}
		last, err := tx.LastMessageID()
		if err == nil && len(found) < limit {
			var replies []Message
			replies, err = tx.ListThread(caller.UserID, id, store.Span{After: after, Before: last + 1}, limit-len(found))
			found = append(found, replies...)
		}
		if err == nil {
			err = countReaders(tx, m.ChatID, found)
		}
		return found, err
	})
}

// list reads a list, and what is kept beside its messages.
func (s *Service) list(ctx context.Context, caller Caller, read func(*store.Tx) ([]Message, error)) (found []Message, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		found, err = s.listed(tx, caller)(read(tx))
		return err
	})
	return found, err
}
