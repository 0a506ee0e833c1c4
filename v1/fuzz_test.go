package v1_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
	v1 "github.com/caddymsg/messaging/v1"
)

// server is an API in this process, and alice, who has a group, a chat with
// bob, and a session.
type server struct {
	api    *v1.API
	rules  *chat.Service
	cookie string // alice's
	group  int64
	direct int64
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Database: filepath.Join(tb.TempDir(), "messaging.db")})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	cookies, err := auth.NewCookies(strings.Repeat("s", auth.MinSecretLength))
	require.NoError(tb, err)
	log := slog.New(slog.DiscardHandler)
	rules := chat.New(s, log)
	accounts := auth.New(s, rules, auth.NewHasher(auth.NewHashQueue(), 4),
		auth.Options{Cookies: cookies, SessionLifetime: 24 * time.Hour, PasswordMinLength: 8, WakeMailing: func() {}}, log)
	api, err := v1.New(v1.Options{Chat: rules, Auth: accounts, Log: log})
	require.NoError(tb, err)

	srv := &server{api: api, rules: rules}
	for _, name := range []string{"alice", "bob"} {
		srv.want200(tb, "POST", "/v1/auth/register", fmt.Sprintf(`{"username":%q,"password":"open sesame"}`, name))
	}
	login := srv.want200(tb, "POST", "/v1/auth/login", `{"username":"alice","password":"open sesame"}`)
	srv.cookie = strings.SplitN(login.Header().Get("Set-Cookie"), ";", 2)[0]
	id := func(answer *httptest.ResponseRecorder) int64 {
		var body struct {
			ChatID int64 `json:"chat_id"`
		}
		require.NoError(tb, json.Unmarshal(answer.Body.Bytes(), &body))
		return body.ChatID
	}
	srv.group = id(srv.want200(tb, "POST", "/v1/group_chat", ""))
	srv.direct = id(srv.want200(tb, "POST", "/v1/messages", `{"dest_username":"bob","message":"hi"}`))
	srv.want200(tb, "POST", "/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"hi all"}`, srv.group))
	return srv
}

func (s *server) want200(tb testing.TB, method, path, body string) *httptest.ResponseRecorder {
	tb.Helper()
	answer := s.ask(tb, request(method, path, "", []byte(body)))
	require.Equal(tb, http.StatusOK, answer.Code, answer.Body)
	return answer
}

// request is one as a server would make it. path is escaped; the fuzzer's input
// must be, too, and it returns nil for what can't be in a request line.
func request(method, path, query string, body []byte) *http.Request {
	u, err := url.ParseRequestURI(path + "?" + query)
	if err != nil {
		return nil
	}
	r := httptest.NewRequest(method, "/", bytes.NewReader(body))
	r.URL, r.RequestURI = u, u.RequestURI()
	return r
}

// ask sends a request, as alice unless it has a cookie of its own, and fails
// the test unless the answer is one that this API may give.
func (s *server) ask(tb testing.TB, r *http.Request) *httptest.ResponseRecorder {
	tb.Helper()
	if r.Header["Cookie"] == nil && s.cookie != "" {
		r.Header.Set("Cookie", s.cookie)
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r.WithContext(auth.WithRequest(tb.Context(), auth.Request{ID: "request-1"})))
	body := w.Body.Bytes()
	require.True(tb, json.Valid(body), "%d: %q", w.Code, body)
	if w.Code == http.StatusOK {
		require.Equal(tb, "application/json", w.Header().Get("Content-Type"))
		return w
	}
	require.Equal(tb, "application/problem+json", w.Header().Get("Content-Type"))
	require.True(tb, 400 <= w.Code && w.Code < 500, "%d: %s", w.Code, body)
	var p v1.Problem
	require.NoError(tb, json.Unmarshal(body, &p))
	require.Equal(tb, w.Code, p.Status)
	require.NotEmpty(tb, p.Code)
	require.NotEmpty(tb, p.Detail)
	require.Equal(tb, "request-1", p.RequestID)
	return w
}

