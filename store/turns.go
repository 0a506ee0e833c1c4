package store

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// turns let a few Updates at a time go to a chat that is locked. The others wait
// for their turn, and not each with a connection: else the senders of one busy
// chat would take them all, and everybody else would wait with them.
type turns struct {
	mu    sync.Mutex
	chats map[int64]*turn
}

// atOnce is how many have their turn at a chat: one that holds it, and the next,
// which has begun its transaction.
const atOnce = 2

// turn is that of a chat which somebody has, or waits for.
type turn struct {
	taken chan struct{}
	users int
}

// take waits for the turns of some chats. It takes them in the order of their
// ids, so that no two who want the same ones wait for each other.
func (t *turns) take(ctx context.Context, chats map[int64]bool) (giveBack func(), err error) {
	var has []int64
	giveBack = func() {
		for _, id := range has {
			t.leave(id, true)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(chats)) {
		if err := t.enter(ctx, id); err != nil {
			giveBack()
			return nil, err
		}
		has = append(has, id)
	}
	return giveBack, nil
}

func (t *turns) enter(ctx context.Context, id int64) error {
	t.mu.Lock()
	if t.chats == nil {
		t.chats = map[int64]*turn{}
	}
	mine := t.chats[id]
	if mine == nil {
		mine = &turn{taken: make(chan struct{}, atOnce)}
		t.chats[id] = mine
	}
	mine.users++
	t.mu.Unlock()
	select {
	case mine.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		t.leave(id, false)
		return ctx.Err()
	}
}

func (t *turns) leave(id int64, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.chats[id]
	if had {
		<-mine.taken
	}
	if mine.users--; mine.users == 0 {
		delete(t.chats, id)
	}
}
