package store

import (
	"encoding/json"
	"errors"
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
	Text           string // empty, if it has been deleted
	ClientID       string // the sender's idempotency key; may be empty
	CreatedAt      time.Time
	EditedAt       time.Time // zero, if it was not
	DeletedAt      time.Time // zero, if it was not
	ReplyTo        int64     // a message of the same chat, or 0
	ThreadID       int64     // the message that began the thread, or 0
	ReplyCount     int64     // read only: how many messages are in the thread that it began
	Mentions       []Mention
	HasReactions   bool // read only: it has, or had
	HasPoll        bool
	// ReadCount and ReadBy are set by the rules, where they are asked for: how
	// many of the others have read it, and in a small chat their usernames.
	ReadCount *int
	ReadBy    []string
	// And so are these, of messages that have them.
	Reactions []ReactionCount
	Poll      *Poll

	flags int64 // to be stored
}

// Mention is where a message names somebody: so many characters (code points)
// from Start, the first being 0.
type Mention struct {
	Start, Length int
	UserID        int64
}

// Most messages have none of what a flag stands for. So it is looked at only if
// there is a flag.
const (
	flagEdited = 1 << iota
	flagDeleted
	flagReply // in a thread
	flagReplied
	flagMentions
	flagReactions
	flagPoll
)

// messageColumns has all that there are flags for in one column, empty in most
// messages: to read columns is what takes the time of a page.
const messageColumns = `
	m.id, m.chat_id, c.kind, m.seq, m.sender_id, u.username, m.text, coalesce(m.client_id, ''), m.created_at,
	` + messageDetails

const messageDetails = `
	CASE WHEN m.flags = 0 THEN '' ELSE m.flags || ' ' || coalesce(m.edited_at, 0) || ' ' || coalesce(m.deleted_at, 0)
		|| ' ' || coalesce(m.reply_to, 0) || ' ' || coalesce(m.thread_id, 0) || ' ' || m.reply_count
		|| ' ' || coalesce(m.mentions, '[]') END`

const selectMessages = `
	SELECT ` + messageColumns + `
	FROM messages m
	JOIN chats c ON c.id = m.chat_id
	JOIN users u ON u.id = m.sender_id
`

// selectMessagesOf is for the messages of all chats that a user takes part in.
// Left to themselves, both engines would walk through everybody's messages by id.
// CROSS JOIN has SQLite keep this order of tables; what keeps PostgreSQL from it
// is to sort by m.id + 0, an order that no index has.
const selectMessagesOf = `
	SELECT ` + messageColumns + `
	FROM participants p
	CROSS JOIN messages m
	JOIN chats c ON c.id = m.chat_id
	JOIN users u ON u.id = m.sender_id
`

func scanMessage(row scanner, m *Message) error {
	var created int64
	var details string
	err := row.Scan(&m.ID, &m.ChatID, &m.ChatKind, &m.Seq, &m.SenderID, &m.SenderUsername,
		&m.Text, &m.ClientID, &created, &details)
	if err != nil {
		return err
	}
	m.CreatedAt = fromMicros(created)
	return m.setDetails(details)
}

// setDetails takes over what messageDetails selects.
func (m *Message) setDetails(details string) error {
	if details == "" {
		return nil
	}
	var edited, deleted int64
	var mentions string
	_, err := fmt.Sscan(details, &m.flags, &edited, &deleted, &m.ReplyTo, &m.ThreadID, &m.ReplyCount, &mentions)
	if err != nil {
		return fmt.Errorf("details of message %d: %w", m.ID, err)
	}
	if edited != 0 {
		m.EditedAt = fromMicros(edited)
	}
	if deleted != 0 {
		m.DeletedAt = fromMicros(deleted)
	}
	m.HasReactions, m.HasPoll = m.flags&flagReactions != 0, m.flags&flagPoll != 0
	m.Mentions, err = decodeMentions(mentions)
	return err
}

func decodeMentions(encoded string) ([]Mention, error) {
	var ranges [][3]int64
	if err := json.Unmarshal([]byte(encoded), &ranges); err != nil {
		return nil, fmt.Errorf("decode mentions: %w", err)
	}
	var mentions []Mention
	for _, r := range ranges {
		mentions = append(mentions, Mention{Start: int(r[0]), Length: int(r[1]), UserID: r[2]})
	}
	return mentions, nil
}

// encodeMentions returns NULL for none.
func encodeMentions(mentions []Mention) any {
	if len(mentions) == 0 {
		return nil
	}
	b := []byte{'['}
	for i, m := range mentions {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "[%d,%d,%d]", m.Start, m.Length, m.UserID)
	}
	return string(append(b, ']'))
}

