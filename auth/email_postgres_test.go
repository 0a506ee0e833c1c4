package auth

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/pgtest"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// newPostgresOffice is a post office where several write at a time, and its database.
func newPostgresOffice(tb testing.TB) (*postOffice, *pgx.Conn) {
	tb.Helper()
	database := pgtest.NewDatabase(tb)
	p := newPostOffice(openSite(tb, store.Options{Database: database, QueueLength: 4, Writers: 4}))
	db, err := pgx.Connect(context.Background(), database)
	require.NoError(tb, err)
	tb.Cleanup(func() { db.Close(context.Background()) })
	return p, db
}

// failOnce has the next mail that is queued fail as if there was a deadlock.
func failOnce(tb testing.TB, db *pgx.Conn) {
	tb.Helper()
	_, err := db.Exec(context.Background(), `
		CREATE SEQUENCE tries;
		CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('tries') = 1 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER fail_once BEFORE INSERT ON mails FOR EACH ROW EXECUTE FUNCTION fail_once();`)
	require.NoError(tb, err)
}

// An Update that is run again is about the same account.
func TestEmailAfterADeadlock(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, p *postOffice, db *pgx.Conn, caller chat.Caller){
		"change": func(t *testing.T, p *postOffice, db *pgx.Conn, caller chat.Caller) {
			failOnce(t, db) // of the mail to the old address
			_, err := p.ChangeEmail(t.Context(), caller, "", "open sesame")
			require.NoError(t, err, "the password is right")
		},
		"verify": func(t *testing.T, p *postOffice, db *pgx.Conn, caller chat.Caller) {
			_, err := p.ChangeEmail(t.Context(), caller, "new@example.com", "open sesame")
			require.NoError(t, err)
			token := p.one(t).token(t)
			failOnce(t, db)
			_, err = p.VerifyEmail(t.Context(), token, "")
			require.NoError(t, err, "the token is good")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, db := newPostgresOffice(t)
			alice := p.register(t, "alice", "open sesame")
			p.give(t, alice, "alice@example.com")
			change(t, p, db, p.caller(t, p.login(t, "alice", "open sesame", nil).Token))
			require.NotEqual(t, "alice@example.com", p.user(t, alice.ID).Email)
			require.Equal(t, "alice@example.com", p.one(t).to)
		})
	}
}

// A token that is being made while the password changes ends with it, and neither
// keeps the other from going on.
func TestTokenMadeWhileThePasswordChanges(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(t *testing.T, p *postOffice){
		"the first":       func(*testing.T, *postOffice) {},
		"another is good": func(t *testing.T, p *postOffice) { p.forget(t, "alice@example.com") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, db := newPostgresOffice(t)
			p.give(t, p.register(t, "alice", "open sesame"), "alice@example.com")
			caller := p.caller(t, p.login(t, "alice", "open sesame", nil).Token)
			before(t, p)
			require.NoError(t, p.ForgotPassword(t.Context(), "alice@example.com"))
			_, err := p.mailing.claim(t.Context(), time.Now()) // by which the mail waits
			require.NoError(t, err)

			// As Mailing does it.
			claimed, goOn, sent := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			var ticket mail.Ticket
			claims := 0
			go func() {
				sent <- p.store.Update(context.Background(), func(tx *store.Tx) error {
					now := time.Now()
					q, err := tx.ClaimMail(now, now.Add(time.Minute))
					if err != nil {
						return err
					}
					if claims++; claims == 1 {
						close(claimed)
						<-goOn
					}
					ticket, err = newTicket(tx, q, now)
					return err
				})
			}()
			select {
			case <-claimed:
			case err := <-sent:
				require.NoError(t, err)
				require.FailNow(t, "nothing was claimed")
			}
			changed := make(chan error, 1)
			go func() { changed <- p.ChangePassword(context.Background(), caller, "open sesame", "another password") }()
			require.Eventually(t, func() (waits bool) {
				require.NoError(t, db.QueryRow(t.Context(), `
					SELECT EXISTS (SELECT FROM pg_stat_activity
						WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waits))
				return waits
			}, time.Minute, time.Millisecond, "it waits for the mail")
			_, err = db.Exec(t.Context(), `SELECT FROM one_time_tokens FOR UPDATE NOWAIT`)
			close(goOn)
			require.NoError(t, err, "and has locked no token, for which the mail would wait")
			require.NoError(t, <-sent)
			require.NoError(t, <-changed)
			require.Equal(t, 1, claims)
			requireRefusal(t, badToken, p.reset(t.Context(), ticket.Token, "a third password"))
		})
	}
}
