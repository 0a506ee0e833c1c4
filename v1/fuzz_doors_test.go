package v1_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
)

// public are the paths below /v1 that answer anybody with 200, which no path of the
// fuzzer's shall join.
func public(path string) bool {
	return path == "/v1/openapi.json" || path == "/v1/docs" || strings.HasPrefix(path, "/v1/docs/")
}

// Whatever is asked for, by nobody: nothing is told, and nothing breaks.
func FuzzURLs(f *testing.F) {
	s := newServer(f)
	signedIn := s.cookie
	s.cookie = ""
	document := httptest.NewRecorder()
	s.api.ServeHTTP(document, httptest.NewRequest(http.MethodGet, "/v1/openapi.json", http.NoBody))
	var d struct {
		Paths map[string]map[string]json.RawMessage
	}
	require.NoError(f, json.Unmarshal(document.Body.Bytes(), &d))
	for path, operations := range d.Paths {
		for method := range operations {
			method = strings.ToUpper(method)
			f.Add(method, path, "")
			for _, segment := range []string{"1", "%2e%2e", "..", "%00", "%2f", "me", "-1", "1%0d%0aSet-Cookie:%20session=x"} {
				filled := path
				for strings.Contains(filled, "{") {
					before, rest, _ := strings.Cut(filled, "{")
					_, after, _ := strings.Cut(rest, "}")
					filled = before + segment + after
				}
				f.Add(method, filled, "limit=1&"+segment)
				f.Add(method, filled+"/", "")
				f.Add(method, filled+"/"+segment, "")
			}
		}
	}
	for _, path := range []string{
		"/", "/v1", "/v1/", "//v1/me", "/v1//me", "/v1/./me", "/v1/../v1/me", "/V1/me", "/v1/me/", "/v1/me;x", "/v1/me%00", "/v1/me%2f", "/v1%2fme",
		"/v1/%6d%65", "/v1/docs/../me", "/v1/docs/..%2fme", "/v1/docs/%2e%2e/me", "/v1/docs/swagger-ui.css/../../me", "/v1/openapi.json/", "/v1/me?", "/v1/\xff",
	} {
		f.Add(http.MethodGet, path, "session=x")
	}
	for _, method := range []string{"", "get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PATCH", strings.Repeat("A", 100)} {
		f.Add(method, "/v1/me", "")
		f.Add(method, "/v1/ws", "")
	}
	ask := func(t *testing.T, method string, u *url.URL, cookie string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Method, r.URL, r.RequestURI = method, u, u.RequestURI()
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r.WithContext(auth.WithRequest(t.Context(), auth.Request{ID: "request-1"})))
		return w
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		u, err := url.ParseRequestURI(path + "?" + query)
		if err != nil {
			return // no server would ask a handler
		}
		w := ask(t, method, u, "")
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Empty(t, w.Header().Get("Location"), "a redirect")
		require.Empty(t, w.Header().Get("Set-Cookie"))
		if public(u.Path) {
			return
		}
		// 501 is of a WebSocket over HTTP/2, or of what this server was not set up for.
		require.True(t, 400 <= w.Code && w.Code < 500 || w.Code == http.StatusNotImplemented, "%s %s: %d: %s", method, u, w.Code, w.Body)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		var p struct{ Code string }
		if method != http.MethodHead {
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), "%s", w.Body)
			require.NotEmpty(t, p.Code)
		}
		// Who is signed in and only looks gets an answer, or is told what is wrong.
		if method == http.MethodGet && !strings.Contains(u.Path, "events") {
			w = ask(t, method, u, signedIn)
			require.True(t, w.Code == http.StatusOK || 400 <= w.Code && w.Code < 500, "%s %s: %d: %s", method, u, w.Code, w.Body)
		}
	})
}

