package chat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func (r *rules) entry(tb reporter, caller chat.Caller, chatID int64) chat.Entry {
	tb.Helper()
	e, err := r.Chat(context.Background(), caller, chatID)
	require.NoError(tb, err)
	return e
}

func (r *rules) chats(tb reporter, caller chat.Caller, l chat.Selection) []chat.Entry {
	tb.Helper()
	entries, err := r.Chats(context.Background(), caller, l)
	require.NoError(tb, err)
	return entries
}

func (r *rules) open(tb reporter, caller, other chat.Caller) chat.Entry {
	tb.Helper()
	e, err := r.OpenChat(context.Background(), caller, other.Username)
	require.NoError(tb, err)
	return e
}

func chatIDs(entries []chat.Entry) []int64 {
	ids := []int64{}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// types are those of events, in their order.
func types(events []store.Event) []string {
	found := []string{}
	for _, e := range events {
		found = append(found, e.Type)
	}
	return found
}

func (r *rules) hide(tb reporter, caller chat.Caller, m chat.Message) {
	tb.Helper()
	require.NoError(tb, r.store.Update(context.Background(), func(tx *store.Tx) error {
		return tx.HideMessage(caller.UserID, m.ID)
	}))
}

func TestChats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		require.Empty(t, r.chats(t, alice, chat.Selection{}))

		group := r.group(t, alice, bob)
		r.group(t, eve)
		direct := r.open(t, alice, bob)
		self := r.open(t, alice, alice)
		r.send(t, bob, chat.Draft{ChatID: direct.ID, Text: "one"})
		last := r.send(t, bob, chat.Draft{ChatID: direct.ID, Text: "two"})
		hers := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "three"})

		all := r.chats(t, alice, chat.Selection{})
		require.Equal(t, []int64{group.ID, direct.ID, self.ID}, chatIDs(all), "the newest activity comes first")

		require.Equal(t, group.Kind, all[0].Kind)
		require.Equal(t, store.Owner, all[0].Participant.Role)
		require.Equal(t, 2, all[0].Participants)
		require.Nil(t, all[0].Other)
		require.Equal(t, &hers, all[0].LastMessage)
		require.EqualValues(t, 0, all[0].Unread(), "who writes has read")
		require.Equal(t, hers.CreatedAt, all[0].ActiveAt)
		require.Equal(t, group.CreatedAt, all[0].CreatedAt)

		require.Equal(t, store.DirectChat, all[1].Kind)
		require.Equal(t, &chat.User{ID: bob.UserID, Username: "bob"}, all[1].Other)
		require.Equal(t, 2, all[1].Participants)
		require.Equal(t, &last, all[1].LastMessage)
		require.EqualValues(t, 2, all[1].Unread())
		require.EqualValues(t, 2, all[1].LastSeq)
		require.Equal(t, alice.UserID, all[1].Participant.UserID)

		require.Equal(t, store.SelfChat, all[2].Kind)
		require.Nil(t, all[2].Other)
		require.Nil(t, all[2].LastMessage)
		require.Equal(t, 1, all[2].Participants)
		require.Equal(t, self.CreatedAt, all[2].ActiveAt)

		require.Equal(t, &chat.User{ID: alice.UserID, Username: "alice"}, r.entry(t, bob, direct.ID).Other)
		for i, e := range all {
			require.Equal(t, e, r.entry(t, alice, all[i].ID))
		}
		for _, id := range []int64{group.ID, direct.ID, self.ID, 0, -1, 9999} {
			_, err := r.Chat(t.Context(), eve, id)
			requireRefusal(t, notAParticipant, err)
		}

		// What one has hidden is not the last message, for oneself alone.
		r.hide(t, alice, last)
		require.Equal(t, "one", r.entry(t, alice, direct.ID).LastMessage.Text)
		require.Equal(t, "two", r.entry(t, bob, direct.ID).LastMessage.Text)

		// A new message brings a chat to the top.
		r.send(t, bob, chat.Draft{ChatID: direct.ID, Text: "four"})
		require.Equal(t, []int64{direct.ID, group.ID, self.ID}, chatIDs(r.chats(t, alice, chat.Selection{})))

		_, err := r.UpdateChatSettings(t.Context(), alice, group.ID, chat.Settings{Archived: new(true)})
		require.NoError(t, err)
		for name, c := range map[string]struct {
			list chat.Selection
			want []int64
		}{
			"archived":          {chat.Selection{Archived: new(true)}, []int64{group.ID}},
			"not archived":      {chat.Selection{Archived: new(false)}, []int64{direct.ID, self.ID}},
			"groups":            {chat.Selection{Kind: store.GroupChat}, []int64{group.ID}},
			"direct":            {chat.Selection{Kind: store.DirectChat}, []int64{direct.ID}},
			"self":              {chat.Selection{Kind: store.SelfChat}, []int64{self.ID}},
			"both":              {chat.Selection{Kind: store.GroupChat, Archived: new(false)}, []int64{}},
			"the first":         {chat.Selection{Limit: 1}, []int64{direct.ID}},
			"the second":        {chat.Selection{Limit: 1, Offset: 1}, []int64{group.ID}},
			"behind the last":   {chat.Selection{Offset: 3}, []int64{}},
			"the longest there": {chat.Selection{Limit: chat.MaxListLimit}, []int64{direct.ID, group.ID, self.ID}},
		} {
			t.Run(name, func(t *testing.T) { require.Equal(t, c.want, chatIDs(r.chats(t, alice, c.list))) })
		}
		for name, c := range map[string]struct {
			list chat.Selection
			want refusal
		}{
			"kind":       {chat.Selection{Kind: "Group"}, refusal{chat.Invalid, "kind_invalid", "kind"}},
			"limit":      {chat.Selection{Limit: -1}, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"high limit": {chat.Selection{Limit: 501}, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"offset":     {chat.Selection{Offset: -1}, refusal{chat.Invalid, "offset_invalid", "offset"}},
			"far offset": {chat.Selection{Offset: 1_000_001}, refusal{chat.Invalid, "offset_invalid", "offset"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.Chats(t.Context(), alice, c.list)
				requireRefusal(t, c.want, err)
			})
		}
	})
}

