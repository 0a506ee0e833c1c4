package chat

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"unicode/utf8"

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
	// ClientID is the idempotency key: the message is stored once, and
	// sending it again answers the one stored first. Optional.
	ClientID string
	// Poll makes the message a poll, with Text as the question. Optional.
	Poll *NewPoll
}

// Send stores a message and returns it when it is durable. It returns Invalid
// for the text or the key, Forbidden for a chat that the caller is not in, and
// NotFound for a recipient that does not exist.
func (s *Service) Send(ctx context.Context, caller Caller, d Draft) (Message, error) {
	if err := d.validate(); err != nil {
		return Message{}, err
	}
	var sent Message
	var replayed bool
	err := s.store.Update(ctx, func(tx *store.Tx) (err error) {
		if d.ClientID != "" {
			sent, err = tx.FindMessageByClientID(caller.UserID, d.ClientID)
			if replayed = err == nil; !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		chatID := d.ChatID
		if chatID == 0 {
			to, err := findUser(tx, d.To, "dest_username")
			if err != nil {
				return err
			}
			c, err := s.directChat(tx, caller.UserID, to.ID)
			if err != nil {
				return err
			}
			chatID = c.ID
		}
		sent, err = s.append(tx, caller, chatID, d)
		return err
	})
	if err != nil || replayed {
		return sent, err
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "message sent",
		slog.Int64("message_id", sent.ID), slog.Int64("chat_id", sent.ChatID), slog.Int64("user_id", caller.UserID))
	return sent, nil
}

// append stores a message as the next of its chat.
func (s *Service) append(tx *store.Tx, caller Caller, chatID int64, d Draft) (Message, error) {
	now := s.now()
	c, err := tx.NextSeq(caller.UserID, chatID, 1, now)
	if errors.Is(err, store.ErrNotFound) {
		// Either of two; who takes part in the chat is blocked.
		if _, err = chatOf(tx, caller, chatID); err == nil {
			err = errBlocked()
		}
	}
	if err != nil {
		return Message{}, err
	}
	m := Message{
		ChatID: chatID, ChatKind: c.Kind, Seq: c.LastSeq,
		SenderID: caller.UserID, SenderUsername: caller.Username,
		Text: d.Text, ClientID: d.ClientID, CreatedAt: now, HasPoll: d.Poll != nil,
	}
	if err := tx.CreateMessage(&m); err != nil {
		return Message{}, err
	}
	if d.Poll != nil {
		if err := createPoll(tx, m, *d.Poll); err != nil {
			return Message{}, err
		}
	}
	return m, tx.AppendEvent(store.Event{
		Type: store.MessageCreated, ChatID: chatID, ActorID: caller.UserID, Message: &m, At: m.CreatedAt,
	})
}

func (d Draft) validate() error {
	switch {
	case d.Text == "":
		return invalid("message", "message_missing", "A message has at least one character.")
	case !storable(d.Text):
		return invalid("message", "message_invalid", "A message is UTF-8 text without NUL characters.")
	case len(d.Text) > MaxTextLength && utf8.RuneCountInString(d.Text) > MaxTextLength:
		return invalid("message", "message_too_long",
			"A message has at most "+strconv.Itoa(MaxTextLength)+" characters.")
	case !validKey(d.ClientID):
		return invalid("client_id", "client_id_invalid", badKey)
	case d.Poll != nil:
		return d.Poll.validate()
	}
	return nil
}

// storable tells whether a text is one that both engines can hold.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
