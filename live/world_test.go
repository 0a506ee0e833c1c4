package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

var errDatabase = errors.New("the database is away")

// history is a log from its beginning.
type history []chat.Event

func (h history) tip() int64 { return int64(len(h)) }

// stay is a time in a chat, from one event to another, both included.
type stay struct{ from, to int64 }

// stays are the times of a user in a chat.
func (h history) stays(userID, chatID int64) (all []stay) {
	in := false
	for _, e := range h {
		switch {
		case e.ChatID != chatID:
		case e.Type == store.ChatCreated && slices.Contains(founders(e), userID),
			e.Type == store.ParticipantAdded && e.UserID == userID:
			if !in {
				all, in = append(all, stay{e.ID, math.MaxInt64}), true
			}
		case in && e.UserID == userID && (e.Type == store.ParticipantRemoved || e.Type == store.ChatDeleted):
			all[len(all)-1].to, in = e.ID, false
		}
	}
	return all
}

func (h history) in(userID, chatID int64) bool {
	all := h.stays(userID, chatID)
	return len(all) > 0 && all[len(all)-1].to == math.MaxInt64
}

// must tells whether a user hears of an event in any case, and may, whether at all.
// Between the two is what happened in a chat that they had left or entered when the
// connection was made, and the hub had not come that far.
func (h history) must(userID int64, e chat.Event, made int64) bool {
	if e.Type == store.SessionEnded {
		return false
	}
	if e.ToUser() && e.UserID == userID {
		return true
	}
	if e.ToChat() {
		for _, s := range h.stays(userID, e.ChatID) {
			if s.from <= e.ID && e.ID <= s.to && s.to > made {
				return true
			}
		}
	}
	return false
}

func (h history) may(userID int64, e chat.Event, made int64) bool {
	if e.Type == store.SessionEnded {
		return false
	}
	if e.ToUser() && e.UserID == userID {
		return true
	}
	if e.ToChat() {
		for _, s := range h.stays(userID, e.ChatID) {
			if s.from <= e.ID && e.ID <= s.to || e.ID < s.from && s.from <= made {
				return true
			}
		}
	}
	return false
}

// memoryLog is a log that can be made to fail, to wait, and to list late.
type memoryLog struct {
	mu      sync.Mutex
	epoch   string
	all     history
	pruned  int64
	last    int64          // what is behind it is committed, and not listed yet
	late    bool           // it is listed late
	ended   map[int64]bool // sessions
	expires time.Time
	token   time.Time // when the access tokens end; zero if there are cookies
	down    bool
	reads   int
	kinds   map[string]int // of them
	refuses string         // this kind of reading
	held    map[string]chan struct{}
	asked   map[string]func() error // called for each reading of a kind; its error is the answer
	common  int64                   // a chat that everybody is in from the start; 0 if there is none
	hidden  map[int64]bool          // users
	seen    map[int64]time.Time     // when users were there last
	notes   int                     // how often that was written
}

func newLog() *memoryLog {
	return &memoryLog{
		epoch: "a", asked: map[string]func() error{}, kinds: map[string]int{}, ended: map[int64]bool{}, hidden: map[int64]bool{}, seen: map[int64]time.Time{}, held: map[string]chan struct{}{}, expires: time.Now().Add(1000 * time.Hour),
	}
}

func (l *memoryLog) append(e chat.Event) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.ID = l.all.tip() + 1
	l.all = append(l.all, e)
	if !l.late {
		l.last = e.ID
	}
	return e.ID
}

