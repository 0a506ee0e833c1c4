package caddymsg_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// Whoever is signed in stays so through a rotation of the secret, if they come while
// the old one is still named. The last of the parts is the only one that signs
// anybody out.
func TestSecretRotation(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		const first, second, third = "the first secret, of enough bytes", "the second secret, of enough bytes", "the third secret, of enough bytes"
		site := func(secrets ...string) string {
			return `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		session_secret "` + strings.Join(secrets, `" "`) + `"
		bcrypt_cost 4
		rate_limits off
	}
}
`
		}
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: site(first)})
		_, alice := signUp(t, s.URL, "alice")
		_, bob := signUp(t, s.URL, "bob")
		// renew calls with a cookie, and tells the one that is to be used instead of it.
		renew := func(cookie *http.Cookie) *http.Cookie {
			t.Helper()
			answer := frontdoor.NewClient(t, s.URL).Do("GET", "/v1/messages", "", "Cookie", "session="+cookie.Value).Want(200)
			renewed := sessionCookie(t, answer)
			requireSessionCookie(t, renewed, "session", renewed.MaxAge, false)
			require.InDelta(t, monthSeconds, renewed.MaxAge, 60, "the session ends when it did before")
			require.NotEqual(t, cookie.Value, renewed.Value)
			return renewed
		}
		require.Empty(t, frontdoor.NewClient(t, s.URL).Do("GET", "/v1/messages", "", "Cookie", "session="+alice.Value).Cookies())

		require.NoError(t, s.Reload(t.Context(), site(second, first)))
		renewed := renew(alice)
		require.Empty(t, frontdoor.NewClient(t, s.URL).Do("GET", "/v1/messages", "", "Cookie", "session="+renewed.Value).Cookies(),
			"once is enough")
		renew(alice) // the answer may have been lost

		// It is still the same session.
		c := frontdoor.NewClient(t, s.URL)
		c.Do("POST", "/v1/auth/logout", "", "Cookie", "session="+login(t, c, "alice").Value).Want(200)
		require.Equal(t, 200, knock(t, s.URL, "session="+renewed.Value))

		require.NoError(t, s.Reload(t.Context(), site(third, second)))
		require.Equal(t, 401, knock(t, s.URL, "session="+bob.Value), "he did not come while the first was named")
		require.Equal(t, 401, knock(t, s.URL, "session="+alice.Value), "the cookie was renewed, and this is the old one")
		again := renew(renewed)

		// An old cookie ends its session, as the renewed one would.
		frontdoor.NewClient(t, s.URL).Do("POST", "/v1/auth/logout", "", "Cookie", "session="+renewed.Value).Want(200)
		require.Equal(t, 401, knock(t, s.URL, "session="+again.Value))
	})
}
