package auth

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
)

func commonLines(tb testing.TB) []string {
	tb.Helper()
	var lines []string
	for in := bufio.NewScanner(strings.NewReader(commonPasswords)); in.Scan(); {
		lines = append(lines, in.Text())
	}
	return lines
}

// The list is as the search needs it.
func TestCommonPasswordsAreInOrder(t *testing.T) {
	t.Parallel()
	lines := commonLines(t)
	require.True(t, strings.HasSuffix(commonPasswords, "\n"))
	require.True(t, slices.IsSorted(lines))
	require.Len(t, slices.Compact(slices.Clone(lines)), len(lines))
	long := 0
	for _, line := range lines {
		require.Equal(t, strings.ToLower(line), line)
		require.GreaterOrEqual(t, len(line), minCommonLength, line)
		if len(line) >= 8 {
			long++
		}
	}
	// OWASP ASVS asks for the 3,000 most common that a site would take.
	require.Greater(t, long, 10_000)
}

func TestIsCommon(t *testing.T) {
	t.Parallel()
	lines := commonLines(t)
	for _, line := range lines {
		require.True(t, isCommon(line), line)
	}
	for _, password := range []string{
		"password", "12345678", "PassWord1", "Qwerty123", "ILOVEYOU", "football", "december",
		lines[0], lines[len(lines)-1],
	} {
		require.True(t, isCommon(password), password)
	}
	for _, password := range []string{
		"", "\n", "\x00", "~~~~~~~~~~~~~~", "open sesame", "correct horse", "battery staple",
		"password\n", "\npassword", " password", "password ", "password\n12345678", lines[0] + "\n" + lines[1], "пароль",
	} {
		require.False(t, isCommon(password), "%q", password)
	}
}

// Whatever is asked, the search finds what is there, and nothing else.
func TestIsCommonAgainstAMap(t *testing.T) {
	t.Parallel()
	lines := commonLines(t)
	known := make(map[string]bool, len(lines))
	for _, line := range lines {
		known[line] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom(lines).Draw(t, "line")
		cut := rapid.IntRange(0, len(line)).Draw(t, "cut")
		password := line[:cut] + rapid.StringN(-1, 3, -1).Draw(t, "tail")
		require.Equal(t, known[strings.ToLower(password)], isCommon(password), "%q", password)
	})
}

var tooCommon = refusal{chat.Invalid, "password_too_common", "password"}

// Nobody gets a common password, by whichever way, nor the name of the account.
func TestCommonPasswordsAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		zoe := s.register(t, "Zoë-of-Exeter", "open sesame")
		for name, c := range map[string]struct{ username, password string }{
			"common":                       {"max", "password"},
			"common, in capitals":          {"max", "PASSWORD"},
			"a row of keys":                {"max", "1qaz2wsx"},
			"the name":                     {"max-of-exeter", "max-of-exeter"},
			"the name in capitals":         {"max-of-exeter", "MAX-OF-Exeter"},
			"the name, written as another": {"max-of-exeter", "ｍａｘ-of-exeter"},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := s.signUp(t.Context(), c.username, c.password)
				requireRefusal(t, tooCommon, err)
				_, err = s.CreateAccount(t.Context(), operator,
					chat.NewAccount{Profile: chat.Profile{Username: &c.username}}, c.password, "")
				requireRefusal(t, tooCommon, err)
			})
		}
		for _, password := range []string{"password", "zoë-OF-exeter"} {
			_, err := s.UpdateAccount(t.Context(), operator, zoe.ID, chat.AccountChange{}, &password)
			requireRefusal(t, tooCommon, err)
		}
		// The name that the account is about to have.
		name := "Zoë-of-Bath"
		change := chat.AccountChange{Profile: chat.Profile{Username: &name}}
		_, err := s.UpdateAccount(t.Context(), operator, zoe.ID, change, &name)
		requireRefusal(t, tooCommon, err)
		old := "Zoë-of-Exeter"
		_, err = s.UpdateAccount(t.Context(), operator, zoe.ID, change, &old)
		require.NoError(t, err)
		// Nobody's name, and no name at all.
		_, err = s.UpdateAccount(t.Context(), operator, zoe.ID+1, chat.AccountChange{}, &old)
		requireRefusal(t, refusal{chat.NotFound, "user_not_found", ""}, err)
		s.register(t, "max", "with a space")
	})
}

// Another system's API takes what that system takes.
func TestCommonPasswordsAreAllowed(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.AllowCommonPasswords = true
		s.register(t, "max", "12345678")
		s.register(t, "max-of-exeter", "max-of-exeter")
		s.login(t, "max", "12345678", nil)
		_, err := s.signUp(t.Context(), "eve", "1234567")
		requireRefusal(t, refusal{chat.Invalid, "password_too_short", "password"}, err)
	})
}

// Who has a common password from before keeps it.
func TestCommonPasswordOfBefore(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		hash, err := NewHasher(NewHashQueue(), bcrypt.MinCost).Hash(t.Context(), "password")
		require.NoError(t, err)
		_, err = s.chat.Register(t.Context(), chat.Caller{}, "alice", hash)
		require.NoError(t, err)
		s.login(t, "alice", "password", nil)
	})
}
