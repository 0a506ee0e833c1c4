package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// rateLimits are buckets of which each taking costs a minute, and which hold three.
func rateLimits(t *testing.T, open opener) {
	s := open(t, store.Options{})
	const room = 3 * time.Minute
	take := func(key string, cost, after time.Duration) (fullAt time.Duration, ok bool) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			at, taken, err := tx.TakeRate(store.RateTaking{Key: []byte(key), Cost: cost, Room: room}, noon.Add(after))
			fullAt, ok = at.Sub(noon), taken
			return err
		})
		return fullAt, ok
	}
	for i, row := range []struct {
		key         string
		cost, after time.Duration
		fullAt      time.Duration
		ok          bool
	}{
		{"a", time.Minute, 0, time.Minute, true},
		{"a", time.Minute, 0, 2 * time.Minute, true},
		{"a", time.Minute, 0, 3 * time.Minute, true},
		{"a", time.Minute, 0, 3 * time.Minute, false},
		{"b", 3 * time.Minute, 0, 3 * time.Minute, true},
		{"b", time.Microsecond, 0, 3 * time.Minute, false},
		{"a", time.Minute, time.Minute - time.Microsecond, 3 * time.Minute, false},
		{"a", time.Minute, time.Minute, 4 * time.Minute, true},
		{"a", time.Minute, 4 * time.Minute, 5 * time.Minute, true},   // to the moment
		{"a", time.Minute, 60 * time.Minute, 61 * time.Minute, true}, // nothing is saved up
		{"a", 2 * time.Minute, 60 * time.Minute, 63 * time.Minute, true},
		{"a", 2 * time.Minute, 60 * time.Minute, 63 * time.Minute, false},
	} {
		fullAt, ok := take(row.key, row.cost, row.after)
		require.Equal(t, row.fullAt, fullAt, "row %d", i)
		require.Equal(t, row.ok, ok, "row %d", i)
	}

	giveBack := func(key string, cost, after time.Duration) {
		update(t, s, func(tx *store.Tx) error {
			return tx.ReturnRate(store.RateTaking{Key: []byte(key), Cost: cost}, noon.Add(after))
		})
	}
	giveBack("a", time.Minute, 60*time.Minute)
	giveBack("nobody", time.Minute, 60*time.Minute)
	giveBack("b", time.Minute, 60*time.Minute) // it is full
	fullAt, ok := take("a", time.Minute, 60*time.Minute)
	require.True(t, ok)
	require.Equal(t, 63*time.Minute, fullAt)

	// Those that are full go, a few at a time.
	for i := range 5 {
		_, ok := take(fmt.Sprint(i), time.Minute, time.Duration(-i)*time.Hour)
		require.True(t, ok)
	}
	left := func() (count int) {
		view(t, s, func(tx *store.Tx) error { return tx.Ask(`SELECT count(*) FROM rate_limits`, &count) })
		return count
	}
	sweep := func(after time.Duration, limit int) int {
		update(t, s, func(tx *store.Tx) error { return tx.DeleteFullRates(noon.Add(after), limit) })
		return left()
	}
	require.Equal(t, 7, left())
	require.Equal(t, 5, sweep(0, 2))
	require.Equal(t, 3, sweep(0, 10), "of two, it is still later")
	require.Equal(t, 2, sweep(time.Minute, 1))
	require.Equal(t, 1, sweep(3*time.Minute, 10))
	require.Equal(t, 1, sweep(63*time.Minute-time.Microsecond, 10))
	require.Equal(t, 0, sweep(63*time.Minute, 10))
}

// Whoever comes at the same time, from whatever node, gets no more between them.
func rateLimitsAtOnce(t *testing.T, open opener) {
	s := open(t, store.Options{})
	refused := errors.New("refused")
	var taken atomic.Int64
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				takings := []store.RateTaking{
					{Key: []byte("b"), Cost: time.Minute, Room: 20 * time.Minute},
					{Key: []byte{'a', byte(i % 3)}, Cost: time.Minute, Room: 9 * time.Minute},
					{Key: []byte{'c', byte(i)}, Cost: time.Nanosecond, Room: time.Minute}, // it goes at once
				}
				for _, i := range store.RateOrder(takings) {
					_, ok, err := tx.TakeRate(takings[i], noon)
					if err != nil {
						return err
					}
					if !ok {
						return refused
					}
				}
				return tx.DeleteFullRates(noon.Add(time.Duration(i)*time.Second), 4)
			})
			switch {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, refused):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 20, taken.Load(), "what was refused has taken nothing")
}
