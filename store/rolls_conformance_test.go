package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// rolls is about chats with who is in them.
func rolls(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	first, second, empty := newGroup(t, s), newGroup(t, s, bob), newGroup(t, s)
	update(t, s, func(tx *store.Tx) error {
		for i, u := range []store.User{eve, ada, bob} {
			if err := tx.AddParticipant(first.ID, u.ID, store.Member, noon.Add(time.Duration(i)*time.Second)); err != nil {
				return err
			}
		}
		return tx.AddParticipant(second.ID, ada.ID, store.Member, noon) // as long as bob
	})
	list := func(userID, after int64, limit int) (found []store.Roll) {
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListRolls(userID, after, limit)
			return err
		})
		return found
	}
	one := store.Roll{Chat: first, UserIDs: []int64{eve.ID, ada.ID, bob.ID}}
	two := store.Roll{Chat: second, UserIDs: []int64{ada.ID, bob.ID}}
	require.Equal(t, []store.Roll{one, two}, list(ada.ID, 0, 10))
	require.Equal(t, []store.Roll{one}, list(ada.ID, 0, 1))
	require.Equal(t, []store.Roll{two}, list(ada.ID, first.ID, 10))
	require.Equal(t, []store.Roll{one}, list(eve.ID, 0, 10))
	require.Empty(t, list(ada.ID, second.ID, 10))
	require.Empty(t, list(9999, 0, 10))

	find := func(id int64) (roll store.Roll, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) (err error) {
			roll, err = tx.FindRoll(id)
			return err
		})
		return roll, err
	}
	found, err := find(second.ID)
	require.NoError(t, err)
	require.Equal(t, two, found)
	found, err = find(empty.ID)
	require.NoError(t, err)
	require.Equal(t, store.Roll{Chat: empty}, found)
	_, err = find(9999)
	require.ErrorIs(t, err, store.ErrNotFound)

	longest := func(id int64) (userID int64, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) (err error) {
			userID, err = tx.FindLongestIn(id)
			return err
		})
		return userID, err
	}
	userID, err := longest(first.ID)
	require.NoError(t, err)
	require.Equal(t, eve.ID, userID)
	changeUser(t, s, eve, store.UserChange{DeactivatedAt: &noon})
	userID, err = longest(first.ID)
	require.NoError(t, err)
	require.Equal(t, ada.ID, userID, "who may sign in")
	for _, id := range []int64{empty.ID, 9999} {
		_, err = longest(id)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

// messageNumbers is about messages that are found by their numbers.
func messageNumbers(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group, other := newGroup(t, s, ada), newGroup(t, s, ada)
	ids := map[int64]int64{}
	update(t, s, func(tx *store.Tx) error {
		for seq := int64(1); seq <= 100; seq++ {
			m := store.Message{ChatID: group.ID, Seq: seq, SenderID: ada.ID, Text: "x", CreatedAt: noon}
			elsewhere := store.Message{ChatID: other.ID, Seq: seq, SenderID: ada.ID, Text: "x", CreatedAt: noon}
			if err := tx.CreateMessage(&m); err != nil {
				return err
			}
			ids[seq] = m.ID
			if err := tx.CreateMessage(&elsewhere); err != nil {
				return err
			}
		}
		return nil
	})
	near := func(last, seq int64) (id int64, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) (err error) {
			id, err = tx.FindMessageIDNearEnd(store.Chat{ID: group.ID, LastSeq: last}, seq)
			return err
		})
		return id, err
	}
	for seq, want := range ids {
		// Whatever is said of where the chat ends.
		for _, last := range []int64{100, 110, 64, 0} {
			id, err := near(last, seq)
			require.NoError(t, err)
			require.Equal(t, want, id, "%d of %d", seq, last)
		}
	}
	for _, seq := range []int64{0, 101, -1} {
		_, err := near(100, seq)
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}
