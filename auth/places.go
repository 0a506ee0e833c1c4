package auth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// A place is where somebody signs in from: a device, which is a browser that has a
// cookie of ours, and a network. An account knows those from which its owner signed in
// before. Whoever guesses passwords from elsewhere can use up the tries of all
// elsewhere together, and not those of the places that are known.

const (
	// placeLifetime is how long a place is known after it was last used.
	placeLifetime = 180 * 24 * time.Hour
	// maxPlaces is how many places an account knows, those that were used last.
	maxPlaces = 50
	// deviceLength is that of what tells devices apart, in bytes.
	deviceLength = 16
)

// place is where a request comes from, and what an account knows of that. Empty is
// what there is nothing of to be known by.
type place struct {
	device, network           string
	knownDevice, knownNetwork bool
	// knowsAny says that the account knows any place at all.
	knowsAny bool
}

// placeOf is where a request comes from.
func placeOf(ctx context.Context) place {
	var p place
	if device := RequestOf(ctx).device(); len(device) == deviceLength {
		p.device = string(device)
	}
	p.network = limit.Network(addressOf(ctx))
	return p
}

// hashes are what the store keeps of a place for a user, nil for what is empty.
func (p place) hashes(userID int64) (device, network []byte) {
	return hashPlace(userID, "device", p.device), hashPlace(userID, "network", p.network)
}

// hashPlace is what the store keeps of a device or a network. It is another one for
// each user: else the hashes would tell who comes from the same place.
func hashPlace(userID int64, kind, name string) []byte {
	if name == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(strconv.FormatInt(userID, 10) + " " + kind + " " + name))
	return sum[:]
}

// knownTo finds out what an account knows of a place. It makes the same query if
// there is no such account.
func (p place) knownTo(tx *store.Tx, userID int64, now time.Time) (place, error) {
	places, err := tx.ListPlacesOf(userID, now.Add(-placeLifetime))
	p.knowsAny = len(places) > 0
	device, network := p.hashes(userID)
	for _, known := range places {
		p.knownDevice = p.knownDevice || bytes.Equal(known.Hash, device)
		p.knownNetwork = p.knownNetwork || bytes.Equal(known.Hash, network)
	}
	return p, err
}

// kind keeps apart, for one account, those who come from places that it knows from all
// others.
func (p place) kind() string {
	switch {
	case p.knownDevice:
		return "d"
	case p.knownNetwork:
		return "n"
	}
	return "a"
}

// strange tells whether the owner of an account should hear of a sign-in, of a kind,
// from a place. There is nothing to compare the first sign-in with.
func (p place) strange(kind string) bool {
	if kind == store.CookieSession {
		return p.knowsAny && !p.knownDevice
	}
	return p.knowsAny && !p.knownNetwork
}

// note stores that an account was signed in to from a place. Only a browser has a
// device: see [Service.Login].
func (p place) note(tx *store.Tx, userID int64, now time.Time) error {
	// A few a time: as fast as places are noted, they go.
	if err := tx.DeleteOldPlaces(now.Add(-placeLifetime), 10); err != nil {
		return err
	}
	device, network := p.hashes(userID)
	for _, hash := range [][]byte{device, network} {
		if hash == nil {
			continue
		}
		if err := tx.NotePlace(userID, hash, now, maxPlaces); err != nil {
			return err
		}
	}
	return nil
}

// arrive notes the place from which a session of a kind is opened, and has its owner
// told if that is a strange one.
func (s *Service) arrive(ctx context.Context, tx *store.Tx, user chat.User, kind string) error {
	now := s.now()
	from, err := placeOf(ctx).knownTo(tx, user.ID, now)
	if err != nil {
		return err
	}
	// Where nobody is asked to show it, whoever registers names any address: it is not
	// written to because they sign in.
	owned := user.Email != "" && (!s.opts.NoPages || !user.EmailVerifiedAt.IsZero())
	if from.strange(kind) && owned && s.mayNotify(ctx, user.ID) {
		facts := mail.Facts{
			Username: user.Username, Device: DeviceName(userAgentOf(ctx)), Address: addressOf(ctx), At: now,
		}
		err := s.queueMail(tx, mail.NewSignIn, facts, store.Mail{UserID: user.ID, Address: user.Email, Locale: user.Locale})
		if err != nil {
			return err
		}
	}
	return from.note(tx, user.ID, now)
}

// mayNotify tells whether an account may have another mail about a sign-in: who signs in
// again and again from strange places would have their own mailbox flooded. It does not
// show in the answer: it is no limit of signing in.
func (s *Service) mayNotify(ctx context.Context, userID int64) bool {
	_, err := s.opts.Limits.Take(limit.WithObserver(ctx, func(limit.State) {}),
		limit.Ask{Limit: limit.Notices, Key: strconv.FormatInt(userID, 10)})
	return err == nil
}

// findSigner finds the user with a username, the zero one if there is none, what their
// tries to sign in are counted by, and what that account knows of the place that the
// request comes from.
func (s *Service) findSigner(ctx context.Context, username string) (user chat.User, account string, from place, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) (err error) {
		user, account, err = s.signer(tx, username)
		if err != nil {
			return err
		}
		from, err = placeOf(ctx).knownTo(tx, user.ID, s.now())
		return err
	})
	return user, account, from, err
}

// signer finds who signs in as somebody. Where an e-mail address will do, one that was
// verified, or claimed, comes before a username, which might have been taken for being
// the address of somebody else; and one of which nobody has shown anything, after it.
func (s *Service) signer(tx *store.Tx, typed string) (user chat.User, account string, err error) {
	account = chat.UsernameKey(typed)
	user, err = tx.FindUserByKey(account)
	named := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return chat.User{}, "", err
	}
	if !s.opts.SignInByEmail {
		return user, account, nil
	}
	addressed, err := tx.FindUserByEmail(typed)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return chat.User{}, "", err
	case !named || !addressed.EmailVerifiedAt.IsZero() || addressed.EmailClaimed:
		return addressed, addressed.UsernameKey, nil
	}
	return user, account, nil
}

// withDevice gives a request of a browser that has no device cookie yet a new device.
func withDevice(ctx context.Context) context.Context {
	r := RequestOf(ctx)
	device := r.device()
	if len(device) != deviceLength {
		device = make([]byte, deviceLength)
		rand.Read(device)
	}
	r.Device = func() []byte { return device }
	return WithRequest(ctx, r)
}
