package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// RegistrationMode says who may make an account for themselves.
type RegistrationMode string

// The modes. In all of them, administrators make accounts for others.
const (
	RegistrationOpen       RegistrationMode = "open"
	RegistrationClosed     RegistrationMode = "closed"
	RegistrationInvitation RegistrationMode = "invitation" // who has an invitation
	RegistrationDomains    RegistrationMode = "domains"    // who has an e-mail address of certain domains
)

// RegistrationModes lists all modes.
func RegistrationModes() []RegistrationMode {
	return []RegistrationMode{RegistrationOpen, RegistrationClosed, RegistrationInvitation, RegistrationDomains}
}

// Registration is an account that somebody wants for themselves.
type Registration struct {
	Username, Password string
	// Email may be empty, but where it has to be of certain domains.
	Email string
	// DisplayName may be empty.
	DisplayName string
	// UniqueEmail asks for an address that no other account has, or is to have. Others
	// need not have done so.
	UniqueEmail bool
	// MakeUsername has Username made of DisplayName, with a number where it is taken.
	MakeUsername bool
	// NoPassword lets Password be empty: nobody can sign in to the account with one.
	NoPassword bool
	// Invitation is the token of one. It counts only where it takes one.
	Invitation string
}

// registrationLifetime is how long an account waits for its address to be verified.
const registrationLifetime = 24 * time.Hour

// ParseDomain returns a domain of e-mail addresses as it is compared: in ASCII, and
// lower case.
func ParseDomain(typed string) (string, error) {
	// As idna.Lookup, but without empty labels.
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))
	domain, err := profile.ToASCII(typed)
	if err != nil || domain == "" || strings.HasSuffix(domain, ".") {
		return "", fmt.Errorf("%q is no domain", typed)
	}
	return domain, nil
}

// Register makes an account. It does not sign in. Where the address has to be verified
// first, there is no account yet, and it is pending (see completeRegistration). Register
// returns Forbidden if registration is closed to the caller, Invalid for what won't do,
// Conflict if the username is taken, TooMany if there were too many tries, and
// Unavailable if too many passwords are waiting to be hashed.
func (s *Service) Register(ctx context.Context, r Registration) (user chat.User, pending bool, err error) {
	// All before the password is hashed: hashing is what costs.
	if s.opts.Registration == RegistrationClosed {
		return chat.User{}, false, errRegistrationClosed()
	}
	var invitation store.Invitation
	if s.opts.Registration == RegistrationInvitation {
		if invitation, err = s.findInvitation(ctx, r.Invitation); err != nil {
			return chat.User{}, false, err
		}
	}
	if r.DisplayName, err = chat.PrepareLine("display_name", r.DisplayName, chat.MaxDisplayNameLength); err != nil {
		return chat.User{}, false, err
	}
	if r.MakeUsername {
		r.Username = makeUsername(r.DisplayName)
	}
	if _, _, err := chat.PrepareUsername(r.Username); err != nil {
		return chat.User{}, false, err
	}
	if r.Email, err = s.prepareAddress(r.Email); err != nil {
		return chat.User{}, false, err
	}
	noPassword := r.NoPassword && r.Password == ""
	if !noPassword {
		if err := s.checkNewPassword(r.Password, r.Username); err != nil {
			return chat.User{}, false, err
		}
	}
	if err := s.admitRegistration(ctx, r); err != nil {
		return chat.User{}, false, err
	}
	hash := "" // which is that of no password
	if !noPassword {
		if hash, err = s.hasher.Hash(ctx, r.Password); err != nil {
			return chat.User{}, false, err
		}
	}
	if s.opts.Registration == RegistrationDomains {
		return chat.User{}, true, s.await(ctx, r, hash)
	}

	wanted := chat.User{Username: r.Username, DisplayName: r.DisplayName, PasswordHash: hash}
	if s.verifies() {
		wanted.PendingEmail = r.Email
	} else {
		wanted.Email, wanted.EmailClaimed = r.Email, r.UniqueEmail && r.Email != ""
	}
	create := func(tx *store.Tx) error {
		if r.UniqueEmail {
			if err := chat.EmailFree(tx, r.Email); err != nil {
				return err
			}
		}
		detail := ""
		if invitation.ID != 0 {
			// By now it may be used up, or revoked. In the Update of the account: one that
			// comes to nothing uses nothing up.
			if err := tx.UseInvitation(invitation.ID, s.now()); errors.Is(err, store.ErrNotFound) {
				return errInvitation()
			} else if err != nil {
				return err
			}
			detail = invitationDetail(invitation.ID)
		}
		if r.MakeUsername {
			if wanted.Username, err = freeUsername(tx, r.Username); err != nil {
				return err
			}
		}
		if user, err = s.chat.RegisterIn(tx, chat.Caller{Address: addressOf(ctx)}, wanted, detail); err != nil {
			return err
		}
		if user.PendingEmail == "" {
			return nil
		}
		return s.queueMail(tx, mail.VerifyEmail, mail.Facts{Username: user.Username},
			store.Mail{UserID: user.ID, Address: user.PendingEmail})
	}
	err = s.updateAndMail(ctx, create)
	for range maxMade {
		if refusal := chat.AsError(err); !r.MakeUsername || refusal == nil || refusal.Code != "username_taken" {
			break
		}
		err = s.updateAndMail(ctx, create) // somebody else was quicker
	}
	if err != nil {
		return chat.User{}, false, err
	}
	s.logRegistered(ctx, user)
	return user, false, nil
}

