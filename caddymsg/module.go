// Package caddymsg is the Caddy module: it ties the messaging system to Caddy's
// configuration, requests, logs, metrics and storage. It is the only package
// that knows Caddy.
package caddymsg

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/bus"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

func init() {
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(App{})
}

// Handler serves the messaging API of a site. Requests for paths that the API
// does not have go to the next handler. Handlers that name the same database
// share its accounts and chats; a configuration reload keeps it open.
type Handler struct {
	// The API that the site speaks: `v1`, or that of another system: `simple_chats`,
	// `messenger`, `group_chat` or `knox`. Default: v1.
	API string `json:"api,omitempty"`

	// Whether the API `messenger` takes everybody for the user that they name, as its
	// system does: whoever reaches the site can then read and write as anybody. Default:
	// it asks for a token, as the others do.
	InsecureTrustUserIDs bool `json:"insecure_trust_user_ids,omitempty"`

	// The path of the SQLite database, which is made if it is missing, or the
	// address of a PostgreSQL database, `postgres://user@host/name`. It may hold
	// placeholders such as `{env.MESSAGING_DB}`; a password must be one.
	// Default: `messaging.db` in Caddy's data directory.
	Database string `json:"database,omitempty"`

	// How many connections to the database read at once. Default: 10 on
	// PostgreSQL, four a core on SQLite.
	DatabaseReaders int `json:"database_readers,omitempty"`

	// How many connections to a PostgreSQL database write at once. Default: 10.
	DatabaseWriters int `json:"database_writers,omitempty"`

	// The secret that session cookies are encrypted with, of at least 32
	// bytes. Use a placeholder, `{env.NAME}` or `{file./path}`, to keep it out
	// of the configuration. Several, in a list, are a new one and those that it
	// replaces: cookies are made with the first, and those made with another are
	// still good. An environment variable that is empty counts as no secret.
	// Default: one that is made once and kept in Caddy's storage.
	SessionSecret Secrets `json:"session_secret,omitempty"`

	// How long a session lives after it was last used. Default: 30 days.
	SessionLifetime caddy.Duration `json:"session_lifetime,omitempty"`

	// The shortest password of a new account, in characters. Default: 8; 1 for APIs whose
	// systems ask for none, which are messenger, group_chat and knox.
	PasswordMinLength int `json:"password_min_length,omitempty"`

	// The cost of hashing a password: one more doubles the time that it takes
	// to check, and to guess. From 4 to 31. Default: 12.
	BcryptCost int `json:"bcrypt_cost,omitempty"`

	// Whether a username and password in the header Authorization, HTTP Basic, are
	// taken with every request: `on` or `off`. `GET /v1/auth/token` takes them anyway.
	// Default: off.
	BasicAuth string `json:"basic_auth,omitempty"`

	// Who may make an account: `open`: anybody; `closed`: nobody; `invitation`: who has
	// an invitation of an administrator; `domains`: who has an e-mail address of one of
	// certain domains. Default: open.
	Registration string `json:"registration,omitempty"`

	// The domains, where the registration is limited to some. Those below them are
	// others.
	RegistrationDomains []string `json:"registration_domains,omitempty"`

	// The usernames of accounts that become administrators when the server starts.
	// Nobody becomes one by registering such a name: that takes another start, or a
	// reload. Default: none.
	Admin []string `json:"admin,omitempty"`

	// The addresses of NATS servers, `nats://host:port` or, with TLS,
	// `tls://host:port`, that tell the nodes that share a PostgreSQL database at once
	// what the others have written, and who is online and typing. They are those of
	// one cluster, and any of them will do. They may hold placeholders; a password or
	// a token must be one. Default: PostgreSQL itself tells the nodes, but not who is
	// online and typing.
	Bus []string `json:"bus,omitempty"`

	// A file with the credentials that the NATS servers ask for: a user's JWT and
	// seed, as `nsc` makes it, or the seed of an nkey.
	BusCredentials string `json:"bus_credentials,omitempty"`

	// A file with the certificates of the authorities that sign those of the NATS
	// servers. Default: those that the system trusts.
	BusCA string `json:"bus_ca,omitempty"`

	// A file with the certificate that is shown to NATS servers that ask for one.
	BusCertificate string `json:"bus_certificate,omitempty"`

	// A file with the key of that certificate.
	BusKey string `json:"bus_key,omitempty"`

	// The address that people know the site by, `https://chat.example.com`: mails link
	// to it. It is never taken from a request, which anybody may write as they like.
	// Default: mails have no links.
	PublicURL string `json:"public_url,omitempty"`

	// By which mail server mails are sent. Default: none are, and what needs them is
	// refused.
	SMTP *SMTP `json:"smtp,omitempty"`

	// How long the open connections may take to end when the server ends, or when
	// its configuration does not name the database any more. They end one after
	// another within that time, so that not all clients come back at once. 0 ends
	// them at once. Default: 5 seconds.
	ShutdownDelay *caddy.Duration `json:"shutdown_delay,omitempty"`

	// How long events are kept for clients that come back: who was away for longer
	// has to fetch anew what there is. Below 0, they are kept for ever. Default: 30
	// days.
	EventRetention caddy.Duration `json:"event_retention,omitempty"`

	// How many open connections somebody may have to this server. Below 0, there is
	// no limit. Default: 50.
	ConnectionsPerUser int `json:"connections_per_user,omitempty"`

	// How many open connections may come from one address. Below 0, there is no
	// limit. Default: 2000.
	ConnectionsPerAddress int `json:"connections_per_address,omitempty"`

	// How often something may be done, by an account or from an address, as
	// `<events>/<duration> [<burst>]` or `off`: `{"sends": "20/1s 100"}`. The limits
	// are `sign_in` (tries that fail), `sign_in_address`, `registration_address`,
	// `reset`, `reset_address`, `sends`, `sends_address`, `search`, `search_address`,
	// `connects`, `connects_address`, `exports`, `changes` and `notices`. Default: rates that nobody meets
	// who does nothing but write to people.
	RateLimits map[string]string `json:"rate_limits,omitempty"`

	ctx      caddy.Context
	rates    map[limit.Name]limit.Rate
	database store.Options   // resolved: it holds the password
	identity string          // of the database
	bus      bus.NATSOptions // resolved: it may hold a password, too
	mail     mailOptions     // resolved: it holds a password
	secrets  []string        // resolved; without any, it is to be found in the storage
	domains  []string        // resolved: as addresses are compared with them
	backend  *backend
	app      *App

	// start opens the database, once, when Caddy really starts.
	start func() (http.Handler, error)
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.messaging",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision sets the handler up. It touches no database and no storage: it
// runs under `caddy validate`, too.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.ctx = ctx
	h.start = sync.OnceValues(h.open)
	h.setDefaults()
	if err := h.resolve(); err != nil {
		return err
	}
	value, _, err := backends.LoadOrNew(h.identity, func() (caddy.Destructor, error) { return newBackend(h.identity), nil })
	if err != nil {
		return err
	}
	h.backend = value.(*backend)
	if err := h.backend.metrics.register(ctx.GetMetricsRegistry()); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	app, err := ctx.App("messaging")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	h.app.add(h)
	return nil
}

