package chat

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/store"
)

// MaxParticipants is how many people a group takes. All of them hear of what
// happens to it, in one transaction.
const MaxParticipants = 10_000

// Participant is somebody's place in a chat.
type Participant = store.Participant

// RequireParticipant returns Forbidden unless the caller takes part in the
// chat.
func (s *Service) RequireParticipant(ctx context.Context, caller Caller, chatID int64) error {
	return s.store.ViewOne(ctx, func(tx *store.Tx) error {
		_, err := chatOf(tx, caller, chatID)
		return err
	})
}

// chatOf finds a chat of the caller's, or returns Forbidden.
func chatOf(tx *store.Tx, caller Caller, chatID int64) (Chat, error) {
	c, err := tx.FindChatOf(caller.UserID, chatID)
	return c, refuse(err, store.ErrNotFound, errNotParticipant())
}

// lockPlace locks a chat of the caller's, and finds it and their place in it, or
// returns Forbidden.
func lockPlace(tx *store.Tx, caller Caller, chatID int64) (Chat, Participant, error) {
	err := tx.LockChat(caller.UserID, chatID)
	var mine Participant
	if err == nil {
		mine, err = tx.FindParticipant(chatID, caller.UserID)
	}
	if err != nil {
		return Chat{}, Participant{}, refuse(err, store.ErrNotFound, errNotParticipant())
	}
	c, err := tx.FindChatByID(chatID)
	return c, mine, err
}

// Participants lists who takes part in a chat, by how long they have. It returns
// Forbidden to those who don't.
func (s *Service) Participants(ctx context.Context, caller Caller, chatID int64, limit, offset int) ([]Participant, error) {
	var found []Participant
	err := s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return err
		}
		var err error
		found, err = tx.ListParticipants(chatID, limit, offset)
		return err
	})
	return found, err
}

// AddParticipant puts the named user into a group. Any participant may
// (contract 0), unless its admins manage it. It returns Forbidden to others,
// then NotFound for the user, then Invalid for a chat that is no group, then
// Forbidden to whom the admins have left nothing to manage and to whom the user
// has blocked, then Conflict if the user is in it or the group is full. It returns
// Invalid for the idempotency key, which is optional.
func (s *Service) AddParticipant(ctx context.Context, caller Caller, chatID int64, username, key string) (Participant, error) {
	var added Participant
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		operation := "add-participant " + strconv.FormatInt(chatID, 10)
		return Once(tx, caller, key, operation, s.now(), &added, func() (err error) {
			added, err = s.addParticipant(tx, caller, chatID, findUser, username)
			return err
		})
	})
	return added, err
}

func (s *Service) addParticipant(tx *store.Tx, caller Caller, chatID int64, find finder, username string) (Participant, error) {
	c, mine, user, err := groupAndUser(tx, caller, chatID, find, username)
	if err != nil {
		return Participant{}, err
	}
	if !canManage(mine, c) {
		return Participant{}, errAdminRequired()
	}
	if err := notBlocked(tx, user, caller); err != nil {
		return Participant{}, err
	}
	// The chat is locked: nobody adds them meanwhile.
	if _, err := tx.FindParticipant(chatID, user.ID); err == nil {
		return Participant{}, errAlreadyIn()
	} else if !errors.Is(err, store.ErrNotFound) {
		return Participant{}, err
	}
	group, err := tx.FindGroup(caller.UserID, chatID)
	if err != nil {
		return Participant{}, err
	}
	if group.ParticipantCount >= s.maxParticipants {
		return Participant{}, errGroupFull()
	}
	now := s.now()
	if err := tx.AddParticipant(chatID, user.ID, store.Member, now); err != nil {
		return Participant{}, refuse(err, store.ErrNotFound, errNoSuchUser("username")) // deleted meanwhile
	}
	if err := tx.AppendEvent(store.Event{
		Type: store.ParticipantAdded, ChatID: chatID, ActorID: caller.UserID, UserID: user.ID, At: now,
	}); err != nil {
		return Participant{}, err
	}
	return tx.FindParticipant(chatID, user.ID)
}

