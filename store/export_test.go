package store

import (
	"context"
	"database/sql"
)

// Ask runs a query that no repository has, and scans its only row.
func (tx *Tx) Ask(query string, into ...any) error { return tx.one(query, nil, into...) }

// Do runs a statement that no repository has, which changes one row.
func (tx *Tx) Do(statement string, args ...any) error { return tx.execOne(statement, args...) }

// Connection is what a Tx asks.
type Connection interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// NewTx makes a Tx outside of any View or Update.
func NewTx(ctx context.Context, conn Connection) *Tx {
	return &Tx{ctx: ctx, conn: conn, dialect: sqliteDialect()}
}

// NewPostgresTx is NewTx for PostgreSQL: the placeholders are its own.
func NewPostgresTx(ctx context.Context, conn Connection) *Tx {
	return &Tx{ctx: ctx, conn: new(postgres).numbered(conn), dialect: postgresDialect()}
}

// How often PostgreSQL is asked the same thing.
const (
	MaxAttempts = maxAttempts
	MaxClashes  = maxClashes
)

// SessionSettings are those of PostgreSQL's connections.
const SessionSettings = sessionSettings

// MaxQueryTexts is how many queries are kept as PostgreSQL has them.
const MaxQueryTexts = maxQueryTexts

// QueryTexts keeps queries as PostgreSQL has them.
type QueryTexts struct{ texts queryTexts }

// Of returns one.
func (t *QueryTexts) Of(query string) string { return t.texts.of(query) }

// Kept is how many there are.
func (t *QueryTexts) Kept() (n int) {
	t.texts.known.Range(func(any, any) bool { n++; return true })
	return n
}

// WithAll makes a message one that has been edited, and has reactions and a poll.
func WithAll(m Message) Message {
	m.flags |= flagEdited | flagReactions | flagPoll
	return m
}
