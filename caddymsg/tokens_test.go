package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// The first site takes usernames and passwords with each request, the second does not.
const tokensCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		basic_auth on
		bcrypt_cost 4
		admin root
	}
}
http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		admin root
	}
}
`

type tokensAnswer struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int    `json:"refresh_expires_in"`
	SessionID        int64  `json:"session_id"`
}

// program is a client that has no cookies, and sends a header with each request.
func program(t testing.TB, base, name, value string) *frontdoor.Client {
	t.Helper()
	c := frontdoor.NewClient(t, base)
	c.HTTP.Jar = nil
	if name != "" {
		c.HTTP.Transport = withHeader{c.HTTP.Transport, name, value}
	}
	return c
}

type withHeader struct {
	http.RoundTripper
	name, value string
}

func (w withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return w.RoundTripper.RoundTrip(r)
}

func newTokensOf(t testing.TB, base, username string) tokensAnswer {
	t.Helper()
	return decode[tokensAnswer](program(t, base, "", "").Post("/v1/auth/token", credentials(t, username, frontdoor.Password)))
}

func refreshWith(c *frontdoor.Client, token, key string) *frontdoor.Response {
	var header []string
	if key != "" {
		header = []string{"Idempotency-Key", key}
	}
	return c.Do("POST", "/v1/auth/token", fmt.Sprintf(`{"refresh_token":%q}`, token), header...)
}

// may asks whether a token lets somebody in.
func may(t testing.TB, base, token string) int {
	t.Helper()
	return program(t, base, "Authorization", "Bearer "+token).Get("/v1/me").StatusCode
}

// TestTokens shares one server, and each of its parts has people of its own.
func TestTokens(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: tokensCaddyfile})
		root := frontdoor.SignUp(t, s.URL, "root")
		lifeReload(t, s, tokensCaddyfile, root) // which makes root an administrator
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server, *frontdoor.Client)
		}{
			{"sign in for tokens", signInForTokens},
			{"sign in with Basic", signInWithBasic},
			{"which credentials count", whichCredentials},
			{"refresh", refreshTokens},
			{"a refresh token is used again", reusedToken},
			{"the answer to a refresh is lost", lostAnswer},
			{"many refreshes at once", refreshesAtOnce},
			{"an access token expires", expiredToken},
			{"keys", keysOfPrograms},
			{"as many keys as there may be", manyKeys},
			{"sign out by a token", signOutByToken},
			{"a connection by a token", connectionByToken},
			{"a connection by a key", connectionByKey},
			{"Basic costs one hash", basicCostsOneHash},
			{"Basic at once", basicAtOnce},
			{"what ends Basic", endsOfBasic},
			{"nothing in clear", noTokenInClear},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s, root) })
		}
	})
}

func signInForTokens(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "tina")
	nobody := program(t, s.URL, "", "")
	r := nobody.Post("/v1/auth/token", credentials(t, "Tina", frontdoor.Password)).Want(200)
	require.Empty(t, r.Header["Set-Cookie"])
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	got := decode[tokensAnswer](r)
	require.Regexp(t, `^cmsg_at_[A-Z2-7]{33}$`, got.AccessToken)
	require.Regexp(t, `^cmsg_rt_[A-Z2-7]{59}$`, got.RefreshToken)
	require.Equal(t, "Bearer", got.TokenType)
	require.Equal(t, 3600, got.ExpiresIn)
	require.Equal(t, monthSeconds, got.RefreshExpiresIn)
	require.NotZero(t, got.SessionID)
	for _, header := range [][2]string{
		{"Authorization", "Bearer " + got.AccessToken}, {"Authorization", "bearer  " + got.AccessToken},
		{"Authorization", "Token " + got.AccessToken}, {"X-API-Key", got.AccessToken},
	} {
		require.Equal(t, "tina", program(t, s.URL, header[0], header[1]).Get("/v1/me").Want(200).Field("username"), header)
	}
	require.Equal(t, 401, may(t, s.URL, got.RefreshToken), "a refresh token refreshes, and nothing else")
	requireAnswer(t, refreshWith(nobody, got.AccessToken, ""), 400, "token_malformed", "refresh_token")

	requireAnswer(t, nobody.Post("/v1/auth/token", credentials(t, "tina", "wrong")), 400, "bad_credentials", "")
	requireAnswer(t, nobody.Post("/v1/auth/token", credentials(t, "tinnef", frontdoor.Password)), 400, "bad_credentials", "")
	for _, body := range []string{
		`{}`, `{"password":"open sesame"}`, fmt.Sprintf(`{"username":"tina","refresh_token":%q}`, got.RefreshToken),
		fmt.Sprintf(`{"password":"open sesame","refresh_token":%q}`, got.RefreshToken),
	} {
		requireAnswer(t, nobody.Post("/v1/auth/token", body), 400, "credentials_missing", "")
	}
	require.Equal(t, 200, may(t, s.URL, got.AccessToken), "none of this has changed anything")
}

func signInWithBasic(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "basil")
	for _, base := range []string{s.URL, s.URL2} { // also where other routes do not take it
		got := decode[tokensAnswer](program(t, base, "Authorization", basicAuth("basil", frontdoor.Password)).Get("/v1/auth/token"))
		require.Equal(t, 200, may(t, base, got.AccessToken))
		for _, header := range []string{"", "Basic", "Basic !", basicAuth("basil", "wrong"), basicAuth("nobody", frontdoor.Password), "Bearer " + got.AccessToken} {
			r := program(t, base, "Authorization", header).Get("/v1/auth/token").Want(401)
			require.Equal(t, []string{`Basic realm="messaging", charset="UTF-8"`}, r.Header["Www-Authenticate"])
		}
	}
	with := program(t, s.URL, "Authorization", basicAuth("basil", frontdoor.Password))
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"},
	} {
		requireAnswer(t, with.Do("GET", "/v1/auth/token", "", header...), 403, "cross_site", "")
	}
	with.Do("GET", "/v1/auth/token", "", "Sec-Fetch-Site", "same-origin", "Origin", s.URL).Want(200)
	opened := len(mySessions(t, with, "?kind=token"))
	require.Equal(t, "GET, POST", with.Do("HEAD", "/v1/auth/token", "").Want(405).Header.Get("Allow"))
	require.Len(t, mySessions(t, with, "?kind=token"), opened, "nobody would read the tokens")
}

// whichCredentials shows that the first ones that are there count, good or not, and
// what a 401 asks for.
func whichCredentials(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	wilma, willi := frontdoor.SignUp(t, s.URL, "wilma"), frontdoor.SignUp(t, s.URL, "willi")
	wilmas, willis := newTokensOf(t, s.URL, "wilma").AccessToken, newTokensOf(t, s.URL, "willi").AccessToken
	_ = willi
	challenges := map[string][]string{
		s.URL: {"Bearer", `Basic realm="messaging", charset="UTF-8"`}, s.URL2: {"Bearer"},
	}
	for base, want := range challenges {
		require.Equal(t, want, program(t, base, "", "").Get("/v1/me").Want(401).Header["Www-Authenticate"])
	}
	for name, c := range map[string]struct {
		header []string
		want   string // who it is, or the code
	}{
		"the cookie":                        {nil, "wilma"},
		"a token before the cookie":         {[]string{"Authorization", "Bearer " + willis}, "willi"},
		"a key before the cookie":           {[]string{"X-API-Key", willis}, "willi"},
		"a token before a key":              {[]string{"Authorization", "Bearer " + willis, "X-API-Key", wilmas}, "willi"},
		"a wrong token":                     {[]string{"Authorization", "Bearer " + willis + "A"}, "unauthenticated"},
		"a token that there never was":      {[]string{"Authorization", "Bearer cmsg_at_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "unauthenticated"},
		"no token":                          {[]string{"Authorization", "Bearer"}, "unauthenticated"},
		"a wrong token, and a good key":     {[]string{"Authorization", "Bearer x", "X-API-Key", willis}, "unauthenticated"},
		"a wrong key":                       {[]string{"X-API-Key", "x"}, "unauthenticated"},
		"another scheme":                    {[]string{"Authorization", "Digest username=willi"}, "wilma"},
		"another scheme, and a key":         {[]string{"Authorization", "Digest username=willi", "X-API-Key", willis}, "willi"},
		"Basic before the cookie":           {[]string{"Authorization", basicAuth("willi", frontdoor.Password)}, "willi"},
		"Basic with a wrong password":       {[]string{"Authorization", basicAuth("willi", "wrong")}, "bad_credentials"},
		"Basic of nobody":                   {[]string{"Authorization", basicAuth("nobody", "wrong")}, "bad_credentials"},
		"Basic that is none":                {[]string{"Authorization", "Basic %%%"}, "unauthenticated"},
		"Basic, with a good key, and wrong": {[]string{"Authorization", basicAuth("willi", "wrong"), "X-API-Key", willis}, "bad_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			r := wilma.Do("GET", "/v1/me", "", c.header...)
			if r.StatusCode == 200 {
				require.Equal(t, c.want, r.Field("username"))
				return
			}
			requireAnswer(t, r, 401, c.want, "")
			require.Equal(t, challenges[s.URL], r.Header["Www-Authenticate"])
		})
	}
	t.Run("Basic where it is off", func(t *testing.T) {
		other := frontdoor.NewClient(t, s.URL2)
		login(t, other, "wilma")
		require.Equal(t, "wilma", other.Do("GET", "/v1/me", "", "Authorization", basicAuth("willi", frontdoor.Password)).Want(200).Field("username"))
		program(t, s.URL2, "Authorization", basicAuth("willi", frontdoor.Password)).Get("/v1/me").Want(401)
	})
}

func refreshTokens(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "rosa")
	nobody := program(t, s.URL, "", "")
	before := newTokensOf(t, s.URL, "rosa")
	for range 3 {
		after := decode[tokensAnswer](refreshWith(nobody, before.RefreshToken, ""))
		require.NotEqual(t, before.AccessToken, after.AccessToken)
		require.NotEqual(t, before.RefreshToken, after.RefreshToken)
		require.Equal(t, before.SessionID, after.SessionID)
		require.Equal(t, 3600, after.ExpiresIn)
		require.Equal(t, monthSeconds, after.RefreshExpiresIn)
		require.Equal(t, 401, may(t, s.URL, before.AccessToken))
		require.Equal(t, 200, may(t, s.URL, after.AccessToken))
		before = after
	}
	for what, token := range map[string]string{
		"none": "x", "an access token": before.AccessToken, "cut off": before.RefreshToken[:60],
		"mistyped": before.RefreshToken[:40] + "A" + before.RefreshToken[40:],
	} {
		require.Equal(t, 400, refreshWith(nobody, token, "").StatusCode, what)
	}
	requireAnswer(t, refreshWith(nobody, before.RefreshToken, strings.Repeat("k", 129)), 400, "idempotency_key_invalid", "Idempotency-Key")
	require.Equal(t, 200, may(t, s.URL, before.AccessToken), "none of this has changed anything")
}

// reusedToken is a thief and an owner who both have a refresh token.
func reusedToken(t *testing.T, s *frontdoor.Server, root *frontdoor.Client) {
	rudi := frontdoor.SignUp(t, s.URL, "rudi")
	first, other := newTokensOf(t, s.URL, "rudi"), newTokensOf(t, s.URL, "rudi")
	nobody := program(t, s.URL, "", "")
	second := decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, ""))
	third := decode[tokensAnswer](refreshWith(nobody, second.RefreshToken, ""))
	socket := program(t, s.URL, "", "").Socket("/v1/ws", "Authorization", "Bearer "+third.AccessToken)
	socket.Await("hello")

	requireAnswer(t, refreshWith(nobody, first.RefreshToken, ""), 401, "token_revoked", "")
	socket.WantClose(4100)
	require.Equal(t, 401, may(t, s.URL, third.AccessToken))
	requireAnswer(t, refreshWith(nobody, third.RefreshToken, ""), 401, "token_revoked", "")
	require.Equal(t, 200, may(t, s.URL, other.AccessToken), "another session goes on")
	rudi.Get("/v1/me").Want(200)
	entries := decode[[]struct {
		UserID int64 `json:"user_id"`
	}](root.Get("/v1/admin/audit_log?action=user.token_reused&limit=1"))
	require.Len(t, entries, 1)
	require.EqualValues(t, rudi.Get("/v1/me").Field("id"), entries[0].UserID)
	require.Contains(t, s.Log(), fmt.Sprintf(`"session_id":%d`, first.SessionID))
}

func lostAnswer(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "lotte")
	nobody := program(t, s.URL, "", "")
	first := newTokensOf(t, s.URL, "lotte")
	second := decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, "a key"))
	again := decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, "a key"))
	again.ExpiresIn, again.RefreshExpiresIn = second.ExpiresIn, second.RefreshExpiresIn // a second may have passed
	require.Equal(t, second, again)
	require.Equal(t, 200, may(t, s.URL, second.AccessToken))

	third := decode[tokensAnswer](refreshWith(nobody, second.RefreshToken, "a key"))
	require.NotEqual(t, second.RefreshToken, third.RefreshToken, "the key belongs to the token that it came with")
	requireAnswer(t, refreshWith(nobody, first.RefreshToken, "a key"), 401, "token_revoked", "")
	require.Equal(t, 401, may(t, s.URL, third.AccessToken), "who has used an answer has had it")

	first = newTokensOf(t, s.URL, "lotte")
	second = decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, "a key"))
	requireAnswer(t, refreshWith(nobody, first.RefreshToken, "another key"), 401, "token_revoked", "")
	require.Equal(t, 401, may(t, s.URL, second.AccessToken))
}

func refreshesAtOnce(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "olga")
	nobody := program(t, s.URL, "", "")
	atOnce := func(key string) (statuses map[int]int, answers map[string]tokensAnswer) {
		first := newTokensOf(t, s.URL, "olga")
		statuses, answers = map[int]int{}, map[string]tokensAnswer{}
		var mu sync.Mutex
		var running sync.WaitGroup
		for range 20 {
			running.Go(func() {
				r := refreshWith(nobody, first.RefreshToken, key)
				mu.Lock()
				defer mu.Unlock()
				statuses[r.StatusCode]++
				if r.StatusCode == 200 {
					var got tokensAnswer
					r.Decode(&got)
					answers[got.AccessToken] = got
				}
			})
		}
		running.Wait()
		return statuses, answers
	}
	t.Run("without a key, one is answered, and the session ends", func(t *testing.T) {
		statuses, answers := atOnce("")
		require.Equal(t, map[int]int{200: 1, 401: 19}, statuses)
		for token, answer := range answers {
			require.Equal(t, 401, may(t, s.URL, token))
			requireAnswer(t, refreshWith(nobody, answer.RefreshToken, ""), 401, "token_revoked", "")
		}
	})
	t.Run("with a key, all get the same answer", func(t *testing.T) {
		statuses, answers := atOnce("a key")
		require.Equal(t, map[int]int{200: 20}, statuses)
		require.Len(t, answers, 1)
		for token := range answers {
			require.Equal(t, 200, may(t, s.URL, token))
		}
	})
}

// age has something of a session have been over for a second.
func age(t *testing.T, s *frontdoor.Server, column string, sessionID int64) {
	t.Helper()
	_, err := frontdoor.OpenDatabase(t, s.Database).ExecContext(t.Context(),
		`UPDATE sessions SET `+column+` = $1 WHERE id = $2`, time.Now().Add(-time.Second).UnixMicro(), sessionID)
	require.NoError(t, err)
}

func expiredToken(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "emil")
	nobody := program(t, s.URL, "", "")
	first := newTokensOf(t, s.URL, "emil")
	age(t, s, "token_expires_at", first.SessionID)
	r := program(t, s.URL, "Authorization", "Bearer "+first.AccessToken).Get("/v1/me")
	requireAnswer(t, r, 401, "token_expired", "")
	second := decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, ""))
	require.Equal(t, 200, may(t, s.URL, second.AccessToken))

	age(t, s, "expires_at", first.SessionID)
	r = program(t, s.URL, "Authorization", "Bearer "+second.AccessToken).Get("/v1/me")
	requireAnswer(t, r, 401, "unauthenticated", "")
	requireAnswer(t, refreshWith(nobody, second.RefreshToken, ""), 401, "token_revoked", "")
}

func keysOfPrograms(t *testing.T, s *frontdoor.Server, root *frontdoor.Client) {
	kurt := frontdoor.SignUp(t, s.URL, "kurt")
	type keyAnswer struct {
		ID        int64
		Name      string
		Scopes    []string
		Key       string
		CreatedAt time.Time `json:"created_at"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	made := decode[keyAnswer](kurt.Post("/v1/me/keys", `{"name":" build bot ","scopes":["write","read","read"]}`))
	require.Regexp(t, `^cmsg_key_[A-Z2-7]{33}$`, made.Key)
	require.Equal(t, "build bot", made.Name)
	require.Equal(t, []string{"read", "write"}, made.Scopes)
	require.Equal(t, 365*24*time.Hour, made.ExpiresAt.Sub(made.CreatedAt))
	for _, header := range [][2]string{{"X-API-Key", made.Key}, {"Authorization", "Bearer " + made.Key}, {"Authorization", "Token " + made.Key}} {
		bot := program(t, s.URL, header[0], header[1])
		require.Equal(t, "kurt", bot.Get("/v1/me").Want(200).Field("username"))
		require.Equal(t, "kurt", send(t, bot, "kurt", "by a bot").SenderUsername)
		requireAnswer(t, bot.Post("/v1/me/keys", `{"name":"more","scopes":["read"]}`), 403, "insufficient_scope", "")
		requireAnswer(t, bot.Post("/v1/auth/logout", ""), 403, "insufficient_scope", "")
		requireAnswer(t, bot.Do("PATCH", "/v1/me", `{"about":"a bot"}`), 403, "insufficient_scope", "")
	}
	requireAnswer(t, refreshWith(program(t, s.URL, "", ""), made.Key, ""), 400, "token_malformed", "refresh_token")

	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	again := decode[keyAnswer](kurt.Do("POST", "/v1/me/keys",
		fmt.Sprintf(`{"name":"once","scopes":["read"],"expires_at":%q}`, at.Format(time.RFC3339)), "Idempotency-Key", "once"))
	require.Equal(t, at, again.ExpiresAt.UTC())
	lost := again.Key
	require.Equal(t, 200, may(t, s.URL, lost))
	replay := func() *frontdoor.Response {
		return kurt.Do("POST", "/v1/me/keys", `{"name":"once","scopes":["read"]}`, "Idempotency-Key", "once")
	}
	anew := decode[keyAnswer](replay())
	require.NotEqual(t, lost, anew.Key, "it is stored nowhere")
	require.Equal(t, 401, may(t, s.URL, lost))
	again.Key = anew.Key
	require.Equal(t, again, anew, "and is the same key")

	for body, want := range map[string][2]string{
		`{"name":"","scopes":["read"]}`:                                        {"name_missing", "name"},
		`{"name":"  ","scopes":["read"]}`:                                      {"name_missing", "name"},
		`{"name":"` + strings.Repeat("ü", 65) + `","scopes":["read"]}`:         {"name_too_long", "name"},
		`{"name":"a\u0000b","scopes":["read"]}`:                                {"name_invalid", "name"},
		`{"name":"bot","scopes":[]}`:                                           {"scopes_missing", "scopes"},
		`{"name":"bot","scopes":["account"]}`:                                  {"scope_unknown", "scopes"},
		`{"name":"bot","scopes":["read"],"expires_at":"2001-01-01T00:00:00Z"}`: {"expires_at_invalid", "expires_at"},
		`{"name":"bot","scopes":["read"],"expires_at":"2999-01-01T00:00:00Z"}`: {"expires_at_invalid", "expires_at"},
	} {
		requireAnswer(t, kurt.Post("/v1/me/keys", body), 400, want[0], want[1])
	}

	age(t, s, "expires_at", made.ID)
	require.Equal(t, 401, may(t, s.URL, made.Key))
	id := kurt.Get("/v1/me").Field("id")
	require.Equal(t, 200, may(t, s.URL, again.Key))
	root.Delete(fmt.Sprintf("/v1/admin/users/%v/sessions/%d", id, again.ID)).Want(200)
	require.Equal(t, 401, may(t, s.URL, again.Key))
	requireAnswer(t, replay(), 400, "key_revoked", "")
}

