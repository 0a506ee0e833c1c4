package auth

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

func TestTrust(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, database string) {
		s := openSite(t, store.Options{Database: database}) // in which many may wait
		alice := s.register(t, "alice", "open sesame")
		_, err := s.Trust(t.Context(), alice.ID)
		requireRefusal(t, unauthenticated, err)
		_, err = s.TrustNobody(t.Context())
		requireRefusal(t, unauthenticated, err)
		require.Empty(t, s.sessionsOf(t, alice, store.TrustedSession), "a site has to ask for it")

		s.opts.TrustUserIDs = true
		nobody, err := s.TrustNobody(WithRequest(t.Context(), Request{ClientIP: netip.MustParseAddr("192.0.2.1")}))
		require.NoError(t, err)
		require.Equal(t, chat.Caller{Address: "192.0.2.1", Trusted: true}, nobody)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				caller, err := s.Trust(t.Context(), alice.ID)
				if err != nil {
					t.Error(err)
				}
				if caller.UserID != alice.ID || caller.Username != "alice" || caller.Admin || !caller.Trusted || caller.SessionID == 0 {
					t.Errorf("%+v", caller)
				}
			})
		}
		all.Wait()
		sessions := s.sessionsOf(t, alice, store.TrustedSession)
		require.Len(t, sessions, 1, "all who name alice have one session")
		caller, err := s.Trust(t.Context(), alice.ID)
		require.NoError(t, err)
		require.Equal(t, sessions[0].ID, caller.SessionID)

		s.clock = s.clock.Add(lifetime / 2)
		_, err = s.Trust(t.Context(), alice.ID)
		require.NoError(t, err)
		require.Equal(t, s.clock.Add(lifetime), s.sessionsOf(t, alice, store.TrustedSession)[0].ExpiresAt, "its use extends it")
		s.clock = s.clock.Add(lifetime)
		another, err := s.Trust(t.Context(), alice.ID)
		require.NoError(t, err)
		require.NotEqual(t, caller.SessionID, another.SessionID, "unused, it expires")
		s.told()
		_, err = s.Logout(t.Context(), another)
		require.NoError(t, err)
		require.Equal(t, []string{ended(another.SessionID, alice)}, s.told())
		_, err = s.Trust(t.Context(), alice.ID)
		require.NoError(t, err)

		s.change(t, alice, chat.AccountChange{Deactivated: new(true)}, nil)
		_, err = s.Trust(t.Context(), alice.ID)
		requireRefusal(t, deactivated, err)
		gone := s.register(t, "gone", "open sesame")
		require.NoError(t, s.chat.DeleteAccount(t.Context(), operator, gone.ID))
		for _, id := range []int64{gone.ID, 9999, 0, -1} {
			_, err = s.Trust(t.Context(), id)
			requireRefusal(t, refusal{chat.NotFound, "user_not_found", ""}, err)
		}
	})
}
