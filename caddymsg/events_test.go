package caddymsg_test

import (
	"testing"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestSpike(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t)})
		alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")
		_ = bob
		send(t, alice, "bob", "first")
		st := bob.Stream("/v1/events")
		t.Log(st.Expect("hello"), st.Retry)
		t.Log(bob.Get("/v1/events").Text)
		send(t, alice, "bob", "hi")
		t.Log(st.Next())
		t.Log(st.Next())
		t.Log(bob.Get("/v1/events?after=" + st.LastID + "&wait=1").Text)
		t.Log(bob.Get("/v1/events?after=x").Text)
	})
}
