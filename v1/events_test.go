package v1

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

func TestWantsStream(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/event-stream":                          true,
		"Text/Event-Stream":                          true,
		"text/event-stream;charset=utf-8":            true,
		" text/event-stream ; q=0.5 ":                true,
		"text/event-stream, */*;q=0.1":               true,
		"text/event-stream, application/json":        true, // both alike: what is rarer was meant
		"application/json;q=0.9, text/event-stream":  true,
		"application/json, text/event-stream;q=0.9":  false,
		"application/json":                           false,
		"":                                           false,
		"*/*":                                        false,
		"text/*":                                     false,
		"text/html,application/xhtml+xml,*/*;q=0.8":  false,
		"text/event-stream;q=0":                      false,
		"text/event-stream;q=0.0, */*":               false,
		"text/event-stream;q=nonsense":               false,
		"text/event-stream;q=NaN":                    false,
		"text/event-stream;q=2":                      false,
		"text/event-streams":                         false,
		"application/json, , text/event-stream;;q=1": true,
	} {
		require.Equal(t, want, wantsStream(accept), "%q", accept)
	}
}

// someLog is a log in memory, of one chat that everybody is in.
type someLog struct {
	mu      sync.Mutex
	events  []chat.Event
	failsAt int64 // from this event on
	failing bool
	ended   bool // the sessions
	// lifetime is that of sessions. Default: 10 hours.
	lifetime time.Duration
}

func (l *someLog) add(hub *live.Hub, n int) {
	l.mu.Lock()
	for range n {
		id := int64(len(l.events) + 1)
		l.events = append(l.events, chat.Event{ID: id, Type: store.ChatUpdated, ChatID: 1, ActorID: 1, Data: `{"title":"T"}`})
	}
	last := int64(len(l.events))
	l.mu.Unlock()
	hub.Committed(last)
}

func (l *someLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *someLog) Feed(context.Context) (chat.Feed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing {
		return chat.Feed{}, store.ErrUnavailable
	}
	return chat.Feed{Epoch: "e", Last: int64(len(l.events))}, nil
}

func (l *someLog) FeedAfter(ctx context.Context, after int64, limit int) (chat.Feed, []chat.Event, error) {
	feed, err := l.Feed(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	behind := l.events[min(int(after), len(l.events)):]
	return feed, behind[:min(limit, len(behind))], err
}

func (l *someLog) Missed(ctx context.Context, _, after, upTo int64, limit int) (feed chat.Feed, ids []int64, err error) {
	for id := after + 1; id <= upTo && len(ids) < limit; id++ {
		ids = append(ids, id)
	}
	feed, err = l.Feed(ctx)
	return feed, ids, err
}

func (l *someLog) EventsByID(_ context.Context, ids []int64) (found []chat.Event, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if id == l.failsAt {
			l.failing = true
			return nil, store.ErrUnavailable
		}
		found = append(found, l.events[id-1])
	}
	return found, nil
}

func (l *someLog) Watchable(context.Context, chat.Caller, []int64) ([]chat.Presence, error) {
	return nil, nil
}

func (l *someLog) NoteLastSeen(context.Context, map[int64]time.Time) error { return nil }

func (l *someLog) MayType(context.Context, chat.Caller, int64) error { return nil }

func (l *someLog) ChatIDs(context.Context, int64) ([]int64, error) { return []int64{1}, nil }

func (l *someLog) Session(context.Context, int64) (chat.Caller, chat.SessionEnd, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return chat.Caller{}, chat.SessionEnd{}, &chat.Error{Kind: chat.Unauthenticated}
	}
	return chat.Caller{}, chat.SessionEnd{At: time.Now().Add(cmp.Or(l.lifetime, 10*time.Hour)), Slides: true}, nil
}

