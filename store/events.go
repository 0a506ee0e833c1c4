package store

import (
	"fmt"
	"time"
)

// The types of event.
const (
	MessageCreated     = "message.created"
	ChatCreated        = "chat.created"
	ParticipantAdded   = "participant.added"
	ParticipantRemoved = "participant.removed"
)

// Event is something that clients must hear of, in the log of all such things.
type Event struct {
	ID      int64 // its place in the log: later commits have higher ones
	Type    string
	ChatID  int64
	ActorID int64    // who did it
	UserID  int64    // whom it is about, of participant.*
	Message *Message // of message.*
	At      time.Time
}

// AppendEvent writes an event to the log and sets its ID. It is handed on to
// [Options].OnCommit after the commit.
func (tx *Tx) AppendEvent(e Event) (err error) {
	var messageID, userID any
	if e.Message != nil {
		messageID = e.Message.ID
	}
	if e.UserID != 0 {
		userID = e.UserID
	}
	e.ID, err = tx.insert(`
		INSERT INTO events (type, chat_id, actor_id, message_id, user_id, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		e.Type, e.ChatID, e.ActorID, messageID, userID, micros(e.At))
	if err != nil {
		return fmt.Errorf("append event: %w", err)
	}
	tx.events = append(tx.events, e)
	return nil
}
