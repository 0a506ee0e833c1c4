package chat_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// feed is how far the log goes, when all events up to one are in it: transactions of
// other tests may be open, on the same server.
func (r *rules) feed(tb testing.TB, upTo int64) (f chat.Feed) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		var err error
		f, err = r.Feed(context.Background())
		return err == nil && f.Last >= upTo
	}, patience, time.Millisecond)
	return f
}

func (r *rules) feedAfter(tb testing.TB, after int64, limit int) (chat.Feed, []chat.Event) {
	tb.Helper()
	f, events, err := r.FeedAfter(tb.Context(), after, limit)
	require.NoError(tb, err)
	return f, events
}

func TestFeed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		_, events := r.feedAfter(t, 0, 10)
		require.Empty(t, events)
		group := r.group(t, alice, bob)
		m := r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi"})
		p := r.poll(t, alice, group.ID, chat.NewPoll{Options: []string{"a", "b"}})
		_, err := r.Vote(t.Context(), bob, p.ID, []int{1})
		require.NoError(t, err)
		_, err = r.React(t.Context(), bob, m.ID, "👍")
		require.NoError(t, err)
		told := r.committed()
		last := told[len(told)-1].ID
		now := r.feed(t, last)
		require.Equal(t, chat.Feed{Epoch: now.Epoch, Last: last}, now)

		feed, events := r.feedAfter(t, 0, 100)
		require.Equal(t, now, feed)
		require.Equal(t, types(told), types(events))
		require.Equal(t, "alice", events[2].Message.SenderUsername)
		require.Equal(t, store.GroupChat, events[2].Message.ChatKind)
		require.Equal(t, "hi", events[2].Message.Text)
		require.Empty(t, events[2].Message.Reactions)
		require.Nil(t, events[2].Message.Poll)
		for _, e := range events[3:5] { // made, and voted in
			require.Equal(t, &chat.Poll{
				Options: []store.PollOption{{Text: "a"}, {Text: "b", Votes: 1}}, Voters: 1,
			}, e.Message.Poll, "as nobody in particular sees it")
		}

		_, first := r.feedAfter(t, 0, 2)
		require.Equal(t, events[:2], first)
		_, rest := r.feedAfter(t, first[1].ID, 100)
		require.Equal(t, events[2:], rest)
		feed, rest = r.feedAfter(t, last, 100)
		require.Equal(t, now, feed)
		require.Empty(t, rest)

		missed := func(u chat.Caller, after, upTo int64, limit int) []chat.Event {
			now, ids, err := r.Missed(t.Context(), u.UserID, after, upTo, limit)
			require.NoError(t, err)
			require.Equal(t, feed, now)
			found, err := r.EventsByID(t.Context(), ids)
			require.NoError(t, err)
			return found
		}
		require.Equal(t, events, missed(bob, 0, feed.Last, 100))
		require.Equal(t, events[1:4], missed(bob, events[0].ID, events[4].ID, 3))
		require.Empty(t, missed(eve, 0, math.MaxInt64, 100))

		ids, err := r.ChatIDs(t.Context(), bob.UserID)
		require.NoError(t, err)
		require.Equal(t, []int64{group.ID}, ids)
		ids, err = r.ChatIDs(t.Context(), eve.UserID)
		require.NoError(t, err)
		require.Empty(t, ids)
	})
}

