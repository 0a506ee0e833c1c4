package knox

import (
	"net/http"
	"regexp"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// signedIn is who has a token, and the token.
type signedIn struct {
	User  user   `json:"user"`
	Token string `json:"token"`
}

type user struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Email    string `json:"email"`
}

func newSignedIn(token auth.PlainToken) signedIn {
	u := token.User
	shown := user{ID: u.ID, Username: u.Username, Email: u.Email}
	if shown.Email == "" { // or it waits to be verified
		shown.Email = u.PendingEmail
	}
	return signedIn{shown, token.Token}
}

// usernames are those that one can register with here. The rules take others, too.
var usernames = regexp.MustCompile(`^[\pL\pM\pN@.+_-]+$`)

func (a *api) register(c *dialect.Call) error {
	if err := a.refuseBadToken(c.Request); err != nil {
		return err
	}
	body, err := object(c)
	if err != nil {
		return err
	}
	errs := fieldErrors{}
	r := auth.Registration{
		Username: errs.text(body, "username"), Password: errs.text(body, "password"), Email: errs.optional(body, "email"),
	}
	if errs["username"] == nil && !usernames.MatchString(r.Username) {
		errs["username"] = []string{"A username has letters, digits and @ . + - _ alone."}
	}
	if err := errs.refuse(); err != nil {
		return err
	}
	made, _, err := a.Auth.Register(c.Context(), r)
	if err != nil {
		return err
	}
	token, err := a.Auth.OpenPlain(c.Context(), made)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, newSignedIn(token))
}

func (a *api) login(c *dialect.Call) error {
	if err := a.refuseBadToken(c.Request); err != nil {
		return err
	}
	body, err := object(c)
	if err != nil {
		return err
	}
	errs := fieldErrors{}
	username, password := errs.text(body, "username"), errs.text(body, "password")
	if err := errs.refuse(); err != nil {
		return err
	}
	token, err := a.Auth.SignInPlain(c.Context(), username, password)
	// An account that has been deactivated is as one that there is not.
	if refusal := chat.AsError(err); refusal != nil && (refusal.Kind == chat.BadCredentials || refusal.Kind == chat.Forbidden) {
		a.logInvalidLogin(c, username)
		return fieldErrors{overall: {"The username or the password is wrong."}}.refuse()
	}
	if err != nil {
		return err
	}
	a.Log.InfoContext(c.Context(), "Login", "username", token.User.Username)
	return c.JSON(http.StatusOK, newSignedIn(token))
}

// logInvalidLogin names only a user that there is: anything else may be a password, in
// the wrong field.
func (a *api) logInvalidLogin(c *dialect.Call, username string) {
	user, err := a.Chat.User(c.Context(), username)
	if err == nil && user.UsernameKey == chat.UsernameKey(username) {
		a.Log.WarnContext(c.Context(), "Invalid Login", "username", user.Username)
	}
}

func (a *api) logout(c *dialect.Call) error {
	if _, err := a.Auth.Logout(c.Context(), c.Caller); err != nil {
		return err
	}
	return c.JSON(http.StatusNoContent, nil)
}
