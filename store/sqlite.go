package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
)

// sqlite is the engine for one SQLite file: a pool of connections that read,
// and one connection that writes and belongs to the writer's goroutine.
type sqlite struct {
	readers *sql.DB
	writing *sql.DB
	writer  *writer
	closed  atomic.Bool
}

// lockTimeout is how long to wait for a lock that another program holds.
const lockTimeout = 5 * time.Second

// Both kinds of connection keep their prepared statements. The writer syncs
// each commit to the disk (FULL); NORMAL would lose the last ones in a power
// cut. The writer waits for a lock a little at a time, so that it can stop.
const (
	commonPragmas = "_foreign_keys=1&_stmt_cache_size=128"
	writerPragmas = commonPragmas + "&_busy_timeout=100&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate"
	readerPragmas = commonPragmas + "&_busy_timeout=5000&_query_only=1"
)

func openSQLite(ctx context.Context, opts Options) (_ *sqlite, err error) {
	path, err := filepath.Abs(opts.Database)
	if err != nil {
		return nil, err
	}
	if opts.Existing {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("there is no such file")
		}
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	writing, err := sql.Open("sqlite3", dsn(path, writerPragmas))
	if err != nil {
		return nil, err
	}
	writing.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, writing.Close())
		}
	}()
	if err := probe(ctx, writing); err != nil {
		return nil, err
	}
	if err := migrateSQLite(ctx, writing); err != nil {
		return nil, err
	}

	readers, err := sql.Open("sqlite3", dsn(path, readerPragmas))
	if err != nil {
		return nil, err
	}
	w, err := startWriter(writing, opts)
	if err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	s := &sqlite{readers: readers, writing: writing, writer: w}
	return s, s.configure(opts)
}

func (s *sqlite) configure(opts Options) error {
	// More connections than cores, because a reader also waits: for its turn
	// on the disk, and between the rows that it hands over.
	setPool(s.readers, opts.Readers, 4*runtime.GOMAXPROCS(0))
	return nil
}

// check does nothing: there is one way to open a file.
func (s *sqlite) check(context.Context, Options) error { return nil }

// setPool bounds the connections of a pool, and keeps as many open.
func setPool(db *sql.DB, size, standard int) {
	if size == 0 {
		size = standard
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
}

// createFile makes an empty database that only its owner can read; SQLite
// gives its other files the same mode.
func createFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return explain(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explain(err)
	}
	return f.Close()
}

func dsn(path, pragmas string) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: pragmas}).String()
}

// migrateSQLite is migrate for a file that another program may bring up to date just now,
// as a command does beside a server that starts. Each step is a transaction: who finds one
// done, or under way, by the other goes on behind it.
func migrateSQLite(ctx context.Context, db *sql.DB) error {
	for deadline := time.Now().Add(lockTimeout); ; {
		from := schemaVersion(ctx, db)
		err := migrate(ctx, db, goose.DialectSQLite3, "sqlite")
		if err == nil || ctx.Err() != nil {
			return err
		}
		moved := schemaVersion(ctx, db) > from
		if !moved && (!isLocked(err) || time.Now().After(deadline)) {
			return err
		}
	}
}

// schemaVersion is how far the schema is; -1, if there is none yet, or it can't be told.
func schemaVersion(ctx context.Context, db *sql.DB) int64 {
	version := int64(-1)
	_ = db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version) // as above
	return version
}

// probe finds out at start what would otherwise fail with the first message.
func probe(ctx context.Context, db *sql.DB) error {
	var tx *sql.Tx
	var err error
	for deadline := time.Now().Add(lockTimeout); ; {
		tx, err = db.BeginTx(ctx, nil)
		if !isLocked(err) || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return explain(err)
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	var tables int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&tables); err != nil {
		return explain(err)
	}
	if tables > 0 {
		var version sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version); err != nil {
			return explain(err)
		}
	}
	return nil
}

