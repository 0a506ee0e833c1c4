package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// TestGroups is about groups as those meet them who run them, who are in them, and
// who would like to be.
func TestGroups(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server)
		}{
			{"list", listGroups}, // first, while there are no others
			{"life", lifeOfGroup},
			{"refusals", groupRefusals},
			{"who manages it", managedGroup},
			{"owners", ownersOfGroup},
			{"invites", groupInvites},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s) })
		}
	})
}

type groupAnswer struct {
	ChatID           int64 `json:"chat_id"`
	Title            string
	Description      string
	Visibility       string
	ManagedBy        string `json:"managed_by"`
	ParticipantCount int    `json:"participant_count"`
	Role             string
	CreatedAt        string `json:"created_at"`
}

type participantAnswer struct {
	ChatID       int64 `json:"chat_id"`
	UserID       int64 `json:"user_id"`
	Username     string
	Role         string
	JoinedAt     string `json:"joined_at"`
	ReadSeq      int64  `json:"read_seq"`
	DeliveredSeq int64  `json:"delivered_seq"`
}

type inviteAnswer struct {
	ID        int64
	Token     string
	Creator   string
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at"`
	MaxUses   int    `json:"max_uses"`
	Uses      int
}

func groupPath(id int64, rest ...string) string {
	return fmt.Sprint("/v1/group_chat/", id, strings.Join(rest, ""))
}

// rolesIn are those of all who are in a group, in the order in which they came.
func rolesIn(c *frontdoor.Client, id int64) []string {
	found := []string{}
	for _, p := range decode[[]participantAnswer](c.Get(groupPath(id, "/participants"))) {
		found = append(found, p.Username+" "+p.Role)
	}
	return found
}

func listGroups(t *testing.T, s *frontdoor.Server) {
	lena, luc := frontdoor.SignUp(t, s.URL, "lena"), frontdoor.SignUp(t, s.URL, "luc")
	ids := func(c *frontdoor.Client, query string) []int64 {
		found := []int64{}
		for _, g := range decode[[]groupAnswer](c.Get("/v1/group_chat" + query)) {
			found = append(found, g.ChatID)
		}
		return found
	}
	require.Equal(t, "[]\n", lena.Get("/v1/group_chat").Want(200).Text)
	send(t, lena, "luc", "hi")
	own := newGroup(lena)
	public := decode[groupAnswer](luc.Post("/v1/group_chat", `{"visibility":"public"}`)).ChatID
	both := decode[groupAnswer](lena.Post("/v1/group_chat", `{"visibility":"public"}`)).ChatID
	require.Equal(t, []int64{own, public, both}, ids(lena, ""))
	require.Equal(t, []int64{public, both}, ids(luc, ""))
	require.Equal(t, []int64{public}, ids(lena, "?limit=1&offset=1"))
	require.Equal(t, []int64{both}, ids(lena, "?limit=500&offset=2"))
	require.Empty(t, ids(lena, "?offset=3"))
	for _, query := range []string{"?limit=0", "?limit=501", "?limit=x", "?offset=-1", "?offset=1000001"} {
		requireAnswer(t, lena.Get("/v1/group_chat"+query), 400, "malformed_request", query[1:strings.Index(query, "=")])
	}
}

