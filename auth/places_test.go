package auth

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// from is the context of a request from an address; the device is that of a browser.
func from(address string, device []byte) context.Context {
	ip, _ := netip.ParseAddr(address) // the zero Addr, if it is unknown
	return WithRequest(context.Background(), Request{ClientIP: ip, Device: func() []byte { return device }})
}

func TestDeviceCookie(t *testing.T) {
	t.Parallel()
	const newer = "a newer secret, which is long enough"
	device := bytes.Repeat([]byte{7}, deviceLength)
	c := newCookies(t, secret)
	set := func(c *Cookies, secure bool) *http.Cookie {
		cookie, err := c.SetDevice(device, secure)
		require.NoError(t, err)
		return cookie
	}
	for _, secure := range []bool{true, false} {
		name := map[bool]string{true: "__Host-device", false: "device"}[secure]
		cookie := set(c, secure)
		require.NoError(t, cookie.Valid())
		require.Equal(t, &http.Cookie{
			Name: name, Value: cookie.Value, Path: "/", MaxAge: 400 * 24 * 60 * 60,
			Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		}, cookie)
	}
	require.Equal(t, bytes.Repeat([]byte{7}, deviceLength), device)

	session, err := c.Set(device, time.Hour, true)
	require.NoError(t, err)
	as := func(name, value string) *http.Cookie { return &http.Cookie{Name: name, Value: value} }
	for name, test := range map[string]struct {
		by     *Cookies
		cookie *http.Cookie
		good   bool
	}{
		"ours":                             {c, set(c, true), true},
		"of an old secret":                 {newCookies(t, newer, secret), set(c, true), true},
		"of another secret":                {newCookies(t, newer), set(c, true), false},
		"of the plain site":                {c, set(c, false), false},
		"its value as that of the other":   {c, as("__Host-device", set(c, false).Value), false},
		"a session cookie is none":         {c, as("__Host-device", session.Value), false},
		"the device itself, not encrypted": {c, as("__Host-device", "BwcHBwcHBwcHBwcHBwcHBw=="), false},
		"forged":                           {c, as("__Host-device", strings.Repeat("A", 100)), false},
		"none":                             {c, as("another", "cookie"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := test.by.Device(requestWith(test.cookie), true)
			if test.good {
				require.Equal(t, device, got)
			} else {
				require.Nil(t, got)
			}
		})
	}
	token, _ := c.Token(requestWith(as("__Host-session", set(c, true).Value)), true)
	require.Nil(t, token, "a device cookie is no session")
}

// known is what an account knows of a place.
func (s *site) known(tb testing.TB, ctx context.Context, username string) (device, network, any bool) {
	tb.Helper()
	_, _, p, err := s.findSigner(ctx, username)
	require.NoError(tb, err)
	return p.knownDevice, p.knownNetwork, p.knowsAny
}

func TestPlacesAreKnownAfterASignIn(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		s.register(t, "bob", "open sesame")
		login := func(ctx context.Context, username string) []byte {
			t.Helper()
			session, err := s.Login(ctx, username, "open sesame", nil)
			require.NoError(t, err)
			require.Len(t, session.Device, deviceLength)
			return session.Device
		}
		home := func(device []byte) context.Context { return from("192.0.2.7", device) }
		requireKnown := func(ctx context.Context, username string, device, network, any bool) {
			t.Helper()
			gotDevice, gotNetwork, gotAny := s.known(t, ctx, username)
			require.Equal(t, []bool{device, network, any}, []bool{gotDevice, gotNetwork, gotAny})
		}
		requireKnown(home(nil), "alice", false, false, false)
		_, err := s.Login(home(nil), "alice", "wrong sesame", nil)
		requireRefusal(t, badCredentials, err)
		requireKnown(home(nil), "alice", false, false, false) // who fails makes nothing known

		first := login(home(nil), "alice")
		requireKnown(home(first), "alice", true, true, true)
		requireKnown(home(first), "ALICE", true, true, true)
		requireKnown(home(nil), "alice", false, true, true)
		requireKnown(from("198.51.100.1", first), "alice", true, false, true)
		requireKnown(from("", nil), "alice", false, false, true)
		// A device that somebody else has made known.
		requireKnown(home(first), "bob", false, false, false)
		requireKnown(home(first), "nobody", false, false, false)
		require.Equal(t, first, login(home(first), "bob"), "it is the same browser")
		requireKnown(home(first), "bob", true, true, true)
		require.NotEqual(t, first, login(home(nil), "alice"), "another browser")
		// What is no device gets a new one.
		require.NotEqual(t, "short", string(login(home([]byte("short")), "alice")))

		s.clock = s.clock.Add(placeLifetime - time.Microsecond)
		requireKnown(home(first), "alice", true, true, true)
		s.clock = s.clock.Add(time.Microsecond)
		requireKnown(home(first), "alice", false, false, false)
		login(home(first), "bob")
		require.Empty(t, s.places(t, "alice"), "what is not known any more is removed")
	})
}

