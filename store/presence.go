package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Presence is when somebody was there last.
type Presence struct {
	UserID     int64
	LastSeenAt time.Time // zero, if it is not known
}

// ListWatchable lists those of some users, by id, whose presence a user may know of:
// who is in a chat with the user, has not been blocked by the user nor has blocked
// them, and does not hide it. Whoever may not sign in is left out.
func (tx *Tx) ListWatchable(userID int64, ids []int64) ([]Presence, error) {
	scan := func(row scanner, p *Presence) error {
		var seen sql.NullInt64
		err := row.Scan(&p.UserID, &seen)
		p.LastSeenAt = timeOrZero(seen)
		return err
	}
	q := arguments{userID}
	// A look into the user's chats for each of the few, and not through all who are
	// in them, which is what PostgreSQL makes of EXISTS.
	found, err := list(tx, len(ids), scan, `
		SELECT u.id, u.last_seen_at FROM users u
		WHERE u.id IN (`+among(&q, ids)+`)
			AND u.presence_hidden = 0 AND u.deactivated_at IS NULL AND u.deleted_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = ?1 AND b.blocked_id = u.id)
			AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.blocker_id = u.id AND b.blocked_id = ?1)
			AND (SELECT theirs.user_id FROM participants mine CROSS JOIN participants theirs
				WHERE mine.user_id = ?1 AND theirs.chat_id = mine.chat_id AND theirs.user_id = u.id LIMIT 1) IS NOT NULL
		ORDER BY u.id`, q...)
	if err != nil {
		return nil, fmt.Errorf("list watchable users: %w", err)
	}
	return found, nil
}

// SetLastSeen stores when users were there last. It does not go back, and of those
// who hide it, it is not kept.
func (tx *Tx) SetLastSeen(seen []Presence) error {
	// In one order everywhere: another node may do the same.
	seen = slices.SortedFunc(slices.Values(seen), func(a, b Presence) int { return cmp.Compare(a.UserID, b.UserID) })
	return inParts(seen, func(part []Presence) error {
		var q arguments
		rows := make([]string, len(part))
		for i, p := range part {
			rows[i] = "(CAST(" + q.add(p.UserID) + " AS BIGINT), CAST(" + q.add(micros(p.LastSeenAt)) + " AS BIGINT))"
		}
		_, err := tx.exec(`
			UPDATE users SET last_seen_at = seen.column2 FROM (VALUES `+strings.Join(rows, ", ")+`) AS seen
			WHERE users.id = seen.column1 AND users.presence_hidden = 0 AND users.deleted_at IS NULL
				AND (users.last_seen_at IS NULL OR users.last_seen_at < seen.column2)`, q...)
		if err != nil {
			return fmt.Errorf("set last seen: %w", err)
		}
		return nil
	})
}
