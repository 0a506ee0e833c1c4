package caddymsg_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// publicURL is where mails lead to.
const publicURL = "https://chat.example.com"

// mailedSite is a site that answers whatever Host a request names, and sends mails to a
// server of the test's. It trusts whoever asks to say from which address they do.
func mailedSite(server *smtptest.Server, options ...string) string {
	return `
{
	auto_https off
	servers {
		trusted_proxies static 127.0.0.1
	}
}
:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		public_url ` + publicURL + `
		smtp {
			host ` + server.Host + `
			port ` + strconv.Itoa(server.Port) + `
			tls off
			from "The Chat <chat@example.com>"
		}
		` + strings.Join(options, "\n") + `
	}
}
`
}

// mailAbout waits for the next mail that somebody gets about something.
func mailAbout(t *testing.T, mails *smtptest.Server, to, subject string) smtptest.Mail {
	t.Helper()
	for {
		if m := mails.Await(t, to); strings.Contains(m.Subject, subject) {
			return m
		}
	}
}

// verified makes an account whose owner has shown to read what is sent to an address.
func verified(t *testing.T, base string, mails *smtptest.Server, username, email string) *frontdoor.Client {
	t.Helper()
	c := frontdoor.SignUp(t, base, username)
	c.Do("PUT", "/v1/me/email", frontdoor.JSON(t, map[string]string{"email": email, "password": frontdoor.Password})).Want(200)
	c.Post("/v1/auth/verify-email", frontdoor.JSON(t, map[string]string{"token": mailAbout(t, mails, email, "Confirm").Token(t)})).Want(200)
	require.Equal(t, email, c.Get("/v1/me").Field("email"))
	return c
}

// Somebody asks for a victim's reset, with headers that would make the link in the mail
// lead to the attacker, and the token with it.
func TestAttackResetLinkPoisoning(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: mailedSite(mails, "rate_limits off"),
		})
		const address = "victim@example.com"
		verified(t, s.URL, mails, "victim", address)
		link := regexp.MustCompile(`https?://[^\s"'<>]+`)
		for _, header := range poisons {
			t.Run(strings.Join(header, " "), func(t *testing.T) {
				status, _ := poisoned(t, frontdoor.NewClient(t, s.URL), "POST", s.URL+"/v1/auth/forgot-password",
					frontdoor.JSON(t, map[string]string{"email": address}), header)
				require.Equal(t, 200, status)
				m := mailAbout(t, mails, address, "Reset")
				require.NotContains(t, m.Raw, "evil.example")
				links := append(link.FindAllString(m.Text, -1), link.FindAllString(m.HTML, -1)...)
				require.NotEmpty(t, links)
				for _, to := range links {
					require.Equal(t, publicURL+"/v1/auth/reset-password#"+m.Token(t), to)
				}
			})
		}
		t.Run("the account must not be named by the request", func(t *testing.T) {
			for _, body := range []string{
				`{"email":"victim@example.com,mallory@evil.example"}`, `{"email":"victim@example.com\nBcc: mallory@evil.example"}`,
				`{"email":["victim@example.com","mallory@evil.example"]}`, `{"email":"victim@example.com","to":"mallory@evil.example","url":"https://evil.example"}`,
				`{"email":"victim@example.com","email":"mallory@evil.example"}`, `{"email":"<mallory@evil.example> victim@example.com"}`,
			} {
				_, _ = poisoned(t, frontdoor.NewClient(t, s.URL), "POST", s.URL+"/v1/auth/forgot-password", body, nil)
			}
			require.False(t, slices.ContainsFunc(mails.Mails(), func(m smtptest.Mail) bool {
				return strings.Contains(m.To, "evil.example") || strings.Contains(m.Raw, "evil.example")
			}))
		})
	})
}

