package caddymsg_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/natstest"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// TestPresenceAndTyping is about what is told of who is there and who is writing,
// over each of the ways.
func TestPresenceAndTyping(t *testing.T) {
	s := frontdoor.Start(t, frontdoor.Options{})
	alice, bob, eve := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob"), frontdoor.SignUp(t, s.URL, "eve")
	id := func(c *frontdoor.Client) string { return fmt.Sprint(c.Get("/v1/me").Field("id")) }
	chatID := alice.Post("/v1/chats", `{"username":"bob"}`).Want(http.StatusOK).Field("id")
	typingPath := fmt.Sprintf("/v1/chats/%v/typing", chatID)
	one := alice.Socket("/v1/ws")
	one.Await("hello")

	bobID, eveID := id(bob), id(eve)
	subscribe := func(ids string) (answer, first frontdoor.SocketFrame) {
		one.Send(`{"id":"s","type":"presence.subscribe","data":{"user_ids":[` + ids + `]}}`)
		for {
			switch f := one.Next(); {
			case f.Ref == "s":
				answer = f
			case f.Type == "presence":
				first = f
			}
			if answer.Type == "error" || answer.Type != "" && first.Type != "" {
				return answer, first
			}
		}
	}
	answer, first := subscribe(bobID + "," + eveID)
	require.JSONEq(t, `{"type":"answer","ref":"s","data":{}}`, answer.Text)
	require.Equal(t, bobID, fmt.Sprint(first.Field("user_id")))
	require.Equal(t, false, first.Field("online"), first.Text)
	answer, _ = subscribe("0,\"x\"")
	require.Equal(t, "error", answer.Type)

	// A stream says it at the beginning, and when it changes.
	stream := watchStream(t, bob, id(alice))
	require.Contains(t, stream.expect("presence").Text, `"online":true`)
	online := one.Await("presence")
	require.Equal(t, true, online.Field("online"), online.Text)
	require.Equal(t, bobID, fmt.Sprint(online.Field("user_id")))

	// The present state is there to be asked for, but not of strangers.
	presence := alice.Get("/v1/presence?user_ids=" + bobID + "," + eveID)
	require.JSONEq(t, `{"presence":[{"user_id":`+bobID+`,"online":true}]}`, presence.Text)
	require.JSONEq(t, `{"presence":[]}`, eve.Get("/v1/presence?user_ids="+bobID).Text)

	// Typing goes to the others.
	require.JSONEq(t, `{"type":"answer","ref":"c","data":{}}`, one.Command("typing", map[string]any{"chat_id": chatID}).Text)
	typing := stream.expect("typing")
	require.Contains(t, typing.Text, `"user_id":`+id(alice))
	require.Contains(t, typing.Text, fmt.Sprintf(`"chat_id":%v`, chatID))
	require.Empty(t, typing.ID, "it is not in the log")
	require.Equal(t, "{}\n", bob.Post(typingPath, "").Want(http.StatusOK).Text)
	require.Equal(t, "typing", one.Await("typing").Type)
	eve.Post(typingPath, "").Want(http.StatusForbidden)

	// A block ends it, and so does hiding.
	bob.Do(http.MethodPut, "/v1/blocks/alice", "").Want(http.StatusOK)
	require.Contains(t, one.Await("presence").Text, `"online":false`)
	require.JSONEq(t, `{"presence":[]}`, alice.Get("/v1/presence?user_ids="+bobID).Text)
	require.Equal(t, "answer", one.Command("presence.unsubscribe", map[string]any{}).Type)
	bob.Delete("/v1/blocks/alice").Want(http.StatusOK)
	require.JSONEq(t, `{"presence":[{"user_id":`+bobID+`,"online":true}]}`, alice.Get("/v1/presence?user_ids="+bobID).Text)
	bob.Do(http.MethodPatch, "/v1/me", `{"presence":"hidden"}`).Want(http.StatusOK)
	require.JSONEq(t, `{"presence":[]}`, alice.Get("/v1/presence?user_ids="+bobID).Text)
}

// watchStream opens a stream of events that tells who is there.
func watchStream(t *testing.T, c *frontdoor.Client, userID string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	live, err := c.EventsWith(ctx, "?presence="+userID)
	require.NoError(t, err)
	t.Cleanup(live.Close)
	l := &listener{live, t}
	l.expect("hello")
	return l
}

// Over a bus, it does not matter which node one is connected to.
func TestPresenceAndTypingOverNodes(t *testing.T) {
	t.Parallel()
	opts := nodesOptions(pgtest.NewDatabase(t), rand.Text()+rand.Text())
	opts.Caddyfile = liveNodesSite(natstest.Start(t, 1, nil).URLs())
	first, second := frontdoor.Start(t, opts), frontdoor.Start(t, opts)
	alice, bob := frontdoor.SignUp(t, first.URL, "alice"), frontdoor.SignUp(t, second.URL, "bob")
	chatID := alice.Post("/v1/chats", `{"username":"bob"}`).Want(http.StatusOK).Field("id")
	bobID := fmt.Sprint(bob.Get("/v1/me").Field("id"))

	one := alice.Socket("/v1/ws")
	one.Await("hello")
	one.Send(`{"id":"s","type":"presence.subscribe","data":{"user_ids":[` + bobID + `]}}`)
	require.Equal(t, false, one.Await("presence").Field("online"))
	two := bob.Socket("/v1/ws")
	two.Await("hello")
	require.Equal(t, true, one.Await("presence").Field("online"))

	two.Send(fmt.Sprintf(`{"id":"t","type":"typing","data":{"chat_id":%v}}`, chatID))
	require.Equal(t, bobID, fmt.Sprint(one.Await("typing").Field("user_id")))

	require.NoError(t, two.Close())
	require.NoError(t, second.Stop(t.Context()))
	require.Equal(t, false, one.Await("presence").Field("online"), "the node has said goodbye")
}
