package limit

// SetMaxBuckets has the limiter remember fewer keys.
func (l *Limiter) SetMaxBuckets(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.tables {
		t.max = n
	}
}

// Remembered is how many keys it remembers of a limit.
func (l *Limiter) Remembered(name Name) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tables[name]
	if len(t.buckets) != len(t.byTime) {
		panic("the queue has others than the table")
	}
	return len(t.buckets)
}

// Shared tells whether a limit is one of all nodes together.
func Shared(name Name) bool { return name.shared() }

// SetClock has the limiter read another clock, in microseconds.
func (l *Limiter) SetClock(now func() int64) { l.now = now }

// Overflows tells whether keys share buckets of a limit.
func (l *Limiter) Overflows(name Name) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[name].overflow != nil
}
