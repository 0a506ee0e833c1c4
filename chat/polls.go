package chat

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddymsg/messaging/store"
)

// The bounds of a poll.
const (
	MinPollOptions      = 2
	MaxPollOptions      = 10
	MaxPollOptionLength = 100 // characters
	MaxPollDuration     = 366 * 24 * time.Hour
)

type (
	// Poll is a question with answers to choose from. The question is the text
	// of its message.
	Poll = store.Poll
	// Vote is somebody's choice in a poll.
	Vote = store.Vote
)

// NewPoll is a poll that somebody wants to send.
type NewPoll struct {
	Options   []string
	Multiple  bool // more than one may be chosen
	Anonymous bool // nobody is told who has voted for what
	// ClosesIn is for how long one may vote; for ever, if it is 0.
	ClosesIn time.Duration
}

func (p NewPoll) validate() error {
	if len(p.Options) < MinPollOptions || len(p.Options) > MaxPollOptions {
		return invalid("poll.options", "poll_options_invalid", "A poll has from "+
			strconv.Itoa(MinPollOptions)+" to "+strconv.Itoa(MaxPollOptions)+" options.")
	}
	seen := map[string]bool{}
	for _, option := range p.trimmed() {
		switch {
		case option == "", utf8.RuneCountInString(option) > MaxPollOptionLength,
			!utf8.ValidString(option), strings.ContainsFunc(option, unicode.IsControl):
			return invalid("poll.options", "poll_options_invalid", "An option of a poll is one line of text, with up to "+
				strconv.Itoa(MaxPollOptionLength)+" characters.")
		case seen[option]:
			return invalid("poll.options", "poll_options_invalid", "No two options of a poll are the same.")
		}
		seen[option] = true
	}
	if p.ClosesIn < 0 || p.ClosesIn > MaxPollDuration {
		return invalid("poll.closes_in", "poll_closes_in_invalid", "A poll is open for a year at most.")
	}
	return nil
}

func (p NewPoll) trimmed() []string {
	options := make([]string, len(p.Options))
	for i, option := range p.Options {
		options[i] = strings.TrimSpace(option)
	}
	return options
}

// createPoll makes a poll of a message that says HasPoll.
func createPoll(tx *store.Tx, m Message, p NewPoll) error {
	poll := Poll{Multiple: p.Multiple, Anonymous: p.Anonymous}
	for _, option := range p.trimmed() {
		poll.Options = append(poll.Options, store.PollOption{Text: option})
	}
	if p.ClosesIn > 0 {
		poll.ClosesAt = m.CreatedAt.Add(p.ClosesIn)
	}
	return tx.CreatePoll(m.ID, poll)
}

// Poll shows the poll of a message and how it stands. It returns NotFound for a
// message that the caller does not see, and for one without a poll.
func (s *Service) Poll(ctx context.Context, caller Caller, messageID int64) (Poll, error) {
	var poll Poll
	err := s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := messageOf(tx, caller, messageID); err != nil {
			return err
		}
		var err error
		poll, err = s.pollOf(tx, caller, messageID)
		return err
	})
	return poll, err
}

// pollsOf finds the polls of messages that the caller sees.
func (s *Service) pollsOf(tx *store.Tx, caller Caller, messageIDs []int64) (map[int64]*Poll, error) {
	return tx.FindPolls(caller.UserID, messageIDs, s.now())
}

// Vote puts the caller's choices, none or some of the options by their places,
// in place of those before, and returns how the poll stands then. Whoever may
// write to the chat may vote. It returns NotFound for a message that the caller
// does not see, Forbidden to whom the other has blocked, NotFound for a message
// without a poll, also if it has been deleted, and Invalid if the poll is closed or
// can't be answered so.
func (s *Service) Vote(ctx context.Context, caller Caller, messageID int64, choices []int) (Poll, error) {
	if len(choices) > MaxPollOptions {
		return Poll{}, errNoSuchOption("options")
	}
	choices = slices.Compact(slices.Sorted(slices.Values(choices)))
	if choices == nil {
		choices = []int{} // which events tell as an empty list
	}
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		m, poll, err := lockPoll(tx, caller, messageID, now)
		if err != nil {
			return err
		}
		switch {
		case poll.Closed:
			return invalid("", "poll_closed", "This poll is closed.")
		case len(choices) > 0 && (choices[0] < 0 || choices[len(choices)-1] >= len(poll.Options)):
			return errNoSuchOption("options")
		case len(choices) > 1 && !poll.Multiple:
			return invalid("options", "poll_single_choice", "In this poll, one may choose one option.")
		}
		changed := false
		for i, option := range poll.Options {
			chosen := slices.Contains(choices, i)
			if chosen == option.Me {
				continue
			}
			changed = true
			if chosen {
				err = tx.CreateVote(Vote{MessageID: messageID, Choice: i, UserID: caller.UserID, CreatedAt: now})
			} else {
				err = tx.DeleteVote(messageID, i, caller.UserID)
			}
			if err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		e := store.Event{Type: store.PollVoted, ChatID: m.ChatID, Message: &m, Data: "{}", At: now}
		if !poll.Anonymous { // else not even the log knows who it was
			e.ActorID, e.Data = caller.UserID, eventData(map[string][]int{"options": choices})
		}
		return tx.AppendEvent(e)
	})
	if err != nil {
		return Poll{}, err
	}
	return s.standing(ctx, caller, messageID)
}

