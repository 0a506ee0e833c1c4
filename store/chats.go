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

// Who may find a group, and join it.
const (
	Public  = "public"
	Private = "private"
)

// Who may add people to a group, and remove them.
const (
	ByMembers = "members"
	ByAdmins  = "admins"
)

// Chat is a group, a conversation between two people, or one's own notes.
type Chat struct {
	ID          int64
	Kind        string
	Title       string // of a group; may be empty, as the description
	Description string
	Visibility  string // [Public] or [Private]; only groups are public
	ManagedBy   string // [ByMembers] or [ByAdmins]
	LastSeq     int64  // how many messages it has had
	CreatedAt   time.Time
	ActiveAt    time.Time // of the last message; CreatedAt, if it has none

	low, high int64 // the two people of a direct chat, the lower id first
}

// No prefix: SQLite's RETURNING takes none.
const chatColumns = `
	id, kind, title, description, visibility, managed_by, last_seq, created_at, active_at,
	coalesce(direct_low, 0), coalesce(direct_high, 0)`

func scanChat(row scanner, c *Chat) error {
	var created, active int64
	err := row.Scan(&c.ID, &c.Kind, &c.Title, &c.Description, &c.Visibility, &c.ManagedBy, &c.LastSeq, &created, &active,
		&c.low, &c.high)
	c.CreatedAt, c.ActiveAt = fromMicros(created), fromMicros(active)
	return err
}

// OtherThan is the other of the two people of a direct chat; in a chat with
// oneself, oneself; 0 in a group.
func (c Chat) OtherThan(userID int64) int64 {
	if c.low == userID {
		return c.high
	}
	return c.low
}

// NewGroup describes a private group, that all who are in it may manage.
func NewGroup(title string, at time.Time) Chat {
	return Chat{
		Kind: GroupChat, Title: title, Visibility: Private, ManagedBy: ByMembers, CreatedAt: at, ActiveAt: at,
	}
}

// NewDirectChat describes the chat between two people, who may be the same.
func NewDirectChat(a, b int64, at time.Time) Chat {
	kind := DirectChat
	if a == b {
		kind = SelfChat
	}
	return Chat{
		Kind: kind, Visibility: Private, ManagedBy: ByMembers, CreatedAt: at, ActiveAt: at,
		low: min(a, b), high: max(a, b),
	}
}

// CreateChat stores a chat, without participants, and sets its ID; ErrConflict
// if the two people have one.
func (tx *Tx) CreateChat(c *Chat) (err error) {
	var low, high any
	if c.Kind != GroupChat {
		low, high = c.low, c.high
	}
	c.ID, err = tx.insert(`
		INSERT INTO chats (kind, title, description, visibility, managed_by, direct_low, direct_high, created_at, active_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`,
		c.Kind, c.Title, c.Description, c.Visibility, c.ManagedBy, low, high, micros(c.CreatedAt), micros(c.ActiveAt))
	if err != nil {
		return fmt.Errorf("create chat: %w", err)
	}
	tx.locked = append(tx.locked, c.ID) // nobody else knows it yet
	return nil
}

// FindChatByID finds a chat, or ErrNotFound.
func (tx *Tx) FindChatByID(id int64) (Chat, error) {
	return tx.chat(`SELECT `+chatColumns+` FROM chats WHERE id = ?1`, id)
}

// FindDirectChat finds the chat between two people, who may be the same, or
// ErrNotFound.
func (tx *Tx) FindDirectChat(a, b int64) (Chat, error) {
	return tx.chat(`
		SELECT `+chatColumns+` FROM chats
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
	return tx.lock(chatID, tx.dialect.tryLockChat, tx.dialect.lockChat, userID, chatID)
}

// LockGroup is LockChat for somebody who is about to join a group. Whoever asks
// for it has found out that they may.
func (tx *Tx) LockGroup(chatID int64) error {
	return tx.lock(chatID, tx.dialect.tryLockGroup, tx.dialect.lockGroup, chatID)
}

func (tx *Tx) lock(chatID int64, tryLock, lock string, args ...any) error {
	if slices.Contains(tx.locked, chatID) {
		return nil
	}
	if err := tx.lockNow(chatID, tryLock, lock, args); err != nil {
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

func (tx *Tx) lockNow(chatID int64, tryLock, lock string, args []any) error {
	if lock == "" {
		return nil
	}
	query := tryLock
	if tx.turns[chatID] {
		query = lock
	}
	var locked bool
	if err := tx.one(query, args, &locked); err != nil {
		return err
	}
	if !locked {
		tx.busy, tx.lost = chatID, errBusy
		return errBusy
	}
	return nil
}

// NextSeq locks a chat that the user may write to, takes the next numbers in it,
// count of them, and returns the chat with the last as its LastSeq. All of them
// are read by the user. A chat that is not there, a chat of others, and one with
// somebody who has blocked the user are the same ErrNotFound.
func (tx *Tx) NextSeq(userID, chatID int64, count int, at time.Time) (Chat, error) {
	if err := tx.LockChat(userID, chatID); err != nil {
		return Chat{}, err
	}
	err := tx.execOne(`
		UPDATE participants SET marked_unread = 0,
			read_seq = (SELECT last_seq + ?3 FROM chats WHERE id = ?1),
			delivered_seq = (SELECT last_seq + ?3 FROM chats WHERE id = ?1)
		WHERE chat_id = ?1 AND user_id = ?2`, chatID, userID, count)
	if err != nil {
		return Chat{}, fmt.Errorf("take the next seq: %w", err)
	}
	return tx.chat(`
		UPDATE chats SET last_seq = last_seq + ?3, active_at = ?4
		WHERE id = ?1
			AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = direct_low + direct_high - ?2 AND blocked_id = ?2)
		RETURNING `+chatColumns, chatID, userID, count, micros(at))
}

func (tx *Tx) chat(query string, args ...any) (Chat, error) {
	c, err := first(tx, scanChat, query, args...)
	if err != nil {
		return Chat{}, fmt.Errorf("find chat: %w", err)
	}
	return c, nil
}
