package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/store"
)

func feedNow(tb testing.TB, s *store.Store) (f store.Feed) {
	tb.Helper()
	view(tb, s, func(tx *store.Tx) (err error) {
		f, err = tx.FindFeed()
		return err
	})
	return f
}

func feed(t *testing.T, open opener) {
	s, other := open(t, store.Options{}), open(t, store.Options{})
	empty := feedNow(t, s)
	require.Regexp(t, `^[0-9a-f]{12}(-1)?$`, empty.Epoch)
	require.Equal(t, store.Feed{Epoch: empty.Epoch}, empty)
	require.NotEqual(t, empty.Epoch, feedNow(t, other).Epoch)

	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	for i := range 3 {
		require.NoError(t, postText(s, group, ada, fmt.Sprint(i)))
	}
	all := logOf(t, s, 3)
	want := store.Feed{Epoch: empty.Epoch, Last: all[2].ID}
	require.Equal(t, want, feedNow(t, s))
	require.Equal(t, "ada", all[0].Message.SenderUsername)
	require.Equal(t, store.GroupChat, all[0].Message.ChatKind)

	// One that is rolled back, and what is not there, are nobody's.
	errOwn := errors.New("own")
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
			return err
		}
		return errOwn
	}), errOwn)
	require.Equal(t, want, feedNow(t, s))

	view(t, s, func(tx *store.Tx) error {
		for _, c := range []struct{ ids, want []int64 }{
			{nil, nil},
			{[]int64{all[1].ID}, []int64{all[1].ID}},
			{[]int64{all[2].ID, all[0].ID, all[2].ID, 1 << 60}, []int64{all[0].ID, all[2].ID}},
		} {
			found, err := tx.FindEvents(c.ids)
			require.NoError(t, err)
			require.Equal(t, c.want, idsOf(found))
		}
		found, err := tx.FindEvents([]int64{all[2].ID, all[0].ID, all[1].ID})
		require.NoError(t, err)
		require.Equal(t, all, found)
		return nil
	})
}

func idsOf(events []store.Event) (ids []int64) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// Whom each type of event is for, told to two in the chat, one who was removed, and
// one who is not in it.
func missedEvents(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve, zoe := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve"), newUser(t, s, "zoe")
	group, club := newGroup(t, s, ada, bob), newGroup(t, s, zoe, ada)
	people := map[string]store.User{"ada": ada, "bob": bob, "eve": eve, "zoe": zoe}
	told := []struct {
		what string
		chat int64
		to   store.User // whom it is about
		want []string   // by name
	}{
		{store.MessageCreated, group.ID, store.User{}, []string{"ada", "bob"}},
		{store.MessageHidden, group.ID, bob, []string{"bob"}},
		{store.ChatSettingsUpdated, group.ID, ada, []string{"ada"}},
		{store.ChatRead, group.ID, bob, []string{"ada", "bob"}},
		{store.ChatDelivered, group.ID, bob, []string{"ada", "bob"}},
		{store.ParticipantAdded, group.ID, eve, []string{"ada", "bob"}},
		{store.ParticipantUpdated, group.ID, eve, []string{"ada", "bob"}},
		{store.ParticipantRemoved, group.ID, eve, []string{"ada", "bob", "eve"}},
		{store.ParticipantRemoved, group.ID, bob, []string{"ada", "bob"}},
		{store.ChatDeleted, 999, eve, []string{"eve"}},
		{store.ChatDeleted, group.ID, eve, []string{"eve"}},
		{store.BlockCreated, 0, bob, []string{"bob"}},
		{store.BlockRemoved, 0, bob, []string{"bob"}},
		{store.UserUpdated, club.ID, ada, []string{"ada", "zoe"}},
		{store.AccountUpdated, 0, zoe, []string{"zoe"}},
		{store.SessionEnded, 0, zoe, nil},
		{store.PollVoted, club.ID, store.User{}, []string{"ada", "zoe"}},
		{store.ChatUpdated, 998, store.User{}, nil},
	}
	update(t, s, func(tx *store.Tx) error {
		for _, e := range told {
			if err := tx.AppendEvent(store.Event{Type: e.what, ChatID: e.chat, ActorID: zoe.ID, UserID: e.to.ID, At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	log := logOf(t, s, len(told))
	missed := func(u store.User, after, upTo int64, limit int) (found []int64) {
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListMissed(u.ID, after, upTo, limit)
			return err
		})
		return found
	}
	for name, u := range people {
		var want []int64
		for i, e := range told {
			if slices.Contains(e.want, name) {
				want = append(want, log[i].ID)
			}
		}
		require.NotEmpty(t, want)
		require.Equal(t, want, missed(u, 0, math.MaxInt64, 100), name)
		require.Equal(t, want[:2], missed(u, 0, math.MaxInt64, 2), name)
		require.Equal(t, want[1:], missed(u, want[0], math.MaxInt64, 100), "what is behind it: %s", name)
		require.Equal(t, want[:2], missed(u, 0, want[1], 100), "up to it: %s", name)
		require.Empty(t, missed(u, want[1], want[1], 100))
	}
	for i, e := range told {
		require.Equal(t, len(e.want) > 1 || e.what == store.ChatUpdated, log[i].ToChat(), e.what)
		require.Equal(t, e.to.ID != 0 && (slices.Contains([]string{store.ParticipantRemoved, store.SessionEnded}, e.what) || len(e.want) == 1),
			log[i].ToUser(), e.what)
	}

	// It is asked as things are now.
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.RemoveParticipant(group.ID, bob.ID), tx.AddParticipant(group.ID, zoe.ID, store.Member, noon))
	})
	require.Equal(t, []int64{log[1].ID, log[8].ID, log[11].ID, log[12].ID}, missed(bob, 0, math.MaxInt64, 100))
	require.Contains(t, missed(zoe, 0, math.MaxInt64, 100), log[0].ID)

	// One that an older version has written is still not for others.
	update(t, s, func(tx *store.Tx) error { return tx.Do(`UPDATE events SET audience = 0 WHERE id = ?1`, log[2].ID) })
	require.NotContains(t, missed(zoe, 0, math.MaxInt64, 100), log[2].ID)

	chats := func(u store.User) (found []int64) {
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListChatIDsOf(u.ID)
			return err
		})
		return found
	}
	require.Equal(t, []int64{group.ID, club.ID}, chats(ada))
	require.Equal(t, []int64{group.ID, club.ID}, chats(zoe))
	require.Empty(t, chats(bob))
}

