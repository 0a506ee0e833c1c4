package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/limit"
)

// However many are refused, there is a line a second, which tells how many more.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.limitTo(t, map[limit.Name]string{limit.SignIn: "1/1h"})
		s.try(t, from("192.0.2.1", nil), "alice", "guess")
		refuse := func(times, lines int) {
			t.Helper()
			for range times {
				require.Equal(t, "too_many_attempts", s.try(t, from("192.0.2.1", nil), "alice", "guess"))
			}
			require.Equal(t, lines, strings.Count(s.log.String(), "too many attempts"))
		}
		refuse(20, 1)
		s.clock = s.clock.Add(seldomEvery - 1)
		refuse(1, 1)
		s.clock = s.clock.Add(time.Nanosecond)
		refuse(2, 2)
		require.Contains(t, s.log.String(), fmt.Sprint("left_out=", 20))
	})
}
