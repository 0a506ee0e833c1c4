package caddymsg_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/browser"
	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

var pagePaths = []string{"/v1/auth/forgot-password", "/v1/auth/reset-password", "/v1/auth/verify-email"}

// The pages load what this site has, run no script but that, and tell nobody where one
// came from.
func TestPages(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: docsCaddyfile})
	for _, path := range pagePaths {
		for base, below := range map[string]string{s.URL: "", s.URL2: "/chat"} {
			t.Run(below+path, func(t *testing.T) {
				c := frontdoor.NewClient(t, base)
				page := c.Get(below + path).Want(200)
				require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
				require.Equal(t, "no-referrer", page.Header.Get("Referrer-Policy"))
				require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))
				policy := page.Header.Get("Content-Security-Policy")
				requireStrictPolicy(t, policy)
				require.NotContains(t, policy, "unsafe")
				require.NotRegexp(t, `(?i)\son\w+\s*=|javascript:|<style|\sstyle\s*=|<base`, page.Text)
				named := regexp.MustCompile(`\s(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page.Text, -1)
				require.GreaterOrEqual(t, len(named), 2)
				for _, m := range named {
					address, err := page.Request.URL.Parse(m[1])
					require.NoError(t, err)
					require.Equal(t, page.Request.Host, address.Host)
					require.NotEmpty(t, c.Get(address.Path).Want(200).Text)
				}
			})
		}
	}
}

// typeIn types a text into a field, as somebody does.
func typeIn(t *testing.T, page context.Context, field, text string) {
	t.Helper()
	browser.Eval[bool](t, page, `(document.querySelector("`+field+`").value = "", true)`)
	require.NoError(t, chromedp.Do(page, chromedp.SendKeys(field, text)))
}

// From the mail to another password, and to a verified address, in a browser.
func TestPagesInBrowser(t *testing.T) {
	t.Parallel()
	page := browser.Start(t)
	post := smtptest.Start(t, smtptest.Options{Plain: true})
	// What the site is to the world is a folder of the other one.
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: `
http://127.0.0.1:{$PORT} {
	handle_path /chat/* {
		reverse_proxy 127.0.0.1:{$PORT2}
	}
}
` + strings.Replace(plainMailSite("{$PORT2}", post), "public_url http://127.0.0.1:{$PORT2}", "public_url http://127.0.0.1:{$PORT}/chat", 1)})
	alice := frontdoor.SignUp(t, s.URL2, "alice")
	link := func(about, path string) *url.URL {
		t.Helper()
		letter := awaitMail(t, post, "alice@example.com", about)
		link := regexp.MustCompile(`http\S+`).FindString(letter.Text)
		require.Contains(t, letter.HTML, `href="`+link+`"`)
		parsed, err := url.Parse(link)
		require.NoError(t, err)
		require.Equal(t, "/chat"+path, parsed.Path)
		require.Equal(t, letter.Token(t), parsed.Fragment)
		return parsed
	}
	open := func(link *url.URL) {
		t.Helper()
		require.NoError(t, chromedp.Do(page, chromedp.Navigate(link.String())))
		browser.Await(t, page, `!document.querySelector("form").hidden`)
		require.Equal(t, strings.TrimSuffix(link.String(), "#"+link.Fragment), browser.Eval[string](t, page, "location.href"), "the token is in sight")
		require.Equal(t, 1, browser.Eval[int](t, page, "history.state === null ? 1 : 0"))
		require.Equal(t, 2, browser.Eval[int](t, page, `performance.getEntriesByType("resource").length`), "nothing but script and style is asked for before a click")
	}
	submit := func(then string) string {
		t.Helper()
		require.NoError(t, chromedp.Do(page, chromedp.Click("button")))
		browser.Await(t, page, `document.getElementById("`+then+`").textContent !== ""`)
		return browser.Eval[string](t, page, `document.getElementById("`+then+`").textContent`)
	}

	alice.Do("PUT", "/v1/me/email", `{"email":"alice@example.com","password":"open sesame"}`).Want(200)
	verification := link(aboutVerification, "/v1/auth/verify-email")
	open(verification)
	require.Equal(t, "alice@example.com is the confirmed address of the account “alice” now.", submit("done"))
	require.True(t, decode[meAnswer](alice.Get("/v1/me")).EmailVerified)
	require.NoError(t, chromedp.Do(page, chromedp.Navigate("about:blank")))
	open(verification)
	require.Contains(t, submit("message"), "Ask for another mail")

	open(&url.URL{Scheme: verification.Scheme, Host: verification.Host, Path: "/chat/v1/auth/forgot-password"})
	typeIn(t, page, "#email", "alice@example.com")
	require.Contains(t, submit("done"), "Look at your mails")
	forgotten := link(aboutReset, "/v1/auth/reset-password")
	open(forgotten)
	require.Equal(t, "New password", browser.Eval[string](t, page, `document.getElementById("password").labels[0].textContent`))
	require.False(t, browser.Eval[bool](t, page, `document.getElementById("token").checkVisibility()`))
	require.Contains(t, browser.Eval[string](t, page, `document.getElementById("rules").textContent`), "guessed first")
	require.Equal(t, "username", browser.Eval[string](t, page, `document.querySelector("input[name=username]").autocomplete`))
	typeIn(t, page, "#password", "12345678")
	require.Contains(t, submit("message"), "guessed first")
	require.Equal(t, "password", browser.Eval[string](t, page, "document.activeElement.id"), "who is told what is wrong is where it can be mended")
	require.NoError(t, chromedp.Do(page, chromedp.Click("#show")))
	require.Equal(t, "text", browser.Eval[string](t, page, `document.getElementById("password").type`))
	typeIn(t, page, "#password", "another password")
	require.Contains(t, submit("done"), "has been changed")
	require.Equal(t, "done", browser.Eval[string](t, page, "document.activeElement.id"), "it is read out")
	require.False(t, browser.Eval[bool](t, page, `document.querySelector("form").checkVisibility()`))
	require.Empty(t, browser.Eval[string](t, page, `document.getElementById("password").value`))
	alice.Get("/v1/me").Want(401)
	// With the browser that is known: there is no other mail than that of the password.
	alice.Post("/v1/auth/login", credentials(t, "alice", "another password")).Want(200)
	post.Await(t, "alice@example.com")

	// Who has no link that opens types in what the mail has.
	alice.Post("/v1/auth/forgot-password", `{"email":"alice@example.com"}`).Want(200)
	typed := link(aboutReset, "/v1/auth/reset-password")
	open(&url.URL{Scheme: typed.Scheme, Host: typed.Host, Path: typed.Path})
	require.True(t, browser.Eval[bool](t, page, `document.getElementById("token").checkVisibility()`))
	typeIn(t, page, "#token", " "+typed.Fragment+" ")
	typeIn(t, page, "#password", "a third password")
	require.Contains(t, submit("done"), "has been changed")
	signIn(t, s.URL2, "alice", "a third password")
}
