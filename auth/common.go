package auth

import (
	_ "embed" // for the list
	"strings"

	"github.com/caddymsg/messaging/chat"
)

// commonPasswords are the most common passwords, lower-cased, sorted, one a line:
// what was counted in ten million that got out, and the commonest English words and
// names, some of which are as common. Those of fewer than minCommonLength letters
// are left out: they would be a third of it, and no site that cares how passwords
// are guessed takes any that short.
//
// It is the data of zxcvbn; its licence stands beside it.
//
//go:embed wordlist/passwords.txt
var commonPasswords string

const minCommonLength = 6

// isCommon tells whether a password is one of the most common, in whatever case. It
// searches the text as it is embedded, so that no copy of it is made.
func isCommon(password string) bool {
	folded := strings.ToLower(password)
	for rest := commonPasswords; rest != ""; {
		// The line in the middle.
		start := strings.LastIndexByte(rest[:len(rest)/2], '\n') + 1
		end := start + strings.IndexByte(rest[start:], '\n')
		switch line := rest[start:end]; {
		case folded == line:
			return true
		case folded < line:
			rest = rest[:start]
		default:
			rest = rest[end+1:]
		}
	}
	return false
}

// isUsername tells whether a password is the name of the account itself.
func isUsername(password, username string) bool {
	// What can't be a name has an empty key.
	key := chat.UsernameKey(password)
	return key != "" && key == chat.UsernameKey(username)
}
