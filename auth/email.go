package auth

import (
	"context"
	"errors"
	"strconv"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// UpdateMe is [chat.Service.UpdateMe]. An e-mail address takes the caller's password: one
// day the site may send mails, and then the account is had by whoever reads them. It
// returns Invalid for an address without the password, BadCredentials for a wrong one,
// and what [Service.Login] does to who tries too often. Where the site sends mails, it
// returns Invalid for any address: see [Service.ChangeEmail].
func (s *Service) UpdateMe(ctx context.Context, caller chat.Caller, p chat.Profile, password string) (after chat.User, err error) {
	if p.Email == nil {
		return s.chat.UpdateMe(ctx, caller, p)
	}
	refuse := func(field, message string) (chat.User, error) {
		return chat.User{}, &chat.Error{Kind: chat.Invalid, Code: "email_needs_password", Field: field, Message: message}
	}
	if s.SendsMail() {
		return refuse("email", "The e-mail address is changed by PUT /v1/me/email, with the password.")
	}
	if _, err := chat.PrepareEmail(*p.Email); err != nil {
		return chat.User{}, err
	}
	if password == "" {
		return refuse("current_password", "The e-mail address is changed with the password.")
	}
	user, err := s.confirm(ctx, caller, password, "current_password")
	if err != nil {
		return chat.User{}, err
	}
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := lockConfirmed(tx, user, "current_password"); err != nil {
			return err
		}
		after, err = s.chat.UpdateMeIn(tx, caller, p)
		return err
	})
	if err != nil {
		return chat.User{}, err
	}
	return after, nil
}

// ChangeEmail gives the caller another e-mail address, when they have shown that they
// read what is sent there: a mail goes there, with a token for [Service.VerifyEmail].
// Until then they keep the one that they have. The empty address takes theirs away at
// once. It returns Invalid for the address, BadCredentials for the password, TooMany for
// an address that mails were sent to too often, what [Service.Login] does to who tries
// too often, and Unsupported if the site sends no mails.
func (s *Service) ChangeEmail(ctx context.Context, caller chat.Caller, email, password string) (chat.User, error) {
	if err := caller.Require(chat.AccountScope); err != nil {
		return chat.User{}, err
	}
	if email != "" {
		if !s.SendsMail() {
			return chat.User{}, errNoMail()
		}
		var err error
		if email, err = prepareEmail(email); err != nil {
			return chat.User{}, err
		}
	}
	user, err := s.confirm(ctx, caller, password, "password")
	if err != nil {
		return chat.User{}, err
	}
	if email != "" {
		if err := s.takeMail(ctx, askForVerify, email, ownMailAsk(user.ID)); err != nil {
			return chat.User{}, err
		}
	}
	var after chat.User // not user, by which an Update begins that is run again
	err = s.updateAndMail(ctx, func(tx *store.Tx) error {
		before, err := lockConfirmed(tx, user, "password")
		if err != nil {
			return err
		}
		var c store.UserChange
		switch email {
		case "":
			c.Email, c.PendingEmail = &email, &email
		case before.Email:
			c.PendingEmail = new(string) // they have thought better of it
		default:
			c.PendingEmail = &email
		}
		if after, err = s.setEmail(ctx, tx, before, c); err != nil {
			return err
		}
		return s.askToVerify(tx, after)
	})
	if err != nil {
		return chat.User{}, err
	}
	return after, nil
}

// setEmail is a change of an account, which is locked, by which it may get another
// address. Then the old one is told.
func (s *Service) setEmail(ctx context.Context, tx *store.Tx, before chat.User, c store.UserChange) (chat.User, error) {
	after, err := chat.ChangeUser(tx, before, c, before.ID, s.now())
	if err != nil || after.Email == before.Email {
		return after, err
	}
	if err := s.tell(ctx, tx, mail.EmailChanged, after, before.Email); err != nil {
		return chat.User{}, err
	}
	caller := chat.Caller{UserID: before.ID, Address: addressOf(ctx)}
	return after, s.chat.Audit(tx, caller, chat.AuditEntry{Action: chat.UserEmailChanged, UserID: before.ID})
}

// unverified is the address of an account that is yet to be verified, or empty: the one
// that it is to have, or else the one that it has.
func unverified(user chat.User) string {
	if user.PendingEmail == "" && user.EmailVerifiedAt.IsZero() {
		return user.Email
	}
	return user.PendingEmail
}

// askToVerify has a mail sent to the address of an account that is yet to be verified,
// if there is one.
func (s *Service) askToVerify(tx *store.Tx, user chat.User) error {
	address := unverified(user)
	if address == "" {
		return nil
	}
	return s.queueMail(tx, mail.VerifyEmail, mail.Facts{Username: user.Username},
		store.Mail{UserID: user.ID, Address: address, Locale: user.Locale})
}

