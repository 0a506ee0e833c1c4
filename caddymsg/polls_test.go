package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestPolls is about polls: messages that one can vote on.
func TestPolls(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		database := engine.NewDatabase(t)
		s := frontdoor.Start(t, frontdoor.Options{Database: database})
		alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
		eve, nobody := frontdoor.SignUp(t, s.URL, "eve"), frontdoor.NewClient(t, s.URL)
		group := newGroup(alice)
		add(t, alice, group, "bob")
		ask := func(c *frontdoor.Client, poll string) string {
			t.Helper()
			body := fmt.Sprintf(`{"group_chat_id": %d, "message": "Lunch?", "poll": %s}`, group, poll)
			return fmt.Sprint("/v1/messages/", decode[struct{ ID int64 }](c.Post("/v1/messages", body)).ID)
		}
		vote := func(c *frontdoor.Client, message, options string) *frontdoor.Response {
			t.Helper()
			return c.Do("PUT", message+"/poll/votes", `{"options": `+options+`}`)
		}

		lunch := ask(bob, `{"options": ["Pizza", " Sushi ", "nothing"], "multiple": true}`)
		require.JSONEq(t, `{"options": [
			{"text": "Pizza", "votes": 0, "me": false}, {"text": "Sushi", "votes": 0, "me": false}, {"text": "nothing", "votes": 0, "me": false}
		], "multiple": true, "anonymous": false, "closed": false, "voters": 0}`, alice.Get(lunch+"/poll").Want(http.StatusOK).Text)
		vote(alice, lunch, `[0, 1]`).Want(http.StatusOK)
		answer := vote(bob, lunch, `[1]`).Want(http.StatusOK)
		require.JSONEq(t, `{"options": [
			{"text": "Pizza", "votes": 1, "me": false}, {"text": "Sushi", "votes": 2, "me": true}, {"text": "nothing", "votes": 0, "me": false}
		], "multiple": true, "anonymous": false, "closed": false, "voters": 2}`, answer.Text)
		require.Equal(t, answer.Text, bob.Get(lunch+"/poll").Want(http.StatusOK).Text)
		vote(alice, lunch, `[]`).Want(http.StatusOK)

		votes := decode[[]struct {
			UserID   int64 `json:"user_id"`
			Username string
			VotedAt  string `json:"voted_at"`
		}](alice.Get(lunch + "/poll/votes?option=1"))
		require.Len(t, votes, 1)
		require.Equal(t, "bob", votes[0].Username)
		require.EqualValues(t, bob.Get("/v1/me").Field("id"), votes[0].UserID)
		require.NotEmpty(t, votes[0].VotedAt)
		require.Equal(t, "[]", strings.TrimSpace(alice.Get(lunch+"/poll/votes?option=0").Want(http.StatusOK).Text))

		secret := ask(alice, `{"options": ["yes", "no"], "anonymous": true, "closes_in": 3600}`)
		require.NotEmpty(t, alice.Get(secret+"/poll").Want(http.StatusOK).Field("closes_at"))
		vote(bob, secret, `[1]`).Want(http.StatusOK)

		toChat := fmt.Sprintf("/v1/chats/%d/messages", group)
		sent := bob.Post(toChat, `{"text": "Where?", "poll": {"options": ["here", "there"]}}`).Want(http.StatusOK)
		require.Equal(t, "Where?", sent.Field("text"))
		require.Len(t, sent.Field("poll").(map[string]any)["options"], 2)
		vote(alice, fmt.Sprintf("/v1/messages/%.0f", sent.Field("id")), `[1]`).Want(http.StatusOK)

		over := ask(bob, `{"options": ["yes", "no"]}`)
		closed := alice.Post(over+"/poll/close", "").Want(http.StatusOK) // the group is hers
		require.Equal(t, true, closed.Field("closed"))
		require.Equal(t, closed.Text, bob.Post(over+"/poll/close", "").Want(http.StatusOK).Text)

		gone, hidden := ask(bob, `{"options": ["yes", "no"]}`), ask(bob, `{"options": ["yes", "no"]}`)
		db := frontdoor.OpenDatabase(t, database)
		for _, statement := range []string{
			`UPDATE messages SET text = '', deleted_at = 1, flags = 2 WHERE id = ` + strings.TrimPrefix(gone, "/v1/messages/"),
			`DELETE FROM polls WHERE message_id = ` + strings.TrimPrefix(gone, "/v1/messages/"),
			`INSERT INTO hidden_messages (user_id, message_id) SELECT id, ` + strings.TrimPrefix(hidden, "/v1/messages/") +
				` FROM users WHERE username = 'alice'`,
		} {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		plain := fmt.Sprint("/v1/messages/", decode[struct{ ID int64 }](bob.Post("/v1/messages",
			fmt.Sprintf(`{"group_chat_id": %d, "message": "no poll"}`, group))).ID)

		send := func(poll string) string {
			return fmt.Sprintf(`{"group_chat_id": %d, "message": "?", "poll": %s}`, group, poll)
		}
		check(t, []row{
			{"no options", bob, "POST /v1/messages", send(`{}`), 400, "malformed_request", "options"},
			{"one option", bob, "POST /v1/messages", send(`{"options": ["yes"]}`), 400, "malformed_request", "poll.options"},
			{"two that are the same", bob, "POST /v1/messages", send(`{"options": ["yes", "yes "]}`), 400, "poll_options_invalid", "poll.options"},
			{"options that are no text", bob, "POST /v1/messages", send(`{"options": [1, 2]}`), 400, "malformed_request", "poll.options[0]"},
			{"closed at once", bob, "POST /v1/messages", send(`{"options": ["yes", "no"], "closes_in": 0}`), 400, "malformed_request", "poll.closes_in"},
			{"closed too late", bob, "POST /v1/messages", send(`{"options": ["yes", "no"], "closes_in": 31622401}`), 400, "malformed_request", "poll.closes_in"},
			{"no poll", bob, "POST /v1/messages", send(`null`), 200, "", ""},
			{"one option, to a chat", bob, "POST " + toChat, `{"text": "?", "poll": {"options": ["yes"]}}`, 400, "malformed_request", "poll.options"},
			{"two that are the same, to a chat", bob, "POST " + toChat, `{"text": "?", "poll": {"options": ["yes", "yes"]}}`, 400, "poll_options_invalid", "poll.options"},
			{"with several texts", bob, "POST " + toChat, `{"texts": ["?", "!"], "poll": {"options": ["yes", "no"]}}`, 400, "poll_not_alone", "poll"},
			{"with texts and text", bob, "POST " + toChat, `{"text": "?", "texts": ["!"], "poll": {"options": ["yes", "no"]}}`, 400, "poll_not_alone", "poll"},
			{"no poll with several texts", bob, "POST " + toChat, `{"texts": ["?", "!"], "poll": null}`, 200, "", ""},

			{"nobody looks", nobody, "GET " + lunch + "/poll", "", 401, "unauthenticated", ""},
			{"an outsider looks", eve, "GET " + lunch + "/poll", "", 404, "message_not_found", ""},
			{"an outsider votes", eve, "PUT " + lunch + "/poll/votes", `{"options": [0]}`, 404, "message_not_found", ""},
			{"an outsider asks for votes", eve, "GET " + lunch + "/poll/votes?option=0", "", 404, "message_not_found", ""},
			{"an outsider closes", eve, "POST " + lunch + "/poll/close", "", 404, "message_not_found", ""},
			{"no message", bob, "GET /v1/messages/99999999/poll", "", 404, "message_not_found", ""},
			{"no id", bob, "GET /v1/messages/x/poll", "", 404, "no_such_path", ""},
			{"a message without a poll", bob, "GET " + plain + "/poll", "", 404, "poll_not_found", ""},
			{"vote where there is no poll", bob, "PUT " + plain + "/poll/votes", `{"options": [0]}`, 404, "poll_not_found", ""},
			{"deleted", alice, "GET " + gone + "/poll", "", 404, "poll_not_found", ""},
			{"vote on a deleted one", alice, "PUT " + gone + "/poll/votes", `{"options": [0]}`, 404, "poll_not_found", ""},
			{"close a deleted one", bob, "POST " + gone + "/poll/close", "", 404, "poll_not_found", ""},
			{"hidden", alice, "GET " + hidden + "/poll", "", 404, "message_not_found", ""},
			{"vote on a hidden one", alice, "PUT " + hidden + "/poll/votes", `{"options": [0]}`, 404, "message_not_found", ""},
			{"no such option", alice, "PUT " + lunch + "/poll/votes", `{"options": [3]}`, 400, "poll_option_invalid", "options"},
			{"no options to vote for", alice, "PUT " + lunch + "/poll/votes", `{}`, 400, "malformed_request", "options"},
			{"null for options", alice, "PUT " + lunch + "/poll/votes", `{"options": null}`, 400, "malformed_request", "options"},
			{"two where one is allowed", alice, "PUT " + secret + "/poll/votes", `{"options": [0, 1]}`, 400, "poll_single_choice", "options"},
			{"after it was closed", alice, "PUT " + over + "/poll/votes", `{"options": [0]}`, 400, "poll_closed", ""},
			{"who has voted, anonymously", alice, "GET " + secret + "/poll/votes?option=1", "", 403, "poll_anonymous", ""},
			{"who has voted for nothing", alice, "GET " + lunch + "/poll/votes", "", 400, "malformed_request", "option"},
			{"who has voted for another", alice, "GET " + lunch + "/poll/votes?option=3", "", 400, "poll_option_invalid", "option"},
			{"close that of another", bob, "POST " + secret + "/poll/close", "", 403, "not_the_sender", ""},
		})
	})
}
