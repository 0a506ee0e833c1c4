package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// site is a Caddy with the module, and beside it, on the same port, what it is
// measured against.
const site = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {$DIR}/messaging.db
		bcrypt_cost 4
		rate_limits off
	}
	handle /files/* {
		root {$DIR}
		file_server
	}
	respond /respond ` + "`" + `{"id":1,"chat_id":1,"kind":"group","seq":1,"sender_id":1,"sender_username":"user1","text":"hello, this is a message of ordinary length","created_at":"2006-01-02T15:04:05.000000Z"}` + "`" + ` 200
}
`

// serve starts the site, and returns it with what ends it.
func serve(ctx context.Context) (*frontdoor.Server, func(), error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) } // in the system's folder for such things
	s, err := frontdoor.Run(ctx, frontdoor.Options{Caddyfile: site, Dir: dir})
	if err != nil {
		remove()
		return nil, nil, err
	}
	return s, func() { s.Kill(); remove() }, nil
}

// person is somebody signed in.
type person struct {
	url    string
	cookie string
}

// signUp makes an account and signs in.
func signUp(ctx context.Context, url, username string) (*person, error) {
	p := &person{url: url}
	credentials := fmt.Sprintf(`{"username":%q,"password":"open sesame"}`, username)
	if _, err := p.do(ctx, http.MethodPost, "/v1/auth/register", credentials); err != nil {
		return nil, err
	}
	if _, err := p.do(ctx, http.MethodPost, "/v1/auth/login", credentials); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *person) do(ctx context.Context, method, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if p.cookie != "" {
		req.Header.Set("Cookie", p.cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if cookies := resp.Cookies(); len(cookies) > 0 {
		p.cookie = cookies[0].Name + "=" + cookies[0].Value
	}
	return answer, nil
}

const text = "hello, this is a message of ordinary length"

// sends measures durable messages, from people who each have a group of their
// own, against Caddy answering the same requests with a fixed text.
func sends(ctx context.Context, b *bench) error {
	s, end, err := serve(ctx)
	if err != nil {
		return err
	}
	defer end()
	const people = 64
	requests := make([][]byte, people)
	for i := range people {
		p, err := signUp(ctx, s.URL, fmt.Sprintf("user%d", i))
		if err != nil {
			return err
		}
		if _, err := p.do(ctx, http.MethodPost, "/v1/group_chat", "{}"); err != nil {
			return err
		}
		body := fmt.Sprintf(`{"group_chat_id":%d,"message":%q}`, i+1, text)
		requests[i] = request(http.MethodPost, "/v1/messages", p.cookie, body)
	}
	respond := request(http.MethodPost, "/respond", strings.Repeat("x", 180), fmt.Sprintf(`{"group_chat_id":1,"message":%q}`, text))
	for _, connections := range b.connections() {
		over := func(request func(connection, n int) []byte) func() (result, error) {
			return load{
				address: strings.TrimPrefix(s.URL, "http://"), connections: connections,
				duration: b.duration, request: request,
			}.bind(ctx)
		}
		err := b.compare(fmt.Sprintf("durable POST /v1/messages, %d connections", connections), "respond",
			b.profiled(ctx, s, over(func(connection, _ int) []byte { return requests[connection%people] })),
			over(func(int, int) []byte { return respond }))
		if err != nil {
			return err
		}
	}
	return nil
}

// page measures a page of 50 messages against file_server sending the same
// bytes.
func page(ctx context.Context, b *bench) error {
	s, end, err := serve(ctx)
	if err != nil {
		return err
	}
	defer end()
	p, err := signUp(ctx, s.URL, "user")
	if err != nil {
		return err
	}
	if _, err := p.do(ctx, http.MethodPost, "/v1/group_chat", "{}"); err != nil {
		return err
	}
	for range 1000 {
		if _, err := p.do(ctx, http.MethodPost, "/v1/messages", fmt.Sprintf(`{"group_chat_id":1,"message":%q}`, text)); err != nil {
			return err
		}
	}
	const path = "/v1/group_chat/messages/group/1?limit=50&before=501"
	bytes, err := p.do(ctx, http.MethodGet, path, "")
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.Dir, "files"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "files", "page.json"), bytes, 0o644); err != nil {
		return err
	}
	over := func(r []byte) func() (result, error) {
		return load{
			address: strings.TrimPrefix(s.URL, "http://"), connections: 64, duration: b.duration,
			request: func(int, int) []byte { return r },
		}.bind(ctx)
	}
	err = b.compare("page of 50 messages, 64 connections", "file_server",
		b.profiled(ctx, s, over(request(http.MethodGet, path, p.cookie, ""))),
		over(request(http.MethodGet, "/files/page.json", p.cookie, "")))
	return err
}

func (l load) bind(ctx context.Context) func() (result, error) {
	return func() (result, error) { return l.run(ctx) }
}

// profiled takes the server's CPU profile while something is measured, if one
// was asked for.
func (b *bench) profiled(ctx context.Context, s *frontdoor.Server, measure func() (result, error)) func() (result, error) {
	if b.profile == "" {
		return measure
	}
	return func() (result, error) {
		done := make(chan error, 1)
		go func() { done <- b.takeProfile(ctx, s) }()
		r, err := measure()
		return r, errors.Join(err, <-done)
	}
}

func (b *bench) takeProfile(ctx context.Context, s *frontdoor.Server) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%.0f", s.Admin, b.duration.Seconds())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	profile, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(b.profile, profile, 0o644)
}
