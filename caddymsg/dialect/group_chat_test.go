package dialect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// groupChat is a server that speaks group_chat, with an administrator and two others.
type groupChat struct {
	*frontdoor.Server
	client *frontdoor.Client
	keys   map[string]string // by the username
	ids    map[string]string // of what was made, by the names that rows give it
}

const groupChatAdmin = "battery staple"

func newGroupChat(t *testing.T, engine frontdoor.Engine) *groupChat {
	t.Helper()
	g := &groupChat{Server: start(t, engine, "group_chat", ""), keys: map[string]string{}, ids: map[string]string{}}
	g = g.on(t)
	createAdmin(t, g.Server, groupChatAdmin)
	g.login(t, "admin", groupChatAdmin)
	for _, name := range []string{"bob", "eve"} {
		made := g.do("admin", "POST", "/api/users", fmt.Sprintf(`{"username": %q, "password": "pw"}`, name)).Want(201)
		g.ids[name] = fmt.Sprint(made.Field("id"))
		g.keys[name] = made.Field("api_key").(string)
	}
	g.ids["admin"] = fmt.Sprint(g.user(t, "admin").ID)
	return g
}

// on is the same for another test.
func (g *groupChat) on(t *testing.T) *groupChat {
	t.Helper()
	other := *g
	other.client = frontdoor.NewClient(t, g.URL)
	other.client.Unchecked = "not v1"
	return &other
}

// createAdmin makes the first administrator, as its operator does.
func createAdmin(t *testing.T, s *frontdoor.Server, password string) {
	t.Helper()
	frontdoor.NewClient(t, s.URL2).Get("/v1/me").Want(401) // it has started
	cmd, err := frontdoor.Command(t.Context(), frontdoor.Options{Dir: t.TempDir()},
		"messaging", "user", "create", "--username", "admin", "--admin", "--bcrypt-cost", "4", "--database", s.Database)
	require.NoError(t, err)
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func (g *groupChat) login(t *testing.T, username, password string) {
	t.Helper()
	body := frontdoor.JSON(t, map[string]string{"username": username, "password": password})
	g.keys[username] = g.do("", "POST", "/api/login", body).Want(200).Field("api_key").(string)
}

// do sends a request with somebody's key; nobody has none.
func (g *groupChat) do(as, method, path, body string, header ...string) *frontdoor.Response {
	if as != "" {
		header = append(header, "X-API-Key", g.keys[as])
	}
	return g.client.Do(method, path, body, header...)
}

type groupChatUser struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Admin    bool   `json:"is_admin"`
}

func (g *groupChat) user(t *testing.T, username string) groupChatUser {
	t.Helper()
	var all []groupChatUser
	g.do("admin", "GET", "/api/users", "").Want(200).Decode(&all)
	for _, u := range all {
		if u.Username == username {
			return u
		}
	}
	require.Fail(t, "there is no user "+username)
	return groupChatUser{}
}

// fill puts ids in the places that have their names: {bob}.
func (g *groupChat) fill(text string) string {
	return regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(text, func(place string) string {
		if id, ok := g.ids[strings.Trim(place, "{}")]; ok {
			return id
		}
		return place
	})
}

// row is one of the contract: a request, and what it is answered with.
type groupChatRow struct {
	name               string
	as                 string
	method, path, body string
	status             int
	// want is the whole answer, or the only field that it has: a text in our own words.
	want string
	id   string // under which the id in the answer is known from then on
}

var onlyField = regexp.MustCompile(`^\w+$`)

// rows are gone through in their order.
func (g *groupChat) rows(t *testing.T, rows []groupChatRow) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := g.on(t)
			answer := g.do(row.as, row.method, g.fill(row.path), g.fill(row.body)).Want(row.status)
			require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
			if !onlyField.MatchString(row.want) {
				require.JSONEq(t, g.fill(row.want), answer.Text)
				return
			}
			var fields map[string]any
			answer.Decode(&fields)
			require.IsType(t, "", fields[row.want], answer.Text)
			require.NotEmpty(t, fields[row.want])
			if row.id != "" {
				require.IsType(t, 0.0, fields["id"], answer.Text)
				g.ids[row.id] = fmt.Sprint(fields["id"])
				delete(fields, "id")
			}
			if row.status >= 400 {
				require.Len(t, fields, 1, "an error has one field")
			}
		})
	}
}

