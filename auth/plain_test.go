package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

var emailTaken = refusal{chat.Conflict, "email_taken", "email"}

func (s *site) signInPlain(tb testing.TB, username string) PlainToken {
	tb.Helper()
	token, err := s.SignInPlain(context.Background(), username, "open sesame")
	require.NoError(tb, err)
	return token
}

// requireBearer tells that somebody is signed in by a token as it stands in a header.
func (s *site) requireBearer(tb testing.TB, token string, as chat.User) chat.Caller {
	tb.Helper()
	caller, err := s.Bearer(context.Background(), token)
	require.NoError(tb, err)
	require.Equal(tb, chat.Caller{UserID: as.ID, Username: as.Username, SessionID: caller.SessionID}, caller)
	return caller
}

func (s *site) requireNoBearer(tb testing.TB, token string) {
	tb.Helper()
	_, err := s.Bearer(context.Background(), token)
	requireRefusal(tb, unauthenticated, err)
}

func TestPlainTokenLifetime(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		for _, wanted := range []time.Duration{0, 10 * time.Hour} {
			s.opts.PlainTokens.Lifetime = wanted
			lifetime := wanted
			if wanted == 0 {
				lifetime = time.Hour
			}
			token := s.signInPlain(t, "ALICE")
			require.Equal(t, lifetime, token.ExpiresIn)
			require.Equal(t, alice, token.User)
			require.True(t, strings.HasPrefix(token.Token, accessPrefix))
			// However often it is used, it is not extended.
			for range 10 {
				s.requireBearer(t, token.Token, alice)
				s.clock = s.clock.Add(lifetime / 10)
				if token.ExpiresIn -= lifetime / 10; token.ExpiresIn == 0 {
					s.clock = s.clock.Add(-time.Microsecond)
					s.requireBearer(t, token.Token, alice)
					s.clock = s.clock.Add(time.Microsecond)
				}
			}
			s.requireNoBearer(t, token.Token)
		}
		require.NotContains(t, s.log.String(), accessPrefix)
	})
}

func TestPlainTokensInHex(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		plain := s.signInPlain(t, "alice").Token
		s.opts.PlainTokens.Hex = true
		one, two := s.signInPlain(t, "alice").Token, s.signInPlain(t, "alice").Token
		require.Regexp(t, `^[0-9a-f]{64}$`, one)
		require.NotEqual(t, one, two)
		for _, token := range []string{plain, one, two} {
			s.requireBearer(t, token, alice)
		}
		for _, token := range []string{"", one[:63], one + "0", one[:62], one[:63] + "g", strings.ToUpper(one), strings.Repeat("0", 64), " " + one} {
			s.requireNoBearer(t, token)
		}
		s.opts.PlainTokens.Hex = false
		s.requireNoBearer(t, one)
		s.requireBearer(t, plain, alice)
		require.NotContains(t, s.log.String(), one)
	})
}

func TestPlainTokenRefusals(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		for _, typed := range [][2]string{{"alice", "wrong"}, {"nobody", "open sesame"}, {"", ""}} {
			_, err := s.SignInPlain(t.Context(), typed[0], typed[1])
			requireRefusal(t, badCredentials, err)
		}
		s.change(t, alice, chat.AccountChange{Deactivated: new(true)}, nil)
		_, err := s.SignInPlain(t.Context(), "alice", "open sesame")
		requireRefusal(t, deactivated, err)
	})
}

