package v1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
	"github.com/caddymsg/messaging/store"
)

var eventAt = time.Date(2026, 11, 21, 5, 2, 31, 3831000, time.UTC)

// envelopeRows have each type of event, as the rules write it, and what of it is
// told behind "at".
var envelopeRows = []struct {
	event chat.Event
	told  string
}{
	{chat.Event{Type: store.MessageCreated, ChatID: 7, ActorID: 3, Message: aMessage()}, `"data":` + aMessageTold},
	{chat.Event{Type: store.MessageCreated, ChatID: 7, ActorID: 3, Message: aMessageWithKey()},
		`"data":{"id":5,"chat_id":7,"kind":"group","seq":2,"sender_id":3,"sender_username":"alice","text":"hi \u0000<b>","created_at":"2026-11-21T05:02:31.003831Z","client_id":"k\"1"},"client_id":"k\"1"`},
	{chat.Event{Type: store.MessageCreated, ChatID: 7, ActorID: 3}, ``},
	{chat.Event{Type: store.MessageEdited, ChatID: 7, ActorID: 3, Message: aMessage()}, `"data":` + aMessageTold},
	{chat.Event{Type: store.MessageDeleted, ChatID: 7, ActorID: 3, Message: aMessage()}, `"data":` + aMessageTold},
	{chat.Event{Type: store.MessageHidden, ChatID: 7, ActorID: 3, UserID: 3, Message: aMessage()}, `"data":{"message_id":5}`},
	{chat.Event{Type: store.MessageHidden, ChatID: 7, ActorID: 3, UserID: 3}, ``},
	{chat.Event{Type: store.ReactionAdded, ChatID: 7, ActorID: 3, Message: aMessage(), Data: `{"emoji":"👍"}`}, `"data":{"message_id":5,"emoji":"👍"}`},
	{chat.Event{Type: store.ReactionRemoved, ChatID: 7, ActorID: 3, Message: aMessage(), Data: `{"emoji":"👍"}`}, `"data":{"message_id":5,"emoji":"👍"}`},
	{chat.Event{Type: store.PollVoted, ChatID: 7, ActorID: 3, Message: aMessage(), Data: `{"options":[0,1]}`}, `"data":{"message_id":5,"options":[0,1]}`},
	{chat.Event{Type: store.PollVoted, ChatID: 7, Message: aMessage(), Data: `{}`}, `"data":{"message_id":5}`},
	{chat.Event{Type: store.PollClosed, ChatID: 7, ActorID: 3, Message: aMessage()}, `"data":{"message_id":5}`},
	{chat.Event{Type: store.ChatCreated, ChatID: 7, ActorID: 3, Data: `{"kind":"self","participants":[3]}`}, `"data":{"kind":"self","participants":[3]}`},
	{chat.Event{Type: store.ChatUpdated, ChatID: 7, ActorID: 3, Data: `{"title":"T"}`}, `"data":{"title":"T"}`},
	{chat.Event{Type: store.ChatDeleted, ChatID: 7, ActorID: 3, UserID: 4}, `"data":{}`},
	{chat.Event{Type: store.ChatSettingsUpdated, ChatID: 7, ActorID: 3, UserID: 3, Data: `{"archived":true}`}, `"data":{"archived":true}`},
	{chat.Event{Type: store.ChatRead, ChatID: 7, ActorID: 3, UserID: 3, Data: `{"seq":2}`}, `"data":{"user_id":3,"seq":2}`},
	{chat.Event{Type: store.ChatDelivered, ChatID: 7, ActorID: 3, UserID: 3, Data: `{"seq":2}`}, `"data":{"user_id":3,"seq":2}`},
	{chat.Event{Type: store.ParticipantAdded, ChatID: 7, ActorID: 3, UserID: 4}, `"data":{"user_id":4}`},
	{chat.Event{Type: store.ParticipantUpdated, ChatID: 7, ActorID: 3, UserID: 4, Data: `{"role":"admin"}`}, `"data":{"user_id":4,"role":"admin"}`},
	{chat.Event{Type: store.ParticipantRemoved, ChatID: 7, ActorID: 3, UserID: 4}, `"data":{"user_id":4}`},
	{chat.Event{Type: store.UserUpdated, ChatID: 7, ActorID: 4, UserID: 4, Data: `{"deleted":true}`}, `"data":{"user_id":4,"deleted":true}`},
	{chat.Event{Type: store.AccountUpdated, ActorID: 3, UserID: 3, Data: `{"username":"al"}`}, `"data":{"user_id":3,"username":"al"}`},
	{chat.Event{Type: store.BlockCreated, ActorID: 3, UserID: 3, Data: `{"user_id":4}`}, `"data":{"user_id":4}`},
	{chat.Event{Type: store.BlockRemoved, ActorID: 3, UserID: 3, Data: `{"user_id":4}`}, `"data":{"user_id":4}`},
	// What clients are never told, and what this version does not know.
	{chat.Event{Type: store.SessionEnded, UserID: 3, Data: `{"session_id":2}`}, ``},
	{chat.Event{Type: "future.kind", ChatID: 7, Data: `{}`}, ``},
}

