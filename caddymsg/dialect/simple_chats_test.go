package dialect_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// simpleSite is a site that speaks simple_chats, and who has registered there.
type simpleSite struct {
	*frontdoor.Server
	client *frontdoor.Client
	// named are what rows call by a name in braces: the ids of users, chats and messages.
	named map[string]string
}

func startSimpleChats(t *testing.T, engine frontdoor.Engine, more string, people ...string) *simpleSite {
	t.Helper()
	s := &simpleSite{Server: start(t, engine, "simple_chats", more), named: map[string]string{}}
	s.client = frontdoor.NewClient(t, s.URL)
	s.client.Unchecked = "it speaks simple_chats"
	for _, name := range people {
		s.client.Post("/api/register", fmt.Sprintf(
			`{"email": "%[1]s@example.com", "username": "%[1]s", "name": "%[1]s the user", "password": "%[2]s"}`, name, frontdoor.Password)).Want(201)
		s.named[name] = s.id(s.ask(name, "GET", "/api/users", ""), "user_id")
	}
	return s
}

func basic(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// filled puts what is named into a text.
func (s *simpleSite) filled(text string) string {
	for name, value := range s.named {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// ask sends a request of somebody by their username and password, or of nobody.
func (s *simpleSite) ask(as, method, path, body string, header ...string) *frontdoor.Response {
	if as != "" {
		header = append(header, "Authorization", basic(as, frontdoor.Password))
	}
	return s.client.Do(method, s.filled(path), s.filled(body), header...)
}

func (s *simpleSite) id(r *frontdoor.Response, field string) string {
	return strconv.FormatFloat(r.Field(field).(float64), 'f', -1, 64)
}

// chat makes the chat of two people, and names it.
func (s *simpleSite) chat(name, one, other string) {
	s.named[name] = s.id(s.ask(one, "POST", "/api/chats", `{"companion_id": {`+other+`}}`).Want(201), "chat_id")
}

// send sends a message to a chat, and names it.
func (s *simpleSite) send(name, as, chat, text string) {
	body, _ := json.Marshal(map[string]string{"texts": text})
	s.ask(as, "POST", "/api/chats/{"+chat+"}/messages", string(body)).Want(201)
	var sent struct {
		Data []struct {
			ID int64 `json:"message_id"`
		}
	}
	s.ask(as, "GET", "/api/chats/{"+chat+"}/messages?ordered-by-desc=message_id&limit=1", "").Want(200).Decode(&sent)
	s.named[name] = strconv.FormatInt(sent.Data[0].ID, 10)
}

// simpleRow is a row of the contract: a request, and what is answered.
type simpleRow struct {
	name, as, method, path, body string
	status                       int
	// want is the JSON of the answer, in which "…" is any text but the empty one. Default,
	// of a refusal: a message alone.
	want string
}

func (s *simpleSite) run(t *testing.T, rows []simpleRow) {
	t.Helper()
	for _, row := range rows {
		s.part(t, row.name, func(t *testing.T) {
			requireLike(t, s.filled(row.want), s.ask(row.as, row.method, row.path, row.body).Want(row.status))
		})
	}
}

// part is a subtest, in which requests are of its own.
func (s *simpleSite) part(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		whole := s.client
		defer func() { s.client = whole }()
		s.client = whole.For(t)
		test(t)
	})
}

// requireLike holds an answer to the JSON that is wanted.
func requireLike(t *testing.T, want string, got *frontdoor.Response) {
	t.Helper()
	if want == "" && got.StatusCode >= 400 {
		want = `{"message": "…"}`
	}
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	var wanted, answered any
	require.NoError(t, json.Unmarshal([]byte(want), &wanted), want)
	got.Decode(&answered)
	require.True(t, like(wanted, answered), "want: %s\ngot: %s", want, got.Text)
}

func like(want, got any) bool {
	switch want := want.(type) {
	case string:
		text, ok := got.(string)
		return ok && (text == want || want == "…" && text != "")
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !like(want[i], list[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return false
		}
		for name := range want {
			if value, there := object[name]; !there || !like(want[name], value) {
				return false
			}
		}
		return true
	}
	return want == got
}

// Contract 1, section 1: who asks.
func TestSimpleChatsAuthorization(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "ann", "bob")
		token := s.ask("ann", "GET", "/api/token", "").Want(200).Field("token").(string)
		for _, row := range []struct {
			name, header string
			status       int
		}{
			{"basic, by username", basic("ann", frontdoor.Password), 200},
			{"basic, by e-mail address", basic("ann@example.com", frontdoor.Password), 200},
			{"basic, by e-mail address in capitals", basic("ANN@Example.com", frontdoor.Password), 200},
			{"scheme in capitals", "BASIC " + strings.TrimPrefix(basic("ann", frontdoor.Password), "Basic "), 200},
			{"bearer", "Bearer " + token, 200},
			{"bearer in small letters", "bearer " + token, 200},
			{"no header", "", 403},
			{"another scheme", "Token " + token, 403},
			{"basic that can't be decoded", "Basic !!!", 403},
			{"basic without a colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("ann")), 403},
			{"unknown user", basic("zoe", frontdoor.Password), 401},
			{"wrong password", basic("ann", "open barley"), 401},
			{"bearer that is not valid", "Bearer " + token + "x", 401},
			{"bearer that is another's kind", "Bearer cmsg_reset_ABC", 401},
			{"bearer without a token", "Bearer", 401},
		} {
			s.part(t, row.name, func(t *testing.T) {
				var header []string
				if row.header != "" {
					header = []string{"Authorization", row.header}
				}
				answer := s.client.Do("GET", "/api/users/"+s.named["ann"], "", header...).Want(row.status)
				require.Empty(t, answer.Header.Get("WWW-Authenticate"))
				if row.status != 200 {
					requireLike(t, "", answer)
				}
			})
		}
		s.part(t, "who does not exist is told what a wrong password is", func(t *testing.T) {
			c := s.client
			unknown := c.Do("GET", "/api/token", "", "Authorization", basic("zoe", "open barley"))
			wrong := c.Do("GET", "/api/token", "", "Authorization", basic("ann", "open barley"))
			require.Equal(t, wrong.Text, unknown.Text)
		})
		s.part(t, "expired", func(t *testing.T) {
			expired := s.ask("bob", "GET", "/api/token", "").Want(200).Field("token").(string)
			db := frontdoor.OpenDatabase(t, s.Database)
			_, err := db.ExecContext(t.Context(), `UPDATE sessions SET expires_at = 1, token_expires_at = 1 WHERE kind = 'token' AND user_id = $1`, s.named["bob"])
			require.NoError(t, err)
			requireLike(t, "", s.client.Do("GET", "/api/users", "", "Authorization", "Bearer "+expired).Want(401))
		})
		s.part(t, "deactivated", func(t *testing.T) {
			c := s.client
			c.Post("/api/register", `{"email": "eve@example.com", "username": "eve", "name": "Eve", "password": "12345678"}`).Want(201)
			db := frontdoor.OpenDatabase(t, s.Database)
			_, err := db.ExecContext(t.Context(), `UPDATE users SET deactivated_at = 1 WHERE username = 'eve'`)
			require.NoError(t, err)
			requireLike(t, "", c.Do("GET", "/api/users", "", "Authorization", basic("eve", "12345678")).Want(403))
			require.NotContains(t, s.ask("ann", "GET", "/api/users", "").Text, "eve")
		})
	})
}