// change has the database be another one from now on.
func (l *memoryLog) change(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// count is how often it was looked into.
func (l *memoryLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// looks is how often it was looked into for something.
func (l *memoryLog) looks(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kinds[kind]
}

func (l *memoryLog) feed() chat.Feed {
	return chat.Feed{Epoch: l.epoch, Pruned: l.pruned, Last: l.last}
}

// read is one look into the database. If the kind is held, it is before it is
// answered: the answer is old.
func (l *memoryLog) read(ctx context.Context, kind string, look func()) error {
	l.mu.Lock()
	l.reads++
	l.kinds[kind]++
	down := l.down || l.refuses == kind
	if !down {
		look()
	}
	held, asked := l.held[kind], l.asked[kind]
	l.mu.Unlock()
	if asked != nil {
		if err := asked(); err != nil {
			return err
		}
	}
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if down {
		return errDatabase
	}
	return nil
}

func (l *memoryLog) hold(kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[kind] == nil {
		l.held[kind] = make(chan struct{})
	}
}

func (l *memoryLog) release(kinds ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range kinds {
		if held := l.held[kind]; held != nil {
			close(held)
			delete(l.held, kind)
		}
	}
}

var readings = []string{"feed", "after", "missed", "events", "chats", "session"}

func (l *memoryLog) Feed(ctx context.Context) (feed chat.Feed, err error) {
	err = l.read(ctx, "feed", func() { feed = l.feed() })
	return feed, err
}

func (l *memoryLog) FeedAfter(ctx context.Context, after int64, limit int) (feed chat.Feed, events []chat.Event, err error) {
	err = l.read(ctx, "after", func() {
		feed = l.feed()
		if from := max(after, l.pruned); from < feed.Last {
			events = slices.Clone(l.all[from:min(feed.Last, from+int64(limit))])
		}
	})
	return feed, events, err
}

func (l *memoryLog) Missed(ctx context.Context, userID, after, upTo int64, limit int) (feed chat.Feed, ids []int64, err error) {
	err = l.read(ctx, "missed", func() {
		feed = l.feed()
		in := map[int64]bool{}
		for _, e := range l.all {
			if _, known := in[e.ChatID]; !known {
				in[e.ChatID] = l.in(userID, e.ChatID)
			}
		}
		for _, e := range l.all {
			if e.ID <= max(after, l.pruned) || e.ID > upTo || e.Type == store.SessionEnded || len(ids) == limit {
				continue
			}
			if e.ToChat() && in[e.ChatID] || e.ToUser() && e.UserID == userID {
				ids = append(ids, e.ID)
			}
		}
	})
	return feed, ids, err
}

func (l *memoryLog) EventsByID(ctx context.Context, ids []int64) (events []chat.Event, err error) {
	err = l.read(ctx, "events", func() {
		for _, id := range ids {
			if id > l.pruned && id <= l.all.tip() {
				events = append(events, l.all[id-1])
			}
		}
	})
	return events, err
}

func (l *memoryLog) ChatIDs(ctx context.Context, userID int64) (ids []int64, err error) {
	err = l.read(ctx, "chats", func() { ids = l.chatsOf(userID) })
	return ids, err
}

func (l *memoryLog) in(userID, chatID int64) bool {
	return chatID != 0 && chatID == l.common || l.all.in(userID, chatID)
}

func (l *memoryLog) chatsOf(userID int64) (ids []int64) {
	seen := map[int64]bool{}
	if l.common != 0 {
		ids, seen[l.common] = []int64{l.common}, true
	}
	for _, e := range l.all {
		if !seen[e.ChatID] && l.all.in(userID, e.ChatID) {
			ids = append(ids, e.ChatID)
		}
		seen[e.ChatID] = true
	}
	return ids
}

func (l *memoryLog) Session(ctx context.Context, id int64) (caller chat.Caller, end chat.SessionEnd, err error) {
	var ended, old bool
	err = l.read(ctx, "session", func() {
		ended = l.ended[id] || !time.Now().Before(l.expires)
		end = chat.SessionEnd{At: l.expires, Slides: l.token.IsZero()}
		if !end.Slides {
			end.At, old = l.token, !time.Now().Before(l.token)
		}
	})
	switch {
	case err == nil && ended:
		err = &chat.Error{Kind: chat.Unauthenticated, Code: "unauthenticated"}
	case err == nil && old:
		err = &chat.Error{Kind: chat.Unauthenticated, Code: chat.TokenExpired}
	}
	return chat.Caller{SessionID: id}, end, err
}

func (l *memoryLog) Watchable(ctx context.Context, caller chat.Caller, userIDs []int64) (found []chat.Presence, err error) {
	err = l.read(ctx, "watchable", func() {
		mine := l.chatsOf(caller.UserID)
		for _, userID := range userIDs {
			together := slices.ContainsFunc(l.chatsOf(userID), func(id int64) bool { return slices.Contains(mine, id) })
			if together && !l.hidden[userID] {
				found = append(found, chat.Presence{UserID: userID, LastSeenAt: l.seen[userID]})
			}
		}
	})
	return found, err
}

func (l *memoryLog) NoteLastSeen(ctx context.Context, at map[int64]time.Time) error {
	return l.read(ctx, "note", func() {
		l.notes++
		maps.Copy(l.seen, at)
	})
}

func (l *memoryLog) MayType(ctx context.Context, caller chat.Caller, chatID int64) (err error) {
	var may bool
	if err = l.read(ctx, "type", func() { may = l.in(caller.UserID, chatID) }); err == nil && !may {
		err = &chat.Error{Kind: chat.Forbidden, Code: "not_a_participant"}
	}
	return err
}

func newHub(log live.Log) *live.Hub {
	hub := live.NewHub(live.Observer{}, slog.New(slog.DiscardHandler))
	hub.Use(log)
	return hub
}

// run has a hub follow the log until the test ends, or the function is called.
func run(hub *live.Hub) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		hub.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// client is somebody who is connected, as a transport would have it.
type client struct {
	userID, sessionID int64
	cursor            string
	slow              bool // it takes when it has a turn
	turn              chan struct{}

	*live.Connection
	hello   live.Hello
	mu      sync.Mutex
	got     []*live.Event
	looked  int // how many of them the test has looked at
	closing *live.Closing
	err     error
	made    int64 // how far the log was when it had started; -1 before
	epoch   string
	stop    context.CancelFunc
	done    chan struct{}
}

func address(n int64) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}) }

