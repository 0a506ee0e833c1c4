package caddymsg

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/caddymsg/dialect/groupchat"
	"github.com/caddymsg/messaging/caddymsg/dialect/knox"
	"github.com/caddymsg/messaging/caddymsg/dialect/messenger"
	"github.com/caddymsg/messaging/caddymsg/dialect/simplechats"
	v1 "github.com/caddymsg/messaging/v1"
)

// api is one of the APIs that a site can speak.
type api struct {
	// owns tells whether a path belongs to it.
	owns func(path string) bool
	open func(dialect.Options) (http.Handler, error)
	// fail answers with an error while it is not open.
	fail func(http.ResponseWriter, *http.Request, *slog.Logger, error)
	// accounts sets what it decides about accounts.
	accounts func(*auth.Options)
	// passwordMinLength is the default of the option.
	passwordMinLength int
}

// apis are those that there are, by the names that the option api has for them.
var apis = map[string]api{
	standardAPI: {
		owns: v1.Owns,
		open: func(opts dialect.Options) (http.Handler, error) {
			return v1.New(v1.Options{Chat: opts.Chat, Auth: opts.Auth, Hub: opts.Hub, Limits: opts.Limits, Log: opts.Log})
		},
		fail:              v1.WriteError,
		accounts:          func(*auth.Options) {},
		passwordMinLength: standardPasswordMinLength,
	},
	// Of the others, one alone has a rule for passwords.
	"simple_chats": of(simplechats.Dialect(), standardPasswordMinLength),
	messengerAPI:   of(messenger.Dialect(), 1),
	"group_chat":   of(groupchat.Dialect(), 1),
	"knox":         of(knox.Dialect(), 1),
}

const (
	standardAPI  = "v1"
	messengerAPI = "messenger"
)

func of(d dialect.Dialect, passwordMinLength int) api {
	return api{
		owns: d.Owns, fail: d.Fail, passwordMinLength: passwordMinLength,
		open: func(opts dialect.Options) (http.Handler, error) { return d.Open(opts) },
		accounts: func(opts *auth.Options) {
			opts.NoPages = true // those are v1's
			d.Accounts(opts)
		},
	}
}

// validateAPI checks what the configuration says of the API, and what it has no place
// for.
func (h *Handler) validateAPI() error {
	if _, ok := apis[h.API]; !ok {
		return fmt.Errorf("api: %q is unknown; there are: %s", h.API, strings.Join(slices.Sorted(maps.Keys(apis)), ", "))
	}
	if h.InsecureTrustUserIDs && h.API != messengerAPI {
		return fmt.Errorf("insecure_trust_user_ids: %s knows who sends a request; it is for messenger alone", h.API)
	}
	mode := auth.RegistrationMode(h.Registration)
	if h.API != standardAPI && mode != auth.RegistrationOpen && mode != auth.RegistrationClosed {
		return fmt.Errorf("registration: %s has no place for what %q needs; it may be open or closed", h.API, h.Registration)
	}
	if h.API != standardAPI && h.BasicAuth != "off" {
		return errors.New("basic_auth: it is for v1; the other APIs take what their systems take")
	}
	return nil
}

// readAPI reads the option api:
//
//	api <name> {
//		insecure_trust_user_ids
//	}
func readAPI(h *Handler, d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("api takes one value")
	}
	h.API = d.Val()
	if d.NextArg() {
		return d.Errf("api takes one value")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if name := d.Val(); name != "insecure_trust_user_ids" {
			return d.Errf("api has no option %q; it has: insecure_trust_user_ids", name)
		}
		if d.NextArg() {
			return d.Errf("insecure_trust_user_ids takes no value")
		}
		if h.InsecureTrustUserIDs {
			return d.Errf("insecure_trust_user_ids is given twice")
		}
		h.InsecureTrustUserIDs = true
	}
	return nil
}
