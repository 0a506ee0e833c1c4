package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// A standby that takes over may not have all that was told of: places in the log
// from before are worth nothing then, from the first moment on.
func TestPostgresEpochOfPromotion(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	database := server.NewDatabase(t)
	_, address := newRole(t, database) // it takes no special rights
	s := openPostgres(t, store.Options{Database: address})
	before := feedNow(t, s)
	epoch, timeline, _ := strings.Cut(before.Epoch, "-")
	require.Equal(t, "1", timeline)
	require.Regexp(t, `^[0-9a-f]{12}$`, epoch)

	find := func(tx *store.Tx) error {
		_, err := tx.FindFeed()
		return err
	}

	// A crash, and what comes after it, is none.
	server.Crash(t)
	server.Resume(t)
	require.Eventually(t, func() bool { return s.View(t.Context(), find) == nil }, patience, time.Millisecond)
	require.Equal(t, before.Epoch, feedNow(t, s).Epoch)

	execute(t, database, `
		DO $$ BEGIN EXECUTE format('COPY (SELECT) TO %L', current_setting('data_directory') || '/standby.signal'); END $$`)
	server.Stop(t)
	server.Resume(t) // as a standby, of nobody
	require.ErrorIs(t, s.View(t.Context(), find), store.ErrUnavailable)

	execute(t, database, `SELECT pg_promote()`)
	require.Equal(t, epoch+"-2", feedNow(t, s).Epoch)
}

// A dump that is restored to another server goes on above all events that there have
// been, also if none is left of them.
func TestPostgresEventsBehindThePruned(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	require.NoError(t, openPostgres(t, store.Options{Database: database}).Close())
	const pruned = int64(1) << 50
	execute(t, database, fmt.Sprintf(`UPDATE feed SET pruned = %d`, pruned))
	s := openPostgres(t, store.Options{Database: database})
	require.Equal(t, pruned, feedNow(t, s).Last)
	update(t, s, func(tx *store.Tx) error { return tx.AppendEvent(store.Event{Type: store.ChatCreated, At: noon}) })
	require.Greater(t, logOf(t, s, 1)[0].ID, pruned)
}
