package live

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"github.com/caddymsg/messaging/limit"
)

const (
	// MaxFrame is the largest message that a client may send, in bytes.
	MaxFrame = 64 << 10
	// maxReceived is how many bytes a message may take, with the headers of its
	// fragments and the control frames between them: fragments may be empty.
	maxReceived = 16 * MaxFrame
	// HeartbeatEvery is how often a connection shows that it is alive, and its
	// client has to.
	HeartbeatEvery = 25 * time.Second
	// writeWithin is how long the client may take to read what is written at once.
	writeWithin = 10 * time.Second
	// closeWithin bounds the closing handshake.
	closeWithin = 2 * time.Second

	commandsPerSecond, commandsAtOnce = 20, 100
	controlsPerSecond, controlsAtOnce = 10, 50
	maxBadFrames                      = 50
)

// Why a request does not become a WebSocket.
var (
	// ErrNoUpgrade: the connection of this request can't become one: it is one of
	// HTTP/2 or HTTP/3.
	ErrNoUpgrade = errors.New("this version of HTTP has no upgrade")
	// ErrUpgradeRequired: the client does not ask for one, or not for the version
	// that there is.
	ErrUpgradeRequired = errors.New("not a request for a WebSocket of version 13")
	// ErrHandshake: the client asks for one in a way that the protocol does not have.
	ErrHandshake = errors.New("not the handshake of a WebSocket")
	// ErrOrigin: a page of another site asks for one.
	ErrOrigin = errors.New("of another site")
)

// Protocol is what an API says over WebSockets, in text frames. It outlives the
// configuration that it was made for, and keeps nothing of it. It must be
// comparable, as every [Wire].
type Protocol interface {
	Wire
	// Hello is what a connection begins with.
	Hello(*Connection, Hello) [][]byte
	// Run carries out what a client asks for, and answers, or returns nil. ok says that it was a
	// frame as a client should send it, even if what it asks for is refused.
	Run(ctx context.Context, c *Connection, frame []byte) (answer []byte, ok bool)
	// NotText answers a frame that is none of text.
	NotText() []byte
	// Goodbye is how the end of a connection is told: a status code of WebSockets, and a
	// text of up to 123 bytes.
	Goodbye(Closing) (code int, text string)
}

// Opening is what somebody wants a WebSocket for.
type Opening struct {
	// Joining is who connects; its Transport, Notify and Cut are set here.
	Joining
	Limits   Limits
	Cursor   string
	Protocol Protocol
	// Secure says that the client came over TLS.
	Secure bool
	// AnyOrigin lets pages of other sites connect: where there is no cookie that they
	// could make use of.
	AnyOrigin bool
	// Quiet is for a protocol that has no hello by which a client could tell that it
	// follows: it does so before the handshake is answered. There is no cursor then.
	Quiet bool
	// Context is what the commands are carried out with, until the connection ends.
	// It is not that of the request.
	Context context.Context
	// RequestID names the connection in the log.
	RequestID string
}

// ServeWebSocket makes a request the WebSocket of a connection, and returns; the
// connection goes on, and keeps nothing of the request. It returns the errors of
// [Hub.Join], and those above, when nothing has been written yet.
func (h *Hub) ServeWebSocket(w http.ResponseWriter, r *http.Request, o Opening) error {
	hijacker, err := checkHandshake(w, r, o)
	if err != nil {
		return err
	}
	s := &webSocket{
		hub: h, protocol: o.Protocol, wire: framed{o.Protocol}, requestID: o.RequestID,
		commands: rate.NewLimiter(commandsPerSecond, commandsAtOnce),
		controls: rate.NewLimiter(controlsPerSecond, controlsAtOnce),
	}
	s.ctx, s.cancel = context.WithCancel(o.Context)
	opened := false
	defer func() {
		if !opened { // also if something panics
			s.cancel()
		}
	}()
	o.Transport, o.Notify, o.Cut = "websocket", s.notify, s.cut
	c, err := h.Join(r.Context(), o.Joining, o.Limits)
	if err != nil {
		return err
	}
	s.connection = c
	defer func() {
		if !opened {
			c.Leave()
		}
	}()
	if o.Quiet {
		if err := c.Start(r.Context(), "", func(Hello) error { return nil }, nil); err != nil {
			return err
		}
	}
	ws := accept(r, &upgrade{ResponseWriter: w, hijacker: hijacker, line: &s.line}, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return s.control() },
		OnPongReceived: func(context.Context, []byte) { s.control() },
	})
	ws.SetReadLimit(MaxFrame)
	s.open(ws)
	if !o.Quiet {
		go s.guarded(func() { s.begin(o.Cursor) })()
	}
	go s.read()
	opened = true
	return nil
}

