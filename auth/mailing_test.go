package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/chat"
	"github.com/caddymsg/messaging/internal/smtptest"
	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// post is what sends the mails of a site, and what has become of them.
type post struct {
	*Mailing
	wake chan struct{}

	mu      sync.Mutex
	results []string
}

// onEachMailSite is onEachEngine for several who write at once.
func onEachMailSite(t *testing.T, test func(t *testing.T, s *site)) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, database string) { test(t, openSite(t, store.Options{Database: database})) })
}

func newPost(s *site, send func(ctx context.Context, to string, l mail.Letter) error) *post {
	p := &post{wake: make(chan struct{}, 1)}
	p.Mailing = NewMailing(s.store, MailingOptions{
		Send: send,
		Site: mail.Site{Name: "chat.example.com", URL: &url.URL{Scheme: "https", Host: "chat.example.com"}},
		Done: func(result string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.results = append(p.results, result)
		},
	}, slog.New(slog.NewTextHandler(&s.log, nil)))
	s.clock = time.Now()
	s.opts.WakeMailing = func() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return p
}

// run has it run until end is called, or the test has ended.
func (p *post) run(tb testing.TB) (end func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx, p.wake)
	}()
	end = func() {
		cancel()
		<-done
	}
	tb.Cleanup(end)
	return end
}

// became tells what has become of all attempts.
func (p *post) became() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.results...)
}

// awaitResults waits until so much has become of the attempts of some.
func awaitResults(tb testing.TB, count int, all ...*post) (results []string) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		results = nil
		for _, p := range all {
			results = append(results, p.became()...)
		}
		return len(results) >= count
	}, time.Minute, time.Millisecond)
	return results
}

// sender sends to a server.
func sender(tb testing.TB, s *smtptest.Server) func(context.Context, string, mail.Letter) error {
	tb.Helper()
	made, err := mail.NewSender(mail.SMTPOptions{Host: s.Host, Port: s.Port, CA: s.CA, From: "chat@example.com"})
	require.NoError(tb, err)
	return made.Send
}

// owner is a user who has an address.
func (s *site) owner(tb testing.TB, name string) chat.User {
	tb.Helper()
	u := store.User{Username: name, UsernameKey: name, Email: name + "@example.org", CreatedAt: s.clock}
	require.NoError(tb, s.store.Update(context.Background(), func(tx *store.Tx) error { return tx.CreateUser(&u) }))
	return u
}

// mailTo queues a mail to a user's address.
func (s *site) mailTo(tb testing.TB, u chat.User, kind mail.Kind) {
	tb.Helper()
	require.NoError(tb, s.updateAndMail(context.Background(), func(tx *store.Tx) error {
		return s.queueMail(tx, kind, mail.Facts{Username: u.Username, At: s.clock},
			store.Mail{UserID: u.ID, Address: u.Email, Locale: u.Locale})
	}))
}

// waiting is how many mails are in the queue, and when the next is due.
func (s *site) waiting(tb testing.TB) (count int, next time.Time) {
	tb.Helper()
	require.NoError(tb, s.store.View(context.Background(), func(tx *store.Tx) (err error) {
		count, next, err = tx.MailQueue()
		return err
	}))
	return count, next
}

func (s *site) requireNoneWaits(tb testing.TB) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		count, _ := s.waiting(tb)
		return count == 0
	}, time.Minute, time.Millisecond)
}

// use uses a one-time token, and tells whose it was.
func (s *site) use(tb testing.TB, token, purpose string, at time.Time) (t store.OneTimeToken, err error) {
	tb.Helper()
	err = s.store.Update(context.Background(), func(tx *store.Tx) (err error) {
		t, err = tx.UseOneTimeToken(hashToken([]byte(token)), purpose, at)
		return err
	})
	return t, err
}

func TestMailing(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		p := newPost(s, sender(t, server))
		ada := s.owner(t, "ada")
		p.run(t)
		s.mailTo(t, ada, mail.ResetPassword)

		got := server.Await(t, "ada@example.org")
		require.Equal(t, "Reset your password at chat.example.com", got.Subject)
		token := got.Token(t)
		require.True(t, wellFormed(token, resetPrefix, randomLength))
		require.Contains(t, got.Text, "\nhttps://chat.example.com/v1/auth/reset-password#"+token+"\n")
		s.requireNoneWaits(t)
		require.Equal(t, []string{MailSent}, awaitResults(t, 1, p))

		// It is for that alone, for half an hour, once.
		_, err := s.use(t, token, store.ForVerification, time.Now())
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.use(t, token, store.ForPasswordReset, time.Now().Add(resetLifetime))
		require.ErrorIs(t, err, store.ErrNotFound)
		used, err := s.use(t, token, store.ForPasswordReset, time.Now().Add(resetLifetime-time.Minute))
		require.NoError(t, err)
		require.Equal(t, ada.ID, used.UserID)
		require.Equal(t, "ada@example.org", used.Email)
		_, err = s.use(t, token, store.ForPasswordReset, time.Now())
		require.ErrorIs(t, err, store.ErrNotFound)

		// A notice brings no token.
		s.mailTo(t, ada, mail.PasswordChanged)
		got = server.Await(t, "ada@example.org")
		require.Equal(t, "Your password at chat.example.com was changed", got.Subject)
		require.NotContains(t, got.Text, "cmsg_")

		require.NotContains(t, s.log.String(), "@example.org")
		require.NotContains(t, s.log.String(), token)
	})
}

