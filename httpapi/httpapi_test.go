package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
)

// says has whoever asks told a word.
func says(word string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, word) }
}

func TestRoute(t *testing.T) {
	t.Parallel()
	first, second := http.NewServeMux(), http.NewServeMux()
	first.HandleFunc("GET /both", says("first"))
	first.HandleFunc("GET /first", says("first"))
	second.HandleFunc("POST /both", says("second"))
	second.HandleFunc("GET /second/{id}", says("second"))
	for name, test := range map[string]struct {
		method, path string
		refusal      int
		body, allow  string
	}{
		"of the first":         {"GET", "/first", 0, "first", ""},
		"of the second":        {"GET", "/second/1", 0, "second", ""},
		"HEAD is GET":          {"HEAD", "/first", 0, "first", ""},
		"the first that knows": {"POST", "/both", 405, "", "GET, HEAD"},
		"another method":       {"DELETE", "/second/1", 405, "", "GET, HEAD"},
		"of none":              {"GET", "/third", 404, "", ""},
		"more than there is":   {"GET", "/second/1/2", 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			require.Equal(t, test.refusal, Route(answer, httptest.NewRequest(test.method, test.path, http.NoBody), first, second))
			require.Equal(t, test.body, answer.Body.String(), "a refusal has no text of its own")
			require.Equal(t, test.allow, answer.Header().Get("Allow"))
		})
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	serve := func(h http.HandlerFunc) (answer *httptest.ResponseRecorder, pattern string, failure error) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /chats/{id}", h)
		answer = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/chats/1", http.NoBody)
		Serve(answer, r, mux, func(w http.ResponseWriter, _ *http.Request, err error) {
			failure = err
			w.WriteHeader(http.StatusInternalServerError)
		})
		return answer, r.Pattern, failure
	}
	t.Run("answers", func(t *testing.T) {
		t.Parallel()
		answer, pattern, failure := serve(says("hi"))
		require.NoError(t, failure)
		require.Equal(t, "hi", answer.Body.String())
		require.Equal(t, "GET /chats/{id}", pattern, "the metrics ask for it")
		require.Equal(t, "no-store", answer.Header().Get("Cache-Control"))
		require.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"))
	})
	t.Run("panics", func(t *testing.T) {
		t.Parallel()
		answer, pattern, failure := serve(func(http.ResponseWriter, *http.Request) { panic("out of luck") })
		require.Equal(t, http.StatusInternalServerError, answer.Code)
		require.Equal(t, "GET /chats/{id}", pattern)
		require.ErrorContains(t, failure, "out of luck")
		require.ErrorContains(t, failure, "httpapi_test.go", "it does not say where")
	})
	t.Run("breaks off", func(t *testing.T) {
		t.Parallel()
		// A history that fails in its midst must not look whole: the server cuts the line.
		require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() {
			_, _, _ = serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		})
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	gone, cancel := context.WithCancel(auth.WithRequest(t.Context(), auth.Request{ID: "r1"}))
	cancel()
	there := auth.WithRequest(t.Context(), auth.Request{ID: "r1"})
	for name, test := range map[string]struct {
		ctx    context.Context
		status int
		want   int
		level  string // of the log's line, if there is one
	}{
		"a mistake of the client":      {there, 400, 400, ""},
		"somebody else's":              {there, 403, 403, ""},
		"too often":                    {there, 429, 429, ""},
		"a defect":                     {there, 500, 500, "ERROR"},
		"the database is busy":         {there, 503, 503, "WARN"},
		"not configured":               {there, 501, 501, "WARN"},
		"the client has gone":          {gone, 500, 499, ""},
		"gone while it was busy":       {gone, 503, 499, ""},
		"gone, and its own mistake":    {gone, 400, 400, ""},
		"gone, and nobody looks at it": {gone, 404, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines bytes.Buffer
			failures := NewFailures(slog.New(slog.NewTextHandler(&lines, nil)))
			require.Equal(t, test.want, failures.Note(test.ctx, test.status, "code", errors.New("what only the operator should know")))
			if test.level == "" {
				require.Empty(t, lines.String())
				return
			}
			require.Equal(t, 1, strings.Count(lines.String(), "\n"))
			require.Contains(t, lines.String(), "level="+test.level)
			require.Contains(t, lines.String(), "request_id=r1")
			require.Contains(t, lines.String(), "what only the operator should know")
		})
	}
	t.Run("a flood of sign-ins", func(t *testing.T) {
		t.Parallel()
		var lines bytes.Buffer
		failures := NewFailures(slog.New(slog.NewTextHandler(&lines, nil)))
		for range 1000 {
			require.Equal(t, 503, failures.Note(there, 503, "too_many_logins", errors.New("full")))
		}
		require.Less(t, strings.Count(lines.String(), "\n"), 1000, "a line for each of a flood")
	})
}
