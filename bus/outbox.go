package bus

import (
	"strconv"
	"sync"
)

const (
	// maxWaiting and maxWaitingBytes bound the messages that wait to be sent.
	maxWaiting      = 1024
	maxWaitingBytes = 1 << 20
)

// outbox is what waits to be sent.
type outbox struct {
	wake chan struct{} // holds something when there is something to take

	mu       sync.Mutex
	log      int64 // the highest id of the log; 0 if there is none to tell
	messages []Message
	bytes    int // of the messages
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// add puts a message in.
func (o *outbox) add(m Message) {
	if o.put(m) {
		select {
		case o.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

func (o *outbox) put(m Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.Kind == Log {
		id, err := strconv.ParseInt(string(m.Data), 10, 64)
		o.log = max(o.log, id)
		return err == nil && o.log > 0
	}
	if len(m.Data) > maxWaitingBytes {
		return false
	}
	o.messages = append(o.messages, m)
	o.bytes += len(m.Data)
	for len(o.messages) > maxWaiting || o.bytes > maxWaitingBytes {
		o.bytes -= len(o.messages[0].Data)
		o.messages[0] = Message{}
		o.messages = o.messages[1:]
	}
	return true
}

// take empties it. The wake-up comes first: it is what matters.
func (o *outbox) take() []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.messages
	if o.log > 0 {
		taken = append([]Message{{Kind: Log, Data: strconv.AppendInt(nil, o.log, 10)}}, taken...)
	}
	o.log, o.messages, o.bytes = 0, nil, 0
	return taken
}
