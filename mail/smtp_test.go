package mail_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/smtptest"
	"github.com/caddymsg/messaging/mail"
)

const password = "open sesame"

var letter = mail.Letter{
	Subject: "Grüße aus example.com", Text: "Hello ädä,\n\nhere it is: cmsg_reset_SECRET\n.\nend\n", HTML: "<p>Hello ädä, here it is: cmsg_reset_SECRET</p>\n",
}

// to are the options for a server.
func to(s *smtptest.Server) mail.SMTPOptions {
	return mail.SMTPOptions{Host: s.Host, Port: s.Port, From: "Chät <chat@example.com>", CA: s.CA}
}

func newSender(tb testing.TB, o mail.SMTPOptions) *mail.Sender {
	tb.Helper()
	s, err := mail.NewSender(o)
	require.NoError(tb, err)
	return s
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		options smtptest.Options
		tls     string
	}{
		{"STARTTLS by default", smtptest.Options{Username: "chat", Password: password}, ""},
		{"STARTTLS, without a password", smtptest.Options{}, mail.StartTLS},
		{"TLS", smtptest.Options{TLS: true, Username: "chat", Password: password}, mail.TLS},
		{"no TLS", smtptest.Options{Plain: true}, mail.NoTLS},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := smtptest.Start(t, test.options)
			o := to(s)
			o.TLS, o.Username, o.Password = test.tls, test.options.Username, test.options.Password
			if test.tls == mail.NoTLS {
				o.CA = ""
			}
			require.NoError(t, newSender(t, o).Send(t.Context(), "ada@example.org", letter))
			got := s.Await(t, "ada@example.org")
			require.Equal(t, "chat@example.com", got.From)
			require.Equal(t, letter.Subject, got.Subject)
			require.Equal(t, letter.Text, got.Text)
			require.Equal(t, letter.HTML, got.HTML)
			require.Equal(t, test.tls != mail.NoTLS, got.Encrypted)
			require.Equal(t, test.options.Username, got.Username)
			require.Equal(t, "cmsg_reset_SECRET", got.Token(t))

			require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
			require.Equal(t, "<ada@example.org>", got.Header.Get("To"))
			from, err := got.Header.AddressList("From")
			require.NoError(t, err)
			require.Equal(t, "Chät", from[0].Name)
			sent, err := got.Header.Date()
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), sent, time.Minute)
			require.Regexp(t, `^<[A-Z2-7]{26}@example\.com>$`, got.Header.Get("Message-Id"))
			for _, absent := range []string{"User-Agent", "X-Mailer", "Bcc"} {
				require.Empty(t, got.Header.Get(absent))
			}
		})
	}
}

// A line break in what becomes a header does not begin another header.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{})
	sender := newSender(t, to(s))
	evil := letter
	evil.Subject = "Hello\r\nBcc: eve@example.net\n\nevil"
	require.NoError(t, sender.Send(t.Context(), "ada@example.org", evil))
	got := s.Await(t, "ada@example.org")
	require.Empty(t, got.Header.Get("Bcc"))
	require.Equal(t, "Hello  Bcc: eve@example.net  evil", got.Subject)
	require.Equal(t, letter.Text, got.Text)

	for _, address := range []string{"ada@example.org\r\nRCPT TO:<eve@example.net>", "ada@example.org, eve@example.net", "<ada@example.org>", ""} {
		require.ErrorIs(t, sender.Send(t.Context(), address, letter), mail.ErrRefused)
	}
	require.Len(t, s.Mails(), 1)
}

