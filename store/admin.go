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

// FindFirstParticipant finds the participant of a chat with the lowest user id, or
// ErrNotFound if there is nobody in it.
func (tx *Tx) FindFirstParticipant(chatID int64) (Participant, error) {
	p, err := first(tx, scanParticipant, `
		SELECT `+participantColumns+`
		FROM participants p JOIN users u ON u.id = p.user_id
		WHERE p.chat_id = ?1 ORDER BY p.user_id LIMIT 1`, chatID)
	if err != nil {
		return Participant{}, fmt.Errorf("find participant: %w", err)
	}
	return p, nil
}
