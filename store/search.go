package store

import (
	"fmt"
	"strings"
)

// The spaces of the search index, beside those of the chats, which have the ids
// of their messages.
const (
	UsersSpace  = 0
	GroupsSpace = -1
)

// Term is what is looked for in the search index.
type Term struct {
	Text   string
	Prefix bool // all that begin with it
}

// SearchEntry says that one finds a message, a user or a group by a term.
type SearchEntry struct {
	Space int64 // the message's chat, [UsersSpace] or [GroupsSpace]
	Term  string
	ID    int64
}

// AddSearchEntries puts entries into the index. Those that are there stay.
func (tx *Tx) AddSearchEntries(entries []SearchEntry) error {
	return inParts(entries, func(part []SearchEntry) error {
		var q arguments
		rows := make([]string, len(part))
		for i, e := range part {
			rows[i] = "(" + q.add(e.Space) + ", " + q.add(e.Term) + ", " + q.add(e.ID) + ")"
		}
		_, err := tx.exec(`
			INSERT INTO search_terms (space, term, id) VALUES `+strings.Join(rows, ", ")+`
			ON CONFLICT DO NOTHING`, q...)
		if err != nil {
			return fmt.Errorf("add search entries: %w", err)
		}
		return nil
	})
}

// RemoveSearchTerms takes what one finds something by out of the index. Terms that
// are not there do no harm.
func (tx *Tx) RemoveSearchTerms(space, id int64, terms []string) error {
	return inParts(terms, func(part []string) error {
		q := arguments{space, id}
		_, err := tx.exec(`DELETE FROM search_terms WHERE space = ?1 AND id = ?2 AND term IN (`+among(&q, part)+`)`, q...)
		if err != nil {
			return fmt.Errorf("remove search terms: %w", err)
		}
		return nil
	})
}

// SearchState is how far the index of the messages has come.
type SearchState struct {
	// Position is that of the last event in the log that has been dealt with.
	Position int64
	// Backfilled is how far what was there before the index has been dealt with:
	// 0 and -2·id is that the users up to the id have been, -2·id-1 the groups,
	// and otherwise it is a message.
	Backfilled int64
	// Backfill is the last message that was there before the index.
	Backfill int64
}

// FindSearchState tells how far the index has come.
func (tx *Tx) FindSearchState() (s SearchState, err error) {
	err = tx.one(`SELECT position, backfilled, backfill FROM search_state`, nil, &s.Position, &s.Backfilled, &s.Backfill)
	if err != nil {
		return s, fmt.Errorf("find search state: %w", err)
	}
	return s, nil
}

// MoveSearchPosition moves the position on, and keeps all other Updates from it
// until this one has ended; ErrNotFound if another has moved it.
func (tx *Tx) MoveSearchPosition(from, to int64) error {
	return tx.moveSearch(`UPDATE search_state SET position = ?2 WHERE position = ?1`, from, to)
}

// MoveBackfilled moves what has been backfilled on, and keeps all other Updates
// from it until this one has ended; ErrNotFound if another has moved it.
func (tx *Tx) MoveBackfilled(from, to int64) error {
	return tx.moveSearch(`UPDATE search_state SET backfilled = ?2 WHERE backfilled = ?1`, from, to)
}

func (tx *Tx) moveSearch(query string, from, to int64) error {
	if err := tx.execOne(query, from, to); err != nil {
		return fmt.Errorf("move search state: %w", err)
	}
	return nil
}

// restartSearchIndex lets the index of the messages begin with those that are
// there, and go on with the log from where it ends.
func (tx *Tx) restartSearchIndex() error {
	_, err := tx.exec(`
		UPDATE search_state SET backfilled = 0,
			position = (SELECT coalesce(max(id), 0) FROM events),
			backfill = (SELECT coalesce(max(id), 0) FROM messages)`)
	if err != nil {
		return fmt.Errorf("restart the search index: %w", err)
	}
	return nil
}

// SearchText is a text that one finds something by.
type SearchText struct {
	Space int64
	ID    int64
	Text  string
}

func scanSearchText(row scanner, t *SearchText) error { return row.Scan(&t.Space, &t.ID, &t.Text) }

