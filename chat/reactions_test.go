package chat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var blocked = refusal{chat.Forbidden, "blocked", ""}

// reactions reads what is on a message: each emoji, with who put it there.
func (r *rules) reactions(tb testing.TB, caller chat.Caller, messageID int64) (emojis []string, by map[string][]string) {
	tb.Helper()
	found, err := r.Reactions(tb.Context(), caller, messageID, 100, 0)
	require.NoError(tb, err)
	by = map[string][]string{}
	for _, one := range found {
		emojis = append(emojis, one.Emoji)
		me := false
		for _, reaction := range one.By {
			by[one.Emoji] = append(by[one.Emoji], reaction.Username)
			me = me || reaction.UserID == caller.UserID
		}
		require.Len(tb, one.By, one.Count)
		require.Equal(tb, me, one.Me)
	}
	return emojis, by
}

func TestReact(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		r.committed()

		put, err := r.React(t.Context(), bob, m.ID, "like")
		require.NoError(t, err)
		require.Equal(t, chat.Reaction{
			MessageID: m.ID, UserID: bob.UserID, Username: "bob", Emoji: "👍", CreatedAt: put.CreatedAt,
		}, put)
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, m.ID, events[0].Message.ID)
		require.True(t, events[0].Message.HasReactions)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.ReactionAdded, ChatID: group.ID, ActorID: bob.UserID,
			Message: events[0].Message, Data: `{"emoji":"👍"}`, At: put.CreatedAt,
		}, events[0])

		again, err := r.React(t.Context(), bob, m.ID, "👍")
		require.NoError(t, err)
		require.Equal(t, put, again)
		require.Empty(t, r.committed(), "once is enough")

		_, err = r.React(t.Context(), bob, m.ID, "❤")
		require.NoError(t, err)
		_, err = r.React(t.Context(), alice, m.ID, "👍")
		require.NoError(t, err)
		emojis, by := r.reactions(t, alice, m.ID)
		require.Equal(t, []string{"👍", "❤\ufe0f"}, emojis)
		require.Equal(t, map[string][]string{"👍": {"bob", "alice"}, "❤\ufe0f": {"bob"}}, by)
		require.True(t, r.chatMessages(t, alice, group.ID)[0].HasReactions)
		r.committed()

		require.NoError(t, r.Unreact(t.Context(), bob, m.ID, "like"))
		events = r.committed()
		require.Len(t, events, 1)
		require.Equal(t, m.ID, events[0].Message.ID)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.ReactionRemoved, ChatID: group.ID, ActorID: bob.UserID,
			Message: events[0].Message, Data: `{"emoji":"👍"}`, At: events[0].At,
		}, events[0])
		require.False(t, events[0].At.IsZero())
		require.NoError(t, r.Unreact(t.Context(), bob, m.ID, "👍"))
		require.NoError(t, r.Unreact(t.Context(), alice, m.ID, "❤"), "it is bob's, and stays")
		require.Empty(t, r.committed())
		_, by = r.reactions(t, bob, m.ID)
		require.Equal(t, map[string][]string{"👍": {"alice"}, "❤\ufe0f": {"bob"}}, by)
	})
}

func TestReactionRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		left := r.group(t, alice, eve)
		old := r.send(t, eve, chat.Draft{ChatID: left.ID, Text: "bye"})
		require.NoError(t, r.RemoveParticipant(t.Context(), eve, left.ID, "eve"))
		r.committed()

		noEmoji := refusal{chat.Invalid, "emoji_invalid", "emoji"}
		for name, c := range map[string]struct {
			caller chat.Caller
			id     int64
			emoji  string
			want   refusal
		}{
			"a message of others":        {eve, m.ID, "👍", noSuchMessage},
			"of a chat that one left":    {eve, old.ID, "👍", noSuchMessage},
			"no such message":            {alice, 9999, "👍", noSuchMessage},
			"no possible message":        {alice, -1, "👍", noSuchMessage},
			"no emoji":                   {alice, m.ID, "+1", noEmoji},
			"no emoji, others' message":  {eve, m.ID, "", noEmoji},
			"two emojis":                 {alice, m.ID, "👍👍", noEmoji},
			"an emoji and then some NUL": {alice, m.ID, "👍\x00", noEmoji},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.React(t.Context(), c.caller, c.id, c.emoji)
				requireRefusal(t, c.want, err)
				requireRefusal(t, c.want, r.Unreact(t.Context(), c.caller, c.id, c.emoji))
				if c.want == noSuchMessage {
					_, err := r.Reactions(t.Context(), c.caller, c.id, 100, 0)
					requireRefusal(t, c.want, err)
				}
			})
		}
		require.Empty(t, r.committed())
	})
}

