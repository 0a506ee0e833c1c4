package live_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// step is something that happens. Its numbers say to whom, as far as it needs to
// know.
type step struct {
	does    string
	a, b, c int
}

var steps = []string{
	"message", "message", "message", "message", "burst", "add", "add", "remove", "create", "delete", "private", "end session",
	"join", "join", "join", "join", "leave", "take", "lag", "hold", "hold", "release", "release", "fail", "rerun", "wake", "wake", "wait",
	"epoch", "prune", "settle",
}

// TestNobodyMissesOrHearsTwice: whatever happens in whatever order, a connection
// gets what is for its user behind its cursor, each event once and in order, until
// it is closed; and the hub knows who is in which chat.
func TestNobodyMissesOrHearsTwice(t *testing.T) {
	plan := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		n := rapid.IntRange(0, 11)
		return step{rapid.SampledFrom(steps).Draw(t, "does"), n.Draw(t, "a"), n.Draw(t, "b"), n.Draw(t, "c")}
	}), 5, 60)
	rapid.Check(t, func(rt *rapid.T) {
		planned := plan.Draw(rt, "plan")
		var wrong error
		synctest.Test(t, func(*testing.T) { wrong = play(planned) })
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}

const sameUsers, sameChats = 4, 5

// played is a plan on its way.
type played struct {
	log     *memoryLog
	hub     *live.Hub
	stop    func() // the hub's Run
	clients []*client
	past    map[string]history // of the epochs that have ended
	sudden  bool               // the log went elsewhere, or was pruned: anybody may be closed
	burst   bool               // the log came faster than anybody can take it: the same
	ended   map[int64]int64    // sessions, with the event that says so
}

// play returns what went wrong.
func play(plan []step) error {
	log := newLog()
	p := &played{log: log, hub: newHub(log), past: map[string]history{}, ended: map[int64]int64{}}
	for chatID := range int64(sameChats - 1) {
		log.append(created(chatID+1, 1+chatID%sameUsers, 1+(chatID+1)%sameUsers))
	}
	p.stop = run(p.hub)
	defer p.end()
	for i, s := range plan {
		if err := p.step(s); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	if err := p.settle(); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	p.end()
	if kept := p.hub.Kept(); kept != [3]int{} || p.hub.Connections() != 0 {
		return fmt.Errorf("all have left, and the hub keeps %v", kept)
	}
	return nil
}

func (p *played) end() {
	p.log.release(readings...)
	for _, c := range p.clients {
		c.leave()
	}
	p.stop()
}

func (p *played) step(s step) error {
	log := p.log
	userID, chatID := int64(1+s.a%sameUsers), int64(1+s.b%sameChats)
	in := log.all.in(userID, chatID)
	switch s.does {
	case "message":
		log.append(message(chatID))
	case "burst":
		for range 80 {
			log.append(message(chatID))
		}
		p.burst = true
	case "add":
		if !in {
			log.append(about(store.ParticipantAdded, chatID, userID))
		}
	case "remove":
		if in {
			log.append(about(store.ParticipantRemoved, chatID, userID))
		}
	case "create":
		if !slices.ContainsFunc(log.all, func(e chat.Event) bool { return e.ChatID == chatID }) {
			log.append(created(chatID, userID, int64(1+s.c%sameUsers)))
		}
	case "delete":
		for id := range int64(sameUsers) {
			if log.all.in(id+1, chatID) {
				log.append(about(store.ChatDeleted, chatID, id+1))
			}
		}
	case "private":
		log.append(about(store.ChatSettingsUpdated, chatID, userID))
	case "end session":
		p.endSession(userID, int64(s.c))
	case "join":
		p.join(userID, s)
	case "leave":
		if len(p.clients) > 0 {
			p.clients[s.a%len(p.clients)].stop()
		}
	case "take":
		for _, c := range p.clients {
			c.take()
		}
	case "lag":
		log.mu.Lock()
		if log.late = s.b%2 == 0; log.late {
			log.last = min(log.all.tip(), log.last+int64(s.a%4))
		} else {
			log.last = log.all.tip()
		}
		log.mu.Unlock()
	case "hold":
		log.hold(readings[s.a%len(readings)])
	case "release":
		log.release(readings[s.a%len(readings)])
	case "fail":
		log.mu.Lock()
		log.down = !log.down
		log.mu.Unlock()
	case "rerun":
		p.stop()
		p.stop = run(p.hub)
	case "wake":
		p.hub.Committed(log.all.tip())
	case "wait":
		synctest.Wait()
	case "epoch":
		p.rollBack(s)
	case "prune":
		log.mu.Lock()
		log.pruned = min(log.pruned+int64(s.a), log.feed().Last)
		log.mu.Unlock()
		p.sudden = true
	case "settle":
		return p.settle()
	}
	if s.c%2 == 0 {
		synctest.Wait()
	}
	return nil
}

// endSession ends one session of a user's, or all.
func (p *played) endSession(userID, which int64) {
	data := ""
	sessions := []int64{1, 2, 3}
	if which%4 != 0 {
		sessions = []int64{which % 4}
		data = fmt.Sprintf(`{"session_id":%d}`, 10*userID+which%4)
	}
	p.log.mu.Lock()
	for _, n := range sessions {
		p.log.ended[10*userID+n] = true
	}
	p.log.mu.Unlock()
	e := about(store.SessionEnded, 0, userID)
	e.Data = data
	id := p.log.append(e)
	for _, n := range sessions {
		if p.ended[10*userID+n] == 0 {
			p.ended[10*userID+n] = id
		}
	}
}

func (p *played) join(userID int64, s step) {
	log := p.log
	log.mu.Lock()
	cursor := ""
	switch s.b % 6 {
	case 0, 1, 2: // anywhere in the log, what is not listed yet and what has been removed included
		cursor = fmt.Sprintf("%s.%d", log.epoch, int64(s.b*s.c)%(log.all.tip()+1))
	case 3:
		cursor = fmt.Sprintf("%s.%d", log.epoch, log.feed().Last-int64(s.c%3))
	case 4:
		cursor = []string{"other.1", "x", fmt.Sprintf("%s.%d", log.epoch, log.all.tip()+5)}[s.c%3]
	}
	log.mu.Unlock()
	p.clients = append(p.clients, connect(p.hub, log, userID, 10*userID+int64(1+s.c%3), cursor, s.c%5 == 0))
}

// rollBack has the database be one that was behind.
func (p *played) rollBack(s step) {
	log := p.log
	log.mu.Lock()
	p.past[log.epoch] = log.all
	keep := max(log.pruned, log.all.tip()-int64(s.b))
	log.all = slices.Clone(log.all[:keep])
	log.epoch += "a"
	log.last = min(log.last, keep)
	for session, id := range p.ended {
		if id > keep {
			delete(p.ended, session)
			delete(log.ended, session)
		}
	}
	log.mu.Unlock()
	p.sudden = true
}

// settle lets all that happened arrive, and looks whether it did.
func (p *played) settle() error {
	log := p.log
	log.mu.Lock()
	log.down, log.late, log.last = false, false, log.all.tip()
	log.mu.Unlock()
	log.release(readings...)
	synctest.Wait()
	time.Sleep(5 * time.Second) // more than a failed hub waits
	synctest.Wait()
	for _, c := range p.clients {
		for range 4 {
			c.take()
			synctest.Wait()
		}
	}
	index, err := p.hub.Index()
	if err != nil {
		return err
	}
	for userID, chats := range index {
		for chatID := range int64(sameChats) {
			if log.all.in(userID, chatID+1) != slices.Contains(chats, chatID+1) {
				return fmt.Errorf("the hub has user %d in the chats %v, which is wrong in chat %d", userID, chats, chatID+1)
			}
		}
	}
	for i, c := range p.clients {
		if err := p.check(c); err != nil {
			return fmt.Errorf("connection %d, of user %d with cursor %q: %w; it got %v, and was closed with %v", i, c.userID, c.cursor, err, c.ids(), c.closing)
		}
	}
	return nil
}

func (p *played) check(c *client) error {
	for i, e := range c.got {
		if i > 0 && e.ID <= c.got[i-1].ID {
			return fmt.Errorf("event %d comes behind %d", e.ID, c.got[i-1].ID)
		}
	}
	if c.made < 0 {
		if c.err == nil {
			return fmt.Errorf("it is not made")
		}
		return nil // it was refused, or left
	}
	if c.hello.Cursor == "" {
		return fmt.Errorf("it got no hello")
	}
	epoch, place, _ := strings.Cut(c.hello.Cursor, ".")
	from, _ := strconv.ParseInt(place, 10, 64)
	all, now := p.log.all, true
	if old, over := p.past[c.epoch]; over {
		all, now = old, false
	}
	if !c.gone() && (!now || epoch != c.epoch) {
		return fmt.Errorf("its epoch is over, and it is not closed")
	}
	if epoch != c.epoch {
		return nil // it was made while the epoch ended
	}
	switch {
	case c.cursor == "x", c.cursor == "other.1":
		if c.hello.Resync != live.OtherEpoch {
			return fmt.Errorf("its hello is %+v", c.hello)
		}
	case c.hello.Resync == "" && c.cursor != "" && c.hello.Cursor != c.cursor,
		c.hello.Resync != "" && c.cursor == "":
		return fmt.Errorf("its hello is %+v", c.hello)
	}
	upTo := all.tip()
	if c.gone() {
		upTo = 0
		if n := len(c.got); n > 0 {
			upTo = c.got[n-1].ID
		}
	}
	ended, over := p.ended[c.sessionID]
	if over && now && !c.gone() {
		return fmt.Errorf("its session has ended, and it is open")
	}
	if c.closing != nil {
		switch {
		case c.closing.Reason == live.SessionEnded && now && !over:
			return fmt.Errorf("its session has not ended")
		case c.closing.Reason == live.Slow && !p.burst && !c.slow:
			return fmt.Errorf("it is not slow")
		case c.closing.Reason == live.Gap && !p.sudden:
			return fmt.Errorf("there is no gap")
		}
	}
	got := map[int64]bool{}
	for _, e := range c.got {
		got[e.ID] = true
		switch {
		case e.Cursor != fmt.Sprintf("%s.%d", c.epoch, e.ID):
			return fmt.Errorf("event %d has the cursor %q", e.ID, e.Cursor)
		case e.ID <= from:
			return fmt.Errorf("event %d is not behind its cursor", e.ID)
		case !all.may(c.userID, e.Event, c.made):
			return fmt.Errorf("event %d is not for it: %+v", e.ID, all[e.ID-1])
		case over && now && e.ID > ended:
			return fmt.Errorf("event %d came to it, whose session ended at %d", e.ID, ended)
		}
	}
	for _, e := range all {
		if e.ID > from && e.ID <= upTo && !got[e.ID] && all.must(c.userID, e, c.made) {
			return fmt.Errorf("event %d is missing: %+v", e.ID, e)
		}
	}
	return nil
}
