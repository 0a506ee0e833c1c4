package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// growth measures what one person does in a large database against the same in a
// small one: what there is of others must cost nothing.
func growth(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	small, err := newWorld(ctx, filepath.Join(dir, "small.db"), 10_000)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, small.close()) }()
	large, err := newWorld(ctx, filepath.Join(dir, "large.db"), b.messages)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, large.close()) }()

	for _, act := range []struct {
		what string
		do   func(*world, *rand.Rand) error
	}{
		{"newest page of a long history", func(w *world, _ *rand.Rand) error {
			return w.page(ctx, chat.Page{Limit: 50})
		}},
		{"page from its middle", func(w *world, r *rand.Rand) error {
			return w.page(ctx, chat.Page{Before: w.first + 50 + r.Int64N(w.last-w.first-50), Limit: 50})
		}},
		{"list of 500 chats with their unread counts", func(w *world, _ *rand.Rand) error {
			chats, err := w.service.Chats(ctx, w.ada, chat.Selection{Limit: 500})
			return enough(len(chats), 500, err)
		}},
		{"search for a rare word in all chats", func(w *world, _ *rand.Rand) error {
			found, _, err := w.service.SearchMessages(ctx, w.ada, chat.MessageSearch{Text: rareWord, Limit: 20})
			return enough(len(found), 20, err)
		}},
		{"send", func(w *world, r *rand.Rand) error {
			_, err := w.service.Send(ctx, w.ada, chat.Draft{ChatID: w.chats[r.IntN(len(w.chats))], Text: text})
			return err
		}},
	} {
		run := func(w *world) func() (result, error) {
			return func() (result, error) {
				r, start := rand.New(rand.NewPCG(1, 2)), time.Now()
				return measure(1, func(int) (took []time.Duration, err error) {
					for err == nil && time.Since(start) < b.duration {
						begin := time.Now()
						err = act.do(w, r)
						took = append(took, time.Since(begin))
					}
					return took, err
				})
			}
		}
		against := fmt.Sprintf("among %d messages instead of %d", b.messages, small.messages)
		if err := b.compare(act.what, against, run(large), run(small)); err != nil {
			return err
		}
	}
	return nil
}

// enough fails if less was found than there is: a short answer is fast.
func enough(got, want int, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("found %d of %d", got, want)
	}
	return err
}

// world is a database in which somebody, Ada, has 500 chats with one other person
// each, and one long group. The rest is other people's.
type world struct {
	store       *store.Store
	service     *chat.Service
	stop        func()
	ada         chat.Caller
	messages    int
	chats       []int64
	long        int64 // the group, which has half of all messages
	first, last int64 // its messages
}

const (
	adasChats = 500
	inEach    = 10
	rareWord  = "zephyr" // in 20 messages, whatever their number
	lastWord  = "omega"  // in the last message
)

func newWorld(ctx context.Context, database string, messages int) (*world, error) {
	committed := make(chan struct{}, 1)
	s, err := store.Open(ctx, store.Options{Database: database, OnCommit: func([]store.Event) {
		select {
		case committed <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return nil, err
	}
	w := &world{store: s, service: chat.New(s, slog.New(slog.DiscardHandler)), messages: messages}
	if err := w.fill(ctx, committed); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) fill(ctx context.Context, committed <-chan struct{}) error {
	people := make([]store.User, adasChats+1)
	err := w.store.Update(ctx, func(tx *store.Tx) error {
		for i := range people {
			name := fmt.Sprintf("person%d", i)
			people[i] = store.User{Username: name, UsernameKey: name, CreatedAt: time.Now()}
			if err := tx.CreateUser(&people[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ada, others := people[0], people[1:]
	w.ada = chat.Caller{UserID: ada.ID, Username: ada.Username}
	for _, other := range others {
		c := store.NewDirectChat(ada.ID, other.ID, time.Now())
		if _, _, err := w.talk(ctx, &c, inEach, other, ada); err != nil {
			return err
		}
		w.chats = append(w.chats, c.ID)
	}
	long := store.NewGroup("long", time.Now())
	if w.first, w.last, err = w.talk(ctx, &long, w.messages/2, others[0], ada); err != nil {
		return err
	}
	w.long = long.ID
	for left := w.messages/2 - adasChats*inEach; left > 0; left -= 1000 {
		c := store.NewGroup("", time.Now())
		if _, _, err := w.talk(ctx, &c, min(left, 1000), others[rand.IntN(adasChats)], others[0]); err != nil {
			return err
		}
	}
	if _, err := w.service.Send(ctx, w.ada, chat.Draft{ChatID: w.long, Text: lastWord}); err != nil {
		return err
	}
	return w.index(ctx, committed)
}

// talk makes a chat in which the first of its people has said so much.
func (w *world) talk(ctx context.Context, c *store.Chat, messages int, people ...store.User) (first, last int64, err error) {
	err = w.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.CreateChat(c); err != nil {
			return err
		}
		added := map[int64]bool{}
		for _, u := range people {
			if added[u.ID] {
				continue
			}
			added[u.ID] = true
			if err := tx.AddParticipant(c.ID, u.ID, store.Member, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	for said := 0; err == nil && said < messages; said += 1000 {
		err = w.store.Update(ctx, func(tx *store.Tx) error {
			count := min(messages-said, 1000)
			now, err := tx.NextSeq(people[0].ID, c.ID, count, time.Now())
			if err != nil {
				return err
			}
			for i := range count {
				m := store.Message{
					ChatID: c.ID, Seq: now.LastSeq - int64(count-1-i), SenderID: people[0].ID,
					Text: saying(said+i, messages), CreatedAt: time.Now(),
				}
				if err := tx.CreateMessage(&m); err != nil {
					return err
				}
				if said+i == 0 {
					first = m.ID
				}
				last = m.ID
				if err := tx.AppendEvent(store.Event{
					Type: store.MessageCreated, ChatID: c.ID, ActorID: m.SenderID, Message: &m, At: m.CreatedAt,
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return first, last, err
}

// saying is eight words, of which 20 times in a long history one is rare.
func saying(n, of int) string {
	words := make([]string, 8)
	for i := range words {
		words[i] = fmt.Sprintf("word%d", rand.IntN(2000))
	}
	if of > 20*inEach && n%(of/20) == 0 {
		words[3] = rareWord
	}
	return strings.Join(words, " ")
}

func (w *world) page(ctx context.Context, p chat.Page) error {
	messages, err := w.service.ChatWindow(ctx, w.ada, w.long, chat.Window{Page: p})
	return enough(len(messages), p.Limit, err)
}

func (w *world) close() error {
	if w.stop != nil {
		w.stop()
	}
	return w.store.Close()
}

// index starts the work behind the requests, and waits until it has caught up.
func (w *world) index(ctx context.Context, committed <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.service.Run(ctx, committed, chat.Work{})
	}()
	w.stop = func() { cancel(); <-ended }
	for {
		found, _, err := w.service.SearchMessages(ctx, w.ada, chat.MessageSearch{Text: lastWord, Limit: 1})
		if err != nil || len(found) > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
