package store_test

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

var updateGolden = flag.Bool("update", false, "write testdata anew")

// The migrations, from an empty file, make the schema that was agreed upon.
func TestSQLiteSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	require.NoError(t, s.Close())
	schema := dumpSchema(t, otherProgram(t, path))

	const golden = "testdata/schema.sql"
	if *updateGolden {
		require.NoError(t, os.WriteFile(golden, []byte(schema), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), schema, "go test ./store -run Schema -update takes this for right")

	// To open it once more changes nothing.
	s = openSQLite(t, store.Options{Database: path})
	require.NoError(t, s.Close())
	require.Equal(t, string(want), dumpSchema(t, otherProgram(t, path)))
}

// The way down undoes the way up.
func TestSQLiteMigrationsDown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada := newUser(t, s, "ada")
	group := newGroup(t, s, ada)
	update(t, s, func(tx *store.Tx) error {
		_, err := post(tx, group.ID, ada.ID, "text")
		return err
	})
	require.NoError(t, s.Close())
	db := otherProgram(t, path)
	up := dumpSchema(t, db)
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations/sqlite"),
		goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = provider.DownTo(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, dumpSchema(t, db))
	require.NoError(t, db.Close())

	s = openSQLite(t, store.Options{Database: path})
	require.NoError(t, s.Close())
	require.Equal(t, up, dumpSchema(t, otherProgram(t, path)))
}

func TestPostgresSchema(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	require.NoError(t, openPostgres(t, store.Options{Database: database}).Close())
	schema := dumpPostgres(t, database)

	const golden = "testdata/schema_postgres.sql"
	if *updateGolden {
		require.NoError(t, os.WriteFile(golden, []byte(schema), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), schema, "go test ./store -run Schema -update takes this for right")

	// To open it once more changes nothing.
	require.NoError(t, openPostgres(t, store.Options{Database: database}).Close())
	require.Equal(t, string(want), dumpPostgres(t, database))
}

func TestPostgresMigrationsDown(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	ada := newUser(t, s, "ada")
	require.NoError(t, postText(s, newGroup(t, s, ada), ada, "text"))
	require.NoError(t, s.Close())
	up := dumpPostgres(t, database)
	provider, err := goose.NewProvider(goose.DialectPostgres, openDatabase(t, database), os.DirFS("migrations/postgres"),
		goose.WithDisableGlobalRegistry(true))
	require.NoError(t, err)
	_, err = provider.DownTo(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, dumpPostgres(t, database))

	require.NoError(t, openPostgres(t, store.Options{Database: database}).Close())
	require.Equal(t, up, dumpPostgres(t, database))
}

// dumpPostgres returns all that migrations have made in a PostgreSQL database, a
// line for each column, constraint, index and everything else.
func dumpPostgres(tb testing.TB, database string) string {
	tb.Helper()
	rows, err := openDatabase(tb, database).QueryContext(context.Background(), `
		WITH made AS (
			SELECT oid, relname, relkind, reloptions FROM pg_class
			WHERE relnamespace = current_schema()::regnamespace AND relname NOT LIKE 'goose\_%'
		)
		SELECT line FROM (
			SELECT 1, 0, format('%s %s%s', CASE relkind WHEN 'r' THEN 'TABLE' ELSE 'RELATION OF KIND ' || relkind::text END, relname,
				' (' || array_to_string(reloptions, ', ') || ')')
			FROM made WHERE relkind NOT IN ('i', 'S') -- indexes stand below, sequences with their columns
		UNION ALL
			SELECT 2, attnum, format('COLUMN %s.%s %s%s%s%s', relname, attname, format_type(atttypid, atttypmod),
				CASE WHEN attnotnull THEN ' NOT NULL' END, ' DEFAULT ' || pg_get_expr(adbin, adrelid),
				CASE attidentity WHEN 'd' THEN ' IDENTITY BY DEFAULT' WHEN 'a' THEN ' IDENTITY ALWAYS' END)
			FROM made JOIN pg_attribute ON attrelid = made.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
		UNION ALL
			SELECT 3, 0, format('CONSTRAINT %s ON %s %s', conname, relname, pg_get_constraintdef(pg_constraint.oid))
			FROM made JOIN pg_constraint ON conrelid = made.oid
			WHERE contype <> 'n' -- since 18, what COLUMN tells
		UNION ALL
			SELECT 4, 0, replace(pg_get_indexdef(made.oid), current_schema() || '.', '')
			FROM made WHERE relkind = 'i'
		UNION ALL
			SELECT 5, 0, format('FUNCTION %s', proname) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
		UNION ALL
			SELECT 6, 0, format('TRIGGER %s ON %s', tgname, relname)
			FROM made JOIN pg_trigger ON tgrelid = made.oid WHERE NOT tgisinternal
		UNION ALL
			SELECT 7, 0, format('TYPE %s', typname) FROM pg_type
			WHERE typnamespace = current_schema()::regnamespace AND typtype IN ('e', 'd')
		) all_lines (kind, place, line)
		ORDER BY kind, split_part(line, '.', 1) COLLATE "C", place, line COLLATE "C"`)
	require.NoError(tb, err)
	defer rows.Close()
	var dump strings.Builder
	for rows.Next() {
		var line string
		require.NoError(tb, rows.Scan(&line))
		dump.WriteString(line + ";\n")
	}
	require.NoError(tb, rows.Err())
	return dump.String()
}

// dumpSchema returns all that migrations have made.
func dumpSchema(tb testing.TB, db *sql.DB) string {
	tb.Helper()
	rows, err := db.QueryContext(context.Background(), `
		SELECT sql FROM sqlite_master
		WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'goose\_%' ESCAPE '\' AND tbl_name NOT LIKE 'sqlite\_%' ESCAPE '\'
		ORDER BY tbl_name, type DESC, name`)
	require.NoError(tb, err)
	defer rows.Close()
	var dump strings.Builder
	for rows.Next() {
		var statement string
		require.NoError(tb, rows.Scan(&statement))
		dump.WriteString(statement + ";\n")
	}
	require.NoError(tb, rows.Err())
	return dump.String()
}
