// Package v1 is the messaging system's own HTTP API, under /v1. A controller
// decodes a request, asks one rule of package chat or auth, and encodes the
// answer; one file an entity.
package v1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
)

// maxBodyBytes bounds a request's body where its route does not say otherwise.
const maxBodyBytes = 64 << 10

// API serves /v1.
type API struct {
	shared
	auth   *auth.Service
	limits live.Limits

	mux *http.ServeMux
	// ofMessage has the routes below a message. In one mux with the classic
	// routes, /v1/messages/group/{group_chat_id} and /v1/messages/{message_id}/edits
	// would clash: a path can be both.
	ofMessage *http.ServeMux
	handler   http.Handler
	huma      huma.API
}

// shared is what the routes have in common with the commands over a WebSocket, which
// have nothing else of an [API]: they outlive the configuration that it was made for.
type shared struct {
	chat *chat.Service
	hub  *live.Hub
	problems
}

// Options are what an API is made of.
type Options struct {
	Chat *chat.Service
	Auth *auth.Service
	// Hub has the open connections, which Limits bound.
	Hub    *live.Hub
	Limits live.Limits
	Log    *slog.Logger
}

// New makes the API with all its routes.
func New(opts Options) (*API, error) {
	a := &API{
		shared: shared{chat: opts.Chat, hub: opts.Hub, problems: problems{failures: httpapi.NewFailures(opts.Log)}},
		auth:   opts.Auth, limits: opts.Limits,
		mux: http.NewServeMux(), ofMessage: http.NewServeMux(),
	}
	a.basic = a.auth != nil && a.auth.TakesBasic() // the document alone needs no accounts
	a.huma = newHuma(a)
	a.registerAuth()
	a.registerTokens()
	a.registerPassword()
	a.registerEmail()
	a.registerPages()
	a.registerUsers()
	a.registerSessions()
	a.registerExport()
	a.registerBlocks()
	a.registerChats()
	a.registerReading()
	a.registerGroups()
	a.registerParticipants()
	a.registerInvites()
	a.registerMessages()
	a.registerReactions()
	a.registerAdmin()
	a.registerInvitations()
	a.registerAudit()
	a.registerSearch()
	a.registerPolls()
	a.registerWebSocket()
	a.registerEvents()
	a.registerPresence()
	if err := a.registerDocs(); err != nil {
		return nil, err
	}

	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.writeError(w, r, errCrossSite)
	}))
	a.handler = crossOrigin.Handler(http.HandlerFunc(a.route))
	return a, nil
}

// Owns tells whether a path belongs to this API, known or not.
func Owns(path string) bool {
	return path == "/v1" || strings.HasPrefix(path, "/v1/")
}

// ServeHTTP answers a request for a path that the API owns. Its context should
// carry an [auth.Request].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := auth.RequestOf(r.Context())
	browser := r // its context is replaced, and its header is not
	request.Device = func() []byte { return a.auth.Cookies().Device(browser, request.Secure) }
	answered := r.WithContext(auth.WithRequest(r.Context(), request))
	defer func() { r.Pattern = answered.Pattern }()
	httpapi.Serve(w, answered, a.handler, a.writeError)
}

// route is the muxes, the first that knows the path, but for their plain text
// errors.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	// The mux would redirect to the clean path, in HTML, and past the folder
	// that the site may have put the API in.
	if p := r.URL.EscapedPath(); path.Clean(p) != p {
		a.writeError(w, r, errNoSuchPath)
		return
	}
	// How a WebSocket would begin over HTTP/2 and HTTP/3. No document could have it.
	if r.Method == http.MethodConnect && r.URL.Path == "/v1/ws" {
		a.writeError(w, r, errNoUpgrade)
		return
	}
	// This is the history, where the mux would see a group of that name, too.
	if r.URL.Path == "/v1/group_chat/messages" && r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		a.writeError(w, r, errMethodNotAllowed)
		return
	}
	// It signs in, and nobody would read the tokens.
	if r.URL.Path == "/v1/auth/token" && r.Method == http.MethodHead {
		w.Header().Set("Allow", "GET, POST")
		a.writeError(w, r, errMethodNotAllowed)
		return
	}
	switch httpapi.Route(w, r, a.mux, a.ofMessage) {
	case http.StatusNotFound:
		a.writeError(w, r, errNoSuchPath)
	case http.StatusMethodNotAllowed:
		a.writeError(w, r, errMethodNotAllowed)
	}
}

