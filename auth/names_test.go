package auth

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func TestUsernamesOfNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"John Doe", "John_Doe"}, {"  John\t \u00a0Doe ", "John_Doe"}, {"J. R. Doe", "J._R._Doe"}, {"_x_", "x"}, {"דוד", "דוד"},
		{"Дядя Bob 👍", "Дядя_Bob"}, {"a/b\nc", "ab_c"}, {"日本 太郎", "日本_太郎"}, {"राम शर्मा", "राम_शर्मा"},
		{"", "user"}, {"   ", "user"}, {"👍", "user"}, {".", "user"}, {"..", "user"}, {"/", "user"}, {"\x00\xff", "user"},
		{strings.Repeat("я", 100), strings.Repeat("я", 52)},
	} {
		require.Equal(t, c.want, makeUsername(c.name), "%q", c.name)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := makeUsername(rapid.String().Draw(t, "name"))
		_, _, err := chat.PrepareUsername(name + "_1234567890")
		require.NoError(t, err)
	})
}

func TestRegisterByName(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, database string) {
		s := openSite(t, store.Options{Database: database}) // in which many may wait
		byName := func(name, email string) (chat.User, error) {
			user, _, err := s.Register(t.Context(), Registration{
				DisplayName: name, Email: email, UniqueEmail: true, MakeUsername: true, NoPassword: true,
			})
			return user, err
		}
		s.register(t, "john_doe", "open sesame")
		var names []string
		for i := range 12 {
			user, err := byName("John Doe", fmt.Sprintf("john%d@example.com", i))
			require.NoError(t, err)
			require.Equal(t, "John Doe", user.DisplayName)
			names = append(names, user.Username)
		}
		require.Equal(t, []string{"John_Doe_2", "John_Doe_3"}, names[:2])
		require.Equal(t, "John_Doe_9", names[7])
		for _, name := range names[8:] {
			require.Regexp(t, `^John_Doe_\d{10}$`, name)
		}
		_, err := byName("Another", "JOHN1@example.com")
		requireRefusal(t, refusal{chat.Conflict, "email_taken", "email"}, err)

		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				if _, err := byName("Twin", fmt.Sprintf("twin%d@example.com", i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()

		for _, password := range []string{"", "x", "open sesame"} {
			_, err := s.Login(t.Context(), "John_Doe_2", password, nil)
			requireRefusal(t, refusal{chat.BadCredentials, "bad_credentials", ""}, err)
		}
		_, err = s.signUp(t.Context(), "nobody", "")
		requireRefusal(t, refusal{chat.Invalid, "password_missing", "password"}, err)
	})
}
