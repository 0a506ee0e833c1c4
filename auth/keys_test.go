package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
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

		bot, err := s.Bearer(t.Context(), key.Key)
		require.NoError(t, err)
		require.Equal(t, chat.Caller{
			UserID: alice.ID, Username: "alice", SessionID: key.ID, Scopes: chat.ReadScope | chat.AdminScope,
		}, bot)
		_, err = s.CreateKey(t.Context(), bot, NewKey{Name: "more", Scopes: []string{"read"}})
		requireRefusal(t, refusal{chat.Forbidden, "insufficient_scope", ""}, err)
		log := s.audited(t)
		require.Equal(t, chat.AuditEntry{Action: chat.UserKeyCreated, ActorID: alice.ID, UserID: alice.ID, Detail: "bot"}, log[len(log)-1])

		s.change(t, alice, chat.AccountChange{Admin: new(true)}, nil)
		bot, err = s.Bearer(t.Context(), key.Key)
		require.NoError(t, err)
		require.True(t, bot.Admin)
		reader, err := s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"read", "write"}})
		require.NoError(t, err)
		bot, err = s.Bearer(t.Context(), reader.Key)
		require.NoError(t, err)
		require.False(t, bot.Admin, "without the scope, its owner's role is none of a key's")

		s.clock = s.clock.Add(time.Hour - time.Microsecond)
		_, err = s.Bearer(t.Context(), key.Key) // which does not extend it
		require.NoError(t, err)
		s.clock = s.clock.Add(time.Microsecond)
		_, err = s.Bearer(t.Context(), key.Key)
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

// connect is a way into a database beside the store.
func connect(tb testing.TB, database string) *pgx.Conn {
	tb.Helper()
	db, err := pgx.Connect(context.Background(), database)
	require.NoError(tb, err)
	tb.Cleanup(func() { db.Close(context.Background()) })
	return db
}

// somebodyWaits tells whether a connection to a database waits for a lock.
func somebodyWaits(db *pgx.Conn) bool {
	var waits bool
	err := db.QueryRow(context.Background(), `
		SELECT count(*) > 0 FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits)
	return err == nil && waits
}

// Where many may write at once: a key that is just being made by a session ends with all
// sessions, and no session is ended while it is.
func TestKeyOfSessionsThatEnd(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openSite(t, store.Options{Database: database, QueueLength: 4, Writers: 4})
	alice := s.register(t, "alice", "open sesame")
	db := connect(t, database)
	for name, c := range map[string]struct {
		end  func(chat.Caller) error
		gone bool
	}{
		"this one": {func(c chat.Caller) error {
			_, err := s.EndSession(context.Background(), c, c.SessionID)
			return err
		}, false},
		"signed out":   {func(c chat.Caller) error { _, err := s.Logout(context.Background(), c); return err }, false},
		"all":          {func(c chat.Caller) error { _, err := s.EndSessions(context.Background(), c, false); return err }, true},
		"the others":   {func(c chat.Caller) error { _, err := s.EndSessions(context.Background(), c, true); return err }, true},
		"all by admin": {func(chat.Caller) error { return s.chat.EndSessions(context.Background(), operator, alice.ID) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			caller := s.callerOf(t, s.login(t, "alice", "open sesame", nil).Token)
			key := newToken(keyPrefix)
			ended := make(chan error, 1)
			require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error { // as CreateKey does
				if _, err := tx.LockUser(caller.UserID); err != nil {
					return err
				}
				err := tx.CreateSession(&store.Session{
					Kind: store.KeySession, TokenHash: hashToken([]byte(key)), UserID: caller.UserID, Name: "bot", Scopes: "read",
					CreatedAt: s.clock, ExpiresAt: s.clock.Add(time.Hour),
				})
				if err != nil {
					return err
				}
				go func() { ended <- c.end(caller) }()
				require.Eventually(t, func() bool { return somebodyWaits(db) || len(ended) > 0 }, time.Minute, time.Millisecond)
				require.Empty(t, ended, "it waits")
				return nil
			}))
			require.NoError(t, <-ended)
			_, err := s.Bearer(t.Context(), key)
			if c.gone {
				requireRefusal(t, unauthenticated, err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// The secret of a key is stored nowhere, also for who may ask for it again.
func TestKeyMadeAgain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		caller := s.callerOf(t, s.login(t, "alice", "open sesame", nil).Token)
		create := func() (Key, error) {
			return s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"write"}, Idempotency: "guessed"})
		}
		first, err := create()
		require.NoError(t, err)
		s.clock = s.clock.Add(time.Minute)
		again, err := create()
		require.NoError(t, err)
		require.NotEqual(t, first.Key, again.Key)
		_, err = s.Bearer(t.Context(), first.Key)
		requireRefusal(t, unauthenticated, err)
		bot, err := s.Bearer(t.Context(), again.Key)
		require.NoError(t, err)
		require.Equal(t, first.ID, bot.SessionID)
		want := again
		want.Key = first.Key
		require.Equal(t, want, first, "of the same key")
		require.Len(t, s.sessionsOf(t, alice, store.KeySession), 1)

		// As somebody who has the database and guesses the idempotency key.
		user := []byte(strconv.FormatInt(alice.ID, 10))
		hash, err := hkdf.Key(sha256.New, []byte("guessed"), user, "find", sha256.Size)
		require.NoError(t, err)
		secret, err := hkdf.Key(sha256.New, []byte("guessed"), user, "seal", 32)
		require.NoError(t, err)
		block, err := aes.NewCipher(secret)
		require.NoError(t, err)
		sealer, err := cipher.NewGCMWithRandomNonce(block)
		require.NoError(t, err)
		require.NoError(t, s.store.ViewOne(t.Context(), func(tx *store.Tx) error {
			answer, err := tx.FindAnswer(alice.ID, hash)
			require.NoError(t, err)
			text, err := sealer.Open(nil, nil, answer.Body, nil)
			require.NoError(t, err)
			require.Contains(t, string(text), "bot", "this opens it")
			require.NotContains(t, string(text), keyPrefix)
			return nil
		}))

		_, err = s.EndSession(t.Context(), caller, first.ID)
		require.NoError(t, err)
		_, err = create()
		requireRefusal(t, refusal{chat.Conflict, "key_revoked", ""}, err)
		require.Empty(t, s.sessionsOf(t, alice, store.KeySession))
	})
}

// A key can do nothing to the account, whichever API it comes by.
func TestAccountOperationsByAKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		caller := s.callerOf(t, s.login(t, "alice", "open sesame", nil).Token)
		key, err := s.CreateKey(t.Context(), caller, NewKey{Name: "bot", Scopes: []string{"read", "write", "admin"}})
		require.NoError(t, err)
		bot, err := s.Bearer(t.Context(), key.Key)
		require.NoError(t, err)
		for name, do := range map[string]func() error{
			"change": func() error {
				_, err := s.UpdateMe(t.Context(), bot, chat.Profile{About: new("a bot")}, "")
				return err
			},
			"sign out": func() error { _, err := s.Logout(t.Context(), bot); return err },
			"delete":   func() error { return s.chat.DeleteMe(t.Context(), bot) },
		} {
			t.Run(name, func(t *testing.T) { requireRefusal(t, insufficientScope, do()) })
		}
		found, err := s.Bearer(t.Context(), key.Key)
		require.NoError(t, err)
		require.Equal(t, alice.ID, found.UserID)
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
