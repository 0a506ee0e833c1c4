package v1

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddymsg/messaging/limit"
)

// withLimits returns a context within which the header of an answer tells what is left
// of the limits that were asked, as the draft RateLimit header fields for HTTP of the
// IETF has it. They are asked in the goroutine of the request.
func withLimits(ctx context.Context, header http.Header) context.Context {
	var asked []limit.State
	return limit.WithObserver(ctx, func(s limit.State) {
		known := false
		for i := range asked {
			if asked[i].Limit == s.Limit {
				asked[i], known = s, true
			}
		}
		if !known {
			asked = append(asked, s)
		}
		policies, left := make([]string, len(asked)), make([]string, len(asked))
		for i, s := range asked {
			policies[i] = fmt.Sprintf("%q;q=%d;w=%d", s.Limit, s.Rate.Burst, seconds(s.Rate.Window()))
			left[i] = fmt.Sprintf("%q;r=%d;t=%d", s.Limit, s.Remaining, seconds(s.Reset))
		}
		header.Set("Ratelimit-Policy", strings.Join(policies, ", "))
		header.Set("Ratelimit", strings.Join(left, ", "))
	})
}

// seconds are whole ones, and not too few.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
