package caddymsg

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
)

// A site that speaks another API has none of v1's pages: no mail may lead to one.
func TestPagesAreOfV1Alone(t *testing.T) {
	t.Parallel()
	for name, api := range apis {
		var opts auth.Options
		api.accounts(&opts)
		require.Equal(t, name != standardAPI, opts.NoPages, name)
	}
}
