package chat

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddymsg/messaging/limit"
	"github.com/caddymsg/messaging/store"
)

// MaxTextLength is the longest message, in characters (Unicode code points).
const MaxTextLength = 10_000

// Draft is a message that somebody wants to send.
type Draft struct {
	// ChatID names a chat that the sender takes part in, or is 0.
	ChatID int64
	// To names the person to write to, if ChatID is 0. The chat between the
	// two is made with the first message; to oneself, it is one's own.
	To   string
	Text string
	// ReplyTo is a message of the chat that the sender sees, or 0.
	ReplyTo int64
	// ClientID is the idempotency key: the message is stored once, and
	// sending it again answers the one stored first. Optional.
	ClientID string
	// OncePerSecond refuses a text that the sender has sent to the chat in the same second.
	// There is no ClientID then.
	OncePerSecond bool
	// TellsReading has the others told that the sender has read what came before: who
	// sends has, and not all APIs know.
	TellsReading bool
	// Poll makes the message a poll, with Text as the question. Optional.
	Poll *NewPoll
}

// MaxTexts is how many messages can be sent at once.
const MaxTexts = 100

// Send stores a message and returns it when it is durable. It returns Invalid
// for the text, the key or the message that is replied to, Forbidden for a chat
// that the caller is not in, NotFound for a recipient that does not exist, Conflict for
// what is sent once a second and was sent before, and TooMany if they send too fast.
func (s *Service) Send(ctx context.Context, caller Caller, d Draft) (Message, error) {
	if err := d.validate(); err != nil {
		return Message{}, err
	}
	if err := s.take(ctx, caller, limit.Sends, limit.SendsAddress, 1); err != nil {
		return Message{}, err
	}
	bodies := newContents(d.Text)
	var sent Message
	var replayed bool
	err := s.store.Update(ctx, func(tx *store.Tx) (err error) {
		if d.ClientID != "" {
			sent, err = tx.FindMessageByClientID(caller.UserID, d.ClientID)
			if replayed = err == nil; replayed {
				one := []Message{sent}
				err = s.decorateReplay(tx, caller, one)
				sent = one[0]
				return err
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		chatID := d.ChatID
		if chatID == 0 {
			to, err := findUser(tx, d.To, "dest_username")
			if err != nil {
				return err
			}
			if chatID, err = s.lockDirectChat(tx, caller, to.ID); err != nil {
				return err
			}
		}
		stored, err := s.appendAll(tx, caller, chatID, d, bodies)
		if err == nil {
			sent = stored[0]
		}
		return err
	})
	s.auditBlocked(ctx, caller, d, err)
	if err != nil || replayed {
		return sent, err
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "message sent",
		slog.Int64("message_id", sent.ID), slog.Int64("chat_id", sent.ChatID), slog.Int64("user_id", caller.UserID))
	return sent, nil
}

// SendAll stores several messages, one after the other, in a chat that the draft
// names: all of them or none, and each counts. Its text is not looked at; what else it says holds
// for each of them. It returns the errors of Send, Invalid for a poll, and NotFound
// if they have been sent before and are gone with their chat; the idempotency key
// is one of its own, which Send does not know.
func (s *Service) SendAll(ctx context.Context, caller Caller, d Draft, texts []string) ([]Message, error) {
	if len(texts) == 0 || len(texts) > MaxTexts {
		return nil, invalid("texts", "texts_invalid", "From 1 to "+strconv.Itoa(MaxTexts)+" messages can be sent at once.")
	}
	if d.Poll != nil {
		return nil, invalid("poll", "poll_not_alone", "A poll has one text, its question.")
	}
	for _, text := range texts {
		if err := validateText("texts", text); err != nil {
			return nil, err
		}
	}
	if err := s.take(ctx, caller, limit.Sends, limit.SendsAddress, len(texts)); err != nil {
		return nil, err
	}
	bodies := newContents(texts...)
	key := d.ClientID
	d.ClientID = ""
	var sent []Message
	err := s.store.Update(ctx, func(tx *store.Tx) error {
		sent = nil
		var ids []int64 // not the texts: they may be deleted
		err := Once(tx, caller, key, "send messages", s.now(), &ids, func() (err error) {
			sent, err = s.appendAll(tx, caller, d.ChatID, d, bodies)
			for _, m := range sent {
				ids = append(ids, m.ID)
			}
			return err
		})
		if err != nil || sent != nil {
			return err
		}
		for _, id := range ids {
			m, err := tx.FindMessageBySender(caller.UserID, id)
			if err != nil {
				return refuse(err, store.ErrNotFound, errNoSuchMessage()) // its chat has been deleted
			}
			sent = append(sent, m)
		}
		return s.decorateReplay(tx, caller, sent)
	})
	s.auditBlocked(ctx, caller, d, err)
	return sent, err
}

// messageOf finds a message that the caller sees, or returns NotFound.
func messageOf(tx *store.Tx, caller Caller, id int64) (Message, error) {
	m, err := tx.FindMessage(caller.UserID, id)
	return m, refuse(err, store.ErrNotFound, errNoSuchMessage())
}

// lockMessage is messageOf for an Update that changes something about it: its
// chat is locked.
func lockMessage(tx *store.Tx, caller Caller, id int64) (Message, error) {
	m, err := messageOf(tx, caller, id)
	if err != nil {
		return Message{}, err
	}
	if err := tx.LockChat(caller.UserID, m.ChatID); err != nil {
		return Message{}, refuse(err, store.ErrNotFound, errNoSuchMessage())
	}
	return messageOf(tx, caller, id)
}

// content is a text that is to be stored. What it may say about people is found
// before the transaction begins.
type content struct {
	text  string
	calls []call
}

// newContents are texts that are stored together. No more names are looked up for
// them than for one: behind the last of these, nobody is mentioned.
func newContents(texts ...string) []content {
	contents := make([]content, len(texts))
	room := maxReadings
	for i, text := range texts {
		contents[i].text = text
		if room <= 0 {
			continue
		}
		calls := callsIn(text)
		for n, c := range calls {
			if room -= len(c.readings); room < 0 {
				calls = calls[:n]
				break
			}
		}
		contents[i].calls = calls
	}
	return contents
}

// appendAll stores messages as the next ones of their chat.
func (s *Service) appendAll(tx *store.Tx, caller Caller, chatID int64, d Draft, bodies []content) ([]Message, error) {
	if err := tx.LockChat(caller.UserID, chatID); err != nil {
		return nil, refuse(err, store.ErrNotFound, errNotParticipant())
	}
	now := s.now() // not before: the times of a chat go forward with its numbers
	var threadID int64
	if d.ReplyTo != 0 {
		if _, err := chatOf(tx, caller, chatID); err != nil {
			return nil, err
		}
		to, err := tx.FindMessage(caller.UserID, d.ReplyTo)
		if err == nil && (to.ChatID != chatID || !to.DeletedAt.IsZero()) {
			err = store.ErrNotFound
		}
		if err != nil {
			return nil, refuse(err, store.ErrNotFound, invalid("reply_to", "reply_to_invalid",
				"One can reply to a message of the same chat that one sees and that has not been deleted."))
		}
		if threadID = to.ThreadID; threadID == 0 {
			threadID = to.ID
		}
	}
	if d.TellsReading {
		if err := tellReading(tx, caller, chatID, now); err != nil {
			return nil, err
		}
	}
	c, err := tx.NextSeq(caller.UserID, chatID, len(bodies), now)
	if errors.Is(err, store.ErrNotFound) {
		// Either of two; who takes part in the chat is blocked.
		if _, err = chatOf(tx, caller, chatID); err == nil {
			err = errBlocked()
		}
	}
	if err != nil {
		return nil, err
	}
	called, err := whoIsCalled(tx, chatID, bodies)
	if err != nil {
		return nil, err
	}
	sent := make([]Message, len(bodies))
	for i, body := range bodies {
		m := &sent[i]
		*m = Message{
			ChatID: chatID, ChatKind: c.Kind, Seq: c.LastSeq - int64(len(bodies)-1-i),
			SenderID: caller.UserID, SenderUsername: caller.Username,
			Text: body.text, ClientID: d.ClientID, CreatedAt: now, ReplyTo: d.ReplyTo, ThreadID: threadID,
			HasPoll: d.Poll != nil, Mentions: resolve(body.calls, called),
		}
		if d.OncePerSecond {
			if m.ClientID, err = secondKey(tx, *m); err != nil {
				return nil, err
			}
		}
		if err := tx.CreateMessage(m); err != nil {
			return nil, err
		}
		if d.Poll != nil {
			if err := createPoll(tx, *m, *d.Poll); err != nil {
				return nil, err
			}
		}
		if err := tx.AppendEvent(store.Event{
			Type: store.MessageCreated, ChatID: chatID, ActorID: caller.UserID, Message: m, At: m.CreatedAt,
		}); err != nil {
			return nil, err
		}
	}
	if threadID != 0 {
		if err := tx.CountReplies(threadID, len(bodies)); err != nil {
			return nil, err
		}
	}
	return sent, s.decorate(tx, caller, sent)
}

// decorate adds to messages what is kept beside them. Of most there is nothing.
func (s *Service) decorate(tx *store.Tx, caller Caller, messages []Message) error {
	var reacted, polls []int64
	for i := range messages {
		m := &messages[i]
		if m.HasReactions {
			reacted = append(reacted, m.ID)
		}
		if m.HasPoll {
			polls = append(polls, m.ID)
		}
	}
	if len(reacted) == 0 && len(polls) == 0 {
		return nil
	}
	reactionsTo, err := reactionsOf(tx, caller, reacted)
	if err != nil {
		return err
	}
	pollOf, err := s.pollsOf(tx, caller, polls)
	if err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		m.Reactions, m.Poll = reactionsTo[m.ID], pollOf[m.ID]
	}
	return nil
}

// decorateReplay is decorate for messages of one chat that are answered anew to
// who sent them. Outside of the chat, one does not hear what has come to them
// since.
func (s *Service) decorateReplay(tx *store.Tx, caller Caller, messages []Message) error {
	_, err := tx.FindParticipant(messages[0].ChatID, caller.UserID)
	if !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = s.decorate(tx, caller, messages)
		}
		return err
	}
	for i := range messages {
		messages[i].ReplyCount = 0
	}
	return nil
}

