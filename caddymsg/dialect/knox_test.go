package dialect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime/multipart"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/caddymsg/dialect/knox"
	"github.com/caddymsg/messaging/internal/frontdoor"
)

// knoxUser is somebody who has signed in to a site that speaks knox.
type knoxUser struct {
	*frontdoor.Client
	name, token string
}

func newKnoxUser(t *testing.T, s *frontdoor.Server, name string) knoxUser {
	t.Helper()
	c := frontdoor.NewClient(t, s.URL)
	r := c.Post("/api/auth/register", frontdoor.JSON(t, map[string]string{"username": name, "password": frontdoor.Password})).Want(201)
	return knoxUser{c, name, r.Field("token").(string)}
}

// do sends a request with the user's token, to a path of the API.
func (u knoxUser) do(method, path, body string, header ...string) *frontdoor.Response {
	return u.Do(method, "/api"+path, body, append([]string{"Authorization", "Token " + u.token}, header...)...)
}

func (u knoxUser) get(path string) *frontdoor.Response { return u.do("GET", path, "") }

func (u knoxUser) post(path, body string) *frontdoor.Response { return u.do("POST", path, body) }

// send sends a message to somebody.
func (u knoxUser) send(t *testing.T, to, content string) {
	t.Helper()
	u.post("/message", frontdoor.JSON(t, map[string]string{"receiver": to, "content": content})).Want(201)
}

// knoxPage is a page of messages.
type knoxPage struct {
	Count          int
	Next, Previous *string
	Results        []map[string]string
}

func (u knoxUser) page(t *testing.T, path string) (p knoxPage) {
	t.Helper()
	u.get(path).Want(200).Decode(&p)
	return p
}

// contents are those of the messages on a page, in their order.
func (p knoxPage) contents() (found []string) {
	for _, m := range p.Results {
		found = append(found, m["content"])
	}
	return found
}

// TestKnoxInAFolder is about where the next page is, and about a limit.
func TestKnoxInAFolder(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: `
http://127.0.0.1:{$PORT} {
	handle_path /chat/* {
		messaging {
			api knox
			database {env.DATABASE}
			bcrypt_cost 4
			rate_limits {
				sends 1/1h 21
			}
		}
	}
}
`})
	c := frontdoor.NewClient(t, s.URL)
	token := c.Post("/chat/api/auth/register", `{"username":"ann","password":"x"}`).Want(201).Field("token").(string)
	send := func() *frontdoor.Response {
		return c.Do("POST", "/chat/api/message", `{"receiver":"ann","content":"x"}`, "Authorization", "Token "+token)
	}
	for range 21 {
		send().Want(201)
	}
	next := c.Do("GET", "/chat/api/message", "", "Authorization", "Token "+token).Want(200).Field("next")
	require.Equal(t, s.URL+"/chat/api/message?page=2", next)

	r := send().Want(429)
	require.Equal(t, "detail", knoxRefusal(t, r))
	require.NotEmpty(t, r.Header.Get("Retry-After"))
}

// knoxRefusal is what an answer says of an error: under detail, or of which fields.
func knoxRefusal(t *testing.T, r *frontdoor.Response) string {
	t.Helper()
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	body := map[string]any{}
	r.Decode(&body)
	if detail, ok := body["detail"]; ok {
		require.Len(t, body, 1)
		require.NotEmpty(t, detail.(string))
		return "detail"
	}
	names := []string{}
	for _, name := range []string{"username", "password", "email", "content", "receiver", "blocked", "non_field_errors"} {
		if texts, ok := body[name]; ok {
			require.Len(t, texts, 1)
			require.NotEmpty(t, texts.([]any)[0].(string))
			names = append(names, name)
		}
	}
	require.Len(t, body, len(names), r.Text)
	return strings.Join(names, " ")
}

