package messenger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
	"github.com/caddymsg/messaging/live"
)

const (
	// maxText is the longest message of this API, in characters.
	maxText = 1000
	// What ends a connection: the client has no business in the chat, or is to come back.
	invalidConnection, comeBack = 1008, 1012
	invalidText                 = "Invalid connection"
)

func (a *api) openSocket(c *dialect.Call) error {
	chatID, ofChat := parseUUID(chatKind, c.PathValue("chat_id"))
	userID, ofUser := parseUUID(userKind, c.PathValue("user_id"))
	if !ofChat || !ofUser {
		return &dialect.Refusal{Status: http.StatusForbidden, Code: "no_uuid", Message: "A chat and a user are named by UUIDs."}
	}
	request := auth.RequestOf(c.Context())
	request.Device = nil // it would keep the request for as long as the connection
	opening := live.Opening{
		Limits: a.Limits, Secure: request.Secure, AnyOrigin: a.TrustUserIDs, Quiet: true,
		Protocol: socket{chat: a.Chat, failures: a.failures, chatID: chatID},
		// Not that of the request, which ends.
		Context: auth.WithRequest(context.Background(), request), RequestID: request.ID,
	}
	caller, err := a.as(c, userID)
	opening.Joining = live.Joining{Caller: caller, Address: request.ClientIP, ChatID: chatID}
	if err == nil {
		err = a.Chat.RequireParticipant(c.Context(), caller, chatID)
	}
	refusal := chat.AsError(err)
	switch {
	case err == nil:
		err = a.Hub.ServeWebSocket(c.W, c.Request, opening)
	case refusal != nil && (refusal.Kind == chat.NotFound || refusal.Code == "not_a_participant"):
		err = live.RefuseWebSocket(c.W, c.Request, opening, invalidConnection, invalidText)
	}
	for handshake, refusal := range handshakes {
		if errors.Is(err, handshake) {
			return refusal
		}
	}
	return err
}

// handshakes are what requests are refused with that do not become a WebSocket.
var handshakes = map[error]*dialect.Refusal{
	live.ErrOrigin:          {Status: http.StatusForbidden, Code: "cross_site", Message: "Another site's page sent this request."},
	live.ErrHandshake:       {Status: http.StatusBadRequest, Code: "bad_handshake", Message: "A WebSocket begins with a GET request that has a key, and no body."},
	live.ErrUpgradeRequired: {Status: http.StatusUpgradeRequired, Code: "upgrade_required", Message: "This path takes requests for a WebSocket of version 13 alone."},
	live.ErrNoUpgrade:       {Status: http.StatusNotImplemented, Code: "no_upgrade", Message: "A WebSocket begins with HTTP/1.1."},
}

// wire writes what happens to messages as the message.
type wire struct{}

// Encode implements [live.Wire].
func (wire) Encode(e *live.Event) []byte {
	m := e.Message
	if m == nil || !m.DeletedAt.IsZero() {
		return nil
	}
	switch e.Type {
	case "message.created", "message.edited":
		return frame(newMessage(*m))
	case "chat.read":
		if e.UserID == m.SenderID {
			return nil
		}
		return read(*m)
	}
	return nil
}

// read is a message of which somebody has said that they have read it.
func read(m chat.Message) []byte {
	shown := newMessage(m)
	shown.Read = true
	return frame(shown)
}

// frame is a message as it is shown over a WebSocket.
func frame(m message) []byte {
	return encode(struct {
		ID        string `json:"id"`
		ChatID    string `json:"chat_id"`
		SenderID  string `json:"sender_id"`
		Text      string `json:"text"`
		Read      bool   `json:"read"`
		CreatedAt string `json:"created_at"`
		UpdatedAt string `json:"updated_at"`
	}(m))
}

// encode encodes what can always be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// socket is what is said over the WebSocket of a chat.
type socket struct {
	wire
	chat     *chat.Service
	failures httpapi.Failures
	chatID   int64
}

// Hello implements [live.Protocol]. It is quiet.
func (socket) Hello(*live.Connection, live.Hello) [][]byte { return nil }

// NotText implements [live.Protocol].
func (socket) NotText() []byte {
	return badFrame(fault{"json_invalid", []any{}, "A frame is text.", nil})
}

