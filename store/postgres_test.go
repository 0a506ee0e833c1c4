package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	conformance(t, openPostgres)
}

// openPostgres opens a store, on a database of its own unless opts name one,
// and closes it after the test.
func openPostgres(tb testing.TB, opts store.Options) *store.Store {
	tb.Helper()
	if opts.Database == "" {
		opts.Database = pgtest.NewDatabase(tb)
	}
	s, err := store.Open(context.Background(), opts)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// openDatabase opens a database as another program would.
func openDatabase(tb testing.TB, database string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("pgx", database)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// execute runs a statement as another program would.
func execute(tb testing.TB, database, statement string, args ...any) {
	tb.Helper()
	db := openDatabase(tb, database)
	defer db.Close()
	_, err := db.ExecContext(context.Background(), statement, args...)
	require.NoError(tb, err)
}

// changed is an address with a change.
func changed(tb testing.TB, address string, change func(*url.URL)) string {
	tb.Helper()
	parsed, err := url.Parse(address)
	require.NoError(tb, err)
	change(parsed)
	return parsed.String()
}

// withOption is an address with one more option.
func withOption(tb testing.TB, address, key, value string) string {
	tb.Helper()
	return changed(tb, address, func(u *url.URL) {
		query := u.Query()
		query.Set(key, value)
		u.RawQuery = query.Encode()
	})
}

// newRole makes a user who owns the database, and returns the address that they
// use.
func newRole(tb testing.TB, database string) (name, address string) {
	tb.Helper()
	name = "role_" + strings.ToLower(rand.Text())
	db := openDatabase(tb, database)
	var own string
	require.NoError(tb, db.QueryRowContext(tb.Context(), `SELECT current_database()`).Scan(&own))
	for _, statement := range []string{
		`CREATE ROLE ` + name + ` LOGIN PASSWORD 'first secret'`,
		`ALTER DATABASE ` + own + ` OWNER TO ` + name,
	} {
		_, err := db.ExecContext(tb.Context(), statement)
		require.NoError(tb, err)
	}
	tb.Cleanup(func() {
		execute(tb, database, `REASSIGN OWNED BY `+name+` TO CURRENT_USER; DROP OWNED BY `+name+`; DROP ROLE `+name)
	})
	return name, changed(tb, database, func(u *url.URL) { u.User = url.UserPassword(name, "first secret") })
}

// terminate cuts all connections to a database.
func terminate(tb testing.TB, database string) {
	tb.Helper()
	execute(tb, database, `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

// raise has the server refuse a statement with such a code.
func raise(tx *store.Tx, code string) error {
	return tx.Ask(`DO $$ BEGIN RAISE EXCEPTION 'raised' USING ERRCODE = '` + code + `'; END $$`)
}

// show asks for a setting.
func show(tx *store.Tx, setting string) (value string, err error) {
	return value, tx.Ask(`SHOW `+setting, &value)
}

// follower reads the log as clients do: on, from where it has come to.
type follower struct {
	store *store.Store
	last  int64
	all   []store.Event
}

// poll reads what there is to read, a few at a time, and returns all that it
// has read since it began.
func (f *follower) poll(tb testing.TB) []string {
	tb.Helper()
	for {
		var page []store.Event
		err := f.store.ViewOne(context.Background(), func(tx *store.Tx) (err error) {
			page, err = tx.ListEvents(f.last, 2)
			return err
		})
		require.NoError(tb, err)
		if len(page) == 0 {
			break
		}
		f.all = append(f.all, page...)
		f.last = page[len(page)-1].ID
	}
	read := []string{}
	for _, e := range f.all {
		read = append(read, e.Message.Text)
	}
	return read
}

// await polls until so many have come.
func (f *follower) await(tb testing.TB, n int) []string {
	tb.Helper()
	require.Eventually(tb, func() bool { return len(f.poll(tb)) >= n }, patience, time.Millisecond)
	return f.poll(tb)
}

// postText stores a message in an Update of its own.
func postText(s *store.Store, c store.Chat, u store.User, text string) error {
	return s.Update(context.Background(), func(tx *store.Tx) error {
		_, err := post(tx, c.ID, u.ID, text)
		return err
	})
}

// An Update that began to write earlier commits later. Who follows the log
// waits for it, and misses nothing.
func TestPostgresLateCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		nodes int
		end   error // of the late one
		want  []string
	}{
		{"on one node", 1, nil, []string{"before", "late", "early"}},
		{"on two nodes", 2, nil, []string{"before", "late", "early"}},
		{"that fails", 2, errOwn, []string{"before", "early"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.NewDatabase(t)
			var nodes []*store.Store
			var followers []*follower
			for range c.nodes {
				s := openPostgres(t, store.Options{Database: database})
				nodes = append(nodes, s)
				followers = append(followers, &follower{store: s})
			}
			first, second := nodes[0], nodes[c.nodes-1]
			ada := newUser(t, first, "ada")
			lateChat, earlyChat := newGroup(t, first, ada), newGroup(t, first, ada)
			require.NoError(t, postText(second, earlyChat, ada, "before"))

			appended, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			release := sync.OnceFunc(func() { close(goOn) })
			defer release() // whatever fails
			go func() {
				ended <- first.Update(context.Background(), func(tx *store.Tx) error {
					if _, err := post(tx, lateChat.ID, ada.ID, "late"); err != nil {
						return err
					}
					close(appended)
					<-goOn
					return c.end
				})
			}()
			receive(t, appended)
			require.NoError(t, postText(second, earlyChat, ada, "early"))
			require.Equal(t, []string{"before", "early"}, texts(messagesOf(t, first, earlyChat.ID)), "it is committed")
			for _, f := range followers {
				require.Equal(t, []string{"before"}, f.await(t, 1))
			}
			release()
			require.ErrorIs(t, receive(t, ended), c.end)
			for _, f := range followers {
				require.Equal(t, c.want, f.await(t, len(c.want)))
			}
			require.Equal(t, followers[0].all, followers[c.nodes-1].all)
		})
	}
}

// A transaction in another database of the same server holds up who reads the
// log, but takes nothing from them.
func TestPostgresTransactionElsewhere(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	elsewhere, err := openDatabase(t, pgtest.NewDatabase(t)).BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = elsewhere.Rollback() }() // it may have been already
	_, err = elsewhere.ExecContext(t.Context(), `SELECT pg_current_xact_id()`)
	require.NoError(t, err)

	f := follower{store: s}
	require.NoError(t, postText(s, group, ada, "text"))
	require.Empty(t, f.poll(t))
	require.NoError(t, elsewhere.Rollback())
	require.Equal(t, []string{"text"}, f.await(t, 1))
}

// In each chat the order of ids, of seqs and of events is the same, on however
// many nodes people talk, and whatever else they do.
func TestPostgresOrderInChat(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	nodes := []*store.Store{
		openPostgres(t, store.Options{Database: database, Writers: 6}),
		openPostgres(t, store.Options{Database: database, Writers: 6}),
	}
	const talkers, each = 12, 20
	var people []store.User
	for i := range talkers {
		people = append(people, newUser(t, nodes[0], fmt.Sprint(i)))
	}
	group := newGroup(t, nodes[0], people...)
	var wg sync.WaitGroup
	failures := make(chan error, talkers*each*2)
	for talker, me := range people {
		wg.Go(func() {
			s := nodes[talker%2]
			for i := range each {
				failures <- postText(s, group, me, fmt.Sprint(talker, ".", i))
				if i%3 == 0 { // all with the same few, at the same time
					other := people[i/3%3]
					failures <- s.Update(context.Background(), func(tx *store.Tx) error {
						chatID, err := findOrCreateDirect(tx, me.ID, other.ID)
						if err != nil {
							return err
						}
						_, err = post(tx, chatID, me.ID, "hello")
						return err
					})
				}
			}
		})
	}
	wg.Wait()
	close(failures)
	stored := 0
	for err := range failures {
		require.NoError(t, err)
		stored++
	}
	require.Len(t, messagesOf(t, nodes[0], group.ID), talkers*each)

	// What each chat must hold, according to the log.
	said := map[int64][]string{}
	for _, e := range logOf(t, nodes[1], stored) {
		if e.Type == store.ChatCreated {
			require.NotContains(t, said, e.ChatID, "a chat is made once, and first")
			said[e.ChatID] = []string{}
			continue
		}
		said[e.ChatID] = append(said[e.ChatID], e.Message.Text)
		require.EqualValues(t, len(said[e.ChatID]), e.Message.Seq)
	}
	require.Greater(t, len(said), talkers)
	for chatID, texts := range said {
		all := messagesOf(t, nodes[0], chatID) // in the order of their ids
		require.Len(t, all, len(texts))
		for i, m := range all {
			require.EqualValues(t, i+1, m.Seq)
			require.Equal(t, texts[i], m.Text)
		}
	}
}

// findOrCreateDirect does what a rule does to have a direct chat.
func findOrCreateDirect(tx *store.Tx, a, b int64) (int64, error) {
	found, err := tx.FindDirectChat(a, b)
	if !errors.Is(err, store.ErrNotFound) {
		return found.ID, err
	}
	return createDirect(tx, a, b)
}

func createDirect(tx *store.Tx, a, b int64) (int64, error) {
	c := store.NewDirectChat(a, b, noon)
	if err := tx.CreateChat(&c); err != nil {
		return 0, err
	}
	if err := tx.AddParticipant(c.ID, a, store.Member, noon); err != nil {
		return 0, err
	}
	if a != b {
		if err := tx.AddParticipant(c.ID, b, store.Member, noon); err != nil {
			return 0, err
		}
	}
	return c.ID, tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: c.ID, ActorID: a, At: noon})
}

// Two Updates wait for each other's lock. The server ends one, and it is tried
// once more.
func TestPostgresDeadlock(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{})
	ada := newUser(t, s, "ada")
	one, other := newGroup(t, s, ada), newGroup(t, s, ada)
	lock := func(tx *store.Tx, c store.Chat) error { // as LockChat, without its turns
		var locked int
		return tx.Ask(fmt.Sprintf(`SELECT 1 FROM pg_advisory_xact_lock(%d)`, c.ID), &locked)
	}
	var runs atomic.Int64
	var wg, both sync.WaitGroup
	both.Add(2)
	ended := make(chan error, 2)
	for _, order := range [][2]store.Chat{{one, other}, {other, one}} {
		wg.Go(func() {
			first := true
			ended <- s.Update(context.Background(), func(tx *store.Tx) error {
				runs.Add(1)
				if err := lock(tx, order[0]); err != nil {
					return err
				}
				if first { // until both have one
					first = false
					both.Done()
					both.Wait()
				}
				if err := lock(tx, order[1]); err != nil {
					return err
				}
				_, err := post(tx, one.ID, ada.ID, "text")
				return err
			})
		})
	}
	wg.Wait()
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	require.EqualValues(t, 3, runs.Load())
	require.Len(t, messagesOf(t, s, one.ID), 2)
}

// Updates that lock several chats take their turns, and all get through.
func TestPostgresTurns(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{Writers: 4})
	ada := newUser(t, s, "ada")
	chats := []store.Chat{newGroup(t, s, ada), newGroup(t, s, ada), newGroup(t, s, ada)}
	const updates = 60
	var wg sync.WaitGroup
	failures := make(chan error, updates)
	for i := range updates {
		wg.Go(func() {
			failures <- s.Update(context.Background(), func(tx *store.Tx) error {
				some := chats[i%2 : 2+i%2] // the second chat is in all
				for _, c := range some {
					if err := tx.LockChat(ada.ID, c.ID); err != nil {
						return err
					}
				}
				for _, c := range some {
					if _, err := post(tx, c.ID, ada.ID, "text"); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	for i, want := range []int{updates / 2, updates, updates / 2} {
		require.Len(t, messagesOf(t, s, chats[i].ID), want)
	}
}

// However many wait for a chat that somebody holds, on this node or another,
// the other chats go on.
func TestPostgresBusyChat(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s, elsewhere := openPostgres(t, store.Options{Database: database, Writers: 4}), openPostgres(t, store.Options{Database: database})
	ada := newUser(t, s, "ada")
	busy, other := newGroup(t, s, ada), newGroup(t, s, ada)
	for name, holder := range map[string]*store.Store{"held here": s, "held elsewhere": elsewhere} {
		t.Run(name, func(t *testing.T) {
			before := len(messagesOf(t, s, busy.ID))
			held, released := make(chan struct{}), make(chan struct{})
			release := sync.OnceFunc(func() { close(released) })
			defer release()
			ended := make(chan error, 1)
			go func() {
				ended <- holder.Update(context.Background(), func(tx *store.Tx) error {
					if err := tx.LockChat(ada.ID, busy.ID); err != nil {
						return err
					}
					close(held)
					<-released
					return nil
				})
			}()
			receive(t, held)
			const senders = 12
			sent := make(chan error, senders)
			for range senders {
				go func() {
					sent <- s.Update(context.Background(), func(tx *store.Tx) error {
						_, err := post(tx, busy.ID, ada.ID, "busy")
						return err
					})
				}()
			}
			// The holder, two that have their turn, and one connection is left.
			require.Eventually(t, func() bool { return s.Stats().Waiting >= senders-2 }, patience, time.Millisecond)
			for range 5 {
				update(t, s, func(tx *store.Tx) error {
					_, err := post(tx, other.ID, ada.ID, "other")
					return err
				})
			}
			require.Empty(t, sent)
			release()
			require.NoError(t, receive(t, ended))
			for range senders {
				require.NoError(t, receive(t, sent))
			}
			require.Len(t, messagesOf(t, s, busy.ID), before+senders)
		})
	}
}

// What happens to an Update depends on why a statement of it failed.
func TestPostgresFailures(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{})
	ada := newUser(t, s, "ada")
	for _, c := range []struct {
		name, code string
		fails      int   // so often, and then it succeeds
		want       error // nil: it does
		runs       int
	}{
		{"a serialization failure", "40001", 1, nil, 2},
		{"some of them", "40001", 4, nil, 5},
		{"a deadlock", "40P01", 1, nil, 2},
		{"serialization failures without end", "40001", math.MaxInt, store.ErrUnavailable, store.MaxAttempts},
		{"deadlocks without end", "40P01", math.MaxInt, store.ErrUnavailable, store.MaxAttempts},
		{"a clash", "23505", 1, nil, 2},
		{"clashes without end", "23505", math.MaxInt, store.ErrConflict, 1 + store.MaxClashes},
		{"the disk is full", "53100", math.MaxInt, store.ErrUnavailable, 1},
		{"the server shuts down", "57P01", math.MaxInt, store.ErrUnavailable, 1},
		{"the server is a standby", "25006", math.MaxInt, store.ErrUnavailable, 1},
		{"a lock could not be had in time", "55P03", math.MaxInt, store.ErrUnavailable, -1},
	} {
		for how, wrap := range map[string]func(error) error{
			"returned": func(err error) error { return err },
			"wrapped":  func(err error) error { return fmt.Errorf("own words: %w", err) },
			"replaced": func(error) error { return errOwn },
			"ignored":  func(error) error { return nil },
		} {
			if how != "returned" && how != "wrapped" && errors.Is(c.want, store.ErrConflict) {
				continue // it is the function that decides then
			}
			t.Run(c.name+", "+how, func(t *testing.T) {
				t.Parallel()
				group := newGroup(t, s, ada)
				runs := 0
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					runs++
					if _, err := post(tx, group.ID, ada.ID, "text"); err != nil {
						return err
					}
					if runs <= c.fails {
						return wrap(raise(tx, c.code))
					}
					return nil
				})
				if c.runs > 0 {
					require.Equal(t, c.runs, runs)
				}
				require.ErrorIs(t, err, c.want)
				if c.want == nil {
					require.Len(t, messagesOf(t, s, group.ID), 1)
				} else {
					require.Empty(t, messagesOf(t, s, group.ID))
				}
			})
		}
	}
	t.Run("a mistake", func(t *testing.T) {
		runs := 0
		err := s.Update(t.Context(), func(tx *store.Tx) error {
			runs++
			return raise(tx, "42P01")
		})
		require.Error(t, err)
		require.NotErrorIs(t, err, store.ErrUnavailable)
		require.NotErrorIs(t, err, store.ErrConflict)
		require.Equal(t, 1, runs)
	})
}

// An Update that is tried again may panic then, or lose its caller.
func TestPostgresRetriesEnd(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{Writers: 2})
	for range 8 { // more than there are connections
		runs := 0
		require.PanicsWithValue(t, "boom", func() {
			_ = s.Update(t.Context(), func(tx *store.Tx) error {
				if runs++; runs == 3 {
					panic("boom")
				}
				return raise(tx, "40001")
			})
		})
	}
	for range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		err := s.Update(ctx, func(tx *store.Tx) error {
			runs++
			cancel()
			return raise(tx, "40001")
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, runs)
	}
	newUser(t, s, "ada")
	require.Zero(t, s.Stats().Waiting)
}

// Two Updates find nothing, and add the same. The one that comes second runs
// again, and finds what the first has added.
func TestPostgresClashes(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	nodes := []*store.Store{
		openPostgres(t, store.Options{Database: database}),
		openPostgres(t, store.Options{Database: database}),
	}
	ada, bob := newUser(t, nodes[0], "ada"), newUser(t, nodes[0], "bob")
	group, other := newGroup(t, nodes[0], ada), newGroup(t, nodes[0], ada)
	send := func(chat store.Chat, key string) func(*store.Tx) (int64, error) {
		return func(tx *store.Tx) (int64, error) {
			c, err := tx.NextSeq(ada.ID, chat.ID, 1, noon)
			if err != nil {
				return 0, err
			}
			m := store.Message{ChatID: c.ID, Seq: c.LastSeq, SenderID: ada.ID, Text: "text", ClientID: key, CreatedAt: noon}
			err = tx.CreateMessage(&m)
			return m.ID, err
		}
	}
	findMessage := func(key string) func(*store.Tx) (int64, error) {
		return func(tx *store.Tx) (int64, error) {
			m, err := tx.FindMessageByClientID(ada.ID, key)
			return m.ID, err
		}
	}
	type step = func(*store.Tx) (int64, error)
	for _, c := range []struct {
		name string
		find step
		add  [2]step
	}{
		{"a user", func(tx *store.Tx) (int64, error) {
			u, err := tx.FindUserByKey("eve")
			return u.ID, err
		}, [2]step{newEve, newEve}},
		{"a direct chat", func(tx *store.Tx) (int64, error) {
			c, err := tx.FindDirectChat(bob.ID, ada.ID)
			return c.ID, err
		}, [2]step{
			func(tx *store.Tx) (int64, error) { return createDirect(tx, ada.ID, bob.ID) },
			func(tx *store.Tx) (int64, error) { return createDirect(tx, bob.ID, ada.ID) },
		}},
		{"a message", findMessage("one"), [2]step{send(group, "one"), send(group, "one")}},
		{"a message in two chats", findMessage("two"), [2]step{send(group, "two"), send(other, "two")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var both, wg sync.WaitGroup
			both.Add(2)
			var ids [2]int64
			var runs [2]int
			ended := make(chan error, 2)
			for i, s := range nodes {
				wg.Go(func() {
					ended <- s.Update(context.Background(), func(tx *store.Tx) (err error) {
						runs[i]++
						if ids[i], err = c.find(tx); !errors.Is(err, store.ErrNotFound) {
							return err
						}
						if runs[i] == 1 { // until both have looked
							both.Done()
							both.Wait()
						}
						ids[i], err = c.add[i](tx)
						return err
					})
				})
			}
			wg.Wait()
			require.NoError(t, <-ended)
			require.NoError(t, <-ended)
			require.Positive(t, ids[0])
			require.Equal(t, ids[0], ids[1])
			// Who has to wait for a chat may begin anew for that, too.
			require.Contains(t, []int{3, 4}, runs[0]+runs[1])
		})
	}
	for _, c := range []store.Chat{group, other} { // what was undone took no number
		for i, m := range messagesOf(t, nodes[0], c.ID) {
			require.EqualValues(t, i+1, m.Seq)
		}
	}
	t.Run("with what has been there before", func(t *testing.T) {
		runs := 0
		err := nodes[0].Update(t.Context(), func(tx *store.Tx) error {
			runs++
			_, err := newEve(tx)
			return err
		})
		require.ErrorIs(t, err, store.ErrConflict)
		require.NotErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, 1+store.MaxClashes, runs)
	})
}

func newEve(tx *store.Tx) (int64, error) {
	u := store.User{Username: "eve", UsernameKey: "eve", PasswordHash: "hash", CreatedAt: noon}
	err := tx.CreateUser(&u)
	return u.ID, err
}

// Nodes that start together bring the schema up to date once.
func TestPostgresNodesStartTogether(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	var wg sync.WaitGroup
	opened := make(chan error, 8)
	for range cap(opened) {
		wg.Go(func() {
			s, err := store.Open(context.Background(), store.Options{Database: database})
			if err == nil {
				err = errors.Join(postNothing(s), s.Close())
			}
			opened <- err
		})
	}
	wg.Wait()
	for range cap(opened) {
		require.NoError(t, <-opened)
	}
	var versions, different, logs int
	require.NoError(t, openDatabase(t, database).QueryRowContext(t.Context(), `
		SELECT count(*), count(DISTINCT version_id), (SELECT count(*) FROM event_log) FROM goose_db_version`,
	).Scan(&versions, &different, &logs))
	require.Equal(t, versions, different, "a migration ran twice")
	require.Greater(t, versions, 1)
	require.Equal(t, 1, logs)
}

// postNothing asks the store something, as a node does when it has started.
func postNothing(s *store.Store) error {
	return s.Update(context.Background(), func(tx *store.Tx) error {
		return tx.AppendEvent(store.Event{Type: store.ChatCreated, At: noon})
	})
}

// What a person can do something about is said at the start, and no password is.
func TestPostgresRefusals(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	secret := func(password string) func(*url.URL) {
		return func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), password) }
	}
	for _, c := range []struct {
		name    string
		address func(tb testing.TB) string
		want    string // in the error
	}{
		{"wrong password", func(tb testing.TB) string {
			return changed(tb, database, secret("wrong/p@ss"))
		}, "does not let this user in"},
		{"wrong password, with or without TLS", func(tb testing.TB) string {
			return changed(tb, withOption(tb, database, "sslmode", "prefer"), secret("wrong/p@ss"))
		}, "does not let this user in"},
		{"no such user", func(tb testing.TB) string {
			return changed(tb, database, func(u *url.URL) { u.User = url.UserPassword("nobody", "wrong/p@ss") })
		}, "does not let this user in"},
		{"no such database", func(tb testing.TB) string {
			return changed(tb, database, func(u *url.URL) { u.Path = "/missing" })
		}, "CREATE DATABASE"},
		{"no TLS", func(tb testing.TB) string { return withOption(tb, database, "sslmode", "require") }, "TLS"},
		{"no such mode of TLS", func(tb testing.TB) string { return withOption(tb, database, "sslmode", "perhaps") }, "sslmode"},
		{"no such file", func(tb testing.TB) string { return withOption(tb, database, "sslrootcert", "/missing") }, "file"},
		{"no such setting", func(tb testing.TB) string { return withOption(tb, database, "sesame", "open") }, "sesame"},
		{"no such host", func(tb testing.TB) string {
			// Not a name by which anybody could be asked.
			return changed(tb, database, func(u *url.URL) { u.Host = "no..host" })
		}, "no..host"},
		{"another encoding", func(tb testing.TB) string {
			name := "test_" + strings.ToLower(rand.Text())
			execute(tb, database, `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`)
			tb.Cleanup(func() { execute(tb, database, `DROP DATABASE `+name+` WITH (FORCE)`) })
			return changed(tb, database, func(u *url.URL) { u.Path = "/" + name })
		}, "UTF8"},
		{"no right to make tables", func(tb testing.TB) string {
			own := pgtest.NewDatabase(tb)
			_, address := newRole(tb, own)
			execute(tb, own, `
				DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database()); END $$;
				REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
			return address
		}, "right to make tables"},
		{"no such schema", func(tb testing.TB) string {
			return withOption(tb, pgtest.NewDatabase(tb), "search_path", "missing")
		}, "schema"},
		{"a newer version", func(tb testing.TB) string {
			own := pgtest.NewDatabase(tb)
			require.NoError(tb, openPostgres(tb, store.Options{Database: own}).Close())
			execute(tb, own, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`)
			return own
		}, "newer version"},
		{"a password that is not percent-encoded", func(testing.TB) string {
			return strings.Replace(database, "@", "wrong/p@ss@", 1)
		}, "percent-encoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address := c.address(t)
			s, err := store.Open(t.Context(), store.Options{Database: address})
			if err == nil {
				require.NoError(t, s.Close())
			}
			require.ErrorContains(t, err, c.want)
			parsed, err2 := url.Parse(address)
			if err2 == nil && parsed.User != nil {
				password, _ := parsed.User.Password()
				require.NotContains(t, err.Error(), password)
				require.NotContains(t, err.Error(), url.UserPassword("", password).String()[1:])
			}
			require.NotContains(t, err.Error(), "p@ss")
		})
	}
	t.Run("a context that ends", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := store.Open(ctx, store.Options{Database: database})
		require.ErrorIs(t, err, context.Canceled)
	})
}

// An address that is not quite one is no path either: a file of that name would
// show the password.
func TestMisspeltAddresses(t *testing.T) {
	for _, address := range []string{
		"postgres:/user:secret@127.0.0.1/base",
		"postgres:user:secret@127.0.0.1/base",
		"postgresql:/user:secret@127.0.0.1/base",
		"Postgres://user:secret@127.0.0.1/base",
		" postgres://user:secret@127.0.0.1/base",
		"POSTGRES://user:secret@127.0.0.1/base",
		"//user:secret@127.0.0.1/base",
		"Postgres:user:secret@127.0.0.1/base",
		"user:secret@127.0.0.1/base",
		"user:secret/@127.0.0.1/base",
		"//user:secret/@127.0.0.1/base",
		"user:secret@127.0.0.1://base",
		"host=127.0.0.1 user=user password=secret dbname=base",
		"dbname = base password = secret",
		"base password=secret",
		"HOST=127.0.0.1 Password=secret",
		"service=mine sslpassword=secret",
		"jdbc:postgresql://127.0.0.1/base?user=user&password=secret",
		"Server=127.0.0.1;Database=base;Password=secret",
		"mysql://user:secret@127.0.0.1/base",
		"postgres+unix://user:secret@127.0.0.1/base",
	} {
		t.Run(strings.Replace(address, "secret", "…", 1), func(t *testing.T) {
			folder := t.TempDir()
			t.Chdir(folder)
			identity, err := store.Identity(address)
			if err != nil {
				require.NotContains(t, err.Error(), "secret")
			}
			require.NotContains(t, identity, "secret")
			s, err := store.Open(t.Context(), store.Options{Database: address})
			if err == nil {
				require.NoError(t, s.Close())
			}
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
			made, err := os.ReadDir(folder)
			require.NoError(t, err)
			require.Empty(t, made)
		})
	}
}

func TestPostgresIdentity(t *testing.T) {
	t.Parallel()
	const base = "postgres://user:secret@db.example:5432/base"
	for _, c := range []struct {
		name, address string
		same          bool
	}{
		{"another password", "postgres://user:other@db.example:5432/base", true},
		{"no password", "postgres://user@db.example:5432/base", true},
		{"the password as an option", "postgres://user@db.example:5432/base?password=secret", true},
		{"all as options", "postgres://?user=user&password=secret&host=db.example&port=5432&dbname=base", true},
		{"the standard port", "postgres://user:secret@db.example/base", true},
		{"the other scheme", "postgresql://user:secret@db.example:5432/base", true},
		{"the user percent-encoded", "postgres://%75ser:secret@db.example:5432/base", true},
		{"options of the connection", base + "?sslmode=disable&application_name=me&connect_timeout=3", true},
		{"another mode of TLS", base + "?sslmode=prefer", true},
		{"another user", "postgres://other:secret@db.example:5432/base", false},
		{"another host", "postgres://user:secret@other.example:5432/base", false},
		{"another port", "postgres://user:secret@db.example:5433/base", false},
		{"another database", "postgres://user:secret@db.example:5432/other", false},
		{"a schema", base + "?search_path=mine", false},
		{"a schema, said otherwise", base + "?options=-csearch_path%3Dmine", false},
		{"two hosts", "postgres://user:secret@db.example,other.example/base", false},
		{"two hosts with ports", "postgres://user:secret@db.example:5432,other.example:5433/base", false},
		{"two hosts as options", "postgres://user:secret@/base?host=db.example,other.example&port=5432,5433", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want, err := store.Identity(base)
			require.NoError(t, err)
			identity, err := store.Identity(c.address)
			require.NoError(t, err)
			require.Equal(t, c.same, want == identity, identity)
			require.NotContains(t, identity, "secret")
			again, err := store.Identity(strings.ReplaceAll(c.address, "secret", "changed"))
			require.NoError(t, err)
			require.Equal(t, identity, again)
		})
	}
}

// Whatever the password, and however it is written: an identity does not depend
// on it, and an error tells nothing of it.
func FuzzPostgresIdentity(f *testing.F) {
	for _, password := range []string{
		"secret", "p/ss", "p#ss", "p?ss", "p@ss", "p:ss", "p%ss", "p%2Fss", "p ss", "p&ss", "p=ss", "p[ss]", `p\ss`, "päss",
		"123/x", "123#x", "123?x", "1@2/x", "123@/x", "@/x", "/@x", "@", "/", "?", "#", "", "%",
		"x@host/y", "x@h/y", "x@host.example:5433/other?", "x@host.example:5433#", "x@/y", "a@b@c", "1,2/x", "[::1]/x",
		"x@host.example:5433/?password=y&a=", "\n", "\x00",
	} {
		f.Add(password)
	}
	const behind = "@host.example:5433/base?sslmode=disable&search_path=mine"
	want, err := store.Identity("postgres://user:word" + behind)
	require.NoError(f, err)
	var texts []string // of the errors that there are
	for _, bad := range []string{"postgres://user:%@host/base", "postgres://user:word@host/base?sslmode=perhaps"} {
		_, err := store.Identity(bad)
		require.Error(f, err)
		texts = append(texts, err.Error())
	}
	f.Fuzz(func(t *testing.T, password string) {
		identity, err := store.Identity("postgres://user:" + password + behind)
		if err == nil {
			require.Equal(t, want, identity)
		} else {
			require.Contains(t, texts, err.Error())
		}
		if strings.ContainsRune(password, 0) {
			return // nobody has such a password
		}
		for _, address := range []string{
			"postgres://" + url.UserPassword("user", password).String() + behind,
			"postgres://user" + behind + "&password=" + url.QueryEscape(password),
		} {
			identity, err := store.Identity(address)
			require.NoError(t, err)
			require.Equal(t, want, identity)
		}
	})
}

// An Update whose connection is cut has stored nothing, and says so. The next
// one has another.
func TestPostgresTerminated(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	comesBack := func(t *testing.T) {
		t.Helper()
		var err error
		require.Eventually(t, func() bool {
			if err = postText(s, group, ada, "after"); err != nil {
				require.ErrorIs(t, err, store.ErrUnavailable)
			}
			return err == nil
		}, patience, time.Millisecond, "%v", err)
	}
	for name, fn := range map[string]func(*store.Tx) error{
		"before the first statement": func(tx *store.Tx) error {
			terminate(t, database)
			_, err := post(tx, group.ID, ada.ID, "lost")
			return err
		},
		"in the middle": func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
				return err
			}
			terminate(t, database)
			_, err := post(tx, group.ID, ada.ID, "lost")
			return err
		},
		"in the middle, and the function ignores it": func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
				return err
			}
			terminate(t, database)
			_, _ = post(tx, group.ID, ada.ID, "lost")
			return nil
		},
		"before the commit": func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, "lost")
			terminate(t, database)
			return err
		},
		"by the server, which has waited for too long": func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
				return err
			}
			var pid int
			var set string
			if err := tx.Ask(`SELECT pg_backend_pid(), set_config('idle_in_transaction_session_timeout', '1ms', true)`, &pid, &set); err != nil {
				return err
			}
			db := openDatabase(t, database)
			for alive := true; alive; {
				if err := db.QueryRowContext(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&alive); err != nil {
					return err
				}
			}
			_, err := post(tx, group.ID, ada.ID, "lost")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, s.Update(t.Context(), fn), store.ErrUnavailable)
			require.NotContains(t, texts(awaitMessages(t, s, group)), "lost")
			comesBack(t)
		})
	}
	cut := func(tx *store.Tx) error {
		if _, err := tx.LastMessageID(); err != nil {
			return err
		}
		terminate(t, database)
		_, err := tx.LastMessageID()
		return err
	}
	t.Run("a View", func(t *testing.T) {
		require.ErrorIs(t, s.View(t.Context(), cut), store.ErrUnavailable, "its snapshot is gone")
		require.NotEmpty(t, awaitMessages(t, s, group))
	})
	t.Run("a ViewOne", func(t *testing.T) {
		if err := s.ViewOne(t.Context(), cut); err != nil { // another connection may have served
			require.ErrorIs(t, err, store.ErrUnavailable)
		}
		require.NotEmpty(t, awaitMessages(t, s, group))
	})
	t.Run("while nobody used it", func(t *testing.T) {
		for range 3 {
			terminate(t, database)
			comesBack(t)
			require.NotEmpty(t, awaitMessages(t, s, group))
		}
	})
}

// awaitMessages lists the messages of a chat as soon as there is a connection
// again.
func awaitMessages(tb testing.TB, s *store.Store, c store.Chat) (found []store.Message) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		err := s.View(context.Background(), func(tx *store.Tx) (err error) {
			found, err = tx.ListChatMessages(0, c.ID, store.Span{Before: math.MaxInt64}, math.MaxInt32)
			return err
		})
		if err != nil {
			require.ErrorIs(tb, err, store.ErrUnavailable)
		}
		return err == nil
	}, patience, time.Millisecond)
	return found
}

// The server goes down and comes back under load. What was answered is there,
// once; everything else was refused; nobody needs to start anew.
func TestPostgresServerGoesDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	database := server.NewDatabase(t)
	nodes := []*store.Store{
		openPostgres(t, store.Options{Database: database, Writers: 4, Readers: 4}),
		openPostgres(t, store.Options{Database: database, Writers: 4, Readers: 4}),
	}
	ada := newUser(t, nodes[0], "ada")
	group := newGroup(t, nodes[0], ada)

	var mu sync.Mutex
	var answered, refused []string
	var unexpected []error
	var views atomic.Int64
	note := func(err error) {
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			mu.Lock()
			defer mu.Unlock()
			unexpected = append(unexpected, err)
		}
	}
	working, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for writer := range 10 {
		wg.Go(func() {
			for i := 0; working.Err() == nil; i++ {
				text := fmt.Sprint(writer, ".", i)
				err := postText(nodes[writer%2], group, ada, text)
				note(err)
				mu.Lock()
				if err == nil {
					answered = append(answered, text)
				} else {
					refused = append(refused, text)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(time.Millisecond) // it shall not only refuse
				}
			}
		})
	}
	for _, s := range nodes {
		wg.Go(func() {
			for working.Err() == nil {
				err := s.View(context.Background(), func(tx *store.Tx) error {
					c, err := tx.FindChatOf(ada.ID, group.ID)
					if err != nil {
						return err
					}
					last, err := tx.ListChatMessages(0, c.ID, store.Span{Before: math.MaxInt64, FromEnd: true}, 1)
					if err == nil && len(last) == 1 && last[0].Seq != c.LastSeq {
						err = fmt.Errorf("the last message is %d, and the chat says %d", last[0].Seq, c.LastSeq)
					}
					return err
				})
				note(err)
				if err == nil {
					views.Add(1)
				}
			}
		})
	}
	count := func(of *[]string) int {
		mu.Lock()
		defer mu.Unlock()
		return len(*of)
	}
	more := func(of *[]string) {
		t.Helper()
		enough := count(of) + 50
		require.Eventually(t, func() bool { return count(of) >= enough }, patience, time.Millisecond)
	}
	more(&answered)
	for _, down := range []func(testing.TB){server.Crash, server.Stop} {
		down(t)
		more(&refused)
		server.Resume(t)
		more(&answered)
		seen := views.Load()
		require.Eventually(t, func() bool { return views.Load() >= seen+10 }, patience, time.Millisecond)
	}
	stop()
	wg.Wait()
	require.Empty(t, unexpected)

	all := awaitMessages(t, nodes[1], group)
	stored := map[string]bool{}
	for i, m := range all {
		require.EqualValues(t, i+1, m.Seq)
		require.False(t, stored[m.Text], "%s is there twice", m.Text)
		stored[m.Text] = true
	}
	for _, text := range answered {
		require.True(t, stored[text], "%s was answered", text)
		delete(stored, text)
	}
	for text := range stored {
		require.Contains(t, refused, text)
	}
	var announced []string
	for _, e := range logOf(t, nodes[0], len(all)) {
		announced = append(announced, e.Message.Text)
	}
	require.Equal(t, texts(all), announced)

	t.Run("and does not come back", func(t *testing.T) {
		server.Crash(t)
		closed := make(chan error, 2)
		for _, s := range nodes {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { note(postText(s, group, ada, "down")) })
				wg.Go(func() {
					note(s.ViewOne(context.Background(), func(tx *store.Tx) error {
						_, err := tx.LastMessageID()
						return err
					}))
				})
			}
			go func() { closed <- s.Close() }()
			wg.Wait()
		}
		require.NoError(t, receive(t, closed))
		require.NoError(t, receive(t, closed))
		require.Empty(t, unexpected)
	})
}

// relay stands between a store and its server.
type relay struct {
	listener net.Listener
	swallow  atomic.Bool // all that comes, and say nothing

	mu    sync.Mutex
	conns []net.Conn
	trap  *relayTrap // for the next connection that the server lets in
}

// relayTrap lets a connection hang for ever.
type relayTrap struct {
	answers int           // of the server that it lets through before
	sprung  chan struct{} // closed when they have come
}

// newRelay starts a relay to the server of an address, and returns the address
// that leads through it.
func newRelay(tb testing.TB, address string) (*relay, string) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	r := &relay{listener: listener}
	tb.Cleanup(r.cut)
	tb.Cleanup(func() { _ = listener.Close() })
	parsed, err := url.Parse(address)
	require.NoError(tb, err)
	target := parsed.Host
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			var hangs atomic.Bool
			go r.copy(far, near, &hangs, nil)
			go r.copy(near, far, &hangs, r.watch(&hangs))
		}
	}()
	parsed.Host = listener.Addr().String()
	return r, parsed.String()
}

// copy hands on what comes from one side, unless the connection hangs. Each of
// what is handed on is shown to watch before, if there is one.
func (r *relay) copy(to, from net.Conn, hangs *atomic.Bool, watch func([]byte)) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err == nil && !hangs.Load() && !r.swallow.Load() {
			if watch != nil {
				watch(buffer[:n])
			}
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

// watch looks at what a server says, and lets its connection hang behind that if
// it is the one that the trap is for.
func (r *relay) watch(hangs *atomic.Bool) func([]byte) {
	var said []byte
	var trap *relayTrap
	open := false // the server has let the client in; others want to cancel something
	return func(what []byte) {
		if said = append(said, what...); !bytes.HasSuffix(said, []byte("Z\x00\x00\x00\x05I")) { // ReadyForQuery
			return
		}
		said = nil
		if !open {
			open = true
			r.mu.Lock()
			trap, r.trap = r.trap, nil
			r.mu.Unlock()
		}
		if trap == nil {
			return
		}
		if trap.answers--; trap.answers == 0 {
			hangs.Store(true)
			close(trap.sprung)
			trap = nil
		}
	}
}

// swallowNext lets the next connection hang for ever when the server has answered
// so many times, of which the first is to the login.
func (r *relay) swallowNext(answers int) (swallowed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trap = &relayTrap{answers, make(chan struct{})}
	return r.trap.sprung
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.conns = nil
}

// A network that swallows everything holds nobody up for ever, and not at all
// who does not wait any more.
func TestPostgresHangs(t *testing.T) {
	t.Parallel()
	network, address := newRelay(t, pgtest.NewDatabase(t))
	s := openPostgres(t, store.Options{Database: address, Writers: 3})
	ada := newUser(t, s, "ada")
	group, other := newGroup(t, s, ada), newGroup(t, s, ada)

	// In the meantime: a server that is not there may be about to start.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	nowhere := changed(t, address, func(u *url.URL) { u.Host = listener.Addr().String() })
	nobody := make(chan error, 1)
	go func() {
		_, err := store.Open(context.Background(), store.Options{Database: nowhere})
		nobody <- err
	}()

	ended := make(chan error, 5)
	begun := make(chan struct{}, 3)
	swallowed := make(chan struct{})
	read := func(tx *store.Tx) error {
		begun <- struct{}{}
		<-swallowed
		_, err := tx.LastMessageID()
		return err
	}
	go func() { ended <- s.View(context.Background(), read) }()
	go func() { ended <- s.ViewOne(context.Background(), read) }()
	go func() {
		ended <- s.Update(context.Background(), func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, "lost"); err != nil {
				return err
			}
			begun <- struct{}{}
			<-swallowed
			_, err := post(tx, group.ID, ada.ID, "lost")
			return err
		})
	}()
	for range cap(begun) {
		receive(t, begun)
	}
	network.swallow.Store(true)
	close(swallowed)
	go func() { ended <- postText(s, other, ada, "new connection") }()
	go func() {
		ended <- s.View(context.Background(), func(tx *store.Tx) error {
			_, err := tx.LastMessageID()
			return err
		})
	}()
	gone, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		left <- s.ViewOne(gone, func(tx *store.Tx) error {
			leave()
			_, err := tx.LastMessageID()
			return err
		})
	}()
	require.ErrorIs(t, receive(t, left), context.Canceled)
	for range cap(ended) {
		require.ErrorIs(t, receive(t, ended), store.ErrUnavailable)
	}
	network.swallow.Store(false)
	// Not to the first chat: the server does not know yet that nobody will go on.
	require.Eventually(t, func() bool { return postText(s, other, ada, "kept") == nil }, patience, time.Millisecond)
	require.NotContains(t, texts(awaitMessages(t, s, group)), "lost")
	require.ErrorContains(t, receive(t, nobody), "no server answers")
}

// The network breaks time and again, whatever is going on. Who tries again until
// there is an answer has sent each message once.
func TestPostgresCuts(t *testing.T) {
	t.Parallel()
	network, address := newRelay(t, pgtest.NewDatabase(t))
	s := openPostgres(t, store.Options{Database: address, Writers: 4})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	const talkers, each = 8, 25
	var mu sync.Mutex
	var answered []string
	var unexpected []error
	send := func(text string) error {
		return s.Update(context.Background(), func(tx *store.Tx) error {
			_, err := tx.FindMessageByClientID(ada.ID, text)
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			c, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
			if err != nil {
				return err
			}
			return tx.CreateMessage(&store.Message{
				ChatID: c.ID, Seq: c.LastSeq, SenderID: ada.ID, Text: text, ClientID: text, CreatedAt: noon,
			})
		})
	}
	note := func(text string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			if answered = append(answered, text); len(answered)%10 == 0 {
				network.cut()
			}
		} else {
			unexpected = append(unexpected, err)
		}
	}
	var wg sync.WaitGroup
	for talker := range talkers {
		wg.Go(func() {
			for i := range each {
				text := fmt.Sprint(talker, ".", i)
				err := send(text)
				for errors.Is(err, store.ErrUnavailable) {
					err = send(text)
				}
				note(text, err)
			}
		})
	}
	wg.Wait()
	require.Empty(t, unexpected)
	all := awaitMessages(t, s, group)
	require.ElementsMatch(t, answered, texts(all))
	require.Len(t, all, talkers*each)
	for i, m := range all {
		require.EqualValues(t, i+1, m.Seq)
	}
}

// More Updates than may wait are refused at once.
func TestPostgresQueue(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, store.Options{Writers: 2, QueueLength: 3})
	running, goOn := make(chan struct{}, 6), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release() // whatever fails
	ended := make(chan error, 5)
	for range 5 {
		go func() {
			ended <- s.Update(context.Background(), func(*store.Tx) error {
				running <- struct{}{}
				<-goOn
				return nil
			})
		}()
	}
	receive(t, running)
	receive(t, running)
	require.Eventually(t, func() bool { return s.Stats().Waiting == 3 }, patience, time.Millisecond)
	for range 3 {
		err := s.Update(t.Context(), func(*store.Tx) error { return nil })
		require.ErrorIs(t, err, store.ErrUnavailable)
	}
	release()
	for range 5 {
		require.NoError(t, receive(t, ended))
	}
	require.Zero(t, s.Stats().Waiting)
	require.NoError(t, s.Update(t.Context(), func(*store.Tx) error { return nil }))
}

// atOnce runs so many Updates that each waits for all others.
func atOnce(s *store.Store, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var mu sync.Mutex
	running := 0
	all := make(chan struct{})
	var wg sync.WaitGroup
	ended := make(chan error, n)
	for range n {
		wg.Go(func() {
			ended <- s.Update(ctx, func(*store.Tx) error {
				mu.Lock()
				if running++; running == n {
					close(all)
				}
				mu.Unlock()
				select {
				case <-all:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	wg.Wait()
	var err error
	for range n {
		err = errors.Join(err, <-ended)
	}
	return err
}

func TestPostgresConfigure(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	name, address := newRole(t, database)
	s := openPostgres(t, store.Options{Database: address, Readers: 1, Writers: 1})
	require.NoError(t, atOnce(s, 1))
	require.LessOrEqual(t, s.Stats().Connections, 2)

	require.NoError(t, s.Configure(store.Options{Database: address, Readers: 2, Writers: 5}))
	require.NoError(t, atOnce(s, 5))
	require.GreaterOrEqual(t, s.Stats().Connections, 5)
	require.NoError(t, s.Configure(store.Options{Database: address, Readers: 1, Writers: 2}))
	require.NoError(t, atOnce(s, 2))
	require.LessOrEqual(t, s.Stats().Connections, 3)
	require.NoError(t, s.Configure(store.Options{Database: address}))
	require.NoError(t, atOnce(s, 10), "as many as by itself")

	execute(t, database, `ALTER ROLE `+name+` PASSWORD 'second secret'`)
	terminate(t, database)
	var err error
	for range 12 { // more than there were connections
		err = s.Update(t.Context(), func(*store.Tx) error { return nil })
		require.ErrorIs(t, err, store.ErrUnavailable)
	}
	require.NotContains(t, err.Error(), "secret")
	err = s.Check(t.Context(), store.Options{Database: changed(t, address, func(u *url.URL) {
		u.User = url.UserPassword(name, "third secret")
	})})
	require.ErrorContains(t, err, "does not let this user in")
	require.NotContains(t, err.Error(), "secret")
	address = changed(t, address, func(u *url.URL) { u.User = url.UserPassword(name, "second secret") })
	require.NoError(t, s.Check(t.Context(), store.Options{Database: address}))
	require.ErrorIs(t, s.Update(t.Context(), func(*store.Tx) error { return nil }), store.ErrUnavailable, "it has taken it over")
	require.NoError(t, s.Configure(store.Options{Database: address}))
	newUser(t, s, "ada")
	require.NoError(t, atOnce(s, 10))

	err = s.Check(t.Context(), store.Options{Database: withOption(t, address, "sslmode", "perhaps")})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	newUser(t, s, "bob")
}

// What the administrator has set for a user is not taken over where it would
// break a promise.
func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	name, address := newRole(t, database)
	execute(t, database, `
		ALTER ROLE `+name+` SET synchronous_commit = off;
		ALTER ROLE `+name+` SET default_transaction_isolation = 'serializable';
		ALTER ROLE `+name+` SET idle_in_transaction_session_timeout = 0;
		ALTER ROLE `+name+` SET client_encoding = 'LATIN1'`)
	s := openPostgres(t, store.Options{Database: withOption(t, address, "synchronous_commit", "off")})
	settings := func(of func(context.Context, func(*store.Tx) error) error) map[string]string {
		t.Helper()
		found := map[string]string{}
		require.NoError(t, of(t.Context(), func(tx *store.Tx) (err error) {
			for _, name := range []string{
				"synchronous_commit", "transaction_isolation", "transaction_read_only", "idle_in_transaction_session_timeout", "client_encoding",
			} {
				if found[name], err = show(tx, name); err != nil {
					return err
				}
			}
			return nil
		}))
		return found
	}
	require.Equal(t, map[string]string{
		"synchronous_commit": "on", "transaction_isolation": "read committed", "transaction_read_only": "off",
		"idle_in_transaction_session_timeout": "10s", "client_encoding": "UTF8",
	}, settings(s.Update))
	view := settings(s.View)
	require.Equal(t, "repeatable read", view["transaction_isolation"])
	require.Equal(t, "on", view["transaction_read_only"])
	require.Equal(t, "10s", view["idle_in_transaction_session_timeout"])
	require.Equal(t, "on", settings(s.ViewOne)["transaction_read_only"])

	// What it stores is what others find.
	ada := newUser(t, s, "ada 🙂 ü")
	var username string
	require.NoError(t, openDatabase(t, database).QueryRowContext(t.Context(),
		`SELECT username FROM users WHERE id = $1`, ada.ID).Scan(&username))
	require.Equal(t, "ada 🙂 ü", username)

	// Stricter than needed is right, too.
	strict := openPostgres(t, store.Options{Database: withOption(t, database, "synchronous_commit", "remote_apply")})
	require.Equal(t, "remote_apply", settings(strict.Update)["synchronous_commit"])
}

// Two schemas of one database hold two stores.
func TestPostgresSchemas(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	execute(t, database, `CREATE SCHEMA one; CREATE SCHEMA two`)
	var stores []*store.Store
	for _, schema := range []string{"one", "two"} {
		s := openPostgres(t, store.Options{Database: withOption(t, database, "search_path", schema)})
		stores = append(stores, s)
		ada := newUser(t, s, "ada")
		require.NoError(t, postText(s, newGroup(t, s, ada), ada, schema))
	}
	for i, want := range []string{"one", "two"} {
		f := follower{store: stores[i]}
		require.Equal(t, []string{want}, f.await(t, 1))
		var last int64
		view(t, stores[i], func(tx *store.Tx) (err error) {
			last, err = tx.LastMessageID()
			return err
		})
		require.EqualValues(t, 1, last)
	}
}

// A database that comes from another cluster may hold events with higher ids
// than transactions have here.
func TestPostgresRestored(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	require.NoError(t, postText(s, group, ada, "old"))
	db := openDatabase(t, database)
	ask := func(query string) (n int64) {
		t.Helper()
		require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
		return n
	}
	require.Zero(t, ask(`SELECT base FROM event_log`))
	want := []string{"old"}
	highest := int64(1) << 40
	for round := range 2 {
		require.NoError(t, s.Close())
		text := fmt.Sprint("moved ", round)
		execute(t, database, `
			WITH moved AS (
				INSERT INTO messages (chat_id, seq, sender_id, text, created_at) VALUES ($1, $2, $3, $4, 0) RETURNING id)
			INSERT INTO events (id, type, chat_id, actor_id, message_id, created_at)
			SELECT $5, 'message.created', $1, $3, id, 0 FROM moved`, group.ID, 100+round, ada.ID, text, highest)
		s = openPostgres(t, store.Options{Database: database})
		base := ask(`SELECT base FROM event_log`)
		other := openPostgres(t, store.Options{Database: database})
		require.Equal(t, base, ask(`SELECT base FROM event_log`), "it has been moved already")

		new1, new2 := fmt.Sprint("new ", round), fmt.Sprint("newer ", round)
		require.NoError(t, postText(s, group, ada, new1))
		require.NoError(t, postText(other, group, ada, new2))
		want = append(want, text, new1, new2)
		f := follower{store: other}
		require.Equal(t, want, f.await(t, len(want)))
		require.Greater(t, f.last, highest)
		highest = f.last + 1<<40
		require.NoError(t, other.Close())
	}
}
