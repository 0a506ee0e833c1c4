package store

import (
	"fmt"
	"time"
)

// Answer is what was answered to a request with an idempotency key.
type Answer struct {
	UserID    int64
	KeyHash   []byte
	Operation string
	Body      []byte // sealed: the store can't read it
	CreatedAt time.Time
}

// CreateAnswer stores an answer; ErrConflict if the user has used the key before.
func (tx *Tx) CreateAnswer(a Answer) error {
	_, err := tx.exec(`
		INSERT INTO answers (user_id, key_hash, operation, body, created_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
		a.UserID, a.KeyHash, a.Operation, a.Body, micros(a.CreatedAt))
	if err != nil {
		return fmt.Errorf("create answer: %w", err)
	}
	return nil
}

// FindAnswer finds what a user was answered under a key, or ErrNotFound.
func (tx *Tx) FindAnswer(userID int64, keyHash []byte) (Answer, error) {
	a := Answer{UserID: userID, KeyHash: keyHash}
	var created int64
	err := tx.one(`SELECT operation, body, created_at FROM answers WHERE user_id = ?1 AND key_hash = ?2`,
		[]any{userID, keyHash}, &a.Operation, &a.Body, &created)
	if err != nil {
		return Answer{}, fmt.Errorf("find answer: %w", err)
	}
	a.CreatedAt = fromMicros(created)
	return a, nil
}
