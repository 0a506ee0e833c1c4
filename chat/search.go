package chat

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddymsg/messaging/chat/fold"
	"github.com/caddymsg/messaging/store"
)

const (
	// MaxQueryLength is the longest text to search for, in characters.
	MaxQueryLength = 200
	// SnippetLength is about how much of a message that was found is shown, in
	// characters.
	SnippetLength = 160

	// maxSearchTerms is how many terms the index is asked for; what was found is
	// held to all of a query.
	maxSearchTerms = 16
)

// MessageSearch says which messages to look for.
type MessageSearch struct {
	Text   string    // words, all of which a message has, each at least as the beginning of one
	ChatID int64     // in this chat; 0: in all of the caller's
	Sender string    // by the user of that name; "": by anybody
	From   time.Time // sent then or later, if it is not zero
	To     time.Time // sent before, if it is not zero
	Before int64     // with a lower id, if it is not 0
	Limit  int       // at most so many, up to [MaxListLimit]
}

// FoundMessage is a message that a search has found, with the part of its text
// that shows it.
type FoundMessage struct {
	Message    Message
	Snippet    string
	Highlights []Highlight
}

// Highlight is a part of a snippet that was looked for: so many characters (code
// points) from Start, the first being 0.
type Highlight struct{ Start, Length int }

// SearchMessages finds messages in the chats that the caller takes part in now,
// the newest first. What was sent a moment ago may not be found yet. It returns
// Invalid for a text without a word, Forbidden for a chat that the caller is not
// in, NotFound for a sender that does not exist, and TooMany for one search too many.
//
// Below the id next there may be more; 0 says that there is not. As a search has a
// bound, it may have found less than the limit then, or nothing.
func (s *Service) SearchMessages(ctx context.Context, caller Caller, search MessageSearch) (found []FoundMessage, next int64, err error) {
	query, err := parseQuery(search.Text)
	if err != nil {
		return nil, 0, err
	}
	if search.Limit < 1 || search.Limit > MaxListLimit {
		return nil, 0, invalid("limit", "limit_invalid", "limit is a number from 1 to "+strconv.Itoa(MaxListLimit)+".")
	}
	if err := s.takeSearch(ctx, caller); err != nil {
		return nil, 0, err
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if search.ChatID != 0 {
			if _, err := chatOf(tx, caller, search.ChatID); err != nil {
				return err
			}
		}
		var sender int64
		if search.Sender != "" {
			user, err := findUser(tx, search.Sender, "sender")
			if err != nil {
				return err
			}
			sender = user.ID
		}
		found, next, err = searchMessages(tx, caller, search, query, func(m Message) bool {
			return (sender == 0 || m.SenderID == sender) &&
				(search.From.IsZero() || !m.CreatedAt.Before(search.From)) &&
				(search.To.IsZero() || m.CreatedAt.Before(search.To))
		})
		if err != nil {
			return err
		}
		messages := make([]Message, len(found))
		for i, f := range found {
			messages[i] = f.Message
		}
		if err := s.decorate(tx, caller, messages); err != nil {
			return err
		}
		for i, m := range messages {
			found[i].Message = m
		}
		return nil
	})
	return found, next, err
}

// lookedAtOnce bounds the messages that a search looks at, of those that the index
// finds. It is much more than it takes, unless what is looked for is rare among
// them: a sender, a day, words that stand in the same message by chance.
const lookedAtOnce = 8192

// searchMessages looks at what the index finds, until there is enough. It returns
// below which id there may be more.
func searchMessages(tx *store.Tx, caller Caller, search MessageSearch, query fold.Query, wanted func(Message) bool) (found []FoundMessage, next int64, err error) {
	const some = 256 // of the index, at once: mostly these suffice
	terms := searchTerms(query)
	before := search.Before
	if before == 0 {
		before = math.MaxInt64
	}
	width := max(some, search.Limit)
	for left := lookedAtOnce; left > 0; width = left {
		ids, err := tx.SearchMessages(caller.UserID, search.ChatID, before, terms, min(width, left))
		if err != nil {
			return nil, 0, err
		}
		for part := range slices.Chunk(ids, some) {
			messages, err := tx.ListMessagesByID(caller.UserID, part)
			if err != nil {
				return nil, 0, err
			}
			for _, m := range messages {
				if !wanted(m) {
					continue
				}
				ranges, ok := query.Match(m.Text)
				if !ok {
					continue
				}
				f := FoundMessage{Message: m}
				f.Snippet, f.Highlights = snippet(m.Text, ranges)
				if found = append(found, f); len(found) == search.Limit {
					return found, m.ID, nil
				}
			}
		}
		if len(ids) < min(width, left) {
			return found, 0, nil
		}
		before, left = ids[len(ids)-1], left-len(ids)
	}
	return found, before, nil
}

