package caddymsg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// lifeSite is a site on a port, with options in its messaging block.
func lifeSite(port string, options ...string) string {
	options = append(options, "rate_limits off") // who tests does more than people do
	return "http://127.0.0.1:" + port + " {\n\tmessaging {\n\t\t" + strings.Join(options, "\n\t\t") + "\n\t}\n}\n"
}

type lifeMessage struct {
	ID             int64  `json:"id"`
	ChatID         int64  `json:"chat_id"`
	Seq            int64  `json:"seq"`
	SenderUsername string `json:"sender_username"`
	Text           string `json:"text"`
}

func lifeMessages(c *frontdoor.Client, path string) (messages []lifeMessage) {
	c.Get(path).Want(http.StatusOK).Decode(&messages)
	return messages
}

func lifeTexts(messages []lifeMessage) []string {
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = m.Text
	}
	return texts
}

// lifeToSelf is the body of a message to oneself.
func lifeToSelf(t testing.TB, username, text string) string {
	return frontdoor.JSON(t, map[string]string{"dest_username": username, "message": text})
}

// lifeEventually waits until something is so. The deadline is there to end a
// test that would hang.
func lifeEventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

// lifeAgain makes a client that holds the cookies of another, for a server
// that was started anew.
func lifeAgain(t testing.TB, c *frontdoor.Client, base string) *frontdoor.Client {
	again := frontdoor.NewClient(t, base)
	again.HTTP.Jar = c.HTTP.Jar
	return again
}

// lifeReload reloads the configuration and waits until the old one's listeners
// are closed. A connection that is made to them just before is reset: that is
// Caddy's doing, on Linux (SO_REUSEPORT), with any handler.
func lifeReload(t *testing.T, s *frontdoor.Server, caddyfile string, clients ...*frontdoor.Client) {
	t.Helper()
	require.NoError(t, s.Reload(t.Context(), caddyfile))
	lifeAwaitListeners(t, s)
	for _, c := range clients {
		c.HTTP.CloseIdleConnections() // the server has closed them
	}
}

// lifeAwaitListeners waits until one configuration alone listens.
func lifeAwaitListeners(t *testing.T, s *frontdoor.Server) {
	t.Helper()
	lifeEventually(t, "the other listeners are closed", func() bool {
		return lifeListeners(t, s.URL) < 2 && lifeListeners(t, s.URL2) < 2 && lifeListeners(t, s.Admin) < 2
	})
}

// lifeListeners counts the sockets that listen on the port of a URL, where the
// system tells.
func lifeListeners(t *testing.T, base string) (count int) {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	number, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	port := fmt.Sprintf(":%04X", number)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		sockets, _ := os.ReadFile(table)
		for line := range strings.Lines(string(sockets)) {
			if f := strings.Fields(line); strings.HasSuffix(f[1], port) && f[3] == "0A" {
				count++
			}
		}
	}
	return count
}

// While the configuration is reloaded, every request that gets as far as this
// module is answered, with no 5xx, and each message is stored once.
//
// Caddy itself resets some connections, see lifeReload, and closes idle ones
// that a client may be writing to. Clients try those requests again, and the
// server must not have seen them before.
func TestReloadUnderLoad(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const clients, reloads = 32, 20
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		owner := frontdoor.SignUp(t, s.URL, "owner")
		group := newGroup(owner)

		var (
			done     atomic.Bool
			answered atomic.Int64
			mu       sync.Mutex
			sent     []string
			failure  atomic.Pointer[string]
			wg       sync.WaitGroup
		)
		ask := func(c *frontdoor.Client, method, path, body string) (ok bool) {
			var lost error
			for range 20 {
				r, err := c.Try(t.Context(), method, path, body)
				switch {
				case err != nil:
					lost = err
				case r.StatusCode != http.StatusOK:
					failure.Store(new(fmt.Sprint(method, " ", path, ": ", r.StatusCode, r.Text)))
					return false
				default:
					answered.Add(1)
					return true
				}
			}
			failure.Store(new(lost.Error()))
			return false
		}
		for i := range clients {
			name := fmt.Sprint("user", i)
			c := frontdoor.SignUp(t, s.URL, name)
			add(t, owner, group, name)
			if i%2 == 0 { // a connection for each request, and not for all
				transport := c.HTTP.Transport.(*http.Transport).Clone()
				transport.DisableKeepAlives = true
				c.HTTP.Transport = transport
			}
			wg.Go(func() {
				for n := 0; !done.Load(); n++ {
					text := fmt.Sprintf("%s %d", name, n)
					if !ask(c, http.MethodPost, "/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"%s"}`, group, text)) {
						return
					}
					mu.Lock()
					sent = append(sent, text)
					mu.Unlock()
					if !ask(c, http.MethodGet, fmt.Sprintf("/v1/messages/group/%d?limit=5", group), "") {
						return
					}
				}
			})
		}

		for n := range reloads {
			before := answered.Load()
			if err := s.Reload(t.Context(), lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost "+strconv.Itoa(4+n%2))); err != nil {
				failure.Store(new(err.Error()))
			}
			lifeEventually(t, "requests are answered again", func() bool {
				return answered.Load() >= before+clients || failure.Load() != nil
			})
		}
		done.Store(true)
		wg.Wait()

		if why := failure.Load(); why != nil {
			t.Fatal(*why)
		}
		lifeEventually(t, "as many requests were answered as answers have come", func() bool {
			requests := lifeMetrics(t, s).requests()
			return requests["POST /v1/messages 200"]+requests["GET /v1/messages/group/{group_chat_id} 200"] == float64(answered.Load())
		})
		messages := lifeMessages(owner, fmt.Sprintf("/v1/messages/group/%d", group))
		require.ElementsMatch(t, sent, lifeTexts(messages))
		for i, m := range messages {
			require.EqualValues(t, i+1, m.Seq)
		}
	})
}

