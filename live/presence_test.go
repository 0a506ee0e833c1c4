package live_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// fakeBus carries what one hub publishes to others, at once.
type fakeBus struct {
	mu    sync.Mutex
	to    []*live.Hub
	lost  bool // whatever is published
	kinds map[string]int
}

func (b *fakeBus) Publish(kind string, data []byte) {
	b.mu.Lock()
	b.kinds[kind]++
	to := b.to
	if b.lost {
		to = nil
	}
	b.mu.Unlock()
	for _, hub := range to {
		hub.Receive(kind, data)
	}
}

func (b *fakeBus) lose(lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = lost
}

func (b *fakeBus) connect(hub *live.Hub) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = append(b.to, hub)
}

func (b *fakeBus) published(kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kinds[kind]
}

func (b *fakeBus) Carries(string) bool { return true }

// twoNodes are two hubs that share a log, each with the way to the other.
func twoNodes(t *testing.T, test func(t *testing.T, log *memoryLog, hubs [2]*live.Hub, ways [2]*fakeBus, stop *[2]func())) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		log.append(created(1, 1, 2, 3))
		hubs := [2]*live.Hub{newHub(log), newHub(log)}
		ways := [2]*fakeBus{{to: hubs[1:], kinds: map[string]int{}}, {to: hubs[:1], kinds: map[string]int{}}}
		stop := [2]func(){}
		for i, hub := range hubs {
			hub.Reach(ways[i])
			stop[i] = run(hub)
		}
		test(t, log, hubs, ways, &stop)
		stop[0]()
		stop[1]()
	})
}

// told are the presence events that a client has got since the last time, as
// "1 online", "1 offline" or "1 seen", if it is told when that was.
func (c *client) told() (all []string) {
	for _, e := range c.news() {
		if e.Type == live.Presence {
			all = append(all, stateText(*e.State))
		}
	}
	return all
}

func stateText(s live.State) string {
	switch {
	case s.Online:
		return fmt.Sprintf("%d online", s.UserID)
	case s.LastSeenAt.IsZero():
		return fmt.Sprintf("%d offline", s.UserID)
	}
	return fmt.Sprintf("%d seen", s.UserID)
}

func lastSeen(c *client) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[len(c.got)-1].State.LastSeenAt
}

func watch(t testing.TB, c *client, userIDs ...int64) (all []string) {
	t.Helper()
	synctest.Wait()
	states, err := c.Watch(t.Context(), userIDs)
	require.NoError(t, err)
	for _, s := range states {
		all = append(all, stateText(s))
	}
	return all
}

// join is a client that is connected.
func join(hub *live.Hub, log *memoryLog, userID int64) *client {
	c := connect(hub, log, userID, 10*userID, "", false)
	synctest.Wait()
	return c
}

func TestPresence(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.append(created(2, 2, 3))
		log.append(created(3, 4))
		c := join(hub, log, 2)
		stranger := join(hub, log, 4)
		require.Equal(t, []string{"1 offline", "3 offline"}, watch(t, c, 3, 1, 1, 4, 77), "whom it is not told of, it does not watch")

		first := join(hub, log, 1)
		require.Equal(t, []string{"1 online"}, c.told())
		second := join(hub, log, 1)
		first.leave()
		time.Sleep(time.Minute)
		require.Empty(t, c.told(), "one connection is enough")

		second.leave()
		time.Sleep(4 * time.Second)
		again := join(hub, log, 1)
		time.Sleep(time.Minute)
		require.Empty(t, c.told(), "somebody who comes back was not away")
		again.leave()
		time.Sleep(3 * time.Second)
		join(hub, log, 1).leave()
		left := time.Now()
		time.Sleep(4999 * time.Millisecond)
		require.Empty(t, c.told())
		time.Sleep(time.Millisecond)
		require.Equal(t, []string{"1 seen"}, c.told())
		require.Equal(t, left, lastSeen(c))
		states, err := hub.Presence(t.Context(), chat.Caller{UserID: 2}, []int64{1, 3})
		require.NoError(t, err)
		require.Equal(t, []live.State{{UserID: 1, LastSeenAt: left}, {UserID: 3}}, states)

		stranger.leave()
		third := join(hub, log, 3)
		require.Equal(t, []string{"3 online"}, c.told())
		require.Empty(t, watch(t, c), "it watches nobody now")
		third.leave()
		time.Sleep(time.Minute)
		require.Empty(t, c.told())
		c.leave()
		time.Sleep(time.Minute)
		require.Equal(t, [7]int{}, hub.Attended())
	})
}

func TestWhenSomebodyWasThereLastIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		hub := newHub(log)
		stop := run(hub)
		for round := range 3 {
			for userID := range int64(50) {
				join(hub, log, 1+userID).leave()
			}
			time.Sleep(6 * time.Second)
			synctest.Wait()
			log.mu.Lock()
			require.Equal(t, 1, log.notes, round)
			log.mu.Unlock()
		}
		log.change(func() { log.down = true })
		time.Sleep(time.Minute)
		synctest.Wait()
		log.change(func() { log.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		log.mu.Lock()
		require.Equal(t, 2, log.notes, "all that came meanwhile at once, when the database was there again")
		log.mu.Unlock()
		time.Sleep(time.Hour)
		join(hub, log, 2).leave()
		time.Sleep(6 * time.Second)
		c := join(hub, log, 1)
		stop()
		c.leave()
		require.Equal(t, 4, log.notes, "in the end")
		require.Len(t, log.seen, 50)
		require.Equal(t, time.Now(), log.seen[1])
	})
}

// What takes the right to know of somebody away does so at once.
func TestPresenceIsWithdrawn(t *testing.T) {
	for _, c := range []struct {
		name  string
		event chat.Event
		hides bool
		keeps bool
	}{
		{"the watcher leaves the chat", about(store.ParticipantRemoved, 1, 2), false, false},
		{"the other leaves the chat", about(store.ParticipantRemoved, 1, 1), false, false},
		{"the watcher's chat is deleted", about(store.ChatDeleted, 1, 2), false, false},
		{"the other's chat is deleted", about(store.ChatDeleted, 1, 1), false, false},
		{"the other hides", about(store.AccountUpdated, 0, 1), true, false},
		{"the other is deleted", about(store.UserUpdated, 1, 1), true, false},
		{"the other is deactivated", about(store.SessionEnded, 0, 1), true, false},
		{"the other blocks", about(store.BlockCreated, 0, 1), true, false},
		{"the watcher blocks", about(store.BlockCreated, 0, 2), true, false},
		{"somebody else leaves", about(store.ParticipantRemoved, 1, 3), false, true},
		{"the other has another name", about(store.AccountUpdated, 0, 1), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				log.append(about(store.ParticipantAdded, 1, 3))
				one, two := join(hub, log, 1), join(hub, log, 2)
				require.Equal(t, []string{"1 online"}, watch(t, two, 1))
				log.change(func() { log.hidden[1] = c.hides })
				hub.Committed(log.append(c.event))
				want, later := []string{"1 offline"}, []string(nil)
				if c.keeps {
					want, later = nil, []string{"1 seen"}
				}
				require.Equal(t, want, two.told())
				one.leave()
				time.Sleep(time.Minute)
				require.Equal(t, later, two.told())
				two.leave()
			})
		})
	}
}

// As long as it can't be found out what somebody has lost, nobody is told anything.
func TestPresenceWhenTheDatabaseIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.append(created(2, 2, 3))
		one, two := join(hub, log, 1), join(hub, log, 2)
		require.Equal(t, []string{"1 online", "3 offline"}, watch(t, two, 1, 3))
		log.change(func() { log.refuses = "watchable" })
		hub.Committed(log.append(about(store.ParticipantRemoved, 1, 1)))
		synctest.Wait()
		one.leave()
		three := join(hub, log, 3)
		time.Sleep(20 * time.Second)
		require.Empty(t, two.told())
		log.change(func() { log.refuses = "" })
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"1 offline", "3 online"}, two.told(), "and not when")
		two.leave()
		three.leave()
	})
}

// A right that is lost while somebody asks for it is not given.
func TestPresenceIsWithdrawnWhileItIsAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		one, two := join(hub, log, 1), join(hub, log, 2)
		log.hold("watchable")
		done := make(chan error)
		go func() {
			_, err := two.Watch(t.Context(), []int64{1})
			done <- err
		}()
		synctest.Wait()
		hub.Committed(log.append(about(store.ParticipantRemoved, 1, 1)))
		synctest.Wait()
		log.release("watchable")
		require.NoError(t, <-done)
		two.told()
		one.leave()
		time.Sleep(time.Minute)
		require.Empty(t, two.told())
		two.leave()
	})
}

