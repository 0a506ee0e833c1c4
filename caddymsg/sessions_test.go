package caddymsg_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/internal/frontdoor"
)

const (
	sessionSecret = "a secret of at least thirty-two bytes"
	monthSeconds  = 30 * 24 * 60 * 60
)

// Two sites of one database and one secret; each is logged.
const sessionsCaddyfile = `
http://127.0.0.1:{$PORT}, http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.DATABASE}
		session_secret "` + sessionSecret + `"
		bcrypt_cost 4
		rate_limits off
	}
	log
}
`

// TestSessions shares one server, and each of its parts has people of its own.
func TestSessions(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: sessionsCaddyfile})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"the cookie on plain HTTP", plainCookie},
			{"a login tells not what was wrong", silentLogin},
			{"a login replaces the session", replacedSession},
			{"a logout ends the session", endedSession},
			{"a cookie that is not ours", forgedCookie},
			{"expiry and extension", expiry},
			{"a second site", secondSite},
			{"cross-site requests", crossSite},
			{"long passwords", longPasswords},
			{"nothing in clear", nothingInClear},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// sessionCookie is the only cookie that an answer sets, but for that of the device.
func sessionCookie(t *testing.T, r *frontdoor.Response) *http.Cookie {
	t.Helper()
	cookies := slices.DeleteFunc(r.Cookies(), isDeviceCookie)
	require.Len(t, cookies, 1, r.Header["Set-Cookie"])
	return cookies[0]
}

func isDeviceCookie(c *http.Cookie) bool { return c.Name == "device" || c.Name == "__Host-device" }

// login signs in with the usual password and returns the cookie.
func login(t *testing.T, c *frontdoor.Client, username string) *http.Cookie {
	t.Helper()
	return sessionCookie(t, c.Post("/v1/auth/login", credentials(t, username, "open sesame")).Want(http.StatusOK))
}

// signUp makes an account and signs in.
func signUp(t *testing.T, base, username string) (*frontdoor.Client, *http.Cookie) {
	t.Helper()
	c := frontdoor.NewClient(t, base)
	c.Post("/v1/auth/register", credentials(t, username, "open sesame")).Want(http.StatusOK)
	return c, login(t, c, username)
}

// knock asks who would be let in with a Cookie header.
func knock(t *testing.T, base, cookie string) int {
	t.Helper()
	return frontdoor.NewClient(t, base).Do("GET", "/v1/messages", "", "Cookie", cookie).StatusCode
}

func plainCookie(t *testing.T, s *frontdoor.Server) {
	c, cookie := signUp(t, s.URL, "petra")
	require.NotEmpty(t, cookie.Value)
	requireSessionCookie(t, cookie, "session", monthSeconds, false)

	r := c.Post("/v1/auth/logout", "").Want(200)
	cleared := sessionCookie(t, r)
	require.Empty(t, cleared.Value)
	requireSessionCookie(t, cleared, "session", -1, false)

	t.Run("a client can't claim to come over TLS", func(t *testing.T) {
		r := c.Do("POST", "/v1/auth/login", credentials(t, "petra", "open sesame"), "X-Forwarded-Proto", "https")
		requireSessionCookie(t, sessionCookie(t, r.Want(200)), "session", monthSeconds, false)
	})
}

// requireSessionCookie compares all attributes, so that none is too many.
func requireSessionCookie(t *testing.T, got *http.Cookie, name string, maxAge int, secure bool) {
	t.Helper()
	require.Equal(t, &http.Cookie{
		Name: name, Value: got.Value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure, Raw: got.Raw,
	}, got)
}

