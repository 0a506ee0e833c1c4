package caddymsg_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/browser"
	"github.com/caddymsg/messaging/internal/frontdoor"
)

// What somebody tries who means harm, one test an attack. docs/security.md names them.

// htmlPages are all pages that there are.
var htmlPages = []string{"/v1/docs", "/v1/auth/forgot-password", "/v1/auth/reset-password", "/v1/auth/verify-email"}

// segmentPattern is what is put into a path.
var segmentPattern = regexp.MustCompile(`\{\w+\}`)

// evil is a site of the attacker's.
const evil = "https://evil.example"

// anyHost is a site that answers whatever Host a request names, as one without a name
// in the Caddyfile does.
const anyHost = `
{
	auto_https off
}
:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`

// An attacker who can plant a cookie in a browser waits until its owner signs in.
func TestAttackSessionFixation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		frontdoor.SignUp(t, s.URL, "victim").Post("/v1/auth/logout", "").Want(200)
		frontdoor.SignUp(t, s.URL, "mallory")
		site, err := url.Parse(s.URL)
		require.NoError(t, err)
		for what, planted := range map[string]string{
			"a session of the attacker": login(t, frontdoor.NewClient(t, s.URL), "mallory").Value,
			"a made-up one":             strings.Repeat("A", 120),
			"an empty one":              "",
		} {
			t.Run(what, func(t *testing.T) {
				browser := frontdoor.NewClient(t, s.URL)
				jar, err := cookiejar.New(nil)
				require.NoError(t, err)
				jar.SetCookies(site, []*http.Cookie{{Name: "session", Value: planted, Path: "/"}})
				browser.HTTP.Jar = jar
				given := login(t, browser, "victim")
				require.NotEqual(t, planted, given.Value)
				require.Equal(t, "victim", browser.Get("/v1/me").Want(200).Field("username"))
				require.Equal(t, 401, knock(t, s.URL, "session="+planted), "what the attacker knows is nobody's session")
			})
		}
		t.Run("a registration gives no session", func(t *testing.T) {
			r := frontdoor.NewClient(t, s.URL).Post("/v1/auth/register", credentials(t, "newcomer", frontdoor.Password)).Want(200)
			require.Empty(t, r.Header["Set-Cookie"])
		})
		t.Run("an address carries no session", func(t *testing.T) {
			cookie := login(t, frontdoor.NewClient(t, s.URL), "mallory").Value
			require.Equal(t, 200, knock(t, s.URL, "session="+cookie))
			for _, name := range []string{"session", "token", "access_token", "api_key", "key", "Authorization"} {
				c := frontdoor.NewClient(t, s.URL)
				c.Get("/v1/me?" + name + "=" + url.QueryEscape(cookie)).Want(401)
				c.Get("/v1/me;" + name + "=" + url.QueryEscape(cookie)).Want(404)
			}
		})
	})
}

// forgery is a request that a page of another site can make a browser send, cookies
// and all.
type forgery struct {
	says   string
	header []string
}

// forgeries are what browsers, new and old, tell of such a request.
func forgeries(own, otherPort string) []forgery {
	return []forgery{
		{"of another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", evil}},
		{"of another site that hides itself", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}},
		{"of another site, without an origin", []string{"Sec-Fetch-Site", "cross-site"}},
		{"of a subdomain", []string{"Sec-Fetch-Site", "same-site", "Origin", strings.Replace(own, "://", "://sub.", 1)}},
		{"of another port", []string{"Sec-Fetch-Site", "same-site", "Origin", otherPort}},
		{"of an old browser", []string{"Origin", evil}},
		{"of an old browser's sandbox", []string{"Origin", "null"}},
		{"of a name that begins as ours", []string{"Origin", own + ".evil.example"}},
		{"of a name that ends as ours", []string{"Origin", strings.Replace(own, "://", "://evil", 1)}},
		{"of our name as a password", []string{"Origin", strings.Replace(own, "://", "://evil.example@", 1) + "0"}},
		{"with a lie that no browser tells", []string{"Sec-Fetch-Site", "cross-site", "Origin", own}},
	}
}

// formTypes are the content types that a form, or a script without asking first, can
// send; and none.
var formTypes = []string{
	"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "text/plain; charset=utf-8", "application/json", "",
}

