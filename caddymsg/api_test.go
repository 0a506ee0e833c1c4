package caddymsg_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// What may be said of an API is taken, by `caddy validate`.
func TestAPIOptions(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{
		"v1":                        "api v1",
		"simple_chats":              "api simple_chats",
		"messenger":                 "api messenger",
		"group_chat":                "api group_chat",
		"knox":                      "api knox",
		"an empty block":            "api knox {\n}",
		"everybody is who they say": "api messenger {\n insecure_trust_user_ids\n}",
		"closed":                    "api knox\n registration closed",
		"open":                      "api simple_chats\n registration open",
		"basic_auth off":            "api knox\n basic_auth off",
		"longer passwords":          "api messenger\n password_min_length 12",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, output := lifeValidate(t, t.TempDir(), lifeSite("{$PORT}", option))
			require.True(t, ok, output)
		})
	}
}

// Three of the systems have no rule for passwords, and a site that speaks their API has
// none either, unless it says so. Whatever a site lets be a password, another of the same
// database takes at sign-in.
func TestPasswordsOfAPIs(t *testing.T) {
	t.Parallel()
	register := map[string]func(c *frontdoor.Client, username, password string) *frontdoor.Response{
		"v1": func(c *frontdoor.Client, username, password string) *frontdoor.Response {
			return c.Post("/v1/auth/register", frontdoor.JSON(t, map[string]string{"username": username, "password": password}))
		},
		"knox": func(c *frontdoor.Client, username, password string) *frontdoor.Response {
			return c.Post("/api/auth/register", frontdoor.JSON(t, map[string]string{"username": username, "password": password}))
		},
		"simple_chats": func(c *frontdoor.Client, username, password string) *frontdoor.Response {
			return c.Post("/api/register", frontdoor.JSON(t, map[string]string{
				"username": username, "password": password, "name": username, "email": username + "@example.com",
			}))
		},
	}
	for name, test := range map[string]struct {
		api, option       string
		refused, accepted string
	}{
		"v1":                     {"v1", "", "b4nq7xt", "b4nq7xtv"},
		"simple_chats":           {"simple_chats", "", "b4nq7xt", "b4nq7xtv"},
		"knox":                   {"knox", "", "", "1"},
		"simple_chats, shorter":  {"simple_chats", "password_min_length 3", "no", "yes"},
		"knox, longer":           {"knox", "password_min_length 12", "eleven11111", "twelve121212"},
		"knox, a common one":     {"knox", "", "", "password"},
		"simple_chats, a common": {"simple_chats", "", "short", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "api "+test.api, "database {env.DATABASE}", "bcrypt_cost 4", test.option) +
				lifeSite("{$PORT2}", "database {env.DATABASE}", "bcrypt_cost 4")})
			c := frontdoor.NewClient(t, s.URL)
			register[test.api](c, "alice", test.refused).Want(http.StatusBadRequest)
			require.Less(t, register[test.api](c, "alice", test.accepted).StatusCode, 300)
			frontdoor.NewClient(t, s.URL2).Post("/v1/auth/login", frontdoor.JSON(t, map[string]string{
				"username": "alice", "password": test.accepted,
			})).Want(http.StatusOK)
		})
	}
}

// The Caddyfiles of the pages about dialects are in order.
func TestDialectPagesConfigurations(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/dialects/*.md")
	require.NoError(t, err)
	found := 0
	for _, page := range append(pages, "../docs/dialects.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, configuration := range regexp.MustCompile("(?s)```\\w*\n(\\S+ \\{\n[^`]*?messaging.*?)```").FindAllStringSubmatch(string(text), -1) {
			found++
			ok, output := lifeValidate(t, t.TempDir(), configuration[1])
			require.True(t, ok, "%s: %s\n%s", page, configuration[1], output)
		}
	}
	require.GreaterOrEqual(t, found, len(pages), "a page without a Caddyfile")
}
