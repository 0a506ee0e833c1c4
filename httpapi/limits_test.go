package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/limit"
)

// headerSets counts how often the header of an answer is asked for.
type headerSets struct {
	*httptest.ResponseRecorder
	n int
}

func (h *headerSets) Header() http.Header {
	h.n++
	return h.ResponseRecorder.Header()
}

// However often limits tell what is left of them, the header is made once, of what they
// told last.
func TestLimitsAreToldOnce(t *testing.T) {
	search := limit.New(nil, nil)
	search.Configure(map[limit.Name]limit.Rate{limit.Search: {Events: 2, Per: time.Hour, Burst: 5}, limit.SearchAddress: {Events: 1, Per: time.Hour, Burst: 1000}})
	for name, begin := range map[string]func(w http.ResponseWriter){
		"a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"a body":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "text") },
		"upgrade":  func(w http.ResponseWriter) { w.WriteHeader(http.StatusSwitchingProtocols) },
	} {
		t.Run(name, func(t *testing.T) {
			answer := &headerSets{ResponseRecorder: httptest.NewRecorder()}
			w := &limitWriter{ResponseWriter: answer}
			ctx := w.observed(t.Context())
			take := func() limit.Taken {
				taken, err := search.Take(ctx, limit.Ask{Limit: limit.Search, Key: name}, limit.Ask{Limit: limit.SearchAddress, Key: name})
				require.NoError(t, err)
				return taken
			}
			take()
			require.NoError(t, take().GiveBack(ctx))
			take()
			require.Zero(t, answer.n)
			begin(w)
			begin(w)
			require.Equal(t, `"search";q=5;w=9000, "search_address";q=1000;w=3600000`, answer.Result().Header.Get("Ratelimit-Policy"))
			require.Equal(t, `"search";r=3;t=3600, "search_address";r=998;t=7200`, answer.Result().Header.Get("Ratelimit"))
			require.LessOrEqual(t, answer.n, 4)
		})
	}
	t.Run("none", func(t *testing.T) {
		answer := httptest.NewRecorder()
		w := &limitWriter{ResponseWriter: answer}
		w.WriteHeader(http.StatusOK)
		require.Empty(t, answer.Header())
	})
}
