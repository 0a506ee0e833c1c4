package live_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// plain is a protocol: it writes where in the log an event is, and echoes commands.
type plain struct {
	run *func(command string) (string, bool)
}

func (plain) Encode(e *live.Event) []byte {
	switch {
	case e.Type == store.PollVoted:
		return nil // which this protocol does not tell
	case e.Message != nil:
		return []byte(e.Message.Text)
	}
	return fmt.Appendf(nil, "%s %s", e.Type, e.Cursor)
}

func (plain) Hello(_ *live.Connection, h live.Hello) [][]byte {
	return [][]byte{fmt.Appendf(nil, "hello %s %s", h.Cursor, h.Resync)}
}

func (p plain) Run(_ context.Context, _ *live.Connection, frame []byte) ([]byte, bool) {
	answer, ok := (*p.run)(string(frame))
	return []byte(answer), ok
}

func (plain) NotText() []byte { return []byte("not text") }

func (plain) Goodbye(c live.Closing) (code int, text string) {
	told, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return map[live.Reason]int{
		live.Restarting: 1012, live.Slow: 4000, live.Old: 4001, live.Gap: 4002,
		live.Unavailable: 1013, live.SessionEnded: 4100, live.TooManyBadFrames: 1008, live.Removed: 1008,
	}[c.Reason], string(told)
}

// office is a hub with its log, in a bubble of synctest.
type office struct {
	t       *testing.T
	log     *memoryLog
	hub     *live.Hub
	logged  bytes.Buffer
	command func(string) (string, bool)
	mu      sync.Mutex
	closed  []live.Reason
}

func inOffice(t *testing.T, test func(*testing.T, *office)) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{t: t, log: newLog()}
		o.log.epoch, o.log.common = "epoch", 7
		o.hub = live.NewHub(live.Observer{Closed: func(r live.Reason) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.closed = append(o.closed, r)
		}}, slog.New(slog.NewTextHandler(&o.logged, nil)))
		o.hub.Use(o.log)
		o.command = func(command string) (string, bool) { return "echo " + command, true }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.hub.Run(ctx)
		}()
		defer func() {
			cancel()
			<-done
		}()
		test(t, o)
		synctest.Wait()
	})
}

// say has an event happen in the chat.
func (o *office) say(text string) {
	o.hub.Committed(o.log.append(chat.Event{
		Type: store.MessageCreated, ChatID: 7, ActorID: 1, Message: &chat.Message{Text: text}, At: time.Now(),
	}))
}

// end ends a session of user 1.
func (o *office) end(sessionID int64) {
	o.hub.Committed(o.log.append(chat.Event{
		Type: store.SessionEnded, UserID: 1, Data: fmt.Sprintf(`{"session_id":%d}`, sessionID),
	}))
}

// takeable is a response whose connection can be taken. What came with the request
// is ahead of what comes then.
type takeable struct {
	http.ResponseWriter
	conn  net.Conn
	ahead []byte
	taken func()
}

func (w *takeable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(w.ahead), w.conn))
	if len(w.ahead) > 0 {
		_, _ = r.Peek(len(w.ahead))
	}
	if w.taken != nil {
		w.taken()
	}
	return w.conn, bufio.NewReadWriter(r, bufio.NewWriter(w.conn)), nil
}

// wrapped is a response around another.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w wrapped) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("it would be kept with the connection")
}

// socketClient is the other end of a WebSocket.
type socketClient struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (o *office) connect(cursor string, ahead ...byte) *socketClient {
	o.t.Helper()
	c, err := o.tryConnect(cursor, ahead...)
	require.NoError(o.t, err)
	return c
}

func (o *office) tryConnect(cursor string, ahead ...byte) (*socketClient, error) {
	server, end := net.Pipe()
	ctx, cancel := context.WithCancel(o.t.Context())
	w := wrapped{&takeable{httptest.NewRecorder(), server, ahead, nil}}
	err := o.hub.ServeWebSocket(w, upgradeRequest().WithContext(ctx), o.opening(cursor))
	cancel() // the request has ended
	return &socketClient{Conn: end, t: o.t, r: bufio.NewReader(end)}, err
}

func upgradeRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	return r
}

func (o *office) opening(cursor string) live.Opening {
	return live.Opening{
		Joining: live.Joining{Caller: chat.Caller{UserID: 1, SessionID: 5}}, Cursor: cursor,
		Protocol: plain{&o.command}, Context: context.WithoutCancel(o.t.Context()),
	}
}

func (c *socketClient) send(first byte, payload string) {
	c.t.Helper()
	_, err := c.Write(masked(first, payload))
	require.NoError(c.t, err)
}

func masked(first byte, payload string) []byte {
	b := []byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0} // a key that changes nothing
	if len(payload) >= 126 {
		b = append(binary.BigEndian.AppendUint16([]byte{first, 0xfe}, uint16(len(payload))), 0, 0, 0, 0)
	}
	return append(b, payload...)
}

func (c *socketClient) readFrame() (first byte, payload string, err error) {
	header := make([]byte, 2)
	if _, err := io.ReadFull(c.r, header); err != nil {
		return 0, "", err
	}
	length := int(header[1])
	switch length {
	case 126:
		if _, err := io.ReadFull(c.r, header); err != nil {
			return 0, "", err
		}
		length = int(binary.BigEndian.Uint16(header))
	case 127:
		return 0, "", errors.New("larger than anything that is said here")
	}
	text := make([]byte, length)
	_, err = io.ReadFull(c.r, text)
	return header[0], string(text), err
}

// want fails the test unless the next texts are these. Pings are answered.
func (c *socketClient) want(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		for {
			first, got, err := c.readFrame()
			require.NoError(c.t, err)
			if first == 0x89 {
				c.send(0x8a, got)
				continue
			}
			require.Equal(c.t, fmt.Sprintf("81 %s", text), fmt.Sprintf("%x %s", first, got))
			break
		}
	}
}

// wantClose fails the test unless it is closed with a code. It answers that, if it
// should.
func (c *socketClient) wantClose(code int, answer bool) string {
	c.t.Helper()
	for {
		first, got, err := c.readFrame()
		require.NoError(c.t, err)
		if first == 0x88 {
			require.Equal(c.t, code, int(binary.BigEndian.Uint16([]byte(got))), got)
			if answer {
				_, _ = c.Write(masked(0x88, got[:2])) // it may not wait for this
			}
			return got[2:]
		}
	}
}

// wantEnd fails the test unless the connection has ended, also in the hub.
func (c *socketClient) wantEnd(o *office) {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.r)
	require.NoError(c.t, err)
	synctest.Wait()
	require.Zero(c.t, o.hub.Connections())
}

func (c *socketClient) leave(o *office) {
	c.t.Helper()
	c.send(0x88, "\x03\xe8")
	c.wantClose(1000, false)
	c.wantEnd(o)
}

func TestWebSocketTellsWhatWasMissedAndWhatHappens(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		for i := range 300 {
			o.say(fmt.Sprint(i))
		}
		c := o.connect("epoch.100")
		c.want("hello epoch.100 ")
		go o.say("300")
		for i := range 201 {
			c.want(fmt.Sprint(100 + i))
		}
		o.hub.Committed(o.log.append(chat.Event{Type: store.PollVoted, ChatID: 7}))
		o.say("301")
		c.want("301")
		c.send(0x81, "hi")
		c.want("echo hi")
		c.leave(o)
	})
}

func TestWebSocketTellsOfACursorThatIsOfNoUse(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		o.say("0")
		c := o.connect("other.1")
		c.want("hello epoch.1 epoch")
		c.leave(o)
	})
}

func TestWebSocketReadsWhatCameWithTheRequest(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		c := o.connect("", append(masked(0x81, "one"), masked(0x81, "two")...)...)
		got := map[string]bool{}
		for range 3 {
			_, text, err := c.readFrame()
			require.NoError(o.t, err)
			got[text] = true
		}
		require.Equal(o.t, map[string]bool{"hello epoch.0 ": true, "echo one": true, "echo two": true}, got)
		c.leave(o)
	})
}

