package caddymsg

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddymsg/messaging/bus"
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

// openedBus is the way to the other nodes, and what it was opened with.
type openedBus struct {
	bus.Bus
	options   bus.NATSOptions
	namespace string
}

// openBus opens the way to the nodes that share the database, unless it is open with
// the same options. Namespace keeps apart those of several databases.
func (b *backend) openBus(ctx context.Context, opts *backendOptions) error {
	before := b.bus.Load()
	if before != nil && reflect.DeepEqual(before.options, opts.bus) {
		return nil
	}
	if !opts.store.Shared() {
		b.bus.Store(&openedBus{bus.None{}, opts.bus, ""})
		return nil
	}
	var namespace string
	if before != nil {
		namespace = before.namespace
	} else {
		feed, err := b.rules.Feed(ctx)
		if err != nil {
			return err
		}
		// Without what tells a database that another has taken the place of: it is the
		// same nodes that share it.
		namespace, _, _ = strings.Cut(feed.Epoch, "-")
	}
	var next bus.Bus
	if len(opts.bus.Servers) == 0 {
		next = bus.OpenPostgres(b.store, "caddymsg_"+namespace, b.received, b.log)
	} else {
		nats := opts.bus
		nats.Subject, nats.Log = "caddymsg."+namespace, b.log
		var err error
		if next, err = bus.OpenNATS(nats, b.received); err != nil {
			return err
		}
	}
	b.bus.Store(&openedBus{next, opts.bus, namespace})
	b.hub.Reach(next)
	if before != nil {
		before.Close()
	}
	return nil
}

// received is told what other nodes tell.
func (b *backend) received(m bus.Message) {
	if m.Kind == bus.Log {
		b.hub.ReceiveLog(m.Data)
		return
	}
	b.hub.Receive(m.Kind, m.Data)
}

// busHealthy is 1 if the way to the other nodes is open.
func (b *backend) busHealthy() int {
	if opened := b.bus.Load(); opened != nil && opened.Healthy() {
		return 1
	}
	return 0
}
