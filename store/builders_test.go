package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

var (
	noon = time.Date(2021, 10, 30, 12, 0, 0, 123456000, time.UTC)

	errOwn = errors.New("an error of the caller's")

	// active is that an account has not been deactivated.
	active = []store.Condition{{Field: store.UserDeactivated, Value: int64(0)}}
)

// update stores what fn does. fn must not end the test: it runs on the
// writer's goroutine.
func update(tb testing.TB, s *store.Store, fn func(*store.Tx) error) {
	tb.Helper()
	require.NoError(tb, s.Update(context.Background(), fn))
}

func view(tb testing.TB, s *store.Store, fn func(*store.Tx) error) {
	tb.Helper()
	require.NoError(tb, s.View(context.Background(), fn))
}

func newUser(tb testing.TB, s *store.Store, name string) store.User {
	tb.Helper()
	u := store.User{Username: name, UsernameKey: name, PasswordHash: "hash of " + name, CreatedAt: noon}
	update(tb, s, func(tx *store.Tx) error { return tx.CreateUser(&u) })
	return u
}

func newAdmin(tb testing.TB, s *store.Store, name string) store.User {
	tb.Helper()
	return changeUser(tb, s, newUser(tb, s, name), store.UserChange{Admin: new(true)})
}

func changeUser(tb testing.TB, s *store.Store, u store.User, c store.UserChange) (changed store.User) {
	tb.Helper()
	update(tb, s, func(tx *store.Tx) (err error) {
		changed, err = tx.UpdateUser(u.ID, c)
		return err
	})
	return changed
}

func newGroup(tb testing.TB, s *store.Store, participants ...store.User) store.Chat {
	tb.Helper()
	c := store.NewGroup("a group", noon)
	update(tb, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&c); err != nil {
			return err
		}
		for _, u := range participants {
			if err := tx.AddParticipant(c.ID, u.ID, store.Member, noon); err != nil {
				return err
			}
		}
		return nil
	})
	return c
}

func newSession(tb testing.TB, s *store.Store, u store.User, token string, expires time.Time) store.Session {
	tb.Helper()
	session := store.Session{TokenHash: hash(token), UserID: u.ID, CreatedAt: noon, ExpiresAt: expires}
	update(tb, s, func(tx *store.Tx) error { return tx.CreateSession(&session) })
	session.Username = u.Username
	return session
}

// post stores a message and its event, as a send does.
func post(tx *store.Tx, chatID, senderID int64, text string) (store.Message, error) {
	c, err := tx.NextSeq(senderID, chatID, 1, noon)
	if err != nil {
		return store.Message{}, err
	}
	m := store.Message{ChatID: chatID, Seq: c.LastSeq, SenderID: senderID, Text: text, CreatedAt: noon}
	if err := tx.CreateMessage(&m); err != nil {
		return store.Message{}, err
	}
	return m, tx.AppendEvent(store.Event{
		Type: store.MessageCreated, ChatID: chatID, ActorID: senderID, Message: &m, At: noon,
	})
}

// messagesOf lists all messages of a chat.
func messagesOf(tb testing.TB, s *store.Store, chatID int64) (found []store.Message) {
	tb.Helper()
	view(tb, s, func(tx *store.Tx) (err error) {
		found, err = tx.ListChatMessages(0, chatID, store.Span{Before: math.MaxInt64}, math.MaxInt32)
		return err
	})
	return found
}

// logOf reads the log of events when it has n of them. The last may not be
// listed at once: transactions of other tests may be open, on the same server.
func logOf(tb testing.TB, s *store.Store, n int) (all []store.Event) {
	tb.Helper()
	last := int64(0)
	require.Eventually(tb, func() bool {
		var page []store.Event
		err := s.ViewOne(context.Background(), func(tx *store.Tx) (err error) {
			page, err = tx.ListEvents(last, 1000)
			return err
		})
		if len(page) > 0 {
			last = page[len(page)-1].ID
		}
		all = append(all, page...)
		return err == nil && len(all) >= n
	}, patience, time.Millisecond, "fewer than %d events", n)
	return all
}

func texts(messages []store.Message) []string {
	found := []string{}
	for _, m := range messages {
		found = append(found, m.Text)
	}
	return found
}

func hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// events keeps what a store hands to OnCommit.
type events struct {
	mu  sync.Mutex
	all []store.Event
}

func (e *events) add(batch []store.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, batch...)
}

// wait returns the events when n have come.
func (e *events) wait(tb testing.TB, n int) []store.Event {
	tb.Helper()
	var all []store.Event
	require.Eventually(tb, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		all = e.all
		return len(all) >= n
	}, patience, time.Millisecond, "fewer than %d events", n)
	return all
}

// receive waits for what a channel brings.
func receive[T any](tb testing.TB, from <-chan T) (v T) {
	tb.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		require.Fail(tb, "nothing came")
	}
	return v
}

// asFound is a session as it is found: without what is stored of its tokens.
func asFound(s store.Session) store.Session {
	s.TokenHash, s.FamilyHash, s.RefreshHash, s.RefreshAnswer = nil, nil, nil, nil
	return s
}
