package auth

import (
	_ "embed" // for the list
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/caddymsg/messaging/chat"
)

// commonPasswords are the most common passwords, lower-cased, sorted, one a line:
// what was counted in ten million that got out, and the commonest English words and
// names, some of which are as common. Those of fewer than minCommonLength letters
// are left out: they would be a third of it, and no site that cares how passwords
// are guessed takes any that short.
//
// It is the data of zxcvbn; its licence stands beside it. It lacks what follows a
// pattern, since zxcvbn finds that by looking: so does isCommon.
//
//go:embed wordlist/passwords.txt
var commonPasswords string

const minCommonLength = 6

// shortWords are words too short for the list, which with digits behind them are among
// the first to be guessed.
const shortWords = " abc admin chat demo guest hello home info login love mail pass qwe root secret site super test user web "

const (
	// maxBlock is the longest piece that makes a common password when it is repeated.
	maxBlock = 8
	// minRun is how many neighbours make a row: 123, cba, qwe, aaa.
	minRun = 3
	// maxDecoration is how many digits and signs around a word, whichever they are, make
	// nothing better of it: a year, or 1!
	maxDecoration = 5
)

// isCommon tells whether a password is one of those that are guessed first at a site of
// that name, which may be empty: one of the list, the name itself, a piece that is
// repeated, or rows of neighbours; or such a word with digits and signs around it.
func isCommon(password, site string) bool {
	folded := strings.ToLower(strings.TrimSpace(norm.NFKC.String(password)))
	site = strings.ToLower(site)
	if folded == "" { // nothing but spaces
		return password != ""
	}
	if inList(folded) || isPattern(folded) || folded == site {
		return true
	}
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }
	tail := strings.TrimLeftFunc(folded, notLetter)
	before := folded[:len(folded)-len(tail)]
	word := strings.TrimRightFunc(tail, notLetter)
	after := tail[len(word):]
	known := inList(word) || isWord(word, site) || isPattern(word)
	// What stands for a letter: p4ssw0rd.
	if !known {
		plain := lookalikes.Replace(word)
		known = plain != word && (inList(plain) || isWord(plain, site))
	}
	if known && len(before)+len(after) <= maxDecoration {
		return true
	}
	// a12345678 has hardly a word.
	return (known || len(word) <= 1) && isDecoration(before) && isDecoration(after)
}

var lookalikes = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// isWord tells whether something is a word of few letters, or one of the site's name.
func isWord(word, site string) bool {
	if word == "" {
		return false
	}
	for label := range strings.SplitSeq(site, ".") {
		if word == label {
			return true
		}
	}
	return word == site || !strings.Contains(word, " ") && strings.Contains(shortWords, " "+word+" ")
}

// isDecoration tells whether something is what people put around a word: little, or a
// pattern, or nothing.
func isDecoration(s string) bool {
	digits := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsDigit(r) })
	return len(s) <= maxDecoration || inList(digits) || isPattern(digits) || isPattern(s)
}

// isPattern tells whether a text is a piece that is repeated, or is made of rows of
// neighbours alone.
func isPattern(folded string) bool {
	runes := []rune(strings.ReplaceAll(folded, " ", ""))
	return len(runes) > 0 && (isRepeated(runes) || isRows(runes))
}

// isRepeated tells whether a text is a short piece over and over; the last time, it may
// be cut off.
func isRepeated(runes []rune) bool {
	for block := 1; block <= min(maxBlock, len(runes)/2); block++ {
		same := 0
		for same < len(runes)-block && runes[same] == runes[same+block] {
			same++
		}
		if same == len(runes)-block {
			return true
		}
	}
	return false
}

// isRows tells whether a text can be cut into rows, each of characters that are
// neighbours in one direction, or the same: 87654321, abc123, qweasdzxc, 111222333.
func isRows(runes []rune) bool {
	for len(runes) > 0 {
		longest := 0
		for _, next := range rows {
			n := 1
			for n < len(runes) && next(runes[n-1], runes[n]) {
				n++
			}
			longest = max(longest, n)
		}
		if longest < minRun {
			return false
		}
		runes = runes[longest:]
	}
	return true
}

// keyboards are the rows of keys of those keyboards that most people have.
const keyboards = "1234567890 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop qsdfghjklm wxcvbn йцукенгшщзхъ фывапролджэ ячсмитьбю"

// rows each tell whether a character goes on where one was.
var rows = []func(was, is rune) bool{
	func(was, is rune) bool { return was == is },
	func(was, is rune) bool { return isAlphanumeric(was, is) && is == was+1 || was == '9' && is == '0' },
	func(was, is rune) bool { return isAlphanumeric(was, is) && is == was-1 || was == '0' && is == '9' },
	func(was, is rune) bool {
		return strings.Contains(keyboards, string([]rune{was, is})) && is != ' ' && was != ' '
	},
	func(was, is rune) bool {
		return strings.Contains(keyboards, string([]rune{is, was})) && is != ' ' && was != ' '
	},
}

func isAlphanumeric(was, is rune) bool {
	return unicode.IsLetter(was) && unicode.IsLetter(is) || unicode.IsDigit(was) && unicode.IsDigit(is)
}

// inList tells whether a text is in the list. It searches the list as it is embedded,
// so that no copy of it is made.
func inList(folded string) bool {
	for rest := commonPasswords; rest != ""; {
		// The line in the middle.
		start := strings.LastIndexByte(rest[:len(rest)/2], '\n') + 1
		end := start + strings.IndexByte(rest[start:], '\n')
		switch line := rest[start:end]; {
		case folded == line:
			return true
		case folded < line:
			rest = rest[:start]
		default:
			rest = rest[end+1:]
		}
	}
	return false
}

// isUsername tells whether a password is the name of the account itself.
func isUsername(password, username string) bool {
	// What can't be a name has an empty key.
	key := chat.UsernameKey(strings.TrimSpace(password))
	return key != "" && key == chat.UsernameKey(username)
}
