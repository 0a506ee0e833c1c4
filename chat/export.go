package chat

import (
	"context"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// How much of an export is read at once, each time in a View of its own, so that none is
// kept open by a client that reads slowly.
const (
	exportedRows     = 200
	exportedMessages = 500 // of a chat that are looked at, whoever has sent them
)

// Export is all that there is about somebody. It is read as it is asked for, each list
// in parts: they are not of the same moment. A list that can't be read further ends with
// an error.
type Export struct {
	// Account is theirs.
	Account User
	// At is when the export was begun.
	At time.Time

	ctx    context.Context
	store  *store.Store
	caller Caller
}

// What an export has beside what the other rules answer with.
type (
	// Invitation lets somebody make an account.
	Invitation = store.Invitation
	// ExportedChat is a chat that somebody is in, or has been.
	ExportedChat struct {
		store.ChatEver
		Invites []Invite // that they have made
	}
	// OwnMessage is a message with the texts that it had before.
	OwnMessage struct {
		Message
		Edits []Edit
	}
	// Activity is what somebody did to a message, or what it has to do with them. One of
	// the three is set.
	Activity struct {
		ChatID, MessageID int64
		At                time.Time // of the message, for Mentioned
		Emoji             string    // that they have put on it
		Choice            *string   // that they have voted for in its poll
		Mentioned         bool      // somebody else names them in it
	}
)

// Export begins to read all that there is about the caller. It returns TooMany if they
// have had it too often, and Forbidden to a key.
func (s *Service) Export(ctx context.Context, caller Caller) (*Export, error) {
	if err := caller.Require(AccountScope); err != nil {
		return nil, err
	}
	_, err := s.limits.Take(ctx, limit.Ask{Limit: limit.Exports, Key: strconv.FormatInt(caller.UserID, 10), Events: 1})
	if err != nil {
		return nil, Limited(err)
	}
	account, err := s.Me(ctx, caller)
	if err != nil {
		return nil, err
	}
	return &Export{Account: account, At: s.now(), ctx: ctx, store: s.store, caller: caller}, nil
}

// parts are what read finds, called for one part after another until it says that there
// are no more.
func parts[T any](e *Export, read func(tx *store.Tx) (part []T, more bool, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for more := true; more; {
			var part []T
			err := e.store.View(e.ctx, func(tx *store.Tx) (err error) {
				part, more, err = read(tx)
				return err
			})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range part {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// pages are parts that are found by how many there were before.
func pages[T any](e *Export, read func(tx *store.Tx, offset int) ([]T, error)) iter.Seq2[T, error] {
	offset := 0
	return parts(e, func(tx *store.Tx) ([]T, bool, error) {
		part, err := read(tx, offset)
		offset += len(part)
		return part, len(part) == exportedRows, err
	})
}

// Sessions are their sign-ins and keys, also those that have expired since, by id.
func (e *Export) Sessions() iter.Seq2[Session, error] {
	return pages(e, func(tx *store.Tx, offset int) ([]Session, error) {
		return tx.ListSessionsOf(e.caller.UserID, "", time.UnixMicro(0), exportedRows, offset)
	})
}

// Blocks are those that they have made.
func (e *Export) Blocks() iter.Seq2[Block, error] {
	return pages(e, func(tx *store.Tx, offset int) ([]Block, error) {
		return tx.ListBlocks(e.caller.UserID, exportedRows, offset)
	})
}

// Invitations are those to register that they have made, as an administrator.
func (e *Export) Invitations() iter.Seq2[Invitation, error] {
	return pages(e, func(tx *store.Tx, offset int) ([]store.Invitation, error) {
		return tx.ListInvitationsBy(e.caller.UserID, exportedRows, offset)
	})
}

// Chats are the chats that they are in, or have been, by id.
func (e *Export) Chats() iter.Seq2[ExportedChat, error] {
	after := int64(0)
	return parts(e, func(tx *store.Tx) ([]ExportedChat, bool, error) {
		found, err := tx.ListChatsEver(e.caller.UserID, after, exportedRows)
		part := make([]ExportedChat, len(found))
		for i, c := range found {
			part[i].ChatEver, after = c, c.ID
			if err != nil || c.Kind != store.GroupChat {
				continue
			}
			var invites []store.Invite
			invites, err = tx.ListInvitesBy(e.caller.UserID, c.ID)
			for _, invite := range invites {
				part[i].Invites = append(part[i].Invites, Invite{Invite: invite})
			}
		}
		return part, len(found) == exportedRows, err
	})
}

// Participants are those of the chats that they are in, chat by chat.
func (e *Export) Participants() iter.Seq2[Participant, error] {
	return func(yield func(Participant, error) bool) {
		for c, err := range e.Chats() {
			if err != nil {
				yield(Participant{}, err)
				return
			}
			if c.Participant == nil {
				continue
			}
			for p, err := range pages(e, func(tx *store.Tx, offset int) ([]Participant, error) {
				return tx.ListParticipants(c.ID, exportedRows, offset)
			}) {
				if !yield(p, err) {
					return
				}
			}
		}
	}
}

// inChats are parts that are found in each chat that they are in, or have been, and in
// each part of its messages.
func inChats[T any](e *Export, read func(tx *store.Tx, c ExportedChat, in store.Span) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for c, err := range e.Chats() {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			after := int64(0)
			for v, err := range parts(e, func(tx *store.Tx) (part []T, more bool, err error) {
				last, err := tx.FindPartOfChat(c.ID, after, exportedMessages)
				if err != nil || last == 0 {
					return nil, false, err
				}
				part, err = read(tx, c, store.Span{After: after, Before: last + 1})
				after = last
				return part, true, err
			}) {
				if !yield(v, err) {
					return
				}
			}
		}
	}
}

// Messages are those that they have sent, with all their versions and how their polls
// stand, chat by chat.
func (e *Export) Messages() iter.Seq2[OwnMessage, error] {
	return inChats(e, func(tx *store.Tx, c ExportedChat, in store.Span) ([]OwnMessage, error) {
		found, err := tx.ListMessagesBySender(e.caller.UserID, c.ID, in)
		if err != nil {
			return nil, err
		}
		part := make([]OwnMessage, len(found))
		var withPoll []int64
		for i, m := range found {
			part[i].Message = m
			if !m.EditedAt.IsZero() {
				if part[i].Edits, err = tx.ListEdits(m.ID); err != nil {
					return nil, err
				}
			}
			if m.HasPoll {
				withPoll = append(withPoll, m.ID)
			}
		}
		if len(withPoll) > 0 {
			polls, err := tx.FindPolls(e.caller.UserID, withPoll, e.At)
			if err != nil {
				return nil, err
			}
			for i := range part {
				part[i].Poll = polls[part[i].ID]
			}
		}
		return part, nil
	})
}

// Activity is what they did to messages, of whomever, and where others name them; chat by
// chat.
func (e *Export) Activity() iter.Seq2[Activity, error] {
	return inChats(e, func(tx *store.Tx, c ExportedChat, in store.Span) (part []Activity, err error) {
		reactions, err := tx.ListReactionsBy(e.caller.UserID, c.ID, in)
		if err != nil {
			return nil, err
		}
		for _, r := range reactions {
			part = append(part, Activity{ChatID: c.ID, MessageID: r.MessageID, At: r.CreatedAt, Emoji: r.Emoji})
		}
		votes, err := tx.ListVotesBy(e.caller.UserID, c.ID, in)
		if err != nil {
			return nil, err
		}
		for _, v := range votes {
			part = append(part, Activity{ChatID: c.ID, MessageID: v.MessageID, At: v.CreatedAt, Choice: &v.Text})
		}
		if c.Participant == nil {
			return part, nil // what others write there is not for them any more
		}
		mentions, err := tx.ListMentionsOf(e.caller.UserID, c.ID, in)
		for _, m := range mentions {
			part = append(part, Activity{ChatID: c.ID, MessageID: m.MessageID, At: m.CreatedAt, Mentioned: true})
		}
		return part, err
	})
}

// Hidden are the ids of the messages that they have hidden from themselves.
func (e *Export) Hidden() iter.Seq2[int64, error] {
	after := int64(0)
	return parts(e, func(tx *store.Tx) ([]int64, bool, error) {
		part, err := tx.ListHidden(e.caller.UserID, after, exportedRows)
		if len(part) > 0 {
			after = part[len(part)-1]
		}
		return part, len(part) == exportedRows, err
	})
}

// AuditEntries are those of what they have done, newest first, and then those of what
// others have done to their account: without the address of who did it.
func (e *Export) AuditEntries() iter.Seq2[AuditEntry, error] {
	by := store.AuditFilter{Before: math.MaxInt64, ActorID: e.caller.UserID}
	return parts(e, func(tx *store.Tx) ([]AuditEntry, bool, error) {
		part, err := tx.ListAuditEntries(by, exportedRows)
		if err != nil {
			return nil, false, err
		}
		full := len(part) == exportedRows
		if full {
			by.Before = part[len(part)-1].ID
		}
		if by.ActorID == 0 {
			part = aboutThem(part, e.caller.UserID)
		} else if !full {
			by = store.AuditFilter{Before: math.MaxInt64, UserID: e.caller.UserID}
			full = true
		}
		return part, full, nil
	})
}

// aboutThem are the entries that somebody has not made themselves. The address of
// whoever could not sign in is told, and that of others is not.
func aboutThem(entries []AuditEntry, userID int64) (about []AuditEntry) {
	for _, entry := range entries {
		if entry.ActorID == userID {
			continue
		}
		if entry.ActorID != 0 {
			entry.ActorID, entry.Address = 0, ""
		}
		about = append(about, entry)
	}
	return about
}
