package store

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The kinds of chat.
const (
	GroupChat  = "group"
	DirectChat = "direct" // between two people
	SelfChat   = "self"   // one's notes to oneself
)

// Chat is a group, a conversation between two people, or one's own notes.
type Chat struct {
	ID        int64
	Kind      string
	Title     string // of a group; may be empty
	LastSeq   int64  // how many messages it has had
	CreatedAt time.Time

	low, high int64 // the two people of a direct chat, the lower id first
}

// NewDirectChat describes the chat between two people, who may be the same.
func NewDirectChat(a, b int64, at time.Time) Chat {
	kind := DirectChat
	if a == b {
		kind = SelfChat
	}
	return Chat{Kind: kind, CreatedAt: at, low: min(a, b), high: max(a, b)}
}

// CreateChat stores a chat, without participants, and sets its ID; ErrConflict
// if the two people have one.
func (tx *Tx) CreateChat(c *Chat) (err error) {
	var low, high any
	if c.Kind != GroupChat {
		low, high = c.low, c.high
	}
	c.ID, err = tx.insert(`
		INSERT INTO chats (kind, title, direct_low, direct_high, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5)`,
		c.Kind, c.Title, low, high, micros(c.CreatedAt))
	if err != nil {
		return fmt.Errorf("create chat: %w", err)
	}
	tx.locked = append(tx.locked, c.ID) // nobody else knows it yet
	return nil
}

// FindChatByID finds a chat, or ErrNotFound.
func (tx *Tx) FindChatByID(id int64) (Chat, error) {
	return tx.chat(`SELECT id, kind, title, last_seq, created_at FROM chats WHERE id = ?1`, id)
}

// FindDirectChat finds the chat between two people, who may be the same, or
// ErrNotFound.
func (tx *Tx) FindDirectChat(a, b int64) (Chat, error) {
	return tx.chat(`
		SELECT id, kind, title, last_seq, created_at FROM chats
		WHERE direct_low = ?1 AND direct_high = ?2`, min(a, b), max(a, b))
}

// LockChat keeps all other Updates that lock a chat, or send to it, from doing
// so until this one has ended. An Update that decides by what a chat is and who
// is in it, or appends an event of it, locks it first: before it looks, and
// before it writes anything, so that the order of the events in the log is that
// of the locks. An Update that needs several locks them in the order of their
// ids.
//
// Nobody locks a chat of others: it may return ErrNotFound for one that the user
// does not take part in. Whether they do once it is locked is still to be asked.
func (tx *Tx) LockChat(userID, chatID int64) error {
	if slices.Contains(tx.locked, chatID) {
		return nil
	}
	if err := tx.lockChat(userID, chatID); err != nil {
		return fmt.Errorf("lock chat: %w", err)
	}
	if tx.writing {
		return errors.New("lock chat: the Update has written something before")
	}
	tx.locked = append(tx.locked, chatID)
	return nil
}

// errBusy says that another Update holds a chat. Whoever has begun this one takes
// its turn, and begins it anew.
var errBusy = fmt.Errorf("%w: another update holds the chat", ErrUnavailable)

func (tx *Tx) lockChat(userID, chatID int64) error {
	query := tx.dialect.tryLockChat
	if query == "" {
		return nil
	}
	if tx.turns[chatID] {
		query = tx.dialect.lockChat
	}
	var locked bool
	if err := tx.one(query, []any{userID, chatID}, &locked); err != nil {
		return err
	}
	if !locked {
		tx.busy, tx.lost = chatID, errBusy
		return errBusy
	}
	return nil
}

// NextSeq locks a chat that the user may write to, takes the next number in it,
// and returns the chat with it as its LastSeq. A chat that is not there, a chat
// of others, and one with somebody who has blocked the user are the same
// ErrNotFound.
func (tx *Tx) NextSeq(userID, chatID int64) (Chat, error) {
	if err := tx.LockChat(userID, chatID); err != nil {
		return Chat{}, err
	}
	tx.writing = true
	c, err := tx.chat(`
		UPDATE chats SET last_seq = last_seq + 1
		WHERE id = ?1
			AND EXISTS (SELECT 1 FROM participants WHERE chat_id = ?1 AND user_id = ?2)
			AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = direct_low + direct_high - ?2 AND blocked_id = ?2)
		RETURNING id, kind, title, last_seq, created_at`, chatID, userID)
	tx.wrote = tx.wrote || err == nil
	return c, err
}

func (tx *Tx) chat(query string, args ...any) (Chat, error) {
	var c Chat
	var created int64
	if err := tx.one(query, args, &c.ID, &c.Kind, &c.Title, &c.LastSeq, &created); err != nil {
		return Chat{}, fmt.Errorf("find chat: %w", err)
	}
	c.CreatedAt = fromMicros(created)
	return c, nil
}
