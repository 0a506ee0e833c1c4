package store

import (
	"fmt"
	"time"
)

// The roles in a group. In other chats, everybody is a member.
const (
	Owner  = "owner"
	Admin  = "admin"
	Member = "member"
)

// Participant is somebody's place in a chat.
type Participant struct {
	ChatID   int64
	UserID   int64
	Username string // read only, of the user
	Role     string
	JoinedAt time.Time
	// ReadSeq and DeliveredSeq are the watermarks: all messages up to these have
	// been read, and have come to a device.
	ReadSeq, DeliveredSeq int64
	// What follows is the participant's own business.
	MutedUntil   time.Time // zero, if it is not
	Archived     bool
	MarkedUnread bool
}

const participantColumns = `
	p.chat_id, p.user_id, u.username, p.role, p.joined_at, p.read_seq, p.delivered_seq,
	p.muted_until, p.archived, p.marked_unread`

func (p *Participant) places(joined, muted *int64) []any {
	return []any{
		&p.ChatID, &p.UserID, &p.Username, &p.Role, joined, &p.ReadSeq, &p.DeliveredSeq,
		muted, &p.Archived, &p.MarkedUnread,
	}
}

func (p *Participant) setTimes(joined, muted int64) {
	p.JoinedAt = fromMicros(joined)
	if muted != 0 {
		p.MutedUntil = fromMicros(muted)
	}
}

func scanParticipant(row scanner, p *Participant) error {
	var joined, muted int64
	err := row.Scan(p.places(&joined, &muted)...)
	p.setTimes(joined, muted)
	return err
}

// AddParticipant puts a user into a chat in a role; ErrConflict if they are in
// it, ErrNotFound if there is no such chat, or the user has been deleted. What has
// been said so far is read.
func (tx *Tx) AddParticipant(chatID, userID int64, role string, at time.Time) error {
	err := tx.execOne(`
		INSERT INTO participants (chat_id, user_id, role, joined_at, read_seq, delivered_seq)
		SELECT c.id, u.id, ?3, ?4, c.last_seq, c.last_seq FROM chats c CROSS JOIN users u
		WHERE c.id = ?1 AND c.deleted_at IS NULL AND u.id = ?2 AND u.deleted_at IS NULL`+tx.dialect.forShare("u"),
		chatID, userID, role, micros(at))
	if err != nil {
		return fmt.Errorf("add participant: %w", err)
	}
	return nil
}

// RemoveParticipant takes a user out of a chat; ErrNotFound if they are not in
// it.
func (tx *Tx) RemoveParticipant(chatID, userID int64) error {
	err := tx.execOne(`DELETE FROM participants WHERE chat_id = ?1 AND user_id = ?2`, chatID, userID)
	if err == nil {
		_, err = tx.exec(`
			INSERT INTO past_participants (user_id, chat_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING`, userID, chatID)
	}
	if err != nil {
		return fmt.Errorf("remove participant: %w", err)
	}
	return nil
}

// FindChatOf finds a chat that the user takes part in. A chat that is not
// there and a chat of others are the same ErrNotFound.
func (tx *Tx) FindChatOf(userID, chatID int64) (Chat, error) {
	return tx.chat(`
		SELECT `+chatColumns+`
		FROM participants p JOIN chats c ON c.id = p.chat_id
		WHERE p.chat_id = ?1 AND p.user_id = ?2`, chatID, userID)
}

// ListDirectChatsOf lists up to limit chats of a user's that are no groups, by their ids,
// those behind the id after.
func (tx *Tx) ListDirectChatsOf(userID, after int64, limit int) ([]Chat, error) {
	// As in ListMessagesOf: left to themselves, the engines would walk through everybody's
	// chats by id.
	found, err := list(tx, min(limit, 64), scanChat, `
		SELECT `+chatColumns+`
		FROM participants p CROSS JOIN chats c
		WHERE p.user_id = ?1 AND c.id = p.chat_id AND c.id > ?2 AND c.kind <> 'group'
		ORDER BY c.id + 0 LIMIT ?3`, userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list direct chats of user: %w", err)
	}
	return found, nil
}

// FindParticipant finds a user's place in a chat, or ErrNotFound.
func (tx *Tx) FindParticipant(chatID, userID int64) (Participant, error) {
	p, err := first(tx, scanParticipant, `
		SELECT `+participantColumns+`
		FROM participants p JOIN users u ON u.id = p.user_id
		WHERE p.chat_id = ?1 AND p.user_id = ?2`, chatID, userID)
	if err != nil {
		return Participant{}, fmt.Errorf("find participant: %w", err)
	}
	return p, nil
}

