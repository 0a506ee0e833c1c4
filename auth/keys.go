package auth

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

const (
	// maxKeys is how many keys an account may have, expired ones too.
	maxKeys = 100
	// maxKeyNameLength is in characters.
	maxKeyNameLength = 64
	// keyLifetime is how long a key is good for if nothing is said of it, and
	// maxKeyLifetime at most.
	keyLifetime    = 365 * 24 * time.Hour
	maxKeyLifetime = 3653 * 24 * time.Hour
)

// NewKey is a key that somebody makes for a program.
type NewKey struct {
	Name      string
	Scopes    []string
	ExpiresAt *time.Time // nil is in a year
	// Idempotency is the idempotency key; it may be empty.
	Idempotency string
}

// Key is a key as its owner sees it.
type Key struct {
	ID     int64
	Name   string
	Scopes []string
	// Key is the secret itself, which is told and stored nowhere, not even for who asks
	// again with the same idempotency key.
	Key       string `json:"-"`
	CreatedAt time.Time
	ExpiresAt time.Time
}

// CreateKey makes a key: a session that goes on until it expires or is ended, and may
// be used for its scopes alone. It returns Forbidden to whoever comes by a key
// themselves, Invalid for a field that won't do, Conflict if there are too many, and
// Unauthenticated if the caller's session has ended meanwhile.
//
// Again, with the same idempotency key, it answers the same key with another secret, and
// the one before is good for nothing. It returns Conflict if that key was revoked.
func (s *Service) CreateKey(ctx context.Context, caller chat.Caller, wanted NewKey) (Key, error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return Key{}, err
	}
	name, err := keyName(wanted.Name)
	if err != nil {
		return Key{}, err
	}
	scopes, err := chat.ParseScopes(wanted.Scopes)
	if err != nil {
		return Key{}, err
	}
	var key Key
	var secret string
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		now, again := s.now(), true
		key = Key{Name: name, Scopes: scopes.Names(), CreatedAt: now}
		secret = newToken(keyPrefix)
		if _, err := tx.LockUser(caller.UserID); err != nil {
			return refuseUnknown(err)
		}
		// What ended the caller's session must not leave a key of theirs.
		if _, err := tx.FindSession(caller.SessionID); err != nil {
			return refuseUnknown(err)
		}
		err := chat.Once(tx, caller, wanted.Idempotency, "create-key", now, &key, func() (err error) {
			if key.ExpiresAt, err = keyExpiry(wanted.ExpiresAt, now); err != nil {
				return err
			}
			if n, err := tx.CountSessionsOf(caller.UserID, store.KeySession); err != nil {
				return err
			} else if n >= maxKeys {
				return &chat.Error{
					Kind: chat.Conflict, Code: "too_many_keys",
					Message: "An account has at most " + strconv.Itoa(maxKeys) + " keys. Revoke one first.",
				}
			}
			session := store.Session{
				Kind: store.KeySession, TokenHash: hashToken([]byte(secret)), UserID: caller.UserID,
				Name: name, Scopes: scopes.String(), CreatedAt: now, ExpiresAt: key.ExpiresAt,
			}
			if err := tx.CreateSession(&session); err != nil {
				return err
			}
			key.ID, again = session.ID, false
			return nil
		})
		if err == nil && again {
			err = tx.ReplaceKey(caller.UserID, key.ID, hashToken([]byte(secret)))
			if errors.Is(err, store.ErrNotFound) {
				err = &chat.Error{
					Kind: chat.Conflict, Code: "key_revoked",
					Message: "The key that was made with this idempotency key has been revoked.",
				}
			}
		}
		if err != nil {
			return err
		}
		return s.chat.Audit(tx, caller, chat.AuditEntry{Action: chat.UserKeyCreated, UserID: caller.UserID, Detail: key.Name})
	})
	if err != nil {
		return Key{}, err
	}
	key.Key = secret
	return key, nil
}

func keyName(typed string) (string, error) {
	name, err := chat.PrepareLine("name", typed, maxKeyNameLength)
	if err == nil && name == "" {
		err = &chat.Error{Kind: chat.Invalid, Code: "name_missing", Field: "name", Message: "A key has a name."}
	}
	return name, err
}

func keyExpiry(wanted *time.Time, now time.Time) (time.Time, error) {
	if wanted == nil {
		return now.Add(keyLifetime), nil
	}
	at := wanted.UTC().Truncate(time.Microsecond) // as precise as the store is
	if !at.After(now) || at.After(now.Add(maxKeyLifetime)) {
		return time.Time{}, &chat.Error{
			Kind: chat.Invalid, Code: "expires_at_invalid", Field: "expires_at",
			Message: "A key expires in the future, within ten years.",
		}
	}
	return at, nil
}