// Contract 1, sections 0 and 2: what all paths have in common, and accounts.
func TestSimpleChatsAccounts(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "ann", "bob")
		frontdoor.SignUp(t, s.URL2, "v1") // shorter than names are here
		s.named["v1"] = "v1"
		register := func(name, body string, status int, want string) simpleRow {
			return simpleRow{"register: " + name, "", "POST", "/api/register", body, status, want}
		}
		const registered = `{"email": "docs@gmail.com", "message": "Successfully registered!"}`
		long := strings.Repeat("n", 26)
		s.run(t, []simpleRow{
			{"unknown path", "ann", "GET", "/api/nowhere", "", 404, ""},
			{"the prefix alone", "", "GET", "/api", "", 404, ""},
			{"id that is no number", "ann", "GET", "/api/users/ann", "", 404, ""},
			{"wrong method", "ann", "DELETE", "/api/users", "", 405, ""},
			{"malformed JSON", "", "POST", "/api/register", `{"email": `, 400, ""},
			{"no object", "", "POST", "/api/register", `[]`, 400, ""},
			{"a slash at the end", "ann", "GET", "/api/users/{ann}/", "", 200, `{"user_id": {ann}, "data": {"user_id": {ann}, "username": "ann", "name": "ann the user", "date_joined": "…"}}`},

			register("as the README", `{"email": "docs@gmail.com", "username": "docs_user", "name": "docs", "password": "12345678"}`, 201, registered),
			register("in the query string", "", 400, `{"message": {"email": "…", "username": "…", "name": "…", "password": "…"}}`),
			register("one is missing", `{"email": "a@example.com", "username": "abc", "name": "abc"}`, 400, `{"message": {"password": "…"}}`),
			register("null", `{"email": "a@example.com", "username": null, "name": "abc", "password": "12345678"}`, 400, `{"message": {"username": "…"}}`),
			register("a list", `{"email": "a@example.com", "username": ["abc"], "name": "abc", "password": "12345678"}`, 400, `{"message": {"username": "…"}}`),
			register("numbers are texts", `{"email": "n@example.com", "username": 12345, "name": 678, "password": 12345678}`, 201, `{"email": "n@example.com", "message": "…"}`),
			register("no e-mail address", `{"email": "a", "username": "x", "name": "x", "password": "x"}`, 400, `{"message": "email: It is no e-mail address."}`),
			register("empty e-mail address", `{"email": "", "username": "x", "name": "x", "password": "x"}`, 400, `{"message": "email: It is no e-mail address."}`),
			register("short username", `{"email": "a@example.com", "username": "ab", "name": "x", "password": "x"}`, 400, `{"message": "username: It has from 3 to 25 characters."}`),
			register("long username", `{"email": "a@example.com", "username": "`+long+`", "name": "x", "password": "x"}`, 400, `{"message": "username: It has from 3 to 25 characters."}`),
			register("username with a space", `{"email": "a@example.com", "username": "a b c", "name": "abc", "password": "12345678"}`, 400, ""),
			register("short name", `{"email": "a@example.com", "username": "abc", "name": "ab", "password": "x"}`, 400, `{"message": "name: It has from 3 to 25 characters."}`),
			register("name of spaces", `{"email": "a@example.com", "username": "abc", "name": "    ", "password": "12345678"}`, 400, `{"message": "name: It has from 3 to 25 characters."}`),
			register("long name", `{"email": "a@example.com", "username": "abc", "name": "`+long+`", "password": "x"}`, 400, `{"message": "name: It has from 3 to 25 characters."}`),
			register("25 characters", `{"email": "b@example.com", "username": "`+long[1:]+`", "name": "`+long[1:]+`", "password": "12345678"}`, 201, `{"email": "b@example.com", "message": "…"}`),
			register("short password", `{"email": "a@example.com", "username": "abc", "name": "abc", "password": "1234567"}`, 400, `{"message": "password: A password has at least 8 characters."}`),
			register("password of 73 bytes", `{"email": "a@example.com", "username": "abc", "name": "abc", "password": "`+strings.Repeat("x", 73)+`"}`, 400, ""),
			register("known e-mail address", `{"email": "Ann@example.com", "username": "abc", "name": "abc", "password": "12345678"}`, 400, `{"message": "There is an account with this e-mail address."}`),
			register("taken username", `{"email": "a@example.com", "username": "Ann", "name": "abc", "password": "12345678"}`, 400, `{"message": "This username is taken."}`),

			{"update: both", "bob", "POST", "/api/update", `{"username": "docs2", "name": "newname2"}`, 202, `{"username": "docs2", "name": "newname2", "message": "…"}`},
			{"update: username alone", "docs2", "POST", "/api/update", `{"username": "bob", "name": ""}`, 202, `{"username": "bob", "message": "…"}`},
			{"update: name alone", "bob", "POST", "/api/update", `{"username": "bob", "name": "bob the user"}`, 202, `{"name": "bob the user", "message": "…"}`},
			{"update: what it is already", "bob", "POST", "/api/update", `{"username": "bob", "name": "bob the user"}`, 400, ""},
			{"update: empty", "bob", "POST", "/api/update", `{"username": "", "name": ""}`, 400, ""},
			{"update: nothing", "bob", "POST", "/api/update", "", 400, ""},
			{"update: null", "bob", "POST", "/api/update", `{"name": null}`, 400, `{"message": {"name": "…"}}`},
			{"update: taken username", "bob", "POST", "/api/update", `{"username": "ANN", "name": "another"}`, 400, ""},
			{"update: short username", "bob", "POST", "/api/update", `{"username": "bo"}`, 400, `{"message": "username: It has from 3 to 25 characters."}`},
			{"update: busy comes before length", "bob", "POST", "/api/update", `{"name": "x", "username": "{v1}"}`, 400, `{"message": "This username is taken."}`},
			{"update: short username before short name", "bob", "POST", "/api/update", `{"name": "x", "username": "zz"}`, 400, `{"message": "username: It has from 3 to 25 characters."}`},
			{"update: username before name", "bob", "POST", "/api/update", `{"name": null, "username": null}`, 400, `{"message": {"username": "…"}}`},
			{"update: long name", "bob", "POST", "/api/update", `{"name": "` + long + `"}`, 400, `{"message": "name: It has from 3 to 25 characters."}`},
			{"update: nobody", "", "POST", "/api/update", `{"name": "another"}`, 403, ""},
			{"none of it has changed anything", "bob", "GET", "/api/users/{bob}", "", 200, `{"user_id": {bob}, "data": {"user_id": {bob}, "username": "bob", "name": "bob the user", "date_joined": "…"}}`},

			{"forgot-password: no mail server", "", "POST", "/api/forgot-password", `{"email": "ann@example.com"}`, 501, ""},
			{"forgot-password: nothing", "", "POST", "/api/forgot-password", "", 400, `{"message": {"email": "…"}}`},
			{"reset-password: no mail server", "", "POST", "/api/reset-password", `{"token": "x", "password": "12345678"}`, 501, ""},
			{"reset-password: nothing", "", "POST", "/api/reset-password", "", 400, `{"message": {"token": "…", "password": "…"}}`},
		})
		s.part(t, "parameters in a form, and in the query string", func(*testing.T) {
			c := s.client
			c.Do("POST", "/api/register?email=q@example.com&username=query&name=Query", `{"password": "12345678"}`).Want(201)
			c.Do("POST", "/api/register?name=Form&email=x", "email=f%40example.com&username=form&password=12345678",
				"Content-Type", "application/x-www-form-urlencoded").Want(201)
			c.Do("GET", "/api/token", "", "Authorization", basic("f@example.com", "12345678")).Want(200)
		})
		s.part(t, "but for secrets, which would get into logs", func(t *testing.T) {
			c := s.client
			requireLike(t, `{"message": {"password": "…"}}`,
				c.Do("POST", "/api/register?email=s@example.com&username=secret&name=Secret&password=12345678", "").Want(400))
			requireLike(t, `{"message": {"token": "…", "password": "…"}}`,
				c.Do("POST", "/api/reset-password?token=x&password=12345678", "").Want(400))
		})
		s.part(t, "token", func(t *testing.T) {
			c := s.client
			answer := c.Do("GET", "/api/token", "", "Authorization", basic("ann", frontdoor.Password)).Want(200)
			requireLike(t, `{"token": "…", "expires_in": 3600}`, answer)
			first := "Bearer " + answer.Field("token").(string)
			again := c.Do("GET", "/api/token/", "", "Authorization", first).Want(200)
			requireLike(t, `{"token": "…", "expires_in": 3600}`, again)
			require.NotEqual(t, answer.Text, again.Text)
			for _, token := range []string{first, "Bearer " + again.Field("token").(string)} {
				require.Equal(t, s.named["ann"], s.id(c.Do("GET", "/api/chats", "", "Authorization", token).Want(200), "user_id"))
			}
			c.Get("/api/token").Want(403)
		})
		s.part(t, "a key gets no token", func(t *testing.T) {
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username": "ann", "password": "`+frontdoor.Password+`"}`).Want(200)
			key := v1.Post("/v1/me/keys", `{"name": "a program", "scopes": ["read"]}`).Want(200).Field("key").(string)
			c := s.client
			c.Do("GET", "/api/users", "", "Authorization", "Bearer "+key).Want(200)
			c.Do("GET", "/api/token", "", "Authorization", "Bearer "+key).Want(403)
			c.Do("POST", "/api/chats", `{"companion_id": `+s.named["bob"]+`}`, "Authorization", "Bearer "+key).Want(403)
		})
	})
}

