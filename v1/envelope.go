package v1

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/live"
)

// eventType is what events of a type have to tell.
type eventType struct {
	doc string
	// data documents what append writes, which is nothing if the event is of a
	// message that has gone with its chat.
	data   any
	append func(b []byte, e *live.Event) []byte
	// global ones are of no chat.
	global bool
}

// eventTypes are the types of event that this API tells. Of others it is silent: it
// does not know whose business they are.
var eventTypes = map[string]eventType{
	"message.created": {doc: "A message has been sent.", data: Message{}, append: appendMessage},
	"message.edited":  {doc: "A message has another text.", data: Message{}, append: appendMessage},
	"message.deleted": {doc: "A message has been taken away from everybody.", data: Message{}, append: appendMessage},
	"message.hidden":  {doc: "One has hidden a message from oneself.", data: MessageTold{}, append: appendOfMessage},

	"reaction.added":   {doc: "The actor has put an emoji on a message.", data: ReactionTold{}, append: appendOfMessage},
	"reaction.removed": {doc: "The actor has taken an emoji back.", data: ReactionTold{}, append: appendOfMessage},
	"poll.voted":       {doc: "The actor has voted. If the poll is anonymous, nobody is named.", data: VoteTold{}, append: appendOfMessage},
	"poll.closed":      {doc: "One can't vote in a poll any more.", data: MessageTold{}, append: appendOfMessage},

	"chat.created":   {doc: "There is a new chat, and one is in it.", data: ChatTold{}, append: appendTold},
	"chat.updated":   {doc: "A group is described, found or managed in another way.", data: GroupTold{}, append: appendTold},
	"chat.deleted":   {doc: "A chat that one was in is gone, with all messages.", data: NothingTold{}, append: appendTold},
	"chat.settings":  {doc: "One has changed one's own settings of a chat.", data: SettingsTold{}, append: appendTold},
	"chat.read":      {doc: "Somebody has read a chat up to a message.", data: WatermarkTold{}, append: appendOfUser},
	"chat.delivered": {doc: "A chat has come to somebody's device up to a message.", data: WatermarkTold{}, append: appendOfUser},

	"participant.added":   {doc: "Somebody is in the group now.", data: ParticipantTold{}, append: appendOfUser},
	"participant.updated": {doc: "Somebody has another role in the group.", data: ParticipantTold{}, append: appendOfUser},
	"participant.removed": {doc: "Somebody is not in the group any more. They hear of it, too.", data: UserTold{}, append: appendOfUser},

	"user.updated":    {doc: "Somebody in the chat has another name, or has deleted their account.", data: NameTold{}, append: appendOfUser},
	"account.updated": {doc: "One's own account has been changed.", data: AccountTold{}, append: appendOfUser, global: true},
	"block.created":   {doc: "One has blocked somebody.", data: UserTold{}, append: appendTold, global: true},
	"block.removed":   {doc: "One does not block somebody any more.", data: UserTold{}, append: appendTold, global: true},
}

// MessageTold names a message.
type MessageTold struct {
	MessageID int64 `json:"message_id" example:"1"`
}

// ReactionTold is what an event tells of a reaction.
type ReactionTold struct {
	MessageID int64  `json:"message_id" example:"1"`
	Emoji     string `json:"emoji" example:"👍"`
}

// VoteTold is what an event tells of a vote.
type VoteTold struct {
	MessageID int64 `json:"message_id" example:"1"`
	Options   []int `json:"options,omitempty" nullable:"false" example:"[0]" doc:"The places of what the actor has chosen, from 0; left out where it is nobody's business."`
}

// ChatTold is what an event tells of a new chat.
type ChatTold struct {
	Kind         string  `json:"kind" enum:"group,direct,self" example:"group"`
	Participants []int64 `json:"participants" nullable:"false" example:"[1]" doc:"The ids of those who are in it from the start."`
}

// GroupTold is what has changed of a group.
type GroupTold struct {
	Title       *string `json:"title,omitempty" example:"Weekend"`
	Description *string `json:"description,omitempty" example:"Who brings what"`
	Visibility  *string `json:"visibility,omitempty" enum:"public,private" example:"private"`
	ManagedBy   *string `json:"managed_by,omitempty" enum:"members,admins" example:"members"`
}

// NothingTold is for events that have nothing to tell but that they happened.
type NothingTold struct{}

// SettingsTold are one's own settings of a chat.
type SettingsTold struct {
	MutedUntil   *mutedUntil `json:"muted_until" doc:"UTC; null, if it is not muted."`
	Archived     bool        `json:"archived" example:"false"`
	MarkedUnread bool        `json:"marked_unread" example:"false"`
}

// mutedUntil is a time or null.
type mutedUntil struct{}

// Schema documents it.
func (mutedUntil) Schema(r huma.Registry) *huma.Schema {
	s := timestamp{}.Schema(r)
	s.Nullable = true
	return s
}