// ListGroupIDsOf lists the groups that a user takes part in.
func (tx *Tx) ListGroupIDsOf(userID int64) ([]int64, error) {
	found, err := list(tx, 16, scanID, `
		SELECT c.id FROM participants p JOIN chats c ON c.id = p.chat_id
		WHERE p.user_id = ?1 AND c.kind = 'group' ORDER BY c.id`, userID)
	if err != nil {
		return nil, fmt.Errorf("list groups of user: %w", err)
	}
	return found, nil
}

// ListChatIDsOf lists the chats that a user takes part in.
func (tx *Tx) ListChatIDsOf(userID int64) ([]int64, error) {
	found, err := list(tx, 64, scanID, `SELECT chat_id FROM participants WHERE user_id = ?1 ORDER BY chat_id`, userID)
	if err != nil {
		return nil, fmt.Errorf("list chats of user: %w", err)
	}
	return found, nil
}

// SetSettings stores a participant's own business: what it is muted until, and
// whether it is archived and marked as unread.
func (tx *Tx) SetSettings(p Participant) error {
	muted := int64(0)
	if !p.MutedUntil.IsZero() {
		muted = micros(p.MutedUntil)
	}
	err := tx.execOne(`
		UPDATE participants SET muted_until = ?3, archived = ?4, marked_unread = ?5
		WHERE chat_id = ?1 AND user_id = ?2`, p.ChatID, p.UserID, muted, bit(p.Archived), bit(p.MarkedUnread))
	if err != nil {
		return fmt.Errorf("set settings: %w", err)
	}
	return nil
}

// SetWatermarks stores what a participant has read, and what has come to them.
// Neither goes back.
func (tx *Tx) SetWatermarks(p Participant) error {
	err := tx.execOne(`
		UPDATE participants SET marked_unread = ?5,
			read_seq = CASE WHEN read_seq > ?3 THEN read_seq ELSE ?3 END,
			delivered_seq = CASE WHEN delivered_seq > ?4 THEN delivered_seq ELSE ?4 END
		WHERE chat_id = ?1 AND user_id = ?2`, p.ChatID, p.UserID, p.ReadSeq, p.DeliveredSeq, bit(p.MarkedUnread))
	if err != nil {
		return fmt.Errorf("set watermarks: %w", err)
	}
	return nil
}

// ListParticipants lists who takes part in a chat, by how long they have.
func (tx *Tx) ListParticipants(chatID int64, limit, offset int) ([]Participant, error) {
	found, err := list(tx, min(limit, 64), scanParticipant, `
		SELECT `+participantColumns+`
		FROM participants p JOIN users u ON u.id = p.user_id
		WHERE p.chat_id = ?1 ORDER BY p.joined_at, p.user_id LIMIT ?2 OFFSET ?3`, chatID, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list participants: %w", err)
	}
	return found, nil
}

// FindHeir finds who comes after the owner of a group: the admin who has been in
// it longest or, if there is none, the member. The actor, who may have removed the
// owner, and whoever may not sign in come last. ErrNotFound if there is nobody.
func (tx *Tx) FindHeir(chatID, actorID int64) (Participant, error) {
	p, err := first(tx, scanParticipant, `
		SELECT `+participantColumns+`
		FROM participants p JOIN users u ON u.id = p.user_id
		WHERE p.chat_id = ?1 AND p.role <> 'owner'
		ORDER BY u.deactivated_at IS NOT NULL, p.user_id = ?2, p.role, p.joined_at, p.user_id LIMIT 1`,
		chatID, actorID) // admin before member
	if err != nil {
		return Participant{}, fmt.Errorf("find heir: %w", err)
	}
	return p, nil
}

// SetRole gives a participant a role; ErrNotFound if they are not in the chat.
func (tx *Tx) SetRole(chatID, userID int64, role string) error {
	err := tx.execOne(`UPDATE participants SET role = ?3 WHERE chat_id = ?1 AND user_id = ?2`, chatID, userID, role)
	if err != nil {
		return fmt.Errorf("set role: %w", err)
	}
	return nil
}

// FindParticipantsByKey finds who takes part in a chat of those who have one of
// these folded usernames.
func (tx *Tx) FindParticipantsByKey(chatID int64, keys []string) (map[string]int64, error) {
	args := arguments{chatID}
	in := among(&args, keys)
	type named struct {
		key string
		id  int64
	}
	// A subquery for each of the few users: what is walked through must not be
	// the participants.
	found, err := list(tx, len(keys), func(row scanner, n *named) error { return row.Scan(&n.key, &n.id) }, `
		SELECT u.username_key, u.id FROM users u
		WHERE u.username_key IN (`+in+`)
			AND (SELECT p.user_id FROM participants p WHERE p.chat_id = ?1 AND p.user_id = u.id) IS NOT NULL`, args...)
	if err != nil {
		return nil, fmt.Errorf("find participants by key: %w", err)
	}
	ids := make(map[string]int64, len(found))
	for _, n := range found {
		ids[n.key] = n.id
	}
	return ids, nil
}
