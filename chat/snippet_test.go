package chat_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/chat/fold"
)

func TestSnippet(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("lorem ", 100)
	for name, c := range map[string]struct {
		text, query string
		begin, end  string
		marked      []string
	}{
		"a short text is all there is": {"Hello, World", "world", "Hello, World", "Hello, World", []string{"World"}},
		"in one line":                  {"one\ntwo", "two", "one two", "one two", []string{"two"}},
		"at the beginning":             {"needle " + words, "needle", "needle lorem", "lorem…", []string{"needle"}},
		"in the midst":                 {words + "needle " + words, "needle", "…lorem", "lorem…", []string{"needle"}},
		"at the end":                   {words + "needle", "needle", "…lorem", "lorem needle", []string{"needle"}},
		"without a space":              {strings.Repeat("字", 500) + "京" + strings.Repeat("字", 500), "京", "…字", "字…", []string{"京"}},
		"accents are not cut off": {
			strings.Repeat("e\u0301", 100) + " needle " + strings.Repeat("e\u0301", 100), "needle", "…", "e\u0301…", []string{"needle"},
		},
		"more than one": {"a needle, " + words + "needle", "needle", "a needle", "lorem…", []string{"needle"}},
	} {
		t.Run(name, func(t *testing.T) {
			ranges, ok := fold.ParseQuery(c.query).Match(c.text)
			require.True(t, ok)
			snippet, highlights := chat.Snippet(c.text, ranges)
			require.True(t, strings.HasPrefix(snippet, c.begin), snippet)
			require.True(t, strings.HasSuffix(snippet, c.end), snippet)
			require.LessOrEqual(t, utf8.RuneCountInString(snippet), chat.SnippetLength+2)
			var marked []string
			for _, h := range highlights {
				marked = append(marked, string([]rune(snippet)[h.Start:h.Start+h.Length]))
			}
			require.Equal(t, c.marked, marked)
		})
	}
}

// FuzzSnippet shows of any text something that was looked for, within it.
func FuzzSnippet(f *testing.F) {
	f.Add("Hello, World", "wor")
	f.Add(strings.Repeat("字", 300)+"京", "京")
	f.Add(strings.Repeat("e\u0301 ", 200)+"needle\n\u200d👩\u200d👩", "needle")
	f.Fuzz(func(t *testing.T, text, typed string) {
		ranges, ok := fold.ParseQuery(typed).Match(text)
		if !ok || len(ranges) == 0 {
			return
		}
		snippet, highlights := chat.Snippet(text, ranges)
		require.True(t, utf8.ValidString(snippet))
		length := utf8.RuneCountInString(snippet)
		require.LessOrEqual(t, length, chat.SnippetLength+2)
		require.NotEmpty(t, highlights)
		last := -1
		for _, h := range highlights {
			require.Greater(t, h.Start, last)
			require.Positive(t, h.Length)
			last = h.Start + h.Length
			require.LessOrEqual(t, last, length)
		}
	})
}
