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

// People are the two of a direct chat, the lower id first; in a chat with oneself,
// oneself twice; 0 in a group.
func (c Chat) People() (low, high int64) { return c.low, c.high }

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
	return tx.chat(`SELECT `+chatColumns+` FROM chats WHERE id = ?1 AND deleted_at IS NULL`, id)
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
	tx.writing = true
	c, err := tx.chat(`
		UPDATE chats SET last_seq = last_seq + ?3, active_at = ?4
		WHERE id = ?1
			AND EXISTS (SELECT 1 FROM participants WHERE chat_id = ?1 AND user_id = ?2)
			AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocker_id = direct_low + direct_high - ?2 AND blocked_id = ?2)
		RETURNING `+chatColumns, chatID, userID, count, micros(at))
	if err != nil {
		return Chat{}, err
	}
	tx.wrote = true
	err = tx.execOne(`
		UPDATE participants SET marked_unread = 0, read_seq = ?3, delivered_seq = ?3
		WHERE chat_id = ?1 AND user_id = ?2`, chatID, userID, c.LastSeq)
	if err != nil {
		return Chat{}, fmt.Errorf("mark what is sent as read: %w", err)
	}
	return c, nil
}

func (tx *Tx) chat(query string, args ...any) (Chat, error) {
	c, err := first(tx, scanChat, query, args...)
	if err != nil {
		return Chat{}, fmt.Errorf("find chat: %w", err)
	}
	return c, nil
}

// DeleteChat takes all participants out of a chat and returns their ids, in
// order. From then on nobody finds it, and two people may have another. What it
// holds is there until it is swept away.
func (tx *Tx) DeleteChat(id int64, at time.Time) ([]int64, error) {
	err := tx.execOne(`
		UPDATE chats SET deleted_at = ?2, visibility = 'private',
			direct_low = CASE kind WHEN 'group' THEN NULL ELSE -id END,
			direct_high = CASE kind WHEN 'group' THEN NULL ELSE -id END
		WHERE id = ?1 AND deleted_at IS NULL`, id, micros(at))
	if err != nil {
		return nil, fmt.Errorf("delete chat: %w", err)
	}
	left, err := list(tx, 16, scanID,
		`DELETE FROM participants WHERE chat_id = ?1 RETURNING user_id`, id)
	if err != nil {
		return nil, fmt.Errorf("delete chat: %w", err)
	}
	slices.Sort(left)
	return left, nil
}

// ChatEntry is a chat as one of its participants has it before them.
type ChatEntry struct {
	Chat
	Participant  Participant
	Participants int      // how many there are
	Other        *User    // of a direct chat: the id and the names of the other
	LastMessage  *Message // that they have not hidden; nil if there is none
}

// Unread is how many messages they have not read.
func (e *ChatEntry) Unread() int64 { return e.LastSeq - e.Participant.ReadSeq }

// ChatFilter says which of a user's chats one wants. The zero ChatFilter is none:
// Limit counts.
type ChatFilter struct {
	ID            int64  // of one, or 0
	Kind          string // or ""
	Archived      *bool
	Limit, Offset int
}

// ListChatsOf lists the chats that a user takes part in, those first whose last
// message is the newest. It looks at each of the user's chats, and closer at
// those that it lists.
func (tx *Tx) ListChatsOf(userID int64, f ChatFilter) ([]ChatEntry, error) {
	archived := int64(-1)
	if f.Archived != nil {
		archived = bit(*f.Archived)
	}
	// What is asked about each chat is asked once it is known which are listed.
	// CROSS JOIN has SQLite begin with the user's chats.
	found, err := list(tx, min(f.Limit, 64), scanChatEntry, `
		SELECT c.id, c.kind, c.title, c.description, c.visibility, c.managed_by, c.last_seq, c.created_at, c.active_at,
			coalesce(c.direct_low, 0), coalesce(c.direct_high, 0), `+participantColumns+`,
			CASE c.kind WHEN 'group' THEN (SELECT count(*) FROM participants q WHERE q.chat_id = c.id)
				WHEN 'direct' THEN 2 ELSE 1 END,
			coalesce(o.id, 0), coalesce(o.username, ''), coalesce(o.display_name, ''),
			coalesce(m.id, 0), coalesce(m.seq, 0), coalesce(m.sender_id, 0), coalesce(s.username, ''),
			coalesce(m.text, ''), coalesce(m.client_id, ''), coalesce(m.created_at, 0), coalesce(`+messageDetails+`, '')
		FROM (
			SELECT own.chat_id AS id, mine.active_at AS active_at
			FROM participants own CROSS JOIN chats mine
			WHERE own.user_id = ?1 AND mine.id = own.chat_id
				AND (own.chat_id = ?2 OR ?2 = 0) AND (mine.kind = ?3 OR ?3 = '') AND (own.archived = ?4 OR ?4 < 0)
			ORDER BY mine.active_at DESC, mine.id DESC LIMIT ?5 OFFSET ?6
		) page
		CROSS JOIN chats c
		CROSS JOIN participants p
		CROSS JOIN users u
		LEFT JOIN users o ON c.kind = 'direct' AND o.id = c.direct_low + c.direct_high - ?1
		LEFT JOIN messages m ON m.id = (
			SELECT m.id FROM messages m WHERE m.chat_id = page.id AND `+notHidden+` ORDER BY m.id DESC LIMIT 1)
		LEFT JOIN users s ON s.id = m.sender_id
		WHERE c.id = page.id AND p.chat_id = page.id AND p.user_id = ?1 AND u.id = ?1
		ORDER BY page.active_at DESC, page.id DESC`,
		userID, f.ID, f.Kind, archived, f.Limit, f.Offset)
	if err != nil {
		return nil, fmt.Errorf("list chats of user: %w", err)
	}
	return found, nil
}