func TestSessionsOverTLS(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: `
{
	skip_install_trust
	auto_https disable_redirects
	servers {
		trusted_proxies static 127.0.0.1
	}
}
https://127.0.0.1:{$PORT}, http://127.0.0.1:{$PORT2} {
	tls internal
	messaging {
		database {env.DATABASE}
		session_lifetime 2h
		bcrypt_cost 4
		rate_limits off
	}
}
`})
		site := strings.Replace(s.URL, "http://", "https://", 1)
		overTLS := func(t *testing.T) *frontdoor.Client {
			c := frontdoor.NewClient(t, site)
			c.HTTP.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // a certificate of its own
			return c
		}
		c := overTLS(t)
		require.Eventually(t, func() bool { // the certificate is made after the start
			_, err := c.Try(t.Context(), "GET", "/v1/openapi.json", "")
			return err == nil
		}, 30*time.Second, 10*time.Millisecond)

		c.Post("/v1/auth/register", credentials(t, "tina", "open sesame")).Want(200)
		cookie := login(t, c, "tina")
		requireSessionCookie(t, cookie, "__Host-session", 2*60*60, true)
		c.Get("/v1/messages").Want(200)

		as := func(name string) int {
			return overTLS(t).Do("GET", "/v1/messages", "", "Cookie", name+"="+cookie.Value).StatusCode
		}
		require.Equal(t, 200, as("__Host-session"))
		require.Equal(t, 401, as("session"), "a cookie that a plain page could have set")

		requireSessionCookie(t, sessionCookie(t, c.Post("/v1/auth/logout", "").Want(200)), "__Host-session", -1, true)
		require.Equal(t, 401, as("__Host-session"))

		t.Run("a cookie of the plain site is none of TLS", func(t *testing.T) {
			plain := login(t, frontdoor.NewClient(t, s.URL2), "tina")
			require.Equal(t, 200, knock(t, s.URL2, "session="+plain.Value))
			r := overTLS(t).Do("GET", "/v1/messages", "", "Cookie", "__Host-session="+plain.Value)
			require.Equal(t, 401, r.StatusCode)
		})
		t.Run("a trusted proxy says that the client came over TLS", func(t *testing.T) {
			r := frontdoor.NewClient(t, s.URL2).Do("POST", "/v1/auth/login", credentials(t, "tina", "open sesame"), "X-Forwarded-Proto", "https")
			requireSessionCookie(t, sessionCookie(t, r.Want(200)), "__Host-session", 2*60*60, true)
		})
	})
}

func silentLogin(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	c.Post("/v1/auth/register", credentials(t, "sila", "open sesame")).Want(200)
	told := func(username, password string) map[string]any {
		r := c.Post("/v1/auth/login", credentials(t, username, password))
		require.Empty(t, r.Header["Set-Cookie"])
		requireAnswer(t, r, 400, "bad_credentials", "")
		p := decodeProblem(r)
		delete(p, "request_id")
		return p
	}
	wrongPassword := told("sila", "open sesame!")
	for _, other := range []map[string]any{
		told("nobody", "open sesame"), told("sila", ""), told("sila", strings.Repeat("x", 73)), told("", "open sesame"),
		told("a/b", "open sesame"), told(strings.Repeat("x", 65), "open sesame"), told("nobody", strings.Repeat("x", 73)),
	} {
		require.Equal(t, wrongPassword, other)
	}
}

func replacedSession(t *testing.T, s *frontdoor.Server) {
	c, first := signUp(t, s.URL, "rosa")
	frontdoor.NewClient(t, s.URL).Post("/v1/auth/register", credentials(t, "rolf", "open sesame")).Want(200)

	c.Post("/v1/auth/login", credentials(t, "rosa", "open sesame!")).Want(400)
	require.Equal(t, 200, knock(t, s.URL, "session="+first.Value), "a login that failed replaces nothing")

	second := login(t, c, "rosa")
	require.NotEqual(t, first.Value, second.Value)
	require.Equal(t, 401, knock(t, s.URL, "session="+first.Value))
	c.Get("/v1/messages").Want(200)

	login(t, c, "rolf")
	require.Equal(t, 401, knock(t, s.URL, "session="+second.Value), "somebody else at the same browser")
	require.Equal(t, "rolf", send(t, c, "rosa", "hi").SenderUsername)
}

func endedSession(t *testing.T, s *frontdoor.Server) {
	c, cookie := signUp(t, s.URL, "elsa")
	require.Equal(t, 200, knock(t, s.URL, "session="+cookie.Value))
	c.Post("/v1/auth/logout", "").Want(200)
	require.Equal(t, 401, knock(t, s.URL, "session="+cookie.Value))
	r := c.Get("/v1/messages").Want(401)
	require.NotContains(t, r.Request.Header.Get("Cookie"), "session=", "the jar was told to forget it")
}

