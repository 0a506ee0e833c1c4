package store

import (
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Feed is what places in the log of events are worth. Those of another epoch are
// worth nothing, and what there was behind those below Pruned is not all there.
type Feed struct {
	Epoch  string
	Pruned int64 // the last event that was removed for its age; or 0
	Last   int64 // the last that [Tx.ListEvents] could list; Pruned, if there is none
}

// FindFeed tells what the log is like.
func (tx *Tx) FindFeed() (f Feed, err error) {
	var last sql.NullInt64
	err = tx.one(`
		SELECT `+tx.dialect.epoch+`, pruned,
			(SELECT e.id FROM events e WHERE e.id < `+tx.dialect.eventHorizon+` ORDER BY e.id DESC LIMIT 1)
		FROM feed`, nil, &f.Epoch, &f.Pruned, &last)
	if err != nil {
		return Feed{}, fmt.Errorf("find feed: %w", err)
	}
	f.Last = max(last.Int64, f.Pruned)
	return f, nil
}

// PruneEvents looks at the oldest events, up to limit, and removes those from
// before a time, but none that the search index has not dealt with. It tells how
// many these were.
func (tx *Tx) PruneEvents(before time.Time, limit int) (removed int, err error) {
	tx.writing = true
	gone, err := list(tx, limit, scanID, `
		DELETE FROM events
		WHERE created_at < ?1 AND id <= (SELECT position FROM search_state)
			AND id IN (SELECT id FROM events ORDER BY id LIMIT ?2)
		RETURNING id`, micros(before), limit)
	if err == nil && len(gone) > 0 {
		tx.wrote = true
		// Another node may have come further.
		_, err = tx.exec(`UPDATE feed SET pruned = ?1 WHERE pruned < ?1`, slices.Max(gone))
	}
	if err != nil {
		return 0, fmt.Errorf("prune events: %w", err)
	}
	return len(gone), nil
}

func scanID(row scanner, id *int64) error { return row.Scan(id) }
