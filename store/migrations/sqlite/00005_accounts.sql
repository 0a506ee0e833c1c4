-- +goose Up
ALTER TABLE users ADD COLUMN email_key         TEXT NOT NULL DEFAULT ''; -- folded: what the same addresses have in common
ALTER TABLE users ADD COLUMN email_verified_at INTEGER;                  -- its owner has shown to read what is sent there
ALTER TABLE users ADD COLUMN pending_email     TEXT NOT NULL DEFAULT ''; -- takes the place of email when it has been verified
ALTER TABLE users ADD COLUMN email_claimed     INTEGER NOT NULL DEFAULT 0;        -- whoever registered with it asked that nobody else had it
UPDATE users SET email_key = lower(email);
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';
CREATE INDEX users_pending_email ON users (lower(pending_email)) WHERE pending_email <> '';

ALTER TABLE sessions ADD COLUMN kind             TEXT    NOT NULL DEFAULT 'cookie' CHECK (kind IN ('cookie', 'token', 'key', 'basic', 'trusted'));
ALTER TABLE sessions ADD COLUMN name             TEXT    NOT NULL DEFAULT ''; -- of a key
ALTER TABLE sessions ADD COLUMN scopes           TEXT    NOT NULL DEFAULT ''; -- of a key, with spaces between; others have all
ALTER TABLE sessions ADD COLUMN user_agent       TEXT    NOT NULL DEFAULT ''; -- of its last use, as the address
ALTER TABLE sessions ADD COLUMN address          TEXT    NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN used_at          INTEGER NOT NULL DEFAULT 0;  -- not to the minute
ALTER TABLE sessions ADD COLUMN token_expires_at INTEGER; -- when the token needs to be refreshed; expires_at is that of the refresh token then
ALTER TABLE sessions ADD COLUMN family_hash      BLOB;    -- SHA-256 of what all its refresh tokens begin with
ALTER TABLE sessions ADD COLUMN refresh_hash     BLOB;    -- and of the one that has not been used
ALTER TABLE sessions ADD COLUMN refresh_answer   BLOB;    -- what the last refresh answered, sealed with its idempotency key and the token that it used up
UPDATE sessions SET used_at = created_at;
CREATE UNIQUE INDEX sessions_family ON sessions (family_hash) WHERE family_hash IS NOT NULL;

-- Where somebody has signed in from before: devices and networks.
CREATE TABLE known_places (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	place_hash BLOB    NOT NULL, -- SHA-256
	created_at INTEGER NOT NULL,
	used_at    INTEGER NOT NULL,
	UNIQUE (user_id, place_hash)
) STRICT;
CREATE INDEX known_places_use ON known_places (used_at);

