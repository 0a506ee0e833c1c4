package store

import (
	"fmt"
	"time"
)

// Edit is a text that a message had before it was edited.
type Edit struct {
	Version   int64 // 1, 2, 3…
	Text      string
	CreatedAt time.Time // when it was written
}

// EditMessage stores the text, the mentions and EditedAt of a message, and keeps
// the text that it had.
func (tx *Tx) EditMessage(m *Message) error {
	m.flags |= flagEdited
	m.flags &^= flagMentions
	if len(m.Mentions) > 0 {
		m.flags |= flagMentions
	}
	err := tx.execOne(`
		INSERT INTO message_edits (message_id, version, text, created_at)
		SELECT id, (SELECT coalesce(max(version), 0) + 1 FROM message_edits WHERE message_id = ?1),
			text, coalesce(edited_at, created_at)
		FROM messages WHERE id = ?1`, m.ID)
	if err == nil {
		err = tx.execOne(`
			UPDATE messages SET text = ?2, mentions = ?3, edited_at = ?4, flags = (flags & ?5) | ?6
			WHERE id = ?1`,
			m.ID, m.Text, encodeMentions(m.Mentions), micros(m.EditedAt), ^int64(flagMentions), m.flags&(flagEdited|flagMentions))
	}
	if err != nil {
		return fmt.Errorf("edit message: %w", err)
	}
	return nil
}

// CountEdits tells how often a message has been edited.
func (tx *Tx) CountEdits(messageID int64) (n int, err error) {
	if err := tx.one(`SELECT count(*) FROM message_edits WHERE message_id = ?1`, []any{messageID}, &n); err != nil {
		return 0, fmt.Errorf("count edits: %w", err)
	}
	return n, nil
}

// ListEdits lists the texts that a message had, oldest first.
func (tx *Tx) ListEdits(messageID int64) ([]Edit, error) {
	found, err := list(tx, 8, func(row scanner, e *Edit) error {
		var created int64
		err := row.Scan(&e.Version, &e.Text, &created)
		e.CreatedAt = fromMicros(created)
		return err
	}, `SELECT version, text, created_at FROM message_edits WHERE message_id = ?1 ORDER BY version`, messageID)
	if err != nil {
		return nil, fmt.Errorf("list edits: %w", err)
	}
	return found, nil
}

// DeleteMessage takes the text of a message away, and all that was added to it,
// and stores DeletedAt and ClientID. What is left keeps its place in the chat and in a thread.
func (tx *Tx) DeleteMessage(m *Message) error {
	flags := m.flags
	*m = Message{
		ID: m.ID, ChatID: m.ChatID, ChatKind: m.ChatKind, Seq: m.Seq, SenderID: m.SenderID, SenderUsername: m.SenderUsername,
		ClientID: m.ClientID, CreatedAt: m.CreatedAt, DeletedAt: m.DeletedAt,
		ReplyTo: m.ReplyTo, ThreadID: m.ThreadID, ReplyCount: m.ReplyCount,
		flags: flags&(flagReply|flagReplied) | flagDeleted,
	}
	err := tx.execOne(`
		UPDATE messages SET text = '', mentions = NULL, edited_at = NULL, deleted_at = ?2, flags = (flags & ?3) | ?4, client_id = ?5
		WHERE id = ?1`, m.ID, micros(m.DeletedAt), flagReply|flagReplied, flagDeleted, orNull(m.ClientID))
	for _, of := range []struct {
		flag  int64
		query string
	}{
		{flagEdited, `DELETE FROM message_edits WHERE message_id = ?1`},
		{flagReactions, `DELETE FROM reactions WHERE message_id = ?1`},
		{flagPoll, `DELETE FROM polls WHERE message_id = ?1`}, // and the votes
	} {
		if err == nil && flags&of.flag != 0 {
			_, err = tx.exec(of.query, m.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("delete message: %w", err)
	}
	return nil
}

// HideMessage hides a message from a user, for good; ErrConflict if it is hidden.
func (tx *Tx) HideMessage(userID, id int64) error {
	_, err := tx.exec(`INSERT INTO hidden_messages (user_id, message_id) VALUES (?1, ?2)`, userID, id)
	if err != nil {
		return fmt.Errorf("hide message: %w", err)
	}
	return nil
}

// CountReplies adds to the number of messages in the thread that a message began;
// ErrNotFound if there is no such message.
func (tx *Tx) CountReplies(id int64, more int) error {
	err := tx.execOne(`UPDATE messages SET reply_count = reply_count + ?2, flags = flags | ?3 WHERE id = ?1`, id, more, flagReplied)
	if err != nil {
		return fmt.Errorf("count replies: %w", err)
	}
	return nil
}
