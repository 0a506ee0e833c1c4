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
	// full, read-only, damaged, overloaded, out of reach or closed. Nothing was
	// stored, unless the connection to the database was lost in the midst of a
	// commit: then nobody knows, and only an idempotency key makes it safe to
	// try again.
	ErrUnavailable = errors.New("database unavailable")
)

// Options say how to open a database.
type Options struct {
	// Database is the path of an SQLite file, which is made, with its folder,
	// if it is missing; or the address of a PostgreSQL database, postgres://….
	Database string
	// Existing has a missing file be an error instead.
	Existing bool
	// Readers is how many connections read at once. Default: 10 on PostgreSQL,
	// four a core on SQLite.
	Readers int
	// Writers is how many connections write at once, on PostgreSQL. Default:
	// 10. SQLite has one.
	Writers int
	// OnCommit, if set, is handed the events of each commit of this Store. It
	// must not block, and it must not call the store. SQLite's commits come
	// one by one, in their order; on PostgreSQL, some may come at once: what
	// is in order there is the log (see [Tx.ListEvents]).
	OnCommit func([]Event)
	// OnBatch, if set, is told of each commit: how many Updates it holds and
	// how long it took, from the first statement to the disk.
	OnBatch func(updates int, took time.Duration)
	// QueueLength bounds the Updates that wait; one more is refused with
	// ErrUnavailable. Default: 1024.
	QueueLength int
	// Unbatched has SQLite commit each Update alone. It is there to measure
	// what batching brings.
	Unbatched bool
}

// Store is an open database. Its methods may be called from many goroutines.
type Store struct {
	engine engine
}

// engine is a database of one of the two kinds.
type engine interface {
	view(ctx context.Context, fn func(*Tx) error) error
	viewOne(ctx context.Context, fn func(*Tx) error) error
	update(ctx context.Context, fn func(*Tx) error) error
	configure(opts Options) error
	check(ctx context.Context, opts Options) error
	listen(ctx context.Context, channel string, receive func(payload string)) error
	notify(ctx context.Context, channel, payload string) error
	stats() Stats
	close() error
}

