package chat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

func TestSend(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "Alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		r.committed()

		first := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "one"})
		require.Equal(t, chat.Message{
			ID: first.ID, ChatID: group.ID, ChatKind: store.GroupChat, Seq: 1,
			SenderID: alice.UserID, SenderUsername: "Alice", Text: "one", CreatedAt: first.CreatedAt,
		}, first)
		second := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "two", ClientID: "key"})
		require.Equal(t, int64(2), second.Seq)
		require.Greater(t, second.ID, first.ID)

		events := r.committed()
		require.Len(t, events, 2)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.MessageCreated, ChatID: group.ID, ActorID: alice.UserID, Message: &first, At: first.CreatedAt,
		}, events[0])
		require.Equal(t, &second, events[1].Message)
		require.Greater(t, events[1].ID, events[0].ID)

		require.Equal(t, []chat.Message{first, second}, r.chatMessages(t, alice, group.ID), "what is answered is what is stored")
	})
}

func TestSendRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		r.committed()

		missing := refusal{chat.Invalid, "message_missing", "message"}
		bad := refusal{chat.Invalid, "message_invalid", "message"}
		tooLong := refusal{chat.Invalid, "message_too_long", "message"}
		badKey := refusal{chat.Invalid, "client_id_invalid", "client_id"}
		for name, c := range map[string]struct {
			caller chat.Caller
			draft  chat.Draft
			want   refusal
		}{
			"no text":                    {alice, chat.Draft{ChatID: group.ID}, missing},
			"NUL":                        {alice, chat.Draft{ChatID: group.ID, Text: "a\x00b"}, bad},
			"only NUL":                   {alice, chat.Draft{ChatID: group.ID, Text: "\x00"}, bad},
			"not UTF-8":                  {alice, chat.Draft{ChatID: group.ID, Text: "a\xff"}, bad},
			"half a character":           {alice, chat.Draft{ChatID: group.ID, Text: "😀"[:3]}, bad},
			"surrogate half":             {alice, chat.Draft{ChatID: group.ID, Text: "\xed\xa0\x80"}, bad},
			"10,001 letters":             {alice, chat.Draft{ChatID: group.ID, Text: strings.Repeat("a", 10_001)}, tooLong},
			"10,001 of four bytes":       {alice, chat.Draft{ChatID: group.ID, Text: strings.Repeat("😀", 10_001)}, tooLong},
			"10,001 of a letter + mark":  {alice, chat.Draft{ChatID: group.ID, Text: strings.Repeat("e\u0301", 5_000) + "e"}, tooLong},
			"key of 129 bytes":           {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: strings.Repeat("k", 129)}, badKey},
			"key of 65 of two bytes":     {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: strings.Repeat("é", 65)}, badKey},
			"key with a line end":        {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: "k\n"}, badKey},
			"key with NUL":               {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: "\x00"}, badKey},
			"key with a C1 control":      {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: "k\u0085"}, badKey},
			"key that is not UTF-8":      {alice, chat.Draft{ChatID: group.ID, Text: "a", ClientID: "k\xff"}, badKey},
			"group of others":            {eve, chat.Draft{ChatID: group.ID, Text: "a"}, notAParticipant},
			"direct chat of others":      {eve, chat.Draft{ChatID: direct.ChatID, Text: "a"}, notAParticipant},
			"unknown chat":               {alice, chat.Draft{ChatID: 9999, Text: "a"}, notAParticipant},
			"negative chat":              {alice, chat.Draft{ChatID: -1, Text: "a"}, notAParticipant},
			"the chat wins over to":      {eve, chat.Draft{ChatID: group.ID, To: "bob", Text: "a"}, notAParticipant},
			"nobody":                     {alice, chat.Draft{To: "nobody", Text: "a"}, noSuchDest},
			"to is empty":                {alice, chat.Draft{Text: "a"}, noSuchDest},
			"to is no possible username": {alice, chat.Draft{To: "a b", Text: "a"}, noSuchDest},
			"the text is checked first":  {eve, chat.Draft{ChatID: group.ID}, missing},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.Send(t.Context(), c.caller, c.draft)
				requireRefusal(t, c.want, err)
				require.Empty(t, r.committed())
			})
		}
		// A refusal leaves no gap in the numbers.
		require.Equal(t, int64(1), r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "first"}).Seq)
	})
}

