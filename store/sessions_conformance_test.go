package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// tokenSessions are those that are held by tokens, which are refreshed, and by keys.
func tokenSessions(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	find := func(look func(*store.Tx) (store.Session, error)) (found store.Session, err error) {
		err = s.ViewOne(t.Context(), func(tx *store.Tx) error {
			found, err = look(tx)
			return err
		})
		return found, err
	}
	byFamily := func() (store.Session, error) {
		return find(func(tx *store.Tx) (store.Session, error) { return tx.FindSessionByFamilyHash(hash("family")) })
	}
	made := store.Session{
		Kind: store.TokenSession, TokenHash: hash("access 1"), UserID: ada.ID, UserAgent: "curl", Address: "192.0.2.1",
		CreatedAt: noon, UsedAt: noon, ExpiresAt: noon.Add(24 * time.Hour), TokenExpiresAt: noon.Add(time.Hour),
		FamilyHash: hash("family"), RefreshHash: hash("refresh 1"),
	}
	key := store.Session{
		Kind: store.KeySession, TokenHash: hash("key"), UserID: ada.ID, Name: "bot", Scopes: "read write",
		CreatedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
	}
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateSession(&made); err != nil {
			return err
		}
		return tx.CreateSession(&key)
	})
	made.Username, key.Username, key.UsedAt = "ada", "ada", noon
	for _, look := range []func(*store.Tx) (store.Session, error){
		func(tx *store.Tx) (store.Session, error) { return tx.FindSession(made.ID) },
		func(tx *store.Tx) (store.Session, error) { return tx.FindSessionByTokenHash(hash("access 1")) },
	} {
		found, err := find(look)
		require.NoError(t, err)
		require.Equal(t, asFound(made), found)
	}
	// Whoever refreshes needs what the last refresh has left, and nobody else.
	toRefresh := func(made store.Session) store.Session {
		found := asFound(made)
		found.RefreshHash, found.RefreshAnswer = made.RefreshHash, made.RefreshAnswer
		return found
	}
	found, err := byFamily()
	require.NoError(t, err)
	require.Equal(t, toRefresh(made), found)
	found, err = find(func(tx *store.Tx) (store.Session, error) { return tx.FindSession(key.ID) })
	require.NoError(t, err)
	require.Equal(t, asFound(key), found)
	require.Equal(t, made.TokenExpiresAt, made.GoodUntil())
	require.Equal(t, key.ExpiresAt, key.GoodUntil())
	require.False(t, made.Slides() || key.Slides())
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		again := made
		again.TokenHash = hash("another")
		return tx.CreateSession(&again)
	}), store.ErrConflict, "a family has one session")

	next := made
	next.TokenHash, next.RefreshHash, next.RefreshAnswer = hash("access 2"), hash("refresh 2"), []byte("sealed")
	next.UsedAt, next.ExpiresAt, next.TokenExpiresAt = noon.Add(time.Hour), noon.Add(48*time.Hour), noon.Add(2*time.Hour)
	next.UserAgent, next.Address = "wget", "192.0.2.2"
	refresh := func(from string) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.RefreshSession(next, hash(from)) })
	}
	require.NoError(t, refresh("refresh 1"))
	found, err = byFamily()
	require.NoError(t, err)
	require.Equal(t, toRefresh(next), found)
	require.ErrorIs(t, refresh("refresh 1"), store.ErrNotFound, "it is used")
	_, err = find(func(tx *store.Tx) (store.Session, error) { return tx.FindSessionByTokenHash(hash("access 1")) })
	require.ErrorIs(t, err, store.ErrNotFound)
	next.RefreshAnswer = nil
	require.NoError(t, refresh("refresh 2"))
	stale := next // read before the refresh, which moved its end
	stale.ExpiresAt = made.ExpiresAt
	update(t, s, func(tx *store.Tx) error { return tx.TouchSession(stale) })
	found, err = byFamily()
	require.NoError(t, err)
	require.Equal(t, toRefresh(next), found)

	counted := func(kind string) (n int) {
		require.NoError(t, s.ViewOne(t.Context(), func(tx *store.Tx) (err error) {
			n, err = tx.CountSessionsOf(ada.ID, kind)
			return err
		}))
		return n
	}
	require.Equal(t, []int{1, 1, 0}, []int{counted(store.TokenSession), counted(store.KeySession), counted(store.BasicSession)})

	update(t, s, func(tx *store.Tx) error {
		_, err := tx.UpdateUser(ada.ID, store.UserChange{DeactivatedAt: new(noon)})
		return err
	})
	_, err = byFamily()
	require.ErrorIs(t, err, store.ErrNotFound, "who is deactivated may not sign in")
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.UpdateUser(ada.ID, store.UserChange{DeactivatedAt: &time.Time{}})
		return err
	})
	update(t, s, func(tx *store.Tx) error { return tx.DeleteSession(ada.ID, made.ID) })
	require.ErrorIs(t, refresh("refresh 2"), store.ErrNotFound, "it has ended")

	replace := func(user, id int64) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.ReplaceKey(user, id, hash("key 2")) })
	}
	require.ErrorIs(t, replace(ada.ID, made.ID), store.ErrNotFound, "it is no key")
	require.ErrorIs(t, replace(ada.ID+1, key.ID), store.ErrNotFound, "it is none of theirs")
	require.NoError(t, replace(ada.ID, key.ID))
	_, err = find(func(tx *store.Tx) (store.Session, error) { return tx.FindSessionByTokenHash(hash("key")) })
	require.ErrorIs(t, err, store.ErrNotFound)
	found, err = find(func(tx *store.Tx) (store.Session, error) { return tx.FindSessionByTokenHash(hash("key 2")) })
	require.NoError(t, err)
	require.Equal(t, asFound(key), found)
}

