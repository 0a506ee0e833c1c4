package chat

import (
	"context"
	"errors"
	"iter"
	"strings"

	"golang.org/x/text/cases"

	"github.com/caddymsg/messaging/store"
)

// What follows is for APIs that tell somebody outside of a group from a group that there
// is not: of public ones, all may know that they are there. Of other chats they say
// nothing, nor are these groups to them.

// Member is somebody's place in a group.
type Member struct {
	UserID int64
	Admin  bool // of the group, or its owner
}

// GroupMembers finds a group and all who are in it, by how long they have been. Whoever
// takes part in it may look at it and, if it is public, anybody. It returns NotFound for
// any other.
func (s *Service) GroupMembers(ctx context.Context, caller Caller, chatID int64) (group Group, members []Member, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if group, err = shownGroup(tx, caller, chatID); err != nil {
			return err
		}
		participants, err := tx.ListParticipants(chatID, MaxParticipants, 0)
		for _, p := range participants {
			members = append(members, Member{UserID: p.UserID, Admin: isGroupAdmin(p)})
		}
		return err
	})
	return group, members, err
}

// titlesAtOnce is how many groups are read at once of those that are looked through.
const titlesAtOnce = 500

// GroupTitles lists how the public groups and the caller's own are called, by their ids:
// those that have a title, and whose title contains a text, upper and lower case being
// the same. It is a search, and TooMany for one too many. It ends after an error.
func (s *Service) GroupTitles(ctx context.Context, caller Caller, contained string) iter.Seq2[string, error] {
	groups := byID(func(g store.GroupTitle) int64 { return g.ID }, titlesAtOnce, func(after int64) (piece []store.GroupTitle, err error) {
		err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
			piece, err = tx.ListGroupTitles(caller.UserID, after, titlesAtOnce)
			return err
		})
		return piece, err
	})
	folded := cases.Fold().String(contained)
	return func(yield func(string, error) bool) {
		if err := s.takeSearch(ctx, caller); err != nil {
			yield("", err)
			return
		}
		for g, err := range groups {
			named := g.Title != "" && strings.Contains(cases.Fold().String(g.Title), folded)
			if (named || err != nil) && !yield(g.Title, err) {
				return
			}
		}
	}
}

// MemberGroup finds a group that the caller is in. It returns Forbidden for a public one
// that they are not in, and NotFound for any other.
func (s *Service) MemberGroup(ctx context.Context, caller Caller, chatID int64) (group Group, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		group, err = memberGroup(tx, caller, chatID)
		return err
	})
	return group, err
}

// AddMember puts the named user into a group: one of the caller's as
// [Service.AddParticipant] does, and the caller into a public one as
// [Service.JoinGroup] does. It returns NotFound for the user, then for a group that the
// caller may not look at, then Conflict if the user is in it, then Forbidden to who is
// outside and adds others, and then what the two return.
func (s *Service) AddMember(ctx context.Context, caller Caller, chatID int64, username string) (user User, group Group, err error) {
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if user, err = findUser(tx, username, "username"); err != nil {
			return err
		}
		if _, err = shownGroup(tx, caller, chatID); err != nil {
			return err
		}
		if err := tx.LockGroup(chatID); err != nil {
			return refuse(err, store.ErrNotFound, errNoSuchGroup())
		}
		if group, err = shownGroup(tx, caller, chatID); err != nil {
			return err
		}
		switch {
		case group.Role != "":
			_, err = s.addParticipant(tx, caller, chatID, findUser, username)
		case user.ID == caller.UserID:
			group, err = s.join(tx, group, caller)
		default:
			_, err = tx.FindParticipant(chatID, user.ID)
			switch {
			case err == nil:
				err = errAlreadyIn()
			case errors.Is(err, store.ErrNotFound):
				err = errNotMember()
			}
		}
		return err
	})
	return user, group, err
}

// shownGroup finds a group that the caller may look at, or returns NotFound.
func shownGroup(tx *store.Tx, caller Caller, chatID int64) (Group, error) {
	group, err := tx.FindGroup(caller.UserID, chatID)
	if err == nil && group.Role == "" && group.Visibility != store.Public {
		return Group{}, errNoSuchGroup()
	}
	return group, refuse(err, store.ErrNotFound, errNoSuchGroup())
}

// memberGroup is what [Service.MemberGroup] says.
func memberGroup(tx *store.Tx, caller Caller, chatID int64) (Group, error) {
	group, err := shownGroup(tx, caller, chatID)
	if err == nil && group.Role == "" {
		return Group{}, errNotMember()
	}
	return group, err
}

// titleFree returns Invalid for a group without a title, and Conflict if a public group
// has it, other than one of that id. Until the Update has ended, no other one that asks
// finds it free.
func titleFree(tx *store.Tx, title string, but int64) error {
	if title == "" {
		return invalid("title", "title_missing", "A title is required.")
	}
	if err := tx.LockName("group " + title); err != nil {
		return err
	}
	taken, err := tx.HasPublicGroup(title, but)
	if err == nil && taken {
		err = &Error{Kind: Conflict, Code: "title_taken", Field: "title", Message: "There is a group of this name."}
	}
	return err
}

func errNoSuchGroup() *Error {
	return &Error{Kind: NotFound, Code: "group_not_found", Message: "There is no such group."}
}

func errNotMember() *Error {
	return &Error{Kind: Forbidden, Code: "not_a_member", Message: "You are not in this group."}
}
