package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/store"
)

// opener opens a new, empty database and closes it after the test.
type opener func(tb testing.TB, opts store.Options) *store.Store

// conformance is what every engine must do.
func conformance(t *testing.T, open opener) {
	for _, part := range []struct {
		name string
		test func(*testing.T, opener)
	}{
		{"users", users},
		{"changes of users", userChanges},
		{"what is left of deleted users", erasedTrails},
		{"filters", filters},
		{"users by address", usersByEmail},
		{"LockName", nameLocks},
		{"blocks", blocks},
		{"sessions", sessions},
		{"expired sessions", expiredSessions},
		{"sessions of tokens", tokenSessions},
		{"refreshes at once", refreshesAtOnce},
		{"least used sessions", leastUsedSessions},
		{"places", places},
		{"chats", chats},
		{"participants", participants},
		{"lists of chats", chatLists},
		{"lists of direct chats", directChatLists},
		{"watermarks", watermarks},
		{"deleted chats", deletedChats},
		{"messages", messages},
		{"details of messages", messageDetails},
		{"hidden messages", hiddenMessages},
		{"numbers of messages", numbering},
		{"data of events", eventData},
		{"reactions", reactions},
		{"polls", polls},
		{"refusals", refusals},
		{"lists of messages", lists},
		{"messages with details", detailedMessages},
		{"counts of messages", messageCounts},
		{"correspondents", correspondents},
		{"rolls", rolls},
		{"numbers of messages", messageNumbers},
		{"messages by seq", seqLookups},
		{"participants by key", participantsByKey},
		{"seq", seq},
		{"groups", groups},
		{"roles", roles},
		{"invites", invites},
		{"invitations", invitations},
		{"invitations at once", invitationsAtOnce},
		{"registrations", registrations},
		{"LockGroup", groupLocks},
		{"View", views},
		{"writes", writes},
		{"Update", updates},
		{"Update that panics", panics},
		{"contexts", contexts},
		{"order of events", commitOrder},
		{"followers of the log", followers},
		{"LockChat", locks},
		{"audit log", auditEntries},
		{"administration", administration},
		{"all groups", allGroups},
		{"LockUser", lockedUsers},
		{"search index", searchIndex},
		{"messages that were found", searchedMessages},
		{"state of the search index", searchPosition},
		{"texts to index", textsToIndex},
		{"names that were found", searchedNames},
		{"feed", feed},
		{"events that were missed", missedEvents},
		{"events that were missed, of many chats", missedByMany},
		{"old events", prunedEvents},
		{"presence", presence},
		{"rate limits", rateLimits},
		{"rate limits at once", rateLimitsAtOnce},
		{"mails", mails},
		{"claims of mails", claims},
		{"one-time tokens", oneTimeTokens},
		{"uses of a one-time token", oneTimeUse},
		{"Close", closing},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.test(t, open)
		})
	}
}

func users(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := store.User{
		Username: "Ada", UsernameKey: "ada", PasswordHash: "$2a$…",
		CreatedAt: noon.Add(999).In(time.FixedZone("", 3600)),
	}
	update(t, s, func(tx *store.Tx) error { return tx.CreateUser(&ada) })
	bob := newUser(t, s, "bob")
	require.Positive(t, ada.ID)
	require.Greater(t, bob.ID, ada.ID)

	update(t, s, func(tx *store.Tx) error {
		return tx.Do(`UPDATE users SET admin = 1, deactivated_at = ?2 WHERE id = ?1`, bob.ID, noon.UnixMicro())
	})
	bob.Admin, bob.DeactivatedAt = true, noon
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.FindUserByID(bob.ID)
		require.NoError(t, err)
		require.Equal(t, bob, found)
		byKey, err := tx.FindUserByKey("ada")
		require.NoError(t, err)
		byID, err := tx.FindUserByID(ada.ID)
		require.NoError(t, err)
		require.Equal(t, byKey, byID)
		// Times are in UTC, to the microsecond.
		ada.CreatedAt = noon
		require.Equal(t, ada, byID)
		return nil
	})
}

func userChanges(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	text := func(s string) *string { return &s }
	change := func(c store.UserChange) (u store.User) {
		t.Helper()
		update(t, s, func(tx *store.Tx) (err error) {
			u, err = tx.UpdateUser(ada.ID, c)
			return err
		})
		return u
	}
	require.Equal(t, ada, change(store.UserChange{}))
	ada.DisplayName, ada.Email, ada.Locale, ada.About = "Ada 🙂", "ada@example.com", "en", "one\ntwo"
	require.Equal(t, ada, change(store.UserChange{
		DisplayName: text("Ada 🙂"), Email: text("ada@example.com"), Locale: text("en"), About: text("one\ntwo"),
	}))
	ada.EmailVerifiedAt, ada.PendingEmail = noon, "ada@example.org"
	require.Equal(t, ada, change(store.UserChange{EmailVerifiedAt: &noon, PendingEmail: text("ada@example.org")}))
	ada.DisplayName = "Ada"
	require.Equal(t, ada, change(store.UserChange{DisplayName: text("Ada"), Email: text("ada@example.com")}), "the same address")
	ada.Email, ada.EmailVerifiedAt = "ada@example.net", time.Time{}
	require.Equal(t, ada, change(store.UserChange{Email: text("ada@example.net")}), "another address is not verified")
	ada.Email, ada.PendingEmail, ada.EmailVerifiedAt = "ada@example.org", "", noon
	require.Equal(t, ada, change(store.UserChange{Email: text("ada@example.org"), PendingEmail: text(""), EmailVerifiedAt: &noon}))
	ada.Username, ada.UsernameKey, ada.Email, ada.EmailVerifiedAt = "Eve", "eve", "", time.Time{}
	require.Equal(t, ada, change(store.UserChange{Username: text("Eve"), UsernameKey: text("eve"), Email: text("")}))
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.FindUserByKey("eve")
		require.NoError(t, err)
		require.Equal(t, ada, found)
		_, err = tx.FindUserByKey("ada")
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	})
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.UpdateUser(ada.ID, store.UserChange{Username: text("Bob"), UsernameKey: text("bob")})
		return err
	})
	require.ErrorIs(t, err, store.ErrConflict)

	newSession(t, s, ada, "token", noon.Add(time.Hour))
	bobs := newSession(t, s, bob, "of bob", noon.Add(time.Hour))
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(ada.ID, "gone", " 1", noon) })
	want := store.User{ID: ada.ID, Username: "gone", UsernameKey: " 1", CreatedAt: ada.CreatedAt, DeletedAt: noon}
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.FindUserByID(ada.ID)
		require.NoError(t, err)
		require.Equal(t, want, found)
		_, err = tx.FindSessionByTokenHash(hash("token"))
		require.ErrorIs(t, err, store.ErrNotFound, "a session of nobody is none")
		_, err = tx.FindSessionByTokenHash(hash("of bob"))
		return err
	})
	for _, again := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return tx.EraseUser(ada.ID, "again", " 2", noon) },
		func(tx *store.Tx) error {
			_, err := tx.UpdateUser(ada.ID, store.UserChange{About: text("back")})
			return err
		},
	} {
		require.ErrorIs(t, s.Update(t.Context(), again), store.ErrNotFound)
	}
	var ended []int64
	for _, want := range [][]int64{{bobs.ID}, nil} {
		update(t, s, func(tx *store.Tx) (err error) {
			ended, err = tx.DeleteSessionsOf(bob.ID, 0)
			return err
		})
		require.Equal(t, want, ended)
	}
	view(t, s, func(tx *store.Tx) error {
		_, err := tx.FindSessionByTokenHash(hash("of bob"))
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	})
}