// addLong adds messages of the greatest length, in JSON about 60 KB each.
func (l *someLog) addLong(hub *live.Hub, n int) {
	text := strings.Repeat("\x01", 10_000)
	var last int64
	l.set(func() {
		for range n {
			id := int64(len(l.events) + 1)
			l.events = append(l.events, chat.Event{
				ID: id, Type: store.MessageCreated, ChatID: 1, ActorID: 1, Message: &chat.Message{ID: id, ChatID: 1, Text: text},
			})
			last = id
		}
	})
	hub.Committed(last)
}

// answering is a response that the test reads while it is written.
type answering struct {
	header  http.Header
	sent    chan byte
	largest int // of what was written at once
}

func (a *answering) Header() http.Header { return a.header }
func (a *answering) WriteHeader(int)     {}
func (a *answering) Flush()              {}
func (a *answering) Write(p []byte) (int, error) {
	if a.sent == nil {
		return 0, io.ErrClosedPipe
	}
	a.largest = max(a.largest, len(p))
	for _, c := range p {
		a.sent <- c
	}
	return len(p), nil
}

// hubTest is an API with a hub, in a bubble of its own time.
type hubTest struct {
	t   *testing.T
	log *someLog
	hub *live.Hub
	api *API
}

func inBubble(t *testing.T, test func(*testing.T, *hubTest)) {
	synctest.Test(t, func(t *testing.T) {
		h := &hubTest{t: t, log: &someLog{}, hub: live.NewHub(live.Observer{}, slog.New(slog.DiscardHandler))}
		h.hub.Use(h.log)
		h.api = &API{shared: shared{hub: h.hub, problems: problems{failures: httpapi.Failures{Log: slog.New(slog.DiscardHandler)}}}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { h.hub.Run(ctx) })
		test(t, h)
		cancel()
		running.Wait()
		require.Zero(t, h.hub.Connections(), "a connection that has not left")
	})
}

func (h *hubTest) request(ctx context.Context) *http.Request {
	ctx = context.WithValue(ctx, callerKey{}, chat.Caller{UserID: 1, SessionID: 2})
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", http.NoBody)
}

// stream begins one, and returns what reads the next so many lines that are not
// empty, and what waits for its end.
func (h *hubTest) stream(ctx context.Context, in eventsInput) (lines func(n int) string, wait func() error) {
	w := &answering{header: http.Header{}, sent: make(chan byte, 1<<20)}
	ended := make(chan error, 1)
	go func() {
		ended <- h.api.streamEvents(w, h.request(ctx), &in)
		close(w.sent)
	}()
	lines = func(n int) string {
		var read []string
		var line []byte
		for len(read) < n {
			c, ok := <-w.sent
			require.True(h.t, ok, "the stream has ended")
			if c != '\n' {
				line = append(line, c)
			} else if len(line) > 0 {
				read, line = append(read, string(line)), nil
			}
		}
		return strings.Join(read, "\n")
	}
	return lines, func() error { return <-ended }
}

func TestStreamHeartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		ctx, cancel := context.WithCancel(t.Context())
		lines, wait := h.stream(ctx, eventsInput{})
		require.Regexp(t, `^retry: \d+\nid: e\.0\nevent: hello\ndata: \{"id":"e\.0","type":"hello",.*"heartbeat_ms":25000,"user_id":1,"session_id":2,"max_frame_bytes":65536\}\}$`, lines(4))
		start := time.Now()
		require.Regexp(t, `^id: e\.0\nevent: heartbeat\ndata: \{"id":"e\.0","type":"heartbeat","at":"[^"]+"\}$`, lines(3))
		require.Equal(t, live.HeartbeatEvery, time.Since(start))

		h.log.add(h.hub, 1)
		require.Regexp(t, `^id: e\.1\nevent: chat\.updated\ndata: \{"id":"e\.1",.*\}$`, lines(3))
		require.Regexp(t, `^id: e\.1\nevent: heartbeat\n`, lines(3))
		require.Equal(t, 2*live.HeartbeatEvery, time.Since(start))
		cancel()
		require.NoError(t, wait())
	})
}

