package store

import (
	"fmt"
	"time"
)

// Registration is an account that there will be when its address has been verified.
type Registration struct {
	ID           int64
	Username     string
	PasswordHash string `json:"-"`
	Email        string
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

func scanRegistration(row scanner, r *Registration) error {
	var created, expires int64
	err := row.Scan(&r.ID, &r.Username, &r.PasswordHash, &r.Email, &created, &expires)
	r.CreatedAt, r.ExpiresAt = fromMicros(created), fromMicros(expires)
	return err
}

// CreateRegistration stores a registration and sets its ID.
func (tx *Tx) CreateRegistration(r *Registration) (err error) {
	r.ID, err = tx.insert(`
		INSERT INTO registrations (username, password_hash, email, created_at, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5)`,
		r.Username, r.PasswordHash, r.Email, micros(r.CreatedAt), micros(r.ExpiresAt))
	if err != nil {
		return fmt.Errorf("create registration: %w", err)
	}
	return nil
}

// FindRegistration finds a registration that has not expired at a time, or
// ErrNotFound.
func (tx *Tx) FindRegistration(id int64, at time.Time) (Registration, error) {
	r, err := first(tx, scanRegistration, `
		SELECT id, username, password_hash, email, created_at, expires_at
		FROM registrations WHERE id = ?1 AND expires_at > ?2`, id, micros(at))
	if err != nil {
		return Registration{}, fmt.Errorf("find registration: %w", err)
	}
	return r, nil
}

// DeleteRegistration removes a registration, with its token and its mail; ErrNotFound
// if there is no such registration.
func (tx *Tx) DeleteRegistration(id int64) error {
	if err := tx.execOne(`DELETE FROM registrations WHERE id = ?1`, id); err != nil {
		return fmt.Errorf("delete registration: %w", err)
	}
	return nil
}

// DeleteExpiredRegistrations removes up to limit registrations that have expired at a
// time, and tells how many.
func (tx *Tx) DeleteExpiredRegistrations(at time.Time, limit int) (int, error) {
	removed, err := tx.exec(`
		DELETE FROM registrations WHERE id IN (
			SELECT id FROM registrations WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2`+tx.dialect.forUpdateSkipping("registrations")+`)`,
		micros(at), limit)
	if err != nil {
		return 0, fmt.Errorf("delete expired registrations: %w", err)
	}
	return int(removed), nil
}
