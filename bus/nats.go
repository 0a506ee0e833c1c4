package bus

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// NATSOptions say where the servers of NATS are, and how to be let in.
type NATSOptions struct {
	// Servers are addresses of a cluster's servers, nats://host:port or, with TLS,
	// tls://host:port. They may hold a user and a password, or a token. One of them
	// is connected to, any.
	Servers []string
	// Subject is what the subjects of all messages begin with.
	Subject string
	// Name of this node, for those who look after the servers.
	Name string
	// Credentials is a file with a user's JWT and seed, or with the seed of an nkey.
	Credentials string
	// CA is a file with the authorities that sign the servers' certificates, in
	// place of those of the system.
	CA string
	// Certificate and Key are files with a certificate for the servers to look at.
	Certificate, Key string
	// Log is told when the connection is made and lost.
	Log *slog.Logger
}

const (
	// natsPatience is how long a server may take to answer, or to take what is
	// written to it.
	natsPatience = 2 * time.Second
	// natsPing is how often it is looked whether the server is still there; two
	// pings without an answer are the end of a connection.
	natsPing = 10 * time.Second
	// natsInbox is how many messages wait to be received. What comes on top of them
	// is dropped.
	natsInbox = 1024
	// natsFarewell is how long the end may wait for what is still to be sent.
	natsFarewell = 500 * time.Millisecond
)

// Validate finds out, without a look at the servers, what can't be meant. Its
// errors name the options as the Caddyfile does, and hold no password.
func (o NATSOptions) Validate() error {
	if len(o.Servers) == 0 {
		return errors.New("bus: it has no address")
	}
	for i, address := range o.Servers {
		if !isNATSAddress(address) {
			return fmt.Errorf("bus: value %d is not nats://host:port or tls://host:port, one address a value; in a user, a password and a token, special characters are percent-encoded: / is %%2F, @ is %%40", i+1)
		}
	}
	_, err := o.security()
	return err
}

