package fold_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/caddymsg/messaging/chat/fold"
)

func TestTerms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want string // separated by spaces
	}{
		"nothing":                {"", ""},
		"no word":                {" …!? 👍 ", ""},
		"words":                  {"Hello, World! x2", "hello world x2"},
		"once each":              {"No, no, NO", "no"},
		"accents":                {"Crème brûlée, Ångström", "creme brulee angstrom"},
		"decomposed":             {"Cre\u0300me", "creme"},
		"sharp s":                {"Straße STRASSE STRAẞE", "strasse"},
		"umlauts":                {"Köln über", "koln uber"},
		"ligature":               {"eﬃcient", "efficient"},
		"full width":             {"ＡＢＣ１２", "abc12"},
		"Turkish i":              {"İstanbul ISPARTA ısparta", "istanbul isparta"},
		"Greek":                  {"Ὀδυσσεύς ΟΔΥΣΣΕΥΣ", "οδυσσευσ"},
		"Ukrainian":              {"Їжак ЇЖАК", "іжак"},
		"Ukrainian apostrophe":   {"п'ять пʼять п’ять 'слово'", "пять слово"},
		"French apostrophe":      {"l'homme d’été", "l homme d ete"},
		"Arabic marks":           {"مُحَمَّد محمد", "محمد"},
		"Arabic hamza":           {"أحمد احمد", "احمد"},
		"tatweel":                {"مـــرحبا", "مرحبا"},
		"Hebrew points":          {"שָׁלוֹם", "שלום"},
		"Hindi keeps its vowels": {"हिन्दी में", "हिन्दी में"},
		"soft hyphen":            {"Donau\u00addampf", "donaudampf"},
		"zero width space":       {"one\u200btwo", "one two"},
		"Chinese":                {"我爱北京", "我爱 爱北 北京 京"},
		"one character":          {"好", "好"},
		"between words":          {"iPhone手机x", "iphone 手机 机 x"},
		"not across a comma":     {"你好，世界", "你好 好 世界 界"},
		"Japanese":               {"データ が", "デー ータ タ が"},
		"half width kana":        {"ｶﾞｽ", norm.NFC.String("ガス ス")},
		"Thai":                   {"กันยา", "กัน นย ยา า"},
		"symbols of words":       {"½ ㎏ ²", "1 2 kg"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, strings.Join(fold.Terms(c.text), " "))
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{strings.Repeat("д", fold.MaxTermLength)}, fold.Terms(strings.Repeat("Д", 100)))
	var many strings.Builder
	for i := range 2 * fold.MaxTerms {
		many.WriteString(string(rune(0x4e00+i)) + " ")
	}
	require.Len(t, fold.Terms(many.String()), fold.MaxTerms)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	require.Equal(t, []fold.Token{
		{Term: "cafe", Start: 1, End: 6},
		{Term: "北京", Start: 7, End: 9},
		{Term: "京", Start: 8, End: 9},
	}, fold.Tokens("«Cafe\u0301»北京"))
}

