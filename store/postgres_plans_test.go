package store_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// measurer has PostgreSQL run every query, undo it, and tell what it took,
// before it runs it. Its queries are prepared ones, as the store's are.
type measurer struct {
	tx    *sql.Tx
	plans []plan
	err   error
}

// plan is a node of what EXPLAIN answers.
type plan struct {
	NodeType     string  `json:"Node Type"`
	RelationName string  `json:"Relation Name"`
	Rows         float64 `json:"Actual Rows"`
	Loops        float64 `json:"Actual Loops"`
	Filtered     float64 `json:"Rows Removed by Filter"`
	Rechecked    float64 `json:"Rows Removed by Index Recheck"`
	JoinFiltered float64 `json:"Rows Removed by Join Filter"`
	Hit          int     `json:"Shared Hit Blocks"`
	Read         int     `json:"Shared Read Blocks"`
	Plans        []plan

	text string // of the root
}

// rows is how many rows of tables were looked at.
func (p plan) rows() int {
	n := 0.0
	if strings.HasSuffix(p.NodeType, "Scan") && p.RelationName != "" {
		n = (p.Rows + p.Filtered + p.Rechecked) * p.Loops
	}
	for _, child := range p.Plans {
		n += float64(child.rows())
	}
	return int(math.Ceil(n))
}

// pages is how many pages of tables and indexes were looked at, time and again.
func (p plan) pages() int { return p.Hit + p.Read }

func (m *measurer) explain(ctx context.Context, query string, args []any) {
	if m.err == nil {
		m.err = m.measure(ctx, query, args)
	}
}