func isLocked(err error) bool {
	var failure sqlite3.Error
	return errors.As(err, &failure) && (failure.Code == sqlite3.ErrBusy || failure.Code == sqlite3.ErrLocked)
}

// explain adds to an error what a person can do about it.
func explain(err error) error {
	var failure sqlite3.Error
	_ = errors.As(err, &failure) // else its Code is none of these
	switch code := failure.Code; {
	case strings.Contains(err.Error(), "requires cgo"):
		return fmt.Errorf("%w; build with CGO_ENABLED=1 and a C compiler", err) // xcaddy does not by itself
	case code == sqlite3.ErrBusy, code == sqlite3.ErrLocked:
		return fmt.Errorf("another program holds a lock on it; end that program and try again: %w", err)
	case code == sqlite3.ErrNotADB, code == sqlite3.ErrCorrupt:
		return fmt.Errorf("it is damaged or not an SQLite database; move it away or restore a backup: %w", err)
	case code == sqlite3.ErrReadonly, code == sqlite3.ErrCantOpen, code == sqlite3.ErrPerm,
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("it can't be written to; its file and its folder must be writable by this user: %w", err)
	case code == sqlite3.ErrFull, code == sqlite3.ErrIoErr, errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("the disk is full or failing: %w", err)
	}
	return err
}

func (s *sqlite) view(ctx context.Context, fn func(*Tx) error) error {
	snapshot, err := s.readers.BeginTx(ctx, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: begin view: %w", ErrUnavailable, err)
	}
	// Nothing was written: there is nothing that a rollback could fail to undo.
	defer func() { _ = snapshot.Rollback() }()
	return fn(&Tx{ctx: ctx, conn: snapshot, dialect: sqliteDialect()})
}

func (s *sqlite) viewOne(ctx context.Context, fn func(*Tx) error) error {
	if s.closed.Load() {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	err := fn(&Tx{ctx: ctx, conn: s.readers, dialect: sqliteDialect()})
	if err != nil && s.closed.Load() {
		return fmt.Errorf("%w: %w", ErrUnavailable, err) // closed under it
	}
	return err
}

func (s *sqlite) update(ctx context.Context, fn func(*Tx) error) error {
	return s.writer.do(ctx, fn)
}

func (*sqlite) listen(context.Context, string, func(string)) error { return ErrNotShared }
func (*sqlite) notify(context.Context, string, string) error       { return ErrNotShared }

func (s *sqlite) stats() Stats {
	return Stats{
		Connections: s.readers.Stats().OpenConnections + s.writing.Stats().OpenConnections,
		Waiting:     len(s.writer.queue),
	}
}

func (s *sqlite) close() error {
	if s.closed.Swap(true) {
		return nil
	}
	// The writer's connection goes last: it folds the write-ahead log back into the
	// database. A reader whose context has ended may go still later, behind the back of
	// whoever read, and then nobody would: so it is done here, and waits for the reader.
	// If it can't be done, what is in the log is as safe there.
	err := errors.Join(s.writer.close(), s.readers.Close())
	_, _ = s.writing.ExecContext(context.Background(), `PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(err, s.writing.Close())
}

func sqliteDialect() dialect {
	return dialect{
		eventID:      "NULL + ?1",           // which is NULL: the next, and commits come one by one
		eventHorizon: "9223372036854775807", // math.MaxInt64: all of them
		epoch:        "epoch",
		position:     "instr",
		classify:     classifySQLite,
	}
}

// classifySQLite knows SQLite's errors.
func classifySQLite(err error) error {
	if err == nil {
		return nil
	}
	var failure sqlite3.Error
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Code {
	case sqlite3.ErrConstraint:
		if failure.ExtendedCode == sqlite3.ErrConstraintUnique || failure.ExtendedCode == sqlite3.ErrConstraintPrimaryKey {
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrCorrupt,
		sqlite3.ErrFull, sqlite3.ErrCantOpen, sqlite3.ErrNotADB, sqlite3.ErrNomem, sqlite3.ErrPerm:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
