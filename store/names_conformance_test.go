package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

func usersByEmail(t *testing.T, open opener) {
	s := open(t, store.Options{})
	const address = "Somebody@Example.com"
	find := func(email string) (id int64) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			u, err := tx.FindUserByEmail(email)
			if err != nil {
				require.ErrorIs(t, err, store.ErrNotFound)
				return nil
			}
			full, err := tx.FindUserByID(u.ID)
			require.NoError(t, err)
			require.Equal(t, full, u)
			id = u.ID
			return nil
		})
		return id
	}
	require.Zero(t, find(address))
	newUser(t, s, "nobody") // has no address
	waits, has, other := newUser(t, s, "waits"), newUser(t, s, "has"), newUser(t, s, "other")
	changeUser(t, s, other, store.UserChange{Email: new("other@example.com"), PendingEmail: new("next@example.com")})
	changeUser(t, s, has, store.UserChange{Email: new(address)})
	require.Equal(t, has.ID, find(address))
	changeUser(t, s, waits, store.UserChange{PendingEmail: new("somebody@example.COM")})
	require.Equal(t, waits.ID, find(address), "the oldest")
	for _, typed := range []string{"somebody@example.com", "SOMEBODY@EXAMPLE.COM"} {
		require.Equal(t, waits.ID, find(typed))
	}
	claims := store.User{Username: "claims", UsernameKey: "claims", Email: "SOMEBODY@example.com", EmailClaimed: true, CreatedAt: noon}
	update(t, s, func(tx *store.Tx) error { return tx.CreateUser(&claims) })
	require.Equal(t, claims.ID, find(address), "who claimed it")
	changeUser(t, s, has, store.UserChange{EmailVerifiedAt: new(noon)})
	require.Equal(t, has.ID, find(address), "who reads what is sent there")
	// The other address of somebody has been verified, and not this one.
	changeUser(t, s, has, store.UserChange{Email: new("has@example.com"), EmailVerifiedAt: new(noon)})
	changeUser(t, s, has, store.UserChange{PendingEmail: new(address)})
	require.Equal(t, claims.ID, find(address))
	claims.About = "same address"
	require.Equal(t, claims, changeUser(t, s, claims, store.UserChange{About: new("same address"), Email: new(claims.Email)}))
	for _, another := range []string{"claims@example.com", address} {
		claims.Email, claims.EmailClaimed = another, false
		require.Equal(t, claims, changeUser(t, s, claims, store.UserChange{Email: new(another)}), "another address is not claimed")
	}
	require.Equal(t, waits.ID, find(address))

	require.Equal(t, other.ID, find("other@example.com"))
	require.Equal(t, other.ID, find("next@example.com"))
	for _, typed := range []string{"", "example.com", "some%", "somebody@example.com ", "nobody"} {
		require.Zero(t, find(typed), typed)
	}
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(waits.ID, "gone", " 1", noon) })
	require.Equal(t, has.ID, find(address))
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(has.ID, "gone too", " 2", noon) })
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(claims.ID, "gone as well", " 3", noon) })
	require.Zero(t, find(address))
}

// What is not there under a name that is locked is not there until it is stored.
func nameLocks(t *testing.T, open opener) {
	s := open(t, store.Options{})
	taken := errors.New("taken")
	var running sync.WaitGroup
	failures := make(chan error, 20)
	for i := range cap(failures) {
		running.Go(func() {
			failures <- s.Update(context.Background(), func(tx *store.Tx) error {
				for range 2 { // one's own is no hindrance
					if err := tx.LockName("ada@example.com"); err != nil {
						return err
					}
				}
				if _, err := tx.FindUserByEmail("ada@example.com"); !errors.Is(err, store.ErrNotFound) {
					return errors.Join(taken, err)
				}
				name := fmt.Sprint("ada-", i)
				return tx.CreateUser(&store.User{Username: name, UsernameKey: name, Email: "ada@example.com", CreatedAt: noon})
			})
		})
	}
	running.Wait()
	close(failures)
	made := 0
	for err := range failures {
		if err == nil {
			made++
			continue
		}
		require.ErrorIs(t, err, taken)
	}
	require.Equal(t, 1, made)
}

// Who asks for a name that another Update holds waits, and then sees what that has done.
func TestPostgresNamesAreWaitedFor(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s, db := openPostgres(t, store.Options{Database: database}), openDatabase(t, database)
	second := make(chan error, 1)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.LockName("ada@example.com"); err != nil {
			return err
		}
		go func() {
			second <- s.Update(context.Background(), func(tx *store.Tx) error {
				if err := tx.LockName("ada@example.com"); err != nil {
					return err
				}
				_, err := tx.FindUserByEmail("ada@example.com")
				return err
			})
		}()
		waits := func() bool {
			var n int
			err := db.QueryRowContext(t.Context(), `
				SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
				WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted`).Scan(&n)
			return err == nil && n == 1
		}
		require.Eventually(t, waits, 30*time.Second, 5*time.Millisecond)
		return tx.CreateUser(&store.User{Username: "ada", UsernameKey: "ada", Email: "ada@example.com", CreatedAt: noon})
	})
	require.NoError(t, <-second)
}

