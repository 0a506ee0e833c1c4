package caddymsg

import (
	"context"
	"net/http"
	"time"

	"github.com/caddymsg/messaging/live"
)

// exiting ends a moment after the process was told to end; endRequests ends it.
// It is the process's, as [caddy.Exiting] is: a request may outlive the
// configuration, and the database, that it came in with.
var exiting, endRequests = context.WithCancel(context.Background())

// exitGrace is how long requests may go on when the process ends, where the
// configuration has no grace_period.
const exitGrace = 500 * time.Millisecond

// endAtExit ends a request when the process does: it cancels its context, and
// lets go of a client that reads or writes slowly. The returned function must
// be called when the handler returns. It does not return if the process has
// ended the request. A connection that has become something else than HTTP by then
// is left alone.
func endAtExit(w *statusWriter, cancel context.CancelFunc) (stop func()) {
	returning, done := make(chan struct{}), make(chan struct{})
	// net/http's own writer, whose deadlines may be set from beside the handler;
	// Caddy's around it may not, and moves them, with each write, to where its
	// timeouts are. Hence again and again.
	control := http.NewResponseController(live.Innermost(w))
	unneeded := context.AfterFunc(exiting, func() {
		defer close(done)
		cancel()
		again := time.NewTicker(50 * time.Millisecond)
		defer again.Stop()
		for {
			// A writer without deadlines has no client to wait for.
			_ = control.SetReadDeadline(time.Now())
			_ = control.SetWriteDeadline(time.Now())
			select {
			case <-returning:
				return
			case <-again.C:
			}
		}
	})
	return func() {
		if !unneeded() {
			close(returning)
			<-done
			if w.status == http.StatusSwitchingProtocols {
				return
			}
			// Taken from net/http, which would clear the deadline and wait for
			// the rest of the client's body. HTTP/2 has no connection to take,
			// and does not wait.
			if conn, _, err := control.Hijack(); err == nil {
				_ = conn.Close()
			}
			panic(http.ErrAbortHandler)
		}
	}
}
