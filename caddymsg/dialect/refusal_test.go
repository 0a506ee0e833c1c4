package dialect

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	ruled := &chat.Error{Kind: chat.Invalid, Code: "text_missing", Field: "message", Message: "A message has a text."}
	own := &Refusal{Status: http.StatusTeapot, Code: "teapot", Message: "This is a teapot.", Body: "short and stout"}
	for name, test := range map[string]struct {
		err  error
		want Refusal
	}{
		"of a rule": {ruled, Refusal{
			Kind: chat.Invalid, Status: 400, Code: "text_missing", Field: "message", Message: "A message has a text.",
		}},
		"of a rule, with what was done": {fmt.Errorf("send: %w", ruled), Refusal{
			Kind: chat.Invalid, Status: 400, Code: "text_missing", Field: "message", Message: "A message has a text.",
		}},
		"of a controller":                 {own, *own},
		"of a controller, further down":   {fmt.Errorf("pour: %w", own), *own},
		"of a controller, about a rule's": {fmt.Errorf("%w: %w", own, ruled), *own},
		"a defect": {errors.New("no such table: users"), Refusal{
			Status: 500, Code: "internal", Message: "Something went wrong",
		}},
		"too often": {&chat.Error{Kind: chat.TooMany, Code: "rate_limited", RetryAfter: time.Minute}, Refusal{
			Kind: chat.TooMany, Status: 429, Code: "rate_limited", RetryAfter: time.Minute,
		}},
		"too many, who knows for how long": {&chat.Error{Kind: chat.TooMany, Code: "too_many_logins"}, Refusal{
			Kind: chat.TooMany, Status: 429, Code: "too_many_logins", RetryAfter: unavailableFor,
		}},
		"not now": {&chat.Error{Kind: chat.Unavailable, Code: "unavailable"}, Refusal{
			Kind: chat.Unavailable, Status: 503, Code: "unavailable", RetryAfter: unavailableFor,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, explain(test.err))
		})
	}
}

// Each kind of refusal that there is has a status, and none is a defect of the server.
func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for kind := chat.Invalid; kind <= chat.Unsupported; kind++ {
		status := explain(&chat.Error{Kind: kind}).Status
		require.GreaterOrEqual(t, status, 400, kind)
		require.NotEqual(t, http.StatusInternalServerError, status, kind)
	}
}
