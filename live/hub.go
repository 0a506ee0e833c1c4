// Package live takes what happens to those who are connected. A [Hub] follows the
// log of events of a database, and hands each event to the connections of this
// node that it concerns; what a connection has missed it reads from the log
// first. It knows no API: how an event is written is the business of a [Wire].
package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// minAge is how long a connection may live at least; at most it is twice as long.
const minAge = time.Hour

// Log is what a hub asks the rules, of which [chat.Service] is the one
// implementation beside those of tests.
type Log interface {
	Feed(ctx context.Context) (chat.Feed, error)
	FeedAfter(ctx context.Context, after int64, limit int) (chat.Feed, []chat.Event, error)
	Missed(ctx context.Context, userID, after, upTo int64, limit int) (chat.Feed, []int64, error)
	EventsByID(ctx context.Context, ids []int64) ([]chat.Event, error)
	ChatIDs(ctx context.Context, userID int64) ([]int64, error)
	// Session returns Unauthenticated for a session that has ended.
	Session(ctx context.Context, id int64) (chat.Caller, chat.SessionEnd, error)
	// Watchable lists those of some users whose presence the caller may know of, by
	// their ids.
	Watchable(ctx context.Context, caller chat.Caller, userIDs []int64) ([]chat.Presence, error)
	NoteLastSeen(ctx context.Context, at map[int64]time.Time) error
	// MayType returns Forbidden if the caller can't write in a chat.
	MayType(ctx context.Context, caller chat.Caller, chatID int64) error
}

// Limits bound the connections. 0 is no limit.
type Limits struct {
	PerUser, PerAddress int
	// Rates bound how often one connects; nil does not.
	Rates *limit.Limiter
}

// take counts somebody who connects; 0 is nobody in particular.
func (l Limits) take(ctx context.Context, userID int64, network string) error {
	key := ""
	if userID != 0 {
		key = strconv.FormatInt(userID, 10)
	}
	_, err := l.Rates.Take(ctx,
		limit.Ask{Limit: limit.Connects, Key: key},
		limit.Ask{Limit: limit.ConnectsAddress, Key: network})
	return chat.Limited(err)
}

// Observer is told what metrics count. It must not block, but for Left. What is
// missing of it is not told.
type Observer struct {
	// Joined is told of each connection, by its transport, within [Hub.Join], and
	// Left when it has left, within [Connection.Leave].
	Joined, Left func(transport string)
	// Closed is told of each connection that the hub ends.
	Closed func(Reason)
	// Delivered is told of each event, to how many connections it went.
	Delivered func(connections int)
}

// Hub hands events to connections. Its methods may be called from many
// goroutines.
type Hub struct {
	observe Observer
	logger  *slog.Logger
	wake    chan struct{}
	joined  chan struct{} // somebody is connected
	known   atomic.Int64  // an event with this id has been committed
	began   chan struct{} // has room, unless the hub finds out where the log is

	presence *presence
	typing   *typing

	mu        sync.Mutex
	log       Log
	bus       Bus  // nil: this node knows no others
	following bool // the log, from position
	position  int64
	epoch     string
	closed    bool // for new connections
	users     map[int64]*user
	rooms     map[int64][]*user // who is connected, by chat
	addresses map[string]int
	count     int
}

// user is somebody who is connected.
type user struct {
	id          int64
	connections []*Connection
	chats       map[int64]int // with the user's place in the room
	// since has what has become of their places since they came, until the chats
	// are known: true, if they are in it.
	since map[int64]bool
}

// NewHub makes a hub. It writes to this log, not to be confused with that of the
// events, which [Hub.Use] gives it, as long as it lives. [Hub.Run] runs it.
func NewHub(observe Observer, logger *slog.Logger) *Hub {
	if observe.Joined == nil {
		observe.Joined = func(string) {}
	}
	if observe.Left == nil {
		observe.Left = func(string) {}
	}
	if observe.Closed == nil {
		observe.Closed = func(Reason) {}
	}
	if observe.Delivered == nil {
		observe.Delivered = func(int) {}
	}
	return &Hub{
		observe: observe, logger: logger, wake: make(chan struct{}, 1), joined: make(chan struct{}, 1), began: make(chan struct{}, 1),
		presence: newPresence(), typing: newTyping(),
		users: map[int64]*user{}, rooms: map[int64][]*user{}, addresses: map[string]int{},
	}
}

