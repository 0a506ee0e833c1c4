package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// copyEngines make a new, empty database each and return its path or address.
var copyEngines = map[string]func(testing.TB) string{
	"SQLite":     func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "messaging.db") },
	"PostgreSQL": func(tb testing.TB) string { return pgtest.NewDatabase(tb) },
}

// copyPairs calls test with every engine as the source and as the destination.
func copyPairs(t *testing.T, test func(t *testing.T, from, to string)) {
	for from, newSource := range copyEngines {
		for to, newDestination := range copyEngines {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				test(t, newSource(t), newDestination(t))
			})
		}
	}
}

// rawDatabase opens a database beside the store.
func rawDatabase(tb testing.TB, database string) *sql.DB {
	tb.Helper()
	if !strings.Contains(database, "://") {
		return otherProgram(tb, database)
	}
	db, err := sql.Open("pgx", database)
	require.NoError(tb, err)
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	return db
}

// migrated makes the tables of a database.
func migrated(tb testing.TB, database string) {
	tb.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: database})
	require.NoError(tb, err)
	require.NoError(tb, s.Close())
}

// filled fills a new database with so many messages, an even number, and as many
// events, and what they need; a few of them are as odd as may be. Of each column
// that may be NULL, some are and some are not.
func filled(tb testing.TB, database string, messages int) {
	tb.Helper()
	migrated(tb, database)
	db := rawDatabase(tb, database)
	defer db.Close()
	if !strings.Contains(database, "://") {
		_, err := db.Exec(`PRAGMA foreign_keys = ON`)
		require.NoError(tb, err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	require.NoError(tb, err)
	for _, statement := range []string{
		`INSERT INTO users (username, username_key, password_hash, created_at)
			SELECT 'Üser ' || i, 'üser ' || i, '$2a$04$' || i, i * 1000 - 5000
			FROM (` + numbers(60) + `) n ORDER BY n.i`,
		`INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES
			(` + blob("") + `, 1, 0, 0), (` + blob("00") + `, 2, -1, 9223372036854775807),
			(` + blob("000102fffe27") + `, 3, -9223372036854775808, 1), (` + blob("de30ad") + `, 3, 5, 6)`,
		`INSERT INTO chats (kind, title, created_at)
			SELECT 'group', CASE i % 3 WHEN 0 THEN '' WHEN 1 THEN '会議 🙂 ' || i ELSE '''"\ ' END, i
			FROM (` + numbers(20) + `) n ORDER BY n.i`,
		`INSERT INTO chats (kind, direct_low, direct_high, created_at) VALUES
			('direct', 1, 2, 1), ('self', 3, 3, 2), ('direct', 4, 5, 3)`,
		`INSERT INTO participants (chat_id, user_id, joined_at)
			SELECT c.id, u.id, u.id * c.id FROM chats c, users u WHERE u.id <= 50 AND c.kind = 'group'`,
		`UPDATE users SET display_name = 'Ü ' || id, email = id || '@example.com', locale = 'uk', about = 'line' WHERE id % 2 = 0`,
		`UPDATE users SET deleted_at = 7 WHERE id = 50`,
		`INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (1, 2, 3), (2, 1, 4), (10, 2, 5)`,
		fmt.Sprintf(`INSERT INTO messages (chat_id, seq, sender_id, text, client_id, created_at)
			SELECT 1 + i %% 20, 1 + (i - 1) / 20, 1 + i %% 50,
				CASE WHEN i %% 5000 = 7 THEN '%s' WHEN i %% 1000 = 0 THEN '' ELSE 'No. ' || i || ': ñandú 漢字 👩‍🚀 ''?1 $1''' END,
				CASE i %% 3 WHEN 0 THEN NULL ELSE 'key ' || i END,
				1635595200000000 + i
			FROM (%s) n ORDER BY n.i`, strings.Repeat("🙂", 10_000), numbers(messages)),
		fmt.Sprintf(`INSERT INTO events (id, type, chat_id, actor_id, message_id, user_id, created_at)
			SELECT 100 + i, 'message.created', 1 + i %% 20, 1 + i %% 50,
				CASE i %% 7 WHEN 0 THEN NULL ELSE i END, CASE i %% 7 WHEN 0 THEN 5 END, i
			FROM (%s) n ORDER BY n.i`, numbers(messages)),
		`UPDATE chats SET last_seq = (SELECT coalesce(max(seq), 0) FROM messages WHERE chat_id = chats.id)`,
		`UPDATE users SET admin = 1, deactivated_at = CASE WHEN id > 3 THEN 8 END WHERE id % 3 = 0`,
		`UPDATE chats SET active_at = created_at * 9, description = CASE id % 2 WHEN 0 THEN 'Опис' || id ELSE '' END`,
		`UPDATE chats SET visibility = 'public', managed_by = 'admins' WHERE id < 10`,
		`UPDATE chats SET deleted_at = 9, direct_low = -id, direct_high = -id WHERE direct_low = 1`,
		`UPDATE participants SET read_seq = user_id % 3, delivered_seq = user_id % 4,
			role = CASE user_id WHEN 1 THEN 'owner' WHEN 2 THEN 'admin' ELSE 'member' END,
			muted_until = chat_id - 5, archived = chat_id % 2, marked_unread = user_id % 2`,
		`UPDATE messages SET flags = flags | 1, edited_at = created_at + 1 WHERE id % 5 = 0`,
		`UPDATE messages SET flags = flags | 2, deleted_at = created_at - 1, text = '' WHERE id % 9 = 0`,
		`UPDATE messages SET flags = flags | 4, reply_to = id - 1, thread_id = id - 2 WHERE id % 4 = 3`,
		`UPDATE messages SET flags = flags | 8, reply_count = id WHERE id % 4 = 1`,
		`UPDATE messages SET flags = flags | 16, mentions = '[[0,3,' || id || '],[7,2,9]]' WHERE id % 6 = 1`,
		`UPDATE messages SET flags = flags | 32 WHERE id % 2 = 0`,
		`UPDATE messages SET flags = flags | 64 WHERE id % 7 = 0`,
		`INSERT INTO message_edits (message_id, version, text, created_at)
			SELECT m.id, 11 - v.i, CASE v.i WHEN 1 THEN '' ELSE '古い ' || m.id END, m.created_at - v.i
			FROM messages m, (` + numbers(2) + `) v WHERE m.id % 5 = 0`,
		`INSERT INTO hidden_messages (user_id, message_id) SELECT 1 + id % 50, id FROM messages WHERE id % 3 = 0`,
		`INSERT INTO reactions (message_id, user_id, emoji, created_at)
			SELECT id, 1 + id % 50, CASE id % 4 WHEN 0 THEN '👍' ELSE '👩‍🚀' END, -id FROM messages WHERE id % 2 = 0 ORDER BY id`,
		`INSERT INTO polls (message_id, options, multiple, anonymous, closes_at)
			SELECT id, '["так","' || id || '"]', id % 2, id % 3 % 2, CASE WHEN id % 4 < 2 THEN id END FROM messages WHERE id % 7 = 0`,
		`INSERT INTO poll_votes (message_id, choice, user_id, created_at)
			SELECT p.message_id, u.id % 2, 50 - u.id, u.id FROM polls p, users u WHERE u.id <= 3`,
		`INSERT INTO invites (chat_id, token_hash, creator_id, created_at, expires_at, max_uses, uses, revoked_at)
			SELECT 1 + i % 20, CAST('token ' || i AS BLOB), i, -i,
				CASE i % 2 WHEN 0 THEN i + 5 END, CASE i % 3 WHEN 0 THEN i * 2 END, i % 5, CASE i % 7 WHEN 0 THEN i + 9 END
			FROM (` + numbers(30) + `) n ORDER BY n.i`,
		`UPDATE invites SET token_hash = ` + blob("00fffe27") + ` WHERE id = 4`,
		`INSERT INTO answers (user_id, key_hash, operation, body, created_at)
			SELECT i % 3 + 1, CAST('key ' || i AS BLOB), 'op ' || i % 2, CAST('{}' AS BLOB), i FROM (` + numbers(20) + `) n ORDER BY n.i`,
		`UPDATE answers SET key_hash = ` + blob("") + `, body = ` + blob("00ff") + ` WHERE id = 4`,
		`INSERT INTO audit_log (action, actor_id, user_id, chat_id, address, detail, created_at)
			SELECT 'act ' || i, CASE i % 2 WHEN 0 THEN i END, CASE i % 3 WHEN 0 THEN 999 END, CASE i % 4 WHEN 0 THEN 777 END,
				CASE i % 5 WHEN 0 THEN '' ELSE '::' || i END, CASE i % 6 WHEN 0 THEN '' ELSE 'ünï ' || i END, -i
			FROM (` + numbers(25) + `) n ORDER BY n.i`,
		`UPDATE events SET data = '{"seq":' || id || '}' WHERE id % 2 = 0`,
		// The index is not copied.
		`INSERT INTO search_terms (space, term, id) VALUES (1, 'ñandú', 1), (0, 'üser', 1)`,
		`UPDATE search_state SET position = 5, backfilled = 3, backfill = 4`,
		`UPDATE events SET audience = id % 3`,
		`UPDATE users SET email_key = lower(email), pending_email = CASE id % 4 WHEN 0 THEN 'new' || id || '@example.com' ELSE '' END,
			email_verified_at = CASE id % 3 WHEN 0 THEN id END, email_claimed = CASE id % 5 WHEN 0 THEN 1 ELSE 0 END`,
		`UPDATE sessions SET kind = 'token', token_expires_at = id, family_hash = ` + blob("00fe") + `, refresh_hash = ` + blob("ff") + `,
			refresh_answer = ` + blob("0001") + `, user_agent = 'Браузер', address = '::1', used_at = id WHERE id = 2`,
		`UPDATE sessions SET kind = 'key', name = 'Бот', scopes = 'read write' WHERE id = 3`,
		`INSERT INTO known_places (user_id, place_hash, created_at, used_at)
			SELECT i % 7 + 1, CAST('place ' || i AS BLOB), -i, i FROM (` + numbers(12) + `) n ORDER BY n.i`,
		`INSERT INTO invitations (token_hash, creator_id, note, created_at, expires_at, max_uses, uses)
			SELECT CAST('invitation ' || i AS BLOB), i, 'для ' || i, -i, CASE i % 2 WHEN 0 THEN i + 5 END, i * 2, i % 5
			FROM (` + numbers(10) + `) n ORDER BY n.i`,
		`INSERT INTO registrations (username, password_hash, email, created_at, expires_at)
			SELECT 'Новий ' || i, '$2a$' || i, i || '@example.com', i, i + 1 FROM (` + numbers(5) + `) n ORDER BY n.i`,
		`INSERT INTO one_time_tokens (token_hash, purpose, user_id, registration_id, email, created_at, expires_at)
			SELECT CAST('once ' || i AS BLOB), CASE i % 2 WHEN 0 THEN 'register' ELSE 'verify_email' END,
				CASE i % 2 WHEN 1 THEN i END, CASE i % 2 WHEN 0 THEN i END, i || '@example.com', i, -i
			FROM (` + numbers(4) + `) n ORDER BY n.i`,
		`INSERT INTO mails (kind, user_id, registration_id, address, locale, data, created_at, due_at, attempts)
			SELECT 'kind ' || i, CASE i % 2 WHEN 1 THEN i END, CASE i % 2 WHEN 0 THEN i END, i || '@example.com', 'uk', '{"i":' || i || '}', i, -i, i
			FROM (` + numbers(4) + `) n ORDER BY n.i`,
		`INSERT INTO past_participants (user_id, chat_id) SELECT i, 1 + i % 20 FROM (` + numbers(9) + `) n ORDER BY n.i`,
		`UPDATE sessions SET refresh_answer = ` + blob("0a00") + ` WHERE id = 2`,
		`UPDATE users SET erasing = id % 2`,
		`INSERT INTO rate_limits (key, full_at) VALUES (` + blob("00") + `, 5)`, // not copied either
		`UPDATE users SET presence_hidden = id % 2, last_seen_at = CASE WHEN id % 3 > 0 THEN id END`,
		`UPDATE feed SET pruned = 77`,
		// The highest of each are gone, and their ids with them.
		`DELETE FROM events WHERE id > (SELECT max(id) - 3 FROM events)`,
		`DELETE FROM messages WHERE id > (SELECT max(id) - 3 FROM messages)`,
		`DELETE FROM chats WHERE id = (SELECT max(id) FROM chats)`,
		`DELETE FROM sessions WHERE id = (SELECT max(id) FROM sessions)`,
		`DELETE FROM invites WHERE id = (SELECT max(id) FROM invites)`,
		`DELETE FROM answers WHERE id = (SELECT max(id) FROM answers)`,
		`DELETE FROM audit_log WHERE id = (SELECT max(id) FROM audit_log)`,
		`DELETE FROM users WHERE id > 55`,
	} {
		if strings.Contains(database, "://") {
			statement = strings.NewReplacer("x'", `'\x`, "AS BLOB", "AS BYTEA").Replace(statement)
		}
		_, err := tx.ExecContext(context.Background(), statement)
		require.NoError(tb, err, statement)
	}
	require.NoError(tb, tx.Commit())
	// The log goes on behind these events, as it does when a database is opened.
	migrated(tb, database)
}

// numbers is a query for the numbers from 1 to n, as i.
func numbers(n int) string {
	return fmt.Sprintf(`WITH RECURSIVE r (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < %d) SELECT i FROM r`, n)
}

// blob is a literal of SQLite.
func blob(hex string) string { return "x'" + hex + "'" }

// Numbers of rows in what filled makes.
func filledRows(messages int) map[string]int64 {
	left := int64(messages - 3)
	return map[string]int64{
		"users": 55, "sessions": 3, "known_places": 12, "invitations": 10, "registrations": 5, "one_time_tokens": 4, "mails": 4,
		"chats": 22, "participants": 20 * 50, "past_participants": 9, "blocks": 3, "messages": left,
		"message_edits": left / 5 * 2, "hidden_messages": left / 3, "reactions": left / 2,
		"polls": left / 7, "poll_votes": left / 7 * 3, "invites": 29, "answers": 19, "audit_log": 24, "events": left,
	}
}

// requireSame compares all rows of two databases, in the tables that an SQLite
// file has. The index for searches is not copied: it begins anew. And so does the
// epoch of the log, that goes on from the same place.
func requireSame(tb testing.TB, wantIn, gotIn string) {
	tb.Helper()
	ctx := context.Background()
	path := filepath.Join(tb.TempDir(), "tables.db")
	migrated(tb, path)
	tables := catalogSQLite(tb, path)
	want, got := rawDatabase(tb, wantIn), rawDatabase(tb, gotIn)
	defer want.Close()
	defer got.Close()
	for name, columns := range tables {
		query := "SELECT " + strings.Join(columns, ", ") + " FROM " + name + " ORDER BY 1, 2"
		if len(columns) > 2 {
			query += ", 3"
		}
		wantRows, err := want.QueryContext(ctx, query)
		require.NoError(tb, err)
		defer wantRows.Close()
		gotRows, err := got.QueryContext(ctx, query)
		require.NoError(tb, err)
		defer gotRows.Close()
		for wantRows.Next() {
			if !gotRows.Next() {
				require.NoError(tb, gotRows.Err())
				require.Fail(tb, "rows are missing", name)
			}
			wantRow, gotRow := scanAny(tb, wantRows, len(columns)), scanAny(tb, gotRows, len(columns))
			if !slices.EqualFunc(wantRow, gotRow, sameValue) { // require.Equal alone is slow
				require.Equal(tb, wantRow, gotRow, name)
			}
		}
		require.False(tb, gotRows.Next(), "%s has rows too many", name)
		require.NoError(tb, errors.Join(wantRows.Err(), gotRows.Err()))
	}
	var terms int
	require.NoError(tb, got.QueryRow(`SELECT count(*) FROM search_terms`).Scan(&terms))
	require.Zero(tb, terms)
	var index searchState
	require.NoError(tb, want.QueryRow(`SELECT max(id), 0, (SELECT max(id) FROM messages) FROM events`).
		Scan(&index.position, &index.backfilled, &index.backfill))
	require.Equal(tb, []searchState{index}, searchStates(tb, got))
	wantFeed, gotFeed := feedOf(tb, want), feedOf(tb, got)
	require.NotEqual(tb, wantFeed.Epoch, gotFeed.Epoch)
	gotFeed.Epoch = wantFeed.Epoch
	require.Equal(tb, wantFeed, gotFeed)
}

// feedOf asks for the only row of feed.
func feedOf(tb testing.TB, db *sql.DB) (f store.Feed) {
	tb.Helper()
	var rows int
	require.NoError(tb, db.QueryRow(`SELECT min(epoch), min(pruned), count(*) FROM feed`).Scan(&f.Epoch, &f.Pruned, &rows))
	require.Equal(tb, 1, rows)
	return f
}

type searchState struct{ position, backfilled, backfill int64 }

func searchStates(tb testing.TB, db *sql.DB) (found []searchState) {
	tb.Helper()
	rows, err := db.Query(`SELECT position, backfilled, backfill FROM search_state`)
	require.NoError(tb, err)
	defer rows.Close()
	for rows.Next() {
		var s searchState
		require.NoError(tb, rows.Scan(&s.position, &s.backfilled, &s.backfill))
		found = append(found, s)
	}
	require.NoError(tb, rows.Err())
	return found
}

func sameValue(a, b any) bool {
	blob, isBlob := a.([]byte)
	other, isOther := b.([]byte)
	if isBlob || isOther {
		return isBlob && isOther && bytes.Equal(blob, other)
	}
	return a == b
}

func scanAny(tb testing.TB, rows *sql.Rows, n int) []any {
	values, into := make([]any, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		require.NoError(tb, err)
	}
	return values
}

func ignore(store.CopyProgress) {}

// requireEmpty asks the tables that a copy fills.
func requireEmpty(tb testing.TB, database string) {
	tb.Helper()
	db := rawDatabase(tb, database)
	defer db.Close()
	for table := range filledRows(0) {
		var rows int
		require.NoError(tb, db.QueryRow("SELECT count(*) FROM "+table).Scan(&rows))
		require.Zero(tb, rows, table)
	}
	require.Equal(tb, []searchState{{}}, searchStates(tb, db))
	require.Zero(tb, feedOf(tb, db).Pruned)
}

func copied(tb testing.TB, from, to string) []store.CopiedTable {
	tb.Helper()
	tables, err := store.Copy(context.Background(), from, to, ignore)
	require.NoError(tb, err)
	return tables
}

// 100,000 messages go to PostgreSQL and back, and arrive as they were.
func TestCopyThereAndBack(t *testing.T) {
	t.Parallel()
	const messages = 100_000
	there := copyEngines["PostgreSQL"](t)
	origin, back := copyEngines["SQLite"](t), copyEngines["SQLite"](t)
	filled(t, origin, messages)

	first := copied(t, origin, there)
	rows := map[string]int64{}
	for _, table := range first {
		rows[table.Name] = table.Rows
	}
	require.Equal(t, filledRows(messages), rows)
	requireSame(t, origin, there)

	require.Equal(t, first, copied(t, there, back), "the checksums are the same on both engines")
	requireSame(t, origin, back)
}

// Whatever the engines: the rows are those of the source, and what was once an
// id is never one again.
func TestCopyGoesOn(t *testing.T) {
	t.Parallel()
	copyPairs(t, func(t *testing.T, from, to string) {
		const messages = 700 // more than a batch
		filled(t, from, messages)
		var before, last int64 // the highest event ids that were given
		s, err := store.Open(t.Context(), store.Options{Database: from})
		require.NoError(t, err)
		update(t, s, func(tx *store.Tx) error {
			e := store.Event{Type: store.ChatCreated, ChatID: 1, ActorID: 1, At: noon}
			return errors.Join(tx.AppendEvent(e), tx.AppendEvent(e))
		})
		logged := logOf(t, s, messages-3+2)
		last = logged[len(logged)-1].ID
		before = logged[len(logged)-2].ID
		require.NoError(t, s.Close())
		raw := rawDatabase(t, from)
		_, err = raw.Exec(fmt.Sprintf(`DELETE FROM events WHERE id = %d`, last))
		require.NoError(t, err)
		require.NoError(t, raw.Close())

		copied(t, from, to)
		requireSame(t, from, to)

		s, err = store.Open(t.Context(), store.Options{Database: to})
		require.NoError(t, err)
		defer s.Close()
		require.EqualValues(t, 61, newUser(t, s, "new").ID)
		update(t, s, func(tx *store.Tx) error {
			session := store.Session{TokenHash: hash("new"), UserID: 1, CreatedAt: noon, ExpiresAt: noon}
			c := store.NewGroup("", noon)
			err := errors.Join(tx.CreateSession(&session), tx.CreateChat(&c))
			if err == nil && (session.ID != 5 || c.ID != 24) {
				err = fmt.Errorf("session %d, chat %d", session.ID, c.ID)
			}
			return err
		})
		update(t, s, func(tx *store.Tx) error {
			m, err := post(tx, 3, 5, "new")
			if err == nil && m.ID != messages+1 {
				err = fmt.Errorf("message %d", m.ID)
			}
			return err
		})

		raw = rawDatabase(t, to)
		defer raw.Close()
		for insert, want := range map[string]int64{
			`INSERT INTO reactions (message_id, user_id, emoji, created_at) VALUES (1, 1, 'new', 0)`:                                        messages/2 + 1,
			`INSERT INTO invites (chat_id, token_hash, creator_id, created_at) VALUES (1, CAST('new' AS BLOB), 1, 0)`:                       31,
			`INSERT INTO answers (user_id, key_hash, operation, body, created_at) VALUES (1, CAST('new' AS BLOB), '', CAST('' AS BLOB), 0)`: 21,
			`INSERT INTO audit_log (action, address, detail, created_at) VALUES ('new', '', '', 0)`:                                         26,
		} {
			if strings.Contains(to, "://") {
				insert = strings.ReplaceAll(insert, "AS BLOB", "AS BYTEA")
			}
			var id int64
			require.NoError(t, raw.QueryRow(insert+" RETURNING id").Scan(&id), insert)
			require.Equal(t, want, id, insert)
		}

		// A follower sees the old ones and the new; one who had come to the end
		// of the old log misses nothing.
		all := logOf(t, s, messages-3+2)
		require.Len(t, all, messages-3+2)
		require.True(t, slices.IsSortedFunc(all, func(a, b store.Event) int { return int(a.ID - b.ID) }))
		require.Equal(t, logged[:len(logged)-1], all[:len(all)-1])
		require.Equal(t, before, all[len(all)-2].ID)
		require.Greater(t, all[len(all)-1].ID, last)
		require.Equal(t, "new", all[len(all)-1].Message.Text)
	})
}

// The copy is that of one moment, while others write to the source.
func TestCopyOfOneMoment(t *testing.T) {
	t.Parallel()
	copyPairs(t, func(t *testing.T, from, to string) {
		filled(t, from, 1000)
		s, err := store.Open(t.Context(), store.Options{Database: from})
		require.NoError(t, err)
		defer s.Close()
		written := 0
		tables, err := store.Copy(t.Context(), from, to, func(store.CopyProgress) {
			newUser(t, s, fmt.Sprint("late ", written))
			update(t, s, func(tx *store.Tx) error {
				_, err := post(tx, 1, 1, "late")
				return err
			})
			written++
		})
		require.NoError(t, err)
		require.NotZero(t, written)
		for _, table := range tables {
			require.Equal(t, filledRows(1000)[table.Name], table.Rows, table.Name)
		}
	})
}

// A copy that is broken off leaves nothing behind.
func TestCopyInterrupted(t *testing.T) {
	t.Parallel()
	copyPairs(t, func(t *testing.T, from, to string) {
		filled(t, from, 2000)
		for name, at := range map[string]func(store.CopyProgress) bool{
			"at the start":        func(p store.CopyProgress) bool { return p.Table == "users" },
			"in the midst":        func(p store.CopyProgress) bool { return p.Table == "messages" && p.Rows > 0 && p.Rows < p.Of },
			"while it reads back": func(p store.CopyProgress) bool { return p.Checking },
			"at the end":          func(p store.CopyProgress) bool { return p.Checking && p.Table == "events" && p.Rows == p.Of },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := store.Copy(ctx, from, to, func(p store.CopyProgress) {
				if at(p) {
					cancel()
				}
			})
			require.ErrorIs(t, err, context.Canceled, name)
			requireEmpty(t, to)
			cancel()
		}
		copied(t, from, to)
		requireSame(t, from, to)
	})
}

// What the destination makes of a row by itself is found out.
func TestCopyChecksums(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		engine     string
		statements []string
		table      string
	}{
		"a text that SQLite changes": {"SQLite", []string{
			`CREATE TRIGGER mine AFTER INSERT ON messages WHEN NEW.id = 30 BEGIN UPDATE messages SET text = 'no. 30' WHERE id = NEW.id; END`,
		}, "messages"},
		"a row that SQLite drops": {"SQLite", []string{
			`CREATE TRIGGER mine AFTER INSERT ON events WHEN NEW.id = 130 BEGIN DELETE FROM events WHERE id = NEW.id; END`,
		}, "events"},
		"a row of an earlier table": {"SQLite", []string{
			`CREATE TRIGGER mine AFTER INSERT ON events WHEN NEW.id = 130 BEGIN UPDATE users SET created_at = 0 WHERE id = 30; END`,
		}, "users"},
		"a text that PostgreSQL changes": {"PostgreSQL", []string{
			`CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.text = NEW.text || NEW.id; RETURN NEW; END'`,
			`CREATE TRIGGER mine BEFORE INSERT ON messages FOR EACH ROW WHEN (NEW.id = 30) EXECUTE FUNCTION mine()`,
		}, "messages"},
		"NULL for an empty text": {"PostgreSQL", []string{
			`ALTER TABLE chats ALTER COLUMN title DROP NOT NULL`,
			`CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title = NULL; RETURN NEW; END'`,
			`CREATE TRIGGER mine BEFORE INSERT ON chats FOR EACH ROW WHEN (NEW.title = '') EXECUTE FUNCTION mine()`,
		}, "chats"},
		"a row that PostgreSQL drops": {"PostgreSQL", []string{
			`CREATE RULE mine AS ON INSERT TO sessions WHERE NEW.id = 2 DO INSTEAD NOTHING`,
		}, "sessions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := copyEngines["SQLite"](t), copyEngines[test.engine](t)
			filled(t, from, 100)
			migrated(t, to)
			db := rawDatabase(t, to)
			for _, statement := range test.statements {
				_, err := db.Exec(statement)
				require.NoError(t, err)
			}
			require.NoError(t, db.Close())
			_, err := store.Copy(t.Context(), from, to, ignore)
			require.ErrorContains(t, err, "table "+test.table+": the destination has stored something else")
			requireEmpty(t, to)
		})
	}
}