// SendVerification sends the mail again by which the caller's address is verified. It
// returns Conflict if there is none to verify, TooMany if mails were sent there too
// often, and Unsupported if the site sends no mails.
func (s *Service) SendVerification(ctx context.Context, caller chat.Caller) error {
	if err := caller.Require(chat.AccountScope); err != nil {
		return err
	}
	if !s.SendsMail() {
		return errNoMail()
	}
	user, err := s.chat.Me(ctx, caller)
	if err != nil {
		return err
	}
	nothing := &chat.Error{Kind: chat.Conflict, Code: "nothing_to_verify", Message: "There is no address to verify."}
	address := unverified(user)
	if address == "" {
		return nothing
	}
	if err := s.takeMail(ctx, askForVerify, address, ownMailAsk(user.ID)); err != nil {
		return err
	}
	return s.updateAndMail(ctx, func(tx *store.Tx) error {
		current, err := tx.LockUser(user.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || unverified(current) != address { // which was not counted
			return nothing
		}
		return s.askToVerify(tx, current)
	})
}

// VerifyEmail takes the token of a mail for showing that the owner of an account reads
// what is sent to the address that it went to. That is the account's from then on, and
// the one that it had before is told. Where an account has waited for that, it is made,
// for who knows the password that was chosen for it: whoever else asked for it must not
// have it by somebody who reads their mails and does not think.
//
// VerifyEmail returns Invalid for a token that is not good, BadCredentials for the
// password, TooMany for too many of these, Forbidden for an account that was deactivated
// or that the site does not take any more, and Conflict if somebody else has taken the username meanwhile.
func (s *Service) VerifyEmail(ctx context.Context, token, password string) (chat.User, error) {
	user, err := s.ownerOf(ctx, token, verifyPrefix, store.ForVerification)
	if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Invalid && wellFormed(token, verifyPrefix, randomLength) {
		return s.verifyRegistration(ctx, token, password)
	}
	if err != nil {
		return chat.User{}, err
	}
	var after chat.User // not user, by which an Update begins that is run again
	err = s.updateAndMail(ctx, func(tx *store.Tx) error {
		before, used, err := s.useToken(tx, user, token, store.ForVerification)
		if err != nil {
			return err
		}
		now := s.now()
		c := store.UserChange{EmailVerifiedAt: &now}
		switch used.Email {
		case before.PendingEmail:
			c.Email, c.PendingEmail = &used.Email, new(string)
		case before.Email:
		default: // they want another address by now
			return errBadToken()
		}
		after, err = s.setEmail(ctx, tx, before, c)
		return err
	})
	if err != nil {
		return chat.User{}, err
	}
	s.log.InfoContext(ctx, "e-mail address verified", "user_id", after.ID, "client_ip", RequestOf(ctx).ClientIP)
	return after, nil
}

// verifyRegistration is VerifyEmail for an account that has waited for it, and is made.
func (s *Service) verifyRegistration(ctx context.Context, token, password string) (user chat.User, err error) {
	var kept store.Registration
	err = s.store.View(ctx, func(tx *store.Tx) error {
		found, err := tx.FindOneTimeToken(hashToken([]byte(token)), store.ForRegistration, s.now())
		if err == nil {
			kept, err = tx.FindRegistration(found.RegistrationID, s.now())
		}
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return chat.User{}, errBadToken()
	case err != nil:
		return chat.User{}, err
	case !s.takesAccountOf(kept.Email): // any more
		return chat.User{}, errRegistrationClosed()
	case password == "":
		return chat.User{}, &chat.Error{
			Kind: chat.Invalid, Code: "password_missing", Field: "password",
			Message: "Enter the password that you chose when you registered.",
		}
	}
	taken, err := s.take(ctx,
		limit.Ask{Limit: limit.SignIn, Key: "r" + strconv.FormatInt(kept.ID, 10)}, addressAsk(ctx, limit.SignInAddress))
	if err != nil {
		return chat.User{}, err
	}
	ok, err := s.hasher.Verify(ctx, kept.PasswordHash, password)
	switch {
	case err != nil:
		return chat.User{}, err
	case !ok:
		return chat.User{}, errWrongPassword("password")
	}
	s.giveBack(ctx, taken)
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		used, err := tx.UseOneTimeToken(hashToken([]byte(token)), store.ForRegistration, s.now())
		if err == nil {
			user, err = s.completeRegistration(ctx, tx, used.RegistrationID)
		}
		if errors.Is(err, store.ErrNotFound) {
			err = errBadToken()
		}
		return err
	})
	if err != nil {
		return chat.User{}, err
	}
	s.logRegistered(ctx, user)
	return user, nil
}

// prepareEmail checks an address that mail is to be sent to.
func prepareEmail(typed string) (string, error) {
	email, err := chat.PrepareEmail(typed)
	if err == nil && email == "" {
		err = &chat.Error{Kind: chat.Invalid, Code: "email_missing", Field: "email", Message: "An e-mail address is required."}
	}
	return email, err
}