// What ends a session ends that of a plain token, too.
func TestPlainTokenIsRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		for name, end := range map[string]func(chat.User, chat.Caller) (others bool){
			"logged out": func(_ chat.User, caller chat.Caller) bool {
				byCookie, err := s.Logout(t.Context(), caller)
				require.NoError(t, err)
				require.False(t, byCookie)
				return true
			},
			"another password, by an admin": func(u chat.User, _ chat.Caller) bool {
				s.change(t, u, chat.AccountChange{}, new("another sesame"))
				return false
			},
			"another password, by another session": func(u chat.User, _ chat.Caller) bool {
				caller := s.caller(t, s.login(t, u.Username, "open sesame", nil).Token)
				require.NoError(t, s.ChangePassword(t.Context(), caller, "open sesame", "another sesame"))
				return false
			},
			"deactivated": func(u chat.User, _ chat.Caller) bool {
				s.change(t, u, chat.AccountChange{Deactivated: new(true)}, nil)
				return false
			},
			"deleted": func(u chat.User, _ chat.Caller) bool {
				require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, u.ID))
				return false
			},
			"sessions ended": func(u chat.User, _ chat.Caller) bool {
				require.NoError(t, s.chat.EndSessions(t.Context(), operator, u.ID))
				return false
			},
		} {
			t.Run(name, func(t *testing.T) {
				user := s.register(t, strings.NewReplacer(" ", "-", ",", "").Replace(name), "open sesame")
				one, other := s.signInPlain(t, user.Username), s.signInPlain(t, user.Username)
				require.Len(t, s.sessionsOf(t, user, store.TokenSession), 2)
				if end(user, s.requireBearer(t, one.Token, user)) {
					s.requireBearer(t, other.Token, user)
				} else {
					s.requireNoBearer(t, other.Token)
				}
				s.requireNoBearer(t, one.Token)
			})
		}
	})
}

// Who has just made an account does not have their password hashed once more.
func TestOpenPlain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		require.Zero(t, s.hashed(func() {
			token, err := s.OpenPlain(t.Context(), alice)
			require.NoError(t, err)
			s.requireBearer(t, token.Token, alice)
		}))
		log := s.audited(t)
		require.Equal(t, chat.AuditEntry{Action: chat.UserSignedIn, ActorID: alice.ID, UserID: alice.ID}, log[len(log)-1])
		s.change(t, alice, chat.AccountChange{}, new("another sesame"))
		_, err := s.OpenPlain(t.Context(), alice)
		requireRefusal(t, badCredentials, err)
	})
}

func TestRenewPlain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.BasicAuth = true
		alice := s.register(t, "alice", "open sesame")
		first := s.signInPlain(t, "alice")
		byBasic, err := s.ask(t.Context(), "alice", "open sesame")
		require.NoError(t, err)
		s.clock = s.clock.Add(time.Hour - time.Minute)
		for name, caller := range map[string]chat.Caller{
			"a plain token": s.requireBearer(t, first.Token, alice),
			"a password":    byBasic,
			"a cookie":      s.caller(t, s.login(t, "alice", "open sesame", nil).Token),
		} {
			require.Zero(t, s.hashed(func() {
				renewed, err := s.RenewPlain(t.Context(), caller)
				require.NoError(t, err, name)
				require.Equal(t, time.Hour, renewed.ExpiresIn)
				require.Equal(t, alice, renewed.User)
				require.NotEqual(t, caller.SessionID, s.requireBearer(t, renewed.Token, alice).SessionID)
			}))
		}
		s.requireBearer(t, first.Token, alice) // until its time has come
		s.clock = s.clock.Add(time.Minute)
		s.requireNoBearer(t, first.Token)

		key, err := s.CreateKey(t.Context(), s.caller(t, s.login(t, "alice", "open sesame", nil).Token),
			NewKey{Name: "bot", Scopes: []string{"read", "write", "admin"}})
		require.NoError(t, err)
		bot, err := s.Bearer(t.Context(), key.Key)
		require.NoError(t, err)
		_, err = s.RenewPlain(t.Context(), bot)
		requireRefusal(t, insufficientScope, err)
	})
}

// Whoever is signed out while their request is on its way leaves no session behind.
func TestRenewPlainOfAnEndedSession(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		for name, c := range map[string]struct {
			end  func(chat.User, chat.Caller)
			want refusal
		}{
			"logged out": {func(_ chat.User, caller chat.Caller) {
				_, err := s.Logout(t.Context(), caller)
				require.NoError(t, err)
			}, unauthenticated},
			"another password": {func(u chat.User, _ chat.Caller) {
				s.change(t, u, chat.AccountChange{}, new("another sesame"))
			}, unauthenticated},
			"deactivated": {func(u chat.User, _ chat.Caller) {
				s.change(t, u, chat.AccountChange{Deactivated: new(true)}, nil)
			}, deactivated},
			"deleted": {func(u chat.User, _ chat.Caller) {
				require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, u.ID))
			}, unauthenticated},
		} {
			user := s.register(t, strings.ReplaceAll(name, " ", "-"), "open sesame")
			caller := s.requireBearer(t, s.signInPlain(t, user.Username).Token, user)
			c.end(user, caller)
			_, err := s.RenewPlain(t.Context(), caller)
			requireRefusal(t, c.want, err)
			require.Empty(t, s.sessionsOf(t, user, store.TokenSession), name)
		}
	})
}