func lifeOfGroup(t *testing.T, s *frontdoor.Server) {
	lia, leo := frontdoor.SignUp(t, s.URL, "lia"), frontdoor.SignUp(t, s.URL, "leo")
	made := decode[groupAnswer](lia.Post("/v1/group_chat", `{"title":" Trip ","description":"a\nb","managed_by":"admins"}`))
	require.NotEmpty(t, made.CreatedAt)
	require.Equal(t, groupAnswer{
		ChatID: made.ChatID, Title: "Trip", Description: "a\nb", Visibility: "private", ManagedBy: "admins",
		ParticipantCount: 1, Role: "owner", CreatedAt: made.CreatedAt,
	}, made)
	require.Equal(t, made, decode[groupAnswer](lia.Get(groupPath(made.ChatID))))
	requireAnswer(t, leo.Get(groupPath(made.ChatID)), 403, "not_a_participant", "")
	requireAnswer(t, leo.Post(groupPath(made.ChatID, "/join"), ""), 403, "not_a_participant", "")

	changed := decode[groupAnswer](lia.Do("PATCH", groupPath(made.ChatID), `{"description":"","visibility":"public"}`))
	made.Description, made.Visibility = "", "public"
	require.Equal(t, made, changed)
	seen := made
	seen.Role = ""
	require.Equal(t, seen, decode[groupAnswer](leo.Get(groupPath(made.ChatID))))
	require.NotContains(t, leo.Get(groupPath(made.ChatID)).Text, "role", "one has none")
	requireAnswer(t, leo.Get(groupPath(made.ChatID, "/participants")), 403, "not_a_participant", "")

	send(t, lia, made.ChatID, "before")
	joined := decode[groupAnswer](leo.Do("POST", groupPath(made.ChatID, "/join"), "", "Idempotency-Key", "join"))
	seen.Role, seen.ParticipantCount = "member", 2
	require.Equal(t, seen, joined)
	require.Equal(t, joined, decode[groupAnswer](leo.Do("POST", groupPath(made.ChatID, "/join"), "", "Idempotency-Key", "join")))
	requireAnswer(t, leo.Post(groupPath(made.ChatID, "/join"), ""), 400, "already_a_participant", "")
	require.Equal(t, []string{"before"}, textsOf(list(leo, fmt.Sprint("/v1/messages/group/", made.ChatID))))
	found := decode[[]participantAnswer](leo.Get(groupPath(made.ChatID, "/participants")))
	require.Len(t, found, 2)
	require.NotEmpty(t, found[1].JoinedAt)
	require.Equal(t, participantAnswer{
		ChatID: made.ChatID, UserID: found[1].UserID, Username: "leo", Role: "member", JoinedAt: found[1].JoinedAt,
		ReadSeq: 1, DeliveredSeq: 1, // what has been said so far is read
	}, found[1])
	require.Equal(t, found[1:], decode[[]participantAnswer](leo.Get(groupPath(made.ChatID, "/participants?limit=1&offset=1"))))

	requireAnswer(t, leo.Delete(groupPath(made.ChatID)), 403, "owner_required", "")
	lia.Delete(groupPath(made.ChatID)).Want(200)
	for _, c := range []*frontdoor.Client{lia, leo} {
		requireAnswer(t, c.Get(groupPath(made.ChatID)), 403, "not_a_participant", "")
		requireAnswer(t, c.Post(groupPath(made.ChatID, "/join"), ""), 403, "not_a_participant", "")
		requireAnswer(t, c.Delete(groupPath(made.ChatID)), 403, "not_a_participant", "")
	}

	t.Run("once with an idempotency key", func(t *testing.T) {
		key := []string{"Idempotency-Key", "5f0c"}
		first := decode[groupAnswer](lia.Do("POST", "/v1/group_chat", `{"title":"first"}`, key...))
		require.Equal(t, first, decode[groupAnswer](lia.Do("POST", "/v1/group_chat", `{"title":"second"}`, key...)))
		r := lia.Do("POST", groupPath(first.ChatID, "/invites"), "", key...)
		requireAnswer(t, r, 400, "idempotency_key_reused", "Idempotency-Key")
	})
}

