package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	BlockCreated        = "block.created"   // for UserID alone, who has blocked somebody
	BlockRemoved        = "block.removed"   // for UserID alone
	UserUpdated         = "user.updated"    // one in each chat that UserID takes part in
	AccountUpdated      = "account.updated" // for UserID alone
	SessionEnded        = "session.ended"   // of UserID; not for clients
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

// Who hears of an event: events.audience.
const (
	toChat     = iota // who takes part in the chat
	toUser            // UserID alone
	toChatUser        // both
)

func audienceOf(eventType string) int64 {
	switch eventType {
	case MessageHidden, ChatSettingsUpdated, ChatDeleted, BlockCreated, BlockRemoved, AccountUpdated, SessionEnded:
		return toUser
	case ParticipantRemoved: // who does not take part in it any more
		return toChatUser
	}
	return toChat
}

// ToChat tells whether an event is for those who take part in its chat.
func (e *Event) ToChat() bool { return audienceOf(e.Type) != toUser }

// ToUser tells whether an event is for its UserID, in the chat or not.
func (e *Event) ToUser() bool { return audienceOf(e.Type) != toChat }

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
		INSERT INTO events (id, type, chat_id, actor_id, message_id, user_id, created_at, data, audience)
		VALUES (`+tx.dialect.eventID+`, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		len(tx.events), e.Type, e.ChatID, e.ActorID, messageID, orNull(e.UserID), micros(e.At), orNull(e.Data),
		audienceOf(e.Type))
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
	found, err := list(tx, min(limit, 64), scanEvent, selectEvents+`
		WHERE e.id > ?1 AND e.id < `+tx.dialect.eventHorizon+`
		ORDER BY e.id LIMIT ?2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return found, nil
}

// FindEvents finds events by their ids, in the order of these, of those that there
// are.
func (tx *Tx) FindEvents(ids []int64) (all []Event, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	err = inParts(ids, func(part []int64) error {
		var q arguments
		found, err := list(tx, len(part), scanEvent, selectEvents+`
			WHERE e.id IN (`+among(&q, part)+`) ORDER BY e.id`, q...)
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find events: %w", err)
	}
	return all, nil
}

// ListMissed lists the ids of up to limit events behind after, up to upTo, that are
// for a user: of the chats that they take part in now, and those for them alone, but
// for those that are not for clients. It costs a look into each of these chats, and
// a few times limit, whatever there is in them.
func (tx *Tx) ListMissed(userID, after, upTo int64, limit int) ([]int64, error) {
	found, err := tx.listMissed(userID, after, upTo, limit)
	if err != nil {
		return nil, fmt.Errorf("list missed events: %w", err)
	}
	return found, nil
}

// forItsChat is what events_chat holds. A node of the version before the audience,
// which may still run, writes none: hence the types of that version, too.
const forItsChat = `e.audience <> 1 AND e.type NOT IN ('message.hidden', 'chat.settings', 'chat.deleted')`

// missedIn is what one has missed in a chat.
type missedIn struct {
	chatID int64
	ids    []int64
}

func (tx *Tx) listMissed(userID, after, upTo int64, limit int) ([]int64, error) {
	found, err := list(tx, 1, scanID, `
		SELECT e.id FROM events e
		WHERE e.user_id = ?1 AND e.audience > 0 AND e.type <> 'session.ended' AND e.id > ?2 AND e.id <= ?3
		ORDER BY e.id LIMIT ?4`, userID, after, upTo, limit)
	if err != nil {
		return nil, err
	}
	// Of each chat its share, so that many busy chats do not cost limit each.
	chats, err := list(tx, 64, scanMissedIn, `
		SELECT p.chat_id, (SELECT coalesce(string_agg(CAST(first.id AS TEXT), ','), '') FROM (
			SELECT e.id FROM events e
			WHERE e.chat_id = p.chat_id AND e.id > ?2 AND e.id <= ?3 AND `+forItsChat+`
			ORDER BY e.id LIMIT (SELECT 1 + ?4 / count(*) FROM participants WHERE user_id = ?1)
		) first)
		FROM participants p WHERE p.user_id = ?1`, userID, after, upTo, limit)
	if err != nil {
		return nil, err
	}
	type rest struct { // of a chat, behind last
		chatID, last int64
		known        int // how many before it
	}
	var open []rest
	for _, c := range chats {
		found = append(found, c.ids...)
		if n := len(c.ids); n == 1+limit/len(chats) {
			open = append(open, rest{c.chatID, slices.Max(c.ids), n})
		}
	}
	for {
		slices.Sort(found)
		found = slices.Compact(found) // who was removed may take part again
		if len(found) >= limit {
			found = found[:limit]
			open = slices.DeleteFunc(open, func(r rest) bool { return r.last >= found[limit-1] })
		}
		if len(open) == 0 {
			return found, nil
		}
		// What is known of the one that is known least far is all listed: to read as
		// much again costs no more than it did so far.
		slices.SortFunc(open, func(a, b rest) int { return cmp.Compare(a.last, b.last) })
		r := &open[0]
		more, err := list(tx, min(r.known, limit), scanID, `
			SELECT e.id FROM events e
			WHERE e.chat_id = ?1 AND e.id > ?2 AND e.id <= ?3 AND `+forItsChat+`
			ORDER BY e.id LIMIT ?4`, r.chatID, r.last, upTo, r.known)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
		if len(more) < r.known {
			open = open[1:]
			continue
		}
		r.last, r.known = more[len(more)-1], 2*r.known
	}
}

func scanMissedIn(row scanner, c *missedIn) error {
	var ids string
	if err := row.Scan(&c.chatID, &ids); err != nil {
		return err
	}
	for ids != "" {
		var first string
		first, ids, _ = strings.Cut(ids, ",")
		id, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return err
		}
		c.ids = append(c.ids, id)
	}
	return nil
}

// selectEvents selects a message as it is now.
const selectEvents = `
	SELECT e.id, e.type, e.chat_id, e.actor_id, coalesce(e.user_id, 0), e.created_at, coalesce(e.data, ''),
		m.id, c.kind, m.seq, m.sender_id, u.username, m.text, m.client_id, m.created_at, coalesce(` + messageDetails + `, '')
	FROM events e
	LEFT JOIN messages m ON m.id = e.message_id
	LEFT JOIN chats c ON c.id = m.chat_id
	LEFT JOIN users u ON u.id = m.sender_id
`

func scanEvent(row scanner, e *Event) error {
	var at int64
	var m struct {
		id, seq, senderID, createdAt sql.NullInt64
		kind, sender, text, clientID sql.NullString
		details                      string
	}
	err := row.Scan(&e.ID, &e.Type, &e.ChatID, &e.ActorID, &e.UserID, &at, &e.Data,
		&m.id, &m.kind, &m.seq, &m.senderID, &m.sender, &m.text, &m.clientID, &m.createdAt, &m.details)
	e.At = fromMicros(at)
	if err != nil || !m.id.Valid {
		return err
	}
	e.Message = &Message{
		ID: m.id.Int64, ChatID: e.ChatID, ChatKind: m.kind.String, Seq: m.seq.Int64,
		SenderID: m.senderID.Int64, SenderUsername: m.sender.String,
		Text: m.text.String, ClientID: m.clientID.String, CreatedAt: fromMicros(m.createdAt.Int64),
	}
	return e.Message.setDetails(m.details)
}
