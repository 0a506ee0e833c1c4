package store

import "fmt"

// HideMessage hides a message from a user, for good; ErrConflict if it is hidden.
func (tx *Tx) HideMessage(userID, id int64) error {
	if _, err := tx.exec(`INSERT INTO hidden_messages (user_id, message_id) VALUES (?1, ?2)`, userID, id); err != nil {
		return fmt.Errorf("hide message: %w", err)
	}
	return nil
}
