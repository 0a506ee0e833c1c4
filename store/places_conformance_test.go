package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

func places(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	note := func(u store.User, place string, minute, keep int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			return tx.NotePlace(u.ID, hash(place), noon.Add(time.Duration(minute)*time.Minute), keep)
		})
	}
	names := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d"} {
		names[string(hash(name))] = name
	}
	// of tells the places, and the minutes when they were used last.
	of := func(u store.User, since time.Time) (found []string) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			places, err := tx.ListPlacesOf(u.ID, since)
			for _, p := range places {
				found = append(found, fmt.Sprint(names[string(p.Hash)], " ", p.UsedAt.Sub(noon).Minutes()))
			}
			return err
		})
		return found
	}
	require.Empty(t, of(ada, time.Time{}))
	note(ada, "a", 0, 3)
	note(ada, "b", 1, 3)
	note(bob, "a", 5, 3)
	require.Equal(t, []string{"b 1", "a 0"}, of(ada, time.Time{}))
	require.Equal(t, []string{"a 5"}, of(bob, time.Time{}))
	note(ada, "a", 2, 3)
	require.Equal(t, []string{"a 2", "b 1"}, of(ada, time.Time{}), "used again")
	require.Equal(t, []string{"a 2"}, of(ada, noon.Add(time.Minute)), "since then")
	require.Empty(t, of(ada, noon.Add(2*time.Minute)))

	note(ada, "c", 3, 3)
	note(ada, "d", 4, 3)
	require.Equal(t, []string{"d 4", "c 3", "a 2"}, of(ada, time.Time{}), "no more than are kept")
	note(ada, "b", 4, 2)
	require.Equal(t, []string{"b 4", "d 4"}, of(ada, time.Time{}), "of the same time, the latest")
	require.Equal(t, []string{"a 5"}, of(bob, time.Time{}), "others keep theirs")

	note(ada, "c", 2, 9)
	note(ada, "a", 1, 9)
	old := func(minute, limit int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			return tx.DeleteOldPlaces(noon.Add(time.Duration(minute)*time.Minute), limit)
		})
	}
	old(4, 0)
	require.Len(t, of(ada, time.Time{}), 4)
	old(4, 1)
	require.Equal(t, []string{"b 4", "d 4", "c 2"}, of(ada, time.Time{}), "the oldest first")
	old(3, 10)
	require.Equal(t, []string{"b 4", "d 4"}, of(ada, time.Time{}))
	old(5, 1)
	old(5, 10)
	require.Empty(t, of(ada, time.Time{}))
	require.Empty(t, of(bob, time.Time{}), "of everybody")
}
