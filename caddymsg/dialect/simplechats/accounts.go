package simplechats

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
)

// Usernames and names have so many characters here, also where other APIs take more.
const minName, maxName = 3, 25

func checkLength(what, name string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(name)); n >= minName && n <= maxName {
		return nil
	}
	return &dialect.Refusal{
		Status: http.StatusBadRequest, Code: what + "_length_invalid",
		Message: fmt.Sprintf("%s: It has from %d to %d characters.", what, minName, maxName),
	}
}

type emailAnswer struct {
	Email   string `json:"email"`
	Message string `json:"message"`
}

func (a *api) register(c *dialect.Call) error {
	given, err := texts(c, "email", "username", "name", "password")
	if err != nil {
		return err
	}
	// In the order of the contract; the rule then looks at all the rest.
	email, err := chat.PrepareEmail(given["email"])
	if err == nil && email == "" {
		err = &dialect.Refusal{Status: http.StatusBadRequest, Code: "email_missing", Message: "email: It is no e-mail address."}
	}
	if err == nil {
		err = checkLength("username", given["username"])
	}
	if err == nil {
		err = checkLength("name", given["name"])
	}
	if err != nil {
		return err
	}
	user, _, err := a.Auth.Register(c.Context(), auth.Registration{
		Username: given["username"], Password: given["password"], Email: email, DisplayName: given["name"], UniqueEmail: true,
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, emailAnswer{user.Email, "Successfully registered!"})
}

func (a *api) token(c *dialect.Call) error {
	token, err := a.Auth.RenewPlain(c.Context(), c.Caller)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Token     string `json:"token"`
		ExpiresIn int64  `json:"expires_in"`
	}{token.Token, httpapi.Seconds(token.ExpiresIn)})
}

func (a *api) update(c *dialect.Call) error {
	given, err := parameters(c)
	if err != nil {
		return err
	}
	var change chat.Profile
	for _, field := range []struct {
		name string
		into **string
	}{{"username", &change.Username}, {"name", &change.DisplayName}} {
		value, there := given[field.name]
		text, ok := dialect.TextOf(value)
		switch {
		case there && !ok:
			return faults{field.name: noText}.refusal()
		case text != "":
			*field.into = &text
		}
	}
	if change.Username != nil { // of which one is told first that it is taken
		if err := a.Chat.UsernameFree(c.Context(), c.Caller, *change.Username); err != nil {
			return err
		}
		if err := checkLength("username", *change.Username); err != nil {
			return err
		}
	}
	if change.DisplayName != nil {
		if err := checkLength("name", *change.DisplayName); err != nil {
			return err
		}
	}
	before, after, err := a.Chat.ChangeMe(c.Context(), c.Caller, change)
	if err != nil {
		return err
	}
	if after == before {
		return &dialect.Refusal{Status: http.StatusBadRequest, Code: "nothing_new", Message: "There is nothing new in this."}
	}
	changed := struct {
		Username string `json:"username,omitempty"`
		Name     string `json:"name,omitempty"`
		Message  string `json:"message"`
	}{Message: "Your account is updated."}
	if after.Username != before.Username {
		changed.Username = after.Username
	}
	if after.DisplayName != before.DisplayName {
		changed.Name = after.DisplayName
	}
	return c.JSON(http.StatusAccepted, changed)
}

// forgotPassword has the same answer whether there is such an account or not.
func (a *api) forgotPassword(c *dialect.Call) error {
	given, err := texts(c, "email")
	if err != nil {
		return err
	}
	if err := a.Auth.ForgotPassword(c.Context(), given["email"]); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, emailAnswer{given["email"], "If there is an account with this address, a mail has been sent there."})
}

func (a *api) resetPassword(c *dialect.Call) error {
	given, err := texts(c, "token", "password")
	if err != nil {
		return err
	}
	user, err := a.Auth.ResetPassword(c.Context(), given["token"], given["password"])
	if err != nil {
		return err
	}
	return c.JSON(http.StatusAccepted, emailAnswer{user.Email, "You have another password now."})
}
