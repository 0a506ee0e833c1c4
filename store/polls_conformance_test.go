package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func polls(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	options := func(texts ...string) (options []store.PollOption) {
		for _, text := range texts {
			options = append(options, store.PollOption{Text: text})
		}
		return options
	}
	lunch := store.Poll{Options: options("Pizza", `"Süßes" & <😀>`, "nothing"), Multiple: true, ClosesAt: noon}
	secret := store.Poll{Options: options("yes", "no"), Anonymous: true}
	var posted [4]store.Message
	update(t, s, func(tx *store.Tx) error {
		for i, poll := range []*store.Poll{&lunch, nil, &secret, nil} {
			c, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
			if err != nil {
				return err
			}
			posted[i] = store.Message{
				ChatID: group.ID, Seq: c.LastSeq, SenderID: ada.ID, Text: fmt.Sprint(i), CreatedAt: noon, HasPoll: poll != nil,
			}
			if err := tx.CreateMessage(&posted[i]); err != nil {
				return err
			}
			if poll == nil {
				continue
			}
			if err := tx.CreatePoll(posted[i].ID, *poll); err != nil {
				return err
			}
		}
		return nil
	})
	all := []int64{posted[0].ID, posted[1].ID, posted[2].ID, posted[3].ID}
	for i, m := range messagesOf(t, s, group.ID) {
		require.Equal(t, i == 0 || i == 2, m.HasPoll)
	}
	standing := func(as store.User, at time.Time) (found map[int64]*store.Poll) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.FindPolls(as.ID, all, at)
			return err
		})
		return found
	}
	earlier := noon.Add(-time.Microsecond)
	require.Equal(t, map[int64]*store.Poll{all[0]: &lunch, all[2]: &secret}, standing(ada, earlier))
	closed := lunch
	closed.Closed = true
	require.Equal(t, map[int64]*store.Poll{all[0]: &closed, all[2]: &secret}, standing(ada, noon))

	vote := func(messageID int64, choice int, by store.User, at time.Time) store.Vote {
		v := store.Vote{MessageID: messageID, Choice: choice, UserID: by.ID, Username: by.Username, CreatedAt: at}
		update(t, s, func(tx *store.Tx) error { return tx.CreateVote(v) })
		return v
	}
	later := vote(all[0], 1, ada, noon.Add(time.Second))
	first := vote(all[0], 1, bob, noon)
	vote(all[0], 2, ada, noon)
	vote(all[2], 0, bob, noon)
	err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.CreateVote(first) })
	require.ErrorIs(t, err, store.ErrConflict)

	lunch.Voters = 2
	lunch.Options = []store.PollOption{{Text: "Pizza"}, {Text: `"Süßes" & <😀>`, Votes: 2, Me: true}, {Text: "nothing", Votes: 1, Me: true}}
	secret.Voters = 1
	secret.Options = []store.PollOption{{Text: "yes", Votes: 1}, {Text: "no"}}
	require.Equal(t, map[int64]*store.Poll{all[0]: &lunch, all[2]: &secret}, standing(ada, earlier))
	lunch.Options[2].Me = false
	secret.Options[0].Me = true
	require.Equal(t, map[int64]*store.Poll{all[0]: &lunch, all[2]: &secret}, standing(bob, earlier))

	view(t, s, func(tx *store.Tx) error {
		one, err := tx.FindPoll(bob.ID, all[0], earlier)
		require.NoError(t, err)
		require.Equal(t, []store.PollOption{{Text: "Pizza"}, {Text: `"Süßes" & <😀>`, Me: true}, {Text: "nothing"}}, one.Options)
		require.False(t, one.Closed)
		one, err = tx.FindPoll(bob.ID, all[0], noon)
		require.NoError(t, err)
		require.True(t, one.Closed)
		_, err = tx.FindPoll(bob.ID, all[1], noon)
		require.ErrorIs(t, err, store.ErrNotFound)

		votes, err := tx.ListVotes(all[0], 1, 10, 0)
		require.NoError(t, err)
		require.Equal(t, []store.Vote{first, later}, votes)
		votes, err = tx.ListVotes(all[0], 1, 1, 1)
		require.NoError(t, err)
		require.Equal(t, []store.Vote{later}, votes)
		votes, err = tx.ListVotes(all[0], 0, 10, 0)
		require.NoError(t, err)
		require.Empty(t, votes)

		none, err := tx.FindPolls(bob.ID, []int64{all[1], all[3]}, noon)
		require.NoError(t, err)
		require.Empty(t, none)
		return nil
	})

	update(t, s, func(tx *store.Tx) error { return tx.DeleteVote(all[0], 1, ada.ID) })
	update(t, s, func(tx *store.Tx) error { return tx.ClosePoll(all[2], noon) })
	update(t, s, func(tx *store.Tx) error { return tx.ClosePoll(all[0], earlier) })
	for _, nothing := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return tx.DeleteVote(all[0], 1, ada.ID) },
		func(tx *store.Tx) error { return tx.DeleteVote(all[1], 0, ada.ID) },
		func(tx *store.Tx) error { return tx.ClosePoll(all[0], noon) },
		func(tx *store.Tx) error { return tx.ClosePoll(all[1], noon) },
	} {
		require.ErrorIs(t, s.Update(t.Context(), nothing), store.ErrNotFound)
	}
	now := standing(ada, noon)
	require.Equal(t, noon, now[all[2]].ClosesAt)
	require.True(t, now[all[2]].Closed)
	require.Equal(t, earlier, now[all[0]].ClosesAt)
	require.Equal(t, 2, now[all[0]].Voters)
	require.Equal(t, 1, now[all[0]].Options[1].Votes)
}
