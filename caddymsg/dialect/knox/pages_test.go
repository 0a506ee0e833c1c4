package knox

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/auth"
)

func TestPageOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		query             string
		count             int
		number, offset    int
		next, previous    string
		refused, isSecure bool
	}{
		{query: "", count: 0, number: 1},
		{query: "", count: 20, number: 1},
		{query: "", count: 21, number: 1, next: "http://example.com/api/block?page=2"},
		{query: "?page=2", count: 21, number: 2, offset: 20, previous: "http://example.com/api/block"},
		{query: "?page=2&a=1", count: 41, number: 2, offset: 20, next: "http://example.com/api/block?a=1&page=3", previous: "http://example.com/api/block?a=1"},
		{query: "?page=3", count: 41, number: 3, offset: 40, previous: "http://example.com/api/block?page=2"},
		{query: "?page=last", count: 41, number: 3, offset: 40, previous: "http://example.com/api/block?page=2"},
		{query: "?page=last", count: 40, number: 2, offset: 20, previous: "http://example.com/api/block"},
		{query: "?page=last", count: 0, number: 1},
		{query: "", count: 21, number: 1, isSecure: true, next: "https://example.com/api/block?page=2"},
		{query: "?page=2", count: 20, refused: true},
		{query: "?page=0", count: 20, refused: true},
		{query: "?page=-1", count: 20, refused: true},
		{query: "?page=", count: 20, refused: true},
		{query: "?page=LAST", count: 20, refused: true},
		{query: "?page=99999999999999999999", count: 20, refused: true},
	} {
		r := httptest.NewRequest("GET", "http://example.com/api/block"+c.query, nil)
		r = r.WithContext(auth.WithRequest(r.Context(), auth.Request{Secure: c.isSecure}))
		p, err := pageOf(r, c.count)
		if c.refused {
			require.Error(t, err, c)
			continue
		}
		require.NoError(t, err, c)
		address := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		require.Equal(t, []any{c.number, c.offset, c.next, c.previous, c.count},
			[]any{p.number, p.offset(), address(p.Next), address(p.Previous), p.Count}, c)
	}
}
