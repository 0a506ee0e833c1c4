package caddymsg_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/store"
)

// lifeSample is a line of Prometheus' text format.
type lifeSample struct {
	name   string
	labels map[string]string
	value  float64
}

type lifeSamples []lifeSample

var (
	lifeSampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	lifeLabel      = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// lifeMetrics are this module's metrics, from Caddy's admin API.
func lifeMetrics(t *testing.T, s *frontdoor.Server) (samples lifeSamples) {
	t.Helper()
	admin := frontdoor.NewClient(t, s.Admin)
	defer admin.HTTP.CloseIdleConnections()
	for lines := bufio.NewScanner(strings.NewReader(admin.Get("/metrics").Want(http.StatusOK).Text)); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), "messaging_") {
			continue
		}
		parts := lifeSampleLine.FindStringSubmatch(lines.Text())
		require.NotNil(t, parts, lines.Text())
		sample := lifeSample{name: parts[1], labels: map[string]string{}}
		for _, label := range lifeLabel.FindAllStringSubmatch(parts[2], -1) {
			sample.labels[label[1]] = label[2]
		}
		value, err := strconv.ParseFloat(parts[3], 64)
		require.NoError(t, err)
		sample.value = value
		samples = append(samples, sample)
	}
	return samples
}

// with keeps the samples with a name, and with a label if there is one to ask
// for.
func (samples lifeSamples) with(name string, label ...string) (found lifeSamples) {
	for _, s := range samples {
		if s.name == name && (len(label) == 0 || s.labels[label[0]] == label[1]) {
			found = append(found, s)
		}
	}
	return found
}

// sum adds up the samples with a name.
func (samples lifeSamples) sum(name string, label ...string) (total float64) {
	for _, s := range samples.with(name, label...) {
		total += s.value
	}
	return total
}

