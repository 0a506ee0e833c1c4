package chat_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// work runs what is done behind the requests until the test ends, or until the
// function that it returns is called.
func (r *rules) work(tb testing.TB) (end func()) {
	tb.Helper()
	return r.workWith(tb, chat.Work{})
}

func (r *rules) workWith(tb testing.TB, w chat.Work) (end func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx, nil, w)
	}()
	end = func() {
		cancel()
		<-done
	}
	tb.Cleanup(end)
	return end
}

// find waits until a search finds so many messages, and returns their ids.
func (r *rules) find(tb testing.TB, caller chat.Caller, s chat.MessageSearch, want int) []int64 {
	tb.Helper()
	if s.Limit == 0 {
		s.Limit = 100
	}
	var ids []int64
	require.Eventually(tb, func() bool {
		found, _, err := r.SearchMessages(context.Background(), caller, s)
		require.NoError(tb, err)
		ids = nil
		for _, f := range found {
			ids = append(ids, f.Message.ID)
		}
		return len(ids) == want
	}, patience, 5*time.Millisecond, "it does not find %d by %q", want, s.Text)
	return ids
}

func TestSearchMessages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		var ids []int64
		for _, text := range corpus {
			ids = append(ids, r.send(t, alice, chat.Draft{ChatID: group.ID, Text: text}).ID)
		}
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "last"}, 1)
		for _, c := range []struct {
			query string
			want  []int // places in the corpus, the newest first
		}{
			{"hello", []int{0}},
			{"HELL", []int{0}},
			{"ello", nil},
			{"hello world", []int{0}},
			{"strasse", []int{1}},
			{"Straße", []int{1}},
			{"cafe", []int{2}},
			{"Café", []int{2}},
			{"привіт", []int{3}},
			{"ПРИВ", []int{3}},
			{"пять", []int{3}},
			{"محمد", []int{4}},
			{"हिन्दी", []int{5}},
			{"हिन्द", []int{5}},
			{"北京", []int{6}},
			{"北京大学", []int{6}},
			{"大", []int{6}},
			{"学京", nil},
			{"データ", []int{7}},
			{"สวัสดี", []int{8}},
			{"한국", []int{9}},
			{"the", []int{10, 0}},
		} {
			t.Run(c.query, func(t *testing.T) {
				found, _, err := r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: c.query, Limit: 10})
				require.NoError(t, err)
				var got []int64
				for _, f := range found {
					got = append(got, f.Message.ID)
				}
				var want []int64
				for _, place := range c.want {
					want = append(want, ids[place])
				}
				require.Equal(t, want, got)
				require.Empty(t, r.find(t, eve, chat.MessageSearch{Text: c.query}, 0), "what others say")
			})
		}
	})
}

// corpus is what the searches of both engines are about.
var corpus = []string{
	"Hello, the World",
	"Die Straße nach Köln",
	"un cafe\u0301 crème",
	"Привіт, це п'ять їжаків",
	"صلى مُحَمَّد",
	"मैं हिन्दी बोलता हूँ",
	"我在北京大学学习。",
	"データベースが好きです",
	"สวัสดีครับ",
	"한국어 검색",
	"the last one",
}

// A search has a bound, and goes on where it ended.
func TestSearchMessagesBound(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		rare := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "word"})
		for said := 0; said <= chat.LookedAtOnce; said += 1024 {
			require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
				c, err := tx.NextSeq(alice.UserID, group.ID, 1024, time.Now())
				if err != nil {
					return err
				}
				entries := []store.SearchEntry{{Space: group.ID, Term: "word", ID: rare.ID}}
				for i := range int64(1024) {
					m := store.Message{ChatID: group.ID, Seq: c.LastSeq - 1023 + i, SenderID: alice.UserID, Text: "word", CreatedAt: time.Now()}
					if err := tx.CreateMessage(&m); err != nil {
						return err
					}
					entries = append(entries, store.SearchEntry{Space: group.ID, Term: "word", ID: m.ID})
				}
				return tx.AddSearchEntries(entries)
			}))
		}
		search := chat.MessageSearch{Text: "word", Sender: "bob", Limit: 10}
		found, next, err := r.SearchMessages(t.Context(), alice, search)
		require.NoError(t, err)
		require.Empty(t, found)
		require.Greater(t, next, rare.ID)
		search.Before = next
		found, next, err = r.SearchMessages(t.Context(), alice, search)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, rare.ID, found[0].Message.ID)
		require.Zero(t, next, "there is nothing more")

		found, next, err = r.SearchMessages(t.Context(), alice, chat.MessageSearch{Text: "word", Limit: 3})
		require.NoError(t, err)
		require.Len(t, found, 3)
		require.Equal(t, found[2].Message.ID, next)
	})
}

func TestUnpanicked(t *testing.T) {
	t.Parallel()
	_, err := chat.Unpanicked(func() (bool, error) { panic("of the tokenizer") })
	require.ErrorContains(t, err, "of the tokenizer")
	more, err := chat.Unpanicked(func() (bool, error) { return true, nil })
	require.True(t, more)
	require.NoError(t, err)
}
