package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// ReactionCount is how many people have put an emoji on a message.
type ReactionCount struct {
	Emoji string `json:"emoji" example:"👍"`
	Count int    `json:"count" example:"1"`
	Me    bool   `json:"me" example:"true" doc:"One is among them."`
}

func newReactionCount(c chat.ReactionCount) ReactionCount {
	return ReactionCount{Emoji: c.Emoji, Count: c.Count, Me: c.Me}
}

// Reactions are those of one emoji to a message.
type Reactions struct {
	ReactionCount
	Users []Reacting `json:"users" nullable:"false" doc:"Who they are, in the order in which they reacted."`
}

// Reacting is somebody who has reacted to a message.
type Reacting struct {
	UserID   int64  `json:"user_id" example:"1"`
	Username string `json:"username" example:"alice"`
}

// Reaction is an emoji that somebody has put on a message.
type Reaction struct {
	MessageID int64     `json:"message_id" example:"1"`
	UserID    int64     `json:"user_id" example:"1"`
	Username  string    `json:"username" example:"alice"`
	Emoji     string    `json:"emoji" example:"👍"`
	CreatedAt timestamp `json:"created_at"`
}

type reactionInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
	Emoji     string `path:"emoji" example:"👍" doc:"One emoji, or the word like, which is 👍. At most 20 different ones on a message."`
}

type reactionOutput struct {
	Body Reaction
}

type reactionsInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
	OffsetQuery
}

type reactionsOutput struct {
	Body []Reactions
}

func (a *API) registerReactions() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"reactions"}
		return a.signedIn(op)
	}
	list := tag(a.operation(http.MethodGet, "/v1/messages/{message_id}/reactions", "list-reactions",
		"List the reactions to a message, and whose they are", 400, 404))
	list.Description = "limit and offset are for the users of each emoji."
	register(a, list, a.listReactions)
	register(a, tag(a.operation(http.MethodPut, "/v1/messages/{message_id}/reactions/{emoji}", "react",
		"React to a message with an emoji", 400, 404)), a.react)
	register(a, tag(a.operation(http.MethodDelete, "/v1/messages/{message_id}/reactions/{emoji}", "unreact",
		"Take one's reaction back", 400, 404)), a.unreact)
}

func (a *API) listReactions(ctx context.Context, in *reactionsInput) (*reactionsOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	found, err := a.chat.Reactions(ctx, callerOf(ctx), id, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &reactionsOutput{Body: make([]Reactions, 0, len(found))}
	for _, r := range found {
		users := make([]Reacting, 0, len(r.By))
		for _, by := range r.By {
			users = append(users, Reacting{UserID: by.UserID, Username: by.Username})
		}
		out.Body = append(out.Body, Reactions{ReactionCount: newReactionCount(r.ReactionCount), Users: users})
	}
	return out, nil
}

func (s shared) react(ctx context.Context, in *reactionInput) (*reactionOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	r, err := s.chat.React(ctx, callerOf(ctx), id, in.Emoji)
	if err != nil {
		return nil, err
	}
	return &reactionOutput{Body: Reaction{
		MessageID: r.MessageID, UserID: r.UserID, Username: r.Username, Emoji: r.Emoji, CreatedAt: timestamp(r.CreatedAt),
	}}, nil
}

func (s shared) unreact(ctx context.Context, in *reactionInput) (*empty, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	return &empty{}, s.chat.Unreact(ctx, callerOf(ctx), id, in.Emoji)
}
