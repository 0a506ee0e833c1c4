package caddymsg

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/store"
)

// resolveBus replaces the placeholders in the options of the bus.
func (h *Handler) resolveBus() (err error) {
	h.bus = bus.NATSOptions{Name: "caddymsg"}
	files := []struct {
		option, value string
		into          *string
	}{
		{"bus_credentials", h.BusCredentials, &h.bus.Credentials},
		{"bus_ca", h.BusCA, &h.bus.CA},
		{"bus_certificate", h.BusCertificate, &h.bus.Certificate},
		{"bus_key", h.BusKey, &h.bus.Key},
	}
	for _, file := range files {
		if file.value == "" {
			continue
		}
		if len(h.Bus) == 0 {
			return fmt.Errorf("%s: there is no bus that it could be for; name the servers: bus nats://…", file.option)
		}
		if *file.into, err = resolvePlaceholders(file.option, file.value); err != nil {
			return err
		}
	}
	if len(h.Bus) == 0 {
		return nil
	}
	if !h.database.Shared() {
		return errors.New("bus: the database is an SQLite file, which one process has for itself; a bus is for several that share a PostgreSQL database")
	}
	for _, value := range h.Bus {
		address, err := resolvePlaceholders("bus", value)
		if err != nil {
			return err
		}
		h.bus.Servers = append(h.bus.Servers, address)
	}
	if err := h.bus.Validate(); err != nil {
		return err
	}
	if slices.ContainsFunc(h.Bus, writtenToken) {
		return errors.New("bus: a password or a token that is written here is shown by Caddy's admin API; put it, or the whole address, into an environment variable: bus {env.NATS_URL}")
	}
	return nil
}

// writtenToken tells whether an address of NATS holds a password, or a token, which
// stands there alone, that is not a placeholder.
func writtenToken(address string) bool {
	_, written, _ := strings.Cut(placeholders.ReplaceAllString(address, ""), "://")
	user, password, both := strings.Cut(written[:max(0, strings.LastIndex(written, "@"))], ":")
	return password != "" || !both && user != ""
}

// openBus opens the bus of the nodes that share a database. Namespace keeps apart
// those of several databases.
func (h *Handler) openBus(s *store.Store, namespace string, receive func(bus.Message)) (bus.Bus, error) {
	switch {
	case !h.database.Shared():
		return bus.None{}, nil
	case len(h.bus.Servers) == 0:
		return bus.OpenPostgres(s, "caddymsg_"+namespace, receive, h.ctx.Slogger()), nil
	}
	opts := h.bus
	opts.Subject, opts.Log = "caddymsg."+namespace, h.ctx.Slogger()
	return bus.OpenNATS(opts, receive)
}
