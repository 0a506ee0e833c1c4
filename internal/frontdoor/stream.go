package frontdoor

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for something that should come at once.
const patience = 30 * time.Second

// Stream is an open response of server-sent events.
type Stream struct {
	*http.Response
	// LastID is what a browser would send as Last-Event-ID.
	LastID string
	// Retry is the last retry that was sent.
	Retry string

	events chan StreamEvent
	cancel context.CancelFunc
	tb     testing.TB
}

// StreamEvent is a server-sent event.
type StreamEvent struct{ ID, Name, Data, retry string }

// ofStreams are the events that a stream has beside envelopes.
var ofStreams = []string{"hello", "resync", "heartbeat", "goodbye", "typing", "presence"}

// Stream asks for a path as a browser's EventSource does. The stream ends with the
// test.
func (c *Client) Stream(path string, header ...string) *Stream {
	c.tb.Helper()
	ctx, cancel := context.WithCancel(c.tb.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		cancel()
		c.tb.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		cancel()
		c.tb.Fatal(err)
	}
	s := &Stream{Response: resp, events: make(chan StreamEvent, 1<<14), cancel: cancel, tb: c.tb}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		s.Close()
		c.tb.Fatalf("GET %s: no stream: %s", path, resp.Status)
	}
	c.tb.Cleanup(s.Close)
	go s.read()
	return s
}

// read ends with the response.
func (s *Stream) read() {
	defer close(s.events)
	lines := bufio.NewScanner(s.Body)
	lines.Buffer(nil, 1<<20)
	var e StreamEvent
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			e.Data += value
		case "retry":
			e.retry = value
		case "":
			s.events <- e
			e = StreamEvent{}
		}
	}
}

// Next is the next event but for heartbeats. The test fails if there is none, or if
// it is not as documented.
func (s *Stream) Next() StreamEvent {
	s.tb.Helper()
	e, ok := s.next()
	if !ok {
		s.tb.Fatal("the stream has ended")
	}
	return e
}

func (s *Stream) next() (e StreamEvent, ok bool) {
	s.tb.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok = <-s.events:
		case <-late:
			s.tb.Fatal("no event comes")
		}
		if e.ID != "" {
			s.LastID = e.ID
		}
		if e.retry != "" {
			s.Retry = e.retry
		}
		if ok && !slices.Contains(ofStreams, e.Name) {
			if err := CheckEvent(e.Data); err != nil {
				s.tb.Errorf("not as documented: %v\n%s", err, e.Data)
			}
		}
		if e.Name != "heartbeat" {
			return e, ok
		}
	}
}

// Expect is Next, and fails the test if the event has another name.
func (s *Stream) Expect(name string) StreamEvent {
	s.tb.Helper()
	e := s.Next()
	if e.Name != name {
		s.tb.Fatalf("got %s %s, want %s", e.Name, e.Data, name)
	}
	return e
}

// Ended fails the test if there is still something to come.
func (s *Stream) Ended() {
	s.tb.Helper()
	if e, ok := s.next(); ok {
		s.tb.Fatalf("the stream goes on with %s %s", e.Name, e.Data)
	}
}

// Close breaks the stream off.
func (s *Stream) Close() {
	s.cancel()
	_ = s.Body.Close() // it was only read
}
