package v1

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
)

// commands are what a client may ask for over a WebSocket.
var commands = map[string]command{
	"message.send":         does(chat.WriteScope, sendCommand),
	"message.edit":         does(chat.WriteScope, editCommand),
	"message.delete":       does(chat.WriteScope, deleteCommand),
	"reaction.add":         does(chat.WriteScope, reactCommand),
	"reaction.remove":      does(chat.WriteScope, unreactCommand),
	"chat.read":            does(chat.WriteScope, readCommand),
	"chat.delivered":       does(chat.WriteScope, deliveredCommand),
	"ping":                 does(chat.ReadScope, pingCommand),
	"typing":               does(chat.ReadScope, typingCommand),
	"presence.subscribe":   does(chat.ReadScope, watchCommand),
	"presence.unsubscribe": does(chat.ReadScope, unwatchCommand),
}

// command is a kind of them.
type command struct {
	scope  chat.Scopes  // that it needs of whoever comes by a key
	schema *huma.Schema // of its data
	run    func(ctx context.Context, c call, data []byte) (answer any, err error)
}

// call is one of them. Its context is its caller's, as that of a request is.
type call struct {
	shared
	connection *live.Connection
}

// maxRef is how many characters the id of a command may have.
const maxRef = 100

// commandFrame is how a command is sent.
type commandFrame struct {
	ID, Type string
	Data     json.RawMessage // what its type says
}

// Of what is sent in frames.
var (
	commandTypes       = huma.NewMapRegistry("#/", huma.DefaultSchemaNamer)
	commandFrameSchema = huma.SchemaFromType(commandTypes, reflect.TypeFor[struct {
		_    struct{}       `additionalProperties:"true"` // as in the body of a request
		ID   string         `json:"id" minLength:"1" maxLength:"100"`
		Type string         `json:"type"`
		Data map[string]any `json:"data,omitempty"`
	}]())
)

// Faults of a frame that no rule is asked about.
var (
	errNotText        = &Problem{Status: http.StatusBadRequest, Code: "malformed_frame", Detail: "A frame is text."}
	errNotJSON        = &Problem{Status: http.StatusBadRequest, Code: "malformed_frame", Detail: "A frame is one JSON object."}
	errUnknownCommand = &Problem{Status: http.StatusBadRequest, Code: "unknown_command", Field: "type", Detail: "There is no command of this type."}
)

// does makes a command of what it does, for whoever has a scope.
func does[I any](scope chat.Scopes, do func(context.Context, call, *I) (any, error)) command {
	schema := huma.SchemaFromType(commandTypes, reflect.TypeFor[I]())
	schema.AdditionalProperties = true // as in the body of a request
	return command{
		scope:  scope,
		schema: schema,
		run: func(ctx context.Context, c call, data []byte) (any, error) {
			in := new(I)
			if err := unmarshal(data, in); err != nil {
				return nil, &Problem{Status: http.StatusBadRequest, Code: "malformed_request", Detail: err.Error()}
			}
			return do(ctx, c, in)
		},
	}
}

// decodeCommand reads a frame. What it returns has as much as could be read.
func decodeCommand(frame []byte) (commandFrame, error) {
	var told commandFrame
	err := validate(commandFrameSchema, frame)
	if unmarshal(frame, &told) != nil && err == nil {
		err = errNotJSON
	}
	// What was validated may not be what was decoded: to the latter, "ID" is the same.
	if utf8.RuneCountInString(told.ID) > maxRef {
		told.ID, err = "", cmp.Or[error](err, errNotJSON)
	}
	if err != nil {
		return told, err
	}
	if len(told.Data) == 0 || string(told.Data) == "null" {
		told.Data = json.RawMessage("{}")
	}
	return told, nil
}

// validate holds JSON to a schema, and tells what is wrong as huma does of a body.
func validate(schema *huma.Schema, data []byte) error {
	var parsed any
	if err := unmarshal(data, &parsed); err != nil {
		return errNotJSON
	}
	var result huma.ValidateResult
	huma.Validate(commandTypes, schema, huma.NewPathBuffer([]byte("body"), 4), huma.ModeWriteToServer, parsed, &result)
	if len(result.Errors) == 0 {
		return nil
	}
	p := &Problem{Status: http.StatusBadRequest, Code: "malformed_request", Detail: "The command can't be understood."}
	if detail := (*huma.ErrorDetail)(nil); errors.As(result.Errors[0], &detail) {
		p.Field, p.Detail = fault(detail)
	}
	return p
}