func TestWebSocketHeartbeat(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		c.want("heartbeat epoch.0")
		// What is nobody's here moves the cursor, too.
		o.hub.Committed(o.log.append(chat.Event{Type: store.MessageCreated, ChatID: 8}))
		for range 20 {
			c.want("heartbeat epoch.1")
		}
		require.Equal(t, 1, o.hub.Connections())
		c.leave(o)
	})
}

// The cursor of a heartbeat is not ahead of what the client has.
func TestWebSocketHeartbeatComesInItsPlace(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		time.Sleep(live.HeartbeatEvery - 5*time.Second - time.Millisecond) // the first may come now
		o.say("1")
		o.say("2")
		time.Sleep(6 * time.Second) // it does not read
		c.want("1")
		seen := ""
		for range 2 {
			_, text, err := c.readFrame()
			require.NoError(o.t, err)
			if text == "" { // the ping
				_, text, err = c.readFrame()
				require.NoError(o.t, err)
			}
			seen += text + ";"
		}
		require.Equal(o.t, "2;heartbeat epoch.2;", seen)
		_ = c.Close()
	})
}

func TestWebSocketThatDoesNotAnswerEnds(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		start := time.Now()
		c.wantEnd(o) // it reads all, and says nothing
		require.LessOrEqual(t, time.Since(start), 2*live.HeartbeatEvery)
		require.Greater(t, time.Since(start), live.HeartbeatEvery)
	})
}

func TestWebSocketThatDoesNotReadEnds(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		slow, quick := o.connect(""), o.connect("")
		slow.want("hello epoch.0 ")
		quick.want("hello epoch.0 ")
		start := time.Now()
		for i := range 1000 {
			o.say(fmt.Sprint(i))
			quick.want(fmt.Sprint(i))
		}
		// But for an event that was committed between two looks at the log.
		require.Less(t, time.Since(start), 5*time.Second, "nobody waits until the slow one is given up")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, o.hub.Connections())
		require.Equal(t, []live.Reason{live.Slow}, o.closed)
		// It comes back with what it has.
		slow = o.connect("epoch.0")
		slow.want("hello epoch.0 ")
		for i := range 1000 {
			slow.want(fmt.Sprint(i))
		}
		_ = slow.Close()
		quick.send(0x88, "")
		_ = quick.Close()
	})
}

// A client that is slow, but reads, is told why its connection ends.
func TestWebSocketThatReadsTooSlowly(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		for i := range 1000 {
			o.say(fmt.Sprint(i))
			synctest.Wait() // the first is being written
		}
		time.Sleep(5 * time.Second)
		require.JSONEq(t, `{"code":"resume","retry_ms":0}`, zeroRetry(t, c.wantClose(4000, true)))
		c.wantEnd(o)
	})
}

// zeroRetry puts 0 in place of what is random, if it is within what it may be.
func zeroRetry(t *testing.T, reason string) string {
	t.Helper()
	before, after, found := strings.Cut(reason, `"retry_ms":`)
	require.True(t, found, reason)
	require.Regexp(t, `^\d{1,4}}$`, after)
	return before + `"retry_ms":0}`
}

func TestWebSocketEndsWithItsSession(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		o.end(4) // another one
		o.say("hi")
		c.want("hi")
		o.end(5)
		require.JSONEq(t, `{"code":"session_ended"}`, c.wantClose(4100, true))
		c.wantEnd(o)
	})
}

func TestWebSocketEndsForItsAge(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		start := time.Now()
		for {
			first, got, err := c.readFrame()
			require.NoError(t, err)
			if first == 0x89 {
				c.send(0x8a, got)
			}
			if first == 0x88 {
				require.JSONEq(t, `{"code":"renew","retry_ms":0}`, zeroRetry(t, got[2:]))
				c.send(0x88, got[:2])
				break
			}
		}
		require.Greater(t, time.Since(start), time.Hour)
		require.Less(t, time.Since(start), 2*time.Hour+live.HeartbeatEvery)
		c.wantEnd(o)
	})
}