func TestPresenceOfOtherNodes(t *testing.T) {
	twoNodes(t, func(t *testing.T, log *memoryLog, hubs [2]*live.Hub, ways [2]*fakeBus, stop *[2]func()) {
		c := join(hubs[0], log, 2)
		require.Equal(t, []string{"1 offline"}, watch(t, c, 1))
		there := join(hubs[1], log, 1)
		require.Equal(t, []string{"1 online"}, c.told())
		there.leave()
		time.Sleep(time.Second)
		here := join(hubs[0], log, 1)
		time.Sleep(time.Minute)
		require.Empty(t, c.told(), "they have gone from one node to the other")
		here.leave()
		there = join(hubs[1], log, 1)
		time.Sleep(time.Minute)
		require.Empty(t, c.told(), "and back")
		there.leave()
		left := time.Now()
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"1 seen"}, c.told())
		require.Equal(t, left.UnixMilli(), lastSeen(c).UnixMilli())

		there = join(hubs[1], log, 1)
		require.Equal(t, []string{"1 online"}, c.told())
		time.Sleep(10 * time.Minute)
		require.Empty(t, c.told(), "they stay, as long as their node says so")
		ways[1].lose(true)
		time.Sleep(44 * time.Second)
		require.Empty(t, c.told())
		time.Sleep(time.Minute)
		require.Equal(t, []string{"1 seen"}, c.told(), "a node that is silent has nobody")
		ways[1].lose(false)
		time.Sleep(30 * time.Second)
		require.Equal(t, []string{"1 online"}, c.told())

		stop[1]()
		require.Equal(t, []string{"1 seen"}, c.told(), "it has said goodbye")
		there.leave()
		c.leave()
		stop[1] = run(hubs[1])
		time.Sleep(time.Minute)
	})
}

// A node that starts finds out who is there, and the others who is on it.
func TestPresenceOnANewNode(t *testing.T) {
	twoNodes(t, func(t *testing.T, log *memoryLog, hubs [2]*live.Hub, ways [2]*fakeBus, _ *[2]func()) {
		all := []*client{}
		for userID := range int64(2500) {
			all = append(all, connect(hubs[0], log, userID+1, 10, "", false))
		}
		synctest.Wait()
		third := newHub(log)
		way := &fakeBus{to: hubs[:], kinds: map[string]int{}}
		ways[0].connect(third)
		ways[1].connect(third)
		third.Reach(way)
		stop := run(third)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2500, third.Attended()[1])
		before := ways[0].published(live.Presence)
		for range 100 {
			third.Reach(way) // it asks again and again
			synctest.Wait()
		}
		require.Less(t, ways[0].published(live.Presence)-before, 10)
		for _, c := range all {
			c.leave()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, third.Attended()[1])
		stop()
	})
}

// A way to the other nodes that opens, or opens again, has lost what was said before.
func TestNodesMeetWhenTheWayOpens(t *testing.T) {
	for opening, name := range []string{"of the one who is asked", "of the one who asks"} {
		t.Run(name, func(t *testing.T) {
			twoNodes(t, func(t *testing.T, log *memoryLog, hubs [2]*live.Hub, ways [2]*fakeBus, _ *[2]func()) {
				for _, way := range ways {
					way.lose(true)
				}
				one, two := join(hubs[0], log, 1), join(hubs[1], log, 2)
				require.Equal(t, []string{"1 offline"}, watch(t, two, 1))
				for _, way := range ways {
					way.lose(false)
				}
				hubs[opening].Receive("log", nil)
				time.Sleep(time.Second)
				require.Equal(t, []string{"1 online"}, two.told())
				one.leave()
				two.leave()
			})
		})
	}
}

// What comes back from the bus is no news.
func TestPresenceThatComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		hub.Reach(&fakeBus{to: []*live.Hub{hub}, kinds: map[string]int{}})
		c := join(hub, log, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, hub.Attended()[1])
		c.leave()
	})
}

