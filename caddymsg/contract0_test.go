package caddymsg_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// Beside the API, the first site has what a site usually has; the second takes
// no new accounts.
const contractCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
	respond /hello "the next handler"
	root {$DIR}/site
	file_server
}
http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.CLOSED}
		bcrypt_cost 4
		rate_limits off
		registration closed
	}
}
`

// TestContract0 holds the API to contract 0: the README of the seed, to the
// letter, and what was decided where it is silent.
func TestContract0(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "site"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "site", "index.html"), []byte("a file"), 0o600))
		s := frontdoor.Start(t, frontdoor.Options{
			Dir: dir, Caddyfile: contractCaddyfile,
			Database: engine.NewDatabase(t), Env: []string{"CLOSED=" + engine.NewDatabase(t)},
		})

		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"general wire facts", wireFacts},
			{"next handler", nextHandler},
			{"POST register", register},
			{"usernames", usernames},
			{"POST login and logout", loginAndLogout},
			{"POST group_chat", createGroup},
			{"POST participants", addParticipant},
			{"DELETE participants", removeParticipant},
			{"users by id", usersByID},
			{"POST messages", sendMessage},
			{"message to oneself", messageToOneself},
			{"many messages in one second", manyAtOnce},
			{"texts", texts},
			{"bodies", bodies},
			{"idempotency", idempotency},
			{"GET messages", readMessages},
			{"membership now", membershipNow},
			{"paging", paging},
			{"long history", longHistory},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// row is a row of the contract: who asks for what, and what is answered.
type row struct {
	says   string
	as     *frontdoor.Client
	call   string // method and path
	body   string
	status int
	code   string // of the problem
	field  string // that it names
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.says, func(t *testing.T) {
			method, path, _ := strings.Cut(r.call, " ")
			requireAnswer(t, r.as.Do(method, path, r.body), r.status, r.code, r.field)
		})
	}
}

// requireAnswer fails the test unless the answer has this status, and is the
// JSON that such an answer is: a problem, if it is an error.
func requireAnswer(t *testing.T, got *frontdoor.Response, status int, code, field string) {
	t.Helper()
	require.Equal(t, status, got.StatusCode, got.Text)
	if status == http.StatusOK {
		require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		require.True(t, json.Valid([]byte(got.Text)), got.Text)
		return
	}
	require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"))
	var p struct {
		Title, Code, Detail, Field string
		Status                     int
		RequestID                  string `json:"request_id"`
	}
	got.Decode(&p)
	require.Equal(t, code, p.Code, got.Text)
	require.Equal(t, field, p.Field, got.Text)
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.RequestID)
}

type message struct {
	ID             int64
	ChatID         int64 `json:"chat_id"`
	Kind           string
	Seq            int64
	SenderUsername string `json:"sender_username"`
	Text           string
	CreatedAt      string `json:"created_at"`
	ClientID       string `json:"client_id"`
}

func decode[T any](r *frontdoor.Response) T {
	var v T
	r.Want(http.StatusOK).Decode(&v)
	return v
}

func list(c *frontdoor.Client, path string) []message { return decode[[]message](c.Get(path)) }

func textsOf(messages []message) []string {
	found := make([]string, 0, len(messages))
	for _, m := range messages {
		found = append(found, m.Text)
	}
	return found
}

func idsOf(messages []message) []int64 {
	found := make([]int64, 0, len(messages))
	for _, m := range messages {
		found = append(found, m.ID)
	}
	return found
}

// send sends to a chat, if to is a number, or to a person.
func send(t testing.TB, c *frontdoor.Client, to any, text string) message {
	t.Helper()
	field := "group_chat_id"
	if _, ok := to.(string); ok {
		field = "dest_username"
	}
	return decode[message](c.Post("/v1/messages", frontdoor.JSON(t, map[string]any{field: to, "message": text})))
}

func newGroup(c *frontdoor.Client) int64 {
	return decode[struct {
		ChatID int64 `json:"chat_id"`
	}](c.Post("/v1/group_chat", "")).ChatID
}

func add(t testing.TB, c *frontdoor.Client, chat int64, username string) {
	t.Helper()
	c.Post(fmt.Sprintf("/v1/group_chat/%d/participants", chat),
		frontdoor.JSON(t, map[string]string{"username": username})).Want(http.StatusOK)
}

func credentials(t testing.TB, username, password string) string {
	t.Helper()
	return frontdoor.JSON(t, map[string]string{"username": username, "password": password})
}

// readPrefixes begin the paths of the README, and those of the code that it
// describes.
var readPrefixes = []string{"/v1/group_chat/messages", "/v1/messages"}

func wireFacts(t *testing.T, s *frontdoor.Server) {
	alice := frontdoor.SignUp(t, s.URL, "alice")
	frontdoor.SignUp(t, s.URL, "bob")
	group := newGroup(alice)
	nobody := frontdoor.NewClient(t, s.URL)
	participants := fmt.Sprintf("/v1/group_chat/%d/participants", group)

	t.Run("the request Content-Type is ignored", func(t *testing.T) {
		for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/cbor", "nonsense", ""} {
			r := alice.Do("POST", "/v1/messages", `{"dest_username":"bob","message":"hi"}`, "Content-Type", contentType)
			requireAnswer(t, r, 200, "", "")
		}
	})
	t.Run("what the client accepts is ignored", func(t *testing.T) {
		for _, accept := range []string{"text/html", "application/cbor", "*/*;q=0"} {
			requireAnswer(t, alice.Do("GET", "/v1/messages", "", "Accept", accept), 200, "", "")
		}
	})
	check(t, []row{
		{"extra body keys are ignored: register", nobody, "POST /v1/auth/register", `{"username":"extra","password":"open sesame","admin":true}`, 200, "", ""},
		{"extra body keys are ignored: login", frontdoor.NewClient(t, s.URL), "POST /v1/auth/login", `{"username":"extra","password":"open sesame","x":{}}`, 200, "", ""},
		{"extra body keys are ignored: group_chat", alice, "POST /v1/group_chat", `{"members":["bob"]}`, 200, "", ""},
		{"extra body keys are ignored: participants", alice, "POST " + participants, `{"username":"bob","role":1}`, 200, "", ""},
		{"extra body keys are ignored: messages", alice, "POST /v1/messages", `{"dest_username":"bob","message":"hi","x":null}`, 200, "", ""},
	})

	bodyReaders := map[string]*frontdoor.Client{
		"/v1/auth/register": nobody, "/v1/auth/login": nobody, participants: alice, "/v1/messages": alice,
	}
	for path, as := range bodyReaders {
		for _, body := range []string{
			"", "{", "nonsense", "[]", `"text"`, "1", "true", "null", `{} {}`, "{\"username\":\"\xff\",\"password\":\"open sesame\",\"message\":\"\xff\"}",
		} {
			t.Run(fmt.Sprintf("400 malformed: POST %s %q", path, body), func(t *testing.T) {
				requireAnswer(t, as.Post(path, body), 400, "malformed_request", "")
			})
		}
	}

	paths := map[string][]string{
		"/v1/auth/register": {"POST"}, "/v1/auth/login": {"POST"}, "/v1/auth/logout": {"POST"},
		"/v1/group_chat": {"GET", "HEAD", "POST"}, participants: {"GET", "HEAD", "POST"}, participants + "/nobody": {"DELETE", "PATCH"},
		"/v1/messages": {"GET", "HEAD", "POST"}, "/v1/group_chat/messages": {"GET", "HEAD"},
		fmt.Sprintf("/v1/messages/group/%d", group):            {"GET", "HEAD"},
		fmt.Sprintf("/v1/group_chat/messages/group/%d", group): {"GET", "HEAD"},
		"/v1/messages/p2p/bob":                                 {"GET", "HEAD"}, "/v1/group_chat/messages/p2p/bob": {"GET", "HEAD"},
	}
	for path, methods := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
			t.Run("no trailing slash: "+method+" "+path+"/", func(t *testing.T) {
				requireAnswer(t, alice.Do(method, path+"/", "{}"), 404, "no_such_path", "")
			})
			if slices.Contains(methods, method) {
				continue
			}
			t.Run("wrong method: "+method+" "+path, func(t *testing.T) {
				r := alice.Do(method, path, "{}")
				requireAnswer(t, r, 405, "method_not_allowed", "")
				require.ElementsMatch(t, methods, strings.Split(r.Header.Get("Allow"), ", "))
			})
		}
	}

	var rows []row
	for _, path := range []string{
		"/v1", "/v1/", "/v1/nonsense", "/v1/auth", "/v1/auth/nonsense", "/v1/messages/group", "/v1/messages/p2p",
		"/v1/messages/p2p/", "/v1/messages/p2p/bob/more", participants + "/", "/v1/openapi.yaml", "/v1/schemas/Problem.json",
		"/v1//messages", "/v1/./messages", "/v1/messages/../messages", "/v1/messages/p2p/.", "/v1/messages/p2p/..",
	} {
		rows = append(rows, row{"no such path: " + path, alice, "GET " + path, "", 404, "no_such_path", ""})
	}
	for _, id := range []string{"x", "1.0", "-1", "+1", "%20", "1x", "0x1"} {
		rows = append(rows,
			row{"non-integer id in a path: add to " + id, alice, "POST /v1/group_chat/" + id + "/participants", `{"username":"bob"}`, 404, "no_such_path", ""},
			row{"non-integer id in a path: remove from " + id, alice, "DELETE /v1/group_chat/" + id + "/participants/bob", "", 404, "no_such_path", ""})
		for _, prefix := range readPrefixes {
			rows = append(rows, row{"non-integer id in a path: " + prefix + " " + id, alice, "GET " + prefix + "/group/" + id, "", 404, "no_such_path", ""})
		}
	}

	// Whatever else is wrong with it.
	rows = append(rows,
		row{"anonymous: logout", nobody, "POST /v1/auth/logout", "", 401, "unauthenticated", ""},
		row{"anonymous: group_chat", nobody, "POST /v1/group_chat", "{", 401, "unauthenticated", ""},
		row{"anonymous: participants", nobody, "POST " + participants, "{", 401, "unauthenticated", ""},
		row{"anonymous: participants of no chat", nobody, "POST /v1/group_chat/999999/participants", "{", 401, "unauthenticated", ""},
		row{"anonymous: remove", nobody, "DELETE " + participants + "/nobody", "", 401, "unauthenticated", ""},
		row{"anonymous: messages", nobody, "POST /v1/messages", "{", 401, "unauthenticated", ""},
		row{"anonymous: too large", nobody, "POST /v1/messages", strings.Repeat(" ", 65<<10), 401, "unauthenticated", ""})
	for _, prefix := range readPrefixes {
		for _, path := range []string{"", fmt.Sprintf("/group/%d", group), "/group/999999", "/p2p/bob", "/p2p/nobody"} {
			rows = append(rows, row{"anonymous: GET " + prefix + path, nobody, "GET " + prefix + path + "?limit=x", "", 401, "unauthenticated", ""})
		}
	}
	check(t, rows)
}

func nextHandler(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	c.Unchecked = "another handler answers"
	for path, want := range map[string]string{"/": "a file", "/hello": "the next handler"} {
		require.Equal(t, want, c.Get(path).Want(200).Text)
	}
	for _, path := range []string{"/v10", "/v1x/messages", "/V1/messages", "/messages", "/api/v1/messages"} {
		r := c.Get(path).Want(404)
		require.Empty(t, r.Text, "file_server answers without a body")
	}
}

func register(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	const call = "POST /v1/auth/register"
	closed := frontdoor.NewClient(t, s.URL2)
	check(t, []row{
		{"200 on success", c, call, `{"username":"reggie","password":"open sesame"}`, 200, "", ""},
		{"400 username already in use", c, call, `{"username":"reggie","password":"another password"}`, 400, "username_taken", "username"},
		{"400 a key missing: password", c, call, `{"username":"regine"}`, 400, "malformed_request", "password"},
		{"400 a key missing: username", c, call, `{"password":"open sesame"}`, 400, "malformed_request", "username"},
		{"400 integer username", c, call, `{"username":1,"password":"open sesame"}`, 400, "malformed_request", "username"},
		{"400 null username", c, call, `{"username":null,"password":"open sesame"}`, 400, "malformed_request", "username"},
		{"400 list for a username", c, call, `{"username":["regine"],"password":"open sesame"}`, 400, "malformed_request", "username"},
		{"400 integer password", c, call, `{"username":"regine","password":12345678}`, 400, "malformed_request", "password"},
		{"400 null password", c, call, `{"username":"regine","password":null}`, 400, "malformed_request", "password"},
		{"400 empty username", c, call, `{"username":"","password":"open sesame"}`, 400, "username_missing", "username"},
		{"400 empty password", c, call, `{"username":"regine","password":""}`, 400, "password_missing", "password"},
		{"400 password of 7 characters", c, call, `{"username":"regine","password":"ñññññññ"}`, 400, "password_too_short", "password"},
		{"200 password of 8 characters", c, call, `{"username":"regine","password":"ñandúäöq"}`, 200, "", ""},
		{"400 common password", c, call, `{"username":"regine","password":"PassWord1"}`, 400, "password_too_common", "password"},
		{"400 the username as the password", c, call, `{"username":"regine-of-rye","password":"Regine-of-Rye"}`, 400, "password_too_common", "password"},
		{"403 registration closed", closed, call, `{"username":"reggie","password":"open sesame"}`, 403, "registration_closed", ""},
		{"400 malformed, though closed", closed, call, `{`, 400, "malformed_request", ""},
	})

	t.Run("the answer", func(t *testing.T) {
		r := c.Post("/v1/auth/register", `{"username":"Regula","password":"open sesame"}`).Want(200)
		user := decode[map[string]any](r)
		require.Equal(t, []string{"created_at", "id", "username"}, slices.Sorted(maps.Keys(user)))
		require.Equal(t, "Regula", user["username"])
		require.Regexp(t, timestampPattern, user["created_at"])
		require.Empty(t, r.Header["Set-Cookie"], "does not log in")
		c.Get("/v1/messages").Want(401)
	})
	t.Run("an error does not echo the input", func(t *testing.T) {
		r := c.Post("/v1/auth/register", `{"username":7,"password":["hunter2hunter2"]}`).Want(400)
		require.NotContains(t, r.Text, "hunter2")
	})
	t.Run("one of many at once gets the name", func(t *testing.T) {
		var wg sync.WaitGroup
		statuses := make([]int, 8)
		for i := range statuses {
			wg.Go(func() {
				r, err := c.Try(t.Context(), "POST", "/v1/auth/register", `{"username":"rush","password":"open sesame"}`)
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = r.StatusCode
			})
		}
		wg.Wait()
		slices.Sort(statuses)
		require.Equal(t, []int{200, 400, 400, 400, 400, 400, 400, 400}, statuses)
	})
}

// timestampPattern is RFC 3339 with six decimals, UTC.
var timestampPattern = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)

func usernames(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	reader := frontdoor.SignUp(t, s.URL, "reader")
	for _, name := range []string{
		"Zoë", "名前", "Ωmega", "Иван", "שלום", "a.b", "...", "a+b", "50%", "%41", "a?b#c", `quo"te\`, "~!@$&'()*,;=:", "-1", "1.0",
		strings.Repeat("x", 64), strings.Repeat("名", 64), strings.Repeat("É", 64),
	} {
		t.Run("taken and shown as typed: "+name, func(t *testing.T) {
			who := frontdoor.SignUp(t, s.URL, name)
			sent := send(t, who, "reader", "hi")
			require.Equal(t, name, sent.SenderUsername)
			for _, prefix := range readPrefixes {
				found := list(reader, prefix+"/p2p/"+url.PathEscape(name))
				require.Equal(t, []int64{sent.ID}, idsOf(found))
				require.Equal(t, name, found[0].SenderUsername)
			}
			send(t, reader, name, "hi yourself")
			group := newGroup(reader)
			add(t, reader, group, name)
			reader.Delete(fmt.Sprintf("/v1/group_chat/%d/participants/%s", group, url.PathEscape(name))).Want(200)
		})
	}

	for name, code := range map[string]string{
		strings.Repeat("x", 65): "username_too_long", strings.Repeat("名", 65): "username_too_long",
		"a/b": "username_invalid", "／": "username_invalid", "a\x00b": "username_invalid", "a\nb": "username_invalid",
		"a\x7fb": "username_invalid", "a b": "username_invalid", " ": "username_invalid", "a ": "username_invalid",
		"a\u00a0b": "username_invalid", "a\u200bb": "username_invalid", "a\u202eb": "username_invalid",
		".": "username_invalid", "..": "username_invalid", "．": "username_invalid", "．．": "username_invalid",
	} {
		t.Run(fmt.Sprintf("refused: %q", name), func(t *testing.T) {
			requireAnswer(t, c.Post("/v1/auth/register", credentials(t, name, "open sesame")), 400, code, "username")
		})
	}

	for first, same := range map[string][]string{
		"Anna":       {"anna", "ANNA", "aNNa", "Ａｎｎａ"},
		"Straße":     {"STRASSE", "strasse", "STRAẞE"},
		"Σίσυφος":    {"ΣΊΣΥΦΟΣ", "σίσυφοσ", "σίσυφος"},
		"Ren\u00e9e": {"Rene\u0301e", "REN\u00c9E"},
	} {
		who := frontdoor.SignUp(t, s.URL, first)
		for _, name := range same {
			t.Run(first+" and "+name+" are one", func(t *testing.T) {
				requireAnswer(t, c.Post("/v1/auth/register", credentials(t, name, "open sesame")), 400, "username_taken", "username")
				in := frontdoor.NewClient(t, s.URL)
				require.Equal(t, first, in.Post("/v1/auth/login", credentials(t, name, "open sesame")).Want(200).Field("username"))

				sent := send(t, reader, name, "to "+name)
				require.Contains(t, idsOf(list(who, "/v1/messages/p2p/reader")), sent.ID)
				require.Contains(t, idsOf(list(reader, "/v1/messages/p2p/"+url.PathEscape(name))), sent.ID)
				group := newGroup(reader)
				added := reader.Post(fmt.Sprintf("/v1/group_chat/%d/participants", group), frontdoor.JSON(t, map[string]string{"username": name}))
				require.Equal(t, first, added.Want(200).Field("username"))
				reader.Delete(fmt.Sprintf("/v1/group_chat/%d/participants/%s", group, url.PathEscape(name))).Want(200)
			})
		}
	}
}

