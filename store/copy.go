package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// CopyProgress tells how far [Copy] has come.
type CopyProgress struct {
	Table    string
	Checking bool  // its rows are in the destination, and are read back
	Rows, Of int64 // so many of so many
}

// CopiedTable is a table that the source and the destination of [Copy] have
// alike.
type CopiedTable struct {
	Name   string
	Rows   int64
	SHA256 [sha256.Size]byte // of all rows; the same on both engines
}

// Copy copies all that is in one database into another, of the same engine or
// of the other: paths and addresses, as in [Options]. The destination must be
// empty; it is made if it is a file and missing. Both schemas are brought up to
// date.
//
// The copy is that of one moment: what is written to the source later is not in
// it. The destination gets all or, if Copy fails or ctx ends, nothing. Before
// the commit it is read back and compared. Its next ids are above all that the
// source has ever given. No error and no progress holds a password.
func Copy(ctx context.Context, from, to string, progress func(CopyProgress)) (tables []CopiedTable, err error) {
	if err := checkEnds(from, to); err != nil {
		return nil, err
	}
	source, err := openEnd(ctx, from)
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("source: %w", err))
	}
	defer func() { err = errors.Join(err, source.close()) }()
	destination, err := openEnd(ctx, to)
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("destination: %w", err))
	}
	defer func() { err = errors.Join(err, destination.close()) }()

	err = source.snapshot(ctx, func(read *Tx) error {
		return destination.bulk(ctx, func(write *Tx) error {
			c := copying{source, destination, read, write, progress}
			tables, err = c.all()
			return err
		})
	})
	if err != nil {
		return nil, interrupted(ctx, fmt.Errorf("copy %s to %s: %w", shown(from), shown(to), err))
	}
	return tables, nil
}

// errUnsure says that the destination did not answer to the commit.
var errUnsure = errors.New("nobody knows whether the copy is stored; look into the destination: if it has rows, it has all")

// interrupted is what an error means if ctx has ended: what that breaks off has
// errors of all kinds.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, errUnsure) {
		return err
	}
	return fmt.Errorf("interrupted, and nothing is stored: %w", ctx.Err())
}

// checkEnds refuses what can be refused before anything is opened: to open an
// SQLite database makes it.
func checkEnds(from, to string) error {
	source, err := Identity(from)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	destination, err := Identity(to)
	if err != nil {
		return fmt.Errorf("destination: %w", err)
	}
	if source == destination {
		return fmt.Errorf("%s is both the source and the destination", source)
	}
	if !isPostgres(from) {
		if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("source: there is no file %s", source)
		}
	}
	return nil
}

// copyTable is a table that Copy copies.
type copyTable struct {
	name    string
	keys    int // how many of the columns, the first ones, are the primary key: integers
	columns []string
}

