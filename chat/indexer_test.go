package chat_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

func TestSearchFilters(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		other := r.group(t, alice)
		first := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "red apple"})
		second := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "green apple"})
		third := r.send(t, alice, chat.Draft{ChatID: other.ID, Text: "apples"})
		direct := r.send(t, bob, chat.Draft{To: "alice", Text: "pineapple, apple"})
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "apple"}, 4)

		for name, c := range map[string]struct {
			search chat.MessageSearch
			want   []chat.Message
		}{
			"all":              {chat.MessageSearch{Text: "apple"}, []chat.Message{direct, third, second, first}},
			"a chat":           {chat.MessageSearch{Text: "apple", ChatID: group.ID}, []chat.Message{second, first}},
			"a sender":         {chat.MessageSearch{Text: "apple", Sender: "BOB"}, []chat.Message{direct, second}},
			"below an id":      {chat.MessageSearch{Text: "apple", Before: second.ID}, []chat.Message{first}},
			"a limit":          {chat.MessageSearch{Text: "apple", Limit: 2}, []chat.Message{direct, third}},
			"from a time on":   {chat.MessageSearch{Text: "apple", From: third.CreatedAt}, []chat.Message{direct, third}},
			"before a time":    {chat.MessageSearch{Text: "apple", To: third.CreatedAt}, []chat.Message{second, first}},
			"both words":       {chat.MessageSearch{Text: "apple gre"}, []chat.Message{second}},
			"a chat, a sender": {chat.MessageSearch{Text: "apple", ChatID: group.ID, Sender: "alice"}, []chat.Message{first}},
		} {
			t.Run(name, func(t *testing.T) {
				if c.search.Limit == 0 {
					c.search.Limit = 100
				}
				found, _, err := r.SearchMessages(t.Context(), alice, c.search)
				require.NoError(t, err)
				var got []chat.Message
				for _, f := range found {
					got = append(got, f.Message)
				}
				require.Equal(t, c.want, got)
			})
		}

		_, _, err := r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: "apple", ChatID: other.ID, Limit: 1})
		requireRefusal(t, notAParticipant, err)
		_, _, err = r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: "apple", Sender: "nobody", Limit: 1})
		requireRefusal(t, refusal{chat.NotFound, "user_not_found", "sender"}, err)
		_, _, err = r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: "?", Limit: 1})
		requireRefusal(t, refusal{chat.Invalid, "q_missing", "q"}, err)
		_, _, err = r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: strings.Repeat("я", chat.MaxQueryLength+1), Limit: 1})
		requireRefusal(t, refusal{chat.Invalid, "q_too_long", "q"}, err)
		_, _, err = r.SearchMessages(t.Context(), bob, chat.MessageSearch{Text: "apple"})
		requireRefusal(t, refusal{chat.Invalid, "limit_invalid", "limit"}, err)

		// Membership is that of now.
		require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, "bob"))
		r.find(t, bob, chat.MessageSearch{Text: "apple"}, 1)
	})
}

// Much of what a term finds does not count: the search goes on behind it.
func TestSearchGoesOn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		wanted := r.send(t, bob, chat.Draft{ChatID: group.ID, Text: "flood, and what is behind it"})
		flood := r.flood(t, alice, group.ID, 600)
		r = r.copied(t)
		r.work(t)
		require.Eventually(t, func() bool {
			state := r.searchState(t)
			return state.Backfilled >= state.Backfill
		}, patience, 5*time.Millisecond)
		ids := r.find(t, alice, chat.MessageSearch{Text: "flood", Limit: 500}, 500)
		require.Equal(t, flood[len(flood)-1].ID, ids[0])
		rest := r.find(t, alice, chat.MessageSearch{Text: "flood", Before: ids[499], Limit: 500}, 101)
		require.Equal(t, wanted.ID, rest[100])
		require.Equal(t, []int64{wanted.ID}, r.find(t, alice, chat.MessageSearch{Text: "flood", Sender: "bob"}, 1))
	})
}

