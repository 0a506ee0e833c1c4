package frontdoor

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "github.com/mattn/go-sqlite3"    // the driver "sqlite3"

	"github.com/caddymsg/messaging/internal/pgtest"
)

// Engine is a kind of database that the module runs on.
type Engine string

// The engines that there are.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// OnEachEngine runs a test on each engine, in parallel with other tests. Where
// there is no PostgreSQL, that half is skipped (see [pgtest.NewDatabase]).
func OnEachEngine(t *testing.T, test func(t *testing.T, engine Engine)) {
	t.Parallel()
	for _, engine := range []Engine{SQLite, Postgres} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// NewDatabase makes an empty database and returns its path or address. It goes
// with the test.
func (e Engine) NewDatabase(tb testing.TB) string {
	tb.Helper()
	if e == Postgres {
		return pgtest.NewDatabase(tb)
	}
	return filepath.Join(tb.TempDir(), "messaging.db")
}

// OpenDatabase opens a database beside the server, with one connection.
// Parameters are $1, $2 …, in the order of their first use.
func OpenDatabase(tb testing.TB, database string) *sql.DB {
	tb.Helper()
	driver, source := "sqlite3", "file:"+database+"?mode=rw&_busy_timeout=10000"
	if strings.HasPrefix(database, "postgres://") {
		driver, source = "pgx", database
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}
