package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// chatLists is about a user's chats, as they are listed.
func chatLists(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	update(t, s, func(tx *store.Tx) error {
		name := "Bob 🙂"
		_, err := tx.UpdateUser(bob.ID, store.UserChange{DisplayName: &name})
		return err
	})
	group, older := newGroup(t, s, bob, ada, eve), newGroup(t, s, ada)
	newGroup(t, s, bob)
	direct := store.NewDirectChat(bob.ID, ada.ID, noon.Add(time.Minute))
	var m store.Message
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&direct); err != nil {
			return err
		}
		for _, u := range []store.User{ada, bob} {
			if err := tx.AddParticipant(direct.ID, u.ID, store.Member, noon); err != nil {
				return err
			}
		}
		if _, err := tx.NextSeq(bob.ID, direct.ID, 1, noon.Add(time.Minute)); err != nil {
			return err
		}
		m = store.Message{
			ChatID: direct.ID, Seq: 1, SenderID: bob.ID, Text: "hi 🙂", ClientID: "key", CreatedAt: noon.Add(time.Minute),
			ReplyTo: 7, ThreadID: 7, Mentions: []store.Mention{{Start: 1, Length: 2, UserID: eve.ID}}, HasPoll: true,
		}
		if err := tx.CreateMessage(&m); err != nil {
			return err
		}
		return tx.SetSettings(store.Participant{
			ChatID: older.ID, UserID: ada.ID, MutedUntil: noon, Archived: true, MarkedUnread: true,
		})
	})
	direct.LastSeq, m.ChatKind, m.SenderUsername = 1, store.DirectChat, "bob"

	entry := func(c store.Chat, participants int) store.ChatEntry {
		return store.ChatEntry{Chat: c, Participants: participants, Participant: store.Participant{
			ChatID: c.ID, UserID: ada.ID, Username: "ada", Role: store.Member, JoinedAt: noon,
		}}
	}
	first, second, third := entry(direct, 2), entry(older, 1), entry(group, 3)
	first.Other, first.LastMessage = &store.User{ID: bob.ID, Username: "bob", DisplayName: "Bob 🙂"}, &m
	second.Participant.MutedUntil, second.Participant.Archived, second.Participant.MarkedUnread = noon, true, true
	require.EqualValues(t, 1, first.Unread())

	yes, no := true, false
	for name, c := range map[string]struct {
		filter store.ChatFilter
		want   []store.ChatEntry
	}{
		"all":             {store.ChatFilter{Limit: 10}, []store.ChatEntry{first, second, third}}, // of one time, the higher id
		"none":            {store.ChatFilter{}, nil},
		"two":             {store.ChatFilter{Limit: 2}, []store.ChatEntry{first, second}},
		"the rest":        {store.ChatFilter{Limit: 2, Offset: 2}, []store.ChatEntry{third}},
		"groups":          {store.ChatFilter{Kind: store.GroupChat, Limit: 10}, []store.ChatEntry{second, third}},
		"archived":        {store.ChatFilter{Archived: &yes, Limit: 10}, []store.ChatEntry{second}},
		"not archived":    {store.ChatFilter{Archived: &no, Limit: 10}, []store.ChatEntry{first, third}},
		"one":             {store.ChatFilter{ID: group.ID, Limit: 1}, []store.ChatEntry{third}},
		"none such":       {store.ChatFilter{ID: 1 << 62, Limit: 1}, nil},
		"one that is not": {store.ChatFilter{ID: group.ID, Kind: store.DirectChat, Limit: 1}, nil},
	} {
		view(t, s, func(tx *store.Tx) error {
			got, err := tx.ListChatsOf(ada.ID, c.filter)
			require.NoError(t, err)
			require.Equal(t, c.want, got, name)
			return nil
		})
	}

	for _, c := range []struct {
		at   time.Time
		want store.Unread
	}{
		{noon, store.Unread{Chats: 2, Messages: 1}}, // the mute is over at its time
		{noon.Add(-time.Microsecond), store.Unread{Chats: 1, Messages: 1, MutedChats: 1}},
	} {
		view(t, s, func(tx *store.Tx) error {
			got, err := tx.CountUnread(ada.ID, c.at)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			return nil
		})
	}
}

