package simplechats

import (
	"fmt"
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// maxTextsBytes bounds a body with many messages.
const maxTextsBytes = 1 << 20

type message struct {
	ID         int64  `json:"message_id"`
	WrittenAt  string `json:"datetime_writing"`
	Text       string `json:"text"`
	SenderID   int64  `json:"sender_id"`
	ReceiverID int64  `json:"receiver_id"`
}

func newMessage(m chat.Message, in chat.Chat) message {
	return message{m.ID, m.CreatedAt.UTC().Format(chat.SecondFormat), m.Text, m.SenderID, in.OtherThan(m.SenderID)}
}

// about is what has been done, to a message or to several.
type about struct {
	UserID    int64    `json:"user_id"`
	ChatID    int64    `json:"chat_id"`
	MessageID int64    `json:"message_id,omitempty"`
	Text      string   `json:"text,omitempty"`
	Message   string   `json:"message,omitempty"`
	Data      *message `json:"data,omitempty"`
}

func (a *api) messages(c *dialect.Call, chatID int64) error {
	in, found, err := a.Chat.DirectMessagesIn(c.Context(), c.Caller, chatID, filter(c, map[string]chat.Field{
		"message_id":       {Column: chat.MessageID, Type: chat.NumberField},
		"datetime_writing": {Column: chat.MessageCreatedAt, Type: chat.SecondField},
		"text":             {Column: chat.MessageText},
		"sender_id":        {Column: chat.MessageSenderID, Type: chat.NumberField},
		"receiver_id":      {Column: chat.MessageReceiverID, Type: chat.NumberField},
		"chat_id":          {Column: chat.MessageChatID, Type: chat.NumberField},
	}))
	if err != nil {
		return err
	}
	return many(c, fmt.Sprintf(`"chat_id":%d,`, chatID), found, func(m chat.Message) message { return newMessage(m, in) })
}

func (a *api) send(c *dialect.Call, chatID int64) error {
	if _, err := a.Chat.DirectChat(c.Context(), c.Caller, chatID); err != nil {
		return err
	}
	given, err := parameters(c)
	if err != nil {
		return err
	}
	list, ok := given["texts"].([]any)
	if value, there := given["texts"]; there && !ok {
		list = []any{value} // one text will do
	}
	if len(list) == 0 {
		return faults{"texts": missing("texts")}.refusal()
	}
	texts := make([]string, len(list))
	for i, value := range list {
		if texts[i], ok = dialect.TextOf(value); !ok {
			return faults{"texts": "This is a list of texts."}.refusal()
		}
	}
	draft := chat.Draft{ChatID: chatID, ClientID: c.Header.Get("Idempotency-Key")}
	stored, err := a.Chat.SendAll(c.Context(), c.Caller, draft, texts)
	if err == nil && (len(stored) != len(texts) || stored[0].ChatID != chatID) {
		err = dialect.ErrKeyUsed()
	}
	if err != nil {
		return err
	}
	sent := about{UserID: c.Caller.UserID, ChatID: chatID, Message: "Your messages were successfully sent"}
	if len(texts) == 1 {
		sent.Message = "Your message was successfully sent"
	}
	return c.JSON(http.StatusCreated, sent)
}

// messageIn finds the message that a path names, and its chat.
func (a *api) messageIn(c *dialect.Call) (in chat.Chat, m chat.Message, err error) {
	chatID, err := c.PathID("chat_id")
	if err != nil {
		return in, m, err
	}
	id, err := c.PathID("message_id")
	if err != nil {
		return in, m, err
	}
	return a.Chat.DirectMessage(c.Context(), c.Caller, chatID, id)
}

func (a *api) message(c *dialect.Call) error {
	in, m, err := a.messageIn(c)
	if err != nil {
		return err
	}
	shown := newMessage(m, in)
	return c.JSON(http.StatusOK, about{UserID: c.Caller.UserID, ChatID: in.ID, Data: &shown})
}

func (a *api) deleteMessage(c *dialect.Call) error {
	in, m, err := a.messageIn(c)
	if err != nil {
		return err
	}
	if err := a.Chat.DeleteMessage(c.Context(), c.Caller, m.ID); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, about{
		UserID: c.Caller.UserID, ChatID: in.ID, MessageID: m.ID, Message: fmt.Sprintf("Message %d was successfully deleted", m.ID),
	})
}

func (a *api) editMessage(c *dialect.Call) error {
	given, err := texts(c, "text")
	if err != nil {
		return err
	}
	in, m, err := a.messageIn(c)
	if err != nil {
		return err
	}
	if m, err = a.Chat.EditMessage(c.Context(), c.Caller, m.ID, given["text"]); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, about{
		UserID: c.Caller.UserID, ChatID: in.ID, MessageID: m.ID, Text: m.Text, Message: fmt.Sprintf("Message %d was successfully updated", m.ID),
	})
}
