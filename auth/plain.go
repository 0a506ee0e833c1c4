package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// PlainToken is a session as a program of another system holds it: one token, which is
// good for a fixed time, and not refreshed.
type PlainToken struct {
	Token     string
	ExpiresIn time.Duration
	User      chat.User
}

// PlainTokens say what plain tokens are like.
type PlainTokens struct {
	// Lifetime is how long they are good for. Default: an hour.
	Lifetime time.Duration
	// Hex makes them 64 hexadecimal digits (contract 4), in place of what scanners for
	// secrets recognise.
	Hex bool
}

// SignInPlain checks a password and opens a session that is held by a plain token. It
// returns what [Service.Login] does.
func (s *Service) SignInPlain(ctx context.Context, username, password string) (PlainToken, error) {
	user, err := s.verify(ctx, username, password)
	if err != nil {
		return PlainToken{}, err
	}
	return s.OpenPlain(ctx, user)
}

// OpenPlain is SignInPlain for whoever has just made their account, which is as
// [Service.Register] has returned it.
func (s *Service) OpenPlain(ctx context.Context, user chat.User) (PlainToken, error) {
	return s.openPlain(ctx, user, chat.Caller{})
}

// OpenPlainFor is OpenPlain for an administrator who has just made the account: its owner
// has not been where the request comes from. It returns Forbidden to whoever is none.
func (s *Service) OpenPlainFor(ctx context.Context, caller chat.Caller, user chat.User) (PlainToken, error) {
	if err := chat.RequireAdmin(caller); err != nil {
		return PlainToken{}, err
	}
	return s.openPlain(ctx, user, caller)
}

// openPlain opens the session of a plain token, for a caller as openBy does, if there is one.
func (s *Service) openPlain(ctx context.Context, user chat.User, by chat.Caller) (PlainToken, error) {
	token := newToken(accessPrefix)
	if s.opts.PlainTokens.Hex {
		secret := make([]byte, tokenLength)
		rand.Read(secret)
		token = hex.EncodeToString(secret)
	}
	lifetime := s.opts.PlainTokens.Lifetime
	if lifetime == 0 {
		lifetime = accessLifetime
	}
	end := s.now().Add(lifetime)
	session, err := s.openBy(ctx, user, store.Session{
		Kind: store.TokenSession, TokenHash: hashToken([]byte(token)), ExpiresAt: end, TokenExpiresAt: end,
	}, nil, by)
	if err != nil {
		return PlainToken{}, err
	}
	return PlainToken{Token: token, ExpiresIn: max(0, session.ExpiresAt.Sub(s.now())), User: user}, nil
}

// RenewPlain opens another session for the caller, held by a plain token. It returns
// Forbidden to whoever comes by a key, and Unauthenticated if the session that the caller
// comes by has ended, or the account is gone.
func (s *Service) RenewPlain(ctx context.Context, caller chat.Caller) (PlainToken, error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return PlainToken{}, err
	}
	var user chat.User
	err := s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.FindUserByID(caller.UserID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && !user.DeletedAt.IsZero() {
		return PlainToken{}, errUnauthenticated()
	}
	if err != nil {
		return PlainToken{}, err
	}
	token, err := s.openPlain(ctx, user, caller)
	return token, toUnauthenticated(err) // the password has been changed just now
}

// isHex tells whether a token is one that a Service with PlainTokens.Hex makes.
func isHex(token string) bool {
	_, err := hex.DecodeString(token)
	return err == nil && len(token) == hex.EncodedLen(tokenLength)
}
