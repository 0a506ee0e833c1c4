package caddymsg_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
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
			{"resume", resumedEvents},
			{"resync", eventsResync},
			{"long-poll", polledEvents},
			{"audience", eventsAudience},
			{"sessions", eventsOfSessions},
			{"HEAD", eventsHead},
			{"another site's page", eventsOfAnotherSite},
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
	if after == "" {
		settle(t, c)
	}
	return stream(t, c, after)
}

// settle waits until streams that begin are told nothing of what has been answered
// before: on PostgreSQL, what is stored is in the log once all that was begun before it
// has ended, in whatever database of the server.
func settle(t *testing.T, c *frontdoor.Client) {
	t.Helper()
	l := stream(t, c, "")
	c.Do("PATCH", "/v1/me", fmt.Sprintf(`{"about":%q}`, rand.Text())).Want(200)
	for typ := ""; typ != "account.updated"; {
		f, err := l.Next()
		require.NoError(t, err)
		typ = f.Type
	}
	l.Close()
}

func stream(t *testing.T, c *frontdoor.Client, after string) *listener {
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
	a, b := ownID(t, alice), ownID(t, bob)
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

// ownID is the user of a client.
func ownID(t *testing.T, c *frontdoor.Client) int64 {
	t.Helper()
	return decode[struct{ ID int64 }](c.Get("/v1/me")).ID
}

// seqs are the numbers of the messages in the next so many frames.
func (l *listener) seqs(n int) (seqs []int) {
	l.t.Helper()
	for range n {
		seqs = append(seqs, field[int](l.t, string(l.expect("message.created").Data), "seq"))
	}
	return seqs
}

// count is first, first + 1 … last.
func count(first, last int) (all []int) {
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// A client that is cut off, again and again, hears of everything once.
func resumedEvents(t *testing.T, s *frontdoor.Server) {
	ann, ben := frontdoor.SignUp(t, s.URL, "resume-a"), frontdoor.SignUp(t, s.URL, "resume-b")
	ann.Post("/v1/chats", `{"username":"resume-b"}`).Want(200)
	sent := 0
	write := func(n int) {
		for range n {
			sent++
			send(t, ann, "resume-b", fmt.Sprint(sent))
		}
	}
	l := listen(t, ben, "")
	write(2)
	require.Equal(t, count(1, 2), l.seqs(2))
	for _, away := range []int{0, 1, 70, 300} { // also more than is read at once, and than a queue takes
		l.Close()
		write(away)
		l = listen(t, ben, l.Cursor)
		write(3)
		require.Equal(t, count(sent-away-2, sent), l.seqs(away+3))
	}
	at := l.Cursor
	write(1)
	l.seqs(1)
	l = listen(t, ben, at)
	require.Equal(t, count(sent, sent), l.seqs(1), "from the middle of what was heard")
}

func eventsResync(t *testing.T, s *frontdoor.Server) {
	ann := frontdoor.SignUp(t, s.URL, "resync-a")
	ann.Post("/v1/chats", `{"username":"resync-a"}`).Want(200)
	chat := send(t, ann, "resync-a", "first").ChatID
	type polled struct {
		Events         []struct{ ID string }
		Cursor, Resync string
	}
	now := decode[polled](ann.Get("/v1/events")).Cursor
	epoch, _, _ := strings.Cut(now, ".")
	send(t, ann, "resync-a", "second")
	want := func(cursor, reason string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		live, err := ann.Events(ctx, cursor)
		require.NoError(t, err)
		defer live.Close()
		l := &listener{live, t}
		require.Empty(t, l.expect("hello").ID, "a cursor before it is said that something is missing")
		f := l.expect("resync")
		require.NotEmpty(t, f.ID)
		require.JSONEq(t, fmt.Sprintf(`{"reason":%q}`, reason), string(f.Data))
		send(t, ann, "resync-a", "then it goes on")
		require.Contains(t, l.expect("message.created").Text, "then it goes on")
		answer := decode[polled](ann.Get("/v1/events?wait=60&after=" + url.QueryEscape(cursor)))
		require.Equal(t, reason, answer.Resync)
		require.Empty(t, answer.Events)
		require.NotEmpty(t, answer.Cursor) // others' events may have come since
	}
	for _, cursor := range []string{
		"x", "0", ".", epoch, epoch + ".", epoch + ".x", epoch + ".-1", epoch + ".1.1", epoch + ".99999999999999999999",
		"0123456789ab" + now[len("0123456789ab"):], "x" + now, epoch + ".9223372036854775807", strings.Repeat("x", 4000),
	} {
		want(cursor, "epoch")
	}

	before := decode[polled](ann.Get("/v1/events")).Cursor
	texts := frontdoor.JSON(t, map[string]any{"texts": slices.Repeat([]string{"one of many"}, 100)})
	for range 101 {
		ann.Post(messagesPath(chat), texts).Want(200)
	}
	want(before, "too_far")

	// As if what was behind it had been removed for its age.
	db := frontdoor.OpenDatabase(t, s.Database)
	_, at, _ := strings.Cut(decode[polled](ann.Get("/v1/events")).Cursor, ".")
	_, err := db.ExecContext(t.Context(), "UPDATE feed SET pruned = "+at)
	require.NoError(t, err)
	t.Cleanup(func() { // its context has ended
		_, err := db.ExecContext(context.Background(), "UPDATE feed SET pruned = 0")
		require.NoError(t, err)
	})
	want(before, "expired")
	listen(t, ann, epoch+"."+at).Close() // just not
}

func polledEvents(t *testing.T, s *frontdoor.Server) {
	ann, ben := frontdoor.SignUp(t, s.URL, "poll-a"), frontdoor.SignUp(t, s.URL, "poll-b")
	chat := send(t, ann, "poll-b", "first").ChatID
	type polled struct {
		Events []struct {
			Type   string
			ChatID int64 `json:"chat_id"`
			Data   struct{ Seq int }
		}
		Cursor string
		Resync *string
	}
	poll := func(cursor string, wait int) polled {
		t.Helper()
		answer := decode[polled](ben.Get(fmt.Sprintf("/v1/events?wait=%d&after=%s", wait, cursor)))
		require.Nil(t, answer.Resync)
		return answer
	}
	start := decode[polled](ben.Get("/v1/events?wait=60"))
	require.Empty(t, start.Events, "without a cursor there is nothing to tell")
	// The server may not have read yet what it has just stored.
	for next := poll(start.Cursor, 0); len(next.Events) > 0; next = poll(start.Cursor, 0) {
		require.Equal(t, chat, next.Events[0].ChatID)
		start = next
	}
	require.Empty(t, poll(start.Cursor, 1).Events)

	// Two wait, and both hear of it.
	answers := make(chan polled, 2)
	for range 2 {
		go func() { answers <- poll(start.Cursor, 60) }()
	}
	lifeEventually(t, "two wait", func() bool {
		return lifeMetrics(t, s).sum("messaging_live_connections", "transport", "poll") == 2
	})
	send(t, ann, "poll-b", "second")
	for range 2 {
		answer := <-answers
		require.Len(t, answer.Events, 1)
		require.Equal(t, "message.created", answer.Events[0].Type)
		require.Equal(t, 2, answer.Events[0].Data.Seq)
		require.Empty(t, poll(answer.Cursor, 0).Events)
	}

	texts := frontdoor.JSON(t, map[string]any{"texts": slices.Repeat([]string{"one of many"}, 100)})
	for range 12 {
		ann.Post(messagesPath(chat), texts).Want(200)
	}
	var seqs []int
	at := start.Cursor
	for _, page := range []int{500, 500, 201} {
		answer := poll(at, 60)
		require.Len(t, answer.Events, page)
		for _, e := range answer.Events {
			seqs = append(seqs, e.Data.Seq)
		}
		at = answer.Cursor
	}
	require.Equal(t, count(2, 1202), seqs)
	require.Empty(t, poll(at, 0).Events)

	// The header wins, as a browser's.
	r := ben.Do("GET", "/v1/events?wait=0&after=x", "", "Last-Event-ID", at).Want(200)
	require.Empty(t, r.Field("resync"))
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "application/json", ben.Do("GET", "/v1/events", "", "Accept", "*/*").Header.Get("Content-Type"))
	require.Equal(t, "application/json", ben.Do("GET", "/v1/events", "", "Accept", "text/html").Header.Get("Content-Type"))
}

// eventsAudience is about who hears of what, and who does not.
func eventsAudience(t *testing.T, s *frontdoor.Server) {
	people := map[string]*frontdoor.Client{}
	listening := map[string]*listener{}
	names := []string{"aud-a", "aud-b", "aud-c", "aud-e"} // eve has to do with nobody
	for _, name := range names {
		people[name] = frontdoor.SignUp(t, s.URL, name)
	}
	a, b, c := people["aud-a"], people["aud-b"], people["aud-c"]
	group := newGroup(a)
	add(t, a, group, "aud-b")
	direct := decode[struct{ ID int64 }](a.Post("/v1/chats", `{"username":"aud-b"}`)).ID
	toGroup := func(c *frontdoor.Client) int64 { return send(t, c, group, "hi").ID }
	m := toGroup(a)
	for _, name := range names {
		listening[name] = listen(t, people[name], "")
	}
	// heard is what each has heard of, up to an event of their own.
	heard := func() map[string][]string {
		all := map[string][]string{}
		for _, name := range names {
			people[name].Do("PATCH", "/v1/me", fmt.Sprintf(`{"about":%q}`, rand.Text())).Want(200)
			for {
				f, err := listening[name].Next()
				require.NoError(t, err)
				if f.Type == "account.updated" {
					break
				}
				if f.Type != "heartbeat" {
					all[name] = append(all[name], f.Type)
				}
			}
		}
		return all
	}
	for _, row := range []struct {
		name string
		do   func()
		want map[string][]string
	}{
		{"to the chat", func() { toGroup(b) }, map[string][]string{"aud-a": {"message.created"}, "aud-b": {"message.created"}}},
		{"to oneself alone", func() { b.Do("DELETE", messagePath(m)+"?for=me", "").Want(200) }, map[string][]string{"aud-b": {"message.hidden"}}},
		{"one's own settings", func() { a.Do("PATCH", fmt.Sprint("/v1/chats/", group), `{"archived":true}`).Want(200) }, map[string][]string{"aud-a": {"chat.settings"}}},
		{"whom one blocks", func() { a.Do("PUT", "/v1/blocks/aud-b", "").Want(200) }, map[string][]string{"aud-a": {"block.created"}}},
		{"whom one blocks no more", func() { a.Do("DELETE", "/v1/blocks/aud-b", "").Want(200) }, map[string][]string{"aud-a": {"block.removed"}}},
		{"somebody is added, and hears from then on", func() {
			add(t, a, group, "aud-c")
			toGroup(a)
		}, map[string][]string{
			"aud-a": {"participant.added", "message.created"}, "aud-b": {"participant.added", "message.created"}, "aud-c": {"participant.added", "message.created"},
		}},
		{"another name, in each chat that one shares", func() {
			c.Do("PATCH", "/v1/me", `{"display_name":"C"}`).Want(200)
			require.Equal(t, "user.updated", listening["aud-c"].expect("user.updated").Type)
			listening["aud-c"].expect("account.updated")
		}, map[string][]string{"aud-a": {"user.updated"}, "aud-b": {"user.updated"}}},
		{"somebody is removed, and hears of nothing after that", func() {
			a.Delete(groupPath(group, "/participants/aud-b")).Want(200)
			toGroup(c)
		}, map[string][]string{
			"aud-a": {"participant.removed", "message.created"}, "aud-b": {"participant.removed"}, "aud-c": {"participant.removed", "message.created"},
		}},
		{"of two people", func() { send(t, a, "aud-b", "hi") }, map[string][]string{"aud-a": {"message.created"}, "aud-b": {"message.created"}}},
		{"a new chat", func() { a.Post("/v1/chats", `{"username":"aud-c"}`).Want(200) }, map[string][]string{"aud-a": {"chat.created"}, "aud-c": {"chat.created"}}},
		{"a chat is deleted", func() { a.Delete(fmt.Sprint("/v1/chats/", direct)).Want(200) }, map[string][]string{"aud-a": {"chat.deleted"}, "aud-b": {"chat.deleted"}}},
	} {
		// What happens is told to who is connected, and to who was not.
		at := map[string]string{}
		for name, l := range listening {
			at[name] = l.Cursor
		}
		row.do()
		require.Equal(t, row.want, heard(), row.name)
		if strings.HasPrefix(row.name, "somebody is ") || strings.HasPrefix(row.name, "another name") {
			continue // who is there now hears of more, or less, than who was there then
		}
		for _, name := range names {
			l := listen(t, people[name], at[name])
			for _, typ := range row.want[name] {
				l.expect(typ)
			}
			l.expect("account.updated")
			l.Close()
		}
	}
}

// ended reads to the end of a stream, which must say why.
func (l *listener) ended(code string) {
	l.t.Helper()
	for {
		_, err := l.Next()
		if err == nil {
			continue
		}
		end := new(frontdoor.EndedError)
		require.ErrorAs(l.t, err, &end)
		require.Equal(l.t, code, end.Code)
		require.Equal(l.t, code == "session_ended", end.RetryMS == nil)
		return
	}
}

func eventsOfSessions(t *testing.T, s *frontdoor.Server) {
	ann := frontdoor.SignUp(t, s.URL, "session-a")
	other := frontdoor.NewClient(t, s.URL)
	other.Post("/v1/auth/login", `{"username":"session-a","password":"open sesame"}`).Want(200)
	here, there := listen(t, ann, ""), listen(t, other, "")
	jar := ann.HTTP.Jar
	site, err := url.Parse(s.URL)
	require.NoError(t, err)
	old, err := cookiejar.New(nil)
	require.NoError(t, err)
	old.SetCookies(site, jar.Cookies(site))
	ann.Post("/v1/auth/logout", "").Want(200)
	here.ended("session_ended")
	ann.HTTP.Jar = old // the cookie is worth nothing any more
	_, err = ann.Events(t.Context(), here.Cursor)
	refused := new(frontdoor.RefusedError)
	require.ErrorAs(t, err, &refused)
	refused.Want(401)

	send(t, other, "session-a", "the other session goes on")
	there.expect("chat.created")
	there.expect("message.created")
	polled := make(chan *frontdoor.Response, 1)
	go func() { polled <- other.Get("/v1/events?wait=60&after=" + there.Cursor) }()
	lifeEventually(t, "it waits", func() bool {
		return lifeMetrics(t, s).sum("messaging_live_connections", "transport", "poll") == 1
	})

	root := frontdoor.SignUp(t, s.URL, "session-root")
	_, err = frontdoor.OpenDatabase(t, s.Database).ExecContext(t.Context(), "UPDATE users SET admin = 1 WHERE username = 'session-root'")
	require.NoError(t, err)
	root.Do("PATCH", fmt.Sprint("/v1/admin/users/", ownID(t, other)), `{"deactivated":true}`).Want(200)
	there.ended("session_ended")
	(<-polled).Want(401)
	_, err = other.Events(t.Context(), there.Cursor)
	require.ErrorAs(t, err, &refused)
	refused.Want(401)
}

func eventsHead(t *testing.T, s *frontdoor.Server) {
	ann := frontdoor.SignUp(t, s.URL, "head-a")
	for accept, contentType := range map[string]string{"": "application/json", "text/event-stream": "text/event-stream"} {
		r := ann.Do("HEAD", "/v1/events?after=x", "", "Accept", accept).Want(200)
		require.Equal(t, contentType, r.Header.Get("Content-Type"))
		require.Empty(t, r.Text)
	}
	frontdoor.NewClient(t, s.URL).Do("HEAD", "/v1/events", "").Want(401)
}

// A page of another host of the same domain comes with the cookie.
func eventsOfAnotherSite(t *testing.T, s *frontdoor.Server) {
	ann := frontdoor.SignUp(t, s.URL, "site-a")
	host := strings.TrimPrefix(s.URL, "http://")
	for _, row := range []struct {
		header []string
		status int
	}{
		{nil, 200},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "none"}, 200},
		{[]string{"Origin", "http://" + host}, 200},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Origin", "http://evil." + host}, 403},
		{[]string{"Origin", "null"}, 403},
	} {
		r := ann.Do("GET", "/v1/events", "", row.header...).Want(row.status)
		if row.status == 403 {
			require.Equal(t, "cross_site", r.Field("code"))
			ann.Do("GET", "/v1/events", "", append(row.header, "Accept", "text/event-stream")...).Want(403)
		}
	}
}

