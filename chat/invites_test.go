package chat_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var noInvite = refusal{chat.NotFound, "invite_not_found", ""}

func (r *rules) invite(tb testing.TB, by chat.Caller, chatID int64, n chat.NewInvite) chat.Invite {
	tb.Helper()
	invite, err := r.CreateInvite(tb.Context(), by, chatID, n)
	require.NoError(tb, err)
	return invite
}

func TestCreateInvite(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		group := r.group(t, alice)
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		badExpiry := refusal{chat.Invalid, "expires_in_invalid", "expires_in"}
		badUses := refusal{chat.Invalid, "max_uses_invalid", "max_uses"}
		for name, c := range map[string]struct {
			by      chat.Caller
			chatID  int64
			wanted  chat.NewInvite
			refused *refusal
		}{
			"nothing said":   {alice, group.ID, chat.NewInvite{}, nil},
			"the least":      {alice, group.ID, chat.NewInvite{ExpiresIn: time.Minute, MaxUses: 1}, nil},
			"the most":       {alice, group.ID, chat.NewInvite{ExpiresIn: 360 * 24 * time.Hour, MaxUses: 100_000}, nil},
			"too short":      {alice, group.ID, chat.NewInvite{ExpiresIn: time.Minute - 1}, &badExpiry},
			"over before":    {alice, group.ID, chat.NewInvite{ExpiresIn: -time.Hour}, &badExpiry},
			"too long":       {alice, group.ID, chat.NewInvite{ExpiresIn: 360*24*time.Hour + 1}, &badExpiry},
			"too many uses":  {alice, group.ID, chat.NewInvite{MaxUses: 100_001}, &badUses},
			"negative uses":  {alice, group.ID, chat.NewInvite{MaxUses: -1}, &badUses},
			"an outsider":    {bob, group.ID, chat.NewInvite{}, &notAParticipant},
			"no such group":  {alice, 9999, chat.NewInvite{}, &notAParticipant},
			"a direct chat":  {alice, direct, chat.NewInvite{}, &notAGroup},
			"not even a key": {alice, group.ID, chat.NewInvite{Key: "a\nb"}, &refusal{chat.Invalid, "idempotency_key_invalid", "Idempotency-Key"}},
		} {
			t.Run(name, func(t *testing.T) {
				invite, err := r.CreateInvite(t.Context(), c.by, c.chatID, c.wanted)
				if c.refused != nil {
					requireRefusal(t, *c.refused, err)
					return
				}
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(invite.Token), 22, "128 bits")
				require.Empty(t, strings.Trim(invite.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
				require.Equal(t, "alice", invite.Creator)
				require.Equal(t, c.wanted.MaxUses, invite.MaxUses)
				if c.wanted.ExpiresIn == 0 {
					require.Zero(t, invite.ExpiresAt)
				} else {
					require.Equal(t, invite.CreatedAt.Add(c.wanted.ExpiresIn), invite.ExpiresAt)
				}
				all, err := r.Invites(t.Context(), alice, group.ID)
				require.NoError(t, err)
				listed := all[len(all)-1]
				require.Empty(t, listed.Token, "it is told once")
				invite.Token = ""
				require.Equal(t, invite, listed)
			})
		}
		t.Run("once with a key, and the token again", func(t *testing.T) {
			first := r.invite(t, alice, group.ID, chat.NewInvite{MaxUses: 7, Key: "k"})
			again := r.invite(t, alice, group.ID, chat.NewInvite{Key: "k"})
			require.NotEmpty(t, first.Token)
			require.Equal(t, first.Token, again.Token)
			require.Equal(t, first.ID, again.ID)
			require.Equal(t, 7, again.MaxUses)
			other := r.group(t, alice)
			_, err := r.CreateInvite(t.Context(), alice, other.ID, chat.NewInvite{Key: "k"})
			requireRefusal(t, refusal{chat.Invalid, "idempotency_key_reused", "Idempotency-Key"}, err)
		})
		t.Run("not too many", func(t *testing.T) {
			full := r.group(t, alice)
			var first chat.Invite
			for i := range chat.MaxInvites {
				if invite := r.invite(t, alice, full.ID, chat.NewInvite{}); i == 0 {
					first = invite
				}
			}
			_, err := r.CreateInvite(t.Context(), alice, full.ID, chat.NewInvite{})
			requireRefusal(t, refusal{chat.Conflict, "too_many_invites", ""}, err)
			require.NoError(t, r.RevokeInvite(t.Context(), alice, full.ID, first.ID))
			r.invite(t, alice, full.ID, chat.NewInvite{})
		})
	})
}

