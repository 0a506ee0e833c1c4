package caddymsg_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// Two sites of one database: anybody registers at the first.
const registrationCaddyfile = `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
	}
}

http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		{$OPTIONS}
	}
}
`

type accountInvitation struct {
	ID          int64
	Token, Note string
	Creator     string
	ExpiresAt   time.Time `json:"expires_at"`
	MaxUses     int       `json:"max_uses"`
}

// newRoot signs an administrator up at the first site.
func newRoot(t *testing.T, s *frontdoor.Server) *frontdoor.Client {
	t.Helper()
	root := frontdoor.SignUp(t, s.URL, "root")
	_, err := frontdoor.OpenDatabase(t, s.Database).ExecContext(t.Context(), `UPDATE users SET admin = 1 WHERE username = 'root'`)
	require.NoError(t, err)
	return root
}

func TestRegistrationByInvitation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{
			Database:  engine.NewDatabase(t),
			Caddyfile: strings.ReplaceAll(registrationCaddyfile, "{$OPTIONS}", "registration invitation"),
		})
		root, here := newRoot(t, s), frontdoor.NewClient(t, s.URL2)
		const all, register = "/v1/admin/invitations", "POST /v1/auth/register"
		body := func(username, token string) string {
			return frontdoor.JSON(t, map[string]string{"username": username, "password": frontdoor.Password, "invitation": token})
		}

		r := root.Post(all, `{"note":"for Zoë","expires_at":"2999-01-01T00:00:00Z"}`)
		requireAnswer(t, r, 400, "expires_at_invalid", "expires_at")
		tomorrow := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
		made := decode[accountInvitation](root.Post(all, frontdoor.JSON(t, map[string]any{"note": "for Zoë", "expires_at": tomorrow})))
		require.Regexp(t, `^cmsg_inv_[A-Z2-7]{33}$`, made.Token)
		require.Equal(t, 1, made.MaxUses)
		require.Equal(t, "root", made.Creator)
		require.Equal(t, "for Zoë", made.Note)
		require.True(t, tomorrow.Equal(made.ExpiresAt), made.ExpiresAt)
		require.NotContains(t, root.Get(all).Want(200).Text, "token")
		require.Len(t, decode[[]accountInvitation](root.Get(all)), 1)

		check(t, []row{
			{"no invitation", here, register, credentials(t, "zoe", frontdoor.Password), 403, "invitation_required", "invitation"},
			{"an empty one", here, register, body("zoe", ""), 403, "invitation_required", "invitation"},
			{"another", here, register, body("zoe", made.Token+"A"), 403, "invitation_invalid", "invitation"},
			{"no text", here, register, `{"username":"zoe","password":"open sesame","invitation":7}`, 400, "malformed_request", "invitation"},
			{"refused for another reason", here, register, body("root", made.Token), 400, "username_taken", "username"},
			{"success", here, register, body("zoe", made.Token), 200, "", ""},
			{"used up", here, register, body("max", made.Token), 403, "invitation_invalid", "invitation"},
			{"of no use any more", root, "DELETE " + fmt.Sprint(all, "/", made.ID), "", 404, "invitation_not_found", ""},
			{"none is needed at the other site", frontdoor.NewClient(t, s.URL), register, body("max", made.Token), 200, "", ""},
		})
		here.Post("/v1/auth/login", credentials(t, "zoe", frontdoor.Password)).Want(200)
		requireAnswer(t, here.Post(all, ""), 403, "admin_required", "")

		// One invitation, for one, used by a dozen at once.
		wanted := decode[accountInvitation](root.Post(all, ""))
		answers := make([]*frontdoor.Response, 12)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				var err error
				answers[i], err = here.Try(t.Context(), http.MethodPost, "/v1/auth/register", body(fmt.Sprint("guest", i), wanted.Token))
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		in := 0
		for _, r := range answers {
			if r.StatusCode == 200 {
				in++
			} else {
				requireAnswer(t, r, 403, "invitation_invalid", "invitation")
			}
		}
		require.Equal(t, 1, in)
		require.Len(t, decode[[]any](root.Get("/v1/users?username-like=guest")), 1)

		revoked := decode[accountInvitation](root.Post(all, `{"max_uses":2}`))
		root.Do("DELETE", fmt.Sprint(all, "/", revoked.ID), "").Want(200)
		requireAnswer(t, here.Post("/v1/auth/register", body("eve", revoked.Token)), 403, "invitation_invalid", "invitation")
		require.Empty(t, decode[[]accountInvitation](root.Get(all)))
		for _, token := range []string{made.Token, wanted.Token, revoked.Token} {
			require.NotContains(t, s.Log(), token)
		}
	})
}

