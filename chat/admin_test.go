package chat_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var (
	operator       = chat.Operator("test")
	adminRequired  = refusal{chat.Forbidden, "admin_required", ""}
	noSuchAccount  = refusal{chat.NotFound, "user_not_found", ""}
	noSuchGroup    = refusal{chat.NotFound, "group_not_found", ""}
	usernameIsHeld = refusal{chat.Conflict, "username_taken", "username"}
)

// admin is a user who is one.
func (r *rules) admin(tb reporter, username string) chat.Caller {
	tb.Helper()
	user, err := r.CreateAccount(context.Background(), operator,
		chat.NewAccount{Profile: chat.Profile{Username: &username}, Admin: true}, "")
	require.NoError(tb, err)
	return chat.Caller{UserID: user.ID, Username: user.Username, Admin: true, Address: "192.0.2.7"}
}

// session stores one of a user, and returns its id.
func (r *rules) session(tb reporter, user chat.Caller, token string, expires time.Time) int64 {
	tb.Helper()
	s := store.Session{UserID: user.UserID, TokenHash: []byte(token), CreatedAt: time.Now(), ExpiresAt: expires}
	require.NoError(tb, r.store.Update(context.Background(), func(tx *store.Tx) error { return tx.CreateSession(&s) }))
	return s.ID
}

// sessions are the ids of those of a user.
func (r *rules) sessions(tb reporter, user chat.Caller) []int64 {
	tb.Helper()
	sessions, err := r.Sessions(context.Background(), operator, user.UserID, 100, 0)
	require.NoError(tb, err)
	ids := []int64{}
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// audited lists what the audit log has got behind an entry, oldest first, without
// ids and times.
func (r *rules) audited(tb reporter, behind int64) []chat.AuditEntry {
	tb.Helper()
	newest, err := r.AuditLog(context.Background(), operator, chat.AuditFilter{}, 500)
	require.NoError(tb, err)
	entries := []chat.AuditEntry{}
	for _, e := range slices.Backward(newest) {
		if e.ID > behind {
			e.ID, e.CreatedAt = 0, time.Time{}
			entries = append(entries, e)
		}
	}
	return entries
}

// lastAudited is the id of the last entry.
func (r *rules) lastAudited(tb reporter) int64 {
	tb.Helper()
	newest, err := r.AuditLog(context.Background(), operator, chat.AuditFilter{}, 1)
	require.NoError(tb, err)
	require.Len(tb, newest, 1)
	return newest[0].ID
}

// An owner of a group is no admin, and who was one is none any more.
func TestAdminRulesAreForAdmins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		session := r.session(t, bob, "token", time.Now().Add(time.Hour))
		before := r.lastAudited(t)
		r.committed()
		ctx := t.Context()
		for name, ask := range map[string]func() error{
			"CreateAccount": func() error {
				_, err := r.CreateAccount(ctx, alice, chat.NewAccount{Profile: chat.Profile{Username: new("eve")}}, "")
				return err
			},
			"Accounts": func() error { _, err := r.Accounts(ctx, alice, chat.Filter{}); return err },
			"Account":  func() error { _, err := r.Account(ctx, alice, alice.UserID); return err },
			"UpdateAccount": func() error {
				_, err := r.UpdateAccount(ctx, alice, alice.UserID, chat.AccountChange{Admin: new(true)})
				return err
			},
			"GrantAdmin":     func() error { _, err := r.GrantAdmin(ctx, alice, []string{"alice"}); return err },
			"DeleteAccount":  func() error { return r.DeleteAccount(ctx, alice, bob.UserID) },
			"Sessions":       func() error { _, err := r.Sessions(ctx, alice, bob.UserID, 10, 0); return err },
			"EndSessions":    func() error { return r.EndSessions(ctx, alice, bob.UserID) },
			"EndSession":     func() error { return r.EndSession(ctx, alice, bob.UserID, session) },
			"AllGroups":      func() error { _, err := r.AllGroups(ctx, alice, 10, 0); return err },
			"DeleteAnyGroup": func() error { return r.DeleteAnyGroup(ctx, alice, group.ID) },
			"AuditLog":       func() error { _, err := r.AuditLog(ctx, alice, chat.AuditFilter{}, 10); return err },
		} {
			t.Run(name, func(t *testing.T) {
				requireRefusal(t, adminRequired, ask())
				require.Empty(t, r.audited(t, before))
				require.Empty(t, r.committed())
			})
		}
	})
}

