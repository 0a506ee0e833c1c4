package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Participant is somebody's place in a chat.
type Participant struct {
	ChatID       int64     `json:"chat_id" example:"1"`
	UserID       int64     `json:"user_id" example:"2"`
	Username     string    `json:"username" example:"bob"`
	Role         string    `json:"role" enum:"owner,admin,member" example:"member"`
	JoinedAt     timestamp `json:"joined_at"`
	ReadSeq      int64     `json:"read_seq" example:"12" doc:"Up to the message with this number, all is read."`
	DeliveredSeq int64     `json:"delivered_seq" example:"12" doc:"Up to the message with this number, all has come to a device."`
}

func newParticipant(p chat.Participant) Participant {
	return Participant{
		ChatID: p.ChatID, UserID: p.UserID, Username: p.Username, Role: p.Role, JoinedAt: timestamp(p.JoinedAt),
		ReadSeq: p.ReadSeq, DeliveredSeq: p.DeliveredSeq,
	}
}

type participantOutput struct {
	Body Participant
}

type listParticipantsInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	OffsetQuery
}

type participantsOutput struct {
	Body []Participant
}

type addParticipantInput struct {
	GroupChatID    string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	IdempotencyKey string `header:"Idempotency-Key" example:"welcome" doc:"Somebody is added once with it, and added again, the first answer is given."`
	Body           struct {
		_        struct{} `additionalProperties:"true"`
		Username string   `json:"username" minLength:"1" example:"bob"`
	}
}

type participantInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	User        string `path:"user" example:"bob" doc:"The username; or, if nobody has such a username, the user's id."`
}

type setRoleInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	User        string `path:"user" example:"bob" doc:"The username; or, if nobody has such a username, the user's id."`
	Body        struct {
		_    struct{} `additionalProperties:"true"`
		Role string   `json:"role" enum:"owner,admin,member" example:"admin" doc:"There is one owner: another takes one's place, and one is an admin then."`
	}
}

func (a *API) registerParticipants() {
	const (
		all = "/v1/group_chat/{group_chat_id}/participants"
		one = all + "/{user}"
	)
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"group_chat"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, all, "list-participants",
		"List who takes part in a chat that one is in, by how long they have", 400, 403, 404)), a.listParticipants)
	register(a, a.ofParticipant(tag(a.operation(http.MethodPost, all, "add-participant",
		"Add somebody to a group that one is in; if its admins manage it, as one of them", 400, 403, 404, 413))), a.addParticipant)
	register(a, a.ofParticipant(tag(a.operation(http.MethodPatch, one, "set-role",
		"Give a participant of a group another role, as its owner", 400, 403, 404, 413))), a.setRole)
	register(a, tag(a.operation(http.MethodDelete, one, "remove-participant",
		"Remove somebody from a group that one is in; if its admins manage it, as one of them. Or leave it", 400, 403, 404)), a.removeParticipant)
}

func (a *API) listParticipants(ctx context.Context, in *listParticipantsInput) (*participantsOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	found, err := a.chat.Participants(ctx, callerOf(ctx), id, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &participantsOutput{Body: make([]Participant, 0, len(found))}
	for _, p := range found {
		out.Body = append(out.Body, newParticipant(p))
	}
	return out, nil
}

func (a *API) addParticipant(ctx context.Context, in *addParticipantInput) (*participantOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	added, err := a.chat.AddParticipant(ctx, callerOf(ctx), id, in.Body.Username, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return &participantOutput{Body: newParticipant(added)}, nil
}

func (a *API) setRole(ctx context.Context, in *setRoleInput) (*participantOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	p, err := a.chat.SetRole(ctx, callerOf(ctx), id, in.User, in.Body.Role)
	if err != nil {
		return nil, err
	}
	return &participantOutput{Body: newParticipant(p)}, nil
}

func (a *API) removeParticipant(ctx context.Context, in *participantInput) (*empty, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.RemoveParticipant(ctx, callerOf(ctx), id, in.User)
}

func (a *API) requireParticipant(ctx huma.Context, next func(huma.Context)) {
	id, err := pathID(ctx.Param("group_chat_id"))
	if err == nil {
		err = a.chat.RequireParticipant(ctx.Context(), callerOf(ctx.Context()), id)
	}
	if err != nil {
		a.writeHumaError(ctx, err)
		return
	}
	next(ctx)
}
