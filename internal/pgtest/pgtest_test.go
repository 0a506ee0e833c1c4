package pgtest

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(tb testing.TB, address string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", address)
	require.NoError(tb, err)
	tb.Cleanup(func() { db.Close() })
	return db
}

func run(tb testing.TB, db *sql.DB, statement string) {
	tb.Helper()
	_, err := db.ExecContext(tb.Context(), statement)
	require.NoError(tb, err)
}

func ask[T any](tb testing.TB, db *sql.DB, query string) (answer T) {
	tb.Helper()
	require.NoError(tb, db.QueryRowContext(tb.Context(), query).Scan(&answer))
	return answer
}

func TestNewDatabase(t *testing.T) {
	t.Parallel()
	var address string
	t.Run("can be used", func(t *testing.T) {
		address = NewDatabase(t)
		db := open(t, address)
		run(t, db, "CREATE TABLE messages (text TEXT)")
		run(t, db, "INSERT INTO messages VALUES ('héllo')")
		require.Equal(t, "héllo", ask[string](t, db, "SELECT text FROM messages"))
	})
	if address == "" {
		t.Skip("PostgreSQL is missing, as the part before this says: there is no database that could have gone")
	}
	require.Error(t, open(t, address).PingContext(t.Context()), "the database is still there after its test")
}

// A database is dropped even if the test has left connections to it.
func TestNewDatabaseInUse(t *testing.T) {
	t.Parallel()
	var db *sql.DB
	t.Run("left open", func(t *testing.T) {
		db = open(t, NewDatabase(t))
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.PingContext(t.Context()))
	})
	if db != nil {
		require.Error(t, db.PingContext(t.Context()))
	}
}

// Each caller gets a database of its own.
func TestNewDatabaseConcurrently(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := open(t, NewDatabase(t))
			run(t, db, "CREATE TABLE mine (n INTEGER)")
			require.Equal(t, 0, ask[int](t, db, "SELECT count(*) FROM mine"))
		})
	}
}

// The variable's server is used, and its address keeps its options.
func TestNewDatabaseOfVariable(t *testing.T) {
	s := Start(t)
	t.Setenv(addressVariable, fmt.Sprintf("postgres://postgres:%s@%s?sslmode=disable&application_name=me", s.password, s.HostPort()))
	db := open(t, NewDatabase(t))
	require.Equal(t, s.port, ask[int](t, db, "SELECT inet_server_port()"))
	require.Equal(t, "me", ask[string](t, db, "SHOW application_name"))
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := Start(t)
	address := s.NewDatabase(t)
	db := open(t, address)
	run(t, db, "CREATE TABLE messages (text TEXT)")

	for _, end := range []struct {
		name string
		end  func(testing.TB)
	}{{"crash", s.Crash}, {"stop", s.Stop}} {
		run(t, db, "INSERT INTO messages VALUES ('"+end.name+"')")
		// What is not committed keeps neither the server up nor its row.
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "INSERT INTO messages VALUES ('lost')")
		require.NoError(t, err)

		end.end(t)
		require.Error(t, tx.Commit())
		_, err = net.Dial("tcp", s.HostPort())
		require.Error(t, err, "the server still listens after %s", end.name)

		s.Resume(t)
		require.NoError(t, open(t, address).PingContext(t.Context()))
	}
	require.Equal(t, "crash stop", ask[string](t, open(t, address), "SELECT string_agg(text, ' ' ORDER BY text) FROM messages"))
}

// A server ends with its test, in whatever state that leaves it.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		leave func(testing.TB, *Server)
	}{
		{"up", func(testing.TB, *Server) {}},
		{"crashed", func(tb testing.TB, s *Server) { s.Crash(tb) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var s *Server
			t.Run("its test", func(t *testing.T) {
				s = Start(t)
				s.NewDatabase(t)
				c.leave(t, s)
			})
			if s != nil {
				_, err := net.Dial("tcp", s.HostPort())
				require.Error(t, err)
				require.NoDirExists(t, s.folder)
			}
		})
	}
}

// aChild marks a run of this test program that another one started.
const aChild = "PGTEST_CHILD"

