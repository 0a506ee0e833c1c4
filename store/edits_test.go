package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// recorder takes statements down, and says that each has changed a row.
type recorder struct {
	store.Connection
	statements []string
}

func (r *recorder) ExecContext(_ context.Context, query string, _ ...any) (sql.Result, error) {
	r.statements = append(r.statements, query)
	return driver.RowsAffected(1), nil
}

// What locks rows does so in one order, each time.
func TestDeleteMessageOrder(t *testing.T) {
	var first []string
	for range 50 {
		var r recorder
		m := store.WithAll(store.Message{ID: 1, DeletedAt: noon})
		require.NoError(t, store.NewTx(t.Context(), &r).DeleteMessage(&m))
		require.Len(t, r.statements, 4)
		if first == nil {
			first = r.statements
		}
		require.Equal(t, first, r.statements)
	}
}