// Contract 1, section 2: forgotten passwords.
func TestSimpleChatsReset(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{Plain: true})
		s := startSimpleChats(t, engine, fmt.Sprintf(`
			public_url https://chat.example.com
			smtp {
				host %s
				port %d
				tls off
				from chat@example.com
			}`, mails.Host, mails.Port), "ann", "bob")
		const ann = "ann@example.com"
		forget := func(email string) *frontdoor.Response {
			return s.client.Post("/api/forgot-password", `{"email": "`+email+`"}`)
		}
		mailed := func() smtptest.Mail {
			forget(ann).Want(200)
			for {
				if m := mails.Await(t, ann); strings.Contains(m.Subject, "Reset") {
					return m
				}
			}
		}
		s.run(t, []simpleRow{
			{"known", "", "POST", "/api/forgot-password", `{"email": "bob@example.com"}`, 200, `{"email": "bob@example.com", "message": "…"}`},
			{"unknown: the same answer", "", "POST", "/api/forgot-password", `{"email": "zoe@example.com"}`, 200, `{"email": "zoe@example.com", "message": "…"}`},
			{"no e-mail address", "", "POST", "/api/forgot-password", `{"email": "zoe"}`, 400, ""},
			{"token that is not valid", "", "POST", "/api/reset-password", `{"token": "x", "password": "12345678"}`, 400, ""},
		})
		m := mailed()
		require.Contains(t, m.Text, "Send this with a new password to https://chat.example.com/api/reset-password:\n"+m.Token(t)+"\n")
		for _, m := range mails.Mails() {
			require.NotContains(t, m.Raw, "/v1/", "the site has no such page")
			require.NotContains(t, m.Subject, "Confirm")
		}
		access := s.ask("ann", "GET", "/api/token", "").Want(200).Field("token").(string)
		s.named["token"], s.named["access"] = m.Token(t), access
		s.run(t, []simpleRow{
			{"a short password does not use it up", "", "POST", "/api/reset-password", `{"token": "{token}", "password": "1234567"}`, 400, `{"message": "password: A password has at least 8 characters."}`},
			{"a token to sign in with is none", "", "POST", "/api/reset-password", `{"token": "{access}", "password": "12345678"}`, 400, ""},
			{"reset", "", "POST", "/api/reset-password/", `{"token": "{token}", "password": "12345678"}`, 202, `{"email": "ann@example.com", "message": "…"}`},
			{"used", "", "POST", "/api/reset-password", `{"token": "{token}", "password": "another1"}`, 400, ""},
		})
		c := s.client
		c.Do("GET", "/api/users", "", "Authorization", "Bearer "+s.named["token"]).Want(401)
		c.Do("GET", "/api/users", "", "Authorization", "Bearer "+access).Want(401)
		s.ask("ann", "GET", "/api/users", "").Want(401)
		c.Do("GET", "/api/users", "", "Authorization", basic(ann, "12345678")).Want(200)

		s.part(t, "expired", func(t *testing.T) {
			token := mailed().Token(t)
			_, err := frontdoor.OpenDatabase(t, s.Database).ExecContext(t.Context(), `UPDATE one_time_tokens SET expires_at = 1`)
			require.NoError(t, err)
			s.client.Post("/api/reset-password", `{"token": "`+token+`", "password": "another1"}`).Want(400)
		})
	})
}

