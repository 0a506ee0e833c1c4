package dialect

import (
	"bytes"
	"encoding/json"
	"iter"

	"github.com/caddymsg/messaging/httpapi"
)

// brokenOffError says why an answer that has begun does not go on. The connection is
// broken off then: the client must not take a part for the whole.
type brokenOffError struct{ cause error }

func (e *brokenOffError) Error() string { return "answer broken off: " + e.cause.Error() }
func (e *brokenOffError) Unwrap() error { return e.cause }

// Stream answers with a list of which there may be more than memory should hold: what
// comes before the items in the body, the items as show has them, in JSON with commas
// between them, and what comes after them.
func Stream[T, Shown any](c *Call, before string, items iter.Seq2[T, error], show func(T) Shown, after string) error {
	l := httpapi.ListWriter{W: c.W, Header: c.W.Header().Set, Before: before, After: after}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := httpapi.WriteList(&l, items, func(text []byte, item T) ([]byte, error) {
		line.Reset()
		err := enc.Encode(show(item))
		return append(text, bytes.TrimSuffix(line.Bytes(), []byte("\n"))...), err
	})
	if err != nil && l.Begun {
		return &brokenOffError{err}
	}
	return err
}
