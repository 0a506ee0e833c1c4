package auth

import (
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
	// maxNumber is one that there is room for.
	maxNumber = 1_000_000_000
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

// freeUsername finds a username like one that nobody has: the first number that is free
// or, from madeInOrder on, one behind a number that is taken. Until the Update has ended,
// no other one that wants such a username finds it free.
func freeUsername(tx *store.Tx, like string) (string, error) {
	if err := tx.LockName("username " + chat.UsernameKey(like)); err != nil {
		return "", err
	}
	numbered := func(n int) string {
		if n == 1 {
			return like
		}
		return like + "_" + strconv.Itoa(n)
	}
	taken := func(n int) (bool, error) {
		err := chat.UsernameFree(tx, numbered(n))
		if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Conflict {
			return true, nil
		}
		return false, err
	}
	// Of a name that many have, not all are asked for: from a free number far enough it
	// goes back by halves to the last one that is taken.
	last, free := 0, 1
	for free < maxNumber {
		is, err := taken(free)
		if err != nil {
			return "", err
		}
		if !is {
			break
		}
		last = free
		if free < madeInOrder {
			free++
		} else {
			free *= 2
		}
	}
	for free-last > 1 {
		middle := last + (free-last)/2
		is, err := taken(middle)
		if err != nil {
			return "", err
		}
		if is {
			last = middle
		} else {
			free = middle
		}
	}
	return numbered(free), nil
}
