package caddymsg_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// limitedCaddyfile is a site that believes the proxy in front of it, which is the
// test, where clients come from.
func limitedCaddyfile(limits string) string {
	return `
{
	metrics
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}
http://127.0.0.1:{$PORT} {
	metrics /metrics
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		` + limits + `
	}
}
`
}

// from is the header of a request that comes from an address.
func from(address string) []string { return []string{"X-Forwarded-For", address} }

// requireLimited fails unless an answer says that something was done too often, and
// when to do it again.
func requireLimited(t *testing.T, r *frontdoor.Response, code, limit string) {
	t.Helper()
	r.Want(http.StatusTooManyRequests)
	require.Equal(t, code, r.Field("code"))
	wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, wait)
	require.EqualValues(t, wait, r.Field("retry_after"))
	require.Contains(t, r.Header.Get("Ratelimit"), strconv.Quote(limit)+";r=0;t=")
	require.Contains(t, r.Header.Get("Ratelimit-Policy"), strconv.Quote(limit)+";q=")
}

func TestRateLimits(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: limitedCaddyfile(`
		rate_limits {
			sends 4/1h
			sends_address 7/1h
			search 5/1h
			search_address 8/1h
			connects 3/1h
			connects_address 5/1h
			registration_address 100/1h
			sign_in_address 5/1h
		}`)})
		// Each from an address of their own.
		people := map[string]*frontdoor.Client{}
		for i, name := range []string{"sender", "batcher", "neighbour", "seeker", "looker", "viewer", "watcher"} {
			c := frontdoor.NewClient(t, s.URL)
			address := from(fmt.Sprint("192.0.2.", i))
			c.Do("POST", "/v1/auth/register", credentials(t, name, "open sesame"), address...).Want(200)
			c.Do("POST", "/v1/auth/login", credentials(t, name, "open sesame"), address...).Want(200)
			people[name] = c
		}
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server, map[string]*frontdoor.Client)
		}{
			{"sends", limitedSends},
			{"search", limitedSearches},
			{"connects", limitedConnects},
			{"registration", limitedRegistrations},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s, people) })
		}
		t.Run("metrics", func(t *testing.T) {
			page := frontdoor.NewClient(t, s.URL).Get("/metrics").Want(200).Text
			for _, limit := range []string{"sends", "sends_address", "search", "search_address", "connects", "connects_address", "registration_address"} {
				require.Regexp(t, `(?m)^messaging_rate_limited_total\{database="[^"]*",limit="`+limit+`"\} [1-9]`, page)
			}
		})
	})
}

