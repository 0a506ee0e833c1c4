package chat_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

var (
	noSuchPoll   = refusal{chat.NotFound, "poll_not_found", ""}
	pollClosed   = refusal{chat.Invalid, "poll_closed", ""}
	noSuchOption = refusal{chat.Invalid, "poll_option_invalid", "options"}
)

// poll sends a poll to a group.
func (r *rules) poll(tb testing.TB, caller chat.Caller, chatID int64, p chat.NewPoll) chat.Message {
	tb.Helper()
	if p.Options == nil {
		p.Options = []string{"Pizza", "Sushi", "nothing"}
	}
	return r.send(tb, caller, chat.Draft{ChatID: chatID, Text: "Lunch?", Poll: &p})
}

// standing tells how often each option has been chosen, and by how many people.
func standing(p chat.Poll) (votes []int, voters int) {
	for _, o := range p.Options {
		votes = append(votes, o.Votes)
	}
	return votes, p.Voters
}

// chosen are the caller's own choices.
func chosen(p chat.Poll) (choices []int) {
	for i, o := range p.Options {
		if o.Me {
			choices = append(choices, i)
		}
	}
	return choices
}

func TestNewPoll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		r.committed()

		bad := refusal{chat.Invalid, "poll_options_invalid", "poll.options"}
		badEnd := refusal{chat.Invalid, "poll_closes_in_invalid", "poll.closes_in"}
		long := strings.Repeat("😀", chat.MaxPollOptionLength)
		ten := strings.Split("0123456789", "")
		for name, c := range map[string]struct {
			poll    chat.NewPoll
			want    []string
			refused *refusal
		}{
			"two":              {poll: chat.NewPoll{Options: []string{"yes", "no"}}, want: []string{"yes", "no"}},
			"ten":              {poll: chat.NewPoll{Options: ten}, want: ten},
			"longest":          {poll: chat.NewPoll{Options: []string{long, "no"}}, want: []string{long, "no"}},
			"space around":     {poll: chat.NewPoll{Options: []string{" yes\n", "\tno"}}, want: []string{"yes", "no"}},
			"case matters":     {poll: chat.NewPoll{Options: []string{"a", "A"}}, want: []string{"a", "A"}},
			"what JSON quotes": {poll: chat.NewPoll{Options: []string{`"`, `<\>`}}, want: []string{`"`, `<\>`}},
			"a year":           {poll: chat.NewPoll{Options: ten, ClosesIn: chat.MaxPollDuration}, want: ten},

			"none":             {poll: chat.NewPoll{}, refused: &bad},
			"one":              {poll: chat.NewPoll{Options: ten[:1]}, refused: &bad},
			"eleven":           {poll: chat.NewPoll{Options: append(slices.Clone(ten), "10")}, refused: &bad},
			"an empty one":     {poll: chat.NewPoll{Options: []string{"yes", " "}}, refused: &bad},
			"too long":         {poll: chat.NewPoll{Options: []string{long + "x", "no"}}, refused: &bad},
			"the same":         {poll: chat.NewPoll{Options: []string{"a", "b", "a"}}, refused: &bad},
			"the same trimmed": {poll: chat.NewPoll{Options: []string{"a", "a "}}, refused: &bad},
			"two lines":        {poll: chat.NewPoll{Options: []string{"a", "b\nc"}}, refused: &bad},
			"NUL":              {poll: chat.NewPoll{Options: []string{"a", "b\x00"}}, refused: &bad},
			"not UTF-8":        {poll: chat.NewPoll{Options: []string{"a", "b\xff"}}, refused: &bad},
			"too long a time":  {poll: chat.NewPoll{Options: ten, ClosesIn: chat.MaxPollDuration + 1}, refused: &badEnd},
			"closed before":    {poll: chat.NewPoll{Options: ten, ClosesIn: -1}, refused: &badEnd},
		} {
			t.Run(name, func(t *testing.T) {
				m, err := r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, Text: "?", Poll: &c.poll})
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					require.Empty(t, r.committed())
					return
				}
				require.NoError(t, err)
				require.True(t, m.HasPoll)
				events := r.committed()
				require.Len(t, events, 1)
				require.True(t, events[0].Message.HasPoll)
				poll, err := r.Poll(t.Context(), alice, m.ID)
				require.NoError(t, err)
				var texts []string
				for _, o := range poll.Options {
					texts = append(texts, o.Text)
				}
				require.Equal(t, c.want, texts)
				require.False(t, poll.Closed)
				if c.poll.ClosesIn == 0 {
					require.True(t, poll.ClosesAt.IsZero())
				} else {
					require.Equal(t, m.CreatedAt.Add(c.poll.ClosesIn), poll.ClosesAt)
				}
			})
		}

		// A poll is sent once, as every message is.
		draft := chat.Draft{ChatID: group.ID, Text: "?", ClientID: "key", Poll: &chat.NewPoll{Options: ten}}
		m := r.send(t, alice, draft)
		require.Equal(t, m, r.send(t, alice, draft))
	})
}

