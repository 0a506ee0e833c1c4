package auth

import (
	"sync"
	"time"
)

// seldomEvery is how often a line that a flood would repeat is logged.
const seldomEvery = time.Second

// Seldom keeps a flood of refusals from being one of lines in the log. Its zero value
// may be used from many goroutines; nil leaves nothing out.
type Seldom struct {
	mu   sync.Mutex
	last time.Time
	left int
}

// Due tells whether a line is to be logged now, and how many were left out since the last.
func (s *Seldom) Due(now time.Time) (left int, due bool) {
	if s == nil {
		return 0, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.last.IsZero() && now.Sub(s.last) < seldomEvery {
		s.left++
		return 0, false
	}
	left, s.left, s.last = s.left, 0, now
	return left, true
}
