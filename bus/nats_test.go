package bus_test

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/internal/natstest"
)

// newNATS makes a node of a NATS.
func newNATS(tb testing.TB, opts bus.NATSOptions) *node {
	tb.Helper()
	return newNode(tb, func(receive func(bus.Message), log *slog.Logger) (bus.Bus, error) {
		opts.Log = log
		if opts.Subject == "" {
			opts.Subject = "caddymsg.test"
		}
		return bus.OpenNATS(opts, receive)
	})
}

func TestNATS(t *testing.T) {
	t.Parallel()
	const maxPayload = 4096
	servers := natstest.Start(t, 1, func(o *server.Options) { o.MaxPayload = maxPayload })
	opts := bus.NATSOptions{Servers: servers.URLs(), Name: "a node"}
	a, b := newNATS(t, opts), newNATS(t, opts)
	opts.Subject = "caddymsg.other"
	stranger := newNATS(t, opts)
	for _, n := range []*node{a, b, stranger} {
		n.awaitHealth(true)
		require.True(t, n.Carries(bus.Log))
		require.True(t, n.Carries("typing"))
		require.Empty(t, n.messages(bus.Log)[0], "it does not say that something may have been missed")
	}
	for _, data := range []string{"one", "two words", "", "\x00 \xff\r\n"} {
		talk(t, a, "typing", data, b)
	}
	talk(t, b, bus.Log, "12", a)

	conn, err := nats.Connect(servers.URL(0))
	require.NoError(t, err)
	defer conn.Close()
	for _, data := range []string{"", "x", bus.Sender(a.Bus) + " of its own"} { // by another way
		require.NoError(t, conn.Publish("caddymsg.test.presence", []byte(data)))
	}
	require.NoError(t, conn.Publish("caddymsg.test.presence", []byte("another said")))
	require.NoError(t, conn.Flush())
	await(t, func() bool { return a.has("presence", "said") })
	require.Equal(t, []string{"said"}, a.messages("presence"))

	big := strings.Repeat("x", maxPayload) // with its sender, more than the server takes
	a.Publish("typing", []byte(big))
	talk(t, a, "typing", "after what was too big", b)
	require.False(t, b.has("typing", big))
	require.True(t, a.Healthy())

	b.close()
	a.Publish("typing", []byte("to nobody"))
	b.Publish("typing", []byte("after the end"))
	require.Empty(t, stranger.messages("typing"))
	require.NotContains(t, stranger.messages(bus.Log), "12")
}

// One server after another goes and comes back, and it goes on.
func TestNATSServersGo(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 3, nil)
	nodes := make([]*node, 3)
	for i := range nodes {
		nodes[i] = newNATS(t, bus.NATSOptions{Servers: servers.URLs()})
	}
	said := 0
	everybodyTalks := func() {
		t.Helper()
		for i, from := range nodes {
			from.awaitHealth(true)
			for j, to := range nodes {
				if i != j {
					said++
					talk(t, from, bus.Log, strconv.Itoa(said), to)
					talk(t, from, "typing", strconv.Itoa(said), to)
				}
			}
		}
	}
	looks := func(n *node) (count int) {
		for _, data := range n.messages(bus.Log) {
			if data == "" {
				count++
			}
		}
		return count
	}
	everybodyTalks()
	for i := range 3 {
		for clients := 0; clients == 0; clients = servers.Clients(i) {
			// Any server is as good as another: some node must be at this one.
			newNATS(t, bus.NATSOptions{Servers: servers.URLs()[i : i+1]}).awaitHealth(true)
		}
		before := looks(nodes[0])
		servers.Kill(t, i)
		everybodyTalks()
		servers.Restart(t, i)
		everybodyTalks()
		require.GreaterOrEqual(t, looks(nodes[0]), before)
	}
	servers.Kill(t, 0)
	servers.Kill(t, 1)
	everybodyTalks()
	servers.Kill(t, 2)
	for i, n := range nodes {
		n.awaitHealth(false)
		n.Publish("typing", []byte("to nobody"))
		n.Publish(bus.Log, []byte(strconv.Itoa(1000+i)))
	}
	before := looks(nodes[0])
	servers.Restart(t, 1)
	everybodyTalks()
	require.Greater(t, looks(nodes[0]), before, "it does not say that something may have been missed")
	for _, n := range nodes {
		require.False(t, n.has("typing", "to nobody"), "somebody is told who has typed long ago")
	}
}

