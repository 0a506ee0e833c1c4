package v1

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/chat"
)

// securitySchemes are what may show who sends a request, for the document.
var securitySchemes = map[string]*huma.SecurityScheme{
	"session": {
		Type: "apiKey", In: "cookie", Name: "session",
		Description: "Set by POST /v1/auth/login. Over TLS its name is __Host-session.",
	},
	"bearer": {
		Type: "http", Scheme: "bearer",
		Description: "An access token of POST /v1/auth/token, or a key of POST /v1/me/keys, which needs the scope that is named. The scheme may also be called Token.",
	},
	"key": {
		Type: "apiKey", In: "header", Name: "X-API-Key",
		Description: "The same, where a program has no other header to put it in.",
	},
	"basic": {
		Type: "http", Scheme: "basic",
		Description: "Username and password: for GET /v1/auth/token, and for all routes of a site that has basic_auth on.",
	},
}

// accountScope is what the document calls the scope that no key has.
const accountScope = "account"

// scopeOf is the scope that an operation needs of whoever comes by a key.
func scopeOf(method, path string) chat.Scopes {
	reads := method == http.MethodGet || method == http.MethodHead
	switch {
	case strings.HasPrefix(path, "/v1/admin/"):
		return chat.AdminScope
	case strings.HasPrefix(path, "/v1/auth/"), strings.HasPrefix(path, "/v1/me/"), path == "/v1/me" && !reads:
		return chat.AccountScope
	case reads:
		return chat.ReadScope
	}
	return chat.WriteScope
}

// signedIn makes an operation one that only a signed-in person may ask for, or their
// program with a key that has the scope for it.
func (a *API) signedIn(op huma.Operation) huma.Operation {
	scope := scopeOf(op.Method, op.Path)
	names := scope.Names()
	if scope == chat.AccountScope {
		names = []string{accountScope}
	}
	op.Security = []map[string][]string{{"session": {}}, {"bearer": names}, {"key": names}}
	if a.basic {
		op.Security = append(op.Security, map[string][]string{"basic": {}})
	}
	op.Middlewares = append(huma.Middlewares{a.authenticate(scope, isLimitedChange(op))}, op.Middlewares...)
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests} {
		op.Responses[strconv.Itoa(status)] = a.problemResponse(status)
	}
	return op
}

// isLimitedChange tells whether an operation is one of those that the limit of changes is
// for: each leaves something in the database, at least in the audit log. What is sent has
// a limit of its own.
func isLimitedChange(op huma.Operation) bool {
	reads := op.Method == http.MethodGet || op.Method == http.MethodHead
	return !reads && op.OperationID != "send-message" && op.OperationID != "send-to-chat"
}

// authenticate comes before all other checks of a request (contract 0).
func (a *API) authenticate(scope chat.Scopes, changes bool) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		caller, cookie, err := a.auth.Identify(r)
		if err == nil {
			err = caller.Require(scope)
		}
		if err == nil && changes {
			err = a.chat.CountChange(ctx.Context(), caller)
		}
		if err != nil {
			a.writeHumaError(ctx, err)
			return
		}
		if cookie != nil {
			ctx.AppendHeader("Set-Cookie", cookie.String())
		}
		next(huma.WithValue(ctx, callerKey{}, caller))
	}
}

// What an answer of 401 asks for (RFC 9110, 11.6.1).
const (
	bearerChallenge = "Bearer"
	basicChallenge  = `Basic realm="messaging", charset="UTF-8"`
)

// challenges are those of the routes that everything is taken for that this site takes.
func (to problems) challenges() []string {
	if to.basic {
		return []string{bearerChallenge, basicChallenge}
	}
	return []string{bearerChallenge}
}