// RefuseWebSocket makes a request a WebSocket, and closes it: for those who are to be
// told only then that it is none for them. It counts as a connection that they open. Of the
// Opening, Limits, Secure and AnyOrigin count, and of who connects, the user, if it is
// known who, and the address. It returns the errors of [Hub.ServeWebSocket], but of those
// of [Hub.Join] only TooMany, if they come too often.
func RefuseWebSocket(w http.ResponseWriter, r *http.Request, o Opening, code int, text string) error {
	hijacker, err := checkHandshake(w, r, o)
	if err != nil {
		return err
	}
	if err := o.Limits.take(r.Context(), o.Caller.UserID, limit.Network(o.Address.String())); err != nil {
		return err
	}
	var l line
	ws := accept(r, &upgrade{ResponseWriter: w, hijacker: hijacker, line: &l}, &websocket.AcceptOptions{})
	force := time.AfterFunc(closeWithin, func() { _ = l.Close() })
	defer force.Stop()
	_ = ws.Close(websocket.StatusCode(code), text) // it ends, whatever the client says
	return nil
}

// accept answers a handshake that has been checked.
func accept(r *http.Request, to *upgrade, opts *websocket.AcceptOptions) *websocket.Conn {
	opts.InsecureSkipVerify = true // the origin has been checked
	ws, err := websocket.Accept(to, r, opts)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone, or was told half of it
	}
	return ws
}

// checkHandshake tells why a request is not one for a WebSocket, or not to be
// answered with one, and finds what its connection is taken from.
func checkHandshake(w http.ResponseWriter, r *http.Request, o Opening) (http.Hijacker, error) {
	version, key := r.Header.Values("Sec-WebSocket-Version"), r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.ProtoMajor > 1, r.Method == http.MethodConnect:
		return nil, ErrNoUpgrade
	case !r.ProtoAtLeast(1, 1), !names(r.Header, "Connection", "upgrade"), !names(r.Header, "Upgrade", "websocket"),
		len(version) != 1, version[0] != "13":
		return nil, ErrUpgradeRequired
	case r.Method != http.MethodGet, r.ContentLength != 0, len(key) != 1: // a body would be taken for frames
		return nil, ErrHandshake
	}
	if nonce, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key[0])); err != nil || len(nonce) != 16 {
		return nil, ErrHandshake
	}
	if !o.AnyOrigin && !SameOrigin(r, o.Secure) {
		return nil, ErrOrigin
	}
	hijacker, ok := Innermost(w).(http.Hijacker)
	if !ok {
		return nil, ErrNoUpgrade
	}
	return hijacker, nil
}

// SameOrigin tells whether a request may be of a page of the site itself, or of no
// page. A browser sends the cookie to whatever page asks, and says which it is; other
// programs need not. Which site it is, the host says; over TLS, also that nobody else
// could have made the page.
func SameOrigin(r *http.Request, secure bool) bool {
	for _, origin := range r.Header.Values("Origin") {
		page, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(page.Host, r.Host) || secure && page.Scheme != "https" {
			return false
		}
	}
	return true
}

// names tells whether a header's list has a word.
func names(header http.Header, name, word string) bool {
	for _, list := range header.Values(name) {
		for item := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(item), word) {
				return true
			}
		}
	}
	return false
}

// webSocket is the WebSocket of a connection. One goroutine reads, which waits for
// each command; there is none that writes, but while there is something to write.
// Whatever ends it closes the line: then the reader ends it in the hub.
type webSocket struct {
	hub        *Hub
	connection *Connection
	protocol   Protocol
	wire       framed
	requestID  string
	line       line
	ws         *websocket.Conn
	ctx        context.Context // of the connection's life
	cancel     context.CancelFunc
	heartbeat  *time.Timer

	// What the client may send.
	commands, controls *rate.Limiter
	bad                atomic.Int32
	running            atomic.Bool // a command, while nothing is read

	mu       sync.Mutex
	opened   bool
	notified bool // before that
}

// open begins the life of the connection.
func (s *webSocket) open(ws *websocket.Conn) {
	s.ws = ws
	s.mu.Lock()
	// Not all at once, when many come at once.
	s.heartbeat = time.AfterFunc(HeartbeatEvery-rand.N(HeartbeatEvery/5), s.guarded(s.beat))
	s.opened = true
	notified := s.notified
	s.mu.Unlock()
	if notified {
		go s.guarded(s.flush)()
	}
}

// guarded is a function whose panic ends the connection, and not the server.
func (s *webSocket) guarded(f func()) func() {
	return func() {
		defer s.survive()
		f()
	}
}

func (s *webSocket) survive() {
	if p := recover(); p != nil {
		s.log(slog.LevelError, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		s.abort()
	}
}

func (s *webSocket) log(level slog.Level, err error) {
	s.hub.logger.LogAttrs(s.ctx, level, "connection failed",
		slog.String("request_id", s.requestID), slog.Any("error", err))
}

// notify is called with the connection's lock held.
func (s *webSocket) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opened {
		s.notified = true
		return
	}
	go s.guarded(s.flush)()
}