// run carries out a command on behalf of who has a connection, and answers. ok says
// that there is such a command.
func (s shared) run(ctx context.Context, c *live.Connection, frame []byte) (answer []byte, ok bool) {
	told, err := decodeCommand(frame)
	if err != nil {
		return s.refuse(ctx, told.ID, err), false
	}
	what, ok := commands[told.Type]
	if !ok {
		return s.refuse(ctx, told.ID, errUnknownCommand), false
	}
	defer func() {
		if p := recover(); p != nil {
			answer = s.refuse(ctx, told.ID, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if err := validate(what.schema, told.Data); err != nil {
		return s.refuse(ctx, told.ID, err), true
	}
	// As with each request.
	caller, err := c.Authenticate(ctx)
	if err == nil {
		err = caller.Require(what.scope)
	}
	if err != nil {
		return s.refuse(ctx, told.ID, err), true
	}
	data, err := what.run(context.WithValue(ctx, callerKey{}, caller), call{s, c}, told.Data)
	if err != nil {
		return s.refuse(ctx, told.ID, err), true
	}
	return encodeFrame(struct {
		Type string `json:"type"`
		Ref  string `json:"ref"`
		Data any    `json:"data"`
	}{"answer", told.ID, data}), true
}

// refuse is the frame in place of an answer.
func (s shared) refuse(ctx context.Context, ref string, err error) []byte {
	return encodeFrame(struct {
		Type string   `json:"type"`
		Ref  string   `json:"ref,omitempty"`
		Data *Problem `json:"data"`
	}{"error", ref, s.problem(ctx, err)})
}

type sendData struct {
	ChatID   int64  `json:"chat_id,omitempty"`
	To       string `json:"dest_username,omitempty" minLength:"1"`
	Text     string `json:"text" minLength:"1" maxLength:"10000"`
	ReplyTo  int64  `json:"reply_to,omitempty"`
	ClientID string `json:"client_id,omitempty"`
}

func sendCommand(ctx context.Context, c call, in *sendData) (any, error) {
	if in.ChatID == 0 && in.To == "" {
		return nil, &Problem{
			Status: http.StatusBadRequest, Code: "recipient_missing", Field: "chat_id",
			Detail: "Either chat_id or dest_username says where the message goes.",
		}
	}
	sent, err := c.chat.Send(ctx, callerOf(ctx), chat.Draft{
		ChatID: in.ChatID, To: in.To, Text: in.Text, ReplyTo: in.ReplyTo, ClientID: in.ClientID,
	})
	if err != nil {
		return nil, renamed(err, "message", "text")
	}
	return newMessage(sent), nil
}

type editData struct {
	MessageID int64  `json:"message_id" minimum:"0"`
	Text      string `json:"text" minLength:"1" maxLength:"10000"`
}

func editCommand(ctx context.Context, c call, in *editData) (any, error) {
	edit := &editMessageInput{MessageInput: MessageInput{MessageID: digits(in.MessageID)}}
	edit.Body.Text = in.Text
	out, err := c.editMessage(ctx, edit)
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

type deleteData struct {
	MessageID int64  `json:"message_id" minimum:"0"`
	For       string `json:"for,omitempty" enum:"everyone,me"`
}

func deleteCommand(ctx context.Context, c call, in *deleteData) (any, error) {
	_, err := c.deleteMessage(ctx, &deleteMessageInput{MessageInput: MessageInput{MessageID: digits(in.MessageID)}, For: in.For})
	return nothing, err
}

type reactionData struct {
	MessageID int64  `json:"message_id" minimum:"0"`
	Emoji     string `json:"emoji"`
}

func reactCommand(ctx context.Context, c call, in *reactionData) (any, error) {
	out, err := c.react(ctx, &reactionInput{MessageID: digits(in.MessageID), Emoji: in.Emoji})
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func unreactCommand(ctx context.Context, c call, in *reactionData) (any, error) {
	_, err := c.unreact(ctx, &reactionInput{MessageID: digits(in.MessageID), Emoji: in.Emoji})
	return nothing, err
}

type readData struct {
	ChatID int64  `json:"chat_id"`
	Seq    *int64 `json:"seq,omitempty" minimum:"0"`
}

func readCommand(ctx context.Context, c call, in *readData) (any, error) {
	out, err := newWatermarks(c.chat.Read(ctx, callerOf(ctx), in.ChatID, in.Seq))
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

type deliveredData struct {
	ChatID int64 `json:"chat_id"`
	Seq    int64 `json:"seq" minimum:"0"`
}

func deliveredCommand(ctx context.Context, c call, in *deliveredData) (any, error) {
	out, err := newWatermarks(c.chat.Delivered(ctx, callerOf(ctx), in.ChatID, in.Seq))
	if err != nil {
		return nil, err
	}
	return out.Body, nil
}

func pingCommand(context.Context, call, *struct{}) (any, error) { return nothing, nil }

// nothing is the answer to a command that has nothing to tell.
var nothing struct{}

// digits are an id as it stands in a path.
func digits(id int64) string { return strconv.FormatInt(id, 10) }
