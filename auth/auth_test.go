package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

const lifetime = 100 * time.Hour // of which a hundredth is an hour

// site is a Service over a database of its own, with a clock that stands still.
type site struct {
	*Service
	store   *store.Store
	clock   time.Time
	updates atomic.Int64
	log     lockedBuffer

	mu     sync.Mutex
	events []string
}

// told returns the events since it was asked last.
func (s *site) told() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// ended is what is told of a session that was ended by its owner.
func ended(id int64, owner chat.User) string {
	return fmt.Sprintf(`session.ended, by %d, of %d: {"session_id":%d}`, owner.ID, owner.ID, id)
}

func (s *site) sessionID(tb testing.TB, token []byte) (id int64) {
	tb.Helper()
	require.NoError(tb, s.store.View(context.Background(), func(tx *store.Tx) error {
		session, err := tx.FindSessionByTokenHash(hashToken(token))
		id = session.ID
		return err
	}))
	return id
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// onEachEngine runs a test on SQLite and on PostgreSQL, in parallel with others.
func onEachEngine(t *testing.T, test func(t *testing.T, s *site)) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, database string) { test(t, newSite(t, database)) })
}

func onEachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	for engine, newDatabase := range map[string]func(testing.TB) string{
		"sqlite":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "messaging.db") },
		"postgres": pgtest.NewDatabase,
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newDatabase(t))
		})
	}
}

// newSite is a site whose store takes one Update at a time, and lets another wait.
func newSite(tb testing.TB, database string) *site {
	tb.Helper()
	return openSite(tb, store.Options{Database: database, QueueLength: 1, Writers: 1})
}

func openSite(tb testing.TB, opts store.Options) *site {
	tb.Helper()
	s := &site{clock: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	opts.OnBatch = func(updates int, _ time.Duration) { s.updates.Add(int64(updates)) }
	opts.OnCommit = func(events []store.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range events {
			s.events = append(s.events, fmt.Sprintf("%s, by %d, of %d: %s", e.Type, e.ActorID, e.UserID, e.Data))
		}
	}
	opened, err := store.Open(context.Background(), opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { opened.Close() })
	s.store = opened
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	s.Service = New(opened, chat.New(opened, log), NewHasher(newQueue(1), bcrypt.MinCost),
		Options{SessionLifetime: lifetime, PasswordMinLength: 8}, log)
	s.now = func() time.Time { return s.clock }
	return s
}

func (s *site) register(tb testing.TB, username, password string) chat.User {
	tb.Helper()
	user, err := s.signUp(context.Background(), username, password)
	require.NoError(tb, err)
	return user
}

// signUp registers with a name and a password alone.
func (s *site) signUp(ctx context.Context, username, password string) (chat.User, error) {
	user, _, err := s.Register(ctx, Registration{Username: username, Password: password})
	return user, err
}

func (s *site) login(tb testing.TB, username, password string, previous []byte) Session {
	tb.Helper()
	session, err := s.Login(context.Background(), username, password, previous)
	require.NoError(tb, err)
	return session
}

func (s *site) requireSignedIn(tb testing.TB, token []byte, as chat.User) {
	tb.Helper()
	caller, _, err := s.Authenticate(context.Background(), token)
	require.NoError(tb, err)
	require.NotZero(tb, caller.SessionID)
	require.Equal(tb, chat.Caller{UserID: as.ID, Username: as.Username, SessionID: caller.SessionID}, caller)
}

func (s *site) requireSignedOut(tb testing.TB, token []byte) {
	tb.Helper()
	caller, extended, err := s.Authenticate(context.Background(), token)
	requireRefusal(tb, unauthenticated, err)
	require.Zero(tb, caller)
	require.Zero(tb, extended)
}

// stored tells whether a session has a row, expired or not.
func (s *site) stored(tb testing.TB, token []byte) bool {
	tb.Helper()
	err := s.store.View(context.Background(), func(tx *store.Tx) error {
		_, err := tx.FindSessionByTokenHash(hashToken(token))
		return err
	})
	if err != nil {
		require.ErrorIs(tb, err, store.ErrNotFound)
	}
	return err == nil
}

// holdWriter keeps the store's writer busy in an Update, which calls
// atLast when it is released.
func (s *site) holdWriter(tb testing.TB, atLast func(*store.Tx) error) (release func()) {
	tb.Helper()
	running, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.store.Update(context.Background(), func(tx *store.Tx) error {
			close(running)
			<-goOn
			return atLast(tx)
		})
	}()
	<-running
	return sync.OnceFunc(func() {
		close(goOn)
		require.NoError(tb, <-done)
	})
}