// standing shows a poll to somebody who has just changed it, also if they have
// been taken out of the chat since. It is not in their Update, which others wait
// for: all votes are to be counted.
func (s *Service) standing(ctx context.Context, caller Caller, messageID int64) (poll Poll, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		poll, err = s.pollOf(tx, caller, messageID)
		return err
	})
	return poll, err
}

// pollOf finds the poll of a message that the caller sees, or returns NotFound.
func (s *Service) pollOf(tx *store.Tx, caller Caller, messageID int64) (Poll, error) {
	polls, err := s.pollsOf(tx, caller, []int64{messageID})
	if err != nil {
		return Poll{}, err
	}
	found := polls[messageID]
	if found == nil {
		return Poll{}, errNoSuchPoll()
	}
	return *found, nil
}

// ClosePoll ends a poll and returns how it stands. Its sender may, and the owner
// and the admins of its group. If it is closed already, nothing changes. It
// returns NotFound for a message that the caller does not see, Forbidden to whom
// the other has blocked, NotFound for one without a poll, and Forbidden to others.
func (s *Service) ClosePoll(ctx context.Context, caller Caller, messageID int64) (Poll, error) {
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		m, _, err := lockPoll(tx, caller, messageID, now)
		if err != nil {
			return err
		}
		if m.SenderID != caller.UserID {
			p, err := tx.FindParticipant(m.ChatID, caller.UserID)
			if err != nil {
				return refuse(err, store.ErrNotFound, errNoSuchMessage())
			}
			if !isGroupAdmin(p) {
				return &Error{Kind: Forbidden, Code: "not_the_sender", Message: "Only who has sent the poll may close it, and the group's admins."}
			}
		}
		if err := tx.ClosePoll(messageID, now); err != nil {
			return refuseNothing(err)
		}
		return tx.AppendEvent(store.Event{
			Type: store.PollClosed, ChatID: m.ChatID, ActorID: caller.UserID, Message: &m, At: now,
		})
	})
	if err != nil {
		return Poll{}, err
	}
	return s.standing(ctx, caller, messageID)
}

// PollVotes lists who has chosen an option: up to limit people behind the first
// so many, in the order in which they did. It returns NotFound for a message that
// the caller does not see and for one without a poll, Forbidden to everybody if
// the poll is anonymous, and Invalid for an option that it does not have.
func (s *Service) PollVotes(ctx context.Context, caller Caller, messageID int64, option, limit, offset int) (votes []Vote, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := messageOf(tx, caller, messageID); err != nil {
			return err
		}
		poll, err := tx.FindPoll(caller.UserID, messageID, s.now())
		switch {
		case errors.Is(err, store.ErrNotFound):
			return errNoSuchPoll()
		case err != nil:
			return err
		case poll.Anonymous:
			return &Error{Kind: Forbidden, Code: "poll_anonymous", Message: "Nobody is told who has voted for what in this poll."}
		case option < 0 || option >= len(poll.Options):
			return errNoSuchOption("option")
		}
		votes, err = tx.ListVotes(messageID, option, limit, offset)
		return err
	})
	return votes, err
}

// lockPoll finds a message with its poll, in a chat that the caller may write to,
// and locks the chat.
func lockPoll(tx *store.Tx, caller Caller, messageID int64, at time.Time) (Message, Poll, error) {
	m, err := lockMessage(tx, caller, messageID)
	if err == nil {
		err = notBlockedAt(tx, caller, m)
	}
	if err != nil {
		return Message{}, Poll{}, err
	}
	poll, err := tx.FindPoll(caller.UserID, messageID, at)
	return m, poll, refuse(err, store.ErrNotFound, errNoSuchPoll())
}

func errNoSuchPoll() *Error {
	return &Error{Kind: NotFound, Code: "poll_not_found", Message: "This message has no poll."}
}

func errNoSuchOption(field string) *Error {
	return invalid(field, "poll_option_invalid", "The options of a poll are named by their places: 0, 1, 2…")
}
