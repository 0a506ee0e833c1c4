package caddymsg_test

type inviteAnswer struct {
	ID        int64
	Token     string
	Creator   string
	CreatedAt string `json:"created_at"`
	ExpiresAt string `json:"expires_at"`
	MaxUses   int    `json:"max_uses"`
	Uses      int
}
