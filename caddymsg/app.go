package caddymsg

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// App starts and stops what the messaging handlers of a configuration need. It
// is there by itself; there is nothing to configure.
//
// A handler is not told when Caddy starts, only when it is provisioned, and
// that happens under `caddy validate` as well. An app is told.
type App struct {
	ctx      caddy.Context
	handlers []*Handler
	options  map[*backend]*backendOptions
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "messaging",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision asks to be told when Caddy stops. It is told before the HTTP app
// begins to wait for its requests to end.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.options = ctx, map[*backend]*backendOptions{}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", a)
}

// add is told of each handler when it is provisioned.
func (a *App) add(h *Handler) {
	a.handlers = append(a.handlers, h)
	opts := h.backendOptions()
	if before := a.options[h.backend]; before != nil {
		opts.admins = slices.Concat(before.admins, opts.admins)
		opts.mail = opts.mail.or(before.mail)
	}
	a.options[h.backend] = opts
}

// Handle hears that Caddy is stopping this configuration. In a reload, open requests
// go on, and the next configuration takes over: only now is it certain that nothing
// of Caddy's refuses it.
func (a *App) Handle(context.Context, caddy.Event) error {
	if !caddy.Exiting() {
		if next, err := caddy.ActiveContext().AppIfConfigured("messaging"); err == nil {
			next.(*App).takeOver()
		}
		return nil
	}
	grace := exitGrace
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		server := app.(*caddyhttp.App)
		if server.GracePeriod > 0 {
			grace = time.Duration(server.GracePeriod)
		}
		grace += time.Duration(server.ShutdownDelay) // in which it still takes requests
	}
	a.drain()
	time.AfterFunc(grace, endRequests) // no owner: the process ends
	return nil
}

// drain ends the open connections, of all databases side by side. Requests are
// answered meanwhile.
func (a *App) drain() {
	var wg sync.WaitGroup
	for b := range a.options {
		wg.Go(b.drain)
	}
	wg.Wait()
}

// takeOver puts into effect what concerns databases that the configuration before
// had open.
func (a *App) takeOver() {
	for b, opts := range a.options {
		if err := b.takeOver(a.ctx, opts); err != nil {
			opts.log.ErrorContext(a.ctx, "configuration not taken over in full", "error", err)
		}
	}
}

// Start opens the databases, so that one that can't be opened is an error at
// start, and not at the first request. It changes nothing that the configuration
// before goes by: another app may yet fail to start.
func (a *App) Start() error {
	for _, h := range a.handlers {
		if _, err := h.start(); err != nil {
			return err
		}
	}
	return nil
}

// Stop does nothing: what is open is closed when nobody uses it any more.
func (a *App) Stop() error { return nil }

var (
	_ caddy.App           = (*App)(nil)
	_ caddy.Provisioner   = (*App)(nil)
	_ caddyevents.Handler = (*App)(nil)
)
