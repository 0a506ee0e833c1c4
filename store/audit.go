package store

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// AuditEntry says who has done what, in the log that administrators read. It
// outlives those whom it tells of.
type AuditEntry struct {
	ID        int64
	Action    string
	ActorID   int64 // who did it; 0, as in what follows, if there is nobody
	UserID    int64 // to whom
	ChatID    int64
	Address   string // of the client; may be empty
	Detail    string // may be empty
	CreatedAt time.Time
}

func scanAuditEntry(row scanner, e *AuditEntry) error {
	var created int64
	err := row.Scan(&e.ID, &e.Action, &e.ActorID, &e.UserID, &e.ChatID, &e.Address, &e.Detail, &created)
	e.CreatedAt = fromMicros(created)
	return err
}

// CreateAuditEntry stores an entry and sets its ID.
func (tx *Tx) CreateAuditEntry(e *AuditEntry) (err error) {
	e.ID, err = tx.insert(`
		INSERT INTO audit_log (action, actor_id, user_id, chat_id, address, detail, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
		e.Action, orNull(e.ActorID), orNull(e.UserID), orNull(e.ChatID), e.Address, e.Detail, micros(e.CreatedAt))
	if err != nil {
		return fmt.Errorf("create audit entry: %w", err)
	}
	return nil
}

// DeleteAuditEntries looks at the oldest entries, up to limit, and removes those
// from before a time.
func (tx *Tx) DeleteAuditEntries(before time.Time, limit int) error {
	_, err := tx.exec(`
		DELETE FROM audit_log WHERE created_at < ?1 AND id IN (SELECT id FROM audit_log ORDER BY id LIMIT ?2)`,
		micros(before), limit)
	if err != nil {
		return fmt.Errorf("delete audit entries: %w", err)
	}
	return nil
}

// AuditFilter says which entries one wants. What is zero does not matter.
type AuditFilter struct {
	Action                  string
	ActorID, UserID, ChatID int64
	From, To                time.Time // the first moment, and the one behind the last
	Before                  int64     // an entry's ID
}

// ListAuditEntries lists up to limit entries, newest first.
func (tx *Tx) ListAuditEntries(f AuditFilter, limit int) ([]AuditEntry, error) {
	if f.Before == 0 {
		f.Before = math.MaxInt64
	}
	where, args := "id < ?1", []any{f.Before}
	add := func(condition string, value any) {
		args = append(args, value)
		where += " AND " + strings.ReplaceAll(condition, "?", fmt.Sprintf("?%d", len(args)))
	}
	if f.Action != "" {
		add("action = ?", f.Action)
	}
	if f.ActorID != 0 {
		add("actor_id = ?", f.ActorID)
	}
	if f.UserID != 0 {
		add("user_id = ?", f.UserID)
	}
	if f.ChatID != 0 {
		add("chat_id = ?", f.ChatID)
	}
	if !f.From.IsZero() {
		add("created_at >= ?", micros(f.From))
	}
	if !f.To.IsZero() {
		add("created_at < ?", micros(f.To))
	}
	args = append(args, limit)
	found, err := list(tx, min(limit, 64), scanAuditEntry, fmt.Sprintf(`
		SELECT id, action, coalesce(actor_id, 0), coalesce(user_id, 0), coalesce(chat_id, 0), address, detail, created_at
		FROM audit_log WHERE %s ORDER BY id DESC LIMIT ?%d`, where, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	return found, nil
}