// shapes are bodies that are wrong for every route.
var shapes = []string{
	"", "{", "{}", "[]", "null", "true", `"text"`, "1", "1e999", "{}{}", `{"":null}`, "\xff", "\x00", "\ufeff{}", "[[[[[[[[[[[[",
	`{"a":1,"a":2}`, strings.Repeat("[", 20_000), strings.Repeat(" ", 64<<10+1),
}

// values are put in place of a field's.
var values = []string{
	`"alice"`, `"bob"`, `"nobody"`, `""`, `"a/b"`, `".."`, `"a\u0000b"`, `"\ud800"`, `"\u202e"`, `"ＡＬＩＣＥ"`, `"ß"`, `"` + strings.Repeat("名", 65) + `"`,
	`"1"`, `1`, `0`, `-1`, `1.0`, `1.5`, `1e3`, `1e-3`, `1e999`, `99999999999999999999`, `"99999999999999999999"`, "null", "true", "[]", "{}", `[null]`,
	`"` + strings.Repeat("x", 10_001) + `"`, `"` + strings.Repeat("\U0001F600", 10_000) + `"`, "\"\xff\"",
}

func addBodies(f *testing.F, templates ...string) {
	for _, body := range shapes {
		f.Add([]byte(body))
	}
	for _, template := range templates {
		for _, value := range values {
			f.Add([]byte(strings.ReplaceAll(template, "?", value)))
		}
	}
}

func FuzzRegister(f *testing.F) {
	addBodies(f, `{"username":?,"password":"open sesame"}`, `{"username":"new","password":?}`, `{"username":?}`, `{"USERNAME":?,"password":"open sesame"}`,
		`{"username":"new","password":"short","email":?,"invitation":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s.ask(t, request("POST", "/v1/auth/register", "", body))
	})
}

func FuzzLogin(f *testing.F) {
	addBodies(f, `{"username":?,"password":"open sesame"}`, `{"username":"alice","password":?}`)
	f.Add([]byte(`{"username":"bob","password":"open sesame"}`))
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request("POST", "/v1/auth/login", "", body)
		r.Header.Set("Cookie", "session=none") // alice's would end with a login
		s.ask(t, r)
	})
}

func FuzzCreateGroup(f *testing.F) {
	addBodies(f, `{"title":?}`, `{"description":?}`, `{"visibility":?}`, `{"managed_by":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s.ask(t, request("POST", "/v1/group_chat", "", body))
	})
}

// What is changed is what is read back.
func FuzzUpdateGroup(f *testing.F) {
	addBodies(f, `{"title":?}`, `{"description":?}`, `{"visibility":?}`, `{"managed_by":?}`,
		`{"title":?,"description":"text","visibility":"public","managed_by":"admins"}`)
	s := newServer(f)
	path := fmt.Sprint("/v1/group_chat/", s.group)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := s.want200(t, "GET", path, "").Body.String()
		answer := s.ask(t, request("PATCH", path, "", body))
		if answer.Code == http.StatusOK {
			before = answer.Body.String()
		}
		require.Equal(t, before, s.want200(t, "GET", path, "").Body.String())
	})
}

// There is one owner, whatever is asked for.
func FuzzSetRole(f *testing.F) {
	addRoles := func(user string) {
		for _, value := range append(values, `"owner"`, `"admin"`, `"member"`, `"Owner"`) {
			f.Add(user, []byte(`{"role":`+value+`}`))
		}
	}
	addRoles("bob")
	addRoles("alice")
	for _, segment := range segments {
		f.Add(segment, []byte(`{"role":"admin"}`))
	}
	for _, body := range shapes {
		f.Add("bob", []byte(body))
	}
	s := newServer(f)
	people := fmt.Sprint("/v1/group_chat/", s.group, "/participants")
	s.want200(f, "POST", people, `{"username":"bob"}`)
	f.Fuzz(func(t *testing.T, user string, body []byte) {
		if r := request("PATCH", people+"/"+user, "", body); r != nil {
			s.ask(t, r)
			require.Equal(t, 1, strings.Count(s.want200(t, "GET", people, "").Body.String(), `"role":"owner"`))
		}
	})
}

