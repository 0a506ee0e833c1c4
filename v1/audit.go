package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/caddymsg/messaging/chat"
)

// AuditEntry says who has done what.
type AuditEntry struct {
	ID        int64     `json:"id" example:"1" doc:"Higher than that of every entry before."`
	Action    string    `json:"action" example:"user.signed_in"`
	ActorID   int64     `json:"actor_id,omitempty" example:"1" doc:"Who did it. Left out, if nobody was signed in."`
	UserID    int64     `json:"user_id,omitempty" example:"1" doc:"To which account."`
	ChatID    int64     `json:"chat_id,omitempty" example:"1" doc:"To which chat."`
	Address   string    `json:"address,omitempty" example:"192.0.2.7" doc:"Of the client."`
	Detail    string    `json:"detail,omitempty" example:"display_name, email" doc:"The names of the fields that were changed; or where it was done, if on the machine itself: command, configuration."`
	CreatedAt timestamp `json:"created_at"`
}

type auditInput struct {
	Action string    `query:"action" example:"user.signed_in" doc:"user.signed_in, user.sign_in_failed, user.sessions_ended, user.token_reused, user.key_created, user.registered, user.password_changed, user.password_reset, user.email_changed, user.blocked, user.unblocked, message.blocked, admin.user_created, admin.user_updated, admin.password_reset, admin.user_deactivated, admin.user_reactivated, admin.user_deleted, admin.sessions_ended, admin.group_deleted, admin.granted, admin.revoked, admin.invitation_created or admin.invitation_revoked."`
	Actor  int64     `query:"actor" minimum:"1" example:"1" doc:"The id of who did it."`
	User   int64     `query:"user" minimum:"1" example:"1" doc:"The id of the account that it was done to."`
	Chat   int64     `query:"chat" minimum:"1" example:"1" doc:"The id of a chat."`
	From   time.Time `query:"from" example:"2026-11-01T00:00:00Z" doc:"Not before this moment."`
	To     time.Time `query:"to" example:"2126-12-01T00:00:00Z" doc:"Before this moment."`
	Before int64     `query:"before" minimum:"1" example:"1000000" doc:"Only entries with a lower id: the next page."`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100" example:"20" doc:"At most so many."`
}

type auditOutput struct {
	Body []AuditEntry
}

func (a *API) registerAudit() {
	register(a, a.forAdmins(a.operation(http.MethodGet, "/v1/admin/audit_log", "admin-audit-log",
		"Read who has done what, newest first; entries are kept for 90 days", 400)), a.auditLog)
}

func (a *API) auditLog(ctx context.Context, in *auditInput) (*auditOutput, error) {
	entries, err := a.chat.AuditLog(ctx, callerOf(ctx), chat.AuditFilter{
		Action: in.Action, ActorID: in.Actor, UserID: in.User, ChatID: in.Chat,
		From: in.From, To: in.To, Before: in.Before,
	}, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &auditOutput{Body: make([]AuditEntry, 0, len(entries))}
	for _, e := range entries {
		out.Body = append(out.Body, AuditEntry{
			ID: e.ID, Action: e.Action, ActorID: e.ActorID, UserID: e.UserID, ChatID: e.ChatID,
			Address: e.Address, Detail: e.Detail, CreatedAt: timestamp(e.CreatedAt),
		})
	}
	return out, nil
}
