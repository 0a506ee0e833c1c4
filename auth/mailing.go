package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddymsg/messaging/mail"
	"github.com/caddymsg/messaging/store"
)

// What becomes of an attempt to send a mail.
const (
	MailSent     = "sent"
	MailDelayed  = "delayed"  // it will be tried again
	MailRefused  = "refused"  // the address takes none
	MailGivenUp  = "given_up" // it was tried for too long
	MailNeedless = "needless" // what it was about has passed
)

// MailResults lists what may become of an attempt.
func MailResults() []string {
	return []string{MailSent, MailDelayed, MailRefused, MailGivenUp, MailNeedless}
}

// MailingOptions say how mails are sent.
type MailingOptions struct {
	// Send sends one, as [mail.Sender.Send] does.
	Send func(ctx context.Context, to string, l mail.Letter) error
	Site mail.Site
	// Done is told the result of each attempt.
	Done func(result string)
}

// Mailing sends the mails that wait in a database. Several may do so over one database,
// on one machine and on many. A mail is sent at least once, and no other time unless a
// server is cut off between sending it and noting that.
type Mailing struct {
	store   *store.Store
	opts    MailingOptions
	log     *slog.Logger
	waiting atomic.Int64
	counted time.Time // when they were; Run's alone

	lease, within time.Duration // see the constants
}

// How mails are sent.
const (
	// mailsAtOnce is how many attempts a server makes at a time.
	mailsAtOnce = 4
	// resetsAtOnce is how many addresses of those who have forgotten their passwords are
	// looked up in one Update.
	resetsAtOnce = 200
	// mailWithin is how long an attempt may take, and mailLease how long it is nobody
	// else's, should the server that makes it be cut off.
	mailWithin = 45 * time.Second
	mailLease  = 2 * time.Minute
	// mailNoteWithin bounds how long it may take to note what has become of an attempt,
	// also where the server is about to end.
	mailNoteWithin = 5 * time.Second
	// A mail that the mail server did not take is tried again after some time, and then
	// after twice as long each time, and at last given up.
	mailRetryMin  = time.Minute
	mailRetryMax  = time.Hour
	mailGiveUp    = 72 * time.Hour
	mailLookEvery = 5 * time.Second // for what other nodes have queued
	// Where the mail server is out of reach, it is tried again after some time.
	mailRestMin, mailRestMax = time.Second, time.Minute
)

// NewMailing makes a Mailing. It sends nothing before Run.
func NewMailing(s *store.Store, opts MailingOptions, log *slog.Logger) *Mailing {
	if opts.Done == nil {
		opts.Done = func(string) {}
	}
	return &Mailing{store: s, opts: opts, log: log, lease: mailLease, within: mailWithin}
}

// Waiting is how many mails waited when it counted them last.
func (m *Mailing) Waiting() int { return int(m.waiting.Load()) }

// Run sends mails until ctx ends. It looks when it is woken, and now and then. It begins
// with those that could not be sent before, since somebody may have set things right.
func (m *Mailing) Run(ctx context.Context, wake <-chan struct{}) {
	m.hasten(ctx)
	rest := time.Duration(0)  // while the mail server is out of reach
	retry := time.Duration(0) // while the database is
	told := ""                // of what went wrong with it last, so as not to tell it each time
	for ctx.Err() == nil {
		pause, err := m.look(ctx)
		tried := tally{}
		if err == nil && pause <= 0 {
			tried = m.round(ctx, rest > 0)
			err = tried.failed
		}
		if err != nil {
			if ctx.Err() == nil && err.Error() != told {
				told = err.Error()
				m.log.ErrorContext(ctx, "mails wait until this has passed", "error", err)
			}
			retry = min(max(mailRestMin, 2*retry), mailRestMax)
			pauseFor(ctx, nil, retry)
			continue
		}
		retry, told = 0, ""
		switch {
		case tried.unavailable > 0 && tried.served == 0:
			rest = min(max(mailRestMin, 2*rest), mailRestMax)
			pauseFor(ctx, nil, rest) // nor does it help to be woken
		case tried.served > 0:
			rest = 0
		case pause > 0:
			pauseFor(ctx, wake, min(pause, mailLookEvery))
		default: // others have taken what was due
			pauseFor(ctx, wake, mailRestMin/10)
		}
	}
}

