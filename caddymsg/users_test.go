package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestUsers is about accounts, one's own and those of others, and about blocks.
func TestUsers(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"list", listUsers}, // first, while there are no others
			{"look", lookAtUsers},
			{"profile", profiles},
			{"deletion", deletion},
			{"blocks", blocks},
			{"a block and a send", blockAndSend},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

type userAnswer struct {
	ID          int64  `json:"id"`
	Username    string `json:"username"`
	DisplayName string `json:"display_name"`
	About       string `json:"about"`
	Email       string `json:"email"`
	Locale      string `json:"locale"`
	Presence    string `json:"presence"`
	CreatedAt   string `json:"created_at"`
}

func usernamesOf(t *testing.T, c *frontdoor.Client, query string) []string {
	t.Helper()
	var users []userAnswer
	c.Get("/v1/users" + query).Want(http.StatusOK).Decode(&users)
	names := []string{}
	for _, u := range users {
		require.Empty(t, u.Email+u.Presence, "it is nobody else's business")
		names = append(names, u.Username)
	}
	return names
}

// The filters are those of contract 1: they can be combined, and what is not
// valid is ignored.
func listUsers(t *testing.T, s *frontdoor.Server) {
	zoe := frontdoor.SignUp(t, s.URL, "Zoe")
	for name, profile := range map[string]string{
		"bob":  `{"display_name": "Bob 100%", "about": "Älter", "email": "secret@example.com", "current_password": "open sesame"}`,
		"anna": `{"display_name": "anna b.", "about": "ÄLTER"}`,
	} {
		frontdoor.SignUp(t, s.URL, name).Do("PATCH", "/v1/me", profile).Want(http.StatusOK)
	}
	var all []userAnswer
	zoe.Get("/v1/users").Want(http.StatusOK).Decode(&all)
	require.Len(t, all, 3)
	byID := []string{all[0].Username, all[1].Username, all[2].Username}
	require.Less(t, all[0].ID, all[1].ID)
	require.Less(t, all[1].ID, all[2].ID)

	for query, want := range map[string][]string{
		"?username=bob":                                 {"bob"},
		"?username=Bob":                                 {}, // to the letter
		"?username-like=O":                              {"Zoe", "bob"},
		"?display_name-like=B":                          {"bob", "anna"},
		"?display_name-like=%25":                        {"bob"}, // not a wildcard
		"?display_name-like=_":                          {},
		"?about=%C3%84lter":                             {"bob"},
		"?about-like=%C3%84lter":                        {"bob", "anna"},
		"?about-like=%C3%A4lter":                        {}, // ASCII folds, and nothing else
		"?about-like=lter":                              {"bob", "anna"},
		"?id=" + fmt.Sprint(all[1].ID):                  {byID[1]},
		"?created_at=" + all[0].CreatedAt:               {byID[0]},
		"?username-like=b&display_name-like=100":        {"bob"},
		"?username=bob&username=anna":                   {"bob"}, // the first counts
		"?username='%20OR%201=1%20--":                   {},
		"?ordered-by=username":                          {"Zoe", "anna", "bob"}, // by their bytes
		"?ordered-by-desc=username":                     {"bob", "anna", "Zoe"},
		"?ordered-by-desc=about&ordered-by=username":    {"bob", "anna", "Zoe"},
		"?ordered-by=username&limit=2":                  {"Zoe", "anna"},
		"?ordered-by=username&limit=1&offset=1":         {"anna"},
		"?ordered-by=username&offset=2":                 {"bob"},
		"?offset=3":                                     {},
		"?limit=0":                                      {},
		"?limit=99999":                                  byID,
		"?limit=abc&offset=-1&id=abc&ordered-by=no":     byID,
		"?password_hash-like=a&email-like=secret&nope=": byID, // not shown, so no filter
		"?ordered-by=email":                             byID,
		"?id-like=1":                                    byID,
		"?username-like=%ff&created_at=yesterday":       byID,
		"?%zz=1&username=%zz":                           byID,
		"?username-like=%00":                            byID,
	} {
		t.Run(query, func(t *testing.T) {
			got := usernamesOf(t, zoe, query)
			if strings.Contains(query, "ordered-by") && !strings.Contains(query, "=no") && !strings.Contains(query, "=email") {
				require.Equal(t, want, got)
			} else {
				require.ElementsMatch(t, want, got)
			}
		})
	}
	requireAnswer(t, frontdoor.NewClient(t, s.URL).Get("/v1/users"), 401, "unauthenticated", "")
}

