package caddymsg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/mail"
)

// SMTP says by which mail server mails are sent, and by whom.
type SMTP struct {
	// The name or address of the mail server.
	Host string `json:"host,omitempty"`

	// Its port. Default: 587, with `tls` 465, and where TLS is off 25.
	Port int `json:"port,omitempty"`

	// How the connection is kept private: `starttls`, which refuses to go on with a
	// server that does not offer it, `tls`, from its beginning, or `off`. Default:
	// starttls.
	TLS string `json:"tls,omitempty"`

	// Who signs in to the mail server. Default: nobody does.
	Username string `json:"username,omitempty"`

	// Their password. It must be a placeholder, such as `{env.SMTP_PASSWORD}`.
	Password string `json:"password,omitempty"`

	// The sender: an address, or a name and an address, `Chat <chat@example.com>`.
	From string `json:"from,omitempty"`

	// A file with the certificates of the authorities that may sign that of the mail
	// server. Default: those that the system trusts.
	CA string `json:"ca,omitempty"`
}

// smtpOptions are what may stand in an smtp block, each with how it is read.
var smtpOptions = map[string]func(s *SMTP, value string) error{
	"host":     func(s *SMTP, v string) error { s.Host = v; return nil },
	"port":     func(s *SMTP, v string) error { return number(v, &s.Port) },
	"tls":      func(s *SMTP, v string) error { s.TLS = v; return nil },
	"username": func(s *SMTP, v string) error { s.Username = v; return nil },
	"password": func(s *SMTP, v string) error { s.Password = v; return nil },
	"from":     func(s *SMTP, v string) error { s.From = v; return nil },
	"ca":       func(s *SMTP, v string) error { s.CA = v; return nil },
}

// readSMTP reads an smtp block.
func readSMTP(h *Handler, d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("smtp takes a block: smtp { host … }")
	}
	h.SMTP = new(SMTP)
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read, ok := smtpOptions[name]
		switch {
		case !ok:
			return d.Errf("smtp has no option %q; it has: %s", name, names(maps.Keys(smtpOptions)))
		case seen[name]:
			return d.Errf("smtp %s is given twice", name)
		}
		seen[name] = true
		values := d.RemainingArgs()
		if len(values) != 1 || values[0] == "" {
			return d.Errf("smtp %s takes one value", name)
		}
		if err := read(h.SMTP, values[0]); err != nil {
			return d.Errf("smtp %s: %v", name, err)
		}
	}
	if len(seen) == 0 {
		return d.Err("smtp takes a block: smtp { host … }")
	}
	return nil
}

// resolveMail replaces the placeholders in what concerns mails.
func (h *Handler) resolveMail() (err error) {
	if h.PublicURL != "" {
		address, err := resolvePlaceholders("public_url", h.PublicURL)
		if err != nil {
			return err
		}
		if h.mail.publicURL, err = parsePublicURL(address); err != nil {
			return fmt.Errorf("public_url: %w", err)
		}
	}
	if h.SMTP == nil {
		return nil
	}
	opts := mail.SMTPOptions{Port: h.SMTP.Port}
	for _, option := range []struct {
		name, value string
		into        *string
	}{
		{"host", h.SMTP.Host, &opts.Host},
		{"tls", h.SMTP.TLS, &opts.TLS},
		{"username", h.SMTP.Username, &opts.Username},
		{"password", h.SMTP.Password, &opts.Password},
		{"from", h.SMTP.From, &opts.From},
		{"ca", h.SMTP.CA, &opts.CA},
	} {
		if option.value == "" {
			continue
		}
		if *option.into, err = resolvePlaceholders("smtp "+option.name, option.value); err != nil {
			return err
		}
	}
	if placeholders.ReplaceAllString(h.SMTP.Password, "") != "" {
		return errors.New("smtp password: one that is written here is shown by Caddy's admin API; put it into an environment variable: password {env.SMTP_PASSWORD}")
	}
	if h.mail.sender, err = mail.NewSender(opts); err != nil {
		return fmt.Errorf("smtp %w", err)
	}
	return nil
}

func parsePublicURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Hostname() == "":
		return nil, errors.New("it is no address of a site, such as https://chat.example.com")
	case u.User != nil || strings.ContainsAny(address, "?#"):
		return nil, errors.New("it has more than a host and a path")
	}
	return u, nil
}

// mailOptions are of what sends mails.
type mailOptions struct {
	sender    *mail.Sender // nil: there is nothing to send them by
	publicURL *url.URL     // nil: unknown
}

// or are the options with what others say of what these leave open.
func (o mailOptions) or(others mailOptions) mailOptions {
	if o.sender == nil {
		o.sender = others.sender
	}
	if o.publicURL == nil {
		o.publicURL = others.publicURL
	}
	return o
}

// siteName is what people know the site by: its host, or that of its mails; empty if
// neither is known.
func (o mailOptions) siteName() string {
	switch {
	case o.publicURL != nil:
		return o.publicURL.Hostname()
	case o.sender != nil:
		return o.sender.Domain()
	}
	return ""
}

// beginMailing begins to send the mails that wait.
func (b *backend) beginMailing(ctx context.Context, opts mailOptions) *task {
	if opts.sender == nil {
		b.mailing.Store(nil)
		return nil
	}
	site := mail.Site{Name: opts.siteName(), URL: opts.publicURL}
	if site.URL == nil {
		b.log.WarnContext(ctx, "mails have no links, since public_url is not set: their readers have to copy the token")
	}
	mailing := auth.NewMailing(b.store, auth.MailingOptions{
		Send: opts.sender.Send, Site: site,
		Done: func(result string) { b.metrics.mails.WithLabelValues(result).Inc() },
	}, b.log)
	b.mailing.Store(mailing)
	return begin(func(ctx context.Context) { mailing.Run(ctx, b.wakeMail) })
}

// wakeMailing is called when a mail has been queued.
func (b *backend) wakeMailing() {
	select {
	case b.wakeMail <- struct{}{}:
	default: // it is awake
	}
}

// mailsWaiting is how many mails are to be sent, as far as this server has looked.
func (b *backend) mailsWaiting() int {
	if mailing := b.mailing.Load(); mailing != nil {
		return mailing.Waiting()
	}
	return 0
}
