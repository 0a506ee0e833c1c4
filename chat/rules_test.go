package chat_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// rules is a chat.Service over a database of its own.
type rules struct {
	*chat.Service
	store    *store.Store
	database string // its path or address
	people   atomic.Int64

	mu     sync.Mutex
	events []store.Event
}

// onEachEngine runs a test on SQLite and on PostgreSQL, in parallel with others.
func onEachEngine(t *testing.T, test func(t *testing.T, r *rules)) {
	t.Parallel()
	for engine, newDatabase := range map[string]func(testing.TB) string{
		"sqlite":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "messaging.db") },
		"postgres": pgtest.NewDatabase,
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newRules(t, newDatabase(t)))
		})
	}
}

func newRules(tb testing.TB, database string) *rules {
	tb.Helper()
	r := &rules{database: database}
	s, err := store.Open(context.Background(), store.Options{
		Database: database,
		OnCommit: func(events []store.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, events...)
		},
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { s.Close() })
	r.store = s
	r.Service = chat.New(s, slog.New(slog.DiscardHandler))
	return r
}

// committed returns the events since it was asked last. An Update returns after
// its events have been handed on, so none is late.
func (r *rules) committed() []store.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	// On PostgreSQL one may be told of after another that came behind it.
	slices.SortFunc(events, func(a, b store.Event) int { return cmp.Compare(a.ID, b.ID) })
	return events
}

// reporter is what testing.TB and rapid.T have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	FailNow()
}

func (r *rules) user(tb reporter, username string) chat.Caller {
	tb.Helper()
	user, err := r.Register(context.Background(), chat.Caller{}, username, "")
	require.NoError(tb, err)
	return chat.Caller{UserID: user.ID, Username: user.Username}
}

// person is a user whose name does not matter.
func (r *rules) person(tb reporter) chat.Caller {
	tb.Helper()
	return r.user(tb, fmt.Sprintf("person-%d", r.people.Add(1)))
}

// group is a group of the first, who takes the others in.
func (r *rules) group(tb reporter, creator chat.Caller, others ...chat.Caller) chat.Chat {
	tb.Helper()
	group, err := r.CreateGroup(context.Background(), creator, chat.NewGroup{})
	require.NoError(tb, err)
	for _, other := range others {
		_, err := r.AddParticipant(context.Background(), creator, group.ID, other.Username, "")
		require.NoError(tb, err)
	}
	return group.Chat
}

func (r *rules) send(tb reporter, caller chat.Caller, d chat.Draft) chat.Message {
	tb.Helper()
	m, err := r.Send(context.Background(), caller, d)
	require.NoError(tb, err)
	return m
}

