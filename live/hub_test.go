package live_test

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

// inBubble runs a test with a hub that follows a log in which the users 1 and 2
// are in the chat 1.
func inBubble(t *testing.T, test func(t *testing.T, hub *live.Hub, log *memoryLog)) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		log.append(created(1, 1, 2))
		hub := newHub(log)
		defer run(hub)()
		test(t, hub, log)
	})
}

func TestConnectionLimits(t *testing.T) {
	v4 := netip.MustParseAddr
	for _, c := range []struct {
		name   string
		limits live.Limits
		from   []live.Joining
		last   string // what the last one gets
	}{
		{"a user's second", live.Limits{PerUser: 2}, []live.Joining{by(1, v4("10.0.0.1")), by(1, v4("10.0.0.2"))}, ""},
		{"a user's third", live.Limits{PerUser: 2}, []live.Joining{by(1, v4("10.0.0.1")), by(1, v4("10.0.0.2")), by(1, v4("10.0.0.3"))}, "too_many_connections"},
		{"another user's", live.Limits{PerUser: 1}, []live.Joining{by(1, v4("10.0.0.1")), by(2, v4("10.0.0.1"))}, ""},
		{"an address's second", live.Limits{PerAddress: 1}, []live.Joining{by(1, v4("10.0.0.1")), by(2, v4("10.0.0.1"))}, "too_many_connections"},
		{"the same in IPv6", live.Limits{PerAddress: 1}, []live.Joining{by(1, v4("10.0.0.1")), by(2, v4("::ffff:10.0.0.1"))}, "too_many_connections"},
		{"another address", live.Limits{PerAddress: 1}, []live.Joining{by(1, v4("10.0.0.1")), by(2, v4("10.0.0.2"))}, ""},
		{"the same /64", live.Limits{PerAddress: 1}, []live.Joining{by(1, v4("2001:db8::1")), by(2, v4("2001:db8::2:0:0:1"))}, "too_many_connections"},
		{"another /64", live.Limits{PerAddress: 1}, []live.Joining{by(1, v4("2001:db8::1")), by(2, v4("2001:db8:0:1::1"))}, ""},
		{"unknown addresses", live.Limits{PerAddress: 1}, []live.Joining{by(1, netip.Addr{}), by(2, netip.Addr{})}, ""},
		{"no limit", live.Limits{}, []live.Joining{by(1, v4("10.0.0.1")), by(1, v4("10.0.0.1"))}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, _ *memoryLog) {
				joined := []*live.Connection{}
				for i, j := range c.from {
					connection, err := hub.Join(t.Context(), j, c.limits)
					if i < len(c.from)-1 || c.last == "" {
						require.NoError(t, err)
						joined = append(joined, connection)
						continue
					}
					require.Equal(t, c.last, codeOf(t, err))
					joined[0].Leave()
					joined[0], err = hub.Join(t.Context(), j, c.limits)
					require.NoError(t, err, "when one has left")
				}
				for _, connection := range joined {
					connection.Leave()
					connection.Leave() // once is enough
				}
				require.Equal(t, [3]int{}, hub.Kept())
				require.Zero(t, hub.Connections())
			})
		})
	}
}

func by(userID int64, address netip.Addr) live.Joining {
	return live.Joining{Caller: chat.Caller{UserID: userID, SessionID: 10 * userID}, Address: address, Notify: func() {}}
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	refusal := chat.AsError(err)
	require.NotNil(t, refusal, err)
	return refusal.Code
}

func TestJoinIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		given func(*memoryLog)
		code  string
	}{
		{"the session has ended", func(log *memoryLog) { log.ended[10] = true }, "unauthenticated"},
		{"the session has expired", func(log *memoryLog) { log.expires = time.Now() }, "unauthenticated"},
		{"the database is away", func(log *memoryLog) { log.down = true }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				c.given(log)
				_, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
				require.Error(t, err)
				if c.code != "" {
					require.Equal(t, c.code, codeOf(t, err))
				}
				require.Equal(t, [3]int{}, hub.Kept())
			})
		})
	}
}