func manyKeys(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	mona := frontdoor.SignUp(t, s.URL, "mona")
	for range 100 {
		newKeyOf(mona, "read")
	}
	requireAnswer(t, mona.Post("/v1/me/keys", `{"name":"one more","scopes":["read"]}`), 400, "too_many_keys", "")
}

func signOutByToken(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	stella := frontdoor.SignUp(t, s.URL, "stella")
	tokens, others := newTokensOf(t, s.URL, "stella"), newTokensOf(t, s.URL, "stella")
	r := stella.Do("POST", "/v1/auth/logout", "", "Authorization", "Bearer "+tokens.AccessToken).Want(200)
	require.Empty(t, r.Header["Set-Cookie"])
	require.Equal(t, 401, may(t, s.URL, tokens.AccessToken))
	requireAnswer(t, refreshWith(program(t, s.URL, "", ""), tokens.RefreshToken, ""), 401, "token_revoked", "")
	stella.Get("/v1/me").Want(200)
	require.Equal(t, 200, may(t, s.URL, others.AccessToken))
	require.Len(t, stella.Post("/v1/auth/logout", "").Want(200).Header["Set-Cookie"], 1)
	require.Equal(t, 200, may(t, s.URL, others.AccessToken))
}

func connectionByToken(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	frontdoor.SignUp(t, s.URL, "carl")
	nobody := program(t, s.URL, "", "")
	open := func(token string) *frontdoor.Socket {
		socket := nobody.Socket("/v1/ws", "Authorization", "Bearer "+token)
		socket.Await("hello")
		return socket
	}
	first := newTokensOf(t, s.URL, "carl")
	socket := open(first.AccessToken)
	second := decode[tokensAnswer](refreshWith(nobody, first.RefreshToken, ""))
	require.Equal(t, "answer", socket.Command("ping", nil).Type, "the session has been refreshed, and goes on")
	require.Equal(t, "answer", socket.Command("message.send", map[string]string{"dest_username": "carl", "text": "hi"}).Type)

	age(t, s, "token_expires_at", first.SessionID)
	socket.Send(`{"id":"c","type":"ping"}`)
	require.Contains(t, socket.WantClose(4001), `"renew"`)
	r, _ := nobody.Handshake("/v1/ws", "Authorization", "Bearer "+second.AccessToken)
	requireAnswer(t, r, 401, "token_expired", "")
	third := decode[tokensAnswer](refreshWith(nobody, second.RefreshToken, ""))
	open(third.AccessToken)

	by := program(t, s.URL, "Authorization", "Token "+third.AccessToken)
	events, err := by.Events(t.Context(), "")
	require.NoError(t, err)
	defer events.Close()
	hello, err := events.Next()
	require.NoError(t, err)
	require.Equal(t, "hello", hello.Type)
	by.Get("/v1/events").Want(200)
	program(t, s.URL, "", "").Get("/v1/events").Want(401)
}

