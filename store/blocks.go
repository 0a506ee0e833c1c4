package store

import (
	"fmt"
	"time"
)

// Block says that one user does not want to hear from another. It is one-way.
type Block struct {
	BlockerID int64
	BlockedID int64
	Username  string // read only, of the blocked user
	CreatedAt time.Time
}

// CreateBlock stores a block; ErrConflict if it is there.
func (tx *Tx) CreateBlock(b Block) error {
	_, err := tx.exec(`INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (?1, ?2, ?3)`,
		b.BlockerID, b.BlockedID, micros(b.CreatedAt))
	if err != nil {
		return fmt.Errorf("create block: %w", err)
	}
	return nil
}

// DeleteBlock takes a block back; ErrNotFound if there is none.
func (tx *Tx) DeleteBlock(blockerID, blockedID int64) error {
	if err := tx.execOne(`DELETE FROM blocks WHERE blocker_id = ?1 AND blocked_id = ?2`, blockerID, blockedID); err != nil {
		return fmt.Errorf("delete block: %w", err)
	}
	return nil
}

// DeleteBlocksOf takes all blocks back that a user has made, or has met with.
func (tx *Tx) DeleteBlocksOf(userID int64) error {
	if _, err := tx.exec(`DELETE FROM blocks WHERE blocker_id = ?1 OR blocked_id = ?1`, userID); err != nil {
		return fmt.Errorf("delete blocks of user: %w", err)
	}
	return nil
}

// FindBlock finds a block, or ErrNotFound.
func (tx *Tx) FindBlock(blockerID, blockedID int64) (Block, error) {
	b, err := first(tx, scanBlock, selectBlocks+`WHERE b.blocker_id = ?1 AND b.blocked_id = ?2`, blockerID, blockedID)
	if err != nil {
		return Block{}, fmt.Errorf("find block: %w", err)
	}
	return b, nil
}

// IsBlockedByAny tells whether one of some users has blocked a user.
func (tx *Tx) IsBlockedByAny(blockedID int64, blockerIDs []int64) (blocked bool, err error) {
	args := arguments{blockedID}
	var n int
	err = tx.one(`SELECT count(*) FROM blocks WHERE blocked_id = ?1 AND blocker_id IN (`+among(&args, blockerIDs)+`)`, args, &n)
	if err != nil {
		return false, fmt.Errorf("find block: %w", err)
	}
	return n > 0, nil
}

// ListBlocks lists up to limit blocks that a user has made, by the ids of the
// blocked, the first of them left out.
func (tx *Tx) ListBlocks(blockerID int64, limit, offset int) ([]Block, error) {
	found, err := list(tx, min(limit, 16), scanBlock, selectBlocks+`
		WHERE b.blocker_id = ?1 ORDER BY b.blocked_id LIMIT ?2 OFFSET ?3`, blockerID, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	return found, nil
}

// CountBlocks counts what ListBlocks lists.
func (tx *Tx) CountBlocks(blockerID int64) (n int, err error) {
	if err := tx.one(`SELECT count(*) FROM blocks WHERE blocker_id = ?1`, []any{blockerID}, &n); err != nil {
		return 0, fmt.Errorf("count blocks: %w", err)
	}
	return n, nil
}

const selectBlocks = `
	SELECT b.blocker_id, b.blocked_id, u.username, b.created_at
	FROM blocks b JOIN users u ON u.id = b.blocked_id
`

func scanBlock(row scanner, b *Block) error {
	var created int64
	err := row.Scan(&b.BlockerID, &b.BlockedID, &b.Username, &created)
	b.CreatedAt = fromMicros(created)
	return err
}
