package caddymsg_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestWebSocket(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		connections_per_user 40
	}
}
`})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"events", socketEvents},
			{"handshakes", socketHandshakes},
			{"frames", socketFrames},
			{"closing", socketClosing},
			{"commands", socketCommands},
			{"too many connections", socketTooMany},
			{"sessions", socketSessions},
			{"reload", socketReload},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// ping is a command, in a frame.
var ping = []byte(`{"id":"p","type":"ping"}`)

// open opens a WebSocket that has said hello.
func open(t *testing.T, c *frontdoor.Client) *frontdoor.Socket {
	t.Helper()
	s := c.Socket("/v1/ws")
	require.Equal(t, "hello", s.Next().Type)
	return s
}

func socketEvents(t *testing.T, s *frontdoor.Server) {
	emil, eva, other := frontdoor.SignUp(t, s.URL, "emil"), frontdoor.SignUp(t, s.URL, "eva"), frontdoor.SignUp(t, s.URL, "olga")
	at := emil.Socket("/v1/ws")
	hello := at.Next()
	require.Equal(t, "hello", hello.Type)
	require.Regexp(t, `^[0-9a-f-]+\.\d+$`, hello.ID)
	require.Equal(t, emil.Get("/v1/me").Field("id"), hello.Field("user_id"))
	require.EqualValues(t, 25000, hello.Field("heartbeat_ms"))
	require.EqualValues(t, 65536, hello.Field("max_frame_bytes"))
	require.NotZero(t, hello.Field("session_id"))
	stranger := open(t, other)

	to, again := open(t, eva), open(t, eva)
	answer := at.Command("message.send", map[string]any{"dest_username": "eva", "text": "hi eva", "client_id": "key"})
	require.Equal(t, "answer", answer.Type, answer.Text)
	for _, listener := range []*frontdoor.Socket{to, again} {
		event := listener.Await("message.created")
		require.NoError(t, frontdoor.CheckFrame(event.Text))
		require.JSONEq(t, string(answer.Data), string(event.Data), "as it was answered to its sender")
		require.Equal(t, "key", event.ClientID)
	}

	// Who comes back misses nothing.
	require.NoError(t, to.Close())
	send(t, emil, "eva", "are you there?")
	to = eva.Socket("/v1/ws?after=" + hello.ID)
	require.Equal(t, hello.ID, to.Next().ID)
	require.Equal(t, "chat.created", to.Next().Type)
	require.Equal(t, "hi eva", to.Next().Field("text"))
	require.Equal(t, "are you there?", to.Next().Field("text"))

	lost := eva.Socket("/v1/ws?after=nonsense")
	require.Equal(t, "hello", lost.Next().Type)
	resync := lost.Next()
	require.Equal(t, "resync", resync.Type)
	require.Equal(t, "epoch", resync.Field("reason"))

	// What others have said was nobody else's.
	stranger.Send(string(ping))
	require.Equal(t, "answer", stranger.Next().Type)
}

func socketHandshakes(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.SignUp(t, s.URL, "hanna")
	for name, row := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"as a browser sends it":   {[]string{"Origin", s.URL}, 101, ""},
		"as a program sends it":   {nil, 101, ""},
		"with words in uppercase": {[]string{"Connection", "UPGRADE", "Upgrade", "WebSocket"}, 101, ""},
		"with protocols":          {[]string{"Sec-WebSocket-Protocol", "chat", "Sec-WebSocket-Extensions", "permessage-deflate"}, 101, ""},

		"no Connection":           {[]string{"Connection", ""}, 426, "upgrade_required"},
		"no Upgrade":              {[]string{"Upgrade", ""}, 426, "upgrade_required"},
		"another protocol":        {[]string{"Upgrade", "h2c"}, 426, "upgrade_required"},
		"no version":              {[]string{"Sec-WebSocket-Version", ""}, 426, "upgrade_required"},
		"an old version":          {[]string{"Sec-WebSocket-Version", "8"}, 426, "upgrade_required"},
		"no key":                  {[]string{"Sec-WebSocket-Key", ""}, 400, "bad_handshake"},
		"a short key":             {[]string{"Sec-WebSocket-Key", "c2hvcnQ="}, 400, "bad_handshake"},
		"no base64":               {[]string{"Sec-WebSocket-Key", "!"}, 400, "bad_handshake"},
		"another site":            {[]string{"Origin", "https://example.com"}, 403, "cross_site"},
		"another port":            {[]string{"Origin", "http://127.0.0.1:1"}, 403, "cross_site"},
		"a page without a site":   {[]string{"Origin", "null"}, 403, "cross_site"},
		"a site that looks alike": {[]string{"Origin", s.URL + ".example.com"}, 403, "cross_site"},
		"no session":              {[]string{"Cookie", "session=none"}, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			r, socket := c.Handshake("/v1/ws", row.header...)
			require.Equal(t, row.status, r.StatusCode, r.Text)
			if row.code == "" {
				require.Empty(t, r.Header.Get("Sec-WebSocket-Extensions"))
				require.Empty(t, r.Header.Get("Sec-WebSocket-Protocol"))
				require.Equal(t, "hello", socket.Next().Type)
				require.NoError(t, socket.Close())
				return
			}
			require.Equal(t, row.code, r.Field("code"))
			if row.status == 426 {
				require.Equal(t, "websocket", r.Header.Get("Upgrade"))
				require.Equal(t, "Upgrade", r.Header.Get("Connection"))
				require.Equal(t, "13", r.Header.Get("Sec-WebSocket-Version"))
			}
		})
	}
	t.Run("CONNECT", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = fmt.Fprintf(conn, "CONNECT /v1/ws HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		text, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(text), "HTTP/1.1 501 ")
		require.Contains(t, string(text), `"no_upgrade"`)
	})
}

// Frames that clients send, and what becomes of them.
func socketFrames(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.SignUp(t, s.URL, "fred")
	watching := open(t, c)
	const f, text, more = frontdoor.Final, frontdoor.OpText, frontdoor.OpContinuation
	masked, unmasked, announced := frontdoor.Masked, frontdoor.Unmasked, frontdoor.Announced
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	// padded is a command of a length.
	padded := func(length int) []byte {
		return append(slices.Clone(ping), bytes.Repeat([]byte(" "), length-len(ping))...)
	}
	bytewise := func() []byte {
		b := masked(text, ping[:1])
		for _, c := range ping[1:] {
			b = append(append(b, masked(more, []byte{c})...), masked(more, nil)...)
		}
		return append(b, masked(f|more, nil)...)
	}
	named := []byte(`{"id":"名","type":"ping"}`)

	for name, row := range map[string]struct {
		sent []byte
		want any // the code of an error frame, or how it is closed; nil, if it is answered
	}{
		"a command":                       {masked(f|text, ping), nil},
		"in fragments":                    {join(masked(text, ping[:5]), masked(more, ping[5:9]), masked(f|more, ping[9:])), nil},
		"in as many fragments as bytes":   {bytewise(), nil},
		"with pings between":              {join(masked(text, ping[:5]), masked(f|frontdoor.OpPing, []byte("x")), masked(f|more, ping[5:])), nil},
		"a character in two fragments":    {join(masked(text, named[:8]), masked(f|more, named[8:])), nil},
		"as large as may be":              {masked(f|text, padded(64<<10)), nil},
		"behind a pong nobody asked for":  {join(masked(f|frontdoor.OpPong, []byte("x")), masked(f|text, ping)), nil},
		"nothing":                         {masked(f|text, nil), "malformed_frame"},
		"no JSON":                         {masked(f|text, []byte("{")), "malformed_frame"},
		"two objects":                     {masked(f|text, join(ping, ping)), "malformed_frame"},
		"a list":                          {masked(f|text, []byte("[]")), "malformed_request"},
		"no type":                         {masked(f|text, []byte(`{"id":"p"}`)), "malformed_request"},
		"no id":                           {masked(f|text, []byte(`{"type":"ping"}`)), "malformed_request"},
		"an id in another case":           {masked(f|text, []byte(`{"id":"p","type":"ping","ID":"`+strings.Repeat("x", 500)+`"}`)), "malformed_frame"},
		"an unknown type":                 {masked(f|text, []byte(`{"id":"p","type":"pong"}`)), "unknown_command"},
		"an event":                        {masked(f|text, []byte(`{"id":"p","type":"message.created","data":{}}`)), "unknown_command"},
		"bytes":                           {masked(f|frontdoor.OpBinary, ping), "malformed_frame"},
		"not masked":                      {unmasked(f|text, ping), 1002},
		"a ping that is not masked":       {unmasked(f|frontdoor.OpPing, nil), 1002},
		"a close that is not masked":      {unmasked(f|frontdoor.OpClose, nil), 1002},
		"compressed":                      {masked(f|0x40|text, ping), 1002},
		"the second reserved bit":         {masked(f|0x20|text, ping), 1002},
		"the third reserved bit":          {masked(f|0x10|text, ping), 1002},
		"the reserved bit of a ping":      {masked(f|0x40|frontdoor.OpPing, nil), 1002},
		"opcode 3":                        {masked(f|3, ping), 1002},
		"opcode 7":                        {masked(f|7, ping), 1002},
		"opcode 11":                       {masked(f|11, ping), 1002},
		"opcode 15":                       {masked(f|15, ping), 1002},
		"a continuation of nothing":       {masked(f|more, ping), 1002},
		"a text within another":           {join(masked(text, ping[:5]), masked(f|text, ping)), 1002},
		"a ping in fragments":             {masked(frontdoor.OpPing, nil), 1002},
		"a ping of 126 bytes":             {masked(f|frontdoor.OpPing, bytes.Repeat([]byte("x"), 126)), 1002},
		"a close of 126 bytes":            {masked(f|frontdoor.OpClose, bytes.Repeat([]byte("x"), 126)), 1002},
		"an endless ping":                 {announced(f|frontdoor.OpPing, 1<<40), 1002},
		"a length below 0":                {join(announced(f|text, 1<<40)[:2], bytes.Repeat([]byte{0xff}, 8), make([]byte, 4)), 1002},
		"one byte too many":               {masked(f|text, padded(64<<10+1)), 1009},
		"fragments that are too many":     {join(masked(text, padded(40<<10)), masked(f|more, padded(40<<10))), 1009},
		"an endless frame":                {join(announced(f|text, 1<<40), bytes.Repeat([]byte("x"), 64<<10+1)), 1009},
		"empty fragments":                 {join(masked(text, ping), bytes.Repeat(masked(more, nil), 200_000)), 1009},
		"no UTF-8":                        {masked(f|text, []byte("{\xff}")), 1007},
		"half of a character":             {masked(f|text, []byte("{\"\xe5\x90\"}")), 1007},
		"half of a pair":                  {masked(f|text, []byte("\xed\xa0\x80")), 1007},
		"more bytes than a character has": {masked(f|text, []byte("\xc0\x80")), 1007},
		"many pings":                      {bytes.Repeat(masked(f|frontdoor.OpPing, []byte("x")), 200), 1008},
		"many pongs":                      {bytes.Repeat(masked(f|frontdoor.OpPong, []byte("x")), 200), 1008},
		"many bytes":                      {bytes.Repeat(masked(f|frontdoor.OpBinary, nil), 50), 1008},
	} {
		t.Run(name, func(t *testing.T) {
			socket := open(t, c)
			go func() { _, _ = socket.Write(row.sent) }() // it may end before that
			switch want := row.want.(type) {
			case nil:
				answer := socket.Await("answer")
				require.JSONEq(t, `{}`, string(answer.Data))
				require.Contains(t, []string{"p", "名"}, answer.Ref)
			case string:
				refused := socket.Await("error")
				require.Equal(t, want, refused.Field("code"))
				require.EqualValues(t, 400, refused.Field("status"))
				require.Equal(t, "answer", socket.Command("ping", nil).Type, "it goes on")
			case int:
				reason := socket.WantClose(want)
				if want == 1008 {
					require.JSONEq(t, `{"code":"too_many_bad_frames"}`, reason)
				}
			}
			require.NoError(t, socket.Close())
		})
	}
	require.Equal(t, "answer", watching.Command("ping", nil).Type, "others go on")
}

// How clients close, and what they are answered.
func socketClosing(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.SignUp(t, s.URL, "clara")
	status := func(code int, reason string) []byte { return append([]byte{byte(code >> 8), byte(code)}, reason...) }
	for name, row := range map[string]struct {
		sent []byte
		want []byte
	}{
		"as usual":          {status(1000, "bye"), status(1000, "bye")},
		"going away":        {status(1001, ""), status(1001, "")},
		"a code of its own": {status(4999, ""), status(4999, "")},
		"without a code":    {nil, []byte{}},
		"half a code":       {[]byte{3}, status(1002, "")},
		"code 0":            {status(0, ""), status(1002, "")},
		"code 999":          {status(999, ""), status(1002, "")},
		"code 1005":         {status(1005, ""), status(1002, "")},
		"code 1006":         {status(1006, ""), status(1002, "")},
		"code 1015":         {status(1015, ""), status(1002, "")},
		"code 2999":         {status(2999, ""), status(1002, "")},
		"code 5000":         {status(5000, ""), status(1002, "")},
	} {
		t.Run(name, func(t *testing.T) {
			socket := open(t, c)
			// What comes behind it is not looked at.
			socket.SendBytes(frontdoor.Masked(frontdoor.Final|frontdoor.OpClose, row.sent), frontdoor.Masked(frontdoor.Final|frontdoor.OpText, ping))
			first, got, err := socket.ReadFrame()
			require.NoError(t, err)
			require.EqualValues(t, frontdoor.Final|frontdoor.OpClose, first)
			require.Equal(t, row.want[:min(2, len(row.want))], got[:min(2, len(got))])
			if bytes.HasPrefix(got, status(1002, "")) {
				require.NoError(t, socket.Conn.(*net.TCPConn).CloseWrite()) // or it waits for an answer
			}
			_, _, err = socket.ReadFrame()
			require.ErrorIs(t, err, io.EOF, "nothing comes behind it")
		})
	}
	t.Run("without a word", func(t *testing.T) {
		socket := open(t, c)
		socket.SendBytes(frontdoor.Masked(frontdoor.Final|frontdoor.OpText, ping)[:5])
		require.NoError(t, socket.Close())
	})
}

// A command does what its route does, and is refused as that is.
func socketCommands(t *testing.T, s *frontdoor.Server) {
	cora, dan := frontdoor.SignUp(t, s.URL, "cora"), frontdoor.SignUp(t, s.URL, "dan")
	group, others := newGroup(cora), newGroup(dan)
	theirs := send(t, dan, others, "secret").ID
	socket := open(t, cora)
	do := func(kind string, data map[string]any) frontdoor.SocketFrame {
		t.Helper()
		f := socket.Command(kind, data)
		require.Equal(t, "answer", f.Type, f.Text)
		return f
	}
	type fields = map[string]any

	sent := do("message.send", fields{"chat_id": group, "text": "hi", "client_id": "k"})
	require.JSONEq(t, string(sent.Data), string(do("message.send", fields{"chat_id": group, "text": "hi", "client_id": "k"}).Data), "once")
	id := sent.Field("id")
	path := fmt.Sprint("/v1/messages/", id)
	asRoute := func(got json.RawMessage, r *frontdoor.Response) {
		t.Helper()
		require.JSONEq(t, r.Want(200).Text, string(got))
	}
	reply := do("message.send", fields{"chat_id": group, "text": "to that", "reply_to": id})
	require.Equal(t, id, reply.Field("reply_to"))
	require.Equal(t, "direct", do("message.send", fields{"dest_username": "dan", "text": "hi dan"}).Field("kind"))
	edited := do("message.edit", fields{"message_id": id, "text": "hi all"})
	asRoute(edited.Data, cora.Get(path))
	reaction := do("reaction.add", fields{"message_id": id, "emoji": "like"})
	asRoute(reaction.Data, cora.Do("PUT", path+"/reactions/like", ""))
	asRoute(do("reaction.remove", fields{"message_id": id, "emoji": "like"}).Data, cora.Delete(path+"/reactions/like"))
	asRoute(do("chat.read", fields{"chat_id": group, "seq": 1}).Data, cora.Post(fmt.Sprintf("/v1/chats/%d/read", group), `{"seq":1}`))
	asRoute(do("chat.read", fields{"chat_id": group}).Data, cora.Post(fmt.Sprintf("/v1/chats/%d/read", group), ""))
	asRoute(do("chat.delivered", fields{"chat_id": group, "seq": 1}).Data, cora.Post(fmt.Sprintf("/v1/chats/%d/delivered", group), `{"seq":1}`))
	require.JSONEq(t, `{}`, string(do("message.delete", fields{"message_id": id}).Data))
	require.NotNil(t, cora.Get(path).Want(200).Field("deleted_at"))
	hidden := reply.Field("id")
	require.JSONEq(t, `{}`, string(do("message.delete", fields{"message_id": hidden, "for": "me"}).Data))
	cora.Get(fmt.Sprint("/v1/messages/", hidden)).Want(404)

	for _, row := range []struct {
		kind        string
		data        any
		status      int
		code, field string
	}{
		{"message.send", fields{"text": "hi"}, 400, "recipient_missing", "chat_id"},
		{"message.send", fields{"chat_id": others, "text": "hi"}, 403, "not_a_participant", ""},
		{"message.send", fields{"chat_id": 1 << 60, "text": "hi"}, 403, "not_a_participant", ""},
		{"message.send", fields{"dest_username": "nobody", "text": "hi"}, 400, "user_not_found", "dest_username"},
		{"message.send", fields{"chat_id": group}, 400, "malformed_request", "text"},
		{"message.send", fields{"chat_id": group, "text": ""}, 400, "malformed_request", "text"},
		{"message.send", fields{"chat_id": group, "text": "\x00"}, 400, "message_invalid", "text"},
		{"message.send", fields{"chat_id": group, "text": strings.Repeat("x", 10_001)}, 400, "malformed_request", "text"},
		{"message.send", fields{"chat_id": group, "text": "hi", "reply_to": theirs}, 400, "reply_to_invalid", "reply_to"},
		{"message.send", fields{"chat_id": group, "text": "hi", "client_id": strings.Repeat("x", 300)}, 400, "client_id_invalid", "client_id"},
		{"message.send", fields{"chat_id": "1", "text": "hi"}, 400, "malformed_request", "chat_id"},
		{"message.send", fields{"chat_id": 0, "text": "hi"}, 400, "recipient_missing", "chat_id"},
		{"message.send", nil, 400, "malformed_request", "text"},
		{"message.send", []any{}, 400, "malformed_request", "data"},
		{"message.edit", fields{"message_id": theirs, "text": "hi"}, 404, "message_not_found", ""},
		{"message.edit", fields{"text": "hi"}, 400, "malformed_request", "message_id"},
		{"message.delete", fields{"message_id": theirs}, 404, "message_not_found", ""},
		{"message.delete", fields{"message_id": theirs, "for": "nobody"}, 400, "malformed_request", "for"},
		{"reaction.add", fields{"message_id": theirs, "emoji": "like"}, 404, "message_not_found", ""},
		{"reaction.add", fields{"message_id": id, "emoji": "x"}, 400, "emoji_invalid", "emoji"},
		{"reaction.remove", fields{"message_id": theirs, "emoji": "like"}, 404, "message_not_found", ""},
		{"chat.read", fields{"chat_id": others}, 403, "not_a_participant", ""},
		{"chat.read", fields{"chat_id": group, "seq": 99}, 400, "seq_invalid", "seq"},
		{"chat.delivered", fields{"chat_id": others, "seq": 1}, 403, "not_a_participant", ""},
		{"chat.delivered", fields{"chat_id": group}, 400, "malformed_request", "seq"},
	} {
		t.Run(fmt.Sprint(row.kind, " ", row.code, " ", row.field), func(t *testing.T) {
			f := socket.Command(row.kind, row.data)
			require.Equal(t, "error", f.Type, f.Text)
			require.EqualValues(t, row.status, f.Field("status"), f.Text)
			require.Equal(t, row.code, f.Field("code"), f.Text)
			if row.field == "" {
				require.Nil(t, f.Field("field"))
			} else {
				require.Equal(t, row.field, f.Field("field"), f.Text)
			}
			require.NotEmpty(t, f.Field("title"))
			require.NotEmpty(t, f.Field("detail"))
		})
	}
}

func socketTooMany(t *testing.T, s *frontdoor.Server) {
	c := frontdoor.SignUp(t, s.URL, "tom")
	var all []*frontdoor.Socket
	for range 40 {
		all = append(all, open(t, c))
	}
	r, _ := c.Handshake("/v1/ws")
	require.Equal(t, 429, r.StatusCode, r.Text)
	require.Equal(t, "too_many_connections", r.Field("code"))
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	open(t, frontdoor.SignUp(t, s.URL, "tina")) // somebody else

	all[0].SendBytes(frontdoor.Masked(frontdoor.Final|frontdoor.OpClose, nil))
	require.Eventually(t, func() bool {
		r, _ := c.Handshake("/v1/ws")
		return r.StatusCode == http.StatusSwitchingProtocols
	}, 20*time.Second, 5*time.Millisecond)
}

// One who does not read is in nobody's way, and comes back to what it has missed.
func TestWebSocketThatDoesNotRead(t *testing.T) {
	s := frontdoor.Start(t, frontdoor.Options{})
	sam, quick := frontdoor.SignUp(t, s.URL, "sam"), frontdoor.SignUp(t, s.URL, "quentin")
	group := newGroup(sam)
	add(t, sam, group, "quentin")
	slow := sam.Socket("/v1/ws")
	require.NoError(t, slow.Conn.(*net.TCPConn).SetReadBuffer(16<<10))
	cursor := slow.Next().ID
	listener := open(t, quick)

	const batches, each = 8, 100
	texts := make([]string, each)
	for i := range texts {
		texts[i] = strings.Repeat("x", 9_000) + fmt.Sprint(i)
	}
	body := frontdoor.JSON(t, map[string]any{"texts": texts})
	for range batches { // some MB more than what a connection holds
		sam.Post(fmt.Sprintf("/v1/chats/%d/messages", group), body).Want(200)
		for _, text := range texts {
			require.Equal(t, text, listener.Await("message.created").Field("text"))
		}
	}

	next := 1.0
	note := func(f frontdoor.SocketFrame) {
		require.Equal(t, "message.created", f.Type)
		require.Equal(t, next, f.Field("seq"))
		next++
		cursor = f.ID
	}
	for {
		f, err := slow.TryNext()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) { // it did not read for ten seconds
				require.ErrorContains(t, err, "closed: 0fa0") // 4000
			}
			break
		}
		note(f)
	}
	require.Less(t, next, float64(batches*each))
	slow = sam.Socket("/v1/ws?after=" + cursor)
	require.Equal(t, "hello", slow.Next().Type)
	for next <= batches*each {
		note(slow.Next())
	}
}

func socketSessions(t *testing.T, s *frontdoor.Server) {
	phone, laptop := frontdoor.SignUp(t, s.URL, "sue"), frontdoor.NewClient(t, s.URL)
	login(t, laptop, "sue")
	one, two := open(t, phone), open(t, laptop)
	phone.Post("/v1/auth/logout", "").Want(200)
	require.JSONEq(t, `{"code":"session_ended"}`, one.WantClose(4100))
	require.Equal(t, "answer", two.Command("ping", nil).Type)
	laptop.Delete("/v1/me").Want(200)
	two.WantClose(4100)
}

func socketReload(t *testing.T, s *frontdoor.Server) {
	rita, ron := frontdoor.SignUp(t, s.URL, "rita"), frontdoor.SignUp(t, s.URL, "ron")
	one, two := open(t, rita), open(t, ron)
	lifeReload(t, s, `
