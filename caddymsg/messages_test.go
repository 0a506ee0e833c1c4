package caddymsg_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestMessages is about single messages, and about the ways to read and to send
// several.
func TestMessages(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"edit and delete", editAndDelete},
			{"replies", replies},
			{"send to a chat", sendToChat},
			{"pages of a chat", chatPages},
			{"sent and received", sentAndReceived},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

// detailed is a message with all that it may have.
type detailed struct {
	message
	SenderID   int64  `json:"sender_id"`
	EditedAt   string `json:"edited_at"`
	DeletedAt  string `json:"deleted_at"`
	ReplyTo    int64  `json:"reply_to"`
	ThreadID   int64  `json:"thread_id"`
	ReplyCount int64  `json:"reply_count"`
	Mentions   []struct {
		Start, Length int
		UserID        int64 `json:"user_id"`
	}
}

func messagePath(id int64) string { return fmt.Sprint("/v1/messages/", id) }

func messagesPath(id int64) string { return fmt.Sprintf("/v1/chats/%d/messages", id) }

func editAndDelete(t *testing.T, s *frontdoor.Server) {
	ann, ben, cid := frontdoor.SignUp(t, s.URL, "ann"), frontdoor.SignUp(t, s.URL, "ben"), frontdoor.SignUp(t, s.URL, "cid")
	group := newGroup(ann)
	add(t, ann, group, "ben")
	m := send(t, ben, group, "hi")
	path := messagePath(m.ID)
	first := decode[detailed](ann.Get(path))
	require.Equal(t, m, first.message)
	require.Equal(t, ben.Get("/v1/me").Field("id"), float64(first.SenderID))

	edited := decode[detailed](ben.Do("PATCH", path, `{"text":"hello @ann"}`))
	require.Equal(t, "hello @ann", edited.Text)
	require.NotEmpty(t, edited.EditedAt)
	require.Len(t, edited.Mentions, 1)
	require.Equal(t, []int{6, 4}, []int{edited.Mentions[0].Start, edited.Mentions[0].Length})
	require.Equal(t, edited, decode[detailed](ann.Get(path)))
	require.Equal(t, []detailed{edited}, decode[[]detailed](ann.Get(fmt.Sprint("/v1/messages/group/", group))), "in the classic list, too")
	edits := decode[[]struct {
		Version   int
		Text      string
		CreatedAt string `json:"created_at"`
	}](ann.Get(path + "/edits"))
	require.Len(t, edits, 1)
	require.Equal(t, "hi", edits[0].Text)
	require.Equal(t, m.CreatedAt, edits[0].CreatedAt)

	check(t, []row{
		{"403 to edit what others wrote", ann, "PATCH " + path, `{"text":"x"}`, 403, "not_the_sender", ""},
		{"404 of a chat of others", cid, "GET " + path, "", 404, "message_not_found", ""},
		{"404 edits", cid, "GET " + path + "/edits", "", 404, "message_not_found", ""},
		{"404 thread", cid, "GET " + path + "/thread", "", 404, "message_not_found", ""},
		{"404 edit", cid, "PATCH " + path, `{"text":"x"}`, 404, "message_not_found", ""},
		{"404 delete", cid, "DELETE " + path, "", 404, "message_not_found", ""},
		{"404 hide", cid, "DELETE " + path + "?for=me", "", 404, "message_not_found", ""},
		{"404 a number beyond all", ann, "GET /v1/messages/99999999999999999999", "", 404, "message_not_found", ""},
		{"404 no number", ann, "GET /v1/messages/one", "", 404, "no_such_path", ""},
		{"404 no number, below", ann, "GET /v1/messages/one/edits", "", 404, "no_such_path", ""},
		{"405", ann, "PUT " + path, "", 405, "method_not_allowed", ""},
		{"405 below", ann, "DELETE " + path + "/edits", "", 405, "method_not_allowed", ""},
		{"400 no text", ben, "PATCH " + path, `{}`, 400, "malformed_request", "text"},
		{"400 an empty text", ben, "PATCH " + path, `{"text":""}`, 400, "malformed_request", "text"},
		{"400 NUL", ben, "PATCH " + path, `{"text":"\u0000"}`, 400, "message_invalid", "text"},
		{"400 for whom", ben, "DELETE " + path + "?for=you", "", 400, "malformed_request", "for"},
	})

	ann.Delete(path + "?for=me").Want(http.StatusOK)
	requireAnswer(t, ann.Get(path), 404, "message_not_found", "")
	ben.Get(path).Want(http.StatusOK)
	second := send(t, ben, group, "another")
	requireAnswer(t, ben.Delete(messagePath(send(t, ann, group, "of ann").ID)), 403, "not_the_sender", "")
	ann.Delete(messagePath(second.ID)).Want(http.StatusOK) // she made the group
	gone := decode[detailed](ben.Get(messagePath(second.ID)))
	require.Empty(t, gone.Text)
	require.NotEmpty(t, gone.DeletedAt)
	ann.Delete(messagePath(second.ID)).Want(http.StatusOK)
	require.Equal(t, gone, decode[detailed](ben.Get(messagePath(second.ID))), "it was deleted once")
	requireAnswer(t, ben.Do("PATCH", messagePath(second.ID), `{"text":"x"}`), 400, "message_deleted", "")
}