// Contract 1, sections 3 and 4: users and chats.
func TestSimpleChatsUsersAndChats(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "ann", "bob", "cid", "eve")
		s.chat("others", "cid", "eve")
		const none = "9223372036854775807"
		s.run(t, []simpleRow{
			{"users", "bob", "GET", "/api/users", "", 200, `{"user_id": {bob}, "data": [
				{"user_id": {ann}, "username": "ann", "name": "ann the user", "date_joined": "…"},
				{"user_id": {bob}, "username": "bob", "name": "bob the user", "date_joined": "…"},
				{"user_id": {cid}, "username": "cid", "name": "cid the user", "date_joined": "…"},
				{"user_id": {eve}, "username": "eve", "name": "eve the user", "date_joined": "…"}]}`},
			{"users: nobody", "", "GET", "/api/users/", "", 403, ""},
			{"user", "bob", "GET", "/api/users/{ann}", "", 200, `{"user_id": {bob}, "data": {"user_id": {ann}, "username": "ann", "name": "ann the user", "date_joined": "…"}}`},
			{"user: unknown", "bob", "GET", "/api/users/" + none, "", 404, ""},
			{"user: larger than any number", "bob", "GET", "/api/users/9" + none, "", 404, ""},
			{"user: nobody", "", "GET", "/api/users/{ann}", "", 403, ""},

			{"chats: none", "bob", "GET", "/api/chats", "", 200, `{"user_id": {bob}, "data": []}`},
			{"create: missing", "bob", "POST", "/api/chats", "", 400, `{"message": {"companion_id": "…"}}`},
			{"create: no number", "bob", "POST", "/api/chats", `{"companion_id": "x"}`, 400, `{"message": {"companion_id": "…"}}`},
			{"create: null", "bob", "POST", "/api/chats", `{"companion_id": null}`, 400, `{"message": {"companion_id": "…"}}`},
			{"create: half a user", "bob", "POST", "/api/chats", `{"companion_id": 1.5}`, 400, `{"message": {"companion_id": "…"}}`},
			{"create: unknown user", "bob", "POST", "/api/chats", `{"companion_id": 99}`, 404, ""},
			{"create: oneself", "bob", "POST", "/api/chats", `{"companion_id": {bob}}`, 400, ""},
			{"create: nobody", "", "POST", "/api/chats", `{"companion_id": {ann}}`, 403, ""},
		})
		made := s.ask("bob", "POST", "/api/chats/", `{"companion_id": "{ann}"}`).Want(201)
		s.named["chat"] = s.id(made, "chat_id")
		s.chat("second", "eve", "bob")
		s.run(t, []simpleRow{
			{"create: there is one", "bob", "POST", "/api/chats", `{"companion_id": {ann}}`, 400, ""},
			{"create: there is one, made by the other", "ann", "POST", "/api/chats", `{"companion_id": {bob}}`, 400, ""},
			{"chats", "bob", "GET", "/api/chats/?chat_id=1&limit=0", "", 200, `{"user_id": {bob}, "data": [
				{"chat_id": {chat}, "user1_id": {ann}, "user2_id": {bob}}, {"chat_id": {second}, "user1_id": {bob}, "user2_id": {eve}}]}`},
			{"chat", "bob", "GET", "/api/chats/{second}", "", 200, `{"user_id": {bob}, "data": {"chat_id": {second}, "user1_id": {bob}, "user2_id": {eve}}}`},
			{"chat: unknown", "bob", "GET", "/api/chats/" + none, "", 404, ""},
			{"chat: of others", "bob", "GET", "/api/chats/{others}", "", 403, ""},
			{"chat: nobody", "", "GET", "/api/chats/{others}", "", 403, ""},
			{"delete: unknown", "bob", "DELETE", "/api/chats/" + none, "", 404, ""},
			{"delete: of others", "bob", "DELETE", "/api/chats/{others}", "", 403, ""},
		})
		s.send("said", "bob", "chat", "soon gone")
		s.run(t, []simpleRow{
			{"delete: by either", "ann", "DELETE", "/api/chats/{chat}", "", 200, `{"user_id": {ann}, "chat_id": {chat}, "message": "Chat was successfully deleted"}`},
			{"delete: again", "ann", "DELETE", "/api/chats/{chat}", "", 404, ""},
			{"its messages are gone with it", "bob", "GET", "/api/chats/{chat}/messages/{said}", "", 404, ""},
			{"nor is it in the list", "bob", "GET", "/api/chats", "", 200, `{"user_id": {bob}, "data": [{"chat_id": {second}, "user1_id": {bob}, "user2_id": {eve}}]}`},
		})
		s.chat("again", "ann", "bob")
		s.part(t, "order of the fields", func(t *testing.T) {
			require.Regexp(t, `^\{"user_id":\d+,"companion_id":\d+,"chat_id":\d+,"message":"Chat was successfully created"\}\n$`, made.Text)
			require.Regexp(t, `^\{"user_id":\d+,"data":\[\{"user_id":\d+,"username":"ann","name":"ann the user","date_joined":"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000"\}`,
				s.ask("bob", "GET", "/api/users", "").Text)
		})
	})
}

