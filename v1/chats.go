package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Chat is a chat as one of its participants has it before them.
type Chat struct {
	ID           int64     `json:"id" example:"1"`
	Kind         string    `json:"kind" enum:"group,direct,self" example:"group"`
	Title        string    `json:"title,omitempty" example:"Weekend" doc:"This and the next four are those of a group."`
	Description  string    `json:"description,omitempty" example:"Who comes, and what to bring."`
	Visibility   string    `json:"visibility,omitempty" enum:"public,private" example:"private"`
	ManagedBy    string    `json:"managed_by,omitempty" enum:"members,admins" example:"members" doc:"Who may add people, and remove them."`
	Role         string    `json:"role,omitempty" enum:"owner,admin,member" example:"owner" doc:"One's own."`
	Other        *Other    `json:"other,omitempty" doc:"The other person of a direct chat."`
	LastMessage  *Message  `json:"last_message,omitempty" doc:"The last one that one has not hidden. Missing in what a key without the scope read is answered."`
	LastSeq      int64     `json:"last_seq" example:"2" doc:"The number of the last message; 0, if there was none."`
	ReadSeq      int64     `json:"read_seq" example:"1" doc:"One has read the messages up to this one."`
	DeliveredSeq int64     `json:"delivered_seq" example:"2" doc:"The messages up to this one have come to a device of one's own."`
	UnreadCount  int64     `json:"unread_count" example:"1" doc:"Messages behind read_seq."`
	MarkedUnread bool      `json:"marked_unread" example:"false" doc:"One wants to come back to it."`
	MutedUntil   timestamp `json:"muted_until,omitzero" doc:"Missing, if it is not muted."`
	Archived     bool      `json:"archived" example:"false"`
	Participants int       `json:"participant_count" example:"2"`
	ActiveAt     timestamp `json:"active_at" doc:"When the last message was sent; or when the chat was made, if there was none."`
	CreatedAt    timestamp `json:"created_at"`
}

// Other is the person that a direct chat is with.
type Other struct {
	ID          int64  `json:"id" example:"2"`
	Username    string `json:"username" example:"bob"`
	DisplayName string `json:"display_name,omitempty" example:"Bob Dylan"`
}

func newChat(e chat.Entry) Chat {
	c := Chat{
		ID: e.ID, Kind: e.Kind, LastSeq: e.LastSeq,
		ReadSeq: e.Participant.ReadSeq, DeliveredSeq: e.Participant.DeliveredSeq,
		UnreadCount: e.Unread(), MarkedUnread: e.Participant.MarkedUnread,
		MutedUntil: timestamp(e.Participant.MutedUntil), Archived: e.Participant.Archived,
		Participants: e.Participants, ActiveAt: timestamp(e.ActiveAt), CreatedAt: timestamp(e.CreatedAt),
	}
	if e.Kind == "group" {
		c.Title, c.Description, c.Visibility, c.ManagedBy, c.Role =
			e.Title, e.Description, e.Visibility, e.ManagedBy, e.Participant.Role
	}
	if e.Other != nil {
		c.Other = &Other{ID: e.Other.ID, Username: e.Other.Username, DisplayName: e.Other.DisplayName}
	}
	if e.LastMessage != nil {
		m := newMessage(*e.LastMessage)
		c.LastMessage = &m
	}
	return c
}

type chatOutput struct {
	Body Chat
}

// changedChat answers who has changed a chat. A key that may write, and no more, is not
// shown what others have said there.
func changedChat(ctx context.Context, e chat.Entry) *chatOutput {
	if callerOf(ctx).Require(chat.ReadScope) != nil {
		e.LastMessage = nil
	}
	return &chatOutput{Body: newChat(e)}
}

type chatsInput struct {
	Kind     string `query:"kind" enum:"group,direct,self" example:"group" doc:"Only chats of this kind."`
	Archived string `query:"archived" enum:"true,false" example:"false" doc:"Only chats that are archived, or only those that are not."`
	OffsetQuery
}

type chatsOutput struct {
	Body []Chat
}

// Unread is how much one has not read.
type Unread struct {
	Chats         int64 `json:"chats" example:"1" doc:"Chats with messages that one has not read, and those marked as unread."`
	Messages      int64 `json:"messages" example:"3" doc:"Messages that one has not read."`
	MutedChats    int64 `json:"muted_chats" example:"0" doc:"The same of muted chats, which count here alone."`
	MutedMessages int64 `json:"muted_messages" example:"0"`
}

type unreadOutput struct {
	Body Unread
}

