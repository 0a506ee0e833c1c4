package chat

import (
	"context"
	"iter"
	"math"
	"slices"

	"github.com/caddymsg/messaging/store"
)

// inPieces hands on what a filter names, read in pieces: however much there is, only one
// of them is in memory, and no transaction is open while a slow reader is served. Each
// piece begins behind the last id, so an order by anything else would take all at once:
// of such a list, there are at most [MaxListLimit]. It ends after an error.
func inPieces[T any](f Filter, id store.Field, idOf func(T) int64, read func(Filter) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		f := f // it may be asked for again
		left := math.MaxInt
		if f.Limited {
			left = f.Limit
		}
		atOnce, behind := readAtOnce, store.Above
		switch {
		case len(f.Order) == 0:
		case f.Order[0].Field != id:
			atOnce, left = MaxListLimit, min(left, MaxListLimit)
		case f.Order[0].Descending:
			behind = store.Below
		}
		where := slices.Clip(f.Where)
		for left > 0 {
			f.Limited, f.Limit = true, min(left, atOnce)
			piece, err := read(f)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range piece {
				if !yield(item, nil) {
					return
				}
			}
			if len(piece) < f.Limit {
				return
			}
			left -= len(piece)
			f.Offset = 0
			f.Where = append(where, store.Condition{Field: id, Match: behind, Value: idOf(piece[len(piece)-1])})
		}
	}
}

// byID hands on a list that is read in pieces of so many, each of which begins behind the
// last id, as inPieces does.
func byID[T any](idOf func(T) int64, atOnce int, read func(after int64) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for after, more := int64(0), true; more; {
			piece, err := read(after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range piece {
				if after = idOf(item); !yield(item, nil) {
					return
				}
			}
			more = len(piece) == atOnce
		}
	}
}

// AllUsers is Users for a list that may be long; see [Service.DirectMessagesIn] for how
// much of it there is.
func (s *Service) AllUsers(ctx context.Context, caller Caller, f Filter) iter.Seq2[User, error] {
	if len(f.Where) > 0 || len(f.Terms) > 0 {
		if err := s.takeSearch(ctx, caller); err != nil {
			return func(yield func(User, error) bool) { yield(User{}, err) }
		}
	}
	f.Where = append(slices.Clip(f.Where), store.Condition{Field: UserDeactivated, Value: int64(0)})
	return inPieces(f, UserID, func(u User) int64 { return u.ID }, func(f Filter) ([]User, error) { return s.users(ctx, f) })
}
