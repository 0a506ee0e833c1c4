package chat

import (
	"context"
	"iter"

	"github.com/caddymsg/messaging/store"
)

// Like is the reaction that is a like, for APIs that have no other.
const Like = "👍"

// Like puts a like on a message of a group, once. It returns NotFound for a message that
// the caller does not see, that has been deleted, or is not of that group, and Conflict
// if they like it already.
func (s *Service) Like(ctx context.Context, caller Caller, chatID, messageID int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessageOf(tx, caller, chatID, messageID)
		if err != nil {
			return err
		}
		_, added, err := s.react(tx, caller, m, Like)
		if err == nil && !added {
			err = &Error{Kind: Conflict, Code: "already_liked", Message: "You like this message already."}
		}
		return err
	})
}

// Unlike takes the caller's like from a message of a group. It returns NotFound as
// [Service.Like] does, and Conflict if it is not there.
func (s *Service) Unlike(ctx context.Context, caller Caller, chatID, messageID int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessageOf(tx, caller, chatID, messageID)
		if err != nil {
			return err
		}
		return refuse(s.unreact(tx, caller, m, Like), store.ErrNotFound,
			&Error{Kind: Conflict, Code: "not_liked", Message: "You do not like this message yet."})
	})
}

// lockMessageOf is lockMessage for a message of a group that is still there to be seen.
func lockMessageOf(tx *store.Tx, caller Caller, groupID, messageID int64) (Message, error) {
	m, err := lockMessage(tx, caller, messageID)
	if err == nil && (m.ChatID != groupID || m.ChatKind != store.GroupChat || !m.DeletedAt.IsZero()) {
		err = errNoSuchMessage()
	}
	return m, err
}

// LikedMessage is a message, with the ids of those who like it, in the order in which
// they came to.
type LikedMessage struct {
	Message
	Likes []int64
}

// GroupMessages lists the messages of a group, newest first, however many, but for those
// deleted. It returns Forbidden for a public group that the caller is not in, and NotFound
// for any other that is not theirs, also if that becomes so meanwhile. It ends after an
// error.
func (s *Service) GroupMessages(ctx context.Context, caller Caller, chatID int64) iter.Seq2[LikedMessage, error] {
	f := Filter{
		Where: []store.Condition{{Field: store.MessageDeletedAt, Match: store.Missing}},
		Order: []store.Order{{Field: MessageID, Descending: true}},
	}
	return inPieces(f, MessageID, func(m LikedMessage) int64 { return m.ID }, func(f Filter) (piece []LikedMessage, err error) {
		err = s.store.View(ctx, func(tx *store.Tx) error {
			piece, err = likedMessages(tx, caller, chatID, f)
			return err
		})
		return piece, err
	})
}

func likedMessages(tx *store.Tx, caller Caller, chatID int64, f Filter) ([]LikedMessage, error) {
	if _, err := memberGroup(tx, caller, chatID); err != nil {
		return nil, err
	}
	found, err := tx.FilterMessages(caller.UserID, chatID, f)
	if err != nil {
		return nil, err
	}
	var reacted []int64
	for _, m := range found {
		if m.HasReactions {
			reacted = append(reacted, m.ID)
		}
	}
	var likes map[int64][]int64
	if len(reacted) > 0 {
		likes, err = tx.ListReactors(Like, reacted)
	}
	messages := make([]LikedMessage, len(found))
	for i, m := range found {
		messages[i] = LikedMessage{m, likes[m.ID]}
	}
	return messages, err
}
