package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestReactions is about reactions to messages.
func TestReactions(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		database := engine.NewDatabase(t)
		s := frontdoor.Start(t, frontdoor.Options{Database: database})
		alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
		eve, nobody := frontdoor.SignUp(t, s.URL, "eve"), frontdoor.NewClient(t, s.URL)
		group := newGroup(alice)
		add(t, alice, group, "bob")
		message := decode[struct{ ID int64 }](alice.Post("/v1/messages",
			fmt.Sprintf(`{"group_chat_id": %d, "message": "Lunch?"}`, group))).ID
		path := fmt.Sprintf("/v1/messages/%d/reactions", message)
		gone := decode[struct{ ID int64 }](alice.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id": %d, "message": "oops"}`, group))).ID
		hidden := decode[struct{ ID int64 }](alice.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id": %d, "message": "spam"}`, group))).ID
		db := frontdoor.OpenDatabase(t, database)
		for _, statement := range []string{
			fmt.Sprintf(`UPDATE messages SET text = '', deleted_at = 1, flags = 2 WHERE id = %d`, gone),
			fmt.Sprintf(`INSERT INTO hidden_messages (user_id, message_id) SELECT id, %d FROM users WHERE username = 'bob'`, hidden),
		} {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}

		reactions := func(c *frontdoor.Client, query string) string {
			t.Helper()
			return strings.TrimSpace(c.Get(path + query).Want(http.StatusOK).Text)
		}
		me := func(c *frontdoor.Client) any { return c.Get("/v1/me").Want(http.StatusOK).Field("id") }
		require.Equal(t, `[]`, reactions(bob, ""))

		put := bob.Do("PUT", path+"/like", "").Want(http.StatusOK)
		require.Equal(t, "👍", put.Field("emoji"))
		require.Equal(t, "bob", put.Field("username"))
		require.Equal(t, me(bob), put.Field("user_id"))
		require.Equal(t, put.Text, bob.Do("PUT", path+"/%F0%9F%91%8D", "").Want(http.StatusOK).Text, "again")
		bob.Do("PUT", path+"/%E2%9D%A4", "").Want(http.StatusOK)
		bob.Do("PUT", path+"/%23%EF%B8%8F%E2%83%A3", "").Want(http.StatusOK) // #️⃣
		bob.Delete(path + "/%23%E2%83%A3").Want(http.StatusOK)
		alice.Do("PUT", path+"/%F0%9F%91%8D", "").Want(http.StatusOK)
		asAlice, asBob := fmt.Sprintf(`{"user_id":%v,"username":"alice"}`, me(alice)), fmt.Sprintf(`{"user_id":%v,"username":"bob"}`, me(bob))
		require.JSONEq(t, fmt.Sprintf(`[
			{"emoji": "👍", "count": 2, "me": true, "users": [%s, %s]},
			{"emoji": "❤\ufe0f", "count": 1, "me": false, "users": [%s]}]`, asBob, asAlice, asBob), reactions(alice, ""))
		require.JSONEq(t, fmt.Sprintf(`[
			{"emoji": "👍", "count": 2, "me": true, "users": [%s]},
			{"emoji": "❤\ufe0f", "count": 1, "me": true, "users": []}]`, asAlice), reactions(bob, "?limit=1&offset=1"))

		require.Equal(t, "{}", strings.TrimSpace(bob.Delete(path+"/like").Want(http.StatusOK).Text))
		bob.Delete(path + "/like").Want(http.StatusOK)
		require.JSONEq(t, fmt.Sprintf(`[
			{"emoji": "❤\ufe0f", "count": 1, "me": true, "users": [%s]},
			{"emoji": "👍", "count": 1, "me": false, "users": [%s]}]`, asBob, asAlice), reactions(bob, ""), "alice came later")

		check(t, []row{
			{"nobody lists", nobody, "GET " + path, "", 401, "unauthenticated", ""},
			{"nobody reacts", nobody, "PUT " + path + "/like", "", 401, "unauthenticated", ""},
			{"nobody takes back", nobody, "DELETE " + path + "/like", "", 401, "unauthenticated", ""},
			{"an outsider lists", eve, "GET " + path, "", 404, "message_not_found", ""},
			{"an outsider reacts", eve, "PUT " + path + "/like", "", 404, "message_not_found", ""},
			{"an outsider takes back", eve, "DELETE " + path + "/like", "", 404, "message_not_found", ""},
			{"no such message", bob, "PUT /v1/messages/99999999/reactions/like", "", 404, "message_not_found", ""},
			{"too large an id", bob, "PUT /v1/messages/99999999999999999999/reactions/like", "", 404, "message_not_found", ""},
			{"one that has been deleted", bob, fmt.Sprintf("PUT /v1/messages/%d/reactions/like", gone), "", 400, "message_deleted", ""},
			{"from one that has been deleted", alice, fmt.Sprintf("DELETE /v1/messages/%d/reactions/like", gone), "", 400, "message_deleted", ""},
			{"one that bob has hidden", bob, fmt.Sprintf("PUT /v1/messages/%d/reactions/like", hidden), "", 404, "message_not_found", ""},
			{"one that bob has hidden, list", bob, fmt.Sprintf("GET /v1/messages/%d/reactions", hidden), "", 404, "message_not_found", ""},
			{"one that bob alone has hidden", alice, fmt.Sprintf("PUT /v1/messages/%d/reactions/like", hidden), "", 200, "", ""},
			{"no id", bob, "PUT /v1/messages/x/reactions/like", "", 404, "no_such_path", ""},
			{"no emoji", bob, "PUT " + path + "/nice", "", 400, "emoji_invalid", "emoji"},
			{"two emojis", bob, "PUT " + path + "/%F0%9F%91%8D%F0%9F%91%8D", "", 400, "emoji_invalid", "emoji"},
			{"half an emoji", bob, "PUT " + path + "/%F0%9F", "", 400, "emoji_invalid", "emoji"},
			{"no limit", bob, "GET " + path + "?limit=0", "", 400, "malformed_request", "limit"},
			{"too high a limit", bob, "GET " + path + "?limit=501", "", 400, "malformed_request", "limit"},
			{"before the first", bob, "GET " + path + "?offset=-1", "", 400, "malformed_request", "offset"},
			{"no method", bob, "POST " + path, "", 405, "method_not_allowed", ""},
			// The classic paths are what they were.
			{"a chat of that name", bob, "GET /v1/messages/group/reactions", "", 404, "no_such_path", ""},
			{"a person of that name", bob, "GET /v1/messages/p2p/reactions", "", 400, "user_not_found", "dest_username"},
		})
	})
}
