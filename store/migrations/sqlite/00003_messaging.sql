-- +goose Up
ALTER TABLE users ADD COLUMN admin          INTEGER NOT NULL DEFAULT 0; -- of the whole server
ALTER TABLE users ADD COLUMN deactivated_at INTEGER;                    -- may not sign in
CREATE INDEX users_admin ON users (id) WHERE admin = 1;

ALTER TABLE chats ADD COLUMN description TEXT    NOT NULL DEFAULT '';
ALTER TABLE chats ADD COLUMN visibility  TEXT    NOT NULL DEFAULT 'private' CHECK (visibility IN ('public', 'private'));
ALTER TABLE chats ADD COLUMN managed_by  TEXT    NOT NULL DEFAULT 'members' CHECK (managed_by IN ('members', 'admins'));
ALTER TABLE chats ADD COLUMN active_at   INTEGER NOT NULL DEFAULT 0; -- the time of the last message, or created_at
ALTER TABLE chats ADD COLUMN deleted_at  INTEGER; -- nobody is in it any more; what it holds is removed bit by bit
UPDATE chats SET active_at = coalesce(
	(SELECT m.created_at FROM messages m WHERE m.chat_id = chats.id ORDER BY m.id DESC LIMIT 1), created_at);
CREATE INDEX chats_public ON chats (id) WHERE visibility = 'public';
CREATE INDEX chats_deleted ON chats (id) WHERE deleted_at IS NOT NULL;

ALTER TABLE participants ADD COLUMN role          TEXT    NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member'));
ALTER TABLE participants ADD COLUMN muted_until   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE participants ADD COLUMN archived      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE participants ADD COLUMN marked_unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE participants ADD COLUMN read_seq      INTEGER NOT NULL DEFAULT 0; -- up to this message, all is read
ALTER TABLE participants ADD COLUMN delivered_seq INTEGER NOT NULL DEFAULT 0;
-- What there has been so far is read, and each group has the owner that it
-- would have had: who made it or, if they left, who has been in it longest.
UPDATE participants SET read_seq = (SELECT last_seq FROM chats WHERE id = chat_id);
UPDATE participants SET delivered_seq = read_seq;
CREATE INDEX chat_creators ON events (chat_id, actor_id) WHERE type = 'chat.created';
UPDATE participants SET role = 'owner' WHERE (chat_id, user_id) IN (
	SELECT chat_id, user_id FROM (
		SELECT p.chat_id, p.user_id,
			row_number() OVER (PARTITION BY p.chat_id ORDER BY e.id IS NULL, p.joined_at, p.user_id) AS place
		FROM participants p
		JOIN chats c ON c.id = p.chat_id AND c.kind = 'group'
		LEFT JOIN events e ON e.type = 'chat.created' AND e.chat_id = p.chat_id AND e.actor_id = p.user_id
	) AS candidates
	WHERE place = 1);
DROP INDEX chat_creators;

ALTER TABLE messages ADD COLUMN flags       INTEGER NOT NULL DEFAULT 0; -- which of the rest is to be looked at
ALTER TABLE messages ADD COLUMN edited_at   INTEGER;
ALTER TABLE messages ADD COLUMN deleted_at  INTEGER; -- the text is gone
ALTER TABLE messages ADD COLUMN reply_to    INTEGER; -- a message of the same chat
ALTER TABLE messages ADD COLUMN thread_id   INTEGER; -- the message that began the thread
ALTER TABLE messages ADD COLUMN reply_count INTEGER NOT NULL DEFAULT 0; -- of the thread that it began
ALTER TABLE messages ADD COLUMN mentions    TEXT;    -- JSON: [[start, length, user id], …], in characters
CREATE INDEX messages_thread ON messages (thread_id, id) WHERE thread_id IS NOT NULL;