// connect has somebody connect. A slow one takes only when it is told to.
func connect(hub *live.Hub, log *memoryLog, userID, sessionID int64, cursor string, slow bool) *client {
	ctx, stop := context.WithCancel(context.Background())
	c := &client{
		userID: userID, sessionID: sessionID, cursor: cursor, slow: slow,
		made: -1, turn: make(chan struct{}, 1), stop: stop, done: make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.serve(ctx, hub, log)
	}()
	return c
}

func (c *client) serve(ctx context.Context, hub *live.Hub, log *memoryLog) {
	notified := make(chan struct{}, 1)
	c.Connection, c.err = hub.Join(ctx, live.Joining{
		Caller: chat.Caller{UserID: c.userID, SessionID: c.sessionID}, Address: address(c.userID),
		Notify: func() { notified <- struct{}{} }, // once, until all is taken
	}, live.Limits{})
	if c.err != nil {
		return
	}
	defer c.Leave()
	c.err = c.Start(ctx, c.cursor, func(h live.Hello) error {
		c.hello = h
		return nil
	}, func(events []*live.Event) error {
		c.add(events)
		return ctx.Err()
	})
	if c.err != nil {
		return
	}
	log.mu.Lock()
	c.made, c.epoch = log.all.tip(), log.epoch
	log.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-notified:
		}
		for {
			if c.slow {
				select {
				case <-ctx.Done():
					return
				case <-c.turn:
				}
			}
			events, closing := c.Take()
			c.add(events)
			if closing != nil {
				c.closing = closing
				return
			}
			if len(events) == 0 {
				break
			}
		}
	}
}

func (c *client) add(events []*live.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, events...)
}

// news are the events that the test has not looked at yet.
func (c *client) news() (events []*live.Event) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	events, c.looked = c.got[c.looked:], len(c.got)
	return events
}

// waiting tells whether there is something for it to take.
func (c *client) waiting() bool { return c.Cursor() == "" }

// take has a slow client take once.
func (c *client) take() {
	select {
	case c.turn <- struct{}{}:
	default:
	}
}

// gone tells whether it is not connected any more.
func (c *client) gone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// leave returns when the client has gone.
func (c *client) leave() {
	c.stop()
	<-c.done
}

func (c *client) ids() (ids []int64) {
	for _, e := range c.got {
		ids = append(ids, e.ID)
	}
	return ids
}

func message(chatID int64) chat.Event { return chat.Event{Type: store.MessageCreated, ChatID: chatID} }

func about(eventType string, chatID, userID int64) chat.Event {
	return chat.Event{Type: eventType, ChatID: chatID, UserID: userID}
}

func created(chatID int64, participants ...int64) chat.Event {
	data, _ := json.Marshal(map[string]any{"kind": "group", "participants": participants})
	return chat.Event{Type: store.ChatCreated, ChatID: chatID, Data: string(data)}
}

func founders(e chat.Event) []int64 {
	var told struct{ Participants []int64 }
	_ = json.Unmarshal([]byte(e.Data), &told)
	return told.Participants
}

func mustIndex(t testing.TB, hub *live.Hub) map[int64][]int64 {
	t.Helper()
	index, err := hub.Index()
	require.NoError(t, err)
	return index
}
