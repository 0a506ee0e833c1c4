package store

import (
	"database/sql"
	"fmt"
	"time"
)

// What a one-time token is for.
const (
	ForPasswordReset = "reset_password"
	ForVerification  = "verify_email"
	ForRegistration  = "register"
)

// OneTimeToken is a token that was sent by mail: whoever has it reads what is sent to
// that address.
type OneTimeToken struct {
	ID        int64
	TokenHash []byte `json:"-"` // SHA-256
	Purpose   string
	// It is of a user, or of a registration.
	UserID, RegistrationID int64
	Email                  string // that it was sent to
	CreatedAt, ExpiresAt   time.Time
}

// CreateOneTimeToken stores a token and sets its ID. The one that the same user, or
// registration, had for the same purpose is of no use any more.
func (tx *Tx) CreateOneTimeToken(t *OneTimeToken) (err error) {
	_, err = tx.exec(`DELETE FROM one_time_tokens WHERE (user_id = ?1 AND purpose = ?3) OR registration_id = ?2`,
		orNull(t.UserID), orNull(t.RegistrationID), t.Purpose)
	if err == nil {
		t.ID, err = tx.insert(`
			INSERT INTO one_time_tokens (token_hash, purpose, user_id, registration_id, email, created_at, expires_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
			t.TokenHash, t.Purpose, orNull(t.UserID), orNull(t.RegistrationID), t.Email, micros(t.CreatedAt), micros(t.ExpiresAt))
	}
	if err != nil {
		return fmt.Errorf("create one-time token: %w", err)
	}
	return nil
}

// FindOneTimeToken finds a token, and leaves it there; ErrNotFound if there is none, or
// it has ended.
func (tx *Tx) FindOneTimeToken(hash []byte, purpose string, now time.Time) (OneTimeToken, error) {
	t, err := first(tx, scanOneTimeToken, `
		SELECT id, purpose, user_id, registration_id, email, created_at, expires_at
		FROM one_time_tokens WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3`, hash, purpose, micros(now))
	if err != nil {
		return OneTimeToken{}, fmt.Errorf("find one-time token: %w", err)
	}
	t.TokenHash = hash
	return t, nil
}

// UseOneTimeToken removes a token, and returns it; ErrNotFound if there is none, or it
// has ended. Of several who use the same one, one gets it.
func (tx *Tx) UseOneTimeToken(hash []byte, purpose string, now time.Time) (OneTimeToken, error) {
	tx.writing = true
	t, err := first(tx, scanOneTimeToken, `
		DELETE FROM one_time_tokens WHERE token_hash = ?1 AND purpose = ?2 AND expires_at > ?3
		RETURNING id, purpose, user_id, registration_id, email, created_at, expires_at`, hash, purpose, micros(now))
	if err != nil {
		return OneTimeToken{}, fmt.Errorf("use one-time token: %w", err)
	}
	tx.wrote, t.TokenHash = true, hash
	return t, nil
}

func scanOneTimeToken(row scanner, t *OneTimeToken) error {
	var user, registration sql.NullInt64
	var created, expires int64
	err := row.Scan(&t.ID, &t.Purpose, &user, &registration, &t.Email, &created, &expires)
	t.UserID, t.RegistrationID = user.Int64, registration.Int64
	t.CreatedAt, t.ExpiresAt = fromMicros(created), fromMicros(expires)
	return err
}

// DeleteOneTimeTokensOf removes a user's tokens for a purpose, or all of them if
// purpose is empty.
func (tx *Tx) DeleteOneTimeTokensOf(userID int64, purpose string) error {
	_, err := tx.exec(`DELETE FROM one_time_tokens WHERE user_id = ?1 AND (?2 = '' OR purpose = ?2)`, userID, purpose)
	if err != nil {
		return fmt.Errorf("delete one-time tokens of user: %w", err)
	}
	return nil
}

// DeleteExpiredOneTimeTokens removes up to limit tokens that ended before now, and
// tells how many.
func (tx *Tx) DeleteExpiredOneTimeTokens(now time.Time, limit int) (int, error) {
	removed, err := tx.exec(`
		DELETE FROM one_time_tokens WHERE id IN (
			SELECT id FROM one_time_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2`+tx.dialect.forUpdateSkipping("one_time_tokens")+`)`,
		micros(now), limit)
	if err != nil {
		return 0, fmt.Errorf("delete expired one-time tokens: %w", err)
	}
	return int(removed), nil
}