func replies(t *testing.T, s *frontdoor.Server) {
	dan, eve := frontdoor.SignUp(t, s.URL, "dan"), frontdoor.SignUp(t, s.URL, "eve")
	root := send(t, dan, "eve", "root")
	reply := decode[detailed](eve.Post("/v1/messages", fmt.Sprintf(`{"dest_username":"dan","message":"reply","reply_to":%d}`, root.ID)))
	require.Equal(t, []int64{root.ID, root.ID}, []int64{reply.ReplyTo, reply.ThreadID})
	deeper := decode[detailed](dan.Post(messagesPath(root.ChatID), fmt.Sprintf(`{"text":"deeper","reply_to":%d}`, reply.ID)))
	require.Equal(t, root.ID, deeper.ThreadID)
	for _, id := range []int64{root.ID, reply.ID, deeper.ID} {
		thread := decode[[]detailed](dan.Get(messagePath(id) + "/thread"))
		require.Equal(t, int64(2), thread[0].ReplyCount)
		require.Equal(t, []int64{root.ID, reply.ID, deeper.ID}, []int64{thread[0].ID, thread[1].ID, thread[2].ID})
	}
	require.Equal(t, []int64{reply.ID}, idsOf(list(dan, fmt.Sprintf("%s/thread?limit=1&after=%d", messagePath(root.ID), root.ID))))
	other := send(t, dan, newGroup(dan), "elsewhere")
	check(t, []row{
		{"400 of another chat", dan, "POST " + messagesPath(root.ChatID), fmt.Sprintf(`{"text":"x","reply_to":%d}`, other.ID), 400, "reply_to_invalid", "reply_to"},
		{"400 to whom", dan, "POST /v1/messages", fmt.Sprintf(`{"dest_username":"dan","message":"x","reply_to":%d}`, root.ID), 400, "reply_to_invalid", "reply_to"},
		{"400 no number", dan, "POST " + messagesPath(root.ChatID), `{"text":"x","reply_to":0}`, 400, "malformed_request", "reply_to"},
		{"400 limit", dan, "GET " + messagePath(root.ID) + "/thread?limit=501", "", 400, "malformed_request", "limit"},
	})
}

