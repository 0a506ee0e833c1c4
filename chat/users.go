package chat

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/caddymsg/messaging/store"
)

// MaxUsernameLength is the longest username, in characters.
const MaxUsernameLength = 64

// PrepareUsername checks a username that somebody wants and returns it as it
// will be shown, and the key under which it is unique. A username is letters
// and digits of any script and the visible ASCII characters (PRECIS, RFC 8265)
// but the slash, which would end it in a path.
func PrepareUsername(typed string) (name, key string, err error) {
	if typed == "" {
		return "", "", invalid("username", "username_missing", "A username is required.")
	}
	name, err = precis.UsernameCasePreserved.String(typed)
	if err != nil || strings.Contains(name, "/") {
		return "", "", invalid("username", "username_invalid",
			"A username may hold letters, digits and visible ASCII characters but the slash; no spaces and no control characters.")
	}
	if name == "." || name == ".." {
		return "", "", invalid("username", "username_invalid", "A path can't hold this username.")
	}
	if utf8.RuneCountInString(name) > MaxUsernameLength {
		return "", "", invalid("username", "username_too_long",
			"A username has at most "+strconv.Itoa(MaxUsernameLength)+" characters.")
	}
	return name, UsernameKey(name), nil
}

// UsernameKey folds a username: names with the same key are the same name. A
// string that can't be a username folds to a key that nobody has.
func UsernameKey(typed string) string {
	prepared, err := precis.UsernameCasePreserved.String(typed)
	if err != nil {
		return ""
	}
	// Folding, where PRECIS only lowers: σ and ς, ß and SS are one name. Lowered
	// first, because this Fold turns Cherokee letters the other way.
	return norm.NFC.String(cases.Fold().String(cases.Lower(language.Und).String(prepared)))
}

// findUser finds the user that has a username. field is where the input had it.
func findUser(tx *store.Tx, username, field string) (User, error) {
	user, err := tx.FindUserByKey(UsernameKey(username))
	return user, refuse(err, store.ErrNotFound, errNoSuchUser(field))
}

// findUserOrID finds a user by username or, if nobody has this username, by id.
// Only what names somebody who is known to be there may use it: a username of
// digits can be had by anybody, who would then be sent what is meant for an id.
func findUserOrID(tx *store.Tx, named, field string) (User, error) {
	user, err := tx.FindUserByKey(UsernameKey(named))
	if id, ok := parseID(named); ok && errors.Is(err, store.ErrNotFound) {
		user, err = tx.FindUserByID(id)
	}
	return user, refuse(err, store.ErrNotFound, errNoSuchUser(field))
}

// parseID reads an id as it stands in a path: digits alone.
func parseID(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil
}

// CreateUser stores a new account. Whether there may be one, and what its
// password must be like, is for the caller to decide (package auth).
// It returns Invalid for the username, and Conflict if it is taken.
func (s *Service) CreateUser(ctx context.Context, username, passwordHash string) (User, error) {
	name, key, err := PrepareUsername(username)
	if err != nil {
		return User{}, err
	}
	user := User{Username: name, UsernameKey: key, PasswordHash: passwordHash, CreatedAt: s.now()}
	taken := &Error{Kind: Conflict, Code: "username_taken", Field: "username", Message: "This username is taken."}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		// Only to spare an attempt: who is quicker shows when it is stored.
		if _, err := tx.FindUserByKey(key); err == nil {
			return taken
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return refuse(tx.CreateUser(&user), store.ErrConflict, taken)
	})
	return user, err
}
