package dialect_test

import (
	"testing"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// What no dialect has is not answered by one of the others, nor is it by v1.
func TestPathsOfOthers(t *testing.T) {
	t.Parallel()
	for api, path := range map[string]string{
		"simple_chats": "/v1/me", "messenger": "/api/login", "group_chat": "/v1/me", "knox": "/chats/",
	} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			s := start(t, frontdoor.SQLite, api, "")
			c := frontdoor.NewClient(t, s.URL)
			c.Unchecked = "not v1"
			c.Get(path).Want(418)
		})
	}
}
