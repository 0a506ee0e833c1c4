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

func TestInList(t *testing.T) {
	t.Parallel()
	lines := commonLines(t)
	for _, line := range lines {
		require.True(t, inList(line), line)
		require.True(t, isCommon(line, ""), line)
	}
	for _, password := range []string{
		"", "\n", "\x00", "~~~~~~~~~~~~~~", "open sesame", "password\n", "\npassword", "password\n12345678",
		lines[0] + "\n" + lines[1], "пароль",
	} {
		require.False(t, inList(password), "%q", password)
	}
}

func TestIsCommon(t *testing.T) {
	t.Parallel()
	for kind, passwords := range map[string][]string{
		"of the list":         {"password", "12345678", "PassWord1", "Qwerty123", "ILOVEYOU", "football", "december"},
		"written otherwise":   {"ｐassword", "password ", " password", "PASSWORD\u00a0", "１２３４５６７８", "p4ssw0rd!", "P@ssw0rd1!"},
		"spaces":              {"        ", "\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0", " \u3000\t     "},
		"one character":       {"00000000", "aaaaaaaa", "111111111", "1111111111", "000000000", "xxxxxxxx", "zzzzzzzz", "ZZZZZZZZ", "!!!!!!!!", "~~~~~~~~~~~~", "яяяяяяяя"},
		"the same digit":      {"22222222", "33333333", "44444444", "55555555", "66666666", "77777777", "88888888", "99999999"},
		"a block":             {"12341234", "123123123", "12121212", "69696969", "qweqweqwe", "abcabcabc", "adminadmin", "12312312", "passwordpassword", "hihihihihi"},
		"up and down":         {"87654321", "987654321", "0987654321", "01234567", "abcdefgh", "abcdefghi", "hgfedcba", "ABCDEFGH", "67890123", "абвгдежз"},
		"rows of keys":        {"qwertyuiop", "poiuytrewq", "asdfghjkl", "qweasdzxc", "qwertzui", "azertyui", "йцукенгш"},
		"several rows":        {"abc123def", "111222333", "123321123321", "aaabbbccc", "abcd1234"},
		"a word and digits":   {"Password1!", "letmein123", "summer2026", "Passwort1", "Summer2026!", "dragon 1999", "2026summer", "football12345678"},
		"a short word":        {"admin123", "Admin123!", "test1234", "hello2026", "a12345678", "12345678a", "1234567!"},
		"the name of a site":  {"chat.test", "CHAT.TEST", "chat.test1", "chat2026"},
		"a word and a sign":   {"sunshine!", "baseball.", "!password!"},
		"digits, and nothing": {"12345678!", "00000000.", "1234 1234"},
	} {
		for _, password := range passwords {
			require.True(t, isCommon(password, "chat.test"), "%s: %q", kind, password)
		}
	}
	for _, password := range []string{
		"", "open sesame", "open sesame!", "correct horse", "correct horse battery", "battery staple", "another password",
		"correct horse battery staple", "a password of mine", "Tr0ub4dor&3x", "xK7#pQ2m", "vq3mzt8w", "7391 4028 5516", "84027715",
		"password83920175", "sunshine-91-hill", "chat.test is mine", "testing the water", "abc of all things", "12 green apples",
		"пароль доступу", "мій кіт спить", "正しい馬の電池", "كلمة سر طويلة", "ðe gæt is open", "🐎🔋📎✅",
	} {
		require.False(t, isCommon(password, "chat.test"), "%q", password)
	}
	require.False(t, isCommon("chat.test", ""))
}

// Whatever is asked, the search finds what is there, and nothing else.
func TestInListAgainstAMap(t *testing.T) {
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
		require.Equal(t, known[password], inList(password), "%q", password)
	})
}

var tooCommon = refusal{chat.Invalid, "password_too_common", "password"}

// Nobody gets a common password, by whichever way, nor the name of the account.
func TestCommonPasswordsAreRefused(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.SiteName = "chat.test"
		zoe := s.register(t, "Zoë-of-Exeter", "open sesame")
		for name, c := range map[string]struct{ username, password string }{
			"common":                       {"max", "password"},
			"common, in capitals":          {"max", "PASSWORD"},
			"a row of keys":                {"max", "1qaz2wsx"},
			"a pattern":                    {"max", "87654321"},
			"a word with a year":           {"max", "Summer2026"},
			"the site":                     {"max", "Chat.Test"},
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
