package bus_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddymsg/messaging/bus"
)

func TestOutbox(t *testing.T) {
	typing := func(n int) bus.Message { return bus.Message{Kind: "typing", Data: fmt.Append(nil, n)} }
	log := func(id string) bus.Message { return bus.Message{Kind: bus.Log, Data: []byte(id)} }
	for name, test := range map[string]struct {
		add, want []bus.Message
	}{
		"nothing":                     {nil, nil},
		"in the order they came":      {[]bus.Message{typing(1), typing(2)}, []bus.Message{typing(1), typing(2)}},
		"a wake-up comes first":       {[]bus.Message{typing(1), log("7")}, []bus.Message{log("7"), typing(1)}},
		"the highest id wins":         {[]bus.Message{log("9"), log("10"), log("2")}, []bus.Message{log("10")}},
		"what is no id is no wake-up": {[]bus.Message{log(""), log("x"), log("0"), log("-1")}, nil},
		"no id beside one":            {[]bus.Message{log("7"), log("x")}, []bus.Message{log("7")}},
		"what is too big":             {[]bus.Message{{Kind: "typing", Data: make([]byte, bus.MaxWaitingBytes+1)}, typing(1)}, []bus.Message{typing(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			box := bus.NewOutbox()
			for _, m := range test.add {
				box.Add(m)
			}
			require.Equal(t, test.want != nil, box.Awake())
			require.Equal(t, test.want, box.Take())
			require.Empty(t, box.Take())
			require.False(t, box.Awake())
		})
	}

	t.Run("an id that is lower than one that was taken", func(t *testing.T) {
		box := bus.NewOutbox()
		box.Add(log("7"))
		require.Equal(t, []bus.Message{log("7")}, box.Take())
		box.Add(log("6")) // committed later
		require.Equal(t, []bus.Message{log("6")}, box.Take())
	})
}

// However much comes, what waits is the newest of it, and bounded.
func TestOutboxIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		box := bus.NewOutbox()
		size := rapid.SampledFrom([]int{0, 1, 1000, 5000, bus.MaxWaitingBytes}).Draw(t, "size")
		count := rapid.IntRange(1, 3*bus.MaxWaiting).Draw(t, "count")
		data := make([]byte, size)
		for i := range count {
			box.Add(bus.Message{Kind: fmt.Sprint(i), Data: data})
		}
		fit := bus.MaxWaiting
		if size > 0 {
			fit = min(fit, bus.MaxWaitingBytes/size)
		}
		taken := box.Take()
		require.Len(t, taken, min(count, fit))
		for i, m := range taken {
			require.Equal(t, fmt.Sprint(count-len(taken)+i), m.Kind)
		}
	})
}