func loginAndLogout(t *testing.T, s *frontdoor.Server) {
	const call = "POST /v1/auth/login"
	c := frontdoor.NewClient(t, s.URL)
	c.Post("/v1/auth/register", credentials(t, "Lois", "open sesame")).Want(200)
	check(t, []row{
		{"400 a key missing: password", c, call, `{"username":"Lois"}`, 400, "malformed_request", "password"},
		{"400 a key missing: username", c, call, `{"password":"open sesame"}`, 400, "malformed_request", "username"},
		{"400 integer password", c, call, `{"username":"Lois","password":1}`, 400, "malformed_request", "password"},
		{"400 wrong password", c, call, `{"username":"Lois","password":"open sesame!"}`, 400, "bad_credentials", ""},
		{"400 wrong case of the password", c, call, `{"username":"Lois","password":"Open sesame"}`, 400, "bad_credentials", ""},
		{"400 empty password", c, call, `{"username":"Lois","password":""}`, 400, "bad_credentials", ""},
		{"400 unknown user", c, call, `{"username":"nobody","password":"open sesame"}`, 400, "bad_credentials", ""},
		{"400 empty username", c, call, `{"username":"","password":"open sesame"}`, 400, "bad_credentials", ""},
		{"400 no username at all", c, call, `{"username":"a/b","password":"open sesame"}`, 400, "bad_credentials", ""},
		{"still anonymous", c, "GET /v1/messages", "", 401, "unauthenticated", ""},
		{"200 on success", c, call, `{"username":"Lois","password":"open sesame"}`, 200, "", ""},
		{"the session is saved", c, "GET /v1/messages", "", 200, "", ""},
		{"logout: 200", c, "POST /v1/auth/logout", "", 200, "", ""},
		{"the session is cleared", c, "GET /v1/messages", "", 401, "unauthenticated", ""},
		{"logout: 401 if not authenticated", c, "POST /v1/auth/logout", "", 401, "unauthenticated", ""},
	})
	t.Run("other sessions stay after a logout elsewhere", func(t *testing.T) {
		phone, desk := frontdoor.NewClient(t, s.URL), frontdoor.NewClient(t, s.URL)
		for _, c := range []*frontdoor.Client{phone, desk} {
			c.Post("/v1/auth/login", credentials(t, "lois", "open sesame")).Want(200)
		}
		phone.Post("/v1/auth/logout", "").Want(200)
		phone.Get("/v1/messages").Want(401)
		desk.Get("/v1/messages").Want(200)
	})
}