// Contract 3, §1: login, logout, and what keys do.
func TestGroupChatAuth(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		g := newGroupChat(t, engine)
		g.keys["bad"], g.keys["v1"] = "no.such.key", "Bearer "+g.keys["bob"]
		const login = "/api/login"
		g.rows(t, []groupChatRow{
			{name: "login", method: "POST", path: login, body: `{"username": "bob", "password": "pw"}`, status: 200, want: "api_key"},
			{name: "login by the bare path", method: "POST", path: "/login", body: `{"username": "bob", "password": "pw"}`, status: 200, want: "api_key"},
			{name: "login with a wrong password", method: "POST", path: login, body: `{"username": "bob", "password": "no"}`, status: 401, want: "message"},
			{name: "login of nobody", method: "POST", path: login, body: `{"username": "zoe", "password": "no"}`, status: 401, want: "message"},
			{name: "login as admin/admin", method: "POST", path: login, body: `{"username": "admin", "password": "admin"}`, status: 401, want: "message"},
			{name: "login without a password", method: "POST", path: login, body: `{"username": "bob"}`, status: 400, want: "message"},
			{name: "login without a username", method: "POST", path: login, body: `{"password": "pw"}`, status: 400, want: "message"},
			{name: "login with a list", method: "POST", path: login, body: `{"username": ["bob"], "password": "pw"}`, status: 400, want: "message"},
			{name: "login with what is no JSON", method: "POST", path: login, body: `{"username"`, status: 400, want: "message"},
			{name: "login with what is no object", method: "POST", path: login, body: `["bob", "pw"]`, status: 400, want: "message"},
			{name: "without a key", method: "GET", path: "/api/users", status: 401, want: "message"},
			{name: "with a bad key", as: "bad", method: "GET", path: "/api/users", status: 401, want: "message"},
			{name: "with a bearer token in its place", as: "v1", method: "GET", path: "/api/users", status: 401, want: "message"},
			{name: "about groups without a key", method: "GET", path: "/api/groups", status: 401, want: "message"},
			{name: "about messages with a bad key", as: "bad", method: "POST", path: "/api/groups/1/messages", body: `{"text": "hi"}`, status: 401, want: "message"},
			{name: "logout without a key", method: "POST", path: "/api/logout", status: 200, want: "message"},
			{name: "logout with a bad key", as: "bad", method: "POST", path: "/api/logout", status: 200, want: "message"},
			{name: "an unknown path", as: "bob", method: "GET", path: "/api/nothing", status: 404, want: "message"},
			{name: "an id that is no number", as: "bob", method: "GET", path: "/api/users/bob", status: 404, want: "message"},
			{name: "another method", as: "bob", method: "PATCH", path: "/api/users", status: 405, want: "message"},
		})
		t.Run("the same answer for a wrong password and for nobody", func(t *testing.T) {
			g := g.on(t)
			wrong := g.do("", "POST", login, `{"username": "bob", "password": "no"}`)
			nobody := g.do("", "POST", login, `{"username": "zoe", "password": "no"}`)
			require.Equal(t, wrong.Text, nobody.Text)
		})
		t.Run("a bearer token is not read", func(t *testing.T) {
			g := g.on(t)
			g.do("", "GET", "/api/users", "", "Authorization", "Bearer "+g.keys["bob"]).Want(401)
		})
		t.Run("a body that is not application/json", func(t *testing.T) {
			g := g.on(t)
			for _, contentType := range []string{"application/x-www-form-urlencoded", "text/plain", ""} {
				answer := g.do("", "POST", login, `{"username": "bob", "password": "pw"}`, "Content-Type", contentType).Want(400)
				require.NotEmpty(t, answer.Field("message"))
			}
			g.do("", "POST", login, `{"username": "bob", "password": "pw"}`, "Content-Type", "application/json; charset=utf-8").Want(200)
		})
		t.Run("a body that is too large", func(t *testing.T) {
			g := g.on(t)
			g.do("", "POST", login, `{"username": "`+strings.Repeat("x", 70_000)+`"}`).Want(413)
		})
		t.Run("a key is good for an hour", func(t *testing.T) {
			g := g.on(t)
			v1 := frontdoor.NewClient(t, g.URL2)
			var sessions []struct {
				ExpiresAt time.Time `json:"expires_at"`
			}
			v1.Do("GET", "/v1/me/sessions", "", "Authorization", "Bearer "+g.keys["eve"]).Want(200).Decode(&sessions)
			require.Len(t, sessions, 1)
			require.WithinDuration(t, time.Now().Add(time.Hour), sessions[0].ExpiresAt, 10*time.Minute)
		})
		t.Run("logout ends the session", func(t *testing.T) {
			g := g.on(t)
			other := g.keys["eve"]
			g.login(t, "eve", "pw")
			g.do("eve", "POST", "/api/logout", "").Want(200)
			g.do("eve", "GET", "/api/users", "").Want(401)
			g.do("eve", "POST", "/api/logout", "").Want(200)
			g.keys["eve"] = other
			g.do("eve", "GET", "/api/users", "").Want(200)
		})
		t.Run("a deactivated user", func(t *testing.T) {
			g := g.on(t)
			v1 := frontdoor.NewClient(t, g.URL2)
			v1.Do("PATCH", "/v1/admin/users/"+g.ids["bob"], `{"deactivated": true}`, "Authorization", "Bearer "+g.keys["admin"]).Want(200)
			g.do("bob", "GET", "/api/users", "").Want(401)
			g.do("", "POST", login, `{"username": "bob", "password": "pw"}`).Want(401)
			require.NotContains(t, g.do("eve", "GET", "/api/users", "").Want(200).Text, `"bob"`)
		})
	})
}

