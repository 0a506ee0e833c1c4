package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// ChangePassword gives the caller another password, and ends all their sessions but
// this one. It returns Invalid for the new password, BadCredentials for the current
// one, and what [Service.Login] does to who tries too often.
func (s *Service) ChangePassword(ctx context.Context, caller chat.Caller, current, password string) error {
	if err := caller.Require(chat.AccountScope); err != nil {
		return err
	}
	// First, as it costs nothing: who mistypes the new one has not used up a try.
	if err := s.checkNewPassword(password, caller.Username); err != nil {
		return err
	}
	user, err := s.confirm(ctx, caller, current, "current_password")
	if err != nil {
		return err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.updateAndMail(ctx, func(tx *store.Tx) error {
		before, err := lockConfirmed(tx, user, "current_password")
		if err != nil {
			return err
		}
		but := caller.SessionID
		switch this, err := tx.FindSession(but); {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		case this.Kind == store.BasicSession:
			but = 0 // it stands for the password that it came by
		}
		return s.setPassword(ctx, tx, before, store.UserChange{PasswordHash: &hash}, but, chat.UserPasswordChanged)
	})
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "password changed", "user_id", user.ID, "client_ip", RequestOf(ctx).ClientIP)
	return nil
}

// setPassword is the change of an account, which is locked, by which it gets another
// password. It ends all sessions but one, or all if that is 0.
func (s *Service) setPassword(ctx context.Context, tx *store.Tx, before chat.User, c store.UserChange, but int64, action string) error {
	now := s.now()
	after, err := chat.ChangeUser(tx, before, c, before.ID, now)
	if err != nil {
		return err
	}
	if err := chat.EndSessionsOf(tx, before.ID, but, before.ID, now); err != nil {
		return err
	}
	// Whoever knew the one before may have been there, and is a stranger now.
	if err := tx.DeletePlacesOf(before.ID); err != nil {
		return err
	}
	if err := placeOf(ctx).note(tx, before.ID, now); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, mail.PasswordChanged, after, after.Email); err != nil {
		return err
	}
	return s.chat.Audit(tx, chat.Caller{UserID: before.ID, Address: addressOf(ctx)}, chat.AuditEntry{Action: action, UserID: before.ID})
}

// tell has the owner of an account told, at an address, what has been done just now. If
// there is no address, nobody is.
func (s *Service) tell(ctx context.Context, tx *store.Tx, kind mail.Kind, user chat.User, address string) error {
	if address == "" {
		return nil
	}
	return s.queueMail(tx, kind, mail.Facts{Username: user.Username, Address: addressOf(ctx), At: s.now()},
		store.Mail{UserID: user.ID, Address: address, Locale: user.Locale})
}

// confirm checks that it is the caller who asks, by their password; field is where it
// was given. It counts as a sign-in, with its limits.
func (s *Service) confirm(ctx context.Context, caller chat.Caller, password, field string) (chat.User, error) {
	user, err := s.verify(ctx, caller.Username, password)
	switch refusal := chat.AsError(err); {
	case refusal != nil && refusal.Kind == chat.BadCredentials:
		return chat.User{}, errWrongPassword(field)
	case err != nil:
		return chat.User{}, err
	case user.ID != caller.UserID: // they are called something else since a moment ago
		return chat.User{}, errWrongPassword(field)
	}
	return user, nil
}

// lockConfirmed locks the account of a user whose password was checked a while ago. It
// returns BadCredentials if it is another by now, or the account is gone.
func lockConfirmed(tx *store.Tx, user chat.User, field string) (chat.User, error) {
	current, err := tx.LockUser(user.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return chat.User{}, errWrongPassword(field)
	case err != nil:
		return chat.User{}, err
	case current.PasswordHash != user.PasswordHash:
		return chat.User{}, errWrongPassword(field)
	}
	return current, nil
}

func errWrongPassword(field string) *chat.Error {
	return &chat.Error{Kind: chat.BadCredentials, Code: "wrong_password", Field: field, Message: "The password is wrong."}
}

// forgotPassword is the kind of what is queued for somebody who has forgotten their
// password: not a mail yet, but the address that was typed. What is done while they
// wait for the answer is the same for each address. Whose it is, is looked up behind
// it (see queueResets).
const forgotPassword mail.Kind = "forgot_password"

// resetsOfAddress is to how many accounts of an address mails are sent.
const resetsOfAddress = 20

// ForgotPassword has a mail sent to each account that has an e-mail address, with which
// to choose another password. Neither its answer, nor how long that takes, nor what the
// limits say tells whether there is such an account. It returns Invalid for what is no
// address, TooMany for one that was asked for too often, whether there is an account or
// not, and Unsupported if the site sends no mails.
func (s *Service) ForgotPassword(ctx context.Context, email string) error {
	if !s.SendsMail() {
		return errNoMail()
	}
	email, err := prepareEmail(email)
	if err != nil {
		return err
	}
	if err := s.takeMail(ctx, askForReset, email); err != nil {
		return err
	}
	err = s.updateAndMail(ctx, func(tx *store.Tx) error {
		return s.queueMail(tx, forgotPassword, mail.Facts{}, store.Mail{Address: email})
	})
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "password forgotten", "client_ip", RequestOf(ctx).ClientIP)
	return nil
}

