package dialect

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
)

// The system of these tests: who asks is said by the header From, and what a request did
// wrong by the status and a code.
func testSystem() System {
	says := func(c *Call) error {
		return c.JSON(http.StatusOK, map[string]any{"asked": c.Pattern, "id": c.PathValue("id"), "caller": c.Caller.UserID})
	}
	return System{
		Routes: []Route{
			{Method: "GET", Path: "/notes", Handle: says},
			{Method: "POST", Path: "/notes", Handle: says},
			{Method: "POST", Path: "/messages", Sends: true, Handle: says},
			{Method: "GET", Path: "/notes/{id}", Access: Anybody, Handle: says},
			{Method: "GET", Path: "/account", Access: Account, Handle: says},
			{Method: "GET", Path: "/token", Changes: true, Handle: says},
			{Method: "GET", Path: "/admin", Access: Admin, Handle: says},
			{Method: "DELETE", Path: "/notes/{id}", Access: Anybody, Handle: func(c *Call) error {
				c.W.WriteHeader(http.StatusNoContent)
				return nil
			}},
			{Method: "POST", Path: "/small", Access: Anybody, MaxBody: 8, Handle: func(c *Call) error {
				object, err := c.Object(JSON)
				if err != nil {
					return err
				}
				return c.JSON(http.StatusOK, object)
			}},
			{Method: "GET", Path: "/panic", Access: Anybody, Handle: func(*Call) error { panic("out of luck") }},
			{Method: "GET", Path: "/defect", Access: Anybody, Handle: func(*Call) error { return errors.New("no such table: notes") }},
			{Method: "GET", Path: "/later", Access: Anybody, Handle: func(*Call) error {
				return &chat.Error{Kind: chat.TooMany, Code: "rate_limited", RetryAfter: 1500 * time.Millisecond}
			}},
			{Method: "GET", Path: "/silent", Access: Anybody, Handle: func(*Call) error { return &Refusal{Status: http.StatusGone, Code: "silent"} }},
		},
		Identify: func(r *http.Request) (chat.Caller, error) {
			callers := map[string]chat.Caller{
				"alice":  {UserID: 1},
				"reader": {UserID: 2, Scopes: chat.ReadScope},
				"writer": {UserID: 3, Scopes: chat.WriteScope},
				"root":   {UserID: 4, Scopes: chat.AdminScope},
			}
			caller, ok := callers[r.Header.Get("From")]
			if !ok {
				return caller, &chat.Error{Kind: chat.Unauthenticated, Code: "unauthenticated"}
			}
			return caller, nil
		},
		Tell: func(r Refusal) Answer {
			answer := Answer{Status: r.Status, Body: map[string]string{"code": r.Code}}
			if r.Status == http.StatusUnauthorized {
				answer.Header = http.Header{"www-authenticate": {"Test"}} // its own spelling is mended
			}
			if r.Code == "silent" {
				answer.Body = nil
			}
			return answer
		},
		Slashes: true,
		Page:    "/docs", DocumentPath: "/openapi.json", Document: []byte(`{}`),
	}
}

// testAPI is that system, and what it logs.
func testAPI(t *testing.T, s System) (*API, *bytes.Buffer) {
	t.Helper()
	lines := new(bytes.Buffer)
	log := slog.New(slog.NewTextHandler(lines, nil))
	api, err := New(Options{Chat: chat.New(nil, log), Log: log}, s)
	require.NoError(t, err)
	return api, lines
}

func ask(api http.Handler, method, target, from, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("From", from)
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, r)
	return answer
}

