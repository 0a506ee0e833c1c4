package caddymsg

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddymsg/messaging/auth"
)

// Secrets are a secret, or a new one and those that it replaces. In JSON they are a
// string or a list of them.
type Secrets []string

// UnmarshalJSON reads a string or a list of strings.
func (s *Secrets) UnmarshalJSON(data []byte) error {
	var several []string
	if err := json.Unmarshal(data, &several); err == nil {
		*s = several
		return nil
	}
	var one string
	if err := json.Unmarshal(data, &one); err != nil {
		return errors.New("session_secret: neither a string nor a list of strings") // not what it is: it may be a secret
	}
	*s = Secrets{one}
	return nil
}

// MarshalJSON writes a single one as a string.
func (s Secrets) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}

// resolve replaces the placeholders, and leaves out what is empty then: a variable
// that is not set says that there is no such secret.
func (s Secrets) resolve() ([]string, error) {
	var resolved []string
	for _, written := range s {
		secret, err := caddy.NewReplacer().ReplaceOrErr(written, false, true)
		if err != nil {
			return nil, fmt.Errorf("session_secret: %w", err)
		}
		switch {
		case secret != "":
			resolved = append(resolved, secret)
		case strings.Contains(written, "{file."):
			return nil, errors.New("session_secret: the file is empty or can't be read")
		}
	}
	return resolved, nil
}

// storedSecret loads the session secret from Caddy's storage, and makes it if
// there is none. Servers that share a storage share the secret.
func storedSecret(ctx context.Context, storage certmagic.Storage) (string, error) {
	const key = "messaging/session_secret"
	if err := storage.Lock(ctx, key); err != nil {
		return "", fmt.Errorf("lock storage: %w", err)
	}
	// The lock expires by itself, should this fail.
	defer func() { _ = storage.Unlock(context.WithoutCancel(ctx), key) }()
	stored, err := storage.Load(ctx, key)
	if err == nil {
		return string(stored), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("load from storage: %w", err)
	}
	random := make([]byte, auth.MinSecretLength)
	rand.Read(random)
	secret := base64.StdEncoding.EncodeToString(random)
	if err := storage.Store(ctx, key, []byte(secret)); err != nil {
		return "", fmt.Errorf("keep in storage: %w", err)
	}
	return secret, nil
}