CREATE TABLE message_edits (
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL, -- 1, 2, 3…
	text       TEXT    NOT NULL, -- that was replaced
	created_at INTEGER NOT NULL, -- when it was written
	PRIMARY KEY (message_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE hidden_messages (
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	PRIMARY KEY (user_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hidden_messages_message ON hidden_messages (message_id);

CREATE TABLE reactions (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	emoji      TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (message_id, emoji, user_id)
) STRICT;

CREATE TABLE polls (
	message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
	options    TEXT    NOT NULL, -- JSON: ["…", …]
	multiple   INTEGER NOT NULL,
	anonymous  INTEGER NOT NULL,
	closes_at  INTEGER
) STRICT;

CREATE TABLE poll_votes (
	message_id INTEGER NOT NULL REFERENCES polls (message_id) ON DELETE CASCADE,
	choice     INTEGER NOT NULL, -- which of the options, from 0
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (message_id, choice, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	chat_id    INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	token_hash BLOB    NOT NULL UNIQUE, -- SHA-256; the token itself is only with those invited
	creator_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	max_uses   INTEGER,
	uses       INTEGER NOT NULL DEFAULT 0,
	revoked_at INTEGER
) STRICT;
CREATE INDEX invites_chat ON invites (chat_id);

-- What was answered to a request with an idempotency key, but for messages,
-- which keep their own.
CREATE TABLE answers (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	key_hash   BLOB    NOT NULL, -- SHA-256
	operation  TEXT    NOT NULL,
	body       BLOB    NOT NULL, -- sealed with the key: some answers hold a secret
	created_at INTEGER NOT NULL,
	UNIQUE (user_id, key_hash)
) STRICT;

-- No foreign keys: it outlives what it tells of.
CREATE TABLE audit_log (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	action     TEXT    NOT NULL,
	actor_id   INTEGER, -- who did it
	user_id    INTEGER, -- to whom
	chat_id    INTEGER,
	address    TEXT    NOT NULL, -- of the client
	detail     TEXT    NOT NULL,
	created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_log_action ON audit_log (action);
CREATE INDEX audit_log_actor ON audit_log (actor_id);
CREATE INDEX audit_log_user ON audit_log (user_id);

-- What is found by which word. A space is a chat, whose messages it holds; 0 holds
-- the users, -1 the groups.
CREATE TABLE search_terms (
	space INTEGER NOT NULL,
	term  TEXT    NOT NULL,
	id    INTEGER NOT NULL, -- of the message, user or group
	PRIMARY KEY (space, term, id)
) STRICT, WITHOUT ROWID;

-- How far the index of the messages has come: in the log of events, and among
-- the messages that were there before it was kept.
CREATE TABLE search_state (
	position   INTEGER NOT NULL,
	backfilled INTEGER NOT NULL,
	backfill   INTEGER NOT NULL
) STRICT;
INSERT INTO search_state SELECT
	(SELECT coalesce(max(id), 0) FROM events), 0, (SELECT coalesce(max(id), 0) FROM messages);

ALTER TABLE events ADD COLUMN data TEXT; -- JSON: what else there is to tell

-- +goose Down
ALTER TABLE events DROP COLUMN data;
DROP TABLE search_state;
DROP TABLE search_terms;
DROP TABLE audit_log;
DROP TABLE answers;
DROP TABLE invites;
DROP TABLE poll_votes;
DROP TABLE polls;
DROP TABLE reactions;
DROP TABLE hidden_messages;
DROP TABLE message_edits;
DROP INDEX messages_thread;
ALTER TABLE messages DROP COLUMN mentions;
ALTER TABLE messages DROP COLUMN reply_count;
ALTER TABLE messages DROP COLUMN thread_id;
ALTER TABLE messages DROP COLUMN reply_to;
ALTER TABLE messages DROP COLUMN deleted_at;
ALTER TABLE messages DROP COLUMN edited_at;
ALTER TABLE messages DROP COLUMN flags;
ALTER TABLE participants DROP COLUMN delivered_seq;
ALTER TABLE participants DROP COLUMN read_seq;
ALTER TABLE participants DROP COLUMN marked_unread;
ALTER TABLE participants DROP COLUMN archived;
ALTER TABLE participants DROP COLUMN muted_until;
ALTER TABLE participants DROP COLUMN role;
DROP INDEX chats_deleted;
DROP INDEX chats_public;
ALTER TABLE chats DROP COLUMN deleted_at;
ALTER TABLE chats DROP COLUMN active_at;
ALTER TABLE chats DROP COLUMN managed_by;
ALTER TABLE chats DROP COLUMN visibility;
ALTER TABLE chats DROP COLUMN description;
DROP INDEX users_admin;
ALTER TABLE users DROP COLUMN deactivated_at;
ALTER TABLE users DROP COLUMN admin;