// All ways to send something count the same.
func limitedSends(t *testing.T, _ *frontdoor.Server, people map[string]*frontdoor.Client) {
	sender := people["sender"]
	here := from("192.0.2.100")
	body := frontdoor.JSON(t, map[string]any{"dest_username": "neighbour", "message": "hi"})
	r := sender.Do("POST", "/v1/messages", body, here...).Want(200)
	require.Equal(t, `"sends";q=4;w=3600, "sends_address";q=7;w=3600`, r.Header.Get("Ratelimit-Policy"))
	require.Regexp(t, `^"sends";r=3;t=(900|89\d), "sends_address";r=6;t=\d+$`, r.Header.Get("Ratelimit"))

	socket := sender.Socket("/v1/ws", here...)
	send := map[string]any{"dest_username": "neighbour", "text": "hi"}
	require.Equal(t, "answer", socket.Command("message.send", send).Type)
	chat := fmt.Sprintf("/v1/chats/%v/messages", r.Field("chat_id"))
	sender.Do("POST", chat, `{"text":""}`, here...).Want(400) // what can't be sent does not count
	batch := `{"texts":["one","two"]}`
	r = sender.Do("POST", chat, batch, here...).Want(200)
	require.Contains(t, r.Header.Get("Ratelimit"), `"sends";r=0;`, "each counts")
	requireLimited(t, sender.Do("POST", chat, `{"text":"hi"}`, here...), "rate_limited", "sends")
	requireLimited(t, sender.Do("POST", chat, `{"texts":["hi"]}`, here...), "rate_limited", "sends")
	requireLimited(t, sender.Do("POST", "/v1/messages", body, here...), "rate_limited", "sends")
	poll := `{"text":"Lunch?","poll":{"options":["yes","no"]}}`
	requireLimited(t, sender.Do("POST", chat, poll, here...), "rate_limited", "sends")
	refused := socket.Command("message.send", send)
	require.Equal(t, "rate_limited", refused.Field("code"))
	require.EqualValues(t, 429, refused.Field("status"))
	require.Positive(t, refused.Field("retry_after"))
	require.Equal(t, "answer", socket.Command("ping", map[string]any{}).Type, "the connection goes on")

	// Who comes from the same address has what is left of it.
	neighbour := people["neighbour"]
	r = neighbour.Do("POST", chat, `{"texts":["1","2","3","4"]}`, here...).Want(429)
	require.Contains(t, r.Header.Get("Ratelimit"), `"sends_address";r=3;`, "all of it or nothing")
	neighbour.Do("POST", chat, `{"texts":["1","2","3"]}`, here...).Want(200)
	requireLimited(t, neighbour.Do("POST", chat, `{"text":"hi"}`, here...), "rate_limited", "sends_address")
	neighbour.Do("POST", chat, `{"text":"hi"}`, from("192.0.2.101")...).Want(200)

	// A batch that is larger than the limit is sent, and owed.
	batcher := people["batcher"]
	texts := frontdoor.JSON(t, map[string]any{"texts": strings.Split("0123456789", "")})
	chat = fmt.Sprintf("/v1/chats/%v/messages", batcher.Post("/v1/group_chat", "").Want(200).Field("chat_id"))
	batcher.Do("POST", chat, texts, from("192.0.2.102")...).Want(200)
	requireLimited(t, batcher.Do("POST", chat, texts, from("192.0.2.103")...), "rate_limited", "sends")
}

func limitedSearches(t *testing.T, _ *frontdoor.Server, people map[string]*frontdoor.Client) {
	seeker := people["seeker"]
	here := from("192.0.2.110")
	searches := []string{
		"/v1/search?q=hello", "/v1/search?q=hello&in=users", "/v1/search?q=hello&in=groups", "/v1/users?q=hello", "/v1/users?about-like=hello",
	}
	seeker.Do("GET", "/v1/search?q=", "", here...).Want(400) // it looks for nothing
	for i, path := range searches {
		r := seeker.Do("GET", path, "", here...).Want(200)
		require.Contains(t, r.Header.Get("Ratelimit"), fmt.Sprintf(`"search";r=%d;`, 4-i), path)
	}
	for _, path := range append(searches, "/v1/group_chat?q=hello") {
		requireLimited(t, seeker.Do("GET", path, "", here...), "rate_limited", "search")
	}
	for _, path := range []string{"/v1/users", "/v1/group_chat", "/v1/chats"} {
		require.Empty(t, seeker.Do("GET", path, "", here...).Want(200).Header.Get("Ratelimit"), "a list is no search")
	}
	looker := people["looker"]
	for range 3 {
		looker.Do("GET", searches[0], "", here...).Want(200)
	}
	requireLimited(t, looker.Do("GET", searches[0], "", here...), "rate_limited", "search_address")
}