// copyTables are all tables, each behind those that it refers to, but for the
// search index, of which the destination makes its own, feed, and rate_limits, which
// is soon over. Migrations that change a table
// change its line here, on both engines alike.
func copyTables() []copyTable {
	return []copyTable{
		{"users", 1, []string{"id", "username", "username_key", "password_hash", "created_at",
			"display_name", "email", "locale", "about", "deleted_at", "admin", "deactivated_at",
			"presence_hidden", "last_seen_at", "email_key", "email_verified_at", "pending_email", "email_claimed", "erasing"}},
		{"sessions", 1, []string{"id", "token_hash", "user_id", "created_at", "expires_at",
			"kind", "name", "scopes", "user_agent", "address", "used_at", "token_expires_at", "family_hash", "refresh_hash", "refresh_answer"}},
		{"known_places", 1, []string{"id", "user_id", "place_hash", "created_at", "used_at"}},
		{"invitations", 1, []string{"id", "token_hash", "creator_id", "note", "created_at", "expires_at", "max_uses", "uses"}},
		{"registrations", 1, []string{"id", "username", "password_hash", "email", "created_at", "expires_at"}},
		{"one_time_tokens", 1, []string{"id", "token_hash", "purpose", "user_id", "registration_id", "email", "created_at", "expires_at"}},
		{"mails", 1, []string{"id", "kind", "user_id", "registration_id", "address", "locale", "data", "created_at", "due_at", "attempts"}},
		{"chats", 1, []string{"id", "kind", "title", "direct_low", "direct_high", "last_seq", "created_at",
			"description", "visibility", "managed_by", "active_at", "deleted_at"}},
		{"participants", 2, []string{"chat_id", "user_id", "joined_at",
			"role", "muted_until", "archived", "marked_unread", "read_seq", "delivered_seq"}},
		{"past_participants", 2, []string{"user_id", "chat_id"}},
		{"blocks", 2, []string{"blocker_id", "blocked_id", "created_at"}},
		{"messages", 1, []string{"id", "chat_id", "seq", "sender_id", "text", "client_id", "created_at",
			"flags", "edited_at", "deleted_at", "reply_to", "thread_id", "reply_count", "mentions"}},
		{"message_edits", 2, []string{"message_id", "version", "text", "created_at"}},
		{"hidden_messages", 2, []string{"user_id", "message_id"}},
		{"reactions", 1, []string{"id", "message_id", "user_id", "emoji", "created_at"}},
		{"polls", 1, []string{"message_id", "options", "multiple", "anonymous", "closes_at"}},
		{"poll_votes", 3, []string{"message_id", "choice", "user_id", "created_at"}},
		{"invites", 1, []string{"id", "chat_id", "token_hash", "creator_id", "created_at",
			"expires_at", "max_uses", "uses", "revoked_at"}},
		{"answers", 1, []string{"id", "user_id", "key_hash", "operation", "body", "created_at"}},
		{"audit_log", 1, []string{"id", "action", "actor_id", "user_id", "chat_id", "address", "detail", "created_at"}},
		{"events", 1, []string{"id", "type", "chat_id", "actor_id", "message_id", "user_id", "created_at", "data", "audience"}},
	}
}

// hasIDs tells whether the database numbers the rows.
func (t copyTable) hasIDs() bool { return t.columns[0] == "id" }

// copyEnd is an engine as Copy needs it.
type copyEnd interface {
	close() error
	// snapshot calls fn with what view hands out, for as long as fn takes.
	snapshot(ctx context.Context, fn func(*Tx) error) error
	// bulk calls fn with a transaction of its own, for as long as fn takes. It is
	// committed if fn returns nil and ctx has not ended.
	bulk(ctx context.Context, fn func(*Tx) error) error
	// lastID is at least the highest id that a table's rows have ever had.
	lastID(tx *Tx, table string) (int64, error)
	// advance lets the next id of a table be above last.
	advance(tx *Tx, table string, last int64) error
}

func openEnd(ctx context.Context, database string) (copyEnd, error) {
	s, err := Open(ctx, Options{Database: database})
	if err != nil {
		return nil, err
	}
	return s.engine.(copyEnd), nil
}

// copying is a copy under way.
type copying struct {
	source, destination copyEnd
	read, write         *Tx
	progress            func(CopyProgress)
}

func (c *copying) all() ([]CopiedTable, error) {
	if err := c.checkEmpty(); err != nil {
		return nil, err
	}
	counts, err := c.count()
	if err != nil {
		return nil, err
	}
	var tables []CopiedTable
	for i, t := range copyTables() {
		copied, err := c.copyTable(t, counts[i])
		if err != nil {
			return nil, fmt.Errorf("copy table %s: %w", t.name, err)
		}
		tables = append(tables, copied)
	}
	// Not sooner: what a table holds may be changed by what a later one does.
	for i, t := range copyTables() {
		if err := c.check(t, tables[i]); err != nil {
			return nil, fmt.Errorf("check table %s: %w", t.name, err)
		}
	}
	if err := c.write.restartSearchIndex(); err != nil {
		return nil, err
	}
	if err := c.copyFeed(); err != nil {
		return nil, err
	}
	// Not sooner: PostgreSQL does not take back what its sequences have given.
	for _, t := range copyTables() {
		if !t.hasIDs() {
			continue
		}
		last, err := c.source.lastID(c.read, t.name)
		if err == nil {
			err = c.destination.advance(c.write, t.name, last)
		}
		if err != nil {
			return nil, fmt.Errorf("next id of table %s: %w", t.name, err)
		}
	}
	return tables, nil
}

