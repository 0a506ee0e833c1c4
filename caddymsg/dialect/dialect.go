// Package dialect is what the APIs of other systems have in common. A dialect is a
// package below this one: a table of routes, controllers that ask one rule each, and one
// function that says how errors are told. docs/dialects.md says how to write one.
package dialect

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
)

// Dialect is the API of another system.
type Dialect struct {
	// Owns tells whether a path belongs to it, known or not.
	Owns func(path string) bool
	// Tell is how it answers with a refusal.
	Tell func(Refusal) Answer
	// Open makes its API.
	Open func(Options) (*API, error)
	// Accounts sets what it decides about accounts: which passwords, which tokens.
	Accounts func(*auth.Options)
}

// Options are what an API is made of.
type Options struct {
	Chat *chat.Service
	Auth *auth.Service
	// Hub has the open connections, which Limits bound.
	Hub    *live.Hub
	Limits live.Limits
	Log    *slog.Logger
	// TrustUserIDs has whoever names a user be that user: for messenger, which knows no
	// other way.
	TrustUserIDs bool
}

// Answer is what a request is answered with: a body in JSON, or none if it is nil.
type Answer struct {
	Status int
	Header http.Header
	Body   any
}

// Access is who may ask for a route.
type Access int

// SignedIn is a person, or a program of theirs with a key whose scope is reading or
// writing, as the method is.
const (
	SignedIn Access = iota
	Anybody
	Account // SignedIn, but for keys
	Admin   // SignedIn, and a key needs its scope for that; the rule knows who is one
)

// Route is a row of a dialect's table.
type Route struct {
	Method string
	// Path is as that of an [http.ServeMux], from the root of the site.
	Path   string
	Access Access
	Handle func(*Call) error
	// Sends says that it sends messages, which has a limit of its own.
	Sends bool
	// Changes says that it changes something although its method is GET.
	Changes bool
	// MaxBody is the largest body, in bytes. Default: 64 KiB.
	MaxBody int64
}

const (
	// standardMaxBody bounds a request's body where its route does not say otherwise.
	standardMaxBody = 64 << 10
	// MaxText bounds a body that brings the text of a message: in JSON, a character may
	// have twelve bytes.
	MaxText = 12*chat.MaxTextLength + 4<<10
)

// System is what New makes an API of.
type System struct {
	Routes []Route
	// Identify finds out who sends a request.
	Identify func(*http.Request) (chat.Caller, error)
	// IdentifyBrowser is in place of Identify where a cookie may say who it is: it may
	// return one that is to be set.
	IdentifyBrowser func(*http.Request) (chat.Caller, *http.Cookie, error)
	Tell            func(Refusal) Answer
	// AnyOrigin lets pages of all sites use it: where no cookie of theirs says who asks.
	AnyOrigin bool
	// Slashes takes each path with a slash at its end, too.
	Slashes bool
	// Page is the path of a page that shows Document, which is at DocumentPath; empty:
	// there is none.
	Page, DocumentPath string
	Document           []byte
}

// API answers the requests of a dialect.
type API struct {
	options  Options
	system   System
	mux      *http.ServeMux
	failures httpapi.Failures
	// crossOrigin refuses pages of other sites: a browser may show for them who it is.
	crossOrigin *http.CrossOriginProtection
}

// New makes an API of a table of routes.
func New(opts Options, s System) (*API, error) {
	a := &API{options: opts, system: s, mux: http.NewServeMux(), failures: httpapi.NewFailures(opts.Log), crossOrigin: http.NewCrossOriginProtection()}
	for _, route := range s.Routes {
		handler := func(w http.ResponseWriter, r *http.Request) { a.handle(route, w, r) }
		a.mux.HandleFunc(route.Method+" "+route.Path, handler)
		if s.Slashes {
			a.mux.HandleFunc(route.Method+" "+route.Path+"/{$}", handler)
		}
	}
	if s.Page == "" {
		return a, nil
	}
	return a, httpapi.ServeDocs(a.mux, s.Page, s.DocumentPath, s.Document)
}

// Routes are those of its table.
func (a *API) Routes() []Route { return a.system.Routes }

