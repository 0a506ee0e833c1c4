package chat_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// step is a change of watermarks, and what comes of it.
type step struct {
	says  string
	do    func(*rules, chat.Caller, int64) (chat.Watermarks, error)
	want  chat.Watermarks
	event string // and its data
}

func marks(read, delivered, unread int64, marked bool) chat.Watermarks {
	return chat.Watermarks{ReadSeq: read, DeliveredSeq: delivered, Unread: unread, MarkedUnread: marked}
}

func read(seq int64) func(*rules, chat.Caller, int64) (chat.Watermarks, error) {
	return func(r *rules, caller chat.Caller, chatID int64) (chat.Watermarks, error) {
		return r.Read(context.Background(), caller, chatID, &seq)
	}
}

func delivered(seq int64) func(*rules, chat.Caller, int64) (chat.Watermarks, error) {
	return func(r *rules, caller chat.Caller, chatID int64) (chat.Watermarks, error) {
		return r.Delivered(context.Background(), caller, chatID, seq)
	}
}

func TestWatermarks(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		id := r.group(t, alice, bob).ID
		var sent []chat.Message
		for range 5 {
			sent = append(sent, r.send(t, alice, chat.Draft{ChatID: id, Text: "text"}))
		}
		all := func(r *rules, caller chat.Caller, chatID int64) (chat.Watermarks, error) {
			return r.Read(context.Background(), caller, chatID, nil)
		}
		mark := func(r *rules, caller chat.Caller, chatID int64) (chat.Watermarks, error) {
			_, err := r.UpdateChatSettings(context.Background(), caller, chatID, chat.Settings{MarkedUnread: new(true)})
			r.committed()
			return chat.Watermarks{}, err
		}
		const settings = `chat.settings {"archived":false,"marked_unread":false,"muted_until":null}`
		r.committed()
		for _, s := range []step{
			{"nothing has come", delivered(0), marks(0, 0, 5, false), ""},
			{"nothing is read", read(0), marks(0, 0, 5, false), ""},
			{"delivered", delivered(2), marks(0, 2, 5, false), `chat.delivered {"seq":2}`},
			{"delivered again", delivered(2), marks(0, 2, 5, false), ""},
			{"delivered before that", delivered(1), marks(0, 2, 5, false), ""},
			{"read some of it", read(1), marks(1, 2, 4, false), `chat.read {"seq":1}`},
			{"read more than was delivered", read(3), marks(3, 3, 2, false), `chat.read {"seq":3}`},
			{"read before that", read(2), marks(3, 3, 2, false), ""},
			{"delivered before that", delivered(1), marks(3, 3, 2, false), ""},
			{"mark", mark, chat.Watermarks{}, ""},
			{"a delivery leaves the mark", delivered(4), marks(3, 4, 2, true), `chat.delivered {"seq":4}`},
			{"reading takes the mark away", read(0), marks(3, 4, 2, false), settings},
			{"mark once more", mark, chat.Watermarks{}, ""},
			{"read all", all, marks(5, 5, 0, false), `chat.read {"seq":5}`},
			{"read all again", all, marks(5, 5, 0, false), ""},
		} {
			t.Run(s.says, func(t *testing.T) {
				got, err := s.do(r, bob, id)
				require.NoError(t, err)
				require.Equal(t, s.want, got)
				events := r.committed()
				if s.event == "" {
					require.Empty(t, events)
				} else {
					require.Len(t, events, 1)
					e := events[0]
					require.Equal(t, s.event, e.Type+" "+e.Data)
					var upTo *chat.Message // named where something was read, and nowhere else
					if e.Type == store.ChatRead {
						upTo = &chat.Message{ID: sent[s.want.ReadSeq-1].ID}
					}
					require.Equal(t, store.Event{
						ID: e.ID, Type: e.Type, ChatID: id, ActorID: bob.UserID, UserID: bob.UserID, Message: upTo, Data: e.Data, At: e.At,
					}, e)
					require.False(t, e.At.IsZero())
				}
				if s.want != (chat.Watermarks{}) {
					p := r.entry(t, bob, id)
					require.Equal(t, s.want,
						marks(p.Participant.ReadSeq, p.Participant.DeliveredSeq, p.Unread(), p.Participant.MarkedUnread))
				}
			})
		}

		badSeq := refusal{chat.Invalid, "seq_invalid", "seq"}
		for name, c := range map[string]struct {
			caller chat.Caller
			chatID int64
			seq    int64
			want   refusal
		}{
			"behind the last":   {bob, id, 6, badSeq},
			"before the first":  {bob, id, -1, badSeq},
			"not in it":         {eve, id, 1, notAParticipant},
			"not in it, no seq": {eve, id, 99, notAParticipant},
			"no chat":           {bob, 9999, 1, notAParticipant},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.Read(t.Context(), c.caller, c.chatID, &c.seq)
				requireRefusal(t, c.want, err)
				_, err = r.Delivered(t.Context(), c.caller, c.chatID, c.seq)
				requireRefusal(t, c.want, err)
				require.Empty(t, r.committed())
			})
		}
	})
}

