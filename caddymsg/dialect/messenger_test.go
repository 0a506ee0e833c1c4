package dialect_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

const trusting = "messenger {\n\t\t\tinsecure_trust_user_ids\n\t\t}"

// Of the ids that messenger's UUIDs stand for.
func userUUID(id int) string    { return fmt.Sprintf("00000001-0000-4000-8000-%012x", id) }
func chatUUID(id int) string    { return fmt.Sprintf("00000002-0000-4000-8000-%012x", id) }
func messageUUID(id int) string { return fmt.Sprintf("00000003-0000-4000-8000-%012x", id) }

// foreignUUID is one that this server has not made.
const foreignUUID = "f2abadb9-6a60-44c4-8c74-01aa2f520bf8"

func messengerClient(tb testing.TB, base string) *frontdoor.Client {
	tb.Helper()
	c := frontdoor.NewClient(tb, base)
	c.Unchecked = "not v1"
	return c
}

// joins makes an account for each name, and returns their UUIDs.
func joins(tb testing.TB, c *frontdoor.Client, names ...string) (ids []string) {
	tb.Helper()
	for _, name := range names {
		made := c.Post("/users/", fmt.Sprintf(`{"name":%q,"email":"%s@example.com","password":"open sesame"}`, name, name)).Want(200)
		ids = append(ids, made.Field("id").(string))
	}
	return ids
}

func newMessengerChat(tb testing.TB, c *frontdoor.Client, kind string, ids ...string) string {
	tb.Helper()
	body := frontdoor.JSON(tb, map[string]any{"name": "Work", "type": kind, "participantIds": append([]string{}, ids...)})
	return c.Post("/chats/", body).Want(200).Field("id").(string)
}

// row is a request, and what is answered.
type row struct {
	says, method, path, body string
	status                   int
	// want is all of the body; or, of a refusal, what of it does not vary: the fault's
	// type and place, or the label.
	want   string
	header []string // names and values in turn
}

func (r row) run(t *testing.T, c *frontdoor.Client) {
	t.Run(r.says, func(t *testing.T) {
		answer := c.Do(r.method, r.path, r.body, r.header...)
		require.Equal(t, r.status, answer.StatusCode, answer.Text)
		if r.status == http.StatusOK {
			require.JSONEq(t, r.want, answer.Text)
			return
		}
		require.Equal(t, r.want, told(t, answer.Text))
	})
}

// told is what a refusal tells to programs.
func told(t *testing.T, text string) string {
	t.Helper()
	var refusal struct {
		Error  string
		Detail any
	}
	require.NoError(t, json.Unmarshal([]byte(text), &refusal), text)
	require.NotEmpty(t, refusal.Detail, text)
	faults, ok := refusal.Detail.([]any)
	if !ok {
		require.IsType(t, "", refusal.Detail)
		return refusal.Error
	}
	var all []string
	for _, f := range faults {
		fault := f.(map[string]any)
		require.NotEmpty(t, fault["msg"])
		require.Contains(t, fault, "input")
		place := fmt.Sprintf("%v", fault["loc"])
		all = append(all, fmt.Sprintf("%s %s", fault["type"], place))
	}
	return strings.Join(all, ", ")
}

