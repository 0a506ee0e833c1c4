package caddymsg

import (
	"context"
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
	a.ctx = ctx
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", a)
}

// Handle hears that Caddy is stopping this configuration.
func (a *App) Handle(context.Context, caddy.Event) error {
	if !caddy.Exiting() {
		return nil // a reload: open requests go on
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
	drained := map[*backend]bool{}
	for _, h := range a.handlers {
		if !drained[h.backend] {
			drained[h.backend] = true
			wg.Go(h.backend.drain)
		}
	}
	wg.Wait()
}

// Start opens the databases, so that one that can't be opened is an error at
// start, and not at the first request.
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