// refreshesAtOnce shows that a refresh token is used once, whatever else is locked.
func refreshesAtOnce(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	session := store.Session{
		Kind: store.TokenSession, TokenHash: hash("access"), UserID: ada.ID, CreatedAt: noon, ExpiresAt: noon,
		FamilyHash: hash("family"), RefreshHash: hash("refresh"),
	}
	update(t, s, func(tx *store.Tx) error { return tx.CreateSession(&session) })
	errs := make([]error, 10)
	var running sync.WaitGroup
	for i := range errs {
		running.Go(func() {
			next := session
			next.TokenHash, next.RefreshHash = hash(fmt.Sprint("access ", i)), hash(fmt.Sprint("refresh ", i))
			errs[i] = s.Update(t.Context(), func(tx *store.Tx) error { return tx.RefreshSession(next, session.RefreshHash) })
		})
	}
	running.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	}
	require.Equal(t, 1, won)
}

func leastUsedSessions(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	var ids []int64
	for i, c := range []struct {
		owner store.User
		kind  string
		used  int // minutes after noon
		plain bool
	}{
		{ada, store.CookieSession, 3, false}, {ada, store.TokenSession, 1, false}, {ada, store.KeySession, 0, false}, {ada, store.BasicSession, 2, false},
		{ada, store.CookieSession, 1, false}, {bob, store.CookieSession, 0, false},
		{ada, store.TokenSession, 0, true}, {ada, store.TokenSession, 9, true}, {ada, store.TokenSession, 0, true}, {bob, store.TokenSession, 0, true},
	} {
		session := store.Session{
			Kind: c.kind, TokenHash: hash(fmt.Sprint(i)), UserID: c.owner.ID, CreatedAt: noon,
			UsedAt: noon.Add(time.Duration(c.used) * time.Minute), ExpiresAt: noon,
		}
		if c.kind == store.TokenSession && !c.plain {
			session.FamilyHash = hash(fmt.Sprint("family ", i))
		}
		require.Equal(t, c.plain, session.Plain())
		update(t, s, func(tx *store.Tx) error { return tx.CreateSession(&session) })
		ids = append(ids, session.ID)
	}
	keepOf := func(plain bool, n int) (ended []int64) {
		update(t, s, func(tx *store.Tx) (err error) {
			ended, err = tx.DeleteLeastUsedSessionsOf(ada.ID, plain, n)
			return err
		})
		return ended
	}
	keep := func(n int) []int64 { return keepOf(false, n) }
	require.Empty(t, keep(4))
	require.Equal(t, []int64{ids[1]}, keep(3), "of those that were used at the same time, the older one")
	require.Equal(t, []int64{ids[3], ids[4]}, keep(1))
	require.Equal(t, []int64{ids[0]}, keep(0), "but for keys, those of others, and plain tokens")
	require.Empty(t, keepOf(true, 3))
	require.Equal(t, []int64{ids[6]}, keepOf(true, 2))
	require.Equal(t, []int64{ids[7], ids[8]}, keepOf(true, 0))
	update(t, s, func(tx *store.Tx) error {
		if _, err := tx.FindSession(ids[2]); err != nil {
			return err
		}
		_, err := tx.FindSession(ids[5])
		return err
	})
}
