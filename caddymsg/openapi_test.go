package caddymsg_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// The API at the root of one site, and below a path of another.
const docsCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
	}
}
http://127.0.0.1:{$PORT2} {
	handle_path /chat/* {
		messaging {
			database {env.DATABASE}
			bcrypt_cost 4
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
	"/v1/users":             {"get"},
	"/v1/users/{user}":      {"get"},
	"/v1/me":                {"delete", "get", "patch"},
	"/v1/blocks":            {"get"},
	"/v1/blocks/{username}": {"delete", "put"},

	"/v1/auth/register": {"post"},
	"/v1/auth/login":    {"post"},
	"/v1/auth/logout":   {"post"},
	"/v1/group_chat":    {"post"},
	"/v1/group_chat/{group_chat_id}/participants":        {"post"},
	"/v1/group_chat/{group_chat_id}/participants/{user}": {"delete"},
	"/v1/messages":                                  {"get", "post"},
	"/v1/messages/group/{group_chat_id}":            {"get"},
	"/v1/messages/p2p/{dest_username}":              {"get"},
	"/v1/group_chat/messages":                       {"get"},
	"/v1/group_chat/messages/group/{group_chat_id}": {"get"},
	"/v1/group_chat/messages/p2p/{dest_username}":   {"get"},
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

	ids := map[string]bool{}
	param := regexp.MustCompile(`\{(\w+)\}`)
	for path, operations := range d.Paths {
		filled := strings.NewReplacer("{group_chat_id}", "1", "{user}", "bob", "{username}", "bob", "{dest_username}", "bob").Replace(path)
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
			if strings.HasPrefix(path, "/v1/auth/log") || path == "/v1/auth/register" {
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
		r := c.Do("TRACE", filled, "").Want(405)
		require.ElementsMatch(t, allowed, strings.Split(r.Header.Get("Allow"), ", "), "%s takes what is documented, and no more", path)
	}
}

func documentedErrors(t *testing.T, s *frontdoor.Server) {
	d := readDocument(t, frontdoor.NewClient(t, s.URL))
	for path, operations := range d.Paths {
		for method, op := range operations {
			want := []string{"200", "500", "503"}
			if op.RequestBody != nil {
				want = append(want, "400", "413")
				require.Contains(t, op.RequestBody.Content, "application/json")
			}
			if len(op.Security) > 0 {
				want = append(want, "401")
			}
			require.Subset(t, slices.Collect(maps.Keys(op.Responses)), want, "%s %s", method, path)
			for status, response := range op.Responses {
				require.Len(t, response.Content, 1)
				if status == "200" {
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
	nobody, other := frontdoor.NewClient(t, s.URL), frontdoor.NewClient(t, s.URL)
	d := readDocument(t, nobody)
	group, others := newGroup(alice), newGroup(bob)
	add(t, alice, group, "carol")
	send(t, alice, "bob", "hi")
	alice.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"hi","client_id":"key"}`, group)).Want(200)
	send(t, alice, "alice", "note")
	large := strings.Repeat(" ", 65<<10)
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
		create       = "POST /v1/group_chat"
		participants = "POST /v1/group_chat/{group_chat_id}/participants"
		remove       = "DELETE /v1/group_chat/{group_chat_id}/participants/{user}"
		messages     = "POST /v1/messages"
		users        = "GET /v1/users"
		user         = "GET /v1/users/{user}"
		change       = "PATCH /v1/me"
		leave        = "DELETE /v1/me"
		blocks       = "GET /v1/blocks"
		block        = "PUT /v1/blocks/{username}"
		unblock      = "DELETE /v1/blocks/{username}"
		ok           = `{"username":"dave","password":"password"}`
	)
	rows := []asked{
		{register, nobody, nil, "", ok, "", 200},
		{register, nobody, nil, "", ok, "", 400},
		{register, nobody, nil, "", `{`, "", 400},
		{register, nobody, nil, "", ok, foreign, 403},
		{register, nobody, nil, "", large, "", 413},
		{login, other, nil, "", `{"username":"dave","password":"passwordx"}`, "", 400},
		{login, other, nil, "", ok, foreign, 403},
		{login, other, nil, "", large, "", 413},
		{login, other, nil, "", ok, "", 200},
		{logout, other, nil, "", "", foreign, 403},
		{logout, other, nil, "", "", "", 200},
		{logout, other, nil, "", "", "", 401},
		{create, alice, nil, "", "", "", 200},
		{create, alice, nil, "", `{"title":"Weekend"}`, "", 200},
		{create, alice, nil, "", `{"title":1}`, "", 400},
		{create, nobody, nil, "", "", "", 401},
		{create, alice, nil, "", "", foreign, 403},
		{create, alice, nil, "", large, "", 413},
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
		{users, alice, nil, "?username=bob", "", "", 200},
		{users, nobody, nil, "", "", "", 401},
		{user, alice, []any{"bob"}, "", "", "", 200},
		{user, nobody, []any{"bob"}, "", "", "", 401},
		{user, alice, []any{"nobody"}, "", "", "", 404},
		{"GET /v1/me", alice, nil, "", "", "", 200},
		{"GET /v1/me", nobody, nil, "", "", "", 401},
		{change, alice, nil, "", `{"display_name":"Alice","email":"alice@example.com","locale":"en","about":"text"}`, "", 200},
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
		{blocks, nobody, nil, "", "", "", 401},
		{unblock, alice, []any{"carol"}, "", "", "", 200},
		{unblock, nobody, []any{"carol"}, "", "", "", 401},
		{unblock, alice, []any{"carol"}, "", "", foreign, 403},
		{unblock, alice, []any{"carol"}, "", "", "", 404},
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
				seen[q.route] = map[string]bool{"500": true, "503": true}
			}
			seen[q.route][fmt.Sprint(q.status)] = true
		})
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
			var own string // our script
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
				if strings.HasSuffix(address.Path, "/docs.js") {
					own = r.Text
				}
			}
			require.Equal(t, map[string]int{".js": 2, ".css": 1, ".png": 1}, kinds)

			// What the script then loads is relative to the page.
			loads := regexp.MustCompile(`new URL\("([^"]+)", location\.href\)`).FindStringSubmatch(own)
			require.NotNil(t, loads, own)
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
