package caddymsg_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// world is a server with people who have to do with each other in every way that
// matters to a rule. What a request has changed in it can be taken back.
//
//   - alice (id 1) owns group 1, which its members manage, and group 3, which its
//     admins manage.
//   - bob (id 2) is a member of both. He and alice have written to each other, in
//     chat 2, and then she has blocked him.
//   - adam is an admin of both groups, and mia a member.
//   - dora was a member of both groups when her account was deactivated.
//   - alice has an address, which is not verified, and wants another one. Both have been
//     sent a token.
//   - stan is in no chat. root is an administrator of the server.
//   - nina is alone in group 4, which is public, and bob in group 5.
//
// Message 1 is from alice to group 1, 2 from alice to bob, 3 from bob to alice, 4 a
// poll of alice's in group 1, 5 a poll of alice's in chat 2.
type world struct {
	t   *testing.T
	api document
	// client has no cookies of its own.
	client  *frontdoor.Client
	cookies map[string]string
	// invites are the tokens of invites to groups, by the group.
	invites map[int]string

	db      *sql.DB
	engine  frontdoor.Engine
	tables  []string // each behind those that it refers to
	changed bool
}

// The password is the one in the document's example.
const worldPassword = "correct horse battery"

func newWorld(t *testing.T, engine frontdoor.Engine) *world {
	t.Helper()
	post := smtptest.Start(t, smtptest.Options{Plain: true})
	s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: plainMailSite("{$PORT}", post)})
	w := &world{
		t: t, client: frontdoor.NewClient(t, s.URL), cookies: map[string]string{}, invites: map[int]string{},
		db: frontdoor.OpenDatabase(t, s.Database), engine: engine,
	}
	w.client.HTTP.Jar = nil
	w.api = readDocument(t, w.client)

	for _, name := range []string{"alice", "bob", "adam", "mia", "stan", "nina", "root", "dora"} {
		w.must("", "POST", "/v1/auth/register", credentials(t, name, worldPassword))
		r := w.must("", "POST", "/v1/auth/login", credentials(t, name, worldPassword))
		cookie, _, _ := strings.Cut(r.Header.Get("Set-Cookie"), ";")
		w.cookies[name] = cookie
	}
	group := func(owner, title string, id int, members ...string) {
		r := w.must(owner, "POST", "/v1/group_chat", frontdoor.JSON(t, map[string]string{"title": title}))
		require.EqualValues(t, id, r.Field("chat_id"))
		for _, name := range members {
			w.must(owner, "POST", fmt.Sprintf("/v1/group_chat/%d/participants", id), frontdoor.JSON(t, map[string]string{"username": name}))
		}
	}
	messages := 0
	send := func(sender, to string) {
		messages++
		r := w.must(sender, "POST", "/v1/messages", "{"+to+"}")
		require.EqualValues(t, messages, r.Field("id"))
	}
	group("alice", "Weekend", 1, "bob", "adam", "mia", "dora")
	send("alice", `"group_chat_id":1,"message":"hi all"`)
	send("alice", `"dest_username":"bob","message":"hi bob"`)
	send("bob", `"dest_username":"alice","message":"hi alice"`)
	send("alice", `"group_chat_id":1,"message":"Lunch?","poll":{"options":["Pizza","Pasta"]}`)
	send("alice", `"dest_username":"bob","message":"Dinner?","poll":{"options":["Pizza","Pasta"]}`)
	group("alice", "Board", 3, "bob", "adam", "mia", "dora")
	group("nina", "Everybody", 4)
	group("bob", "Bob's", 5)
	w.must("alice", "PUT", "/v1/blocks/bob", "")
	for _, change := range []string{
		`UPDATE chats SET managed_by = 'admins' WHERE id = 3`,
		`UPDATE chats SET visibility = 'public' WHERE id = 4`,
		`UPDATE participants SET role = 'admin' WHERE user_id = (SELECT id FROM users WHERE username = 'adam')`,
		`UPDATE users SET admin = 1 WHERE username = 'root'`,
		`UPDATE users SET deactivated_at = created_at WHERE username = 'dora'`,
		`UPDATE users SET email = 'alice@example.com', email_key = 'alice@example.com', pending_email = 'alice@example.org' WHERE id = 1`,
	} {
		w.exec(change)
	}
	// The tokens are the ones in the document's examples.
	w.mailed("reset_password", "cmsg_reset_EXAMPLEEXAMPLEEXAMPLEEXAMPWZVDLBI", "alice@example.com")
	w.mailed("verify_email", "cmsg_mail_EXAMPLEEXAMPLEEXAMPLEEXAMPMZGNTFQ", "alice@example.org")
	for _, invite := range []struct {
		owner string
		group int
	}{{"alice", 1}, {"alice", 3}, {"nina", 4}} {
		r := w.must(invite.owner, "POST", fmt.Sprintf("/v1/group_chat/%d/invites", invite.group), "")
		w.invites[invite.group] = r.Field("token").(string)
	}
	require.EqualValues(t, 1, w.must("root", "POST", "/v1/admin/invitations", `{"note":"for the new ones"}`).Field("id"))
	w.save()
	return w
}

