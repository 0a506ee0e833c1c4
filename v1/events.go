package v1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
)

const (
	// maxEvents and maxEventsBytes are how much an answer has: it is full with the
	// event that reaches either.
	maxEvents      = 500
	maxEventsBytes = 1 << 20
	// flushBytes are not kept waiting for more.
	flushBytes = 32 << 10
	// writeTimeout is how long a client may take to read what it is sent at once.
	writeTimeout = 10 * time.Second
)

type eventsInput struct {
	Accept      string  `header:"Accept" example:"application/json" doc:"text/event-stream asks for a stream that does not end. For everything else there is one answer, in JSON."`
	LastEventID string  `header:"Last-Event-ID" example:"8c01f2a9be47.1" doc:"The same as after, over which it wins: browsers send it when they come back."`
	After       string  `query:"after" example:"8c01f2a9be47.1" doc:"A cursor: what happened behind it is told first. Without one, what happens from now on."`
	Presence    []int64 `query:"presence" maxItems:"200" example:"[1,2]" doc:"The ids of up to 200 users, with commas: in a stream, it is told whether they are there, and when that changes."`
	Wait        int     `query:"wait" minimum:"0" maximum:"60" default:"25" example:"25" doc:"How many seconds an answer in JSON may take, if nothing has happened."`
}

func (in eventsInput) cursor() string {
	if in.LastEventID != "" {
		return in.LastEventID
	}
	return in.After
}

// Events is what has happened.
type Events struct {
	Events []envelope  `json:"events" nullable:"false"`
	Cursor string      `json:"cursor" example:"8c01f2a9be47.1" doc:"Where to go on: the next request's after."`
	Resync live.Resync `json:"resync,omitempty" enum:"epoch,expired,too_far" example:"epoch" doc:"What happened behind the cursor that was given can't be told: fetch anew what you show, and go on with the new cursor."`
}

func (a *API) registerEvents() {
	op := a.signedIn(a.operation(http.MethodGet, "/v1/events", "list-events",
		"Hear of what happens: as a stream of server-sent events, or by asking again and again", 400, 403))
	op.Tags = []string{"live"}
	op.Description = "In a stream, `id` is the cursor, `event` the type, and `data` a `Frame`: the envelope, as in the answer in JSON, or a word of the connection itself. " +
		"It begins with `hello`, has a `heartbeat` every 25 seconds, `resync` if the cursor was of no use, and ends with `goodbye`. " +
		"An answer in JSON has up to 500 events, fewer if they are long, and comes as soon as there is one; without a cursor at once. " +
		"If it has the header Retry-After, the next request should wait for so long."
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		"application/json": {Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Events](), true, "")},
		"text/event-stream": {
			Schema: &huma.Schema{Type: huma.TypeString, Examples: []any{
				"id: 8c01f2a9be47.1\nevent: message.created\ndata: {\"id\":\"8c01f2a9be47.1\",\"type\":\"message.created\",…}\n\n",
			}},
			// OpenAPI 3.1 has no word for what the parts of a stream are.
			Extensions: map[string]any{"x-data": frame{}.Schema(a.huma.OpenAPI().Components.Schemas)},
		},
	}}
	register(a, op, a.events)
}

func (a *API) events(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		r = r.WithContext(ctx.Context()) // with the caller
		serve, contentType := a.pollEvents, "application/json"
		if wantsStream(in.Accept) {
			serve, contentType = a.streamEvents, "text/event-stream"
		}
		w.Header().Set("Vary", "Accept")
		// It changes nothing, but takes a connection, and shows that somebody is there.
		if !sameSite(r) {
			a.writeError(w, r, errCrossSite)
			return
		}
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Type", contentType)
			return
		}
		if err := serve(w, r, in); err != nil {
			a.writeError(w, r, err)
		}
	}}, nil
}

// sameSite tells whether a request that only reads is of a page of this site, or of no
// page.
func sameSite(r *http.Request) bool {
	// Where a browser names no origin, it may say that it is another.
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "cross-site" && site != "same-site" && live.SameOrigin(r, auth.RequestOf(r.Context()).Secure)
}