// Contract 1, section 5: messages.
func TestSimpleChatsMessages(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "ann", "bob", "cid", "eve")
		s.chat("ab", "ann", "bob")
		s.chat("ac", "ann", "cid")
		s.chat("ce", "cid", "eve")
		const none = "9223372036854775807"
		send := func(name, as, chat, body string, status int, want string) simpleRow {
			return simpleRow{"send: " + name, as, "POST", "/api/chats/" + chat + "/messages", body, status, want}
		}
		s.run(t, []simpleRow{
			{"list: none", "ann", "GET", "/api/chats/{ab}/messages", "", 200, `{"user_id": {ann}, "chat_id": {ab}, "data": []}`},
			send("nobody", "", "{ab}", `{"texts": ["x"]}`, 403, ""),
			send("unknown chat, before the body is read", "ann", none, `{"texts": `, 404, ""),
			send("chat of others, before the body is read", "ann", "{ce}", `{"texts": `, 403, ""),
			send("malformed", "ann", "{ab}", `{"texts": `, 400, ""),
			send("missing", "ann", "{ab}", `{}`, 400, `{"message": {"texts": "…"}}`),
			send("none", "ann", "{ab}", `{"texts": []}`, 400, `{"message": {"texts": "…"}}`),
			send("null", "ann", "{ab}", `{"texts": null}`, 400, `{"message": {"texts": "…"}}`),
			send("a list of null", "ann", "{ab}", `{"texts": [null]}`, 400, `{"message": {"texts": "…"}}`),
			send("an empty one", "ann", "{ab}", `{"texts": ["not stored", ""]}`, 400, `{"message": {"texts": "…"}}`),
			send("one too long", "ann", "{ab}", `{"texts": ["`+strings.Repeat("x", 10_001)+`"]}`, 400, `{"message": {"texts": "…"}}`),
			send("101 of them", "ann", "{ab}", `{"texts": [`+strings.Repeat(`"x",`, 100)+`"x"]}`, 400, `{"message": {"texts": "…"}}`),
			{"none of it is stored", "ann", "GET", "/api/chats/{ab}/messages", "", 200, `{"user_id": {ann}, "chat_id": {ab}, "data": []}`},
			send("two", "ann", "{ab}", `{"texts": ["Hello", "How are you?"]}`, 201, `{"user_id": {ann}, "chat_id": {ab}, "message": "Your messages were successfully sent"}`),
			send("one", "bob", "{ab}", `{"texts": ["Fine"]}`, 201, `{"user_id": {bob}, "chat_id": {ab}, "message": "Your message was successfully sent"}`),
			send("a text alone", "bob", "{ab}", `{"texts": "And you?"}`, 201, `{"user_id": {bob}, "chat_id": {ab}, "message": "Your message was successfully sent"}`),
			send("numbers, and spaces", "ann", "{ab}", `{"texts": [42, "  "]}`, 201, `{"user_id": {ann}, "chat_id": {ab}, "message": "Your messages were successfully sent"}`),
		})
		type sent struct {
			ID       int64 `json:"message_id"`
			Text     string
			Sender   int64 `json:"sender_id"`
			Receiver int64 `json:"receiver_id"`
		}
		listed := s.ask("bob", "GET", "/api/chats/{ab}/messages/", "").Want(200)
		var list struct{ Data []sent }
		listed.Decode(&list)
		said := ""
		for _, m := range list.Data {
			said += fmt.Sprintf("%d to %d: %s\n", m.Sender, m.Receiver, m.Text)
		}
		require.Equal(t, s.filled("{ann} to {bob}: Hello\n{ann} to {bob}: How are you?\n{bob} to {ann}: Fine\n{bob} to {ann}: And you?\n{ann} to {bob}: 42\n{ann} to {bob}:   \n"), said)
		require.Regexp(t, `^\{"user_id":\d+,"chat_id":\d+,"data":\[\{"message_id":\d+,"datetime_writing":"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000","text":"Hello","sender_id":\d+,"receiver_id":\d+\}`, listed.Text)
		s.named["hello"], s.named["fine"] = strconv.FormatInt(list.Data[0].ID, 10), strconv.FormatInt(list.Data[2].ID, 10)
		s.named["escaped"] = strconv.FormatInt(list.Data[4].ID, 10)
		s.send("hers", "ann", "ac", "to cid")
		s.send("secret", "cid", "ce", "to eve")

		var rows []simpleRow
		for _, verb := range []struct{ method, body string }{{"GET", ""}, {"PUT", `{"text": "another"}`}, {"DELETE", ""}} {
			rows = append(rows,
				simpleRow{verb.method + ": nobody", "", verb.method, "/api/chats/{ab}/messages/{hello}", verb.body, 403, ""},
				simpleRow{verb.method + ": unknown chat", "ann", verb.method, "/api/chats/" + none + "/messages/{hello}", verb.body, 404, ""},
				simpleRow{verb.method + ": chat of others", "ann", verb.method, "/api/chats/{ce}/messages/{secret}", verb.body, 403, ""},
				simpleRow{verb.method + ": unknown message", "ann", verb.method, "/api/chats/{ab}/messages/" + none, verb.body, 404, ""},
				simpleRow{verb.method + ": of another chat of one's own", "ann", verb.method, "/api/chats/{ab}/messages/{hers}", verb.body, 403, ""},
				simpleRow{verb.method + ": of a chat of others", "ann", verb.method, "/api/chats/{ab}/messages/{secret}", verb.body, 404, ""},
				simpleRow{verb.method + ": no number", "ann", verb.method, "/api/chats/{ab}/messages/x", verb.body, 404, ""},
			)
			if verb.method != "GET" {
				rows = append(rows, simpleRow{verb.method + ": somebody else's", "ann", verb.method, "/api/chats/{ab}/messages/{fine}", verb.body, 403, ""})
			}
		}
		about := `"user_id": {ann}, "chat_id": {ab}`
		s.run(t, append(rows, []simpleRow{
			{"GET", "ann", "GET", "/api/chats/{ab}/messages/{fine}/", "", 200, `{` + about + `, "data": {"message_id": {fine}, "datetime_writing": "…", "text": "Fine", "sender_id": {bob}, "receiver_id": {ann}}}`},
			{"PUT: no text, before anything else", "ann", "PUT", "/api/chats/" + none + "/messages/{hello}", "", 400, `{"message": {"text": "…"}}`},
			{"PUT: null", "ann", "PUT", "/api/chats/{ab}/messages/{hello}", `{"text": null}`, 400, `{"message": {"text": "…"}}`},
			{"PUT: empty", "ann", "PUT", "/api/chats/{ab}/messages/{hello}", `{"text": ""}`, 400, `{"message": {"text": "…"}}`},
			{"PUT", "ann", "PUT", "/api/chats/{ab}/messages/{hello}", `{"text": "I was changed"}`, 200, `{` + about + `, "message_id": {hello}, "text": "I was changed", "message": "Message {hello} was successfully updated"}`},
			{"PUT shows", "ann", "GET", "/api/chats/{ab}/messages/{hello}", "", 200, `{` + about + `, "data": {"message_id": {hello}, "datetime_writing": "…", "text": "I was changed", "sender_id": {ann}, "receiver_id": {bob}}}`},
			{"DELETE", "ann", "DELETE", "/api/chats/{ab}/messages/{hello}", "", 200, `{` + about + `, "message_id": {hello}, "message": "Message {hello} was successfully deleted"}`},
			{"DELETE: again", "ann", "DELETE", "/api/chats/{ab}/messages/{hello}", "", 404, ""},
			{"GET: deleted", "bob", "GET", "/api/chats/{ab}/messages/{hello}", "", 404, ""},
			{"PUT: the longest there is, escaped", "ann", "PUT", "/api/chats/{ab}/messages/{escaped}", `{"text": "` + strings.Repeat(`\ud83d\udc4d`, 10_000) + `"}`, 200, `{` + about + `, "message_id": {escaped}, "text": "…", "message": "…"}`},
			{"PUT: deleted", "ann", "PUT", "/api/chats/{ab}/messages/{hello}", `{"text": "another"}`, 404, ""},
			{"list: nobody", "", "GET", "/api/chats/{ab}/messages", "", 403, ""},
			{"list: unknown chat", "ann", "GET", "/api/chats/" + none + "/messages", "", 404, ""},
			{"list: chat of others", "ann", "GET", "/api/chats/{ce}/messages", "", 403, ""},
			{"list: without those deleted", "ann", "GET", "/api/chats/{ac}/messages", "", 200, `{"user_id": {ann}, "chat_id": {ac}, "data": [{"message_id": {hers}, "datetime_writing": "…", "text": "to cid", "sender_id": {ann}, "receiver_id": {cid}}]}`},
		}...))
		require.NotContains(t, s.ask("ann", "GET", "/api/chats/{ab}/messages", "").Text, "message_id\":"+s.named["hello"]+",")

		s.part(t, "an idempotency key", func(t *testing.T) {
			for range 2 {
				s.ask("ann", "POST", "/api/chats/{ac}/messages", `{"texts": ["only", "once"]}`, "Idempotency-Key", "a key").Want(201)
			}
			require.Equal(t, 1, strings.Count(s.ask("ann", "GET", "/api/chats/{ac}/messages", "").Text, `"once"`))
			for path, texts := range map[string]string{"{ac}": `["only", "once", "more"]`, "{ab}": `["only", "once"]`} {
				s.ask("ann", "POST", "/api/chats/"+path+"/messages", `{"texts": `+texts+`}`, "Idempotency-Key", "a key").Want(400)
			}
		})
		s.part(t, "texts in a form", func(t *testing.T) {
			s.ask("ann", "POST", "/api/chats/{ac}/messages", "texts=one+more&texts=two+more", "Content-Type", "application/x-www-form-urlencoded").Want(201)
			require.Contains(t, s.ask("cid", "GET", "/api/chats/{ac}/messages", "").Text, "two more")
		})
		s.part(t, "a body that is too large", func(t *testing.T) {
			requireLike(t, "", s.ask("ann", "POST", "/api/chats/{ac}/messages", `{"texts": "`+strings.Repeat("x", 1<<20)+`"}`).Want(413))
		})
		s.part(t, "more than are read at once", func(t *testing.T) {
			for range 4 {
				s.ask("cid", "POST", "/api/chats/{ce}/messages", `{"texts": [`+strings.Repeat(`"many",`, 99)+`"many"]}`).Want(201)
			}
			for _, order := range []string{"", "?ordered-by-desc=datetime_writing", "?ordered-by=sender_id"} {
				var all struct{ Data []sent }
				s.ask("eve", "GET", "/api/chats/{ce}/messages"+order, "").Want(200).Decode(&all)
				require.Len(t, all.Data, 401, order)
				seen := map[int64]bool{}
				for i, m := range all.Data {
					seen[m.ID] = true
					if i > 0 {
						require.Equal(t, strings.Contains(order, "desc"), m.ID < all.Data[i-1].ID, order)
					}
				}
				require.Len(t, seen, 401)
			}
		})
	})
}