// Defaults that a command goes by, too.
const (
	standardPasswordMinLength = 8
	standardBcryptCost        = 12
)

func (h *Handler) setDefaults() {
	if h.API == "" {
		h.API = standardAPI
	}
	if h.Database == "" {
		h.Database = filepath.Join(caddy.AppDataDir(), "messaging.db")
	}
	if h.SessionLifetime == 0 {
		h.SessionLifetime = caddy.Duration(30 * 24 * time.Hour)
	}
	if h.PasswordMinLength == 0 {
		h.PasswordMinLength = max(1, apis[h.API].passwordMinLength) // of an unknown one, nothing matters
	}
	if h.BcryptCost == 0 {
		h.BcryptCost = standardBcryptCost
	}
	if h.BasicAuth == "" {
		h.BasicAuth = "off"
	}
	if h.Registration == "" {
		h.Registration = "open"
	}
	if h.ShutdownDelay == nil {
		h.ShutdownDelay = new(caddy.Duration(5 * time.Second))
	}
	if h.EventRetention == 0 {
		h.EventRetention = caddy.Duration(30 * 24 * time.Hour)
	}
	if h.ConnectionsPerUser == 0 {
		h.ConnectionsPerUser = 50
	}
	if h.ConnectionsPerAddress == 0 {
		h.ConnectionsPerAddress = 2000
	}
}

