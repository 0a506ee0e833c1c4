package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/store"
)

// What version 2 of the schema has stored is right in version 3: the groups
// have owners, nothing is unread, and the chats are as active as they were.
func TestMigrationToVersion3(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, database string, migrate func(version int64)) {
		migrate(2)
		db := rawDatabase(t, database)
		for _, statement := range version2 {
			_, err := db.Exec(statement)
			require.NoError(t, err, statement)
		}
		before := rowsOfVersion2(t, db)
		require.NoError(t, db.Close())

		requireVersion3(t, database)
		migrate(2)
		db = rawDatabase(t, database)
		require.Equal(t, before, rowsOfVersion2(t, db), "the way down keeps what version 2 knows")
		require.NoError(t, db.Close())
		requireVersion3(t, database)
	})
}

// onEachVersion runs a test on both engines, with a function that brings the
// schema of a database to a version.
func onEachVersion(t *testing.T, test func(t *testing.T, database string, migrate func(version int64))) {
	for name, engine := range map[string]struct {
		dialect  goose.Dialect
		folder   string
		database func() string
	}{
		"SQLite": {goose.DialectSQLite3, "migrations/sqlite", func() string {
			return filepath.Join(t.TempDir(), "messaging.db")
		}},
		"PostgreSQL": {goose.DialectPostgres, "migrations/postgres", func() string { return pgtest.NewDatabase(t) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := engine.database()
			test(t, database, func(version int64) {
				t.Helper()
				db := rawDatabase(t, database)
				defer db.Close()
				provider, err := goose.NewProvider(engine.dialect, db, os.DirFS(engine.folder), goose.WithDisableGlobalRegistry(true))
				require.NoError(t, err)
				current, err := provider.GetDBVersion(t.Context())
				require.NoError(t, err)
				if current < version {
					_, err = provider.UpTo(t.Context(), version)
				} else {
					_, err = provider.DownTo(t.Context(), version)
				}
				require.NoError(t, err)
			})
		})
	}
}

// The events of version 3 are for the same people in version 4, those of chats
// that are gone too; nobody's presence is hidden.
func TestMigrationToVersion4(t *testing.T) {
	t.Parallel()
	onEachVersion(t, func(t *testing.T, database string, migrate func(version int64)) {
		migrate(3)
		db := rawDatabase(t, database)
		for _, statement := range []string{
			`INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES
				(1, 'ada', 'ada', '', 1), (2, 'bob', 'bob', '', 1)`,
			`INSERT INTO chats (id, kind, created_at) VALUES (5, 'group', 1)`,
			`INSERT INTO participants (chat_id, user_id, joined_at) VALUES (5, 1, 1)`,
			`INSERT INTO events (id, type, chat_id, actor_id, user_id, created_at) VALUES
				(1, 'chat.created', 5, 1, NULL, 1), (2, 'participant.added', 5, 1, 2, 1), (3, 'chat.read', 5, 2, 2, 1),
				(4, 'chat.settings', 5, 2, 2, 1), (5, 'message.hidden', 5, 2, 2, 1), (6, 'message.created', 5, 1, NULL, 1),
				(7, 'participant.updated', 5, 1, 2, 1), (8, 'participant.removed', 5, 1, 2, 1), (9, 'chat.deleted', 6, 1, 2, 1),
				(10, 'chat.settings', 5, 1, 1, 1), (11, 'chat.created', 7, 2, NULL, 1)`,
		} {
			_, err := db.Exec(statement)
			require.NoError(t, err, statement)
		}
		require.NoError(t, db.Close())

		for range 2 {
			s, err := store.Open(t.Context(), store.Options{Database: database})
			require.NoError(t, err)
			logOf(t, s, 11) // all of it can be seen
			view(t, s, func(tx *store.Tx) error {
				f, err := tx.FindFeed()
				require.NoError(t, err)
				require.Regexp(t, `^[0-9a-f]{12}(-1)?$`, f.Epoch)
				require.Equal(t, store.Feed{Epoch: f.Epoch, Last: 11}, f)
				adas, err := tx.ListMissed(1, 0, 11, 100)
				require.NoError(t, err)
				require.Equal(t, []int64{1, 2, 3, 6, 7, 8, 10}, adas)
				bobs, err := tx.ListMissed(2, 0, 11, 100)
				require.NoError(t, err)
				require.Equal(t, []int64{4, 5, 8, 9}, bobs)
				ada, err := tx.FindUserByID(1)
				require.NoError(t, err)
				require.False(t, ada.PresenceHidden)
				return nil
			})
			require.NoError(t, s.Close())
			migrate(3)
		}
	})
}

