package chat

import (
	"errors"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Kind says what sort of refusal an [Error] is. Each API maps the kinds to its
// own status codes.
type Kind int

// The kinds.
const (
	// Invalid input: Error.Field names it.
	Invalid Kind = iota + 1
	// NotFound is a thing that the request names and that is not there. If
	// Error.Field is set, a field of the input named it.
	NotFound
	// Conflict with what there is already.
	Conflict
	// Forbidden to this caller.
	Forbidden
	// Unauthenticated: nobody is signed in.
	Unauthenticated
	// BadCredentials: wrong username or password, without saying which.
	BadCredentials
	// Unavailable for now: the same request may succeed later.
	Unavailable
	// TooMany of something, for this caller: later, there may be room.
	TooMany
	// Unsupported by this site, as it is configured.
	Unsupported
)

// Error is a refusal, with words that may be shown to the caller.
type Error struct {
	Kind    Kind
	Code    string // stable, for programs: "username_taken"
	Field   string // the faulty input, if it is one
	Message string // for people
	// RetryAfter is how long to wait, at least, if that is known.
	RetryAfter time.Duration
	cause      error
}

// Error tells the message, and the cause for the log.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Message + ": " + e.cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// AsError finds the refusal in an error. It knows an unavailable database, too;
// any other error is a defect, and nil.
func AsError(err error) *Error {
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, store.ErrUnavailable):
		return &Error{
			Kind: Unavailable, Code: "database_unavailable",
			Message: "The database can't do this right now. Try again; an idempotency key makes that safe.",
			cause:   err,
		}
	}
	return nil
}

func invalid(field, code, message string) *Error {
	return &Error{Kind: Invalid, Code: code, Field: field, Message: message}
}

// errNotParticipant answers for a chat of others and for a chat that does not
// exist alike, so that nobody can find out which chats there are.
func errNotParticipant() *Error {
	return &Error{Kind: Forbidden, Code: "not_a_participant", Message: "You are not a participant of this chat."}
}

// errGone answers a caller whose account has been deleted since they were found to
// be signed in.
func errGone() *Error {
	return &Error{Kind: Unauthenticated, Code: "unauthenticated", Message: "This account has been deleted."}
}

func errNoSuchUser(field string) *Error {
	return &Error{Kind: NotFound, Code: "user_not_found", Field: field, Message: "There is no such user."}
}

// refuse returns the refusal in place of a store's error that it explains.
func refuse(err, sentinel error, refusal *Error) error {
	if errors.Is(err, sentinel) {
		return refusal
	}
	return err
}

// refuseNothing is for what was to be taken away and is not there.
func refuseNothing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
