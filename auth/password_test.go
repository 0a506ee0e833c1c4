package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

var (
	noMail        = refusal{chat.Unsupported, "mail_not_configured", ""}
	badToken      = refusal{chat.Invalid, "token_invalid", "token"}
	wrongPassword = refusal{chat.BadCredentials, "wrong_password", "password"}
	wrongCurrent  = refusal{chat.BadCredentials, "wrong_password", "current_password"}
)

// letter is a mail as it arrives.
type letter struct{ to, subject, text string }

var tokenInMail = regexp.MustCompile(`cmsg_(reset|mail)_[A-Z2-7]+`)

// token is the one that a letter brings.
func (l letter) token(tb testing.TB) string {
	tb.Helper()
	token := tokenInMail.FindString(l.text)
	require.NotEmpty(tb, token, l.text)
	return token
}

// postOffice is a site that sends mails. Its clock shows the time, as that of its mails
// does.
type postOffice struct {
	*site
	mailing *Mailing
	sent    []letter
}

func newPostOffice(s *site) *postOffice {
	p := &postOffice{site: s}
	p.clock = time.Now().UTC().Truncate(time.Microsecond)
	p.opts.WakeMailing = func() {}
	p.mailing = NewMailing(s.store, MailingOptions{
		Send: func(_ context.Context, to string, l mail.Letter) error {
			if !strings.HasPrefix(l.Subject, "New sign-in") { // of which other tests tell
				p.sent = append(p.sent, letter{to, l.Subject, l.Text})
			}
			return nil
		},
		Site: mail.Site{Name: "chat.example.com"},
	}, p.Service.log)
	return p
}

// deliver sends what waits, and returns it.
func (p *postOffice) deliver(tb testing.TB) []letter {
	tb.Helper()
	p.sent = nil
	for tries := 0; p.waiting(tb) > 0; tries++ {
		require.Less(tb, tries, 100, "a mail waits for another time")
		_, err := p.mailing.attempt(context.Background(), time.Now())
		require.NoError(tb, err)
	}
	return p.sent
}

func (p *postOffice) waiting(tb testing.TB) (waiting int) {
	tb.Helper()
	require.NoError(tb, p.store.View(context.Background(), func(tx *store.Tx) (err error) {
		waiting, _, err = tx.MailQueue()
		return err
	}))
	return waiting
}

// one is the only letter that waits.
func (p *postOffice) one(tb testing.TB) letter {
	tb.Helper()
	letters := p.deliver(tb)
	require.Len(tb, letters, 1)
	return letters[0]
}

// give gives an account a verified address.
func (p *postOffice) give(tb testing.TB, user chat.User, email string) {
	tb.Helper()
	require.NoError(tb, p.store.Update(context.Background(), func(tx *store.Tx) error {
		_, err := tx.UpdateUser(user.ID, store.UserChange{Email: &email, EmailVerifiedAt: &p.clock})
		return err
	}))
}

// reset is ResetPassword, without whose it is.
func (s *site) reset(ctx context.Context, token, password string) error {
	_, err := s.ResetPassword(ctx, token, password)
	return err
}

func (p *postOffice) user(tb testing.TB, id int64) (user chat.User) {
	tb.Helper()
	require.NoError(tb, p.store.View(context.Background(), func(tx *store.Tx) (err error) {
		user, err = tx.FindUserByID(id)
		return err
	}))
	return user
}

// forget asks for a mail to choose another password with, and returns its token.
func (p *postOffice) forget(tb testing.TB, email string) string {
	tb.Helper()
	require.NoError(tb, p.ForgotPassword(context.Background(), email))
	return p.one(tb).token(tb)
}

func TestChangePassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice, bob := p.register(t, "alice", "open sesame"), p.register(t, "bob", "open sesame")
		p.give(t, alice, "alice@example.com")
		forgotten := p.forget(t, "alice@example.com")
		require.NoError(t, p.ForgotPassword(t.Context(), "alice@example.com"))
		_, err := p.mailing.claim(t.Context(), time.Now()) // by which another one waits
		require.NoError(t, err)
		require.Equal(t, 1, p.waiting(t))
		mine, other := p.login(t, "alice", "open sesame", nil).Token, p.login(t, "alice", "open sesame", nil).Token
		key := p.openKind(t, alice, store.KeySession)
		bobs := p.login(t, "bob", "open sesame", nil).Token
		p.told()
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})

		require.NoError(t, p.ChangePassword(ctx, p.caller(t, mine), "open sesame", "another password"))
		p.requireSignedIn(t, mine, alice)
		p.requireSignedOut(t, other)
		p.requireSignedOut(t, key)
		p.requireSignedIn(t, bobs, bob)
		require.Equal(t, []string{
			fmt.Sprintf(`session.ended, by %[1]d, of %[1]d: {"all_but":%[2]d}`, alice.ID, p.sessionID(t, mine)),
		}, p.told())
		_, err = p.Login(t.Context(), "alice", "open sesame", nil)
		requireRefusal(t, badCredentials, err)
		p.login(t, "alice", "another password", nil)

		audited := p.audited(t)
		require.Contains(t, audited, chat.AuditEntry{
			Action: chat.UserPasswordChanged, ActorID: alice.ID, UserID: alice.ID, Address: "192.0.2.7",
		})
		told := p.one(t)
		require.Equal(t, "alice@example.com", told.to)
		require.Contains(t, told.subject, "password")
		require.NotRegexp(t, tokenInMail, told.text)
		requireRefusal(t, badToken, p.reset(t.Context(), forgotten, "a third password"))
	})
}

// openKind opens a session of some kind, and returns its token.
func (s *site) openKind(tb testing.TB, user chat.User, kind string) []byte {
	tb.Helper()
	token := []byte("token of a " + kind)
	require.NoError(tb, s.store.Update(context.Background(), func(tx *store.Tx) error {
		return tx.CreateSession(&store.Session{
			Kind: kind, TokenHash: hashToken(token), UserID: user.ID, CreatedAt: s.clock, ExpiresAt: s.clock.Add(lifetime),
		})
	}))
	return token
}

func TestChangePasswordRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		token, other := s.login(t, "alice", "open sesame", nil).Token, s.login(t, "alice", "open sesame", nil).Token
		caller := s.caller(t, token)
		key, renamed := caller, caller
		key.Scopes, renamed.Username = chat.WriteScope, "bob"
		s.register(t, "bob", "open sesame")
		for name, c := range map[string]struct {
			caller            chat.Caller
			current, password string
			want              refusal
		}{
			"wrong current one": {caller, "open barley", "another password", wrongCurrent},
			"no current one":    {caller, "", "another password", wrongCurrent},
			"nothing":           {caller, "open sesame", "", refusal{chat.Invalid, "password_missing", "password"}},
			"too short":         {caller, "open sesame", "7 chars", refusal{chat.Invalid, "password_too_short", "password"}},
			"too long":          {caller, "open sesame", strings.Repeat("x", 73), refusal{chat.Invalid, "password_too_long", "password"}},
			"a common one":      {caller, "open sesame", "12345678", refusal{chat.Invalid, "password_too_common", "password"}},
			"by a key":          {key, "open sesame", "another password", refusal{chat.Forbidden, "insufficient_scope", ""}},
			"another is called so since a moment ago": {renamed, "open sesame", "another password", wrongCurrent},
		} {
			t.Run(name, func(t *testing.T) {
				requireRefusal(t, c.want, s.ChangePassword(t.Context(), c.caller, c.current, c.password))
			})
		}
		s.requireSignedIn(t, other, alice)
		s.login(t, "alice", "open sesame", nil)
	})
}

// A session by username and password stands for the password that it came by.
func TestChangePasswordByBasic(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		token := s.openKind(t, alice, store.BasicSession)
		require.NoError(t, s.ChangePassword(t.Context(), s.caller(t, token), "open sesame", "another password"))
		s.requireSignedOut(t, token)
	})
}

// Of two who change a password at once, with the same current one, one fails: it is not
// the current one any more.
func TestChangePasswordAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		alice := s.register(t, "alice", "open sesame")
		caller := s.caller(t, s.login(t, "alice", "open sesame", nil).Token)
		hash := "another one's"
		release := s.holdWriter(t, func(tx *store.Tx) error {
			_, err := tx.UpdateUser(alice.ID, store.UserChange{PasswordHash: &hash})
			return err
		})
		answered := make(chan error, 1)
		go func() {
			answered <- s.ChangePassword(context.Background(), caller, "open sesame", "another password")
		}()
		require.Eventually(t, func() bool { return s.store.Stats().Waiting == 1 }, 10*time.Second, time.Millisecond)
		release()
		requireRefusal(t, wrongCurrent, <-answered)
	})
}

