package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/caddymsg/messaging/chat"
)

type searchInput struct {
	Query  string `query:"q" example:"hi" doc:"Words, all of which must be there, each at least as the beginning of one. Upper and lower case, and letters with and without accents, are the same. At most 200 characters."`
	In     string `query:"in" enum:"messages,users,groups" default:"messages" example:"messages" doc:"What to look for: messages of the chats that one is in; accounts, by their names; or groups that are public or one's own, by their titles and descriptions."`
	ChatID int64  `query:"chat" minimum:"1" example:"1" doc:"Only messages of this chat."`
	Sender string `query:"sender" example:"alice" doc:"Only messages of the user of that name."`
	From   string `query:"from" example:"2021-10-30" doc:"Only messages of that time or later: RFC 3339, or a day (UTC)."`
	To     string `query:"to" example:"2099-10-30T12:00:00Z" doc:"Only messages before that time or, if it is a day (UTC), before its end."`
	Before int64  `query:"before" minimum:"1" example:"1000" doc:"Only messages with a lower id: next_before of the page before."`
	OffsetQuery
}

type searchOutput struct {
	Body Results
}

// Results are what a search has found: one of the lists.
type Results struct {
	Messages   *[]FoundMessage `json:"messages,omitempty" doc:"The newest first. What was sent a moment ago may not be among them yet."`
	NextBefore int64           `json:"next_before,omitempty" example:"17" doc:"There may be more messages: ask again with before set to it. A search has a bound: it may have found fewer than limit by then, even none."`
	Users      *[]User         `json:"users,omitempty" doc:"By id."`
	Groups     *[]Group        `json:"groups,omitempty" doc:"By id."`
}

// FoundMessage is a message that a search has found.
type FoundMessage struct {
	Message    Message     `json:"message"`
	Snippet    string      `json:"snippet" example:"hi all" doc:"What of its text stands around what was looked for, in one line. It is text: no HTML."`
	Highlights []Highlight `json:"highlights" doc:"Where in the snippet it is."`
}

// Highlight is a part of a snippet.
type Highlight struct {
	Start  int `json:"start" example:"0" doc:"In characters (code points), the first being 0."`
	Length int `json:"length" example:"2"`
}

func (a *API) registerSearch() {
	search := a.signedIn(a.operation(http.MethodGet, "/v1/search", "search",
		"Search messages, accounts or groups", 400, 403))
	search.Tags = []string{"search"}
	search.Description = "The next page of messages is the one before the last id, that of users and groups has another offset."
	register(a, search, a.search)
}

func (a *API) search(ctx context.Context, in *searchInput) (*searchOutput, error) {
	switch in.In {
	case "users":
		return a.searchUsers(ctx, in)
	case "groups":
		return a.searchGroups(ctx, in)
	}
	from, to, err := in.period()
	if err != nil {
		return nil, err
	}
	found, next, err := a.chat.SearchMessages(ctx, callerOf(ctx), chat.MessageSearch{
		Text: in.Query, ChatID: in.ChatID, Sender: in.Sender, From: from, To: to, Before: in.Before, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	messages := make([]FoundMessage, 0, len(found))
	for _, f := range found {
		m := FoundMessage{Message: newMessage(f.Message), Snippet: f.Snippet, Highlights: []Highlight{}}
		for _, h := range f.Highlights {
			m.Highlights = append(m.Highlights, Highlight(h))
		}
		messages = append(messages, m)
	}
	return &searchOutput{Body: Results{Messages: &messages, NextBefore: next}}, nil
}

func (a *API) searchUsers(ctx context.Context, in *searchInput) (*searchOutput, error) {
	found, err := a.chat.SearchUsers(ctx, callerOf(ctx), in.Query, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(found))
	for _, u := range found {
		users = append(users, newUser(u))
	}
	return &searchOutput{Body: Results{Users: &users}}, nil
}

func (a *API) searchGroups(ctx context.Context, in *searchInput) (*searchOutput, error) {
	found, err := a.chat.SearchGroups(ctx, callerOf(ctx), in.Query, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(found))
	for _, g := range found {
		groups = append(groups, newGroup(g))
	}
	return &searchOutput{Body: Results{Groups: &groups}}, nil
}

// period reads from and to. What is not given is the zero time.
func (in *searchInput) period() (from, to time.Time, err error) {
	if from, _, err = parseTime("from", in.From); err != nil {
		return from, to, err
	}
	to, day, err := parseTime("to", in.To)
	if day {
		to = to.AddDate(0, 0, 1)
	}
	return from, to, err
}

// parseTime reads a time, or a day, of a query.
func parseTime(field, s string) (at time.Time, day bool, err error) {
	if s == "" {
		return at, false, nil
	}
	if at, err = time.Parse(time.DateOnly, s); err == nil {
		return at, true, nil
	}
	if at, err = time.Parse(time.RFC3339, s); err == nil {
		return at, false, nil
	}
	return at, false, &Problem{
		Status: http.StatusBadRequest, Code: "date_invalid", Field: field,
		Detail: "It is neither a day, such as 2021-10-30, nor a time, such as 2021-10-30T12:00:00Z.",
	}
}