func TestAPI(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, target, from string
		status               int
		body                 string
	}{
		"a route":                      {"GET", "/notes", "alice", 200, `{"asked":"GET /notes","caller":1,"id":""}`},
		"with a slash":                 {"GET", "/notes/", "alice", 200, `{"asked":"GET /notes/{$}","caller":1,"id":""}`},
		"with two":                     {"GET", "/notes//", "alice", 404, `{"code":"no_such_path"}`},
		"with a value":                 {"GET", "/notes/7", "", 200, `{"asked":"GET /notes/{id}","caller":0,"id":"7"}`},
		"a value and a slash":          {"GET", "/notes/7/", "", 200, `{"asked":"GET /notes/{id}/{$}","caller":0,"id":"7"}`},
		"an escaped value":             {"GET", "/notes/a%2Fb", "", 200, `{"asked":"GET /notes/{id}","caller":0,"id":"a/b"}`},
		"no such path":                 {"GET", "/nothing", "alice", 404, `{"code":"no_such_path"}`},
		"more than there is":           {"GET", "/notes/7/8", "alice", 404, `{"code":"no_such_path"}`},
		"no redirect to a clean path":  {"GET", "/x/../notes", "alice", 404, `{"code":"no_such_path"}`},
		"nor to one without slashes":   {"GET", "//notes", "alice", 404, `{"code":"no_such_path"}`},
		"another method":               {"PATCH", "/notes", "alice", 405, `{"code":"method_not_allowed"}`},
		"another method, with a slash": {"PATCH", "/notes/", "alice", 405, `{"code":"method_not_allowed"}`},
		"a method that is none":        {"BREW", "/notes", "", 405, `{"code":"method_not_allowed"}`},
		"nobody":                       {"GET", "/notes", "", 401, `{"code":"unauthenticated"}`},
		"a key that may read":          {"GET", "/notes", "reader", 200, `{"asked":"GET /notes","caller":2,"id":""}`},
		"may not write":                {"POST", "/notes", "reader", 403, `{"code":"insufficient_scope"}`},
		"nor send":                     {"POST", "/messages", "reader", 403, `{"code":"insufficient_scope"}`},
		"a key that may write":         {"POST", "/notes", "writer", 200, `{"asked":"POST /notes","caller":3,"id":""}`},
		"and send":                     {"POST", "/messages", "writer", 200, `{"asked":"POST /messages","caller":3,"id":""}`},
		"may not read":                 {"GET", "/notes", "writer", 403, `{"code":"insufficient_scope"}`},
		"no key has the account":       {"GET", "/account", "root", 403, `{"code":"insufficient_scope"}`},
		"a person has":                 {"GET", "/account", "alice", 200, `{"asked":"GET /account","caller":1,"id":""}`},
		"nor all of them the service":  {"GET", "/admin", "writer", 403, `{"code":"insufficient_scope"}`},
		"an administrator's":           {"GET", "/admin", "root", 200, `{"asked":"GET /admin","caller":4,"id":""}`},
		"a GET that changes something": {"GET", "/token", "writer", 200, `{"asked":"GET /token","caller":3,"id":""}`},
		"may not be reading":           {"GET", "/token", "reader", 403, `{"code":"insufficient_scope"}`},
		"nor HEAD":                     {"HEAD", "/token", "alice", 405, `{"code":"method_not_allowed"}`},
		"no content":                   {"DELETE", "/notes/1", "", 204, ""},
		"a refusal without a body":     {"GET", "/silent", "", 410, ""},
		"too large a body":             {"POST", "/small", "", 413, `{"code":"body_too_large"}`},
		"its document":                 {"GET", "/openapi.json", "", 200, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, lines := testAPI(t, testSystem())
			body := ""
			if test.method == http.MethodPost {
				body = `{"a":"too long"}`
			}
			answer := ask(api, test.method, test.target, test.from, body)
			require.Equal(t, test.status, answer.Code)
			if test.body == "" {
				require.Empty(t, answer.Body.String())
			} else {
				require.JSONEq(t, test.body, answer.Body.String())
				require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
			}
			require.Equal(t, test.status == http.StatusUnauthorized, answer.Header().Get("WWW-Authenticate") == "Test")
			require.Equal(t, test.status == http.StatusMethodNotAllowed, answer.Header().Get("Allow") != "")
			require.Empty(t, lines.String(), "it is no failure of the server")
		})
	}
}

// Without Slashes, a path with one is another.
func TestAPIWithoutSlashes(t *testing.T) {
	t.Parallel()
	system := testSystem()
	system.Slashes, system.Page = false, ""
	api, _ := testAPI(t, system)
	require.Equal(t, 200, ask(api, "GET", "/notes", "alice", "").Code)
	require.Equal(t, 404, ask(api, "GET", "/docs", "alice", "").Code)
	require.Equal(t, 404, ask(api, "GET", "/account/", "alice", "").Code)
}

func TestAPIFailures(t *testing.T) {
	t.Parallel()
	for target, inside := range map[string]string{"/panic": "out of luck", "/defect": "no such table: notes"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			api, lines := testAPI(t, testSystem())
			answer := ask(api, "GET", target, "", "")
			require.Equal(t, 500, answer.Code)
			require.JSONEq(t, `{"code":"internal"}`, answer.Body.String(), "it tells what is inside")
			require.Contains(t, lines.String(), inside)
		})
	}
	t.Run("before it is open", func(t *testing.T) {
		t.Parallel()
		lines, answer := new(bytes.Buffer), httptest.NewRecorder()
		Dialect{Tell: testSystem().Tell}.Fail(answer, httptest.NewRequest("GET", "/notes", http.NoBody),
			slog.New(slog.NewTextHandler(lines, nil)), &chat.Error{Kind: chat.Unavailable, Code: "unavailable"})
		require.Equal(t, 503, answer.Code)
		require.Equal(t, "2", answer.Header().Get("Retry-After"))
		require.JSONEq(t, `{"code":"unavailable"}`, answer.Body.String())
		require.NotEmpty(t, lines.String())
	})
}

