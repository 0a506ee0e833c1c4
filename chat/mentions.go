package chat

import (
	"slices"
	"strings"
	"unicode"

	"github.com/caddymsg/messaging/store"
)

// MaxMentions is how many @ of a message are looked at.
const MaxMentions = 50

// maxReadings is how many names are looked up for a message, and for several that
// are sent at once.
const maxReadings = 512

// call is an @ in a text, with what may be a name behind it.
type call struct {
	start    int // of the @, in characters
	readings []reading
}

// reading is a name that a call may mean.
type reading struct {
	key    string // folded
	length int    // in characters, with the @
}

// callsIn finds what may name somebody in a text. A username may hold any visible
// ASCII character but the slash, so "@bob!" may mean two people; the readings of a
// call are given with the longest first.
func callsIn(text string) (calls []call) {
	if !strings.Contains(text, "@") {
		return nil
	}
	at, before, looked := 0, ' ', 0
	for i, r := range text {
		// Behind a letter it is part of an address.
		if r == '@' && before != '@' && !spelt(before) {
			found := readings(text[i+1:])
			if looked += len(found); len(calls) == MaxMentions || looked > maxReadings {
				break
			}
			if len(found) > 0 {
				calls = append(calls, call{start: at, readings: found})
			}
		}
		at, before = at+1, r
	}
	return calls
}

// readings are the names that a text may begin with. A name ends where a word
// ends, or anywhere in a script that puts no spaces between words.
func readings(text string) (found []reading) {
	end := 0 // of what has been read, in bytes
	for length := 1; length <= MaxUsernameLength; length++ {
		rest := text[end:]
		var next rune
		size := len(rest)
		for i, r := range rest {
			if i > 0 {
				next, size = r, i
				break
			}
			if !inName(r) {
				return found
			}
		}
		if size == 0 {
			return found
		}
		end += size
		if spelt(next) || next == '@' || next == '_' {
			continue
		}
		if key := UsernameKey(text[:end]); key != "" {
			found = slices.Insert(found, 0, reading{key: key, length: length + 1})
		}
	}
	return found
}

// spelt tells whether a character is one of which, in scripts that put spaces
// between words, words are made.
func spelt(r rune) bool {
	return unicode.IsMark(r) || (unicode.IsLetter(r) || unicode.IsDigit(r)) && !unicode.In(r,
		unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// inName tells whether a username may hold a character; what else it takes is for
// [UsernameKey] to find out.
func inName(r rune) bool {
	if r < unicode.MaxASCII {
		return r > ' ' && r != '/'
	}
	// The last are those that PRECIS takes between certain letters.
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) || strings.ContainsRune("\u200c\u200d·͵׳״・", r)
}

// whoIsCalled finds who of the participants of a chat some texts may call, by
// their folded names.
func whoIsCalled(tx *store.Tx, chatID int64, texts []content) (map[string]int64, error) {
	var keys []string
	for _, text := range texts {
		for _, c := range text.calls {
			for _, r := range c.readings {
				keys = append(keys, r.key)
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.Sort(keys)
	return tx.FindParticipantsByKey(chatID, slices.Compact(keys))
}

// resolve takes of each call the longest name that somebody has.
func resolve(calls []call, ids map[string]int64) (mentions []store.Mention) {
	end := 0
	for _, c := range calls {
		if c.start < end {
			continue // an @ in the name before
		}
		for _, r := range c.readings {
			if id, ok := ids[r.key]; ok {
				mentions = append(mentions, store.Mention{Start: c.start, Length: r.length, UserID: id})
				end = c.start + r.length
				break
			}
		}
	}
	return mentions
}