// filters are held to a model.
func filters(t *testing.T, open opener) {
	s := open(t, store.Options{})
	var people []store.User
	for i, name := range []string{"Zoe", "anna", "bob", "Ünal", "ünal", "a_b", "a%b"} {
		u := store.User{Username: name, UsernameKey: fmt.Sprint(i), DisplayName: strings.Repeat("x", i%3), CreatedAt: noon.Add(time.Duration(i%2) * time.Hour)}
		update(t, s, func(tx *store.Tx) error { return tx.CreateUser(&u) })
		people = append(people, u)
	}
	gone := newUser(t, s, "gone")
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(gone.ID, "gone", " 1", noon) })

	fields := map[store.Field]func(store.User) any{
		store.UserID:          func(u store.User) any { return u.ID },
		store.UserUsername:    func(u store.User) any { return u.Username },
		store.UserDisplayName: func(u store.User) any { return u.DisplayName },
		store.UserCreatedAt:   func(u store.User) any { return u.CreatedAt.UnixMicro() },
		store.UserShownName: func(u store.User) any {
			if u.DisplayName == "" {
				return u.Username
			}
			return u.DisplayName
		},
	}
	names := []store.Field{store.UserID, store.UserUsername, store.UserDisplayName, store.UserCreatedAt, store.UserShownName}
	lower := func(s string) string { // of ASCII
		return strings.Map(func(r rune) rune {
			if r < 128 {
				return unicode.ToLower(r)
			}
			return r
		}, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		var f store.Filter
		want := slices.Clone(people)
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			c := store.Condition{Field: rapid.SampledFrom(names).Draw(t, "field")}
			c.Value = fields[c.Field](rapid.SampledFrom(people).Draw(t, "somebody"))
			text, isText := c.Value.(string)
			if isText && rapid.Bool().Draw(t, "part") {
				runes := []rune(text)
				from := rapid.IntRange(0, len(runes)).Draw(t, "from")
				text = string(runes[from:rapid.IntRange(from, len(runes)).Draw(t, "to")])
				c.Match, c.Value = store.Contains, strings.ToUpper(text)
			}
			f.Where = append(f.Where, c)
			want = slices.DeleteFunc(want, func(u store.User) bool {
				if c.Match == store.Contains {
					return !strings.Contains(lower(fields[c.Field](u).(string)), lower(c.Value.(string)))
				}
				return fields[c.Field](u) != c.Value
			})
		}
		f.Order = rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) store.Order {
			return store.Order{Field: rapid.SampledFrom(names).Draw(t, "by"), Descending: rapid.Bool().Draw(t, "descending")}
		}), 0, 3, func(o store.Order) store.Field { return o.Field }).Draw(t, "order")
		slices.SortStableFunc(want, func(a, b store.User) int {
			order := f.Order
			last := store.Order{Field: store.UserID}
			if len(order) > 0 {
				last.Descending = order[len(order)-1].Descending
			}
			for _, o := range append(slices.Clip(order), last) {
				var c int
				switch v := fields[o.Field](a).(type) {
				case string:
					c = strings.Compare(v, fields[o.Field](b).(string))
				case int64:
					c = cmp.Compare(v, fields[o.Field](b).(int64))
				}
				if o.Descending {
					c = -c
				}
				if c != 0 {
					return c
				}
			}
			return 0
		})
		f.Offset = rapid.IntRange(0, 3).Draw(t, "offset")
		want = want[min(f.Offset, len(want)):]
		if f.Limited = rapid.Bool().Draw(t, "limited"); f.Limited {
			f.Limit = rapid.IntRange(0, 4).Draw(t, "limit")
			want = want[:min(f.Limit, len(want))]
		}
		var got []store.User
		err := s.ViewOne(context.Background(), func(tx *store.Tx) (err error) {
			got, err = tx.ListUsers(f)
			return err
		})
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i])
		}
	})
}

func blocks(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	block := func(a, b store.User) store.Block {
		t.Helper()
		block := store.Block{BlockerID: a.ID, BlockedID: b.ID, CreatedAt: noon}
		update(t, s, func(tx *store.Tx) error { return tx.CreateBlock(block) })
		block.Username = b.Username
		return block
	}
	of := func(u store.User) (found []store.Block) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			found, err = tx.ListBlocks(u.ID, 10, 0)
			return err
		})
		return found
	}
	byEve, adaBob, adaEve := block(eve, ada), block(ada, bob), block(ada, eve)
	require.Equal(t, []store.Block{adaBob, adaEve}, of(ada))
	require.Equal(t, []store.Block{byEve}, of(eve))
	require.Empty(t, of(bob), "it is one-way")
	require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.CreateBlock(adaBob) }), store.ErrConflict)
	view(t, s, func(tx *store.Tx) error {
		for offset, want := range [][]store.Block{{adaBob}, {adaEve}, nil} {
			page, err := tx.ListBlocks(ada.ID, 1, offset)
			require.NoError(t, err)
			require.Equal(t, want, page)
		}
		for of, want := range map[int64]int{ada.ID: 2, eve.ID: 1, bob.ID: 0} {
			n, err := tx.CountBlocks(of)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		found, err := tx.FindBlock(ada.ID, bob.ID)
		require.NoError(t, err)
		require.Equal(t, adaBob, found)
		_, err = tx.FindBlock(bob.ID, ada.ID)
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	})

	// Who is blocked takes no number in the chat of the two, and does in others.
	direct := store.NewDirectChat(ada.ID, bob.ID, noon)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&direct); err != nil {
			return err
		}
		if err := tx.AddParticipant(direct.ID, ada.ID, store.Member, noon); err != nil {
			return err
		}
		return tx.AddParticipant(direct.ID, bob.ID, store.Member, noon)
	})
	group := newGroup(t, s, ada, bob)
	for _, c := range []struct {
		who  store.User
		in   store.Chat
		want error
	}{{bob, direct, store.ErrNotFound}, {ada, direct, nil}, {bob, group, nil}} {
		require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := post(tx, c.in.ID, c.who.ID, "text")
			return err
		}), c.want)
	}

	remove := func(tx *store.Tx) error { return tx.DeleteBlock(ada.ID, bob.ID) }
	update(t, s, remove)
	require.ErrorIs(t, s.Update(t.Context(), remove), store.ErrNotFound)
	require.Equal(t, []store.Block{adaEve}, of(ada))
	update(t, s, func(tx *store.Tx) error { return tx.DeleteBlocksOf(eve.ID) })
	require.Empty(t, of(ada))
	require.Empty(t, of(eve))
}

