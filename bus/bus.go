// Package bus carries messages between the nodes that share a database: it wakes
// those up for whom there is something new in the log, and tells what is not worth
// a log, who is online and who is typing. Anything may get lost on the way, or come
// late: the database has all that matters.
package bus

// Log is the kind of message that says that there is something new in the log of
// events: an event's id in decimal, or nothing at all, after a time in which
// messages may have been lost. Whoever gets one looks into the log.
const Log = "log"

// Message is what a node tells all others.
type Message struct {
	Kind string // letters a-z
	Data []byte
}

// Bus is a way to the other nodes. Its methods may be called from many goroutines.
type Bus interface {
	// Publish tells the other nodes. It never blocks: what the outside is too slow
	// for, or not there for, is dropped, the oldest first. Of several ids of the
	// kind Log that wait, the highest is sent.
	Publish(kind string, data []byte)
	// Carries tells whether messages of a kind get anywhere.
	Carries(kind string) bool
	// Healthy tells whether the way is open. While it is not, the log must be
	// looked at for what other nodes have written.
	Healthy() bool
	// Close ends it. Nothing is received any more when it returns.
	Close()
}

// None is the bus of a node that is alone.
type None struct{}

// Publish does nothing.
func (None) Publish(string, []byte) {}

// Carries tells that nothing gets anywhere.
func (None) Carries(string) bool { return false }

// Healthy tells that nobody else writes.
func (None) Healthy() bool { return true }

// Close does nothing.
func (None) Close() {}
