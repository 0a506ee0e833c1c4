package store

import (
	"database/sql"
	"fmt"
	"time"
)

// Invitation lets whoever has its token make an account, while its creator is an
// administrator who may sign in.
type Invitation struct {
	ID        int64
	TokenHash []byte `json:"-"` // SHA-256
	CreatorID int64
	Creator   string // read only, the creator's username
	Note      string // of the creator, for themselves and other admins
	CreatedAt time.Time
	ExpiresAt time.Time // zero, if it does not
	MaxUses   int
	Uses      int
}

// invitationOfUse is what holds for an invitation that is of use at the time ?1.
const invitationOfUse = `(i.expires_at IS NULL OR i.expires_at > ?1) AND i.uses < i.max_uses
	AND EXISTS (SELECT 1 FROM users a WHERE a.id = i.creator_id AND a.admin = 1 AND a.deactivated_at IS NULL AND a.deleted_at IS NULL)`

const selectInvitations = `
	SELECT i.id, i.token_hash, i.creator_id, u.username, i.note, i.created_at, i.expires_at, i.max_uses, i.uses
	FROM invitations i JOIN users u ON u.id = i.creator_id
`

func scanInvitation(row scanner, i *Invitation) error {
	var created int64
	var expires sql.NullInt64
	err := row.Scan(&i.ID, &i.TokenHash, &i.CreatorID, &i.Creator, &i.Note, &created, &expires, &i.MaxUses, &i.Uses)
	i.CreatedAt, i.ExpiresAt = fromMicros(created), timeOrZero(expires)
	return err
}

// CreateInvitation stores an invitation and sets its ID.
func (tx *Tx) CreateInvitation(i *Invitation) (err error) {
	i.ID, err = tx.insert(`
		INSERT INTO invitations (token_hash, creator_id, note, created_at, expires_at, max_uses)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		i.TokenHash, i.CreatorID, i.Note, micros(i.CreatedAt), timeOrNull(i.ExpiresAt), i.MaxUses)
	if err != nil {
		return fmt.Errorf("create invitation: %w", err)
	}
	return nil
}

// FindInvitationByTokenHash finds an invitation that is of use at a time, or
// ErrNotFound.
func (tx *Tx) FindInvitationByTokenHash(hash []byte, at time.Time) (Invitation, error) {
	i, err := first(tx, scanInvitation, selectInvitations+`WHERE `+invitationOfUse+` AND i.token_hash = ?2`, micros(at), hash)
	if err != nil {
		return Invitation{}, fmt.Errorf("find invitation: %w", err)
	}
	return i, nil
}

// ListInvitations lists the invitations that are of use at a time, by their ids.
func (tx *Tx) ListInvitations(at time.Time, limit, offset int) ([]Invitation, error) {
	found, err := list(tx, 16, scanInvitation, selectInvitations+`
		WHERE `+invitationOfUse+` ORDER BY i.id LIMIT ?2 OFFSET ?3`, micros(at), limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	return found, nil
}

// CountInvitations counts the invitations that there are.
func (tx *Tx) CountInvitations() (n int, err error) {
	if err := tx.one(`SELECT count(*) FROM invitations`, nil, &n); err != nil {
		return 0, fmt.Errorf("count invitations: %w", err)
	}
	return n, nil
}

// UseInvitation counts a use of an invitation; ErrNotFound if it is of no use at that
// time.
func (tx *Tx) UseInvitation(id int64, at time.Time) error {
	err := tx.execOne(`UPDATE invitations AS i SET uses = uses + 1 WHERE `+invitationOfUse+` AND i.id = ?2`, micros(at), id)
	if err != nil {
		return fmt.Errorf("use invitation: %w", err)
	}
	return nil
}

// RevokeInvitation removes an invitation; ErrNotFound if there is none that is of use at
// that time.
func (tx *Tx) RevokeInvitation(id int64, at time.Time) error {
	err := tx.execOne(`DELETE FROM invitations AS i WHERE `+invitationOfUse+` AND i.id = ?2`, micros(at), id)
	if err != nil {
		return fmt.Errorf("revoke invitation: %w", err)
	}
	return nil
}

// DeleteSpentInvitations removes the invitations that are of no use any more at a
// time.
func (tx *Tx) DeleteSpentInvitations(at time.Time) error {
	_, err := tx.exec(`DELETE FROM invitations WHERE id IN (SELECT i.id FROM invitations i WHERE NOT (`+invitationOfUse+`))`,
		micros(at))
	if err != nil {
		return fmt.Errorf("delete spent invitations: %w", err)
	}
	return nil
}
