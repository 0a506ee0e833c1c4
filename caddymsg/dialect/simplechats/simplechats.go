// Package simplechats is the API of Flask Simple Chats (contract 1) over the same rules:
// accounts, chats of two people, their messages, and filters.
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

// routes are all that there are.
func (a *api) routes() []dialect.Route {
	const anybody, account = dialect.Anybody, dialect.Account
	return []dialect.Route{
		{Method: "POST", Path: "/api/register", Access: anybody, Handle: a.register},
		{Method: "GET", Path: "/api/token", Access: account, Handle: a.token, Changes: true},
		{Method: "POST", Path: "/api/update", Access: account, Handle: a.update},
		{Method: "POST", Path: "/api/forgot-password", Access: anybody, Handle: a.forgotPassword},
		{Method: "POST", Path: resetPath, Access: anybody, Handle: a.resetPassword},

		{Method: "GET", Path: "/api/users", Handle: a.users},
		{Method: "GET", Path: "/api/users/{user_id}", Handle: dialect.ByID("user_id", a.user)},

		{Method: "GET", Path: "/api/chats", Handle: a.chats},
		{Method: "POST", Path: "/api/chats", Handle: a.createChat},
		{Method: "GET", Path: "/api/chats/{chat_id}", Handle: dialect.ByID("chat_id", a.chat)},
		{Method: "DELETE", Path: "/api/chats/{chat_id}", Handle: dialect.ByID("chat_id", a.deleteChat)},

		{Method: "GET", Path: "/api/chats/{chat_id}/messages", Handle: dialect.ByID("chat_id", a.messages)},
		{Method: "POST", Path: "/api/chats/{chat_id}/messages", Handle: dialect.ByID("chat_id", a.send), Sends: true, MaxBody: maxTextsBytes},
		{Method: "GET", Path: "/api/chats/{chat_id}/messages/{message_id}", Handle: a.message},
		{Method: "DELETE", Path: "/api/chats/{chat_id}/messages/{message_id}", Handle: a.deleteMessage},
		{Method: "PUT", Path: "/api/chats/{chat_id}/messages/{message_id}", Handle: a.editMessage, MaxBody: dialect.MaxText},
	}
}

// resetPath is where the token of a mail is sent to.
const resetPath = "/api/reset-password"

func owns(path string) bool {
	return path == "/api" || strings.HasPrefix(path, "/api/")
}

// accounts sets what this system decides about accounts.
func accounts(opts *auth.Options) {
	opts.AllowCommonPasswords = true
	opts.SignInByEmail = true
	opts.ResetAt = resetPath
}

// api has the controllers.
type api struct {
	dialect.Options
}

func open(opts dialect.Options) (*dialect.API, error) {
	a := &api{opts}
	return dialect.New(opts, dialect.System{Routes: a.routes(), Identify: a.identify, Tell: tell, Slashes: true})
}

// identify takes Basic, with the e-mail address or the username, and Bearer. What is
// neither is forbidden (contract 1), as if one had not tried to sign in.
func (a *api) identify(r *http.Request) (chat.Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch _, _, basic := r.BasicAuth(); {
	case strings.EqualFold(scheme, "bearer"):
		return a.Auth.Bearer(r.Context(), strings.TrimSpace(token))
	case basic:
		return a.Auth.Basic(r)
	}
	return chat.Caller{}, &dialect.Refusal{
		Status: http.StatusForbidden, Code: "no_credentials",
		Message: "Send the header Authorization: Basic with an e-mail address and a password, or Bearer with a token.",
	}
}

// tell is how this system answers with a refusal. What is wrong with the parameters of a
// message is told by their names; of an account, in words.
func tell(r dialect.Refusal) dialect.Answer {
	message := r.Message
	if r.Kind == chat.Invalid && r.Field != "" {
		switch r.Field {
		case "text", "texts":
			r.Body = faults{r.Field: r.Message}.body()
		case "display_name":
			message = "name: " + message
		default:
			message = r.Field + ": " + message
		}
	}
	if r.Body == nil {
		r.Body = map[string]string{"message": message}
	}
	return dialect.Answer{Status: r.Status, Body: r.Body}
}
