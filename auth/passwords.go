package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/chat"
)

// MaxPasswordLength is the longest password, in bytes: bcrypt looks at no more.
const MaxPasswordLength = 72

// HashQueue bounds how many passwords are hashed at once, and how many wait
// for it. Hashing takes a core for a quarter of a second, on purpose; without
// a bound, a flood of logins would leave no core for messages. All sites of a
// database share one.
type HashQueue struct {
	slots   chan struct{}
	waiting atomic.Int64
	hashed  atomic.Int64
}

// waitingPerSlot bounds the wait to about nine seconds at the default cost.
const waitingPerSlot = 32

// NewHashQueue makes a HashQueue that leaves a core free, if there are two.
func NewHashQueue() *HashQueue {
	return &HashQueue{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
}

// Waiting is how many passwords wait to be hashed.
func (q *HashQueue) Waiting() int { return int(q.waiting.Load()) }

// Hashed is how many passwords have been hashed, to keep or to compare.
func (q *HashQueue) Hashed() int64 { return q.hashed.Load() }

// enter waits for a slot, which leave gives back.
func (q *HashQueue) enter(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	defer q.waiting.Add(-1)
	if q.waiting.Add(1) > int64(waitingPerSlot*cap(q.slots)) {
		return &chat.Error{
			Kind: chat.Unavailable, Code: "too_many_logins",
			Message: "Too many people are signing in at once. Try again in a few seconds.",
		}
	}
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *HashQueue) leave() { <-q.slots }

// run runs a hash in a slot. A hash can't be interrupted: if ctx ends, run
// returns, and the hash, which keeps its slot, runs out by itself.
func (q *HashQueue) run(ctx context.Context, hash func() error) error {
	if err := q.enter(ctx); err != nil {
		return err
	}
	q.hashed.Add(1)
	done := make(chan error, 1)
	go func() {
		defer q.leave()
		done <- hash()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Hasher hashes passwords with bcrypt.
type Hasher struct {
	queue *HashQueue
	cost  int
	// nobody is a well-formed hash of the same cost that no password has.
	nobody string
}

// NewHasher makes a Hasher of a cost between bcrypt.MinCost and
// bcrypt.MaxCost; each step doubles the time.
func NewHasher(queue *HashQueue, cost int) *Hasher {
	return &Hasher{queue: queue, cost: cost, nobody: fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat(".", 53))}
}

// Hash hashes a new password of at most [MaxPasswordLength] bytes, of which none is
// NUL.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if strings.Contains(password, "\x00") {
		return "", errors.New("hash password: it has a NUL")
	}
	var hash []byte
	err := h.queue.run(ctx, func() (err error) {
		hash, err = bcrypt.GenerateFromPassword([]byte(password), h.cost)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// Verify tells whether a password is the one that was hashed. No password fits
// the empty hash; that takes the same time to find out.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (bool, error) {
	// bcrypt would compare the first 72 bytes of a longer one, and be content; and it
	// repeats a shorter one with a NUL between, so that with NULs in it, several are one.
	if hash == "" || len(password) > MaxPasswordLength || strings.Contains(password, "\x00") {
		hash = h.nobody
	}
	err := h.queue.run(ctx, func() error {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	})
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("verify password: %w", err)
	}
	return true, nil
}
