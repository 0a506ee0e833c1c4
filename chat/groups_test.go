package chat_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var (
	groupAdminRequired = refusal{chat.Forbidden, "group_admin_required", ""}
	ownerRequired      = refusal{chat.Forbidden, "owner_required", ""}
	alreadyIn          = refusal{chat.Conflict, "already_a_participant", ""}
)

// happened is what an event tells, but for its place and its time.
type happened struct {
	what  string
	actor chat.Caller
	to    chat.Caller
	data  string
}

// requireEvents holds the events since they were asked for last to what should
// have happened in a chat.
func (r *rules) requireEvents(tb testing.TB, chatID int64, want ...happened) {
	tb.Helper()
	got := r.committed()
	require.Len(tb, got, len(want))
	for i, w := range want {
		require.False(tb, got[i].At.IsZero())
		require.Equal(tb, store.Event{
			ID: got[i].ID, Type: w.what, ChatID: chatID, ActorID: w.actor.UserID, UserID: w.to.UserID, Data: w.data, At: got[i].At,
		}, got[i])
	}
}

// created is what is told of a new chat.
func created(kind string, participants ...chat.Caller) string {
	var ids []string
	for _, p := range participants {
		ids = append(ids, strconv.FormatInt(p.UserID, 10))
	}
	return fmt.Sprintf(`{"kind":%q,"participants":[%s]}`, kind, strings.Join(ids, ","))
}

// cast is a group with somebody in each role, and somebody outside.
type cast struct {
	group                                       chat.Chat
	owner, admin, deputy, member, other, nobody chat.Caller
}

func (c cast) named(name string) chat.Caller {
	return map[string]chat.Caller{
		"owner": c.owner, "admin": c.admin, "deputy": c.deputy, "member": c.member, "other": c.other, "nobody": c.nobody,
	}[name]
}

func (r *rules) cast(tb testing.TB, managedBy string) cast {
	tb.Helper()
	c := cast{
		owner: r.person(tb), admin: r.person(tb), deputy: r.person(tb),
		member: r.person(tb), other: r.person(tb), nobody: r.person(tb),
	}
	c.group = r.group(tb, c.owner, c.member, c.other, c.admin, c.deputy)
	for _, p := range []chat.Caller{c.admin, c.deputy} {
		_, err := r.SetRole(tb.Context(), c.owner, c.group.ID, p.Username, store.Admin)
		require.NoError(tb, err)
	}
	_, err := r.UpdateGroup(tb.Context(), c.owner, c.group.ID, chat.GroupChange{ManagedBy: &managedBy})
	require.NoError(tb, err)
	r.committed()
	return c
}

// roles are those of all who are in a chat.
func (r *rules) roles(tb reporter, chatID int64) map[int64]string {
	tb.Helper()
	roles := map[int64]string{}
	require.NoError(tb, r.store.View(context.Background(), func(tx *store.Tx) error {
		all, err := tx.ListParticipants(chatID, 1000, 0)
		for _, p := range all {
			roles[p.UserID] = p.Role
		}
		return err
	}))
	return roles
}

func TestNewGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		for name, c := range map[string]struct {
			wanted  chat.NewGroup
			want    chat.Chat
			refused *refusal
		}{
			"nothing said": {
				want: chat.Chat{Visibility: store.Private, ManagedBy: store.ByMembers},
			},
			"all said": {
				wanted: chat.NewGroup{Title: "Ops", Description: " a\nb 🙂 ", Visibility: store.Public, ManagedBy: store.ByAdmins},
				want:   chat.Chat{Title: "Ops", Description: "a\nb 🙂", Visibility: store.Public, ManagedBy: store.ByAdmins},
			},
			"longest description": {
				wanted: chat.NewGroup{Description: strings.Repeat("名", 1000)},
				want:   chat.Chat{Description: strings.Repeat("名", 1000), Visibility: store.Private, ManagedBy: store.ByMembers},
			},
			"description too long": {
				wanted:  chat.NewGroup{Description: strings.Repeat("x", 1001)},
				refused: &refusal{chat.Invalid, "description_too_long", "description"},
			},
			"description with a control character": {
				wanted:  chat.NewGroup{Description: "a\x00"},
				refused: &refusal{chat.Invalid, "description_invalid", "description"},
			},
			"no such visibility": {
				wanted:  chat.NewGroup{Visibility: "Public"},
				refused: &refusal{chat.Invalid, "visibility_invalid", "visibility"},
			},
			"nobody to manage it": {
				wanted:  chat.NewGroup{ManagedBy: "owner"},
				refused: &refusal{chat.Invalid, "managed_by_invalid", "managed_by"},
			},
		} {
			t.Run(name, func(t *testing.T) {
				r.committed()
				group, err := r.CreateGroup(t.Context(), alice, c.wanted)
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					require.Empty(t, r.committed())
					return
				}
				require.NoError(t, err)
				r.requireEvents(t, group.ID, happened{what: store.ChatCreated, actor: alice, data: created(store.GroupChat, alice)})
				c.want.ID, c.want.Kind = group.ID, store.GroupChat
				c.want.CreatedAt, c.want.ActiveAt = group.CreatedAt, group.CreatedAt
				require.Equal(t, chat.Group{Chat: c.want, ParticipantCount: 1, Role: store.Owner}, group)
				found, err := r.Group(t.Context(), alice, group.ID)
				require.NoError(t, err)
				require.Equal(t, group, found)
			})
		}
		t.Run("once with a key", func(t *testing.T) {
			first, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: "first", Key: "k"})
			require.NoError(t, err)
			r.committed()
			again, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Title: "second", Key: "k"})
			require.NoError(t, err)
			require.Equal(t, first, again)
			require.Empty(t, r.committed())
			theirs, err := r.CreateGroup(t.Context(), bob, chat.NewGroup{Title: "second", Key: "k"})
			require.NoError(t, err)
			require.NotEqual(t, first.ID, theirs.ID)
		})
		t.Run("once with a key, at once", func(t *testing.T) {
			ids := make([]int64, 4)
			for _, err := range atOnce(len(ids), func(i int) error {
				group, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Key: "race"})
				ids[i] = group.ID
				return err
			}) {
				require.NoError(t, err)
			}
			for _, id := range ids {
				require.Equal(t, ids[0], id)
			}
		})
	})
}

func TestLookAtGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		private, public := r.group(t, alice, bob), r.group(t, alice, bob)
		_, err := r.UpdateGroup(t.Context(), alice, public.ID, chat.GroupChange{Visibility: new(store.Public)})
		require.NoError(t, err)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID

		for name, c := range map[string]struct {
			caller  chat.Caller
			chatID  int64
			role    string
			refused *refusal
		}{
			"one's own":             {bob, private.ID, store.Member, nil},
			"one's own, public":     {alice, public.ID, store.Owner, nil},
			"public":                {eve, public.ID, "", nil},
			"private":               {eve, private.ID, "", &notAParticipant},
			"unknown":               {eve, 9999, "", &notAParticipant},
			"direct chat":           {bob, direct, "", &notAGroup},
			"direct chat of others": {eve, direct, "", &notAParticipant},
		} {
			t.Run(name, func(t *testing.T) {
				group, err := r.Group(t.Context(), c.caller, c.chatID)
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.chatID, group.ID)
				require.Equal(t, c.role, group.Role)
				require.Equal(t, 2, group.ParticipantCount)
			})
		}
		t.Run("a public group shows who is in it to those who are", func(t *testing.T) {
			_, err := r.Participants(t.Context(), eve, public.ID, 10, 0)
			requireRefusal(t, notAParticipant, err)
			found, err := r.Participants(t.Context(), bob, public.ID, 10, 0)
			require.NoError(t, err)
			require.Len(t, found, 2)
			require.Equal(t, []string{"alice", store.Owner}, []string{found[0].Username, found[0].Role})
			require.Equal(t, []string{"bob", store.Member}, []string{found[1].Username, found[1].Role})
		})
		t.Run("the list has the public ones and one's own", func(t *testing.T) {
			for caller, want := range map[chat.Caller]int{alice: 2, bob: 2, eve: 1} {
				found, err := r.Groups(t.Context(), caller, 10, 0)
				require.NoError(t, err)
				require.Len(t, found, want)
			}
		})
	})
}

func TestUpdateGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		c := r.cast(t, store.ByMembers)
		for _, u := range []struct {
			name    string
			by      chat.Caller
			change  chat.GroupChange
			refused *refusal
			told    string // of the event; none, if it is empty
		}{
			{name: "the owner", by: c.owner, change: chat.GroupChange{Title: new(" Ops "), Description: new("a\nb")}, told: `{"description":"a\nb","title":"Ops"}`},
			{name: "nothing", by: c.owner},
			{name: "the same", by: c.admin, change: chat.GroupChange{Title: new("Ops"), Visibility: new(store.Private)}},
			{name: "an admin", by: c.admin, change: chat.GroupChange{Title: new("Ops"), Visibility: new(store.Public)}, told: `{"visibility":"public"}`},
			{name: "who manages it, an admin", by: c.admin, change: chat.GroupChange{ManagedBy: new(store.ByAdmins)}, refused: &ownerRequired},
			{name: "empty", by: c.owner, change: chat.GroupChange{Title: new(""), ManagedBy: new(store.ByAdmins)}, told: `{"managed_by":"admins","title":""}`},
			{name: "a member", by: c.member, change: chat.GroupChange{Title: new("x")}, refused: &groupAdminRequired},
			{name: "an outsider", by: c.nobody, change: chat.GroupChange{Title: new("x")}, refused: &notAParticipant},
			{name: "a bad title", by: c.owner, change: chat.GroupChange{Title: new("a\nb"), Description: new("x")}, refused: &refusal{chat.Invalid, "title_invalid", "title"}},
			{name: "visibility", by: c.owner, change: chat.GroupChange{Visibility: new("")}, refused: &refusal{chat.Invalid, "visibility_invalid", "visibility"}},
		} {
			t.Run(u.name, func(t *testing.T) {
				before, err := r.Group(t.Context(), c.owner, c.group.ID)
				require.NoError(t, err)
				group, err := r.UpdateGroup(t.Context(), u.by, c.group.ID, u.change)
				if u.refused != nil {
					requireRefusal(t, *u.refused, err)
					group = before
				} else {
					require.NoError(t, err)
					require.Equal(t, 5, group.ParticipantCount)
				}
				after, err := r.Group(t.Context(), c.owner, c.group.ID)
				require.NoError(t, err)
				require.Equal(t, group.Chat, after.Chat)
				if u.told == "" {
					require.Equal(t, before, after)
					require.Empty(t, r.committed())
					return
				}
				var told []store.Event
				for _, e := range r.committed() {
					told = append(told, store.Event{Type: e.Type, ActorID: e.ActorID, ChatID: e.ChatID})
					require.JSONEq(t, u.told, e.Data)
				}
				require.Equal(t, []store.Event{{Type: store.ChatUpdated, ActorID: u.by.UserID, ChatID: c.group.ID}}, told)
			})
		}
		direct := r.send(t, c.owner, chat.Draft{To: c.member.Username, Text: "hi"}).ChatID
		_, err := r.UpdateGroup(t.Context(), c.owner, direct, chat.GroupChange{Title: new("x")})
		requireRefusal(t, notAGroup, err)
	})
}

func TestDeleteGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		c := r.cast(t, store.ByMembers)
		_, err := r.UpdateGroup(t.Context(), c.owner, c.group.ID, chat.GroupChange{Visibility: new(store.Public)})
		require.NoError(t, err)
		direct := r.send(t, c.owner, chat.Draft{To: c.member.Username, Text: "hi"}).ChatID
		requireRefusal(t, notAParticipant, r.DeleteGroup(t.Context(), c.nobody, c.group.ID))
		requireRefusal(t, ownerRequired, r.DeleteGroup(t.Context(), c.member, c.group.ID))
		requireRefusal(t, ownerRequired, r.DeleteGroup(t.Context(), c.admin, c.group.ID))
		requireRefusal(t, notAGroup, r.DeleteGroup(t.Context(), c.owner, direct))
		r.committed()

		require.NoError(t, r.DeleteGroup(t.Context(), c.owner, c.group.ID))
		told := map[int64]bool{}
		for _, e := range r.committed() {
			require.Equal(t, store.ChatDeleted, e.Type)
			require.Equal(t, c.owner.UserID, e.ActorID)
			told[e.UserID] = true
		}
		for _, p := range []chat.Caller{c.owner, c.admin, c.deputy, c.member, c.other} {
			require.True(t, told[p.UserID])
			requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), p, c.group.ID))
			_, err := r.Group(t.Context(), p, c.group.ID)
			requireRefusal(t, notAParticipant, err)
		}
		require.Len(t, told, 5)
		_, err = r.JoinGroup(t.Context(), c.nobody, c.group.ID, "")
		requireRefusal(t, notAParticipant, err)
		all, err := r.Groups(t.Context(), c.owner, 10, 0)
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

// Where the members manage a group, all are equal (contract 0). Where the admins
// do, none but them adds or removes, and none but the owner removes an admin.
func TestWhoManages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		for _, c := range []struct {
			managedBy, by, what, whom string
			refused                   *refusal
		}{
			{store.ByMembers, "member", "add", "nobody", nil},
			{store.ByMembers, "member", "remove", "other", nil},
			{store.ByMembers, "member", "remove", "admin", nil},
			{store.ByMembers, "member", "remove", "owner", nil},
			{store.ByMembers, "member", "invite", "", nil},
			{store.ByAdmins, "owner", "add", "nobody", nil},
			{store.ByAdmins, "owner", "remove", "admin", nil},
			{store.ByAdmins, "owner", "remove", "member", nil},
			{store.ByAdmins, "owner", "remove", "owner", nil},
			{store.ByAdmins, "admin", "add", "nobody", nil},
			{store.ByAdmins, "admin", "remove", "member", nil},
			{store.ByAdmins, "admin", "remove", "admin", nil},
			{store.ByAdmins, "admin", "remove", "deputy", &ownerRequired},
			{store.ByAdmins, "admin", "remove", "owner", &ownerRequired},
			{store.ByAdmins, "admin", "invite", "", nil},
			{store.ByAdmins, "member", "add", "nobody", &groupAdminRequired},
			{store.ByAdmins, "member", "add", "other", &groupAdminRequired},
			{store.ByAdmins, "member", "remove", "other", &groupAdminRequired},
			{store.ByAdmins, "member", "remove", "nobody", &groupAdminRequired},
			{store.ByAdmins, "member", "remove", "owner", &groupAdminRequired},
			{store.ByAdmins, "member", "remove", "member", nil},
			{store.ByAdmins, "member", "invite", "", &groupAdminRequired},
			{store.ByAdmins, "nobody", "remove", "nobody", &notAParticipant},
			{store.ByAdmins, "nobody", "add", "nobody", &notAParticipant},
			{store.ByMembers, "nobody", "invite", "", &notAParticipant},
		} {
			t.Run(fmt.Sprintf("%s: %s: %s %s", c.managedBy, c.by, c.what, c.whom), func(t *testing.T) {
				group := r.cast(t, c.managedBy)
				by, whom := group.named(c.by), group.named(c.whom)
				var err error
				switch c.what {
				case "add":
					var added chat.Participant
					added, err = r.AddParticipant(t.Context(), by, group.group.ID, whom.Username, "")
					if err == nil {
						require.Equal(t, store.Member, added.Role)
						require.Equal(t, whom.UserID, added.UserID)
					}
				case "remove":
					err = r.RemoveParticipant(t.Context(), by, group.group.ID, whom.Username)
				case "invite":
					_, err = r.CreateInvite(t.Context(), by, group.group.ID, chat.NewInvite{})
					_, listErr := r.Invites(t.Context(), by, group.group.ID)
					require.Equal(t, err, listErr)
				}
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					require.Empty(t, r.committed())
					require.Len(t, r.roles(t, group.group.ID), 5)
					return
				}
				require.NoError(t, err)
				_, in := r.roles(t, group.group.ID)[whom.UserID]
				require.Equal(t, c.what == "add", in)
			})
		}
	})
}