// The people of version2.
const (
	v2Ada = iota + 1
	v2Bob
	v2Eve
)

// version2 fills a database of version 2. The groups are named for who is their
// owner in version 3.
var version2 = []string{
	`INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES
		(1, 'ada', 'ada', '', 1), (2, 'bob', 'bob', '', 1), (3, 'eve', 'eve', '', 1)`,
	`INSERT INTO chats (id, kind, title, last_seq, created_at, direct_low, direct_high) VALUES
		(1, 'group', 'ada, who made it', 2, 101, NULL, NULL),
		(2, 'group', 'eve: ada has left', 0, 102, NULL, NULL),
		(3, 'group', 'bob: his id is lower', 0, 103, NULL, NULL),
		(4, 'group', 'ada, who has left and come back', 0, 104, NULL, NULL),
		(5, 'group', 'nobody: all have left', 1, 105, NULL, NULL),
		(6, 'group', 'bob: who made it is not known', 0, 106, NULL, NULL),
		(7, 'direct', '', 3, 107, 1, 2),
		(8, 'self', '', 0, 108, 1, 1)`,
	`INSERT INTO participants (chat_id, user_id, joined_at) VALUES
		(1, 1, 50), (1, 2, 10), (1, 3, 20),
		(2, 2, 20), (2, 3, 10),
		(3, 3, 10), (3, 2, 10),
		(4, 1, 90), (4, 2, 10),
		(6, 2, 10), (6, 1, 20),
		(7, 1, 10), (7, 2, 10),
		(8, 1, 10)`,
	// Not all clocks go forward: the last is the one with the highest id.
	`INSERT INTO messages (id, chat_id, seq, sender_id, text, client_id, created_at) VALUES
		(1, 1, 1, 1, 'one', 'key', 900), (2, 7, 1, 1, 'two', NULL, 300), (3, 5, 1, 3, 'three', NULL, 400),
		(4, 7, 2, 2, 'four', NULL, 500), (5, 1, 2, 2, 'five', NULL, 800), (6, 7, 3, 1, 'six', NULL, 200)`,
	`INSERT INTO events (id, type, chat_id, actor_id, created_at) VALUES
		(1, 'chat.created', 1, 1, 101), (2, 'chat.created', 2, 1, 102), (3, 'chat.created', 3, 1, 103),
		(4, 'chat.created', 4, 1, 104), (5, 'chat.created', 5, 2, 105),
		(7, 'chat.created', 7, 2, 107), (8, 'chat.created', 8, 1, 108)`,
	`INSERT INTO events (id, type, chat_id, actor_id, user_id, created_at) VALUES
		(6, 'participant.added', 6, 1, 2, 106), (9, 'participant.added', 2, 2, 3, 109), (10, 'participant.removed', 2, 1, 1, 110)`,
	`INSERT INTO events (id, type, chat_id, actor_id, message_id, created_at) VALUES (30, 'message.created', 1, 1, 1, 900)`,
	`INSERT INTO blocks (blocker_id, blocked_id, created_at) VALUES (3, 1, 5)`,
}

// rowsOfVersion2 is all that version 2 knows.
func rowsOfVersion2(tb testing.TB, db *sql.DB) map[string][][]any {
	tb.Helper()
	all := map[string][][]any{}
	for table, columns := range map[string]string{
		"users":        "id, username, username_key, password_hash, created_at, display_name, email, locale, about, deleted_at",
		"chats":        "id, kind, title, direct_low, direct_high, last_seq, created_at",
		"participants": "chat_id, user_id, joined_at",
		"messages":     "id, chat_id, seq, sender_id, text, client_id, created_at",
		"events":       "id, type, chat_id, actor_id, message_id, user_id, created_at",
		"blocks":       "blocker_id, blocked_id, created_at",
	} {
		rows, err := db.Query("SELECT " + columns + " FROM " + table + " ORDER BY 1, 2")
		require.NoError(tb, err)
		defer rows.Close()
		for rows.Next() {
			all[table] = append(all[table], scanAny(tb, rows, strings.Count(columns, ",")+1))
		}
		require.NoError(tb, rows.Err())
		require.NotEmpty(tb, all[table])
	}
	return all
}

