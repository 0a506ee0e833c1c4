package limit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/limit"
)

func TestParse(t *testing.T) {
	for _, row := range []struct {
		text string
		want limit.Rate
		back string // if it is not the text
	}{
		{"20/1s 100", limit.Rate{20, time.Second, 100}, ""},
		{"10/15m0s", limit.Rate{10, 15 * time.Minute, 10}, ""},
		{"10/15m", limit.Rate{10, 15 * time.Minute, 10}, "10/15m0s"},
		{"10/15m   3", limit.Rate{10, 15 * time.Minute, 3}, "10/15m0s 3"},
		{"1/8760h", limit.Rate{1, 8760 * time.Hour, 1}, "1/8760h0m0s"},
		{"1000000/1s", limit.Rate{1000000, time.Second, 1000000}, ""},
		{"off", limit.Rate{}, ""},
	} {
		t.Run(row.text, func(t *testing.T) {
			got, err := limit.Parse(row.text)
			require.NoError(t, err)
			require.Equal(t, row.want, got)
			if row.back == "" {
				row.back = row.text
			}
			require.Equal(t, row.back, got.String())
		})
	}
	for _, text := range []string{
		"", "on", "OFF", "20", "20/", "/1s", "20/s", "20/1", "20/1s x", "20/1s 1 2", "20/1s 0", "20/1s -1", "0/1s", "-1/1s", "20/0s", "20/-1s",
		"2/1us", "1/9000h", "1/1h 10000", "1/1s 99999999999999", "1/1s 99999999999999999999", "20 /1s", " 20/1s",
	} {
		t.Run("not "+text, func(t *testing.T) {
			_, err := limit.Parse(text)
			require.Error(t, err)
		})
	}
}

func TestStandardRates(t *testing.T) {
	for _, name := range limit.Names() {
		rate, err := limit.Parse(limit.Standard(name).String())
		require.NoError(t, err, name)
		require.Equal(t, limit.Standard(name), rate, name)
	}
	require.Equal(t, limit.Rate{20, time.Second, 100}, limit.Standard(limit.Sends))
}

func TestNetwork(t *testing.T) {
	for _, row := range []struct{ address, want string }{
		{"192.0.2.7", "192.0.2.7"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
		{"2001:db8:1:2::", "2001:db8:1:2::"},
		{"2001:db8:1:3::", "2001:db8:1:3::"},
		{"fe80::1%eth0", "fe80::"},
		{"", ""},
		{"nowhere", ""},
	} {
		require.Equal(t, row.want, limit.Network(row.address), row.address)
	}
}

func TestWindow(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"20/1s 100": 5 * time.Second, "7/1h": time.Hour, "10/15m 3": 270 * time.Second, "3/1s 1000": 333333 * time.Millisecond, "1/1us": time.Millisecond,
	} {
		rate, err := limit.Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, rate.Window(), text)
	}
}
