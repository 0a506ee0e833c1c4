package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Scopes are what a key may be used for; zero is everything, as sign-ins may be. The rules
// ask for AccountScope, and for AdminScope by [Caller].Admin. Whether a request reads or
// writes, each API knows of its own operations: to ask for ReadScope or WriteScope is theirs.
type Scopes uint8

// The scopes that a key may have.
const (
	ReadScope  Scopes = 1 << iota // to look at what its owner may look at
	WriteScope                    // to change what its owner may change, but for the account
	AdminScope                    // to administrate, if its owner may
	// AccountScope is for the account itself: password, address, sessions, keys. No key
	// has it.
	AccountScope
)

var scopeNames = [...]string{"read", "write", "admin"}

// ParseScopes reads the names of the scopes of a key. It returns Invalid for a name that
// there is not, and if there is none.
func ParseScopes(names []string) (scopes Scopes, err error) {
	for _, name := range names {
		var scope Scopes
		for i, known := range scopeNames {
			if name == known {
				scope = 1 << i
			}
		}
		if scope == 0 {
			return 0, invalid("scopes", "scope_unknown", "There are the scopes read, write and admin.")
		}
		scopes |= scope
	}
	if scopes == 0 {
		return 0, invalid("scopes", "scopes_missing", "A key has at least one scope.")
	}
	return scopes, nil
}

// Names are the names of the scopes; none stand for everything.
func (s Scopes) Names() (names []string) {
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String is as it is stored.
func (s Scopes) String() string { return strings.Join(s.Names(), " ") }

// Require returns Forbidden if the caller comes by a key that has not got a scope.
func (c Caller) Require(scope Scopes) error {
	if c.Scopes == 0 || c.Scopes&scope != 0 {
		return nil
	}
	message := "This needs the scope " + scope.String() + ", which your key has not got."
	if scope == AccountScope {
		message = "A key can't do this: sign in."
	}
	return &Error{Kind: Forbidden, Code: "insufficient_scope", Message: message}
}

// TokenExpired is the code of a refusal to a session that goes on, and whose access
// token has to be refreshed.
const TokenExpired = "token_expired"

// CallerOf is whoever holds a session, at a time. It returns Unauthenticated if the
// session, or its access token, has ended.
func CallerOf(session store.Session, at time.Time) (Caller, error) {
	if !at.Before(session.ExpiresAt) {
		return Caller{}, errSessionEnded()
	}
	if !at.Before(session.GoodUntil()) {
		return Caller{}, &Error{
			Kind: Unauthenticated, Code: TokenExpired, Message: "This access token has expired. Get another one with the refresh token.",
		}
	}
	c := Caller{UserID: session.UserID, Username: session.Username, Admin: session.Admin, SessionID: session.ID}
	if session.Scopes == "" {
		return c, nil
	}
	scopes, err := ParseScopes(strings.Fields(session.Scopes))
	if err != nil {
		return Caller{}, fmt.Errorf("session %d: %w", session.ID, err)
	}
	c.Scopes, c.Admin = scopes, c.Admin && scopes&AdminScope != 0
	return c, nil
}