// Contract 1, section 6: the filters of lists.
func TestSimpleChatsFilters(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "docs_user", "dima", "ann", "anton")
		s.chat("chat", "docs_user", "ann")
		for i, text := range []string{"Hello", "How are you?", "100%", "1000"} {
			s.send(fmt.Sprintf("m%d", i+1), []string{"docs_user", "ann"}[i/2], "chat", text)
		}
		db := frontdoor.OpenDatabase(t, s.Database)
		for name, at := range map[string]time.Time{"m1": time.Date(2021, 5, 20, 13, 47, 20, 1000, time.UTC), "m2": time.Date(2021, 5, 20, 13, 47, 20, 999_999_000, time.UTC), "m3": time.Date(2021, 5, 20, 13, 47, 21, 0, time.UTC)} {
			_, err := db.ExecContext(t.Context(), `UPDATE messages SET created_at = $1 WHERE id = $2`, at.UnixMicro(), s.named[name])
			require.NoError(t, err)
		}
		_, err := db.ExecContext(t.Context(), `UPDATE users SET created_at = $1 WHERE username = 'dima'`, time.Date(2021, 5, 20, 12, 8, 2, 5000, time.UTC).UnixMicro())
		require.NoError(t, err)
		const everybody = "docs_user dima ann anton"
		for _, row := range []struct{ name, query, want string }{
			{"as the README: names", "username=docs_user&name=docs_user+the+user", "docs_user"},
			{"as the README: like", "username-like=an", "ann anton"},
			{"like, in capitals", "name-like=AN", "ann anton"},
			{"both must hold", "username-like=an&username-like=x&name-like=ton", "anton"},
			{"case counts", "username=ANN", ""},
			{"by id", "user_id={dima}", "dima"},
			{"by time", "date_joined=Thu,%2020%20May%202021%2012:08:02%20-0000", "dima"},
			{"by time, RFC 3339", "date_joined=2021-05-20T12:08:02Z", "dima"},
			{"by another time", "date_joined=2021-05-20T12:08:03Z", ""},
			{"ordered", "ordered-by=username", "ann anton dima docs_user"},
			{"ordered, backwards", "ordered-by-desc=user_id", "anton ann dima docs_user"},
			{"limit", "limit=2", "docs_user dima"},
			{"limit and offset", "limit=2&offset=1", "dima ann"},
			{"offset alone, wherever it stands", "offset=3&ordered-by-desc=username", "ann"},
			{"limit 0", "limit=0", ""},
			{"like takes no wildcards", "username-like=%25", ""},
			{"nor these", "username-like=_", "docs_user"},
			{"ignored: limit", "limit=abc", everybody},
			{"ignored: negative limit", "limit=-1&offset=-1", everybody},
			{"ignored: unknown names", "nothing=1&ordered-by=nothing&username-unlike=x", everybody},
			{"ignored: no id", "user_id=abc", everybody},
			{"ignored: no time", "date_joined=yesterday", everybody},
			{"ignored: like of what is no text", "user_id-like=1", everybody},
			{"ignored: what is not shown", "email=ann@example.com&password_hash-like=a&email-like=ann&ordered-by=email", everybody},
			{"ignored: what can't be stored", "username=%00&name=%ff", everybody},
		} {
			s.part(t, "users: "+row.name, func(t *testing.T) {
				var found struct{ Data []struct{ Username string } }
				s.ask("ann", "GET", "/api/users?"+row.query, "").Want(200).Decode(&found)
				got := make([]string, len(found.Data))
				for i, u := range found.Data {
					got[i] = u.Username
				}
				require.Equal(t, row.want, strings.Join(got, " "))
			})
		}
		for _, row := range []struct{ name, query, want string }{
			{"as the README: order", "ordered-by-desc=datetime_writing", "m4 m3 m2 m1"},
			{"as the README: order and limit", "ordered-by-desc=datetime_writing&limit=1", "m4"},
			{"limit and offset, backwards", "offset=1&limit=2&ordered-by-desc=message_id", "m3 m2"},
			{"by id", "message_id={m2}", "m2"},
			{"by text", "text=Hello", "m1"},
			{"like", "text-like=O", "m1 m2"},
			{"like takes no wildcards", "text-like=0%25", "m3"},
			{"by sender", "sender_id={ann}", "m3 m4"},
			{"by receiver", "receiver_id={ann}", "m1 m2"},
			{"by chat", "chat_id={chat}", "m1 m2 m3 m4"},
			{"by another chat", "chat_id=999999", ""},
			{"by time: the whole second", "datetime_writing=Thu,%2020%20May%202021%2013:47:20%20-0000", "m1 m2"},
			{"by time: the next one", "datetime_writing=2021-05-20T15:47:21%2B02:00", "m3"},
			{"order of several", "ordered-by-desc=sender_id&ordered-by=text", "m3 m4 m1 m2"},
			{"order by the chat is none", "ordered-by-desc=chat_id&ordered-by-desc=message_id", "m4 m3 m2 m1"},
			{"limit 0", "limit=0", ""},
			{"ignored", "limit=abc&offset=x&nothing=1&ordered-by=nothing&sender_id=ann&datetime_writing=now", "m1 m2 m3 m4"},
		} {
			s.part(t, "messages: "+row.name, func(t *testing.T) {
				var found struct {
					Data []struct {
						ID int64 `json:"message_id"`
					}
				}
				s.ask("ann", "GET", "/api/chats/{chat}/messages?"+row.query, "").Want(200).Decode(&found)
				got := make([]string, len(found.Data))
				for i, m := range found.Data {
					for _, name := range []string{"m1", "m2", "m3", "m4"} {
						if s.named[name] == strconv.FormatInt(m.ID, 10) {
							got[i] = name
						}
					}
				}
				require.Equal(t, row.want, strings.Join(got, " "))
			})
		}
	})
}

