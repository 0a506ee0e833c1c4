package live

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	// announceEvery is how often a node tells the others who is there, and
	// forgetAfter when they do not believe it any more.
	announceEvery, forgetAfter = 30 * time.Second, 75 * time.Second
	// announceGap is the least time between two such, if others ask for them.
	announceGap = time.Second
	// idsAtOnce is how many users a message to other nodes names.
	idsAtOnce = 1000
)

// What other nodes may tell: it comes from outside.
const (
	maxNews      = 64 << 10 // bytes of a message
	maxNodeID    = 32
	maxNodes     = 256
	maxElsewhere = 1 << 20 // users, counted once for each node
)

// Bus is the way to the other nodes. Package bus has those that there are.
type Bus interface {
	// Publish tells the other nodes. It never blocks, and may be in vain.
	Publish(kind string, data []byte)
	// Carries tells whether a kind gets anywhere.
	Carries(kind string) bool
}

// news is what a node tells others of who is there.
type news struct {
	Node string `json:"node"`
	// Came are there: all who are, in parts, every [announceEvery], and in between
	// those who came.
	Came []int64 `json:"came,omitempty"`
	// Gone are not there any more, with when they were, in milliseconds.
	Gone map[int64]int64 `json:"gone,omitempty"`
	// Ask has the others tell all who are there: it has just begun.
	Ask bool `json:"ask,omitempty"`
	// Bye says that nobody is there any more: it ends.
	Bye bool `json:"bye,omitempty"`
}

// typist is what a node tells others of somebody who is typing.
type typist struct {
	ChatID int64 `json:"chat_id"`
	UserID int64 `json:"user_id"`
}

// Reach has the hub tell other nodes over this bus, from now on.
func (h *Hub) Reach(to Bus) {
	h.mu.Lock()
	h.bus = to
	h.mu.Unlock()
	h.greet()
}

// greet has the nodes get to know each other.
func (h *Hub) greet() {
	p := h.presence
	h.publish(Presence, news{Node: p.node, Ask: true})
	p.mu.Lock()
	p.announce = true
	p.mu.Unlock()
	p.kick()
}

// way is the bus that carries a kind, or nil.
func (h *Hub) way(kind string) Bus {
	h.mu.Lock()
	to := h.bus
	h.mu.Unlock()
	if to == nil || !to.Carries(kind) {
		return nil
	}
	return to
}

func (h *Hub) publish(kind string, what any) {
	to := h.way(kind)
	if to == nil {
		return
	}
	data, err := json.Marshal(what)
	if err != nil {
		panic(err) // such fields can always be encoded
	}
	to.Publish(kind, data)
}

// ReceiveLog takes what another node has told of the log: the id of an event that has
// been committed, or nothing at all, when the way has been opened. It does not block.
func (h *Hub) ReceiveLog(data []byte) {
	id, _ := strconv.ParseInt(string(data), 10, 64) // without an id, it is time to look
	h.Committed(id)
	if len(data) == 0 {
		h.greet() // what was said before may be lost
	}
}

// Receive takes what the hub of another node has published. It does not block, and
// takes no notice of what it does not understand.
func (h *Hub) Receive(kind string, data []byte) {
	if len(data) > maxNews {
		return
	}
	switch kind {
	case Presence:
		var told news
		if json.Unmarshal(data, &told) == nil {
			h.presence.receive(told)
		}
	case Typing:
		var told typist
		if json.Unmarshal(data, &told) == nil && h.typing.pass(told, time.Now()) {
			h.tellTyping(told)
		}
	}
}

func (p *presence) receive(told news) {
	if told.Node == "" || told.Node == p.node || len(told.Node) > maxNodeID || len(told.Came)+len(told.Gone) > idsAtOnce {
		return
	}
	now := time.Now()
	defer p.kick()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.announce = p.announce || told.Ask
	if told.Bye {
		for userID, last := range p.elsewhere[told.Node] {
			p.forget(told.Node, userID, last)
		}
		return
	}
	for userID, last := range told.Gone {
		p.forget(told.Node, userID, time.UnixMilli(min(last, now.UnixMilli())))
	}
	for _, userID := range told.Came {
		p.believe(told.Node, userID, now)
	}
}

// believe counts a user as there, on a node that is not this one.
func (p *presence) believe(node string, userID int64, now time.Time) {
	users := p.elsewhere[node]
	_, known := users[userID]
	if !known && (userID <= 0 || p.believed >= maxElsewhere || users == nil && len(p.elsewhere) >= maxNodes) {
		return
	}
	if users == nil {
		users = told{}
		p.elsewhere[node] = users
	}
	users[userID] = now
	if !known {
		p.believed++
		p.changed[userID] = time.Time{}
	}
}

// announceNews tells the other nodes who has come, and who has gone.
func (h *Hub) announceNews() {
	p := h.presence
	p.mu.Lock()
	announced := p.announced
	p.announced = map[int64]struct{}{}
	told := news{Node: p.node, Gone: map[int64]int64{}}
	var all []news
	for userID := range announced {
		if _, here := p.here[userID]; here {
			told.Came = append(told.Came, userID)
		} else if last, known := p.seen[userID]; known {
			told.Gone[userID] = last.UnixMilli()
		}
		if len(told.Came)+len(told.Gone) == idsAtOnce {
			all = append(all, told)
			told = news{Node: p.node, Gone: map[int64]int64{}}
		}
	}
	p.mu.Unlock()
	if len(told.Came)+len(told.Gone) > 0 {
		all = append(all, told)
	}
	for _, part := range all {
		h.publish(Presence, part)
	}
}

// announceAll tells the other nodes who is here, when it is time to, and when it
// will be.
func (h *Hub) announceAll(now time.Time) (next time.Time) {
	p := h.presence
	p.mu.Lock()
	gap := announceEvery
	if p.announce {
		gap = announceGap
	}
	if due := p.allAt.Add(gap); now.Before(due) {
		defer p.mu.Unlock()
		return due
	}
	p.allAt, p.announce = now, false
	here := slices.Collect(maps.Keys(p.here))
	p.mu.Unlock()
	for part := range slices.Chunk(here, idsAtOnce) {
		h.publish(Presence, news{Node: p.node, Came: part})
	}
	return now.Add(announceEvery)
}
