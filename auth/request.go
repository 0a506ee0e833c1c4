package auth

import (
	"context"
	"net/netip"
)

// Request is what the web server knows of a request, and no header should be
// asked for.
type Request struct {
	// ID names the request in the log and in error responses.
	ID string
	// ClientIP is the address of the client, or, behind a trusted proxy, the
	// one that the proxy tells.
	ClientIP netip.Addr
	// Secure says that the client came over TLS.
	Secure bool
}

type requestKey struct{}

// WithRequest returns a context that carries what is known of the request.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf returns what is known of the request that ctx belongs to.
func RequestOf(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// addressOf is the client's address, or empty if it is unknown.
func addressOf(ctx context.Context) string {
	if ip := RequestOf(ctx).ClientIP; ip.IsValid() {
		return ip.String()
	}
	return ""
}
