package limit_test

import (
	"context"
	"database/sql" //nolint:depguard // of another client: what it need not wait for
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// newLimiter makes a limiter of what one node has for itself.
func newLimiter(rates map[limit.Name]string) *limit.Limiter {
	l := limit.New(nil, nil)
	configure(l, rates)
	return l
}

func configure(l *limit.Limiter, rates map[limit.Name]string) {
	parsed := map[limit.Name]limit.Rate{}
	for name, text := range rates {
		rate, err := limit.Parse(text)
		if err != nil {
			panic(err)
		}
		parsed[name] = rate
	}
	l.Configure(parsed)
}

// refusal is how long one has to wait; below 0, one need not.
func refusal(tb testing.TB, err error) time.Duration {
	tb.Helper()
	if err == nil {
		return -1
	}
	var exceeded *limit.ExceededError
	require.ErrorAs(tb, err, &exceeded)
	return exceeded.RetryAfter
}

func take(tb testing.TB, l *limit.Limiter, name limit.Name, key string) time.Duration {
	tb.Helper()
	_, err := l.Take(tb.Context(), limit.Ask{Limit: name, Key: key})
	return refusal(tb, err)
}

const allowed = time.Duration(-1)

func TestTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "2/1s 3"})
		for range 3 {
			require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		}
		require.Equal(t, 500*time.Millisecond, take(t, l, limit.Sends, "alice"))
		require.Equal(t, allowed, take(t, l, limit.Sends, "bob"), "it is another's")
		time.Sleep(499 * time.Millisecond)
		require.Equal(t, time.Millisecond, take(t, l, limit.Sends, "alice"), "what is refused costs nothing")
		time.Sleep(time.Millisecond)
		require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		require.Equal(t, 500*time.Millisecond, take(t, l, limit.Sends, "alice"))
		time.Sleep(time.Hour)
		for range 3 {
			require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		}
		require.Positive(t, take(t, l, limit.Sends, "alice"), "the burst does not grow")
	})
}

func TestTakeSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/1s 10", limit.SendsAddress: "1/1s 4"})
		send := func(user, address string, n int) time.Duration {
			_, err := l.Take(t.Context(),
				limit.Ask{Limit: limit.Sends, Key: user, Events: n}, limit.Ask{Limit: limit.SendsAddress, Key: address, Events: n})
			return refusal(t, err)
		}
		require.Equal(t, allowed, send("alice", "here", 3))
		require.Equal(t, time.Second, send("alice", "here", 2))
		require.Equal(t, allowed, send("alice", "", 7), "an unknown address has no limit, and what was refused cost alice nothing")
		require.Equal(t, time.Second, send("alice", "there", 1))
		require.Equal(t, allowed, send("bob", "there", 4), "and the address nothing")
		require.Equal(t, 2*time.Second, send("alice", "there", 2), "the longest counts")
	})
}

// A batch that is larger than the burst would else never be allowed.
func TestTakeMoreThanThereEverIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/1s 2"})
		send := func(n int) time.Duration {
			_, err := l.Take(t.Context(), limit.Ask{Limit: limit.Sends, Key: "alice", Events: n})
			return refusal(t, err)
		}
		require.Equal(t, allowed, send(100))
		require.Equal(t, 99*time.Second, send(1), "it is owed")
		require.Equal(t, 100*time.Second, send(100))
		time.Sleep(99 * time.Second)
		require.Equal(t, time.Second, send(100))
		require.Equal(t, allowed, send(1))
		time.Sleep(2 * time.Second)
		require.Equal(t, allowed, send(100))
	})
}

func TestOff(t *testing.T) {
	l := newLimiter(map[limit.Name]string{limit.Sends: "off"})
	for range 1000 {
		require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		require.Equal(t, allowed, take(t, nil, limit.Sends, "alice"))
	}
}

