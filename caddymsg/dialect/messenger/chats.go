package messenger

import (
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// The types of chat.
const (
	group    = "group"
	personal = "personal"
)

// roll is a chat as it is shown.
type roll struct {
	ID             string   `json:"id"`
	Name           *string  `json:"name"`
	Type           string   `json:"type"`
	ParticipantIDs []string `json:"participantIds"`
}

func newRoll(r chat.Roll) roll {
	shown := roll{ID: uuid(chatKind, r.ID), Type: personal, ParticipantIDs: make([]string, len(r.UserIDs))}
	if r.Kind == chat.GroupChat {
		shown.Type = group
	}
	if r.Title != "" {
		shown.Name = &r.Title
	}
	for i, id := range r.UserIDs {
		shown.ParticipantIDs[i] = uuid(userKind, id)
	}
	return shown
}

func (a *api) createChat(c *dialect.Call) error {
	in, err := newInput(c)
	if err != nil {
		return err
	}
	wanted := chat.NewRoll{Title: in.optionalText("name")}
	wanted.Direct = in.oneOf("type", group, personal) == personal
	wanted.UserIDs = in.ids(userKind, "participantIds", "participant_ids")
	if err := in.err(); err != nil {
		return err
	}
	var made chat.Roll
	caller := c.Caller
	switch {
	case !a.TrustUserIDs:
		made, err = a.Chat.CreateRoll(c.Context(), caller, wanted)
	case len(wanted.UserIDs) == 0:
		if caller, err = a.Auth.TrustNobody(c.Context()); err == nil {
			made, err = a.Chat.CreateEmptyGroup(c.Context(), caller, wanted.Title)
		}
	default:
		if caller, err = a.as(c, wanted.UserIDs[0]); err == nil {
			made, err = a.Chat.CreateRoll(c.Context(), caller, wanted)
		}
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, newRoll(made))
}

func (a *api) chats(c *dialect.Call) error {
	in := &input{query: c.URL.Query()}
	userID := in.queryID(userKind, "user_id")
	if err := in.err(); err != nil {
		return err
	}
	caller, err := a.as(c, userID)
	if isNotFound(err) {
		return c.JSON(http.StatusOK, []roll{})
	}
	if err != nil {
		return err
	}
	return dialect.Stream(c, "[", a.Chat.Rolls(c.Context(), caller), newRoll, "]\n")
}

func (a *api) addUser(c *dialect.Call) error {
	in := &input{}
	chatID := in.id(chatKind, c.PathValue("chat_id"), "path", "chat_id")
	userID := in.id(userKind, c.PathValue("user_id"), "path", "user_id")
	if err := in.err(); err != nil {
		return err
	}
	caller, err := a.in(c, chatID)
	var after chat.Roll
	switch {
	case err == nil:
		after, err = a.Chat.AddUser(c.Context(), caller, chatID, userID)
	case isNotFound(err): // there may be nobody in it yet
		if caller, err = a.as(c, userID); err == nil {
			after, err = a.Chat.JoinEmptyGroup(c.Context(), caller, chatID)
		}
		if refusal := chat.AsError(err); refusal != nil && refusal.Kind == chat.Forbidden && refusal.Code == "not_a_participant" {
			err = &chat.Error{Kind: chat.NotFound, Code: "chat_not_found", Message: "There is no such chat."}
		}
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, newRoll(after))
}

// isNotFound tells whether a rule did not find what it was asked about.
func isNotFound(err error) bool {
	refusal := chat.AsError(err)
	return refusal != nil && refusal.Kind == chat.NotFound
}
