package v1

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

type createGroupInput struct {
	Body *struct {
		_     struct{} `additionalProperties:"true"`
		Title string   `json:"title,omitempty" example:"Weekend" doc:"At most 128 characters, one line."`
	}
}

type createGroupOutput struct {
	Body struct {
		ChatID int64  `json:"chat_id" example:"1"`
		Title  string `json:"title,omitempty" example:"Weekend"`
	}
}

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

func (a *API) registerGroups() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"group_chat"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodPost, "/v1/group_chat", "create-group",
		"Make a group, with oneself in it", 400, 413)), a.createGroup)

	add := tag(a.operation(http.MethodPost, "/v1/group_chat/{group_chat_id}/participants", "add-participant",
		"Add somebody to a group that one is in", 400, 403, 404, 413))
	// Whoever is not in the chat hears that before anything about the body
	// (contract 0, order of checks).
	add.Middlewares = append(add.Middlewares, a.requireParticipant)
	register(a, add, a.addParticipant)

	register(a, tag(a.operation(http.MethodDelete, "/v1/group_chat/{group_chat_id}/participants/{user}", "remove-participant",
		"Remove somebody, or oneself, from a group that one is in", 400, 403, 404)), a.removeParticipant)
}

func (a *API) createGroup(ctx context.Context, in *createGroupInput) (*createGroupOutput, error) {
	title := ""
	if in.Body != nil {
		title = in.Body.Title
	}
	group, err := a.chat.CreateGroup(ctx, callerOf(ctx), title)
	if err != nil {
		return nil, err
	}
	out := &createGroupOutput{}
	out.Body.ChatID, out.Body.Title = group.ID, group.Title
	return out, nil
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

// chatID reads a chat's id from a path. What is not all digits is no path of
// this API (contract 0: 404); a number that no chat can have is a chat that
// does not exist.
func chatID(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNoSuchPath
	}
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, nil
	}
	return id, nil
}
