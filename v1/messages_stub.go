package v1

import "github.com/caddymsg/messaging/store"

// What is here belongs to other files, and is here until they are.

func messageID(s string) (int64, error) { return chatID(s) }

type ReactionCount struct {
	Emoji string `json:"emoji" example:"👍"`
	Count int    `json:"count" example:"1"`
	Me    bool   `json:"me" example:"true" doc:"One is among them."`
}

func newReactionCount(c store.ReactionCount) ReactionCount { return ReactionCount(c) }

type Poll struct {
	Closed bool `json:"closed"`
}

func newPoll(p *store.Poll) *Poll {
	if p == nil {
		return nil
	}
	return &Poll{Closed: p.Closed}
}
