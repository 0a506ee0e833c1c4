package groupchat

import (
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// user is a user as this API shows one.
type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Admin    bool   `json:"is_admin"`
}

func newUser(u chat.User) user { return user{ID: u.ID, Username: u.Username, Admin: u.Admin} }

// done is the answer to what was done about users and keys.
type done struct {
	Message string `json:"message"`
	ID      int64  `json:"id,omitempty"`
	APIKey  string `json:"api_key,omitempty"`
}

func (a *api) login(c *dialect.Call) error {
	body, err := c.Object(dialect.JSON)
	if err != nil {
		return err
	}
	username, err := text(body, "username")
	if err != nil {
		return err
	}
	password, err := text(body, "password")
	if err != nil {
		return err
	}
	token, err := a.Auth.SignInPlain(c.Context(), username, password)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, done{Message: "You are logged in.", APIKey: token.Token})
}

// logout ends the session that the key is of. Without a good one there is nothing to end.
func (a *api) logout(c *dialect.Call) error {
	caller, err := a.Auth.Bearer(c.Context(), c.Header.Get(keyHeader))
	if err == nil {
		_, err = a.Auth.Logout(c.Context(), caller)
	} else if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Unauthenticated {
		err = nil
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, done{Message: "You are logged out."})
}

// createUser answers with a key of the new user, too.
func (a *api) createUser(c *dialect.Call) error {
	fields, err := readUser(c)
	if err != nil {
		return err
	}
	account := chat.NewAccount{Profile: chat.Profile{Username: fields.username}}
	if fields.admin != nil {
		account.Admin = *fields.admin
	}
	var password string // if it is empty, the rule says so
	if fields.password != nil {
		password = *fields.password
	}
	created, err := a.Auth.CreateAccount(c.Context(), c.Caller, account, password, "")
	if err != nil {
		return err
	}
	answer := done{Message: "The user has been created.", ID: created.ID}
	token, err := a.Auth.OpenPlainFor(c.Context(), c.Caller, created)
	if err != nil { // the account is there; its owner can log in
		a.Log.WarnContext(c.Context(), "no key for a new user", "user_id", created.ID, "error", err)
	}
	answer.APIKey = token.Token
	return c.JSON(http.StatusCreated, answer)
}

// userFields are what can be said of a user; nil is not said.
type userFields struct {
	username, password *string
	admin              *bool
}

func readUser(c *dialect.Call) (fields userFields, err error) {
	body, err := c.Object(dialect.JSON)
	if err != nil {
		return userFields{}, err
	}
	if fields.username, err = optionalText(body, "username"); err != nil {
		return userFields{}, err
	}
	if fields.password, err = optionalText(body, "password"); err != nil {
		return userFields{}, err
	}
	if value, there := body["is_admin"]; there {
		admin, ok := value.(bool)
		if !ok {
			return userFields{}, invalid("is_admin", "is_admin_invalid", "is_admin is true or false.")
		}
		fields.admin = &admin
	}
	return fields, nil
}

func (a *api) listUsers(c *dialect.Call) error {
	return dialect.Stream(c, "[", a.Chat.AllUsers(c.Context(), c.Caller, chat.Filter{}), newUser, "]\n")
}

func (a *api) getUser(c *dialect.Call, id int64) error {
	found, err := a.Chat.UserByID(c.Context(), id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, newUser(found))
}

func (a *api) updateUser(c *dialect.Call, id int64) error {
	fields, err := readUser(c)
	if err != nil {
		return err
	}
	change := chat.AccountChange{Profile: chat.Profile{Username: fields.username}, Admin: fields.admin}
	if _, err := a.Auth.UpdateAccount(c.Context(), c.Caller, id, change, fields.password); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, done{Message: "The user has been updated.", ID: id})
}

func (a *api) deleteUser(c *dialect.Call, id int64) error {
	if err := a.Chat.DeleteAccount(c.Context(), c.Caller, id); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, done{Message: "The user has been deleted."})
}
