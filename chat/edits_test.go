package chat_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var (
	noSuchMessage  = refusal{chat.NotFound, "message_not_found", ""}
	notTheSender   = refusal{chat.Forbidden, "not_the_sender", ""}
	messageDeleted = refusal{chat.Invalid, "message_deleted", ""}
	badReply       = refusal{chat.Invalid, "reply_to_invalid", "reply_to"}
	isBlocked      = refusal{chat.Forbidden, "blocked", ""}
)

func (r *rules) message(tb reporter, caller chat.Caller, id int64) chat.Message {
	tb.Helper()
	m, err := r.Message(context.Background(), caller, id)
	require.NoError(tb, err)
	return undecorated(m)
}

// undecorated leaves out who has read a message.
func undecorated(m chat.Message) chat.Message {
	m.ReadCount, m.ReadBy = nil, nil
	return m
}

func idsOf(messages []chat.Message) []int64 {
	ids := []int64{}
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// admit makes somebody an admin of a group.
func (r *rules) admit(t *testing.T, chatID int64, who chat.Caller) {
	t.Helper()
	require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.RemoveParticipant(chatID, who.UserID); err != nil {
			return err
		}
		return tx.AddParticipant(chatID, who.UserID, store.Admin, time.Now())
	}))
}

func TestMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		require.Equal(t, m, r.message(t, bob, m.ID))

		for _, id := range []int64{m.ID + 1, 0, -1} {
			_, err := r.Message(t.Context(), alice, id)
			requireRefusal(t, noSuchMessage, err)
		}
		for name, ask := range map[string]func(chat.Caller) error{
			"look":   func(c chat.Caller) error { _, err := r.Message(t.Context(), c, m.ID); return err },
			"edits":  func(c chat.Caller) error { _, err := r.Edits(t.Context(), c, m.ID); return err },
			"thread": func(c chat.Caller) error { _, err := r.Thread(t.Context(), c, m.ID, 0, 0); return err },
			"edit":   func(c chat.Caller) error { _, err := r.EditMessage(t.Context(), c, m.ID, "x"); return err },
			"delete": func(c chat.Caller) error { return r.DeleteMessage(t.Context(), c, m.ID) },
			"hide":   func(c chat.Caller) error { return r.HideMessage(t.Context(), c, m.ID) },
		} {
			t.Run(name+" by a stranger", func(t *testing.T) {
				r.committed()
				requireRefusal(t, noSuchMessage, ask(eve))
				require.Empty(t, r.committed())
			})
		}
		require.NoError(t, r.RemoveParticipant(t.Context(), bob, group.ID, "alice"))
		_, err := r.EditMessage(t.Context(), alice, m.ID, "gone, and still here?")
		requireRefusal(t, noSuchMessage, err)
	})
}

func TestEditMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		first := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "one", ClientID: "key"})
		r.committed()

		edit := func(text string) chat.Message {
			t.Helper()
			m, err := r.EditMessage(t.Context(), alice, first.ID, text)
			require.NoError(t, err)
			return undecorated(m)
		}
		second := edit("two, @bob")
		want := first
		want.Text, want.EditedAt, want.Mentions = "two, @bob", second.EditedAt, []store.Mention{{Start: 5, Length: 4, UserID: bob.UserID}}
		sameMessage(t, want, second)
		require.False(t, second.EditedAt.Before(first.CreatedAt))
		require.Equal(t, second, r.message(t, bob, first.ID))
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.MessageEdited, ChatID: group.ID, ActorID: alice.UserID, Data: `{"read_count":0}`,
			Message: events[0].Message, At: second.EditedAt,
		}, events[0])
		sameMessage(t, second, *events[0].Message)

		require.Equal(t, second, edit("two, @bob"), "the same text changes nothing")
		require.Empty(t, r.committed())

		third := edit("three")
		require.Empty(t, third.Mentions)
		require.Equal(t, []chat.Message{third}, r.chatMessages(t, bob, group.ID))
		edits, err := r.Edits(t.Context(), bob, first.ID)
		require.NoError(t, err)
		require.Equal(t, []chat.Edit{
			{Version: 1, Text: "one", CreatedAt: first.CreatedAt},
			{Version: 2, Text: "two, @bob", CreatedAt: second.EditedAt},
		}, edits)
		require.Equal(t, third, undecorated(r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "one", ClientID: "key"})),
			"its key still finds it")
		r.committed()

		_, err = r.EditMessage(t.Context(), bob, first.ID, "mine")
		requireRefusal(t, notTheSender, err)
		for text, code := range map[string]string{
			"": "message_missing", "\x00": "message_invalid", strings.Repeat("x", 10_001): "message_too_long",
		} {
			_, err := r.EditMessage(t.Context(), alice, first.ID, text)
			requireRefusal(t, refusal{chat.Invalid, code, "text"}, err)
		}
		require.NoError(t, r.DeleteMessage(t.Context(), alice, first.ID))
		_, err = r.EditMessage(t.Context(), alice, first.ID, "back")
		requireRefusal(t, messageDeleted, err)
	})
}

