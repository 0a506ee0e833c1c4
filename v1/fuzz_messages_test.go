package v1_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzSendToChat(f *testing.F) {
	for _, id := range segments {
		f.Add(id, []byte(`{"text":"hi"}`))
	}
	for _, body := range shapes {
		f.Add("1", []byte(body))
	}
	for _, template := range []string{
		`{"text":?}`, `{"texts":?}`, `{"texts":[?]}`, `{"texts":["hi",?]}`, `{"text":?,"texts":["hi"]}`,
		`{"text":"hi","reply_to":?}`, `{"text":"hi","client_id":?}`, `{"texts":["hi"],"client_id":?}`,
	} {
		for _, value := range values {
			f.Add("1", []byte(strings.ReplaceAll(template, "?", value)))
		}
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		if r := request("POST", "/v1/chats/"+id+"/messages", "", body); r != nil {
			s.ask(t, r)
		}
	})
}

// What an edit leaves is what is read back.
func FuzzEditMessage(f *testing.F) {
	addBodies(f, `{"text":?}`, `{"text":"@bob","x":?}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		const path = "/v1/messages/1"
		before := s.want200(t, "GET", path, "").Body.String()
		answer := s.ask(t, request("PATCH", path, "", body))
		after := s.want200(t, "GET", path, "").Body.String()
		if answer.Code == http.StatusOK {
			require.Equal(t, answer.Body.String(), after)
		} else {
			require.Equal(t, before, after)
		}
	})
}

// filterQueries look for messages, well or badly.
var filterQueries = []string{
	"text=hi", "text-like=%25", "text-like=", "text=%00", "text=%ff", "seq=1", "seq=x", "id=99999999999999999999", "sender_id=-1", "chat_id=2",
	"sender_username=bob", "created_at=2021-10-30T12:00:00Z", "created_at=9999999999-01-01", "client_id=x", "flags=0", "m.id=1",
	"ordered-by=text&ordered-by-desc=id", "ordered-by=1;DROP TABLE messages", "ordered-by=m.id", "offset=0", "offset=-1", "offset=9999999999999999999",
	"page=1", "page=0", "page=1000000000&limit=500", "page=1&offset=1", "around=1", "around=0", "around_seq=1", "around_seq=9223372036854775807",
	"around=1&around_seq=2&before=1&after=5&limit=0", "direction=sent", "direction=received&sender=bob", "direction=x", "sender=nobody", "sender=%ff",
	"receiver=alice", "receiver=bob&sender=alice", "receiver=nobody", "date=2021-10-30", "date=0000-01-01", "date=9999-12-31", "date=x", "date=2021-10-30&date=x",
	"text=" + strings.Repeat("a", 5000), strings.Repeat("text-like=a&", 500), strings.Repeat("ordered-by=id&", 500),
}

// No query shows more than alice may see, which are three messages.
func FuzzFindMessages(f *testing.F) {
	for _, query := range append(filterQueries, queries...) {
		f.Add(query)
	}
	s := newServer(f)
	s.want200(f, "POST", "/v1/messages", `{"dest_username":"alice","message":"hi @alice"}`)
	f.Fuzz(func(t *testing.T, query string) {
		for path, most := range map[string]int{"/v1/messages": 3, "/v1/chats/1/messages": 1, "/v1/messages/1/thread": 1} {
			r := request("GET", path, query, nil)
			if r == nil {
				return
			}
			answer := s.ask(t, r)
			if answer.Code != http.StatusOK {
				require.Equal(t, http.StatusBadRequest, answer.Code, answer.Body)
				continue
			}
			var messages []struct{ ID int64 }
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &messages))
			require.LessOrEqual(t, len(messages), most)
		}
	})
}

func FuzzMessagePath(f *testing.F) {
	for _, segment := range segments {
		f.Add(segment, "for=me")
	}
	for _, query := range []string{"for=everyone", "for=", "for=x", "for=me&for=everyone", "for=%00"} {
		f.Add("99", query)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, segment, query string) {
		for _, call := range [][2]string{{"GET", ""}, {"GET", "/edits"}, {"GET", "/thread"}, {"DELETE", ""}} {
			if r := request(call[0], "/v1/messages/"+segment+call[1], query, nil); r != nil {
				s.ask(t, r)
			}
		}
	})
}
