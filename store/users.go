package store

import (
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// User is an account.
type User struct {
	ID           int64
	Username     string // as typed
	UsernameKey  string // folded: unique
	PasswordHash string `json:"-"`
	DisplayName  string // may be empty, as all that follows
	Email        string
	PendingEmail string // takes the place of Email when it has been verified
	// EmailClaimed says that nobody else had Email when the account was made with it.
	EmailClaimed bool
	Locale       string // BCP 47
	About        string
	Admin        bool // of the whole server
	// PresenceHidden says that nobody is told whether they are there, and when they
	// were.
	PresenceHidden  bool
	CreatedAt       time.Time
	EmailVerifiedAt time.Time // zero, if it is not
	DeactivatedAt   time.Time // zero, if it is not: then they may not sign in
	DeletedAt       time.Time // zero, if it is not
}

// LogValue keeps the hash, and what is private, out of logs.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", u.ID), slog.String("username", u.Username))
}

const (
	userColumns = `id, username, username_key, password_hash, display_name, email, pending_email, email_claimed, locale, about, admin, presence_hidden, created_at, email_verified_at, deactivated_at, deleted_at`
	selectUsers = `SELECT ` + userColumns + ` FROM users `
)

func scanUser(row scanner, u *User) error {
	var created int64
	var verified, deactivated, deleted sql.NullInt64
	err := row.Scan(&u.ID, &u.Username, &u.UsernameKey, &u.PasswordHash,
		&u.DisplayName, &u.Email, &u.PendingEmail, &u.EmailClaimed, &u.Locale, &u.About, &u.Admin, &u.PresenceHidden, &created, &verified, &deactivated, &deleted)
	u.CreatedAt, u.EmailVerifiedAt = fromMicros(created), timeOrZero(verified)
	u.DeactivatedAt, u.DeletedAt = timeOrZero(deactivated), timeOrZero(deleted)
	return err
}

// CreateUser stores a user and sets its ID; ErrConflict if the key is taken.
func (tx *Tx) CreateUser(u *User) (err error) {
	u.ID, err = tx.insert(`
		INSERT INTO users (username, username_key, password_hash, display_name, email, email_key, pending_email, email_verified_at,
			locale, about, admin, presence_hidden, created_at, email_claimed)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`,
		u.Username, u.UsernameKey, u.PasswordHash, u.DisplayName, u.Email, emailKey(u.Email), u.PendingEmail, timeOrNull(u.EmailVerifiedAt),
		u.Locale, u.About, bit(u.Admin), bit(u.PresenceHidden), micros(u.CreatedAt), bit(u.EmailClaimed))
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// UserChange is what is to be changed of a user. What is nil stays as it is.
type UserChange struct {
	Username, UsernameKey             *string // both or none
	DisplayName, Email, Locale, About *string
	PendingEmail                      *string
	PasswordHash                      *string
	Admin                             *bool
	PresenceHidden                    *bool
	// EmailVerifiedAt is when the address was verified. Without it, another address is
	// not; nor is another one claimed.
	EmailVerifiedAt *time.Time
	// DeactivatedAt is when they may sign in no more; zero, if they may. Whoever
	// is deactivated already stays so since then.
	DeactivatedAt *time.Time
}

// UpdateUser changes a user, and returns what it is then; ErrConflict if the key
// is taken, ErrNotFound if there is no such user, or it has been deleted.
func (tx *Tx) UpdateUser(id int64, c UserChange) (User, error) {
	tx.writing = true
	var admin, hidden, deactivated, key, verified any
	if c.Admin != nil {
		admin = bit(*c.Admin)
	}
	if c.PresenceHidden != nil {
		hidden = bit(*c.PresenceHidden)
	}
	if c.Email != nil {
		key = emailKey(*c.Email)
	}
	if c.EmailVerifiedAt != nil {
		verified = micros(*c.EmailVerifiedAt)
	}
	if c.DeactivatedAt != nil && !c.DeactivatedAt.IsZero() {
		deactivated = micros(*c.DeactivatedAt)
	} else if c.DeactivatedAt != nil {
		deactivated = reactivate
	}
	// One statement: what another Update changes meanwhile stays changed.
	u, err := first(tx, scanUser, `
		UPDATE users SET
			username = coalesce(?2, username), username_key = coalesce(?3, username_key),
			display_name = coalesce(?4, display_name), email = coalesce(?5, email),
			locale = coalesce(?6, locale), about = coalesce(?7, about),
			password_hash = coalesce(?8, password_hash), admin = coalesce(?9, admin),
			presence_hidden = coalesce(?11, presence_hidden),
			email_key = coalesce(?12, email_key), pending_email = coalesce(?13, pending_email),
			email_verified_at = coalesce(?14, CASE WHEN coalesce(?5, email) = email THEN email_verified_at END),
			email_claimed = CASE WHEN coalesce(?5, email) = email THEN email_claimed ELSE 0 END,
			deactivated_at = nullif(coalesce(
				CASE WHEN CAST(?10 AS BIGINT) < 0 THEN ?10 ELSE deactivated_at END, ?10), -1)
		WHERE id = ?1 AND deleted_at IS NULL
		RETURNING `+userColumns,
		id, c.Username, c.UsernameKey, c.DisplayName, c.Email, c.Locale, c.About,
		c.PasswordHash, admin, deactivated, hidden, key, c.PendingEmail, verified)
	if err != nil {
		return User{}, fmt.Errorf("update user: %w", err)
	}
	tx.wrote = true
	return u, nil
}

// reactivate stands for no time at all, which is NULL, where that means no
// change.
const reactivate = int64(-1)

// EraseUser takes what identifies a user out of the account, for good, and leaves such
// a username; ErrNotFound if there is no such user, or it has been deleted before. The
// rest goes with [Tx.EraseTrail].
func (tx *Tx) EraseUser(id int64, username, key string, at time.Time) error {
	err := tx.execOne(`
		UPDATE users SET username = ?2, username_key = ?3, deleted_at = ?4,
			password_hash = '', display_name = '', email = '', email_key = '', pending_email = '', email_verified_at = NULL, email_claimed = 0,
			locale = '', about = '', admin = 0,
			presence_hidden = 0, last_seen_at = NULL, erasing = 1
		WHERE id = ?1 AND deleted_at IS NULL`, id, username, key, micros(at))
	if err != nil {
		return fmt.Errorf("erase user: %w", err)
	}
	return nil
}

// FindUserByKey finds a user by the folded username, or ErrNotFound.
func (tx *Tx) FindUserByKey(key string) (User, error) {
	return tx.user(`WHERE username_key = ?1`, key)
}

// ListUsersByEmail lists those whose address it is, in upper or lower case, and who
// may sign in; up to limit, by id.
func (tx *Tx) ListUsersByEmail(email string, limit int) ([]User, error) {
	if email == "" {
		return nil, nil
	}
	found, err := list(tx, 4, scanUser, selectUsers+`
		WHERE email_key = ?1 AND email_key <> '' AND deactivated_at IS NULL AND deleted_at IS NULL ORDER BY id LIMIT ?2`,
		emailKey(email), limit)
	if err != nil {
		return nil, fmt.Errorf("list users by e-mail address: %w", err)
	}
	return found, nil
}

// FindUserByEmail finds who has an address, in upper or lower case, or is to have it when
// it has been verified; or ErrNotFound. Of several, it is one who has shown that they read
// what is sent there, else who claimed it, and else the oldest account.
func (tx *Tx) FindUserByEmail(email string) (User, error) {
	if email == "" {
		return User{}, fmt.Errorf("find user by e-mail address: %w", ErrNotFound)
	}
	u, err := first(tx, scanUser, selectUsers+`
		WHERE deleted_at IS NULL AND (email_key <> '' AND email_key = ?1 OR pending_email <> '' AND lower(pending_email) = ?1)
		ORDER BY CASE WHEN email_key = ?1 AND email_verified_at IS NOT NULL THEN 0 WHEN email_key = ?1 AND email_claimed = 1 THEN 1 ELSE 2 END, id LIMIT 1`, emailKey(email))
	if err != nil {
		return User{}, fmt.Errorf("find user by e-mail address: %w", err)
	}
	return u, nil
}

// emailKey folds an address as the databases can: ASCII letters alone.
func emailKey(email string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, email)
}

