package auth

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
)

// MinSecretLength is the shortest session secret, in bytes.
const MinSecretLength = 32

// Cookies carry session tokens, authenticated and encrypted.
type Cookies struct {
	codecs []*securecookie.SecureCookie // the first makes them, all read them
}

// NewCookies derives the keys from secrets of at least [MinSecretLength] bytes
// each. The first is what cookies are made with; those made with one of the others
// are still good.
func NewCookies(secrets ...string) (*Cookies, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no session secret")
	}
	c := &Cookies{}
	for _, secret := range secrets {
		codec, err := newCodec(secret)
		if err != nil {
			return nil, err
		}
		c.codecs = append(c.codecs, codec)
	}
	return c, nil
}

func newCodec(secret string) (*securecookie.SecureCookie, error) {
	if len(secret) < MinSecretLength {
		return nil, fmt.Errorf("the session secret has %d bytes, and needs at least %d", len(secret), MinSecretLength)
	}
	keys, err := hkdf.Key(sha256.New, []byte(secret), nil, "caddymsg session cookie", 32+32)
	if err != nil {
		return nil, fmt.Errorf("derive cookie keys: %w", err)
	}
	codec := securecookie.New(keys[:32], keys[32:])
	codec.SetSerializer(securecookie.NopEncoder{})
	// The session's row knows when it ends; a date in the cookie would end a
	// session that has been extended.
	codec.MaxAge(0)
	return codec, nil
}

// cookieName is of a cookie that, over TLS, no other host and no plain page
// can set (RFC 6265bis, __Host- prefix). Browsers refuse that name without TLS.
func cookieName(secure bool) string {
	if secure {
		return "__Host-session"
	}
	return "session"
}

// Token reads the session token of a request, or nil. secure says whether the
// client came over TLS. A stale cookie was made with an old secret, and is to be
// [Cookies.Set] anew.
func (c *Cookies) Token(r *http.Request, secure bool) (token []byte, stale bool) {
	return c.read(r, cookieName(secure))
}

// read reads the value of a cookie of a request, or nil.
func (c *Cookies) read(r *http.Request, name string) (value []byte, stale bool) {
	// There may be several: without TLS, a page on another host of the domain can add
	// one, and must not sign anybody out by that.
	for _, cookie := range r.CookiesNamed(name) {
		for i, codec := range c.codecs {
			var value []byte
			if err := codec.Decode(cookie.Name, cookie.Value, &value); err == nil {
				return value, i > 0
			} // forged, or made with another secret
		}
	}
	return nil, false
}

// Set makes the cookie that carries a token.
func (c *Cookies) Set(token []byte, lifetime time.Duration, secure bool) (*http.Cookie, error) {
	name := cookieName(secure)
	value, err := c.codecs[0].Encode(name, bytes.Clone(token)) // it encrypts in place
	if err != nil {
		return nil, fmt.Errorf("encode session cookie: %w", err)
	}
	return newCookie(name, value, int(lifetime.Seconds()), secure), nil
}

// Clear makes the cookie that removes the session's.
func (c *Cookies) Clear(secure bool) *http.Cookie {
	return newCookie(cookieName(secure), "", -1, secure)
}

func newCookie(name, value string, maxAge int, secure bool) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
