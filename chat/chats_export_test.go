package chat

import (
	"context"

	"github.com/caddymsg/messaging/store"
)

// Sweep removes some of what deleted chats hold.
func (s *Service) Sweep(ctx context.Context) (bool, error) { return s.sweep(ctx) }

// CountReaders is what tells of each message who has read it.
func CountReaders(tx *store.Tx, chatID int64, messages []Message) error {
	return countReaders(tx, chatID, messages)
}