// pauseFor waits, but no longer than until it is woken, or ctx ends.
func pauseFor(ctx context.Context, wake <-chan struct{}, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}

// look tells how long it is until a mail is due. Now and then it counts those that
// wait, which takes as long as there are many.
func (m *Mailing) look(ctx context.Context) (time.Duration, error) {
	var next time.Time
	count := time.Since(m.counted) >= mailLookEvery
	err := m.store.ViewOne(ctx, func(tx *store.Tx) (err error) {
		waiting := 0
		if count {
			waiting, next, err = tx.MailQueue()
		} else {
			next, err = tx.NextMail()
		}
		if err == nil && (count || next.IsZero()) {
			m.waiting.Store(int64(waiting))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if count {
		m.counted = time.Now()
	}
	if next.IsZero() {
		return mailLookEvery, nil
	}
	return time.Until(next), nil
}

// hasten has all mails be due that nobody is trying to send.
func (m *Mailing) hasten(ctx context.Context) {
	now := time.Now()
	err := m.store.Update(ctx, func(tx *store.Tx) error { return tx.HastenMails(now.Add(m.lease), now) })
	if err != nil && ctx.Err() == nil {
		m.log.WarnContext(ctx, "mails are not tried at once", "error", err)
	}
}

// tally counts what has become of some attempts.
type tally struct {
	served      int   // to which the mail server was there
	unavailable int   // to which it was not
	failed      error // to look at the queue, or to change it
}

// round makes some attempts at once, or one.
func (m *Mailing) round(ctx context.Context, one bool) (t tally) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := mailsAtOnce
	if one {
		count = 1
	}
	begun := time.Now() // what fails in this round is not tried again in it
	for range count {
		wg.Go(func() {
			sent, err := m.attempt(ctx, begun)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.failed = err
			case errors.Is(sent, mail.ErrUnavailable):
				t.unavailable++
			case !errors.Is(sent, errNoneDue):
				t.served++
			}
		})
	}
	wg.Wait()
	return t
}

// errNoneDue says that there was no mail to send, or none any more.
var errNoneDue = errors.New("no mail is due")

// attempt tries to send a mail, if one is due now, and notes what has become of it, or
// fails to. It tells how sending it went.
func (m *Mailing) attempt(ctx context.Context, now time.Time) (sent, err error) {
	a, err := m.claim(ctx, now)
	for err == nil && a.replaced { // mails stand behind it
		a, err = m.claim(ctx, now)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errNoneDue, nil
	case err != nil:
		return errNoneDue, fmt.Errorf("claim a mail: %w", err)
	case a.needless:
		m.done(ctx, slog.LevelInfo, a.mail, MailNeedless, "mail not sent: what it was about has passed")
		return errNoneDue, nil
	}
	sent = m.send(ctx, a)
	// Whatever ended the sending must not keep it from being noted.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailNoteWithin)
	defer cancel()
	if sent != nil && ctx.Err() != nil {
		// Not its fault: whoever sends mails next begins with it.
		return sent, m.update(noting, func(tx *store.Tx) error { return tx.PostponeMail(a.mail, time.Now()) })
	}
	return sent, m.note(noting, a.mail, sent)
}

// mailAttempt is one to send a mail.
type mailAttempt struct {
	mail     store.Mail
	ticket   mail.Ticket
	needless bool
	replaced bool // by others, which are due
}

// claim begins an attempt with a mail that is due, and makes the token that it brings:
// so no secret is in the queue, and the token's time begins when it is sent. It returns
// [store.ErrNotFound] if none is due.
func (m *Mailing) claim(ctx context.Context, now time.Time) (a mailAttempt, err error) {
	err = m.store.Update(ctx, func(tx *store.Tx) (err error) {
		a = mailAttempt{}
		if a.mail, err = tx.ClaimMail(now, now.Add(m.lease)); err != nil {
			return err
		}
		if a.mail.Kind == string(forgotPassword) {
			a.replaced = true
			// With those behind it: a flood of them must not keep mails waiting.
			more, err := tx.TakeDueMails(a.mail.Kind, now, resetsAtOnce-1)
			for _, q := range more {
				if err == nil {
					err = queueResets(tx, q, now)
				}
			}
			if err == nil {
				err = queueResets(tx, a.mail, now)
			}
			if err == nil {
				err = tx.DeleteMail(a.mail.ID)
			}
			return err
		}
		a.ticket, err = newTicket(tx, a.mail, now)
		if errors.Is(err, store.ErrNotFound) {
			a.needless = true
			err = tx.DeleteMail(a.mail.ID)
		}
		return err
	})
	return a, err
}

// send writes a mail and sends it.
func (m *Mailing) send(ctx context.Context, a mailAttempt) (err error) {
	defer func() {
		if p := recover(); p != nil { // it must not end the web server
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	var facts mail.Facts
	if err := json.Unmarshal([]byte(a.mail.Data), &facts); err != nil {
		return fmt.Errorf("its data can't be read: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.within)
	defer cancel()
	return m.opts.Send(ctx, a.mail.Address, mail.Write(mail.Kind(a.mail.Kind), a.mail.Locale, m.opts.Site, facts, a.ticket))
}

// note notes what has become of an attempt: nil, or why the mail was not sent. It is
// told of when it has been noted.
func (m *Mailing) note(ctx context.Context, q store.Mail, sent error) error {
	now := time.Now()
	next := now.Add(mailBackOff(q.Attempts))
	if errors.Is(sent, mail.ErrUnavailable) {
		next = now.Add(mailRestMin) // not its fault: it waits for the mail server, behind the others
	}
	remove := func(tx *store.Tx) error { return tx.DeleteMail(q.ID) }
	postpone := func(tx *store.Tx) error { return tx.PostponeMail(q, next) }
	noted := func(change func(*store.Tx) error, level slog.Level, result, message string, more ...slog.Attr) error {
		err := m.update(ctx, change)
		m.done(ctx, level, q, result, message, more...)
		return err
	}
	why := slog.Any("error", sent)
	switch {
	case sent == nil:
		return noted(remove, slog.LevelInfo, MailSent, "mail sent")
	case errors.Is(sent, mail.ErrRefused):
		return noted(remove, slog.LevelWarn, MailRefused, "mail not sent: it is refused for good", why)
	case now.Sub(q.CreatedAt) >= mailGiveUp:
		return noted(remove, slog.LevelError, MailGivenUp, "mail not sent: given up", why)
	}
	return noted(postpone, slog.LevelWarn, MailDelayed, "mail not sent: it will be tried again", why, slog.Time("next", next))
}

// mailBackOff is how long to wait after so many attempts.
func mailBackOff(attempts int) time.Duration {
	return min(mailRetryMin<<min(attempts-1, 10), mailRetryMax)
}

// update changes the queue. A mail that is gone needs no change: what it was about has
// been removed, or another attempt has been made meanwhile.
// It tries again for as long as it may: a mail that was sent, and of which nothing is
// noted, would be sent again.
func (m *Mailing) update(ctx context.Context, fn func(*store.Tx) error) error {
	for {
		err := m.store.Update(ctx, fn)
		switch {
		case err == nil, errors.Is(err, store.ErrNotFound):
			return nil
		case !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil:
			return fmt.Errorf("note what has become of a mail: %w", err)
		}
		pauseFor(ctx, nil, mailRestMin/10)
	}
}

// done tells what has become of an attempt. The address is private, and is left out.
func (m *Mailing) done(ctx context.Context, level slog.Level, q store.Mail, result, message string, more ...slog.Attr) {
	m.opts.Done(result)
	attrs := append([]slog.Attr{
		slog.Int64("mail_id", q.ID), slog.String("kind", q.Kind), slog.Int64("user_id", q.UserID), slog.Int("attempts", q.Attempts),
	}, more...)
	m.log.LogAttrs(ctx, level, message, attrs...) //nolint:sloglint // the callers' messages are constants
}

// How long tokens that come by mail are good for.
const (
	resetLifetime  = 30 * time.Minute
	verifyLifetime = 24 * time.Hour
)

// newTicket makes the token that a mail brings, if it brings one. It returns
// [store.ErrNotFound] if what the mail is about has passed.
func newTicket(tx *store.Tx, q store.Mail, now time.Time) (mail.Ticket, error) {
	t := store.OneTimeToken{UserID: q.UserID, RegistrationID: q.RegistrationID, Email: q.Address, CreatedAt: now}
	var user store.User
	if q.UserID != 0 {
		var err error
		if user, err = tx.FindUserByID(q.UserID); err != nil {
			return mail.Ticket{}, err
		}
	}
	prefix, needed := "", user.DeletedAt.IsZero()
	switch mail.Kind(q.Kind) {
	case mail.ResetPassword:
		prefix, t.Purpose, t.ExpiresAt = resetPrefix, store.ForPasswordReset, now.Add(resetLifetime)
		needed = needed && user.DeactivatedAt.IsZero() && user.Email == q.Address
	case mail.VerifyEmail:
		prefix, t.Purpose, t.ExpiresAt = verifyPrefix, store.ForVerification, now.Add(verifyLifetime)
		needed = needed && (user.PendingEmail == q.Address || user.Email == q.Address && user.EmailVerifiedAt.IsZero())
	case mail.VerifyRegistration:
		registration, err := tx.FindRegistration(q.RegistrationID, now)
		if err != nil {
			return mail.Ticket{}, err
		}
		// No longer than there is something to verify it for.
		prefix, t.Purpose, t.ExpiresAt = verifyPrefix, store.ForRegistration, registration.ExpiresAt
	case mail.PasswordChanged, mail.EmailChanged, mail.NewSignIn, mail.KeyCreated:
	}
	switch {
	case !needed:
		return mail.Ticket{}, store.ErrNotFound
	case prefix == "":
		return mail.Ticket{}, nil
	}
	token := newToken(prefix)
	t.TokenHash = hashToken([]byte(token))
	if err := tx.CreateOneTimeToken(&t); err != nil {
		return mail.Ticket{}, err
	}
	return mail.Ticket{Token: token, Expires: t.ExpiresAt}, nil
}

// SendsMail tells whether the site can send mails.
func (s *Service) SendsMail() bool { return s.opts.WakeMailing != nil }

// queueMail has a mail sent as soon as the Update has been committed. It sets the
// mail's kind, data and time. One that brings a token takes the place of one of its
// kind that waits for the same user: only the last token would be good. Where mail is
// not configured, it does nothing.
func (s *Service) queueMail(tx *store.Tx, kind mail.Kind, facts mail.Facts, m store.Mail) error {
	if !s.SendsMail() {
		return nil
	}
	facts.NoPages, facts.ResetAt = s.opts.NoPages, s.opts.ResetAt
	return queueMail(tx, kind, facts, m, s.now())
}

func queueMail(tx *store.Tx, kind mail.Kind, facts mail.Facts, m store.Mail, now time.Time) error {
	if kind.BringsToken() && m.UserID != 0 {
		if err := tx.DeleteMailsOf(m.UserID, string(kind)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("queue mail: %w", err)
	}
	m.Kind, m.Data, m.CreatedAt = string(kind), string(data), now
	return tx.CreateMail(&m)
}

// updateAndMail is an Update in which mails may be queued.
func (s *Service) updateAndMail(ctx context.Context, fn func(*store.Tx) error) error {
	if err := s.store.Update(ctx, fn); err != nil {
		return err
	}
	if s.SendsMail() {
		s.opts.WakeMailing()
	}
	return nil
}
