package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Limits of invites.
const (
	MinInviteLifetime = time.Minute
	MaxInviteLifetime = 12 * 30 * 24 * time.Hour
	MaxInviteUses     = 100_000
	MaxInvites        = 100 // of a group, at a time
)

// Invite lets whoever has its token into a group.
type Invite struct {
	store.Invite
	Token string // told once, to who made it
}

// NewInvite is an invite that somebody wants to make.
type NewInvite struct {
	ExpiresIn time.Duration // 0: never
	MaxUses   int           // 0: no limit
	Key       string        // the idempotency key
}

func (n NewInvite) validate() error {
	switch {
	case n.ExpiresIn != 0 && (n.ExpiresIn < MinInviteLifetime || n.ExpiresIn > MaxInviteLifetime):
		return invalid("expires_in", "expires_in_invalid", "An invite is good for a minute to 360 days.")
	case n.MaxUses < 0 || n.MaxUses > MaxInviteUses:
		return invalid("max_uses", "max_uses_invalid", fmt.Sprintf("An invite has at most %d uses.", MaxInviteUses))
	}
	return nil
}

// CreateInvite makes an invite to a group. Those who may add people may. It
// returns Invalid for what won't do and for a chat that is no group, Forbidden to
// others, and Conflict for a group with too many.
func (s *Service) CreateInvite(ctx context.Context, caller Caller, chatID int64, n NewInvite) (Invite, error) {
	if err := n.validate(); err != nil {
		return Invite{}, err
	}
	var invite Invite
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		return Once(tx, caller, n.Key, fmt.Sprintf("create-invite %d", chatID), now, &invite, func() error {
			if err := lockManaged(tx, caller, chatID); err != nil {
				return err
			}
			if err := tx.DeleteSpentInvites(chatID, now); err != nil {
				return err
			}
			others, err := tx.ListInvites(chatID, now)
			if err != nil {
				return err
			}
			if len(others) >= MaxInvites {
				return &Error{Kind: Conflict, Code: "too_many_invites", Message: "This group has too many invites. Revoke some."}
			}
			var random [18]byte
			rand.Read(random[:])
			token := base64.RawURLEncoding.EncodeToString(random[:])
			invite = Invite{Token: token, Invite: store.Invite{
				ChatID: chatID, TokenHash: inviteHash(token), CreatorID: caller.UserID, Creator: caller.Username,
				CreatedAt: now, MaxUses: n.MaxUses,
			}}
			if n.ExpiresIn != 0 {
				invite.ExpiresAt = now.Add(n.ExpiresIn)
			}
			return tx.CreateInvite(&invite.Invite)
		})
	})
	return invite, err
}

// Invites lists the invites to a group that are of use, by their ids, without
// their tokens. Those who may add people may look. It returns Forbidden to others,
// and Invalid for a chat that is no group.
func (s *Service) Invites(ctx context.Context, caller Caller, chatID int64) ([]Invite, error) {
	var found []Invite
	err := s.store.View(ctx, func(tx *store.Tx) error {
		if err := managed(tx, caller, chatID); err != nil {
			return err
		}
		stored, err := tx.ListInvites(chatID, s.now())
		for _, i := range stored {
			found = append(found, Invite{Invite: i})
		}
		return err
	})
	return found, err
}

// RevokeInvite ends an invite to a group. Those who may add people may. It returns
// Forbidden to others, Invalid for a chat that is no group, and NotFound for an
// invite that is not there or of no use any more.
func (s *Service) RevokeInvite(ctx context.Context, caller Caller, chatID, inviteID int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		if err := lockManaged(tx, caller, chatID); err != nil {
			return err
		}
		return refuse(tx.RevokeInvite(chatID, inviteID, s.now()), store.ErrNotFound, errNoSuchInvite())
	})
}

// InvitedTo finds the group that a token lets into. Whoever has the token may
// know. It returns NotFound for one that is of no use, whatever the reason.
func (s *Service) InvitedTo(ctx context.Context, caller Caller, token string) (Group, error) {
	var group Group
	err := s.store.View(ctx, func(tx *store.Tx) error {
		invite, err := tx.FindInviteByTokenHash(inviteHash(token), s.now())
		if err == nil {
			group, err = tx.FindGroup(caller.UserID, invite.ChatID)
		}
		return refuse(err, store.ErrNotFound, errNoSuchInvite())
	})
	return group, err
}

// AcceptInvite puts the caller into the group that a token lets into. It returns
// NotFound for a token that is of no use, whatever the reason, and Conflict to
// whoever is in the group, and if that is full; neither uses it up. It returns
// Invalid for the idempotency key, which is optional.
func (s *Service) AcceptInvite(ctx context.Context, caller Caller, token, key string) (Group, error) {
	var group Group
	hash := inviteHash(token)
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		return Once(tx, caller, key, fmt.Sprintf("accept-invite %x", hash), s.now(), &group, func() error {
			invite, err := tx.FindInviteByTokenHash(hash, s.now())
			if err == nil {
				err = tx.LockGroup(invite.ChatID)
			}
			if err == nil {
				group, err = tx.FindGroup(caller.UserID, invite.ChatID)
			}
			if err != nil {
				return refuse(err, store.ErrNotFound, errNoSuchInvite())
			}
			if group, err = s.join(tx, group, caller); err != nil {
				return err
			}
			// By now it may be used up, or revoked.
			return refuse(tx.UseInvite(invite.ID, s.now()), store.ErrNotFound, errNoSuchInvite())
		})
	})
	return group, err
}

// lockManaged locks a group that the caller may add people to, or refuses.
func lockManaged(tx *store.Tx, caller Caller, chatID int64) error {
	c, mine, err := lockGroup(tx, caller, chatID)
	if err == nil && !canManage(mine, c) {
		err = errAdminRequired()
	}
	return err
}

// managed refuses who may not add people to a group.
func managed(tx *store.Tx, caller Caller, chatID int64) error {
	group, err := groupFor(tx, caller, chatID)
	switch {
	case err != nil:
		return err
	case group.Role == "":
		return errNotParticipant()
	case !canManage(Participant{Role: group.Role}, group.Chat):
		return errAdminRequired()
	}
	return nil
}

// inviteHash is what is stored of a token: who reads the database can't use it.
func inviteHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func errNoSuchInvite() *Error {
	return &Error{Kind: NotFound, Code: "invite_not_found", Message: "There is no such invite, or it is of no use any more."}
}
