package store

import (
	"database/sql"
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
	ID      int64 // its place in the log
	Type    string
	ChatID  int64
	ActorID int64    // who did it
	UserID  int64    // whom it is about, of participant.*
	Message *Message // of message.*
	At      time.Time
}

// maxEvents is how many events an Update may append.
const maxEvents = 1 << 16

// AppendEvent writes an event to the log and sets its ID. It is handed on to
// [Options].OnCommit after the commit.
func (tx *Tx) AppendEvent(e Event) (err error) {
	if len(tx.events) == maxEvents {
		return fmt.Errorf("append event: an Update has no more than %d", maxEvents)
	}
	var messageID, userID any
	if e.Message != nil {
		messageID = e.Message.ID
	}
	if e.UserID != 0 {
		userID = e.UserID
	}
	e.ID, err = tx.insert(`
		INSERT INTO events (id, type, chat_id, actor_id, message_id, user_id, created_at)
		VALUES (`+tx.dialect.eventID+`, ?2, ?3, ?4, ?5, ?6, ?7)`,
		len(tx.events), e.Type, e.ChatID, e.ActorID, messageID, userID, micros(e.At))
	if err != nil {
		return fmt.Errorf("append event: %w", err)
	}
	tx.events = append(tx.events, e)
	return nil
}

// ListEvents lists up to limit events of the log behind an id, oldest first.
// Whoever goes on behind the last one that it listed misses none: an event is
// not listed as long as one that would stand before it may still be committed.
func (tx *Tx) ListEvents(after int64, limit int) ([]Event, error) {
	found, err := list(tx, min(limit, 64), scanEvent, `
		SELECT e.id, e.type, e.chat_id, e.actor_id, coalesce(e.user_id, 0), e.created_at,
			m.id, m.chat_id, m.seq, m.sender_id, m.text, coalesce(m.client_id, ''), m.created_at
		FROM events e
		LEFT JOIN messages m ON m.id = e.message_id
		WHERE e.id > ?1 AND e.id < `+tx.dialect.eventHorizon+`
		ORDER BY e.id LIMIT ?2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return found, nil
}

func scanEvent(row scanner, e *Event) error {
	var at int64
	var message struct {
		id, chatID, seq, senderID, createdAt sql.NullInt64
		text, clientID                       sql.NullString
	}
	m := &message
	err := row.Scan(&e.ID, &e.Type, &e.ChatID, &e.ActorID, &e.UserID, &at,
		&m.id, &m.chatID, &m.seq, &m.senderID, &m.text, &m.clientID, &m.createdAt)
	e.At = fromMicros(at)
	if m.id.Valid {
		e.Message = &Message{
			ID: m.id.Int64, ChatID: m.chatID.Int64, Seq: m.seq.Int64, SenderID: m.senderID.Int64,
			Text: m.text.String, ClientID: m.clientID.String, CreatedAt: fromMicros(m.createdAt.Int64),
		}
	}
	return err
}
