package auth

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

var (
	noSuchSession     = refusal{chat.NotFound, "session_not_found", ""}
	insufficientScope = refusal{chat.Forbidden, "insufficient_scope", ""}
)

// caller is whoever holds a session.
func (s *site) caller(tb testing.TB, token []byte) chat.Caller {
	tb.Helper()
	caller, _, err := s.Authenticate(context.Background(), token)
	require.NoError(tb, err)
	return caller
}

// addSession opens a session of a kind that is not opened by a cookie.
func (s *site) addSession(tb testing.TB, user chat.User, session store.Session) (token []byte, id int64) {
	tb.Helper()
	token = []byte(newToken(accessPrefix))
	session.TokenHash = hashToken(token)
	opened, err := s.open(context.Background(), user, session, nil)
	require.NoError(tb, err)
	return token, opened.ID
}

func sessionIDs(sessions []store.Session) []int64 {
	ids := []int64{}
	for _, session := range sessions {
		ids = append(ids, session.ID)
	}
	return ids
}

func TestOnesSessions(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		here := s.login(t, "alice", "open sesame", nil).Token
		elsewhere := s.login(t, "alice", "open sesame", nil).Token
		key, keyID := s.addSession(t, alice, store.Session{Kind: store.KeySession, Name: "Backup", Scopes: "read"})
		bobs := s.login(t, "bob", "open sesame", nil).Token
		me, hereID, elsewhereID, bobsID := s.caller(t, here), s.sessionID(t, here), s.sessionID(t, elsewhere), s.sessionID(t, bobs)

		list := func(kind string, limit, offset int) []int64 {
			t.Helper()
			found, err := s.Sessions(t.Context(), me, kind, limit, offset)
			require.NoError(t, err)
			return sessionIDs(found)
		}
		require.Equal(t, []int64{hereID, elsewhereID, keyID}, list("", 10, 0))
		require.Equal(t, []int64{elsewhereID}, list("", 1, 1))
		require.Equal(t, []int64{keyID}, list(store.KeySession, 10, 0))
		require.Empty(t, list(store.BasicSession, 10, 0))
		found, err := s.Session(t.Context(), me, keyID)
		require.NoError(t, err)
		require.Equal(t, "Backup", found.Name)

		// That of somebody else and one that there is not are the same to her.
		for name, id := range map[string]int64{"of bob": bobsID, "none": 9999} {
			_, err := s.Session(t.Context(), me, id)
			requireRefusal(t, noSuchSession, err)
			_, err = s.EndSession(t.Context(), me, id)
			requireRefusal(t, noSuchSession, err)
			require.Empty(t, s.told(), name)
		}
		s.requireSignedIn(t, bobs, bob)

		// A key can't look at the others, and can't end any.
		program := s.caller(t, key)
		_, err = s.Sessions(t.Context(), program, "", 10, 0)
		requireRefusal(t, insufficientScope, err)
		_, err = s.Session(t.Context(), program, keyID)
		requireRefusal(t, insufficientScope, err)
		_, err = s.EndSession(t.Context(), program, hereID)
		requireRefusal(t, insufficientScope, err)
		_, err = s.EndSessions(t.Context(), program, true)
		requireRefusal(t, insufficientScope, err)

		cookie, err := s.EndSession(t.Context(), me, keyID)
		require.NoError(t, err)
		require.False(t, cookie)
		s.requireSignedOut(t, key)
		require.Equal(t, []string{ended(keyID, alice)}, s.told())
		_, err = s.EndSession(t.Context(), me, keyID)
		requireRefusal(t, noSuchSession, err)

		cookie, err = s.EndSession(t.Context(), me, hereID)
		require.NoError(t, err)
		require.True(t, cookie, "her own")
		s.requireSignedOut(t, here)
		s.requireSignedIn(t, elsewhere, alice)

		s.clock = s.clock.Add(lifetime)
		_, err = s.Session(t.Context(), me, elsewhereID)
		requireRefusal(t, noSuchSession, err) // it has expired
		require.Empty(t, list("", 10, 0))
	})
}

