package store

import (
	"fmt"
	"time"
)

// Reader is a participant of a chat, as one who has read something.
type Reader struct {
	UserID   int64
	Username string
	ReadSeq  int64 // up to this message
	JoinedAt time.Time
}

// Has tells whether they have read a message of the chat. What was said before
// they came is not for them to read, whatever ReadSeq says.
func (r Reader) Has(m Message) bool {
	return r.ReadSeq >= m.Seq && !r.JoinedAt.After(m.CreatedAt) && r.UserID != m.SenderID
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

// ListReaders lists up to limit participants of a chat who have read a message of
// somebody else's, but for those who joined later; by their ids, the first of them
// left out.
func (tx *Tx) ListReaders(m Message, limit, offset int) ([]Reader, error) {
	found, err := list(tx, min(limit, 64), scanReader, selectReaders+`
		WHERE p.chat_id = ?1 AND p.user_id <> ?2 AND p.read_seq >= ?3 AND p.joined_at <= ?4
		ORDER BY p.user_id LIMIT ?5 OFFSET ?6`, m.ChatID, m.SenderID, m.Seq, micros(m.CreatedAt), limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list readers: %w", err)
	}
	return found, nil
}

// CountReaders tells how many participants of a chat have read a message of
// somebody else's, and to how many it has come, but for those who joined later.
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
// message, and joined at the same time.
type ReadCount struct {
	UserID   int64 // if it is of one who is counted alone, and else 0
	Seq      int64
	JoinedAt time.Time
	Count    int
}

// Moment is when a message of a chat was sent, and which number it got.
type Moment struct {
	Seq int64
	At  time.Time
}

// CountReadSeqs counts the participants of a chat by what they have read, and by
// when they joined, those apart who are in a list. Who has not read from yet is left
// out, and so is who joined behind to; who has read more than to counts as one who
// has read that, and who joined before from as one who joined then.
func (tx *Tx) CountReadSeqs(chatID int64, from, to Moment, apart []int64) ([]ReadCount, error) {
	args := arguments{chatID, from.Seq, to.Seq, micros(from.At), micros(to.At)}
	ids := among(&args, apart)
	found, err := list(tx, 64, func(row scanner, c *ReadCount) error {
		var joined int64
		err := row.Scan(&c.UserID, &c.Seq, &joined, &c.Count)
		c.JoinedAt = fromMicros(joined)
		return err
	}, `
		SELECT r.user_id, r.seq, r.joined_at, count(*) FROM (
			SELECT CASE WHEN user_id IN (`+ids+`) THEN user_id ELSE 0 END AS user_id,
				CASE WHEN read_seq > ?3 THEN ?3 ELSE read_seq END AS seq,
				CASE WHEN joined_at < ?4 THEN ?4 ELSE joined_at END AS joined_at
			FROM participants WHERE chat_id = ?1 AND read_seq >= ?2 AND joined_at <= ?5) r
		GROUP BY r.user_id, r.seq, r.joined_at`, args...)
	if err != nil {
		return nil, fmt.Errorf("count what has been read: %w", err)
	}
	return found, nil
}