// wantsStream tells whether an Accept header asks for a stream of events. It must
// say so: who takes anything may read an answer to its end, which a stream has not.
func wantsStream(accept string) bool {
	var stream, answer float64
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, params, _ := strings.Cut(part, ";")
		quality := 1.0
		for param := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(param, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "q") {
				continue
			}
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				q = 0
			}
			quality = q
		}
		switch strings.ToLower(strings.TrimSpace(mediaType)) {
		case "text/event-stream":
			stream = max(stream, quality)
		case "application/json":
			answer = max(answer, quality)
		}
	}
	return stream > 0 && stream >= answer
}

// join adds a connection to the hub. There is something to take when the channel
// says so.
func (a *API) join(ctx context.Context, w http.ResponseWriter, transport string) (*live.Connection, <-chan struct{}, error) {
	// The innermost writer's deadlines may be set from beside the handler.
	control := http.NewResponseController(live.Innermost(w))
	notified := make(chan struct{}, 1)
	c, err := a.hub.Join(ctx, live.Joining{
		Caller: callerOf(ctx), Address: auth.RequestOf(ctx).ClientIP, Transport: transport,
		Notify: func() {
			select {
			case notified <- struct{}{}:
			default: // it knows
			}
		},
		Cut: func() { _ = control.SetWriteDeadline(time.Now()) }, // one without deadlines has no client to wait for
	}, a.limits)
	return c, notified, err
}

// streamEvents sends events as they happen, until the client or the hub ends it. It
// returns an error if the stream has not begun.
func (a *API) streamEvents(w http.ResponseWriter, r *http.Request, in *eventsInput) error {
	ctx := r.Context()
	c, notified, err := a.join(ctx, w, "sse")
	if err != nil {
		return err
	}
	defer c.Leave()
	s := &eventStream{w: w, control: http.NewResponseController(w)}
	err = c.Start(ctx, in.cursor(), func(hello live.Hello) error {
		s.begin()
		for _, f := range helloFrames(hello, c.Caller()) {
			s.addFrame(f)
		}
		return s.flush()
	}, s.send)
	if err == nil && len(in.Presence) > 0 {
		err = c.Watch(ctx, in.Presence)
	}
	switch {
	case err != nil && !s.begun:
		return err
	case s.failed || ctx.Err() != nil:
		return nil
	case err != nil: // of the database
		a.failures.Log.WarnContext(ctx, "stream of events ended", "request_id", auth.RequestOf(ctx).ID, "error", err)
		c.Close(live.Closing{Reason: live.Unavailable, RetryAfter: time.Second + rand.N(2*time.Second)})
	}
	s.run(ctx, c, notified)
	return nil
}

// eventStream is a response of server-sent events.
type eventStream struct {
	w             http.ResponseWriter
	control       *http.ResponseController
	begun, failed bool
	waiting       []byte
}

func (s *eventStream) begin() {
	s.begun = true
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep it until there is more
	s.w.WriteHeader(http.StatusOK)
	// Where the client is told nothing else when it is cut off.
	s.addRetry(time.Second + rand.N(2*time.Second))
}

// run follows a connection to its end.
func (s *eventStream) run(ctx context.Context, c *live.Connection, notified <-chan struct{}) {
	heartbeat := time.NewTicker(live.HeartbeatEvery)
	defer heartbeat.Stop()
	for {
		events, closing := c.Take()
		if closing != nil {
			s.end(*closing)
			return
		}
		if len(events) > 0 {
			if err := s.send(events); err != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-notified:
		case <-heartbeat.C:
			c.Check(ctx)
			c.Heartbeat()
		}
	}
}

