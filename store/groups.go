package store

import (
	"errors"
	"fmt"
)

// Group is a group as one user meets it.
type Group struct {
	Chat
	ParticipantCount int
	Role             string // of the user; empty, if they are not in it
}

// The parts of a query for the groups of the user ?1. No other table in it has
// columns of these names.
const (
	groupColumns = chatColumns + `,
		(SELECT count(*) FROM participants n WHERE n.chat_id = c.id), coalesce(p.role, '')`
	withRole = ` LEFT JOIN participants p ON p.chat_id = c.id AND p.user_id = ?1 `
)

func scanGroup(row scanner, g *Group) error {
	return scanChat(scannerFunc(func(into ...any) error {
		return row.Scan(append(into, &g.ParticipantCount, &g.Role)...)
	}), &g.Chat)
}

// scannerFunc scans what another scan function does not know of, too.
type scannerFunc func(...any) error

func (f scannerFunc) Scan(into ...any) error { return f(into...) }

// FindGroup finds a group, whoever is in it, or ErrNotFound.
func (tx *Tx) FindGroup(userID, id int64) (Group, error) {
	g, err := first(tx, scanGroup, `
		SELECT `+groupColumns+` FROM chats c`+withRole+`
		WHERE c.id = ?2 AND c.kind = 'group' AND c.deleted_at IS NULL`, userID, id)
	if err != nil {
		return Group{}, fmt.Errorf("find group: %w", err)
	}
	return g, nil
}

// ListGroups lists the public groups and those that the user takes part in, by
// their ids.
func (tx *Tx) ListGroups(userID int64, limit, offset int) ([]Group, error) {
	// Of the public ones, no more than may be needed. That their ids are above 0
	// tells SQLite to look for them in their own index, and CROSS JOIN to begin with
	// the user.
	found, err := list(tx, min(limit, 64), scanGroup, `
		SELECT `+groupColumns+`
		FROM (
			SELECT chat FROM (
				SELECT id AS chat FROM chats
				WHERE visibility = 'public' AND deleted_at IS NULL AND id > 0
				ORDER BY id LIMIT ?2
			) AS public
			UNION
			SELECT own.id FROM participants mine CROSS JOIN chats own
			WHERE mine.user_id = ?1 AND own.id = mine.chat_id AND own.kind = 'group'
			ORDER BY 1 LIMIT ?3 OFFSET ?4
		) AS shown
		JOIN chats c ON c.id = shown.chat`+withRole+`
		ORDER BY c.id`, userID, limit+offset, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return found, nil
}

// GroupTitle is how a group is called.
type GroupTitle struct {
	ID    int64
	Title string
}

// ListGroupTitles lists up to limit of the groups that ListGroups does, behind an id.
func (tx *Tx) ListGroupTitles(userID, after int64, limit int) ([]GroupTitle, error) {
	scan := func(row scanner, g *GroupTitle) error { return row.Scan(&g.ID, &g.Title) }
	found, err := list(tx, min(limit, 64), scan, `
		SELECT c.id, c.title
		FROM (
			SELECT chat FROM (
				SELECT id AS chat FROM chats
				WHERE visibility = 'public' AND deleted_at IS NULL AND id > ?2
				ORDER BY id LIMIT ?3
			) AS public
			UNION
			SELECT own.id FROM participants mine CROSS JOIN chats own
			WHERE mine.user_id = ?1 AND mine.chat_id > ?2 AND own.id = mine.chat_id AND own.kind = 'group'
			ORDER BY 1 LIMIT ?3
		) AS shown
		JOIN chats c ON c.id = shown.chat
		ORDER BY c.id`, userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list titles of groups: %w", err)
	}
	return found, nil
}

// HasPublicGroup tells whether a public group has a title, other than one of that id.
func (tx *Tx) HasPublicGroup(title string, but int64) (bool, error) {
	var there int
	err := tx.one(`
		SELECT 1 FROM chats WHERE visibility = 'public' AND title = ?1 AND deleted_at IS NULL AND id <> ?2 LIMIT 1`,
		[]any{title, but}, &there)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for public group: %w", err)
	}
	return true, nil
}

// SearchGroups lists the groups that are found by all of the terms, by their ids:
// public ones, and those that the user takes part in.
func (tx *Tx) SearchGroups(userID int64, terms []Term, limit, offset int) ([]Group, error) {
	q := arguments{userID, limit, offset}
	found, err := list(tx, min(limit, 64), scanGroup, `
		SELECT `+groupColumns+` FROM chats c`+withRole+`
		WHERE c.id IN (`+idsOf(&q, `search_terms s WHERE s.space = -1`, terms)+`)
			AND c.deleted_at IS NULL AND (c.visibility = 'public' OR p.user_id IS NOT NULL)
		ORDER BY c.id LIMIT ?2 OFFSET ?3`, q...)
	if err != nil {
		return nil, fmt.Errorf("search groups: %w", err)
	}
	return found, nil
}

// ChatChange is what is to be changed of a chat. What is nil stays as it is.
type ChatChange struct {
	Title, Description, Visibility, ManagedBy *string
}

// UpdateChat changes a chat; ErrNotFound if there is none.
func (tx *Tx) UpdateChat(id int64, c ChatChange) error {
	err := tx.execOne(`
		UPDATE chats SET
			title = coalesce(?2, title), description = coalesce(?3, description),
			visibility = coalesce(?4, visibility), managed_by = coalesce(?5, managed_by)
		WHERE id = ?1`, id, c.Title, c.Description, c.Visibility, c.ManagedBy)
	if err != nil {
		return fmt.Errorf("update chat: %w", err)
	}
	return nil
}