// No body gets a token that has no password in it, or a refresh token.
func FuzzIssueToken(f *testing.F) {
	addBodies(f, `{"username":?,"password":"open sesame"}`, `{"username":"alice","password":?}`, `{"refresh_token":?}`,
		`{"username":"alice","password":"open sesame","refresh_token":?}`)
	s := newServer(f)
	s.cookie = "session=none"
	token := "cmsg_rt_" + strings.Repeat("A", 59)
	for _, seed := range []string{token, "cmsg_rt_", strings.ToLower(token), strings.Repeat("x", 9000)} {
		f.Add([]byte(`{"refresh_token":"` + seed + `"}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := s.ask(t, request("POST", "/v1/auth/token", "", body))
		if answer.Code == http.StatusOK {
			var shown struct{ Password string }
			require.NoError(t, json.Unmarshal(body, &shown))
			require.Equal(t, "open sesame", shown.Password)
		}
	})
}

// Nobody guesses what a mail brings, and asking for one tells nothing.
func FuzzMailedTokens(f *testing.F) {
	token := strings.Repeat("A", 33)
	templates := []string{`{"token":?,"password":"another password"}`, `{"token":"cmsg_reset_` + token + `","password":?}`}
	addBodies(f, append(templates, `{"email":?}`)...)
	for _, seed := range []string{"cmsg_reset_" + token, "cmsg_mail_" + token, "cmsg_inv_" + token, "a@example.com", "a@example.com\\r\\nBcc: b@example.com", "a@b@c", "ä@例え.jp"} {
		f.Add([]byte(`{"token":"` + seed + `","password":"another password"}`))
		f.Add([]byte(`{"email":"` + seed + `"}`))
	}
	s := newServer(f)
	s.cookie = "session=none"
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/auth/reset-password", "/v1/auth/verify-email"} {
			require.NotEqual(t, http.StatusOK, s.ask(t, request("POST", path, "", body)).Code)
		}
		if answer := s.ask(t, request("POST", "/v1/auth/forgot-password", "", body)); answer.Code == http.StatusOK {
			require.JSONEq(t, `{}`, answer.Body.String())
		}
	})
}

// Nobody gets in by a header that was not given to them, and what is no way to sign in
// here, such as another server's password, keeps nobody out.
func FuzzCredentialHeaders(f *testing.F) {
	s := newServer(f)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:wrong"))
	token := "cmsg_at_" + strings.Repeat("A", 33)
	for _, value := range []string{
		"", " ", "x", "Bearer", "Bearer ", "Bearer x", "bearer " + token, "Token " + token, "BEARER  " + token + " ", "Bearer\t" + token, "Bearer " + token + "," + token,
		basic, "Basic", "Basic !", "Basic Og==", "Basic " + strings.Repeat("A", 9000), "Digest username=alice", "Negotiate x", "\x00", "\xff", "Bearer \x00",
		"Bearer cmsg_rt_" + strings.Repeat("A", 59), "Bearer cmsg_key_" + strings.Repeat("A", 33), "ApiKey " + token, "Bearer " + strings.Repeat("x", 9000),
	} {
		f.Add(value, "", "")
		f.Add("", value, "")
		f.Add(value, value, "session=x")
		f.Add(value, token, s.cookie)
	}
	f.Fuzz(func(t *testing.T, authorization, key, cookie string) {
		r := request("GET", "/v1/me", "", nil)
		r.Header["Cookie"] = []string{cookie}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		if key != "" {
			r.Header["X-Api-Key"] = []string{key}
		}
		w := s.ask(t, r)
		alice := w.Code == http.StatusOK
		require.True(t, alice || w.Code == http.StatusUnauthorized, "%d: %s", w.Code, w.Body)
		scheme, _, _ := strings.Cut(authorization, " ")
		scheme = strings.ToLower(scheme)
		switch ignored := scheme != "bearer" && scheme != "token"; {
		case !ignored || key != "":
			require.False(t, alice, "what is wrong does not fall through to the cookie")
		case cookie == s.cookie:
			require.True(t, alice, "another server's header is none of our business: %q", authorization)
		}
	})
}
