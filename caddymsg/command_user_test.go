package caddymsg_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// userCommand runs caddy messaging user with a standard input.
func userCommand(t *testing.T, opts frontdoor.Options, stdin string, args ...string) (ok bool, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, err := frontdoor.Command(ctx, opts, append([]string{"messaging", "user"}, args...)...)
	require.NoError(t, err)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err = cmd.Run()
	require.NoError(t, ctx.Err(), "it runs on")
	require.NotContains(t, errs.String(), "DATA RACE")
	require.NotContains(t, out.String()+errs.String(), "pa55", "a password")
	return err == nil, out.String(), errs.String()
}

// Beside the running server, on either engine: the first administrator, a lost
// password, and who there is.
func TestUserCommand(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: `
http://127.0.0.1:{$PORT} {
	messaging {
		database {env.DATABASE}
		registration closed
	}
}
`})
		opts := frontdoor.Options{Dir: s.Dir, Database: s.Database}
		client := func() *frontdoor.Client { return frontdoor.NewClient(t, s.URL) }
		run := func(stdin string, args ...string) (bool, string, string) {
			t.Helper()
			args = append(args, "--database", "{env.DATABASE}")
			if args[0] != "list" {
				args = append(args, "--bcrypt-cost", "4")
			}
			return userCommand(t, opts, stdin, args...)
		}
		client().Get("/v1/me").Want(401) // it has started

		ok, out, errs := run("first pa55\nand more\n", "create", "--username", "Root", "--admin")
		require.True(t, ok, errs)
		require.Equal(t, "Made the administrator's account Root, with the id 1.\n", out)
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte("second pa55\r\n"), 0o600))
		ok, out, errs = run("", "create", "--username", "bob", "--password-file", file)
		require.True(t, ok, errs)
		require.Equal(t, "Made the account bob, with the id 2.\n", out)

		root, bob := client(), client()
		root.Post("/v1/auth/login", credentials(t, "root", "first pa55")).Want(200)
		bob.Post("/v1/auth/login", credentials(t, "bob", "second pa55")).Want(200)
		root.Get("/v1/admin/users").Want(200)
		bob.Get("/v1/admin/users").Want(403)

		ok, out, errs = run("third pa55", "password", "--username", "BOB")
		require.True(t, ok, errs)
		require.Equal(t, "bob has another password, and is signed out everywhere.\n", out)
		bob.Get("/v1/me").Want(401)
		bob.Post("/v1/auth/login", credentials(t, "bob", "second pa55")).Want(400)
		bob.Post("/v1/auth/login", credentials(t, "bob", "third pa55")).Want(200)

		root.Do("PATCH", "/v1/admin/users/2", `{"deactivated":true}`).Want(200)
		ok, out, errs = run("", "list")
		require.True(t, ok, errs)
		require.Regexp(t, `(?m)\AID +USERNAME +SINCE *\n1 +Root +\d{4}-\d\d-\d\d +administrator\n2 +bob +\d{4}-\d\d-\d\d +deactivated\n\z`, out)

		audited := decode[[]auditAnswer](root.Get("/v1/admin/audit_log?to=2126-01-01T00:00:00Z&limit=500"))
		var told []string
		for _, e := range audited {
			if strings.HasPrefix(e.Action, "admin.") && e.Detail == "command" {
				require.Zero(t, e.ActorID)
				require.Empty(t, e.Address)
				told = append(told, e.Action)
			}
		}
		require.Equal(t, []string{"admin.password_reset", "admin.user_created", "admin.granted", "admin.user_created"}, told)

		for name, c := range map[string]struct {
			stdin string
			args  []string
			want  string
		}{
			"taken":                   {"long pa55", []string{"create", "--username", "BOB"}, "taken"},
			"taken, for an admin":     {"long pa55", []string{"create", "--username", "bob", "--admin"}, "admin bob"},
			"too short":               {"pa55", []string{"create", "--username", "eve"}, "at least 8"},
			"too long":                {strings.Repeat("pa55", 5000), []string{"create", "--username", "eve"}, "at most 72"},
			"too common":              {"trustno1", []string{"create", "--username", "eve"}, "guessed first"},
			"the name":                {"eve-or-adam", []string{"create", "--username", "eve-or-adam"}, "is the username"},
			"no password":             {"", []string{"create", "--username", "eve"}, "required"},
			"no such password file":   {"", []string{"create", "--username", "eve", "--password-file", file + "x"}, "--password-file"},
			"no username":             {"long pa55", []string{"create"}, "username"},
			"no possible username":    {"long pa55", []string{"create", "--username", "a b"}, "username"},
			"password of nobody":      {"long pa55", []string{"password", "--username", "nobody"}, "no such user"},
			"password that is no one": {"pa55", []string{"password", "--username", "bob"}, "at least 8"},
			"an argument":             {"long pa55", []string{"create", "--username", "eve", "eve"}, "eve"},
			"cost":                    {"long pa55", []string{"create", "--username", "eve", "--bcrypt-cost", "40"}, "--bcrypt-cost"},
		} {
			t.Run(name, func(t *testing.T) {
				args := slices.Concat(c.args[:1], []string{"--database", "{env.DATABASE}", "--bcrypt-cost", "4"}, c.args[1:])
				ok, out, errs := userCommand(t, opts, c.stdin, args...)
				require.False(t, ok)
				require.Contains(t, errs, c.want)
				require.NotContains(t, out, "Made")
			})
		}
		require.Len(t, decode[[]accountAnswer](root.Get("/v1/admin/users")), 2)
	})
}

func TestUserCommandDatabases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := frontdoor.Options{Dir: dir}
	missing := filepath.Join(dir, "missing.db")
	for name, c := range map[string]struct{ database, want string }{
		"a file that there is not":      {missing, "there is no such file"},
		"the default, if there is none": {"", "there is no such file"},
		"an unknown variable":           {"{env.NO_SUCH_DATABASE}", "--database"},
		"another engine":                {"mysql://ada:pa55@localhost/db", "there is no engine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"create", "--username", "alice"}
			if c.database != "" {
				args = append(args, "--database", c.database)
			}
			ok, _, errs := userCommand(t, opts, "long pa55", args...)
			require.False(t, ok)
			require.Contains(t, errs, c.want)
			require.NoFileExists(t, missing)
		})
	}
	for _, args := range [][]string{nil, {"--help"}} {
		ok, out, errs := userCommand(t, opts, "", args...)
		require.True(t, ok, errs)
		for _, part := range []string{"create ", "password ", "list "} {
			require.Contains(t, out, part)
		}
	}
	ok, _, errs := userCommand(t, opts, "", "delete")
	require.False(t, ok)
	require.Contains(t, errs, "delete")
}