func TestVote(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		single, multiple := r.poll(t, alice, group.ID, chat.NewPoll{}), r.poll(t, alice, group.ID, chat.NewPoll{Multiple: true})
		r.committed()

		singleChoice := refusal{chat.Invalid, "poll_single_choice", "options"}
		for _, c := range []struct {
			says    string
			as      chat.Caller
			m       chat.Message
			choices []int
			votes   []int
			voters  int
			data    string // of the event; none, if nothing changes
			refused *refusal
		}{
			{"one", alice, single, []int{1}, []int{0, 1, 0}, 1, `{"options":[1]}`, nil},
			{"the same again", alice, single, []int{1}, []int{0, 1, 0}, 1, ``, nil},
			{"the same, twice", alice, single, []int{1, 1}, []int{0, 1, 0}, 1, ``, nil},
			{"somebody else's", bob, single, []int{1}, []int{0, 2, 0}, 2, `{"options":[1]}`, nil},
			{"another instead", alice, single, []int{2}, []int{0, 1, 1}, 2, `{"options":[2]}`, nil},
			{"two where one is allowed", alice, single, []int{0, 1}, nil, 0, ``, &singleChoice},
			{"one that is not there", alice, single, []int{3}, nil, 0, ``, &noSuchOption},
			{"one before the first", alice, single, []int{-1}, nil, 0, ``, &noSuchOption},
			{"none", alice, single, []int{}, []int{0, 1, 0}, 1, `{"options":[]}`, nil},
			{"none again", alice, single, nil, []int{0, 1, 0}, 1, ``, nil},
			{"several", alice, multiple, []int{2, 0}, []int{1, 0, 1}, 1, `{"options":[0,2]}`, nil},
			{"all", bob, multiple, []int{0, 1, 2}, []int{2, 1, 2}, 2, `{"options":[0,1,2]}`, nil},
			{"others instead", alice, multiple, []int{0, 1}, []int{2, 2, 1}, 2, `{"options":[0,1]}`, nil},
			{"one of many that is not there", alice, multiple, []int{0, 3}, nil, 0, ``, &noSuchOption},
			{"more than there can be", alice, multiple, make([]int, 11), nil, 0, ``, &noSuchOption},
			{"back", bob, multiple, nil, []int{1, 1, 0}, 1, `{"options":[]}`, nil},
		} {
			poll, err := r.Vote(t.Context(), c.as, c.m.ID, c.choices)
			events := r.committed()
			if c.refused != nil {
				requireRefusal(t, *c.refused, err)
				require.Empty(t, events, c.says)
				continue
			}
			require.NoError(t, err, c.says)
			votes, voters := standing(poll)
			require.Equal(t, c.votes, votes, c.says)
			require.Equal(t, c.voters, voters, c.says)
			require.ElementsMatch(t, slices.Compact(slices.Sorted(slices.Values(c.choices))), chosen(poll), c.says)
			shown, err := r.Poll(t.Context(), c.as, c.m.ID)
			require.NoError(t, err)
			require.Equal(t, poll, shown)
			if c.data == "" {
				require.Empty(t, events, c.says)
				continue
			}
			require.Len(t, events, 1, c.says)
			require.Equal(t, c.m.ID, events[0].Message.ID)
			require.Equal(t, store.Event{
				ID: events[0].ID, Type: store.PollVoted, ChatID: group.ID, ActorID: c.as.UserID,
				Message: events[0].Message, Data: c.data, At: events[0].At,
			}, events[0])
		}
	})
}

