package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func groups(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	private, public, other := newGroup(t, s, ada, bob), newGroup(t, s, bob), newGroup(t, s, bob)
	direct := store.NewDirectChat(ada.ID, bob.ID, noon)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&direct); err != nil {
			return err
		}
		return tx.AddParticipant(direct.ID, ada.ID, store.Member, noon)
	})
	text := func(s string) *string { return &s }
	change := func(id int64, c store.ChatChange) store.Chat {
		t.Helper()
		var found store.Chat
		update(t, s, func(tx *store.Tx) (err error) {
			if err := tx.UpdateChat(id, c); err != nil {
				return err
			}
			found, err = tx.FindChatByID(id)
			return err
		})
		return found
	}

	t.Run("what is not given stays", func(t *testing.T) {
		require.Equal(t, public, change(public.ID, store.ChatChange{}))
		public.Title, public.Visibility = "", store.Public
		require.Equal(t, public, change(public.ID, store.ChatChange{Title: text(""), Visibility: text(store.Public)}))
		public.Title, public.Description, public.ManagedBy = "Ünï", "two\nlines 🙂", store.ByAdmins
		require.Equal(t, public, change(public.ID, store.ChatChange{
			Title: text("Ünï"), Description: text("two\nlines 🙂"), ManagedBy: text(store.ByAdmins),
		}))
		require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
			return tx.UpdateChat(9999, store.ChatChange{Title: text("x")})
		}), store.ErrNotFound)
	})
	t.Run("found with one's role, and how many are in it", func(t *testing.T) {
		update(t, s, func(tx *store.Tx) error { return tx.SetRole(private.ID, ada.ID, store.Admin) })
		find := func(u store.User, id int64) (g store.Group, err error) {
			err = s.View(t.Context(), func(tx *store.Tx) error {
				g, err = tx.FindGroup(u.ID, id)
				return err
			})
			return g, err
		}
		for u, want := range map[store.User]store.Group{
			ada: {Chat: private, ParticipantCount: 2, Role: store.Admin},
			bob: {Chat: private, ParticipantCount: 2, Role: store.Member},
			eve: {Chat: private, ParticipantCount: 2},
		} {
			found, err := find(u, private.ID)
			require.NoError(t, err)
			require.Equal(t, want, found)
		}
		for _, id := range []int64{direct.ID, 9999, 0} {
			_, err := find(ada, id)
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	})
	t.Run("listed: the public ones, and one's own, once each", func(t *testing.T) {
		mine := newGroup(t, s, ada)
		change(mine.ID, store.ChatChange{Visibility: text(store.Public)})
		list := func(u store.User, limit, offset int) []int64 {
			ids := []int64{}
			view(t, s, func(tx *store.Tx) error {
				found, err := tx.ListGroups(u.ID, limit, offset)
				for _, g := range found {
					ids = append(ids, g.ID)
					one, err := tx.FindGroup(u.ID, g.ID)
					require.NoError(t, err)
					require.Equal(t, one, g)
				}
				return err
			})
			return ids
		}
		require.Equal(t, []int64{private.ID, public.ID, mine.ID}, list(ada, 10, 0))
		require.Equal(t, []int64{private.ID, public.ID, other.ID, mine.ID}, list(bob, 10, 0))
		require.Equal(t, []int64{public.ID, mine.ID}, list(eve, 10, 0))
		for offset := range 5 { // each page is a part of the whole
			all := list(bob, 10, 0)
			require.Equal(t, all[min(offset, 4):min(offset+2, 4)], list(bob, 2, offset))
		}
		titles := func(u store.User, after int64, limit int) (found []store.GroupTitle) {
			view(t, s, func(tx *store.Tx) (err error) {
				found, err = tx.ListGroupTitles(u.ID, after, limit)
				return err
			})
			return found
		}
		for _, u := range []store.User{ada, bob, eve} { // the same by their ids
			all := []int64{}
			after := int64(0)
			for part := titles(u, after, 2); len(part) > 0; part = titles(u, after, 2) {
				for _, g := range part {
					all = append(all, g.ID)
				}
				after = part[len(part)-1].ID
			}
			require.Equal(t, list(u, 10, 0), all)
		}
		change(mine.ID, store.ChatChange{Title: text("Mine")})
		require.Equal(t, []store.GroupTitle{{ID: mine.ID, Title: "Mine"}}, titles(eve, public.ID, 10))

		taken := func(title string, but int64) (there bool) {
			view(t, s, func(tx *store.Tx) (err error) {
				there, err = tx.HasPublicGroup(title, but)
				return err
			})
			return there
		}
		require.True(t, taken("Mine", 0))
		require.False(t, taken("Mine", mine.ID))
		require.False(t, taken("mine", 0))

		change(mine.ID, store.ChatChange{Visibility: text(store.Private)})
		require.False(t, taken("Mine", 0))
		require.Equal(t, []int64{public.ID}, list(eve, 10, 0))
	})
}