// Who waits behind another one for a database that hangs does not wait for longer
// than they want to.
func TestJoinGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.hold("feed")
		first := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := hub.Join(ctx, by(2, netip.Addr{}), live.Limits{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		log.release("feed")
		synctest.Wait()
		first.leave()
		require.NoError(t, first.err)
	})
}

// Now is when somebody connects, also where the hub has yet to come to it.
func TestConnectedWhileTheHubIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.append(created(7, 1))
		first := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		log.hold("after")
		hub.Committed(log.append(message(7)))
		synctest.Wait()
		late := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		next := log.append(message(7))
		log.release("after")
		hub.Committed(next)
		synctest.Wait()
		require.Equal(t, []int64{next - 1, next}, first.ids())
		require.Equal(t, []int64{next}, late.ids())
		first.leave()
		late.leave()
	})
}

// While the first connection of a user finds out which chats they are in, the log
// goes on.
func TestChatsChangeWhileSomebodyConnects(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.append(created(2, 1))
		log.hold("chats")
		c := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		log.append(about(store.ParticipantRemoved, 1, 1))
		log.append(about(store.ParticipantAdded, 3, 1))
		log.append(about(store.ChatDeleted, 2, 1))
		log.append(created(2, 1)) // ids are not used again; the last word counts all the same
		hub.Committed(log.all.tip())
		synctest.Wait()
		log.release("chats")
		synctest.Wait()
		require.ElementsMatch(t, []int64{2, 3}, mustIndex(t, hub)[1])
		c.leave()
		require.NoError(t, c.err)
	})
}

func TestSessionEndsWhileMuchIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		for range 300 {
			log.append(message(1))
		}
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		told := 0
		err = connection.Start(t.Context(), "a.0", func(live.Hello) error { return nil }, func(events []*live.Event) error {
			if told == 0 {
				hub.Committed(log.append(chat.Event{Type: store.SessionEnded, UserID: 1}))
				synctest.Wait()
			}
			told += len(events)
			return nil
		})
		require.NoError(t, err)
		require.Less(t, told, 100, "no more than what was on its way")
		events, closing := connection.Take()
		require.Empty(t, events)
		require.Equal(t, &live.Closing{Reason: live.SessionEnded}, closing)
		require.False(t, closing.ComeBack())
	})
}

// What is removed for its age while it is being told is missing, and the client
// must hear that.
func TestEventsAreRemovedWhileTheyAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		for range 300 {
			log.append(message(1))
		}
		log.hold("events")
		c := connect(hub, log, 1, 10, "a.0", false)
		synctest.Wait()
		log.change(func() { log.pruned = 100 })
		log.release("events")
		<-c.done
		require.NoError(t, c.err)
		require.Equal(t, live.Gap, c.closing.Reason)
		cursor := c.got[len(c.got)-1].Cursor
		again := connect(hub, log, 1, 10, cursor, false)
		synctest.Wait()
		again.leave()
		require.Equal(t, live.Expired, again.hello.Resync)
		require.Equal(t, "a.301", again.hello.Cursor)
	})
}

// The same, of what happened while it was told what came before.
func TestEventsAreRemovedBeforeTheyAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		for range 100 {
			log.append(message(1))
		}
		other := connect(hub, log, 2, 20, "", false)
		synctest.Wait()
		log.hold("events")
		c := connect(hub, log, 1, 10, "a.51", false)
		synctest.Wait()
		for range 10 {
			log.append(message(1))
		}
		hub.Committed(log.all.tip())
		synctest.Wait()
		log.change(func() { log.pruned = 106 })
		log.release("events")
		synctest.Wait()
		require.True(t, c.gone())
		require.NoError(t, c.err)
		require.Equal(t, live.Gap, c.closing.Reason)
		require.Len(t, c.got, 50)
		again := connect(hub, log, 1, 10, c.got[49].Cursor, false)
		synctest.Wait()
		again.leave()
		other.leave()
		require.Equal(t, live.Expired, again.hello.Resync)
	})
}