// FindUserByID finds a user, or ErrNotFound.
func (tx *Tx) FindUserByID(id int64) (User, error) {
	return tx.user(`WHERE id = ?1`, id)
}

// CountAccounts counts those of some users, none of them twice, that are there and have
// not been deleted.
func (tx *Tx) CountAccounts(ids []int64) (n int, err error) {
	var args arguments
	err = tx.one(`SELECT count(*) FROM users WHERE id IN (`+among(&args, ids)+`) AND deleted_at IS NULL`, args, &n)
	if err != nil {
		return 0, fmt.Errorf("count accounts: %w", err)
	}
	return n, nil
}

// LockUser finds a user, and keeps all other Updates from changing it until this
// one has ended; ErrNotFound if there is no such user, or it has been deleted.
func (tx *Tx) LockUser(id int64) (User, error) {
	tx.writing = true // as far as the order of locks is concerned
	return tx.user(`WHERE id = ?1 AND deleted_at IS NULL`+tx.dialect.forUpdate("users"), id)
}

// LockAdmins lists the admins that may sign in, by their ids. Nobody changes one of
// them until the Update has ended.
func (tx *Tx) LockAdmins() ([]int64, error) {
	tx.writing = true // as far as the order of locks is concerned
	found, err := list(tx, 4, scanID, `
		SELECT id FROM users WHERE admin = 1 AND deactivated_at IS NULL AND deleted_at IS NULL
		ORDER BY id`+tx.dialect.forUpdate("users"))
	if err != nil {
		return nil, fmt.Errorf("lock admins: %w", err)
	}
	return found, nil
}

func (tx *Tx) user(where string, arg any) (User, error) {
	u, err := first(tx, scanUser, selectUsers+where, arg)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return u, nil
}

// The columns of users that a [Filter] may name.
const (
	UserID          Field = "id"
	UserUsername    Field = "username"
	UserUsernameKey Field = "username_key"
	UserDisplayName Field = "display_name"
	UserAbout       Field = "about"
	UserCreatedAt   Field = "created_at"
	UserEmail       Field = "email"
	UserAdmin       Field = "admin" // 1 or 0, as what follows
	// UserShownName is the display name or, of those who have none, the username.
	UserShownName   Field = "(CASE WHEN display_name = '' THEN username ELSE display_name END)"
	UserDeactivated Field = "(CASE WHEN deactivated_at IS NULL THEN 0 ELSE 1 END)"
)

// ListUsers lists the users that a filter names, but for those deleted; by id,
// if the filter gives no order.
func (tx *Tx) ListUsers(f Filter) ([]User, error) {
	where, args := f.sql(tx.dialect, "deleted_at IS NULL", UserID)
	found, err := list(tx, 64, scanUser, selectUsers+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return found, nil
}