// Contract 2, 1 and 0.
func TestMessengerUsers(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "")
		c := messengerClient(t, s.URL)
		user := func(id int, name, email string) string {
			return fmt.Sprintf(`{"id":%q,"name":%q,"email":%q}`, userUUID(id), name, email)
		}
		post := func(says, body string, status int, want string) row {
			return row{says: says, method: "POST", path: "/users/", body: body, status: status, want: want}
		}
		for _, r := range []row{
			post("as the README", `{"name":"John Doe","email":"john@example.com","password":"securepassword"}`, 200, user(1, "John Doe", "john@example.com")),
			post("the e-mail address is taken", `{"name":"Other","email":"john@example.com","password":"x"}`, 409, "Conflict"),
			post("in upper case, too", `{"name":"Other","email":"JOHN@example.com","password":"x"}`, 409, "Conflict"),
			post("names are not unique", `{"name":"John Doe","email":"john2@example.com","password":"x"}`, 200, user(2, "John Doe", "john2@example.com")),
			post("white space and the domain's case", `{"name":"  Jane ","email":" jane@EXAMPLE.com ","password":" x "}`, 200, user(3, "Jane", "jane@example.com")),
			post("empty name and password", `{"name":"","email":"nobody@example.com","password":""}`, 200, user(4, "", "nobody@example.com")),
			post("a name of any letters", `{"name":"Дядя / Bob 👍","email":"bob@example.com","password":"x"}`, 200, user(5, "Дядя / Bob 👍", "bob@example.com")),
			post("unknown fields", `{"name":"a","email":"a@example.com","password":"x","admin":true}`, 200, user(6, "a", "a@example.com")),
			post("a field is missing", `{"name":"a","password":"secret"}`, 422, "missing [body email]"),
			post("all are", `{}`, 422, "missing [body name], missing [body email], missing [body password]"),
			post("no body", ``, 422, "missing [body name], missing [body email], missing [body password]"),
			post("a number for a text", `{"name":1,"email":"b@example.com","password":"x"}`, 422, "string_type [body name]"),
			post("null for a text", `{"name":null,"email":"b@example.com","password":"x"}`, 422, "string_type [body name]"),
			post("no e-mail address", `{"name":"a","email":"a","password":"x"}`, 422, "value_error [body email]"),
			post("an empty one", `{"name":"a","email":"","password":"x"}`, 422, "value_error [body email]"),
			post("one of a reserved domain", `{"name":"a","email":"a@example.test","password":"x"}`, 422, "value_error [body email]"),
			post("a password of 73 bytes", `{"name":"a","email":"b@example.com","password":"`+strings.Repeat("x", 73)+`"}`, 422, "value_error [body password]"),
			post("a name of 65 characters", `{"name":"`+strings.Repeat("x", 65)+`","email":"b@example.com","password":"x"}`, 422, "value_error [body name]"),
			post("a name of two lines", `{"name":"a\nb","email":"b@example.com","password":"x"}`, 422, "value_error [body name]"),
			post("half a body", `{"name":`, 422, "json_invalid [body 0]"),
			post("a list", `[]`, 422, "model_attributes_type [body]"),
			post("too large", `{"name":"`+strings.Repeat("x", 64<<10)+`"}`, 413, ""),
			{"a form", "POST", "/users/", "name=a", 422, "model_attributes_type [body]", []string{"Content-Type", "application/x-www-form-urlencoded"}},
			{"no GET", "GET", "/users/", "", 405, "", nil},
			{"no login", "POST", "/users/login", "{}", 404, "", nil},
			{"no such path", "GET", "/chats/x/y/z", "", 404, "", nil},
		} {
			r.run(t, c)
		}
		t.Run("of the same name at once", func(t *testing.T) {
			answers := make(chan *frontdoor.Response)
			for i := range 8 {
				go func() {
					r, err := c.Try(t.Context(), "POST", "/users/", fmt.Sprintf(`{"name":"Twin","email":"twin%d@example.com","password":""}`, i))
					if err != nil {
						r = nil
					}
					answers <- r
				}()
			}
			for range 8 {
				r := <-answers
				require.NotNil(t, r)
				r.Want(200)
			}
		})
		t.Run("v1 knows them", func(t *testing.T) {
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"john_doe","password":"securepassword"}`).Want(200)
			require.Equal(t, "John Doe", v1.Get("/v1/me").Want(200).Field("display_name"))
			v1.Post("/v1/auth/login", `{"username":"Jane","password":"x"}`).Want(200) // also the password was trimmed
			for _, password := range []string{"", "x"} {
				body := frontdoor.JSON(t, map[string]string{"username": "user", "password": password})
				require.NotEqual(t, 200, v1.Post("/v1/auth/login", body).StatusCode, "who has no password does not sign in")
			}
		})
		t.Run("no secret is told", func(t *testing.T) {
			answer := c.Post("/users/", `{"name":"a","password":"hush, hush"}`).Want(422)
			require.NotContains(t, answer.Text, "hush")
			for _, password := range []string{`987654321`, `["987654321"]`, `{"x":"987654321"}`} {
				answer = c.Post("/users/", `{"name":"a","email":"c@example.com","password":`+password+`}`).Want(422)
				require.Equal(t, "string_type [body password]", told(t, answer.Text))
				require.NotContains(t, answer.Text, "987654321")
			}
			require.NotContains(t, s.Log(), "hush")
		})
		t.Run("slashes", func(t *testing.T) {
			c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			for path, want := range map[string]string{"POST /users": "users/", "GET /chats?user_id=x": "chats/?user_id=x", "POST /chats": "chats/", "GET /redoc": "docs"} {
				method, path, _ := strings.Cut(path, " ")
				require.Equal(t, want, c.Do(method, path, "").Want(307).Header.Get("Location"))
			}
		})
		t.Run("pages of other sites", func(t *testing.T) {
			page := []string{"Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site"}
			r := c.Do("OPTIONS", "/users/", "", append(page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")...).Want(204)
			require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
			require.Empty(t, r.Header.Get("Access-Control-Allow-Credentials"))
			r = c.Do("POST", "/users/", `{"name":"Far","email":"far@example.com","password":""}`, page...).Want(200)
			require.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "*", c.Do("GET", "/users/", "", page...).Want(405).Header.Get("Access-Control-Allow-Origin"))
		})
		t.Run("docs", func(t *testing.T) {
			require.Contains(t, c.Get("/docs").Want(200).Text, `data-document="openapi.json"`)
			c.Get("/docs/swagger-ui-bundle.js").Want(200)
			require.Equal(t, "3.1.0", c.Get("/openapi.json").Want(200).Field("openapi"))
		})
		require.Contains(t, s.Log(), "insecure_trust_user_ids is on")
	})
}

// Contract 2, 2.
func TestMessengerChats(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "")
		c := messengerClient(t, s.URL)
		ids := joins(t, c, "alice", "bob", "cora", "dan")
		alice, bob, cora, dan := ids[0], ids[1], ids[2], ids[3]
		shown := func(id int, name any, kind string, ids ...string) string {
			return frontdoor.JSON(t, map[string]any{"id": chatUUID(id), "name": name, "type": kind, "participantIds": append([]string{}, ids...)})
		}
		post := func(says string, name any, kind string, ids []string, status int, want string) row {
			body := frontdoor.JSON(t, map[string]any{"name": name, "type": kind, "participantIds": ids})
			return row{says: says, method: "POST", path: "/chats/", body: body, status: status, want: want}
		}
		nobody := frontdoor.JSON(t, map[string]any{"type": "group", "participantIds": []string{}})
		for _, r := range []row{
			post("as the README", "Work Chat", "group", []string{bob, alice}, 200, shown(1, "Work Chat", "group", bob, alice)),
			{"the other style of keys, no name", "POST", "/chats/", `{"type":"group","participant_ids":["` + cora + `"]}`, 200, shown(2, nil, "group", cora), nil},
			{"nobody", "POST", "/chats/", nobody, 200, shown(3, nil, "group"), nil},
			post("personal", nil, "personal", []string{cora, alice}, 200, shown(4, nil, "personal", cora, alice)),
			post("which they have once", "A name", "personal", []string{alice, cora}, 200, shown(4, nil, "personal", alice, cora)),
			post("personal, of three", "Three", "personal", []string{dan, alice, cora}, 200, shown(5, "Three", "group", dan, alice, cora)),
			post("somebody twice", "x", "group", []string{alice, bob, alice}, 409, "Conflict"),
			post("somebody who is not there", "x", "group", []string{alice, foreignUUID}, 400, "Database error"),
			post("two who are not there", "x", "group", []string{alice, foreignUUID, "f2abadb9-6a60-44c4-8c74-01aa2f520bf9"}, 400, "Database error"),
			post("first", "x", "group", []string{userUUID(99), alice}, 400, "Database error"),
			post("a chat in place of a user", "x", "group", []string{alice, chatUUID(1)}, 400, "Database error"),
			post("no UUID", "x", "group", []string{alice, "bob"}, 422, "uuid_parsing [body participantIds 1]"),
			post("another type", "x", "channel", []string{alice}, 422, "enum [body type]"),
			post("too long a name", strings.Repeat("x", 129), "group", []string{alice}, 422, "value_error [body name]"),
			post("a number for a name", 7, "group", []string{alice}, 422, "string_type [body name]"),
			{"a type is missing", "POST", "/chats/", `{"participantIds":[]}`, 422, "missing [body type]", nil},
			{"participants are missing", "POST", "/chats/", `{"type":"group"}`, 422, "missing [body participantIds]", nil},
			{"participants are no list", "POST", "/chats/", `{"type":"group","participantIds":"x"}`, 422, "list_type [body participantIds]", nil},

			{"chats of a user, by creation", "GET", "/chats/?user_id=" + alice, "", 200,
				"[" + shown(1, "Work Chat", "group", bob, alice) + "," + shown(4, nil, "personal", alice, cora) + "," + shown(5, "Three", "group", dan, alice, cora) + "]", nil},
			{"of a user who is not there", "GET", "/chats/?user_id=" + foreignUUID, "", 200, "[]", nil},
			{"no user", "GET", "/chats/", "", 422, "missing [query user_id]", nil},
			{"the name of the parameter", "GET", "/chats/?userId=" + alice, "", 422, "missing [query user_id]", nil},
			{"no UUID of a user", "GET", "/chats/?user_id=alice", "", 422, "uuid_parsing [query user_id]", nil},

			{"add somebody", "POST", "/chats/" + chatUUID(1) + "/users/" + dan, "", 200, shown(1, "Work Chat", "group", bob, alice, dan), nil},
			{"who is in it", "POST", "/chats/" + chatUUID(1) + "/users/" + dan, "", 409, "Conflict", nil},
			{"the first of an empty one", "POST", "/chats/" + chatUUID(3) + "/users/" + bob, "", 200, shown(3, nil, "group", bob), nil},
			{"and the next", "POST", "/chats/" + chatUUID(3) + "/users/" + dan, "", 200, shown(3, nil, "group", bob, dan), nil},
			{"a third of two", "POST", "/chats/" + chatUUID(4) + "/users/" + dan, "", 400, "Database error", nil},
			{"to a chat that is not there", "POST", "/chats/" + foreignUUID + "/users/" + dan, "", 400, "Database error", nil},
			{"a user who is not there", "POST", "/chats/" + chatUUID(1) + "/users/" + foreignUUID, "", 400, "Database error", nil},
			{"no UUIDs", "POST", "/chats/1/users/2", "", 422, "uuid_parsing [path chat_id], uuid_parsing [path user_id]", nil},
			{"a chat is not shown", "GET", "/chats/" + chatUUID(1), "", 404, "", nil},
			{"nor deleted", "DELETE", "/chats/", "", 405, "", nil},
		} {
			r.run(t, c)
		}
		t.Run("nothing was made by halves", func(t *testing.T) {
			require.Equal(t, chatUUID(6), newMessengerChat(t, c, "group", alice))
		})
		t.Run("more than are read at once", func(t *testing.T) {
			eve := joins(t, c, "eve")[0]
			for range 40 {
				newMessengerChat(t, c, "group", eve, bob)
			}
			var found []struct{ ID string }
			c.Get("/chats/?user_id=" + eve).Want(200).Decode(&found)
			require.Len(t, found, 40)
			for i, f := range found {
				require.Equal(t, chatUUID(7+i), f.ID)
			}
		})
		t.Run("v1 knows them", func(t *testing.T) {
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"dan","password":"open sesame"}`).Want(200)
			require.Equal(t, "group", v1.Get("/v1/chats/5").Want(200).Field("kind"))
			var sessions []struct {
				ID   int64
				Kind string
			}
			v1.Get("/v1/me/sessions?kind=trusted").Want(200).Decode(&sessions)
			require.Len(t, sessions, 1, "whoever names dan has one session, however often")
			v1.Delete(fmt.Sprintf("/v1/me/sessions/%d", sessions[0].ID)).Want(200)
			c.Get("/chats/?user_id=" + dan).Want(200) // the next request opens another
		})
	})
}

