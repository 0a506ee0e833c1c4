package v1

import (
	"encoding/json"

	"github.com/caddymsg/messaging/live"
)

// envelope is an event as clients get it, over every transport.
type envelope struct {
	ID       string          `json:"id,omitempty"`
	Type     string          `json:"type"`
	ChatID   int64           `json:"chat_id,omitempty"`
	ActorID  int64           `json:"actor_id,omitempty"`
	At       timestamp       `json:"at"`
	Data     json.RawMessage `json:"data"`
	ClientID string          `json:"client_id,omitempty"`
}

// wire writes events as envelopes.
type wire struct{}

// Encode implements [live.Wire].
func (wire) Encode(e *live.Event) []byte {
	told := envelope{
		ID: e.Cursor, Type: e.Type, ChatID: e.ChatID, ActorID: e.ActorID, At: timestamp(e.At), Data: json.RawMessage("{}"),
	}
	if e.Message != nil {
		told.Data = newMessage(*e.Message).appendJSON(nil)
		told.ClientID = e.Message.ClientID
	} else if e.Data != "" {
		told.Data = json.RawMessage(e.Data)
	}
	encoded, err := json.Marshal(told)
	if err != nil {
		panic(err) // such fields can always be encoded
	}
	return encoded
}