func TestSetRole(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		for name, c := range map[string]struct {
			by, whom, role string
			refused        *refusal
			handedOver     bool
			unchanged      bool
		}{
			"an admin more":             {by: "owner", whom: "member", role: store.Admin},
			"an admin less":             {by: "owner", whom: "admin", role: store.Member},
			"the same again":            {by: "owner", whom: "admin", role: store.Admin, unchanged: true},
			"the owner stays the owner": {by: "owner", whom: "owner", role: store.Owner, unchanged: true},
			"handed over to an admin":   {by: "owner", whom: "admin", role: store.Owner, handedOver: true},
			"handed over to a member":   {by: "owner", whom: "member", role: store.Owner, handedOver: true},
			"an owner steps down":       {by: "owner", whom: "owner", role: store.Member, refused: &refusal{chat.Invalid, "owner_needed", "role"}},
			"an admin makes an admin":   {by: "admin", whom: "member", role: store.Admin, refused: &ownerRequired},
			"an admin takes over":       {by: "admin", whom: "admin", role: store.Owner, refused: &ownerRequired},
			"an admin steps down":       {by: "admin", whom: "admin", role: store.Member, refused: &ownerRequired},
			"a member":                  {by: "member", whom: "member", role: store.Owner, refused: &ownerRequired},
			"an outsider":               {by: "nobody", whom: "member", role: store.Admin, refused: &notAParticipant},
			"to an outsider":            {by: "owner", whom: "nobody", role: store.Owner, refused: &refusal{chat.NotFound, "participant_not_found", "username"}},
			"no such role":              {by: "owner", whom: "member", role: "king", refused: &refusal{chat.Invalid, "role_invalid", "role"}},
			"no role":                   {by: "owner", whom: "member", role: "", refused: &refusal{chat.Invalid, "role_invalid", "role"}},
			"to nobody at all":          {by: "owner", whom: "nobody at all", role: store.Admin, refused: &noSuchUser},
		} {
			t.Run(name, func(t *testing.T) {
				group := r.cast(t, store.ByMembers)
				by, whom := group.named(c.by), group.named(c.whom)
				before := r.roles(t, group.group.ID)
				p, err := r.SetRole(t.Context(), by, group.group.ID, whom.Username, c.role)
				after := r.roles(t, group.group.ID)
				switch {
				case c.refused != nil:
					requireRefusal(t, *c.refused, err)
					require.Equal(t, before, after)
					require.Empty(t, r.committed())
					return
				case c.unchanged:
					require.Equal(t, before, after)
					require.Empty(t, r.committed())
				case c.handedOver:
					before[by.UserID], before[whom.UserID] = store.Admin, store.Owner
					r.requireEvents(t, group.group.ID,
						happened{store.ParticipantUpdated, by, by, `{"role":"admin"}`},
						happened{store.ParticipantUpdated, by, whom, `{"role":"owner"}`})
				default:
					before[whom.UserID] = c.role
					r.requireEvents(t, group.group.ID,
						happened{store.ParticipantUpdated, by, whom, `{"role":"` + c.role + `"}`})
				}
				require.NoError(t, err)
				require.Equal(t, before, after)
				require.Equal(t, c.role, p.Role)
				require.Equal(t, whom.Username, p.Username)
			})
		}
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		_, err := r.SetRole(t.Context(), alice, direct, bob.Username, store.Owner)
		requireRefusal(t, notAGroup, err)
	})
}

