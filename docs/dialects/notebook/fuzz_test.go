package notebook_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/caddymsg/dialect"
)

// Whatever a body is, it is an object or refused, and what is read is what was written.
// It stands here, and not beside what it tests: there, a Caddy would be built for it.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		"", " ", "{}", "[]", "null", `{"a":"b"}`, `{"a":1e400}`, `{"a":{"b":[1,null,"\u0000"]}}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}",
		`{"a":1}{"b":2}`, `{"a":1} x`, "\ufeff{}", `{"a":01}`, `{"":""}`, strings.Repeat("[", 20000), `{"texts":["a","b"]}`,
	} {
		f.Add([]byte(seed))
	}
	api, err := dialect.New(dialect.Options{Log: slog.New(slog.DiscardHandler)}, dialect.System{
		Routes: []dialect.Route{{Method: "POST", Path: "/", Access: dialect.Anybody, MaxBody: 1 << 20, Handle: func(c *dialect.Call) error {
			object, err := c.Object(dialect.JSON | dialect.AnyType)
			if err != nil {
				return err
			}
			return c.JSON(http.StatusOK, object)
		}}},
		Tell: func(r dialect.Refusal) dialect.Answer { return dialect.Answer{Status: r.Status, Body: r.Code} },
	})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		ask := func(body []byte) *httptest.ResponseRecorder {
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
			return answer
		}
		answer := ask(body)
		if answer.Code != http.StatusOK {
			require.Equal(t, http.StatusBadRequest, answer.Code)
			require.Contains(t, []string{`"malformed_body"`, `"not_an_object"`}, strings.TrimSpace(answer.Body.String()))
			return
		}
		require.True(t, json.Valid(answer.Body.Bytes()))
		require.Equal(t, answer.Body.String(), ask(answer.Body.Bytes()).Body.String())
	})
}