// Goodbye implements [live.Protocol].
func (socket) Goodbye(c live.Closing) (code int, text string) {
	if c.ComeBack() {
		return comeBack, "Come back"
	}
	return invalidConnection, invalidText
}

// Run implements [live.Protocol]. What has been done is told to all, the caller too: there
// is no answer of its own.
func (s socket) Run(ctx context.Context, c *live.Connection, frame []byte) (answer []byte, ok bool) {
	asked, faults, ok := parseFrame(frame)
	if len(faults) > 0 {
		return badFrame(faults...), ok
	}
	caller, err := c.Authenticate(ctx) // as with each request
	if err == nil {
		err = caller.Require(chat.WriteScope)
	}
	switch {
	case err != nil:
	case asked.messageID != nil:
		answer, err = s.read(ctx, caller, *asked.messageID)
	default:
		err = s.send(ctx, caller, asked.text)
	}
	if err == nil {
		return answer, true
	}
	details := "Something went wrong"
	if refusal := chat.AsError(err); refusal != nil {
		details = refusal.Message
		if refusal.Kind == chat.Unavailable {
			s.failures.Note(ctx, http.StatusServiceUnavailable, refusal.Code, err)
		}
	} else {
		s.failures.Note(ctx, http.StatusInternalServerError, "internal", err)
	}
	return encode(refused{"Invalid data", details}), true
}

// send stores a message. The same text is taken once a second (contract 2, 4.3).
func (s socket) send(ctx context.Context, caller chat.Caller, text string) error {
	_, err := s.chat.Send(ctx, caller, chat.Draft{ChatID: s.chatID, Text: text, OncePerSecond: true, TellsReading: true})
	return err
}

// read notes that the caller has read a message. If that is not new, they alone are told.
func (s socket) read(ctx context.Context, caller chat.Caller, id int64) (answer []byte, err error) {
	m, news, err := s.chat.ReadMessage(ctx, caller, s.chatID, id)
	if err != nil || news || m.SenderID == caller.UserID {
		return nil, err
	}
	return frame(newMessage(m)), nil
}

// refused is the frame that says that something was not done.
type refused struct {
	Error   string `json:"error"`
	Details any    `json:"details"`
}

func badFrame(faults ...fault) []byte { return encode(refused{"Invalid format", faults}) }

// asked is what a client asks for: to send a text, or to note that a message was read.
type asked struct {
	text      string
	messageID *int64
}

// parseFrame reads a frame. ok tells whether it was one as a client should send it.
func parseFrame(frame []byte) (a asked, faults []fault, ok bool) {
	refuse := func(kind, msg string, value any, loc ...any) {
		faults = append(faults, fault{Type: kind, Loc: append([]any{}, loc...), Msg: msg, Input: value})
	}
	var told any
	if err := json.Unmarshal(frame, &told); err != nil {
		refuse("json_invalid", "A frame is JSON.", nil)
		return a, faults, false
	}
	object, ok := told.(map[string]any)
	if !ok {
		refuse("model_attributes_type", "A frame is an object.", told)
		return a, faults, false
	}
	data, ok := object["data"].(map[string]any)
	event, _ := object["event"].(string)
	switch {
	case event != "message" && event != "read":
		refuse("literal_error", "An event is message or read.", object["event"], "event")
	case !ok:
		refuse("missing", "An event has data, which is an object.", object["data"], "data")
	case event == "message":
		text, isText := data["text"].(string)
		a.text = strings.TrimSpace(text)
		switch n := utf8.RuneCountInString(a.text); {
		case !isText:
			refuse("string_type", "A message has a text.", data["text"], "data", "text")
		case n == 0 || n > maxText:
			refuse("string_length", fmt.Sprintf("A text has 1 to %d characters.", maxText), text, "data", "text")
		}
	default:
		value, there := data["message_id"]
		if !there {
			value = data["messageId"]
		}
		named, _ := value.(string)
		id, ok := parseUUID(messageKind, strings.TrimSpace(named))
		if !ok {
			refuse("uuid_parsing", "This is no UUID.", value, "data", "message_id")
		}
		a.messageID = &id
	}
	return a, faults, true
}