// labels are the values that a label of a metric has.
func (samples lifeSamples) labels(name, label string) (values []string) {
	for _, s := range samples.with(name) {
		values = append(values, s.labels[label])
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// requests counts what was answered, by route and status.
func (samples lifeSamples) requests() map[string]float64 {
	counts := map[string]float64{}
	for _, s := range samples.with("messaging_requests_total") {
		counts[s.labels["route"]+" "+s.labels["code"]] += s.value
	}
	return counts
}

func TestMetrics(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		// Two handlers on one database, and one on another.
		config := lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4") +
			"http://127.0.0.1:{$PORT2} {\n" +
			"@other header X-Other *\n" +
			"messaging @other {\n database {env.OTHER}\n bcrypt_cost 4\n}\n" +
			"messaging {\n database {env.DATABASE}\n}\n" +
			"}\n"
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: config, Env: []string{"OTHER=" + engine.NewDatabase(t)},
		})
		zaphod := frontdoor.SignUp(t, s.URL, "zaphod")
		frontdoor.NewClient(t, s.URL).Post("/v1/auth/login", `{"username":"zaphod","password":"wrong"}`).Want(http.StatusBadRequest)
		for range 3 {
			zaphod.Post("/v1/messages", lifeToSelf(t, "zaphod", "hi")).Want(http.StatusOK)
		}
		zaphod.Post("/v1/messages", lifeToSelf(t, "zaphod", "")).Want(http.StatusBadRequest)
		zaphod.Get("/v1/messages/p2p/zaphod").Want(http.StatusOK)
		zaphod.Delete(fmt.Sprintf("/v1/group_chat/%d/participants/zaphod", newGroup(zaphod))).Want(http.StatusOK)
		zaphod.Get("/v1/users/zaphod/nowhere").Want(http.StatusNotFound)
		zaphod.Delete("/v1/messages").Want(http.StatusMethodNotAllowed)
		// The second handler of the same database counts there, too.
		lifeAgain(t, zaphod, s.URL2).Post("/v1/messages", lifeToSelf(t, "zaphod", "hi")).Want(http.StatusOK)

		var first lifeSamples
		// A request is counted after it was answered.
		lifeEventually(t, "all requests are counted", func() bool {
			first = lifeMetrics(t, s)
			return first.sum("messaging_requests_total") == 13
		})
		require.Equal(t, map[string]float64{
			"POST /v1/auth/register 200":                                    1,
			"POST /v1/auth/login 200":                                       1,
			"POST /v1/auth/login 400":                                       1,
			"POST /v1/messages 200":                                         4,
			"POST /v1/messages 400":                                         1,
			"GET /v1/messages/p2p/{dest_username} 200":                      1,
			"POST /v1/group_chat 200":                                       1,
			"DELETE /v1/group_chat/{group_chat_id}/participants/{user} 200": 1,
			"none 404": 1,
			"none 405": 1,
		}, first.requests())
		require.EqualValues(t, 4, first.sum("messaging_messages_sent_total"))
		// A registration, a login, four messages, a group, a participant less. A
		// refused message is an update, too, if it gets as far as the database.
		require.GreaterOrEqual(t, first.sum("messaging_commit_updates_sum"), 8.0)
		require.Positive(t, first.sum("messaging_commit_seconds_sum"))
		require.Equal(t, first.sum("messaging_commit_updates_count"), first.sum("messaging_commit_seconds_count"))
		require.Positive(t, first.sum("messaging_database_connections"))
		for _, idle := range []string{"messaging_hashes_waiting", "messaging_updates_waiting", "messaging_open_connections"} {
			require.Len(t, first.with(idle), 2, idle)
			require.Zero(t, first.sum(idle), idle)
		}

		// Each database has its own numbers.
		database, err := store.Identity(s.Database)
		require.NoError(t, err)
		databases := first.labels("messaging_open_connections", "database")
		require.Len(t, databases, 2)
		if databases[0] != database {
			slices.Reverse(databases)
		}
		require.Equal(t, database, databases[0])
		require.Zero(t, first.sum("messaging_messages_sent_total", "database", databases[1]))
		other := frontdoor.NewClient(t, s.URL2)
		other.Do(http.MethodPost, "/v1/auth/register", `{"username":"zaphod","password":"open sesame"}`, "X-Other", "1").Want(http.StatusOK)
		other.Do(http.MethodPost, "/v1/auth/login", `{"username":"zaphod","password":"open sesame"}`, "X-Other", "1").Want(http.StatusOK)
		other.Do(http.MethodPost, "/v1/messages", lifeToSelf(t, "zaphod", "hi"), "X-Other", "1").Want(http.StatusOK)
		second := lifeMetrics(t, s)
		require.EqualValues(t, 4, second.sum("messaging_messages_sent_total", "database", databases[0]))
		require.EqualValues(t, 1, second.sum("messaging_messages_sent_total", "database", databases[1]))

		// They go on after a reload: from where they were.
		for n := range 3 {
			lifeReload(t, s, config, zaphod)
			require.EqualValues(t, 4+n, lifeMetrics(t, s).sum("messaging_messages_sent_total", "database", databases[0]))
			commits := lifeMetrics(t, s).sum("messaging_commit_seconds_count", "database", databases[0])
			zaphod.Post("/v1/messages", lifeToSelf(t, "zaphod", "hi")).Want(http.StatusOK)
			lifeEventually(t, "the numbers go on", func() bool {
				now := lifeMetrics(t, s)
				return now.requests()["POST /v1/messages 200"] == float64(4+1+n+1) &&
					now.sum("messaging_messages_sent_total", "database", databases[0]) == float64(4+n+1) &&
					// What is done behind the requests commits, too, and begins anew with a reload.
					now.sum("messaging_commit_seconds_count", "database", databases[0]) >= commits+1
			})
		}
		// A database that is no longer used takes its numbers with it.
		lifeReload(t, s, lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4"))
		require.Equal(t, databases[:1], lifeMetrics(t, s).labels("messaging_open_connections", "database"))

		for _, sample := range append(first, second...) {
			for label, value := range sample.labels {
				require.NotContains(t, value, "zaphod", "label %s of %s", label, sample.name)
			}
			require.NotEqual(t, "0", sample.labels["code"])
		}
	})
}

// While a request is answered it is counted, and so are the passwords that
// wait to be hashed.
func TestMetricsOfOngoingRequests(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 14")})
		lifeFloodLogins(t, s)
		lifeEventually(t, "they are counted", func() bool {
			now := lifeMetrics(t, s)
			return now.sum("messaging_hashes_waiting") >= 5 && now.sum("messaging_open_connections") > now.sum("messaging_hashes_waiting")
		})
	})
}

