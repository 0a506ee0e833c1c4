package chat

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Watermarks are how far somebody is in a chat.
type Watermarks struct {
	ReadSeq, DeliveredSeq int64
	Unread                int64 // messages
	MarkedUnread          bool
}

// Read says that the caller has read a chat up to a message, by its number in
// the chat, or to its end if seq is nil. What was read further stays so; a mark
// as unread goes. It returns Forbidden if the caller is not in the chat, and
// Invalid for a number that the chat does not have.
func (s *Service) Read(ctx context.Context, caller Caller, chatID int64, seq *int64) (Watermarks, error) {
	return s.moveWatermarks(ctx, caller, chatID, seq, func(p *store.Participant, seq int64) {
		p.ReadSeq = max(p.ReadSeq, seq)
		p.DeliveredSeq = max(p.DeliveredSeq, p.ReadSeq)
		p.MarkedUnread = false
	})
}

// Delivered says that the messages of a chat have come to a device of the
// caller's, up to one, by its number in the chat. It returns what [Service.Read]
// does.
func (s *Service) Delivered(ctx context.Context, caller Caller, chatID, seq int64) (Watermarks, error) {
	return s.moveWatermarks(ctx, caller, chatID, &seq, func(p *store.Participant, seq int64) {
		p.DeliveredSeq = max(p.DeliveredSeq, seq)
	})
}

func (s *Service) moveWatermarks(
	ctx context.Context, caller Caller, chatID int64, seq *int64, move func(*store.Participant, int64),
) (Watermarks, error) {
	var marks Watermarks
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		c, before, err := lockPlace(tx, caller, chatID)
		if err != nil {
			return err
		}
		upTo := c.LastSeq
		if seq != nil {
			upTo = *seq
		}
		if upTo < 0 || upTo > c.LastSeq {
			return invalid("seq", "seq_invalid", "seq is the number of a message of this chat.")
		}
		after := before
		move(&after, upTo)
		marks = Watermarks{
			ReadSeq: after.ReadSeq, DeliveredSeq: after.DeliveredSeq,
			Unread: c.LastSeq - after.ReadSeq, MarkedUnread: after.MarkedUnread,
		}
		if after == before {
			return nil
		}
		if err := tx.SetWatermarks(after); err != nil {
			return err
		}
		return appendWatermarks(tx, before, after, s.now())
	})
	return marks, err
}

// appendWatermarks tells the chat what moved, and the participant's other
// devices if it was only the mark, which is nobody else's business.
func appendWatermarks(tx *store.Tx, before, after store.Participant, at time.Time) error {
	e := store.Event{ChatID: after.ChatID, ActorID: after.UserID, UserID: after.UserID, At: at}
	switch {
	case after.ReadSeq != before.ReadSeq:
		e.Type, e.Data = store.ChatRead, eventData(map[string]int64{"seq": after.ReadSeq})
	case after.DeliveredSeq != before.DeliveredSeq:
		e.Type, e.Data = store.ChatDelivered, eventData(map[string]int64{"seq": after.DeliveredSeq})
	default:
		return appendSettings(tx, after, at)
	}
	return tx.AppendEvent(e)
}

// Reader is a participant who has read a message.
type Reader = store.Reader

// Readers are those who have read a message, but for its sender: how many, and
// a part of them, by their ids.
type Readers struct {
	Read, Delivered int
	List            []Reader
}

// Readers tells who has read a message. Limit is as that of a [Selection]. It
// returns NotFound for a message that the caller does not see, and Invalid for
// the limit and the offset.
func (s *Service) Readers(ctx context.Context, caller Caller, messageID int64, limit, offset int) (Readers, error) {
	limit, err := listLimit(limit, offset)
	if err != nil {
		return Readers{}, err
	}
	var readers Readers
	err = s.store.View(ctx, func(tx *store.Tx) error {
		m, err := tx.FindMessage(caller.UserID, messageID)
		if err != nil {
			return refuse(err, store.ErrNotFound, errNoSuchMessage())
		}
		readers.Read, readers.Delivered, err = tx.CountReaders(m)
		if err != nil {
			return err
		}
		readers.List, err = tx.ListReaders(m, limit, offset)
		return err
	})
	return readers, err
}

// maxReadBy is the largest chat whose messages tell by name who has read them.
const maxReadBy = 20

// countReaders sets on each message of a chat how many of the others have read
// it, and in a small chat who they are. However many messages there are, it
// makes one query, in a larger chat two.
func countReaders(tx *store.Tx, chatID int64, messages []Message) error {
	if len(messages) == 0 {
		return nil
	}
	readers, err := tx.ListReadSeqs(chatID, maxReadBy+1)
	if err != nil {
		return err
	}
	if len(readers) > maxReadBy {
		return countManyReaders(tx, chatID, messages)
	}
	for i := range messages {
		m := &messages[i]
		m.ReadBy = nil
		for _, r := range readers {
			if r.UserID != m.SenderID && r.ReadSeq >= m.Seq && !r.JoinedAt.After(m.CreatedAt) {
				m.ReadBy = append(m.ReadBy, r.Username)
			}
		}
		count := len(m.ReadBy)
		m.ReadCount = &count
	}
	return nil
}

// countManyReaders is countReaders for a chat that is too large to name them.
func countManyReaders(tx *store.Tx, chatID int64, messages []Message) error {
	page := make([]*Message, len(messages)) // by their numbers, and so by their times
	senders := make([]int64, len(messages))
	for i := range messages {
		page[i], senders[i] = &messages[i], messages[i].SenderID
	}
	slices.SortFunc(page, func(a, b *Message) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.Sort(senders)
	counts, err := tx.CountReadSeqs(chatID, *page[0], *page[len(page)-1], slices.Compact(senders))
	if err != nil {
		return err
	}
	more := make([]int, len(page)+1) // than have read the message before
	bySender := map[int64][2]int{}   // what of the page they have read themselves
	for _, c := range counts {
		from, _ := slices.BinarySearchFunc(page, c.JoinedAt, func(m *Message, at time.Time) int { return m.CreatedAt.Compare(at) })
		to, _ := slices.BinarySearchFunc(page, c.Seq+1, func(m *Message, seq int64) int { return cmp.Compare(m.Seq, seq) })
		if from >= to {
			continue
		}
		more[from] += c.Count
		more[to] -= c.Count
		if c.UserID != 0 {
			bySender[c.UserID] = [2]int{from, to}
		}
	}
	total := 0
	for i, m := range page {
		total += more[i]
		count := total
		if of := bySender[m.SenderID]; of[0] <= i && i < of[1] {
			count--
		}
		m.ReadCount, m.ReadBy = &count, nil
	}
	return nil
}