func TestAcceptInvite(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		created, err := r.CreateGroup(t.Context(), alice, chat.NewGroup{
			Title: "Ops", Description: "on call", ManagedBy: store.ByAdmins,
		})
		require.NoError(t, err)
		group := created.ID
		uses := func(id int64) int {
			t.Helper()
			all, err := r.Invites(t.Context(), alice, group)
			require.NoError(t, err)
			for _, i := range all {
				if i.ID == id {
					return i.Uses
				}
			}
			require.Fail(t, "it is not listed")
			return 0
		}
		// dead is an invite whose token is of no use, in one of several ways.
		dead := map[string]func(t *testing.T) (token string){
			"revoked": func(t *testing.T) string {
				invite := r.invite(t, alice, group, chat.NewInvite{})
				require.NoError(t, r.RevokeInvite(t.Context(), alice, group, invite.ID))
				requireRefusal(t, noInvite, r.RevokeInvite(t.Context(), alice, group, invite.ID))
				return invite.Token
			},
			"used up": func(t *testing.T) string {
				invite := r.invite(t, alice, group, chat.NewInvite{MaxUses: 1})
				_, err := r.AcceptInvite(t.Context(), r.person(t), invite.Token, "")
				require.NoError(t, err)
				return invite.Token
			},
			"expired": func(t *testing.T) string {
				hash := sha256.Sum256([]byte("expired"))
				require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
					past := time.Now().Add(-time.Second)
					return tx.CreateInvite(&store.Invite{
						ChatID: group, TokenHash: hash[:], CreatorID: alice.UserID, CreatedAt: past.Add(-time.Hour), ExpiresAt: past,
					})
				}))
				return "expired"
			},
			"of a deleted group": func(t *testing.T) string {
				doomed := r.group(t, alice)
				invite := r.invite(t, alice, doomed.ID, chat.NewInvite{})
				require.NoError(t, r.DeleteGroup(t.Context(), alice, doomed.ID))
				return invite.Token
			},
			"unknown":     func(*testing.T) string { return strings.Repeat("A", 24) },
			"empty":       func(*testing.T) string { return "" },
			"no UTF-8":    func(*testing.T) string { return "\xff\x00" },
			"just a hash": func(*testing.T) string { h := sha256.Sum256([]byte("expired")); return string(h[:]) },
		}
		for name, dead := range dead {
			t.Run(name, func(t *testing.T) {
				token := dead(t)
				r.committed()
				_, err := r.InvitedTo(t.Context(), bob, token)
				requireRefusal(t, noInvite, err)
				_, err = r.AcceptInvite(t.Context(), bob, token, "")
				requireRefusal(t, noInvite, err)
				require.Empty(t, r.committed())
			})
		}

		t.Run("lets in", func(t *testing.T) {
			invite := r.invite(t, alice, group, chat.NewInvite{MaxUses: 2})
			seen, err := r.InvitedTo(t.Context(), bob, invite.Token)
			require.NoError(t, err)
			require.Equal(t, []string{"Ops", "on call"}, []string{seen.Title, seen.Description})
			require.Empty(t, seen.Role)
			require.Zero(t, uses(invite.ID), "to look is not to use it")
			r.committed()

			joined, err := r.AcceptInvite(t.Context(), bob, invite.Token, "")
			require.NoError(t, err)
			require.Equal(t, group, joined.ID)
			require.Equal(t, store.Member, joined.Role)
			require.Equal(t, seen.ParticipantCount+1, joined.ParticipantCount)
			r.requireEvents(t, group, happened{what: store.ParticipantAdded, actor: bob, to: bob})
			require.NoError(t, r.RequireParticipant(t.Context(), bob, group))
			require.Equal(t, 1, uses(invite.ID))

			_, err = r.AcceptInvite(t.Context(), bob, invite.Token, "")
			requireRefusal(t, alreadyIn, err)
			require.Equal(t, 1, uses(invite.ID), "whoever is in it uses none up")
		})
		t.Run("at once, as many as it is for", func(t *testing.T) {
			invite := r.invite(t, alice, group, chat.NewInvite{MaxUses: 3})
			people := make([]chat.Caller, 8)
			for i := range people {
				people[i] = r.person(t)
			}
			in := 0
			for i, err := range atOnce(len(people), func(i int) error {
				return ignore(r.AcceptInvite(t.Context(), people[i], invite.Token, ""))
			}) {
				if err == nil {
					in++
					require.NoError(t, r.RequireParticipant(t.Context(), people[i], group))
					continue
				}
				requireRefusal(t, noInvite, err)
				requireRefusal(t, notAParticipant, r.RequireParticipant(t.Context(), people[i], group))
			}
			require.Equal(t, 3, in)
		})
		t.Run("whoever is removed does not come back by their own", func(t *testing.T) {
			_, err := r.SetRole(t.Context(), alice, group, "bob", store.Admin)
			require.NoError(t, err)
			own, kept := r.invite(t, bob, group, chat.NewInvite{}), r.invite(t, alice, group, chat.NewInvite{})
			require.NoError(t, r.RemoveParticipant(t.Context(), alice, group, "bob"))
			_, err = r.AcceptInvite(t.Context(), bob, own.Token, "")
			requireRefusal(t, noInvite, err)
			_, err = r.AcceptInvite(t.Context(), bob, kept.Token, "")
			require.NoError(t, err, "somebody else still wants them")
		})
		t.Run("the invites of one who leaves stay", func(t *testing.T) {
			_, err := r.SetRole(t.Context(), alice, group, "bob", store.Admin)
			require.NoError(t, err)
			invite := r.invite(t, bob, group, chat.NewInvite{})
			require.NoError(t, r.RemoveParticipant(t.Context(), bob, group, "bob"))
			_, err = r.AcceptInvite(t.Context(), r.person(t), invite.Token, "")
			require.NoError(t, err)
		})
		t.Run("revoked by those who may add people", func(t *testing.T) {
			invite := r.invite(t, alice, group, chat.NewInvite{})
			member := r.person(t)
			_, err := r.AcceptInvite(t.Context(), member, invite.Token, "")
			require.NoError(t, err)
			elsewhere := r.group(t, member)
			requireRefusal(t, groupAdminRequired, r.RevokeInvite(t.Context(), member, group, invite.ID))
			requireRefusal(t, noInvite, r.RevokeInvite(t.Context(), member, elsewhere.ID, invite.ID))
			requireRefusal(t, notAParticipant, r.RevokeInvite(t.Context(), r.person(t), group, invite.ID))
			require.NoError(t, r.RevokeInvite(t.Context(), alice, group, invite.ID))
		})
	})
}