// Whatever the character, it folds as its cases do, and folding is done once.
func TestEveryCharacter(t *testing.T) {
	t.Parallel()
	full := cases.Fold()
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cf) {
			continue
		}
		typed := string(r)
		terms := fold.Terms(typed)
		for _, term := range terms {
			require.Equal(t, term, fold.Terms(term)[0], "%q %x", r, r)
		}
		forms := []string{norm.NFD.String(typed), norm.NFKC.String(typed)}
		// The iota below a Greek vowel is a mark here, and would be a letter.
		if !strings.ContainsRune(forms[0], '\u0345') {
			forms = append(forms, full.String(typed))
		}
		for _, form := range forms {
			if form != typed {
				require.Equal(t, terms, fold.Terms(form), "%q %x", r, r)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query, text string
		want        []fold.Range // nil: none
	}{
		"a word":                  {"world", "Hello, World!", []fold.Range{{7, 12}}},
		"its beginning":           {"wor", "Hello, World!", []fold.Range{{7, 12}}},
		"not its end":             {"orld", "Hello, World!", nil},
		"all words":               {"world hello", "Hello, World!", []fold.Range{{0, 5}, {7, 12}}},
		"one is missing":          {"world hi", "Hello, World!", nil},
		"all places":              {"so", "so and Sofa", []fold.Range{{0, 2}, {7, 11}}},
		"accents":                 {"creme", "a Cre\u0300me", []fold.Range{{2, 8}}},
		"Chinese":                 {"北京", "我爱北京大学", []fold.Range{{2, 4}}},
		"one character":           {"京", "我爱北京大学", []fold.Range{{3, 4}}},
		"side by side":            {"北京大", "北京 京大", nil},
		"several characters":      {"北京大学", "我爱北京大学。北京", []fold.Range{{2, 6}}},
		"apart":                   {"大学 北京", "我爱北京大学", []fold.Range{{2, 6}}},
		"a longer word than kept": {strings.Repeat("x", 50), strings.Repeat("x", 45), nil},
		"Korean syllables":        {"하", "한국", []fold.Range{{0, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := fold.ParseQuery(c.query).Match(c.text)
			require.Equal(t, c.want != nil, ok)
			require.Equal(t, c.want, got)
		})
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		want  []fold.Wanted
	}{
		"nothing":                  {"?!", nil},
		"words, the longest first": {"a longer word", []fold.Wanted{{"longer", true}, {"word", true}, {"a", true}}},
		"one implies another":      {"te Test test", []fold.Wanted{{"test", true}}},
		"Chinese":                  {"北京大", []fold.Wanted{{"北京", false}, {"京大", true}}},
		"a character":              {"北", []fold.Wanted{{"北", true}}},
		"no more than the limit":   {"aaaa bbb cc d", []fold.Wanted{{"aaaa", true}, {"bbb", true}, {"cc", true}}},
	} {
		t.Run(name, func(t *testing.T) {
			q := fold.ParseQuery(c.query)
			require.Equal(t, c.want, q.Wanted(3))
			require.Equal(t, c.want == nil, q.Empty())
		})
	}
}

// FuzzFold finds texts by what is cut out of them, at places within them.
func FuzzFold(f *testing.F) {
	for _, text := range []string{
		"Hello, World", "Straße İ ǅ ﬃ", "п'ять Їжак", "مُحَمَّد ـ", "हिन्दी में", "我爱 北京大学", "データｶﾞ", "กันยา ำ", "한국 하\u11ab", "½¨ͅ", "\xff\u0300",
	} {
		f.Add(text, uint(2))
	}
	f.Fuzz(func(t *testing.T, text string, at uint) {
		length := utf8.RuneCountInString(text)
		last := 0
		for _, token := range fold.Tokens(text) {
			require.NotEmpty(t, token.Term)
			require.LessOrEqual(t, utf8.RuneCountInString(token.Term), fold.MaxTermLength)
			require.True(t, utf8.ValidString(token.Term))
			require.LessOrEqual(t, last, token.Start)
			require.Less(t, token.Start, token.End)
			require.LessOrEqual(t, token.End, length)
			last = token.Start
		}
		terms := fold.Terms(text)
		require.LessOrEqual(t, len(terms), fold.MaxTerms)

		// From the beginning of a token to a character that no mark is on.
		tokens := fold.Tokens(text)
		if len(tokens) == 0 || len(terms) == fold.MaxTerms {
			return
		}
		characters := []rune(text)
		token := tokens[at%uint(len(tokens))]
		begin := string(characters[token.Start])
		if len(fold.Tokens(begin)) != 1 || unicode.Is(unicode.M, []rune(norm.NFKD.String(begin))[0]) {
			return // a part of this character belongs to the token before
		}
		end := min(length, token.Start+1+int(at%7))
		for end < length && unicode.In(characters[end], unicode.M, unicode.Cf, unicode.Lm) {
			end++
		}
		q := fold.ParseQuery(string(characters[token.Start:end]))
		ranges, ok := q.Match(text)
		require.True(t, ok, "%q in %q", string(characters[token.Start:end]), text)
		for i, r := range ranges {
			require.Less(t, r.Start, r.End)
			require.LessOrEqual(t, r.End, length)
			if i > 0 {
				require.Less(t, ranges[i-1].End, r.Start)
			}
		}
		for _, w := range q.Wanted(100) {
			require.True(t, slices.ContainsFunc(terms, func(term string) bool {
				return term == w.Term || w.Prefix && strings.HasPrefix(term, w.Term)
			}), "the index would not find %q by %q", text, w)
		}
	})
}
