// Package smtptest gives tests a mail server, in their own process, that keeps what
// it is sent, and that they may have refuse, hang, end and start again.
package smtptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/freeport"
)

// patience is how long a mail may take to come.
const patience = 2 * time.Minute

// Options say what the server is like.
type Options struct {
	// TLS has connections begin with TLS. Otherwise the server offers STARTTLS.
	TLS bool
	// Plain has it offer no TLS at all.
	Plain bool
	// Username and Password are asked for, if they are not empty.
	Username, Password string
}

// Server is a mail server. Its methods may be called from many goroutines.
type Server struct {
	// Host and Port are its address; CA is a file with the certificate of the
	// authority that has signed its own.
	Host string
	Port int
	CA   string

	opts Options
	tls  *tls.Config

	mu       sync.Mutex
	server   *smtp.Server // nil: it is down
	listener net.Listener
	refuse   func(to string) error
	hang     chan struct{} // closed when it does so no more; nil: it does not
	mails    []Mail
	hanging  int // who wait for an answer
	awaited  map[int]bool
	changed  chan struct{} // closed when a mail comes, or somebody is left hanging
}

// Mail is one that the server has taken.
type Mail struct {
	From, To string // of the envelope
	Header   mail.Header
	Raw      string
	// Subject, Text and HTML are what a reader sees.
	Subject, Text, HTML string
	// Encrypted says that it came over TLS, and Username who sent it.
	Encrypted bool
	Username  string
}

// Start starts a server, which ends with the test.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	port, err := freeport.Find()
	require.NoError(tb, err)
	s := &Server{
		Host: "127.0.0.1", Port: port, opts: opts, awaited: map[int]bool{}, changed: make(chan struct{}),
		CA: filepath.Join(tb.TempDir(), "ca.pem"),
	}
	certificate, authority := certify(tb)
	s.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	require.NoError(tb, os.WriteFile(s.CA, authority, 0o600))
	tb.Cleanup(s.Stop)
	s.Restart(tb)
	return s
}

// Address is its host and port.
func (s *Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Stop ends the server, with all its connections, as a crash does.
func (s *Server) Stop() {
	s.mu.Lock()
	server, listener := s.server, s.listener
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
		_ = listener.Close() // which the server may not have heard of yet
	}
	s.Hang(false)
}

// Restart starts a server that was stopped, at the same address.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", s.Address())
	require.NoError(tb, err)
	server := smtp.NewServer(nil)
	server.Backend = smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{of: s, server: server, conn: c}, nil
	})
	server.Domain, server.ErrorLog = "smtp.test", quiet{}
	server.AllowInsecureAuth = s.opts.Plain
	switch {
	case s.opts.TLS:
		listener = tls.NewListener(listener, s.tls)
	case !s.opts.Plain:
		server.TLSConfig = s.tls
	}
	s.mu.Lock()
	s.server, s.listener = server, listener
	s.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // it ends with Close
}

// Refuse has the server answer each recipient as fn says; nil is that it takes all.
func (s *Server) Refuse(fn func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = fn
}

// Answer is what a server refuses a recipient with, such as 550 and "5.1.1".
func Answer(code int, enhanced string) error {
	e := &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "as the test says"}
	if enhanced != "" {
		_, _ = fmt.Sscanf(enhanced, "%d.%d.%d", &e.EnhancedCode[0], &e.EnhancedCode[1], &e.EnhancedCode[2])
	}
	return e
}

// Hang has the server not answer when it is told a recipient, or end that.
func (s *Server) Hang(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on && s.hang == nil:
		s.hang = make(chan struct{})
	case !on && s.hang != nil:
		close(s.hang)
		s.hang = nil
	}
}

// Mails are those that the server has taken, in their order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail{}, s.mails...)
}

// AwaitHanging waits until somebody waits for an answer that does not come.
func (s *Server) AwaitHanging(tb testing.TB) {
	tb.Helper()
	s.await(tb, func() bool { return s.hanging > 0 }, "nobody comes")
}

// Await waits for a mail to an address, and returns the first that it has not
// returned yet.
func (s *Server) Await(tb testing.TB, to string) (found Mail) {
	tb.Helper()
	s.await(tb, func() bool {
		for i, m := range s.mails {
			if m.To == to && !s.awaited[i] {
				s.awaited[i], found = true, m
				return true
			}
		}
		return false
	}, "no mail comes to "+to)
	return found
}

// await waits until there is what is looked for.
func (s *Server) await(tb testing.TB, there func() bool, otherwise string) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		found, changed := there(), s.changed
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			require.Fail(tb, otherwise)
		}
	}
}

func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

var tokens = regexp.MustCompile(`\bcmsg_[a-z]+_[A-Z2-7]+\b`)

// Token is the token that a mail brings.
func (m Mail) Token(tb testing.TB) string {
	tb.Helper()
	token := tokens.FindString(m.Text)
	require.NotEmpty(tb, token, "there is no token in: %s", m.Text)
	require.Contains(tb, m.HTML, token)
	return token
}

// session is a conversation with a client.
type session struct {
	of       *Server
	server   *smtp.Server
	conn     *smtp.Conn
	username string
	from     string
	to       []string
}

func (c *session) AuthMechanisms() []string {
	if c.of.opts.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != c.of.opts.Username || password != c.of.opts.Password {
			return smtp.ErrAuthFailed
		}
		c.username = username
		return nil
	}), nil
}

func (c *session) Mail(from string, _ *smtp.MailOptions) error {
	if c.username != c.of.opts.Username {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.from, c.to = from, nil
	return nil
}

func (c *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.of.mu.Lock()
	refuse, hang := c.of.refuse, c.of.hang
	if hang != nil {
		c.of.hanging++
		c.of.wake()
	}
	c.of.mu.Unlock()
	if hang != nil {
		<-hang
		c.of.mu.Lock()
		c.of.hanging--
		c.of.mu.Unlock()
	}
	if refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	c.to = append(c.to, to)
	return nil
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := read(raw)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: err.Error()}
	}
	m.From, m.Username = c.from, c.username
	_, m.Encrypted = c.conn.TLSConnectionState()
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.server != c.server {
		return errors.New("it was stopped")
	}
	for _, to := range c.to {
		m.To = to
		c.of.mails = append(c.of.mails, m)
	}
	c.of.wake()
	return nil
}

func (c *session) Reset()        { c.from, c.to = "", nil }
func (c *session) Logout() error { return nil }

// read reads a mail that has a text and the same as HTML.
func read(raw []byte) (m Mail, err error) {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m, err
	}
	m.Raw, m.Header = string(raw), message.Header
	if m.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return m, err
	}
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return m, fmt.Errorf("a mail of the type %q: %w", kind, err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return m, err
		}
		if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "quoted-printable" {
			return m, fmt.Errorf("a part in %q", encoding)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			return m, err
		}
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
		case "text/plain":
			m.Text = text
		case "text/html":
			m.HTML = text
		default:
			return m, fmt.Errorf("a part of the type %q", kind)
		}
	}
}

// certify makes an authority, and a certificate for the loopback that it has signed.
func certify(tb testing.TB) (tls.Certificate, []byte) {
	tb.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority for tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "a mail server for tests"},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(tb, err)
		return key
	}
	authorityKey, key := newKey(), newKey()
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	require.NoError(tb, err)
	leaf, err := x509.CreateCertificate(rand.Reader, own, authority, key.Public(), authorityKey)
	require.NoError(tb, err)
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})
}

// quiet is a log of connections that were cut off, which tests do on purpose.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
