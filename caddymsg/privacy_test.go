package caddymsg_test

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// A site behind a proxy, which says where clients come from.
const proxiedCaddyfile = `
{
	servers {
		trusted_proxies static 127.0.0.1/32
	}
}
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		bcrypt_cost 4
	}
}
`

// headed adds a header to each request.
type headed struct {
	http.RoundTripper
	header http.Header
}

func (h headed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	maps.Copy(r.Header, h.header)
	return h.RoundTripper.RoundTrip(r)
}

// comingFrom makes a client that comes from an address, with a program of a name.
func comingFrom(t *testing.T, s *frontdoor.Server, address, program string) *frontdoor.Client {
	t.Helper()
	c := frontdoor.NewClient(t, s.URL)
	c.HTTP.Transport = headed{c.HTTP.Transport, http.Header{"X-Forwarded-For": {address}, "User-Agent": {program}}}
	return c
}

// identifies is in all that tells who somebody is, and in nothing else.
const identifies = "xqz"

// dump is all that a database holds: the values of each row as text, by the table. What
// is not text is there as it is, and in hex.
func dump(t *testing.T, db *sql.DB, engine frontdoor.Engine) map[string][]map[string]string {
	t.Helper()
	all := map[string][]map[string]string{}
	for _, table := range tablesOf(t, db, engine) {
		all[table] = rowsOf(t, db, table)
	}
	return all
}

func rowsOf(t *testing.T, db *sql.DB, table string) []map[string]string {
	t.Helper()
	rows, err := db.Query(`SELECT * FROM "` + table + `"`)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	all := []map[string]string{}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		row := map[string]string{}
		for i, value := range values {
			row[columns[i]] = fmt.Sprint(value)
			if b, ok := value.([]byte); ok {
				row[columns[i]] = string(b) + " " + hex.EncodeToString(b)
			}
		}
		all = append(all, row)
	}
	require.NoError(t, rows.Err())
	return all
}