// version is of the API, for its document: the second number counts additions.
const version = "1.4"

func newHuma(a *API) huma.API {
	cfg := huma.DefaultConfig("caddymsg", version)
	// Beside the document, wherever the site has put it.
	cfg.Servers = []*huma.Server{{URL: ".."}}
	cfg.Info.Description = "Accounts, direct and group chats, history, reactions, polls, search, administration, and live updates."
	cfg.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	// What huma would serve by itself: pages that load scripts from elsewhere.
	cfg.DocsPath, cfg.OpenAPIPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil // they add $schema links to every answer
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	cfg.Formats = map[string]huma.Format{"application/json": format, "application/problem+json": format}
	cfg.DefaultFormat = "application/json"
	cfg.Transformers = []huma.Transformer{a.explain}
	cfg.Components.SecuritySchemes = securitySchemes
	return jsonAPI{huma.NewAPI(cfg, adapter{
		Adapter: humago.NewAdapter(a.mux, ""), ofMessage: humago.NewAdapter(a.ofMessage, ""),
	})}
}

// jsonAPI takes every body for JSON, whatever its Content-Type says, and always
// answers JSON (contract 0, "General wire facts"). A form of another site can't
// make use of this: its request is refused as cross-site.
type jsonAPI struct{ huma.API }

func (jsonAPI) Unmarshal(_ string, data []byte, v any) error { return unmarshal(data, v) }
func (jsonAPI) Negotiate(string) (string, error)             { return "application/json", nil }

func marshal(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("the body is not UTF-8") // encoding/json would put U+FFFD in its place
	}
	err := json.Unmarshal(data, v)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return errors.New("a value in the body is of another type, or out of range") // it would name Go's types
	}
	return err
}

// adapter gives each request a [humaContext], and each route its mux.
type adapter struct {
	huma.Adapter
	ofMessage huma.Adapter
}

func (a adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	to := a.Adapter
	if strings.HasPrefix(op.Path, "/v1/messages/{message_id}/") {
		to = a.ofMessage
	}
	to.Handle(op, func(ctx huma.Context) { handler(&humaContext{embedded: ctx}) })
}

// operation describes a route; errors are the statuses that it may answer
// beside 200, 500 and 503.
func (a *API) operation(method, path, id, summary string, errors ...int) huma.Operation {
	op := huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary,
		MaxBodyBytes: maxBodyBytes + 1, // huma refuses a body of exactly its limit
		Responses:    map[string]*huma.Response{},
	}
	if method != http.MethodGet {
		errors = append(errors, http.StatusForbidden) // to a page of another site
	}
	for _, status := range append(errors, http.StatusInternalServerError, http.StatusServiceUnavailable) {
		op.Responses[fmt.Sprint(status)] = a.problemResponse(status)
	}
	return op
}

type callerKey struct{}

// callerOf is who asks for an operation that was made signedIn.
func callerOf(ctx context.Context) chat.Caller {
	return ctx.Value(callerKey{}).(chat.Caller)
}

// register adds a route whose errors are told as every error of this API is.
func register[I, O any](a *API, op huma.Operation, controller func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := controller(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// pathID reads an id from a path. What is not all digits is no path of this API
// (contract 0: 404); a number that nothing can have is of what does not exist.
func pathID(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNoSuchPath
	}
	id, _ := strconv.ParseInt(s, 10, 64) // the largest there is, if the number is larger
	return id, nil
}

// empty is the answer of a command that has nothing to tell.
type empty struct {
	Body struct{}
}
