package store

import "fmt"

// GroupSummary is what there is to know of a group from outside.
type GroupSummary struct {
	Chat
	ParticipantCount int
}

// ListAllGroups lists all groups, by id.
func (tx *Tx) ListAllGroups(limit, offset int) ([]GroupSummary, error) {
	scan := func(row scanner, g *GroupSummary) error {
		var created, active int64
		err := row.Scan(&g.ID, &g.Kind, &g.Title, &g.Visibility, &created, &active, &g.ParticipantCount)
		g.CreatedAt, g.ActiveAt = fromMicros(created), fromMicros(active)
		return err
	}
	// That there are no two people says that it is a group, and is in an index.
	found, err := list(tx, min(limit, 64), scan, `
		SELECT id, kind, title, visibility, created_at, active_at,
			(SELECT count(*) FROM participants WHERE chat_id = chats.id)
		FROM chats WHERE direct_low IS NULL AND deleted_at IS NULL ORDER BY id LIMIT ?1 OFFSET ?2`, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	return found, nil
}