// Open opens the database, makes its file if it is one and missing, and brings
// its schema up to date. It fails with an error that a person can act on when
// the database is locked, not writable, not a database, out of reach, or made
// by a newer version. No error holds a password.
func Open(ctx context.Context, opts Options) (*Store, error) {
	if opts.QueueLength == 0 {
		opts.QueueLength = 1024
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	var s Store
	var err error
	if isPostgres(opts.Database) {
		s.engine, err = openPostgres(ctx, opts)
	} else {
		s.engine, err = openSQLite(ctx, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", shown(opts.Database), err)
	}
	return &s, nil
}

// Validate finds out, without a look at the database, what can't be meant.
func (o Options) Validate() error {
	if _, err := Identity(o.Database); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	switch {
	case o.Readers < 0:
		return errors.New("database_readers: it is less than 1")
	case o.Writers < 0:
		return errors.New("database_writers: it is less than 1")
	case o.Writers > 1 && !isPostgres(o.Database):
		return errors.New("database_writers: SQLite has one connection that writes; more of them are for PostgreSQL")
	}
	return nil
}

// Shared tells whether the database is one that several nodes may use at the same
// time.
func (o Options) Shared() bool { return isPostgres(o.Database) }

// Configure takes over new numbers of connections, and for connections that
// are yet to be made the rest of an address with the same [Identity]: its user's
// password, and how to connect. Whether one can connect like that, [Store.Check]
// tells.
func (s *Store) Configure(opts Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	return s.engine.configure(opts)
}

// Check fails if one can't connect as the options for [Store.Configure] say. It
// takes over nothing.
func (s *Store) Check(ctx context.Context, opts Options) error {
	err := opts.Validate()
	if err == nil {
		err = s.engine.check(ctx, opts)
	}
	if err != nil {
		return fmt.Errorf("connect to database %s: %w", shown(opts.Database), err)
	}
	return nil
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
// fn may run more than once: it must only write through its Tx and to variables
// that it sets anew each time, and it must return when a method of the Tx has
// failed, but for ErrNotFound. A context that ends while the Update waits takes
// it out. Once fn has begun, SQLite carries it through; on PostgreSQL it ends,
// and nothing is stored, unless its commit has begun.
//
// On PostgreSQL other Updates run beside it. What fn reads may be changed by
// them before it commits, unless it has locked the chat in question
// ([Tx.LockChat], [Tx.NextSeq]); a row that it did not find and then adds may
// have been added, and then fn runs once more, and finds it.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	return s.engine.update(ctx, fn)
}

// ErrNotShared says that nobody else uses the database, who could be listened to.
var ErrNotShared = errors.New("the database is for one process")

// Listen hands what is sent to a channel, by [Store.Notify] of any node, to receive,
// one after another, and first an empty payload, when it has begun to listen. It has
// a connection of its own, and returns when that is lost, when ctx ends or when the
// store is closed, always with an error. Receive must not block.
func (s *Store) Listen(ctx context.Context, channel string, receive func(payload string)) error {
	return s.engine.listen(ctx, channel, receive)
}

// Notify sends a short payload to a channel. It is a commit of its own: within that
// of an Update it would have all commits of the database wait for each other.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	return s.engine.notify(ctx, channel, payload)
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

// Close refuses new work, finishes what has begun, stops listening, and closes the
// database.
func (s *Store) Close() error { return s.engine.close() }

// Tx is a transaction. Its methods are the repositories.
type Tx struct {
	ctx     context.Context
	conn    querier
	dialect dialect
	events  []Event
	locked  []int64        // chats that no other Update holds
	turns   map[int64]bool // chats that it may wait for
	busy    int64          // a chat that another Update holds, and that it may not wait for
	writing bool           // it has sent a statement that may write
	wrote   bool           // something that would have to be undone
	clashed bool           // with a row that has the same unique key
	lost    error          // what went wrong with the database itself
}

// dialect is what one engine's database says otherwise than the other's.
type dialect struct {
	// returning says that it is RETURNING that tells the id of a new row, and
	// not the result.
	returning bool
	// lockChat is a query that waits until no other Update holds the chat ?2,
	// if the user ?1 takes part in it, and holds it; tryLockChat tells instead
	// whether it could do so at once. Where they are empty, an Update is alone
	// anyway.
	lockChat, tryLockChat string
	// lockGroup and tryLockGroup do so with the group ?1, whoever is in it.
	lockGroup, tryLockGroup string
	// lockName is a query that waits until no other Update holds the name ?1.
	lockName string
	// eventID is an expression for the id of the ?1-th event of a transaction.
	eventID string
	// eventHorizon is an expression for an event id: all events below it have
	// been committed, and can be seen, or never will be.
	eventHorizon string
	// epoch is an expression for a feed's epoch. What comes back from a standby has
	// another one: that may not have had all that was told of.
	epoch string
	// lockRows is what keeps the rows of a table that a query has found as they
	// are, until the Update has ended; where it is empty, an Update is alone.
	lockRows string
	// position is the function that tells where in a text another stands, from
	// 1; 0 if it does not.
	position string
	// classify wraps a driver's error in the sentinel that callers know it by.
	classify func(error) error
}

// forShare lets nobody change the rows of a table that a query finds; others may
// do the same.
func (d dialect) forShare(table string) string {
	if d.lockRows == "" {
		return ""
	}
	return fmt.Sprintf(d.lockRows, "SHARE", table)
}

// forUpdate lets nobody else change or lock the rows of a table that a query
// finds.
func (d dialect) forUpdate(table string) string {
	if d.lockRows == "" {
		return ""
	}
	return fmt.Sprintf(d.lockRows, "NO KEY UPDATE", table)
}

// forUpdateSkipping is forUpdate that leaves those rows out which others have locked.
func (d dialect) forUpdateSkipping(table string) string {
	if d.lockRows == "" {
		return ""
	}
	return d.forUpdate(table) + " SKIP LOCKED"
}

type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// classify wraps a driver's error in the sentinel that callers know it by.
func (tx *Tx) classify(err error) error {
	err = tx.dialect.classify(err)
	switch {
	case errors.Is(err, ErrConflict):
		tx.clashed = true
	case errors.Is(err, ErrUnavailable) && tx.lost == nil:
		tx.lost = err // what comes after it tells less
	}
	return err
}

type scanner interface{ Scan(...any) error }

// exec changes rows and returns how many.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	tx.writing = true
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

// insert adds a row and returns its id; ErrNotFound if there was none to add.
func (tx *Tx) insert(query string, args ...any) (id int64, err error) {
	tx.writing = true
	if tx.dialect.returning {
		err = tx.one(query+" RETURNING id", args, &id)
		tx.wrote = tx.wrote || err == nil
		return id, err
	}
	result, err := tx.conn.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, tx.classify(err)
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return 0, err
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

// first scans the first row of a query; ErrNotFound if there is none.
func first[T any](tx *Tx, scan func(scanner, *T) error, query string, args ...any) (row T, err error) {
	err = scan(tx.conn.QueryRowContext(tx.ctx, query, args...), &row)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return row, tx.classify(err)
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

// orNull is what is stored of a value that there may not be.
func orNull[T comparable](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v
}

// bit is how a bool is stored.
func bit(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

// Times are stored as microseconds since 1970.
func micros(t time.Time) int64     { return t.UnixMicro() }
func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// timeOrZero is the zero time for NULL.
func timeOrZero(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMicros(n.Int64)
}

// timeOrNull stores the zero time as NULL.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return micros(t)
}