// Contract 3, §2: users, whom administrators make.
func TestGroupChatUsers(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		g := newGroupChat(t, engine)
		users := "/api/users"
		g.rows(t, []groupChatRow{
			{name: "POST", as: "admin", method: "POST", path: users, body: `{"username": "carl", "password": "pw"}`, status: 201, want: "api_key", id: "carl"},
			{name: "POST, an administrator", as: "admin", method: "POST", path: users, body: `{"username": "root", "password": "pw", "is_admin": true}`, status: 201, want: "api_key", id: "root"},
			{name: "POST, a number for a name", as: "admin", method: "POST", path: users, body: `{"username": 12, "password": 34, "is_admin": false}`, status: 201, want: "api_key", id: "twelve"},
			{name: "POST, taken", as: "admin", method: "POST", path: users, body: `{"username": "carl", "password": "pw"}`, status: 400, want: "message"},
			{name: "POST, taken but for the case", as: "admin", method: "POST", path: users, body: `{"username": "CARL", "password": "pw"}`, status: 400, want: "message"},
			{name: "POST, no username", as: "admin", method: "POST", path: users, body: `{"password": "pw"}`, status: 400, want: "message"},
			{name: "POST, no password", as: "admin", method: "POST", path: users, body: `{"username": "zoe"}`, status: 400, want: "message"},
			{name: "POST, is_admin is no boolean", as: "admin", method: "POST", path: users, body: `{"username": "zoe", "password": "pw", "is_admin": "yes"}`, status: 400, want: "message"},
			{name: "POST, a name that won't do", as: "admin", method: "POST", path: users, body: `{"username": "z o", "password": "pw"}`, status: 400, want: "message"},
			{name: "POST, a password that is too long", as: "admin", method: "POST", path: users, body: `{"username": "zoe", "password": "` + strings.Repeat("x", 73) + `"}`, status: 400, want: "message"},
			{name: "POST by a normal user", as: "bob", method: "POST", path: users, body: `{"username": "zoe", "password": "pw"}`, status: 401, want: "message"},
			{name: "POST by nobody", method: "POST", path: users, body: `{"username": "zoe", "password": "pw"}`, status: 401, want: "message"},
			{name: "GET all", as: "bob", method: "GET", path: users, status: 200, want: `[
				{"id": {admin}, "username": "admin", "is_admin": true}, {"id": {bob}, "username": "bob", "is_admin": false},
				{"id": {eve}, "username": "eve", "is_admin": false}, {"id": {carl}, "username": "carl", "is_admin": false},
				{"id": {root}, "username": "root", "is_admin": true}, {"id": {twelve}, "username": "12", "is_admin": false}]`},
			{name: "GET one", as: "bob", method: "GET", path: "/api/users/{carl}", status: 200, want: `{"id": {carl}, "username": "carl", "is_admin": false}`},
			{name: "GET one, by the bare path", as: "bob", method: "GET", path: "/users/{carl}", status: 200, want: `{"id": {carl}, "username": "carl", "is_admin": false}`},
			{name: "GET one whose id is the name of another", as: "bob", method: "GET", path: "/api/users/12", status: 404, want: "message"},
			{name: "GET one that there is not", as: "bob", method: "GET", path: "/api/users/9999999999999999999999", status: 404, want: "message"},
			{name: "GET by nobody", method: "GET", path: "/api/users/{carl}", status: 401, want: "message"},
			{name: "PUT", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{"username": "karl", "password": "new", "is_admin": true}`, status: 200, want: "message"},
			{name: "PUT has changed it", as: "bob", method: "GET", path: "/api/users/{carl}", status: 200, want: `{"id": {carl}, "username": "karl", "is_admin": true}`},
			{name: "PUT has changed the password", method: "POST", path: "/api/login", body: `{"username": "karl", "password": "new"}`, status: 200, want: "api_key"},
			{name: "PUT has ended the old one", method: "POST", path: "/api/login", body: `{"username": "karl", "password": "pw"}`, status: 401, want: "message"},
			{name: "PUT is_admin alone", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{"is_admin": false}`, status: 200, want: "message"},
			{name: "PUT is_admin alone leaves the rest", as: "bob", method: "GET", path: "/api/users/{carl}", status: 200, want: `{"id": {carl}, "username": "karl", "is_admin": false}`},
			{name: "PUT nothing", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{}`, status: 200, want: "message"},
			{name: "PUT taken", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{"username": "bob"}`, status: 400, want: "message"},
			{name: "PUT null", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{"username": null}`, status: 400, want: "message"},
			{name: "PUT is_admin null", as: "admin", method: "PUT", path: "/api/users/{carl}", body: `{"is_admin": null}`, status: 400, want: "message"},
			{name: "PUT unknown", as: "admin", method: "PUT", path: "/api/users/9999", body: `{"username": "zoe"}`, status: 404, want: "message"},
			{name: "PUT nothing of an unknown", as: "admin", method: "PUT", path: "/api/users/9999", body: `{}`, status: 404, want: "message"},
			{name: "PUT by a normal user", as: "bob", method: "PUT", path: "/api/users/{carl}", body: `{"username": "zoe"}`, status: 401, want: "message"},
			{name: "PUT of oneself by a normal user", as: "bob", method: "PUT", path: "/api/users/{bob}", body: `{"is_admin": true}`, status: 401, want: "message"},
			{name: "PUT of one's own password", as: "admin", method: "PUT", path: "/api/users/{admin}", body: `{"password": "new"}`, status: 400, want: "message"},
			{name: "PUT that takes one's own rights", as: "admin", method: "PUT", path: "/api/users/{admin}", body: `{"is_admin": false}`, status: 400, want: "message"},
			{name: "DELETE by a normal user", as: "bob", method: "DELETE", path: "/api/users/{carl}", status: 401, want: "message"},
			{name: "DELETE oneself", as: "admin", method: "DELETE", path: "/api/users/{admin}", status: 400, want: "message"},
			{name: "DELETE", as: "admin", method: "DELETE", path: "/api/users/{carl}", status: 200, want: "message"},
			{name: "DELETE again", as: "admin", method: "DELETE", path: "/api/users/{carl}", status: 404, want: "message"},
			{name: "GET one that was deleted", as: "bob", method: "GET", path: "/api/users/{carl}", status: 404, want: "message"},
		})
		t.Run("the key of a new user is good", func(t *testing.T) {
			g := g.on(t)
			made := g.do("admin", "POST", users, `{"username": "dora", "password": "pw"}`).Want(201)
			g.keys["dora"] = made.Field("api_key").(string)
			g.do("dora", "GET", "/api/users", "").Want(200)
		})
		t.Run("a user who was in groups, wrote and liked", func(t *testing.T) {
			g := g.on(t)
			id := fmt.Sprint(g.do("bob", "POST", "/api/groups", `{"name": "Alpha"}`).Want(201).Field("id"))
			g.do("bob", "POST", "/api/groups/"+id+"/members", `{"username": "eve"}`).Want(201)
			m := fmt.Sprint(g.do("eve", "POST", "/api/groups/"+id+"/messages", `{"text": "hi"}`).Want(201).Field("id"))
			g.do("eve", "PUT", "/api/groups/"+id+"/messages/"+m+"/like", "").Want(200)
			g.do("admin", "DELETE", "/api/users/"+g.ids["eve"], "").Want(200)
			g.do("eve", "GET", "/api/users", "").Want(401)
			var read groupChatMessages
			g.do("bob", "GET", "/api/groups/"+id+"/messages", "").Want(200).Decode(&read)
			require.Len(t, read.Messages, 1)
			require.Equal(t, g.ids["eve"], fmt.Sprint(read.Messages[0].UserID), "what they have written stays")
		})
	})
}

type groupChatMessages struct {
	Messages []struct {
		ID          int64   `json:"id"`
		Text        string  `json:"text"`
		UserID      int64   `json:"user_id"`
		GroupID     int64   `json:"group_id"`
		CreatedDate string  `json:"created_date"`
		Likes       []int64 `json:"likes"`
	} `json:"messages"`
}

// Contract 3, §3: groups, and who is in them.
func TestGroupChatGroups(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		g := newGroupChat(t, engine)
		const groups = "/api/groups"
		one, members := "/api/groups/{alpha}", "/api/groups/{alpha}/members"
		g.rows(t, []groupChatRow{
			{name: "POST by a normal user", as: "bob", method: "POST", path: groups, body: `{"name": "Alpha", "description": "unused"}`, status: 201, want: "success", id: "alpha"},
			{name: "POST, the case differs", as: "bob", method: "POST", path: groups, body: `{"name": "alpha"}`, status: 201, want: "success", id: "lower"},
			{name: "POST, a number for a name", as: "bob", method: "POST", path: groups, body: `{"name": 100}`, status: 201, want: "success", id: "number"},
			{name: "POST by the bare path", as: "bob", method: "POST", path: "/groups", body: `{"name": "a_b%"}`, status: 201, want: "success", id: "signs"},
			{name: "POST, taken", as: "eve", method: "POST", path: groups, body: `{"name": "Alpha"}`, status: 400, want: "error"},
			{name: "POST, no name", as: "eve", method: "POST", path: groups, body: `{}`, status: 400, want: "error"},
			{name: "POST, an empty name", as: "eve", method: "POST", path: groups, body: `{"name": ""}`, status: 400, want: "error"},
			{name: "POST, a name of spaces", as: "eve", method: "POST", path: groups, body: `{"name": "  "}`, status: 400, want: "error"},
			{name: "POST, null", as: "eve", method: "POST", path: groups, body: `{"name": null}`, status: 400, want: "error"},
			{name: "POST, a list", as: "eve", method: "POST", path: groups, body: `{"name": ["x"]}`, status: 400, want: "error"},
			{name: "POST, too long", as: "eve", method: "POST", path: groups, body: `{"name": "` + strings.Repeat("x", 129) + `"}`, status: 400, want: "error"},
			{name: "POST, no JSON", as: "eve", method: "POST", path: groups, body: `name`, status: 400, want: "error"},
			{name: "GET all", as: "eve", method: "GET", path: groups, status: 200, want: `{"groups": ["Alpha", "alpha", "100", "a_b%"]}`},
			{name: "GET all with an empty q", as: "eve", method: "GET", path: groups + "?q=", status: 200, want: `{"groups": ["Alpha", "alpha", "100", "a_b%"]}`},
			{name: "GET those that contain q, in either case", as: "eve", method: "GET", path: groups + "?q=LPH", status: 200, want: `{"groups": ["Alpha", "alpha"]}`},
			{name: "GET with a percent sign", as: "eve", method: "GET", path: groups + "?q=%25", status: 200, want: `{"groups": ["a_b%"]}`},
			{name: "GET with an underscore", as: "eve", method: "GET", path: groups + "?q=_", status: 200, want: `{"groups": ["a_b%"]}`},
			{name: "GET none", as: "eve", method: "GET", path: groups + "?q=zzz", status: 200, want: `{"groups": []}`},
			{name: "GET one, from outside", as: "eve", method: "GET", path: one, status: 200, want: `{"id": {alpha}, "name": "Alpha", "memberships": [{"user_id": {bob}, "is_admin": true}]}`},
			{name: "GET one that there is not", as: "eve", method: "GET", path: "/api/groups/9999", status: 404, want: "error"},
			{name: "GET one without a key", method: "GET", path: one, status: 401, want: "message"},

			{name: "members, no username", as: "bob", method: "POST", path: "/api/groups/9999/members", body: `{}`, status: 400, want: "error"},
			{name: "members, no such user", as: "bob", method: "POST", path: "/api/groups/9999/members", body: `{"username": "nobody"}`, status: 404, want: "error"},
			{name: "members, no such group", as: "bob", method: "POST", path: "/api/groups/9999/members", body: `{"username": "eve"}`, status: 404, want: "error"},
			{name: "members, an outsider adds another", as: "eve", method: "POST", path: members, body: `{"username": "admin"}`, status: 400, want: "error"},
			{name: "members, also an administrator", as: "admin", method: "POST", path: members, body: `{"username": "eve"}`, status: 400, want: "error"},
			{name: "members, one joins", as: "eve", method: "POST", path: members, body: `{"username": "eve"}`, status: 201, want: "success"},
			{name: "members, in it already", as: "bob", method: "POST", path: members, body: `{"username": "eve"}`, status: 400, want: "error"},
			{name: "members, a member adds another", as: "eve", method: "POST", path: members, body: `{"username": "admin"}`, status: 201, want: "success"},
			{name: "members, who they are", as: "bob", method: "GET", path: one, status: 200, want: `{"id": {alpha}, "name": "Alpha", "memberships": [
				{"user_id": {bob}, "is_admin": true}, {"user_id": {eve}, "is_admin": false}, {"user_id": {admin}, "is_admin": false}]}`},
			{name: "members, there is no list", as: "bob", method: "GET", path: members, status: 405, want: "error"},

			{name: "PUT", as: "bob", method: "PUT", path: one, body: `{"name": "Beta"}`, status: 200, want: "success"},
			{name: "PUT has changed it", as: "bob", method: "GET", path: groups + "?q=beta", status: 200, want: `{"groups": ["Beta"]}`},
			{name: "PUT its own name", as: "bob", method: "PUT", path: one, body: `{"name": "Beta"}`, status: 200, want: "success"},
			{name: "PUT, taken", as: "bob", method: "PUT", path: one, body: `{"name": "alpha"}`, status: 400, want: "error"},
			{name: "PUT, no name", as: "bob", method: "PUT", path: one, body: `{}`, status: 400, want: "error"},
			{name: "PUT by a member", as: "eve", method: "PUT", path: one, body: `{"name": "Gamma"}`, status: 401, want: "error"},
			{name: "PUT from outside", as: "eve", method: "PUT", path: "/api/groups/{lower}", body: `{"name": "Gamma"}`, status: 404, want: "error"},
			{name: "PUT unknown", as: "bob", method: "PUT", path: "/api/groups/9999", body: `{"name": "Gamma"}`, status: 404, want: "error"},

			{name: "DELETE by a member", as: "eve", method: "DELETE", path: one, status: 401, want: "error"},
			{name: "DELETE by a member who is an administrator", as: "admin", method: "DELETE", path: one, status: 401, want: "error"},
			{name: "DELETE from outside", as: "eve", method: "DELETE", path: "/api/groups/{lower}", status: 404, want: "error"},
			{name: "DELETE unknown", as: "bob", method: "DELETE", path: "/api/groups/9999", status: 404, want: "error"},
			{name: "a message in it", as: "eve", method: "POST", path: one + "/messages", body: `{"text": "hi"}`, status: 201, want: "success", id: "message"},
			{name: "DELETE with messages", as: "bob", method: "DELETE", path: one, status: 200, want: "success"},
			{name: "DELETE again", as: "bob", method: "DELETE", path: one, status: 404, want: "error"},
			{name: "GET one that was deleted", as: "bob", method: "GET", path: one, status: 404, want: "error"},
			{name: "the name of a deleted one", as: "eve", method: "POST", path: groups, body: `{"name": "Beta"}`, status: 201, want: "success", id: "beta"},
		})
		t.Run("an idempotency key makes it once", func(t *testing.T) {
			g := g.on(t)
			first := g.do("bob", "POST", groups, `{"name": "Once"}`, "Idempotency-Key", "k").Want(201)
			again := g.do("bob", "POST", groups, `{"name": "Once"}`, "Idempotency-Key", "k").Want(201)
			require.Equal(t, first.Text, again.Text)
		})
	})
}

// Contract 3, §4: messages, and who likes them.
func TestGroupChatMessages(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		g := newGroupChat(t, engine)
		const messages, like = "/api/groups/{alpha}/messages", "/api/groups/{alpha}/messages/{hello}/like"
		g.rows(t, []groupChatRow{
			{name: "a group", as: "bob", method: "POST", path: "/api/groups", body: `{"name": "Alpha"}`, status: 201, want: "success", id: "alpha"},
			{name: "another", as: "bob", method: "POST", path: "/api/groups", body: `{"name": "Beta"}`, status: 201, want: "success", id: "beta"},
			{name: "with eve", as: "bob", method: "POST", path: "/api/groups/{alpha}/members", body: `{"username": "eve"}`, status: 201, want: "success"},
			{name: "GET none", as: "eve", method: "GET", path: messages, status: 200, want: `{"messages": []}`},
			{name: "POST", as: "bob", method: "POST", path: messages, body: `{"text": "hello"}`, status: 201, want: "success", id: "hello"},
			{name: "POST by the bare path", as: "eve", method: "POST", path: "/groups/{alpha}/messages", body: `{"text": "<b>& 🙂"}`, status: 201, want: "success", id: "second"},
			{name: "POST, a number", as: "bob", method: "POST", path: messages, body: `{"text": 1.50}`, status: 201, want: "success", id: "number"},
			{name: "POST, no text, before the group", as: "bob", method: "POST", path: "/api/groups/9999/messages", body: `{}`, status: 400, want: "error"},
			{name: "POST, an empty text", as: "bob", method: "POST", path: messages, body: `{"text": ""}`, status: 400, want: "error"},
			{name: "POST, a list", as: "bob", method: "POST", path: messages, body: `{"text": ["a"]}`, status: 400, want: "error"},
			{name: "POST, too long", as: "bob", method: "POST", path: messages, body: `{"text": "` + strings.Repeat("x", 10_001) + `"}`, status: 400, want: "error"},
			{name: "POST, the longest there is, escaped", as: "bob", method: "POST", path: "/api/groups/{beta}/messages", body: `{"text": "` + strings.Repeat(`\ud83d\udc4d`, 10_000) + `"}`, status: 201, want: "success", id: "longest"},
			{name: "POST, no such group", as: "bob", method: "POST", path: "/api/groups/9999/messages", body: `{"text": "hi"}`, status: 404, want: "error"},
			{name: "POST from outside", as: "admin", method: "POST", path: messages, body: `{"text": "hi"}`, status: 400, want: "error"},
			{name: "GET, no such group", as: "bob", method: "GET", path: "/api/groups/9999/messages", status: 404, want: "error"},
			{name: "GET from outside", as: "admin", method: "GET", path: messages, status: 400, want: "error"},
			{name: "GET without a key", method: "GET", path: messages, status: 401, want: "message"},

			{name: "like by PUT", as: "eve", method: "PUT", path: like, status: 200, want: "success"},
			{name: "like again", as: "eve", method: "PUT", path: like, status: 400, want: "error"},
			{name: "like again by POST", as: "eve", method: "POST", path: like, status: 400, want: "error"},
			{name: "like one's own, by POST", as: "bob", method: "POST", path: like, status: 200, want: "success"},
			{name: "like by the bare path", as: "bob", method: "PUT", path: "/groups/{alpha}/messages/{second}/like", status: 200, want: "success"},
			{name: "like none", as: "bob", method: "PUT", path: "/api/groups/{alpha}/messages/9999/like", status: 404, want: "error"},
			{name: "like one of another group", as: "bob", method: "PUT", path: "/api/groups/{beta}/messages/{hello}/like", status: 404, want: "error"},
			{name: "like from outside", as: "admin", method: "PUT", path: like, status: 404, want: "error"},
			{name: "like with an id that is no number", as: "bob", method: "PUT", path: "/api/groups/{alpha}/messages/x/like", status: 404, want: "error"},
			{name: "unlike by DELETE", as: "bob", method: "DELETE", path: "/api/groups/{alpha}/messages/{second}/like", status: 200, want: "success"},
			{name: "unlike again", as: "bob", method: "DELETE", path: "/api/groups/{alpha}/messages/{second}/like", status: 400, want: "error"},
			{name: "unlike of another group", as: "bob", method: "DELETE", path: "/api/groups/{beta}/messages/{hello}/like", status: 404, want: "error"},
		})
		t.Run("GET, newest first, with those who like them", func(t *testing.T) {
			g := g.on(t)
			var got groupChatMessages
			answer := g.do("eve", "GET", g.fill(messages), "").Want(200)
			answer.Decode(&got)
			for i := range got.Messages {
				m := &got.Messages[i]
				at, err := time.Parse(http.TimeFormat, m.CreatedDate)
				require.NoError(t, err)
				require.WithinDuration(t, time.Now(), at, time.Hour)
				require.Contains(t, m.CreatedDate, " GMT")
				m.CreatedDate = ""
			}
			var want groupChatMessages
			require.NoError(t, json.Unmarshal([]byte(g.fill(`{"messages": [
				{"id": {number}, "text": "1.50", "user_id": {bob}, "group_id": {alpha}, "likes": []},
				{"id": {second}, "text": "<b>& 🙂", "user_id": {eve}, "group_id": {alpha}, "likes": []},
				{"id": {hello}, "text": "hello", "user_id": {bob}, "group_id": {alpha}, "likes": [{eve}, {bob}]}]}`)), &want))
			require.Equal(t, want, got)
			require.Contains(t, answer.Text, `"likes":[]`, "never null")
		})
		t.Run("an idempotency key sends it once", func(t *testing.T) {
			g := g.on(t)
			first := g.do("bob", "POST", g.fill(messages), `{"text": "once"}`, "Idempotency-Key", "k").Want(201)
			again := g.do("bob", "POST", g.fill(messages), `{"text": "once"}`, "Idempotency-Key", "k").Want(201)
			require.Equal(t, first.Text, again.Text)
			require.Contains(t, g.do("bob", "POST", g.fill("/api/groups/{beta}/messages"), `{"text": "once"}`, "Idempotency-Key", "k").Want(400).Text, `"error"`)
		})
		t.Run("GET of many", func(t *testing.T) {
			g := g.on(t)
			const many = 300
			beta := g.fill("/api/groups/{beta}/messages")
			for i := range many {
				g.do("bob", "POST", beta, fmt.Sprintf(`{"text": "%d %s"}`, i, strings.Repeat("x", 200))).Want(201)
			}
			var got groupChatMessages
			g.do("bob", "GET", beta, "").Want(200).Decode(&got)
			require.Len(t, got.Messages, many+1)
			for i, m := range got.Messages[:many] {
				require.True(t, strings.HasPrefix(m.Text, fmt.Sprint(many-1-i, " ")), m.Text)
			}
		})
	})
}

// What the other APIs say and do is here as far as this one can show it.
func TestGroupChatBesideV1(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		g := newGroupChat(t, engine)
		v1 := func(t *testing.T, as, method, path, body string) *frontdoor.Response {
			t.Helper()
			return frontdoor.NewClient(t, g.URL2).Do(method, g.fill(path), body, "Authorization", "Bearer "+g.keys[as])
		}
		made := func(name string, answer *frontdoor.Response, field string) {
			g.ids[name] = fmt.Sprint(answer.Field(field))
		}
		made("secret", v1(t, "bob", "POST", "/v1/group_chat", `{"title": "Secret"}`).Want(200), "chat_id")
		made("direct", v1(t, "bob", "POST", "/v1/messages", `{"dest_username": "eve", "message": "between us"}`).Want(200), "chat_id")
		made("note", v1(t, "bob", "POST", "/v1/messages", `{"dest_username": "bob", "message": "to myself"}`).Want(200), "chat_id")
		made("alpha", g.do("bob", "POST", "/api/groups", `{"name": "Alpha"}`).Want(201), "id")
		g.do("bob", "POST", g.fill("/api/groups/{alpha}/members"), `{"username": "eve"}`).Want(201)

		rows := []groupChatRow{
			{name: "a private group is listed to who is in it", as: "bob", method: "GET", path: "/api/groups", status: 200, want: `{"groups": ["Secret", "Alpha"]}`},
			{name: "and to nobody else", as: "eve", method: "GET", path: "/api/groups", status: 200, want: `{"groups": ["Alpha"]}`},
			{name: "nor to an administrator", as: "admin", method: "GET", path: "/api/groups?q=secret", status: 200, want: `{"groups": []}`},
			{name: "a private group, from inside", as: "bob", method: "GET", path: "/api/groups/{secret}", status: 200, want: `{"id": {secret}, "name": "Secret", "memberships": [{"user_id": {bob}, "is_admin": true}]}`},
			{name: "its name may be used", as: "eve", method: "POST", path: "/api/groups", body: `{"name": "Secret"}`, status: 201, want: "success", id: "other"},
		}
		for _, c := range []struct{ name, as, id string }{
			{"a private group, from outside", "eve", "{secret}"},
			{"a chat of two, to one of them", "bob", "{direct}"},
			{"a chat of two, to others", "admin", "{direct}"},
			{"a note to oneself", "bob", "{note}"},
		} {
			path := "/api/groups/" + c.id
			rows = append(rows,
				groupChatRow{name: c.name + ": GET", as: c.as, method: "GET", path: path, status: 404, want: "error"},
				groupChatRow{name: c.name + ": PUT", as: c.as, method: "PUT", path: path, body: `{"name": "Mine"}`, status: 404, want: "error"},
				groupChatRow{name: c.name + ": DELETE", as: c.as, method: "DELETE", path: path, status: 404, want: "error"},
				groupChatRow{name: c.name + ": join", as: c.as, method: "POST", path: path + "/members", body: `{"username": "` + c.as + `"}`, status: 404, want: "error"},
				groupChatRow{name: c.name + ": send", as: c.as, method: "POST", path: path + "/messages", body: `{"text": "hi"}`, status: 404, want: "error"},
				groupChatRow{name: c.name + ": read", as: c.as, method: "GET", path: path + "/messages", status: 404, want: "error"},
				groupChatRow{name: c.name + ": like", as: c.as, method: "PUT", path: path + "/messages/1/like", status: 404, want: "error"})
		}
		g.rows(t, rows)

		t.Run("messages, edits, deletions and likes", func(t *testing.T) {
			g := g.on(t)
			messages := g.fill("/api/groups/{alpha}/messages")
			made("first", v1(t, "eve", "POST", "/v1/messages", `{"group_chat_id": "`+g.ids["alpha"]+`", "message": "from v1"}`).Want(200), "id")
			made("gone", g.do("bob", "POST", messages, `{"text": "a mistake"}`).Want(201), "id")
			g.do("bob", "PUT", messages+"/"+g.ids["first"]+"/like", "").Want(200)
			require.Contains(t, v1(t, "eve", "GET", "/v1/messages/{first}", "").Want(200).Text, `"👍"`)
			v1(t, "eve", "PUT", "/v1/messages/{first}/reactions/❤️", "").Want(200)
			v1(t, "eve", "PATCH", "/v1/messages/{first}", `{"text": "edited"}`).Want(200)
			v1(t, "bob", "DELETE", "/v1/messages/{gone}", "").Want(200)
			var got groupChatMessages
			g.do("bob", "GET", messages, "").Want(200).Decode(&got)
			require.Len(t, got.Messages, 1)
			require.Equal(t, "edited", got.Messages[0].Text)
			require.Equal(t, g.ids["bob"], strings.Trim(fmt.Sprint(got.Messages[0].Likes), "[]"), "another reaction is no like")
			g.do("bob", "PUT", messages+"/"+g.ids["gone"]+"/like", "").Want(404)
		})
		t.Run("an API key of v1", func(t *testing.T) {
			g := g.on(t)
			key := v1(t, "bob", "POST", "/v1/me/keys", `{"name": "a program", "scopes": ["read"], "password": "pw"}`).Want(200)
			g.keys["program"] = key.Field("key").(string)
			g.do("program", "GET", "/api/groups", "").Want(200)
			answer := g.do("program", "POST", "/api/groups", `{"name": "By a program"}`).Want(403)
			require.NotEmpty(t, answer.Field("error"))
			g.do("program", "POST", "/api/logout", "").Want(403)
			g.do("program", "GET", "/api/groups", "").Want(200)
		})
	})
}

// Contract 3, §5: the document and the page that shows it.
func TestGroupChatDocs(t *testing.T) {
	t.Parallel()
	s := start(t, frontdoor.SQLite, "group_chat", "")
	c := frontdoor.NewClient(t, s.URL)
	c.Unchecked = "not v1"
	c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	redirect := c.Get("/api/docs").Want(308)
	at, err := redirect.Location()
	require.NoError(t, err)
	require.Equal(t, s.URL+"/api/docs/", at.String())
	page := c.Get("/api/docs/").Want(200)
	require.Contains(t, page.Header.Get("Content-Type"), "text/html")
	for _, file := range regexp.MustCompile(`(?:src|href|data-document)="([^"]+)"`).FindAllStringSubmatch(page.Text, -1) {
		where, err := at.Parse(file[1])
		require.NoError(t, err)
		c.Get(where.Path).Want(200)
	}
	var document struct {
		Swagger, BasePath string
		Info              struct{ Title, Version string }
		Paths             map[string]map[string]any
	}
	c.Get("/api/swagger.json").Want(200).Decode(&document)
	require.Equal(t, "2.0", document.Swagger)
	require.Equal(t, "Group Chat API", document.Info.Title)
	require.Equal(t, "1.0.0", document.Info.Version)
	require.Equal(t, "/api", document.BasePath)
	for path, operations := range document.Paths {
		for method := range operations {
			path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "1")
			answer := c.Do(strings.ToUpper(method), "/api"+path, `{}`)
			require.NotContains(t, []int{404, 405, 418}, answer.StatusCode, "%s %s", method, path)
		}
	}
}

