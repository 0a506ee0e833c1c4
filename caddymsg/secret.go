package caddymsg

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"

	"github.com/caddymsg/messaging/auth"
)

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
