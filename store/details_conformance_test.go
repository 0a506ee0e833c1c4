package store_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// messageDetails are what most messages do not have.
func messageDetails(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	var all []store.Message
	for _, m := range []store.Message{
		{Text: "plain"},
		{Text: "begins a thread"},
		{Text: "replies", ReplyTo: 2, ThreadID: 2},
		{Text: "replies to a reply", ReplyTo: 3, ThreadID: 2},
		{Text: "names @ada", Mentions: []store.Mention{{Start: 6, Length: 4, UserID: ada.ID}}},
		{Text: "names two", Mentions: []store.Mention{
			{Start: 0, Length: 1, UserID: ada.ID}, {Start: math.MaxInt32, Length: 64, UserID: math.MaxInt64},
		}},
		{Text: "asks", HasPoll: true},
		{
			Text: "everything", ReplyTo: 4, ThreadID: 2, HasPoll: true, ClientID: "key",
			Mentions: []store.Mention{{Start: 1, Length: 2, UserID: bob.ID}},
		},
	} {
		m.ChatID, m.SenderID, m.Seq, m.CreatedAt = group.ID, ada.ID, int64(len(all)+1), noon
		update(t, s, func(tx *store.Tx) error {
			if err := tx.CreateMessage(&m); err != nil {
				return err
			}
			return tx.AppendEvent(store.Event{
				Type: store.MessageCreated, ChatID: group.ID, ActorID: ada.ID, Message: &m, At: noon,
			})
		})
		require.EqualValues(t, len(all)+1, m.ID, "the replies name ids")
		all = append(all, m)
	}
	// requireAll asks all that read messages. What is read has flags, which
	// nobody outside can see; so the fields are compared one by one.
	requireAll := func() {
		t.Helper()
		same := func(want, got store.Message) {
			t.Helper()
			type fields struct {
				text, client                                string
				seq, sender, replyTo, thread, replies, chat int64
				created, edited, deleted                    time.Time
				mentions                                    []store.Mention
				reactions, poll                             bool
			}
			of := func(m store.Message) fields {
				return fields{
					m.Text, m.ClientID, m.Seq, m.SenderID, m.ReplyTo, m.ThreadID, m.ReplyCount, m.ChatID,
					m.CreatedAt, m.EditedAt, m.DeletedAt, m.Mentions, m.HasReactions, m.HasPoll,
				}
			}
			require.Equal(t, want.ID, got.ID)
			require.Equal(t, of(want), of(got))
		}
		view(t, s, func(tx *store.Tx) error {
			span := store.Span{Before: math.MaxInt64}
			ofChat, err := tx.ListChatMessages(bob.ID, group.ID, span, 100)
			require.NoError(t, err)
			ofUser, err := tx.ListMessagesOf(bob.ID, span, 100)
			require.NoError(t, err)
			require.Len(t, ofChat, len(all))
			require.Equal(t, ofChat, ofUser)
			for i, want := range all {
				same(want, ofChat[i])
				found, err := tx.FindMessage(bob.ID, want.ID)
				require.NoError(t, err)
				require.Equal(t, ofChat[i], found)
				require.Equal(t, "ada", found.SenderUsername)
				require.Equal(t, store.GroupChat, found.ChatKind)
			}
			byKey, err := tx.FindMessageByClientID(ada.ID, "key")
			require.NoError(t, err)
			require.Equal(t, ofChat[len(all)-1], byKey)
			return nil
		})
		for i, e := range logOf(t, s, len(all)) {
			same(all[i], *e.Message)
		}
	}
	requireAll()

	for _, change := range []struct {
		message   int
		statement string
		args      []any
		as        func(*store.Message)
	}{
		{0, `UPDATE messages SET flags = 1, edited_at = ?2, text = '' WHERE id = ?1`, []any{noon.Add(time.Hour).UnixMicro()},
			func(m *store.Message) { m.EditedAt, m.Text = noon.Add(time.Hour), "" }},
		{1, `UPDATE messages SET flags = 8, reply_count = 3 WHERE id = ?1`, nil,
			func(m *store.Message) { m.ReplyCount = 3 }},
		{2, `UPDATE messages SET flags = flags | 35, edited_at = ?2, deleted_at = ?3 WHERE id = ?1`, []any{noon.UnixMicro(), noon.UnixMicro() + 1},
			func(m *store.Message) {
				m.EditedAt, m.DeletedAt, m.HasReactions = noon, noon.Add(time.Microsecond), true
			}},
	} {
		m := &all[change.message]
		update(t, s, func(tx *store.Tx) error { return tx.Do(change.statement, append([]any{m.ID}, change.args...)...) })
		change.as(m)
	}
	requireAll()

	refused := func(userID, id int64) {
		t.Helper()
		require.ErrorIs(t, s.ViewOne(t.Context(), func(tx *store.Tx) error {
			_, err := tx.FindMessage(userID, id)
			return err
		}), store.ErrNotFound)
	}
	eve := newUser(t, s, "eve")
	refused(eve.ID, 1)
	refused(ada.ID, 1000)
	update(t, s, func(tx *store.Tx) error { return tx.RemoveParticipant(group.ID, bob.ID) })
	refused(bob.ID, 1)
}