// A server may come later than the node.
func TestNATSServerComesLate(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 1, nil)
	servers.Kill(t, 0)
	opts := bus.NATSOptions{Servers: servers.URLs()}
	a, b := newNATS(t, opts), newNATS(t, opts)
	await(t, func() bool { return strings.Contains(a.logged(), "level=WARN") })
	require.False(t, a.Healthy())
	a.Publish(bus.Log, []byte("1"))
	a.Publish("typing", nil)
	require.Empty(t, a.messages(bus.Log))
	servers.Restart(t, 0)
	a.awaitHealth(true)
	b.awaitHealth(true)
	talk(t, a, "typing", "at last", b)
	require.Equal(t, 1, strings.Count(a.logged(), "level=WARN"), "each attempt is told of")
	require.Contains(t, a.logged(), "bus connected")
}

func TestNATSTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ca, stranger := newAuthority(t, folder, "ca"), newAuthority(t, folder, "stranger")
	servers := natstest.Start(t, 2, func(o *server.Options) {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{
			CaFile: ca.file, CertFile: ca.issue(t, "server"), KeyFile: filepath.Join(folder, "server.key"), Verify: true,
		})
		require.NoError(t, err)
		o.TLSConfig, o.TLSTimeout = config, 10
	})
	good := bus.NATSOptions{
		Servers: servers.URLs(), CA: ca.file,
		Certificate: ca.issue(t, "node"), Key: filepath.Join(folder, "node.key"),
	}
	a := newNATS(t, good)
	good.Servers = []string{strings.Replace(servers.URL(1), "nats://", "tls://", 1)}
	b := newNATS(t, good)
	a.awaitHealth(true)
	b.awaitHealth(true)
	talk(t, a, "typing", "in private", b)

	for name, change := range map[string]func(*bus.NATSOptions){
		"a server nobody vouches for": func(o *bus.NATSOptions) { o.CA = stranger.file },
		"the system's authorities":    func(o *bus.NATSOptions) { o.CA = "" },
		"no certificate":              func(o *bus.NATSOptions) { o.Certificate, o.Key = "", "" },
		"a stranger's certificate": func(o *bus.NATSOptions) {
			o.Certificate, o.Key = stranger.issue(t, "intruder"), filepath.Join(folder, "intruder.key")
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := good
			change(&opts)
			n := newNATS(t, opts)
			await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
			require.False(t, n.Healthy())
		})
	}

	t.Run("a server without TLS", func(t *testing.T) {
		opts := good
		opts.Servers = natstest.Start(t, 1, nil).URLs()
		n := newNATS(t, opts)
		await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
		require.False(t, n.Healthy())
	})
	t.Run("a certificate that has been renewed", func(t *testing.T) {
		opts := good
		opts.Certificate, opts.Key = stranger.issue(t, "renewed"), filepath.Join(folder, "renewed.key")
		n := newNATS(t, opts)
		await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
		ca.issue(t, "renewed")
		n.awaitHealth(true)
		talk(t, n, "typing", "renewed", a)
	})
}