func groupRefusals(t *testing.T, s *frontdoor.Server) {
	rick, rosa := frontdoor.SignUp(t, s.URL, "rick"), frontdoor.SignUp(t, s.URL, "rosa")
	nobody := frontdoor.NewClient(t, s.URL)
	group := newGroup(rick)
	direct := send(t, rick, "rosa", "hi").ChatID
	one, pair := fmt.Sprint(" /v1/group_chat/", group), fmt.Sprint(" /v1/group_chat/", direct)
	long := strings.Repeat("名", 1001)
	var rows []row
	for call, body := range map[string]string{
		"GET": "", "PATCH": "{", "DELETE": "", "POST /join": "", "GET /participants": "", "PATCH /participants/rick": "{",
		"GET /invites": "", "POST /invites": "{", "DELETE /invites/1": "",
	} {
		method, rest, _ := strings.Cut(call, " ")
		to := func(id any) string { return fmt.Sprint(method, " /v1/group_chat/", id, rest) }
		rows = append(rows,
			row{"401 before all: " + call, nobody, to(group), body, 401, "unauthenticated", ""},
			row{"403 before malformed: " + call, rosa, to(group), body, 403, "not_a_participant", ""},
			row{"403 unknown: " + call, rick, to(999999), body, 403, "not_a_participant", ""},
			row{"403 too large a number: " + call, rick, to("99999999999999999999"), body, 403, "not_a_participant", ""},
			row{"404 no number: " + call, rick, to("x"), body, 404, "no_such_path", ""})
	}
	check(t, append(rows, []row{
		{"a history is no group: delete", rick, "DELETE /v1/group_chat/messages", "", 405, "method_not_allowed", ""},
		{"a history is no group: change", rick, "PATCH /v1/group_chat/messages", "{}", 405, "method_not_allowed", ""},
		{"create: description too long", rick, "POST /v1/group_chat", `{"description":"` + long + `"}`, 400, "description_too_long", "description"},
		{"create: description invalid", rick, "POST /v1/group_chat", `{"description":"\u0000"}`, 400, "description_invalid", "description"},
		{"create: visibility", rick, "POST /v1/group_chat", `{"visibility":"secret"}`, 400, "malformed_request", "visibility"},
		{"create: managed_by", rick, "POST /v1/group_chat", `{"managed_by":1}`, 400, "malformed_request", "managed_by"},
		{"change: title too long", rick, "PATCH" + one, `{"title":"` + long + `"}`, 400, "title_too_long", "title"},
		{"change: title of two lines", rick, "PATCH" + one, `{"title":"a\nb"}`, 400, "title_invalid", "title"},
		{"change: visibility", rick, "PATCH" + one, `{"visibility":""}`, 400, "malformed_request", "visibility"},
		{"change: not an object", rick, "PATCH" + one, `[]`, 400, "malformed_request", ""},
		{"change: nothing", rick, "PATCH" + one, `{}`, 200, "", ""},
		{"no group: look", rick, "GET" + pair, "", 400, "not_a_group", "group_chat_id"},
		{"no group: change", rick, "PATCH" + pair, "{}", 400, "not_a_group", "group_chat_id"},
		{"no group: delete", rick, "DELETE" + pair, "", 400, "not_a_group", "group_chat_id"},
		{"no group: join", rick, "POST" + pair + "/join", "", 400, "not_a_group", "group_chat_id"},
		{"no group: role", rick, "PATCH" + pair + "/participants/rosa", `{"role":"owner"}`, 400, "not_a_group", "group_chat_id"},
		{"no group: invite", rick, "POST" + pair + "/invites", "", 400, "not_a_group", "group_chat_id"},
		{"no group: invites", rick, "GET" + pair + "/invites", "", 400, "not_a_group", "group_chat_id"},
		{"who is in it may be asked of any chat", rick, "GET" + pair + "/participants", "", 200, "", ""},
		{"role: nobody", rick, "PATCH" + one + "/participants/nobody", `{"role":"admin"}`, 400, "user_not_found", "username"},
		{"role: not in it", rick, "PATCH" + one + "/participants/rosa", `{"role":"admin"}`, 400, "participant_not_found", "username"},
		{"role: no such", rick, "PATCH" + one + "/participants/rick", `{"role":"king"}`, 400, "malformed_request", "role"},
		{"role: none", rick, "PATCH" + one + "/participants/rick", `{}`, 400, "malformed_request", "role"},
		{"role: there is one owner", rick, "PATCH" + one + "/participants/rick", `{"role":"member"}`, 400, "owner_needed", "role"},
		{"invite: too short", rick, "POST" + one + "/invites", `{"expires_in":59}`, 400, "malformed_request", "expires_in"},
		{"invite: no time at all", rick, "POST" + one + "/invites", `{"expires_in":0}`, 400, "malformed_request", "expires_in"},
		{"invite: too long", rick, "POST" + one + "/invites", `{"expires_in":31104001}`, 400, "malformed_request", "expires_in"},
		{"invite: no uses", rick, "POST" + one + "/invites", `{"max_uses":0}`, 400, "malformed_request", "max_uses"},
		{"invite: too many uses", rick, "POST" + one + "/invites", `{"max_uses":100001}`, 400, "malformed_request", "max_uses"},
		{"revoke: no such", rick, "DELETE" + one + "/invites/999999", "", 404, "invite_not_found", ""},
		{"revoke: no number", rick, "DELETE" + one + "/invites/x", "", 404, "no_such_path", ""},
		{"token: unknown", rosa, "GET /v1/invites/AAAAAAAAAAAAAAAAAAAAAAAA", "", 404, "invite_not_found", ""},
		{"token: accept unknown", rosa, "POST /v1/invites/AAAAAAAAAAAAAAAAAAAAAAAA", "", 404, "invite_not_found", ""},
		{"token: escaped", rosa, "POST /v1/invites/%00%FF%2F", "", 404, "invite_not_found", ""},
		{"token: nobody asks", nobody, "GET /v1/invites/AAAAAAAAAAAAAAAAAAAAAAAA", "", 401, "unauthenticated", ""},
	}...))
}

