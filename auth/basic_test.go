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
	"github.com/caddymsg/messaging/store"
)

// basicFrom asks by username and password, from an address.
func (s *site) basicFrom(ctx context.Context, address, username, password string) (chat.Caller, error) {
	r := (&http.Request{Header: http.Header{}}).WithContext(WithRequest(ctx, Request{ClientIP: netip.MustParseAddr(address)}))
	r.SetBasicAuth(username, password)
	caller, cookie, err := s.Identify(r)
	if cookie != nil {
		err = fmt.Errorf("a cookie: %v", cookie)
	}
	return caller, err
}

func (s *site) ask(ctx context.Context, username, password string) (chat.Caller, error) {
	return s.basicFrom(ctx, "192.0.2.1", username, password)
}

// hashed counts the hashes that something costs.
func (s *site) hashed(do func()) int64 {
	before := s.hasher.queue.Hashed()
	do()
	return s.hasher.queue.Hashed() - before
}

func onBasicSite(t *testing.T, test func(t *testing.T, s *site)) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.BasicAuth = true
		test(t, s)
	})
}

var wrongBasic = refusal{chat.Unauthenticated, "bad_credentials", ""}

func TestBasicIsRemembered(t *testing.T) {
	onBasicSite(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		may := func() {
			t.Helper()
			caller, err := s.ask(t.Context(), "alice", "open sesame")
			require.NoError(t, err)
			require.Equal(t, chat.Caller{
				UserID: alice.ID, Username: "alice", SessionID: caller.SessionID, Address: "192.0.2.1",
			}, caller)
		}
		require.EqualValues(t, 1, s.hashed(func() {
			for range 100 {
				may()
			}
		}))
		s.clock = s.clock.Add(basicLifetime - time.Microsecond)
		require.Zero(t, s.hashed(may))
		s.clock = s.clock.Add(time.Microsecond)
		require.EqualValues(t, 1, s.hashed(may), "for a short while")
		require.Zero(t, s.hashed(may))
		require.EqualValues(t, 1, s.hashed(func() {
			_, err := s.basicFrom(t.Context(), "192.0.2.2", "alice", "open sesame")
			require.NoError(t, err)
		}), "from elsewhere, it is another sign-in")
		require.EqualValues(t, 3, s.hashed(func() {
			for _, password := range []string{"wrong", "wrong", ""} {
				_, err := s.ask(t.Context(), "alice", password)
				requireRefusal(t, wrongBasic, err)
			}
		}), "what is wrong is not remembered")
		may()

		sessions := s.sessionsOf(t, alice, store.BasicSession)
		require.Len(t, sessions, 1, "all of that is one session")
		signedIn := 0
		for _, entry := range s.audited(t) {
			if entry.Action == chat.UserSignedIn {
				signedIn++
			}
		}
		require.Equal(t, 1, signedIn)

		s.clock = s.clock.Add(lifetime)
		may()
		require.NotEqual(t, sessions[0].ID, s.sessionsOf(t, alice, store.BasicSession)[0].ID, "unused, it expires as others do")
	})
}

func (s *site) sessionsOf(tb testing.TB, user chat.User, kind string) (found []store.Session) {
	tb.Helper()
	require.NoError(tb, s.store.View(context.Background(), func(tx *store.Tx) (err error) {
		found, err = tx.ListSessionsOf(user.ID, kind, s.clock, 100, 0)
		return err
	}))
	return found
}

