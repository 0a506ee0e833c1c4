package chat

import (
	"context"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Presence is when somebody was there last. Whether they are there now is for
// package live to know.
type Presence = store.Presence

// MaxWatched is of how many people one can ask at once whether they are there.
const MaxWatched = 200

// Watchable lists those of some users whose presence the caller may know of, by id:
// who is in a chat with the caller, unless one of the two has blocked the other, or
// they hide it; and nobody whose account has been deactivated or deleted. It returns
// Invalid for too many.
func (s *Service) Watchable(ctx context.Context, caller Caller, userIDs []int64) (found []Presence, err error) {
	if len(userIDs) > MaxWatched {
		return nil, invalid("user_ids", "user_ids_invalid", "These are up to "+strconv.Itoa(MaxWatched)+" users.")
	}
	if len(userIDs) == 0 {
		return nil, nil
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		found, err = tx.ListWatchable(caller.UserID, userIDs)
		return err
	})
	return found, err
}

// MayType tells whether the caller may tell others in a chat that they are writing:
// whoever could send something there. It returns Forbidden.
func (s *Service) MayType(ctx context.Context, caller Caller, chatID int64) error {
	return s.store.ViewOne(ctx, func(tx *store.Tx) error {
		c, err := chatOf(tx, caller, chatID)
		if err != nil || c.Kind != store.DirectChat {
			return err
		}
		return notBlocked(tx, User{ID: c.OtherThan(caller.UserID)}, caller)
	})
}

// NoteLastSeen keeps when users were there last, all in one Update. It does not go
// back. Of those who hide it, it is not kept.
func (s *Service) NoteLastSeen(ctx context.Context, at map[int64]time.Time) error {
	if len(at) == 0 {
		return nil
	}
	seen := make([]Presence, 0, len(at))
	for userID, t := range at {
		seen = append(seen, Presence{UserID: userID, LastSeenAt: t})
	}
	return s.store.Update(ctx, func(tx *store.Tx) error { return tx.SetLastSeen(seen) })
}
