package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// What follows finds what there is about one user, in whatever chat. There is no index
// of everybody's messages by their senders, which would slow down every send: it looks
// through the chats that the user is in, or has been.

// ChatEver is a chat that a user is in, or has been.
type ChatEver struct {
	Chat
	Other       *User        // of a direct chat: the id and the names of the other
	Participant *Participant // nil, if they are in it no more
}

// ListChatsEver lists up to limit chats that a user is in, or has been, by their ids,
// behind one.
func (tx *Tx) ListChatsEver(userID, after int64, limit int) ([]ChatEver, error) {
	// CROSS JOIN has SQLite begin with the user's chats.
	found, err := list(tx, min(limit, 64), scanChatEver, `
		SELECT c.id, c.kind, c.title, c.description, c.visibility, c.managed_by, c.last_seq, c.created_at, c.active_at,
			coalesce(c.direct_low, 0), coalesce(c.direct_high, 0),
			coalesce(o.id, 0), coalesce(o.username, ''), coalesce(o.display_name, ''),
			own.chat_id, u.id, u.username, coalesce(p.role, ''), coalesce(p.joined_at, 0), coalesce(p.read_seq, 0),
			coalesce(p.delivered_seq, 0), coalesce(p.muted_until, 0), coalesce(p.archived, 0), coalesce(p.marked_unread, 0)
		FROM (
			SELECT chat_id FROM participants WHERE user_id = ?1 AND chat_id > ?2
			UNION
			SELECT past.chat_id FROM past_participants past CROSS JOIN chats there
			WHERE past.user_id = ?1 AND past.chat_id > ?2 AND there.id = past.chat_id AND there.deleted_at IS NULL
			ORDER BY 1 LIMIT ?3
		) own
		CROSS JOIN chats c
		CROSS JOIN users u
		LEFT JOIN participants p ON p.chat_id = own.chat_id AND p.user_id = ?1
		LEFT JOIN users o ON c.kind = 'direct' AND o.id = c.direct_low + c.direct_high - ?1
		WHERE c.id = own.chat_id AND u.id = ?1
		ORDER BY own.chat_id`, userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list chats ever of user: %w", err)
	}
	return found, nil
}

func scanChatEver(row scanner, c *ChatEver) error {
	var created, active, joined, muted int64
	var other User
	var p Participant
	places := append([]any{
		&c.ID, &c.Kind, &c.Title, &c.Description, &c.Visibility, &c.ManagedBy, &c.LastSeq, &created, &active, &c.low, &c.high,
		&other.ID, &other.Username, &other.DisplayName,
	}, p.places(&joined, &muted)...)
	if err := row.Scan(places...); err != nil {
		return err
	}
	c.CreatedAt, c.ActiveAt = fromMicros(created), fromMicros(active)
	if other.ID != 0 {
		c.Other = &other
	}
	if p.Role != "" {
		p.setTimes(joined, muted)
		c.Participant = &p
	}
	return nil
}

// FindPartOfChat finds the id of the count-th message of a chat behind one or, if there
// are fewer, of the last; 0, if there is none.
func (tx *Tx) FindPartOfChat(chatID, after int64, count int) (last int64, err error) {
	err = tx.one(`
		SELECT coalesce(max(id), 0) FROM (SELECT id FROM messages WHERE chat_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3) part`,
		[]any{chatID, after, count}, &last)
	if err != nil {
		return 0, fmt.Errorf("find part of chat: %w", err)
	}
	return last, nil
}

// ListMessagesBySender lists the messages of a chat in a span that somebody has sent,
// oldest first. It looks at all messages in the span.
func (tx *Tx) ListMessagesBySender(senderID, chatID int64, in Span) ([]Message, error) {
	found, err := list(tx, 64, scanMessage, selectMessages+`
		WHERE m.chat_id = ?2 AND m.id > ?3 AND m.id < ?4 AND m.sender_id = ?1 ORDER BY m.id`,
		senderID, chatID, in.After, in.Before)
	if err != nil {
		return nil, fmt.Errorf("list messages by sender: %w", err)
	}
	return found, nil
}

// ListReactionsBy lists the reactions of a user to messages of a chat in a span, by
// these. It looks at all messages in the span, and at the reactions to them.
func (tx *Tx) ListReactionsBy(userID, chatID int64, in Span) ([]Reaction, error) {
	found, err := list(tx, 16, scanReaction, fmt.Sprintf(`
		SELECT r.message_id, r.user_id, u.username, r.emoji, r.created_at
		FROM messages m CROSS JOIN reactions r CROSS JOIN users u
		WHERE m.chat_id = ?2 AND m.id > ?3 AND m.id < ?4 AND m.flags & %d <> 0
			AND r.message_id = m.id AND r.user_id = ?1 AND u.id = ?1
		ORDER BY m.id, r.id`, flagReactions), userID, chatID, in.After, in.Before)
	if err != nil {
		return nil, fmt.Errorf("list reactions by user: %w", err)
	}
	return found, nil
}