// ServeHTTP answers a request for a path that the dialect owns. Its context should carry
// an [auth.Request].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	httpapi.Serve(w, r, http.HandlerFunc(a.route), a.fail)
}

// allowOrigin tells browsers that a page of any site may ask, without cookies, and read
// the answer. It returns true if that was all that was asked.
func allowOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "*")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "*")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, *") // of which the one is not among all
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (a *API) route(w http.ResponseWriter, r *http.Request) {
	if a.system.AnyOrigin && allowOrigin(w, r) {
		return
	}
	if !a.system.AnyOrigin && a.crossOrigin.Check(r) != nil {
		a.fail(w, r, &Refusal{Status: http.StatusForbidden, Code: "cross_site", Message: "Another site's page sent this request."})
		return
	}
	// The mux would redirect to the clean path, in HTML, and past the folder that the
	// site may have put the API in. One slash more at the end may be a path of its own.
	if p := r.URL.EscapedPath(); p != path.Clean(p) && strings.TrimSuffix(p, "/") != path.Clean(p) {
		a.fail(w, r, errNoSuchPath)
		return
	}
	switch httpapi.Route(w, r, a.mux) {
	case http.StatusNotFound:
		a.fail(w, r, errNoSuchPath)
	case http.StatusMethodNotAllowed:
		a.fail(w, r, errMethod(r.Method))
	}
}

var errNoSuchPath = &Refusal{Status: http.StatusNotFound, Code: "no_such_path", Message: "There is no such path."}

func errMethod(method string) *Refusal {
	return &Refusal{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "This path does not take the method " + method + "."}
}

// handle has a controller answer, once it is known that the caller may ask.
func (a *API) handle(route Route, w http.ResponseWriter, r *http.Request) {
	call := &Call{Request: r, W: w, maxBody: route.MaxBody}
	if call.maxBody == 0 {
		call.maxBody = standardMaxBody
	}
	if route.Changes && r.Method == http.MethodHead { // which the mux takes for GET
		w.Header().Set("Allow", route.Method)
		a.fail(w, r, errMethod(r.Method))
		return
	}
	err := a.admit(route, call)
	if err == nil {
		err = route.Handle(call)
	}
	if broken := (*brokenOffError)(nil); errors.As(err, &broken) {
		refusal := explain(err)
		a.failures.Note(r.Context(), refusal.Status, refusal.Code, err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		a.fail(w, r, err)
	}
}

// admit finds out who asks for a route, and whether they may.
func (a *API) admit(route Route, call *Call) (err error) {
	if route.Access == Anybody {
		return nil
	}
	if call.Caller, err = a.identify(call); err != nil {
		return err
	}
	reads := route.Method == http.MethodGet && !route.Changes
	scope := chat.WriteScope
	switch {
	case route.Access == Account:
		scope = chat.AccountScope
	case route.Access == Admin:
		scope = chat.AdminScope
	case reads:
		scope = chat.ReadScope
	}
	if err := call.Caller.Require(scope); err != nil || reads || route.Sends {
		return err
	}
	return a.options.Chat.CountChange(call.Context(), call.Caller)
}

func (a *API) identify(call *Call) (chat.Caller, error) {
	if a.system.IdentifyBrowser == nil {
		return a.system.Identify(call.Request)
	}
	caller, cookie, err := a.system.IdentifyBrowser(call.Request)
	if err == nil && cookie != nil {
		http.SetCookie(call.W, cookie)
	}
	return caller, err
}

// fail answers with an error. Nothing else does.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	fail(w, r, a.failures, a.system.Tell, err)
}

// Fail answers with an error where there is no API to do it.
func (d Dialect) Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	fail(w, r, httpapi.Failures{Log: log}, d.Tell, err)
}

func fail(w http.ResponseWriter, r *http.Request, failures httpapi.Failures, tell func(Refusal) Answer, err error) {
	refusal := explain(err)
	refusal.Path = r.URL.Path
	answer := tell(refusal)
	answer.Status = failures.Note(r.Context(), answer.Status, refusal.Code, err)
	for name, values := range answer.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	if wait := httpapi.Seconds(refusal.RetryAfter); wait > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	writeJSON(w, answer.Status, answer.Body)
}

// writeJSON answers. A client that has gone is none of our failures.
func writeJSON(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body)
}
