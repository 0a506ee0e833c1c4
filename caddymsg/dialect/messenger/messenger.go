// Package messenger is the API of the "Messenger test task" (contract 2) over the same
// rules: users, chats, histories, and a WebSocket for each chat and user. That system
// asks nobody who they are. Here it is asked, unless the site trusts ids of users.
package messenger

import (
	_ "embed"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
)

// routes are all that there are.
func (a *api) routes() []dialect.Route {
	known := dialect.SignedIn
	if a.TrustUserIDs {
		known = dialect.Anybody // who names a user is that user: see as
	}
	return []dialect.Route{
		{Method: "POST", Path: "/users/{$}", Access: dialect.Anybody, Handle: a.createUser},
		{Method: "POST", Path: "/chats/{$}", Access: known, Handle: a.createChat},
		{Method: "GET", Path: "/chats/{$}", Access: known, Handle: a.chats},
		{Method: "POST", Path: "/chats/{chat_id}/users/{user_id}", Access: known, Handle: a.addUser},
		{Method: "GET", Path: "/messages/history/{chat_id}", Access: known, Handle: a.history},
		{Method: "GET", Path: "/messages/ws/{chat_id}/{user_id}", Access: known, Handle: a.openSocket},

		{Method: "POST", Path: "/users", Access: dialect.Anybody, Handle: to("users/")},
		{Method: "POST", Path: "/chats", Access: dialect.Anybody, Handle: to("chats/")},
		{Method: "GET", Path: "/chats", Access: dialect.Anybody, Handle: to("chats/")},
		{Method: "GET", Path: "/redoc", Access: dialect.Anybody, Handle: to("docs")},
	}
}

// Dialect is this API.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Owns: owns, Tell: tell, Open: open, Accounts: accounts}
}

func owns(path string) bool {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains([]string{"users", "chats", "messages", "docs", "redoc", "openapi.json"}, root)
}

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) {
	opts.AllowCommonPasswords = true
}

// api has the controllers.
type api struct {
	dialect.Options
	failures httpapi.Failures
}

//go:embed openapi.json
var document []byte

func open(opts dialect.Options) (*dialect.API, error) {
	a := &api{opts, httpapi.NewFailures(opts.Log)}
	if opts.TrustUserIDs {
		opts.Log.Warn("insecure_trust_user_ids is on: whoever reaches this site can read and write as any user, administrators too")
	}
	return dialect.New(opts, dialect.System{
		Routes: a.routes(), IdentifyBrowser: a.Auth.Identify, Tell: tell, AnyOrigin: opts.TrustUserIDs,
		Page: "/docs", DocumentPath: "/openapi.json", Document: document,
	})
}

// to sends a client on, beside where it is: a site may have put the API into a folder.
func to(place string) func(*dialect.Call) error {
	return func(c *dialect.Call) error {
		location := url.URL{Path: place, RawQuery: c.URL.RawQuery}
		c.W.Header().Set("Location", location.String())
		c.W.WriteHeader(http.StatusTemporaryRedirect)
		return nil
	}
}

// as finds the caller who is named by an id. It has to be whoever asks, unless the site
// trusts ids: then it returns NotFound for a user that there is not.
func (a *api) as(c *dialect.Call, userID int64) (chat.Caller, error) {
	if !a.TrustUserIDs {
		if c.Caller.UserID != userID {
			return chat.Caller{}, &dialect.Refusal{Status: http.StatusForbidden, Code: "other_user", Message: "This is somebody else's."}
		}
		return c.Caller, nil
	}
	caller, err := a.Auth.Trust(c.Context(), userID)
	if err != nil || c.Method == http.MethodGet || c.Method == http.MethodHead {
		return caller, err
	}
	return caller, a.Chat.CountChange(c.Context(), caller)
}

// in finds the caller of what is asked of a chat without naming a user. Where ids are
// trusted, it is who has been in the chat longest; NotFound, if there is nobody.
func (a *api) in(c *dialect.Call, chatID int64) (chat.Caller, error) {
	if !a.TrustUserIDs {
		return c.Caller, nil
	}
	nobody, err := a.Auth.TrustNobody(c.Context())
	if err != nil {
		return chat.Caller{}, err
	}
	userID, err := a.Chat.LongestIn(c.Context(), nobody, chatID)
	if err != nil {
		return chat.Caller{}, err
	}
	return a.as(c, userID)
}

// tell is how this system answers with a refusal.
func tell(r dialect.Refusal) dialect.Answer {
	answer := dialect.Answer{Status: r.Status, Body: map[string]string{"detail": r.Message}}
	labelled := func(status int, label string) {
		answer.Status, answer.Body = status, map[string]string{"error": label, "detail": r.Message}
	}
	switch {
	case r.Body != nil:
		answer.Body = r.Body
	case r.Code == "malformed_body":
		answer.Status, answer.Body = invalid(fault{"json_invalid", []any{"body", 0}, r.Message, struct{}{}})
	case r.Code == "not_an_object", r.Code == "unsupported_media_type":
		answer.Status, answer.Body = invalid(fault{"model_attributes_type", []any{"body"}, r.Message, nil})
	case r.Kind == chat.Conflict:
		labelled(http.StatusConflict, "Conflict")
	case r.Kind == chat.NotFound, r.Code == "not_a_group", r.Code == "negative":
		labelled(http.StatusBadRequest, "Database error")
	case r.Kind == chat.Invalid:
		answer.Status, answer.Body = invalid(fault{"value_error", []any{"body", fieldOf(r.Field)}, r.Message, nil})
	case r.Status == http.StatusUnauthorized:
		answer.Header = http.Header{"WWW-Authenticate": {"Bearer"}}
	case r.Status == http.StatusNotFound, r.Status == http.StatusMethodNotAllowed:
		answer.Body = map[string]string{"detail": http.StatusText(r.Status)}
	}
	return answer
}

// fieldOf is what this system calls a field of the rules.
func fieldOf(field string) string {
	switch field {
	case "display_name", "username", "title":
		return "name"
	case "participants":
		return "participantIds"
	}
	return field
}
