package v1

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/httpapi"
)

// Message is what somebody said in a chat.
type Message struct {
	ID             int64     `json:"id" example:"1" doc:"Higher than that of every message before."`
	ChatID         int64     `json:"chat_id" example:"1"`
	Kind           string    `json:"kind" enum:"group,direct,self" example:"group" doc:"The kind of chat that it is in."`
	Seq            int64     `json:"seq" example:"1" doc:"Its number in the chat: 1, 2, 3…"`
	SenderID       int64     `json:"sender_id" example:"1"`
	SenderUsername string    `json:"sender_username" example:"alice"`
	Text           string    `json:"text" example:"hi all" doc:"Empty, if it has been deleted."`
	CreatedAt      timestamp `json:"created_at"`
	ClientID       string    `json:"client_id,omitempty" example:"5f0c" doc:"The sender's idempotency key."`
	*MessageDetails
	ReadCount *int     `json:"read_count,omitempty" example:"1" doc:"How many of the others have read it, of those who were there when it was sent. In the lists of a chat, and of a message that is asked for alone."`
	ReadBy    []string `json:"read_by,omitempty" nullable:"false" example:"[\"bob\"]" doc:"Who they are, in a chat of at most 20."`
}

// MessageDetails are what most messages do not have. (huma does not look into an
// embedded struct that is not exported.)
type MessageDetails struct {
	EditedAt   timestamp       `json:"edited_at,omitzero"`
	DeletedAt  timestamp       `json:"deleted_at,omitzero"`
	ReplyTo    int64           `json:"reply_to,omitempty" example:"1" doc:"The message that it answers."`
	ThreadID   int64           `json:"thread_id,omitempty" example:"1" doc:"The message that began the thread that it is in."`
	ReplyCount int64           `json:"reply_count,omitempty" example:"1" doc:"How many messages are in the thread that it began, also those deleted since."`
	Mentions   []Mention       `json:"mentions,omitempty" nullable:"false" doc:"Where it names people with an @."`
	Reactions  []ReactionCount `json:"reactions,omitempty" nullable:"false" doc:"In the order in which they came first."`
	Poll       *Poll           `json:"poll,omitempty"`
}

// Mention is where a message names somebody.
type Mention struct {
	Start  int   `json:"start" example:"0" doc:"Where the @ stands, in characters (Unicode code points); the first is 0."`
	Length int   `json:"length" example:"4" doc:"In characters, with the @."`
	UserID int64 `json:"user_id" example:"2"`
}

func newMessage(m chat.Message) Message {
	return Message{
		ID: m.ID, ChatID: m.ChatID, Kind: m.ChatKind, Seq: m.Seq, SenderID: m.SenderID,
		SenderUsername: m.SenderUsername, Text: m.Text, CreatedAt: timestamp(m.CreatedAt), ClientID: chat.KeyOf(m),
		MessageDetails: newMessageDetails(m), ReadCount: m.ReadCount, ReadBy: m.ReadBy,
	}
}

// newMessageDetails returns nil for a message that has none.
func newMessageDetails(m chat.Message) *MessageDetails {
	if m.EditedAt.IsZero() && m.DeletedAt.IsZero() && m.ThreadID == 0 && m.ReplyCount == 0 &&
		len(m.Mentions) == 0 && len(m.Reactions) == 0 && m.Poll == nil {
		return nil
	}
	d := &MessageDetails{ReplyTo: m.ReplyTo, ThreadID: m.ThreadID, ReplyCount: m.ReplyCount, Poll: newPoll(m.Poll)}
	if !m.EditedAt.IsZero() {
		d.EditedAt = timestamp(m.EditedAt)
	}
	if !m.DeletedAt.IsZero() {
		d.DeletedAt = timestamp(m.DeletedAt)
	}
	for _, mention := range m.Mentions {
		d.Mentions = append(d.Mentions, Mention(mention))
	}
	for _, count := range m.Reactions {
		d.Reactions = append(d.Reactions, newReactionCount(count))
	}
	return d
}

