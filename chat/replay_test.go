package chat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

// What has been deleted with its chat can't be answered anew.
func TestReplayOfWhatIsGone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice, r.person(t))
		draft := chat.Draft{ChatID: group.ID, ClientID: "key"}
		_, err := r.SendAll(t.Context(), alice, draft, []string{"one", "two"})
		require.NoError(t, err)
		require.NoError(t, r.DeleteChat(t.Context(), alice, group.ID))
		for more := true; more; {
			more, err = r.Sweep(t.Context())
			require.NoError(t, err)
		}

		_, err = r.SendAll(t.Context(), alice, draft, []string{"one", "two"})
		requireRefusal(t, refusal{chat.NotFound, "message_not_found", ""}, err)
		draft.Text = "one"
		_, err = r.Send(t.Context(), alice, draft)
		requireRefusal(t, notAParticipant, err)
	})
}

// Who sends again hears what has come to their messages since, unless they are
// not in the chat any more.
func TestReplayOutsideOfTheChat(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		one := chat.Draft{ChatID: group.ID, Text: "?", ClientID: "one", Poll: &chat.NewPoll{Options: []string{"a", "b"}}}
		all := chat.Draft{ChatID: group.ID, ClientID: "all"}
		poll := r.send(t, bob, one)
		batch, err := r.SendAll(t.Context(), bob, all, []string{"first", "second"})
		require.NoError(t, err)
		for _, id := range []int64{poll.ID, batch[0].ID} {
			_, err := r.React(t.Context(), alice, id, "like")
			require.NoError(t, err)
			r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "a reply", ReplyTo: id})
		}
		_, err = r.Vote(t.Context(), alice, poll.ID, []int{0})
		require.NoError(t, err)

		again := r.send(t, bob, one)
		require.Len(t, again.Reactions, 1)
		require.Equal(t, int64(1), again.ReplyCount)
		require.Equal(t, 1, again.Poll.Voters)
		replayed, err := r.SendAll(t.Context(), bob, all, []string{"first", "second"})
		require.NoError(t, err)
		require.Len(t, replayed[0].Reactions, 1)
		require.Equal(t, int64(1), replayed[0].ReplyCount)

		require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, "bob"))
		replayed, err = r.SendAll(t.Context(), bob, all, []string{"first", "second"})
		require.NoError(t, err)
		require.Equal(t, idsOf(batch), idsOf(replayed))
		for _, m := range append(replayed, r.send(t, bob, one)) {
			require.NotEmpty(t, m.Text)
			require.Empty(t, m.Reactions)
			require.Nil(t, m.Poll)
			require.Zero(t, m.ReplyCount)
		}
	})
}
