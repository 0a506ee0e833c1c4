// Package frontdoor starts a real Caddy with the messaging module, as a
// process of its own, for tests and benchmarks: they come in through the door
// that users come in through.
package frontdoor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard" // what every Caddy has

	_ "github.com/caddymsg/messaging/caddymsg" // what this one has besides
)

// actAsCaddy is the environment variable that makes a program Caddy.
const actAsCaddy = "FRONTDOOR_ACT_AS_CADDY"

// ActAsCaddy makes this program Caddy, if it was started by [Run] to be that,
// and then does not return. A test binary calls it in TestMain, so that the
// server is built as the tests are: with the race detector, if they have it.
func ActAsCaddy() {
	if os.Getenv(actAsCaddy) != "" {
		caddycmd.Main()
		os.Exit(0)
	}
}

// DefaultCaddyfile is a site with the module and cheap passwords. Who tests does more
// than people do.
const DefaultCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`

// Options say how to run Caddy.
type Options struct {
	// Caddyfile is the configuration. In it, {$DIR} is a folder of the
	// server's own, and {$PORT} and {$PORT2} are ports to listen on. Default:
	// [DefaultCaddyfile].
	Caddyfile string
	// Database is {env.DATABASE}: the path or the address of a database.
	// Default: messaging.db in Dir.
	Database string
	// Dir is {$DIR}. Caddy's own data goes there, too.
	Dir string
	// Env is added to the environment.
	Env []string
}

func (o Options) database() string {
	if o.Database == "" {
		return filepath.Join(o.Dir, "messaging.db")
	}
	return o.Database
}

// Server is a running Caddy.
type Server struct {
	// URL is http://127.0.0.1:{$PORT}; URL2 is that of {$PORT2}.
	URL, URL2 string
	// Admin is the address of Caddy's admin API.
	Admin string
	// Database is the path or the address of {env.DATABASE}.
	Database string
	// Dir is its folder.
	Dir string
	// PID is of its process.
	PID int

	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{}
	err  error // how the process ended; read it after done
}

// Command is a Caddy command, such as validate, that runs in {$DIR}.
func Command(ctx context.Context, opts Options, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir = opts.Dir
	cmd.Env = append(os.Environ(), actAsCaddy+"=1", "DIR="+opts.Dir, "DATABASE="+opts.database(),
		"XDG_DATA_HOME="+opts.Dir, "XDG_CONFIG_HOME="+opts.Dir, "HOME="+opts.Dir)
	cmd.Env = append(cmd.Env, opts.Env...)
	return cmd, nil
}

// Run starts Caddy and returns when it listens. The caller ends it.
func Run(ctx context.Context, opts Options) (*Server, error) {
	if opts.Caddyfile == "" {
		opts.Caddyfile = DefaultCaddyfile
	}
	path := filepath.Join(opts.Dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(opts.Caddyfile), 0o600); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL: "http://127.0.0.1:" + ports[0], URL2: "http://127.0.0.1:" + ports[1],
		Admin: "http://127.0.0.1:" + ports[2], Database: opts.database(), Dir: opts.Dir, done: make(chan struct{}),
	}
	opts.Env = append([]string{"PORT=" + ports[0], "PORT2=" + ports[1], "CADDY_ADMIN=127.0.0.1:" + ports[2]}, opts.Env...)
	// Not ctx: it bounds the start, and not the server's life.
	s.cmd, err = Command(context.WithoutCancel(ctx), opts, "run", "--config", path, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	err = s.awaitStart(ctx, "127.0.0.1:"+ports[0])
	if err == nil && strings.Contains(opts.Caddyfile, "{$PORT2}") { // Caddy opens one after the other
		err = s.awaitStart(ctx, "127.0.0.1:"+ports[1])
	}
	if err != nil {
		s.Kill()
		return nil, fmt.Errorf("start Caddy: %w\n%s", err, s.Log())
	}
	return s, nil
}

func (s *Server) awaitStart(ctx context.Context, address string) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %w", s.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Reload gives the server another Caddyfile, as `caddy reload` does.
func (s *Server) Reload(ctx context.Context, caddyfile string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // reload what has not changed, too
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("reload Caddy: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("reload Caddy: %s: %s", resp.Status, answer)
	}
	return nil
}

// Stop asks the server to end, as a service manager does, and waits until it
// has, or until ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("stop Caddy: %w", ctx.Err())
	}
}

// Kill ends the server as a crash does, and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.done
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.log.String() }

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]string, error) {
	ports := make([]string, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end: else one might be found twice
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
