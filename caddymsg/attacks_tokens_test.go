package caddymsg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// bearer asks with a token, and nothing else.
func bearer(t *testing.T, base, token, method, path, body string) *frontdoor.Response {
	t.Helper()
	return program(t, base, "Authorization", "Bearer "+token).Do(method, path, body)
}

func refreshBody(t *testing.T, token string) string {
	t.Helper()
	return frontdoor.JSON(t, map[string]string{"refresh_token": token})
}

// Somebody has copied a refresh token, and one of the two uses it first.
func TestAttackRefreshTokenReplay(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		thief := frontdoor.NewClient(t, s.URL)
		refresh := func(token string) *frontdoor.Response {
			return thief.Post("/v1/auth/token", refreshBody(t, token))
		}
		signedIn := func(token string) int { return may(t, s.URL, token) }

		t.Run("used for the second time", func(t *testing.T) {
			other := newTokensOf(t, s.URL, "victim")
			first := newTokensOf(t, s.URL, "victim")
			live := thief.Socket("/v1/ws", "Authorization", "Bearer "+first.AccessToken)
			require.Equal(t, "hello", live.Next().Type)
			second := decode[tokensAnswer](refresh(first.RefreshToken))
			require.Equal(t, first.SessionID, second.SessionID)
			require.Equal(t, 401, signedIn(first.AccessToken), "it goes with its refresh token")
			require.Equal(t, 200, signedIn(second.AccessToken))

			requireAnswer(t, refresh(first.RefreshToken), 401, "token_revoked", "")
			require.Equal(t, 401, signedIn(second.AccessToken), "nobody knows which of the two is the thief")
			requireAnswer(t, refresh(second.RefreshToken), 401, "token_revoked", "")
			require.Contains(t, live.WantClose(4100), "session_ended")
			require.Equal(t, 200, signedIn(other.AccessToken), "other sessions go on")
			victim.Get("/v1/me").Want(200)
			require.Contains(t, s.Log(), "a refresh token was used again")
			require.NotContains(t, s.Log(), first.RefreshToken)
		})
		t.Run("much later", func(t *testing.T) {
			first := newTokensOf(t, s.URL, "victim")
			last := first
			for range 5 {
				last = decode[tokensAnswer](refresh(last.RefreshToken))
			}
			requireAnswer(t, refresh(first.RefreshToken), 401, "token_revoked", "")
			require.Equal(t, 401, signedIn(last.AccessToken))
		})
		t.Run("by many at once", func(t *testing.T) {
			first := newTokensOf(t, s.URL, "victim")
			answers := make(chan *frontdoor.Response)
			for range 8 {
				go func() {
					r, err := frontdoor.NewClient(t, s.URL).Try(t.Context(), "POST", "/v1/auth/token", refreshBody(t, first.RefreshToken))
					assert.NoError(t, err)
					answers <- r
				}()
			}
			var good []tokensAnswer
			for range 8 {
				if r := <-answers; r != nil && r.StatusCode == 200 {
					good = append(good, decode[tokensAnswer](r))
				}
			}
			require.Len(t, good, 1, "it is good once")
			require.Equal(t, 401, signedIn(good[0].AccessToken))
		})
		t.Run("after signing out", func(t *testing.T) {
			tokens := newTokensOf(t, s.URL, "victim")
			require.Equal(t, 200, bearer(t, s.URL, tokens.AccessToken, "POST", "/v1/auth/logout", "").StatusCode)
			requireAnswer(t, refresh(tokens.RefreshToken), 401, "token_revoked", "")
			require.Equal(t, 401, signedIn(tokens.AccessToken))
		})
		t.Run("for what it is not", func(t *testing.T) {
			tokens := newTokensOf(t, s.URL, "victim")
			require.Equal(t, 401, signedIn(tokens.RefreshToken), "it opens nothing by itself")
			requireAnswer(t, refresh(tokens.AccessToken), 400, "token_malformed", "refresh_token")
			require.Equal(t, 200, signedIn(tokens.AccessToken))
			require.Equal(t, 200, refresh(tokens.RefreshToken).StatusCode)
		})
	})
}

type keyAnswer struct {
	ID  int64
	Key string
}

func newKey(t *testing.T, c *frontdoor.Client, scopes ...string) keyAnswer {
	t.Helper()
	return decode[keyAnswer](c.Post("/v1/me/keys", frontdoor.JSON(t, map[string]any{"name": "bot", "scopes": scopes})))
}