const knoxTime = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z`

// TestKnoxGeneral is section 0 of the contract, and what holds everywhere.
func TestKnoxGeneral(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann := newKnoxUser(t, s, "ann")
		for name, c := range map[string]struct {
			method, path, body, contentType string
			status                          int
			told                            string
		}{
			"no JSON":                   {"POST", "/message", `{"receiver":`, "application/json", 400, "detail"},
			"two bodies":                {"POST", "/message", `{} {}`, "application/json", 400, "detail"},
			"a list":                    {"POST", "/message", `[]`, "application/json", 400, "non_field_errors"},
			"a list, to block":          {"POST", "/block", `[1]`, "application/json", 400, "non_field_errors"},
			"text/plain":                {"POST", "/message", `receiver`, "text/plain", 415, "detail"},
			"text/plain, to register":   {"POST", "/auth/register", `receiver`, "text/plain", 415, "detail"},
			"too large":                 {"POST", "/block", `{"blocked":"` + strings.Repeat("x", 64<<10) + `"}`, "application/json", 413, "detail"},
			"a slash at the end":        {"POST", "/message/", `{}`, "application/json", 404, "detail"},
			"a slash, to log in":        {"POST", "/auth/login/", `{}`, "application/json", 404, "detail"},
			"unknown path":              {"GET", "/nothing", ``, "", 404, "detail"},
			"the root":                  {"GET", "", ``, "", 404, "detail"},
			"something before the path": {"GET", "/x/api/message/sent", ``, "", 404, "detail"},
			"something behind it":       {"GET", "/message/sentXYZ", ``, "", 404, "detail"},
			"logoutall":                 {"POST", "/auth/logoutall", ``, "", 404, "detail"},
			"a message by id":           {"GET", "/message/1", ``, "", 404, "detail"},
			"a message by id, changed":  {"PUT", "/message/1", `{"content":"x"}`, "application/json", 404, "detail"},
			"a message by id, deleted":  {"DELETE", "/message/1", ``, "", 404, "detail"},
			"wrong method":              {"PUT", "/message", `{}`, "application/json", 405, "detail"},
			"wrong method, to register": {"GET", "/auth/register", ``, "", 405, "detail"},
			"wrong method, to log in":   {"GET", "/auth/login", ``, "", 405, "detail"},
			"wrong method, to log out":  {"GET", "/auth/logout", ``, "", 405, "detail"},
		} {
			t.Run(name, func(t *testing.T) {
				header := []string{}
				if c.contentType != "" {
					header = append(header, "Content-Type", c.contentType)
				}
				r := ann.do(c.method, c.path, c.body, header...).Want(c.status)
				require.Equal(t, c.told, knoxRefusal(t, r))
			})
		}
		require.Zero(t, ann.page(t, "/message").Count, "nothing of that is stored")

		t.Run("forms", func(t *testing.T) {
			form := url.Values{"receiver": {"ann"}, "content": {"by a form"}}.Encode()
			ann.do("POST", "/message", form, "Content-Type", "application/x-www-form-urlencoded").Want(201)
			var body strings.Builder
			w := multipart.NewWriter(&body)
			require.NoError(t, w.WriteField("receiver", "ann"))
			require.NoError(t, w.WriteField("content", "by multipart"))
			require.NoError(t, w.Close())
			ann.do("POST", "/message", body.String(), "Content-Type", w.FormDataContentType()).Want(201)
			require.Equal(t, []string{"by a form", "by multipart"}, ann.page(t, "/message").contents())
		})
	})
}

// TestKnoxTokens is section 1 of the contract: who is let in.
func TestKnoxTokens(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann := newKnoxUser(t, s, "ann")
		require.Regexp(t, `^[0-9a-f]{64}$`, ann.token)

		v1 := frontdoor.NewClient(t, s.URL2)
		v1.Post("/v1/auth/login", `{"username":"ann","password":"`+frontdoor.Password+`"}`).Want(200)
		scoped := func(scope string) string {
			return v1.Post("/v1/me/keys", `{"name":"`+scope+`","scopes":["`+scope+`"]}`).Want(200).Field("key").(string)
		}
		reader := scoped("read")
		ours := v1.Post("/v1/auth/token", `{"username":"ann","password":"`+frontdoor.Password+`"}`).Want(200).Field("access_token").(string)
		gone := newKnoxUser(t, s, "gone")
		gone.post("/auth/logout", "").Want(204)

		never := strings.Repeat("0", 64)
		for name, c := range map[string]struct {
			header string
			status int
		}{
			"nothing":                         {"", 401},
			"Token":                           {"Token " + ann.token, 200},
			"token":                           {"token " + ann.token, 200},
			"TOKEN":                           {"TOKEN " + ann.token, 200},
			"Bearer":                          {"Bearer " + ann.token, 401},
			"Basic":                           {"Basic YW5uOm9wZW4gc2VzYW1l", 401},
			"the keyword alone":               {"Token", 401},
			"a token with a space":            {"Token " + ann.token[:32] + " " + ann.token[32:], 401},
			"unknown":                         {"Token " + never, 401},
			"another shape":                   {"Token " + ann.token[:63], 401},
			"in upper case":                   {"Token " + strings.ToUpper(ann.token), 401},
			"logged out":                      {"Token " + gone.token, 401},
			"a token of v1":                   {"Token " + ours, 200},
			"a key of v1, for reading, reads": {"Token " + reader, 200},
		} {
			t.Run(name, func(t *testing.T) {
				for _, path := range []string{"/api/message", "/api/message/sent", "/api/message/received", "/api/block"} {
					r := ann.Do("GET", path, "", "Authorization", c.header).Want(c.status)
					if c.status == 401 {
						require.Equal(t, "Token", r.Header.Get("WWW-Authenticate"))
						require.Equal(t, "detail", knoxRefusal(t, r))
					}
				}
			})
		}
		t.Run("without a token", func(*testing.T) {
			for _, c := range [][2]string{
				{"POST", "/api/message"}, {"POST", "/api/block"}, {"DELETE", "/api/block/ann"}, {"POST", "/api/auth/logout"},
			} {
				ann.Do(c[0], c[1], `{}`).Want(401)
			}
		})
		t.Run("a bad token is none, also where none is needed", func(t *testing.T) {
			for _, path := range []string{"/api/auth/register", "/api/auth/login"} {
				body := `{"username":"new","password":"x"}`
				for _, header := range []string{"Token " + never, "Token", "token " + gone.token} {
					r := ann.Do("POST", path, body, "Authorization", header).Want(401)
					require.Equal(t, "Token", r.Header.Get("WWW-Authenticate"))
				}
			}
			ann.Do("POST", "/api/auth/register", `{"username":"new","password":"x"}`, "Authorization", "Token "+ann.token).Want(201)
			ann.Do("POST", "/api/auth/login", `{"username":"new","password":"x"}`, "Authorization", "Bearer whatever").Want(200)
		})
		t.Run("a key for reading does nothing else", func(*testing.T) {
			program := knoxUser{ann.Client, "ann", reader}
			program.post("/message", `{"receiver":"ann","content":"x"}`).Want(403)
			program.post("/block", `{"blocked":"gone"}`).Want(403)
			program.post("/auth/logout", "").Want(403)
			knoxUser{ann.Client, "ann", scoped("write")}.post("/message", `{"receiver":"ann","content":"x"}`).Want(201)
		})
		t.Run("a deactivated user", func(t *testing.T) {
			newKnoxUser(t, s, "root")
			require.NoError(t, s.Reload(t.Context(), caddyfile("knox", "admin root")))
			root := frontdoor.NewClient(t, s.URL2)
			root.Post("/v1/auth/login", `{"username":"root","password":"`+frontdoor.Password+`"}`).Want(200)
			id := v1.Get("/v1/me").Want(200).Field("id")
			root.Do("PATCH", fmt.Sprint("/v1/admin/users/", id), `{"deactivated":true}`).Want(200)
			require.Equal(t, "detail", knoxRefusal(t, ann.get("/message").Want(401)))
			c := frontdoor.NewClient(t, s.URL)
			r := c.Post("/api/auth/login", `{"username":"ann","password":"`+frontdoor.Password+`"}`).Want(400)
			unknown := c.Post("/api/auth/login", `{"username":"nobody","password":"`+frontdoor.Password+`"}`).Want(400)
			require.Equal(t, unknown.Text, r.Text)
		})
	})
}

// TestKnoxRegister is POST /api/auth/register.
func TestKnoxRegister(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		c := frontdoor.NewClient(t, s.URL)
		const path = "/api/auth/register"
		for name, row := range map[string]struct{ body, user, email string }{
			"with an address":     {`{"username":"ann","password":"x","email":"ann@x.io"}`, "ann", "ann@x.io"},
			"without":             {`{"username":"bob","password":"x"}`, "bob", ""},
			"an empty address":    {`{"username":"cyd","password":"x","email":""}`, "cyd", ""},
			"no address":          {`{"username":"dan","password":"x","email":null}`, "dan", ""},
			"the same address":    {`{"username":"eve","password":"x","email":"ann@x.io"}`, "eve", "ann@x.io"},
			"blanks":              {`{"username":" fay ","password":" x ","email":" fay@x.io "}`, "fay", "fay@x.io"},
			"letters and signs":   {`{"username":"Ünal_3@x+y-z","password":"x"}`, "Ünal_3@x+y-z", ""},
			"numbers":             {`{"username":4711,"password":12}`, "4711", ""},
			"the commonest word":  {`{"username":"gus","password":"password"}`, "gus", ""},
			"the username as one": {`{"username":"hal","password":"hal"}`, "hal", ""},
			"64 characters":       {`{"username":"` + strings.Repeat("i", 64) + `","password":"x"}`, strings.Repeat("i", 64), ""},
			"more than is known":  {`{"username":"jon","password":"x","admin":true,"id":7}`, "jon", ""},
			"blanks within":       {`{"username":"kim","password":"a b"}`, "kim", ""},
		} {
			t.Run(name, func(t *testing.T) {
				r := c.Post(path, row.body).Want(201)
				var got struct {
					User  map[string]any
					Token string
				}
				r.Decode(&got)
				require.Regexp(t, `^[0-9a-f]{64}$`, got.Token)
				require.NotZero(t, got.User["id"])
				require.Equal(t, map[string]any{"id": got.User["id"], "username": row.user, "email": row.email}, got.User)
				c.Do("GET", "/api/message", "", "Authorization", "Token "+got.Token).Want(200)
			})
		}
		for name, row := range map[string]struct{ body, told string }{
			"nothing":                  {``, "username password"},
			"an empty object":          {`{}`, "username password"},
			"no username":              {`{"password":"x"}`, "username"},
			"no password":              {`{"username":"new"}`, "password"},
			"null":                     {`{"username":null,"password":null}`, "username password"},
			"blank":                    {`{"username":"","password":""}`, "username password"},
			"blanks":                   {`{"username":"  ","password":"  "}`, "username password"},
			"no texts":                 {`{"username":[],"password":{},"email":true}`, "username password email"},
			"taken":                    {`{"username":"ann","password":"x"}`, "username"},
			"taken, in another case":   {`{"username":"ANN","password":"x"}`, "username"}, // differs
			"a space":                  {`{"username":"a b","password":"x"}`, "username"},
			"an exclamation mark":      {`{"username":"new!","password":"x"}`, "username"},
			"a slash":                  {`{"username":"a/b","password":"x"}`, "username"},
			"a NUL":                    {`{"username":"a\u0000b","password":"x"}`, "username"},
			"too long":                 {`{"username":"` + strings.Repeat("n", 65) + `","password":"x"}`, "username"},
			"no address":               {`{"username":"new","password":"x","email":"new"}`, "email"},
			"a password of 73 bytes":   {`{"username":"new","password":"` + strings.Repeat("x", 73) + `"}`, "password"},
			"several, and no password": {`{"username":"a b"}`, "username password"},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, row.told, knoxRefusal(t, c.Post(path, row.body).Want(400)))
			})
		}
		t.Run("a form", func(t *testing.T) {
			c.Do("POST", path, "username=formal&password=x&email=f@x.io", "Content-Type", "application/x-www-form-urlencoded").Want(201)
			r := c.Do("POST", path, "username=formal", "Content-Type", "application/x-www-form-urlencoded").Want(400)
			require.Equal(t, "password", knoxRefusal(t, r))
		})
		c.Post("/api/auth/login", `{"username":"new","password":"x"}`).Want(400) // nobody is new
	})
}

// A site that takes no new accounts says so.
func TestKnoxRegistrationClosed(t *testing.T) {
	t.Parallel()
	s := start(t, frontdoor.SQLite, "knox", "registration closed")
	r := frontdoor.NewClient(t, s.URL).Post("/api/auth/register", `{"username":"ann","password":"x"}`).Want(403)
	require.Equal(t, "detail", knoxRefusal(t, r))
}

// TestKnoxLogin is POST /api/auth/login and /api/auth/logout.
func TestKnoxLogin(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		c := frontdoor.NewClient(t, s.URL)
		var first struct {
			User  map[string]any
			Token string
		}
		c.Post("/api/auth/register", `{"username":"ann","password":"secret","email":"ann@x.io"}`).Want(201).Decode(&first)
		login := func(body string) knoxUser {
			t.Helper()
			got := first
			got.Token = ""
			c.Post("/api/auth/login", body).Want(200).Decode(&got)
			require.Equal(t, first.User, got.User)
			require.Regexp(t, `^[0-9a-f]{64}$`, got.Token)
			return knoxUser{c, "ann", got.Token}
		}
		for name, row := range map[string]struct{ body, told string }{
			"wrong password":   {`{"username":"ann","password":"wrong"}`, "non_field_errors"},
			"unknown":          {`{"username":"nobody","password":"secret"}`, "non_field_errors"},
			"an address":       {`{"username":"ann@x.io","password":"secret"}`, "non_field_errors"},
			"no password":      {`{"username":"ann"}`, "password"},
			"no username":      {`{"password":"secret"}`, "username"},
			"nothing":          {`{}`, "username password"},
			"blank":            {`{"username":"","password":""}`, "username password"},
			"no texts":         {`{"username":{},"password":[]}`, "username password"},
			"a list":           {`["ann","secret"]`, "non_field_errors"},
			"no JSON":          {`ann:secret`, "detail"},
			"a very long word": {`{"username":"ann","password":"` + strings.Repeat("x", 1000) + `"}`, "non_field_errors"},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, row.told, knoxRefusal(t, c.Post("/api/auth/login", row.body).Want(400)))
			})
		}
		t.Run("nobody hears who there is", func(t *testing.T) {
			wrong := c.Post("/api/auth/login", `{"username":"ann","password":"wrong"}`).Want(400)
			unknown := c.Post("/api/auth/login", `{"username":"nobody","password":"wrong"}`).Want(400)
			require.Equal(t, wrong.Text, unknown.Text)
		})
		one, two := login(`{"username":"ann","password":"secret"}`), login(`{"username":" ANN ","password":" secret "}`)
		require.NotEqual(t, one.token, two.token)

		r := one.post("/auth/logout", "").Want(204)
		require.Empty(t, r.Text)
		one.get("/message").Want(401)
		one.post("/auth/logout", "").Want(401)
		two.get("/message").Want(200)
		knoxUser{c, "ann", first.Token}.get("/message").Want(200)
		two.post("/auth/logout", `{"whatever":1}`).Want(204)
		two.get("/message").Want(401)
	})
}

// TestKnoxSend is POST /api/message.
func TestKnoxSend(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann, bob, eve := newKnoxUser(t, s, "ann"), newKnoxUser(t, s, "Bob"), newKnoxUser(t, s, "eve")
		var want []string
		for _, row := range []struct{ name, body, receiver, content string }{
			{"hi", `{"receiver":"Bob","content":"hi bob"}`, "Bob", "hi bob"},
			{"the case of a name", `{"receiver":"BOB","content":"hi"}`, "Bob", "hi"},
			{"a number", `{"receiver":"Bob","content":42}`, "Bob", "42"},
			{"blanks around", `{"receiver":"Bob","content":"  a\n b \t"}`, "Bob", "a\n b"},
			{"to oneself", `{"receiver":"ann","content":"milk"}`, "ann", "milk"},
			{"letters", `{"receiver":"Bob","content":"<b>& 😀"}`, "Bob", "<b>& 😀"},
			{"as long as it may be", `{"receiver":"Bob","content":"` + strings.Repeat(`\ud83d\ude00`, 10_000) + `"}`, "Bob", strings.Repeat("😀", 10_000)},
			{"more than is known", `{"receiver":"Bob","content":"x","sender":"eve","created":"2020-01-01"}`, "Bob", "x"},
		} {
			t.Run(row.name, func(t *testing.T) {
				r := ann.post("/message", row.body).Want(201)
				var got map[string]string
				r.Decode(&got)
				require.Regexp(t, "^"+knoxTime+"$", got["created"])
				require.Equal(t, map[string]string{"sender": "ann", "receiver": row.receiver, "content": row.content, "created": got["created"]}, got)
				require.NotContains(t, r.Text, `\u003c`)
				want = append(want, row.content)
			})
		}
		for name, row := range map[string]struct{ body, told string }{
			"nothing":                 {`{}`, "content"},
			"no content":              {`{"receiver":"Bob"}`, "content"},
			"null content":            {`{"receiver":"Bob","content":null}`, "content"},
			"no content, to nobody":   {`{"receiver":"nobody"}`, "content"},
			"blank content":           {`{"receiver":"Bob","content":""}`, "content"},
			"blanks":                  {`{"receiver":"Bob","content":" \n "}`, "content"},
			"no text":                 {`{"receiver":"Bob","content":["x"]}`, "content"},
			"a truth":                 {`{"receiver":"Bob","content":true}`, "content"},
			"a NUL":                   {`{"receiver":"Bob","content":"\u0000"}`, "content"},
			"too long":                {`{"receiver":"Bob","content":"` + strings.Repeat("x", 10_001) + `"}`, "content"}, // differs
			"no receiver":             {`{"content":"x"}`, "receiver"},
			"null receiver":           {`{"receiver":null,"content":"x"}`, "receiver"},
			"unknown receiver":        {`{"receiver":"nobody","content":"x"}`, "detail"},
			"empty receiver":          {`{"receiver":"","content":"x"}`, "detail"},
			"an id":                   {`{"receiver":"2","content":"x"}`, "detail"},
			"a receiver that is none": {`{"receiver":{},"content":"x"}`, "detail"},
			"too long, and to nobody": {`{"receiver":"nobody","content":"` + strings.Repeat("x", 10_001) + `"}`, "content"},
			"no UTF-8":                {"{\"receiver\":\"Bob\",\"content\":\"\xff\"}", "detail"},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, row.told, knoxRefusal(t, ann.post("/message", row.body).Want(400)))
			})
		}
		require.Equal(t, want, ann.page(t, "/message").contents(), "and nothing of what was refused")

		t.Run("blocked", func(t *testing.T) {
			eve.post("/block", `{"blocked":"ann"}`).Want(201)
			require.Equal(t, "detail", knoxRefusal(t, ann.post("/message", `{"receiver":"eve","content":"x"}`).Want(403)))
			require.Equal(t, "content", knoxRefusal(t, ann.post("/message", `{"receiver":"eve","content":""}`).Want(400)))
			require.Zero(t, eve.page(t, "/message").Count)
			eve.send(t, "ann", "one way")
			require.Equal(t, []string{"one way"}, ann.page(t, "/message/received?sender=eve").contents())
		})
		t.Run("with a key, once", func(t *testing.T) {
			body := `{"receiver":"Bob","content":"only once"}`
			once := bob.page(t, "/message").Count
			first := ann.do("POST", "/message", body, "Idempotency-Key", "one").Want(201)
			require.Equal(t, first.Text, ann.do("POST", "/message", body, "Idempotency-Key", "one").Want(201).Text)
			require.Equal(t, once+1, bob.page(t, "/message").Count)
		})
	})
}

// TestKnoxLists is GET /api/message, /api/message/sent and /api/message/received.
func TestKnoxLists(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann, bob, eve := newKnoxUser(t, s, "ann"), newKnoxUser(t, s, "bob"), newKnoxUser(t, s, "eve")
		p := ann.get("/message").Want(200)
		require.JSONEq(t, `{"count":0,"next":null,"previous":null,"results":[]}`, p.Text)
		ann.get("/message?page=1").Want(200)
		ann.get("/message?page=last").Want(200)

		var all []string // what ann sees
		send := func(from knoxUser, to string) {
			content := fmt.Sprintf("%s to %s, %d", from.name, to, len(all))
			from.send(t, to, content)
			if from.name == "ann" || to == "ann" {
				all = append(all, content)
			}
		}
		for range 21 {
			send(bob, "ann")
		}
		send(ann, "bob")
		send(bob, "eve")
		send(eve, "ann")
		send(ann, "ann")
		send(ann, "eve")
		for range 16 {
			send(bob, "ann")
		}
		of := func(prefixes ...string) (found []string) {
			for _, content := range all {
				for _, prefix := range prefixes {
					if strings.HasPrefix(content, prefix) {
						found = append(found, content)
					}
				}
			}
			return found
		}
		day := ann.page(t, "/message").Results[0]["created"][:len("2006-01-02")]
		var today []string // it may be midnight
		for _, path := range []string{"/message/received?sender=bob", "/message/received?sender=bob&page=2"} {
			for _, m := range ann.page(t, path).Results {
				if strings.HasPrefix(m["created"], day) {
					today = append(today, m["content"])
				}
			}
		}
		short := strings.NewReplacer("-0", "-").Replace(day)
		for name, row := range map[string]struct {
			path string
			want []string
		}{
			"sent and received":        {"/message", all},
			"of which filters are not": {"/message?sender=eve&receiver=eve&date=x", all},
			"sent":                     {"/message/sent", of("ann to")},
			"received":                 {"/message/received", of("bob to ann", "eve to ann", "ann to ann")},
			"sent to bob":              {"/message/sent?receiver=bob", of("ann to bob")},
			"sent to Bob":              {"/message/sent?receiver=Bob", of("ann to bob")},
			"sent to oneself":          {"/message/sent?receiver=ann", of("ann to ann")},
			"sent, from somebody":      {"/message/sent?sender=nobody", of("ann to")},
			"received from eve":        {"/message/received?sender=eve", of("eve to ann")},
			"received from oneself":    {"/message/received?sender=ann", of("ann to ann")},
			"received, to somebody":    {"/message/received?receiver=nobody", of("bob to ann", "eve to ann", "ann to ann")},
			"received on a day":        {"/message/received?sender=bob&date=" + day, today},
			"a day of short numbers":   {"/message/received?sender=bob&date=" + short, today},
			"sent on another day":      {"/message/sent?date=2020-03-30", nil},
			"another, of short ones":   {"/message/sent?receiver=bob&date=2020-3-30", nil},
		} {
			t.Run(name, func(t *testing.T) {
				p := ann.page(t, row.path)
				require.Equal(t, len(row.want), p.Count)
				require.Nil(t, p.Previous)
				got := p.contents()
				for p.Next != nil {
					require.Len(t, p.Results, 20)
					require.True(t, strings.HasPrefix(*p.Next, s.URL+"/api/"))
					before := p
					p = ann.page(t, strings.TrimPrefix(*p.Next, s.URL+"/api"))
					require.NotNil(t, p.Previous)
					require.Equal(t, before, ann.page(t, strings.TrimPrefix(*p.Previous, s.URL+"/api")))
					got = append(got, p.contents()...)
				}
				// Oldest first.
				require.ElementsMatch(t, row.want, got)
				require.IsIncreasing(t, numbersIn(t, got))
			})
		}
		for name, row := range map[string]struct {
			path   string
			status int
		}{
			"unknown receiver":       {"/message/sent?receiver=nobody", 400},
			"empty receiver":         {"/message/sent?receiver=", 400},
			"unknown sender":         {"/message/received?sender=nobody", 400},
			"empty sender":           {"/message/received?sender=&page=9", 400},
			"an id":                  {"/message/received?sender=2", 400},
			"a date that is none":    {"/message/sent?date=2020-1-0", 400},
			"an empty date":          {"/message/sent?date=", 400},
			"a day that is not":      {"/message/received?date=2023-02-29", 400},
			"a date turned round":    {"/message/received?date=30-03-2020", 400},
			"with a time":            {"/message/received?date=2020-03-30T00:00:00Z", 400},
			"a date, and page":       {"/message/received?date=x&page=9", 400},
			"page 0":                 {"/message?page=0", 404},
			"page -1":                {"/message?page=-1", 404},
			"an empty page":          {"/message?page=", 404},
			"a page that is none":    {"/message?page=first", 404},
			"a page too far":         {"/message?page=4", 404},
			"a page too far, sent":   {"/message/sent?page=2", 404},
			"a page beyond numbers":  {"/message/received?page=99999999999999999999", 404},
			"a page with a fraction": {"/message/received?page=1.0", 404},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, "detail", knoxRefusal(t, ann.get(row.path).Want(row.status)))
			})
		}
		t.Run("pages", func(t *testing.T) {
			at := func(query string) *string { return new(s.URL + "/api/message/received" + query) }
			for query, want := range map[string]struct {
				next, previous *string
				n              int
			}{
				"":                       {at("?page=2"), nil, 20},
				"?page=1":                {at("?page=2"), nil, 20},
				"?page=2":                {nil, at(""), 19},
				"?page=last":             {nil, at(""), 19},
				"?sender=bob&x=%26&z=1":  {at("?page=2&sender=bob&x=%26&z=1"), nil, 20},
				"?page=2&sender=bob":     {nil, at("?sender=bob"), 17},
				"?page_size=100&limit=1": {at("?limit=1&page=2&page_size=100"), nil, 20},
			} {
				p := ann.page(t, "/message/received"+query)
				require.Equal(t, want.next, p.Next, query)
				require.Equal(t, want.previous, p.Previous, query)
				require.Len(t, p.Results, want.n, query)
			}
			r := ann.Do("GET", "/api/message", "", "Authorization", "Token "+ann.token).Want(200)
			require.Regexp(t, `^\{"count":41,"next":"`+s.URL+`/api/message\?page=2","previous":null,"results":\[`+
				`\{"sender":"bob","receiver":"ann","content":"bob to ann, 0","created":"`+knoxTime+`"\},`, r.Text)
		})
	})
}

// numbersIn are those at the ends of contents, which say in which order they were sent.
func numbersIn(t *testing.T, contents []string) []int {
	t.Helper()
	numbers := []int{-2, -1} // of lists that are too short to be in an order
	for _, content := range contents {
		var n int
		_, err := fmt.Sscan(content[strings.LastIndexByte(content, ' ')+1:], &n)
		require.NoError(t, err)
		numbers = append(numbers, n)
	}
	return numbers
}

// TestKnoxBesideOthers is what other APIs do that this one has no word for.
func TestKnoxBesideOthers(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann, bob := newKnoxUser(t, s, "ann"), newKnoxUser(t, s, "bob")
		carl := frontdoor.SignUp(t, s.URL2, "carl")
		text := func(r *frontdoor.Response) string { return fmt.Sprint(r.Want(200).Field("id")) }
		write := func(content string) string {
			return text(carl.Post("/v1/messages", `{"dest_username":"ann","message":"`+content+`"}`))
		}
		write("stays")
		edited, deleted := write("first"), write("deleted")
		carl.Do("PATCH", "/v1/messages/"+edited, `{"text":"edited"}`).Want(200)
		carl.Delete("/v1/messages/" + deleted).Want(200)
		group := fmt.Sprint(carl.Post("/v1/group_chat", `{}`).Want(200).Field("chat_id"))
		carl.Post("/v1/group_chat/"+group+"/participants", `{"username":"ann"}`).Want(200)
		carl.Post("/v1/messages", `{"group_chat_id":`+group+`,"message":"to many"}`).Want(200)
		ann.send(t, "carl", "an answer")
		bob.send(t, "carl", "not for ann")

		require.Equal(t, []string{"stays", "edited", "an answer"}, ann.page(t, "/message").contents())
		require.Equal(t, []string{"stays", "edited"}, ann.page(t, "/message/received").contents())
		require.Equal(t, 2, ann.page(t, "/message/received?sender=carl").Count)
		require.Equal(t, []string{"an answer"}, ann.page(t, "/message/sent?receiver=carl").contents())
		require.Zero(t, bob.page(t, "/message/received").Count)

		carl.Delete("/v1/me").Want(200)
		found := ann.page(t, "/message").Results
		require.Len(t, found, 3)
		for _, m := range found[:2] {
			require.NotContains(t, m, "sender")
			require.Equal(t, "ann", m["receiver"])
		}
		require.NotContains(t, found[2], "receiver")
		require.Equal(t, "ann", found[2]["sender"])
		ann.get("/message/sent?receiver=carl").Want(400)
		ann.post("/message", `{"receiver":"carl","content":"x"}`).Want(400)
	})
}

// TestKnoxBlocks is /api/block.
func TestKnoxBlocks(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann, bob := newKnoxUser(t, s, "ann"), newKnoxUser(t, s, "Bob")
		bob.send(t, "ann", "before")
		require.JSONEq(t, `{"count":0,"next":null,"previous":null,"results":[]}`, ann.get("/block").Want(200).Text)
		r := ann.post("/block", `{"blocked":"bob"}`).Want(201)
		require.JSONEq(t, `{"blocking_user":"ann","blocked_user":"Bob"}`, r.Text)
		for name, row := range map[string]struct{ body, told string }{
			"nothing":     {`{}`, "blocked"},
			"null":        {`{"blocked":null}`, "blocked"},
			"unknown":     {`{"blocked":"nobody"}`, "detail"},
			"empty":       {`{"blocked":""}`, "detail"},
			"no text":     {`{"blocked":[]}`, "detail"},
			"already":     {`{"blocked":"Bob"}`, "detail"},
			"oneself":     {`{"blocked":"ann"}`, "detail"}, // differs
			"an id":       {`{"blocked":"2"}`, "detail"},
			"the old key": {`{"blocked_user":"Bob"}`, "blocked"},
		} {
			t.Run(name, func(t *testing.T) {
				require.Equal(t, row.told, knoxRefusal(t, ann.post("/block", row.body).Want(400)))
			})
		}
		require.JSONEq(t, `{"count":1,"next":null,"previous":null,"results":[{"blocking_user":"ann","blocked_user":"Bob"}]}`, ann.get("/block").Want(200).Text)
		require.JSONEq(t, `{"count":0,"next":null,"previous":null,"results":[]}`, bob.get("/block").Want(200).Text, "it is one-way, and a secret")

		bob.post("/message", `{"receiver":"ann","content":"x"}`).Want(403)
		ann.send(t, "Bob", "one way")
		require.Equal(t, []string{"before", "one way"}, ann.page(t, "/message").contents(), "what was sent stays")
		ann.post("/message", `{"receiver":"ann","content":"a note"}`).Want(201)

		t.Run("taken back", func(t *testing.T) {
			require.Equal(t, "detail", knoxRefusal(t, bob.do("DELETE", "/block/ann", "").Want(404)))
			require.Empty(t, ann.do("DELETE", "/block/BOB", "").Want(204).Text)
			require.Equal(t, "detail", knoxRefusal(t, ann.do("DELETE", "/block/Bob", "").Want(404)))
			require.Equal(t, "detail", knoxRefusal(t, ann.do("DELETE", "/block/nobody", "").Want(404)))
			bob.send(t, "ann", "again")
			ann.post("/block", `{"blocked":"Bob"}`).Want(201)
		})
		t.Run("pages", func(t *testing.T) {
			for i := range 20 {
				name := fmt.Sprintf("other-%02d", i)
				newKnoxUser(t, s, name)
				ann.post("/block", `{"blocked":"`+name+`"}`).Want(201)
			}
			first, second := ann.page(t, "/block"), ann.page(t, "/block?page=last")
			require.Equal(t, 21, first.Count)
			require.Len(t, first.Results, 20)
			require.Equal(t, s.URL+"/api/block?page=2", *first.Next)
			require.Equal(t, []map[string]string{{"blocking_user": "ann", "blocked_user": "other-19"}}, second.Results)
			require.Equal(t, s.URL+"/api/block", *second.Previous)
			require.Equal(t, "detail", knoxRefusal(t, ann.get("/block?page=3").Want(404)))
		})
	})
}

// TestKnoxLog is section 4 of the contract: the five events.
func TestKnoxLog(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "knox", "")
		ann, bob := newKnoxUser(t, s, "ann"), newKnoxUser(t, s, "bob")
		login := func(username, password string, status int) {
			ann.Post("/api/auth/login", frontdoor.JSON(t, map[string]string{"username": username, "password": password})).Want(status)
		}
		login("ann", frontdoor.Password, 200)
		login("ANN", "wrong word", 400)
		login("a slip of the tongue", "wrong word", 400)
		login("1", "wrong word", 400)
		ann.Post("/api/auth/login", `{"username":"ann"}`).Want(400)
		ann.send(t, "bob", "what was said")
		bob.post("/block", `{"blocked":"ann"}`).Want(201)
		ann.post("/message", `{"receiver":"bob","content":"what was said"}`).Want(403)
		ann.post("/message", `{"receiver":"nobody","content":"what was said"}`).Want(400)
		bob.send(t, "ann", "what was said") // comes last

		want := []string{
			"info: Login: username=ann",
			"warn: Invalid Login: username=ann",
			"info: Successful Message: sender=ann receiver=bob",
			"info: Block User: blocking_user=bob blocked_user=ann",
			"info: Blocked Message: sender=ann receiver=bob",
			"info: Successful Message: sender=bob receiver=ann",
		}
		require.EventuallyWithT(t, func(c *assert.CollectT) { require.Equal(c, want, knoxEvents(s.Log())) }, 10*time.Second, 10*time.Millisecond)
		for _, secret := range []string{"what was said", "wrong word", "slip of the tongue", frontdoor.Password, ann.token, bob.token} {
			require.NotContains(t, s.Log(), secret)
		}
	})
}

// knoxEvents are the lines of a log that stand for the events of the system.
func knoxEvents(log string) (found []string) {
	fields := map[string][]string{
		"Login": {"username"}, "Invalid Login": {"username"}, "Block User": {"blocking_user", "blocked_user"},
		"Successful Message": {"sender", "receiver"}, "Blocked Message": {"sender", "receiver"},
	}
	for line := range strings.Lines(log) {
		var event map[string]any
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		name := fmt.Sprint(event["msg"])
		if fields[name] == nil {
			continue
		}
		text := fmt.Sprintf("%v: %s:", event["level"], name)
		for _, field := range fields[name] {
			text += fmt.Sprintf(" %s=%v", field, event[field])
		}
		found = append(found, text)
	}
	return found
}

// An internal error is told to the log alone (README).
func TestKnoxInternalError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	api, err := knox.Dialect().Open(dialect.Options{Log: slog.New(slog.NewTextHandler(&log, nil))}) // there is nothing behind it
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/api/auth/login", strings.NewReader(`{"username":"ann","password":"secret"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	require.Equal(t, 500, w.Code)
	require.JSONEq(t, `{"detail":"Something went wrong"}`, w.Body.String())
	require.Contains(t, log.String(), "nil pointer")
	require.NotContains(t, log.String(), "secret")
}

// TestKnoxTour runs the commands of the page of this API as its reader does.
func TestKnoxTour(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "dialects", "knox.md"))
		require.NoError(t, err)
		s := start(t, engine, "knox", "")
		frontdoor.Tour{
			Text: string(text), Addresses: map[string]string{"localhost:12004": strings.TrimPrefix(s.URL, "http://")},
		}.Run(t)
	})
}
