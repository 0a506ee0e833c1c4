package auth

import (
	"context"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
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
	// Folder is what stands before the path, where the site has put the API below one.
	Folder string
	// UserAgent is what the client says that it is, as it came.
	UserAgent string
	// Device reads what tells the browser from others: nil, if it has no device cookie.
	// It is asked where a password is. It may be nil itself.
	Device func() []byte
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

// device is what tells the browser from others, or nil.
func (r Request) device() []byte {
	if r.Device == nil {
		return nil
	}
	return r.Device()
}

// addressOf is the client's address, or empty if it is unknown.
func addressOf(ctx context.Context) string {
	if ip := RequestOf(ctx).ClientIP; ip.IsValid() {
		return ip.String()
	}
	return ""
}

// maxUserAgent is how much is kept of what a client says that it is, in bytes.
const maxUserAgent = 256

// userAgentOf is what the client says that it is, as it can be stored.
func userAgentOf(ctx context.Context) string {
	said := RequestOf(ctx).UserAgent
	if len(said) > maxUserAgent {
		said = said[:maxUserAgent]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, said)
}