// CastVote is a vote, with what was chosen.
type CastVote struct {
	Vote
	Text string
}

// ListVotesBy lists the votes of a user in polls of a chat in a span, by their messages.
// It looks at all messages in the span, and at the votes in their polls.
func (tx *Tx) ListVotesBy(userID, chatID int64, in Span) ([]CastVote, error) {
	found, err := list(tx, 16, func(row scanner, v *CastVote) error {
		var created int64
		var options string
		if err := row.Scan(&v.MessageID, &v.Choice, &v.UserID, &created, &options); err != nil {
			return err
		}
		var texts []string
		if err := json.Unmarshal([]byte(options), &texts); err != nil {
			return fmt.Errorf("options of poll %d: %w", v.MessageID, err)
		}
		if v.Choice < len(texts) {
			v.Text = texts[v.Choice]
		}
		v.CreatedAt = fromMicros(created)
		return nil
	}, fmt.Sprintf(`
		SELECT v.message_id, v.choice, v.user_id, v.created_at, o.options
		FROM messages m CROSS JOIN polls o CROSS JOIN poll_votes v
		WHERE m.chat_id = ?2 AND m.id > ?3 AND m.id < ?4 AND m.flags & %d <> 0
			AND o.message_id = m.id AND v.message_id = m.id AND v.user_id = ?1
		ORDER BY m.id, v.choice`, flagPoll), userID, chatID, in.After, in.Before)
	if err != nil {
		return nil, fmt.Errorf("list votes by user: %w", err)
	}
	return found, nil
}

// Mentioned is a message that names somebody.
type Mentioned struct {
	MessageID int64
	CreatedAt time.Time
}

// ListMentionsOf lists the messages of a chat in a span in which others name a user,
// oldest first. It looks at all messages in the span.
func (tx *Tx) ListMentionsOf(userID, chatID int64, in Span) ([]Mentioned, error) {
	type row struct {
		Mentioned
		mentions []Mention
	}
	found, err := list(tx, 16, func(s scanner, r *row) (err error) {
		var created int64
		var encoded sql.NullString
		if err := s.Scan(&r.MessageID, &created, &encoded); err != nil {
			return err
		}
		r.CreatedAt = fromMicros(created)
		if encoded.Valid {
			r.mentions, err = decodeMentions(encoded.String)
		}
		return err
	}, fmt.Sprintf(`
		SELECT m.id, m.created_at, m.mentions FROM messages m
		WHERE m.chat_id = ?2 AND m.id > ?3 AND m.id < ?4 AND m.flags & %d <> 0 AND m.sender_id <> ?1
		ORDER BY m.id`, flagMentions), userID, chatID, in.After, in.Before)
	if err != nil {
		return nil, fmt.Errorf("list mentions of user: %w", err)
	}
	var mentioned []Mentioned
	for _, r := range found {
		for _, mention := range r.mentions {
			if mention.UserID == userID {
				mentioned = append(mentioned, r.Mentioned)
				break
			}
		}
	}
	return mentioned, nil
}

// ListHidden lists up to limit messages that a user has hidden, by their ids, behind
// one.
func (tx *Tx) ListHidden(userID, after int64, limit int) ([]int64, error) {
	found, err := list(tx, min(limit, 64), scanID, `
		SELECT message_id FROM hidden_messages WHERE user_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3`,
		userID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list hidden messages: %w", err)
	}
	return found, nil
}

// ListInvitesBy lists the invites to a chat that a user has made, of use or not, by
// their ids.
func (tx *Tx) ListInvitesBy(creatorID, chatID int64) ([]Invite, error) {
	found, err := list(tx, 4, scanInvite, selectInvites+`
		WHERE i.chat_id = ?2 AND i.creator_id = ?1 ORDER BY i.id`, creatorID, chatID)
	if err != nil {
		return nil, fmt.Errorf("list invites by user: %w", err)
	}
	return found, nil
}

// ListInvitationsBy lists up to limit invitations to register that a user has made, of
// use or not, by their ids, the first of them left out.
func (tx *Tx) ListInvitationsBy(creatorID int64, limit, offset int) ([]Invitation, error) {
	found, err := list(tx, min(limit, 16), scanInvitation, selectInvitations+`
		WHERE i.creator_id = ?1 ORDER BY i.id LIMIT ?2 OFFSET ?3`, creatorID, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list invitations by user: %w", err)
	}
	return found, nil
}
