package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// The kinds of sessions: what one signs in with.
const (
	CookieSession = "cookie" // a browser
	TokenSession  = "token"  // an access token, which a refresh token renews
	KeySession    = "key"    // a long-lived key of a program
	BasicSession  = "basic"  // username and password with each request
	// TrustedSession is of whoever says that they are a user, where that is enough.
	TrustedSession = "trusted"
)

// Session is a sign-in that has not been ended, of whatever kind.
type Session struct {
	ID        int64
	Kind      string
	TokenHash []byte // SHA-256 of the token that the client holds
	UserID    int64
	Username  string // read only, of the user, as what follows
	Admin     bool
	Name      string // of a key
	Scopes    string // of a key, with spaces between; empty: all
	UserAgent string // of its last use, as the address; both may be empty
	Address   string
	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
	// TokenExpiresAt is when the token has to be refreshed; zero, if it lives as long
	// as the session.
	TokenExpiresAt time.Time
	// FamilyHash and RefreshHash are SHA-256 of what the refresh tokens of a session
	// have in common, and of the one that has not been used.
	FamilyHash, RefreshHash []byte
	// RefreshAnswer is what the last refresh answered, if it had an idempotency key. It
	// is sealed: the store can't read it.
	RefreshAnswer []byte
}

// GoodUntil is when the session's token ends, if nothing is done.
func (s Session) GoodUntil() time.Time {
	if !s.TokenExpiresAt.IsZero() && s.TokenExpiresAt.Before(s.ExpiresAt) {
		return s.TokenExpiresAt
	}
	return s.ExpiresAt
}

// Slides tells whether to use a session moves its end.
func (s Session) Slides() bool {
	return s.Kind == CookieSession || s.Kind == BasicSession || s.Kind == TrustedSession
}

// Plain tells whether a new session is held by a token alone, which is not refreshed.
func (s Session) Plain() bool { return s.Kind == TokenSession && s.FamilyHash == nil }

// LogValue keeps the hashes out of logs.
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", s.ID), slog.String("kind", s.Kind), slog.Int64("user_id", s.UserID))
}

// CreateSession stores a session and sets its ID, and what its kind and its first use
// are if nothing is said of them: a cookie's, now.
func (tx *Tx) CreateSession(s *Session) (err error) {
	s.Kind = cmp.Or(s.Kind, CookieSession)
	if s.UsedAt.IsZero() {
		s.UsedAt = s.CreatedAt
	}
	s.ID, err = tx.insert(`
		INSERT INTO sessions (kind, token_hash, user_id, name, scopes, user_agent, address,
			created_at, used_at, expires_at, token_expires_at, family_hash, refresh_hash)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)`,
		s.Kind, s.TokenHash, s.UserID, s.Name, s.Scopes, s.UserAgent, s.Address,
		micros(s.CreatedAt), micros(s.UsedAt), micros(s.ExpiresAt), timeOrNull(s.TokenExpiresAt), s.FamilyHash, s.RefreshHash)
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	return nil
}

// FindSessionByTokenHash finds a session, expired or not, of somebody who may
// sign in, or ErrNotFound. What is stored of its tokens is left out.
func (tx *Tx) FindSessionByTokenHash(hash []byte) (Session, error) {
	return tx.session(scanSession, sessionColumns, `s.token_hash = ?1`, hash)
}

// FindSession is FindSessionByTokenHash by the session's ID.
func (tx *Tx) FindSession(id int64) (Session, error) {
	return tx.session(scanSession, sessionColumns, `s.id = ?1`, id)
}

// FindSessionByFamilyHash is FindSessionByTokenHash by what its refresh tokens have
// in common, and finds RefreshHash and RefreshAnswer, too.
func (tx *Tx) FindSessionByFamilyHash(hash []byte) (Session, error) {
	scan := func(row scanner, s *Session) error {
		return scanSessionAnd(row, s, &s.RefreshHash, &s.RefreshAnswer)
	}
	return tx.session(scan, sessionColumns+`, s.refresh_hash, s.refresh_answer`, `s.family_hash = ?1`, hash)
}

// sessionColumns are what each request needs of its session.
const sessionColumns = `s.id, s.kind, s.user_id, u.username, u.admin, s.name, s.scopes, s.user_agent, s.address,
	s.created_at, s.used_at, s.expires_at, s.token_expires_at`

func scanSession(row scanner, s *Session) error { return scanSessionAnd(row, s) }

func scanSessionAnd(row scanner, s *Session, more ...any) error {
	var created, used, expires int64
	var tokenExpires sql.NullInt64
	err := row.Scan(append([]any{
		&s.ID, &s.Kind, &s.UserID, &s.Username, &s.Admin, &s.Name, &s.Scopes, &s.UserAgent, &s.Address,
		&created, &used, &expires, &tokenExpires,
	}, more...)...)
	s.CreatedAt, s.UsedAt, s.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(expires)
	s.TokenExpiresAt = timeOrZero(tokenExpires)
	return err
}

