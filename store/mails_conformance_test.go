package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func newMail(tb testing.TB, s *store.Store, kind string, u store.User, at time.Time) store.Mail {
	tb.Helper()
	m := store.Mail{Kind: kind, UserID: u.ID, Address: u.Username + "@example.org", Locale: "de-AT", Data: `{"a":"ä"}`, CreatedAt: at}
	update(tb, s, func(tx *store.Tx) error { return tx.CreateMail(&m) })
	return m
}

// claim claims the next mail; it has no ID if there is none.
func claim(tb testing.TB, s *store.Store, now, until time.Time) (m store.Mail) {
	tb.Helper()
	err := s.Update(tb.Context(), func(tx *store.Tx) (err error) {
		m, err = tx.ClaimMail(now, until)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Mail{}
	}
	require.NoError(tb, err)
	return m
}

func requireQueue(tb testing.TB, s *store.Store, waiting int, next time.Time) {
	tb.Helper()
	view(tb, s, func(tx *store.Tx) error {
		count, due, err := tx.MailQueue()
		require.NoError(tb, err)
		require.Equal(tb, waiting, count)
		require.Equal(tb, next, due)
		due, err = tx.NextMail()
		require.NoError(tb, err)
		require.Equal(tb, next, due)
		return nil
	})
}

func mails(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	requireQueue(t, s, 0, time.Time{})
	require.Zero(t, claim(t, s, noon, noon))

	take := func(kind string, now time.Time, among int) (taken []store.Mail) {
		t.Helper()
		update(t, s, func(tx *store.Tx) (err error) {
			taken, err = tx.TakeDueMails(kind, now, among)
			return err
		})
		return taken
	}
	early := newMail(t, s, "early", ada, noon.Add(time.Second))
	newMail(t, s, "notice", ada, noon.Add(2*time.Second))
	newMail(t, s, "early", ada, noon.Add(3*time.Second))
	require.Empty(t, take("early", noon, 9), "none is due")
	require.Empty(t, take("other", noon.Add(time.Hour), 9))
	require.Equal(t, []store.Mail{early}, take("early", noon.Add(time.Hour), 2), "among two")
	require.Empty(t, take("early", noon.Add(time.Hour), 1))
	require.Len(t, take("early", noon.Add(3*time.Second), 2), 1)
	require.Len(t, take("notice", noon.Add(3*time.Second), 2), 1)
	requireQueue(t, s, 0, time.Time{})

	second := newMail(t, s, "notice", ada, noon.Add(time.Second))
	first := newMail(t, s, "reset", bob, noon)
	requireQueue(t, s, 2, noon)
	require.Zero(t, claim(t, s, noon.Add(-1), noon), "it is not due")

	// Whoever claims it has it until then.
	later := noon.Add(time.Minute)
	got := claim(t, s, noon.Add(time.Second), later)
	first.DueAt, first.Attempts = later, 1
	require.Equal(t, first, got)
	require.Equal(t, second.ID, claim(t, s, noon.Add(time.Second), later.Add(1000)).ID)
	require.Zero(t, claim(t, s, later.Add(-1000), later))
	requireQueue(t, s, 2, later)
	again := claim(t, s, later, noon.Add(time.Hour))
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, 2, again.Attempts)

	// Only the last attempt may postpone it.
	for _, gone := range []store.Mail{first, {ID: 999, Attempts: 2}} {
		err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.PostponeMail(gone, noon) })
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	update(t, s, func(tx *store.Tx) error { return tx.PostponeMail(again, noon) })
	requireQueue(t, s, 2, noon)

	update(t, s, func(tx *store.Tx) error { return tx.HastenMails(later, noon.Add(-time.Hour)) })
	requireQueue(t, s, 2, noon.Add(-time.Hour))
	require.Equal(t, second.ID, claim(t, s, noon.Add(-time.Hour), later).ID, "what was due after that")
	require.Zero(t, claim(t, s, noon.Add(-time.Hour), later))

	update(t, s, func(tx *store.Tx) error { return tx.DeleteMail(first.ID) })
	err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteMail(first.ID) })
	require.ErrorIs(t, err, store.ErrNotFound)
	requireQueue(t, s, 1, later)

	// A user's, of one kind or of all.
	newMail(t, s, "reset", ada, noon)
	newMail(t, s, "reset", bob, noon)
	update(t, s, func(tx *store.Tx) error { return tx.DeleteMailsOf(ada.ID, "reset") })
	requireQueue(t, s, 2, noon)
	update(t, s, func(tx *store.Tx) error { return tx.DeleteMailsOf(ada.ID, "") })
	require.Equal(t, bob.ID, claim(t, s, later, later).UserID)
	requireQueue(t, s, 1, later)

	// The old ones go, however often they were tried.
	newMail(t, s, "reset", ada, noon.Add(time.Second))
	newMail(t, s, "reset", ada, noon.Add(time.Minute))
	clean := func(before time.Time, limit int) (removed int) {
		update(t, s, func(tx *store.Tx) (err error) {
			removed, err = tx.DeleteOldMails(before, limit)
			return err
		})
		return removed
	}
	require.Zero(t, clean(noon, 10))
	require.Equal(t, 1, clean(noon.Add(time.Hour), 1))
	requireQueue(t, s, 2, noon.Add(time.Second))
	require.Equal(t, 1, clean(noon.Add(time.Minute), 10))
	requireQueue(t, s, 1, noon.Add(time.Minute))
}

