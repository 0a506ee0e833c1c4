package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/auth"
)

// AccountInvitation lets whoever has its token make an account.
type AccountInvitation struct {
	ID        int64      `json:"id" example:"1"`
	Token     string     `json:"token,omitempty" example:"cmsg_inv_ABCDEFGHIJKLMNOPQRSTUVWXYZ2345ABC" doc:"Told once, to who makes the invitation."`
	Note      string     `json:"note,omitempty" example:"For the new colleagues" doc:"For administrators."`
	Creator   string     `json:"creator" example:"alice" doc:"The username of who made it."`
	CreatedAt timestamp  `json:"created_at"`
	ExpiresAt *timestamp `json:"expires_at,omitempty" doc:"If it does."`
	MaxUses   int        `json:"max_uses" example:"10"`
	Uses      int        `json:"uses" example:"0" doc:"How many accounts have been made with it."`
}

func newAccountInvitation(i auth.Invitation) AccountInvitation {
	invitation := AccountInvitation{
		ID: i.ID, Token: i.Token, Note: i.Note, Creator: i.Creator, CreatedAt: timestamp(i.CreatedAt), MaxUses: i.MaxUses, Uses: i.Uses,
	}
	if !i.ExpiresAt.IsZero() {
		expires := timestamp(i.ExpiresAt)
		invitation.ExpiresAt = &expires
	}
	return invitation
}

type createInvitationInput struct {
	Body *struct {
		_         struct{}   `additionalProperties:"true"`
		Note      string     `json:"note,omitempty" example:"For the new colleagues" doc:"For administrators: one line, at most 200 characters."`
		MaxUses   int        `json:"max_uses,omitempty" minimum:"1" maximum:"100000" example:"10" doc:"So many accounts may be made with it. Default: 1."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" example:"2030-01-01T00:00:00Z" doc:"Until then it is of use, at most for ten years. Default: until it is revoked."`
	}
}

type accountInvitationOutput struct {
	Body AccountInvitation
}

type listInvitationsInput struct {
	OffsetQuery
}

type accountInvitationsOutput struct {
	Body []AccountInvitation
}

type revokeInvitationInput struct {
	ID string `path:"id" example:"1" doc:"The invitation's id: digits alone."`
}

func (a *API) registerInvitations() {
	const all = "/v1/admin/invitations"
	op := func(method, path, id, summary string, errors ...int) huma.Operation {
		return a.forAdmins(a.operation(method, path, id, summary, errors...))
	}
	register(a, op(http.MethodPost, all, "admin-create-invitation",
		"Make an invitation, with which accounts can be made where registration is by invitation", 400, 413), a.createInvitation)
	register(a, op(http.MethodGet, all, "admin-list-invitations",
		"List the invitations that are of use, by id", 400), a.listInvitations)
	register(a, op(http.MethodDelete, all+"/{id}", "admin-revoke-invitation",
		"End an invitation; the accounts that were made with it stay", 404), a.revokeInvitation)
}

func (a *API) createInvitation(ctx context.Context, in *createInvitationInput) (*accountInvitationOutput, error) {
	var wanted auth.NewInvitation
	if b := in.Body; b != nil {
		wanted.Note, wanted.MaxUses = b.Note, b.MaxUses
		if b.ExpiresAt != nil {
			wanted.ExpiresAt = *b.ExpiresAt
		}
	}
	i, err := a.auth.CreateInvitation(ctx, callerOf(ctx), wanted)
	if err != nil {
		return nil, err
	}
	return &accountInvitationOutput{Body: newAccountInvitation(i)}, nil
}

func (a *API) listInvitations(ctx context.Context, in *listInvitationsInput) (*accountInvitationsOutput, error) {
	found, err := a.auth.Invitations(ctx, callerOf(ctx), in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &accountInvitationsOutput{Body: make([]AccountInvitation, 0, len(found))}
	for _, i := range found {
		out.Body = append(out.Body, newAccountInvitation(i))
	}
	return out, nil
}

func (a *API) revokeInvitation(ctx context.Context, in *revokeInvitationInput) (*empty, error) {
	id, err := pathID(in.ID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.auth.RevokeInvitation(ctx, callerOf(ctx), id)
}
