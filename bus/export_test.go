package bus

// What waits to be sent is bounded by these.
const (
	MaxWaiting      = maxWaiting
	MaxWaitingBytes = maxWaitingBytes
)

// Outbox is what waits to be sent.
type Outbox struct{ box *outbox }

// NewOutbox makes one.
func NewOutbox() Outbox { return Outbox{newOutbox()} }

// Add puts a message in.
func (o Outbox) Add(m Message) { o.box.add(m) }

// Take empties it.
func (o Outbox) Take() []Message { return o.box.take() }

// Awake tells whether somebody is told to take, and then has been.
func (o Outbox) Awake() bool {
	select {
	case <-o.box.wake:
		return true
	default:
		return false
	}
}

// Waiting is how many messages wait to be sent over a bus, and how many bytes.
func Waiting(b Bus) (messages, bytes int) {
	var box *outbox
	switch b := b.(type) {
	case *natsBus:
		box = b.outbox
	case *postgresBus:
		box = b.outbox
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	return len(box.messages), box.bytes
}

// Sender is a node's name in what it sends.
func Sender(b Bus) string {
	switch b := b.(type) {
	case *natsBus:
		return b.sender
	case *postgresBus:
		return b.sender
	}
	return ""
}