// Fifty reloads leave nothing behind.
func TestReloadsDoNotLeak(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4")})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		open := func() int {
			if _, err := os.Stat("/proc/self/fd"); err != nil {
				return 0 // this system does not tell
			}
			return len(lifeOpenFiles(t, s, ""))
		}
		reload := func(times int) {
			for n := range times {
				lifeReload(t, s, lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost "+strconv.Itoa(4+n%2)), alice)
				alice.Post("/v1/messages", lifeToSelf(t, "alice", "hi")).Want(http.StatusOK)
			}
		}
		reload(5) // until everything that is made once has been made
		goroutines, files := lifeGoroutines(t, s), open()
		reload(50)
		// Less than a fifth of what one leak a reload would come to. The old
		// configurations end in the background, and so do the locks on Caddy's
		// storage.
		lifeEventually(t, "no more goroutines run than before", func() bool { return lifeGoroutines(t, s) < goroutines+10 })
		lifeEventually(t, "no more files are open than before", func() bool { return open() < files+10 })
		require.Len(t, lifeMessages(alice, "/v1/messages"), 55)
	})
}

func lifeGoroutines(t *testing.T, s *frontdoor.Server) (total int) {
	t.Helper()
	admin := frontdoor.NewClient(t, s.Admin)
	defer admin.HTTP.CloseIdleConnections() // it would be counted the next time
	profile := admin.Get("/debug/pprof/goroutine?debug=1").Want(http.StatusOK).Text
	_, err := fmt.Sscanf(profile, "goroutine profile: total %d", &total)
	require.NoError(t, err)
	return total
}

// lifeOpenFiles are the files with a prefix that the server has open.
func lifeOpenFiles(t *testing.T, s *frontdoor.Server, prefix string) (names []string) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", s.PID)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		name, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err == nil && strings.HasPrefix(name, prefix) { // else it was closed meanwhile
			names = append(names, name)
		}
	}
	return names
}

// A reload to another database serves this one at once. What was asked of the
// old one is answered to the end, and then it is closed.
func TestReloadToAnotherDatabase(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		next := engine.NewDatabase(t)
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Env: []string{"NEXT=" + next}})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		want := lifeFillHistory(t, alice, "alice")
		reader := lifeOpenHistory(t, s, alice)

		lifeReload(t, s, lifeSite("{$PORT}", "bcrypt_cost 4", "database {env.NEXT}"), alice)
		alice.Get("/v1/messages").Want(http.StatusUnauthorized)
		frontdoor.SignUp(t, s.URL, "alice").Post("/v1/messages", lifeToSelf(t, "alice", "new")).Want(http.StatusOK)
		require.Equal(t, want, reader.countMessages())

		open := func(database string) int { return len(lifeOpenFiles(t, s, database)) }
		if engine == frontdoor.Postgres {
			open = func(database string) int { return lifeConnections(t, database) }
		} else if _, err := os.Stat("/proc/self/fd"); err != nil {
			t.Skip("there is no /proc/self/fd, which tells the files that are open")
		}
		lifeEventually(t, "the old database is closed", func() bool { return open(s.Database) == 0 })
		require.Positive(t, open(next))
		require.NoFileExists(t, s.Database+"-wal", "it was not closed in an orderly way")
	})
}

