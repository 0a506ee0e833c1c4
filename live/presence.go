package live

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// What is not in the log: who is there, and who is typing.
const (
	// Presence is the type of an event that tells whether a user is there.
	Presence = "presence"
	// Typing is the type of an event that tells that a user is writing in a chat.
	Typing = "typing"
)

const (
	// graceOfPresence is how long somebody counts as there after their last
	// connection has gone: most of those who go come back at once.
	graceOfPresence = 5 * time.Second
	// lookEvery is how often it is looked for those who are not told of any more.
	lookEvery = 15 * time.Second
	// keepEvery is how often it is kept when those who have gone were there last.
	keepEvery = 30 * time.Second
	// recheckAfter is how long to wait for a database that has failed.
	recheckAfter = time.Second
	// repeatAfter is how long to wait for connections that had no room.
	repeatAfter = 250 * time.Millisecond
	// keepWithin bounds the last look at the database when the hub ends.
	keepWithin = 5 * time.Second
)

// State is whether a user is there.
type State struct {
	UserID int64
	Online bool
	// LastSeenAt is when they were there last, if they are not there, and if it is
	// known.
	LastSeenAt time.Time
}

// presence is who is there, on this node and on the others, and who wants to know.
// Its lock is never taken with that of the hub held.
type presence struct {
	node   string        // which this is, to the others
	kicked chan struct{} // there is something to do

	mu        sync.Mutex
	here      map[int64]visit
	leaving   []leaver             // in the order of time
	elsewhere map[string]told      // by node
	believed  int                  // how many users all nodes have told
	lookedAt  time.Time            // whether nodes have fallen silent
	watchers  map[int64]watcherSet // by whom they watch
	watching  map[int64]watcherSet // those that watch somebody, by whose they are
	seen      map[int64]time.Time  // to be kept
	keptAt    time.Time
	changed   map[int64]time.Time // whom to tell of to those who watch, with when they were there last
	owed      map[int64]time.Time // the same, of those of whom not all could be told
	repeatAt  time.Time           // they are told again
	announced map[int64]struct{}  // whom to tell of to other nodes
	announce  bool                // and that all who are here
	allAt     time.Time           // that was done
	// narrowed have lost a right to know, or to be known of; narrowings is how often
	// that happened.
	narrowed   map[int64]struct{}
	narrowings int
	retryAt    time.Time // the looking at what they have lost
	// The database has failed last: the log has been told.
	rechecking, keeping bool
}

// known is what a connection was told last of somebody whom it watches.
type known int8

const (
	unknown known = iota // it has yet to be told something
	away
	there
	// withdrawn may not be watched any more, and the connection has yet to be told
	// that they have gone.
	withdrawn
)

func knownAs(online bool) known {
	if online {
		return there
	}
	return away
}

type watcherSet map[*Connection]struct{}

// told is when a node has last told of each of the users who are there.
type told map[int64]time.Time

// visit is of a user who is there.
type visit struct {
	connections int
	left        time.Time // the last of them
}

// leaver is somebody who is not there any more, unless they come back.
type leaver struct {
	userID int64
	left   time.Time
}

func newPresence() *presence {
	var node [8]byte
	_, _ = rand.Read(node[:]) // it never fails
	return &presence{
		node: hex.EncodeToString(node[:]), kicked: make(chan struct{}, 1),
		here: map[int64]visit{}, elsewhere: map[string]told{}, watchers: map[int64]watcherSet{}, watching: map[int64]watcherSet{},
		seen: map[int64]time.Time{}, changed: map[int64]time.Time{}, owed: map[int64]time.Time{}, announced: map[int64]struct{}{}, narrowed: map[int64]struct{}{},
	}
}

func (p *presence) kick() {
	select {
	case p.kicked <- struct{}{}:
	default:
	}
}

// enter counts a connection that has been made.
func (p *presence) enter(c *Connection) {
	defer p.kick()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.present = true
	userID := c.joined.Caller.UserID
	s, was := p.here[userID]
	p.here[userID] = visit{connections: s.connections + 1}
	if !was {
		p.announced[userID] = struct{}{}
		p.changed[userID] = time.Time{}
	}
}

// leave forgets one, and what it watches.
func (p *presence) leave(c *Connection) {
	defer p.kick()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watch(c, nil)
	if !c.present {
		return
	}
	c.present = false
	userID := c.joined.Caller.UserID
	s := p.here[userID]
	if s.connections--; s.connections == 0 {
		s.left = time.Now()
		p.leaving = append(p.leaving, leaver{userID, s.left})
	}
	p.here[userID] = s
}

