package httpapi

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime/debug"
	"strconv"
)

// StreamedAtOnce is about how much of a list is written at once, in bytes. A list that
// fits is sent with its length.
const StreamedAtOnce = 32 << 10

// ListWriter writes a list, in JSON, of which there may be more than memory should hold.
type ListWriter struct {
	W      io.Writer
	Header func(name, value string) // sets one
	// Before and After are what the body has around the items.
	Before, After string
	// Begun tells whether something has gone. A failure can't be told then: the connection
	// has to be broken off, for nobody to take a part for the whole.
	Begun bool
}

// WriteList writes a list, with commas between the items. It returns an error of the items,
// or of add, which appends one to a text; a panic is one, if the list has begun. A client
// that has gone is none.
func WriteList[T any](l *ListWriter, items iter.Seq2[T, error], add func([]byte, T) ([]byte, error)) (err error) {
	l.Header("Content-Type", "application/json")
	text, comma := []byte(l.Before), ""
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if cause, _ := p.(error); !l.Begun || errors.Is(cause, http.ErrAbortHandler) {
			panic(p)
		}
		err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	for item, err := range items {
		if err != nil {
			return err
		}
		if text, err = add(append(text, comma...), item); err != nil {
			return err
		}
		comma = ",\n"
		if len(text) >= StreamedAtOnce {
			l.Begun = true
			if _, err := l.W.Write(text); err != nil {
				return nil // nobody reads on
			}
			text = text[:0]
		}
	}
	text = append(text, l.After...)
	if !l.Begun {
		l.Header("Content-Length", strconv.Itoa(len(text)))
	}
	_, _ = l.W.Write(text)
	return nil
}