// Whoever does not answer the end is not waited for.
func TestWebSocketCloseIsBounded(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		o.end(5)
		c.wantClose(4100, false)
		start := time.Now()
		c.wantEnd(o)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestWebSocketIsClosedWhileItIsToldWhatItMissed(t *testing.T) {
	for name, answer := range map[string]error{"": nil, "and the database fails": errors.New("away")} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(_ *testing.T, o *office) {
				held := make(chan struct{})
				o.log.asked["missed"] = func() error {
					<-held
					return answer
				}
				o.say("0")
				c := o.connect("epoch.0")
				synctest.Wait()
				o.end(5)
				c.wantClose(4100, true)
				c.wantEnd(o)
				close(held)
			})
		})
	}
}

func TestWebSocketIsToldThatTheDatabaseFails(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.log.asked["missed"] = func() error { return errors.New("away") }
		o.say("0")
		c := o.connect("epoch.0")
		require.JSONEq(t, `{"code":"unavailable","retry_ms":0}`, zeroRetry(t, c.wantClose(1013, true)))
		c.wantEnd(o)
		require.Contains(t, o.logged.String(), "away")
	})
}

// The hub may end a connection before there is one.
func TestWebSocketIsClosedBeforeItIsOpen(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.log.asked["session"] = func() error {
			go o.hub.Drain(t.Context(), 0)
			synctest.Wait()
			return nil
		}
		c := o.connect("")
		require.JSONEq(t, `{"code":"restarting","retry_ms":0}`, zeroRetry(t, c.wantClose(1012, true)))
		c.wantEnd(o)
	})
}

// Clients that do not answer, or do not even read, do not keep the server from its
// end.
func TestDrainOfDeadClients(t *testing.T) {
	for name, read := range map[string]func(*socketClient){
		"they read": func(c *socketClient) { _, _ = io.Copy(io.Discard, c.Conn) },
		"they don't": func(c *socketClient) {
			_, _, _ = c.readFrame() // the hello
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				for range 100 {
					c := o.connect("")
					go read(c)
				}
				synctest.Wait()
				o.say("news")
				synctest.Wait()
				began := time.Now()
				o.hub.Drain(t.Context(), 5*time.Second)
				require.Less(t, time.Since(began), 5*time.Second)
				require.Zero(t, o.hub.Connections())
			})
		})
	}
}

// Whatever goes wrong on the way, nobody stays behind.
func TestPanicBeforeAWebSocketIsOpen(t *testing.T) {
	panics := func() { panic("oh") }
	for name, given := range map[string]func(*office, *takeable){
		"while it joins":          func(o *office, _ *takeable) { o.log.asked["session"] = func() error { panics(); return nil } },
		"while the line is taken": func(_ *office, w *takeable) { w.taken = panics },
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				server, end := net.Pipe()
				defer end.Close()
				w := &takeable{ResponseWriter: httptest.NewRecorder(), conn: server}
				given(o, w)
				require.PanicsWithValue(t, "oh", func() { _ = o.hub.ServeWebSocket(w, upgradeRequest(), o.opening("")) })
				require.Zero(t, o.hub.Connections())
				require.Equal(t, [3]int{}, o.hub.Kept())
			})
		})
	}
}

func TestWebSocketWhoseClientHasGone(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		for i := range 10 {
			o.say(fmt.Sprint(i)) // which it does not read
		}
		synctest.Wait()
		require.NoError(o.t, c.Close())
		synctest.Wait()
		require.Zero(o.t, o.hub.Connections())
	})
}

func TestWebSocketCommandsOneAtATime(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		held := make(chan struct{})
		o.command = func(command string) (string, bool) {
			if command == "1" {
				<-held
			}
			return command, true
		}
		c := o.connect("")
		c.want("hello epoch.0 ")
		go func() {
			c.send(0x81, "1")
			c.send(0x81, "2")
		}()
		// For longer than a ping is waited for.
		go func() {
			time.Sleep(3 * live.HeartbeatEvery)
			close(held)
		}()
		got := ""
		for !strings.HasSuffix(got, "2") {
			first, text, err := c.readFrame()
			require.NoError(t, err)
			if first == 0x81 && !strings.HasPrefix(text, "heartbeat") {
				got += text
			}
		}
		require.Equal(t, "12", got)
		c.leave(o)
	})
}