func scanChatEntry(row scanner, e *ChatEntry) error {
	var created, active, joined, muted, sent int64
	var other User
	var m Message
	var details string
	places := make([]any, 0, 32)
	places = append(places,
		&e.ID, &e.Kind, &e.Title, &e.Description, &e.Visibility, &e.ManagedBy, &e.LastSeq, &created, &active, &e.low, &e.high)
	places = append(places, e.Participant.places(&joined, &muted)...)
	places = append(places, &e.Participants, &other.ID, &other.Username, &other.DisplayName,
		&m.ID, &m.Seq, &m.SenderID, &m.SenderUsername, &m.Text, &m.ClientID, &sent, &details)
	if err := row.Scan(places...); err != nil {
		return err
	}
	e.CreatedAt, e.ActiveAt = fromMicros(created), fromMicros(active)
	e.Participant.setTimes(joined, muted)
	if other.ID != 0 {
		e.Other = &other
	}
	if m.ID == 0 {
		return nil
	}
	m.ChatID, m.ChatKind, m.CreatedAt = e.ID, e.Kind, fromMicros(sent)
	e.LastMessage = &m
	return m.setDetails(details)
}

// Unread is how much somebody has not read, of the chats that are not muted and
// of those that are.
type Unread struct {
	Chats, Messages           int64
	MutedChats, MutedMessages int64
}

// CountUnread counts what a user has not read, in which chats marked as unread
// count as well; and whether a chat is muted is asked for a time.
func (tx *Tx) CountUnread(userID int64, at time.Time) (u Unread, err error) {
	err = tx.one(`
		SELECT
			coalesce(sum(CASE WHEN p.muted_until > ?2 THEN 0 ELSE 1 END), 0),
			coalesce(sum(CASE WHEN p.muted_until > ?2 THEN 0 ELSE c.last_seq - p.read_seq END), 0),
			coalesce(sum(CASE WHEN p.muted_until > ?2 THEN 1 ELSE 0 END), 0),
			coalesce(sum(CASE WHEN p.muted_until > ?2 THEN c.last_seq - p.read_seq ELSE 0 END), 0)
		FROM participants p CROSS JOIN chats c
		WHERE p.user_id = ?1 AND c.id = p.chat_id AND (c.last_seq > p.read_seq OR p.marked_unread = 1)`,
		[]any{userID, micros(at)}, &u.Chats, &u.Messages, &u.MutedChats, &u.MutedMessages)
	if err != nil {
		return Unread{}, fmt.Errorf("count what is unread: %w", err)
	}
	return u, nil
}

// FindDeletedChatID finds a chat that is to be swept away, or ErrNotFound.
func (tx *Tx) FindDeletedChatID() (id int64, err error) {
	// That no id is 0 has SQLite use the index, whatever ANALYZE has found.
	err = tx.one(`SELECT id FROM chats WHERE deleted_at IS NOT NULL AND id > 0 ORDER BY id LIMIT 1`, nil, &id)
	if err != nil {
		return 0, fmt.Errorf("find deleted chat: %w", err)
	}
	return id, nil
}

// SweepChat removes something of what a deleted chat holds: so many messages, or
// words of the index; or, when there are none left, the chat itself.
func (tx *Tx) SweepChat(id int64, limit int) error {
	for _, query := range []string{
		`DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE chat_id = ?1 ORDER BY id LIMIT ?2)`,
		`DELETE FROM search_terms WHERE space = ?1 AND (term, id) IN (
			SELECT term, id FROM search_terms WHERE space = ?1 ORDER BY term, id LIMIT ?2)`,
	} {
		if n, err := tx.exec(query, id, limit); err != nil || n > 0 {
			if err != nil {
				err = fmt.Errorf("sweep chat: %w", err)
			}
			return err
		}
	}
	// Another node may have been quicker, with what this one has not found. The
	// invitations go with the chat.
	_, err := tx.exec(`
		DELETE FROM chats WHERE id = ?1 AND deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM messages WHERE chat_id = ?1)`, id)
	if err != nil {
		return fmt.Errorf("sweep chat: %w", err)
	}
	return nil
}

// LockName keeps other Updates that ask for the same name waiting, until this one has
// ended: for what a name may be given to once, and no unique key says so.
func (tx *Tx) LockName(name string) error {
	if tx.dialect.lockName == "" {
		return nil // it is alone
	}
	var locked bool
	if err := tx.one(tx.dialect.lockName, []any{name}, &locked); err != nil {
		return fmt.Errorf("lock name: %w", err)
	}
	return nil
}