// Contract 2, 3.
func TestMessengerHistory(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "")
		c := messengerClient(t, s.URL)
		ids := joins(t, c, "alice", "bob")
		chat := newMessengerChat(t, c, "group", ids...)
		newMessengerChat(t, c, "group") // in which nobody is
		path := "/messages/history/" + chat
		alice, bob := frontdoor.NewClient(t, s.URL2), frontdoor.NewClient(t, s.URL2)
		alice.Post("/v1/auth/login", `{"username":"alice","password":"open sesame"}`).Want(200)
		bob.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
		texts := make([]string, 100)
		const all = 300 // more than are read at once, and than the default
		for i := 0; i < all; i += len(texts) {
			for j := range texts {
				texts[j] = fmt.Sprint(i + j + 1)
			}
			alice.Post("/v1/chats/1/messages", frontdoor.JSON(t, map[string]any{"texts": texts})).Want(200)
		}
		bob.Post("/v1/chats/1/read", `{"seq":2}`).Want(200)
		alice.Do("PATCH", "/v1/messages/2", `{"text":"edited"}`).Want(200)
		alice.Delete("/v1/messages/4").Want(200)

		type message struct {
			ID, ChatID, SenderID, Text, CreatedAt, UpdatedAt string
			Read                                             bool
		}
		page := func(t *testing.T, query string) (found []message) {
			t.Helper()
			c.Get(path + query).Want(200).Decode(&found)
			return found
		}
		t.Run("a message", func(t *testing.T) {
			var raw []map[string]any
			c.Get(path + "?limit=1").Want(200).Decode(&raw)
			require.Len(t, raw, 1)
			created, err := time.Parse("2006-01-02T15:04:05Z", raw[0]["createdAt"].(string))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), created, time.Hour)
			require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, raw[0]["updatedAt"])
			require.Equal(t, map[string]any{
				"id": messageUUID(1), "chatId": chat, "senderId": ids[0], "text": "1", "read": true,
				"createdAt": raw[0]["createdAt"], "updatedAt": raw[0]["updatedAt"],
			}, raw[0])
		})
		t.Run("read, edited, deleted", func(t *testing.T) {
			found := page(t, "?limit=3&offset=1")
			require.Equal(t, []string{"edited", "3", "5"}, []string{found[0].Text, found[1].Text, found[2].Text})
			require.Equal(t, []bool{true, false, false}, []bool{found[0].Read, found[1].Read, found[2].Read})
			require.Greater(t, found[0].UpdatedAt, found[1].UpdatedAt, "which is when it was edited")
		})
		for query, want := range map[string][2]int{
			"":                             {1, 100},
			"?limit=0":                     {0, 0},
			"?limit=10&offset=250":         {252, 10},
			"?limit=128":                   {1, 128},
			"?limit=129":                   {1, 129},
			"?limit=1000000":               {1, 299},
			"?limit=99999999999999999999":  {1, 299},
			"?offset=290&limit=100":        {292, 9},
			"?offset=99999999999999999999": {0, 0},
			"?limit=1&limit=2":             {1, 2},
		} {
			t.Run("page "+query, func(t *testing.T) {
				found := page(t, query)
				require.Len(t, found, want[1])
				if len(found) > 0 {
					require.Equal(t, messageUUID(want[0]), found[0].ID)
				}
				for i := 1; i < len(found); i++ {
					require.Less(t, found[i-1].ID, found[i].ID)
				}
			})
		}
		for _, r := range []row{
			{"a chat that is not there", "GET", "/messages/history/" + foreignUUID, "", 200, "[]", nil},
			{"a chat in which nobody is", "GET", "/messages/history/" + chatUUID(2), "", 200, "[]", nil},
			{"limit below 0", "GET", path + "?limit=-1", "", 400, "Database error", nil},
			{"offset below 0", "GET", path + "?offset=-1", "", 400, "Database error", nil},
			{"no number", "GET", path + "?limit=x&offset=1.5", "", 422, "int_parsing [query limit], int_parsing [query offset]", nil},
			{"an empty one", "GET", path + "?limit=", "", 422, "int_parsing [query limit]", nil},
			{"no UUID", "GET", "/messages/history/1", "", 422, "uuid_parsing [path chat_id]", nil},
			{"only GET", "POST", path, "{}", 405, "", nil},
		} {
			r.run(t, c)
		}
	})
}

