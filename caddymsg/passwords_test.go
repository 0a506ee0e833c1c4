package caddymsg_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// plainMailSite is a site on a port that sends mails, in the clear, and has another
// address as its own.
func plainMailSite(port string, server *smtptest.Server, options ...string) string {
	return lifeSite(port, append(options, "database {env.DATABASE}", "bcrypt_cost 4", "public_url http://127.0.0.1:"+port,
		fmt.Sprintf("smtp {\nhost %s\nport %d\ntls off\nfrom chat@example.com\n}", server.Host, server.Port))...)
}

type meAnswer struct {
	Username      string `json:"username"`
	Email         string `json:"email"`
	EmailVerified bool   `json:"email_verified"`
	PendingEmail  string `json:"pending_email"`
}

// awaitMail waits for a mail to an address, with some words in its subject. Others that
// come there, of sign-ins, are left aside.
func awaitMail(t *testing.T, post *smtptest.Server, to, subject string) smtptest.Mail {
	t.Helper()
	for {
		if m := post.Await(t, to); strings.Contains(m.Subject, subject) {
			return m
		}
	}
}

// What is in the subjects of mails.
const (
	aboutReset        = "Reset your password"
	aboutVerification = "Confirm your e-mail address"
	aboutPassword     = "password at 127.0.0.1 was changed"
	aboutAddress      = "address at 127.0.0.1 was changed"
)

// signIn signs in as somebody who has an account.
func signIn(t *testing.T, base, username, password string) *frontdoor.Client {
	t.Helper()
	c := frontdoor.NewClient(t, base)
	c.Post("/v1/auth/login", credentials(t, username, password)).Want(200)
	return c
}

func TestPasswordsAndAddresses(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		post := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: plainMailSite("{$PORT}", post)})
		for _, part := range []struct {
			name string
			test func(*testing.T, *frontdoor.Server, *smtptest.Server)
		}{
			{"change of a password", passwordChange},
			{"a forgotten password", passwordReset},
			{"an address", emailChange},
			{"an address of nobody", sameAnswer},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, s, post) })
		}
		require.NotContains(t, s.Log(), "cmsg_")
	})
}

func passwordChange(t *testing.T, s *frontdoor.Server, post *smtptest.Server) {
	alice := frontdoor.SignUp(t, s.URL, "alice")
	other := signIn(t, s.URL, "alice", frontdoor.Password)
	addEmail(t, alice, post, "alice@example.com")
	const route = "POST /v1/me/password"
	check(t, []row{
		{"wrong", alice, route, `{"current_password":"x","password":"another password"}`, 400, "wrong_password", "current_password"},
		{"short", alice, route, `{"current_password":"open sesame","password":"short"}`, 400, "password_too_short", "password"},
		{"nothing", alice, route, `{"password":"another password"}`, 400, "malformed_request", "current_password"},
		{"nobody", frontdoor.NewClient(t, s.URL), route, `{}`, 401, "unauthenticated", ""},
	})
	other.Get("/v1/me").Want(200)
	require.Equal(t, "{}\n", alice.Post("/v1/me/password", `{"current_password":"open sesame","password":"another password"}`).Want(200).Text)
	alice.Get("/v1/me").Want(200)
	other.Get("/v1/me").Want(401)
	requireAnswer(t, other.Post("/v1/auth/login", credentials(t, "alice", frontdoor.Password)), 400, "bad_credentials", "")
	signIn(t, s.URL, "alice", "another password")
	awaitMail(t, post, "alice@example.com", aboutPassword)
}

// addEmail gives an account a verified address, where it had none.
func addEmail(t *testing.T, c *frontdoor.Client, post *smtptest.Server, email string) {
	t.Helper()
	c.Do("PUT", "/v1/me/email", frontdoor.JSON(t, map[string]string{"email": email, "password": frontdoor.Password})).Want(200)
	verify(t, c, awaitMail(t, post, email, aboutVerification).Token(t)).Want(200)
}

func verify(t *testing.T, c *frontdoor.Client, token string) *frontdoor.Response {
	t.Helper()
	return c.Post("/v1/auth/verify-email", frontdoor.JSON(t, map[string]string{"token": token}))
}

func reset(t *testing.T, c *frontdoor.Client, token, password string) *frontdoor.Response {
	t.Helper()
	return c.Post("/v1/auth/reset-password", frontdoor.JSON(t, map[string]string{"token": token, "password": password}))
}

