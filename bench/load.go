package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// load sends one request after the other over each of its connections, and
// waits for each answer. Its client does no more than that takes, so that what
// is measured is the server, on a machine that both share.
type load struct {
	address     string // host:port
	connections int
	duration    time.Duration
	// request makes the bytes of a request; it is given the number of the
	// connection, and the number of the request on it.
	request func(connection, n int) []byte
}

// result is what a load came to.
type result struct {
	perSecond float64
	p50, p99  time.Duration
}

// run runs the load. Any answer but 200 is an error: a failure is fast, and
// must not count.
func (l load) run(ctx context.Context) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration)
	defer cancel()
	return measure(l.connections, func(connection int) ([]time.Duration, error) {
		return l.connection(ctx, connection)
	})
}

// measure runs callers beside each other, each of which tells how long each of
// the things that it did has taken.
func measure(callers int, call func(caller int) ([]time.Duration, error)) (result, error) {
	var (
		wg        sync.WaitGroup
		mu        sync.Mutex
		latencies []time.Duration
		failure   error
	)
	start := time.Now()
	for i := range callers {
		wg.Go(func() {
			took, err := call(i)
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, took...)
			failure = errors.Join(failure, err)
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	if failure != nil {
		return result{}, failure
	}
	return summary(latencies, elapsed), nil
}

// summary is of things that took so long each, and together.
func summary(took []time.Duration, elapsed time.Duration) result {
	slices.Sort(took)
	return result{
		perSecond: float64(len(took)) / elapsed.Seconds(),
		p50:       took[len(took)/2],
		p99:       took[len(took)*99/100],
	}
}

func (l load) connection(ctx context.Context, number int) ([]time.Duration, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var took []time.Duration
	r := bufio.NewReader(conn)
	for n := 0; ctx.Err() == nil; n++ {
		start := time.Now()
		if _, err := conn.Write(l.request(number, n)); err != nil {
			return nil, err
		}
		if err := readOK(r); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// readOK reads an answer of known length and throws its body away.
func readOK(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := strings.HasPrefix(string(status), "HTTP/1.1 200 ")
	told := strings.TrimSpace(string(status))
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		if textproto.CanonicalMIMEHeaderKey(name) == "Content-Length" {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	if !ok {
		body, err := io.ReadAll(io.LimitReader(r, int64(length)))
		return errors.Join(fmt.Errorf("%s: %s", told, body), err)
	}
	_, err = r.Discard(length)
	return err
}

// request puts a request together.
func request(method, path, cookie, body string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, path)
	if cookie != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", cookie)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.WriteString(body)
	return []byte(b.String())
}