// What is wrong with one address is told from what is wrong with one mail, and from
// what is wrong with the server. No error gives away what it should not.
func TestSendErrors(t *testing.T) {
	t.Parallel()
	const (
		refused     = "refused"
		unavailable = "unavailable"
		delayed     = "delayed"
	)
	for _, test := range []struct {
		name   string
		server func(s *smtptest.Server)
		change func(o *mail.SMTPOptions)
		want   string
		says   string
	}{
		{"no such mailbox", answer(550, "5.1.1"), nil, refused, "550 5.1.1"},
		{"no such domain", answer(550, "5.1.2"), nil, refused, ""},
		{"mailbox disabled", answer(550, "5.2.1"), nil, refused, ""},
		{"no address in such letters", answer(553, "5.6.7"), nil, refused, ""},
		{"mailbox full", answer(552, "5.2.2"), nil, delayed, ""},
		{"no such mailbox, in a few words", answer(550, ""), nil, refused, "550"},
		{"bad address, in a few words", answer(553, ""), nil, refused, ""},
		{"the sender is refused there", answer(550, "5.1.8"), nil, delayed, ""},
		{"no relaying", answer(550, "5.7.1"), nil, delayed, "550 5.7.1"},
		{"failed, in a few words", answer(554, ""), nil, delayed, ""},
		{"not now", answer(451, "4.7.1"), nil, delayed, "451 4.7.1"},
		{"about to end", answer(421, "4.3.2"), nil, unavailable, "421"},
		{"down", func(s *smtptest.Server) { s.Stop() }, nil, unavailable, "connect"},
		{"wrong password", nil, func(o *mail.SMTPOptions) { o.Password = "shut sesame" }, unavailable, "535"},
		{"no password", nil, func(o *mail.SMTPOptions) { o.Username, o.Password = "", "" }, unavailable, "530"},
		{"unknown authority", nil, func(o *mail.SMTPOptions) { o.CA = "" }, unavailable, "certificate"},
		{"another host's certificate", nil, func(o *mail.SMTPOptions) { o.Host = "localhost" }, unavailable, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := smtptest.Start(t, smtptest.Options{Username: "chat", Password: password})
			if test.server != nil {
				test.server(s)
			}
			o := to(s)
			o.Username, o.Password = "chat", password
			if test.change != nil {
				test.change(&o)
			}
			err := newSender(t, o).Send(t.Context(), "ada@example.org", letter)
			require.Error(t, err)
			require.Equal(t, test.want == refused, isError(err, mail.ErrRefused), err)
			require.Equal(t, test.want == unavailable, isError(err, mail.ErrUnavailable), err)
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, fmt.Sprint(o.Host, ":", o.Port))
			for _, secret := range []string{"sesame", "ada", "SECRET"} {
				require.NotContains(t, err.Error(), secret)
			}
			require.Empty(t, s.Mails())
		})
	}
}

func answer(code int, enhanced string) func(*smtptest.Server) {
	return func(s *smtptest.Server) {
		s.Refuse(func(string) error { return smtptest.Answer(code, enhanced) })
	}
}

func isError(err, target error) bool { return errors.Is(err, target) }

// A server that offers no TLS, or has it taken out of its offer on the way, is told
// nothing.
func TestNoTLSOffered(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{Plain: true, Username: "chat", Password: password})
	o := to(s)
	o.Username, o.Password = "chat", password
	require.ErrorIs(t, newSender(t, o).Send(t.Context(), "ada@example.org", letter), mail.ErrUnavailable)
	require.Empty(t, s.Mails())
}

// A server that does not answer is hung up on when the context ends.
func TestSendIsBrokenOff(t *testing.T) {
	t.Parallel()
	t.Run("when it hangs", func(t *testing.T) {
		t.Parallel()
		s := smtptest.Start(t, smtptest.Options{})
		s.Hang(true)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			s.AwaitHanging(t)
			cancel()
		}()
		err := newSender(t, to(s)).Send(ctx, "ada@example.org", letter)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, mail.ErrUnavailable)
	})
	t.Run("when it says nothing at all", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		hungUp := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			cancel()
			if err == nil {
				_, err = conn.Read(make([]byte, 1)) // until it is hung up
			}
			hungUp <- err
		}()
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		o := mail.SMTPOptions{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: mail.NoTLS, From: "chat@example.com"}
		err = newSender(t, o).Send(ctx, "ada@example.org", letter)
		require.ErrorIs(t, err, context.Canceled)
		require.Error(t, <-hungUp)
	})
}

