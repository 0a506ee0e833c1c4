package dialect_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/caddymsg/dialect/groupchat"
	"github.com/caddymsg/messaging/caddymsg/dialect/knox"
	"github.com/caddymsg/messaging/caddymsg/dialect/messenger"
	"github.com/caddymsg/messaging/caddymsg/dialect/simplechats"
)

// pages are those of docs/dialects, with every endpoint that its system has, as its
// README and what was seen of it tell. The page of each says what has become of them.
var pages = map[string]struct {
	dialect   dialect.Dialect
	endpoints string
}{
	"simple_chats": {simplechats.Dialect(), `
		POST /api/register
		GET /api/token
		POST /api/update
		POST /api/forgot-password
		POST /api/reset-password
		GET /api/users
		GET /api/users/{user_id}
		GET /api/chats
		POST /api/chats
		GET /api/chats/{chat_id}
		DELETE /api/chats/{chat_id}
		GET /api/chats/{chat_id}/messages
		POST /api/chats/{chat_id}/messages
		GET /api/chats/{chat_id}/messages/{message_id}
		DELETE /api/chats/{chat_id}/messages/{message_id}
		PUT /api/chats/{chat_id}/messages/{message_id}
		GET /
		GET /authentication/login
		POST /authentication/login
		GET /authentication/register
		POST /authentication/register
		GET /authentication/logout
		GET /authentication/forgot_password
		POST /authentication/forgot_password
		GET /authentication/reset_password/{token}
		POST /authentication/reset_password/{token}
		GET /chats/list
		GET /chats/search
		GET /chats/ajax-search
		GET /chats/begin/{username}
		GET /chats/going
		GET /chats/end`},
	"messenger": {messenger.Dialect(), `
		POST /users/
		POST /chats/
		GET /chats/
		POST /chats/{chat_id}/users/{user_id}
		GET /messages/history/{chat_id}
		GET /messages/ws/{chat_id}/{user_id}
		GET /docs
		GET /redoc
		GET /openapi.json`},
	"group_chat": {groupchat.Dialect(), `
		POST /api/login
		POST /api/logout
		POST /api/users
		GET /api/users
		GET /api/users/{user_id}
		PUT /api/users/{user_id}
		DELETE /api/users/{user_id}
		POST /api/groups
		GET /api/groups
		GET /api/groups/{group_id}
		PUT /api/groups/{group_id}
		DELETE /api/groups/{group_id}
		POST /api/groups/{group_id}/members
		POST /api/groups/{group_id}/messages
		GET /api/groups/{group_id}/messages
		PUT /api/groups/{group_id}/messages/{message_id}/like
		POST /api/groups/{group_id}/messages/{message_id}/like
		GET /api/docs/
		GET /api/swagger.json`},
	"knox": {knox.Dialect(), `
		POST /api/auth/register
		POST /api/auth/login
		POST /api/auth/logout
		POST /api/message
		GET /api/message
		GET /api/message/sent
		GET /api/message/received
		GET /api/message/{id}
		PUT /api/message/{id}
		PATCH /api/message/{id}
		DELETE /api/message/{id}
		POST /api/block
		GET /api/block
		PUT /api/block/{id}
		DELETE /api/block/{id}`},
}

// TestDialectPages holds the page of each dialect to a row for every endpoint that its
// system has, and for every route of its table; and each row that does not say "not" to a
// test that there is.
func TestDialectPages(t *testing.T) {
	t.Parallel()
	there := testsThatThereAre(t)
	require.True(t, there[t.Name()], "this search finds what is there")
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "..", "docs", "dialects", name+".md"))
			require.NoError(t, err)
			rows := endpointRows(t, string(text))
			listed := map[string]string{} // the state of each endpoint
			for _, row := range rows {
				require.Regexp(t, `^(done|differs|not )`, row.state, row.endpoint)
				named := testName.FindAllString(row.test, -1)
				for _, test := range named {
					require.True(t, there[test], "%s names %s, which is no test", row.endpoint, test)
				}
				if !strings.HasPrefix(row.state, "not ") {
					require.NotEmpty(t, named, "%s: what shows it?", row.endpoint)
				}
				for _, endpoint := range endpointsOf(row.endpoint) {
					listed[endpoint] = row.state
				}
			}
			for endpoint := range strings.Lines(page.endpoints) {
				if endpoint := strings.TrimSpace(endpoint); endpoint != "" {
					require.Contains(t, listed, plainEndpoint(endpoint), "an endpoint of the system that the page does not have")
				}
			}
			api, err := page.dialect.Open(dialect.Options{Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			require.NotEmpty(t, api.Routes())
			for _, route := range api.Routes() {
				endpoint := plainEndpoint(route.Method + " " + route.Path)
				if _, ok := listed[endpoint]; !ok && name == "group_chat" { // its README writes paths without /api
					endpoint = plainEndpoint(route.Method + " /api" + route.Path)
				}
				require.Contains(t, listed, endpoint, "a route that the page does not have")
				require.NotRegexp(t, `^not `, listed[endpoint], endpoint)
			}
		})
	}
}

// TestDialectsPageNamesTests fails if the guide names a test, or a file, that there is not.
func TestDialectsPageNamesTests(t *testing.T) {
	t.Parallel()
	there := testsThatThereAre(t)
	guide, err := os.ReadFile("../../docs/dialects.md")
	require.NoError(t, err)
	for _, name := range testName.FindAllString(string(guide), -1) {
		require.True(t, there[name], name)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)[^)]*\)`).FindAllStringSubmatch(string(guide), -1) {
		_, err := os.Stat(filepath.Join("../../docs", link[1]))
		require.NoError(t, err)
	}
	for name := range pages {
		require.Contains(t, string(guide), "(dialects/"+name+".md)")
	}
}

var testName = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)

// testsThatThereAre are all tests of this repository, by their names.
func testsThatThereAre(t *testing.T) map[string]bool {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(\w+ \*testing\.[TF]\)`)
	there := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, found := range declaration.FindAllStringSubmatch(string(code), -1) {
			there[found[1]] = true
		}
		return err
	}))
	return there
}

// endpointRow is a row of the table of endpoints.
type endpointRow struct{ endpoint, from, test, state string }

func endpointRows(t *testing.T, page string) (rows []endpointRow) {
	t.Helper()
	begin := regexp.MustCompile(`(?im)^\| endpoint \| .*\| test \| state \|\n\|[-| ]*\|\n`).FindStringIndex(page)
	require.NotNil(t, begin, "the page has no table of endpoints")
	for line := range strings.Lines(page[begin[1]:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		require.Len(t, cells, 4, line)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, endpointRow{cells[0], cells[1], cells[2], cells[3]})
	}
	return rows
}

// endpointsOf are those that a cell names: `GET`, `PUT /api/users/{id}` are two.
func endpointsOf(cell string) (endpoints []string) {
	var methods []string
	for _, code := range regexp.MustCompile("`([A-Z]+)( /[^`]*)?`").FindAllStringSubmatch(cell, -1) {
		methods = append(methods, code[1])
		if code[2] == "" {
			continue
		}
		for _, method := range methods {
			endpoints = append(endpoints, plainEndpoint(method+code[2]))
		}
		methods = nil
	}
	return endpoints
}

// plainEndpoint is an endpoint, whatever its parameters are called, and in whatever way its path
// is said to end in a slash.
func plainEndpoint(endpoint string) string {
	endpoint, _, _ = strings.Cut(strings.ReplaceAll(endpoint, "/{$}", "/"), "?")
	return regexp.MustCompile(`\{\w+\}`).ReplaceAllString(endpoint, "{}")
}
