package chat

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/caddymsg/messaging/store"
)

// The rules for APIs that know no other chats than those of two people, and one's own
// (contract 1). Groups are not there for them. They tell a chat of others from one that
// does not exist.

// DirectChats lists the caller's chats that are no groups, by their ids. It ends after an
// error.
func (s *Service) DirectChats(ctx context.Context, caller Caller) iter.Seq2[Chat, error] {
	return byID(func(c Chat) int64 { return c.ID }, MaxListLimit, func(after int64) (piece []Chat, err error) {
		err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
			piece, err = tx.ListDirectChatsOf(caller.UserID, after, MaxListLimit)
			return err
		})
		return piece, err
	})
}

// DirectChat finds a chat of the caller's that is no group. It returns NotFound if there
// is no such chat, and Forbidden for one of others.
func (s *Service) DirectChat(ctx context.Context, caller Caller, id int64) (c Chat, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		c, err = directChatOf(tx, caller, id)
		return err
	})
	return c, err
}

func directChatOf(tx *store.Tx, caller Caller, id int64) (Chat, error) {
	c, err := tx.FindChatByID(id)
	if err == nil && c.Kind == store.GroupChat {
		err = store.ErrNotFound
	}
	if err != nil {
		return Chat{}, refuse(err, store.ErrNotFound, &Error{Kind: NotFound, Code: "chat_not_found", Message: "There is no such chat."})
	}
	return chatOf(tx, caller, id)
}

// CreateDirectChat makes the chat between the caller and another user, named by the id.
// It returns NotFound for the user, Invalid for oneself, Conflict if there is one, and
// Forbidden if the user has blocked the caller.
func (s *Service) CreateDirectChat(ctx context.Context, caller Caller, userID int64) (Chat, error) {
	var c Chat
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		user, err := findAccount(tx, userID)
		if err != nil {
			return err
		}
		if user.ID == caller.UserID {
			return invalid("", "cannot_chat_with_self", "A chat is with somebody else.")
		}
		switch _, err := tx.FindDirectChat(caller.UserID, user.ID); {
		case err == nil:
			return &Error{Kind: Conflict, Code: "chat_exists", Message: "There is a chat with this user already."}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := notBlocked(tx, user, caller); err != nil {
			return err
		}
		// Not directChat, which would find what another has made in this moment.
		c, err = s.newDirectChat(tx, caller.UserID, user.ID)
		return err
	})
	return c, err
}

// UserByID finds an account by its id alone. It returns NotFound if there is none, and if
// it has been deleted.
func (s *Service) UserByID(ctx context.Context, id int64) (user User, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		user, err = findAccount(tx, id)
		return err
	})
	return user, err
}

// DirectMessagesIn lists the messages of a chat of the caller's that is no group, but for
// those that have been deleted: by their ids, if the filter gives no order. All that the
// filter names, however many; but sorted by anything else than the ids, or the times, at
// most [MaxListLimit]. It returns what DirectChat does.
func (s *Service) DirectMessagesIn(ctx context.Context, caller Caller, chatID int64, f Filter) (Chat, iter.Seq2[Message, error], error) {
	c, err := s.DirectChat(ctx, caller, chatID)
	if err != nil {
		return Chat{}, nil, err
	}
	// In one chat, the times go forward with the ids.
	f.Order = slices.DeleteFunc(slices.Clone(f.Order), func(o store.Order) bool { return o.Field == MessageChatID })
	if len(f.Order) > 0 && f.Order[0].Field == MessageCreatedAt {
		f.Order[0].Field = MessageID
	}
	read := func(f Filter) ([]Message, error) {
		return s.FindMessages(ctx, caller, MessageQuery{ChatID: chatID, Present: true, Filter: f})
	}
	return c, inPieces(f, MessageID, func(m Message) int64 { return m.ID }, read), nil
}

// DirectMessage finds a message of a chat of the caller's that is no group, and which. It
// returns what DirectChat does, NotFound for a message that the caller does not see, or
// that has been deleted, and Forbidden for one of another of these chats.
func (s *Service) DirectMessage(ctx context.Context, caller Caller, chatID, id int64) (c Chat, m Message, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if c, err = directChatOf(tx, caller, chatID); err != nil {
			return err
		}
		if m, err = messageOf(tx, caller, id); err != nil {
			return err
		}
		switch {
		case !m.DeletedAt.IsZero(), m.ChatKind == store.GroupChat:
			return errNoSuchMessage()
		case m.ChatID != chatID:
			return &Error{Kind: Forbidden, Code: "message_of_another_chat", Message: "This message is of another chat."}
		}
		return nil
	})
	if err != nil {
		return Chat{}, Message{}, err
	}
	return c, m, nil
}