// The rights of an admin are not over chats.
func TestAdminsReadNoChats(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"})
		for _, chatID := range []int64{group.ID, direct.ChatID} {
			_, err := r.ChatMessages(t.Context(), root, chatID, chat.Page{})
			requireRefusal(t, notAParticipant, err)
			_, err = r.Send(t.Context(), root, chat.Draft{ChatID: chatID, Text: "hi"})
			requireRefusal(t, notAParticipant, err)
		}
		_, err := r.AddParticipant(t.Context(), root, group.ID, "root", "")
		requireRefusal(t, notAParticipant, err)
	})
}

func TestCreateAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root := r.admin(t, "root")
		before := r.lastAudited(t)
		account := chat.NewAccount{
			Profile: chat.Profile{
				Username: new("Dave"), DisplayName: new(" Dave "), Email: new("dave@example.com"), Presence: new(chat.PresenceHidden),
			},
			PasswordHash: "hash", Admin: true,
		}
		dave, err := r.CreateAccount(t.Context(), root, account, "key")
		require.NoError(t, err)
		require.Equal(t, chat.User{
			ID: dave.ID, Username: "Dave", UsernameKey: "dave", PasswordHash: "hash", DisplayName: "Dave",
			Email: "dave@example.com", Admin: true, PresenceHidden: true, CreatedAt: dave.CreatedAt,
		}, dave)
		found, err := r.Account(t.Context(), root, dave.ID)
		require.NoError(t, err)
		require.Equal(t, dave, found)

		again, err := r.CreateAccount(t.Context(), root, account, "key")
		require.NoError(t, err)
		require.Equal(t, dave.ID, again.ID, "the same request")
		require.Equal(t, dave.CreatedAt, again.CreatedAt)
		_, err = r.CreateAccount(t.Context(), root, account, "")
		requireRefusal(t, usernameIsHeld, err)
		account.Email = new("nonsense")
		_, err = r.CreateAccount(t.Context(), root, account, "")
		requireRefusal(t, refusal{chat.Invalid, "email_invalid", "email"}, err)
		_, err = r.CreateAccount(t.Context(), root, chat.NewAccount{}, "")
		requireRefusal(t, refusal{chat.Invalid, "username_missing", "username"}, err)

		require.Equal(t, []chat.AuditEntry{
			{Action: chat.AdminUserCreated, ActorID: root.UserID, UserID: dave.ID, Address: root.Address},
			{Action: chat.AdminGranted, ActorID: root.UserID, UserID: dave.ID, Address: root.Address},
		}, r.audited(t, before))
	})
}

func TestUpdateAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, other := r.admin(t, "root"), r.admin(t, "other")
		alice, gone := r.user(t, "alice"), r.user(t, "gone")
		require.NoError(t, r.DeleteMe(t.Context(), gone))
		entry := func(action, detail string) chat.AuditEntry {
			return chat.AuditEntry{Action: action, ActorID: root.UserID, UserID: alice.UserID, Address: root.Address, Detail: detail}
		}
		for _, step := range []struct {
			name   string
			change chat.AccountChange
			ends   bool // the sessions
			want   []chat.AuditEntry
		}{
			{"nothing", chat.AccountChange{}, false, nil},
			{"what it is", chat.AccountChange{
				Profile: chat.Profile{Username: new("alice"), About: new("")}, Admin: new(false), Deactivated: new(false),
			}, false, nil},
			{"fields", chat.AccountChange{Profile: chat.Profile{
				Username: new("Alicia"), DisplayName: new("secret"), Email: new("secret@example.com"), Locale: new("uk"), About: new("secret"),
			}}, false, []chat.AuditEntry{entry(chat.AdminUserUpdated, "username, display_name, email, locale, about")}},
			{"one field", chat.AccountChange{Profile: chat.Profile{Username: new("alice"), About: new("secret")}}, false,
				[]chat.AuditEntry{entry(chat.AdminUserUpdated, "username")}},
			{"admin", chat.AccountChange{Admin: new(true)}, false, []chat.AuditEntry{entry(chat.AdminGranted, "")}},
			{"no admin", chat.AccountChange{Admin: new(false)}, false, []chat.AuditEntry{entry(chat.AdminRevoked, "")}},
			{"password", chat.AccountChange{PasswordHash: new("hash")}, true, []chat.AuditEntry{entry(chat.AdminPasswordReset, "")}},
			{"deactivated", chat.AccountChange{Deactivated: new(true)}, true, []chat.AuditEntry{entry(chat.AdminUserDeactivated, "")}},
			{"again", chat.AccountChange{Deactivated: new(true)}, false, nil},
			{"reactivated", chat.AccountChange{Deactivated: new(false)}, false, []chat.AuditEntry{entry(chat.AdminUserReactivated, "")}},
			{"all at once", chat.AccountChange{
				Profile: chat.Profile{About: new("")}, PasswordHash: new("hash"), Admin: new(true), Deactivated: new(true),
			}, true, []chat.AuditEntry{
				entry(chat.AdminUserUpdated, "about"), entry(chat.AdminPasswordReset, ""),
				entry(chat.AdminUserDeactivated, ""), entry(chat.AdminGranted, ""),
			}},
		} {
			t.Run(step.name, func(t *testing.T) {
				session := r.session(t, alice, step.name, time.Now().Add(time.Hour))
				mine := r.session(t, root, "root's "+step.name, time.Now().Add(time.Hour))
				before := r.lastAudited(t)
				user, err := r.UpdateAccount(t.Context(), root, alice.UserID, step.change)
				require.NoError(t, err)
				found, err := r.Account(t.Context(), root, alice.UserID)
				require.NoError(t, err)
				require.Equal(t, found, user)
				if step.want == nil {
					step.want = []chat.AuditEntry{}
				}
				require.Equal(t, step.want, r.audited(t, before))
				if step.ends {
					require.Empty(t, r.sessions(t, alice))
				} else {
					require.Contains(t, r.sessions(t, alice), session)
				}
				require.Contains(t, r.sessions(t, root), mine, "another's are left alone")
			})
		}

		before := r.lastAudited(t)
		for name, c := range map[string]struct {
			id     int64
			change chat.AccountChange
			want   refusal
		}{
			"nobody":               {9999, chat.AccountChange{Admin: new(true)}, noSuchAccount},
			"deleted":              {gone.UserID, chat.AccountChange{Admin: new(true)}, noSuchAccount},
			"username taken":       {alice.UserID, chat.AccountChange{Profile: chat.Profile{Username: new("OTHER")}}, usernameIsHeld},
			"field":                {alice.UserID, chat.AccountChange{Profile: chat.Profile{Email: new("x")}}, refusal{chat.Invalid, "email_invalid", "email"}},
			"no admin any more":    {root.UserID, chat.AccountChange{Admin: new(false)}, refusal{chat.Invalid, "cannot_change_self", "admin"}},
			"my own password":      {root.UserID, chat.AccountChange{PasswordHash: new("hash")}, refusal{chat.Invalid, "cannot_change_self", "password"}},
			"my own address":       {root.UserID, chat.AccountChange{Profile: chat.Profile{Email: new("root@example.com")}}, refusal{chat.Invalid, "cannot_change_self", "email"}},
			"to deactivate myself": {root.UserID, chat.AccountChange{Deactivated: new(true)}, refusal{chat.Invalid, "cannot_change_self", "deactivated"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.UpdateAccount(t.Context(), root, c.id, c.change)
				requireRefusal(t, c.want, err)
				require.Empty(t, r.audited(t, before))
			})
		}
		me, err := r.UpdateAccount(t.Context(), root, root.UserID, chat.AccountChange{
			Profile: chat.Profile{About: new("me")}, Admin: new(true), Deactivated: new(false),
		})
		require.NoError(t, err)
		require.True(t, me.Admin)
		them, err := r.UpdateAccount(t.Context(), root, other.UserID, chat.AccountChange{Admin: new(false)})
		require.NoError(t, err)
		require.False(t, them.Admin, "another may")
	})
}

