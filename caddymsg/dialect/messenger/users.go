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
}

// noDomains are top-level domains that no mail goes to (contract 2, POST /users/).
var noDomains = []string{"arpa", "invalid", "local", "localhost", "onion", "test"}

func (a *api) createUser(c *dialect.Call) error {
	if err := a.sameSite(c.Request); err != nil {
		return err
	}
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
	return c.JSON(http.StatusOK, user{uuid(userKind, made.ID), made.DisplayName, cmp.Or(made.Email, made.PendingEmail)})
}
