package store

import "fmt"

// restartSearchIndex lets the index of the messages begin with those that are
// there, and go on with the log from where it ends.
func (tx *Tx) restartSearchIndex() error {
	_, err := tx.exec(`
		UPDATE search_state SET backfilled = 0,
			position = (SELECT coalesce(max(id), 0) FROM events),
			backfill = (SELECT coalesce(max(id), 0) FROM messages)`)
	if err != nil {
		return fmt.Errorf("restart the search index: %w", err)
	}
	return nil
}
