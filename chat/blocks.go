package chat

import (
	"context"
	"errors"
	"time"

	"github.com/caddymsg/messaging/store"
)

// Block says that one user does not want to hear from another.
type Block = store.Block

// Block keeps the named user from writing to the caller alone, and from adding
// the caller to groups. It is one-way: the caller may still write to the blocked
// (contract 4). What has been sent stays. To block again changes nothing. It
// returns NotFound for the user, and Invalid for oneself.
func (s *Service) Block(ctx context.Context, caller Caller, username string) (Block, error) {
	block, _, err := s.block(ctx, caller, username)
	return block, err
}

// BlockOnce is Block that returns Conflict if the user is blocked already.
func (s *Service) BlockOnce(ctx context.Context, caller Caller, username string) (Block, error) {
	block, already, err := s.block(ctx, caller, username)
	if err == nil && already {
		err = &Error{Kind: Conflict, Code: "already_blocked", Message: "This user is blocked already."}
	}
	return block, err
}

// block does what Block says, and tells whether the user was blocked already.
func (s *Service) block(ctx context.Context, caller Caller, username string) (block Block, already bool, err error) {
	err = s.store.Update(ctx, func(tx *store.Tx) error {
		already = false // it may be tried again
		user, err := findUser(tx, username, "")
		if err != nil {
			return err
		}
		if user.ID == caller.UserID {
			return invalid("username", "cannot_block_self", "One can't block oneself.")
		}
		// After the answer, nothing comes in that was on its way.
		c, err := tx.FindDirectChat(caller.UserID, user.ID)
		if err == nil {
			err = tx.LockChat(caller.UserID, c.ID)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		block, err = tx.FindBlock(caller.UserID, user.ID)
		if !errors.Is(err, store.ErrNotFound) {
			already = err == nil
			return err
		}
		block = Block{BlockerID: caller.UserID, BlockedID: user.ID, Username: user.Username, CreatedAt: s.now()}
		if err := tx.CreateBlock(block); err != nil {
			return err
		}
		if err := appendBlock(tx, store.BlockCreated, block, block.CreatedAt); err != nil {
			return err
		}
		return s.Audit(tx, caller, AuditEntry{Action: UserBlocked, UserID: user.ID})
	})
	return block, already, err
}

// Unblock takes a block back. It returns NotFound for the user, and if there is
// no such block.
func (s *Service) Unblock(ctx context.Context, caller Caller, username string) error {
	return s.store.Update(ctx, func(tx *store.Tx) error {
		user, err := findUser(tx, username, "")
		if err != nil {
			return err
		}
		if err := tx.DeleteBlock(caller.UserID, user.ID); err != nil {
			return refuse(err, store.ErrNotFound, &Error{
				Kind: NotFound, Code: "not_blocked", Message: "This user is not blocked.",
			})
		}
		block := Block{BlockerID: caller.UserID, BlockedID: user.ID}
		if err := appendBlock(tx, store.BlockRemoved, block, s.now()); err != nil {
			return err
		}
		return s.Audit(tx, caller, AuditEntry{Action: UserUnblocked, UserID: user.ID})
	})
}

// appendBlock tells the blocker's other devices. The blocked is not told.
func appendBlock(tx *store.Tx, what string, b Block, at time.Time) error {
	return tx.AppendEvent(store.Event{
		Type: what, ActorID: b.BlockerID, UserID: b.BlockerID, Data: eventData(map[string]int64{"user_id": b.BlockedID}), At: at,
	})
}

// Blocks lists whom the caller has blocked, by their ids. Limit is as that of a
// [Selection]. It returns Invalid for the limit and the offset.
func (s *Service) Blocks(ctx context.Context, caller Caller, limit, offset int) (blocks []Block, err error) {
	if limit, err = listLimit(limit, offset); err != nil {
		return nil, err
	}
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		blocks, err = tx.ListBlocks(caller.UserID, limit, offset)
		return err
	})
	return blocks, err
}

// CountBlocks counts whom the caller has blocked.
func (s *Service) CountBlocks(ctx context.Context, caller Caller) (n int, err error) {
	err = s.store.ViewOne(ctx, func(tx *store.Tx) error {
		n, err = tx.CountBlocks(caller.UserID)
		return err
	})
	return n, err
}

// notBlocked returns Forbidden if the user has blocked the caller.
func notBlocked(tx *store.Tx, user User, caller Caller) error {
	_, err := tx.FindBlock(user.ID, caller.UserID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return errBlocked()
}

// notBlockedAt returns Forbidden if a message is in a chat with somebody who has
// blocked the caller.
func notBlockedAt(tx *store.Tx, caller Caller, m Message) error {
	if m.ChatKind != store.DirectChat {
		return nil
	}
	c, err := chatOf(tx, caller, m.ChatID)
	if err != nil {
		return err
	}
	return notBlocked(tx, User{ID: c.OtherThan(caller.UserID)}, caller)
}

// CodeBlocked is that of the refusal to send to who has blocked the sender.
const CodeBlocked = "blocked"

func errBlocked() *Error {
	return &Error{Kind: Forbidden, Code: CodeBlocked, Message: "This user does not take messages from you."}
}
