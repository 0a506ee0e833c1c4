package v1

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A list is written by hand, a single message by encoding/json: a client must
// not see which.
func FuzzMessageJSON(f *testing.F) {
	for _, text := range []string{"hi", "", `"\`, "<b>&</b>\n", "\u2028 \u2029", "“quoted”", "\x00\x1f\x7f", "鳥 🐦", "\ufffd"} {
		f.Add(int64(1), text, "alice", "")
		f.Add(int64(-5), "x", text, text)
	}
	f.Fuzz(func(t *testing.T, n int64, text, sender, clientID string) {
		valid := func(s string) string { return string(bytes.ToValidUTF8([]byte(s), []byte("?"))) }
		m := Message{
			ID: n, ChatID: n / 2, Kind: "group", Seq: n / 3, SenderUsername: valid(sender), Text: valid(text),
			CreatedAt: timestamp(time.UnixMicro(n % (1 << 50))), ClientID: valid(clientID),
		}
		var want bytes.Buffer
		require.NoError(t, marshal(&want, m))
		require.Equal(t, want.String(), string(m.appendJSON(nil))+"\n")
	})
}
