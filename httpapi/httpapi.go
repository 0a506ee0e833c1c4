// Package httpapi is what the HTTP APIs have in common, whatever they say: what each
// answer has, which mux knows a path, what the log hears of failures, and the pages that
// show an API's document.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddymsg/messaging/auth"
)

// Serve has a handler answer a request. The answer tells what is left of the limits that
// were asked for it, and is for nobody else. Should the handler panic, fail answers, with
// that as its error. The request's Pattern is set, for the metrics.
func Serve(outer http.ResponseWriter, r *http.Request, h http.Handler, fail func(http.ResponseWriter, *http.Request, error)) {
	w := &limitWriter{ResponseWriter: outer}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		fail(w, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}()
	answered := r.WithContext(w.observed(r.Context()))
	defer func() { r.Pattern = answered.Pattern }()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.ServeHTTP(w, answered)
}

// Route has the first of some muxes answer that knows the path of a request, but for their
// plain text errors: it returns 404 if none knows it, 405 if one does and does not take
// the method, for which it sets the header Allow, and else 0.
func Route(w http.ResponseWriter, r *http.Request, muxes ...*http.ServeMux) (refusal int) {
	for _, mux := range muxes {
		fallback, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return 0
		}
		answer := headerOnly{header: http.Header{}}
		fallback.ServeHTTP(&answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", answer.header.Get("Allow"))
			return http.StatusMethodNotAllowed
		}
	}
	return http.StatusNotFound
}

// headerOnly is a response of which only the status and the header matter.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }

// statusClientGone is what Caddy's access log has for a client that did not
// wait for its answer.
const statusClientGone = 499

// Failures are told to a log.
type Failures struct {
	Log *slog.Logger
	// full keeps the log from growing by a line for each request that is one too many.
	full *auth.Seldom
}

// NewFailures are those of an API. The zero value with a log leaves nothing out.
func NewFailures(log *slog.Logger) Failures { return Failures{Log: log, full: new(auth.Seldom)} }

// Note tells the log what only the operator should know of an error that is about to be
// answered with a status and, where the API has such a thing, a code. It returns the
// status to answer with.
func (f Failures) Note(ctx context.Context, status int, code string, err error) int {
	id := auth.RequestOf(ctx).ID
	switch {
	case ctx.Err() != nil && status >= http.StatusInternalServerError:
		// The client has gone, or the process ends: nobody's failure.
		return statusClientGone
	case status == http.StatusInternalServerError:
		f.Log.ErrorContext(ctx, "request failed", "request_id", id, "error", err)
	case code == "too_many_logins" && status == http.StatusServiceUnavailable:
		if left, due := f.full.Due(time.Now()); due {
			f.Log.WarnContext(ctx, "request refused", "request_id", id, "error", err, "left_out", left)
		}
	case status == http.StatusServiceUnavailable, status == http.StatusNotImplemented:
		f.Log.WarnContext(ctx, "request refused", "request_id", id, "error", err)
	}
	return status
}
