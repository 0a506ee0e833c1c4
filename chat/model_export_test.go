package chat

import "time"

// SetClock has the rules ask a clock of the test's.
func (s *Service) SetClock(now func() time.Time) { s.now = now }