// Somebody finds the mail, or the browser's history, of a reset that is done.
func TestAttackResetTokenReplay(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: mailedSite(mails, "rate_limits off"),
		})
		const address = "victim@example.com"
		victim := verified(t, s.URL, mails, "victim", address)
		stranger := frontdoor.NewClient(t, s.URL)
		ask := func(t *testing.T) string {
			t.Helper()
			stranger.Post("/v1/auth/forgot-password", `{"email":"`+address+`"}`).Want(200)
			return mailAbout(t, mails, address, "Reset").Token(t)
		}
		reset := func(token, password string) *frontdoor.Response {
			return stranger.Post("/v1/auth/reset-password", frontdoor.JSON(t, map[string]string{"token": token, "password": password}))
		}
		refused := func(t *testing.T, token string) {
			t.Helper()
			requireAnswer(t, reset(token, "chosen by mallory"), 400, "token_invalid", "token")
			requireAnswer(t, stranger.Post("/v1/auth/login", credentials(t, "victim", "chosen by mallory")), 400, "bad_credentials", "")
		}
		t.Run("used", func(t *testing.T) {
			token := ask(t)
			requireAnswer(t, reset(token, "short"), 400, "password_too_short", "password")
			victim.Get("/v1/me").Want(200)
			r := reset(token, "chosen by its owner").Want(200)
			require.Empty(t, r.Header["Set-Cookie"], "it does not sign in")
			victim.Get("/v1/me").Want(401)
			mailAbout(t, mails, address, "password at chat.example.com was changed")
			refused(t, token)
		})
		t.Run("replaced by another", func(t *testing.T) {
			first := ask(t)
			second := ask(t)
			require.NotEqual(t, first, second)
			refused(t, first)
			reset(second, "chosen once more").Want(200)
		})
		t.Run("expired", func(t *testing.T) {
			token := ask(t)
			_, err := frontdoor.OpenDatabase(t, s.Database).Exec(`UPDATE one_time_tokens SET expires_at = created_at`)
			require.NoError(t, err)
			refused(t, token)
		})
		t.Run("after the password was changed otherwise", func(t *testing.T) {
			token := ask(t)
			c := frontdoor.NewClient(t, s.URL)
			c.Post("/v1/auth/login", credentials(t, "victim", "chosen once more")).Want(200)
			c.Post("/v1/me/password", `{"current_password":"chosen once more","password":"chosen by the owner"}`).Want(200)
			refused(t, token)
		})
		t.Run("after the address was changed", func(t *testing.T) {
			token := ask(t)
			c := frontdoor.NewClient(t, s.URL)
			c.Post("/v1/auth/login", credentials(t, "victim", "chosen by the owner")).Want(200)
			c.Do("PUT", "/v1/me/email", `{"email":"","password":"chosen by the owner"}`).Want(200)
			refused(t, token)
		})
		t.Run("another kind of token", func(t *testing.T) {
			c := frontdoor.NewClient(t, s.URL)
			c.Post("/v1/auth/login", credentials(t, "victim", "chosen by the owner")).Want(200)
			c.Do("PUT", "/v1/me/email", `{"email":"new@example.com","password":"chosen by the owner"}`).Want(200)
			verification := mailAbout(t, mails, "new@example.com", "Confirm").Token(t)
			refused(t, verification)
			refused(t, strings.Replace(verification, "cmsg_mail_", "cmsg_reset_", 1))
			r := stranger.Do("GET", "/v1/me", "", "Authorization", "Bearer "+verification)
			require.Equal(t, 401, r.StatusCode)
		})
		t.Run("guessed", func(t *testing.T) {
			for _, token := range []string{"", "x", "cmsg_reset_", "cmsg_reset_" + strings.Repeat("A", 33), strings.Repeat("x", 10_000), "' OR ''='"} {
				refused(t, token)
			}
		})
		t.Run("by many at once", func(t *testing.T) {
			c := verified(t, s.URL, mails, "second", "second@example.com")
			stranger.Post("/v1/auth/forgot-password", `{"email":"second@example.com"}`).Want(200)
			token := mailAbout(t, mails, "second@example.com", "Reset").Token(t)
			statuses := make(chan int)
			for i := range 6 {
				go func() {
					r, err := frontdoor.NewClient(t, s.URL).Try(t.Context(), "POST", "/v1/auth/reset-password",
						frontdoor.JSON(t, map[string]string{"token": token, "password": fmt.Sprint("chosen by number ", i)}))
					if err != nil {
						statuses <- 0
						return
					}
					statuses <- r.StatusCode
				}()
			}
			counted := map[int]int{}
			for range 6 {
				counted[<-statuses]++
			}
			require.Equal(t, map[int]int{200: 1, 400: 5}, counted)
			c.Get("/v1/me").Want(401)
		})
	})
}

