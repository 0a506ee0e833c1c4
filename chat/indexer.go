package chat

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/caddymsg/messaging/chat/fold"
	"github.com/caddymsg/messaging/store"
)

// How much goes into the search index with one Update: few enough that a send
// that comes behind it does not wait for long.
const (
	indexedAtOnce  = 64    // events, messages, users or groups
	charactersOnce = 8_000 // about, of their texts
)

// isIndexed tells whether the search index has to follow an event, unless its
// message is gone.
func isIndexed(e store.Event) bool {
	return (e.Type == store.MessageCreated || e.Type == store.MessageEdited) && e.Message != nil
}

// index brings the search index on, by one Update at most for what is new, and
// one for what was there before it. It tells whether there may be more to do.
func (s *Service) index(ctx context.Context) (more bool, err error) {
	var state store.SearchState
	var events []store.Event
	err = s.store.View(ctx, func(tx *store.Tx) error {
		if state, err = tx.FindSearchState(); err != nil {
			return err
		}
		events, err = tx.ListEvents(state.Position, indexedAtOnce)
		return err
	})
	if err != nil {
		return false, err
	}
	moved, err := s.indexEvents(ctx, state.Position, events)
	if err != nil {
		return false, err
	}
	filled, err := s.backfill(ctx, state)
	return moved || filled, err
}

// indexEvents indexes the messages of events as they are now: an event may be
// older than the last edit.
func (s *Service) indexEvents(ctx context.Context, position int64, events []store.Event) (more bool, err error) {
	last, characters, relevant := position, 0, false
	for _, e := range events {
		last = e.ID
		if !isIndexed(e) {
			continue
		}
		relevant = true
		if characters += utf8.RuneCountInString(e.Message.Text); characters >= charactersOnce {
			break
		}
	}
	if !relevant && len(events) < indexedAtOnce {
		return false, nil // a commit for nothing; they are looked at again, and see passIrrelevant
	}
	return true, s.indexBatch(ctx, func(tx *store.Tx) ([]store.SearchText, error) {
		if err := tx.MoveSearchPosition(position, last); err != nil {
			return nil, err
		}
		return tx.LockTextsOfEvents(position, last)
	})
}

// passIrrelevant moves the index past events from before a time that it has not to
// follow, where it waits for one that it has: they could not be removed before.
func passIrrelevant(tx *store.Tx, before time.Time) error {
	state, err := tx.FindSearchState()
	if err != nil {
		return err
	}
	events, err := tx.ListEvents(state.Position, indexedAtOnce)
	if err != nil {
		return err
	}
	last := state.Position
	for _, e := range events {
		if isIndexed(e) || !e.At.Before(before) {
			break
		}
		last = e.ID
	}
	if last == state.Position {
		return nil
	}
	err = tx.MoveSearchPosition(state.Position, last)
	if errors.Is(err, store.ErrNotFound) {
		return nil // another node has moved it
	}
	return err
}

// backfill indexes what was there before the index was kept: users, then groups,
// then messages.
func (s *Service) backfill(ctx context.Context, state store.SearchState) (more bool, err error) {
	at := state.Backfilled
	if at > 0 && at >= state.Backfill {
		return false, nil
	}
	return true, s.indexBatch(ctx, func(tx *store.Tx) (texts []store.SearchText, err error) {
		var next int64
		if at <= 0 {
			if texts, next, err = namesToIndex(tx, at); err != nil {
				return nil, err
			}
		}
		if next == 0 {
			if texts, err = tx.LockTextsOfMessages(max(at, 0), state.Backfill, indexedAtOnce); err != nil {
				return nil, err
			}
			texts = fewEnough(texts)
			next = max(state.Backfill, 1) // unless there are more
			if len(texts) > 0 {
				next = texts[len(texts)-1].ID
			}
		}
		return texts, tx.MoveBackfilled(at, next)
	})
}

// namesToIndex lists users or groups that were there before the index was kept,
// and how far that gets (see [store.SearchState]); 0 after the last of them.
func namesToIndex(tx *store.Tx, at int64) (texts []store.SearchText, next int64, err error) {
	if at%2 == 0 {
		texts, err = tx.LockTextsOfUsers(-at/2, indexedAtOnce)
		if err != nil || len(texts) > 0 {
			return texts, -2 * lastOf(texts), err
		}
		at = -1
	}
	texts, err = tx.LockTextsOfGroups((-at-1)/2, indexedAtOnce)
	if err != nil || len(texts) == 0 {
		return nil, 0, err
	}
	return texts, -2*lastOf(texts) - 1, nil
}

func lastOf(texts []store.SearchText) int64 {
	if len(texts) == 0 {
		return 0
	}
	return texts[len(texts)-1].ID
}

// fewEnough is the beginning of a list of texts.
func fewEnough(texts []store.SearchText) []store.SearchText {
	characters := 0
	for i, t := range texts {
		if characters += utf8.RuneCountInString(t.Text); characters >= charactersOnce {
			return texts[:i+1]
		}
	}
	return texts
}

// indexBatch puts the texts that read returns into the index. That another node
// has done so meanwhile is no error.
func (s *Service) indexBatch(ctx context.Context, read func(*store.Tx) ([]store.SearchText, error)) error {
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		texts, err := read(tx)
		if err != nil {
			return err
		}
		var entries []store.SearchEntry
		for _, t := range texts {
			for _, term := range fold.Terms(t.Text) {
				entries = append(entries, store.SearchEntry{Space: t.Space, Term: term, ID: t.ID})
			}
		}
		// In the order in which they are stored, which is quicker.
		slices.SortFunc(entries, func(a, b store.SearchEntry) int {
			return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Term, b.Term), cmp.Compare(a.ID, b.ID))
		})
		return tx.AddSearchEntries(slices.Compact(entries))
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// unindexMessage takes a message out of the search index, or the text that it had
// before an edit. The message itself is to be changed before: until then the
// index may be given the same text.
func unindexMessage(tx *store.Tx, old Message) error {
	return tx.RemoveSearchTerms(old.ChatID, old.ID, fold.Terms(old.Text))
}

// indexUser keeps the search index, where a user's names have changed; the zero
// User is none.
func indexUser(tx *store.Tx, old, now User) error {
	return indexName(tx, store.UsersSpace, max(old.ID, now.ID), old.Username+" "+old.DisplayName, now.Username+" "+now.DisplayName)
}

// indexGroup keeps the search index, where what a group is called has changed; the
// zero Chat is none.
func indexGroup(tx *store.Tx, old, now Chat) error {
	return indexName(tx, store.GroupsSpace, max(old.ID, now.ID), old.Title+" "+old.Description, now.Title+" "+now.Description)
}

// indexName keeps what one finds something by that has few words.
func indexName(tx *store.Tx, space, id int64, old, now string) error {
	before, after := fold.Terms(old), fold.Terms(now)
	if err := tx.RemoveSearchTerms(space, id, without(before, after)); err != nil {
		return err
	}
	var entries []store.SearchEntry
	for _, term := range without(after, before) {
		entries = append(entries, store.SearchEntry{Space: space, Term: term, ID: id})
	}
	return tx.AddSearchEntries(entries)
}

// without is what a list has and another has not.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
