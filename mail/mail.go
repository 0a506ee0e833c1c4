// Package mail says what mails say, in the languages that there are, and sends them
// by SMTP. It knows nothing of accounts: it is told what to write, and to whom.
package mail

import (
	"net/url"
	"strings"
	"time"
	"unicode"

	netmail "net/mail"
)

// Kind is what a mail is about.
type Kind string

// All kinds.
const (
	// ResetPassword brings a token with which to choose another password.
	ResetPassword Kind = "reset_password"
	// VerifyEmail brings a token that shows that an account's owner reads what is sent
	// to an address.
	VerifyEmail Kind = "verify_email"
	// VerifyRegistration is VerifyEmail for an account that is yet to be made.
	VerifyRegistration Kind = "verify_registration"
	// PasswordChanged tells that somebody has changed the password.
	PasswordChanged Kind = "password_changed"
	// EmailChanged tells the address that an account had before.
	EmailChanged Kind = "email_changed"
	// NewSignIn tells of a sign-in from where there was none before.
	NewSignIn Kind = "new_sign_in"
	// KeyCreated tells of a key for programs that was made.
	KeyCreated Kind = "key_created"
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{ResetPassword, VerifyEmail, VerifyRegistration, PasswordChanged, EmailChanged, NewSignIn, KeyCreated}
}

// page is the page of a site that takes the token of a mail; "" if a mail of that kind
// brings none.
func (k Kind) page() string {
	switch k {
	case ResetPassword:
		return "v1/auth/reset-password"
	case VerifyEmail, VerifyRegistration:
		return "v1/auth/verify-email"
	case PasswordChanged, EmailChanged, NewSignIn, KeyCreated:
	}
	return ""
}

// BringsToken tells whether a mail of that kind brings a token.
func (k Kind) BringsToken() bool { return k.page() != "" }

// Facts are what a mail tells of an account. Somebody else may have chosen them:
// whoever has typed in a foreign address, or signs in by a foreign name. There is no
// secret among them.
type Facts struct {
	Username string `json:"username,omitempty"`
	// Device and Address say where something was done from, and At when. They may be
	// empty.
	Device  string    `json:"device,omitempty"`
	Address string    `json:"address,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// NoPages says that the site has no pages for people: the mail has no link. ResetAt is
	// the path of the site to which a program sends the token of a [ResetPassword] then;
	// empty if it has none.
	NoPages bool   `json:"no_pages,omitempty"`
	ResetAt string `json:"reset_at,omitempty"`
}

// Ticket is the secret that a mail brings, and when it ends.
type Ticket struct {
	Token   string
	Expires time.Time
}

// Site is what sends mails.
type Site struct {
	// Name is what people know it by: the host of its address.
	Name string
	// URL is its address; nil if it is unknown. Then a mail has no link.
	URL *url.URL
}

// Letter is a mail that has been written.
type Letter struct{ Subject, Text, HTML string }

// Write writes a mail in the language that suits a BCP 47 locale best, or else in
// English. The ticket is for those kinds that bring a token.
func Write(kind Kind, locale string, site Site, facts Facts, ticket Ticket) Letter {
	return write(bestOf(languages(), locale), kind, site, facts, ticket)
}

func write(in language, kind Kind, site Site, facts Facts, ticket Ticket) Letter {
	words := in.letters[kind]
	// One pass: what somebody has chosen can't stand for something else.
	username := shown(facts.Username, 64)
	if kind == VerifyEmail || kind == VerifyRegistration {
		username = unlinked(username)
	}
	fill := strings.NewReplacer(
		"{site}", shown(site.Name, 253),
		"{username}", username,
		"{device}", orUnknown(in, shown(facts.Device, 100)),
		"{address}", orUnknown(in, shown(facts.Address, 64)),
		"{time}", at(facts.At),
		"{until}", at(ticket.Expires),
		"{reset_at}", resetAt(site, facts),
	).Replace
	l := layout{Language: in.tag.String(), Subject: fill(words.subject), Footer: fill(in.footer)}
	for _, paragraph := range words.before {
		l.Before = append(l.Before, fill(paragraph))
	}
	if kind.BringsToken() {
		l.Token, l.Paste = ticket.Token, in.paste
		switch {
		case kind == ResetPassword && facts.ResetAt != "":
			l.Paste = fill(in.send)
		case site.URL != nil && !facts.NoPages:
			l.Action, l.Paste = words.action, in.pasteInstead
			l.Link = site.URL.JoinPath(kind.page()).String() + "#" + ticket.Token
		}
	}
	if site.URL != nil && !facts.NoPages && (kind == PasswordChanged || kind == NewSignIn || kind == KeyCreated) {
		l.Reset = site.URL.JoinPath("v1/auth/forgot-password").String()
	}
	for _, paragraph := range words.after {
		l.After = append(l.After, fill(paragraph))
	}
	return Letter{Subject: l.Subject, Text: l.text(), HTML: l.html()}
}

// resetAt is where a program sends the token of a mail.
func resetAt(site Site, facts Facts) string {
	if site.URL == nil {
		return facts.ResetAt
	}
	return site.URL.JoinPath(facts.ResetAt).String()
}

// at is a time as people of all languages read it.
func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

func orUnknown(in language, s string) string {
	if s == "" {
		return in.unknown
	}
	return s
}

// shown is what a mail shows of something that others have chosen: a piece of one
// line, in which no character changes how the rest is read.
func shown(s string, longest int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.Is(unicode.Cf, r): // turns the direction of writing around, and suchlike
			return -1
		}
		return r
	}, s)), " ")
	if runes := []rune(s); len(runes) > longest {
		return string(runes[:longest-1]) + "…"
	}
	return s
}

// unlinked is a text that no mail program takes for an address of the web, or of mail:
// whoever reads it is perhaps not who has chosen it. The joint has no width.
func unlinked(s string) string {
	const joint = "\u2060"
	return strings.NewReplacer(".", "."+joint, "@", "@"+joint, ":", ":"+joint, "/", "/"+joint).Replace(s)
}

// Valid tells whether something is an address, and nothing but one, that a mail can
// be sent to.
func Valid(address string) bool {
	parsed, err := netmail.ParseAddress(address)
	return err == nil && parsed.Address == address && !strings.ContainsAny(address, "\r\n")
}