// connectionByKey shows that each command of a connection needs its scope.
func connectionByKey(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	kira, karl := frontdoor.SignUp(t, s.URL, "kira"), frontdoor.SignUp(t, s.URL, "karl")
	chat := send(t, kira, "karl", "hi")
	id := karl.Get("/v1/me").Field("id")
	commands := map[string]struct {
		data   any
		writes bool
	}{
		"ping":                 {nil, false},
		"typing":               {map[string]any{"chat_id": chat.ChatID}, false},
		"presence.subscribe":   {map[string]any{"user_ids": []any{id}}, false},
		"presence.unsubscribe": {map[string]any{"user_ids": []any{id}}, false},
		"message.send":         {map[string]any{"chat_id": chat.ChatID, "text": "hi"}, true},
		"message.edit":         {map[string]any{"message_id": chat.ID, "text": "hello"}, true},
		"reaction.add":         {map[string]any{"message_id": chat.ID, "emoji": "👍"}, true},
		"reaction.remove":      {map[string]any{"message_id": chat.ID, "emoji": "👍"}, true},
		"chat.read":            {map[string]any{"chat_id": chat.ChatID}, true},
		"chat.delivered":       {map[string]any{"chat_id": chat.ChatID, "seq": 1}, true},
		"message.delete":       {map[string]any{"message_id": chat.ID}, true},
	}
	open := func(scopes ...string) *frontdoor.Socket {
		socket := program(t, s.URL, "", "").Socket("/v1/ws", "X-API-Key", newKeyOf(kira, scopes...))
		socket.Await("hello")
		return socket
	}
	reader := open("read")
	for name, command := range commands {
		got := reader.Command(name, command.data)
		if command.writes {
			require.Equal(t, "error", got.Type, name)
			require.Equal(t, "insufficient_scope", got.Field("code"), name)
		} else {
			require.Equal(t, "answer", got.Type, "%s: %s", name, got.Text)
		}
	}
	send(t, karl, "kira", "do you hear me?")
	require.Equal(t, "message.created", reader.Await("message.created").Type)

	both := open("read", "write")
	for name, command := range commands {
		if name != "message.delete" {
			got := both.Command(name, command.data)
			require.Equal(t, "answer", got.Type, "%s: %s", name, got.Text)
		}
	}
	r, _ := program(t, s.URL, "", "").Handshake("/v1/ws", "X-API-Key", newKeyOf(kira, "write"))
	requireAnswer(t, r, 403, "insufficient_scope", "")
}