// copyFeed copies up to where the log has been pruned. The epoch is the
// destination's own: the two go on apart.
func (c *copying) copyFeed() error {
	feed, err := c.read.FindFeed()
	if err == nil {
		err = c.write.execOne(`UPDATE feed SET pruned = ?1`, feed.Pruned)
	}
	if err != nil {
		return fmt.Errorf("copy table feed: %w", err)
	}
	return nil
}

func (c *copying) checkEmpty() error {
	for _, t := range copyTables() {
		var filled bool
		if err := c.write.one(`SELECT EXISTS (SELECT 1 FROM `+t.name+`)`, nil, &filled); err != nil {
			return fmt.Errorf("look into table %s: %w", t.name, err)
		}
		if filled {
			return fmt.Errorf("the destination is not empty: it has rows in its table %s; name a new database", t.name)
		}
	}
	return nil
}

// count counts the rows of all tables. A source without any is one that was
// named by mistake.
func (c *copying) count() ([]int64, error) {
	var counts []int64
	total := int64(0)
	for _, t := range copyTables() {
		var rows int64
		if err := c.read.one(`SELECT count(*) FROM `+t.name, nil, &rows); err != nil {
			return nil, fmt.Errorf("count the rows of table %s: %w", t.name, err)
		}
		counts = append(counts, rows)
		total += rows
	}
	if total == 0 {
		return nil, errors.New("the source is empty: there is nothing to copy")
	}
	return counts, nil
}

// A batch of rows ends with the one that reaches either bound, which keeps it
// far below what an engine takes (32,766 parameters on SQLite), and memory small.
const (
	copyBatchRows  = 512 // a power of two
	copyBatchBytes = 1 << 20
)