// The same work is done, and the same answer given, whether there is an account or not.
// What differs is done behind the answer.
func TestForgotPasswordTellsNothing(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		p.give(t, p.register(t, "alice", "open sesame"), "alice@example.com")
		woken := 0
		p.opts.WakeMailing = func() { woken++ }
		for _, email := range []string{"alice@example.com", "nobody@example.com"} {
			updates, before := p.updates.Load(), woken
			require.NoError(t, p.ForgotPassword(t.Context(), email))
			require.EqualValues(t, 1, p.updates.Load()-updates)
			require.Equal(t, 1, woken-before)
			require.Equal(t, 1, p.waiting(t))
			require.Len(t, p.deliver(t), strings.Count(email, "alice"))
		}
		require.NotContains(t, p.log.String(), "example.com")
	})
}

func TestForgotPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice, alicia := p.register(t, "alice", "open sesame"), p.register(t, "alicia", "open sesame")
		gone, shut := p.register(t, "gone", "open sesame"), p.register(t, "shut", "open sesame")
		p.give(t, alice, "alice@example.com")
		p.give(t, alicia, "Alice@Example.com")
		p.give(t, gone, "alice@example.com")
		p.give(t, shut, "alice@example.com")
		yes := true
		p.change(t, shut, chat.AccountChange{Deactivated: &yes}, nil)
		require.NoError(t, p.chat.DeleteAccount(t.Context(), operator, gone.ID))
		p.deliver(t)

		require.NoError(t, p.ForgotPassword(t.Context(), "ALICE@example.com"))
		letters := p.deliver(t)
		require.Len(t, letters, 2)
		for i, want := range []struct{ to, username string }{{"alice@example.com", "alice"}, {"Alice@Example.com", "alicia"}} {
			require.Equal(t, want.to, letters[i].to)
			require.Contains(t, letters[i].text, "“"+want.username+"”")
			require.Regexp(t, `cmsg_reset_[A-Z2-7]{33}\n`, letters[i].text)
		}
		require.NotEqual(t, letters[0].token(t), letters[1].token(t))

		for email, want := range map[string]refusal{
			"":                                    {chat.Invalid, "email_missing", "email"},
			"alice":                               {chat.Invalid, "email_invalid", "email"},
			"Alice <alice@example.com>":           {chat.Invalid, "email_invalid", "email"},
			"a@example.com\r\nBcc: b@example.com": {chat.Invalid, "email_invalid", "email"},
			"a@" + strings.Repeat("x", 254):       {chat.Invalid, "email_too_long", "email"},
		} {
			requireRefusal(t, want, p.ForgotPassword(t.Context(), email))
		}
		require.Empty(t, p.deliver(t))
	})
}

// A site without pages has its mails say where a program sends their tokens; what another
// site of the same database has queued keeps what that has said.
func TestResetWithoutPages(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice := p.register(t, "alice", "open sesame")
		p.give(t, alice, "alice@example.com")
		p.opts.NoPages, p.opts.ResetAt = true, "/api/reset-password"
		require.NoError(t, p.ForgotPassword(t.Context(), "alice@example.com"))
		p.opts.NoPages, p.opts.ResetAt = false, ""
		mailed := p.one(t)
		require.Contains(t, mailed.text, "/api/reset-password:\n"+mailed.token(t))
		require.Contains(t, mailed.text, "“alice”")
		user, err := p.ResetPassword(t.Context(), mailed.token(t), "another password")
		require.NoError(t, err)
		require.Equal(t, alice.ID, user.ID)
		require.Equal(t, "alice@example.com", user.Email)
		p.deliver(t)

		require.NoError(t, p.ForgotPassword(t.Context(), "alice@example.com"))
		require.NotContains(t, p.one(t).text, "/api/")
	})
}

func TestResetPassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice, bob := p.register(t, "alice", "open sesame"), p.register(t, "bob", "open sesame")
		email := "alice@example.com"
		p.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: &email}}, nil)
		mine, key := p.login(t, "alice", "open sesame", nil).Token, p.openKind(t, alice, store.KeySession)
		bobs := p.login(t, "bob", "open sesame", nil).Token
		first := p.forget(t, "alice@example.com")
		token := p.forget(t, "alice@example.com")
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})

		requireRefusal(t, badToken, p.reset(ctx, first, "another password")) // there is a newer one
		for password, code := range map[string]string{
			"": "password_missing", "7 chars": "password_too_short", "12345678": "password_too_common", "alice": "password_too_short",
		} {
			requireRefusal(t, refusal{chat.Invalid, code, "password"}, p.reset(ctx, token, password))
		}
		p.requireSignedIn(t, mine, alice)
		require.False(t, p.user(t, alice.ID).EmailVerifiedAt.Equal(p.clock))

		require.NoError(t, p.reset(ctx, token, "another password"))
		told := p.one(t) // before one tells of the sign-in below
		require.Equal(t, "alice@example.com", told.to)
		require.NotRegexp(t, tokenInMail, told.text)
		p.requireSignedOut(t, mine)
		p.requireSignedOut(t, key)
		p.requireSignedIn(t, bobs, bob)
		_, err := p.Login(t.Context(), "alice", "open sesame", nil)
		requireRefusal(t, badCredentials, err)
		p.login(t, "alice", "another password", nil)
		require.Equal(t, p.clock, p.user(t, alice.ID).EmailVerifiedAt, "the owner has shown to read what is sent there")
		require.Contains(t, p.audited(t), chat.AuditEntry{
			Action: chat.UserPasswordReset, ActorID: alice.ID, UserID: alice.ID, Address: "192.0.2.7",
		})

		requireRefusal(t, badToken, p.reset(ctx, token, "a third password"))
		p.login(t, "alice", "another password", nil)
		require.NotContains(t, p.log.String(), "cmsg_")
	})
}

// What may become of a token that is good.
func TestResetPasswordRefused(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		meanwhile func(t *testing.T, p *postOffice, alice chat.User, token string) (given string)
		want      refusal
	}{
		"expired": {func(_ *testing.T, p *postOffice, _ chat.User, token string) string {
			p.clock = p.clock.Add(31 * time.Minute)
			return token
		}, badToken},
		"another address": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			email := "alice@example.org"
			p.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: &email}}, nil)
			return token
		}, badToken},
		"another password": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			another := "another password"
			p.change(t, alice, chat.AccountChange{}, &another)
			return token
		}, badToken},
		"deleted": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			require.NoError(t, p.chat.DeleteAccount(t.Context(), operator, alice.ID))
			return token
		}, badToken},
		"deactivated": {func(t *testing.T, p *postOffice, alice chat.User, token string) string {
			p.change(t, alice, chat.AccountChange{Deactivated: &yes}, nil)
			return token
		}, deactivated},
		"of another purpose": {func(t *testing.T, p *postOffice, alice chat.User, _ string) string {
			_, err := p.ChangeEmail(t.Context(), chat.Caller{UserID: alice.ID, Username: "alice"}, "alice@example.net", "open sesame")
			require.NoError(t, err)
			return p.one(t).token(t)
		}, badToken},
		"cut off": {func(_ *testing.T, _ *postOffice, _ chat.User, token string) string {
			return token[:len(token)-1]
		}, badToken},
		"another": {func(*testing.T, *postOffice, chat.User, string) string { return newToken(resetPrefix) }, badToken},
		"none":    {func(*testing.T, *postOffice, chat.User, string) string { return "" }, badToken},
	} {
		t.Run(name, func(t *testing.T) {
			onEachEngine(t, func(t *testing.T, s *site) {
				p := newPostOffice(s)
				alice := p.register(t, "alice", "open sesame")
				p.give(t, alice, "alice@example.com")
				token := c.meanwhile(t, p, alice, p.forget(t, "alice@example.com"))
				hash := p.user(t, alice.ID).PasswordHash
				requireRefusal(t, c.want, p.reset(t.Context(), token, "a third password"))
				require.Equal(t, hash, p.user(t, alice.ID).PasswordHash)
			})
		})
	}
}

