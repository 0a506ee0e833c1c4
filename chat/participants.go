package chat

import (
	"context"
	"errors"

	"github.com/caddymsg/messaging/store"
)

// RequireParticipant returns Forbidden unless the caller takes part in the
// chat.
func (s *Service) RequireParticipant(ctx context.Context, caller Caller, chatID int64) error {
	return s.store.ViewOne(ctx, func(tx *store.Tx) error {
		_, err := chatOf(tx, caller, chatID)
		return err
	})
}

// chatOf finds a chat of the caller's, or returns Forbidden.
func chatOf(tx *store.Tx, caller Caller, chatID int64) (Chat, error) {
	c, err := tx.FindChatOf(caller.UserID, chatID)
	return c, refuse(err, store.ErrNotFound, errNotParticipant())
}

// AddParticipant puts the named user into a group. Any participant may
// (contract 0). It returns Forbidden to others, then NotFound for the user,
// then Invalid for a chat that is no group, then Forbidden to whom the user has
// blocked, then Conflict if the user is in it.
func (s *Service) AddParticipant(ctx context.Context, caller Caller, chatID int64, username string) (User, error) {
	var user User
	err := s.store.Update(ctx, func(tx *store.Tx) (err error) {
		if user, err = groupAndUser(tx, caller, chatID, findUser, username); err != nil {
			return err
		}
		if err := notBlocked(tx, user, caller); err != nil {
			return err
		}
		// The chat is locked: nobody adds them meanwhile.
		if _, err := tx.FindChatOf(user.ID, chatID); err == nil {
			return &Error{
				Kind: Conflict, Code: "already_a_participant", Field: "username", Message: "This user is in the chat already.",
			}
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		now := s.now()
		if err := tx.AddParticipant(chatID, user.ID, store.Member, now); err != nil {
			return err
		}
		return tx.AppendEvent(store.Event{
			Type: store.ParticipantAdded, ChatID: chatID, ActorID: caller.UserID, UserID: user.ID, At: now,
		})
	})
	return user, err
}

// RemoveParticipant takes the user of that username or id out of a group. Any participant may
// remove any, and leave by removing themselves (contract 0). It returns
// Forbidden to others, then NotFound for the user, then Invalid for a chat that
// is no group, then NotFound if the user is not in it.
func (s *Service) RemoveParticipant(ctx context.Context, caller Caller, chatID int64, username string) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		user, err := groupAndUser(tx, caller, chatID, findUserOrID, username)
		if err != nil {
			return err
		}
		if err := tx.RemoveParticipant(chatID, user.ID); err != nil {
			return refuse(err, store.ErrNotFound, &Error{
				Kind: NotFound, Code: "participant_not_found", Field: "username", Message: "This user is not in the chat.",
			})
		}
		return tx.AppendEvent(store.Event{
			Type: store.ParticipantRemoved, ChatID: chatID, ActorID: caller.UserID, UserID: user.ID, At: s.now(),
		})
	})
}

// groupAndUser makes the checks that adding and removing share, in the order
// of contract 0.
func groupAndUser(tx *store.Tx, caller Caller, chatID int64, find func(*store.Tx, string, string) (User, error), username string) (User, error) {
	if err := tx.LockChat(caller.UserID, chatID); err != nil {
		return User{}, refuse(err, store.ErrNotFound, errNotParticipant())
	}
	c, err := chatOf(tx, caller, chatID)
	if err != nil {
		return User{}, err
	}
	user, err := find(tx, username, "username")
	if err != nil {
		return User{}, err
	}
	if c.Kind != store.GroupChat {
		return User{}, &Error{
			Kind: Invalid, Code: "not_a_group", Field: "group_chat_id",
			Message: "This is a chat between two people; its participants can't be changed.",
		}
	}
	return user, nil
}