func forgedCookie(t *testing.T, s *frontdoor.Server) {
	_, cookie := signUp(t, s.URL, "fay")
	good := cookie.Value
	require.Equal(t, 200, knock(t, s.URL, "session="+good))
	// The last character has bits that mean nothing.
	for i := 0; i < len(good)-1; i += 7 {
		other := byte('A')
		if good[i] == other {
			other = 'B'
		}
		require.Equal(t, 401, knock(t, s.URL, "session="+good[:i]+string(other)+good[i+1:]), "character %d changed", i)
	}
	ours, err := auth.NewCookies(sessionSecret)
	require.NoError(t, err)
	others, err := auth.NewCookies(strings.Repeat("another secret", 3))
	require.NoError(t, err)
	token, _ := ours.Token(&http.Request{Header: http.Header{"Cookie": {"session=" + good}}}, false)
	require.NotEmpty(t, token)
	made := func(by *auth.Cookies, token []byte, secure bool) string {
		cookie, err := by.Set(token, time.Hour, secure)
		require.NoError(t, err)
		return "session=" + cookie.Value
	}
	require.Equal(t, 200, knock(t, s.URL, made(ours, token, false)))
	for what, header := range map[string]string{
		"nothing":                       "session=",
		"no cookie":                     "",
		"another name":                  "__Host-session=" + good,
		"cut off":                       "session=" + good[:len(good)/2],
		"twice as long":                 "session=" + good + good,
		"too long":                      "session=" + strings.Repeat("A", 8000),
		"not base64":                    "session=%%%",
		"of another secret":             made(others, token, false),
		"made for TLS":                  made(ours, token, true),
		"with a token that nobody has":  made(ours, bytes.Repeat([]byte{1}, len(token)), false),
		"with an empty token":           made(ours, nil, false),
		"with the token's hash":         made(ours, sum(token), false),
		"with the token, not encrypted": "session=" + base64.URLEncoding.EncodeToString(token),
	} {
		require.Equal(t, 401, knock(t, s.URL, header), what)
	}
}

func sum(token []byte) []byte {
	hash := sha256.Sum256(token)
	return hash[:]
}

// onlySession opens the database beside the server, and finds the session of
// somebody who has one.
type onlySession struct {
	t    *testing.T
	db   *sql.DB
	user string
}

func (s onlySession) expires() time.Time {
	s.t.Helper()
	var at int64
	require.NoError(s.t, s.db.QueryRow(`
		SELECT expires_at FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = $1)`, s.user).Scan(&at))
	return time.UnixMicro(at)
}

func (s onlySession) setExpires(at time.Time) {
	s.t.Helper()
	result, err := s.db.Exec(`
		UPDATE sessions SET expires_at = $1 WHERE user_id = (SELECT id FROM users WHERE username = $2)`, at.UnixMicro(), s.user)
	require.NoError(s.t, err)
	n, err := result.RowsAffected()
	require.NoError(s.t, err)
	require.Equal(s.t, int64(1), n)
}

