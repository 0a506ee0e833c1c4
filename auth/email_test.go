package auth

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

var nothingToVerify = refusal{chat.Conflict, "nothing_to_verify", ""}

// address is what an account has of addresses.
type address struct {
	email, pending string
	verified       bool
}

func (p *postOffice) requireAddress(tb testing.TB, want address, user chat.User) {
	tb.Helper()
	now := p.user(tb, user.ID)
	require.Equal(tb, want, address{now.Email, now.PendingEmail, !now.EmailVerifiedAt.IsZero()})
}

func TestChangeEmail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice := p.register(t, "alice", "open sesame")
		mine := p.login(t, "alice", "open sesame", nil).Token
		caller := p.caller(t, mine)
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})
		changed := func() (n int) {
			for _, e := range p.audited(t) {
				if e.Action == chat.UserEmailChanged {
					require.Equal(t, alice.ID, e.UserID)
					require.Equal(t, "192.0.2.7", e.Address)
					n++
				}
			}
			return n
		}

		me, err := p.ChangeEmail(ctx, caller, "alice@example.com", "open sesame")
		require.NoError(t, err)
		require.Equal(t, "alice@example.com", me.PendingEmail)
		p.requireAddress(t, address{"", "alice@example.com", false}, alice)
		l := p.one(t)
		require.Equal(t, "alice@example.com", l.to)
		require.Zero(t, changed())
		me, err = p.VerifyEmail(ctx, l.token(t), "")
		require.NoError(t, err)
		require.Equal(t, p.user(t, alice.ID), me)
		p.requireAddress(t, address{"alice@example.com", "", true}, alice)
		require.Empty(t, p.deliver(t), "there was none that could be told")
		require.Equal(t, 1, changed())
		_, err = p.VerifyEmail(ctx, l.token(t), "")
		requireRefusal(t, badToken, err)

		// Another one: the old one stays until it is verified, and then it is told.
		_, err = p.ChangeEmail(ctx, caller, "alice@example.org", "open sesame")
		require.NoError(t, err)
		p.requireAddress(t, address{"alice@example.com", "alice@example.org", true}, alice)
		l = p.one(t)
		require.Equal(t, "alice@example.org", l.to)
		_, err = p.VerifyEmail(ctx, l.token(t), "")
		require.NoError(t, err)
		p.requireAddress(t, address{"alice@example.org", "", true}, alice)
		l = p.one(t)
		require.Equal(t, "alice@example.com", l.to)
		require.NotRegexp(t, tokenInMail, l.text)
		require.NotContains(t, l.text, "example.org", "who reads the old mails need not know the new address")
		require.Equal(t, 2, changed())

		// The one that it is already.
		_, err = p.ChangeEmail(ctx, caller, "alice@example.net", "open sesame")
		require.NoError(t, err)
		_, err = p.ChangeEmail(ctx, caller, "alice@example.org", "open sesame")
		require.NoError(t, err)
		p.requireAddress(t, address{"alice@example.org", "", true}, alice)
		require.Empty(t, p.deliver(t))

		// None.
		_, err = p.ChangeEmail(ctx, caller, "", "open sesame")
		require.NoError(t, err)
		p.requireAddress(t, address{}, alice)
		require.Equal(t, "alice@example.org", p.one(t).to)
		require.Equal(t, 3, changed())
		p.requireSignedIn(t, mine, alice)
		require.NotContains(t, p.log.String(), "example.")
		require.NotContains(t, p.log.String(), "cmsg_")
	})
}

func TestChangeEmailRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice := p.register(t, "alice", "open sesame")
		p.give(t, alice, "alice@example.com")
		caller := p.caller(t, p.login(t, "alice", "open sesame", nil).Token)
		key := caller
		key.Scopes = chat.WriteScope
		for name, c := range map[string]struct {
			caller          chat.Caller
			email, password string
			want            refusal
		}{
			"wrong password":                   {caller, "alice@example.org", "open barley", wrongPassword},
			"wrong password, and no address":   {caller, "", "open barley", wrongPassword},
			"no password":                      {caller, "alice@example.org", "", wrongPassword},
			"no address":                       {caller, "alice", "open sesame", refusal{chat.Invalid, "email_invalid", "email"}},
			"a space":                          {caller, " ", "open sesame", refusal{chat.Invalid, "email_missing", "email"}},
			"too long":                         {caller, "a@" + strings.Repeat("x", 254), "open sesame", refusal{chat.Invalid, "email_too_long", "email"}},
			"by a key":                         {key, "alice@example.org", "open sesame", refusal{chat.Forbidden, "insufficient_scope", ""}},
			"another line, for another header": {caller, "a@example.com\r\nBcc: b@example.com", "open sesame", refusal{chat.Invalid, "email_invalid", "email"}},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := p.ChangeEmail(t.Context(), c.caller, c.email, c.password)
				requireRefusal(t, c.want, err)
			})
		}
		_, err := p.UpdateMe(t.Context(), caller, chat.Profile{Email: new("alice@example.org")}, "open sesame")
		requireRefusal(t, refusal{chat.Invalid, "email_needs_password", "email"}, err)
		_, err = p.UpdateMe(t.Context(), caller, chat.Profile{About: new("text")}, "")
		require.NoError(t, err)
		p.requireAddress(t, address{"alice@example.com", "", true}, alice)
		require.Empty(t, p.deliver(t))
	})
}