// Whoever has another name, or a chat, does not wait.
func TestPostgresNamesAreLockedApart(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{Database: pgtest.NewDatabase(t)})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	update(t, s, func(tx *store.Tx) error {
		if err := tx.LockName(fmt.Sprint(group.ID)); err != nil {
			return err
		}
		return s.Update(ctx, func(tx *store.Tx) error {
			if err := tx.LockName("another"); err != nil {
				return err
			}
			return tx.LockChat(ada.ID, group.ID)
		})
	})
}

func messageCounts(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	one, two, others := newGroup(t, s, ada, bob), newGroup(t, s, ada), newGroup(t, s, bob)
	var hidden store.Message
	for _, to := range []struct {
		chat store.Chat
		from store.User
	}{{one, ada}, {one, bob}, {one, bob}, {two, ada}, {others, bob}, {one, bob}} {
		update(t, s, func(tx *store.Tx) (err error) {
			hidden, err = post(tx, to.chat.ID, to.from.ID, "Text")
			return err
		})
	}
	update(t, s, func(tx *store.Tx) error { return tx.HideMessage(ada.ID, hidden.ID) })
	ofBob := []store.Condition{{Field: store.MessageSenderID, Value: bob.ID}}
	for name, c := range map[string]struct {
		user   store.User
		chatID int64
		filter store.Filter
		want   int
	}{
		"all":                      {ada, 0, store.Filter{}, 4},
		"all, of another":          {bob, 0, store.Filter{}, 5},
		"of a chat":                {ada, one.ID, store.Filter{}, 3},
		"of a chat, by another":    {bob, one.ID, store.Filter{}, 4},
		"from one":                 {ada, 0, store.Filter{Where: ofBob}, 2},
		"of a chat, from one":      {bob, one.ID, store.Filter{Where: ofBob}, 3},
		"however many are wanted":  {ada, 0, store.Filter{Limited: true, Limit: 1, Offset: 7}, 4},
		"in whatever order":        {ada, 0, store.Filter{Order: []store.Order{{Field: store.MessageText}}}, 4},
		"by a name and a text":     {bob, 0, store.Filter{Where: []store.Condition{{Field: store.MessageSenderUsername, Value: "bob"}, {Field: store.MessageText, Match: store.Contains, Value: "TEXT"}}}, 4},
		"that are there":           {ada, 0, store.Filter{Where: []store.Condition{{Field: store.MessageDeletedAt, Match: store.Missing}}}, 4},
		"that are not of groups":   {ada, 0, store.Filter{Where: []store.Condition{{Field: store.MessageInGroup, Value: int64(0)}}}, 0},
		"of a chat that is not so": {ada, 9999, store.Filter{}, 0},
	} {
		view(t, s, func(tx *store.Tx) error {
			n, err := tx.CountMessages(c.user.ID, c.chatID, c.filter)
			require.NoError(t, err, name)
			require.Equal(t, c.want, n, name)
			return nil
		})
	}
}

func correspondents(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	group := newGroup(t, s, ada, bob)
	direct := func(one, two store.User) store.Chat {
		c := store.NewDirectChat(one.ID, two.ID, noon)
		update(t, s, func(tx *store.Tx) error { return tx.CreateChat(&c) })
		return c
	}
	withBob, withEve, notes := direct(ada, bob), direct(eve, ada), direct(ada, ada)
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(eve.ID, "gone", " 1", noon) })
	of := func(u store.User, chatIDs ...int64) (found []store.Correspondent) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListCorrespondents(u.ID, chatIDs)
			return err
		})
		return found
	}
	require.Empty(t, of(ada))
	require.Empty(t, of(ada, group.ID, 9999))
	require.Equal(t, []store.Correspondent{
		{ChatID: withBob.ID, UserID: bob.ID, Username: "bob"},
		{ChatID: withEve.ID, UserID: eve.ID, Username: "gone", Deleted: true},
		{ChatID: notes.ID, UserID: ada.ID, Username: "ada"},
	}, of(ada, notes.ID, withEve.ID, group.ID, withBob.ID, withBob.ID))
	require.Equal(t, []store.Correspondent{{ChatID: withBob.ID, UserID: ada.ID, Username: "ada"}}, of(bob, withBob.ID))
}