// SearchUsers finds accounts by the words of their usernames and display names,
// by id. It returns Invalid for a text without a word, and TooMany for one search too
// many.
func (s *Service) SearchUsers(ctx context.Context, caller Caller, text string, limit, offset int) ([]User, error) {
	query, err := parseQuery(text)
	if err != nil {
		return nil, err
	}
	return s.Users(ctx, caller, Filter{Terms: searchTerms(query), Limited: true, Limit: limit, Offset: offset})
}

// SearchGroups finds groups by the words of their titles and descriptions, by id:
// those that are public, and the caller's own. It returns Invalid for a text
// without a word, and TooMany for one search too many.
func (s *Service) SearchGroups(ctx context.Context, caller Caller, text string, limit, offset int) (groups []Group, err error) {
	query, err := parseQuery(text)
	if err != nil {
		return nil, err
	}
	if err := s.takeSearch(ctx, caller); err != nil {
		return nil, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		groups, err = tx.SearchGroups(caller.UserID, searchTerms(query), limit, offset)
		return err
	})
	return groups, err
}

// Containing makes a filter of users one of those that have all words of a text
// in their usernames and display names. A text without a word changes nothing.
func Containing(f Filter, text string) Filter {
	if query, err := parseQuery(text); err == nil {
		f.Terms = searchTerms(query)
	}
	return f
}

func parseQuery(text string) (fold.Query, error) {
	if utf8.RuneCountInString(text) > MaxQueryLength {
		return fold.Query{}, invalid("q", "q_too_long",
			"A search is for at most "+strconv.Itoa(MaxQueryLength)+" characters.")
	}
	query := fold.ParseQuery(text)
	if query.Empty() {
		return query, invalid("q", "q_missing", "A search is for at least one word.")
	}
	return query, nil
}

func searchTerms(query fold.Query) []store.Term {
	wanted := query.Wanted(maxSearchTerms)
	terms := make([]store.Term, 0, len(wanted))
	for _, w := range wanted {
		terms = append(terms, store.Term{Text: w.Term, Prefix: w.Prefix})
	}
	return terms
}

// snippet cuts out of a text what stands around the first of some ranges, and
// tells where they are in it.
func snippet(text string, ranges []fold.Range) (string, []Highlight) {
	const ahead = SnippetLength / 4
	characters := []rune(text)
	start, end := 0, len(characters)
	if len(characters) > SnippetLength && len(ranges) > 0 {
		if start = ranges[0].Start - ahead; start <= 0 {
			start = 0
		} else {
			start = border(characters, start, ranges[0].Start)
		}
		if start+SnippetLength < len(characters) {
			end = lastBorder(characters, max(start, ranges[0].Start)+1, start+SnippetLength)
		}
	}
	var b strings.Builder
	shift := -start
	if start > 0 {
		b.WriteRune('…')
		shift++
	}
	for _, r := range characters[start:end] {
		if unicode.IsControl(r) {
			r = ' ' // a snippet is one line
		}
		b.WriteRune(r)
	}
	if end < len(characters) {
		b.WriteRune('…')
	}
	var highlights []Highlight
	for _, r := range ranges {
		if from, to := max(r.Start, start), min(r.End, end); from < to {
			highlights = append(highlights, Highlight{Start: from + shift, Length: to - from})
		}
	}
	return b.String(), highlights
}

// border is where to cut a text, from there to a limit: behind a space or, where
// there is none, before a whole character.
func border(characters []rune, from, limit int) int {
	for at := from; at < limit; at++ {
		if unicode.IsSpace(characters[at-1]) && !unicode.IsSpace(characters[at]) {
			return at
		}
	}
	for from < limit && within(characters, from) {
		from++
	}
	return from
}

// lastBorder is where to cut a text off, from there back to a limit: before a
// space, if there is one near, or before a whole character.
func lastBorder(characters []rune, limit, from int) int {
	const near = 20
	for at := from; at > max(limit, from-near); at-- {
		if unicode.IsSpace(characters[at]) && !unicode.IsSpace(characters[at-1]) {
			return at
		}
	}
	for at := from; at > limit; at-- {
		if !within(characters, at) {
			return at
		}
	}
	return from
}

// within tells whether a code point belongs to the one before it.
func within(characters []rune, at int) bool {
	const joiner = '\u200d'
	r := characters[at]
	return unicode.In(r, unicode.M, unicode.Variation_Selector, unicode.Sk) || r == joiner || characters[at-1] == joiner
}
