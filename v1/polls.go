package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// NewPoll is a poll to be sent. The message is its question.
type NewPoll struct {
	_         struct{} `additionalProperties:"true"`
	Options   []string `json:"options" minItems:"2" maxItems:"10" nullable:"false" example:"[\"Pizza\",\"Sushi\"]" doc:"The answers to choose from: all different, one line and at most 100 characters each."`
	Multiple  bool     `json:"multiple,omitempty" example:"false" doc:"More than one may be chosen."`
	Anonymous bool     `json:"anonymous,omitempty" example:"false" doc:"Nobody is told who has voted for what."`
	ClosesIn  int64    `json:"closes_in,omitempty" minimum:"1" maximum:"31622400" example:"86400" doc:"For how many seconds one may vote. Without it, until the poll is closed."`
}

// draft is nil for no poll.
func (p *NewPoll) draft() *chat.NewPoll {
	if p == nil {
		return nil
	}
	return &chat.NewPoll{
		Options: p.Options, Multiple: p.Multiple, Anonymous: p.Anonymous, ClosesIn: time.Duration(p.ClosesIn) * time.Second,
	}
}

// Poll is a poll and how it stands.
type Poll struct {
	Options   []PollOption `json:"options" nullable:"false"`
	Multiple  bool         `json:"multiple" example:"false" doc:"More than one may be chosen."`
	Anonymous bool         `json:"anonymous" example:"false" doc:"Nobody is told who has voted for what."`
	ClosesAt  *timestamp   `json:"closes_at,omitempty" doc:"When it closes, or has closed. UTC."`
	Closed    bool         `json:"closed" example:"false" doc:"One can't vote any more."`
	Voters    int          `json:"voters" example:"1" doc:"How many people have voted."`
}

// PollOption is an answer to choose, and how often it was.
type PollOption struct {
	Text  string `json:"text" example:"Pizza"`
	Votes int    `json:"votes" example:"1"`
	Me    bool   `json:"me" example:"true" doc:"One has chosen it."`
}

// newPoll is nil for no poll.
func newPoll(p *chat.Poll) *Poll {
	if p == nil {
		return nil
	}
	poll := &Poll{
		Options: make([]PollOption, 0, len(p.Options)), Multiple: p.Multiple, Anonymous: p.Anonymous,
		Closed: p.Closed, Voters: p.Voters,
	}
	for _, o := range p.Options {
		poll.Options = append(poll.Options, PollOption{Text: o.Text, Votes: o.Votes, Me: o.Me})
	}
	if !p.ClosesAt.IsZero() {
		at := timestamp(p.ClosesAt)
		poll.ClosesAt = &at
	}
	return poll
}

type pollInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
}

type pollOutput struct {
	Body Poll
}

type voteInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
	Body      struct {
		_       struct{} `additionalProperties:"true"`
		Options []int    `json:"options" maxItems:"10" nullable:"false" example:"[0]" doc:"The places of what one chooses, from 0. None takes one's votes back."`
	}
}

type votesInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
	Option    int    `query:"option" required:"true" minimum:"0" maximum:"9" example:"0" doc:"The place of an option, from 0."`
	OffsetQuery
}

// Voter is somebody who has chosen an option.
type Voter struct {
	UserID   int64     `json:"user_id" example:"1"`
	Username string    `json:"username" example:"alice"`
	VotedAt  timestamp `json:"voted_at"`
}

type votesOutput struct {
	Body []Voter
}

func (a *API) registerPolls() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"polls"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, "/v1/messages/{message_id}/poll", "get-poll",
		"See how a poll stands", 404)), a.poll)
	register(a, tag(a.operation(http.MethodPut, "/v1/messages/{message_id}/poll/votes", "vote",
		"Vote in a poll, in place of one's votes before", 400, 404, 413)), a.vote)
	register(a, tag(a.operation(http.MethodGet, "/v1/messages/{message_id}/poll/votes", "list-votes",
		"List who has chosen an option of a poll that is not anonymous", 400, 403, 404)), a.listVotes)
	register(a, tag(a.operation(http.MethodPost, "/v1/messages/{message_id}/poll/close", "close-poll",
		"Close a poll that one has sent, or of a group that one administers; again, nothing changes", 404)), a.closePoll)
}

func (a *API) poll(ctx context.Context, in *pollInput) (*pollOutput, error) {
	return pollAnswer(in.MessageID, func(id int64) (chat.Poll, error) { return a.chat.Poll(ctx, callerOf(ctx), id) })
}

func (a *API) vote(ctx context.Context, in *voteInput) (*pollOutput, error) {
	return pollAnswer(in.MessageID, func(id int64) (chat.Poll, error) {
		return a.chat.Vote(ctx, callerOf(ctx), id, in.Body.Options)
	})
}

func (a *API) closePoll(ctx context.Context, in *pollInput) (*pollOutput, error) {
	return pollAnswer(in.MessageID, func(id int64) (chat.Poll, error) { return a.chat.ClosePoll(ctx, callerOf(ctx), id) })
}

// pollAnswer asks a rule about the poll of the message with that id.
func pollAnswer(id string, rule func(int64) (chat.Poll, error)) (*pollOutput, error) {
	n, err := pathID(id)
	if err != nil {
		return nil, err
	}
	poll, err := rule(n)
	if err != nil {
		return nil, err
	}
	return &pollOutput{Body: *newPoll(&poll)}, nil
}

func (a *API) listVotes(ctx context.Context, in *votesInput) (*votesOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	votes, err := a.chat.PollVotes(ctx, callerOf(ctx), id, in.Option, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &votesOutput{Body: make([]Voter, 0, len(votes))}
	for _, v := range votes {
		out.Body = append(out.Body, Voter{UserID: v.UserID, Username: v.Username, VotedAt: timestamp(v.CreatedAt)})
	}
	return out, nil
}
