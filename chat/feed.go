package chat

import (
	"context"
	"time"

	"github.com/caddymsg/messaging/store"
)

type Event = store.Event
type Feed struct {
	Epoch        string
	Pruned, Last int64
}

func (s *Service) Feed(ctx context.Context) (f Feed, err error) { return }
func (s *Service) FeedAfter(ctx context.Context, after int64, limit int) (f Feed, e []Event, err error) {
	return
}
func (s *Service) Missed(ctx context.Context, userID, after, upTo int64, limit int) (ids []int64, err error) {
	return
}
func (s *Service) EventsByID(ctx context.Context, ids []int64) (e []Event, err error) { return }
func (s *Service) ChatIDs(ctx context.Context, userID int64) (ids []int64, err error) { return }

func (s *Service) SessionExpiry(ctx context.Context, id int64) (t time.Time, err error) { return }
