package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// usedEvery is how exact the time is at which a session was last used, and the address
// and the device are it was used from: a write a request would cost more than it tells.
const usedEvery = 5 * time.Minute

// usesRest is for how long no use is noted after that has failed: who only reads does
// not wait each time for a database that can't write.
const usesRest = time.Minute

// maxUses is how many uses are remembered.
const maxUses = 10_000

// uses are those that this process has noted last, or is about to: of requests that come
// at once, of which each has found the use before, one writes. It may forget: then there
// is a write more.
type uses struct {
	mu   sync.Mutex
	last map[int64]use // by the session
}

type use struct{ at, expires time.Time }

func (u *uses) forget(sessionID int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.last, sessionID)
}

// noteUse tells whether the use of a session is to be written, and what: its time and,
// for one that slides, by how much it is extended.
func (s *Service) noteUse(session store.Session, now time.Time) (noted store.Session, extended time.Duration, due bool) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	last := s.uses.last[session.ID]
	if last.at.Before(session.UsedAt) {
		last.at = session.UsedAt
	}
	if last.expires.Before(session.ExpiresAt) {
		last.expires = session.ExpiresAt
	}
	due = now.Sub(last.at) >= usedEvery && now.UnixMicro() >= s.usesFrom.Load()
	// Sliding, but a write for that only once in a hundredth of the lifetime.
	lifetime := s.opts.SessionLifetime
	if expires := now.Add(lifetime); session.Slides() && expires.Sub(last.expires) >= lifetime/100 {
		session.ExpiresAt, last.expires, extended, due = expires, expires, lifetime, true
	}
	if !due {
		return session, 0, false
	}
	if s.uses.last == nil || len(s.uses.last) >= maxUses {
		s.uses.last = map[int64]use{}
	}
	session.UsedAt, last.at = now, now
	s.uses.last[session.ID] = last
	return session, extended, true
}

// Sessions lists where the caller is signed in, by id: of one kind, if it is not
// empty. It returns Forbidden to whoever comes by a key.
func (s *Service) Sessions(ctx context.Context, caller chat.Caller, kind string, limit, offset int) (sessions []store.Session, err error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return nil, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		sessions, err = tx.ListSessionsOf(caller.UserID, kind, s.now(), limit, offset)
		return err
	})
	return sessions, err
}

// Session finds a session of the caller's. It returns Forbidden to whoever comes by a
// key, and NotFound for the session of somebody else as for none.
func (s *Service) Session(ctx context.Context, caller chat.Caller, id int64) (session store.Session, err error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return store.Session{}, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		session, err = tx.FindSession(id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Session{}, errNoSuchSession()
	case err != nil:
		return store.Session{}, err
	case session.UserID != caller.UserID, !s.now().Before(session.ExpiresAt):
		return store.Session{}, errNoSuchSession()
	}
	return session, nil
}

// EndSession ends a session of the caller's at once, whatever its kind, and tells
// whether it is the caller's own and held by a cookie, which should go. It returns
// what Session does.
func (s *Service) EndSession(ctx context.Context, caller chat.Caller, id int64) (cookie bool, err error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return false, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := lockSessionsOf(tx, caller); err != nil {
			return refuseUnknown(err)
		}
		if cookie, err = heldByCookie(tx, caller, id); err != nil {
			return err
		}
		err := tx.DeleteSession(caller.UserID, id)
		if errors.Is(err, store.ErrNotFound) {
			return errNoSuchSession()
		}
		if err != nil {
			return err
		}
		if err := chat.AppendSessionEnded(tx, id, caller.UserID, caller.UserID, s.now()); err != nil {
			return err
		}
		return s.chat.Audit(tx, caller, chat.AuditEntry{Action: chat.UserSessionsEnded, UserID: caller.UserID})
	})
	if err != nil {
		return false, err
	}
	return cookie, nil
}

// EndSessions ends all sessions of the caller's at once, keys too; but for the one that
// the caller comes by, if only the others are to end. It tells what EndSession does,
// and returns Forbidden to whoever comes by a key.
func (s *Service) EndSessions(ctx context.Context, caller chat.Caller, others bool) (cookie bool, err error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return false, err
	}
	but := int64(0)
	if others {
		but = caller.SessionID
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if err := lockSessionsOf(tx, caller); err != nil {
			return refuseUnknown(err)
		}
		cookie = false
		if !others {
			if cookie, err = heldByCookie(tx, caller, caller.SessionID); err != nil {
				return err
			}
		}
		if err := chat.EndSessionsOf(tx, caller.UserID, but, caller.UserID, s.now()); err != nil {
			return err
		}
		return s.chat.Audit(tx, caller, chat.AuditEntry{Action: chat.UserSessionsEnded, UserID: caller.UserID})
	})
	if err != nil {
		return false, err
	}
	return cookie, nil
}

// lockSessionsOf keeps others from opening sessions of the caller's until the Update has
// ended. What opens one locks the account, too: it has done so before sessions are ended,
// which then ends that one as well, or finds those ended by which it came.
func lockSessionsOf(tx *store.Tx, caller chat.Caller) error {
	_, err := tx.LockUser(caller.UserID)
	return err
}

// heldByCookie tells whether a session is the one that the caller comes by, and held by
// a cookie.
func heldByCookie(tx *store.Tx, caller chat.Caller, id int64) (bool, error) {
	if id != caller.SessionID {
		return false, nil
	}
	session, err := tx.FindSession(id)
	if errors.Is(err, store.ErrNotFound) { // ended meanwhile
		return false, nil
	}
	return session.Kind == store.CookieSession, err
}

// errNoSuchSession answers for a session of others and for one that does not exist
// alike, so that nobody can find out which there are.
func errNoSuchSession() *chat.Error {
	return &chat.Error{Kind: chat.NotFound, Code: "session_not_found", Message: "You have no such session."}
}
