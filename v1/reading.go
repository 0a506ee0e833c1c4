package v1

import (
	"context"
	"net/http"

	"github.com/caddymsg/messaging/chat"
)

type readInput struct {
	ChatID string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
	Body   *struct {
		_   struct{} `additionalProperties:"true"`
		Seq *int64   `json:"seq,omitempty" minimum:"0" example:"1" doc:"The number of the last message that one has read. Default: the last one there is."`
	}
}

type deliveredInput struct {
	ChatID string `path:"chat_id" example:"1" doc:"The chat's id: digits alone."`
	Body   struct {
		_   struct{} `additionalProperties:"true"`
		Seq int64    `json:"seq" minimum:"0" example:"1" doc:"The number of the last message that has come."`
	}
}

// Watermarks are how far one is in a chat.
type Watermarks struct {
	ReadSeq      int64 `json:"read_seq" example:"1" doc:"One has read the messages up to this one."`
	DeliveredSeq int64 `json:"delivered_seq" example:"1" doc:"The messages up to this one have come to a device of one's own."`
	UnreadCount  int64 `json:"unread_count" example:"0" doc:"Messages behind read_seq."`
	MarkedUnread bool  `json:"marked_unread" example:"false"`
}

type watermarksOutput struct {
	Body Watermarks
}

type readersInput struct {
	MessageID string `path:"message_id" example:"1" doc:"The message's id: digits alone."`
	OffsetQuery
}

// Readers are those who have read a message.
type Readers struct {
	ReadCount      int      `json:"read_count" example:"1" doc:"How many have read it, but for its sender and those who joined later."`
	DeliveredCount int      `json:"delivered_count" example:"1" doc:"To how many it has come."`
	Readers        []Reader `json:"readers" nullable:"false" doc:"Those who have read it, or a part of them; by their ids."`
}

// Reader is somebody who has read a message.
type Reader struct {
	UserID   int64  `json:"user_id" example:"2"`
	Username string `json:"username" example:"bob"`
}

type readersOutput struct {
	Body Readers
}

func (a *API) registerReading() {
	read := a.signedIn(a.operation(http.MethodPost, "/v1/chats/{chat_id}/read", "read-chat",
		"Say what one has read of a chat", 400, 403, 404, 413))
	read.Tags = []string{"chats"}
	read.Description = "What one has read further stays read. To say it again changes nothing."
	register(a, read, a.read)

	delivered := a.signedIn(a.operation(http.MethodPost, "/v1/chats/{chat_id}/delivered", "deliver-chat",
		"Say what of a chat has come to a device", 400, 403, 404, 413))
	delivered.Tags = []string{"chats"}
	register(a, delivered, a.delivered)

	readers := a.signedIn(a.operation(http.MethodGet, "/v1/messages/{message_id}/readers", "list-readers",
		"See who has read a message", 400, 404))
	readers.Tags = []string{"messages"}
	readers.Description = "limit and offset are for the readers; what is counted is all of them."
	register(a, readers, a.listReaders)
}

func (a *API) read(ctx context.Context, in *readInput) (*watermarksOutput, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	var seq *int64
	if in.Body != nil {
		seq = in.Body.Seq
	}
	return newWatermarks(a.chat.Read(ctx, callerOf(ctx), id, seq))
}

func (a *API) delivered(ctx context.Context, in *deliveredInput) (*watermarksOutput, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	return newWatermarks(a.chat.Delivered(ctx, callerOf(ctx), id, in.Body.Seq))
}

func newWatermarks(w chat.Watermarks, err error) (*watermarksOutput, error) {
	if err != nil {
		return nil, err
	}
	return &watermarksOutput{Body: Watermarks{
		ReadSeq: w.ReadSeq, DeliveredSeq: w.DeliveredSeq, UnreadCount: w.Unread, MarkedUnread: w.MarkedUnread,
	}}, nil
}

func (a *API) listReaders(ctx context.Context, in *readersInput) (*readersOutput, error) {
	id, err := pathID(in.MessageID)
	if err != nil {
		return nil, err
	}
	readers, err := a.chat.Readers(ctx, callerOf(ctx), id, in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &readersOutput{Body: Readers{
		ReadCount: readers.Read, DeliveredCount: readers.Delivered, Readers: make([]Reader, 0, len(readers.List)),
	}}
	for _, r := range readers.List {
		out.Body.Readers = append(out.Body.Readers, Reader{UserID: r.UserID, Username: r.Username})
	}
	return out, nil
}
