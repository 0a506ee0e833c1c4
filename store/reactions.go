package store

import (
	"errors"
	"fmt"
	"time"
)

// Reaction is an emoji that somebody has put on a message.
type Reaction struct {
	MessageID int64
	UserID    int64
	Username  string // read only, of the user
	Emoji     string
	CreatedAt time.Time
}

// ReactionCount is how many people have put an emoji on a message.
type ReactionCount struct {
	Emoji string
	Count int
	Me    bool // the user who asks is one of them
}

// CreateReaction stores a reaction and marks its message as one that has some;
// ErrConflict if it is there.
func (tx *Tx) CreateReaction(r Reaction) error {
	_, err := tx.insert(`INSERT INTO reactions (message_id, user_id, emoji, created_at) VALUES (?1, ?2, ?3, ?4)`,
		r.MessageID, r.UserID, r.Emoji, micros(r.CreatedAt))
	if err == nil {
		_, err = tx.exec(`UPDATE messages SET flags = flags | ?2 WHERE id = ?1 AND flags & ?2 = 0`, r.MessageID, flagReactions)
	}
	if err != nil {
		return fmt.Errorf("create reaction: %w", err)
	}
	return nil
}

// DeleteReaction takes a reaction back; ErrNotFound if there is none.
func (tx *Tx) DeleteReaction(messageID, userID int64, emoji string) error {
	err := tx.execOne(`DELETE FROM reactions WHERE message_id = ?1 AND emoji = ?2 AND user_id = ?3`, messageID, emoji, userID)
	if err != nil {
		return fmt.Errorf("delete reaction: %w", err)
	}
	return nil
}

const selectReactions = `
	SELECT r.message_id, r.user_id, u.username, r.emoji, r.created_at
	FROM reactions r JOIN users u ON u.id = r.user_id
`

func scanReaction(row scanner, r *Reaction) error {
	var created int64
	err := row.Scan(&r.MessageID, &r.UserID, &r.Username, &r.Emoji, &created)
	r.CreatedAt = fromMicros(created)
	return err
}

// FindReaction finds a user's reaction to a message, or ErrNotFound.
func (tx *Tx) FindReaction(messageID, userID int64, emoji string) (Reaction, error) {
	r, err := first(tx, scanReaction, selectReactions+`
		WHERE r.message_id = ?1 AND r.emoji = ?2 AND r.user_id = ?3`, messageID, emoji, userID)
	if err != nil {
		return Reaction{}, fmt.Errorf("find reaction: %w", err)
	}
	return r, nil
}

// HasReaction tells whether anybody has put an emoji on a message.
func (tx *Tx) HasReaction(messageID int64, emoji string) (bool, error) {
	var there int
	err := tx.one(`SELECT 1 FROM reactions WHERE message_id = ?1 AND emoji = ?2 LIMIT 1`, []any{messageID, emoji}, &there)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for reaction: %w", err)
	}
	return true, nil
}

// ListReactions lists who has put an emoji on a message, up to limit of them
// behind the first so many, in the order in which they did.
func (tx *Tx) ListReactions(messageID int64, emoji string, limit, offset int) ([]Reaction, error) {
	found, err := list(tx, min(limit, 64), scanReaction, selectReactions+`
		WHERE r.message_id = ?1 AND r.emoji = ?2 ORDER BY r.id LIMIT ?3 OFFSET ?4`, messageID, emoji, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list reactions: %w", err)
	}
	return found, nil
}

// CountReactions counts the reactions to some messages, as the user sees them:
// for each message that has any, in the order in which each emoji came first.
func (tx *Tx) CountReactions(userID int64, messageIDs []int64) (map[int64][]ReactionCount, error) {
	type row struct {
		messageID int64
		ReactionCount
	}
	scan := func(s scanner, r *row) error { return s.Scan(&r.messageID, &r.Emoji, &r.Count, &r.Me) }
	args := arguments{userID}
	in := among(&args, messageIDs)
	found, err := list(tx, len(messageIDs), scan, `
		SELECT message_id, emoji, count(*), max(CASE WHEN user_id = ?1 THEN 1 ELSE 0 END)
		FROM reactions WHERE message_id IN (`+in+`)
		GROUP BY message_id, emoji ORDER BY message_id, min(id)`, args...)
	if err != nil {
		return nil, fmt.Errorf("count reactions: %w", err)
	}
	counts := map[int64][]ReactionCount{}
	for _, r := range found {
		counts[r.messageID] = append(counts[r.messageID], r.ReactionCount)
	}
	return counts, nil
}

// ListReactors lists the ids of those who have put an emoji on some messages: for each
// message that has it, in the order in which they did.
func (tx *Tx) ListReactors(emoji string, messageIDs []int64) (map[int64][]int64, error) {
	type row struct{ messageID, userID int64 }
	scan := func(s scanner, r *row) error { return s.Scan(&r.messageID, &r.userID) }
	args := arguments{emoji}
	in := among(&args, messageIDs)
	found, err := list(tx, len(messageIDs), scan, `
		SELECT message_id, user_id FROM reactions
		WHERE message_id IN (`+in+`) AND emoji = ?1
		ORDER BY message_id, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list reactors: %w", err)
	}
	reactors := map[int64][]int64{}
	for _, r := range found {
		reactors[r.messageID] = append(reactors[r.messageID], r.userID)
	}
	return reactors, nil
}