// TestEventsBehindCaddy is about what else may be in a site, and other versions of
// HTTP: events come at once.
func TestEventsBehindCaddy(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: `
{
	auto_https disable_redirects
	skip_install_trust
	servers {
		timeouts {
			read_body 1s
			write_idle 1s
		}
	}
}
http://127.0.0.1:{$PORT} {
	encode gzip {
		minimum_length 1
	}
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
https://127.0.0.1:{$PORT2} {
	tls internal
	encode
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`})
	ann := frontdoor.SignUp(t, s.URL, "ann")
	ben := frontdoor.NewClient(t, strings.Replace(s.URL2, "http:", "https:", 1))
	transport := ben.HTTP.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // a certificate of its own
	transport.ForceAttemptHTTP2 = true
	lifeEventually(t, "the certificate is there", func() bool {
		_, err := ben.Try(t.Context(), http.MethodGet, "/v1/openapi.json", "")
		return err == nil
	})
	ben.Post("/v1/auth/register", `{"username":"ben","password":"open sesame"}`).Want(200)
	r := ben.Post("/v1/auth/login", `{"username":"ben","password":"open sesame"}`).Want(200)
	require.Equal(t, 2, r.ProtoMajor)
	ann.Post("/v1/chats", `{"username":"ben"}`).Want(200)
	compressed, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v1/events", http.NoBody)
	require.NoError(t, err)
	compressed.Header.Set("Accept", "text/event-stream")
	compressed.Header.Set("Accept-Encoding", "gzip")
	packed, err := ann.HTTP.Do(compressed)
	require.NoError(t, err)
	defer packed.Body.Close()
	require.Equal(t, "gzip", packed.Header.Get("Content-Encoding"))
	require.Equal(t, "no-store", packed.Header.Get("Cache-Control"))
	unpacked, err := gzip.NewReader(packed.Body)
	require.NoError(t, err)
	lines := bufio.NewReader(unpacked)
	until := func(want string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			if strings.Contains(line, want) {
				return
			}
		}
	}
	until("event: hello")

	plain, overTLS := listen(t, ann, ""), listen(t, ben, "")
	for n := range 3 {
		send(t, ann, "ben", fmt.Sprint("message ", n))
		until(fmt.Sprint("message ", n))
		require.Equal(t, count(n+1, n+1), plain.seqs(1))
		require.Equal(t, count(n+1, n+1), overTLS.seqs(1))
	}
	// Longer than the site's timeouts.
	require.Equal(t, "[]", frontdoor.JSON(t, decode[struct{ Events []any }](ann.Get("/v1/events?wait=2&after="+plain.Cursor)).Events))
	send(t, ann, "ben", "later")
	require.Equal(t, count(4, 4), plain.seqs(1))
	require.Equal(t, count(4, 4), overTLS.seqs(1))
	again := listen(t, ben, overTLS.Cursor)
	send(t, ben, "ann", "back")
	require.Equal(t, count(5, 5), again.seqs(1))
	require.NotContains(t, s.Log(), overTLS.Cursor, "where a client is, is nobody's business")
}

// A client that does not read is given up, and can come back.
func TestEventsToWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{})
	ann, ben := frontdoor.SignUp(t, s.URL, "ann"), frontdoor.SignUp(t, s.URL, "ben")
	chat := send(t, ann, "ben", "first").ChatID
	cursor := ben.Get("/v1/events").Field("cursor").(string)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCookie: %s\r\n\r\n",
		strings.TrimPrefix(s.URL, "http://"), lifeCookies(t, ben, s.URL)[0])
	require.NoError(t, err)
	connections := func() float64 { return lifeMetrics(t, s).sum("messaging_live_connections") }
	lifeEventually(t, "it is connected", func() bool { return connections() == 1 })
	long := frontdoor.JSON(t, map[string]any{"texts": slices.Repeat([]string{strings.Repeat("x", 10_000)}, 100)})
	const batches = 12 // more than a socket takes
	for range batches {
		ann.Post(messagesPath(chat), long).Want(200)
	}
	lifeEventually(t, "it is given up", func() bool { return connections() == 0 })

	l := listen(t, ben, cursor)
	require.Equal(t, count(2, 100*batches+1), l.seqs(100*batches))
}
