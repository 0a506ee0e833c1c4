package caddymsg_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// In its shutdown_delay, Caddy goes on serving, so that a load balancer can
// look elsewhere first. So does the API.
func TestShutdownDelay(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: "{\n\tshutdown_delay 2s\n\tgrace_period 1s\n}\n" + frontdoor.DefaultCaddyfile})
		alice := frontdoor.SignUp(t, s.URL, "alice")
		stopped := make(chan error, 1)
		go func() { stopped <- s.Stop(context.WithoutCancel(t.Context())) }()
		require.Eventually(t, func() bool { return strings.Contains(s.Log(), "shutdown") }, 10*time.Second, time.Millisecond)
		// Longer than requests get without a delay, and shorter than this one is.
		for begin := time.Now(); time.Since(begin) < 1200*time.Millisecond; {
			alice.Post("/v1/messages", `{"dest_username":"alice","message":"still here"}`).Want(http.StatusOK)
		}
		alice.HTTP.CloseIdleConnections()
		require.NoError(t, <-stopped)
	})
}

// Whoever does not wait for the answer is no failure of the server's.
func TestClientGone(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 14")})
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := frontdoor.NewClient(t, s.URL).Try(ctx, http.MethodPost, "/v1/auth/login", `{"username":"alice","password":"open sesame"}`)
			left <- err
		}()
		lifeAwaitOpen(t, s, 1)
		cancel()
		require.ErrorIs(t, <-left, context.Canceled)
		lifeEventually(t, "the request has ended", func() bool {
			return lifeMetrics(t, s).sum("messaging_requests_total") == 1
		})
		for _, sample := range lifeMetrics(t, s) {
			if sample.name == "messaging_requests_total" {
				require.Equal(t, "499", sample.labels["code"])
			}
		}
	})
}
