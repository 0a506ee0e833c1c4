package store_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// searchIndex finds ids by the terms that they stand with, in whatever language,
// compared by their bytes.
func searchIndex(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	one, two := newGroup(t, s, ada, bob), newGroup(t, s, ada)
	var m []store.Message
	for _, chat := range []store.Chat{one, two, one, two} {
		update(t, s, func(tx *store.Tx) error {
			posted, err := post(tx, chat.ID, ada.ID, "text")
			if err == nil {
				m = append(m, posted)
			}
			return err
		})
	}
	entry := func(message store.Message, term string) store.SearchEntry {
		return store.SearchEntry{Space: message.ChatID, Term: term, ID: message.ID}
	}
	entries := []store.SearchEntry{
		entry(m[0], "apple"), entry(m[0], "apples"), entry(m[0], "red"), entry(m[1], "apple"), entry(m[2], "apply"),
		entry(m[2], "red"), entry(m[3], "яблуко"), entry(m[0], "北京"), entry(m[0], "京大"), entry(m[2], "北\U0010fffe"),
	}
	update(t, s, func(tx *store.Tx) error { return tx.AddSearchEntries(entries) })
	update(t, s, func(tx *store.Tx) error { return tx.AddSearchEntries(entries[1:4]) }) // once more: no change

	prefix := func(s string) store.Term { return store.Term{Text: s, Prefix: true} }
	whole := func(s string) store.Term { return store.Term{Text: s} }
	for _, c := range []struct {
		user   store.User
		chat   int64
		before int64
		terms  []store.Term
		limit  int
		want   []store.Message
	}{
		{ada, 0, math.MaxInt64, []store.Term{prefix("app")}, 10, []store.Message{m[2], m[1], m[0]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("app")}, 2, []store.Message{m[2], m[1]}},
		{ada, 0, m[2].ID, []store.Term{prefix("app")}, 10, []store.Message{m[1], m[0]}},
		{ada, one.ID, math.MaxInt64, []store.Term{prefix("app")}, 10, []store.Message{m[2], m[0]}},
		{bob, 0, math.MaxInt64, []store.Term{prefix("app")}, 10, []store.Message{m[2], m[0]}},
		{bob, two.ID, math.MaxInt64, []store.Term{prefix("app")}, 10, nil},
		{eve, 0, math.MaxInt64, []store.Term{prefix("app")}, 10, nil},
		{ada, 0, math.MaxInt64, []store.Term{whole("apple")}, 10, []store.Message{m[1], m[0]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("app"), whole("red")}, 10, []store.Message{m[2], m[0]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("apple"), whole("red")}, 10, []store.Message{m[0]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("app"), whole("red"), whole("blue")}, 10, nil},
		{ada, 0, math.MaxInt64, []store.Term{prefix("я")}, 10, []store.Message{m[3]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("北")}, 10, []store.Message{m[2], m[0]}},
		{ada, 0, math.MaxInt64, []store.Term{prefix("Я")}, 10, nil},
		{ada, 0, math.MaxInt64, []store.Term{prefix("app'; --")}, 10, nil},
	} {
		t.Run(fmt.Sprint(c.user.Username, " ", c.chat, " ", c.before, " ", c.terms, " ", c.limit), func(t *testing.T) {
			view(t, s, func(tx *store.Tx) error {
				got, err := tx.SearchMessages(c.user.ID, c.chat, c.before, c.terms, c.limit)
				require.NoError(t, err)
				var want []int64
				for _, message := range c.want {
					want = append(want, message.ID)
				}
				require.Equal(t, want, got)
				return nil
			})
		})
	}

	update(t, s, func(tx *store.Tx) error {
		return tx.RemoveSearchTerms(one.ID, m[0].ID, []string{"apple", "red", "none"})
	})
	view(t, s, func(tx *store.Tx) error {
		ids, err := tx.SearchMessages(ada.ID, 0, math.MaxInt64, []store.Term{prefix("a")}, 10)
		require.NoError(t, err)
		require.Equal(t, []int64{m[2].ID, m[1].ID, m[0].ID}, ids, "it has another of them")
		ids, err = tx.SearchMessages(ada.ID, 0, math.MaxInt64, []store.Term{whole("red")}, 10)
		require.NoError(t, err)
		require.Equal(t, []int64{m[2].ID}, ids)
		return nil
	})
}

