package caddymsg

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("messaging", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("messaging", httpcaddyfile.Before, "respond")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// options are what may stand in a messaging block, each with how it is read.
var options = map[string]func(h *Handler, value string) error{
	"database":         func(h *Handler, v string) error { h.Database = v; return nil },
	"database_readers": func(h *Handler, v string) error { return number(v, &h.DatabaseReaders) },
	"database_writers": func(h *Handler, v string) error { return number(v, &h.DatabaseWriters) },
	"session_secret":   func(h *Handler, v string) error { h.SessionSecret = append(h.SessionSecret, v); return nil },
	"session_lifetime": func(h *Handler, v string) error {
		lifetime, err := caddy.ParseDuration(v)
		if err == nil && lifetime == 0 {
			err = errors.New("0 is no lifetime") // it would mean the default
		}
		h.SessionLifetime = caddy.Duration(lifetime)
		return err
	},
	"password_min_length": func(h *Handler, v string) error { return number(v, &h.PasswordMinLength) },
	"bcrypt_cost":         func(h *Handler, v string) error { return number(v, &h.BcryptCost) },
	"basic_auth":          func(h *Handler, v string) error { h.BasicAuth = v; return nil },
	"registration": func(h *Handler, v string) error {
		if h.Registration == "" {
			h.Registration = v
		} else {
			h.RegistrationDomains = append(h.RegistrationDomains, v)
		}
		return nil
	},
	"admin":           func(h *Handler, v string) error { h.Admin = append(h.Admin, v); return nil },
	"bus":             func(h *Handler, v string) error { h.Bus = append(h.Bus, v); return nil },
	"bus_credentials": func(h *Handler, v string) error { h.BusCredentials = v; return nil },
	"bus_ca":          func(h *Handler, v string) error { h.BusCA = v; return nil },
	"bus_certificate": func(h *Handler, v string) error {
		if h.BusCertificate == "" {
			h.BusCertificate = v
		} else {
			h.BusKey = v
		}
		return nil
	},
	"public_url": func(h *Handler, v string) error { h.PublicURL = v; return nil },
	"shutdown_delay": func(h *Handler, v string) error {
		delay, err := caddy.ParseDuration(v)
		h.ShutdownDelay = new(caddy.Duration(delay))
		return err
	},
	"event_retention": func(h *Handler, v string) error {
		if v == "off" {
			h.EventRetention = -1
			return nil
		}
		retention, err := caddy.ParseDuration(v)
		if err == nil && retention <= 0 {
			err = fmt.Errorf("%q is not longer than 0; to keep all of them: off", v)
		}
		h.EventRetention = caddy.Duration(retention)
		return err
	},
	"connections_per_user":    func(h *Handler, v string) error { return bound(v, &h.ConnectionsPerUser) },
	"connections_per_address": func(h *Handler, v string) error { return bound(v, &h.ConnectionsPerAddress) },
}

// blocks are the options that may have a block of their own. They are read whole.
var blocks = map[string]func(h *Handler, d *caddyfile.Dispenser) error{
	"api":         readAPI,
	"rate_limits": readRateLimits,
	"smtp":        readSMTP,
}

// names lists options for an error.
func names(options ...iter.Seq[string]) string {
	var all []string
	for _, some := range options {
		all = slices.AppendSeq(all, some)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// several are the options that take more than one value, and pairs those that take
// two. They are read once for each.
var (
	several = []string{"admin", "bus", "registration", "session_secret"}
	pairs   = []string{"bus_certificate"}
)

// number reads a number that is not 0, which would mean the default.
func number(s string, into *int) (err error) {
	if *into, err = strconv.Atoi(s); err != nil || *into == 0 {
		return fmt.Errorf("%q is not a number from 1", s)
	}
	return nil
}

// bound reads a number, or that there is none.
func bound(s string, into *int) error {
	if s == "off" {
		*into = -1
		return nil
	}
	if err := number(s, into); err != nil || *into < 0 {
		return fmt.Errorf("%q is neither a number from 1 nor off", s)
	}
	return nil
}

// UnmarshalCaddyfile sets the handler up from a block:
//
//	messaging [<matcher>] {
//		api                     v1|simple_chats|messenger|group_chat|knox {
//			insecure_trust_user_ids
//		}
//		database                <path>|<postgres address>
//		database_readers        <connections>
//		database_writers        <connections>
//		session_secret          <secret> [<old secret>...]
//		session_lifetime        <duration>
//		password_min_length     <characters>
//		bcrypt_cost             <4-31>
//		basic_auth              on|off
//		registration            open|closed|invitation|domains <domain>...
//		admin                   <username>...
//		bus                     <nats address>...
//		bus_credentials         <file>
//		bus_ca                  <file>
//		bus_certificate         <certificate file> <key file>
//		public_url              <url>
//		smtp {
//			host     <host>
//			port     <port>
//			tls      starttls|tls|off
//			username <username>
//			password <placeholder>
//			from     <address>
//			ca       <file>
//		}
//		shutdown_delay          <duration>
//		event_retention         <duration>|off
//		connections_per_user    <number>|off
//		connections_per_address <number>|off
//		rate_limits             off|{
//			<limit> <events>/<duration> [<burst>]|off
//		}
//	}
//
// Every option may be left out.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for d.NextBlock(0) {
		name := d.Val()
		read, ok := options[name]
		readBlock, isBlock := blocks[name]
		if !ok && !isBlock {
			return d.Errf("messaging has no option %q; it has: %s", name, names(maps.Keys(options), maps.Keys(blocks)))
		}
		if seen[name] {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if isBlock {
			if err := readBlock(h, d); err != nil {
				return err
			}
			continue
		}
		var values []string
		for d.NextArg() {
			values = append(values, d.Val())
		}
		switch {
		case slices.Contains(several, name):
			if len(values) == 0 {
				return d.Errf("%s takes one value, or more", name)
			}
		case slices.Contains(pairs, name):
			if len(values) != 2 || values[0] == "" || values[1] == "" {
				return d.Errf("%s takes two values", name)
			}
		case len(values) != 1:
			return d.Errf("%s takes one value", name)
		}
		for _, value := range values {
			if err := read(h, value); err != nil {
				return d.Errf("%s: %v", name, err)
			}
		}
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