// RemoveParticipant takes the user of that username or id out of a group. Any
// participant may remove any, and leave by removing themselves (contract 0). If
// its admins manage it, only they remove others, and none but the owner removes
// an admin. It returns Forbidden to those outside, then NotFound for the user, then
// Invalid for a chat that is no group, then Forbidden to those who may not, or
// NotFound if the user is not in it.
//
// Whoever is removed does not come back by an invite of their own.
func (s *Service) RemoveParticipant(ctx context.Context, caller Caller, chatID int64, username string) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		c, mine, user, err := groupAndUser(tx, caller, chatID, findOneNamed, username)
		if err != nil {
			return err
		}
		if user.ID == caller.UserID {
			return leave(tx, mine, caller.UserID, s.now())
		}
		if !canManage(mine, c) {
			return errAdminRequired()
		}
		theirs, err := placeOf(tx, chatID, user)
		if err != nil {
			return err
		}
		if c.ManagedBy == store.ByAdmins && isGroupAdmin(theirs) && mine.Role != store.Owner {
			return errOwnerRequired()
		}
		now := s.now()
		if err := tx.RevokeInvitesOf(chatID, user.ID, now); err != nil {
			return err
		}
		return leave(tx, theirs, caller.UserID, now)
	})
}

// SetRole makes the user of that username or id an admin of a group, a member, or
// its owner, in place of the caller, who is an admin then. The owner alone may. It
// returns Invalid for the role, Forbidden to those outside, then NotFound for the
// user, then Invalid for a chat that is no group, then Forbidden to who is not the
// owner, NotFound if the user is not in it, and Invalid for an owner who would go
// without another. The invites of who may not add people any more are revoked.
func (s *Service) SetRole(ctx context.Context, caller Caller, chatID int64, username, role string) (Participant, error) {
	switch role {
	case store.Owner, store.Admin, store.Member:
	default:
		return Participant{}, invalid("role", "role_invalid", "The roles are owner, admin and member.")
	}
	var theirs Participant
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		c, mine, user, err := groupAndUser(tx, caller, chatID, findOneNamed, username)
		if err != nil {
			return err
		}
		if mine.Role != store.Owner {
			return errOwnerRequired()
		}
		if theirs, err = placeOf(tx, chatID, user); err != nil || theirs.Role == role {
			return err
		}
		if user.ID == caller.UserID {
			return invalid("role", "owner_needed", "A group has an owner: make somebody else the owner.")
		}
		now := s.now()
		if role == store.Owner {
			if err := setRole(tx, mine, store.Admin, caller.UserID, now); err != nil {
				return err
			}
		}
		if err := setRole(tx, theirs, role, caller.UserID, now); err != nil {
			return err
		}
		theirs.Role = role
		if canManage(theirs, c) {
			return nil
		}
		return tx.RevokeInvitesOf(chatID, user.ID, now)
	})
	return theirs, err
}

// JoinGroup puts the caller into a public group. Anybody may. It returns Forbidden
// for a group that is private or not there, Invalid for a chat of the caller's that
// is no group, and Conflict to whoever is in it, and if it is full. It returns
// Invalid for the idempotency key, which is optional.
func (s *Service) JoinGroup(ctx context.Context, caller Caller, chatID int64, key string) (Group, error) {
	var group Group
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		operation := "join-group " + strconv.FormatInt(chatID, 10)
		return Once(tx, caller, key, operation, s.now(), &group, func() error {
			_, err := groupFor(tx, caller, chatID)
			if err == nil {
				err = refuse(tx.LockGroup(chatID), store.ErrNotFound, errNotParticipant())
			}
			if err != nil {
				return err
			}
			if group, err = groupFor(tx, caller, chatID); err != nil {
				return err
			}
			group, err = s.join(tx, group, caller)
			return err
		})
	})
	return group, err
}