// Whoever has no credentials, or others, is not let in; and when the file has the
// right ones, it is.
func TestNATSCredentials(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, content []byte) string {
		file := filepath.Join(t.TempDir(), "credentials")
		require.NoError(t, os.WriteFile(file, content, 0o600))
		return file
	}
	newKey := func(t *testing.T, kind func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string, seed []byte) {
		pair, err := kind()
		require.NoError(t, err)
		public, err = pair.PublicKey()
		require.NoError(t, err)
		seed, err = pair.Seed()
		require.NoError(t, err)
		return pair, public, seed
	}
	letsIn := func(t *testing.T, servers *natstest.Cluster, good, bad []byte, secret string) {
		opts := bus.NATSOptions{Servers: servers.URLs(), Credentials: write(t, good)}
		a, b := newNATS(t, opts), newNATS(t, opts)
		a.awaitHealth(true)
		b.awaitHealth(true)
		talk(t, a, "typing", "let in", b)
		servers.Kill(t, 0)
		servers.Restart(t, 0)
		talk(t, a, "typing", "let in again", b)

		opts.Credentials = ""
		without := newNATS(t, opts)
		await(t, func() bool { return strings.Contains(without.logged(), "level=WARN") })
		require.False(t, without.Healthy())
		opts.Credentials = write(t, bad)
		other := newNATS(t, opts)
		await(t, func() bool { return strings.Contains(other.logged(), "level=WARN") })
		require.False(t, other.Healthy())
		require.NoError(t, os.WriteFile(opts.Credentials, good, 0o600))
		other.awaitHealth(true)
		talk(t, other, "typing", "later", a)
		for _, n := range []*node{a, other} {
			require.NotContains(t, n.logged(), secret)
		}
	}

	t.Run("nkey", func(t *testing.T) {
		t.Parallel()
		_, public, seed := newKey(t, nkeys.CreateUser)
		_, _, otherSeed := newKey(t, nkeys.CreateUser)
		servers := natstest.Start(t, 1, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
		letsIn(t, servers, append(seed, '\n'), otherSeed, string(seed))
	})

	t.Run("JWT", func(t *testing.T) {
		t.Parallel()
		operator, operatorKey, _ := newKey(t, nkeys.CreateOperator)
		account, accountKey, _ := newKey(t, nkeys.CreateAccount)
		operatorJWT, err := jwt.NewOperatorClaims(operatorKey).Encode(operator)
		require.NoError(t, err)
		accountJWT, err := jwt.NewAccountClaims(accountKey).Encode(operator)
		require.NoError(t, err)
		stranger, _, _ := newKey(t, nkeys.CreateAccount)
		user := func(by nkeys.KeyPair) (creds, seed []byte) {
			_, public, seed := newKey(t, nkeys.CreateUser)
			token, err := jwt.NewUserClaims(public).Encode(by)
			require.NoError(t, err)
			creds, err = jwt.FormatUserConfig(token, seed)
			require.NoError(t, err)
			return creds, seed
		}
		good, seed := user(account)
		bad, _ := user(stranger)
		servers := natstest.Start(t, 1, func(o *server.Options) {
			claims, err := jwt.DecodeOperatorClaims(operatorJWT)
			require.NoError(t, err)
			resolver := &server.MemAccResolver{}
			require.NoError(t, resolver.Store(accountKey, accountJWT))
			o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{claims}, resolver
		})
		letsIn(t, servers, good, bad, string(seed))
	})

	t.Run("in the address", func(t *testing.T) {
		t.Parallel()
		for name, change := range map[string]func(*server.Options){
			"chat:open,sesame@": func(o *server.Options) { o.Username, o.Password = "chat", "open,sesame" },
			"opensesame@":       func(o *server.Options) { o.Authorization = "opensesame" },
		} {
			servers := natstest.Start(t, 1, change)
			n := newNATS(t, bus.NATSOptions{Servers: []string{strings.Replace(servers.URL(0), "://", "://"+name, 1)}})
			n.awaitHealth(true)
			refused := newNATS(t, bus.NATSOptions{Servers: []string{strings.Replace(servers.URL(0), "://", "://sesame"+name, 1)}})
			await(t, func() bool { return strings.Contains(refused.logged(), "level=WARN") })
			servers.Kill(t, 0)
			n.awaitHealth(false)
			for _, n := range []*node{n, refused} {
				require.False(t, n.Healthy())
				require.NotContains(t, n.logged(), "sesame")
			}
		}
	})

	t.Run("who may do nothing else", func(t *testing.T) {
		t.Parallel()
		ours := &server.SubjectPermission{Allow: []string{"caddymsg.>"}}
		servers := natstest.Start(t, 1, func(o *server.Options) {
			o.Users = []*server.User{{Username: "chat", Password: "x", Permissions: &server.Permissions{Publish: ours, Subscribe: ours}}}
		})
		opts := bus.NATSOptions{Servers: []string{strings.Replace(servers.URL(0), "://", "://chat:x@", 1)}}
		a, b := newNATS(t, opts), newNATS(t, opts)
		a.awaitHealth(true)
		b.awaitHealth(true)
		talk(t, a, "typing", "let in", b)
		require.NotContains(t, a.logged(), "level=WARN")
	})
	t.Run("who may not listen, or speak", func(t *testing.T) {
		t.Parallel()
		for _, permissions := range []*server.Permissions{
			{Subscribe: &server.SubjectPermission{Deny: []string{"caddymsg.>"}}},
			{Publish: &server.SubjectPermission{Deny: []string{"caddymsg.>"}}},
		} {
			servers := natstest.Start(t, 1, func(o *server.Options) {
				o.Users = []*server.User{{Username: "chat", Password: "x", Permissions: permissions}}
			})
			n := newNATS(t, bus.NATSOptions{Servers: []string{strings.Replace(servers.URL(0), "://", "://chat:x@", 1)}})
			await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
			require.False(t, n.Healthy())
			require.NotContains(t, n.logged(), "bus connected")
		}
	})
}