// hashed tells how many passwords are hashed meanwhile.
func hashed(t *testing.T, s *frontdoor.Server, meanwhile func()) int {
	t.Helper()
	before := lifeMetrics(t, s).sum("messaging_password_hashes_total")
	meanwhile()
	return int(lifeMetrics(t, s).sum("messaging_password_hashes_total") - before)
}

func basicCostsOneHash(t *testing.T, s *frontdoor.Server, root *frontdoor.Client) {
	bea := frontdoor.SignUp(t, s.URL, "bea")
	by := program(t, s.URL, "Authorization", basicAuth("bea", frontdoor.Password))
	require.Equal(t, 1, hashed(t, s, func() {
		for range 100 {
			require.Empty(t, by.Get("/v1/me").Want(200).Header["Set-Cookie"])
		}
	}))
	require.Zero(t, hashed(t, s, func() {
		lifeReload(t, s, tokensCaddyfile, by, root, bea)
		require.Equal(t, "bea", send(t, by, "bea", "by Basic").SenderUsername)
	}), "what is remembered outlives a reload")
	require.Equal(t, 1, hashed(t, s, func() {
		program(t, s.URL, "Authorization", basicAuth("BEA", frontdoor.Password)).Get("/v1/me").Want(200)
	}))
	sessions := decode[[]struct{ ID int64 }](root.Get(fmt.Sprintf("/v1/admin/users/%v/sessions", bea.Get("/v1/me").Field("id"))))
	require.Len(t, sessions, 2, "that of the cookie, and one of Basic")
	require.Equal(t, 5, hashed(t, s, func() {
		for range 5 {
			program(t, s.URL, "Authorization", basicAuth("bea", "wrong")).Get("/v1/me").Want(401)
		}
	}), "what is wrong is not remembered")
	by.Get("/v1/me").Want(200)
}

