package auth

import (
	"context"
	"errors"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/limit"
)

// admit counts a try to sign in to an account, by its username as it is compared, which
// may not exist, before it costs a
// hash. What it has taken is to be given back if the password is right: tries that fail
// are what is limited. It returns TooMany.
//
// All places that an account does not know share one bucket, so that it is no use to
// come from many of them. Each place that it knows has a bucket of its own: whoever
// uses up that of the strangers does not lock the owner out.
func (s *Service) admit(ctx context.Context, account string, from place) (limit.Taken, error) {
	// The first letter and the NUL keep the keys apart: a username may be anything that
	// somebody has typed. What is left is not told: from a network that the account
	// knows it is more, and of one that does not exist nothing is known.
	of := func(key string) limit.Ask { return limit.Ask{Limit: limit.SignIn, Key: key + account, Quiet: true} }
	switch {
	case from.knownDevice:
		return s.take(ctx, of("d"+from.device)) // they have all the same length
	case from.knownNetwork:
		return s.take(ctx, of("n"+from.network+"\x00"), addressAsk(ctx, limit.SignInAddress))
	}
	return s.take(ctx, of("a"), addressAsk(ctx, limit.SignInAddress))
}

// addressAsk asks for one of what may be done from the client's address.
func addressAsk(ctx context.Context, name limit.Name) limit.Ask {
	return limit.Ask{Limit: name, Key: limit.Network(addressOf(ctx))}
}

// take counts what one should not do too often. It returns TooMany.
func (s *Service) take(ctx context.Context, asks ...limit.Ask) (limit.Taken, error) {
	taken, err := s.opts.Limits.Take(ctx, asks...)
	var exceeded *limit.ExceededError
	if !errors.As(err, &exceeded) {
		return taken, err
	}
	if left, due := s.refusals.Due(s.now()); due {
		s.log.WarnContext(ctx, "too many attempts", "limit", string(exceeded.Limit), "client_ip", RequestOf(ctx).ClientIP, "left_out", left)
	}
	return taken, &chat.Error{
		Kind: chat.TooMany, Code: "too_many_attempts", Message: "That was tried too often. Try again later.",
		RetryAfter: exceeded.RetryAfter,
	}
}

// giveBack has what was taken not count. If that fails, it counts, and nobody is told.
func (s *Service) giveBack(ctx context.Context, taken limit.Taken) {
	if err := taken.GiveBack(ctx); err != nil {
		s.log.WarnContext(ctx, "an attempt counts that should not", "error", err)
	}
}
