package chat

import (
	"context"
	"errors"
	"strconv"

	"github.com/caddymsg/messaging/limit"
)

// Limit bounds how often rules do what callers ask for. Without it there are no bounds.
// It is called before the service is used.
func (s *Service) Limit(by *limit.Limiter) { s.limits = by }

// take counts what a caller asks for so many times: for themselves, and for the
// address that they come from. It returns TooMany.
func (s *Service) take(ctx context.Context, caller Caller, own, ofAddress limit.Name, events int) error {
	_, err := s.limits.Take(ctx,
		limit.Ask{Limit: own, Key: strconv.FormatInt(caller.UserID, 10), Events: events},
		limit.Ask{Limit: ofAddress, Key: limit.Network(caller.Address), Events: events})
	return Limited(err)
}

// takeSearch counts a search, of whatever kind: it may have to look through much.
func (s *Service) takeSearch(ctx context.Context, caller Caller) error {
	return s.take(ctx, caller, limit.Search, limit.SearchAddress, 1)
}

// CountChange counts a request of the caller that changes something. It returns TooMany.
func (s *Service) CountChange(ctx context.Context, caller Caller) error {
	_, err := s.limits.Take(ctx, limit.Ask{Limit: limit.Changes, Key: strconv.FormatInt(caller.UserID, 10)})
	return Limited(err)
}

// Limited is the refusal TooMany in place of a limit's error. Other errors stay as
// they are.
func Limited(err error) error {
	var exceeded *limit.ExceededError
	if !errors.As(err, &exceeded) {
		return err
	}
	return &Error{
		Kind: TooMany, Code: "rate_limited", Message: "This was done too often. Try again later.",
		RetryAfter: exceeded.RetryAfter, cause: err,
	}
}