// A page of another site sends a form, and the browser adds the cookie.
func TestAttackCSRFForm(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: tokensCaddyfile})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		frontdoor.SignUp(t, s.URL, "mallory")
		document := readDocument(t, frontdoor.NewClient(t, s.URL2))
		// What a browser remembers, it sends as it does a cookie.
		remembered := program(t, s.URL, "Authorization", basicAuth("victim", frontdoor.Password))
		remembered.Get("/v1/me").Want(200)
		send(t, victim, "mallory", "hi")
		before := victim.Get("/v1/me").Want(200).Text

		for _, f := range forgeries(s.URL, s.URL2) {
			t.Run(f.says, func(t *testing.T) {
				for _, contentType := range formTypes {
					header := append([]string{"Content-Type", contentType}, f.header...)
					for _, body := range []string{
						`{"dest_username":"mallory","message":"forged"}`, `dest_username=mallory&message=forged`,
						`{"dest_username":"mallory","message":"forged","x":"="}`,
					} {
						requireAnswer(t, victim.Do("POST", "/v1/messages", body, header...), 403, "cross_site", "")
						requireAnswer(t, remembered.Do("POST", "/v1/messages", body, header...), 403, "cross_site", "")
					}
				}
				requireAnswer(t, remembered.Do("GET", "/v1/auth/token", "", f.header...), 403, "cross_site", "")
			})
		}
		// All that changes something, whatever it is.
		for path, operations := range document.raw["paths"].(object) {
			path = strings.NewReplacer("{message_id}", "1", "{chat_id}", "1", "{username}", "mallory").Replace(path)
			path = segmentPattern.ReplaceAllString(path, "1")
			for method := range operations.(object) {
				if method = strings.ToUpper(method); method != "GET" {
					r := victim.Do(method, path, "{}", "Sec-Fetch-Site", "cross-site", "Origin", evil)
					require.Equal(t, 403, r.StatusCode, "%s %s: %s", method, path, r.Text)
					require.Equal(t, "cross_site", r.Field("code"), "%s %s", method, path)
					require.Empty(t, r.Header["Set-Cookie"])
				}
			}
		}
		// A method that a form can be made to name, in the way of some frameworks.
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			victim.Do("GET", "/v1/messages/1?_method=DELETE", "", header, "DELETE").Want(200)
		}
		victim.Get("/v1/messages/1").Want(200)
		require.Equal(t, before, victim.Get("/v1/me").Want(200).Text)
		require.Equal(t, []string{"hi"}, textsOf(list(victim, "/v1/messages")))
	})
}

