// Package natstest gives tests a cluster of NATS, in their own process, whose
// servers they may end and start again.
package natstest

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/freeport"
)

// patience is how long servers may take to start, and to find each other.
const patience = time.Minute

// Cluster is some servers that know each other. A test's goroutine alone uses it.
type Cluster struct {
	options []*server.Options
	servers []*server.Server // nil: it is down
}

// Start starts a cluster of some servers, which ends with the test. Change, if it is
// not nil, makes of the options of each what the test needs.
func Start(tb testing.TB, count int, change func(*server.Options)) *Cluster {
	tb.Helper()
	c := &Cluster{options: make([]*server.Options, count), servers: make([]*server.Server, count)}
	routes := make([]*url.URL, count)
	for i := range routes {
		routes[i] = &url.URL{Scheme: "nats", Host: hostPort(findPort(tb))}
	}
	for i := range c.options {
		options := &server.Options{
			ServerName: fmt.Sprintf("nats%d", i+1),
			Host:       "127.0.0.1", Port: findPort(tb),
			NoSigs: true, NoLog: true,
			// What is written to a client that does not read ends soon.
			WriteDeadline: 2 * time.Second,
		}
		if count > 1 {
			port, err := strconv.Atoi(routes[i].Port())
			require.NoError(tb, err)
			options.Cluster = server.ClusterOpts{
				Name: "test", Host: "127.0.0.1", Port: port,
				PoolSize: -1, // one connection to each of the others
			}
			options.Routes = append(append([]*url.URL{}, routes[:i]...), routes[i+1:]...)
		}
		if change != nil {
			change(options)
		}
		c.options[i] = options
	}
	tb.Cleanup(func() {
		for i := range c.servers {
			c.end(i)
		}
	})
	for i := range c.servers {
		c.start(tb, i)
	}
	c.await(tb)
	return c
}

// URLs are the addresses of all servers, also of those that are down.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.options))
	for i := range urls {
		urls[i] = c.URL(i)
	}
	return urls
}

// URL is the address of one server.
func (c *Cluster) URL(i int) string { return "nats://" + hostPort(c.options[i].Port) }

// Kill ends a server, with all its connections. It returns when it is gone.
func (c *Cluster) Kill(tb testing.TB, i int) {
	tb.Helper()
	require.NotNil(tb, c.servers[i], "server %d is down", i)
	c.end(i)
}

// Restart starts a server that was killed, at the same address. It returns when all
// servers that run are connected with each other.
func (c *Cluster) Restart(tb testing.TB, i int) {
	tb.Helper()
	require.Nil(tb, c.servers[i], "server %d runs", i)
	c.start(tb, i)
	c.await(tb)
}

// Clients is how many clients a server has; 0 if it is down.
func (c *Cluster) Clients(i int) int {
	if c.servers[i] == nil {
		return 0
	}
	return c.servers[i].NumClients()
}

// Server is one of the servers, to be looked at; nil if it is down.
func (c *Cluster) Server(i int) *server.Server { return c.servers[i] }

func (c *Cluster) start(tb testing.TB, i int) {
	tb.Helper()
	s, err := server.NewServer(c.options[i].Clone())
	require.NoError(tb, err)
	s.Start()
	c.servers[i] = s
	require.True(tb, s.ReadyForConnections(patience), "NATS does not start")
}

func (c *Cluster) end(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

// await waits until each server that runs is connected with all others.
func (c *Cluster) await(tb testing.TB) {
	tb.Helper()
	if len(c.servers) == 1 {
		return
	}
	running := 0
	for _, s := range c.servers {
		if s != nil {
			running++
		}
	}
	require.Eventually(tb, func() bool {
		for _, s := range c.servers {
			if s != nil && s.NumRoutes() != running-1 {
				return false
			}
		}
		return true
	}, patience, time.Millisecond, "the servers do not find each other")
}

func findPort(tb testing.TB) int {
	tb.Helper()
	port, err := freeport.Find()
	require.NoError(tb, err)
	return port
}

func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
