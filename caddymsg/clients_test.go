package caddymsg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/browser"
	"github.com/caddymsg/messaging/internal/frontdoor"
)

// cable leads to a server, and can be cut.
type cable struct {
	url string

	mu    sync.Mutex
	conns []net.Conn
}

func newCable(t *testing.T, server string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{url: "http://" + l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			there, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
			if err != nil {
				_ = here.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, here, there)
			c.mu.Unlock()
			carry := func(from, to net.Conn) {
				_, _ = io.Copy(to, from) // until either ends
				_, _ = from.Close(), to.Close()
			}
			running.Go(func() { carry(here, there) })
			running.Go(func() { carry(there, here) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
		running.Wait()
	})
	return c
}

// cut ends what goes on now.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close() // it may be closed
	}
	c.conns = nil
}

// goAway is how a proxy ends a WebSocket when it ends itself: with the code 1001.
func (c *cable) goAway() {
	c.mu.Lock()
	for n := 0; n < len(c.conns); n += 2 { // the clients' ends
		_, _ = c.conns[n].Write([]byte{0x88, 2, 1001 >> 8, 1001 & 0xff}) // it may be closed
	}
	c.mu.Unlock()
}

// TestGoClient runs the client of the documentation.
func TestGoClient(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{})
	alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
	alice.Post("/v1/chats", `{"username":"bob"}`).Want(200)
	wire := newCable(t, s.URL)
	program := filepath.Join(t.TempDir(), "client")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../docs/clients/go").CombinedOutput()
	require.NoError(t, err, "%s", out)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := exec.CommandContext(ctx, program, wire.url, "bob")
	client.Env = append(os.Environ(), "PASSWORD=open sesame")
	printed, err := client.StdoutPipe()
	require.NoError(t, err)
	var told strings.Builder
	client.Stderr = &told
	require.NoError(t, client.Start())
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(printed); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	lifeEventually(t, "it follows", func() bool {
		send(t, alice, "bob", "probe")
		select {
		case line := <-lines:
			return strings.Contains(line, "probe")
		default:
			return false
		}
	})
	next := func(text string) {
		t.Helper()
		send(t, alice, "bob", text)
		for line := range lines {
			if !strings.Contains(line, "probe") {
				require.Contains(t, line, `"text":"`+text+`"`)
				return
			}
		}
		require.Fail(t, "the client has ended")
	}
	for n, end := range []func(){wire.cut, wire.goAway, wire.cut} {
		next(fmt.Sprintf("message %d.1", n))
		next(fmt.Sprintf("message %d.2", n))
		end()
		next("meanwhile")
	}
	bob.Post("/v1/auth/logout", "").Want(200) // another session
	bob.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(200)
	bob.Delete("/v1/me").Want(200)
	for line := range lines { // what is told of the account
		require.NotContains(t, line, `"message.created"`)
	}
	require.Error(t, client.Wait())
	require.Contains(t, told.String(), "sign in again")
}

// TestBrowserClient runs the client of the documentation in a browser.
func TestBrowserClient(t *testing.T) {
	t.Parallel()
	page := browser.Start(t)
	clients, err := filepath.Abs(filepath.Join("..", "docs", "clients"))
	require.NoError(t, err)
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
	header /page Content-Type text/html
	respond /page "<!doctype html><title>page</title>"
	file_server {
		root {$CLIENTS}
	}
}
`, Env: []string{"CLIENTS=" + clients}})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	frontdoor.SignUp(t, s.URL, "bob")
	chat := decode[struct{ ID int64 }](alice.Post("/v1/chats", `{"username":"bob"}`)).ID
	wire := newCable(t, s.URL)
	require.NoError(t, chromedp.Do(page, chromedp.Navigate(wire.url+"/page")))
	require.Equal(t, 200, browser.Eval[int](t, page, `fetch("/v1/auth/login", {
		method: "POST", body: JSON.stringify({username: "bob", password: "open sesame"}),
	}).then((r) => r.status)`))
	browser.Eval[bool](t, page, `import("/browser.js").then(({follow}) => {
		window.told = []; window.resyncs = []; window.ends = [];
		window.client = follow({
			onEvent: (e) => told.push(e), onResync: (e) => resyncs.push(e), onEnd: (why) => ends.push(why),
		});
		return true;
	})`)
	lifeEventually(t, "it follows", func() bool {
		send(t, alice, "bob", "probe")
		return browser.Eval[int](t, page, "told.length") > 0
	})

	const heard = `told.map((e) => e.data.text).filter((text) => text !== "probe")`
	sent := 0
	texts := func() (texts []string) {
		t.Helper()
		browser.Await(t, page, fmt.Sprintf("%s.length >= %d", heard, sent))
		return browser.Eval[[]string](t, page, heard)
	}
	var want []string
	write := func() {
		sent++
		want = append(want, fmt.Sprint("message ", sent))
		send(t, alice, "bob", want[len(want)-1])
	}
	for range 3 {
		write()
		require.Equal(t, want, texts())
		wire.cut()
		write()
		write()
		require.Equal(t, want, texts(), "none missed, none twice")
	}

	answer := browser.Eval[string](t, page, fmt.Sprintf(
		`client.command("message.send", {chat_id: %d, text: "from the page", client_id: "k1"}).then(JSON.stringify)`, chat))
	sent, want = sent+1, append(want, "from the page")
	var frame struct {
		Type string
		Data struct{ Text string }
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &frame))
	require.Equal(t, "answer", frame.Type, answer)
	require.Equal(t, "from the page", frame.Data.Text)
	require.Equal(t, want, texts())
	require.Equal(t, "not_found", strings.ReplaceAll(browser.Eval[string](t, page,
		`client.command("message.edit", {message_id: 99999, text: "x"}).then((f) => f.data.code)`), "message_", ""))

	browser.Eval[int](t, page, `fetch("/v1/auth/logout", {method: "POST"}).then((r) => r.status)`)
	browser.Await(t, page, "ends.length === 1")
	require.Equal(t, []string{"session_ended"}, browser.Eval[[]string](t, page, "ends"))
	require.Zero(t, browser.Eval[int](t, page, "resyncs.length"))
}

// TestDocumentedClients holds the documentation to the files that are tested.
func TestDocumentedClients(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "realtime.md"))
	require.NoError(t, err)
	for language, file := range map[string]string{"js": "browser.js", "go": filepath.Join("go", "main.go")} {
		blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1)
		require.Len(t, blocks, 1, language)
		code, err := os.ReadFile(filepath.Join("..", "docs", "clients", file))
		require.NoError(t, err)
		require.Equal(t, string(code), blocks[0][1], file)
	}
}