// missedByMany holds what one has missed to what was told, in chats of which some
// are busier than others.
func missedByMany(t *testing.T, open opener) {
	var log []store.Event
	s := open(t, store.Options{OnCommit: func(e []store.Event) { log = e }})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	notHers := newGroup(t, s, bob)
	chats := []store.Chat{newGroup(t, s, ada), newGroup(t, s, ada, bob), newGroup(t, s, bob, ada), newGroup(t, s, ada), notHers}
	rapid.Check(t, func(t *rapid.T) {
		log = nil
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			for range rapid.IntRange(1, 12).Draw(t, "turns") {
				e := store.Event{ChatID: rapid.SampledFrom(chats).Draw(t, "chat").ID, UserID: ada.ID, At: noon}
				e.Type = rapid.SampledFrom([]string{store.ChatUpdated, store.ParticipantRemoved, store.AccountUpdated}).Draw(t, "type")
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					if err := tx.AppendEvent(e); err != nil {
						return err
					}
				}
			}
			return nil
		})
		require.NoError(t, err)

		after := rapid.SampledFrom(log).Draw(t, "after").ID - 1
		upTo := rapid.SampledFrom(log).Draw(t, "up to").ID
		limit := rapid.IntRange(1, len(log)).Draw(t, "limit")
		var want []int64
		for _, e := range log {
			if e.ID > after && e.ID <= upTo && len(want) < limit && (e.ToUser() || e.ChatID != notHers.ID) {
				want = append(want, e.ID)
			}
		}
		err = s.View(context.Background(), func(tx *store.Tx) error {
			found, err := tx.ListMissed(ada.ID, after, upTo, limit)
			require.Equal(t, want, found)
			return err
		})
		require.NoError(t, err)
	})
}

func prunedEvents(t *testing.T, open opener) {
	s := open(t, store.Options{})
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	// The fourth is from before the third: clocks may go back.
	for _, minute := range []int{1, 2, 5, 4, 6, 7} {
		update(t, s, func(tx *store.Tx) error {
			return tx.AppendEvent(store.Event{Type: store.ChatUpdated, ChatID: 1, At: at(minute)})
		})
	}
	log := logOf(t, s, 6)
	ids := idsOf(log)
	epoch := feedNow(t, s).Epoch
	prune := func(before time.Time, limit int) (removed int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) (err error) {
			removed, err = tx.PruneEvents(before, limit)
			return err
		})
		return removed
	}
	require.Zero(t, prune(at(100), 10), "the search index has not passed any")
	moveTo := func(from, to int64) {
		update(t, s, func(tx *store.Tx) error { return tx.MoveSearchPosition(from, to) })
	}
	moveTo(0, ids[4])

	for _, c := range []struct {
		name    string
		before  int
		limit   int
		removed int
		left    []int64
		pruned  int64
	}{
		{"none is so old", 1, 10, 0, ids, 0},
		{"the first", 2, 10, 1, ids[1:], ids[0]},
		{"as many as may be", 100, 1, 1, ids[2:], ids[1]},
		{"it does not look at more", 5, 1, 0, ids[2:], ids[1]},
		{"one that is older than the one before", 5, 10, 1, []int64{ids[2], ids[4], ids[5]}, ids[3]},
		{"what is left behind does not go back", 6, 10, 1, ids[4:], ids[3]},
		{"not what is still to be indexed", 100, 10, 1, ids[5:], ids[4]},
	} {
		require.Equal(t, c.removed, prune(at(c.before), c.limit), c.name)
		require.Equal(t, c.left, idsOf(logOf(t, s, len(c.left))), c.name)
		require.Equal(t, store.Feed{Epoch: epoch, Pruned: c.pruned, Last: ids[5]}, feedNow(t, s), c.name)
	}
	moveTo(ids[4], ids[5])
	require.Equal(t, 1, prune(at(100), 10))
	require.Equal(t, store.Feed{Epoch: epoch, Pruned: ids[5], Last: ids[5]}, feedNow(t, s), "there is none, but there was")
	update(t, s, func(tx *store.Tx) error {
		return tx.AppendEvent(store.Event{Type: store.ChatUpdated, ChatID: 1, At: noon})
	})
	require.Greater(t, logOf(t, s, 1)[0].ID, ids[5])
}

