package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/store"
)

// planner has every query explained before it runs it.
type planner struct {
	db      *sql.DB
	steps   []string
	columns int // of tables themselves, not of indexes, that are read somewhere
	err     error
}

func (p *planner) explain(ctx context.Context, query string, args []any) {
	if p.err = p.readColumns(ctx, query, args); p.err != nil {
		return
	}
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

// readColumns looks into the program that a query is made into. What SQLite says of
// its plan is that an index covers the query; not, that a partial index need not,
// since what it is restricted to is not asked for again.
func (p *planner) readColumns(ctx context.Context, query string, args []any) error {
	rows, err := p.db.QueryContext(ctx, "EXPLAIN "+query, args...)
	if err != nil {
		return fmt.Errorf("explain %s: %w", query, err)
	}
	defer rows.Close()
	tables := map[int]bool{}
	for rows.Next() {
		var address, p1, p2, p3, p5 int
		var operation string
		var p4, comment sql.NullString
		if err := rows.Scan(&address, &operation, &p1, &p2, &p3, &p4, &p5, &comment); err != nil {
			return err
		}
		switch operation {
		case "OpenRead":
			tables[p1] = !strings.HasPrefix(p4.String, "k(") // or it has a key
		case "Column":
			if tables[p1] {
				p.columns++
			}
		}
	}
	return rows.Err()
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
				('search_terms', 'search_terms', '100000000 100000 100 1'),
				('messages', 'messages_chat', '10000000 100000 1'),
				('messages', 'messages_client', '10000000 1000 1'),
				('participants', 'participants_user', '100000 100 1'),
				('participants', 'participants', '100000 1000 1'),
				('chats', 'sqlite_autoindex_chats_1', '100 2 1'),
				('users', 'sqlite_autoindex_users_1', '10000 1'),
				('sessions', 'sessions_expiry', '10000 1'),
				('known_places', 'sqlite_autoindex_known_places_1', '100000 20 1'),
				('known_places', 'known_places_use', '100000 1'),
				('reactions', 'sqlite_autoindex_reactions_1', '1000000 10 5 1'),
				('polls', NULL, '10000'),
				('poll_votes', 'poll_votes', '100000 10 5 1'),
				('events', NULL, '10000000'),
				('events', 'events_chat', '10000000 100000 1'),
				('events', 'events_user', '1000000 1000 1'),
				('blocks', 'blocks', '1000 10 1');
			ANALYZE sqlite_schema`)
	})
}

// plans asks for the plans of a database that has been prepared so.
func plans(t *testing.T, prepare string) {
	path := filepath.Join(t.TempDir(), "messaging.db")
	s := openSQLite(t, store.Options{Database: path})
	ada, bob := newUser(t, s, "ada"), newUser(t, s, "bob")
	group, club := newGroup(t, s, ada, bob), newGroup(t, s, ada)
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
	eve := newUser(t, s, "eve")
	busy, _ := newGroup(t, s, eve), newGroup(t, s, eve)
	update(t, s, func(tx *store.Tx) error {
		for range 5 {
			if err := tx.AppendEvent(store.Event{Type: store.ChatUpdated, ChatID: busy.ID, ActorID: eve.ID, At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	invite := store.Invite{ChatID: club.ID, TokenHash: hash("invite"), CreatorID: ada.ID, CreatedAt: noon}
	update(t, s, func(tx *store.Tx) error { return tx.CreateInvite(&invite) })
	changeUser(t, s, ada, store.UserChange{Admin: new(true)})
	invitation := store.Invitation{TokenHash: hash("invitation"), CreatorID: ada.ID, CreatedAt: noon, MaxUses: 10}
	update(t, s, func(tx *store.Tx) error { return tx.CreateInvitation(&invitation) })
	registration := store.Registration{Username: "zoe", Email: "zoe@example.com", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	update(t, s, func(tx *store.Tx) error { return tx.CreateRegistration(&registration) })
	// The last claim is of it.
	waiting := newMail(t, s, "notice", ada, noon)
	waiting.Attempts = 1
	update(t, s, func(tx *store.Tx) error {
		return tx.CreateOneTimeToken(&store.OneTimeToken{TokenHash: hash("reset"), Purpose: store.ForPasswordReset, UserID: ada.ID, ExpiresAt: noon})
	})
	db := otherProgram(t, path)
	_, err := db.ExecContext(t.Context(), prepare)
	require.NoError(t, err)
	db.SetMaxOpenConns(2) // a Rows may be open

	word := []store.Term{{Text: "te", Prefix: true}, {Text: "text"}}
	span := store.Span{After: 0, Before: 100}
	fromEnd := store.Span{After: 0, Before: 100, FromEnd: true}
	chatsOf := []string{
		"SEARCH own USING INDEX participants_user (user_id=?)", "SEARCH mine USING INTEGER PRIMARY KEY (rowid=?)",
		"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH p USING PRIMARY KEY (chat_id=? AND user_id=?)",
		"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
		"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH m USING COVERING INDEX messages_chat (chat_id=?)",
		"SEARCH h USING PRIMARY KEY (user_id=? AND message_id=?)", "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)",
	}
	conditions := []store.Condition{
		{Field: store.MessageSenderID, Value: ada.ID}, {Field: store.MessageSenderUsername, Value: "ada"},
		{Field: store.MessageID, Match: store.Above, Value: int64(0)}, {Field: store.MessageSeq, Value: int64(1)},
		{Field: store.MessageText, Match: store.Contains, Value: "t"}, {Field: store.MessageReceiverID, Match: store.NotEqual, Value: ada.ID},
		{Field: store.MessageCreatedAt, Match: store.Below, Value: noon.UnixMicro() + 1},
	}
	const sorted = "USE TEMP B-TREE FOR ORDER BY"
	for _, c := range []struct {
		name   string
		fn     func(*store.Tx) error
		want   []string // steps that there must be, in this order
		sort   bool
		may    []string // steps that are not as bad as they look
		gather bool     // it has another use for a temporary index
		keys   bool     // indexes alone tell all that it asks
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
		{name: "FindMessage", fn: func(tx *store.Tx) error {
			_, err := tx.FindMessage(ada.ID, 1)
			return err
		}, want: []string{
			"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH h USING PRIMARY KEY (user_id=? AND message_id=?)",
			"SEARCH p USING COVERING INDEX participants_user (user_id=? AND chat_id=?)",
		}},
		{name: "FindMessageBySender", fn: func(tx *store.Tx) error {
			_, err := tx.FindMessageBySender(ada.ID, 1)
			return err
		}, want: []string{"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindMessageIDBySeq", fn: func(tx *store.Tx) error {
			_, err := tx.FindMessageIDBySeq(group.ID, 1)
			return err
		}, want: []string{"SEARCH messages USING INDEX messages_chat (chat_id=? AND id>?)"}},
		{name: "FindMessageIDNearEnd", fn: func(tx *store.Tx) error {
			_, err := tx.FindMessageIDNearEnd(store.Chat{ID: group.ID, LastSeq: 1}, 1)
			return err
		}, want: []string{"SEARCH messages USING INDEX messages_chat (chat_id=?)"}},
		{name: "CountAccounts", fn: func(tx *store.Tx) error {
			_, err := tx.CountAccounts([]int64{ada.ID, bob.ID, 99})
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "IsBlockedByAny", fn: func(tx *store.Tx) error {
			_, err := tx.IsBlockedByAny(ada.ID, []int64{bob.ID, 99})
			return err
		}, want: []string{"SEARCH blocks USING COVERING INDEX blocks_blocked (blocked_id=? AND blocker_id=?)"}},
		{name: "FindLastOfOthers", fn: func(tx *store.Tx) error {
			_, err := tx.FindLastOfOthers(store.Chat{ID: group.ID, LastSeq: 1}, bob.ID, 0, 1)
			return err
		}, want: []string{"SEARCH messages USING INDEX messages_chat (chat_id=? AND id>? AND id<?)"}},
		{name: "ListThread", fn: func(tx *store.Tx) error {
			_, err := tx.ListThread(ada.ID, 1, span, 10)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_thread (thread_id=? AND id>? AND id<?)"}},
		{name: "FilterMessages of a chat", fn: func(tx *store.Tx) error {
			_, err := tx.FilterMessages(ada.ID, group.ID, store.Filter{Limited: true, Limit: 10, Offset: 10})
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=?)"}},
		{name: "FilterMessages of a chat with conditions", fn: func(tx *store.Tx) error {
			_, err := tx.FilterMessages(ada.ID, group.ID, store.Filter{Where: conditions})
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=?"}},
		{name: "FilterMessages", fn: func(tx *store.Tx) error {
			_, err := tx.FilterMessages(ada.ID, 0, store.Filter{Where: conditions})
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH m USING INDEX messages_chat (chat_id=?",
		}, sort: true},
		{name: "CountMessages of a chat", fn: func(tx *store.Tx) error {
			_, err := tx.CountMessages(ada.ID, group.ID, store.Filter{Where: conditions})
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=?"}},
		{name: "CountMessages", fn: func(tx *store.Tx) error {
			_, err := tx.CountMessages(ada.ID, 0, store.Filter{Where: conditions})
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH m USING INDEX messages_chat (chat_id=?",
		}},
		{name: "ListCorrespondents", fn: func(tx *store.Tx) error {
			_, err := tx.ListCorrespondents(ada.ID, []int64{direct.ID, group.ID, 77})
			return err
		}, want: []string{"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindUserByEmail", fn: func(tx *store.Tx) error {
			if _, err := tx.FindUserByEmail("ada@example.com"); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		}, want: []string{"SEARCH users USING INDEX users_email (email_key=?)", "SEARCH users USING INDEX users_pending_email (<expr>=?)"}, sort: true},
		{name: "EditMessage", fn: func(tx *store.Tx) error {
			return tx.EditMessage(&store.Message{ID: 1, Text: "text", EditedAt: noon})
		}, want: []string{"SEARCH message_edits USING PRIMARY KEY (message_id=?)", "SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "CountEdits", fn: func(tx *store.Tx) error {
			_, err := tx.CountEdits(1)
			return err
		}, want: []string{"SEARCH message_edits USING PRIMARY KEY (message_id=?)"}},
		{name: "ListEdits", fn: func(tx *store.Tx) error {
			_, err := tx.ListEdits(1)
			return err
		}, want: []string{"SEARCH message_edits USING PRIMARY KEY (message_id=?)"}},
		{name: "HideMessage", fn: func(tx *store.Tx) error { return tx.HideMessage(bob.ID, 1) }},
		{name: "CountReplies", fn: func(tx *store.Tx) error {
			return tx.CountReplies(1, 1)
		}, want: []string{"SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindParticipantsByKey", fn: func(tx *store.Tx) error {
			_, err := tx.FindParticipantsByKey(group.ID, []string{"ada", "bob", "eve"})
			return err
		}, want: []string{"(username_key=?)", "SEARCH p USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
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
		{name: "FindParticipant", fn: func(tx *store.Tx) error {
			_, err := tx.FindParticipant(group.ID, ada.ID)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
		{name: "FindDirectChat", fn: func(tx *store.Tx) error {
			_, err := tx.FindDirectChat(ada.ID, bob.ID)
			return err
		}, want: []string{"(direct_low=? AND direct_high=?)"}},
		{name: "AddParticipant", fn: func(tx *store.Tx) error {
			return tx.AddParticipant(direct.ID, bob.ID, store.Member, noon)
		}, want: []string{"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "RemoveParticipant", fn: func(tx *store.Tx) error {
			return tx.RemoveParticipant(group.ID, bob.ID)
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
		{name: "ListChatsOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatsOf(ada.ID, store.ChatFilter{Limit: 10})
			return err
		}, want: chatsOf, sort: true, may: []string{"SCAN page"}},
		{name: "ListChatsOf, some", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatsOf(ada.ID, store.ChatFilter{ID: group.ID, Kind: store.GroupChat, Archived: new(bool), Limit: 10})
			return err
		}, want: chatsOf, sort: true, may: []string{"SCAN page"}},
		{name: "ListDirectChatsOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListDirectChatsOf(ada.ID, 0, 10)
			return err
		}, want: []string{"SEARCH p USING COVERING INDEX participants_user (user_id=?", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"}, sort: true},
		{name: "CountUnread", fn: func(tx *store.Tx) error {
			_, err := tx.CountUnread(ada.ID, noon)
			return err
		}, want: []string{"SEARCH p USING INDEX participants_user (user_id=?)", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "ListBlocks", fn: func(tx *store.Tx) error {
			_, err := tx.ListBlocks(ada.ID, 10, 0)
			return err
		}, want: []string{"SEARCH b USING PRIMARY KEY (blocker_id=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "CountBlocks", fn: func(tx *store.Tx) error {
			_, err := tx.CountBlocks(ada.ID)
			return err
		}, want: []string{"SEARCH blocks USING PRIMARY KEY (blocker_id=?)"}},
		{name: "ListReaders", fn: func(tx *store.Tx) error {
			_, err := tx.ListReaders(store.Message{ChatID: group.ID, SenderID: ada.ID, Seq: 1, CreatedAt: noon}, 10, 0)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "CountReaders", fn: func(tx *store.Tx) error {
			_, _, err := tx.CountReaders(store.Message{ChatID: group.ID, SenderID: ada.ID, Seq: 1, CreatedAt: noon})
			return err
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=?)"}},
		{name: "ListReadSeqs", fn: func(tx *store.Tx) error {
			_, err := tx.ListReadSeqs(group.ID, 10)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "CountReadSeqs", fn: func(tx *store.Tx) error {
			_, err := tx.CountReadSeqs(group.ID, store.Moment{Seq: 1, At: noon}, store.Moment{Seq: 2, At: noon}, []int64{ada.ID, bob.ID, 3})
			return err
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=?)"}, may: []string{"USE TEMP B-TREE FOR GROUP BY"}},
		{name: "SetSettings", fn: func(tx *store.Tx) error {
			return tx.SetSettings(store.Participant{ChatID: group.ID, UserID: ada.ID})
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
		{name: "SetWatermarks", fn: func(tx *store.Tx) error {
			return tx.SetWatermarks(store.Participant{ChatID: group.ID, UserID: ada.ID})
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
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
		// As above, and they come message by message.
		{name: "ListReactors", fn: func(tx *store.Tx) error {
			_, err := tx.ListReactors("👍", []int64{1, 2, 3})
			return err
		}, want: []string{"(message_id=? AND emoji=?)"}, gather: true},
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
		}, gather: true}, // to count those who have voted more than once
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
		{name: "DeleteMessage", fn: func(tx *store.Tx) error {
			m, err := tx.FindMessageBySender(ada.ID, 1) // edited above, and replied to
			if err != nil {
				return err
			}
			m.DeletedAt = noon
			return tx.DeleteMessage(&m)
		}, want: []string{"SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH message_edits USING PRIMARY KEY (message_id=?)"}},
		{name: "DeleteChat", fn: func(tx *store.Tx) error {
			_, err := tx.DeleteChat(group.ID, noon)
			return err
		}, want: []string{"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH participants USING PRIMARY KEY (chat_id=?)"}},
		{name: "FindDeletedChatID", fn: func(tx *store.Tx) error {
			_, err := tx.FindDeletedChatID()
			return err
		}, want: []string{"SEARCH chats USING INDEX chats_deleted (id>?)"}},
		{name: "SweepChat, messages", fn: func(tx *store.Tx) error {
			return tx.SweepChat(group.ID, 10)
		}, want: []string{"SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH messages USING COVERING INDEX messages_chat (chat_id=?)"}},
		{name: "SweepChat, the rest", fn: func(tx *store.Tx) error {
			return tx.SweepChat(group.ID, 10)
		}, want: []string{
			"SEARCH search_terms USING PRIMARY KEY (space=? AND term=? AND id=?)", "SEARCH search_terms USING PRIMARY KEY (space=?)",
			"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH messages USING COVERING INDEX messages_chat (chat_id=?)",
		}},
		{name: "FindUserByKey", fn: func(tx *store.Tx) error {
			_, err := tx.FindUserByKey("ada")
			return err
		}, want: []string{"(username_key=?)"}},
		{name: "ListParticipants", fn: func(tx *store.Tx) error {
			_, err := tx.ListParticipants(club.ID, 10, 0)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=?)"}, sort: true},
		{name: "ListRolls", fn: func(tx *store.Tx) error {
			_, err := tx.ListRolls(ada.ID, 0, 10)
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=? AND chat_id>?)", "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH participants USING PRIMARY KEY (chat_id=?)",
		}, sort: true}, // who is in them
		{name: "FindRoll", fn: func(tx *store.Tx) error {
			_, err := tx.FindRoll(club.ID)
			return err
		}, want: []string{"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH participants USING PRIMARY KEY (chat_id=?)"}, sort: true},
		{name: "FindLongestIn", fn: func(tx *store.Tx) error {
			_, err := tx.FindLongestIn(club.ID)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}, sort: true},
		{name: "FindHeir", fn: func(tx *store.Tx) error {
			_, err := tx.FindHeir(club.ID, 0)
			return err
		}, want: []string{"SEARCH p USING PRIMARY KEY (chat_id=?)"}, sort: true},
		{name: "SetRole", fn: func(tx *store.Tx) error {
			return tx.SetRole(club.ID, ada.ID, store.Member)
		}, want: []string{"SEARCH participants USING PRIMARY KEY (chat_id=? AND user_id=?)"}},
		{name: "FindGroup", fn: func(tx *store.Tx) error {
			_, err := tx.FindGroup(ada.ID, club.ID)
			return err
		}, want: []string{
			"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH p USING PRIMARY KEY (chat_id=? AND user_id=?)",
			"SEARCH n USING PRIMARY KEY (chat_id=?)",
		}},
		{name: "ListGroups", fn: func(tx *store.Tx) error {
			_, err := tx.ListGroups(ada.ID, 10, 0)
			return err
		}, want: []string{
			"SEARCH chats USING INDEX chats_public (id>?)", "SEARCH mine USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH own USING INTEGER PRIMARY KEY (rowid=?)",
		}, sort: true, may: []string{"SCAN public", "SCAN shown"}},
		{name: "ListGroupTitles", fn: func(tx *store.Tx) error {
			_, err := tx.ListGroupTitles(ada.ID, 1, 10)
			return err
		}, want: []string{
			"SEARCH chats USING INDEX chats_public (id>?)", "SEARCH mine USING COVERING INDEX participants_user (user_id=? AND chat_id>?)",
			"SEARCH own USING INTEGER PRIMARY KEY (rowid=?)",
		}, sort: true, may: []string{"SCAN public", "SCAN shown"}},
		{name: "HasPublicGroup", fn: func(tx *store.Tx) error {
			_, err := tx.HasPublicGroup("a group", 1)
			return err
		}, want: []string{"SEARCH chats USING INDEX chats_title (title=?)"}},
		{name: "UpdateChat", fn: func(tx *store.Tx) error {
			return tx.UpdateChat(club.ID, store.ChatChange{})
		}, want: []string{"SEARCH chats USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindInviteByTokenHash", fn: func(tx *store.Tx) error {
			_, err := tx.FindInviteByTokenHash(invite.TokenHash, noon)
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "ListInvites", fn: func(tx *store.Tx) error {
			_, err := tx.ListInvites(club.ID, noon)
			return err
		}, want: []string{"SEARCH i USING INDEX invites_chat (chat_id=?)"}},
		{name: "UseInvite", fn: func(tx *store.Tx) error {
			return tx.UseInvite(invite.ID, noon)
		}, want: []string{"SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "RevokeInvite", fn: func(tx *store.Tx) error {
			return tx.RevokeInvite(club.ID, invite.ID, noon)
		}, want: []string{"SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "RevokeInvitesOf", fn: func(tx *store.Tx) error {
			return tx.RevokeInvitesOf(club.ID, ada.ID, noon)
		}, want: []string{"SEARCH invites USING INDEX invites_chat (chat_id=?)"}},
		{name: "DeleteSpentInvites", fn: func(tx *store.Tx) error {
			return tx.DeleteSpentInvites(club.ID, noon)
		}, want: []string{"SEARCH i USING INDEX invites_chat (chat_id=?)"}},
		// Of invitations, there are a thousand at most.
		{name: "FindInvitationByTokenHash", fn: func(tx *store.Tx) error {
			_, err := tx.FindInvitationByTokenHash(invitation.TokenHash, noon)
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "ListInvitations", fn: func(tx *store.Tx) error {
			_, err := tx.ListInvitations(noon, 10, 0)
			return err
		}, want: []string{"SCAN i", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)"}, may: []string{"SCAN i"}},
		{name: "UseInvitation", fn: func(tx *store.Tx) error {
			return tx.UseInvitation(invitation.ID, noon)
		}, want: []string{"SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "RevokeInvitation", fn: func(tx *store.Tx) error {
			return tx.RevokeInvitation(invitation.ID, noon)
		}, want: []string{"SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindRegistration", fn: func(tx *store.Tx) error {
			_, err := tx.FindRegistration(registration.ID, noon)
			return err
		}, want: []string{"SEARCH registrations USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteExpiredRegistrations", fn: func(tx *store.Tx) error {
			_, err := tx.DeleteExpiredRegistrations(noon, 10)
			return err
		}, want: []string{"USING COVERING INDEX registrations_expiry (expires_at<?)"}},
		{name: "DeleteRegistration", fn: func(tx *store.Tx) error {
			return tx.DeleteRegistration(registration.ID)
		}, want: []string{"SEARCH registrations USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindUserByID", fn: func(tx *store.Tx) error {
			_, err := tx.FindUserByID(ada.ID)
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindSessionByTokenHash", fn: func(tx *store.Tx) error {
			_, err := tx.FindSessionByTokenHash(session.TokenHash)
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "FindSession", fn: func(tx *store.Tx) error {
			_, err := tx.FindSession(session.ID)
			return err
		}, want: []string{"SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "FindSessionByFamilyHash", fn: func(tx *store.Tx) error {
			if _, err := tx.FindSessionByFamilyHash(hash("family")); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, want: []string{"SEARCH s USING INDEX sessions_family (family_hash=?)"}},
		{name: "RefreshSession", fn: func(tx *store.Tx) error {
			if err := tx.RefreshSession(store.Session{ID: session.ID}, hash("refresh")); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, want: []string{"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "CountSessionsOf", fn: func(tx *store.Tx) error {
			_, err := tx.CountSessionsOf(ada.ID, store.KeySession)
			return err
		}, want: []string{"SEARCH sessions USING INDEX sessions_user (user_id=?)"}},
		{name: "DeleteLeastUsedSessionsOf", fn: func(tx *store.Tx) error {
			_, err := tx.DeleteLeastUsedSessionsOf(ada.ID, true, 100)
			return err
		}, want: []string{"SEARCH sessions USING INDEX sessions_user (user_id=?)"}, sort: true},
		{name: "TouchSession", fn: func(tx *store.Tx) error {
			return tx.TouchSession(store.Session{ID: session.ID, ExpiresAt: noon})
		}, want: []string{"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "ReplaceKey", fn: func(tx *store.Tx) error {
			if err := tx.ReplaceKey(ada.ID, session.ID, hash("new")); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("replaced: %w", err)
			}
			return nil
		}, want: []string{"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteExpiredSessions", fn: func(tx *store.Tx) error {
			return tx.DeleteExpiredSessions(noon, 10)
		}, want: []string{"USING COVERING INDEX sessions_expiry (expires_at<?)"}},
		{name: "ClaimMail", fn: func(tx *store.Tx) error {
			_, err := tx.ClaimMail(noon.Add(time.Hour), noon)
			return err
		}, want: []string{"SEARCH mails USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH mails USING COVERING INDEX mails_due (due_at<?)"}},
		{name: "TakeDueMails", fn: func(tx *store.Tx) error {
			_, err := tx.TakeDueMails("reset", noon.Add(time.Hour), 10)
			return err
		}, want: []string{"SEARCH mails USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH mails USING INDEX mails_due (due_at<?)"},
			may: []string{"SCAN due"}}, // which is 10 of them
		{name: "PostponeMail", fn: func(tx *store.Tx) error {
			return tx.PostponeMail(waiting, noon)
		}, want: []string{"SEARCH mails USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteMail", fn: func(tx *store.Tx) error {
			return tx.DeleteMail(waiting.ID)
		}, want: []string{"SEARCH mails USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "DeleteMailsOf", fn: func(tx *store.Tx) error {
			return tx.DeleteMailsOf(ada.ID, "reset")
		}, want: []string{"SEARCH mails USING INDEX mails_user (user_id=?)"}},
		{name: "HastenMails", fn: func(tx *store.Tx) error {
			return tx.HastenMails(noon, noon)
		}, want: []string{"mails_due (due_at>?)"}},
		{name: "MailQueue", fn: func(tx *store.Tx) error {
			_, _, err := tx.MailQueue()
			return err
		}, want: []string{"SCAN mails USING COVERING INDEX mails_due"}, may: []string{"SCAN mails USING COVERING INDEX mails_due"}},
		{name: "NextMail", fn: func(tx *store.Tx) error {
			_, err := tx.NextMail()
			return err
		}, want: []string{"SEARCH mails USING COVERING INDEX mails_due"}},
		{name: "DeleteOldMails", fn: func(tx *store.Tx) error {
			_, err := tx.DeleteOldMails(noon, 10)
			return err
		}, want: []string{"SEARCH mails USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH mails USING INTEGER PRIMARY KEY (rowid>?)"}},
		{name: "CreateOneTimeToken", fn: func(tx *store.Tx) error {
			return tx.CreateOneTimeToken(&store.OneTimeToken{TokenHash: hash("reset"), Purpose: store.ForPasswordReset, UserID: ada.ID, ExpiresAt: noon})
		}, want: []string{"(user_id=? AND purpose=?)", "(registration_id=?)"}},
		{name: "FindOneTimeToken", fn: func(tx *store.Tx) error {
			_, err := tx.FindOneTimeToken(hash("reset"), store.ForPasswordReset, noon.Add(-time.Hour))
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "UseOneTimeToken", fn: func(tx *store.Tx) error {
			_, err := tx.UseOneTimeToken(hash("reset"), store.ForPasswordReset, noon.Add(-time.Hour))
			return err
		}, want: []string{"(token_hash=?)"}},
		{name: "DeleteOneTimeTokensOf", fn: func(tx *store.Tx) error {
			return tx.DeleteOneTimeTokensOf(ada.ID, "")
		}, want: []string{"(user_id=?)"}},
		{name: "DeleteExpiredOneTimeTokens", fn: func(tx *store.Tx) error {
			_, err := tx.DeleteExpiredOneTimeTokens(noon, 10)
			return err
		}, want: []string{"USING COVERING INDEX one_time_tokens_expiry (expires_at<?)"}},
		{name: "ListPlacesOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListPlacesOf(ada.ID, noon)
			return err
		}, want: []string{"SEARCH known_places USING INDEX sqlite_autoindex_known_places_1 (user_id=?)"}, sort: true},
		{name: "NotePlace", fn: func(tx *store.Tx) error {
			return tx.NotePlace(ada.ID, hash("place"), noon, 50)
		}, want: []string{"SEARCH known_places USING INDEX sqlite_autoindex_known_places_1 (user_id=?)"}, sort: true},
		{name: "TouchPlaces", fn: func(tx *store.Tx) error {
			return tx.TouchPlaces(ada.ID, noon, hash("place"))
		}, want: []string{"SEARCH known_places USING INDEX sqlite_autoindex_known_places_1 (user_id=? AND place_hash=?)"}},
		{name: "DeletePlacesOf", fn: func(tx *store.Tx) error {
			return tx.DeletePlacesOf(ada.ID)
		}, want: []string{"SEARCH known_places USING INDEX sqlite_autoindex_known_places_1 (user_id=?)"}},
		{name: "DeleteOldPlaces", fn: func(tx *store.Tx) error {
			return tx.DeleteOldPlaces(noon, 10)
		}, want: []string{"USING COVERING INDEX known_places_use (used_at<?)"}},
		{name: "TakeRate", fn: func(tx *store.Tx) error {
			_, _, err := tx.TakeRate(store.RateTaking{Key: []byte("key"), Cost: time.Second, Room: time.Second}, noon)
			return err
		}},
		{name: "TakeRate, in vain", fn: func(tx *store.Tx) error {
			_, _, err := tx.TakeRate(store.RateTaking{Key: []byte("key"), Cost: time.Second, Room: time.Second}, noon)
			return err
		}, want: []string{"SEARCH rate_limits USING PRIMARY KEY (key=?)"}},
		{name: "ReturnRate", fn: func(tx *store.Tx) error {
			return tx.ReturnRate(store.RateTaking{Key: []byte("key"), Cost: time.Second}, noon)
		}, want: []string{"SEARCH rate_limits USING PRIMARY KEY (key=?)"}},
		{name: "DeleteFullRates", fn: func(tx *store.Tx) error {
			return tx.DeleteFullRates(noon, 4)
		}, want: []string{"USING COVERING INDEX rate_limits_full (full_at<?)"}},
		{name: "LockUser", fn: func(tx *store.Tx) error {
			_, err := tx.LockUser(ada.ID)
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "LockAdmins", fn: func(tx *store.Tx) error {
			_, err := tx.LockAdmins()
			return err
		}, want: []string{"users_admin"}, may: []string{"SCAN users USING INDEX users_admin"}},
		{name: "UpdateUser", fn: func(tx *store.Tx) error {
			yes, at := true, noon
			_, err := tx.UpdateUser(ada.ID, store.UserChange{Admin: &yes, DeactivatedAt: &at})
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "ListSessionsOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListSessionsOf(ada.ID, "", noon, 10, 0)
			return err
		}, want: []string{"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH s USING INDEX sessions_user (user_id=?)"}},
		{name: "DeleteSession", fn: func(tx *store.Tx) error {
			if err := tx.DeleteSession(ada.ID, session.ID+1); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, want: []string{"SEARCH sessions USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "ListAllGroups", fn: func(tx *store.Tx) error {
			_, err := tx.ListAllGroups(10, 0)
			return err
		}, want: []string{"SEARCH chats USING INDEX sqlite_autoindex_chats_1 (direct_low=?)", "SEARCH participants USING PRIMARY KEY (chat_id=?)"}, sort: true},
		{name: "ListAuditEntries", fn: func(tx *store.Tx) error {
			_, err := tx.ListAuditEntries(store.AuditFilter{}, 10)
			return err
		}, want: []string{"SEARCH audit_log USING INTEGER PRIMARY KEY (rowid<?)"}},
		{name: "ListAuditEntries of an action", fn: func(tx *store.Tx) error {
			_, err := tx.ListAuditEntries(store.AuditFilter{Action: "user.registered"}, 10)
			return err
		}, want: []string{"SEARCH audit_log USING INDEX audit_log_action (action=? AND rowid<?)"}},
		{name: "DeleteSessionByTokenHash", fn: func(tx *store.Tx) error {
			if _, _, err := tx.DeleteSessionByTokenHash(session.TokenHash); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, want: []string{"(token_hash=?)"}},
		// It gathers what it finds in the user's own chats, and sorts it.
		{name: "SearchMessages", fn: func(tx *store.Tx) error {
			_, err := tx.SearchMessages(ada.ID, 0, 100, word[:1], 10)
			return err
		}, want: []string{
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH s USING PRIMARY KEY (space=? AND term>? AND term<?)",
		}, gather: true},
		{name: "SearchMessages in a chat, two words", fn: func(tx *store.Tx) error {
			_, err := tx.SearchMessages(ada.ID, group.ID, 100, word, 10)
			return err
		}, want: []string{
			"SEARCH p USING", "SEARCH s USING PRIMARY KEY (space=? AND term>? AND term<?)",
			"SEARCH p USING", "SEARCH s USING PRIMARY KEY (space=? AND term=? AND id<?)",
		}, gather: true},
		{name: "ListMessagesByID", fn: func(tx *store.Tx) error {
			_, err := tx.ListMessagesByID(ada.ID, []int64{3, 2, 1})
			return err
		}, want: []string{"SEARCH m USING INTEGER PRIMARY KEY (rowid=?)"}},
		{name: "SearchGroups", fn: func(tx *store.Tx) error {
			_, err := tx.SearchGroups(ada.ID, word, 10, 0)
			return err
		}, want: []string{"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)"}, gather: true},
		{name: "ListUsers by a word", fn: func(tx *store.Tx) error {
			_, err := tx.ListUsers(store.Filter{Where: active, Terms: word[:1], Limited: true, Limit: 10})
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}, gather: true},
		{name: "ListUsers behind an id", fn: func(tx *store.Tx) error {
			where := append([]store.Condition{{Field: store.UserID, Match: store.Above, Value: int64(1)}}, active...)
			_, err := tx.ListUsers(store.Filter{Where: where, Limited: true, Limit: 10})
			return err
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid>?)"}},
		{name: "FilterMessages of a chat behind an id", fn: func(tx *store.Tx) error {
			_, err := tx.FilterMessages(ada.ID, group.ID, store.Filter{Limited: true, Limit: 10, Where: []store.Condition{
				{Field: store.MessageDeletedAt, Match: store.Missing}, {Field: store.MessageID, Match: store.Below, Value: int64(7)},
			}, Order: []store.Order{{Field: store.MessageID, Descending: true}}})
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id<?)"}},
		{name: "RemoveSearchTerms", fn: func(tx *store.Tx) error {
			return tx.RemoveSearchTerms(group.ID, 1, []string{"a", "b"})
		}, want: []string{"SEARCH search_terms USING PRIMARY KEY (space=? AND term=? AND id=?)"}},
		{name: "FindFeed", fn: func(tx *store.Tx) error {
			_, err := tx.FindFeed()
			return err
		}, want: []string{"SEARCH e USING INTEGER PRIMARY KEY (rowid<?)"}, may: []string{"SCAN feed"}},
		{name: "FindEvents", fn: func(tx *store.Tx) error {
			_, err := tx.FindEvents([]int64{3, 1, 2})
			return err
		}, want: []string{
			"SEARCH e USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{name: "ListEvents", fn: func(tx *store.Tx) error {
			_, err := tx.ListEvents(0, 10)
			return err
		}, want: []string{
			"SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{name: "ListMissed", fn: func(tx *store.Tx) error {
			_, err := tx.ListMissed(ada.ID, 0, 100, 10)
			return err
		}, want: []string{
			"SEARCH e USING INDEX events_user (user_id=? AND id>? AND id<?)",
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH participants USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH e USING INDEX events_chat (chat_id=? AND id>? AND id<?)",
		}, keys: true, may: []string{"SCAN first"}},
		// It goes on in the chat of which more is asked for than its share.
		{name: "ListMissed, more of one chat", fn: func(tx *store.Tx) error {
			found, err := tx.ListMissed(eve.ID, 0, 100, 4)
			return counted(4, len(found), err)
		}, want: []string{
			"SEARCH e USING INDEX events_user (user_id=? AND id>? AND id<?)",
			"SEARCH p USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH participants USING COVERING INDEX participants_user (user_id=?)",
			"SEARCH e USING INDEX events_chat (chat_id=? AND id>? AND id<?)",
			"SEARCH e USING INDEX events_chat (chat_id=? AND id>? AND id<?)",
		}, keys: true, may: []string{"SCAN first"}},
		{name: "ListChatIDsOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatIDsOf(ada.ID)
			return err
		}, want: []string{"SEARCH participants USING COVERING INDEX participants_user (user_id=?)"}},
		{name: "PruneEvents", fn: func(tx *store.Tx) error {
			_, err := tx.PruneEvents(noon, 10)
			return err
		}, want: []string{"SEARCH events USING INTEGER PRIMARY KEY (rowid=?)"}, may: []string{
			"SCAN search_state", "SCAN events", // which has a limit
			"SCAN feed",
		}},
		{name: "ListWatchable", fn: func(tx *store.Tx) error {
			_, err := tx.ListWatchable(ada.ID, []int64{bob.ID, 77})
			return err
		}, want: []string{
			"SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH b USING PRIMARY KEY (blocker_id=? AND blocked_id=?)",
			"SEARCH b USING PRIMARY KEY (blocker_id=? AND blocked_id=?)",
			"SEARCH mine USING COVERING INDEX participants_user (user_id=?)", "SEARCH theirs USING COVERING INDEX participants_user (user_id=? AND chat_id=?)",
		}},
		{name: "SetLastSeen", fn: func(tx *store.Tx) error {
			return tx.SetLastSeen([]store.Presence{{UserID: ada.ID, LastSeenAt: noon}, {UserID: bob.ID, LastSeenAt: noon}})
		}, want: []string{"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)"}, may: []string{"SCAN 2 CONSTANT ROWS", "SCAN seen"}},
		{name: "LockTextsOfEvents", fn: func(tx *store.Tx) error {
			_, err := tx.LockTextsOfEvents(0, 100)
			return err
		}, want: []string{
			"SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
		}, sort: true},
		{name: "LockTextsOfMessages", fn: func(tx *store.Tx) error {
			_, err := tx.LockTextsOfMessages(0, 100, 10)
			return err
		}, want: []string{"SEARCH m USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
		{name: "LockTextsOfUsers", fn: func(tx *store.Tx) error {
			_, err := tx.LockTextsOfUsers(0, 10)
			return err
		}, want: []string{"SEARCH u USING INTEGER PRIMARY KEY (rowid>?)"}},
		{name: "ListChatsEver", fn: func(tx *store.Tx) error {
			_, err := tx.ListChatsEver(ada.ID, 0, 10)
			return err
		}, want: []string{
			"SEARCH participants USING COVERING INDEX participants_user (user_id=? AND chat_id>?)",
			"SEARCH past USING PRIMARY KEY (user_id=? AND chat_id>?)", "SEARCH there USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH c USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH u USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH p USING PRIMARY KEY (chat_id=? AND user_id=?)", "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
		}, may: []string{"SCAN own"}, gather: true},
		{name: "FindPartOfChat", fn: func(tx *store.Tx) error {
			_, err := tx.FindPartOfChat(group.ID, 0, 10)
			return err
		}, want: []string{"SEARCH messages USING COVERING INDEX messages_chat (chat_id=? AND id>?)"}, may: []string{"SCAN part"}},
		{name: "ListMessagesBySender", fn: func(tx *store.Tx) error {
			_, err := tx.ListMessagesBySender(ada.ID, group.ID, span)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)"}},
		{name: "ListReactionsBy", fn: func(tx *store.Tx) error {
			_, err := tx.ListReactionsBy(ada.ID, group.ID, span)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)", "SEARCH r USING"}, gather: true},
		{name: "ListVotesBy", fn: func(tx *store.Tx) error {
			_, err := tx.ListVotesBy(ada.ID, group.ID, span)
			return err
		}, want: []string{
			"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)", "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)",
			"SEARCH v USING PRIMARY KEY (message_id=?)",
		}},
		{name: "ListMentionsOf", fn: func(tx *store.Tx) error {
			_, err := tx.ListMentionsOf(ada.ID, group.ID, span)
			return err
		}, want: []string{"SEARCH m USING INDEX messages_chat (chat_id=? AND id>? AND id<?)"}},
		{name: "ListHidden", fn: func(tx *store.Tx) error {
			_, err := tx.ListHidden(ada.ID, 0, 10)
			return err
		}, want: []string{"SEARCH hidden_messages USING PRIMARY KEY (user_id=? AND message_id>?)"}},
		{name: "ListInvitesBy", fn: func(tx *store.Tx) error {
			_, err := tx.ListInvitesBy(ada.ID, club.ID)
			return err
		}, want: []string{"SEARCH i USING INDEX invites_chat (chat_id=?)"}},
		{name: "ListInvitationsBy", fn: func(tx *store.Tx) error {
			_, err := tx.ListInvitationsBy(ada.ID, 10, 0)
			return err
		}, want: []string{"SEARCH i USING INDEX invitations_creator (creator_id=?)"}},
		{name: "FindErasing", fn: func(tx *store.Tx) error {
			if _, err := tx.FindErasing(); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		}, want: []string{"SEARCH users USING COVERING INDEX users_erasing (id>?)"}},
		{name: "EraseTrail", fn: func(tx *store.Tx) error {
			_, err := tx.EraseTrail(ada.ID, "{}", 10)
			return err
		}, want: []string{
			"SEARCH known_places USING", "(user_id=?)", "SEARCH mails USING", "mails_user (user_id=?)", "SEARCH one_time_tokens USING", "(user_id=?)",
			"SEARCH invitations USING", "invitations_creator (creator_id=?)", "SEARCH answers USING", "(user_id=?)",
			"SEARCH hidden_messages USING", "SEARCH hidden_messages USING PRIMARY KEY (user_id=?)",
			"SEARCH past_participants USING", "SEARCH past_participants USING PRIMARY KEY (user_id=?)",
			"SEARCH messages USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH messages USING COVERING INDEX messages_client (sender_id=?",
			"SEARCH events USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH events USING INDEX events_user (user_id=?",
			"SEARCH audit_log USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH audit_log USING INDEX audit_log_actor (actor_id=?)",
			"SEARCH audit_log USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH audit_log USING INDEX audit_log_user (user_id=?)",
			"SEARCH events USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH events USING INDEX events_profile (user_id=?)",
			"SEARCH users USING INTEGER PRIMARY KEY (rowid=?)",
		}},
		{name: "LockTextsOfGroups", fn: func(tx *store.Tx) error {
			_, err := tx.LockTextsOfGroups(0, 10)
			return err
		}, want: []string{"SEARCH c USING INTEGER PRIMARY KEY (rowid>?)"}},
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
				if slices.Contains(c.may, step) {
					continue
				}
				require.NotRegexp(t, `^SCAN `, step)
				require.NotContains(t, step, "AUTOMATIC")
				if !c.sort && !c.gather {
					require.NotContains(t, step, "TEMP B-TREE")
				}
			}
			if c.sort {
				require.Contains(t, p.steps, sorted)
			}
			if c.keys {
				require.Zero(t, p.columns)
			}
		})
	}
}