func tablesOf(t *testing.T, db *sql.DB, engine frontdoor.Engine) (tables []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_schema WHERE type = 'table'`
	if engine == frontdoor.Postgres {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	rows, err := db.Query(query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	return tables
}

// found are the values of a dump that have a text in them, in upper or lower case.
func found(all map[string][]map[string]string, text string) (places []string) {
	for table, rows := range all {
		for _, row := range rows {
			for column, value := range row {
				if strings.Contains(strings.ToLower(value), strings.ToLower(text)) {
					places = append(places, fmt.Sprintf("%s.%s: %s", table, column, value))
				}
			}
		}
	}
	slices.Sort(places)
	return places
}

// person is what tells who somebody is.
type person struct {
	t       *testing.T
	s       *frontdoor.Server
	db      *sql.DB
	engine  frontdoor.Engine
	id      int64
	client  *frontdoor.Client
	address string
}

// newPerson makes an account, and does with it all that leaves a trace of who it is.
func newPerson(t *testing.T, s *frontdoor.Server, db *sql.DB, engine frontdoor.Engine, number int) *person {
	t.Helper()
	named := func(what string) string { return fmt.Sprintf("%s-%s-%d", identifies, what, number) }
	p := &person{t: t, s: s, db: db, engine: engine, address: fmt.Sprintf("2001:db8:beef::%d", number)}
	c := comingFrom(t, s, p.address, "Browser/"+named("agent"))
	p.client = c
	first, second := named("First"), named("Second")
	password := "open sesame"
	c.Post("/v1/auth/register", credentials(t, first, password)).Want(200)
	c.Post("/v1/auth/login", credentials(t, first, password+"!")).Want(400) // noted
	c.Post("/v1/auth/login", credentials(t, first, password)).Want(200)
	p.id = decode[userAnswer](c.Get("/v1/me")).ID

	// The names and the address that they had before, and those of now.
	bob, root := frontdoor.NewClient(t, s.URL), comingFrom(t, s, "192.0.2.99", "an admin's")
	bob.Post("/v1/auth/login", credentials(t, "bob", password)).Want(200)
	root.Post("/v1/auth/login", credentials(t, "root", password)).Want(200)
	group, left := newGroup(c), newGroup(bob)
	add(t, c, group, "bob")
	add(t, bob, left, first)
	change := func(fields map[string]string) { c.Do("PATCH", "/v1/me", frontdoor.JSON(t, fields)).Want(200) }
	change(map[string]string{
		"display_name": named("earlier name"), "email": named("earlier") + "@mail.example", "current_password": password, "about": named("earlier about"), "locale": "en-x-" + identifies,
	})
	change(map[string]string{
		"username": second, "display_name": named("name"), "email": named("now") + "@mail.example", "current_password": password, "about": named("about"),
	})
	root.Do("PATCH", fmt.Sprintf("/v1/admin/users/%d", p.id), frontdoor.JSON(t, map[string]string{"about": named("about as an admin has it")})).Want(200)

	// What one does in chats.
	message := func(r *frontdoor.Response) int64 { return decode[struct{ ID int64 }](r.Want(200)).ID }
	sent := message(c.Post("/v1/messages", frontdoor.JSON(t, map[string]any{
		"group_chat_id": group, "message": "this text stays", "client_id": named("key"),
	})))
	c.Do("PATCH", fmt.Sprintf("/v1/messages/%d", sent), `{"text":"this text stays, too"}`).Want(200)
	poll := message(c.Post("/v1/messages", fmt.Sprintf(`{"group_chat_id":%d,"message":"Lunch?","poll":{"options":["Pizza","Pasta"]}}`, group)))
	c.Do("PUT", fmt.Sprintf("/v1/messages/%d/poll/votes", poll), `{"options":[0]}`).Want(200)
	send(t, c, left, "in a group that is left")
	send(t, c, "bob", "to bob")
	theirs := send(t, bob, group, "of bob")
	c.Do("PUT", fmt.Sprintf("/v1/messages/%d/reactions/like", theirs.ID), "").Want(200)
	c.Delete(fmt.Sprintf("/v1/messages/%d?for=me", sent)).Want(200)
	c.Do("PATCH", fmt.Sprintf("/v1/chats/%d", group), `{"archived":true}`).Want(200)
	c.Post(groupPath(group, "/invites"), "").Want(200)
	c.Do("POST", "/v1/group_chat", `{"title":"once"}`, "Idempotency-Key", named("key of a group")).Want(200)
	c.Do("PUT", "/v1/blocks/bob", "").Want(200)
	c.Delete(groupPath(left, "/participants/"+second)).Want(200)
	c.Get("/v1/search?q=text").Want(200)
	events, err := c.Events(t.Context(), "")
	require.NoError(t, err)
	events.Close()

	// What other programs, and mails, leave.
	now := time.Now().UnixMicro()
	exec := func(query string, args ...any) {
		t.Helper()
		_, err := db.Exec(query, args...)
		require.NoError(t, err)
	}
	exec(`INSERT INTO sessions (kind, token_hash, user_id, name, user_agent, address, created_at, used_at, expires_at)
		VALUES ('key', $1, $2, $3, $4, $5, $6, $6, $6)`, []byte(named("hash")), p.id, named("key's name"), named("agent"), p.address, now)
	exec(`INSERT INTO known_places (user_id, place_hash, created_at, used_at) VALUES ($1, $2, $3, $3)`, p.id, []byte(named("place")), now)
	exec(`INSERT INTO one_time_tokens (token_hash, purpose, user_id, email, created_at, expires_at)
		VALUES ($1, 'reset_password', $2, $3, $4, $4)`, []byte(named("token")), p.id, named("mail")+"@mail.example", now)
	exec(`INSERT INTO mails (kind, user_id, address, locale, data, created_at, due_at)
		VALUES ('new_sign_in', $1, $2, 'en', $3, $4, $5)`, p.id, named("mail")+"@mail.example", `{"address":"`+named("place")+`"}`, now, now+int64(time.Hour/time.Microsecond))
	exec(`INSERT INTO invitations (token_hash, creator_id, note, created_at, max_uses) VALUES ($1, $2, $3, $4, 1)`, []byte(named("invitation")), p.id, named("note"), now)
	exec(`UPDATE users SET pending_email = $1 WHERE id = $2`, named("pending")+"@mail.example", p.id)
	for _, to := range []any{p.id, p.id + 1000, nil} {
		exec(`INSERT INTO audit_log (action, actor_id, user_id, address, detail, created_at) VALUES ('an.action', $1, $2, $3, $4, $5)`,
			p.id, to, p.address, named("detail"), now)
	}
	return p
}

// owned tells in which column a table has who something is of.
var owned = map[string]string{
	"answers": "user_id", "audit_log": "actor_id", "blocks": "blocker_id", "events": "actor_id", "hidden_messages": "user_id",
	"invitations": "creator_id", "invites": "creator_id", "known_places": "user_id", "mails": "user_id", "messages": "sender_id",
	"one_time_tokens": "user_id", "participants": "user_id", "past_participants": "user_id", "poll_votes": "user_id",
	"reactions": "user_id", "sessions": "user_id", "users": "id",
}

// notOwned are the tables that do not have whose something is.
var notOwned = []string{
	"chats", "event_log", "feed", "goose_db_version", "message_edits", "polls", "rate_limits", "registrations", "search_state",
	"search_terms", "sqlite_sequence",
}

func (p *person) requireTraces() {
	p.t.Helper()
	before := dump(p.t, p.db, p.engine)
	for table := range before {
		if slices.Contains(notOwned, table) || strings.HasPrefix(table, "sqlite_stat") {
			continue
		}
		column, known := owned[table]
		require.True(p.t, known, "there is a new table %s: have it filled here, and see that what identifies is erased from it", table)
		require.True(p.t, slices.ContainsFunc(before[table], func(row map[string]string) bool {
			return row[column] == fmt.Sprint(p.id)
		}), "nothing of theirs in %s: the test would show nothing", table)
	}
	for _, table := range []string{
		"users", "sessions", "known_places", "one_time_tokens", "mails", "invitations", "messages", "audit_log", "events", "search_terms",
	} {
		require.NotEmpty(p.t, found(map[string][]map[string]string{table: before[table]}, identifies), table)
	}
	for _, table := range []string{"sessions", "audit_log"} {
		require.NotEmpty(p.t, found(map[string][]map[string]string{table: before[table]}, p.address), table)
	}
}

// requireGone shows that nothing is left that tells who they were, but the facts.
func (p *person) requireGone() {
	p.t.Helper()
	after := dump(p.t, p.db, p.engine)
	require.Empty(p.t, found(after, identifies))
	require.Empty(p.t, found(after, p.address))
	of := func(table, column string) (rows int) {
		for _, row := range after[table] {
			if row[column] == fmt.Sprint(p.id) {
				rows++
			}
		}
		return rows
	}
	for table, column := range owned {
		switch table {
		case "answers", "blocks", "hidden_messages", "invitations", "known_places", "mails", "one_time_tokens", "past_participants", "sessions":
			require.Zero(p.t, of(table, column), table)
		default:
			require.Positive(p.t, of(table, column), table)
		}
	}
	require.Equal(p.t, 4, of("messages", "sender_id"), "texts are others', too")
	require.NotEmpty(p.t, found(after, "this text stays"))
	require.NotEmpty(p.t, found(map[string][]map[string]string{"audit_log": after["audit_log"]}, "192.0.2.99"),
		"the administrator's address is the administrator's")
}

// What identifies somebody is nowhere in the database once their account is deleted.
func TestErasure(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: proxiedCaddyfile})
		db := frontdoor.OpenDatabase(t, s.Database)
		frontdoor.SignUp(t, s.URL, "bob")
		root := frontdoor.SignUp(t, s.URL, "root")
		_, err := db.Exec(`UPDATE users SET admin = 1 WHERE username = 'root'`)
		require.NoError(t, err)

		t.Run("by themselves", func(t *testing.T) {
			p := newPerson(t, s, db, engine, 1)
			p.requireTraces()
			p.client.Delete("/v1/me").Want(200)
			p.requireGone()
		})
		t.Run("by an administrator", func(t *testing.T) {
			p := newPerson(t, s, db, engine, 2)
			p.requireTraces()
			root.Delete(fmt.Sprintf("/v1/admin/users/%d", p.id)).Want(200)
			p.requireGone()
		})
		// By a version that left more behind, or before a crash.
		t.Run("behind the requests", func(t *testing.T) {
			p := newPerson(t, s, db, engine, 3)
			p.client.Delete("/v1/me").Want(200)
			for _, statement := range []string{
				`INSERT INTO audit_log (action, actor_id, user_id, address, detail, created_at) VALUES ('an.action', $1, $1, '` + p.address + `', '', 0)`,
				`UPDATE users SET erasing = 1 WHERE id = $1`,
			} {
				_, err := db.Exec(statement, p.id)
				require.NoError(t, err)
			}
			send(t, root, "bob", "this wakes who does it")
			require.Eventually(t, func() bool {
				var erasing int
				require.NoError(t, db.QueryRow(`SELECT erasing FROM users WHERE id = $1`, p.id).Scan(&erasing))
				return erasing == 0
			}, time.Minute, 10*time.Millisecond)
			p.requireGone()
		})
	})
}

// exported is a file of an export, a list.
type exported []map[string]any

// with are the values that have a field of a value.
func (list exported) with(field string, value any) (some exported) {
	for _, v := range list {
		if v[field] == value {
			some = append(some, v)
		}
	}
	return some
}

// unpack reads an export.
func unpack(t *testing.T, r *frontdoor.Response) (account map[string]any, lists map[string]exported, readme string) {
	t.Helper()
	archive, err := zip.NewReader(strings.NewReader(r.Text), int64(len(r.Text)))
	require.NoError(t, err)
	lists = map[string]exported{}
	for _, file := range archive.File {
		in, err := file.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		switch name, isList := strings.CutSuffix(file.Name, ".json"); {
		case !isList:
			readme = string(content)
		case name == "account":
			require.NoError(t, json.Unmarshal(content, &account))
		case name == "hidden_messages":
			var ids []float64
			require.NoError(t, json.Unmarshal(content, &ids), name)
			lists[name] = exported{}
			for _, id := range ids {
				lists[name] = append(lists[name], map[string]any{"id": id})
			}
		default:
			var list exported
			require.NoError(t, json.Unmarshal(content, &list), name)
			require.NotNil(t, list, name)
			lists[name] = list
		}
	}
	return account, lists, readme
}

func TestExport(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: proxiedCaddyfile})
		db := frontdoor.OpenDatabase(t, s.Database)
		frontdoor.SignUp(t, s.URL, "bob")
		frontdoor.SignUp(t, s.URL, "root")
		dan := frontdoor.SignUp(t, s.URL, "dan")
		_, err := db.Exec(`UPDATE users SET admin = 1 WHERE username = 'root'`)
		require.NoError(t, err)
		p := newPerson(t, s, db, engine, 1)
		group := newGroup(dan)
		add(t, dan, group, identifies+"-second-1")
		mention := send(t, dan, group, "@"+identifies+"-second-1 this is dan's text")
		send(t, dan, group, "dan's text")

		t.Run("all that there is", func(t *testing.T) {
			r := p.client.Get("/v1/me/export").Want(200)
			require.Equal(t, "application/zip", r.Header.Get("Content-Type"))
			_, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
			require.NoError(t, err)
			require.Regexp(t, `^messages-xqz-Second-1-\d{4}-\d\d-\d\d\.zip$`, params["filename"])

			account, lists, readme := unpack(t, r)
			for name := range lists {
				require.Contains(t, readme, name+".json ")
			}
			require.Equal(t, "xqz-Second-1", account["username"])
			require.Equal(t, "xqz-now-1@mail.example", account["email"])
			require.Equal(t, "xqz-pending-1@mail.example", account["pending_email"])

			require.Len(t, lists["sessions"], 2)
			require.Len(t, lists["sessions"].with("address", p.address), 2)
			require.Len(t, lists["sessions"].with("user_agent", "Browser/xqz-agent-1"), 1)
			require.Len(t, lists["sessions"].with("name", "xqz-key's name-1"), 1)

			require.Len(t, lists["chats"].with("left", true), 1)
			require.Len(t, lists["chats"].with("with", "bob"), 1)
			mine := lists["chats"].with("kind", "group").with("left", nil)
			require.Len(t, mine, 3, mine)
			archived := slices.IndexFunc(mine, func(c map[string]any) bool { return c["mine"].(map[string]any)["archived"] == true })
			require.GreaterOrEqual(t, archived, 0)
			require.Len(t, mine[archived]["invites"], 1)
			require.Len(t, lists["participants"].with("username", "bob"), 2)
			require.Empty(t, lists["participants"].with("chat_id", lists["chats"].with("left", true)[0]["id"]))

			sent := lists["messages"]
			require.Len(t, sent, 4)
			edited := sent.with("text", "this text stays, too")
			require.Len(t, edited, 1)
			require.Equal(t, "this text stays", edited[0]["versions"].([]any)[0].(map[string]any)["text"])
			require.Len(t, sent.with("text", "in a group that is left"), 1)
			require.NotNil(t, sent.with("text", "Lunch?")[0]["poll"])
			require.Equal(t, []any{edited[0]["id"]}, []any{lists["hidden_messages"][0]["id"]})

			require.Len(t, lists["activity"], 3)
			require.Equal(t, "👍", lists["activity"].with("what", "reaction")[0]["emoji"])
			require.Equal(t, "Pizza", lists["activity"].with("what", "vote")[0]["choice"])
			require.EqualValues(t, mention.ID, lists["activity"].with("what", "mention")[0]["message_id"])

			require.Len(t, lists["invitations"].with("note", "xqz-note-1"), 1)
			require.Len(t, lists["blocks"].with("username", "bob"), 1)
			require.Len(t, lists["audit_log"].with("action", "user.sign_in_failed").with("address", p.address), 1)
			require.Len(t, lists["audit_log"].with("action", "user.signed_in").with("by_me", true), 1)
			byAdmin := lists["audit_log"].with("action", "admin.user_updated")
			require.Len(t, byAdmin, 1)
			require.Equal(t, false, byAdmin[0]["by_me"])

			for name, list := range lists {
				text := frontdoor.JSON(t, list)
				require.NotContains(t, text, "hash", "%s: no hashes", name)
				require.NotContains(t, text, "dan's text", "%s: that is dan's", name)
				require.NotContains(t, text, "of bob", "%s: that is bob's", name)
				require.NotContains(t, text, "192.0.2.99", "%s: that is the administrator's", name)
			}
		})
		t.Run("nothing but oneself", func(t *testing.T) {
			nobody := frontdoor.SignUp(t, s.URL, "newcomer")
			_, lists, _ := unpack(t, nobody.Get("/v1/me/export").Want(200))
			for name, list := range lists {
				switch name {
				case "sessions":
					require.Len(t, list, 1)
				case "audit_log":
					require.Len(t, list, 2)
				default:
					require.Empty(t, list, name)
				}
			}
		})
		t.Run("names of files", func(t *testing.T) {
			for username, want := range map[string]string{
				`a"b`: "a_b", `..c`: "__c", `Зоя`: "Зоя", `a;b*c`: "a_b_c", `a\b`: "a_b", "名前": "名前",
			} {
				c := frontdoor.SignUp(t, s.URL, username)
				r := c.Do("HEAD", "/v1/me/export", "").Want(200)
				_, params, err := mime.ParseMediaType(r.Header.Get("Content-Disposition"))
				require.NoError(t, err)
				require.Regexp(t, "^messages-"+want+`-\d{4}-\d\d-\d\d\.zip$`, params["filename"])
				require.Equal(t, "application/zip", r.Header.Get("Content-Type"))
				require.Empty(t, r.Header.Get("Ratelimit"), "it is no export")
			}
		})
		t.Run("too often", func(t *testing.T) {
			c := frontdoor.SignUp(t, s.URL, "curious")
			for range 5 {
				require.Contains(t, c.Get("/v1/me/export").Want(200).Header.Get("Ratelimit"), `"exports"`)
			}
			r := c.Get("/v1/me/export")
			requireAnswer(t, r, 429, "rate_limited", "")
			require.NotEmpty(t, r.Header.Get("Retry-After"))
		})
		t.Run("a client that leaves", func(t *testing.T) {
			writer := frontdoor.SignUp(t, s.URL, "writer")
			group, me := newGroup(writer), writer.Get("/v1/me").Want(200)
			// So much, and so hard to pack, that it is in no buffer.
			tx, err := db.Begin()
			require.NoError(t, err)
			for seq := range 3000 {
				random := make([]byte, 4500)
				rand.Read(random)
				_, err := tx.Exec(`INSERT INTO messages (chat_id, seq, sender_id, text, created_at) VALUES ($1, $2, $3, $4, 0)`,
					group, seq+1, decode[userAnswer](me).ID, base64.StdEncoding.EncodeToString(random))
				require.NoError(t, err)
			}
			require.NoError(t, tx.Commit())
			ctx, leave := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/me/export", http.NoBody)
			require.NoError(t, err)
			response, err := writer.HTTP.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			_, err = io.ReadFull(response.Body, make([]byte, 1024))
			require.NoError(t, err)
			open := func() float64 { return lifeMetrics(t, s).sum("messaging_open_connections") }
			require.Positive(t, open())
			leave()
			require.Eventually(t, func() bool { return open() == 0 }, time.Minute, 10*time.Millisecond, "it goes on")
			require.NotContains(t, s.Log(), "export broken off", "it is no failure")
			writer.Get("/v1/me/export").Want(200)
		})
	})
}