func FuzzCreateInvite(f *testing.F) {
	addBodies(f, `{"expires_in":?}`, `{"max_uses":?}`, `{"expires_in":?,"max_uses":1}`)
	f.Add([]byte(`{"expires_in":31104000,"max_uses":100000}`))
	s := newServer(f)
	path := fmt.Sprint("/v1/group_chat/", s.group, "/invites")
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := s.ask(t, request("POST", path, "", body))
		if answer.Code != http.StatusOK {
			return
		}
		var invite struct {
			ID    int64
			Token string
		}
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &invite))
		s.want200(t, "GET", "/v1/invites/"+invite.Token, "")
		s.want200(t, "DELETE", fmt.Sprint(path, "/", invite.ID), "")
	})
}

// Nobody guesses a token, nor breaks anything by trying.
func FuzzAcceptInvite(f *testing.F) {
	for _, segment := range segments {
		f.Add(segment)
	}
	s := newServer(f)
	s.want200(f, "POST", fmt.Sprint("/v1/group_chat/", s.group, "/invites"), "")
	f.Fuzz(func(t *testing.T, token string) {
		for _, method := range []string{"GET", "POST"} {
			if r := request(method, "/v1/invites/"+token, "", nil); r != nil {
				require.NotEqual(t, http.StatusOK, s.ask(t, r).Code)
			}
		}
	})
}

// segments are what may stand between two slashes of a path.
var segments = []string{
	"0", "1", "2", "3", "-1", "01", "1.0", "x", "", ".", "..", "%2E%2E", "%2F", "%00", "%FF", "%", "%zz", "a b", "bob", "BOB", "nobody", "%E5%90%8D",
	"9223372036854775807", "9223372036854775808", "99999999999999999999999", "{group_chat_id}", "{$}", "bob;x", "%F0%9F%98%80", strings.Repeat("x", 8000),
}

func FuzzAddParticipant(f *testing.F) {
	for _, id := range segments {
		f.Add(id, []byte(`{"username":"bob"}`))
	}
	for _, id := range []string{"1", "2"} { // the group, and the chat with bob
		for _, body := range shapes {
			f.Add(id, []byte(body))
		}
		for _, value := range values {
			f.Add(id, []byte(`{"username":`+value+`}`))
		}
	}
	s := newServer(f)
	require.Equal(f, [2]int64{1, 2}, [2]int64{s.group, s.direct})
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		if r := request("POST", "/v1/group_chat/"+id+"/participants", "", body); r != nil {
			s.ask(t, r)
		}
	})
}

func FuzzRemoveParticipant(f *testing.F) {
	for _, segment := range segments {
		f.Add(segment, "bob")
		f.Add("1", segment)
		f.Add("2", segment)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, id, user string) {
		if r := request("DELETE", "/v1/group_chat/"+id+"/participants/"+user, "", nil); r != nil {
			s.ask(t, r)
		}
	})
}

func FuzzSendMessage(f *testing.F) {
	for _, body := range shapes {
		f.Add([]byte(body), "")
	}
	for _, template := range []string{
		`{"group_chat_id":?,"message":"hi"}`, `{"dest_username":?,"message":"hi"}`, `{"group_chat_id":1,"message":?}`,
		`{"dest_username":"bob","message":?}`, `{"group_chat_id":?,"dest_username":"bob","message":"hi"}`,
		`{"group_chat_id":1,"message":"hi","poll":?}`, `{"group_chat_id":1,"message":"hi","poll":{"options":?}}`,
		`{"group_chat_id":1,"message":"hi","poll":{"options":["a",?]}}`, `{"group_chat_id":1,"message":"hi","poll":{"options":["a","b"],"closes_in":?}}`,
		`{"group_chat_id":null,"dest_username":?,"message":"hi"}`, `{"dest_username":"bob","message":"hi","client_id":?}`,
	} {
		for _, value := range values {
			f.Add([]byte(strings.ReplaceAll(template, "?", value)), "")
		}
	}
	for _, key := range []string{"key", "a\tb", "\xff", "名", " ", strings.Repeat("k", 129)} {
		f.Add([]byte(`{"group_chat_id":1,"message":"hi"}`), key)
		f.Add([]byte(`{"group_chat_id":1,"message":"hi","client_id":"other"}`), key)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		r := request("POST", "/v1/messages", "", body)
		r.Header.Set("Idempotency-Key", key)
		s.ask(t, r)
	})
}

