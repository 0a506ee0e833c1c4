package caddymsg

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddymsg/messaging/limit"
)

// readRateLimits reads what stands behind rate_limits: off, or a block of limits.
func readRateLimits(h *Handler, d *caddyfile.Dispenser) error {
	h.RateLimits = map[string]string{}
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Err("rate_limits takes off, or a block")
		}
		for _, name := range limit.Names() {
			h.RateLimits[string(name)] = "off"
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if _, given := h.RateLimits[name]; given {
			return d.Errf("rate_limits: %s is given twice, or behind off", name)
		}
		h.RateLimits[name] = strings.Join(d.RemainingArgs(), " ")
		if _, err := parseRateLimits(map[string]string{name: h.RateLimits[name]}); err != nil {
			return d.WrapErr(err)
		}
	}
	if len(h.RateLimits) == 0 {
		return d.Err("rate_limits takes off, or a block with a limit")
	}
	return nil
}

// parseRateLimits reads the rates of a configuration.
func parseRateLimits(texts map[string]string) (map[limit.Name]limit.Rate, error) {
	known := limit.Names()
	rates := make(map[limit.Name]limit.Rate, len(texts))
	for name, text := range texts {
		if !slices.Contains(known, limit.Name(name)) {
			return nil, fmt.Errorf("rate_limits: there is no limit %q; there are: %s", name, strings.Trim(fmt.Sprint(known), "[]"))
		}
		rate, err := limit.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("rate_limits: %s: %w", name, err)
		}
		rates[limit.Name(name)] = rate
	}
	return rates, nil
}
