package caddymsg_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// indexPatience is how long a test waits for the search index.
const indexPatience = 30 * time.Second

type searchAnswer struct {
	Messages *[]struct {
		Message    message `json:"message"`
		Snippet    string  `json:"snippet"`
		Highlights []struct {
			Start  int `json:"start"`
			Length int `json:"length"`
		} `json:"highlights"`
	} `json:"messages"`
	Users *[]struct {
		Username string `json:"username"`
	} `json:"users"`
	Groups *[]struct {
		ChatID int64  `json:"chat_id"`
		Title  string `json:"title"`
	} `json:"groups"`
}

// searchFor asks GET /v1/search; query is names and values in turn.
func searchFor(c *frontdoor.Client, query ...string) *frontdoor.Response {
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Add(query[i], query[i+1])
	}
	return c.Get("/v1/search?" + values.Encode())
}

// awaitIndexed waits until a message is found.
func awaitIndexed(t *testing.T, c *frontdoor.Client, text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		return len(*decode[searchAnswer](searchFor(c, "q", text).Want(200)).Messages) > 0
	}, indexPatience, 20*time.Millisecond, "the index does not find %q", text)
}

func TestSearch(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"messages", searchMessages},
			{"refusals", searchRefusals},
			{"names", searchNames},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

func searchMessages(t *testing.T, s *frontdoor.Server) {
	ann, ben, cat := frontdoor.SignUp(t, s.URL, "ann"), frontdoor.SignUp(t, s.URL, "ben"), frontdoor.SignUp(t, s.URL, "cat")
	group := newGroup(ann)
	add(t, ann, group, "ben")
	first := send(t, ann, group, "Die Straße nach <b>Köln</b>")
	second := send(t, ben, group, "我在北京大学学习。 Eine zweite STRASSE")
	third := send(t, ann, "ben", "unter uns: strasse")
	send(t, cat, "cat", "meine Straße")
	last := send(t, ann, "ann", "the marker")
	awaitIndexed(t, ann, "marker")
	awaitIndexed(t, cat, "meine")

	today := time.Now().UTC().Format(time.DateOnly)
	for name, c := range map[string]struct {
		as    *frontdoor.Client
		query []string
		want  []message
	}{
		"in all of one's chats":  {ben, []string{"q", "straße"}, []message{third, second, first}},
		"not in those of others": {cat, []string{"q", "koln"}, nil},
		"in one":                 {ben, []string{"q", "straße", "chat", fmt.Sprint(group)}, []message{second, first}},
		"by one":                 {ben, []string{"q", "straße", "sender", "ANN"}, []message{third, first}},
		"so many":                {ben, []string{"q", "straße", "limit", "1"}, []message{third}},
		"the next page":          {ben, []string{"q", "straße", "before", fmt.Sprint(second.ID)}, []message{first}},
		"from a day on":          {ben, []string{"q", "straße", "from", "2021-10-30"}, []message{third, second, first}},
		"up to that day":         {ben, []string{"q", "straße", "to", "2021-10-30"}, nil},
		"up to a time":           {ben, []string{"q", "straße", "to", second.CreatedAt}, []message{first}},
		"from a time on":         {ben, []string{"q", "straße", "from", second.CreatedAt}, []message{third, second}},
		"tomorrow":               {ben, []string{"q", "straße", "from", "2999-01-01"}, nil},
		"today":                  {ann, []string{"q", "marker", "to", today, "in", "messages"}, []message{last}},
		"Chinese":                {ben, []string{"q", "北京大学"}, []message{second}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := decode[searchAnswer](searchFor(c.as, c.query...).Want(200))
			require.Nil(t, answer.Users)
			require.Nil(t, answer.Groups)
			require.NotNil(t, answer.Messages)
			var got []message
			for _, m := range *answer.Messages {
				got = append(got, m.Message)
			}
			require.Equal(t, c.want, got)
		})
	}

	t.Run("snippets", func(t *testing.T) {
		var answer struct{ Messages json.RawMessage }
		searchFor(ben, "q", "koln strasse").Want(200).Decode(&answer)
		var found []struct{ Snippet, Highlights json.RawMessage }
		require.NoError(t, json.Unmarshal(answer.Messages, &found))
		require.Len(t, found, 1)
		require.JSONEq(t, `"Die Straße nach <b>Köln</b>"`, string(found[0].Snippet))
		require.JSONEq(t, `[{"start":4,"length":6},{"start":19,"length":4}]`, string(found[0].Highlights))
	})
}