// A copy reads whole tables, and takes its time. What is right for an Update, or
// what the administrator has set, would break it off or make it slow.
func TestCopySettings(t *testing.T) {
	t.Parallel()
	const check = `
		CREATE FUNCTION settings() RETURNS text LANGUAGE sql AS $$
			SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN (
				'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout',
				'enable_seqscan', 'enable_hashjoin', 'enable_mergejoin')
				OR name = 'lock_timeout' AND current_setting('transaction_read_only') = 'on' $$;
		CREATE FUNCTION bad() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
			IF settings() ~ 'timeout=[^0]|enable_[a-z]+=off' THEN RAISE EXCEPTION 'it has %', settings(); END IF;
			RETURN false;
		END $$;
		DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET statement_timeout = 420000', current_database());
			EXECUTE format('ALTER DATABASE %I SET lock_timeout = 420000', current_database());
		END $$`
	from, to := copyEngines["PostgreSQL"](t), copyEngines["PostgreSQL"](t)
	filled(t, from, 100)
	migrated(t, to)
	execute(t, from, check+`;
		ALTER TABLE participants RENAME TO kept;
		CREATE VIEW participants AS SELECT * FROM kept WHERE NOT bad()`)
	execute(t, to, check+`;
		CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM bad(); RETURN NULL; END $$;
		CREATE TRIGGER mine AFTER INSERT ON users EXECUTE FUNCTION look()`)
	// It is the copy that has other settings, and nobody else.
	for _, database := range []string{from, to} {
		s := openPostgres(t, store.Options{Database: database})
		var bad bool
		err := s.Update(t.Context(), func(tx *store.Tx) error { return tx.Ask(`SELECT bad()`, &bad) })
		require.ErrorContains(t, err, "enable_seqscan=off")
		require.ErrorContains(t, err, "statement_timeout=420000")
		require.NoError(t, s.Close())
	}
	for _, table := range copied(t, from, to) {
		require.Equal(t, filledRows(100)[table.Name], table.Rows, table.Name)
	}
}