// requireVersion3 opens a database of version 2, which brings it to the newest.
func requireVersion3(tb testing.TB, database string) {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Database: database})
	require.NoError(tb, err)
	defer s.Close()
	at := func(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
	type place struct{ chat, user int64 }
	view(tb, s, func(tx *store.Tx) error {
		for p, want := range map[place]store.Participant{
			{1, v2Ada}: {Role: store.Owner, JoinedAt: at(50), ReadSeq: 2},
			{1, v2Bob}: {Role: store.Member, JoinedAt: at(10), ReadSeq: 2},
			{1, v2Eve}: {Role: store.Member, JoinedAt: at(20), ReadSeq: 2},
			{2, v2Bob}: {Role: store.Member, JoinedAt: at(20)},
			{2, v2Eve}: {Role: store.Owner, JoinedAt: at(10)},
			{3, v2Bob}: {Role: store.Owner, JoinedAt: at(10)},
			{3, v2Eve}: {Role: store.Member, JoinedAt: at(10)},
			{4, v2Ada}: {Role: store.Owner, JoinedAt: at(90)},
			{4, v2Bob}: {Role: store.Member, JoinedAt: at(10)},
			{6, v2Ada}: {Role: store.Member, JoinedAt: at(20)},
			{6, v2Bob}: {Role: store.Owner, JoinedAt: at(10)},
			{7, v2Ada}: {Role: store.Member, JoinedAt: at(10), ReadSeq: 3},
			{7, v2Bob}: {Role: store.Member, JoinedAt: at(10), ReadSeq: 3},
			{8, v2Ada}: {Role: store.Member, JoinedAt: at(10)},
		} {
			want.ChatID, want.UserID, want.DeliveredSeq = p.chat, p.user, want.ReadSeq
			want.Username = []string{"ada", "bob", "eve"}[p.user-1]
			found, err := tx.FindParticipant(p.chat, p.user)
			require.NoError(tb, err)
			require.Equal(tb, want, found)
		}
		for id, active := range map[int64]int64{1: 800, 2: 102, 3: 103, 4: 104, 5: 400, 6: 106, 7: 200, 8: 108} {
			c, err := tx.FindChatByID(id)
			require.NoError(tb, err)
			require.Equal(tb, at(active), c.ActiveAt, c.Title)
			require.Equal(tb, at(100+id), c.CreatedAt)
			require.Equal(tb, store.Private, c.Visibility)
			require.Equal(tb, store.ByMembers, c.ManagedBy)
			require.Empty(tb, c.Description)
		}
		m, err := tx.FindMessage(v2Ada, 1)
		require.NoError(tb, err)
		require.Equal(tb, store.Message{
			ID: 1, ChatID: 1, ChatKind: store.GroupChat, Seq: 1, SenderID: v2Ada, SenderUsername: "ada",
			Text: "one", ClientID: "key", CreatedAt: at(900),
		}, m)
		u, err := tx.FindUserByID(v2Ada)
		require.NoError(tb, err)
		require.False(tb, u.Admin)
		require.Zero(tb, u.DeactivatedAt)
		require.Zero(tb, u.DeletedAt)
		return nil
	})
	for _, e := range logOf(tb, s, 11) {
		require.Empty(tb, e.Data)
	}
	db := rawDatabase(tb, database)
	defer db.Close()
	// What is there is still to be indexed; what comes then is in the log.
	require.Equal(tb, []searchState{{position: 30, backfill: 6}}, searchStates(tb, db))
	var unlike int
	require.NoError(tb, db.QueryRow(`SELECT count(*) FROM messages WHERE flags <> 0 OR reply_count <> 0
		OR edited_at IS NOT NULL OR deleted_at IS NOT NULL OR reply_to IS NOT NULL OR thread_id IS NOT NULL
		OR mentions IS NOT NULL`).Scan(&unlike))
	require.Zero(tb, unlike)
}
