package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

const (
	// maxBasics is how many usernames and passwords are remembered at once, and
	// basicLifetime for how long.
	maxBasics     = 10_000
	basicLifetime = 5 * time.Minute
)

// Basics remembers for a short while which usernames and passwords were right, so that
// not every request with them is worth a hash. It has no password: only a MAC, under a
// key that is in no other place than this process. What it remembers is the session
// that they are good for, and whoever asks looks whether that goes on. All sites of a
// database share one.
type Basics struct {
	key []byte

	mu    sync.Mutex
	known map[basicMAC]knownBasic
	// looking has the MACs that a request looks at just now, until which is done.
	looking map[basicMAC]chan struct{}
	// order has the MACs as they were added: the oldest are forgotten first. first is
	// how many of them are gone.
	order []basicMAC
	first int
}

type basicMAC [sha256.Size]byte

// knownBasic is what a username and password are good for.
type knownBasic struct {
	sessionID int64
	// usernameKey and passwordHash are those of the account when it was looked: with
	// others, they are not good any more.
	usernameKey, passwordHash string
	until                     time.Time
}

// NewBasics makes a Basics that has seen none.
func NewBasics() *Basics {
	b := &Basics{key: make([]byte, sha256.Size), known: map[basicMAC]knownBasic{}, looking: map[basicMAC]chan struct{}{}}
	rand.Read(b.key)
	return b
}

// mac is what a username and password are remembered by, as they come from a network:
// from another one, they are looked at as in every sign-in. by is what the site takes
// for a username.
func (b *Basics) mac(by, network, username, password string) (mac basicMAC) {
	h := hmac.New(sha256.New, b.key)
	for _, part := range []string{by, network, username, password} {
		// With its length: else the end of one could be taken for the beginning of the next.
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Sum(mac[:0])
	return mac
}

func (b *Basics) find(mac basicMAC, now time.Time) (knownBasic, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known, ok := b.known[mac]
	return known, ok && now.Before(known.until)
}

func (b *Basics) add(mac basicMAC, known knownBasic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, again := b.known[mac]; !again {
		if len(b.order)-b.first == maxBasics {
			delete(b.known, b.order[b.first])
			b.first++
		}
		if b.first == maxBasics { // half of it is gone
			b.order, b.first = slices.Clone(b.order[b.first:]), 0
		}
		b.order = append(b.order, mac)
	}
	b.known[mac] = known
}

// look waits until no other request looks at a MAC. The others then wait until this one
// is done, which done says.
func (b *Basics) look(ctx context.Context, mac basicMAC) (done func(), err error) {
	for {
		b.mu.Lock()
		other, busy := b.looking[mac]
		if !busy {
			mine := make(chan struct{})
			b.looking[mac] = mine
			b.mu.Unlock()
			return func() {
				b.mu.Lock()
				delete(b.looking, mac)
				b.mu.Unlock()
				close(mine)
			}, nil
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-other:
		}
	}
}

// Basic is Authenticate for the username and password in the header Authorization of a
// request, also where [Service.Identify] does not take that. A wrong password is
// Unauthenticated.
func (s *Service) Basic(r *http.Request) (chat.Caller, error) {
	ctx := r.Context()
	username, password, ok := r.BasicAuth()
	if !ok {
		return chat.Caller{}, errUnauthenticated()
	}
	by := "username"
	if s.opts.SignInByEmail { // not good for sites that do not take that
		by = "email"
	}
	mac := s.opts.Basics.mac(by, limit.Network(addressOf(ctx)), username, password)
	if known, ok := s.opts.Basics.find(mac, s.now()); ok {
		session, err := s.basicSession(ctx, known)
		switch {
		case err == nil:
			caller, _, err := s.use(ctx, session)
			return caller, err
		case !errors.Is(err, store.ErrNotFound):
			return chat.Caller{}, err
		}
	}
	session, err := s.signInBasic(ctx, mac, username, password)
	if err != nil {
		return chat.Caller{}, toUnauthenticated(err)
	}
	caller, _, err := s.use(ctx, session)
	return caller, err
}

// signInBasic checks a username and password, and finds or opens their session.
func (s *Service) signInBasic(ctx context.Context, mac basicMAC, username, password string) (store.Session, error) {
	// Requests that come at once are worth one hash, if it is the right password.
	done, err := s.opts.Basics.look(ctx, mac)
	if err != nil {
		return store.Session{}, err
	}
	defer done()
	if known, ok := s.opts.Basics.find(mac, s.now()); ok { // since it was looked, another has signed in
		session, err := s.basicSession(ctx, known)
		if !errors.Is(err, store.ErrNotFound) {
			return session, err
		}
	}
	user, err := s.verify(ctx, username, password)
	if err != nil {
		return store.Session{}, err
	}
	token := make([]byte, tokenLength) // that nobody holds
	rand.Read(token)
	opened, err := s.open(ctx, user, store.Session{Kind: store.BasicSession, TokenHash: hashToken(token)}, nil)
	if err != nil {
		return store.Session{}, err
	}
	known := knownBasic{opened.ID, user.UsernameKey, user.PasswordHash, s.now().Add(basicLifetime)}
	session, err := s.basicSession(ctx, known)
	if err != nil {
		return store.Session{}, refuseUnknown(err) // ended already
	}
	s.opts.Basics.add(mac, known)
	return session, nil
}

// basicSession finds the session that a username and password were good for, or
// ErrNotFound if they are so no longer. There are sessions that outlive a change of the
// password: that by which it was changed.
func (s *Service) basicSession(ctx context.Context, known knownBasic) (session store.Session, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if session, err = tx.FindSession(known.sessionID); err != nil {
			return err
		}
		user, err := tx.FindUserByID(session.UserID)
		if err == nil && (user.UsernameKey != known.usernameKey || user.PasswordHash != known.passwordHash) ||
			err == nil && !s.now().Before(session.ExpiresAt) {
			err = store.ErrNotFound
		}
		return err
	})
	return session, err
}

// findOnly finds the session of a kind of which an account has one, if it has it.
func findOnly(tx *store.Tx, userID int64, now time.Time, session *store.Session) (bool, error) {
	found, err := tx.ListSessionsOf(userID, session.Kind, now, 1, 0)
	if err != nil || len(found) == 0 {
		return false, err
	}
	*session = found[0]
	return true, nil
}
