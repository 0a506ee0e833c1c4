package chat

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/caddymsg/messaging/store"
)

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
			if r.UserID != m.SenderID && r.ReadSeq >= m.Seq {
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
	var senders []int64
	from, to := int64(math.MaxInt64), int64(0)
	for _, m := range messages {
		senders = append(senders, m.SenderID)
		from, to = min(from, m.Seq), max(to, m.Seq)
	}
	slices.Sort(senders)
	senders = slices.Compact(senders)
	counts, err := tx.CountReadSeqs(chatID, from, to, senders)
	if err != nil {
		return err
	}
	bySeq := map[int64]int{}                // who has read up to it, and no more
	bySender := make(map[int64]int64, len(senders)) // what they have read themselves
	for _, c := range counts {
		bySeq[c.Seq] += c.Count
		if c.UserID != 0 {
			bySender[c.UserID] = c.Seq
		}
	}
	// The last message first: who has read it has read those before it, too.
	order := make([]int, len(messages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(messages[b].Seq, messages[a].Seq) })
	read := slices.SortedFunc(maps.Keys(bySeq), func(a, b int64) int { return cmp.Compare(b, a) })
	total := 0
	for _, i := range order {
		m := &messages[i]
		for len(read) > 0 && read[0] >= m.Seq {
			total += bySeq[read[0]]
			read = read[1:]
		}
		count := total
		if seq, in := bySender[m.SenderID]; in && seq >= m.Seq {
			count--
		}
		m.ReadCount, m.ReadBy = &count, nil
	}
	return nil
}
