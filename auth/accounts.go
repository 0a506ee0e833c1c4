package auth

import (
	"context"

	"github.com/caddymsg/messaging/chat"
)

// CreateAccount makes an account on behalf of an admin, also where registration is
// closed. It returns what [chat.Service.CreateAccount] does, Invalid for the
// password, and Unavailable if too many passwords are waiting to be hashed.
func (s *Service) CreateAccount(ctx context.Context, caller chat.Caller, a chat.NewAccount, password, key string) (chat.User, error) {
	// All before the password is hashed: hashing is what costs.
	if err := chat.RequireAdmin(caller); err != nil {
		return chat.User{}, err
	}
	if a.Username != nil {
		if _, _, err := chat.PrepareUsername(*a.Username); err != nil {
			return chat.User{}, err
		}
	}
	if err := s.checkNewPassword(password); err != nil {
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
	if password != nil {
		if err := s.checkNewPassword(*password); err != nil {
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
