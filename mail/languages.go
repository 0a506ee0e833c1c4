package mail

import xlanguage "golang.org/x/text/language"

// language is how mails are written in one. In all of its texts these stand for what
// is to be filled in: {site}, {username}, {device}, {address}, {time} and {until}, which
// is when a token ends. A further language is a further file like english.go, and a
// line in languages.
type language struct {
	tag     xlanguage.Tag
	letters map[Kind]words
	// paste tells what to do with the token that follows, where there is no link, and
	// pasteInstead where there is one.
	paste, pasteInstead string
	// send tells where a program sends it: {reset_at}.
	send string
	// unknown is said of a device or an address that is not known.
	unknown string
	// footer ends each mail.
	footer string
}

// words are those of a kind of mail.
type words struct {
	subject string
	before  []string // paragraphs
	action  string   // what to click at, if the mail brings a token
	after   []string
}

// languages are those that mails are written in; the first one if no other suits.
func languages() []language {
	return []language{english()}
}

// bestOf is the language that suits a locale best.
func bestOf(all []language, locale string) language {
	wanted, err := xlanguage.Parse(locale)
	if err != nil {
		return all[0]
	}
	tags := make([]xlanguage.Tag, len(all))
	for i, l := range all {
		tags[i] = l.tag
	}
	_, which, _ := xlanguage.NewMatcher(tags).Match(wanted)
	return all[which]
}
