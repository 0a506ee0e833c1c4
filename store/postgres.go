package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// postgres is the engine for a PostgreSQL database, which other nodes may use
// at the same time.
type postgres struct {
	config    atomic.Pointer[pgx.ConnConfig] // of connections that are made from now on
	readers   *sql.DB
	writing   *sql.DB
	texts     queryTexts
	onCommit  func([]Event)
	onBatch   func(int, time.Duration)
	isolation sql.IsolationLevel
	turns     turns

	queueLength int
	updates     atomic.Int64 // that run or wait

	mu      sync.Mutex // guards closed, and the first of working against its end
	closed  bool
	closing chan struct{} // closed with it
	working sync.WaitGroup
}

const (
	// patience is how long an operation may take, the wait for a connection
	// included: a network that swallows everything must not hold requests up
	// for ever.
	patience = 10 * time.Second
	// maxAttempts bounds how often an Update is tried that others get into the
	// way of.
	maxAttempts = 10
	// maxClashes bounds how often an Update is tried again that adds a row that
	// is there: mostly it has been there before, and it is of no use.
	maxClashes = 2
	// standardPool is how many connections read, and how many write. Four nodes
	// of them, with one more that listens, fit into the hundred that PostgreSQL
	// allows by itself.
	standardPool = 10
)

// sessionSettings are of each connection. A client that freezes or dies in the
// midst of a transaction must not hold its locks for hours, and those of its
// connections that wait for them must not get them one after another. What is
// committed is on the disk, whatever the database does by itself, now or later.
// All queries here find few rows, by an index, one after another; the planner
// would now and then read whole tables, by an estimate that is wrong for a user
// or a chat that is not like the others.
const sessionSettings = `
	SET client_encoding = 'UTF8';
	SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '10s';
	SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
	SELECT set_config('synchronous_commit', CASE setting WHEN 'off' THEN 'on' ELSE setting END, false)
		FROM pg_settings WHERE name = 'synchronous_commit';
	SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`

// errContention says that Updates get into each other's way.
var errContention = fmt.Errorf("%w: other updates are in the way", ErrUnavailable)

func openPostgres(ctx context.Context, opts Options) (_ *postgres, err error) {
	p := &postgres{
		queueLength: opts.QueueLength, onCommit: opts.OnCommit, onBatch: opts.OnBatch,
		// The rows that an Update decides by are locked. To have the server
		// watch instead (SERIALIZABLE) makes most Updates of a busy chat fail
		// and start anew.
		isolation: sql.LevelReadCommitted,
		closing:   make(chan struct{}),
	}
	config, err := parsePostgres(opts.Database)
	if err != nil {
		return nil, err
	}
	p.config.Store(config)
	p.writing = p.pool(sessionSettings)
	p.readers = p.pool(sessionSettings + `; SET default_transaction_read_only = on`)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.writing.Close(), p.readers.Close())
		}
	}()
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	p.setPools(opts) // not before: to prepare takes two connections
	return p, nil
}

// pool makes connections, each with such settings.
func (p *postgres) pool(settings string) *sql.DB {
	return sql.OpenDB(stdlib.GetConnector(*p.config.Load(),
		stdlib.OptionBeforeConnect(func(_ context.Context, config *pgx.ConnConfig) error {
			*config = *p.config.Load().Copy()
			return nil
		}),
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			// The pool opens connections one after another, and has given ctx no
			// end: one that hangs would keep it from all others.
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			_, err := conn.PgConn().Exec(ctx, settings).ReadAll()
			if err != nil {
				err = errors.Join(err, conn.Close(ctx))
			}
			return err
		})))
}

func (p *postgres) configure(opts Options) error {
	config, err := parsePostgres(opts.Database)
	if err != nil {
		return err
	}
	p.config.Store(config)
	p.setPools(opts)
	return nil
}

func (p *postgres) check(ctx context.Context, opts Options) error {
	config, err := parsePostgres(opts.Database)
	if err != nil || config.ConnString() == p.config.Load().ConnString() {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return explainPostgres(err)
	}
	return conn.Close(ctx)
}