// sameMessage is equality but for what only the store knows.
func sameMessage(t *testing.T, want, got chat.Message) {
	t.Helper()
	require.Equal(t, shown(want), shown(got))
}

// shown is what can be seen of a message from outside the store.
func shown(m chat.Message) chat.Message {
	return chat.Message{
		ID: m.ID, ChatID: m.ChatID, ChatKind: m.ChatKind, Seq: m.Seq, SenderID: m.SenderID, SenderUsername: m.SenderUsername,
		Text: m.Text, ClientID: m.ClientID, CreatedAt: m.CreatedAt, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt,
		ReplyTo: m.ReplyTo, ThreadID: m.ThreadID, ReplyCount: m.ReplyCount, Mentions: m.Mentions,
		HasReactions: m.HasReactions, HasPoll: m.HasPoll,
	}
}

func TestEditsAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		m := r.send(t, alice, chat.Draft{To: "alice", Text: "0"})
		for i := range chat.MaxEdits {
			_, err := r.EditMessage(t.Context(), alice, m.ID, strings.Repeat("x", i+1))
			require.NoError(t, err)
		}
		_, err := r.EditMessage(t.Context(), alice, m.ID, "once more")
		requireRefusal(t, refusal{chat.Invalid, "too_many_edits", ""}, err)
		edits, err := r.Edits(t.Context(), alice, m.ID)
		require.NoError(t, err)
		require.Len(t, edits, chat.MaxEdits)
	})
}

// Whoever is blocked may not change what the other reads; to take it back is
// another thing.
func TestEditOfTheBlocked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "direct"})
		inGroup := r.send(t, alice, chat.Draft{ChatID: r.group(t, alice, bob).ID, Text: "in a group"})
		_, err := r.Block(t.Context(), bob, "alice")
		require.NoError(t, err)

		_, err = r.EditMessage(t.Context(), alice, direct.ID, "x")
		requireRefusal(t, isBlocked, err)
		_, err = r.Send(t.Context(), alice, chat.Draft{ChatID: direct.ChatID, Text: "x", ReplyTo: direct.ID})
		requireRefusal(t, isBlocked, err)
		_, err = r.SendAll(t.Context(), alice, chat.Draft{ChatID: direct.ChatID}, []string{"x"})
		requireRefusal(t, isBlocked, err)
		_, err = r.EditMessage(t.Context(), alice, inGroup.ID, "x")
		require.NoError(t, err)
		require.NoError(t, r.DeleteMessage(t.Context(), alice, direct.ID))
	})
}

func TestDeleteMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, carol := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "carol")
		group := r.group(t, alice, bob, carol)
		root := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "root"})
		m := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "one @alice", ReplyTo: root.ID, ClientID: "key"})
		reply := r.send(t, carol, chat.Draft{ChatID: group.ID, Text: "reply", ReplyTo: m.ID})
		_, err := r.EditMessage(t.Context(), bob, m.ID, "two @alice")
		require.NoError(t, err)
		r.committed()

		requireRefusal(t, notTheSender, r.DeleteMessage(t.Context(), carol, m.ID))
		require.Empty(t, r.committed())
		require.NoError(t, r.DeleteMessage(t.Context(), bob, m.ID))
		gone := r.message(t, alice, m.ID)
		want := m
		want.Text, want.Mentions, want.DeletedAt = "", nil, gone.DeletedAt
		sameMessage(t, want, gone)
		require.False(t, gone.DeletedAt.IsZero())
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.MessageDeleted, ChatID: group.ID, ActorID: bob.UserID,
			Message: events[0].Message, At: gone.DeletedAt,
		}, events[0])
		sameMessage(t, gone, *events[0].Message)

		edits, err := r.Edits(t.Context(), alice, m.ID)
		require.NoError(t, err)
		require.Empty(t, edits, "what it was is gone, too")
		require.NoError(t, r.DeleteMessage(t.Context(), bob, m.ID), "again: no change")
		require.Empty(t, r.committed())
		require.Equal(t, gone, r.message(t, alice, m.ID))
		again := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "one @alice", ClientID: "key"})
		sameMessage(t, gone, again)

		// It keeps its place, and the thread goes on.
		thread, err := r.Thread(t.Context(), carol, root.ID, 0, 0)
		require.NoError(t, err)
		require.Equal(t, []int64{root.ID, m.ID, reply.ID}, idsOf(thread))
		_, err = r.Send(t.Context(), carol, chat.Draft{ChatID: group.ID, Text: "x", ReplyTo: m.ID})
		requireRefusal(t, badReply, err)
		r.send(t, carol, chat.Draft{ChatID: group.ID, Text: "x", ReplyTo: reply.ID})
		require.Equal(t, int64(3), r.message(t, bob, root.ID).ReplyCount)

		// Whoever manages the group may, too.
		of := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "for carol"})
		r.admit(t, group.ID, carol)
		require.NoError(t, r.DeleteMessage(t.Context(), carol, of.ID))
		require.NoError(t, r.DeleteMessage(t.Context(), alice, root.ID), "alice is the owner")
		require.False(t, r.message(t, bob, root.ID).DeletedAt.IsZero())

		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "direct"})
		requireRefusal(t, notTheSender, r.DeleteMessage(t.Context(), bob, direct.ID))
	})
}

