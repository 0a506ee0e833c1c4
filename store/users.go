package store

import (
	"database/sql"
	"fmt"
	"log/slog"
	"time"
)

// User is an account.
type User struct {
	ID            int64
	Username      string // as typed
	UsernameKey   string // folded: unique
	PasswordHash  string `json:"-"`
	DisplayName   string // may be empty, as all that follows
	Email         string
	Locale        string // BCP 47
	About         string
	Admin         bool // of the whole server
	CreatedAt     time.Time
	DeactivatedAt time.Time // zero, if it is not: then they may not sign in
	DeletedAt     time.Time // zero, if it is not
}

// LogValue keeps the hash, and what is private, out of logs.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", u.ID), slog.String("username", u.Username))
}

const (
	userColumns = `id, username, username_key, password_hash, display_name, email, locale, about, admin, created_at, deactivated_at, deleted_at`
	selectUsers = `SELECT ` + userColumns + ` FROM users `
)

func scanUser(row scanner, u *User) error {
	var created int64
	var deactivated, deleted sql.NullInt64
	err := row.Scan(&u.ID, &u.Username, &u.UsernameKey, &u.PasswordHash,
		&u.DisplayName, &u.Email, &u.Locale, &u.About, &u.Admin, &created, &deactivated, &deleted)
	u.CreatedAt = fromMicros(created)
	u.DeactivatedAt, u.DeletedAt = timeOrZero(deactivated), timeOrZero(deleted)
	return err
}

// CreateUser stores a user and sets its ID; ErrConflict if the key is taken.
func (tx *Tx) CreateUser(u *User) (err error) {
	u.ID, err = tx.insert(`
		INSERT INTO users (username, username_key, password_hash, display_name, email, locale, about, created_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)`,
		u.Username, u.UsernameKey, u.PasswordHash, u.DisplayName, u.Email, u.Locale, u.About, micros(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// UserChange is what is to be changed of a user. What is nil stays as it is.
type UserChange struct {
	Username, UsernameKey             *string // both or none
	DisplayName, Email, Locale, About *string
}

// UpdateUser changes a user, and returns what it is then; ErrConflict if the key
// is taken, ErrNotFound if there is no such user, or it has been deleted.
func (tx *Tx) UpdateUser(id int64, c UserChange) (User, error) {
	tx.writing = true
	// One statement: what another Update changes meanwhile stays changed.
	u, err := first(tx, scanUser, `
		UPDATE users SET
			username = coalesce(?2, username), username_key = coalesce(?3, username_key),
			display_name = coalesce(?4, display_name), email = coalesce(?5, email),
			locale = coalesce(?6, locale), about = coalesce(?7, about)
		WHERE id = ?1 AND deleted_at IS NULL
		RETURNING `+userColumns,
		id, c.Username, c.UsernameKey, c.DisplayName, c.Email, c.Locale, c.About)
	if err != nil {
		return User{}, fmt.Errorf("update user: %w", err)
	}
	tx.wrote = true
	return u, nil
}

// LockUser finds a user, and keeps all other Updates from changing it until this
// one has ended; ErrNotFound if there is no such user, or it has been deleted.
func (tx *Tx) LockUser(id int64) (User, error) {
	return tx.user(`WHERE id = ?1 AND deleted_at IS NULL`+tx.dialect.forUpdate("users"), id)
}

// EraseUser takes all that identifies a user away, for good, and leaves such a
// username; ErrNotFound if there is no such user, or it has been deleted before.
func (tx *Tx) EraseUser(id int64, username, key string, at time.Time) error {
	err := tx.execOne(`
		UPDATE users SET username = ?2, username_key = ?3, deleted_at = ?4,
			password_hash = '', display_name = '', email = '', locale = '', about = ''
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

// FindUserByID finds a user, or ErrNotFound.
func (tx *Tx) FindUserByID(id int64) (User, error) {
	return tx.user(`WHERE id = ?1`, id)
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
