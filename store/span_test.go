package store_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/store"
)

func TestSpan(t *testing.T) {
	for name, c := range map[string]struct {
		span      store.Span
		width     int64
		cut, left store.Span
	}{
		"from the start": {
			span: store.Span{After: 10, Before: 21}, width: 4,
			cut: store.Span{After: 10, Before: 15}, left: store.Span{After: 14, Before: 21},
		},
		"from the end": {
			span: store.Span{After: 10, Before: 21, FromEnd: true}, width: 4,
			cut: store.Span{After: 16, Before: 21, FromEnd: true}, left: store.Span{After: 10, Before: 17, FromEnd: true},
		},
		"as wide as the span": {
			span: store.Span{After: 10, Before: 21}, width: 10,
			cut: store.Span{After: 10, Before: 21}, left: store.Span{After: 20, Before: 21},
		},
		"all but one": {
			span: store.Span{After: 10, Before: 21}, width: 9,
			cut: store.Span{After: 10, Before: 20}, left: store.Span{After: 19, Before: 21},
		},
		"wider than the span": {
			span: store.Span{After: 10, Before: 21, FromEnd: true}, width: math.MaxInt64,
			cut: store.Span{After: 10, Before: 21, FromEnd: true}, left: store.Span{After: 10, Before: 11, FromEnd: true},
		},
		"of an empty span": {
			span: store.Span{After: 10, Before: 11}, width: 4,
			cut: store.Span{After: 10, Before: 11}, left: store.Span{After: 10, Before: 11},
		},
		"everything": {
			span: store.Span{Before: math.MaxInt64}, width: 1,
			cut: store.Span{Before: 2}, left: store.Span{After: 1, Before: math.MaxInt64},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cut := c.span.Cut(c.width)
			require.Equal(t, c.cut, cut)
			require.Equal(t, c.left, c.span.Without(cut))
		})
	}
}

// Whoever reads a span in parts reads every id of it, once, in the order of
// the span.
func TestSpanParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rest := store.Span{
			After:   rapid.Int64Range(0, 50).Draw(t, "after"),
			FromEnd: rapid.Bool().Draw(t, "from end"),
		}
		rest.Before = rest.After + 1 + rapid.Int64Range(0, 100).Draw(t, "ids")
		var want, got []int64
		for id := rest.After + 1; id < rest.Before; id++ {
			want = append(want, id)
		}
		for rest.After+1 < rest.Before {
			width := rapid.Int64Range(1, 40).Draw(t, "width")
			part := rest.Cut(width)
			var ids []int64
			for id := part.After + 1; id < part.Before; id++ {
				ids = append(ids, id)
			}
			require.NotEmpty(t, ids)
			require.LessOrEqual(t, int64(len(ids)), width)
			if rest.FromEnd {
				got = append(ids, got...)
			} else {
				got = append(got, ids...)
			}
			rest = rest.Without(part)
		}
		require.Equal(t, want, got)
	})
}