// An invite goes with the right of who made it to make it.
func TestInvitesOfWhoMayNot(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		for name, c := range map[string]struct {
			managedBy string
			happens   func(c cast) error
			live      bool
		}{
			"the account is deleted": {store.ByMembers, func(c cast) error { return r.DeleteMe(t.Context(), c.admin) }, false},
			"an admin no more": {store.ByAdmins, func(c cast) error {
				return ignore(r.SetRole(t.Context(), c.owner, c.group.ID, c.admin.Username, store.Member))
			}, false},
			"an admin no more, where members may": {store.ByMembers, func(c cast) error {
				return ignore(r.SetRole(t.Context(), c.owner, c.group.ID, c.admin.Username, store.Member))
			}, true},
			"the owner now": {store.ByAdmins, func(c cast) error {
				return ignore(r.SetRole(t.Context(), c.owner, c.group.ID, c.admin.Username, store.Owner))
			}, true},
			"another is an admin no more": {store.ByAdmins, func(c cast) error {
				return ignore(r.SetRole(t.Context(), c.owner, c.group.ID, c.deputy.Username, store.Member))
			}, true},
		} {
			t.Run(name, func(t *testing.T) {
				group := r.cast(t, c.managedBy)
				invite := r.invite(t, group.admin, group.group.ID, chat.NewInvite{})
				require.NoError(t, c.happens(group))
				_, err := r.AcceptInvite(t.Context(), group.nobody, invite.Token, "")
				if c.live {
					require.NoError(t, err)
					return
				}
				requireRefusal(t, refusal{chat.NotFound, "invite_not_found", ""}, err)
			})
		}
	})
}
