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
// is taken. Another password ends the tokens with which to choose one, and another
// address all tokens that came by mail: they were sent to somebody who may be somebody
// else by now.
func changeUser(tx *store.Tx, before User, c store.UserChange) (User, error) {
	if c.Email != nil && *c.Email != before.Email && c.PendingEmail == nil {
		c.PendingEmail = new(string)
	}
	after, err := tx.UpdateUser(before.ID, c)
	if err != nil {
		return User{}, refuse(err, store.ErrConflict, errUsernameTaken())
	}
	var ended []string
	if c.PasswordHash != nil || after.Email != before.Email {
		ended = append(ended, store.ForPasswordReset)
	}
	if after.Email != before.Email || after.PendingEmail != before.PendingEmail {
		ended = append(ended, store.ForVerification)
	}
	for _, purpose := range ended {
		if err := tx.DeleteOneTimeTokensOf(before.ID, purpose); err != nil {
			return User{}, err
		}
	}
	return after, indexUser(tx, before, after)
}