// Of many who read at once, the furthest counts, and nobody's event goes back.
func TestReadConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		id := r.group(t, alice, bob).ID
		r.flood(t, alice, id, 8)
		r.committed()
		for _, err := range atOnce(8, func(i int) error {
			_, err := r.Read(t.Context(), bob, id, new(int64(i+1)))
			return err
		}) {
			require.NoError(t, err)
		}
		require.EqualValues(t, 8, r.entry(t, bob, id).Participant.ReadSeq)
		var data []string
		for _, e := range r.committed() {
			require.Equal(t, store.ChatRead, e.Type)
			data = append(data, e.Data)
		}
		require.True(t, slices.IsSorted(data), data)
		require.Equal(t, `{"seq":8}`, data[len(data)-1])
	})
}

// Whoever joins has no unread messages, but has not read what was said before.
func TestReadersWhoJoinLater(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		id := r.group(t, alice).ID
		before := r.send(t, alice, chat.Draft{ChatID: id, Text: "before"})
		_, err := r.AddParticipant(t.Context(), alice, id, "bob", "")
		require.NoError(t, err)
		after := r.send(t, alice, chat.Draft{ChatID: id, Text: "after"})
		_, err = r.Read(t.Context(), bob, id, nil)
		require.NoError(t, err)

		for m, want := range map[int64][]string{before.ID: nil, after.ID: {"bob"}} {
			got, err := r.Message(t.Context(), alice, m)
			require.NoError(t, err)
			require.Equal(t, len(want), *got.ReadCount)
			require.Equal(t, want, got.ReadBy)
			readers, err := r.Readers(t.Context(), alice, m, 0, 0)
			require.NoError(t, err)
			require.Len(t, readers.List, len(want))
			require.Equal(t, []int{len(want), len(want)}, []int{readers.Read, readers.Delivered})
		}
	})
}

func TestReaders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, carol, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "carol"), r.user(t, "eve")
		id := r.group(t, alice, bob, carol).ID
		first, second := r.send(t, alice, chat.Draft{ChatID: id, Text: "1"}), r.send(t, alice, chat.Draft{ChatID: id, Text: "2"})
		third := r.send(t, carol, chat.Draft{ChatID: id, Text: "3"}) // who has read the others by that
		_, err := r.Read(t.Context(), bob, id, new(first.Seq))
		require.NoError(t, err)
		_, err = r.Delivered(t.Context(), bob, id, second.Seq)
		require.NoError(t, err)

		all := []chat.Reader{{UserID: bob.UserID, Username: "bob", ReadSeq: 1}, {UserID: carol.UserID, Username: "carol", ReadSeq: 3}}
		for i := range all {
			all[i].JoinedAt = r.entry(t, []chat.Caller{bob, carol}[i], id).Participant.JoinedAt
		}
		for name, c := range map[string]struct {
			message       chat.Message
			limit, offset int
			want          chat.Readers
		}{
			"all":              {first, 0, 0, chat.Readers{Read: 2, Delivered: 2, List: all}},
			"delivered to one": {second, 0, 0, chat.Readers{Read: 1, Delivered: 2, List: all[1:]}},
			"nobody":           {third, 0, 0, chat.Readers{}},
			"a part":           {first, 1, 0, chat.Readers{Read: 2, Delivered: 2, List: all[:1]}},
			"another part":     {first, 1, 1, chat.Readers{Read: 2, Delivered: 2, List: all[1:]}},
			"behind the last":  {first, 1, 2, chat.Readers{Read: 2, Delivered: 2}},
		} {
			t.Run(name, func(t *testing.T) {
				got, err := r.Readers(t.Context(), bob, c.message.ID, c.limit, c.offset)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			})
		}

		// Who joins later has read nothing of it, whatever they have read.
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.AddParticipant(id, eve.UserID, store.Member, time.Now())
		}))
		_, err = r.Read(t.Context(), eve, id, nil)
		require.NoError(t, err)
		got, err := r.Readers(t.Context(), alice, third.ID, 0, 0)
		require.NoError(t, err)
		require.Equal(t, chat.Readers{}, got)
		fourth := r.send(t, alice, chat.Draft{ChatID: id, Text: "4"})
		_, err = r.Read(t.Context(), eve, id, nil)
		require.NoError(t, err)
		got, err = r.Readers(t.Context(), alice, fourth.ID, 0, 0)
		require.NoError(t, err)
		require.Equal(t, 1, got.Read)
		require.NoError(t, r.RemoveParticipant(t.Context(), eve, id, "eve"))

		// Who has left reads no more.
		require.NoError(t, r.RemoveParticipant(t.Context(), alice, id, "carol"))
		got, err = r.Readers(t.Context(), alice, first.ID, 0, 0)
		require.NoError(t, err)
		require.Equal(t, chat.Readers{Read: 1, Delivered: 1, List: all[:1]}, got)

		r.hide(t, bob, first)
		for name, c := range map[string]struct {
			caller        chat.Caller
			id            int64
			limit, offset int
			want          refusal
		}{
			"not in the chat": {eve, first.ID, 0, 0, noSuchMessage},
			"no longer in it": {carol, third.ID, 0, 0, noSuchMessage},
			"hidden":          {bob, first.ID, 0, 0, noSuchMessage},
			"no message":      {alice, 9999, 0, 0, noSuchMessage},
			"limit":           {alice, first.ID, 501, 0, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"offset":          {alice, first.ID, 0, -1, refusal{chat.Invalid, "offset_invalid", "offset"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.Readers(t.Context(), c.caller, c.id, c.limit, c.offset)
				requireRefusal(t, c.want, err)
			})
		}
	})
}

