package chat_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// liked reads all messages of a group: the texts, newest first, and who likes each.
func (r *rules) liked(tb testing.TB, caller chat.Caller, chatID int64) (texts []string, likes map[string][]int64) {
	tb.Helper()
	likes = map[string][]int64{}
	for m, err := range r.GroupMessages(tb.Context(), caller, chatID) {
		require.NoError(tb, err)
		texts = append(texts, m.Text)
		if m.Likes != nil {
			likes[m.Text] = m.Likes
		}
	}
	return texts, likes
}

func TestLike(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group, other := r.group(t, alice, bob), r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "plain"})
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		deleted := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "gone"})
		require.NoError(t, r.DeleteMessage(t.Context(), alice, deleted.ID))
		r.committed()

		require.NoError(t, r.Like(t.Context(), bob, group.ID, m.ID))
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.ReactionAdded, events[0].Type)
		require.JSONEq(t, `{"emoji":"👍"}`, events[0].Data)
		requireRefusal(t, refusal{chat.Conflict, "already_liked", ""}, r.Like(t.Context(), bob, group.ID, m.ID))
		require.Empty(t, r.committed())
		require.NoError(t, r.Like(t.Context(), alice, group.ID, m.ID), "one's own")
		_, err := r.React(t.Context(), alice, m.ID, "🎉")
		require.NoError(t, err)
		texts, likes := r.liked(t, bob, group.ID)
		require.Equal(t, []string{"plain", "hi"}, texts)
		require.Equal(t, map[string][]int64{"hi": {bob.UserID, alice.UserID}}, likes, "in the order in which they came")

		r.committed()
		for name, c := range map[string]struct {
			caller            chat.Caller
			chatID, messageID int64
		}{
			"in another group":   {bob, other.ID, m.ID},
			"of a chat of two":   {bob, direct.ChatID, direct.ID},
			"of others":          {eve, group.ID, m.ID},
			"deleted":            {bob, group.ID, deleted.ID},
			"none":               {bob, group.ID, 9999},
			"in a group of none": {bob, 9999, m.ID},
		} {
			t.Run(name, func(t *testing.T) {
				noSuchMessage := refusal{chat.NotFound, "message_not_found", ""}
				requireRefusal(t, noSuchMessage, r.Like(t.Context(), c.caller, c.chatID, c.messageID))
				requireRefusal(t, noSuchMessage, r.Unlike(t.Context(), c.caller, c.chatID, c.messageID))
			})
		}
		require.Empty(t, r.committed())

		require.NoError(t, r.Unlike(t.Context(), bob, group.ID, m.ID))
		requireRefusal(t, refusal{chat.Conflict, "not_liked", ""}, r.Unlike(t.Context(), bob, group.ID, m.ID))
		events = r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.ReactionRemoved, events[0].Type)
		_, likes = r.liked(t, bob, group.ID)
		require.Equal(t, map[string][]int64{"hi": {alice.UserID}}, likes)
	})
}

// However many messages there are, all come, newest first; and who has been taken out
// meanwhile reads no further.
func TestGroupMessages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		texts, _ := r.liked(t, bob, group.ID)
		require.Empty(t, texts)
		sent := r.flood(t, alice, group.ID, 2*chat.ReadAtOnce+3)
		for _, i := range []int{0, 1, chat.ReadAtOnce, len(sent) - 1} {
			require.NoError(t, r.Like(t.Context(), bob, group.ID, sent[i].ID))
		}
		for n, deleted := range []int{0, 2, 2 * chat.ReadAtOnce} { // and each remainder of a batch
			if deleted > 0 {
				for i := deleted; i < deleted+chat.ReadAtOnce/2 && i < len(sent); i++ {
					if i == chat.ReadAtOnce || i == len(sent)-1 {
						continue
					}
					require.NoError(t, r.DeleteMessage(t.Context(), alice, sent[i].ID))
					sent[i].DeletedAt = sent[i].CreatedAt
				}
			}
			var want, got []string
			for i, m := range slices.Backward(sent) {
				if m.DeletedAt.IsZero() {
					liked := i < 2 || i == chat.ReadAtOnce || i == len(sent)-1
					want = append(want, fmt.Sprint(m.ID, liked))
				}
			}
			found := r.GroupMessages(t.Context(), bob, group.ID)
			for range 2 { // it can be gone through again
				got = nil
				for m, err := range found {
					require.NoError(t, err)
					got = append(got, fmt.Sprint(m.ID, len(m.Likes) == 1))
				}
				require.Equal(t, want, got, n)
			}
		}

		read := 0
		for _, err := range r.GroupMessages(t.Context(), bob, group.ID) {
			if read == 0 {
				require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, "bob"))
			}
			if err != nil {
				requireRefusal(t, noSuchGroup, err)
				break
			}
			read++
		}
		require.Less(t, read, chat.ReadAtOnce+1)
		require.NotZero(t, read)
	})
}