func (c *copying) copyTable(t copyTable, of int64) (CopiedTable, error) {
	digest := sha256.New()
	var batch [][]any
	var size int
	var done int64
	c.progress(CopyProgress{Table: t.name, Of: of})
	flush := func() error {
		if err := c.insert(t, batch); err != nil {
			return err
		}
		done += int64(len(batch))
		clear(batch) // else as many long texts would stay as ever were in one
		batch, size = batch[:0], 0
		c.progress(CopyProgress{Table: t.name, Rows: done, Of: of})
		return nil
	}
	err := rowsOf(c.read, t, digest, func(row []any, bytes int) error {
		batch = append(batch, row)
		size += bytes
		if len(batch) == copyBatchRows || size >= copyBatchBytes {
			return flush()
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	return CopiedTable{t.name, done, sum(digest)}, err
}

// insert adds rows. It does so in powers of two, so that there are few texts of
// statements, which the engines keep.
func (c *copying) insert(t copyTable, rows [][]any) error {
	for len(rows) > 0 {
		n := 1 << (bits.Len(uint(len(rows))) - 1)
		args := make([]any, 0, n*len(t.columns))
		for _, row := range rows[:n] {
			args = append(args, row...)
		}
		if _, err := c.write.exec(t.insertion(n), args...); err != nil {
			return fmt.Errorf("store rows %d to %d: %w", rows[0][:t.keys], rows[n-1][:t.keys], err)
		}
		rows = rows[n:]
	}
	return nil
}

// insertion is a statement that adds n rows.
func (t copyTable) insertion(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", t.name, strings.Join(t.columns, ", "))
	for i := range n * len(t.columns) {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%len(t.columns) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("?" + strconv.Itoa(i+1))
	}
	b.WriteString(")")
	return b.String()
}

// check reads the rows of a table back.
func (c *copying) check(t copyTable, want CopiedTable) error {
	digest := sha256.New()
	got := CopiedTable{Name: t.name}
	err := rowsOf(c.write, t, digest, func([]any, int) error {
		got.Rows++
		if got.Rows%(16*copyBatchRows) == 0 && got.Rows < want.Rows {
			c.progress(CopyProgress{Table: t.name, Checking: true, Rows: got.Rows, Of: want.Rows})
		}
		return nil
	})
	if err != nil {
		return err
	}
	got.SHA256 = sum(digest)
	if got != want {
		return fmt.Errorf("the destination has stored something else: %d rows with the checksum %x, instead of %d with %x; "+
			"look for triggers and rules that change what is written",
			got.Rows, got.SHA256, want.Rows, want.SHA256)
	}
	c.progress(CopyProgress{Table: t.name, Checking: true, Rows: got.Rows, Of: want.Rows})
	return nil
}

// rowsOf hands over the rows of a table one by one, in the order of their keys,
// each with about its size. It adds them to a digest.
func rowsOf(tx *Tx, t copyTable, digest hash.Hash, each func(row []any, size int) error) error {
	// To close rows that are not read to their end would read them to their
	// end, unless their context has ended.
	ctx, cancel := context.WithCancel(tx.ctx)
	rows, err := tx.conn.QueryContext(ctx, `SELECT `+strings.Join(t.columns, ", ")+
		` FROM `+t.name+` ORDER BY `+strings.Join(t.columns[:t.keys], ", "))
	if err != nil {
		cancel()
		return fmt.Errorf("read rows: %w", tx.classify(err))
	}
	defer rows.Close()
	defer cancel()
	var encoded []byte
	for rows.Next() {
		row := make([]any, len(t.columns))
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read rows: %w", tx.classify(err))
		}
		if encoded, err = encodeRow(encoded[:0], row); err != nil {
			return fmt.Errorf("row %d: %w", row[:t.keys], err)
		}
		digest.Write(encoded) // never fails
		if err := each(row, len(encoded)); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read rows: %w", tx.classify(err))
	}
	return nil
}

// encodeRow appends a row such that no other has the same bytes: of each value
// the type, the length if it has one, and the value.
func encodeRow(b []byte, row []any) ([]byte, error) {
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // its bits, whatever the sign
		case string:
			b = append(binary.BigEndian.AppendUint64(append(b, 't'), uint64(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint64(append(b, 'b'), uint64(len(v))), v...)
		default:
			return nil, fmt.Errorf("a value of type %T can't be copied", v)
		}
	}
	return b, nil
}

func sum(h hash.Hash) (sum [sha256.Size]byte) {
	copy(sum[:], h.Sum(nil))
	return sum
}

func (s *sqlite) snapshot(ctx context.Context, fn func(*Tx) error) error { return s.view(ctx, fn) }

// bulk uses a connection of its own: the writer's would run a function that
// fails once more, and shows it no context.
func (s *sqlite) bulk(ctx context.Context, fn func(*Tx) error) error {
	s.writing.SetMaxOpenConns(2)
	conn, err := s.writing.Conn(ctx)
	if err != nil {
		return explain(err)
	}
	defer conn.Close()
	// The indexes are filled in another order than theirs: hence 64 MB of cache.
	settings := fmt.Sprintf("PRAGMA busy_timeout = %d; PRAGMA cache_size = -65536", lockTimeout.Milliseconds())
	if _, err := conn.ExecContext(ctx, settings); err != nil {
		return explain(err)
	}
	return carryThrough(ctx, conn, sql.LevelDefault, explain, func(begun *sql.Tx) error {
		return fn(&Tx{ctx: ctx, conn: begun, dialect: sqliteDialect()})
	})
}

func (s *sqlite) lastID(tx *Tx, table string) (last int64, err error) {
	err = tx.one(`SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1`, []any{table}, &last)
	return last, err
}

func (s *sqlite) advance(tx *Tx, table string, last int64) error {
	own, err := s.lastID(tx, table)
	if err != nil || own >= last {
		return err
	}
	// SQLite makes the row with the first id that it gives.
	if _, err := tx.exec(`DELETE FROM sqlite_sequence WHERE name = ?1`, table); err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)`, table, last)
	return err
}

// unbounded takes all timeouts off a transaction, those of later versions too,
// and lets it read whole tables, which is what a copy does.
const unbounded = `
	SELECT count(set_config(name, CASE vartype WHEN 'bool' THEN 'on' ELSE '0' END, true)) FROM pg_settings
	WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout',
		'enable_seqscan', 'enable_hashjoin', 'enable_mergejoin')`

func (p *postgres) snapshot(ctx context.Context, fn func(*Tx) error) error {
	snapshot, err := p.readers.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", classifyPostgres(err))
	}
	// Nothing was written: there is nothing that a rollback could fail to undo.
	defer func() { _ = snapshot.Rollback() }()
	tx := &Tx{ctx: ctx, conn: p.numbered(snapshot), dialect: postgresDialect()}
	if _, err := tx.exec(unbounded); err != nil {
		return err
	}
	return fn(tx)
}

func (p *postgres) bulk(ctx context.Context, fn func(*Tx) error) error {
	conn, err := p.writing.Conn(ctx)
	if err != nil {
		return explainPostgres(err)
	}
	defer conn.Close()
	return carryThrough(ctx, conn, p.isolation, explainPostgres, func(begun *sql.Tx) error {
		tx := &Tx{ctx: ctx, conn: p.numbered(begun), dialect: postgresDialect()}
		if _, err := tx.exec(unbounded); err != nil {
			return err
		}
		if err := p.lockTables(tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// lockTables keeps all others from writing, who could bring in a row after the
// look whether there are any.
func (p *postgres) lockTables(tx *Tx) error {
	if _, err := tx.exec(fmt.Sprintf(`SET LOCAL lock_timeout = %d`, patience.Milliseconds())); err != nil {
		return err
	}
	var names []string
	for _, t := range copyTables() {
		names = append(names, t.name)
	}
	_, err := tx.exec(`LOCK TABLE ` + strings.Join(names, ", ") + ` IN SHARE ROW EXCLUSIVE MODE`)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && failure.Code == "55P03" { // lock_not_available
		return fmt.Errorf("another program is writing to the destination; end it and try again: %w", err)
	}
	return err
}

func (p *postgres) lastID(tx *Tx, table string) (last int64, err error) {
	if table == "events" {
		// All transactions that have an id have one below this.
		err = tx.one(`SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 16) + base FROM event_log`, nil, &last)
		return last, err
	}
	var sequence string // its name comes quoted
	if err := tx.one(`SELECT pg_get_serial_sequence(?1, 'id')`, []any{table}, &sequence); err != nil {
		return 0, err
	}
	err = tx.one(`SELECT last_value - (CASE WHEN is_called THEN 0 ELSE 1 END) FROM `+sequence, nil, &last)
	return last, err
}

func (p *postgres) advance(tx *Tx, table string, last int64) error {
	if table == "events" {
		_, err := tx.exec(advanceEvents, last)
		return err
	}
	own, err := p.lastID(tx, table)
	if err != nil || own >= last {
		return err
	}
	_, err = tx.exec(`SELECT setval(pg_get_serial_sequence(?1, 'id'), ?2)`, table, last)
	return err
}

// carryThrough calls fn with a transaction and commits it, unless fn fails or
// ctx has ended. A commit is not broken off: nobody would know whether it was
// one.
func carryThrough(ctx context.Context, conn *sql.Conn, isolation sql.IsolationLevel, explain func(error) error, fn func(*sql.Tx) error) error {
	begun, err := conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: isolation})
	if err != nil {
		return fmt.Errorf("begin: %w", explain(err))
	}
	// After a commit it does nothing. Where it fails the connection is lost,
	// and nothing is stored.
	defer func() { _ = begun.Rollback() }()
	if err := fn(begun); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := begun.Commit(); isLost(err) {
		return fmt.Errorf("%w: commit: %w", errUnsure, explain(err))
	} else if err != nil {
		return fmt.Errorf("commit: %w", explain(err))
	}
	return nil
}

var (
	_ copyEnd = (*sqlite)(nil)
	_ copyEnd = (*postgres)(nil)
)
