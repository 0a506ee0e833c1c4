package messenger

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
)

// user is an account as it is shown.
type user struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	// Username is what they sign in with, where they have to. The system knows no such thing.
	Username string `json:"username,omitempty"`
}

// noDomains are top-level domains that no mail goes to (contract 2, POST /users/).
var noDomains = []string{"arpa", "invalid", "local", "localhost", "onion", "test"}

func (a *api) createUser(c *dialect.Call) error {
	in, err := newInput(c)
	if err != nil {
		return err
	}
	wanted := auth.Registration{
		DisplayName: in.text("name"), Email: in.text("email"), Password: in.text("password"),
		UniqueEmail: true, MakeUsername: true, NoPassword: true,
	}
	name, domain, _ := strings.Cut(wanted.Email, "@")
	domain = strings.ToLower(domain)
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	if _, there := in.body["email"].(string); there && (domain == "" || slices.Contains(noDomains, top)) {
		in.fault("value_error", "This is no e-mail address that mail could go to.", wanted.Email, "body", "email")
	}
	if err := in.err(); err != nil {
		return err
	}
	wanted.Email = name + "@" + domain
	made, _, err := a.Auth.Register(c.Context(), wanted)
	if err != nil {
		return err
	}
	shown := user{ID: uuid(userKind, made.ID), Name: made.DisplayName, Email: cmp.Or(made.Email, made.PendingEmail)}
	if !a.TrustUserIDs {
		shown.Username = made.Username
	}
	return c.JSON(http.StatusOK, shown)
}