// CreateMessage stores a message under the Seq it bears and sets its ID;
// ErrConflict if the sender has used its ClientID before.
func (tx *Tx) CreateMessage(m *Message) (err error) {
	if m.ReplyTo != 0 || m.ThreadID != 0 {
		m.flags |= flagReply
	}
	if len(m.Mentions) > 0 {
		m.flags |= flagMentions
	}
	if m.HasPoll {
		m.flags |= flagPoll
	}
	m.ID, err = tx.insert(`
		INSERT INTO messages (chat_id, seq, sender_id, text, client_id, created_at, flags, reply_to, thread_id, mentions)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`,
		m.ChatID, m.Seq, m.SenderID, m.Text, orNull(m.ClientID), micros(m.CreatedAt),
		m.flags, orNull(m.ReplyTo), orNull(m.ThreadID), encodeMentions(m.Mentions))
	if err != nil {
		return fmt.Errorf("create message: %w", err)
	}
	return nil
}

// FindMessage finds a message in a chat that the user takes part in, unless the
// user has hidden it; ErrNotFound if there is none.
func (tx *Tx) FindMessage(userID, id int64) (Message, error) {
	found, err := first(tx, scanMessage, selectMessages+`
		JOIN participants p ON p.chat_id = m.chat_id AND p.user_id = ?1
		WHERE m.id = ?2 AND `+notHidden, userID, id)
	if err != nil {
		return Message{}, fmt.Errorf("find message: %w", err)
	}
	return found, nil
}

// notHidden leaves out what the user ?1 has hidden.
const notHidden = `NOT EXISTS (SELECT 1 FROM hidden_messages h WHERE h.user_id = ?1 AND h.message_id = m.id)`

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

// FindMessageBySender finds what somebody sent, also where they can't read it any
// more; ErrNotFound if there is no such message.
func (tx *Tx) FindMessageBySender(senderID, id int64) (Message, error) {
	found, err := first(tx, scanMessage, selectMessages+`
		WHERE m.id = ?2 AND m.sender_id = ?1`, senderID, id)
	if err != nil {
		return Message{}, fmt.Errorf("find message by sender: %w", err)
	}
	return found, nil
}

// ListChatMessages lists up to limit messages of a chat in a span, oldest
// first, but for those that the user has hidden. Whether the user takes part in
// the chat is for the caller to find out.
func (tx *Tx) ListChatMessages(userID, chatID int64, in Span, limit int) ([]Message, error) {
	found, err := tx.listMessages(selectMessages+`
		WHERE m.chat_id = ?5 AND m.id > ?2 AND m.id < ?3 AND `+notHidden+`
		ORDER BY m.id`+in.direction()+` LIMIT ?4`, in, limit, userID, chatID)
	if err != nil {
		return nil, fmt.Errorf("list messages of chat: %w", err)
	}
	return found, nil
}

// ListMessagesOf lists up to limit messages, of all chats that the user takes
// part in, in a span, oldest first. It costs a look into each of these chats
// and into each of their messages in the span, but into nobody else's.
func (tx *Tx) ListMessagesOf(userID int64, in Span, limit int) ([]Message, error) {
	found, err := tx.listMessages(selectMessagesOf+`
		WHERE p.user_id = ?1 AND m.chat_id = p.chat_id AND m.id > ?2 AND m.id < ?3 AND `+notHidden+`
		ORDER BY m.id + 0`+in.direction()+` LIMIT ?4`, in, limit, userID)
	if err != nil {
		return nil, fmt.Errorf("list messages of user: %w", err)
	}
	return found, nil
}

// ListThread lists up to limit messages of the thread that a message began, in a
// span, oldest first, but for those that the user has hidden and for the one that
// began it. Whether the user takes part in the chat is for the caller to find out.
func (tx *Tx) ListThread(userID, threadID int64, in Span, limit int) ([]Message, error) {
	found, err := tx.listMessages(selectMessages+`
		WHERE m.thread_id = ?5 AND m.id > ?2 AND m.id < ?3 AND `+notHidden+`
		ORDER BY m.id`+in.direction()+` LIMIT ?4`, in, limit, userID, threadID)
	if err != nil {
		return nil, fmt.Errorf("list thread: %w", err)
	}
	return found, nil
}

// The columns of messages that a [Filter] may name.
const (
	MessageID             Field = "m.id"
	MessageChatID         Field = "m.chat_id"
	MessageSeq            Field = "m.seq"
	MessageSenderID       Field = "m.sender_id"
	MessageSenderUsername Field = "u.username"
	MessageText           Field = "m.text"
	MessageCreatedAt      Field = "m.created_at"
	// MessageReceiverID is the one whom it went to alone: the other of a direct
	// chat, oneself in one's notes, and 0 in a group.
	MessageReceiverID Field = `(CASE WHEN c.kind = 'group' THEN 0 WHEN c.direct_low = m.sender_id THEN c.direct_high ELSE c.direct_low END)`

	// MessageDeletedAt is [Missing] of most.
	MessageDeletedAt Field = "m.deleted_at"
	// MessageInGroup is 1 or 0.
	MessageInGroup Field = `(CASE WHEN c.kind = 'group' THEN 1 ELSE 0 END)`

	// As in ListMessagesOf: an order that no index has.
	messageIDAsIs Field = "(m.id + 0)"
)