// Who asks for token after token ends the least used of those, and nothing else.
func TestLeastUsedPlainTokensEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir()+"/messaging.db")
	alice := s.register(t, "alice", "open sesame")
	browser, program := s.login(t, "alice", "open sesame", nil), s.signIn(t, "alice")
	s.clock = s.clock.Add(time.Minute)
	first := s.signInPlain(t, "alice")
	caller := s.requireBearer(t, first.Token, alice)
	s.clock = s.clock.Add(time.Minute)
	s.told()
	var renewed PlainToken
	for i := range maxPlain {
		require.Empty(t, s.told(), "%d renewed", i)
		var err error
		renewed, err = s.RenewPlain(t.Context(), caller)
		require.NoError(t, err)
	}
	require.Equal(t, []string{ended(caller.SessionID, alice)}, s.told())
	s.requireNoBearer(t, first.Token)
	s.requireBearer(t, renewed.Token, alice)
	s.requireSignedIn(t, browser.Token, alice)
	s.requireSignedIn(t, []byte(program.Access), alice)

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
	s.signInPlain(t, "alice")
	s.requireSignedIn(t, browser.Token, alice)
}

// email gives an account an address, verified or not.
func (s *site) email(tb testing.TB, user chat.User, email string, verified bool) {
	tb.Helper()
	require.NoError(tb, s.store.Update(context.Background(), func(tx *store.Tx) error {
		change := store.UserChange{Email: &email}
		if verified {
			change.EmailVerifiedAt = &s.clock
		}
		_, err := tx.UpdateUser(user.ID, change)
		return err
	}))
}

func TestSignInByEmail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		const (
			shown   = "shown@example.com"
			claimed = "claimed@example.com"
		)
		people := map[string]chat.User{}
		for _, name := range []string{"verified", "unverified", "waiting", shown, claimed} {
			people[name] = s.register(t, name, "that of "+name)
		}
		s.email(t, people["verified"], "Shown@Example.com", true)
		s.email(t, people["unverified"], claimed, false)
		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.UpdateUser(people["waiting"].ID, store.UserChange{PendingEmail: new("next@example.com")})
			return err
		}))
		for _, c := range []struct {
			typed string
			want  map[bool]string // who it is, by whether an address will do
		}{
			{"verified", map[bool]string{false: "verified", true: "verified"}},
			{"UNVERIFIED", map[bool]string{false: "unverified", true: "unverified"}},
			{shown, map[bool]string{false: shown, true: "verified"}},
			{"SHOWN@example.com", map[bool]string{false: shown, true: "verified"}},
			{claimed, map[bool]string{false: claimed, true: claimed}},
			{"next@example.com", map[bool]string{true: "waiting"}},
			{"Next@Example.com", map[bool]string{true: "waiting"}},
			{"nobody@example.com", nil},
			{"", nil},
		} {
			for _, byEmail := range []bool{false, true} {
				s.opts.SignInByEmail = byEmail
				for name, user := range people {
					token, err := s.SignInPlain(t.Context(), c.typed, "that of "+name)
					if c.want[byEmail] != name {
						requireRefusal(t, badCredentials, err)
						continue
					}
					require.NoError(t, err, "%s, %v", c.typed, byEmail)
					require.Equal(t, user.ID, token.User.ID)
				}
			}
		}
		s.change(t, people["verified"], chat.AccountChange{Deactivated: new(true)}, nil)
		_, err := s.SignInPlain(t.Context(), shown, "that of verified")
		requireRefusal(t, deactivated, err)
		require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, people["verified"].ID))
		token, err := s.SignInPlain(t.Context(), shown, "that of "+shown)
		require.NoError(t, err, "nobody else has it now")
		require.Equal(t, people[shown].ID, token.User.ID)
	})
}

