package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

var (
	invitationInvalid  = refusal{chat.Forbidden, "invitation_invalid", "invitation"}
	invitationRequired = refusal{chat.Forbidden, "invitation_required", "invitation"}
	notThatDomain      = refusal{chat.Invalid, "email_domain_not_allowed", "email"}
)

// admin makes an account of an administrator, and returns them as a caller.
func (s *site) admin(tb testing.TB) chat.Caller {
	tb.Helper()
	name := "root"
	user, err := s.CreateAccount(context.Background(), operator,
		chat.NewAccount{Profile: chat.Profile{Username: &name}, Admin: true}, "open sesame", "")
	require.NoError(tb, err)
	return chat.Caller{UserID: user.ID, Username: user.Username, Admin: true}
}

func (s *site) invite(tb testing.TB, admin chat.Caller, n NewInvitation) Invitation {
	tb.Helper()
	i, err := s.CreateInvitation(context.Background(), admin, n)
	require.NoError(tb, err)
	return i
}

// apply registers somebody.
func (s *site) apply(r Registration) (chat.User, bool, error) {
	if r.Password == "" {
		r.Password = "open sesame"
	}
	return s.Register(context.Background(), r)
}

// sendsMail lets a site queue mails, and returns how often somebody is woken to send
// them.
func (s *site) sendsMail() (woken func() int) {
	var mu sync.Mutex
	times := 0
	s.opts.WakeMailing = func() {
		mu.Lock()
		defer mu.Unlock()
		times++
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return times
	}
}

// queued takes the mails that wait, in the order in which they were queued.
func (s *site) queued(tb testing.TB) (mails []store.Mail) {
	tb.Helper()
	for {
		err := s.store.Update(context.Background(), func(tx *store.Tx) error {
			m, err := tx.ClaimMail(s.clock, s.clock)
			if err == nil {
				mails = append(mails, m)
				err = tx.DeleteMail(m.ID)
			}
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return mails
		}
		require.NoError(tb, err)
	}
}

func TestRegisterByInvitation(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Registration = RegistrationInvitation
		root := s.admin(t)
		once := s.invite(t, root, NewInvitation{Note: "for Alice"})
		hour := s.clock.Add(time.Hour)
		hourly := s.invite(t, root, NewInvitation{MaxUses: 5, ExpiresAt: hour})
		revoked := s.invite(t, root, NewInvitation{MaxUses: 5})
		require.NoError(t, s.RevokeInvitation(t.Context(), root, revoked.ID))
		require.True(t, wellFormed(once.Token, invitationPrefix, randomLength), once.Token)

		_, _, err := s.apply(Registration{Username: "alice"})
		requireRefusal(t, invitationRequired, err)
		others := []string{revoked.Token, newToken(invitationPrefix), once.Token[:len(once.Token)-1], once.Token + "A",
			strings.ToLower(once.Token), " " + once.Token, "x", "1", newToken(keyPrefix), strings.Repeat("x", 10_000)}
		// Not one of them is told from the others.
		var first error
		for _, token := range others {
			_, _, err := s.apply(Registration{Username: "alice", Invitation: token})
			requireRefusal(t, invitationInvalid, err)
			if first == nil {
				first = err
			}
			require.Equal(t, first, err)
		}

		// What comes to nothing uses nothing up.
		for _, r := range []Registration{
			{Username: "root"}, {Username: "a b"}, {Username: ""}, {Username: "alice", Password: "short"},
			{Username: "alice", Password: "password"}, {Username: "alice", Email: "nowhere"},
		} {
			r.Invitation = once.Token
			_, _, err := s.apply(r)
			require.NotNil(t, chat.AsError(err), err)
			require.NotEqual(t, "invitation_invalid", chat.AsError(err).Code)
		}
		alice, pending, err := s.apply(Registration{Username: "alice", Invitation: once.Token})
		require.NoError(t, err)
		require.False(t, pending)
		require.False(t, alice.Admin)
		_, _, err = s.apply(Registration{Username: "bob", Invitation: once.Token})
		requireRefusal(t, invitationInvalid, err)

		_, _, err = s.apply(Registration{Username: "bob", Invitation: hourly.Token})
		require.NoError(t, err)
		left, err := s.Invitations(t.Context(), root, 10, 0)
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.Equal(t, 1, left[0].Uses)
		s.clock = hour
		_, _, err = s.apply(Registration{Username: "carl", Invitation: hourly.Token})
		requireRefusal(t, invitationInvalid, err)
		require.NotContains(t, s.log.String(), once.Token)
	})
}