func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rates := map[limit.Name]string{limit.Sends: "1/1h", limit.Search: "1/1h"}
		l := newLimiter(rates)
		for _, name := range []limit.Name{limit.Sends, limit.Search} {
			require.Equal(t, allowed, take(t, l, name, "alice"))
		}
		rates[limit.Search] = "2/1h"
		configure(l, rates)
		require.Equal(t, time.Hour, take(t, l, limit.Sends, "alice"), "it goes on")
		require.Equal(t, allowed, take(t, l, limit.Search, "alice"), "it begins anew")
		l.Configure(nil)
		for range limit.Standard(limit.Sends).Burst {
			require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		}
		require.Positive(t, take(t, l, limit.Sends, "alice"))
	})
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused []limit.Name
		l := limit.New(nil, func(name limit.Name) { refused = append(refused, name) })
		configure(l, map[limit.Name]string{limit.Sends: "2/1s 3", limit.SendsAddress: "off", limit.Search: "1/1s"})
		var seen []limit.State
		ctx := limit.WithObserver(t.Context(), func(s limit.State) { seen = append(seen, s) })
		rate := limit.Rate{2, time.Second, 3}
		taken, err := l.Take(ctx, limit.Ask{Limit: limit.Sends, Key: "alice", Events: 2}, limit.Ask{Limit: limit.SendsAddress, Key: "here"})
		require.NoError(t, err)
		_, err = l.Take(ctx, limit.Ask{Limit: limit.Sends, Key: "alice", Events: 2})
		require.Equal(t, 500*time.Millisecond, refusal(t, err))
		time.Sleep(250 * time.Millisecond)
		require.NoError(t, taken.GiveBack(ctx))
		require.Equal(t, []limit.State{
			{limit.Sends, rate, 1, time.Second},
			{limit.Sends, rate, 1, time.Second},
			{limit.Sends, rate, 3, 0},
		}, seen)
		require.Equal(t, []limit.Name{limit.Sends}, refused)
	})
}

func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/1s", limit.Search: "1/1h 2"})
		var seen []limit.Name
		ctx := limit.WithObserver(t.Context(), func(s limit.State) { seen = append(seen, s.Limit) })
		asks := []limit.Ask{{Limit: limit.Sends, Key: "alice", Quiet: true}, {Limit: limit.Search, Key: "alice"}}
		told := func(want ...limit.Name) {
			t.Helper()
			require.Equal(t, want, seen)
			seen = nil
		}
		taken, err := l.Take(ctx, asks...)
		require.NoError(t, err)
		told(limit.Search)
		require.NoError(t, taken.GiveBack(ctx))
		told(limit.Search)
		_, err = l.Take(ctx, asks...)
		require.NoError(t, err)
		told(limit.Search)
		_, err = l.Take(ctx, asks...)
		require.Equal(t, time.Second, refusal(t, err))
		told(limit.Sends, limit.Search)
		time.Sleep(time.Second)
		_, err = l.Take(ctx, asks...)
		require.NoError(t, err)
		told(limit.Search)
		_, err = l.Take(ctx, asks...)
		require.Greater(t, refusal(t, err), time.Second)
		told(limit.Search)
	})
}

func TestGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/10s 2"})
		ask := limit.Ask{Limit: limit.Sends, Key: "alice"}
		for range 10 {
			taken, err := l.Take(t.Context(), ask)
			require.NoError(t, err)
			require.NoError(t, taken.GiveBack(t.Context()))
		}
		early, err := l.Take(t.Context(), ask)
		require.NoError(t, err)
		time.Sleep(10 * time.Second) // it has come back by itself
		for range 2 {
			require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		}
		require.NoError(t, early.GiveBack(t.Context()))
		require.Equal(t, 10*time.Second, take(t, l, limit.Sends, "alice"), "not twice")
		require.NoError(t, limit.Taken{}.GiveBack(t.Context()))
	})
}