// Whoever registers with an address that nobody else has signs in with it, whatever
// others do then or did before. A username that looks like an address is its owner's.
func TestSignInByAClaimedEmail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.SignInByEmail = true
		older, mallory := s.register(t, "older", "that of mallory"), s.register(t, "mallory", "that of mallory")
		bob := s.register(t, "bob@example.com", "that of bob")
		ann, _, err := s.apply(Registration{Username: "ann", Email: "Ann@example.com", UniqueEmail: true, Password: "that of ann"})
		require.NoError(t, err)
		require.True(t, ann.EmailClaimed)
		requireOwner := func(typed string, owner chat.User, password string) {
			t.Helper()
			token, err := s.SignInPlain(t.Context(), typed, password)
			require.NoError(t, err)
			require.Equal(t, owner.ID, token.User.ID)
		}
		s.email(t, older, "ann@example.com", false)
		requireOwner("ann@example.com", ann, "that of ann")
		s.change(t, mallory, chat.AccountChange{Profile: chat.Profile{Username: new("ann@example.com")}}, nil)
		requireOwner("ann@example.com", ann, "that of ann")

		_, _, err = s.apply(Registration{Username: "carl", Email: "BOB@example.com", UniqueEmail: true})
		requireRefusal(t, emailTaken, err)
		requireOwner("bob@example.com", bob, "that of bob")

		s.email(t, ann, "another@example.com", false)
		requireOwner("ann@example.com", mallory, "that of mallory")
		s.email(t, mallory, "mallory@example.com", true)
		plain, _, err := s.apply(Registration{Username: "plain", Email: "plain@example.com"})
		require.NoError(t, err)
		require.False(t, plain.EmailClaimed, "who does not ask for it")
	})
}

// Each of an account's names is of the same account: there are no more tries for it.
func TestTriesByEmailAreOfTheAccount(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.SignInByEmail = true
		s.opts.Limits = limit.New(s.store, nil)
		s.opts.Limits.Configure(map[limit.Name]limit.Rate{limit.SignIn: {Events: 3, Per: time.Hour, Burst: 3}})
		alice, bob := s.register(t, "alice", "open sesame"), s.register(t, "bob", "open sesame")
		s.email(t, alice, "alice@example.com", true)
		s.email(t, bob, "bob@example.com", true)
		for _, typed := range []string{"alice", "alice@example.com", "ALICE@example.com"} {
			_, err := s.SignInPlain(t.Context(), typed, "wrong guess")
			requireRefusal(t, badCredentials, err)
		}
		for _, typed := range []string{"alice", "Alice@example.com"} {
			_, err := s.SignInPlain(t.Context(), typed, "open sesame")
			requireRefusal(t, refusal{chat.TooMany, "too_many_attempts", ""}, err)
		}
		_, err := s.SignInPlain(t.Context(), "bob@example.com", "open sesame")
		require.NoError(t, err)
	})
}

// Sites of one database share what is remembered of passwords, but not those that take
// other names: the same words may be those of two people.
func TestBasicsOfTwoKindsOfSite(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "that of alice")
		mallory := s.register(t, "alice@example.com", "that of mallory")
		s.email(t, alice, "alice@example.com", true)
		s.opts.Basics = NewBasics()
		ask := func(byEmail bool, password string) (int64, error) {
			s.opts.SignInByEmail = byEmail
			r := (&http.Request{Header: http.Header{}}).WithContext(
				WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.1")}))
			r.SetBasicAuth("alice@example.com", password)
			caller, err := s.Basic(r)
			return caller.UserID, err
		}
		for range 2 { // the second time, it is remembered
			for _, c := range []struct {
				byEmail         bool
				password, wrong string
				want            chat.User
			}{
				{false, "that of mallory", "that of alice", mallory},
				{true, "that of alice", "that of mallory", alice},
			} {
				id, err := ask(c.byEmail, c.password)
				require.NoError(t, err)
				require.Equal(t, c.want.ID, id)
				_, err = ask(c.byEmail, c.wrong)
				requireRefusal(t, wrongBasic, err)
			}
		}
		require.Zero(t, s.hashed(func() {
			_, err := ask(true, "that of alice")
			require.NoError(t, err)
			_, err = ask(false, "that of mallory")
			require.NoError(t, err)
		}))
	})
}

