package chat

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// mentioned are the names that a text mentions, of those given, as they stand in
// the text.
func mentioned(text string, people ...string) (found []string) {
	ids := map[string]int64{}
	for i, name := range people {
		ids[UsernameKey(name)] = int64(i + 1)
	}
	characters := []rune(text)
	for _, m := range resolve(callsIn(text), ids) {
		found = append(found, fmt.Sprintf("%s=%s", string(characters[m.Start:m.Start+m.Length]), people[m.UserID-1]))
	}
	return found
}

func TestMentions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"@bob":                        {"@bob=bob"},
		"hi @bob":                     {"@bob=bob"},
		"hi @BoB, how are you?":       {"@BoB=bob"},
		"@bob @ann @bob":              {"@bob=bob", "@ann=ann", "@bob=bob"},
		"@bob@ann":                    nil,
		"(@bob) [@ann] @bob: @ann's":  {"@bob=bob", "@ann=ann", "@bob=bob", "@ann=ann"},
		"@bob.":                       {"@bob=bob"},
		"…@bob… “@ann”":               {"@bob=bob", "@ann=ann"},
		"*@bob* _@ann*":               {"@bob=bob", "@ann=ann"},
		"line\n@bob\n@ann":            {"@bob=bob", "@ann=ann"},
		"@bob/@ann":                   {"@bob=bob", "@ann=ann"},
		"😀@bob😀":                      {"@bob=bob"},
		"@bobby @bob_x @bob2 @bobé":   nil,
		"@bob-ann":                    {"@bob=bob"},
		"@bob-2 @bob-23":              {"@bob-2=bob-2", "@bob=bob"},
		"@bob.smith":                  {"@bob.smith=bob.smith"},
		"@bob.smith. @bob.smithy":     {"@bob.smith=bob.smith", "@bob=bob"},
		"@wow! @wow!!":                {"@wow!=wow!", "@wow!=wow!"},
		"@wow":                        nil,
		"bob@example.com ann@bob":     nil,
		"@bob@example.com":            nil,
		"пошта@bob":                   nil,
		"@a.@b @b":                    {"@a.@b=a.@b"},
		"@ @@bob @/bob @@ bob":        nil,
		"@ bob":                       nil,
		"@nobody":                     nil,
		"@Zoë @ZOE\u0308":             {"@Zoë=zoë", "@ZOE\u0308=zoë"},
		"@zoe @zo":                    nil,
		"@МАРІЯ, @марійка":            {"@МАРІЯ=Марія"},
		"你好@鈴木さん":                     {"@鈴木=鈴木"},
		"@鈴木一郎さん@bob":                 {"@鈴木一郎=鈴木一郎", "@bob=bob"},
		"@bob你好":                      {"@bob=bob"},
		"@महेश, नमस्ते":               {"@महेश=महेश"},
		"@Straße @STRASSE":            {"@Straße=strasse", "@STRASSE=strasse"},
		"@" + strings.Repeat("x", 64): {"@" + strings.Repeat("x", 64) + "=" + strings.Repeat("x", 64)},
		"@" + strings.Repeat("x", 65): nil,
		strings.Repeat("@bob ", 50) + "@ann": func() (all []string) {
			for range 50 {
				all = append(all, "@bob=bob")
			}
			return all
		}(),
		"@bob" + strings.Repeat("!", 100): {"@bob=bob"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, mentioned(text, "bob", "ann", "bob-2", "bob.smith", "wow!", "a.@b", "zoë", "Марія",
				"鈴木", "鈴木一郎", "महेश", "strasse", strings.Repeat("x", 64)))
		})
	}
}

// Ranges are within the text and apart from each other, they begin with an @, and
// what they hold is the name of the one whom they mean.
func FuzzMentions(f *testing.F) {
	for _, text := range []string{"@bob", "a@bob", "@bob@bob", "@@@", "@é\u0301", "@\u200d@", "名@名", "@a b@", "@", strings.Repeat("@!", 99)} {
		f.Add(text, "bob")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		key := UsernameKey(name)
		if !utf8.ValidString(text) || key == "" {
			return
		}
		calls := callsIn(text)
		require.LessOrEqual(t, len(calls), MaxMentions)
		looked := 0
		for _, c := range calls {
			looked += len(c.readings)
			for i := range c.readings[1:] {
				require.Greater(t, c.readings[i].length, c.readings[i+1].length)
			}
		}
		require.LessOrEqual(t, looked, maxReadings)
		characters, end := []rune(text), 0
		for _, m := range resolve(calls, map[string]int64{key: 1}) {
			require.GreaterOrEqual(t, m.Start, end)
			end = m.Start + m.Length
			require.LessOrEqual(t, end, len(characters))
			require.Equal(t, '@', characters[m.Start])
			require.Equal(t, key, UsernameKey(string(characters[m.Start+1:end])))
			require.Equal(t, store.Mention{Start: m.Start, Length: m.Length, UserID: 1}, m)
		}
		if name, _, err := PrepareUsername(name); err == nil && !strings.Contains(name, "@") {
			require.Equal(t, []string{"@" + name + "=" + name}, mentioned("hi @"+name, name))
		}
	})
}

// What is looked up for many texts is as little as for one, and is looked up for
// all of them at once.
func TestMentionsOfManyTexts(t *testing.T) {
	t.Parallel()
	texts := []string{"@bob", "no", "@bob @eve"}
	for range 30 {
		texts = append(texts, strings.Repeat("@x!!!!!!!!! ", 10))
	}
	texts = append(texts, "@bob")
	contents := newContents(texts...)
	require.Len(t, contents, len(texts))
	looked := 0
	for i, c := range contents {
		require.Equal(t, texts[i], c.text)
		for _, call := range c.calls {
			looked += len(call.readings)
		}
	}
	require.LessOrEqual(t, looked, maxReadings)
	require.Greater(t, looked, maxReadings-10)
	require.Len(t, contents[0].calls, 1)
	require.Len(t, contents[2].calls, 2)
	require.Empty(t, contents[len(contents)-1].calls)
}