func createGroup(t *testing.T, s *frontdoor.Server) {
	greta, gus := frontdoor.SignUp(t, s.URL, "greta"), frontdoor.SignUp(t, s.URL, "gus")

	t.Run("the new id is in the body, and the creator in the chat", func(t *testing.T) {
		id := newGroup(greta)
		require.Positive(t, id)
		send(t, greta, id, "first")
		require.Equal(t, []string{"first"}, textsOf(list(greta, fmt.Sprintf("/v1/group_chat/messages/group/%d", id))))
		gus.Get(fmt.Sprintf("/v1/group_chat/messages/group/%d", id)).Want(403)
	})
	t.Run("an optional title", func(t *testing.T) {
		r := greta.Post("/v1/group_chat", `{"title":" Weekend 名 "}`).Want(200)
		require.Equal(t, "Weekend 名", r.Field("title"))
	})
	t.Run("one sequence of ids with the chats of two", func(t *testing.T) {
		group := newGroup(greta)
		direct := send(t, greta, "gus", "hi").ChatID
		require.Greater(t, direct, group)
		require.Greater(t, newGroup(gus), direct)
	})
	const call = "POST /v1/group_chat"
	check(t, []row{
		{"empty object", greta, call, `{}`, 200, "", ""},
		{"empty title", greta, call, `{"title":""}`, 200, "", ""},
		{"title of 128 characters", greta, call, `{"title":"` + strings.Repeat("名", 128) + `"}`, 200, "", ""},
		{"400 title of 129 characters", greta, call, `{"title":"` + strings.Repeat("名", 129) + `"}`, 400, "title_too_long", "title"},
		{"400 title of two lines", greta, call, `{"title":"a\nb"}`, 400, "title_invalid", "title"},
		{"400 integer title", greta, call, `{"title":1}`, 400, "malformed_request", "title"},
		{"400 not an object", greta, call, `[]`, 400, "malformed_request", ""},
		{"400 not JSON", greta, call, `{`, 400, "malformed_request", ""},
	})
}