func (s *eventStream) send(events []*live.Event) error {
	for _, e := range events {
		if data := e.Encode(wire{}); data != nil {
			s.add(e.Cursor, e.Type, data)
		}
		if len(s.waiting) >= flushBytes {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// end tells the client whether to come back.
func (s *eventStream) end(closing live.Closing) {
	if closing.ComeBack() {
		s.addRetry(closing.RetryAfter)
	}
	s.add("", "goodbye", encodeFrame(closing))
	_ = s.flush() // a client that has gone is none of our failures
}

func (s *eventStream) addRetry(after time.Duration) {
	s.waiting = strconv.AppendInt(append(s.waiting, "retry: "...), after.Milliseconds(), 10)
	s.waiting = append(s.waiting, '\n')
}

func (s *eventStream) addFrame(f frame) {
	s.add(f.ID, f.Type, encodeFrame(f))
}

// add adds an event, whose data has no line ends: it is JSON.
func (s *eventStream) add(id, name string, data []byte) {
	if id != "" {
		s.waiting = append(append(append(s.waiting, "id: "...), id...), '\n')
	}
	s.waiting = append(append(append(s.waiting, "event: "...), name...), '\n')
	s.waiting = append(append(append(s.waiting, "data: "...), data...), "\n\n"...)
}

// flush sends what has been added. A client that does not read is given up.
func (s *eventStream) flush() error {
	if len(s.waiting) == 0 {
		return nil
	}
	if err := writeInTime(s.w, s.control, s.waiting); err != nil {
		s.failed = true
		return err
	}
	s.waiting = s.waiting[:0]
	if cap(s.waiting) > 16<<10 {
		s.waiting = nil // there was much to catch up on
	}
	return nil
}

// writeInTime writes what a client must have read in time, whatever the site allows
// other answers.
func writeInTime(w io.Writer, control *http.ResponseController, p []byte) error {
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where there are deadlines
	if _, err := w.Write(p); err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	// Over HTTP/2 it would end the stream also while nothing is written, and over
	// HTTP/1.1 the next answer.
	_ = control.SetWriteDeadline(time.Time{})
	return nil
}

// errEnough ends the reading of what was missed when an answer is full.
var errEnough = errors.New("the answer is full")

// pollEvents answers with the events behind a cursor. If there are none, it waits.
func (a *API) pollEvents(w http.ResponseWriter, r *http.Request, in *eventsInput) error {
	ctx := r.Context()
	wait := time.Duration(in.Wait) * time.Second
	c, notified, err := a.join(ctx, w, "poll")
	for err != nil {
		// Where much happens, one answer comes soon after another: more of it comes with
		// the next one, if that takes a little longer.
		refusal := chat.AsError(err)
		if refusal == nil || refusal.RetryAfter == 0 || refusal.RetryAfter > wait {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(refusal.RetryAfter):
		}
		wait -= refusal.RetryAfter
		c, notified, err = a.join(ctx, w, "poll")
	}
	defer c.Leave()
	answer, size := Events{Events: []envelope{}}, 0
	add := func(events []*live.Event) error {
		for _, e := range events {
			if e.ID == 0 {
				continue // it is not of the log, and has no place in it
			}
			if len(answer.Events) == maxEvents || size >= maxEventsBytes {
				return errEnough
			}
			if data := e.Encode(wire{}); data != nil {
				answer.Events = append(answer.Events, data)
				size += len(data)
			}
			answer.Cursor = e.Cursor
		}
		return nil
	}
	err = c.Start(ctx, in.cursor(), func(hello live.Hello) error {
		answer.Cursor, answer.Resync = hello.Cursor, hello.Resync
		return nil
	}, add)
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if in.cursor() == "" || answer.Resync != "" {
		wait = 0
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for len(answer.Events) == 0 {
		events, closing := c.Take()
		if closing != nil {
			if !closing.ComeBack() {
				return &chat.Error{Kind: chat.Unauthenticated, Code: "unauthenticated", Message: "This session has ended."}
			}
			w.Header().Set("Retry-After", strconv.FormatInt(httpapi.Seconds(closing.RetryAfter), 10))
			break
		}
		if len(events) > 0 {
			_ = add(events) // what has no room is behind the cursor
			continue
		}
		if wait == 0 {
			if cursor := c.Cursor(); cursor != "" {
				answer.Cursor = cursor
				break
			}
			continue // something has come
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-notified:
		case <-over.C:
			wait = 0
		}
	}
	var body bytes.Buffer
	if err := marshal(&body, answer); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_ = writeInTime(w, http.NewResponseController(w), body.Bytes()) // a client that has gone is none of our failures
	return nil
}
