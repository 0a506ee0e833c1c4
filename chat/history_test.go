package chat_test

import (
	"context"
	"iter"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

// batch is how many messages an unlimited history reads at once.
const batch = 128

func TestPageRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		for name, c := range map[string]struct {
			page chat.Page
			want refusal
		}{
			"negative after":     {chat.Page{After: -1}, refusal{chat.Invalid, "cursor_invalid", "after"}},
			"negative before":    {chat.Page{Before: -1}, refusal{chat.Invalid, "cursor_invalid", "before"}},
			"lowest before":      {chat.Page{Before: math.MinInt64}, refusal{chat.Invalid, "cursor_invalid", "before"}},
			"negative limit":     {chat.Page{Limit: -1}, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"limit of 501":       {chat.Page{Limit: 501}, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"the largest limit":  {chat.Page{Limit: math.MaxInt}, refusal{chat.Invalid, "limit_invalid", "limit"}},
			"after comes first":  {chat.Page{After: -1, Before: -1, Limit: -1}, refusal{chat.Invalid, "cursor_invalid", "after"}},
			"before comes first": {chat.Page{Before: -1, Limit: -1}, refusal{chat.Invalid, "cursor_invalid", "before"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.ChatMessages(t.Context(), alice, group.ID, c.page)
				requireRefusal(t, c.want, err)
				_, err = r.DirectMessages(t.Context(), alice, "alice", c.page)
				requireRefusal(t, c.want, err)
				_, err = r.Messages(t.Context(), alice, c.page)
				requireRefusal(t, c.want, err)
			})
		}
	})
}

func TestHistoryRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		r.committed()

		for _, chatID := range []int64{group.ID, direct.ChatID, 9999, 0, -1} {
			_, err := r.ChatMessages(t.Context(), eve, chatID, chat.Page{})
			requireRefusal(t, notAParticipant, err)
			_, err = r.ChatMessages(t.Context(), eve, chatID, chat.Page{Limit: 1})
			requireRefusal(t, notAParticipant, err)
		}
		_, err := r.DirectMessages(t.Context(), alice, "nobody", chat.Page{})
		requireRefusal(t, noSuchDest, err)

		// Two who have not talked: no messages, and no chat because of it.
		h, err := r.DirectMessages(t.Context(), eve, "bob", chat.Page{})
		require.NoError(t, err)
		messages, err := drain(h)
		require.NoError(t, err)
		require.Empty(t, messages)
		h, err = r.Messages(t.Context(), eve, chat.Page{})
		require.NoError(t, err)
		messages, err = drain(h)
		require.NoError(t, err)
		require.Empty(t, messages)
		require.Empty(t, r.committed())
	})
}

func TestPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		all := []chat.Message{r.send(t, alice, chat.Draft{To: "bob", Text: "first"})}
		all = append(all, r.flood(t, bob, all[0].ChatID, 999)...)
		id := func(i int) int64 { return all[i].ID }

		for name, c := range map[string]struct {
			page chat.Page
			want []chat.Message
		}{
			"all":                              {chat.Page{}, all},
			"the newest":                       {chat.Page{Limit: 1}, all[999:]},
			"the newest 500":                   {chat.Page{Limit: 500}, all[500:]},
			"after":                            {chat.Page{After: id(9)}, all[10:]},
			"before":                           {chat.Page{Before: id(9)}, all[:9]},
			"between":                          {chat.Page{After: id(9), Before: id(600)}, all[10:600]},
			"a limit behind after":             {chat.Page{After: id(9), Limit: 5}, all[10:15]},
			"a limit ahead of before":          {chat.Page{Before: id(9), Limit: 5}, all[4:9]},
			"a limit between starts at after":  {chat.Page{After: id(9), Before: id(600), Limit: 5}, all[10:15]},
			"a limit that is not reached":      {chat.Page{Before: id(3), Limit: 5}, all[:3]},
			"a whole batch":                    {chat.Page{Before: id(batch)}, all[:batch]},
			"one less than a batch":            {chat.Page{Before: id(batch - 1)}, all[:batch-1]},
			"one more than a batch":            {chat.Page{Before: id(batch + 1)}, all[:batch+1]},
			"two batches":                      {chat.Page{After: id(0), Before: id(1 + 2*batch)}, all[1 : 1+2*batch]},
			"nothing between neighbours":       {chat.Page{After: id(9), Before: id(10)}, nil},
			"nothing if the bounds are equal":  {chat.Page{After: id(9), Before: id(9)}, nil},
			"nothing if the bounds are turned": {chat.Page{After: id(10), Before: id(9)}, nil},
			"nothing after the last":           {chat.Page{After: id(999)}, nil},
			"nothing before the first":         {chat.Page{Before: id(0)}, nil},
			"before beyond the last":           {chat.Page{Before: id(999) + 9999}, all},
			"before at the end of all numbers": {chat.Page{Before: math.MaxInt64, Limit: 2}, all[998:]},
			"after at the end of all numbers":  {chat.Page{After: math.MaxInt64}, nil},
			"both at the end of all numbers":   {chat.Page{After: math.MaxInt64, Before: math.MaxInt64, Limit: 2}, nil},
		} {
			for opener, open := range map[string]func(context.Context, chat.Page) (*chat.History, error){
				"chat": func(ctx context.Context, p chat.Page) (*chat.History, error) {
					return r.ChatMessages(ctx, alice, all[0].ChatID, p)
				},
				"direct": func(ctx context.Context, p chat.Page) (*chat.History, error) {
					return r.DirectMessages(ctx, alice, "bob", p)
				},
				"all": func(ctx context.Context, p chat.Page) (*chat.History, error) { return r.Messages(ctx, alice, p) },
			} {
				t.Run(name+"/"+opener, func(t *testing.T) {
					t.Parallel()
					h, err := open(t.Context(), c.page)
					require.NoError(t, err)
					got, err := drain(h)
					require.NoError(t, err)
					require.True(t, len(c.want) == 0 && len(got) == 0 || reflect.DeepEqual(c.want, got), "want %d, got %d messages", len(c.want), len(got))
				})
			}
		}
	})
}