func (p *postgres) setPools(opts Options) {
	setPool(p.readers, opts.Readers, standardPool)
	setPool(p.writing, opts.Writers, standardPool)
}

// migrationLock is the key of the advisory lock that a node holds while it
// brings the schema up to date. Those of chats are their ids.
const migrationLock = -1

// prepare looks at the server, and brings the schema up to date while all other
// nodes that start wait.
func (p *postgres) prepare(ctx context.Context) error {
	conn, err := p.awaitServer(ctx)
	if err != nil {
		return explainPostgres(err)
	}
	defer conn.Close()
	if err := checkServer(ctx, conn); err != nil {
		return explainPostgres(err)
	}
	if err := lockMigrations(ctx, conn); err != nil {
		return explainPostgres(err)
	}
	err = migrate(ctx, p.writing, goose.DialectPostgres, "postgres")
	if err == nil {
		_, err = conn.ExecContext(ctx, advanceEvents, 0)
	}
	// If this fails the connection is lost, and the lock with it.
	unlock, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, _ = conn.ExecContext(unlock, `SELECT pg_advisory_unlock($1)`, migrationLock)
	return explainPostgres(err)
}

// awaitServer makes the first connection. The server may be starting, as this
// one is: a machine boots.
func (p *postgres) awaitServer(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		conn, err := p.writing.Conn(ctx)
		if err == nil {
			return conn, nil
		}
		var failure *pgconn.PgError
		starting := errors.As(err, &failure) && failure.Code == "57P03"
		if ctx.Err() == nil {
			last = err // and not that the time is over
		}
		if !starting && !isRefused(err) && ctx.Err() == nil {
			return nil, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(last, ctx.Err())
		}
	}
}

