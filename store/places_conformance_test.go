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
	// of tells the places, and the minutes from when on and when last they were used.
	of := func(u store.User, since time.Time) (found []string) {
		t.Helper()
		view(t, s, func(tx *store.Tx) error {
			places, err := tx.ListPlacesOf(u.ID, since)
			for _, p := range places {
				found = append(found, fmt.Sprint(names[string(p.Hash)], " ", p.CreatedAt.Sub(noon).Minutes(), " ", p.UsedAt.Sub(noon).Minutes()))
			}
			return err
		})
		return found
	}
	require.Empty(t, of(ada, time.Time{}))
	note(ada, "a", 0, 3)
	note(ada, "b", 1, 3)
	note(bob, "a", 5, 3)
	require.Equal(t, []string{"b 1 1", "a 0 0"}, of(ada, time.Time{}))
	require.Equal(t, []string{"a 5 5"}, of(bob, time.Time{}))
	note(ada, "a", 2, 3)
	require.Equal(t, []string{"a 0 2", "b 1 1"}, of(ada, time.Time{}), "used again")
	require.Equal(t, []string{"a 0 2"}, of(ada, noon.Add(time.Minute)), "since then")
	require.Empty(t, of(ada, noon.Add(2*time.Minute)))

	note(ada, "c", 3, 3)
	note(ada, "d", 4, 3)
	require.Equal(t, []string{"d 4 4", "c 3 3", "a 0 2"}, of(ada, time.Time{}), "no more than are kept")
	note(ada, "b", 4, 2)
	require.Equal(t, []string{"b 4 4", "a 0 2"}, of(ada, time.Time{}), "what came back, before what has been used once")
	require.Equal(t, []string{"a 5 5"}, of(bob, time.Time{}), "others keep theirs")

	note(ada, "c", 2, 9)
	note(ada, "a", 1, 9)
	note(ada, "d", 4, 9)
	touch := func(u store.User, minute int, places ...string) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			for _, place := range places {
				if err := tx.TouchPlaces(u.ID, noon.Add(time.Duration(minute)*time.Minute), hash(place), nil, hash("unknown")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	touch(ada, 1, "b", "c", "d", "a")
	require.Equal(t, []string{"d 4 4", "b 4 4", "c 2 2", "a 0 1"}, of(ada, time.Time{}), "used later already")
	touch(bob, 6, "a", "b")
	require.Equal(t, []string{"a 5 6"}, of(bob, time.Time{}), "what is not known does not become so")
	note(bob, "b", 7, 2)
	note(bob, "c", 8, 2)
	note(bob, "d", 9, 2)
	require.Equal(t, []string{"d 9 9", "a 5 6"}, of(bob, time.Time{}), "a place that came back outlasts those that did not")
	note(bob, "d", 9, 1)
	update(t, s, func(tx *store.Tx) error { return tx.DeletePlacesOf(bob.ID) })
	note(bob, "a", 5, 3)
	old := func(minute, limit int) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			return tx.DeleteOldPlaces(noon.Add(time.Duration(minute)*time.Minute), limit)
		})
	}
	old(4, 0)
	require.Len(t, of(ada, time.Time{}), 4)
	old(4, 1)
	require.Equal(t, []string{"d 4 4", "b 4 4", "c 2 2"}, of(ada, time.Time{}), "the oldest first")
	old(3, 10)
	require.Equal(t, []string{"d 4 4", "b 4 4"}, of(ada, time.Time{}))
	old(5, 1)
	old(5, 10)
	require.Empty(t, of(ada, time.Time{}))
	require.Empty(t, of(bob, time.Time{}), "of everybody")
}
