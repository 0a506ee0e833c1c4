package store

import (
	"database/sql"
	"fmt"
	"time"
)

// Mail is one that waits to be sent.
type Mail struct {
	ID   int64
	Kind string
	// It is about a user, or about a registration.
	UserID, RegistrationID int64
	Address                string
	Locale                 string // BCP 47; may be empty
	Data                   string // JSON, without a secret
	CreatedAt              time.Time
	DueAt                  time.Time // when it is to be tried next
	Attempts               int       // that have begun
}

// CreateMail stores a mail that is due at once, and sets its ID.
func (tx *Tx) CreateMail(m *Mail) (err error) {
	m.DueAt = m.CreatedAt
	m.ID, err = tx.insert(`
		INSERT INTO mails (kind, user_id, registration_id, address, locale, data, created_at, due_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)`,
		m.Kind, orNull(m.UserID), orNull(m.RegistrationID), m.Address, m.Locale, m.Data, micros(m.CreatedAt))
	if err != nil {
		return fmt.Errorf("create mail: %w", err)
	}
	return nil
}

// ClaimMail begins an attempt to send the mail that has been due for longest, and
// lets nobody else claim it until a time. It returns ErrNotFound if none is due that
// nobody else is about to claim.
func (tx *Tx) ClaimMail(now, until time.Time) (Mail, error) {
	tx.writing = true
	m, err := first(tx, scanMail, `
		UPDATE mails SET due_at = ?2, attempts = attempts + 1
		WHERE id = (SELECT id FROM mails WHERE due_at <= ?1 ORDER BY due_at LIMIT 1`+tx.dialect.forUpdateSkipping("mails")+`)
		RETURNING id, kind, user_id, registration_id, address, locale, data, created_at, due_at, attempts`,
		micros(now), micros(until))
	if err != nil {
		return Mail{}, fmt.Errorf("claim mail: %w", err)
	}
	tx.wrote = true
	return m, nil
}

// TakeDueMails removes those mails of a kind that are among the first so many that are
// due, and that nobody else is about to claim, and returns them in no order.
func (tx *Tx) TakeDueMails(kind string, now time.Time, among int) ([]Mail, error) {
	skip := tx.dialect.forUpdate("mails")
	if skip != "" {
		skip += " SKIP LOCKED"
	}
	tx.writing = true
	taken, err := list(tx, 16, scanMail, `
		DELETE FROM mails WHERE id IN (
			SELECT id FROM (SELECT id, kind FROM mails WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2`+skip+`) AS due
			WHERE kind = ?3)
		RETURNING id, kind, user_id, registration_id, address, locale, data, created_at, due_at, attempts`,
		micros(now), among, kind)
	if err != nil {
		return nil, fmt.Errorf("take due mails: %w", err)
	}
	tx.wrote = tx.wrote || len(taken) > 0
	return taken, nil
}

func scanMail(row scanner, m *Mail) error {
	var user, registration sql.NullInt64
	var created, due int64
	err := row.Scan(&m.ID, &m.Kind, &user, &registration, &m.Address, &m.Locale, &m.Data, &created, &due, &m.Attempts)
	m.UserID, m.RegistrationID = user.Int64, registration.Int64
	m.CreatedAt, m.DueAt = fromMicros(created), fromMicros(due)
	return err
}

// PostponeMail ends an attempt that has failed; ErrNotFound if the mail is gone, or
// another attempt has begun.
func (tx *Tx) PostponeMail(m Mail, due time.Time) error {
	if err := tx.execOne(`UPDATE mails SET due_at = ?3 WHERE id = ?1 AND attempts = ?2`, m.ID, m.Attempts, micros(due)); err != nil {
		return fmt.Errorf("postpone mail: %w", err)
	}
	return nil
}

// DeleteMail removes a mail that needs no other attempt; ErrNotFound if it is gone.
func (tx *Tx) DeleteMail(id int64) error {
	if err := tx.execOne(`DELETE FROM mails WHERE id = ?1`, id); err != nil {
		return fmt.Errorf("delete mail: %w", err)
	}
	return nil
}

// DeleteMailsOf removes the mails of a kind that are about a user, or all of them if
// kind is empty.
func (tx *Tx) DeleteMailsOf(userID int64, kind string) error {
	if _, err := tx.exec(`DELETE FROM mails WHERE user_id = ?1 AND (?2 = '' OR kind = ?2)`, userID, kind); err != nil {
		return fmt.Errorf("delete mails of user: %w", err)
	}
	return nil
}

// HastenMails has the mails that would be due after one time be due at another.
func (tx *Tx) HastenMails(after, due time.Time) error {
	if _, err := tx.exec(`UPDATE mails SET due_at = ?2 WHERE due_at > ?1`, micros(after), micros(due)); err != nil {
		return fmt.Errorf("hasten mails: %w", err)
	}
	return nil
}

// DeleteOldMails removes those of the oldest mails, up to limit of them, that were queued
// before a time, and tells how many.
func (tx *Tx) DeleteOldMails(before time.Time, limit int) (int, error) {
	// By id, which is about the order in which they were queued: so it needs no index
	// of its own.
	removed, err := tx.exec(`
		DELETE FROM mails WHERE id IN (
			SELECT id FROM mails WHERE id > 0 ORDER BY id LIMIT ?2`+tx.dialect.forUpdateSkipping("mails")+`) AND created_at < ?1`,
		micros(before), limit)
	if err != nil {
		return 0, fmt.Errorf("delete old mails: %w", err)
	}
	return int(removed), nil
}

// NextMail tells when the next mail is due; the zero time if none waits.
func (tx *Tx) NextMail() (time.Time, error) {
	var due sql.NullInt64
	if err := tx.one(`SELECT min(due_at) FROM mails`, nil, &due); err != nil {
		return time.Time{}, fmt.Errorf("look for the next mail: %w", err)
	}
	return timeOrZero(due), nil
}

// MailQueue tells how many mails wait, and when the next is due; the zero time if
// none waits. It reads all of them.
func (tx *Tx) MailQueue() (waiting int, next time.Time, err error) {
	var due sql.NullInt64
	if err := tx.one(`SELECT count(*), min(due_at) FROM mails`, nil, &waiting, &due); err != nil {
		return 0, time.Time{}, fmt.Errorf("look at mails: %w", err)
	}
	return waiting, timeOrZero(due), nil
}