// appendJSON is what encoding/json would write, which takes most of the time of
// a page; there is a test that the two agree.
func (m Message) appendJSON(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), m.ID, 10)
	b = strconv.AppendInt(append(b, `,"chat_id":`...), m.ChatID, 10)
	b = appendString(append(b, `,"kind":`...), m.Kind)
	b = strconv.AppendInt(append(b, `,"seq":`...), m.Seq, 10)
	b = strconv.AppendInt(append(b, `,"sender_id":`...), m.SenderID, 10)
	b = appendString(append(b, `,"sender_username":`...), m.SenderUsername)
	b = appendString(append(b, `,"text":`...), m.Text)
	b = m.CreatedAt.appendJSON(append(b, `,"created_at":`...))
	if m.ClientID != "" {
		b = appendString(append(b, `,"client_id":`...), m.ClientID)
	}
	if m.MessageDetails != nil { // of at least one field
		w := bytes.NewBuffer(b)
		if err := marshal(w, m.MessageDetails); err != nil {
			panic(err) // such fields can always be encoded
		}
		b, w.Bytes()[len(b)] = bytes.TrimSuffix(w.Bytes(), []byte("}\n")), ','
	}
	if m.ReadCount != nil {
		b = strconv.AppendInt(append(b, `,"read_count":`...), int64(*m.ReadCount), 10)
	}
	if len(m.ReadBy) > 0 {
		for i, name := range m.ReadBy {
			b = appendString(append(b, [...]string{`,"read_by":[`, `,`}[min(i, 1)]...), name)
		}
		b = append(b, ']')
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
		ReplyTo     int64    `json:"reply_to,omitempty" minimum:"1" example:"1" doc:"A message of the same chat, that one sees and that has not been deleted."`
		ClientID    string   `json:"client_id,omitempty" example:"5f0c" doc:"An idempotency key: a message is sent once, and sending it again answers the first one."`
		Poll        *NewPoll `json:"poll,omitempty" doc:"Makes the message a poll, with its text as the question."`
	}
}

type sendToChatInput struct {
	ChatID         string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
	IdempotencyKey string `header:"Idempotency-Key" example:"5f0d" doc:"The same as client_id, which wins."`
	Body           struct {
		_        struct{} `additionalProperties:"true"`
		Text     *string  `json:"text,omitempty" minLength:"1" maxLength:"10000" example:"hi @bob"`
		Texts    []string `json:"texts,omitempty" nullable:"false" example:"[\"hi\",\"all\"]" doc:"From 1 to 100 messages: all of them are sent, or none. They win over text."`
		ReplyTo  int64    `json:"reply_to,omitempty" minimum:"1" example:"1" doc:"A message of the same chat, that one sees and that has not been deleted."`
		ClientID string   `json:"client_id,omitempty" example:"5f0d" doc:"An idempotency key: what is sent is sent once, and sending it again answers the first time."`
		Poll     *NewPoll `json:"poll,omitempty" doc:"Makes the message a poll, with its text as the question. Not with texts."`
	}
}

// sent is a message or, where several were sent at once, a list of them.
type sent struct {
	one *Message
	all []Message
}

// Schema documents what MarshalJSON writes.
func (sent) Schema(r huma.Registry) *huma.Schema {
	all := r.Schema(reflect.TypeFor[[]Message](), true, "")
	all.Nullable = false
	return &huma.Schema{OneOf: []*huma.Schema{r.Schema(reflect.TypeFor[Message](), true, ""), all}}
}

// MarshalJSON writes the one or the other.
func (s sent) MarshalJSON() ([]byte, error) {
	if s.one != nil {
		return s.one.appendJSON(nil), nil
	}
	return appendMessages(nil, s.all), nil
}

type sentOutput struct {
	Body sent
}

// MessageInput names a message.
type MessageInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
}

type editMessageInput struct {
	MessageInput
	Body struct {
		_    struct{} `additionalProperties:"true"`
		Text string   `json:"text" minLength:"1" maxLength:"10000" example:"hi everybody"`
	}
}

type deleteMessageInput struct {
	MessageInput
	For string `query:"for" enum:"everyone,me" default:"everyone" example:"me" doc:"me hides it from oneself alone, for good."`
}

// Edit is a text that a message had before it was edited.
type Edit struct {
	Version   int64     `json:"version" example:"1"`
	Text      string    `json:"text" example:"hi all"`
	CreatedAt timestamp `json:"created_at" doc:"When it was written."`
}

type editsOutput struct {
	Body []Edit
}

