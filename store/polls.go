package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// Poll is a question, which is the text of its message, with answers to choose
// from.
type Poll struct {
	Options             []PollOption
	Multiple, Anonymous bool
	ClosesAt            time.Time // zero, if it does not
	Closed              bool      // read only
	Voters              int       // read only: how many people have voted
}

// PollOption is an answer to choose.
type PollOption struct {
	Text  string
	Votes int  // read only
	Me    bool // read only: the user who asks has chosen it
}

// Vote is somebody's choice.
type Vote struct {
	MessageID int64
	Choice    int // which of the options, from 0
	UserID    int64
	Username  string // read only, of the user
	CreatedAt time.Time
}

// CreatePoll stores the poll of a message, that says HasPoll; ErrConflict if it
// has one.
func (tx *Tx) CreatePoll(messageID int64, p Poll) error {
	texts := make([]string, len(p.Options))
	for i, option := range p.Options {
		texts[i] = option.Text
	}
	options, err := json.Marshal(texts)
	if err == nil {
		_, err = tx.exec(`INSERT INTO polls (message_id, options, multiple, anonymous, closes_at) VALUES (?1, ?2, ?3, ?4, ?5)`,
			messageID, string(options), bit(p.Multiple), bit(p.Anonymous), timeOrNull(p.ClosesAt))
	}
	if err != nil {
		return fmt.Errorf("create poll: %w", err)
	}
	return nil
}

// ClosePoll has a poll close, if it would do so later or not at all; else
// ErrNotFound.
func (tx *Tx) ClosePoll(messageID int64, at time.Time) error {
	err := tx.execOne(`
		UPDATE polls SET closes_at = ?2 WHERE message_id = ?1 AND (closes_at IS NULL OR closes_at > ?2)`, messageID, micros(at))
	if err != nil {
		return fmt.Errorf("close poll: %w", err)
	}
	return nil
}

// pollOf is a row of polls.
type pollOf struct {
	messageID int64
	Poll
}

// listPolls finds polls as they are at that time, without votes.
func (tx *Tx) listPolls(messageIDs []int64, at time.Time) ([]pollOf, error) {
	var args arguments
	in := among(&args, messageIDs)
	return list(tx, len(messageIDs), func(row scanner, p *pollOf) error {
		var options string
		var closes int64
		if err := row.Scan(&p.messageID, &options, &p.Multiple, &p.Anonymous, &closes); err != nil {
			return err
		}
		if closes != 0 {
			p.ClosesAt, p.Closed = fromMicros(closes), closes <= micros(at)
		}
		var texts []string
		if err := json.Unmarshal([]byte(options), &texts); err != nil {
			return fmt.Errorf("options of poll %d: %w", p.messageID, err)
		}
		for _, text := range texts {
			p.Options = append(p.Options, PollOption{Text: text})
		}
		return nil
	}, `
		SELECT message_id, options, multiple, anonymous, coalesce(closes_at, 0) FROM polls
		WHERE message_id IN (`+in+`)`, args...)
}

// FindPoll finds the poll of a message as it is at that time, without votes but
// for the user's own; ErrNotFound if there is none.
func (tx *Tx) FindPoll(userID, messageID int64, at time.Time) (Poll, error) {
	found, err := tx.listPolls([]int64{messageID}, at)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Poll{}, fmt.Errorf("find poll: %w", err)
	}
	p := found[0].Poll
	// A look for each option there can be, and not through the votes of others.
	chosen, err := list(tx, len(p.Options), func(row scanner, choice *int) error { return row.Scan(choice) }, `
		SELECT choice FROM poll_votes
		WHERE message_id = ?1 AND choice IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9) AND user_id = ?2`, messageID, userID)
	if err != nil {
		return Poll{}, fmt.Errorf("find own votes: %w", err)
	}
	for _, choice := range chosen {
		p.Options[choice].Me = true
	}
	return p, nil
}

// FindPolls finds the polls of some messages, as they are at that time and as
// the user sees them. It counts all their votes.
func (tx *Tx) FindPolls(userID int64, messageIDs []int64, at time.Time) (map[int64]*Poll, error) {
	polls := map[int64]*Poll{}
	found, err := tx.listPolls(messageIDs, at)
	if err != nil {
		return nil, fmt.Errorf("find polls: %w", err)
	}
	if len(found) == 0 {
		return polls, nil
	}
	ids := make([]int64, len(found))
	for i, p := range found {
		ids[i] = p.messageID
		polls[p.messageID] = &found[i].Poll
	}
	const voters = -1 // in place of a choice
	type tally struct {
		messageID     int64
		choice, votes int
		me            bool
	}
	args := arguments{userID}
	in := among(&args, ids)
	tallies, err := list(tx, 4*len(ids), func(row scanner, t *tally) error {
		return row.Scan(&t.messageID, &t.choice, &t.votes, &t.me)
	}, `
		SELECT message_id, choice, count(*), max(CASE WHEN user_id = ?1 THEN 1 ELSE 0 END)
		FROM poll_votes WHERE message_id IN (`+in+`) GROUP BY message_id, choice
		UNION ALL
		SELECT message_id, -1, count(DISTINCT user_id), 0
		FROM poll_votes WHERE message_id IN (`+in+`) GROUP BY message_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("count votes: %w", err)
	}
	for _, t := range tallies {
		p := polls[t.messageID]
		if t.choice == voters {
			p.Voters = t.votes
		} else {
			p.Options[t.choice].Votes, p.Options[t.choice].Me = t.votes, t.me
		}
	}
	return polls, nil
}

// CreateVote stores a vote; ErrConflict if it is there.
func (tx *Tx) CreateVote(v Vote) error {
	_, err := tx.exec(`INSERT INTO poll_votes (message_id, choice, user_id, created_at) VALUES (?1, ?2, ?3, ?4)`,
		v.MessageID, v.Choice, v.UserID, micros(v.CreatedAt))
	if err != nil {
		return fmt.Errorf("create vote: %w", err)
	}
	return nil
}

// DeleteVote takes a vote back; ErrNotFound if there is none.
func (tx *Tx) DeleteVote(messageID int64, choice int, userID int64) error {
	err := tx.execOne(`DELETE FROM poll_votes WHERE message_id = ?1 AND choice = ?2 AND user_id = ?3`, messageID, choice, userID)
	if err != nil {
		return fmt.Errorf("delete vote: %w", err)
	}
	return nil
}

// ListVotes lists up to limit votes for an option behind the first so many, the
// oldest first.
func (tx *Tx) ListVotes(messageID int64, choice, limit, offset int) ([]Vote, error) {
	found, err := list(tx, min(limit, 64), func(row scanner, v *Vote) error {
		var created int64
		err := row.Scan(&v.MessageID, &v.Choice, &v.UserID, &v.Username, &created)
		v.CreatedAt = fromMicros(created)
		return err
	}, `
		SELECT v.message_id, v.choice, v.user_id, u.username, v.created_at
		FROM poll_votes v JOIN users u ON u.id = v.user_id
		WHERE v.message_id = ?1 AND v.choice = ?2
		ORDER BY v.created_at, v.user_id LIMIT ?3 OFFSET ?4`, messageID, choice, limit, offset)
	if err != nil {
		return nil, fmt.Errorf("list votes: %w", err)
	}
	return found, nil
}
