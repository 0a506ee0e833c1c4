package caddymsg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// lifeLock locks a database against all other writers, until unlock is called
// or the test ends.
func lifeLock(t *testing.T, database string) (unlock func()) {
	t.Helper()
	conn, err := frontdoor.OpenDatabase(t, database).Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	lock := "BEGIN EXCLUSIVE"
	if strings.HasPrefix(database, "postgres://") {
		lock = "BEGIN; LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE"
	}
	_, err = conn.ExecContext(t.Context(), lock)
	require.NoError(t, err)
	return func() {
		_, err := conn.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	}
}

// lifeMade makes a database as the server makes it, with a message in it, and
// returns its path.
func lifeMade(t *testing.T, dir string) string {
	t.Helper()
	s := frontdoor.Start(t, frontdoor.Options{Dir: dir})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	alice.Post("/v1/messages", lifeToSelf(t, "alice", "hi")).Want(http.StatusOK)
	require.NoError(t, s.Stop(t.Context()))
	return filepath.Join(dir, "messaging.db")
}

// `caddy validate` makes nothing, opens nothing and waits for nothing.
func TestValidateTouchesNothing(t *testing.T) {
	t.Parallel()
	t.Run("neither a database nor a secret", func(t *testing.T) {
		dir := t.TempDir()
		ok, output := lifeValidate(t, dir, lifeSite("{$PORT}", "database {$DIR}/deep/messaging.db")+lifeSite("12001"))
		require.True(t, ok, output)
		require.NoDirExists(t, filepath.Join(dir, "deep"))
		require.NoFileExists(t, filepath.Join(dir, "caddy", "messaging.db"))
		require.NoDirExists(t, filepath.Join(dir, "caddy", "messaging"))
	})
	t.Run("a database in use", func(t *testing.T) {
		dir := t.TempDir()
		path := lifeMade(t, dir)
		lifeLock(t, path)
		before, err := os.Stat(path)
		require.NoError(t, err)
		ok, output := lifeValidate(t, dir, frontdoor.DefaultCaddyfile)
		require.True(t, ok, output)
		after, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, before.ModTime(), after.ModTime())
	})
	t.Run("a server that does not answer", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		ok, output := lifeValidate(t, t.TempDir(), frontdoor.DefaultCaddyfile,
			"DATABASE=postgres://chat:opensesame@"+l.Addr().String()+"/chat")
		require.True(t, ok, output)
		require.NotContains(t, output, "opensesame")
		// One that it had made would be accepted before this one.
		own, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer own.Close()
		first, err := l.Accept()
		require.NoError(t, err)
		defer first.Close()
		require.Equal(t, own.LocalAddr(), first.RemoteAddr())
	})
	t.Run("what is no database", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "messaging.db")
		require.NoError(t, os.WriteFile(path, []byte("text"), 0o600))
		ok, output := lifeValidate(t, dir, frontdoor.DefaultCaddyfile)
		require.True(t, ok, output)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, "text", string(content))
	})
}

// A database that can't be used ends the start, with words that name it and
// say what to do.
func TestStartErrors(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) (database string)
		want    []string // parts of the message
	}{
		"made by a newer version": {func(t *testing.T, dir string) string {
			path := lifeMade(t, dir)
			db := frontdoor.OpenDatabase(t, path)
			_, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
			require.NoError(t, err)
			return path
		}, []string{"newer version", "99999"}},
		"no database": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "notes.txt")
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("Dear diary. ", 1000)), 0o600))
			return path
		}, []string{"not an SQLite database"}},
		"a database cut off": {func(t *testing.T, dir string) string {
			path := lifeMade(t, dir)
			require.NoError(t, os.Truncate(path, 5000))
			return path
		}, []string{"damaged"}},
		"locked": {func(t *testing.T, dir string) string {
			path := lifeMade(t, dir)
			lifeLock(t, path)
			return path
		}, []string{"another program"}},
		"a folder": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "folder")
			require.NoError(t, os.Mkdir(path, 0o700))
			return path
		}, []string{"directory"}},
		"in a folder that can't be made": {func(_ *testing.T, _ string) string {
			return "/proc/messaging/messaging.db"
		}, []string{"mkdir /proc/messaging"}},
		"in a folder that is a file": {func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "file")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			return filepath.Join(path, "messaging.db")
		}, []string{"not a directory"}},
		"in a folder that takes no file": {func(_ *testing.T, _ string) string {
			return "/proc/messaging.db"
		}, []string{"open /proc/messaging.db"}},
		"read-only": {func(t *testing.T, dir string) string {
			return filepath.Join(lifeReadOnly(t, dir, func(dir string) { lifeMade(t, dir) }), "messaging.db")
		}, []string{"writ"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			database := test.prepare(t, dir)
			log := lifeFailToStart(t, frontdoor.Options{Dir: dir, Caddyfile: lifeSite("{$PORT}", "database "+database, "bcrypt_cost 4")})
			require.Contains(t, log, database)
			for _, part := range test.want {
				require.Contains(t, log, part)
			}
			require.NotContains(t, log, "panic")
		})
	}
}

