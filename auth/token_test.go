package auth

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The regular expression of the documentation finds each kind of token in whatever
// text, and nothing else.
func TestTokensAreFoundByScanners(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "security.md"))
	require.NoError(t, err)
	found := regexp.MustCompile("(?s)## Tokens\n\n```\n(.+?)\n```").FindSubmatch(page)
	require.NotNil(t, found)
	scanner := regexp.MustCompile(`\b(?:` + string(found[1]) + `)\b`)
	tokens := []string{newRefreshToken(newFamily())}
	for _, prefix := range []string{accessPrefix, keyPrefix, resetPrefix, verifyPrefix, invitationPrefix} {
		tokens = append(tokens, newToken(prefix))
	}
	for _, token := range tokens {
		for _, text := range []string{token, "token: " + token + "\n", `{"key":"` + token + `"}`, "https://chat.example.com/v1/auth/reset-password#" + token} {
			require.Equal(t, token, scanner.FindString(text))
		}
		for _, other := range []string{token[:len(token)-1], token + "A", strings.ToLower(token), token[1:], strings.Replace(token, "cmsg_", "cmsg-", 1)} {
			require.Empty(t, scanner.FindString(other))
		}
	}
}
