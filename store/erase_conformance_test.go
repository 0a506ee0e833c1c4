package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// What is left of a deleted user goes bit by bit, and what is others' stays.
func erasedTrails(t *testing.T, open opener) {
	s := open(t, store.Options{})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	const rows, limit = 5, 2
	update(t, s, func(tx *store.Tx) error {
		if err := tx.LockChat(ada.ID, group.ID); err != nil {
			return err
		}
		for i := range rows {
			for _, u := range []store.User{ada, bob} {
				c, err := tx.NextSeq(u.ID, group.ID, 1, noon)
				if err != nil {
					return err
				}
				m := store.Message{ChatID: group.ID, Seq: c.LastSeq, SenderID: u.ID, Text: "text", CreatedAt: noon, ClientID: fmt.Sprint("secret ", i)}
				if err := tx.CreateMessage(&m); err != nil {
					return err
				}
				if err := tx.HideMessage(u.ID, m.ID); err != nil {
					return err
				}
				err = tx.CreateAnswer(store.Answer{UserID: u.ID, KeyHash: hash(fmt.Sprint(i)), Operation: "send", Body: []byte("secret"), CreatedAt: noon})
				if err != nil {
					return err
				}
				for _, e := range []store.Event{
					{Type: store.UserUpdated, ChatID: group.ID, ActorID: u.ID, UserID: u.ID, Data: "secret", At: noon},
					{Type: store.AccountUpdated, ActorID: u.ID, UserID: u.ID, Data: "secret", At: noon},
					{Type: store.SessionEnded, ActorID: u.ID, UserID: u.ID, At: noon},
				} {
					if err := tx.AppendEvent(e); err != nil {
						return err
					}
				}
				for _, e := range []store.AuditEntry{
					{ActorID: u.ID, UserID: u.ID, Address: "secret", Detail: "secret"},
					{UserID: u.ID, Address: "secret"},         // a sign-in that failed
					{UserID: u.ID, Detail: "a command"},       // by the operator
					{ActorID: 77, UserID: u.ID, Address: "x"}, // by an administrator
				} {
					e.Action, e.CreatedAt = "an action", noon
					if err := tx.CreateAuditEntry(&e); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	find := func() (id int64) {
		err := s.ViewOne(t.Context(), func(tx *store.Tx) (err error) {
			id, err = tx.FindErasing()
			return err
		})
		if !errors.Is(err, store.ErrNotFound) {
			require.NoError(t, err)
		}
		return id
	}
	require.Zero(t, find())
	update(t, s, func(tx *store.Tx) error { return tx.EraseUser(ada.ID, "nobody", " 1", noon) })
	require.Equal(t, ada.ID, find())
	times := 0
	for done := false; !done; times++ {
		require.Equal(t, ada.ID, find())
		update(t, s, func(tx *store.Tx) (err error) {
			done, err = tx.EraseTrail(ada.ID, "gone", limit)
			return err
		})
		require.Equal(t, done, find() == 0)
	}
	require.Equal(t, rows/limit+1, times)

	left := map[string]int{}
	for _, e := range logOf(t, s, 5*rows) {
		left[fmt.Sprintf("event of %d: %s %s", e.UserID, e.Type, e.Data)]++
	}
	var entries []store.AuditEntry
	view(t, s, func(tx *store.Tx) (err error) {
		entries, err = tx.ListAuditEntries(store.AuditFilter{}, 100)
		return err
	})
	for _, e := range entries {
		left[fmt.Sprintf("entry by %d about %d: %q %q", e.ActorID, e.UserID, e.Address, e.Detail)]++
	}
	for _, m := range messagesOf(t, s, group.ID) {
		left[fmt.Sprintf("key of %d: %t", m.SenderID, m.ClientID != "")]++
	}
	for _, u := range []store.User{ada, bob} {
		view(t, s, func(tx *store.Tx) error {
			seen, err := tx.ListChatMessages(u.ID, group.ID, store.Span{Before: 1000}, 100)
			left[fmt.Sprintf("hidden from %d", u.ID)] = 2*rows - len(seen)
			if err != nil {
				return err
			}
			if _, err := tx.FindAnswer(u.ID, hash("0")); !errors.Is(err, store.ErrNotFound) {
				left[fmt.Sprintf("answers to %d", u.ID)]++
				return err
			}
			return nil
		})
	}
	require.Equal(t, map[string]int{
		"event of 1: user.updated gone":      rows,
		"event of 1: session.ended ":         rows,
		"event of 2: user.updated secret":    rows,
		"event of 2: account.updated secret": rows,
		"event of 2: session.ended ":         rows,
		`entry by 1 about 1: "" ""`:          rows,
		`entry by 0 about 1: "" ""`:          rows,
		`entry by 0 about 1: "" "a command"`: rows,
		`entry by 77 about 1: "x" ""`:        rows,

		`entry by 2 about 2: "secret" "secret"`: rows,
		`entry by 0 about 2: "secret" ""`:       rows,
		`entry by 0 about 2: "" "a command"`:    rows,
		`entry by 77 about 2: "x" ""`:           rows,
		"key of 1: false":                       rows,
		"key of 2: true":                        rows,
		"hidden from 1":                         0,
		"hidden from 2":                         rows,
		"answers to 2":                          1,
	}, left)
}