func searchRefusals(t *testing.T, s *frontdoor.Server) {
	dan := frontdoor.SignUp(t, s.URL, "dan")
	group := newGroup(dan)
	eli := frontdoor.SignUp(t, s.URL, "eli")
	long := make([]byte, 201)
	for i := range long {
		long[i] = 'x'
	}
	for name, c := range map[string]struct {
		query  []string
		status int
		code   string
		field  string
	}{
		"nothing to look for":  {nil, 400, "q_missing", "q"},
		"no word":              {[]string{"q", " …!"}, 400, "q_missing", "q"},
		"no word, users":       {[]string{"q", "!", "in", "users"}, 400, "q_missing", "q"},
		"no word, groups":      {[]string{"q", "!", "in", "groups"}, 400, "q_missing", "q"},
		"too long":             {[]string{"q", string(long)}, 400, "q_too_long", "q"},
		"a chat of others":     {[]string{"q", "hi", "chat", fmt.Sprint(group)}, 403, "not_a_participant", ""},
		"an unknown chat":      {[]string{"q", "hi", "chat", "999999"}, 403, "not_a_participant", ""},
		"an unknown sender":    {[]string{"q", "hi", "sender", "nobody"}, 400, "user_not_found", "sender"},
		"no date, from":        {[]string{"q", "hi", "from", "yesterday"}, 400, "date_invalid", "from"},
		"no date, to":          {[]string{"q", "hi", "to", "2021-02-30"}, 400, "date_invalid", "to"},
		"in something unknown": {[]string{"q", "hi", "in", "files"}, 400, "malformed_request", "in"},
		"too many":             {[]string{"q", "hi", "limit", "501"}, 400, "malformed_request", "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			r := searchFor(eli, c.query...).Want(c.status)
			require.Equal(t, c.code, r.Field("code"))
			if c.field != "" {
				require.Equal(t, c.field, r.Field("field"))
			}
		})
	}
	require.Equal(t, "unauthenticated", searchFor(frontdoor.NewClient(t, s.URL), "q", "hi").Want(401).Field("code"))
}

func searchNames(t *testing.T, s *frontdoor.Server) {
	zoe := frontdoor.SignUp(t, s.URL, "zoe.smith")
	yan := frontdoor.SignUp(t, s.URL, "yan")
	users := func(query ...string) (names []string) {
		t.Helper()
		answer := decode[searchAnswer](searchFor(yan, append(query, "in", "users")...).Want(200))
		require.Nil(t, answer.Messages)
		for _, u := range *answer.Users {
			names = append(names, u.Username)
		}
		return names
	}
	require.Equal(t, []string{"zoe.smith"}, users("q", "SMI"))
	require.Empty(t, users("q", "mith"))
	zoe.Do(http.MethodPatch, "/v1/me", `{"display_name":"Zoë Müller"}`).Want(200)
	require.Equal(t, []string{"zoe.smith"}, users("q", "muller zoe"))
	require.Equal(t, []string{"zoe.smith"}, users("q", "zoe"))
	zoe.Do(http.MethodPatch, "/v1/me", `{"display_name":"Z"}`).Want(200)
	require.Empty(t, users("q", "müller"))
	require.Equal(t, []string{"zoe.smith"}, users("q", "zoe"))

	// The list of accounts knows the same, beside its filters.
	listed := func(tail string) (names []string) {
		t.Helper()
		for _, u := range decode[[]userAnswer](yan.Get("/v1/users" + tail).Want(200)) {
			names = append(names, u.Username)
		}
		return names
	}
	require.Equal(t, []string{"zoe.smith"}, listed("?q=smith"))
	require.Empty(t, listed("?q=smith&username=yan"))
	require.Equal(t, listed(""), listed("?q=%21"), "what is not valid is ignored")

	for _, name := range []string{"paged1", "paged2", "paged3"} {
		frontdoor.SignUp(t, s.URL, name)
	}
	require.Equal(t, []string{"paged2"}, users("q", "paged", "limit", "1", "offset", "1"))

	zoe.Delete("/v1/me").Want(200)
	require.Empty(t, users("q", "smith"))
	require.Empty(t, users("q", "deleted"))

	group := decode[struct {
		ChatID int64 `json:"chat_id"`
	}](yan.Post("/v1/group_chat", `{"title":"Wochenende in Öhringen"}`).Want(200)).ChatID
	groups := func(c *frontdoor.Client) (ids []int64) {
		t.Helper()
		for _, g := range *decode[searchAnswer](searchFor(c, "q", "ohringen", "in", "groups").Want(200)).Groups {
			ids = append(ids, g.ChatID)
		}
		return ids
	}
	require.Equal(t, []int64{group}, groups(yan))
	require.Empty(t, groups(frontdoor.SignUp(t, s.URL, "xan")), "a private group of others")
}

// What was sent before the server was killed is found after it: the index goes on
// where it was.
func TestSearchAfterCrash(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		dir, database := t.TempDir(), engine.NewDatabase(t)
		s := frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database})
		amy := frontdoor.SignUp(t, s.URL, "amy")
		var want []int64
		for i := range 300 {
			want = append([]int64{send(t, amy, "amy", fmt.Sprintf("needle %d", i)).ID}, want...)
		}
		s.Kill()
		s = frontdoor.Start(t, frontdoor.Options{Dir: dir, Database: database})
		amy = lifeAgain(t, amy, s.URL)
		require.Eventually(t, func() bool {
			var got []int64
			for _, m := range *decode[searchAnswer](searchFor(amy, "q", "needle", "limit", "500").Want(200)).Messages {
				got = append(got, m.Message.ID)
			}
			return fmt.Sprint(got) == fmt.Sprint(want)
		}, indexPatience, 20*time.Millisecond)
	})
}