// Nobody has passwords hashed without an invitation, nor without an address that will
// do: hashing is what costs.
func TestRegisterChecksTheInvitationBeforeHashing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		defer takeAll(t, s.hasher.queue)()
		s.opts.Registration = RegistrationInvitation
		for _, token := range []string{"", newToken(invitationPrefix)} {
			_, _, err := s.apply(Registration{Username: "alice", Invitation: token})
			require.Equal(t, chat.Forbidden, chat.AsError(err).Kind)
		}
		s.opts.Registration, s.opts.Domains = RegistrationDomains, []string{"example.com"}
		_, _, err := s.apply(Registration{Username: "alice", Email: "alice@example.net"})
		requireRefusal(t, notThatDomain, err)
	})
}

// An invitation that is used by many at once is used by as many as it is for.
func TestInvitationUsedByManyAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Registration = RegistrationInvitation
		root := s.admin(t)
		invitation := s.invite(t, root, NewInvitation{MaxUses: 3})
		errs := make([]error, 10)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				// The queue for writing is short here.
				for errs[i] = store.ErrUnavailable; errors.Is(errs[i], store.ErrUnavailable); {
					_, _, errs[i] = s.apply(Registration{Username: fmt.Sprint("user", i), Invitation: invitation.Token})
				}
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else {
				requireRefusal(t, invitationInvalid, err)
			}
		}
		require.Equal(t, 3, made)
		users, err := s.chat.Accounts(t.Context(), operator, chat.Filter{Limited: true, Limit: 100})
		require.NoError(t, err)
		require.Len(t, users, 1+3)
	})
}

// Elsewhere an invitation has no effect, and is not used up.
func TestInvitationWhereNoneIsNeeded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		root := s.admin(t)
		invitation := s.invite(t, root, NewInvitation{})
		for username, token := range map[string]string{"alice": invitation.Token, "bob": "nonsense"} {
			_, _, err := s.apply(Registration{Username: username, Invitation: token})
			require.NoError(t, err)
		}
		s.opts.Registration = RegistrationClosed
		_, _, err := s.apply(Registration{Username: "carl", Invitation: invitation.Token})
		requireRefusal(t, closed, err)
		left, err := s.Invitations(t.Context(), root, 10, 0)
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.Zero(t, left[0].Uses)
	})
}

