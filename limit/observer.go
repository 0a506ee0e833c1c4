package limit

import "context"

type observerKey struct{}

// WithObserver returns a context within which observe is told what is left of each limit
// that is asked, and again if that changes. It must not block.
func WithObserver(ctx context.Context, observe func(State)) context.Context {
	return context.WithValue(ctx, observerKey{}, observe)
}

func tell(ctx context.Context, s State) {
	if observe, ok := ctx.Value(observerKey{}).(func(State)); ok {
		observe(s)
	}
}