func basicAtOnce(t *testing.T, s *frontdoor.Server, root *frontdoor.Client) {
	bert := frontdoor.SignUp(t, s.URL, "bert")
	by := program(t, s.URL, "Authorization", basicAuth("bert", frontdoor.Password))
	require.Equal(t, 1, hashed(t, s, func() {
		var running sync.WaitGroup
		for range 30 {
			running.Go(func() { by.Get("/v1/me").Want(200) })
		}
		running.Wait()
	}))
	sessions := decode[[]struct{ ID int64 }](root.Get(fmt.Sprintf("/v1/admin/users/%v/sessions", bert.Get("/v1/me").Field("id"))))
	require.Len(t, sessions, 2)
}

func endsOfBasic(t *testing.T, s *frontdoor.Server, root *frontdoor.Client) {
	for name, c := range endings {
		t.Run(name, func(t *testing.T) {
			username := strings.ReplaceAll("basic "+name, " ", "-")
			id := frontdoor.SignUp(t, s.URL, username).Get("/v1/me").Field("id")
			by := program(t, s.URL, "Authorization", basicAuth(username, frontdoor.Password))
			by.Get("/v1/me").Want(200)
			c.do(root, id)
			require.Equal(t, 1, hashed(t, s, func() { require.Equal(t, c.want, by.Get("/v1/me").StatusCode) }), "it has to show itself again")
		})
	}
}

