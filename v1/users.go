package v1

import "github.com/caddymsg/messaging/chat"

// User is an account as others see it.
type User struct {
	ID        int64     `json:"id" example:"1"`
	Username  string    `json:"username" example:"alice"`
	CreatedAt timestamp `json:"created_at"`
}

func newUser(u chat.User) User {
	return User{ID: u.ID, Username: u.Username, CreatedAt: timestamp(u.CreatedAt)}
}
