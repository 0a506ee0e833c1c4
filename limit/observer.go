package limit

import "context"

type observerKey struct{}

// WithObserver returns a context within which observe is told what is left of each limit
// that is asked, and again if that changes, by whoever asks.
func WithObserver(ctx context.Context, observe func(State)) context.Context {
	return context.WithValue(ctx, observerKey{}, observe)
}

func tell(ctx context.Context, left []State) {
	if len(left) == 0 {
		return
	}
	if observe, ok := ctx.Value(observerKey{}).(func(State)); ok {
		for _, s := range left {
			observe(s)
		}
	}
}
