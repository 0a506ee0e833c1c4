package chat_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func TestChatWindow(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group, noise := r.group(t, alice, bob), r.group(t, bob)
		var all []int64
		for range 4 {
			r.flood(t, bob, noise.ID, 7)
			all = append(all, idsOf(r.flood(t, alice, group.ID, 3))...)
		}
		r.flood(t, bob, noise.ID, 7)
		at := func(i int) int64 { return all[i] }
		page := func(after, before int64, limit int) chat.Page {
			return chat.Page{After: after, Before: before, Limit: limit}
		}
		for name, c := range map[string]struct {
			window chat.Window
			want   []int64
		}{
			"the newest":                     {chat.Window{Page: page(0, 0, 3)}, all[9:]},
			"as many as there may be":        {chat.Window{}, all},
			"before":                         {chat.Window{Page: page(0, at(5), 3)}, all[2:5]},
			"after":                          {chat.Window{Page: page(at(5), 0, 3)}, all[6:9]},
			"between":                        {chat.Window{Page: page(at(5), at(8), 9)}, all[6:8]},
			"around":                         {chat.Window{Around: at(6), Page: page(0, 0, 5)}, all[4:9]},
			"around, an even number":         {chat.Window{Around: at(6), Page: page(0, 0, 4)}, all[5:9]},
			"around, itself alone":           {chat.Window{Around: at(6), Page: page(0, 0, 1)}, all[6:7]},
			"around, and the next":           {chat.Window{Around: at(6), Page: page(0, 0, 2)}, all[6:8]},
			"around the first":               {chat.Window{Around: at(0), Page: page(0, 0, 5)}, all[:3]},
			"around the last":                {chat.Window{Around: at(11), Page: page(0, 0, 5)}, all[9:]},
			"around one of another chat":     {chat.Window{Around: at(6) - 1, Page: page(0, 0, 4)}, all[5:9]},
			"around one to come":             {chat.Window{Around: math.MaxInt64, Page: page(0, 0, 5)}, all[10:]},
			"around a number":                {chat.Window{AroundSeq: 7, Page: page(0, 0, 5)}, all[4:9]},
			"around the first number":        {chat.Window{AroundSeq: 1, Page: page(0, 0, 5)}, all[:3]},
			"around the last number":         {chat.Window{AroundSeq: 12, Page: page(0, 0, 5)}, all[9:]},
			"around a number to come":        {chat.Window{AroundSeq: 13, Page: page(0, 0, 5)}, all[10:]},
			"around the last of all numbers": {chat.Window{AroundSeq: math.MaxInt64, Page: page(0, 0, 5)}, all[10:]},
			"a number wins over an id":       {chat.Window{Around: at(0), AroundSeq: 12, Page: page(0, 0, 1)}, all[11:]},
			"an id wins over bounds":         {chat.Window{Around: at(0), Page: page(at(3), at(5), 1)}, all[:1]},
		} {
			t.Run(name, func(t *testing.T) {
				found, err := r.ChatWindow(t.Context(), bob, group.ID, c.window)
				require.NoError(t, err)
				require.Equal(t, c.want, idsOf(found))
			})
		}
		for _, c := range map[string]struct {
			window chat.Window
			want   refusal
		}{
			"around":     {chat.Window{Around: -1}, refusal{chat.Invalid, "cursor_invalid", "around"}},
			"around_seq": {chat.Window{AroundSeq: -1}, refusal{chat.Invalid, "cursor_invalid", "around_seq"}},
			"before":     {chat.Window{Page: page(0, -1, 1)}, refusal{chat.Invalid, "cursor_invalid", "before"}},
			"limit":      {chat.Window{Page: page(0, 0, 501)}, refusal{chat.Invalid, "limit_invalid", "limit"}},
		} {
			_, err := r.ChatWindow(t.Context(), bob, group.ID, c.window)
			requireRefusal(t, c.want, err)
		}
		_, err := r.ChatWindow(t.Context(), alice, noise.ID, chat.Window{Around: 1})
		requireRefusal(t, notAParticipant, err)
	})
}

