// Package notebook is the worked example of docs/dialects.md: the API of a notebook, whose
// notes are messages to oneself.
package notebook

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

func owns(path string) bool { return path == "/notes" || strings.HasPrefix(path, "/notes/") }

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) { opts.PlainTokens.Lifetime = 24 * time.Hour }

// api has the controllers.
type api struct {
	dialect.Options
}

func open(opts dialect.Options) (*dialect.API, error) {
	a := &api{opts}
	return dialect.New(opts, dialect.System{Routes: a.routes(), Identify: a.identify, Tell: tell})
}

// routes are all that there are.
func (a *api) routes() []dialect.Route {
	return []dialect.Route{
		{Method: "POST", Path: "/notes/login", Access: dialect.Anybody, Handle: a.login},
		{Method: "GET", Path: "/notes", Handle: a.list},
		{Method: "POST", Path: "/notes", Handle: a.write, Sends: true},
		{Method: "DELETE", Path: "/notes/{id}", Handle: a.tear},
	}
}

func (a *api) identify(r *http.Request) (chat.Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		token = "" // which nobody has
	}
	return a.Auth.Bearer(r.Context(), token)
}

// tell is how this system answers with a refusal.
func tell(r dialect.Refusal) dialect.Answer {
	return dialect.Answer{Status: r.Status, Body: map[string]string{"error": r.Message}}
}

func (a *api) login(c *dialect.Call) error {
	body, err := c.Object(dialect.JSON)
	if err != nil {
		return err
	}
	name, _ := body.Text("name")
	password, _ := body.Text("password")
	token, err := a.Auth.SignInPlain(c.Context(), name, password)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]string{"token": token.Token})
}

// notesAtOnce is how many notes, the last ones, are told at once.
const notesAtOnce = 100

// note is a message to oneself, as this API shows it.
type note struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
	Day  string `json:"day"`
}

func noteOf(m chat.Message) note {
	return note{m.ID, m.Text, m.CreatedAt.Format(time.DateOnly)}
}

func (a *api) list(c *dialect.Call) error {
	me := c.Caller.Username
	messages, err := a.Chat.FindMessages(c.Context(), c.Caller,
		chat.MessageQuery{
			Sender: me, Receiver: me, Alone: true, Present: true,
			FromEnd: true, Filter: chat.Filter{Limited: true, Limit: notesAtOnce},
		})
	if err != nil {
		return err
	}
	notes := make([]note, len(messages))
	for i, m := range messages {
		notes[i] = noteOf(m)
	}
	return c.JSON(http.StatusOK, notes)
}

func (a *api) write(c *dialect.Call) error {
	body, err := c.Object(dialect.JSON | dialect.Form)
	if err != nil {
		return err
	}
	text, ok := body.Text("text")
	if !ok {
		return &dialect.Refusal{Status: http.StatusBadRequest, Code: "text_missing", Field: "text", Message: "A note has a text."}
	}
	message, err := a.Chat.Send(c.Context(), c.Caller, chat.Draft{To: c.Caller.Username, Text: text})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, noteOf(message))
}

func (a *api) tear(c *dialect.Call) error {
	id, err := c.PathID("id")
	if err != nil {
		return err
	}
	m, err := a.Chat.Message(c.Context(), c.Caller, id)
	if err != nil {
		return err
	}
	if m.ChatKind != "self" {
		return &dialect.Refusal{Status: http.StatusNotFound, Code: "no_note", Message: "There is no such note."}
	}
	if err := a.Chat.DeleteMessage(c.Context(), c.Caller, id); err != nil {
		return err
	}
	return c.JSON(http.StatusNoContent, nil)
}