// lifeFailToStart starts a server that must end by itself, with an error, and
// returns what it said.
func lifeFailToStart(t *testing.T, opts frontdoor.Options) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := frontdoor.Run(ctx, opts)
	if err != nil {
		require.NoError(t, ctx.Err(), err.Error())
		return err.Error()
	}
	// The HTTP app may be up before the start fails.
	defer s.Kill()
	select {
	case <-s.Done():
	case <-ctx.Done():
		t.Fatal("it runs:\n", s.Log())
	}
	require.Error(t, s.Stop(ctx))
	return s.Log()
}

// lifeReadOnly fills a folder and makes it one that can't be written to. That
// takes a file system of its own where the test runs as root.
func lifeReadOnly(t *testing.T, dir string, fill func(dir string)) string {
	t.Helper()
	if os.Geteuid() == 0 {
		dir = lifeMount(t, dir, "size=16m")
		fill(dir)
		out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput()
		require.NoError(t, err, string(out))
		return dir
	}
	fill(dir)
	inner := filepath.Join(dir, "readonly")
	require.NoError(t, os.Mkdir(inner, 0o700))
	require.NoError(t, os.Rename(filepath.Join(dir, "messaging.db"), filepath.Join(inner, "messaging.db")))
	require.NoError(t, os.Chmod(filepath.Join(inner, "messaging.db"), 0o400))
	require.NoError(t, os.Chmod(inner, 0o500))
	t.Cleanup(func() { require.NoError(t, os.Chmod(inner, 0o700)) })
	return inner
}

// lifeMount makes a file system of its own below a folder.
func lifeMount(t *testing.T, dir, options string) string {
	t.Helper()
	dir = filepath.Join(dir, "mount")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a file system can't be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { require.NoError(t, exec.Command("umount", "--lazy", dir).Run()) })
	return dir
}

// The secret of the sessions comes from where the configuration says, or is
// made once.
func TestSessionSecret(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const long, other = "0123456789abcdefghijklmnopqrstuv", "vutsrqponmlkjihgfedcba9876543210"
		write := func(secret string) func(t *testing.T, dir string) {
			return func(t *testing.T, dir string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(secret), 0o600))
			}
		}
		for name, test := range map[string]struct {
			option        string
			first, second []string // environments
			between       func(t *testing.T, dir string)
			stored        bool // in Caddy's storage
			signedOut     bool // by the second start
		}{
			"unset":               {stored: true},
			"empty variable":      {option: "session_secret {env.LIFE_SECRET}", first: []string{"LIFE_SECRET="}, second: []string{"LIFE_SECRET="}, stored: true},
			"no variable":         {option: "session_secret {env.LIFE_SECRET}", stored: true},
			"variable":            {option: "session_secret {env.LIFE_SECRET}", first: []string{"LIFE_SECRET=" + long}, second: []string{"LIFE_SECRET=" + long}},
			"another variable":    {option: "session_secret {env.LIFE_SECRET}", first: []string{"LIFE_SECRET=" + long}, second: []string{"LIFE_SECRET=" + other}, signedOut: true},
			"file":                {option: "session_secret {file.{$DIR}/secret}"},
			"file with a newline": {option: "session_secret {file.{$DIR}/secret}", between: write(long + "\n")},
			"another file":        {option: "session_secret {file.{$DIR}/secret}", between: write(other), signedOut: true},
			"empty variables":     {option: "session_secret {env.LIFE_SECRET} {env.LIFE_OLD_SECRET}", first: []string{"LIFE_SECRET="}, stored: true},
			"a new one": {
				option: "session_secret {env.LIFE_SECRET} {env.LIFE_OLD_SECRET}",
				first:  []string{"LIFE_SECRET=" + long}, second: []string{"LIFE_SECRET=" + other, "LIFE_OLD_SECRET=" + long},
			},
			"the old one only": {
				option: "session_secret {env.LIFE_SECRET} {env.LIFE_OLD_SECRET}",
				first:  []string{"LIFE_SECRET=" + long}, second: []string{"LIFE_SECRET=", "LIFE_OLD_SECRET=" + long},
			},
			"the storage's is lost": {between: func(t *testing.T, dir string) {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "caddy", "messaging")))
			}, stored: true, signedOut: true},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				dir, database := t.TempDir(), engine.NewDatabase(t)
				write(long)(t, dir)
				caddyfile := lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4", test.option)
				stored := filepath.Join(dir, "caddy", "messaging", "session_secret")

				s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database, Caddyfile: caddyfile, Env: test.first})
				alice := frontdoor.SignUp(t, s.URL, "alice")
				alice.Get("/v1/messages").Want(http.StatusOK)
				var secret []byte
				if test.stored {
					info, err := os.Stat(stored)
					require.NoError(t, err)
					require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
					secret, err = os.ReadFile(stored)
					require.NoError(t, err)
					require.GreaterOrEqual(t, len(secret), 32)
				} else {
					require.NoFileExists(t, stored)
				}
				config := frontdoor.NewClient(t, s.Admin).Get("/config/").Want(http.StatusOK).Text
				require.NotContains(t, config, long)
				require.NoError(t, s.Stop(t.Context()))

				if test.between != nil {
					test.between(t, dir)
				}
				s = frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database, Caddyfile: caddyfile, Env: test.second})
				want := http.StatusOK
				if test.signedOut {
					want = http.StatusUnauthorized
				}
				lifeAgain(t, alice, s.URL).Get("/v1/messages").Want(want)
				if test.stored && !test.signedOut {
					kept, err := os.ReadFile(stored)
					require.NoError(t, err)
					require.Equal(t, secret, kept)
				}
			})
		}
	})
}

