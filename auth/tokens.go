package auth

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// accessLifetime is how long an access token is good for.
const accessLifetime = time.Hour

// maxSessions is how many sessions an account may have, but for keys and plain tokens:
// with one more, that which has not been used for longest ends. maxPlain is how many plain
// tokens; that alone keeps a program that asks for one after another from ending what
// people are signed in by.
const (
	maxSessions = 500
	maxPlain    = 100
)

// Tokens are a session as a program holds it.
type Tokens struct {
	Access, Refresh string
	// ExpiresIn and RefreshExpiresIn are how long they are good for from now on.
	ExpiresIn, RefreshExpiresIn time.Duration
	SessionID                   int64
}

// SignIn checks a password and opens a session that is held by tokens. It returns what
// [Service.Login] does.
func (s *Service) SignIn(ctx context.Context, username, password string) (Tokens, error) {
	user, err := s.verify(ctx, username, password)
	if err != nil {
		return Tokens{}, err
	}
	family := newFamily()
	tokens := Tokens{Access: newToken(accessPrefix), Refresh: newRefreshToken(family)}
	session, err := s.open(ctx, user, store.Session{
		Kind: store.TokenSession, TokenHash: hashToken([]byte(tokens.Access)), TokenExpiresAt: s.now().Add(accessLifetime),
		FamilyHash: hashToken([]byte(family)), RefreshHash: hashToken([]byte(tokens.Refresh)),
	}, nil)
	if err != nil {
		return Tokens{}, err
	}
	return s.tokensOf(session, tokens), nil
}

// SignInBasic is SignIn with what stands in the header Authorization of a request, also
// where [Service.Identify] does not take that. What SignIn calls BadCredentials is
// Unauthenticated.
func (s *Service) SignInBasic(ctx context.Context, r *http.Request) (Tokens, error) {
	username, password, ok := r.BasicAuth()
	if !ok {
		return Tokens{}, errUnauthenticated()
	}
	tokens, err := s.SignIn(ctx, username, password)
	return tokens, toUnauthenticated(err)
}

// tokensOf adds to tokens what their session says of them.
func (s *Service) tokensOf(session store.Session, tokens Tokens) Tokens {
	now := s.now()
	tokens.SessionID = session.ID
	tokens.ExpiresIn = max(0, session.GoodUntil().Sub(now))
	tokens.RefreshExpiresIn = session.ExpiresAt.Sub(now)
	return tokens
}

// Refresh gives a session other tokens, and a whole lifetime from now on, for its
// refresh token. The tokens before are good for nothing then. With an idempotency key,
// the same refresh token and the same key are answered alike until the tokens of that
// answer are used to refresh.
//
// Else a refresh token that was used before is a stolen one: whoever came first, the
// thief or the owner, the other one shows it now. The session ends. A client that
// refreshes twice at once, without a key, ends its own.
//
// It returns Invalid for what is no refresh token or no key, and Unauthenticated for
// one that was used, has expired or was revoked.
func (s *Service) Refresh(ctx context.Context, token, key string) (Tokens, error) {
	family := familyOf(token)
	if family == "" {
		return Tokens{}, &chat.Error{
			Kind: chat.Invalid, Code: "token_malformed", Field: "refresh_token", Message: "This is no refresh token, or not all of one.",
		}
	}
	if err := chat.CheckKey(key); err != nil {
		return Tokens{}, err
	}
	var tokens Tokens
	var session store.Session
	var reused bool
	// Anybody can make up a token that looks like one. It must not cost others a write.
	err := s.store.ViewOne(ctx, func(tx *store.Tx) error {
		_, err := tx.FindSessionByFamilyHash(hashToken([]byte(family)))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return Tokens{}, errTokenRevoked()
	}
	if err != nil {
		return Tokens{}, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) (err error) {
		reused = false // it may be tried again
		session, err = lockFamily(tx, hashToken([]byte(family)))
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && !s.now().Before(session.ExpiresAt):
			return errTokenRevoked()
		case err != nil:
			return err
		}
		used := hashToken([]byte(token))
		if bytes.Equal(used, session.RefreshHash) {
			tokens, err = s.rotate(ctx, tx, &session, token, key)
			return err
		}
		if answered, ok := openAnswer(token, key, session.RefreshAnswer); ok {
			tokens = s.tokensOf(session, answered)
			return nil
		}
		// Not as an error: that would take it back.
		reused = true
		return s.endReused(ctx, tx, session)
	})
	if err != nil {
		return Tokens{}, err
	}
	if reused {
		s.log.WarnContext(ctx, "a refresh token was used again, and its session ended",
			"user_id", session.UserID, "session_id", session.ID, "client_ip", RequestOf(ctx).ClientIP)
		return Tokens{}, errTokenRevoked()
	}
	return tokens, nil
}