// A server, or the network before it, that takes nothing holds nobody up.
func TestNATSHangs(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 1, nil)
	relay := newRelay(t, strings.TrimPrefix(servers.URL(0), "nats://"))
	slow := newNATS(t, bus.NATSOptions{Servers: []string{"nats://" + relay.address}})
	other := newNATS(t, bus.NATSOptions{Servers: servers.URLs()})
	slow.awaitHealth(true)
	other.awaitHealth(true)
	talk(t, slow, "typing", "before", other)

	relay.hang(true)
	data := []byte(strings.Repeat("x", 1000))
	const count = 50_000 // more than what fits into all buffers on the way
	for i := range count {
		slow.Publish("typing", data)
		slow.Publish(bus.Log, []byte(strconv.Itoa(i+1)))
		messages, bytes := bus.Waiting(slow.Bus)
		require.LessOrEqual(t, messages, bus.MaxWaiting)
		require.LessOrEqual(t, bytes, bus.MaxWaitingBytes)
	}
	slow.awaitHealth(false) // it has found out
	relay.hang(false)
	relay.cut()
	slow.awaitHealth(true)
	talk(t, slow, "typing", "after", other)
	require.Less(t, len(other.messages("typing")), count, "nothing was dropped")
	require.Less(t, len(other.messages(bus.Log)), count/10, "wake-ups are not coalesced")
}

// Close waits for nothing that does not come, and leaves nothing behind. Not
// beside other tests, whose goroutines would be seen.
func TestNATSClose(t *testing.T) {
	noGoroutines(t)
	t.Run("connected", func(t *testing.T) {
		n := newNATS(t, bus.NATSOptions{Servers: natstest.Start(t, 1, nil).URLs()})
		n.awaitHealth(true)
		n.close()
		noGoroutines(t)
		n.close() // again
	})
	t.Run("at once", func(t *testing.T) {
		newNATS(t, bus.NATSOptions{Servers: natstest.Start(t, 1, nil).URLs()}).close()
		noGoroutines(t)
	})
	t.Run("no server", func(t *testing.T) {
		servers := natstest.Start(t, 1, nil)
		servers.Kill(t, 0)
		n := newNATS(t, bus.NATSOptions{Servers: servers.URLs()})
		await(t, func() bool { return strings.Contains(n.logged(), "level=WARN") })
		n.close()
		noGoroutines(t)
	})
	t.Run("a server that does not answer", func(t *testing.T) {
		relay := newRelay(t, strings.TrimPrefix(natstest.Start(t, 1, nil).URL(0), "nats://"))
		relay.hang(true)
		n := newNATS(t, bus.NATSOptions{Servers: []string{"nats://" + relay.address}})
		await(t, func() bool { return relay.taken.Load() > 0 })
		n.close()
		noGoroutines(t)
	})
	t.Run("a server that takes nothing any more", func(t *testing.T) {
		relay := newRelay(t, strings.TrimPrefix(natstest.Start(t, 1, nil).URL(0), "nats://"))
		n := newNATS(t, bus.NATSOptions{Servers: []string{"nats://" + relay.address}})
		n.awaitHealth(true)
		relay.hang(true)
		for range 20_000 {
			n.Publish("typing", make([]byte, 1000))
		}
		n.close()
		noGoroutines(t)
	})
	t.Run("many times", func(t *testing.T) {
		servers := natstest.Start(t, 1, nil)
		n := newNATS(t, bus.NATSOptions{Servers: servers.URLs()})
		for range 3 {
			n.awaitHealth(true)
			servers.Kill(t, 0)
			n.awaitHealth(false)
			servers.Restart(t, 0)
		}
		n.awaitHealth(true)
		n.close()
		noGoroutines(t)
	})
}