// What others do by v1, as this API shows it; and what it does not.
func TestSimpleChatsBesideV1(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := startSimpleChats(t, engine, "", "ann", "bob")
		zoe := frontdoor.SignUp(t, s.URL2, "zoe")
		group := zoe.Post("/v1/group_chat", "").Want(200)
		s.named["group"], s.named["zoe"] = s.id(group, "chat_id"), s.id(zoe.Get("/v1/me"), "id")
		zoe.Post("/v1/group_chat/"+s.named["group"]+"/participants", `{"username": "ann"}`).Want(200)
		said := zoe.Post("/v1/messages", `{"group_chat_id": `+s.named["group"]+`, "message": "to the group"}`).Want(200)
		s.named["said"] = s.id(said, "id")
		direct := zoe.Post("/v1/messages", `{"dest_username": "ann", "message": "to ann"}`).Want(200)
		s.named["direct"], s.named["first"] = s.id(direct, "chat_id"), s.id(direct, "id")
		note := zoe.Post("/v1/messages", `{"dest_username": "zoe", "message": "to myself"}`).Want(200)
		s.named["notes"] = s.id(note, "chat_id")
		s.run(t, []simpleRow{
			{"a group is not there", "ann", "GET", "/api/chats/{group}", "", 404, ""},
			{"nor are its messages", "ann", "GET", "/api/chats/{group}/messages", "", 404, ""},
			{"not by another chat either", "ann", "GET", "/api/chats/{direct}/messages/{said}", "", 404, ""},
			{"it can't be deleted", "zoe", "DELETE", "/api/chats/{group}", "", 404, ""},
			{"nor written to", "ann", "POST", "/api/chats/{group}/messages", `{"texts": ["x"]}`, 404, ""},
			{"direct chats are", "ann", "GET", "/api/chats", "", 200, `{"user_id": {ann}, "data": [{"chat_id": {direct}, "user1_id": {ann}, "user2_id": {zoe}}]}`},
			{"notes to oneself are chats with oneself", "zoe", "GET", "/api/chats/{notes}", "", 200, `{"user_id": {zoe}, "data": {"chat_id": {notes}, "user1_id": {zoe}, "user2_id": {zoe}}}`},
			{"who has no name is shown by the username", "ann", "GET", "/api/users?name=zoe", "", 200, `{"user_id": {ann}, "data": [{"user_id": {zoe}, "username": "zoe", "name": "zoe", "date_joined": "…"}]}`},
		})
		s.ask("ann", "POST", "/api/chats/{direct}/messages", `{"texts": ["hello zoe"]}`).Want(201)
		require.Contains(t, zoe.Get("/v1/chats/"+s.named["direct"]+"/messages").Text, "hello zoe")
		zoe.Do("PATCH", "/v1/messages/"+s.named["first"], `{"text": "to ann, edited"}`).Want(200)
		require.Contains(t, s.ask("ann", "GET", "/api/chats/{direct}/messages", "").Text, "to ann, edited")
		zoe.Delete("/v1/messages/" + s.named["first"]).Want(200)
		require.NotContains(t, s.ask("ann", "GET", "/api/chats/{direct}/messages", "").Text, s.named["first"]+`,"datetime`)

		zoe.Do("PUT", "/v1/blocks/ann", "").Want(200)
		zoe.Do("PUT", "/v1/blocks/bob", "").Want(200)
		s.run(t, []simpleRow{
			{"send: blocked", "ann", "POST", "/api/chats/{direct}/messages", `{"texts": ["x"]}`, 403, ""},
			{"create: blocked", "bob", "POST", "/api/chats", `{"companion_id": {zoe}}`, 403, ""},
		})
		zoe.Delete("/v1/me").Want(200)
		s.run(t, []simpleRow{
			{"a deleted user is not there", "ann", "GET", "/api/users/{zoe}", "", 404, ""},
			{"a deleted user is not listed", "ann", "GET", "/api/users?user_id={zoe}", "", 200, `{"user_id": {ann}, "data": []}`},
			{"create: with a deleted user", "bob", "POST", "/api/chats", `{"companion_id": {zoe}}`, 404, ""},
			{"their chats are", "ann", "GET", "/api/chats/{direct}", "", 200, `{"user_id": {ann}, "data": {"chat_id": {direct}, "user1_id": {ann}, "user2_id": {zoe}}}`},
		})
	})
}