// places are all that are stored of an account.
func (s *site) places(tb testing.TB, username string) (found []store.Place) {
	tb.Helper()
	require.NoError(tb, s.store.View(context.Background(), func(tx *store.Tx) error {
		user, err := tx.FindUserByKey(chat.UsernameKey(username))
		if err == nil {
			found, err = tx.ListPlacesOf(user.ID, time.Time{})
		}
		return err
	}))
	return found
}

// Whoever reads the database can't see who comes from the same place.
func TestPlacesOfAccountsHaveNothingInCommon(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		seen := map[string]bool{}
		for _, username := range []string{"alice", "bob"} {
			s.register(t, username, "open sesame")
			_, err := s.Login(from("192.0.2.7", bytes.Repeat([]byte{1}, deviceLength)), username, "open sesame", nil)
			require.NoError(t, err)
			for _, known := range s.places(t, username) {
				seen[string(known.Hash)] = true
			}
		}
		require.Len(t, seen, 4)
	})
}

// Whoever shares a network with somebody is told the same of them as of nobody.
func TestWhatIsLeftTellsOfNobody(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Limits = limit.New(s.store, nil)
		rates := map[limit.Name]limit.Rate{limit.SignIn: {Events: 3, Per: time.Hour, Burst: 3}}
		s.opts.Limits.Configure(rates)
		shared, elsewhere := from("203.0.113.9", nil), from("198.51.100.9", nil)
		s.register(t, "alice", "open sesame")
		_, err := s.Login(shared, "alice", "open sesame", nil)
		require.NoError(t, err)
		told := func(ctx context.Context, username, password string) (names []limit.Name, err error) {
			ctx = limit.WithObserver(ctx, func(state limit.State) {
				if !slices.Contains(names, state.Limit) {
					names = append(names, state.Limit)
				}
			})
			_, err = s.Login(ctx, username, password, nil)
			return names, err
		}
		for _, username := range []string{"alice", "nobody"} {
			for i := range 3 {
				names, err := told(elsewhere, username, "wrong guess")
				requireRefusal(t, badCredentials, err)
				require.Equal(t, []limit.Name{limit.SignInAddress}, names, i)
			}
			names, err := told(elsewhere, username, "wrong guess")
			requireRefusal(t, refusal{chat.TooMany, "too_many_attempts", ""}, err)
			require.Equal(t, []limit.Name{limit.SignIn, limit.SignInAddress}, names, "why, and until when")
		}
		names, err := told(shared, "alice", "open sesame")
		require.NoError(t, err)
		require.Equal(t, []limit.Name{limit.SignInAddress}, names)
	})
}

// Whoever knew the password before has been at one of these places, perhaps.
func TestPlacesAreForgottenWithThePassword(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		p := newPostOffice(s)
		alice := p.register(t, "alice", "open sesame")
		email := "alice@example.com"
		p.change(t, alice, chat.AccountChange{Profile: chat.Profile{Email: &email}}, nil)
		intruder, owner := from("198.51.100.1", bytes.Repeat([]byte{1}, deviceLength)), from("192.0.2.7", bytes.Repeat([]byte{2}, deviceLength))
		hashes := func() (all [][]byte) {
			for _, known := range s.places(t, "alice") {
				all = append(all, known.Hash)
			}
			return all
		}
		passwords := []string{"open sesame", "another password", "a third password"}
		for i, change := range []func(ctx context.Context) error{
			func(ctx context.Context) error {
				return s.ChangePassword(ctx, chat.Caller{UserID: alice.ID, Username: "alice"}, passwords[0], passwords[1])
			},
			func(ctx context.Context) error { return s.reset(ctx, p.forget(t, email), passwords[2]) },
		} {
			_, err := s.Login(intruder, "alice", passwords[i], nil)
			require.NoError(t, err)
			device, _ := placeOf(intruder).hashes(alice.ID)
			require.Contains(t, hashes(), device)
			require.NoError(t, change(owner))
			p.one(t) // of the password
			device, network := placeOf(owner).hashes(alice.ID)
			require.ElementsMatch(t, [][]byte{device, network}, hashes())
		}
	})
}

func TestPlacesAreBounded(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.register(t, "alice", "open sesame")
		for range maxPlaces {
			s.clock = s.clock.Add(time.Minute)
			_, err := s.Login(from("192.0.2.7", nil), "alice", "open sesame", nil)
			require.NoError(t, err)
		}
		require.Len(t, s.places(t, "alice"), maxPlaces)
		_, network, _ := s.known(t, from("192.0.2.7", nil), "alice")
		require.True(t, network, "it was used last")
	})
}

