package chat

import (
	"context"
	"errors"
	"strconv"

	"github.com/caddymsg/messaging/store"
)

// MaxReactions is how many different emojis may be put on a message.
const MaxReactions = 20

type (
	// Reaction is an emoji that somebody has put on a message.
	Reaction = store.Reaction
	// ReactionCount is how many people have put an emoji on a message.
	ReactionCount = store.ReactionCount
)

// Reactions are those of one emoji to a message.
type Reactions struct {
	ReactionCount
	By []Reaction // a page of them, in the order in which they came
}

// React puts an emoji on a message. Whoever may write to the chat may. To do it
// again changes nothing. It returns Invalid for what is no emoji, NotFound for a
// message that the caller does not see, Forbidden to whom the other has blocked,
// and Invalid for a message that has been deleted or has too many emojis.
func (s *Service) React(ctx context.Context, caller Caller, messageID int64, emoji string) (Reaction, error) {
	emoji, err := emojiOf(emoji)
	if err != nil {
		return Reaction{}, err
	}
	var reaction Reaction
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessage(tx, caller, messageID)
		if err != nil {
			return err
		}
		reaction, _, err = s.react(tx, caller, m, emoji)
		return err
	})
	return reaction, err
}

// react is what [Service.React] says, to a message that is locked; added is false if the
// reaction was there.
func (s *Service) react(tx *store.Tx, caller Caller, m Message, emoji string) (reaction Reaction, added bool, err error) {
	if err := mayAnswer(tx, caller, m); err != nil {
		return Reaction{}, false, err
	}
	reaction, err = tx.FindReaction(m.ID, caller.UserID, emoji)
	if !errors.Is(err, store.ErrNotFound) {
		return reaction, false, err
	}
	if err := roomFor(tx, caller, m.ID, emoji); err != nil {
		return Reaction{}, false, err
	}
	reaction = Reaction{
		MessageID: m.ID, UserID: caller.UserID, Username: caller.Username, Emoji: emoji, CreatedAt: s.now(),
	}
	if err := tx.CreateReaction(reaction); err != nil {
		return Reaction{}, false, err
	}
	m.HasReactions = true
	return reaction, true, tx.AppendEvent(store.Event{
		Type: store.ReactionAdded, ChatID: m.ChatID, ActorID: caller.UserID, Message: &m,
		Data: eventData(map[string]string{"emoji": emoji}), At: reaction.CreatedAt,
	})
}

// Unreact takes the caller's own emoji from a message; the blocked may, too. If
// it is not there, nothing changes. It returns Invalid for what is no emoji,
// NotFound for a message that the caller does not see, and Invalid for one that
// has been deleted.
func (s *Service) Unreact(ctx context.Context, caller Caller, messageID int64, emoji string) error {
	emoji, err := emojiOf(emoji)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		m, err := lockMessage(tx, caller, messageID)
		if err != nil {
			return err
		}
		if !m.DeletedAt.IsZero() {
			return errMessageDeleted()
		}
		return refuseNothing(s.unreact(tx, caller, m, emoji))
	})
}

// unreact takes the caller's emoji from a message that is locked; [store.ErrNotFound] if
// it is not there.
func (s *Service) unreact(tx *store.Tx, caller Caller, m Message, emoji string) error {
	if err := tx.DeleteReaction(m.ID, caller.UserID, emoji); err != nil {
		return err
	}
	return tx.AppendEvent(store.Event{
		Type: store.ReactionRemoved, ChatID: m.ChatID, ActorID: caller.UserID, Message: &m,
		Data: eventData(map[string]string{"emoji": emoji}), At: s.now(),
	})
}

// Reactions lists the emojis on a message in the order in which they came first,
// and who has put each there: up to limit people, behind the first so many. It
// returns NotFound for a message that the caller does not see.
func (s *Service) Reactions(ctx context.Context, caller Caller, messageID int64, limit, offset int) ([]Reactions, error) {
	var found []Reactions
	err := s.store.View(ctx, func(tx *store.Tx) error {
		if _, err := messageOf(tx, caller, messageID); err != nil {
			return err
		}
		counts, err := reactionsOf(tx, caller, []int64{messageID})
		if err != nil {
			return err
		}
		for _, count := range counts[messageID] {
			by, err := tx.ListReactions(messageID, count.Emoji, limit, offset)
			if err != nil {
				return err
			}
			found = append(found, Reactions{ReactionCount: count, By: by})
		}
		return nil
	})
	return found, err
}

// reactionsOf counts the reactions to messages that the caller sees.
func reactionsOf(tx *store.Tx, caller Caller, messageIDs []int64) (map[int64][]ReactionCount, error) {
	return tx.CountReactions(caller.UserID, messageIDs)
}

// roomFor returns Invalid if an emoji would be one too many on a message.
func roomFor(tx *store.Tx, caller Caller, messageID int64, emoji string) error {
	there, err := tx.HasReaction(messageID, emoji)
	if err != nil || there {
		return err
	}
	counts, err := reactionsOf(tx, caller, []int64{messageID})
	if err == nil && len(counts[messageID]) >= MaxReactions {
		err = invalid("emoji", "too_many_reactions",
			"A message has at most "+strconv.Itoa(MaxReactions)+" different reactions.")
	}
	return err
}

func emojiOf(s string) (string, error) {
	emoji, ok := parseEmoji(s)
	if !ok {
		return "", invalid("emoji", "emoji_invalid", "A reaction is one emoji, or the word like.")
	}
	return emoji, nil
}

// mayAnswer returns Forbidden as notBlockedAt does, and Invalid if a message has
// been deleted.
func mayAnswer(tx *store.Tx, caller Caller, m Message) error {
	if err := notBlockedAt(tx, caller, m); err != nil {
		return err
	}
	if !m.DeletedAt.IsZero() {
		return errMessageDeleted()
	}
	return nil
}