// watch replaces whom a connection watches, and tells it how they are: through its
// queue, between what is older and what is newer.
func (p *presence) watch(c *Connection, states []State) {
	for userID := range c.watches {
		p.unwatch(c, userID)
	}
	if len(states) == 0 {
		c.watches = nil
		return
	}
	c.watches = make(map[int64]known, len(states))
	add(p.watching, c.joined.Caller.UserID, c)
	for _, s := range states {
		c.watches[s.UserID] = unknown
		add(p.watchers, s.UserID, c)
		p.tellOne(c, NewPresence(s))
	}
}

func (p *presence) unwatch(c *Connection, userID int64) {
	delete(c.watches, userID)
	drop(p.watchers, userID, c)
	if len(c.watches) == 0 {
		drop(p.watching, c.joined.Caller.UserID, c)
	}
}

func add(to map[int64]watcherSet, userID int64, c *Connection) {
	if to[userID] == nil {
		to[userID] = watcherSet{}
	}
	to[userID][c] = struct{}{}
}

func drop(from map[int64]watcherSet, userID int64, c *Connection) {
	if delete(from[userID], c); len(from[userID]) == 0 {
		delete(from, userID)
	}
}

// isThere tells whether a user is there, on whatever node.
func (p *presence) isThere(userID int64) bool {
	if _, here := p.here[userID]; here {
		return true
	}
	return p.isElsewhere(userID)
}

func (p *presence) isElsewhere(userID int64) bool {
	for _, users := range p.elsewhere {
		if _, there := users[userID]; there {
			return true
		}
	}
	return false
}

// stateOf is what may be told of a user of whom the database knows when they were
// there last.
func (p *presence) stateOf(userID int64, lastSeen time.Time) State {
	if p.isThere(userID) {
		return State{UserID: userID, Online: true}
	}
	if seen := p.seen[userID]; seen.After(lastSeen) {
		lastSeen = seen // not kept yet
	}
	return State{UserID: userID, LastSeenAt: lastSeen}
}

// Watch has the connection hear whether these users are there, in place of those
// whom it watched before: how they are now, by an event of each, and what changes.
// Whom the caller has no business with is left out, and not watched. It returns
// Invalid for too many.
func (c *Connection) Watch(ctx context.Context, userIDs []int64) error {
	p := c.hub.presence
	log, _ := c.hub.state()
	p.mu.Lock()
	narrowings := p.narrowings
	p.mu.Unlock()
	found, err := log.Watchable(ctx, c.joined.Caller, unique(userIDs))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.present {
		return nil // it has gone meanwhile
	}
	p.watch(c, p.states(found))
	if p.narrowings != narrowings { // it may be one of these that must not be watched any more
		p.narrowed[c.joined.Caller.UserID] = struct{}{}
	}
	if len(p.narrowed)+len(p.owed) > 0 {
		p.kick()
	}
	return nil
}

func (p *presence) states(found []chat.Presence) []State {
	states := make([]State, len(found))
	for i, f := range found {
		states[i] = p.stateOf(f.UserID, f.LastSeenAt)
	}
	return states
}

// Presence tells whether users are there. It is as [Connection.Watch] for who has no
// connection.
func (h *Hub) Presence(ctx context.Context, caller chat.Caller, userIDs []int64) ([]State, error) {
	log, _ := h.state()
	found, err := log.Watchable(ctx, caller, unique(userIDs))
	if err != nil {
		return nil, err
	}
	h.presence.mu.Lock()
	defer h.presence.mu.Unlock()
	return h.presence.states(found), nil
}

func unique(ids []int64) []int64 { return slices.Compact(slices.Sorted(slices.Values(ids))) }

// narrow is told of each event: some take a right to know of somebody away.
func (p *presence) narrow(e chat.Event) {
	if !narrows(e) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.narrowings++
	if len(p.watchers[e.UserID])+len(p.watching[e.UserID]) > 0 {
		p.narrowed[e.UserID] = struct{}{}
		p.kick()
	}
}

