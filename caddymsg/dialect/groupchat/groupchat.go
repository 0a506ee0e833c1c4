// Package groupchat is the API of the Flask Group Chat Application (contract 3) over the
// same rules: users that administrators make, groups, messages and likes.
package groupchat

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// routes are all that there are. Each is known without its prefix, too, as the README of
// the system writes them.
func (a *api) routes() []dialect.Route {
	return []dialect.Route{
		{Method: "POST", Path: "/api/login", Access: dialect.Anybody, Handle: a.login},
		{Method: "POST", Path: "/api/logout", Access: dialect.Anybody, Handle: a.logout},

		{Method: "POST", Path: "/api/users", Access: dialect.Admin, Handle: a.createUser},
		{Method: "GET", Path: "/api/users", Handle: a.listUsers},
		{Method: "GET", Path: "/api/users/{user_id}", Handle: dialect.ByID("user_id", a.getUser)},
		{Method: "PUT", Path: "/api/users/{user_id}", Access: dialect.Admin, Handle: dialect.ByID("user_id", a.updateUser)},
		{Method: "DELETE", Path: "/api/users/{user_id}", Access: dialect.Admin, Handle: dialect.ByID("user_id", a.deleteUser)},

		{Method: "POST", Path: "/api/groups", Handle: a.createGroup},
		{Method: "GET", Path: "/api/groups", Handle: a.listGroups},
		{Method: "GET", Path: "/api/groups/{group_id}", Handle: dialect.ByID("group_id", a.getGroup)},
		{Method: "PUT", Path: "/api/groups/{group_id}", Handle: dialect.ByID("group_id", a.updateGroup)},
		{Method: "DELETE", Path: "/api/groups/{group_id}", Handle: dialect.ByID("group_id", a.deleteGroup)},
		{Method: "POST", Path: "/api/groups/{group_id}/members", Handle: dialect.ByID("group_id", a.addMember)},

		{Method: "POST", Path: "/api/groups/{group_id}/messages", Sends: true, MaxBody: dialect.MaxText, Handle: dialect.ByID("group_id", a.sendMessage)},
		{Method: "GET", Path: "/api/groups/{group_id}/messages", Handle: dialect.ByID("group_id", a.listMessages)},
		{Method: "PUT", Path: "/api/groups/{group_id}/messages/{message_id}/like", Handle: a.like},
		{Method: "POST", Path: "/api/groups/{group_id}/messages/{message_id}/like", Handle: a.like},
		{Method: "DELETE", Path: "/api/groups/{group_id}/messages/{message_id}/like", Handle: a.unlike},

		{Method: "GET", Path: "/api/docs", Access: dialect.Anybody, Handle: toDocs},
	}
}

// Dialect is this API.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Owns: owns, Tell: tell, Open: open, Accounts: accounts}
}

func owns(path string) bool {
	root, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Contains([]string{"api", "login", "logout", "users", "groups"}, root)
}

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) {
	opts.AllowCommonPasswords = true
	opts.PlainTokens.Lifetime = time.Hour
}

// api has the controllers.
type api struct {
	dialect.Options
}

//go:embed swagger.json
var document []byte

func open(opts dialect.Options) (*dialect.API, error) {
	a := &api{opts}
	routes := a.routes()
	for _, route := range a.routes() {
		if bare := strings.TrimPrefix(route.Path, "/api"); owns(bare) {
			route.Path = bare
			routes = append(routes, route)
		}
	}
	return dialect.New(opts, dialect.System{
		Routes: routes, Identify: a.identify, Tell: tell,
		Page: "/api/docs/", DocumentPath: "/api/swagger.json", Document: document,
	})
}

// toDocs leads to the page, by its place as seen from here: a site may have put the API
// below a path of its own.
func toDocs(c *dialect.Call) error {
	c.W.Header().Set("Location", "docs/")
	c.W.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

// keyHeader is where the API key of a request is, and nowhere else.
const keyHeader = "X-Api-Key"

func (a *api) identify(r *http.Request) (chat.Caller, error) {
	key := r.Header.Get(keyHeader)
	if key == "" {
		return chat.Caller{}, &dialect.Refusal{
			Kind: chat.Unauthenticated, Status: http.StatusUnauthorized, Code: "key_missing",
			Message: "Send the key that you got at login in the header X-API-Key.",
		}
	}
	caller, err := a.Auth.Bearer(r.Context(), key)
	if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Unauthenticated {
		return chat.Caller{}, &dialect.Refusal{
			Kind: chat.Unauthenticated, Status: http.StatusUnauthorized, Code: refusal.Code,
			Message: "This API key is none, or it is good no more: log in again.",
		}
	}
	return caller, err
}

// statuses are those of refusals for which this system has another than most.
var statuses = map[string]int{
	"admin_required":         http.StatusUnauthorized,
	"group_admin_required":   http.StatusUnauthorized,
	"owner_required":         http.StatusUnauthorized,
	"account_deactivated":    http.StatusUnauthorized,
	"unsupported_media_type": http.StatusBadRequest,
	"not_a_member":           http.StatusBadRequest,
	// There is no group to somebody who may not look at it.
	"not_a_participant": http.StatusNotFound,
	"not_a_group":       http.StatusNotFound,
}

// messages are those of refusals that are worded for another API.
var messages = map[string]string{
	"not_a_participant":  "There is no such group of yours.",
	"not_a_group":        "There is no such group of yours.",
	"cannot_change_self": "Another administrator has to do that to your account.",
	"title_missing":      "A group has a name.",
	"title_too_long":     "The name of a group has at most 128 characters.",
	"title_invalid":      "The name of a group is one line of text without control characters.",
}

// tell is how this system answers with a refusal: under "error" about groups and
// messages, and under "message" about users, keys and all else.
func tell(r dialect.Refusal) dialect.Answer {
	status, message, name := r.Status, r.Message, "message"
	if s, ok := statuses[r.Code]; ok {
		status = s
	}
	if m, ok := messages[r.Code]; ok {
		message = m
	}
	if strings.HasPrefix(strings.TrimPrefix(r.Path, "/api"), "/groups") && r.Kind != chat.Unauthenticated {
		name = "error"
	}
	return dialect.Answer{Status: status, Body: map[string]string{name: message}}
}

// text reads a text that has to be there: a number stands for its digits, and an empty
// text for none.
func text(body dialect.Object, field string) (string, error) {
	value, ok := body.Text(field)
	switch {
	case ok && value != "":
		return value, nil
	case ok || body[field] == nil:
		return "", invalid(field, field+"_missing", "The body has no "+field+".")
	}
	return "", invalid(field, field+"_invalid", "The "+field+" is a text.")
}

// readText reads a body with one text.
func readText(c *dialect.Call, field string) (string, error) {
	body, err := c.Object(dialect.JSON)
	if err != nil {
		return "", err
	}
	return text(body, field)
}

// optionalText is text for what may be left out, and is nil then.
func optionalText(body dialect.Object, field string) (*string, error) {
	if _, there := body[field]; !there {
		return nil, nil
	}
	value, err := text(body, field)
	return &value, err
}

func invalid(field, code, message string) error {
	return &dialect.Refusal{Kind: chat.Invalid, Status: http.StatusBadRequest, Code: code, Field: field, Message: message}
}