// WatermarkTold is how far somebody is in a chat.
type WatermarkTold struct {
	UserID int64 `json:"user_id" example:"1"`
	Seq    int64 `json:"seq" example:"1" doc:"The number of the message."`
}

// ParticipantTold is somebody in a group.
type ParticipantTold struct {
	UserID int64  `json:"user_id" example:"1"`
	Role   string `json:"role,omitempty" enum:"owner,admin,member" example:"member" doc:"Left out for a new member."`
}

// UserTold names somebody.
type UserTold struct {
	UserID int64 `json:"user_id" example:"2"`
}

// NameTold is what somebody is called now.
type NameTold struct {
	UserID      int64  `json:"user_id" example:"2"`
	Username    string `json:"username,omitempty" example:"bob"`
	DisplayName string `json:"display_name,omitempty" example:"Bob"`
	Deleted     bool   `json:"deleted,omitempty" example:"false" doc:"The account is gone; what it said stays."`
}

// AccountTold is what of one's own account other devices show.
type AccountTold struct {
	UserID         int64  `json:"user_id" example:"1"`
	Username       string `json:"username" example:"alice"`
	DisplayName    string `json:"display_name" example:"Alice"`
	PresenceHidden bool   `json:"presence_hidden" example:"false" doc:"Nobody is told whether one is there."`
}

// wire writes events as envelopes.
type wire struct{}

// Encode implements [live.Wire].
func (wire) Encode(e *live.Event) []byte {
	if e.Type == live.Heartbeat {
		return encodeFrame(frame{ID: e.Cursor, Type: e.Type, At: timestamp(e.At)})
	}
	if e.Type == live.Presence || e.Type == live.Typing {
		return encodeUnlogged(e)
	}
	t, known := eventTypes[e.Type]
	if !known {
		return nil
	}
	b := append(make([]byte, 0, 512), '{')
	if e.Cursor != "" {
		b = append(appendString(append(b, `"id":`...), e.Cursor), ',')
	}
	b = appendString(append(b, `"type":`...), e.Type)
	if e.ChatID != 0 {
		b = strconv.AppendInt(append(b, `,"chat_id":`...), e.ChatID, 10)
	}
	if e.ActorID != 0 {
		b = strconv.AppendInt(append(b, `,"actor_id":`...), e.ActorID, 10)
	}
	b = timestamp(e.At).appendJSON(append(b, `,"at":`...))
	b = append(b, `,"data":`...)
	head := len(b)
	if b = t.append(b, e); len(b) == head {
		return nil
	}
	if e.Type == "message.created" {
		if key := chat.KeyOf(*e.Message); key != "" {
			b = appendString(append(b, `,"client_id":`...), key)
		}
	}
	return append(b, '}')
}

func appendMessage(b []byte, e *live.Event) []byte {
	if e.Message == nil {
		return b
	}
	m := *e.Message
	m.ReadCount, m.ReadBy = nil, nil // which is told by events of its own
	return newMessage(m).appendJSON(b)
}

func appendOfMessage(b []byte, e *live.Event) []byte {
	if e.Message == nil {
		return b
	}
	return appendMore(strconv.AppendInt(append(b, `{"message_id":`...), e.Message.ID, 10), e)
}

func appendOfUser(b []byte, e *live.Event) []byte {
	return appendMore(strconv.AppendInt(append(b, `{"user_id":`...), e.UserID, 10), e)
}

// appendMore ends an object with what else an event has to tell.
func appendMore(b []byte, e *live.Event) []byte {
	if more := strings.TrimPrefix(e.Data, "{"); more != "" && more != "}" {
		return append(append(b, ','), more...)
	}
	return append(b, '}')
}

func appendTold(b []byte, e *live.Event) []byte {
	if e.Data == "" {
		return append(b, "{}"...)
	}
	return append(b, e.Data...)
}

// envelope is an encoded event.
type envelope []byte

// MarshalJSON writes what there is.
func (e envelope) MarshalJSON() ([]byte, error) { return e, nil }

// Schema documents the envelopes of all types.
func (envelope) Schema(r huma.Registry) *huma.Schema {
	all := &huma.Schema{
		Description:   "What has happened. There will be more types: ignore those that you do not know.",
		Discriminator: &huma.Discriminator{PropertyName: "type", Mapping: map[string]string{}},
	}
	for _, name := range slices.Sorted(maps.Keys(eventTypes)) {
		t := eventTypes[name]
		schema := newFrameSchema(r, name, t.doc, t.data)
		schema.Required = append(schema.Required, "id")
		schema.Properties["id"] = cursorSchema()
		schema.Properties["actor_id"] = idSchema("Who did it. Left out where that is nobody's business, or was nobody.")
		if !t.global {
			schema.Required = append(schema.Required, "chat_id")
			schema.Properties["chat_id"] = idSchema("")
		}
		if name == "message.created" {
			schema.Properties["client_id"] = &huma.Schema{
				Type: huma.TypeString, Description: "The sender's idempotency key.", Examples: []any{"5f0c"},
			}
		}
		ref := addSchema(r, schemaNameOf(name)+"Event", schema)
		all.OneOf = append(all.OneOf, ref)
		all.Discriminator.Mapping[name] = ref.Ref
	}
	return addSchema(r, "Event", all)
}