// Sign-ins that never come back, of a program without a cookie jar, don't push out the
// places where somebody is.
func TestPlacesThatComeBackAreKept(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *site) {
		s.opts.Cookies = newCookies(t, secret)
		s.register(t, "alice", "open sesame")
		phone, err := s.Login(from("192.0.2.7", nil), "alice", "open sesame", nil)
		require.NoError(t, err)
		s.clock = s.clock.Add(usedEvery)
		r := requestWith()
		cookie, err := s.opts.Cookies.Set(phone.Token, lifetime, true)
		require.NoError(t, err)
		r.AddCookie(cookie)
		_, _, err = s.Identify(r.WithContext(WithRequest(t.Context(), Request{
			ClientIP: netip.MustParseAddr("192.0.2.7"), Secure: true, Device: func() []byte { return phone.Device },
		})))
		require.NoError(t, err)
		for i := range maxPlaces + 2 {
			s.clock = s.clock.Add(time.Second)
			_, err := s.Login(from(fmt.Sprint("198.51.100.", i), nil), "alice", "open sesame", nil)
			require.NoError(t, err)
		}
		device, network, _ := s.known(t, from("192.0.2.7", phone.Device), "alice")
		require.True(t, device)
		require.True(t, network)
		require.Len(t, s.places(t, "alice"), maxPlaces)
	})
}

func TestNoticesAreLimited(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		newPost(s, nil)
		s.limitTo(t, map[limit.Name]string{limit.Notices: "2/1h"})
		alice := s.register(t, "alice", "open sesame")
		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
			address := "alice@example.org"
			_, err := chat.ChangeUser(tx, alice, store.UserChange{Email: &address}, alice.ID, s.clock)
			return err
		}))
		for i := range 6 {
			_, err := s.Login(from(fmt.Sprint("192.0.2.", i), nil), "alice", "open sesame", nil)
			require.NoError(t, err)
			count, _ := s.waiting(t)
			require.Equal(t, min(i, 2), count)
		}
	})
}

// Where nobody is asked to show that they read what is sent to an address, it may be
// anybody's: nothing is sent there because of a sign-in.
func TestNoNoticesToStrangers(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		newPost(s, nil)
		s.opts.NoPages = true
		alice := s.register(t, "alice", "open sesame")
		signInFrom := func(address string) (waiting int) {
			_, err := s.Login(from(address, nil), "alice", "open sesame", nil)
			require.NoError(t, err)
			waiting, _ = s.waiting(t)
			return waiting
		}
		set := func(c store.UserChange) {
			require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
				_, err := chat.ChangeUser(tx, alice, c, alice.ID, s.clock)
				return err
			}))
		}
		signInFrom("192.0.2.1")
		set(store.UserChange{Email: new("alice@example.org")})
		require.Zero(t, signInFrom("192.0.2.2"))
		set(store.UserChange{EmailVerifiedAt: &s.clock})
		require.Equal(t, 1, signInFrom("192.0.2.3"))
	})
}

// Where somebody is named, or an administrator is, the owner of the account has not been:
// that place is not known, and nobody is told of it.
func TestPlacesOfOthersAreNotKnown(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		newPost(s, nil)
		s.opts.TrustUserIDs = true
		alice := s.register(t, "alice", "open sesame")
		s.email(t, alice, "alice@example.org", true)
		_, err := s.Login(from("192.0.2.1", nil), "alice", "open sesame", nil)
		require.NoError(t, err)
		places, audited := s.places(t, "alice"), s.audited(t)

		_, err = s.Trust(from("192.0.2.2", nil), alice.ID)
		require.NoError(t, err)
		require.Equal(t, places, s.places(t, "alice"))
		require.Equal(t, audited, s.audited(t), "she has not signed in")

		_, err = s.OpenPlainFor(from("192.0.2.3", nil), chat.Caller{UserID: alice.ID}, alice)
		requireRefusal(t, refusal{chat.Forbidden, "admin_required", ""}, err)
		root := s.register(t, "root", "open sesame")
		token, err := s.OpenPlainFor(from("192.0.2.3", nil), chat.Caller{UserID: root.ID, Admin: true}, alice)
		require.NoError(t, err)
		s.requireBearer(t, token.Token, alice)
		require.Equal(t, places, s.places(t, "alice"))
		require.Empty(t, s.places(t, "root"))
		log := s.audited(t)
		require.Equal(t, chat.AuditEntry{Action: chat.UserSignedIn, ActorID: root.ID, UserID: alice.ID, Address: "192.0.2.3"}, log[len(log)-1])

		waiting, _ := s.waiting(t)
		require.Zero(t, waiting)
	})
}
