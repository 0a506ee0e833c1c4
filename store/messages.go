package store

import (
	"fmt"
	"slices"
	"time"
)

// Message is what somebody said in a chat.
type Message struct {
	ID             int64
	ChatID         int64
	ChatKind       string // read only, of the chat
	Seq            int64  // its number in the chat: 1, 2, 3…
	SenderID       int64
	SenderUsername string // read only, of the user
	Text           string
	ClientID       string // the sender's idempotency key; may be empty
	CreatedAt      time.Time
}

const messageColumns = `
	m.id, m.chat_id, c.kind, m.seq, m.sender_id, u.username, m.text, coalesce(m.client_id, ''), m.created_at`

const selectMessages = `
	SELECT ` + messageColumns + `
	FROM messages m
	JOIN chats c ON c.id = m.chat_id
	JOIN users u ON u.id = m.sender_id
`

func scanMessage(row scanner, m *Message) error {
	var created int64
	err := row.Scan(&m.ID, &m.ChatID, &m.ChatKind, &m.Seq, &m.SenderID, &m.SenderUsername,
		&m.Text, &m.ClientID, &created)
	m.CreatedAt = fromMicros(created)
	return err
}

// CreateMessage stores a message under the Seq it bears and sets its ID;
// ErrConflict if the sender has used its ClientID before.
func (tx *Tx) CreateMessage(m *Message) (err error) {
	var clientID any
	if m.ClientID != "" {
		clientID = m.ClientID
	}
	m.ID, err = tx.insert(`
		INSERT INTO messages (chat_id, seq, sender_id, text, client_id, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		m.ChatID, m.Seq, m.SenderID, m.Text, clientID, micros(m.CreatedAt))
	if err != nil {
		return fmt.Errorf("create message: %w", err)
	}
	return nil
}

// FindMessageByClientID finds what a sender sent under an idempotency key, or
// ErrNotFound.
func (tx *Tx) FindMessageByClientID(senderID int64, clientID string) (Message, error) {
	found, err := first(tx, scanMessage, selectMessages+`
		WHERE m.sender_id = ?1 AND m.client_id = ?2`, senderID, clientID)
	if err != nil {
		return Message{}, fmt.Errorf("find message by client id: %w", err)
	}
	return found, nil
}

// ListChatMessages lists up to limit messages of a chat in a span, oldest
// first.
func (tx *Tx) ListChatMessages(chatID int64, in Span, limit int) ([]Message, error) {
	found, err := tx.listMessages(selectMessages+`
		WHERE m.chat_id = ?1 AND m.id > ?2 AND m.id < ?3
		ORDER BY m.id`+in.direction()+` LIMIT ?4`, chatID, in, limit)
	if err != nil {
		return nil, fmt.Errorf("list messages of chat: %w", err)
	}
	return found, nil
}

// ListMessagesOf lists up to limit messages, of all chats that the user takes
// part in, in a span, oldest first. It costs a look into each of these chats
// and into each of their messages in the span, but into nobody else's.
func (tx *Tx) ListMessagesOf(userID int64, in Span, limit int) ([]Message, error) {
	// Left to themselves, both engines would walk through everybody's messages
	// by id. CROSS JOIN has SQLite keep this order of tables; that the order of
	// rows is none that an index has keeps PostgreSQL from it.
	found, err := tx.listMessages(`
		SELECT `+messageColumns+`
		FROM participants p
		CROSS JOIN messages m
		JOIN chats c ON c.id = m.chat_id
		JOIN users u ON u.id = m.sender_id
		WHERE p.user_id = ?1 AND m.chat_id = p.chat_id AND m.id > ?2 AND m.id < ?3
		ORDER BY m.id + 0`+in.direction()+` LIMIT ?4`, userID, in, limit)
	if err != nil {
		return nil, fmt.Errorf("list messages of user: %w", err)
	}
	return found, nil
}

func (tx *Tx) listMessages(query string, of int64, in Span, limit int) ([]Message, error) {
	found, err := list(tx, min(limit, 64), scanMessage, query, of, in.After, in.Before, limit)
	if in.FromEnd {
		slices.Reverse(found)
	}
	return found, err
}

// LastMessageID is the highest message id that is in use, or 0.
func (tx *Tx) LastMessageID() (int64, error) {
	var id int64
	if err := tx.one(`SELECT coalesce(max(id), 0) FROM messages`, nil, &id); err != nil {
		return 0, fmt.Errorf("find last message: %w", err)
	}
	return id, nil
}