func addParticipant(t *testing.T, s *frontdoor.Server) {
	ann, ben := frontdoor.SignUp(t, s.URL, "ann"), frontdoor.SignUp(t, s.URL, "ben")
	frontdoor.SignUp(t, s.URL, "cleo")
	nobody := frontdoor.NewClient(t, s.URL)
	group := newGroup(ann)
	direct := send(t, ann, "ben", "hi").ChatID
	self := send(t, ann, "ann", "note").ChatID
	to := func(id any) string { return fmt.Sprintf("POST /v1/group_chat/%v/participants", id) }

	// The order of checks: each row fails its check and all that come after.
	check(t, []row{
		{"401 before 403", nobody, to(group), `{`, 401, "unauthenticated", ""},
		{"403 before malformed: not a member", ben, to(group), `{`, 403, "not_a_participant", ""},
		{"403 before malformed: no such chat", ann, to(999999), `{`, 403, "not_a_participant", ""},
		{"403 before too large", ben, to(group), strings.Repeat(" ", 65<<10), 403, "not_a_participant", ""},
		{"403 before no user", ben, to(group), `{"username":"nobody"}`, 403, "not_a_participant", ""},
		{"403 before P2P", frontdoor.SignUp(t, s.URL, "dora"), to(direct), `{"username":"ben"}`, 403, "not_a_participant", ""},
		{"malformed before P2P", ann, to(direct), `{`, 400, "malformed_request", ""},
		{"no user before P2P", ann, to(direct), `{"username":"nobody"}`, 400, "user_not_found", "username"},
		{"P2P before already member", ann, to(direct), `{"username":"ben"}`, 400, "not_a_group", "group_chat_id"},
		{"P2P, not yet a member", ann, to(direct), `{"username":"cleo"}`, 400, "not_a_group", "group_chat_id"},
		{"one's own chat takes nobody either", ann, to(self), `{"username":"cleo"}`, 400, "not_a_group", "group_chat_id"},
		{"already member: oneself", ann, to(group), `{"username":"ann"}`, 400, "already_a_participant", "username"},
	})
	check(t, []row{
		{"403 for 0", ann, to(0), `{"username":"ben"}`, 403, "not_a_participant", ""},
		{"403 for a number that no chat has", ann, to("99999999999999999999"), `{"username":"ben"}`, 403, "not_a_participant", ""},
		{"400 a key missing", ann, to(group), `{"user":"ben"}`, 400, "malformed_request", "username"},
		{"400 integer username", ann, to(group), `{"username":1}`, 400, "malformed_request", "username"},
		{"400 null username", ann, to(group), `{"username":null}`, 400, "malformed_request", "username"},
		{"400 empty username", ann, to(group), `{"username":""}`, 400, "malformed_request", "username"},
		{"400 no user", ann, to(group), `{"username":"nobody"}`, 400, "user_not_found", "username"},
		{"400 no user: no username at all", ann, to(group), `{"username":"a/b"}`, 400, "user_not_found", "username"},
		{"200 on success", ann, to(group), `{"username":"ben"}`, 200, "", ""},
		{"400 already member", ann, to(group), `{"username":"ben"}`, 400, "already_a_participant", "username"},
		{"400 already member, in another case", ann, to(group), `{"username":"BEN"}`, 400, "already_a_participant", "username"},
		{"200 by one who was added: all members are equal", ben, to(group), `{"username":"cleo"}`, 200, "", ""},
	})
}

