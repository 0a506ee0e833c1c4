package live

import (
	"strconv"
	"strings"
	"sync"

	"github.com/caddymsg/messaging/chat"
)

// Event is something that connections hear of. Most are of the log; what is not
// has no ID, and is dropped first where a connection is slow.
type Event struct {
	chat.Event
	// Cursor is where the log goes on behind it: "epoch.id". Empty, if the event
	// is not in the log.
	Cursor string
	// State is what an event of the type [Presence] tells.
	State *State

	mu      sync.Mutex
	encoded []encoding // one for each API that has connections
}

// Heartbeat is the type of an event that tells nothing but where the log is.
const Heartbeat = "heartbeat"

type encoding struct {
	wire Wire
	data []byte
}

// Wire is how an API writes events. It must be comparable, and equal for all
// connections that are written to in the same way: an event is encoded once for
// all of them.
type Wire interface {
	// Encode returns nil for what the API does not tell.
	Encode(*Event) []byte
}

// Encode is the event as an API writes it, or nil. The bytes are shared, and must
// not be changed.
func (e *Event) Encode(w Wire) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, done := range e.encoded {
		if done.wire == w {
			return done.data
		}
	}
	data := w.Encode(e)
	e.encoded = append(e.encoded, encoding{w, data})
	return data
}

// formatCursor is a place in a log, for clients.
func formatCursor(epoch string, id int64) string {
	return epoch + "." + strconv.FormatInt(id, 10)
}

// parseCursor reads what formatCursor wrote.
func parseCursor(cursor string) (epoch string, id int64, ok bool) {
	epoch, offset, found := strings.Cut(cursor, ".")
	if !found || epoch == "" || strings.Trim(offset, "0123456789") != "" {
		return "", 0, false
	}
	id, err := strconv.ParseInt(offset, 10, 64)
	return epoch, id, err == nil
}