func TestInvitationsAreMadeByAdmins(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		root := s.admin(t)
		alice := s.register(t, "alice", "open sesame")
		nobody := chat.Caller{UserID: alice.ID, Username: "alice"}
		made := s.invite(t, root, NewInvitation{})
		_, err := s.CreateInvitation(t.Context(), nobody, NewInvitation{})
		requireRefusal(t, adminRequired, err)
		_, err = s.Invitations(t.Context(), nobody, 10, 0)
		requireRefusal(t, adminRequired, err)
		requireRefusal(t, adminRequired, s.RevokeInvitation(t.Context(), nobody, made.ID))

		for name, c := range map[string]struct {
			wanted NewInvitation
			want   refusal
		}{
			"uses below 0":   {NewInvitation{MaxUses: -1}, refusal{chat.Invalid, "max_uses_invalid", "max_uses"}},
			"too many uses":  {NewInvitation{MaxUses: maxInvitationUses + 1}, refusal{chat.Invalid, "max_uses_invalid", "max_uses"}},
			"ends now":       {NewInvitation{ExpiresAt: s.clock}, refusal{chat.Invalid, "expires_at_invalid", "expires_at"}},
			"ends too late":  {NewInvitation{ExpiresAt: s.clock.Add(maxInvitationLifetime + time.Second)}, refusal{chat.Invalid, "expires_at_invalid", "expires_at"}},
			"a long note":    {NewInvitation{Note: strings.Repeat("é", maxInvitationNote+1)}, refusal{chat.Invalid, "note_too_long", "note"}},
			"lines of notes": {NewInvitation{Note: "one\ntwo"}, refusal{chat.Invalid, "note_invalid", "note"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := s.CreateInvitation(t.Context(), root, c.wanted)
				requireRefusal(t, c.want, err)
			})
		}
		long := s.invite(t, root, NewInvitation{
			Note: strings.Repeat("é", maxInvitationNote), MaxUses: maxInvitationUses, ExpiresAt: s.clock.Add(maxInvitationLifetime),
		})
		listed, err := s.Invitations(t.Context(), root, 10, 0)
		require.NoError(t, err)
		require.Equal(t, []Invitation{{Invitation: made.Invitation}, {Invitation: long.Invitation}}, listed, "without the tokens")
		require.Equal(t, 1, made.MaxUses)

		require.NoError(t, s.RevokeInvitation(t.Context(), root, made.ID))
		gone := refusal{chat.NotFound, "invitation_not_found", ""}
		requireRefusal(t, gone, s.RevokeInvitation(t.Context(), root, made.ID))
		requireRefusal(t, gone, s.RevokeInvitation(t.Context(), root, long.ID+1))
	})
}

func TestInvitationsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir()+"/messaging.db")
	root := s.admin(t)
	update := func(fn func(tx *store.Tx) error) {
		t.Helper()
		require.NoError(t, s.store.Update(t.Context(), fn))
	}
	update(func(tx *store.Tx) error {
		for i := range maxInvitations {
			err := tx.CreateInvitation(&store.Invitation{
				TokenHash: hashToken([]byte(fmt.Sprint(i))), CreatorID: root.UserID, CreatedAt: s.clock, MaxUses: 1,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	_, err := s.CreateInvitation(t.Context(), root, NewInvitation{})
	requireRefusal(t, refusal{chat.Conflict, "too_many_invitations", ""}, err)
	listed, err := s.Invitations(t.Context(), root, 1, 0)
	require.NoError(t, err)
	update(func(tx *store.Tx) error { return tx.UseInvitation(listed[0].ID, s.clock) })
	s.invite(t, root, NewInvitation{}) // in the place of one that is used up
}

// Who has lost the role, or the account, leaves no way in behind.
func TestInvitationsOfWhoIsNoAdminAnyMore(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Registration = RegistrationInvitation
		root := s.admin(t)
		made := s.invite(t, root, NewInvitation{MaxUses: 9})
		register := func(username string) error {
			_, _, err := s.Register(t.Context(), Registration{Username: username, Password: "open sesame", Invitation: made.Token})
			return err
		}
		require.NoError(t, register("alice"))
		change := func(c store.UserChange) {
			t.Helper()
			require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.UpdateUser(root.UserID, c)
				return err
			}))
		}
		invalid := refusal{chat.Forbidden, "invitation_invalid", "invitation"}
		change(store.UserChange{Admin: new(false)})
		requireRefusal(t, invalid, register("bob"))
		change(store.UserChange{Admin: new(true), DeactivatedAt: &s.clock})
		requireRefusal(t, invalid, register("bob"))
		change(store.UserChange{DeactivatedAt: new(time.Time)})
		require.NoError(t, register("bob"))
	})
}