// Use gives the hub the log of events that it follows, before it is run.
func (h *Hub) Use(log Log) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = log
}

// Committed tells the hub of an event, by its id, which has been committed. It
// does not block. Where it is not told, it finds out by itself, a little later.
func (h *Hub) Committed(id int64) {
	for known := h.known.Load(); known < id && !h.known.CompareAndSwap(known, id); {
		known = h.known.Load()
	}
	select {
	case h.wake <- struct{}{}:
	default: // it is awake
	}
}

// errClosed answers those who come when the server ends.
func errClosed() error {
	return &chat.Error{Kind: chat.Unavailable, Code: "restarting", Message: "The server is restarting. Come back in a moment."}
}

func errTooMany() error {
	return &chat.Error{Kind: chat.TooMany, Code: "too_many_connections", Message: "There are too many connections. Close some, or come back later."}
}

// Join adds a connection. It gets nothing before [Connection.Start]. It returns
// TooMany for one more than the limits say, or if they come too often, Unauthenticated if the session has
// ended, and Unavailable if the database does not answer, or if the server ends.
func (h *Hub) Join(ctx context.Context, j Joining, limits Limits) (*Connection, error) {
	if j.Cut == nil {
		j.Cut = func() {}
	}
	network := limit.Network(j.Address.String())
	if err := limits.take(ctx, j.Caller.UserID, network); err != nil {
		return nil, err
	}
	c := &Connection{hub: h, joined: j, network: network, ends: time.Now().Add(minAge + rand.N(minAge))}
	for entered := false; !entered; {
		err := h.begin(ctx)
		if err == nil {
			entered, err = h.enter(c, limits)
		}
		if err != nil {
			return nil, err
		}
	}
	h.observe.Joined(j.Transport)
	joined := false
	defer func() {
		if !joined { // also if something panics
			h.leave(c)
		}
	}()
	if err := h.load(ctx, c.user); err != nil {
		return nil, err
	}
	// Not before: should the session end from now on, the hub hears of it.
	if _, err := c.Authenticate(ctx); err != nil {
		return nil, err
	}
	h.presence.enter(c)
	joined = true
	return c, nil
}

// begin finds out where the log is, if nobody was connected.
func (h *Hub) begin(ctx context.Context) error {
	select {
	case h.began <- struct{}{}:
		defer func() { <-h.began }()
	case <-ctx.Done():
		return ctx.Err()
	}
	log, following := h.state()
	if following {
		return nil
	}
	feed, err := log.Feed(ctx)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.following, h.position, h.epoch = true, feed.Last, feed.Epoch
	return nil
}

func (h *Hub) state() (Log, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log, h.following
}

// enter adds a connection, unless the log is not followed any more.
func (h *Hub) enter(c *Connection, limits Limits) (entered bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.following {
		return false, nil
	}
	u := h.users[c.joined.Caller.UserID]
	switch {
	case h.closed:
		err = errClosed()
	case limits.PerAddress > 0 && c.network != "" && h.addresses[c.network] >= limits.PerAddress,
		limits.PerUser > 0 && u != nil && len(u.connections) >= limits.PerUser:
		err = errTooMany()
	}
	if err != nil {
		h.following = h.count > 0 // else it would be begun, and not run
		return false, err
	}
	if u == nil {
		u = &user{id: c.joined.Caller.UserID, chats: map[int64]int{}, since: map[int64]bool{}}
		h.users[u.id] = u
	}
	c.user = u
	u.connections = append(u.connections, c)
	h.addresses[c.network]++
	h.count++
	select {
	case h.joined <- struct{}{}:
	default:
	}
	return true, nil
}

// load finds out which chats a user takes part in. What the log says meanwhile
// comes later, and counts.
func (h *Hub) load(ctx context.Context, u *user) error {
	log, loaded := h.chatsKnown(u)
	if loaded {
		return nil
	}
	ids, err := log.ChatIDs(ctx, u.id)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if u.since == nil || h.users[u.id] != u {
		return nil // another connection of theirs was quicker, or this one has been ended
	}
	since := u.since
	u.since = nil
	for _, id := range ids {
		if _, told := since[id]; !told {
			h.enterRoom(u, id)
		}
	}
	return nil
}

