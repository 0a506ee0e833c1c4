package pgtest

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/freeport"
)

//go:embed supervise.sh
var supervise string

// Server is a PostgreSQL that runs under a shell of its own. That shell ends it
// and removes its folder as soon as nobody holds the other end of the shell's
// stdin, which the test program alone does. So a server never outlives the
// tests, even if they are killed.
type Server struct {
	folder   string
	port     int
	password string

	shell   *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader

	mu      sync.Mutex // one order at a time
	running bool
}

// Start starts a server of the test's own, which ends with the test. It skips
// and fails as [NewDatabase] does; but MESSAGING_TEST_POSTGRES can't serve here.
func Start(tb testing.TB) *Server {
	tb.Helper()
	needPrograms(tb)
	s, err := launch()
	require.NoError(tb, err)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the log of PostgreSQL:\n%s", s.log())
		}
		require.NoError(tb, s.end())
	})
	return s
}

// NewDatabase makes an empty database on this server and returns its address. It
// is dropped with the test.
func (s *Server) NewDatabase(tb testing.TB) string {
	tb.Helper()
	server := &url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", s.password), Host: s.HostPort(),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	name := createDatabase(tb, server)
	tb.Cleanup(func() {
		s.mu.Lock()
		running := s.running
		s.mu.Unlock()
		if running { // else it goes with the server's folder
			dropDatabase(tb, server, name)
		}
	})
	return inDatabase(server, name)
}

// HostPort is where the server listens.
func (s *Server) HostPort() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Crash ends the server at once, without a checkpoint, and cuts all connections.
// It returns when the server is gone.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, s.order("crash"))
}

// Stop shuts the server down in order: running transactions are rolled back. It
// returns when the server is gone.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, s.order("stop"))
}

// Resume starts a server that has crashed or was stopped, on the same port with
// the same data. It returns when the server takes connections.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, s.order("start"))
}

// launch starts a server in a new folder.
func launch() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	attr, err := unprivileged()
	if err != nil {
		return nil, err
	}
	// Not the test's own folder: another user could not reach it, and the shared
	// server outlives its first test.
	folder, err := os.MkdirTemp(parent(), "pgtest-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, password: rand.Text()}
	passwordFile := filepath.Join(folder, "password")
	if err := errors.Join(
		os.WriteFile(passwordFile, []byte(s.password), 0o600),
		handOver(passwordFile, attr), handOver(folder, attr),
	); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}

	s.shell = exec.CommandContext(context.Background(), "/bin/sh", "-c", supervise, "sh", bin)
	s.shell.Dir = folder
	// Nothing else, because PG… variables would change what the programs do.
	s.shell.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	s.shell.SysProcAttr = attr
	answers, err := s.shell.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	s.answers = bufio.NewReader(answers)
	if s.orders, err = s.shell.StdinPipe(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := s.shell.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the shell of PostgreSQL: %w", err), os.RemoveAll(folder))
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *Server) initialise() error {
	if err := s.order("init"); err != nil {
		return err
	}
	for attempts := 3; ; attempts-- {
		var err error
		if s.port, err = freeport.Find(); err != nil {
			return err
		}
		// The port may have been taken meanwhile.
		if err = s.order("start"); err == nil || attempts == 1 {
			return err
		}
	}
}

// order has the shell do something, and returns when that is done.
func (s *Server) order(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintln(s.orders, what, s.port); err != nil {
		return fmt.Errorf("%s PostgreSQL: %w", what, err)
	}
	answer, err := s.answers.ReadString('\n')
	if err != nil {
		return fmt.Errorf("%s PostgreSQL: its shell ended: %w", what, err)
	}
	if status := strings.TrimSpace(answer); status != "0" {
		return fmt.Errorf("%s PostgreSQL: exit status %s\n%s", what, status, s.log())
	}
	s.running = what == "start"
	return nil
}

// end ends the server and removes its folder.
func (s *Server) end() error {
	err := s.orders.Close()
	// Where the folder of temporary files is root's alone, the shell could only
	// empty ours, and has failed.
	_ = s.shell.Wait()
	return errors.Join(err, os.RemoveAll(s.folder))
}

// log is what PostgreSQL has logged so far.
func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
