package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func auditEntries(t *testing.T, open opener) {
	s := open(t, store.Options{})
	const minute = time.Minute
	entries := []store.AuditEntry{
		{Action: "user.registered", ActorID: 1, UserID: 1, Address: "192.0.2.7", CreatedAt: noon},
		{Action: "user.signed_in", ActorID: 1, UserID: 1, Address: "2001:db8::1", CreatedAt: noon.Add(minute)},
		{Action: "user.sign_in_failed", CreatedAt: noon.Add(2 * minute)},
		{Action: "admin.user_updated", ActorID: 2, UserID: 1, Detail: "email, about 🙂", CreatedAt: noon.Add(3 * minute)},
		{Action: "admin.group_deleted", ActorID: 2, ChatID: 7, CreatedAt: noon.Add(4 * minute)},
	}
	for i := range entries {
		update(t, s, func(tx *store.Tx) error { return tx.CreateAuditEntry(&entries[i]) })
		require.Positive(t, entries[i].ID)
	}
	list := func(f store.AuditFilter, limit int) (found []store.AuditEntry) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListAuditEntries(f, limit)
			return err
		})
		return found
	}
	for name, c := range map[string]struct {
		filter store.AuditFilter
		limit  int
		want   []int
	}{
		"all":                   {store.AuditFilter{}, 10, []int{4, 3, 2, 1, 0}},
		"the newest":            {store.AuditFilter{}, 2, []int{4, 3}},
		"the next page":         {store.AuditFilter{Before: entries[3].ID}, 2, []int{2, 1}},
		"behind the last":       {store.AuditFilter{Before: entries[0].ID}, 2, nil},
		"an action":             {store.AuditFilter{Action: "user.signed_in"}, 10, []int{1}},
		"an action of nobody's": {store.AuditFilter{Action: "user"}, 10, nil},
		"an actor":              {store.AuditFilter{ActorID: 2}, 10, []int{4, 3}},
		"a user":                {store.AuditFilter{UserID: 1}, 10, []int{3, 1, 0}},
		"a user, a page":        {store.AuditFilter{UserID: 1, Before: entries[3].ID}, 1, []int{1}},
		"a chat":                {store.AuditFilter{ChatID: 7}, 10, []int{4}},
		"from":                  {store.AuditFilter{From: noon.Add(3 * minute)}, 10, []int{4, 3}},
		"to":                    {store.AuditFilter{To: noon.Add(2 * minute)}, 10, []int{1, 0}},
		"from and to":           {store.AuditFilter{From: noon.Add(minute), To: noon.Add(minute + 1000)}, 10, []int{1}},
		"all at once": {store.AuditFilter{
			Action: "admin.user_updated", ActorID: 2, UserID: 1, From: noon, To: noon.Add(time.Hour), Before: entries[4].ID,
		}, 10, []int{3}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []store.AuditEntry
			for _, i := range c.want {
				want = append(want, entries[i])
			}
			require.Equal(t, want, list(c.filter, c.limit))
		})
	}

	for _, step := range []struct {
		before time.Time
		limit  int
		left   int
	}{
		{noon, 10, 5},
		{noon.Add(3 * minute), 0, 5},
		{noon.Add(3 * minute), 2, 3}, // the oldest first
		{noon.Add(3 * minute), 10, 2},
		{noon.Add(3 * minute), 10, 2},
	} {
		update(t, s, func(tx *store.Tx) error { return tx.DeleteAuditEntries(step.before, step.limit) })
		left := list(store.AuditFilter{}, 10)
		require.Len(t, left, step.left)
		require.Equal(t, entries[4], left[0])
	}
}

