// Package freeport finds ports for servers that tests stop and start again.
package freeport

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net"
	"strconv"
)

// Find finds a port of the loopback that nobody listens on. It is below those that
// systems give to outgoing connections: else one of them could take it while the
// server is down, even one that wants to reach the server.
func Find() (int, error) {
	const lowest, count = 20000, 12000
	var (
		config net.ListenConfig
		err    error
	)
	for range 100 {
		var n *big.Int
		if n, err = rand.Int(rand.Reader, big.NewInt(count)); err != nil {
			return 0, err
		}
		port := lowest + int(n.Int64())
		var l net.Listener
		if l, err = config.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}