// TestAttackCSRFInABrowser is the same with pages that a real browser shows: of another
// site, from which it does not send the cookie, and of another port of the same
// machine, from which it does.
func TestAttackCSRFInABrowser(t *testing.T) {
	t.Parallel()
	page := browser.Start(t)
	s := frontdoor.Start(t, frontdoor.Options{})
	frontdoor.SignUp(t, s.URL, "victim")
	mallory := frontdoor.SignUp(t, s.URL, "mallory")
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><iframe name=out></iframe>
			<form method=post target=out enctype=text/plain action="%s/v1/messages">
			<input name='{"dest_username":"mallory","message":"forged by a form","x":"' value='"}'></form>`, s.URL)
	}))
	defer trap.Close()

	visit := func(address string) { require.NoError(t, chromedp.Do(page, chromedp.Navigate(address))) }
	visit(s.URL + "/v1/docs")
	require.Equal(t, 200, browser.Eval[int](t, page, fmt.Sprintf(
		`fetch("/v1/auth/login", {method: "POST", body: JSON.stringify({username: "victim", password: %q})}).then((r) => r.status)`, frontdoor.Password)))
	require.Equal(t, 200, browser.Eval[int](t, page,
		`fetch("/v1/messages", {method: "POST", body: JSON.stringify({dest_username: "mallory", message: "by the owner"})}).then((r) => r.status)`))

	for _, address := range []string{trap.URL, strings.Replace(trap.URL, "127.0.0.1", "localhost", 1)} {
		visit(address)
		require.True(t, browser.Eval[bool](t, page, `new Promise((done) => {
			document.querySelector("iframe").onload = () => done(true);
			document.querySelector("form").submit();
		})`))
		attempt := func(options string) string {
			return browser.Eval[string](t, page, fmt.Sprintf(`fetch("%s/v1/messages", {credentials: "include", %s}).then(
				async (r) => r.type + r.status + await r.text(), () => "refused by the browser")`, s.URL, options))
		}
		const body = `JSON.stringify({dest_username: "mallory", message: "forged by a script"})`
		require.Equal(t, "opaque0", attempt(`method: "POST", mode: "no-cors", body: `+body))
		require.Equal(t, "refused by the browser", attempt(`method: "POST", body: `+body))
		require.Equal(t, "refused by the browser", attempt(`method: "POST", headers: {"Content-Type": "application/json"}, body: `+body))
		require.Equal(t, "opaque0", attempt(`mode: "no-cors"`), "a page can ask, and can't read")
		require.Equal(t, "refused by the browser", attempt(``))
		require.Equal(t, "closed", browser.Eval[string](t, page, fmt.Sprintf(`new Promise((done) => {
			const socket = new WebSocket(%q);
			socket.onopen = () => done("open");
			socket.onclose = () => done("closed");
		})`, strings.Replace(s.URL, "http:", "ws:", 1)+"/v1/ws")))
		require.Equal(t, "closed", browser.Eval[string](t, page, fmt.Sprintf(`new Promise((done) => {
			const events = new EventSource("%s/v1/events", {withCredentials: true});
			events.onopen = () => done("open");
			events.onerror = () => { events.close(); done("closed") };
		})`, s.URL)))
	}
	require.Equal(t, []string{"by the owner"}, textsOf(list(mallory, "/v1/messages")))

	visit(s.URL + "/v1/docs")
	require.Equal(t, "victim", browser.Eval[string](t, page, `fetch("/v1/me").then((r) => r.json()).then((me) => me.username)`),
		"the victim was signed in all the time")
}

// A page of another site opens a WebSocket, which no browser asks the server about
// first, and to which it adds the cookie.
func TestAttackCrossSiteWebSocket(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		for _, f := range forgeries(s.URL, s.URL2) {
			if f.header[len(f.header)-2] != "Origin" || f.header[len(f.header)-1] == s.URL {
				continue // a browser always names the origin of a WebSocket, and does not lie
			}
			t.Run(f.says, func(t *testing.T) {
				r, _ := victim.Handshake("/v1/ws", f.header...)
				requireAnswer(t, r, 403, "cross_site", "")
				require.Empty(t, r.Header["Sec-Websocket-Accept"])
			})
		}
		require.Equal(t, "hello", victim.Socket("/v1/ws", "Origin", s.URL).Next().Type)
	})
}

// A cache or a proxy in front hands on a Host that the attacker chose.
func TestAttackHostHeaderPoisoning(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: anyHost})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		group := newGroup(victim)
		for _, header := range poisons {
			t.Run(strings.Join(header, " "), func(t *testing.T) {
				for _, ask := range []string{
					"POST /v1/auth/login " + credentials(t, "victim", frontdoor.Password), "POST /v1/auth/login {}", "GET /v1/me",
					fmt.Sprintf("POST /v1/group_chat/%d/invites {}", group), "GET /v1/docs", "GET /v1/docs/", "GET /v1//me", "GET /v1/nothing",
					"GET /v1/openapi.json", "DELETE /v1/docs", "GET /v1", "GET /v1/events",
				} {
					method, rest, _ := strings.Cut(ask, " ")
					path, body, _ := strings.Cut(rest, " ")
					status, answer := poisoned(t, victim, method, s.URL+path, body, header)
					require.NotContains(t, answer, "evil.example", ask)
					require.NotContains(t, answer, "\nLocation:", "%s: a redirect", ask)
					require.NotContains(t, answer, "Domain=", "%s: a cookie for other hosts", ask)
					require.NotZero(t, status)
				}
			})
		}
	})
}

// poisons are headers that some servers believe to be told where they are.
var poisons = [][]string{
	{"Host", "evil.example"},
	{"Host", "evil.example:443"},
	{"X-Forwarded-Host", "evil.example"},
	{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Port", "443"},
	{"Forwarded", "host=evil.example;proto=https"},
	{"X-Host", "evil.example"},
	{"X-Original-Host", "evil.example"},
	{"X-HTTP-Host-Override", "evil.example"},
	{"X-Original-URL", "http://evil.example/v1/me"},
	{"X-Rewrite-URL", "http://evil.example/v1/me"},
	{"Origin", "http://evil.example", "Host", "evil.example"},
	{"Referer", "http://evil.example/"},
}

// poisoned asks with headers, of which Host is one, and returns the head of the answer
// and its body, if that ends.
func poisoned(t *testing.T, c *frontdoor.Client, method, address, body string, header []string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{
		Transport: c.HTTP.Transport, Jar: c.HTTP.Jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	var head strings.Builder
	head.WriteString("\n")
	require.NoError(t, resp.Header.Write(&head))
	part := make([]byte, 256<<10)
	n, _ := resp.Body.Read(part) // the first is enough of a stream
	return resp.StatusCode, head.String() + string(part[:n])
}

// Whoever has copied a cookie goes on when its owner has signed out, or has been.
func TestAttackStolenCookieAfterLogout(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: adminCaddyfile})
		root := frontdoor.SignUp(t, s.URL, "root")
		lifeReload(t, s, adminCaddyfile, root) // which makes root an administrator
		account := func(c *frontdoor.Client) string {
			return fmt.Sprint("/v1/admin/users/", c.Get("/v1/me").Want(200).Field("id"))
		}
		elsewhere := func(t *testing.T, name string) *frontdoor.Client {
			t.Helper()
			c := frontdoor.NewClient(t, s.URL)
			login(t, c, name)
			return c
		}
		n := 0
		for what, end := range map[string]func(t *testing.T, victim *frontdoor.Client, name string){
			"signed out":     func(_ *testing.T, victim *frontdoor.Client, _ string) { victim.Post("/v1/auth/logout", "").Want(200) },
			"signed in anew": func(t *testing.T, victim *frontdoor.Client, name string) { login(t, victim, name) },
			"signed out everywhere, from elsewhere": func(t *testing.T, _ *frontdoor.Client, name string) {
				elsewhere(t, name).Delete("/v1/me/sessions").Want(200)
			},
			"signed out everywhere else": func(t *testing.T, _ *frontdoor.Client, name string) {
				elsewhere(t, name).Delete("/v1/me/sessions?others=true").Want(200)
			},
			"this one ended, from elsewhere": func(t *testing.T, victim *frontdoor.Client, name string) {
				var id any
				for _, session := range decode[[]map[string]any](victim.Get("/v1/me/sessions")) {
					if session["current"] == true {
						id = session["id"]
					}
				}
				elsewhere(t, name).Delete(fmt.Sprintf("/v1/me/sessions/%v", id)).Want(200)
			},
			"another password, from elsewhere": func(t *testing.T, _ *frontdoor.Client, name string) {
				elsewhere(t, name).Post("/v1/me/password", `{"current_password":"`+frontdoor.Password+`","password":"something else entirely"}`).Want(200)
			},
			"another password, by an administrator": func(_ *testing.T, victim *frontdoor.Client, _ string) {
				root.Do("PATCH", account(victim), `{"password":"something else entirely"}`).Want(200)
			},
			"ended by an administrator": func(_ *testing.T, victim *frontdoor.Client, _ string) {
				root.Delete(account(victim) + "/sessions").Want(200)
			},
			"the account deactivated": func(_ *testing.T, victim *frontdoor.Client, _ string) {
				root.Do("PATCH", account(victim), `{"deactivated":true}`).Want(200)
			},
			"the account deleted": func(_ *testing.T, victim *frontdoor.Client, _ string) { victim.Delete("/v1/me").Want(200) },
		} {
			t.Run(what, func(t *testing.T) {
				n++
				name := fmt.Sprint("victim", n)
				frontdoor.NewClient(t, s.URL).Post("/v1/auth/register", credentials(t, name, frontdoor.Password)).Want(200)
				victim := frontdoor.NewClient(t, s.URL)
				stolen := login(t, victim, name).Value
				require.Equal(t, 200, knock(t, s.URL, "session="+stolen))
				thief := frontdoor.NewClient(t, s.URL)
				live := thief.Socket("/v1/ws", "Cookie", "session="+stolen)
				require.Equal(t, "hello", live.Next().Type)
				end(t, victim, name)
				require.Equal(t, 401, knock(t, s.URL, "session="+stolen))
				r, _ := thief.Handshake("/v1/ws", "Cookie", "session="+stolen)
				require.Equal(t, 401, r.StatusCode)
				require.Contains(t, live.WantClose(4100), "session_ended", "what was open is closed")
			})
		}
	})
}

// Somebody puts a page of ours into a frame of theirs, and lets people click on it.
func TestAttackClickjackedPage(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		for _, path := range htmlPages {
			r := victim.Get(path).Want(200)
			require.Equal(t, "text/html; charset=utf-8", r.Header.Get("Content-Type"), path)
			policy := r.Header.Get("Content-Security-Policy")
			require.Contains(t, policy, "frame-ancestors 'none'", path)
			require.Contains(t, policy, "default-src 'none'", path)
			require.Contains(t, policy, "base-uri 'none'", path)
			require.NotContains(t, policy, "script-src 'self' 'unsafe-inline'", path)
		}
		// All else is no page.
		for path, operations := range readDocument(t, victim).raw["paths"].(object) {
			if operations.(object)["get"] != nil && !strings.Contains(path, "{") && path != "/v1/events" {
				r := victim.Get(path)
				require.NotContains(t, r.Header.Get("Content-Type"), "html", path)
				require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), path)
			}
		}
	})
}

// Somebody tries the accounts that such programs come with, and to be the first.
func TestAttackDefaultAccount(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: withoutLimits})
		c := frontdoor.NewClient(t, s.URL)
		for _, name := range []string{"admin", "root", "administrator", "operator", "messaging", "caddy", "guest", "test", ""} {
			for _, password := range []string{"", name, "admin", "password", "changeme", "12345678"} {
				requireAnswer(t, c.Post("/v1/auth/login", credentials(t, name, password)), 400, "bad_credentials", "")
			}
		}
		var accounts int
		require.NoError(t, frontdoor.OpenDatabase(t, s.Database).QueryRow(`SELECT count(*) FROM users`).Scan(&accounts))
		require.Zero(t, accounts)

		first := frontdoor.SignUp(t, s.URL, "admin")
		requireAnswer(t, first.Get("/v1/admin/users"), 403, "admin_required", "")
	})
}

// Somebody sends fields along that nobody has asked them for.
func TestAttackMassAssignment(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		group := newGroup(victim)
		const more = `"id":1,"user_id":1,"sender_id":1,"owner_id":1,"owner":"victim","creator_id":1,"admin":true,"is_admin":true,"Admin":true,"role":"owner",` +
			`"roles":["admin"],"deactivated":false,"email_verified":true,"email_verified_at":"2020-01-01T00:00:00Z","created_at":"2020-01-01T00:00:00Z",` +
			`"password_hash":"x","seq":1000,"kind":"system","scopes":["admin"],"session_id":1,"reader_ids":[1],"deleted":true`
		mallory := frontdoor.NewClient(t, s.URL)
		mallory.Post("/v1/auth/register", `{"username":"mallory","password":"`+frontdoor.Password+`",`+more+`}`).Want(200)
		mallory.Post("/v1/auth/login", `{"username":"mallory","password":"`+frontdoor.Password+`",`+more+`}`).Want(200)
		me := func() map[string]any {
			var me map[string]any
			mallory.Get("/v1/me").Want(200).Decode(&me)
			return me
		}
		before := me()
		require.EqualValues(t, 2, before["id"])
		require.NotEqual(t, true, before["admin"])
		require.NotEqual(t, true, before["email_verified"])
		mallory.Do("PATCH", "/v1/me", `{"about":"changed",`+more+`}`).Want(200)
		after := me()
		require.Equal(t, "changed", after["about"])
		delete(after, "about")
		require.Equal(t, before, after)
		requireAnswer(t, mallory.Get("/v1/admin/users"), 403, "admin_required", "")

		sent := decode[message](mallory.Post("/v1/messages", `{"dest_username":"victim","message":"hi",`+more+`}`))
		require.Equal(t, "mallory", sent.SenderUsername)
		require.EqualValues(t, 1, sent.Seq)
		require.NotContains(t, sent.CreatedAt, "2020")
		requireAnswer(t, mallory.Do("PATCH", fmt.Sprintf("/v1/messages/%d", sent.ID), `{"text":"edited",`+more+`}`), 200, "", "")
		edited := list(victim, "/v1/messages/p2p/mallory")[0]
		require.Equal(t, "mallory", edited.SenderUsername)

		own := decode[struct {
			ChatID int64 `json:"chat_id"`
		}](mallory.Post("/v1/group_chat", `{"title":"mine",`+more+`}`)).ChatID
		add(t, victim, group, "mallory")
		requireAnswer(t, mallory.Do("PATCH", fmt.Sprintf("/v1/group_chat/%d/participants/mallory", group), `{"role":"owner",`+more+`}`), 403, "owner_required", "")
		require.NotContains(t, mallory.Get(fmt.Sprintf("/v1/group_chat/%d/participants", own)).Want(200).Text, "victim")
	})
}

// Two sites of one Caddy, with a database each and the same secret: who is signed in to
// one is nobody to the other.
func TestAttackAnotherTenant(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const site = `
http://127.0.0.1:{$%s} {
	messaging {
		database {env.%s}
		session_secret "` + sessionSecret + `"
		bcrypt_cost 4
		rate_limits off
	}
}
`
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Env: []string{"OTHER=" + engine.NewDatabase(t)},
			Caddyfile: fmt.Sprintf(site, "PORT", "DATABASE") + fmt.Sprintf(site, "PORT2", "OTHER"),
		})
		mallory, victim := frontdoor.SignUp(t, s.URL, "mallory"), frontdoor.SignUp(t, s.URL2, "victim")
		send(t, victim, "victim", "a secret")
		cookie := login(t, mallory, "mallory").Value
		require.Equal(t, 200, knock(t, s.URL, "session="+cookie))
		require.Equal(t, 401, knock(t, s.URL2, "session="+cookie), "the id of the session is that of the victim's, and the secret the same")
		requireAnswer(t, frontdoor.NewClient(t, s.URL2).Post("/v1/auth/login", credentials(t, "mallory", frontdoor.Password)), 400, "bad_credentials", "")
		require.NotContains(t, mallory.Get("/v1/users").Want(200).Text, "victim")
		requireAnswer(t, mallory.Get("/v1/messages/1"), 404, "message_not_found", "")
		require.Empty(t, list(mallory, "/v1/messages"))
	})
}

// withoutLimits is a site where one may try as often as one likes.
const withoutLimits = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`