// What administrators change of users, and what follows for their sessions.
func administration(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	root := store.User{Username: "root", UsernameKey: "root", Admin: true, CreatedAt: noon}
	update(t, s, func(tx *store.Tx) error { return tx.CreateUser(&root) })
	change := func(c store.UserChange) (u store.User) {
		t.Helper()
		update(t, s, func(tx *store.Tx) (err error) {
			u, err = tx.UpdateUser(ada.ID, c)
			return err
		})
		view(t, s, func(tx *store.Tx) error {
			found, err := tx.FindUserByID(ada.ID)
			require.Equal(t, u, found)
			return err
		})
		return u
	}
	token := newSession(t, s, ada, "token", noon.Add(time.Hour))
	find := func() (found store.Session, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) (err error) {
			found, err = tx.FindSessionByTokenHash(token.TokenHash)
			return err
		})
		return found, err
	}
	yes, no, hash, later, never := true, false, "another", noon.Add(time.Hour), time.Time{}

	ada.Admin, token.Admin = true, true
	require.Equal(t, ada, change(store.UserChange{Admin: &yes}))
	found, err := find()
	require.NoError(t, err)
	require.Equal(t, asFound(token), found)
	ada.PasswordHash = hash
	require.Equal(t, ada, change(store.UserChange{PasswordHash: &hash}), "the rest stays")
	ada.Admin, token.Admin = false, false
	require.Equal(t, ada, change(store.UserChange{Admin: &no}))

	ada.DeactivatedAt = noon
	require.Equal(t, ada, change(store.UserChange{DeactivatedAt: &ada.DeactivatedAt}))
	require.Equal(t, ada, change(store.UserChange{DeactivatedAt: &later}), "since the first time")
	require.Equal(t, ada, change(store.UserChange{Admin: &no}))
	_, err = find()
	require.ErrorIs(t, err, store.ErrNotFound)

	usernames := func(c store.Condition) []string {
		names := []string{}
		view(t, s, func(tx *store.Tx) error {
			users, err := tx.ListUsers(store.Filter{Where: []store.Condition{c}})
			for _, u := range users {
				names = append(names, u.Username)
			}
			return err
		})
		return names
	}
	require.Equal(t, []string{"ada"}, usernames(store.Condition{Field: store.UserDeactivated, Value: int64(1)}))
	require.Equal(t, []string{"bob", "root"}, usernames(store.Condition{Field: store.UserDeactivated, Value: int64(0)}))
	require.Equal(t, []string{"root"}, usernames(store.Condition{Field: store.UserAdmin, Value: int64(1)}))

	ada.DeactivatedAt = never
	require.Equal(t, ada, change(store.UserChange{DeactivatedAt: &never}))
	require.Equal(t, ada, change(store.UserChange{DeactivatedAt: &never}))
	found, err = find()
	require.NoError(t, err)
	require.Equal(t, asFound(token), found)

	second := newSession(t, s, ada, "second", noon.Add(2*time.Hour))
	newSession(t, s, ada, "over", noon)
	other := newSession(t, s, bob, "of bob", noon.Add(time.Hour))
	sessionsOf := func(u store.User, limit, offset int) (ids []int64) {
		view(t, s, func(tx *store.Tx) error {
			sessions, err := tx.ListSessionsOf(u.ID, "", noon, limit, offset)
			for _, session := range sessions {
				require.Equal(t, u.ID, session.UserID)
				require.Equal(t, noon, session.CreatedAt)
				require.True(t, session.ExpiresAt.After(noon))
				require.Empty(t, session.TokenHash)
				ids = append(ids, session.ID)
			}
			return err
		})
		return ids
	}
	require.Equal(t, []int64{token.ID, second.ID}, sessionsOf(ada, 10, 0))
	require.Equal(t, []int64{token.ID}, sessionsOf(ada, 1, 0))
	require.Equal(t, []int64{second.ID}, sessionsOf(ada, 10, 1))
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		return tx.DeleteSession(ada.ID, other.ID)
	}), store.ErrNotFound, "it is another's")
	update(t, s, func(tx *store.Tx) error { return tx.DeleteSession(ada.ID, token.ID) })
	require.Equal(t, []int64{second.ID}, sessionsOf(ada, 10, 0))
	require.Equal(t, []int64{other.ID}, sessionsOf(bob, 10, 0))

	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(root.ID, "gone", " 3", noon) })
	view(t, s, func(tx *store.Tx) error {
		gone, err := tx.FindUserByID(root.ID)
		require.False(t, gone.Admin)
		return err
	})
}

func allGroups(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	first, empty := newGroup(t, s, bob, ada), newGroup(t, s)
	direct := store.NewDirectChat(ada.ID, bob.ID, noon)
	update(t, s, func(tx *store.Tx) error { return tx.CreateChat(&direct) })
	public := store.NewGroup("for all", noon)
	public.Visibility = store.Public
	update(t, s, func(tx *store.Tx) error { return tx.CreateChat(&public) })

	list := func(limit, offset int) (ids []int64) {
		view(t, s, func(tx *store.Tx) error {
			groups, err := tx.ListAllGroups(limit, offset)
			for _, g := range groups {
				require.Equal(t, noon, g.CreatedAt)
				require.Equal(t, noon, g.ActiveAt)
				require.Equal(t, store.GroupChat, g.Kind)
				require.Equal(t, g.ID == first.ID, g.ParticipantCount == 2)
				require.Equal(t, g.ID == public.ID, g.Visibility == store.Public && g.Title == "for all")
				ids = append(ids, g.ID)
			}
			return err
		})
		return ids
	}
	require.Equal(t, []int64{first.ID, empty.ID, public.ID}, list(10, 0))
	require.Equal(t, []int64{empty.ID}, list(1, 1))
}

// Whoever has locked a user finds it as it stays.
func lockedUsers(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.LockUser(ada.ID + 1)
		return err
	}), store.ErrNotFound)

	locked, changed := make(chan struct{}), make(chan error, 1)
	about := "another"
	go func() {
		<-locked
		changed <- s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.UpdateUser(ada.ID, store.UserChange{About: &about})
			return err
		})
	}()
	once := false
	update(t, s, func(tx *store.Tx) error {
		before, err := tx.LockUser(ada.ID)
		if err != nil {
			return err
		}
		if !once {
			once = true
			close(locked)
		}
		for range 100 { // in which the other would get there
			again, err := tx.FindUserByID(ada.ID)
			if err != nil {
				return err
			}
			if again != before {
				return errOwn
			}
		}
		return nil
	})
	require.NoError(t, receive(t, changed))
}