func nothing(*store.Tx) error { return nil }

// refusal is what a program sees of an error.
type refusal struct {
	kind  chat.Kind
	code  string
	field string
}

func requireRefusal(tb testing.TB, want refusal, err error) {
	tb.Helper()
	require.Error(tb, err)
	e := chat.AsError(err)
	require.NotNil(tb, e, "not a refusal: %v", err)
	require.Equal(tb, want, refusal{e.Kind, e.Code, e.Field})
	require.NotEmpty(tb, e.Message)
}

var (
	badCredentials  = refusal{chat.BadCredentials, "bad_credentials", ""}
	unauthenticated = refusal{chat.Unauthenticated, "unauthenticated", ""}
	closed          = refusal{chat.Forbidden, "registration_closed", ""}
)

func TestRegister(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "Taken", "open sesame")

		invalid := func(field, code string) *refusal { return &refusal{chat.Invalid, code, field} }
		for name, c := range map[string]struct {
			username, password string
			want               *refusal
		}{
			"plain":                         {"alice", "open sesame", nil},
			"8 letters of two bytes":        {"zoë", "ßöäüçéàø", nil},
			"72 bytes":                      {"max", strings.Repeat("open sesame ", 6), nil},
			"72 bytes in 18 letters":        {"moritz", strings.Repeat("😀🐎🔋📎🌍🚀🎈🍞🧭", 2), nil},
			"a password of spaces":          {"space", strings.Repeat(" ", 8), invalid("password", "password_too_common")},
			"no username":                   {"", "open sesame", invalid("username", "username_missing")},
			"a username with a space":       {"a b", "open sesame", invalid("username", "username_invalid")},
			"a username too long":           {strings.Repeat("a", 65), "open sesame", invalid("username", "username_too_long")},
			"the username is checked first": {"", "", invalid("username", "username_missing")},
			"no password":                   {"bob", "", invalid("password", "password_missing")},
			"7 letters":                     {"bob", "passwor", invalid("password", "password_too_short")},
			"7 letters of 14 bytes":         {"bob", "ßßßßßßß", invalid("password", "password_too_short")},
			"73 bytes":                      {"bob", strings.Repeat("x", 73), invalid("password", "password_too_long")},
			"73 bytes in 37 letters":        {"bob", strings.Repeat("ß", 36) + "x", invalid("password", "password_too_long")},
			"taken":                         {"Taken", "open sesame", &refusal{chat.Conflict, "username_taken", "username"}},
			"taken, in another case":        {"tAKEN", "open sesame", &refusal{chat.Conflict, "username_taken", "username"}},
		} {
			t.Run(name, func(t *testing.T) {
				user, err := s.signUp(t.Context(), c.username, c.password)
				if c.want != nil {
					requireRefusal(t, *c.want, err)
					require.Zero(t, user)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.username, user.Username)
				require.NotContains(t, user.PasswordHash, c.password)
				session := s.login(t, c.username, c.password, nil)
				require.Equal(t, user, session.User)
			})
		}
		require.NotContains(t, s.log.String(), "sesame")
	})
}

func TestRegisterClosed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		s.opts.Registration = RegistrationClosed
		for _, username := range []string{"bob", "alice", ""} {
			for _, password := range []string{"open sesame", ""} {
				_, err := s.signUp(t.Context(), username, password)
				requireRefusal(t, closed, err)
			}
		}
		require.Equal(t, alice, s.login(t, "alice", "open sesame", nil).User, "who has an account signs in")
	})
}

