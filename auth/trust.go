package auth

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// Trust takes whoever names a user for that user, on a site that asks for it: it finds
// or opens the session that stands for all who do so. It returns Unauthenticated on any
// other site, NotFound if there is no such user, and Forbidden if the account has been
// deactivated.
func (s *Service) Trust(ctx context.Context, userID int64) (chat.Caller, error) {
	if !s.opts.TrustUserIDs {
		return chat.Caller{}, errUnauthenticated()
	}
	session := store.Session{Kind: store.TrustedSession}
	var user chat.User
	var found bool
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		if user, err = tx.FindUserByID(userID); err != nil {
			return err
		}
		if !user.DeletedAt.IsZero() {
			return store.ErrNotFound
		}
		found, err = findOnly(tx, userID, s.now(), &session)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return chat.Caller{}, &chat.Error{Kind: chat.NotFound, Code: "user_not_found", Message: "There is no such user."}
	}
	if err != nil {
		return chat.Caller{}, err
	}
	if !found || !user.DeactivatedAt.IsZero() { // who was deactivated hears of it by open
		token := make([]byte, tokenLength) // that nobody holds
		rand.Read(token)
		session.TokenHash = hashToken(token)
		if session, err = s.open(ctx, user, session, nil); err != nil {
			return chat.Caller{}, err
		}
		session.Username, session.Admin = user.Username, user.Admin
	}
	caller, _, err := s.use(ctx, session)
	caller.Trusted = true
	return caller, err
}

// TrustNobody is Trust for who names no user. It returns Unauthenticated on a site that
// does not trust ids.
func (s *Service) TrustNobody(ctx context.Context) (chat.Caller, error) {
	if !s.opts.TrustUserIDs {
		return chat.Caller{}, errUnauthenticated()
	}
	return chat.Caller{Address: addressOf(ctx), Trusted: true}, nil
}