// newFrameSchema is what everything that a connection tells has in common.
func newFrameSchema(r huma.Registry, name, doc string, data any) *huma.Schema {
	schema := &huma.Schema{
		Type: huma.TypeObject, Description: doc, AdditionalProperties: false,
		Required: []string{"type", "at"},
		Properties: map[string]*huma.Schema{
			"type": {Type: huma.TypeString, Enum: []any{name}, Examples: []any{name}},
			"at":   timestamp{}.Schema(r),
		},
	}
	if data != nil {
		schema.Required = append(schema.Required, "data")
		schema.Properties["data"] = r.Schema(reflect.TypeOf(data), true, "")
	}
	return schema
}

func cursorSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "The cursor: where to go on behind this.", Examples: []any{"8c01f2a9be47.1"}}
}

func idSchema(doc string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Description: doc, Examples: []any{1}}
}

// addSchema names a schema, and refers to it.
func addSchema(r huma.Registry, name string, schema *huma.Schema) (ref *huma.Schema) {
	r.Map()[name] = schema
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// schemaNameOf is MessageCreated for message.created.
func schemaNameOf(typ string) (name string) {
	for word := range strings.SplitSeq(typ, ".") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

// frame is what a connection tells beside events.
type frame struct {
	// ID is a cursor. A client goes on behind the last one that it was told, of
	// whatever type.
	ID   string    `json:"id,omitempty"`
	Type string    `json:"type"`
	At   timestamp `json:"at"`
	Data any       `json:"data,omitempty"`
}

// Schema documents what a connection tells, events among it, but for the answers to
// commands.
func (frame) Schema(r huma.Registry) *huma.Schema {
	all := &huma.Schema{
		Description: "What a connection tells, but for answers to commands. There will be more types: ignore those that you do not know.",
		OneOf:       []*huma.Schema{envelope{}.Schema(r)},
	}
	for _, t := range []struct {
		name, doc string
		data      any
		required  []string
	}{
		{"hello", "The connection begins. If a resync follows, this has no id.", HelloTold{}, nil},
		{"resync", "What happened behind the cursor that was given can't be told: fetch anew what you show.", ResyncTold{}, []string{"id"}},
		{live.Heartbeat, "The connection is alive.", nil, []string{"id"}},
		{live.Typing, "Somebody is writing. Not in the log.", UserTold{}, []string{"chat_id"}},
		{live.Presence, "Whether somebody is there. Not in the log.", PresenceState{}, nil},
	} {
		schema := newFrameSchema(r, t.name, t.doc, t.data)
		schema.Required = append(schema.Required, t.required...)
		switch t.name {
		case live.Typing:
			schema.Properties["chat_id"] = idSchema("")
		case live.Presence:
		default:
			schema.Properties["id"] = cursorSchema()
		}
		all.OneOf = append(all.OneOf, addSchema(r, schemaNameOf(t.name)+"Frame", schema))
	}
	return addSchema(r, "Frame", all)
}

// HelloTold is what a connection begins with.
type HelloTold struct {
	HeartbeatMS   int64 `json:"heartbeat_ms" example:"25000" doc:"How often there is a heartbeat."`
	UserID        int64 `json:"user_id" example:"1"`
	SessionID     int64 `json:"session_id" example:"1"`
	MaxFrameBytes int   `json:"max_frame_bytes" example:"65536" doc:"How much a client may send at once."`
}

// ResyncTold is why a cursor is of no use.
type ResyncTold struct {
	Reason live.Resync `json:"reason" enum:"epoch,expired,too_far" example:"epoch"`
}

// helloFrames are what a connection begins with.
func helloFrames(hello live.Hello, caller chat.Caller) []frame {
	first := frame{ID: hello.Cursor, Type: "hello", At: timestamp(hello.At), Data: HelloTold{
		HeartbeatMS: live.HeartbeatEvery.Milliseconds(), UserID: caller.UserID, SessionID: caller.SessionID, MaxFrameBytes: live.MaxFrame,
	}}
	if hello.Resync == "" {
		return []frame{first}
	}
	// Should the connection end just here, the client must not take the new cursor
	// for granted: it would never hear that it has missed something.
	first.ID = ""
	return []frame{first, {ID: hello.Cursor, Type: "resync", At: timestamp(hello.At), Data: ResyncTold{hello.Resync}}}
}

// encodeFrame is a value whose fields can always be encoded.
func encodeFrame(v any) []byte {
	var b bytes.Buffer
	if err := marshal(&b, v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