// When the database becomes another one, all come back, over as long as they would
// after a restart.
func TestAllBeginAnew(t *testing.T) {
	const connections = 3000
	for name, change := range map[string]func(*memoryLog){
		"another epoch": func(log *memoryLog) { log.epoch = "b" },
		"removed":       func(log *memoryLog) { log.all = append(log.all, message(1), message(1)); log.last, log.pruned = 3, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				all := []*client{}
				for i := range int64(connections) {
					all = append(all, connect(hub, log, 1+i, 10+i, "", false))
				}
				synctest.Wait()
				log.change(func() { change(log) })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				late := 0
				for _, c := range all {
					require.True(t, c.gone())
					require.Equal(t, live.Gap, c.closing.Reason)
					require.True(t, c.closing.ComeBack())
					require.Less(t, c.closing.RetryAfter, connections*time.Millisecond)
					if c.closing.RetryAfter > connections*time.Millisecond/2 {
						late++
					}
				}
				require.InDelta(t, connections/2, late, connections/10)
			})
		})
	}
}

// A client may have been told of the new epoch, by another node, before the hub finds
// out: it comes back to this one when that has, and has missed nothing.
func TestCursorOfAnEpochThatTheHubDoesNotKnow(t *testing.T) {
	for cursor, hello := range map[string]live.Hello{
		"b.1": {Cursor: "b.1"},
		"a.1": {Cursor: "b.3", Resync: live.OtherEpoch},
		"":    {Cursor: "b.3"},
	} {
		t.Run(cursor, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				for range 10 {
					log.append(message(1))
				}
				other := connect(hub, log, 2, 20, "", false)
				synctest.Wait()
				log.change(func() { log.epoch, log.all, log.last = "b", log.all[:3], 3 })
				c := connect(hub, log, 1, 10, cursor, false)
				synctest.Wait()
				c.leave()
				require.NoError(t, c.err)
				require.Equal(t, hello.Cursor, c.hello.Cursor)
				require.Equal(t, hello.Resync, c.hello.Resync)
				require.Empty(t, c.got)
				require.NotNil(t, c.closing)
				require.Equal(t, live.Gap, c.closing.Reason)

				time.Sleep(2 * time.Second) // the hub finds out
				synctest.Wait()
				require.True(t, other.gone())
				c = connect(hub, log, 1, 10, c.hello.Cursor, false)
				synctest.Wait()
				c.leave()
				require.Empty(t, c.hello.Resync)
				if cursor == "b.1" {
					require.Equal(t, []int64{2, 3}, c.ids())
				}
			})
		})
	}
}

func TestHowMuchIsToldOneByOne(t *testing.T) {
	for _, more := range []int{0, 1} {
		inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
			for range live.MaxMissed + more {
				log.append(message(1))
			}
			c := connect(hub, log, 1, 10, "a.1", false)
			synctest.Wait()
			c.leave()
			require.NoError(t, c.err)
			if more > 0 {
				require.Equal(t, live.TooFar, c.hello.Resync)
				require.Empty(t, c.got)
			} else {
				require.Empty(t, c.hello.Resync)
				require.Len(t, c.got, live.MaxMissed)
			}
		})
	}
}

func TestSlowConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		slow := connect(hub, log, 1, 10, "", true)
		quick := connect(hub, log, 2, 20, "", false)
		synctest.Wait()
		tell := func(n int) {
			for range n {
				hub.Committed(log.append(message(1)))
				synctest.Wait()
			}
		}
		tell(live.MaxQueue)
		slow.take()
		synctest.Wait()
		require.Len(t, slow.got, live.MaxQueue)
		slow.take() // there is nothing: it waits to be notified
		synctest.Wait()
		tell(live.MaxQueue)
		require.Nil(t, slow.closing)
		tell(1)
		slow.take()
		<-slow.done
		require.Equal(t, live.Slow, slow.closing.Reason)
		require.True(t, slow.closing.ComeBack())
		again := connect(hub, log, 1, 10, slow.got[len(slow.got)-1].Cursor, false)
		synctest.Wait()
		require.Len(t, again.got, live.MaxQueue+1, "nothing is lost")
		require.Len(t, quick.got, 2*live.MaxQueue+1)
		again.leave()
		quick.leave()
	})
}

