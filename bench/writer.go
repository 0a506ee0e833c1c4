package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddymsg/messaging/store"
)

// writer measures the store alone: messages from many goroutines, with one
// commit for all that wait against a commit each.
func writer(ctx context.Context, b *bench) error {
	for _, callers := range b.connections() {
		with := func(unbatched bool) func() (result, error) {
			return func() (result, error) { return write(ctx, callers, unbatched, b.duration) }
		}
		err := b.compare(fmt.Sprintf("batched Updates, %d callers", callers), "a commit each", with(false), with(true))
		if err != nil {
			return err
		}
	}
	return nil
}

func write(ctx context.Context, callers int, unbatched bool, duration time.Duration) (_ result, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := store.Open(ctx, store.Options{Database: filepath.Join(dir, "messaging.db"), Unbatched: unbatched})
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	user := store.User{Username: "user", UsernameKey: "user", CreatedAt: time.Now()}
	group := store.Chat{Kind: store.GroupChat, CreatedAt: time.Now()}
	err = s.Update(ctx, func(tx *store.Tx) error {
		if err := tx.CreateUser(&user); err != nil {
			return err
		}
		if err := tx.CreateChat(&group); err != nil {
			return err
		}
		return tx.AddParticipant(group.ID, user.ID, time.Now())
	})
	if err != nil {
		return result{}, err
	}

	start := time.Now()
	return measure(callers, func(int) (took []time.Duration, err error) {
		for err == nil && time.Since(start) < duration {
			begin := time.Now()
			err = s.Update(ctx, func(tx *store.Tx) error {
				c, err := tx.NextSeq(user.ID, group.ID)
				if err != nil {
					return err
				}
				m := store.Message{ChatID: group.ID, Seq: c.LastSeq, SenderID: user.ID, Text: text, CreatedAt: begin}
				if err := tx.CreateMessage(&m); err != nil {
					return err
				}
				return tx.AppendEvent(store.Event{
					Type: store.MessageCreated, ChatID: group.ID, ActorID: user.ID, Message: &m, At: begin,
				})
			})
			took = append(took, time.Since(begin))
		}
		return took, err
	})
}
