package store

import (
	"fmt"
	"log/slog"
	"time"
)

// User is an account.
type User struct {
	ID           int64
	Username     string // as typed
	UsernameKey  string // folded: unique
	PasswordHash string `json:"-"`
	CreatedAt    time.Time
}

// LogValue keeps the hash out of logs.
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int64("id", u.ID), slog.String("username", u.Username))
}

const userColumns = `id, username, username_key, password_hash, created_at`

// CreateUser stores a user and sets its ID; ErrConflict if the key is taken.
func (tx *Tx) CreateUser(u *User) (err error) {
	u.ID, err = tx.insert(`
		INSERT INTO users (username, username_key, password_hash, created_at)
		VALUES (?1, ?2, ?3, ?4)`,
		u.Username, u.UsernameKey, u.PasswordHash, micros(u.CreatedAt))
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// FindUserByKey finds a user by the folded username, or ErrNotFound.
func (tx *Tx) FindUserByKey(key string) (User, error) {
	return tx.user(`SELECT `+userColumns+` FROM users WHERE username_key = ?1`, key)
}

// FindUserByID finds a user, or ErrNotFound.
func (tx *Tx) FindUserByID(id int64) (User, error) {
	return tx.user(`SELECT `+userColumns+` FROM users WHERE id = ?1`, id)
}

func (tx *Tx) user(query string, arg any) (User, error) {
	var u User
	var created int64
	err := tx.one(query, []any{arg}, &u.ID, &u.Username, &u.UsernameKey, &u.PasswordHash, &created)
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	u.CreatedAt = fromMicros(created)
	return u, nil
}