// queueResets queues the mails for those who have an address that ForgotPassword has
// queued.
func queueResets(tx *store.Tx, q store.Mail, now time.Time) error {
	users, err := tx.ListUsersByEmail(q.Address, resetsOfAddress)
	if err != nil {
		return err
	}
	var facts mail.Facts // of the site that was asked
	if err := json.Unmarshal([]byte(q.Data), &facts); err != nil {
		return fmt.Errorf("read what is queued for who has forgotten a password: %w", err)
	}
	for _, user := range users {
		facts.Username = user.Username
		err := queueMail(tx, mail.ResetPassword, facts,
			store.Mail{UserID: user.ID, Address: user.Email, Locale: user.Locale}, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// ResetPassword gives an account another password, on the strength of a token that was
// sent by mail, ends all its sessions, and returns whose it is. The token is good once; a password that
// won't do does not use it up. It returns Invalid for the token and for the password,
// Forbidden for an account that was deactivated, and Unsupported if the site sends no
// mails.
func (s *Service) ResetPassword(ctx context.Context, token, password string) (chat.User, error) {
	if !s.SendsMail() {
		return chat.User{}, errNoMail()
	}
	user, err := s.ownerOf(ctx, token, resetPrefix, store.ForPasswordReset)
	if err != nil {
		return chat.User{}, err
	}
	if err := s.checkNewPassword(password, user.Username); err != nil {
		return chat.User{}, err
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return chat.User{}, err
	}
	err = s.updateAndMail(ctx, func(tx *store.Tx) error {
		before, used, err := s.useToken(tx, user, token, store.ForPasswordReset)
		if err != nil {
			return err
		}
		if used.Email != before.Email {
			return errBadToken() // it went to somebody who may be somebody else by now
		}
		c := store.UserChange{PasswordHash: &hash}
		if before.EmailVerifiedAt.IsZero() {
			c.EmailVerifiedAt = new(s.now()) // they have just shown that they read what is sent there
		}
		return s.setPassword(ctx, tx, before, c, 0, chat.UserPasswordReset)
	})
	if err != nil {
		return chat.User{}, err
	}
	s.log.InfoContext(ctx, "password reset", "user_id", user.ID, "client_ip", RequestOf(ctx).ClientIP)
	return user, nil
}

// ownerOf finds whose token came by mail, and leaves it unused. It returns Invalid for
// one that is not good.
func (s *Service) ownerOf(ctx context.Context, token, prefix, purpose string) (user chat.User, err error) {
	if !wellFormed(token, prefix, randomLength) {
		return chat.User{}, errBadToken()
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		found, err := tx.FindOneTimeToken(hashToken([]byte(token)), purpose, s.now())
		if err != nil {
			return err
		}
		user, err = tx.FindUserByID(found.UserID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errBadToken()
	}
	return user, err
}

// useToken uses a token up, of a user whose account it locks. It returns Invalid for one
// that is not good any more, and Forbidden if the account was deactivated: then it stays
// unused, as it does whenever the Update comes to nothing.
func (s *Service) useToken(tx *store.Tx, user chat.User, token, purpose string) (chat.User, store.OneTimeToken, error) {
	current, err := tx.LockUser(user.ID)
	if err == nil && !current.DeactivatedAt.IsZero() {
		return chat.User{}, store.OneTimeToken{}, &chat.Error{
			Kind: chat.Forbidden, Code: "account_deactivated", Message: "This account has been deactivated.",
		}
	}
	var used store.OneTimeToken
	if err == nil {
		used, err = tx.UseOneTimeToken(hashToken([]byte(token)), purpose, s.now())
	}
	if errors.Is(err, store.ErrNotFound) {
		err = errBadToken()
	}
	return current, used, err
}

func errBadToken() *chat.Error {
	return &chat.Error{
		Kind: chat.Invalid, Code: "token_invalid", Field: "token",
		Message: "This is not good any more, or never was: it works once, and not for long. Ask for another mail.",
	}
}

func errNoMail() *chat.Error {
	return &chat.Error{
		Kind: chat.Unsupported, Code: "mail_not_configured", Message: "This site sends no mails. Ask its administrators.",
	}
}

// What mails are asked for: each has a count of its own. Whoever asks for resets of an
// address that is nobody's has no mail sent, and keeps nobody from registering with it.
const (
	askForReset  = "forgot "
	askForVerify = "verify "
)

// takeMail counts a mail that somebody has sent to an address of their choice: for the
// address, whether it is an account's or not, for where they come from, and for what
// else is given.
func (s *Service) takeMail(ctx context.Context, what, email string, more ...limit.Ask) error {
	asks := []limit.Ask{mailAsk(what, email), addressAsk(ctx, limit.ResetAddress)}
	_, err := s.take(ctx, append(asks, more...)...)
	return err
}

func mailAsk(what, email string) limit.Ask {
	return limit.Ask{Limit: limit.Reset, Key: what + strings.ToLower(email)}
}

// ownMailAsk counts a mail for the account that asks for it.
func ownMailAsk(userID int64) limit.Ask {
	return limit.Ask{Limit: limit.Reset, Key: "user " + strconv.FormatInt(userID, 10)}
}
