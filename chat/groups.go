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

// Limits of a group, in characters.
const (
	MaxTitleLength       = 128
	MaxDescriptionLength = 1000
)

// Group is a group as the caller meets it.
type Group = store.Group

// NewGroup is a group that somebody wants to make. All of it is optional.
type NewGroup struct {
	Title       string // one line
	Description string
	Visibility  string // public, or private: the default
	ManagedBy   string // admins, or members: the default
	// UniqueTitle is for a group of whose title there is to be no other public one.
	UniqueTitle bool
	Key         string // the idempotency key
}

// GroupChange is what is to be changed of a group. What is nil stays as it is.
type GroupChange struct {
	Title, Description, Visibility, ManagedBy *string
	// UniqueTitle is that of a [NewGroup].
	UniqueTitle bool
}

// CreateGroup makes a group with the caller as its owner. Anybody may. It returns
// Invalid for what won't do, and for the idempotency key, and Conflict for a title that
// is taken, where that matters.
func (s *Service) CreateGroup(ctx context.Context, caller Caller, n NewGroup) (Group, error) {
	wanted := GroupChange{Title: &n.Title, Description: &n.Description}
	if n.Visibility != "" {
		wanted.Visibility = &n.Visibility
	}
	if n.ManagedBy != "" {
		wanted.ManagedBy = &n.ManagedBy
	}
	change, err := wanted.prepare()
	if err != nil {
		return Group{}, err
	}
	var group Group
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		return Once(tx, caller, n.Key, "create-group", now, &group, func() error {
			c := changed(store.NewGroup("", now), change)
			if n.UniqueTitle {
				if err := titleFree(tx, c.Title, 0); err != nil {
					return err
				}
			}
			if err := createChat(tx, &c, caller.UserID, caller.UserID); err != nil {
				return err
			}
			group = Group{Chat: c, ParticipantCount: 1, Role: store.Owner}
			return nil
		})
	})
	return group, err
}

// Groups lists the public groups and the caller's own, by their ids.
func (s *Service) Groups(ctx context.Context, caller Caller, limit, offset int) (groups []Group, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		groups, err = tx.ListGroups(caller.UserID, limit, offset)
		return err
	})
	return groups, err
}

// Group finds a group. Whoever takes part in it may look at it and, if it is
// public, anybody. It returns Forbidden to others, and Invalid for a chat of the
// caller's that is no group.
func (s *Service) Group(ctx context.Context, caller Caller, chatID int64) (Group, error) {
	var group Group
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		group, err = groupFor(tx, caller, chatID)
		return err
	})
	return group, err
}

// groupFor finds a group that the caller may look at.
func groupFor(tx *store.Tx, caller Caller, chatID int64) (Group, error) {
	group, err := tx.FindGroup(caller.UserID, chatID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return Group{}, err
		}
		return Group{}, errNotAGroup()
	case err != nil:
		return Group{}, err
	case group.Role == "" && group.Visibility != store.Public:
		return Group{}, errNotParticipant()
	}
	return group, nil
}

// UpdateGroup changes a group, all that is given or nothing. Its owner and its
// admins may; who manages it is for the owner alone. It returns Invalid for what won't do and for a chat that is no group,
// Forbidden to others, and Conflict for a title that is taken, where that matters.
func (s *Service) UpdateGroup(ctx context.Context, caller Caller, chatID int64, g GroupChange) (Group, error) {
	change, err := g.prepare()
	if err != nil {
		return Group{}, err
	}
	var group Group
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		c, mine, err := lockGroup(tx, caller, chatID)
		if err != nil {
			return err
		}
		if !isGroupAdmin(mine) {
			return errAdminRequired()
		}
		if change.ManagedBy != nil && *change.ManagedBy != c.ManagedBy && mine.Role != store.Owner {
			return errOwnerRequired() // else an admin could remove the owner
		}
		after := changed(c, change)
		if g.UniqueTitle && change.Title != nil {
			if err := titleFree(tx, after.Title, chatID); err != nil {
				return err
			}
		}
		if after != c {
			if err := tx.UpdateChat(chatID, change); err != nil {
				return err
			}
			if err := indexGroup(tx, c, after); err != nil {
				return err
			}
			if err := tx.AppendEvent(store.Event{
				Type: store.ChatUpdated, ChatID: chatID, ActorID: caller.UserID, At: s.now(), Data: changes(c, after),
			}); err != nil {
				return err
			}
		}
		group, err = tx.FindGroup(caller.UserID, chatID)
		return err
	})
	return group, err
}