// Whatever comes, and whenever: in no span of time is more admitted of a key, and not
// given back, than the burst and what the rate says for that span.
func TestNeverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := limit.Rate{
			Events: rapid.IntRange(1, 7).Draw(t, "events"), Per: time.Duration(rapid.IntRange(1, 5000).Draw(t, "per")) * time.Millisecond,
			Burst: rapid.IntRange(1, 6).Draw(t, "burst"),
		}
		l := limit.New(nil, nil)
		now := int64(1)
		l.SetClock(func() int64 { return now })
		l.Configure(map[limit.Name]limit.Rate{limit.Sends: rate})
		l.SetMaxBuckets(rapid.IntRange(0, 3).Draw(t, "buckets"))
		type admission struct {
			at    int64
			n     int
			taken limit.Taken
		}
		admitted := map[string][]admission{}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now += rapid.Int64Range(0, rate.Per.Microseconds()).Draw(t, "for")
			},
			"take": func(t *rapid.T) {
				k, n := key.Draw(t, "key"), rapid.IntRange(1, rate.Burst).Draw(t, "n")
				taken, err := l.Take(context.Background(), limit.Ask{Limit: limit.Sends, Key: k, Events: n})
				if err == nil {
					admitted[k] = append(admitted[k], admission{now, n, taken})
					return
				}
				var exceeded *limit.ExceededError
				if !errors.As(err, &exceeded) || exceeded.RetryAfter <= 0 {
					t.Fatalf("refused without a time: %v", err)
				}
			},
			"give back": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if len(admitted[k]) == 0 {
					return // nothing was taken
				}
				i := rapid.IntRange(0, len(admitted[k])-1).Draw(t, "which")
				_ = admitted[k][i].taken.GiveBack(context.Background()) // it asks no database
				admitted[k] = append(admitted[k][:i:i], admitted[k][i+1:]...)
			},
			"": func(t *rapid.T) {
				for k, all := range admitted {
					for from := range all {
						sum := 0
						for _, a := range all[from:] {
							sum += a.n
							span := time.Duration(a.at-all[from].at) * time.Microsecond
							most := float64(rate.Burst) + float64(rate.Events)*float64(span)/float64(rate.Per)
							if float64(sum) > most+1e-9 {
								t.Fatalf("%s: %d in %s, at a rate of %s", k, sum, span, rate)
							}
						}
					}
				}
			},
		})
	})
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 100
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/1h"})
		l.SetMaxBuckets(room)
		require.Equal(t, allowed, take(t, l, limit.Sends, "mallory"))
		for i := range 100 * room {
			_, _ = l.Take(t.Context(), limit.Ask{Limit: limit.Sends, Key: fmt.Sprint("flood ", i)}) // refused or not
			require.LessOrEqual(t, l.Remembered(limit.Sends), room)
		}
		require.Equal(t, time.Hour, take(t, l, limit.Sends, "mallory"), "no flood resets a debt")
		// Nor does it reset the debt of one who came in the midst of it.
		time.Sleep(time.Hour)
		for i := range room {
			require.Equal(t, allowed, take(t, l, limit.Sends, fmt.Sprint("again ", i)))
		}
		require.Equal(t, allowed, take(t, l, limit.Sends, "late"))
		require.Positive(t, take(t, l, limit.Sends, "late"))
		time.Sleep(time.Hour - time.Second)
		require.Equal(t, time.Second, take(t, l, limit.Sends, "late"))
		time.Sleep(time.Second)
		// When it is over, everybody has a bucket of their own again, and few are remembered.
		for i := range 10 * room {
			require.Equal(t, allowed, take(t, l, limit.Sends, fmt.Sprint("after ", i)))
			time.Sleep(time.Hour)
		}
		require.LessOrEqual(t, l.Remembered(limit.Sends), 2)
	})
}

func TestRemembersABoundedNumber(t *testing.T) {
	t.Parallel()
	const room = 65_536
	l := newLimiter(map[limit.Name]string{limit.Search: "1/1h 2"})
	for i := range room + 10_000 {
		_, _ = l.Take(t.Context(), limit.Ask{Limit: limit.Search, Key: strconv.Itoa(i)}) // refused or not
	}
	require.Equal(t, room, l.Remembered(limit.Search))
	for i := range 100 {
		require.Equal(t, allowed, take(t, l, limit.Search, strconv.Itoa(i)), "they have their own")
		require.Positive(t, take(t, l, limit.Search, strconv.Itoa(i)))
	}
}

// A debt that was made in a shared bucket goes along when there is room.
func TestDebtMovesOutOfOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(map[limit.Name]string{limit.Sends: "1/1h 2"})
		l.SetMaxBuckets(1)
		require.Equal(t, allowed, take(t, l, limit.Sends, "first"))
		time.Sleep(30 * time.Minute)
		require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		time.Sleep(30 * time.Minute) // the first says nothing any more
		require.Equal(t, allowed, take(t, l, limit.Sends, "alice"))
		require.Equal(t, 30*time.Minute, take(t, l, limit.Sends, "alice"))
		require.Equal(t, 1, l.Remembered(limit.Sends))
	})
}

