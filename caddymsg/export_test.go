package caddymsg

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/store"
)

// OpenBus opens the bus of a handler that has not been provisioned.
func (h *Handler) OpenBus(ctx caddy.Context, s *store.Store, namespace string, receive func(bus.Message)) (bus.Bus, error) {
	h.ctx = ctx
	h.setDefaults()
	if err := h.resolve(); err != nil {
		return nil, err
	}
	return h.openBus(s, namespace, receive)
}
