package frontdoor

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// The opcodes of WebSocket frames.
const (
	OpContinuation = 0x0
	OpText         = 0x1
	OpBinary       = 0x2
	OpClose        = 0x8
	OpPing         = 0x9
	OpPong         = 0xa
	// Final is set in the first byte of a frame that ends a message.
	Final = 0x80
)

// patience is how long a test waits for what should come.
const patience = 20 * time.Second

// Socket is a WebSocket as a client has it, that can also send what no client
// should.
type Socket struct {
	net.Conn
	r  *bufio.Reader
	tb testing.TB
}

// SocketFrame is a frame of JSON that the server has sent.
type SocketFrame struct {
	ID, Type, Ref string
	ChatID        int64  `json:"chat_id"`
	ActorID       int64  `json:"actor_id"`
	ClientID      string `json:"client_id"`
	Data          json.RawMessage
	Text          string `json:"-"` // all of it
}

// Field is a field of the frame's data.
func (f SocketFrame) Field(name string) any {
	var data map[string]any
	if json.Unmarshal(f.Data, &data) != nil {
		return nil
	}
	return data[name]
}

// Handshake sends a request for a WebSocket; header is names and values in turn,
// and takes the place of what a client would send. An empty value leaves it out. The
// test fails if the answer is not as documented.
func (c *Client) Handshake(path string, header ...string) (*Response, *Socket) {
	c.tb.Helper()
	site, err := url.Parse(c.base)
	if err != nil {
		c.tb.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(c.tb.Context(), "tcp", site.Host)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { _ = conn.Close() })
	if site.Scheme == "https" {
		config := c.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName, config.NextProtos = site.Hostname(), []string{"http/1.1"}
		conn = tls.Client(conn, config)
	}
	r, err := http.NewRequestWithContext(c.tb.Context(), http.MethodGet, c.base+path, http.NoBody)
	if err != nil {
		c.tb.Fatal(err)
	}
	r.Header = http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	if c.HTTP.Jar != nil {
		for _, cookie := range c.HTTP.Jar.Cookies(site) {
			r.AddCookie(cookie)
		}
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	if err := r.Write(conn); err != nil {
		c.tb.Fatal(err)
	}
	s := &Socket{Conn: conn, r: bufio.NewReader(conn), tb: c.tb}
	s.wait()
	resp, err := http.ReadResponse(s.r, r)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer resp.Body.Close()
	var text []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if text, err = io.ReadAll(resp.Body); err != nil {
			c.tb.Fatal(err)
		}
	}
	if err := checkAnswer(resp, string(text)); err != nil {
		c.tb.Errorf("not as documented: %v\n%.1000s", err, text)
	}
	return &Response{Response: resp, Text: string(text), tb: c.tb}, s
}

// Socket opens a WebSocket.
func (c *Client) Socket(path string, header ...string) *Socket {
	c.tb.Helper()
	r, s := c.Handshake(path, header...)
	r.Want(http.StatusSwitchingProtocols)
	if accept := r.Header.Get("Sec-WebSocket-Accept"); accept != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // of RFC 6455, as is the key
		c.tb.Fatalf("not the answer to the key: %q", accept)
	}
	return s
}

// wait bounds what is read next.
func (s *Socket) wait() { _ = s.SetReadDeadline(time.Now().Add(patience)) }

// Masked is a frame as clients send it. first has its opcode and its flags.
func Masked(first byte, payload []byte) []byte {
	return frame(first, 0x80, len(payload), payload)
}

// Unmasked is a frame that only a server may send.
func Unmasked(first byte, payload []byte) []byte {
	return frame(first, 0, len(payload), payload)
}

// Announced is the header of a frame of any length.
func Announced(first byte, length int) []byte {
	return frame(first, 0x80, length, nil)
}

func frame(first, masked byte, length int, payload []byte) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, masked|byte(length&0x7f))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, masked|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, masked|127), uint64(length))
	}
	if masked == 0 {
		return append(b, payload...)
	}
	key := [4]byte{1, 2, 3, 4}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// Send sends a text.
