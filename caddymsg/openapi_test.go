package caddymsg_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// The API at the root of one site, and below a path of another.
const docsCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		admin root
	}
}
http://127.0.0.1:{$PORT2} {
	handle_path /chat/* {
		messaging {
			database {env.DATABASE}
			bcrypt_cost 4
			rate_limits off
		}
	}
}
`

type object = map[string]any

// document is /v1/openapi.json.
type document struct {
	OpenAPI string
	Info    struct{ Title, Version string }
	Servers []struct{ URL string }
	Paths   map[string]map[string]operation
	raw     object
}

type operation struct {
	OperationID string
	Summary     string
	Security    []map[string][]string
	Parameters  []struct{ Name, In string }
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]struct{ Content map[string]media }
}

type media struct{ Schema object }

func readDocument(t *testing.T, c *frontdoor.Client) document {
	t.Helper()
	r := c.Get("/v1/openapi.json").Want(http.StatusOK)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	var d document
	r.Decode(&d)
	r.Decode(&d.raw)
	return d
}

func TestOpenAPI(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: docsCaddyfile})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"routes", documentedRoutes},
			{"errors", documentedErrors},
			{"schemas", documentedSchemas},
			{"answers", documentedAnswers},
			{"docs page", docsPage},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// allRoutes are the ten of contract 0, its reading ones once more under the paths
// of the code, and what the API has besides.
var allRoutes = map[string][]string{
	"/v1/admin/audit_log":                                {"get"},
	"/v1/admin/group_chat":                               {"get"},
	"/v1/admin/group_chat/{id}":                          {"delete"},
	"/v1/admin/invitations":                              {"get", "post"},
	"/v1/admin/invitations/{id}":                         {"delete"},
	"/v1/admin/users":                                    {"get", "post"},
	"/v1/admin/users/{id}":                               {"delete", "get", "patch"},
	"/v1/admin/users/{id}/sessions":                      {"delete", "get"},
	"/v1/admin/users/{id}/sessions/{session_id}":         {"delete"},
	"/v1/auth/forgot-password":                           {"post"},
	"/v1/auth/login":                                     {"post"},
	"/v1/auth/logout":                                    {"post"},
	"/v1/auth/register":                                  {"post"},
	"/v1/auth/reset-password":                            {"post"},
	"/v1/auth/token":                                     {"get", "post"},
	"/v1/auth/verify-email":                              {"post"},
	"/v1/blocks":                                         {"get"},
	"/v1/blocks/{username}":                              {"delete", "put"},
	"/v1/chats":                                          {"get", "post"},
	"/v1/chats/unread":                                   {"get"},
	"/v1/chats/{chat_id}":                                {"delete", "get", "patch"},
	"/v1/chats/{chat_id}/delivered":                      {"post"},
	"/v1/chats/{chat_id}/messages":                       {"get", "post"},
	"/v1/chats/{chat_id}/read":                           {"post"},
	"/v1/chats/{chat_id}/typing":                         {"post"},
	"/v1/events":                                         {"get"},
	"/v1/group_chat":                                     {"get", "post"},
	"/v1/group_chat/messages":                            {"get"},
	"/v1/group_chat/messages/group/{group_chat_id}":      {"get"},
	"/v1/group_chat/messages/p2p/{dest_username}":        {"get"},
	"/v1/group_chat/{group_chat_id}":                     {"delete", "get", "patch"},
	"/v1/group_chat/{group_chat_id}/invites":             {"get", "post"},
	"/v1/group_chat/{group_chat_id}/invites/{invite_id}": {"delete"},
	"/v1/group_chat/{group_chat_id}/join":                {"post"},
	"/v1/group_chat/{group_chat_id}/participants":        {"get", "post"},
	"/v1/group_chat/{group_chat_id}/participants/{user}": {"delete", "patch"},
	"/v1/invites/{token}":                                {"get", "post"},
	"/v1/me":                                             {"delete", "get", "patch"},
	"/v1/me/email":                                       {"put"},
	"/v1/me/email/verification":                          {"post"},
	"/v1/me/export":                                      {"get"},
	"/v1/me/keys":                                        {"post"},
	"/v1/me/password":                                    {"post"},
	"/v1/me/sessions":                                    {"delete", "get"},
	"/v1/me/sessions/{session_id}":                       {"delete", "get"},
	"/v1/messages":                                       {"get", "post"},
	"/v1/messages/group/{group_chat_id}":                 {"get"},
	"/v1/messages/p2p/{dest_username}":                   {"get"},
	"/v1/messages/{message_id}":                          {"delete", "get", "patch"},
	"/v1/messages/{message_id}/edits":                    {"get"},
	"/v1/messages/{message_id}/poll":                     {"get"},
	"/v1/messages/{message_id}/poll/close":               {"post"},
	"/v1/messages/{message_id}/poll/votes":               {"get", "put"},
	"/v1/messages/{message_id}/reactions":                {"get"},
	"/v1/messages/{message_id}/reactions/{emoji}":        {"delete", "put"},
	"/v1/messages/{message_id}/readers":                  {"get"},
	"/v1/messages/{message_id}/thread":                   {"get"},
	"/v1/presence":                                       {"get"},
	"/v1/search":                                         {"get"},
	"/v1/users":                                          {"get"},
	"/v1/users/{user}":                                   {"get"},
	"/v1/ws":                                             {"get"},
}

func documentedRoutes(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.NewClient(t, s.URL)
	d := readDocument(t, c)
	require.Regexp(t, `^3\.1\.\d+$`, d.OpenAPI)
	require.NotEmpty(t, d.Info.Title)
	require.NotEmpty(t, d.Info.Version)

	got := map[string][]string{}
	for path, operations := range d.Paths {
		got[path] = slices.Sorted(maps.Keys(operations))
	}
	require.Equal(t, allRoutes, got)
	// The map of the API names each of them.
	page, err := os.ReadFile(filepath.Join("..", "docs", "api.md"))
	require.NoError(t, err)
	for path, operations := range d.Paths {
		for method := range operations {
			require.Contains(t, string(page), "`"+strings.ToUpper(method)+" "+path+"`", "docs/api.md")
		}
	}

	ids := map[string]bool{}
	param := regexp.MustCompile(`\{(\w+)\}`)
	for path, operations := range d.Paths {
		filled := strings.NewReplacer("{group_chat_id}", "1", "{chat_id}", "1", "{message_id}", "1", "{id}", "1",
			"{invite_id}", "1", "{session_id}", "1", "{token}", "token", "{emoji}", "like",
			"{user}", "bob", "{username}", "bob", "{dest_username}", "bob").Replace(path)
		allowed := []string{}
		for method, op := range operations {
			require.False(t, ids[op.OperationID], op.OperationID)
			ids[op.OperationID] = true
			require.NotEmpty(t, op.Summary)

			var documented, inPath []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					documented = append(documented, p.Name)
				}
			}
			for _, m := range param.FindAllStringSubmatch(path, -1) {
				inPath = append(inPath, m[1])
			}
			require.ElementsMatch(t, inPath, documented, path)

			status := c.Do(strings.ToUpper(method), filled, "").StatusCode
			if strings.HasPrefix(path, "/v1/auth/") {
				require.Contains(t, []int{400, 401}, status, path)
			} else {
				require.Equal(t, 401, status, path)
			}
			require.Equal(t, status == 401, len(op.Security) > 0, "%s %s: who may ask", method, path)
			allowed = append(allowed, strings.ToUpper(method))
			if method == "get" {
				allowed = append(allowed, "HEAD")
			}
		}
		if path == "/v1/chats/unread" {
			allowed = append(allowed, "DELETE", "PATCH") // to a chat of that name, which they answer with 404
		}
		if slices.Contains([]string{"/v1/auth/reset-password", "/v1/auth/verify-email", "/v1/auth/forgot-password"}, path) {
			allowed = append(allowed, "GET", "HEAD") // the pages
		}
		r := c.Do("TRACE", filled, "").Want(405)
		require.ElementsMatch(t, allowed, strings.Split(r.Header.Get("Allow"), ", "), "%s takes what is documented, and no more", path)
	}
}

func documentedErrors(t *testing.T, s *frontdoor.Server) {
	d := readDocument(t, frontdoor.NewClient(t, s.URL))
	for path, operations := range d.Paths {
		for method, op := range operations {
			want := []string{"200", "500", "503"}
			if path == "/v1/ws" { // where all goes well, it is HTTP no more
				want[0] = "101"
				require.Empty(t, op.Responses["101"].Content)
				delete(op.Responses, "101")
				want = want[1:]
			}
			if op.RequestBody != nil {
				want = append(want, "400", "413")
				require.Contains(t, op.RequestBody.Content, "application/json")
			}
			if len(op.Security) > 0 {
				want = append(want, "401")
			}
			require.Subset(t, slices.Collect(maps.Keys(op.Responses)), want, "%s %s", method, path)
			for status, response := range op.Responses {
				if path == "/v1/events" && status == "200" {
					require.NotEmpty(t, response.Content["text/event-stream"].Schema)
					delete(response.Content, "text/event-stream")
				}
				require.Len(t, response.Content, 1)
				if status == "200" && path == "/v1/me/export" {
					require.NotEmpty(t, response.Content["application/zip"].Schema)
					continue
				}
				if status == "200" || path == "/v1/auth/register" && status == "202" {
					require.NotEmpty(t, response.Content["application/json"].Schema)
					continue
				}
				require.Equal(t, object{"$ref": "#/components/schemas/Problem"}, response.Content["application/problem+json"].Schema,
					"%s %s %s", method, path, status)
			}
		}
	}
}

func documentedSchemas(t *testing.T, s *frontdoor.Server) {
	d := readDocument(t, frontdoor.NewClient(t, s.URL))
	referenced := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if ref, ok := v["$ref"].(string); ok {
				require.NotNil(t, d.resolve(ref), "%s leads nowhere", ref)
				referenced[ref[strings.LastIndex(ref, "/")+1:]] = true
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(d.raw)
	schemas := d.resolve("#/components/schemas").(object)
	require.ElementsMatch(t, slices.Collect(maps.Keys(referenced)), slices.Collect(maps.Keys(schemas)), "each schema has its use")
	require.NotContains(t, schemas, "ErrorModel", "it is not what errors look like")
}

// resolve follows a reference within the document; nil if it leads nowhere.
func (d document) resolve(ref string) any {
	var at any = d.raw
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		inner, ok := at.(object)
		if !ok {
			return nil
		}
		at = inner[name]
	}
	return at
}

// documentedAnswers asks for every answer that the document promises, but for
// those of a server in trouble.
func documentedAnswers(t *testing.T, s *frontdoor.Server) {
	alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
	frontdoor.SignUp(t, s.URL, "carol")
	eve := frontdoor.SignUp(t, s.URL, "eve")
	root := frontdoor.SignUp(t, s.URL, "root")
	post := smtptest.Start(t, smtptest.Options{Plain: true})
	// Which makes root an administrator, and has mails sent.
	lifeReload(t, s, strings.Replace(docsCaddyfile, "admin root", fmt.Sprintf(
		"admin root\nsmtp {\nhost %s\nport %d\ntls off\nfrom chat@example.com\n}", post.Host, post.Port), 1), root, alice, bob, eve)
	heidi := frontdoor.SignUp(t, s.URL, "heidi")
	addEmail(t, heidi, post, "heidi@example.com")
	heidi.Post("/v1/auth/forgot-password", `{"email":"heidi@example.com"}`).Want(200)
	resetToken := awaitMail(t, post, "heidi@example.com", aboutReset).Token(t)
	eve.Do("PUT", "/v1/me/email", `{"email":"eve@example.com","password":"open sesame"}`).Want(200)
	verifyToken := awaitMail(t, post, "eve@example.com", aboutVerification).Token(t)
	gone := root.Get("/v1/users/carol").Field("id")
	nobody, other := frontdoor.NewClient(t, s.URL), frontdoor.NewClient(t, s.URL)
	d := readDocument(t, nobody)
	group, others, public := newGroup(alice), newGroup(bob), newGroup(bob)
	add(t, alice, group, "carol")
	bob.Do("PATCH", groupPath(public), `{"visibility":"public"}`).Want(200)
	invite := decode[inviteAnswer](alice.Post(groupPath(group, "/invites"), ""))
	token := decode[inviteAnswer](bob.Post(groupPath(public, "/invites"), `{"expires_in":3600,"max_uses":3}`)).Token
	direct := send(t, alice, "bob", "hi").ChatID
	alice.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"hi","client_id":"key"}`, group)).Want(200)
	send(t, alice, "bob", "hi")
	message := decode[struct{ ID int64 }](
		alice.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"hi","client_id":"key"}`, group))).ID
	send(t, alice, "alice", "note")
	ask := func(anonymous bool) int64 {
		return decode[struct{ ID int64 }](alice.Post("/v1/messages", fmt.Sprintf(
			`{"group_chat_id":%d,"message":"Lunch?","poll":{"options":["Pizza","Sushi"],"anonymous":%v,"closes_in":60}}`, group, anonymous))).ID
	}
	lunch, secret := ask(false), ask(true)
	elsewhere := frontdoor.NewClient(t, s.URL)
	elsewhere.Post("/v1/auth/login", credentials(t, "alice", "open sesame")).Want(200)
	second := decode[[]struct{ ID int64 }](elsewhere.Get("/v1/me/sessions?offset=1"))[0].ID
	program := with(t, s.URL, "X-API-Key", newKeyOf(alice, "read"))
	refresh := newTokensOf(t, s.URL, "alice").RefreshToken
	inAnHour := time.Now().Add(time.Hour).Format(time.RFC3339)
	large := strings.Repeat(" ", 65<<10)
	many := strings.Repeat(" ", 1<<20+1) // of a body that may hold many messages
	mine, theirs := send(t, alice, group, "hi").ID, send(t, bob, others, "hi").ID
	const foreign = "cross-site"

	type asked struct {
		route  string
		as     *frontdoor.Client
		params []any // of the path, in turn
		tail   string
		body   string
		site   string
		status int
	}
	const (
		register     = "POST /v1/auth/register"
		login        = "POST /v1/auth/login"
		logout       = "POST /v1/auth/logout"
		newTokens    = "POST /v1/auth/token"
		tokens       = "GET /v1/auth/token"
		newKey       = "POST /v1/me/keys"
		create       = "POST /v1/group_chat"
		groups       = "GET /v1/group_chat"
		look         = "GET /v1/group_chat/{group_chat_id}"
		edit         = "PATCH /v1/group_chat/{group_chat_id}"
		destroy      = "DELETE /v1/group_chat/{group_chat_id}"
		join         = "POST /v1/group_chat/{group_chat_id}/join"
		who          = "GET /v1/group_chat/{group_chat_id}/participants"
		participants = "POST /v1/group_chat/{group_chat_id}/participants"
		role         = "PATCH /v1/group_chat/{group_chat_id}/participants/{user}"
		remove       = "DELETE /v1/group_chat/{group_chat_id}/participants/{user}"
		invites      = "GET /v1/group_chat/{group_chat_id}/invites"
		invitation   = "POST /v1/group_chat/{group_chat_id}/invites"
		revoke       = "DELETE /v1/group_chat/{group_chat_id}/invites/{invite_id}"
		invited      = "GET /v1/invites/{token}"
		accept       = "POST /v1/invites/{token}"
		messages     = "POST /v1/messages"
		toChat       = "POST /v1/chats/{chat_id}/messages"
		ofChat       = "GET /v1/chats/{chat_id}/messages"
		one          = "/v1/messages/{message_id}"
		edits        = "GET /v1/messages/{message_id}/edits"
		thread       = "GET /v1/messages/{message_id}/thread"
		password     = "POST /v1/me/password"
		forgot       = "POST /v1/auth/forgot-password"
		resetting    = "POST /v1/auth/reset-password"
		email        = "PUT /v1/me/email"
		verification = "POST /v1/me/email/verification"
		verifying    = "POST /v1/auth/verify-email"
		users        = "GET /v1/users"
		user         = "GET /v1/users/{user}"
		change       = "PATCH /v1/me"
		leave        = "DELETE /v1/me"
		export       = "GET /v1/me/export"
		blocks       = "GET /v1/blocks"
		block        = "PUT /v1/blocks/{username}"
		unblock      = "DELETE /v1/blocks/{username}"
		reactions    = "GET /v1/messages/{message_id}/reactions"
		react        = "PUT /v1/messages/{message_id}/reactions/{emoji}"
		unreact      = "DELETE /v1/messages/{message_id}/reactions/{emoji}"
		search       = "GET /v1/search"
		socket       = "GET /v1/ws"
		events       = "GET /v1/events"
		presence     = "GET /v1/presence"
		typing       = "POST /v1/chats/{chat_id}/typing"
		poll         = "GET /v1/messages/{message_id}/poll"
		vote         = "PUT /v1/messages/{message_id}/poll/votes"
		votes        = "GET /v1/messages/{message_id}/poll/votes"
		closePoll    = "POST /v1/messages/{message_id}/poll/close"
		chats        = "GET /v1/chats"
		open         = "POST /v1/chats"
		unread       = "GET /v1/chats/unread"
		oneChat      = "GET /v1/chats/{chat_id}"
		settings     = "PATCH /v1/chats/{chat_id}"
		deleteChat   = "DELETE /v1/chats/{chat_id}"
		read         = "POST /v1/chats/{chat_id}/read"
		delivered    = "POST /v1/chats/{chat_id}/delivered"
		readers      = "GET /v1/messages/{message_id}/readers"
		ok           = `{"username":"dave","password":"open sesame"}`

		accounts      = "GET /v1/admin/users"
		newAccount    = "POST /v1/admin/users"
		account       = "GET /v1/admin/users/{id}"
		changeAccount = "PATCH /v1/admin/users/{id}"
		deleteAccount = "DELETE /v1/admin/users/{id}"
		sessions      = "GET /v1/admin/users/{id}/sessions"
		endSessions   = "DELETE /v1/admin/users/{id}/sessions"
		endSession    = "DELETE /v1/admin/users/{id}/sessions/{session_id}"
		mySessions    = "GET /v1/me/sessions"
		mySession     = "GET /v1/me/sessions/{session_id}"
		endMine       = "DELETE /v1/me/sessions"
		endMyOwn      = "DELETE /v1/me/sessions/{session_id}"
		allGroups     = "GET /v1/admin/group_chat"
		deleteGroup   = "DELETE /v1/admin/group_chat/{id}"
		auditLog      = "GET /v1/admin/audit_log"
		invitations   = "GET /v1/admin/invitations"
		toRegister    = "POST /v1/admin/invitations"
		endInvitation = "DELETE /v1/admin/invitations/{id}"
		frank         = `{"username":"frank","password":"open sesame","display_name":"Frank","email":"frank@example.com"}`
	)
	rows := []asked{
		{register, nobody, nil, "", ok, "", 200},
		{register, nobody, nil, "", ok, "", 400},
		{register, nobody, nil, "", `{`, "", 400},
		{register, nobody, nil, "", ok, foreign, 403},
		{register, nobody, nil, "", large, "", 413},
		{register, nobody, nil, "", `{"username":"gina","password":"open sesame","email":"gina@example.com","invitation":"cmsg_inv_"}`, "", 200},
		{login, other, nil, "", `{"username":"dave","password":"open sesame!"}`, "", 400},
		{login, other, nil, "", ok, foreign, 403},
		{login, other, nil, "", large, "", 413},
		{login, other, nil, "", ok, "", 200},
		{logout, other, nil, "", "", foreign, 403},
		{logout, other, nil, "", "", "", 200},
		{logout, other, nil, "", "", "", 401},
		{newTokens, nobody, nil, "", `{"username":"alice","password":"open sesame"}`, "", 200},
		{newTokens, nobody, nil, "", fmt.Sprintf(`{"refresh_token":%q}`, refresh), "", 200},
		{newTokens, nobody, nil, "", fmt.Sprintf(`{"refresh_token":%q}`, refresh), "", 401},
		{newTokens, nobody, nil, "", `{}`, "", 400},
		{newTokens, nobody, nil, "", `{}`, foreign, 403},
		{newTokens, nobody, nil, "", large, "", 413},
		{tokens, nobody, nil, "", "", "", 401},
		{tokens, nobody, nil, "", "", foreign, 403},
		{newKey, alice, nil, "", `{"name":"bot","scopes":["read"],"expires_at":"` + inAnHour + `"}`, "", 200},
		{newKey, alice, nil, "", `{"name":"bot","scopes":[]}`, "", 400},
		{newKey, nobody, nil, "", `{"name":"bot","scopes":["read"]}`, "", 401},
		{newKey, alice, nil, "", `{}`, foreign, 403},
		{newKey, alice, nil, "", large, "", 413},
		{create, alice, nil, "", "", "", 200},
		{create, alice, nil, "", `{"title":"Weekend"}`, "", 200},
		{create, alice, nil, "", `{"title":1}`, "", 400},
		{create, nobody, nil, "", "", "", 401},
		{create, alice, nil, "", "", foreign, 403},
		{create, alice, nil, "", large, "", 413},
		{groups, alice, nil, "?limit=2&offset=0", "", "", 200},
		{groups, alice, nil, "?limit=0", "", "", 400},
		{groups, nobody, nil, "", "", "", 401},
		{look, alice, []any{public}, "", "", "", 200},
		{look, alice, []any{group}, "", "", "", 200},
		{look, alice, []any{direct}, "", "", "", 400},
		{look, nobody, []any{group}, "", "", "", 401},
		{look, alice, []any{others}, "", "", "", 403},
		{look, alice, []any{"x"}, "", "", "", 404},
		{edit, alice, []any{group}, "", `{"title":"Weekend","description":"text","visibility":"private","managed_by":"members"}`, "", 200},
		{edit, alice, []any{group}, "", `{"visibility":"secret"}`, "", 400},
		{edit, nobody, []any{group}, "", `{}`, "", 401},
		{edit, alice, []any{public}, "", `{}`, "", 403},
		{edit, alice, []any{group}, "", `{}`, foreign, 403},
		{edit, alice, []any{"x"}, "", `{}`, "", 404},
		{edit, alice, []any{group}, "", large, "", 413},
		{who, alice, []any{group}, "?limit=500&offset=0", "", "", 200},
		{who, alice, []any{group}, "?limit=501", "", "", 400},
		{who, nobody, []any{group}, "", "", "", 401},
		{who, alice, []any{others}, "", "", "", 403},
		{who, alice, []any{"x"}, "", "", "", 404},
		{role, alice, []any{group, "carol"}, "", `{"role":"admin"}`, "", 200},
		{role, alice, []any{group, "bob"}, "", `{"role":"admin"}`, "", 400},
		{role, nobody, []any{group, "carol"}, "", `{"role":"admin"}`, "", 401},
		{role, alice, []any{others, "bob"}, "", `{"role":"admin"}`, "", 403},
		{role, alice, []any{group, "carol"}, "", `{"role":"admin"}`, foreign, 403},
		{role, alice, []any{"x", "carol"}, "", `{"role":"admin"}`, "", 404},
		{role, alice, []any{group, "carol"}, "", large, "", 413},
		{invitation, alice, []any{group}, "", "", "", 200},
		{invitation, alice, []any{group}, "", `{"expires_in":60,"max_uses":1}`, "", 200},
		{invitation, alice, []any{group}, "", `{"expires_in":59}`, "", 400},
		{invitation, nobody, []any{group}, "", "", "", 401},
		{invitation, alice, []any{public}, "", "", "", 403},
		{invitation, alice, []any{group}, "", "", foreign, 403},
		{invitation, alice, []any{"x"}, "", "", "", 404},
		{invitation, alice, []any{group}, "", large, "", 413},
		{invites, alice, []any{group}, "", "", "", 200},
		{invites, alice, []any{direct}, "", "", "", 400},
		{invites, nobody, []any{group}, "", "", "", 401},
		{invites, alice, []any{public}, "", "", "", 403},
		{invites, alice, []any{"x"}, "", "", "", 404},
		{revoke, nobody, []any{group, invite.ID}, "", "", "", 401},
		{revoke, alice, []any{public, invite.ID}, "", "", "", 403},
		{revoke, alice, []any{group, invite.ID}, "", "", foreign, 403},
		{revoke, alice, []any{direct, invite.ID}, "", "", "", 400},
		{revoke, alice, []any{group, invite.ID}, "", "", "", 200},
		{revoke, alice, []any{group, invite.ID}, "", "", "", 404},
		{invited, alice, []any{token}, "", "", "", 200},
		{invited, nobody, []any{token}, "", "", "", 401},
		{invited, alice, []any{invite.Token}, "", "", "", 404},
		{accept, nobody, []any{token}, "", "", "", 401},
		{accept, alice, []any{token}, "", "", foreign, 403},
		{accept, alice, []any{token}, "", "", "", 200},
		{accept, alice, []any{token}, "", "", "", 400},
		{accept, alice, []any{invite.Token}, "", "", "", 404},
		{join, eve, []any{public}, "", "", "", 200},
		{join, eve, []any{public}, "", "", "", 400},
		{join, nobody, []any{public}, "", "", "", 401},
		{join, eve, []any{others}, "", "", "", 403},
		{join, eve, []any{public}, "", "", foreign, 403},
		{join, eve, []any{"x"}, "", "", "", 404},
		{destroy, nobody, []any{public}, "", "", "", 401},
		{destroy, alice, []any{public}, "", "", "", 403},
		{destroy, alice, []any{direct}, "", "", "", 400},
		{destroy, bob, []any{public}, "", "", foreign, 403},
		{destroy, bob, []any{"x"}, "", "", "", 404},
		{destroy, bob, []any{public}, "", "", "", 200},
		{participants, alice, []any{group}, "", `{"username":"bob"}`, "", 200},
		{participants, alice, []any{group}, "", `{"username":"bob"}`, "", 400},
		{participants, nobody, []any{group}, "", `{"username":"bob"}`, "", 401},
		{participants, alice, []any{others}, "", `{"username":"bob"}`, "", 403},
		{participants, alice, []any{group}, "", `{"username":"bob"}`, foreign, 403},
		{participants, alice, []any{"x"}, "", `{"username":"bob"}`, "", 404},
		{participants, alice, []any{group}, "", large, "", 413},
		{remove, alice, []any{group, "carol"}, "", "", "", 200},
		{remove, alice, []any{group, "carol"}, "", "", "", 400},
		{remove, nobody, []any{group, "carol"}, "", "", "", 401},
		{remove, alice, []any{others, "bob"}, "", "", "", 403},
		{remove, alice, []any{group, "bob"}, "", "", foreign, 403},
		{remove, alice, []any{"x", "bob"}, "", "", "", 404},
		{messages, alice, nil, "", `{"dest_username":"bob","message":"hi"}`, "", 200},
		{messages, alice, nil, "", `{"dest_username":"bob","message":""}`, "", 400},
		{messages, nobody, nil, "", `{"dest_username":"bob","message":"hi"}`, "", 401},
		{messages, alice, nil, "", fmt.Sprintf(`{"group_chat_id":%d,"message":"hi"}`, others), "", 403},
		{messages, alice, nil, "", `{"dest_username":"bob","message":"hi"}`, foreign, 403},
		{messages, alice, nil, "", large, "", 413},
		{forgot, nobody, nil, "", `{"email":"nobody@example.com"}`, "", 200},
		{forgot, nobody, nil, "", `{"email":"nobody"}`, "", 400},
		{forgot, nobody, nil, "", `{"email":"nobody@example.com"}`, foreign, 403},
		{forgot, nobody, nil, "", large, "", 413},
		{resetting, nobody, nil, "", `{"token":"` + resetToken + `","password":"another password"}`, foreign, 403},
		{resetting, nobody, nil, "", `{"token":"` + resetToken + `","password":"another password"}`, "", 200},
		{resetting, nobody, nil, "", `{"token":"` + resetToken + `","password":"another password"}`, "", 400},
		{resetting, nobody, nil, "", large, "", 413},
		{login, heidi, nil, "", `{"username":"heidi","password":"another password"}`, "", 200},
		{password, heidi, nil, "", `{"current_password":"wrong","password":"open sesame"}`, "", 400},
		{password, heidi, nil, "", `{"current_password":"another password","password":"open sesame"}`, foreign, 403},
		{password, heidi, nil, "", `{"current_password":"another password","password":"open sesame"}`, "", 200},
		{password, nobody, nil, "", `{"current_password":"another password","password":"open sesame"}`, "", 401},
		{password, heidi, nil, "", large, "", 413},
		{verifying, nobody, nil, "", `{"token":"` + verifyToken + `"}`, foreign, 403},
		{verifying, nobody, nil, "", `{"token":"` + verifyToken + `"}`, "", 200},
		{verifying, nobody, nil, "", `{"token":"` + verifyToken + `"}`, "", 400},
		{verifying, nobody, nil, "", large, "", 413},
		{verification, heidi, nil, "", "", "", 400},
		{email, heidi, nil, "", `{"email":"heidi@example.org","password":"wrong"}`, "", 400},
		{email, heidi, nil, "", `{"email":"heidi@example.org","password":"open sesame"}`, foreign, 403},
		{email, heidi, nil, "", `{"email":"heidi@example.org","password":"open sesame"}`, "", 200},
		{email, nobody, nil, "", `{"email":"heidi@example.org","password":"open sesame"}`, "", 401},
		{email, heidi, nil, "", large, "", 413},
		{verification, heidi, nil, "", "", "", 200},
		{verification, nobody, nil, "", "", "", 401},
		{verification, heidi, nil, "", "", foreign, 403},
		{users, alice, nil, "?username=bob", "", "", 200},
		{users, nobody, nil, "", "", "", 401},
		{user, alice, []any{"bob"}, "", "", "", 200},
		{user, nobody, []any{"bob"}, "", "", "", 401},
		{user, alice, []any{"nobody"}, "", "", "", 404},
		{"GET /v1/me", alice, nil, "", "", "", 200},
		{"GET /v1/me", nobody, nil, "", "", "", 401},
		{change, alice, nil, "", `{"display_name":"Alice","locale":"en","about":"text","presence":"hidden"}`, "", 200},
		{change, alice, nil, "", `{"email":"nonsense"}`, "", 400},
		{change, nobody, nil, "", `{}`, "", 401},
		{change, alice, nil, "", `{}`, foreign, 403},
		{change, alice, nil, "", large, "", 413},
		{block, alice, []any{"carol"}, "", "", "", 200},
		{block, alice, []any{"alice"}, "", "", "", 400},
		{block, nobody, []any{"carol"}, "", "", "", 401},
		{block, alice, []any{"carol"}, "", "", foreign, 403},
		{block, alice, []any{"nobody"}, "", "", "", 404},
		{blocks, alice, nil, "", "", "", 200},
		{blocks, alice, nil, "?limit=501", "", "", 400},
		{blocks, nobody, nil, "", "", "", 401},
		{unblock, alice, []any{"carol"}, "", "", "", 200},
		{unblock, nobody, []any{"carol"}, "", "", "", 401},
		{unblock, alice, []any{"carol"}, "", "", foreign, 403},
		{unblock, alice, []any{"carol"}, "", "", "", 404},
		{react, alice, []any{message, "like"}, "", "", "", 200},
		{react, alice, []any{message, "nice"}, "", "", "", 400},
		{react, nobody, []any{message, "like"}, "", "", "", 401},
		{react, alice, []any{message, "like"}, "", "", foreign, 403},
		{react, eve, []any{message, "like"}, "", "", "", 404},
		{reactions, alice, []any{message}, "", "", "", 200},
		{reactions, alice, []any{message}, "?limit=0", "", "", 400},
		{reactions, nobody, []any{message}, "", "", "", 401},
		{reactions, alice, []any{"x"}, "", "", "", 404},
		{unreact, alice, []any{message, "like"}, "", "", "", 200},
		{unreact, alice, []any{message, "nice"}, "", "", "", 400},
		{unreact, nobody, []any{message, "like"}, "", "", "", 401},
		{unreact, alice, []any{message, "like"}, "", "", foreign, 403},
		{unreact, alice, []any{"x", "like"}, "", "", "", 404},
		{events, alice, nil, "", "", "", 200},
		{events, alice, nil, "?after=x", "", "", 200},
		{events, alice, nil, "?wait=61", "", "", 400},
		{events, nobody, nil, "", "", "", 401},
		{events, alice, nil, "", "", "same-site", 403},
		{presence, alice, nil, "?user_ids=1,2,3,4,5", "", "", 200},
		{presence, alice, nil, "?user_ids=x", "", "", 400},
		{presence, alice, nil, "", "", "", 400},
		{presence, nobody, nil, "?user_ids=1", "", "", 401},
		{typing, alice, []any{group}, "", "", "", 200},
		{typing, nobody, []any{group}, "", "", "", 401},
		{typing, alice, []any{others}, "", "", "", 403},
		{typing, alice, []any{group}, "", "", foreign, 403},
		{typing, alice, []any{"x"}, "", "", "", 404},
		{socket, alice, nil, "", "", "", 426},
		{socket, nobody, nil, "", "", "", 401},
		{search, alice, nil, "?q=hi", "", "", 200},
		{search, alice, nil, "?q=ali&in=users", "", "", 200},
		{search, alice, nil, "?q=weekend&in=groups", "", "", 200},
		{search, alice, nil, "", "", "", 400},
		{search, nobody, nil, "?q=hi", "", "", 401},
		{search, alice, nil, fmt.Sprintf("?q=hi&chat=%d", others), "", "", 403},
		{vote, alice, []any{lunch}, "", `{"options":[0]}`, "", 200},
		{vote, alice, []any{lunch}, "", `{"options":[2]}`, "", 400},
		{vote, nobody, []any{lunch}, "", `{"options":[0]}`, "", 401},
		{vote, alice, []any{lunch}, "", `{"options":[0]}`, foreign, 403},
		{vote, alice, []any{message}, "", `{"options":[0]}`, "", 404},
		{vote, alice, []any{lunch}, "", large, "", 413},
		{poll, alice, []any{lunch}, "", "", "", 200},
		{poll, nobody, []any{lunch}, "", "", "", 401},
		{poll, alice, []any{message}, "", "", "", 404},
		{votes, alice, []any{lunch}, "?option=0", "", "", 200},
		{votes, alice, []any{lunch}, "", "", "", 400},
		{votes, nobody, []any{lunch}, "?option=0", "", "", 401},
		{votes, alice, []any{secret}, "?option=0", "", "", 403},
		{votes, alice, []any{message}, "?option=0", "", "", 404},
		{closePoll, alice, []any{lunch}, "", "", "", 200},
		{closePoll, nobody, []any{lunch}, "", "", "", 401},
		{closePoll, alice, []any{lunch}, "", "", foreign, 403},
		{closePoll, alice, []any{message}, "", "", "", 404},
		{chats, alice, nil, "", "", "", 200},
		{chats, eve, nil, "", "", "", 200},
		{chats, alice, nil, "?archived=maybe", "", "", 400},
		{chats, nobody, nil, "", "", "", 401},
		{open, alice, nil, "", `{"username":"bob"}`, "", 200},
		{open, alice, nil, "", `{"username":"alice"}`, "", 200},
		{open, alice, nil, "", `{"username":"nobody"}`, "", 400},
		{open, nobody, nil, "", `{"username":"bob"}`, "", 401},
		{open, alice, nil, "", `{"username":"bob"}`, foreign, 403},
		{open, alice, nil, "", large, "", 413},
		{unread, alice, nil, "", "", "", 200},
		{unread, nobody, nil, "", "", "", 401},
		{oneChat, alice, []any{group}, "", "", "", 200},
		{oneChat, nobody, []any{group}, "", "", "", 401},
		{oneChat, alice, []any{others}, "", "", "", 403},
		{oneChat, alice, []any{"x"}, "", "", "", 404},
		{settings, alice, []any{group}, "", `{"muted_until":"2999-01-01T00:00:00Z","archived":true,"marked_unread":true}`, "", 200},
		{oneChat, alice, []any{group}, "", "", "", 200},
		{settings, alice, []any{group}, "", `{"muted_until":null,"archived":false}`, "", 200},
		{settings, alice, []any{group}, "", `{"muted_until":"tomorrow"}`, "", 400},
		{settings, nobody, []any{group}, "", `{}`, "", 401},
		{settings, alice, []any{others}, "", `{}`, "", 403},
		{settings, alice, []any{group}, "", `{}`, foreign, 403},
		{settings, alice, []any{"x"}, "", `{}`, "", 404},
		{settings, alice, []any{group}, "", large, "", 413},
		{read, alice, []any{group}, "", "", "", 200},
		{read, alice, []any{group}, "", `{"seq":1}`, "", 200},
		{read, alice, []any{group}, "", `{"seq":99}`, "", 400},
		{read, nobody, []any{group}, "", "", "", 401},
		{read, alice, []any{others}, "", "", "", 403},
		{read, alice, []any{group}, "", "", foreign, 403},
		{read, alice, []any{"x"}, "", "", "", 404},
		{read, alice, []any{group}, "", large, "", 413},
		{delivered, alice, []any{group}, "", `{"seq":1}`, "", 200},
		{delivered, alice, []any{group}, "", `{}`, "", 400},
		{delivered, nobody, []any{group}, "", `{"seq":1}`, "", 401},
		{delivered, alice, []any{others}, "", `{"seq":1}`, "", 403},
		{delivered, alice, []any{group}, "", `{"seq":1}`, foreign, 403},
		{delivered, alice, []any{"x"}, "", `{"seq":1}`, "", 404},
		{delivered, alice, []any{group}, "", large, "", 413},
		{readers, alice, []any{send(t, alice, "bob", "seen?").ID}, "", "", "", 200},
		{readers, alice, []any{1}, "?limit=0", "", "", 400},
		{readers, nobody, []any{1}, "", "", "", 401},
		{readers, eve, []any{9999}, "", "", "", 404},
		{deleteChat, nobody, []any{group}, "", "", "", 401},
		{deleteChat, alice, []any{others}, "", "", "", 403},
		{deleteChat, alice, []any{group}, "", "", foreign, 403},
		{deleteChat, alice, []any{"x"}, "", "", "", 404},
		{deleteChat, alice, []any{newGroup(alice)}, "", "", "", 200},
		{toChat, alice, []any{group}, "", `{"text":"hi"}`, "", 200},
		{toChat, alice, []any{group}, "", fmt.Sprintf(`{"texts":["hi","@alice"],"reply_to":%d}`, mine), "", 200},
		{toChat, alice, []any{group}, "", `{"text":"hi?","poll":{"options":["hi","hello"]}}`, "", 200},
		{toChat, alice, []any{group}, "", `{}`, "", 400},
		{toChat, nobody, []any{group}, "", `{"text":"hi"}`, "", 401},
		{toChat, alice, []any{others}, "", `{"text":"hi"}`, "", 403},
		{toChat, alice, []any{group}, "", `{"text":"hi"}`, foreign, 403},
		{toChat, alice, []any{"x"}, "", `{"text":"hi"}`, "", 404},
		{toChat, alice, []any{group}, "", many, "", 413},
		{ofChat, alice, []any{group}, "", "", "", 200},
		{ofChat, alice, []any{group}, "?around_seq=2&limit=3", "", "", 200},
		{ofChat, alice, []any{group}, "?text-like=hi&page=1", "", "", 200},
		{ofChat, alice, []any{group}, "?before=0", "", "", 400},
		{ofChat, nobody, []any{group}, "", "", "", 401},
		{ofChat, alice, []any{others}, "", "", "", 403},
		{ofChat, alice, []any{"x"}, "", "", "", 404},
		{"GET " + one, alice, []any{mine}, "", "", "", 200},
		{"GET " + one, nobody, []any{mine}, "", "", "", 401},
		{"GET " + one, alice, []any{theirs}, "", "", "", 404},
		{"PATCH " + one, alice, []any{mine}, "", `{"text":"hi @alice"}`, "", 200},
		{"PATCH " + one, alice, []any{mine}, "", `{}`, "", 400},
		{"PATCH " + one, nobody, []any{mine}, "", `{"text":"hi"}`, "", 401},
		{"PATCH " + one, alice, []any{mine}, "", `{"text":"hi"}`, foreign, 403},
		{"PATCH " + one, alice, []any{theirs}, "", `{"text":"hi"}`, "", 404},
		{"PATCH " + one, alice, []any{mine}, "", large, "", 413},
		{edits, alice, []any{mine}, "", "", "", 200},
		{edits, nobody, []any{mine}, "", "", "", 401},
		{edits, alice, []any{theirs}, "", "", "", 404},
		{thread, alice, []any{mine}, "", "", "", 200},
		{thread, alice, []any{mine}, "?limit=0", "", "", 400},
		{thread, nobody, []any{mine}, "", "", "", 401},
		{thread, alice, []any{theirs}, "", "", "", 404},
		{"DELETE " + one, alice, []any{mine}, "?for=nobody", "", "", 400},
		{"DELETE " + one, nobody, []any{mine}, "", "", "", 401},
		{"DELETE " + one, alice, []any{mine}, "", "", foreign, 403},
		{"DELETE " + one, alice, []any{theirs}, "", "", "", 404},
		{"DELETE " + one, alice, []any{mine}, "", "", "", 200},
		{"GET " + one, alice, []any{mine}, "", "", "", 200}, // what is left of it
		{"GET /v1/messages", alice, nil, "?direction=sent&limit=3", "", "", 200},
		{newAccount, root, nil, "", frank, "", 200},
		{newAccount, root, nil, "", frank, "", 400},
		{newAccount, nobody, nil, "", frank, "", 401},
		{newAccount, alice, nil, "", frank, "", 403},
		{newAccount, root, nil, "", frank, foreign, 403},
		{newAccount, root, nil, "", large, "", 413},
		{accounts, root, nil, "?deactivated=false", "", "", 200},
		{accounts, nobody, nil, "", "", "", 401},
		{accounts, alice, nil, "", "", "", 403},
		{account, root, []any{gone}, "", "", "", 200},
		{account, nobody, []any{gone}, "", "", "", 401},
		{account, alice, []any{gone}, "", "", "", 403},
		{account, root, []any{9999}, "", "", "", 404},
		{changeAccount, root, []any{gone}, "", `{"locale":"en","about":"text","deactivated":true}`, "", 200},
		{account, root, []any{gone}, "", "", "", 200},
		{changeAccount, root, []any{gone}, "", `{"email":"nonsense"}`, "", 400},
		{changeAccount, nobody, []any{gone}, "", `{}`, "", 401},
		{changeAccount, alice, []any{gone}, "", `{}`, "", 403},
		{changeAccount, root, []any{gone}, "", `{}`, foreign, 403},
		{changeAccount, root, []any{"x"}, "", `{}`, "", 404},
		{changeAccount, root, []any{gone}, "", large, "", 413},
		{sessions, root, []any{root.Get("/v1/me").Field("id")}, "", "", "", 200},
		{sessions, root, []any{gone}, "?limit=0", "", "", 400},
		{sessions, nobody, []any{gone}, "", "", "", 401},
		{sessions, alice, []any{gone}, "", "", "", 403},
		{sessions, root, []any{9999}, "", "", "", 404},
		{endSession, root, []any{bob.Get("/v1/me").Field("id"), sessionOf(root, bob)}, "", "", "", 200},
		{endSession, nobody, []any{gone, 1}, "", "", "", 401},
		{endSession, alice, []any{gone, 1}, "", "", "", 403},
		{endSession, root, []any{gone, 1}, "", "", foreign, 403},
		{endSession, root, []any{gone, 9999}, "", "", "", 404},
		{endSessions, root, []any{gone}, "", "", "", 200},
		{endSessions, nobody, []any{gone}, "", "", "", 401},
		{endSessions, alice, []any{gone}, "", "", "", 403},
		{endSessions, root, []any{gone}, "", "", foreign, 403},
		{endSessions, root, []any{9999}, "", "", "", 404},
		{deleteAccount, root, []any{root.Get("/v1/me").Field("id")}, "", "", "", 400},
		{deleteAccount, nobody, []any{gone}, "", "", "", 401},
		{deleteAccount, alice, []any{gone}, "", "", "", 403},
		{deleteAccount, root, []any{gone}, "", "", foreign, 403},
		{deleteAccount, root, []any{gone}, "", "", "", 200},
		{deleteAccount, root, []any{gone}, "", "", "", 404},
		{allGroups, root, nil, "", "", "", 200},
		{allGroups, root, nil, "?offset=-1", "", "", 400},
		{allGroups, nobody, nil, "", "", "", 401},
		{allGroups, alice, nil, "", "", "", 403},
		{deleteGroup, root, []any{others}, "", "", "", 200},
		{deleteGroup, nobody, []any{others}, "", "", "", 401},
		{deleteGroup, alice, []any{others}, "", "", "", 403},
		{deleteGroup, root, []any{others}, "", "", foreign, 403},
		{deleteGroup, root, []any{9999}, "", "", "", 404},
		{auditLog, root, nil, "?action=admin.user_updated", "", "", 200},
		{auditLog, root, nil, "", "", "", 200},
		{auditLog, root, nil, "?action=nonsense", "", "", 400},
		{auditLog, nobody, nil, "", "", "", 401},
		{auditLog, alice, nil, "", "", "", 403},
		{mySessions, alice, nil, "?kind=cookie&limit=10", "", "", 200},
		{mySessions, alice, nil, "?kind=nonsense", "", "", 400},
		{mySessions, nobody, nil, "", "", "", 401},
		{mySessions, program, nil, "", "", "", 403},
		{mySession, alice, []any{second}, "", "", "", 200},
		{mySession, nobody, []any{second}, "", "", "", 401},
		{mySession, program, []any{second}, "", "", "", 403},
		{mySession, eve, []any{second}, "", "", "", 404},
		{endMyOwn, nobody, []any{second}, "", "", "", 401},
		{endMyOwn, alice, []any{second}, "", "", foreign, 403},
		{endMyOwn, eve, []any{second}, "", "", "", 404},
		{endMyOwn, alice, []any{second}, "", "", "", 200},
		{endMine, nobody, nil, "", "", "", 401},
		{endMine, alice, nil, "", "", foreign, 403},
		{endMine, alice, nil, "?others=perhaps", "", "", 400},
		{endMine, alice, nil, "?others=true", "", "", 200},
		{toRegister, root, nil, "", "", "", 200},
		{toRegister, root, nil, "", `{"note":"for Zoë","max_uses":7,"expires_at":"2030-01-01T00:00:00Z"}`, "", 200},
		{toRegister, root, nil, "", `{"max_uses":0}`, "", 400},
		{toRegister, nobody, nil, "", "", "", 401},
		{toRegister, alice, nil, "", "", "", 403},
		{toRegister, root, nil, "", "", foreign, 403},
		{toRegister, root, nil, "", large, "", 413},
		{invitations, root, nil, "", "", "", 200},
		{invitations, root, nil, "?limit=0", "", "", 400},
		{invitations, nobody, nil, "", "", "", 401},
		{invitations, alice, nil, "", "", "", 403},
		{endInvitation, nobody, []any{1}, "", "", "", 401},
		{endInvitation, alice, []any{1}, "", "", "", 403},
		{endInvitation, root, []any{1}, "", "", foreign, 403},
		{endInvitation, root, []any{1}, "", "", "", 200},
		{endInvitation, root, []any{1}, "", "", "", 404},
		{export, alice, nil, "", "", "", 200},
		{export, alice, nil, "", "", foreign, 403},
		{export, nobody, nil, "", "", "", 401},
		{leave, root, nil, "", "", "", 400}, // the only administrator
		{leave, eve, nil, "", "", foreign, 403},
		{leave, eve, nil, "", "", "", 200},
		{leave, eve, nil, "", "", "", 401},
	}
	for _, prefix := range readPrefixes {
		all, group1, p2p := "GET "+prefix, "GET "+prefix+"/group/{group_chat_id}", "GET "+prefix+"/p2p/{dest_username}"
		rows = append(rows,
			asked{all, alice, nil, "", "", "", 200},
			asked{all, alice, nil, "?limit=0", "", "", 400},
			asked{all, nobody, nil, "", "", "", 401},
			asked{group1, alice, []any{group}, "", "", "", 200},
			asked{group1, alice, []any{newGroup(alice)}, "", "", "", 200},
			asked{group1, alice, []any{group}, "?limit=0", "", "", 400},
			asked{group1, nobody, []any{group}, "", "", "", 401},
			asked{group1, alice, []any{others}, "", "", "", 403},
			asked{group1, alice, []any{"x"}, "", "", "", 404},
			asked{p2p, alice, []any{"bob"}, "", "", "", 200},
			asked{p2p, alice, []any{"nobody"}, "", "", "", 400},
			asked{p2p, nobody, []any{"bob"}, "", "", "", 401})
	}

	seen := map[string]map[string]bool{}
	param := regexp.MustCompile(`\{\w+\}`)
	for _, q := range rows {
		name := fmt.Sprint(q.route, " ", q.status)
		if q.site != "" {
			name += " " + q.site
		}
		t.Run(name, func(t *testing.T) {
			method, pattern, _ := strings.Cut(q.route, " ")
			params := q.params
			path := param.ReplaceAllStringFunc(pattern, func(string) (value string) {
				value, params = fmt.Sprint(params[0]), params[1:]
				return value
			})
			var header []string
			if q.site != "" {
				header = []string{"Sec-Fetch-Site", q.site}
			}
			r := q.as.Do(method, path+q.tail, q.body, header...) // the client holds it to the document
			require.Equal(t, q.status, r.StatusCode, r.Text)

			if seen[q.route] == nil {
				seen[q.route] = map[string]bool{"500": true, "503": true, "429": true}
			}
			seen[q.route][fmt.Sprint(q.status)] = true
		})
	}
	requireAnswer(t, nobody.Do("GET", "/v1/auth/token", "", "Authorization", basicAuth("alice", frontdoor.Password)), 200, "", "")
	seen[tokens]["200"] = true
	// A key has never the scope for everything.
	keys := map[string]string{}
	for _, scope := range []string{"read", "write"} {
		keys[scope] = newKeyOf(alice, scope)
	}
	for path, operations := range d.Paths {
		for method, op := range operations {
			method = strings.ToUpper(method)
			if scopes := op.scopes(); scopes != nil {
				key := keys["read"]
				if slices.Contains(scopes, "read") {
					key = keys["write"]
				}
				r := nobody.Do(method, param.ReplaceAllString(path, "1"), "", "X-API-Key", key) // the client holds it to the document
				requireAnswer(t, r, 403, "insufficient_scope", "")
				seen[method+" "+path]["403"] = true
			}
		}
	}
	for status, header := range map[int][]string{
		101: nil, 400: {"Sec-WebSocket-Key", ""}, 403: {"Origin", "https://example.com"},
	} {
		r, _ := alice.Handshake("/v1/ws?after=x", header...) // the client holds it to the document
		r.Want(status)
		seen[socket][fmt.Sprint(status)] = true
	}
	seen[socket]["501"] = true   // see TestWebSocketNeedsHTTP1
	seen[register]["202"] = true // see TestRegistrationByDomain
	seen[socket]["501"] = true   // see TestWebSocketNeedsHTTP1
	for _, route := range []string{forgot, resetting, email, verification} {
		seen[route]["501"] = true // see TestMailNotConfigured
	}
	for path, operations := range d.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			require.Subset(t, slices.Collect(maps.Keys(seen[route])), slices.Collect(maps.Keys(op.Responses)),
				"%s documents an answer that it never gives", route)
		}
	}
}

func docsPage(t *testing.T, s *frontdoor.Server) {
	for name, below := range map[string]struct{ base, path string }{
		"at the root": {s.URL, ""}, "below a path": {s.URL2, "/chat"},
	} {
		t.Run(name, func(t *testing.T) {
			c := frontdoor.NewClient(t, below.base)
			page := c.Get(below.path + "/v1/docs").Want(200)
			require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
			requireStrictPolicy(t, page.Header.Get("Content-Security-Policy"))

			require.NotRegexp(t, `(?i)\son\w+\s*=`, page.Text, "inline handlers")
			require.NotRegexp(t, `(?i)javascript:|<style|\sstyle\s*=|<base`, page.Text)
			scripts := regexp.MustCompile(`(?is)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page.Text, -1)
			require.NotEmpty(t, scripts)
			for _, script := range scripts {
				require.Contains(t, script[1], `src="`)
				require.Empty(t, strings.TrimSpace(script[2]), "inline script")
			}

			contentTypes := map[string]string{
				".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".png": "image/png",
			}
			at := page.Request.URL
			named := regexp.MustCompile(`(?i)\s(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Text, -1)
			kinds := map[string]int{}
			for _, m := range named {
				address, err := at.Parse(m[1])
				require.NoError(t, err)
				require.Equal(t, at.Host, address.Host, "it loads nothing from elsewhere")
				r := c.Get(address.Path).Want(200)
				kind := address.Path[strings.LastIndex(address.Path, "."):]
				kinds[kind]++
				require.Equal(t, contentTypes[kind], r.Header.Get("Content-Type"), address)
				require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
				require.NotEmpty(t, r.Text)
			}
			require.Equal(t, map[string]int{".js": 2, ".css": 1, ".png": 1}, kinds)

			// What the script then loads is relative to the page.
			loads := regexp.MustCompile(` data-document="([^"]+)"`).FindStringSubmatch(page.Text)
			require.NotNil(t, loads, page.Text)
			address, err := at.Parse(loads[1])
			require.NoError(t, err)
			require.Equal(t, below.path+"/v1/openapi.json", address.Path)
			var d document
			c.Get(address.Path).Want(200).Decode(&d)

			t.Run("what one tries out on it reaches the API", func(t *testing.T) {
				server := "/" // where a document names none
				if len(d.Servers) > 0 {
					server = d.Servers[0].URL
				}
				root, err := address.Parse(server)
				require.NoError(t, err)
				r := c.Get(strings.TrimSuffix(root.Path, "/") + "/v1/messages")
				require.Equal(t, 401, r.StatusCode, root)
			})
		})
	}
}

// requireStrictPolicy fails the test unless nothing loads that is not named,
// and only this site is.
func requireStrictPolicy(t *testing.T, policy string) {
	t.Helper()
	directives := map[string]string{}
	for directive := range strings.SplitSeq(policy, ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(directive), " ")
		directives[name] = sources
	}
	require.Equal(t, "'none'", directives["default-src"])
	require.Equal(t, "'self'", directives["script-src"])
	require.Equal(t, "'self'", directives["connect-src"])
	for _, name := range []string{"base-uri", "form-action", "frame-ancestors"} {
		require.Equal(t, "'none'", directives[name], "default-src does not stand in for %s", name)
	}
	require.NotContains(t, policy, "unsafe-eval")
	require.NotContains(t, policy, "http")
	require.NotContains(t, policy, "*")
}
