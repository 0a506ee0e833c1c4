package store_test

import (
	"context"
	"database/sql"
	"testing"

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
