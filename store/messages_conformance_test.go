package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// detailedMessages is about what some messages have: replies, mentions, edits, and
// what is left of those deleted.
func detailedMessages(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	find := func(id int64) (m store.Message) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			m, err = tx.FindMessage(bob.ID, id)
			return err
		})
		return m
	}
	root := store.Message{ChatID: group.ID, Seq: 1, SenderID: ada.ID, Text: "root", CreatedAt: noon}
	update(t, s, func(tx *store.Tx) error { return tx.CreateMessage(&root) })
	reply := store.Message{
		ChatID: group.ID, Seq: 2, SenderID: ada.ID, Text: "re @ada @bob", ClientID: "key", CreatedAt: noon,
		ReplyTo: root.ID, ThreadID: root.ID, Mentions: []store.Mention{{3, 4, ada.ID}, {8, 4, bob.ID}},
	}
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateMessage(&reply); err != nil {
			return err
		}
		return tx.CountReplies(root.ID, 1)
	})
	root.ChatKind, root.SenderUsername = store.GroupChat, "ada"
	reply.ChatKind, reply.SenderUsername = store.GroupChat, "ada"
	require.Equal(t, reply, find(reply.ID))
	require.Equal(t, int64(1), find(root.ID).ReplyCount)

	// What is told of it is what is stored.
	later := noon.Add(time.Minute)
	reply.Text, reply.Mentions, reply.EditedAt = "two", nil, later
	update(t, s, func(tx *store.Tx) error { return tx.EditMessage(&reply) })
	require.Equal(t, reply, find(reply.ID))
	reply.Text, reply.Mentions, reply.EditedAt = "@bob", []store.Mention{{0, 4, bob.ID}}, later.Add(time.Minute)
	update(t, s, func(tx *store.Tx) error { return tx.EditMessage(&reply) })
	require.Equal(t, reply, find(reply.ID))
	edits := func(id int64) (edits []store.Edit, n int) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			if edits, err = tx.ListEdits(id); err != nil {
				return err
			}
			n, err = tx.CountEdits(id)
			return err
		})
		return edits, n
	}
	list, n := edits(reply.ID)
	require.Equal(t, []store.Edit{{Version: 1, Text: "re @ada @bob", CreatedAt: noon}, {Version: 2, Text: "two", CreatedAt: later}}, list)
	require.Equal(t, 2, n)
	list, n = edits(root.ID)
	require.Empty(t, list)
	require.Zero(t, n)

	thread := func(in store.Span, limit int) (texts []string) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			found, err := tx.ListThread(ada.ID, root.ID, in, limit)
			for _, m := range found {
				texts = append(texts, m.Text)
			}
			return err
		})
		return texts
	}
	all := store.Span{Before: math.MaxInt64}
	require.Equal(t, []string{"@bob"}, thread(all, 10))
	require.Empty(t, thread(store.Span{After: reply.ID, Before: math.MaxInt64}, 10))
	require.Empty(t, thread(all, 0))

	reply.DeletedAt = later.Add(time.Hour)
	update(t, s, func(tx *store.Tx) error { return tx.DeleteMessage(&reply) })
	require.Empty(t, reply.Text)
	require.Empty(t, reply.Mentions)
	require.Zero(t, reply.EditedAt)
	require.Equal(t, reply, find(reply.ID))
	require.Equal(t, []int64{root.ID, root.ID}, []int64{reply.ReplyTo, reply.ThreadID})
	list, _ = edits(reply.ID)
	require.Empty(t, list)
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.FindMessageBySender(ada.ID, reply.ID)
		require.NoError(t, err)
		require.Equal(t, reply, found)
		_, err = tx.FindMessageBySender(bob.ID, reply.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	})
	for name, fn := range map[string]func(*store.Tx) error{
		"edit":   func(tx *store.Tx) error { return tx.EditMessage(&store.Message{ID: 999, EditedAt: noon}) },
		"delete": func(tx *store.Tx) error { return tx.DeleteMessage(&store.Message{ID: 999, DeletedAt: noon}) },
		"count":  func(tx *store.Tx) error { return tx.CountReplies(999, 1) },
	} {
		require.ErrorIs(t, s.Update(t.Context(), fn), store.ErrNotFound, name)
	}

	update(t, s, func(tx *store.Tx) error { return tx.HideMessage(ada.ID, reply.ID) })
	require.Empty(t, thread(all, 10))
	again := func(tx *store.Tx) error { return tx.HideMessage(ada.ID, reply.ID) }
	require.ErrorIs(t, s.Update(t.Context(), again), store.ErrConflict)
	require.Equal(t, reply, find(reply.ID), "from ada alone")
}

// seqLookups finds messages by their numbers, among those of other chats.
func seqLookups(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	chats := []store.Chat{newGroup(t, s, ada), newGroup(t, s, ada), newGroup(t, s, ada)}
	ids := map[int64][]int64{}
	update(t, s, func(tx *store.Tx) error {
		for _, c := range chats {
			if err := tx.LockChat(ada.ID, c.ID); err != nil {
				return err
			}
		}
		for i := range 60 {
			c := chats[(i/7)%2] // not the third
			m, err := post(tx, c.ID, ada.ID, "text")
			if err != nil {
				return err
			}
			ids[c.ID] = append(ids[c.ID], m.ID)
		}
		return nil
	})
	view(t, s, func(tx *store.Tx) error {
		for _, c := range chats {
			for i, id := range ids[c.ID] {
				found, err := tx.FindMessageIDBySeq(c.ID, int64(i+1))
				require.NoError(t, err)
				require.Equal(t, id, found)
			}
			for _, seq := range []int64{-1, 0, int64(len(ids[c.ID]) + 1), math.MaxInt64} {
				_, err := tx.FindMessageIDBySeq(c.ID, seq)
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		}
		return nil
	})
}

// participantsByKey finds those of a chat among many names.
func participantsByKey(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	group := newGroup(t, s, ada, bob)
	newGroup(t, s, eve)
	many := []string{"bob", "eve", "nobody", "ada"}
	for range 500 {
		many = append(many, "nobody")
	}
	view(t, s, func(tx *store.Tx) error {
		for _, c := range []struct {
			keys []string
			want map[string]int64
		}{
			{[]string{"ada"}, map[string]int64{"ada": ada.ID}},
			{[]string{"eve"}, map[string]int64{}},
			{[]string{"ada", "bob", "eve"}, map[string]int64{"ada": ada.ID, "bob": bob.ID}},
			{many, map[string]int64{"ada": ada.ID, "bob": bob.ID}},
		} {
			found, err := tx.FindParticipantsByKey(group.ID, c.keys)
			require.NoError(t, err)
			require.Equal(t, c.want, found)
		}
		return nil
	})
}
