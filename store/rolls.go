package store

import "fmt"

// Roll is a chat and who takes part in it, those first who have been in it longest.
type Roll struct {
	Chat
	UserIDs []int64
}

// ListRolls lists up to limit chats that a user takes part in, behind an id, by their
// ids.
func (tx *Tx) ListRolls(userID, after int64, limit int) ([]Roll, error) {
	chats, err := list(tx, min(limit, 64), scanChat, `
		SELECT `+chatColumns+`
		FROM participants p CROSS JOIN chats c
		WHERE p.user_id = ?1 AND p.chat_id > ?2 AND c.id = p.chat_id
		ORDER BY p.chat_id LIMIT ?3`, userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list rolls: %w", err)
	}
	return tx.rolls(chats)
}

// FindRoll finds a chat and who takes part in it, or ErrNotFound. Whether one may know is
// for the caller to find out.
func (tx *Tx) FindRoll(chatID int64) (Roll, error) {
	c, err := tx.FindChatByID(chatID)
	if err != nil {
		return Roll{}, err
	}
	found, err := tx.rolls([]Chat{c})
	if err != nil {
		return Roll{}, err
	}
	return found[0], nil
}

// rolls finds who takes part in some chats.
func (tx *Tx) rolls(chats []Chat) ([]Roll, error) {
	if len(chats) == 0 {
		return nil, nil
	}
	rolls := make([]Roll, len(chats))
	places := make(map[int64]int, len(chats))
	ids := make([]int64, len(chats))
	for i, c := range chats {
		rolls[i].Chat, places[c.ID], ids[i] = c, i, c.ID
	}
	type place struct{ chatID, userID int64 }
	var args arguments
	found, err := list(tx, 64, func(row scanner, p *place) error { return row.Scan(&p.chatID, &p.userID) }, `
		SELECT chat_id, user_id FROM participants
		WHERE chat_id IN (`+among(&args, ids)+`)
		ORDER BY joined_at, user_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list who is in chats: %w", err)
	}
	for _, p := range found {
		roll := &rolls[places[p.chatID]]
		roll.UserIDs = append(roll.UserIDs, p.userID)
	}
	return rolls, nil
}

// FindLongestIn finds who has been in a chat longest, of those who may sign in, or
// ErrNotFound.
func (tx *Tx) FindLongestIn(chatID int64) (userID int64, err error) {
	err = tx.one(`
		SELECT p.user_id FROM participants p JOIN users u ON u.id = p.user_id
		WHERE p.chat_id = ?1 AND u.deactivated_at IS NULL AND u.deleted_at IS NULL
		ORDER BY p.joined_at, p.user_id LIMIT 1`, []any{chatID}, &userID)
	if err != nil {
		return 0, fmt.Errorf("find who is in a chat longest: %w", err)
	}
	return userID, nil
}
