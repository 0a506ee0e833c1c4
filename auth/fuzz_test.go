package auth

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No cookie is good but one that was made here, under the name that it was made for.
func FuzzCookieDecode(f *testing.F) {
	ours := newCookies(f, secret)
	const token = "a token of thirty-two bytes, say"
	made := func(by *Cookies, secure bool) string {
		cookie, err := by.Set([]byte(token), time.Hour, secure)
		require.NoError(f, err)
		return cookie.Value
	}
	plain, overTLS := made(ours, false), made(ours, true)
	raw, err := base64.URLEncoding.DecodeString(plain)
	require.NoError(f, err)
	for _, value := range []string{
		plain, overTLS, made(newCookies(f, strings.Repeat("another", 6)), false), token, "", "=", "|", "%", "\x00", "\xff",
		plain[:len(plain)/2], plain + plain, plain[1:], plain + "=", strings.ToLower(plain), strings.Repeat("A", 5000),
		base64.RawURLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString([]byte("1|" + token + "|")), base64.URLEncoding.EncodeToString([]byte("99999999999999999999||")),
	} {
		for _, name := range []string{"session", "__Host-session", "__host-session", "device"} {
			f.Add(name + "=" + value)
			f.Add(name + "=x; " + name + "=" + value)
			f.Add(name + `="` + value + `"`)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, secure := range []bool{false, true} {
			r := &http.Request{Header: http.Header{"Cookie": {header}}}
			if found, _ := ours.Token(r, secure); found != nil {
				require.Equal(t, token, string(found), "somebody has made a cookie")
				require.Contains(t, header, cookieName(secure)+"=")
			}
		}
	})
}

// What looks like a token is one that could have been made here, and any other letter
// makes it none.
func FuzzTokenParse(f *testing.F) {
	prefixes := []string{accessPrefix, refreshPrefix, keyPrefix}
	for _, prefix := range prefixes {
		token := newToken(prefix)
		for _, seed := range []string{
			token, token[:len(token)-1], token + "A", token[1:], " " + token, token + "\n", strings.ToLower(token), strings.ToUpper(token),
			prefix, prefix + strings.Repeat("A", randomLength+checksumLength), strings.Replace(token, "_", "-", 1), token + token,
		} {
			f.Add(seed, 0)
			f.Add(seed, len(seed)-1)
		}
	}
	family := newFamily()
	f.Add(newRefreshToken(family), 20)
	f.Add(family, 8)
	f.Add("", 0)
	f.Add("\xff\x00", 1)
	f.Fuzz(func(t *testing.T, text string, at int) {
		lengths := map[string]int{accessPrefix: randomLength, keyPrefix: randomLength, refreshPrefix: 2 * randomLength}
		for prefix, length := range lengths {
			if !wellFormed(text, prefix, length) {
				continue
			}
			require.Equal(t, text, checked(text[:len(text)-checksumLength]))
			require.Equal(t, prefix != refreshPrefix, isBearer(text), "a refresh token opens nothing by itself")
			changed := []byte(text)
			changed[uint(at)%uint(len(changed))] ^= 1
			require.False(t, wellFormed(string(changed), prefix, length), "%s", changed)
			for other := range lengths {
				require.True(t, other == prefix || !wellFormed(text, other, lengths[other]), "a token of two kinds")
			}
		}
		if family := familyOf(text); family != "" {
			require.True(t, strings.HasPrefix(text, family))
			require.Equal(t, family, familyOf(newRefreshToken(family)))
			require.False(t, isBearer(family))
		}
	})
}

// What is read from a header is what stands in it, and no more.
func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Bearer", "Bearer ", "bearer  x ", "BEARER x y", "Basic dXNlcjpwYXNz", "basic:", "\tBearer x", "Bearer\tx", "Bearer x, Basic y",
		"Token token=x", "Bearer \x00", "\xff", "Basic !", "Basic Og==", "Negotiate x", strings.Repeat("B ", 5000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		scheme, value := authorization(r)
		require.NotContains(t, scheme, " ")
		require.Equal(t, strings.TrimSpace(value), value)
		require.Contains(t, header, value)
	})
}
