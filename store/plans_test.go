package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// planner has every query explained before it runs it.
type planner struct {
	db    *sql.DB
	steps []string
	err   error
}

func (p *planner) explain(ctx context.Context, query string, args []any) {
	rows, err := p.db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		p.err = fmt.Errorf("explain %s: %w", query, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if p.err = rows.Scan(&id, &parent, &unused, &step); p.err != nil {
			return
		}
		p.steps = append(p.steps, step)
	}
	p.err = rows.Err()
}

func (p *planner) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	p.explain(ctx, query, args)
	return p.db.ExecContext(ctx, query, args...)
}

func (p *planner) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	p.explain(ctx, query, args)
	return p.db.QueryContext(ctx, query, args...)
}

func (p *planner) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.explain(ctx, query, args)
	return p.db.QueryRowContext(ctx, query, args...)
}

// No query walks through everybody's rows, however many there will be; also
// if somebody has run ANALYZE on a database that is large by then.
func TestSQLitePlans(t *testing.T) {
	t.Parallel()
	t.Run("new", func(t *testing.T) { plans(t, "SELECT 1") })
	t.Run("large and analyzed", func(t *testing.T) {
		plans(t, `
			ANALYZE;
			DELETE FROM sqlite_stat1;
			INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
				('messages', 'messages_chat', '10000000 100000 1'),
				('messages', 'messages_client', '10000000 1000 1'),
				('participants', 'participants_user', '100000 100 1'),
				('participants', 'participants', '100000 1000 1'),
				('chats', 'sqlite_autoindex_chats_1', '100 2 1'),
				('users', 'sqlite_autoindex_users_1', '10000 1'),
				('sessions', 'sessions_expiry', '10000 1'),
				('reactions', 'sqlite_autoindex_reactions_1', '1000000 10 5 1'),
				('polls', NULL, '10000'),
				('poll_votes', 'poll_votes', '100000 10 5 1');
			ANALYZE sqlite_schema`)
	})
}

