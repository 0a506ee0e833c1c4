package dialect

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddymsg/messaging/chat"
)

// Refusal is an error as a client is to be told of it. It is an error that a controller
// may return, where no rule has refused.
type Refusal struct {
	// Kind is that of the rule that has refused; 0, if none has.
	Kind chat.Kind
	// Status is what most systems answer; the dialect may say otherwise.
	Status  int
	Code    string // stable, for programs: those of package chat
	Field   string // the faulty input, if it is one, by the name that the rules have for it
	Message string // for people
	// Path is what was asked for, where a dialect answers differently below some paths.
	Path string
	// RetryAfter is when to ask again; 0 is not known.
	RetryAfter time.Duration
	// Body is what the dialect answers in its place, if it is not nil.
	Body any
}

// Error tells the message.
func (r *Refusal) Error() string { return r.Message }

// ErrKeyUsed refuses what comes with an idempotency key that something else has had.
func ErrKeyUsed() error {
	return &Refusal{
		Kind: chat.Conflict, Status: http.StatusBadRequest, Code: "key_used",
		Message: "Something else was sent with this idempotency key.",
	}
}

// statuses are what most systems answer to each kind of refusal.
var statuses = map[chat.Kind]int{
	chat.Invalid:         http.StatusBadRequest,
	chat.Conflict:        http.StatusBadRequest,
	chat.BadCredentials:  http.StatusUnauthorized,
	chat.NotFound:        http.StatusNotFound,
	chat.Unauthenticated: http.StatusUnauthorized,
	chat.Forbidden:       http.StatusForbidden,
	chat.Unavailable:     http.StatusServiceUnavailable,
	chat.TooMany:         http.StatusTooManyRequests,
	chat.Unsupported:     http.StatusNotImplemented,
}

// unavailableFor is how long to wait where that is not known.
const unavailableFor = 2 * time.Second

// explain finds the refusal in an error. Any other error is a defect, and the client is
// told nothing of it.
func explain(err error) Refusal {
	var refusal Refusal
	if told := (*Refusal)(nil); errors.As(err, &told) {
		refusal = *told
	} else if refused := chat.AsError(err); refused != nil {
		refusal = Refusal{
			Kind: refused.Kind, Status: statuses[refused.Kind], Code: refused.Code,
			Field: refused.Field, Message: refused.Message, RetryAfter: refused.RetryAfter,
		}
	} else {
		return Refusal{Status: http.StatusInternalServerError, Code: "internal", Message: "Something went wrong"}
	}
	if refusal.RetryAfter == 0 && (refusal.Status == http.StatusServiceUnavailable || refusal.Status == http.StatusTooManyRequests) {
		refusal.RetryAfter = unavailableFor
	}
	return refusal
}
