package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/chat"
)

func newQueue(slots int) *HashQueue { return newHashQueue(slots) }

// takeAll takes every slot of a queue, so that whoever comes next waits.
func takeAll(tb testing.TB, q *HashQueue) (giveBack func()) {
	tb.Helper()
	for range cap(q.slots) {
		require.NoError(tb, q.enter(context.Background()))
	}
	return func() {
		for range cap(q.slots) {
			q.leave()
		}
	}
}

// awaitWaiting waits until n wait in the queue.
func awaitWaiting(tb testing.TB, q *HashQueue, n int) {
	tb.Helper()
	require.Eventually(tb, func() bool { return q.Waiting() == n }, 10*time.Second, time.Millisecond,
		"%d should wait", n)
}

var (
	tooManyLogins = refusal{chat.Unavailable, "too_many_logins", ""}
	tooManyOfOne  = refusal{chat.TooMany, "too_many_logins", ""}
)

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	for name, password := range map[string]string{
		"plain":               "correct horse",
		"one letter":          "x",
		"72 bytes":            strings.Repeat("x", 72),
		"72 bytes of letters": strings.Repeat("ß", 36),
		"any bytes":           "a\x01b\xff\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hash, err := h.Hash(t.Context(), password)
			require.NoError(t, err)
			require.NotEqual(t, password, hash)
			again, err := h.Hash(t.Context(), password)
			require.NoError(t, err)
			require.NotEqual(t, hash, again, "salted")

			ok, err := h.Verify(t.Context(), hash, password)
			require.NoError(t, err)
			require.True(t, ok)
			for _, other := range []string{"", password + "x", password[:len(password)-1], "X" + password[1:], password + password} {
				ok, err := h.Verify(t.Context(), hash, other)
				require.NoError(t, err)
				require.False(t, ok, "%q", other)
			}
		})
	}
}

// bcrypt looks at 72 bytes alone: a longer password must not pass for the one
// that it begins with.
func TestNoPasswordBeyond72Bytes(t *testing.T) {
	t.Parallel()
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	longest := strings.Repeat("x", MaxPasswordLength)
	hash, err := h.Hash(t.Context(), longest)
	require.NoError(t, err)
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(hash), []byte(longest+"y")), "or else this proves nothing")

	for _, tail := range []string{"x", "y", "\x00", strings.Repeat("x", 1000)} {
		ok, err := h.Verify(t.Context(), hash, longest+tail)
		require.NoError(t, err)
		require.False(t, ok)
	}
	_, err = h.Hash(t.Context(), longest+"x")
	require.Error(t, err)
}

// bcrypt sees a password again and again, with a NUL in between.
func TestNoNULInPasswords(t *testing.T) {
	t.Parallel()
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	hash, err := h.Hash(t.Context(), "abcdefgh")
	require.NoError(t, err)
	const twin = "abcdefgh\x00abcdefgh"
	require.NoError(t, bcrypt.CompareHashAndPassword([]byte(hash), []byte(twin)), "or else this proves nothing")
	ok, err := h.Verify(t.Context(), hash, twin)
	require.NoError(t, err)
	require.False(t, ok)
	_, err = h.Hash(t.Context(), twin)
	require.Error(t, err)
}

func TestNobodysHash(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{bcrypt.MinCost, bcrypt.MinCost + 1, 12, bcrypt.MaxCost} {
		got, err := bcrypt.Cost([]byte(NewHasher(NewHashQueue(), cost).nobody))
		require.NoError(t, err)
		require.Equal(t, cost, got, "to refuse nobody takes as long as to refuse somebody")
	}
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	for _, password := range []string{"", "x", ".", h.nobody, strings.Repeat(".", 53), strings.Repeat("x", 73)} {
		ok, err := h.Verify(t.Context(), "", password)
		require.NoError(t, err)
		require.False(t, ok, "%q", password)
	}
}

// The cost is of new hashes: what was hashed at another is still good.
func TestVerifyHashOfAnotherCost(t *testing.T) {
	t.Parallel()
	hash, err := NewHasher(NewHashQueue(), bcrypt.MinCost+1).Hash(t.Context(), "open sesame")
	require.NoError(t, err)
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	ok, err := h.Verify(t.Context(), hash, "open sesame")
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = h.Verify(t.Context(), hash, "passwort")
	require.NoError(t, err)
	require.False(t, ok)
}

// A damaged hash is a defect to be logged, and no wrong password.
func TestVerifyDamagedHash(t *testing.T) {
	t.Parallel()
	h := NewHasher(NewHashQueue(), bcrypt.MinCost)
	for _, hash := range []string{"x", "$2a$04$short", "$9z$04$" + strings.Repeat(".", 53), strings.Repeat("x", 60)} {
		ok, err := h.Verify(t.Context(), hash, "open sesame")
		require.Error(t, err, hash)
		require.Nil(t, chat.AsError(err))
		require.False(t, ok)
	}
	require.Empty(t, h.queue.slots, "slots are given back after an error")
}

func TestHashQueueLeavesACore(t *testing.T) {
	t.Parallel()
	require.Equal(t, max(1, runtime.GOMAXPROCS(0)-1), cap(NewHashQueue().slots))
}

