package chat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddymsg/messaging/store"
)

// MaxClientIDLength is the longest idempotency key, in bytes.
const MaxClientIDLength = 128

// ownKey is what a key begins with that no sender has given. It may tell of a text that
// has been deleted since.
const ownKey = "\x01"

// secondKey is the key of a message that is sent once in the second that it is of. It
// returns Conflict if it was.
func secondKey(tx *store.Tx, m Message) (string, error) {
	key := fmt.Sprintf("%s%d %d %x", ownKey, m.ChatID, m.CreatedAt.Unix(), sha256.Sum256([]byte(m.Text)))
	switch _, err := tx.FindMessageByClientID(m.SenderID, key); {
	case err == nil:
		return "", &Error{Kind: Conflict, Code: "message_repeated", Message: "This message has been sent already."}
	case !errors.Is(err, store.ErrNotFound):
		return "", err
	}
	return key, nil
}

// KeyOf is the idempotency key that the sender of a message has given, or empty.
func KeyOf(m Message) string {
	if strings.HasPrefix(m.ClientID, ownKey) {
		return ""
	}
	return m.ClientID
}

const badKey = "An idempotency key has at most 128 bytes and no control characters."

// Once does what creates something, unless the caller has used the idempotency
// key before: then result is what was answered first. An empty key does it
// anyway. It is called in the Update that creates, and result is what create sets,
// with all its exported fields. It returns Invalid for a key that won't do, and
// for one that was used for another operation.
//
// Messages keep their key themselves (see [Draft]).
func Once[T any](tx *store.Tx, caller Caller, key, operation string, at time.Time, result *T, create func() error) error {
	if key == "" {
		return create()
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	hash, sealer, err := keyed(caller, key)
	if err != nil {
		return err
	}
	answer, err := tx.FindAnswer(caller.UserID, hash)
	switch {
	case err == nil && answer.Operation != operation:
		return invalid("Idempotency-Key", "idempotency_key_reused", "This key was used for something else.")
	case err == nil:
		return unseal(sealer, answer, result)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := create(); err != nil {
		// It may be there because it was made with this key, while this waited for
		// the chat.
		if refusal := AsError(err); refusal != nil && refusal.Kind == Conflict {
			if answer, again := tx.FindAnswer(caller.UserID, hash); again == nil && answer.Operation == operation {
				return unseal(sealer, answer, result)
			}
		}
		return err
	}
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	sealed := sealer.Seal(nil, nil, body, nil) //nolint:gosec // the nonce is made by it, at random
	return tx.CreateAnswer(store.Answer{
		UserID: caller.UserID, KeyHash: hash, Operation: operation, Body: sealed, CreatedAt: at,
	})
}

// keyed is what an idempotency key is found by, and what its answer is sealed with.
// Nobody reads an answer out of the database who does not know the key. But a key may be
// guessed: what is told once and stored hashed does not belong into an answer.
func keyed(caller Caller, key string) (hash []byte, sealer cipher.AEAD, err error) {
	user := []byte(strconv.FormatInt(caller.UserID, 10))
	hash, err = hkdf.Key(sha256.New, []byte(key), user, "find", sha256.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("derive from idempotency key: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, []byte(key), user, "seal", 32)
	if err != nil {
		return nil, nil, fmt.Errorf("derive from idempotency key: %w", err)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("derive from idempotency key: %w", err)
	}
	sealer, err = cipher.NewGCMWithRandomNonce(block)
	return hash, sealer, err
}

func unseal(sealer cipher.AEAD, answer store.Answer, into any) error {
	body, err := sealer.Open(nil, nil, answer.Body, nil)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("read answer to %s: %w", answer.Operation, err)
	}
	return nil
}

// CheckKey returns Invalid for what can't be an idempotency key. The empty one is none.
func CheckKey(key string) error {
	if validKey(key) {
		return nil
	}
	return invalid("Idempotency-Key", "idempotency_key_invalid", badKey)
}

// validKey tells whether something may be an idempotency key.
func validKey(key string) bool {
	return len(key) <= MaxClientIDLength && utf8.ValidString(key) && !strings.ContainsFunc(key, unicode.IsControl)
}
