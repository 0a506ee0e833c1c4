package caddymsg_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestChats is about the list of one's chats, and about what one has read.
func TestChats(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"list", listChats},
			{"open", openChats},
			{"settings", chatSettings},
			{"reading", reading},
			{"deletion", deleteChats},
			{"deletion while somebody writes", deleteWhileSending},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

type chatAnswer struct {
	ID          int64
	Kind        string
	Title       string
	Visibility  string
	Role        string
	Other       *userAnswer
	LastMessage *message `json:"last_message"`
	watermarks
	LastSeq      int64   `json:"last_seq"`
	MutedUntil   *string `json:"muted_until"`
	Archived     bool
	ActiveAt     string `json:"active_at"`
	CreatedAt    string `json:"created_at"`
	Participants int    `json:"participant_count"`
}

type watermarks struct {
	ReadSeq      int64 `json:"read_seq"`
	DeliveredSeq int64 `json:"delivered_seq"`
	Unread       int64 `json:"unread_count"`
	MarkedUnread bool  `json:"marked_unread"`
}

func chatPath(id any, rest ...any) string {
	return "/v1/chats/" + fmt.Sprint(append([]any{id}, rest...)...)
}

func listOfChats(c *frontdoor.Client, query string) []chatAnswer {
	return decode[[]chatAnswer](c.Get("/v1/chats" + query))
}

func chatIDsOf(chats []chatAnswer) []int64 {
	ids := []int64{}
	for _, c := range chats {
		ids = append(ids, c.ID)
	}
	return ids
}

func openWith(t *testing.T, c *frontdoor.Client, username string) chatAnswer {
	t.Helper()
	return decode[chatAnswer](c.Post("/v1/chats", frontdoor.JSON(t, map[string]string{"username": username})))
}

func listChats(t *testing.T, s *frontdoor.Server) {
	ann, ben := frontdoor.SignUp(t, s.URL, "ann"), frontdoor.SignUp(t, s.URL, "ben")
	require.Equal(t, "[]\n", ann.Get("/v1/chats").Want(http.StatusOK).Text)
	ben.Do("PATCH", "/v1/me", `{"display_name": "Ben 🙂", "email": "ben@example.com", "current_password": "open sesame"}`).Want(http.StatusOK)

	group := decode[struct {
		ID int64 `json:"chat_id"`
	}](ann.Post("/v1/group_chat", `{"title":"Weekend"}`)).ID
	add(t, ann, group, "ben")
	note := send(t, ann, "ann", "note")
	last := send(t, ben, "ann", "hi")

	all := listOfChats(ann, "")
	require.Equal(t, []int64{last.ChatID, note.ChatID, group}, chatIDsOf(all))
	require.Equal(t, chatAnswer{
		ID: last.ChatID, Kind: "direct", Other: &userAnswer{ID: all[0].Other.ID, Username: "ben", DisplayName: "Ben 🙂"},
		LastMessage: &last, LastSeq: 1, watermarks: watermarks{Unread: 1}, Participants: 2,
		ActiveAt: last.CreatedAt, CreatedAt: all[0].CreatedAt,
	}, all[0])
	require.Equal(t, chatAnswer{
		ID: note.ChatID, Kind: "self", LastMessage: &note, LastSeq: 1, watermarks: watermarks{ReadSeq: 1, DeliveredSeq: 1},
		Participants: 1, ActiveAt: note.CreatedAt, CreatedAt: all[1].CreatedAt,
	}, all[1])
	require.Equal(t, chatAnswer{
		ID: group, Kind: "group", Title: "Weekend", Visibility: "private", Role: "owner", Participants: 2,
		ActiveAt: all[2].CreatedAt, CreatedAt: all[2].CreatedAt,
	}, all[2])
	for _, c := range all {
		require.Equal(t, c, decode[chatAnswer](ann.Get(chatPath(c.ID))))
		require.NotEmpty(t, c.CreatedAt)
	}
	require.Equal(t, "member", decode[chatAnswer](ben.Get(chatPath(group))).Role)

	for query, want := range map[string][]int64{
		"?kind=group":          {group},
		"?kind=direct":         {last.ChatID},
		"?kind=self":           {note.ChatID},
		"?limit=1":             {last.ChatID},
		"?limit=1&offset=1":    {note.ChatID},
		"?offset=3":            {},
		"?archived=true":       {},
		"?archived=false":      {last.ChatID, note.ChatID, group},
		"?limit=500&unknown=1": {last.ChatID, note.ChatID, group},
	} {
		t.Run(query, func(t *testing.T) { require.Equal(t, want, chatIDsOf(listOfChats(ann, query))) })
	}
	require.Equal(t, map[string]any{"chats": 1.0, "messages": 1.0, "muted_chats": 0.0, "muted_messages": 0.0},
		decode[map[string]any](ann.Get("/v1/chats/unread")))

	const call = "GET /v1/chats"
	outsider := frontdoor.SignUp(t, s.URL, "zed")
	check(t, []row{
		{"limit: 0", ann, call + "?limit=0", "", 400, "malformed_request", "limit"},
		{"limit: 501", ann, call + "?limit=501", "", 400, "malformed_request", "limit"},
		{"offset: -1", ann, call + "?offset=-1", "", 400, "malformed_request", "offset"},
		{"kind", ann, call + "?kind=Group", "", 400, "malformed_request", "kind"},
		{"archived", ann, call + "?archived=1", "", 400, "malformed_request", "archived"},
		{"a chat of others", outsider, "GET " + chatPath(group), "", 403, "not_a_participant", ""},
		{"no chat", outsider, "GET " + chatPath(999999), "", 403, "not_a_participant", ""},
		{"too high an id", outsider, "GET " + chatPath("99999999999999999999"), "", 403, "not_a_participant", ""},
		{"no id", outsider, "GET " + chatPath("x"), "", 404, "no_such_path", ""},
		{"nobody", frontdoor.NewClient(t, s.URL), call, "", 401, "unauthenticated", ""},
	})
}

