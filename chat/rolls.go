package chat

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// Roll is a chat and who takes part in it, those first who have been in it longest.
type Roll = store.Roll

// GroupChat is the kind of a chat that is a group.
const GroupChat = store.GroupChat

// NewRoll is a chat that somebody wants to make for several people at once.
type NewRoll struct {
	// Title is that of a group.
	Title string
	// UserIDs are those who are in it, the caller among them, who owns a group.
	UserIDs []int64
	// Direct asks for the chat between two people, if there are two. They have one:
	// it is made if they have not talked yet.
	Direct bool
}

// CreateRoll makes a chat for several people: a private group that all who are in it
// manage or, if asked for, the chat of two. It returns Invalid for the title, Forbidden
// to who is not among them and to whom one of them has blocked, NotFound for a user, and
// Conflict if one is named twice or if there are too many.
func (s *Service) CreateRoll(ctx context.Context, caller Caller, n NewRoll) (Roll, error) {
	change, err := GroupChange{Title: &n.Title}.prepare()
	switch {
	case err != nil:
		return Roll{}, err
	case !slices.Contains(n.UserIDs, caller.UserID):
		return Roll{}, &Error{Kind: Forbidden, Code: "not_among_participants", Message: "Whoever makes a chat is in it."}
	case len(n.UserIDs) > s.maxParticipants:
		return Roll{}, errGroupFull()
	}
	people := slices.Compact(slices.Sorted(slices.Values(n.UserIDs)))
	var made Roll
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		made = Roll{UserIDs: n.UserIDs} // it may be tried again
		there, err := tx.CountAccounts(people)
		switch {
		case err != nil:
			return err
		case there < len(people):
			return errNoSuchUser("")
		case len(people) < len(n.UserIDs):
			return &Error{Kind: Conflict, Code: "participant_twice", Field: "participants", Message: "Somebody is named twice."}
		}
		switch blocked, err := tx.IsBlockedByAny(caller.UserID, people); {
		case err != nil:
			return err
		case blocked:
			return errBlocked()
		}
		if n.Direct && len(people) == 2 {
			other := people[0] + people[1] - caller.UserID
			made.Chat, err = s.openDirectChat(tx, caller, other)
			return err
		}
		made.Chat = changed(store.NewGroup("", s.now()), change)
		return createChat(tx, &made.Chat, caller.UserID, n.UserIDs...)
	})
	return made, err
}

// requireTrusted returns Forbidden where ids are not trusted: to do so is for an API that
// asks nobody who they are (contract 2).
func requireTrusted(caller Caller) error {
	if !caller.Trusted {
		return &Error{Kind: Forbidden, Code: "not_trusted", Message: "This site asks who you are."}
	}
	return nil
}

// CreateEmptyGroup makes a group in which nobody is, where ids are trusted (POST /chats/):
// the caller may be nobody, and it counts as a change of their network. See
// [Service.JoinEmptyGroup]. It returns Forbidden to callers who are not trusted, Invalid
// for the title, and TooMany.
func (s *Service) CreateEmptyGroup(ctx context.Context, caller Caller, title string) (Roll, error) {
	if err := requireTrusted(caller); err != nil {
		return Roll{}, err
	}
	_, err := s.limits.Take(ctx, limit.Ask{Limit: limit.Changes, Key: limit.Network(caller.Address)})
	if err != nil {
		return Roll{}, Limited(err)
	}
	change, err := GroupChange{Title: &title}.prepare()
	if err != nil {
		return Roll{}, err
	}
	made := Roll{Chat: changed(store.NewGroup("", s.now()), change)}
	err = s.store.Update(ctx, func(tx *store.Tx) error { return createChat(tx, &made.Chat, 0) })
	return made, err
}

