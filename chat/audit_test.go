package chat_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func TestBlocksAreAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		alice.Address, bob.Address = "192.0.2.1", "192.0.2.2"
		direct := r.send(t, alice, chat.Draft{To: "bob", Text: "hi"}).ChatID
		group := r.group(t, alice, bob)
		before := r.lastAudited(t)

		for range 2 { // the second changes nothing
			_, err := r.Block(t.Context(), bob, "alice")
			require.NoError(t, err)
		}
		blocked := refusal{chat.Forbidden, "blocked", ""}
		_, err := r.Send(t.Context(), alice, chat.Draft{To: "bob", Text: "a secret"})
		requireRefusal(t, blocked, err)
		_, err = r.Send(t.Context(), alice, chat.Draft{ChatID: direct, Text: "a secret"})
		requireRefusal(t, blocked, err)
		// These are refused for something else, or not at all.
		_, err = r.Send(t.Context(), alice, chat.Draft{To: "nobody", Text: "a secret"})
		requireRefusal(t, noSuchDest, err)
		r.send(t, alice, chat.Draft{ChatID: group.ID, Text: "hi all"})
		require.NoError(t, r.Unblock(t.Context(), bob, "alice"))
		requireRefusal(t, refusal{chat.NotFound, "not_blocked", ""}, r.Unblock(t.Context(), bob, "alice"))

		require.Equal(t, []chat.AuditEntry{
			{Action: chat.UserBlocked, ActorID: bob.UserID, UserID: alice.UserID, Address: bob.Address},
			{Action: chat.MessageBlocked, ActorID: alice.UserID, UserID: bob.UserID, Address: alice.Address},
			{Action: chat.MessageBlocked, ActorID: alice.UserID, UserID: bob.UserID, ChatID: direct, Address: alice.Address},
			{Action: chat.UserUnblocked, ActorID: bob.UserID, UserID: alice.UserID, Address: bob.Address},
		}, r.audited(t, before))
	})
}

// Of the entries older than 90 days, each new one takes a few away.
func TestAuditLogIsPruned(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		const day = 24 * time.Hour
		require.NoError(t, r.store.Update(t.Context(), func(tx *store.Tx) error {
			for i := range 15 {
				age := 91 * day
				if i > 11 {
					age = 89 * day
				}
				e := chat.AuditEntry{Action: chat.UserSignedIn, CreatedAt: time.Now().Add(-age)}
				if err := tx.CreateAuditEntry(&e); err != nil {
					return err
				}
			}
			return nil
		}))
		for _, want := range []int{5 + 1, 3 + 2, 3 + 3} { // of the old, and of the new
			r.person(t)
			require.Len(t, r.audited(t, 0), want)
		}
	})
}

func TestAuditLogFilters(t *testing.T) {
	onEachEngine(t, func(t *testing.T, r *rules) {
		alice, bob := r.user(t, "alice"), r.user(t, "bob")
		_, err := r.Block(t.Context(), alice, "bob")
		require.NoError(t, err)
		actions := func(f chat.AuditFilter, limit int) (found []string) {
			entries, err := r.AuditLog(t.Context(), operator, f, limit)
			require.NoError(t, err)
			for _, e := range entries {
				found = append(found, e.Action)
			}
			return found
		}
		require.Equal(t, []string{chat.UserBlocked, chat.UserRegistered, chat.UserRegistered}, actions(chat.AuditFilter{}, 10))
		require.Equal(t, []string{chat.UserBlocked, chat.UserRegistered}, actions(chat.AuditFilter{UserID: bob.UserID}, 10))
		require.Equal(t, []string{chat.UserBlocked}, actions(chat.AuditFilter{ActorID: alice.UserID}, 1))
		require.Empty(t, actions(chat.AuditFilter{From: time.Now().Add(time.Hour)}, 10))
		for _, action := range chat.AuditActions() {
			_, err := r.AuditLog(t.Context(), operator, chat.AuditFilter{Action: action}, 10)
			require.NoError(t, err)
		}
		for _, action := range []string{"user", "user.signed_in\x00", "\xff"} {
			_, err := r.AuditLog(t.Context(), operator, chat.AuditFilter{Action: action}, 10)
			requireRefusal(t, refusal{chat.Invalid, "action_unknown", "action"}, err)
		}
	})
}
