package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// search measures what the search index, which is written behind the sends,
// takes from them; and how fast it is, against sends alone.
func search(ctx context.Context, b *bench) error {
	for _, callers := range b.connections() {
		over := func(indexed, behind bool) func() (result, error) {
			return func() (result, error) { return b.indexedSends(ctx, callers, indexed, behind) }
		}
		err := b.compare(fmt.Sprintf("sends, being indexed, %d callers", callers), "sends alone", over(true, false), over(false, false))
		if err != nil {
			return err
		}
		err = b.compare(fmt.Sprintf("messages indexed, of %d callers", callers), "sends alone", over(false, true), over(false, false))
		if err != nil {
			return err
		}
	}
	return nil
}

// indexedSends sends messages, which are indexed meanwhile or not. With behind it
// measures how they are indexed after that.
func (b *bench) indexedSends(ctx context.Context, callers int, indexed, behind bool) (r result, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	wake := make(chan struct{}, 1)
	s, err := store.Open(ctx, store.Options{
		Database: filepath.Join(dir, "messaging.db"),
		OnCommit: func([]store.Event) {
			select {
			case wake <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rules := chat.New(s, slog.New(slog.DiscardHandler))
	work := func() (end func()) {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			rules.Run(ctx, wake, chat.Work{})
		}()
		return func() { cancel(); <-done }
	}

	people, groups := make([]chat.Caller, callers), make([]int64, callers)
	for i := range people {
		user, err := rules.Register(ctx, chat.Caller{}, fmt.Sprintf("user%d", i), "")
		if err != nil {
			return r, err
		}
		people[i] = chat.Caller{UserID: user.ID, Username: user.Username}
		group, err := rules.CreateGroup(ctx, people[i], chat.NewGroup{})
		if err != nil {
			return r, err
		}
		groups[i] = group.ID
	}
	end := func() {}
	if indexed {
		end = work()
	}
	until := time.Now().Add(b.duration)
	r, err = measure(callers, func(caller int) (took []time.Duration, err error) {
		for n := 0; time.Now().Before(until) && ctx.Err() == nil; n++ {
			start := time.Now()
			draft := chat.Draft{ChatID: groups[caller], Text: fmt.Sprintf("%s, and number %d", text, n)}
			if _, err := rules.Send(ctx, people[caller], draft); err != nil {
				return took, err
			}
			took = append(took, time.Since(start))
		}
		return took, nil
	})
	end()
	if err != nil || !behind {
		return r, err
	}

	var last int64
	var state store.SearchState
	defer work()()
	start := time.Now()
	for last == 0 || state.Position < last {
		err := s.View(ctx, func(tx *store.Tx) (err error) {
			if last == 0 {
				events, err := tx.ListEvents(0, 1<<30)
				if err != nil {
					return err
				}
				last = events[len(events)-1].ID
				r.perSecond = float64(len(events))
				start = time.Now()
			}
			state, err = tx.FindSearchState()
			return err
		})
		if err != nil {
			return r, err
		}
		time.Sleep(time.Millisecond)
	}
	r.perSecond /= time.Since(start).Seconds()
	return r, nil
}