// What becomes of accounts, and of what they want to hear, is told to whom it
// concerns; and nothing is, if nothing became of them.
func TestEventsOfAccounts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		soon := time.Now().Add(time.Hour)
		group, direct := r.group(t, bob, alice), r.open(t, alice, bob)
		text := func(s string) *string { return &s }
		update := func(p chat.Profile) func() error {
			return func() error {
				_, err := r.UpdateMe(t.Context(), alice, p)
				return err
			}
		}
		manage := func(c chat.AccountChange) func() error {
			return func() error {
				_, err := r.UpdateAccount(t.Context(), root, alice.UserID, c)
				return err
			}
		}
		type event struct {
			what        string
			chat        int64
			actor, user chat.Caller
			data        string
		}
		renamed := func(actor chat.Caller, name, displayName string) []event {
			told := fmt.Sprintf(`{"display_name":%q,"username":%q}`, displayName, name)
			return []event{
				{store.UserUpdated, group.ID, actor, alice, told},
				{store.UserUpdated, direct.ID, actor, alice, told},
				{store.AccountUpdated, 0, actor, alice, fmt.Sprintf(`{"display_name":%q,"presence_hidden":false,"username":%q}`, displayName, name)},
			}
		}
		account := func(actor chat.Caller, hidden bool) []event {
			return []event{{
				store.AccountUpdated, 0, actor, alice, fmt.Sprintf(`{"display_name":"Al","presence_hidden":%t,"username":"al"}`, hidden),
			}}
		}
		ended := func(actor chat.Caller, data string) event { return event{store.SessionEnded, 0, actor, alice, data} }
		first, second := r.session(t, alice, "first", soon), r.session(t, alice, "second", soon)
		r.committed()

		for _, c := range []struct {
			name string
			do   func() error
			want []event
		}{
			{"nothing", update(chat.Profile{}), nil},
			{"a display name", update(chat.Profile{DisplayName: text("Al")}), renamed(alice, "alice", "Al")},
			{"the same again", update(chat.Profile{DisplayName: text("Al")}), nil},
			{"another name", update(chat.Profile{Username: text("al")}), renamed(alice, "al", "Al")},
			{"what others do not see", update(chat.Profile{Email: text("a@example.com")}), account(alice, false)},
			{"out of sight", update(chat.Profile{Presence: text(chat.PresenceHidden)}), account(alice, true)},
			{"still out of sight", update(chat.Profile{Presence: text(chat.PresenceHidden)}), nil},
			{"back", update(chat.Profile{Presence: text(chat.PresenceVisible)}), account(alice, false)},
			{"a name by an admin", manage(chat.AccountChange{Profile: chat.Profile{DisplayName: text("X")}}), renamed(root, "al", "X")},
			{"and back", manage(chat.AccountChange{Profile: chat.Profile{DisplayName: text("Al")}}), renamed(root, "al", "Al")},
			{"an admin", manage(chat.AccountChange{Admin: new(true)}), account(root, false)},
			{"none", manage(chat.AccountChange{Admin: new(false)}), account(root, false)},
			{"one session", func() error { return r.EndSession(t.Context(), root, alice.UserID, first) },
				[]event{ended(root, fmt.Sprintf(`{"session_id":%d}`, first))}},
			{"another password", manage(chat.AccountChange{PasswordHash: text("x")}), []event{ended(root, "")}},
			{"one more, without a session", manage(chat.AccountChange{PasswordHash: text("y")}), nil},
			{"no sessions", func() error { return r.EndSessions(t.Context(), root, alice.UserID) }, nil},
			{"sessions", func() error {
				r.session(t, alice, "third", soon)
				r.session(t, alice, "fourth", soon)
				return r.EndSessions(t.Context(), root, alice.UserID)
			}, []event{ended(root, "")}},
			{"deactivated", func() error {
				r.session(t, alice, "fifth", soon)
				return manage(chat.AccountChange{Deactivated: new(true)})()
			}, []event{ended(root, "")}},
			{"and not any more", manage(chat.AccountChange{Deactivated: new(false)}), nil},
			{"a block", func() error {
				_, err := r.Block(t.Context(), alice, "bob")
				return err
			}, []event{{store.BlockCreated, 0, alice, alice, fmt.Sprintf(`{"user_id":%d}`, bob.UserID)}}},
			{"one that is there", func() error {
				_, err := r.Block(t.Context(), alice, "bob")
				return err
			}, nil},
			{"taken back", func() error { return r.Unblock(t.Context(), alice, "bob") },
				[]event{{store.BlockRemoved, 0, alice, alice, fmt.Sprintf(`{"user_id":%d}`, bob.UserID)}}},
		} {
			require.NoError(t, c.do(), c.name)
			var got []event
			people := map[int64]chat.Caller{root.UserID: root, alice.UserID: alice, bob.UserID: bob}
			for _, e := range r.committed() {
				require.False(t, e.At.IsZero())
				require.Nil(t, e.Message)
				got = append(got, event{e.Type, e.ChatID, people[e.ActorID], people[e.UserID], e.Data})
			}
			require.Equal(t, c.want, got, c.name)
		}
		require.NotEqual(t, first, second)

		_, err := r.UpdateMe(t.Context(), alice, chat.Profile{Presence: text("")})
		requireRefusal(t, refusal{chat.Invalid, "presence_invalid", "presence"}, err)
		_, err = r.UpdateMe(t.Context(), alice, chat.Profile{DisplayName: text("no"), Presence: text("Hidden")})
		requireRefusal(t, refusal{chat.Invalid, "presence_invalid", "presence"}, err)
		require.Empty(t, r.committed(), "all or nothing")
	})
}