http://127.0.0.1:{$PORT} {
	log {
		output file {$DIR}/access.log
	}
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`, rita, ron)
	answer := one.Command("message.send", map[string]any{"dest_username": "ron", "text": "still here?"})
	require.Equal(t, "answer", answer.Type, answer.Text)
	require.Equal(t, "still here?", two.Await("message.created").Field("text"))
}

// Over TLS, its page must have come so, too; and over HTTP/2, there is none.
func TestWebSocketNeedsHTTP1(t *testing.T) {
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: `
{
	skip_install_trust
	auto_https disable_redirects
}
https://127.0.0.1:{$PORT} {
	tls internal
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}
`})
	site := strings.Replace(s.URL, "http://", "https://", 1)
	c := frontdoor.NewClient(t, site)
	c.HTTP.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // a certificate of its own
	require.Eventually(t, func() bool {                                                        // it is made after the start
		_, err := c.Try(t.Context(), "GET", "/v1/openapi.json", "")
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	c.Post("/v1/auth/register", credentials(t, "tess", "open sesame")).Want(200)
	login(t, c, "tess")

	r := c.Get("/v1/ws").Want(501)
	require.Equal(t, 2, r.ProtoMajor)
	require.Equal(t, "no_upgrade", r.Field("code"))
	require.Empty(t, r.Header.Get("Upgrade"))
	require.Empty(t, r.Header.Get("Connection"))

	require.Equal(t, "answer", open(t, c).Command("ping", nil).Type)
	c.Socket("/v1/ws", "Origin", site)
	refused, _ := c.Handshake("/v1/ws", "Origin", s.URL)
	refused.Want(403)
}