// What was there before the index is indexed: users, groups and messages.
func TestBackfill(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		// More of each than are indexed at once.
		var people []chat.Caller
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			people = nil
			for i := range 200 {
				u := store.User{Username: fmt.Sprint("someone-", i), UsernameKey: fmt.Sprint("someone-", i), CreatedAt: time.Now()}
				if err := tx.CreateUser(&u); err != nil {
					return err
				}
				people = append(people, chat.Caller{UserID: u.ID, Username: u.Username})
				c := store.NewGroup(fmt.Sprint("Gruppe ", i), time.Now())
				if err := tx.CreateChat(&c); err != nil {
					return err
				}
				if err := tx.AddParticipant(c.ID, u.ID, store.Owner, time.Now()); err != nil {
					return err
				}
			}
			return nil
		}))
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		r.flood(t, alice, group.ID, 300)
		r = r.copied(t)
		after := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "flood, after it"})

		end := r.work(t)
		ids := r.find(t, alice, chat.MessageSearch{Text: "flood", Limit: 500}, 301)
		require.Equal(t, after.ID, ids[0])
		users, err := r.SearchUsers(t.Context(), people[0], "someone", 500, 0)
		require.NoError(t, err)
		require.Len(t, users, 200)
		users, err = r.SearchUsers(t.Context(), people[0], "someone", 500, 150)
		require.NoError(t, err)
		require.Len(t, users, 50)
		groups, err := r.SearchGroups(t.Context(), people[150], "GRUPPE", 500, 0)
		require.NoError(t, err)
		require.Len(t, groups, 1)
		require.Equal(t, "Gruppe 150", groups[0].Title)

		// It goes on where it was, and does nothing twice.
		end()
		state := r.searchState(t)
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "flood, the last"})
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "flood", Limit: 500}, 302)
		now := r.searchState(t)
		require.Greater(t, now.Position, state.Position)
		require.Equal(t, state.Backfilled, now.Backfilled)
	})
}

// copied is the same database elsewhere, where nothing has been indexed.
func (r *rules) copied(tb testing.TB) *rules {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "copy.db")
	if strings.HasPrefix(r.database, "postgres://") {
		to = pgtest.NewDatabase(tb)
	}
	_, err := store.Copy(tb.Context(), r.database, to, func(store.CopyProgress) {})
	require.NoError(tb, err)
	return newRules(tb, to)
}

func (r *rules) searchState(tb testing.TB) (state store.SearchState) {
	tb.Helper()
	require.NoError(tb, r.store.View(tb.Context(), func(tx *store.Tx) (err error) {
		state, err = tx.FindSearchState()
		return err
	}))
	return state
}

// Several indexers, of as many nodes, leave nothing out.
func TestIndexersBesideEachOther(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		for range 3 {
			r.work(t)
		}
		const senders, each = 4, 100
		errs := atOnce(senders, func(sender int) error {
			for i := range each {
				if _, err := r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, Text: fmt.Sprintf("word%d word", sender*each+i)}); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(t, errors.Join(errs...))
		r.find(t, alice, chat.MessageSearch{Text: "word", Limit: 500}, senders*each)
		for i := range senders * each {
			r.find(t, alice, chat.MessageSearch{Text: fmt.Sprintf("word%d", i), ChatID: group.ID, Limit: 500}, 1+digitsBehind(i, senders*each))
		}
	})
}

// digitsBehind is how many numbers below a limit begin with the digits of another.
func digitsBehind(n, limit int) (count int) {
	for i := range limit {
		if i != n && strings.HasPrefix(fmt.Sprint(i), fmt.Sprint(n)) {
			count++
		}
	}
	return count
}

func TestUnindex(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		gone := r.send(t, alice, chat.Draft{To: "alice", Text: "a word, and another word"})
		stays := r.send(t, alice, chat.Draft{To: "alice", Text: "a word"})
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "word"}, 2)
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error { return chat.UnindexMessage(tx, gone) }))
		require.Equal(t, []int64{stays.ID}, r.find(t, alice, chat.MessageSearch{Text: "word"}, 1))
		r.find(t, alice, chat.MessageSearch{Text: "another"}, 0)
	})
}

// While the database is out of reach it tries again, and says so once.
func TestIndexerInTrouble(t *testing.T) {
	t.Parallel()
	r := newRules(t, t.TempDir()+"/messaging.db")
	alice := r.user(t, "alice")
	r.send(t, alice, chat.Draft{To: "alice", Text: "note"})
	require.NoError(t, r.store.Close())
	var log logBuffer
	r.Service = chat.New(r.store, slog.New(slog.NewTextHandler(&log, nil)))
	end := r.work(t)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "work behind the requests") }, patience, time.Millisecond)
	end()
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	require.NotContains(t, log.String(), "note")
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