func TestWatchable(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		r.group(t, alice, bob)
		watch := func(by chat.Caller, ids ...int64) []chat.Presence {
			found, err := r.Watchable(t.Context(), by, ids)
			require.NoError(t, err)
			return found
		}
		seen := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
		require.NoError(t, r.NoteLastSeen(t.Context(), nil))
		require.NoError(t, r.NoteLastSeen(t.Context(), map[int64]time.Time{bob.UserID: seen, eve.UserID: seen}))
		require.Empty(t, watch(alice))
		require.Equal(t, []chat.Presence{{UserID: bob.UserID, LastSeenAt: seen}}, watch(alice, eve.UserID, bob.UserID))
		require.Equal(t, []chat.Presence{{UserID: alice.UserID}}, watch(bob, alice.UserID))

		hidden := chat.PresenceHidden
		_, err := r.UpdateMe(t.Context(), bob, chat.Profile{Presence: &hidden})
		require.NoError(t, err)
		require.Empty(t, watch(alice, bob.UserID))

		many := make([]int64, chat.MaxWatched+1)
		_, err = r.Watchable(t.Context(), bob, many)
		requireRefusal(t, refusal{chat.Invalid, "user_ids_invalid", "user_ids"}, err)
		for i := range many {
			many[i] = alice.UserID
		}
		require.Equal(t, []chat.Presence{{UserID: alice.UserID}}, watch(bob, many[1:]...))
	})
}

// Old events go while the rest is done, and clients can know that.
func TestEventRetention(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		day := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		r.SetClock(func() time.Time { return day })
		old := r.group(t, alice)
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			for range 1200 { // more than go at once
				if err := tx.AppendEvent(store.Event{Type: store.ChatUpdated, ChatID: old.ID, At: day}); err != nil {
					return err
				}
			}
			return nil
		}))
		r.send(t, alice, chat.Draft{ChatID: old.ID, Text: "find me"})
		before := r.committed()
		day = day.Add(10 * 24 * time.Hour)
		recent := r.send(t, alice, chat.Draft{ChatID: old.ID, Text: "find me too"})
		kept := r.committed()[0].ID
		r.feed(t, kept)

		r.workWith(t, chat.Work{EventRetention: 7 * 24 * time.Hour})
		r.find(t, alice, chat.MessageSearch{Text: "find"}, 2)
		require.Eventually(t, func() bool {
			f, err := r.Feed(t.Context())
			return err == nil && f.Pruned == before[len(before)-1].ID
		}, patience, time.Millisecond)
		_, events := r.feedAfter(t, 0, 10)
		require.Len(t, events, 1)
		require.Equal(t, kept, events[0].ID)
		require.Equal(t, recent.ID, events[0].Message.ID)
		require.Len(t, r.chatMessages(t, alice, old.ID), 2, "messages stay")
	})
}

