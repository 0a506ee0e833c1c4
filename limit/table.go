package limit

import (
	"container/heap"
	"hash/maphash"
)

// How much is remembered of one limit.
const (
	maxBuckets      = 1 << 16
	overflowBuckets = 1 << 10
)

// table has the buckets of one limit. It is bounded: a flood of keys gets no more
// memory than that, and makes it forget no debt. What has no place in it shares a few
// buckets with others, unless the database remembers it: people that nobody has heard of
// would all be refused in the midst of a flood.
type table struct {
	rate    Rate
	max     int
	buckets map[uint64]*bucket
	byTime  queue
	// overflow is when each of the shared buckets will be full; nil, as long as there
	// was room.
	overflow []int64
	// stored says that the database knows what is owed, too: then what has no place here
	// is not remembered here, and the database is asked.
	stored bool
}

// bucket is what one key has left.
type bucket struct {
	id     uint64 // of the key
	fullAt int64
	place  int // in the queue
}

func newTable(rate Rate, bound int, stored bool) *table {
	return &table{rate: rate, max: bound, buckets: map[uint64]*bucket{}, stored: stored}
}

// seed keeps a client from choosing keys that share a bucket.
type seed struct{ maphash.Seed }

func (s seed) id(key string) uint64 { return maphash.String(s.Seed, key) }

// fullAt is when the bucket of a key will be full.
func (t *table) fullAt(id uint64) int64 {
	if b := t.buckets[id]; b != nil {
		return b.fullAt
	}
	if t.overflow != nil {
		return t.overflow[id%overflowBuckets] // the key may have a share in it
	}
	return 0
}

// set puts the bucket of a key to where it will be full at a time. It tells whether
// that is a bucket that others share.
func (t *table) set(id uint64, fullAt, now int64) (overflowed bool) {
	if b := t.buckets[id]; b != nil {
		b.fullAt = fullAt
		heap.Fix(&t.byTime, b.place)
		return false
	}
	// As fast as buckets are made, those that say nothing go.
	for range 2 {
		if len(t.byTime) > 0 && t.byTime[0].fullAt <= now {
			delete(t.buckets, heap.Pop(&t.byTime).(*bucket).id)
		}
	}
	if len(t.buckets) >= t.max {
		if t.stored {
			return false
		}
		if t.overflow == nil {
			t.overflow = make([]int64, overflowBuckets)
		}
		t.overflow[id%overflowBuckets] = fullAt
		return true
	}
	b := &bucket{id: id, fullAt: fullAt}
	t.buckets[id] = b
	heap.Push(&t.byTime, b)
	return false
}

// giveBack returns what was taken from the bucket of a key. If the bucket has gone
// since, it was full again.
func (t *table) giveBack(id uint64, overflowed bool, taken, now int64, n int) {
	if b := t.buckets[id]; b != nil {
		b.fullAt = t.rate.giveBack(b.fullAt, taken, now, n)
		heap.Fix(&t.byTime, b.place)
		return
	}
	if overflowed {
		shared := &t.overflow[id%overflowBuckets]
		*shared = t.rate.giveBack(*shared, taken, now, n)
	}
}

// queue is a heap of buckets, of which the first is the one that is full first.
type queue []*bucket

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].fullAt < q[j].fullAt }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	b := x.(*bucket)
	b.place = len(*q)
	*q = append(*q, b)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	b := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return b
}