// What is asked for when the session has ended is not done.
func TestWebSocketClosedDuringACommand(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		held := make(chan struct{})
		var run []string
		o.command = func(command string) (string, bool) {
			run = append(run, command)
			<-held
			return "", true
		}
		c := o.connect("")
		c.want("hello epoch.0 ")
		c.send(0x81, "1")
		synctest.Wait()
		o.end(5)
		c.wantClose(4100, false)
		c.send(0x81, "2")
		time.Sleep(time.Minute)
		require.Equal(t, 1, o.hub.Connections(), "as long as it is at work")
		close(held)
		c.wantEnd(o)
		require.Equal(t, []string{"1"}, run)
	})
}

// Some hear of one chat alone.
func TestWebSocketOfAChat(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		connect := func(chatID int64) *socketClient {
			opening := o.opening("")
			opening.ChatID = chatID
			server, end := net.Pipe()
			require.NoError(t, o.hub.ServeWebSocket(&takeable{httptest.NewRecorder(), server, nil, nil}, upgradeRequest(), opening))
			c := &socketClient{Conn: end, t: t, r: bufio.NewReader(end)}
			c.want("hello epoch.0 ")
			return c
		}
		of, elsewhere := connect(7), connect(8)
		o.say("one")
		of.want("one")
		o.hub.Committed(o.log.append(chat.Event{Type: store.ParticipantRemoved, ChatID: 7, UserID: 1}))
		require.JSONEq(t, `{"code":"removed"}`, of.wantClose(1008, true))
		o.end(5)
		first, got, err := elsewhere.readFrame()
		require.NoError(t, err)
		require.Equal(t, byte(0x88), first, got) // and nothing before
		_, _ = elsewhere.Write(masked(0x88, got[:2]))
		of.wantEnd(o)
	})
}

// A protocol may have nothing to say first, and nothing to answer. Who is connected hears
// of what happens from then on.
func TestQuietWebSocket(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		opening := o.opening("")
		opening.Protocol, opening.Quiet = silent{plain{&o.command}}, true
		server, end := net.Pipe()
		require.NoError(t, o.hub.ServeWebSocket(&takeable{httptest.NewRecorder(), server, nil, nil}, upgradeRequest(), opening))
		o.say("zero")
		c := &socketClient{Conn: end, t: t, r: bufio.NewReader(end)}
		c.want("zero")
		c.send(0x81, "1")
		synctest.Wait()
		o.say("one")
		c.want("one") // and no frame before
		c.send(0x88, "\x03\xe8")
		c.wantClose(1000, false)
		c.wantEnd(o)
	})
}

type silent struct{ plain }

func (silent) Run(context.Context, *live.Connection, []byte) ([]byte, bool) { return nil, true }

// Who is none of those for whom a WebSocket is may be told so by it.
func TestRefuseWebSocket(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		for _, answers := range []bool{true, false} {
			server, end := net.Pipe()
			refused := make(chan error, 1)
			go func() {
				refused <- live.RefuseWebSocket(&takeable{httptest.NewRecorder(), server, nil, nil}, upgradeRequest(), live.Opening{}, 1008, "not you")
			}()
			c := &socketClient{Conn: end, t: t, r: bufio.NewReader(end)}
			require.Equal(t, "not you", c.wantClose(1008, answers))
			require.NoError(t, <-refused)
			c.wantEnd(o)
		}
		request := upgradeRequest()
		request.Header.Del("Upgrade")
		w := httptest.NewRecorder()
		require.ErrorIs(t, live.RefuseWebSocket(w, request, live.Opening{}, 1008, ""), live.ErrUpgradeRequired)
		require.False(t, w.Flushed)

		// It counts as a connection of who asks, and of their network.
		for says, of := range map[string][2]live.Joining{
			"the user's":    {{Caller: chat.Caller{UserID: 7}}, {Caller: chat.Caller{UserID: 7}}},
			"the network's": {{Address: netip.MustParseAddr("2001:db8::1")}, {Address: netip.MustParseAddr("2001:db8::2")}},
		} {
			rates := limit.New(nil, nil)
			once := limit.Rate{Events: 1, Per: time.Hour, Burst: 1}
			rates.Configure(map[limit.Name]limit.Rate{limit.Connects: once, limit.ConnectsAddress: once})
			refuse := func(j live.Joining) error {
				server, end := net.Pipe()
				defer end.Close()
				go func() { _, _ = io.Copy(io.Discard, end) }()
				return live.RefuseWebSocket(&takeable{httptest.NewRecorder(), server, nil, nil}, upgradeRequest(),
					live.Opening{Joining: j, Limits: live.Limits{Rates: rates}}, 1008, "")
			}
			require.NoError(t, refuse(of[0]), says)
			require.Equal(t, chat.TooMany, chat.AsError(refuse(of[1])).Kind, says)
			require.NoError(t, refuse(live.Joining{}), "others have their own")
			require.NoError(t, refuse(live.Joining{}), "and who is not known has none")
		}
	})
}

