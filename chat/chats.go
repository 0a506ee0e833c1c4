package chat

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/store"
)

// createChat stores a chat with its first participants and says so in the log. The first
// of a group is its owner.
func createChat(tx *store.Tx, c *Chat, creator int64, participants ...int64) error {
	if err := tx.CreateChat(c); err != nil {
		return err
	}
	if c.Kind == store.GroupChat {
		if err := indexGroup(tx, Chat{}, *c); err != nil {
			return err
		}
	}
	for i, userID := range participants {
		role, at := store.Member, c.CreatedAt
		if c.Kind == store.GroupChat {
			if userID == creator {
				role = store.Owner
			}
			// They stay in this order, which is that of joining. To store each takes longer
			// than that, so all of them are there before anything is said.
			at = at.Add(time.Duration(i) * time.Microsecond)
		}
		if err := tx.AddParticipant(c.ID, userID, role, at); err != nil {
			gone := errGone()
			if userID != creator {
				gone = errNoSuchUser("")
			}
			return refuse(err, store.ErrNotFound, gone) // the chat is there
		}
	}
	return tx.AppendEvent(store.Event{
		Type: store.ChatCreated, ChatID: c.ID, ActorID: creator, At: c.CreatedAt,
		Data: eventData(map[string]any{"kind": c.Kind, "participants": participants}),
	})
}

// lockDirectChat is directChat for an Update that goes on with the chat: it is
// locked. Should somebody delete it just then, there is another.
func (s *Service) lockDirectChat(tx *store.Tx, caller Caller, to int64) (chatID int64, err error) {
	for range 3 {
		c, err := s.directChat(tx, caller.UserID, to)
		if err != nil {
			return 0, err
		}
		err = tx.LockChat(caller.UserID, c.ID)
		if !errors.Is(err, store.ErrNotFound) {
			return c.ID, err
		}
	}
	return 0, errNotParticipant()
}

// directChat finds the chat between two people, or makes it: the first message
// opens it (contract 0, POST /v1/messages).
func (s *Service) directChat(tx *store.Tx, from, to int64) (Chat, error) {
	c, err := tx.FindDirectChat(from, to)
	if !errors.Is(err, store.ErrNotFound) {
		return c, err
	}
	return s.newDirectChat(tx, from, to)
}

// newDirectChat makes the chat between two people, who have none.
func (s *Service) newDirectChat(tx *store.Tx, from, to int64) (Chat, error) {
	c := store.NewDirectChat(from, to, s.now())
	participants := []int64{from, to}
	if from == to {
		participants = participants[:1]
	}
	err := createChat(tx, &c, from, participants...)
	return c, err
}

// Entry is a chat as one of its participants has it before them.
type Entry = store.ChatEntry

// Limits of a list: how much it has if one does not say, and at most, and how much
// may be left out first.
const (
	StandardListLimit = 100
	MaxListLimit      = 500
	MaxOffset         = 1_000_000
)

// listLimit is the limit of a list that begins at an offset; or it returns
// Invalid.
func listLimit(limit, offset int) (int, error) {
	switch {
	case limit == 0:
		limit = StandardListLimit
	case limit < 0 || limit > MaxListLimit:
		return 0, invalid("limit", "limit_invalid", "limit is a number from 1 to "+strconv.Itoa(MaxListLimit)+".")
	}
	if offset < 0 || offset > MaxOffset {
		return 0, invalid("offset", "offset_invalid", "offset is a number from 0 to "+strconv.Itoa(MaxOffset)+".")
	}
	return limit, nil
}

// Selection says which of one's chats one wants.
type Selection struct {
	Kind     string // or "" for all
	Archived *bool  // or nil for all
	// Limit is from 1 to [MaxListLimit]; 0 is [StandardListLimit].
	Limit, Offset int
}

// Chats lists the caller's chats, those first whose last message is the newest.
// It returns Invalid for what can't be asked.
func (s *Service) Chats(ctx context.Context, caller Caller, l Selection) (entries []Entry, err error) {
	if l.Limit, err = listLimit(l.Limit, l.Offset); err != nil {
		return nil, err
	}
	switch l.Kind {
	case "", store.GroupChat, store.DirectChat, store.SelfChat:
	default:
		return nil, invalid("kind", "kind_invalid", "A chat is a group, direct or self.")
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		entries, err = s.entries(tx, caller, store.ChatFilter{
			Kind: l.Kind, Archived: l.Archived, Limit: l.Limit, Offset: l.Offset,
		})
		return err
	})
	return entries, err
}

// Chat is one of the caller's chats. It returns Forbidden for any other.
func (s *Service) Chat(ctx context.Context, caller Caller, chatID int64) (e Entry, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		e, err = s.entryOf(tx, caller, chatID)
		return err
	})
	return e, err
}

func (s *Service) entryOf(tx *store.Tx, caller Caller, chatID int64) (Entry, error) {
	if chatID <= 0 {
		return Entry{}, errNotParticipant()
	}
	entries, err := s.entries(tx, caller, store.ChatFilter{ID: chatID, Limit: 1})
	if err != nil {
		return Entry{}, err
	}
	if len(entries) == 0 {
		return Entry{}, errNotParticipant()
	}
	return entries[0], nil
}

