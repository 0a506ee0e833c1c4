package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// RateTaking is what somebody wants of a bucket.
type RateTaking struct {
	Key []byte
	// Cost is for how long it will be that the bucket is full later, and Room how much
	// later at most.
	Cost, Room time.Duration
}

// RateOrder is in which order takings should be written: everywhere in the same, as
// each holds its row until the Update has ended.
func RateOrder(takings []RateTaking) []int {
	order := make([]int, len(takings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(takings[a].Key, takings[b].Key) })
	return order
}

// TakeRate takes from a bucket, if it has as much. It tells when the bucket will be full;
// if that is not to be, ok is false.
func (tx *Tx) TakeRate(t RateTaking, now time.Time) (fullAt time.Time, ok bool, err error) {
	tx.writing = true
	var full int64
	// One statement: whoever comes at the same time waits for the row, and sees what
	// has been taken.
	err = tx.one(`
		INSERT INTO rate_limits (key, full_at) VALUES (?1, ?2)
		ON CONFLICT (key) DO UPDATE
			SET full_at = CASE WHEN rate_limits.full_at > ?3 THEN rate_limits.full_at + ?4 ELSE excluded.full_at END
			WHERE rate_limits.full_at + ?4 <= ?5
		RETURNING full_at`,
		[]any{t.Key, micros(now.Add(t.Cost)), micros(now), t.Cost.Microseconds(), micros(now.Add(t.Room))}, &full)
	switch {
	case err == nil:
		tx.wrote = true
		return fromMicros(full), true, nil
	case !errors.Is(err, ErrNotFound):
		return time.Time{}, false, fmt.Errorf("take from rate limit: %w", err)
	}
	if err := tx.one(`SELECT full_at FROM rate_limits WHERE key = ?1`, []any{t.Key}, &full); err != nil {
		return time.Time{}, false, fmt.Errorf("find rate limit: %w", err)
	}
	return fromMicros(full), false, nil
}

// ReturnRate puts back into a bucket as much as a taking cost, unless it is full.
func (tx *Tx) ReturnRate(t RateTaking, now time.Time) error {
	_, err := tx.exec(`UPDATE rate_limits SET full_at = full_at - ?2 WHERE key = ?1 AND full_at > ?3`,
		t.Key, t.Cost.Microseconds(), micros(now))
	if err != nil {
		return fmt.Errorf("give back to rate limit: %w", err)
	}
	return nil
}

// DeleteFullRates removes up to limit buckets that are full: nobody need know of them.
// It locks them in no order: in an Update that takes, it comes last.
func (tx *Tx) DeleteFullRates(now time.Time, limit int) error {
	lock := tx.dialect.forUpdate("r")
	if lock != "" {
		lock += " SKIP LOCKED" // somebody is taking from it
	}
	_, err := tx.exec(`
		DELETE FROM rate_limits WHERE key IN (
			SELECT r.key FROM rate_limits r WHERE r.full_at <= ?1 ORDER BY r.full_at LIMIT ?2`+lock+`)`,
		micros(now), limit)
	if err != nil {
		return fmt.Errorf("delete rate limits: %w", err)
	}
	return nil
}
