package store

import "fmt"

// Correspondent is the other one of a direct chat, and of one's notes oneself.
type Correspondent struct {
	ChatID   int64
	UserID   int64
	Username string
	Deleted  bool // the account, not the chat
}

// ListCorrespondents lists with whom a user has those of some chats that are of two, or
// for notes. Whether the user takes part in them is for the caller to find out.
func (tx *Tx) ListCorrespondents(userID int64, chatIDs []int64) ([]Correspondent, error) {
	if len(chatIDs) == 0 {
		return nil, nil
	}
	args := arguments{userID}
	found, err := list(tx, len(chatIDs), scanCorrespondent, `
		SELECT c.id, u.id, u.username, CASE WHEN u.deleted_at IS NULL THEN 0 ELSE 1 END
		FROM chats c
		JOIN users u ON u.id = CASE WHEN c.direct_low = ?1 THEN c.direct_high ELSE c.direct_low END
		WHERE c.id IN (`+among(&args, chatIDs)+`)
		ORDER BY c.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list correspondents: %w", err)
	}
	return found, nil
}

func scanCorrespondent(row scanner, c *Correspondent) error {
	return row.Scan(&c.ChatID, &c.UserID, &c.Username, &c.Deleted)
}