// No server outlives a test program that was killed.
func TestKilledProgram(t *testing.T) {
	if os.Getenv(aChild) != "" {
		own := Start(t)
		common, err := shared()
		require.NoError(t, err)
		for _, s := range []*Server{own, common} {
			_, err := fmt.Fprintln(os.Stdout, "server", s.HostPort(), s.folder)
			require.NoError(t, err)
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // waits to be killed
		return
	}
	t.Parallel()
	needPrograms(t)
	self, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(self, "-test.run=^TestKilledProgram$")
	child.Env = append(os.Environ(), aChild+"=1")
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	kill := sync.OnceFunc(func() {
		_ = child.Process.Kill() // it may be gone already
		_ = child.Wait()         // it was killed
	})
	defer kill()

	type server struct{ address, folder string }
	var servers []server
	for lines := bufio.NewScanner(stdout); len(servers) < 2; {
		require.True(t, lines.Scan(), "the child ended without its servers")
		var s server
		if n, _ := fmt.Sscanf(lines.Text(), "server %s %s", &s.address, &s.folder); n == 2 {
			servers = append(servers, s)
		}
	}
	for _, s := range servers {
		conn, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.DirExists(t, s.folder)
	}

	kill()
	for _, s := range servers {
		require.Eventually(t, func() bool {
			_, err := os.Stat(s.folder)
			return errors.Is(err, fs.ErrNotExist)
		}, patience, 10*time.Millisecond, "its folder is still there")
		_, err := net.Dial("tcp", s.address)
		require.Error(t, err, "the server still listens")
	}
}

// outcome records how a test would end.
type outcome struct {
	testing.TB
	how string
}

func (o *outcome) Helper()               {}
func (o *outcome) Skipf(string, ...any)  { o.how += "skip" }
func (o *outcome) Fatalf(string, ...any) { o.how += "fail" }

func TestMissing(t *testing.T) {
	for _, c := range []struct{ required, how string }{
		{"", "skip"},
		{"nats", "skip"},
		{"postgresql", "skip"},
		{"postgres", "fail"},
		{"nats,postgres", "fail"},
		{"nats, postgres", "fail"},
	} {
		t.Run(c.required, func(t *testing.T) {
			t.Setenv(requireVariable, c.required)
			var o outcome
			missing(&o, errors.New("none"))
			require.Equal(t, c.how, o.how)
		})
	}
}

func TestFindPrograms(t *testing.T) {
	root := t.TempDir()
	install := func(folder string, programs ...string) string {
		t.Helper()
		folder = filepath.Join(root, folder)
		require.NoError(t, os.MkdirAll(folder, 0o700))
		for _, program := range programs {
			require.NoError(t, os.WriteFile(filepath.Join(folder, program), []byte("#!/bin/sh\n"), 0o700))
		}
		return folder
	}
	install("debian/9.6/bin", "initdb", "pg_ctl", "postgres")
	newest := install("debian/15/bin", "initdb", "pg_ctl", "postgres")
	install("debian/16/bin", "pg_config") // the client alone
	other := install("local/bin", "initdb", "pg_ctl", "postgres")
	links := install("links")
	require.NoError(t, os.Symlink(filepath.Join(other, "initdb"), filepath.Join(links, "initdb")))
	real, err := filepath.EvalSymlinks(other)
	require.NoError(t, err)

	debian, local := filepath.Join(root, "debian/*/bin"), filepath.Join(root, "local/bin")
	for _, c := range []struct {
		name, path string
		patterns   []string
		found      string
	}{
		{"the highest version", "", []string{debian}, newest},
		{"the first pattern", "", []string{local, debian}, other},
		{"a pattern without any", "", []string{filepath.Join(root, "none/*/bin"), debian}, newest},
		{"a link in PATH", links, []string{debian}, real},
		{"none", "", []string{filepath.Join(root, "none/*/bin")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", c.path)
			found, err := findPrograms(c.patterns...)
			require.Equal(t, c.found, found)
			require.Equal(t, c.found == "", err != nil, "%v", err)
		})
	}
}

func BenchmarkNewDatabase(b *testing.B) {
	NewDatabase(b) // starts the server
	for b.Loop() {
		NewDatabase(b)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := launch()
		require.NoError(b, err)
		require.NoError(b, s.end())
	}
}