// mailed makes a token of alice's, as if it had been sent to an address.
func (w *world) mailed(purpose, token, email string) {
	w.t.Helper()
	hash := sha256.Sum256([]byte(token))
	_, err := w.db.ExecContext(w.t.Context(), `
		INSERT INTO one_time_tokens (token_hash, purpose, user_id, email, created_at, expires_at) VALUES ($1, $2, 1, $3, 0, $4)`,
		hash[:], purpose, email, time.Now().Add(time.Hour).UnixMicro())
	require.NoError(w.t, err)
}

// ask sends a request as somebody, or as nobody.
func (w *world) ask(who, method, path, body string, header ...string) *frontdoor.Response {
	w.t.Helper()
	if who != "" {
		require.NotEmpty(w.t, w.cookies[who], who)
		header = append(header, "Cookie", w.cookies[who])
	}
	r := w.client.Do(method, path, body, header...)
	// Reading changes nothing, and nor does what is refused: see TestAuthorisation.
	w.changed = w.changed || method != http.MethodGet && r.StatusCode < 400
	return r
}

func (w *world) must(who, method, path, body string) *frontdoor.Response {
	w.t.Helper()
	return w.ask(who, method, path, body).Want(http.StatusOK)
}

func (w *world) exec(statement string) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), statement)
	require.NoError(w.t, err, statement)
}

// fill puts tokens in the place of {invite 1} and so on.
func (w *world) fill(text string) string {
	for group, token := range w.invites {
		text = strings.ReplaceAll(text, fmt.Sprintf("{invite %d}", group), token)
	}
	return text
}

// worldOperation is an operation of the document, as it is written there.
type worldOperation struct {
	method, path string
	raw          object
}

func (w *world) operations() map[string]*worldOperation {
	found := map[string]*worldOperation{}
	for path, operations := range w.api.raw["paths"].(object) {
		for method, op := range operations.(object) {
			found[op.(object)["operationId"].(string)] = &worldOperation{strings.ToUpper(method), path, op.(object)}
		}
	}
	return found
}

// save keeps everything that there is now, for restore.
func (w *world) save() {
	w.t.Helper()
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid`
	if w.engine == frontdoor.Postgres {
		list = `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid`
	}
	rows, err := w.db.QueryContext(w.t.Context(), list)
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(w.t, rows.Scan(&name))
		if !strings.HasPrefix(name, "goose") {
			w.tables = append(w.tables, name)
		}
	}
	require.NoError(w.t, rows.Err())
	require.NotEmpty(w.t, w.tables)
	for _, name := range w.tables {
		w.exec(fmt.Sprintf(`CREATE TEMPORARY TABLE saved_%[1]s AS SELECT * FROM %[1]s`, name))
	}
	w.changed = false
}

// restore takes everything back that was changed since save, but for the ids that
// were given.
func (w *world) restore() {
	w.t.Helper()
	if !w.changed {
		return
	}
	// What the server does by itself, behind the requests, may be in the way: then one
	// of the two is ended, and begins anew.
	err := w.tryRestore()
	for range 10 {
		if err == nil || !strings.Contains(err.Error(), "40P01") { // deadlock_detected
			break
		}
		err = w.tryRestore()
	}
	require.NoError(w.t, err)
	w.changed = false
}

func (w *world) tryRestore() error {
	tx, err := w.db.BeginTx(w.t.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after the commit, it does nothing
	var statements []string
	overriding := ""
	if w.engine == frontdoor.Postgres {
		// What the server does by itself begins with this table, mostly, and would
		// else wait for us while we wait for it.
		statements = append(statements, `LOCK TABLE search_state`)
		overriding = "OVERRIDING SYSTEM VALUE "
	}
	for _, table := range slices.Backward(w.tables) {
		statements = append(statements, `DELETE FROM `+table)
	}
	for _, table := range w.tables {
		statements = append(statements, fmt.Sprintf(`INSERT INTO %[1]s `+overriding+`SELECT * FROM saved_%[1]s`, table))
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(w.t.Context(), statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return tx.Commit()
}

// touched lists the tables that are not as they were at save, but for those that
// the server writes to by itself, or to note what it has refused.
func (w *world) touched() (names []string) {
	w.t.Helper()
	var compare []string
	for _, name := range w.tables {
		if !strings.HasPrefix(name, "search") && name != "audit_log" {
			compare = append(compare, fmt.Sprintf(`
				SELECT '%[1]s' WHERE EXISTS (SELECT * FROM %[1]s EXCEPT SELECT * FROM saved_%[1]s)
					OR (SELECT count(*) FROM %[1]s) <> (SELECT count(*) FROM saved_%[1]s)`, name))
		}
	}
	rows, err := w.db.QueryContext(w.t.Context(), strings.Join(compare, " UNION ALL "))
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(w.t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(w.t, rows.Err())
	return names
}