func TestSMTPOptions(t *testing.T) {
	t.Parallel()
	valid := mail.SMTPOptions{Host: "smtp.example.com", From: "chat@example.com"}
	require.NoError(t, valid.Validate())
	for _, host := range []string{"localhost", "192.0.2.7", "::1", "bücher.example"} {
		o := valid
		o.Host = host
		require.NoError(t, o.Validate(), host)
	}
	for tls, port := range map[string]int{"": 587, mail.StartTLS: 587, mail.TLS: 465, mail.NoTLS: 25} {
		o := valid
		o.TLS = tls
		require.Equal(t, port, o.Defaults().Port)
	}
	for _, test := range []struct {
		option string
		change func(o *mail.SMTPOptions)
	}{
		{"host", func(o *mail.SMTPOptions) { o.Host = "" }},
		{"host", func(o *mail.SMTPOptions) { o.Host = "unix:///run/smtp" }},
		{"host", func(o *mail.SMTPOptions) { o.Host = "smtp.example.com\r\n" }},
		{"write: host smtp.example.com, and on a line of its own: port 587", func(o *mail.SMTPOptions) { o.Host = "smtp.example.com:587" }},
		{"write: host ::1, and on a line of its own: port 587", func(o *mail.SMTPOptions) { o.Host = "[::1]:587" }},
		{"host: it is no name", func(o *mail.SMTPOptions) { o.Host = "[::1]" }},
		{"host: it has a scheme; write the name alone", func(o *mail.SMTPOptions) { o.Host = "smtp://smtp.example.com" }},
		{"host: it has a scheme; write the name alone", func(o *mail.SMTPOptions) { o.Host = "smtp://chat:" + password + "@smtp.example.com" }},
		{"host: it is no name", func(o *mail.SMTPOptions) { o.Host = "chat:sesame@smtp.example.com" }},
		{"host: it has a space; write the name alone", func(o *mail.SMTPOptions) { o.Host = "smtp example.com" }},
		{"host: it has a space; write the name alone", func(o *mail.SMTPOptions) { o.Host = "smtp.example.com\u00a0" }},
		{"port", func(o *mail.SMTPOptions) { o.Port = 65536 }},
		{"port", func(o *mail.SMTPOptions) { o.Port = -1 }},
		{"tls", func(o *mail.SMTPOptions) { o.TLS = "on" }},
		{"from", func(o *mail.SMTPOptions) { o.From = "" }},
		{"from", func(o *mail.SMTPOptions) { o.From = "the chat" }},
		{"from", func(o *mail.SMTPOptions) { o.From = "chat@example.com\r\nBcc: eve@example.net" }},
		{"password", func(o *mail.SMTPOptions) { o.Username = "chat" }},
		{"username", func(o *mail.SMTPOptions) { o.Password = password }},
		{"tls", func(o *mail.SMTPOptions) { o.Username, o.Password, o.TLS = "chat", password, mail.NoTLS }},
		{"ca", func(o *mail.SMTPOptions) { o.CA, o.TLS = "ca.pem", mail.NoTLS }},
	} {
		o := valid
		test.change(&o)
		_, err := mail.NewSender(o)
		require.ErrorContains(t, err, test.option)
		require.NotContains(t, err.Error(), "sesame")
	}

	o := valid
	o.CA = filepath.Join(t.TempDir(), "ca.pem")
	_, err := mail.NewSender(o)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(o.CA, []byte("no certificate"), 0o600))
	_, err = mail.NewSender(o)
	require.ErrorContains(t, err, "ca: there is no certificate")
	o = valid
	o.Password = password
	require.NotContains(t, o.LogValue().String(), "sesame")
}