// LockTextsOfEvents lists the texts of the messages that were made and edited by
// events behind after, up to last, as they are now. They stay like that until
// the Update has ended.
func (tx *Tx) LockTextsOfEvents(after, last int64) ([]SearchText, error) {
	return tx.searchTexts(`
		SELECT m.chat_id, m.id, m.text FROM events e JOIN messages m ON m.id = e.message_id
		WHERE e.id > ?1 AND e.id <= ?2 AND e.type IN ('message.created', 'message.edited') AND m.deleted_at IS NULL
		ORDER BY m.id`+tx.dialect.forShare("m"), after, last)
}

// LockTextsOfMessages lists the texts of the first messages behind after, up to
// last, but for those deleted. They stay like that until the Update has ended.
func (tx *Tx) LockTextsOfMessages(after, last int64, limit int) ([]SearchText, error) {
	return tx.searchTexts(`
		SELECT m.chat_id, m.id, m.text FROM messages m
		WHERE m.id > ?1 AND m.id <= ?2 AND m.deleted_at IS NULL
		ORDER BY m.id LIMIT ?3`+tx.dialect.forShare("m"), after, last, limit)
}

// LockTextsOfUsers lists what one finds the first users behind after by, but for
// those deleted. It stays like that until the Update has ended.
func (tx *Tx) LockTextsOfUsers(after int64, limit int) ([]SearchText, error) {
	return tx.searchTexts(`
		SELECT 0, u.id, u.username || ' ' || u.display_name FROM users u
		WHERE u.id > ?1 AND u.deleted_at IS NULL
		ORDER BY u.id LIMIT ?2`+tx.dialect.forShare("u"), after, limit)
}

// LockTextsOfGroups lists what one finds the first groups behind after by, but
// for those deleted. It stays like that until the Update has ended.
func (tx *Tx) LockTextsOfGroups(after int64, limit int) ([]SearchText, error) {
	return tx.searchTexts(`
		SELECT -1, c.id, c.title || ' ' || c.description FROM chats c
		WHERE c.id > ?1 AND c.kind = 'group' AND c.deleted_at IS NULL
		ORDER BY c.id LIMIT ?2`+tx.dialect.forShare("c"), after, limit)
}

func (tx *Tx) searchTexts(query string, args ...any) ([]SearchText, error) {
	found, err := list(tx, 64, scanSearchText, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list texts to index: %w", err)
	}
	return found, nil
}

// SearchMessages lists the ids of up to limit messages below an id that the
// index finds by all of the terms in the chats of a user, or in one of them if
// chatID is not 0; the highest first.
func (tx *Tx) SearchMessages(userID, chatID, before int64, terms []Term, limit int) ([]int64, error) {
	q := arguments{userID, before, limit}
	from := `participants p CROSS JOIN search_terms s WHERE p.user_id = ?1 AND s.space = p.chat_id AND s.id < ?2`
	if chatID != 0 {
		from += ` AND p.chat_id = ` + q.add(chatID)
	}
	found, err := list(tx, min(limit, 64), scanID,
		idsOf(&q, from, terms)+` ORDER BY id DESC LIMIT ?3`, q...)
	if err != nil {
		return nil, fmt.Errorf("search messages: %w", err)
	}
	return found, nil
}

// idsOf is a query for the ids that all of the terms stand with.
func idsOf(q *arguments, from string, terms []Term) string {
	selects := make([]string, len(terms))
	for i, t := range terms {
		selects[i] = "SELECT s.id FROM " + from
		if t.Prefix {
			selects[i] += " AND s.term >= " + q.add(t.Text) + " AND s.term < " + q.add(t.Text+"\U0010ffff")
		} else {
			selects[i] += " AND s.term = " + q.add(t.Text)
		}
	}
	if len(terms) == 1 {
		return selects[0] + " GROUP BY s.id"
	}
	return strings.Join(selects, " INTERSECT ")
}

// ListMessagesByID lists messages, the newest first, but for those deleted and
// those that the user has hidden. That the user may see them is for the caller to
// know, and that the ids are in that order.
func (tx *Tx) ListMessagesByID(userID int64, ids []int64) (all []Message, err error) {
	err = inParts(ids, func(part []int64) error {
		q := arguments{userID}
		found, err := list(tx, len(part), scanMessage, selectMessages+`
			WHERE m.id IN (`+among(&q, part)+`) AND m.deleted_at IS NULL AND `+notHidden+`
			ORDER BY m.id DESC`, q...)
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list messages by id: %w", err)
	}
	return all, nil
}