func TestOpenChat(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		direct := r.open(t, alice, bob)
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.ChatCreated, ChatID: direct.ID, ActorID: alice.UserID, At: direct.CreatedAt,
			Data: created(store.DirectChat, alice, bob),
		}, events[0])

		require.Equal(t, direct, r.open(t, alice, bob))
		require.Equal(t, direct.ID, r.open(t, bob, alice).ID)
		require.Equal(t, direct.ID, r.send(t, bob, chat.Draft{To: "alice", Text: "hi"}).ChatID)
		require.Equal(t, []string{store.MessageCreated}, types(r.committed()), "it was there")

		_, err := r.OpenChat(t.Context(), alice, "nobody")
		requireRefusal(t, noSuchUser, err)

		// The block is one-way, and it does not matter whether there is a chat.
		for _, other := range []chat.Caller{alice, eve} {
			_, err = r.Block(t.Context(), other, "bob")
			require.NoError(t, err)
			_, err = r.OpenChat(t.Context(), bob, other.Username)
			requireRefusal(t, refusal{chat.Forbidden, "blocked", ""}, err)
		}
		r.open(t, eve, bob)
		require.Len(t, r.chats(t, bob, chat.Selection{}), 2)
	})
}

// Of many who open a chat at once, all find the same.
func TestOpenChatConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		ids := make([]int64, 8)
		for _, err := range atOnce(len(ids), func(i int) error {
			caller, other := alice, bob
			if i%2 == 0 {
				caller, other = bob, alice
			}
			e, err := r.OpenChat(t.Context(), caller, other.Username)
			ids[i] = e.ID
			return err
		}) {
			require.NoError(t, err)
		}
		require.Len(t, slices.Compact(ids), 1)
		require.Equal(t, []string{store.ChatCreated}, types(r.committed()))
	})
}

func TestUpdateChatSettings(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		id := r.group(t, alice, bob).ID
		change := func(s chat.Settings) store.Participant {
			t.Helper()
			e, err := r.UpdateChatSettings(t.Context(), alice, id, s)
			require.NoError(t, err)
			require.Equal(t, e, r.entry(t, alice, id))
			return e.Participant
		}
		of := r.entry(t, bob, id)
		before := r.entry(t, alice, id).Participant
		r.committed()
		require.Equal(t, before, change(chat.Settings{}))
		require.Equal(t, before, change(chat.Settings{
			MutedUntil: new(time.Now().Add(-time.Hour)), Archived: new(false), MarkedUnread: new(false),
		}))
		require.Empty(t, r.committed(), "nothing has changed")

		until := time.Date(2999, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
		want := before
		want.MutedUntil = until
		require.Equal(t, want, change(chat.Settings{MutedUntil: new(until.Add(999).In(time.FixedZone("", 3600)))}))
		require.Equal(t, want, change(chat.Settings{MutedUntil: &until}), "the same again, of which nobody hears")
		want.Archived = true
		require.Equal(t, want, change(chat.Settings{Archived: new(true)}))
		want.MarkedUnread = true
		require.Equal(t, want, change(chat.Settings{MarkedUnread: new(true)}))
		want.MutedUntil, want.Archived = time.Time{}, false
		require.Equal(t, want, change(chat.Settings{MutedUntil: &time.Time{}, Archived: new(false)}))
		require.Equal(t, of, r.entry(t, bob, id), "it is one's own business")

		var data []string
		for _, e := range r.committed() {
			require.Equal(t, store.Event{
				ID: e.ID, Type: store.ChatSettingsUpdated, ChatID: id, ActorID: alice.UserID, UserID: alice.UserID, Data: e.Data, At: e.At,
			}, e)
			data = append(data, e.Data)
		}
		require.Equal(t, []string{
			`{"archived":false,"marked_unread":false,"muted_until":"2999-01-02T03:04:05.678900Z"}`,
			`{"archived":true,"marked_unread":false,"muted_until":"2999-01-02T03:04:05.678900Z"}`,
			`{"archived":true,"marked_unread":true,"muted_until":"2999-01-02T03:04:05.678900Z"}`,
			`{"archived":false,"marked_unread":true,"muted_until":null}`,
		}, data)

		for _, chatID := range []int64{id, 9999, 0} {
			_, err := r.UpdateChatSettings(t.Context(), eve, chatID, chat.Settings{Archived: new(true)})
			requireRefusal(t, notAParticipant, err)
		}
		_, err := r.UpdateChatSettings(t.Context(), alice, id,
			chat.Settings{MutedUntil: new(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), Archived: new(true)})
		requireRefusal(t, refusal{chat.Invalid, "muted_until_invalid", "muted_until"}, err)
		require.Empty(t, r.committed())
	})
}