// What somebody has hidden is left out for them, and for nobody else.
func hiddenMessages(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	var ids []int64
	for _, text := range []string{"one", "two", "three"} {
		update(t, s, func(tx *store.Tx) error {
			c, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
			if err != nil {
				return err
			}
			m := store.Message{ChatID: group.ID, Seq: c.LastSeq, SenderID: ada.ID, Text: text, ClientID: text, CreatedAt: noon}
			err = tx.CreateMessage(&m)
			if err == nil && text != "three" {
				err = tx.Do(`INSERT INTO hidden_messages (user_id, message_id) VALUES (?1, ?2)`, ada.ID, m.ID)
			}
			if text == "one" {
				ids = nil
			}
			ids = append(ids, m.ID)
			return err
		})
	}
	require.Len(t, ids, 3)
	for _, c := range []struct {
		user store.User
		want []string
	}{{ada, []string{"three"}}, {bob, []string{"one", "two", "three"}}} {
		view(t, s, func(tx *store.Tx) error {
			for _, span := range []store.Span{{Before: math.MaxInt64}, {Before: math.MaxInt64, FromEnd: true}} {
				// Those left out do not count.
				ofChat, err := tx.ListChatMessages(c.user.ID, group.ID, span, len(c.want))
				require.NoError(t, err)
				require.Equal(t, c.want, texts(ofChat))
				ofUser, err := tx.ListMessagesOf(c.user.ID, span, len(c.want))
				require.NoError(t, err)
				require.Equal(t, c.want, texts(ofUser))
			}
			for i, id := range ids {
				m, err := tx.FindMessage(c.user.ID, id)
				if i < len(ids)-len(c.want) {
					require.ErrorIs(t, err, store.ErrNotFound)
				} else {
					require.NoError(t, err)
					require.Equal(t, id, m.ID)
				}
			}
			return nil
		})
	}
	view(t, s, func(tx *store.Tx) error {
		m, err := tx.FindMessageByClientID(ada.ID, "one")
		require.NoError(t, err, "a key stays used")
		require.Equal(t, ids[0], m.ID)
		return nil
	})
}

