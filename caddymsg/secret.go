package caddymsg

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
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

var placeholders = regexp.MustCompile(`\{[^{}]*\}`)

var onePlaceholder = regexp.MustCompile(`^\{(env|file)\.[^{}]*\}$`)

// resolveDatabase replaces the placeholders in the name of a database. What is
// the name of the option or flag that it comes from.
func resolveDatabase(what, value string) (string, error) {
	database, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	switch {
	case err != nil && onePlaceholder.MatchString(value):
		return "", fmt.Errorf("%s: %w", what, err)
	case err != nil:
		// What stands in braces may be a piece of a password.
		return "", fmt.Errorf("%s: a placeholder in it is unknown or empty; in an address, a brace is written %%7B or %%7D", what)
	case database == "":
		return "", fmt.Errorf("%s: it is empty", what)
	}
	return database, nil
}

// writtenPassword tells whether an address of a database holds a password that
// is not a placeholder.
func writtenPassword(database string) bool {
	_, written, ok := strings.Cut(placeholders.ReplaceAllString(database, ""), "://")
	if !ok {
		return false
	}
	address, query, _ := strings.Cut(written, "?")
	_, password, _ := strings.Cut(address[:max(0, strings.LastIndex(address, "@"))], ":")
	options, _ := url.ParseQuery(query) // with what of it can be read
	return password != "" || options.Get("password") != "" || options.Get("sslpassword") != ""
}
