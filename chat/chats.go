package chat

import (
	"errors"

	"github.com/caddymsg/messaging/store"
)

// createChat stores a chat with its first participants and says so in the log.
func createChat(tx *store.Tx, c *Chat, creator int64, participants ...int64) error {
	if err := tx.CreateChat(c); err != nil {
		return err
	}
	role := store.Member
	if c.Kind == store.GroupChat {
		role = store.Owner
	}
	for _, userID := range participants {
		if err := tx.AddParticipant(c.ID, userID, role, c.CreatedAt); err != nil {
			return err
		}
	}
	return tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: c.ID, ActorID: creator, At: c.CreatedAt})
}

// directChat finds the chat between two people, or makes it: the first message
// opens it (contract 0, POST /v1/messages).
func (s *Service) directChat(tx *store.Tx, from, to int64) (Chat, error) {
	c, err := tx.FindDirectChat(from, to)
	if !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	c = store.NewDirectChat(from, to, s.now())
	participants := []int64{from, to}
	if from == to {
		participants = participants[:1]
	}
	err = createChat(tx, &c, from, participants...)
	return c, err
}