func limitedConnects(t *testing.T, _ *frontdoor.Server, people map[string]*frontdoor.Client) {
	viewer := people["viewer"]
	here := from("192.0.2.120")
	r, _ := viewer.Handshake("/v1/ws", here...)
	r.Want(http.StatusSwitchingProtocols)
	require.Equal(t, `"connects";q=3;w=3600, "connects_address";q=5;w=3600`, r.Header.Get("Ratelimit-Policy"))
	require.Contains(t, r.Header.Get("Ratelimit"), `"connects";r=2;`)
	r = viewer.Do("GET", "/v1/events", "", here...).Want(200)
	require.Contains(t, r.Header.Get("Ratelimit"), `"connects";r=1;`)
	stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Request.URL.String(), http.NoBody)
	require.NoError(t, err)
	stream.Header = http.Header{"Accept": {"text/event-stream"}, "X-Forwarded-For": {"192.0.2.120"}}
	opened, err := viewer.HTTP.Do(stream)
	require.NoError(t, err)
	require.Equal(t, 200, opened.StatusCode)
	require.Contains(t, opened.Header.Get("Ratelimit"), `"connects";r=0;`)
	require.NoError(t, opened.Body.Close())

	refused, _ := viewer.Handshake("/v1/ws", here...)
	requireLimited(t, refused, "rate_limited", "connects")
	requireLimited(t, viewer.Do("GET", "/v1/events", "", here...), "rate_limited", "connects")
	requireLimited(t, viewer.Do("GET", "/v1/events", "", append(here, "Accept", "text/event-stream")...), "rate_limited", "connects")

	watcher := people["watcher"]
	for range 2 {
		watcher.Do("GET", "/v1/events", "", here...).Want(200)
	}
	requireLimited(t, watcher.Do("GET", "/v1/events", "", here...), "rate_limited", "connects_address")
}

func limitedRegistrations(t *testing.T, s *frontdoor.Server, _ map[string]*frontdoor.Client) {
	c := frontdoor.NewClient(t, s.URL)
	register := func(name, password, address string) *frontdoor.Response {
		return c.Do("POST", "/v1/auth/register", credentials(t, name, password), from(address)...)
	}
	for range 120 { // what costs no hash does not count
		register("short", "abc", "2001:db8::1").Want(400)
	}
	for i := range 100 {
		register("sender", "open sesame", fmt.Sprintf("2001:db8::%x", i)).Want(400)
	}
	requireLimited(t, register("newcomer", "open sesame", "2001:db8::ffff:1"), "too_many_attempts", "registration_address")
	register("newcomer", "open sesame", "2001:db8:0:1::1").Want(200)
}

// The limits are there by themselves, and the sends of the example go through.
func TestStandardRateLimits(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: limitedCaddyfile("")})
	c := frontdoor.SignUp(t, s.URL, "alice")
	chat := fmt.Sprintf("/v1/chats/%v/messages", c.Post("/v1/group_chat", "").Want(200).Field("chat_id"))
	for range 100 {
		r := c.Post(chat, `{"text":"hi"}`).Want(200)
		require.Equal(t, `"sends";q=100;w=5, "sends_address";q=1000;w=5`, r.Header.Get("Ratelimit-Policy"))
	}
	r := c.Do("POST", "/v1/auth/login", credentials(t, "alice", "wrong"))
	require.Empty(t, r.Want(400).Header.Get("Ratelimit-Policy"), "from where alice is known")
	r = frontdoor.NewClient(t, s.URL).Do("POST", "/v1/auth/login", credentials(t, "alice", "wrong"))
	require.Equal(t, `"sign_in_address";q=50;w=900`, r.Want(400).Header.Get("Ratelimit-Policy"))
}

func TestRateLimitsReload(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: limitedCaddyfile("rate_limits {\n sends 1/1h\n search 1/1h\n}")})
	c := frontdoor.SignUp(t, s.URL, "alice")
	chat := fmt.Sprintf("/v1/chats/%v/messages", c.Post("/v1/group_chat", "").Want(200).Field("chat_id"))
	send := func() *frontdoor.Response { return c.Post(chat, `{"text":"hi"}`) }
	search := func() *frontdoor.Response { return c.Get("/v1/search?q=hi") }
	send().Want(200)
	search().Want(200)
	lifeReload(t, s, limitedCaddyfile("rate_limits {\n sends 1/1h\n search 2/1h\n}"), c)
	requireLimited(t, send(), "rate_limited", "sends")
	search().Want(200)
	search().Want(200)
	requireLimited(t, search(), "rate_limited", "search")
	lifeReload(t, s, limitedCaddyfile("rate_limits off"), c)
	require.Empty(t, send().Want(200).Header["Ratelimit"])
	search().Want(200)
}

