package live

import (
	"encoding/json"
	"math/rand/v2"
	"time"
)

// Reason is why the server ends a connection. It is stable, for programs.
type Reason string

// The reasons after which a client should come back, with its cursor.
const (
	// Restarting: the server ends, or does not serve this database any more.
	Restarting Reason = "restarting"
	// Slow: more was queued than the connection is allowed. Nothing is lost.
	Slow Reason = "resume"
	// Gap: the log does not go on from where the connection is: the database has become
	// another one, or what came next has been removed for its age. Who comes back
	// finds out.
	Gap Reason = "resync"
	// Old: every connection ends after an hour or two, so that what an old
	// configuration holds is freed, and so that load spreads over the nodes; and one that
	// came by an access token when that has ended.
	Old Reason = "renew"
	// Unavailable: the database does not answer.
	Unavailable Reason = "unavailable"
)

// The reasons after which it should not.
const (
	// SessionEnded: signed out, expired, deactivated or deleted.
	SessionEnded Reason = "session_ended"
	// Removed: its user is not in the one chat any more that it hears of, or the chat has
	// been deleted.
	Removed Reason = "removed"
	// TooManyBadFrames: the client does not speak as it should.
	TooManyBadFrames Reason = "too_many_bad_frames"
)

// Closing is the end of a connection, as its client is told.
type Closing struct {
	Reason Reason
	// RetryAfter is when to come back, if [Closing.ComeBack] says so.
	RetryAfter time.Duration
}

// ComeBack tells whether the client should connect again.
func (c Closing) ComeBack() bool {
	switch c.Reason {
	case SessionEnded, Removed, TooManyBadFrames:
		return false
	case Restarting, Slow, Gap, Old, Unavailable:
	}
	return true
}

// MarshalJSON is how a client is told, whatever the transport: "code", and, if it
// should come back, "retry_ms".
func (c Closing) MarshalJSON() ([]byte, error) {
	told := struct {
		Code    Reason `json:"code"`
		RetryMS *int64 `json:"retry_ms,omitempty"`
	}{Code: c.Reason}
	if c.ComeBack() {
		told.RetryMS = new(c.RetryAfter.Milliseconds())
	}
	return json.Marshal(told)
}

// closing is one whose client, and those that are closed with it, come back at
// different times within a while after the earliest.
func closing(reason Reason, earliest, spread time.Duration) Closing {
	return Closing{Reason: reason, RetryAfter: earliest + rand.N(spread)}
}
