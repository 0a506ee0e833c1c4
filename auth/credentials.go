package auth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// Identify finds out who sends a request, by what it shows: a token or, where the site
// takes that, a username and password in the header Authorization, a token in
// X-API-Key, or the session cookie. The first of these that is there counts, good or
// not. If Identify returns a cookie, the answer should set it: the session has been
// extended, or its cookie was made with an old secret. The errors are those of
// [Service.Authenticate] and, for a password, those of [Service.Login], but for
// BadCredentials, which is Unauthenticated here.
func (s *Service) Identify(r *http.Request) (chat.Caller, *http.Cookie, error) {
	ctx := r.Context()
	switch scheme, value := authorization(r); {
	case scheme == "bearer", scheme == "token":
		caller, err := s.Bearer(ctx, value)
		return caller, nil, err
	case scheme == "basic" && s.opts.BasicAuth:
		caller, err := s.Basic(r)
		return caller, nil, err
	}
	if key := r.Header.Get("X-Api-Key"); key != "" {
		caller, err := s.Bearer(ctx, key)
		return caller, nil, err
	}
	secure := RequestOf(ctx).Secure
	token, stale := s.opts.Cookies.Token(r, secure)
	caller, extended, err := s.Authenticate(ctx, token)
	if stale && extended == 0 {
		extended = s.opts.SessionLifetime // almost: it has been extended lately
	}
	if err != nil || extended == 0 {
		return caller, nil, err
	}
	cookie, err := s.opts.Cookies.Set(token, extended, secure)
	return caller, cookie, err
}

// authorization reads the header: the scheme in lower case, and what stands behind it.
func authorization(r *http.Request) (scheme, value string) {
	scheme, value, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.ToLower(scheme), strings.TrimSpace(value)
}

// TakesBasic tells whether [Service.Identify] takes a username and password.
func (s *Service) TakesBasic() bool { return s.opts.BasicAuth }

// toUnauthenticated turns the refusal of a password that came in the header Authorization:
// who sends it is told, as everywhere that header is read, that they are not signed in.
func toUnauthenticated(err error) error {
	if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.BadCredentials {
		return &chat.Error{Kind: chat.Unauthenticated, Code: refusal.Code, Message: refusal.Message}
	}
	return err
}

// refuseUnknown refuses a session that there is not.
func refuseUnknown(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errUnauthenticated()
	}
	return err
}
