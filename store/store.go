// Package store keeps users, sessions, chats, messages and events in a
// database. [Store.View] reads and [Store.Update] writes; the repositories,
// one file an entity, are the methods of [Tx]. It holds no rules: who may do
// what is decided above it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// What an operation can fail with. Errors wrap one of these where the caller
// can do something about it; everything else is a defect.
var (
	// ErrNotFound says that no row answers the description.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a row with the same unique key exists.
	ErrConflict = errors.New("already exists")
	// ErrUnavailable says that the database can't do it now: it is locked,
	// full, read-only, damaged, overloaded or closed. Nothing was stored.
	ErrUnavailable = errors.New("database unavailable")
)

// Options say how to open a database.
type Options struct {
	// Path is the SQLite file. It is made, with its folder, if it is missing.
	Path string
	// OnCommit, if set, is handed the events of each commit, in commit
	// order. It runs on the writer's goroutine: it must not block, and it
	// must not call the store.
	OnCommit func([]Event)
	// OnBatch, if set, is told of each commit: how many Updates it holds and
	// how long it took, from the first statement to the disk.
	OnBatch func(updates int, took time.Duration)
	// QueueLength bounds the Updates that wait; one more is refused with
	// ErrUnavailable. Default: 1024.
	QueueLength int
	// Unbatched commits each Update alone. It is there to measure what
	// batching brings.
	Unbatched bool
}

// Store is an open database. Its methods may be called from many goroutines.
type Store struct {
	engine *sqlite
}

// Open opens the database, makes it if it is missing, and brings its schema up
// to date. It fails with an error that a person can act on when the database
// is locked, not writable, not a database, or made by a newer version.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.QueueLength == 0 {
		opts.QueueLength = 1024
	}
	engine, err := openSQLite(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", opts.Path, err)
	}
	return &Store{engine: engine}, nil
}

// View calls fn with a consistent snapshot of the database. The Tx can't
// write, and must not be used after fn returns.
func (s *Store) View(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.view(ctx, fn)
}

// ViewOne is View for a function that makes a single query: that is a snapshot
// by itself, and the transaction around it is saved.
func (s *Store) ViewOne(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.viewOne(ctx, fn)
}

// Update calls fn with a transaction and returns nil after what it wrote is
// durable. If fn fails, nothing of it is stored, and Update returns its error.
//
// fn runs beside no other Update that it could disturb, and may run more than
// once: it must only write through its Tx and to variables that it sets anew
// each time, and it must return when a method of the Tx has failed, but for
// ErrNotFound. A context that ends while the Update waits takes it out; once fn
// has begun it is carried through.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.update(ctx, fn)
}

// Stats are numbers for metrics.
type Stats struct {
	// Connections that are open to the database.
	Connections int
	// Waiting Updates.
	Waiting int
}

// Stats tells how busy the store is.
func (s *Store) Stats() Stats { return s.engine.stats() }

// Close refuses new work, finishes what has begun, and closes the database.
func (s *Store) Close() error { return s.engine.close() }

// Tx is a transaction. Its methods are the repositories.
type Tx struct {
	ctx    context.Context
	conn   querier
	events []Event
	wrote  bool  // something that would have to be undone
	lost   error // what went wrong with the database itself
}

type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// classify wraps a driver's error in the sentinel that callers know it by.
func (tx *Tx) classify(err error) error {
	err = classify(err)
	if errors.Is(err, ErrUnavailable) {
		tx.lost = err
	}
	return err
}

type scanner interface{ Scan(...any) error }

// exec changes rows and returns how many.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	result, err := tx.conn.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, tx.classify(err)
	}
	n, err := result.RowsAffected()
	tx.wrote = tx.wrote || n > 0
	return n, err
}

// execOne changes one row; ErrNotFound if there is none.
func (tx *Tx) execOne(query string, args ...any) error {
	n, err := tx.exec(query, args...)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// insert adds a row and returns its id.
func (tx *Tx) insert(query string, args ...any) (int64, error) {
	result, err := tx.conn.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, tx.classify(err)
	}
	tx.wrote = true
	return result.LastInsertId()
}

// one scans the only row of a query into the given places; ErrNotFound if
// there is none.
func (tx *Tx) one(query string, args []any, into ...any) error {
	err := tx.conn.QueryRowContext(tx.ctx, query, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return tx.classify(err)
}

// list scans the rows of a query, of which about expect will come.
func list[T any](tx *Tx, expect int, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	rows, err := tx.conn.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, tx.classify(err)
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		if found == nil {
			found = make([]T, 0, expect)
		}
		var row T
		if err := scan(rows, &row); err != nil {
			return nil, tx.classify(err)
		}
		found = append(found, row)
	}
	return found, tx.classify(rows.Err())
}

// Times are stored as microseconds since 1970.
func micros(t time.Time) int64     { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
