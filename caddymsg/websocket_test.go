package caddymsg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestWebSocket(t *testing.T) {
	s := frontdoor.Start(t, frontdoor.Options{})
	alice, bob := frontdoor.SignUp(t, s.URL, "alice"), frontdoor.SignUp(t, s.URL, "bob")

	one := alice.Socket("/v1/ws")
	hello := one.Next()
	require.Equal(t, "hello", hello.Type)
	two := bob.Socket("/v1/ws")
	require.Equal(t, "hello", two.Next().Type)

	answer := one.Command("message.send", map[string]any{"dest_username": "bob", "text": "hi bob"})
	require.Equal(t, "answer", answer.Type, answer.Text)
	event := two.Await("message.created")
	require.Equal(t, "hi bob", event.Field("text"), event.Text)
}