// searchedMessages are read by id, many at once.
func searchedMessages(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	var ids []int64
	var entries []store.SearchEntry
	update(t, s, func(tx *store.Tx) error {
		ids, entries = nil, nil
		for range 300 {
			m, err := post(tx, group.ID, ada.ID, "text")
			if err != nil {
				return err
			}
			ids = append([]int64{m.ID}, ids...)
			entries = append(entries, store.SearchEntry{Space: group.ID, Term: "text", ID: m.ID})
		}
		return tx.AddSearchEntries(entries)
	})
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.SearchMessages(ada.ID, 0, math.MaxInt64, []store.Term{{Text: "text"}}, 1000)
		require.NoError(t, err)
		require.Equal(t, ids, found)
		messages, err := tx.ListMessagesByID(ada.ID, ids)
		require.NoError(t, err)
		var got []int64
		for _, m := range messages {
			got = append(got, m.ID)
		}
		require.Equal(t, ids, got)
		none, err := tx.ListMessagesByID(ada.ID, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		return nil
	})
	update(t, s, func(tx *store.Tx) error {
		if err := tx.Ask(`INSERT INTO hidden_messages (user_id, message_id)
			SELECT u.id, m.id FROM users u, messages m WHERE m.seq = 1 RETURNING message_id`, new(int64)); err != nil {
			return err
		}
		return tx.Ask(`UPDATE messages SET deleted_at = 1, text = '' WHERE seq = 2 RETURNING id`, new(int64))
	})
	view(t, s, func(tx *store.Tx) error {
		messages, err := tx.ListMessagesByID(ada.ID, ids[290:])
		require.NoError(t, err)
		require.Len(t, messages, 8, "neither one that is hidden nor one that is deleted")
		return nil
	})
}

// searchPosition: the state moves on for one of those who would move it.
func searchPosition(t *testing.T, open opener) {
	s := open(t, store.Options{})
	view(t, s, func(tx *store.Tx) error {
		state, err := tx.FindSearchState()
		require.NoError(t, err)
		require.Equal(t, store.SearchState{}, state)
		return nil
	})
	update(t, s, func(tx *store.Tx) error { return tx.MoveSearchPosition(0, 7) })
	update(t, s, func(tx *store.Tx) error { return tx.MoveBackfilled(0, -2) })
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.MoveSearchPosition(0, 8) }), store.ErrNotFound)
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.MoveBackfilled(0, 8) }), store.ErrNotFound)
	view(t, s, func(tx *store.Tx) error {
		state, err := tx.FindSearchState()
		require.NoError(t, err)
		require.Equal(t, store.SearchState{Position: 7, Backfilled: -2}, state)
		return nil
	})
}

