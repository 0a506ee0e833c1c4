package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"runtime/debug"
	"strconv"
)

// listAtOnce is how much of a list is written at once, in bytes.
const listAtOnce = 32 << 10

// List answers with items as they come, of which only some are in memory: the text
// before, the items with commas between them, and the text after. If it fails before
// anything has been written, it returns that.
func List[T any](c *Call, before, after string, items iter.Seq2[T, error]) error {
	b := bytes.NewBufferString(before)
	sent, first := false, true
	// An error can't follow what has been sent: the connection ends, and so the client knows.
	cut := func(err error) {
		c.note(err)
		panic(http.ErrAbortHandler)
	}
	defer func() {
		if p := recover(); p != nil {
			if sent && p != any(http.ErrAbortHandler) {
				cut(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
			panic(p)
		}
	}()
	c.W.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for item, err := range items {
		if err == nil {
			if !first {
				b.WriteString(",\n")
			}
			first = false
			if err = enc.Encode(item); err == nil {
				b.Truncate(b.Len() - 1) // the end of a line
			}
		}
		switch {
		case err != nil && sent:
			cut(fmt.Errorf("write a list: %w", err))
		case err != nil:
			return err
		case b.Len() >= listAtOnce:
			if _, err := b.WriteTo(c.W); err != nil {
				return nil // the client has gone
			}
			sent = true
		}
	}
	b.WriteString(after + "\n")
	if !sent {
		c.W.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	}
	_, _ = b.WriteTo(c.W) // a client that has gone is none of our failures
	return nil
}
