package dialect

import (
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/httpapi"
)

// streaming answers with a list of so many texts, and then goes on as the end says.
func streaming(t *testing.T, texts int, end func(yield func(string, error) bool)) (answered, error) {
	t.Helper()
	items := func(yield func(string, error) bool) {
		for range texts {
			if !yield("<TEXT>", nil) {
				return
			}
		}
		end(yield)
	}
	api, err := New(Options{Log: slog.New(slog.DiscardHandler)}, System{
		Routes: []Route{{Method: "GET", Path: "/list", Access: Anybody, Handle: func(c *Call) error {
			return Stream(c, `{"list":[`, iter.Seq2[string, error](items), strings.ToLower, "]}\n")
		}}},
		Tell: func(r Refusal) Answer { return Answer{Status: r.Status, Body: r.Code} },
	})
	require.NoError(t, err)
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/list", http.NoBody)
	require.NoError(t, err)
	answer, err := s.Client().Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answered{answer.StatusCode, answer.Header.Get("Content-Type"), string(body)}, err
}

type answered struct {
	status            int
	contentType, body string
}

// More than is written at once.
const manyTexts = 3 * httpapi.StreamedAtOnce / 8

func TestStream(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string]int{"none": 0, "one": 1, "some": 3, "many": manyTexts} {
		t.Run(name, func(t *testing.T) {
			answer, err := streaming(t, texts, func(func(string, error) bool) {})
			require.NoError(t, err)
			want := strings.TrimSuffix(strings.Repeat(`"<text>",`+"\n", texts), ",\n")
			require.Equal(t, answered{200, "application/json", `{"list":[` + want + "]}\n"}, answer)
		})
	}
}

// What fails before anything has gone is told; after that, nobody takes a part for the
// whole.
func TestStreamFails(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(yield func(string, error) bool){
		"an error": func(yield func(string, error) bool) { yield("", errors.New("read messages")) },
		"a panic":  func(func(string, error) bool) { panic("read messages") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, texts := range []int{0, 3} {
				answer, err := streaming(t, texts, end)
				require.NoError(t, err)
				require.Equal(t, answered{500, "application/json", "\"internal\"\n"}, answer)
			}
			answer, err := streaming(t, manyTexts, end)
			require.Error(t, err, "broken off")
			require.NotContains(t, answer.body, "internal")
		})
	}
}
