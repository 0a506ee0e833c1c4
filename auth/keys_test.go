package auth

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

func (s *site) callerOf(tb testing.TB, token []byte) chat.Caller {
	tb.Helper()
	caller, _, err := s.Authenticate(tb.Context(), token)
	require.NoError(tb, err)
	return caller
}

func TestCreateKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		caller := s.callerOf(t, s.login(t, "alice", "open sesame", nil).Token)
		at := s.clock.Add(time.Hour + time.Nanosecond)
		key, err := s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"admin", "read"}, ExpiresAt: &at})
		require.NoError(t, err)
		require.Equal(t, Key{
			ID: key.ID, Name: "bot", Scopes: []string{"read", "admin"}, Key: key.Key, CreatedAt: s.clock, ExpiresAt: s.clock.Add(time.Hour),
		}, key)

		bot, err := s.bearer(t.Context(), key.Key)
		require.NoError(t, err)
		require.Equal(t, chat.Caller{
			UserID: alice.ID, Username: "alice", SessionID: key.ID, Scopes: chat.ReadScope | chat.AdminScope,
		}, bot)
		_, err = s.CreateKey(t.Context(), bot, NewKey{Name: "more", Scopes: []string{"read"}})
		requireRefusal(t, refusal{chat.Forbidden, "insufficient_scope", ""}, err)
		log := s.audited(t)
		require.Equal(t, chat.AuditEntry{Action: chat.UserKeyCreated, ActorID: alice.ID, UserID: alice.ID, Detail: "bot"}, log[len(log)-1])

		s.change(t, alice, chat.AccountChange{Admin: new(true)}, nil)
		bot, err = s.bearer(t.Context(), key.Key)
		require.NoError(t, err)
		require.True(t, bot.Admin)
		reader, err := s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"read", "write"}})
		require.NoError(t, err)
		bot, err = s.bearer(t.Context(), reader.Key)
		require.NoError(t, err)
		require.False(t, bot.Admin, "without the scope, its owner's role is none of a key's")

		s.clock = s.clock.Add(time.Hour - time.Microsecond)
		_, err = s.bearer(t.Context(), key.Key) // which does not extend it
		require.NoError(t, err)
		s.clock = s.clock.Add(time.Microsecond)
		_, err = s.bearer(t.Context(), key.Key)
		requireRefusal(t, unauthenticated, err)
	})
}

// Whoever is signed out while their request is on its way leaves no key behind.
func TestKeyOfAnEndedSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		for name, end := range map[string]func(chat.Caller){
			"signed out":  func(c chat.Caller) { _, err := s.Logout(t.Context(), c); require.NoError(t, err) },
			"deactivated": func(chat.Caller) { s.change(t, alice, chat.AccountChange{Deactivated: new(true)}, nil) },
			"deleted":     func(chat.Caller) { require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, alice.ID)) },
		} {
			if name == "deleted" {
				alice = s.register(t, "bob", "open sesame")
			} else {
				s.change(t, alice, chat.AccountChange{Deactivated: new(false)}, nil)
			}
			caller := s.callerOf(t, s.login(t, alice.Username, "open sesame", nil).Token)
			end(caller)
			_, err := s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"read"}})
			requireRefusal(t, unauthenticated, err)
			if name == "deleted" {
				alice = s.register(t, "carol", "open sesame")
			}
		}
	})
}

// The owner of an account is told of a key, once.
func TestNoticeOfAKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		woken := 0
		s.opts.WakeMailing = func() { woken++ }
		alice := s.register(t, "alice", "open sesame")
		s.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: new("alice@example.com"), Locale: new("de")}}, nil)
		caller := s.callerOf(t, s.login(t, "alice", "open sesame", nil).Token)
		require.Empty(t, s.mails(t))
		woken = 0
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})
		wanted := NewKey{Name: "bot", Scopes: []string{"read"}, Idempotency: "1"}
		for range 2 {
			_, err := s.CreateKey(ctx, caller, wanted)
			require.NoError(t, err)
			require.NotZero(t, woken)
		}
		require.Equal(t, []string{"key_created | alice@example.com | de | alice |  | 192.0.2.7"}, s.mails(t))
	})
}