// What is counted for a page is what is told of each message alone, in small
// chats and in large ones.
func TestCountReaders(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		for _, size := range []int{1, 2, 20, 21, 30} {
			t.Run(fmt.Sprint(size), func(t *testing.T) {
				id := r.group(t, alice).ID
				people := []chat.Caller{alice}
				for len(people) < size {
					people = append(people, r.person(t))
				}
				join := func(some []chat.Caller) error {
					return r.store.Update(t.Context(), func(tx *store.Tx) error {
						for _, p := range some {
							if err := tx.AddParticipant(id, p.UserID, store.Member, time.Now()); err != nil {
								return err
							}
						}
						return nil
					})
				}
				early := max(1, size-4) // the others come one by one, in between
				require.NoError(t, join(people[1:early]))
				var messages []chat.Message
				for i := range 12 {
					messages = append(messages, r.send(t, people[i%3%early], chat.Draft{ChatID: id, Text: "text"}))
					if i%3 == 2 && early+i/3 < size {
						require.NoError(t, join(people[early+i/3:][:1]))
					}
				}
				if size > 2 { // who has written, and is there again
					require.NoError(t, r.RemoveParticipant(t.Context(), alice, id, people[1].Username))
					require.NoError(t, join(people[1:2]))
				}
				late := r.person(t)
				require.NoError(t, ignore(r.AddParticipant(t.Context(), alice, id, late.Username, "")))
				people = append(people, late)
				for range 4 {
					messages = append(messages, r.send(t, late, chat.Draft{ChatID: id, Text: "text"}), r.send(t, alice, chat.Draft{ChatID: id, Text: "text"}))
				}
				if size > 2 { // who has written, and is there no more
					require.NoError(t, r.RemoveParticipant(t.Context(), alice, id, people[2].Username))
					people = slices.Delete(people, 2, 3)
				}
				rapid.Check(t, func(t *rapid.T) {
					for range rapid.IntRange(0, 3).Draw(t, "who read") {
						who := rapid.SampledFrom(people).Draw(t, "reader")
						_, err := r.Read(context.Background(), who, id, new(rapid.Int64Range(0, 20).Draw(t, "seq")))
						require.NoError(t, err)
					}
					page := slices.Clone(rapid.SliceOfNDistinct(rapid.SampledFrom(messages), 1, 20,
						func(m chat.Message) int64 { return m.ID }).Draw(t, "page"))
					require.NoError(t, r.store.View(context.Background(), func(tx *store.Tx) error {
						return chat.CountReaders(tx, id, page)
					}))
					for _, m := range page {
						want, err := r.Readers(context.Background(), alice, m.ID, 0, 0)
						require.NoError(t, err)
						require.NotNil(t, m.ReadCount)
						require.Equal(t, want.Read, *m.ReadCount, "message %d", m.Seq)
						var names []string
						for _, reader := range want.List {
							names = append(names, reader.Username)
						}
						if len(people) > 20 {
							names = nil
						}
						require.Equal(t, names, m.ReadBy)
					}
				})
			})
		}
		require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error { return chat.CountReaders(tx, 1, nil) }))
	})
}
