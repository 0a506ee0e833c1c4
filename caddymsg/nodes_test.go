package caddymsg_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// nodesCaddyfile is a node: one of some servers of the same database. They
// share the secret, so that a cookie works on all of them.
const nodesCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		session_secret {env.SESSION_SECRET}
		bcrypt_cost 4
		rate_limits off
	}
}
`

// nodesOptions are the options of a node. All nodes of a test have the secret of
// its first.
func nodesOptions(address, secret string) frontdoor.Options {
	return frontdoor.Options{Caddyfile: nodesCaddyfile, Env: []string{"DATABASE=" + address, "SESSION_SECRET=" + secret}}
}

// nodesStart starts nodes at the same time.
func nodesStart(t *testing.T, count int, address, secret string) []*frontdoor.Server {
	t.Helper()
	nodes := make([]*frontdoor.Server, count)
	var starting sync.WaitGroup
	for i := range nodes {
		starting.Go(func() { nodes[i] = frontdoor.Start(t, nodesOptions(address, secret)) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return nodes
}

func nodesURL(t *testing.T, base string) *url.URL {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	return u
}

// nodesElsewhere is the same browser, with its cookies, at another node.
func nodesElsewhere(t *testing.T, c *frontdoor.Client, base string) *frontdoor.Client {
	t.Helper()
	other := frontdoor.NewClient(t, base)
	other.HTTP.Jar = c.HTTP.Jar
	return other
}

// nodesMessage is a message as the API tells it.
type nodesMessage struct {
	ID             int64  `json:"id"`
	ChatID         int64  `json:"chat_id"`
	Kind           string `json:"kind"`
	Seq            int64  `json:"seq"`
	SenderUsername string `json:"sender_username"`
	Text           string `json:"text"`
	CreatedAt      string `json:"created_at"`
	ClientID       string `json:"client_id"`
}

// nodesSend is the body of a message: to a group, named by its id, or to a
// person.
func nodesSend(t testing.TB, group int64, person, text, key string) string {
	body := map[string]any{"message": text}
	if group != 0 {
		body["group_chat_id"] = group
	} else {
		body["dest_username"] = person
	}
	if key != "" {
		body["client_id"] = key
	}
	return frontdoor.JSON(t, body)
}

// nodesGroup makes a group of the first person and the others.
func nodesGroup(t *testing.T, first *frontdoor.Client, others ...string) int64 {
	t.Helper()
	var group struct {
		ID int64 `json:"chat_id"`
	}
	first.Post("/v1/group_chat", "").Want(200).Decode(&group)
	for _, other := range others {
		first.Post(fmt.Sprintf("/v1/group_chat/%d/participants", group.ID), frontdoor.JSON(t, map[string]string{"username": other})).Want(200)
	}
	return group.ID
}

// nodesAtOnce calls a function so many times at the same moment.
func nodesAtOnce(count int, call func(i int)) {
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for i := range count {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func TestNodes(t *testing.T) {
	t.Parallel()
	// They start at the same time on an empty database, and all of them come up.
	nodes := nodesStart(t, 3, pgtest.NewDatabase(t), rand.Text()+rand.Text())

	t.Run("an account is one on all nodes", func(t *testing.T) {
		for i, node := range nodes {
			name := fmt.Sprint("everywhere", i)
			frontdoor.SignUp(t, node.URL, name)
			for _, other := range nodes {
				c := frontdoor.NewClient(t, other.URL)
				c.Post("/v1/auth/login", frontdoor.JSON(t, map[string]string{"username": name, "password": "open sesame"})).Want(200)
				c.Get("/v1/messages").Want(200)
			}
		}
	})

	t.Run("a session is one on all nodes", func(t *testing.T) {
		c := frontdoor.SignUp(t, nodes[0].URL, "ines")
		copies := make([]*frontdoor.Client, len(nodes))
		for i, node := range nodes {
			// With the cookie itself: the browser forgets it with the logout.
			copies[i] = frontdoor.NewClient(t, node.URL)
			copies[i].HTTP.Jar.SetCookies(nodesURL(t, node.URL), c.HTTP.Jar.Cookies(nodesURL(t, node.URL)))
			copies[i].Get("/v1/messages").Want(200)
		}
		nodesElsewhere(t, c, nodes[1].URL).Post("/v1/auth/logout", "").Want(200)
		for _, c := range copies {
			require.Equal(t, "unauthenticated", c.Get("/v1/messages").Want(401).Field("code"))
		}
	})

	t.Run("who was removed is so on all nodes", func(t *testing.T) {
		owner, member := frontdoor.SignUp(t, nodes[0].URL, "olga"), frontdoor.SignUp(t, nodes[1].URL, "mona")
		for round := range 5 {
			group := nodesGroup(t, owner, "mona")
			// She sends all the time, through all nodes. What she begins after the
			// removal was answered is refused.
			var removed atomic.Bool
			var sending sync.WaitGroup
			var accepted atomic.Int64
			for _, node := range nodes {
				c := nodesElsewhere(t, member, node.URL)
				sending.Go(func() {
					for n := 0; ; n++ {
						after := removed.Load()
						r, err := c.Try(t.Context(), "POST", "/v1/messages", nodesSend(t, group, "", fmt.Sprint(n), ""))
						switch {
						case err != nil:
							t.Error(err)
							return
						case r.StatusCode == 200 && !after:
							accepted.Add(1)
						case r.StatusCode == 403 && r.Field("code") == "not_a_participant":
							if after {
								return
							}
						default:
							t.Errorf("round %d: status %d, removed before: %t: %s", round, r.StatusCode, after, r.Text)
							return
						}
					}
				})
			}
			require.Eventually(t, func() bool { return accepted.Load() > 0 || t.Failed() }, time.Minute, time.Millisecond)
			owner.Delete(fmt.Sprintf("/v1/group_chat/%d/participants/mona", group)).Want(200)
			removed.Store(true)
			sending.Wait()
			var stored []nodesMessage
			owner.Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(200).Decode(&stored)
			require.Len(t, stored, int(accepted.Load()))
			for _, node := range nodes {
				nodesElsewhere(t, member, node.URL).Get(fmt.Sprintf("/v1/messages/group/%d", group)).Want(403)
			}
		}
	})

	t.Run("two people have one chat", func(t *testing.T) {
		const pairs, each = 4, 2 // of a person at each node
		for pair := range pairs {
			names := []string{fmt.Sprint("romeo", pair), fmt.Sprint("juliet", pair)}
			var clients []*frontdoor.Client
			for person, name := range names {
				c := frontdoor.SignUp(t, nodes[person].URL, name)
				for _, node := range nodes {
					for range each {
						clients = append(clients, nodesElsewhere(t, c, node.URL))
					}
				}
			}
			// One of the rounds opens the chat, and in the next it is there.
			const rounds = 2
			answers := make([]nodesMessage, rounds*len(clients))
			for round := range rounds {
				nodesAtOnce(len(clients), func(i int) {
					to := names[1-i/(len(clients)/2)]
					r, err := clients[i].Try(t.Context(), "POST", "/v1/messages", nodesSend(t, 0, to, fmt.Sprint(round, " ", i), ""))
					if err != nil || r.StatusCode != 200 {
						t.Errorf("client %d: %v: %+v", i, err, r)
						return
					}
					if err := json.Unmarshal([]byte(r.Text), &answers[round*len(clients)+i]); err != nil {
						t.Error(err)
					}
				})
			}
			require.False(t, t.Failed())
			slices.SortFunc(answers, func(a, b nodesMessage) int { return int(a.Seq - b.Seq) })
			for i, m := range answers {
				require.Equal(t, answers[0].ChatID, m.ChatID)
				require.EqualValues(t, i+1, m.Seq)
			}
			for i, c := range clients {
				var stored []nodesMessage
				c.Get("/v1/messages/p2p/" + names[1-i/(len(clients)/2)]).Want(200).Decode(&stored)
				require.Equal(t, answers, stored)
			}
		}
	})

	t.Run("a username is one on all nodes", func(t *testing.T) {
		for round := range 5 {
			// Upper and lower case are the same name.
			names := []string{fmt.Sprint("highlander", round), fmt.Sprint("Highlander", round), fmt.Sprint("HIGHLANDER", round)}
			statuses := make([]int, len(nodes))
			nodesAtOnce(len(nodes), func(i int) {
				credentials := frontdoor.JSON(t, map[string]string{"username": names[i], "password": fmt.Sprint("sesame number ", i)})
				r, err := frontdoor.NewClient(t, nodes[i].URL).Try(t.Context(), "POST", "/v1/auth/register", credentials)
				if err != nil {
					t.Error(err)
					return
				}
				statuses[i] = r.StatusCode
				if r.StatusCode == 400 && (r.Field("code") != "username_taken" || r.Field("field") != "username") {
					t.Error(r.Text)
				}
			})
			require.ElementsMatch(t, []int{200, 400, 400}, statuses)
			// The account is that of the one who was answered with 200.
			for i, status := range statuses {
				c := frontdoor.NewClient(t, nodes[(i+1)%len(nodes)].URL)
				c.Post("/v1/auth/login", frontdoor.JSON(t, map[string]string{"username": names[0], "password": fmt.Sprint("sesame number ", i)})).Want(status)
			}
		}
	})
}

// Whoever goes on behind the last message that they have read of a chat misses
// none, and sees none twice, while others send to it and to other chats through
// all nodes. (Of all one's chats together PostgreSQL can't promise that: ids of
// different chats may come in another order than their commits.)
func TestNodesPaging(t *testing.T) {
	t.Parallel()
	nodes := nodesStart(t, 2, pgtest.NewDatabase(t), rand.Text()+rand.Text())
	const senders, each = 6, 25
	reader := frontdoor.SignUp(t, nodes[0].URL, "rita")
	busy, other := nodesGroup(t, reader), nodesGroup(t, reader)

	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			sender := nodesElsewhere(t, reader, nodes[i%len(nodes)].URL)
			for n := range each {
				for _, group := range []int64{other, busy} {
					r, err := sender.Try(t.Context(), "POST", "/v1/messages", nodesSend(t, group, "", fmt.Sprint(i, ".", n), ""))
					if err != nil || r.StatusCode != 200 {
						t.Errorf("%v: %+v", err, r)
						return
					}
				}
			}
		})
	}
	var read []nodesMessage
	path := fmt.Sprintf("/v1/messages/group/%d", busy)
	for done := false; !done; {
		done = len(read) == senders*each || t.Failed() // one more look, for what should not be there
		var page []nodesMessage
		query := ""
		if len(read) > 0 {
			query = fmt.Sprint("?limit=7&after=", read[len(read)-1].ID)
		}
		reader.Get(path + query).Want(200).Decode(&page)
		read = append(read, page...)
	}
	sending.Wait()
	require.Len(t, read, senders*each)
	for i, m := range read {
		require.EqualValues(t, i+1, m.Seq)
	}
}

// nodesCall is what a client asks for: to send a message, or to read a chat.
type nodesCall struct {
	chat, sender, key, text string // key may be empty
	read                    bool
}

// nodesStored is a message in a chat, or in the answer to a call.
type nodesStored struct {
	chat, id, seq     int64
	sender, key, text string
}

// nodesAnswer is what a call was answered with.
type nodesAnswer struct {
	pending  bool          // there was no answer: nobody knows whether it was done
	messages []nodesStored // all that were read, or the one that was sent
}

// nodesModel is what all nodes together are to look like from outside: one
// server, on which one thing happens after the other. A chat is a list of
// messages; a send adds one, unless the sender has used its key before, in
// whichever chat, and is answered with it; a read is answered with the list.
var nodesModel = porcupine.Model{
	Init: func() any { return nodesChats(nil) },
	Step: func(state, input, output any) (bool, any) {
		chats, call, told := state.(nodesChats), input.(nodesCall), output.(nodesAnswer).messages
		chat := chats[call.chat]
		if call.read {
			return slices.Equal(told, chat), chats
		}
		if first, ok := chats.find(call.sender, call.key); ok {
			return slices.Equal(told, []nodesStored{first}), chats
		}
		if len(told) != 1 || len(chat) > 0 && told[0].id <= chat[len(chat)-1].id {
			return false, chats
		}
		m := nodesStored{
			chat: told[0].chat, id: told[0].id, // the server chooses them
			seq: int64(len(chat)) + 1, sender: call.sender, key: call.key, text: call.text,
		}
		for name, other := range chats {
			if (name == call.chat) != (other[0].chat == m.chat) {
				return false, chats
			}
		}
		return told[0] == m, chats.with(call.chat, m)
	},
	Equal: func(a, b any) bool {
		return maps.EqualFunc(a.(nodesChats), b.(nodesChats), func(a, b []nodesStored) bool { return slices.Equal(a, b) })
	},
	DescribeOperation: func(input, output any) string {
		call, answer := input.(nodesCall), output.(nodesAnswer)
		what := fmt.Sprintf("%s sends %q", call.sender, call.text)
		if call.key != "" {
			what += " as " + call.key
		}
		if call.read {
			what = call.sender + " reads"
		}
		if answer.pending {
			return what + ": no answer"
		}
		return what + ": " + nodesDescribe(answer.messages)
	},
	DescribeState: func(state any) string {
		var all []string
		for name, chat := range state.(nodesChats) {
			all = append(all, name+": "+nodesDescribe(chat))
		}
		slices.Sort(all)
		return strings.Join(all, "; ")
	},
}

// nodesChats are the chats that have messages, by name. They are not changed:
// the model goes back to what was.
type nodesChats map[string][]nodesStored

func (c nodesChats) with(name string, m nodesStored) nodesChats {
	changed := nodesChats{}
	maps.Copy(changed, c)
	changed[name] = append(slices.Clip(c[name]), m)
	return changed
}

// find finds the message that somebody has sent with a key.
func (c nodesChats) find(sender, key string) (nodesStored, bool) {
	for _, chat := range c {
		for _, m := range chat {
			if key != "" && m.key == key && m.sender == sender {
				return m, true
			}
		}
	}
	return nodesStored{}, false
}

func nodesDescribe(messages []nodesStored) string {
	var all []string
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%d. %s: %q (id %d in %d, key %q)", m.seq, m.sender, m.text, m.id, m.chat, m.key))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// nodesSettle finds out what came of the calls without an answer. A text is sent
// by one call alone, or again by it with the same key: if anybody has seen it,
// it was stored, at some time after the call, and is the answer. If not, not
// even by those who looked in the end, nothing has come of the call.
func nodesSettle(history []porcupine.Operation) (settled []porcupine.Operation) {
	type text struct{ sender, text string }
	seen := map[text]nodesStored{}
	for _, op := range history {
		for _, m := range op.Output.(nodesAnswer).messages {
			seen[text{m.sender, m.text}] = m
		}
	}
	for _, op := range history {
		if op.Output.(nodesAnswer).pending {
			call := op.Input.(nodesCall)
			m, ok := seen[text{call.sender, call.text}]
			if !ok {
				continue
			}
			op.Output = nodesAnswer{messages: []nodesStored{m}}
			op.Return = math.MaxInt64
		}
		settled = append(settled, op)
	}
	return settled
}

// nodesByChat takes a history apart, if no key is used in two chats: what happens
// in one has nothing to do with another then.
func nodesByChat(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	place := map[string]int{}
	for _, op := range history {
		chat := op.Input.(nodesCall).chat
		if _, ok := place[chat]; !ok {
			place[chat] = len(parts)
			parts = append(parts, nil)
		}
		parts[place[chat]] = append(parts[place[chat]], op)
	}
	return parts
}

// check fails the test if the history can't be explained.
func (w *nodesWorld) check(t *testing.T) {
	t.Helper()
	history, model := w.history, nodesModel
	if !w.crossing {
		model.Partition = nodesByChat // else calls without an answer take for ever
	}
	result, info := porcupine.CheckOperationsVerbose(model, nodesSettle(history), time.Minute)
	if result == porcupine.Ok {
		return
	}
	path := filepath.Join(t.ArtifactDir(), "history.html")
	require.NoError(t, porcupine.VisualizePath(model, info, path))
	t.Fatalf("the history of %d calls is not linearizable (%s): see %s, which go test -artifacts keeps", len(history), result, path)
}

// The model takes what may be and nothing else.
func TestNodesModel(t *testing.T) {
	t.Parallel()
	const never = 0
	call := func(from, to int64, call nodesCall, told ...nodesStored) porcupine.Operation {
		return porcupine.Operation{Input: call, Call: from, Return: to, Output: nodesAnswer{pending: to == never, messages: told}}
	}
	message := func(id, seq int64, sent nodesCall) nodesStored {
		return nodesStored{chat: int64(sent.chat[0]), id: id, seq: seq, sender: sent.sender, key: sent.key, text: sent.text}
	}
	send := func(key, text string) nodesCall { return nodesCall{chat: "c", sender: "alice", key: key, text: text} }
	bob := func(key, text string) nodesCall { return nodesCall{chat: "c", sender: "bob", key: key, text: text} }
	elsewhere := func(text string) nodesCall { return nodesCall{chat: "d", sender: "alice", text: text} }
	there := func(key, text string) nodesCall { return nodesCall{chat: "d", sender: "alice", key: key, text: text} }
	read, readThere := nodesCall{chat: "c", sender: "carol", read: true}, nodesCall{chat: "d", sender: "carol", read: true}
	a, b := send("", "a"), send("", "b")
	first, again := send("key", "first"), send("key", "again")

	for _, c := range []struct {
		name    string
		ok      bool
		history []porcupine.Operation
	}{
		{"nothing", true, nil},
		{"one after the other", true, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, b, message(2, 2, b)),
			call(5, 6, read, message(1, 1, a), message(2, 2, b)),
		}},
		{"at once, in either order", true, []porcupine.Operation{
			call(1, 5, a, message(2, 2, a)), call(2, 4, b, message(1, 1, b)),
		}},
		{"each chat has its seqs", true, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, elsewhere("x"), message(2, 1, elsewhere("x"))),
		}},
		{"a seq that is given twice", false, []porcupine.Operation{
			call(1, 5, a, message(1, 1, a)), call(2, 4, b, message(2, 1, b)),
		}},
		{"a seq that is left out", false, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, b, message(2, 3, b)),
		}},
		{"a later message with a lower seq", false, []porcupine.Operation{
			call(1, 2, a, message(1, 2, a)), call(3, 4, b, message(2, 1, b)),
		}},
		{"a later message with a lower id", false, []porcupine.Operation{
			call(1, 2, a, message(2, 1, a)), call(3, 4, b, message(1, 2, b)),
		}},
		{"the answer of another", false, []porcupine.Operation{
			call(1, 2, a, message(1, 1, b)),
		}},

		{"a key that is repeated", true, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, again, message(1, 1, first)),
			call(5, 6, read, message(1, 1, first)),
		}},
		{"a key that is used twice at once", true, []porcupine.Operation{
			call(1, 5, first, message(1, 1, again)), call(2, 4, again, message(1, 1, again)),
		}},
		{"a key of two senders", true, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, bob("key", "x"), message(2, 2, bob("key", "x"))),
		}},
		{"a key with two answers", false, []porcupine.Operation{
			call(1, 5, first, message(1, 1, first)), call(2, 4, again, message(2, 2, again)),
		}},
		{"a key that is answered with the second text", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, again, message(1, 1, again)),
		}},
		{"a key that is answered with another id", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, again, message(2, 1, first)),
		}},
		{"a key that is repeated takes a seq", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, again, message(1, 1, first)),
			call(5, 6, a, message(2, 3, a)),
		}},

		{"a key again in another chat", true, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, there("key", "again"), message(1, 1, first)),
			call(5, 6, read, message(1, 1, first)), call(7, 8, readThere),
		}},
		{"a key in two chats at once", true, []porcupine.Operation{
			call(1, 5, first, message(1, 1, there("key", "again"))), call(2, 4, there("key", "again"), message(1, 1, there("key", "again"))),
			call(6, 7, read), call(8, 9, readThere, message(1, 1, there("key", "again"))),
		}},
		{"a key in another chat of another sender", true, []porcupine.Operation{
			call(1, 2, bob("key", "x"), message(1, 1, bob("key", "x"))), call(3, 4, there("key", "again"), message(2, 1, there("key", "again"))),
		}},
		{"a key with an answer in each chat", false, []porcupine.Operation{
			call(1, 5, first, message(1, 1, first)), call(2, 4, there("key", "again"), message(2, 1, there("key", "again"))),
		}},
		{"a key in another chat, answered there", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, there("key", "again"), message(2, 1, there("key", "first"))),
		}},
		{"a key in another chat is stored there, too", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, there("key", "again"), message(1, 1, first)),
			call(5, 6, readThere, message(2, 1, there("key", "again"))),
		}},
		{"a key in another chat takes a seq there", false, []porcupine.Operation{
			call(1, 2, first, message(1, 1, first)), call(3, 4, there("key", "again"), message(1, 1, first)),
			call(5, 6, elsewhere("x"), message(2, 2, elsewhere("x"))),
		}},
		{"no answer, and the key again in another chat", true, []porcupine.Operation{
			call(1, never, first), call(2, 3, there("key", "again"), message(1, 1, first)), call(4, 5, readThere),
		}},
		{"no answer, and the key again in another chat as a second message", false, []porcupine.Operation{
			call(1, never, first), call(2, 3, there("key", "again"), message(2, 1, there("key", "again"))),
			call(4, 5, read, message(1, 1, first)),
		}},
		{"a message that is in two chats", false, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, elsewhere("x"), message(2, 1, nodesCall{chat: "c", sender: "alice", text: "x"})),
		}},

		{"a read at the same time sees it", true, []porcupine.Operation{
			call(1, 4, a, message(1, 1, a)), call(2, 3, read, message(1, 1, a)),
		}},
		{"a read at the same time sees nothing", true, []porcupine.Operation{
			call(1, 4, a, message(1, 1, a)), call(2, 3, read),
		}},
		{"a later read sees nothing", false, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, read),
		}},
		{"an earlier read sees it", false, []porcupine.Operation{
			call(1, 2, read, message(1, 1, a)), call(3, 4, a, message(1, 1, a)),
		}},
		{"a later read sees less", false, []porcupine.Operation{
			call(1, 9, a, message(1, 1, a)), call(2, 3, read, message(1, 1, a)), call(4, 5, read),
		}},
		{"a read sees a message twice", false, []porcupine.Operation{
			call(1, 2, a, message(1, 1, a)), call(3, 4, read, message(1, 1, a), message(2, 2, a)),
		}},

		{"no answer: it was done", true, []porcupine.Operation{
			call(1, never, a), call(2, 3, b, message(2, 2, b)), call(4, 5, read, message(1, 1, a), message(2, 2, b)),
		}},
		{"no answer: it was not done", true, []porcupine.Operation{
			call(1, never, a), call(2, 3, b, message(1, 1, b)), call(4, 5, read, message(1, 1, b)),
		}},
		{"no answer: it was done later", true, []porcupine.Operation{
			call(1, never, a), call(2, 3, read), call(4, 5, read, message(1, 1, a)),
		}},
		{"no answer: it was done twice", false, []porcupine.Operation{
			call(1, never, a), call(2, 3, read, message(1, 1, a), message(2, 2, a)),
		}},
		{"no answer: it was not done, and takes a seq", false, []porcupine.Operation{
			call(1, never, a), call(2, 3, b, message(2, 2, b)), call(4, 5, read, message(2, 2, b)),
		}},
		{"no answer: done before it was asked for", false, []porcupine.Operation{
			call(1, 2, read, message(1, 1, a)), call(3, never, a),
		}},
		{"no answer, and the key again", true, []porcupine.Operation{
			call(1, never, first), call(2, 3, again, message(1, 1, first)), call(4, 5, read, message(1, 1, first)),
		}},
		{"no answer, and the key again as a second message", false, []porcupine.Operation{
			call(1, never, first), call(2, 3, again, message(2, 2, again)),
		}},
		{"no answer, and two ids of what was done", false, []porcupine.Operation{
			call(1, never, a), call(2, 3, read, message(1, 1, a)), call(4, 5, read, message(2, 1, a)),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.ok, porcupine.CheckOperations(nodesModel, nodesSettle(c.history)))
		})
	}
}

// nodesWorld is some people, who use two nodes at once, and what they have seen.
type nodesWorld struct {
	crossing bool // keys are used in more than one chat
	nodes    []atomic.Pointer[frontdoor.Server]
	people   []*frontdoor.Client
	chats    []nodesChat
	drawn    []atomic.Int64 // by each person: how many keys that are of no chat
	start    time.Time
	random   *mathrand.Rand

	mu      sync.Mutex
	history []porcupine.Operation
	workers int
}

// nodesChat is a group of all, or the chat between the first two people.
type nodesChat struct {
	name  string
	group int64          // 0: the chat of the two
	drawn []atomic.Int64 // by each person: how many keys
}

const nodesPeople = 4

func nodesPerson(i int) string { return fmt.Sprint("person", i) }

func newNodesWorld(t *testing.T, nodes []*frontdoor.Server, crossing bool) *nodesWorld {
	t.Helper()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	w := &nodesWorld{
		crossing: crossing,
		nodes:    make([]atomic.Pointer[frontdoor.Server], len(nodes)), drawn: make([]atomic.Int64, nodesPeople), start: time.Now(),
		random: mathrand.New(mathrand.NewPCG(seed, 0)),
	}
	for i, node := range nodes {
		w.nodes[i].Store(node)
	}
	var others []string
	for i := range nodesPeople {
		w.people = append(w.people, frontdoor.SignUp(t, nodes[i%len(nodes)].URL, nodesPerson(i)))
		if i > 0 {
			others = append(others, nodesPerson(i))
		}
	}
	for range 2 {
		group := nodesGroup(t, w.people[0], others...)
		w.chats = append(w.chats, nodesChat{name: fmt.Sprint("group ", group), group: group, drawn: make([]atomic.Int64, nodesPeople)})
	}
	w.chats = append(w.chats, nodesChat{name: "the two", drawn: make([]atomic.Int64, nodesPeople)})
	return w
}

// call makes a person ask a node for something, and writes down what came of
// it. It returns false if no answer came.
func (w *nodesWorld) call(t *testing.T, worker int, c *frontdoor.Client, chat *nodesChat, call nodesCall) bool {
	other := nodesPerson(0)
	if call.sender == other {
		other = nodesPerson(1)
	}
	method, path, body := "POST", "/v1/messages", ""
	switch {
	case !call.read:
		body = nodesSend(t, chat.group, other, call.text, call.key)
	case chat.group != 0:
		method, path = "GET", fmt.Sprint("/v1/messages/group/", chat.group)
	default:
		method, path = "GET", "/v1/messages/p2p/"+other
	}
	op := porcupine.Operation{ClientId: worker, Input: call, Call: time.Since(w.start).Nanoseconds()}
	r, err := c.Try(t.Context(), method, path, body)
	op.Return = time.Since(w.start).Nanoseconds()
	var answer nodesAnswer
	if answer.pending = err != nil; !answer.pending {
		if r.StatusCode != 200 {
			t.Errorf("%s: status %d: %s", nodesModel.DescribeOperation(call, nodesAnswer{pending: true}), r.StatusCode, r.Text)
			return true
		}
		list := r.Text
		if !call.read {
			list = "[" + list + "]"
		}
		var told []nodesMessage
		if err := json.Unmarshal([]byte(list), &told); err != nil {
			t.Errorf("%v: %s", err, r.Text)
			return true
		}
		for _, m := range told {
			answer.messages = append(answer.messages, nodesStored{
				chat: m.ChatID, id: m.ID, seq: m.Seq, sender: m.SenderUsername, key: m.ClientID, text: m.Text,
			})
		}
	}
	op.Output = answer
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, op)
	return !answer.pending
}

// client is a person's browser at a node, or at the first one while there is no
// such node.
func (w *nodesWorld) client(t *testing.T, person, node int) (*frontdoor.Client, *frontdoor.Server) {
	s := w.nodes[node].Load()
	if s == nil {
		s = w.nodes[0].Load()
	}
	return nodesElsewhere(t, w.people[person], s.URL), s
}

// work has each person do so many things at each node, at the same time. A send
// with a key that is not answered is sent again.
func (w *nodesWorld) work(t *testing.T, calls int, done func()) {
	var working sync.WaitGroup
	for person := range w.people {
		for node := range w.nodes {
			random := mathrand.New(mathrand.NewPCG(w.random.Uint64(), 0))
			working.Go(func() {
				worker := w.worker()
				c, server := w.client(t, person, node)
				for n := range calls {
					chat, call := w.draw(random, person)
					call.text = fmt.Sprintf("%d of %s at %d", n, call.sender, node)
					for again := true; again && !t.Failed(); {
						if s := w.nodes[node].Load(); s != nil && s != server {
							c, server = w.client(t, person, node)
						}
						if w.call(t, worker, c, chat, call) {
							break
						}
						// Whoever goes on without an answer is another client.
						worker, again = w.worker(), call.key != "" && !call.read
						c, server = w.client(t, person, 0)
					}
					if t.Failed() {
						return
					}
					done()
				}
			})
		}
	}
	working.Wait()
	if t.Failed() {
		t.FailNow()
	}
	// What was done is seen in the end, at all nodes.
	for node := range w.nodes {
		c, _ := w.client(t, 0, node)
		for i := range w.chats {
			call := nodesCall{chat: w.chats[i].name, sender: nodesPerson(0), read: true}
			require.True(t, w.call(t, w.worker(), c, &w.chats[i], call))
		}
	}
}

// draw chooses what a person does next.
func (w *nodesWorld) draw(random *mathrand.Rand, person int) (*nodesChat, nodesCall) {
	chats := w.chats
	if person > 1 {
		chats = chats[:len(chats)-1] // that of the two is none of theirs
	}
	chat := &chats[random.IntN(len(chats))]
	call := nodesCall{chat: chat.name, sender: nodesPerson(person)}
	drawn := &chat.drawn[person]
	switch n := random.IntN(8); {
	case n < 2:
		call.read = true
	case n == 2: // without a key
	case n == 3:
		call.key = fmt.Sprint(chat.name, ", ", random.Int64N(drawn.Load()/2+1))
	case n < 6 && w.crossing: // with one that is drawn three times, for whichever chats
		call.key = fmt.Sprint("of no chat, ", (w.drawn[person].Add(1)-1)/3)
	default:
		// Each key is drawn twice, mostly at about the same time.
		call.key = fmt.Sprint(chat.name, ", ", (drawn.Add(1)-1)/2)
	}
	return chat, call
}

func (w *nodesWorld) worker() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.workers++
	return w.workers - 1
}

// pending counts the calls without an answer.
func (w *nodesWorld) pending() (count int) {
	for _, op := range w.history {
		if op.Output.(nodesAnswer).pending {
			count++
		}
	}
	return count
}

// repeated counts the calls that were answered with the message of another.
func (w *nodesWorld) repeated() (count int) {
	for _, op := range w.history {
		call, answer := op.Input.(nodesCall), op.Output.(nodesAnswer)
		if !call.read && !answer.pending && answer.messages[0].text != call.text {
			count++
		}
	}
	return count
}

// elsewhere counts the calls that were answered with the message of a call for
// another chat.
func (w *nodesWorld) elsewhere() (count int) {
	type text struct{ sender, text string }
	chats := map[text]string{}
	for _, op := range w.history {
		call := op.Input.(nodesCall)
		chats[text{call.sender, call.text}] = call.chat
	}
	for _, op := range w.history {
		call, answer := op.Input.(nodesCall), op.Output.(nodesAnswer)
		if !call.read && !answer.pending && chats[text{call.sender, answer.messages[0].text}] != call.chat {
			count++
		}
	}
	return count
}

// People send through two nodes at once, with keys that they also use twice at
// once, and read. What they see is what one server could have told them.
func TestNodesLinearizable(t *testing.T) {
	t.Parallel()
	w := newNodesWorld(t, nodesStart(t, 2, pgtest.NewDatabase(t), rand.Text()+rand.Text()), true)
	w.work(t, 100, func() {})
	require.False(t, t.Failed())
	require.Zero(t, w.pending(), "there is no reason why a call should not be answered")
	w.check(t)
	require.NotZero(t, w.repeated(), "the test has used no key twice")
	require.NotZero(t, w.elsewhere(), "the test has used no key in two chats")
}

// The same, while a node is killed and started anew, again and again.
func TestNodesLinearizableKill(t *testing.T) {
	t.Parallel()
	address, secret := pgtest.NewDatabase(t), rand.Text()+rand.Text()
	nodes := nodesStart(t, 2, address, secret)
	w := newNodesWorld(t, nodes, false)
	const calls, kills = 150, 3
	var done atomic.Int64
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for kill := range kills {
			// It is killed in the midst of the work.
			until := int64((kill + 1) * nodesPeople * len(w.nodes) * calls / (kills + 2))
			for done.Load() < until {
				if t.Failed() {
					return
				}
				time.Sleep(time.Millisecond)
			}
			// First nobody comes to it any more: calls that it can't answer, one after
			// another, would be too many to find an order for.
			w.nodes[1].Swap(nil).Kill()
			w.nodes[1].Store(frontdoor.Start(t, nodesOptions(address, secret)))
		}
	}()
	defer func() { <-killed }() // also if the work ends the test
	w.work(t, calls, func() { done.Add(1) })
	<-killed
	require.False(t, t.Failed())
	require.NotZero(t, w.pending(), "no call was cut off")
	t.Logf("%d calls, %d without an answer, %d keys repeated", len(w.history), w.pending(), w.repeated())
	w.check(t)
}

// A node that freezes in the midst of its work does not take the others with it:
// chats that it was not writing to go on at once, and the server gives it up for
// the ones that it was.
func TestNodesFrozen(t *testing.T) {
	t.Parallel()
	nodes := nodesStart(t, 2, pgtest.NewDatabase(t), rand.Text()+rand.Text())
	frozen, other := nodes[0], nodes[1]
	person := frontdoor.SignUp(t, other.URL, "ada")
	there := nodesElsewhere(t, person, frozen.URL)
	busy, quiet := nodesGroup(t, person), nodesGroup(t, person)

	var sent atomic.Int64
	var sending sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 8 {
		sending.Go(func() {
			for {
				r, err := there.Try(ctx, "POST", "/v1/messages", nodesSend(t, busy, "", "text", ""))
				if err != nil || r.StatusCode != 200 {
					return
				}
				sent.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return sent.Load() > 50 }, time.Minute, time.Millisecond)
	require.NoError(t, syscall.Kill(frozen.PID, syscall.SIGSTOP))
	defer func() {
		require.NoError(t, syscall.Kill(frozen.PID, syscall.SIGCONT))
		stop()
		sending.Wait()
	}()

	waiting := make(chan int, 12) // more than there are connections
	for range cap(waiting) {
		go func() {
			r, err := person.Try(ctx, "POST", "/v1/messages", nodesSend(t, busy, "", "text", ""))
			if err != nil {
				waiting <- 0
				return
			}
			waiting <- r.StatusCode
		}()
	}
	for range 20 {
		person.Post("/v1/messages", nodesSend(t, quiet, "", "text", "")).Want(200)
	}
	for range cap(waiting) {
		require.Contains(t, []int{200, 503}, <-waiting)
	}
	require.Eventually(t, func() bool {
		r, err := person.Try(ctx, "POST", "/v1/messages", nodesSend(t, busy, "", "text", ""))
		return err == nil && r.StatusCode == 200
	}, time.Minute, time.Millisecond)
}
