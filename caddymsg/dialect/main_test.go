package dialect_test

import (
	"os"
	"testing"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

func TestMain(m *testing.M) {
	frontdoor.ActAsCaddy()
	os.Exit(m.Run())
}

// caddyfile is a site that speaks an API, and beside it one that speaks v1 over the same
// database. more is added to the block of the first.
func caddyfile(api, more string) string {
	return `
http://127.0.0.1:{$PORT} {
	messaging {
		api ` + api + `
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		` + more + `
	}
	respond "not ours" 418
}
http://127.0.0.1:{$PORT2} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
		rate_limits off
		` + more + `
	}
}
`
}

// start runs a server with those two sites: URL is that of the API, and URL2 that of v1.
func start(t *testing.T, engine frontdoor.Engine, api, more string) *frontdoor.Server {
	t.Helper()
	return frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: caddyfile(api, more)})
}
