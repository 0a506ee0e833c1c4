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