// FilterMessages lists the messages that a filter names, of a chat or, if that is
// 0, of all chats that the user takes part in, but for those that the user has
// hidden; by id, if the filter gives no order. It may look at all of these
// messages, but at nobody else's. Whether the user takes part in the chat is for
// the caller to find out.
func (tx *Tx) FilterMessages(userID, chatID int64, f Filter) ([]Message, error) {
	var found []Message
	var err error
	if chatID != 0 {
		where, args := f.sql(tx.dialect, `m.chat_id = ?2 AND `+notHidden, MessageID, userID, chatID)
		found, err = list(tx, 64, scanMessage, selectMessages+where, args...)
	} else {
		f.Order = slices.Clone(f.Order)
		for i := range f.Order {
			if f.Order[i].Field == MessageID {
				f.Order[i].Field = messageIDAsIs
			}
		}
		where, args := f.sql(tx.dialect, `p.user_id = ?1 AND m.chat_id = p.chat_id AND `+notHidden, messageIDAsIs, userID)
		found, err = list(tx, 64, scanMessage, selectMessagesOf+where, args...)
	}
	if err != nil {
		return nil, fmt.Errorf("filter messages: %w", err)
	}
	return found, nil
}

// CountMessages counts what FilterMessages lists, whatever order and limit the filter
// has.
func (tx *Tx) CountMessages(userID, chatID int64, f Filter) (n int, err error) {
	from := ` FROM participants p CROSS JOIN messages m`
	must, args := `p.user_id = ?1 AND m.chat_id = p.chat_id AND `+notHidden, arguments{userID}
	if chatID != 0 {
		from, must, args = ` FROM messages m`, `m.chat_id = ?2 AND `+notHidden, arguments{userID, chatID}
	}
	query := `SELECT count(*)` + from + `
		JOIN chats c ON c.id = m.chat_id
		JOIN users u ON u.id = m.sender_id` + f.where(tx.dialect, must, MessageID, &args)
	if err := tx.one(query, args, &n); err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	return n, nil
}

// FindMessageIDBySeq finds the message of a chat that has a number, or
// ErrNotFound. Ids and seqs of a chat come in the same order, and there is an
// index of the ids alone: it is found by halves.
func (tx *Tx) FindMessageIDBySeq(chatID, seq int64) (int64, error) {
	last, err := tx.LastMessageID()
	for low := int64(1); err == nil && low <= last; {
		middle := low + (last-low)/2
		var id, its int64
		err = tx.one(`SELECT id, seq FROM messages WHERE chat_id = ?1 AND id >= ?2 ORDER BY id LIMIT 1`,
			[]any{chatID, middle}, &id, &its)
		switch {
		case errors.Is(err, ErrNotFound):
			last, err = middle-1, nil
		case err != nil:
		case its < seq:
			low = id + 1
		case its > seq:
			last = middle - 1
		default:
			return id, nil
		}
	}
	if err == nil {
		err = ErrNotFound
	}
	return 0, fmt.Errorf("find message by seq: %w", err)
}

// FindMessageIDNearEnd is FindMessageIDBySeq, quicker for one of the last messages of the
// chat.
func (tx *Tx) FindMessageIDNearEnd(c Chat, seq int64) (id int64, err error) {
	if back := c.LastSeq - seq; back >= 0 && back < 64 {
		var its int64
		err = tx.one(`SELECT id, seq FROM messages WHERE chat_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2`,
			[]any{c.ID, back}, &id, &its)
		if err == nil && its == seq {
			return id, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return 0, fmt.Errorf("find message by seq: %w", err)
		}
	}
	return tx.FindMessageIDBySeq(c.ID, seq)
}

// maxPassed is how many messages [Tx.FindLastOfOthers] looks at.
const maxPassed = 1000

// FindLastOfOthers finds the last message of a chat that somebody else than a user has
// written, behind one and up to another, by their numbers, and that has not been deleted;
// or ErrNotFound.
func (tx *Tx) FindLastOfOthers(c Chat, userID, behind, upTo int64) (id int64, err error) {
	last, err := tx.FindMessageIDNearEnd(c, upTo)
	if err != nil {
		return 0, err
	}
	err = tx.one(`
		SELECT id FROM messages
		WHERE chat_id = ?1 AND id <= ?2 AND seq > ?4 AND sender_id <> ?5 AND deleted_at IS NULL AND id >= coalesce((
			SELECT id FROM messages WHERE chat_id = ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3
		), 0)
		ORDER BY id DESC LIMIT 1`, []any{c.ID, last, min(upTo-behind, maxPassed) - 1, behind, userID}, &id)
	if err != nil {
		return 0, fmt.Errorf("find last message of others: %w", err)
	}
	return id, nil
}

func (tx *Tx) listMessages(query string, in Span, limit int, userID int64, more ...any) ([]Message, error) {
	found, err := list(tx, min(limit, 64), scanMessage, query, append([]any{userID, in.After, in.Before, limit}, more...)...)
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