func roles(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, cy, dan := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "cy"), newUser(t, s, "dan")
	group := newGroup(t, s)
	// Neither in the order of their ids nor in that of their coming.
	update(t, s, func(tx *store.Tx) error {
		for _, p := range []struct {
			user store.User
			role string
			at   time.Time
		}{
			{cy, store.Member, noon.Add(2 * time.Second)},
			{dan, store.Owner, noon},
			{bob, store.Member, noon.Add(time.Second)},
			{ada, store.Member, noon.Add(2 * time.Second)},
		} {
			if err := tx.AddParticipant(group.ID, p.user.ID, p.role, p.at); err != nil {
				return err
			}
		}
		return nil
	})
	names := func(limit, offset int) []string {
		found := []string{}
		view(t, s, func(tx *store.Tx) error {
			all, err := tx.ListParticipants(group.ID, limit, offset)
			for _, p := range all {
				found = append(found, p.Username)
				one, err := tx.FindParticipant(group.ID, p.UserID)
				require.NoError(t, err)
				require.Equal(t, one, p)
			}
			return err
		})
		return found
	}
	require.Equal(t, []string{"dan", "bob", "ada", "cy"}, names(10, 0))
	require.Equal(t, []string{"bob", "ada"}, names(2, 1))
	require.Empty(t, names(2, 4))

	heir := func() (name string) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			p, err := tx.FindHeir(group.ID, 0)
			name = p.Username
			return err
		})
		return name
	}
	set := func(u store.User, role string) {
		update(t, s, func(tx *store.Tx) error { return tx.SetRole(group.ID, u.ID, role) })
	}
	require.Equal(t, "bob", heir(), "who has been in it longest, after the owner")
	set(cy, store.Admin)
	require.Equal(t, "cy", heir(), "an admin comes before any member")
	set(ada, store.Admin)
	require.Equal(t, "ada", heir(), "of two who came at once, the lower id")
	set(ada, store.Member)
	set(cy, store.Member)
	for _, u := range []store.User{ada, bob, cy} {
		update(t, s, func(tx *store.Tx) error { return tx.RemoveParticipant(group.ID, u.ID) })
	}
	require.ErrorIs(t, s.View(t.Context(), func(tx *store.Tx) error {
		_, err := tx.FindHeir(group.ID, 0)
		return err
	}), store.ErrNotFound, "the owner comes after nobody")
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
		return tx.SetRole(group.ID, ada.ID, store.Admin)
	}), store.ErrNotFound)
}