func TestSignOutEverywhere(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		bobs := s.login(t, "bob", "open sesame", nil).Token
		here := s.login(t, "alice", "open sesame", nil).Token
		sessions := func() (others [][]byte) {
			others = append(others, s.login(t, "alice", "open sesame", nil).Token)
			for _, kind := range []string{store.TokenSession, store.KeySession, store.BasicSession} {
				token, _ := s.addSession(t, alice, store.Session{Kind: kind, Scopes: map[bool]string{true: "read"}[kind == store.KeySession]})
				others = append(others, token)
			}
			return others
		}
		others := sessions()
		cookie, err := s.EndSessions(t.Context(), s.caller(t, here), true)
		require.NoError(t, err)
		require.False(t, cookie)
		for _, token := range others {
			s.requireSignedOut(t, token)
		}
		s.requireSignedIn(t, here, alice)
		s.requireSignedIn(t, bobs, bob)
		require.Len(t, s.told(), 1)

		others = sessions()
		cookie, err = s.EndSessions(t.Context(), s.caller(t, others[1]), false)
		require.NoError(t, err)
		require.False(t, cookie, "she came by a token")
		for _, token := range append(others, here) {
			s.requireSignedOut(t, token)
		}
		s.requireSignedIn(t, bobs, bob)

		here = s.login(t, "alice", "open sesame", nil).Token
		cookie, err = s.EndSessions(t.Context(), s.caller(t, here), false)
		require.NoError(t, err)
		require.True(t, cookie)
		s.requireSignedOut(t, here)

		var actions []string
		for _, e := range s.audited(t) {
			if e.Action == chat.UserSessionsEnded {
				require.Equal(t, alice.ID, e.UserID)
				actions = append(actions, e.Action)
			}
		}
		require.Len(t, actions, 3)
	})
}

// Use is noted only now and then, and for all kinds.
func TestUseOfASession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		cookie := s.login(t, "alice", "open sesame", nil).Token
		key, _ := s.addSession(t, alice, store.Session{Kind: store.KeySession, Scopes: "read"})
		began := s.clock
		use := func(token []byte, address, userAgent string) (updates int64) {
			t.Helper()
			before := s.updates.Load()
			ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr(address), UserAgent: userAgent})
			_, _, err := s.Authenticate(ctx, token)
			require.NoError(t, err)
			return s.updates.Load() - before
		}
		for name, token := range map[string][]byte{"cookie": cookie, "key": key} {
			t.Run(name, func(t *testing.T) {
				s.clock = began
				requireUsed := func(at time.Time, address, userAgent string) {
					t.Helper()
					session := s.session(t, token)
					require.Equal(t, []any{at, address, userAgent}, []any{session.UsedAt, session.Address, session.UserAgent})
					require.Equal(t, began.Add(lifetime), session.ExpiresAt)
				}
				require.Zero(t, use(token, "192.0.2.1", "first"))
				s.clock = began.Add(usedEvery - time.Microsecond)
				require.Zero(t, use(token, "192.0.2.2", "second"))
				requireUsed(began, "", "")
				s.clock = began.Add(usedEvery)
				require.EqualValues(t, 1, use(token, "192.0.2.3", "third\n"+strings.Repeat("x", 1000)))
				requireUsed(s.clock, "192.0.2.3", "third"+strings.Repeat("x", maxUserAgent-len("third\n")))
				require.Zero(t, use(token, "192.0.2.4", "fourth"))
				s.clock = began.Add(2 * usedEvery)
				require.EqualValues(t, 1, use(token, "192.0.2.5", ""))
				requireUsed(s.clock, "192.0.2.5", "")
			})
		}
	})
}

func (s *site) session(tb testing.TB, token []byte) (session store.Session) {
	tb.Helper()
	require.NoError(tb, s.store.View(context.Background(), func(tx *store.Tx) (err error) {
		session, err = tx.FindSessionByTokenHash(hashToken(token))
		return err
	}))
	return session
}

// Of requests that come at once, one notes the use, and one extends.
func TestUsesAtOnce(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, database string) {
		s := openSite(t, store.Options{Database: database, QueueLength: 100})
		alice := s.register(t, "alice", "open sesame")
		for name, after := range map[string]time.Duration{"used": usedEvery, "extended": lifetime / 100} {
			token := s.login(t, "alice", "open sesame", nil).Token
			s.clock = s.clock.Add(after)
			before := s.updates.Load()
			var running sync.WaitGroup
			for range 50 {
				running.Go(func() { s.requireSignedIn(t, token, alice) })
			}
			running.Wait()
			require.EqualValues(t, 1, s.updates.Load()-before, name)
			require.Equal(t, s.clock, s.session(t, token).UsedAt, name)
		}
	})
}

func TestUsesAreBounded(t *testing.T) {
	t.Parallel()
	s := &Service{opts: Options{SessionLifetime: lifetime}}
	now := time.Now()
	session := store.Session{UsedAt: now.Add(-usedEvery), ExpiresAt: now.Add(lifetime)}
	for session.ID = range int64(2*maxUses + 1) {
		_, _, due := s.noteUse(session, now)
		require.True(t, due)
		_, _, due = s.noteUse(session, now)
		require.False(t, due)
		require.LessOrEqual(t, len(s.uses.last), maxUses)
	}
}

