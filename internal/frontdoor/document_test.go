package frontdoor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A document of the parts that the API's has. What it says of additional
// properties and of null is what huma says.
const someDocument = `{
	"openapi": "3.1.0",
	"paths": {
		"/v1/things": {"get": {
			"operationId": "list-things",
			"responses": {
				"200": {"content": {"application/json": {"schema": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Thing"}}}}},
				"400": {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
			}
		}},
		"/v1/things/{thing}": {
			"get": {
				"operationId": "get-thing",
				"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}
			},
			"delete": {"operationId": "delete-thing", "responses": {"204": {}}}
		},
		"/v1/things/all": {"get": {
			"operationId": "count-things",
			"responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "additionalProperties": {"type": "integer"}}}}}}
		}},
		"/v1/things/packed": {"get": {
			"operationId": "pack-things",
			"responses": {"200": {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}
		}},
		"/v1/{place}/parts": {"get": {
			"operationId": "list-parts",
			"responses": {"200": {"content": {"application/json": {"schema": {"type": "integer"}}}}}
		}}
	},
	"components": {"schemas": {
		"Thing": {
			"type": "object",
			"required": ["id"],
			"additionalProperties": true,
			"properties": {
				"id": {"type": "integer", "format": "int64"},
				"at": {"type": "string", "format": "date-time"},
				"kind": {"type": "string", "enum": ["big", "small"]},
				"parts": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Thing"}},
				"properties": {"type": "object", "properties": {"type": {"type": "string"}}}
			}
		},
		"Problem": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
	}}
}`

func TestAnswersAgainstDocument(t *testing.T) {
	d, err := parseDocument([]byte(someDocument))
	require.NoError(t, err)
	const (
		json    = "application/json"
		problem = "application/problem+json"
		refusal = `{"code":"no_such_path"}`
	)
	for _, row := range []struct {
		valid       bool
		method, at  string
		status      int
		contentType string
		body        string
	}{
		{true, "GET", "/v1/things", 200, json, `[]`},
		{true, "GET", "/v1/things", 200, json, `[{"id":1,"at":"2006-01-02T15:04:05.000000Z","kind":"big","parts":[{"id":2}]}]`},
		{true, "GET", "/v1/things/7", 200, json, `{"id":9223372036854775807}`},
		{true, "GET", "/v1/things/a%2Fb", 200, json, `{"id":1}`},
		{true, "GET", "/v1/things/all", 200, json, `{"big":1,"small":2}`},
		{true, "GET", "/v1/shelf/parts", 200, json, `1`},
		{true, "GET", "/v1/things/parts", 200, json, `{"id":1}`},
		{true, "HEAD", "/v1/things", 200, json, ``},
		{true, "GET", "/v1/things/packed", 200, "application/zip", "PK\xff"},
		{true, "HEAD", "/v1/things/packed", 200, "application/zip", ``},
		{true, "DELETE", "/v1/things/7", 204, "", ``},
		{true, "GET", "/v1/things", 400, problem, refusal},
		{true, "GET", "/v1/nothing", 404, problem, refusal},
		{true, "GET", "/v1/things/", 404, problem, refusal},
		{true, "GET", "/v1/things/..", 404, problem, refusal},
		{true, "GET", "/v1", 404, problem, refusal},
		{true, "PUT", "/v1/things", 405, problem, refusal},
		{true, "DELETE", "/v1/things/all", 405, problem, refusal},
		{true, "PUT", "/v1/things", 403, problem, refusal},
		{true, "GET", "/v1/auth/reset-password", 200, "text/html; charset=utf-8", `<!doctype html>`},
		{false, "POST", "/v1/auth/reset-password", 200, "text/html; charset=utf-8", `<!doctype html>`},
		{true, "GET", "/v1/docs", 200, "text/html; charset=utf-8", `<!doctype html>`},
		{true, "GET", "/v1/openapi.json", 200, json, someDocument},

		// operation and status
		{false, "GET", "/v1/nothing", 200, json, `{}`},
		{false, "GET", "/v1/things/7/8", 200, json, `{"id":1}`},
		{false, "PUT", "/v1/things", 200, json, `[]`},
		{false, "GET", "/v1/things", 404, problem, refusal},
		{false, "GET", "/v1/things", 201, json, `[]`},
		{false, "GET", "/v1/things", 405, problem, refusal},
		{false, "GET", "/v1/openapi.json", 200, json, `{}`},
		// content
		{false, "GET", "/v1/things", 200, "text/plain", `[]`},
		{false, "GET", "/v1/things", 200, "", `[]`},
		{false, "GET", "/v1/things", 400, json, refusal},
		{false, "GET", "/v1/nothing", 404, "text/plain; charset=utf-8", `404 page not found`},
		{false, "GET", "/v1/things", 200, json, ``},
		{false, "GET", "/v1/things", 200, json, `[`},
		{false, "GET", "/v1/things", 200, json, `[] []`},
		{false, "GET", "/v1/things/7", 200, json, "{\"id\":1,\"kind\":\"\xff\"}"},
		{false, "HEAD", "/v1/things", 200, json, `[]`},
		{false, "HEAD", "/v1/things/packed", 200, "application/zip", "PK"},
		{false, "GET", "/v1/things/packed", 200, json, `[]`},
		{false, "DELETE", "/v1/things/7", 204, "", `{}`},
		// values
		{false, "GET", "/v1/things", 200, json, `null`},
		{false, "GET", "/v1/things", 200, json, `{}`},
		{false, "GET", "/v1/things", 200, json, `[{}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":"1"}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":9223372036854775808}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"more":1}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"at":"yesterday"}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"kind":"medium"}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"parts":null}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"parts":[{"id":2,"more":1}]}]`},
		{false, "GET", "/v1/things", 200, json, `[{"id":1,"properties":{"additionalProperties":false}}]`},
		{false, "GET", "/v1/things/all", 200, json, `{"big":"one"}`},
		{false, "GET", "/v1/things", 400, problem, `{}`},
	} {
		t.Run(fmt.Sprintf("%s %s %d %s %s", row.method, row.at, row.status, row.contentType, row.body), func(t *testing.T) {
			r := &http.Response{
				StatusCode: row.status, Header: http.Header{},
				Request: httptest.NewRequest(row.method, row.at, http.NoBody),
			}
			if row.contentType != "" {
				r.Header.Set("Content-Type", row.contentType)
			}
			if row.status == http.StatusMethodNotAllowed {
				r.Header.Set("Allow", "GET, HEAD")
			}
			if err := d.check(r, row.at, row.body); row.valid {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

// told is a test that only notes whether it failed.
type told struct {
	testing.TB
	failed bool
}

func (t *told) Errorf(string, ...any) { t.failed = true }

func TestClientChecksAnswers(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/blocks" || r.URL.Path == "/chat/v1/blocks" {
			_, _ = fmt.Fprint(w, `[]`)
			return
		}
		_, _ = fmt.Fprint(w, `{"nonsense":true}`)
	}))
	t.Cleanup(site.Close)
	for _, row := range []struct {
		path, unchecked string
		failed          bool
	}{
		{"/v1/blocks", "", false},
		{"/chat/v1/blocks", "", false},
		{"/elsewhere", "", false},
		{"/v1/me", "", true},
		{"/chat/v1/me", "", true},
		{"/v1/unheard-of", "", true},
		{"/v1/me", "it is another program's", false},
	} {
		test := &told{TB: t}
		c := NewClient(test, site.URL)
		c.Unchecked = row.unchecked
		c.Get(row.path).Want(http.StatusOK)
		require.Equal(t, row.failed, test.failed, row)
	}
}