// endings are what an administrator does to an account, and what is answered then to
// whoever has its former password.
var endings = map[string]struct {
	do   func(root *frontdoor.Client, id any)
	want int
}{
	"another password": {func(root *frontdoor.Client, id any) {
		root.Do("PATCH", fmt.Sprintf("/v1/admin/users/%v", id), `{"password":"another sesame"}`).Want(200)
	}, 401},
	"another name": {func(root *frontdoor.Client, id any) {
		root.Do("PATCH", fmt.Sprintf("/v1/admin/users/%v", id), fmt.Sprintf(`{"username":"renamed-%v"}`, id)).Want(200)
	}, 401},
	"deactivated": {func(root *frontdoor.Client, id any) {
		root.Do("PATCH", fmt.Sprintf("/v1/admin/users/%v", id), `{"deactivated":true}`).Want(200)
	}, 403},
	"deleted": {func(root *frontdoor.Client, id any) {
		root.Delete(fmt.Sprintf("/v1/admin/users/%v", id)).Want(200)
	}, 401},
	"session ended": {func(root *frontdoor.Client, id any) {
		root.Delete(fmt.Sprintf("/v1/admin/users/%v/sessions", id)).Want(200)
	}, 200}, // the password is right
}

// What one node remembers of a password ends when another one ends the session.
func TestBasicOnTwoNodes(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	var nodes [2]*frontdoor.Server
	for i := range nodes {
		nodes[i] = frontdoor.Start(t, frontdoor.Options{Database: database, Caddyfile: tokensCaddyfile})
	}
	root := frontdoor.SignUp(t, nodes[0].URL, "root")
	lifeReload(t, nodes[0], tokensCaddyfile, root)
	for name, c := range endings {
		t.Run(name, func(t *testing.T) {
			username := strings.ReplaceAll("basic "+name, " ", "-")
			id := frontdoor.SignUp(t, nodes[0].URL, username).Get("/v1/me").Field("id")
			var by [2]*frontdoor.Client
			for i, node := range nodes {
				by[i] = program(t, node.URL, "Authorization", basicAuth(username, frontdoor.Password))
				by[i].Get("/v1/me").Want(200)
			}
			sessions := decode[[]struct{ ID int64 }](root.Get(fmt.Sprintf("/v1/admin/users/%v/sessions", id)))
			require.Len(t, sessions, 2, "all nodes share the one of Basic")
			c.do(root, id)
			for _, by := range by {
				require.Equal(t, c.want, by.Get("/v1/me").StatusCode)
			}
		})
	}
}

