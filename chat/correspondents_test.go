package chat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

func TestCorrespondents(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "Bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		toBob := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		fromBob := r.send(t, bob, chat.Draft{To: "alice", Text: "hi"})
		fromEve := r.send(t, eve, chat.Draft{To: "alice", Text: "hi"})
		note := r.send(t, alice, chat.Draft{To: "alice", Text: "milk"})
		toAll := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "hi all"})
		require.NoError(t, r.DeleteMe(t.Context(), eve))

		found, err := r.Correspondents(t.Context(), alice, []chat.Message{toBob, toAll, fromEve, fromBob, note})
		require.NoError(t, err)
		gone := found[fromEve.ChatID]
		require.True(t, gone.Deleted)
		require.NotEqual(t, "eve", gone.Username)
		require.Equal(t, map[int64]chat.Correspondent{
			toBob.ChatID:   {ChatID: toBob.ChatID, UserID: bob.UserID, Username: "Bob"},
			fromEve.ChatID: {ChatID: fromEve.ChatID, UserID: eve.UserID, Username: gone.Username, Deleted: true},
			note.ChatID:    {ChatID: note.ChatID, UserID: alice.UserID, Username: "alice"},
		}, found)
		found, err = r.Correspondents(t.Context(), bob, []chat.Message{fromBob})
		require.NoError(t, err)
		require.Equal(t, alice.UserID, found[fromBob.ChatID].UserID)
		found, err = r.Correspondents(t.Context(), bob, nil)
		require.NoError(t, err)
		require.Empty(t, found)
	})
}

func TestBlockOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "Bob")
		count := func(caller chat.Caller) int {
			n, err := r.CountBlocks(t.Context(), caller)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, count(alice))
		r.committed()
		made, err := r.BlockOnce(t.Context(), alice, "bob")
		require.NoError(t, err)
		require.Equal(t, bob.UserID, made.BlockedID)
		require.Equal(t, "Bob", made.Username)
		require.Equal(t, []string{"block.created"}, types(r.committed()))
		_, err = r.BlockOnce(t.Context(), alice, "BOB")
		requireRefusal(t, refusal{chat.Conflict, "already_blocked", ""}, err)
		require.Empty(t, r.committed())
		again, err := r.Block(t.Context(), alice, "bob")
		require.NoError(t, err)
		require.Equal(t, made, again)
		require.Equal(t, 1, count(alice))
		require.Zero(t, count(bob))

		_, err = r.BlockOnce(t.Context(), alice, "alice")
		requireRefusal(t, refusal{chat.Invalid, "cannot_block_self", "username"}, err)
		_, err = r.BlockOnce(t.Context(), alice, "nobody")
		requireRefusal(t, refusal{chat.NotFound, "user_not_found", ""}, err)
		require.NoError(t, r.Unblock(t.Context(), alice, "bob"))
		require.Zero(t, count(alice))
		_, err = r.BlockOnce(t.Context(), alice, "bob")
		require.NoError(t, err)
	})
}

// One of many at once blocks; the others hear that it is done.
func TestBlockOnceConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, _ := r.user(t, "alice"), r.user(t, "bob")
		done := 0
		for _, err := range atOnce(10, func(int) error {
			_, err := r.BlockOnce(t.Context(), alice, "bob")
			return err
		}) {
			if err == nil {
				done++
				continue
			}
			requireRefusal(t, refusal{chat.Conflict, "already_blocked", ""}, err)
		}
		require.Equal(t, 1, done)
	})
}