// Nothing tells who has voted for what, not even the log.
func TestAnonymousPoll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		m := r.poll(t, alice, group.ID, chat.NewPoll{Anonymous: true})
		r.committed()
		poll, err := r.Vote(t.Context(), bob, m.ID, []int{2})
		require.NoError(t, err)
		require.Equal(t, []int{2}, chosen(poll))
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.PollVoted, ChatID: group.ID,
			Message: events[0].Message, Data: "{}", At: events[0].At,
		}, events[0])

		poll, err = r.Poll(t.Context(), alice, m.ID)
		require.NoError(t, err)
		votes, voters := standing(poll)
		require.Equal(t, []int{0, 0, 1}, votes)
		require.Equal(t, 1, voters)
		require.Empty(t, chosen(poll))
		for _, caller := range []chat.Caller{alice, bob} {
			_, err = r.PollVotes(t.Context(), caller, m.ID, 2, 100, 0)
			requireRefusal(t, refusal{chat.Forbidden, "poll_anonymous", ""}, err)
		}
	})
}

func TestPollVotes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		m := r.poll(t, alice, r.group(t, alice, bob).ID, chat.NewPoll{Multiple: true})
		for _, c := range []chat.Caller{bob, alice} {
			_, err := r.Vote(t.Context(), c, m.ID, []int{1})
			require.NoError(t, err)
		}
		// What stays chosen keeps its time.
		_, err := r.Vote(t.Context(), bob, m.ID, []int{0, 1})
		require.NoError(t, err)
		for _, c := range []struct {
			option, limit, offset int
			want                  []string
		}{
			{0, 100, 0, []string{"bob"}},
			{1, 100, 0, []string{"bob", "alice"}},
			{1, 1, 0, []string{"bob"}},
			{1, 1, 1, []string{"alice"}},
			{2, 100, 0, nil},
		} {
			votes, err := r.PollVotes(t.Context(), alice, m.ID, c.option, c.limit, c.offset)
			require.NoError(t, err)
			var names []string
			for _, v := range votes {
				names = append(names, v.Username)
			}
			require.Equal(t, c.want, names)
		}
		for _, option := range []int{-1, 3, 9} {
			_, err := r.PollVotes(t.Context(), alice, m.ID, option, 100, 0)
			requireRefusal(t, refusal{chat.Invalid, "poll_option_invalid", "option"}, err)
		}
	})
}

func TestClosePoll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, carol := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "carol")
		group := r.group(t, alice, bob, carol)
		m := r.poll(t, bob, group.ID, chat.NewPoll{})
		_, err := r.Vote(t.Context(), alice, m.ID, []int{1})
		require.NoError(t, err)
		r.committed()

		_, err = r.ClosePoll(t.Context(), carol, m.ID)
		requireRefusal(t, refusal{chat.Forbidden, "not_the_sender", ""}, err)
		require.Empty(t, r.committed())

		poll, err := r.ClosePoll(t.Context(), bob, m.ID)
		require.NoError(t, err)
		require.True(t, poll.Closed)
		votes, _ := standing(poll)
		require.Equal(t, []int{0, 1, 0}, votes)
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.PollClosed, ChatID: group.ID, ActorID: bob.UserID,
			Message: events[0].Message, At: poll.ClosesAt,
		}, events[0])
		require.Equal(t, m.ID, events[0].Message.ID)

		again, err := r.ClosePoll(t.Context(), bob, m.ID)
		require.NoError(t, err)
		require.Equal(t, poll.ClosesAt, again.ClosesAt)
		for _, choices := range [][]int{{0}, {1}, nil} {
			_, err = r.Vote(t.Context(), alice, m.ID, choices)
			requireRefusal(t, pollClosed, err)
		}
		require.Empty(t, r.committed())

		// The owner of the group may close it, before its time.
		m = r.poll(t, bob, group.ID, chat.NewPoll{ClosesIn: time.Hour})
		poll, err = r.ClosePoll(t.Context(), alice, m.ID)
		require.NoError(t, err)
		require.True(t, poll.Closed)
		require.True(t, poll.ClosesAt.Before(m.CreatedAt.Add(time.Hour)))

		// A poll closes by itself, without an event.
		m = r.poll(t, bob, group.ID, chat.NewPoll{ClosesIn: time.Hour})
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error { return tx.ClosePoll(m.ID, m.CreatedAt) }))
		r.committed()
		_, err = r.Vote(t.Context(), alice, m.ID, []int{0})
		requireRefusal(t, pollClosed, err)
		_, err = r.ClosePoll(t.Context(), bob, m.ID)
		require.NoError(t, err, "so it is")
		require.Empty(t, r.committed())
	})
}

func TestPollRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		m := r.poll(t, alice, group.ID, chat.NewPoll{})
		plain := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "?", Poll: &chat.NewPoll{Options: []string{"a", "b"}}})
		bobs := r.send(t, bob, chat.Draft{To: "alice", Text: "?", Poll: &chat.NewPoll{Options: []string{"a", "b"}}})
		_, err := r.Block(t.Context(), alice, "bob")
		require.NoError(t, err)
		r.committed()

		for name, c := range map[string]struct {
			caller chat.Caller
			id     int64
			read   *refusal
			write  *refusal
		}{
			"a message of others":   {eve, m.ID, &noSuchMessage, &noSuchMessage},
			"no such message":       {alice, 9999, &noSuchMessage, &noSuchMessage},
			"no possible message":   {alice, -1, &noSuchMessage, &noSuchMessage},
			"no poll":               {bob, plain.ID, &noSuchPoll, &noSuchPoll},
			"blocked":               {bob, direct.ID, nil, &blocked},
			"blocked, own":          {bob, bobs.ID, nil, &blocked},
			"blocked, in the group": {bob, m.ID, nil, nil},
		} {
			t.Run(name, func(t *testing.T) {
				_, poll := r.Poll(t.Context(), c.caller, c.id)
				_, votes := r.PollVotes(t.Context(), c.caller, c.id, 0, 100, 0)
				for _, err := range []error{poll, votes} {
					if c.read == nil {
						require.NoError(t, err)
					} else {
						requireRefusal(t, *c.read, err)
					}
				}
				_, err := r.Vote(t.Context(), c.caller, c.id, []int{0})
				if c.write == nil {
					require.NoError(t, err)
					return
				}
				requireRefusal(t, *c.write, err)
				_, err = r.ClosePoll(t.Context(), c.caller, c.id)
				requireRefusal(t, *c.write, err)
			})
		}
		_, err = r.Vote(t.Context(), alice, bobs.ID, []int{1})
		require.NoError(t, err, "a block is one-way")
		_, err = r.ClosePoll(t.Context(), alice, bobs.ID)
		requireRefusal(t, refusal{chat.Forbidden, "not_the_sender", ""}, err)
	})
}

// Votes that come at once are counted, and nobody has two where one is allowed.
func TestVoteConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		m := r.poll(t, alice, r.group(t, alice, bob).ID, chat.NewPoll{})
		for _, err := range atOnce(12, func(i int) error {
			caller := []chat.Caller{alice, bob}[i%2]
			_, err := r.Vote(t.Context(), caller, m.ID, []int{i % 3})
			return err
		}) {
			require.NoError(t, err)
		}
		poll, err := r.Poll(t.Context(), alice, m.ID)
		require.NoError(t, err)
		require.Len(t, chosen(poll), 1)
		votes, voters := standing(poll)
		require.Equal(t, 2, voters)
		require.Equal(t, 2, votes[0]+votes[1]+votes[2])
	})
}

// Whose vote is stored is answered, also if they are taken out of the group
// meanwhile: the answer is read after the vote.
func TestVoteAndBeRemoved(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t) // on SQLite, nobody else writes until the events are handed on
	elsewhere := newRules(t, database)
	alice, bob := elsewhere.person(t), elsewhere.person(t)
	removed := make(chan error, 1)
	var group chat.Chat
	s, err := store.Open(t.Context(), store.Options{Database: database, OnCommit: func([]store.Event) {
		removed <- elsewhere.RemoveParticipant(context.Background(), alice, group.ID, bob.Username)
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	r := chat.New(s, slog.New(slog.DiscardHandler))

	for name, change := range map[string]func(messageID int64) (chat.Poll, error){
		"vote":  func(id int64) (chat.Poll, error) { return r.Vote(t.Context(), bob, id, []int{1}) },
		"close": func(id int64) (chat.Poll, error) { return r.ClosePoll(t.Context(), bob, id) },
	} {
		t.Run(name, func(t *testing.T) {
			group = elsewhere.group(t, alice, bob)
			m := elsewhere.send(t, bob, chat.Draft{
				ChatID: group.ID, Text: "?", Poll: &chat.NewPoll{Options: []string{"yes", "no"}},
			})
			poll, err := change(m.ID)
			require.NoError(t, <-removed)
			require.NoError(t, err)
			require.Equal(t, name == "vote", poll.Options[1].Me)
			require.Equal(t, name == "close", poll.Closed)
			_, err = r.Poll(t.Context(), bob, m.ID)
			requireRefusal(t, noSuchMessage, err)
		})
	}
}