-- Whom an administrator lets make an account.
CREATE TABLE invitations (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	token_hash BLOB    NOT NULL UNIQUE, -- SHA-256; the token itself is only with those invited
	creator_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	note       TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	max_uses   INTEGER NOT NULL,
	uses       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX invitations_creator ON invitations (creator_id);

-- Accounts that there will be when their address has been verified.
CREATE TABLE registrations (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	username      TEXT    NOT NULL,
	password_hash TEXT    NOT NULL,
	email         TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX registrations_expiry ON registrations (expires_at);

-- What is sent by mail to show that one reads it: to be used once.
CREATE TABLE one_time_tokens (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	token_hash      BLOB    NOT NULL UNIQUE, -- SHA-256; the token itself is only in the mail
	purpose         TEXT    NOT NULL CHECK (purpose IN ('reset_password', 'verify_email', 'register')),
	user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,
	registration_id INTEGER REFERENCES registrations (id) ON DELETE CASCADE,
	email           TEXT    NOT NULL, -- that it was sent to
	created_at      INTEGER NOT NULL,
	expires_at      INTEGER NOT NULL,
	UNIQUE (user_id, purpose),
	UNIQUE (registration_id),
	CHECK ((user_id IS NULL) <> (registration_id IS NULL))
) STRICT;
CREATE INDEX one_time_tokens_expiry ON one_time_tokens (expires_at);

-- Mails that are still to be sent. No secret is among the data: a token is made
-- when its mail is sent.
CREATE TABLE mails (
	id              INTEGER PRIMARY KEY AUTOINCREMENT,
	kind            TEXT    NOT NULL,
	user_id         INTEGER REFERENCES users (id) ON DELETE CASCADE,
	registration_id INTEGER REFERENCES registrations (id) ON DELETE CASCADE,
	address         TEXT    NOT NULL,
	locale          TEXT    NOT NULL, -- BCP 47; may be empty
	data            TEXT    NOT NULL, -- JSON
	created_at      INTEGER NOT NULL,
	due_at          INTEGER NOT NULL, -- when it is to be tried next
	attempts        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX mails_due ON mails (due_at);
CREATE INDEX mails_user ON mails (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX mails_registration ON mails (registration_id) WHERE registration_id IS NOT NULL;

-- What has been used up of the rates that all nodes share. A row whose time has
-- passed says nothing.
CREATE TABLE rate_limits (
	key     BLOB    PRIMARY KEY, -- SHA-256
	full_at INTEGER NOT NULL     -- when all of it can be had again
) STRICT, WITHOUT ROWID;
CREATE INDEX rate_limits_full ON rate_limits (full_at);

-- Whose account has been deleted, while there is still something of what identified
-- them.
ALTER TABLE users ADD COLUMN erasing INTEGER NOT NULL DEFAULT 0;
UPDATE users SET erasing = 1 WHERE deleted_at IS NOT NULL;
CREATE INDEX users_erasing ON users (id) WHERE erasing = 1;
CREATE INDEX events_profile ON events (user_id, id) WHERE type = 'user.updated';

-- The chats that somebody was in once: what they have written there is still theirs.
CREATE TABLE past_participants (
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	PRIMARY KEY (user_id, chat_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_participants_chat ON past_participants (chat_id);
INSERT INTO past_participants (user_id, chat_id)
	SELECT DISTINCT m.sender_id, m.chat_id FROM messages m
	JOIN users u ON u.id = m.sender_id AND u.deleted_at IS NULL
	WHERE NOT EXISTS (SELECT 1 FROM participants p WHERE p.chat_id = m.chat_id AND p.user_id = m.sender_id);

-- By what the names of public groups are told apart, where they have to be different.
CREATE INDEX chats_title ON chats (title) WHERE visibility = 'public';

-- +goose Down
DROP INDEX chats_title;
DROP TABLE past_participants;
DROP INDEX events_profile;
DROP INDEX users_erasing;
ALTER TABLE users DROP COLUMN erasing;
DROP TABLE rate_limits;
DROP TABLE mails;
DROP TABLE one_time_tokens;
DROP TABLE registrations;
DROP TABLE invitations;
DROP TABLE known_places;
DROP INDEX sessions_family;
DELETE FROM sessions WHERE kind <> 'cookie';
ALTER TABLE sessions DROP COLUMN refresh_answer;
ALTER TABLE sessions DROP COLUMN refresh_hash;
ALTER TABLE sessions DROP COLUMN family_hash;
ALTER TABLE sessions DROP COLUMN token_expires_at;
ALTER TABLE sessions DROP COLUMN used_at;
ALTER TABLE sessions DROP COLUMN address;
ALTER TABLE sessions DROP COLUMN user_agent;
ALTER TABLE sessions DROP COLUMN scopes;
ALTER TABLE sessions DROP COLUMN name;
ALTER TABLE sessions DROP COLUMN kind;
DROP INDEX users_pending_email;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email_claimed;
ALTER TABLE users DROP COLUMN pending_email;
ALTER TABLE users DROP COLUMN email_verified_at;
ALTER TABLE users DROP COLUMN email_key;