// A program that was given a key for little wants more.
func TestAttackScopeEscalation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: adminCaddyfile})
		root := frontdoor.SignUp(t, s.URL, "root")
		lifeReload(t, s, adminCaddyfile, root) // which makes root an administrator
		root.Get("/v1/admin/users").Want(200)
		victim := frontdoor.SignUp(t, s.URL, "victim")
		send(t, victim, "root", "hi")

		insufficient := func(t *testing.T, key, call, body string) {
			t.Helper()
			method, path, _ := strings.Cut(call, " ")
			requireAnswer(t, bearer(t, s.URL, key, method, path, body), 403, "insufficient_scope", "")
		}
		const writing = `{"dest_username":"root","message":"by a program"}`
		t.Run("read", func(t *testing.T) {
			key := newKey(t, victim, "read").Key
			require.Equal(t, 200, bearer(t, s.URL, key, "GET", "/v1/messages", "").StatusCode)
			insufficient(t, key, "POST /v1/messages", writing)
			insufficient(t, key, "PATCH /v1/me", `{"about":"x"}`)
			insufficient(t, key, "DELETE /v1/messages/1", "")
			socket := frontdoor.NewClient(t, s.URL).Socket("/v1/ws", "Authorization", "Bearer "+key)
			refused := socket.Command("message.send", map[string]any{"dest_username": "root", "text": "by a program"})
			require.Equal(t, "error", refused.Type, refused.Text)
			require.Equal(t, "insufficient_scope", refused.Field("code"))
			require.Equal(t, "answer", socket.Command("ping", nil).Type)
		})
		t.Run("write", func(t *testing.T) {
			key := newKey(t, victim, "write").Key
			require.Equal(t, 200, bearer(t, s.URL, key, "POST", "/v1/messages", writing).StatusCode)
			insufficient(t, key, "GET /v1/messages", "")
			send(t, root, "victim", "very secret")
			for _, call := range []string{`POST /v1/chats {"username":"root"}`, `PATCH /v1/chats/1 {"archived":false}`} {
				method, rest, _ := strings.Cut(call, " ")
				path, body, _ := strings.Cut(rest, " ")
				r := bearer(t, s.URL, key, method, path, body)
				require.Equal(t, 200, r.StatusCode, r.Text)
				require.NotContains(t, r.Text, "last_message")
				require.NotContains(t, r.Text, "secret")
				require.Contains(t, victim.Do(method, path, body).Want(200).Text, "very secret")
			}
		})
		t.Run("admin, of nobody in particular", func(t *testing.T) {
			r := victim.Post("/v1/me/keys", `{"name":"bot","scopes":["admin"]}`)
			if r.StatusCode == 200 {
				key := decode[keyAnswer](r).Key
				requireAnswer(t, bearer(t, s.URL, key, "GET", "/v1/admin/users", ""), 403, "admin_required", "")
			} else {
				requireAnswer(t, r, 403, "admin_required", "")
			}
		})
		t.Run("none, of an administrator", func(t *testing.T) {
			key := newKey(t, root, "read", "write").Key
			require.Equal(t, 200, bearer(t, s.URL, key, "GET", "/v1/me", "").StatusCode)
			insufficient(t, key, "GET /v1/admin/users", "")
			insufficient(t, key, "DELETE /v1/admin/users/2", "")
		})
		t.Run("when the role is gone", func(t *testing.T) {
			victim.Get("/v1/me").Want(200)
			id := victim.Get("/v1/me").Field("id")
			root.Do("PATCH", fmt.Sprint("/v1/admin/users/", id), `{"admin":true}`).Want(200)
			key := newKey(t, victim, "admin").Key
			require.Equal(t, 200, bearer(t, s.URL, key, "GET", "/v1/admin/users", "").StatusCode)
			root.Do("PATCH", fmt.Sprint("/v1/admin/users/", id), `{"admin":false}`).Want(200)
			requireAnswer(t, bearer(t, s.URL, key, "GET", "/v1/admin/users", ""), 403, "admin_required", "")
		})
		t.Run("what is no scope", func(t *testing.T) {
			for _, scopes := range []string{`[]`, `["account"]`, `["read","account"]`, `["*"]`, `["all"]`, `["read write"]`, `["Read"]`, `[""]`, `null`, `"read"`} {
				r := victim.Post("/v1/me/keys", `{"name":"bot","scopes":`+scopes+`}`)
				require.Equal(t, 400, r.StatusCode, "%s: %s", scopes, r.Text)
			}
		})
		t.Run("with a better cookie beside it", func(t *testing.T) {
			key := newKey(t, victim, "read").Key
			for _, header := range [][2]string{{"Authorization", "Bearer " + key}, {"X-API-Key", key}} {
				requireAnswer(t, victim.Do("POST", "/v1/messages", writing, header[0], header[1]), 403, "insufficient_scope", "")
			}
		})
	})
}

// A key that has got out is used to make itself another one, or to take the account over.
func TestAttackKeyMakesKey(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		victim := frontdoor.SignUp(t, s.URL, "victim")
		key := newKey(t, victim, "read", "write", "admin")
		before := victim.Get("/v1/me/sessions").Want(200).Text
		for _, call := range []string{
			`POST /v1/me/keys {"name":"another","scopes":["read"]}`,
			`GET /v1/me/sessions`, `DELETE /v1/me/sessions`, `DELETE /v1/me/sessions?others=true`, fmt.Sprintf(`DELETE /v1/me/sessions/%d`, key.ID),
			`POST /v1/me/password {"current_password":"` + frontdoor.Password + `","password":"something else entirely"}`,
			`PUT /v1/me/email {"email":"mallory@example.com","password":"` + frontdoor.Password + `"}`,
			`POST /v1/me/email/verification`, `PATCH /v1/me {"username":"mallory"}`, `DELETE /v1/me`, `GET /v1/me/export`, `POST /v1/auth/logout`,
		} {
			method, rest, _ := strings.Cut(call, " ")
			path, body, _ := strings.Cut(rest, " ")
			requireAnswer(t, bearer(t, s.URL, key.Key, method, path, body), 403, "insufficient_scope", "")
		}
		require.Equal(t, before, victim.Get("/v1/me/sessions").Want(200).Text)
		victim.Delete(fmt.Sprint("/v1/me/sessions/", key.ID)).Want(200)
		require.Equal(t, 401, bearer(t, s.URL, key.Key, "GET", "/v1/me", "").StatusCode)
	})
}