// FindMessages is what a filter over all messages in memory finds.
func TestFindMessagesAgainstModel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "Bob"), r.user(t, "eve")
		group, others := r.group(t, alice, bob, eve), r.group(t, bob, eve)
		start := time.Date(2024, 2, 28, 12, 0, 0, 0, time.UTC)
		var mine []chat.Message // what alice sees
		var chats = map[int64]chat.Chat{}
		post := func(sender chat.Caller, to any, text string) {
			t.Helper()
			var m chat.Message
			require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
				chatID, ok := to.(int64)
				at := start.Add(time.Duration(len(mine)) * 4 * time.Hour)
				if !ok {
					c, err := tx.FindDirectChat(sender.UserID, to.(chat.Caller).UserID)
					if err != nil {
						return err
					}
					chatID = c.ID
				}
				c, err := tx.NextSeq(sender.UserID, chatID, 1, at)
				if err != nil {
					return err
				}
				m = chat.Message{
					ChatID: chatID, ChatKind: c.Kind, Seq: c.LastSeq, SenderID: sender.UserID, SenderUsername: sender.Username,
					Text: text, CreatedAt: at,
				}
				chats[chatID] = c
				return tx.CreateMessage(&m)
			}))
			if m.ChatID != others.ID {
				mine = append(mine, m)
			}
		}
		for _, pair := range [][2]chat.Caller{{alice, bob}, {alice, alice}, {bob, eve}, {alice, eve}} {
			sent := r.send(t, pair[0], chat.Draft{To: pair[1].Username, Text: "first"})
			if pair[0] == alice {
				mine = append(mine, sent)
			}
			require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) (err error) {
				chats[sent.ChatID], err = tx.FindChatByID(sent.ChatID)
				return err
			}))
		}
		for i := range 5 {
			// Among those of others: one is not found at once.
			r.flood(t, bob, others.ID, []int{0, 3, 150, 600, 0}[i])
			text := fmt.Sprint("Text ", i%3)
			post(alice, group.ID, text)
			post(bob, group.ID, text)
			post(bob, others.ID, text)
			post(eve, group.ID, text)
			post(alice, bob, text)
			post(bob, alice, text)
			post(alice, alice, text)
			post(eve, alice, text)
		}
		for i := range mine {
			if i%7 != 3 || mine[i].SenderID != alice.UserID {
				continue
			}
			require.NoError(t, r.DeleteMessage(t.Context(), alice, mine[i].ID))
			require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) (err error) {
				mine[i], err = tx.FindMessage(alice.UserID, mine[i].ID)
				mine[i] = undecorated(mine[i])
				return err
			}))
		}
		receiver := func(m chat.Message) int64 {
			if m.ChatKind == store.GroupChat {
				return 0
			}
			c := chats[m.ChatID]
			return c.OtherThan(m.SenderID)
		}
		people := map[string]chat.Caller{"alice": alice, "bob": bob, "EVE": eve}

		rapid.Check(t, func(t *rapid.T) {
			q := chat.MessageQuery{}
			want := slices.Clone(mine)
			keep := func(yes func(chat.Message) bool) {
				want = slices.DeleteFunc(want, func(m chat.Message) bool { return !yes(m) })
			}
			some := func(of string) bool { return rapid.IntRange(0, 3).Draw(t, of) == 0 }
			if some("chat") {
				q.ChatID = rapid.SampledFrom(mine).Draw(t, "chat of").ChatID
				keep(func(m chat.Message) bool { return m.ChatID == q.ChatID })
			}
			if q.Present = some("present"); q.Present {
				keep(func(m chat.Message) bool { return m.DeletedAt.IsZero() })
			}
			if q.Alone = some("alone"); q.Alone {
				keep(func(m chat.Message) bool { return m.ChatKind != store.GroupChat })
			}
			q.Direction = rapid.SampledFrom([]chat.Direction{chat.SentOrReceived, chat.Sent, chat.Received}).Draw(t, "direction")
			keep(func(m chat.Message) bool {
				if q.Direction == chat.Received && q.Alone {
					return receiver(m) == alice.UserID
				}
				return q.Direction == chat.SentOrReceived || (m.SenderID == alice.UserID) == (q.Direction == chat.Sent)
			})
			if some("sender") {
				q.Sender = rapid.SampledFrom([]string{"alice", "bob", "EVE"}).Draw(t, "sender is")
				keep(func(m chat.Message) bool { return m.SenderID == people[q.Sender].UserID })
			}
			if some("receiver") {
				q.Receiver = rapid.SampledFrom([]string{"alice", "bob", "EVE"}).Draw(t, "receiver is")
				keep(func(m chat.Message) bool { return receiver(m) == people[q.Receiver].UserID })
			}
			if some("date") {
				day := start.AddDate(0, 0, rapid.IntRange(-1, 7).Draw(t, "day")).Format(time.DateOnly)
				q.Date = day
				keep(func(m chat.Message) bool { return m.CreatedAt.Format(time.DateOnly) == day })
			}
			if some("text") {
				q.Filter.Where = append(q.Filter.Where, store.Condition{Field: chat.MessageText, Match: store.Contains, Value: "T 1"})
				keep(func(m chat.Message) bool { return strings.Contains(m.Text, "Text 1") })
			}
			if some("username") {
				q.Filter.Where = append(q.Filter.Where, store.Condition{Field: chat.MessageSenderUsername, Value: "Bob"})
				keep(func(m chat.Message) bool { return m.SenderID == bob.UserID })
			}
			if some("after") {
				q.After = rapid.SampledFrom(mine).Draw(t, "after this").ID
				keep(func(m chat.Message) bool { return m.ID > q.After })
			}
			if some("before") {
				q.Before = rapid.SampledFrom(mine).Draw(t, "before this").ID
				keep(func(m chat.Message) bool { return m.ID < q.Before })
			}
			slices.SortFunc(want, func(a, b chat.Message) int { return int(a.ID - b.ID) })
			switch rapid.IntRange(0, 3).Draw(t, "order") {
			case 1:
				q.Filter.Order = []store.Order{{Field: chat.MessageText}, {Field: chat.MessageSeq, Descending: true}}
				slices.SortFunc(want, func(a, b chat.Message) int {
					if order := strings.Compare(a.Text, b.Text); order != 0 {
						return order
					}
					if a.Seq != b.Seq {
						return int(b.Seq - a.Seq)
					}
					return int(b.ID - a.ID)
				})
			case 2:
				q.Filter.Order = []store.Order{{Field: chat.MessageID, Descending: true}}
				slices.Reverse(want)
			case 3:
				q.FromEnd = true
			}
			q.Filter.Limited, q.Filter.Limit = true, rapid.IntRange(0, 50).Draw(t, "limit")
			q.Filter.Offset = rapid.IntRange(0, 5).Draw(t, "offset")
			n, err := r.CountMessages(context.Background(), alice, q)
			require.NoError(t, err)
			require.Equal(t, len(want), n, "%+v", q)
			offset, limit := min(q.Filter.Offset, len(want)), min(q.Filter.Limit, max(len(want)-q.Filter.Offset, 0))
			if q.FromEnd {
				offset = len(want) - offset - limit
			}
			want = want[offset : offset+limit]

			found, err := r.FindMessages(context.Background(), alice, q)
			require.NoError(t, err)
			require.Equal(t, idsOf(want), idsOf(found), "%+v", q)
			for i := range found {
				require.Equal(t, want[i], undecorated(found[i]))
			}
		})

		for name, c := range map[string]struct {
			query chat.MessageQuery
			want  refusal
		}{
			"a chat of others":   {chat.MessageQuery{ChatID: others.ID}, notAParticipant},
			"no such chat":       {chat.MessageQuery{ChatID: 9999}, notAParticipant},
			"no such sender":     {chat.MessageQuery{Sender: "nobody"}, refusal{chat.NotFound, "user_not_found", "sender"}},
			"no such receiver":   {chat.MessageQuery{Receiver: "nobody"}, refusal{chat.NotFound, "user_not_found", "receiver"}},
			"a sender first":     {chat.MessageQuery{Sender: "nobody", Date: "today"}, refusal{chat.NotFound, "user_not_found", "sender"}},
			"no date":            {chat.MessageQuery{Date: "today"}, refusal{chat.Invalid, "date_invalid", "date"}},
			"no day of a month":  {chat.MessageQuery{Date: "2023-02-29"}, refusal{chat.Invalid, "date_invalid", "date"}},
			"a date with a time": {chat.MessageQuery{Date: "2023-02-28T00:00:00Z"}, refusal{chat.Invalid, "date_invalid", "date"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.FindMessages(t.Context(), alice, c.query)
				requireRefusal(t, c.want, err)
				_, err = r.CountMessages(t.Context(), alice, c.query)
				requireRefusal(t, c.want, err)
			})
		}
	})
}