func invites(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group, other := newGroup(t, s, ada), newGroup(t, s, ada)
	create := func(c store.Chat, token string, i store.Invite) store.Invite {
		t.Helper()
		i.ChatID, i.TokenHash, i.CreatedAt = c.ID, hash(token), noon
		if i.CreatorID == 0 {
			i.CreatorID = ada.ID
		}
		update(t, s, func(tx *store.Tx) error { return tx.CreateInvite(&i) })
		i.Creator = map[int64]string{ada.ID: "ada", bob.ID: "bob"}[i.CreatorID]
		return i
	}
	find := func(token string, at time.Time) (found store.Invite, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) error {
			found, err = tx.FindInviteByTokenHash(hash(token), at)
			return err
		})
		return found, err
	}
	list := func(c store.Chat, at time.Time) (found []store.Invite) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListInvites(c.ID, at)
			return err
		})
		return found
	}
	use := func(i store.Invite, at time.Time) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.UseInvite(i.ID, at) })
	}
	hour := noon.Add(time.Hour)
	forever := create(group, "forever", store.Invite{})
	once := create(group, "once", store.Invite{MaxUses: 1})
	hourly := create(group, "hourly", store.Invite{ExpiresAt: hour, CreatorID: bob.ID})
	elsewhere := create(other, "elsewhere", store.Invite{CreatorID: bob.ID})

	require.Equal(t, []store.Invite{forever, once, hourly}, list(group, noon))
	require.Equal(t, []store.Invite{forever, once, hourly}, list(group, hour.Add(-time.Microsecond)))
	require.Equal(t, []store.Invite{forever, once}, list(group, hour), "its last moment is the one before")
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
	require.Equal(t, []store.Invite{forever, hourly}, list(group, noon))

	revoke := func(c store.Chat, i store.Invite) error {
		return s.Update(t.Context(), func(tx *store.Tx) error { return tx.RevokeInvite(c.ID, i.ID, noon) })
	}
	require.ErrorIs(t, revoke(other, forever), store.ErrNotFound, "of another chat")
	require.NoError(t, revoke(group, forever))
	require.ErrorIs(t, revoke(group, forever), store.ErrNotFound, "revoked before")
	require.ErrorIs(t, use(forever, noon), store.ErrNotFound)
	require.Equal(t, []store.Invite{hourly}, list(group, noon))

	kept := create(group, "kept", store.Invite{})
	update(t, s, func(tx *store.Tx) error { return tx.RevokeInvitesOf(group.ID, bob.ID, noon) })
	require.Equal(t, []store.Invite{kept}, list(group, noon), "of one creator, in one chat")
	require.Equal(t, []store.Invite{elsewhere}, list(other, noon))

	update(t, s, func(tx *store.Tx) error { return tx.DeleteSpentInvites(group.ID, noon) })
	require.Equal(t, []store.Invite{kept}, list(group, noon))
	again := create(group, "once", store.Invite{}) // its hash is free
	require.Greater(t, again.ID, kept.ID)
	clash := store.Invite{ChatID: other.ID, TokenHash: hash("once"), CreatorID: ada.ID, CreatedAt: noon}
	err = s.Update(t.Context(), func(tx *store.Tx) error { return tx.CreateInvite(&clash) })
	require.ErrorIs(t, err, store.ErrConflict)
}

// Of many who use an invite at once, as many get in as it is for; and whoever is
// about to join sees what others have done who lock the group.
func groupLocks(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	invite := store.Invite{ChatID: group.ID, TokenHash: hash("token"), CreatorID: ada.ID, CreatedAt: noon, MaxUses: 3}
	update(t, s, func(tx *store.Tx) error { return tx.CreateInvite(&invite) })
	var people [8]store.User
	for i := range people {
		people[i] = newUser(t, s, string(rune('b'+i)))
	}
	var wg sync.WaitGroup
	results := make([]error, len(people))
	for i, u := range people {
		wg.Go(func() {
			results[i] = s.Update(context.Background(), func(tx *store.Tx) error {
				if err := tx.LockGroup(group.ID); err != nil {
					return err
				}
				before, err := tx.FindGroup(u.ID, group.ID)
				if err != nil {
					return err
				}
				if err := tx.AddParticipant(group.ID, u.ID, store.Member, noon); err != nil {
					return err
				}
				after, err := tx.FindGroup(u.ID, group.ID)
				if err == nil && after.ParticipantCount != before.ParticipantCount+1 {
					err = errOwn
				}
				if err != nil {
					return err
				}
				return tx.UseInvite(invite.ID, noon)
			})
		})
	}
	wg.Wait()
	in := 0
	for _, err := range results {
		if err == nil {
			in++
		} else {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	}
	require.Equal(t, 3, in)
	view(t, s, func(tx *store.Tx) error {
		g, err := tx.FindGroup(ada.ID, group.ID)
		require.Equal(t, 4, g.ParticipantCount)
		return err
	})
	require.Error(t, s.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.RemoveParticipant(group.ID, ada.ID); err != nil {
			return err
		}
		return tx.LockGroup(group.ID)
	}), "it comes first")
}

// crowdGroups makes each twentieth group of a crowd public, under a title of its own, and
// gives each group three invites.
func crowdGroups(tb testing.TB, db *sql.DB) {
	tb.Helper()
	for _, statement := range []string{
		fmt.Sprintf(`
			INSERT INTO invites (chat_id, token_hash, creator_id, created_at)
			SELECT chat, sha256((chat + n * %[1]d)::text::bytea), chat, 0
			FROM generate_series(0, 2) n, generate_series(1, %[1]d) chat`, crowdChats),
		fmt.Sprintf(`UPDATE chats SET visibility = 'public', title = 'group ' || id WHERE id %% 20 = 3 AND id <= %d`, crowdChats),
		"VACUUM (ANALYZE) invites, chats",
	} {
		_, err := db.ExecContext(tb.Context(), statement)
		require.NoError(tb, err)
	}
}