// A long-poll that comes too soon after the one before waits: it is there to wait.
func TestPollsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: limitedCaddyfile("rate_limits {\n connects 10/1s 1\n}")})
	c := frontdoor.SignUp(t, s.URL, "alice")
	cursor := c.Get("/v1/events?wait=60").Want(200).Field("cursor")
	for i := range 5 {
		c.Post("/v1/group_chat", "").Want(200)
		r := c.Get(fmt.Sprintf("/v1/events?wait=60&after=%v", cursor)).Want(200)
		cursor = r.Field("cursor")
		require.NotEmpty(t, r.Field("events"), i)
	}
	limited := false
	for range 100 {
		limited = limited || c.Get("/v1/events?wait=0").StatusCode == http.StatusTooManyRequests
	}
	require.True(t, limited, "who does not wait is refused")
}

// guesser asks one or more servers for sign-ins, from whatever address.
type guesser struct {
	t       *testing.T
	servers []*frontdoor.Server
	http    *http.Client
	// What the answers were, and from where they came.
	tried, refused atomic.Int64
}

func newGuesser(t *testing.T, servers ...*frontdoor.Server) *guesser {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	t.Cleanup(transport.CloseIdleConnections)
	return &guesser{t: t, servers: servers, http: &http.Client{Transport: transport}}
}

// guess makes a guess; its number says which node is asked.
func (g *guesser) guess(ctx context.Context, number int, username string, address netip.Addr) error {
	body := fmt.Sprintf(`{"username":%q,"password":"guess %d"}`, username, number)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.servers[number%len(g.servers)].URL+"/v1/auth/login", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Forwarded-For", address.String())
	answer, err := g.http.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode == http.StatusBadRequest && strings.Contains(string(text), "bad_credentials"):
		g.tried.Add(1)
	case answer.StatusCode == http.StatusTooManyRequests && strings.Contains(string(text), "too_many_logins"):
		return g.guess(ctx, number, username, address) // so many at once: it has not counted
	case answer.StatusCode == http.StatusTooManyRequests && strings.Contains(string(text), "too_many_attempts"):
		g.refused.Add(1)
		if answer.Header.Get("Retry-After") == "" {
			return fmt.Errorf("no Retry-After")
		}
	default:
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return nil
}

// all makes many guesses, some at a time, and returns when all have been answered.
func (g *guesser) all(count int, who func(i int) string, where func(i int) netip.Addr) {
	g.t.Helper()
	g.tried.Store(0)
	g.refused.Store(0)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				if err := g.guess(g.t.Context(), i, who(i), where(i)); err != nil {
					g.t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if g.t.Failed() {
		g.t.FailNow()
	}
	require.EqualValues(g.t, count, g.tried.Load()+g.refused.Load())
}

func always[T any](v T) func(int) T { return func(int) T { return v } }

// addresses are so many different ones of IPv4, or of networks of IPv6.
func addresses(count int) func(i int) netip.Addr {
	return func(i int) netip.Addr {
		if i %= count; i%2 == 0 {
			return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		}
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, byte(i >> 8), byte(i), 15: byte(i)})
	}
}

// signInFrom signs in with the usual password from an address.
func signInFrom(t *testing.T, c *frontdoor.Client, username, address string) *frontdoor.Response {
	t.Helper()
	return c.Do("POST", "/v1/auth/login", credentials(t, username, "open sesame"), from(address)...)
}

