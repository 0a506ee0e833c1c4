package caddymsg_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// scopes are what the document says that a key needs for an operation; nil, if nobody
// has to be signed in.
func (op operation) scopes() []string {
	for _, way := range op.Security {
		if scopes, ok := way["key"]; ok {
			return scopes
		}
	}
	return nil
}

// newKeyOf makes a key of somebody's that has some scopes.
func newKeyOf(c *frontdoor.Client, scopes ...string) string {
	body := fmt.Sprintf(`{"name":"bot","scopes":["%s"]}`, strings.Join(scopes, `","`))
	return c.Post("/v1/me/keys", body).Want(http.StatusOK).Field("key").(string)
}

func basicAuth(username, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
}

// ofTheAccount are the operations that are about the account itself, which no key may
// ask for; of a path, without a method, all.
var ofTheAccount = []string{
	"PATCH /v1/me", "DELETE /v1/me", "/v1/me/password", "/v1/me/email", "/v1/me/email/verification",
	"/v1/me/sessions", "/v1/me/sessions/{session_id}", "/v1/me/keys", "/v1/me/export", "/v1/auth/logout",
}

// TestScopes asks for every operation with keys of every scope, of an administrator and
// of somebody else.
func TestScopes(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		w := newWorld(t, engine)
		key := func(who string, scopes ...string) string {
			body := fmt.Sprintf(`{"name":"bot","scopes":["%s"]}`, strings.Join(scopes, `","`))
			return w.must(who, "POST", "/v1/me/keys", body).Field("key").(string)
		}
		keys := map[string][2]string{}
		for _, scope := range []string{"read", "write", "admin"} {
			keys[scope] = [2]string{key("mia", scope), key("root", scope)}
		}
		all := key("root", "admin", "write", "read")
		for _, id := range slices.Sorted(maps.Keys(w.operations())) {
			op := w.operations()[id]
			documented := op.scopes()
			if documented == nil {
				continue // nobody has to be signed in
			}
			var need string
			switch {
			case slices.Contains(ofTheAccount, op.path), slices.Contains(ofTheAccount, op.method+" "+op.path):
				need = "account"
			case strings.HasPrefix(op.path, "/v1/admin/"):
				need = "admin"
			case op.method == http.MethodGet:
				need = "read"
			default:
				need = "write"
			}
			t.Run(id, func(t *testing.T) {
				require.Equal(t, []string{need}, documented)
				// What there is not, so that nothing is done.
				path := strings.NewReplacer("{token}", "token", "{emoji}", "like").Replace(op.path)
				path = segmentPattern.ReplaceAllString(path, "999999999")
				for scope, of := range keys {
					for i, who := range []string{"mia", "root"} {
						r := w.client.Do(op.method, path, "", "Authorization", "Bearer "+of[i])
						switch {
						case scope != need:
							requireAnswer(t, r, 403, "insufficient_scope", "")
						case scope == "admin" && who == "mia":
							requireAnswer(t, r, 403, "admin_required", "")
						default:
							require.NotEqual(t, 401, r.StatusCode, r.Text)
							require.NotContains(t, r.Text, "insufficient_scope", "%s of %s", scope, who)
							require.NotContains(t, r.Text, "admin_required", "%s of %s", scope, who)
						}
					}
				}
				r := w.client.Do(op.method, path, "", "X-API-Key", all)
				require.Equal(t, need == "account", strings.Contains(r.Text, "insufficient_scope"), r.Text)
			})
		}
	})
}

// scopes are those of [operation.scopes].
func (op *worldOperation) scopes() (names []string) {
	ways, _ := op.raw["security"].([]any)
	for _, way := range ways {
		if scopes, ok := way.(object)["key"].([]any); ok {
			for _, name := range scopes {
				names = append(names, name.(string))
			}
		}
	}
	return names
}
