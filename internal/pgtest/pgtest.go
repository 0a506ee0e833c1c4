// Package pgtest gives tests a PostgreSQL: an empty database of their own, on a
// server that all tests of a program share, or a whole server that they may
// crash.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/require"
)

const (
	// addressVariable is the environment variable that names a server to use.
	addressVariable = "MESSAGING_TEST_POSTGRES"
	// requireVariable lists what must not be missing.
	requireVariable = "MESSAGING_TEST_REQUIRE"

	// patience is how long the server may take to make or drop a database.
	patience = time.Minute
)

// shared is the server of NewDatabase. It is the state of the whole test
// program because a server for each test would cost a second each. It needs no
// end: see [Server].
var shared = sync.OnceValues(launch)

// NewDatabase makes an empty database and returns its address,
// postgres://user:password@host:port/name?sslmode=disable. It is dropped with
// the test.
//
// It is made on the server of the environment variable MESSAGING_TEST_POSTGRES,
// a postgres:// address whose user may create databases. If that is not set, the
// installed programs of PostgreSQL start a server, once for the test program.
// Without them the test is skipped; if the list MESSAGING_TEST_REQUIRE holds
// "postgres", it fails.
func NewDatabase(tb testing.TB) string {
	tb.Helper()
	if address := os.Getenv(addressVariable); address != "" {
		server, err := url.Parse(address)
		// Not the error: it quotes the address, and thereby the password.
		if err != nil || (server.Scheme != "postgres" && server.Scheme != "postgresql") {
			tb.Fatalf("%s is no postgres:// address", addressVariable)
		}
		name := createDatabase(tb, server)
		tb.Cleanup(func() { dropDatabase(tb, server, name) })
		return inDatabase(server, name)
	}
	needPrograms(tb)
	s, err := shared()
	require.NoError(tb, err)
	return s.NewDatabase(tb)
}

// createDatabase makes an empty database and returns its name.
func createDatabase(tb testing.TB, server *url.URL) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	// template0, because nobody can be connected to it: one who is connected to
	// template1 would be in the way.
	execute(tb, server, fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", name))
	return name
}

func dropDatabase(tb testing.TB, server *url.URL, name string) {
	tb.Helper()
	execute(tb, server, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
}

func execute(tb testing.TB, server *url.URL, statement string) {
	tb.Helper()
	// Not the test's context: that has ended when the database is dropped.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := sql.Open("pgx", server.String())
	require.NoError(tb, err)
	defer func() { _ = db.Close() }() // nothing could be lost
	_, err = db.ExecContext(ctx, statement)
	require.NoError(tb, err)
}

// inDatabase is the address of a database on a server.
func inDatabase(server *url.URL, name string) string {
	address := *server
	address.Path, address.RawPath = "/"+name, ""
	return address.String()
}

// needPrograms ends a test that can't have a server of its own.
func needPrograms(tb testing.TB) {
	tb.Helper()
	if _, err := programs(); err != nil {
		missing(tb, err)
	}
	if _, err := unprivileged(); err != nil {
		missing(tb, err)
	}
}

// missing ends a test for want of a PostgreSQL.
func missing(tb testing.TB, why error) {
	tb.Helper()
	required := slices.ContainsFunc(strings.Split(os.Getenv(requireVariable), ","), func(what string) bool {
		return strings.TrimSpace(what) == "postgres"
	})
	if required {
		tb.Fatalf("no PostgreSQL, which %s requires: %v", requireVariable, why)
	} else {
		tb.Skipf("no PostgreSQL: %v", why)
	}
}
