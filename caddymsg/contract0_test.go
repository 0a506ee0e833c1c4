package caddymsg_test

import (
	"net/http"
	"testing"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestSmoke(t *testing.T) {
	s := frontdoor.Start(t, frontdoor.Options{})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	alice.Post("/v1/messages", `{"dest_username":"alice","message":"note"}`).Want(http.StatusOK)
	if got := alice.Get("/v1/messages").Want(200).Text; got == "" {
		t.Fatal(got)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