func sessions(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	find := func(token string) (found store.Session, err error) {
		err = s.View(t.Context(), func(tx *store.Tx) error {
			found, err = tx.FindSessionByTokenHash(hash(token))
			return err
		})
		return found, err
	}
	first := newSession(t, s, ada, "first", noon.Add(time.Hour))
	second := newSession(t, s, ada, "second", noon.Add(-time.Hour))

	found, err := find("first")
	require.NoError(t, err)
	require.Equal(t, asFound(first), found)
	found, err = find("second")
	require.NoError(t, err, "an expired one is found, too")
	require.Equal(t, asFound(second), found)

	second.ExpiresAt = noon.Add(time.Microsecond)
	update(t, s, func(tx *store.Tx) error { return tx.TouchSession(second) })
	found, err = find("second")
	require.NoError(t, err)
	require.Equal(t, asFound(second), found)

	end := func() (id, userID int64, err error) {
		err = s.Update(t.Context(), func(tx *store.Tx) (err error) {
			id, userID, err = tx.DeleteSessionByTokenHash(hash("second"))
			return err
		})
		return id, userID, err
	}
	id, userID, err := end()
	require.NoError(t, err)
	require.Equal(t, []int64{second.ID, ada.ID}, []int64{id, userID})
	_, err = find("second")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, _, err = end()
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = find("first")
	require.NoError(t, err, "another session lives on")
}

func expiredSessions(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	// Not in the order in which they end.
	for _, minutes := range []int{3, -1, -4, 0, -2, 1, -3} {
		newSession(t, s, ada, fmt.Sprint(minutes), noon.Add(time.Duration(minutes)*time.Minute))
	}
	alive := func() []int {
		var found []int
		view(t, s, func(tx *store.Tx) error {
			for minutes := -4; minutes <= 3; minutes++ {
				_, err := tx.FindSessionByTokenHash(hash(fmt.Sprint(minutes)))
				if err == nil {
					found = append(found, minutes)
				} else if !errors.Is(err, store.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		return found
	}
	for _, step := range []struct {
		now   time.Time
		limit int
		want  []int
	}{
		{noon, 0, []int{-4, -3, -2, -1, 0, 1, 3}},
		{noon, 2, []int{-2, -1, 0, 1, 3}},
		{noon.Add(-time.Microsecond), 10, []int{0, 1, 3}},
		{noon, 10, []int{1, 3}},
		{noon, 10, []int{1, 3}},
	} {
		update(t, s, func(tx *store.Tx) error { return tx.DeleteExpiredSessions(step.now, step.limit) })
		require.Equal(t, step.want, alive())
	}
}

func chats(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	create := func(c store.Chat) store.Chat {
		t.Helper()
		update(t, s, func(tx *store.Tx) error { return tx.CreateChat(&c) })
		return c
	}
	direct := create(store.NewDirectChat(bob.ID, ada.ID, noon))
	self := create(store.NewDirectChat(ada.ID, ada.ID, noon))
	group := create(store.NewGroup("Ünïcode 🙂", noon))
	namesake := create(store.NewGroup("Ünïcode 🙂", noon))
	require.NotEqual(t, group.ID, namesake.ID)
	public := store.NewGroup("", noon)
	public.Description, public.Visibility, public.ManagedBy = "一行目\n🙂", store.Public, store.ByAdmins
	public.ActiveAt = noon.Add(time.Hour)
	public = create(public)

	require.Equal(t, store.DirectChat, direct.Kind)
	require.Equal(t, store.SelfChat, self.Kind)
	view(t, s, func(tx *store.Tx) error {
		for _, people := range [][2]int64{{ada.ID, bob.ID}, {bob.ID, ada.ID}} {
			found, err := tx.FindDirectChat(people[0], people[1])
			require.NoError(t, err)
			require.Equal(t, direct.ID, found.ID)
			require.Equal(t, store.DirectChat, found.Kind)
			require.Equal(t, noon, found.CreatedAt)
		}
		found, err := tx.FindDirectChat(ada.ID, ada.ID)
		require.NoError(t, err)
		require.Equal(t, self.ID, found.ID)
		require.Equal(t, store.SelfChat, found.Kind)
		for _, want := range []store.Chat{group, public} {
			found, err = tx.FindChatByID(want.ID)
			require.NoError(t, err)
			require.Equal(t, want, found)
		}
		return nil
	})
}

func participants(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group, other := newGroup(t, s, ada), newGroup(t, s, bob)
	isIn := func(u store.User, c store.Chat) bool {
		t.Helper()
		var found store.Chat
		err := s.View(t.Context(), func(tx *store.Tx) (err error) {
			found, err = tx.FindChatOf(u.ID, c.ID)
			return err
		})
		if err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
			return false
		}
		require.Equal(t, c, found)
		return true
	}
	require.True(t, isIn(ada, group))
	require.False(t, isIn(bob, group))
	require.False(t, isIn(ada, other))

	update(t, s, func(tx *store.Tx) error { return tx.AddParticipant(group.ID, bob.ID, store.Member, noon) })
	require.True(t, isIn(bob, group))
	update(t, s, func(tx *store.Tx) error { return tx.RemoveParticipant(group.ID, ada.ID) })
	require.False(t, isIn(ada, group))
	require.True(t, isIn(bob, group))
	update(t, s, func(tx *store.Tx) error { return tx.RemoveParticipant(group.ID, bob.ID) })
	require.True(t, isIn(bob, other), "to leave one chat is to stay in the others")
	update(t, s, func(tx *store.Tx) error { return tx.AddParticipant(group.ID, ada.ID, store.Member, noon) })
	require.True(t, isIn(ada, group), "who has left may come back")
}

func messages(t *testing.T, open opener) {
	s := open(t, store.Options{})
	lastID := func() (id int64) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			id, err = tx.LastMessageID()
			return err
		})
		return id
	}
	require.Zero(t, lastID())

	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	m := store.Message{
		ChatID: group.ID, Seq: 1, SenderID: ada.ID, Text: "hello\n\t'\"\u2028 🙂", ClientID: "a key", CreatedAt: noon,
	}
	update(t, s, func(tx *store.Tx) error { return tx.CreateMessage(&m) })
	require.Equal(t, m.ID, lastID())

	want := m
	want.ChatKind, want.SenderUsername = store.GroupChat, "ada"
	require.Equal(t, []store.Message{want}, messagesOf(t, s, group.ID))
	view(t, s, func(tx *store.Tx) error {
		found, err := tx.FindMessageByClientID(ada.ID, "a key")
		require.NoError(t, err)
		require.Equal(t, want, found)
		return nil
	})

	// The key is a sender's own, and no key is no key.
	for _, m := range []store.Message{
		{Seq: 2, SenderID: bob.ID, ClientID: "a key"},
		{Seq: 3, SenderID: ada.ID, ClientID: "another key"},
		{Seq: 4, SenderID: ada.ID},
		{Seq: 5, SenderID: ada.ID},
	} {
		m.ChatID, m.Text, m.CreatedAt = group.ID, "text", noon
		before := lastID()
		update(t, s, func(tx *store.Tx) error { return tx.CreateMessage(&m) })
		require.Greater(t, m.ID, before)
		require.Equal(t, m.ID, lastID())
	}
	require.Len(t, messagesOf(t, s, group.ID), 5)
}