type threadInput struct {
	MessageInput
	After int64 `query:"after" minimum:"1" example:"1" doc:"Only messages with a higher id."`
	Limit int   `query:"limit" minimum:"1" maximum:"500" default:"100" example:"100" doc:"At most so many: the first ones."`
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

// MessageFilters documents the filters of lists; the query itself is read in its
// order.
type MessageFilters struct {
	ID             string `query:"id" example:"1" doc:"Filters: what is not valid is ignored."`
	Seq            string `query:"seq" example:"1"`
	Text           string `query:"text" example:"hi all"`
	TextLike       string `query:"text-like" example:"HI" doc:"Contains it; ASCII letters of both cases are the same."`
	SenderID       string `query:"sender_id" example:"1"`
	SenderUsername string `query:"sender_username" example:"alice"`
	SenderLike     string `query:"sender_username-like" example:"ali"`
	CreatedAt      string `query:"created_at" example:"2006-01-02T15:04:05.000000Z"`
	OrderedBy      string `query:"ordered-by" example:"created_at" doc:"A field. It may be given several times, and so may ordered-by-desc; the first counts most. Default: id."`
	OrderedByDesc  string `query:"ordered-by-desc" example:"id"`
	Offset         string `query:"offset" example:"0" doc:"Without the first so many."`
	Page           int64  `query:"page" minimum:"1" maximum:"1000000000" example:"1" doc:"The first page is 1, and has the oldest messages. In place of offset."`

	filter  chat.Filter
	listed  bool // it takes a list, and not the newest messages
	inPages bool
}

// messageFields are what lists of messages can be filtered and sorted by.
var messageFields = map[string]chat.Field{
	"id":              {Column: chat.MessageID, Type: chat.NumberField},
	"chat_id":         {Column: chat.MessageChatID, Type: chat.NumberField},
	"seq":             {Column: chat.MessageSeq, Type: chat.NumberField},
	"text":            {Column: chat.MessageText},
	"sender_id":       {Column: chat.MessageSenderID, Type: chat.NumberField},
	"sender_username": {Column: chat.MessageSenderUsername},
	"created_at":      {Column: chat.MessageCreatedAt, Type: chat.TimeField},
}

// Resolve reads the query.
func (in *MessageFilters) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.filter = parseFilter(u.RawQuery, messageFields)
	offset, err := strconv.Atoi(in.Offset)
	in.inPages = in.Page > 0 || err == nil && offset >= 0
	in.listed = in.inPages || len(in.filter.Where) > 0 || len(in.filter.Order) > 0
	if in.Page > 0 {
		in.filter.Offset = int(in.Page-1) * in.filter.Limit
	}
	return nil
}

type listMessagesInput struct {
	PageQuery
	MessageFilters
	ChatID    string `query:"chat_id" example:"1"`
	Direction string `query:"direction" enum:"sent,received" example:"received" doc:"By oneself, or by others."`
	Sender    string `query:"sender" example:"alice" doc:"The username of the one who sent it."`
	Receiver  string `query:"receiver" example:"bob" doc:"The username of the one whom it went to alone: not through a group."`
	Date      string `query:"date" example:"2006-01-02" doc:"The day on which it was sent, in UTC."`
}

