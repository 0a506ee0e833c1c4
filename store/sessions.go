package store

import (
	"fmt"
	"slices"
	"time"
)

// Session is a sign-in that has not been ended.
type Session struct {
	ID        int64
	TokenHash []byte // SHA-256 of the token that the client holds
	UserID    int64
	Username  string // read only, of the user, as what follows
	Admin     bool
	CreatedAt time.Time
	ExpiresAt time.Time
}

// CreateSession stores a session and sets its ID.
func (tx *Tx) CreateSession(s *Session) (err error) {
	s.ID, err = tx.insert(`
		INSERT INTO sessions (token_hash, user_id, created_at, expires_at)
		VALUES (?1, ?2, ?3, ?4)`,
		s.TokenHash, s.UserID, micros(s.CreatedAt), micros(s.ExpiresAt))
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	return nil
}

// FindSessionByTokenHash finds a session, expired or not, of somebody who may
// sign in, or ErrNotFound.
func (tx *Tx) FindSessionByTokenHash(hash []byte) (Session, error) {
	s, err := tx.session(`s.token_hash = ?1`, hash)
	s.TokenHash = hash
	return s, err
}

// FindSession is FindSessionByTokenHash by the session's ID; the hash is left out.
func (tx *Tx) FindSession(id int64) (Session, error) { return tx.session(`s.id = ?1`, id) }

func (tx *Tx) session(where string, which any) (Session, error) {
	var s Session
	var created, expires int64
	err := tx.one(`
		SELECT s.id, s.user_id, u.username, u.admin, s.created_at, s.expires_at
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE u.deleted_at IS NULL AND u.deactivated_at IS NULL AND `+where,
		[]any{which}, &s.ID, &s.UserID, &s.Username, &s.Admin, &created, &expires)
	if err != nil {
		return Session{}, fmt.Errorf("find session: %w", err)
	}
	s.CreatedAt, s.ExpiresAt = fromMicros(created), fromMicros(expires)
	return s, nil
}

// ExtendSession moves a session's end; ErrNotFound if it was ended meanwhile.
func (tx *Tx) ExtendSession(id int64, expires time.Time) error {
	if err := tx.execOne(`UPDATE sessions SET expires_at = ?2 WHERE id = ?1`, id, micros(expires)); err != nil {
		return fmt.Errorf("extend session: %w", err)
	}
	return nil
}

// DeleteSessionByTokenHash ends a session, and tells its id and whose it was;
// ErrNotFound if there is no such one.
func (tx *Tx) DeleteSessionByTokenHash(hash []byte) (id, userID int64, err error) {
	tx.writing = true
	err = tx.one(`DELETE FROM sessions WHERE token_hash = ?1 RETURNING id, user_id`, []any{hash}, &id, &userID)
	if err != nil {
		return 0, 0, fmt.Errorf("delete session: %w", err)
	}
	tx.wrote = true
	return id, userID, nil
}

// ListSessionsOf lists the sessions of a user that go on at a time, without their
// tokens, by id.
func (tx *Tx) ListSessionsOf(userID int64, at time.Time, limit, offset int) ([]Session, error) {
	scan := func(row scanner, s *Session) error {
		var created, expires int64
		err := row.Scan(&s.ID, &s.UserID, &created, &expires)
		s.CreatedAt, s.ExpiresAt = fromMicros(created), fromMicros(expires)
		return err
	}
	found, err := list(tx, 16, scan, `
		SELECT id, user_id, created_at, expires_at FROM sessions
		WHERE user_id = ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3 OFFSET ?4`, userID, micros(at), limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	return found, nil
}

// DeleteSession ends a session of a user; ErrNotFound if they have no such one.
func (tx *Tx) DeleteSession(userID, id int64) error {
	if err := tx.execOne(`DELETE FROM sessions WHERE id = ?2 AND user_id = ?1`, userID, id); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// DeleteSessionsOf ends all sessions of a user, and tells their ids.
func (tx *Tx) DeleteSessionsOf(userID int64) ([]int64, error) {
	tx.writing = true
	ended, err := list(tx, 4, scanID, `DELETE FROM sessions WHERE user_id = ?1 RETURNING id`, userID)
	if err != nil {
		return nil, fmt.Errorf("delete sessions of user: %w", err)
	}
	tx.wrote = tx.wrote || len(ended) > 0
	slices.Sort(ended)
	return ended, nil
}

// DeleteExpiredSessions removes up to limit sessions that ended before now.
func (tx *Tx) DeleteExpiredSessions(now time.Time, limit int) error {
	_, err := tx.exec(`
		DELETE FROM sessions WHERE id IN (
			SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)`,
		micros(now), limit)
	if err != nil {
		return fmt.Errorf("delete expired sessions: %w", err)
	}
	return nil
}
