package chat

import (
	"cmp"
	"context"
	"errors"
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
	return s.moveWatermarks(ctx, caller, chatID, seq, moveRead)
}

func moveRead(p *store.Participant, seq int64) {
	p.ReadSeq = max(p.ReadSeq, seq)
	p.DeliveredSeq = max(p.DeliveredSeq, p.ReadSeq)
	p.MarkedUnread = false
}

// ReadMessage is Read up to a message of somebody else's in the chat. It returns the
// message, and whether that was new; the caller's own is read by nobody by this. It
// returns Forbidden if the caller is not in the chat, and NotFound for a message that is
// not there, or in another chat.
func (s *Service) ReadMessage(ctx context.Context, caller Caller, chatID, id int64) (m Message, news bool, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return err
		}
		if m, err = messageOf(tx, caller, id); err != nil {
			return err
		}
		if m.ChatID != chatID || !m.DeletedAt.IsZero() {
			return errNoSuchMessage()
		}
		return s.decorateOne(tx, caller, &m)
	})
	if err != nil || m.SenderID == caller.UserID {
		return m, false, err
	}
	_, err = s.moveWatermarks(ctx, caller, chatID, &m.Seq, func(p *store.Participant, seq int64) {
		news = seq > p.ReadSeq
		moveRead(p, seq)
	})
	return m, news, err
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
		return appendWatermarks(tx, c, before, after, s.now())
	})
	return marks, err
}

// tellReading tells a chat that the caller has read all that is in it, if that is new.
func tellReading(tx *store.Tx, caller Caller, chatID int64, at time.Time) error {
	c, before, err := lockPlace(tx, caller, chatID)
	if err != nil || before.ReadSeq == c.LastSeq {
		return err
	}
	after := before
	moveRead(&after, c.LastSeq)
	return appendWatermarks(tx, c, before, after, at)
}

// appendWatermarks tells the chat what moved, and the participant's other
// devices if it was only the mark, which is nobody else's business.
func appendWatermarks(tx *store.Tx, c Chat, before, after store.Participant, at time.Time) error {
	e := store.Event{ChatID: after.ChatID, ActorID: after.UserID, UserID: after.UserID, At: at}
	switch {
	case after.ReadSeq != before.ReadSeq:
		e.Type, e.Data = store.ChatRead, eventData(map[string]int64{"seq": after.ReadSeq})
		// By its id, too: there are APIs that have no numbers.
		id, err := tx.FindLastOfOthers(c, after.UserID, before.ReadSeq, after.ReadSeq)
		switch {
		case err == nil:
			e.Message = &Message{ID: id}
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	case after.DeliveredSeq != before.DeliveredSeq:
		e.Type, e.Data = store.ChatDelivered, eventData(map[string]int64{"seq": after.DeliveredSeq})
	default:
		return appendSettings(tx, after, at)
	}
	return tx.AppendEvent(e)
}

// Reader is a participant who has read a message.
type Reader = store.Reader

// Readers are those who have read a message, but for its sender and those who
// joined the chat later: how many, and a part of them, by their ids.
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
			if r.Has(*m) {
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
	senders := make([]int64, 0, len(messages))
	times := make([]time.Time, 0, len(messages))
	from, to := messages[0].Seq, messages[0].Seq
	for _, m := range messages {
		senders = append(senders, m.SenderID)
		times = append(times, m.CreatedAt)
		from, to = min(from, m.Seq), max(to, m.Seq)
	}
	slices.Sort(senders)
	senders = slices.Compact(senders)
	slices.SortFunc(times, time.Time.Compare)
	counts, err := tx.CountReadSeqs(chatID,
		store.Moment{Seq: from, At: times[0]}, store.Moment{Seq: to, At: times[len(times)-1]}, senders)
	if err != nil {
		return err
	}
	bySender := make(map[int64]store.Reader, len(senders)) // what they have read themselves
	for _, c := range counts {
		if c.UserID != 0 {
			bySender[c.UserID] = store.Reader{UserID: c.UserID, ReadSeq: c.Seq, JoinedAt: c.JoinedAt}
		}
	}
	// The last message first: who has read it has read those before it, too, of
	// those that they were there for.
	order := make([]int, len(messages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(messages[b].Seq, messages[a].Seq) })
	slices.SortFunc(counts, func(a, b store.ReadCount) int { return cmp.Compare(b.Seq, a.Seq) })
	since := make([]int, len(times)) // readers, by the first of the times that they were there at
	for _, i := range order {
		m := &messages[i]
		for len(counts) > 0 && counts[0].Seq >= m.Seq {
			first, _ := slices.BinarySearchFunc(times, counts[0].JoinedAt, time.Time.Compare)
			since[first] += counts[0].Count
			counts = counts[1:]
		}
		count := 0
		for j := 0; j < len(times) && !times[j].After(m.CreatedAt); j++ {
			count += since[j]
		}
		if r, in := bySender[m.SenderID]; in && r.ReadSeq >= m.Seq && !r.JoinedAt.After(m.CreatedAt) {
			count--
		}
		m.ReadCount, m.ReadBy = &count, nil
	}
	return nil
}
