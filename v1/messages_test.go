package v1

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/store"
)

// A list is written by hand, a single message by encoding/json: a client must
// not see which.
func FuzzMessageJSON(f *testing.F) {
	for _, text := range []string{"hi", "", `"\`, "<b>&</b>\n", "\u2028 \u2029", "“quoted”", "\x00\x1f\x7f", "鳥 🐦", "\ufffd"} {
		for n := range int64(1 << 6) {
			f.Add(n, text, "alice", "")
		}
		f.Add(int64(-5), "x", text, text)
	}
	f.Fuzz(func(t *testing.T, n int64, text, sender, clientID string) {
		valid := func(s string) string { return string(bytes.ToValidUTF8([]byte(s), []byte("?"))) }
		at := time.UnixMicro(n % (1 << 50))
		m := chat.Message{
			ID: n, ChatID: n / 2, ChatKind: "group", Seq: n / 3, SenderID: n / 5, SenderUsername: valid(sender), Text: valid(text),
			CreatedAt: at, ClientID: valid(clientID),
		}
		// Each of these is there or not.
		for bit, set := range []func(){
			func() { m.EditedAt = at },
			func() { m.DeletedAt = at.Add(time.Second) },
			func() { m.ReplyTo, m.ThreadID = n, n/7 },
			func() { m.ReplyCount = n },
			func() {
				m.Mentions = []store.Mention{{Start: 1, Length: 2, UserID: n}, {Start: 5, Length: 3, UserID: 1}}
			},
			func() { count := int(n % 1000); m.ReadCount, m.ReadBy = &count, []string{valid(sender), valid(text)} },
		} {
			if n&(1<<bit) != 0 {
				set()
			}
		}
		message := newMessage(m)
		var want bytes.Buffer
		require.NoError(t, marshal(&want, message))
		require.Equal(t, want.String(), string(message.appendJSON(nil))+"\n")
		require.Equal(t, "["+want.String()[:want.Len()-1]+",\n"+want.String()[:want.Len()-1]+"]",
			string(appendMessages(nil, []Message{message, message})))
	})
}