func openChats(t *testing.T, s *frontdoor.Server) {
	gil, hal := frontdoor.SignUp(t, s.URL, "Gil"), frontdoor.SignUp(t, s.URL, "hal")
	direct := openWith(t, gil, "HAL")
	require.Equal(t, "direct", direct.Kind)
	require.Equal(t, "hal", direct.Other.Username)
	require.Equal(t, direct, openWith(t, gil, "hal"))
	theirs := openWith(t, hal, "gil")
	require.Equal(t, direct.ID, theirs.ID)
	require.Equal(t, "Gil", theirs.Other.Username)
	require.Equal(t, direct.ID, send(t, gil, "hal", "hi").ChatID)
	require.Equal(t, "self", openWith(t, gil, "gil").Kind)

	const call = "POST /v1/chats"
	hal.Do("PUT", "/v1/blocks/gil", "").Want(http.StatusOK)
	check(t, []row{
		{"nobody", gil, call, `{"username":"nobody"}`, 400, "user_not_found", "username"},
		{"no name", gil, call, `{"username":""}`, 400, "malformed_request", "username"},
		{"nothing", gil, call, `{}`, 400, "malformed_request", "username"},
		{"blocked", gil, call, `{"username":"hal"}`, 403, "blocked", ""},
		{"by whom one has blocked", hal, call, `{"username":"gil"}`, 200, "", ""},
	})
}

func chatSettings(t *testing.T, s *frontdoor.Server) {
	ivy, jon := frontdoor.SignUp(t, s.URL, "ivy"), frontdoor.SignUp(t, s.URL, "jon")
	id := send(t, jon, "ivy", "hi").ChatID
	change := func(body string) chatAnswer {
		t.Helper()
		c := decode[chatAnswer](ivy.Do("PATCH", chatPath(id), body))
		require.Equal(t, c, decode[chatAnswer](ivy.Get(chatPath(id))))
		return c
	}
	want := decode[chatAnswer](ivy.Get(chatPath(id)))
	theirs := decode[chatAnswer](jon.Get(chatPath(id)))
	require.Equal(t, want, change(`{}`))
	until := "2999-01-02T03:04:05.000000Z"
	want.MutedUntil = &until
	require.Equal(t, want, change(`{"muted_until":"2999-01-02T05:04:05+02:00"}`))
	want.Archived = true
	require.Equal(t, want, change(`{"archived":true}`))
	want.MarkedUnread = true
	require.Equal(t, want, change(`{"marked_unread":true}`))
	require.Equal(t, []int64{id}, chatIDsOf(listOfChats(ivy, "?archived=true")))
	require.Equal(t, map[string]any{"chats": 0.0, "messages": 0.0, "muted_chats": 1.0, "muted_messages": 1.0},
		decode[map[string]any](ivy.Get("/v1/chats/unread")))
	want.MutedUntil = nil
	require.Equal(t, want, change(`{"muted_until":null}`))
	require.Equal(t, want, change(fmt.Sprintf(`{"muted_until":%q}`, time.Now().Add(-time.Minute).Format(time.RFC3339))), "that is over")
	want.Archived, want.MarkedUnread = false, false
	require.Equal(t, want, change(`{"archived":false,"marked_unread":false}`))
	require.Equal(t, theirs, decode[chatAnswer](jon.Get(chatPath(id))), "nobody else's change")

	call := "PATCH " + chatPath(id)
	check(t, []row{
		{"no time", ivy, call, `{"muted_until":"tomorrow","archived":true}`, 400, "malformed_request", "muted_until"},
		{"a number", ivy, call, `{"muted_until":7}`, 400, "malformed_request", "muted_until"},
		{"no truth", ivy, call, `{"archived":"yes"}`, 400, "malformed_request", "archived"},
		{"a chat of others", frontdoor.SignUp(t, s.URL, "yan"), call, `{}`, 403, "not_a_participant", ""},
	})
	require.Equal(t, want, change(`{}`), "refused whole")
}