// A reaction is shown as it is answered, and taken back by the same name.
func FuzzReact(f *testing.F) {
	for _, segment := range segments {
		f.Add(segment, "like")
		f.Add("2", segment)
	}
	for _, emoji := range []string{"like", "👍", "❤", "❤\ufe0f", "1\u20e3", "🇺🇦", "👩🏻‍❤️‍💋‍👩🏼", "👍👍", "🏴\U000e0067\U000e0062\U000e007f"} {
		f.Add("2", url.PathEscape(emoji))
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, id, segment string) {
		r := request("PUT", "/v1/messages/"+id+"/reactions/"+segment, "", nil)
		if r == nil {
			return
		}
		answer := s.ask(t, r)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"message_id":2,`) {
			return
		}
		var put struct{ Emoji string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &put))
		emoji, err := json.Marshal(put.Emoji)
		require.NoError(t, err)
		there := fmt.Sprintf(`[{"emoji":%s,"count":1,"me":true,"users":[{"user_id":1,"username":"alice"}]}]`, emoji)
		require.JSONEq(t, there, s.want200(t, "GET", "/v1/messages/2/reactions", "").Body.String())
		s.want200(t, "DELETE", r.URL.EscapedPath(), "")
		require.JSONEq(t, `[]`, s.want200(t, "GET", "/v1/messages/2/reactions", "").Body.String())
	})
}

// Whatever is sent, nobody has more votes than one a person and option.
func FuzzVote(f *testing.F) {
	addBodies(f, `{"options":?}`, `{"options":[?]}`, `{"options":[0,?]}`, `{"options":[1],"x":?}`)
	for _, options := range []string{"[]", "[0]", "[0,1,2]", "[2,1,0]", "[1,1]", "[-1]", "[3]", "[0,1,2,3,4,5,6,7,8,9,10]"} {
		f.Add([]byte(`{"options":` + options + `}`))
	}
	s := newServer(f)
	s.want200(f, "POST", "/v1/messages", // message 3
		`{"group_chat_id":1,"message":"?","poll":{"options":["a","b","c"],"multiple":true}}`)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := s.want200(t, "GET", "/v1/messages/3/poll", "").Body.String()
		answer := s.ask(t, request("PUT", "/v1/messages/3/poll/votes", "", body))
		after := s.want200(t, "GET", "/v1/messages/3/poll", "").Body.String()
		if answer.Code != http.StatusOK {
			require.Equal(t, before, after)
			return
		}
		require.Equal(t, answer.Body.String(), after)
		var poll v1.Poll
		require.NoError(t, json.Unmarshal([]byte(after), &poll))
		voters := 0
		for _, o := range poll.Options {
			require.Equal(t, o.Me, o.Votes == 1)
			voters = max(voters, o.Votes)
		}
		require.Equal(t, voters, poll.Voters)
	})
}

// queries page a history, well or badly.
var queries = []string{
	"", "limit=1", "limit=500", "limit=501", "limit=0", "limit=-1", "limit=x", "limit=", "limit", "limit=1&limit=2", "limit=%00", "limit=%", "limit=1;after=1",
	"before=1", "before=0", "before=-1", "before=9223372036854775807", "before=9223372036854775808", "after=1", "after=9223372036854775807",
	"after=-9223372036854775808", "after=5&before=2", "limit=2&after=1&before=3", "limit=1e3", "limit=0x1", "limit=+1", "limit=%31", "LIMIT=0", "a[]=b", "&&&", "%=%",
}

func FuzzListMessages(f *testing.F) {
	for _, query := range queries {
		f.Add(query)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/v1/messages", "/v1/group_chat/messages"} {
			if r := request("GET", path, query, nil); r != nil {
				s.ask(t, r)
			}
		}
	})
}

func FuzzListGroupMessages(f *testing.F) { fuzzList(f, "group", "1") }

func FuzzListDirectMessages(f *testing.F) { fuzzList(f, "p2p", "bob") }

func fuzzList(f *testing.F, of, good string) {
	for _, query := range queries {
		f.Add(good, query)
	}
	for _, segment := range segments {
		f.Add(segment, "")
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, segment, query string) {
		for _, prefix := range []string{"/v1/messages/", "/v1/group_chat/messages/"} {
			if r := request("GET", prefix+of+"/"+segment, query, nil); r != nil {
				s.ask(t, r)
			}
		}
	})
}

func FuzzOpenChat(f *testing.F) {
	addBodies(f, `{"username":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s.ask(t, request("POST", "/v1/chats", "", body))
	})
}

