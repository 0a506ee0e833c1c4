package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/store"
)

const (
	listeners       = 1000   // to whom a message is fanned out
	inFlight        = 8      // messages that are on their way at once
	idleConnections = 10_000 // whose memory is measured
	idleAim         = 12 << 10
	fanOutSecret    = "a secret that is long enough for a benchmark"
)

// liveSite has, beside the module, the handler that it is measured against.
const liveSite = `
{
	order bench_broadcast before respond
}
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		session_secret "` + fanOutSecret + `"
		bcrypt_cost 4
		connections_per_user off
		connections_per_address off
		rate_limits off
	}
	route /bare {
		bench_broadcast
	}
}
`

// serveLive starts the site over a database with so many people, who are all in
// one group, and returns their cookies.
func serveLive(ctx context.Context, people int) (s *frontdoor.Server, cookies []string, end func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // in the system's folder for such things
	if cookies, err = populate(ctx, filepath.Join(dir, "messaging.db"), people); err == nil {
		s, err = frontdoor.Run(ctx, frontdoor.Options{Caddyfile: liveSite, Dir: dir})
	}
	if err != nil {
		remove()
		return nil, nil, nil, err
	}
	return s, cookies, func() { s.Kill(); remove() }, nil
}

// populate makes people, their sessions, and group 1 with all of them.
func populate(ctx context.Context, database string, people int) ([]string, error) {
	s, err := store.Open(ctx, store.Options{Database: database})
	if err != nil {
		return nil, err
	}
	codec, err := auth.NewCookies(fanOutSecret)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	cookies := make([]string, people)
	now := time.Now()
	err = s.Update(ctx, func(tx *store.Tx) error {
		group := store.NewGroup("everybody", now)
		if err := tx.CreateChat(&group); err != nil {
			return err
		}
		for i := range people {
			name := fmt.Sprintf("person%d", i)
			u := store.User{Username: name, UsernameKey: name, CreatedAt: now}
			if err := tx.CreateUser(&u); err != nil {
				return err
			}
			if err := tx.AddParticipant(group.ID, u.ID, store.Member, now); err != nil {
				return err
			}
			token := make([]byte, 32)
			rand.Read(token)
			hash := sha256.Sum256(token)
			if err := tx.CreateSession(&store.Session{
				TokenHash: hash[:], UserID: u.ID, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
			}); err != nil {
				return err
			}
			cookie, err := codec.Set(token, 24*time.Hour, false)
			if err != nil {
				return err
			}
			cookies[i] = cookie.Name + "=" + cookie.Value
		}
		return nil
	})
	return cookies, errors.Join(err, s.Close())
}

// fanOut measures messages that are stored and go to a thousand people, against a
// bare broadcast of the same bytes with the same library, in the same server.
func fanOut(ctx context.Context, b *bench) error {
	s, cookies, end, err := serveLive(ctx, listeners)
	if err != nil {
		return err
	}
	defer end()
	address := strings.TrimPrefix(s.URL, "http://")
	body := fmt.Sprintf(`{"group_chat_id":1,"message":%q}`, text)

	ours, err := listen(ctx, address, "/v1/ws", cookies)
	if err != nil {
		return err
	}
	defer ours.close()
	send := request(http.MethodPost, "/v1/messages", cookies[0], body)
	sample, err := ours.sample(ctx, address, send)
	if err != nil {
		return err
	}
	bare, err := listen(ctx, address, "/bare", cookies)
	if err != nil {
		return err
	}
	defer bare.close()
	post := request(http.MethodPost, "/bare", "", sample)
	return b.compare(fmt.Sprintf("a stored message to %d connections, deliveries", listeners), "a bare broadcast",
		b.profiled(ctx, s, func() (result, error) { return ours.run(ctx, address, send, b.duration) }),
		func() (result, error) { return bare.run(ctx, address, post, b.duration) })
}

// audience are connections that count what they are told.
type audience struct {
	conns    []net.Conn
	received atomic.Int64
	due      atomic.Int64
	done     chan struct{} // has a value when as many as are due have been received
	failed   chan error
	closing  atomic.Bool
	last     atomic.Pointer[string]
	reading  sync.WaitGroup
}

// listen opens WebSocket connections. Of what they receive it counts the messages
// of chats, or all of it where it can't tell.
func listen(ctx context.Context, address, path string, cookies []string) (*audience, error) {
	a := &audience{done: make(chan struct{}, 1), failed: make(chan error, 1)}
	a.conns = make([]net.Conn, len(cookies))
	slots := make(chan struct{}, 64)
	var opening sync.WaitGroup
	for i, cookie := range cookies {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			conn, r, err := upgrade(ctx, address, path, cookie)
			if err == nil && path == "/v1/ws" {
				_, err = readFrame(r) // from its hello on, it hears of everything
			}
			if err != nil {
				a.fail(err)
				return
			}
			a.conns[i] = conn
			a.reading.Go(func() { a.read(r) })
		})
	}
	opening.Wait()
	select {
	case err := <-a.failed:
		a.close()
		return nil, err
	default:
		return a, nil
	}
}