func managedGroup(t *testing.T, s *frontdoor.Server) {
	mona, milo, mel := frontdoor.SignUp(t, s.URL, "mona"), frontdoor.SignUp(t, s.URL, "milo"), frontdoor.SignUp(t, s.URL, "mel")
	frontdoor.SignUp(t, s.URL, "mika")
	group := newGroup(mona)
	add(t, mona, group, "milo")
	add(t, milo, group, "mel") // all are equal
	mona.Do("PATCH", groupPath(group, "/participants/milo"), `{"role":"admin"}`).Want(200)
	mona.Do("PATCH", groupPath(group), `{"managed_by":"admins"}`).Want(200)
	to, people := fmt.Sprint(" /v1/group_chat/", group), fmt.Sprint(" /v1/group_chat/", group, "/participants")
	check(t, []row{
		{"a member adds nobody", mel, "POST" + people, `{"username":"mika"}`, 403, "group_admin_required", ""},
		{"a member removes nobody", mel, "DELETE" + people + "/milo", "", 403, "group_admin_required", ""},
		{"a member invites nobody", mel, "POST" + to + "/invites", "", 403, "group_admin_required", ""},
		{"a member sees no invites", mel, "GET" + to + "/invites", "", 403, "group_admin_required", ""},
		{"a member changes nothing", mel, "PATCH" + to, `{"title":"x"}`, 403, "group_admin_required", ""},
		{"a member makes no admins", mel, "PATCH" + people + "/mel", `{"role":"admin"}`, 403, "owner_required", ""},
		{"an admin makes no admins", milo, "PATCH" + people + "/mel", `{"role":"admin"}`, 403, "owner_required", ""},
		{"an admin does not remove the owner", milo, "DELETE" + people + "/mona", "", 403, "owner_required", ""},
		{"an admin does not delete it", milo, "DELETE" + to, "", 403, "owner_required", ""},
		{"an admin changes it", milo, "PATCH" + to, `{"title":"x"}`, 200, "", ""},
		{"an admin adds", milo, "POST" + people, `{"username":"mika"}`, 200, "", ""},
		{"an admin removes", milo, "DELETE" + people + "/mika", "", 200, "", ""},
		{"a member leaves", mel, "DELETE" + people + "/mel", "", 200, "", ""},
		{"the owner removes an admin", mona, "DELETE" + people + "/milo", "", 200, "", ""},
	})
	require.Equal(t, []string{"mona owner"}, rolesIn(mona, group))
}