func presence(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve, zoe := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve"), newUser(t, s, "zoe")
	newGroup(t, s, ada, bob)
	newGroup(t, s, ada, bob, eve)
	newGroup(t, s, zoe, eve)
	people := []int64{zoe.ID, eve.ID, bob.ID, ada.ID, 999}
	watchable := func(u store.User) (ids []int64) {
		view(t, s, func(tx *store.Tx) error {
			found, err := tx.ListWatchable(u.ID, people)
			for _, p := range found {
				ids = append(ids, p.UserID)
			}
			return err
		})
		return ids
	}
	change := func(u store.User, c store.UserChange) {
		update(t, s, func(tx *store.Tx) error {
			_, err := tx.UpdateUser(u.ID, c)
			return err
		})
	}
	require.Equal(t, []int64{ada.ID, bob.ID, eve.ID}, watchable(ada))
	require.Equal(t, []int64{eve.ID, zoe.ID}, watchable(zoe))
	require.Equal(t, []int64{ada.ID, bob.ID, eve.ID, zoe.ID}, watchable(eve))

	seen := func(u store.User) time.Time {
		var found []store.Presence
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListWatchable(ada.ID, []int64{u.ID})
			return err
		})
		require.Len(t, found, 1)
		return found[0].LastSeenAt
	}
	set := func(at time.Time, users ...store.User) {
		update(t, s, func(tx *store.Tx) error {
			var all []store.Presence
			for _, u := range users {
				all = append(all, store.Presence{UserID: u.ID, LastSeenAt: at})
			}
			return tx.SetLastSeen(append(all, store.Presence{UserID: 999, LastSeenAt: at}))
		})
	}
	require.Zero(t, seen(bob))
	set(noon, bob, eve)
	require.Equal(t, noon, seen(bob))
	require.Equal(t, noon, seen(eve))
	set(noon.Add(-time.Second), bob)
	require.Equal(t, noon, seen(bob), "it does not go back")
	set(noon.Add(time.Second), bob)
	require.Equal(t, noon.Add(time.Second), seen(bob))
	require.Equal(t, noon, seen(eve))
	require.Zero(t, seen(ada))

	yes, no, now, never := true, false, noon, time.Time{}
	change(eve, store.UserChange{PresenceHidden: &yes})
	require.Equal(t, []int64{ada.ID, bob.ID}, watchable(ada))
	set(noon.Add(time.Hour), eve)
	change(eve, store.UserChange{PresenceHidden: &no})
	require.Equal(t, noon, seen(eve), "it is not kept while it is hidden")

	change(eve, store.UserChange{DeactivatedAt: &now})
	require.Equal(t, []int64{ada.ID, bob.ID}, watchable(ada))
	change(eve, store.UserChange{DeactivatedAt: &never})
	require.Equal(t, []int64{ada.ID, bob.ID, eve.ID}, watchable(ada))

	update(t, s, func(tx *store.Tx) error {
		return tx.CreateBlock(store.Block{BlockerID: ada.ID, BlockedID: bob.ID, CreatedAt: noon})
	})
	require.Equal(t, []int64{ada.ID, eve.ID}, watchable(ada))
	require.Equal(t, []int64{bob.ID, eve.ID}, watchable(bob), "also not the other way round")

	change(eve, store.UserChange{PresenceHidden: &yes})
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(eve.ID, "gone", " 3", noon) })
	require.Equal(t, []int64{ada.ID}, watchable(ada))
	set(noon.Add(2*time.Hour), eve)
	view(t, s, func(tx *store.Tx) error {
		gone, err := tx.FindUserByID(eve.ID)
		require.NoError(t, err)
		require.False(t, gone.PresenceHidden)
		var left int
		require.NoError(t, tx.Ask(fmt.Sprintf(`SELECT count(*) FROM users WHERE last_seen_at IS NOT NULL AND id = %d`, eve.ID), &left))
		require.Zero(t, left)
		return nil
	})
}