// plans asks for the plans of a database that has been prepared so.
func plans(t *testing.T, prepare string) {
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group := newGroup(t, s, ada, bob)
	session := newSession(t, s, ada, "token", noon)
	direct := store.NewDirectChat(ada.ID, bob.ID, noon)
	update(t, s, func(tx *store.Tx) error {
		if err := tx.CreateChat(&direct); err != nil {
			return err
		}
		m := store.Message{
			ChatID: group.ID, Seq: 1, SenderID: ada.ID, Text: "text", ClientID: "key", CreatedAt: noon, HasPoll: true,
		}
		if err := tx.CreateMessage(&m); err != nil {
			return err
		}
		if err := tx.CreatePoll(m.ID, store.Poll{Options: []store.PollOption{{Text: "yes"}, {Text: "no"}}}); err != nil {
			return err
		}
		return tx.CreateVote(store.Vote{MessageID: m.ID, UserID: ada.ID, CreatedAt: noon})
	})
	db := otherProgram(t, path)
	_, err := db.ExecContext(t.Context(), prepare)
	require.NoError(t, err)
	db.SetMaxOpenConns(2) // a Rows may be open

	span := store.Span{After: 0, Before: 100}
	fromEnd := store.Span{After: 0, Before: 100, FromEnd: true}
	const sorted = "USE TEMP B-TREE FOR ORDER BY"
	for _, c := range []struct {
		name string
		fn   func(*store.Tx) error
		want []string // steps that there must be, in this order
		sort bool
		tree bool // it has another use for a temporary index
	}{
		{name: "ListChatMessages", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatMessages(0, group.ID, span, 10)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)"}},
		{name: "ListChatMessages from the end", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatMessages(0, group.ID, fromEnd, 10)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)"}},
		// It sorts what it finds in the user's own chats, which is what it
		// must find first.
		{name: "ListMessagesOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListMessagesOf(ada.ID, span, 10)
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)",
		}, sort: true},
		{name: "ListMessagesOf from the end", fn: func(tx *store.Tx) error {
			_, err := tx.ListMessagesOf(ada.ID, fromEnd, 10)
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)",
		}, sort: true},
		{name: "FindMessageByClientID", fn: func(tx *store.Tx) error {
			_, err := tx.FindMessageByClientID(ada.ID, "key")
			return err
		}, want: []string{"SEARCH m USING INDEX messages_client (sender_id=? AND client_id=?)"}},
		{name: "LastMessageID", fn: func(tx *store.Tx) error {
			_, err := tx.LastMessageID()
			return err
		}, want: []string{"SEARCH messages"}},
		{name: "NextSeq", fn: func(tx *store.Tx) error {
			_, err := tx.NextSeq(ada.ID, group.ID, 1, noon)
			return err
		}, want: []string{
			"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)",
		}},
		{name: "FindChatByID", fn: func(tx *store.Tx) error {
			_, err := tx.FindChatByID(group.ID)
			return err
		}, want: []string{"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindChatOf", fn: func(tx *store.Tx) error {
			_, err := tx.FindChatOf(ada.ID, group.ID)
			return err
		}, want: []string{"SEARCH p USING", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindDirectChat", fn: func(tx *store.Tx) error {
			_, err := tx.FindDirectChat(ada.ID, bob.ID)
			return err
		}, want: []string{"(direct_low=? AND direct_high=?)"}},
		{name: "AddParticipant", fn: func(tx *store.Tx) error {
			return tx.AddParticipant(direct.ID, bob.ID, store.Member, noon)
		}, want: []string{"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "RemoveParticipant", fn: func(tx *store.Tx) error {
			return tx.RemoveParticipant(group.ID, bob.ID)
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
		{name: "FindUserByKey", fn: func(tx *store.Tx) error {
			_, err := tx.FindUserByKey("ada")
			return err
		}, want: []string{"(username_key=?)"}},
		{name: "FindUserByID", fn: func(tx *store.Tx) error {
			_, err := tx.FindUserByID(ada.ID)
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindSessionByTokenHash", fn: func(tx *store.Tx) error {
			_, err := tx.FindSessionByTokenHash(session.TokenHash)
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "ExtendSession", fn: func(tx *store.Tx) error {
			return tx.ExtendSession(session.ID, noon)
		}, want: []string{"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteExpiredSessions", fn: func(tx *store.Tx) error {
			return tx.DeleteExpiredSessions(noon, 10)
		}, want: []string{"USING COVERING INDEX sessions_expiry (expires_at<?)"}},
		{name: "CreateReaction", fn: func(tx *store.Tx) error {
			return tx.CreateReaction(store.Reaction{MessageID: 1, UserID: ada.ID, Emoji: "👍", CreatedAt: noon})
		}, want: []string{"SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindReaction", fn: func(tx *store.Tx) error {
			_, err := tx.FindReaction(1, ada.ID, "👍")
			return err
		}, want: []string{"(message_id=? AND emoji=? AND user_id=?)"}},
		{name: "HasReaction", fn: func(tx *store.Tx) error {
			_, err := tx.HasReaction(1, "👍")
			return err
		}, want: []string{"(message_id=? AND emoji=?)"}},
		// It sorts the reactions to the messages, which is what is to be counted.
		{name: "ListReactions", fn: func(tx *store.Tx) error {
			_, err := tx.ListReactions(1, "👍", 10, 0)
			return err
		}, want: []string{"SEARCH r USING", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}, sort: true},
		{name: "CountReactions", fn: func(tx *store.Tx) error {
			_, err := tx.CountReactions(ada.ID, []int64{1, 2, 3})
			return err
		}, want: []string{"(message_id=?)"}, sort: true},
		{name: "DeleteReaction", fn: func(tx *store.Tx) error {
			return tx.DeleteReaction(1, ada.ID, "👍")
		}, want: []string{"(message_id=? AND emoji=? AND user_id=?)"}},
		{name: "FindPoll", fn: func(tx *store.Tx) error {
			_, err := tx.FindPoll(ada.ID, 1, noon)
			return err
		}, want: []string{
			"SEARCH polls USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH poll_votes USING PRIMARY KEY (message_id=? AND choice=? AND user_id=?)",
		}},
		{name: "FindPolls", fn: func(tx *store.Tx) error {
			_, err := tx.FindPolls(ada.ID, []int64{1, 2, 3}, noon)
			return err
		}, want: []string{
			"SEARCH polls USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH poll_votes USING PRIMARY KEY (message_id=?)",
			"SEARCH poll_votes USING PRIMARY KEY (message_id=?)",
		}, tree: true}, // to count those who have voted more than once
		{name: "ListVotes", fn: func(tx *store.Tx) error {
			_, err := tx.ListVotes(1, 0, 10, 0)
			return err
		}, want: []string{
			"SEARCH v USING PRIMARY KEY (message_id=? AND choice=?)",
			"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
		}, sort: true},
		{name: "ClosePoll", fn: func(tx *store.Tx) error {
			return tx.ClosePoll(1, noon)
		}, want: []string{"SEARCH polls USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteVote", fn: func(tx *store.Tx) error {
			return tx.DeleteVote(1, 0, ada.ID)
		}, want: []string{"SEARCH poll_votes USING PRIMARY KEY (message_id=? AND choice=? AND user_id=?)"}},
		{name: "DeleteSessionByTokenHash", fn: func(tx *store.Tx) error {
			return tx.DeleteSessionByTokenHash(session.TokenHash)
		}, want: []string{"(token_hash=?)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &planner{db: db}
			require.NoError(t, c.fn(store.NewTx(t.Context(), p)))
			require.NoError(t, p.err)
			rest := p.steps
			for _, want := range c.want {
				found := false
				for !found {
					require.NotEmpty(t, rest, "no step %q in\n%s", want, strings.Join(p.steps, "\n"))
					found, rest = strings.Contains(rest[0], want), rest[1:]
				}
			}
			for _, step := range p.steps {
				require.NotRegexp(t, `^SCAN `, step)
				require.NotContains(t, step, "AUTOMATIC")
				if !c.sort && !c.tree {
					require.NotContains(t, step, "TEMP B-TREE")
				}
			}
			if c.sort {
				require.Contains(t, p.steps, sorted)
			}
		})
	}
}
