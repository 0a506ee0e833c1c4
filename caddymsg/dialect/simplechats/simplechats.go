// Package simplechats is the API of Flask Simple Chats (contract 1) over the same rules: accounts, chats of two people, their messages, and filters.
package simplechats

import (
	"net/http"
	"strings"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// Dialect is this API.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Owns: owns, Tell: tell, Open: open, Accounts: accounts}
}

func owns(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/")
}

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) {
	opts.AllowCommonPasswords = true
	opts.SignInByEmail = true
}

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
	return []dialect.Route{}
}

func (a *api) identify(r *http.Request) (chat.Caller, error) {
	return a.Auth.Bearer(r.Context(), r.Header.Get("Authorization"))
}

// tell is how this system answers with a refusal.
func tell(r dialect.Refusal) dialect.Answer {
	return dialect.Answer{Status: r.Status, Body: map[string]string{"message": r.Message}}
}