// However an owner goes, the longest-standing admin comes after them and, if there
// is none, the longest-standing member.
func TestHeir(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		// deputy was added after admin, other after member, all members before all
		// admins.
		goes := map[string]func(group cast, p chat.Caller, by chat.Caller) error{
			"leaves": func(group cast, p, _ chat.Caller) error {
				return r.RemoveParticipant(context.Background(), p, group.group.ID, p.Username)
			},
			"is removed": func(group cast, p, by chat.Caller) error {
				return r.RemoveParticipant(context.Background(), by, group.group.ID, p.Username)
			},
			"deletes the account": func(_ cast, p, _ chat.Caller) error {
				return r.DeleteMe(context.Background(), p)
			},
		}
		for name, goes := range goes {
			t.Run(name, func(t *testing.T) {
				group := r.cast(t, store.ByMembers)
				line := []chat.Caller{group.owner, group.admin, group.deputy, group.member, group.other}
				for i, p := range line[:4] {
					heir, actor := line[i+1], p
					if name == "is removed" {
						actor = group.other
					}
					require.NoError(t, goes(group, p, actor))
					r.requireEvents(t, group.group.ID,
						happened{what: store.ParticipantRemoved, actor: actor, to: p},
						happened{store.ParticipantUpdated, actor, heir, `{"role":"owner"}`})
					require.Equal(t, store.Owner, r.roles(t, group.group.ID)[heir.UserID])
				}
				last := group.other
				require.NoError(t, goes(group, last, last))
				r.requireEvents(t, group.group.ID, happened{what: store.ParticipantRemoved, actor: last, to: last})
				require.Empty(t, r.roles(t, group.group.ID))
			})
		}
		t.Run("who is no owner has no heir", func(t *testing.T) {
			group := r.cast(t, store.ByMembers)
			require.NoError(t, r.DeleteMe(t.Context(), group.admin))
			r.requireEvents(t, group.group.ID, happened{what: store.ParticipantRemoved, actor: group.admin, to: group.admin})
			require.Equal(t, store.Owner, r.roles(t, group.group.ID)[group.owner.UserID])
		})
	})
}

func TestJoinGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob, eve := r.user(t, "alice"), r.user(t, "bob"), r.user(t, "eve")
		group := r.group(t, alice)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "before"})

		_, err := r.JoinGroup(t.Context(), bob, group.ID, "")
		requireRefusal(t, notAParticipant, err)
		_, err = r.UpdateGroup(t.Context(), alice, group.ID, chat.GroupChange{
			Visibility: new(store.Public), ManagedBy: new(store.ByAdmins), // who joins is not added by anybody
		})
		require.NoError(t, err)
		require.NoError(t, ignore(r.Block(t.Context(), alice, "bob"))) // blocks don't matter here
		r.committed()

		joined, err := r.JoinGroup(t.Context(), bob, group.ID, "")
		require.NoError(t, err)
		require.Equal(t, store.Member, joined.Role)
		require.Equal(t, 2, joined.ParticipantCount)
		r.requireEvents(t, group.ID, happened{what: store.ParticipantAdded, actor: bob, to: bob})
		found, err := r.Group(t.Context(), bob, group.ID)
		require.NoError(t, err)
		require.Equal(t, joined, found)
		require.Len(t, r.chatMessages(t, bob, group.ID), 1)

		for name, c := range map[string]struct {
			caller chat.Caller
			chatID int64
			want   refusal
		}{
			"already in it":         {bob, group.ID, alreadyIn},
			"no such group":         {bob, 9999, notAParticipant},
			"direct chat":           {bob, direct, notAGroup},
			"direct chat of others": {eve, direct, notAParticipant},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := r.JoinGroup(t.Context(), c.caller, c.chatID, "")
				requireRefusal(t, c.want, err)
				require.Empty(t, r.committed())
			})
		}
		t.Run("many at once, each once", func(t *testing.T) {
			people := []chat.Caller{r.person(t), r.person(t), r.person(t), r.person(t)}
			in := 0
			for _, err := range atOnce(2*len(people), func(i int) error {
				return ignore(r.JoinGroup(t.Context(), people[i%len(people)], group.ID, ""))
			}) {
				if err == nil {
					in++
				} else {
					requireRefusal(t, alreadyIn, err)
				}
			}
			require.Equal(t, len(people), in)
			require.Len(t, r.committed(), in)
		})
		t.Run("whoever comes back to a group that all have left owns it", func(t *testing.T) {
			left := r.group(t, alice)
			_, err := r.UpdateGroup(t.Context(), alice, left.ID, chat.GroupChange{Visibility: new(store.Public)})
			require.NoError(t, err)
			require.NoError(t, r.RemoveParticipant(t.Context(), alice, left.ID, "alice"))
			r.committed()
			group, err := r.JoinGroup(t.Context(), eve, left.ID, "")
			require.NoError(t, err)
			require.Equal(t, store.Owner, group.Role)
			r.requireEvents(t, left.ID, happened{store.ParticipantAdded, eve, eve, `{"role":"owner"}`})
		})
	})
}