func TestInvitationsAreAudited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Registration = RegistrationInvitation
		root := s.admin(t)
		made := s.invite(t, root, NewInvitation{Note: "a secret note", MaxUses: 2})
		const address = "192.0.2.7"
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr(address)})
		alice, _, err := s.Register(ctx, Registration{Username: "alice", Password: "open sesame", Invitation: made.Token})
		require.NoError(t, err)
		require.NoError(t, s.RevokeInvitation(t.Context(), root, made.ID))

		detail := fmt.Sprint("invitation ", made.ID)
		require.Equal(t, []chat.AuditEntry{
			{Action: chat.AdminInvitationCreated, ActorID: root.UserID, Detail: detail},
			{Action: chat.UserRegistered, ActorID: alice.ID, UserID: alice.ID, Address: address, Detail: detail},
			{Action: chat.AdminInvitationRevoked, ActorID: root.UserID, Detail: detail},
		}, s.audited(t)[2:]) // behind how the admin came to be
	})
}

// Without mail an address is just kept; with it, it has to be verified.
func TestRegisterWithAnAddress(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice, _, err := s.apply(Registration{Username: "alice", Email: " alice@example.com "})
		require.NoError(t, err)
		require.Equal(t, "alice@example.com", alice.Email)
		require.Empty(t, alice.PendingEmail)
		require.True(t, alice.EmailVerifiedAt.IsZero())
		require.Empty(t, s.queued(t))
		_, _, err = s.apply(Registration{Username: "bob", Email: "Bob <bob@example.com>"})
		requireRefusal(t, refusal{chat.Invalid, "email_invalid", "email"}, err)

		woken := s.sendsMail()
		bob, _, err := s.apply(Registration{Username: "bob", Email: "bob@example.com"})
		require.NoError(t, err)
		require.Empty(t, bob.Email)
		require.Equal(t, "bob@example.com", bob.PendingEmail)
		require.NotZero(t, woken())
		mails := s.queued(t)
		require.Len(t, mails, 1)
		require.Equal(t, "verify_email", mails[0].Kind)
		require.Equal(t, bob.ID, mails[0].UserID)
		require.Equal(t, "bob@example.com", mails[0].Address)
		_, _, err = s.apply(Registration{Username: "carl"})
		require.NoError(t, err)
		require.Empty(t, s.queued(t))

		s.opts.NoPages = true // there is none on which to verify it
		dora, _, err := s.apply(Registration{Username: "dora", Email: "dora@example.com"})
		require.NoError(t, err)
		require.Equal(t, "dora@example.com", dora.Email)
		require.Empty(t, dora.PendingEmail)
		require.True(t, dora.EmailVerifiedAt.IsZero())
		require.Empty(t, s.queued(t))
		_, _, err = s.apply(Registration{Username: "eric", Email: "eric@localhost"})
		requireRefusal(t, refusal{chat.Invalid, "email_invalid", "email"}, err)
	})
}

func TestParseDomain(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"example.com": "example.com", "EXAMPLE.com": "example.com", "localhost": "localhost",
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example",
	} {
		got, err := ParseDomain(typed)
		require.NoError(t, err, typed)
		require.Equal(t, want, got)
	}
	for _, typed := range []string{"", ".", "example.com.", "@example.com", "a@example.com", "*.example.com", "a b", "example..com", "[192.0.2.7]"} {
		_, err := ParseDomain(typed)
		require.Error(t, err, typed)
	}
}