func TestHideMessage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		one := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "one"})
		two := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "two", ReplyTo: one.ID})
		r.committed()

		require.NoError(t, r.HideMessage(t.Context(), bob, one.ID))
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.MessageHidden, ChatID: group.ID, ActorID: bob.UserID, UserID: bob.UserID,
			Message: events[0].Message, At: events[0].At,
		}, events[0])
		require.Equal(t, one.ID, events[0].Message.ID)

		requireRefusal(t, noSuchMessage, r.HideMessage(t.Context(), bob, one.ID))
		_, err := r.Message(t.Context(), bob, one.ID)
		requireRefusal(t, noSuchMessage, err)
		_, err = r.Send(t.Context(), bob, chat.Draft{ChatID: group.ID, Text: "x", ReplyTo: one.ID})
		requireRefusal(t, badReply, err)
		require.Equal(t, []int64{two.ID}, idsOf(r.chatMessages(t, bob, group.ID)))
		require.Equal(t, []int64{one.ID, two.ID}, idsOf(r.chatMessages(t, alice, group.ID)), "from bob alone")
		for who, want := range map[chat.Caller][]int64{alice: {one.ID, two.ID}, bob: {two.ID}} {
			h, err := r.Messages(t.Context(), who, chat.Page{})
			require.NoError(t, err)
			all, err := drain(h)
			require.NoError(t, err)
			require.Equal(t, want, idsOf(all))
			for _, chatID := range []int64{0, group.ID} {
				found, err := r.FindMessages(t.Context(), who, chat.MessageQuery{ChatID: chatID})
				require.NoError(t, err)
				require.Equal(t, want, idsOf(found))
			}
			window, err := r.ChatWindow(t.Context(), who, group.ID, chat.Window{Around: one.ID})
			require.NoError(t, err)
			require.Equal(t, want, idsOf(window))
			thread, err := r.Thread(t.Context(), who, two.ID, 0, 0)
			require.NoError(t, err)
			require.Equal(t, want, idsOf(thread))
		}
	})
}

