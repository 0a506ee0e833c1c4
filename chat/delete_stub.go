package chat

import (
	"errors"
	"time"

	"github.com/caddymsg/messaging/store"
)

// deleteChat takes everybody out of a chat, and tells each.
func deleteChat(tx *store.Tx, c Chat, actor int64, at time.Time) error {
	for {
		p, err := tx.FindFirstParticipant(c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.RemoveParticipant(c.ID, p.UserID); err != nil {
			return err
		}
		if err := tx.AppendEvent(store.Event{
			Type: store.ChatDeleted, ChatID: c.ID, ActorID: actor, UserID: p.UserID, At: at,
		}); err != nil {
			return err
		}
	}
}