func reading(t *testing.T, s *frontdoor.Server) {
	kim, leo, mac := frontdoor.SignUp(t, s.URL, "kim"), frontdoor.SignUp(t, s.URL, "leo"), frontdoor.SignUp(t, s.URL, "mac")
	id := newGroup(kim)
	add(t, kim, id, "leo")
	add(t, kim, id, "mac")
	first := send(t, kim, id, "one")
	for _, text := range []string{"two", "three"} {
		send(t, kim, id, text)
	}
	mark := func(c *frontdoor.Client, what, body string) watermarks {
		t.Helper()
		return decode[watermarks](c.Post(chatPath(id, "/", what), body))
	}
	leo.Do("PATCH", chatPath(id), `{"marked_unread":true}`).Want(http.StatusOK)
	require.Equal(t, watermarks{0, 2, 3, true}, mark(leo, "delivered", `{"seq":2}`))
	require.Equal(t, watermarks{1, 2, 2, false}, mark(leo, "read", `{"seq":1}`))
	require.Equal(t, watermarks{1, 2, 2, false}, mark(leo, "read", `{"seq":0}`), "never back")
	require.Equal(t, watermarks{1, 2, 2, false}, mark(leo, "delivered", `{"seq":1}`))
	require.Equal(t, watermarks{3, 3, 0, false}, mark(leo, "read", ""))
	require.Equal(t, watermarks{3, 3, 0, false}, mark(leo, "read", `{"seq":null}`))
	require.Equal(t, watermarks{3, 3, 0, false}, decode[chatAnswer](leo.Get(chatPath(id))).watermarks)
	require.Equal(t, watermarks{0, 1, 3, false}, mark(mac, "delivered", `{"seq":1}`))

	of := func(m int64, query string) (r struct {
		Read      int              `json:"read_count"`
		Delivered int              `json:"delivered_count"`
		Readers   []map[string]any `json:"readers"`
	}) {
		kim.Get(fmt.Sprintf("/v1/messages/%d/readers%s", m, query)).Want(http.StatusOK).Decode(&r)
		return r
	}
	got := of(first.ID, "")
	require.Equal(t, [2]int{1, 2}, [2]int{got.Read, got.Delivered})
	require.Len(t, got.Readers, 1)
	require.Equal(t, "leo", got.Readers[0]["username"])
	mark(mac, "read", "")
	require.Len(t, of(first.ID, "").Readers, 2)
	require.Equal(t, "mac", of(first.ID, "?limit=1&offset=1").Readers[0]["username"])
	require.Empty(t, of(send(t, kim, id, "four").ID, "").Readers)

	yes := "POST " + chatPath(id, "/read")
	outsider := frontdoor.SignUp(t, s.URL, "xia")
	check(t, []row{
		{"read: behind the last", leo, yes, `{"seq":5}`, 400, "seq_invalid", "seq"},
		{"read: before the first", leo, yes, `{"seq":-1}`, 400, "malformed_request", "seq"},
		{"read: no number", leo, yes, `{"seq":"1"}`, 400, "malformed_request", "seq"},
		{"read: a chat of others", outsider, yes, `{"seq":1}`, 403, "not_a_participant", ""},
		{"delivered: no seq", leo, "POST " + chatPath(id, "/delivered"), `{}`, 400, "malformed_request", "seq"},
		{"delivered: behind the last", leo, "POST " + chatPath(id, "/delivered"), `{"seq":5}`, 400, "seq_invalid", "seq"},
		{"readers: of others", outsider, fmt.Sprintf("GET /v1/messages/%d/readers", first.ID), "", 404, "message_not_found", ""},
		{"readers: no message", kim, "GET /v1/messages/99999999/readers", "", 404, "message_not_found", ""},
		{"readers: no id", kim, "GET /v1/messages/x/readers", "", 404, "no_such_path", ""},
		{"readers: limit", kim, fmt.Sprintf("GET /v1/messages/%d/readers?limit=501", first.ID), "", 400, "malformed_request", "limit"},
		// Beside the classic routes, a path of which can look the same.
		{"messages with somebody called readers", kim, "GET /v1/messages/p2p/readers", "", 400, "user_not_found", "dest_username"},
		{"a group called readers", kim, "GET /v1/messages/group/readers", "", 404, "no_such_path", ""},
		{"another method", kim, fmt.Sprintf("POST /v1/messages/%d/readers", first.ID), "", 405, "method_not_allowed", ""},
	})
}

