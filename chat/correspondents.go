package chat

import (
	"context"

	"github.com/caddymsg/messaging/store"
)

// Correspondent is the other one of a direct chat, and of one's notes oneself.
type Correspondent = store.Correspondent

// Correspondents finds with whom the caller has the chats of messages that they see, by
// the ids of the chats; those of groups are left out.
func (s *Service) Correspondents(ctx context.Context, caller Caller, messages []Message) (by map[int64]Correspondent, err error) {
	by = map[int64]Correspondent{}
	var ids []int64
	for _, m := range messages {
		if _, again := by[m.ChatID]; !again && m.ChatKind != store.GroupChat {
			by[m.ChatID] = Correspondent{}
			ids = append(ids, m.ChatID)
		}
	}
	var found []Correspondent
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		found, err = tx.ListCorrespondents(caller.UserID, ids)
		return err
	})
	for _, c := range found {
		by[c.ChatID] = c
	}
	return by, err
}
