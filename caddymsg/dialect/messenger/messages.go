package messenger

import (
	"bytes"
	"encoding/json"
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

const (
	standardLimit = 100
	// messagesAtOnce is how many messages of a history are in memory.
	messagesAtOnce = 128
)

func (a *api) history(c *dialect.Call) error {
	in := &input{query: c.URL.Query()}
	chatID := in.id(chatKind, c.PathValue("chat_id"), "path", "chat_id")
	left, offset := in.queryNumber("limit", standardLimit), in.queryNumber("offset", 0)
	if err := in.err(); err != nil {
		return err
	}
	if left < 0 || offset < 0 {
		return &dialect.Refusal{Status: http.StatusBadRequest, Code: "negative", Message: "limit and offset are not below 0."}
	}
	caller, err := a.in(c, chatID)
	if isNotFound(err) {
		return c.JSON(http.StatusOK, []message{})
	}
	if err != nil {
		return err
	}
	q := chat.MessageQuery{ChatID: chatID, Present: true}
	q.Filter.Limited, q.Filter.Offset = true, int(offset)
	return writeList(c, func() (shown []message, more bool, err error) {
		q.Filter.Limit = int(min(left, messagesAtOnce))
		found, err := a.Chat.FindMessages(c.Context(), caller, q)
		for _, m := range found {
			shown, q.After = append(shown, newMessage(m)), m.ID
		}
		q.Filter.Offset, left = 0, left-int64(len(found))
		return shown, left > 0 && len(found) == q.Filter.Limit, err
	})
}

// writeList answers with a list that is read in parts, of which one is in memory.
func writeList[T any](c *dialect.Call, next func() (part []T, more bool, err error)) error {
	before := "["
	for {
		part, more, err := next()
		if err != nil && before == "[" {
			return err
		}
		if err != nil {
			panic(http.ErrAbortHandler) // else it would be taken for all that there is
		}
		var b bytes.Buffer
		for _, element := range part {
			b.WriteString(before)
			before = ","
			if err := appendJSON(&b, element); err != nil {
				return err
			}
		}
		if !more {
			b.WriteString(map[string]string{"[": "[]", ",": "]"}[before])
		}
		c.W.Header().Set("Content-Type", "application/json")
		if _, err := c.W.Write(b.Bytes()); err != nil || !more {
			return nil //nolint:nilerr // a client that has gone is none of our failures
		}
	}
}

// appendJSON writes a value without a line end.
func appendJSON(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	b.Truncate(max(0, b.Len()-1))
	return err
}
