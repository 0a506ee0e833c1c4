package auth

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"unicode"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

const (
	// maxMadeName is how many characters of a name go into a username: behind it, there
	// is room for a number.
	maxMadeName = chat.MaxUsernameLength - 12
	// madeInOrder is how many usernames of a name are tried in order: bob, bob_2, bob_3.
	madeInOrder = 9
	// maxMade is how often a username is made anew of which another has been quicker.
	maxMade = 5
)

// makeUsername makes a username of a name that people go by: what a username can't hold
// is left out. Of a name with nothing else, it is "user".
func makeUsername(name string) string {
	var made strings.Builder
	n := 0
	for _, r := range strings.ReplaceAll(strings.Join(strings.Fields(name), " "), " ", "_") {
		_, _, err := chat.PrepareUsername(string(r))
		if belongs := n > 0 && unicode.Is(unicode.M, r); err != nil && r != '.' && !belongs { // to the letter before it
			continue
		}
		if n++; n > maxMadeName {
			break
		}
		made.WriteRune(r)
	}
	username := strings.Trim(made.String(), "_")
	// What may stand alone may still be nothing together, or with a number behind it.
	for _, numbered := range []string{username, username + "_2"} {
		if _, _, err := chat.PrepareUsername(numbered); err != nil {
			return "user"
		}
	}
	return username
}

// freeUsername finds a username like one that nobody has.
func freeUsername(tx *store.Tx, like string) (name string, err error) {
	for i := 1; i <= madeInOrder+maxMade; i++ {
		switch {
		case i == 1:
			name = like
		case i <= madeInOrder:
			name = like + "_" + strconv.Itoa(i)
		default:
			name = like + "_" + strconv.Itoa(1e9+rand.N(9*int(1e9))) //nolint:gosec // it is no secret
		}
		err = chat.UsernameFree(tx, name)
		if refusal := chat.AsError(err); refusal == nil || refusal.Kind != chat.Conflict {
			break
		}
	}
	return name, err
}