// The bot net: 10,000 guesses from 1,000 addresses on one account. They have the tries
// of one stranger, and the owner comes in from where they were known.
func TestAttackGuessesFromManyAddresses(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: limitedCaddyfile("")})
		browser := frontdoor.NewClient(t, s.URL)
		browser.Do("POST", "/v1/auth/register", credentials(t, "Owner", "open sesame"), from("192.0.2.1")...).Want(200)
		signInFrom(t, browser, "owner", "192.0.2.1").Want(200)
		g := newGuesser(t, s)
		who := []string{"owner", "OWNER", "Owner", "oWnEr"}
		count := hashed(t, s, func() {
			g.all(10_000, func(i int) string { return who[i%len(who)] }, addresses(1000))
		})
		require.LessOrEqual(t, g.tried.Load(), int64(10))
		require.Positive(t, g.tried.Load())
		require.Equal(t, g.tried.Load(), int64(count), "what is refused costs no hash")

		signInFrom(t, frontdoor.NewClient(t, s.URL), "owner", "203.0.113.9").Want(429)
		signInFrom(t, frontdoor.NewClient(t, s.URL), "owner", "192.0.2.1").Want(200) // the network is known
		signInFrom(t, browser, "owner", "203.0.113.9").Want(200)                     // the device is known

		// Not that one could guess for ever from there.
		g.all(100, always("owner"), always(netip.MustParseAddr("192.0.2.1")))
		require.LessOrEqual(t, g.tried.Load(), int64(10))
		signInFrom(t, frontdoor.NewClient(t, s.URL), "owner", "192.0.2.1").Want(429)
		signInFrom(t, browser, "owner", "192.0.2.1").Want(200)
		for range 10 {
			browser.Do("POST", "/v1/auth/login", credentials(t, "owner", "guess"), from("203.0.113.9")...).Want(400)
		}
		requireLimited(t, signInFrom(t, browser, "owner", "203.0.113.9"), "too_many_attempts", "sign_in")
	})
}

// The sprayer: one address tries a password on each of 1,000 accounts.
func TestAttackGuessesOnManyAccounts(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: limitedCaddyfile("")})
		owner := frontdoor.NewClient(t, s.URL)
		owner.Do("POST", "/v1/auth/register", credentials(t, "user7", "open sesame"), from("192.0.2.1")...).Want(200)
		signInFrom(t, owner, "user7", "192.0.2.1").Want(200)
		attacker := netip.MustParseAddr("2001:db8:bad::1")

		g := newGuesser(t, s)
		g.all(2000, func(i int) string { return fmt.Sprint("user", i%1000) }, func(i int) netip.Addr {
			bytes := attacker.As16()
			bytes[15] = byte(i) // all of one network
			return netip.AddrFrom16(bytes)
		})
		require.LessOrEqual(t, g.tried.Load(), int64(50))
		require.Positive(t, g.tried.Load())
		requireLimited(t, signInFrom(t, frontdoor.NewClient(t, s.URL), "user7", attacker.String()), "too_many_attempts", "sign_in_address")
		// Those who were known there have a device; nobody elsewhere notices anything.
		signInFrom(t, owner, "user7", attacker.String()).Want(200)
		signInFrom(t, frontdoor.NewClient(t, s.URL), "user7", "198.51.100.1").Want(200)
	})
}

// Whoever says that they come from elsewhere is not believed, where they are no proxy
// that the site trusts.
func TestAttackForgedAddress(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: directSite})
	g := newGuesser(t, s)
	g.all(200, func(i int) string { return fmt.Sprint("user", i) }, addresses(200))
	require.LessOrEqual(t, g.tried.Load(), int64(50))
	require.Positive(t, g.tried.Load())
}

