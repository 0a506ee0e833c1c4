package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"runtime/debug"
)

// streamedAtOnce is how much of a list is written at once, in bytes.
const streamedAtOnce = 16 << 10

// brokenOffError says why an answer that has begun does not go on. The connection is
// broken off then: the client must not take a part for the whole.
type brokenOffError struct{ cause error }

func (e *brokenOffError) Error() string { return "answer broken off: " + e.cause.Error() }
func (e *brokenOffError) Unwrap() error { return e.cause }

// Stream answers with a list of which there may be more than memory should hold: what
// comes before the items in the body, the items in JSON with commas between them, and what
// comes after them.
func Stream[T any](c *Call, before string, items iter.Seq2[T, error], after string) (err error) {
	body := bytes.NewBufferString(before)
	begun := false
	defer func() {
		p := recover()
		if p != nil && !begun {
			panic(p)
		}
		if p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil && begun {
			err = &brokenOffError{err}
		}
	}()
	write := func() bool {
		if !begun {
			c.W.Header().Set("Content-Type", "application/json")
			c.W.WriteHeader(http.StatusOK)
			begun = true
		}
		_, err := c.W.Write(body.Bytes())
		body.Reset()
		return err == nil // or the client has gone
	}
	enc := json.NewEncoder(body)
	enc.SetEscapeHTML(false)
	comma := ""
	for item, err := range items {
		if err != nil {
			return err
		}
		body.WriteString(comma)
		comma = ",\n"
		if err := enc.Encode(item); err != nil {
			return err
		}
		body.Truncate(body.Len() - 1) // the end of the line
		if body.Len() >= streamedAtOnce && !write() {
			return nil
		}
	}
	body.WriteString(after)
	write()
	return nil
}