// flood stores many messages with each transaction, which is quicker than to
// send them; not all with one, which on PostgreSQL would take too long.
func (r *rules) flood(tb reporter, sender chat.Caller, chatID int64, n int) []chat.Message {
	tb.Helper()
	stored := make([]chat.Message, n)
	for part := range slices.Chunk(stored, 500) {
		require.NoError(tb, r.store.Update(context.Background(), func(tx *store.Tx) error {
			for i := range part {
				c, err := tx.NextSeq(sender.UserID, chatID, 1, time.Now())
				if err != nil {
					return err
				}
				part[i] = chat.Message{
					ChatID: chatID, ChatKind: c.Kind, Seq: c.LastSeq,
					SenderID: sender.UserID, SenderUsername: sender.Username,
					Text: "flood", CreatedAt: c.CreatedAt,
				}
				if err := tx.CreateMessage(&part[i]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return stored
}

// drain reads a history to its end, or to its error.
func drain(h *chat.History) (messages []chat.Message, err error) {
	for m, err := range h.All(context.Background()) {
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func (r *rules) chatMessages(tb reporter, caller chat.Caller, chatID int64) []chat.Message {
	tb.Helper()
	h, err := r.ChatMessages(context.Background(), caller, chatID, chat.Page{})
	require.NoError(tb, err)
	messages, err := drain(h)
	require.NoError(tb, err)
	return messages
}

// refusal is what a program sees of an error.
type refusal struct {
	kind  chat.Kind
	code  string
	field string
}

func requireRefusal(tb reporter, want refusal, err error) {
	tb.Helper()
	require.Error(tb, err)
	e := chat.AsError(err)
	require.NotNil(tb, e, "not a refusal: %v", err)
	require.Equal(tb, want, refusal{e.Kind, e.Code, e.Field})
	require.NotEmpty(tb, e.Message)
}

var (
	notAParticipant = refusal{chat.Forbidden, "not_a_participant", ""}
	noSuchUser      = refusal{chat.NotFound, "user_not_found", "username"}
	noSuchDest      = refusal{chat.NotFound, "user_not_found", "dest_username"}
	notAGroup       = refusal{chat.Invalid, "not_a_group", "group_chat_id"}
)

func TestCreateGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")

		tooLong := refusal{chat.Invalid, "title_too_long", "title"}
		bad := refusal{chat.Invalid, "title_invalid", "title"}
		for name, c := range map[string]struct {
			title   string
			want    string
			refused *refusal
		}{
			"none":              {title: "", want: ""},
			"a title":           {title: "Ops & 友達 😀", want: "Ops & 友達 😀"},
			"space around it":   {title: " \t ops\u00a0\n", want: "ops"},
			"nothing but space": {title: " \t\n ", want: ""},
			"longest":           {title: strings.Repeat("😀", 128), want: strings.Repeat("😀", 128)},
			"longest, in space": {title: "  " + strings.Repeat("x", 128) + "  ", want: strings.Repeat("x", 128)},
			"too long":          {title: strings.Repeat("x", 129), refused: &tooLong},
			"two lines":         {title: "one\ntwo", refused: &bad},
			"NUL":               {title: "a\x00b", refused: &bad},
			"escape":            {title: "a\x1b[31mb", refused: &bad},
			"C1 control":        {title: "a\u009bb", refused: &bad},
			"not UTF-8":         {title: "a\xffb", refused: &bad},
		} {
			t.Run(name, func(t *testing.T) {
				r.committed()
				group, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: c.title})
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					require.Empty(t, r.committed())
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.want, group.Title)
				require.Equal(t, store.GroupChat, group.Kind)
				require.NoError(t, r.RequireParticipant(t.Context(), alice, group.ID))

				events := r.committed()
				require.Len(t, events, 1)
				require.Equal(t, store.Event{
					ID: events[0].ID, Type: store.ChatCreated, ChatID: group.ID, ActorID: alice.UserID, At: group.CreatedAt,
					Data: created(store.GroupChat, alice),
				}, events[0])

				var stored chat.Chat
				require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) (err error) {
					stored, err = tx.FindChatByID(group.ID)
					return err
				}))
				require.Equal(t, group.Chat, stored)
			})
		}
	})
}

func TestRequireParticipant(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})

		for _, chatID := range []int64{group.ID, direct.ChatID} {
			require.NoError(t, r.RequireParticipant(t.Context(), alice, chatID))
			require.NoError(t, r.RequireParticipant(t.Context(), bob, chatID))
			requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), eve, chatID))
		}
		for _, chatID := range []int64{0, -1, 9999} {
			requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), alice, chatID))
		}
	})
}

// The order of the checks is contract 0's: 403, no user, no group, already in
// it or not in it.
func TestParticipantRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		self := r.send(t, alice, chat.Draft{To: "alice", Text: "note"}).ChatID
		r.committed()

		already := refusal{chat.Conflict, "already_a_participant", "username"}
		notThere := refusal{chat.NotFound, "participant_not_found", "username"}
		for name, c := range map[string]struct {
			caller   chat.Caller
			chatID   int64
			username string
			add      *refusal
			remove   *refusal
		}{
			"chat of others":             {eve, group.ID, "eve", &notAParticipant, &notAParticipant},
			"chat of others, nobody":     {eve, group.ID, "nobody", &notAParticipant, &notAParticipant},
			"direct chat of others":      {eve, direct, "alice", &notAParticipant, &notAParticipant},
			"unknown chat":               {alice, 9999, "eve", &notAParticipant, &notAParticipant},
			"unknown chat, nobody":       {alice, 9999, "nobody", &notAParticipant, &notAParticipant},
			"nobody":                     {alice, group.ID, "nobody", &noSuchUser, &noSuchUser},
			"no name":                    {alice, group.ID, "", &noSuchUser, &noSuchUser},
			"no possible name":           {alice, group.ID, "a b", &noSuchUser, &noSuchUser},
			"direct chat":                {alice, direct, "eve", &notAGroup, &notAGroup},
			"direct chat, nobody":        {alice, direct, "nobody", &noSuchUser, &noSuchUser},
			"direct chat, in it already": {alice, direct, "bob", &notAGroup, &notAGroup},
			"own notes":                  {alice, self, "bob", &notAGroup, &notAGroup},
			"own notes, oneself":         {alice, self, "alice", &notAGroup, &notAGroup},
			"in it already":              {alice, group.ID, "BOB", &already, nil},
			"oneself":                    {bob, group.ID, "bob", &already, nil},
			"not in it":                  {alice, group.ID, "Eve", nil, &notThere},
		} {
			if c.add != nil {
				t.Run("add/"+name, func(t *testing.T) {
					_, err := r.AddParticipant(t.Context(), c.caller, c.chatID, c.username, "")
					requireRefusal(t, *c.add, err)
					require.Empty(t, r.committed())
				})
			}
			if c.remove != nil {
				t.Run("remove/"+name, func(t *testing.T) {
					err := r.RemoveParticipant(t.Context(), c.caller, c.chatID, c.username)
					requireRefusal(t, *c.remove, err)
					require.Empty(t, r.committed())
				})
			}
		}
	})
}

