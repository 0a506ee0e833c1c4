package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// How a connection to a mail server is kept private.
const (
	StartTLS = "starttls" // it begins in the clear, and goes on only with TLS
	TLS      = "tls"      // it has TLS from its beginning
	NoTLS    = "off"
)

// SMTPOptions say how to reach a mail server, and who writes.
type SMTPOptions struct {
	Host string
	// Port is 587 by default, 465 with TLS, and 25 with NoTLS.
	Port int
	// TLS is StartTLS by default.
	TLS string
	// Username and Password are what the server asks for, or empty.
	Username, Password string
	// From is the sender: an address, or a name and an address.
	From string
	// CA is a file with the certificates of the authorities that may sign the
	// server's. By default it is those that the system trusts.
	CA string
}

// LogValue keeps the password out of logs.
func (o SMTPOptions) LogValue() slog.Value {
	return slog.GroupValue(slog.String("host", o.Host), slog.Int("port", o.Port))
}

// Defaults are the options with what they leave open.
func (o SMTPOptions) Defaults() SMTPOptions {
	if o.TLS == "" {
		o.TLS = StartTLS
	}
	if o.Port == 0 {
		o.Port = map[string]int{StartTLS: 587, TLS: 465, NoTLS: 25}[o.TLS]
	}
	return o
}

// Validate finds out, without a look at the network, what can't be meant.
func (o SMTPOptions) Validate() error {
	o = o.Defaults()
	_, err := netmail.ParseAddress(o.From)
	switch {
	case o.Host == "":
		return errors.New("host: which mail server to send by is not given")
	case strings.Contains(o.Host, "://"):
		return errors.New("host: it has a scheme; write the name alone, as in: host smtp.example.com")
	case strings.ContainsFunc(o.Host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("host: it has a space; write the name alone, as in: host smtp.example.com")
	case strings.ContainsAny(o.Host, "/@[]"):
		if strings.HasPrefix(o.Host, "[") {
			return hostWithMore(o.Host)
		}
		return errors.New("host: it is no name of a host; write one, as in: host smtp.example.com")
	case strings.Contains(o.Host, ":") && net.ParseIP(o.Host) == nil:
		return hostWithMore(o.Host)
	case !slices.Contains([]string{StartTLS, TLS, NoTLS}, o.TLS):
		return fmt.Errorf("tls: %q is none of starttls, tls, off", o.TLS)
	case o.Port < 1 || o.Port > 65535:
		return fmt.Errorf("port: %d is not between 1 and 65535", o.Port)
	case o.From == "":
		return errors.New("from: the sender's address is not given")
	case err != nil:
		return fmt.Errorf("from: %q is no address, nor a name and an <address>", o.From)
	case (o.Username == "") != (o.Password == ""):
		return errors.New("username, password: there is one of them without the other")
	case o.Username != "" && o.TLS == NoTLS:
		return errors.New("tls: off would show the password to everybody on the way")
	case o.CA != "" && o.TLS == NoTLS:
		return errors.New("ca: there are no certificates where tls is off")
	}
	return nil
}

// hostWithMore tells how to write a host that was given with brackets, or with a port.
func hostWithMore(given string) error {
	host, port, err := net.SplitHostPort(given)
	if err != nil {
		return errors.New("host: it is no name of a host, nor an address; write one, as in: host smtp.example.com")
	}
	return fmt.Errorf("host: %q has a port; write: host %s, and on a line of its own: port %s", given, host, port)
}

// Sender sends mails by SMTP. Its methods may be called from many goroutines.
type Sender struct {
	opts SMTPOptions
	from *netmail.Address
	tls  *tls.Config
}

// NewSender makes a Sender. It does not connect yet.
func NewSender(opts SMTPOptions) (*Sender, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Sender{opts: opts.Defaults(), tls: &tls.Config{ServerName: opts.Host, MinVersion: tls.VersionTLS12}}
	s.from, _ = netmail.ParseAddress(opts.From)
	if opts.CA != "" {
		pem, err := os.ReadFile(opts.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		s.tls.RootCAs = x509.NewCertPool()
		if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: there is no certificate in %s", opts.CA)
		}
	}
	return s, nil
}

// Domain is that of the sender's address.
func (s *Sender) Domain() string { return s.from.Address[strings.LastIndex(s.from.Address, "@")+1:] }

// What sending can fail with. All else has to do with the one mail, and may pass.
var (
	// ErrRefused says that an address takes no mail, and won't take any later.
	ErrRefused = errors.New("the address is refused for good")
	// ErrUnavailable says that the mail server would take no other mail either: it is
	// out of reach, or does not let us in.
	ErrUnavailable = errors.New("the mail server takes no mails")
)

// Send hands a letter to the mail server. It returns errors that wrap ErrRefused and
// ErrUnavailable. None holds a password, the recipient's address, or anything that the
// letter says. After an error it may happen that the letter was sent nevertheless: if
// the connection was lost before the server could say so.
func (s *Sender) Send(ctx context.Context, to string, l Letter) error {
	if !Valid(to) {
		return fmt.Errorf("%w: it is none", ErrRefused)
	}
	m := s.message(to, l)
	client, hangUp, err := s.client(ctx, isASCII(s.from.Address+to))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer hangUp()
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.explainDial(ctx, err)
	}
	err = client.SendWithSMTPClient(conn, m)
	if m.IsDelivered() { // whatever came after that
		_ = client.CloseWithSMTPClient(conn)
		return nil
	}
	return s.explainSend(ctx, err)
}