// frameOf is a frame, as far as it does not vary.
func frameOf(t *testing.T, s *frontdoor.Socket) string {
	t.Helper()
	var f map[string]any
	text := s.NextText()
	require.NoError(t, json.Unmarshal([]byte(text), &f), text)
	if f["error"] == nil {
		require.Len(t, f, 7, text)
		require.NotEmpty(t, f["id"])
		require.NotEmpty(t, f["chat_id"])
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`, f["created_at"])
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`, f["updated_at"])
		return fmt.Sprintf("%s by %s read %t", f["text"], f["sender_id"], f["read"])
	}
	require.Len(t, f, 2)
	require.NotEmpty(t, f["details"])
	if faults, ok := f["details"].([]any); ok {
		fault := faults[0].(map[string]any)
		return fmt.Sprintf("%s: %s %v", f["error"], fault["type"], fault["loc"])
	}
	return f["error"].(string)
}

// Contract 2, 4.
func TestMessengerWebSocket(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "")
		c := messengerClient(t, s.URL)
		ids := joins(t, c, "alice", "bob", "cora")
		alice, bob, cora := ids[0], ids[1], ids[2]
		newChat := func(t *testing.T) string { return newMessengerChat(t, c, "group", alice, bob) }
		connect := func(t *testing.T, chat, user string) *frontdoor.Socket {
			t.Helper()
			return c.Socket("/messages/ws/" + chat + "/" + user)
		}
		say := func(text string) string {
			return frontdoor.JSON(t, map[string]any{"event": "message", "data": map[string]any{"text": text}})
		}
		t.Run("a message", func(t *testing.T) {
			chat := newChat(t)
			phone, laptop, of := connect(t, chat, alice), connect(t, chat, alice), connect(t, chat, bob)
			elsewhere := connect(t, newChat(t), bob)
			phone.Send(say("  Hey  "))
			for _, socket := range []*frontdoor.Socket{phone, laptop, of} {
				require.Equal(t, "Hey by "+alice+" read false", frameOf(t, socket))
			}
			elsewhere.Send(say("there"))
			require.Equal(t, "there by "+bob+" read false", frameOf(t, elsewhere), "of this chat alone")
			// What is closed, the others do without.
			phone.Close()
			of.Send(say("still there"))
			require.Equal(t, "Hey by "+alice+" read true", frameOf(t, laptop), "who answers has read")
			require.Equal(t, "still there by "+bob+" read false", frameOf(t, laptop))
			var history []struct{ Text string }
			c.Get("/messages/history/" + chat).Want(200).Decode(&history)
			require.Len(t, history, 2)
		})
		t.Run("read", func(t *testing.T) {
			chat := newChat(t)
			from, to := connect(t, chat, alice), connect(t, chat, bob)
			from.Send(say("one"))
			var sent struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(from.NextText()), &sent))
			id := sent.ID
			require.Equal(t, "one by "+alice+" read false", frameOf(t, to))
			reads := func(name, id string) string {
				return frontdoor.JSON(t, map[string]any{"event": "read", "data": map[string]any{name: id}})
			}
			from.Send(reads("message_id", id)) // one's own is ignored
			from.Send(`{"event":"read","data":{"message_id":"` + foreignUUID + `"}}`)
			require.Equal(t, "Invalid data", frameOf(t, from))
			to.Send(reads("messageId", id))
			require.Equal(t, "one by "+alice+" read true", frameOf(t, from))
			require.Equal(t, "one by "+alice+" read true", frameOf(t, to))
			to.Send(reads("message_id", id)) // again: the reader alone is answered
			require.Equal(t, "one by "+alice+" read true", frameOf(t, to))
			to.Send(say("two"))
			require.Equal(t, "two by "+bob+" read false", frameOf(t, from))
			require.Equal(t, "two by "+bob+" read false", frameOf(t, to))
			from.Send(say("three"))
			for _, socket := range []*frontdoor.Socket{from, to} {
				require.Equal(t, "two by "+bob+" read true", frameOf(t, socket), "who answers has read")
				require.Equal(t, "three by "+alice+" read false", frameOf(t, socket))
			}
			stranger := connect(t, newMessengerChat(t, c, "group", cora), cora)
			stranger.Send(reads("message_id", id))
			require.Equal(t, "Invalid data", frameOf(t, stranger), "of another chat")
			both := connect(t, newMessengerChat(t, c, "group", bob), bob)
			both.Send(reads("message_id", id))
			require.Equal(t, "Invalid data", frameOf(t, both), "of another chat of theirs")
		})
		t.Run("the same text in the same second", func(t *testing.T) {
			chat := newChat(t)
			from, to := connect(t, chat, alice), connect(t, chat, bob)
			answers := map[string]int{}
			for range 10 { // some may straddle the end of a second
				from.Send(say("twice"))
				answers[frameOf(t, from)]++
			}
			require.Positive(t, answers["Invalid data"])
			require.Positive(t, answers["twice by "+alice+" read false"])
			require.Len(t, answers, 2)
			to.Send(say("twice"))
			for range answers["twice by "+alice+" read false"] {
				require.Equal(t, "twice by "+alice+" read false", frameOf(t, to))
			}
			require.Equal(t, "twice by "+alice+" read true", frameOf(t, to))
			require.Equal(t, "twice by "+bob+" read false", frameOf(t, to), "somebody else may say it")
		})
		t.Run("frames that are none", func(t *testing.T) {
			chat := newChat(t)
			socket := connect(t, chat, alice)
			for _, f := range []struct{ says, frame, want string }{
				{"no JSON", "Hey", "Invalid format: json_invalid []"},
				{"no object", `["message"]`, "Invalid format: model_attributes_type []"},
				{"an unknown event", `{"event":"typing","data":{}}`, "Invalid format: literal_error [event]"},
				{"no event", `{"data":{"text":"Hey"}}`, "Invalid format: literal_error [event]"},
				{"no data", `{"event":"message"}`, "Invalid format: missing [data]"},
				{"no text", `{"event":"message","data":{}}`, "Invalid format: string_type [data text]"},
				{"an empty text", say("  "), "Invalid format: string_length [data text]"},
				{"1001 characters", say(strings.Repeat("я", 1001)), "Invalid format: string_length [data text]"},
				{"a NUL", `{"event":"message","data":{"text":"a\u0000"}}`, "Invalid data"},
				{"no UUID", `{"event":"read","data":{"message_id":"1"}}`, "Invalid format: uuid_parsing [data message_id]"},
			} {
				socket.Send(f.frame)
				require.Equal(t, f.want, frameOf(t, socket), f.says)
			}
			socket.SendBytes(frontdoor.Masked(frontdoor.Final|frontdoor.OpBinary, []byte(say("Hey"))))
			require.Equal(t, "Invalid format: json_invalid []", frameOf(t, socket))
			long := strings.Repeat("я", 1000)
			socket.Send(say(" " + long))
			require.Equal(t, long+" by "+alice+" read false", frameOf(t, socket), "it has stayed open")
		})
		t.Run("handshakes", func(t *testing.T) {
			chat := newChat(t)
			for says, path := range map[string]string{
				"not in the chat": chat + "/" + cora, "no such chat": foreignUUID + "/" + alice,
				"no such user": chat + "/" + foreignUUID, "a user for a chat": alice + "/" + alice,
			} {
				t.Run(says, func(t *testing.T) {
					require.Equal(t, "Invalid connection", c.Socket("/messages/ws/"+path).WantClose(1008))
				})
			}
			for _, path := range []string{"x/" + alice, chat + "/x"} {
				r, _ := c.Handshake("/messages/ws/" + path)
				r.Want(403)
			}
			c.Socket("/messages/ws/"+chat+"/"+alice, "Origin", "https://elsewhere.example")
			c.Get("/messages/ws/" + chat + "/" + alice).Want(426)
		})
		t.Run("what v1 does", func(t *testing.T) {
			chat := newChat(t)
			socket := connect(t, chat, alice)
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
			socket.Send(say("from here"))
			require.Equal(t, "from here by "+alice+" read false", frameOf(t, socket))
			id, err := strconv.ParseInt(chat[len(chat)-12:], 16, 64)
			require.NoError(t, err)
			there := fmt.Sprintf("/v1/chats/%d", id)
			v1.Post(there+"/read", "").Want(200)
			require.Equal(t, "from here by "+alice+" read true", frameOf(t, socket))
			require.NotContains(t, v1.Get(there+"/messages").Want(200).Text, "client_id", "which nobody has given")
			sent := v1.Post(there+"/messages", `{"text":"from there"}`).Want(200)
			require.Equal(t, "from there by "+bob+" read false", frameOf(t, socket))
			message := fmt.Sprintf("/v1/messages/%.0f", sent.Field("id"))
			v1.Do("PATCH", message, `{"text":"edited there"}`).Want(200)
			require.Equal(t, "edited there by "+bob+" read false", frameOf(t, socket))
			v1.Delete(message).Want(200) // of which nothing is told
			v1.Post(there+"/messages", `{"text":"and on"}`).Want(200)
			require.Equal(t, "and on by "+bob+" read false", frameOf(t, socket))
		})
		t.Run("the session ends", func(t *testing.T) {
			chat := newChat(t)
			socket := connect(t, chat, bob)
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
			var sessions []struct{ ID int64 }
			v1.Get("/v1/me/sessions?kind=trusted").Want(200).Decode(&sessions)
			v1.Delete(fmt.Sprintf("/v1/me/sessions/%d", sessions[0].ID)).Want(200)
			require.Equal(t, "Invalid connection", socket.WantClose(1008))
			connect(t, chat, bob)
		})
	})
}

