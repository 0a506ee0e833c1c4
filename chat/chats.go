package chat

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddymsg/messaging/store"
)

// MaxTitleLength is the longest title of a group, in characters.
const MaxTitleLength = 128

// CreateGroup makes a group with the caller as its first participant. Anybody
// may. The title may be empty; it returns Invalid for one that is too long or
// holds control characters.
func (s *Service) CreateGroup(ctx context.Context, caller Caller, title string) (Chat, error) {
	title = strings.TrimSpace(title)
	if utf8.RuneCountInString(title) > MaxTitleLength {
		return Chat{}, invalid("title", "title_too_long",
			"A title has at most "+strconv.Itoa(MaxTitleLength)+" characters.")
	}
	if !utf8.ValidString(title) || strings.ContainsFunc(title, unicode.IsControl) {
		return Chat{}, invalid("title", "title_invalid", "A title is one line of text without control characters.")
	}
	group := store.NewGroup(title, s.now())
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		return createChat(tx, &group, caller.UserID, caller.UserID)
	})
	return group, err
}

// createChat stores a chat with its first participants and says so in the log.
func createChat(tx *store.Tx, c *Chat, creator int64, participants ...int64) error {
	if err := tx.CreateChat(c); err != nil {
		return err
	}
	role := store.Member
	if c.Kind == store.GroupChat {
		role = store.Owner
		if err := indexGroup(tx, Chat{}, *c); err != nil {
			return err
		}
	}
	for _, userID := range participants {
		if err := tx.AddParticipant(c.ID, userID, role, c.CreatedAt); err != nil {
			return err
		}
	}
	return tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: c.ID, ActorID: creator, At: c.CreatedAt})
}

// directChat finds the chat between two people, or makes it: the first message
// opens it (contract 0, POST /v1/messages).
func (s *Service) directChat(tx *store.Tx, from, to int64) (Chat, error) {
	c, err := tx.FindDirectChat(from, to)
	if !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	c = store.NewDirectChat(from, to, s.now())
	participants := []int64{from, to}
	if from == to {
		participants = participants[:1]
	}
	err = createChat(tx, &c, from, participants...)
	return c, err
}