// What won't do is refused before the queue for hashing, which is full here.
func TestRegisterChecksBeforeHashing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		defer takeAll(t, s.hasher.queue)()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.signUp(ctx, "a b", "open sesame")
		requireRefusal(t, refusal{chat.Invalid, "username_invalid", "username"}, err)
		_, err = s.signUp(ctx, "alice", "short")
		requireRefusal(t, refusal{chat.Invalid, "password_too_short", "password"}, err)
		_, err = s.signUp(ctx, "alice", "open sesame")
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestRegisterConcurrently(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		var made, done = atomic.Int64{}, sync.WaitGroup{}
		for _, username := range []string{"alice", "Alice", "ALICE", "ａｌｉｃｅ", "aLiCe", "alicE"} {
			done.Go(func() {
				// The one slot of the queue lets them to the store one by one.
				_, err := s.signUp(t.Context(), username, "open sesame")
				if err == nil {
					made.Add(1)
					return
				}
				if e := chat.AsError(err); e == nil || e.Code != "username_taken" && e.Code != "database_unavailable" {
					t.Errorf("%s: %v", username, err)
				}
			})
		}
		done.Wait()
		require.Equal(t, int64(1), made.Load())
	})
}

func TestLogin(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "Alice", "open sesame")
		longest := strings.Repeat("open sesame ", 6)
		s.register(t, "max", longest)

		for name, c := range map[string]struct {
			username, password string
			ok                 bool
		}{
			"as registered":              {"Alice", "open sesame", true},
			"username in another case":   {"ALICE", "open sesame", true},
			"wide username":              {"ａｌｉｃｅ", "open sesame", true},
			"the longest password":       {"max", longest, true},
			"wrong password":             {"Alice", "passwort", false},
			"password in another case":   {"Alice", "Open Sesame", false},
			"password and more":          {"Alice", "open sesame ", false},
			"no password":                {"Alice", "", false},
			"beyond 72 bytes":            {"max", longest + "x", false},
			"unknown user":               {"nobody", "open sesame", false},
			"no username":                {"", "open sesame", false},
			"nothing":                    {"", "", false},
			"no possible username":       {"a b", "open sesame", false},
			"an id is no username here":  {"1", "open sesame", false},
			"the hash is not a password": {"Alice", alice.PasswordHash, false},
		} {
			t.Run(name, func(t *testing.T) {
				session, err := s.Login(t.Context(), c.username, c.password, nil)
				if !c.ok {
					requireRefusal(t, badCredentials, err)
					require.Zero(t, session)
					return
				}
				require.NoError(t, err)
				require.Len(t, session.Token, tokenLength)
				require.Equal(t, lifetime, session.Lifetime)
				s.requireSignedIn(t, session.Token, session.User)
			})
		}
		require.NotContains(t, s.log.String(), "nobody", "what was typed as the username may have been a password")
		require.NotContains(t, s.log.String(), "passwor")
		require.NotContains(t, s.log.String(), "sesame")
	})
}

// The same words for both: nobody learns which usernames there are.
func TestLoginRefusalsAreTheSame(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		_, wrong := s.Login(t.Context(), "alice", "passwort", nil)
		_, unknown := s.Login(t.Context(), "nobody", "open sesame", nil)
		_, impossible := s.Login(t.Context(), "a b", "open sesame", nil)
		require.Equal(t, wrong, unknown)
		require.Equal(t, wrong, impossible)
	})
}

// The password of nobody is hashed, too: whoever measures the time learns
// nothing, and a flood of unknown names is bounded as well.
func TestEveryLoginWaitsForHashing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		q := s.hasher.queue
		defer takeAll(t, q)()

		for name, c := range map[string]struct{ username, password string }{
			"right":                {"alice", "open sesame"},
			"wrong password":       {"alice", "passwort"},
			"password too long":    {"alice", strings.Repeat("x", 73)},
			"no password":          {"alice", ""},
			"unknown user":         {"nobody", "open sesame"},
			"no possible username": {"a b", "open sesame"},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				answered := make(chan error, 1)
				go func() {
					_, err := s.Login(ctx, c.username, c.password, nil)
					answered <- err
				}()
				awaitWaiting(t, q, 1)
				cancel()
				require.ErrorIs(t, <-answered, context.Canceled)
				require.Zero(t, q.Waiting())
			})
		}
	})
}

func TestTooManyLogins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		q := s.hasher.queue
		giveBack := takeAll(t, q)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var waiting sync.WaitGroup
		for i := range waitingPerSlot {
			waiting.Go(func() {
				if _, err := s.Login(ctx, fmt.Sprint("somebody", i), "open sesame", nil); err == nil {
					t.Error("signed in without a slot")
				}
			})
		}
		awaitWaiting(t, q, waitingPerSlot)

		soon, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		_, err := s.Login(soon, "alice", "open sesame", nil)
		requireRefusal(t, tooManyLogins, err)
		_, err = s.Login(soon, "nobody", "open sesame", nil)
		requireRefusal(t, tooManyLogins, err)
		_, err = s.signUp(soon, "bob", "open sesame")
		requireRefusal(t, tooManyLogins, err)

		cancel()
		waiting.Wait()
		giveBack()
		s.login(t, "alice", "open sesame", nil)
	})
}

func TestLoginReplacesTheSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		elsewhere := s.login(t, "alice", "open sesame", nil)
		first := s.login(t, "alice", "open sesame", nil)
		require.NotEqual(t, elsewhere.Token, first.Token)

		firstID := s.sessionID(t, first.Token)
		require.Empty(t, s.told())
		second := s.login(t, "alice", "open sesame", first.Token)
		require.Equal(t, []string{ended(firstID, alice)}, s.told())
		s.requireSignedIn(t, second.Token, alice)
		s.requireSignedOut(t, first.Token)
		s.requireSignedIn(t, elsewhere.Token, alice)

		// Somebody else at the same browser.
		secondID := s.sessionID(t, second.Token)
		third := s.login(t, "bob", "open sesame", second.Token)
		require.Equal(t, []string{ended(secondID, alice)}, s.told())
		s.requireSignedIn(t, third.Token, bob)
		s.requireSignedOut(t, second.Token)

		// Who fails to sign in stays who they are.
		_, err := s.Login(t.Context(), "alice", "passwort", third.Token)
		requireRefusal(t, badCredentials, err)
		s.requireSignedIn(t, third.Token, bob)

		// A token that is none is no obstacle.
		s.login(t, "alice", "open sesame", []byte("no such session"))
		require.Empty(t, s.told())
	})
}

func TestLogout(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		here, elsewhere := s.login(t, "alice", "open sesame", nil), s.login(t, "alice", "open sesame", nil)
		id := s.sessionID(t, here.Token)
		caller := chat.Caller{UserID: alice.ID, SessionID: id}
		byCookie, err := s.Logout(t.Context(), caller)
		require.NoError(t, err)
		require.True(t, byCookie)
		s.requireSignedOut(t, here.Token)
		s.requireSignedIn(t, elsewhere.Token, alice)
		require.Equal(t, []string{ended(id, alice)}, s.told())
		for _, caller := range []chat.Caller{caller, {UserID: alice.ID, SessionID: 9999}, {}} {
			_, err := s.Logout(t.Context(), caller)
			require.NoError(t, err, "there is nothing to end")
		}
		require.Empty(t, s.told(), "and nothing to tell of")
		s.requireSignedIn(t, elsewhere.Token, alice)
	})
}

func TestAuthenticateRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		for name, forged := range map[string][]byte{
			"none":                 nil,
			"empty":                {},
			"another":              bytes.Repeat([]byte{7}, tokenLength),
			"cut":                  token[:tokenLength-1],
			"longer":               append(bytes.Clone(token), 0),
			"what the store keeps": hashToken(token),
		} {
			t.Run(name, func(t *testing.T) { s.requireSignedOut(t, forged) })
		}
		require.False(t, bytes.Contains(hashToken(token), token))
	})
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		ok    bool
	}{
		"a microsecond before": {lifetime - time.Microsecond, true},
		"to the moment":        {lifetime, false},
		"afterwards":           {lifetime + time.Microsecond, false},
		"long afterwards":      {100 * lifetime, false},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *site) {
				alice := s.register(t, "alice", "open sesame")
				token := s.login(t, "alice", "open sesame", nil).Token
				s.clock = s.clock.Add(c.after)
				if c.ok {
					s.requireSignedIn(t, token, alice)
				} else {
					s.requireSignedOut(t, token)
				}
			})
		})
	}
}