// join puts the caller into a group, which is locked, and returns it as it is
// then. In a group that everybody has left, they are the owner.
func (s *Service) join(tx *store.Tx, group Group, caller Caller) (Group, error) {
	if group.Role != "" {
		return Group{}, &Error{Kind: Conflict, Code: "already_a_participant", Message: "You are in this group already."}
	}
	if group.ParticipantCount >= s.maxParticipants {
		return Group{}, errGroupFull()
	}
	at := s.now()
	joined := store.Event{
		Type: store.ParticipantAdded, ChatID: group.ID, ActorID: caller.UserID, UserID: caller.UserID, At: at,
	}
	group.Role = store.Member
	if group.ParticipantCount == 0 {
		group.Role = store.Owner
		joined.Data = roleData(store.Owner)
	}
	group.ParticipantCount++
	if err := tx.AddParticipant(group.ID, caller.UserID, group.Role, at); err != nil {
		return Group{}, refuse(err, store.ErrNotFound, errGone())
	}
	return group, tx.AppendEvent(joined)
}

// leave takes somebody out of a group, which is locked. It is never without an
// owner: who has been an admin longest comes after one who leaves or, if there is
// none, who has been a member longest.
func leave(tx *store.Tx, p Participant, actor int64, at time.Time) error {
	if err := tx.RemoveParticipant(p.ChatID, p.UserID); err != nil {
		return err
	}
	if err := tx.AppendEvent(store.Event{
		Type: store.ParticipantRemoved, ChatID: p.ChatID, ActorID: actor, UserID: p.UserID, At: at,
	}); err != nil {
		return err
	}
	if p.Role != store.Owner {
		return nil
	}
	heir, err := tx.FindHeir(p.ChatID, actor)
	if errors.Is(err, store.ErrNotFound) {
		return nil // nobody is left
	}
	if err != nil {
		return err
	}
	return setRole(tx, heir, store.Owner, actor, at)
}

func setRole(tx *store.Tx, p Participant, role string, actor int64, at time.Time) error {
	if err := tx.SetRole(p.ChatID, p.UserID, role); err != nil {
		return err
	}
	return tx.AppendEvent(store.Event{
		Type: store.ParticipantUpdated, ChatID: p.ChatID, ActorID: actor, UserID: p.UserID, At: at, Data: roleData(role),
	})
}

func roleData(role string) string { return eventData(map[string]string{"role": role}) }

// placeOf finds a user's place in a group, or returns NotFound.
func placeOf(tx *store.Tx, chatID int64, user User) (Participant, error) {
	p, err := tx.FindParticipant(chatID, user.ID)
	return p, refuse(err, store.ErrNotFound, &Error{
		Kind: NotFound, Code: "participant_not_found", Field: "username", Message: "This user is not in the chat.",
	})
}

// finder finds a user by what a field of the input says, or returns NotFound.
type finder func(tx *store.Tx, named, field string) (User, error)

// groupAndUser makes the checks that all changes of participants share, in the
// order of contract 0, and finds the caller's own place, too.
func groupAndUser(tx *store.Tx, caller Caller, chatID int64, find finder, username string) (Chat, Participant, User, error) {
	c, mine, err := lockPlace(tx, caller, chatID)
	if err != nil {
		return Chat{}, Participant{}, User{}, err
	}
	user, err := find(tx, username, "username")
	if err == nil && c.Kind != store.GroupChat {
		err = errNotAGroup()
	}
	return c, mine, user, err
}

func errAlreadyIn() *Error {
	return &Error{
		Kind: Conflict, Code: "already_a_participant", Field: "username", Message: "This user is in the chat already.",
	}
}

func errGroupFull() *Error {
	return &Error{Kind: Conflict, Code: "group_full", Message: "A group takes " + strconv.Itoa(MaxParticipants) + " people. This one is full."}
}