// Somebody puts header lines, or marks of HTML, into what mails repeat.
func TestAttackMailHeaderInjection(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: mailedSite(mails, "rate_limits off"),
		})
		victim := verified(t, s.URL, mails, "victim", "victim@example.com")
		for _, address := range []string{
			"mallory@evil.example\r\nBcc: everybody@example.com", "mallory@evil.example\nSubject: x", "mallory@evil.example\x00", "mallory@evil.example\r\n\r\nbody",
			"a@example.com, mallory@evil.example", "a@example.com;mallory@evil.example", "a@example.com mallory@evil.example", "<a@example.com>, b@example.com",
			"Mallory <mallory@evil.example>", "mallory@evil.example>\r\nRCPT TO:<b@example.com", "\"a\r\nb\"@example.com", "a@example.com\u2028Bcc: b@example.com", "@", "a@", "@example.com",
		} {
			r := victim.Do("PUT", "/v1/me/email", frontdoor.JSON(t, map[string]string{"email": address, "password": frontdoor.Password}))
			require.Equal(t, 400, r.StatusCode, "%q: %s", address, r.Text)
			require.Equal(t, "email", r.Field("field"), "%q: %s", address, r.Text)
			r = victim.Post("/v1/auth/forgot-password", frontdoor.JSON(t, map[string]string{"email": address}))
			require.Equal(t, 400, r.StatusCode, "%q: %s", address, r.Text)
		}
		// What a mail about a sign-in repeats: the name, and what the client says that it is.
		for n, agent := range []string{"x\r\n.\r\nMAIL FROM:<mallory@evil.example>", "<script>alert(1)</script>", "\" onload=\"alert(1)", strings.Repeat("x", 5000)} {
			c := frontdoor.NewClient(t, s.URL)
			c.Do("POST", "/v1/auth/login", credentials(t, "victim", frontdoor.Password), "User-Agent", strings.NewReplacer("\r", "%0d", "\n", "%0a").Replace(agent),
				"X-Forwarded-For", fmt.Sprintf("198.51.100.%d", n+1)).Want(200)
			m := mailAbout(t, mails, "victim@example.com", "New sign-in")
			require.Equal(t, "victim@example.com", m.To)
			require.NotContains(t, m.HTML, "<script>alert")
			require.NotContains(t, m.HTML, `" onload="`)
			for line := range strings.Lines(m.Raw) {
				require.LessOrEqual(t, len(line), 1000, "no line is too long for a mail server")
			}
		}
		for _, m := range mails.Mails() {
			require.NotContains(t, m.To, "evil.example")
			require.Len(t, m.Header["To"], 1)
			require.Len(t, m.Header["Subject"], 1)
			require.Empty(t, m.Header["Bcc"])
			require.Empty(t, m.Header["Cc"])
		}
	})
}

