package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// writer owns the one connection that writes. Its goroutine takes every Update
// that waits, runs them all in one transaction, and commits once: one sync of
// the disk serves them all.
type writer struct {
	conn     *sql.Conn
	queue    chan *update
	onCommit func([]Event)
	onBatch  func(int, time.Duration)
	maxBatch int

	mu      sync.RWMutex // guards closed, and sends on queue against its closing
	closed  bool
	stopped chan struct{}
}

// maxBatch bounds how long the first Update of a batch waits for the last.
const maxBatch = 256

// update is one Update on its way through the writer.
type update struct {
	ctx    context.Context
	fn     func(*Tx) error
	events []Event
	err    error
	panic  any
	done   chan struct{} // closed when the fields above are final
}

func startWriter(db *sql.DB, opts Options) (*writer, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w := &writer{
		conn:     conn,
		queue:    make(chan *update, opts.QueueLength),
		onCommit: opts.OnCommit,
		onBatch:  opts.OnBatch,
		maxBatch: maxBatch,
		stopped:  make(chan struct{}),
	}
	if opts.Unbatched {
		w.maxBatch = 1
	}
	go w.run()
	return w, nil
}

// do hands an Update to the writer and waits for its commit.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	u := &update{ctx: ctx, fn: fn, done: make(chan struct{})}
	if err := w.enqueue(u); err != nil {
		return err
	}
	// Not on ctx.Done() as well: fn may be running, and writes to what its
	// caller would go on to use. The writer itself drops an Update whose
	// context has ended before its turn.
	<-u.done
	if u.panic != nil {
		panic(u.panic)
	}
	return u.err
}

func (w *writer) enqueue(u *update) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fmt.Errorf("%w: it is closed", ErrUnavailable)
	}
	select {
	case w.queue <- u:
		return nil
	default:
		return fmt.Errorf("%w: %d updates are waiting", ErrUnavailable, cap(w.queue))
	}
}

// close finishes the Updates that wait and ends the goroutine.
func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.stopped
	return w.conn.Close()
}

func (w *writer) run() {
	defer close(w.stopped)
	batch := make([]*update, 0, w.maxBatch)
	for first := range w.queue {
		batch = append(batch[:0], first)
		for len(batch) < w.maxBatch && len(w.queue) > 0 {
			batch = append(batch, <-w.queue)
		}
		w.commit(batch)
		for i, u := range batch {
			close(u.done)
			batch[i] = nil
		}
	}
}

// commit runs a batch. Each Update succeeds or fails by itself, unless the
// transaction as a whole fails: then every one of them fails.
func (w *writer) commit(batch []*update) {
	start := time.Now()
	live := make([]*update, 0, len(batch))
	for _, u := range batch {
		if u.err = u.ctx.Err(); u.err == nil {
			live = append(live, u)
		}
	}
	batch = live
	if len(batch) == 0 {
		return
	}
	if err := w.transaction(batch); err != nil {
		for _, u := range batch {
			if u.panic == nil {
				u.err = err // a refusal, too, may be due to what is not stored
			}
		}
		return
	}
	if w.onCommit != nil {
		var events []Event
		for _, u := range batch {
			events = append(events, u.events...)
		}
		if len(events) > 0 {
			w.onCommit(events)
		}
	}
	if w.onBatch != nil {
		w.onBatch(len(batch), time.Since(start))
	}
}

// transaction runs a batch without savepoints, which cost a tenth of a send: an
// Update that is refused has hardly ever written anything before. Where one
// has, the batch is rolled back, and run again with a savepoint for each.
func (w *writer) transaction(batch []*update) error {
	undo, err := w.attempt(batch, false)
	if undo {
		_, err = w.attempt(batch, true)
	}
	return err
}

// attempt runs a batch in a transaction and commits it. If it returns undo,
// nothing is committed, because what one Update wrote could not be undone by
// itself.
func (w *writer) attempt(batch []*update, savepoints bool) (undo bool, err error) {
	if err := w.begin(batch); err != nil {
		return false, err
	}
	defer func() {
		if undo || err != nil {
			// SQLite rolls some failures back by itself, and then this one
			// has nothing to do and fails: the first error is the one to tell.
			_ = w.exec("ROLLBACK")
		}
	}()
	for _, u := range batch {
		if savepoints {
			if err := w.exec("SAVEPOINT one"); err != nil {
				return false, err
			}
		}
		wrote := u.run(w.conn)
		failed := u.err != nil || u.panic != nil
		switch {
		case errors.Is(u.err, ErrUnavailable):
			return false, u.err // the disk, and not this Update, has failed
		case failed && wrote && !savepoints:
			return true, nil
		case failed && savepoints:
			if err := w.exec("ROLLBACK TO one"); err != nil {
				return false, err
			}
		}
		if savepoints {
			if err := w.exec("RELEASE one"); err != nil {
				return false, err
			}
		}
	}
	return false, w.exec("COMMIT")
}

// begin waits for a lock that another program holds, at most for lockTimeout,
// and no longer than somebody waits for the batch.
func (w *writer) begin(batch []*update) error {
	deadline := time.Now().Add(lockTimeout)
	for {
		err := w.exec("BEGIN IMMEDIATE") // which waits a moment by itself
		if err == nil || !isLocked(err) || time.Now().After(deadline) || !awaited(batch) {
			return err
		}
	}
}

// awaited tells whether a caller of the batch has not given up.
func awaited(batch []*update) bool {
	return slices.ContainsFunc(batch, func(u *update) bool { return u.ctx.Err() == nil })
}

// run calls an Update's function, and tells whether it has written anything. It
// keeps a panic for the caller's goroutine: it must end one request, and not
// the writer.
func (u *update) run(conn querier) (wrote bool) {
	// The context of the caller stays out: to interrupt a statement would
	// roll back the Updates of others.
	tx := &Tx{ctx: context.Background(), conn: conn, dialect: sqliteDialect()}
	u.events, u.err, u.panic = nil, nil, nil
	defer func() {
		wrote = tx.wrote
		if p := recover(); p != nil {
			u.panic = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
		}
	}()
	u.err = u.fn(tx)
	if tx.lost != nil {
		u.err = tx.lost // whatever the function made of it
	}
	if u.err == nil {
		u.events = tx.events
	}
	return tx.wrote
}

func (w *writer) exec(statement string) error {
	if _, err := w.conn.ExecContext(context.Background(), statement); err != nil {
		return fmt.Errorf("%s: %w", statement, classifySQLite(err))
	}
	return nil
}
