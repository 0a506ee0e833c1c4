package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
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

	mu sync.Mutex
	// held is how much of it each holder has: what is hashed and what waits. Who has
	// nothing is not in it, so that it has no more holders than the queue has places.
	held map[holder]int
}

const (
	// waitingPerSlot bounds the wait to about nine seconds at the default cost.
	waitingPerSlot = 32
	// A network may hold no more of the queue than this part of it. A whole company may
	// sign in at nine behind one address.
	networkPart = 2
	// accountShare is how much of it an account may hold, wherever its owners are.
	accountShare = 2
	// shareRetry is when to come again for who holds all that they may.
	shareRetry = 2 * time.Second
)

// holder is who has passwords hashed. Without bounds for each of them, one client could
// keep the queue full with a password that is right, which no limit counts.
type holder struct{ network, account string } // one of the two

// NewHashQueue makes a HashQueue that leaves a core free, if there are two.
func NewHashQueue() *HashQueue {
	return newHashQueue(max(1, runtime.GOMAXPROCS(0)-1))
}

func newHashQueue(slots int) *HashQueue {
	return &HashQueue{slots: make(chan struct{}, slots), held: map[holder]int{}}
}

// Waiting is how many passwords wait to be hashed.
func (q *HashQueue) Waiting() int { return int(q.waiting.Load()) }

// Hashed is how many passwords have been hashed, to keep or to compare.
func (q *HashQueue) Hashed() int64 { return q.hashed.Load() }

// share is what somebody holds of a queue. It is given back by [HashQueue.run], or else
// by release.
type share struct {
	queue   *HashQueue
	holders []holder
}

// hold takes a share for a password of an account, if that is known, which comes from
// the network of a request, if that is. It returns TooMany to who has as much as they may.
func (q *HashQueue) hold(ctx context.Context, account string) (share, error) {
	var holders []holder
	if network := limit.Network(addressOf(ctx)); network != "" {
		holders = append(holders, holder{network: network})
	}
	if account != "" {
		holders = append(holders, holder{account: account})
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range holders {
		most := accountShare
		if h.account == "" {
			most = (1 + waitingPerSlot) * cap(q.slots) / networkPart
		}
		if q.held[h] >= most {
			return share{}, &chat.Error{
				Kind: chat.TooMany, Code: "too_many_logins", RetryAfter: shareRetry,
				Message: "That is too many sign-ins at once, of one account or from one network. Try again in a few seconds.",
			}
		}
	}
	for _, h := range holders {
		q.held[h]++
	}
	return share{q, holders}, nil
}

func (s share) release() {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	for _, h := range s.holders {
		if s.queue.held[h]--; s.queue.held[h] == 0 {
			delete(s.queue.held, h)
		}
	}
}

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

// run runs a hash in a slot. A hash can't be interrupted: if ctx ends, run returns, and
// the hash, which keeps its slot and its share, runs out by itself.
func (q *HashQueue) run(ctx context.Context, held share, hash func() error) error {
	if err := q.enter(ctx); err != nil {
		held.release()
		return err
	}
	q.hashed.Add(1)
	done := make(chan error, 1)
	go func() {
		defer held.release()
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
	held, err := h.queue.hold(ctx, "")
	if err != nil {
		return "", err
	}
	var hash []byte
	err = h.queue.run(ctx, held, func() (err error) {
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
	held, err := h.queue.hold(ctx, "")
	if err != nil {
		return false, err
	}
	return h.verify(ctx, held, hash, password)
}

// verify is Verify for who holds a share of the queue already.
func (h *Hasher) verify(ctx context.Context, held share, hash, password string) (bool, error) {
	// bcrypt would compare the first 72 bytes of a longer one, and be content; and it
	// repeats a shorter one with a NUL between, so that with NULs in it, several are one.
	if hash == "" || len(password) > MaxPasswordLength || strings.Contains(password, "\x00") {
		hash = h.nobody
	}
	err := h.queue.run(ctx, held, func() error {
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