// An event that is listed late comes soon after that, and nobody asks for it all
// the time.
func TestEventsThatAreListedLate(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		c := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		log.change(func() { log.late = true })
		before := log.count()
		for range 50 {
			hub.Committed(log.append(message(1)))
			synctest.Wait()
		}
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, c.got)
		log.change(func() { log.late, log.last = false, log.all.tip() })
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		require.Len(t, c.got, 50, "it is not waited for a second")
		require.Less(t, log.count()-before, 15)
		c.leave()
	})
}

func TestDatabaseThatIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		c := connect(hub, log, 1, 10, "", false)
		synctest.Wait()
		log.change(func() { log.down = true })
		before := log.count()
		for range 200 {
			hub.Committed(log.append(message(1)))
			time.Sleep(100 * time.Millisecond)
		}
		require.Less(t, log.count()-before, 20)
		log.change(func() { log.down = false })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, c.got, 200)
		c.leave()
	})
}

func TestCursorOfAnIdleConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		idle := connect(hub, log, 3, 30, "", false)
		busy := connect(hub, log, 1, 10, "", true)
		synctest.Wait()
		hub.Committed(log.append(message(1)))
		synctest.Wait()
		require.Equal(t, "a.2", idle.Cursor())
		require.Empty(t, busy.Cursor(), "it has not got all")
		idle.leave()
		busy.leave()
	})
}

func TestAge(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, _ *memoryLog) {
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		time.Sleep(59 * time.Minute)
		connection.Check(t.Context())
		_, closing := connection.Take()
		require.Nil(t, closing)
		time.Sleep(62 * time.Minute)
		connection.Check(t.Context())
		_, closing = connection.Take()
		require.Equal(t, live.Old, closing.Reason)
	})
}

// A connection ends in time for its session to be extended: to connect is to use it.
func TestConnectionEndsBeforeItsSession(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.change(func() { log.expires = time.Now().Add(10 * time.Minute) })
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		time.Sleep(5 * time.Minute)
		connection.Check(t.Context())
		_, closing := connection.Take()
		require.Nil(t, closing)
		time.Sleep(time.Second)
		connection.Check(t.Context())
		_, closing = connection.Take()
		require.Equal(t, live.Old, closing.Reason)
	})
}

// A connection that came by an access token ends with it, unless it was refreshed.
func TestConnectionEndsWithItsToken(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		expire := func(in time.Duration) { log.change(func() { log.token = time.Now().Add(in) }) }
		expire(10 * time.Minute)
		log.change(func() { log.expires = time.Now().Add(55 * time.Minute) })
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		goesOn := func() {
			t.Helper()
			connection.Check(t.Context())
			_, closing := connection.Take()
			require.Nil(t, closing)
		}
		time.Sleep(9 * time.Minute) // it is not halved
		goesOn()
		expire(20 * time.Minute)
		time.Sleep(time.Minute)
		goesOn()
		time.Sleep(18 * time.Minute)
		goesOn()
		log.change(func() { log.down = true })
		time.Sleep(time.Minute)
		goesOn() // nobody knows better
		log.change(func() { log.down = false })
		connection.Check(t.Context())
		_, closing := connection.Take()
		require.Equal(t, live.Old, closing.Reason)
		require.True(t, closing.ComeBack())
	})
}

// With a key that expires there is no use in coming back.
func TestConnectionEndsWithItsKey(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		end := time.Now().Add(10 * time.Minute)
		log.change(func() { log.token, log.expires = end, end })
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		time.Sleep(10 * time.Minute)
		connection.Check(t.Context())
		_, closing := connection.Take()
		require.Equal(t, live.SessionEnded, closing.Reason)
	})
}

// A command finds out at once.
func TestCommandAfterTheToken(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.change(func() { log.token = time.Now().Add(time.Minute) })
		connection, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.NoError(t, err)
		defer connection.Leave()
		_, err = connection.Authenticate(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = connection.Authenticate(t.Context())
		require.Equal(t, chat.TokenExpired, chat.AsError(err).Code)
		_, closing := connection.Take()
		require.Equal(t, live.Old, closing.Reason)
		_, err = hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.Equal(t, chat.TokenExpired, chat.AsError(err).Code)
	})
}