// readFirst takes n messages from a history, and leaves it open.
func readFirst(t *testing.T, h *chat.History, n int) (read []chat.Message, next func() (chat.Message, error, bool)) {
	t.Helper()
	next, stop := iter.Pull2(h.All(t.Context()))
	t.Cleanup(stop)
	for range n {
		m, err, ok := next()
		require.True(t, ok)
		require.NoError(t, err)
		read = append(read, m)
	}
	return read, next
}

// rest reads what is left.
func rest(next func() (chat.Message, error, bool)) (read []chat.Message, err error) {
	for {
		m, err, ok := next()
		if !ok || err != nil {
			return read, err
		}
		read = append(read, m)
	}
}

func TestHistoryEndsWhereItWasOpened(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		first := r.send(t, alice, chat.Draft{To: "bob", Text: "first"})
		all := append([]chat.Message{first}, r.flood(t, bob, first.ChatID, 3*batch)...)

		var open []*chat.History
		for _, page := range []chat.Page{{}, {Before: math.MaxInt64}} {
			h, err := r.ChatMessages(t.Context(), alice, first.ChatID, page)
			require.NoError(t, err)
			open = append(open, h)
			h, err = r.DirectMessages(t.Context(), alice, "bob", page)
			require.NoError(t, err)
			open = append(open, h)
			h, err = r.Messages(t.Context(), alice, page)
			require.NoError(t, err)
			open = append(open, h)
		}
		r.flood(t, bob, first.ChatID, 2*batch)
		for _, h := range open {
			read, next := readFirst(t, h, batch+1)
			r.send(t, alice, chat.Draft{To: "bob", Text: "while it is read"})
			left, err := rest(next)
			require.NoError(t, err)
			require.True(t, reflect.DeepEqual(all, append(read, left...)))
		}
	})
}

// Who is removed while they read hears of it, and reads nothing that came
// after.
func TestRemovedWhileReadingChat(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		all := r.flood(t, alice, group.ID, 3*batch)

		h, err := r.ChatMessages(t.Context(), bob, group.ID, chat.Page{})
		require.NoError(t, err)
		read, next := readFirst(t, h, 10)
		require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, "bob"))
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "bob is gone"})
		left, err := rest(next)
		requireRefusal(t, notAParticipant, err)
		// The batch in memory he was allowed to see.
		require.Equal(t, all[:batch], append(read, left...))
		_, _, ok := next()
		require.False(t, ok, "it ends after an error")
	})
}

func TestRemovedWhileReadingAll(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group, kept := r.group(t, alice, bob), r.group(t, alice, bob)
		secret := r.flood(t, alice, group.ID, batch+1)
		open := r.flood(t, alice, kept.ID, batch)
		secret = append(secret, r.flood(t, alice, group.ID, batch)...)

		h, err := r.Messages(t.Context(), bob, chat.Page{})
		require.NoError(t, err)
		read, next := readFirst(t, h, 10)
		require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, "bob"))
		left, err := rest(next)
		require.NoError(t, err)
		require.Equal(t, slices.Concat(secret[:batch], open), append(read, left...))
	})
}

func TestHistoryWithoutTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		r.flood(t, alice, group.ID, 2*batch)
		ctx, cancel := context.WithCancel(t.Context())
		h, err := r.ChatMessages(ctx, alice, group.ID, chat.Page{})
		require.NoError(t, err)
		cancel()
		n := 0
		for _, err = range h.All(ctx) {
			n++
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, batch+1, n, "the batch in memory, and the error")

		_, err = r.ChatMessages(ctx, alice, group.ID, chat.Page{})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A reader that stops keeps nothing open: all connections are free afterwards.
func TestHistoryLeftEarly(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		r.flood(t, alice, group.ID, 2*batch)
		for range 100 {
			h, err := r.ChatMessages(t.Context(), alice, group.ID, chat.Page{})
			require.NoError(t, err)
			n := 0
			for _, err := range h.All(t.Context()) {
				require.NoError(t, err)
				if n++; n > batch {
					break
				}
			}
			require.Equal(t, batch+1, n)
		}
	})
}

// A few messages among 20,000 of others are found, and only they.
func TestSparseMessages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		theirs := r.group(t, eve)
		group := r.group(t, alice, bob)

		var mine []chat.Message
		say := func(d chat.Draft) { mine = append(mine, r.send(t, bob, d)) }
		foreign := func(n int) { r.flood(t, eve, theirs.ID, n) }
		foreign(3)
		say(chat.Draft{ChatID: group.ID, Text: "0"})
		foreign(7000)
		say(chat.Draft{To: "alice", Text: "1"})
		say(chat.Draft{ChatID: group.ID, Text: "2"})
		foreign(batch)
		say(chat.Draft{ChatID: group.ID, Text: "3"})
		foreign(12_000)
		say(chat.Draft{To: "alice", Text: "4"})
		foreign(1000)

		for name, c := range map[string]struct {
			page chat.Page
			want []chat.Message
		}{
			"all":                       {chat.Page{}, mine},
			"more than there are":       {chat.Page{Limit: 500}, mine},
			"the newest":                {chat.Page{Limit: 1}, mine[4:]},
			"the newest two":            {chat.Page{Limit: 2}, mine[3:]},
			"the newest four":           {chat.Page{Limit: 4}, mine[1:]},
			"before":                    {chat.Page{Before: mine[3].ID, Limit: 2}, mine[1:3]},
			"before the first":          {chat.Page{Before: mine[0].ID, Limit: 2}, nil},
			"after":                     {chat.Page{After: mine[0].ID, Limit: 2}, mine[1:3]},
			"after and before":          {chat.Page{After: mine[0].ID, Before: mine[4].ID, Limit: 9}, mine[1:4]},
			"after, all":                {chat.Page{After: mine[2].ID}, mine[3:]},
			"after the last":            {chat.Page{After: mine[4].ID, Limit: 2}, nil},
			"after a message of others": {chat.Page{After: mine[0].ID + 3500, Limit: 1}, mine[1:2]},
		} {
			t.Run(name, func(t *testing.T) {
				h, err := r.Messages(t.Context(), alice, c.page)
				require.NoError(t, err)
				got, err := drain(h)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			})
		}

		// And the other way round: among so many, none that are not one's own.
		h, err := r.Messages(t.Context(), eve, chat.Page{})
		require.NoError(t, err)
		n, last := 0, int64(0)
		for m, err := range h.All(t.Context()) {
			require.NoError(t, err)
			if m.ChatID != theirs.ID || m.ID <= last {
				t.Fatalf("message %d of chat %d comes after %d", m.ID, m.ChatID, last)
			}
			n, last = n+1, m.ID
		}
		require.Equal(t, 3+7000+batch+12_000+1000, n)
	})
}

// A Before beyond all ids must not make the search run over its bounds.
func TestPageBeforeTheEndOfTime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		for range 10 {
			r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		}
		for after := range int64(11) {
			h, err := r.Messages(t.Context(), alice, chat.Page{After: after, Before: math.MaxInt64, Limit: 50})
			require.NoError(t, err)
			var ids []int64
			for m, err := range h.All(t.Context()) {
				require.NoError(t, err)
				ids = append(ids, m.ID)
			}
			var want []int64
			for id := after + 1; id <= 10; id++ {
				want = append(want, id)
			}
			require.Equal(t, want, ids)
		}
	})
}
