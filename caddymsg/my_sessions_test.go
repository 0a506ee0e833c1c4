package caddymsg_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
	chrome  = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
)

// sessionAnswer is a session as its owner sees it.
type sessionAnswer struct {
	ID         int64     `json:"id"`
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Scopes     []string  `json:"scopes"`
	Device     string    `json:"device"`
	UserAgent  string    `json:"user_agent"`
	Address    string    `json:"address"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	Current    bool      `json:"current"`
}

func TestMySessions(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: tokensCaddyfile})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"what is shown of them", shownSessions},
			{"each kind can be ended", endedKinds},
			{"all others are ended", otherSessions},
			{"one is signed out everywhere", signedOutEverywhere},
			{"those of others", sessionsOfOthers},
			{"their last use", lastUse},
			{"the device cookie", deviceCookie},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// with is a client that sends a header with each request, in place of what it would.
func with(t *testing.T, base, name, value string) *frontdoor.Client {
	t.Helper()
	c := frontdoor.NewClient(t, base)
	c.HTTP.Transport = headerTransport{c.HTTP.Transport, name, value}
	return c
}

type headerTransport struct {
	http.RoundTripper
	name, value string
}

func (h headerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(h.name, h.value)
	return h.RoundTripper.RoundTrip(r)
}

// byToken is a client that signs in for an access token, and uses that.
func byToken(t *testing.T, base, username string) *frontdoor.Client {
	t.Helper()
	token := frontdoor.NewClient(t, base).Post("/v1/auth/token", credentials(t, username, "open sesame")).Want(200).Field("access_token")
	return with(t, base, "Authorization", "Bearer "+token.(string))
}

// byKey is a client that uses a key of somebody's.
func byKey(t *testing.T, base string, owner *frontdoor.Client, scopes ...string) *frontdoor.Client {
	t.Helper()
	return with(t, base, "X-API-Key", newKeyOf(owner, scopes...))
}

func mySessions(t *testing.T, c *frontdoor.Client, query string) []sessionAnswer {
	t.Helper()
	return decode[[]sessionAnswer](c.Get("/v1/me/sessions" + query).Want(200))
}

// connected opens both kinds of connections as somebody.
func connected(t *testing.T, c *frontdoor.Client) (both []liveConnected) {
	t.Helper()
	for _, connect := range []func() (*frontdoor.Live, error){
		func() (*frontdoor.Live, error) { return c.WebSocket(t.Context(), "") },
		func() (*frontdoor.Live, error) { return c.Events(t.Context(), "") },
	} {
		conn, err := connect()
		require.NoError(t, err)
		t.Cleanup(conn.Close)
		f, err := conn.Next()
		require.NoError(t, err)
		require.Equal(t, "hello", f.Type)
		both = append(both, liveConnected{conn, t})
	}
	return both
}

func shownSessions(t *testing.T, s *frontdoor.Server) {
	before := time.Now().Truncate(time.Microsecond)
	here := with(t, s.URL, "User-Agent", firefox)
	here.Post("/v1/auth/register", credentials(t, "shona", "open sesame")).Want(200)
	here.Post("/v1/auth/login", credentials(t, "shona", "open sesame")).Want(200)
	there := with(t, s.URL, "User-Agent", chrome)
	there.Post("/v1/auth/login", credentials(t, "shona", "open sesame")).Want(200)
	here.Post("/v1/me/keys", `{"name":"Backup","scopes":["write","read"]}`).Want(200)

	all := mySessions(t, here, "")
	require.Len(t, all, 3)
	for i, session := range all {
		require.WithinRange(t, session.CreatedAt, before, time.Now())
		require.WithinRange(t, session.LastUsedAt, session.CreatedAt, time.Now())
		require.Positive(t, session.ExpiresAt.Sub(session.LastUsedAt))
		require.Equal(t, session, decode[sessionAnswer](here.Get(fmt.Sprint("/v1/me/sessions/", session.ID))))
		all[i].ID, all[i].CreatedAt, all[i].LastUsedAt, all[i].ExpiresAt = 0, time.Time{}, time.Time{}, time.Time{}
	}
	require.Equal(t, []sessionAnswer{
		{Kind: "cookie", Device: "Firefox on Linux", UserAgent: firefox, Address: "127.0.0.1", Current: true},
		{Kind: "cookie", Device: "Chrome on Android", UserAgent: chrome, Address: "127.0.0.1"},
		{Kind: "key", Name: "Backup", Scopes: []string{"read", "write"}},
	}, all)

	require.Len(t, mySessions(t, there, "?kind=cookie"), 2)
	require.Equal(t, "Backup", mySessions(t, there, "?kind=key")[0].Name)
	require.True(t, mySessions(t, there, "?limit=1&offset=1")[0].Current)

	// An administrator sees the same.
	root := frontdoor.SignUp(t, s.URL, "root")
	_, err := frontdoor.OpenDatabase(t, s.Database).ExecContext(t.Context(), `UPDATE users SET admin = 1 WHERE username = 'root'`)
	require.NoError(t, err)
	shown := decode[[]sessionAnswer](root.Get(fmt.Sprintf("/v1/admin/users/%v/sessions", idOf(here.Get("/v1/me")))))
	want := mySessions(t, here, "")
	want[0].Current = false
	require.Equal(t, want, shown)
}

func endedKinds(t *testing.T, s *frontdoor.Server) {
	owner := frontdoor.SignUp(t, s.URL, "kim")
	again := frontdoor.NewClient(t, s.URL)
	again.Post("/v1/auth/login", credentials(t, "kim", "open sesame")).Want(200)
	clients := map[string]*frontdoor.Client{
		"cookie": again,
		"token":  byToken(t, s.URL, "kim"),
		"key":    byKey(t, s.URL, owner, "read"),
		"basic":  with(t, s.URL, "Authorization", basicAuth("kim", "open sesame")),
	}
	open := map[string][]liveConnected{}
	for kind, c := range clients {
		require.Equal(t, "kim", c.Get("/v1/me").Want(200).Field("username"))
		open[kind] = connected(t, c)
	}
	for _, session := range mySessions(t, owner, "") {
		if session.Current {
			continue
		}
		t.Run(session.Kind, func(t *testing.T) {
			c := clients[session.Kind]
			delete(clients, session.Kind)
			path := fmt.Sprint("/v1/me/sessions/", session.ID)
			require.Empty(t, owner.Delete(path).Want(200).Cookies())
			if session.Kind != "basic" { // which has another one, for the same password
				requireAnswer(t, c.Get("/v1/me"), 401, "unauthenticated", "")
			}
			for _, l := range open[session.Kind] {
				require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
			}
			requireAnswer(t, owner.Get(path), 404, "session_not_found", "")
			requireAnswer(t, owner.Delete(path), 404, "session_not_found", "")
		})
	}
	require.Empty(t, clients, "a kind that is not in the list")

	last := mySessions(t, owner, "")
	require.Len(t, last, 1)
	cleared := sessionCookie(t, owner.Delete(fmt.Sprint("/v1/me/sessions/", last[0].ID)).Want(200))
	require.Negative(t, cleared.MaxAge, "it was the one that asked")
	requireAnswer(t, owner.Get("/v1/me"), 401, "unauthenticated", "")
}

func otherSessions(t *testing.T, s *frontdoor.Server) {
	here, neighbour := frontdoor.SignUp(t, s.URL, "otto"), frontdoor.SignUp(t, s.URL, "nele")
	there := frontdoor.NewClient(t, s.URL)
	there.Post("/v1/auth/login", credentials(t, "otto", "open sesame")).Want(200)
	program := byKey(t, s.URL, here, "read")
	staying, ending := connected(t, here), append(connected(t, there), connected(t, program)...)

	require.Empty(t, here.Delete("/v1/me/sessions?others=true").Want(200).Cookies())
	for _, l := range ending {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
	requireAnswer(t, there.Get("/v1/me"), 401, "unauthenticated", "")
	requireAnswer(t, program.Get("/v1/me"), 401, "unauthenticated", "")
	require.Len(t, mySessions(t, here, ""), 1)
	send(t, here, "otto", "still here")
	for _, l := range staying {
		l.hear("still here")
	}
	neighbour.Get("/v1/me").Want(200)
}

func signedOutEverywhere(t *testing.T, s *frontdoor.Server) {
	here := frontdoor.SignUp(t, s.URL, "eva")
	there := frontdoor.NewClient(t, s.URL)
	there.Post("/v1/auth/login", credentials(t, "eva", "open sesame")).Want(200)
	program := byKey(t, s.URL, here, "read")
	ending := slices.Concat(connected(t, here), connected(t, there), connected(t, program))

	requireAnswer(t, program.Delete("/v1/me/sessions"), 403, "insufficient_scope", "")
	requireAnswer(t, program.Get("/v1/me/sessions"), 403, "insufficient_scope", "")
	here.Get("/v1/me").Want(200)

	cleared := sessionCookie(t, here.Delete("/v1/me/sessions").Want(200))
	require.Negative(t, cleared.MaxAge)
	for _, l := range ending {
		require.Nil(t, l.wantEnd("session_ended", 4100).RetryMS)
	}
	for _, c := range []*frontdoor.Client{here, there, program} {
		requireAnswer(t, c.Get("/v1/me"), 401, "unauthenticated", "")
	}
}

func sessionsOfOthers(t *testing.T, s *frontdoor.Server) {
	mine, theirs := frontdoor.SignUp(t, s.URL, "mona"), frontdoor.SignUp(t, s.URL, "theo")
	foreign := mySessions(t, theirs, "")[0].ID
	for _, method := range []string{"GET", "DELETE"} {
		told := func(id any) map[string]any {
			r := mine.Do(method, fmt.Sprint("/v1/me/sessions/", id), "")
			requireAnswer(t, r, 404, "session_not_found", "")
			p := decodeProblem(r)
			delete(p, "request_id")
			return p
		}
		require.Equal(t, told(foreign), told(foreign+1000))
		require.Equal(t, told(foreign), told("99999999999999999999"))
		requireAnswer(t, mine.Do(method, "/v1/me/sessions/x", ""), 404, "no_such_path", "")
	}
	theirs.Get("/v1/me").Want(200)
}

func lastUse(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.SignUp(t, s.URL, "ulla")
	db := frontdoor.OpenDatabase(t, s.Database)
	used := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	_, err := db.ExecContext(t.Context(), `
		UPDATE sessions SET created_at = $1, used_at = $1 WHERE user_id = (SELECT id FROM users WHERE username = 'ulla')`, used.UnixMicro())
	require.NoError(t, err)
	look := func() (usedAt int64, userAgent string) {
		require.NoError(t, db.QueryRowContext(t.Context(), `
			SELECT used_at, user_agent FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = 'ulla')`).Scan(&usedAt, &userAgent))
		return usedAt, userAgent
	}
	before := time.Now().Truncate(time.Microsecond)
	require.Empty(t, c.Do("GET", "/v1/me", "", "User-Agent", firefox).Want(200).Cookies(), "its cookie need not be extended")
	usedAt, userAgent := look()
	require.WithinRange(t, time.UnixMicro(usedAt), before, time.Now())
	require.Equal(t, firefox, userAgent)
	c.Do("GET", "/v1/me", "", "User-Agent", chrome).Want(200)
	again, userAgent := look()
	require.Equal(t, usedAt, again, "once is enough for a while")
	require.Equal(t, firefox, userAgent)
	require.Equal(t, usedAt, mySessions(t, c, "")[0].LastUsedAt.UnixMicro())
}

func deviceCookie(t *testing.T, s *frontdoor.Server) {
	db := frontdoor.OpenDatabase(t, s.Database)
	places := func() (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), `
			SELECT count(*) FROM known_places WHERE user_id = (SELECT id FROM users WHERE username = 'dina')`).Scan(&n))
		return n
	}
	c := frontdoor.NewClient(t, s.URL)
	signIn := func() *http.Cookie {
		t.Helper()
		cookies := c.Post("/v1/auth/login", credentials(t, "dina", "open sesame")).Want(200).Cookies()
		require.Len(t, cookies, 2)
		require.Equal(t, "session", cookies[0].Name)
		requireSessionCookie(t, cookies[1], "device", 400*24*60*60, false)
		return cookies[1]
	}
	require.Empty(t, c.Post("/v1/auth/register", credentials(t, "dina", "open sesame")).Want(200).Cookies())
	require.Empty(t, c.Post("/v1/auth/login", credentials(t, "dina", "wrong sesame")).Want(400).Cookies())
	require.Zero(t, places())
	device := signIn()
	require.Equal(t, 2, places(), "a device and a network")
	require.NotEqual(t, device.Value, signIn().Value, "made anew")
	require.Equal(t, 2, places(), "of the same device")
	c.Post("/v1/auth/logout", "").Want(200)
	signIn()
	require.Equal(t, 2, places(), "which one keeps when one signs out")

	forged := frontdoor.NewClient(t, s.URL)
	forged.HTTP.Jar = nil
	for i, value := range []string{"", "x", device.Value[:len(device.Value)-2], device.Value + "AA"} {
		r := forged.Do("POST", "/v1/auth/login", credentials(t, "dina", "open sesame"), "Cookie", "device="+value).Want(200)
		require.Len(t, r.Cookies(), 2)
		require.Equal(t, 3+i, places(), "%q is another device", value)
	}
	require.Equal(t, 401, knock(t, s.URL, "session="+device.Value), "nobody is signed in by it")
	require.Equal(t, 401, knock(t, s.URL, "device="+device.Value))
}

// Whoever signs in with a browser that is new, or by a program from elsewhere, is told
// of by mail.
func TestNewSignInMail(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		post := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: plainMailSite("{$PORT}", post)})
		here, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
		addEmail(t, here, post, "alice@example.com")
		signIn := func(c *frontdoor.Client, header ...string) {
			t.Helper()
			c.Do("POST", "/v1/auth/login", credentials(t, "alice", frontdoor.Password), header...).Want(200)
		}
		// None of these: the browser is known, and so is the address of the program.
		signIn(here)
		here.Post("/v1/auth/logout", "").Want(200)
		signIn(here)
		byToken(t, s.URL, "alice")

		signIn(frontdoor.NewClient(t, s.URL), "User-Agent", firefox)
		told := post.Await(t, "alice@example.com")
		require.Equal(t, "New sign-in at 127.0.0.1", told.Subject)
		for _, what := range []string{"Device: Firefox on Linux", "Address: 127.0.0.1", "“alice”"} {
			require.Contains(t, told.Text, what)
		}
		// The browser is one that bob is known with, and not alice.
		signIn(bob, "User-Agent", chrome)
		require.Contains(t, post.Await(t, "alice@example.com").Text, "Device: Chrome on Android")
		signIn(bob, "User-Agent", chrome) // now she is

		db := frontdoor.OpenDatabase(t, s.Database)
		lifeEventually(t, "no mail waits", func() bool {
			var n int
			err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM mails`).Scan(&n)
			return err == nil && n == 0
		})
		require.Len(t, post.Mails(), 3, "with that which verified the address")
	})
}
