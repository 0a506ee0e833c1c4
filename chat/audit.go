package chat

import (
	"context"
	"slices"
	"time"

	"github.com/caddymsg/messaging/store"
)

// AuditEntry says who has done what.
type AuditEntry = store.AuditEntry

// AuditFilter says which entries one wants.
type AuditFilter = store.AuditFilter

// What the audit log tells of. An entry has the id of who did it, if somebody was
// signed in, and of the account that it was done to.
const (
	UserSignedIn         = "user.signed_in"
	UserSignInFailed     = "user.sign_in_failed" // of no account, if there is none of that name
	UserSessionsEnded    = "user.sessions_ended" // one's own: one, or all
	UserTokenReused      = "user.token_reused"   //nolint:gosec // of a refresh token, which ended its session; it is no secret itself
	UserKeyCreated       = "user.key_created"    // the detail is its name
	UserRegistered       = "user.registered"
	UserPasswordChanged  = "user.password_changed" // by who knew it
	UserPasswordReset    = "user.password_reset"   // by who reads the mails
	UserEmailChanged     = "user.email_changed"
	UserBlocked          = "user.blocked"
	UserUnblocked        = "user.unblocked"
	MessageBlocked       = "message.blocked" // refused: the account has blocked who wanted to send it
	AdminUserCreated     = "admin.user_created"
	AdminUserUpdated     = "admin.user_updated" // the detail names the fields
	AdminPasswordReset   = "admin.password_reset"
	AdminUserDeactivated = "admin.user_deactivated"
	AdminUserReactivated = "admin.user_reactivated"
	AdminUserDeleted     = "admin.user_deleted"
	AdminSessionsEnded   = "admin.sessions_ended"
	AdminGroupDeleted    = "admin.group_deleted"
	AdminGranted         = "admin.granted"
	AdminRevoked         = "admin.revoked"
	// The detail names the invitation, here and where somebody has registered by one.
	AdminInvitationCreated = "admin.invitation_created"
	AdminInvitationRevoked = "admin.invitation_revoked"
)

// AuditActions are all actions that there are.
func AuditActions() []string {
	return []string{
		UserSignedIn, UserSignInFailed, UserSessionsEnded, UserTokenReused, UserKeyCreated, UserRegistered,
		UserPasswordChanged, UserPasswordReset, UserEmailChanged, UserBlocked, UserUnblocked, MessageBlocked,
		AdminUserCreated, AdminUserUpdated, AdminPasswordReset, AdminUserDeactivated, AdminUserReactivated,
		AdminUserDeleted, AdminSessionsEnded, AdminGroupDeleted, AdminGranted, AdminRevoked,
		AdminInvitationCreated, AdminInvitationRevoked,
	}
}

// auditKept is how long an entry is kept, and auditCleaned how many old ones a new
// one may take away.
const (
	auditKept    = 90 * 24 * time.Hour
	auditCleaned = 10
)

// Audit adds an entry, in the Update of what it tells of. It sets who did it, and
// when.
func (s *Service) Audit(tx *store.Tx, caller Caller, e AuditEntry) error {
	e.ActorID, e.Address, e.CreatedAt = caller.UserID, caller.Address, s.now()
	if caller.UserID == 0 {
		e.Detail = caller.Username // see Operator
	}
	if err := tx.CreateAuditEntry(&e); err != nil {
		return err
	}
	// As fast as entries are made, they go.
	return tx.DeleteAuditEntries(e.CreatedAt.Add(-auditKept), auditCleaned)
}

// AuditLog lists up to limit entries, newest first. It returns Forbidden to who is
// no admin, and Invalid for an action that there is not.
func (s *Service) AuditLog(ctx context.Context, caller Caller, f AuditFilter, limit int) (entries []AuditEntry, err error) {
	if err := RequireAdmin(caller); err != nil {
		return nil, err
	}
	if f.Action != "" && !slices.Contains(AuditActions(), f.Action) {
		return nil, invalid("action", "action_unknown", "There is no such action.")
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		entries, err = tx.ListAuditEntries(f, limit)
		return err
	})
	return entries, err
}

// auditBlocked notes that a message was refused for a block, if that is what err
// says. Nothing of the attempt is left, so that it takes an Update of its own; if
// that fails, the answer is still the refusal.
func (s *Service) auditBlocked(ctx context.Context, caller Caller, d Draft, err error) {
	if refusal := AsError(err); refusal == nil || refusal.Code != CodeBlocked {
		return
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		e := AuditEntry{Action: MessageBlocked, ChatID: d.ChatID}
		if d.ChatID != 0 {
			c, err := tx.FindChatByID(d.ChatID)
			if err != nil {
				return err
			}
			e.UserID = c.OtherThan(caller.UserID)
		} else {
			to, err := findUser(tx, d.To, "dest_username")
			if err != nil {
				return err
			}
			e.UserID = to.ID
		}
		return s.Audit(tx, caller, e)
	})
	if err != nil {
		s.log.WarnContext(ctx, "blocked message not noted in the audit log", "error", err)
	}
}