func deleteChats(t *testing.T, s *frontdoor.Server) {
	nan, oli := frontdoor.SignUp(t, s.URL, "nan"), frontdoor.SignUp(t, s.URL, "oli")
	group := newGroup(nan)
	add(t, nan, group, "oli")
	send(t, nan, group, "hi all")
	direct := send(t, nan, "oli", "hi")
	require.Len(t, list(oli, "/v1/messages"), 2)
	check(t, []row{
		{"not the owner", oli, "DELETE " + chatPath(group), "", 403, "owner_required", ""},
		{"a chat of others", frontdoor.SignUp(t, s.URL, "wim"), "DELETE " + chatPath(group), "", 403, "not_a_participant", ""},
		{"no id", oli, "DELETE " + chatPath("x"), "", 404, "no_such_path", ""},
		{"of two, either", oli, "DELETE " + chatPath(direct.ChatID), "", 200, "", ""},
		{"again", oli, "DELETE " + chatPath(direct.ChatID), "", 403, "not_a_participant", ""},
		{"the owner", nan, "DELETE " + chatPath(group), "", 200, "", ""},
	})
	for _, c := range []*frontdoor.Client{nan, oli} {
		require.Empty(t, listOfChats(c, ""))
		require.Empty(t, list(c, "/v1/messages"))
		requireAnswer(t, c.Get(chatPath(group)), 403, "not_a_participant", "")
		requireAnswer(t, c.Get(fmt.Sprint("/v1/messages/group/", direct.ChatID)), 403, "not_a_participant", "")
		requireAnswer(t, c.Get(fmt.Sprintf("/v1/messages/%d/readers", direct.ID)), 404, "message_not_found", "")
	}
	require.Empty(t, list(nan, "/v1/messages/p2p/oli"))
	again := send(t, oli, "nan", "once more")
	require.NotEqual(t, direct.ChatID, again.ChatID)
	require.Equal(t, []string{"once more"}, textsOf(list(nan, "/v1/messages/p2p/oli")))
}

// A message to a group that is being deleted is sent before that, or not at all.
func deleteWhileSending(t *testing.T, s *frontdoor.Server) {
	pia, quy := frontdoor.SignUp(t, s.URL, "pia"), frontdoor.SignUp(t, s.URL, "quy")
	for range 5 {
		id := newGroup(pia)
		add(t, pia, id, "quy")
		body := fmt.Sprintf(`{"group_chat_id":%d,"message":"hi"}`, id)
		quy.Post("/v1/messages", body).Want(http.StatusOK)
		statuses := make([]int, 8)
		var done sync.WaitGroup
		for i := range statuses {
			done.Go(func() {
				r, err := quy.Try(t.Context(), "POST", "/v1/messages", body)
				if err == nil {
					statuses[i] = r.StatusCode
				}
			})
		}
		pia.Delete(chatPath(id)).Want(http.StatusOK)
		done.Wait()
		for _, status := range statuses {
			require.Contains(t, []int{http.StatusOK, http.StatusForbidden}, status)
		}
		requireAnswer(t, quy.Post("/v1/messages", body), 403, "not_a_participant", "")
		require.Empty(t, list(quy, "/v1/messages"))
	}
}