// What ends a session ends what is remembered, at once: see TestBasicOnTwoNodes, too.
func TestBasicIsForgotten(t *testing.T) {
	onBasicSite(t, func(t *testing.T, s *site) {
		for name, c := range map[string]struct {
			end  func(user chat.User)
			want *refusal
		}{
			"another password": {func(u chat.User) { s.change(t, u, chat.AccountChange{}, new("another sesame")) }, &wrongBasic},
			"another password, by that session": {func(u chat.User) {
				// As if all other sessions had been ended.
				hash, err := s.hasher.Hash(t.Context(), "another sesame")
				require.NoError(t, err)
				require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
					_, err := tx.UpdateUser(u.ID, store.UserChange{PasswordHash: &hash})
					return err
				}))
			}, &wrongBasic},
			"another name": {func(u chat.User) {
				name := u.Username + "-renamed"
				s.change(t, u, chat.AccountChange{Profile: chat.Profile{Username: &name}}, nil)
			}, &wrongBasic},
			"deactivated": {func(u chat.User) { s.change(t, u, chat.AccountChange{Deactivated: new(true)}, nil) }, &deactivated},
			"deleted": {func(u chat.User) {
				require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, u.ID))
			}, &wrongBasic},
			"sessions ended": {func(u chat.User) { require.NoError(t, s.chat.EndSessions(t.Context(), operator, u.ID)) }, nil},
			"signed out": {func(u chat.User) {
				_, err := s.Logout(t.Context(), chat.Caller{UserID: u.ID, SessionID: s.sessionsOf(t, u, store.BasicSession)[0].ID})
				require.NoError(t, err)
			}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				user := s.register(t, strings.NewReplacer(" ", "-", ",", "").Replace(name), "open sesame")
				before, err := s.ask(t.Context(), user.Username, "open sesame")
				require.NoError(t, err)
				c.end(user)
				hashes := s.hashed(func() {
					after, err := s.ask(t.Context(), user.Username, "open sesame")
					if c.want != nil {
						requireRefusal(t, *c.want, err)
						return
					}
					require.NoError(t, err, "the password is right")
					require.NotEqual(t, before.SessionID, after.SessionID)
				})
				require.NotZero(t, hashes)
			})
		}
	})
}

func TestBasicCallsAtOnce(t *testing.T) {
	onBasicSite(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.EqualValues(t, 1, s.hashed(func() {
			var running sync.WaitGroup
			for i := range 20 {
				running.Go(func() {
					ctx := t.Context()
					if i%2 == 0 {
						ctx = gone // who goes does not take the others with them
					}
					if _, err := s.ask(ctx, "alice", "open sesame"); i%2 != 0 {
						require.NoError(t, err)
					}
				})
			}
			running.Wait()
		}))
		require.Len(t, s.sessionsOf(t, alice, store.BasicSession), 1)
	})
}

// A panic is the request's own: its goroutine is left to whoever recovers, and the next
// request does not wait for it.
func TestBasicPanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir()+"/messaging.db")
	s.opts.BasicAuth = true
	s.register(t, "alice", "open sesame")
	hasher := s.hasher
	s.hasher = nil // any panic will do
	require.Panics(t, func() { _, _ = s.ask(t.Context(), "alice", "open sesame") })
	s.hasher = hasher
	_, err := s.ask(t.Context(), "alice", "open sesame")
	require.NoError(t, err)
	require.Empty(t, s.opts.Basics.looking)
}

// Whoever goes while another looks does not wait.
func TestBasicGoesWhileItWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir()+"/messaging.db")
	s.opts.BasicAuth = true
	done, err := s.opts.Basics.look(t.Context(), s.opts.Basics.mac("username", "192.0.2.1", "alice", "open sesame"))
	require.NoError(t, err)
	defer done()
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := s.ask(ctx, "alice", "open sesame")
		answered <- err
	}()
	cancel()
	require.ErrorIs(t, <-answered, context.Canceled)
}

// An Update that is tried again knows nothing of the session that it has found before.
func TestBasicSessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openSite(t, store.Options{Database: database, QueueLength: 4, Writers: 4})
	s.opts.BasicAuth = true
	alice := s.register(t, "alice", "open sesame")
	before, err := s.ask(t.Context(), "alice", "open sesame")
	require.NoError(t, err)

	// The next commit with a new place waits for the lock, and then fails as by a deadlock.
	const lock = 4711
	db, holder := connect(t, database), connect(t, database)
	_, err = db.Exec(t.Context(), fmt.Sprintf(`
		CREATE SEQUENCE tries;
		CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('tries') = 1 THEN
				PERFORM pg_advisory_xact_lock(%d);
				RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01';
			END IF;
			RETURN NEW;
		END $$;
		CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON known_places DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION fail();`, lock))
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, lock)
	require.NoError(t, err)

	type answer struct {
		caller chat.Caller
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		caller, err := s.basicFrom(context.Background(), "198.51.100.1", "alice", "open sesame")
		answered <- answer{caller, err}
	}()
	require.Eventually(t, func() bool { return somebodyWaits(db) || len(answered) > 0 }, time.Minute, time.Millisecond)
	require.Empty(t, answered, "or else this proves nothing")
	_, err = db.Exec(t.Context(), `DELETE FROM sessions WHERE id = $1`, before.SessionID)
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `SELECT pg_advisory_unlock($1)`, lock)
	require.NoError(t, err)
	after := <-answered
	require.NoError(t, after.err)
	require.Equal(t, alice.ID, after.caller.UserID)
	require.NotEqual(t, before.SessionID, after.caller.SessionID)
}