func TestNATSOptions(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ca := newAuthority(t, folder, "ca")
	certificate, key := ca.issue(t, "node"), filepath.Join(folder, "node.key")
	ca.issue(t, "other")
	nonsense := filepath.Join(folder, "nonsense")
	require.NoError(t, os.WriteFile(nonsense, []byte("SUopensesame"), 0o600))
	server := []string{"nats://127.0.0.1"}
	for name, test := range map[string]struct {
		opts bus.NATSOptions
		want string // of the error
	}{
		"no server":                 {bus.NATSOptions{}, "bus:"},
		"no address":                {bus.NATSOptions{Servers: []string{"127.0.0.1:4222"}}, "bus: value 1"},
		"of another kind":           {bus.NATSOptions{Servers: []string{"ws://opensesame"}}, "bus: value 1"},
		"several in one":            {bus.NATSOptions{Servers: []string{"nats://opensesame:4222,nats://b:4222"}}, "bus: value 1"},
		"several names":             {bus.NATSOptions{Servers: []string{"nats://opensesame,b"}}, "bus: value 1"},
		"no host":                   {bus.NATSOptions{Servers: []string{"nats://opensesame@:4222"}}, "bus: value 1"},
		"no port":                   {bus.NATSOptions{Servers: []string{"nats://127.0.0.1:opensesame"}}, "bus: value 1"},
		"a query":                   {bus.NATSOptions{Servers: []string{"nats://127.0.0.1?opensesame"}}, "bus: value 1"},
		"a fragment":                {bus.NATSOptions{Servers: []string{"nats://127.0.0.1#opensesame"}}, "bus: value 1"},
		"two users":                 {bus.NATSOptions{Servers: []string{"nats://chat:a@opensesame@127.0.0.1"}}, "bus: value 1"},
		"the second":                {bus.NATSOptions{Servers: []string{"nats://127.0.0.1", "opensesame"}}, "bus: value 2"},
		"credentials of no file":    {bus.NATSOptions{Servers: server, Credentials: filepath.Join(folder, "none")}, "bus_credentials:"},
		"credentials that are none": {bus.NATSOptions{Servers: server, Credentials: nonsense}, "bus_credentials:"},
		"authorities of no file":    {bus.NATSOptions{Servers: server, CA: filepath.Join(folder, "none")}, "bus_ca:"},
		"authorities that are none": {bus.NATSOptions{Servers: server, CA: nonsense}, "bus_ca:"},
		"no key":                    {bus.NATSOptions{Servers: server, Certificate: certificate}, "bus_certificate:"},
		"no certificate":            {bus.NATSOptions{Servers: server, Key: key}, "bus_certificate:"},
		"a key of no file":          {bus.NATSOptions{Servers: server, Certificate: certificate, Key: filepath.Join(folder, "none")}, "bus_certificate:"},
		"the key of another":        {bus.NATSOptions{Servers: server, Certificate: certificate, Key: filepath.Join(folder, "other.key")}, "bus_certificate:"},
		"a key that is none":        {bus.NATSOptions{Servers: server, Certificate: certificate, Key: nonsense}, "bus_certificate:"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.opts.Validate()
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "sesame")
			_, err = bus.OpenNATS(test.opts, func(bus.Message) {})
			require.Error(t, err)
		})
	}
	require.NoError(t, bus.NATSOptions{Servers: server, CA: ca.file, Certificate: certificate, Key: key}.Validate())
}

// relay is the way to a server, on which nothing moves any more if it hangs.
type relay struct {
	address string
	taken   atomic.Int64 // connections

	mu    sync.Mutex
	moved *sync.Cond
	hangs bool
	conns []net.Conn
}

func newRelay(tb testing.TB, to string) *relay {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	r := &relay{address: l.Addr().String()}
	r.moved = sync.NewCond(&r.mu)
	var running sync.WaitGroup
	tb.Cleanup(func() {
		l.Close()
		r.hang(false)
		r.cut()
		running.Wait()
	})
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			r.taken.Add(1)
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			running.Go(func() { r.copy(near, far) })
			running.Go(func() { r.copy(far, near) })
		}
	})
	return r
}

func (r *relay) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 1<<10)
	for {
		r.mu.Lock()
		for r.hangs {
			r.moved.Wait()
		}
		r.mu.Unlock()
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := io.Copy(to, strings.NewReader(string(buffer[:n]))); err != nil {
			return
		}
	}
}

func (r *relay) hang(hangs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = hangs
	r.moved.Broadcast()
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}

// What a node says last is heard.
func TestNATSLastWords(t *testing.T) {
	t.Parallel()
	servers := natstest.Start(t, 1, nil)
	opts := bus.NATSOptions{Servers: servers.URLs()}
	hearing := newNATS(t, opts)
	hearing.awaitHealth(true)
	for i := range 20 {
		leaving := newNATS(t, opts)
		leaving.awaitHealth(true)
		leaving.Publish("presence", []byte(strconv.Itoa(i)))
		leaving.close()
		await(t, func() bool { return hearing.has("presence", strconv.Itoa(i)) })
	}
}
