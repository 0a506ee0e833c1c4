package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate says how often something may be done: so many times in a while, and so many
// at once by whoever has done nothing for long. The zero Rate is no limit.
type Rate struct {
	Events int
	Per    time.Duration
	Burst  int
}

// maxWindow bounds how long it takes until a bucket is full again, so that its
// arithmetic does not overflow.
const maxWindow = 366 * 24 * time.Hour

// Parse reads a rate, `20/1s 100` or `10/15m`, where the burst is the number of
// events; or `off`.
func Parse(s string) (Rate, error) {
	if s == "off" {
		return Rate{}, nil
	}
	var r Rate
	var err error
	rate, burst, given := strings.Cut(s, " ")
	events, per, ok := strings.Cut(rate, "/")
	if r.Events, err = strconv.Atoi(events); err == nil {
		r.Per, err = time.ParseDuration(per)
	}
	r.Burst = r.Events
	if err == nil && given {
		r.Burst, err = strconv.Atoi(strings.TrimSpace(burst))
	}
	if err != nil || !ok || r.Events < 1 || r.Per <= 0 || r.Burst < 1 {
		return Rate{}, fmt.Errorf("%q is neither off nor <events>/<duration> [<burst>], such as 20/1s 100", s)
	}
	switch {
	case r.Per/time.Duration(r.Events) < time.Microsecond:
		return Rate{}, fmt.Errorf("%q is more than a million a second; for no limit: off", s)
	case r.cost() > int64(maxWindow/time.Microsecond)/int64(r.Burst):
		return Rate{}, errors.New("it takes more than a year until so many are allowed again")
	}
	return r, nil
}

// String is what [Parse] reads.
func (r Rate) String() string {
	switch {
	case r == Rate{}:
		return "off"
	case r.Burst == r.Events:
		return fmt.Sprintf("%d/%s", r.Events, r.Per)
	}
	return fmt.Sprintf("%d/%s %d", r.Events, r.Per, r.Burst)
}

// The arithmetic is that of the generic cell rate algorithm: each event costs a
// while, and a bucket has room for so many of them. All that there is to know of a
// bucket is when it will be full again, if nothing more is taken from it. If that
// time has passed, the bucket says nothing, and need not be kept. Times are in
// microseconds, as the database has them.

// cost of an event. It is rounded up: there is never more than the rate says.
func (r Rate) cost() int64 {
	return (r.Per.Microseconds() + int64(r.Events) - 1) / int64(r.Events)
}

// room is what a full bucket has.
func (r Rate) room() int64 { return int64(r.Burst) * r.cost() }

// Window is how long it takes until an empty bucket is full.
func (r Rate) Window() time.Duration {
	// Without what the cost of each event is rounded up by.
	window := float64(r.Per) * float64(r.Burst) / float64(r.Events)
	return max(time.Millisecond, time.Duration(window).Round(time.Millisecond))
}

// take takes n events from a bucket, if they are there. More than a bucket ever has
// are there if it is full: then they are owed.
func (r Rate) take(fullAt, now int64, n int) (after int64, ok bool) {
	after = max(fullAt, now) + int64(n)*r.cost()
	return after, after <= now+r.room() || n > r.Burst && fullAt <= now
}

// wait is how long it takes until n events are there.
func (r Rate) wait(fullAt, now int64, n int) time.Duration {
	missing := fullAt + min(int64(n)*r.cost(), r.room()) - r.room() - now
	return time.Duration(max(0, missing)) * time.Microsecond
}

// giveBack returns to a bucket what was taken before, as far as it has not come back
// by itself since: else whoever gives back late would have more than the rate says.
func (r Rate) giveBack(fullAt, taken, now int64, n int) (after int64) {
	return fullAt - max(0, int64(n)*r.cost()-(now-taken))
}