type openChatInput struct {
	Body struct {
		_        struct{} `additionalProperties:"true"`
		Username string   `json:"username" minLength:"1" example:"bob" doc:"Whom to talk to; with oneself, it is a place for notes."`
	}
}

type chatInput struct {
	ChatID string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
}

type updateChatInput struct {
	ChatID string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
	Body   struct {
		_            struct{} `additionalProperties:"true"`
		MutedUntil   timeRef  `json:"muted_until,omitzero"`
		Archived     *bool    `json:"archived,omitempty" example:"false" doc:"Out of sight."`
		MarkedUnread *bool    `json:"marked_unread,omitempty" example:"true" doc:"To come back to it. Reading takes it away, and sending."`
	}
}

// timeRef is a time in a body, or null.
type timeRef struct {
	at    time.Time // zero for null
	given bool
}

// Schema documents and validates what UnmarshalJSON reads.
func (timeRef) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Format: "date-time", Nullable: true, Examples: []any{"2030-01-01T00:00:00Z"},
		Description: "Nothing is to ring until then. null, and a time that has been, take it away.",
	}
}

// UnmarshalJSON reads a time in RFC 3339.
func (t *timeRef) UnmarshalJSON(data []byte) error {
	*t = timeRef{given: true}
	if string(data) == "null" {
		return nil
	}
	return t.at.UnmarshalJSON(data)
}

func (a *API) registerChats() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"chats"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, "/v1/chats", "list-chats",
		"List one's chats, those first whose last message is the newest", 400)), a.listChats)
	register(a, tag(a.operation(http.MethodGet, "/v1/chats/unread", "count-unread",
		"Count what one has not read")), a.countUnread)
	open := tag(a.operation(http.MethodPost, "/v1/chats", "open-chat",
		"Open the chat with somebody, or with oneself", 400, 403, 413))
	open.Description = "It is made, if there is none. To open it again answers the same chat: it takes no idempotency key."
	register(a, open, a.openChat)
	register(a, tag(a.operation(http.MethodGet, "/v1/chats/{chat_id}", "get-chat",
		"Look at one of one's chats", 403, 404)), a.getChat)
	register(a, tag(a.operation(http.MethodPatch, "/v1/chats/{chat_id}", "update-chat",
		"Change one's own settings of a chat: what is given", 400, 403, 404, 413)), a.updateChat)
	remove := tag(a.operation(http.MethodDelete, "/v1/chats/{chat_id}", "delete-chat",
		"Delete a chat with all its messages, for all who are in it", 403, 404))
	remove.Description = "Either of two people may, for both. A group is its owner's to delete."
	register(a, remove, a.deleteChat)
}

func (a *API) listChats(ctx context.Context, in *chatsInput) (*chatsOutput, error) {
	list := chat.Selection{Kind: in.Kind, Limit: in.Limit, Offset: in.Offset}
	if in.Archived != "" {
		archived := in.Archived == "true"
		list.Archived = &archived
	}
	entries, err := a.chat.Chats(ctx, callerOf(ctx), list)
	if err != nil {
		return nil, err
	}
	out := &chatsOutput{Body: make([]Chat, 0, len(entries))}
	for _, e := range entries {
		out.Body = append(out.Body, newChat(e))
	}
	return out, nil
}

func (a *API) countUnread(ctx context.Context, _ *struct{}) (*unreadOutput, error) {
	u, err := a.chat.Unread(ctx, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	return &unreadOutput{Body: Unread(u)}, nil
}

func (a *API) openChat(ctx context.Context, in *openChatInput) (*chatOutput, error) {
	entry, err := a.chat.OpenChat(ctx, callerOf(ctx), in.Body.Username)
	if err != nil {
		return nil, err
	}
	return changedChat(ctx, entry), nil
}

func (a *API) getChat(ctx context.Context, in *chatInput) (*chatOutput, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	entry, err := a.chat.Chat(ctx, callerOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &chatOutput{Body: newChat(entry)}, nil
}

func (a *API) updateChat(ctx context.Context, in *updateChatInput) (*chatOutput, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	settings := chat.Settings{Archived: in.Body.Archived, MarkedUnread: in.Body.MarkedUnread}
	if in.Body.MutedUntil.given {
		settings.MutedUntil = &in.Body.MutedUntil.at
	}
	entry, err := a.chat.UpdateChatSettings(ctx, callerOf(ctx), id, settings)
	if err != nil {
		return nil, err
	}
	return changedChat(ctx, entry), nil
}

func (a *API) deleteChat(ctx context.Context, in *chatInput) (*empty, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.chat.DeleteChat(ctx, callerOf(ctx), id)
}
