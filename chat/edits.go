package chat

import (
	"context"

	"github.com/caddymsg/messaging/store"
)

// MaxEdits is how often a message can be edited.
const MaxEdits = 100

// Edit is a text that a message had before it was edited.
type Edit = store.Edit

// Message finds a message that the caller sees. It returns NotFound for any
// other: one of a chat of others, and one that the caller has hidden.
func (s *Service) Message(ctx context.Context, caller Caller, id int64) (Message, error) {
	var m Message
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		if m, err = messageOf(tx, caller, id); err != nil {
			return err
		}
		return s.decorateOne(tx, caller, &m)
	})
	return m, err
}

// Edits lists the texts that a message had before, oldest first. It returns
// NotFound for a message that the caller does not see.
func (s *Service) Edits(ctx context.Context, caller Caller, id int64) (edits []Edit, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := messageOf(tx, caller, id); err != nil {
			return err
		}
		edits, err = tx.ListEdits(id)
		return err
	})
	return edits, err
}

// EditMessage gives a message another text, and keeps what it had. The sender
// may, unless the other of the two has blocked them meanwhile. The same text
// changes nothing. It returns Invalid for the text, NotFound for a message that
// the caller does not see, Forbidden to others than the sender, and Invalid for a
// message that can't be edited.
func (s *Service) EditMessage(ctx context.Context, caller Caller, id int64, text string) (Message, error) {
	if err := validateText("text", text); err != nil {
		return Message{}, err
	}
	bodies := newContents(text)
	var m Message
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		var err error
		if m, err = lockMessage(tx, caller, id); err != nil {
			return err
		}
		if m.SenderID != caller.UserID {
			return errNotTheSender()
		}
		if err := notBlockedAt(tx, caller, m); err != nil {
			return err
		}
		if !m.DeletedAt.IsZero() {
			return errMessageDeleted()
		}
		if m.HasPoll {
			return invalid("", "message_is_poll", "The question of a poll can't be changed.")
		}
		if text == m.Text {
			return s.decorateOne(tx, caller, &m)
		}
		if !m.EditedAt.IsZero() {
			n, err := tx.CountEdits(m.ID)
			if err != nil {
				return err
			}
			if n >= MaxEdits {
				return invalid("", "too_many_edits", "This message has been edited too often.")
			}
		}
		old := m
		called, err := whoIsCalled(tx, m.ChatID, bodies)
		if err != nil {
			return err
		}
		m.Text, m.EditedAt, m.Mentions = text, s.now(), resolve(bodies[0].calls, called)
		if err := tx.EditMessage(&m); err != nil {
			return err
		}
		if err := unindexMessage(tx, old); err != nil {
			return err
		}
		told := m // a Message of its own: what follows depends on the caller
		if err := s.decorateOne(tx, caller, &m); err != nil {
			return err
		}
		return tx.AppendEvent(store.Event{
			Type: store.MessageEdited, ChatID: m.ChatID, ActorID: caller.UserID, Message: &told, At: m.EditedAt,
			Data: eventData(map[string]int{readCount: *m.ReadCount}), // for all nodes
		})
	})
	return m, err
}

// DeleteMessage takes a message away from everybody. What is left has no text,
// but its place in the chat. The sender may, and whoever manages the group. To
// delete it again changes nothing. It returns NotFound for a message that the
// caller does not see, and Forbidden to others.
func (s *Service) DeleteMessage(ctx context.Context, caller Caller, id int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessage(tx, caller, id)
		if err != nil {
			return err
		}
		if m.SenderID != caller.UserID {
			p, err := tx.FindParticipant(m.ChatID, caller.UserID)
			if err != nil {
				return err
			}
			if !isGroupAdmin(p) {
				return errNotTheSender()
			}
		}
		if !m.DeletedAt.IsZero() {
			return nil
		}
		old := m
		m.DeletedAt, m.ClientID = s.now(), KeyOf(m)
		if err := tx.DeleteMessage(&m); err != nil {
			return err
		}
		if err := unindexMessage(tx, old); err != nil {
			return err
		}
		return tx.AppendEvent(store.Event{
			Type: store.MessageDeleted, ChatID: m.ChatID, ActorID: caller.UserID, Message: &m, At: m.DeletedAt,
		})
	})
}

// HideMessage takes a message away from the caller alone, for good. It returns
// NotFound for one that the caller does not see.
func (s *Service) HideMessage(ctx context.Context, caller Caller, id int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessage(tx, caller, id)
		if err != nil {
			return err
		}
		if err := tx.HideMessage(caller.UserID, m.ID); err != nil {
			return err
		}
		return tx.AppendEvent(store.Event{
			Type: store.MessageHidden, ChatID: m.ChatID, ActorID: caller.UserID, UserID: caller.UserID, Message: &m, At: s.now(),
		})
	})
}

func errNotTheSender() *Error {
	return &Error{Kind: Forbidden, Code: "not_the_sender", Message: "This message is somebody else's."}
}
