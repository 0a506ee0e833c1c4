package chat

import (
	"context"
	"iter"
	"math"
	"slices"

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

// GroupMessages opens the messages of a group, newest first, but for those deleted. It
// returns Forbidden for a public group that the caller is not in, and NotFound for any
// other that is not theirs. The messages are handed on as those of [History.All].
func (s *Service) GroupMessages(ctx context.Context, caller Caller, chatID int64) (iter.Seq2[LikedMessage, error], error) {
	batch, before, err := s.readLiked(ctx, caller, chatID, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	return func(yield func(LikedMessage, error) bool) {
		batch, before := batch, before // it may be asked for again
		for {
			for _, m := range batch {
				if !yield(m, nil) {
					return
				}
			}
			if before == 0 {
				return
			}
			var err error
			if batch, before, err = s.readLiked(ctx, caller, chatID, before); err != nil {
				yield(LikedMessage{}, err)
				return
			}
		}
	}, nil
}

// readLiked reads the last messages of a group that are before an id, newest first, and
// returns what to read before then; 0, if that is all there are.
func (s *Service) readLiked(ctx context.Context, caller Caller, chatID, before int64) (batch []LikedMessage, next int64, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := memberGroup(tx, caller, chatID); err != nil {
			return err
		}
		found, err := tx.ListChatMessages(caller.UserID, chatID, store.Span{Before: before, FromEnd: true}, readAtOnce)
		if err != nil {
			return err
		}
		if len(found) == readAtOnce {
			next = found[0].ID
		}
		var reacted []int64
		for _, m := range slices.Backward(found) {
			if !m.DeletedAt.IsZero() {
				continue
			}
			batch = append(batch, LikedMessage{Message: m})
			if m.HasReactions {
				reacted = append(reacted, m.ID)
			}
		}
		if len(reacted) == 0 {
			return nil
		}
		likes, err := tx.ListReactors(Like, reacted)
		for i := range batch {
			batch[i].Likes = likes[batch[i].ID]
		}
		return err
	})
	return batch, next, err
}