func removeParticipant(t *testing.T, s *frontdoor.Server) {
	rita, ron := frontdoor.SignUp(t, s.URL, "rita"), frontdoor.SignUp(t, s.URL, "ron")
	frontdoor.SignUp(t, s.URL, "rex")
	nobody := frontdoor.NewClient(t, s.URL)
	group := newGroup(rita)
	add(t, rita, group, "ron")
	direct := send(t, rita, "ron", "hi").ChatID
	self := send(t, rita, "rita", "note").ChatID
	others := newGroup(ron)
	from := func(id any, user string) string {
		return fmt.Sprintf("DELETE /v1/group_chat/%v/participants/%s", id, user)
	}

	check(t, []row{
		{"401 before 403", nobody, from(group, "nobody"), "", 401, "unauthenticated", ""},
		{"403 before no user: not a member", rita, from(others, "nobody"), "", 403, "not_a_participant", ""},
		{"403 before no user: no such chat", rita, from(999999, "nobody"), "", 403, "not_a_participant", ""},
		{"403 for oneself where one is not", rita, from(others, "rita"), "", 403, "not_a_participant", ""},
		{"no user before P2P", rita, from(direct, "nobody"), "", 400, "user_not_found", "username"},
		{"400 from a P2P chat", rita, from(direct, "ron"), "", 400, "not_a_group", "group_chat_id"},
		{"400 oneself from a P2P chat", rita, from(direct, "rita"), "", 400, "not_a_group", "group_chat_id"},
		{"P2P before not a member", rita, from(direct, "rex"), "", 400, "not_a_group", "group_chat_id"},
		{"400 from one's own chat", rita, from(self, "rita"), "", 400, "not_a_group", "group_chat_id"},
		{"400 no user", rita, from(group, "nobody"), "", 400, "user_not_found", "username"},
		{"400 no user: a slash", rita, from(group, "a%2Fb"), "", 400, "user_not_found", "username"},
		{"400 no user: dots", rita, from(group, "%2E%2E"), "", 400, "user_not_found", "username"},
		{"400 not a member", rita, from(group, "rex"), "", 400, "participant_not_found", "username"},
		{"200 any member removes any, also the creator", ron, from(group, "RITA"), "", 200, "", ""},
		{"403 afterwards", rita, from(group, "ron"), "", 403, "not_a_participant", ""},
		{"400 removed twice", ron, from(group, "rita"), "", 400, "participant_not_found", "username"},
		{"200 the last member may leave", ron, from(group, "ron"), "", 200, "", ""},
		{"403 nobody is left", ron, fmt.Sprintf("GET /v1/group_chat/messages/group/%d", group), "", 403, "not_a_participant", ""},
		{"the P2P chat is as before", rita, "POST /v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"still here"}`, direct), 200, "", ""},
	})
}

func usersByID(t *testing.T, s *frontdoor.Server) {
	uma := frontdoor.SignUp(t, s.URL, "uma")
	umaID := fmt.Sprint(uma.Post("/v1/auth/login", credentials(t, "uma", "open sesame")).Want(200).Field("id"))
	ulf := frontdoor.SignUp(t, s.URL, "ulf")
	group := newGroup(ulf)
	participants := fmt.Sprintf("/v1/group_chat/%d/participants", group)

	t.Run("a numeric id will do in a participant's path", func(t *testing.T) {
		add(t, ulf, group, "uma")
		ulf.Delete(participants + "/" + umaID).Want(200)
		uma.Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(403)
	})
	// Anybody may have a username of digits, and would get what is meant for the id.
	check(t, []row{
		{"an id is no username: send", ulf, "POST /v1/messages", fmt.Sprintf(`{"dest_username":%q,"message":"x"}`, umaID), 400, "user_not_found", "dest_username"},
		{"an id is no username: read", ulf, "GET /v1/messages/p2p/" + umaID, "", 400, "user_not_found", "dest_username"},
		{"an id is no username: add", ulf, "POST " + participants, fmt.Sprintf(`{"username":%q}`, umaID), 400, "user_not_found", "username"},
	})
	check(t, []row{
		{"nobody has the id: send", ulf, "POST /v1/messages", `{"dest_username":"999999","message":"x"}`, 400, "user_not_found", "dest_username"},
		{"nobody has the id: read", ulf, "GET /v1/messages/p2p/999999", "", 400, "user_not_found", "dest_username"},
		{"nobody has the id: add", ulf, "POST " + participants, `{"username":"999999"}`, 400, "user_not_found", "username"},
		{"no id: 0", ulf, "GET /v1/messages/p2p/0", "", 400, "user_not_found", "dest_username"},
		{"no id: too high", ulf, "GET /v1/messages/p2p/99999999999999999999", "", 400, "user_not_found", "dest_username"},
	})
	t.Run("a username that is the id of another", func(t *testing.T) {
		namesake := frontdoor.SignUp(t, s.URL, umaID)
		sent := send(t, ulf, umaID, "to a name of digits")
		require.Equal(t, []int64{sent.ID}, idsOf(list(namesake, "/v1/messages")))
		for _, prefix := range readPrefixes {
			require.Equal(t, []int64{sent.ID}, idsOf(list(ulf, prefix+"/p2p/"+umaID)))
		}
		add(t, ulf, group, "uma")
		require.Equal(t, umaID, ulf.Post(participants, `{"username":"`+umaID+`"}`).Want(200).Field("username"))
		requireAnswer(t, ulf.Delete(participants+"/"+umaID), 400, "user_ambiguous", "username")
		ulf.Delete(participants + "/" + fmt.Sprint(namesake.Get("/v1/me").Want(200).Field("id"))).Want(200)
		namesake.Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(403)
		uma.Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(200)
	})
}

func sendMessage(t *testing.T, s *frontdoor.Server) {
	mia, max := frontdoor.SignUp(t, s.URL, "mia"), frontdoor.SignUp(t, s.URL, "max")
	group, others := newGroup(mia), newGroup(max)
	direct := send(t, mia, "max", "hi max").ChatID
	const call = "POST /v1/messages"
	to := func(id any) string { return fmt.Sprintf(`{"group_chat_id":%v,"message":"hi"}`, id) }

	check(t, []row{
		{"group_chat_id: a number", mia, call, to(group), 200, "", ""},
		{"group_chat_id: a string of digits", mia, call, to(fmt.Sprintf(`"%d"`, group)), 200, "", ""},
		{"group_chat_id: 1.0", mia, call, to(fmt.Sprintf("%d.0", group)), 200, "", ""},
		{"group_chat_id: 10e-1", mia, call, to(fmt.Sprintf("%d0e-1", group)), 200, "", ""},
		{"403 1.0e3 is not 1", mia, call, to(fmt.Sprintf("%d.0e3", group)), 403, "not_a_participant", ""},
		{"group_chat_id: of one's P2P chat", max, call, to(direct), 200, "", ""},
		{"403 not a member", mia, call, to(others), 403, "not_a_participant", ""},
		{"403 unknown id", mia, call, to(999999), 403, "not_a_participant", ""},
		{"403 null id", mia, call, to("null"), 403, "not_a_participant", ""},
		{"403 id 0", mia, call, to(0), 403, "not_a_participant", ""},
		{"403 id \"0\"", mia, call, to(`"0"`), 403, "not_a_participant", ""},
		{"403 id below 0", mia, call, to(-1), 403, "not_a_participant", ""},
		{"403 huge number", mia, call, to("99999999999999999999"), 403, "not_a_participant", ""},
		{"403 huge number in a string", mia, call, to(`"99999999999999999999"`), 403, "not_a_participant", ""},
		{"400 a word for an id", mia, call, to(`"x"`), 400, "malformed_request", "group_chat_id"},
		{"400 an empty id", mia, call, to(`""`), 400, "malformed_request", "group_chat_id"},
		{"400 a fraction for an id", mia, call, to(1.5), 400, "malformed_request", "group_chat_id"},
		{"400 a fraction in a string", mia, call, to(`"1.0"`), 400, "malformed_request", "group_chat_id"},
		{"400 a list for an id", mia, call, to("[]"), 400, "malformed_request", "group_chat_id"},
		{"400 an object for an id", mia, call, to("{}"), 400, "malformed_request", "group_chat_id"},
		{"400 true for an id", mia, call, to("true"), 400, "malformed_request", "group_chat_id"},

		{"dest_username", mia, call, `{"dest_username":"max","message":"hi"}`, 200, "", ""},
		{"400 the destination user does not exist", mia, call, `{"dest_username":"nobody","message":"hi"}`, 400, "user_not_found", "dest_username"},
		{"400 integer dest_username", mia, call, `{"dest_username":1,"message":"hi"}`, 400, "malformed_request", "dest_username"},
		{"400 empty dest_username", mia, call, `{"dest_username":"","message":"hi"}`, 400, "malformed_request", "dest_username"},
		{"400 neither key", mia, call, `{"message":"hi"}`, 400, "recipient_missing", "group_chat_id"},

		{"400 message missing, to a group", mia, call, fmt.Sprintf(`{"group_chat_id":%d}`, group), 400, "malformed_request", "message"},
		{"400 message missing, to a person", mia, call, `{"dest_username":"max"}`, 400, "malformed_request", "message"},
		{"400 empty message", mia, call, `{"dest_username":"max","message":""}`, 400, "malformed_request", "message"},
		{"400 number for a message", mia, call, `{"dest_username":"max","message":1}`, 400, "malformed_request", "message"},
		{"400 null for a message", mia, call, `{"dest_username":"max","message":null}`, 400, "malformed_request", "message"},
		{"400 object for a message", mia, call, `{"dest_username":"max","message":{}}`, 400, "malformed_request", "message"},
	})

	t.Run("the answer is the stored message", func(t *testing.T) {
		before := time.Now().Truncate(time.Microsecond)
		r := mia.Post("/v1/messages", `{"group_chat_id":`+fmt.Sprint(group)+`,"message":"<b> & \u2028"}`).Want(200)
		after := time.Now()
		got := decode[map[string]any](r)
		require.Equal(t, []string{"chat_id", "created_at", "id", "kind", "sender_id", "sender_username", "seq", "text"}, slices.Sorted(maps.Keys(got)))
		require.Equal(t, float64(group), got["chat_id"])
		require.Equal(t, "group", got["kind"])
		require.Equal(t, float64(5), got["seq"])
		require.Equal(t, "mia", got["sender_username"])
		require.Equal(t, "<b> & \u2028", got["text"])
		require.Regexp(t, timestampPattern, got["created_at"])
		at, err := time.Parse(time.RFC3339Nano, got["created_at"].(string))
		require.NoError(t, err)
		require.WithinRange(t, at, before, after)
		for _, prefix := range readPrefixes {
			found := decode[[]map[string]any](mia.Get(fmt.Sprintf("%s/group/%d", prefix, group)))
			require.Equal(t, got, found[len(found)-1])
		}
	})
	t.Run("the P2P chat is reused in both directions", func(t *testing.T) {
		for _, m := range []message{send(t, mia, "max", "once more"), send(t, max, "mia", "and back"), send(t, max, "MIA", "again")} {
			require.Equal(t, direct, m.ChatID)
			require.Equal(t, "direct", m.Kind)
		}
	})
	t.Run("group_chat_id wins over dest_username", func(t *testing.T) {
		both := func(id any) *frontdoor.Response {
			return mia.Post("/v1/messages", fmt.Sprintf(`{"dest_username":"max","group_chat_id":%v,"message":"whither"}`, id))
		}
		require.Equal(t, group, decode[message](both(group)).ChatID)
		require.Equal(t, group, decode[message](both(fmt.Sprintf(`"%d"`, group))).ChatID)
		requireAnswer(t, both(others), 403, "not_a_participant", "")
		requireAnswer(t, both(0), 403, "not_a_participant", "")
		requireAnswer(t, both(`"x"`), 400, "malformed_request", "group_chat_id")
		require.Equal(t, direct, decode[message](both("null")).ChatID, "null is no chat, so it goes to the person")
	})
	t.Run("a refused message makes no chat", func(t *testing.T) {
		frontdoor.SignUp(t, s.URL, "moe")
		before := countChats(t, s)
		mia.Post("/v1/messages", `{"dest_username":"moe"}`).Want(400)
		mia.Post("/v1/messages", `{"dest_username":"moe","message":""}`).Want(400)
		mia.Post("/v1/messages", `{"dest_username":"moe","message":"a\u0000"}`).Want(400)
		require.Equal(t, before, countChats(t, s))
	})
	t.Run("the first messages of two at once share a chat", func(t *testing.T) {
		nia, noa := frontdoor.SignUp(t, s.URL, "nia"), frontdoor.SignUp(t, s.URL, "noa")
		var wg sync.WaitGroup
		for range 5 {
			for c, to := range map[*frontdoor.Client]string{nia: "noa", noa: "nia"} {
				wg.Go(func() { trySend(t, c, "dest_username", to, "first") })
			}
		}
		wg.Wait()
		found := list(nia, "/v1/messages")
		require.Len(t, found, 10)
		for i, m := range found {
			require.Equal(t, found[0].ChatID, m.ChatID)
			require.Equal(t, int64(i+1), m.Seq)
		}
	})
}

// countChats looks into the database: ids may have gaps, and do not tell how
// many chats there are.
func countChats(t *testing.T, s *frontdoor.Server) (n int) {
	t.Helper()
	require.NoError(t, frontdoor.OpenDatabase(t, s.Database).QueryRow(`SELECT count(*) FROM chats`).Scan(&n))
	return n
}

// trySend is send for other goroutines than the test's: it does not end it.
func trySend(t *testing.T, c *frontdoor.Client, field string, to any, text string) (sent message) {
	r, err := c.Try(t.Context(), "POST", "/v1/messages", frontdoor.JSON(t, map[string]any{field: to, "message": text}))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", r.StatusCode, r.Text)
	}
	if err == nil {
		err = json.Unmarshal([]byte(r.Text), &sent)
	}
	if err != nil {
		t.Error(err)
	}
	return sent
}