func ignore[T any](_ T, err error) error { return err }

// A group has one owner as long as anybody is in it, whatever happens to it.
func TestOneOwner(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		rapid.Check(t, func(t *rapid.T) {
			people := []chat.Caller{r.person(t), r.person(t), r.person(t), r.person(t)}
			group, err := r.CreateGroup(context.Background(), people[0], chat.NewGroup{Visibility: store.Public})
			require.NoError(t, err)
			gone := map[int64]bool{}
			someone := rapid.SampledFrom(people)
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				by, whom := someone.Draw(t, "by"), someone.Draw(t, "whom")
				if gone[by.UserID] {
					continue
				}
				ctx, err := context.Background(), error(nil)
				switch rapid.IntRange(0, 9).Draw(t, "what") {
				case 0, 1, 2:
					err = ignore(r.JoinGroup(ctx, by, group.ID, ""))
				case 3, 4:
					err = r.RemoveParticipant(ctx, by, group.ID, by.Username)
				case 5:
					err = r.RemoveParticipant(ctx, by, group.ID, whom.Username)
				case 6, 7, 8:
					role := rapid.SampledFrom([]string{store.Owner, store.Admin, store.Member}).Draw(t, "role")
					err = ignore(r.SetRole(ctx, by, group.ID, whom.Username, role))
				case 9:
					err = r.DeleteMe(ctx, by)
					gone[by.UserID] = true
				}
				if err != nil {
					require.NotNil(t, chat.AsError(err), err)
				}
				requireOneOwner(t, r.roles(t, group.ID))
			}
		})
	})
}

func requireOneOwner(tb reporter, roles map[int64]string) {
	tb.Helper()
	owners := 0
	for _, role := range roles {
		if role == store.Owner {
			owners++
		}
	}
	require.Equal(tb, min(1, len(roles)), owners, "%v", roles)
}

// The same, while all happens at once.
func TestOneOwnerConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		for range 5 {
			group := r.cast(t, store.ByMembers)
			id := group.group.ID
			all := []chat.Caller{group.owner, group.admin, group.deputy, group.member, group.other}
			for _, err := range atOnce(2*len(all), func(i int) error {
				p, next := all[i%len(all)], all[(i+1)%len(all)]
				switch {
				case i == 2:
					return r.DeleteMe(t.Context(), p)
				case i < len(all):
					return ignore(r.SetRole(t.Context(), p, id, next.Username, store.Owner))
				default:
					return r.RemoveParticipant(t.Context(), p, id, p.Username)
				}
			}) {
				if err != nil {
					require.NotNil(t, chat.AsError(err), err)
				}
			}
			requireOneOwner(t, r.roles(t, id))
		}
	})
}

