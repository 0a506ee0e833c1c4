package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Invite lets whoever has its token into a group.
type Invite struct {
	ID        int64      `json:"id" example:"1"`
	Token     string     `json:"token,omitempty" example:"pZ1vG5bQhT3kXw9sLr7YcD2e" doc:"Told once, to who makes the invite. Whoever has it may come in."`
	Creator   string     `json:"creator" example:"alice" doc:"The username of who made it."`
	CreatedAt timestamp  `json:"created_at"`
	ExpiresAt *timestamp `json:"expires_at,omitempty" doc:"If it does."`
	MaxUses   int        `json:"max_uses,omitempty" example:"10" doc:"If there is such a limit."`
	Uses      int        `json:"uses" example:"0" doc:"How many have come in by it."`
}

func newInvite(i chat.Invite) Invite {
	invite := Invite{
		ID: i.ID, Token: i.Token, Creator: i.Creator, CreatedAt: timestamp(i.CreatedAt), MaxUses: i.MaxUses, Uses: i.Uses,
	}
	if !i.ExpiresAt.IsZero() {
		expires := timestamp(i.ExpiresAt)
		invite.ExpiresAt = &expires
	}
	return invite
}

// Invitation is what is told of a group to whoever has the token of an invite.
type Invitation struct {
	Title            string `json:"title,omitempty" example:"Weekend"`
	Description      string `json:"description,omitempty" example:"Where to go, and who brings what."`
	ParticipantCount int    `json:"participant_count" example:"2"`
}

type createInviteInput struct {
	GroupChatID    string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	IdempotencyKey string `header:"Idempotency-Key" example:"flyer" doc:"An invite is made once with it, and made again answers the first one, with its token."`
	Body           *struct {
		_         struct{} `additionalProperties:"true"`
		ExpiresIn int64    `json:"expires_in,omitempty" minimum:"60" maximum:"31104000" example:"86400" doc:"So many seconds it is of use. Default: until it is revoked."`
		MaxUses   int      `json:"max_uses,omitempty" minimum:"1" maximum:"100000" example:"10" doc:"So many may come in by it. Default: as many as want to."`
	}
}

type inviteOutput struct {
	Body Invite
}

type invitesOutput struct {
	Body []Invite
}

type revokeInviteInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	InviteID    string `path:"invite_id" example:"1" doc:"The invite's id: digits alone."`
}

type tokenInput struct {
	Token string `path:"token" example:"pZ1vG5bQhT3kXw9sLr7YcD2e"`
}

type acceptInviteInput struct {
	Token          string `path:"token" example:"pZ1vG5bQhT3kXw9sLr7YcD2e"`
	IdempotencyKey string `header:"Idempotency-Key" example:"here-i-am" doc:"One comes in once with it, and accepting again answers the first time."`
}

type invitationOutput struct {
	Body Invitation
}

func (a *API) registerInvites() {
	const (
		all = "/v1/group_chat/{group_chat_id}/invites"
		one = "/v1/invites/{token}"
	)
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"invites"}
		return a.signedIn(op)
	}
	register(a, a.ofParticipant(tag(a.operation(http.MethodPost, all, "create-invite",
		"Make an invite to a group that one may add people to", 400, 403, 404, 413))), a.createInvite)
	register(a, tag(a.operation(http.MethodGet, all, "list-invites",
		"List the invites that are of use to a group that one may add people to, by id", 400, 403, 404)), a.listInvites)
	register(a, tag(a.operation(http.MethodDelete, all+"/{invite_id}", "revoke-invite",
		"End an invite to a group that one may add people to", 400, 403, 404)), a.revokeInvite)
	register(a, tag(a.operation(http.MethodGet, one, "get-invitation",
		"Look at what one is invited to", 404)), a.getInvitation)
	register(a, tag(a.operation(http.MethodPost, one, "accept-invite",
		"Join the group that one is invited to", 400, 404)), a.acceptInvite)
}

func (a *API) createInvite(ctx context.Context, in *createInviteInput) (*inviteOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	wanted := chat.NewInvite{Key: in.IdempotencyKey}
	if b := in.Body; b != nil {
		wanted.ExpiresIn, wanted.MaxUses = time.Duration(b.ExpiresIn)*time.Second, b.MaxUses
	}
	invite, err := a.chat.CreateInvite(ctx, callerOf(ctx), id, wanted)
	if err != nil {
		return nil, err
	}
	return &inviteOutput{Body: newInvite(invite)}, nil
}

func (a *API) listInvites(ctx context.Context, in *groupInput) (*invitesOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	found, err := a.chat.Invites(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	out := &invitesOutput{Body: make([]Invite, 0, len(found))}
	for _, i := range found {
		out.Body = append(out.Body, newInvite(i))
	}
	return out, nil
}

func (a *API) revokeInvite(ctx context.Context, in *revokeInviteInput) (*empty, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	invite, err := pathID(in.InviteID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.RevokeInvite(ctx, callerOf(ctx), id, invite)
}

func (a *API) getInvitation(ctx context.Context, in *tokenInput) (*invitationOutput, error) {
	group, err := a.chat.InvitedTo(ctx, callerOf(ctx), in.Token)
	if err != nil {
		return nil, err
	}
	return &invitationOutput{Body: Invitation{
		Title: group.Title, Description: group.Description, ParticipantCount: group.ParticipantCount,
	}}, nil
}

func (a *API) acceptInvite(ctx context.Context, in *acceptInviteInput) (*groupOutput, error) {
	group, err := a.chat.AcceptInvite(ctx, callerOf(ctx), in.Token, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: newGroup(group)}, nil
}