func sendToChat(t *testing.T, s *frontdoor.Server) {
	fay, gus, hal := frontdoor.SignUp(t, s.URL, "fay"), frontdoor.SignUp(t, s.URL, "gus"), frontdoor.SignUp(t, s.URL, "hal")
	group := newGroup(fay)
	path := messagesPath(group)
	add(t, fay, group, "gus")
	one := decode[detailed](fay.Post(path, `{"text":"one","client_id":"key"}`))
	require.Equal(t, int64(1), one.Seq)
	require.Equal(t, one, decode[detailed](fay.Post(path, `{"text":"one","client_id":"key"}`)))
	require.Equal(t, one, decode[detailed](fay.Do("POST", path, `{"text":"one"}`, "Idempotency-Key", "key")))
	more := decode[[]message](gus.Post(path, `{"texts":["two","three"],"client_id":"batch"}`))
	require.Equal(t, []string{"two", "three"}, textsOf(more))
	require.Equal(t, more, decode[[]message](gus.Do("POST", path, `{"texts":["two","three"]}`, "Idempotency-Key", "batch")))
	require.Equal(t, []string{"single"}, textsOf(decode[[]message](gus.Post(path, `{"texts":["single"]}`))), "a list for a list")
	require.Equal(t, []string{"they win"}, textsOf(decode[[]message](gus.Post(path, `{"texts":["they win"],"text":"x"}`))))
	long := frontdoor.JSON(t, map[string]any{"texts": slices.Repeat([]string{strings.Repeat("x", 9_000)}, 100)})
	require.Len(t, decode[[]message](gus.Post(path, long)), 100)
	require.Equal(t, []string{"one", "two", "three", "single"}, textsOf(list(fay, path+"?page=1&limit=4")))

	tooMany := frontdoor.JSON(t, map[string]any{"texts": slices.Repeat([]string{"x"}, 101)})
	check(t, []row{
		{"400 nothing", fay, "POST " + path, `{}`, 400, "text_missing", "text"},
		{"400 empty", fay, "POST " + path, `{"text":""}`, 400, "malformed_request", "text"},
		{"400 NUL", fay, "POST " + path, `{"text":"\u0000"}`, 400, "message_invalid", "text"},
		{"400 none", fay, "POST " + path, `{"texts":[]}`, 400, "texts_invalid", "texts"},
		{"400 too many", fay, "POST " + path, tooMany, 400, "texts_invalid", "texts"},
		{"400 an empty one", fay, "POST " + path, `{"texts":["x",""]}`, 400, "message_missing", "texts"},
		{"400 NUL in one", fay, "POST " + path, `{"texts":["x","\u0000"]}`, 400, "message_invalid", "texts"},
		{"400 a number in it", fay, "POST " + path, `{"texts":["x",1]}`, 400, "malformed_request", "texts[1]"},
		{"403 a stranger", hal, "POST " + path, `{"text":"x"}`, 403, "not_a_participant", ""},
		{"403 a stranger, several", hal, "POST " + path, `{"texts":["x"]}`, 403, "not_a_participant", ""},
		{"403 no chat", fay, "POST /v1/chats/0/messages", `{"text":"x"}`, 403, "not_a_participant", ""},
		{"404 no number", fay, "POST /v1/chats/x/messages", `{"text":"x"}`, 404, "no_such_path", ""},
		{"413", fay, "POST " + path, `{"text":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body_too_large", ""},
	})
	require.Equal(t, int64(106), send(t, fay, group, "next").Seq, "what is refused leaves no trace")
}

func chatPages(t *testing.T, s *frontdoor.Server) {
	ida, jon := frontdoor.SignUp(t, s.URL, "ida"), frontdoor.SignUp(t, s.URL, "jon")
	group, noise := newGroup(ida), newGroup(ida)
	add(t, ida, group, "jon")
	var ids []int64
	for i := range 12 {
		who := []*frontdoor.Client{ida, jon}[i%2]
		ids = append(ids, send(t, who, group, fmt.Sprint("Text ", i)).ID)
		send(t, ida, noise, "noise")
	}
	path := messagesPath(group)
	reversed := slices.Clone(ids)
	slices.Reverse(reversed)
	odd := func(of []int64) (some []int64) {
		for i := 1; i < len(of); i += 2 {
			some = append(some, of[i])
		}
		return some
	}
	for query, want := range map[string][]int64{
		"":                                         ids,
		"?limit=3":                                 ids[9:],
		"?limit=0":                                 {},
		"?limit=x":                                 ids,
		"?limit=99999":                             ids,
		fmt.Sprint("?limit=3&before=", ids[6]):     ids[3:6],
		fmt.Sprint("?limit=3&after=", ids[6]):      ids[7:10],
		fmt.Sprint("?limit=5&around=", ids[6]):     ids[4:9],
		"?limit=5&around_seq=7":                    ids[4:9],
		"?limit=5&around_seq=99":                   ids[10:],
		"?limit=3&offset=0":                        ids[:3],
		"?limit=3&offset=6":                        ids[6:9],
		"?limit=3&offset=99":                       {},
		"?limit=3&offset=-1":                       ids[9:], // not valid: as if it were not there
		"?limit=5&page=1":                          ids[:5],
		"?limit=5&page=3":                          ids[10:],
		"?limit=5&page=4":                          {},
		"?limit=500&page=1000000000":               {},
		"?limit=5&page=2&offset=1":                 ids[5:10],
		"?sender_username=jon":                     odd(ids),
		"?sender_username=Jon":                     {},
		"?sender_username=jon&limit=2&offset=1":    odd(ids)[1:3],
		"?sender_username=jon&page=2&limit=4":      odd(ids)[4:],
		"?sender_username-like=O":                  odd(ids),
		"?text=Text+3":                             ids[3:4],
		"?text-like=TEXT%201":                      {ids[1], ids[10], ids[11]},
		"?text-like=%25":                           {},
		"?seq=5":                                   ids[4:5],
		fmt.Sprint("?id=", ids[5]):                 ids[5:6],
		fmt.Sprint("?id=", ids[5]+1):               {},
		"?ordered-by-desc=id":                      reversed,
		"?ordered-by-desc=id&limit=2&offset=3":     reversed[3:5],
		"?ordered-by=sender_username&limit=1":      ids[:1],
		"?ordered-by-desc=sender_username&limit=1": ids[11:],
		"?limit=2&sender_username=jon&before=" + fmt.Sprint(ids[7]):         odd(ids)[1:3],
		"?limit=2&sender_username=jon&after=" + fmt.Sprint(ids[7]):          odd(ids)[4:6],
		"?limit=2&text-like=text&page=1&before=" + fmt.Sprint(ids[7]):       ids[:2],
		"?nope=1&id=x&created_at=yesterday&ordered-by=nope&client_id=x&%zz": ids,
	} {
		t.Run(query, func(t *testing.T) {
			require.Equal(t, want, idsOf(list(jon, path+query)))
		})
	}
	for query, field := range map[string]string{
		"before=0": "before", "after=x": "after", "around=-1": "around", "around_seq=0": "around_seq", "page=0": "page", "page=1000000001": "page",
	} {
		requireAnswer(t, jon.Get(path+"?"+query), 400, "malformed_request", field)
	}
	check(t, []row{
		{"403", jon, "GET " + messagesPath(noise), "", 403, "not_a_participant", ""},
		{"403 by filter", jon, "GET " + messagesPath(noise) + "?text=noise", "", 403, "not_a_participant", ""},
		{"403 no chat", jon, "GET /v1/chats/0/messages?text=noise", "", 403, "not_a_participant", ""},
		{"404", jon, "GET /v1/chats/x/messages", "", 404, "no_such_path", ""},
	})
}

func sentAndReceived(t *testing.T, s *frontdoor.Server) {
	kim, leo, mia := frontdoor.SignUp(t, s.URL, "kim"), frontdoor.SignUp(t, s.URL, "leo"), frontdoor.SignUp(t, s.URL, "mia")
	group := newGroup(kim)
	add(t, kim, group, "leo")
	a := send(t, kim, "leo", "a").ID
	b := send(t, leo, "kim", "b").ID
	c := send(t, kim, group, "c").ID
	d := send(t, leo, group, "d").ID
	e := send(t, kim, "kim", "e").ID
	f := send(t, mia, "kim", "f").ID
	send(t, mia, "leo", "not for kim")
	all := []int64{a, b, c, d, e, f}
	today := time.Now().UTC().Format(time.DateOnly)
	for query, want := range map[string][]int64{
		"":                                 all,
		"?direction=sent":                  {a, c, e},
		"?direction=received":              {b, d, f},
		"?sender=LEO":                      {b, d},
		"?sender=mia":                      {f},
		"?receiver=leo":                    {a},
		"?receiver=kim":                    {b, e, f},
		"?receiver=kim&sender=leo":         {b},
		"?receiver=mia":                    {},
		"?receiver=leo&direction=received": {},
		"?date=2001-01-01":                 {},
		"?direction=sent&limit=2":          {a, c},
		"?direction=sent&limit=2&offset=1": {c, e},
		"?direction=sent&limit=2&page=2":   {e},
		"?page=2&limit=4":                  {e, f},
		"?offset=4":                        {e, f},
		"?text=b":                          {b},
		"?text-like=B&direction=sent":      {},
		"?ordered-by-desc=text&limit=3":    {f, e, d},
		"?ordered-by-desc=id&limit=3":      {f, e, d},
		fmt.Sprint("?chat_id=", group):     {c, d},
		fmt.Sprintf("?direction=sent&limit=1&before=%d", e): {c},
		fmt.Sprintf("?direction=sent&limit=1&after=%d", a):  {c},
		"?nope=1&ordered-by=nope&seq=x&offset=x":            all,
	} {
		for _, prefix := range readPrefixes {
			t.Run(prefix+query, func(t *testing.T) {
				require.Equal(t, want, idsOf(list(kim, prefix+query)))
			})
		}
	}
	// The day may end while the test runs.
	found := idsOf(list(kim, "/v1/messages?date="+today))
	if time.Now().UTC().Format(time.DateOnly) == today {
		require.Equal(t, all, found)
	}
	check(t, []row{
		{"400 direction", kim, "GET /v1/messages?direction=up", "", 400, "malformed_request", "direction"},
		{"400 sender", kim, "GET /v1/messages?sender=nobody", "", 400, "user_not_found", "sender"},
		{"400 receiver", kim, "GET /v1/messages?receiver=nobody", "", 400, "user_not_found", "receiver"},
		{"400 date", kim, "GET /v1/messages?date=2020-13-01", "", 400, "date_invalid", "date"},
		{"400 limit", kim, "GET /v1/messages?direction=sent&limit=501", "", 400, "malformed_request", "limit"},
	})
}
