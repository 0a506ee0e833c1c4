package store

import (
	"database/sql"
	"fmt"
	"time"
)

// Invite lets whoever has its token into a group.
type Invite struct {
	ID        int64
	ChatID    int64
	TokenHash []byte `json:"-"` // SHA-256
	CreatorID int64
	Creator   string // read only, the creator's username
	CreatedAt time.Time
	ExpiresAt time.Time // zero, if it does not
	MaxUses   int       // 0, if there is no such limit
	Uses      int
}

// live is what holds for an invite that is of use at the time ?1.
const live = `i.revoked_at IS NULL
	AND (i.expires_at IS NULL OR i.expires_at > ?1) AND (i.max_uses IS NULL OR i.uses < i.max_uses)`

const selectInvites = `
	SELECT i.id, i.chat_id, i.token_hash, i.creator_id, u.username, i.created_at, i.expires_at, coalesce(i.max_uses, 0), i.uses
	FROM invites i JOIN users u ON u.id = i.creator_id
`

func scanInvite(row scanner, i *Invite) error {
	var created int64
	var expires sql.NullInt64
	err := row.Scan(&i.ID, &i.ChatID, &i.TokenHash, &i.CreatorID, &i.Creator, &created, &expires, &i.MaxUses, &i.Uses)
	i.CreatedAt, i.ExpiresAt = fromMicros(created), timeOrZero(expires)
	return err
}

// CreateInvite stores an invite and sets its ID.
func (tx *Tx) CreateInvite(i *Invite) (err error) {
	i.ID, err = tx.insert(`
		INSERT INTO invites (chat_id, token_hash, creator_id, created_at, expires_at, max_uses)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		i.ChatID, i.TokenHash, i.CreatorID, micros(i.CreatedAt), timeOrNull(i.ExpiresAt), orNull(i.MaxUses))
	if err != nil {
		return fmt.Errorf("create invite: %w", err)
	}
	return nil
}

// FindInviteByTokenHash finds an invite that is of use at a time, or ErrNotFound.
func (tx *Tx) FindInviteByTokenHash(hash []byte, at time.Time) (Invite, error) {
	i, err := first(tx, scanInvite, selectInvites+`WHERE `+live+` AND i.token_hash = ?2`, micros(at), hash)
	if err != nil {
		return Invite{}, fmt.Errorf("find invite: %w", err)
	}
	return i, nil
}

// ListInvites lists the invites of a chat that are of use at a time, by their
// ids.
func (tx *Tx) ListInvites(chatID int64, at time.Time) ([]Invite, error) {
	found, err := list(tx, 16, scanInvite, selectInvites+`
		WHERE `+live+` AND i.chat_id = ?2 ORDER BY i.id`, micros(at), chatID)
	if err != nil {
		return nil, fmt.Errorf("list invites: %w", err)
	}
	return found, nil
}

// UseInvite counts a use of an invite; ErrNotFound if it is of no use at that
// time.
func (tx *Tx) UseInvite(id int64, at time.Time) error {
	err := tx.execOne(`UPDATE invites AS i SET uses = uses + 1 WHERE `+live+` AND i.id = ?2`, micros(at), id)
	if err != nil {
		return fmt.Errorf("use invite: %w", err)
	}
	return nil
}

// RevokeInvite ends an invite of a chat; ErrNotFound if there is none that is of
// use at that time.
func (tx *Tx) RevokeInvite(chatID, id int64, at time.Time) error {
	err := tx.execOne(`UPDATE invites AS i SET revoked_at = ?1 WHERE `+live+` AND i.id = ?2 AND i.chat_id = ?3`,
		micros(at), id, chatID)
	if err != nil {
		return fmt.Errorf("revoke invite: %w", err)
	}
	return nil
}

// RevokeInvitesOf ends the invites to a chat that a user has made.
func (tx *Tx) RevokeInvitesOf(chatID, creatorID int64, at time.Time) error {
	_, err := tx.exec(`UPDATE invites SET revoked_at = ?1 WHERE chat_id = ?2 AND creator_id = ?3 AND revoked_at IS NULL`,
		micros(at), chatID, creatorID)
	if err != nil {
		return fmt.Errorf("revoke invites of user: %w", err)
	}
	return nil
}

// DeleteSpentInvites removes the invites to a chat that are of no use any more
// at a time.
func (tx *Tx) DeleteSpentInvites(chatID int64, at time.Time) error {
	_, err := tx.exec(`DELETE FROM invites WHERE id IN (SELECT i.id FROM invites i WHERE i.chat_id = ?2 AND NOT (`+live+`))`,
		micros(at), chatID)
	if err != nil {
		return fmt.Errorf("delete spent invites: %w", err)
	}
	return nil
}
