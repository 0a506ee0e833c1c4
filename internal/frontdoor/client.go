package frontdoor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// Start runs Caddy for a test, in a folder of its own, and ends it with the
// test. The test fails if the race detector found something in the server.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Run(ctx, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		s.Kill()
		if strings.Contains(s.Log(), "DATA RACE") {
			tb.Error("the server has a data race")
		}
		if tb.Failed() {
			tb.Log(s.Log())
		}
	})
	return s
}

// Client is a person's browser: it keeps cookies.
type Client struct {
	// HTTP may be changed before the first request.
	HTTP *http.Client
	// Unchecked says why this client's answers are not held to the API's
	// document. Empty: they are.
	Unchecked string
	base      string
	tb        testing.TB
}

// NewClient makes a client of the site at a URL.
func NewClient(tb testing.TB, base string) *Client {
	tb.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	tb.Cleanup(transport.CloseIdleConnections)
	return &Client{HTTP: &http.Client{Jar: jar, Transport: transport}, base: base, tb: tb}
}

// For is the same client for a part of its test.
func (c *Client) For(tb testing.TB) *Client {
	part := *c
	part.tb = tb
	return &part
}

// Password is what everybody has, of whom a test does not say otherwise.
const Password = "open sesame"

// SignUp makes an account with the [Password], signs in, and returns
// the client of its owner.
func SignUp(tb testing.TB, base, username string) *Client {
	tb.Helper()
	c := NewClient(tb, base)
	credentials := JSON(tb, map[string]string{"username": username, "password": Password})
	c.Post("/v1/auth/register", credentials).Want(http.StatusOK)
	c.Post("/v1/auth/login", credentials).Want(http.StatusOK)
	return c
}

// JSON encodes a value.
func JSON(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// Response is an answer, read to its end.
type Response struct {
	*http.Response
	Text string
	tb   testing.TB
}

// Get asks for a path.
func (c *Client) Get(path string) *Response {
	c.tb.Helper()
	return c.Do(http.MethodGet, path, "")
}

// Post sends a body to a path.
func (c *Client) Post(path, body string) *Response {
	c.tb.Helper()
	return c.Do(http.MethodPost, path, body)
}

// Delete deletes a path.
func (c *Client) Delete(path string) *Response {
	c.tb.Helper()
	return c.Do(http.MethodDelete, path, "")
}

// Do sends a request; header is names and values in turn. The test fails if
// there is no answer.
func (c *Client) Do(method, path, body string, header ...string) *Response {
	c.tb.Helper()
	r, err := c.Try(c.tb.Context(), method, path, body, header...)
	if err != nil {
		c.tb.Fatal(err)
	}
	return r
}

// Try is Do for requests that may fail. The test fails if an answer of the API
// is not as its document says.
func (c *Client) Try(ctx context.Context, method, path, body string, header ...string) (*Response, error) {
	c.tb.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if c.Unchecked == "" {
		if err := checkAnswer(resp, string(text)); err != nil {
			c.tb.Errorf("not as documented: %v\n%.1000s", err, text)
		}
	}
	return &Response{Response: resp, Text: string(text), tb: c.tb}, nil
}

// Want fails the test if the status is another.
func (r *Response) Want(status int) *Response {
	r.tb.Helper()
	if r.StatusCode != status {
		r.tb.Fatalf("%s %s: got status %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, r.Text)
	}
	return r
}

// Decode reads the JSON of the answer into a value.
func (r *Response) Decode(into any) {
	r.tb.Helper()
	if err := json.Unmarshal([]byte(r.Text), into); err != nil {
		r.tb.Fatalf("%s %s: %v: %s", r.Request.Method, r.Request.URL, err, r.Text)
	}
}

// Field returns a field of the JSON object in the answer.
func (r *Response) Field(name string) any {
	r.tb.Helper()
	var object map[string]any
	r.Decode(&object)
	return object[name]
}
