package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// Clients choose the order of filters: there are more queries than can be kept.
func TestQueryTexts(t *testing.T) {
	var texts store.QueryTexts
	for i := range 3 * store.MaxQueryTexts {
		for range 2 {
			query := fmt.Sprintf("SELECT %d FROM users WHERE id = ?1 AND admin = ?12", i)
			require.Equal(t, fmt.Sprintf("SELECT %d FROM users WHERE id = $1 AND admin = $12", i), texts.Of(query))
		}
		require.LessOrEqual(t, texts.Kept(), store.MaxQueryTexts)
	}
	require.NotZero(t, texts.Kept())
}
