package caddymsg_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/natstest"
	"github.com/caddymsg/messaging/internal/pgtest"
)

// A server tells the bus that the configuration names what it has written, goes on
// without it, and changes to another one by a reload.
func TestBus(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 2, func(o *server.Options) { o.Authorization = "opensesame" })
	database := pgtest.NewDatabase(t)
	overNATS := lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4",
		"bus {env.NATS_URL} "+strings.Replace(servers.URL(1), "://", "://{env.NATS_TOKEN}@", 1))
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: overNATS, Env: []string{
		"DATABASE=" + database, "NATS_TOKEN=opensesame", "NATS_URL=" + strings.Replace(servers.URL(0), "://", "://opensesame@", 1),
	}})
	healthy := func(want float64) {
		t.Helper()
		lifeEventually(t, "it is told how the bus is", func() bool {
			return lifeMetrics(t, s).sum("messaging_bus_healthy") == want
		})
	}
	clients := func() int { return servers.Clients(0) + servers.Clients(1) }
	healthy(1)
	listener, err := nats.Connect(servers.URL(0), nats.Token("opensesame"))
	require.NoError(t, err)
	defer listener.Close()
	heard := make(chan *nats.Msg, 1000)
	_, err = listener.ChanSubscribe("caddymsg.>", heard)
	require.NoError(t, err)
	alice := frontdoor.SignUp(t, s.URL, "alice")
	send := func() {
		alice.Post("/v1/messages", `{"dest_username":"alice","message":"what nobody else may read"}`).Want(http.StatusOK)
	}
	lifeEventually(t, "it is heard", func() bool {
		send() // until the servers have told each other who listens
		return len(heard) > 0
	})
	for len(heard) > 0 {
		m := <-heard
		require.Regexp(t, `^caddymsg\.[0-9a-f]{12}\.log$`, m.Subject)
		require.Regexp(t, `^[A-Z0-9]+ [0-9]+$`, string(m.Data))
	}

	listener.Close()
	servers.Kill(t, 0)
	servers.Kill(t, 1)
	healthy(0)
	send()
	servers.Restart(t, 1)
	healthy(1)
	servers.Restart(t, 0)

	lifeReload(t, s, lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4"), alice) // PostgreSQL's own
	lifeEventually(t, "it has left the servers", func() bool { return clients() == 0 })
	healthy(1)
	send()
	lifeReload(t, s, overNATS, alice)
	lifeEventually(t, "it is back", func() bool { return clients() == 1 })
	healthy(1)

	config := frontdoor.NewClient(t, s.Admin).Get("/config/").Want(http.StatusOK)
	require.True(t, json.Valid([]byte(config.Text)))
	require.NotContains(t, config.Text, "sesame")
	require.NotContains(t, s.Log(), "sesame")
}