// begin says hello, and what was missed.
func (s *webSocket) begin(cursor string) {
	err := s.connection.Start(s.ctx, cursor,
		func(hello Hello) error {
			for _, text := range s.protocol.Hello(s.connection, hello) {
				if err := s.send(frame(text)); err != nil {
					return err
				}
			}
			return nil
		}, s.emit)
	if err == nil || s.ctx.Err() != nil {
		return
	}
	s.log(slog.LevelWarn, err)
	s.connection.Close(closing(Unavailable, time.Second, 4*time.Second))
}

// flush writes what there is, and ends. There is never more than one.
func (s *webSocket) flush() {
	for {
		events, end := s.connection.Take()
		switch {
		case end != nil:
			code, text := s.protocol.Goodbye(*end)
			s.close(websocket.StatusCode(code), text)
			return
		case len(events) == 0, s.emit(events) != nil:
			return
		}
	}
}

// buffers are for what is written at once.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxAtOnce is about how much is written at once.
const maxAtOnce = 32 << 10

// emit writes events. If it can't, the connection has ended.
func (s *webSocket) emit(events []*Event) error {
	if len(events) == 1 {
		return s.send(events[0].Encode(s.wire))
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	for _, e := range events {
		b.Write(e.Encode(s.wire))
		if b.Len() >= maxAtOnce {
			if err := s.send(b.Bytes()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	return s.send(b.Bytes())
}

// send writes frames. If it can't, the connection has ended.
func (s *webSocket) send(frames []byte) error {
	if len(frames) == 0 {
		return nil
	}
	err := s.line.send(frames)
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.connection.Close(closing(Slow, 0, time.Second)) // for the metrics: it won't read that either
	}
	s.abort()
	return err
}

// read takes what the client sends, and ends the connection when there is nothing
// more to come.
func (s *webSocket) read() {
	defer s.connection.Leave()
	defer s.stop()
	defer s.abort()
	defer s.survive()
	for {
		if err := s.receive(); err != nil {
			s.fail(err)
			return
		}
	}
}

// errNotUTF8 is what a text is not.
var errNotUTF8 = errors.New("the text is not UTF-8")

// fail tells the client what was wrong with what it sent, if it is there.
func (s *webSocket) fail(err error) {
	code := websocket.StatusProtocolError // where the library has not said better, or the client closed
	switch {
	case errors.Is(err, errNotUTF8):
		code = websocket.StatusInvalidFramePayloadData
	case errors.Is(err, errTooMuch):
		code = websocket.StatusMessageTooBig
	}
	s.close(code, "")
}

// receive takes one message.
func (s *webSocket) receive() error {
	kind, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	s.line.received()
	if kind == websocket.MessageText && !utf8.Valid(b.Bytes()) {
		return errNotUTF8
	}
	if s.connection.Ended() {
		return nil // it waits for the end of the handshake
	}
	// Elsewhere: this goroutine lives as long as the connection, and its stack does
	// not shrink.
	s.running.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.survive()
		s.run(kind, b.Bytes())
	}()
	<-done
	s.running.Store(false)
	return nil
}

// run answers a message.
func (s *webSocket) run(kind websocket.MessageType, message []byte) {
	var answer []byte
	var ok bool
	// Whoever asks for much waits, and so does what they send next, in the network.
	if s.commands.Wait(s.ctx) != nil {
		return // it has ended
	}
	if kind == websocket.MessageText {
		answer, ok = s.protocol.Run(s.ctx, s.connection, message)
	} else {
		answer = s.protocol.NotText()
	}
	if !ok {
		s.countBad()
	}
	if answer == nil {
		return
	}
	_ = s.send(frame(answer)) // if it can't be, the connection has ended
}

func (s *webSocket) countBad() {
	if s.bad.Add(1) == maxBadFrames {
		s.connection.Close(Closing{Reason: TooManyBadFrames})
	}
}

// control bounds how much the client pings, and answers pings that have not been
// sent.
func (s *webSocket) control() (answer bool) {
	if s.controls.Allow() {
		return true
	}
	s.countBad()
	return false
}

// beat is done every [HeartbeatEvery].
func (s *webSocket) beat() {
	if !s.line.heard.Swap(false) && !s.running.Load() {
		s.abort() // it has not even answered the last ping
		return
	}
	s.line.received()
	s.connection.Check(s.ctx)
	s.connection.Heartbeat()
	_ = s.send([]byte{final | opPing, 0}) // if it can't be, the connection has ended
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.heartbeat.Reset(HeartbeatEvery)
	}
}

// stop ends the heartbeats, and whatever is still done.
func (s *webSocket) stop() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heartbeat.Stop()
}

// close ends the connection with a handshake, if it has not ended.
func (s *webSocket) close(code websocket.StatusCode, reason string) {
	force := time.AfterFunc(closeWithin, s.abort)
	defer force.Stop()
	_ = s.ws.Close(code, reason) // it ends, whatever the client says
	s.cancel()
}

// cut ends it when it had its time.
func (s *webSocket) cut() {
	s.mu.Lock()
	opened := s.opened
	s.mu.Unlock()
	if opened { // else there is no line yet
		s.abort()
	}
}

// abort ends it without.
func (s *webSocket) abort() {
	s.cancel()
	_ = s.line.Close() // then it has ended
}