// checkServer refuses a server that won't do.
func checkServer(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var version int
	var encoding string
	var standby bool
	if err := conn.QueryRowContext(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery()`,
	).Scan(&version, &encoding, &standby); err != nil {
		return err
	}
	switch {
	case version < 130000:
		return fmt.Errorf("the server is PostgreSQL %d; it must be 13 or later", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the encoding of the database is %s; make one with ENCODING 'UTF8'", encoding)
	case standby:
		return errors.New("the server is a standby, which can't be written to; name the primary")
	}
	return nil
}

// lockMigrations waits for the node that brings the schema up to date, as long
// as it goes on. One that has gone is found out by the server.
func lockMigrations(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		try, cancel := context.WithTimeout(ctx, patience)
		err := conn.QueryRowContext(try, `SELECT pg_try_advisory_lock($1)`, migrationLock).Scan(&locked)
		cancel()
		if err != nil || locked {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("another node brings the schema up to date: %w", ctx.Err())
		}
	}
}

// explainPostgres adds to an error at start what a person can do about it.
func explainPostgres(err error) error {
	var failure *pgconn.PgError
	_ = errors.As(err, &failure)
	switch {
	case failure == nil && isRefused(err):
		return fmt.Errorf("no server answers there: %w", err)
	case failure == nil:
		return err
	}
	switch failure.Code {
	case "28P01", "28000":
		return fmt.Errorf("the server does not let this user in; look at the user, the password and pg_hba.conf: %w", err)
	case "3D000":
		return fmt.Errorf("make it with: CREATE DATABASE … ENCODING 'UTF8': %w", err)
	case "42501":
		return fmt.Errorf("the user needs the right to make tables; make it the owner of the database: %w", err)
	case "3F000":
		return fmt.Errorf("make the schema that search_path names, with: CREATE SCHEMA … AUTHORIZATION …: %w", err)
	case "42704":
		return fmt.Errorf("an option of the address is neither libpq's nor one of the server's settings: %w", err)
	case "53300":
		return fmt.Errorf("the server has no connection left; raise its max_connections, or lower database_readers and database_writers: %w", err)
	}
	return err
}

// advanceEvents lets the ids of events go on behind those that are there, and
// behind $1, and those that were removed for their age: transactions of the cluster that the database came from may have
// had higher ids.
const advanceEvents = `
	UPDATE event_log SET base = last.id + 1 - (pg_current_xact_id()::text::bigint << 16)
	FROM (SELECT greatest((SELECT max(id) FROM events), (SELECT max(pruned) FROM feed), $1::bigint) AS id) last
	WHERE last.id >= (pg_current_xact_id()::text::bigint << 16) + base`

func postgresDialect() dialect {
	return dialect{
		returning: true,
		// Not a lock on the row: who waits for that has a transaction id already,
		// and ids would come in another order than locks. This one gives none.
		tryLockChat: `
			SELECT pg_try_advisory_xact_lock(p.chat_id)
			FROM participants p WHERE p.user_id = ?1 AND p.chat_id = ?2`,
		lockChat: `
			SELECT true FROM participants p CROSS JOIN LATERAL pg_advisory_xact_lock(p.chat_id)
			WHERE p.user_id = ?1 AND p.chat_id = ?2`,
		tryLockGroup: `
			SELECT pg_try_advisory_xact_lock(c.id)
			FROM chats c WHERE c.id = ?1 AND c.kind = 'group' AND c.deleted_at IS NULL`,
		lockGroup: `
			SELECT true FROM chats c CROSS JOIN LATERAL pg_advisory_xact_lock(c.id)
			WHERE c.id = ?1 AND c.kind = 'group' AND c.deleted_at IS NULL`,
		lockName: `SELECT true FROM pg_advisory_xact_lock(1, hashtext(?1))`, // of two numbers: none that a chat has
		// maxEvents is 1 << 16.
		eventID: `(pg_current_xact_id()::text::bigint << 16) + (SELECT base FROM event_log) + ?1::bigint`,
		// No transaction with a lower id is open.
		eventHorizon: `(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 16) + (SELECT base FROM event_log)`,
		// The first eight digits are the timeline that is written to: each promotion
		// begins another. What the control file has of it is that of the last
		// checkpoint, which may be from before.
		epoch:    `epoch || '-' || ltrim(lower(left(pg_walfile_name(pg_current_wal_lsn()), 8)), '0')`,
		lockRows: " FOR %s OF %s",
		position: "strpos",
		classify: classifyPostgres,
	}
}

// enter keeps the engine open until leave.
func (p *postgres) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	p.working.Add(1)
	return nil
}

func (p *postgres) leave() { p.working.Done() }

func (p *postgres) view(ctx context.Context, fn func(*Tx) error) error {
	return p.read(ctx, func(run context.Context) error {
		conn, snapshot, err := p.begin(run, p.readers, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return err
		}
		defer conn.Close()
		// Nothing was written: there is nothing that a rollback could fail to undo.
		defer func() { _ = snapshot.Rollback() }()
		return fn(&Tx{ctx: run, conn: p.numbered(snapshot), dialect: postgresDialect()})
	})
}

func (p *postgres) viewOne(ctx context.Context, fn func(*Tx) error) error {
	return p.read(ctx, func(run context.Context) error {
		return fn(&Tx{ctx: run, conn: p.numbered(p.readers), dialect: postgresDialect()})
	})
}

func (p *postgres) read(ctx context.Context, fn func(context.Context) error) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	run, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return inTime(ctx, run, fn(run))
}

// inTime tells apart a caller who has gone and a database that takes too long.
// Both end statements, with errors of all kinds.
func inTime(caller, run context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case caller.Err() != nil:
		return fmt.Errorf("%w: %w", caller.Err(), err)
	case run.Err() != nil:
		return fmt.Errorf("%w: no answer within %s: %w", ErrUnavailable, patience, err)
	}
	return err
}

func (p *postgres) update(ctx context.Context, fn func(*Tx) error) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.leave()
	defer p.updates.Add(-1)
	if waiting := int(p.updates.Add(1)) - p.writing.Stats().MaxOpenConnections; waiting > p.queueLength {
		return fmt.Errorf("%w: %d updates are waiting", ErrUnavailable, p.queueLength)
	}
	run, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	busy := map[int64]bool{} // chats that it is known to have to wait for
	for attempt, clashes := 1, 0; ; attempt++ {
		tx, err := p.inTurn(run, busy, fn)
		switch {
		case err == nil:
			return nil
		case tx.busy != 0:
			busy[tx.busy] = true
			attempt-- // it goes on where it was, and no more often than there are chats
		case attempt == maxAttempts:
			return inTime(ctx, run, err)
		case errors.Is(err, errContention):
			if err := pause(run, attempt); err != nil {
				return inTime(ctx, run, err)
			}
		case tx.clashed && clashes < maxClashes:
			clashes++ // with a row that is committed: the next attempt sees it
		default:
			return inTime(ctx, run, err)
		}
	}
}

// inTurn makes an attempt when it is its turn at the chats that it waits for.
func (p *postgres) inTurn(run context.Context, busy map[int64]bool, fn func(*Tx) error) (*Tx, error) {
	giveBack, err := p.turns.take(run, busy)
	if err != nil {
		return &Tx{}, err
	}
	defer giveBack()
	return p.attempt(run, busy, fn)
}

// pause waits for a random time, which grows with the attempts, so that those
// who were in each other's way are not so again.
func pause(ctx context.Context, attempt int) error {
	select {
	case <-time.After(rand.N(min(100*time.Millisecond, time.Millisecond<<attempt))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attempt runs an Update's function in a transaction and commits it. When run
// ends, which is the caller's context with a limit, so do the statements.
func (p *postgres) attempt(run context.Context, turns map[int64]bool, fn func(*Tx) error) (*Tx, error) {
	tx := &Tx{ctx: run, dialect: postgresDialect(), turns: turns}
	start := time.Now()
	conn, begun, err := p.begin(run, p.writing, &sql.TxOptions{Isolation: p.isolation})
	if err != nil {
		return tx, err
	}
	defer conn.Close()
	// After a commit it does nothing. Where it fails the connection is lost,
	// and the server rolls back.
	defer func() { _ = begun.Rollback() }()
	tx.conn = p.numbered(begun)
	err = fn(tx)
	switch {
	case tx.lost != nil:
		err = tx.lost // whatever the function made of it
		if isReadOnly(err) {
			// The server has become a standby; the next one may be another. The
			// connection is free to go when the transaction is over.
			_ = begun.Rollback()
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	case err == nil:
		// It has been asked to end, and the request to do so may be on its way:
		// it must not reach the commit.
		err = run.Err()
	}
	if err != nil {
		return tx, err
	}
	if err := begun.commit(); err != nil {
		return tx, fmt.Errorf("commit: %w", err)
	}
	if p.onCommit != nil && len(tx.events) > 0 {
		p.onCommit(tx.events)
	}
	if p.onBatch != nil {
		p.onBatch(1, time.Since(start))
	}
	return tx, nil
}

// transaction is one whose end is not broken off when its caller has gone: not
// the commit, which nobody would know about then, nor the rollback, which keeps
// the connection.
type transaction struct {
	*sql.Tx
	end    context.Context
	cancel context.CancelFunc
}

// begin waits for a connection, and begins a transaction on it. Connections that
// were lost while nobody used them, because the server has restarted, are passed
// over.
func (p *postgres) begin(run context.Context, pool *sql.DB, opts *sql.TxOptions) (*sql.Conn, *transaction, error) {
	deadline, _ := run.Deadline()
	for passed := 0; ; passed++ {
		conn, err := pool.Conn(run)
		if err != nil {
			return nil, nil, fmt.Errorf("connect: %w", classifyPostgres(err))
		}
		end, cancel := context.WithDeadline(context.WithoutCancel(run), deadline)
		begun, err := conn.BeginTx(end, opts)
		if err == nil {
			return conn, &transaction{begun, end, cancel}, nil
		}
		lost := isLost(err) && end.Err() == nil
		cancel()
		_ = conn.Close() // it has failed already
		if !lost || passed == pool.Stats().MaxOpenConnections {
			return nil, nil, fmt.Errorf("begin: %w", classifyPostgres(err))
		}
	}
}

// Rollback undoes the transaction, unless it has been committed.
func (t *transaction) Rollback() error {
	defer t.cancel()
	return t.Tx.Rollback()
}

// commit ends the transaction. What the server has not refused, and not said to
// be done in time, may be done.
func (t *transaction) commit() error {
	err := t.Commit()
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused), errors.Is(err, pgx.ErrTxCommitRollback):
		return classifyPostgres(err)
	case err != nil:
		return fmt.Errorf("%w: nobody knows whether it was done: %w", ErrUnavailable, err)
	case t.end.Err() != nil:
		// A commit that is broken off while it waits for a standby is one on the
		// primary alone.
		return fmt.Errorf("%w: it may not have reached the standby: %w", ErrUnavailable, t.end.Err())
	}
	return nil
}

func (p *postgres) stats() Stats {
	writing := p.writing.Stats()
	return Stats{
		Connections: p.readers.Stats().OpenConnections + writing.OpenConnections,
		Waiting:     max(0, int(p.updates.Load())-writing.InUse),
	}
}

func (p *postgres) close() error {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		close(p.closing)
	}
	p.closed = true
	p.mu.Unlock()
	p.working.Wait()
	if closed {
		return nil
	}
	return errors.Join(p.readers.Close(), p.writing.Close())
}

// numbered hands queries on with PostgreSQL's placeholders.
type numbered struct {
	querier
	engine *postgres
}

func (p *postgres) numbered(q querier) numbered { return numbered{q, p} }

var placeholder = regexp.MustCompile(`\?(\d)`)

// maxQueryTexts bounds what is kept of queries: those of filters are put together
// as clients ask for them, in any order.
const maxQueryTexts = 1000

// queryTexts are queries as PostgreSQL has them.
type queryTexts struct {
	known sync.Map // from those with ?1 to those with $1
	count atomic.Int64
}

// of turns ?1 into $1, mostly once for each query.
func (t *queryTexts) of(query string) string {
	if text, ok := t.known.Load(query); ok {
		return text.(string)
	}
	text := placeholder.ReplaceAllString(query, "$$$1")
	if t.count.Add(1) > maxQueryTexts {
		t.known.Clear() // those that are used come again
		t.count.Store(1)
	}
	t.known.Store(query, text)
	return text
}

func (n numbered) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return n.querier.ExecContext(ctx, n.engine.texts.of(query), args...)
}

func (n numbered) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return n.querier.QueryContext(ctx, n.engine.texts.of(query), args...)
}

func (n numbered) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return n.querier.QueryRowContext(ctx, n.engine.texts.of(query), args...)
}

// readOnly is the code read_only_sql_transaction.
const readOnly = "25006"

func isReadOnly(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == readOnly
}

// classifyPostgres knows PostgreSQL's errors, and those of a connection to it.
func classifyPostgres(err error) error {
	if err == nil {
		return nil
	}
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		if isLost(err) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	switch failure.Code {
	case "23505": // unique_violation
		return fmt.Errorf("%w: %w", ErrConflict, err)
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return fmt.Errorf("%w: %w", errContention, err)
	case readOnly, "25P03", "55P03": // a standby; two timeouts: idle_in_transaction_session, lock
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	switch failure.Code[:2] {
	case "08", // connection exceptions
		"28", "3D", // who may come in, and is there such a database
		"53", "57", "58", // resources, the operator, the system
		"XX": // damaged
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isLost tells whether an error is that of a connection, and not of a statement.
func isLost(err error) bool {
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connecting) || pgconn.SafeToRetry(err) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// isRefused tells whether nobody listens at an address, yet, or it has none.
func isRefused(err error) bool {
	var unknown *net.DNSError
	var dial *net.OpError
	return errors.As(err, &unknown) || errors.As(err, &dial) && dial.Op == "dial" && dial.Timeout() || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) // of a socket
}