func messageToOneself(t *testing.T, s *frontdoor.Server) {
	ida, ian := frontdoor.SignUp(t, s.URL, "ida"), frontdoor.SignUp(t, s.URL, "ian")
	direct := send(t, ida, "ian", "hi ian")
	require.JSONEq(t, "[]", ida.Get("/v1/messages/p2p/ida").Want(200).Text)

	note := send(t, ida, "Ida", "a note")
	require.Equal(t, "self", note.Kind)
	require.NotEqual(t, direct.ChatID, note.ChatID)
	require.Equal(t, note.ChatID, send(t, ida, "ida", "another").ChatID)
	require.Equal(t, note.ChatID, send(t, ida, note.ChatID, "by its id").ChatID)

	for _, prefix := range readPrefixes {
		require.Equal(t, []string{"a note", "another", "by its id"}, textsOf(list(ida, prefix+"/p2p/ida")))
		require.Equal(t, []string{"hi ian"}, textsOf(list(ida, prefix+"/p2p/ian")))
		require.Equal(t, []string{"hi ian", "a note", "another", "by its id"}, textsOf(list(ida, prefix)))
		require.Equal(t, []string{"hi ian"}, textsOf(list(ian, prefix)), "nobody else reads it")
		ian.Get(fmt.Sprintf("%s/group/%d", prefix, note.ChatID)).Want(403)
	}
}

// manyAtOnce shows that a bug is not reproduced: of two messages of one sender
// in one chat and second, the second was lost.
func manyAtOnce(t *testing.T, s *frontdoor.Server) {
	quinn := frontdoor.SignUp(t, s.URL, "quinn")
	t.Run("one after the other", func(t *testing.T) {
		group := newGroup(quinn)
		var sent []message
		for i := range 20 {
			sent = append(sent, send(t, quinn, group, fmt.Sprint("message ", i)))
			require.Equal(t, int64(i+1), sent[i].Seq)
		}
		for _, prefix := range readPrefixes {
			require.Equal(t, sent, list(quinn, fmt.Sprintf("%s/group/%d", prefix, group)))
		}
	})
	t.Run("all at once", func(t *testing.T) {
		group := newGroup(quinn)
		sent := make([]message, 20)
		var wg sync.WaitGroup
		for i := range sent {
			wg.Go(func() { sent[i] = trySend(t, quinn, "group_chat_id", group, fmt.Sprint("message ", i)) })
		}
		wg.Wait()
		slices.SortFunc(sent, func(a, b message) int { return int(a.Seq - b.Seq) })
		for i, m := range sent {
			require.Equal(t, int64(i+1), m.Seq)
		}
		require.Equal(t, sent, list(quinn, fmt.Sprintf("/v1/messages/group/%d", group)))
	})
}

func texts(t *testing.T, s *frontdoor.Server) {
	tess := frontdoor.SignUp(t, s.URL, "tess")
	frontdoor.SignUp(t, s.URL, "tim")
	for name, text := range map[string]string{
		"emoji":                           "👩‍👩‍👧‍👦 🇨🇭 \U0001F600",
		"scripts":                         "Grüße שָׁלוֹם مرحبا 你好 ความ",
		"not normalised":                  "e\u0301 \u00e9 \u212b",
		"a brace, which was ambiguous":    `}, Message{sender_username=eve`,
		"markup":                          `<script>alert("&amp;")</script>`,
		"a Caddy placeholder":             `{env.HOME} {http.request.uuid}`,
		"SQL":                             `'); DROP TABLE messages; --`,
		"white space":                     " \t\r\n ",
		"control characters":              "\x01\x1b[31m\x7f\u0085",
		"what a browser may not tell":     "\u2028\u2029\ufeff\uffff\ufffd",
		"10,000 characters of four bytes": strings.Repeat("\U0001F600", 10_000),
		"10,000 characters of one byte":   strings.Repeat("x", 10_000),
	} {
		t.Run("kept: "+name, func(t *testing.T) {
			sent := send(t, tess, "tim", text)
			require.Equal(t, text, sent.Text)
			found := list(tess, fmt.Sprintf("/v1/messages/p2p/tim?after=%d&before=%d", sent.ID-1, sent.ID+1))
			require.Equal(t, []message{sent}, found)
		})
	}
	body := func(text string) string { return `{"dest_username":"tim","message":"` + text + `"}` }
	check(t, []row{
		{"400 10,001 characters of one byte", tess, "POST /v1/messages", body(strings.Repeat("x", 10_001)), 400, "malformed_request", "message"},
		{"400 10,001 characters of four bytes", tess, "POST /v1/messages", body(strings.Repeat("\U0001F600", 10_001)), 400, "malformed_request", "message"},
		{"400 NUL", tess, "POST /v1/messages", body(`a\u0000b`), 400, "message_invalid", "message"},
		{"400 NUL as it is", tess, "POST /v1/messages", body("a\x00b"), 400, "malformed_request", ""},
		{"400 invalid UTF-8", tess, "POST /v1/messages", body("a\xffb"), 400, "malformed_request", ""},
		{"400 half a character", tess, "POST /v1/messages", body("\xf0\x9f\x98"), 400, "malformed_request", ""},
		{"400 a surrogate in UTF-8", tess, "POST /v1/messages", body("\xed\xa0\x80"), 400, "malformed_request", ""},
		{"400 Latin-1", tess, "POST /v1/messages", body("Gr\xfc\xdfe"), 400, "malformed_request", ""},
	})
}

func bodies(t *testing.T, s *frontdoor.Server) {
	lou := frontdoor.SignUp(t, s.URL, "lou")
	frontdoor.SignUp(t, s.URL, "lars")
	group := newGroup(lou)
	const most = 64 << 10
	for path, body := range map[string]string{
		"/v1/auth/register": `{"username":"large","password":"open sesame"`,
		"/v1/auth/login":    `{"username":"lou","password":"open sesame"`,
		"/v1/group_chat":    `{"title":"large"`,
		"/v1/messages":      `{"dest_username":"lou","message":"large"`,
		fmt.Sprintf("/v1/group_chat/%d/participants", group): `{"username":"lars"`,
	} {
		padded := func(size int) string {
			return body + `,"x":"` + strings.Repeat("x", size-len(body)-len(`,"x":""}`)) + `"}`
		}
		t.Run("64 KiB: POST "+path, func(t *testing.T) {
			requireAnswer(t, lou.Post(path, padded(most)), 200, "", "")
		})
		t.Run("413 over 64 KiB: POST "+path, func(t *testing.T) {
			requireAnswer(t, lou.Post(path, padded(most+1)), 413, "body_too_large", "")
		})
		t.Run("413 over 64 KiB, of untold length: POST "+path, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, io.MultiReader(strings.NewReader(padded(most+1))))
			require.NoError(t, err)
			resp, err := lou.HTTP.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, 413, resp.StatusCode)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		})
	}
}

