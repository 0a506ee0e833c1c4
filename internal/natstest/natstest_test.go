package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/natstest"
)

// What is said at one server is heard at each other, also after one was away.
func TestCluster(t *testing.T) {
	c := natstest.Start(t, 3, nil)
	require.Len(t, c.URLs(), 3)
	talk := func(from, to int) {
		t.Helper()
		listener, err := nats.Connect(c.URL(to))
		require.NoError(t, err)
		defer listener.Close()
		heard := make(chan *nats.Msg, 1)
		_, err = listener.ChanSubscribe("greeting", heard)
		require.NoError(t, err)
		require.NoError(t, listener.Flush())
		speaker, err := nats.Connect(c.URL(from))
		require.NoError(t, err)
		defer speaker.Close()
		for said := true; said; { // until the servers have told each other who listens
			require.NoError(t, speaker.Publish("greeting", []byte("hello")))
			require.NoError(t, speaker.Flush())
			require.NoError(t, listener.Flush())
			said = len(heard) == 0
		}
	}
	talk(0, 2)
	c.Kill(t, 2)
	require.Nil(t, c.Server(2))
	require.Zero(t, c.Clients(2))
	_, err := nats.Connect(c.URL(2))
	require.Error(t, err)
	talk(0, 1)
	c.Restart(t, 2)
	talk(0, 2)
	talk(2, 1)
}