// Pages of other sites may connect where a site says so.
func TestWebSocketOfAnyOrigin(t *testing.T) {
	for origin, own := range map[string]bool{"http://example.com": true, "https://elsewhere.example": false, "null": false} {
		request := upgradeRequest()
		request.Header.Set("Origin", origin)
		for _, any := range []bool{true, false} {
			// A recorder has no connection to take, which is found out last.
			err := live.RefuseWebSocket(httptest.NewRecorder(), request, live.Opening{AnyOrigin: any}, 1008, "")
			if own || any {
				require.ErrorIs(t, err, live.ErrNoUpgrade, origin)
			} else {
				require.ErrorIs(t, err, live.ErrOrigin, origin)
			}
		}
	}
}

func TestWebSocketSurvivesAPanic(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.command = func(string) (string, bool) { panic("oh") }
		c, other := o.connect(""), o.connect("")
		c.want("hello epoch.0 ")
		other.want("hello epoch.0 ")
		c.send(0x81, "1")
		_, err := io.Copy(io.Discard, c.r)
		require.NoError(t, err)
		synctest.Wait()
		require.Contains(t, o.logged.String(), "panic: oh")
		o.say("still here")
		other.want("still here")
		other.leave(o)
	})
}

func TestWebSocketBoundsCommands(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		send := func(n int) (took time.Duration) {
			go func() {
				for range n {
					_, _ = c.Write(masked(0x81, "x")) // it may be closed before
				}
			}()
			begun := time.Now() // in the bubble
			for range n {
				c.want("echo x")
			}
			return time.Since(begun).Round(time.Second)
		}
		require.Zero(t, send(100), "at once")
		require.Equal(t, 3*time.Second, send(60), "20 a second")
		// None of these was a bad one. Binary frames are.
		for range 49 {
			c.send(0x82, "\x00")
			c.want("not text")
		}
		c.send(0x82, "\x00")
		require.JSONEq(t, `{"code":"too_many_bad_frames"}`, c.wantClose(1008, true))
		c.wantEnd(o)
	})
}

func TestWebSocketBoundsControlFrames(t *testing.T) {
	for name, first := range map[string]byte{"pings": 0x89, "pongs": 0x8a} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(_ *testing.T, o *office) {
				c := o.connect("")
				c.want("hello epoch.0 ")
				go func() {
					for range 200 {
						if _, err := c.Write(masked(first, "x")); err != nil {
							return
						}
					}
				}()
				c.wantClose(1008, false)
				c.wantEnd(o)
			})
		})
	}
}

func TestWebSocketBoundsFragments(t *testing.T) {
	inOffice(t, func(_ *testing.T, o *office) {
		c := o.connect("")
		c.want("hello epoch.0 ")
		go func() {
			_, err := c.Write(masked(0x01, "x"))
			for err == nil {
				_, err = c.Write(masked(0x00, "")) // for ever
			}
		}()
		c.wantClose(1009, false)
		c.wantEnd(o)
	})
}

