package mail

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	xlanguage "golang.org/x/text/language"
	"pgregory.net/rapid"
)

var (
	noon   = time.Date(2021, 10, 30, 12, 0, 0, 0, time.UTC)
	ticket = Ticket{Token: "cmsg_reset_ABC", Expires: noon.Add(30 * time.Minute)}
	facts  = Facts{Username: "ada", Device: "Firefox on Linux", Address: "192.0.2.7", At: noon}
)

func site(tb testing.TB, address string) Site {
	tb.Helper()
	u, err := url.Parse(address)
	require.NoError(tb, err)
	return Site{Name: u.Hostname(), URL: u}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind    Kind
		subject string
		says    []string
		page    string // that the link leads to
	}{
		{ResetPassword, "Reset your password at chat.example.com",
			[]string{"ada", "until 2021-10-30 12:30 UTC", "Your password stays as it is."}, "/v1/auth/reset-password"},
		{VerifyEmail, "Confirm your e-mail address for chat.example.com", []string{"ada", "2021-10-30 12:30 UTC"}, "/v1/auth/verify-email"},
		{VerifyRegistration, "Complete your registration at chat.example.com", []string{"ada", "2021-10-30 12:30 UTC"}, "/v1/auth/verify-email"},
		{PasswordChanged, "Your password at chat.example.com was changed", []string{"ada", "2021-10-30 12:00 UTC"}, ""},
		{EmailChanged, "Your e-mail address at chat.example.com was changed", []string{"ada", "2021-10-30 12:00 UTC"}, ""},
		{NewSignIn, "New sign-in at chat.example.com", []string{"ada", "Firefox on Linux", "192.0.2.7", "2021-10-30 12:00 UTC"}, ""},
		{KeyCreated, "New key at chat.example.com", []string{"ada", "192.0.2.7", "2021-10-30 12:00 UTC"}, ""},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			t.Parallel()
			l := Write(test.kind, "en", site(t, "https://chat.example.com"), facts, ticket)
			require.Equal(t, test.subject, l.Subject)
			for _, says := range append(test.says, "chat.example.com has sent this mail by itself") {
				require.Contains(t, l.Text, says)
				require.Contains(t, textOf(t, l.HTML), says)
			}
			for _, part := range []string{l.Text, l.HTML} {
				require.NotContains(t, part, "{")
				require.Equal(t, test.page != "", strings.Contains(part, ticket.Token))
			}
			require.Equal(t, test.page != "", test.kind.BringsToken())
			if test.page == "" {
				const reset = "https://chat.example.com/v1/auth/forgot-password"
				told := strings.Contains(l.Text, "reset your password at once")
				require.Equal(t, told, strings.Contains(l.Text, "\n"+reset+"\n"))
				require.Equal(t, told, strings.Contains(l.HTML, `href="`+reset+`"`))
				return
			}
			link := "https://chat.example.com" + test.page + "#cmsg_reset_ABC"
			require.Contains(t, l.Text, "\n"+link+"\n")
			require.Contains(t, l.Text, "\ncmsg_reset_ABC\n", "it can be copied")
			require.Contains(t, l.HTML, `<a href="`+link+`"`)
			require.Contains(t, l.HTML, `>cmsg_reset_ABC</code>`)
		})
	}
	require.Len(t, Kinds(), 7)
}

// The address of a site may have a path; without one there is no link.
func TestLink(t *testing.T) {
	t.Parallel()
	l := Write(VerifyEmail, "", site(t, "https://example.com/chat/"), facts, ticket)
	require.Contains(t, l.Text, "\nhttps://example.com/chat/v1/auth/verify-email#cmsg_reset_ABC\n")

	l = Write(VerifyEmail, "", Site{Name: "example.com"}, facts, ticket)
	require.NotContains(t, l.Text, "://")
	require.NotContains(t, l.HTML, "href")
	require.Contains(t, l.Text, "\nEnter this where you are asked for it:\ncmsg_reset_ABC\n")
}

