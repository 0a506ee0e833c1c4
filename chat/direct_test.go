package chat_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

var (
	noSuchChat  = refusal{chat.NotFound, "chat_not_found", ""}
	unknownUser = refusal{chat.NotFound, "user_not_found", ""}
)

// all reads a list to its end.
func all[T any](tb reporter, items iter.Seq2[T, error]) []T {
	tb.Helper()
	found := []T{}
	for item, err := range items {
		require.NoError(tb, err)
		found = append(found, item)
	}
	return found
}

func (r *rules) createDirect(tb reporter, caller, other chat.Caller) chat.Chat {
	tb.Helper()
	c, err := r.CreateDirectChat(context.Background(), caller, other.UserID)
	require.NoError(tb, err)
	return c
}

func TestDirectChats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		require.Empty(t, all(t, r.DirectChats(t.Context(), alice)))
		group := r.group(t, alice, bob, eve)
		notes := r.open(t, alice, alice)
		others := r.createDirect(t, bob, eve)
		direct := r.createDirect(t, bob, alice)
		low, high := direct.People()
		require.Equal(t, []int64{alice.UserID, bob.UserID}, []int64{low, high})

		require.Equal(t, []chat.Chat{notes.Chat, direct}, all(t, r.DirectChats(t.Context(), alice)))
		found, err := r.DirectChat(t.Context(), alice, direct.ID)
		require.NoError(t, err)
		require.Equal(t, direct, found)
		for name, c := range map[string]struct {
			caller chat.Caller
			id     int64
			want   refusal
		}{
			"of others":       {alice, others.ID, notAParticipant},
			"notes of others": {bob, notes.ID, notAParticipant},
			"a group":         {alice, group.ID, noSuchChat},
			"none":            {alice, 9999, noSuchChat},
			"no id":           {alice, 0, noSuchChat},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.DirectChat(t.Context(), c.caller, c.id)
				requireRefusal(t, c.want, err)
				_, _, err = r.DirectMessagesIn(t.Context(), c.caller, c.id, chat.Filter{})
				requireRefusal(t, c.want, err)
			})
		}
		require.NoError(t, r.DeleteChat(t.Context(), bob, direct.ID))
		_, err = r.DirectChat(t.Context(), alice, direct.ID)
		requireRefusal(t, noSuchChat, err)
		require.Equal(t, []chat.Chat{notes.Chat}, all(t, r.DirectChats(t.Context(), alice)))
	})
}

// More chats than are read at once are listed, each once.
func TestManyDirectChats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		var want []int64
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			want = nil
			for n := range 510 {
				other := store.User{Username: "u", UsernameKey: string(rune('a' + n)), CreatedAt: time.Now()}
				if err := tx.CreateUser(&other); err != nil {
					return err
				}
				c := store.NewDirectChat(alice.UserID, other.ID, time.Now())
				if err := tx.CreateChat(&c); err != nil {
					return err
				}
				if err := tx.AddParticipant(c.ID, alice.UserID, store.Member, time.Now()); err != nil {
					return err
				}
				want = append(want, c.ID)
			}
			return nil
		}))
		var got []int64
		for _, c := range all(t, r.DirectChats(t.Context(), alice)) {
			got = append(got, c.ID)
		}
		require.Equal(t, want, got)
	})
}

func TestCreateDirectChat(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve, gone := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve"), r.user(t, "gone")
		require.NoError(t, r.DeleteMe(t.Context(), gone))
		_, err := r.Block(t.Context(), eve, "alice")
		require.NoError(t, err)
		r.committed()
		made := r.createDirect(t, alice, bob)
		require.Equal(t, []string{store.ChatCreated}, types(r.committed()))
		exists := refusal{chat.Conflict, "chat_exists", ""}
		for name, c := range map[string]struct {
			caller chat.Caller
			with   int64
			want   refusal
		}{
			"there is one":              {alice, bob.UserID, exists},
			"there is one, of theirs":   {bob, alice.UserID, exists},
			"oneself":                   {alice, alice.UserID, refusal{chat.Invalid, "cannot_chat_with_self", ""}},
			"nobody":                    {alice, 9999, unknownUser},
			"somebody who is gone":      {alice, gone.UserID, unknownUser},
			"somebody who blocks it":    {alice, eve.UserID, refusal{chat.Forbidden, "blocked", ""}},
			"no user can have this one": {alice, -1, unknownUser},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.CreateDirectChat(t.Context(), c.caller, c.with)
				requireRefusal(t, c.want, err)
				require.Empty(t, r.committed())
			})
		}
		r.createDirect(t, eve, alice) // a block is one-way
		require.NoError(t, r.DeleteChat(t.Context(), alice, made.ID))
		require.NotEqual(t, made.ID, r.createDirect(t, bob, alice).ID)
	})
}

