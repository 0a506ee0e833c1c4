package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func invitations(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newAdmin(t, s, "ada"), newAdmin(t, s, "bob")
	create := func(token string, i store.Invitation) store.Invitation {
		t.Helper()
		i.TokenHash, i.CreatedAt = hash(token), noon
		update(t, s, func(tx *store.Tx) error { return tx.CreateInvitation(&i) })
		i.Creator = map[int64]string{ada.ID: "ada", bob.ID: "bob"}[i.CreatorID]
		return i
	}
	find := func(token string, at time.Time) (found store.Invitation, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) error {
			found, err = tx.FindInvitationByTokenHash(hash(token), at)
			return err
		})
		return found, err
	}
	page := func(at time.Time, limit, offset int) (found []store.Invitation) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListInvitations(at, limit, offset)
			return err
		})
		return found
	}
	list := func(at time.Time) []store.Invitation { return page(at, 100, 0) }
	use := func(i store.Invitation, at time.Time) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.UseInvitation(i.ID, at) })
	}
	count := func() (n int) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			n, err = tx.CountInvitations()
			return err
		})
		return n
	}
	hour := noon.Add(time.Hour)
	forever := create("forever", store.Invitation{CreatorID: ada.ID, MaxUses: 9})
	once := create("once", store.Invitation{CreatorID: ada.ID, MaxUses: 1, Note: "for one: é"})
	hourly := create("hourly", store.Invitation{CreatorID: bob.ID, MaxUses: 3, ExpiresAt: hour})

	require.Equal(t, []store.Invitation{forever, once, hourly}, list(noon))
	require.Equal(t, []store.Invitation{once}, page(noon, 1, 1))
	require.Equal(t, []store.Invitation{forever, once, hourly}, list(hour.Add(-time.Microsecond)))
	require.Equal(t, []store.Invitation{forever, once}, list(hour), "its last moment is the one before")
	found, err := find("hourly", noon)
	require.NoError(t, err)
	require.Equal(t, hourly, found)
	for token, at := range map[string]time.Time{"hourly": hour, "no such": noon, "": noon} {
		_, err := find(token, at)
		require.ErrorIs(t, err, store.ErrNotFound, token)
	}

	require.NoError(t, use(forever, noon))
	require.NoError(t, use(forever, noon))
	require.NoError(t, use(once, noon))
	require.ErrorIs(t, use(once, noon), store.ErrNotFound, "used up")
	_, err = find("once", noon)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, use(hourly, noon))
	require.ErrorIs(t, use(hourly, hour), store.ErrNotFound, "expired")
	forever.Uses, hourly.Uses = 2, 1
	require.Equal(t, []store.Invitation{forever, hourly}, list(noon))

	revoke := func(i store.Invitation, at time.Time) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.RevokeInvitation(i.ID, at) })
	}
	require.ErrorIs(t, revoke(store.Invitation{ID: hourly.ID + 1}, noon), store.ErrNotFound)
	require.ErrorIs(t, revoke(hourly, hour), store.ErrNotFound)
	require.NoError(t, revoke(forever, noon))
	require.ErrorIs(t, revoke(forever, noon), store.ErrNotFound, "revoked before")
	require.ErrorIs(t, use(forever, noon), store.ErrNotFound)
	_, err = find("forever", noon)
	require.ErrorIs(t, err, store.ErrNotFound)

	require.Equal(t, 2, count())

	// While who made it may not make one, it is of no use.
	for _, change := range []struct{ end, undo store.UserChange }{
		{store.UserChange{Admin: new(false)}, store.UserChange{Admin: new(true)}},
		{store.UserChange{DeactivatedAt: &noon}, store.UserChange{DeactivatedAt: new(time.Time)}},
	} {
		changeUser(t, s, bob, change.end)
		require.Empty(t, list(noon))
		_, err = find("hourly", noon)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, use(hourly, noon), store.ErrNotFound)
		require.ErrorIs(t, revoke(hourly, noon), store.ErrNotFound)
		changeUser(t, s, bob, change.undo)
		require.Equal(t, []store.Invitation{hourly}, list(noon))
	}

	update(t, s, func(tx *store.Tx) error { return tx.DeleteSpentInvitations(noon) })
	require.Equal(t, 1, count())
	require.Equal(t, []store.Invitation{hourly}, list(noon))
	update(t, s, func(tx *store.Tx) error { return tx.DeleteSpentInvitations(hour) })
	require.Zero(t, count())
	again := create("once", store.Invitation{CreatorID: ada.ID, MaxUses: 1}) // its hash is free
	require.Greater(t, again.ID, hourly.ID)
	clash := store.Invitation{TokenHash: hash("once"), CreatorID: ada.ID, CreatedAt: noon}
	err = s.Update(t.Context(), func(tx *store.Tx) error { return tx.CreateInvitation(&clash) })
	require.ErrorIs(t, err, store.ErrConflict)

	changeUser(t, s, ada, store.UserChange{Admin: new(false)})
	update(t, s, func(tx *store.Tx) error { return tx.DeleteSpentInvitations(noon) })
	require.Zero(t, count(), "of no use any more")
}

