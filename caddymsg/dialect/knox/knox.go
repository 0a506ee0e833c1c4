// Package knox is the API of the Offline Messaging API with django-rest-knox (contract 4)
// over the same rules: accounts, messages from one person to another, and blocks.
package knox

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// Dialect is this API.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Owns: owns, Tell: tell, Open: open, Accounts: accounts}
}

// routes are all that there are.
func (a *api) routes() []dialect.Route {
	return []dialect.Route{
		{Method: http.MethodPost, Path: "/api/auth/register", Access: dialect.Anybody, Handle: a.register},
		{Method: http.MethodPost, Path: "/api/auth/login", Access: dialect.Anybody, Handle: a.login},
		{Method: http.MethodPost, Path: "/api/auth/logout", Access: dialect.Account, Handle: a.logout},

		{Method: http.MethodPost, Path: "/api/message", Handle: a.send, Sends: true, MaxBody: dialect.MaxText},
		{Method: http.MethodGet, Path: "/api/message", Handle: a.sentAndReceived},
		{Method: http.MethodGet, Path: "/api/message/sent", Handle: a.sent},
		{Method: http.MethodGet, Path: "/api/message/received", Handle: a.received},

		{Method: http.MethodPost, Path: "/api/block", Handle: a.block},
		{Method: http.MethodGet, Path: "/api/block", Handle: a.blocks},
		{Method: http.MethodDelete, Path: "/api/block/{username}", Handle: a.unblock},
	}
}

// api has the controllers.
type api struct {
	dialect.Options
}

func open(opts dialect.Options) (*dialect.API, error) {
	a := &api{opts}
	return dialect.New(opts, dialect.System{Routes: a.routes(), Identify: a.identify, Tell: tell})
}

func owns(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/")
}

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) {
	opts.AllowCommonPasswords = true
	opts.PlainTokens = auth.PlainTokens{Lifetime: 10 * time.Hour, Hex: true}
}

// identify finds out who sends a request, by the header "Authorization: Token <token>",
// of which the first word may be in any case.
func (a *api) identify(r *http.Request) (chat.Caller, error) {
	words := strings.Fields(r.Header.Get("Authorization"))
	if len(words) == 0 || !strings.EqualFold(words[0], "Token") {
		return chat.Caller{}, unauthenticated("Send the header Authorization: Token <token>.")
	}
	if len(words) != 2 {
		return chat.Caller{}, unauthenticated("Behind the word Token, the header Authorization has one token.")
	}
	return a.Auth.Bearer(r.Context(), words[1])
}

// refuseBadToken returns Unauthenticated to whoever shows a token that is not good, also
// where none is needed.
func (a *api) refuseBadToken(r *http.Request) error {
	words := strings.Fields(r.Header.Get("Authorization"))
	if len(words) == 0 || !strings.EqualFold(words[0], "Token") {
		return nil
	}
	_, err := a.identify(r)
	return err
}

func unauthenticated(message string) error {
	return &dialect.Refusal{Status: http.StatusUnauthorized, Code: "unauthenticated", Message: message}
}

// object reads a body: JSON or a form, as the system takes them everywhere.
func object(c *dialect.Call) (dialect.Object, error) { return c.Object(dialect.JSON | dialect.Form) }

// fieldErrors are what is wrong with the fields of a body.
type fieldErrors map[string][]string

// refuse returns them as an error, if there are any.
func (e fieldErrors) refuse() error {
	if len(e) == 0 {
		return nil
	}
	return &dialect.Refusal{Status: http.StatusBadRequest, Code: "invalid", Message: "The input won't do.", Body: e}
}

// text reads a field of a body that has to be there, and its blanks at both ends taken
// away. If it won't do, the errors say so.
func (e fieldErrors) text(body dialect.Object, field string) string {
	if body[field] == nil {
		e[field] = []string{"This field is needed."}
		return ""
	}
	text := e.optional(body, field)
	if text == "" && e[field] == nil {
		e[field] = []string{"This field can't be empty."}
	}
	return text
}

// optional is text for a field that need not be there, and may be empty.
func (e fieldErrors) optional(body dialect.Object, field string) string {
	if body[field] == nil {
		return ""
	}
	text, ok := body.Text(field)
	if !ok {
		e[field] = []string{"This field is a text."}
	}
	return strings.TrimSpace(text)
}

// overall has what is wrong with an input as a whole.
const overall = "non_field_errors"

// fields are the names here of those of the rules. What is wrong with any other input is
// told as a detail.
var fields = map[string]string{"username": "username", "password": "password", "email": "email", "message": "content"}

// named are the fields of the rules in which a user is named who has to be there.
var named = map[string]bool{"sender": true, "receiver": true, "dest_username": true}

// tell is how this system answers with a refusal.
func tell(r dialect.Refusal) dialect.Answer {
	answer := dialect.Answer{Status: r.Status, Body: map[string]string{"detail": r.Message}}
	switch field := fields[r.Field]; {
	case r.Body != nil:
		answer.Body = r.Body
	case r.Status == http.StatusUnauthorized:
		answer.Header = http.Header{"WWW-Authenticate": {"Token"}}
	case r.Code == "not_an_object":
		answer.Body = fieldErrors{overall: {r.Message}}
	case r.Kind == chat.NotFound && named[r.Field]:
		answer.Status = http.StatusBadRequest
	case (r.Kind == chat.Invalid || r.Kind == chat.Conflict) && field != "":
		answer.Body = fieldErrors{field: {r.Message}}
	}
	return answer
}