// Who sends too much is told when to go on.
func TestSimpleChatsLimits(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: strings.ReplaceAll(caddyfile("simple_chats", ""), "rate_limits off", "rate_limits {\nsends 1/1h 2\n}")})
	c := frontdoor.NewClient(t, s.URL)
	c.Unchecked = "it speaks simple_chats"
	for _, name := range []string{"ann", "bob"} {
		c.Post("/api/register", fmt.Sprintf(`{"email": "%[1]s@example.com", "username": "%[1]s", "name": "%[1]s", "password": "12345678"}`, name)).Want(201)
	}
	ann := basic("ann", "12345678")
	chatID := c.Do("POST", "/api/chats", `{"companion_id": 2}`, "Authorization", ann).Want(201).Field("chat_id")
	send := func() *frontdoor.Response {
		return c.Do("POST", fmt.Sprintf("/api/chats/%v/messages", chatID), `{"texts": ["x", "y"]}`, "Authorization", ann)
	}
	send().Want(201)
	refused := send().Want(http.StatusTooManyRequests)
	requireLike(t, "", refused)
	seconds, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
}

// TestSimpleChatsTour runs the walk-through of docs/dialects/simple_chats.md.
func TestSimpleChatsTour(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", "dialects", "simple_chats.md"))
		require.NoError(t, err)
		s := start(t, engine, "simple_chats", "")
		frontdoor.Tour{Text: string(text), Addresses: map[string]string{"localhost:12001": strings.TrimPrefix(s.URL, "http://")}}.Run(t)
	})
}
