package caddymsg_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestEvents is about what is told of what happens, and to whom.
func TestEvents(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"every type", everyEvent},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// listener is an open connection that must go on.
type listener struct {
	*frontdoor.Live
	t *testing.T
}

// listen opens a stream of events, behind a cursor or from now on, and reads its
// hello.
func listen(t *testing.T, c *frontdoor.Client, after string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	live, err := c.Events(ctx, after)
	require.NoError(t, err)
	t.Cleanup(live.Close)
	l := &listener{live, t}
	l.expect("hello")
	return l
}

// expect is the next frame, which must be of a type.
func (l *listener) expect(typ string) frontdoor.Frame {
	l.t.Helper()
	for {
		f, err := l.Next()
		require.NoError(l.t, err, "instead of %s", typ)
		if f.Type != "heartbeat" {
			require.Equal(l.t, typ, f.Type, f.Text)
			return f
		}
	}
}

// field is of an envelope, or of its data.
func field[T any](t *testing.T, text, name string) (value T) {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	if all[name] != nil {
		require.NoError(t, json.Unmarshal(all[name], &value))
	}
	return value
}

// everyEvent makes an event of each type that is documented, and compares what is
// told with what the request was answered.
func everyEvent(t *testing.T, s *frontdoor.Server) {
	alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
	id := func(c *frontdoor.Client) int64 { return decode[struct{ ID int64 }](c.Get("/v1/me")).ID }
	a, b := id(alice), id(bob)
	l := listen(t, bob, "")

	var answer *frontdoor.Response
	do := func(c *frontdoor.Client, method, path, body string) func() {
		return func() { answer = c.Do(method, path, body).Want(200) }
	}
	object := func(format string, values ...any) func() string {
		return func() string { return fmt.Sprintf(format, values...) }
	}
	// The same message for all: without what depends on who looks.
	same := func() string {
		var m map[string]any
		answer.Decode(&m)
		delete(m, "read_count")
		delete(m, "read_by")
		return frontdoor.JSON(t, m)
	}
	chat := decode[struct{ ID int64 }](alice.Post("/v1/chats", `{"username":"bob"}`)).ID
	created := l.expect("chat.created")
	require.Equal(t, chat, created.ChatID)
	require.JSONEq(t, fmt.Sprintf(`{"kind":"direct","participants":[%d,%d]}`, a, b), string(created.Data))
	seen := map[string]bool{"chat.created": true}

	message := send(t, alice, "bob", "hi").ID
	l.expect("message.created")
	poll := decode[struct{ ID int64 }](alice.Post("/v1/messages", `{"dest_username":"bob","message":"Lunch?","poll":{"options":["Pizza","Sushi"]}}`)).ID
	l.expect("message.created")
	group := newGroup(alice)
	ofMessage, ofChat, ofGroup := messagePath(message), fmt.Sprint("/v1/chats/", chat), groupPath(group)
	for _, row := range []struct {
		typ   string
		do    func()
		chat  int64
		actor int64
		data  func() string
	}{
		{"message.created", do(alice, "POST", "/v1/messages", `{"dest_username":"bob","message":"hi @bob","client_id":"key"}`), chat, a, same},
		{"message.edited", do(alice, "PATCH", ofMessage, `{"text":"hello"}`), chat, a, same},
		{"reaction.added", do(alice, "PUT", ofMessage+"/reactions/like", ""), chat, a, object(`{"message_id":%d,"emoji":"👍"}`, message)},
		{"reaction.removed", do(alice, "DELETE", ofMessage+"/reactions/like", ""), chat, a, object(`{"message_id":%d,"emoji":"👍"}`, message)},
		{"poll.voted", do(alice, "PUT", messagePath(poll)+"/poll/votes", `{"options":[1]}`), chat, a, object(`{"message_id":%d,"options":[1]}`, poll)},
		{"poll.closed", do(alice, "POST", messagePath(poll)+"/poll/close", ""), chat, a, object(`{"message_id":%d}`, poll)},
		{"chat.delivered", do(bob, "POST", ofChat+"/delivered", `{"seq":1}`), chat, b, object(`{"user_id":%d,"seq":1}`, b)},
		{"chat.read", do(bob, "POST", ofChat+"/read", `{"seq":2}`), chat, b, object(`{"user_id":%d,"seq":2}`, b)},
		{"chat.settings", do(bob, "PATCH", ofChat, `{"archived":true}`), chat, b, object(`{"archived":true,"marked_unread":false,"muted_until":null}`)},
		{"chat.settings", do(bob, "PATCH", ofChat, `{"muted_until":"2126-01-01T00:00:00Z"}`), chat, b, object(`{"archived":true,"marked_unread":false,"muted_until":"2126-01-01T00:00:00.000000Z"}`)},
		{"message.hidden", do(bob, "DELETE", ofMessage+"?for=me", ""), chat, b, object(`{"message_id":%d}`, message)},
		{"message.deleted", func() {
			do(alice, "DELETE", ofMessage, "")()
			do(alice, "GET", ofMessage, "")()
		}, chat, a, same},
		{"participant.added", func() { add(t, alice, group, "bob") }, group, a, object(`{"user_id":%d}`, b)},
		{"participant.updated", do(alice, "PATCH", ofGroup+"/participants/bob", `{"role":"admin"}`), group, a, object(`{"user_id":%d,"role":"admin"}`, b)},
		{"chat.updated", do(bob, "PATCH", ofGroup, `{"title":"New","visibility":"public"}`), group, b, object(`{"title":"New","visibility":"public"}`)},
		{"participant.removed", do(alice, "DELETE", ofGroup+"/participants/bob", ""), group, a, object(`{"user_id":%d}`, b)},
		{"user.updated", do(alice, "PATCH", "/v1/me", `{"username":"alicia"}`), chat, a, object(`{"user_id":%d,"username":"alicia","display_name":""}`, a)},
		{"user.updated", do(alice, "PATCH", "/v1/me", `{"username":"alice","display_name":"Alice"}`), chat, a, object(`{"user_id":%d,"username":"alice","display_name":"Alice"}`, a)},
		{"account.updated", do(bob, "PATCH", "/v1/me", `{"about":"me"}`), 0, b, object(`{"user_id":%d,"username":"bob","display_name":"","presence_hidden":false}`, b)},
		{"block.created", do(bob, "PUT", "/v1/blocks/alice", ""), 0, b, object(`{"user_id":%d}`, a)},
		{"block.removed", do(bob, "DELETE", "/v1/blocks/alice", ""), 0, b, object(`{"user_id":%d}`, a)},
		{"chat.deleted", do(alice, "DELETE", ofChat, ""), chat, a, object(`{}`)},
	} {
		row.do()
		f := l.expect(row.typ)
		seen[row.typ] = true
		require.Equal(t, row.chat, f.ChatID, f.Text)
		require.Equal(t, row.actor, field[int64](t, f.Text, "actor_id"), f.Text)
		require.JSONEq(t, row.data(), string(f.Data))
		require.Equal(t, field[string](t, string(f.Data), "client_id"), field[string](t, f.Text, "client_id"))
		require.Equal(t, cmp.Or(l.Cursor, "none"), f.ID)
	}

	documented := readDocument(t, bob).resolve("#/components/schemas/Event/discriminator/mapping").(map[string]any)
	require.ElementsMatch(t, slices.Collect(maps.Keys(documented)), slices.Collect(maps.Keys(seen)), "the types of event")
}