// JoinEmptyGroup puts the caller into a group in which nobody is and nothing was said.
// They are its owner. It returns Forbidden for any other chat, for one that does not
// exist, and to callers who are not trusted.
func (s *Service) JoinEmptyGroup(ctx context.Context, caller Caller, chatID int64) (Roll, error) {
	if err := requireTrusted(caller); err != nil {
		return Roll{}, err
	}
	var roll Roll
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		group, err := emptyGroup(tx, caller, chatID)
		if err == nil {
			err = tx.LockGroup(chatID)
		}
		if err == nil {
			group, err = emptyGroup(tx, caller, chatID)
		}
		if err == nil {
			_, err = s.join(tx, group, caller)
		}
		if err == nil {
			roll, err = tx.FindRoll(chatID)
		}
		return refuse(err, store.ErrNotFound, errNotParticipant())
	})
	return roll, err
}

func emptyGroup(tx *store.Tx, caller Caller, chatID int64) (Group, error) {
	group, err := tx.FindGroup(caller.UserID, chatID)
	if err == nil && (group.ParticipantCount > 0 || group.LastSeq > 0) {
		err = store.ErrNotFound
	}
	return group, err
}

// rollsAtOnce is how many rolls of a list are in memory: each may be a long one.
const rollsAtOnce = 16

// Rolls lists the caller's chats, by their ids, however many. It ends after an error.
func (s *Service) Rolls(ctx context.Context, caller Caller) iter.Seq2[Roll, error] {
	return byID(func(r Roll) int64 { return r.ID }, rollsAtOnce, func(after int64) (piece []Roll, err error) {
		err = s.store.View(ctx, func(tx *store.Tx) error {
			piece, err = tx.ListRolls(caller.UserID, after, rollsAtOnce)
			return err
		})
		return piece, err
	})
}

// MessagesIn lists up to limit messages of a chat of the caller's, by their ids, but for
// those that have been deleted and the first ones, so many as the offset says; each with
// how many have read it. It returns Forbidden if the caller is not in the chat. The list
// ends after an error.
func (s *Service) MessagesIn(ctx context.Context, caller Caller, chatID int64, limit, offset int) (iter.Seq2[Message, error], error) {
	if err := s.RequireParticipant(ctx, caller, chatID); err != nil {
		return nil, err
	}
	f := Filter{Limited: true, Limit: limit, Offset: offset}
	return inPieces(f, MessageID, func(m Message) int64 { return m.ID }, func(f Filter) ([]Message, error) {
		return s.FindMessages(ctx, caller, MessageQuery{ChatID: chatID, Present: true, Filter: f})
	}), nil
}

// AddUser is AddParticipant by the user's id, and returns who is in the chat then.
func (s *Service) AddUser(ctx context.Context, caller Caller, chatID, userID int64) (Roll, error) {
	find := func(tx *store.Tx, _, _ string) (User, error) { return findAccount(tx, userID) }
	var roll Roll
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		_, err := s.addParticipant(tx, caller, chatID, find, "")
		if err == nil {
			roll, err = tx.FindRoll(chatID)
		}
		return err
	})
	return roll, err
}

// LongestIn finds who has been in a chat longest, of those who may sign in: on whose
// behalf something is done where ids are trusted and none is named. It returns Forbidden
// to callers who are not trusted, and NotFound if there is nobody.
func (s *Service) LongestIn(ctx context.Context, caller Caller, chatID int64) (userID int64, err error) {
	if err := requireTrusted(caller); err != nil {
		return 0, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		userID, err = tx.FindLongestIn(chatID)
		return err
	})
	return userID, refuse(err, store.ErrNotFound, &Error{Kind: NotFound, Code: "chat_not_found", Message: "There is no such chat."})
}

// openDirectChat is [Service.directChat] for who may open it.
func (s *Service) openDirectChat(tx *store.Tx, caller Caller, to int64) (Chat, error) {
	c, err := tx.FindDirectChat(caller.UserID, to)
	if err == nil {
		err = tx.LockChat(caller.UserID, c.ID) // whoever is about to delete it does so first
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Chat{}, err
	}
	return s.directChat(tx, caller.UserID, to)
}