func idempotency(t *testing.T, s *frontdoor.Server) {
	kim, kai := frontdoor.SignUp(t, s.URL, "kim"), frontdoor.SignUp(t, s.URL, "kai")
	group := newGroup(kim)
	withHeader := func(c *frontdoor.Client, to, key, text string) *frontdoor.Response {
		return c.Do("POST", "/v1/messages", frontdoor.JSON(t, map[string]string{"dest_username": to, "message": text}), "Idempotency-Key", key)
	}
	withField := func(c *frontdoor.Client, to, key, text string) *frontdoor.Response {
		return c.Post("/v1/messages", frontdoor.JSON(t, map[string]string{"dest_username": to, "message": text, "client_id": key}))
	}

	t.Run("the same key answers the same message, stored once", func(t *testing.T) {
		first := withHeader(kim, "kai", "key 1", "once").Want(200)
		require.Equal(t, "key 1", first.Field("client_id"))
		require.Equal(t, first.Text, withHeader(kim, "kai", "key 1", "once").Want(200).Text)
		require.Equal(t, first.Text, withField(kim, "kai", "key 1", "once").Want(200).Text)
		require.Equal(t, first.Text, withField(kim, "kai", "key 1", "with another text").Want(200).Text)
		require.Equal(t, first.Text, kim.Post("/v1/messages",
			fmt.Sprintf(`{"group_chat_id":%d,"message":"elsewhere","client_id":"key 1"}`, group)).Want(200).Text)
		require.Equal(t, []string{"once"}, textsOf(list(kai, "/v1/messages")))
		require.JSONEq(t, "[]", kim.Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(200).Text)
		require.Equal(t, "key 1", list(kai, "/v1/messages/p2p/kim")[0].ClientID)
	})
	t.Run("the field wins over the header", func(t *testing.T) {
		body := `{"dest_username":"kai","message":"both","client_id":"key 2"}`
		sent := decode[message](kim.Do("POST", "/v1/messages", body, "Idempotency-Key", "key 1"))
		require.Equal(t, "key 2", sent.ClientID)
		require.Equal(t, "both", sent.Text)
	})
	t.Run("a key is its sender's own", func(t *testing.T) {
		theirs := decode[message](withField(kai, "kim", "key 1", "of kai"))
		require.Equal(t, "of kai", theirs.Text)
		require.Equal(t, "kai", theirs.SenderUsername)
	})
	t.Run("also where the first was sent at the same time", func(t *testing.T) {
		answers := make([]string, 10)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				r, err := kim.Try(t.Context(), "POST", "/v1/messages",
					fmt.Sprintf(`{"group_chat_id":%d,"message":"at once"}`, group), "Idempotency-Key", "key 3")
				if err != nil || r.StatusCode != 200 {
					t.Error(err, r)
					return
				}
				answers[i] = r.Text
			})
		}
		wg.Wait()
		require.Len(t, slices.Compact(answers), 1)
		require.Equal(t, []string{"at once"}, textsOf(list(kim, fmt.Sprintf("/v1/messages/group/%d", group))))
	})
	t.Run("without a key, each is a message", func(t *testing.T) {
		first, second := withField(kim, "kai", "", "twice"), withHeader(kim, "kai", "", "twice")
		require.NotEqual(t, first.Want(200).Field("id"), second.Want(200).Field("id"))
	})
	t.Run("a refused message keeps no key", func(t *testing.T) {
		requireAnswer(t, withField(kim, "nobody", "key 4", "late"), 400, "user_not_found", "dest_username")
		require.Equal(t, "late", withField(kim, "kai", "key 4", "late").Want(200).Field("text"))
	})
	t.Run("what is a key", func(t *testing.T) {
		require.Equal(t, strings.Repeat("k", 128), withField(kim, "kai", strings.Repeat("k", 128), "x").Want(200).Field("client_id"))
		requireAnswer(t, withField(kim, "kai", strings.Repeat("k", 129), "x"), 400, "client_id_invalid", "client_id")
		requireAnswer(t, withHeader(kim, "kai", strings.Repeat("k", 129), "x"), 400, "client_id_invalid", "client_id")
		requireAnswer(t, withHeader(kim, "kai", "Gr\xfc\xdfe", "x"), 400, "client_id_invalid", "client_id")
		requireAnswer(t, withField(kim, "kai", "a\nb", "x"), 400, "client_id_invalid", "client_id")
		requireAnswer(t, kim.Post("/v1/messages", `{"dest_username":"kai","message":"x","client_id":1}`), 400, "malformed_request", "client_id")
	})
}

func readMessages(t *testing.T, s *frontdoor.Server) {
	vera, vic := frontdoor.SignUp(t, s.URL, "vera"), frontdoor.SignUp(t, s.URL, "vic")
	frontdoor.SignUp(t, s.URL, "stranger")
	for _, prefix := range readPrefixes {
		require.JSONEq(t, "[]", vera.Get(prefix).Want(200).Text, "the list can be empty")
	}
	group, others := newGroup(vera), newGroup(vic)
	for _, prefix := range readPrefixes {
		require.JSONEq(t, "[]", vera.Get(fmt.Sprintf("%s/group/%d", prefix, group)).Want(200).Text)
	}

	add(t, vera, group, "vic")
	var inGroup, direct []message
	for i := range 3 {
		inGroup = append(inGroup, send(t, vera, group, fmt.Sprint("to the group ", i)))
		direct = append(direct, send(t, vic, "vera", fmt.Sprint("to vera ", i)))
		inGroup = append(inGroup, send(t, vic, group, fmt.Sprint("back ", i)))
	}
	send(t, vic, others, "not for vera")
	all := slices.SortedFunc(slices.Values(slices.Concat(inGroup, direct)), func(a, b message) int { return int(a.ID - b.ID) })

	for _, prefix := range readPrefixes {
		t.Run("oldest first: "+prefix, func(t *testing.T) {
			require.Equal(t, all, list(vera, prefix))
			require.Equal(t, inGroup, list(vera, fmt.Sprintf("%s/group/%d", prefix, group)))
			require.Equal(t, direct, list(vera, prefix+"/p2p/vic"))
			require.Equal(t, direct, list(vic, prefix+"/p2p/Vera"))
			require.Equal(t, direct, list(vera, fmt.Sprintf("%s/group/%d", prefix, direct[0].ChatID)), "a P2P chat by its id")
		})
		t.Run("a pair that never talked: "+prefix, func(t *testing.T) {
			before := countChats(t, s)
			require.JSONEq(t, "[]", vera.Get(prefix+"/p2p/stranger").Want(200).Text)
			require.JSONEq(t, "[]", vera.Get(prefix+"/p2p/vera").Want(200).Text)
			require.Equal(t, before, countChats(t, s), "reading made a chat")
		})
		check(t, []row{
			{"403 not a member: " + prefix, vera, fmt.Sprintf("GET %s/group/%d", prefix, others), "", 403, "not_a_participant", ""},
			{"403 unknown chat: " + prefix, vera, "GET " + prefix + "/group/999999", "", 403, "not_a_participant", ""},
			{"403 chat 0: " + prefix, vera, "GET " + prefix + "/group/0", "", 403, "not_a_participant", ""},
			{"403 huge number: " + prefix, vera, "GET " + prefix + "/group/99999999999999999999", "", 403, "not_a_participant", ""},
			{"400 the destination user does not exist: " + prefix, vera, "GET " + prefix + "/p2p/nobody", "", 400, "user_not_found", "dest_username"},
			{"400 no username at all: " + prefix, vera, "GET " + prefix + "/p2p/a%2Fb", "", 400, "user_not_found", "dest_username"},
			{"400 no username, but dots: " + prefix, vera, "GET " + prefix + "/p2p/%2E%2E", "", 400, "user_not_found", "dest_username"},
		})
	}
	t.Run("403 tells nothing of the chat", func(t *testing.T) {
		told := func(id int64) map[string]any {
			p := decodeProblem(vera.Get(fmt.Sprintf("/v1/messages/group/%d", id)).Want(403))
			delete(p, "request_id")
			return p
		}
		require.Equal(t, told(others), told(999999))
	})
	t.Run("a list is not to be cached", func(t *testing.T) {
		require.Equal(t, "no-store", vera.Get("/v1/messages").Header.Get("Cache-Control"))
	})
}