// onEachEngine runs a test over a database of each kind.
func onEachEngine(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var database string
			if engine == "postgres" {
				database = pgtest.NewDatabase(t)
			} else {
				database = filepath.Join(t.TempDir(), "messaging.db")
			}
			test(t, func() *store.Store {
				s, err := store.Open(t.Context(), store.Options{Database: database})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				return s
			})
		})
	}
}

func TestSharedByNodes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		nodes := []*limit.Limiter{limit.New(s, nil), limit.New(s, nil)}
		for _, node := range nodes {
			configure(node, map[limit.Name]string{limit.SignIn: "4/1h", limit.SignInAddress: "1000/1h"})
		}
		ask := []limit.Ask{{Limit: limit.SignIn, Key: "alice"}, {Limit: limit.SignInAddress, Key: "here"}}
		var taken []limit.Taken
		for i := range 4 {
			of, err := nodes[i%2].Take(t.Context(), ask...)
			require.NoError(t, err)
			taken = append(taken, of)
		}
		for _, node := range nodes {
			_, err := node.Take(t.Context(), ask...)
			wait := refusal(t, err)
			require.Positive(t, wait)
			require.LessOrEqual(t, wait, 15*time.Minute)
		}
		require.Equal(t, allowed, take(t, nodes[0], limit.SignIn, "bob"))

		require.NoError(t, taken[3].GiveBack(t.Context()))
		_, err := nodes[1].Take(t.Context(), ask...)
		require.NoError(t, err)
		_, err = nodes[0].Take(t.Context(), ask...)
		require.Positive(t, refusal(t, err))

		// What one node has taken, another that has just started knows of.
		restarted := limit.New(s, nil)
		configure(restarted, map[limit.Name]string{limit.SignIn: "4/1h"})
		require.Positive(t, take(t, restarted, limit.SignIn, "alice"))
		// Another rate is another limit.
		configure(restarted, map[limit.Name]string{limit.SignIn: "5/1h"})
		require.Equal(t, allowed, take(t, restarted, limit.SignIn, "alice"))
	})
}

// Where the database remembers, a flood of names shares nobody's limit: no debt is
// forgotten, and nobody has that of others.
func TestSharedBeyondMemory(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *store.Store) {
		l := limit.New(open(), nil)
		configure(l, map[limit.Name]string{limit.Reset: "2/1h", limit.ResetAddress: "off"})
		l.SetMaxBuckets(2)
		for i := range 10 {
			require.Equal(t, allowed, take(t, l, limit.Reset, fmt.Sprint("flood ", i)))
			require.LessOrEqual(t, l.Remembered(limit.Reset), 2)
		}
		require.False(t, l.Overflows(limit.Reset))
		for i := range 20 {
			key := fmt.Sprint("honest ", i)
			require.Equal(t, allowed, take(t, l, limit.Reset, key))
			var left limit.State
			ctx := limit.WithObserver(t.Context(), func(s limit.State) { left = s })
			taken, err := l.Take(ctx, limit.Ask{Limit: limit.Reset, Key: key})
			require.NoError(t, err)
			require.Zero(t, left.Remaining)
			wait := take(t, l, limit.Reset, key)
			require.Positive(t, wait)
			require.LessOrEqual(t, wait, 30*time.Minute)
			require.NoError(t, taken.GiveBack(ctx))
			require.Equal(t, 1, left.Remaining)
			require.Equal(t, allowed, take(t, l, limit.Reset, key))
			require.Positive(t, take(t, l, limit.Reset, key))
		}
		for i := range 10 {
			require.Equal(t, allowed, take(t, l, limit.Reset, fmt.Sprint("flood ", i)))
			require.Positive(t, take(t, l, limit.Reset, fmt.Sprint("flood ", i)))
		}
	})
}