type chatMessagesInput struct {
	ChatID    string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
	Limit     string `query:"limit" example:"50" doc:"At most so many, up to 500. Default: 100."`
	Before    int64  `query:"before" minimum:"1" example:"100" doc:"Only messages with a lower id: the last of them, if nothing else is asked for."`
	After     int64  `query:"after" minimum:"1" example:"1" doc:"Only messages with a higher id: the first of them."`
	Around    int64  `query:"around" minimum:"1" example:"1" doc:"The message with this id in the middle. It wins over what follows and what comes before."`
	AroundSeq int64  `query:"around_seq" minimum:"1" example:"1" doc:"The message with this number in the middle. It wins over around."`
	MessageFilters
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

	send := tag(a.operation(http.MethodPost, "/v1/chats/{chat_id}/messages", "send-to-chat",
		"Send a message to a chat that one is in, or several at once", 400, 403, 404, 413))
	send.MaxBodyBytes = maxTextsBytes + 1
	register(a, send, a.sendToChat)
	ofChat := tag(a.operation(http.MethodGet, "/v1/chats/{chat_id}/messages", "list-chat-messages",
		"Read a chat that one is in by pages: the newest one, or one by ids, by numbers, by offset or by filters; oldest first", 400, 403, 404))
	ofChat.Responses["200"] = a.messagesResponse()
	register(a, ofChat, a.listChatMessages)
	register(a, tag(a.operation(http.MethodGet, "/v1/messages/{message_id}", "get-message",
		"Look at a message", 404)), a.getMessage)
	register(a, tag(a.operation(http.MethodPatch, "/v1/messages/{message_id}", "edit-message",
		"Give one's own message another text; what it was is kept", 400, 404, 413)), a.editMessage)
	register(a, tag(a.operation(http.MethodDelete, "/v1/messages/{message_id}", "delete-message",
		"Delete one's own message, as an admin of a group any, or hide one from oneself", 400, 404)), a.deleteMessage)
	register(a, tag(a.operation(http.MethodGet, "/v1/messages/{message_id}/edits", "list-edits",
		"List the texts that a message had before, oldest first", 404)), a.listEdits)
	thread := tag(a.operation(http.MethodGet, "/v1/messages/{message_id}/thread", "list-thread",
		"Read the thread that a message is in, or that it began, oldest first", 400, 404))
	thread.Responses["200"] = a.messagesResponse()
	register(a, thread, a.listThread)

	// The README names the first paths, and the code that it describes served
	// the second (contract 0).
	for prefix, suffix := range map[string]string{"/v1/group_chat/messages": "", "/v1/messages": "-short"} {
		list := func(path, id, summary string, errors ...int) huma.Operation {
			op := tag(a.operation(http.MethodGet, prefix+path, id+suffix, summary, errors...))
			op.Responses["200"] = a.messagesResponse()
			return op
		}
		register(a, list("", "list-messages",
			"Read the messages of all one's chats, oldest first; or those that one looks for", 400), a.listMessages)
		register(a, list("/group/{group_chat_id}", "list-group-messages",
			"Read the messages of a chat that one is in, oldest first", 400, 403, 404), a.listGroupMessages)
		register(a, list("/p2p/{dest_username}", "list-direct-messages",
			"Read the messages between oneself and somebody, oldest first", 400), a.listDirectMessages)
	}
}

