package auth

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const secret = "a secret that is long enough, say"

func newCookies(tb testing.TB, secrets ...string) *Cookies {
	tb.Helper()
	c, err := NewCookies(secrets...)
	require.NoError(tb, err)
	return c
}

func requestWith(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func TestSecretLength(t *testing.T) {
	t.Parallel()
	for _, short := range []string{"", "x", strings.Repeat("x", MinSecretLength-1)} {
		_, err := NewCookies(short)
		require.Error(t, err)
		if short != "" {
			require.NotContains(t, err.Error(), strings.Repeat("x", 2), "a secret is in no log")
		}
	}
	_, err := NewCookies()
	require.Error(t, err, "no secret at all")
	_, err = NewCookies(secret, strings.Repeat("x", MinSecretLength-1))
	require.Error(t, err, "the second is too short")
	newCookies(t, strings.Repeat("x", MinSecretLength))
	newCookies(t, strings.Repeat("é", MinSecretLength/2))
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	c := newCookies(t, secret)
	for _, secure := range []bool{true, false} {
		name := map[bool]string{true: "__Host-session", false: "session"}[secure]
		cookie, err := c.Set([]byte("token"), 90*time.Minute, secure)
		require.NoError(t, err)
		require.NoError(t, cookie.Valid())
		require.Equal(t, &http.Cookie{
			Name: name, Value: cookie.Value, Path: "/", MaxAge: 5400,
			Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		}, cookie)
		require.NotContains(t, cookie.Value, "token")
		require.NotContains(t, cookie.Value, base64.URLEncoding.EncodeToString([]byte("token")))
		again, err := c.Set([]byte("token"), 90*time.Minute, secure)
		require.NoError(t, err)
		require.NotEqual(t, cookie.Value, again.Value, "encrypted, with a nonce")

		gone := c.Clear(secure)
		require.NoError(t, gone.Valid())
		require.Equal(t, &http.Cookie{
			Name: name, Path: "/", MaxAge: -1, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		}, gone)
	}
}

// Whoever holds a session goes on to use its token.
func TestCookieLeavesTheTokenAlone(t *testing.T) {
	t.Parallel()
	token := bytes.Repeat([]byte{7}, tokenLength)
	_, err := newCookies(t, secret).Set(token, time.Hour, true)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{7}, tokenLength), token)
}

func TestCookieToken(t *testing.T) {
	t.Parallel()
	c := newCookies(t, secret)
	token := bytes.Repeat([]byte{0, 1, 0xff, '|'}, tokenLength/4)
	secure, err := c.Set(bytes.Clone(token), time.Hour, true)
	require.NoError(t, err)
	plain, err := c.Set(bytes.Clone(token), time.Hour, false)
	require.NoError(t, err)
	foreign, err := newCookies(t, "another secret that is long enough").Set(bytes.Clone(token), time.Hour, true)
	require.NoError(t, err)
	as := func(name, value string) *http.Cookie { return &http.Cookie{Name: name, Value: value} }

	for name, c := range map[string]struct {
		cookies      []*http.Cookie
		overTLS      bool
		wantSignedIn bool
	}{
		"over TLS":                              {[]*http.Cookie{secure}, true, true},
		"on plain HTTP":                         {[]*http.Cookie{plain}, false, true},
		"among others":                          {[]*http.Cookie{as("a", "b"), plain, secure}, true, true},
		"no cookie":                             {nil, true, false},
		"the plain cookie over TLS":             {[]*http.Cookie{plain}, true, false},
		"the secure cookie on plain HTTP":       {[]*http.Cookie{secure}, false, false},
		"the plain value under the secure name": {[]*http.Cookie{as("__Host-session", plain.Value)}, true, false},
		"the secure value under the plain name": {[]*http.Cookie{as("session", secure.Value)}, false, false},
		"another secret's":                      {[]*http.Cookie{foreign}, true, false},
		"empty":                                 {[]*http.Cookie{as("__Host-session", "")}, true, false},
		"not base64":                            {[]*http.Cookie{as("__Host-session", "!!!")}, true, false},
		"the token itself":                      {[]*http.Cookie{as("__Host-session", base64.URLEncoding.EncodeToString(token))}, true, false},
		"huge":                                  {[]*http.Cookie{as("__Host-session", strings.Repeat("A", 64<<10))}, true, false},
		"a good one behind a forged one":        {[]*http.Cookie{foreign, secure}, true, true},
		"a name that differs in case":           {[]*http.Cookie{as("__host-session", secure.Value)}, true, false},
		"with something behind":                 {[]*http.Cookie{as("__Host-session", secure.Value+"AAAA")}, true, false},
		"with something ahead":                  {[]*http.Cookie{as("__Host-session", "AAAA"+secure.Value)}, true, false},
		"cut":                                   {[]*http.Cookie{as("__Host-session", secure.Value[:len(secure.Value)/2])}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, stale := newCookies(t, secret).Token(requestWith(c.cookies...), c.overTLS)
			require.False(t, stale)
			if c.wantSignedIn {
				require.Equal(t, token, got)
			} else {
				require.Nil(t, got)
			}
		})
	}
}