func lookAtUsers(t *testing.T, s *frontdoor.Server) {
	lea, moe := frontdoor.SignUp(t, s.URL, "Lea"), frontdoor.SignUp(t, s.URL, "moe")
	var me, other userAnswer
	lea.Do("PATCH", "/v1/me", `{"email": "lea@example.com", "current_password": "open sesame", "locale": "uk"}`).Want(http.StatusOK)
	lea.Get("/v1/me").Want(http.StatusOK).Decode(&me)
	for _, named := range []string{"Lea", "lea", "LEA", fmt.Sprint(me.ID)} {
		moe.Get("/v1/users/" + named).Want(http.StatusOK).Decode(&other)
		require.Equal(t, userAnswer{ID: me.ID, Username: "Lea", CreatedAt: me.CreatedAt}, other)
	}
	// A username comes before an id.
	impostor := frontdoor.SignUp(t, s.URL, fmt.Sprint(me.ID))
	require.Equal(t, fmt.Sprint(me.ID), impostor.Get(fmt.Sprint("/v1/users/", me.ID)).Want(http.StatusOK).Field("username"))
	check(t, []row{
		{"nobody", moe, "GET /v1/users/nobody", "", 404, "user_not_found", ""},
		{"no such id", moe, "GET /v1/users/99999999", "", 404, "user_not_found", ""},
		{"too large an id", moe, "GET /v1/users/99999999999999999999", "", 404, "user_not_found", ""},
		{"no username", moe, "GET /v1/users/%00", "", 404, "user_not_found", ""},
		{"the key of somebody who is gone", moe, "GET /v1/users/%201", "", 404, "user_not_found", ""},
	})
}

func profiles(t *testing.T, s *frontdoor.Server) {
	nia := frontdoor.SignUp(t, s.URL, "nia")
	frontdoor.SignUp(t, s.URL, "taken")
	patch := func(body string) (me userAnswer) {
		t.Helper()
		nia.Do("PATCH", "/v1/me", body).Want(http.StatusOK).Decode(&me)
		var again userAnswer
		nia.Get("/v1/me").Want(http.StatusOK).Decode(&again)
		require.Equal(t, me, again)
		return me
	}
	me := patch(`{}`)
	require.Equal(t, "nia", me.Username)
	require.Equal(t, "visible", me.Presence)
	me.Presence = "hidden"
	require.Equal(t, me, patch(`{"presence": "hidden"}`))
	me.DisplayName, me.Email, me.Locale, me.About = "Nía 🙂", "nia+x@example.com", "en-GB", "one\ntwo"
	require.Equal(t, me, patch(`{"display_name": " Nía 🙂 ", "email": "nia+x@example.com", "current_password": "open sesame", "locale": "EN-gb", "about": "one\ntwo"}`))
	me.About = ""
	require.Equal(t, me, patch(`{"about": "", "locale": null}`), "what is not given stays")
	me.Username = "Nía"
	require.Equal(t, me, patch(`{"username": "Nía"}`))
	frontdoor.NewClient(t, s.URL).Post("/v1/auth/login", `{"username": "nía", "password": "open sesame"}`).Want(http.StatusOK)
	requireAnswer(t, frontdoor.NewClient(t, s.URL).Post("/v1/auth/login", `{"username": "nia", "password": "open sesame"}`), 400, "bad_credentials", "")
	frontdoor.SignUp(t, s.URL, "nia") // it is free again

	long := strings.Repeat("ä", 65)
	check(t, []row{
		{"username taken", nia, "PATCH /v1/me", `{"username": "TAKEN", "about": "lost"}`, 400, "username_taken", "username"},
		{"username empty", nia, "PATCH /v1/me", `{"username": ""}`, 400, "username_missing", "username"},
		{"username invalid", nia, "PATCH /v1/me", `{"username": "a b"}`, 400, "username_invalid", "username"},
		{"display name too long", nia, "PATCH /v1/me", `{"display_name": "` + long + `"}`, 400, "display_name_too_long", "display_name"},
		{"display name of two lines", nia, "PATCH /v1/me", `{"display_name": "a\nb"}`, 400, "display_name_invalid", "display_name"},
		{"display name with NUL", nia, "PATCH /v1/me", `{"display_name": "a\u0000b"}`, 400, "display_name_invalid", "display_name"},
		{"email with a name", nia, "PATCH /v1/me", `{"email": "Nia <nia@example.com>"}`, 400, "email_invalid", "email"},
		{"email of nobody", nia, "PATCH /v1/me", `{"email": "example.com"}`, 400, "email_invalid", "email"},
		{"email too long", nia, "PATCH /v1/me", `{"email": "` + strings.Repeat("a", 250) + `@x.io"}`, 400, "email_too_long", "email"},
		{"no language", nia, "PATCH /v1/me", `{"locale": "klingon!"}`, 400, "locale_invalid", "locale"},
		{"no such presence", nia, "PATCH /v1/me", `{"presence": "away"}`, 400, "malformed_request", "presence"},
		{"about too long", nia, "PATCH /v1/me", `{"about": "` + strings.Repeat("a", 501) + `"}`, 400, "about_too_long", "about"},
	})
	require.Equal(t, me, patch(`{}`), "nothing of what was refused is stored")
}