// refusals states what each repository fails with; and that nothing is stored
// then, although the same Update has stored something before.
func refusals(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada)
	newSession(t, s, ada, "token", noon)
	update(t, s, func(tx *store.Tx) error {
		for _, other := range []int64{ada.ID, bob.ID} {
			c := store.NewDirectChat(ada.ID, other, noon)
			if err := tx.CreateChat(&c); err != nil {
				return err
			}
		}
		return tx.CreateMessage(&store.Message{
			ChatID: group.ID, Seq: 1, SenderID: ada.ID, Text: "text", ClientID: "key", CreatedAt: noon,
		})
	})
	const nobody, nowhere = 1 << 40, 1 << 41
	createDirect := func(a, b int64) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			c := store.NewDirectChat(a, b, noon)
			return tx.CreateChat(&c)
		}
	}
	nextSeq := func(userID, chatID int64) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := tx.NextSeq(userID, chatID, 1, noon)
			return err
		}
	}
	for _, c := range []struct {
		name string
		fn   func(*store.Tx) error
		want error
	}{
		{"CreateUser, key taken", func(tx *store.Tx) error {
			return tx.CreateUser(&store.User{Username: "ADA", UsernameKey: "ada", CreatedAt: noon})
		}, store.ErrConflict},
		{"FindUserByKey", func(tx *store.Tx) error {
			_, err := tx.FindUserByKey("ADA") // keys are compared as they are
			return err
		}, store.ErrNotFound},
		{"FindUserByID", func(tx *store.Tx) error {
			_, err := tx.FindUserByID(nobody)
			return err
		}, store.ErrNotFound},
		{"CreateSession, token taken", func(tx *store.Tx) error {
			return tx.CreateSession(&store.Session{TokenHash: hash("token"), UserID: bob.ID, CreatedAt: noon, ExpiresAt: noon})
		}, store.ErrConflict},
		{"FindSessionByTokenHash", func(tx *store.Tx) error {
			_, err := tx.FindSessionByTokenHash(hash("another token"))
			return err
		}, store.ErrNotFound},
		{"RefreshSession", func(tx *store.Tx) error { return tx.RefreshSession(store.Session{ID: nobody}, hash("refresh")) }, store.ErrNotFound},
		{"TouchSession", func(tx *store.Tx) error { return tx.TouchSession(store.Session{ID: nobody, ExpiresAt: noon}) }, store.ErrNotFound},
		{"ReplaceKey", func(tx *store.Tx) error { return tx.ReplaceKey(bob.ID, nobody, hash("new")) }, store.ErrNotFound},
		{"CreateChat, of two who have one", createDirect(ada.ID, bob.ID), store.ErrConflict},
		{"CreateChat, the other way round", createDirect(bob.ID, ada.ID), store.ErrConflict},
		{"CreateChat, second with oneself", createDirect(ada.ID, ada.ID), store.ErrConflict},
		{"FindChatByID", func(tx *store.Tx) error {
			_, err := tx.FindChatByID(nowhere)
			return err
		}, store.ErrNotFound},
		{"FindDirectChat", func(tx *store.Tx) error {
			_, err := tx.FindDirectChat(bob.ID, bob.ID)
			return err
		}, store.ErrNotFound},
		{"FindChatOf, of others", func(tx *store.Tx) error {
			_, err := tx.FindChatOf(bob.ID, group.ID)
			return err
		}, store.ErrNotFound},
		{"FindChatOf, no such chat", func(tx *store.Tx) error {
			_, err := tx.FindChatOf(bob.ID, nowhere)
			return err
		}, store.ErrNotFound},
		{"NextSeq, of others", nextSeq(bob.ID, group.ID), store.ErrNotFound},
		{"NextSeq, no such chat", nextSeq(ada.ID, nowhere), store.ErrNotFound},
		{"AddParticipant, is in it", func(tx *store.Tx) error {
			return tx.AddParticipant(group.ID, ada.ID, store.Member, noon)
		}, store.ErrConflict},
		{"AddParticipant, no such chat", func(tx *store.Tx) error {
			return tx.AddParticipant(nowhere, ada.ID, store.Member, noon)
		}, store.ErrNotFound},
		{"RemoveParticipant, is not in it", func(tx *store.Tx) error {
			return tx.RemoveParticipant(group.ID, bob.ID)
		}, store.ErrNotFound},
		{"RemoveParticipant, no such chat", func(tx *store.Tx) error {
			return tx.RemoveParticipant(nowhere, ada.ID)
		}, store.ErrNotFound},
		{"CreateMessage, client id used", func(tx *store.Tx) error {
			return tx.CreateMessage(&store.Message{
				ChatID: group.ID, Seq: 2, SenderID: ada.ID, Text: "other text", ClientID: "key", CreatedAt: noon,
			})
		}, store.ErrConflict},
		{"FindMessageByClientID, of another", func(tx *store.Tx) error {
			_, err := tx.FindMessageByClientID(bob.ID, "key")
			return err
		}, store.ErrNotFound},
		{"FindMessageByClientID, no such", func(tx *store.Tx) error {
			_, err := tx.FindMessageByClientID(ada.ID, "another key")
			return err
		}, store.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorIs(t, s.Update(t.Context(), c.fn), c.want)
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				for _, chatID := range []int64{group.ID, nowhere} { // as it must, before it writes
					if err := tx.LockChat(ada.ID, chatID); err != nil && !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				u := store.User{Username: "written", UsernameKey: "written", CreatedAt: noon}
				if err := tx.CreateUser(&u); err != nil {
					return err
				}
				if err := tx.AppendEvent(store.Event{Type: store.ChatCreated, At: noon}); err != nil {
					return err
				}
				return c.fn(tx)
			})
			require.ErrorIs(t, err, c.want)
			err = s.View(t.Context(), func(tx *store.Tx) error {
				_, err := tx.FindUserByKey("written")
				return err
			})
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	}

	// What points nowhere is a defect of the caller's, and is not stored either.
	for name, fn := range map[string]func(*store.Tx) error{
		"AddParticipant, no such user": func(tx *store.Tx) error { return tx.AddParticipant(group.ID, nobody, store.Member, noon) },
		"CreateSession, no such user": func(tx *store.Tx) error {
			return tx.CreateSession(&store.Session{TokenHash: hash("stray"), UserID: nobody, CreatedAt: noon, ExpiresAt: noon})
		},
		"CreateMessage, no such chat": func(tx *store.Tx) error {
			return tx.CreateMessage(&store.Message{ChatID: nowhere, Seq: 1, SenderID: ada.ID, CreatedAt: noon})
		},
		"CreateMessage, no such sender": func(tx *store.Tx) error {
			return tx.CreateMessage(&store.Message{ChatID: group.ID, Seq: 2, SenderID: nobody, CreatedAt: noon})
		},
		"CreateChat, no such kind": func(tx *store.Tx) error {
			return tx.CreateChat(&store.Chat{Kind: "channel", Visibility: store.Private, ManagedBy: store.ByMembers, CreatedAt: noon})
		},
		"CreateChat, no such visibility": func(tx *store.Tx) error {
			return tx.CreateChat(&store.Chat{Kind: store.GroupChat, Visibility: "secret", ManagedBy: store.ByMembers, CreatedAt: noon})
		},
		"CreateChat, managed by nobody": func(tx *store.Tx) error {
			return tx.CreateChat(&store.Chat{Kind: store.GroupChat, Visibility: store.Private, CreatedAt: noon})
		},
		"AddParticipant, no such role": func(tx *store.Tx) error { return tx.AddParticipant(group.ID, bob.ID, "guest", noon) },
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Update(t.Context(), fn)
			require.Error(t, err)
			require.NotErrorIs(t, err, store.ErrConflict)
			require.NotErrorIs(t, err, store.ErrUnavailable)
		})
	}
	require.Len(t, messagesOf(t, s, group.ID), 1)

	update(t, s, func(tx *store.Tx) error {
		return tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: group.ID, ActorID: ada.ID, At: noon})
	})
	require.Len(t, handed.wait(t, 1), 1, "no event of a refused Update was handed on")
}

