// Package auth finds out who is calling: passwords, sessions, cookies.
package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// Options are what a site decides about its accounts.
type Options struct {
	// Limits bound how often one tries; nil does not.
	Limits *limit.Limiter
	// Cookies carry the sessions of browsers.
	Cookies *Cookies
	// BasicAuth takes a username and password with each request, too.
	BasicAuth bool
	// Basics remembers which were right. Default: one of its own.
	Basics *Basics
	// SessionLifetime is how long a session lives after it was last used.
	SessionLifetime time.Duration
	// PasswordMinLength is the shortest new password, in characters.
	PasswordMinLength int
	// Registration says who may make an account.
	Registration RegistrationMode
	// Domains are those of [RegistrationDomains], as [ParseDomain] returns them.
	Domains []string
	// AllowCommonPasswords takes the most common passwords too, and that which is the
	// username: for the APIs of other systems, which know no such rule.
	AllowCommonPasswords bool
	// SiteName is the host that people know the site by, which is no good password
	// there; empty if it is unknown.
	SiteName string
	// SignInByEmail takes the e-mail address of an account in place of its username.
	SignInByEmail bool
	// NoPages says that the site has none of v1's pages: a mail leads to none, and whoever
	// registers does not show that they read what is sent to their address.
	NoPages bool
	// ResetAt is the path to which a program sends the token of a mail that resets a
	// password, where there are no pages.
	ResetAt string
	// PlainTokens are what [Service.SignInPlain] makes.
	PlainTokens PlainTokens
	// TrustUserIDs has [Service.Trust] believe whoever names a user.
	TrustUserIDs bool
	// WakeMailing is called when a mail has been queued; nil if the site can send none.
	WakeMailing func()
}

// Service answers who is calling, for one site.
type Service struct {
	store  *store.Store
	chat   *chat.Service
	hasher *Hasher
	opts   Options
	log    *slog.Logger
	now    func() time.Time
	// refusals keeps the log from growing by a line for each try too many.
	refusals Seldom
	// usesFrom is from when on the use of sessions is noted, in microseconds.
	usesFrom atomic.Int64
	uses     uses
}

// New makes a Service.
func New(s *store.Store, c *chat.Service, h *Hasher, opts Options, log *slog.Logger) *Service {
	if opts.Basics == nil {
		opts.Basics = NewBasics()
	}
	return &Service{store: s, chat: c, hasher: h, opts: opts, log: log, now: time.Now}
}

// Cookies are what the sessions of browsers are carried by.
func (s *Service) Cookies() *Cookies { return s.opts.Cookies }

// Session is a session as its owner holds it.
type Session struct {
	// Token is the secret that names the session.
	Token []byte
	// Lifetime is how long it lives from now on.
	Lifetime time.Duration
	User     chat.User
	// Device is for the device cookie of the browser.
	Device []byte
}

// tokenLength is in bytes; 256 bits can't be guessed.
const tokenLength = 32

// Login checks a password and opens a session. The session that the caller
// came with, if any, ends. It returns BadCredentials for a wrong password and
// for an unknown user, after the same time: that of the site's bcrypt cost. (A
// hash that was made at another cost takes another time.) It returns Forbidden to
// whoever knows the password of an account that was deactivated.
func (s *Service) Login(ctx context.Context, username, password string, previous []byte) (Session, error) {
	ctx = withDevice(ctx)
	user, err := s.verify(ctx, username, password)
	if err != nil {
		return Session{}, err
	}
	token := make([]byte, tokenLength)
	rand.Read(token)
	_, err = s.open(ctx, user, store.Session{Kind: store.CookieSession, TokenHash: hashToken(token)}, previous)
	if err != nil {
		return Session{}, err
	}
	return Session{Token: token, Lifetime: s.opts.SessionLifetime, User: user, Device: RequestOf(ctx).device()}, nil
}

// verify finds the user who has a username and a password. Every way to sign in with a
// password comes by here. It returns BadCredentials, TooMany after too many tries that
// failed, or too many at once, and what [Hasher.Verify] does.
func (s *Service) verify(ctx context.Context, username, password string) (chat.User, error) {
	user, account, from, err := s.findSigner(ctx, username)
	if err != nil {
		return chat.User{}, err
	}
	// Before it counts: who has many passwords hashed at once uses up no tries by it.
	held, err := s.hasher.queue.hold(ctx, from.kind()+account)
	if err != nil {
		return chat.User{}, err
	}
	taken, err := s.admit(ctx, account, from)
	if err != nil {
		held.release()
		return chat.User{}, err
	}
	// An unknown user has the empty hash, which takes as long to refuse.
	ok, err := s.hasher.verify(ctx, held, user.PasswordHash, password)
	if ok || chat.AsError(err) != nil { // which says that it was not tried
		s.giveBack(ctx, taken)
	}
	if err != nil {
		return chat.User{}, err
	}
	if !ok {
		// Not what was typed as the username: it may have been a password.
		s.log.WarnContext(ctx, "login failed", "user_id", user.ID, "client_ip", RequestOf(ctx).ClientIP)
		s.auditFailure(ctx, user.ID)
		return chat.User{}, errBadCredentials()
	}
	return user, nil
}