func TestParticipants(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, carol := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "carol")
		group := r.group(t, alice)
		before := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "before bob"})
		r.committed()

		added, err := r.AddParticipant(t.Context(), alice, group.ID, "BOB", "")
		require.NoError(t, err)
		require.Equal(t, bob.UserID, added.UserID)
		require.Equal(t, "bob", added.Username)
		events := r.committed()
		require.Len(t, events, 1)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.ParticipantAdded,
			ChatID: group.ID, ActorID: alice.UserID, UserID: bob.UserID, At: events[0].At,
		}, events[0])
		require.False(t, events[0].At.IsZero())
		require.Equal(t, []chat.Message{before}, r.chatMessages(t, bob, group.ID), "membership is that of now")

		// Any participant may remove any: the one who made the group, too.
		_, err = r.AddParticipant(t.Context(), bob, group.ID, "carol", "")
		require.NoError(t, err)
		r.committed()
		require.NoError(t, r.RemoveParticipant(t.Context(), carol, group.ID, "alice"))
		events = r.committed()
		require.Len(t, events, 2)
		require.Equal(t, store.Event{
			ID: events[0].ID, Type: store.ParticipantRemoved,
			ChatID: group.ID, ActorID: carol.UserID, UserID: alice.UserID, At: events[0].At,
		}, events[0])
		require.Equal(t, store.Event{
			ID: events[1].ID, Type: store.ParticipantUpdated, Data: `{"role":"owner"}`,
			ChatID: group.ID, ActorID: carol.UserID, UserID: bob.UserID, At: events[0].At,
		}, events[1])
		require.False(t, events[0].At.IsZero())

		_, err = r.ChatMessages(t.Context(), alice, group.ID, chat.Page{})
		requireRefusal(t, notAParticipant, err)
		_, err = r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, Text: "still here?"})
		requireRefusal(t, notAParticipant, err)
		_, err = r.AddParticipant(t.Context(), alice, group.ID, "alice", "")
		requireRefusal(t, notAParticipant, err)

		// The last one may leave.
		require.NoError(t, r.RemoveParticipant(t.Context(), bob, group.ID, "bob"))
		require.NoError(t, r.RemoveParticipant(t.Context(), carol, group.ID, "carol"))
		requireRefusal(t, notAParticipant, r.RemoveParticipant(t.Context(), carol, group.ID, "carol"))
	})
}

// Of many who add the same person at once, one does.
func TestAddParticipantConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice)
		r.committed()

		errs := atOnce(8, func(int) error {
			_, err := r.AddParticipant(t.Context(), alice, group.ID, bob.Username, "")
			return err
		})
		added := 0
		for _, err := range errs {
			if err == nil {
				added++
				continue
			}
			requireRefusal(t, refusal{chat.Conflict, "already_a_participant", "username"}, err)
		}
		require.Equal(t, 1, added)
		require.Len(t, r.committed(), 1)
	})
}

// atOnce calls f n times at the same time and returns what each call did.
func atOnce(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	done.Wait()
	return errs
}

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		group := r.group(t, alice)
		require.NoError(t, r.store.Close())

		unavailable := refusal{chat.Unavailable, "database_unavailable", ""}
		_, err := r.Send(t.Context(), alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		requireRefusal(t, unavailable, err)
		require.ErrorIs(t, chat.AsError(err), store.ErrUnavailable, "the log is told the cause")
		_, err = r.ChatMessages(t.Context(), alice, group.ID, chat.Page{})
		requireRefusal(t, unavailable, err)
		requireRefusal(t, unavailable, r.RequireParticipant(t.Context(), alice, group.ID))
		require.Nil(t, chat.AsError(context.Canceled), "a defect is no refusal")
		require.Nil(t, chat.AsError(nil))
	})
}
