package store

import (
	"fmt"
	"strings"
)

// Reader is a participant of a chat, as one who has read something.
type Reader struct {
	UserID   int64
	Username string
	ReadSeq  int64 // up to this message
}

func scanReader(row scanner, r *Reader) error {
	return row.Scan(&r.UserID, &r.Username, &r.ReadSeq)
}

const selectReaders = `
	SELECT p.user_id, u.username, p.read_seq
	FROM participants p JOIN users u ON u.id = p.user_id
`

// ListReaders lists up to limit participants of a chat, but for one, who have
// read the message that has a seq; by their ids, the first of them left out.
func (tx *Tx) ListReaders(chatID, butFor, seq int64, limit, offset int) ([]Reader, error) {
	found, err := list(tx, min(limit, 64), scanReader, selectReaders+`
		WHERE p.chat_id = ?1 AND p.user_id <> ?2 AND p.read_seq >= ?3
		ORDER BY p.user_id LIMIT ?4 OFFSET ?5`, chatID, butFor, seq, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list readers: %w", err)
	}
	return found, nil
}

// CountReaders tells how many participants of a chat, but for one, have read
// the message that has a seq, and to how many it has come.
func (tx *Tx) CountReaders(chatID, butFor, seq int64) (read, delivered int, err error) {
	err = tx.one(`
		SELECT coalesce(sum(CASE WHEN read_seq >= ?3 THEN 1 ELSE 0 END), 0), count(*)
		FROM participants
		WHERE chat_id = ?1 AND user_id <> ?2 AND delivered_seq >= ?3`, []any{chatID, butFor, seq}, &read, &delivered)
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
// message.
type ReadCount struct {
	UserID int64 // if it is of one who is counted alone, and else 0
	Seq    int64
	Count  int
}

// CountReadSeqs counts the participants of a chat by what they have read, up to
// a seq, those apart who are in a list. Who has not read from yet is left out,
// and who has read more than to counts as one who has read that.
func (tx *Tx) CountReadSeqs(chatID, from, to int64, apart []int64) ([]ReadCount, error) {
	ids, args := inList(apart, chatID, from, to)
	found, err := list(tx, 64, func(row scanner, c *ReadCount) error {
		return row.Scan(&c.UserID, &c.Seq, &c.Count)
	}, `
		SELECT r.user_id, r.seq, count(*) FROM (
			SELECT CASE WHEN user_id IN (`+ids+`) THEN user_id ELSE 0 END AS user_id,
				CASE WHEN read_seq > ?3 THEN ?3 ELSE read_seq END AS seq
			FROM participants WHERE chat_id = ?1 AND read_seq >= ?2) r
		GROUP BY r.user_id, r.seq`, args...)
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