// lists holds the two lists of messages to a model: random people in random
// chats who talk, and then leave.
func lists(t *testing.T, open opener) {
	s := open(t, store.Options{})
	var people []store.User
	for i := range 3 {
		people = append(people, newUser(t, s, fmt.Sprintf("user %d", i)))
	}
	rapid.Check(t, func(t *rapid.T) {
		// Each case has chats of its own; what the cases before it have left
		// are messages of other chats.
		chatCount := rapid.IntRange(1, 4).Draw(t, "chats")
		type saying struct{ chat, sender int }
		var sayings []saying
		for range rapid.IntRange(0, 40).Draw(t, "messages") {
			sayings = append(sayings, saying{
				chat:   rapid.IntRange(0, chatCount-1).Draw(t, "chat"),
				sender: rapid.IntRange(0, len(people)-1).Draw(t, "sender"),
			})
		}
		stays := make([][]bool, chatCount)
		for chat := range stays {
			stays[chat] = rapid.SliceOfN(rapid.Bool(), len(people), len(people)).Draw(t, "who stays")
		}

		var chats []store.Chat
		var sent []store.Message
		leave := func(tx *store.Tx, who func(chat, user int) bool) error {
			for chat, c := range chats {
				for user, u := range people {
					if !who(chat, user) {
						continue
					}
					if err := tx.RemoveParticipant(c.ID, u.ID); err != nil {
						return err
					}
				}
			}
			return nil
		}
		err := s.Update(context.Background(), func(tx *store.Tx) error {
			chats, sent = nil, nil
			for range chatCount {
				c := store.NewGroup("", noon)
				if err := tx.CreateChat(&c); err != nil {
					return err
				}
				for _, u := range people {
					if err := tx.AddParticipant(c.ID, u.ID, store.Member, noon); err != nil {
						return err
					}
				}
				chats = append(chats, c)
			}
			for i, said := range sayings {
				sender := people[said.sender]
				c, err := tx.NextSeq(sender.ID, chats[said.chat].ID, 1, noon)
				if err != nil {
					return err
				}
				m := store.Message{
					ChatID: c.ID, ChatKind: store.GroupChat, Seq: c.LastSeq,
					SenderID: sender.ID, SenderUsername: sender.Username,
					// The order is that of the ids, whatever the clock says.
					Text: fmt.Sprint("message ", i), CreatedAt: noon.Add(-time.Duration(i) * time.Hour),
				}
				if err := tx.CreateMessage(&m); err != nil {
					return err
				}
				sent = append(sent, m)
			}
			return leave(tx, func(chat, user int) bool { return !stays[chat][user] })
		})
		require.NoError(t, err)
		defer func() { // nobody takes their chats into the next case
			err := s.Update(context.Background(), func(tx *store.Tx) error {
				return leave(tx, func(chat, user int) bool { return stays[chat][user] })
			})
			require.NoError(t, err)
		}()

		bound := func(label string) int64 {
			if len(sent) == 0 {
				return rapid.Int64Range(0, 2).Draw(t, label)
			}
			return rapid.SampledFrom(sent).Draw(t, label).ID + rapid.Int64Range(-1, 1).Draw(t, label+" moved")
		}
		for range 5 {
			span := store.Span{Before: math.MaxInt64, FromEnd: rapid.Bool().Draw(t, "from end")}
			if rapid.Bool().Draw(t, "after") {
				span.After = bound("after id")
			}
			if rapid.Bool().Draw(t, "before") {
				span.Before = bound("before id")
			}
			limit := rapid.IntRange(1, 50).Draw(t, "limit")
			want := func(sees func(store.Message) bool) (page []store.Message) {
				for _, m := range sent {
					if sees(m) && m.ID > span.After && m.ID < span.Before {
						page = append(page, m)
					}
				}
				switch {
				case len(page) <= limit:
					return page
				case span.FromEnd:
					return page[len(page)-limit:]
				default:
					return page[:limit]
				}
			}
			chat := rapid.IntRange(0, chatCount-1).Draw(t, "list of chat")
			user := rapid.IntRange(0, len(people)-1).Draw(t, "list of user")
			var ofChat, ofUser []store.Message
			err := s.View(context.Background(), func(tx *store.Tx) (err error) {
				if ofChat, err = tx.ListChatMessages(0, chats[chat].ID, span, limit); err != nil {
					return err
				}
				ofUser, err = tx.ListMessagesOf(people[user].ID, span, limit)
				return err
			})
			require.NoError(t, err)
			require.Equal(t, want(func(m store.Message) bool { return m.ChatID == chats[chat].ID }), ofChat)
			require.Equal(t, want(func(m store.Message) bool {
				return stays[slices.IndexFunc(chats, func(c store.Chat) bool { return c.ID == m.ChatID })][user]
			}), ofUser)
		}
	})
}