// What is asked of whoever is signed in, where ids are not trusted.
func TestMessengerSignedIn(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, "messenger", "")
		c := messengerClient(t, s.URL)
		ids := joins(t, c, "alice", "bob", "cora")
		alice, bob, cora := ids[0], ids[1], ids[2]
		token := func(name string) []string {
			r := frontdoor.NewClient(t, s.URL2).Post("/v1/auth/token", fmt.Sprintf(`{"username":%q,"password":"open sesame"}`, name)).Want(200)
			return []string{"Authorization", "Bearer " + r.Field("access_token").(string)}
		}
		asAlice, asBob, asCora := token("alice"), token("bob"), token("cora")
		group := func(ids ...string) string {
			return frontdoor.JSON(t, map[string]any{"name": "Work", "type": "group", "participantIds": append([]string{}, ids...)})
		}
		shown := func(ids ...string) string {
			return frontdoor.JSON(t, map[string]any{"id": chatUUID(1), "name": "Work", "type": "group", "participantIds": ids})
		}
		chat, wrong := chatUUID(1), []string{"Authorization", "Bearer wrong"}
		for _, r := range []row{
			{"create a chat", "POST", "/chats/", group(alice, bob), 200, shown(alice, bob), asAlice},
			{"of others", "POST", "/chats/", group(alice, bob), 403, "", asCora},
			{"of nobody", "POST", "/chats/", group(), 403, "", asCora},
			{"signed out", "POST", "/chats/", group(alice, bob), 401, "", nil},
			{"with a wrong token", "POST", "/chats/", group(alice, bob), 401, "", wrong},
			{"one's chats", "GET", "/chats/?user_id=" + bob, "", 200, "[" + shown(alice, bob) + "]", asBob},
			{"those of others", "GET", "/chats/?user_id=" + alice, "", 403, "", asBob},
			{"those of nobody", "GET", "/chats/?user_id=" + foreignUUID, "", 403, "", asBob},
			{"signed out", "GET", "/chats/?user_id=" + bob, "", 401, "", nil},
			{"add somebody, from outside", "POST", "/chats/" + chat + "/users/" + cora, "", 403, "", asCora},
			{"to a chat that is not there", "POST", "/chats/" + foreignUUID + "/users/" + cora, "", 403, "", asCora},
			{"signed out", "POST", "/chats/" + chat + "/users/" + cora, "", 401, "", nil},
			{"a history, from outside", "GET", "/messages/history/" + chat, "", 403, "", asCora},
			{"of a chat that is not there", "GET", "/messages/history/" + foreignUUID, "", 403, "", asCora},
			{"one's own", "GET", "/messages/history/" + chat, "", 200, "[]", asBob},
			{"signed out", "GET", "/messages/history/" + chat, "", 401, "", nil},
			{"add somebody", "POST", "/chats/" + chat + "/users/" + cora, "", 200, shown(alice, bob, cora), asBob},
		} {
			r.run(t, c)
		}
		require.Equal(t, "Bearer", c.Get("/messages/history/"+chat).Want(401).Header.Get("WWW-Authenticate"))
		handshake := func(path string, header ...string) int {
			r, _ := c.Handshake("/messages/ws/"+path, header...)
			return r.StatusCode
		}
		t.Run("a WebSocket", func(t *testing.T) {
			socket := c.Socket("/messages/ws/"+chat+"/"+alice, asAlice...)
			socket.Send(`{"event":"message","data":{"text":"Hey"}}`)
			require.Equal(t, "Hey by "+alice+" read false", frameOf(t, socket))
			require.Equal(t, 403, c.Do("GET", "/messages/history/"+foreignUUID, "", asAlice...).StatusCode, "not all that she may read")
			require.Equal(t, 403, handshake(chat+"/"+alice, asBob...), "the user is the caller")
			require.Equal(t, 401, handshake(chat+"/"+alice))
			require.Equal(t, 403, handshake(chat+"/"+alice, append(asAlice, "Origin", "https://elsewhere.example")...))
			other := c.Do("POST", "/chats/", group(alice), asAlice...).Want(200).Field("id").(string)
			require.Equal(t, "Invalid connection", c.Socket("/messages/ws/"+other+"/"+bob, asBob...).WantClose(1008))
		})
		t.Run("a browser", func(t *testing.T) {
			browser := messengerClient(t, s.URL)
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
			browser.HTTP.Jar = v1.HTTP.Jar // cookies know no ports
			_, err := frontdoor.OpenDatabase(t, s.Database).Exec(`UPDATE sessions SET expires_at = expires_at - 432000000000 WHERE kind = 'cookie'`)
			require.NoError(t, err)
			r := browser.Get("/messages/history/" + chat).Want(200)
			require.Len(t, r.Cookies(), 1, "its use extends the session, which is old")
			require.Empty(t, browser.Get("/messages/history/"+chat).Want(200).Cookies())
			browser.Do("POST", "/chats/", group(bob), "Sec-Fetch-Site", "same-origin").Want(200)
			r = browser.Do("POST", "/chats/", group(bob), "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site").Want(403)
			require.Empty(t, r.Header.Get("Access-Control-Allow-Origin"))
			browser.Do("POST", "/users/", `{}`, "Sec-Fetch-Site", "cross-site").Want(403)
			r, _ = browser.Handshake("/messages/ws/"+chat+"/"+bob, "Origin", "https://elsewhere.example")
			r.Want(403)
			browser.Socket("/messages/ws/"+chat+"/"+bob, "Origin", s.URL)
		})
		t.Run("a key that only reads", func(t *testing.T) {
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
			key := v1.Post("/v1/me/keys", `{"name":"reader","scopes":["read"]}`).Want(200).Field("key").(string)
			c.Do("GET", "/messages/history/"+chat, "", "X-API-Key", key).Want(200)
			c.Do("POST", "/chats/", group(bob), "X-API-Key", key).Want(403)
			socket := c.Socket("/messages/ws/"+chat+"/"+bob, "X-API-Key", key)
			socket.Send(`{"event":"message","data":{"text":"Hey"}}`)
			require.Equal(t, "Invalid data", frameOf(t, socket))
		})
		t.Run("who was removed", func(t *testing.T) {
			socket := c.Socket("/messages/ws/"+chat+"/"+cora, asCora...)
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"alice","password":"open sesame"}`).Want(200)
			v1.Delete("/v1/group_chat/1/participants/cora").Want(200)
			require.Equal(t, "Invalid connection", socket.WantClose(1008))
		})
		t.Run("the caller owns a group, wherever they are named", func(t *testing.T) {
			v1 := frontdoor.NewClient(t, s.URL2)
			v1.Post("/v1/auth/login", `{"username":"alice","password":"open sesame"}`).Want(200)
			made := c.Do("POST", "/chats/", group(bob, alice), asAlice...).Want(200)
			require.Equal(t, []any{bob, alice}, made.Field("participantIds"))
			id := strings.TrimLeft(made.Field("id").(string)[24:], "0")
			number, err := strconv.ParseInt(id, 16, 64)
			require.NoError(t, err)
			require.Equal(t, "owner", v1.Get(fmt.Sprint("/v1/group_chat/", number)).Want(200).Field("role"))
		})
		t.Run("who registers is told what to sign in with", func(t *testing.T) {
			made := c.Post("/users/", `{"name":"Zoë Doe","email":"zoe@example.com","password":"open sesame"}`).Want(200)
			username := made.Field("username").(string)
			frontdoor.NewClient(t, s.URL2).Post("/v1/auth/login", fmt.Sprintf(`{"username":%q,"password":"open sesame"}`, username)).Want(200)
		})
		require.NotContains(t, s.Log(), "insecure_trust_user_ids")
	})
}

// What changes something is limited, and so is to connect.
func TestMessengerTooOften(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: strings.Replace(caddyfile(trusting, ""), "rate_limits off", `rate_limits {
			registration_address 2/1h
			changes 2/1h
			sends 2/1h
			connects 3/1h
			connects_address 6/1h
		}`, 2)})
		c := messengerClient(t, s.URL)
		ids := joins(t, c, "alice", "bob")
		alice, bob := ids[0], ids[1]
		group := func(ids ...string) string {
			return frontdoor.JSON(t, map[string]any{"type": "group", "participantIds": append([]string{}, ids...)})
		}
		chat := newMessengerChat(t, c, "group", alice)
		c.Post("/chats/"+chat+"/users/"+bob, "").Want(200)
		newMessengerChat(t, c, "group")
		newMessengerChat(t, c, "group")
		socket := c.Socket("/messages/ws/" + chat + "/" + alice)
		for i, want := range []string{"0 by " + alice + " read false", "1 by " + alice + " read false", "Invalid data"} {
			socket.Send(fmt.Sprintf(`{"event":"message","data":{"text":"%d"}}`, i))
			require.Equal(t, want, frameOf(t, socket))
		}
		for range 2 { // of hers, who is in the chat, and who is not in that
			c.Socket("/messages/ws/" + chat + "/" + alice)
		}
		for range 2 { // of the network's
			require.Equal(t, "Invalid connection", c.Socket("/messages/ws/"+foreignUUID+"/"+bob).WantClose(1008))
		}
		require.Equal(t, "Invalid connection", c.Socket("/messages/ws/"+chat+"/"+foreignUUID).WantClose(1008))
		upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
		for _, r := range []row{
			{"an account", "POST", "/users/", `{"name":"x","email":"x@example.com","password":""}`, 429, "", nil},
			{"a chat", "POST", "/chats/", group(alice), 429, "", nil},
			{"a chat of nobody", "POST", "/chats/", group(), 429, "", nil},
			{"to add somebody", "POST", "/chats/" + chat + "/users/" + bob, "", 429, "", nil},
			{"to connect", "GET", "/messages/ws/" + chat + "/" + alice, "", 429, "", upgrade},
			{"to connect to no chat", "GET", "/messages/ws/" + foreignUUID + "/" + bob, "", 429, "", upgrade},
		} {
			t.Run(r.says, func(t *testing.T) {
				answer := c.Do(r.method, r.path, r.body, r.header...).Want(r.status)
				require.Empty(t, told(t, answer.Text))
				wait, err := strconv.Atoi(answer.Header.Get("Retry-After"))
				require.NoError(t, err)
				require.Positive(t, wait)
			})
		}
		c.Get("/messages/history/" + chat).Want(200)
	})
}

// Where registration is closed, nobody makes accounts, whatever else is trusted.
func TestMessengerRegistrationClosed(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "registration closed")
		c := messengerClient(t, s.URL)
		c.Post("/users/", `{"name":"a","email":"a@example.com","password":"x"}`).Want(403)
	})
}

// The tour of docs/dialects/messenger.md.
func TestMessengerTour(t *testing.T) {
	page, err := os.ReadFile("../../docs/dialects/messenger.md")
	require.NoError(t, err)
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := start(t, engine, trusting, "")
		before, after, found := strings.Cut(string(page), "<!-- frames -->")
		require.True(t, found)
		frames, after, found := strings.Cut(after, "<!-- end of the frames -->")
		require.True(t, found)
		tour := frontdoor.Tour{Text: before, Addresses: map[string]string{"http://localhost:8000": s.URL}}
		tour.Run(t)

		c := messengerClient(t, s.URL)
		var alice, bob *frontdoor.Socket
		asked := 0
		for line := range strings.Lines(frames) {
			who, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch who {
			case "ws://localhost:8000" + "/messages/ws/" + chatUUID(1) + "/" + userUUID(1):
				alice = c.Socket(strings.TrimPrefix(who, "ws://localhost:8000"))
			case "ws://localhost:8000" + "/messages/ws/" + chatUUID(1) + "/" + userUUID(2):
				bob = c.Socket(strings.TrimPrefix(who, "ws://localhost:8000"))
			case "john>":
				alice.Send(text)
				asked++
			case "jane>":
				bob.Send(text)
				asked++
			case "john<":
				require.Regexp(t, frontdoor.ExamplePattern(text), alice.NextText())
			case "jane<":
				require.Regexp(t, frontdoor.ExamplePattern(text), bob.NextText())
			}
		}
		require.Equal(t, 4, asked)
		tour.Text = after
		tour.Run(t)
	})
}
