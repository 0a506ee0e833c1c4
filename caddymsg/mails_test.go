package caddymsg_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
	"github.com/caddymsg/messaging/internal/smtptest"
)

// mailSite is a site that sends mails by a server, which it signs in to.
func mailSite(server *smtptest.Server, tls string) string {
	return lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4", "public_url https://chat.example.com",
		"smtp {\nhost "+server.Host+"\nport "+strconv.Itoa(server.Port)+"\ntls "+tls+"\nca "+server.CA+
			"\nusername chat\npassword {env.SMTP_PASSWORD}\nfrom \"The Chat <chat@example.com>\"\n}")
}

// queueMail has a mail wait in a database, beside the server.
func queueMail(t *testing.T, database, username string) {
	t.Helper()
	_, err := frontdoor.OpenDatabase(t, database).Exec(`
		INSERT INTO mails (kind, user_id, address, locale, data, created_at, due_at)
		SELECT 'password_changed', id, $1, '', '{"username":"of the queue"}', $2, $2 FROM users WHERE username = $3`,
		username+"@example.org", time.Now().UnixMicro(), username)
	require.NoError(t, err)
}

// What waits in the queue is sent by the server that the configuration names. It
// outlives a mail server that is down, and the server itself being killed meanwhile.
func TestMailQueue(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		secured := smtptest.Options{Username: "chat", Password: "opensesame"}
		first := smtptest.Start(t, secured)
		secured.TLS = true
		second := smtptest.Start(t, secured)
		opts := frontdoor.Options{
			Caddyfile: mailSite(first, "starttls"), Dir: t.TempDir(), Database: engine.NewDatabase(t),
			Env: []string{"SMTP_PASSWORD=opensesame"},
		}
		s := frontdoor.Start(t, opts)
		sum := func(s *frontdoor.Server, result string) float64 {
			return lifeMetrics(t, s).sum("messaging_mails_total", "result", result)
		}
		for _, name := range []string{"alice", "bob", "carol", "dave"} {
			frontdoor.SignUp(t, s.URL, name)
		}
		queueMail(t, opts.Database, "alice")
		got := first.Await(t, "alice@example.org")
		require.True(t, got.Encrypted)
		require.Equal(t, "chat", got.Username)
		require.Equal(t, `"The Chat" <chat@example.com>`, got.Header.Get("From"))
		require.Equal(t, "Your password at chat.example.com was changed", got.Subject)
		lifeEventually(t, "it is counted", func() bool { return sum(s, "sent") == 1 })
		require.Zero(t, sum(s, "delayed"))

		first.Stop()
		queueMail(t, opts.Database, "bob")
		lifeEventually(t, "it has been tried", func() bool { return sum(s, "delayed") > 0 })
		lifeEventually(t, "it waits", func() bool { return lifeMetrics(t, s).sum("messaging_mails_waiting") == 1 })
		config := frontdoor.NewClient(t, s.Admin).Get("/config/").Want(http.StatusOK)
		for _, shown := range []string{config.Text, s.Log()} {
			require.NotContains(t, shown, "opensesame")
		}
		require.NotContains(t, s.Log(), "@example.org")
		s.Kill()
		queueMail(t, opts.Database, "carol")
		first.Restart(t)
		s = frontdoor.Start(t, opts)
		first.Await(t, "bob@example.org")
		first.Await(t, "carol@example.org")
		lifeEventually(t, "none waits", func() bool { return sum(s, "sent") == 2 && lifeMetrics(t, s).sum("messaging_mails_waiting") == 0 })

		// Whoever reloads has another mail server used, also for what waits for the one
		// before.
		first.Hang(true)
		queueMail(t, opts.Database, "dave")
		first.AwaitHanging(t)
		lifeReload(t, s, mailSite(second, "tls"))
		second.Await(t, "dave@example.org")
		require.Len(t, first.Mails(), 3)
		require.Len(t, second.Mails(), 1)
	})
}

// Mail is of a database: if one of its sites is told how to send it, all are. A site
// that does not know its address sends mails without links, and says so.
func TestMailOfTwoSites(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, smtptest.Options{Plain: true})
	s := frontdoor.Start(t, frontdoor.Options{Caddyfile: lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4",
		fmt.Sprintf("smtp {\nhost %s\nport %d\ntls off\nfrom chat@mail.example.com\n}", server.Host, server.Port)) +
		lifeSite("{$PORT2}", "database {env.DATABASE}", "bcrypt_cost 4")})
	frontdoor.SignUp(t, s.URL2, "alice")
	queueMail(t, s.Database, "alice")
	got := server.Await(t, "alice@example.org")
	require.False(t, got.Encrypted)
	require.Equal(t, "Your password at mail.example.com was changed", got.Subject)
	require.Contains(t, s.Log(), "public_url is not set")
}