// A commit that the destination refuses is not one that may have been done.
func TestCopyRefusedCommit(t *testing.T) {
	t.Parallel()
	from, to := copyEngines["SQLite"](t), copyEngines["PostgreSQL"](t)
	filled(t, from, 100)
	migrated(t, to)
	execute(t, to, `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no thirtieth'; END $$;
		CREATE CONSTRAINT TRIGGER mine AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.id = 30) EXECUTE FUNCTION refuse()`)
	var last store.CopyProgress
	_, err := store.Copy(t.Context(), from, to, func(p store.CopyProgress) { last = p })
	require.ErrorContains(t, err, "commit: ")
	require.ErrorContains(t, err, "no thirtieth")
	require.NotContains(t, err.Error(), "nobody knows")
	require.Equal(t, store.CopyProgress{Table: "events", Checking: true, Rows: 97, Of: 97}, last, "it came to the commit")
	requireEmpty(t, to)

	execute(t, to, `DROP TRIGGER mine ON users`)
	copied(t, from, to)
	requireSame(t, from, to)
}

func TestCopyRefusals(t *testing.T) {
	t.Parallel()
	const password = "pa55w0rd"
	dir := t.TempDir()
	full, other := filepath.Join(dir, "full.db"), filepath.Join(dir, "other.db")
	filled(t, full, 10)
	filled(t, other, 10)
	link := filepath.Join(dir, "link.db")
	require.NoError(t, os.Symlink(full, link))
	empty := filepath.Join(dir, "empty.db")
	migrated(t, empty)
	missing := filepath.Join(dir, "missing.db")
	fullPostgres := pgtest.NewDatabase(t)
	copied(t, full, fullPostgres)
	parsed, err := url.Parse(fullPostgres)
	require.NoError(t, err)
	wrong := *parsed
	wrong.User = url.UserPassword(parsed.User.Username(), password)
	samePostgres := *parsed
	samePostgres.RawQuery += "&application_name=another"

	for name, test := range map[string]struct {
		from, to string
		want     string
	}{
		"destination has rows, SQLite":      {full, other, "not empty"},
		"destination has rows, PostgreSQL":  {full, fullPostgres, "not empty"},
		"the same":                          {full, full, "both the source and the destination"},
		"the same by another name":          {full, link, "both the source and the destination"},
		"the same by another address":       {fullPostgres, samePostgres.String(), "both the source and the destination"},
		"no source":                         {missing, other, "there is no file " + missing},
		"an empty source":                   {empty, filepath.Join(dir, "new.db"), "the source is empty"},
		"unknown engine, source":            {"mysql://root:" + password + "@localhost/db", full, "source: there is no engine for mysql://"},
		"unknown engine, destination":       {full, "mysql://root:" + password + "@localhost/db", "destination: there is no engine for mysql://"},
		"wrong password of the source":      {wrong.String(), filepath.Join(dir, "new.db"), "source: "},
		"wrong password of the destination": {full, wrong.String(), "destination: "},
		"unreachable":                       {full, "postgres://ada:" + password + "@" + mute(t) + "/db", "destination: "},
		"an address that can't be read":     {full, "postgres://ada:" + password + "#@localhost/db", "destination: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tables, err := store.Copy(t.Context(), test.from, test.to, func(p store.CopyProgress) {
				t.Errorf("it began: %v", p)
			})
			require.ErrorContains(t, err, test.want)
			require.Empty(t, tables)
			require.NotContains(t, err.Error(), password)
			if secret, ok := parsed.User.Password(); ok {
				require.NotContains(t, err.Error(), secret)
			}
			require.NoFileExists(t, missing)
		})
	}
}

