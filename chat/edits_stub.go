package chat

import "github.com/caddymsg/messaging/store"

// What is here belongs to other files, and is here until they are.

func messageOf(tx *store.Tx, caller Caller, id int64) (Message, error) {
	m, err := tx.FindMessage(caller.UserID, id)
	return m, refuse(err, store.ErrNotFound, errNoSuchMessage())
}

func lockMessage(tx *store.Tx, caller Caller, id int64) (Message, error) {
	m, err := messageOf(tx, caller, id)
	if err != nil {
		return Message{}, err
	}
	if err := tx.LockChat(caller.UserID, m.ChatID); err != nil {
		return Message{}, refuse(err, store.ErrNotFound, errNoSuchMessage())
	}
	return messageOf(tx, caller, id)
}

func mayAnswer(tx *store.Tx, caller Caller, m Message) error {
	if m.ChatKind == store.DirectChat {
		c, err := chatOf(tx, caller, m.ChatID)
		if err != nil {
			return err
		}
		if err := notBlocked(tx, User{ID: c.OtherThan(caller.UserID)}, caller); err != nil {
			return err
		}
	}
	if !m.DeletedAt.IsZero() {
		return errMessageDeleted()
	}
	return nil
}

func errNoSuchMessage() *Error {
	return &Error{Kind: NotFound, Code: "message_not_found", Message: "There is no such message."}
}

func errMessageDeleted() *Error {
	return invalid("", "message_deleted", "This message has been deleted.")
}

func isGroupAdmin(p store.Participant) bool { return p.Role == store.Owner || p.Role == store.Admin }

func reactionsOf(*store.Tx, Caller, []int64) (map[int64][]store.ReactionCount, error) {
	return nil, nil
}

func pollsOf(*store.Tx, Caller, []int64) (map[int64]*store.Poll, error) { return nil, nil }

func countReaders(*store.Tx, int64, []Message) error { return nil }

func unindexMessage(*store.Tx, Message) error { return nil }
