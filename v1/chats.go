package v1

import (
	"context"
	"net/http"
	"strconv"
	"strings"
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

func (a *API) registerChats() {
	create := a.signedIn(a.operation(http.MethodPost, "/v1/group_chat", "create-group",
		"Make a group, with oneself in it", 400, 413))
	create.Tags = []string{"group_chat"}
	register(a, create, a.createGroup)
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

// chatID reads a chat's id from a path. What is not all digits is no path of
// this API (contract 0: 404); a number that no chat can have is a chat that
// does not exist.
func chatID(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNoSuchPath
	}
	id, _ := strconv.ParseInt(s, 10, 64) // noChat, if the number is too large
	return id, nil
}