// The page in docs/dialects/group_chat.md shows the way that the README of the system
// goes, command by command.
func TestGroupChatTour(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", "dialects", "group_chat.md"))
		require.NoError(t, err)
		s := start(t, engine, "group_chat", "")
		createAdmin(t, s, groupChatAdmin)
		frontdoor.Tour{
			Text: string(page), Addresses: map[string]string{"localhost:5000": strings.TrimPrefix(s.URL, "http://")},
		}.Run(t)
	})
}

// An answer that has begun and can't go on is broken off: nobody takes a part for the
// whole.
func TestGroupChatBrokenOff(t *testing.T) {
	t.Parallel()
	s := start(t, frontdoor.SQLite, "group_chat", "")
	createAdmin(t, s, groupChatAdmin)
	c := frontdoor.NewClient(t, s.URL)
	c.Unchecked = "not v1"
	key := c.Post("/api/login", `{"username": "admin", "password": "`+groupChatAdmin+`"}`).Want(200).Field("api_key").(string)
	id := fmt.Sprint(c.Do("POST", "/api/groups", `{"name": "Alpha"}`, "X-API-Key", key).Want(201).Field("id"))
	messages := "/api/groups/" + id + "/messages"
	for range 200 { // more than are read at once, and than are written at once
		c.Do("POST", messages, `{"text": "`+strings.Repeat("x", 500)+`"}`, "X-API-Key", key).Want(201)
	}
	db := frontdoor.OpenDatabase(t, s.Database)
	_, err := db.ExecContext(t.Context(), `UPDATE messages SET flags = 1, mentions = 'broken' WHERE id = (SELECT min(id) FROM messages)`)
	require.NoError(t, err)
	_, err = c.Try(context.WithoutCancel(t.Context()), "GET", messages, "", "X-API-Key", key)
	require.Error(t, err)
	require.Eventually(t, func() bool { return strings.Contains(s.Log(), "answer broken off") }, 10*time.Second, 10*time.Millisecond)
}