func expiry(t *testing.T, s *frontdoor.Server) {
	db := frontdoor.OpenDatabase(t, s.Database)
	const month = monthSeconds * time.Second

	before := time.Now().Truncate(time.Microsecond)
	c, cookie := signUp(t, s.URL, "xena")
	session := onlySession{t, db, "xena"}
	require.WithinRange(t, session.expires(), before.Add(month), time.Now().Add(month))

	t.Run("a fresh session is left as it is", func(t *testing.T) {
		at := session.expires()
		require.Empty(t, c.Get("/v1/messages").Want(200).Cookies())
		require.Equal(t, at, session.expires())
	})
	t.Run("a used session is extended, and its cookie with it", func(t *testing.T) {
		session.setExpires(time.Now().Add(time.Minute))
		before := time.Now().Truncate(time.Microsecond)
		extended := sessionCookie(t, c.Get("/v1/messages").Want(200))
		requireSessionCookie(t, extended, "session", monthSeconds, false)
		require.WithinRange(t, session.expires(), before.Add(month), time.Now().Add(month))
		require.Equal(t, 200, knock(t, s.URL, "session="+extended.Value))
		require.Equal(t, 200, knock(t, s.URL, "session="+cookie.Value), "it is the same session")
		require.Empty(t, c.Get("/v1/messages").Want(200).Cookies(), "once is enough")
	})
	t.Run("a refused request extends it, too", func(t *testing.T) {
		c, _ := signUp(t, s.URL, "xanthe") // whose session has not been extended: once is enough
		onlySession{t, db, "xanthe"}.setExpires(time.Now().Add(time.Minute))
		requireSessionCookie(t, sessionCookie(t, c.Post("/v1/messages", "{").Want(400)), "session", monthSeconds, false)
	})
	t.Run("a logout extends nothing", func(t *testing.T) {
		who, _ := signUp(t, s.URL, "xaver")
		onlySession{t, db, "xaver"}.setExpires(time.Now().Add(time.Minute))
		r := who.Post("/v1/auth/logout", "").Want(200)
		last := r.Cookies()[len(r.Cookies())-1]
		require.Equal(t, -1, last.MaxAge, "what the browser hears last is to forget it")
		require.NotContains(t, who.Get("/v1/messages").Want(401).Request.Header.Get("Cookie"), "session=")
	})
	t.Run("an expired session is none", func(t *testing.T) {
		session.setExpires(time.Now())
		r := c.Get("/v1/messages")
		requireAnswer(t, r, 401, "unauthenticated", "")
		require.Empty(t, r.Cookies())
		requireAnswer(t, c.Post("/v1/auth/logout", ""), 401, "unauthenticated", "")
		session.setExpires(time.Now().Add(time.Hour))
		c.Get("/v1/messages").Want(200)
	})
	t.Run("logins clear expired sessions away", func(t *testing.T) {
		session.setExpires(time.Now().Add(-time.Hour))
		login(t, frontdoor.NewClient(t, s.URL), "xena")
		var n int
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM sessions WHERE expires_at < $1`, time.Now().UnixMicro()).Scan(&n))
		require.Zero(t, n)
	})
}

func secondSite(t *testing.T, s *frontdoor.Server) {
	c, cookie := signUp(t, s.URL, "sid")
	require.Equal(t, 200, knock(t, s.URL2, "session="+cookie.Value))
	there := frontdoor.NewClient(t, s.URL2)
	there.HTTP.Jar = c.HTTP.Jar // cookies know no ports
	there.Post("/v1/auth/logout", "").Want(200)
	require.Equal(t, 401, knock(t, s.URL, "session="+cookie.Value))
}

// TestSessionSecrets shows what a session outlives, where the secret is made by
// the server itself, and where sites have secrets of their own.
func TestSessionSecrets(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const caddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.DATABASE}
		session_secret "` + sessionSecret + `"
		bcrypt_cost 4
		rate_limits off
	}
}
`
		first := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: caddyfile})
		c, made := signUp(t, first.URL, "sue")
		given := login(t, frontdoor.NewClient(t, first.URL2), "sue")
		require.Equal(t, 401, knock(t, first.URL2, "session="+made.Value), "the other site has another secret")
		require.Equal(t, 401, knock(t, first.URL, "session="+given.Value))
		require.NoError(t, first.Stop(t.Context()))

		again := frontdoor.Start(t, frontdoor.Options{Database: first.Database, Dir: first.Dir, Caddyfile: caddyfile})
		require.Equal(t, 200, knock(t, again.URL, "session="+made.Value))
		require.Equal(t, 200, knock(t, again.URL2, "session="+given.Value))
		later := frontdoor.NewClient(t, again.URL)
		later.HTTP.Jar = c.HTTP.Jar
		require.Equal(t, "sue", send(t, later, "sue", "back").SenderUsername)
		later.Post("/v1/auth/logout", "").Want(200)
		require.Equal(t, 401, knock(t, again.URL, "session="+made.Value))
	})
}