// An unset database is in Caddy's data folder. Whoever is not its owner reads
// nothing of a database.
func TestDatabaseFile(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "bcrypt_cost 4") +
		lifeSite("{$PORT2}", "bcrypt_cost 4", "database {$DIR}/some/where/chat.db")})
	for url, path := range map[string]string{s.URL: "caddy/messaging.db", s.URL2: "some/where/chat.db"} {
		alice := frontdoor.SignUp(t, url, "alice")
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "hi")).Want(http.StatusOK)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(filepath.Join(s.Dir, path+suffix))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), info.Name())
		}
	}
	info, err := os.Stat(filepath.Join(s.Dir, "some"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func lifeWantUnavailable(t *testing.T, r *frontdoor.Response) {
	t.Helper()
	r.Want(http.StatusServiceUnavailable)
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	require.Equal(t, "database_unavailable", r.Field("code"))
}

// While another program holds a lock, writing waits and is then refused, and
// reading goes on.
func TestLockedWhileRunning(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "before")).Want(http.StatusOK)

		unlock := lifeLock(t, s.Database)
		lifeWantUnavailable(t, alice.Post("/v1/messages", lifeToSelf(t, "alice", "during")))
		require.Equal(t, []string{"before"}, lifeTexts(lifeMessages(alice, "/v1/messages")))

		// A lock that goes in time is only waited for.
		answer := make(chan int, 1)
		go func() {
			r, err := alice.Try(t.Context(), http.MethodPost, "/v1/messages", lifeToSelf(t, "alice", "patient"))
			if err != nil {
				answer <- 0
				return
			}
			answer <- r.StatusCode
		}()
		lifeAwaitOpen(t, s, 1)
		unlock()
		require.Equal(t, http.StatusOK, <-answer)
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "after")).Want(http.StatusOK)
		require.Equal(t, []string{"before", "patient", "after"}, lifeTexts(lifeMessages(alice, "/v1/messages")))
	})
}

// On a full disk nothing is stored and nothing is lost; with space, writing
// goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := lifeMount(t, t.TempDir(), "size=3m")
	ballast := filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "bcrypt_cost 4", "database "+dir+"/messaging.db")})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	var sent []string
	send := func() *frontdoor.Response {
		text := fmt.Sprint(len(sent), strings.Repeat(" long", 1000))
		r := alice.Post("/v1/messages", lifeToSelf(t, "alice", text))
		if r.StatusCode == http.StatusOK {
			sent = append(sent, text)
		}
		return r
	}
	full := send()
	for full.StatusCode == http.StatusOK {
		require.Less(t, len(sent), 1000, "the disk does not get full")
		full = send()
	}
	require.NotEmpty(t, sent)
	lifeWantUnavailable(t, full)
	for range 10 {
		lifeWantUnavailable(t, send())
	}
	require.Equal(t, sent, lifeTexts(lifeMessages(alice, "/v1/messages")))

	require.NoError(t, os.Remove(ballast))
	for range 10 {
		send().Want(http.StatusOK)
	}
	require.Equal(t, sent, lifeTexts(lifeMessages(alice, "/v1/messages")))

	require.NoError(t, s.Stop(t.Context()))
	s = frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "bcrypt_cost 4", "database "+dir+"/messaging.db"), Dir: s.Dir})
	require.Equal(t, sent, lifeTexts(lifeMessages(lifeAgain(t, alice, s.URL), "/v1/messages")))
}