// A database that can't write is asked once, and not for each request.
func TestUseIsNotNotedWithoutAWriter(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		s.clock = s.clock.Add(usedEvery)
		release := s.holdWriter(t, nothing)
		defer release()
		queued := make(chan error, 1)
		go func() { queued <- s.store.Update(context.Background(), nothing) }()
		require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
		s.requireSignedIn(t, token, alice)
		require.Equal(t, 1, strings.Count(s.log.String(), "not noted"))
		s.requireSignedIn(t, token, alice)
		require.Equal(t, 1, strings.Count(s.log.String(), "not noted"))
		release()
		require.NoError(t, <-queued)

		before := s.clock.Add(-usedEvery)
		s.requireSignedIn(t, token, alice)
		require.Equal(t, before, s.session(t, token).UsedAt)
		s.clock = s.clock.Add(usesRest)
		s.requireSignedIn(t, token, alice)
		require.Equal(t, s.clock, s.session(t, token).UsedAt, "and is noted when that may work again")
	})
}

// mails takes those that wait.
func (s *site) mails(tb testing.TB) (found []string) {
	tb.Helper()
	for {
		var m store.Mail
		err := s.store.Update(context.Background(), func(tx *store.Tx) (err error) {
			if m, err = tx.ClaimMail(s.clock, s.clock); err != nil {
				return err
			}
			return tx.DeleteMail(m.ID)
		})
		if err != nil {
			require.ErrorIs(tb, err, store.ErrNotFound)
			return found
		}
		var facts mail.Facts
		require.NoError(tb, json.Unmarshal([]byte(m.Data), &facts))
		require.Equal(tb, s.clock, facts.At)
		found = append(found, strings.Join([]string{m.Kind, m.Address, m.Locale, facts.Username, facts.Device, facts.Address}, " | "))
	}
}

// Whoever signs in from elsewhere is told of, by mail, to whom the account belongs.
func TestNewSignInNotice(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		woken := 0
		s.opts.WakeMailing = func() { woken++ }
		alice := s.register(t, "alice", "open sesame")
		s.register(t, "bob", "open sesame")
		email, locale := "alice@example.com", "de"
		s.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: &email, Locale: &locale}}, nil)
		const curl, firefox = "curl/8.17.0", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
		at := func(address, userAgent string, device []byte) context.Context {
			return WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr(address), UserAgent: userAgent, Device: func() []byte { return device }})
		}
		login := func(username, address string, device []byte) (used []byte) {
			t.Helper()
			session, err := s.Login(at(address, firefox, device), username, "open sesame", nil)
			require.NoError(t, err)
			return session.Device
		}
		program := func(address string) {
			t.Helper()
			user, err := s.verify(at(address, curl, nil), "alice", "open sesame")
			require.NoError(t, err)
			_, err = s.open(at(address, curl, nil), user, store.Session{
				Kind: store.TokenSession, TokenHash: hashToken([]byte(newToken(accessPrefix))),
			}, nil)
			require.NoError(t, err)
		}

		first := login("alice", "192.0.2.1", nil)
		require.Empty(t, s.mails(t), "the first sign-in is not news")
		login("alice", "198.51.100.1", first)
		require.Empty(t, s.mails(t), "her browser, elsewhere")
		program("198.51.100.1")
		require.Empty(t, s.mails(t), "a program, from where she was")
		require.Positive(t, woken)

		second := login("alice", "192.0.2.1", nil)
		require.Equal(t, []string{"new_sign_in | alice@example.com | de | alice | Firefox on Linux | 192.0.2.1"}, s.mails(t), "another browser")
		login("alice", "203.0.113.1", second)
		require.Empty(t, s.mails(t), "which is known now")
		program("203.0.113.2")
		require.Equal(t, []string{"new_sign_in | alice@example.com | de | alice | curl | 203.0.113.2"}, s.mails(t), "a program, from elsewhere")
		program("203.0.113.2")
		require.Empty(t, s.mails(t))

		bobs := login("bob", "192.0.2.9", nil)
		login("bob", "192.0.2.9", nil)
		require.Empty(t, s.mails(t), "who has no address hears nothing")
		login("alice", "192.0.2.9", bobs)
		require.Len(t, s.mails(t), 1, "a device that is bob's is none of hers")

		_, err := s.Login(at("203.0.113.9", curl, nil), "alice", "wrong sesame", nil)
		requireRefusal(t, badCredentials, err)
		require.Empty(t, s.mails(t), "who fails is not in")

		s.opts.WakeMailing = nil
		login("alice", "192.0.2.77", nil)
		require.Empty(t, s.mails(t), "a site that sends no mails keeps none")
	})
}