// When to come back is a whole number of seconds, and not too few.
func TestAPIRetryAfter(t *testing.T) {
	t.Parallel()
	api, _ := testAPI(t, testSystem())
	answer := ask(api, "GET", "/later", "", "")
	require.Equal(t, 429, answer.Code)
	require.Equal(t, "2", answer.Header().Get("Retry-After"))
}

// What changes something is counted, but for sends, which the rule counts itself.
func TestAPICountsChanges(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	limits := limit.New(nil, nil)
	limits.Configure(map[limit.Name]limit.Rate{limit.Changes: {Events: 1, Per: time.Hour, Burst: 1}})
	rules := chat.New(nil, log)
	rules.Limit(limits)
	api, err := New(Options{Chat: rules, Log: log}, testSystem())
	require.NoError(t, err)

	require.Equal(t, 200, ask(api, "GET", "/notes", "alice", "").Code)
	require.Equal(t, 200, ask(api, "POST", "/messages", "alice", "").Code)
	first := ask(api, "POST", "/notes", "alice", "")
	require.Equal(t, 200, first.Code)
	require.Equal(t, `"changes";r=0;t=3600`, first.Header().Get("Ratelimit"))
	second := ask(api, "POST", "/notes", "alice", "")
	require.Equal(t, 429, second.Code)
	require.Equal(t, "3600", second.Header().Get("Retry-After"))
	require.Equal(t, 429, ask(api, "GET", "/token", "alice", "").Code)
	require.Equal(t, 405, ask(api, "HEAD", "/token", "alice", "").Code)
	require.Equal(t, 200, ask(api, "GET", "/notes", "alice", "").Code)
	require.Equal(t, 200, ask(api, "POST", "/notes", "writer", "").Code, "somebody else's limit")
	require.Equal(t, 200, ask(api, "POST", "/messages", "alice", "").Code)
}

// Pages of other sites may ask only where the system says so, and then without cookies.
func TestAPIForPagesOfOtherSites(t *testing.T) {
	t.Parallel()
	preflight := func(api http.Handler, target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodOptions, target, http.NoBody)
		r.Header.Set("Origin", "https://elsewhere.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		return answer
	}
	system := testSystem()
	closed, _ := testAPI(t, system)
	require.Equal(t, 405, preflight(closed, "/notes").Code)
	posted := func(api http.Handler, header, value string) int {
		r := httptest.NewRequest(http.MethodPost, "/notes", http.NoBody)
		r.Header.Set(header, value)
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		return answer.Code
	}
	require.Equal(t, 403, posted(closed, "Sec-Fetch-Site", "cross-site"))
	require.Equal(t, 403, posted(closed, "Origin", "https://elsewhere.example"))
	require.Equal(t, 401, posted(closed, "Sec-Fetch-Site", "same-origin"))
	require.Empty(t, ask(closed, "GET", "/notes/1", "", "").Header().Get("Access-Control-Allow-Origin"))

	system.AnyOrigin = true
	open, _ := testAPI(t, system)
	require.Equal(t, 401, posted(open, "Sec-Fetch-Site", "cross-site"))
	allowed := preflight(open, "/notes")
	require.Equal(t, 204, allowed.Code)
	require.Equal(t, "*", allowed.Header().Get("Access-Control-Allow-Methods"))
	require.Contains(t, allowed.Header().Get("Access-Control-Allow-Headers"), "Authorization")
	for target, status := range map[string]int{"/notes/1": 200, "/notes": 401, "/nothing": 404} {
		answer := ask(open, "GET", target, "", "")
		require.Equal(t, status, answer.Code)
		require.Equal(t, "*", answer.Header().Get("Access-Control-Allow-Origin"), "a page could not read why")
		require.Empty(t, answer.Header().Get("Access-Control-Allow-Credentials"))
	}
	require.Equal(t, 405, ask(open, "OPTIONS", "/notes", "", "").Code, "no page asks this")
}

// Characters that HTML is careful with are what they are.
func TestAnswersAreNotHTML(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	writeJSON(answer, http.StatusOK, "<a & b>")
	require.Equal(t, "\"<a & b>\"\n", answer.Body.String())
}