// What waits while the mail server is down is sent when it is back, all of it, once.
func TestMailServerDown(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		p := newPost(s, sender(t, server))
		server.Stop()
		p.run(t)
		var people []chat.User
		for i := range 12 {
			people = append(people, s.owner(t, fmt.Sprint("user", i)))
			s.mailTo(t, people[i], mail.NewSignIn)
		}
		awaitResults(t, 1, p)
		count, _ := s.waiting(t)
		require.Equal(t, len(people), count)

		server.Restart(t)
		for _, u := range people {
			server.Await(t, u.Email)
		}
		s.requireNoneWaits(t)
		require.Len(t, server.Mails(), len(people))
	})
}

// A server that is cut off while it sends a mail leaves it to others, when its lease
// has passed. Only the token that was sent last is good.
func TestMailLease(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		p := newPost(s, sender(t, server))
		ada := s.owner(t, "ada")
		s.mailTo(t, ada, mail.ResetPassword)

		p.lease = time.Hour
		cut, err := p.claim(t.Context(), time.Now()) // and then it is cut off
		require.NoError(t, err)
		_, err = p.claim(t.Context(), time.Now())
		require.ErrorIs(t, err, store.ErrNotFound, "it is another's")
		p.hasten(t.Context())
		_, err = p.claim(t.Context(), time.Now())
		require.ErrorIs(t, err, store.ErrNotFound, "it is another's, also when all are hastened")

		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
			return tx.PostponeMail(cut.mail, time.Now()) // the hour has passed
		}))
		p.run(t)
		token := server.Await(t, "ada@example.org").Token(t)
		s.requireNoneWaits(t)
		require.NotEqual(t, cut.ticket.Token, token)
		_, err = s.use(t, cut.ticket.Token, store.ForPasswordReset, time.Now())
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.use(t, token, store.ForPasswordReset, time.Now())
		require.NoError(t, err)
	})
}

// An attempt that took longer than its lease changes nothing about the next one,
// unless it was the one that sent the mail.
func TestLateAttempt(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		p := newPost(s, nil)
		s.mailTo(t, s.owner(t, "ada"), mail.ResetPassword)
		p.lease = 0
		late, err := p.claim(t.Context(), time.Now())
		require.NoError(t, err)
		p.lease = time.Hour
		now, err := p.claim(t.Context(), time.Now())
		require.NoError(t, err)
		require.Equal(t, late.mail.ID, now.mail.ID)
		require.Equal(t, 2, now.mail.Attempts)

		require.NoError(t, p.note(t.Context(), late.mail, errors.New("it failed")))
		_, next := s.waiting(t)
		require.WithinDuration(t, time.Now().Add(time.Hour), next, time.Minute, "the lease goes on")
		require.NoError(t, p.note(t.Context(), late.mail, nil))
		s.requireNoneWaits(t)
		require.NoError(t, p.note(t.Context(), now.mail, nil))
	})
}

// Several who send the mails of one database send each once.
func TestMailingTogether(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		p := newPost(s, sender(t, server))
		var people []chat.User
		for i := range 60 {
			people = append(people, s.owner(t, fmt.Sprint("user", i)))
			s.mailTo(t, people[i], mail.ResetPassword)
		}
		all := []*post{p, newPost(s, sender(t, server)), newPost(s, sender(t, server))}
		for _, p := range all {
			p.run(t)
		}
		s.requireNoneWaits(t)
		for _, u := range people {
			token := server.Await(t, u.Email).Token(t)
			_, err := s.use(t, token, store.ForPasswordReset, time.Now())
			require.NoError(t, err)
		}
		require.Len(t, server.Mails(), len(people))
		require.Len(t, awaitResults(t, len(people), all...), len(people))
	})
}

