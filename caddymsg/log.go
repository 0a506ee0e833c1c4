package caddymsg

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// movingLog is the log of what outlives a configuration: each configuration has a
// log of its own, which ends with it.
type movingLog struct {
	to   *atomic.Pointer[slog.Logger]
	with func(slog.Handler) slog.Handler
}

// newMovingLog makes one. It writes nothing until move is called.
func newMovingLog() (log *slog.Logger, move func(to *slog.Logger)) {
	to := new(atomic.Pointer[slog.Logger])
	to.Store(slog.New(slog.DiscardHandler))
	return slog.New(movingLog{to, func(h slog.Handler) slog.Handler { return h }}), to.Store
}

func (l movingLog) now() slog.Handler { return l.with(l.to.Load().Handler()) }

func (l movingLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.now().Enabled(ctx, level)
}

func (l movingLog) Handle(ctx context.Context, r slog.Record) error { return l.now().Handle(ctx, r) }

func (l movingLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return movingLog{l.to, func(h slog.Handler) slog.Handler { return l.with(h).WithAttrs(attrs) }}
}

func (l movingLog) WithGroup(name string) slog.Handler {
	return movingLog{l.to, func(h slog.Handler) slog.Handler { return l.with(h).WithGroup(name) }}
}

var _ slog.Handler = movingLog{}
