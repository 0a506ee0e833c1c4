package v1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Message is what somebody said in a chat.
type Message struct {
	ID             int64     `json:"id" example:"1" doc:"Higher than that of every message before."`
	ChatID         int64     `json:"chat_id" example:"1"`
	Kind           string    `json:"kind" enum:"group,direct,self" doc:"The kind of chat that it is in."`
	Seq            int64     `json:"seq" example:"1" doc:"Its number in the chat: 1, 2, 3…"`
	SenderUsername string    `json:"sender_username" example:"alice"`
	Text           string    `json:"text" example:"hi all"`
	CreatedAt      timestamp `json:"created_at"`
	ClientID       string    `json:"client_id,omitempty" doc:"The sender's idempotency key."`
}

func newMessage(m chat.Message) Message {
	return Message{
		ID: m.ID, ChatID: m.ChatID, Kind: m.ChatKind, Seq: m.Seq,
		SenderUsername: m.SenderUsername, Text: m.Text, CreatedAt: timestamp(m.CreatedAt), ClientID: m.ClientID,
	}
}

// appendJSON is what encoding/json would write, which takes most of the time of
// a page; there is a test that the two agree.
func (m Message) appendJSON(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), m.ID, 10)
	b = strconv.AppendInt(append(b, `,"chat_id":`...), m.ChatID, 10)
	b = appendString(append(b, `,"kind":`...), m.Kind)
	b = strconv.AppendInt(append(b, `,"seq":`...), m.Seq, 10)
	b = appendString(append(b, `,"sender_username":`...), m.SenderUsername)
	b = appendString(append(b, `,"text":`...), m.Text)
	b = m.CreatedAt.appendJSON(append(b, `,"created_at":`...))
	if m.ClientID != "" {
		b = appendString(append(b, `,"client_id":`...), m.ClientID)
	}
	return append(b, '}')
}

