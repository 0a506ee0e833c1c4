package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/chat"
)

// Unknown user and wrong password take the same time: each is compared with
// one hash, no more and no less, and where there is none it is nobody's.
func TestLoginHashesOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		_, err := s.chat.Register(t.Context(), chat.Caller{}, "ghost", "")
		require.NoError(t, err)
		for name, c := range map[string]struct {
			username, password string
			nobodys            bool
		}{
			"right":                {"alice", "open sesame", false},
			"wrong password":       {"alice", "passwort", false},
			"password too long":    {"alice", strings.Repeat("x", MaxPasswordLength+1), true},
			"unknown user":         {"nobody", "open sesame", true},
			"no possible username": {"a b", "open sesame", true},
			"nothing":              {"", "", true},
			"user without a hash":  {"ghost", "open sesame", true},
		} {
			t.Run(name, func(t *testing.T) {
				answered := make(chan error, 1)
				login := func() {
					_, err := s.Login(context.Background(), c.username, c.password, nil)
					answered <- err
				}
				q := newQueue(1)
				s.hasher = NewHasher(q, bcrypt.MinCost)
				require.NoError(t, q.enter(t.Context()))
				go login()
				awaitWaiting(t, q, 1)
				q.leave()
				// The slot is the test's again as soon as the login leaves it: a
				// second hash would wait for it for ever.
				require.NoError(t, q.enter(t.Context()))
				err := <-answered
				if name == "right" {
					require.NoError(t, err)
				} else {
					requireRefusal(t, badCredentials, err)
				}

				s.hasher = NewHasher(newQueue(1), bcrypt.MinCost)
				s.hasher.nobody = "broken"
				login()
				require.Equal(t, c.nobodys, errors.Is(<-answered, bcrypt.ErrHashTooShort))
			})
		}
	})
}

// The log tells what happened to whom and from where, and no secret.
func TestLog(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		ctx := WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.7")})
		alice, err := s.signUp(ctx, "alice", "first-secret")
		require.NoError(t, err)
		session, err := s.Login(ctx, "alice", "first-secret", nil)
		require.NoError(t, err)
		_, err = s.Login(ctx, "alice", "second-secret", nil)
		requireRefusal(t, badCredentials, err)
		_, err = s.Login(ctx, "third-secret", "x", nil) // typed into the wrong field
		requireRefusal(t, badCredentials, err)

		id := fmt.Sprint("user_id=", alice.ID)
		var got []string
		for line := range strings.Lines(s.log.String()) {
			require.Contains(t, line, "192.0.2.7")
			for _, what := range []string{"user registered", "user logged in", "login failed"} {
				if strings.Contains(line, what) {
					got = append(got, fmt.Sprint(what, " ", strings.Contains(line, id)))
				}
			}
		}
		require.Equal(t, []string{"user registered true", "user logged in true", "login failed true", "login failed false"}, got)
		for _, hidden := range []string{"secret", alice.PasswordHash, string(session.Token)} {
			require.NotContains(t, s.log.String(), hidden)
		}
	})
}
