package chat

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestParseEmoji(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a picture":                    {"👍", "👍"},
		"a word":                       {"like", "👍"},
		"a picture, said twice":        {"👍\ufe0f", "👍"},
		"a complexion":                 {"👍🏽", "👍🏽"},
		"a heart":                      {"❤\ufe0f", "❤\ufe0f"},
		"a heart, as a letter":         {"❤", "❤\ufe0f"},
		"a letter with a complexion":   {"✌🏽", "✌🏽"},
		"said twice, and a complexion": {"✌\ufe0f🏽", "✌🏽"},
		"a trade mark":                 {"™", "™\ufe0f"},
		"copyright":                    {"©", "©\ufe0f"},
		"a family":                     {"👨\u200d👩\u200d👧\u200d👦", "👨\u200d👩\u200d👧\u200d👦"},
		"the longest there is":         {"👩🏻\u200d❤\ufe0f\u200d💋\u200d👩🏼", "👩🏻\u200d❤\ufe0f\u200d💋\u200d👩🏼"},
		"a heart on fire, as letters":  {"❤\u200d🔥", "❤\ufe0f\u200d🔥"},
		"a woman who runs":             {"🏃🏿\u200d♀", "🏃🏿\u200d♀\ufe0f"},
		"a flag":                       {"🇺🇦", "🇺🇦"},
		"a rainbow flag":               {"🏳\u200d🌈", "🏳\ufe0f\u200d🌈"},
		"a flag of a region":           {"🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"},
		"a black flag":                 {"🏴", "🏴"},
		"a key":                        {"1\u20e3", "1\ufe0f\u20e3"},
		"a key, in full":               {"#\ufe0f\u20e3", "#\ufe0f\u20e3"},
		"newer than the table":         {"\U0001fae9", "\U0001fae9"},

		"nothing":                   {"", ""},
		"a letter":                  {"a", ""},
		"a digit":                   {"1", ""},
		"a digit, as a picture":     {"1\ufe0f", ""},
		"another word":              {"Like", ""},
		"two pictures":              {"👍👍", ""},
		"a picture and a letter":    {"👍a", ""},
		"a space before":            {" 👍", ""},
		"a space behind":            {"👍 ", ""},
		"a joiner behind":           {"👍\u200d", ""},
		"a joiner before":           {"\u200d👍", ""},
		"two joiners":               {"👨\u200d\u200d👩", ""},
		"a selector alone":          {"\ufe0f", ""},
		"as a letter, on purpose":   {"❤\ufe0e", ""},
		"three complexions":         {"👍🏽🏽🏽", ""},
		"half a flag":               {"🇺", ""},
		"one and a half flags":      {"🇺🇦🇺", ""},
		"two flags":                 {"🇺🇦🇺🇦", ""},
		"text in tags":              {"👍\U000e0068\U000e0069\U000e007f", ""},
		"tags without an end":       {"🏴\U000e0067\U000e0062", ""},
		"an end without tags":       {"🏴\U000e007f", ""},
		"two keys":                  {"1\ufe0f\u20e32\ufe0f\u20e3", ""},
		"not UTF-8":                 {"👍\xff", ""},
		"half of a picture":         {"\xf0\x9f\x91", ""},
		"NUL":                       {"👍\x00", ""},
		"a picture with an accent":  {"👍\u0301", ""},
		"too long a family":         {strings.Repeat("👨\u200d", 6) + "👨", ""},
		"too long, once in full":    {strings.Repeat("❤\u200d", 6) + "❤", ""},
		"a right-to-left override":  {"\u202e👍", ""},
		"a letter that looks alike": {"Ⓜ️Ⓜ️", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseEmoji(c.in)
			require.Equal(t, c.want != "", ok)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

// An emoji is written in one way, which is an emoji itself, and is short.
func FuzzParseEmoji(f *testing.F) {
	for _, s := range []string{"like", "👍🏽", "❤", "1\u20e3", "🇺🇦", "👨\u200d👩\u200d👧\u200d👦", "🏴\U000e0067\U000e0062\U000e007f", "a", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		emoji, ok := parseEmoji(s)
		if !ok {
			return
		}
		require.True(t, utf8.ValidString(emoji))
		require.LessOrEqual(t, len(emoji), maxEmojiLength)
		again, ok := parseEmoji(emoji)
		require.True(t, ok, "%q", emoji)
		require.Equal(t, emoji, again)
	})
}
