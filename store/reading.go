package store

import (
	"fmt"
	"strings"
	"time"
)

// Reader is a participant of a chat, as one who has read something.
type Reader struct {
	UserID   int64
	Username string
	ReadSeq  int64 // up to this message
	JoinedAt time.Time
}

func scanReader(row scanner, r *Reader) error {
	var joined int64
	err := row.Scan(&r.UserID, &r.Username, &r.ReadSeq, &joined)
	r.JoinedAt = fromMicros(joined)
	return err
}

const selectReaders = `
	SELECT p.user_id, u.username, p.read_seq, p.joined_at
	FROM participants p JOIN users u ON u.id = p.user_id
`

// ListReaders lists up to limit participants of a message's chat, but for its
// sender, who have read it; by their ids, the first of them left out. What was said
// before they joined is marked as read, but they have not read it.
func (tx *Tx) ListReaders(m Message, limit, offset int) ([]Reader, error) {
	found, err := list(tx, min(limit, 64), scanReader, selectReaders+`
		WHERE p.chat_id = ?1 AND p.user_id <> ?2 AND p.read_seq >= ?3 AND p.joined_at <= ?6
		ORDER BY p.user_id LIMIT ?4 OFFSET ?5`, m.ChatID, m.SenderID, m.Seq, limit, offset, micros(m.CreatedAt))
	if err != nil {
		return nil, fmt.Errorf("list readers: %w", err)
	}
	return found, nil
}

// CountReaders tells how many participants of a message's chat, but for its
// sender, have read it, and to how many it has come; of those who were in the chat
// by then.
func (tx *Tx) CountReaders(m Message) (read, delivered int, err error) {
	err = tx.one(`
		SELECT coalesce(sum(CASE WHEN read_seq >= ?3 THEN 1 ELSE 0 END), 0), count(*)
		FROM participants
		WHERE chat_id = ?1 AND user_id <> ?2 AND delivered_seq >= ?3 AND joined_at <= ?4`,
		[]any{m.ChatID, m.SenderID, m.Seq, micros(m.CreatedAt)}, &read, &delivered)
	if err != nil {
		return 0, 0, fmt.Errorf("count readers: %w", err)
	}
	return read, delivered, nil
}

// ListReadSeqs lists up to limit participants of a chat, by their ids.
func (tx *Tx) ListReadSeqs(chatID int64, limit int) ([]Reader, error) {
	found, err := list(tx, min(limit, 64), scanReader, selectReaders+`
		WHERE p.chat_id = ?1 ORDER BY p.user_id LIMIT ?2`, chatID, limit)
	if err != nil {
		return nil, fmt.Errorf("list what has been read: %w", err)
	}
	return found, nil
}

// ReadCount is how many participants of a chat have read up to the same
// message, since the same time.
type ReadCount struct {
	UserID   int64 // if it is of one who is counted alone, and else 0
	Seq      int64
	JoinedAt time.Time // zero, if they were in the chat before the first message
	Count    int
}

// CountReadSeqs counts the participants of a chat by what they have read from one
// message to another, those apart who are in a list. Who has not read the first
// yet, or has joined after the last, is left out, and who has read more than the
// last counts as one who has read that.
func (tx *Tx) CountReadSeqs(chatID int64, first, last Message, apart []int64) ([]ReadCount, error) {
	ids, args := inList(apart, chatID, first.Seq, last.Seq, micros(first.CreatedAt), micros(last.CreatedAt))
	found, err := list(tx, 64, func(row scanner, c *ReadCount) error {
		var joined int64
		err := row.Scan(&c.UserID, &c.Seq, &joined, &c.Count)
		if joined != 0 {
			c.JoinedAt = fromMicros(joined)
		}
		return err
	}, `
		SELECT r.user_id, r.seq, r.joined, count(*) FROM (
			SELECT CASE WHEN user_id IN (`+ids+`) THEN user_id ELSE 0 END AS user_id,
				CASE WHEN read_seq > ?3 THEN ?3 ELSE read_seq END AS seq,
				CASE WHEN joined_at <= ?4 THEN 0 ELSE joined_at END AS joined
			FROM participants WHERE chat_id = ?1 AND read_seq >= ?2 AND joined_at <= ?5) r
		GROUP BY r.user_id, r.seq, r.joined`, args...)
	if err != nil {
		return nil, fmt.Errorf("count what has been read: %w", err)
	}
	return found, nil
}

// inList returns the placeholders for a list of ids, to stand in an IN (…), and
// the arguments of the query: those that come before the list, and the list. Its
// length is rounded up, for each length is a statement to prepare.
func inList(ids []int64, before ...any) (placeholders string, args []any) {
	length := 1
	for length < len(ids) {
		length *= 2
	}
	args = before
	var b strings.Builder
	for i := range length {
		if i > 0 {
			b.WriteByte(',')
		}
		id := int64(0) // nothing has it
		if i < len(ids) {
			id = ids[i]
		}
		args = append(args, id)
		fmt.Fprintf(&b, "?%d", len(args))
	}
	return b.String(), args
}