func TestRegistrationByDomain(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{})
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t),
			Caddyfile: strings.ReplaceAll(registrationCaddyfile, "{$OPTIONS}", fmt.Sprintf(`registration domains example.com Bücher.example
		smtp {
			host %s
			port %d
			ca %s
			from chat@example.com
		}`, mails.Host, mails.Port, mails.CA)),
		})
		here := frontdoor.NewClient(t, s.URL2)
		const register = "POST /v1/auth/register"
		body := func(username, email string) string {
			return frontdoor.JSON(t, map[string]string{"username": username, "password": frontdoor.Password, "email": email})
		}
		frontdoor.SignUp(t, s.URL, "taken")
		check(t, []row{
			{"no address", here, register, credentials(t, "zoe", frontdoor.Password), 400, "email_missing", "email"},
			{"another domain", here, register, body("zoe", "zoe@example.net"), 400, "email_domain_not_allowed", "email"},
			{"a domain below", here, register, body("zoe", "zoe@mail.example.com"), 400, "email_domain_not_allowed", "email"},
			{"no address at all", here, register, body("zoe", "example.com"), 400, "email_invalid", "email"},
			{"taken", here, register, body("TAKEN", "zoe@example.com"), 400, "username_taken", "username"},
		})
		for username, email := range map[string]string{"zoe": "zoe@EXAMPLE.com", "max": "max@bücher.example"} {
			r := here.Post("/v1/auth/register", body(username, email)).Want(http.StatusAccepted)
			require.JSONEq(t, `{"pending": true}`, r.Text)
		}
		verify := func(token string) *frontdoor.Response {
			return here.Post("/v1/auth/verify-email", frontdoor.JSON(t, map[string]string{"token": token, "password": frontdoor.Password}))
		}
		for _, email := range []string{"zoe@example.com", "max@xn--bcher-kva.example"} {
			name, token := email[:3], mails.Await(t, email).Token(t)
			in := credentials(t, name, frontdoor.Password)
			requireAnswer(t, here.Post("/v1/auth/login", in), 400, "bad_credentials", "")
			// Whoever only reads the mail does not make an account with a password of another's.
			for password, code := range map[string]string{"": "password_missing", "open barley": "wrong_password"} {
				r := here.Post("/v1/auth/verify-email", frontdoor.JSON(t, map[string]string{"token": token, "password": password}))
				requireAnswer(t, r, 400, code, "password")
			}
			verify(token).Want(200)
			here.Post("/v1/auth/login", in).Want(200)
			require.Equal(t, email, here.Get("/v1/me").Want(200).Field("email"))
			require.Equal(t, true, here.Get("/v1/me").Want(200).Field("email_verified"))
			requireAnswer(t, verify(token), 400, "token_invalid", "token")
		}

		// Who is verified first has the name.
		for _, email := range []string{"eve@example.com", "ada@example.com"} {
			here.Post("/v1/auth/register", body("both", email)).Want(http.StatusAccepted)
		}
		first, second := mails.Await(t, "eve@example.com").Token(t), mails.Await(t, "ada@example.com").Token(t)
		verify(second).Want(200)
		requireAnswer(t, verify(first), 400, "username_taken", "")
		require.Len(t, mails.Mails(), 4)
		// Where anybody registers, the address is verified when there is the account already.
		open := frontdoor.NewClient(t, s.URL)
		open.Post("/v1/auth/register", body("carl", "carl@example.net")).Want(200)
		open.Post("/v1/auth/login", credentials(t, "carl", frontdoor.Password)).Want(200)
		require.Equal(t, "carl@example.net", open.Get("/v1/me").Want(200).Field("pending_email"))
		verify(mails.Await(t, "carl@example.net").Token(t)).Want(200)
		require.Equal(t, "carl@example.net", open.Get("/v1/me").Want(200).Field("email"))
	})
}