func (tx *Tx) session(scan func(scanner, *Session) error, columns, where string, which any) (Session, error) {
	s, err := first(tx, scan, `
		SELECT `+columns+` FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE u.deleted_at IS NULL AND u.deactivated_at IS NULL AND `+where, which)
	if err != nil {
		return Session{}, fmt.Errorf("find session: %w", err)
	}
	return s, nil
}

// TouchSession notes the use of a session: UsedAt, UserAgent and Address are stored, and
// ExpiresAt if it is later: requests that come at once don't undo what another has
// extended. It returns ErrNotFound if it was ended meanwhile.
func (tx *Tx) TouchSession(s Session) error {
	err := tx.execOne(`
		UPDATE sessions SET used_at = ?2, user_agent = ?4, address = ?5,
			expires_at = CASE WHEN expires_at < ?3 THEN ?3 ELSE expires_at END
		WHERE id = ?1`,
		s.ID, micros(s.UsedAt), micros(s.ExpiresAt), s.UserAgent, s.Address)
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	return nil
}

// ReplaceKey gives a key of a user's, which is a session, another token: the one before is
// good for nothing then. It returns ErrNotFound if the key was ended.
func (tx *Tx) ReplaceKey(userID, id int64, tokenHash []byte) error {
	err := tx.execOne(`
		UPDATE sessions SET token_hash = ?3 WHERE id = ?2 AND user_id = ?1 AND kind = 'key'`, userID, id, tokenHash)
	if err != nil {
		return fmt.Errorf("replace key: %w", err)
	}
	return nil
}

// RefreshSession gives a session other tokens, if its refresh token is still a certain
// one: what TouchSession stores, and TokenHash, TokenExpiresAt, RefreshHash and
// RefreshAnswer. It returns ErrNotFound if the session was ended or refreshed meanwhile.
func (tx *Tx) RefreshSession(s Session, refreshHash []byte) error {
	err := tx.execOne(`
		UPDATE sessions SET used_at = ?2, expires_at = ?3, user_agent = ?4, address = ?5,
			token_hash = ?6, token_expires_at = ?7, refresh_hash = ?8, refresh_answer = ?9
		WHERE id = ?1 AND refresh_hash = ?10`,
		s.ID, micros(s.UsedAt), micros(s.ExpiresAt), s.UserAgent, s.Address,
		s.TokenHash, timeOrNull(s.TokenExpiresAt), s.RefreshHash, s.RefreshAnswer, refreshHash)
	if err != nil {
		return fmt.Errorf("refresh session: %w", err)
	}
	return nil
}

// ListSessionsOf lists the sessions of a user that go on at a time, by id: of one
// kind, if it is not empty. What is stored of their tokens is left out.
func (tx *Tx) ListSessionsOf(userID int64, kind string, at time.Time, limit, offset int) ([]Session, error) {
	found, err := list(tx, 16, scanSession, `
		SELECT `+sessionColumns+` FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.user_id = ?1 AND s.expires_at > ?2 AND ?3 IN ('', s.kind) ORDER BY s.id LIMIT ?4 OFFSET ?5`,
		userID, micros(at), kind, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	return found, nil
}

// CountSessionsOf counts the sessions of a kind that a user has, expired or not.
func (tx *Tx) CountSessionsOf(userID int64, kind string) (n int, err error) {
	err = tx.one(`SELECT count(*) FROM sessions WHERE user_id = ?1 AND kind = ?2`, []any{userID, kind}, &n)
	if err != nil {
		return 0, fmt.Errorf("count sessions of user: %w", err)
	}
	return n, nil
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

// DeleteSession ends a session of a user; ErrNotFound if they have no such one.
func (tx *Tx) DeleteSession(userID, id int64) error {
	if err := tx.execOne(`DELETE FROM sessions WHERE id = ?2 AND user_id = ?1`, userID, id); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// DeleteSessionsOf ends all sessions of a user but one, or all if that is 0, and tells
// their ids.
func (tx *Tx) DeleteSessionsOf(userID, but int64) ([]int64, error) {
	tx.writing = true
	ended, err := list(tx, 4, scanID, `DELETE FROM sessions WHERE user_id = ?1 AND id <> ?2 RETURNING id`, userID, but)
	if err != nil {
		return nil, fmt.Errorf("delete sessions of user: %w", err)
	}
	tx.wrote = tx.wrote || len(ended) > 0
	slices.Sort(ended)
	return ended, nil
}

// DeleteLeastUsedSessionsOf ends the plain tokens of a user or, if those are not meant,
// the other sessions but for keys; so many that were used last go on. It tells the ids of
// those ended.
func (tx *Tx) DeleteLeastUsedSessionsOf(userID int64, plain bool, keep int) ([]int64, error) {
	tx.writing = true
	ended, err := list(tx, 4, scanID, `
		DELETE FROM sessions WHERE id IN (
			SELECT id FROM sessions WHERE user_id = ?1 AND kind <> 'key'
				AND CASE WHEN kind = 'token' AND family_hash IS NULL THEN 1 ELSE 0 END = ?3
			ORDER BY used_at DESC, id DESC LIMIT 100 OFFSET ?2)
		RETURNING id`, userID, keep, bit(plain))
	if err != nil {
		return nil, fmt.Errorf("delete least used sessions of user: %w", err)
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
