package store

type Audience int

const (
	ToChat Audience = iota
	ToUser
	ToBoth
)

func AudienceOf(typ string) Audience { return ToChat }

const SessionEnded = "session.ended"
