package simplechats

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

type twosome struct {
	ChatID int64 `json:"chat_id"`
	User1  int64 `json:"user1_id"` // the lower one
	User2  int64 `json:"user2_id"`
}

func newTwosome(c chat.Chat) twosome {
	low, high := c.People()
	return twosome{c.ID, low, high}
}

func (a *api) chats(c *dialect.Call) error {
	return many(c, "", a.Chat.DirectChats(c.Context(), c.Caller), newTwosome)
}

func (a *api) createChat(c *dialect.Call) error {
	given, err := parameters(c)
	if err != nil {
		return err
	}
	text, _ := given.Text("companion_id")
	companion, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // beyond what there is, nobody is
		return faults{"companion_id": "This is required: the id of the user to have a chat with."}.refusal()
	}
	made, err := a.Chat.CreateDirectChat(c.Context(), c.Caller, companion)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, struct {
		UserID      int64  `json:"user_id"`
		CompanionID int64  `json:"companion_id"`
		ChatID      int64  `json:"chat_id"`
		Message     string `json:"message"`
	}{c.Caller.UserID, companion, made.ID, "Chat was successfully created"})
}

func (a *api) chat(c *dialect.Call, id int64) error {
	found, err := a.Chat.DirectChat(c.Context(), c.Caller, id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, one[twosome]{c.Caller.UserID, newTwosome(found)})
}

func (a *api) deleteChat(c *dialect.Call, id int64) error {
	if _, err := a.Chat.DirectChat(c.Context(), c.Caller, id); err != nil {
		return err
	}
	if err := a.Chat.DeleteChat(c.Context(), c.Caller, id); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		UserID  int64  `json:"user_id"`
		ChatID  int64  `json:"chat_id"`
		Message string `json:"message"`
	}{c.Caller.UserID, id, "Chat was successfully deleted"})
}