func TestRegisterByDomain(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		woken := s.sendsMail()
		s.opts.Registration, s.opts.Domains = RegistrationDomains, []string{"example.com", "xn--bcher-kva.example"}
		s.admin(t)
		for name, c := range map[string]struct {
			r    Registration
			want refusal
		}{
			"no address":              {Registration{}, refusal{chat.Invalid, "email_missing", "email"}},
			"no such address":         {Registration{Email: "example.com"}, refusal{chat.Invalid, "email_invalid", "email"}},
			"another domain":          {Registration{Email: "a@example.net"}, notThatDomain},
			"a domain below":          {Registration{Email: "a@mail.example.com"}, notThatDomain},
			"a domain that ends so":   {Registration{Email: "a@notexample.com"}, notThatDomain},
			"a domain that is longer": {Registration{Email: "a@example.com.example.net"}, notThatDomain},
			"a domain in the name":    {Registration{Email: `"a@example.com"@example.net`}, refusal{chat.Invalid, "email_invalid", "email"}},
			"letters that look alike": {Registration{Email: "a@ехample.com"}, notThatDomain},
			"an address in brackets":  {Registration{Email: "a@[192.0.2.7]"}, refusal{chat.Invalid, "email_invalid", "email"}},
			"a username taken":        {Registration{Username: "ROOT", Email: "a@example.com"}, refusal{chat.Conflict, "username_taken", "username"}},
			"a common password":       {Registration{Password: "password", Email: "a@example.com"}, tooCommon},
		} {
			t.Run(name, func(t *testing.T) {
				if c.r.Username == "" {
					c.r.Username = "alice"
				}
				_, _, err := s.apply(c.r)
				requireRefusal(t, c.want, err)
			})
		}
		require.Empty(t, s.queued(t))

		for typed, want := range map[string]string{
			"alice@example.com": "alice@example.com", "Alice@EXAMPLE.com": "Alice@example.com",
			"bob@Bücher.example": "bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example": "bob@xn--bcher-kva.example",
		} {
			user, pending, err := s.apply(Registration{Username: "zoë", Email: typed})
			require.NoError(t, err, typed)
			require.True(t, pending)
			require.Zero(t, user)
			mails := s.queued(t)
			require.Len(t, mails, 1)
			require.Equal(t, "verify_registration", mails[0].Kind)
			require.Equal(t, want, mails[0].Address)
			require.NotZero(t, mails[0].RegistrationID)
			require.NotContains(t, mails[0].Data, "sesame")
		}
		require.NotZero(t, woken())
		_, err := s.Login(t.Context(), "zoë", "open sesame", nil)
		requireRefusal(t, badCredentials, err)
	})
}

// pend registers somebody whose address is to be verified, and returns the id.
func (s *site) pend(tb testing.TB, username, password, email string) int64 {
	tb.Helper()
	_, pending, err := s.Register(context.Background(), Registration{Username: username, Password: password, Email: email})
	require.NoError(tb, err)
	require.True(tb, pending)
	mails := s.queued(tb)
	require.Len(tb, mails, 1)
	return mails[0].RegistrationID
}

func (s *site) complete(id int64) (user chat.User, err error) {
	err = s.store.Update(context.Background(), func(tx *store.Tx) error {
		user, err = s.completeRegistration(context.Background(), tx, id)
		return err
	})
	return user, err
}

func TestCompleteRegistration(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.sendsMail()
		s.opts.Registration, s.opts.Domains = RegistrationDomains, []string{"example.com"}
		first := s.pend(t, "Zoë", "password of one", "one@example.com")
		second := s.pend(t, "zoë", "password of two", "two@example.com") // of the same name: who is verified first
		late := s.pend(t, "late", "open sesame", "late@example.com")

		zoe, err := s.complete(second)
		require.NoError(t, err)
		require.Equal(t, "zoë", zoe.Username)
		require.Equal(t, "two@example.com", zoe.Email)
		require.Equal(t, s.clock, zoe.EmailVerifiedAt)
		require.Equal(t, zoe.ID, s.login(t, "zoë", "password of two", nil).User.ID)

		_, err = s.complete(second)
		require.ErrorIs(t, err, store.ErrNotFound, "once")
		_, err = s.complete(first)
		requireRefusal(t, refusal{chat.Conflict, "username_taken", ""}, err)
		_, err = s.Login(t.Context(), "zoë", "password of one", nil)
		requireRefusal(t, badCredentials, err)

		s.clock = s.clock.Add(registrationLifetime)
		_, err = s.complete(late)
		require.ErrorIs(t, err, store.ErrNotFound, "too late")
	})
}