func isNATSAddress(address string) bool {
	u, err := url.Parse(address)
	// A password with a bare / ? or # in it would end the address there, and what
	// is left of it be taken for the host, and be shown.
	return err == nil && (u.Scheme == "nats" || u.Scheme == "tls") && u.Hostname() != "" &&
		!strings.ContainsAny(u.Hostname(), ",{} ") && strings.Count(address, "@") <= 1 &&
		strings.TrimSuffix(u.Path, "/") == "" && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

// security reads the files. That is done anew for each connection: they may have
// been replaced.
func (o NATSOptions) security() ([]nats.Option, error) {
	var options []nats.Option
	if o.Credentials != "" {
		option, err := credentials(o.Credentials)
		if err != nil {
			return nil, fmt.Errorf("bus_credentials: %w", err)
		}
		options = append(options, option)
	}
	if o.CA == "" && o.Certificate == "" && o.Key == "" {
		return options, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		content, err := readFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("bus_ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("bus_ca: %s holds no certificate", o.CA)
		}
	}
	if o.Certificate != "" || o.Key != "" {
		certificate, err := keyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, fmt.Errorf("bus_certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return append(options, nats.Secure(config)), nil
}

// credentials reads a user's JWT and seed, or the seed of an nkey.
func credentials(file string) (nats.Option, error) {
	content, err := readFile(file)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(content, []byte("BEGIN NATS USER JWT")) && bytes.Contains(content, []byte("BEGIN USER NKEY SEED")) {
		return nats.UserCredentialBytes(content), nil
	}
	option, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, fmt.Errorf("%s holds neither a user's JWT with its seed, nor the seed of an nkey", file)
	}
	return option, nil
}

func keyPair(certificate, key string) (tls.Certificate, error) {
	if certificate == "" || key == "" {
		return tls.Certificate{}, errors.New("it takes a file with a certificate, and one with its key")
	}
	public, err := readFile(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := readFile(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(public, private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s are no certificate and its key: %w", certificate, key, err)
	}
	return pair, nil
}

// readFile says of a file that can't be read which one it is, and why.
func readFile(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	return content, err
}

// natsBus makes a connection of its own whenever one is lost. That of the library
// would keep what is published meanwhile, which nobody wants to hear any more,
// and give up where it is refused.
type natsBus struct {
	*line
	opts     NATSOptions
	farewell chan chan struct{} // to be closed when all that waits has been sent
}

// OpenNATS makes a bus of a cluster of NATS. It does not wait for a server, and goes
// on trying for as long as none answers, or lets it in. Messages of others are handed
// to receive by one goroutine, one after another; it must not block.
func OpenNATS(opts NATSOptions, receive func(Message)) (Bus, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	b := &natsBus{newLine(receive, opts.Log), opts, make(chan chan struct{})}
	b.start(func(ctx context.Context) { b.keepOpen(ctx, b.connect) })
	return b, nil
}

// Carries tells that all kinds of message get there.
func (b *natsBus) Carries(string) bool { return true }

// Close sends what waits, if the line is open, and ends it: a node says that it leaves.
func (b *natsBus) Close() {
	defer b.line.Close()
	if !b.Healthy() {
		return
	}
	timer := time.NewTimer(natsFarewell)
	defer timer.Stop()
	sent := make(chan struct{})
	select {
	case b.farewell <- sent:
	case <-timer.C:
		return // it has been lost meanwhile
	}
	select {
	case <-sent:
	case <-timer.C:
	}
}

// connect makes a connection, and returns when it is lost, with the reason.
func (b *natsBus) connect(ctx context.Context) error {
	lost := make(chan struct{})
	nc, err := b.dial(ctx, lost)
	if err != nil {
		return err
	}
	defer nc.Close()
	incoming := make(chan *nats.Msg, natsInbox)
	if _, err := nc.ChanSubscribe(b.opts.Subject+".*", incoming); err != nil {
		return err
	}
	// What has waited is old by now. In its place, the others are told to look
	// into the log.
	b.outbox.take()
	if err := b.send(nc, Message{Kind: Log}); err != nil {
		return err
	}
	if err := flush(ctx, nc); err != nil {
		return err
	}
	b.opened(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-lost:
			return reason(nc)
		case m := <-incoming:
			b.deliver(strings.TrimPrefix(m.Subject, b.opts.Subject+"."), string(m.Data))
		case <-b.outbox.wake:
			if err := b.sendAll(nc); err != nil {
				return err
			}
		case sent := <-b.farewell:
			err := b.sendAll(nc)
			if err == nil {
				err = flush(ctx, nc)
			}
			close(sent)
			if err != nil {
				return err
			}
		}
	}
}

// dial connects to one of the servers, and closes lost when that connection ends.
func (b *natsBus) dial(ctx context.Context, lost chan struct{}) (*nats.Conn, error) {
	options, err := b.opts.security()
	if err != nil {
		return nil, err
	}
	complaints := 0
	options = append(options,
		nats.Name(b.opts.Name), nats.NoReconnect(), nats.Timeout(natsPatience),
		nats.PingInterval(natsPing), nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(natsPatience), nats.ReconnectOnFlusherError(),
		nats.NoEcho(), // saves the way back; what comes by another server is known by its sender
		nats.SetCustomDialer(dialer{ctx}), nats.SkipHostLookup(),
		nats.ClosedHandler(func(*nats.Conn) { close(lost) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if complaints++; complaints == 1 { // and not of each message
				b.log.WarnContext(ctx, "bus refuses or drops messages", "error", err)
			}
		}),
		func(o *nats.Options) error { o.Servers = b.opts.Servers; return nil },
	)
	// Not the list with commas that it takes: that would be read as one address.
	return nats.Connect("", options...)
}

// sendAll hands all that waits to the connection.
func (b *natsBus) sendAll(nc *nats.Conn) error {
	for _, m := range b.outbox.take() {
		if err := b.send(nc, m); err != nil {
			return err
		}
	}
	return nil
}

// send hands a message to the connection.
func (b *natsBus) send(nc *nats.Conn, m Message) error {
	err := nc.Publish(b.opts.Subject+"."+m.Kind, b.envelope(m.Data))
	if errors.Is(err, nats.ErrMaxPayload) {
		return nil // it is dropped
	}
	return err
}

// flush waits until the server has seen what was sent, and fails if it has refused
// any of it.
func flush(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, natsPatience)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return err
	}
	return nc.LastError()
}

// reason is why a connection was lost.
func reason(nc *nats.Conn) error {
	if err := nc.LastError(); err != nil {
		return err
	}
	return nats.ErrConnectionClosed
}

// dialer makes connections that end with a context, whatever they are busy with.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: natsPatience}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &boundConn{conn, context.AfterFunc(d.ctx, func() { _ = conn.Close() })}, nil
}

// boundConn ends with a context, which keeps nothing of it when it has ended before.
type boundConn struct {
	net.Conn
	unbind func() bool
}

// Close closes the connection.
func (c *boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}