func (s *Socket) Send(text string) {
	s.tb.Helper()
	s.SendBytes(Masked(Final|OpText, []byte(text)))
}

// SendBytes sends bytes as they are.
func (s *Socket) SendBytes(b ...[]byte) {
	s.tb.Helper()
	if _, err := s.Write(bytes.Join(b, nil)); err != nil {
		s.tb.Fatal(err)
	}
}

// ReadFrame reads the next frame, of whatever kind.
func (s *Socket) ReadFrame() (first byte, payload []byte, err error) {
	s.wait()
	header := make([]byte, 2)
	if _, err := io.ReadFull(s.r, header); err != nil {
		return 0, nil, err
	}
	length := uint64(header[1])
	switch length {
	case 126, 127:
		extended := make([]byte, map[uint64]int{126: 2, 127: 8}[length])
		if _, err := io.ReadFull(s.r, extended); err != nil {
			return 0, nil, err
		}
		length = binary.BigEndian.Uint64(append(make([]byte, 8-len(extended)), extended...))
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(s.r, payload)
	return header[0], payload, err
}

// Next is the next text that the server sends. Pings are answered, and heartbeats
// left out.
func (s *Socket) Next() SocketFrame {
	s.tb.Helper()
	f, err := s.TryNext()
	if err != nil {
		s.tb.Fatal(err)
	}
	return f
}

// TryNext is Next where there may be none.
func (s *Socket) TryNext() (SocketFrame, error) {
	s.tb.Helper()
	for {
		text, err := s.tryNextText()
		if err != nil {
			return SocketFrame{}, err
		}
		f := SocketFrame{Text: text}
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return SocketFrame{}, fmt.Errorf("%w: %s", err, text)
		}
		if f.Type != "heartbeat" {
			return f, nil
		}
	}
}

// NextText is the next text that the server sends, of whatever API. Pings are answered.
func (s *Socket) NextText() string {
	s.tb.Helper()
	text, err := s.tryNextText()
	if err != nil {
		s.tb.Fatal(err)
	}
	return text
}

func (s *Socket) tryNextText() (string, error) {
	s.tb.Helper()
	for {
		first, payload, err := s.ReadFrame()
		switch {
		case err != nil:
			return "", err
		case first == Final|OpPing:
			s.SendBytes(Masked(Final|OpPong, payload))
		case first == Final|OpPong:
		case first == Final|OpClose:
			return "", fmt.Errorf("closed: %x", payload)
		case first != Final|OpText:
			return "", fmt.Errorf("a frame that begins with %#x", first)
		default:
			return string(payload), nil
		}
	}
}

// Await is the next frame of a type, or of a type that answers a command. Others
// before it are passed over.
func (s *Socket) Await(kind string) SocketFrame {
	s.tb.Helper()
	for {
		if f := s.Next(); f.Type == kind {
			return f
		}
	}
}

// Command sends a command, and returns the answer, or the error, to it.
func (s *Socket) Command(kind string, data any) SocketFrame {
	s.tb.Helper()
	s.Send(JSON(s.tb, map[string]any{"id": "c", "type": kind, "data": data}))
	for {
		if f := s.Next(); f.Ref == "c" {
			return f
		}
	}
}

// WantClose reads until the server closes, answers that, and returns what it says.
// The test fails if it is not the code.
func (s *Socket) WantClose(code int) (reason string) {
	s.tb.Helper()
	for {
		first, payload, err := s.ReadFrame()
		if err != nil {
			s.tb.Fatalf("it ended without being closed: %v", err)
		}
		if first != Final|OpClose {
			continue
		}
		_, _ = s.Write(Masked(Final|OpClose, payload[:min(2, len(payload))])) // it may not wait for this
		if len(payload) < 2 || int(binary.BigEndian.Uint16(payload)) != code {
			s.tb.Fatalf("closed with %x, want %d", payload, code)
		}
		return string(payload[2:])
	}
}
