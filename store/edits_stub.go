package store

import "time"

// What is here belongs to other files, and is here until they are.

type ReactionCount struct {
	Emoji string
	Count int
	Me    bool
}

type Poll struct {
	Options             []PollOption
	Multiple, Anonymous bool
	ClosesAt            time.Time
	Closed              bool
	Voters              int
}

type PollOption struct {
	Text  string
	Votes int
	Me    bool
}
