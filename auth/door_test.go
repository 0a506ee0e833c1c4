package auth

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// limitTo has a site allow so much.
func (s *site) limitTo(tb testing.TB, rates map[limit.Name]string) {
	tb.Helper()
	parsed := map[limit.Name]limit.Rate{}
	for name, text := range rates {
		rate, err := limit.Parse(text)
		require.NoError(tb, err)
		parsed[name] = rate
	}
	s.opts.Limits = limit.New(s.store, nil)
	s.opts.Limits.Configure(parsed)
}

// try signs in, or tries to, and tells the code of the refusal.
func (s *site) try(tb testing.TB, ctx context.Context, username, password string) string {
	tb.Helper()
	_, err := s.Login(ctx, username, password, nil)
	if err == nil {
		return ""
	}
	refusal := chat.AsError(err)
	require.NotNil(tb, refusal, err)
	if refusal.Kind == chat.TooMany {
		require.Positive(tb, refusal.RetryAfter)
	}
	return refusal.Code
}

const (
	wrong   = "bad_credentials"
	tooMany = "too_many_attempts"
)

func TestTriesThatFail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.limitTo(t, map[limit.Name]string{limit.SignIn: "2/1h", limit.SignInAddress: "5/1h"})
		s.register(t, "alice", "open sesame")
		device := bytes.Repeat([]byte{1}, deviceLength)
		another := bytes.Repeat([]byte{2}, deviceLength)
		home := from("192.0.2.1", device)
		require.Empty(t, s.try(t, home, "alice", "open sesame"))
		for i, row := range []struct {
			where              context.Context
			username, password string
			want               string
		}{
			// Two from elsewhere, wherever that is, and however the name is written.
			{from("198.51.100.1", nil), "alice", "guess", wrong},
			{from("198.51.100.2", another), "ALICE", "guess", wrong},
			{from("198.51.100.3", nil), "Alice", "guess", tooMany},
			{from("198.51.100.1", nil), "alice", "open sesame", tooMany},
			{from("", nil), "alice", "guess", tooMany},
			// Two of one's own from the address that is known, with whatever device.
			{from("192.0.2.1", nil), "alice", "guess", wrong},
			{from("192.0.2.1", another), "alice", "guess", wrong},
			{from("192.0.2.1", nil), "alice", "guess", tooMany},
			{from("192.0.2.1", nil), "alice", "open sesame", tooMany},
			// Two of one's own from the device that is known, wherever it is.
			{from("198.51.100.1", device), "alice", "guess", wrong},
			{from("192.0.2.1", device), "alice", "open sesame", ""},
			{from("198.51.100.2", device), "alice", "open sesame", ""},
			{from("198.51.100.9", device), "alice", "guess", wrong},
			{from("198.51.100.9", device), "alice", "guess", tooMany},
			// Whom there is not, likewise.
			{from("198.51.100.4", nil), "nobody", "guess", wrong},
			{from("198.51.100.4", device), "nobody", "guess", wrong},
			{from("198.51.100.4", nil), "nobody", "guess", tooMany},
			// What one address has left, for whomever: three of five.
			{from("198.51.100.4", nil), "no one", "guess", wrong},
			{from("198.51.100.4", nil), "noone", "guess", wrong},
			{from("198.51.100.4", nil), "no-one", "guess", wrong},
			{from("198.51.100.4", nil), "none", "guess", tooMany},
		} {
			require.Equal(t, row.want, s.try(t, row.where, row.username, row.password), "row %d", i)
		}
	})
}

// What is right costs nothing, nor what has not been tried.
func TestTriesThatDoNotFail(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.limitTo(t, map[limit.Name]string{limit.SignIn: "1/1h", limit.SignInAddress: "1/1h"})
		s.register(t, "alice", "open sesame")
		for i := range 5 {
			require.Empty(t, s.try(t, from(fmt.Sprint("192.0.2.", i/2), nil), "alice", "open sesame"))
		}
		giveBack := takeAll(t, s.hasher.queue)
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		s.opts.Limits = nil
		for i := range waitingPerSlot {
			waiting.Go(func() { _, _ = s.Login(ctx, fmt.Sprint("somebody", i), "open sesame", nil) }) // it is broken off
		}
		awaitWaiting(t, s.hasher.queue, waitingPerSlot)
		s.limitTo(t, map[limit.Name]string{limit.SignIn: "2/1h"})
		for range 5 {
			require.Equal(t, "too_many_logins", s.try(t, from("192.0.2.9", nil), "bob", "open sesame"))
		}
		cancel()
		waiting.Wait()
		giveBack()
		require.Equal(t, wrong, s.try(t, from("192.0.2.9", nil), "bob", "guess"))
	})
}

func TestTriesAtOnce(t *testing.T) {
	t.Parallel()
	s := openSite(t, store.Options{Database: filepath.Join(t.TempDir(), "messaging.db")})
	s.limitTo(t, map[limit.Name]string{limit.SignIn: "10/1h"})
	s.register(t, "alice", "open sesame")
	var tried atomic.Int64
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			got := tooManyOfOne.code
			for got == tooManyOfOne.code { // it was not tried
				got = s.try(t, from(fmt.Sprint("192.0.2.", i), nil), "alice", "guess")
			}
			if got == wrong {
				tried.Add(1)
			} else if got != tooMany {
				t.Error(got)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 10, tried.Load())
}

func TestRegistrationsAreLimited(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.limitTo(t, map[limit.Name]string{limit.RegistrationAddress: "2/1h"})
		register := func(address, name, password string) error {
			_, _, err := s.Register(from(address, nil), Registration{Username: name, Password: password})
			return err
		}
		for range 5 {
			require.Equal(t, chat.Invalid, chat.AsError(register("192.0.2.1", "alice", "abc")).Kind, "it costs no hash")
		}
		require.NoError(t, register("192.0.2.1", "alice", "open sesame"))
		require.Equal(t, chat.Conflict, chat.AsError(register("192.0.2.1", "alice", "open sesame")).Kind)
		refusal := chat.AsError(register("192.0.2.1", "bob", "open sesame"))
		require.Equal(t, tooMany, refusal.Code)
		require.Greater(t, refusal.RetryAfter, 29*time.Minute)
		require.NoError(t, register("192.0.2.2", "bob", "open sesame"))
	})
}
