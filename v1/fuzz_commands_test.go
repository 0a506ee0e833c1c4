package v1_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	v1 "github.com/caddymsg/messaging/v1"
)

// commandTemplates are commands, with a ? in place of a value.
var commandTemplates = []string{
	`{"id":?,"type":"ping"}`, `{"id":"c","type":?}`, `{"id":"c","type":"ping","data":?}`, `{"ID":"c","Type":"ping","DATA":?}`,
	`{"id":"c","type":"message.send","data":{"chat_id":?,"text":"hi"}}`,
	`{"id":"c","type":"message.send","data":{"dest_username":?,"text":"hi"}}`,
	`{"id":"c","type":"message.send","data":{"chat_id":1,"text":?}}`,
	`{"id":"c","type":"message.send","data":{"chat_id":1,"text":"hi","reply_to":?}}`,
	`{"id":"c","type":"message.send","data":{"chat_id":1,"text":"hi","client_id":?}}`,
	`{"id":"c","type":"message.edit","data":{"message_id":?,"text":"hi"}}`,
	`{"id":"c","type":"message.edit","data":{"message_id":2,"text":?}}`,
	`{"id":"c","type":"message.delete","data":{"message_id":?,"for":"me"}}`,
	`{"id":"c","type":"message.delete","data":{"message_id":2,"for":?}}`,
	`{"id":"c","type":"reaction.add","data":{"message_id":2,"emoji":?}}`,
	`{"id":"c","type":"reaction.remove","data":{"message_id":?,"emoji":"like"}}`,
	`{"id":"c","type":"chat.read","data":{"chat_id":?}}`,
	`{"id":"c","type":"chat.read","data":{"chat_id":1,"seq":?}}`,
	`{"id":"c","type":"chat.delivered","data":{"chat_id":1,"seq":?}}`,
	`{"id":"c","type":"typing","data":{"chat_id":?}}`,
	`{"id":"c","type":"presence.subscribe","data":{"user_ids":?}}`,
	`{"id":"c","type":"presence.unsubscribe","data":?}`,
}

// FuzzCommand gives the commands of a WebSocket whatever there is: each is answered
// or refused, once, and in a way that the API has.
func FuzzCommand(f *testing.F) {
	addBodies(f, commandTemplates...)
	s := newServer(f)
	hub := live.NewHub(live.Observer{}, slog.New(slog.DiscardHandler))
	hub.Use(s.rules)
	connection, err := hub.Join(f.Context(), live.Joining{
		Caller: chat.Caller{UserID: 1, Username: "alice", SessionID: 1}, Notify: func() {},
	}, live.Limits{})
	require.NoError(f, err)
	f.Cleanup(connection.Leave)

	f.Fuzz(func(t *testing.T, frame []byte) {
		answer, ok := v1.RunCommand(t.Context(), s.rules, hub, slog.New(slog.DiscardHandler), connection, frame)
		var told struct {
			Type string
			Ref  *string
			Data json.RawMessage
		}
		decoder := json.NewDecoder(strings.NewReader(string(answer)))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&told), "%s", answer)
		require.False(t, decoder.More(), "one answer")
		switch told.Type {
		case "answer":
			require.True(t, ok)
			require.NotNil(t, told.Ref)
			require.NotEmpty(t, *told.Ref)
			require.True(t, strings.HasPrefix(string(told.Data), "{"), "%s", answer)
		case "error":
			var p v1.Problem
			require.NoError(t, json.Unmarshal(told.Data, &p))
			require.True(t, 400 <= p.Status && p.Status < 500, "%s", answer)
			require.Equal(t, http.StatusText(p.Status), p.Title)
			require.NotEmpty(t, p.Detail)
			require.True(t, slices.Contains(commandCodes, p.Code), "%s", answer)
			require.Equal(t, p.Code != "unknown_command" && v1.IsCommand(frame), ok, "%s", answer)
		default:
			t.Fatalf("neither an answer nor an error: %s", answer)
		}
	})
}

// commandCodes are what a command may be refused with.
var commandCodes = []string{
	"malformed_frame", "unknown_command", "malformed_request", "recipient_missing", "not_a_participant", "user_not_found",
	"message_missing", "message_invalid", "message_too_long", "client_id_invalid", "reply_to_invalid", "message_not_found",
	"message_deleted", "not_the_sender", "too_many_edits", "emoji_invalid", "too_many_reactions", "seq_invalid", "blocked",
}