func (m *measurer) measure(ctx context.Context, query string, args []any) error {
	var values []string
	for _, arg := range args {
		switch v := arg.(type) {
		case nil, *string: // which is nil in all queries here
			values = append(values, "NULL")
		case int, int64:
			values = append(values, fmt.Sprint(v))
		case []byte:
			values = append(values, `'\x`+hex.EncodeToString(v)+`'`)
		case string:
			values = append(values, `'`+strings.ReplaceAll(v, `'`, `''`)+`'`)
		default:
			return fmt.Errorf("an argument is a %T", arg)
		}
	}
	execute := "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE measured"
	if len(values) > 0 {
		execute += "(" + strings.Join(values, ", ") + ")"
	}
	for _, statement := range []string{"PREPARE measured AS " + query, "SAVEPOINT measured"} {
		if _, err := m.tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	var answer string
	if err := m.tx.QueryRowContext(ctx, execute).Scan(&answer); err != nil {
		return fmt.Errorf("explain %s: %w", query, err)
	}
	var roots []struct{ Plan plan }
	if err := json.Unmarshal([]byte(answer), &roots); err != nil {
		return err
	}
	for _, root := range roots {
		root.Plan.text = answer
		m.plans = append(m.plans, root.Plan)
	}
	_, err := m.tx.ExecContext(ctx, "ROLLBACK TO measured; DEALLOCATE measured")
	return err
}

func (m *measurer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	m.explain(ctx, query, args)
	return m.tx.ExecContext(ctx, query, args...)
}

func (m *measurer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	m.explain(ctx, query, args)
	return m.tx.QueryContext(ctx, query, args...)
}

func (m *measurer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	m.explain(ctx, query, args)
	return m.tx.QueryRowContext(ctx, query, args...)
}

// What crowd puts into a database: so many users, with a session and a
// direct chat each; groups of ten of them; and so many messages in each group,
// which take turns.
const crowdUsers, crowdChats, crowdMessages = 20_000, 2000, 100

// crowdReacted is the first of a thousand messages to which ten people have
// reacted, and in whose polls they have voted.
const crowdReacted = 10_000

// quiet is the id of a user with little to read, and of the first of two chats
// with four messages each, far apart.
const quiet = 500_000

// crowd fills a database, and looks at what is in it as autovacuum would.
func crowd(tb testing.TB, db *sql.DB) {
	tb.Helper()
	fill := fmt.Sprintf(`
		INSERT INTO users (username, username_key, password_hash, created_at, email, email_key, pending_email)
			SELECT 'user ' || n, 'user ' || n, 'hash', n, n || '@Example.com', n || '@example.com',
				CASE WHEN n %% 10 = 0 THEN 'new-' || n || '@Example.com' ELSE '' END FROM generate_series(1, %[4]d) n;
		INSERT INTO sessions (token_hash, user_id, created_at, expires_at)
			SELECT sha256(n::text::bytea), n, 0, n FROM generate_series(1, %[4]d) n;
		INSERT INTO known_places (user_id, place_hash, created_at, used_at)
			SELECT n, sha256(n::text::bytea), 0, n FROM generate_series(1, %[4]d) n;
		INSERT INTO registrations (username, password_hash, email, created_at, expires_at)
			SELECT 'new ' || n, 'hash', n || '@example.com', 0, n FROM generate_series(1, %[4]d) n;
		INSERT INTO one_time_tokens (token_hash, purpose, user_id, email, created_at, expires_at)
			SELECT sha256(n::text::bytea), 'reset_password', n, n || '@example.com', 0, n FROM generate_series(1, %[4]d) n;
		INSERT INTO mails (kind, user_id, address, locale, data, created_at, due_at)
			SELECT 'reset_password', n, n || '@example.com', '', '{}', 0, n FROM generate_series(1, %[4]d) n;
		UPDATE users SET admin = 1 WHERE id IN (1, 1000);
		INSERT INTO invitations (token_hash, creator_id, note, created_at, max_uses)
			SELECT sha256(n::text::bytea), CASE WHEN n <= 20 THEN 1 ELSE n END, '', 0, 1 FROM generate_series(1, %[4]d) n;
		INSERT INTO rate_limits (key, full_at) SELECT sha256(n::text::bytea), n FROM generate_series(1, %[4]d) n;
		INSERT INTO chats (kind, title, last_seq, created_at)
			SELECT 'group', 'a group', %[2]d, n FROM generate_series(1, %[1]d) n;
		INSERT INTO chats (kind, direct_low, direct_high, created_at)
			SELECT 'direct', n, n + 1, 0 FROM generate_series(1, %[4]d) n;
		INSERT INTO participants (chat_id, user_id, joined_at)
			SELECT chat, chat + n * 7, 0 FROM generate_series(1, %[1]d) chat, generate_series(0, 9) n;
		INSERT INTO messages (chat_id, seq, sender_id, text, client_id, created_at)
			SELECT chat, seq, chat, 'some text', 'key ' || seq, 0
			FROM generate_series(1, %[2]d) seq, generate_series(1, %[1]d) chat;
		INSERT INTO events (id, type, chat_id, actor_id, message_id, created_at)
			SELECT id, 'message.created', chat_id, sender_id, id, 0 FROM messages;
		INSERT INTO reactions (message_id, user_id, emoji, created_at)
			SELECT id, n, '👍', 0 FROM generate_series(%[5]d, %[5]d + 999) id, generate_series(1, 10) n;
		INSERT INTO audit_log (action, actor_id, user_id, address, detail, created_at)
			SELECT 'user.signed_in', n, 0 + n, '192.0.2.7', '', 0 FROM generate_series(1, %[4]d) n;
		INSERT INTO polls (message_id, options, multiple, anonymous)
			SELECT id, '["yes", "no"]', 0, 0 FROM generate_series(%[5]d, %[5]d + 999) id;
		INSERT INTO poll_votes (message_id, choice, user_id, created_at)
			SELECT id, 0, n, 0 FROM generate_series(%[5]d, %[5]d + 999) id, generate_series(1, 10) n;
		INSERT INTO search_terms (space, term, id) SELECT chat_id, 'text', id FROM messages WHERE chat_id BETWEEN 900 AND 1200;
		INSERT INTO search_terms (space, term, id) SELECT 0, 'user', id FROM users;
		INSERT INTO search_terms (space, term, id) SELECT 0, id::text, id FROM users;
		INSERT INTO search_terms (space, term, id) SELECT -1, id::text, id FROM chats WHERE kind = 'group';
		INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES (%[3]d, 'quiet', 'quiet', 'hash', 0);
		INSERT INTO chats (id, kind, created_at) VALUES (%[3]d, 'group', 0), (%[3]d + 1, 'group', 0);
		INSERT INTO participants (chat_id, user_id, joined_at)
			SELECT chat, %[3]d, 0 FROM generate_series(%[3]d, %[3]d + 1) chat;
		UPDATE messages SET chat_id = %[3]d + seq %% 2, sender_id = %[3]d, client_id = 'quiet ' || id
			WHERE id IN (1, 7, 60000, 60001, 140000, 140001, %[1]d * %[2]d - 7, %[1]d * %[2]d)`,
		crowdChats, crowdMessages, quiet, crowdUsers, crowdReacted)
	tx, err := db.BeginTx(tb.Context(), nil)
	require.NoError(tb, err)
	defer func() { _ = tx.Rollback() }() // nothing after the commit
	// Foreign keys would be looked up one by one.
	for _, statement := range []string{"SET LOCAL session_replication_role = replica", fill} {
		_, err := tx.ExecContext(tb.Context(), statement)
		require.NoError(tb, err)
	}
	require.NoError(tb, tx.Commit())
	_, err = db.ExecContext(tb.Context(), "VACUUM (ANALYZE)")
	require.NoError(tb, err)
}

// No query walks through everybody's rows on PostgreSQL either: not with plans
// that are made for the values at hand, and not with those that are made once
// for all.
func TestPostgresPlans(t *testing.T) {
	t.Parallel()
	database := pgtest.NewDatabase(t)
	s := openPostgres(t, store.Options{Database: database})
	db := openDatabase(t, database)
	crowd(t, db)
	crowdGroups(t, db)
	newest := int64(crowdChats * crowdMessages)

	const one, another = 1000, 7 // users and chats
	all := store.Span{Before: math.MaxInt64}
	fromEnd := func(span store.Span) store.Span {
		span.FromEnd = true
		return span
	}
	narrow := store.Span{After: 50 * crowdChats, Before: 51*crowdChats + 1} // one of each chat
	messagesOf := func(userID int64, in store.Span, limit, want int) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			found, err := tx.ListMessagesOf(userID, in, limit)
			return counted(want, len(found), err)
		}
	}
	messagesIn := func(chatID int64, in store.Span, limit, want int) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			found, err := tx.ListChatMessages(0, chatID, in, limit)
			return counted(want, len(found), err)
		}
	}
	chatsOf := func(userID int64, f store.ChatFilter, want int) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			found, err := tx.ListChatsOf(userID, f)
			return counted(want, len(found), err)
		}
	}
	eventsBehind := func(after int64, limit, want int) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			found, err := tx.ListEvents(after, limit)
			return counted(want, len(found), err)
		}
	}
	word := []store.Term{{Text: "te", Prefix: true}}
	for _, c := range []struct {
		name        string
		fn          func(*store.Tx) error
		rows, pages int // at most, of each query
	}{
		{"ListChatMessages", messagesIn(another, all, 20, 20), 60, 200},
		{"ListChatMessages from the end", messagesIn(another, fromEnd(all), 20, 20), 60, 200},
		{"ListChatMessages in a narrow span", messagesIn(another, narrow, 20, 1), 5, 20},
		{"ListChatMessages, few of them", messagesIn(quiet, all, 20, 4), 20, 60},
		{"ListChatMessages, few of them, from the end", messagesIn(quiet, fromEnd(all), 20, 4), 20, 60},
		// Of ten chats with a hundred messages each, with a look at the chat and
		// the sender of each message.
		{"ListMessagesOf", messagesOf(one, all, 20, 20), 3100, 9000},
		{"ListMessagesOf from the end", messagesOf(one, fromEnd(all), 20, 20), 3100, 9000},
		{"ListMessagesOf in a narrow span", messagesOf(one, narrow, 20, 10), 50, 200},
		{"ListMessagesOf in a narrow span from the end", messagesOf(one, fromEnd(narrow), 20, 10), 50, 200},
		// Of few messages.
		{"ListMessagesOf, quiet", messagesOf(quiet, all, 20, 8), 40, 100},
		{"ListMessagesOf, quiet, from the end", messagesOf(quiet, fromEnd(all), 20, 8), 40, 100},
		{"ListMessagesOf, quiet, a long page", messagesOf(quiet, fromEnd(all), 50, 8), 40, 100},
		{"ListMessagesOf, quiet, just one", messagesOf(quiet, fromEnd(all), 1, 1), 40, 100},
		{"ListMessagesOf, quiet, in a narrow span", messagesOf(quiet, narrow, 20, 0), 40, 100},
		{"ListMessagesOf, quiet, in half of them", messagesOf(quiet, store.Span{After: 70_000, Before: 139_999}, 20, 0), 40, 100},
		{"ListMessagesOf, of nobody", messagesOf(quiet+1, all, 20, 0), 40, 100},
		{"FindMessageByClientID", func(tx *store.Tx) error {
			_, err := tx.FindMessageByClientID(one, "key 50")
			return err
		}, 3, 15},
		{"FindMessage", func(tx *store.Tx) error {
			_, err := tx.FindMessage(one, one)
			return err
		}, 4, 25},
		{"FindMessageBySender", func(tx *store.Tx) error {
			m, err := tx.ListChatMessages(0, one, all, 1)
			if err == nil {
				_, err = tx.FindMessageBySender(m[0].SenderID, m[0].ID)
			}
			return err
		}, 10, 40},
		{"FindMessageIDBySeq", func(tx *store.Tx) error {
			_, err := tx.FindMessageIDBySeq(another, 50)
			return err
		}, 1, 10},
		{"FindMessageIDNearEnd, the last", func(tx *store.Tx) error {
			_, err := tx.FindMessageIDNearEnd(store.Chat{ID: another, LastSeq: 100}, 100)
			return err
		}, 1, 10},
		{"FindMessageIDNearEnd, further back", func(tx *store.Tx) error {
			_, err := tx.FindMessageIDNearEnd(store.Chat{ID: another, LastSeq: 100}, 40)
			return err
		}, 61, 80},
		{"CountAccounts", func(tx *store.Tx) error {
			n, err := tx.CountAccounts([]int64{one, another, -1})
			return counted(2, n, err)
		}, 2, 20},
		{"IsBlockedByAny", func(tx *store.Tx) error {
			_, err := tx.IsBlockedByAny(one, []int64{another, one, -1})
			return err
		}, 2, 20},
		{"FindLastOfOthers", func(tx *store.Tx) error {
			_, err := tx.FindLastOfOthers(store.Chat{ID: another, LastSeq: 100}, 1, 0, 100)
			return err
		}, 200, 40},
		{"ListThread", func(tx *store.Tx) error {
			found, err := tx.ListThread(one, 7, all, 20)
			return counted(0, len(found), err)
		}, 5, 20},
		{"FilterMessages of a chat", func(tx *store.Tx) error {
			found, err := tx.FilterMessages(0, another, store.Filter{Limited: true, Limit: 20, Offset: 20})
			return counted(20, len(found), err)
		}, 120, 400},
		// Of a hundred messages.
		{"FilterMessages of a chat, by sender and text", func(tx *store.Tx) error {
			_, err := tx.FilterMessages(0, another, store.Filter{Where: []store.Condition{
				{Field: store.MessageSenderID, Value: int64(another)}, {Field: store.MessageSenderUsername, Value: "user 7"},
				{Field: store.MessageText, Match: store.Contains, Value: "nothing"},
			}, Limited: true, Limit: 20})
			return err
		}, 310, 900},
		{"FilterMessages", func(tx *store.Tx) error {
			found, err := tx.FilterMessages(quiet, 0, store.Filter{
				Order: []store.Order{{Field: store.MessageID, Descending: true}}, Limited: true, Limit: 20,
			})
			return counted(8, len(found), err)
		}, 40, 100},
		{"FilterMessages, on a day", func(tx *store.Tx) error {
			_, err := tx.FilterMessages(quiet, 0, store.Filter{Where: []store.Condition{
				{Field: store.MessageCreatedAt, Match: store.Above, Value: int64(1)}, {Field: store.MessageSenderID, Value: int64(quiet)},
				{Field: store.MessageReceiverID, Value: int64(one)},
			}, Limited: true, Limit: 20})
			return err
		}, 40, 100},
		// Of a hundred messages; and of the eight that somebody has.
		{"CountMessages of a chat", func(tx *store.Tx) error {
			n, err := tx.CountMessages(0, another, store.Filter{Where: []store.Condition{{Field: store.MessageDeletedAt, Match: store.Missing}}})
			return counted(crowdMessages-1, n, err) // one of them is of quiet
		}, 310, 900},
		{"CountMessages", func(tx *store.Tx) error {
			n, err := tx.CountMessages(quiet, 0, store.Filter{Where: []store.Condition{
				{Field: store.MessageInGroup, Value: int64(1)}, {Field: store.MessageDeletedAt, Match: store.Missing},
				{Field: store.MessageSenderID, Value: int64(quiet)}, {Field: store.MessageCreatedAt, Match: store.Below, Value: int64(1)},
			}})
			return counted(8, n, err)
		}, 40, 100},
		{"ListCorrespondents", func(tx *store.Tx) error {
			found, err := tx.ListCorrespondents(one, []int64{crowdChats + one, crowdChats + one - 1, one})
			return counted(2, len(found), err)
		}, 8, 40},
		{"FindUserByEmail", func(tx *store.Tx) error {
			u, err := tx.FindUserByEmail("1000@Example.com")
			return counted(one, int(u.ID), err)
		}, 5, 20},
		{"FindUserByEmail, to be verified", func(tx *store.Tx) error {
			u, err := tx.FindUserByEmail("new-1000@Example.com")
			return counted(one, int(u.ID), err)
		}, 5, 20},
		{"FindUserByEmail, none", func(tx *store.Tx) error {
			if _, err := tx.FindUserByEmail("nobody@example.com"); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		}, 5, 20},
		{"LockName", func(tx *store.Tx) error { return tx.LockName("name") }, 0, 5},
		{"FindParticipantsByKey", func(tx *store.Tx) error {
			_, err := tx.FindParticipantsByKey(one, []string{"user 1", "user 2", "user 1000", "nobody"})
			return err
		}, 10, 40},
		{"HideMessage", func(tx *store.Tx) error { return tx.HideMessage(one, one) }, 1, 40},
		{"EditMessage", func(tx *store.Tx) error {
			return tx.EditMessage(&store.Message{ID: one, Text: "text", EditedAt: noon})
		}, 5, 60},
		{"ListEdits", func(tx *store.Tx) error {
			_, err := tx.ListEdits(one)
			return err
		}, 5, 20},
		{"CountReplies", func(tx *store.Tx) error { return tx.CountReplies(one, 1) }, 1, 60},
		{"LastMessageID", func(tx *store.Tx) error {
			_, err := tx.LastMessageID()
			return err
		}, 1, 5},
		// With a look at the message, its chat and its sender.
		{"ListEvents from the start", eventsBehind(0, 20, 20), 85, 250},
		{"ListEvents, the last ones", eventsBehind(newest-5, 20, 5), 25, 80},
		{"ListEvents, none", eventsBehind(newest, 20, 0), 5, 10},
		{"NextSeq", func(tx *store.Tx) error {
			_, err := tx.NextSeq(one, one, 1, noon)
			return err
		}, 3, 50},
		{"FindChatByID", func(tx *store.Tx) error {
			_, err := tx.FindChatByID(one)
			return err
		}, 1, 5},
		{"FindChatOf", func(tx *store.Tx) error {
			_, err := tx.FindChatOf(one, one)
			return err
		}, 2, 10},
		{"ListDirectChatsOf", func(tx *store.Tx) error {
			// Ten groups are looked at, and no more.
			found, err := tx.ListDirectChatsOf(one, 0, 20)
			return counted(0, len(found), err)
		}, 25, 60},
		{"FindParticipant", func(tx *store.Tx) error {
			_, err := tx.FindParticipant(one, one)
			return err
		}, 2, 10},
		{"FindDirectChat", func(tx *store.Tx) error {
			_, err := tx.FindDirectChat(one, one+1)
			return err
		}, 1, 5},
		{"CreateMessage", func(tx *store.Tx) error {
			return tx.CreateMessage(&store.Message{
				ChatID: one, Seq: crowdMessages + 1, SenderID: one, Text: "text", ClientID: "another", CreatedAt: noon,
			})
		}, 0, 60},
		{"AppendEvent", func(tx *store.Tx) error {
			return tx.AppendEvent(store.Event{Type: store.ChatCreated, ChatID: one, ActorID: one, At: noon})
		}, 1, 20},
		{"AddParticipant", func(tx *store.Tx) error {
			return tx.AddParticipant(one, quiet, store.Member, noon)
		}, 2, 60},
		{"RemoveParticipant", func(tx *store.Tx) error {
			return tx.RemoveParticipant(one, one)
		}, 1, 10},
		// Of ten chats, with all their participants and the last messages.
		{"ListChatsOf", chatsOf(one, store.ChatFilter{Limit: 100}, 10), 240, 600},
		{"ListChatsOf, a page", chatsOf(one, store.ChatFilter{Limit: 2, Offset: 3}, 2), 70, 200},
		{"ListChatsOf, just one", chatsOf(one, store.ChatFilter{ID: one, Limit: 1}, 1), 40, 120},
		{"ListChatsOf, quiet", chatsOf(quiet, store.ChatFilter{Limit: 100, Archived: new(bool)}, 2), 30, 100},
		{"ListChatsOf, of others", chatsOf(one, store.ChatFilter{ID: quiet, Limit: 1}, 0), 15, 30},
		{"CountUnread", func(tx *store.Tx) error {
			_, err := tx.CountUnread(one, noon)
			return err
		}, 25, 80},
		{"ListBlocks", func(tx *store.Tx) error {
			_, err := tx.ListBlocks(one, 5, 2)
			return err
		}, 25, 60},
		{"CountBlocks", func(tx *store.Tx) error {
			_, err := tx.CountBlocks(one)
			return err
		}, 25, 60},
		{"ListReaders", func(tx *store.Tx) error {
			_, err := tx.ListReaders(store.Message{ChatID: one, SenderID: one, CreatedAt: noon}, 5, 2)
			return err
		}, 25, 60},
		{"CountReaders", func(tx *store.Tx) error {
			_, _, err := tx.CountReaders(store.Message{ChatID: one, SenderID: one, CreatedAt: noon})
			return err
		}, 10, 20},
		{"ListReadSeqs", func(tx *store.Tx) error {
			_, err := tx.ListReadSeqs(one, 21)
			return err
		}, 25, 60},
		{"CountReadSeqs", func(tx *store.Tx) error {
			_, err := tx.CountReadSeqs(one, store.Moment{At: noon}, store.Moment{Seq: 100, At: noon}, []int64{one, one + 7})
			return err
		}, 10, 20},
		{"SetSettings", func(tx *store.Tx) error {
			return tx.SetSettings(store.Participant{ChatID: one, UserID: one, Archived: true})
		}, 1, 30},
		{"SetWatermarks", func(tx *store.Tx) error {
			return tx.SetWatermarks(store.Participant{ChatID: one, UserID: one, ReadSeq: 7, DeliveredSeq: 7})
		}, 1, 30},
		{"DeleteChat", func(tx *store.Tx) error {
			left, err := tx.DeleteChat(one, noon)
			return counted(10, len(left), err)
		}, 10, 60},
		{"FindDeletedChatID", func(tx *store.Tx) error {
			if _, err := tx.FindDeletedChatID(); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		}, 0, 10},
		{"SweepChat", func(tx *store.Tx) error {
			return tx.SweepChat(one, 10)
		}, 50, 400},
		{"SweepChat, the rest", func(tx *store.Tx) error {
			if _, err := tx.DeleteChat(quiet-1, noon); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return tx.SweepChat(quiet-1, 10)
		}, 2, 20},
		{"FindUserByKey", func(tx *store.Tx) error {
			_, err := tx.FindUserByKey("user 7")
			return err
		}, 1, 5},
		{"ListParticipants", func(tx *store.Tx) error {
			found, err := tx.ListParticipants(one, 20, 0)
			return counted(10, len(found), err)
		}, 20, 60},
		{"ListRolls", func(tx *store.Tx) error {
			found, err := tx.ListRolls(one, 0, 5)
			return counted(5, len(found), err)
		}, 80, 120},
		{"FindRoll", func(tx *store.Tx) error {
			found, err := tx.FindRoll(one)
			return counted(10, len(found.UserIDs), err)
		}, 11, 30},
		{"FindLongestIn", func(tx *store.Tx) error {
			_, err := tx.FindLongestIn(one)
			return err
		}, 20, 60},
		{"FindHeir", func(tx *store.Tx) error {
			_, err := tx.FindHeir(one, 0)
			return err
		}, 20, 60},
		{"SetRole", func(tx *store.Tx) error {
			return tx.SetRole(one, one, store.Admin)
		}, 1, 30},
		{"FindGroup", func(tx *store.Tx) error {
			_, err := tx.FindGroup(one, one)
			return err
		}, 12, 50},
		// Five of a hundred public ones, and ten of one's own, with ten people each.
		{"ListGroups", func(tx *store.Tx) error {
			found, err := tx.ListGroups(one, 5, 0)
			return counted(5, len(found), err)
		}, 100, 200},
		{"ListGroups, public ones alone", func(tx *store.Tx) error {
			found, err := tx.ListGroups(crowdUsers, 5, 90)
			return counted(5, len(found), err)
		}, 250, 500},
		{"ListGroupTitles", func(tx *store.Tx) error {
			found, err := tx.ListGroupTitles(one, 0, 5)
			return counted(5, len(found), err)
		}, 60, 150},
		{"ListGroupTitles, the last ones", func(tx *store.Tx) error {
			found, err := tx.ListGroupTitles(crowdUsers, crowdChats-100, 20)
			return counted(5, len(found), err)
		}, 30, 60},
		{"HasPublicGroup", func(tx *store.Tx) error {
			there, err := tx.HasPublicGroup("another group", 0)
			if there {
				return errors.New("there is none")
			}
			return err
		}, 1, 5},
		{"UpdateChat", func(tx *store.Tx) error {
			return tx.UpdateChat(one, store.ChatChange{})
		}, 1, 30},
		{"LockGroup", func(tx *store.Tx) error { return tx.LockGroup(one) }, 1, 5},
		{"CreateInvite", func(tx *store.Tx) error {
			return tx.CreateInvite(&store.Invite{ChatID: one, TokenHash: hash("new"), CreatorID: one, CreatedAt: noon})
		}, 0, 40},
		{"FindInviteByTokenHash", func(tx *store.Tx) error {
			_, err := tx.FindInviteByTokenHash(hash("7"), noon)
			return err
		}, 2, 10},
		{"ListInvites", func(tx *store.Tx) error {
			found, err := tx.ListInvites(one, noon)
			return counted(3, len(found), err)
		}, 6, 30},
		{"UseInvite", func(tx *store.Tx) error {
			return tx.UseInvite(one, noon)
		}, 1, 30},
		{"RevokeInvite", func(tx *store.Tx) error {
			return tx.RevokeInvite(one, one, noon)
		}, 1, 30},
		{"RevokeInvitesOf", func(tx *store.Tx) error {
			return tx.RevokeInvitesOf(one, one, noon)
		}, 3, 100},
		{"DeleteSpentInvites", func(tx *store.Tx) error {
			return tx.DeleteSpentInvites(one, noon)
		}, 6, 60},
		{"FindUserByID", func(tx *store.Tx) error {
			_, err := tx.FindUserByID(one)
			return err
		}, 1, 5},
		{"FindSessionByTokenHash", func(tx *store.Tx) error {
			_, err := tx.FindSessionByTokenHash(hash("7"))
			return err
		}, 2, 10},
		{"FindSession", func(tx *store.Tx) error {
			_, err := tx.FindSession(one)
			return err
		}, 2, 10},
		{"FindSessionByFamilyHash", func(tx *store.Tx) error {
			if _, err := tx.FindSessionByFamilyHash(hash("family")); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, 0, 10},
		{"RefreshSession", func(tx *store.Tx) error {
			if err := tx.RefreshSession(store.Session{ID: one}, hash("refresh")); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, 1, 10},
		{"CountSessionsOf", func(tx *store.Tx) error {
			_, err := tx.CountSessionsOf(one, store.KeySession)
			return err
		}, 2, 10},
		{"DeleteLeastUsedSessionsOf", func(tx *store.Tx) error {
			_, err := tx.DeleteLeastUsedSessionsOf(one, true, 100)
			return err
		}, 2, 10},
		{"TouchSession", func(tx *store.Tx) error {
			return tx.TouchSession(store.Session{ID: one, ExpiresAt: noon})
		}, 1, 30},
		{"ReplaceKey", func(tx *store.Tx) error {
			if err := tx.ReplaceKey(one, one, hash("new")); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("replaced: %w", err)
			}
			return nil
		}, 1, 30},
		{"DeleteExpiredSessions", func(tx *store.Tx) error {
			return tx.DeleteExpiredSessions(noon, 10)
		}, 30, 100},
		{"DeleteExpiredSessions, none", func(tx *store.Tx) error {
			return tx.DeleteExpiredSessions(time.UnixMicro(0), 10)
		}, 1, 10},
		{"TakeRate", func(tx *store.Tx) error {
			_, _, err := tx.TakeRate(store.RateTaking{Key: []byte("key"), Cost: time.Second, Room: time.Second}, noon)
			return err
		}, 1, 20},
		{"ReturnRate", func(tx *store.Tx) error {
			return tx.ReturnRate(store.RateTaking{Key: []byte("key"), Cost: time.Second}, noon)
		}, 1, 10},
		{"DeleteFullRates", func(tx *store.Tx) error {
			return tx.DeleteFullRates(noon, 4)
		}, 20, 60},
		{"CreateReaction", func(tx *store.Tx) error {
			return tx.CreateReaction(store.Reaction{MessageID: 1, UserID: one, Emoji: "👎", CreatedAt: noon})
		}, 1, 60},
		{"FindReaction", func(tx *store.Tx) error {
			_, err := tx.FindReaction(crowdReacted, 1, "👍")
			return err
		}, 3, 15},
		{"HasReaction", func(tx *store.Tx) error {
			_, err := tx.HasReaction(crowdReacted, "👍")
			return err
		}, 3, 15},
		{"HasReaction, none", func(tx *store.Tx) error {
			_, err := tx.HasReaction(crowdReacted, "👎")
			return err
		}, 3, 15},
		// Of ten people.
		{"ListReactions", func(tx *store.Tx) error {
			found, err := tx.ListReactions(crowdReacted, "👍", 5, 5)
			return counted(5, len(found), err)
		}, 30, 60},
		{"CountReactions", func(tx *store.Tx) error {
			found, err := tx.CountReactions(one, []int64{crowdReacted, crowdReacted + 1, crowdReacted + 2})
			return counted(3, len(found), err)
		}, 60, 90},
		{"ListReactors", func(tx *store.Tx) error {
			found, err := tx.ListReactors("👍", []int64{crowdReacted, crowdReacted + 1, crowdReacted + 2})
			return counted(3, len(found), err)
		}, 60, 90},
		{"DeleteReaction", func(tx *store.Tx) error {
			return tx.DeleteReaction(crowdReacted, 1, "👍")
		}, 3, 15},
		{"LockUser", func(tx *store.Tx) error {
			_, err := tx.LockUser(one)
			return err
		}, 1, 10},
		{"LockAdmins", func(tx *store.Tx) error {
			_, err := tx.LockAdmins()
			return err
		}, 2, 30},
		{"UpdateUser", func(tx *store.Tx) error {
			yes, at := true, noon
			_, err := tx.UpdateUser(one, store.UserChange{Admin: &yes, DeactivatedAt: &at})
			return err
		}, 1, 40},
		{"ListSessionsOf", func(tx *store.Tx) error {
			_, err := tx.ListSessionsOf(one, "", time.UnixMicro(0), 10, 0)
			return err
		}, 2, 10}, // with its owner
		{"ListPlacesOf", func(tx *store.Tx) error {
			found, err := tx.ListPlacesOf(one, time.UnixMicro(0))
			return counted(1, len(found), err)
		}, 1, 10},
		{"NotePlace", func(tx *store.Tx) error { return tx.NotePlace(one, hash("place"), noon, 1) }, 4, 30},
		{"CreateMail", func(tx *store.Tx) error {
			return tx.CreateMail(&store.Mail{Kind: "reset_password", UserID: one, CreatedAt: noon})
		}, 0, 60},
		{"ClaimMail", func(tx *store.Tx) error {
			_, err := tx.ClaimMail(noon, noon)
			return err
		}, 4, 60},
		{"TakeDueMails", func(tx *store.Tx) error {
			_, err := tx.TakeDueMails("none", noon, 1)
			return err
		}, 4, 60},
		{"PostponeMail", func(tx *store.Tx) error { return tx.PostponeMail(store.Mail{ID: another}, noon) }, 1, 60},
		{"HastenMails", func(tx *store.Tx) error { return tx.HastenMails(noon, noon) }, 0, 10},
		{"DeleteMail", func(tx *store.Tx) error { return tx.DeleteMail(another) }, 1, 10},
		{"DeleteOldMails", func(tx *store.Tx) error {
			_, err := tx.DeleteOldMails(noon, 10)
			return err
		}, 30, 80},
		{"NextMail", func(tx *store.Tx) error {
			_, err := tx.NextMail()
			return err
		}, 1, 10},
		{"DeleteMailsOf", func(tx *store.Tx) error { return tx.DeleteMailsOf(one, "reset_password") }, 1, 10},
		{"CreateOneTimeToken", func(tx *store.Tx) error {
			return tx.CreateOneTimeToken(&store.OneTimeToken{TokenHash: hash("token"), Purpose: store.ForPasswordReset, UserID: one, ExpiresAt: noon})
		}, 2, 60},
		{"FindOneTimeToken", func(tx *store.Tx) error {
			_, err := tx.FindOneTimeToken(hash("7"), store.ForPasswordReset, time.UnixMicro(0))
			return err
		}, 1, 10},
		{"UseOneTimeToken", func(tx *store.Tx) error {
			_, err := tx.UseOneTimeToken(hash("7"), store.ForPasswordReset, time.UnixMicro(0))
			return err
		}, 1, 10},
		{"DeleteOneTimeTokensOf", func(tx *store.Tx) error { return tx.DeleteOneTimeTokensOf(one, store.ForPasswordReset) }, 1, 10},
		{"DeleteExpiredOneTimeTokens", func(tx *store.Tx) error {
			_, err := tx.DeleteExpiredOneTimeTokens(noon, 10)
			return err
		}, 30, 80},
		{"FindRegistration", func(tx *store.Tx) error {
			_, err := tx.FindRegistration(one, time.UnixMicro(0))
			return err
		}, 1, 10},
		{"DeleteRegistration", func(tx *store.Tx) error { return tx.DeleteRegistration(one) }, 1, 10},
		{"DeleteExpiredRegistrations", func(tx *store.Tx) error {
			_, err := tx.DeleteExpiredRegistrations(noon, 10)
			return err
		}, 30, 80},
		{"FindInvitationByTokenHash", func(tx *store.Tx) error {
			_, err := tx.FindInvitationByTokenHash(hash("7"), noon)
			return err
		}, 3, 12},
		{"ListInvitations", func(tx *store.Tx) error {
			found, err := tx.ListInvitations(noon, 20, 0)
			return counted(20, len(found), err)
		}, 60, 200},
		{"UseInvitation", func(tx *store.Tx) error { return tx.UseInvitation(one, noon) }, 3, 40},
		{"RevokeInvitation", func(tx *store.Tx) error { return tx.RevokeInvitation(one, noon) }, 3, 40},
		{"DeletePlacesOf", func(tx *store.Tx) error { return tx.DeletePlacesOf(one) }, 1, 10},
		{"DeleteOldPlaces", func(tx *store.Tx) error { return tx.DeleteOldPlaces(noon, 10) }, 20, 60},
		{"DeleteSession", func(tx *store.Tx) error { return tx.DeleteSession(one, one) }, 1, 10},
		{"CreateAuditEntry", func(tx *store.Tx) error {
			return tx.CreateAuditEntry(&store.AuditEntry{Action: "user.signed_in", ActorID: one, UserID: one, CreatedAt: noon})
		}, 0, 60},
		{"DeleteAuditEntries", func(tx *store.Tx) error { return tx.DeleteAuditEntries(noon, 10) }, 40, 200},
		{"ListAuditEntries", func(tx *store.Tx) error {
			found, err := tx.ListAuditEntries(store.AuditFilter{}, 20)
			return counted(20, len(found), err)
		}, 20, 60},
		{"ListAuditEntries of a user", func(tx *store.Tx) error {
			found, err := tx.ListAuditEntries(store.AuditFilter{UserID: one}, 20)
			return counted(1, len(found), err)
		}, 2, 20},
		// All groups, and no other chats.
		{"ListAllGroups", func(tx *store.Tx) error {
			found, err := tx.ListAllGroups(20, 0)
			return counted(20, len(found), err)
		}, crowdChats + 250, crowdChats * 4},
		{"CreateVote", func(tx *store.Tx) error {
			return tx.CreateVote(store.Vote{MessageID: crowdReacted, Choice: 1, UserID: 1, CreatedAt: noon})
		}, 1, 60},
		{"FindPoll", func(tx *store.Tx) error {
			_, err := tx.FindPoll(one, crowdReacted, noon)
			return err
		}, 10, 60},
		{"FindPolls", func(tx *store.Tx) error {
			found, err := tx.FindPolls(one, []int64{crowdReacted, crowdReacted + 1, crowdReacted + 2}, noon)
			return counted(3, len(found), err)
		}, 90, 150},
		{"ListVotes", func(tx *store.Tx) error {
			found, err := tx.ListVotes(crowdReacted, 0, 5, 5)
			return counted(5, len(found), err)
		}, 30, 60},
		{"ClosePoll", func(tx *store.Tx) error {
			return tx.ClosePoll(crowdReacted, noon)
		}, 3, 30},
		{"DeleteVote", func(tx *store.Tx) error {
			return tx.DeleteVote(crowdReacted, 0, 1)
		}, 3, 15},
		{"DeleteSessionByTokenHash", func(tx *store.Tx) error {
			_, _, err := tx.DeleteSessionByTokenHash(hash("7"))
			return err
		}, 1, 10},
		// Of the ten chats of a user, what there is of the word in them.
		{"SearchMessages", func(tx *store.Tx) error {
			found, err := tx.SearchMessages(one, 0, math.MaxInt64, word, 20)
			return counted(20, len(found), err)
		}, 1100, 1200},
		{"SearchMessages in one chat", func(tx *store.Tx) error {
			found, err := tx.SearchMessages(one, one, math.MaxInt64, word, 20)
			return counted(20, len(found), err)
		}, 110, 130},
		{"SearchMessages, two words", func(tx *store.Tx) error {
			found, err := tx.SearchMessages(one, 0, math.MaxInt64, []store.Term{word[0], {Text: "text"}}, 20)
			return counted(20, len(found), err)
		}, 2200, 2400},
		{"SearchMessages, a word that there is not", func(tx *store.Tx) error {
			found, err := tx.SearchMessages(one, 0, math.MaxInt64, []store.Term{{Text: "x", Prefix: true}}, 20)
			return counted(0, len(found), err)
		}, 20, 60},
		{"SearchMessages, a common word of others", func(tx *store.Tx) error {
			found, err := tx.SearchMessages(quiet+1, 0, math.MaxInt64, word, 20)
			return counted(0, len(found), err)
		}, 5, 20},
		{"ListMessagesByID", func(tx *store.Tx) error {
			found, err := tx.ListMessagesByID(one, []int64{40, 30, 20})
			return counted(3, len(found), err)
		}, 12, 60},
		{"SearchGroups", func(tx *store.Tx) error {
			_, err := tx.SearchGroups(one, []store.Term{{Text: "77", Prefix: true}}, 20, 0)
			return err
		}, 60, 200},
		{"ListUsers by a word", func(tx *store.Tx) error {
			found, err := tx.ListUsers(store.Filter{Where: active, Terms: []store.Term{{Text: "777", Prefix: true}}, Limited: true, Limit: 20})
			return counted(11, len(found), err)
		}, 40, 100},
		{"ListUsers behind an id", func(tx *store.Tx) error {
			where := append([]store.Condition{{Field: store.UserID, Match: store.Above, Value: int64(another)}}, active...)
			found, err := tx.ListUsers(store.Filter{Where: where, Limited: true, Limit: 20})
			return counted(20, len(found), err)
		}, 25, 30},
		{"FilterMessages of a chat behind an id", func(tx *store.Tx) error {
			found, err := tx.FilterMessages(one, another, store.Filter{Limited: true, Limit: 20, Where: []store.Condition{
				{Field: store.MessageDeletedAt, Match: store.Missing}, {Field: store.MessageID, Match: store.Below, Value: newest},
			}, Order: []store.Order{{Field: store.MessageID, Descending: true}}})
			return counted(20, len(found), err)
		}, 65, 250},
		{"AddSearchEntries", func(tx *store.Tx) error {
			return tx.AddSearchEntries([]store.SearchEntry{{Space: one, Term: "another", ID: 1}, {Space: one, Term: "text", ID: 1}})
		}, 2, 60},
		{"RemoveSearchTerms", func(tx *store.Tx) error {
			return tx.RemoveSearchTerms(one, one, []string{"text", "none"})
		}, 2, 20},
		{"MoveSearchPosition", func(tx *store.Tx) error {
			return tx.MoveSearchPosition(0, 1)
		}, 1, 20},
		{"FindFeed", func(tx *store.Tx) error {
			f, err := tx.FindFeed()
			return counted(int(newest), int(f.Last), err)
		}, 3, 15},
		{"FindEvents", func(tx *store.Tx) error {
			found, err := tx.FindEvents([]int64{40, 30, 20})
			return counted(3, len(found), err)
		}, 14, 70},
		// Of ten chats, which are also counted, with what there is in them behind an event.
		{"ListMissed", func(tx *store.Tx) error {
			found, err := tx.ListMissed(one, newest-5*crowdChats, newest, 1000)
			return counted(50, len(found), err)
		}, 71, 60},
		{"ListMissed, up to an event", func(tx *store.Tx) error {
			found, err := tx.ListMissed(one, 50*crowdChats, 51*crowdChats, 1000)
			return counted(10, len(found), err)
		}, 31, 60},
		// Of a hundred in each chat.
		{"ListMissed, few of them", func(tx *store.Tx) error {
			found, err := tx.ListMissed(one, 0, newest, 20)
			return counted(20, len(found), err)
		}, 51, 60},
		{"ListMissed, quiet", func(tx *store.Tx) error {
			found, err := tx.ListMissed(quiet, 0, newest, 1000)
			return counted(0, len(found), err) // its messages were moved there, their events were not
		}, 5, 30},
		{"ListMissed, of nobody", func(tx *store.Tx) error {
			found, err := tx.ListMissed(quiet+1, 0, newest, 1000)
			return counted(0, len(found), err)
		}, 0, 15},
		{"ListChatIDsOf", func(tx *store.Tx) error {
			found, err := tx.ListChatIDsOf(one)
			return counted(10, len(found), err)
		}, 10, 30},
		{"PruneEvents", func(tx *store.Tx) error {
			if err := tx.MoveSearchPosition(0, newest); err != nil {
				return err
			}
			removed, err := tx.PruneEvents(noon, 20)
			return counted(20, removed, err)
		}, 45, 350},
		{"ListWatchable", func(tx *store.Tx) error {
			found, err := tx.ListWatchable(one, []int64{one + 7, one - 7, one + 63, another})
			return counted(3, len(found), err)
		}, 80, 300},
		{"SetLastSeen", func(tx *store.Tx) error {
			return tx.SetLastSeen([]store.Presence{{UserID: one, LastSeenAt: noon}, {UserID: another, LastSeenAt: noon}})
		}, 2, 80},
		{"DeleteSessionsOf", func(tx *store.Tx) error {
			ended, err := tx.DeleteSessionsOf(one, 0)
			return counted(1, len(ended), err)
		}, 1, 20},
		{"LockTextsOfEvents", func(tx *store.Tx) error {
			found, err := tx.LockTextsOfEvents(newest-20, newest)
			return counted(20, len(found), err)
		}, 60, 400},
		{"LockTextsOfMessages", func(tx *store.Tx) error {
			found, err := tx.LockTextsOfMessages(1000, newest, 20)
			return counted(20, len(found), err)
		}, 40, 100},
		{"LockTextsOfUsers", func(tx *store.Tx) error {
			found, err := tx.LockTextsOfUsers(1000, 20)
			return counted(20, len(found), err)
		}, 40, 100},
		{"ListChatsEver", func(tx *store.Tx) error {
			found, err := tx.ListChatsEver(one, 0, 20)
			return counted(10, len(found), err)
		}, 60, 250},
		{"FindPartOfChat", func(tx *store.Tx) error {
			_, err := tx.FindPartOfChat(another, 0, 20)
			return err
		}, 20, 60},
		// Of a hundred messages, with a look at the chat and the sender of each.
		{"ListMessagesBySender", func(tx *store.Tx) error {
			found, err := tx.ListMessagesBySender(another, another, all)
			return counted(crowdMessages-1, len(found), err)
		}, 310, 900},
		{"ListMessagesBySender, in a part", func(tx *store.Tx) error {
			found, err := tx.ListMessagesBySender(another, another, narrow)
			return counted(1, len(found), err)
		}, 5, 20},
		{"ListReactionsBy", func(tx *store.Tx) error {
			_, err := tx.ListReactionsBy(another, one, all)
			return err
		}, 310, 900},
		{"ListVotesBy", func(tx *store.Tx) error {
			_, err := tx.ListVotesBy(another, one, all)
			return err
		}, 310, 900},
		{"ListMentionsOf", func(tx *store.Tx) error {
			found, err := tx.ListMentionsOf(another, one, all)
			return counted(0, len(found), err)
		}, 110, 300},
		{"ListHidden", func(tx *store.Tx) error {
			found, err := tx.ListHidden(one, 0, 20)
			return counted(0, len(found), err)
		}, 5, 20},
		{"ListInvitesBy", func(tx *store.Tx) error {
			_, err := tx.ListInvitesBy(one, one)
			return err
		}, 10, 40},
		{"ListInvitationsBy", func(tx *store.Tx) error {
			_, err := tx.ListInvitationsBy(one, 20, 0)
			return err
		}, 10, 40},
		{"FindErasing", func(tx *store.Tx) error {
			if _, err := tx.FindErasing(); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("found: %w", err)
			}
			return nil
		}, 0, 5},
		{"EraseTrail", func(tx *store.Tx) error {
			_, err := tx.EraseTrail(one, "{}", 10)
			return err
		}, 30, 300},
		{"LockTextsOfGroups", func(tx *store.Tx) error {
			found, err := tx.LockTextsOfGroups(1000, 20)
			return counted(20, len(found), err)
		}, 40, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				func() {
					tx, err := db.BeginTx(t.Context(), nil)
					require.NoError(t, err)
					defer func() { _ = tx.Rollback() }() // what it wrote was for the plan's sake
					_, err = tx.ExecContext(t.Context(), store.SessionSettings+"; SET LOCAL plan_cache_mode = "+mode)
					require.NoError(t, err)
					m := &measurer{tx: tx}
					err = c.fn(store.NewPostgresTx(t.Context(), m))
					require.NoError(t, m.err)
					require.NoError(t, err)
					require.NotEmpty(t, m.plans)
					for _, p := range m.plans {
						t.Logf("%s: %d rows, %d pages", mode, p.rows(), p.pages())
						require.LessOrEqual(t, p.rows(), c.rows, "rows, with %s: %s", mode, p.text)
						require.LessOrEqual(t, p.pages(), c.pages, "pages, with %s: %s", mode, p.text)
					}
				}()
			}
		})
	}
	require.NoError(t, s.Close())
}

// counted tells whether a list has as many rows as it should.
func counted(want, found int, err error) error {
	if err == nil && found != want {
		err = fmt.Errorf("%d found, not %d", found, want)
	}
	return err
}