func TestHashQueueIsBounded(t *testing.T) {
	t.Parallel()
	const slots = 1
	q := newQueue(slots)
	h := NewHasher(q, bcrypt.MinCost)
	giveBack := takeAll(t, q)
	require.Zero(t, q.Waiting(), "who has a slot does not wait")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const bound = slots * waitingPerSlot
	hashed := make(chan error, bound)
	for range bound - 1 {
		go func() {
			_, err := h.Hash(t.Context(), "open sesame")
			hashed <- err
		}()
	}
	verified := make(chan error, 1)
	go func() {
		_, err := h.Verify(ctx, "", "open sesame")
		verified <- err
	}()
	awaitWaiting(t, q, bound)

	// One more is one too many, to hash and to verify.
	soon, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	_, err := h.Hash(soon, "open sesame")
	requireRefusal(t, tooManyLogins, err)
	_, err = h.Verify(soon, "", "open sesame")
	requireRefusal(t, tooManyLogins, err)
	require.Equal(t, bound, q.Waiting(), "who was refused does not wait")

	// Whoever gives up makes room.
	cancel()
	require.ErrorIs(t, <-verified, context.Canceled)
	awaitWaiting(t, q, bound-1)
	go func() {
		_, err := h.Hash(t.Context(), "open sesame")
		hashed <- err
	}()
	awaitWaiting(t, q, bound)

	giveBack()
	for range bound {
		require.NoError(t, <-hashed)
	}
	require.Zero(t, q.Waiting())
	// The last is given back after its answer.
	require.Eventually(t, func() bool { return len(q.slots) == 0 }, 10*time.Second, time.Millisecond,
		"all slots have been given back")
}

// As many as there are slots hash at once, and no more.
func TestHashQueueSlots(t *testing.T) {
	t.Parallel()
	q := newQueue(2)
	require.NoError(t, q.enter(t.Context()))
	require.NoError(t, q.enter(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, q.enter(ctx), context.Canceled)
	require.Zero(t, q.Waiting())
	q.leave()
	require.NoError(t, q.enter(t.Context()))
	q.leave()
	q.leave()
	require.Empty(t, q.slots)
}

// networkShare is that of a queue with one slot.
const networkShare = (1 + waitingPerSlot) / networkPart

// One client holds a part of the queue at most: of an account, from a network, and with
// whatever password.
func TestHashQueueIsShared(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		s.register(t, "bob", "open sesame")
		known, err := s.Login(t.Context(), "alice", "open sesame", nil)
		require.NoError(t, err)
		q := s.hasher.queue
		giveBack := takeAll(t, q)
		var waiting sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		within := func(address string) context.Context { return WithRequest(ctx, RequestOf(from(address, nil))) }
		wait := func(try func() error) {
			t.Helper()
			before := q.Waiting()
			waiting.Go(func() {
				if err := try(); !errors.Is(err, context.Canceled) {
					t.Errorf("not broken off: %v", err)
				}
			})
			awaitWaiting(t, q, before+1)
		}
		login := func(address, username, password string) error {
			_, err := s.Login(within(address), username, password, nil)
			return err
		}
		for i := range accountShare {
			wait(func() error { return login(fmt.Sprint("192.0.2.", i), "alice", "open sesame") })
		}
		for _, username := range []string{"alice", "Alice", "ALICE"} {
			err := login("192.0.2.99", username, "open sesame")
			requireRefusal(t, tooManyOfOne, err)
			require.Equal(t, 2*time.Second, chat.AsError(err).RetryAfter)
		}
		// From one network, of whatever account, or of none yet.
		for i := range networkShare - 1 {
			wait(func() error { return login("2001:db8::1", fmt.Sprint("nobody", i), "a guess at it") })
		}
		wait(func() error {
			_, err := s.signUp(within("2001:db8::2"), "carl", "open sesame")
			return err
		})
		requireRefusal(t, tooManyOfOne, login("2001:db8::3", "bob", "open sesame"))
		_, err = s.signUp(within("2001:db8::4"), "dora", "open sesame")
		requireRefusal(t, tooManyOfOne, err)
		require.Len(t, q.held, 1+accountShare+1+networkShare-1)

		// Others get in as soon as it is their turn.
		var in sync.WaitGroup
		for i, try := range []func(context.Context) error{
			func(ctx context.Context) error { _, err := s.Login(ctx, "bob", "open sesame", nil); return err },
			func(ctx context.Context) error { _, err := s.signUp(ctx, "emil", "open sesame"); return err },
			func(context.Context) error {
				_, err := s.Login(from("192.0.2.99", known.Device), "alice", "open sesame", nil)
				return err
			},
		} {
			in.Go(func() {
				if err := try(from("198.51.100.1", nil)); err != nil {
					t.Error(err)
				}
			})
			awaitWaiting(t, q, accountShare+networkShare+1+i)
		}
		cancel()
		waiting.Wait()
		giveBack()
		in.Wait()
		// What is held is given back when the hash is done, which may be after the answer.
		require.Eventually(t, func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return len(q.held) == 0
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, s.tryAll(from("192.0.2.99", nil), "alice", "bob"))
	})
}

// tryAll signs in to some accounts, one after another.
func (s *site) tryAll(ctx context.Context, usernames ...string) error {
	for _, username := range usernames {
		if _, err := s.Login(ctx, username, "open sesame", nil); err != nil {
			return err
		}
	}
	return nil
}

// In a larger queue, a network may hold more.
func TestNetworkShareGrowsWithTheQueue(t *testing.T) {
	t.Parallel()
	q, here := newQueue(7), from("192.0.2.1", nil)
	var all []share
	for range 33 * 7 / 2 {
		held, err := q.hold(here, "")
		require.NoError(t, err)
		all = append(all, held)
	}
	for _, account := range []string{"", "alice"} {
		_, err := q.hold(here, account)
		requireRefusal(t, tooManyOfOne, err)
	}
	require.Len(t, q.held, 1, "who is refused for one holds nothing of the other")
	for _, held := range all {
		held.release()
	}
	require.Empty(t, q.held)
}