func TestGrantAdmin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		before := r.lastAudited(t)
		by := chat.Operator("configuration")
		for range 2 { // the second time there is nothing to do
			missing, err := r.GrantAdmin(t.Context(), by, []string{"nobody", "ALICE", "no one"})
			require.NoError(t, err)
			require.Equal(t, []string{"nobody", "no one"}, missing)
		}
		for _, c := range []struct {
			caller chat.Caller
			admin  bool
		}{{alice, true}, {bob, false}} {
			user, err := r.Account(t.Context(), operator, c.caller.UserID)
			require.NoError(t, err)
			require.Equal(t, c.admin, user.Admin)
		}
		require.Equal(t, []chat.AuditEntry{
			{Action: chat.AdminGranted, UserID: alice.UserID, Detail: "configuration"},
		}, r.audited(t, before))
	})
}

func TestDeleteAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		group, direct := r.group(t, bob, alice), r.open(t, alice, bob)
		r.session(t, alice, "token", time.Now().Add(time.Hour))
		before := r.lastAudited(t)
		r.committed()

		requireRefusal(t, refusal{chat.Invalid, "cannot_change_self", ""}, r.DeleteAccount(t.Context(), root, root.UserID))
		requireRefusal(t, noSuchAccount, r.DeleteAccount(t.Context(), root, 9999))
		require.NoError(t, r.DeleteAccount(t.Context(), root, alice.UserID))
		requireRefusal(t, noSuchAccount, r.DeleteAccount(t.Context(), root, alice.UserID))

		_, err := r.Account(t.Context(), root, alice.UserID)
		requireRefusal(t, noSuchAccount, err)
		_, err = r.Sessions(t.Context(), root, alice.UserID, 10, 0)
		requireRefusal(t, noSuchAccount, err)
		requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), alice, group.ID))
		events := r.committed()
		require.Len(t, events, 3)
		for i, want := range []store.Event{
			{Type: store.ParticipantRemoved, ChatID: group.ID},
			{Type: store.SessionEnded},
			{Type: store.UserUpdated, ChatID: direct.ID, Data: `{"deleted":true}`},
		} {
			want.ID, want.At, want.ActorID, want.UserID = events[i].ID, events[i].At, root.UserID, alice.UserID
			require.Equal(t, want, events[i])
		}
		require.Equal(t, []chat.AuditEntry{
			{Action: chat.AdminUserDeleted, ActorID: root.UserID, UserID: alice.UserID, Address: root.Address},
		}, r.audited(t, before))
	})
}

func TestEndSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		soon := time.Now().Add(time.Hour)
		first, second := r.session(t, alice, "first", soon), r.session(t, alice, "second", soon)
		r.session(t, alice, "over", time.Now().Add(-time.Hour))
		bobs := r.session(t, bob, "of bob", soon)
		require.Equal(t, []int64{first, second}, r.sessions(t, alice))
		before := r.lastAudited(t)

		noSuchSession := refusal{chat.NotFound, "session_not_found", ""}
		requireRefusal(t, noSuchSession, r.EndSession(t.Context(), root, alice.UserID, bobs))
		requireRefusal(t, noSuchSession, r.EndSession(t.Context(), root, alice.UserID, 9999))
		requireRefusal(t, noSuchAccount, r.EndSession(t.Context(), root, 9999, first))
		requireRefusal(t, noSuchAccount, r.EndSessions(t.Context(), root, 9999))
		require.NoError(t, r.EndSession(t.Context(), root, alice.UserID, first))
		require.Equal(t, []int64{second}, r.sessions(t, alice))
		require.NoError(t, r.EndSessions(t.Context(), root, alice.UserID))
		require.Empty(t, r.sessions(t, alice))
		require.Equal(t, []int64{bobs}, r.sessions(t, bob))

		ended := chat.AuditEntry{Action: chat.AdminSessionsEnded, ActorID: root.UserID, UserID: alice.UserID, Address: root.Address}
		require.Equal(t, []chat.AuditEntry{ended, ended}, r.audited(t, before))
	})
}

func TestDeleteAnyGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		group, other, empty := r.group(t, alice, bob), r.group(t, bob), r.group(t, bob)
		require.NoError(t, r.RemoveParticipant(t.Context(), bob, empty.ID, "bob"))
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		groups, err := r.AllGroups(t.Context(), root, 10, 0)
		require.NoError(t, err)
		require.Len(t, groups, 3)
		require.Equal(t, 2, groups[0].ParticipantCount)
		before := r.lastAudited(t)
		r.committed()

		for _, id := range []int64{0, 9999, direct} {
			requireRefusal(t, noSuchGroup, r.DeleteAnyGroup(t.Context(), root, id))
		}
		require.Empty(t, r.committed())
		require.NoError(t, r.DeleteAnyGroup(t.Context(), root, group.ID))
		told := []int64{}
		for _, e := range r.committed() {
			require.Equal(t, store.ChatDeleted, e.Type)
			require.Equal(t, group.ID, e.ChatID)
			require.Equal(t, root.UserID, e.ActorID)
			told = append(told, e.UserID)
		}
		require.ElementsMatch(t, []int64{alice.UserID, bob.UserID}, told)
		requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), alice, group.ID))
		require.NoError(t, r.RequireParticipant(t.Context(), bob, other.ID))
		require.NoError(t, r.DeleteAnyGroup(t.Context(), root, empty.ID), "nobody is in it")
		require.Equal(t, []chat.AuditEntry{
			{Action: chat.AdminGroupDeleted, ActorID: root.UserID, ChatID: group.ID, Address: root.Address},
			{Action: chat.AdminGroupDeleted, ActorID: root.UserID, ChatID: empty.ID, Address: root.Address},
		}, r.audited(t, before))
	})
}

// While people send, leave and come, an admin deletes their group.
func TestDeleteAnyGroupConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		root, alice, bob := r.admin(t, "root"), r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice, bob)
		errs := atOnce(8, func(i int) (err error) {
			switch i {
			case 0:
				return r.DeleteAnyGroup(context.Background(), root, group.ID)
			case 1:
				err = r.RemoveParticipant(context.Background(), alice, group.ID, "alice")
			default:
				_, err = r.Send(context.Background(), bob, chat.Draft{ChatID: group.ID, Text: "hi"})
			}
			return err
		})
		require.NoError(t, errs[0])
		for _, err := range errs {
			if err != nil {
				requireRefusal(t, notAParticipant, err)
			}
		}
		requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), bob, group.ID))
	})
}

// There is always an admin, whoever takes it from whom.
func TestLastAdmin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		last := refusal{chat.Conflict, "last_admin", ""}
		no, yes := false, true
		for i := range 10 {
			pair := [2]chat.Caller{r.admin(t, fmt.Sprintf("one%d", i)), r.admin(t, fmt.Sprintf("other%d", i))}
			errs := atOnce(2, func(i int) error {
				_, err := r.UpdateAccount(t.Context(), pair[i], pair[1-i].UserID, chat.AccountChange{Admin: &no})
				return err
			})
			kept, refused := pair[0], errs[1]
			if errs[0] != nil {
				kept, refused = pair[1], errs[0]
			}
			require.True(t, errs[0] == nil || errs[1] == nil)
			requireRefusal(t, last, refused)
			_, err := r.UpdateAccount(t.Context(), operator, kept.UserID, chat.AccountChange{Deactivated: &yes})
			requireRefusal(t, last, err)
			requireRefusal(t, last, r.DeleteMe(t.Context(), kept))
			next := r.admin(t, fmt.Sprintf("next%d", i))
			require.NoError(t, r.DeleteMe(t.Context(), kept))
			// For the next round there is none but those two.
			require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.UpdateUser(next.UserID, store.UserChange{Admin: &no})
				return err
			}))
		}
	})
}

// What is asked on behalf of an account that has just been deleted.
func TestGone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		bob := r.user(t, "bob")
		gone := refusal{chat.Unauthenticated, "unauthenticated", ""}
		require.NoError(t, r.DeleteMe(t.Context(), bob))
		requireRefusal(t, gone, r.DeleteMe(t.Context(), bob))
		about := "me"
		_, err := r.UpdateMe(t.Context(), bob, chat.Profile{About: &about})
		requireRefusal(t, gone, err)
		_, err = r.Me(t.Context(), bob)
		requireRefusal(t, gone, err)
	})
}
