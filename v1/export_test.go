package v1

import (
	"context"

	"github.com/caddymsg/messaging/live"
)

// RunCommand is what a WebSocket does with a frame.
func RunCommand(ctx context.Context, hub *live.Hub, c *live.Connection, frame []byte) (answer []byte, ok bool) {
	return socketProtocol{hub: hub}.Run(ctx, c, frame)
}

// IsCommand tells whether a frame is one of a command that there may be.
func IsCommand(frame []byte) bool {
	_, err := decodeCommand(frame)
	return err == nil
}
