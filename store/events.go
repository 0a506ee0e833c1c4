package store

import (
	"database/sql"
	"fmt"
	"time"
)

// The types of event.
const (
	MessageCreated      = "message.created"
	MessageEdited       = "message.edited"
	MessageDeleted      = "message.deleted"
	MessageHidden       = "message.hidden" // for UserID alone
	ReactionAdded       = "reaction.added"
	ReactionRemoved     = "reaction.removed"
	PollVoted           = "poll.voted"
	PollClosed          = "poll.closed"
	ChatCreated         = "chat.created"
	ChatUpdated         = "chat.updated"
	ChatDeleted         = "chat.deleted"   // one to each who took part in it
	ChatSettingsUpdated = "chat.settings"  // for UserID alone
	ChatRead            = "chat.read"      // by UserID
	ChatDelivered       = "chat.delivered" // to UserID
	ParticipantAdded    = "participant.added"
	ParticipantUpdated  = "participant.updated"
	ParticipantRemoved  = "participant.removed"
)

// Event is something that clients must hear of, in the log of all such things.
type Event struct {
	ID      int64 // its place in the log
	Type    string
	ChatID  int64
	ActorID int64    // who did it
	UserID  int64    // whom it is about, if it is about somebody
	Message *Message // of message.*, reaction.* and poll.*
	Data    string   // JSON: what else there is to tell; may be empty
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
	var messageID any
	if e.Message != nil {
		messageID = e.Message.ID
	}
	e.ID, err = tx.insert(`
		INSERT INTO events (id, type, chat_id, actor_id, message_id, user_id, created_at, data)
		VALUES (`+tx.dialect.eventID+`, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
		len(tx.events), e.Type, e.ChatID, e.ActorID, messageID, orNull(e.UserID), micros(e.At), orNull(e.Data))
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
		SELECT e.id, e.type, e.chat_id, e.actor_id, coalesce(e.user_id, 0), e.created_at, coalesce(e.data, ''),
			m.id, m.seq, m.sender_id, m.text, m.client_id, m.created_at, coalesce(`+messageDetails+`, '')
		FROM events e
		LEFT JOIN messages m ON m.id = e.message_id
		WHERE e.id > ?1 AND e.id < `+tx.dialect.eventHorizon+`
		ORDER BY e.id LIMIT ?2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return found, nil
}

// scanEvent reads a message as it is now: its name of the sender and its kind of
// chat are left out.
func scanEvent(row scanner, e *Event) error {
	var at int64
	var m struct {
		id, seq, senderID, createdAt sql.NullInt64
		text, clientID               sql.NullString
		details                      string
	}
	err := row.Scan(&e.ID, &e.Type, &e.ChatID, &e.ActorID, &e.UserID, &at, &e.Data,
		&m.id, &m.seq, &m.senderID, &m.text, &m.clientID, &m.createdAt, &m.details)
	e.At = fromMicros(at)
	if err != nil || !m.id.Valid {
		return err
	}
	e.Message = &Message{
		ID: m.id.Int64, ChatID: e.ChatID, Seq: m.seq.Int64, SenderID: m.senderID.Int64,
		Text: m.text.String, ClientID: m.clientID.String, CreatedAt: fromMicros(m.createdAt.Int64),
	}
	return e.Message.setDetails(m.details)
}
