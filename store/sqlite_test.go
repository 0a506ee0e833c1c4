package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	conformance(t, openSQLite)
}

func TestSQLiteUnbatched(t *testing.T) {
	t.Parallel()
	conformance(t, func(tb testing.TB, opts store.Options) *store.Store {
		opts.Unbatched = true
		return openSQLite(tb, opts)
	})
}

// openSQLite opens a store, in a folder of its own unless opts say where, and
// closes it after the test.
func openSQLite(tb testing.TB, opts store.Options) *store.Store {
	tb.Helper()
	if opts.Database == "" {
		opts.Database = filepath.Join(tb.TempDir(), "messaging.db")
	}
	s, err := store.Open(context.Background(), opts)
	require.NoError(tb, err)
	// A test may have closed it.
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// refuseToOpen tells why a database can't be opened.
func refuseToOpen(tb testing.TB, path string) (why string) {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: path})
	if err == nil {
		s.Close()
	}
	require.Error(tb, err)
	// The path of a test bears the test's name, which would say it all.
	why = strings.ReplaceAll(err.Error(), path, "")
	require.NotEqual(tb, why, err.Error(), "it does not name the file")
	return why
}

// otherProgram opens a database file as a program that is not ours would.
func otherProgram(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite3", (&url.URL{Scheme: "file", Path: path}).String())
	require.NoError(tb, err)
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	return db
}

// block keeps the writer busy until release is called, or the test ends.
func block(tb testing.TB, s *store.Store) (release func()) {
	tb.Helper()
	running, done := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(done) })
	tb.Cleanup(release)
	go func() {
		_ = s.Update(context.Background(), func(*store.Tx) error {
			close(running)
			<-done
			return nil
		})
	}()
	receive(tb, running)
	return release
}

var errPanicked = errors.New("the Update panicked")

// queue starts an Update and returns when it waits behind those that block the
// writer.
func queue(tb testing.TB, ctx context.Context, s *store.Store, fn func(*store.Tx) error) <-chan error {
	tb.Helper()
	waiting := s.Stats().Waiting
	result := make(chan error, 1)
	go func() {
		err := errPanicked
		defer func() {
			_ = recover()
			result <- err
		}()
		err = s.Update(ctx, fn)
	}()
	require.Eventually(tb, func() bool { return s.Stats().Waiting == waiting+1 }, patience, 100*time.Microsecond)
	return result
}

// One sync of the disk serves all who wait, and each of them gets what is
// theirs.
func TestSQLiteBatch(t *testing.T) {
	t.Parallel()
	handed := &events{}
	batches := make(chan int, 100)
	s := openSQLite(t, store.Options{
		OnCommit: handed.add,
		OnBatch: func(updates int, took time.Duration) {
			if took > 0 {
				batches <- updates
			}
		},
	})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	for len(batches) > 0 {
		<-batches
	}
	postThen := func(text string, then func(*store.Tx) error) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			if _, err := post(tx, group.ID, ada.ID, text); err != nil {
				return err
			}
			return then(tx)
		}
	}
	ok := func(*store.Tx) error { return nil }

	release := block(t, s)
	var results []<-chan error
	ctx, cancel := context.WithCancel(t.Context())
	steps := []struct {
		ctx  context.Context
		fn   func(*store.Tx) error
		want error
	}{
		{t.Context(), postThen("one", ok), nil},
		{t.Context(), postThen("lost", func(*store.Tx) error { return errOwn }), errOwn},
		{t.Context(), postThen("two", ok), nil},
		{t.Context(), postThen("lost", func(*store.Tx) error { panic("boom") }), errPanicked},
		{t.Context(), postThen("lost", func(tx *store.Tx) error {
			return tx.AddParticipant(group.ID, ada.ID, store.Member, noon)
		}), store.ErrConflict},
		{t.Context(), postThen("three", ok), nil},
		{t.Context(), func(*store.Tx) error { return errOwn }, errOwn},
		{ctx, postThen("not run", ok), context.Canceled},
		{t.Context(), func(*store.Tx) error { panic("boom") }, errPanicked},
		{t.Context(), postThen("four", ok), nil},
	}
	for _, step := range steps {
		results = append(results, queue(t, step.ctx, s, step.fn))
	}
	cancel()
	release()
	for i, step := range steps {
		err := receive(t, results[i])
		if step.want == nil {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, step.want)
		}
	}
	require.Equal(t, 1, receive(t, batches), "what blocked the writer")
	require.Equal(t, len(steps)-1, receive(t, batches), "the rest, but for whoever has gone, is one batch")
	want := []string{"one", "two", "three", "four"}
	require.Equal(t, want, texts(messagesOf(t, s, group.ID)))
	var announced []string
	for _, e := range handed.wait(t, len(want)) {
		announced = append(announced, e.Message.Text)
	}
	require.Equal(t, want, announced)
}