func decodeProblem(r *frontdoor.Response) (p map[string]any) {
	r.Decode(&p)
	return p
}

func membershipNow(t *testing.T, s *frontdoor.Server) {
	eva, eli := frontdoor.SignUp(t, s.URL, "eva"), frontdoor.SignUp(t, s.URL, "eli")
	group := newGroup(eva)
	chat := fmt.Sprintf("/group/%d", group)
	send(t, eva, group, "before")
	send(t, eva, "eli", "in private")
	add(t, eva, group, "eli")
	send(t, eva, group, "after")
	send(t, eli, group, "by eli")

	for _, prefix := range readPrefixes {
		require.Equal(t, []string{"before", "after", "by eli"}, textsOf(list(eli, prefix+chat)))
		require.Equal(t, []string{"before", "in private", "after", "by eli"}, textsOf(list(eli, prefix)))
	}
	eva.Delete(fmt.Sprintf("/v1/group_chat/%d/participants/eli", group)).Want(200)
	for _, prefix := range readPrefixes {
		eli.Get(prefix + chat).Want(403)
		require.Equal(t, []string{"in private"}, textsOf(list(eli, prefix)))
		require.Equal(t, []string{"before", "after", "by eli"}, textsOf(list(eva, prefix+chat)), "what eli wrote stays")
	}
	requireAnswer(t, eli.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"x"}`, group)), 403, "not_a_participant", "")
	add(t, eva, group, "eli")
	require.Equal(t, int64(4), send(t, eli, group, "back again").Seq)
}

func paging(t *testing.T, s *frontdoor.Server) {
	pia, pim := frontdoor.SignUp(t, s.URL, "pia"), frontdoor.SignUp(t, s.URL, "pim")
	frontdoor.SignUp(t, s.URL, "pat")
	group, noise := newGroup(pia), newGroup(pim)
	sent := map[string][]int64{}
	for i := range 10 {
		inGroup, direct := send(t, pia, group, fmt.Sprint("group ", i)).ID, send(t, pia, "pat", fmt.Sprint("direct ", i)).ID
		send(t, pim, noise, "noise")
		sent[fmt.Sprintf("/group/%d", group)] = append(sent[fmt.Sprintf("/group/%d", group)], inGroup)
		sent["/p2p/pat"] = append(sent["/p2p/pat"], direct)
		sent[""] = append(sent[""], inGroup, direct)
	}
	for route, ids := range sent {
		for _, prefix := range readPrefixes {
			path, n := prefix+route, len(ids)
			t.Run(path, func(t *testing.T) {
				for query, want := range map[string][]int64{
					"":                                                         ids,
					"?limit=1":                                                 ids[n-1:],
					"?limit=3":                                                 ids[n-3:],
					"?limit=500":                                               ids,
					fmt.Sprint("?limit=", n):                                   ids,
					fmt.Sprint("?after=", ids[4]):                              ids[5:],
					fmt.Sprint("?before=", ids[4]):                             ids[:4],
					fmt.Sprint("?after=", ids[n-1]):                            {},
					fmt.Sprint("?before=", ids[0]):                             {},
					"?after=9223372036854775807":                               {},
					"?before=9223372036854775807":                              ids,
					"?limit=2&after=9223372036854775807":                       {},
					fmt.Sprintf("?limit=3&after=%d", ids[2]):                   ids[3:6],
					fmt.Sprintf("?limit=3&before=%d", ids[7]):                  ids[4:7],
					fmt.Sprintf("?limit=3&before=%d", ids[1]):                  ids[:1],
					fmt.Sprintf("?limit=3&after=%d", ids[n-2]):                 ids[n-1:],
					fmt.Sprintf("?after=%d&before=%d", ids[2], ids[6]):         ids[3:6],
					fmt.Sprintf("?after=%d&before=%d", ids[6], ids[2]):         {},
					fmt.Sprintf("?after=%d&before=%d", ids[2], ids[2]+1):       {},
					fmt.Sprintf("?after=%d&before=%d", ids[2]-1, ids[2]+1):     ids[2:3],
					fmt.Sprintf("?limit=2&after=%d&before=%d", ids[2], ids[6]): ids[3:5],
				} {
					got := pia.Get(path + query)
					require.Equal(t, want, idsOf(decode[[]message](got)), query)
				}
				for query, field := range map[string]string{
					"limit=0": "limit", "limit=-1": "limit", "limit=501": "limit", "limit=x": "limit", "limit=1.5": "limit",
					"limit=99999999999999999999": "limit", "limit=%00": "limit",
					"before=x": "before", "before=0": "before", "before=-1": "before", "before=1.0": "before",
					"before=99999999999999999999": "before",
					"after=x":                     "after", "after=-1": "after", "after=99999999999999999999": "after",
					"limit=5&before=x": "before",
				} {
					requireAnswer(t, pia.Get(path+"?"+query), 400, "malformed_request", field)
				}
				var backwards []int64
				for before := int64(1) << 62; ; {
					page := idsOf(list(pia, fmt.Sprintf("%s?limit=3&before=%d", path, before)))
					if len(page) == 0 {
						break
					}
					backwards, before = append(page, backwards...), page[0]
				}
				require.Equal(t, ids, backwards)
				var forwards []int64
				for after := ids[0]; ; {
					page := idsOf(list(pia, fmt.Sprintf("%s?limit=3&after=%d", path, after)))
					if len(page) == 0 {
						break
					}
					forwards, after = append(forwards, page...), page[len(page)-1]
				}
				require.Equal(t, ids[1:], forwards)
			})
		}
	}
}

func longHistory(t *testing.T, s *frontdoor.Server) {
	hal, hugo := frontdoor.SignUp(t, s.URL, "hal"), frontdoor.SignUp(t, s.URL, "hugo")
	for _, c := range []*frontdoor.Client{hal, hugo} {
		c.HTTP.Transport.(*http.Transport).MaxIdleConnsPerHost = 16
	}
	noise := newGroup(hugo)
	chats := []int64{newGroup(hal), newGroup(hugo), newGroup(hal), send(t, hal, "hugo", "hi").ChatID}
	add(t, hal, chats[0], "hugo")
	add(t, hugo, chats[1], "hal")

	const workers, each = 16, 75
	sent := make([][]int64, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprintf("%d/%d %s", w, i, strings.Repeat("~", 50))
				if w%4 == 0 {
					trySend(t, hugo, "group_chat_id", noise, text)
				}
				from, chat := hal, chats[(w+i)%len(chats)]
				if chat != chats[2] && w%2 == 0 {
					from = hugo
				}
				sent[w] = append(sent[w], trySend(t, from, "group_chat_id", chat, text).ID)
			}
		})
	}
	wg.Wait()
	want := slices.Sorted(slices.Values(slices.Concat(sent...)))

	for _, prefix := range readPrefixes {
		all := list(hal, prefix)
		require.Equal(t, "hi", all[0].Text)
		require.Equal(t, want, idsOf(all[1:]))
		lastSeq, perChat := map[int64]int64{}, map[int64][]message{}
		for _, m := range all {
			require.Regexp(t, timestampPattern, m.CreatedAt, "some of so many end in a zero")
			require.Equal(t, lastSeq[m.ChatID]+1, m.Seq)
			lastSeq[m.ChatID] = m.Seq
			perChat[m.ChatID] = append(perChat[m.ChatID], m)
		}
		for _, chat := range chats {
			require.Equal(t, perChat[chat], list(hal, fmt.Sprintf("%s/group/%d", prefix, chat)))
		}
		var paged []message
		for before := int64(1) << 62; ; {
			page := list(hal, fmt.Sprintf("%s?limit=500&before=%d", prefix, before))
			if len(page) == 0 {
				break
			}
			paged, before = append(page, paged...), page[0].ID
		}
		require.Equal(t, all, paged)
	}
}