// DeleteGroup deletes a group with all that is in it, for everybody. Its owner
// may. It returns Forbidden to others, and Invalid for a chat that is no group.
func (s *Service) DeleteGroup(ctx context.Context, caller Caller, chatID int64) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		c, mine, err := lockGroup(tx, caller, chatID)
		if err != nil {
			return err
		}
		return s.deleteOwn(tx, c, mine)
	})
}

// prepare checks what a group is to be.
func (g GroupChange) prepare() (c store.ChatChange, err error) {
	if g.Title != nil {
		title := strings.TrimSpace(*g.Title)
		if utf8.RuneCountInString(title) > MaxTitleLength {
			return c, invalid("title", "title_too_long",
				"A title has at most "+strconv.Itoa(MaxTitleLength)+" characters.")
		}
		if !utf8.ValidString(title) || strings.ContainsFunc(title, unicode.IsControl) {
			return c, invalid("title", "title_invalid", "A title is one line of text without control characters.")
		}
		c.Title = &title
	}
	if c.Description, err = prepareText("description", g.Description, MaxDescriptionLength); err != nil {
		return c, err
	}
	if v := g.Visibility; v != nil && *v != store.Public && *v != store.Private {
		return c, invalid("visibility", "visibility_invalid", "A group is public or private.")
	}
	if m := g.ManagedBy; m != nil && *m != store.ByMembers && *m != store.ByAdmins {
		return c, invalid("managed_by", "managed_by_invalid", "A group is managed by its members or by its admins.")
	}
	c.Visibility, c.ManagedBy = g.Visibility, g.ManagedBy
	return c, nil
}

// changed is a chat after a change.
func changed(c Chat, change store.ChatChange) Chat {
	set := func(field *string, to *string) {
		if to != nil {
			*field = *to
		}
	}
	set(&c.Title, change.Title)
	set(&c.Description, change.Description)
	set(&c.Visibility, change.Visibility)
	set(&c.ManagedBy, change.ManagedBy)
	return c
}

// changes is what an event tells of a change: the new values.
func changes(before, after Chat) string {
	told := map[string]string{}
	for name, values := range map[string][2]string{
		"title":       {before.Title, after.Title},
		"description": {before.Description, after.Description},
		"visibility":  {before.Visibility, after.Visibility},
		"managed_by":  {before.ManagedBy, after.ManagedBy},
	} {
		if values[0] != values[1] {
			told[name] = values[1]
		}
	}
	return eventData(told)
}

// lockGroup locks a group that the caller is in, and finds it and their place in
// it. It returns Forbidden to others, and Invalid for a chat that is no group.
func lockGroup(tx *store.Tx, caller Caller, chatID int64) (Chat, Participant, error) {
	c, mine, err := lockPlace(tx, caller, chatID)
	if err == nil && c.Kind != store.GroupChat {
		err = errNotAGroup()
	}
	return c, mine, err
}

// isGroupAdmin tells whether somebody is an admin of a group, or its owner.
func isGroupAdmin(p store.Participant) bool { return p.Role == store.Owner || p.Role == store.Admin }

// canManage tells whether a participant may add people to a group, and remove
// them.
func canManage(p store.Participant, c Chat) bool {
	return c.ManagedBy == store.ByMembers || isGroupAdmin(p)
}

func errNotAGroup() *Error {
	return &Error{
		Kind: Invalid, Code: "not_a_group", Field: "group_chat_id",
		Message: "This is a chat between two people; only a group can do that.",
	}
}

func errAdminRequired() *Error {
	return &Error{Kind: Forbidden, Code: "group_admin_required", Message: "Only the owner and the admins of this group may do that."}
}

func errOwnerRequired() *Error {
	return &Error{Kind: Forbidden, Code: "owner_required", Message: "Only the owner of this group may do that."}
}
