package dialect_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// askedFor is a request: "POST /api/chats", and its body.
type askedFor struct{ what, body string }

// tooOften says, of each dialect, how one comes to have done all that one may, and what is
// asked for then: each route that changes something.
var tooOften = map[string]struct {
	begin []askedFor // without credentials; "token" or "api_key" of an answer are kept
	// credentials are the header to show them in, with what was kept.
	credentials func(token string) (name, value string)
	spend       []askedFor // all that the limits let through
	refused     []askedFor
	unlimited   []string // why: see there
}{
	"simple_chats": {
		begin: []askedFor{
			{"POST /api/register", `{"email": "ann@example.com", "username": "ann", "name": "Ann", "password": "open sesame"}`},
			{"POST /api/register", `{"email": "bob@example.com", "username": "bob", "name": "Bob", "password": "open sesame"}`},
			{"POST /api/forgot-password", `{"email": "ann@example.com"}`},
		},
		credentials: func(string) (string, string) { return "Authorization", basic("ann", "open sesame") },
		spend: []askedFor{
			{"POST /api/chats", `{"companion_id": 2}`},
			{"POST /api/chats/1/messages", `{"texts": "hi"}`},
		},
		refused: []askedFor{
			{"POST /api/register", `{"email": "eve@example.com", "username": "eve", "name": "Eve", "password": "open sesame"}`},
			{"POST /api/forgot-password", `{"email": "bob@example.com"}`},
			{"POST /api/update", `{"name": "Anna"}`},
			{"GET /api/token", ""},
			{"POST /api/chats", `{"companion_id": 1}`},
			{"DELETE /api/chats/1", ""},
			{"POST /api/chats/1/messages", `{"texts": "again"}`},
			{"PUT /api/chats/1/messages/1", `{"text": "edited"}`},
			{"DELETE /api/chats/1/messages/1", ""},
		},
		unlimited: []string{"POST /api/reset-password"}, // takes a token that nobody guesses
	},
	"group_chat": {
		begin: []askedFor{
			{"POST /api/login", `{"username": "admin", "password": "` + groupChatAdmin + `"}`},
		},
		credentials: func(token string) (string, string) { return "X-API-Key", token },
		spend: []askedFor{
			{"POST /api/groups", `{"name": "Alpha"}`},
			{"POST /api/groups/1/messages", `{"text": "hi"}`},
			{"POST /api/login", `{"username": "nobody", "password": "x"}`},
		},
		refused: []askedFor{
			{"POST /api/login", `{"username": "nobody", "password": "x"}`},
			{"POST /api/users", `{"username": "bob", "password": "pw"}`},
			{"PUT /api/users/1", `{"username": "root"}`},
			{"DELETE /api/users/1", ""},
			{"POST /api/groups", `{"name": "Beta"}`},
			{"PUT /api/groups/1", `{"name": "Beta"}`},
			{"DELETE /api/groups/1", ""},
			{"POST /api/groups/1/members", `{"username": "admin"}`},
			{"POST /api/groups/1/messages", `{"text": "again"}`},
			{"PUT /api/groups/1/messages/1/like", ""},
			{"POST /api/groups/1/messages/1/like", ""},
			{"DELETE /api/groups/1/messages/1/like", ""},
		},
		unlimited: []string{"POST /api/logout"}, // ends what there is once, and is for nobody, too
	},
	"knox": {
		begin: []askedFor{
			{"POST /api/auth/register", `{"username": "bob", "password": "x"}`},
			{"POST /api/auth/register", `{"username": "ann", "password": "x"}`},
		},
		credentials: func(token string) (string, string) { return "Authorization", "Token " + token },
		spend: []askedFor{
			{"POST /api/message", `{"receiver": "bob", "content": "hi"}`},
			{"POST /api/block", `{"blocked": "bob"}`},
			{"POST /api/auth/login", `{"username": "nobody", "password": "y"}`},
		},
		refused: []askedFor{
			{"POST /api/auth/register", `{"username": "eve", "password": "x"}`},
			{"POST /api/auth/login", `{"username": "nobody", "password": "y"}`},
			{"POST /api/auth/logout", ""},
			{"POST /api/message", `{"receiver": "ann", "content": "again"}`},
			{"POST /api/block", `{"blocked": "bob"}`},
			{"DELETE /api/block/bob", ""},
		},
	},
}

// Whoever asks too often is told when to ask again, at each route that changes something.
func TestTooOften(t *testing.T) {
	t.Parallel()
	for name, test := range tooOften {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mails := smtptest.Start(t, smtptest.Options{Plain: true})
			s := frontdoor.Start(t, frontdoor.Options{Caddyfile: strings.ReplaceAll(caddyfile(name, fmt.Sprintf(`
				public_url https://chat.example.com
				smtp {
					host %s
					port %d
					tls off
					from chat@example.com
				}`, mails.Host, mails.Port)), "rate_limits off", `rate_limits {
					changes 1/1h
					sends 1/1h
					sign_in 1/1h
					registration_address 2/1h
					reset_address 1/1h
				}`)})
			c := frontdoor.NewClient(t, s.URL)
			c.Unchecked = "not v1"
			if name == "group_chat" {
				createAdmin(t, s, groupChatAdmin)
			}
			ask := func(r askedFor, header ...string) *frontdoor.Response {
				method, path, _ := strings.Cut(r.what, " ")
				return c.Do(method, path, r.body, header...)
			}
			token := ""
			for _, r := range test.begin {
				answer := ask(r)
				require.Less(t, answer.StatusCode, 300, "%s: %s", r.what, answer.Text)
				var kept struct {
					Token string
					Key   string `json:"api_key"`
				}
				answer.Decode(&kept)
				token = kept.Token + kept.Key
			}
			header, credentials := test.credentials(token)
			signIn := func(r askedFor) bool {
				return strings.HasSuffix(r.what, "/login") || strings.HasSuffix(r.what, "/register")
			}
			for _, r := range test.spend {
				if signIn(r) {
					require.NotEqual(t, http.StatusTooManyRequests, ask(r).StatusCode)
					continue
				}
				answer := ask(r, header, credentials)
				require.Equal(t, http.StatusCreated, answer.StatusCode, "%s: %s", r.what, answer.Text)
			}

			covered := map[string]bool{}
			for _, what := range test.unlimited {
				covered[plainEndpoint(what)] = true
			}
			api, err := pages[name].dialect.Open(dialect.Options{Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			mux := http.NewServeMux()
			for _, route := range api.Routes() {
				mux.HandleFunc(route.Method+" "+route.Path, http.NotFound)
			}
			for _, r := range test.refused {
				t.Run(r.what, func(t *testing.T) {
					c := c.For(t)
					method, path, _ := strings.Cut(r.what, " ")
					request, err := http.NewRequestWithContext(t.Context(), method, path, http.NoBody)
					require.NoError(t, err)
					_, pattern := mux.Handler(request)
					covered[plainEndpoint(pattern)] = true
					var as []string
					if !signIn(r) {
						as = []string{header, credentials}
					}
					answer := c.Do(method, path, r.body, as...).Want(http.StatusTooManyRequests)
					seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
					require.NoError(t, err)
					require.Positive(t, seconds)
				})
			}
			for _, route := range api.Routes() {
				bare := name == "group_chat" && !strings.HasPrefix(route.Path, "/api/") // another path of the same
				if route.Method != http.MethodGet && !bare {
					require.True(t, covered[plainEndpoint(route.Method+" "+route.Path)], "%s %s: too often?", route.Method, route.Path)
				}
			}
		})
	}
}
