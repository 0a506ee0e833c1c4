CREATE TABLE blocks (
	blocker_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	blocked_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (blocker_id, blocked_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_blocked ON blocks (blocked_id);
CREATE TABLE chats (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	kind        TEXT    NOT NULL CHECK (kind IN ('group', 'direct', 'self')),
	title       TEXT    NOT NULL DEFAULT '',
	direct_low  INTEGER, -- the two people of a direct chat, the lower id first;
	direct_high INTEGER, -- both NULL in a group, both the same in a chat with oneself
	last_seq    INTEGER NOT NULL DEFAULT 0,
	created_at  INTEGER NOT NULL,
	UNIQUE (direct_low, direct_high),
	CHECK ((kind = 'group') = (direct_low IS NULL)),
	CHECK ((kind = 'group') = (direct_high IS NULL))
) STRICT;
CREATE TABLE events (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	type       TEXT    NOT NULL,
	chat_id    INTEGER NOT NULL,
	actor_id   INTEGER NOT NULL,
	message_id INTEGER, -- of message.*
	user_id    INTEGER, -- of participant.*: whom it is about
	created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE messages (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	chat_id    INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	seq        INTEGER NOT NULL, -- 1, 2, 3… in its chat
	sender_id  INTEGER NOT NULL REFERENCES users (id),
	text       TEXT    NOT NULL,
	client_id  TEXT,             -- the sender's idempotency key
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_chat ON messages (chat_id, id);
CREATE UNIQUE INDEX messages_client ON messages (sender_id, client_id) WHERE client_id IS NOT NULL;
CREATE TABLE participants (
	chat_id   INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	joined_at INTEGER NOT NULL,
	PRIMARY KEY (chat_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_user ON participants (user_id);
CREATE TABLE sessions (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	token_hash BLOB    NOT NULL UNIQUE, -- SHA-256; the token itself is only in the cookie
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE TABLE users (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	username      TEXT    NOT NULL,        -- as typed
	username_key  TEXT    NOT NULL UNIQUE, -- folded: what makes two names the same
	password_hash TEXT    NOT NULL,
	created_at    INTEGER NOT NULL
, display_name TEXT NOT NULL DEFAULT '', email        TEXT NOT NULL DEFAULT '', locale       TEXT NOT NULL DEFAULT '', about        TEXT NOT NULL DEFAULT '', deleted_at   INTEGER) STRICT;