func TestReceiveIsNotImpressed(t *testing.T) {
	ids := func(n int) string { return strings.TrimSuffix(strings.Repeat("5,", n), ",") }
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.append(about(store.ParticipantAdded, 1, 5))
		c := join(hub, log, 2)
		require.Equal(t, []string{"5 offline"}, watch(t, c, 5))
		for _, m := range []struct{ kind, data string }{
			{"presence", ``},
			{"presence", `x`},
			{"presence", `null`},
			{"presence", `[]`},
			{"presence", `{"node":"a","came":["5"]}`},
			{"presence", `{"node":"a","came":[5]} ` + strings.Repeat(" ", 70_000)},
			{"presence", `{"came":[5]}`},
			{"presence", `{"node":"` + strings.Repeat("a", 33) + `","came":[5]}`},
			{"presence", `{"node":"a","came":[` + ids(1001) + `]}`},
			{"presence", `{"node":"a","came":[0,-5]}`},
			{"presence", `{"node":"a","gone":{"5":9223372036854775807}}`},
			{"presence", `{"node":"a","gone":{"x":1}}`},
			{"presence", `{"node":"a","bye":true}`},
			{"typing", `{`},
			{"typing", `{}`},
			{"typing", `{"chat_id":-1,"user_id":5}`},
			{"log", `x`},
			{"log", `-1`},
			{"other", `{"node":"a","came":[5]}`},
		} {
			hub.Receive(m.kind, []byte(m.data))
			require.Empty(t, c.told(), m.data)
			require.Equal(t, 0, hub.Attended()[1], m.data)
		}
		for node := range 300 {
			hub.Receive("presence", fmt.Appendf(nil, `{"node":"n%d","came":[5]}`, node))
		}
		require.Equal(t, []string{"5 online"}, c.told())
		require.Equal(t, 256, hub.Attended()[2], "there are not so many nodes")
		hub.Receive("log", []byte("9223372036854775807"))
		synctest.Wait()
		before := log.count()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Less(t, log.count()-before, 1000, "what nobody will see is not waited for all the time")
		time.Sleep(time.Minute)
		require.Equal(t, 0, hub.Attended()[1])
		c.leave()
	})
}

func FuzzReceive(f *testing.F) {
	for _, data := range []string{
		`{"node":"a","came":[1,2],"gone":{"3":1700000000000}}`, `{"node":"a","ask":true}`, `{"node":"a","bye":true}`,
		`{"chat_id":1,"user_id":2}`, `12`, ``,
	} {
		for _, kind := range []string{"presence", "typing", "log"} {
			f.Add(kind, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		hub := newHub(newLog())
		hub.Receive(kind, data)
		require.LessOrEqual(t, hub.Attended()[1], 1000)
	})
}

func typed(c *client) (all []string) {
	for _, e := range c.news() {
		if e.Type == live.Typing {
			all = append(all, fmt.Sprintf("%d in %d", e.UserID, e.ChatID))
		}
	}
	return all
}

func TestTyping(t *testing.T) {
	twoNodes(t, func(t *testing.T, log *memoryLog, hubs [2]*live.Hub, ways [2]*fakeBus, _ *[2]func()) {
		log.append(created(2, 1, 3))
		log.append(created(3, 4))
		one, two, three, four := join(hubs[0], log, 1), join(hubs[0], log, 2), join(hubs[1], log, 3), join(hubs[1], log, 4)
		caller := chat.Caller{UserID: 1}
		for range 10 {
			require.NoError(t, hubs[0].Type(t.Context(), caller, 1))
			time.Sleep(200 * time.Millisecond)
		}
		require.Equal(t, []string{"1 in 1"}, typed(two))
		require.Equal(t, []string{"1 in 1"}, typed(three), "on another node")
		require.Empty(t, typed(one), "not oneself")
		require.Empty(t, typed(four), "not those who are not in the chat")
		require.Equal(t, 1, ways[0].published(live.Typing))

		require.NoError(t, hubs[0].Type(t.Context(), caller, 2))
		require.Equal(t, []string{"1 in 2"}, typed(three), "in another chat, it is something else")
		require.Empty(t, typed(two))
		time.Sleep(time.Second)
		require.NoError(t, hubs[0].Type(t.Context(), caller, 1))
		require.Equal(t, []string{"1 in 1"}, typed(two), "after three seconds")
		require.Equal(t, []string{"1 in 1"}, typed(three))

		require.Equal(t, "not_a_participant", codeOf(t, hubs[0].Type(t.Context(), caller, 3)))
		require.Empty(t, typed(four))
		for range 10 {
			hubs[1].Receive("typing", []byte(`{"chat_id":1,"user_id":2}`))
		}
		require.Equal(t, []string{"2 in 1"}, typed(three), "other nodes are bounded, too")
		for _, c := range []*client{one, two, three, four} {
			c.leave()
		}
	})
}

// What is not in the log is dropped first: it does not make a connection slow.
func TestSlowConnectionIsNotToldWhoIsTyping(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		slow := connect(hub, log, 1, 10, "", true)
		synctest.Wait()
		for i := range 1000 {
			hub.Receive("typing", fmt.Appendf(nil, `{"chat_id":1,"user_id":%d}`, 100+i))
		}
		for range live.MaxQueue / 2 {
			hub.Committed(log.append(message(1)))
			synctest.Wait()
		}
		slow.take()
		synctest.Wait()
		require.Nil(t, slow.closing)
		require.Len(t, slow.got, live.MaxQueue)
		slow.leave()
	})
}
