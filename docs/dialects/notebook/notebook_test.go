package notebook_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/docs/dialects/notebook"
	"github.com/caddymsg/messaging/store"
)

// What the page shows is what is compiled and tested here.
func TestPageShowsNotebook(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../dialects.md")
	require.NoError(t, err)
	code, err := os.ReadFile("notebook.go")
	require.NoError(t, err)
	_, code2, found := strings.Cut(string(code), ")\n\n") // behind the imports
	require.True(t, found)
	require.Contains(t, string(page), "```go\n"+code2+"```\n")
}

// It does what it says.
func TestNotebook(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{Database: filepath.Join(t.TempDir(), "notes.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	log := slog.New(slog.DiscardHandler)
	rules := chat.New(db, log)
	options := auth.Options{PasswordMinLength: 8, Registration: auth.RegistrationOpen}
	notebook.Dialect().Accounts(&options)
	accounts := auth.New(db, rules, auth.NewHasher(auth.NewHashQueue(), bcrypt.MinCost), options, log)
	for _, name := range []string{"alice", "bob"} {
		_, _, err = accounts.Register(t.Context(), auth.Registration{Username: name, Password: "open sesame"})
		require.NoError(t, err)
	}
	api, err := notebook.Dialect().Open(dialect.Options{Chat: rules, Auth: accounts, Log: log})
	require.NoError(t, err)

	token := ""
	ask := func(method, path, body string, status int, want string) (answer string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		text, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		require.Equal(t, status, w.Code, "%s", text)
		require.Regexp(t, want, string(text))
		return string(text)
	}
	signIn := func(name string) {
		t.Helper()
		_, rest, _ := strings.Cut(ask("POST", "/notes/login", `{"name":"`+name+`","password":"open sesame"}`, 200, `^{"token":"`), `token":"`)
		token, _, _ = strings.Cut(rest, `"`)
	}

	ask("GET", "/notes", "", 401, `^{"error":"`)
	ask("POST", "/notes/login", `{"name":"alice","password":"wrong"}`, 401, `^{"error":"`)
	signIn("alice")
	ask("GET", "/notes", "", 200, `^\[\]\n$`)
	ask("POST", "/notes", `{"text":"milk & bread"}`, 201, `^{"id":1,"text":"milk & bread","day":"\d{4}-\d\d-\d\d"}\n$`)
	ask("POST", "/notes", `{}`, 400, `^{"error":"`)
	ask("POST", "/notes", `{"text":""}`, 400, `^{"error":"`)
	ask("GET", "/notes", "", 200, `^\[{"id":1,"text":"milk & bread","day":"[-\d]+"}\]\n$`)
	// What is no note is not shown, and of others nothing is.
	bob, err := rules.User(t.Context(), "bob")
	require.NoError(t, err)
	_, err = rules.Send(t.Context(), chat.Caller{UserID: bob.ID, Username: "bob"}, chat.Draft{To: "alice", Text: "no note"})
	require.NoError(t, err)
	ask("GET", "/notes", "", 200, `^\[{"id":1,[^{]*}\]\n$`)
	signIn("bob")
	ask("GET", "/notes", "", 200, `^\[\]\n$`)
	ask("DELETE", "/notes/1", "", 404, `^{"error":"`)
	ask("DELETE", "/notes/2", "", 404, `^{"error":"`) // his own message, and no note
	signIn("alice")
	ask("DELETE", "/notes/1", "", 204, `^$`)
	ask("GET", "/notes", "", 200, `^\[\]\n$`)
	ask("PUT", "/notes", "", 405, `^{"error":"`)
	ask("GET", "/notes/", "", 404, `^{"error":"`)
	require.True(t, notebook.Dialect().Owns("/notes/login"))
	require.False(t, notebook.Dialect().Owns("/notesbook"))
	require.Equal(t, http.StatusTeapot, notebook.Dialect().Tell(dialect.Refusal{Status: http.StatusTeapot}).Status)
}