// An address that takes no mail is not tried again, and keeps no other from getting
// theirs.
func TestRefusedAddress(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		server.Refuse(func(to string) error {
			if strings.HasPrefix(to, "gone") {
				return smtptest.Answer(550, "5.1.1")
			}
			return nil
		})
		p := newPost(s, sender(t, server))
		s.mailTo(t, s.owner(t, "gone"), mail.NewSignIn)
		p.run(t)
		s.mailTo(t, s.owner(t, "ada"), mail.NewSignIn)
		server.Await(t, "ada@example.org")
		s.requireNoneWaits(t)
		require.ElementsMatch(t, []string{MailRefused, MailSent}, awaitResults(t, 2, p))
		require.Contains(t, s.log.String(), `msg="mail not sent: it is refused for good"`)
		require.Contains(t, s.log.String(), "550 5.1.1")
		require.NotContains(t, s.log.String(), "@example.org")
	})
}

// Whoever is told to end while a mail server hangs does so, and leaves the mail to the
// next, who begins with it.
func TestMailingEnds(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		server := smtptest.Start(t, smtptest.Options{})
		server.Hang(true)
		p := newPost(s, sender(t, server))
		s.mailTo(t, s.owner(t, "ada"), mail.NewSignIn)
		end := p.run(t)
		server.AwaitHanging(t)
		end()
		count, next := s.waiting(t)
		require.Equal(t, 1, count)
		require.False(t, next.After(time.Now()), "it is due at once")

		server.Hang(false)
		newPost(s, sender(t, server)).run(t)
		server.Await(t, "ada@example.org")
		s.requireNoneWaits(t)
	})
}

// A mail is not sent when what it is about has passed.
func TestNeedlessMail(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		other, none := "other@example.org", ""
		now := time.Now()
		for i, test := range []struct {
			name   string
			kind   mail.Kind
			change func(tx *store.Tx, id int64) error
			needed bool
		}{
			{"a reset", mail.ResetPassword, nil, true},
			{"a reset, of one who has another address", mail.ResetPassword, func(tx *store.Tx, id int64) error {
				_, err := tx.UpdateUser(id, store.UserChange{Email: &other})
				return err
			}, false},
			{"a reset, of one who is deactivated", mail.ResetPassword, func(tx *store.Tx, id int64) error {
				_, err := tx.UpdateUser(id, store.UserChange{DeactivatedAt: &now})
				return err
			}, false},
			{"a reset, of one who is gone", mail.ResetPassword, func(tx *store.Tx, id int64) error {
				return tx.EraseUser(id, fmt.Sprint("gone", id), fmt.Sprint("gone", id), now)
			}, false},
			{"a verification", mail.VerifyEmail, nil, true},
			{"a verification, of one who has no address", mail.VerifyEmail, func(tx *store.Tx, id int64) error {
				_, err := tx.UpdateUser(id, store.UserChange{Email: &none})
				return err
			}, false},
			{"a notice", mail.PasswordChanged, nil, true},
			{"a notice to the address before", mail.EmailChanged, func(tx *store.Tx, id int64) error {
				_, err := tx.UpdateUser(id, store.UserChange{Email: &other})
				return err
			}, true},
			{"a notice, of one who is gone", mail.NewSignIn, func(tx *store.Tx, id int64) error {
				return tx.EraseUser(id, fmt.Sprint("gone", id), fmt.Sprint("gone", id), now)
			}, false},
		} {
			sent := 0
			p := newPost(s, func(context.Context, string, mail.Letter) error {
				sent++
				return nil
			})
			u := s.owner(t, fmt.Sprint("user", i))
			s.mailTo(t, u, test.kind)
			if test.change != nil {
				require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error { return test.change(tx, u.ID) }))
			}
			_, err := p.attempt(t.Context(), time.Now())
			require.NoError(t, err)
			if test.needed {
				require.Equal(t, 1, sent, test.name)
				require.Equal(t, []string{MailSent}, p.became(), test.name)
			} else {
				require.Zero(t, sent, test.name)
				require.Equal(t, []string{MailNeedless}, p.became(), test.name)
			}
			s.requireNoneWaits(t)
		}
	})
}

// Only the last of several mails with a token is sent, but each notice.
func TestQueuedAgain(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		newPost(s, nil)
		ada, bob := s.owner(t, "ada"), s.owner(t, "bob")
		for range 3 {
			s.mailTo(t, ada, mail.ResetPassword)
			s.mailTo(t, ada, mail.PasswordChanged)
		}
		s.mailTo(t, ada, mail.VerifyEmail)
		s.mailTo(t, bob, mail.ResetPassword)
		count, _ := s.waiting(t)
		require.Equal(t, 1+3+1+1, count)
	})
}

func TestNoMail(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		require.False(t, s.SendsMail())
		s.mailTo(t, s.owner(t, "ada"), mail.NewSignIn)
		count, _ := s.waiting(t)
		require.Zero(t, count)
	})
}