// Where there are no pages, a mail leads to none, and says where a program sends the token.
func TestNoPages(t *testing.T) {
	t.Parallel()
	programs := facts
	programs.NoPages, programs.ResetAt = true, "/api/reset-password"
	for _, kind := range Kinds() {
		l := Write(kind, "en", site(t, "https://example.com/chat/"), programs, ticket)
		require.NotContains(t, l.Text, "/v1/", kind)
		require.NotContains(t, l.HTML, "href", kind)
		require.Equal(t, kind.BringsToken(), strings.Contains(l.Text, "\ncmsg_reset_ABC\n"), kind)
	}
	const send = "Send this with a new password to "
	l := Write(ResetPassword, "en", site(t, "https://example.com/chat/"), programs, ticket)
	require.Contains(t, l.Text, "\n"+send+"https://example.com/chat/api/reset-password:\ncmsg_reset_ABC\n")
	require.Contains(t, textOf(t, l.HTML), send+"https://example.com/chat/api/reset-password:")
	l = Write(ResetPassword, "en", Site{Name: "example.com"}, programs, ticket)
	require.Contains(t, l.Text, "\n"+send+"/api/reset-password:\ncmsg_reset_ABC\n")
	require.NotContains(t, Write(VerifyEmail, "en", Site{Name: "example.com"}, programs, ticket).Text, send)
}

func TestUnknownPlace(t *testing.T) {
	t.Parallel()
	l := Write(NewSignIn, "en", site(t, "https://chat.example.com"), Facts{Username: "ada", At: noon}, Ticket{})
	require.Contains(t, l.Text, "\nDevice: unknown\n")
	require.Contains(t, l.Text, "\nAddress: unknown\n")
}

// What somebody else has chosen is shown, and does nothing.
func TestChosenByOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ chosen, shown string }{
		{"ada", "ada"},
		{`<img src=x onerror="alert(1)">`, `<img src=x onerror="alert(1)">`},
		{"{until} {site}", "{until} {site}"},
		{"a\r\nBcc: eve@example.org\r\n\r\nb", "a Bcc: eve@example.org b"},
		{"a\u2028b\u0085c\x00d", "a b c d"},
		{"evil\u202Etxt.exe\u2066", "eviltxt.exe"},
		{"zero\u200Bwidth", "zerowidth"},
		{"bad\xff", "bad\uFFFD"},
		{strings.Repeat("é", 100), strings.Repeat("é", 100)},
		{strings.Repeat("é", 101), strings.Repeat("é", 99) + "…"},
	} {
		l := Write(NewSignIn, "en", site(t, "https://chat.example.com"), Facts{Username: "ada", Device: test.chosen, At: noon}, Ticket{})
		require.Contains(t, l.Text, "\nDevice: "+test.shown+"\n")
		require.Contains(t, textOf(t, l.HTML), "Device: "+test.shown)
	}
}

// Whatever somebody has chosen, the mail has the same elements, and no line that it
// would not have otherwise.
func TestChosenByOthersNeverBreaksOut(t *testing.T) {
	t.Parallel()
	in := site(t, "https://chat.example.com")
	plain := Write(NewSignIn, "en", in, facts, ticket)
	rapid.Check(t, func(t *rapid.T) {
		chosen := Facts{Username: rapid.String().Draw(t, "username"), Device: rapid.String().Draw(t, "device"), Address: rapid.String().Draw(t, "address"), At: noon}
		l := Write(NewSignIn, "en", in, chosen, ticket)
		require.Equal(t, plain.Subject, l.Subject)
		require.Equal(t, elements(t, plain.HTML), elements(t, l.HTML))
		require.Equal(t, strings.Count(plain.Text, "\n"), strings.Count(l.Text, "\n"))
		for _, r := range l.Text {
			require.True(t, r == '\n' || !unicode.IsControl(r), "%q", l.Text)
		}
	})
}

