package frontdoor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
)

// Live is an open connection over which a client hears of what happens. One goroutine
// at a time reads it. Unlike [Client.Get] and its like, it fails no test: to be cut
// off is in the nature of a connection.
type Live struct {
	// Cursor is where to go on, at another connection.
	Cursor string

	next  func() (Frame, error)
	close func()
}

// Frame is what comes over it: an event, or something of the connection itself.
type Frame struct {
	ID     string          `json:"id"`
	Type   string          `json:"type"`
	ChatID int64           `json:"chat_id"`
	Data   json.RawMessage `json:"data"`
	// Text is all of it.
	Text string `json:"-"`
}

func (c *Client) newFrame(text []byte) (f Frame, err error) {
	if err := json.Unmarshal(text, &f); err != nil {
		return f, err
	}
	f.Text = string(text)
	if c.Unchecked == "" && f.Type != "answer" && f.Type != "error" { // they are documented with the commands
		if err := CheckFrame(f.Text); err != nil {
			return f, fmt.Errorf("not as documented: %w\n%s", err, text)
		}
	}
	return f, nil
}

// EndedError is the error of a connection that the server has ended, and said so.
type EndedError struct {
	// Status is the WebSocket's close code; 0 of other transports.
	Status int `json:"-"`
	// Code says why, and RetryMS when to come back, if that should be done.
	Code    string `json:"code"`
	RetryMS *int   `json:"retry_ms"`
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("the server has ended the connection: %d %s", e.Status, e.Code)
}

// RefusedError is the error of a connection that was not made.
type RefusedError struct{ *Response }

func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %s: %s", e.Status, e.Text) }

// Next waits for the next frame. It is an error if it is not as documented.
func (l *Live) Next() (Frame, error) {
	f, err := l.next()
	if err == nil && f.ID != "" {
		l.Cursor = f.ID
	}
	return f, err
}

// Close cuts the connection off.
func (l *Live) Close() { l.close() }

// WebSocket connects; what came behind a cursor is told first. The connection ends
// with ctx. The error may be [RefusedError].
func (c *Client) WebSocket(ctx context.Context, after string) (*Live, error) {
	conn, resp, err := websocket.Dial(ctx, c.base+"/v1/ws"+afterQuery(after), &websocket.DialOptions{HTTPClient: c.HTTP})
	if err != nil {
		return nil, c.refused(resp, err)
	}
	conn.SetReadLimit(1 << 20)
	return &Live{
		next: func() (f Frame, err error) {
			_, text, err := conn.Read(ctx)
			if closed := (websocket.CloseError{}); errors.As(err, &closed) {
				ended := &EndedError{Status: int(closed.Code)}
				_ = json.Unmarshal([]byte(closed.Reason), ended) // the protocol's own codes have no JSON
				return f, ended
			}
			if err != nil {
				return f, err
			}
			return c.newFrame(text)
		},
		close: func() { _ = conn.CloseNow() }, // it may be closed
	}, nil
}

// Events opens a stream of server-sent events, as [Client.WebSocket] does.
func (c *Client) Events(ctx context.Context, after string) (*Live, error) {
	return c.EventsWith(ctx, afterQuery(after))
}

// EventsWith is Events with a query of whatever kind.
func (c *Client) EventsWith(ctx context.Context, query string) (*Live, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events"+query, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := c.HTTP.Do(req) //nolint:bodyclose // [Live.Close] does
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, c.refused(resp, nil)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return &Live{
		next: func() (f Frame, err error) {
			name, text := "", []byte(nil)
			for lines.Scan() {
				field, value, _ := strings.Cut(lines.Text(), ": ")
				switch field {
				case "event":
					name = value
				case "data":
					text = append(text, value...)
				case "":
					switch {
					case name == "goodbye":
						ended := new(EndedError)
						return f, errors.Join(json.Unmarshal(text, ended), ended)
					case len(text) > 0:
						return c.newFrame(text)
					}
				}
			}
			if err := lines.Err(); err != nil {
				return f, err
			}
			return f, io.ErrUnexpectedEOF
		},
		close: func() { _ = resp.Body.Close() }, // it was only read
	}, nil
}

func (c *Client) refused(resp *http.Response, err error) error {
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return err
	}
	defer resp.Body.Close()
	text := new(bytes.Buffer)
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return err
	}
	return &RefusedError{&Response{Response: resp, Text: text.String(), tb: c.tb}}
}

func afterQuery(after string) string {
	if after == "" {
		return ""
	}
	return "?after=" + url.QueryEscape(after)
}