// attempts has a site's mail to ada be sent by send for some days, and tells when it
// was tried.
func attempts(t *testing.T, took time.Duration, send func(attempt int) error) (at []time.Duration, p *post, s *site) {
	t.Helper()
	s = openSite(t, store.Options{Database: filepath.Join(t.TempDir(), "messaging.db")})
	var mu sync.Mutex
	var begun time.Time
	p = newPost(s, func(context.Context, string, mail.Letter) error {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Since(begun))
		return send(len(at))
	})
	s.mailTo(t, s.owner(t, "ada"), mail.NewSignIn)
	begun = time.Now()
	end := p.run(t)
	time.Sleep(took)
	end()
	return at, p, s
}

// A mail that the mail server does not take is tried again later and later, for three
// days.
func TestMailBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at, p, s := attempts(t, 75*time.Hour, func(int) error { return errors.New("450 not now") })
		var want []time.Duration
		for next, wait := time.Duration(0), time.Minute; ; wait = min(2*wait, time.Hour) {
			want = append(want, next)
			if next >= 72*time.Hour {
				break
			}
			next += wait
		}
		require.Len(t, at, len(want))
		for i := range want {
			require.InDelta(t, want[i], at[i], float64(2*time.Second), "attempt %d", i+1)
		}
		require.Equal(t, MailGivenUp, p.became()[len(want)-1])
		require.Equal(t, MailDelayed, p.became()[len(want)-2])
		require.Contains(t, s.log.String(), `level=ERROR msg="mail not sent: given up"`)
		s.requireNoneWaits(t)
	})
}

// Where the mail server is out of reach it is tried every minute: so the mail is sent
// soon after it is back, however long it was away.
func TestMailRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at, p, s := attempts(t, 5*time.Hour, func(attempt int) error {
			if attempt <= 200 {
				return fmt.Errorf("%w: connection refused", mail.ErrUnavailable)
			}
			return nil
		})
		require.Len(t, at, 201)
		for i, want := range []int{0, 1, 2, 4, 8, 16, 32, 60, 60, 60} {
			if i > 0 {
				require.InDelta(t, want, (at[i] - at[i-1]).Seconds(), 0.5)
			}
		}
		require.InDelta(t, time.Minute, at[200]-at[199], float64(time.Second))
		require.Equal(t, MailSent, p.became()[200])
		s.requireNoneWaits(t)
	})
}

// How many mails wait is counted now and then, and not before each round: that takes as
// long as there are many.
func TestMailsAreCountedNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openSite(t, store.Options{Database: filepath.Join(t.TempDir(), "messaging.db")})
		p := newPost(s, nil)
		ada := s.owner(t, "ada")
		look := func() int {
			t.Helper()
			_, err := p.look(t.Context())
			require.NoError(t, err)
			return p.Waiting()
		}
		require.Zero(t, look())
		s.mailTo(t, ada, mail.NewSignIn)
		require.Zero(t, look())
		time.Sleep(mailLookEvery)
		require.Equal(t, 1, look())
		s.mailTo(t, ada, mail.NewSignIn)
		require.Equal(t, 1, look())
		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteMailsOf(ada.ID, "") }))
		require.Zero(t, look(), "that none waits is seen at once")
	})
}

// A mail that can't be written does not end the server, and is given up at last.
func TestMailThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, s := attempts(t, time.Hour, func(attempt int) error {
			if attempt == 1 {
				panic("an error in the templates")
			}
			return nil
		})
		require.Equal(t, []string{MailDelayed, MailSent}, p.became())
		require.Contains(t, s.log.String(), "an error in the templates")
	})
}

// Those who have forgotten a password, or say so of an address that nobody has, don't
// keep mails waiting, however many they are.
func TestForgottenPasswordsKeepNoMailWaiting(t *testing.T) {
	onEachMailSite(t, func(t *testing.T, s *site) {
		var sent []string
		p := newPost(s, func(_ context.Context, to string, _ mail.Letter) error {
			sent = append(sent, to)
			return nil
		})
		alice, bob := s.owner(t, "alice"), s.owner(t, "bob")
		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
			for i := range 2*resetsAtOnce + 50 {
				address := fmt.Sprintf("nobody%d@example.org", i)
				if i == 0 {
					address = alice.Email
				}
				if err := s.queueMail(tx, forgotPassword, mail.Facts{}, store.Mail{Address: address}); err != nil {
					return err
				}
			}
			return nil
		}))
		s.clock = s.clock.Add(time.Microsecond)
		s.mailTo(t, bob, mail.NewSignIn)
		now, before := s.clock.Add(time.Second), s.updates.Load()
		for range 2 {
			sending, err := p.attempt(t.Context(), now)
			require.NoError(t, err)
			require.NoError(t, sending)
		}
		require.ElementsMatch(t, []string{alice.Email, bob.Email}, sent)
		require.EqualValues(t, 3+2*2, s.updates.Load()-before)
		s.requireNoneWaits(t)
	})
}