// watermarks never go back, and count who has read.
// The chats of a user that are no groups come by their ids, in pieces.
func directChatLists(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	newGroup(t, s, ada, bob)
	made := []store.Chat{store.NewDirectChat(bob.ID, ada.ID, noon), store.NewDirectChat(ada.ID, ada.ID, noon), store.NewDirectChat(bob.ID, eve.ID, noon), store.NewDirectChat(eve.ID, ada.ID, noon)}
	for i := range made {
		update(t, s, func(tx *store.Tx) error {
			if err := tx.CreateChat(&made[i]); err != nil {
				return err
			}
			low, high := made[i].People()
			for _, id := range slices.Compact([]int64{low, high}) {
				if err := tx.AddParticipant(made[i].ID, id, store.Member, noon); err != nil {
					return err
				}
			}
			return nil
		})
	}
	low, high := made[0].People()
	require.Equal(t, [2]int64{ada.ID, bob.ID}, [2]int64{low, high})
	for _, c := range []struct {
		of    store.User
		after int64
		limit int
		want  []store.Chat
	}{
		{ada, 0, 10, []store.Chat{made[0], made[1], made[3]}},
		{ada, 0, 2, made[:2]},
		{ada, made[0].ID, 10, []store.Chat{made[1], made[3]}},
		{ada, made[3].ID, 10, nil},
		{bob, 0, 10, []store.Chat{made[0], made[2]}},
	} {
		view(t, s, func(tx *store.Tx) error {
			found, err := tx.ListDirectChatsOf(c.of.ID, c.after, c.limit)
			require.Equal(t, c.want, found)
			return err
		})
	}
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.DeleteChat(made[1].ID, noon)
		return err
	})
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.ListDirectChatsOf(ada.ID, 0, 10)
		require.Equal(t, []store.Chat{made[0], made[3]}, found)
		return err
	})
}

func watermarks(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	group := newGroup(t, s, ada, bob, eve)
	set := func(u store.User, read, delivered int64) {
		update(t, s, func(tx *store.Tx) error {
			return tx.SetWatermarks(store.Participant{ChatID: group.ID, UserID: u.ID, ReadSeq: read, DeliveredSeq: delivered})
		})
	}
	for range 5 {
		update(t, s, func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, "text")
			return err
		})
	}
	message := func(sender store.User, seq int64) store.Message {
		return store.Message{ChatID: group.ID, SenderID: sender.ID, Seq: seq, CreatedAt: noon}
	}
	set(bob, 3, 4)
	set(bob, 2, 1)
	set(eve, 0, 3)
	view(t, s, func(tx *store.Tx) error {
		p, err := tx.FindParticipant(group.ID, bob.ID)
		require.NoError(t, err)
		require.Equal(t, []int64{3, 4}, []int64{p.ReadSeq, p.DeliveredSeq})

		for seq, want := range map[int64][2]int{0: {2, 2}, 1: {1, 2}, 3: {1, 2}, 4: {0, 1}, 5: {0, 0}} {
			read, delivered, err := tx.CountReaders(message(ada, seq))
			require.NoError(t, err)
			require.Equal(t, want, [2]int{read, delivered}, seq)
		}
		a, b, e := store.Reader{ada.ID, "ada", 5, noon}, store.Reader{bob.ID, "bob", 3, noon}, store.Reader{eve.ID, "eve", 0, noon}
		got, err := tx.ListReaders(message(eve, 3), 10, 0)
		require.NoError(t, err)
		require.Equal(t, []store.Reader{a, b}, got)
		got, err = tx.ListReaders(message(eve, 3), 1, 1)
		require.NoError(t, err)
		require.Equal(t, []store.Reader{b}, got)
		got, err = tx.ListReadSeqs(group.ID, 10)
		require.NoError(t, err)
		require.Equal(t, []store.Reader{a, b, e}, got)

		for _, c := range []struct {
			from, to int64
			apart    []int64
			want     []store.ReadCount
		}{
			{0, 9, nil, []store.ReadCount{{0, 0, noon, 1}, {0, 3, noon, 1}, {0, 5, noon, 1}}},
			{1, 3, nil, []store.ReadCount{{0, 3, noon, 2}}},
			{1, 3, []int64{ada.ID}, []store.ReadCount{{0, 3, noon, 1}, {ada.ID, 3, noon, 1}}},
			{1, 9, []int64{bob.ID, ada.ID, 99}, []store.ReadCount{{ada.ID, 5, noon, 1}, {bob.ID, 3, noon, 1}}},
			{6, 9, []int64{ada.ID}, nil},
		} {
			got, err := tx.CountReadSeqs(group.ID, store.Moment{Seq: c.from, At: noon}, store.Moment{Seq: c.to, At: noon}, c.apart)
			require.NoError(t, err)
			require.ElementsMatch(t, c.want, got)
		}
		return nil
	})

	// Who joined later has not read what was said before, though it counts as read.
	dan, later := newUser(t, s, "dan"), noon.Add(time.Hour)
	update(t, s, func(tx *store.Tx) error { return tx.AddParticipant(group.ID, dan.ID, store.Member, later) })
	view(t, s, func(tx *store.Tx) error {
		for _, at := range []time.Time{noon, later.Add(-time.Microsecond), later} {
			m := message(ada, 5)
			m.CreatedAt = at
			was := 0 // among the readers
			if at.Equal(later) {
				was = 1
			}
			read, delivered, err := tx.CountReaders(m)
			require.NoError(t, err)
			require.Equal(t, []int{was, was}, []int{read, delivered})
			got, err := tx.ListReaders(m, 10, 0)
			require.NoError(t, err)
			require.Len(t, got, was)
			for _, c := range []struct {
				from time.Time
				want store.ReadCount
			}{{noon, store.ReadCount{dan.ID, 5, later, 1}}, {later.Add(time.Hour), store.ReadCount{dan.ID, 5, later.Add(time.Hour), 1}}} {
				counts, err := tx.CountReadSeqs(group.ID, store.Moment{Seq: 5, At: c.from}, store.Moment{Seq: 5, At: at}, []int64{dan.ID})
				require.NoError(t, err)
				if was == 1 {
					require.Contains(t, counts, c.want)
				} else {
					require.NotContains(t, counts, c.want)
				}
			}
		}
		return nil
	})
	for _, fn := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return tx.SetWatermarks(store.Participant{ChatID: group.ID, UserID: 99}) },
		func(tx *store.Tx) error { return tx.SetSettings(store.Participant{ChatID: 99, UserID: ada.ID}) },
	} {
		require.ErrorIs(t, s.Update(t.Context(), fn), store.ErrNotFound)
	}
}