// The mail tells until when, and there is none where it is too late.
func TestMailOfARegistration(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.sendsMail()
		s.opts.Registration, s.opts.Domains = RegistrationDomains, []string{"example.com"}
		id := s.pend(t, "zoë", "open sesame", "zoe@example.com")
		ticket := func(at time.Time) (expires time.Time, err error) {
			err = s.store.Update(t.Context(), func(tx *store.Tx) error {
				made, err := newTicket(tx, store.Mail{Kind: "verify_registration", RegistrationID: id, Address: "zoe@example.com"}, at)
				expires = made.Expires
				return err
			})
			return expires, err
		}
		end := s.clock.Add(registrationLifetime)
		expires, err := ticket(s.clock.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, end, expires)
		_, err = ticket(end)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

// Nobody has any number of mails sent to somebody else.
func TestMailsOfRegistrationsAreLimited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.sendsMail()
		s.opts.Limits = limit.New(s.store, nil)
		s.opts.Limits.Configure(map[limit.Name]limit.Rate{limit.Reset: {Events: 3, Per: time.Hour, Burst: 3}})
		s.register(t, "taken", "open sesame")
		for mode, domain := range map[RegistrationMode]string{RegistrationOpen: "example.net", RegistrationDomains: "example.com"} {
			s.opts.Registration, s.opts.Domains = mode, []string{"example.com"}
			register := func(username, email string) error {
				_, _, err := s.apply(Registration{Username: username + string(mode), Email: email + domain})
				return err
			}
			for range 5 { // without a mail
				_, _, err := s.apply(Registration{Username: "taken", Email: "zoe@" + domain})
				requireRefusal(t, refusal{chat.Conflict, "username_taken", "username"}, err)
			}
			require.Empty(t, s.queued(t))
			for i := range 3 {
				require.NoError(t, register(fmt.Sprint("user", i), []string{"zoe@", "ZOE@"}[i%2]))
			}
			require.Len(t, s.queued(t), 3)
			requireRefusal(t, refusal{chat.TooMany, "too_many_attempts", ""}, register("zoe", "Zoe@"))
			require.Empty(t, s.queued(t))
			require.NoError(t, register("max", "max@"))
			require.Len(t, s.queued(t), 1)
		}
	})
}

// Mails that were asked for, for somebody else's address, keep nobody from registering
// with it.
func TestResetsDoNotKeepFromRegistering(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		p.opts.Limits = limit.New(p.store, nil)
		p.opts.Registration, p.opts.Domains = RegistrationDomains, []string{"example.com"}
		var err error
		for range 10 {
			err = p.ForgotPassword(t.Context(), "zoe@example.com")
		}
		requireRefusal(t, refusal{chat.TooMany, "too_many_attempts", ""}, err)
		require.Empty(t, p.deliver(t), "it is nobody's")
		p.pend(t, "zoe", "open sesame", "zoe@example.com")
	})
}

// An account that has waited for its address is made if the site still takes it.
func TestRegistrationThatIsNotTakenAnyMore(t *testing.T) {
	closed := refusal{chat.Forbidden, "registration_closed", ""}
	for name, c := range map[string]struct {
		since   RegistrationMode
		domains []string
		want    *refusal
	}{
		"closed":             {RegistrationClosed, nil, &closed},
		"for who is invited": {RegistrationInvitation, nil, &closed},
		"of another domain":  {RegistrationDomains, []string{"example.org"}, &closed},
		"of that one, too":   {RegistrationDomains, []string{"example.org", "example.com"}, nil},
		"open":               {RegistrationOpen, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *site) {
				p := newPostOffice(s)
				p.opts.Registration, p.opts.Domains = RegistrationDomains, []string{"example.com"}
				_, _, err := p.Register(t.Context(), Registration{Username: "zoe", Password: "open sesame", Email: "zoe@example.com"})
				require.NoError(t, err)
				token := p.one(t).token(t)
				p.opts.Registration, p.opts.Domains = c.since, c.domains
				_, err = p.VerifyEmail(t.Context(), token, "open sesame")
				if c.want == nil {
					require.NoError(t, err)
					return
				}
				requireRefusal(t, *c.want, err)
				_, err = p.Login(t.Context(), "zoe", "open sesame", nil)
				requireRefusal(t, badCredentials, err)
			})
		})
	}
}