func (a *audience) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// upgrade opens a WebSocket connection.
func upgrade(ctx context.Context, address, path, cookie string) (net.Conn, *bufio.Reader, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, address, cookie)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(conn, 1024)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	_ = resp.Body.Close() // there is none
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return conn, r, nil
}

// read reads frames, and does no more with them than it must.
func (a *audience) read(r *bufio.Reader) {
	for {
		frame, err := readFrame(r)
		if err != nil {
			if !a.closing.Load() {
				a.fail(err)
			}
			return
		}
		// Both the module's events and the copies of them that are broadcast.
		if !strings.Contains(frame[:min(len(frame), 100)], `"message.created"`) {
			continue
		}
		if a.last.Load() == nil {
			a.last.Store(&frame)
		}
		if a.received.Add(1) == a.due.Load() {
			a.done <- struct{}{}
		}
	}
}

func readFrame(r *bufio.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	length := int(head[1] & 0x7f)
	if length == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return "", err
		}
		length = int(binary.BigEndian.Uint16(long[:]))
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(r, payload)
	if err == nil && head[0]&0xf == 8 {
		err = fmt.Errorf("the server closed the connection: %q", payload)
	}
	return string(payload), err
}

// await waits until so many more frames have come to all connections together.
func (a *audience) await(ctx context.Context, do func() error, frames int64) error {
	a.due.Store(a.received.Load() + frames)
	if err := do(); err != nil {
		return err
	}
	select {
	case <-a.done:
		return nil
	case err := <-a.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(30 * time.Second):
		return fmt.Errorf("%d of %d frames came", a.received.Load(), a.due.Load())
	}
}

// sample is an event as clients get it.
func (a *audience) sample(ctx context.Context, address string, send []byte) (string, error) {
	err := a.await(ctx, func() error { return post(ctx, address, send, 1) }, int64(len(a.conns)))
	if err != nil {
		return "", err
	}
	return *a.last.Load(), nil
}

// run sends messages, some at once, and waits until all have come to all.
func (a *audience) run(ctx context.Context, address string, send []byte, duration time.Duration) (result, error) {
	var took []time.Duration
	start := time.Now()
	for time.Since(start) < duration {
		begin := time.Now()
		err := a.await(ctx, func() error { return post(ctx, address, send, inFlight) }, inFlight*int64(len(a.conns)))
		if err != nil {
			return result{}, err
		}
		took = append(took, time.Since(begin))
	}
	r := summary(took, time.Since(start))
	r.perSecond *= inFlight * float64(len(a.conns))
	return r, nil
}

func (a *audience) close() {
	a.closing.Store(true)
	for _, conn := range a.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
	a.reading.Wait()
}

// post sends the same request several times at once, over a connection each.
func post(ctx context.Context, address string, request []byte, times int) error {
	var sending sync.WaitGroup
	errs := make([]error, times)
	for i := range times {
		sending.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				errs[i] = err
				return
			}
			defer conn.Close()
			if _, errs[i] = conn.Write(request); errs[i] == nil {
				errs[i] = readOK(bufio.NewReader(conn))
			}
		})
	}
	sending.Wait()
	return errors.Join(errs...)
}

// idle measures the memory of the server that a connection takes over which nothing
// happens.
func idle(ctx context.Context, _ *bench) error {
	s, cookies, end, err := serveLive(ctx, idleConnections)
	if err != nil {
		return err
	}
	defer end()
	address := strings.TrimPrefix(s.URL, "http://")
	warm, err := listen(ctx, address, "/v1/ws", cookies[:100])
	if err != nil {
		return err
	}
	warm.close()
	before, err := memoryOf(ctx, s)
	if err != nil {
		return err
	}
	all, err := listen(ctx, address, "/v1/ws", cookies)
	if err != nil {
		return err
	}
	defer all.close()
	after, err := memoryOf(ctx, s)
	if err != nil {
		return err
	}
	perConnection := func(before, after int64) float64 { return float64(after-before) / idleConnections }
	inUse := perConnection(before.inUse, after.inUse)
	fmt.Printf("| bytes an idle connection, of %d | the aim of %d | %.2f | %.0f | %.0f resident | | |\n",
		idleConnections, idleAim, inUse/idleAim, inUse, perConnection(before.resident, after.resident))
	return nil
}

// memory is of the server, in bytes.
type memory struct {
	inUse    int64 // by Go: heap and stacks
	resident int64
}

// memoryOf has the server collect its garbage, and asks what is left.
func memoryOf(ctx context.Context, s *frontdoor.Server) (memory, error) {
	var told struct {
		Memstats struct{ HeapAlloc, StackInuse int64 }
	}
	for _, path := range []string{"/debug/pprof/heap?gc=1", "/debug/pprof/heap?gc=1", "/debug/vars"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+path, nil)
		if err != nil {
			return memory{}, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return memory{}, err
		}
		answer, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return memory{}, err
		}
		if path == "/debug/vars" {
			if err := json.Unmarshal(answer, &told); err != nil {
				return memory{}, err
			}
		}
	}
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.PID))
	if err != nil {
		return memory{}, err // only Linux tells
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		return memory{}, err
	}
	return memory{told.Memstats.HeapAlloc + told.Memstats.StackInuse, pages * int64(os.Getpagesize())}, nil
}