func FuzzListChats(f *testing.F) {
	for _, query := range append(slices.Clone(queries),
		"archived=true", "archived=false&kind=group", "archived=TRUE", "archived=1", "kind=", "kind=self&kind=group", "kind=Group",
		"offset=1", "offset=-1", "offset=1000001", "offset=99999999999999999999", "limit=1&offset=1",
	) {
		f.Add(query)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, query string) {
		if r := request("GET", "/v1/chats", query, nil); r != nil {
			s.ask(t, r)
		}
	})
}

// What is changed is what is read back.
func FuzzUpdateChat(f *testing.F) {
	addBodies(f, `{"muted_until":?}`, `{"archived":?}`, `{"marked_unread":?}`, `{"archived":true,"muted_until":?}`)
	for _, at := range []string{
		"2999-01-02T03:04:05Z", "2999-01-02T03:04:05.123456789+14:00", "2999-01-02t03:04:05z", "9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z",
		"2999-01-02", "2999-01-02T24:00:00Z", "2999-02-30T00:00:00Z", "2999-01-02T03:04:05", "-2999-01-02T03:04:05Z", "10000-01-01T00:00:00Z",
		"2999-01-02T03:04:60Z", "2999-01-02T03:04:05,5Z", "2999-01-02T3:04:05Z",
	} {
		f.Add([]byte(`{"muted_until":"` + at + `"}`))
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := s.want200(t, "GET", "/v1/chats/1", "").Body.String()
		answer := s.ask(t, request("PATCH", "/v1/chats/1", "", body))
		after := s.want200(t, "GET", "/v1/chats/1", "").Body.String()
		if answer.Code == http.StatusOK {
			require.Equal(t, answer.Body.String(), after)
		} else {
			require.Equal(t, before, after)
		}
	})
}

func FuzzRead(f *testing.F) {
	addBodies(f, `{"seq":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/chats/2/read", "/v1/chats/2/delivered"} {
			s.ask(t, request("POST", path, "", body))
		}
	})
}

// What stands in a path names a thing of alice's, or nothing.
func FuzzChatPaths(f *testing.F) {
	for _, segment := range append(slices.Clone(segments), "unread", "unread/read", "1/read", "group", "p2p") {
		f.Add(segment)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, segment string) {
		for _, call := range []string{"GET /v1/chats/%s", "PATCH /v1/chats/%s", "POST /v1/chats/%s/read", "GET /v1/messages/%s/readers"} {
			method, path, _ := strings.Cut(fmt.Sprintf(call, segment), " ")
			if r := request(method, path, "", []byte("{}")); r != nil {
				s.ask(t, r)
			}
		}
	})
}

// What is changed is what is read back, and a name is nobody else's.
func FuzzUpdateMe(f *testing.F) {
	addBodies(f, `{"username":?}`, `{"display_name":?}`, `{"email":?}`, `{"locale":?}`, `{"about":?}`,
		`{"presence":?}`, `{"username":"bob","about":?}`, `{"email":"alice@example.com","locale":"uk","x":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := s.want200(t, "GET", "/v1/me", "").Body.String()
		answer := s.ask(t, request("PATCH", "/v1/me", "", body))
		after := s.want200(t, "GET", "/v1/me", "").Body.String()
		if answer.Code == http.StatusOK {
			require.Equal(t, answer.Body.String(), after)
		} else {
			require.Equal(t, before, after)
		}
		var me struct{ Username string }
		require.NoError(t, json.Unmarshal([]byte(after), &me))
		require.NotEqual(t, "bob", strings.ToLower(me.Username))
		s.want200(t, "PATCH", "/v1/me", `{"username":"alice"}`)
	})
}

