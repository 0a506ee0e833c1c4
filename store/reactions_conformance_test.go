package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func reactions(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	var posted [8]store.Message
	update(t, s, func(tx *store.Tx) (err error) {
		for i := range posted {
			if posted[i], err = post(tx, group.ID, ada.ID, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	first, second, plain := posted[0].ID, posted[3].ID, posted[7].ID
	react := func(messageID int64, by store.User, emoji string) store.Reaction {
		r := store.Reaction{MessageID: messageID, UserID: by.ID, Username: by.Username, Emoji: emoji, CreatedAt: noon}
		update(t, s, func(tx *store.Tx) error { return tx.CreateReaction(r) })
		return r
	}
	byBob := react(first, bob, "👍")
	react(first, ada, "❤️")
	byAda := react(first, ada, "👍")
	react(second, bob, "🎉")
	again := s.Update(t.Context(), func(tx *store.Tx) error { return tx.CreateReaction(byBob) })
	require.ErrorIs(t, again, store.ErrConflict)

	all := []int64{}
	for _, m := range posted {
		all = append(all, m.ID)
	}
	view(t, s, func(tx *store.Tx) error {
		counts, err := tx.CountReactions(bob.ID, all)
		require.NoError(t, err)
		require.Equal(t, map[int64][]store.ReactionCount{
			first:  {{Emoji: "👍", Count: 2, Me: true}, {Emoji: "❤️", Count: 1}},
			second: {{Emoji: "🎉", Count: 1, Me: true}},
		}, counts)
		for n := range len(all) { // however many are asked for
			counts, err := tx.CountReactions(ada.ID, all[:n])
			require.NoError(t, err)
			want := min(n, 1)
			if n > 3 {
				want = 2
			}
			require.Len(t, counts, want, n)
		}

		reactors, err := tx.ListReactors("👍", all)
		require.NoError(t, err)
		require.Equal(t, map[int64][]int64{first: {bob.ID, ada.ID}}, reactors, "in the order in which they came")

		found, err := tx.ListReactions(first, "👍", 10, 0)
		require.NoError(t, err)
		require.Equal(t, []store.Reaction{byBob, byAda}, found, "as they came")
		found, err = tx.ListReactions(first, "👍", 10, 1)
		require.NoError(t, err)
		require.Equal(t, []store.Reaction{byAda}, found)
		found, err = tx.ListReactions(first, "👍", 1, 0)
		require.NoError(t, err)
		require.Equal(t, []store.Reaction{byBob}, found)

		one, err := tx.FindReaction(first, ada.ID, "👍")
		require.NoError(t, err)
		require.Equal(t, byAda, one)
		_, err = tx.FindReaction(second, ada.ID, "🎉")
		require.ErrorIs(t, err, store.ErrNotFound)
		there, err := tx.HasReaction(second, "🎉")
		require.NoError(t, err)
		require.True(t, there)
		there, err = tx.HasReaction(second, "👍")
		require.NoError(t, err)
		require.False(t, there)
		return nil
	})
	for _, m := range messagesOf(t, s, group.ID) {
		require.Equal(t, m.ID == first || m.ID == second, m.HasReactions, m.ID)
	}

	update(t, s, func(tx *store.Tx) error { return tx.DeleteReaction(first, ada.ID, "👍") })
	for _, gone := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return tx.DeleteReaction(first, ada.ID, "👍") },
		func(tx *store.Tx) error { return tx.DeleteReaction(plain, ada.ID, "👍") },
	} {
		require.ErrorIs(t, s.Update(t.Context(), gone), store.ErrNotFound)
	}
	view(t, s, func(tx *store.Tx) error {
		counts, err := tx.CountReactions(ada.ID, all)
		require.NoError(t, err)
		require.Equal(t, map[int64][]store.ReactionCount{
			first:  {{Emoji: "👍", Count: 1}, {Emoji: "❤️", Count: 1, Me: true}},
			second: {{Emoji: "🎉", Count: 1}},
		}, counts)
		return nil
	})
}