// An Update that has begun is carried through, and one that is not stored has
// no events; also if a neighbour's failure makes the batch run again.
func TestSQLiteBatchRunsAgain(t *testing.T) {
	t.Parallel()
	handed := &events{}
	s := openSQLite(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)

	release := block(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	first := queue(t, ctx, s, func(tx *store.Tx) error {
		_, err := post(tx, group.ID, ada.ID, "first")
		return err
	})
	second := queue(t, t.Context(), s, func(tx *store.Tx) error {
		if _, err := post(tx, group.ID, ada.ID, "second"); err != nil {
			return err
		}
		cancel()
		return errOwn
	})
	release()
	firstErr := receive(t, first)
	require.Equal(t, errOwn, receive(t, second))
	update(t, s, func(tx *store.Tx) error {
		return tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: group.ID, ActorID: ada.ID, At: noon})
	})

	stored := texts(messagesOf(t, s, group.ID))
	announced := []string{}
	for _, e := range handed.wait(t, 1) {
		if e.Type == store.MessageCreated {
			announced = append(announced, e.Message.Text)
		}
	}
	require.Equal(t, stored, announced)
	require.NoError(t, firstErr)
	require.Equal(t, []string{"first"}, stored)
}

func TestSQLiteQueue(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{QueueLength: 3})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	postOne := func(text string) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, text)
			return err
		}
	}
	release := block(t, s)
	require.Zero(t, s.Stats().Waiting)
	var results []<-chan error
	ctx, cancel := context.WithCancel(t.Context())
	for i, ctx := range []context.Context{t.Context(), ctx, t.Context()} {
		results = append(results, queue(t, ctx, s, postOne(fmt.Sprint(i))))
	}
	err := s.Update(t.Context(), postOne("one too many"))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Empty(t, messagesOf(t, s, group.ID), "a View waits for no Update")

	cancel()
	release()
	require.NoError(t, receive(t, results[0]))
	require.ErrorIs(t, receive(t, results[1]), context.Canceled)
	require.NoError(t, receive(t, results[2]))
	update(t, s, postOne("later"))
	require.Equal(t, []string{"0", "2", "later"}, texts(messagesOf(t, s, group.ID)))
	require.Zero(t, s.Stats().Waiting)
	require.Positive(t, s.Stats().Connections)
}

// Close finishes what waits.
func TestSQLiteCloseFinishes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	release := block(t, s)
	var results []<-chan error
	for i := range 3 {
		results = append(results, queue(t, t.Context(), s, func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, fmt.Sprint(i))
			return err
		}))
	}
	closed := make(chan error, 1)
	go func() {
		closed <- s.Close()
	}()
	release()
	require.NoError(t, receive(t, closed))
	for _, result := range results {
		select {
		case err := <-result:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "an Update hangs")
		}
	}
	// The log is folded into the database: one file can be copied away.
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{path}, files)
	s = openSQLite(t, store.Options{Database: path})
	require.Equal(t, []string{"0", "1", "2"}, texts(messagesOf(t, s, group.ID)))
}