func deletion(t *testing.T, s *frontdoor.Server) {
	pia, quin := frontdoor.SignUp(t, s.URL, "pia"), frontdoor.SignUp(t, s.URL, "quin")
	elsewhere := frontdoor.NewClient(t, s.URL)
	credentials := `{"username": "pia", "password": "open sesame"}`
	elsewhere.Post("/v1/auth/login", credentials).Want(http.StatusOK)
	id := pia.Get("/v1/me").Want(http.StatusOK).Field("id")
	group := quin.Post("/v1/group_chat", "").Want(http.StatusOK).Field("chat_id")
	participants := fmt.Sprintf("/v1/group_chat/%v/participants", group)
	quin.Post(participants, `{"username": "pia"}`).Want(http.StatusOK)
	pia.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id": %v, "message": "to all"}`, group)).Want(http.StatusOK)
	pia.Post("/v1/messages", `{"dest_username": "quin", "message": "to you"}`).Want(http.StatusOK)
	pia.Do("PUT", "/v1/blocks/quin", "").Want(http.StatusOK)

	r := pia.Delete("/v1/me").Want(http.StatusOK)
	require.Contains(t, r.Header.Get("Set-Cookie"), "Max-Age=0")
	check(t, []row{
		{"signed out", pia, "GET /v1/me", "", 401, "unauthenticated", ""},
		{"everywhere", elsewhere, "GET /v1/me", "", 401, "unauthenticated", ""},
		{"no way back", elsewhere, "POST /v1/auth/login", credentials, 400, "bad_credentials", ""},
		{"gone", quin, "GET /v1/users/pia", "", 404, "user_not_found", ""},
		{"by id, too", quin, "GET /v1/users/" + fmt.Sprint(id), "", 404, "user_not_found", ""},
		{"not in the group", quin, "DELETE " + participants + "/" + fmt.Sprint(id), "", 400, "participant_not_found", "username"},
		{"can't be written to", quin, "POST /v1/messages", `{"dest_username": "pia", "message": "hello?"}`, 400, "user_not_found", "dest_username"},
	})
	require.NotContains(t, usernamesOf(t, quin, "?limit=500"), "deleted user")
	var messages []struct {
		Sender string `json:"sender_username"`
		Text   string `json:"text"`
	}
	quin.Get("/v1/messages").Want(http.StatusOK).Decode(&messages)
	require.Len(t, messages, 2)
	for i, text := range []string{"to all", "to you"} {
		require.Equal(t, "deleted user", messages[i].Sender)
		require.Equal(t, text, messages[i].Text)
	}
	// The name is free, and whoever takes it is somebody else.
	again := frontdoor.SignUp(t, s.URL, "pia")
	require.NotEqual(t, id, again.Get("/v1/me").Want(http.StatusOK).Field("id"))
	require.JSONEq(t, "[]", again.Get("/v1/messages").Want(http.StatusOK).Text)
	quin.Post("/v1/messages", `{"dest_username": "pia", "message": "hello"}`).Want(http.StatusOK)
}

