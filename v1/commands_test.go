package v1_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	v1 "github.com/caddymsg/messaging/v1"
)

// The id of a command comes back with whatever it is answered, unless it is too long.
func TestCommandIDs(t *testing.T) {
	for _, row := range []struct{ frame, id string }{
		{`{"id":"c","type":"ping"}`, "c"},
		{`{"id":"` + strings.Repeat("👍", 100) + `","type":"ping"}`, strings.Repeat("👍", 100)},
		{`{"id":"` + strings.Repeat("👍", 100) + `","type":1}`, strings.Repeat("👍", 100)},
		{`{"id":"` + strings.Repeat("x", 101) + `","type":"ping"}`, ""},
		{`{"id":"c"}`, "c"},
		{`{"id":1,"type":"ping"}`, ""},
	} {
		require.Equal(t, row.id, v1.CommandID([]byte(row.frame)), row.frame)
	}
}

// A defect in a command is told to the log, and to nobody else.
func TestCommandThatPanics(t *testing.T) {
	s := newServer(t)
	var log bytes.Buffer
	hub := live.NewHub(live.Observer{}, slog.New(slog.DiscardHandler))
	hub.Use(s.rules)
	c, err := hub.Join(t.Context(), live.Joining{Caller: chat.Caller{UserID: 1, SessionID: 1}, Notify: func() {}}, live.Limits{})
	require.NoError(t, err)
	defer c.Leave()

	// There are no rules.
	answer, ok := v1.RunCommand(t.Context(), nil, hub, slog.New(slog.NewTextHandler(&log, nil)), c, []byte(`{"id":"c","type":"chat.read","data":{"chat_id":1}}`))
	require.True(t, ok, "it is not the client's fault")
	var told struct {
		Type, Ref string
		Data      v1.Problem
	}
	require.NoError(t, json.Unmarshal(answer, &told))
	require.Equal(t, "error", told.Type)
	require.Equal(t, "c", told.Ref)
	require.Equal(t, "internal", told.Data.Code)
	require.NotContains(t, string(answer), "panic")
	require.Contains(t, log.String(), "panic")
}