// Of several who claim at once, no two get the same mail, and none waits for another.
func claims(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	for range 40 {
		newMail(t, s, "notice", ada, noon)
	}
	var (
		mu      sync.Mutex
		claimed []int64
		all     sync.WaitGroup
	)
	for range 8 {
		all.Go(func() {
			for range 5 {
				var m store.Mail
				err := s.Update(t.Context(), func(tx *store.Tx) (err error) {
					m, err = tx.ClaimMail(noon, noon.Add(time.Hour))
					return err
				})
				mu.Lock()
				if err != nil {
					t.Error(err)
				}
				claimed = append(claimed, m.ID)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	seen := map[int64]bool{}
	for _, id := range claimed {
		require.False(t, seen[id], "%d was claimed twice", id)
		seen[id] = true
	}
	require.Len(t, seen, 40)
	require.Zero(t, claim(t, s, noon, noon))
}

func oneTimeTokens(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	create := func(token, purpose string, u store.User) store.OneTimeToken {
		made := store.OneTimeToken{TokenHash: hash(token), Purpose: purpose, UserID: u.ID, Email: u.Username + "@example.org",
			CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		update(t, s, func(tx *store.Tx) error { return tx.CreateOneTimeToken(&made) })
		return made
	}
	use := func(token, purpose string, now time.Time) (used store.OneTimeToken, err error) {
		err = s.Update(t.Context(), func(tx *store.Tx) (err error) {
			used, err = tx.UseOneTimeToken(hash(token), purpose, now)
			return err
		})
		return used, err
	}
	find := func(token, purpose string, now time.Time) (found store.OneTimeToken, err error) {
		view(t, s, func(tx *store.Tx) error {
			found, err = tx.FindOneTimeToken(hash(token), purpose, now)
			return nil
		})
		return found, err
	}
	unused := func(token, purpose string, now time.Time) {
		t.Helper()
		_, err := find(token, purpose, now)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = use(token, purpose, now)
		require.ErrorIs(t, err, store.ErrNotFound)
	}

	made := create("one", store.ForPasswordReset, ada)
	unused("another", store.ForPasswordReset, noon)
	unused("one", store.ForVerification, noon)
	unused("one", store.ForPasswordReset, noon.Add(time.Hour))
	for range 2 { // it stays there
		found, err := find("one", store.ForPasswordReset, noon.Add(time.Hour-time.Microsecond))
		require.NoError(t, err)
		require.Equal(t, made, found)
	}
	used, err := use("one", store.ForPasswordReset, noon.Add(time.Hour-time.Microsecond))
	require.NoError(t, err)
	require.Equal(t, made, used)
	unused("one", store.ForPasswordReset, noon)

	// One of each purpose.
	create("two", store.ForPasswordReset, ada)
	create("three", store.ForPasswordReset, ada)
	create("four", store.ForVerification, ada)
	create("five", store.ForPasswordReset, bob)
	unused("two", store.ForPasswordReset, noon)
	for token, purpose := range map[string]string{"three": store.ForPasswordReset, "four": store.ForVerification, "five": store.ForPasswordReset} {
		_, err := use(token, purpose, noon)
		require.NoError(t, err)
	}

	create("six", store.ForPasswordReset, ada)
	create("seven", store.ForVerification, ada)
	create("eight", store.ForPasswordReset, bob)
	update(t, s, func(tx *store.Tx) error { return tx.DeleteOneTimeTokensOf(ada.ID, store.ForVerification) })
	unused("seven", store.ForVerification, noon)
	update(t, s, func(tx *store.Tx) error { return tx.DeleteOneTimeTokensOf(ada.ID, "") })
	unused("six", store.ForPasswordReset, noon)
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.DeleteExpiredOneTimeTokens(noon.Add(time.Hour-time.Microsecond), 10)
		return err
	})
	_, err = use("eight", store.ForPasswordReset, noon)
	require.NoError(t, err)
	create("nine", store.ForPasswordReset, bob)
	update(t, s, func(tx *store.Tx) error {
		_, err := tx.DeleteExpiredOneTimeTokens(noon.Add(time.Hour), 10)
		return err
	})
	unused("nine", store.ForPasswordReset, noon)
}

// Of several who use the same token at once, one gets it.
func oneTimeUse(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	for i := range 10 {
		token := fmt.Sprint("token ", i)
		update(t, s, func(tx *store.Tx) error {
			return tx.CreateOneTimeToken(&store.OneTimeToken{TokenHash: hash(token), Purpose: store.ForPasswordReset, UserID: ada.ID,
				CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})
		})
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() {
				errs <- s.Update(t.Context(), func(tx *store.Tx) error {
					_, err := tx.UseOneTimeToken(hash(token), store.ForPasswordReset, noon)
					return err
				})
			}()
		}
		got := 0
		for range cap(errs) {
			if err := receive(t, errs); err == nil {
				got++
			} else {
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		}
		require.Equal(t, 1, got)
	}
}