func (h *Hub) chatsKnown(u *user) (log Log, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log, u.since == nil
}

func (h *Hub) leave(c *Connection) {
	if !h.remove(c) {
		return
	}
	h.presence.leave(c)
	// It counts until this has been told: who waits for the last one to leave waits
	// for this, too.
	h.observe.Left(c.joined.Transport)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
}

// remove takes a connection out of where events come from, if it is there.
func (h *Hub) remove(c *Connection) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := c.user
	i := slices.Index(u.connections, c)
	if i < 0 {
		return false
	}
	u.connections = slices.Delete(u.connections, i, i+1)
	if h.addresses[c.network]--; h.addresses[c.network] == 0 {
		delete(h.addresses, c.network)
	}
	if len(u.connections) > 0 || h.users[u.id] != u {
		return true
	}
	for id := range u.chats {
		h.leaveRoom(u, id)
	}
	delete(h.users, u.id)
	return true
}

// enterRoom puts a connected user into a chat.
func (h *Hub) enterRoom(u *user, chatID int64) {
	if u.since != nil {
		u.since[chatID] = true
	}
	if _, in := u.chats[chatID]; in {
		return
	}
	u.chats[chatID] = len(h.rooms[chatID])
	h.rooms[chatID] = append(h.rooms[chatID], u)
}

// leaveRoom takes a connected user out of a chat.
func (h *Hub) leaveRoom(u *user, chatID int64) {
	if u.since != nil {
		u.since[chatID] = false
	}
	i, in := u.chats[chatID]
	if !in {
		return
	}
	delete(u.chats, chatID)
	room := h.rooms[chatID]
	last := len(room) - 1
	if last == 0 {
		delete(h.rooms, chatID)
		return
	}
	if i != last {
		room[i] = room[last]
		room[i].chats[chatID] = i
	}
	room[last] = nil
	h.rooms[chatID] = room[:last]
}

// dispatch hands an event on, which comes next in the log.
func (h *Hub) dispatch(e chat.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position = e.ID
	if e.Type == store.SessionEnded {
		h.endSession(e)
		return
	}
	about := h.users[e.UserID]
	switch e.Type {
	case store.ChatCreated:
		for _, id := range participantsOf(e) {
			if u := h.users[id]; u != nil {
				h.enterRoom(u, e.ChatID)
			}
		}
	case store.ParticipantAdded:
		if about != nil {
			h.enterRoom(about, e.ChatID)
		}
	}
	h.deliver(&Event{Event: e, Cursor: formatCursor(h.epoch, e.ID)})
	switch e.Type {
	case store.ParticipantRemoved, store.ChatDeleted:
		if about == nil {
			break
		}
		h.leaveRoom(about, e.ChatID)
		for _, c := range about.connections {
			if c.joined.ChatID == e.ChatID {
				c.Close(Closing{Reason: Removed})
			}
		}
	}
}

// deliver hands an event to those whom it is for.
func (h *Hub) deliver(e *Event) {
	receivers := 0
	to := func(u *user) {
		for _, c := range u.connections {
			c.push(e)
		}
		receivers += len(u.connections)
	}
	if e.ToChat() {
		for _, u := range h.rooms[e.ChatID] {
			to(u)
		}
	}
	if u := h.users[e.UserID]; u != nil && e.ToUser() {
		if _, told := u.chats[e.ChatID]; !told || !e.ToChat() {
			to(u)
		}
	}
	h.observe.Delivered(receivers)
}

// participantsOf are those who are in a chat from its start.
func participantsOf(e chat.Event) []int64 {
	var told struct{ Participants []int64 }
	_ = json.Unmarshal([]byte(e.Data), &told) // chats of an older version are not new
	return told.Participants
}

// endSession closes the connections of a session, or of all of somebody's, or of all
// but one.
func (h *Hub) endSession(e chat.Event) {
	u := h.users[e.UserID]
	if u == nil {
		return
	}
	var told struct {
		SessionID int64 `json:"session_id"`
		AllBut    int64 `json:"all_but"`
	}
	_ = json.Unmarshal([]byte(e.Data), &told) // without data, it is of all of them
	for _, c := range u.connections {
		id := c.joined.Caller.SessionID
		if id != told.AllBut && (told.SessionID == 0 || told.SessionID == id) {
			c.Close(Closing{Reason: SessionEnded})
		}
	}
}