// Of two who use the same token at once, one wins.
func TestResetPasswordAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		p.give(t, p.register(t, "alice", "open sesame"), "alice@example.com")
		token := p.forget(t, "alice@example.com")
		answers := make(chan error, 2)
		for _, password := range []string{"another password", "a third password"} {
			go func() { answers <- p.reset(context.Background(), token, password) }()
		}
		first, second := <-answers, <-answers
		require.NotEqual(t, first == nil, second == nil, "%v, %v", first, second)
		requireRefusal(t, badToken, errors.Join(first, second))
	})
}

// A site that sends no mails says so, and does nothing.
func TestWithoutMail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		caller := s.caller(t, s.login(t, "alice", "open sesame", nil).Token)
		requireRefusal(t, noMail, s.ForgotPassword(t.Context(), "alice@example.com"))
		requireRefusal(t, noMail, s.reset(t.Context(), newToken(resetPrefix), "another password"))
		requireRefusal(t, noMail, s.SendVerification(t.Context(), caller))
		_, err := s.ChangeEmail(t.Context(), caller, "alice@example.com", "open sesame")
		requireRefusal(t, noMail, err)

		email := "alice@example.com"
		for password, want := range map[string]refusal{
			"": {chat.Invalid, "email_needs_password", "current_password"}, "open barley": wrongCurrent,
		} {
			_, err = s.UpdateMe(t.Context(), caller, chat.Profile{Email: &email, About: new("lost")}, password)
			requireRefusal(t, want, err)
		}
		_, err = s.UpdateMe(t.Context(), caller, chat.Profile{Email: new("alice")}, "")
		requireRefusal(t, refusal{chat.Invalid, "email_invalid", "email"}, err)
		me, err := s.UpdateMe(t.Context(), caller, chat.Profile{About: new("kept")}, "")
		require.NoError(t, err)
		require.Empty(t, me.Email)
		me, err = s.UpdateMe(t.Context(), caller, chat.Profile{Email: &email}, "open sesame")
		require.NoError(t, err)
		require.Equal(t, email, me.Email)
		require.Equal(t, "kept", me.About)
		me, err = s.ChangeEmail(t.Context(), caller, "", "open sesame")
		require.NoError(t, err)
		require.Empty(t, me.Email)
		require.NoError(t, s.ChangePassword(t.Context(), caller, "open sesame", "another password"))
	})
}

// Mails to an address are counted whether it is an account's or not, in upper and lower
// case, and for where they were asked for; however they are had.
func TestMailsAreLimited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		p.opts.Limits = limit.New(p.store, nil)
		p.opts.Limits.Configure(map[limit.Name]limit.Rate{
			limit.Reset:        {Events: 2, Per: time.Hour, Burst: 2},
			limit.ResetAddress: {Events: 5, Per: time.Hour, Burst: 5},
		})
		p.give(t, p.register(t, "alice", "open sesame"), "alice@example.com")
		caller := p.caller(t, p.login(t, "alice", "open sesame", nil).Token)
		tooMany := refusal{chat.TooMany, "too_many_attempts", ""}
		here := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})
		there := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.8")})
		for _, address := range []string{"alice", "nobody"} {
			require.NoError(t, p.ForgotPassword(here, address+"@example.com"))
			require.NoError(t, p.ForgotPassword(here, strings.ToUpper(address)+"@EXAMPLE.com"))
			requireRefusal(t, tooMany, p.ForgotPassword(here, address+"@example.com"))
			requireRefusal(t, tooMany, p.ForgotPassword(there, address+"@example.com"))
		}
		_, err := p.ChangeEmail(here, caller, "new@example.com", "open barley")
		requireRefusal(t, wrongPassword, err) // which sends no mail
		_, err = p.ChangeEmail(here, caller, "new@example.com", "open sesame")
		require.NoError(t, err)
		requireRefusal(t, tooMany, p.SendVerification(here, caller))
		require.NoError(t, p.SendVerification(there, caller))
		requireRefusal(t, tooMany, p.SendVerification(there, caller))
		_, err = p.ChangeEmail(there, caller, "nobody@example.com", "open sesame")
		requireRefusal(t, tooMany, err)
	})
}