// A key with the scope admin, and a cookie that was stolen, are an administrator's: what
// an administrator may change of others, they may not of the account itself.
func TestAttackAdministratorTakenOver(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: adminCaddyfile})
		root := frontdoor.SignUp(t, s.URL, "root")
		lifeReload(t, s, adminCaddyfile, root)
		key := newKey(t, root, "admin").Key
		victim := frontdoor.SignUp(t, s.URL, "victim")
		own := fmt.Sprint("/v1/admin/users/", root.Get("/v1/me").Want(200).Field("id"))
		before := root.Get("/v1/me").Text
		for field, body := range map[string]string{
			"password": `{"password":"something else entirely"}`,
			"email":    `{"about":"x","email":"mallory@example.com"}`,
		} {
			requireAnswer(t, bearer(t, s.URL, key, "PATCH", own, body), 400, "cannot_change_self", field)
			requireAnswer(t, root.Do("PATCH", own, body), 400, "cannot_change_self", field)
		}
		require.Equal(t, before, root.Get("/v1/me").Want(200).Text)
		signIn(t, s.URL, "root", frontdoor.Password)
		theirs := fmt.Sprint("/v1/admin/users/", victim.Get("/v1/me").Field("id"))
		require.Equal(t, 200, bearer(t, s.URL, key, "PATCH", theirs, `{"password":"something else entirely"}`).StatusCode)
	})
}

// longest is a text of as many bytes as a password may have.
var longest = strings.Repeat("open sesame ", 6)

// twins are pairs of passwords that a careless server would take for the same.
var twins = map[string][2]string{
	"behind 72 bytes":             {longest, longest + "y"},
	"behind 72 bytes of letters":  {strings.Repeat("éäöüßñçåø", 4), strings.Repeat("éäöüßñçåø", 4) + "é"},
	"the last of 72 bytes":        {longest[:71] + "y", longest},
	"twice, with a NUL between":   {"lanternhedge", "lanternhedge\x00lanternhedge"},
	"behind a NUL":                {"lanternhedge", "lanternhedge\x00"},
	"upper and lower case":        {"lanternhedge", "Lanternhedge"},
	"spaces around it":            {"lanternhedge", " lanternhedge "},
	"a space in it":               {"lantern hedge", "lanternhedge"},
	"composed and decomposed":     {"caf\u00e9 au lait", "cafe\u0301 au lait"},
	"full and half width":         {"lanternhedge", "ｌａｎｔｅｒｎｈｅｄｇｅ"},
	"of 64 characters, and of 65": {longest[:64], longest[:65]},
}

// Somebody knows the beginning of a long password, or how it is spelt but for details.
func TestAttackLongPasswordTruncation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: withoutLimits})
		n := 0
		for what, twin := range twins {
			t.Run(what, func(t *testing.T) {
				n++
				c, name := frontdoor.NewClient(t, s.URL), fmt.Sprint("victim", n)
				c.Post("/v1/auth/register", credentials(t, name, twin[0])).Want(200)
				c.Post("/v1/auth/login", credentials(t, name, twin[0])).Want(200)
				requireAnswer(t, c.Post("/v1/auth/login", credentials(t, name, twin[1])), 400, "bad_credentials", "")
				c.Post("/v1/auth/token", credentials(t, name, twin[0])).Want(200)
				requireAnswer(t, c.Post("/v1/auth/token", credentials(t, name, twin[1])), 400, "bad_credentials", "")
				requireAnswer(t, c.Post("/v1/me/password", frontdoor.JSON(t, map[string]string{
					"current_password": twin[1], "password": "something else entirely",
				})), 400, "wrong_password", "current_password")
			})
		}
		c := frontdoor.SignUp(t, s.URL, "owner")
		for password, code := range map[string]string{
			strings.Repeat("x", 73): "password_too_long", strings.Repeat("é", 37): "password_too_long",
			strings.Repeat("x", 5000): "password_too_long", "abcdefgh\x00": "password_invalid",
		} {
			requireAnswer(t, c.Post("/v1/auth/register", credentials(t, "another", password)), 400, code, "password")
			requireAnswer(t, c.Post("/v1/me/password", frontdoor.JSON(t, map[string]string{
				"current_password": frontdoor.Password, "password": password,
			})), 400, code, "password")
		}
	})
}
