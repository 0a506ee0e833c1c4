package v1

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/live"
)

type socketInput struct {
	After string `query:"after" example:"0123456789ab.1" doc:"The id of the last event that one has: what came behind it comes first. Default: only what happens from now on."`
}

func (a *API) registerWebSocket() {
	op := a.signedIn(a.operation(http.MethodGet, "/v1/ws", "open-websocket",
		"Hear of events as they happen, and send commands, over a WebSocket", 400, 403, 426, 501))
	op.Tags = []string{"live"}
	op.Description = "Each frame of text is one JSON object, which the schema `Frame` describes if it is no answer to a command. What clients may send, and what the codes at its end mean, is in docs/realtime.md."
	op.DefaultStatus = http.StatusSwitchingProtocols
	op.Responses["101"] = &huma.Response{Description: "The connection is a WebSocket."}
	register(a, op, a.openWebSocket)
}

func (a *API) openWebSocket(ctx context.Context, in *socketInput) (*huma.StreamResponse, error) {
	caller := callerOf(ctx)
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		request := auth.RequestOf(r.Context())
		request.Device = nil // it would keep the request for as long as the connection
		err := a.hub.ServeWebSocket(w, r, live.Opening{
			Joining:  live.Joining{Caller: caller, Address: request.ClientIP},
			Limits:   a.limits,
			Cursor:   in.After,
			Protocol: socketProtocol{shared: a.shared},
			Secure:   request.Secure,
			// Not that of the request, which ends.
			Context:   auth.WithRequest(context.Background(), request),
			RequestID: request.ID,
		})
		if err != nil {
			a.writeHumaError(ctx, handshakeProblem(err))
		}
	}}, nil
}

// Faults of a request for a WebSocket.
var (
	errNoUpgrade = &Problem{
		Status: http.StatusNotImplemented, Code: "no_upgrade",
		Detail: "A WebSocket begins with HTTP/1.1. Over other versions, GET /v1/events tells the same.",
	}
	errUpgradeRequired = &Problem{
		Status: http.StatusUpgradeRequired, Code: "upgrade_required",
		Detail: "This path takes requests for a WebSocket of version 13 alone.",
	}
	errHandshake = &Problem{
		Status: http.StatusBadRequest, Code: "bad_handshake",
		Detail: "A WebSocket begins with a GET request that has a key, and no body.",
	}
)

// handshakeProblem is what a request for a WebSocket is refused with.
func handshakeProblem(err error) error {
	switch {
	case errors.Is(err, live.ErrNoUpgrade):
		return errNoUpgrade
	case errors.Is(err, live.ErrUpgradeRequired):
		return errUpgradeRequired
	case errors.Is(err, live.ErrHandshake):
		return errHandshake
	case errors.Is(err, live.ErrOrigin):
		return errCrossSite
	}
	return err
}

// socketProtocol is what this API says over WebSockets.
type socketProtocol struct {
	wire
	shared
}

// Hello implements [live.Protocol].
func (p socketProtocol) Hello(c *live.Connection, h live.Hello) (frames [][]byte) {
	for _, f := range helloFrames(h, c.Caller()) {
		frames = append(frames, encodeFrame(f))
	}
	return frames
}

// Run implements [live.Protocol].
func (p socketProtocol) Run(ctx context.Context, c *live.Connection, frame []byte) (answer []byte, ok bool) {
	return p.run(ctx, c, frame)
}

// NotText implements [live.Protocol].
func (p socketProtocol) NotText() []byte { return p.refuse(context.Background(), "", errNotText) }

// Goodbye implements [live.Protocol]: the text is JSON.
func (socketProtocol) Goodbye(c live.Closing) (code int, text string) {
	return closingCodes[c.Reason], string(encodeFrame(c))
}

// closingCodes are the status codes of WebSockets for the reasons.
var closingCodes = map[live.Reason]int{
	live.Restarting:       1012,
	live.Slow:             4000,
	live.Old:              4001,
	live.Gap:              4002,
	live.Unavailable:      1013,
	live.SessionEnded:     4100,
	live.TooManyBadFrames: 1008,
}