// The last events go, too, though the search index has not moved past them: it waits
// for a message.
func TestEventRetentionOfTheLastOnes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		r.SetClock(func() time.Time { return now })
		group := r.group(t, alice)
		rename := func(title string) (eventID int64) {
			t.Helper()
			r.committed()
			_, err := r.UpdateGroup(t.Context(), alice, group.ID, chat.GroupChange{Title: &title})
			require.NoError(t, err)
			told := r.committed()
			require.Len(t, told, 1)
			return told[0].ID
		}
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "find me"})
		end := r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "find"}, 1)
		end()
		rename("a title")
		old := rename("another title")
		now = now.Add(10 * 24 * time.Hour)
		kept := rename("a recent title")
		r.feed(t, kept)
		require.Less(t, r.searchState(t).Position, old)

		end = r.workWith(t, chat.Work{EventRetention: 7 * 24 * time.Hour})
		require.Eventually(t, func() bool {
			f, err := r.Feed(t.Context())
			return err == nil && f.Pruned == old
		}, patience, time.Millisecond)
		end()
		_, events := r.feedAfter(t, 0, 10)
		require.Len(t, events, 1)
		require.Equal(t, kept, events[0].ID)

		require.Equal(t, old, r.searchState(t).Position, "it waits for the next message before what is recent")
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "find me too"})
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "find"}, 2)
	})
}

// Unless it is said for how long, they are kept for ever.
func TestEventsKeptForEver(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice := r.user(t, "alice")
		r.SetClock(func() time.Time { return time.Unix(0, 0) })
		group := r.group(t, alice)
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "find me"})
		r.work(t)
		r.find(t, alice, chat.MessageSearch{Text: "find"}, 1)
		told := r.committed()
		require.Zero(t, r.feed(t, told[len(told)-1].ID).Pruned)
		_, events := r.feedAfter(t, 0, 10)
		require.Len(t, events, len(told))
	})
}

// What nobody can use any more goes by itself.
func TestTidy(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		r.SetClock(func() time.Time { return now })
		ended, good := now.Add(time.Hour), now.Add(100*time.Hour)
		registrations := []*store.Registration{{Username: "late", ExpiresAt: ended}, {Username: "soon", ExpiresAt: good}}
		tokens := []*store.OneTimeToken{
			{TokenHash: []byte("late"), Purpose: store.ForPasswordReset, UserID: alice.UserID, ExpiresAt: ended},
			{TokenHash: []byte("soon"), Purpose: store.ForPasswordReset, UserID: bob.UserID, ExpiresAt: good},
		}
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			var errs []error
			for i := range registrations {
				errs = append(errs, tx.CreateRegistration(registrations[i]), tx.CreateOneTimeToken(tokens[i]))
			}
			for range 1200 { // more than go at once
				errs = append(errs, tx.CreateMail(&store.Mail{Kind: "new_sign_in", UserID: alice.UserID, CreatedAt: now}))
			}
			recent := store.Mail{Kind: "new_sign_in", UserID: bob.UserID, CreatedAt: now.Add(10 * time.Hour)}
			return errors.Join(append(errs, tx.CreateMail(&recent))...)
		}))
		now = now.Add(77 * time.Hour)
		r.work(t)
		require.Eventually(t, func() (tidied bool) {
			require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error {
				waiting, _, err := tx.MailQueue()
				_, registration := tx.FindRegistration(registrations[0].ID, time.Time{})
				_, token := tx.FindOneTimeToken([]byte("late"), store.ForPasswordReset, time.Time{})
				tidied = waiting == 1 && errors.Is(registration, store.ErrNotFound) && errors.Is(token, store.ErrNotFound)
				return err
			}))
			return tidied
		}, patience, time.Millisecond)
		require.NoError(t, r.store.View(t.Context(), func(tx *store.Tx) error {
			_, registration := tx.FindRegistration(registrations[1].ID, time.Time{})
			_, token := tx.FindOneTimeToken([]byte("soon"), store.ForPasswordReset, time.Time{})
			return errors.Join(registration, token)
		}), "what is good stays")
	})
}
