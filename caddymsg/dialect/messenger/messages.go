package messenger

import (
	"net/http"
	"time"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// message is one as it is shown.
type message struct {
	ID        string `json:"id"`
	ChatID    string `json:"chatId"`
	SenderID  string `json:"senderId"`
	Text      string `json:"text"`
	Read      bool   `json:"read"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
}

// Times are shown in whole seconds, or exactly.
const (
	wholeSeconds = "2006-01-02T15:04:05Z"
	exactTime    = "2006-01-02T15:04:05.000000Z"
)

func newMessage(m chat.Message) message {
	updated := m.CreatedAt
	if !m.EditedAt.IsZero() {
		updated = m.EditedAt
	}
	show := func(t time.Time, format string) string { return t.UTC().Format(format) }
	return message{
		ID: uuid(messageKind, m.ID), ChatID: uuid(chatKind, m.ChatID), SenderID: uuid(userKind, m.SenderID),
		Text: m.Text, Read: m.ReadCount != nil && *m.ReadCount > 0,
		CreatedAt: show(m.CreatedAt, wholeSeconds), UpdatedAt: show(updated, exactTime),
	}
}

// standardLimit is how much of a history there is if one does not say.
const standardLimit = 100

func (a *api) history(c *dialect.Call) error {
	in := &input{query: c.URL.Query()}
	chatID := in.id(chatKind, c.PathValue("chat_id"), "path", "chat_id")
	limit, offset := in.queryNumber("limit", standardLimit), in.queryNumber("offset", 0)
	if err := in.err(); err != nil {
		return err
	}
	if limit < 0 || offset < 0 {
		return &dialect.Refusal{Status: http.StatusBadRequest, Code: "negative", Message: "limit and offset are not below 0."}
	}
	caller, err := a.in(c, chatID)
	if isNotFound(err) {
		return c.JSON(http.StatusOK, []message{})
	}
	if err != nil {
		return err
	}
	found, err := a.Chat.MessagesIn(c.Context(), caller, chatID, int(limit), int(offset))
	if err != nil {
		return err
	}
	return dialect.Stream(c, "[", found, newMessage, "]\n")
}
