package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type addParticipantInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	Body        struct {
		_        struct{} `additionalProperties:"true"`
		Username string   `json:"username" minLength:"1" example:"bob"`
	}
}

// Participant is somebody's place in a chat.
type Participant struct {
	ChatID   int64  `json:"chat_id" example:"1"`
	UserID   int64  `json:"user_id" example:"2"`
	Username string `json:"username" example:"bob"`
}

type participantOutput struct {
	Body Participant
}

type removeParticipantInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	User        string `path:"user" example:"bob" doc:"The username; or, if nobody has such a username, the user's id."`
}

func (a *API) registerParticipants() {
	add := a.signedIn(a.operation(http.MethodPost, "/v1/group_chat/{group_chat_id}/participants", "add-participant",
		"Add somebody to a group that one is in", 400, 403, 404, 413))
	add.Tags = []string{"group_chat"}
	// Whoever is not in the chat hears that before anything about the body
	// (contract 0, order of checks).
	add.Middlewares = append(add.Middlewares, a.requireParticipant)
	register(a, add, a.addParticipant)

	remove := a.signedIn(a.operation(http.MethodDelete, "/v1/group_chat/{group_chat_id}/participants/{user}", "remove-participant",
		"Remove somebody, or oneself, from a group that one is in", 400, 403, 404))
	remove.Tags = []string{"group_chat"}
	register(a, remove, a.removeParticipant)
}

func (a *API) addParticipant(ctx context.Context, in *addParticipantInput) (*participantOutput, error) {
	id, err := chatID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	user, err := a.chat.AddParticipant(ctx, callerOf(ctx), id, in.Body.Username)
	if err != nil {
		return nil, err
	}
	return &participantOutput{Body: Participant{ChatID: id, UserID: user.ID, Username: user.Username}}, nil
}

func (a *API) removeParticipant(ctx context.Context, in *removeParticipantInput) (*empty, error) {
	id, err := chatID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.RemoveParticipant(ctx, callerOf(ctx), id, in.User)
}

func (a *API) requireParticipant(ctx huma.Context, next func(huma.Context)) {
	id, err := chatID(ctx.Param("group_chat_id"))
	if err == nil {
		err = a.chat.RequireParticipant(ctx.Context(), callerOf(ctx.Context()), id)
	}
	if err != nil {
		a.writeHumaError(ctx, err)
		return
	}
	next(ctx)
}