func TestUnread(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		want := func(u chat.Unread) {
			t.Helper()
			got, err := r.Unread(t.Context(), alice)
			require.NoError(t, err)
			require.Equal(t, u, got)
		}
		want(chat.Unread{})
		direct, group := r.open(t, alice, bob).ID, r.group(t, bob, alice).ID
		want(chat.Unread{})
		for _, id := range []int64{direct, direct, group} {
			r.send(t, bob, chat.Draft{ChatID: id, Text: "hi"})
		}
		want(chat.Unread{Chats: 2, Messages: 3})
		set := func(id int64, s chat.Settings) {
			t.Helper()
			_, err := r.UpdateChatSettings(t.Context(), alice, id, s)
			require.NoError(t, err)
		}
		set(direct, chat.Settings{MutedUntil: new(time.Now().Add(time.Hour))})
		want(chat.Unread{Chats: 1, Messages: 1, MutedChats: 1, MutedMessages: 2})
		for _, id := range []int64{direct, group} {
			_, err := r.Read(t.Context(), alice, id, nil)
			require.NoError(t, err)
		}
		want(chat.Unread{})
		set(group, chat.Settings{MarkedUnread: new(true)})
		want(chat.Unread{Chats: 1})
		set(direct, chat.Settings{MarkedUnread: new(true)})
		want(chat.Unread{Chats: 1, MutedChats: 1})
	})
}

// Who may is the table; what is left of it is the rest.
func TestDeleteChat(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob).ID
		direct, self := r.open(t, alice, bob).ID, r.open(t, alice, alice).ID
		for _, id := range []int64{group, direct, self} {
			r.send(t, alice, chat.Draft{ChatID: id, Text: "text", ClientID: fmt.Sprint("key ", id)})
		}
		r.committed()

		ownerOnly := refusal{chat.Forbidden, "owner_required", ""}
		for name, c := range map[string]struct {
			caller chat.Caller
			chatID int64
			want   refusal
		}{
			"a group of others":   {eve, group, notAParticipant},
			"a chat of others":    {eve, direct, notAParticipant},
			"notes of others":     {bob, self, notAParticipant},
			"no chat":             {alice, 9999, notAParticipant},
			"another one's group": {bob, group, ownerOnly},
		} {
			t.Run(name, func(t *testing.T) {
				requireRefusal(t, c.want, r.DeleteChat(t.Context(), c.caller, c.chatID))
				require.Empty(t, r.committed())
			})
		}

		for _, c := range []struct {
			name   string
			caller chat.Caller
			chatID int64
			told   []int64
		}{
			{"group", alice, group, []int64{alice.UserID, bob.UserID}},
			{"direct, by either", bob, direct, []int64{alice.UserID, bob.UserID}},
			{"self", alice, self, []int64{alice.UserID}},
		} {
			t.Run(c.name, func(t *testing.T) {
				message := r.chatMessages(t, alice, c.chatID)[0]
				require.NoError(t, r.DeleteChat(t.Context(), c.caller, c.chatID))
				events := r.committed()
				require.Len(t, events, len(c.told))
				for i, userID := range c.told {
					require.Equal(t, store.Event{
						ID: events[i].ID, Type: store.ChatDeleted, ChatID: c.chatID, ActorID: c.caller.UserID, UserID: userID, At: events[0].At,
					}, events[i])
				}

				for _, caller := range []chat.Caller{alice, bob} {
					require.NotContains(t, chatIDs(r.chats(t, caller, chat.Selection{})), c.chatID)
					_, err := r.Chat(t.Context(), caller, c.chatID)
					requireRefusal(t, notAParticipant, err)
					_, err = r.ChatMessages(t.Context(), caller, c.chatID, chat.Page{})
					requireRefusal(t, notAParticipant, err)
					_, err = r.Send(t.Context(), caller, chat.Draft{ChatID: c.chatID, Text: "still here?"})
					requireRefusal(t, notAParticipant, err)
					_, err = r.AddParticipant(t.Context(), caller, c.chatID, "eve", "")
					requireRefusal(t, notAParticipant, err)
					_, err = r.Read(t.Context(), caller, c.chatID, nil)
					requireRefusal(t, notAParticipant, err)
					_, err = r.Readers(t.Context(), caller, message.ID, 0, 0)
					requireRefusal(t, noSuchMessage, err)
					requireRefusal(t, notAParticipant, r.DeleteChat(t.Context(), caller, c.chatID))
				}
				require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error {
					_, err := tx.FindChatByID(c.chatID)
					require.ErrorIs(t, err, store.ErrNotFound)
					return nil
				}))
				err := r.store.Update(t.Context(), func(tx *store.Tx) error {
					return tx.AddParticipant(c.chatID, eve.UserID, store.Member, time.Now())
				})
				require.ErrorIs(t, err, store.ErrNotFound, "nobody comes in any more")
				require.Empty(t, r.committed())
			})
		}

		// The two may have another, and so may one alone.
		for _, other := range []chat.Caller{bob, alice} {
			again := r.send(t, alice, chat.Draft{To: other.Username, Text: "again"})
			require.NotContains(t, []int64{direct, self}, again.ChatID)
			require.EqualValues(t, 1, again.Seq)
			require.Equal(t, []chat.Message{again}, r.chatMessages(t, other, again.ChatID))
			require.NoError(t, r.DeleteChat(t.Context(), other, again.ChatID), "and delete that")
		}
	})
}

