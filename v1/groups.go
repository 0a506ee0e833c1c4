package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Group is a group as one meets it.
type Group struct {
	ChatID           int64     `json:"chat_id" example:"1"`
	Title            string    `json:"title,omitempty" example:"Weekend"`
	Description      string    `json:"description,omitempty" example:"Where to go, and who brings what."`
	Visibility       string    `json:"visibility" enum:"public,private" example:"private" doc:"Anybody may find and join a public group."`
	ManagedBy        string    `json:"managed_by" enum:"members,admins" example:"members" doc:"Who may add people, and remove them."`
	ParticipantCount int       `json:"participant_count" example:"2"`
	Role             string    `json:"role,omitempty" enum:"owner,admin,member" example:"owner" doc:"One's own, if one is in it."`
	CreatedAt        timestamp `json:"created_at"`
}

func newGroup(g chat.Group) Group {
	return Group{
		ChatID: g.ID, Title: g.Title, Description: g.Description, Visibility: g.Visibility, ManagedBy: g.ManagedBy,
		ParticipantCount: g.ParticipantCount, Role: g.Role, CreatedAt: timestamp(g.CreatedAt),
	}
}

type groupOutput struct {
	Body Group
}

type groupsOutput struct {
	Body []Group
}

// OffsetQuery is how a list is paged that has an order of its own. (huma finds no
// parameters in an embedded struct that is not exported.)
type OffsetQuery struct {
	Limit  int `query:"limit" minimum:"1" maximum:"500" default:"100" example:"100" doc:"At most so many."`
	Offset int `query:"offset" minimum:"0" maximum:"1000000" example:"0" doc:"So many are left out first."`
}

type groupsInput struct {
	Query string `query:"q" example:"week" doc:"Only those that have all of these words in their title and description, each at least as the beginning of one; see GET /v1/search."`
	OffsetQuery
}

type createGroupInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"weekend" doc:"A group is made once with it, and made again answers the first one."`
	Body           *struct {
		_           struct{} `additionalProperties:"true"`
		Title       string   `json:"title,omitempty" example:"Weekend" doc:"At most 128 characters, one line."`
		Description string   `json:"description,omitempty" example:"Where to go, and who brings what." doc:"At most 1000 characters."`
		Visibility  string   `json:"visibility,omitempty" enum:"public,private" example:"private" doc:"Anybody may find and join a public group. Default: private."`
		ManagedBy   string   `json:"managed_by,omitempty" enum:"members,admins" example:"members" doc:"Who may add people, and remove them. Default: members, who are all equal."`
	}
}

type groupInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
}

type joinGroupInput struct {
	GroupChatID    string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	IdempotencyKey string `header:"Idempotency-Key" example:"here-i-am" doc:"One joins once with it, and joining again answers the first time."`
}

type updateGroupInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	Body        struct {
		_           struct{} `additionalProperties:"true"`
		Title       *string  `json:"title,omitempty" example:"Weekend" doc:"At most 128 characters, one line. Empty takes it away, and so below."`
		Description *string  `json:"description,omitempty" example:"Where to go, and who brings what." doc:"At most 1000 characters."`
		Visibility  *string  `json:"visibility,omitempty" enum:"public,private" example:"private" doc:"Anybody may find and join a public group."`
		ManagedBy   *string  `json:"managed_by,omitempty" enum:"members,admins" example:"members" doc:"Who may add people, and remove them."`
	}
}

func (a *API) registerGroups() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"group_chat"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, "/v1/group_chat", "list-groups",
		"List the public groups and those that one is in, by id", 400)), a.listGroups)
	register(a, tag(a.operation(http.MethodPost, "/v1/group_chat", "create-group",
		"Make a group, with oneself in it as its owner", 400, 413)), a.createGroup)
	register(a, tag(a.operation(http.MethodGet, "/v1/group_chat/{group_chat_id}", "get-group",
		"Look at a group that one is in, or that is public", 400, 403, 404)), a.getGroup)
	register(a, a.ofParticipant(tag(a.operation(http.MethodPatch, "/v1/group_chat/{group_chat_id}", "update-group",
		"Change what is given of a group, as its owner or an admin", 400, 403, 404, 413))), a.updateGroup)
	register(a, tag(a.operation(http.MethodDelete, "/v1/group_chat/{group_chat_id}", "delete-group",
		"Delete a group with all that is in it, as its owner; for everybody, and for good", 400, 403, 404)), a.deleteGroup)
	register(a, tag(a.operation(http.MethodPost, "/v1/group_chat/{group_chat_id}/join", "join-group",
		"Join a public group", 400, 403, 404)), a.joinGroup)
}

// ofParticipant makes an operation one that only whoever takes part in the chat of
// its path may ask for. They hear that before anything about the body (contract 0,
// order of checks).
func (a *API) ofParticipant(op huma.Operation) huma.Operation {
	op.Middlewares = append(op.Middlewares, a.requireParticipant)
	return op
}

func (a *API) listGroups(ctx context.Context, in *groupsInput) (*groupsOutput, error) {
	groups, err := a.groups(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &groupsOutput{Body: make([]Group, 0, len(groups))}
	for _, g := range groups {
		out.Body = append(out.Body, newGroup(g))
	}
	return out, nil
}

func (a *API) groups(ctx context.Context, in *groupsInput) ([]chat.Group, error) {
	if in.Query == "" {
		return a.chat.Groups(ctx, callerOf(ctx), in.Limit, in.Offset)
	}
	return a.chat.SearchGroups(ctx, callerOf(ctx), in.Query, in.Limit, in.Offset)
}

func (a *API) createGroup(ctx context.Context, in *createGroupInput) (*groupOutput, error) {
	wanted := chat.NewGroup{Key: in.IdempotencyKey}
	if b := in.Body; b != nil {
		wanted.Title, wanted.Description, wanted.Visibility, wanted.ManagedBy = b.Title, b.Description, b.Visibility, b.ManagedBy
	}
	group, err := a.chat.CreateGroup(ctx, callerOf(ctx), wanted)
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: newGroup(group)}, nil
}

func (a *API) getGroup(ctx context.Context, in *groupInput) (*groupOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	group, err := a.chat.Group(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: newGroup(group)}, nil
}

func (a *API) updateGroup(ctx context.Context, in *updateGroupInput) (*groupOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	b := in.Body
	group, err := a.chat.UpdateGroup(ctx, callerOf(ctx), id, chat.GroupChange{
		Title: b.Title, Description: b.Description, Visibility: b.Visibility, ManagedBy: b.ManagedBy,
	})
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: newGroup(group)}, nil
}

func (a *API) deleteGroup(ctx context.Context, in *groupInput) (*empty, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.DeleteGroup(ctx, callerOf(ctx), id)
}

func (a *API) joinGroup(ctx context.Context, in *joinGroupInput) (*groupOutput, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	group, err := a.chat.JoinGroup(ctx, callerOf(ctx), id, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return &groupOutput{Body: newGroup(group)}, nil
}