// What the database refuses has cost nothing, neither here nor there.
func TestSharedRefusalCostsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		rates := map[limit.Name]string{limit.SignIn: "2/1h", limit.SignInAddress: "3/1h"}
		here, there := limit.New(s, nil), limit.New(s, nil)
		configure(here, rates)
		configure(there, rates)
		for range 2 {
			require.Equal(t, allowed, take(t, there, limit.SignIn, "alice"))
		}
		for range 10 {
			_, err := here.Take(t.Context(), limit.Ask{Limit: limit.SignInAddress, Key: "here"}, limit.Ask{Limit: limit.SignIn, Key: "alice"})
			require.Positive(t, refusal(t, err))
		}
		for range 3 {
			require.Equal(t, allowed, take(t, here, limit.SignInAddress, "here"))
		}
		require.Positive(t, take(t, there, limit.SignInAddress, "here"))
	})
}

func TestSharedAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		nodes := make([]*limit.Limiter, 4)
		for i := range nodes {
			nodes[i] = limit.New(s, nil)
			configure(nodes[i], map[limit.Name]string{limit.SignIn: "10/1h", limit.SignInAddress: "25/1h"})
		}
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for i := range 120 {
			wg.Go(func() {
				// In either order: nobody waits for each other.
				ask := []limit.Ask{{Limit: limit.SignIn, Key: fmt.Sprint(i % 4)}, {Limit: limit.SignInAddress, Key: "here"}}
				_, err := nodes[i%len(nodes)].Take(context.Background(), ask[i/4%2], ask[1-i/4%2])
				var exceeded *limit.ExceededError
				switch {
				case err == nil:
					admitted.Add(1)
				case !errors.As(err, &exceeded):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 25, admitted.Load())
	})
}

func TestSharedDatabaseGone(t *testing.T) {
	onEachEngine(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		l := limit.New(s, nil)
		configure(l, map[limit.Name]string{limit.SignIn: "1/1h", limit.Sends: "1/1h"})
		require.NoError(t, s.Close())
		for range 3 {
			_, err := l.Take(t.Context(), limit.Ask{Limit: limit.SignIn, Key: "alice"}, limit.Ask{Limit: limit.Sends, Key: "alice"})
			require.ErrorIs(t, err, store.ErrUnavailable)
		}
		require.Equal(t, allowed, take(t, l, limit.Sends, "alice"), "it cost nothing")
	})
}

// Whoever guesses may ask all nodes.
func TestWhatIsShared(t *testing.T) {
	for _, name := range limit.Names() {
		require.Equal(t, name == limit.SignIn || name == limit.SignInAddress || name == limit.Reset || name == limit.ResetAddress ||
			name == limit.RegistrationAddress, limit.Shared(name), name)
	}
}

func BenchmarkTake(b *testing.B) {
	l := newLimiter(map[limit.Name]string{limit.Sends: "1000000/1s", limit.SendsAddress: "1000000/1s"})
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, _ = l.Take(context.Background(), limit.Ask{Limit: limit.Sends, Key: keys[i%1000]}, limit.Ask{Limit: limit.SendsAddress, Key: "here"})
		}
	})
}

// Who waits for a bucket has nothing that another would wait for, who has that bucket:
// the full ones that it removes come last.
func TestSweepHoldsNobodyUp(t *testing.T) {
	database := pgtest.NewDatabase(t)
	s, err := store.Open(t.Context(), store.Options{Database: database, Writers: 2, QueueLength: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	l := limit.New(s, nil)
	require.Equal(t, allowed, take(t, l, limit.SignIn, "alice"))

	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), `INSERT INTO rate_limits (key, full_at) VALUES ('full', 1)`)
	require.NoError(t, err)
	other, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = other.Rollback() }()
	_, err = other.ExecContext(t.Context(), `SELECT FROM rate_limits WHERE key <> 'full' FOR UPDATE`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := l.Take(context.Background(), limit.Ask{Limit: limit.SignIn, Key: "alice"})
		done <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		err := db.QueryRowContext(t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits)
		return err == nil && waits
	}, 30*time.Second, time.Millisecond)
	_, err = other.ExecContext(t.Context(), `SELECT FROM rate_limits WHERE key = 'full' FOR UPDATE NOWAIT`)
	require.NoError(t, err)
	require.NoError(t, other.Commit())
	require.NoError(t, <-done)
	var full int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM rate_limits WHERE key = 'full'`).Scan(&full))
	require.Zero(t, full)
}