// Two nodes that see a username for the first time at once make one session.
func TestBasicOfTwoNodesAtOnce(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	nodes := [2]*site{newSite(t, database), newSite(t, database)}
	alice := nodes[0].register(t, "alice", "open sesame")
	var running sync.WaitGroup
	var callers [2]chat.Caller
	for i, node := range nodes {
		node.opts.BasicAuth = true
		running.Go(func() {
			var err error
			callers[i], err = node.ask(t.Context(), "alice", "open sesame")
			require.NoError(t, err)
		})
	}
	running.Wait()
	require.Equal(t, callers[0], callers[1])
	require.Len(t, nodes[0].sessionsOf(t, alice, store.BasicSession), 1)
}

func TestBasicsAreBounded(t *testing.T) {
	t.Parallel()
	b, now := NewBasics(), time.Now()
	add := func(i int) {
		b.add(b.mac("username", "", "user", fmt.Sprint(i)), knownBasic{sessionID: int64(i), until: now.Add(basicLifetime)})
	}
	const flood = 3*maxBasics + 7
	most := 0
	for i := range flood {
		add(i)
		if i%3 == 0 {
			add(i) // again
		}
		most = max(most, len(b.known), len(b.order)/2)
	}
	require.LessOrEqual(t, most, maxBasics)
	for i := range flood {
		known, ok := b.find(b.mac("username", "", "user", fmt.Sprint(i)), now)
		if ok != (i >= flood-maxBasics) || ok && known.sessionID != int64(i) {
			require.Fail(t, "the last ones are known, and no others", "%d: %v %v", i, ok, known)
		}
	}
	_, ok := b.find(b.mac("username", "", "user", fmt.Sprint(flood-1)), now.Add(basicLifetime))
	require.False(t, ok)
}

// No two of these are taken for one another, and no process knows those of another.
func TestBasicMACs(t *testing.T) {
	t.Parallel()
	b := NewBasics()
	seen := map[basicMAC]string{}
	for _, c := range [][3]string{
		{"", "", ""}, {"", "a", "b"}, {"", "ab", ""}, {"", "", "ab"}, {"a", "b", ""}, {"a", "", "b"}, {"", "a\x00", "b"}, {"", "a", "\x00b"},
	} {
		mac := b.mac("username", c[0], c[1], c[2])
		require.Empty(t, seen[mac])
		seen[mac] = fmt.Sprintf("%q", c)
		require.NotEqual(t, mac, NewBasics().mac("username", c[0], c[1], c[2]))
		require.Equal(t, mac, b.mac("username", c[0], c[1], c[2]))
	}
}

// Nobody is let in by a header but with what was given to them.
func FuzzIdentify(f *testing.F) {
	s := newSite(f, f.TempDir()+"/messaging.db")
	s.opts.BasicAuth, s.opts.Cookies = true, newCookies(f, secret)
	s.register(f, "alice", "open sesame")
	tokens := s.signIn(f, "alice")
	right := func(username string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(username, "open sesame")
		return r.Header.Get("Authorization")
	}
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + tokens.Access, "bearer\t" + tokens.Access, "Token " + tokens.Access, "Token token=" + tokens.Access,
		"Bearer " + tokens.Refresh, "Bearer " + tokens.Access + " x", "Bearer,Bearer " + tokens.Access, "Basic " + tokens.Access,
		"BeArEr   " + tokens.Access, "Bearer " + newToken(keyPrefix), "Bearer cmsg_at_", "Digest x", "\x00", "Bearer \xff",
		right("alice"), right("ALICE"), right("bob"), "basic " + right("alice")[6:], "Basic " + right("alice")[6:20], "Basic Og==", "Basic =",
	} {
		f.Add(seed, "")
		f.Add("", seed)
		f.Add("Digest", strings.TrimPrefix(seed, "Bearer "))
	}
	f.Fuzz(func(t *testing.T, header, key string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}, "X-Api-Key": {key}}}
		caller, cookie, err := s.Identify(r)
		require.Nil(t, cookie)
		if err != nil {
			require.NotNil(t, chat.AsError(err), "%v", err)
			require.Zero(t, caller)
			return
		}
		require.Equal(t, "alice", caller.Username)
		username, password, basic := r.BasicAuth()
		require.True(t, strings.Contains(header, tokens.Access) || key == tokens.Access ||
			basic && chat.UsernameKey(username) == "alice" && password == "open sesame", "%q, %q", header, key)
	})
}
