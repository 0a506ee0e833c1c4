// Package fold cuts texts into the words that a search finds them by, folded so
// that upper and lower case, and letters with and without accents, are the same.
// It knows no database: both engines index what it makes, and find the same.
package fold

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// MaxTermLength is the longest term, in characters. Of a longer word it is
	// the beginning.
	MaxTermLength = 40
	// MaxTerms is how many different terms a text has at most: the first ones.
	MaxTerms = 1000
)

// Token is what one finds a text by: a word; or, in a script that puts no spaces
// between words, two characters that stand side by side, or the last one.
type Token struct {
	Term string
	// Where it stands in the text, in characters (code points).
	Start, End int
}

// Tokens cuts a text up.
func Tokens(text string) []Token {
	units := scan(text)
	tokens := make([]Token, 0, len(units))
	for i, u := range units {
		t := Token{Term: u.term, Start: u.start, End: u.end}
		if i+1 < len(units) && units[i+1].joined {
			t.Term, t.End = u.term+units[i+1].term, units[i+1].end
		}
		t.Term = cut(t.Term)
		tokens = append(tokens, t)
	}
	return tokens
}

// Terms are the different terms of a text.
func Terms(text string) []string {
	var terms []string
	seen := map[string]bool{}
	for _, t := range Tokens(text) {
		if seen[t.Term] {
			continue
		}
		seen[t.Term] = true
		if terms = append(terms, t.Term); len(terms) == MaxTerms {
			break
		}
	}
	return terms
}

// cut bounds a term.
func cut(term string) string {
	if len(term) <= MaxTermLength { // bytes
		return term
	}
	n := 0
	for i := range term {
		if n == MaxTermLength {
			return term[:i]
		}
		n++
	}
	return term
}

// unit is a word, or a character of a script without spaces.
type unit struct {
	term       string
	start, end int
	unspaced   bool
	joined     bool // to the unit before it: nothing stands between the two, and both are unspaced
}

// scanner makes units out of characters that have been decomposed.
type scanner struct {
	units []unit
	open  bool // there is a unit to add to
	unit  unit
	term  []byte
	plain bool // it has ASCII alone
	base  base // of the last letter
	inRun bool // the unit before is unspaced, and nothing has come since
}

func scan(text string) []unit {
	s := scanner{units: make([]unit, 0, len(text)/5)}
	at := 0
	for i, r := range text {
		if r < utf8.RuneSelf {
			s.ascii(r, at)
		} else if d := norm.NFKD.PropertiesString(text[i:]).Decomposition(); d == nil {
			s.rune(r, at)
		} else {
			for len(d) > 0 {
				c, size := utf8.DecodeRune(d)
				d = d[size:]
				s.rune(c, at)
			}
		}
		at++
	}
	s.close()
	return s.units
}

func (s *scanner) ascii(c rune, at int) {
	switch {
	case 'A' <= c && c <= 'Z':
		c += 'a' - 'A'
		fallthrough
	case 'a' <= c && c <= 'z':
		s.word(at)
		s.term, s.base = utf8.AppendRune(s.term, c), bare
	case '0' <= c && c <= '9':
		s.word(at)
		s.term, s.base = utf8.AppendRune(s.term, c), bare
	case c == '\'':
		s.apostrophe()
	default:
		s.space()
	}
}

func (s *scanner) rune(r rune, at int) {
	switch {
	case r < utf8.RuneSelf:
		s.ascii(r, at)
	case ignored(r):
	case r == '’' || r == 'ʼ':
		s.apostrophe()
	case unicode.Is(unicode.M, r):
		s.mark(r, at)
	case !unicode.IsLetter(r) && !unicode.IsNumber(r):
		s.space()
	case unspaced(r):
		s.character(r, at)
	default:
		s.word(at)
		if r == 'ß' || r == 'ẞ' {
			s.term = append(s.term, "ss"...)
		} else {
			s.add(unicode.ToLower(unicode.ToUpper(r)), at) // lowered alone, σ and ς would be two
		}
		s.base = baseOf(r)
	}
}

// character begins a unit of a script without spaces.
func (s *scanner) character(r rune, at int) {
	s.close()
	s.begin(at)
	s.unit.unspaced, s.unit.joined = true, s.inRun
	s.add(r, at)
	s.base = other
}

// word makes the open unit a word that reaches to a character.
func (s *scanner) word(at int) {
	if s.open && s.unit.unspaced {
		s.close()
	}
	if !s.open {
		s.begin(at)
	}
	s.unit.end = at + 1
}

func (s *scanner) begin(at int) {
	s.open, s.plain = true, true
	s.unit = unit{start: at, end: at + 1}
	s.term = s.term[:0]
}

func (s *scanner) add(r rune, at int) {
	s.term = utf8.AppendRune(s.term, r)
	s.unit.end = at + 1
	s.plain = false
}

// mark is one that stands on the letter before it, or is a vowel behind it.
func (s *scanner) mark(r rune, at int) {
	own := !unicode.Is(unicode.Inherited, r) && baseOf(r) == other
	switch {
	case own && unspaced(r) && !(s.open && s.unit.unspaced):
		s.character(r, at)
	case own && !s.open:
		s.begin(at)
		s.base = other
		s.add(r, at)
	case own || s.open && s.base == other:
		s.add(r, at)
	case s.open:
		s.unit.end = at + 1
	}
}

// apostrophe stands within Ukrainian words, and between French ones.
func (s *scanner) apostrophe() {
	if !s.open || s.base != cyrillic {
		s.space()
	}
}

// space is anything between words.
func (s *scanner) space() {
	s.close()
	s.inRun = false
}

func (s *scanner) close() {
	if !s.open {
		return
	}
	s.open = false
	switch {
	case s.plain:
		s.unit.term = string(s.term)
	case s.unit.unspaced:
		// か is not the beginning of が.
		s.unit.term = string(norm.NFC.Bytes(s.term))
	default:
		s.unit.term = string(norm.NFD.Bytes(s.term))
	}
	s.units = append(s.units, s.unit)
	s.inRun = s.unit.unspaced
}

// base is what a letter does to the marks on it.
type base int

const (
	other    base = iota // they are part of the word, as vowels of Indic scripts are
	bare                 // they are left out
	cyrillic             // so they are, and an apostrophe with them
)

func baseOf(r rune) base {
	switch {
	case unicode.Is(unicode.Cyrillic, r):
		return cyrillic
	case unicode.In(r, unicode.Latin, unicode.Greek, unicode.Arabic, unicode.Hebrew, unicode.Common):
		return bare
	}
	return other
}

// ignored characters change how a word looks, and not what it is.
func ignored(r rune) bool {
	const (
		joiner         = '\u034f' // between marks
		tatweel        = 'ـ'      // makes an Arabic word longer
		zeroWidthSpace = '\u200b' // a space, for all that
	)
	return r == tatweel || r == joiner || unicode.Is(unicode.Variation_Selector, r) ||
		unicode.Is(unicode.Cf, r) && r != zeroWidthSpace
}

// unspaced tells whether a character is of a script that puts no spaces between
// words.
func unspaced(r rune) bool {
	if r < 0x0e00 || unicode.Is(unicode.Hangul, r) {
		return false
	}
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) ||
		r == 'ー' || 0x3031 <= r && r <= 0x3035 // which kana share
}
