package auth

import (
	"context"
	"errors"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// place is where a request comes from, and what an account knows of that. The hashes
// are nil where there is nothing to be known by.
type place struct {
	device, network           []byte // SHA-256
	knownDevice, knownNetwork bool
}

// findSigner finds the user with a username, the zero one if there is none, and what
// that account knows of the place that the request comes from.
func (s *Service) findSigner(ctx context.Context, username string) (user chat.User, from place, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.FindUserByKey(chat.UsernameKey(username))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	return user, from, err
}
