package caddymsg_test

import (
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/caddymsg"
	"github.com/caddymsg/messaging/internal/natstest"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// The options say which bus it is, and blocks that say the same hear each other,
// unless they have other namespaces.
func TestOpenBus(t *testing.T) {
	servers := natstest.Start(t, 2, func(o *server.Options) { o.Authorization = "opensesame" })
	address := func(i int) string { return strings.Replace(servers.URL(i), "://", "://opensesame@", 1) }
	t.Setenv("BUS_FIRST", address(0))
	t.Setenv("BUS_TOKEN", "opensesame")
	database := pgtest.NewDatabase(t)
	t.Setenv("BUS_DATABASE", database)
	s, err := store.Open(t.Context(), store.Options{Database: database})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })

	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	open := func(h caddymsg.Handler, namespace string) (bus.Bus, <-chan bus.Message) {
		heard := make(chan bus.Message, 1000)
		b, err := h.OpenBus(ctx, s, namespace, func(m bus.Message) { heard <- m })
		require.NoError(t, err)
		t.Cleanup(b.Close)
		lifeEventually(t, "the bus is open", b.Healthy)
		return b, heard
	}
	listed := servers.URL(1)
	for name, test := range map[string]struct {
		a, b caddymsg.Handler
		kind string
	}{
		"NATS": {
			caddymsg.Handler{Database: "{env.BUS_DATABASE}", Bus: []string{"{env.BUS_FIRST}"}},
			caddymsg.Handler{Database: "{env.BUS_DATABASE}", Bus: []string{strings.Replace(listed, "://", "://{env.BUS_TOKEN}@", 1)}},
			"typing",
		},
		"PostgreSQL": {
			caddymsg.Handler{Database: "{env.BUS_DATABASE}"},
			caddymsg.Handler{Database: "{env.BUS_DATABASE}"},
			bus.Log,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := open(test.a, "one")
			b, heard := open(test.b, "one")
			other, elsewhere := open(test.b, "two")
			require.True(t, a.Carries(test.kind))
			require.Equal(t, name == "NATS", other.Carries("typing"))
			found := func(heard <-chan bus.Message) bool {
				for len(heard) > 0 {
					if m := <-heard; m.Kind == test.kind && string(m.Data) == "12" {
						return true
					}
				}
				return false
			}
			lifeEventually(t, "it is heard", func() bool {
				a.Publish(test.kind, []byte("12"))
				return found(heard)
			})
			require.True(t, b.Healthy())
			require.False(t, found(elsewhere))
		})
	}

	t.Run("SQLite", func(t *testing.T) {
		alone, _ := open(caddymsg.Handler{Database: "messaging.db"}, "one")
		require.False(t, alone.Carries(bus.Log))
	})
}
