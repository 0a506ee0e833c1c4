package main

import (
	"context"
	"crypto/rand"
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
			return func() (result, error) {
				return writeFile(ctx, callers, store.Options{Unbatched: unbatched}, 1, b.duration)
			}
		}
		err := b.compare(fmt.Sprintf("batched Updates, %d callers", callers), "a commit each", with(false), with(true))
		if err != nil {
			return err
		}
	}
	return nil
}

// postgres measures the store on a PostgreSQL database against that on a file,
// in one chat, where senders wait for each other, and in many.
func postgres(ctx context.Context, b *bench) error {
	if b.postgres == "" {
		fmt.Fprintln(os.Stderr, "bench: postgres is left out: -postgres names no database")
		return nil
	}
	for _, callers := range b.connections() {
		for _, chats := range []int{1, 64} {
			err := b.compare(fmt.Sprintf("Updates on PostgreSQL, %d callers, %d chats", callers, chats), "on SQLite",
				func() (result, error) {
					return write(ctx, callers, store.Options{Database: b.postgres}, chats, b.duration)
				},
				func() (result, error) {
					return writeFile(ctx, callers, store.Options{}, chats, b.duration)
				})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile is write on a file of its own.
func writeFile(ctx context.Context, callers int, opts store.Options, chats int, duration time.Duration) (_ result, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	opts.Database = filepath.Join(dir, "messaging.db")
	return write(ctx, callers, opts, chats, duration)
}

// write has callers store messages, each in all chats in turn.
func write(ctx context.Context, callers int, opts store.Options, chats int, duration time.Duration) (_ result, err error) {
	s, err := store.Open(ctx, opts)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	name := rand.Text() // the database may not be new
	user := store.User{Username: name, UsernameKey: name, CreatedAt: time.Now()}
	groups := make([]store.Chat, chats)
	err = s.Update(ctx, func(tx *store.Tx) error {
		if err := tx.CreateUser(&user); err != nil {
			return err
		}
		for i := range groups {
			groups[i] = store.NewGroup("", time.Now())
			if err := tx.CreateChat(&groups[i]); err != nil {
				return err
			}
			if err := tx.AddParticipant(groups[i].ID, user.ID, store.Member, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return result{}, err
	}

	start := time.Now()
	return measure(callers, func(caller int) (took []time.Duration, err error) {
		for next := caller; err == nil && time.Since(start) < duration; next++ {
			begin, group := time.Now(), groups[next%chats]
			err = s.Update(ctx, func(tx *store.Tx) error {
				c, err := tx.NextSeq(user.ID, group.ID, 1, time.Now())
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
