package auth

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// Limits of invitations.
const (
	maxInvitationUses     = 100_000
	maxInvitationNote     = 200 // characters
	maxInvitationLifetime = 10 * 365 * 24 * time.Hour
	maxInvitations        = 1000 // at a time
)

// Invitation lets whoever has its token make an account, where registration takes one. It
// is of use only while its maker is an administrator who may sign in.
type Invitation struct {
	store.Invitation
	Token string // told once, to who made it
}

// NewInvitation is an invitation that an admin wants to make.
type NewInvitation struct {
	Note      string    // for admins
	MaxUses   int       // 0: one
	ExpiresAt time.Time // zero: never
}

// CreateInvitation makes an invitation. It returns Forbidden to who is no admin, Invalid
// for what won't do, and Conflict if there are too many.
func (s *Service) CreateInvitation(ctx context.Context, caller chat.Caller, n NewInvitation) (Invitation, error) {
	if err := chat.RequireAdmin(caller); err != nil {
		return Invitation{}, err
	}
	now := s.now()
	n.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Microsecond) // as it is stored
	note, err := chat.PrepareLine("note", n.Note, maxInvitationNote)
	switch {
	case err != nil:
		return Invitation{}, err
	case n.MaxUses < 0 || n.MaxUses > maxInvitationUses:
		return Invitation{}, &chat.Error{
			Kind: chat.Invalid, Code: "max_uses_invalid", Field: "max_uses",
			Message: "An invitation has at most " + strconv.Itoa(maxInvitationUses) + " uses.",
		}
	case !n.ExpiresAt.IsZero() && (!n.ExpiresAt.After(now) || n.ExpiresAt.After(now.Add(maxInvitationLifetime))):
		return Invitation{}, &chat.Error{
			Kind: chat.Invalid, Code: "expires_at_invalid", Field: "expires_at",
			Message: "An invitation ends in the future, and within ten years.",
		}
	}
	i := Invitation{Token: newToken(invitationPrefix), Invitation: store.Invitation{
		CreatorID: caller.UserID, Creator: caller.Username, Note: note, CreatedAt: now,
		ExpiresAt: n.ExpiresAt, MaxUses: max(1, n.MaxUses),
	}}
	i.TokenHash = hashToken([]byte(i.Token))
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteSpentInvitations(now); err != nil {
			return err
		}
		others, err := tx.CountInvitations()
		if err != nil {
			return err
		}
		if others >= maxInvitations {
			return &chat.Error{
				Kind: chat.Conflict, Code: "too_many_invitations", Message: "There are too many invitations. Revoke some.",
			}
		}
		if err := tx.CreateInvitation(&i.Invitation); err != nil {
			return err
		}
		return s.chat.Audit(tx, caller, chat.AuditEntry{
			Action: chat.AdminInvitationCreated, Detail: invitationDetail(i.ID),
		})
	})
	if err != nil {
		return Invitation{}, err
	}
	return i, nil
}

// Invitations lists the invitations that are of use, by their ids, without their tokens.
// It returns Forbidden to who is no admin.
func (s *Service) Invitations(ctx context.Context, caller chat.Caller, limit, offset int) ([]Invitation, error) {
	if err := chat.RequireAdmin(caller); err != nil {
		return nil, err
	}
	var stored []store.Invitation
	err := s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		stored, err = tx.ListInvitations(s.now(), limit, offset)
		return err
	})
	found := make([]Invitation, len(stored))
	for i := range stored {
		found[i].Invitation = stored[i]
	}
	return found, err
}

// RevokeInvitation ends an invitation, whoever made it; the accounts that were made with
// it stay. It returns Forbidden to who is no admin, and NotFound for an invitation that
// is not there or of no use any more.
func (s *Service) RevokeInvitation(ctx context.Context, caller chat.Caller, id int64) error {
	if err := chat.RequireAdmin(caller); err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		err := tx.RevokeInvitation(id, s.now())
		if errors.Is(err, store.ErrNotFound) {
			return &chat.Error{
				Kind: chat.NotFound, Code: "invitation_not_found",
				Message: "There is no such invitation, or it is of no use any more.",
			}
		}
		if err != nil {
			return err
		}
		return s.chat.Audit(tx, caller, chat.AuditEntry{
			Action: chat.AdminInvitationRevoked, Detail: invitationDetail(id),
		})
	})
}

// findInvitation finds the invitation that somebody registers with.
func (s *Service) findInvitation(ctx context.Context, token string) (i store.Invitation, err error) {
	if token == "" {
		return i, &chat.Error{
			Kind: chat.Forbidden, Code: "invitation_required", Field: "invitation",
			Message: "This site takes new accounts by invitation only.",
		}
	}
	if !wellFormed(token, invitationPrefix, randomLength) {
		return i, errInvitation()
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		i, err = tx.FindInvitationByTokenHash(hashToken([]byte(token)), s.now())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return i, errInvitation()
	}
	return i, err
}

// errInvitation is the same, whatever is wrong with it: nobody learns what others have.
func errInvitation() *chat.Error {
	return &chat.Error{
		Kind: chat.Forbidden, Code: "invitation_invalid", Field: "invitation",
		Message: "There is no such invitation, or it is of no use any more.",
	}
}

// invitationDetail names an invitation in the audit log.
func invitationDetail(id int64) string { return "invitation " + strconv.FormatInt(id, 10) }