// What was answered is on the disk: FULL syncs each commit, NORMAL would not.
func TestSQLiteDurability(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, store.Options{})
	ask := func(tx *store.Tx, pragma string) string {
		var value string
		if err := tx.Ask("PRAGMA "+pragma, &value); err != nil {
			return err.Error()
		}
		return value
	}
	// Several: all of them run on the one connection, whatever has failed
	// on it before.
	for range 3 {
		writer := map[string]string{}
		update(t, s, func(tx *store.Tx) error {
			for _, pragma := range []string{"journal_mode", "synchronous", "foreign_keys", "query_only"} {
				writer[pragma] = ask(tx, pragma)
			}
			return nil
		})
		require.Equal(t, map[string]string{
			"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "query_only": "0",
		}, writer)
		_ = s.Update(t.Context(), func(*store.Tx) error { return errOwn })
	}
	view(t, s, func(tx *store.Tx) error {
		require.Equal(t, "wal", ask(tx, "journal_mode"))
		require.Equal(t, "1", ask(tx, "query_only"))
		return nil
	})
}

// A crash leaves the database and its log as they were after the last answer,
// and perhaps a torn end. What was answered is in them.
func TestSQLiteCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	var want []string
	for i := range 20 {
		text := fmt.Sprint("message ", i)
		update(t, s, func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, text)
			return err
		})
		want = append(want, text)
	}
	database, err := os.ReadFile(path)
	require.NoError(t, err)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	for name, tail := range map[string][]byte{
		"clean":            nil,
		"half a log entry": log[len(log)-3000 : len(log)-1000],
		"zeros":            make([]byte, 5000),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "messaging.db")
			require.NoError(t, os.WriteFile(path, database, 0o600))
			require.NoError(t, os.WriteFile(path+"-wal", append(bytes.Clone(log), tail...), 0o600))
			s := openSQLite(t, store.Options{Database: path})
			require.Equal(t, want, texts(messagesOf(t, s, group.ID)))
			update(t, s, func(tx *store.Tx) error {
				_, err := post(tx, group.ID, ada.ID, "after")
				return err
			})
			all := messagesOf(t, s, group.ID)
			require.EqualValues(t, len(want)+1, all[len(want)].Seq)
			require.Equal(t, "ok", integrity(t, s))
		})
	}

	t.Run("beside the one that has not closed it", func(t *testing.T) {
		s := openSQLite(t, store.Options{Database: path})
		require.Equal(t, want, texts(messagesOf(t, s, group.ID)))
	})
}

func integrity(tb testing.TB, s *store.Store) (answer string) {
	tb.Helper()
	view(tb, s, func(tx *store.Tx) error { return tx.Ask("PRAGMA integrity_check", &answer) })
	return answer
}

func TestSQLiteFiles(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"folder made":                    "a/b/messaging.db",
		"what means something in an URI": "a?b=c&mode=memory/%2e%#x y+/mess;aging?%41#.db",
		"not ASCII":                      "données/сообщения.db",
		"quotes":                         `it's/"mine".db`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), filepath.FromSlash(path))
			s := openSQLite(t, store.Options{Database: path})
			newUser(t, s, "ada")

			folder, err := os.Stat(filepath.Dir(path))
			require.NoError(t, err)
			require.Equal(t, os.ModeDir|0o700, folder.Mode())
			files, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			var names []string
			for _, file := range files {
				names = append(names, file.Name())
				info, err := file.Info()
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode(), file.Name())
			}
			base := filepath.Base(path)
			require.Equal(t, []string{base, base + "-shm", base + "-wal"}, names)

			require.NoError(t, s.Close())
			s = openSQLite(t, store.Options{Database: path})
			view(t, s, func(tx *store.Tx) error {
				_, err := tx.FindUserByKey("ada")
				return err
			})
		})
	}
}

// A server that starts, and commands beside it, bring a new file up to date together.
func TestSQLiteOpenedAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "messaging.db")
		var opening sync.WaitGroup
		for range 8 {
			opening.Go(func() {
				s, err := store.Open(context.Background(), store.Options{Database: path})
				if assert.NoError(t, err) {
					assert.NoError(t, s.Close())
				}
			})
		}
		opening.Wait()
	}
}

func TestSQLiteRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	openSQLite(t, store.Options{Database: "data/messaging.db"})
	require.FileExists(t, "data/messaging.db")
	openSQLite(t, store.Options{Database: "messaging.db"})
	require.FileExists(t, "messaging.db")
}

