package v1

import (
	"context"
	"log/slog"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
)

// RunCommand is what a WebSocket does with a frame.
func RunCommand(
	ctx context.Context, rules *chat.Service, hub *live.Hub, log *slog.Logger, c *live.Connection, frame []byte,
) (answer []byte, ok bool) {
	return socketProtocol{shared: shared{rules, hub, problems{failures: httpapi.Failures{Log: log}}}}.Run(ctx, c, frame)
}

// CommandID is what the answer to a frame refers to.
func CommandID(frame []byte) string {
	told, _ := decodeCommand(frame)
	return told.ID
}

// IsCommand tells whether a frame is one of a command that there may be.
func IsCommand(frame []byte) bool {
	_, err := decodeCommand(frame)
	return err == nil
}
