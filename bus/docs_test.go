package bus_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/internal/natstest"
)

// The servers of docs/postgresql.md let nodes in that have the seed, and only those.
func TestDocumentedServers(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/postgresql.md")
	require.NoError(t, err)
	_, config, found := strings.Cut(string(page), "```\nserver_name: nats1\n")
	require.True(t, found)
	config, _, _ = strings.Cut(config, "\n```")

	folder := t.TempDir()
	ca := newAuthority(t, folder, "ca")
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	credentials := filepath.Join(folder, "bus.nk")
	require.NoError(t, os.WriteFile(credentials, append(seed, '\n'), 0o600))
	certificate := ca.issue(t, "server")

	servers := natstest.Start(t, 3, func(o *server.Options) {
		text := strings.NewReplacer(
			"0.0.0.0:4222", "127.0.0.1:"+strconv.Itoa(o.Port),
			"0.0.0.0:6222", "127.0.0.1:"+strconv.Itoa(o.Cluster.Port),
			"nats://nats1.example.com:6222", o.Routes[0].String(),
			"nats://nats2.example.com:6222", o.Routes[1].String(),
			", nats://nats3.example.com:6222", "",
			"/etc/nats/nats1.pem", certificate,
			"/etc/nats/nats1.key", filepath.Join(folder, "server.key"),
			"UC…", public,
		).Replace(config)
		require.NotContains(t, text, "example.com")
		file := filepath.Join(folder, o.ServerName+".conf")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		documented, err := server.ProcessConfigFile(file)
		require.NoError(t, err)
		documented.ServerName, documented.NoSigs, documented.NoLog = o.ServerName, true, true
		documented.Cluster.PoolSize = o.Cluster.PoolSize
		*o = *documented
	})
	opts := bus.NATSOptions{Servers: servers.URLs(), CA: ca.file, Credentials: credentials}
	a, b := newNATS(t, opts), newNATS(t, opts)
	a.awaitHealth(true)
	b.awaitHealth(true)
	talk(t, a, "typing", "as documented", b)
	opts.Credentials = ""
	stranger := newNATS(t, opts)
	await(t, func() bool { return strings.Contains(stranger.logged(), "level=WARN") })
	require.False(t, stranger.Healthy())
	require.NotContains(t, a.logged(), "level=WARN")
}