// What can't be opened is told in words that help, and left as it is.
func TestSQLiteRefused(t *testing.T) {
	t.Parallel()
	existing := func(t *testing.T) (path string) {
		path = filepath.Join(t.TempDir(), "messaging.db")
		s := openSQLite(t, store.Options{Database: path})
		newUser(t, s, "ada")
		require.NoError(t, s.Close())
		return path
	}
	untouched := func(t *testing.T, path string, refuse func()) {
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		refuse()
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "the file was changed")
	}

	t.Run("made by a newer version", func(t *testing.T) {
		t.Parallel()
		path := existing(t)
		other := otherProgram(t, path)
		_, err := other.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (90000, 1)`)
		require.NoError(t, err)
		require.NoError(t, other.Close())
		why := refuseToOpen(t, path)
		require.Contains(t, why, "newer version")
		require.Contains(t, why, "90000")
	})
	t.Run("not a database", func(t *testing.T) {
		t.Parallel()
		for _, content := range []string{
			"short", strings.Repeat("This is a text and no database.\n", 1000),
		} {
			path := filepath.Join(t.TempDir(), "notes.txt")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			untouched(t, path, func() {
				require.Contains(t, refuseToOpen(t, path), "not an SQLite database")
			})
		}
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		for name, damage := range map[string]func([]byte) []byte{
			"header": func(b []byte) []byte { return append(bytes.Repeat([]byte{0xff}, 100), b[100:]...) },
			"first page": func(b []byte) []byte {
				return append(append(b[:100:100], bytes.Repeat([]byte{0xff}, 3996)...), b[4096:]...)
			},
			"all but the first page": func(b []byte) []byte {
				return append(b[:4096:4096], bytes.Repeat([]byte{0xff}, len(b)-4096)...)
			},
			"cut off": func(b []byte) []byte { return b[:4096] },
		} {
			t.Run(name, func(t *testing.T) {
				path := existing(t)
				content, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, damage(content), 0o600))
				untouched(t, path, func() {
					require.Contains(t, refuseToOpen(t, path), "damaged")
				})
			})
		}
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		refuseToOpen(t, t.TempDir())
	})
	t.Run("in a file", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		refuseToOpen(t, filepath.Join(file, "messaging.db"))
	})
}

// Another program's lock is waited for, and told about if it stays. The waits
// take seconds each, and so they are waited for together.
func TestSQLiteLocked(t *testing.T) {
	t.Parallel()
	lock := func(path, begin string) (unlock func()) {
		other := otherProgram(t, path)
		_, err := other.ExecContext(t.Context(), begin)
		require.NoError(t, err)
		return func() {
			_, err := other.ExecContext(t.Context(), `ROLLBACK`)
			require.NoError(t, err)
		}
	}
	dir := t.TempDir()

	existing := filepath.Join(dir, "existing.db")
	require.NoError(t, openSQLite(t, store.Options{Database: existing}).Close())
	unlockExisting := lock(existing, `BEGIN IMMEDIATE`)
	fresh := filepath.Join(dir, "fresh.db")
	lock(fresh, `BEGIN EXCLUSIVE`)
	opened := map[string]chan error{existing: make(chan error, 1), fresh: make(chan error, 1)}
	for path, result := range opened {
		go func() {
			s, err := store.Open(context.Background(), store.Options{Database: path})
			if err == nil {
				s.Close()
			}
			result <- err
		}()
	}

	running := filepath.Join(dir, "running.db")
	handed := &events{}
	s := openSQLite(t, store.Options{Database: running, OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	postOne := func(text string) error {
		return s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := post(tx, group.ID, ada.ID, text)
			return err
		})
	}
	unlock := lock(running, `BEGIN IMMEDIATE`)
	require.ErrorIs(t, postOne("refused"), store.ErrUnavailable)
	require.Empty(t, messagesOf(t, s, group.ID), "one can read all the while")
	unlock()
	require.NoError(t, postOne("stored"))
	require.Equal(t, []string{"stored"}, texts(messagesOf(t, s, group.ID)), "what was refused is not stored later")
	require.Len(t, handed.wait(t, 1), 1)

	for path, result := range opened {
		err := receive(t, result)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, "another program")
	}
	unlockExisting()
	openSQLite(t, store.Options{Database: existing})
}

// Damage that nobody has come across at the start is told when somebody does,
// and costs those nothing who don't.
func TestSQLiteDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	require.NoError(t, s.Close())
	other := otherProgram(t, path)
	var page, size int64
	require.NoError(t, other.QueryRowContext(t.Context(),
		`SELECT rootpage FROM sqlite_master WHERE name = 'messages'`).Scan(&page))
	require.NoError(t, other.QueryRowContext(t.Context(), `PRAGMA page_size`).Scan(&size))
	require.NoError(t, other.Close())
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteAt(bytes.Repeat([]byte{0xff}, int(size)), (page-1)*size)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	s = openSQLite(t, store.Options{Database: path})
	read := func(tx *store.Tx) error {
		_, err := tx.LastMessageID()
		return err
	}
	write := func(tx *store.Tx) error {
		_, err := post(tx, group.ID, ada.ID, "text")
		return err
	}
	for range 2 {
		require.ErrorIs(t, s.View(t.Context(), read), store.ErrUnavailable)
		require.ErrorIs(t, s.Update(t.Context(), write), store.ErrUnavailable)
	}
	newGroup(t, s, ada)
}

// A full disk refuses some, loses nothing that was answered, and is forgotten
// when there is room again.
func TestSQLiteDiskFull(t *testing.T) {
	t.Parallel()
	handed := &events{}
	s := openSQLite(t, store.Options{OnCommit: handed.add})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	room := func(pages int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			var used, limit int
			if err := tx.Ask("PRAGMA page_count", &used); err != nil {
				return err
			}
			return tx.Ask(fmt.Sprintf("PRAGMA max_page_count = %d", used+pages), &limit)
		})
	}
	long := strings.Repeat("long ", 2000)
	var mu sync.Mutex
	var answered []string
	refused := 0
	postMany := func() {
		t.Helper()
		var wg sync.WaitGroup
		var unexpected []error
		for range 8 {
			wg.Go(func() {
				for range 8 {
					mu.Lock()
					text := fmt.Sprint(len(answered)+refused, long)
					mu.Unlock()
					var m store.Message
					err := s.Update(context.Background(), func(tx *store.Tx) (err error) {
						m, err = post(tx, group.ID, ada.ID, text)
						return err
					})
					mu.Lock()
					switch {
					case err == nil:
						answered = append(answered, fmt.Sprint(m.Seq, m.Text))
					case errors.Is(err, store.ErrUnavailable):
						refused++
					default:
						unexpected = append(unexpected, err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Empty(t, unexpected)
	}
	check := func() {
		t.Helper()
		stored := []string{}
		for i, m := range messagesOf(t, s, group.ID) {
			require.EqualValues(t, i+1, m.Seq)
			stored = append(stored, fmt.Sprint(m.Seq, m.Text))
		}
		require.ElementsMatch(t, answered, stored)
		announced := []string{}
		for _, e := range handed.wait(t, len(answered)) {
			announced = append(announced, fmt.Sprint(e.Message.Seq, e.Message.Text))
		}
		require.Equal(t, stored, announced)
		require.Equal(t, "ok", integrity(t, s))
	}
	room(60)
	postMany()
	require.NotEmpty(t, answered)
	require.Positive(t, refused)
	check()

	before := len(answered)
	room(math.MaxInt32 / 2)
	refused = 0
	postMany()
	require.Zero(t, refused)
	require.Len(t, answered, before+64)
	check()
}

// Who reads when it is closed, and is told to stop, does not keep what was written out
// of the file itself.
func TestSQLiteCloseWhileReadingEnds(t *testing.T) {
	t.Parallel()
	for range 200 {
		path := filepath.Join(t.TempDir(), "messaging.db")
		s, err := store.Open(t.Context(), store.Options{Database: path})
		require.NoError(t, err)
		newUser(t, s, "ada")
		ctx, cancel := context.WithCancel(t.Context())
		reading, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			_ = s.View(ctx, func(tx *store.Tx) error {
				close(reading)
				for ctx.Err() == nil {
					if _, err := tx.ListUsers(store.Filter{}); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		}()
		<-reading
		cancel()
		<-done
		require.NoError(t, s.Close())
		if log, err := os.Stat(path + "-wal"); err == nil {
			require.Zero(t, log.Size())
		} else {
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	}
}