// numbering: who sends has read all; who comes in has nothing to read.
func numbering(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	group := newGroup(t, s, ada, bob)
	find := func(u store.User, chatID int64) (p store.Participant) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			p, err = tx.FindParticipant(chatID, u.ID)
			return err
		})
		return p
	}
	chatByID := func(id int64) (c store.Chat) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			c, err = tx.FindChatByID(id)
			return err
		})
		return c
	}
	ofAda := store.Participant{ChatID: group.ID, UserID: ada.ID, Username: "ada", Role: store.Member, JoinedAt: noon}
	ofBob := store.Participant{ChatID: group.ID, UserID: bob.ID, Username: "bob", Role: store.Member, JoinedAt: noon}
	require.Equal(t, ofAda, find(ada, group.ID))
	const settings = `
		UPDATE participants SET muted_until = ?3, archived = 1, marked_unread = 1 WHERE chat_id = ?1 AND user_id = ?2`
	later := noon.Add(time.Hour)
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(tx.Do(settings, group.ID, ada.ID, later.UnixMicro()), tx.Do(settings, group.ID, bob.ID, 0))
	})
	ofAda.MutedUntil, ofAda.Archived, ofAda.MarkedUnread = later, true, true
	ofBob.Archived, ofBob.MarkedUnread = true, true
	require.Equal(t, ofAda, find(ada, group.ID))
	require.Equal(t, ofBob, find(bob, group.ID))

	next := func(u store.User, chatID int64, count int, at time.Time) (c store.Chat, err error) {
		err = s.Update(t.Context(), func(tx *store.Tx) error {
			c, err = tx.NextSeq(u.ID, chatID, count, at)
			return err
		})
		return c, err
	}
	for _, step := range []struct {
		count int
		last  int64
		at    time.Time
	}{{3, 3, later}, {1, 4, later.Add(time.Second)}} {
		c, err := next(ada, group.ID, step.count, step.at)
		require.NoError(t, err)
		group.LastSeq, group.ActiveAt = step.last, step.at
		require.Equal(t, group, c)
		require.Equal(t, group, chatByID(group.ID))
		ofAda.ReadSeq, ofAda.DeliveredSeq, ofAda.MarkedUnread = step.last, step.last, false
		require.Equal(t, ofAda, find(ada, group.ID))
		require.Equal(t, ofBob, find(bob, group.ID), "nobody else has read it")
	}

	update(t, s, func(tx *store.Tx) error { return tx.AddParticipant(group.ID, eve.ID, store.Admin, later) })
	require.Equal(t, store.Participant{
		ChatID: group.ID, UserID: eve.ID, Username: "eve", Role: store.Admin, JoinedAt: later, ReadSeq: 4, DeliveredSeq: 4,
	}, find(eve, group.ID))

	// What is refused leaves nothing behind, even if the caller goes on.
	direct := store.NewDirectChat(ada.ID, bob.ID, noon)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&direct); err != nil {
			return err
		}
		return errors.Join(
			tx.AddParticipant(direct.ID, ada.ID, store.Member, noon),
			tx.AddParticipant(direct.ID, bob.ID, store.Member, noon),
			tx.CreateBlock(store.Block{BlockerID: ada.ID, BlockedID: bob.ID, CreatedAt: noon}),
			tx.Do(settings, direct.ID, bob.ID, 0))
	})
	before := find(bob, direct.ID)
	require.True(t, before.MarkedUnread)
	outsider := newGroup(t, s, ada)
	for _, chat := range []store.Chat{direct, outsider} {
		update(t, s, func(tx *store.Tx) error {
			_, err := tx.NextSeq(bob.ID, chat.ID, 1, later)
			if !errors.Is(err, store.ErrNotFound) {
				return errors.Join(errors.New("it was not refused"), err)
			}
			return nil
		})
		require.Equal(t, chat, chatByID(chat.ID))
	}
	require.Equal(t, before, find(bob, direct.ID))

	// It is a write: what locks a chat comes before it.
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.NextSeq(ada.ID, group.ID, 1, noon); err != nil {
			return err
		}
		return tx.LockChat(ada.ID, outsider.ID)
	})
	require.ErrorContains(t, err, "has written something before")
	require.Equal(t, group, chatByID(group.ID))
}

func eventData(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	const data = `{"emoji":"👍","seq":12}`
	update(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.AppendEvent(store.Event{Type: store.ReactionAdded, ChatID: 1, ActorID: 2, Data: data, At: noon}),
			tx.AppendEvent(store.Event{Type: store.ChatRead, ChatID: 1, ActorID: 2, UserID: 2, At: noon}))
	})
	for _, found := range [][]store.Event{logOf(t, s, 2), handed.wait(t, 2)} {
		require.Equal(t, []string{data, ""}, []string{found[0].Data, found[1].Data})
	}
}