// Whoever is blocked puts nothing new before the eyes of who has blocked them,
// but may take back what is theirs; in a group, it does not matter.
func TestReactWhenBlocked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		m := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		inGroup := r.send(t, alice, chat.Draft{ChatID: r.group(t, alice, bob).ID, Text: "hi all"})
		note := r.send(t, alice, chat.Draft{To: "alice", Text: "note"})
		_, err := r.React(t.Context(), bob, m.ID, "👍")
		require.NoError(t, err)
		_, err = r.Block(t.Context(), alice, "bob")
		require.NoError(t, err)
		r.committed()

		_, err = r.React(t.Context(), bob, m.ID, "❤")
		requireRefusal(t, blocked, err)
		_, err = r.React(t.Context(), bob, m.ID, "👍")
		requireRefusal(t, blocked, err)
		require.Empty(t, r.committed())
		_, err = r.React(t.Context(), alice, m.ID, "🎉")
		require.NoError(t, err, "a block is one-way")
		_, err = r.React(t.Context(), alice, note.ID, "🎉")
		require.NoError(t, err)
		_, err = r.React(t.Context(), bob, inGroup.ID, "❤")
		require.NoError(t, err)
		require.NoError(t, r.Unreact(t.Context(), bob, m.ID, "👍"))
		emojis, _ := r.reactions(t, bob, m.ID)
		require.Equal(t, []string{"🎉"}, emojis)
	})
}

// There is room for so many emojis on a message, however many come at once.
func TestReactManyTimes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		m := r.send(t, alice, chat.Draft{ChatID: r.group(t, alice, bob).ID, Text: "hi"})
		emoji := func(i int) string { return string(rune(0x1f600 + i)) }
		for i := range chat.MaxReactions - 2 {
			_, err := r.React(t.Context(), alice, m.ID, emoji(i))
			require.NoError(t, err)
		}
		r.committed()

		tooMany := refusal{chat.Invalid, "too_many_reactions", "emoji"}
		put := 0
		for _, err := range atOnce(6, func(i int) error {
			_, err := r.React(t.Context(), alice, m.ID, emoji(chat.MaxReactions+i))
			return err
		}) {
			if err == nil {
				put++
				continue
			}
			requireRefusal(t, tooMany, err)
		}
		require.Equal(t, 2, put)
		require.Len(t, r.committed(), 2)

		_, err := r.React(t.Context(), bob, m.ID, emoji(0))
		require.NoError(t, err, "it is there")
		require.NoError(t, r.Unreact(t.Context(), alice, m.ID, emoji(1)))
		_, err = r.React(t.Context(), bob, m.ID, "👍")
		require.NoError(t, err, "there is room again")
		emojis, _ := r.reactions(t, bob, m.ID)
		require.Len(t, emojis, chat.MaxReactions)
		r.committed()

		// The same at once is there once.
		for _, err := range atOnce(6, func(int) error {
			_, err := r.React(t.Context(), alice, m.ID, "👍")
			return err
		}) {
			require.NoError(t, err)
		}
		require.Len(t, r.committed(), 1)
	})
}

func TestReactionsPage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		var names []string
		for range 5 {
			p := r.person(t)
			_, err := r.AddParticipant(t.Context(), alice, group.ID, p.Username, "")
			require.NoError(t, err)
			_, err = r.React(t.Context(), p, m.ID, "👍")
			require.NoError(t, err)
			names = append(names, p.Username)
		}
		for _, c := range []struct {
			limit, offset int
			want          []string
		}{
			{100, 0, names}, {2, 0, names[:2]}, {2, 2, names[2:4]}, {2, 4, names[4:]}, {2, 5, nil},
		} {
			found, err := r.Reactions(t.Context(), alice, m.ID, c.limit, c.offset)
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.Equal(t, chat.ReactionCount{Emoji: "👍", Count: 5}, found[0].ReactionCount)
			var got []string
			for _, reaction := range found[0].By {
				got = append(got, reaction.Username)
			}
			require.Equal(t, c.want, got)
		}
	})
}