// What the module logs names people by number, and repeats nothing that was
// typed or said.
func TestLogs(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const secret = "verysecretsecretverysecretsecret"
		config := "{\n\tdebug\n}\n" + "http://127.0.0.1:{$PORT} {\n" +
			"\tlog\n\tmessaging {\n\t\tdatabase {env.DATABASE}\n\t\tbcrypt_cost 4\n\t\tsession_secret {env.LIFE_SECRET}\n\t}\n}\n"
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: config, Env: []string{"LIFE_SECRET=" + secret}})
		c := frontdoor.NewClient(t, s.URL)
		alice := idOf(c.Post("/v1/auth/register", `{"username":"alice","password":"sesame open 1"}`))
		bob := idOf(c.Post("/v1/auth/register", `{"username":"bob","password":"sesame open 2"}`))
		c.Post("/v1/auth/register", `{"username":"no name","password":"sesame open 3"}`).Want(http.StatusBadRequest)
		// A password, typed where the name goes.
		c.Post("/v1/auth/login", `{"username":"sesameopen1","password":"alice"}`).Want(http.StatusBadRequest)
		c.Post("/v1/auth/login", `{"username":"alice","password":"sesame closed"}`).Want(http.StatusBadRequest)
		c.Post("/v1/auth/login", `{"username":"alice","password":"sesame open 1"}`).Want(http.StatusOK)
		cookie := lifeCookies(t, c, s.URL)[0].Value
		first := decode[message](c.Post("/v1/messages", `{"dest_username":"bob","message":"the eagle has landed"}`))
		c.Post("/v1/messages", `{"group_chat_id":77,"message":"the eagle has crashed"}`).Want(http.StatusForbidden)
		c.Post("/v1/messages", `{"dest_username":"bob","message":["the eagle is hungry"]}`).Want(http.StatusBadRequest)
		second := decode[message](c.Do(http.MethodPost, "/v1/messages", `{"dest_username":"bob","message":"hi"}`, "Idempotency-Key", "k1"))
		c.Get("/v1/messages").Want(http.StatusOK)
		c.Post("/v1/auth/logout", "").Want(http.StatusOK)
		require.NoError(t, s.Stop(t.Context()))

		type entry struct {
			Logger, Msg string
			Level       string
			UserID      int64 `json:"user_id"`
			MessageID   int64 `json:"message_id"`
			ChatID      int64 `json:"chat_id"`
			Username    string
			ClientIP    string `json:"client_ip"`
		}
		entries := map[string][]entry{}
		for line := range strings.Lines(s.Log()) {
			var e entry
			if json.Unmarshal([]byte(line), &e) == nil && e.Logger == "http.handlers.messaging" {
				msg := e.Msg
				e.Logger, e.Msg = "", ""
				entries[msg] = append(entries[msg], e)
			}
		}
		require.Equal(t, []entry{
			{Level: "info", UserID: alice, Username: "alice", ClientIP: "127.0.0.1"},
			{Level: "info", UserID: bob, Username: "bob", ClientIP: "127.0.0.1"},
		}, entries["user registered"])
		require.Equal(t, []entry{{Level: "info", UserID: alice, ClientIP: "127.0.0.1"}}, entries["user logged in"])
		require.Equal(t, []entry{
			{Level: "warn", UserID: 0, ClientIP: "127.0.0.1"}, // nobody
			{Level: "warn", UserID: alice, ClientIP: "127.0.0.1"},
		}, entries["login failed"])
		require.Equal(t, []entry{
			{Level: "debug", UserID: alice, ChatID: first.ChatID, MessageID: first.ID},
			{Level: "debug", UserID: alice, ChatID: first.ChatID, MessageID: second.ID},
		}, entries["message sent"])

		for what, text := range map[string]string{
			"a password": "sesame", "a message": "eagle", "a cookie": cookie, "the secret": secret,
		} {
			require.NotContains(t, s.Log(), text, what)
		}
	})
}

func idOf(r *frontdoor.Response) int64 {
	return decode[struct{ ID int64 }](r).ID
}

// Without debug, a message leaves no line in the log.
func TestMessagesAreLoggedAtDebug(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		alice.Post("/v1/messages", lifeToSelf(t, "alice", "hi")).Want(http.StatusOK)
		alice.Post("/v1/auth/login", `{"username":"alice","password":"wrong"}`).Want(http.StatusBadRequest)
		require.NoError(t, s.Stop(t.Context()))
		require.Contains(t, s.Log(), "login failed")
		require.NotContains(t, s.Log(), "message sent")
	})
}