func TestReplies(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group, other := r.group(t, alice, bob), r.group(t, alice, bob)
		root := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "root"})
		elsewhere := r.send(t, alice, chat.Draft{ChatID: other.ID, Text: "elsewhere"})
		r.committed()

		reply := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "reply", ReplyTo: root.ID})
		require.Equal(t, []int64{root.ID, root.ID}, []int64{reply.ReplyTo, reply.ThreadID})
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, reply, *events[0].Message)
		deeper := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "deeper", ReplyTo: reply.ID})
		require.Equal(t, []int64{reply.ID, root.ID}, []int64{deeper.ReplyTo, deeper.ThreadID})
		require.Equal(t, deeper, r.message(t, bob, deeper.ID))
		r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "beside it"})
		many, err := r.SendAll(t.Context(), bob, chat.Draft{ChatID: group.ID, ReplyTo: deeper.ID}, []string{"x", "y"})
		require.NoError(t, err)

		require.Equal(t, int64(4), r.message(t, bob, root.ID).ReplyCount)
		require.Zero(t, r.message(t, bob, reply.ID).ReplyCount, "a thread has one beginning")
		all := []int64{root.ID, reply.ID, deeper.ID, many[0].ID, many[1].ID}
		for name, c := range map[string]struct {
			id, after int64
			limit     int
			want      []int64
		}{
			"of the root":        {root.ID, 0, 0, all},
			"of a reply":         {deeper.ID, 0, 0, all},
			"the root alone":     {root.ID, 0, 1, all[:1]},
			"a page":             {root.ID, 0, 3, all[:3]},
			"behind the root":    {root.ID, root.ID, 2, all[1:3]},
			"the next page":      {root.ID, deeper.ID, 3, all[3:]},
			"behind the last":    {root.ID, many[1].ID, 3, []int64{}},
			"of one in no reply": {elsewhere.ID, 0, 0, []int64{elsewhere.ID}},
		} {
			t.Run(name, func(t *testing.T) {
				found, err := r.Thread(t.Context(), bob, c.id, c.after, c.limit)
				require.NoError(t, err)
				require.Equal(t, c.want, idsOf(found))
			})
		}
		_, err = r.Thread(t.Context(), bob, root.ID, -1, 0)
		requireRefusal(t, refusal{chat.Invalid, "cursor_invalid", "after"}, err)
		_, err = r.Thread(t.Context(), bob, root.ID, 0, 501)
		requireRefusal(t, refusal{chat.Invalid, "limit_invalid", "limit"}, err)

		r.committed()
		for name, c := range map[string]struct {
			caller chat.Caller
			draft  chat.Draft
			want   refusal
		}{
			"of another chat":          {bob, chat.Draft{ChatID: group.ID, ReplyTo: elsewhere.ID}, badReply},
			"of no chat":               {bob, chat.Draft{ChatID: group.ID, ReplyTo: 9999}, badReply},
			"negative":                 {bob, chat.Draft{ChatID: group.ID, ReplyTo: -1}, badReply},
			"in a new direct chat":     {bob, chat.Draft{To: "eve", ReplyTo: root.ID}, badReply},
			"not in the chat":          {eve, chat.Draft{ChatID: group.ID, ReplyTo: root.ID}, notAParticipant},
			"not in the chat, nothing": {eve, chat.Draft{ChatID: group.ID, ReplyTo: 9999}, notAParticipant},
		} {
			t.Run("refused "+name, func(t *testing.T) {
				c.draft.Text = "x"
				_, err := r.Send(t.Context(), c.caller, c.draft)
				requireRefusal(t, c.want, err)
				if c.draft.ChatID != 0 {
					_, err = r.SendAll(t.Context(), c.caller, c.draft, []string{"x"})
					requireRefusal(t, c.want, err)
				}
				require.Empty(t, r.committed())
			})
		}
		require.Equal(t, int64(4), r.message(t, bob, root.ID).ReplyCount)
	})
}

// Of many who reply at once, each is counted.
func TestRepliesConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		root := r.send(t, alice, chat.Draft{To: "alice", Text: "root"})
		for _, err := range atOnce(16, func(i int) error {
			if i%2 == 0 {
				_, err := r.EditMessage(t.Context(), alice, root.ID, strings.Repeat("x", i+1))
				return err
			}
			_, err := r.Send(t.Context(), alice, chat.Draft{ChatID: root.ChatID, Text: "reply", ReplyTo: root.ID})
			return err
		}) {
			require.NoError(t, err)
		}
		require.Equal(t, int64(8), r.message(t, alice, root.ID).ReplyCount)
		edits, err := r.Edits(t.Context(), alice, root.ID)
		require.NoError(t, err)
		require.Len(t, edits, 8)
	})
}