// deletedChats are found by nobody, and swept away bit by bit.
func deletedChats(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group, kept := newGroup(t, s, bob, ada), newGroup(t, s, ada)
	direct, self := store.NewDirectChat(ada.ID, bob.ID, noon), store.NewDirectChat(ada.ID, ada.ID, noon)
	update(t, s, func(tx *store.Tx) error {
		for _, c := range []*store.Chat{&direct, &self} {
			if err := tx.CreateChat(c); err != nil {
				return err
			}
			if err := tx.AddParticipant(c.ID, ada.ID, store.Member, noon); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 5 {
		for _, c := range []store.Chat{group, kept} {
			update(t, s, func(tx *store.Tx) error {
				_, err := post(tx, c.ID, ada.ID, fmt.Sprint(i))
				return err
			})
		}
	}
	remove := func(c store.Chat, want ...int64) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			left, err := tx.DeleteChat(c.ID, noon)
			require.Equal(t, want, left)
			return err
		})
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.DeleteChat(c.ID, noon)
			return err
		})
		require.ErrorIs(t, err, store.ErrNotFound, "it is deleted once")
		for name, fn := range map[string]func(*store.Tx) error{
			"FindChatByID": func(tx *store.Tx) error { _, err := tx.FindChatByID(c.ID); return err },
			"FindChatOf":   func(tx *store.Tx) error { _, err := tx.FindChatOf(ada.ID, c.ID); return err },
			"NextSeq":      func(tx *store.Tx) error { _, err := tx.NextSeq(ada.ID, c.ID, 1, noon); return err },
			"AddParticipant": func(tx *store.Tx) error {
				return tx.AddParticipant(c.ID, ada.ID, store.Member, noon)
			},
		} {
			require.ErrorIs(t, s.Update(t.Context(), fn), store.ErrNotFound, name)
		}
	}
	remove(group, ada.ID, bob.ID)
	remove(direct, ada.ID)
	remove(self, ada.ID)
	for _, other := range []store.User{bob, ada} {
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.FindDirectChat(ada.ID, other.ID)
			require.ErrorIs(t, err, store.ErrNotFound)
			return nil
		})
		c := store.NewDirectChat(other.ID, ada.ID, noon)
		update(t, s, func(tx *store.Tx) error { return tx.CreateChat(&c) })
		remove(c)
	}

	next := func() (id int64, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) (err error) {
			id, err = tx.FindDeletedChatID()
			return err
		})
		return id, err
	}
	for _, left := range []int{3, 1, 0} {
		id, err := next()
		require.NoError(t, err)
		require.Equal(t, group.ID, id)
		update(t, s, func(tx *store.Tx) error { return tx.SweepChat(id, 2) })
		require.Len(t, messagesOf(t, s, group.ID), left)
	}
	for _, id := range []int64{group.ID, direct.ID, self.ID} {
		found, err := next()
		require.NoError(t, err)
		require.Equal(t, id, found)
		update(t, s, func(tx *store.Tx) error { return tx.SweepChat(id, 2) })
	}
	update(t, s, func(tx *store.Tx) error { return tx.SweepChat(group.ID, 2) }) // another node was quicker
	view(t, s, func(tx *store.Tx) error {
		var chats int
		require.NoError(t, tx.Ask(`SELECT count(*) FROM chats`, &chats))
		require.Equal(t, 3, chats, "one is kept, and two are to be swept")
		return nil
	})
	require.Len(t, messagesOf(t, s, kept.ID), 5)
	// What is not deleted is not swept away, whoever asks.
	empty := newGroup(t, s, ada)
	update(t, s, func(tx *store.Tx) error { return tx.SweepChat(empty.ID, 2) })
	view(t, s, func(tx *store.Tx) error {
		_, err := tx.FindChatByID(empty.ID)
		return err
	})
}