// textsToIndex are those of now, and stay so: what is deleted while it is being
// indexed leaves nothing in the index.
func textsToIndex(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	for i := range 40 {
		term := fmt.Sprintf("gone%d", i)
		var m store.Message
		update(t, s, func(tx *store.Tx) (err error) {
			m, err = post(tx, group.ID, ada.ID, term)
			return err
		})
		var both sync.WaitGroup
		var indexing, deleting error
		both.Go(func() {
			indexing = s.Update(t.Context(), func(tx *store.Tx) error {
				texts, err := tx.LockTextsOfMessages(m.ID-1, m.ID, 10)
				var entries []store.SearchEntry
				for _, text := range texts {
					entries = append(entries, store.SearchEntry{Space: text.Space, Term: text.Text, ID: text.ID})
				}
				return errors.Join(err, tx.AddSearchEntries(entries))
			})
		})
		both.Go(func() {
			deleting = s.Update(t.Context(), func(tx *store.Tx) error {
				if err := tx.Ask(fmt.Sprintf(`UPDATE messages SET deleted_at = 1, text = '' WHERE id = %d RETURNING id`, m.ID), new(int64)); err != nil {
					return err
				}
				return tx.RemoveSearchTerms(m.ChatID, m.ID, []string{term})
			})
		})
		both.Wait()
		require.NoError(t, errors.Join(indexing, deleting))
	}
	view(t, s, func(tx *store.Tx) error {
		left, err := tx.SearchMessages(ada.ID, 0, math.MaxInt64, []store.Term{{Text: "gone", Prefix: true}}, 100)
		require.NoError(t, err)
		require.Empty(t, left)
		return nil
	})

	// By event, and by kind.
	ann := newUser(t, s, "ann")
	var kept store.Message
	update(t, s, func(tx *store.Tx) (err error) {
		kept, err = post(tx, group.ID, ada.ID, "kept")
		return err
	})
	update(t, s, func(tx *store.Tx) error {
		texts, err := tx.LockTextsOfEvents(0, math.MaxInt64)
		if err != nil {
			return err
		}
		require.Equal(t, []store.SearchText{{Space: group.ID, ID: kept.ID, Text: "kept"}}, texts)
		if texts, err = tx.LockTextsOfUsers(ada.ID, 10); err != nil {
			return err
		}
		require.Equal(t, []store.SearchText{{Space: store.UsersSpace, ID: ann.ID, Text: "ann "}}, texts)
		if texts, err = tx.LockTextsOfGroups(0, 10); err != nil {
			return err
		}
		require.Equal(t, []store.SearchText{{Space: store.GroupsSpace, ID: group.ID, Text: "a group "}}, texts)
		return nil
	})
}

// searchedNames finds users and groups.
func searchedNames(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	private, public := newGroup(t, s, ada), store.NewGroup("a public one", noon)
	public.Visibility = store.Public
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&public); err != nil {
			return err
		}
		return tx.AddSearchEntries([]store.SearchEntry{
			{Space: store.GroupsSpace, Term: "word", ID: private.ID}, {Space: store.GroupsSpace, Term: "word", ID: public.ID},
			{Space: store.UsersSpace, Term: "word", ID: ada.ID}, {Space: store.UsersSpace, Term: "words", ID: ada.ID},
			{Space: store.UsersSpace, Term: "work", ID: bob.ID}, {Space: store.UsersSpace, Term: "word", ID: eve.ID},
		})
	})
	terms := []store.Term{{Text: "wor", Prefix: true}}
	update(t, s, func(tx *store.Tx) error {
		return tx.Ask(fmt.Sprintf(`UPDATE users SET deactivated_at = 1 WHERE id = %d RETURNING id`, eve.ID), new(int64))
	})
	view(t, s, func(tx *store.Tx) error {
		names := func(f store.Filter) string {
			users, err := tx.ListUsers(f)
			require.NoError(t, err)
			var names []string
			for _, u := range users {
				names = append(names, u.Username)
			}
			return strings.Join(names, " ")
		}
		require.Equal(t, "ada bob eve", names(store.Filter{Terms: terms}))
		require.Equal(t, "ada bob", names(store.Filter{Terms: terms, Where: active}))
		require.Equal(t, "bob eve", names(store.Filter{Terms: terms, Offset: 1}))
		require.Equal(t, "eve bob ada", names(store.Filter{Terms: terms, Order: []store.Order{{Field: store.UserUsername, Descending: true}}}))
		require.Equal(t, "bob", names(store.Filter{Terms: terms, Where: []store.Condition{{Field: store.UserUsername, Value: "bob"}}}))
		require.Equal(t, "ada", names(store.Filter{Terms: append(terms, store.Term{Text: "words"})}))

		own := store.Group{Chat: private, ParticipantCount: 1, Role: store.Member}
		open := store.Group{Chat: public}
		for _, c := range []struct {
			user          store.User
			limit, offset int
			want          []store.Group
		}{
			{ada, 10, 0, []store.Group{own, open}},
			{ada, 1, 0, []store.Group{own}},
			{ada, 10, 1, []store.Group{open}},
			{bob, 10, 0, []store.Group{open}},
		} {
			groups, err := tx.SearchGroups(c.user.ID, terms, c.limit, c.offset)
			require.NoError(t, err)
			require.Equal(t, c.want, groups)
		}
		return nil
	})
}