// Who removes the owner does not come after them, and nobody does who may not sign
// in, as long as there is somebody else.
func TestHeirs(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		owner, first, second, third := r.user(t, "owner"), r.user(t, "first"), r.user(t, "second"), r.user(t, "third")
		group := r.group(t, owner, first, second, third)
		off := true
		_, err := r.UpdateAccount(t.Context(), operator, second.UserID, chat.AccountChange{Deactivated: &off})
		require.NoError(t, err)
		require.NoError(t, r.RemoveParticipant(t.Context(), first, group.ID, "owner"))
		require.Equal(t, store.Owner, r.roles(t, group.ID)[third.UserID])
		require.NoError(t, r.RemoveParticipant(t.Context(), first, group.ID, "third"))
		require.Equal(t, store.Owner, r.roles(t, group.ID)[first.UserID])
		require.NoError(t, r.RemoveParticipant(t.Context(), first, group.ID, "first"))
		require.Equal(t, store.Owner, r.roles(t, group.ID)[second.UserID], "there is nobody else")
	})
}

// The ways into a group.
func waysIn(r *rules, owner chat.Caller, group int64, token string) map[string]func(ctx context.Context, who chat.Caller, key string) error {
	return map[string]func(ctx context.Context, who chat.Caller, key string) error{
		"add": func(ctx context.Context, who chat.Caller, key string) error {
			return ignore(r.AddParticipant(ctx, owner, group, who.Username, key))
		},
		"join": func(ctx context.Context, who chat.Caller, key string) error {
			return ignore(r.JoinGroup(ctx, who, group, key))
		},
		"accept": func(ctx context.Context, who chat.Caller, key string) error {
			return ignore(r.AcceptInvite(ctx, who, token, key))
		},
	}
}

func TestFullGroup(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		r.SetMaxParticipants(5)
		alice := r.person(t)
		group, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Visibility: store.Public})
		require.NoError(t, err)
		invite, err := r.CreateInvite(t.Context(), alice, group.ID, chat.NewInvite{MaxUses: 5})
		require.NoError(t, err)
		ways := waysIn(r, alice, group.ID, invite.Token)
		for name, in := range ways {
			t.Run(name, func(t *testing.T) {
				in5 := len(r.roles(t, group.ID))
				var late []chat.Caller
				for range 6 {
					late = append(late, r.person(t))
				}
				for _, err := range atOnce(len(late), func(i int) error { return in(t.Context(), late[i], "") }) {
					if err == nil {
						in5++
						continue
					}
					requireRefusal(t, refusal{chat.Conflict, "group_full", ""}, err)
				}
				require.Equal(t, 5, in5)
				left := 0
				for _, p := range late { // there is room again
					if _, in := r.roles(t, group.ID)[p.UserID]; in {
						require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, p.Username))
						left++
					}
				}
				require.Equal(t, 4, left)
			})
		}
		require.Equal(t, 10_000, chat.MaxParticipants)
	})
}

// With a key, the first answer is given again, and nobody comes in twice.
func TestIntoGroupOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.person(t), r.person(t)
		group, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{Visibility: store.Public})
		require.NoError(t, err)
		invite, err := r.CreateInvite(t.Context(), alice, group.ID, chat.NewInvite{})
		require.NoError(t, err)
		for name, in := range waysIn(r, alice, group.ID, invite.Token) {
			t.Run(name, func(t *testing.T) {
				r.committed()
				for _, err := range atOnce(4, func(int) error { return in(t.Context(), bob, name) }) {
					require.NoError(t, err)
				}
				require.Len(t, r.committed(), 1)
				requireRefusal(t, refusal{chat.Invalid, "idempotency_key_invalid", "Idempotency-Key"}, in(t.Context(), bob, "\n"))
				require.Equal(t, chat.Conflict, chat.AsError(in(t.Context(), bob, "another")).Kind)
				require.NoError(t, r.RemoveParticipant(t.Context(), alice, group.ID, bob.Username))
				require.NoError(t, in(t.Context(), bob, name))
				require.NotContains(t, r.roles(t, group.ID), bob.UserID, "what was answered, not what was done")
			})
		}
		added, err := r.AddParticipant(t.Context(), alice, group.ID, bob.Username, "answer")
		require.NoError(t, err)
		again, err := r.AddParticipant(t.Context(), alice, group.ID, bob.Username, "answer")
		require.NoError(t, err)
		require.Equal(t, added, again)
	})
}
