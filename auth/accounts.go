package auth

import (
	"context"
	"errors"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// CreateAccount makes an account on behalf of an admin, also where registration is
// closed. It returns what [chat.Service.CreateAccount] does, Invalid for the
// password, and Unavailable if too many passwords are waiting to be hashed.
func (s *Service) CreateAccount(ctx context.Context, caller chat.Caller, a chat.NewAccount, password, key string) (chat.User, error) {
	// All before the password is hashed: hashing is what costs.
	if err := chat.RequireAdmin(caller); err != nil {
		return chat.User{}, err
	}
	var username string
	if a.Username != nil {
		username = *a.Username
		if _, _, err := chat.PrepareUsername(username); err != nil {
			return chat.User{}, err
		}
	}
	if err := s.checkNewPassword(password, username); err != nil {
		return chat.User{}, err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return chat.User{}, err
	}
	a.PasswordHash = hash
	return s.chat.CreateAccount(ctx, caller, a, key)
}

// UpdateAccount changes an account on behalf of an admin; the password, if there
// is another. It returns what [chat.Service.UpdateAccount] does, Invalid for the
// password, and Unavailable if too many passwords are waiting to be hashed.
func (s *Service) UpdateAccount(ctx context.Context, caller chat.Caller, id int64, c chat.AccountChange, password *string) (chat.User, error) {
	if err := chat.RequireAdmin(caller); err != nil {
		return chat.User{}, err
	}
	if password != nil && id == caller.UserID {
		return chat.User{}, chat.ErrOwnPassword()
	}
	if password != nil {
		username, err := s.usernameAfter(ctx, id, c)
		if err != nil {
			return chat.User{}, err
		}
		if err := s.checkNewPassword(*password, username); err != nil {
			return chat.User{}, err
		}
		hash, err := s.hasher.Hash(ctx, *password)
		if err != nil {
			return chat.User{}, err
		}
		c.PasswordHash = &hash
	}
	return s.chat.UpdateAccount(ctx, caller, id, c)
}

// usernameAfter is the name that an account has after a change; empty if there is no
// such account, which the change will tell.
func (s *Service) usernameAfter(ctx context.Context, id int64, c chat.AccountChange) (string, error) {
	if c.Username != nil {
		return *c.Username, nil
	}
	var user chat.User
	err := s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.FindUserByID(id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return user.Username, err
}
