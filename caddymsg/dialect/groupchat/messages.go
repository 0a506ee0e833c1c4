package groupchat

import (
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// message is a message as this API shows one.
type message struct {
	ID          int64   `json:"id"`
	Text        string  `json:"text"`
	UserID      int64   `json:"user_id"`
	GroupID     int64   `json:"group_id"`
	CreatedDate string  `json:"created_date"` // as dates are in HTTP
	Likes       []int64 `json:"likes"`
}

func newMessage(m chat.LikedMessage) message {
	shown := message{
		ID: m.ID, Text: m.Text, UserID: m.SenderID, GroupID: m.ChatID,
		CreatedDate: m.CreatedAt.UTC().Format(http.TimeFormat), Likes: m.Likes,
	}
	if shown.Likes == nil {
		shown.Likes = []int64{}
	}
	return shown
}

func (a *api) sendMessage(c *dialect.Call, id int64) error {
	said, err := readText(c, "text")
	if err != nil {
		return err
	}
	// Send would say the same of all that is no group of the caller's, and take a chat
	// between two people.
	group, err := a.Chat.MemberGroup(c.Context(), c.Caller, id)
	if err != nil {
		return err
	}
	sent, err := a.Chat.Send(c.Context(), c.Caller, chat.Draft{
		ChatID: id, Text: said, ClientID: c.Header.Get("Idempotency-Key"),
	})
	if err == nil && sent.ChatID != id {
		err = dialect.ErrKeyUsed() // it was for another group, and is there
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, succeeded{Success: "Your message is in the group " + group.Title + ".", ID: sent.ID})
}

func (a *api) listMessages(c *dialect.Call, id int64) error {
	found := a.Chat.GroupMessages(c.Context(), c.Caller, id)
	return dialect.Stream(c, `{"messages":[`, found, newMessage, "]}\n")
}

func (a *api) like(c *dialect.Call) error {
	groupID, messageID, err := messageIDs(c)
	if err != nil {
		return err
	}
	if err := a.Chat.Like(c.Context(), c.Caller, groupID, messageID); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, succeeded{Success: "You like this message."})
}

func (a *api) unlike(c *dialect.Call) error {
	groupID, messageID, err := messageIDs(c)
	if err != nil {
		return err
	}
	if err := a.Chat.Unlike(c.Context(), c.Caller, groupID, messageID); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, succeeded{Success: "You do not like this message any more."})
}

func messageIDs(c *dialect.Call) (groupID, messageID int64, err error) {
	if groupID, err = c.PathID("group_id"); err == nil {
		messageID, err = c.PathID("message_id")
	}
	return groupID, messageID, err
}