func errBadCredentials() *chat.Error {
	return &chat.Error{
		Kind: chat.BadCredentials, Code: "bad_credentials", Message: "The username or the password is wrong.",
	}
}

// auditFailure notes that somebody could not sign in to an account, or to none, as
// which nothing is noted of what was typed. There are no more of these than
// passwords are hashed. If it can't be noted, the answer is still the refusal.
func (s *Service) auditFailure(ctx context.Context, userID int64) {
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		return s.chat.Audit(tx, chat.Caller{Address: addressOf(ctx)},
			chat.AuditEntry{Action: chat.UserSignInFailed, UserID: userID})
	})
	if err != nil {
		s.log.WarnContext(ctx, "failed login not noted in the audit log", "error", err)
	}
}

// open opens a session of whoever has shown to be a user: of the kind and with the
// tokens that it has already. The session that the caller came with, if any, ends. It
// returns BadCredentials if the account has another password by now, and Forbidden if
// it was deactivated. Of the kinds basic and trusted an account has one session: if it has, that is
// returned, and nobody has signed in.
func (s *Service) open(ctx context.Context, user chat.User, wanted store.Session, previous []byte) (store.Session, error) {
	return s.openBy(ctx, user, wanted, previous, chat.Caller{})
}

// openBy is open for a caller: who has shown to be the user by a session, or acts on
// behalf of them. It returns Unauthenticated if the caller's session has ended by now: who
// is signed out while their request is on its way leaves no session behind.
func (s *Service) openBy(ctx context.Context, user chat.User, wanted store.Session, previous []byte, by chat.Caller) (store.Session, error) {
	// Where another caller is, or whoever names a user, the owner has not been.
	arrives := wanted.Kind != store.TrustedSession && (by.UserID == 0 || by.UserID == user.ID)
	var session store.Session
	reused := false
	err := s.updateAndMail(ctx, func(tx *store.Tx) error {
		session, reused = wanted, false // it may be tried again
		// The password was checked a while ago. What has become of the account since
		// then may have ended its sessions, and must not leave a new one.
		current, err := tx.LockUser(user.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return errBadCredentials() // deleted
		case err != nil:
			return err
		case current.PasswordHash != user.PasswordHash:
			return errBadCredentials()
		case !current.DeactivatedAt.IsZero():
			return &chat.Error{
				Kind: chat.Forbidden, Code: "account_deactivated", Message: "This account has been deactivated.",
			}
		}
		if by.SessionID != 0 {
			if _, err := tx.FindSession(by.SessionID); err != nil {
				return refuseUnknown(err)
			}
		}
		if arrives {
			if err := s.arrive(ctx, tx, current, session.Kind); err != nil {
				return err
			}
		}
		now := s.now()
		if session.Kind == store.BasicSession || session.Kind == store.TrustedSession {
			if reused, err = findOnly(tx, user.ID, now, &session); err != nil || reused {
				return err
			}
		}
		// A few a time: as fast as sessions are made, they go.
		if err := tx.DeleteExpiredSessions(now, 10); err != nil {
			return err
		}
		if err := s.end(tx, previous); err != nil {
			return err
		}
		session.UserID, session.CreatedAt = user.ID, now
		if session.ExpiresAt.IsZero() {
			session.ExpiresAt = now.Add(s.opts.SessionLifetime)
		}
		session.UserAgent, session.Address = userAgentOf(ctx), addressOf(ctx)
		if err := tx.CreateSession(&session); err != nil {
			return err
		}
		if err := endLeastUsed(tx, session, now); err != nil {
			return err
		}
		if session.Kind == store.TrustedSession { // as whom anybody could have come
			return nil
		}
		actor := chat.Caller{UserID: cmp.Or(by.UserID, user.ID), Address: addressOf(ctx)}
		return s.chat.Audit(tx, actor, chat.AuditEntry{Action: chat.UserSignedIn, UserID: user.ID})
	})
	if err != nil || reused || !arrives {
		return session, err
	}
	s.log.InfoContext(ctx, "user logged in", "user_id", user.ID, "client_ip", RequestOf(ctx).ClientIP)
	return session, nil
}