// A token shows that its owner reads what is sent to the address that it went to, and
// nothing about another.
func TestVerifyEmailRefused(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, p *postOffice, alice chat.User, token string) (given string)
		want      refusal
		then      address
	}{
		"expired": {func(_ *testing.T, p *postOffice, _ chat.User, token string) string {
			p.clock = p.clock.Add(25 * time.Hour)
			return token
		}, badToken, address{"alice@example.com", "alice@example.org", true}},
		"another address since": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			_, err := p.ChangeEmail(t.Context(), chat.Caller{UserID: alice.ID, Username: "alice"}, "alice@example.net", "open sesame")
			require.NoError(t, err)
			return token
		}, badToken, address{"alice@example.com", "alice@example.net", true}},
		"another address since, of which the token has not heard": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			require.NoError(t, p.store.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.UpdateUser(alice.ID, store.UserChange{PendingEmail: new("alice@example.net")})
				return err
			}))
			return token
		}, badToken, address{"alice@example.com", "alice@example.net", true}},
		"none since": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			_, err := p.ChangeEmail(t.Context(), chat.Caller{UserID: alice.ID, Username: "alice"}, "", "open sesame")
			require.NoError(t, err)
			return token
		}, badToken, address{}},
		"changed by an administrator": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			p.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: new("al@example.com")}}, nil)
			return token
		}, badToken, address{"al@example.com", "", false}},
		"deactivated": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			p.change(t, alice, chat.AccountChange{Deactivated: &yes}, nil)
			return token
		}, deactivated, address{"alice@example.com", "alice@example.org", true}},
		"deleted": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			require.NoError(t, p.chat.DeleteAccount(t.Context(), operator, alice.ID))
			return token
		}, badToken, address{}},
		"of another purpose": {func(t *testing.T, p *postOffice, _ chat.User, _ string) string {
			return p.forget(t, "alice@example.com")
		}, badToken, address{"alice@example.com", "alice@example.org", true}},
		"another": {func(*testing.T, *postOffice, chat.User, string) string { return newToken(verifyPrefix) },
			badToken, address{"alice@example.com", "alice@example.org", true}},
		"none": {func(*testing.T, *postOffice, chat.User, string) string { return "" },
			badToken, address{"alice@example.com", "alice@example.org", true}},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *site) {
				p := newPostOffice(s)
				alice := p.register(t, "alice", "open sesame")
				p.give(t, alice, "alice@example.com")
				_, err := p.ChangeEmail(t.Context(), chat.Caller{UserID: alice.ID, Username: "alice"}, "alice@example.org", "open sesame")
				require.NoError(t, err)
				token := c.meanwhile(t, p, alice, p.one(t).token(t))
				_, err = p.VerifyEmail(t.Context(), token, "")
				requireRefusal(t, c.want, err)
				p.requireAddress(t, c.then, alice)
			})
		})
	}
}

// The address that an administrator has given is verified as another is.
func TestSendVerification(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice := p.register(t, "alice", "open sesame")
		caller := p.caller(t, p.login(t, "alice", "open sesame", nil).Token)
		requireRefusal(t, nothingToVerify, p.SendVerification(t.Context(), caller))

		p.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: new("alice@example.com")}}, nil)
		require.NoError(t, p.SendVerification(t.Context(), caller))
		first := p.one(t).token(t)
		require.NoError(t, p.SendVerification(t.Context(), caller))
		l := p.one(t)
		require.Equal(t, "alice@example.com", l.to)
		_, err := p.VerifyEmail(t.Context(), first, "")
		requireRefusal(t, badToken, err) // there is a newer one
		_, err = p.VerifyEmail(t.Context(), l.token(t), "")
		require.NoError(t, err)
		p.requireAddress(t, address{"alice@example.com", "", true}, alice)
		require.Empty(t, p.deliver(t), "it is the same address")
		requireRefusal(t, nothingToVerify, p.SendVerification(t.Context(), caller))

		_, err = p.ChangeEmail(t.Context(), caller, "alice@example.org", "open sesame")
		require.NoError(t, err)
		require.NoError(t, p.SendVerification(t.Context(), caller))
		require.Equal(t, "alice@example.org", p.one(t).to)
		key := caller
		key.Scopes = chat.WriteScope
		requireRefusal(t, refusal{chat.Forbidden, "insufficient_scope", ""}, p.SendVerification(t.Context(), key))
	})
}

