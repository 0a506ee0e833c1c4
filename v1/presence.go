package v1

import (
	"context"
	"net/http"

	"github.com/caddymsg/messaging/live"
)

// PresenceState is whether somebody is there.
type PresenceState struct {
	UserID     int64      `json:"user_id" example:"2"`
	Online     bool       `json:"online" example:"true"`
	LastSeenAt *timestamp `json:"last_seen_at,omitempty" doc:"When they were there last, if they are not, and if it is known."`
}

// Presences are those of several users.
type Presences struct {
	Presence []PresenceState `json:"presence" nullable:"false" doc:"Of those whom one may know of, by their ids."`
}

func newPresence(s live.State) PresenceState {
	told := PresenceState{UserID: s.UserID, Online: s.Online}
	if !s.LastSeenAt.IsZero() {
		told.LastSeenAt = new(timestamp(s.LastSeenAt))
	}
	return told
}

func newPresences(states []live.State) Presences {
	told := Presences{Presence: make([]PresenceState, len(states))}
	for i, s := range states {
		told.Presence[i] = newPresence(s)
	}
	return told
}

type presencesInput struct {
	UserIDs []int64 `query:"user_ids" required:"true" minItems:"1" maxItems:"200" example:"[1,2]" doc:"The ids of up to 200 users, with commas."`
}

type presencesOutput struct {
	Body Presences
}

func (a *API) registerPresence() {
	presence := a.signedIn(a.operation(http.MethodGet, "/v1/presence", "list-presence",
		"See who is there", 400))
	presence.Tags = []string{"live"}
	presence.Description = "One may know of those with whom one is in a chat, unless one of the two has blocked the other, or they hide it. " +
		"Others are left out. Who was connected five seconds ago is still there."
	register(a, presence, a.presences)

	typing := a.signedIn(a.operation(http.MethodPost, "/v1/chats/{chat_id}/typing", "type-in-chat",
		"Tell the others in a chat that one is writing", 403, 404))
	typing.Tags = []string{"live"}
	typing.Description = "Those who are connected hear of it, at most once in three seconds: more is answered in the same way, and not told."
	register(a, typing, a.typeInChat)
}

func (a *API) presences(ctx context.Context, in *presencesInput) (*presencesOutput, error) {
	states, err := a.hub.Presence(ctx, callerOf(ctx), in.UserIDs)
	if err != nil {
		return nil, err
	}
	return &presencesOutput{Body: newPresences(states)}, nil
}

func (a *API) typeInChat(ctx context.Context, in *chatInput) (*empty, error) {
	id, err := pathID(in.ChatID)
	if err != nil {
		return nil, err
	}
	return &empty{}, a.hub.Type(ctx, callerOf(ctx), id)
}

type typingData struct {
	ChatID int64 `json:"chat_id"`
}

func typingCommand(ctx context.Context, c call, in *typingData) (any, error) {
	return nothing, c.hub.Type(ctx, callerOf(ctx), in.ChatID)
}

type watchData struct {
	UserIDs []int64 `json:"user_ids" maxItems:"200" nullable:"false"`
}

func watchCommand(ctx context.Context, c call, in *watchData) (any, error) {
	// How they are now is told by events, as what changes is: an answer could come
	// behind something newer.
	return nothing, c.connection.Watch(ctx, in.UserIDs)
}

func unwatchCommand(ctx context.Context, c call, _ *struct{}) (any, error) {
	return nothing, c.connection.Watch(ctx, nil)
}

// encodeUnlogged writes what is not in the log. It has no id: where a client is does
// not change with it.
func encodeUnlogged(e *live.Event) []byte {
	told := struct {
		Type   string    `json:"type"`
		ChatID int64     `json:"chat_id,omitempty"`
		At     timestamp `json:"at"`
		Data   any       `json:"data"`
	}{e.Type, e.ChatID, timestamp(e.At), UserTold{UserID: e.UserID}}
	if e.State != nil {
		told.Data = newPresence(*e.State)
	}
	return encodeFrame(told)
}