// Secrets are rotated: what any of them made is good, and what an old one made is to
// be made anew.
func TestCookieOfAnOldSecret(t *testing.T) {
	t.Parallel()
	const newer, oldest = "a newer secret, which is long enough", "the oldest secret is long enough, too"
	token := bytes.Repeat([]byte{7}, tokenLength)
	made := func(secrets ...string) *http.Cookie {
		cookie, err := newCookies(t, secrets...).Set(token, time.Hour, true)
		require.NoError(t, err)
		return cookie
	}
	for name, test := range map[string]struct {
		secrets             []string
		cookies             []*http.Cookie
		wantGood, wantStale bool
	}{
		"of the first":                {[]string{newer, secret}, []*http.Cookie{made(newer)}, true, false},
		"of the second":               {[]string{newer, secret}, []*http.Cookie{made(secret)}, true, true},
		"of the third":                {[]string{newer, secret, oldest}, []*http.Cookie{made(oldest)}, true, true},
		"made anew":                   {[]string{newer, secret}, []*http.Cookie{made(newer, secret)}, true, false},
		"made anew, the old one gone": {[]string{newer}, []*http.Cookie{made(newer, secret)}, true, false},
		"of one that is gone":         {[]string{newer, secret}, []*http.Cookie{made(oldest)}, false, false},
		"of the same secret twice":    {[]string{secret, secret}, []*http.Cookie{made(secret)}, true, false},
		"behind a forged one":         {[]string{newer, secret}, []*http.Cookie{made(oldest), made(secret)}, true, true},
		"made before a step back":     {[]string{secret, newer}, []*http.Cookie{made(newer, secret)}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, stale := newCookies(t, test.secrets...).Token(requestWith(test.cookies...), true)
			require.Equal(t, test.wantStale, stale)
			if test.wantGood {
				require.Equal(t, token, got)
			} else {
				require.Nil(t, got)
			}
		})
	}
}

// No byte of a cookie can be changed.
func TestCookieTampered(t *testing.T) {
	t.Parallel()
	c := newCookies(t, secret)
	cookie, err := c.Set(bytes.Repeat([]byte{7}, tokenLength), time.Hour, true)
	require.NoError(t, err)
	value, err := base64.URLEncoding.DecodeString(cookie.Value)
	require.NoError(t, err)
	for i := range value {
		for _, bit := range []byte{1, 2, 0x80} {
			forged := bytes.Clone(value)
			forged[i] ^= bit
			got, _ := c.Token(requestWith(&http.Cookie{
				Name: cookie.Name, Value: base64.URLEncoding.EncodeToString(forged),
			}), true)
			require.Nil(t, got, "byte %d", i)
		}
	}
}

// A cookie that is made of nothing is nobody's.
func TestCookieOfTheEmptyToken(t *testing.T) {
	t.Parallel()
	c := newCookies(t, secret)
	cookie, err := c.Set(nil, time.Hour, true)
	require.NoError(t, err)
	token, _ := c.Token(requestWith(cookie), true)
	require.Empty(t, token)
}