func TestRegisterWithAUniqueEmail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		register := func(name, email string, unique bool) error {
			_, _, err := s.apply(Registration{Username: name, Email: email, UniqueEmail: unique})
			return err
		}
		require.NoError(t, register("alice", "alice@example.com", true))
		requireRefusal(t, emailTaken, register("bob", "Alice@Example.com", true))
		require.NoError(t, register("bob", "alice@example.com", false), "who does not ask for it")
		requireRefusal(t, emailTaken, register("carl", "alice@example.com", true))
		require.NoError(t, register("carl", "carl@example.com", true), "what was refused has stored nothing")
		for _, name := range []string{"dan", "eve"} {
			require.NoError(t, register(name, "", true), "no address is nobody's")
		}
		requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, register("eve", "eve@example.com", true))

		s.sendsMail()
		require.NoError(t, register("fay", "fay@example.com", true))
		requireRefusal(t, emailTaken, register("gus", "fay@example.com", true)) // which is to be verified
		requireRefusal(t, emailTaken, register("gus", "alice@example.com", true))
	})
}

func TestUniqueEmailWantedByManyAtOnce(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, database string) {
		s := openSite(t, store.Options{Database: database})
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, _, errs[i] = s.apply(Registration{
					Username: fmt.Sprint("user", i), Email: "Some@example.com", UniqueEmail: true,
				})
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
				continue
			}
			requireRefusal(t, emailTaken, err)
		}
		require.Equal(t, 1, made)
		var users []chat.User
		require.NoError(t, s.store.View(t.Context(), func(tx *store.Tx) (err error) {
			users, err = tx.ListUsers(store.Filter{})
			return err
		}))
		require.Len(t, users, 1)
	})
}

// Of two who want an address at once, the second waits for what becomes of the first.
func TestUniqueEmailIsWaitedFor(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openSite(t, store.Options{Database: database})
	db := connect(t, database)
	second := make(chan error, 1)
	require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
		if err := chat.EmailFree(tx, "some@example.com"); err != nil {
			return err
		}
		go func() {
			_, _, err := s.apply(Registration{Username: "bob", Email: "Some@example.com", UniqueEmail: true})
			second <- err
		}()
		require.Eventually(t, func() bool { return somebodyWaits(db) }, 30*time.Second, 5*time.Millisecond)
		return tx.CreateUser(&store.User{Username: "alice", UsernameKey: "alice", Email: "some@example.com", CreatedAt: s.clock})
	}))
	requireRefusal(t, emailTaken, <-second)
}

func TestRegisterWithADisplayName(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, _, err := s.apply(Registration{Username: "alice", DisplayName: " Alice Liddell "})
		require.NoError(t, err)
		require.Equal(t, "Alice Liddell", alice.DisplayName)
		stored, err := s.chat.User(t.Context(), "alice")
		require.NoError(t, err)
		require.Equal(t, "Alice Liddell", stored.DisplayName)
		bob, _, err := s.apply(Registration{Username: "bob"})
		require.NoError(t, err)
		require.Empty(t, bob.DisplayName)
		require.Zero(t, s.hashed(func() {
			for name, displayName := range map[string]string{
				"two lines": "Carl\nof Carls", "too long": strings.Repeat("x", chat.MaxDisplayNameLength+1), "no UTF-8": "\xff",
			} {
				_, _, err := s.apply(Registration{Username: "carl", DisplayName: displayName})
				e := chat.AsError(err)
				require.NotNil(t, e, name)
				require.Equal(t, []any{chat.Invalid, "display_name"}, []any{e.Kind, e.Field}, name)
			}
		}))
	})
}