func TestDrain(t *testing.T) {
	const connections, within = 500, 10 * time.Second
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		clients := []*client{}
		for i := range int64(connections) {
			clients = append(clients, connect(hub, log, 1+i, 10+i, "", false))
		}
		log.hold("chats")
		joining := connect(hub, log, 10_000, 1, "", false) // it is not there yet
		synctest.Wait()

		began := time.Now()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			hub.Drain(t.Context(), within)
		}()
		synctest.Wait()
		_, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.Equal(t, "restarting", codeOf(t, err))
		log.release("chats")
		time.Sleep(within / 2)
		synctest.Wait()
		require.InDelta(t, connections*3/8, hub.Connections(), connections/20, "they go one after another")
		<-drained
		require.Less(t, time.Since(began), within, "the last ones, too")
		require.Zero(t, hub.Connections())
		for _, c := range append(clients, joining) {
			<-c.done
			require.NoError(t, c.err)
			require.Equal(t, live.Restarting, c.closing.Reason)
			require.LessOrEqual(t, c.closing.RetryAfter, within+time.Second)
			require.GreaterOrEqual(t, c.closing.RetryAfter, within/5, "not before the end")
		}
		hub.Drain(t.Context(), within) // nobody is there
	})
}

// Who does not go is not waited for beyond the time, or when the server can't wait.
func TestDrainEnds(t *testing.T) {
	for name, ctx := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"within the time": func(ctx context.Context) (context.Context, context.CancelFunc) { return ctx, func() {} },
		"with its context": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, _ *memoryLog) {
				ctx, cancel := ctx(t.Context())
				defer cancel()
				all := []*live.Connection{}
				for i := range int64(10) {
					c, err := hub.Join(t.Context(), by(1+i, netip.Addr{}), live.Limits{})
					require.NoError(t, err)
					all = append(all, c)
				}
				began := time.Now()
				hub.Drain(ctx, 5*time.Second)
				require.LessOrEqual(t, time.Since(began), 5*time.Second)
				for _, c := range all {
					_, closing := c.Take()
					require.Equal(t, live.Restarting, closing.Reason, "all are told")
					c.Leave()
				}
			})
		})
	}
}

// A hub is not led astray by one that is turned away when nobody else is there.
func TestRefusedWhenNobodyIsConnected(t *testing.T) {
	inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
		log.change(func() { log.ended[10] = true })
		_, err := hub.Join(t.Context(), by(1, netip.Addr{}), live.Limits{})
		require.Equal(t, "unauthenticated", codeOf(t, err))
		for range 5 {
			log.append(message(1))
		}
		time.Sleep(time.Hour)
		before := log.count()
		time.Sleep(time.Hour)
		require.Equal(t, before, log.count(), "the log is left alone when nobody is connected")
		c := connect(hub, log, 2, 20, "", false)
		synctest.Wait()
		require.Equal(t, fmt.Sprintf("a.%d", log.all.tip()), c.hello.Cursor)
		c.leave()
	})
}

func TestCursors(t *testing.T) {
	for cursor, resync := range map[string]live.Resync{
		"":                       "",
		"a.1":                    "",
		"a.0":                    "",
		"a.2":                    live.OtherEpoch, // ahead of the log
		"b.1":                    live.OtherEpoch,
		"a":                      live.OtherEpoch,
		".1":                     live.OtherEpoch,
		"a.":                     live.OtherEpoch,
		"a.-1":                   live.OtherEpoch,
		"a.+1":                   live.OtherEpoch,
		"a.1.1":                  live.OtherEpoch,
		"a.99999999999999999999": live.OtherEpoch,
		fmt.Sprintf("a.%d", int64(math.MaxInt64)): live.OtherEpoch,
	} {
		t.Run(cursor, func(t *testing.T) {
			inBubble(t, func(t *testing.T, hub *live.Hub, log *memoryLog) {
				c := connect(hub, log, 1, 10, cursor, false)
				synctest.Wait()
				c.leave()
				require.NoError(t, c.err)
				require.Equal(t, resync, c.hello.Resync)
			})
		})
	}
}