// narrows tells whether an event may take such a right away. Each that does costs a
// look into the database for everybody who watches: another name must not.
func narrows(e chat.Event) bool {
	var told struct {
		Hidden  bool `json:"presence_hidden"`
		Deleted bool
	}
	switch e.Type {
	case store.ParticipantRemoved, store.ChatDeleted, store.BlockCreated, store.SessionEnded:
		return true
	case store.AccountUpdated, store.UserUpdated:
		err := json.Unmarshal([]byte(e.Data), &told)
		return err != nil || told.Hidden || told.Deleted
	}
	return false
}

// attend tells who comes and goes until ctx ends.
func (h *Hub) attend(ctx context.Context) {
	p := h.presence
	h.greet()
	defer h.unattend()
	for {
		wait := h.attendOnce(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.kicked:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// attendOnce does what is to be done, and tells when to look again.
func (h *Hub) attendOnce(ctx context.Context) time.Duration {
	p := h.presence
	now := time.Now()
	wait := announceEvery
	before := func(due time.Time) { wait = min(wait, max(0, due.Sub(now))) }

	if next, some := p.expire(now); some {
		before(next)
	}
	if !now.Before(p.retryAt) && !h.recheck(ctx) {
		p.retryAt = now.Add(recheckAfter)
	}
	if now.Before(p.retryAt) {
		before(p.retryAt) // nobody is told what may not be theirs
	} else if next, some := p.tellAll(now); some {
		before(next)
	}
	h.announceNews()
	if h.way(Presence) != nil {
		before(h.announceAll(now))
	}
	if next, some := h.keep(ctx, now); some {
		before(next)
	}
	return wait
}

// unattend is the end: nobody is here any more.
func (h *Hub) unattend() {
	p := h.presence
	h.publish(Presence, news{Node: p.node, Bye: true})
	p.mu.Lock()
	now := time.Now()
	for userID, s := range p.here {
		if s.connections > 0 {
			p.seen[userID] = now
		} else {
			p.seen[userID] = s.left
		}
	}
	p.keptAt = time.Time{}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), keepWithin)
	defer cancel()
	h.keep(ctx, now)
}

// expire finds who has not come back, and which nodes have fallen silent. It tells
// when there may be more to find.
func (p *presence) expire(now time.Time) (next time.Time, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.leaving) > 0 && !now.Before(p.leaving[0].left.Add(graceOfPresence)) {
		gone := p.leaving[0]
		p.leaving = p.leaving[1:]
		if s := p.here[gone.userID]; s.connections > 0 || !s.left.Equal(gone.left) {
			continue // they have come back
		}
		delete(p.here, gone.userID)
		p.seen[gone.userID] = gone.left
		p.announced[gone.userID] = struct{}{}
		p.changed[gone.userID] = gone.left
	}
	if now.Sub(p.lookedAt) >= lookEvery {
		p.lookedAt = now
		for node, users := range p.elsewhere {
			for userID, at := range users {
				if now.Sub(at) >= forgetAfter {
					p.forget(node, userID, at)
				}
			}
		}
	}
	if len(p.elsewhere) > 0 {
		next, some = p.lookedAt.Add(lookEvery), true
	}
	if len(p.leaving) == 0 {
		p.leaving = nil
		return next, some
	}
	if due := p.leaving[0].left.Add(graceOfPresence); !some || due.Before(next) {
		next = due
	}
	return next, true
}

// forget takes a user off a node that is not this one, where they were last then.
func (p *presence) forget(node string, userID int64, last time.Time) {
	users := p.elsewhere[node]
	if _, there := users[userID]; !there {
		return
	}
	p.believed--
	if delete(users, userID); len(users) == 0 {
		delete(p.elsewhere, node)
	}
	p.changed[userID] = last
}

// recheck looks whether those who watch still may, after something happened. It
// returns false if the database does not answer.
func (h *Hub) recheck(ctx context.Context) bool {
	p := h.presence
	users, affected := p.affected()
	log, _ := h.state()
	for c, userIDs := range affected {
		found, err := log.Watchable(ctx, c.joined.Caller, userIDs)
		h.noteFailure(ctx, &p.rechecking, "to tell who is there", err)
		if err != nil {
			p.mu.Lock()
			maps.Copy(p.narrowed, users)
			p.mu.Unlock()
			return false
		}
		p.withdraw(c, userIDs, found)
	}
	return true
}

// noteFailure writes to the log that something has failed which has not failed the
// last time.
func (h *Hub) noteFailure(ctx context.Context, failed *bool, what string, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // that is the end, and no failure
	}
	if err != nil && !*failed {
		h.logger.LogAttrs(ctx, slog.LevelError, "presence waits for the database", slog.String("what", what), slog.Any("error", err))
	}
	*failed = err != nil
}

