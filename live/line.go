package live

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Of the header of a frame.
const (
	final   = 0x80
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
)

// frame is a text as a server sends it.
func frame(text []byte) []byte {
	b := make([]byte, 0, len(text)+10)
	switch n := len(text); {
	case n < 126:
		b = append(b, final|opText, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, final|opText, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, final|opText, 127), uint64(n))
	}
	return append(b, text...)
}

// framed writes events as whole frames: all connections share them.
type framed struct{ Wire }

// Encode implements [Wire].
func (f framed) Encode(e *Event) []byte {
	text := f.Wire.Encode(e)
	if text == nil {
		return nil
	}
	return frame(text)
}

// errTooMuch: a message has too many fragments, or too much comes between them.
var errTooMuch = errors.New("too much for a message")

// line is the network connection below the frames. The library reads from it; of
// what is written, it writes control frames alone, each in one piece.
type line struct {
	net.Conn
	pending []byte       // came with the request
	left    atomic.Int64 // what may come before the message has ended
	heard   atomic.Bool  // something came, since the last heartbeat

	turn   chan struct{} // to write; who has put something into it has it
	closed bool          // with the frame that says so: nothing may follow
}

// received says that a message has ended.
func (l *line) received() { l.left.Store(maxReceived) }

func (l *line) Read(p []byte) (n int, err error) {
	if len(l.pending) > 0 {
		n = copy(p, l.pending)
		if l.pending = l.pending[n:]; len(l.pending) == 0 {
			l.pending = nil
		}
	} else if n, err = l.Conn.Read(p); n == 0 {
		return n, err
	}
	l.heard.Store(true)
	if l.left.Add(-int64(n)) < 0 {
		return 0, errTooMuch
	}
	return n, err
}

// Write is for the library.
func (l *line) Write(p []byte) (int, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.closed {
		return 0, net.ErrClosed
	}
	l.closed = p[0] == final|opClose
	return l.write(p)
}

// send writes whole frames. They may be shared, and are not changed.
func (l *line) send(frames []byte) error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	if l.closed {
		return nil // the client does not want them any more
	}
	_, err := l.write(frames)
	return err
}

func (l *line) write(p []byte) (int, error) {
	if err := l.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return 0, err
	}
	return l.Conn.Write(p)
}

// upgrade is a response whose connection is taken from its innermost writer: what
// wraps that would be kept with it.
type upgrade struct {
	http.ResponseWriter
	hijacker http.Hijacker
	line     *line
}

// How much the library reads at once, if it is not more that it asks for; and how
// much it writes: no frame of its own is larger.
const (
	readBuffer  = 512
	writeBuffer = 128
)

// Hijack implements [http.Hijacker].
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := u.hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	// Those of the server are for requests.
	if err := conn.SetDeadline(time.Time{}); err != nil {
		_ = conn.Close() // that is the error
		return nil, nil, err
	}
	pending, _ := rw.Peek(rw.Reader.Buffered()) // there are so many
	u.line.Conn, u.line.pending = conn, bytes.Clone(pending)
	u.line.turn = make(chan struct{}, 1)
	u.line.heard.Store(true)
	u.line.received()
	return u.line, bufio.NewReadWriter(bufio.NewReaderSize(u.line, readBuffer), bufio.NewWriterSize(u.line, writeBuffer)), nil
}

// Innermost is the response that others are wrapped around: the server's own.
func Innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}