// resolve replaces the placeholders. Secrets stay in unexported fields, which
// the admin API does not show.
func (h *Handler) resolve() error {
	database, err := resolvePlaceholders("database", h.Database)
	if err != nil {
		return err
	}
	h.database = store.Options{Database: database, Readers: h.DatabaseReaders, Writers: h.DatabaseWriters}
	if err := h.database.Validate(); err != nil {
		return err
	}
	if writtenPassword(h.Database) {
		return errors.New("database: a password that is written here is shown by Caddy's admin API; put it, or the whole address, into an environment variable: database {env.DATABASE_URL}")
	}
	if h.identity, err = store.Identity(database); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := h.resolveBus(); err != nil {
		return err
	}
	if err := h.resolveMail(); err != nil {
		return err
	}
	if h.rates, err = parseRateLimits(h.RateLimits); err != nil {
		return err
	}
	h.secrets, err = h.SessionSecret.resolve()
	return err
}

// Validate checks what the configuration says.
func (h *Handler) Validate() error {
	if err := h.validateAPI(); err != nil {
		return err
	}
	for _, secret := range h.secrets {
		if len(secret) < auth.MinSecretLength {
			return fmt.Errorf("session_secret: one has %d bytes, and needs at least %d; make one with: openssl rand -base64 32",
				len(secret), auth.MinSecretLength)
		}
	}
	if h.SessionLifetime < caddy.Duration(time.Minute) {
		return fmt.Errorf("session_lifetime: %s is shorter than a minute", time.Duration(h.SessionLifetime))
	}
	if h.PasswordMinLength < 1 || h.PasswordMinLength > auth.MaxPasswordLength {
		return fmt.Errorf("password_min_length: %d is not between 1 and %d", h.PasswordMinLength, auth.MaxPasswordLength)
	}
	if h.BcryptCost < bcrypt.MinCost || h.BcryptCost > bcrypt.MaxCost {
		return fmt.Errorf("bcrypt_cost: %d is not between %d and %d", h.BcryptCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	if h.BasicAuth != "on" && h.BasicAuth != "off" {
		return fmt.Errorf("basic_auth: %q is neither on nor off", h.BasicAuth)
	}
	if err := h.validateRegistration(); err != nil {
		return err
	}
	if *h.ShutdownDelay < 0 {
		return fmt.Errorf("shutdown_delay: %s is below 0", time.Duration(*h.ShutdownDelay))
	}
	if least := min(h.ConnectionsPerUser, h.ConnectionsPerAddress); least < -1 {
		return fmt.Errorf("connections_per_user, connections_per_address: %d is neither a number from 1 nor -1, which is no limit", least)
	}
	if h.EventRetention < -1 || h.EventRetention > 0 && h.EventRetention < caddy.Duration(time.Minute) {
		return fmt.Errorf("event_retention: %s is shorter than a minute", time.Duration(h.EventRetention))
	}
	for _, name := range h.Admin {
		if _, _, err := chat.PrepareUsername(name); err != nil {
			return fmt.Errorf("admin: %q is no username", name)
		}
	}
	return nil
}

func (h *Handler) validateRegistration() error {
	mode := auth.RegistrationMode(h.Registration)
	switch {
	case !slices.Contains(auth.RegistrationModes(), mode):
		return fmt.Errorf("registration: %q is none of open, closed, invitation and domains", h.Registration)
	case mode != auth.RegistrationDomains && len(h.RegistrationDomains) > 0:
		return fmt.Errorf("registration: domains are named, but it is %s", mode)
	case mode == auth.RegistrationDomains && len(h.RegistrationDomains) == 0:
		return errors.New("registration: domains need to be named, as in: registration domains example.com")
	}
	h.domains = nil
	for _, name := range h.RegistrationDomains {
		domain, err := auth.ParseDomain(name)
		if err != nil {
			return fmt.Errorf("registration: %w", err)
		}
		h.domains = append(h.domains, domain)
	}
	if mode == auth.RegistrationDomains && h.SMTP == nil {
		return errors.New("registration: who has an address shows that by a mail: domains need smtp")
	}
	return nil
}

// open opens the database and makes the API over it.
func (h *Handler) open() (http.Handler, error) {
	err := h.backend.open(h.ctx, h.app.options[h.backend])
	if err != nil {
		return nil, err
	}
	secrets := h.secrets
	if len(secrets) == 0 {
		secret, err := storedSecret(h.ctx, h.ctx.Storage())
		if err != nil {
			return nil, fmt.Errorf("session secret: %w", err)
		}
		secrets = []string{secret}
	}
	cookies, err := auth.NewCookies(secrets...)
	if err != nil {
		return nil, err
	}
	rules, log := h.backend.rules, h.backend.log
	var wakeMailing func()
	if h.app.options[h.backend].mail.sender != nil {
		wakeMailing = h.backend.wakeMailing
	}
	options := auth.Options{
		Cookies:           cookies,
		Limits:            h.backend.limits,
		BasicAuth:         h.BasicAuth == "on",
		Basics:            h.backend.basics,
		SessionLifetime:   time.Duration(h.SessionLifetime),
		PasswordMinLength: h.PasswordMinLength,
		Registration:      auth.RegistrationMode(h.Registration),
		Domains:           h.domains,
		TrustUserIDs:      h.InsecureTrustUserIDs,
		WakeMailing:       wakeMailing,
		SiteName:          h.app.options[h.backend].mail.siteName(),
	}
	speaks := apis[h.API]
	speaks.accounts(&options)
	accounts := auth.New(h.backend.store, rules, auth.NewHasher(h.backend.hashing, h.BcryptCost), options, log)
	return speaks.open(dialect.Options{
		Chat: rules, Auth: accounts, Log: log, Hub: h.backend.hub, TrustUserIDs: h.InsecureTrustUserIDs,
		// Below 0 is no limit.
		Limits: live.Limits{PerUser: max(0, h.ConnectionsPerUser), PerAddress: max(0, h.ConnectionsPerAddress), Rates: h.backend.limits},
	})
}

// backendOptions are those that the handler has in common with others.
func (h *Handler) backendOptions() *backendOptions {
	return &backendOptions{
		store: h.database, bus: h.bus, mail: h.mail, shutdownDelay: time.Duration(*h.ShutdownDelay),
		eventRetention: max(0, time.Duration(h.EventRetention)), // below 0 is for ever
		rates:          h.rates,
		admins:         h.Admin, log: h.ctx.Slogger(),
	}
}

// Cleanup gives the backend back. It also runs after a Provision that failed.
func (h *Handler) Cleanup() error {
	if h.backend == nil {
		return nil
	}
	_, err := backends.Delete(h.identity)
	return err
}

// ServeHTTP answers requests for the API's paths and hands on all others.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	speaks := apis[h.API]
	if !speaks.owns(r.URL.Path) {
		return next.ServeHTTP(w, r)
	}
	if !h.backend.acquire() {
		speaks.fail(w, r, h.ctx.Slogger(), fmt.Errorf("%w: it is closed", store.ErrUnavailable))
		return nil
	}
	defer func() {
		if err := h.backend.release(); err != nil {
			h.ctx.Slogger().ErrorContext(r.Context(), "release database", "error", err)
		}
	}()
	// Caddy starts its apps in no certain order: the server may be up first.
	api, err := h.start()
	if err != nil {
		speaks.fail(w, r, h.ctx.Slogger(), fmt.Errorf("%w: %w", store.ErrUnavailable, err))
		return nil
	}

	ctx, cancel := context.WithCancel(auth.WithRequest(r.Context(), requestFacts(r)))
	defer cancel()
	response := &statusWriter{ResponseWriter: w}
	defer endAtExit(response, cancel)()

	r = r.WithContext(ctx)
	h.backend.metrics.open.Inc()
	defer func() {
		h.backend.metrics.open.Dec()
		h.backend.metrics.requests.WithLabelValues(routeLabel(r.Pattern), statusLabel(response.status)).Inc()
	}()
	api.ServeHTTP(response, r)
	return nil
}

// requestFacts asks Caddy what it knows of a request.
func requestFacts(r *http.Request) auth.Request {
	facts := auth.Request{Secure: r.TLS != nil, UserAgent: r.UserAgent()}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		facts.ID, _ = repl.GetString("http.request.uuid")
	}
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		facts.ClientIP, _ = netip.ParseAddr(ip) // the zero Addr says that it is unknown
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		facts.Secure = facts.Secure || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		if folder, ok := strings.CutSuffix(original.URL.Path, r.URL.Path); ok {
			facts.Folder = folder
		}
	}
	return facts
}

// statusWriter notes the status of a response. Its Unwrap lets
// http.ResponseController find Caddy's own writer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
