CREATE TABLE answers (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	key_hash   BLOB    NOT NULL, -- SHA-256
	operation  TEXT    NOT NULL,
	body       BLOB    NOT NULL, -- sealed with the key: some answers hold a secret
	created_at INTEGER NOT NULL,
	UNIQUE (user_id, key_hash)
) STRICT;
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
	created_at  INTEGER NOT NULL, description TEXT    NOT NULL DEFAULT '', visibility  TEXT    NOT NULL DEFAULT 'private' CHECK (visibility IN ('public', 'private')), managed_by  TEXT    NOT NULL DEFAULT 'members' CHECK (managed_by IN ('members', 'admins')), active_at   INTEGER NOT NULL DEFAULT 0, deleted_at  INTEGER,
	UNIQUE (direct_low, direct_high),
	CHECK ((kind = 'group') = (direct_low IS NULL)),
	CHECK ((kind = 'group') = (direct_high IS NULL))
) STRICT;
CREATE INDEX chats_deleted ON chats (id) WHERE deleted_at IS NOT NULL;
CREATE INDEX chats_public ON chats (id) WHERE visibility = 'public';
CREATE INDEX chats_title ON chats (title) WHERE visibility = 'public';
CREATE TABLE events (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	type       TEXT    NOT NULL,
	chat_id    INTEGER NOT NULL,
	actor_id   INTEGER NOT NULL,
	message_id INTEGER, -- of message.*
	user_id    INTEGER, -- of participant.*: whom it is about
	created_at INTEGER NOT NULL
, data TEXT, audience INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX events_chat ON events (chat_id, id)
	WHERE audience <> 1 AND type NOT IN ('message.hidden', 'chat.settings', 'chat.deleted');
CREATE INDEX events_profile ON events (user_id, id) WHERE type = 'user.updated';
CREATE INDEX events_user ON events (user_id, id) WHERE audience > 0 AND type <> 'session.ended';
CREATE TABLE feed (
	epoch  TEXT    NOT NULL, -- another one, if the log has been put back to what it was
	pruned INTEGER NOT NULL  -- the last event that was removed for its age
) STRICT;
CREATE TABLE hidden_messages (
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	PRIMARY KEY (user_id, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hidden_messages_message ON hidden_messages (message_id);
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
CREATE TABLE known_places (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	place_hash BLOB    NOT NULL, -- SHA-256
	created_at INTEGER NOT NULL,
	used_at    INTEGER NOT NULL,
	UNIQUE (user_id, place_hash)
) STRICT;
CREATE INDEX known_places_use ON known_places (used_at);
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
CREATE INDEX mails_registration ON mails (registration_id) WHERE registration_id IS NOT NULL;
CREATE INDEX mails_user ON mails (user_id) WHERE user_id IS NOT NULL;
CREATE TABLE message_edits (
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	version    INTEGER NOT NULL, -- 1, 2, 3…
	text       TEXT    NOT NULL, -- that was replaced
	created_at INTEGER NOT NULL, -- when it was written
	PRIMARY KEY (message_id, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	chat_id    INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	seq        INTEGER NOT NULL, -- 1, 2, 3… in its chat
	sender_id  INTEGER NOT NULL REFERENCES users (id),
	text       TEXT    NOT NULL,
	client_id  TEXT,             -- the sender's idempotency key
	created_at INTEGER NOT NULL
, flags       INTEGER NOT NULL DEFAULT 0, edited_at   INTEGER, deleted_at  INTEGER, reply_to    INTEGER, thread_id   INTEGER, reply_count INTEGER NOT NULL DEFAULT 0, mentions    TEXT) STRICT;
CREATE INDEX messages_chat ON messages (chat_id, id);
CREATE UNIQUE INDEX messages_client ON messages (sender_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX messages_thread ON messages (thread_id, id) WHERE thread_id IS NOT NULL;
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
CREATE TABLE participants (
	chat_id   INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	user_id   INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	joined_at INTEGER NOT NULL, role          TEXT    NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')), muted_until   INTEGER NOT NULL DEFAULT 0, archived      INTEGER NOT NULL DEFAULT 0, marked_unread INTEGER NOT NULL DEFAULT 0, read_seq      INTEGER NOT NULL DEFAULT 0, delivered_seq INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (chat_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX participants_user ON participants (user_id);
CREATE TABLE past_participants (
	user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
	PRIMARY KEY (user_id, chat_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_participants_chat ON past_participants (chat_id);
CREATE TABLE poll_votes (
	message_id INTEGER NOT NULL REFERENCES polls (message_id) ON DELETE CASCADE,
	choice     INTEGER NOT NULL, -- which of the options, from 0
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (message_id, choice, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE polls (
	message_id INTEGER PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
	options    TEXT    NOT NULL, -- JSON: ["…", …]
	multiple   INTEGER NOT NULL,
	anonymous  INTEGER NOT NULL,
	closes_at  INTEGER
) STRICT;
CREATE TABLE rate_limits (
	key     BLOB    PRIMARY KEY, -- SHA-256
	full_at INTEGER NOT NULL     -- when all of it can be had again
) STRICT, WITHOUT ROWID;
CREATE INDEX rate_limits_full ON rate_limits (full_at);
CREATE TABLE reactions (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	emoji      TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	UNIQUE (message_id, emoji, user_id)
) STRICT;
CREATE TABLE registrations (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	username      TEXT    NOT NULL,
	password_hash TEXT    NOT NULL,
	email         TEXT    NOT NULL,
	created_at    INTEGER NOT NULL,
	expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX registrations_expiry ON registrations (expires_at);
CREATE TABLE search_state (
	position   INTEGER NOT NULL,
	backfilled INTEGER NOT NULL,
	backfill   INTEGER NOT NULL
) STRICT;
CREATE TABLE search_terms (
	space INTEGER NOT NULL,
	term  TEXT    NOT NULL,
	id    INTEGER NOT NULL, -- of the message, user or group
	PRIMARY KEY (space, term, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	token_hash BLOB    NOT NULL UNIQUE, -- SHA-256; the token itself is only in the cookie
	user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
, kind             TEXT    NOT NULL DEFAULT 'cookie' CHECK (kind IN ('cookie', 'token', 'key', 'basic', 'trusted')), name             TEXT    NOT NULL DEFAULT '', scopes           TEXT    NOT NULL DEFAULT '', user_agent       TEXT    NOT NULL DEFAULT '', address          TEXT    NOT NULL DEFAULT '', used_at          INTEGER NOT NULL DEFAULT 0, token_expires_at INTEGER, family_hash      BLOB, refresh_hash     BLOB, refresh_answer   BLOB) STRICT;
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE UNIQUE INDEX sessions_family ON sessions (family_hash) WHERE family_hash IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE TABLE users (
	id            INTEGER PRIMARY KEY AUTOINCREMENT,
	username      TEXT    NOT NULL,        -- as typed
	username_key  TEXT    NOT NULL UNIQUE, -- folded: what makes two names the same
	password_hash TEXT    NOT NULL,
	created_at    INTEGER NOT NULL
, display_name TEXT NOT NULL DEFAULT '', email        TEXT NOT NULL DEFAULT '', locale       TEXT NOT NULL DEFAULT '', about        TEXT NOT NULL DEFAULT '', deleted_at   INTEGER, admin          INTEGER NOT NULL DEFAULT 0, deactivated_at INTEGER, presence_hidden INTEGER NOT NULL DEFAULT 0, last_seen_at    INTEGER, email_key         TEXT NOT NULL DEFAULT '', email_verified_at INTEGER, pending_email     TEXT NOT NULL DEFAULT '', email_claimed     INTEGER NOT NULL DEFAULT 0, erasing INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX users_admin ON users (id) WHERE admin = 1;
CREATE INDEX users_email ON users (email_key) WHERE email_key <> '';
CREATE INDEX users_erasing ON users (id) WHERE erasing = 1;
CREATE INDEX users_pending_email ON users (lower(pending_email)) WHERE pending_email <> '';
