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
		for i := range 22 {
			user, err := byName("John Doe", fmt.Sprintf("john%d@example.com", i))
			require.NoError(t, err)
			require.Equal(t, "John Doe", user.DisplayName)
			names = append(names, user.Username)
		}
		for i, name := range names {
			require.Equal(t, fmt.Sprint("John_Doe_", i+2), name)
		}
		// Numbers that somebody else has are left out.
		for _, n := range []int{24, 25, 36, 72} {
			s.register(t, fmt.Sprint("John_Doe_", n), "open sesame")
		}
		next, err := byName("John Doe", "next@example.com")
		require.NoError(t, err)
		require.Contains(t, []string{"John_Doe_26", "John_Doe_37", "John_Doe_73"}, next.Username, "it is behind one that is taken")
		_, err = byName("Another", "JOHN1@example.com")
		requireRefusal(t, refusal{chat.Conflict, "email_taken", "email"}, err)

		var all sync.WaitGroup
		twins := make([]string, 20)
		for i := range twins {
			all.Go(func() {
				user, err := byName("Twin", fmt.Sprintf("twin%d@example.com", i))
				if err != nil {
					t.Error(err)
				}
				twins[i] = user.Username
			})
		}
		all.Wait()
		inOrder := []string{"Twin"}
		for i := range len(twins) - 1 {
			inOrder = append(inOrder, fmt.Sprint("Twin_", i+2))
		}
		require.ElementsMatch(t, inOrder, twins)

		// It is not made of what is too long for a name: that is looked at first.
		_, err = byName(strings.Repeat("👍", 65), "no address")
		requireRefusal(t, refusal{chat.Invalid, "display_name_too_long", "display_name"}, err)

		for _, password := range []string{"", "x", "open sesame"} {
			_, err := s.Login(t.Context(), "John_Doe_2", password, nil)
			requireRefusal(t, refusal{chat.BadCredentials, "bad_credentials", ""}, err)
		}
		_, err = s.signUp(t.Context(), "nobody", "")
		requireRefusal(t, refusal{chat.Invalid, "password_missing", "password"}, err)
	})
}