func (a *API) send(ctx context.Context, in *sendInput) (*messageOutput, error) {
	draft := chat.Draft{Text: in.Body.Text, ReplyTo: in.Body.ReplyTo, ClientID: in.Body.ClientID, Poll: in.Body.Poll.draft()}
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

// maxTextsBytes bounds a body with many messages.
const maxTextsBytes = 1 << 20

func (a *API) sendToChat(ctx context.Context, in *sendToChatInput) (*sentOutput, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	b := in.Body
	draft := chat.Draft{ChatID: id, ReplyTo: b.ReplyTo, ClientID: b.ClientID, Poll: b.Poll.draft()}
	if draft.ClientID == "" {
		draft.ClientID = in.IdempotencyKey
	}
	if id == 0 {
		draft.ChatID = noChat // 0 is none that is named
	}
	switch {
	case b.Texts != nil:
		all, err := a.chat.SendAll(ctx, callerOf(ctx), draft, b.Texts)
		if err != nil {
			return nil, err
		}
		return &sentOutput{Body: sent{all: newMessages(all)}}, nil
	case b.Text == nil:
		return nil, &Problem{
			Status: http.StatusBadRequest, Code: "text_missing", Field: "text",
			Detail: "Either text or texts is what is to be sent.",
		}
	}
	draft.Text = *b.Text
	m, err := a.chat.Send(ctx, callerOf(ctx), draft)
	if err != nil {
		return nil, renamed(err, "message", "text")
	}
	one := newMessage(m)
	return &sentOutput{Body: sent{one: &one}}, nil
}

// renamed tells of a field by the name that it has in a route.
func renamed(err error, from, to string) error {
	if refusal := chat.AsError(err); refusal != nil && refusal.Field == from {
		told := *refusal
		told.Field = to
		return &told
	}
	return err
}

func newMessages(messages []chat.Message) []Message {
	list := make([]Message, 0, len(messages))
	for _, m := range messages {
		list = append(list, newMessage(m))
	}
	return list
}

func (a *API) getMessage(ctx context.Context, in *MessageInput) (*messageOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	m, err := a.chat.Message(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &messageOutput{Body: newMessage(m)}, nil
}

func (s shared) editMessage(ctx context.Context, in *editMessageInput) (*messageOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	m, err := s.chat.EditMessage(ctx, callerOf(ctx), id, in.Body.Text)
	if err != nil {
		return nil, err
	}
	return &messageOutput{Body: newMessage(m)}, nil
}

func (s shared) deleteMessage(ctx context.Context, in *deleteMessageInput) (*empty, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	if in.For == "me" {
		return &empty{}, s.chat.HideMessage(ctx, callerOf(ctx), id)
	}
	return &empty{}, s.chat.DeleteMessage(ctx, callerOf(ctx), id)
}

func (a *API) listEdits(ctx context.Context, in *MessageInput) (*editsOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	edits, err := a.chat.Edits(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	out := &editsOutput{Body: make([]Edit, 0, len(edits))}
	for _, e := range edits {
		out.Body = append(out.Body, Edit{Version: e.Version, Text: e.Text, CreatedAt: timestamp(e.CreatedAt)})
	}
	return out, nil
}

func (a *API) listThread(ctx context.Context, in *threadInput) (*huma.StreamResponse, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	return whole(a.chat.Thread(ctx, callerOf(ctx), id, in.After, in.Limit))
}

func (a *API) listChatMessages(ctx context.Context, in *chatMessagesInput) (*huma.StreamResponse, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		id = noChat // 0 would be all chats
	}
	if in.Around > 0 || in.AroundSeq > 0 || !in.listed && in.filter.Limit > 0 {
		page := chat.Page{After: in.After, Before: in.Before, Limit: max(in.filter.Limit, 1)}
		return whole(a.chat.ChatWindow(ctx, callerOf(ctx), id, chat.Window{Page: page, Around: in.Around, AroundSeq: in.AroundSeq}))
	}
	return whole(a.chat.FindMessages(ctx, callerOf(ctx), chat.MessageQuery{
		ChatID: id, After: in.After, Before: in.Before, FromEnd: in.Before > 0 && in.After == 0 && !in.inPages, Filter: in.filter,
	}))
}

func (a *API) listMessages(ctx context.Context, in *listMessagesInput) (*huma.StreamResponse, error) {
	if !in.listed && in.Direction == "" && in.Sender == "" && in.Receiver == "" && in.Date == "" {
		return a.stream(a.chat.Messages(ctx, callerOf(ctx), in.page()))
	}
	return whole(a.chat.FindMessages(ctx, callerOf(ctx), chat.MessageQuery{
		Direction: map[string]chat.Direction{"sent": chat.Sent, "received": chat.Received}[in.Direction],
		Sender:    in.Sender, Receiver: in.Receiver, Date: in.Date,
		After: in.After, Before: in.Before, FromEnd: in.Before > 0 && in.After == 0 && !in.inPages, Filter: in.filter,
	}))
}

func (a *API) listGroupMessages(ctx context.Context, in *groupMessagesInput) (*huma.StreamResponse, error) {
	id, err := pathID(in.GroupChatID)
	if err != nil {
		return nil, err
	}
	return a.stream(a.chat.ChatMessages(ctx, callerOf(ctx), id, in.page()))
}

func (a *API) listDirectMessages(ctx context.Context, in *directMessagesInput) (*huma.StreamResponse, error) {
	return a.stream(a.chat.DirectMessages(ctx, callerOf(ctx), in.DestUsername, in.page()))
}

// whole answers with a list that has been read.
func whole(messages []chat.Message, err error) (*huma.StreamResponse, error) {
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		body := append(appendMessages(nil, newMessages(messages)), '\n')
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetHeader("Content-Length", strconv.Itoa(len(body)))
		_, _ = ctx.BodyWriter().Write(body) // a client that has gone is none of our failures
	}}, nil
}

func appendMessages(b []byte, messages []Message) []byte {
	b = append(b, '[')
	for i, m := range messages {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		b = m.appendJSON(b)
	}
	return append(b, ']')
}

// stream answers with a history, message by message. A failure on the way
// breaks the connection off: the client must not take a part for the whole.
func (a *API) stream(history *chat.History, err error) (*huma.StreamResponse, error) {
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		l := httpapi.ListWriter{W: ctx.BodyWriter(), Header: ctx.SetHeader, Before: "[", After: "]\n"}
		err := httpapi.WriteList(&l, history.All(ctx.Context()), func(text []byte, m chat.Message) ([]byte, error) {
			return newMessage(m).appendJSON(text), nil
		})
		if err != nil {
			_ = a.problem(ctx.Context(), fmt.Errorf("stream messages: %w", err)) // for the log
			panic(http.ErrAbortHandler)
		}
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
