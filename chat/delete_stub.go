package chat

import (
	"time"

	"github.com/caddymsg/messaging/store"
)

// deleteChat stands in for the one that is to come: it empties a chat.
func deleteChat(tx *store.Tx, c Chat, actor int64, at time.Time) error {
	gone, err := tx.ListParticipants(c.ID, 1<<16, 0)
	if err != nil {
		return err
	}
	for _, p := range gone {
		if err := tx.RemoveParticipant(c.ID, p.UserID); err != nil {
			return err
		}
		if err := tx.AppendEvent(store.Event{
			Type: store.ChatDeleted, ChatID: c.ID, ActorID: actor, UserID: p.UserID, At: at,
		}); err != nil {
			return err
		}
	}
	private := store.Private
	return tx.UpdateChat(c.ID, store.ChatChange{Visibility: &private})
}