// Of many who use an invitation at once, as many have an account as it is for, and no
// use is lost on one who has none.
func invitationsAtOnce(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newAdmin(t, s, "ada")
	invitation := store.Invitation{TokenHash: hash("token"), CreatorID: ada.ID, CreatedAt: noon, MaxUses: 3}
	update(t, s, func(tx *store.Tx) error { return tx.CreateInvitation(&invitation) })
	names := []string{"ada", "bob", "bob", "bob", "carl", "dora", "emil", "fred"} // one is taken, and one wanted by three
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			errs[i] = s.Update(context.Background(), func(tx *store.Tx) error {
				if err := tx.UseInvitation(invitation.ID, noon); err != nil {
					return err
				}
				return tx.CreateUser(&store.User{Username: name, UsernameKey: name, CreatedAt: noon})
			})
		})
	}
	wg.Wait()
	made := 0
	for i, err := range errs {
		switch {
		case err == nil:
			made++
		case names[i] == "ada" || names[i] == "bob":
			require.Error(t, err)
		default:
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	}
	require.Equal(t, 3, made)
}

func registrations(t *testing.T, open opener) {
	s := open(t, store.Options{})
	day := noon.Add(24 * time.Hour)
	create := func(username, email string, expires time.Time) store.Registration {
		t.Helper()
		r := store.Registration{Username: username, PasswordHash: "hash of " + username, Email: email, CreatedAt: noon, ExpiresAt: expires}
		update(t, s, func(tx *store.Tx) error { return tx.CreateRegistration(&r) })
		return r
	}
	find := func(id int64, at time.Time) (found store.Registration, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) error {
			found, err = tx.FindRegistration(id, at)
			return err
		})
		return found, err
	}
	zoe := create("Zoë", "Zoe@example.com", day)
	same := create("Zoë", "zoe@EXAMPLE.com", day.Add(time.Hour)) // of the same name, and address
	other := create("max", "max@example.com", day.Add(2*time.Hour))

	found, err := find(zoe.ID, noon)
	require.NoError(t, err)
	require.Equal(t, zoe, found)
	for id, at := range map[int64]time.Time{zoe.ID: day, other.ID + 1: noon} {
		_, err = find(id, at)
		require.ErrorIs(t, err, store.ErrNotFound)
	}

	// With what has been sent there.
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateMail(&store.Mail{Kind: "kind", RegistrationID: zoe.ID, CreatedAt: noon}); err != nil {
			return err
		}
		return tx.CreateOneTimeToken(&store.OneTimeToken{
			TokenHash: hash("token"), Purpose: store.ForRegistration, RegistrationID: zoe.ID, CreatedAt: noon, ExpiresAt: day,
		})
	})
	update(t, s, func(tx *store.Tx) error { return tx.DeleteRegistration(zoe.ID) })
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteRegistration(zoe.ID) }), store.ErrNotFound)
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.UseOneTimeToken(hash("token"), store.ForRegistration, noon)
		return err
	}), store.ErrNotFound)
	view(t, s, func(tx *store.Tx) error {
		waiting, _, err := tx.MailQueue()
		require.Zero(t, waiting)
		return err
	})

	// The first to expire goes first, and not before.
	clean := func(at time.Time, limit int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			_, err := tx.DeleteExpiredRegistrations(at, limit)
			return err
		})
	}
	clean(same.ExpiresAt.Add(-time.Microsecond), 10)
	_, err = find(same.ID, noon)
	require.NoError(t, err)
	clean(other.ExpiresAt, 1)
	_, err = find(same.ID, noon)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = find(other.ID, noon)
	require.NoError(t, err)
}