// Each heartbeat looks whether it is time to come back, before the session ends.
func TestStreamEndsBeforeItsSession(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		h.log.set(func() { h.log.lifetime = 40 * time.Second })
		lines, wait := h.stream(t.Context(), eventsInput{})
		lines(4)
		require.Regexp(t, `^retry: \d+\nevent: goodbye\ndata: \{"code":"renew","retry_ms":\d+\}$`, lines(3))
		require.NoError(t, wait())
	})
}

func TestStreamGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		lines, wait := h.stream(t.Context(), eventsInput{})
		lines(4)
		var drained sync.WaitGroup
		drained.Go(func() { h.hub.Drain(t.Context(), 5*time.Second) })
		require.Regexp(t, `^retry: (\d+)\nevent: goodbye\ndata: \{"code":"restarting","retry_ms":\d+\}$`, lines(3))
		require.NoError(t, wait())
		drained.Wait()
		_, wait = h.stream(t.Context(), eventsInput{})
		require.Equal(t, "restarting", chat.AsError(wait()).Code, "no stream begins")
	})
}

func TestStreamWithoutDatabase(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		h.log.add(h.hub, 200)
		h.log.failsAt = 100
		lines, wait := h.stream(t.Context(), eventsInput{After: "e.0"})
		lines(4 + 64*3)
		require.Regexp(t, `^retry: \d+\nevent: goodbye\ndata: \{"code":"unavailable","retry_ms":\d+\}$`, lines(3))
		require.NoError(t, wait())
		_, wait = h.stream(t.Context(), eventsInput{After: "e.0"})
		require.ErrorIs(t, wait(), store.ErrUnavailable, "no stream begins")
	})
}

func TestStreamToNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		w := &answering{header: http.Header{}}
		require.NoError(t, h.api.streamEvents(w, h.request(t.Context()), &eventsInput{}))
	})
}

// A stream that has much to catch up on does not keep it all in memory.
func TestStreamOfLongMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		h.log.addLong(h.hub, 100)
		synctest.Wait() // until the hub is there
		ctx, cancel := context.WithCancel(t.Context())
		w := &answering{header: http.Header{}, sent: make(chan byte, 16<<20)}
		ended := make(chan error, 1)
		go func() { ended <- h.api.streamEvents(w, h.request(ctx), &eventsInput{After: "e.0"}) }()
		synctest.Wait()
		cancel()
		require.NoError(t, <-ended)
		require.Greater(t, len(w.sent), 100*60_000, "all were told")
		require.Less(t, w.largest, 100<<10)
	})
}

// poll asks once.
func (h *hubTest) poll(ctx context.Context, in eventsInput) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	return w, h.api.pollEvents(w, h.request(ctx), &in)
}

func TestPollEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		start := time.Now()
		want := func(in eventsInput, answer string, after time.Duration) {
			t.Helper()
			start = time.Now()
			w, err := h.poll(t.Context(), in)
			require.NoError(t, err)
			require.Regexp(t, "^"+answer+"\n$", w.Body.String())
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
			require.Equal(t, after, time.Since(start))
		}
		want(eventsInput{Wait: 25}, `{"events":\[\],"cursor":"e\.0"}`, 0)
		want(eventsInput{After: "x", Wait: 25}, `{"events":\[\],"cursor":"e\.0","resync":"epoch"}`, 0)
		want(eventsInput{After: "e.0", Wait: 25}, `{"events":\[\],"cursor":"e\.0"}`, 25*time.Second)
		want(eventsInput{After: "e.0"}, `{"events":\[\],"cursor":"e\.0"}`, 0)
		time.AfterFunc(3*time.Second, func() { h.log.add(h.hub, 2) })
		want(eventsInput{After: "e.0", Wait: 60}, `{"events":\[{"id":"e\.1",.*},{"id":"e\.2",.*}\],"cursor":"e\.2"}`, 3*time.Second)
		want(eventsInput{LastEventID: "e.1", After: "e.0", Wait: 60}, `{"events":\[{"id":"e\.2",[^]]*}\],"cursor":"e\.2"}`, 0)

		h.log.add(h.hub, 1200)
		synctest.Wait() // until the hub is there
		for _, page := range []struct{ after, next, count int }{{2, 502, 500}, {502, 1002, 500}, {1002, 1202, 200}} {
			w, err := h.poll(t.Context(), eventsInput{After: fmt.Sprint("e.", page.after), Wait: 60})
			require.NoError(t, err)
			require.Equal(t, page.count, strings.Count(w.Body.String(), `"type"`))
			require.Contains(t, w.Body.String(), fmt.Sprintf(`"cursor":"e.%d"`, page.next))
		}
	})
}