func noTokenInClear(t *testing.T, s *frontdoor.Server, _ *frontdoor.Client) {
	nora := frontdoor.SignUp(t, s.URL, "nora-of-the-clear")
	tokens := newTokensOf(t, s.URL, "nora-of-the-clear")
	next := decode[tokensAnswer](refreshWith(program(t, s.URL, "", ""), tokens.RefreshToken, "key of nora"))
	key := nora.Do("POST", "/v1/me/keys", `{"name":"noras bot","scopes":["read"]}`, "Idempotency-Key", "other key of nora").Want(200).Field("key").(string)
	program(t, s.URL, "X-API-Key", key).Get("/v1/me").Want(200)
	program(t, s.URL, "X-API-Key", key+"x").Get("/v1/me").Want(401)
	program(t, s.URL, "Authorization", basicAuth("nora-of-the-clear", frontdoor.Password)).Get("/v1/me").Want(200)
	refreshWith(program(t, s.URL, "", ""), tokens.RefreshToken, "").Want(401) // which is logged
	kept := everythingIn(t, s.Database)
	for _, there := range []string{"noras bot", string(sum([]byte(key)))} {
		require.True(t, holds(kept, there), "this search finds what is there")
	}
	for what, secret := range map[string]string{
		"access token": tokens.AccessToken, "next access token": next.AccessToken, "refresh token": tokens.RefreshToken,
		"family": tokens.RefreshToken[:34], "next refresh token": next.RefreshToken, "key": key, "password": frontdoor.Password,
		"idempotency key": "key of nora", "header": basicAuth("nora-of-the-clear", frontdoor.Password)[6:],
	} {
		require.False(t, holds(kept, secret), "the database holds the %s", what)
		require.NotContains(t, s.Log(), secret, "the log holds the %s", what)
	}
}