// A filter of any kind is no error, and never shows more than there is.
func FuzzListUsers(f *testing.F) {
	for _, query := range []string{
		"", "username=bob", "username-like=%25", "ordered-by=username&ordered-by-desc=id", "limit=1&offset=1", "limit=-1", "limit=1e9",
		"id=1", "id=99999999999999999999", "created_at=2021-10-30T12:00:00Z", "created_at=9999999999-01-01", "password_hash-like=a",
		"%zz=%zz", "&&&===", "username=%00", "username=%ff", "ordered-by=1;DROP TABLE users", "username-like=" + strings.Repeat("a", 5000),
	} {
		f.Add(query)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := request("GET", "/v1/users", query, nil)
		if r == nil {
			return
		}
		answer := s.ask(t, r)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		var users []struct{ Username string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &users))
		require.LessOrEqual(t, len(users), 2)
	})
}

// admin makes alice one.
func (s *server) admin(tb testing.TB) *server {
	tb.Helper()
	missing, err := s.rules.GrantAdmin(tb.Context(), chat.Operator("test"), []string{"alice"})
	require.NoError(tb, err)
	require.Empty(tb, missing)
	return s
}

// What an admin changes is what is read back; alice stays signed in, and an admin.
func FuzzUpdateAccount(f *testing.F) {
	addBodies(f, `{"username":?}`, `{"display_name":?}`, `{"email":?}`, `{"locale":?}`, `{"about":?}`, `{"admin":?}`, `{"deactivated":?}`,
		`{"username":"alice","admin":?}`, `{"admin":true,"deactivated":true,"x":?}`)
	s := newServer(f).admin(f)
	const bob = "/v1/admin/users/2"
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.Contains(bytes.ToLower(body), []byte("password")) {
			return // which takes a quarter of a second
		}
		before := s.want200(t, "GET", bob, "").Body.String()
		answer := s.ask(t, request("PATCH", bob, "", body))
		after := s.want200(t, "GET", bob, "").Body.String()
		if answer.Code == http.StatusOK {
			require.Equal(t, answer.Body.String(), after)
		} else {
			require.Equal(t, before, after)
		}
		require.NotContains(t, after, "password")
		s.want200(t, "PATCH", bob, `{"username":"bob","admin":false,"deactivated":false}`)
	})
}

func FuzzCreateAccount(f *testing.F) {
	addBodies(f, `{"username":?,"password":"x"}`, `{"username":"new","password":?}`, `{"username":"new","password":"short","email":?}`, `{"admin":?}`)
	s := newServer(f).admin(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s.ask(t, request("POST", "/v1/admin/users", "", body))
	})
}

func FuzzCreateInvitation(f *testing.F) {
	addBodies(f, `{"note":?}`, `{"max_uses":?}`, `{"expires_at":?}`, `{"note":"one","max_uses":1,"expires_at":?,"x":?}`)
	for _, at := range []string{"0000-01-01T00:00:00Z", "2030-01-02T03:04:05.123456789+14:00", "9999-12-31T23:59:59-23:59"} {
		f.Add([]byte(`{"expires_at":"` + at + `"}`))
	}
	s := newServer(f).admin(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := s.ask(t, request("POST", "/v1/admin/invitations", "", body))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge}, answer.Code)
	})
}

