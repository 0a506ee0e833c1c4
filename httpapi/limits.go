package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/caddymsg/messaging/limit"
)

// limitWriter is an answer whose header tells what is left of the limits that were
// asked for it, as the draft RateLimit header fields for HTTP of the IETF has it. It is
// used in the goroutine of the request.
type limitWriter struct {
	http.ResponseWriter
	asked []limit.State
	begun bool
}

// observed returns a context within which the limits that are asked are told by the answer.
func (w *limitWriter) observed(ctx context.Context) context.Context {
	return limit.WithObserver(ctx, func(s limit.State) {
		for i := range w.asked {
			if w.asked[i].Limit == s.Limit {
				w.asked[i] = s
				return
			}
		}
		w.asked = append(w.asked, s)
	})
}

// Unwrap lets [http.ResponseController] find the server's own.
func (w *limitWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (w *limitWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *limitWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// begin sets the header. Not sooner: a limit may be asked several times, and what was
// taken may be given back.
func (w *limitWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if len(w.asked) == 0 {
		return
	}
	var policies, left []byte
	for i, s := range w.asked {
		if i > 0 {
			policies, left = append(policies, ", "...), append(left, ", "...)
		}
		policies = appendItem(policies, s.Limit, ";q=", s.Rate.Burst, ";w=", s.Rate.Window())
		left = appendItem(left, s.Limit, ";r=", s.Remaining, ";t=", s.Reset)
	}
	w.Header().Set("Ratelimit-Policy", string(policies))
	w.Header().Set("Ratelimit", string(left))
}

// appendItem appends what a header says of a limit: how many, and within which time.
func appendItem(b []byte, name limit.Name, many string, n int, within string, d time.Duration) []byte {
	b = append(strconv.AppendQuote(b, string(name)), many...)
	b = append(strconv.AppendInt(b, int64(n), 10), within...)
	return strconv.AppendInt(b, Seconds(d), 10)
}

// Seconds are whole ones, and not too few.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
