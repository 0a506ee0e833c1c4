package simplechats

import (
	"fmt"
	"iter"
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

type user struct {
	ID         int64  `json:"user_id"`
	Username   string `json:"username"`
	Name       string `json:"name"`
	DateJoined string `json:"date_joined"`
}

func newUser(u chat.User) user {
	name := u.DisplayName
	if name == "" { // of who has registered by another API
		name = u.Username
	}
	return user{u.ID, u.Username, name, u.CreatedAt.UTC().Format(chat.SecondFormat)}
}

// one is what is asked for, and who has asked.
type one[T any] struct {
	UserID int64 `json:"user_id"`
	Data   T     `json:"data"`
}

// many answers with a list, and who has asked for it.
func many[T, Shown any](c *dialect.Call, more string, items iter.Seq2[T, error], show func(T) Shown) error {
	return dialect.Stream(c, fmt.Sprintf(`{"user_id":%d,%s"data":[`, c.Caller.UserID, more), items, show, "]}\n")
}

func (a *api) users(c *dialect.Call) error {
	return many(c, "", a.Chat.AllUsers(c.Context(), c.Caller, filter(c, map[string]chat.Field{
		"user_id":     {Column: chat.UserID, Type: chat.NumberField},
		"username":    {Column: chat.UserUsername},
		"name":        {Column: chat.UserShownName},
		"date_joined": {Column: chat.UserCreatedAt, Type: chat.SecondField},
	})), newUser)
}

func (a *api) user(c *dialect.Call, id int64) error {
	found, err := a.Chat.UserByID(c.Context(), id)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, one[user]{c.Caller.UserID, newUser(found)})
}