func passwordReset(t *testing.T, s *frontdoor.Server, post *smtptest.Server) {
	bob := frontdoor.SignUp(t, s.URL, "bob")
	addEmail(t, bob, post, "bob@example.com")
	nobody := frontdoor.NewClient(t, s.URL)
	// A page of another host would get the token, if the mail led there.
	nobody.Do("POST", "/v1/auth/forgot-password", `{"email":"BOB@example.com"}`,
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example").Want(200)
	letter := awaitMail(t, post, "bob@example.com", aboutReset)
	token := letter.Token(t)
	require.Contains(t, letter.Text, s.URL+"/v1/auth/reset-password#"+token)
	require.Contains(t, letter.Text, "“bob”")
	require.NotContains(t, letter.Raw, "evil")

	requireAnswer(t, reset(t, nobody, token, "short"), 400, "password_too_short", "password")
	requireAnswer(t, reset(t, nobody, token, "12345678"), 400, "password_too_common", "password")
	bob.Get("/v1/me").Want(200)
	reset(t, nobody, token, "another password").Want(200)
	bob.Get("/v1/me").Want(401)
	requireAnswer(t, reset(t, nobody, token, "a third password"), 400, "token_invalid", "token")
	requireAnswer(t, reset(t, nobody, "cmsg_reset_x", "a third password"), 400, "token_invalid", "token")
	signIn(t, s.URL, "bob", "another password")
	require.NotContains(t, awaitMail(t, post, "bob@example.com", aboutPassword).Raw, "cmsg_")
}

func emailChange(t *testing.T, s *frontdoor.Server, post *smtptest.Server) {
	carol := frontdoor.SignUp(t, s.URL, "carol")
	me := func() meAnswer { return decode[meAnswer](carol.Get("/v1/me")) }
	const route = "PUT /v1/me/email"
	check(t, []row{
		{"wrong", carol, route, `{"email":"carol@example.com","password":"x"}`, 400, "wrong_password", "password"},
		{"no address", carol, route, `{"email":"carol","password":"open sesame"}`, 400, "email_invalid", "email"},
		{"nobody", frontdoor.NewClient(t, s.URL), route, `{}`, 401, "unauthenticated", ""},
		{"without the password", carol, "PATCH /v1/me", `{"email":"carol@example.com"}`, 400, "email_needs_password", "email"},
		{"nothing to verify", carol, "POST /v1/me/email/verification", "", 400, "nothing_to_verify", ""},
	})
	change := func(email string) meAnswer {
		t.Helper()
		return decode[meAnswer](carol.Do("PUT", "/v1/me/email", frontdoor.JSON(t, map[string]string{"email": email, "password": frontdoor.Password})))
	}
	want := meAnswer{Username: "carol", PendingEmail: "carol@example.com"}
	require.Equal(t, want, change("carol@example.com"))
	require.Equal(t, want, me())
	first := awaitMail(t, post, "carol@example.com", aboutVerification).Token(t)
	carol.Post("/v1/me/email/verification", "").Want(200)
	letter := awaitMail(t, post, "carol@example.com", aboutVerification)
	require.Contains(t, letter.Text, s.URL+"/v1/auth/verify-email#"+letter.Token(t))
	nobody := frontdoor.NewClient(t, s.URL)
	requireAnswer(t, verify(t, nobody, first), 400, "token_invalid", "token")
	r := verify(t, nobody, letter.Token(t)).Want(200)
	require.JSONEq(t, `{"username":"carol","email":"carol@example.com"}`, r.Text)
	requireAnswer(t, verify(t, nobody, letter.Token(t)), 400, "token_invalid", "token")
	want = meAnswer{Username: "carol", Email: "carol@example.com", EmailVerified: true}
	require.Equal(t, want, me())

	change("carol@example.org")
	token := awaitMail(t, post, "carol@example.org", aboutVerification).Token(t)
	want.PendingEmail = "carol@example.net"
	require.Equal(t, want, change("carol@example.net"))
	requireAnswer(t, verify(t, nobody, token), 400, "token_invalid", "token") // for an address that she does not want any more
	verify(t, nobody, awaitMail(t, post, "carol@example.net", aboutVerification).Token(t)).Want(200)
	require.Contains(t, awaitMail(t, post, "carol@example.com", aboutAddress).Text, "“carol”")
	require.Equal(t, meAnswer{Username: "carol", Email: "carol@example.net", EmailVerified: true}, me())
	require.Equal(t, meAnswer{Username: "carol"}, change(""))
	awaitMail(t, post, "carol@example.net", aboutAddress)
}

// Whether there is an account can't be told from the answer.
func sameAnswer(t *testing.T, s *frontdoor.Server, post *smtptest.Server) {
	dave := frontdoor.SignUp(t, s.URL, "dave")
	addEmail(t, dave, post, "dave@example.com")
	c := frontdoor.NewClient(t, s.URL)
	answer := func(email string) (string, http.Header) {
		r := c.Post("/v1/auth/forgot-password", frontdoor.JSON(t, map[string]string{"email": email})).Want(200)
		header := maps.Clone(r.Header)
		delete(header, "Date")
		return r.Text, header
	}
	known, knownHeader := answer("dave@example.com")
	unknown, unknownHeader := answer("nobody@example.com")
	require.Equal(t, known, unknown)
	require.Equal(t, knownHeader, unknownHeader)
	require.Equal(t, "{}\n", known)
	awaitMail(t, post, "dave@example.com", aboutReset)
	require.False(t, slices.ContainsFunc(post.Mails(), func(m smtptest.Mail) bool { return m.To == "nobody@example.com" }))
}

// A site that sends no mails says so: to who asks, and to its operator.
func TestMailNotConfigured(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{})
	alice, nobody := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.NewClient(t, s.URL)
	check(t, []row{
		{"forgot", nobody, "POST /v1/auth/forgot-password", `{"email":"alice@example.com"}`, 501, "mail_not_configured", ""},
		{"reset", nobody, "POST /v1/auth/reset-password", `{"token":"x","password":"another password"}`, 501, "mail_not_configured", ""},
		{"address", alice, "PUT /v1/me/email", `{"email":"alice@example.com","password":"open sesame"}`, 501, "mail_not_configured", ""},
		{"again", alice, "POST /v1/me/email/verification", "", 501, "mail_not_configured", ""},
	})
	lifeEventually(t, "a warning for each", func() bool {
		told := 0
		for line := range strings.Lines(s.Log()) {
			if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, "This site sends no mails") {
				told++
			}
		}
		return told == 4
	})
	check(t, []row{
		{"without the password", alice, "PATCH /v1/me", `{"email":"alice@example.com"}`, 400, "email_needs_password", "current_password"},
		{"wrong password", alice, "PATCH /v1/me", `{"email":"alice@example.com","current_password":"wrong"}`, 400, "wrong_password", "current_password"},
	})
	alice.Do("PATCH", "/v1/me", `{"email":"alice@example.com","current_password":"open sesame"}`).Want(200)
	alice.Do("PUT", "/v1/me/email", `{"email":"","password":"open sesame"}`).Want(200)
}
