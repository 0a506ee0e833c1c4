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