// affected are the connections of those who may have lost a right, with all whom
// they watch, and those who watch them.
func (p *presence) affected() (users map[int64]struct{}, affected map[*Connection][]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	users, p.narrowed = p.narrowed, map[int64]struct{}{}
	if len(users) == 0 {
		return nil, nil
	}
	affected = map[*Connection][]int64{}
	for userID := range users {
		for c := range p.watching[userID] {
			affected[c] = slices.Collect(maps.Keys(c.watches))
		}
		for c := range p.watchers[userID] {
			if _, all := users[c.joined.Caller.UserID]; !all {
				affected[c] = append(affected[c], userID)
			}
		}
	}
	return users, affected
}

// withdraw ends the watching of those who were not found. To the connection, they
// have gone.
func (p *presence) withdraw(c *Connection, userIDs []int64, found []chat.Presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, userID := range userIDs {
		knows, watches := c.watches[userID]
		_, may := slices.BinarySearchFunc(found, userID, func(f chat.Presence, id int64) int { return cmp.Compare(f.UserID, id) })
		switch {
		case !watches || may:
		case knows == there:
			c.watches[userID] = withdrawn
			p.tellOne(c, NewPresence(State{UserID: userID}))
		case knows != withdrawn:
			p.unwatch(c, userID)
		}
	}
}

// NewPresence is the event that tells of a state.
func NewPresence(s State) *Event {
	return &Event{Event: chat.Event{Type: Presence, UserID: s.UserID, At: time.Now()}, State: &s}
}

// tellAll tells those who watch of what has changed. If there was no room for all of
// that, it tells when to try again.
func (p *presence) tellAll(now time.Time) (next time.Time, some bool) {
	p.mu.Lock()
	changed := p.changed
	p.changed = map[int64]time.Time{}
	if !now.Before(p.repeatAt) {
		for userID, last := range p.owed {
			if last.After(changed[userID]) || changed[userID].IsZero() {
				changed[userID] = last
			}
		}
		clear(p.owed)
	}
	p.mu.Unlock()
	for userID, last := range changed {
		p.tell(userID, last)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.owed) > 0 && !now.Before(p.repeatAt) {
		p.repeatAt = now.Add(repeatAfter)
	}
	return p.repeatAt, len(p.owed) > 0
}

func (p *presence) tell(userID int64, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.watchers[userID]) == 0 {
		return
	}
	e := NewPresence(p.stateOf(userID, last))
	for c := range p.watchers[userID] {
		p.tellOne(c, e)
	}
}

// tellOne tells a connection of somebody whom it watches, unless it knows. If it has
// no room, it is told later.
func (p *presence) tellOne(c *Connection, e *Event) {
	s := e.State
	ends := c.watches[s.UserID] == withdrawn
	if ends {
		e = NewPresence(State{UserID: s.UserID}) // what there is to know is none of its business
	}
	switch {
	case c.watches[s.UserID] == knownAs(s.Online):
	case !c.pushEphemeral(e):
		p.owe(s.UserID, s.LastSeenAt)
	case ends:
		p.unwatch(c, s.UserID)
	default:
		c.watches[s.UserID] = knownAs(s.Online)
	}
}

// owe has it tried again to tell those who watch of a user, who was there last then.
func (p *presence) owe(userID int64, last time.Time) {
	if before, owed := p.owed[userID]; !owed || last.After(before) {
		p.owed[userID] = last
	}
}

// keep has it stored when those who have gone were there last.
func (h *Hub) keep(ctx context.Context, now time.Time) (next time.Time, some bool) {
	p := h.presence
	p.mu.Lock()
	due := p.keptAt.Add(keepEvery)
	if len(p.seen) == 0 || now.Before(due) {
		defer p.mu.Unlock()
		return due, len(p.seen) > 0
	}
	p.keptAt = now
	seen := maps.Clone(p.seen)
	p.mu.Unlock()

	log, _ := h.state()
	err := log.NoteLastSeen(ctx, seen)
	h.noteFailure(ctx, &p.keeping, "to keep when users were there last", err)
	if err != nil {
		return now.Add(keepEvery), true // the next time may be better
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for userID, at := range seen {
		if p.seen[userID].Equal(at) {
			delete(p.seen, userID)
		}
	}
	return now.Add(keepEvery), len(p.seen) > 0
}