// A block is one-way, and does not reach back (contract 4).
func blocks(t *testing.T, s *frontdoor.Server) {
	rob, sam, tom := frontdoor.SignUp(t, s.URL, "rob"), frontdoor.SignUp(t, s.URL, "sam"), frontdoor.SignUp(t, s.URL, "tom")
	toRob, toSam := `{"dest_username": "rob", "message": "text"}`, `{"dest_username": "sam", "message": "text"}`
	direct := sam.Post("/v1/messages", toRob).Want(http.StatusOK).Field("chat_id")
	group := sam.Post("/v1/group_chat", "").Want(http.StatusOK).Field("chat_id")
	together := rob.Post("/v1/group_chat", "").Want(http.StatusOK).Field("chat_id")
	rob.Post(fmt.Sprintf("/v1/group_chat/%v/participants", together), `{"username": "sam"}`).Want(http.StatusOK)

	first := rob.Do("PUT", "/v1/blocks/SAM", "").Want(http.StatusOK)
	require.Equal(t, "sam", first.Field("username"))
	require.JSONEq(t, first.Text, rob.Do("PUT", "/v1/blocks/sam", "").Want(http.StatusOK).Text, "again is the same")
	require.JSONEq(t, "["+first.Text+"]", rob.Get("/v1/blocks").Want(http.StatusOK).Text)
	require.JSONEq(t, "[]", sam.Get("/v1/blocks").Want(http.StatusOK).Text)
	uma := frontdoor.SignUp(t, s.URL, "uma")
	for _, name := range []string{"tom", "rob", "sam"} {
		uma.Do("PUT", "/v1/blocks/"+name, "").Want(http.StatusOK)
	}
	for query, want := range map[string][]string{
		"": {"rob", "sam", "tom"}, "?limit=2": {"rob", "sam"}, "?offset=2": {"tom"}, "?limit=1&offset=1": {"sam"}, "?offset=3": {},
	} {
		names := []string{}
		for _, b := range decode[[]struct{ Username string }](uma.Get("/v1/blocks" + query)) {
			names = append(names, b.Username)
		}
		require.Equal(t, want, names, query)
	}

	addRob := fmt.Sprintf("POST /v1/group_chat/%v/participants", group)
	check(t, []row{
		{"too long a list", rob, "GET /v1/blocks?limit=501", "", 400, "malformed_request", "limit"},
		{"no list", rob, "GET /v1/blocks?limit=0", "", 400, "malformed_request", "limit"},
		{"by name", sam, "POST /v1/messages", toRob, 403, "blocked", ""},
		{"by the chat's id", sam, "POST /v1/messages", fmt.Sprintf(`{"group_chat_id": %v, "message": "text"}`, direct), 403, "blocked", ""},
		{"into a group", sam, addRob, `{"username": "rob"}`, 403, "blocked", ""},
		{"the blocker may write", rob, "POST /v1/messages", toSam, 200, "", ""},
		{"in a group that both are in", sam, "POST /v1/messages", fmt.Sprintf(`{"group_chat_id": %v, "message": "text"}`, together), 200, "", ""},
		{"others may", tom, "POST /v1/messages", toRob, 200, "", ""},
		{"who is in no such chat hears nothing of blocks", tom, "POST /v1/messages", fmt.Sprintf(`{"group_chat_id": %v, "message": "text"}`, direct), 403, "not_a_participant", ""},
		{"what was said can be read", sam, "GET /v1/messages/p2p/rob", "", 200, "", ""},
		{"oneself", rob, "PUT /v1/blocks/Rob", "", 400, "cannot_block_self", "username"},
		{"nobody", rob, "PUT /v1/blocks/nobody", "", 404, "user_not_found", ""},
		{"to take back what is not there", tom, "DELETE /v1/blocks/rob", "", 404, "not_blocked", ""},
		{"of nobody", rob, "DELETE /v1/blocks/nobody", "", 404, "user_not_found", ""},
		{"to take it back", rob, "DELETE /v1/blocks/sam", "", 200, "", ""},
		{"it is gone", sam, "POST /v1/messages", toRob, 200, "", ""},
		{"here, too", sam, addRob, `{"username": "rob"}`, 200, "", ""},
	})
	// A refused send takes no number.
	var messages []struct {
		Seq int64 `json:"seq"`
	}
	rob.Get("/v1/messages/p2p/sam").Want(http.StatusOK).Decode(&messages)
	require.Len(t, messages, 3)
	require.EqualValues(t, 3, messages[2].Seq)
	// Who is blocked before there is a chat makes none.
	tom.Do("PUT", "/v1/blocks/sam", "").Want(http.StatusOK)
	requireAnswer(t, sam.Post("/v1/messages", `{"dest_username": "tom", "message": "text"}`), 403, "blocked", "")
	require.JSONEq(t, "[]", tom.Get("/v1/messages/p2p/sam").Want(http.StatusOK).Text)
}

// After a block has been answered, nothing comes in that was on its way.
func blockAndSend(t *testing.T, s *frontdoor.Server) {
	una, vic := frontdoor.SignUp(t, s.URL, "una"), frontdoor.SignUp(t, s.URL, "vic")
	toUna := `{"dest_username": "una", "message": "text"}`
	vic.Post("/v1/messages", toUna).Want(http.StatusOK)
	for range 10 {
		var sending sync.WaitGroup
		for range 4 {
			sending.Go(func() {
				if r, err := vic.Try(t.Context(), "POST", "/v1/messages", toUna); err != nil || r.StatusCode != 200 && r.StatusCode != 403 {
					t.Errorf("%v: %+v", err, r)
				}
			})
		}
		una.Do("PUT", "/v1/blocks/vic", "").Want(http.StatusOK)
		before := una.Get("/v1/messages/p2p/vic").Want(http.StatusOK).Text
		sending.Wait()
		require.Equal(t, before, una.Get("/v1/messages/p2p/vic").Want(http.StatusOK).Text)
		una.Delete("/v1/blocks/vic").Want(http.StatusOK)
	}
}