// seq counts 1, 2, 3… in each chat, whoever talks at once and whatever fails
// in between.
func seq(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	groups := []store.Chat{newGroup(t, s, ada, bob), newGroup(t, s, ada, bob)}
	const talkers, each = 16, 24
	const stored int64 = talkers * each / 2 * 3 / 4 // of a group
	var wg sync.WaitGroup
	failures := make(chan error, talkers*each)
	for talker := range talkers {
		wg.Go(func() {
			for i := range each {
				group := groups[(talker+i/4)%2]
				fails := i%4 == 3
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					if _, err := post(tx, group.ID, ada.ID, "text"); err != nil {
						return err
					}
					if fails {
						return errOwn
					}
					return nil
				})
				if fails != errors.Is(err, errOwn) || !fails && err != nil {
					failures <- fmt.Errorf("talker %d, message %d: %w", talker, i, err)
				}
			}
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	for _, group := range groups {
		all := messagesOf(t, s, group.ID)
		require.Len(t, all, int(stored))
		for i, m := range all {
			require.EqualValues(t, i+1, m.Seq, "in the order of their ids")
		}
		view(t, s, func(tx *store.Tx) error {
			c, err := tx.FindChatByID(group.ID)
			require.NoError(t, err)
			require.Equal(t, stored, c.LastSeq)
			return nil
		})
	}

	// NextSeq answers with the chat as it is then.
	var next store.Chat
	update(t, s, func(tx *store.Tx) (err error) {
		next, err = tx.NextSeq(bob.ID, groups[0].ID, 1, noon)
		return err
	})
	want := groups[0]
	want.LastSeq = stored + 1
	require.Equal(t, want, next)
}

func views(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	postOne := func(text string) {
		update(t, s, func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, text)
			return err
		})
	}
	postOne("before")

	t.Run("is a snapshot", func(t *testing.T) {
		view(t, s, func(tx *store.Tx) error {
			list := func() []string {
				found, err := tx.ListMessagesOf(ada.ID, store.Span{Before: math.MaxInt64}, 10)
				require.NoError(t, err)
				return texts(found)
			}
			require.Equal(t, []string{"before"}, list())
			postOne("meanwhile") // a View holds no Update up
			require.Equal(t, []string{"before"}, list())
			c, err := tx.FindChatOf(ada.ID, group.ID)
			require.NoError(t, err)
			require.EqualValues(t, 1, c.LastSeq)
			return nil
		})
		require.Equal(t, []string{"before", "meanwhile"}, texts(messagesOf(t, s, group.ID)))
	})
	for name, view := range map[string]func(context.Context, func(*store.Tx) error) error{
		"View": s.View, "ViewOne": s.ViewOne,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("returns the error of its function", func(t *testing.T) {
				require.Equal(t, errOwn, view(t.Context(), func(*store.Tx) error { return errOwn }))
			})
			t.Run("lets a panic through", func(t *testing.T) {
				for range 100 { // more than there are connections
					require.PanicsWithValue(t, "boom", func() {
						_ = view(t.Context(), func(*store.Tx) error { panic("boom") })
					})
				}
				require.Len(t, messagesOf(t, s, group.ID), 2)
			})
			t.Run("of a context that has ended", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				err := view(ctx, func(tx *store.Tx) error {
					_, err := tx.FindUserByID(ada.ID)
					return err
				})
				require.ErrorIs(t, err, context.Canceled)
			})
			t.Run("whose context ends in the middle", func(t *testing.T) {
				// At any moment: the client has gone, and that is no defect.
				for range 100 {
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					err := view(ctx, func(tx *store.Tx) error {
						for range 10_000 {
							if _, err := tx.ListMessagesOf(ada.ID, store.Span{Before: math.MaxInt64}, 10); err != nil {
								return err
							}
						}
						return nil
					})
					require.ErrorIs(t, err, context.Canceled)
				}
			})
		})
	}
}

// writes tries every method that writes: alone in an Update that fails, and in
// a View.
func writes(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada)
	session := newSession(t, s, ada, "token", noon)
	waiting := newMail(t, s, "notice", ada, noon)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.NotePlace(ada.ID, hash("place"), noon, 1); err != nil {
			return err
		}
		return tx.CreateBlock(store.Block{BlockerID: bob.ID, BlockedID: ada.ID, CreatedAt: noon})
	})
	type state struct {
		user, stray, direct, bobIn string
		ada                        store.User
		blocks                     []store.Block
		session                    store.Session
		places                     []store.Place
		mails                      int
		nextMail                   time.Time
		chat                       store.Chat
		last                       int64
	}
	look := func() (found state) {
		t.Helper()
		view(t, s, func(tx *store.Tx) (err error) {
			_, err = tx.FindUserByKey("written")
			found.user = fmt.Sprint(err)
			_, err = tx.FindSessionByTokenHash(hash("written"))
			found.stray = fmt.Sprint(err)
			_, err = tx.FindDirectChat(ada.ID, bob.ID)
			found.direct = fmt.Sprint(err)
			_, err = tx.FindChatOf(bob.ID, group.ID)
			found.bobIn = fmt.Sprint(err)
			if found.session, err = tx.FindSessionByTokenHash(hash("token")); err != nil {
				return err
			}
			if found.ada, err = tx.FindUserByID(ada.ID); err != nil {
				return err
			}
			if found.places, err = tx.ListPlacesOf(ada.ID, time.Time{}); err != nil {
				return err
			}
			if found.mails, found.nextMail, err = tx.MailQueue(); err != nil {
				return err
			}
			for _, u := range []store.User{ada, bob} {
				made, err := tx.ListBlocks(u.ID, 10, 0)
				if err != nil {
					return err
				}
				found.blocks = append(found.blocks, made...)
			}
			if found.chat, err = tx.FindChatOf(ada.ID, group.ID); err != nil {
				return err
			}
			found.last, err = tx.LastMessageID()
			return err
		})
		return found
	}
	before := look()
	for name, fn := range map[string]func(*store.Tx) error{
		"UpdateUser": func(tx *store.Tx) error {
			_, err := tx.UpdateUser(ada.ID, store.UserChange{About: &session.Username})
			return err
		},
		"EraseUser": func(tx *store.Tx) error { return tx.EraseUser(ada.ID, "gone", "gone", noon) },
		"DeleteSessionsOf": func(tx *store.Tx) error {
			_, err := tx.DeleteSessionsOf(ada.ID, 0)
			return err
		},
		"SetLastSeen": func(tx *store.Tx) error {
			return tx.SetLastSeen([]store.Presence{{UserID: ada.ID, LastSeenAt: noon}})
		},
		"PruneEvents": func(tx *store.Tx) error {
			_, err := tx.PruneEvents(noon.Add(time.Hour), 10)
			return err
		},
		"CreateBlock": func(tx *store.Tx) error {
			return tx.CreateBlock(store.Block{BlockerID: ada.ID, BlockedID: bob.ID, CreatedAt: noon})
		},
		"DeleteBlock":    func(tx *store.Tx) error { return tx.DeleteBlock(bob.ID, ada.ID) },
		"DeleteBlocksOf": func(tx *store.Tx) error { return tx.DeleteBlocksOf(bob.ID) },
		"CreateUser": func(tx *store.Tx) error {
			return tx.CreateUser(&store.User{Username: "written", UsernameKey: "written", CreatedAt: noon})
		},
		"CreateSession": func(tx *store.Tx) error {
			return tx.CreateSession(&store.Session{TokenHash: hash("written"), UserID: ada.ID, CreatedAt: noon, ExpiresAt: noon})
		},
		"TouchSession": func(tx *store.Tx) error {
			return tx.TouchSession(store.Session{ID: session.ID, ExpiresAt: noon.Add(time.Hour)})
		},
		"DeleteSessionByTokenHash": func(tx *store.Tx) error {
			_, _, err := tx.DeleteSessionByTokenHash(hash("token"))
			return err
		},
		"DeleteExpiredSessions": func(tx *store.Tx) error { return tx.DeleteExpiredSessions(noon, 10) },
		"NotePlace":             func(tx *store.Tx) error { return tx.NotePlace(ada.ID, hash("written"), noon, 1) },
		"DeletePlacesOf":        func(tx *store.Tx) error { return tx.DeletePlacesOf(ada.ID) },
		"DeleteOldPlaces":       func(tx *store.Tx) error { return tx.DeleteOldPlaces(noon, 10) },
		"CreateMail": func(tx *store.Tx) error {
			return tx.CreateMail(&store.Mail{Kind: "written", UserID: ada.ID, CreatedAt: noon})
		},
		"ClaimMail": func(tx *store.Tx) error {
			_, err := tx.ClaimMail(noon, noon.Add(time.Hour))
			return err
		},
		"PostponeMail":  func(tx *store.Tx) error { return tx.PostponeMail(waiting, noon.Add(time.Hour)) },
		"HastenMails":   func(tx *store.Tx) error { return tx.HastenMails(noon.Add(-1000), noon.Add(-time.Hour)) },
		"DeleteMail":    func(tx *store.Tx) error { return tx.DeleteMail(waiting.ID) },
		"DeleteMailsOf": func(tx *store.Tx) error { return tx.DeleteMailsOf(ada.ID, "") },
		"CreateChat": func(tx *store.Tx) error {
			c := store.NewDirectChat(ada.ID, bob.ID, noon)
			return tx.CreateChat(&c)
		},
		"AddParticipant":    func(tx *store.Tx) error { return tx.AddParticipant(group.ID, bob.ID, store.Member, noon) },
		"RemoveParticipant": func(tx *store.Tx) error { return tx.RemoveParticipant(group.ID, ada.ID) },
		"NextSeq": func(tx *store.Tx) error {
			_, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
			return err
		},
		"CreateMessage": func(tx *store.Tx) error {
			return tx.CreateMessage(&store.Message{ChatID: group.ID, Seq: 1, SenderID: ada.ID, CreatedAt: noon})
		},
		"AppendEvent": func(tx *store.Tx) error {
			return tx.AppendEvent(store.Event{Type: store.ChatCreated, At: noon})
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				if err := fn(tx); err != nil {
					return err
				}
				return errOwn
			})
			require.Equal(t, errOwn, err)
			require.Equal(t, before, look())
			require.Error(t, s.View(t.Context(), fn))
			require.Equal(t, before, look())
			require.Error(t, s.ViewOne(t.Context(), fn))
			require.Equal(t, before, look())
		})
	}
}