// decorateOne adds to a message also who has read it.
func (s *Service) decorateOne(tx *store.Tx, caller Caller, m *Message) error {
	one := []Message{*m}
	err := s.decorate(tx, caller, one)
	if err == nil {
		err = countReaders(tx, m.ChatID, one)
	}
	*m = one[0]
	return err
}

func (d Draft) validate() error {
	if err := validateText("message", d.Text); err != nil {
		return err
	}
	if !validKey(d.ClientID) {
		return invalid("client_id", "client_id_invalid", badKey)
	}
	if d.Poll != nil {
		return d.Poll.validate()
	}
	return nil
}

func validateText(field, text string) error {
	switch {
	case text == "":
		return invalid(field, "message_missing", "A message has at least one character.")
	case !storable(text):
		return invalid(field, "message_invalid", "A message is UTF-8 text without NUL characters.")
	case len(text) > MaxTextLength && utf8.RuneCountInString(text) > MaxTextLength:
		return invalid(field, "message_too_long",
			"A message has at most "+strconv.Itoa(MaxTextLength)+" characters.")
	}
	return nil
}

// storable tells whether a text is one that both engines can hold.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// errNoSuchMessage answers for a message that one may not see, that one has
// hidden, and that does not exist alike.
func errNoSuchMessage() *Error {
	return &Error{Kind: NotFound, Code: "message_not_found", Message: "There is no such message."}
}

func errMessageDeleted() *Error {
	return invalid("", "message_deleted", "This message has been deleted.")
}