// verifies tells whether those who register are sent a mail, to show that they read it.
func (s *Service) verifies() bool { return s.SendsMail() && !s.opts.NoPages }

// admitRegistration bounds how many accounts are made from one place, and how many mails
// somebody has sent to an address that may be another's.
func (s *Service) admitRegistration(ctx context.Context, r Registration) error {
	if _, err := s.take(ctx, addressAsk(ctx, limit.RegistrationAddress)); err != nil {
		return err
	}
	if !s.verifies() || r.Email == "" {
		return nil
	}
	// Who tries one name after another has not had a mail sent.
	var err error
	if !r.MakeUsername {
		err = s.store.ViewOne(ctx, func(tx *store.Tx) error { return chat.UsernameFree(tx, r.Username) })
	}
	if err != nil {
		return err
	}
	_, err = s.take(ctx, mailAsk(askForVerify, r.Email))
	return err
}

func (s *Service) logRegistered(ctx context.Context, user chat.User) {
	s.log.InfoContext(ctx, "user registered", "user_id", user.ID, "username", user.Username, "client_ip", RequestOf(ctx).ClientIP)
}

// prepareAddress checks the address of somebody who registers, and returns it as it is
// stored.
func (s *Service) prepareAddress(typed string) (string, error) {
	email, err := chat.PrepareEmail(typed)
	if err == nil && email != "" && s.SendsMail() {
		email, err = prepareEmail(email)
	}
	if err != nil || s.opts.Registration != RegistrationDomains {
		return email, err
	}
	refuse := func(code, message string) (string, error) {
		return "", &chat.Error{Kind: chat.Invalid, Code: code, Field: "email", Message: message}
	}
	if email == "" {
		return refuse("email_missing", "An e-mail address is required.")
	}
	name, domain, ok := s.ofDomains(email)
	if !ok {
		return refuse("email_domain_not_allowed", "This site does not take new accounts with addresses of that domain.")
	}
	// What was compared is what is written to.
	return name + domain, nil
}

// ofDomains tells whether an address is of one of the domains whose addresses may
// register, and takes it apart: the name with its @, and the domain as it is compared.
func (s *Service) ofDomains(email string) (name, domain string, ok bool) {
	at := strings.LastIndexByte(email, '@') + 1
	domain, err := ParseDomain(email[at:])
	return email[:at], domain, err == nil && slices.Contains(s.opts.Domains, domain)
}

// takesAccountOf tells whether an account may be made now that has waited for its
// address to be verified: the site may have been told to take fewer since.
func (s *Service) takesAccountOf(email string) bool {
	switch s.opts.Registration {
	case RegistrationDomains:
		_, _, ok := s.ofDomains(email)
		return ok
	case RegistrationClosed, RegistrationInvitation:
		return false
	case RegistrationOpen:
	}
	return true
}

func errRegistrationClosed() *chat.Error {
	return &chat.Error{Kind: chat.Forbidden, Code: "registration_closed", Message: "This site does not take new accounts."}
}

// await keeps an account until its address has been verified. Several may wait for the
// same username: whoever reads their mail first gets it.
func (s *Service) await(ctx context.Context, r Registration, passwordHash string) error {
	return s.updateAndMail(ctx, func(tx *store.Tx) error {
		now := s.now()
		kept := store.Registration{
			Username: r.Username, PasswordHash: passwordHash, Email: r.Email,
			CreatedAt: now, ExpiresAt: now.Add(registrationLifetime),
		}
		if err := tx.CreateRegistration(&kept); err != nil {
			return err
		}
		return s.queueMail(tx, mail.VerifyRegistration, mail.Facts{Username: r.Username},
			store.Mail{RegistrationID: kept.ID, Address: r.Email})
	})
}

// completeRegistration makes the account that has waited for its address to be verified,
// in the Update in which the token that was sent there is used up. It returns
// [store.ErrNotFound] if it has waited for too long, and Conflict if the username has
// been taken meanwhile.
func (s *Service) completeRegistration(ctx context.Context, tx *store.Tx, id int64) (chat.User, error) {
	now := s.now()
	kept, err := tx.FindRegistration(id, now)
	if err != nil {
		return chat.User{}, err
	}
	if err := tx.DeleteRegistration(id); err != nil {
		return chat.User{}, err
	}
	user, err := s.chat.RegisterIn(tx, chat.Caller{Address: addressOf(ctx)}, chat.User{
		Username: kept.Username, PasswordHash: kept.PasswordHash, Email: kept.Email, EmailVerifiedAt: now,
	}, "")
	if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Conflict {
		return chat.User{}, &chat.Error{
			Kind: chat.Conflict, Code: "username_taken",
			Message: "Somebody else has taken the username " + kept.Username + " meanwhile. Register with another.",
		}
	}
	return user, err
}