func ownersOfGroup(t *testing.T, s *frontdoor.Server) {
	otto, olga, omar := frontdoor.SignUp(t, s.URL, "otto"), frontdoor.SignUp(t, s.URL, "olga"), frontdoor.SignUp(t, s.URL, "omar")
	group := newGroup(otto)
	add(t, otto, group, "olga")
	add(t, otto, group, "omar")
	given := decode[participantAnswer](otto.Do("PATCH", groupPath(group, "/participants/OMAR"), `{"role":"owner"}`))
	require.Equal(t, []string{"omar", "owner"}, []string{given.Username, given.Role})
	require.Equal(t, []string{"otto admin", "olga member", "omar owner"}, rolesIn(otto, group))
	omar.Delete(groupPath(group, "/participants/omar")).Want(200)
	require.Equal(t, []string{"otto owner", "olga member"}, rolesIn(olga, group))
	otto.Delete("/v1/me").Want(http.StatusOK)
	require.Equal(t, []string{"olga owner"}, rolesIn(olga, group))
}

func groupInvites(t *testing.T, s *frontdoor.Server) {
	iris, igor, ivy := frontdoor.SignUp(t, s.URL, "iris"), frontdoor.SignUp(t, s.URL, "igor"), frontdoor.SignUp(t, s.URL, "ivy")
	group := decode[groupAnswer](iris.Post("/v1/group_chat", `{"title":"Crew","description":"all hands"}`)).ChatID
	invites := groupPath(group, "/invites")
	require.Equal(t, "[]\n", iris.Get(invites).Want(200).Text)

	made := decode[inviteAnswer](iris.Do("POST", invites, `{"expires_in":3600,"max_uses":1}`, "Idempotency-Key", "flyer"))
	require.Len(t, made.Token, 24)
	require.Equal(t, inviteAnswer{
		ID: made.ID, Token: made.Token, Creator: "iris", CreatedAt: made.CreatedAt, ExpiresAt: made.ExpiresAt, MaxUses: 1,
	}, made)
	require.Greater(t, made.ExpiresAt, made.CreatedAt)
	require.Equal(t, made, decode[inviteAnswer](iris.Do("POST", invites, "", "Idempotency-Key", "flyer")), "the token again")
	endless := decode[inviteAnswer](iris.Post(invites, ""))
	require.NotContains(t, iris.Get(invites).Text, "token")
	listed := decode[[]inviteAnswer](iris.Get(invites))
	require.Len(t, listed, 2)
	require.Equal(t, []int64{made.ID, endless.ID}, []int64{listed[0].ID, listed[1].ID})
	require.Empty(t, listed[1].ExpiresAt)

	require.JSONEq(t, `{"title":"Crew","description":"all hands","participant_count":1}`,
		igor.Get("/v1/invites/"+made.Token).Want(200).Text, "and nothing else")
	requireAnswer(t, iris.Post("/v1/invites/"+made.Token, ""), 400, "already_a_participant", "")
	joined := decode[groupAnswer](igor.Post("/v1/invites/"+made.Token, ""))
	require.Equal(t, []any{group, "member", 2}, []any{joined.ChatID, joined.Role, joined.ParticipantCount})
	for _, method := range []string{"GET", "POST"} {
		requireAnswer(t, ivy.Do(method, "/v1/invites/"+made.Token, ""), 404, "invite_not_found", "") // used up
	}
	iris.Delete(fmt.Sprint(invites, "/", endless.ID)).Want(200)
	requireAnswer(t, ivy.Post("/v1/invites/"+endless.Token, ""), 404, "invite_not_found", "")
	require.Equal(t, "[]\n", iris.Get(invites).Want(200).Text)
	require.Equal(t, []string{"iris owner", "igor member"}, rolesIn(iris, group))

	db := frontdoor.OpenDatabase(t, s.Database)
	var hashes int
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT count(*) FROM invites WHERE length(token_hash) = 32 AND chat_id = $1", group).Scan(&hashes))
	require.Equal(t, 2, hashes)
	require.NotContains(t, s.Log(), made.Token)
}