// mute is the address of a server that hangs up.
func mute(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestCopyProgress(t *testing.T) {
	t.Parallel()
	from := copyEngines["SQLite"](t)
	filled(t, from, 2000)
	type step struct {
		table    string
		checking bool
	}
	var steps []step
	at := map[step]int64{}
	_, err := store.Copy(t.Context(), from, copyEngines["SQLite"](t), func(p store.CopyProgress) {
		s := step{p.Table, p.Checking}
		if _, ok := at[s]; !ok {
			steps = append(steps, s)
		}
		require.GreaterOrEqual(t, p.Rows, at[s])
		require.Equal(t, filledRows(2000)[p.Table], p.Of)
		at[s] = p.Rows
	})
	require.NoError(t, err)
	tables := []string{
		"users", "sessions", "known_places", "invitations", "registrations", "one_time_tokens", "mails",
		"chats", "participants", "past_participants", "blocks", "messages", "message_edits", "hidden_messages",
		"reactions", "polls", "poll_votes", "invites", "answers", "audit_log", "events",
	}
	var want []step
	for _, checking := range []bool{false, true} {
		for _, table := range tables {
			want = append(want, step{table, checking})
			require.Equal(t, filledRows(2000)[table], at[step{table, checking}], "the last of each tells of all rows")
		}
	}
	require.Equal(t, want, steps)
}

// The memory that a copy takes does not grow with what is copied. (Not parallel:
// others must not use memory at the same time.)
func TestCopyMemory(t *testing.T) {
	const texts, length, limit = 2500, 10_000, 8 << 20 // of 25 MB
	for name, newDatabase := range copyEngines {
		t.Run(name, func(t *testing.T) {
			from, to := newDatabase(t), newDatabase(t)
			filled(t, from, 10)
			db := rawDatabase(t, from)
			_, err := db.Exec(fmt.Sprintf(`
				INSERT INTO messages (chat_id, seq, sender_id, text, created_at)
				SELECT 1, 1000 + i, 1, '%s' || i, 0 FROM (%s) n`, strings.Repeat("x", length), numbers(texts)))
			require.NoError(t, err)
			require.NoError(t, db.Close())

			base := liveHeap()
			peak, calls := base, 0
			_, err = store.Copy(t.Context(), from, to, func(store.CopyProgress) {
				if calls++; calls%4 == 0 {
					peak = max(peak, liveHeap())
				}
			})
			require.NoError(t, err)
			require.Greater(t, calls, 25)
			require.Less(t, peak, base+limit)
		})
	}
}

func liveHeap() uint64 {
	for range 3 { // pools let go in two steps
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Every table and column that migrations make is copied, on both engines, but
// for the index for searches, which is made from the others, feed, of which
// requireSame knows, and rate_limits, which is soon over.
func TestCopyTables(t *testing.T) {
	t.Parallel()
	listed := store.CopyColumns()
	path, address := copyEngines["SQLite"](t), copyEngines["PostgreSQL"](t)
	migrated(t, path)
	migrated(t, address)
	const why = "a migration changed it: copyTables in copy.go must, too"
	require.Equal(t, sorted(catalogSQLite(t, path)), sorted(listed), why)
	require.Equal(t, sorted(catalogPostgres(t, address)), sorted(listed), why)

	db := rawDatabase(t, address)
	for table, keys := range store.CopyKeys() {
		var primary []string
		rows, err := db.Query(`
			SELECT a.attname FROM pg_index i
			CROSS JOIN unnest(i.indkey) WITH ORDINALITY k (attnum, place)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
			WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place`, table)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			primary = append(primary, fmt.Sprint(scanAny(t, rows, 1)[0]))
		}
		require.NoError(t, rows.Err())
		require.Equal(t, primary, keys, table)
	}
}

func sorted(tables map[string][]string) map[string][]string {
	tables = maps.Clone(tables)
	for name, columns := range tables {
		tables[name] = slices.Sorted(slices.Values(columns))
	}
	return tables
}

// catalogSQLite lists the columns of all tables but those of goose and SQLite, and
// the index for searches.
func catalogSQLite(tb testing.TB, path string) map[string][]string {
	tb.Helper()
	return catalog(tb, path, `
		SELECT t.name, c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
			AND t.name NOT IN ('goose_db_version', 'search_terms', 'search_state', 'feed', 'rate_limits')
		ORDER BY t.name, c.cid`)
}

// catalogPostgres lists the same, without event_log, which is the database's own.
func catalogPostgres(tb testing.TB, address string) map[string][]string {
	tb.Helper()
	return catalog(tb, address, `
		SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = current_schema()
			AND table_name NOT IN ('goose_db_version', 'event_log', 'search_terms', 'search_state', 'feed', 'rate_limits')
		ORDER BY table_name, ordinal_position`)
}

func catalog(tb testing.TB, database, query string) map[string][]string {
	tb.Helper()
	db := rawDatabase(tb, database)
	defer db.Close()
	rows, err := db.Query(query)
	require.NoError(tb, err)
	defer rows.Close()
	tables := map[string][]string{}
	for rows.Next() {
		var table, column string
		require.NoError(tb, rows.Scan(&table, &column))
		tables[table] = append(tables[table], column)
	}
	require.NoError(tb, rows.Err())
	return tables
}