func aMessage() *chat.Message {
	return &chat.Message{ID: 5, ChatID: 7, ChatKind: "group", Seq: 2, SenderID: 3, SenderUsername: "alice", Text: "hi \x00<b>", CreatedAt: eventAt}
}

const aMessageTold = `{"id":5,"chat_id":7,"kind":"group","seq":2,"sender_id":3,"sender_username":"alice","text":"hi \u0000<b>","created_at":"2026-11-21T05:02:31.003831Z"}`

func aMessageWithKey() *chat.Message {
	m := aMessage()
	m.ClientID = `k"1`
	return m
}

func TestEnvelopes(t *testing.T) {
	tested := map[string]bool{}
	for _, row := range envelopeRows {
		row.event.ID, row.event.At = 9, eventAt
		encoded := string(wire{}.Encode(&live.Event{Event: row.event, Cursor: "abc.9"}))
		tested[row.event.Type] = true
		if row.told == "" {
			require.Empty(t, encoded, row.event.Type)
			continue
		}
		want := `{"id":"abc.9","type":"` + row.event.Type + `"`
		if row.event.ChatID != 0 {
			want += `,"chat_id":7`
		}
		if row.event.ActorID != 0 {
			want += `,"actor_id":` + strconv.FormatInt(row.event.ActorID, 10)
		}
		require.Equal(t, want+`,"at":"2026-11-21T05:02:31.003831Z",`+row.told+`}`, encoded)
	}

	var logged []string // the types that the store knows
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "store", "events.go"), nil, 0)
	require.NoError(t, err)
	for _, decl := range file.Decls {
		constants, ok := decl.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
					name, err := strconv.Unquote(text.Value)
					require.NoError(t, err)
					if !strings.Contains(name, " ") { // SQL has some
						logged = append(logged, name)
					}
				}
			}
		}
	}
	require.Contains(t, logged, store.MessageCreated)
	delete(tested, "future.kind")
	require.ElementsMatch(t, logged, slices.Collect(maps.Keys(tested)), "types of event without a row")
	delete(tested, store.SessionEnded)
	require.Subset(t, slices.Collect(maps.Keys(eventTypes)), slices.Collect(maps.Keys(tested)), "types of event that are not documented")
}

// A message of an event costs what its text does: it is encoded once for all.
func TestEnvelopeOfMessageAllocates(t *testing.T) {
	m := aMessage()
	m.Text = "hi all" // nothing in it to escape
	e := &live.Event{Event: chat.Event{Type: store.MessageCreated, ChatID: 7, ActorID: 3, Message: m, At: eventAt}, Cursor: "abc.9"}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { wire{}.Encode(e) }), 1.0)
}