func TestWebSocketRefusals(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.log.asked["session"] = func() error { return &chat.Error{Kind: chat.Unauthenticated} }
		_, err := o.tryConnect("")
		refusal := (*chat.Error)(nil)
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, chat.Unauthenticated, refusal.Kind)
		require.Zero(t, o.hub.Connections())

		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		require.ErrorIs(t, o.hub.ServeWebSocket(httptest.NewRecorder(), r, live.Opening{}), live.ErrUpgradeRequired)
		r.ProtoMajor = 2
		require.ErrorIs(t, o.hub.ServeWebSocket(httptest.NewRecorder(), r, live.Opening{}), live.ErrNoUpgrade)
	})
}

// However often connections end, and in whatever way, each client is told everything
// once, and in order.
func TestWebSocketsThatComeAndGo(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		type leg struct {
			frames int           // that it reads
			pause  time.Duration // before it goes
			how    string
		}
		plans := make([][]leg, rapid.IntRange(1, 4).Draw(r, "clients"))
		for i := range plans {
			plans[i] = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) leg {
				return leg{
					rapid.IntRange(0, 200).Draw(r, "frames"),
					rapid.SampledFrom([]time.Duration{0, time.Millisecond, 11 * time.Second, time.Minute}).Draw(r, "pause"),
					rapid.SampledFrom([]string{"cut off", "closed", "command", "session ends"}).Draw(r, "how"),
				}
			}), 0, 4).Draw(r, "legs")
		}
		gap := time.Duration(rapid.IntRange(0, 50).Draw(r, "gap")) * time.Millisecond

		var wrong []error
		inOffice(t, func(_ *testing.T, o *office) {
			const last = 600
			go func() {
				for n := range last {
					o.say(fmt.Sprint(n))
					if n%10 == 0 {
						time.Sleep(gap)
					}
				}
			}()
			// follow goes through the legs, and then comes back until it has been told all.
			follow := func(legs []leg) (err error) {
				next, cursor := 0, "epoch.0"
				var c *socketClient
				connect := func() bool {
					if err == nil {
						c, err = o.tryConnect(cursor)
					}
					return err == nil
				}
				// read tells whether the connection has ended.
				read := func() bool {
					first, text, end := c.readFrame()
					switch {
					case end != nil, first == 0x88:
						return true
					case first == 0x89:
						_, end := c.Write(masked(0x8a, text))
						return end != nil
					case strings.HasPrefix(text, "hello "), strings.HasPrefix(text, "echo "):
						return false
					case strings.HasPrefix(text, "heartbeat "):
						cursor = strings.TrimPrefix(text, "heartbeat ")
						return false
					case text != fmt.Sprint(next):
						err = fmt.Errorf("%q comes where %d should", text, next)
						return true
					}
					next++
					cursor = o.log.cursorBehind(text)
					return false
				}
				for _, leg := range legs {
					if !connect() {
						return err
					}
					ended := false
					for range leg.frames {
						if ended = ended || read(); ended || next == last {
							break
						}
					}
					time.Sleep(leg.pause)
					line := c.Conn // of this leg
					switch leg.how {
					case "closed":
						go func() { _, _ = line.Write(masked(0x88, "\x03\xe8")) }()
					case "command":
						go func() { _, _ = line.Write(masked(0x81, "x")) }()
					case "session ends":
						o.end(5)
					}
					if leg.how != "cut off" {
						_ = read()
					}
					_ = c.Close()
				}
				for next < last && connect() { // they are ended by others, too
					for next < last && !read() {
					}
					_ = c.Close()
				}
				return err
			}
			wrong = make([]error, len(plans)+1)
			var all sync.WaitGroup
			for i, legs := range plans {
				all.Go(func() { wrong[i] = follow(legs) })
			}
			all.Wait()
			synctest.Wait()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if n := o.hub.Connections(); n != 0 {
				wrong[len(plans)] = fmt.Errorf("%d connections are left", n)
			}
		})
		if err := errors.Join(wrong...); err != nil {
			r.Fatal(err)
		}
	})
}

// cursorBehind is where the log goes on behind a text.
func (l *memoryLog) cursorBehind(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		if e.Message != nil && e.Message.Text == text {
			return fmt.Sprintf("%s.%d", l.epoch, e.ID)
		}
	}
	return ""
}
