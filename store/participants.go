package store

import (
	"fmt"
	"time"
)

// AddParticipant puts a user into a chat; ErrConflict if they are in it,
// ErrNotFound if there is no such chat.
func (tx *Tx) AddParticipant(chatID, userID int64, at time.Time) error {
	err := tx.execOne(`
		INSERT INTO participants (chat_id, user_id, joined_at)
		SELECT id, ?2, ?3 FROM chats WHERE id = ?1`,
		chatID, userID, micros(at))
	if err != nil {
		return fmt.Errorf("add participant: %w", err)
	}
	return nil
}

// RemoveParticipant takes a user out of a chat; ErrNotFound if they are not in
// it.
func (tx *Tx) RemoveParticipant(chatID, userID int64) error {
	err := tx.execOne(`DELETE FROM participants WHERE chat_id = ?1 AND user_id = ?2`, chatID, userID)
	if err != nil {
		return fmt.Errorf("remove participant: %w", err)
	}
	return nil
}

// FindChatOf finds a chat that the user takes part in. A chat that is not
// there and a chat of others are the same ErrNotFound.
func (tx *Tx) FindChatOf(userID, chatID int64) (Chat, error) {
	return tx.chat(`
		SELECT c.id, c.kind, c.title, c.last_seq, c.created_at
		FROM participants p JOIN chats c ON c.id = p.chat_id
		WHERE p.chat_id = ?1 AND p.user_id = ?2`, chatID, userID)
}

// ListGroupIDsOf lists the groups that a user takes part in.
func (tx *Tx) ListGroupIDsOf(userID int64) ([]int64, error) {
	scan := func(row scanner, id *int64) error { return row.Scan(id) }
	found, err := list(tx, 16, scan, `
		SELECT c.id FROM participants p JOIN chats c ON c.id = p.chat_id
		WHERE p.user_id = ?1 AND c.kind = 'group' ORDER BY c.id`, userID)
	if err != nil {
		return nil, fmt.Errorf("list groups of user: %w", err)
	}
	return found, nil
}