func updates(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)

	t.Run("sees what it has written", func(t *testing.T) {
		var found []store.Message
		update(t, s, func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "one"); err != nil {
				return err
			}
			if _, err := post(tx, group.ID, ada.ID, "two"); err != nil {
				return err
			}
			var err error
			found, err = tx.ListMessagesOf(ada.ID, store.Span{Before: math.MaxInt64}, 10)
			return err
		})
		require.Equal(t, []string{"one", "two"}, texts(found))
	})
	t.Run("that fails stores nothing", func(t *testing.T) {
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "three"); err != nil {
				return err
			}
			if err := tx.RemoveParticipant(group.ID, ada.ID); err != nil {
				return err
			}
			return errOwn
		})
		require.Equal(t, errOwn, err)
		require.Equal(t, []string{"one", "two"}, texts(messagesOf(t, s, group.ID)))
	})
	t.Run("with nothing to write", func(t *testing.T) {
		require.NoError(t, s.Update(t.Context(), func(*store.Tx) error { return nil }))
		require.Equal(t, errOwn, s.Update(t.Context(), func(*store.Tx) error { return errOwn }))
	})
	t.Run("is seen by the next View", func(t *testing.T) {
		for i := range 20 {
			text := fmt.Sprint(i)
			update(t, s, func(tx *store.Tx) error {
				_, err := post(tx, group.ID, ada.ID, text)
				return err
			})
			all := texts(messagesOf(t, s, group.ID))
			require.Equal(t, text, all[len(all)-1])
		}
	})
	t.Run("hands on its events as they were appended", func(t *testing.T) {
		all := handed.wait(t, 22)
		require.Len(t, all, 22)
		stored := messagesOf(t, s, group.ID)
		for i, e := range all {
			m := stored[i]
			m.ChatKind, m.SenderUsername = "", "" // read only
			require.Equal(t, store.Event{
				ID: e.ID, Type: store.MessageCreated, ChatID: group.ID, ActorID: ada.ID, Message: &m, At: noon,
			}, e)
		}
	})
}

// panics belong to the goroutine that asked, and cost nobody else anything.
func panics(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	for name, fn := range map[string]func(*store.Tx) error{
		"at once": func(*store.Tx) error { panic("boom") },
		"after it has written": func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
				return err
			}
			panic("boom")
		},
		"with an error": func(*store.Tx) error { panic(fmt.Errorf("boom: %w", errOwn)) },
	} {
		t.Run(name, func(t *testing.T) {
			var recovered any
			func() {
				defer func() { recovered = recover() }()
				_ = s.Update(t.Context(), fn)
			}()
			require.Contains(t, fmt.Sprint(recovered), "boom")
		})
	}
	update(t, s, func(tx *store.Tx) error {
		_, err := post(tx, group.ID, ada.ID, "kept")
		return err
	})
	require.Equal(t, []string{"kept"}, texts(messagesOf(t, s, group.ID)))
	require.Len(t, handed.wait(t, 1), 1)
}

func contexts(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)

	t.Run("ended before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := s.Update(ctx, func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, "not run")
			return err
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, messagesOf(t, s, group.ID))
	})
	t.Run("ends while it runs", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "one"); err != nil {
				return err
			}
			cancel()
			_, err := post(tx, group.ID, ada.ID, "two")
			return err
		})
		want := []string{"one", "two"} // all or nothing
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			want = []string{}
		}
		require.Equal(t, want, texts(messagesOf(t, s, group.ID)))
	})
	t.Run("ends behind the last statement", func(t *testing.T) {
		want := len(messagesOf(t, s, group.ID))
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Update(ctx, func(tx *store.Tx) error {
			defer cancel()
			_, err := post(tx, group.ID, ada.ID, "three")
			return err
		})
		if err == nil {
			want++
		} else {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Len(t, messagesOf(t, s, group.ID), want)
	})
}