func fuzzAdminList(f *testing.F, path string, statuses ...int) {
	for _, query := range []string{
		"", "username=bob", "email-like=%25", "ordered-by=deactivated&ordered-by-desc=admin", "limit=1&offset=1", "limit=-1", "limit=1e9",
		"admin=true&deactivated=false", "admin=1", "deactivated=%00", "id=99999999999999999999", "created_at=2021-10-30T12:00:00Z",
		"action=user.signed_in", "action=%00", "actor=1&user=1&chat=1", "actor=0", "from=2021-10-30T12:00:00Z&to=9999-12-31T23:59:59Z",
		"from=0000-01-01T00:00:00Z", "before=9223372036854775807", "offset=9223372036854775807", "%zz=%zz", "&&&===",
	} {
		f.Add(query)
	}
	s := newServer(f).admin(f)
	f.Fuzz(func(t *testing.T, query string) {
		if r := request("GET", path, query, nil); r != nil {
			require.Contains(t, statuses, s.ask(t, r).Code)
		}
	})
}

func FuzzListAccounts(f *testing.F)  { fuzzAdminList(f, "/v1/admin/users", 200) }
func FuzzInvitations(f *testing.F)   { fuzzAdminList(f, "/v1/admin/invitations", 200, 400) }
func FuzzListAllGroups(f *testing.F) { fuzzAdminList(f, "/v1/admin/group_chat", 200, 400) }
func FuzzAuditLog(f *testing.F)      { fuzzAdminList(f, "/v1/admin/audit_log", 200, 400) }

func FuzzCookie(f *testing.F) {
	s := newServer(f)
	name, value, _ := strings.Cut(s.cookie, "=")
	require.Equal(f, "session", name)
	for _, cookie := range []string{
		"", "session", "session=", "session=x", "session=%%%", "=", ";", "session=a; session=b", `session="quoted"`, "\xff", "__Host-session=" + value,
		s.cookie, s.cookie + "; session=x", "session=x; " + s.cookie, s.cookie[:40], s.cookie + "A", s.cookie + value, "session=" + strings.Repeat("A", 9000),
		strings.Repeat("a=b; ", 3500), "session=\x00", "$Version=1; " + s.cookie,
	} {
		f.Add(cookie)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		for method, path := range map[string]string{"GET": "/v1/messages", "DELETE": "/v1/group_chat/1/participants/nobody"} {
			r := request(method, path, "", nil)
			r.Header["Cookie"] = []string{cookie}
			s.ask(t, r)
		}
		r := request("POST", "/v1/auth/login", "", []byte(`{"username":"alice","password":"open sesame!"}`))
		r.Header["Cookie"] = []string{cookie}
		require.Equal(t, http.StatusBadRequest, s.ask(t, r).Code)
	})
}

// FuzzSearch looks for whatever somebody types.
func FuzzSearch(f *testing.F) {
	srv := newServer(f)
	for _, query := range []string{
		"q=hi", "q=HI+all&in=messages&sender=alice&from=2021-10-30&to=2999-01-01T00:00:00Z", "q=%E5%8C%97%E4%BA%AC", "q=%00", "q=%ff",
		"q=ali&in=users&offset=1", "q=a&in=groups", "q=a&in=x", "q=a&chat=0", "q=a&chat=1", "q=a&before=9223372036854775807", "q='\"--%25",
		"q=a&to=9999-12-31", "q=a&from=-1", "q=a;b&limit=501", "q=" + strings.Repeat("a+", 150), "q=" + strings.Repeat("%E5%8C%97", 200),
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := request("GET", "/v1/search", query, nil)
		if r == nil {
			return
		}
		answer := srv.ask(t, r)
		switch answer.Code {
		case http.StatusOK:
			var body map[string][]json.RawMessage
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
			require.Len(t, body, 1)
		case http.StatusBadRequest, http.StatusForbidden:
		default:
			require.Fail(t, "unexpected", "%d: %s", answer.Code, answer.Body)
		}
	})
}
