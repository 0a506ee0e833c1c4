package main

import (
	"io"
	"net/http"
	"runtime"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/coder/websocket"
)

func init() {
	caddy.RegisterModule(new(broadcast))
	httpcaddyfile.RegisterHandlerDirective("bench_broadcast", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(broadcast), nil
	})
}

// broadcast is what fan-out is measured against: a handler that writes each body
// that is posted to it to all who are connected. It knows no accounts, no chats and
// no history, and keeps nothing for who is slow.
type broadcast struct {
	mu          sync.RWMutex
	connections []*websocket.Conn
}

// CaddyModule returns the Caddy module information.
func (*broadcast) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.bench_broadcast",
		New: func() caddy.Module { return new(broadcast) },
	}
}

// ServeHTTP takes a connection, or something to write to all.
func (b *broadcast) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return b.write(r, body)
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.connections = append(b.connections, conn)
	b.mu.Unlock()
	<-conn.CloseRead(r.Context()).Done()
	return nil
}

// write writes to all connections, on all cores.
func (b *broadcast) write(r *http.Request, body []byte) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var writing sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		writing.Go(func() {
			for i := core; i < len(b.connections); i += cores {
				// Who has gone is not missed here: the client counts.
				_ = b.connections[i].Write(r.Context(), websocket.MessageText, body)
			}
		})
	}
	writing.Wait()
	return nil
}

var _ caddyhttp.MiddlewareHandler = (*broadcast)(nil)