// seen is all that an answer tells.
func seen(r *frontdoor.Response) string {
	head := r.Header.Clone()
	head.Del("Date")
	var names []string
	for name, values := range head {
		names = append(names, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(names)
	body := regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(r.Text, "")
	// How long until another try: in whole seconds, and one may have passed.
	all := fmt.Sprintln(r.StatusCode, strings.Join(names, "\n"), body)
	all = regexp.MustCompile(`t=\d+`).ReplaceAllString(all, "t=")
	all = regexp.MustCompile(`Retry-After: \d+`).ReplaceAllString(all, "Retry-After:")
	all = regexp.MustCompile(`"retry_after":\d+`).ReplaceAllString(all, `"retry_after":`) // the same, which a slow machine sees pass
	return regexp.MustCompile(`Content-Length: \d+`).ReplaceAllString(all, "")
}

// Somebody wants to know who has an account, from how they are refused and what work
// that is.
func TestAttackUserEnumeration(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		mails := smtptest.Start(t, smtptest.Options{Plain: true})
		s := frontdoor.Start(t, frontdoor.Options{
			Database: engine.NewDatabase(t), Caddyfile: mailedSite(mails, "basic_auth on"),
		})
		// Each comes from an address of its own, so that what one uses up is not missing
		// from the other.
		asked := 0
		from := func() string { asked++; return fmt.Sprintf("2001:db8:%x::1", asked) }
		db := frontdoor.OpenDatabase(t, s.Database)
		frontdoor.SignUp(t, s.URL, "mallory")
		const exactly = 12 // tries: more than the limit is
		cost := func() float64 { return lifeMetrics(t, s).sum("messaging_password_hashes_total") }

		// told is what a stranger sees who tries something again and again, and how many
		// passwords that has had hashed.
		told := func(t *testing.T, method, path, body string, header ...string) (answers []string, hashed float64) {
			t.Helper()
			c := frontdoor.NewClient(t, s.URL)
			c.HTTP.Jar = nil
			before := cost()
			header = append(header, "X-Forwarded-For", from())
			for range exactly {
				answers = append(answers, seen(c.Do(method, path, body, header...)))
			}
			return answers, cost() - before
		}
		basic := func(name string) string {
			r, err := http.NewRequest(http.MethodGet, "/", http.NoBody)
			require.NoError(t, err)
			r.SetBasicAuth(name, "the wrong one")
			return r.Header.Get("Authorization")
		}
		for what, ask := range map[string]func(t *testing.T, name string) ([]string, float64){
			"sign-in": func(t *testing.T, name string) ([]string, float64) {
				return told(t, "POST", "/v1/auth/login", credentials(t, name, "the wrong one"))
			},
			"sign-in, with what can be no password": func(t *testing.T, name string) ([]string, float64) {
				return told(t, "POST", "/v1/auth/login", credentials(t, name, strings.Repeat("x", 100)))
			},
			"token": func(t *testing.T, name string) ([]string, float64) {
				return told(t, "POST", "/v1/auth/token", credentials(t, name, "the wrong one"))
			},
			"token by Basic": func(t *testing.T, name string) ([]string, float64) {
				return told(t, "GET", "/v1/auth/token", "", "Authorization", basic(name))
			},
			"Basic": func(t *testing.T, name string) ([]string, float64) {
				return told(t, "GET", "/v1/me", "", "Authorization", basic(name))
			},
		} {
			t.Run(what, func(t *testing.T) {
				// Names of its own, so that what was tried in another way is not missing.
				asked++
				victim, off, deleted := fmt.Sprint("victim", asked), fmt.Sprint("off", asked), fmt.Sprint("deleted", asked)
				frontdoor.SignUp(t, s.URL, victim)
				frontdoor.SignUp(t, s.URL, off)
				_, err := db.Exec(`UPDATE users SET deactivated_at = created_at WHERE username = $1`, off)
				require.NoError(t, err)
				frontdoor.SignUp(t, s.URL, deleted).Delete("/v1/me").Want(200)

				nobody, nobodysWork := ask(t, fmt.Sprint("nobody", asked))
				require.Positive(t, nobodysWork)
				require.NotEqual(t, nobody[0], nobody[exactly-1], "the limit is among them")
				for _, name := range []string{victim, off, deleted} {
					got, work := ask(t, name)
					require.Equal(t, nobody, got, name)
					require.InDelta(t, nobodysWork, work, 0, "%s: as many passwords hashed", name)
				}
			})
		}
		// addresses are that of an account, and one to which a mail was sent as well, and
		// which is nobody's.
		addresses := func(t *testing.T) (known, unknown string) {
			t.Helper()
			asked++
			known, unknown = fmt.Sprintf("victim%d@example.com", asked), fmt.Sprintf("nobody%d@example.com", asked)
			verified(t, s.URL, mails, fmt.Sprint("known", asked), known)
			frontdoor.SignUp(t, s.URL, fmt.Sprint("unknown", asked)).Do("PUT", "/v1/me/email",
				frontdoor.JSON(t, map[string]string{"email": unknown, "password": frontdoor.Password})).Want(200)
			return known, unknown
		}
		t.Run("forgotten passwords", func(t *testing.T) {
			known, unknown := addresses(t)
			ask := func(address string) ([]string, float64) {
				return told(t, "POST", "/v1/auth/forgot-password", `{"email":"`+address+`"}`)
			}
			got, work := ask(known)
			want, noWork := ask(unknown)
			require.Equal(t, want, got)
			require.NotEqual(t, want[0], want[exactly-1], "the limit is among them")
			require.InDelta(t, 0, work+noWork, 0, "no passwords hashed")
			mailAbout(t, mails, known, "Reset")
		})
		t.Run("registration with an address", func(t *testing.T) {
			known, unknown := addresses(t)
			ask := func(name, address string) string {
				r := frontdoor.NewClient(t, s.URL).Do("POST", "/v1/auth/register",
					frontdoor.JSON(t, map[string]string{"username": name, "password": frontdoor.Password, "email": address}), "X-Forwarded-For", from())
				answer := regexp.MustCompile(`"id":\d+|"created_at":"[^"]*"`).ReplaceAllString(seen(r.Want(200)), "")
				return strings.NewReplacer(name, "", address, "").Replace(answer)
			}
			require.Equal(t, ask("first", unknown), ask("second", known))
		})
		t.Run("another's address as one's own", func(t *testing.T) {
			known, unknown := addresses(t)
			mallory := frontdoor.NewClient(t, s.URL)
			login(t, mallory, "mallory")
			ask := func(address string) string {
				r := mallory.Do("PUT", "/v1/me/email", frontdoor.JSON(t, map[string]string{"email": address, "password": frontdoor.Password}), "X-Forwarded-For", from())
				// What they have left themselves tells them nothing.
				answer := regexp.MustCompile(`("changes"|"reset");r=\d+`).ReplaceAllString(seen(r.Want(200)), "$1")
				return strings.ReplaceAll(answer, address, "")
			}
			require.Equal(t, ask(unknown), ask(known))
		})
	})
}
