package auth

import (
	"context"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

const (
	// maxKeys is how many keys an account may have, expired ones too.
	maxKeys = 100
	// maxKeyNameLength is the longest name of a key, in characters.
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
	// Key is the secret itself, which is told once.
	Key       string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// CreateKey makes a key: a session that goes on until it expires or is ended, and may
// be used for its scopes alone. It returns Forbidden to whoever comes by a key
// themselves, Invalid for a field that won't do, Conflict if there are too many, and
// Unauthenticated if the caller's session has ended meanwhile.
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
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		now := s.now()
		key = Key{Name: name, Scopes: scopes.Names(), Key: newToken(keyPrefix), CreatedAt: now}
		if _, err := tx.LockUser(caller.UserID); err != nil {
			return refuseUnknown(err)
		}
		// What ended the caller's session must not leave a key of theirs.
		if _, err := tx.FindSession(caller.SessionID); err != nil {
			return refuseUnknown(err)
		}
		return chat.Once(tx, caller, wanted.Idempotency, "create-key", now, &key, func() (err error) {
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
				Kind: store.KeySession, TokenHash: hashToken([]byte(key.Key)), UserID: caller.UserID,
				Name: name, Scopes: scopes.String(), CreatedAt: now, ExpiresAt: key.ExpiresAt,
			}
			if err := tx.CreateSession(&session); err != nil {
				return err
			}
			key.ID = session.ID
			return s.chat.Audit(tx, caller, chat.AuditEntry{Action: chat.UserKeyCreated, UserID: caller.UserID, Detail: name})
		})
	})
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

func keyName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", &chat.Error{Kind: chat.Invalid, Code: "name_missing", Field: "name", Message: "A key has a name."}
	case utf8.RuneCountInString(name) > maxKeyNameLength:
		return "", &chat.Error{
			Kind: chat.Invalid, Code: "name_too_long", Field: "name",
			Message: "The name of a key has at most " + strconv.Itoa(maxKeyNameLength) + " characters.",
		}
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
		return "", &chat.Error{Kind: chat.Invalid, Code: "name_invalid", Field: "name", Message: "The name of a key is one line of text."}
	}
	return name, nil
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
