package auth

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// deviceLifetime is how long a browser keeps its device cookie: no browser keeps one
// for longer (RFC 6265bis).
const deviceLifetime = 400 * 24 * time.Hour

// deviceCookieName is as that of the session. What is in a cookie is bound to its
// name: a session cookie is no device cookie, nor the other way round.
func deviceCookieName(secure bool) string {
	if secure {
		return "__Host-device"
	}
	return "device"
}

// Device reads what tells a browser from others, or nil: its device cookie, which it
// has had since somebody first signed in with it. Nobody is signed in by it; for whom
// it is a known one, that account knows.
func (c *Cookies) Device(r *http.Request, secure bool) []byte {
	device, _ := c.read(r, deviceCookieName(secure))
	return device
}

// SetDevice makes the device cookie.
func (c *Cookies) SetDevice(device []byte, secure bool) (*http.Cookie, error) {
	name := deviceCookieName(secure)
	value, err := c.codecs[0].Encode(name, bytes.Clone(device)) // it encrypts in place
	if err != nil {
		return nil, fmt.Errorf("encode device cookie: %w", err)
	}
	return newCookie(name, value, int(deviceLifetime.Seconds()), secure), nil
}