func TestSendAll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "before"})
		r.committed()

		texts := []string{"one", "two @bob", "three"}
		sent, err := r.SendAll(t.Context(), alice, chat.Draft{ChatID: group.ID}, texts)
		require.NoError(t, err)
		require.Len(t, sent, 3)
		events := r.committed()
		require.Len(t, events, 3)
		for i, m := range sent {
			require.Equal(t, texts[i], m.Text)
			require.Equal(t, int64(i+2), m.Seq)
			require.Equal(t, store.MessageCreated, events[i].Type)
			require.Equal(t, m, *events[i].Message)
		}
		require.Equal(t, []store.Mention{{Start: 4, Length: 4, UserID: bob.UserID}}, sent[1].Mentions)
		require.Equal(t, sent, r.chatMessages(t, bob, group.ID)[1:])

		// With a key, they are sent once; what has become of them is told.
		draft := chat.Draft{ChatID: group.ID, ClientID: "key"}
		sent, err = r.SendAll(t.Context(), alice, draft, texts)
		require.NoError(t, err)
		require.NoError(t, r.DeleteMessage(t.Context(), alice, sent[0].ID))
		r.committed()
		again, err := r.SendAll(t.Context(), alice, draft, texts)
		require.NoError(t, err)
		require.Equal(t, idsOf(sent), idsOf(again))
		require.Empty(t, again[0].Text)
		require.Equal(t, sent[1:], again[1:])
		require.Empty(t, r.committed())
		ofBob, err := r.SendAll(t.Context(), bob, draft, texts)
		require.NoError(t, err, "a key is one's own")
		require.NotEqual(t, idsOf(sent), idsOf(ofBob))

		before := len(r.chatMessages(t, alice, group.ID))
		r.committed()
		for name, c := range map[string]struct {
			caller chat.Caller
			chatID int64
			texts  []string
			key    string
			want   refusal
		}{
			"none":             {alice, group.ID, nil, "", refusal{chat.Invalid, "texts_invalid", "texts"}},
			"too many":         {alice, group.ID, slices.Repeat([]string{"x"}, 101), "", refusal{chat.Invalid, "texts_invalid", "texts"}},
			"an empty one":     {alice, group.ID, []string{"x", ""}, "", refusal{chat.Invalid, "message_missing", "texts"}},
			"one with NUL":     {alice, group.ID, []string{"x", "\x00"}, "", refusal{chat.Invalid, "message_invalid", "texts"}},
			"one too long":     {alice, group.ID, []string{strings.Repeat("x", 10_001), "x"}, "", refusal{chat.Invalid, "message_too_long", "texts"}},
			"a key of control": {alice, group.ID, []string{"x"}, "\n", refusal{chat.Invalid, "idempotency_key_invalid", "Idempotency-Key"}},
			"by a stranger":    {eve, group.ID, []string{"x"}, "", notAParticipant},
			"to no chat":       {alice, 0, []string{"x"}, "", notAParticipant},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.SendAll(t.Context(), c.caller, chat.Draft{ChatID: c.chatID, ClientID: c.key}, c.texts)
				requireRefusal(t, c.want, err)
				require.Empty(t, r.committed())
			})
		}
		poll := chat.Draft{ChatID: group.ID, Poll: &chat.NewPoll{Options: []string{"a", "b"}}}
		_, err = r.SendAll(t.Context(), alice, poll, []string{"x", "y"})
		requireRefusal(t, refusal{chat.Invalid, "poll_not_alone", "poll"}, err)
		require.Len(t, r.chatMessages(t, alice, group.ID), before)
		hundred, err := r.SendAll(t.Context(), alice, chat.Draft{ChatID: group.ID}, slices.Repeat([]string{"x"}, 100))
		require.NoError(t, err)
		require.Equal(t, int64(before+100), hundred[99].Seq)
	})
}

// Of many who send the same batch with the same key at once, one sends it.
func TestSendAllIsIdempotentConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		got := make([][]int64, 8)
		for _, err := range atOnce(8, func(i int) error {
			sent, err := r.SendAll(t.Context(), alice, chat.Draft{ChatID: group.ID, ClientID: "key"}, []string{"one", "two"})
			got[i] = idsOf(sent)
			return err
		}) {
			require.NoError(t, err)
		}
		for _, ids := range got {
			require.Equal(t, got[0], ids)
		}
		require.Equal(t, got[0], idsOf(r.chatMessages(t, alice, group.ID)))
	})
}

// Whom a message mentions is looked up among those in the chat, when it is sent.
func TestMentionsInChats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "Alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "😀 @BOB, @eve, @alice!"})
		require.Equal(t, []store.Mention{{Start: 2, Length: 4, UserID: bob.UserID}, {Start: 14, Length: 6, UserID: alice.UserID}}, m.Mentions)
		require.Equal(t, m, r.message(t, bob, m.ID))

		direct := r.send(t, alice, chat.Draft{To: "eve", Text: "@eve @bob"})
		require.Equal(t, []store.Mention{{Start: 0, Length: 4, UserID: eve.UserID}}, direct.Mentions)
		require.Equal(t, []chat.Message{direct}, r.chatMessages(t, eve, direct.ChatID))
		many := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: strings.Repeat("@x,y.z ", 40) + "@bob"})
		require.Len(t, many.Mentions, 1)
	})
}