func (s *Sender) message(to string, l Letter) *gomail.Msg {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(s.from)
	m.ToMailAddress(&netmail.Address{Address: to})
	m.Subject(oneLine(l.Subject))
	m.SetDate()
	m.SetMessageIDWithValue(rand.Text() + "@" + s.Domain())
	// RFC 3834: so that nothing that answers by itself answers this.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	return m
}

// client is for one mail. Its connection is closed when ctx ends, or by hangUp.
func (s *Sender) client(ctx context.Context, ascii bool) (client *gomail.Client, hangUp func(), err error) {
	life, end := context.WithCancel(ctx)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(life, func() { _ = conn.Close() })
		if s.opts.TLS != TLS {
			return conn, nil
		}
		secured := tls.Client(conn, s.tls)
		return secured, secured.HandshakeContext(ctx)
	}
	options := []gomail.Option{
		gomail.WithPort(s.opts.Port), gomail.WithTimeout(answerWithin), gomail.WithTLSConfig(s.tls),
		gomail.WithDialContextFunc(dial), gomail.WithoutNoop(), gomail.WithoutRset(),
	}
	switch s.opts.TLS {
	case TLS:
		options = append(options, gomail.WithSSL())
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.opts.Username != "" {
		options = append(options, gomail.WithUsername(s.opts.Username), gomail.WithPassword(s.opts.Password),
			gomail.WithSMTPAuth(gomail.SMTPAuthOpportunistic),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	if ascii {
		// Whoever the server hands it on to may not have SMTPUTF8, and need not.
		options = append(options, gomail.WithoutSMTPUTF8())
	}
	client, err = gomail.NewClient(s.opts.Host, options...)
	return client, end, err
}

// answerWithin bounds how long it takes to connect, and then to send.
const answerWithin = 30 * time.Second

// explainDial tells what kept the conversation from beginning. What the server said
// is left out: it may have said the credentials again.
func (s *Sender) explainDial(ctx context.Context, err error) error {
	var answer *textproto.Error
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("connect: %w", ctx.Err())
	case errors.As(err, &answer) && slices.Contains([]int{530, 534, 535}, answer.Code):
		err = fmt.Errorf("it refuses the username or the password: %d", answer.Code)
	case errors.As(err, &answer):
		err = fmt.Errorf("it refuses to go on: %d", answer.Code)
	default:
		err = fmt.Errorf("connect: %w", err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, s.address(), err)
}

// explainSend tells what kept a mail from being sent. What the server said is left
// out where it may have said the recipient's address again, or what the mail says.
func (s *Sender) explainSend(ctx context.Context, err error) error {
	var failure *gomail.SendError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %s: send: %w", ErrUnavailable, s.address(), ctx.Err())
	case !errors.As(err, &failure):
		return fmt.Errorf("%w: %s: the mail was not sent", ErrUnavailable, s.address())
	case failure.ErrorCode() == 0:
		return fmt.Errorf("%w: %s: %s: the connection was lost", ErrUnavailable, s.address(), failure.Reason)
	case failure.Reason == gomail.ErrSMTPMailFrom: // it does not like the sender, which all mails have
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, s.address(), oneLine(failure.Error()))
	}
	said := strings.TrimSpace(strconv.Itoa(failure.ErrorCode()) + " " + failure.EnhancedStatusCode())
	err = fmt.Errorf("mail server %s: %s: it answers %s", s.address(), failure.Reason, said)
	switch {
	case forGood(failure):
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case failure.ErrorCode() == 421: // it is about to end
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func (s *Sender) address() string { return net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port)) }

// forGood tells whether a server refuses the recipient, and always will. Where it
// refuses the sender, or what is sent, somebody may mend that.
func forGood(e *gomail.SendError) bool {
	if e.ErrorCode()/100 != 5 {
		return false
	}
	class, code, enhanced := strings.Cut(e.EnhancedStatusCode(), ".")
	if !enhanced || class != "5" {
		// RFC 5321, and RFC 7504.
		return e.Reason == gomail.ErrSMTPRcptTo && slices.Contains([]int{501, 550, 551, 553, 556}, e.ErrorCode())
	}
	// RFC 3463: X.1 is about an address, X.2 about a mailbox; RFC 6531: X.6.7 about an
	// address that is not ASCII. These are not about the recipient's, or not for good:
	// the sender's address, a full mailbox.
	subject, _, _ := strings.Cut(code, ".")
	return (subject == "1" || subject == "2" || code == "6.7") && !slices.Contains([]string{"1.7", "1.8", "2.2"}, code)
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