// appendString appends a JSON string. The text is valid UTF-8: nothing else is
// stored.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		// Also what starts U+2028 and U+2029, line ends to JavaScript alone.
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0xe2 || c == 0x7f {
			w := bytes.NewBuffer(b)
			if err := marshal(w, s); err != nil {
				panic(err) // a string can always be encoded
			}
			return bytes.TrimSuffix(w.Bytes(), []byte("\n"))
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

type sendInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"5f0c" doc:"The same as client_id, which wins."`
	Body           struct {
		_           struct{} `additionalProperties:"true"`
		GroupChatID chatRef  `json:"group_chat_id,omitzero"`
		To          *string  `json:"dest_username,omitempty" minLength:"1" example:"bob" doc:"Whom to write to. The chat is made with the first message."`
		Text        string   `json:"message" minLength:"1" maxLength:"10000" example:"hi all"`
		ClientID    string   `json:"client_id,omitempty" example:"5f0c" doc:"An idempotency key: a message is sent once, and sending it again answers the first one."`
	}
}

type messageOutput struct {
	Body Message
}

// PageQuery is how a history is paged. (huma finds no parameters in an embedded
// struct that is not exported.)
type PageQuery struct {
	Limit  int   `query:"limit" minimum:"1" maximum:"500" example:"50" doc:"At most so many messages: the newest ones, or those behind after."`
	Before int64 `query:"before" minimum:"1" example:"100" doc:"Only messages with a lower id."`
	After  int64 `query:"after" minimum:"1" example:"1" doc:"Only messages with a higher id."`
}

func (q PageQuery) page() chat.Page {
	return chat.Page{After: q.After, Before: q.Before, Limit: q.Limit}
}

type groupMessagesInput struct {
	GroupChatID string `path:"group_chat_id" example:"1" doc:"The chat's id: digits alone."`
	PageQuery
}

type directMessagesInput struct {
	DestUsername string `path:"dest_username" example:"bob"`
	PageQuery
}

func (a *API) registerMessages() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"messages"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodPost, "/v1/messages", "send-message",
		"Send a message to a group, or to a person", 400, 403, 413)), a.send)

	// The README names the first paths, and the code that it describes served
	// the second (contract 0).
	for prefix, suffix := range map[string]string{"/v1/group_chat/messages": "", "/v1/messages": "-short"} {
		list := func(path, id, summary string, errors ...int) huma.Operation {
			op := tag(a.operation(http.MethodGet, prefix+path, id+suffix, summary, errors...))
			op.Responses["200"] = a.messagesResponse()
			return op
		}
		register(a, list("", "list-messages",
			"Read the messages of all one's chats, oldest first", 400), a.listMessages)
		register(a, list("/group/{group_chat_id}", "list-group-messages",
			"Read the messages of a chat that one is in, oldest first", 400, 403, 404), a.listGroupMessages)
		register(a, list("/p2p/{dest_username}", "list-direct-messages",
			"Read the messages between oneself and somebody, oldest first", 400), a.listDirectMessages)
	}
}

func (a *API) send(ctx context.Context, in *sendInput) (*messageOutput, error) {
	draft := chat.Draft{Text: in.Body.Text, ClientID: in.Body.ClientID}
	if draft.ClientID == "" {
		draft.ClientID = in.IdempotencyKey
	}
	group, to := in.Body.GroupChatID, in.Body.To
	switch {
	case group.given && !(group.null && to != nil): // it wins over dest_username
		draft.ChatID = group.id
	case to != nil:
		draft.To = *to
	default:
		return nil, &Problem{
			Status: http.StatusBadRequest, Code: "recipient_missing", Field: "group_chat_id",
			Detail: "Either group_chat_id or dest_username says where the message goes.",
		}
	}
	sent, err := a.chat.Send(ctx, callerOf(ctx), draft)
	if err != nil {
		return nil, err
	}
	return &messageOutput{Body: newMessage(sent)}, nil
}

func (a *API) listMessages(ctx context.Context, in *PageQuery) (*huma.StreamResponse, error) {
	return a.stream(a.chat.Messages(ctx, callerOf(ctx), in.page()))
}

func (a *API) listGroupMessages(ctx context.Context, in *groupMessagesInput) (*huma.StreamResponse, error) {
	id, err := chatID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	return a.stream(a.chat.ChatMessages(ctx, callerOf(ctx), id, in.page()))
}

func (a *API) listDirectMessages(ctx context.Context, in *directMessagesInput) (*huma.StreamResponse, error) {
	return a.stream(a.chat.DirectMessages(ctx, callerOf(ctx), in.DestUsername, in.page()))
}

// chunk is about how much of a history is written at once. A history that fits
// is sent with its length.
const chunk = 32 << 10

// stream answers with a history, message by message. A failure on the way
// breaks the connection off: the client must not take a part for the whole.
func (a *API) stream(history *chat.History, err error) (*huma.StreamResponse, error) {
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		w := ctx.BodyWriter()
		buf, sent := []byte{'['}, false
		defer func() {
			if p := recover(); p != nil {
				err, _ := p.(error)
				if sent && !errors.Is(err, http.ErrAbortHandler) { // an error document can't follow
					_ = a.problem(ctx.Context(), fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
					p = http.ErrAbortHandler
				}
				panic(p)
			}
		}()
		for m, err := range history.All(ctx.Context()) {
			if err != nil {
				_ = a.problem(ctx.Context(), fmt.Errorf("stream messages: %w", err)) // for the log
				panic(http.ErrAbortHandler)
			}
			if sent || len(buf) > 1 {
				buf = append(buf, ",\n"...)
			}
			if buf = newMessage(m).appendJSON(buf); len(buf) >= chunk {
				if _, err := w.Write(buf); err != nil {
					return // the client has gone
				}
				buf, sent = buf[:0], true
			}
		}
		buf = append(buf, "]\n"...)
		if !sent {
			ctx.SetHeader("Content-Length", strconv.Itoa(len(buf)))
		}
		_, _ = w.Write(buf)
	}}, nil
}

func (a *API) messagesResponse() *huma.Response {
	messages := huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[[]Message]())
	messages.Nullable = false
	return &huma.Response{
		Description: "The messages, oldest first.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: messages}},
	}
}

// chatRef names a chat in a body: a number, or a string of digits. null, and a
// number that no chat can have, are chats that do not exist (contract 0, POST
// /v1/messages).
type chatRef struct {
	id    int64
	given bool
	null  bool
}

// noChat is an id that no chat has.
const noChat = math.MaxInt64

// Schema documents and validates what UnmarshalJSON reads.
func (chatRef) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "A chat that one is in. It wins over dest_username.",
		OneOf: []*huma.Schema{
			{Type: huma.TypeInteger, Examples: []any{1}},
			{Type: huma.TypeString, Pattern: "^[0-9]+$", PatternDescription: "digits"},
		},
	}
}

// UnmarshalJSON reads 1, 1.0 and "1".
func (c *chatRef) UnmarshalJSON(data []byte) error {
	*c = chatRef{id: noChat, given: true, null: string(data) == "null"}
	number := strings.Trim(string(data), `"`)
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		// 1.0 and 10e-1, as far as a float is exact.
		if f, err := strconv.ParseFloat(number, 64); err == nil && f == math.Trunc(f) && f < 1<<53 {
			id = int64(f)
		}
	}
	if id > 0 {
		c.id = id
	}
	return nil
}
