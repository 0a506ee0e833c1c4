package live_test

import (
	"fmt"
	"log/slog"
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

// watch has a client watch, and returns what it is told then.
func watch(t testing.TB, c *client, userIDs ...int64) []string {
	t.Helper()
	c.news()
	require.NoError(t, c.Watch(t.Context(), userIDs))
	return c.told()
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
		{"the other hides", profile(store.AccountUpdated, 0, `{"username":"x","presence_hidden":true}`), true, false},
		{"the other is deleted", profile(store.UserUpdated, 1, `{"deleted":true}`), true, false},
		{"the other is deactivated", about(store.SessionEnded, 0, 1), true, false},
		{"the other blocks", about(store.BlockCreated, 0, 1), true, false},
		{"the watcher blocks", about(store.BlockCreated, 0, 2), true, false},
		{"somebody else leaves", about(store.ParticipantRemoved, 1, 3), false, true},
		{"the other has another name", profile(store.AccountUpdated, 0, `{"username":"x","presence_hidden":false}`), false, true},
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
					want, later = nil, []string{"1 seen", "1 online"}
				}
				require.Equal(t, want, two.told())
				one.leave()
				time.Sleep(time.Minute)
				again := join(hub, log, 1)
				require.Equal(t, later, two.told())
				again.leave()
				two.leave()
			})
		})
	}
}

// profile is an event about user 1.
func profile(eventType string, chatID int64, data string) chat.Event {
	e := about(eventType, chatID, 1)
	e.Data = data
	return e
}

// To look whether those who watch still may costs a question of each.
func TestOnlyWhatTakesARightAwayIsLookedAt(t *testing.T) {
	for _, c := range []struct {
		name  string
		event chat.Event
		looks int
	}{
		{"another name, to oneself", profile(store.AccountUpdated, 0, `{"username":"x","display_name":"X","presence_hidden":false}`), 0},
		{"another name, to others", profile(store.UserUpdated, 1, `{"username":"x","display_name":"X"}`), 0},
		{"a message", message(1), 0},
		{"somebody hides", profile(store.AccountUpdated, 0, `{"username":"x","presence_hidden":true}`), 2},
		{"somebody is deleted", profile(store.UserUpdated, 1, `{"deleted":true}`), 2},
		{"somebody leaves", about(store.ParticipantRemoved, 1, 1), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				log.append(about(store.ParticipantAdded, 1, 3))
				one, two, three := join(hub, log, 1), join(hub, log, 2), join(hub, log, 3)
				watch(t, two, 1)
				watch(t, three, 1)
				before := log.looks("watchable")
				hub.Committed(log.append(c.event))
				synctest.Wait()
				require.Equal(t, c.looks, log.looks("watchable")-before)
				for _, c := range []*client{one, two, three} {
					c.leave()
				}
			})
		})
	}
}

