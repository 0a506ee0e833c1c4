package auth

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var (
	operator      = chat.Operator("test")
	deactivated   = refusal{chat.Forbidden, "account_deactivated", ""}
	adminRequired = refusal{chat.Forbidden, "admin_required", ""}
)

// change has an admin change an account.
func (s *site) change(tb testing.TB, user chat.User, c chat.AccountChange, password *string) {
	tb.Helper()
	_, err := s.UpdateAccount(context.Background(), operator, user.ID, c, password)
	require.NoError(tb, err)
}

// audited lists the audit log, oldest first, without ids and times.
func (s *site) audited(tb testing.TB) []chat.AuditEntry {
	tb.Helper()
	newest, err := s.chat.AuditLog(context.Background(), operator, chat.AuditFilter{}, 100)
	require.NoError(tb, err)
	entries := make([]chat.AuditEntry, len(newest))
	for i, e := range newest {
		require.Positive(tb, e.ID)
		require.False(tb, e.CreatedAt.IsZero())
		e.ID, e.CreatedAt = 0, time.Time{}
		entries[len(newest)-1-i] = e
	}
	return entries
}

func TestDeactivatedAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		token, other := s.login(t, "alice", "open sesame", nil).Token, s.login(t, "bob", "open sesame", nil).Token
		yes, no := true, false

		s.change(t, alice, chat.AccountChange{Deactivated: &yes}, nil)
		s.requireSignedOut(t, token)
		s.requireSignedIn(t, other, bob)
		_, err := s.Login(t.Context(), "alice", "open sesame", nil)
		requireRefusal(t, deactivated, err)
		_, err = s.Login(t.Context(), "alice", "passwort", nil)
		requireRefusal(t, badCredentials, err)

		s.change(t, alice, chat.AccountChange{Deactivated: &no}, nil)
		s.requireSignedOut(t, token)
		s.requireSignedIn(t, s.login(t, "alice", "open sesame", nil).Token, alice)
	})
}

func TestPasswordReset(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		token, other := s.login(t, "alice", "open sesame", nil).Token, s.login(t, "bob", "open sesame", nil).Token

		for password, code := range map[string]string{
			"": "password_missing", "7 chars": "password_too_short", strings.Repeat("x", 73): "password_too_long",
		} {
			_, err := s.UpdateAccount(t.Context(), operator, alice.ID, chat.AccountChange{}, &password)
			requireRefusal(t, refusal{chat.Invalid, code, "password"}, err)
		}
		s.requireSignedIn(t, token, alice)

		another := "another password"
		s.change(t, alice, chat.AccountChange{}, &another)
		s.requireSignedOut(t, token)
		s.requireSignedIn(t, other, bob)
		_, err := s.Login(t.Context(), "alice", "open sesame", nil)
		requireRefusal(t, badCredentials, err)
		s.requireSignedIn(t, s.login(t, "alice", another, nil).Token, alice)
	})
}

// Whoever signs in while the account is deactivated, gets another password or is
// deleted has no session after that.
func TestLoginMeetsAChange(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		hash := "another"
		for name, c := range map[string]struct {
			username string
			change   func(tx *store.Tx, user chat.User) error
			want     refusal
		}{
			"deactivated": {"alice", func(tx *store.Tx, user chat.User) error {
				_, err := tx.UpdateUser(user.ID, store.UserChange{DeactivatedAt: &s.clock})
				return err
			}, deactivated},
			"another password": {"bob", func(tx *store.Tx, user chat.User) error {
				_, err := tx.UpdateUser(user.ID, store.UserChange{PasswordHash: &hash})
				return err
			}, badCredentials},
			"deleted": {"carol", func(tx *store.Tx, user chat.User) error {
				return tx.EraseUser(user.ID, "gone", "gone", s.clock)
			}, badCredentials},
		} {
			t.Run(name, func(t *testing.T) {
				user := s.register(t, c.username, "open sesame")
				release := s.holdWriter(t, func(tx *store.Tx) error { return c.change(tx, user) })
				defer release()
				answered := make(chan error, 1)
				go func() {
					_, err := s.Login(context.Background(), c.username, "open sesame", nil)
					answered <- err
				}()
				require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
				release()
				requireRefusal(t, c.want, <-answered)
			})
		}
	})
}

func TestCreateAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Registration = RegistrationClosed
		username := func(s string) chat.NewAccount { return chat.NewAccount{Profile: chat.Profile{Username: &s}} }
		_, err := s.CreateAccount(t.Context(), chat.Caller{UserID: 1, Username: "eve"}, username("mallory"), "open sesame", "")
		requireRefusal(t, adminRequired, err)
		_, err = s.CreateAccount(t.Context(), operator, username("a b"), "open sesame", "")
		requireRefusal(t, refusal{chat.Invalid, "username_invalid", "username"}, err)
		_, err = s.CreateAccount(t.Context(), operator, chat.NewAccount{}, "open sesame", "")
		requireRefusal(t, refusal{chat.Invalid, "username_missing", "username"}, err)
		_, err = s.CreateAccount(t.Context(), operator, username("alice"), "7 chars", "")
		requireRefusal(t, refusal{chat.Invalid, "password_too_short", "password"}, err)

		alice := username("alice")
		alice.Admin = true
		user, err := s.CreateAccount(t.Context(), operator, alice, "open sesame", "")
		require.NoError(t, err)
		require.True(t, user.Admin)
		token := s.login(t, "alice", "open sesame", nil).Token
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})
		caller, _, err := s.Authenticate(ctx, token)
		require.NoError(t, err)
		require.Equal(t, chat.Caller{UserID: user.ID, Username: "alice", Admin: true, Address: "192.0.2.7", SessionID: caller.SessionID}, caller)

		other := username("other") // there has to be one
		other.Admin = true
		_, err = s.CreateAccount(t.Context(), operator, other, "open sesame", "")
		require.NoError(t, err)
		no := false
		s.change(t, user, chat.AccountChange{Admin: &no}, nil)
		s.requireSignedIn(t, token, user) // and no admin any more
	})
}

// Only an admin has passwords hashed without a name and a password that will do.
func TestAccountsCheckBeforeHashing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		defer takeAll(t, s.hasher.queue)()
		short, good, bad := "short", "open sesame", "a b"
		nobody := chat.Caller{UserID: alice.ID, Username: "alice"}
		for _, c := range []struct {
			caller   chat.Caller
			username string
			password string
		}{{nobody, "bob", good}, {operator, "bob", short}, {operator, bad, good}} {
			_, err := s.CreateAccount(t.Context(), c.caller,
				chat.NewAccount{Profile: chat.Profile{Username: &c.username}}, c.password, "")
			require.NotNil(t, chat.AsError(err), err)
		}
		_, err := s.UpdateAccount(t.Context(), nobody, alice.ID, chat.AccountChange{}, &good)
		requireRefusal(t, adminRequired, err)
		_, err = s.UpdateAccount(t.Context(), operator, alice.ID, chat.AccountChange{}, &short)
		requireRefusal(t, refusal{chat.Invalid, "password_too_short", "password"}, err)
	})
}

func TestSignInsAreAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		const address = "2001:db8::1"
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr(address)})
		alice, err := s.signUp(ctx, "alice", "first-secret")
		require.NoError(t, err)
		_, err = s.Login(ctx, "alice", "first-secret", nil)
		require.NoError(t, err)
		_, err = s.Login(ctx, "alice", "second-secret", nil)
		requireRefusal(t, badCredentials, err)
		_, err = s.Login(ctx, "third-secret", "x", nil) // typed into the wrong field
		requireRefusal(t, badCredentials, err)
		_, err = s.signUp(ctx, "ALICE", "open sesame")
		requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, err)
		_, err = s.Login(t.Context(), "alice", "first-secret", nil)
		require.NoError(t, err)

		require.Equal(t, []chat.AuditEntry{
			{Action: chat.UserRegistered, ActorID: alice.ID, UserID: alice.ID, Address: address},
			{Action: chat.UserSignedIn, ActorID: alice.ID, UserID: alice.ID, Address: address},
			{Action: chat.UserSignInFailed, UserID: alice.ID, Address: address},
			{Action: chat.UserSignInFailed, Address: address},
			{Action: chat.UserSignedIn, ActorID: alice.ID, UserID: alice.ID},
		}, s.audited(t))
	})
}

// A failed login is answered as one also where it can't be noted.
func TestFailedLoginWithoutAWriter(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		release := s.holdWriter(t, nothing)
		defer release()
		queued := make(chan error, 1)
		go func() { queued <- s.store.Update(context.Background(), nothing) }()
		require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)

		for _, username := range []string{"alice", "nobody"} {
			_, err := s.Login(t.Context(), username, "passwort", nil)
			requireRefusal(t, badCredentials, err)
		}
		require.Contains(t, s.log.String(), "not noted")
		release()
		require.NoError(t, <-queued)
	})
}
