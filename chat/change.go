package chat

import (
	"time"

	"github.com/caddymsg/messaging/store"
)

// ChangeUser changes an account, which is locked, in an Update of package auth, which
// decides who may, and tells the devices of its owner.
func ChangeUser(tx *store.Tx, before User, c store.UserChange, actor int64, at time.Time) (User, error) {
	after, err := changeUser(tx, before, c)
	if err != nil {
		return User{}, err
	}
	return after, appendAccount(tx, before, after, actor, at)
}

// changeUser changes an account, which is locked. It returns Conflict if the username
// is taken. Another password and another address end all tokens that came by mail, and
// those mails that would bring one: whoever has them may be somebody else by now. With
// the password goes the address that is yet to be verified: whoever knew the one before
// may have asked for it.
func changeUser(tx *store.Tx, before User, c store.UserChange) (User, error) {
	if (c.Email != nil && *c.Email != before.Email || c.PasswordHash != nil) && c.PendingEmail == nil {
		c.PendingEmail = new(string)
	}
	after, err := tx.UpdateUser(before.ID, c)
	if err != nil {
		return User{}, refuse(err, store.ErrConflict, errUsernameTaken())
	}
	if c.PasswordHash != nil || after.Email != before.Email {
		err = endMailed(tx, before.ID, store.ForPasswordReset)
	}
	if err == nil && (c.PasswordHash != nil || after.Email != before.Email || after.PendingEmail != before.PendingEmail) {
		err = endMailed(tx, before.ID, store.ForVerification)
	}
	if err != nil {
		return User{}, err
	}
	return after, indexUser(tx, before, after)
}

// endMailed ends a user's token for a purpose, and the mail that would bring one, of the
// kind that is named after it.
func endMailed(tx *store.Tx, userID int64, purpose string) error {
	// The mail first: whoever is about to send it has it locked while they make its
	// token, which is seen here once they have.
	if err := tx.DeleteMailsOf(userID, purpose); err != nil {
		return err
	}
	return tx.DeleteOneTimeTokensOf(userID, purpose)
}