// Who is still told what they missed, or reads slowly, is told in the end, and not
// of what has passed by then.
func TestPresenceIsToldInTheEnd(t *testing.T) {
	const friends = 200
	for _, c := range []struct {
		name string
		// away has the client not take anything until back is called.
		away func(t *testing.T, hub *live.Hub, log *memoryLog) (c *client, back func())
	}{
		{"of what was missed", func(_ *testing.T, hub *live.Hub, log *memoryLog) (*client, func()) {
			log.hold("events")
			return connect(hub, log, 1, 10, "a.1", false), func() { log.release("events") }
		}},
		{"slowly", func(_ *testing.T, hub *live.Hub, log *memoryLog) (*client, func()) {
			c := connect(hub, log, 1, 10, "", true)
			return c, func() {
				for !c.gone() && c.waiting() {
					c.take()
					time.Sleep(time.Second)
					synctest.Wait()
				}
			}
		}},
	} {
		for name, happens := range map[string]struct {
			do   func(t *testing.T, hub *live.Hub, log *memoryLog, all []*client)
			want string
		}{
			"nothing": {func(*testing.T, *live.Hub, *memoryLog, []*client) {}, "online"},
			"they go": {func(_ *testing.T, _ *live.Hub, _ *memoryLog, all []*client) {
				for _, c := range all {
					c.leave()
				}
			}, "seen"},
			"they hide": {func(_ *testing.T, hub *live.Hub, log *memoryLog, all []*client) {
				for _, c := range all {
					log.change(func() { log.hidden[c.userID] = true })
					hub.Committed(log.append(about(store.BlockCreated, 0, c.userID)))
				}
			}, "offline"},
		} {
			t.Run(c.name+", and "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
					var ids []int64
					for i := range int64(friends) {
						ids = append(ids, 100+i)
					}
					log.append(created(2, append(ids, 1)...))
					var all []*client
					for _, id := range ids {
						all = append(all, connect(hub, log, id, 10*id, "", false))
					}
					synctest.Wait()
					one, back := c.away(t, hub, log)
					synctest.Wait()
					require.NoError(t, one.Watch(t.Context(), ids))
					happens.do(t, hub, log, all)
					time.Sleep(10 * time.Second)
					synctest.Wait()
					back()
					time.Sleep(10 * time.Second)
					told := map[int64]string{}
					for _, e := range one.news() {
						if e.Type == live.Presence {
							told[e.UserID] = strings.Fields(stateText(*e.State))[1]
						}
					}
					require.Nil(t, one.closing)
					for _, id := range ids {
						if told[id] == "" && happens.want == "offline" {
							continue // it has never heard of them
						}
						require.Equal(t, happens.want, told[id], id)
					}
					require.NotEmpty(t, told)
					one.leave()
					for _, c := range all {
						c.leave()
					}
					time.Sleep(time.Minute)
					require.Equal(t, [7]int{}, hub.Attended())
				})
			})
		}
	}
}

// What is told of somebody at the beginning is not behind what is newer, nor ahead
// of what is older.
func TestPresenceIsToldInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		two := connect(hub, log, 2, 20, "", true)
		synctest.Wait()
		require.NoError(t, two.Watch(t.Context(), []int64{1}))
		one := join(hub, log, 1)
		require.NoError(t, two.Watch(t.Context(), []int64{1}))
		one.leave()
		time.Sleep(time.Minute)
		two.take()
		require.Equal(t, []string{"1 offline", "1 online", "1 online", "1 seen"}, two.told())
		two.leave()
	})
}

// The log is told once that the database does not answer, and again when it has.
func TestPresenceTellsTheLogThatTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		log := newLog()
		log.append(created(1, 1, 2))
		hub := live.NewHub(live.Observer{}, slog.New(slog.NewTextHandler(&logged, nil)))
		hub.Use(log)
		stop := run(hub)
		one, two := join(hub, log, 1), join(hub, log, 2)
		watch(t, two, 1)
		for _, kind := range []string{"watchable", "note"} {
			for range 2 {
				log.change(func() { log.refuses = kind })
				hub.Committed(log.append(about(store.BlockCreated, 0, 1)))
				join(hub, log, 3).leave()
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				log.change(func() { log.refuses = "" })
				time.Sleep(5 * time.Minute)
				synctest.Wait()
			}
		}
		one.leave()
		two.leave()
		stop()
		require.Equal(t, 2, strings.Count(logged.String(), "to tell who is there"))
		require.Equal(t, 2, strings.Count(logged.String(), "to keep when users were there last"))
	})
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
			done <- two.Watch(t.Context(), []int64{1})
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
				hubs[opening].ReceiveLog(nil)
				time.Sleep(time.Second)
				require.Equal(t, []string{"1 online"}, two.told())
				one.leave()
				two.leave()
			})
		})
	}
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
			{"other", `{"node":"a","came":[5]}`},
		} {
			hub.Receive(m.kind, []byte(m.data))
			require.Empty(t, c.told(), m.data)
			require.Equal(t, 0, hub.Attended()[1], m.data)
		}
		for _, data := range []string{"x", "-1", "1 "} {
			hub.ReceiveLog([]byte(data))
		}
		for node := range 300 {
			hub.Receive("presence", fmt.Appendf(nil, `{"node":"n%d","came":[5]}`, node))
		}
		require.Equal(t, []string{"5 online"}, c.told())
		require.Equal(t, 256, hub.Attended()[2], "there are not so many nodes")
		hub.ReceiveLog([]byte("9223372036854775807"))
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
		for _, kind := range []string{"presence", "typing", ""} {
			f.Add(kind, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		hub := newHub(newLog())
		hub.Receive(kind, data)
		hub.ReceiveLog(data)
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