// lifeConnections counts the connections to a PostgreSQL database, but for its
// own.
func lifeConnections(t *testing.T, database string) (count int) {
	t.Helper()
	db := frontdoor.OpenDatabase(t, database)
	defer db.Close()
	require.NoError(t, db.QueryRow(`
		SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&count))
	return count
}

// Who reads slowly, or not at all, holds nobody up: neither those who send nor
// a reload.
func TestStalledReaderHoldsNobodyUp(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		want := lifeFillHistory(t, alice, "alice")
		// More of them than there are connections to the database to read with.
		readers := make([]*lifeReader, 40)
		for i := range readers {
			readers[i] = lifeOpenHistory(t, s, alice)
		}
		lifeEventually(t, "all of them are stalled", func() bool {
			return lifeMetrics(t, s).sum("messaging_open_connections") >= float64(len(readers))
		})

		bob := frontdoor.SignUp(t, s.URL, "bob")
		for n := range 20 {
			bob.Post("/v1/messages", lifeToSelf(t, "bob", fmt.Sprint(n))).Want(http.StatusOK)
			require.Len(t, lifeMessages(bob, "/v1/messages"), n+1)
		}
		lifeReload(t, s, frontdoor.DefaultCaddyfile, bob)
		bob.Post("/v1/messages", lifeToSelf(t, "bob", "after the reload")).Want(http.StatusOK)
		require.Equal(t, want, readers[0].countMessages(), "what was sent meanwhile is not in it, and nothing is missing")
	})
}

// lifeFillHistory sends as much as no socket's buffers hold, and returns how
// many messages that is.
func lifeFillHistory(t *testing.T, c *frontdoor.Client, username string) int {
	t.Helper()
	const senders, each = 8, 20
	body := lifeToSelf(t, username, strings.Repeat("😀", 10_000)) // 40 kB
	var failed atomic.Pointer[string]
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				r, err := c.Try(t.Context(), http.MethodPost, "/v1/messages", body)
				if err != nil || r.StatusCode != http.StatusOK {
					failed.Store(new(fmt.Sprint(r, err)))
				}
			}
		})
	}
	wg.Wait()
	if why := failed.Load(); why != nil {
		t.Fatal(*why)
	}
	// There may be a connection among them that was never used. For some
	// seconds, net/http waits at its end for a request to come over it.
	c.HTTP.CloseIdleConnections()
	return senders * each
}

// lifeReader is a client that has asked for all its messages, and reads
// nothing until it is told to.
type lifeReader struct {
	t      *testing.T
	answer io.Reader
}

func lifeOpenHistory(t *testing.T, s *frontdoor.Server, c *frontdoor.Client) *lifeReader {
	t.Helper()
	conn := lifeNarrow(t, s)
	request, err := http.NewRequest(http.MethodGet, s.URL+"/v1/messages", nil)
	require.NoError(t, err)
	for _, cookie := range lifeCookies(t, c, s.URL) {
		request.AddCookie(cookie)
	}
	require.NoError(t, request.Write(conn))
	// The first line of the answer says that the history has been opened.
	answer := bufio.NewReaderSize(conn, 16)
	status, err := answer.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, status, "200 OK")
	return &lifeReader{t: t, answer: io.MultiReader(strings.NewReader(status), answer)}
}

// lifeNarrow connects to a server, for somebody who will not read: little of what it
// sends is on its way.
func lifeNarrow(t *testing.T, s *frontdoor.Server) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		return errors.Join(conn.Control(func(fd uintptr) {
			// Set before the connection is there, this keeps it small.
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}), err)
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// countMessages reads the answer to its end.
func (r *lifeReader) countMessages() int {
	r.t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(r.answer), nil)
	require.NoError(r.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(r.t, err)
	var messages []lifeMessage
	require.NoError(r.t, json.Unmarshal(text, &messages))
	return len(messages)
}

func lifeCookies(t *testing.T, c *frontdoor.Client, base string) []*http.Cookie {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	return c.HTTP.Jar.Cookies(u)
}

// A reload that fails leaves the running configuration as it is.
func TestFailedReloadChangesNothing(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Env: []string{"UNUSABLE=" + lifeUnusable(t, engine)}})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "before")).Want(http.StatusOK)

		unusable := lifeSite("{$PORT2}", "database {env.UNUSABLE}")
		for name, config := range map[string]string{
			"unknown option":         lifeSite("{$PORT}", "databse x"),
			"validation":             lifeSite("{$PORT}", "database {env.DATABASE}", "api v9"),
			"provision":              lifeSite("{$PORT}", "database {env.DATABASE}", "session_secret {env.LIFE_NOT_SET_EITHER}x{file./nowhere}"),
			"start":                  lifeSite("{$PORT}", "database {env.UNUSABLE}"),
			"start of another site":  lifeSite("{$PORT}", "database {env.DATABASE}", "admin alice") + unusable,
			"start of a site before": unusable + lifeSite("{$PORT}", "database {env.DATABASE}", "admin alice"),
		} {
			err := s.Reload(t.Context(), config)
			require.Error(t, err, name)
			lifeAwaitListeners(t, s)
			require.Equal(t, []string{"before"}, lifeTexts(lifeMessages(alice, "/v1/messages")), name)
			alice.Get("/v1/admin/users").Want(http.StatusForbidden)
		}
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "after")).Want(http.StatusOK)
		lifeReload(t, s, frontdoor.DefaultCaddyfile, alice)
		require.Equal(t, []string{"before", "after"}, lifeTexts(lifeMessages(alice, "/v1/messages")))
	})
}

// lifeUnusable is a database that can't be opened: a file that is none, or a
// name that the server does not know.
func lifeUnusable(t *testing.T, engine frontdoor.Engine) string {
	t.Helper()
	database := engine.NewDatabase(t)
	if engine == frontdoor.Postgres {
		u, err := url.Parse(database)
		require.NoError(t, err)
		u.Path += "_not"
		return u.String()
	}
	require.NoError(t, os.WriteFile(database, []byte(strings.Repeat("no database ", 1000)), 0o600))
	return database
}

// SIGTERM ends the process in time, whatever it is about.
func TestStop(t *testing.T) {
	for name, occupy := range map[string]struct {
		cost int // of a password
		with func(*testing.T, *frontdoor.Server)
	}{
		"idle": {4, func(t *testing.T, s *frontdoor.Server) {
			frontdoor.SignUp(t, s.URL, "alice")
		}},
		"with a stalled reader": {4, func(t *testing.T, s *frontdoor.Server) {
			alice := frontdoor.SignUp(t, s.URL, "alice")
			lifeFillHistory(t, alice, "alice")
			lifeOpenHistory(t, s, alice)
		}},
		"with a stalled reader of an earlier configuration": {4, func(t *testing.T, s *frontdoor.Server) {
			alice := frontdoor.SignUp(t, s.URL, "alice")
			lifeFillHistory(t, alice, "alice")
			lifeOpenHistory(t, s, alice)
			require.NoError(t, s.Reload(t.Context(), frontdoor.DefaultCaddyfile))
		}},
		"with a stalled reader of a database no longer configured": {4, func(t *testing.T, s *frontdoor.Server) {
			alice := frontdoor.SignUp(t, s.URL, "alice")
			lifeFillHistory(t, alice, "alice")
			lifeOpenHistory(t, s, alice)
			require.NoError(t, s.Reload(t.Context(), lifeSite("{$PORT}", "bcrypt_cost 4", "database {env.OTHER}")))
		}},
		"with half a body": {4, func(t *testing.T, s *frontdoor.Server) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			_, err = io.WriteString(conn, "POST /v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{\"username\":")
			require.NoError(t, err)
			lifeAwaitOpen(t, s, 1)
		}},
		// One takes seconds. The cost is the site's to choose.
		"with logins waiting": {16, func(t *testing.T, s *frontdoor.Server) {
			lifeFloodLogins(t, s)
			lifeEventually(t, "logins wait", func() bool { return lifeMetrics(t, s).sum("messaging_hashes_waiting") >= 10 })
		}},
		"with the database locked": {4, func(t *testing.T, s *frontdoor.Server) {
			alice := frontdoor.SignUp(t, s.URL, "alice")
			lifeLock(t, s.Database)
			body := lifeToSelf(t, "alice", "hi")
			go func() { _, _ = alice.Try(context.WithoutCancel(t.Context()), http.MethodPost, "/v1/messages", body) }()
			lifeAwaitOpen(t, s, 1)
		}},
	} {
		for _, engine := range []frontdoor.Engine{frontdoor.SQLite, frontdoor.Postgres} {
			t.Run(name+"/"+string(engine), func(t *testing.T) {
				// Not in parallel: here, time matters.
				s := frontdoor.Start(t, frontdoor.Options{
					Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", fmt.Sprint("bcrypt_cost ", occupy.cost)),
					Database:  engine.NewDatabase(t), Env: []string{"OTHER=" + engine.NewDatabase(t)},
				})
				occupy.with(t, s)
				limit := 2 * time.Second
				if lifeRace() {
					limit = 6 * time.Second // it makes all slow, and takes a second of its own to end
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				require.NoError(t, s.Stop(ctx))
			})
		}
	}
}

func lifeAwaitOpen(t *testing.T, s *frontdoor.Server, requests float64) {
	t.Helper()
	lifeEventually(t, "the requests are being answered", func() bool {
		return lifeMetrics(t, s).sum("messaging_open_connections") >= requests
	})
}

// lifeFloodLogins signs in as nobody, many times at once.
func lifeFloodLogins(t *testing.T, s *frontdoor.Server) {
	t.Helper()
	for i := range 20 { // an account alone may not have so many waiting
		c := frontdoor.NewClient(t, s.URL)
		body := fmt.Sprintf(`{"username":"nobody%d","password":"open sesame"}`, i)
		go func() {
			_, _ = c.Try(context.WithoutCancel(t.Context()), http.MethodPost, "/v1/auth/login", body)
		}()
	}
}

// lifeRace tells whether the race detector is on.
func lifeRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Two sites on one database share accounts, sessions and chats. A site on
// another database knows nothing of them.
func TestSitesAndDatabases(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		database := engine.NewDatabase(t)
		s := frontdoor.Start(t, frontdoor.Options{
			Database: database, Env: []string{"ALIAS=" + lifeAlias(database), "TWO=" + engine.NewDatabase(t)},
			Caddyfile: lifeSite("{$PORT}", "bcrypt_cost 4", "database {env.DATABASE}") +
				lifeSite("{$PORT2}", "bcrypt_cost 4", "database {env.ALIAS}", "registration closed"),
		})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		frontdoor.SignUp(t, s.URL, "bob")

		bob2 := frontdoor.NewClient(t, s.URL2)
		bob2.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(http.StatusOK)
		alice.Post("/v1/messages", `{"dest_username":"bob","message":"over one"}`).Want(http.StatusOK)
		bob2.Post("/v1/messages", `{"dest_username":"alice","message":"over two"}`).Want(http.StatusOK)
		for _, c := range []*frontdoor.Client{alice, bob2, lifeAgain(t, alice, s.URL2)} {
			messages := lifeMessages(c, "/v1/messages")
			require.Equal(t, []string{"over one", "over two"}, lifeTexts(messages))
			require.Equal(t, messages[0].ChatID, messages[1].ChatID)
		}
		// What is not the database's is a site's own.
		bob2.Post("/v1/auth/register", `{"username":"carol","password":"open sesame"}`).Want(http.StatusForbidden)
		frontdoor.SignUp(t, s.URL, "carol")
		require.Len(t, lifeMetrics(t, s).labels("messaging_open_connections", "database"), 1, "they have a backend each")

		lifeReload(t, s, lifeSite("{$PORT}", "bcrypt_cost 4", "database {env.DATABASE}")+
			lifeSite("{$PORT2}", "bcrypt_cost 4", "database {env.TWO}"), alice, bob2)
		bob2.Get("/v1/messages").Want(http.StatusUnauthorized)
		bob2.Post("/v1/auth/login", `{"username":"bob","password":"open sesame"}`).Want(http.StatusBadRequest)
		stranger := frontdoor.SignUp(t, s.URL2, "alice")
		require.Empty(t, lifeMessages(stranger, "/v1/messages"))
		stranger.Post("/v1/messages", `{"dest_username":"bob","message":"hi"}`).Want(http.StatusBadRequest)
		require.Equal(t, []string{"over one", "over two"}, lifeTexts(lifeMessages(alice, "/v1/messages")))
	})
}

// lifeAlias leads to the same database by another name: by another way through
// the folders, or with options of the connection's own.
func lifeAlias(database string) string {
	if strings.HasPrefix(database, "postgres://") {
		return strings.Replace(database, "postgres://", "postgresql://", 1) + "&application_name=alias&connect_timeout=7"
	}
	folder := filepath.Dir(database)
	return folder + "/../" + filepath.Base(folder) + "/./" + filepath.Base(database)
}