// Of several who make the chat at once, one does.
func TestCreateDirectChatConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		answers := make([]error, 8)
		var wg sync.WaitGroup
		for i := range answers {
			from, to := alice, bob
			if i%2 == 0 {
				from, to = bob, alice
			}
			wg.Go(func() { _, answers[i] = r.CreateDirectChat(context.Background(), from, to.UserID) })
		}
		wg.Wait()
		made := 0
		for _, err := range answers {
			if err == nil {
				made++
				continue
			}
			requireRefusal(t, refusal{chat.Conflict, "chat_exists", ""}, err)
		}
		require.Equal(t, 1, made)
	})
}

func TestUserByID(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, digits, gone := r.user(t, "alice"), r.user(t, "1"), r.user(t, "gone")
		require.NoError(t, r.DeleteMe(t.Context(), gone))
		found, err := r.UserByID(t.Context(), alice.UserID)
		require.NoError(t, err)
		require.Equal(t, "alice", found.Username, "not %d, whose username it is", digits.UserID)
		for _, id := range []int64{gone.UserID, 9999, 0} {
			_, err := r.UserByID(t.Context(), id)
			requireRefusal(t, unknownUser, err)
		}
	})
}

func TestDirectMessages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		direct, other, hidden := r.createDirect(t, alice, bob), r.createDirect(t, alice, eve), r.createDirect(t, bob, eve)
		group := r.group(t, alice, bob)
		said := r.send(t, alice, chat.Draft{ChatID: direct.ID, Text: "said"})
		deleted := r.send(t, alice, chat.Draft{ChatID: direct.ID, Text: "deleted"})
		require.NoError(t, r.DeleteMessage(t.Context(), alice, deleted.ID))
		notMine := r.send(t, bob, chat.Draft{ChatID: direct.ID, Text: "hidden"})
		r.hide(t, alice, notMine)
		elsewhere := r.send(t, alice, chat.Draft{ChatID: other.ID, Text: "elsewhere"})
		ofGroup := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "to all"})
		secret := r.send(t, bob, chat.Draft{ChatID: hidden.ID, Text: "secret"})

		c, found, err := r.DirectMessagesIn(t.Context(), alice, direct.ID, chat.Filter{})
		require.NoError(t, err)
		require.Equal(t, direct.ID, c.ID)
		require.Equal(t, []int64{said.ID}, idsOf(all(t, found)))

		c, m, err := r.DirectMessage(t.Context(), bob, direct.ID, said.ID)
		require.NoError(t, err)
		require.Equal(t, "said", m.Text)
		require.Equal(t, bob.UserID, c.OtherThan(m.SenderID))
		for name, c := range map[string]struct {
			chatID, id int64
			want       refusal
		}{
			"no chat":               {9999, said.ID, noSuchChat},
			"a group":               {group.ID, ofGroup.ID, noSuchChat},
			"a chat of others":      {hidden.ID, secret.ID, notAParticipant},
			"no message":            {direct.ID, 9999, noSuchMessage},
			"deleted":               {direct.ID, deleted.ID, noSuchMessage},
			"hidden":                {direct.ID, notMine.ID, noSuchMessage},
			"of a chat of others":   {direct.ID, secret.ID, noSuchMessage},
			"of a group":            {direct.ID, ofGroup.ID, noSuchMessage},
			"of another, one's own": {direct.ID, elsewhere.ID, refusal{chat.Forbidden, "message_of_another_chat", ""}},
		} {
			t.Run(name, func(t *testing.T) {
				_, _, err := r.DirectMessage(t.Context(), alice, c.chatID, c.id)
				requireRefusal(t, c.want, err)
			})
		}
	})
}