func TestSendKeepsTheText(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		for name, text := range map[string]string{
			"a letter":              "a",
			"a space":               " ",
			"lines and tabs":        "\r\n\ta\n",
			"10,000 letters":        strings.Repeat("a", 10_000),
			"10,000 of four bytes":  strings.Repeat("😀", 10_000),
			"no normal form":        "e\u0301 é",
			"control characters":    "\x01\x1b[31m\x7f\u009b",
			"not a character":       "\ufffe\uffff\U0010ffff",
			"replacement character": "\ufffd",
			"both directions":       "שלום \u202e hello",
			"SQL":                   `'; DROP TABLE messages; --`,
			"placeholders":          `{env.HOME} ?1 $1 %s`,
		} {
			t.Run(name, func(t *testing.T) {
				sent := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: text})
				require.Equal(t, text, sent.Text)
				h, err := r.ChatMessages(t.Context(), alice, group.ID, chat.Page{Limit: 1})
				require.NoError(t, err)
				stored, err := drain(h)
				require.NoError(t, err)
				require.Equal(t, []chat.Message{sent}, stored)
			})
		}
	})
}

func TestSendDirect(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		r.committed()

		first := r.send(t, alice, chat.Draft{To: "BOB", Text: "hi"})
		require.Equal(t, store.DirectChat, first.ChatKind)
		require.Equal(t, int64(1), first.Seq)
		events := r.committed()
		require.Len(t, events, 2)
		require.Equal(t, store.ChatCreated, events[0].Type)
		require.Equal(t, alice.UserID, events[0].ActorID)
		require.Equal(t, first.ChatID, events[0].ChatID)
		require.Equal(t, store.MessageCreated, events[1].Type)

		second := r.send(t, bob, chat.Draft{To: "alice", Text: "hi yourself"})
		third := r.send(t, bob, chat.Draft{ChatID: first.ChatID, To: "eve", Text: "by its id"})
		require.Equal(t, []int64{first.ChatID, first.ChatID}, []int64{second.ChatID, third.ChatID})
		require.Equal(t, []int64{2, 3}, []int64{second.Seq, third.Seq})
		require.Len(t, r.committed(), 2)

		other := r.send(t, eve, chat.Draft{To: "alice", Text: "hi"})
		require.NotEqual(t, first.ChatID, other.ChatID)
		require.Equal(t, []chat.Message{first, second, third}, r.chatMessages(t, alice, first.ChatID))
	})
}

// A note to oneself is read by nobody else, though one has other chats.
func TestSendToOneself(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		r.committed()

		note := r.send(t, alice, chat.Draft{To: "alice", Text: "note"})
		require.Equal(t, store.SelfChat, note.ChatKind)
		require.NotEqual(t, direct.ChatID, note.ChatID)
		require.Len(t, r.committed(), 2)
		again := r.send(t, alice, chat.Draft{To: "Alice", Text: "another"})
		require.Equal(t, note.ChatID, again.ChatID)

		require.Equal(t, []chat.Message{note, again}, r.chatMessages(t, alice, note.ChatID))
		h, err := r.DirectMessages(t.Context(), alice, "alice", chat.Page{})
		require.NoError(t, err)
		notes, err := drain(h)
		require.NoError(t, err)
		require.Equal(t, []chat.Message{note, again}, notes)
		_, err = r.ChatMessages(t.Context(), bob, note.ChatID, chat.Page{})
		requireRefusal(t, notAParticipant, err)
		require.NotEqual(t, note.ChatID, r.send(t, bob, chat.Draft{To: "bob", Text: "mine"}).ChatID)
	})
}

// Both write first at the same time: there is one chat, and both are in it.
func TestSendDirectConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		r.committed()

		const each = 8
		sent := make([]chat.Message, 2*each)
		for _, err := range atOnce(len(sent), func(i int) (err error) {
			from, to := alice, bob
			if i%2 == 1 {
				from, to = bob, alice
			}
			sent[i], err = r.Send(t.Context(), from, chat.Draft{To: to.Username, Text: fmt.Sprint(i)})
			return err
		}) {
			require.NoError(t, err)
		}
		for _, m := range sent {
			require.Equal(t, sent[0].ChatID, m.ChatID)
		}
		stored := r.chatMessages(t, alice, sent[0].ChatID)
		require.ElementsMatch(t, sent, stored)
		for i, m := range stored {
			require.Equal(t, int64(i+1), m.Seq)
		}
		created := 0
		for _, e := range r.committed() {
			if e.Type == store.ChatCreated {
				created++
			}
		}
		require.Equal(t, 1, created)
	})
}