// Logout ends the session that a caller comes by at once, whatever its kind, and tells
// whether it is one that a cookie holds. It returns Forbidden to whoever comes by a key.
func (s *Service) Logout(ctx context.Context, caller chat.Caller) (byCookie bool, err error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return false, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		var session store.Session
		err := lockSessionsOf(tx, caller)
		if err == nil {
			session, err = tx.FindSession(caller.SessionID)
		}
		if err == nil {
			err = tx.DeleteSession(caller.UserID, caller.SessionID)
		}
		byCookie = session.Kind == store.CookieSession
		if errors.Is(err, store.ErrNotFound) { // it has ended meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		return chat.AppendSessionEnded(tx, caller.SessionID, caller.UserID, caller.UserID, s.now())
	})
	return byCookie, err
}

// end ends a session, if there is such a one.
func (s *Service) end(tx *store.Tx, token []byte) error {
	id, userID, err := tx.DeleteSessionByTokenHash(hashToken(token))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return chat.AppendSessionEnded(tx, id, userID, userID, s.now())
}

// Authenticate finds who holds a session. If it returns a lifetime, the
// session has been extended, and its cookie should be. It returns
// Unauthenticated for a session that does not exist, was ended or has expired, and
// for that of an account that was deactivated.
func (s *Service) Authenticate(ctx context.Context, token []byte) (caller chat.Caller, extended time.Duration, err error) {
	if len(token) == 0 {
		return chat.Caller{}, 0, errUnauthenticated()
	}
	var session store.Session
	err = s.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		session, err = tx.FindSessionByTokenHash(hashToken(token))
		return err
	})
	if err != nil {
		return chat.Caller{}, 0, refuseUnknown(err)
	}
	return s.use(ctx, session)
}

// use is what [Service.Authenticate] does with the session that it has found.
func (s *Service) use(ctx context.Context, session store.Session) (caller chat.Caller, extended time.Duration, err error) {
	now := s.now()
	if caller, err = chat.CallerOf(session, now); err != nil {
		return chat.Caller{}, 0, err
	}
	caller.Address = addressOf(ctx)
	session, extended, due := s.noteUse(session, now)
	if !due {
		return caller, 0, nil
	}
	session.UserAgent, session.Address = userAgentOf(ctx), addressOf(ctx)
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := tx.TouchSession(session); err != nil {
			return err
		}
		// A place that they come back to is one to be known for long.
		device, network := placeOf(ctx).hashes(session.UserID)
		return tx.TouchPlaces(session.UserID, now, device, network)
	})
	if err != nil {
		s.uses.forget(session.ID)
	}
	switch {
	case errors.Is(err, store.ErrNotFound): // ended meanwhile
		return chat.Caller{}, 0, errUnauthenticated()
	case errors.Is(err, store.ErrUnavailable):
		// Reading still works, and the session is good for now.
		s.usesFrom.Store(now.Add(usesRest).UnixMicro())
		s.log.WarnContext(ctx, "the use of a session is not noted, nor is it extended", "error", err)
		return caller, 0, nil
	}
	return caller, extended, err
}

// Bearer is Authenticate for a token as it is shown in a header.
func (s *Service) Bearer(ctx context.Context, token string) (chat.Caller, error) {
	if !isBearer(token) && !(s.opts.PlainTokens.Hex && isHex(token)) {
		return chat.Caller{}, errUnauthenticated()
	}
	caller, _, err := s.Authenticate(ctx, []byte(token))
	return caller, err
}

func errUnauthenticated() *chat.Error {
	return &chat.Error{Kind: chat.Unauthenticated, Code: "unauthenticated", Message: "Sign in first."}
}

// hashToken is what the store keeps of a token: whoever reads the database
// can't sign in with it. The token is random, so a plain hash will do.
func hashToken(token []byte) []byte {
	sum := sha256.Sum256(token)
	return sum[:]
}

// checkNewPassword tells what is wrong with a password that somebody wants for the
// account of that name.
func (s *Service) checkNewPassword(password, username string) error {
	refuse := func(code, message string) error {
		return &chat.Error{Kind: chat.Invalid, Code: code, Field: "password", Message: message}
	}
	switch {
	case password == "":
		return refuse("password_missing", "A password is required.")
	case len([]rune(password)) < s.opts.PasswordMinLength:
		return refuse("password_too_short",
			"A password has at least "+strconv.Itoa(s.opts.PasswordMinLength)+" characters.")
	case len(password) > MaxPasswordLength:
		return refuse("password_too_long",
			"A password has at most "+strconv.Itoa(MaxPasswordLength)+" bytes.")
	case strings.Contains(password, "\x00"):
		return refuse("password_invalid", "A password has no NUL in it.")
	case s.opts.AllowCommonPasswords:
		return nil
	case isCommon(password, s.opts.SiteName):
		return refuse("password_too_common", "This password is one of those that are guessed first.")
	case isUsername(password, username):
		return refuse("password_too_common", "The password is the username.")
	}
	return nil
}