// entries lists chats of the caller's, each with its last message as that is shown
// everywhere.
func (s *Service) entries(tx *store.Tx, caller Caller, f store.ChatFilter) ([]Entry, error) {
	entries, err := tx.ListChatsOf(caller.UserID, f)
	if err != nil {
		return nil, err
	}
	now := s.now()
	var last []Message
	for i := range entries {
		e := &entries[i]
		if !e.Participant.MutedUntil.After(now) { // the time has come
			e.Participant.MutedUntil = time.Time{}
		}
		if e.LastMessage != nil {
			last = append(last, *e.LastMessage)
		}
	}
	if err := s.decorate(tx, caller, last); err != nil {
		return nil, err
	}
	for i := range entries {
		if e := &entries[i]; e.LastMessage != nil {
			e.LastMessage, last = &last[0], last[1:]
		}
	}
	return entries, nil
}

// Unread is how much somebody has not read.
type Unread = store.Unread

// Unread counts what the caller has not read, in all chats, apart for those that
// are muted.
func (s *Service) Unread(ctx context.Context, caller Caller) (u Unread, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		u, err = tx.CountUnread(caller.UserID, s.now())
		return err
	})
	return u, err
}

// OpenChat finds the chat between the caller and the named person, who may be
// the caller, or makes it. It returns NotFound for the person, and Forbidden if
// they have blocked the caller.
func (s *Service) OpenChat(ctx context.Context, caller Caller, username string) (Entry, error) {
	var entry Entry
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		user, err := findUser(tx, username, "username")
		if err != nil {
			return err
		}
		if err := notBlocked(tx, user, caller); err != nil {
			return err
		}
		c, err := s.openDirectChat(tx, caller, user.ID)
		if err != nil {
			return err
		}
		entry, err = s.entryOf(tx, caller, c.ID)
		return err
	})
	return entry, err
}

// Settings are what participants want to change of their own place in a
// chat. What is nil stays as it is.
type Settings struct {
	MutedUntil   *time.Time // the zero time, and one that has been, take it away
	Archived     *bool
	MarkedUnread *bool
}

// latestTime is the last time that timestamps can tell.
var latestTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// UpdateChatSettings changes the caller's own place in a chat, of which nobody
// else hears. It returns Forbidden if the caller is not in it, and Invalid for a
// time that is too far.
func (s *Service) UpdateChatSettings(ctx context.Context, caller Caller, chatID int64, change Settings) (Entry, error) {
	if change.MutedUntil != nil && change.MutedUntil.After(latestTime) {
		return Entry{}, invalid("muted_until", "muted_until_invalid", "It is a time up to the year 9999.")
	}
	var entry Entry
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		_, before, err := lockPlace(tx, caller, chatID)
		if err != nil {
			return err
		}
		now := s.now()
		after := before
		if change.MutedUntil != nil {
			after.MutedUntil = time.Time{}
			if change.MutedUntil.After(now) {
				after.MutedUntil = change.MutedUntil.UTC().Truncate(time.Microsecond)
			}
		}
		if change.Archived != nil {
			after.Archived = *change.Archived
		}
		if change.MarkedUnread != nil {
			after.MarkedUnread = *change.MarkedUnread
		}
		if after != before {
			if err := tx.SetSettings(after); err != nil {
				return err
			}
			if err := appendSettings(tx, after, now); err != nil {
				return err
			}
		}
		entry, err = s.entryOf(tx, caller, chatID)
		return err
	})
	return entry, err
}

// appendSettings tells a participant's other devices.
func appendSettings(tx *store.Tx, p store.Participant, at time.Time) error {
	told := map[string]any{"muted_until": nil, "archived": p.Archived, "marked_unread": p.MarkedUnread}
	if !p.MutedUntil.IsZero() {
		told["muted_until"] = p.MutedUntil.UTC().Format(eventTime)
	}
	return tx.AppendEvent(store.Event{
		Type: store.ChatSettingsUpdated, ChatID: p.ChatID, ActorID: p.UserID, UserID: p.UserID, Data: eventData(told), At: at,
	})
}

// DeleteChat deletes a chat with all its messages, for all who are in it. Of two
// people, either may (contract 1); of a group, its owner. It returns Forbidden to
// others.
func (s *Service) DeleteChat(ctx context.Context, caller Caller, chatID int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		c, mine, err := lockPlace(tx, caller, chatID)
		if err != nil {
			return err
		}
		return s.deleteOwn(tx, c, mine)
	})
}

// deleteOwn is what [Service.DeleteChat] says, of a chat that is locked.
func (s *Service) deleteOwn(tx *store.Tx, c Chat, mine Participant) error {
	if c.Kind == store.GroupChat && mine.Role != store.Owner {
		return errOwnerRequired()
	}
	return deleteChat(tx, c, mine.UserID, s.now())
}

// deleteChat deletes a chat for all who are in it, and tells each. The caller
// has locked it, and found that the actor may. Its messages are gone at once,
// and removed bit by bit (see sweep).
func deleteChat(tx *store.Tx, c Chat, actor int64, at time.Time) error {
	left, err := tx.DeleteChat(c.ID, at)
	if err != nil {
		return err
	}
	if c.Kind == store.GroupChat {
		if err := indexGroup(tx, c, Chat{}); err != nil {
			return err
		}
	}
	for _, userID := range left {
		err := tx.AppendEvent(store.Event{Type: store.ChatDeleted, ChatID: c.ID, ActorID: actor, UserID: userID, At: at})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepAtOnce is how much of deleted chats is removed in an Update: no sender
// waits for more.
const sweepAtOnce = 500

// sweep removes some of what deleted chats hold, and tells whether there is more.
func (s *Service) sweep(ctx context.Context) (more bool, err error) {
	var id int64
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		id, err = tx.FindDeletedChatID()
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error { return tx.SweepChat(id, sweepAtOnce) })
	return err == nil, err
}