func crossSite(t *testing.T, s *frontdoor.Server) {
	c, _ := signUp(t, s.URL, "cora")
	group := newGroup(c)
	own := map[string][]string{
		"no browser":                    nil,
		"of the same origin":            {"Sec-Fetch-Site", "same-origin", "Origin", s.URL},
		"by the person":                 {"Sec-Fetch-Site", "none"},
		"of the same origin, old style": {"Origin", s.URL},
	}
	foreign := map[string][]string{
		"cross-site":          {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"cross-site, no more": {"Sec-Fetch-Site", "cross-site"},
		"another port":        {"Sec-Fetch-Site", "same-site", "Origin", s.URL2},
		"old style":           {"Origin", "https://evil.example"},
		"old style, a port":   {"Origin", s.URL2},
		"from a sandbox":      {"Origin", "null"},
		"with our name in it": {"Origin", s.URL + ".evil.example"},
		"as a form would":     {"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"},
	}
	sent := 0
	for what, header := range own {
		t.Run("accepted: "+what, func(t *testing.T) {
			requireAnswer(t, c.Do("POST", "/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"ours"}`, group), header...), 200, "", "")
			sent++
		})
	}
	for what, header := range foreign {
		t.Run("refused: "+what, func(t *testing.T) {
			for _, call := range []string{
				"POST /v1/messages", "POST /v1/auth/login", "POST /v1/auth/logout", "POST /v1/auth/register", "POST /v1/group_chat",
				fmt.Sprintf("DELETE /v1/group_chat/%d/participants/cora", group),
			} {
				method, path, _ := strings.Cut(call, " ")
				body := fmt.Sprintf(`{"group_chat_id":%d,"message":"theirs","username":"cora","password":"open sesame"}`, group)
				r := c.Do(method, path, body, header...)
				requireAnswer(t, r, 403, "cross_site", "")
				require.Empty(t, r.Header["Set-Cookie"])
			}
			requireAnswer(t, c.Do("GET", "/v1/messages", "", header...), 200, "", "") // a link leads here; scripts can't read it
		})
	}
	require.Len(t, list(c, fmt.Sprintf("/v1/messages/group/%d", group)), sent)
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"} {
		require.Empty(t, c.Do("GET", "/v1/messages", "", "Origin", "https://evil.example").Header[name])
	}
}

// longPasswords shows that no byte of a password goes unseen: bcrypt looks at
// 72 of them.
func longPasswords(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	for name, password := range map[string]string{"one-byte": strings.Repeat("open sesame ", 6), "two-bytes": strings.Repeat("éäöüßñçåø", 4)} {
		requireAnswer(t, c.Post("/v1/auth/register", credentials(t, name, password+"x")), 400, "password_too_long", "password")
		requireAnswer(t, c.Post("/v1/auth/register", credentials(t, name, strings.Repeat(password, 100))), 400, "password_too_long", "password")
		c.Post("/v1/auth/register", credentials(t, name, password)).Want(200)
		requireAnswer(t, c.Post("/v1/auth/login", credentials(t, name, password+"x")), 400, "bad_credentials", "")
		requireAnswer(t, c.Post("/v1/auth/login", credentials(t, name, password+password)), 400, "bad_credentials", "")
		requireAnswer(t, c.Post("/v1/auth/login", credentials(t, name, password[:70])), 400, "bad_credentials", "")
		c.Post("/v1/auth/login", credentials(t, name, password)).Want(200)
	}
}

// everythingIn is all that a database holds: the bytes of its files, or its rows
// as text.
func everythingIn(t *testing.T, database string) (kept []byte) {
	t.Helper()
	if !strings.HasPrefix(database, "postgres://") {
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(database + suffix)
			require.NoError(t, err)
			kept = append(kept, content...)
		}
		return kept
	}
	db := frontdoor.OpenDatabase(t, database)
	column := func(query string) (texts []string) {
		rows, err := db.Query(query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var text string
			require.NoError(t, rows.Scan(&text))
			texts = append(texts, text)
		}
		require.NoError(t, rows.Err())
		return texts
	}
	for _, table := range column(`SELECT tablename FROM pg_tables WHERE schemaname = 'public'`) {
		for _, row := range column(`SELECT r::text FROM "` + table + `" r`) {
			kept = append(kept, row...)
		}
	}
	return kept
}

// holds finds a text, also where it is written in hex, as PostgreSQL shows bytes.
func holds(kept []byte, text string) bool {
	return bytes.Contains(kept, []byte(text)) || bytes.Contains(kept, []byte(hex.EncodeToString([]byte(text))))
}

func nothingInClear(t *testing.T, s *frontdoor.Server) {
	const name, password = "clara-of-the-clear", "hunter2 is well known"
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	c := frontdoor.NewClient(t, s.URL)
	c.HTTP.Jar = jar
	c.Post("/v1/auth/register", credentials(t, name, password)).Want(200)
	c.Post("/v1/auth/login", credentials(t, name, password+"!")).Want(400)
	// People type their password where their name belongs.
	c.Post("/v1/auth/login", credentials(t, password, name)).Want(400)
	cookie := sessionCookie(t, c.Post("/v1/auth/login", credentials(t, name, password)).Want(200))
	c.Get("/v1/messages").Want(200)

	cookies, err := auth.NewCookies(sessionSecret)
	require.NoError(t, err)
	token, _ := cookies.Token(&http.Request{Header: http.Header{"Cookie": {"session=" + cookie.Value}}}, false)
	require.NotEmpty(t, token)

	kept := everythingIn(t, s.Database)
	require.True(t, holds(kept, name), "this search finds what is there")
	require.True(t, holds(kept, string(sum(token))), "this search finds what is there")
	require.Contains(t, s.Log(), name, "this search finds what is there")
	for what, secret := range map[string]string{
		"password": password, "session secret": sessionSecret,
		"cookie": cookie.Value, "token": string(token), "token in hex": hex.EncodeToString(token),
		"token in base64": base64.RawStdEncoding.EncodeToString(token), "token in base64 for addresses": base64.RawURLEncoding.EncodeToString(token),
	} {
		require.False(t, holds(kept, secret), "the database holds the %s", what)
		require.NotContains(t, s.Log(), secret, "the log holds the %s", what)
	}
}
