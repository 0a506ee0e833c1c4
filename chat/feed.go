package chat

import (
	"context"
	"encoding/json"
	"time"

	"github.com/caddymsg/messaging/store"
)

// What follows tells of what happened, for package live: it knows who is
// connected, and asks for nobody what is not theirs.

type (
	// Event is something that clients must hear of.
	Event = store.Event
	// Feed is what the places in the log of events are worth.
	Feed = store.Feed
)

// Feed tells how far the log of events goes.
func (s *Service) Feed(ctx context.Context) (feed Feed, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		feed, err = tx.FindFeed()
		return err
	})
	return feed, err
}

// FeedAfter lists up to limit events of everybody's, behind one of the log, and
// tells how far the log goes, both at one moment. A poll is shown as to somebody
// who has not voted, and a message without its reactions.
func (s *Service) FeedAfter(ctx context.Context, after int64, limit int) (feed Feed, events []Event, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if feed, err = tx.FindFeed(); err != nil || feed.Last <= after {
			events = nil
			return err
		}
		if events, err = tx.ListEvents(after, limit); err != nil {
			return err
		}
		return s.addDetails(tx, events)
	})
	return feed, events, err
}

// Missed lists the ids of up to limit events behind after, up to upTo, that are for
// a user as things stand now: of their chats, and for them alone. It tells how far
// the log goes at the same moment: what has been removed for its age is not listed.
func (s *Service) Missed(ctx context.Context, userID, after, upTo int64, limit int) (feed Feed, ids []int64, err error) {
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if feed, err = tx.FindFeed(); err != nil {
			return err
		}
		ids, err = tx.ListMissed(userID, after, upTo, limit)
		return err
	})
	return feed, ids, err
}

// EventsByID finds events, in the order of the log. They are as those that
// [Service.FeedAfter] lists. What has been removed for its age is left out.
func (s *Service) EventsByID(ctx context.Context, ids []int64) (events []Event, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if events, err = tx.FindEvents(ids); err != nil {
			return err
		}
		return s.addDetails(tx, events)
	})
	return events, err
}

// ChatIDs lists the chats that a user takes part in.
func (s *Service) ChatIDs(ctx context.Context, userID int64) (ids []int64, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		ids, err = tx.ListChatIDsOf(userID)
		return err
	})
	return ids, err
}

// SessionEnd is when a session ends, if nothing is done.
type SessionEnd struct {
	At time.Time
	// Slides says that to use the session moves its end. An access token that does not
	// can be refreshed, perhaps.
	Slides bool
}

// Session finds who holds a session, and when it ends. It returns Unauthenticated for
// one that has ended, for that of an account that was deactivated or deleted, and, with
// the code TokenExpired, for one whose access token has to be refreshed.
func (s *Service) Session(ctx context.Context, id int64) (caller Caller, end SessionEnd, err error) {
	var session store.Session
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		session, err = tx.FindSession(id)
		return err
	})
	if err != nil {
		return Caller{}, SessionEnd{}, refuse(err, store.ErrNotFound, errSessionEnded())
	}
	if caller, err = CallerOf(session, s.now()); err != nil {
		return Caller{}, SessionEnd{}, err
	}
	return caller, SessionEnd{At: session.GoodUntil(), Slides: session.Slides()}, nil
}

func errSessionEnded() *Error {
	return &Error{Kind: Unauthenticated, Code: "unauthenticated", Message: "This session has ended."}
}

// readCount is what an event of a message that was edited says: how many had read it.
const readCount = "read_count"

// addDetails adds to the messages of events what is kept beside them and is the same for
// all who hear of them: polls and, of one that was edited, how many have read it.
func (s *Service) addDetails(tx *store.Tx, events []Event) error {
	for _, e := range events {
		if e.Type != store.MessageEdited || e.Message == nil {
			continue
		}
		var told map[string]int
		_ = json.Unmarshal([]byte(e.Data), &told) // an older version has told nothing
		count := told[readCount]
		e.Message.ReadCount = &count
	}
	return s.addPolls(tx, events)
}

// addPolls adds to the messages of events their polls, as nobody in particular
// sees them.
func (s *Service) addPolls(tx *store.Tx, events []Event) error {
	var ids []int64
	for _, e := range events {
		if e.Message != nil && e.Message.HasPoll {
			ids = append(ids, e.Message.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	polls, err := s.pollsOf(tx, Caller{}, ids)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Message != nil {
			e.Message.Poll = polls[e.Message.ID]
		}
	}
	return nil
}