// Where accounts are made when their address has been verified, that makes them.
func TestVerifyRegistration(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		p.opts.Registration, p.opts.Domains = RegistrationDomains, []string{"example.com"}
		wanted := Registration{Username: "zoe", Password: "open sesame", Email: "zoe@example.com"}
		for range 2 { // as somebody does who has not got the mail yet
			_, pending, err := p.Register(t.Context(), wanted)
			require.NoError(t, err)
			require.True(t, pending)
		}
		letters := p.deliver(t)
		require.Len(t, letters, 2)
		_, err := p.Login(t.Context(), "zoe", "open sesame", nil)
		requireRefusal(t, badCredentials, err)

		// Whoever only reads the mail can't tell who has asked for it.
		_, err = p.VerifyEmail(t.Context(), letters[0].token(t), "")
		requireRefusal(t, refusal{chat.Invalid, "password_missing", "password"}, err)
		_, err = p.VerifyEmail(t.Context(), letters[0].token(t), "another password")
		requireRefusal(t, refusal{chat.BadCredentials, "wrong_password", "password"}, err)
		zoe, err := p.VerifyEmail(t.Context(), letters[0].token(t), "open sesame")
		require.NoError(t, err)
		p.requireAddress(t, address{"zoe@example.com", "", true}, zoe)
		p.login(t, "zoe", "open sesame", nil)
		_, err = p.VerifyEmail(t.Context(), letters[0].token(t), "")
		requireRefusal(t, badToken, err)
		_, err = p.VerifyEmail(t.Context(), letters[1].token(t), "open sesame")
		requireRefusal(t, refusal{chat.Conflict, "username_taken", ""}, err)
		requireRefusal(t, badToken, p.reset(t.Context(), letters[1].token(t), "another password"))

		wanted.Username = "zara"
		_, _, err = p.Register(t.Context(), wanted)
		require.NoError(t, err)
		token := p.one(t).token(t)
		p.clock = p.clock.Add(25 * time.Hour)
		_, err = p.VerifyEmail(t.Context(), token, "")
		requireRefusal(t, badToken, err)
	})
}

// Whoever knew the password once may have asked for an address of theirs, and for the
// mail to it: neither outlives the password, whoever changes it.
func TestPendingEmailEndsWithThePassword(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, p *postOffice, alice chat.User, mine chat.Caller, reset string){
		"reset": func(t *testing.T, p *postOffice, _ chat.User, _ chat.Caller, reset string) {
			require.NoError(t, p.reset(t.Context(), reset, "another password"))
		},
		"changed": func(t *testing.T, p *postOffice, _ chat.User, mine chat.Caller, _ string) {
			require.NoError(t, p.ChangePassword(t.Context(), mine, "open sesame", "another password"))
		},
		"given by an administrator": func(t *testing.T, p *postOffice, alice chat.User, _ chat.Caller, _ string) {
			p.change(t, alice, chat.AccountChange{}, new("another password"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *site) {
				p := newPostOffice(s)
				alice := p.register(t, "alice", "open sesame")
				p.give(t, alice, "alice@example.com")
				reset := p.forget(t, "alice@example.com")
				thief := p.caller(t, p.login(t, "alice", "open sesame", nil).Token)
				_, err := p.ChangeEmail(t.Context(), thief, "thief@example.net", "open sesame")
				require.NoError(t, err)
				kept := p.one(t).token(t)
				require.NoError(t, p.SendVerification(t.Context(), thief)) // which waits
				change(t, p, alice, p.caller(t, p.login(t, "alice", "open sesame", nil).Token), reset)

				p.requireAddress(t, address{"alice@example.com", "", true}, alice)
				for _, l := range p.deliver(t) {
					require.Equal(t, "alice@example.com", l.to)
				}
				_, err = p.VerifyEmail(t.Context(), kept, "")
				requireRefusal(t, badToken, err)
			})
		})
	}
}

// Whoever invents tokens keeps nobody from writing.
func TestInventedMailTokens(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		before := p.updates.Load()
		for range 10 {
			_, err := p.VerifyEmail(t.Context(), newToken(verifyPrefix), "open sesame")
			requireRefusal(t, badToken, err)
			requireRefusal(t, badToken, p.reset(t.Context(), newToken(resetPrefix), "another password"))
		}
		require.Equal(t, before, p.updates.Load())
	})
}