// elements lists the tags of a page, with their attributes.
func elements(tb require.TestingT, page string) (found []string) {
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			require.ErrorContains(tb, z.Err(), "EOF")
			return found
		}
		if kind != html.TextToken {
			found = append(found, z.Token().String())
		}
	}
}

func textOf(tb testing.TB, page string) string {
	tb.Helper()
	var b strings.Builder
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return b.String()
		}
		if kind == html.TextToken {
			b.WriteString(z.Token().Data)
		}
	}
}

// Each language has all words of all kinds, and knows no placeholder that nothing is
// filled in for.
func TestLanguages(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile(`\{[^}]*\}`)
	known := []string{"{site}", "{username}", "{device}", "{address}", "{time}", "{until}"}
	for _, l := range languages() {
		check := func(text string) {
			t.Helper()
			require.NotEmpty(t, text, l.tag)
			require.Subset(t, known, placeholder.FindAllString(text, -1), l.tag)
		}
		for _, text := range []string{l.paste, l.pasteInstead, l.unknown, l.footer} {
			check(text)
		}
		require.Len(t, l.letters, len(Kinds()))
		for _, kind := range Kinds() {
			w := l.letters[kind]
			check(w.subject)
			require.NotContains(t, placeholder.FindAllString(w.subject, -1), "{username}", "which others have chosen")
			require.Equal(t, kind.BringsToken(), w.action != "")
			all := strings.Join(append(append([]string{w.action}, w.before...), w.after...), " ")
			check(all)
			require.Contains(t, all, "{username}")
			require.Equal(t, kind.BringsToken(), strings.Contains(all, "{until}"))
			require.Equal(t, !kind.BringsToken(), strings.Contains(all, "{time}"))
		}
	}
}

func TestBestLanguage(t *testing.T) {
	t.Parallel()
	all := []language{{tag: xlanguage.English}, {tag: xlanguage.German}, {tag: xlanguage.BrazilianPortuguese}}
	for locale, want := range map[string]string{
		"":           "en",
		"en-GB":      "en",
		"de":         "de",
		"de-AT":      "de",
		"gsw":        "de", // it is what its readers read
		"pt-PT":      "pt-BR",
		"ja":         "en",
		"no locale!": "en",
	} {
		require.Equal(t, want, bestOf(all, locale).tag.String(), locale)
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"ada@example.com":                       true,
		"a.d+a@sub.example.com":                 true,
		"ädä@exämple.com":                       true,
		"":                                      false,
		"ada":                                   false,
		"Ada <ada@example.com>":                 false,
		"<ada@example.com>":                     false,
		"ada@example.com, eve@example.org":      false,
		"ada@example.com\r\nBcc: eve@a.example": false,
		" ada@example.com":                      false,
	} {
		require.Equal(t, want, Valid(address), "%q", address)
	}
}

// Mails to an address that nobody has shown to be theirs do not greet by a name that
// somebody else has chosen, and mail programs make no link of it.
func TestNameOfAStranger(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"www.evil-bank.test", "evil.test?id=1", "help@evil.test", "http://evil.test"} {
		chosen := facts
		chosen.Username = name
		for _, kind := range []Kind{VerifyEmail, VerifyRegistration} {
			l := Write(kind, "en", site(t, "https://chat.example.com"), chosen, ticket)
			for _, text := range []string{l.Text, textOf(t, l.HTML), l.Subject} {
				require.NotContains(t, text, name)
				require.NotContains(t, text, ".test")
			}
			require.True(t, strings.HasPrefix(l.Text, "Hello,\n"))
			require.Contains(t, strings.ReplaceAll(l.Text, "\u2060", ""), "“"+name+"”", "who has asked for it knows it again")
		}
	}
	require.Contains(t, Write(ResetPassword, "en", site(t, "https://chat.example.com"), facts, ticket).Text, "Hello ada,")
}