// directSite is a site without a proxy, with the rate limits that there are by
// themselves.
const directSite = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
	}
}
`

// Signing in with the right password costs nothing, however often.
func TestSignInsThatSucceedAreNotLimited(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: limitedCaddyfile("rate_limits {\n sign_in 3/1h\n sign_in_address 3/1h\n}")})
		frontdoor.NewClient(t, s.URL).Post("/v1/auth/register", credentials(t, "alice", "open sesame")).Want(200)
		for i := range 10 {
			r := signInFrom(t, frontdoor.NewClient(t, s.URL), "alice", fmt.Sprint("192.0.2.", i/2)).Want(200)
			require.Regexp(t, `^"sign_in_address";r=3;t=0$`, r.Header.Get("Ratelimit"), "what others have left is not told")
		}
	})
}

// Guesses that come at the same time, at two nodes, have no more tries between them.
func TestAttackGuessesAtManyNodes(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	servers := make([]*frontdoor.Server, 2)
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() {
			servers[i] = frontdoor.Start(t, frontdoor.Options{Database: database, Caddyfile: limitedCaddyfile(`session_secret "one secret for all of the nodes that there are"`)})
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	browser := frontdoor.NewClient(t, servers[0].URL)
	browser.Do("POST", "/v1/auth/register", credentials(t, "owner", "open sesame"), from("192.0.2.1")...).Want(200)
	signInFrom(t, browser, "owner", "192.0.2.1").Want(200)

	g := newGuesser(t, servers...)
	g.all(1000, always("owner"), addresses(1000))
	require.LessOrEqual(t, g.tried.Load(), int64(10))
	require.Positive(t, g.tried.Load())
	g.all(1000, func(i int) string { return fmt.Sprint("user", i/2) }, always(netip.MustParseAddr("198.51.100.7")))
	require.LessOrEqual(t, g.tried.Load(), int64(50))
	require.Positive(t, g.tried.Load())
	// Where the owner is known at one node, they are at the other.
	signInFrom(t, nodesElsewhere(t, browser, servers[1].URL), "owner", "203.0.113.9").Want(200)
	signInFrom(t, frontdoor.NewClient(t, servers[1].URL), "owner", "192.0.2.1").Want(200)
	signInFrom(t, frontdoor.NewClient(t, servers[1].URL), "owner", "203.0.113.77").Want(429)
}

// Whose account is attacked changes their password and address, signs in for tokens, and
// by Basic, from the browser that they have signed in with before.
func TestOwnerUnderAttackFromAKnownDevice(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: limitedCaddyfile("")})
	browser := frontdoor.NewClient(t, s.URL)
	browser.Do("POST", "/v1/auth/register", credentials(t, "owner", "open sesame"), from("192.0.2.1")...).Want(200)
	signInFrom(t, browser, "owner", "192.0.2.1").Want(200)
	newGuesser(t, s).all(30, always("owner"), addresses(30))
	signInFrom(t, frontdoor.NewClient(t, s.URL), "owner", "198.51.100.200").Want(429)

	elsewhere := from("198.51.100.201")
	browser.Do("POST", "/v1/auth/token", credentials(t, "owner", "open sesame"), elsewhere...).Want(200)
	browser.Do("GET", "/v1/auth/token", "", append(elsewhere, "Authorization", basicAuth("owner", "open sesame"))...).Want(200)
	browser.Do("POST", "/v1/me/password", `{"current_password":"open sesame","password":"another password"}`, from("198.51.100.202")...).Want(200)
}

// Whoever is signed in does not fill the audit log, nor the database, as fast as they can.
func TestChangesAreLimited(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: limitedCaddyfile(`
		rate_limits {
			changes 3/1h
		}`)})
		alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
		for range 3 {
			alice.Post("/v1/me/keys", `{"name":"one","scopes":["read"]}`).Want(http.StatusOK)
		}
		requireLimited(t, alice.Post("/v1/me/keys", `{"name":"one","scopes":["read"]}`), "rate_limited", "changes")
		requireLimited(t, alice.Delete("/v1/me/sessions/1"), "rate_limited", "changes")
		alice.Get("/v1/me").Want(http.StatusOK)
		alice.Post("/v1/messages", `{"dest_username":"bob","message":"hi"}`).Want(http.StatusOK)
		bob.Post("/v1/me/keys", `{"name":"one","scopes":["read"]}`).Want(http.StatusOK)
	})
}