// lockFamily finds the session that has a family of refresh tokens. No other request
// refreshes it until the Update has ended.
func lockFamily(tx *store.Tx, family []byte) (store.Session, error) {
	session, err := tx.FindSessionByFamilyHash(family)
	if err != nil {
		return store.Session{}, err
	}
	if _, err := tx.LockUser(session.UserID); err != nil {
		return store.Session{}, err
	}
	return tx.FindSessionByFamilyHash(family)
}

// rotate gives a session its next tokens.
func (s *Service) rotate(ctx context.Context, tx *store.Tx, session *store.Session, token, key string) (Tokens, error) {
	next := Tokens{Access: newToken(accessPrefix), Refresh: newRefreshToken(familyOf(token))}
	before, now := session.RefreshHash, s.now()
	session.TokenHash, session.RefreshHash = hashToken([]byte(next.Access)), hashToken([]byte(next.Refresh))
	session.TokenExpiresAt, session.ExpiresAt = now.Add(accessLifetime), now.Add(s.opts.SessionLifetime)
	session.UsedAt, session.UserAgent, session.Address = now, userAgentOf(ctx), addressOf(ctx)
	var err error
	if session.RefreshAnswer, err = sealAnswer(token, key, next); err != nil {
		return Tokens{}, err
	}
	err = tx.RefreshSession(*session, before)
	if errors.Is(err, store.ErrNotFound) { // ended meanwhile
		err = errTokenRevoked()
	}
	return s.tokensOf(*session, next), err
}

// endReused ends a session a refresh token of which was used twice.
func (s *Service) endReused(ctx context.Context, tx *store.Tx, session store.Session) error {
	err := tx.DeleteSession(session.UserID, session.ID)
	if errors.Is(err, store.ErrNotFound) { // it has ended meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	// Nobody has done it who is known: who shows the token may be the thief.
	if err := chat.AppendSessionEnded(tx, session.ID, session.UserID, 0, s.now()); err != nil {
		return err
	}
	return s.chat.Audit(tx, chat.Caller{Address: addressOf(ctx)}, chat.AuditEntry{Action: chat.UserTokenReused, UserID: session.UserID})
}

func errTokenRevoked() *chat.Error {
	return &chat.Error{
		Kind: chat.Unauthenticated, Code: "token_revoked",
		Message: "This refresh token was used before, has expired, or was revoked. Sign in again.",
	}
}

// sealAnswer makes of tokens what can be read again by whoever has the refresh token
// that they were got with, and the idempotency key; nothing, without a key.
func sealAnswer(token, key string, answer Tokens) ([]byte, error) {
	if key == "" {
		return nil, nil
	}
	sealer, err := answerSealer(token, key)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(nil, nil, []byte(answer.Access+" "+answer.Refresh), nil), nil //nolint:gosec // the nonce is made by it, at random
}

// openAnswer reads what sealAnswer made, if it was made of the same token and key.
func openAnswer(token, key string, sealed []byte) (answer Tokens, ok bool) {
	if key == "" || len(sealed) == 0 {
		return Tokens{}, false
	}
	sealer, err := answerSealer(token, key)
	if err != nil {
		return Tokens{}, false
	}
	text, err := sealer.Open(nil, nil, sealed, nil)
	if err != nil {
		return Tokens{}, false
	}
	answer.Access, answer.Refresh, ok = strings.Cut(string(text), " ")
	return answer, ok
}

func answerSealer(token, key string) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, []byte(token), []byte(key), "caddymsg refresh answer", 32)
	if err != nil {
		return nil, fmt.Errorf("derive from refresh token: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("derive from refresh token: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// endLeastUsed ends what sessions an account has too many with a new one.
func endLeastUsed(tx *store.Tx, opened store.Session, now time.Time) error {
	userID, most := opened.UserID, maxSessions
	if opened.Plain() {
		most = maxPlain
	}
	ended, err := tx.DeleteLeastUsedSessionsOf(userID, opened.Plain(), most)
	if err != nil {
		return err
	}
	for _, id := range ended {
		if err := chat.AppendSessionEnded(tx, id, userID, userID, now); err != nil {
			return err
		}
	}
	return nil
}