// Use extends a session, with a write only once in a hundredth of its lifetime.
func TestSessionSlides(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		caller, _, err := s.Authenticate(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, alice.ID, caller.UserID)

		authenticate := func() (extended time.Duration, updates int64) {
			t.Helper()
			before := s.updates.Load()
			got, extended, err := s.Authenticate(t.Context(), token)
			require.NoError(t, err)
			require.Equal(t, caller, got)
			return extended, s.updates.Load() - before
		}
		for _, step := range []struct {
			name     string
			advance  time.Duration
			extended time.Duration
			updates  int64
		}{
			{"at once", 0, 0, 0},
			{"a moment less than a hundredth", lifetime/100 - time.Microsecond, 0, 1}, // its use alone is noted
			{"a hundredth", time.Microsecond, lifetime, 1},
			{"again at once", 0, 0, 0},
			{"a moment less than a hundredth from there", lifetime/100 - time.Microsecond, 0, 1},
			{"when it had almost ended", lifetime - lifetime/100, lifetime, 1},
			{"when it had almost ended, again", lifetime - time.Microsecond, lifetime, 1},
			{"the clock is set back", -time.Hour, 0, 0},
		} {
			s.clock = s.clock.Add(step.advance)
			extended, updates := authenticate()
			require.Equal(t, step.extended, extended, step.name)
			require.Equal(t, step.updates, updates, step.name)
		}
		// It lives from its last extension on, and no longer.
		s.clock = s.clock.Add(time.Hour).Add(lifetime)
		s.requireSignedOut(t, token)
	})
}

// The writer is busy and its queue is full: who is signed in stays so.
func TestUnavailableStoreDoesNotSignOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		s.clock = s.clock.Add(lifetime / 2)

		release := s.holdWriter(t, nothing)
		defer release()
		queued := make(chan error, 1)
		go func() { queued <- s.store.Update(context.Background(), nothing) }()
		require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
		require.ErrorIs(t, s.store.Update(t.Context(), nothing), store.ErrUnavailable, "or else this proves nothing")

		caller, extended, err := s.Authenticate(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, chat.Caller{UserID: alice.ID, Username: "alice", SessionID: caller.SessionID}, caller)
		require.Zero(t, extended)

		release()
		require.NoError(t, <-queued)
		_, extended, err = s.Authenticate(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, lifetime, extended, "and is extended when that works again")
	})
}

// A session that can't be looked up is no proof that there is none.
func TestClosedStoreIsUnavailable(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		require.NoError(t, s.store.Close())
		unavailable := refusal{chat.Unavailable, "database_unavailable", ""}
		_, err := s.Logout(t.Context(), chat.Caller{UserID: 1, SessionID: 1})
		requireRefusal(t, unavailable, err)
		_, _, err = s.Authenticate(t.Context(), token)
		requireRefusal(t, unavailable, err)
		_, err = s.Login(t.Context(), "alice", "open sesame", nil)
		requireRefusal(t, unavailable, err)
		_, err = s.signUp(t.Context(), "bob", "open sesame")
		requireRefusal(t, unavailable, err)
	})
}

// Somebody signs out elsewhere between the look-up and the extension.
func TestSessionEndedWhileExtended(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		token := s.login(t, "alice", "open sesame", nil).Token
		s.clock = s.clock.Add(lifetime / 2)

		release := s.holdWriter(t, func(tx *store.Tx) error {
			_, _, err := tx.DeleteSessionByTokenHash(hashToken(token))
			return err
		})
		defer release()
		answered := make(chan error, 1)
		go func() {
			_, _, err := s.Authenticate(context.Background(), token)
			answered <- err
		}()
		require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
		release()
		requireRefusal(t, unauthenticated, <-answered)
		s.requireSignedOut(t, token)
	})
}

// Sessions that have ended are removed as new ones are made.
func TestExpiredSessionsAreRemoved(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		var old [][]byte
		for range 12 {
			old = append(old, s.login(t, "alice", "open sesame", nil).Token)
		}
		s.clock = s.clock.Add(time.Hour)
		alive := s.login(t, "alice", "open sesame", nil)
		s.clock = s.clock.Add(lifetime - time.Hour)

		left := func() (n int) {
			for _, token := range old {
				if s.stored(t, token) {
					n++
				}
			}
			return n
		}
		require.Equal(t, 12, left())
		s.login(t, "alice", "open sesame", nil)
		require.Equal(t, 2, left(), "a few a time")
		s.login(t, "alice", "open sesame", nil)
		require.Zero(t, left())
		s.requireSignedIn(t, alive.Token, alice)
	})
}

func TestRequestOf(t *testing.T) {
	t.Parallel()
	require.Zero(t, RequestOf(t.Context()))
	r := Request{ID: "id", Secure: true}
	require.Equal(t, r, RequestOf(WithRequest(t.Context(), r)))
}
