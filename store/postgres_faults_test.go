package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// await polls until a query of another program is answered with true.
func await(tb testing.TB, db *sql.DB, query string) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		var so bool
		require.NoError(tb, db.QueryRowContext(context.Background(), query).Scan(&so))
		return so
	}, patience, time.Millisecond, query)
}

// alterSystem changes a setting of a whole server.
func alterSystem(tb testing.TB, database, change string) {
	tb.Helper()
	execute(tb, database, `ALTER SYSTEM `+change) // which must be alone
	execute(tb, database, `SELECT pg_reload_conf()`)
}

// A commit that waits for a standby is on the primary alone. If the standby never
// comes, nobody is told that it was done.
func TestPostgresNoStandby(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t).NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	db := openDatabase(t, database)
	without := sync.OnceFunc(func() { alterSystem(t, database, `RESET synchronous_standby_names`) })
	t.Cleanup(without) // else the database could not be dropped
	alterSystem(t, database, `SET synchronous_standby_names = 'nobody'`)

	users := 0
	create := func(ctx context.Context) <-chan error {
		users++
		u := store.User{Username: fmt.Sprint(users), UsernameKey: fmt.Sprint(users), PasswordHash: "hash", CreatedAt: noon}
		ended := make(chan error, 1)
		go func() { ended <- s.Update(ctx, func(tx *store.Tx) error { return tx.CreateUser(&u) }) }()
		return ended
	}
	waiting := func() (n int) {
		require.NoError(t, db.QueryRowContext(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'caddymsg' AND wait_event = 'SyncRep'`).Scan(&n))
		return n
	}
	// waits begins an Update whose commit waits. Until the server has read its
	// configuration there are some that don't.
	waits := func(ctx context.Context) <-chan error {
		t.Helper()
		before := waiting()
		ended := create(ctx)
		require.Eventually(t, func() bool {
			select {
			case err := <-ended:
				require.NoError(t, err)
				ended = create(ctx)
			default:
			}
			return waiting() > before
		}, patience, time.Millisecond)
		return ended
	}
	stays := waits(t.Context())
	leaving, leave := context.WithCancel(t.Context())
	leaves := waits(leaving)
	leave()
	require.ErrorIs(t, receive(t, stays), store.ErrUnavailable)
	require.ErrorIs(t, receive(t, leaves), store.ErrUnavailable)

	// Who leaves does not break a commit off.
	leaving, leave = context.WithCancel(t.Context())
	leaves = waits(leaving)
	leave()
	without()
	require.NoError(t, receive(t, leaves))
	require.NoError(t, receive(t, create(t.Context())))
}

// Whenever its caller leaves: an Update that returns nil has been stored, and one
// that returns an error has not. Those of others, on the same connections, know
// nothing of it.
func TestPostgresCallersLeave(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{Writers: 3})
	ada := newUser(t, s, "ada")
	const callers, each = 6, 150
	var mu sync.Mutex
	answers := map[string]error{}
	var wg sync.WaitGroup
	var groups []store.Chat
	for caller := range callers {
		group := newGroup(t, s, ada)
		groups = append(groups, group)
		wg.Go(func() {
			for i := range each {
				ctx, leave := context.WithCancel(context.Background())
				var late *time.Timer
				how := []string{"stays", "leaves behind the last statement", "leaves at any time"}[i%3]
				if i%3 == 2 {
					late = time.AfterFunc(rand.N(3*time.Millisecond), leave)
				}
				text := fmt.Sprintf("%d.%d, who %s", caller, i, how)
				err := s.Update(ctx, func(tx *store.Tx) error {
					if _, err := post(tx, group.ID, ada.ID, text); err != nil {
						return err
					}
					if i%3 == 1 {
						leave()
					}
					return nil
				})
				if late != nil {
					late.Stop()
				}
				leave()
				mu.Lock()
				answers[text] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	stored := map[string]bool{}
	for _, group := range groups {
		for i, m := range messagesOf(t, s, group.ID) {
			require.EqualValues(t, i+1, m.Seq)
			stored[m.Text] = true
		}
	}
	left, stayed := 0, 0
	for text, err := range answers {
		require.Equal(t, err == nil, stored[text], "%s: %v", text, err)
		switch {
		case strings.HasSuffix(text, "stays"):
			require.NoError(t, err, text)
		case strings.HasSuffix(text, "statement"):
			require.ErrorIs(t, err, context.Canceled, text)
		case err != nil:
			require.ErrorIs(t, err, context.Canceled, text)
			left++
		default:
			stayed++
		}
	}
	t.Logf("of those who left at any time %d came too late, and %d did not", stayed, left)
	require.NotZero(t, left)
}

// All connections are lost, and one of the new ones leads nowhere, for ever. It
// keeps nobody from the others.
func TestPostgresNewConnectionHangs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		answers int // of the server, before it hangs
	}{
		{"behind the login", 1},
		{"while it is set up", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const writers, others = 2, 4
			network, address := newRelay(t, pgtest.NewDatabase(t))
			s := openPostgres(t, store.Options{Database: address, Writers: writers})

			// Others wait already when the connections are lost: then it is the
			// pool that opens new ones, and not those who need them.
			running, goOn := make(chan struct{}, writers), make(chan struct{})
			ended := make(chan error, writers+others)
			for range writers {
				go func() {
					ended <- s.Update(context.Background(), func(tx *store.Tx) error {
						running <- struct{}{}
						<-goOn
						_, err := tx.LastMessageID()
						return err
					})
				}()
			}
			for range writers {
				receive(t, running)
			}
			for range others {
				go func() { ended <- postNothing(s) }()
			}
			require.Eventually(t, func() bool { return s.Stats().Waiting == others }, patience, time.Millisecond)
			swallowed := network.swallowNext(c.answers)
			network.cut()
			close(goOn)
			receive(t, swallowed)
			for range cap(ended) {
				if err := receive(t, ended); err != nil {
					require.ErrorIs(t, err, store.ErrUnavailable)
				}
			}
			require.Eventually(t, func() bool { return postNothing(s) == nil }, patience, time.Millisecond)
			for range 5 {
				require.NoError(t, atOnce(s, writers))
			}
		})
	}
}

// What is committed is on the disk, whatever the administrator changes while a
// connection is open.
func TestPostgresSynchronousCommit(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	database := server.NewDatabase(t)
	name, address := newRole(t, server.NewDatabase(t))
	execute(t, database, `ALTER ROLE `+name+` SET synchronous_commit = remote_apply`)
	stores := map[string]*store.Store{
		"on":           openPostgres(t, store.Options{Database: database, Writers: 1}),
		"remote_apply": openPostgres(t, store.Options{Database: address, Writers: 1}),
	}
	ask := func(s *store.Store) (pid int, commit, changed string) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			return tx.Ask(`SELECT pg_backend_pid(), current_setting('synchronous_commit'), current_setting('work_mem')`,
				&pid, &commit, &changed)
		})
		return pid, commit, changed
	}
	before := map[string]int{}
	for want, s := range stores {
		pid, commit, _ := ask(s)
		require.Equal(t, want, commit)
		before[want] = pid
	}
	execute(t, database, `ALTER SYSTEM SET work_mem = '7MB'`) // to see that it has come
	alterSystem(t, database, `SET synchronous_commit = off`)
	for want, s := range stores {
		require.Eventually(t, func() bool {
			_, _, changed := ask(s)
			return changed == "7MB"
		}, patience, time.Millisecond)
		pid, commit, _ := ask(s)
		require.Equal(t, want, commit)
		require.Equal(t, before[want], pid, "it must be the same connection")
	}
	execute(t, database, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caddymsg'`)
	for want, s := range stores {
		require.Eventually(t, func() bool { return postNothing(s) == nil }, patience, time.Millisecond)
		pid, commit, _ := ask(s)
		require.Equal(t, want, commit)
		require.NotEqual(t, before[want], pid, "it must be a new connection")
	}
}

// A server that can't be written to any more costs each connection one Update.
// The next connection leads to another, perhaps.
func TestPostgresTurnsReadOnly(t *testing.T) {
	t.Parallel()
	const writers = 3
	s := openPostgres(t, store.Options{Writers: writers})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	var all, wg sync.WaitGroup
	all.Add(writers)
	for range writers {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx *store.Tx) error {
				var set string
				err := tx.Ask(`SELECT set_config('default_transaction_read_only', 'on', false)`, &set)
				all.Done()
				all.Wait() // so that each has another connection
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	failures := 0
	for i := range 5 * writers {
		err := postText(s, group, ada, fmt.Sprint(i))
		if err != nil {
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.NotContains(t, err.Error(), "no answer", "the server has answered")
			failures++
			require.LessOrEqual(t, failures, writers, "update %d", i)
		}
	}
	require.NotZero(t, failures, "the test has made no connection read-only")
	require.NoError(t, atOnce(s, writers))
	require.Len(t, messagesOf(t, s, group.ID), 5*writers-failures)
}

// Of several servers, the one that can be written to is used.
func TestPostgresSeveralHosts(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	role, address := newRole(t, database)
	writable, err := url.Parse(address)
	require.NoError(t, err)
	name := strings.TrimPrefix(writable.Path, "/")
	// All is as on the first one, but that nobody may write.
	server := pgtest.Start(t)
	other := server.NewDatabase(t)
	execute(t, other, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8'`)
	execute(t, other, `
		CREATE ROLE `+role+` LOGIN PASSWORD 'first secret';
		ALTER DATABASE `+name+` OWNER TO `+role+`;
		ALTER DATABASE `+name+` SET default_transaction_read_only = on`)
	at := func(hosts ...string) string {
		return strings.Replace(address, writable.Host, strings.Join(hosts, ","), 1)
	}
	for _, hosts := range [][]string{{server.HostPort(), writable.Host}, {writable.Host, server.HostPort()}} {
		s := openPostgres(t, store.Options{Database: at(hosts...)})
		require.NoError(t, postNothing(s))
		require.NoError(t, s.Close())
	}
	s, err := store.Open(t.Context(), store.Options{Database: at(server.HostPort())})
	if err == nil {
		require.NoError(t, s.Close())
	}
	require.ErrorContains(t, err, "can't be written to")
	require.NotContains(t, err.Error(), "secret")
}

// An Update that fails again and again ends in time, and not only each attempt.
func TestPostgresAttemptsEnd(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{})
	runs := 0
	err := s.Update(t.Context(), func(tx *store.Tx) error {
		runs++
		var void string
		if err := tx.Ask(`SELECT pg_sleep(3)::text`, &void); err != nil {
			return err
		}
		return raise(tx, "40001")
	})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Greater(t, runs, 1)
	require.Less(t, runs, store.MaxAttempts, "each attempt has had a limit of its own")
	require.NoError(t, postNothing(s))
}

// A node that brings the schema up to date may take longer than any statement
// may. The others wait for it.
func TestPostgresMigrationsElsewhere(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	execute(t, database, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''200ms''', current_database()); END $$`)
	elsewhere, err := openDatabase(t, database).Conn(t.Context())
	require.NoError(t, err)
	defer elsewhere.Close()
	_, err = elsewhere.ExecContext(t.Context(), `SELECT pg_advisory_lock(-1)`)
	require.NoError(t, err)

	type result struct {
		s   *store.Store
		err error
	}
	opened := make(chan result, 2)
	for range cap(opened) {
		go func() {
			s, err := store.Open(context.Background(), store.Options{Database: database})
			opened <- result{s, err}
		}()
	}
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := store.Open(impatient, store.Options{Database: database})
		left <- err
	}()
	const wait = `
		SELECT count(*) >= %d FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'caddymsg'
			AND query LIKE '%%advisory_lock%%' AND backend_start < clock_timestamp() - interval '%s'`
	db := openDatabase(t, database)
	await(t, db, fmt.Sprintf(wait, 3, "0s"))
	leave()
	require.ErrorIs(t, receive(t, left), context.Canceled)
	await(t, db, fmt.Sprintf(wait, 2, "2s"))
	require.Empty(t, opened, "the lock is held")
	var tables int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables))
	require.Zero(t, tables)

	_, err = elsewhere.ExecContext(t.Context(), `SELECT pg_advisory_unlock(-1)`)
	require.NoError(t, err)
	for range cap(opened) {
		r := receive(t, opened)
		require.NoError(t, r.err)
		require.NoError(t, errors.Join(postNothing(r.s), r.s.Close()))
	}
}

// lockWaits tells whether so many sessions wait for the lock of a chat.
func lockWaits(n int) string {
	return fmt.Sprintf(`
		SELECT count(*) = %d FROM pg_locks
		WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, n)
}

// Who is not in a chat neither keeps anybody out of it nor finds out by waiting
// that there is one.
func TestPostgresOutsiders(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	elsewhere := openPostgres(t, store.Options{Database: database}) // of one node, only one may wait
	ada, bob, eve := newUser(t, s, "ada"), newUser(t, s, "bob"), newUser(t, s, "eve")
	group := newGroup(t, s, ada, bob)
	// holds runs an Update up to a place, where it stays until it is released.
	holds := func(fn func(*store.Tx) error) (release func(), ended <-chan error) {
		t.Helper()
		there, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		release = sync.OnceFunc(func() { close(goOn) })
		t.Cleanup(release) // whatever fails; before the store is closed
		arrived := sync.OnceFunc(func() { close(there) })
		go func() {
			done <- s.Update(context.Background(), func(tx *store.Tx) error {
				err := fn(tx)
				arrived()
				<-goOn
				return err
			})
		}()
		receive(t, there)
		return release, done
	}

	t.Run("an outsider does not wait", func(t *testing.T) {
		release, ended := holds(func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, "held")
			return err
		})
		sent := make(chan error, 3)
		go func() { sent <- postText(s, group, eve, "from outside") }()
		go func() {
			sent <- s.Update(context.Background(), func(tx *store.Tx) error { return tx.LockChat(eve.ID, group.ID) })
		}()
		go func() { sent <- postText(s, store.Chat{ID: group.ID + 1000}, eve, "to nobody") }()
		for range cap(sent) {
			err := receive(t, sent)
			require.ErrorIs(t, err, store.ErrNotFound)
			require.NotErrorIs(t, err, store.ErrUnavailable)
		}
		require.Empty(t, ended)
		release()
		require.NoError(t, receive(t, ended))
	})
	t.Run("nobody waits for an outsider", func(t *testing.T) {
		release, ended := holds(func(tx *store.Tx) error {
			_, err := tx.NextSeq(eve.ID, group.ID, 1, noon)
			return err
		})
		sent := make(chan error, 1)
		go func() { sent <- postText(s, group, ada, "beside") }()
		require.NoError(t, receive(t, sent))
		require.Empty(t, ended)
		release()
		require.ErrorIs(t, receive(t, ended), store.ErrNotFound)
	})
	t.Run("who becomes one while they wait", func(t *testing.T) {
		release, ended := holds(func(tx *store.Tx) error {
			if err := tx.LockChat(ada.ID, group.ID); err != nil {
				return err
			}
			return tx.RemoveParticipant(group.ID, bob.ID)
		})
		sent := make(chan error, 2)
		go func() { sent <- postText(s, group, bob, "late") }()
		go func() {
			sent <- elsewhere.Update(context.Background(), func(tx *store.Tx) error {
				if err := tx.LockChat(bob.ID, group.ID); err != nil {
					return err
				}
				_, err := tx.FindChatOf(bob.ID, group.ID)
				return err
			})
		}()
		await(t, openDatabase(t, database), lockWaits(2))
		release()
		require.NoError(t, receive(t, ended))
		require.ErrorIs(t, receive(t, sent), store.ErrNotFound)
		require.ErrorIs(t, receive(t, sent), store.ErrNotFound)
	})
	require.Equal(t, []string{"held", "beside"}, texts(messagesOf(t, s, group.ID)))
}

// A chat is locked before anything is written, on both engines, also if there was
// nothing to write: that depends on the data, and a mistake in a rule must not.
func TestLocksComeFirst(t *testing.T) {
	t.Parallel()
	for engine, open := range map[string]opener{"SQLite": openSQLite, "PostgreSQL": openPostgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := open(t, store.Options{})
			ada := newUser(t, s, "ada")
			group := newGroup(t, s, ada)
			for name, statement := range map[string]func(*store.Tx) error{
				"a session that is not there, deleted": func(tx *store.Tx) error {
					if _, _, err := tx.DeleteSessionByTokenHash(hash("no token")); !errors.Is(err, store.ErrNotFound) {
						return fmt.Errorf("deleted: %w", err)
					}
					return nil
				},
				"no sessions of a user": func(tx *store.Tx) error {
					_, err := tx.DeleteSessionsOf(ada.ID, 0)
					return err
				},
				"no old events": func(tx *store.Tx) error {
					_, err := tx.PruneEvents(noon, 10)
					return err
				},
				"no session to delete": func(tx *store.Tx) error { return tx.DeleteExpiredSessions(noon, 10) },
				"a session that is not there, extended": func(tx *store.Tx) error {
					if err := tx.TouchSession(store.Session{ID: 1000, ExpiresAt: noon}); !errors.Is(err, store.ErrNotFound) {
						return fmt.Errorf("extended: %w", err)
					}
					return nil
				},
			} {
				for how, lock := range map[string]func(*store.Tx) error{
					"locked": func(tx *store.Tx) error { return tx.LockChat(ada.ID, group.ID) },
					"sent to": func(tx *store.Tx) error {
						_, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
						return err
					},
				} {
					var first error
					err := s.Update(t.Context(), func(tx *store.Tx) error {
						if first = statement(tx); first != nil {
							return first
						}
						return lock(tx)
					})
					require.NoError(t, first, name)
					require.ErrorContains(t, err, "has written something before", "%s, then the chat is %s", name, how)
				}
			}
			require.NoError(t, postText(s, group, ada, "text"))
			require.EqualValues(t, 1, messagesOf(t, s, group.ID)[0].Seq)
		})
	}
}

// Paths are what is no address. They hold what file names hold.
func TestOrdinaryPaths(t *testing.T) {
	for _, path := range []string{
		"messaging.db",
		"a folder/with spaces.db",
		"ünïcode/会議 🙂.db",
		"12:30.db",
		"chat@example.com.db",
		"chat@example.com/12:30.db",
		"a=b.db",
		"my host.db",
		"hosts=1.db",
		"my_password=1.db",
		"postgres.db",
		"postgres/chat.db",
		"my postgres:1.db",
		"%7B.db",
		"{x}.db",
	} {
		t.Run(path, func(t *testing.T) {
			folder := t.TempDir()
			t.Chdir(folder)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			want, err := filepath.EvalSymlinks(folder)
			require.NoError(t, err)
			for _, name := range []string{path, "./" + path, filepath.Join(folder, path)} {
				identity, err := store.Identity(name)
				require.NoError(t, err)
				require.Equal(t, filepath.Join(want, path), identity)
			}
			s, err := store.Open(t.Context(), store.Options{Database: path})
			require.NoError(t, err)
			newUser(t, s, "ada")
			require.NoError(t, s.Close())
			require.FileExists(t, filepath.Join(folder, path))
		})
	}
}