func TestSendIsIdempotent(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		other := r.group(t, alice)
		key := strings.Repeat("k", 128)
		first := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "one", ClientID: key})
		r.committed()

		// The first answer, whatever the repetition says.
		for name, again := range map[string]chat.Draft{
			"the same":       {ChatID: group.ID, Text: "one", ClientID: key},
			"another text":   {ChatID: group.ID, Text: "two", ClientID: key},
			"another chat":   {ChatID: other.ID, Text: "one", ClientID: key},
			"a direct chat":  {To: "bob", Text: "one", ClientID: key},
			"to oneself":     {To: "alice", Text: "one", ClientID: key},
			"to nobody":      {To: "nobody", Text: "one", ClientID: key},
			"an unread chat": {ChatID: 9999, Text: "one", ClientID: key},
		} {
			require.Equal(t, first, r.send(t, alice, again), name)
		}
		_, err := r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, ClientID: key})
		requireRefusal(t, refusal{chat.Invalid, "message_missing", "message"}, err)
		require.Empty(t, r.committed(), "a repetition is no event")
		require.Equal(t, []chat.Message{first}, r.chatMessages(t, alice, group.ID))

		// A key is the sender's own, and to the letter.
		theirs := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "bob's", ClientID: key})
		require.NotEqual(t, first.ID, theirs.ID)
		require.Equal(t, theirs, r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "bob's", ClientID: key}))
		upper := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "three", ClientID: strings.ToUpper(key)})
		require.Equal(t, "three", upper.Text)

		// No key, no idempotency.
		a, b := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x"}), r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "x"})
		require.NotEqual(t, a.ID, b.ID)

		// Who has left still learns that it was sent.
		require.NoError(t, r.RemoveParticipant(t.Context(), bob, group.ID, "bob"))
		require.Equal(t, theirs, r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "bob's", ClientID: key}))
	})
}

// A key whose first use was refused is free.
func TestSendRefusedKeyIsFree(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		_, err := r.Send(t.Context(), alice, chat.Draft{ChatID: 9999, Text: "one", ClientID: "key"})
		requireRefusal(t, notAParticipant, err)
		require.Equal(t, "two", r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "two", ClientID: "key"}).Text)
	})
}

func TestSendIsIdempotentConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		r.committed()

		sent := make([]chat.Message, 16)
		for _, err := range atOnce(len(sent), func(i int) (err error) {
			d := chat.Draft{ChatID: group.ID, Text: fmt.Sprint(i), ClientID: "key"}
			if i%4 == 3 {
				d.ChatID, d.To = 0, "bob"
			}
			sent[i], err = r.Send(t.Context(), alice, d)
			return err
		}) {
			require.NoError(t, err)
		}
		for _, m := range sent {
			require.Equal(t, sent[0], m)
		}
		messages := 0
		for _, e := range r.committed() {
			if e.Type == store.MessageCreated {
				messages++
				require.Equal(t, sent[0], *e.Message)
			}
		}
		require.Equal(t, 1, messages)
	})
}

// An Update that fails beside a send takes nothing of it along, and a send that
// is run again has one effect.
func TestSendBesideFailures(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		r.committed()

		broken := errors.New("broken")
		const n = 32
		sent := make([]chat.Message, n)
		errs := atOnce(n, func(i int) (err error) {
			if i%4 == 0 {
				return r.store.Update(t.Context(), func(tx *store.Tx) error {
					if _, err := tx.NextSeq(alice.UserID, group.ID, 1, time.Now()); err != nil {
						return err
					}
					return broken
				})
			}
			sent[i], err = r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, Text: fmt.Sprint(i)})
			return err
		})
		var want []chat.Message
		for i, err := range errs {
			if i%4 == 0 {
				require.ErrorIs(t, err, broken)
				continue
			}
			require.NoError(t, err)
			want = append(want, sent[i])
		}
		stored := r.chatMessages(t, alice, group.ID)
		require.ElementsMatch(t, want, stored)
		for i, m := range stored {
			require.Equal(t, int64(i+1), m.Seq)
		}
		require.Len(t, r.committed(), len(want))
	})
}

// Whoever waits for a chat sends when it is their turn, and not when they began:
// the times of a chat go forward with its numbers. On SQLite, one never waits
// inside of an Update.
func TestSendInOrderOfTime(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	r, elsewhere := newRules(t, database), newRules(t, database)
	alice, bob := r.person(t), r.person(t)
	group := r.group(t, alice, bob)
	db, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) })

	type answer struct {
		chat.Message
		error
	}
	sent := make(chan answer, 1)
	var free time.Time
	require.NoError(t, elsewhere.store.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.LockChat(bob.UserID, group.ID); err != nil {
			return err
		}
		go func() {
			m, err := r.Send(context.Background(), alice, chat.Draft{ChatID: group.ID, Text: "late"})
			sent <- answer{m, err}
		}()
		require.Eventually(t, func() bool {
			var waits bool
			err := db.QueryRow(t.Context(), `
				SELECT count(*) > 0 FROM pg_locks
				WHERE locktype = 'advisory' AND NOT granted
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waits)
			return err == nil && waits
		}, time.Minute, time.Millisecond)
		free = time.Now().UTC().Truncate(time.Microsecond)
		return nil
	}))
	late := <-sent
	require.NoError(t, late.error)
	require.False(t, late.CreatedAt.Before(free), "%s before %s", late.CreatedAt, free)
}
