package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var (
	tokenRevoked = refusal{chat.Unauthenticated, "token_revoked", ""}
	tokenExpired = refusal{chat.Unauthenticated, chat.TokenExpired, ""}
)

func (s *site) signIn(tb testing.TB, username string) Tokens {
	tb.Helper()
	tokens, err := s.SignIn(context.Background(), username, "open sesame")
	require.NoError(tb, err)
	return tokens
}

func (s *site) refresh(tb testing.TB, token, key string) Tokens {
	tb.Helper()
	tokens, err := s.Refresh(context.Background(), token, key)
	require.NoError(tb, err)
	return tokens
}

// requireEnded tells that nothing of a session can be used any more.
func (s *site) requireEnded(tb testing.TB, tokens Tokens) {
	tb.Helper()
	s.requireSignedOut(tb, []byte(tokens.Access))
	_, err := s.Refresh(context.Background(), tokens.Refresh, "")
	requireRefusal(tb, tokenRevoked, err)
}

func TestTokenLifetimes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		tokens := s.signIn(t, "alice")
		require.Equal(t, time.Hour, tokens.ExpiresIn)
		require.Equal(t, lifetime, tokens.RefreshExpiresIn)
		s.clock = s.clock.Add(time.Hour - time.Microsecond)
		s.requireSignedIn(t, []byte(tokens.Access), alice) // which does not extend it
		s.clock = s.clock.Add(time.Microsecond)
		_, _, err := s.Authenticate(t.Context(), []byte(tokens.Access))
		requireRefusal(t, tokenExpired, err)

		s.clock = s.clock.Add(lifetime - time.Hour - time.Microsecond)
		next := s.refresh(t, tokens.Refresh, "")
		require.Equal(t, time.Hour, next.ExpiresIn)
		require.Equal(t, lifetime, next.RefreshExpiresIn, "it begins anew")
		require.Equal(t, tokens.SessionID, next.SessionID)
		s.requireSignedIn(t, []byte(next.Access), alice)
		s.requireSignedOut(t, []byte(tokens.Access))

		s.clock = s.clock.Add(lifetime)
		_, _, err = s.Authenticate(t.Context(), []byte(next.Access))
		requireRefusal(t, unauthenticated, err)
		_, err = s.Refresh(t.Context(), next.Refresh, "")
		requireRefusal(t, tokenRevoked, err)
		require.Empty(t, s.told(), "nobody has ended it")
	})
}

// A session may be shorter than access tokens are.
func TestTokenOfAShortSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.SessionLifetime = time.Minute
		s.register(t, "alice", "open sesame")
		tokens := s.signIn(t, "alice")
		require.Equal(t, time.Minute, tokens.ExpiresIn)
		s.clock = s.clock.Add(time.Minute)
		_, _, err := s.Authenticate(t.Context(), []byte(tokens.Access))
		requireRefusal(t, unauthenticated, err)
	})
}

// The refusal is an answer, and what it does is kept.
func TestReuseEndsTheFamily(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		first, other := s.signIn(t, "alice"), s.signIn(t, "alice")
		second := s.refresh(t, first.Refresh, "")
		third := s.refresh(t, second.Refresh, "")
		for _, stale := range []string{first.Refresh, second.Refresh} {
			_, err := s.Refresh(t.Context(), stale, "")
			requireRefusal(t, tokenRevoked, err)
		}
		s.requireEnded(t, third)
		s.requireSignedIn(t, []byte(other.Access), alice)
		require.Equal(t, []string{
			fmt.Sprintf(`session.ended, by 0, of %d: {"session_id":%d}`, alice.ID, first.SessionID),
		}, s.told(), "once")
		log := s.audited(t)
		require.Equal(t, chat.AuditEntry{Action: chat.UserTokenReused, UserID: alice.ID}, log[len(log)-1])
		require.Contains(t, s.log.String(), "used again")
		require.NotContains(t, s.log.String(), "cmsg_")
	})
}

func TestRefreshWithAKey(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		first := s.signIn(t, "alice")
		second := s.refresh(t, first.Refresh, "key")
		s.clock = s.clock.Add(time.Minute)
		again := s.refresh(t, first.Refresh, "key")
		require.Equal(t, second.Access, again.Access)
		require.Equal(t, second.Refresh, again.Refresh)
		require.Equal(t, time.Hour-time.Minute, again.ExpiresIn)
		s.clock = s.clock.Add(2 * time.Hour)
		require.Zero(t, s.refresh(t, first.Refresh, "key").ExpiresIn)

		third := s.refresh(t, second.Refresh, "")
		_, err := s.Refresh(t.Context(), first.Refresh, "key")
		requireRefusal(t, tokenRevoked, err)
		s.requireEnded(t, third)

		for name, key := range map[string]string{"none": "", "another": "clef", "a longer one": "key2"} {
			first := s.signIn(t, "alice")
			second := s.refresh(t, first.Refresh, "key")
			_, err := s.Refresh(t.Context(), first.Refresh, key)
			requireRefusal(t, tokenRevoked, err)
			s.requireEnded(t, second)
			require.NotEqual(t, "key", key, name)
		}
		first = s.signIn(t, "alice")
		_, err = s.Refresh(t.Context(), first.Refresh, strings.Repeat("k", chat.MaxClientIDLength+1))
		requireRefusal(t, refusal{chat.Invalid, "idempotency_key_invalid", "Idempotency-Key"}, err)
		s.refresh(t, first.Refresh, "")
	})
}

func TestRefreshRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		malformed := refusal{chat.Invalid, "token_malformed", "refresh_token"}
		for name, token := range map[string]string{
			"nothing": "", "a word": "token", "an access token": newToken(accessPrefix), "a key": newToken(keyPrefix),
			"a family alone": checked(newFamily()), "a wrong checksum": newRefreshToken(newFamily())[:66] + "B", // the last letter has two bits
		} {
			_, err := s.Refresh(t.Context(), token, "")
			requireRefusal(t, malformed, err)
			require.NotEmpty(t, name)
		}
		before := s.updates.Load()
		_, err := s.Refresh(t.Context(), newRefreshToken(newFamily()), "")
		requireRefusal(t, tokenRevoked, err)
		require.Equal(t, before, s.updates.Load(), "who makes one up does not write")

		for name, end := range map[string]func(Tokens){
			"signed out": func(tokens Tokens) {
				_, err := s.Logout(t.Context(), chat.Caller{UserID: alice.ID, SessionID: tokens.SessionID})
				require.NoError(t, err)
			},
			"another password": func(Tokens) { s.change(t, alice, chat.AccountChange{}, new("open sesame")) },
			"deactivated": func(Tokens) {
				s.change(t, alice, chat.AccountChange{Deactivated: new(true)}, nil)
				s.change(t, alice, chat.AccountChange{Deactivated: new(false)}, nil)
			},
		} {
			t.Run(name, func(t *testing.T) {
				tokens := s.signIn(t, "alice")
				end(tokens)
				s.requireEnded(t, tokens)
			})
		}
		_, err = s.SignIn(t.Context(), "alice", "wrong")
		requireRefusal(t, badCredentials, err)
	})
}

// Of many requests with one refresh token, one is answered. All others are a reuse, and
// the session ends: also that which the one was answered with.
func TestRefreshesAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		for _, key := range []string{"", "key"} {
			first := s.signIn(t, "alice")
			answers := make([]Tokens, 8)
			errs := make([]error, len(answers))
			var running sync.WaitGroup
			for i := range answers {
				running.Go(func() {
					for again := true; again; { // there is little room in the queue of the database
						answers[i], errs[i] = s.Refresh(t.Context(), first.Refresh, key)
						refused := chat.AsError(errs[i])
						again = refused != nil && refused.Kind == chat.Unavailable
					}
				})
			}
			running.Wait()
			won := 0
			for i, err := range errs {
				if err == nil {
					won++
					require.NotEmpty(t, answers[i].Refresh)
				} else {
					requireRefusal(t, tokenRevoked, err)
				}
			}
			if key == "" {
				require.Equal(t, 1, won)
			} else {
				require.Equal(t, len(answers), won)
			}
			for i, err := range errs {
				switch {
				case err == nil && key == "":
					s.requireEnded(t, answers[i])
				case err == nil:
					require.Equal(t, answers[0], answers[i])
				}
			}
		}
	})
}

func TestLeastUsedSessionsEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir()+"/messaging.db")
	alice := s.register(t, "alice", "open sesame")
	first := s.login(t, "alice", "open sesame", nil)
	s.clock = s.clock.Add(time.Minute)
	second := s.signIn(t, "alice")
	s.clock = s.clock.Add(time.Minute)
	key, err := s.CreateKey(t.Context(), chat.Caller{UserID: alice.ID, SessionID: s.sessionID(t, first.Token)}, NewKey{Name: "bot", Scopes: []string{"read"}})
	require.NoError(t, err)
	require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
		for i := range maxSessions - 2 {
			if err := tx.CreateSession(&store.Session{
				UserID: alice.ID, TokenHash: hashToken(fmt.Append(nil, i)), CreatedAt: s.clock, ExpiresAt: s.clock.Add(lifetime),
			}); err != nil {
				return err
			}
		}
		return nil
	}))
	s.clock = s.clock.Add(time.Minute)
	second = s.refresh(t, second.Refresh, "") // which is a use
	firstID := s.sessionID(t, first.Token)
	third := s.signIn(t, "alice")
	require.Equal(t, []string{ended(firstID, alice)}, s.told())
	s.requireSignedOut(t, first.Token)
	s.requireSignedIn(t, []byte(second.Access), alice)
	s.requireSignedIn(t, []byte(third.Access), alice)
	caller, err := s.Bearer(t.Context(), key.Key)
	require.NoError(t, err, "a key is none of them")
	require.Equal(t, chat.ReadScope, caller.Scopes)
}

func TestSignInBasic(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open: sesame")
		request := func(username, password string) *http.Request {
			r := &http.Request{Header: http.Header{}}
			if username != "" {
				r.SetBasicAuth(username, password)
			}
			return r
		}
		tokens, err := s.SignInBasic(t.Context(), request("alice", "open: sesame"))
		require.NoError(t, err)
		s.requireSignedIn(t, []byte(tokens.Access), alice)
		wrong := refusal{chat.Unauthenticated, "bad_credentials", ""}
		for want, r := range map[refusal]*http.Request{unauthenticated: request("", ""), wrong: request("alice", "open")} {
			_, err := s.SignInBasic(t.Context(), r)
			requireRefusal(t, want, err)
		}
	})
}