// An answer has as many events as fit; the next one goes on with those that did not.
func TestPollLongMessages(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		next := func(after string) Events {
			t.Helper()
			w, err := h.poll(t.Context(), eventsInput{After: after, Wait: 60})
			require.NoError(t, err)
			require.Less(t, w.Body.Len(), 1200<<10)
			var answer struct {
				Events []json.RawMessage
				Cursor string
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			return Events{Events: make([]envelope, len(answer.Events)), Cursor: answer.Cursor}
		}
		for _, begin := range []func(){
			func() { h.log.addLong(h.hub, 100); synctest.Wait() },                        // they are in the log
			func() { time.AfterFunc(time.Second, func() { h.log.addLong(h.hub, 100) }) }, // they come while one waits
		} {
			at := len(h.log.events)
			begin()
			for upTo := at + 100; at < upTo; {
				answer := next(fmt.Sprint("e.", at))
				require.NotEmpty(t, answer.Events)
				at += len(answer.Events)
				require.Equal(t, fmt.Sprint("e.", at), answer.Cursor)
			}
		}
	})
}

func TestPollEventsEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.poll(ctx, eventsInput{After: "e.0", Wait: 60})
		require.ErrorIs(t, err, context.DeadlineExceeded)

		time.AfterFunc(time.Second, func() {
			h.log.set(func() {
				h.log.events = append(h.log.events, chat.Event{ID: 1, Type: store.SessionEnded, UserID: 1, Data: `{"session_id":2}`})
			})
			h.hub.Committed(1)
		})
		_, err = h.poll(t.Context(), eventsInput{After: "e.0", Wait: 60})
		require.Equal(t, chat.Unauthenticated, chat.AsError(err).Kind)

		start := time.Now()
		time.AfterFunc(time.Second, func() { h.hub.Drain(t.Context(), 0) })
		w, err := h.poll(t.Context(), eventsInput{After: "e.1", Wait: 60})
		require.NoError(t, err)
		require.JSONEq(t, `{"events":[],"cursor":"e.1"}`, w.Body.String())
		require.Regexp(t, `^[12]$`, w.Header().Get("Retry-After"))
		require.Less(t, time.Since(start), 2*time.Second, "of the bubble's time")
		_, err = h.poll(t.Context(), eventsInput{After: "e.1", Wait: 60})
		require.Equal(t, "restarting", chat.AsError(err).Code)
	})
}

// Who is typing is not in the log: it is no answer to a long-poll, and does not move
// its cursor.
func TestPollWhileSomebodyTypes(t *testing.T) {
	inBubble(t, func(t *testing.T, h *hubTest) {
		time.AfterFunc(time.Second, func() { h.hub.Receive(live.Typing, []byte(`{"chat_id":1,"user_id":7}`)) })
		start := time.Now()
		w, err := h.poll(t.Context(), eventsInput{After: "e.0", Wait: 5})
		require.NoError(t, err)
		require.JSONEq(t, `{"events":[],"cursor":"e.0"}`, w.Body.String())
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}