// Somebody gets to see the log of a site that is set up as ours is.
func TestAttackReadingTheLog(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		own, err := os.ReadFile(filepath.Join("..", "Caddyfile"))
		require.NoError(t, err)
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Env: []string{"MESSAGING_OPTIONS=database {env.DATABASE}"},
			Caddyfile: strings.Replace(string(own), "{$MESSAGING_SITE:http://localhost:12000}", "http://127.0.0.1:{$PORT}", 1),
		})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		cookie := login(t, victim, "victim")
		group := newGroup(victim)
		invite := victim.Post(fmt.Sprintf("/v1/group_chat/%d/invites", group), "").Want(200).Field("token").(string)
		victim.Get("/v1/invites/" + invite).Want(200)
		victim.Get("/v1/search?q=whatisearchfor").Want(200)
		send(t, victim, "victim", "whatisaid")
		for _, name := range []string{"Authorization", "X-API-Key", "Cookie"} {
			frontdoor.NewClient(t, s.URL).Do("GET", "/v1/me", "", name, "Bearer whatishow")
		}
		require.NoError(t, s.Stop(t.Context()))
		require.Contains(t, s.Log(), "/v1/me", "this search finds what is there")
		require.Contains(t, s.Log(), "victim", "this search finds what is there")
		for what, secret := range map[string]string{
			"password": frontdoor.Password, "cookie": cookie.Value, "invite": invite, "search": "whatisearchfor", "message": "whatisaid", "header": "whatishow",
		} {
			require.NotContains(t, s.Log(), secret, what)
		}
	})
}

// Somebody sees the screen on which a password is chosen, or sits down at the browser
// afterwards.
func TestAttackShoulderSurfing(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{})
	c := frontdoor.NewClient(t, s.URL)
	page := c.Get("/v1/auth/reset-password").Want(200).Text
	field := regexp.MustCompile(`<input[^>]* name="password"[^>]*>`).FindString(page)
	require.Contains(t, field, `type="password"`, "what is typed is not to be read")
	require.Contains(t, field, `autocomplete="new-password"`, "a password manager may choose it")
	script := c.Get("/v1/auth/pages.js").Want(200).Text
	require.NotRegexp(t, `paste|localStorage|sessionStorage|document\.cookie`, page+script, "it may be pasted, and is kept nowhere")
	require.Contains(t, script, "history.replaceState", "the token leaves the address")
}