// commitOrder has many write at once, of whom some fail, panic, or lose
// interest: the events that are handed on, and those in the log, are those of
// what was stored; and the log has them in the order in which it was.
func commitOrder(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)

	const writers, each = 32, 24
	const ok, fails, panics, twoEvents, gone, goes = 0, 1, 2, 3, 4, 5
	attempt := func(text string, outcome int) (err error) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		switch outcome {
		case panics:
			defer func() {
				if p := recover(); p != nil {
					err = errPanicked
				}
			}()
		case gone:
			cancel()
		case goes:
			go cancel()
		}
		return s.Update(ctx, func(tx *store.Tx) error {
			m, err := post(tx, group.ID, ada.ID, text)
			if err != nil {
				return err
			}
			switch outcome {
			case fails:
				return errOwn
			case panics:
				panic("boom")
			case twoEvents:
				return tx.AppendEvent(store.Event{
					Type: store.ParticipantAdded, ChatID: group.ID, ActorID: ada.ID, UserID: m.Seq, At: noon,
				})
			}
			return nil
		})
	}
	var mu sync.Mutex
	var stored []string
	var unexpected []error
	wantEvents := 0
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			for i := range each {
				outcome := i % 8
				text := fmt.Sprint(writer, ".", i)
				err := attempt(text, outcome)
				var want error
				switch {
				case outcome == fails:
					want = errOwn
				case outcome == panics:
					want = errPanicked
				case outcome == gone, outcome == goes && err != nil:
					want = context.Canceled
				}
				mu.Lock()
				if !errors.Is(err, want) {
					unexpected = append(unexpected, fmt.Errorf("outcome %d: %w", outcome, err))
				}
				if err == nil {
					stored = append(stored, text)
					wantEvents++
					if outcome == twoEvents {
						wantEvents++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Empty(t, unexpected)
	require.GreaterOrEqual(t, len(stored), writers*each/2, "outcomes %d, %d, 6 and 7", ok, twoEvents)

	all := logOf(t, s, wantEvents)
	told := handed.wait(t, wantEvents)
	for _, e := range told {
		if e.Message != nil { // the log adds what is read only
			e.Message.ChatKind, e.Message.SenderUsername = store.GroupChat, "ada"
		}
	}
	require.ElementsMatch(t, told, all)
	require.Len(t, all, wantEvents)
	var announced []string
	for i, e := range all {
		if i > 0 {
			require.Greater(t, e.ID, all[i-1].ID)
		}
		if e.Type == store.MessageCreated {
			announced = append(announced, e.Message.Text)
			require.EqualValues(t, len(announced), e.Message.Seq)
		} else {
			require.Equal(t, all[i-1].Message.Seq, e.UserID, "the events of an Update stay together")
		}
	}
	require.ElementsMatch(t, stored, announced)
	require.Equal(t, announced, texts(messagesOf(t, s, group.ID)))
}

// followers read the log while it is written to, in many chats at once. Each
// of them sees each event once, those of a chat in the order of their seq, and
// all see the same order.
func followers(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada := newUser(t, s, "ada")
	const groups, writers, each = 4, 12, 40
	var chats []store.Chat
	for range groups {
		chats = append(chats, newGroup(t, s, ada))
	}
	var writing, reading sync.WaitGroup
	failures := make(chan error, writers+2)
	for writer := range writers {
		writing.Go(func() {
			for i := range each {
				if err := s.Update(context.Background(), func(tx *store.Tx) error {
					_, err := post(tx, chats[(writer+i)%groups].ID, ada.ID, fmt.Sprint(writer, ".", i))
					return err
				}); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	logs := make([][]store.Event, 2)
	for follower := range logs {
		reading.Go(func() {
			last := int64(0)
			for len(logs[follower]) < writers*each {
				var found []store.Event
				if err := s.ViewOne(t.Context(), func(tx *store.Tx) (err error) {
					found, err = tx.ListEvents(last, 7+follower)
					return err
				}); err != nil {
					failures <- err
					return
				}
				logs[follower] = append(logs[follower], found...)
				if len(found) > 0 {
					last = found[len(found)-1].ID
				}
			}
		})
	}
	writing.Wait()
	reading.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.Equal(t, logs[0], logs[1])
	require.Equal(t, logs[0], logOf(t, s, writers*each))
	seqs := map[int64]int64{}
	for _, e := range logs[0] {
		seqs[e.ChatID]++
		require.Equal(t, seqs[e.ChatID], e.Message.Seq)
	}
	for _, c := range chats {
		require.EqualValues(t, writers*each/groups, seqs[c.ID])
	}
}

// locks are taken before anything is written, and hold to the end.
func locks(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group, other := newGroup(t, s, ada, bob), newGroup(t, s, ada, bob)

	t.Run("what is read under it stays true", func(t *testing.T) {
		// Each puts bob in if he is out, and out if he is in. Had one of them
		// looked before another wrote, it would fail.
		var wg sync.WaitGroup
		failures := make(chan error, 16)
		for range cap(failures) {
			wg.Go(func() {
				failures <- s.Update(context.Background(), func(tx *store.Tx) error {
					if err := tx.LockChat(ada.ID, group.ID); err != nil {
						return err
					}
					_, err := tx.FindChatOf(bob.ID, group.ID)
					if errors.Is(err, store.ErrNotFound) {
						return tx.AddParticipant(group.ID, bob.ID, store.Member, noon)
					}
					if err != nil {
						return err
					}
					return tx.RemoveParticipant(group.ID, bob.ID)
				})
			})
		}
		wg.Wait()
		close(failures)
		for err := range failures {
			require.NoError(t, err)
		}
	})
	t.Run("a removal and a send", func(t *testing.T) {
		// Who has been removed sends nothing that would come after the removal.
		events := 0
		for range 20 {
			var wg sync.WaitGroup
			var sent, removed error
			wg.Go(func() {
				sent = s.Update(context.Background(), func(tx *store.Tx) error {
					_, err := post(tx, other.ID, bob.ID, "text")
					return err
				})
			})
			wg.Go(func() {
				removed = s.Update(context.Background(), func(tx *store.Tx) error {
					if err := tx.LockChat(ada.ID, other.ID); err != nil {
						return err
					}
					if err := tx.RemoveParticipant(other.ID, bob.ID); err != nil {
						return err
					}
					return tx.AppendEvent(store.Event{
						Type: store.ParticipantRemoved, ChatID: other.ID, ActorID: ada.ID, UserID: bob.ID, At: noon,
					})
				})
			})
			wg.Wait()
			require.NoError(t, removed)
			events++
			if sent == nil {
				events++
			} else {
				require.ErrorIs(t, sent, store.ErrNotFound)
			}
			all := logOf(t, s, events)
			require.Len(t, all, events)
			require.Equal(t, store.ParticipantRemoved, all[len(all)-1].Type)
			update(t, s, func(tx *store.Tx) error { return tx.AddParticipant(other.ID, bob.ID, store.Member, noon) })
		}
	})
	t.Run("comes first", func(t *testing.T) {
		update(t, s, func(tx *store.Tx) error {
			for range 2 {
				for _, c := range []store.Chat{group, other} {
					if err := tx.LockChat(ada.ID, c.ID); err != nil {
						return err
					}
				}
			}
			_, err := post(tx, other.ID, ada.ID, "text")
			return err
		})
		require.Error(t, s.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "text"); err != nil {
				return err
			}
			return tx.LockChat(ada.ID, other.ID)
		}))
	})
}

// closing a store that is in use.
func closing(t *testing.T, open opener) {
	handed := &events{}
	s := open(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)

	var mu sync.Mutex
	var answered []string
	var refused []error
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for writer := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprint(writer, ".", i)
				err := s.Update(context.Background(), func(tx *store.Tx) error {
					_, err := post(tx, group.ID, ada.ID, text)
					return err
				})
				mu.Lock()
				if err == nil {
					if answered = append(answered, text); len(answered) == 64 {
						close(enough)
					}
				} else {
					refused = append(refused, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	receive(t, enough)

	reading, goOn := make(chan struct{}), make(chan struct{})
	viewed, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		viewed <- s.View(context.Background(), func(tx *store.Tx) error {
			if _, err := tx.FindUserByID(ada.ID); err != nil {
				return err
			}
			close(reading)
			<-goOn
			_, err := tx.FindChatOf(ada.ID, group.ID)
			return err
		})
	}()
	receive(t, reading)
	go func() { closed <- s.Close() }()
	wg.Wait() // for all writers to be refused
	for _, err := range refused {
		require.ErrorIs(t, err, store.ErrUnavailable)
	}
	close(goOn)
	require.NoError(t, receive(t, viewed), "a View that has begun is finished")
	require.NoError(t, receive(t, closed))

	// What was answered was stored and handed on, and nothing else.
	announced := []string{}
	for _, e := range handed.wait(t, len(answered)) {
		announced = append(announced, e.Message.Text)
	}
	require.ElementsMatch(t, answered, announced)

	look := func(tx *store.Tx) error {
		_, err := tx.LastMessageID()
		return err
	}
	require.ErrorIs(t, s.Update(t.Context(), look), store.ErrUnavailable)
	require.ErrorIs(t, s.View(t.Context(), look), store.ErrUnavailable)
	require.ErrorIs(t, s.ViewOne(t.Context(), look), store.ErrUnavailable)
}