func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := lifeMount(t, t.TempDir(), "size=64k")
	require.Error(t, os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600))
	log := lifeFailToStart(t, frontdoor.Options{Dir: t.TempDir(), Caddyfile: lifeSite("{$PORT}", "database "+dir+"/messaging.db")})
	require.Contains(t, log, "disk is full")
}

// Damage in the middle of the file is an error at the start, or a 503, or not
// met at all: never a wrong answer, a 500 or a panic.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	original := t.TempDir()
	s := frontdoor.Start(t, frontdoor.Options{Dir: original})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	frontdoor.SignUp(t, s.URL, "bob")
	alice.Post("/v1/group_chat", "").Want(http.StatusOK)
	sent := map[string]bool{}
	for n := range 100 {
		text := fmt.Sprint(n, strings.Repeat(" long", 100))
		alice.Post("/v1/messages", `{"group_chat_id":1,"message":"`+text+`"}`).Want(http.StatusOK)
		sent[text] = true
	}
	require.NoError(t, s.Stop(t.Context()))
	content, err := os.ReadFile(filepath.Join(original, "messaging.db"))
	require.NoError(t, err)

	const pageSize = 4096
	db := frontdoor.OpenDatabase(t, filepath.Join(original, "messaging.db"))
	rows, err := db.Query(`SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0`)
	require.NoError(t, err)
	defer rows.Close()
	pages := map[string]int{"the header": 1}
	for rows.Next() {
		var name string
		var page int
		require.NoError(t, rows.Scan(&name, &page))
		pages[name] = page
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(pages), 10)
	pages["a message"] = len(content) / pageSize / 2 // no root: one of the leaves

	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			damaged := append([]byte(nil), content...)
			random := rand.New(rand.NewPCG(seed, uint64(page)))
			for i := range pageSize {
				damaged[(page-1)*pageSize+i] = byte(random.Uint32())
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, "messaging.db"), damaged, 0o600))
			require.NoError(t, os.CopyFS(filepath.Join(dir, "caddy", "messaging"), os.DirFS(filepath.Join(original, "caddy", "messaging"))))

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			requireDamage := func(said string) {
				require.Regexp(t, "damaged|malformed", said)
				require.NotContains(t, said, "goroutine ")
			}
			s, err := frontdoor.Run(ctx, frontdoor.Options{Dir: dir})
			if err != nil {
				require.NoError(t, ctx.Err())
				requireDamage(err.Error())
				return
			}
			defer s.Kill()
			// The HTTP app may be up before the start fails.
			ended := func() bool {
				select {
				case <-s.Done():
					return true
				default:
					return false
				}
			}
			lifeEventually(t, "it has started, or ended", func() bool {
				return strings.Contains(s.Log(), "serving initial configuration") || ended()
			})
			if ended() {
				requireDamage(s.Log())
				return
			}
			c := lifeAgain(t, alice, s.URL)
			ask := func(method, path, body string) *frontdoor.Response {
				r, err := c.Try(ctx, method, path, body)
				if err != nil {
					// That a history breaks off is told by a broken connection.
					require.Equal(t, http.MethodGet, method, err)
					require.False(t, ended(), err)
					return nil
				}
				if r.StatusCode >= 500 {
					r.Want(http.StatusServiceUnavailable)
				}
				return r
			}
			for _, path := range []string{"/v1/messages", "/v1/messages/group/1", "/v1/messages/group/1?limit=10", "/v1/messages/p2p/bob"} {
				if r := ask(http.MethodGet, path, ""); r != nil && r.StatusCode == http.StatusOK {
					var messages []lifeMessage
					r.Decode(&messages)
					for _, m := range messages {
						require.True(t, sent[m.Text], "nobody sent %q", m.Text)
					}
				}
			}
			ask(http.MethodPost, "/v1/messages", `{"group_chat_id":1,"message":"new"}`)
			ask(http.MethodPost, "/v1/group_chat", "")
			ask(http.MethodPost, "/v1/group_chat/1/participants", `{"username":"bob"}`)
			ask(http.MethodPost, "/v1/auth/register", `{"username":"carol","password":"open sesame"}`)
			ask(http.MethodPost, "/v1/auth/login", `{"username":"alice","password":"open sesame"}`)
			require.NotContains(t, s.Log(), "goroutine ")
			require.NotContains(t, s.Log(), "DATA RACE")
		})
	}
}