// A list that is read in pieces is that which a model filters.
func TestListsInPieces(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		direct, noise := r.createDirect(t, alice, bob), r.open(t, alice, alice)
		var ids []int64
		for range 3 {
			ids = append(ids, idsOf(r.flood(t, alice, direct.ID, 100))...)
			r.flood(t, alice, noise.ID, 50)
			ids = append(ids, idsOf(r.flood(t, bob, direct.ID, 101))...)
		}
		backwards := slices.Clone(ids)
		slices.Reverse(backwards)
		by := func(field store.Field, descending bool) []store.Order {
			return []store.Order{{Field: field, Descending: descending}}
		}
		for name, c := range map[string]struct {
			filter chat.Filter
			want   []int64
		}{
			"all":                    {chat.Filter{}, ids},
			"a limit of none":        {chat.Filter{Limited: true}, []int64{}},
			"a limit":                {chat.Filter{Limited: true, Limit: 300}, ids[:300]},
			"a limit of a piece":     {chat.Filter{Limited: true, Limit: 128}, ids[:128]},
			"an offset":              {chat.Filter{Offset: 200}, ids[200:]},
			"a limit and an offset":  {chat.Filter{Offset: 130, Limited: true, Limit: 260}, ids[130:390]},
			"an offset beyond all":   {chat.Filter{Offset: 1000}, []int64{}},
			"backwards":              {chat.Filter{Order: by(chat.MessageID, true), Limited: true, Limit: 500, Offset: 50}, backwards[50:550]},
			"by time":                {chat.Filter{Order: by(chat.MessageCreatedAt, false)}, ids},
			"by time, backwards":     {chat.Filter{Order: by(chat.MessageCreatedAt, true)}, backwards},
			"by the chat":            {chat.Filter{Order: by(chat.MessageChatID, true)}, ids},
			"by the sender: so many": {chat.Filter{Order: by(chat.MessageSenderID, false), Limited: true, Limit: 600}, append(slices.Concat(ids[:100], ids[201:301], ids[402:502]), slices.Concat(ids[100:201], ids[301:400])...)},
			"with a condition": {chat.Filter{Where: []store.Condition{{Field: chat.MessageSenderID, Value: bob.UserID}}},
				slices.Concat(ids[100:201], ids[301:402], ids[502:603])},
		} {
			t.Run(name, func(t *testing.T) {
				_, found, err := r.DirectMessagesIn(t.Context(), alice, direct.ID, c.filter)
				require.NoError(t, err)
				require.Equal(t, c.want, idsOf(all(t, found)))
			})
		}
		t.Run("the reader has enough", func(t *testing.T) {
			_, found, err := r.DirectMessagesIn(t.Context(), alice, direct.ID, chat.Filter{})
			require.NoError(t, err)
			n := 0
			for _, err := range found {
				require.NoError(t, err)
				if n++; n == 129 {
					break
				}
			}
			require.Equal(t, 129, n)
		})
		t.Run("the chat goes meanwhile", func(t *testing.T) {
			_, found, err := r.DirectMessagesIn(t.Context(), alice, direct.ID, chat.Filter{})
			require.NoError(t, err)
			n := 0
			for _, err := range found {
				if n++; n == 1 {
					require.NoError(t, r.DeleteChat(t.Context(), bob, direct.ID))
				}
				if n == 129 {
					requireRefusal(t, notAParticipant, err)
				} else {
					require.NoError(t, err)
				}
			}
			require.Equal(t, 129, n)
		})
	})
}

func TestAllUsers(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		want := []int64{alice.UserID}
		for range 200 {
			want = append(want, r.person(t).UserID)
		}
		gone, shut := r.user(t, "gone"), r.user(t, "shut")
		require.NoError(t, r.DeleteMe(t.Context(), gone))
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.UpdateUser(shut.UserID, store.UserChange{DeactivatedAt: new(time.Now())})
			return err
		}))
		ids := func(f chat.Filter) (ids []int64) {
			for _, u := range all(t, r.AllUsers(t.Context(), alice, f)) {
				ids = append(ids, u.ID)
			}
			return ids
		}
		require.Equal(t, want, ids(chat.Filter{}))
		require.Equal(t, want[10:], ids(chat.Filter{Offset: 10}))

		// To filter is a search, however many pieces it is; to list is none.
		searches := limit.New(nil, nil)
		searches.Configure(map[limit.Name]limit.Rate{limit.Search: {Events: 1, Per: time.Hour, Burst: 1}})
		r.Limit(searches)
		like := chat.Filter{Where: []store.Condition{{Field: chat.UserShownName, Match: store.Contains, Value: "PERSON"}}}
		require.Equal(t, want[1:], ids(like))
		for _, err := range r.AllUsers(t.Context(), alice, like) {
			requireRefusal(t, refusal{chat.TooMany, "rate_limited", ""}, err)
		}
		require.Equal(t, want, ids(chat.Filter{}))
	})
}