// Who opens the chat with somebody, while one of them deletes it, gets one that
// is there when they are answered, or that was deleted since: never an error.
func TestOpenChatWhileItIsDeleted(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		for range 10 {
			id := r.open(t, alice, bob).ID
			for i, err := range atOnce(6, func(i int) error {
				if i < 2 {
					return r.DeleteChat(t.Context(), alice, id)
				}
				_, err := r.OpenChat(t.Context(), bob, "alice")
				return err
			}) {
				if i < 2 && err != nil {
					requireRefusal(t, notAParticipant, err) // the other was quicker
					continue
				}
				require.NoError(t, err)
			}
			require.LessOrEqual(t, len(r.chats(t, bob, chat.Selection{})), 1)
			require.NotContains(t, chatIDs(r.chats(t, bob, chat.Selection{})), id)
		}
	})
}

// What deleted chats hold is removed, and nothing else.
func TestSweep(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		more, err := r.Sweep(t.Context())
		require.NoError(t, err)
		require.False(t, more, "there is nothing to sweep")

		kept := r.group(t, alice, bob).ID
		r.flood(t, alice, kept, 3)
		group, direct := r.group(t, alice, bob).ID, r.open(t, alice, bob).ID
		r.flood(t, alice, group, 1200)
		r.hide(t, bob, r.flood(t, alice, direct, 2)[0])
		for _, id := range []int64{group, direct} {
			require.NoError(t, r.DeleteChat(t.Context(), alice, id))
		}
		r.committed()

		updates := 0
		for more = true; more; updates++ {
			require.Less(t, updates, 20, "it ends")
			more, err = r.Sweep(t.Context())
			require.NoError(t, err)
		}
		require.GreaterOrEqual(t, updates, 4, "not all at once: senders wait meanwhile")
		require.Empty(t, r.committed(), "they have been told")
		require.Len(t, r.chatMessages(t, bob, kept), 3)
		require.Equal(t, []int64{kept}, chatIDs(r.chats(t, alice, chat.Selection{})))
		require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error {
			for _, id := range []int64{group, direct} {
				left, err := tx.ListChatMessages(0, id, store.Span{Before: 1 << 40}, 10)
				require.NoError(t, err)
				require.Empty(t, left)
			}
			_, err := tx.FindDeletedChatID()
			require.ErrorIs(t, err, store.ErrNotFound)
			return nil
		}))

		// Several nodes may do so at once.
		r.flood(t, alice, kept, 1200)
		require.NoError(t, r.DeleteChat(t.Context(), alice, kept))
		for _, err := range atOnce(4, func(int) error {
			for range 100 {
				if more, err := r.Sweep(context.Background()); err != nil || !more {
					return err
				}
			}
			return errors.New("it does not end")
		}) {
			require.NoError(t, err)
		}
	})
}
