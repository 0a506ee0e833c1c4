package store

import "fmt"

// FindErasing finds a deleted user of whom there may still be what [Tx.EraseTrail]
// removes, or ErrNotFound.
func (tx *Tx) FindErasing() (id int64, err error) {
	// That no id is 0 has SQLite use the index, whatever ANALYZE has found.
	err = tx.one(`SELECT id FROM users WHERE erasing = 1 AND id > 0 ORDER BY id LIMIT 1`, nil, &id)
	if err != nil {
		return 0, fmt.Errorf("find deleted user: %w", err)
	}
	return id, nil
}

// trail is what identifies a user ?1 outside of the account, each with how up to ?2
// rows of it are removed. What others have a part in stays as a fact: that there was
// such an event, and that somebody did this or that.
var trail = []string{
	`DELETE FROM known_places WHERE id IN (SELECT id FROM known_places WHERE user_id = ?1 LIMIT ?2)`,
	// Mails before tokens: whoever is about to send one has it locked while they make its
	// token.
	`DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE user_id = ?1 LIMIT ?2)`,
	`DELETE FROM one_time_tokens WHERE id IN (SELECT id FROM one_time_tokens WHERE user_id = ?1 LIMIT ?2)`,
	`DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE creator_id = ?1 LIMIT ?2)`,
	`DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE user_id = ?1 LIMIT ?2)`,
	`DELETE FROM hidden_messages WHERE user_id = ?1 AND message_id IN (
		SELECT message_id FROM hidden_messages WHERE user_id = ?1 LIMIT ?2)`,
	`DELETE FROM past_participants WHERE user_id = ?1 AND chat_id IN (
		SELECT chat_id FROM past_participants WHERE user_id = ?1 LIMIT ?2)`,
	// A program chooses it, who knows how.
	`UPDATE messages SET client_id = NULL WHERE id IN (
		SELECT id FROM messages WHERE sender_id = ?1 AND client_id IS NOT NULL LIMIT ?2)`,
	// What was for them alone nobody reads any more; that a session has ended, nodes
	// may still have to hear.
	`DELETE FROM events WHERE id IN (
		SELECT id FROM events WHERE user_id = ?1 AND audience > 0 AND audience = 1 AND type <> 'session.ended' LIMIT ?2)`,
	`UPDATE audit_log SET address = '', detail = '' WHERE id IN (
		SELECT id FROM audit_log WHERE actor_id = ?1 AND (address <> '' OR detail <> '') LIMIT ?2)`,
	// Where somebody else did it the address is theirs; where nobody was signed in it
	// may be this user's, and the detail says which command it was.
	`UPDATE audit_log SET
		address = CASE WHEN actor_id IS NULL THEN '' ELSE address END,
		detail = CASE WHEN actor_id IS NULL THEN detail ELSE '' END
	WHERE id IN (
		SELECT id FROM audit_log
		WHERE user_id = ?1 AND (actor_id IS NULL AND address <> '' OR actor_id IS NOT NULL AND detail <> '') LIMIT ?2)`,
}

// EraseTrail removes what identifies a deleted user outside of the account, up to
// limit rows of each kind, and tells whether that was all. Events that told of names
// tell data instead.
func (tx *Tx) EraseTrail(userID int64, data string, limit int) (done bool, err error) {
	done = true
	erase := func(query string, args ...any) {
		if err != nil {
			return
		}
		var n int64
		n, err = tx.exec(query, args...)
		done = done && n < int64(limit)
	}
	for _, query := range trail {
		erase(query, userID, limit)
	}
	erase(`
		UPDATE events SET data = ?3 WHERE id IN (
			SELECT id FROM events WHERE user_id = ?1 AND type = 'user.updated' AND coalesce(data, '') <> ?3 LIMIT ?2)`,
		userID, limit, data)
	if err == nil && done {
		_, err = tx.exec(`UPDATE users SET erasing = 0 WHERE id = ?1 AND deleted_at IS NOT NULL`, userID)
	}
	if err != nil {
		return false, fmt.Errorf("erase trail of user: %w", err)
	}
	return done, nil
}
