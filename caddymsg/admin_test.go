package caddymsg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

const adminCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		admin root Nobody
	}
}
`

type accountAnswer struct {
	userAnswer
	Admin         bool
	DeactivatedAt string `json:"deactivated_at"`
}

type auditAnswer struct {
	ID        int64
	Action    string
	ActorID   int64 `json:"actor_id"`
	UserID    int64 `json:"user_id"`
	ChatID    int64 `json:"chat_id"`
	Address   string
	Detail    string
	CreatedAt string `json:"created_at"`
}

// sessionOf is the id of the only session of somebody.
func sessionOf(admin, owner *frontdoor.Client) int64 {
	sessions := decode[[]struct{ ID int64 }](admin.Get(fmt.Sprintf("/v1/admin/users/%v/sessions", owner.Get("/v1/me").Field("id"))))
	return sessions[0].ID
}

func accountNames(t *testing.T, c *frontdoor.Client, query string) []string {
	t.Helper()
	names := []string{}
	for _, a := range decode[[]accountAnswer](c.Get("/v1/admin/users" + query)) {
		names = append(names, a.Username)
	}
	return names
}

// TestAdmin is a day of an administrator, whom the configuration has made one.
func TestAdmin(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: adminCaddyfile})
		warned := func(times int) {
			t.Helper()
			lifeEventually(t, "a warning for each name that nobody has", func() bool {
				return strings.Count(s.Log(), "no account of this name") == times
			})
		}
		warned(2)
		root, alice := frontdoor.SignUp(t, s.URL, "Root"), frontdoor.SignUp(t, s.URL, "alice")
		requireAnswer(t, root.Get("/v1/admin/users"), 403, "admin_required", "") // the name alone gives no right
		require.Nil(t, root.Get("/v1/me").Field("admin"))
		lifeReload(t, s, adminCaddyfile, root, alice)
		require.Equal(t, true, root.Get("/v1/me").Field("admin"), "at once, in the session that there is")
		warned(2 + 1)

		rootID, aliceID := root.Get("/v1/me").Field("id"), alice.Get("/v1/me").Field("id")
		created := root.Do("POST", "/v1/admin/users",
			`{"username":"bob","password":"open sesame","display_name":"Bob","email":"bob@example.com","locale":"en-GB","about":"text"}`, "Idempotency-Key", "key").Want(200)
		again := root.Do("POST", "/v1/admin/users", `{"username":"bob","password":"open sesame"}`, "Idempotency-Key", "key").Want(200)
		require.JSONEq(t, created.Text, again.Text)
		bob := frontdoor.NewClient(t, s.URL)
		bob.Post("/v1/auth/login", credentials(t, "bob", "open sesame")).Want(200)
		account := decode[accountAnswer](root.Get(fmt.Sprintf("/v1/admin/users/%v", created.Field("id"))))
		require.Equal(t, accountAnswer{userAnswer: userAnswer{
			ID: account.ID, Username: "bob", DisplayName: "Bob", Email: "bob@example.com", Locale: "en-GB", About: "text",
			CreatedAt: account.CreatedAt,
		}}, account)

		one, bobs := fmt.Sprintf("/v1/admin/users/%v", rootID), fmt.Sprintf("/v1/admin/users/%d", account.ID)
		t.Run("refusals", func(t *testing.T) {
			check(t, []row{
				{"nobody", frontdoor.NewClient(t, s.URL), "GET /v1/admin/users", "", 401, "unauthenticated", ""},
				{"no admin", alice, "GET /v1/admin/users", "", 403, "admin_required", ""},
				{"before anything about the body", alice, "POST /v1/admin/users", `{`, 403, "admin_required", ""},
				{"before anything about the path", alice, "GET /v1/admin/users/x", "", 403, "admin_required", ""},
				{"no admin, of oneself", alice, fmt.Sprintf("PATCH /v1/admin/users/%v", aliceID), `{"admin":true}`, 403, "admin_required", ""},
				{"no id", root, "GET /v1/admin/users/bob", "", 404, "no_such_path", ""},
				{"no such id", root, "GET /v1/admin/users/9999", "", 404, "user_not_found", ""},
				{"no id of a session", root, "DELETE " + bobs + "/sessions/x", "", 404, "no_such_path", ""},
				{"password too short", root, "POST /v1/admin/users", `{"username":"eve","password":"short"}`, 400, "password_too_short", "password"},
				{"no language", root, "POST /v1/admin/users", `{"username":"eve","password":"open sesame","locale":"?"}`, 400, "locale_invalid", "locale"},
				{"no password", root, "POST /v1/admin/users", `{"username":"eve"}`, 400, "malformed_request", "password"},
				{"username taken", root, "PATCH " + bobs, `{"username":"ALICE"}`, 400, "username_taken", "username"},
				{"my own role", root, "PATCH " + one, `{"admin":false}`, 400, "cannot_change_self", "admin"},
				{"myself", root, "PATCH " + one, `{"deactivated":true}`, 400, "cannot_change_self", "deactivated"},
				{"my own password", root, "PATCH " + one, `{"password":"something else entirely"}`, 400, "cannot_change_self", "password"},
				{"my own address", root, "PATCH " + one, `{"email":"root@example.com"}`, 400, "cannot_change_self", "email"},
				{"to delete myself", root, "DELETE " + one, "", 400, "cannot_change_self", ""},
				{"no time", root, "GET /v1/admin/audit_log?from=yesterday", "", 400, "malformed_request", "from"},
				{"no action", root, "GET /v1/admin/audit_log?action=x", "", 400, "action_unknown", "action"},
				{"no such group", root, "DELETE /v1/admin/group_chat/9999", "", 404, "group_not_found", ""},
			})
		})

		t.Run("filters", func(t *testing.T) {
			for query, want := range map[string][]string{
				"":                                    {"Root", "alice", "bob"},
				"?admin=true":                         {"Root"},
				"?admin=false":                        {"alice", "bob"},
				"?admin=1":                            {"Root", "alice", "bob"}, // no such value: ignored
				"?email-like=EXAMPLE":                 {"bob"},
				"?email=bob@example.com":              {"bob"},
				"?display_name-like=o":                {"bob"},
				"?username=alice":                     {"alice"},
				"?deactivated=true":                   {},
				"?deactivated=false&limit=1&offset=1": {"alice"},
				"?ordered-by-desc=admin&ordered-by-desc=username": {"Root", "bob", "alice"},
				"?ordered-by-desc=email":                          {"bob", "alice", "Root"},
			} {
				require.Equal(t, want, accountNames(t, root, query), query)
			}
		})

		t.Run("passwords and deactivation", func(t *testing.T) {
			root.Do("PATCH", bobs, `{"password":"another password"}`).Want(200)
			requireAnswer(t, bob.Get("/v1/me"), 401, "unauthenticated", "")
			requireAnswer(t, bob.Post("/v1/auth/login", credentials(t, "bob", "open sesame")), 400, "bad_credentials", "")
			bob.Post("/v1/auth/login", credentials(t, "bob", "another password")).Want(200)
			require.NotEmpty(t, decode[accountAnswer](root.Do("PATCH", bobs, `{"deactivated":true}`)).DeactivatedAt)
			require.Equal(t, []string{"bob"}, accountNames(t, root, "?deactivated=true"))
			check(t, []row{
				{"signed out", bob, "GET /v1/me", "", 401, "unauthenticated", ""},
				{"no way in", bob, "POST /v1/auth/login", credentials(t, "bob", "another password"), 403, "account_deactivated", ""},
				{"nothing for who does not know the password", bob, "POST /v1/auth/login", credentials(t, "bob", "open sesame"), 400, "bad_credentials", ""},
			})
			// Nobody finds who is deactivated in a list, and who knows them does.
			ordinary := func(path string) string { return alice.Get(path).Want(200).Text }
			for _, path := range []string{"/v1/users", "/v1/users?username=bob", "/v1/users?q=bob", "/v1/search?in=users&q=bob"} {
				require.NotContains(t, ordinary(path), `"username":"bob"`, path)
			}
			require.Contains(t, ordinary("/v1/users"), `"username":"alice"`)
			require.Contains(t, ordinary("/v1/users/bob"), `"username":"bob"`)
			require.Empty(t, decode[accountAnswer](root.Do("PATCH", bobs, `{"deactivated":false}`)).DeactivatedAt)
			for _, path := range []string{"/v1/users", "/v1/search?in=users&q=bob"} {
				require.Contains(t, ordinary(path), `"username":"bob"`, path)
			}
			bob.Post("/v1/auth/login", credentials(t, "bob", "another password")).Want(200)
		})

		t.Run("sessions", func(t *testing.T) {
			elsewhere := frontdoor.NewClient(t, s.URL)
			elsewhere.Post("/v1/auth/login", credentials(t, "bob", "another password")).Want(200)
			ids := decode[[]struct{ ID int64 }](root.Get(bobs + "/sessions"))
			require.Len(t, ids, 2)
			require.Equal(t, ids[1:], decode[[]struct{ ID int64 }](root.Get(bobs+"/sessions?offset=1&limit=1")))
			root.Delete(fmt.Sprintf("%s/sessions/%d", bobs, ids[0].ID)).Want(200)
			requireAnswer(t, bob.Get("/v1/me"), 401, "unauthenticated", "")
			elsewhere.Get("/v1/me").Want(200)
			root.Delete(bobs + "/sessions").Want(200)
			requireAnswer(t, elsewhere.Get("/v1/me"), 401, "unauthenticated", "")
			alice.Get("/v1/me").Want(200)
			bob.Post("/v1/auth/login", credentials(t, "bob", "another password")).Want(200)
		})

		t.Run("groups", func(t *testing.T) {
			group := newGroup(alice)
			add(t, alice, group, "bob")
			send(t, alice, group, "a secret")
			listed := root.Get("/v1/admin/group_chat").Want(200)
			require.NotContains(t, listed.Text, "secret")
			var groups []struct {
				ID               int64
				Visibility       string
				ParticipantCount int `json:"participant_count"`
			}
			listed.Decode(&groups)
			require.Len(t, groups, 1)
			require.Equal(t, group, groups[0].ID)
			require.Equal(t, "private", groups[0].Visibility)
			require.Equal(t, 2, groups[0].ParticipantCount)
			requireAnswer(t, root.Get(fmt.Sprintf("/v1/messages/group/%d", group)), 403, "not_a_participant", "")
			root.Delete(fmt.Sprintf("/v1/admin/group_chat/%d", group)).Want(200)
			requireAnswer(t, alice.Get(fmt.Sprintf("/v1/messages/group/%d", group)), 403, "not_a_participant", "")
		})

		t.Run("audit log", func(t *testing.T) {
			alice.Do("PUT", "/v1/blocks/bob", "").Want(200)
			requireAnswer(t, bob.Post("/v1/messages", `{"dest_username":"alice","message":"a secret"}`), 403, "blocked", "")
			root.Delete(bobs).Want(200)
			requireAnswer(t, bob.Get("/v1/me"), 401, "unauthenticated", "")

			all := decode[[]auditAnswer](root.Get("/v1/admin/audit_log?limit=500"))
			require.NotContains(t, root.Get("/v1/admin/audit_log?limit=500").Text, "secret")
			require.Equal(t, all[2:4], decode[[]auditAnswer](root.Get(fmt.Sprintf("/v1/admin/audit_log?limit=2&before=%d", all[1].ID))))
			require.Equal(t, all[:1], decode[[]auditAnswer](root.Get("/v1/admin/audit_log?limit=1&from="+all[0].CreatedAt)))
			require.Equal(t, all[len(all)-1:], decode[[]auditAnswer](root.Get("/v1/admin/audit_log?to="+all[len(all)-2].CreatedAt)))
			var told []string
			for _, e := range decode[[]auditAnswer](root.Get(fmt.Sprintf("/v1/admin/audit_log?user=%d&limit=500", account.ID))) {
				// Bob is deleted: where he was goes with him, or where somebody was who may
				// have been him.
				if e.ActorID == account.ID || e.ActorID == 0 {
					require.Empty(t, e.Address)
				} else {
					require.Equal(t, "127.0.0.1", e.Address)
				}
				told = append(told, e.Action)
			}
			require.Equal(t, []string{
				"admin.user_deleted", "user.blocked", "user.signed_in", "admin.sessions_ended", "admin.sessions_ended", "user.signed_in",
				"user.signed_in", "admin.user_reactivated", "user.sign_in_failed", "admin.user_deactivated", "user.signed_in",
				"user.sign_in_failed", "admin.password_reset", "user.signed_in", "admin.user_created",
			}, told)
			blocked := decode[[]auditAnswer](root.Get("/v1/admin/audit_log?action=message.blocked"))
			require.Len(t, blocked, 1)
			require.Equal(t, account.ID, blocked[0].ActorID)
			granted := decode[[]auditAnswer](root.Get("/v1/admin/audit_log?action=admin.granted"))
			require.Len(t, granted, 1)
			require.Equal(t, "configuration", granted[0].Detail)
			deleted := decode[[]auditAnswer](root.Get("/v1/admin/audit_log?chat=1"))
			require.Len(t, deleted, 1)
			require.Equal(t, "admin.group_deleted", deleted[0].Action)
		})
	})
}
