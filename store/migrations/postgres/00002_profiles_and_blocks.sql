-- +goose Up
ALTER TABLE users ADD COLUMN display_name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN email        TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN locale       TEXT COLLATE "C" NOT NULL DEFAULT ''; -- BCP 47
ALTER TABLE users ADD COLUMN about        TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN deleted_at   BIGINT; -- what identified the person is gone; the messages stay

CREATE TABLE blocks (
	blocker_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	blocked_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (blocker_id, blocked_id)
);
CREATE INDEX blocks_blocked ON blocks (blocked_id);

-- +goose Down
DROP TABLE blocks;
ALTER TABLE users DROP COLUMN deleted_at;
ALTER TABLE users DROP COLUMN about;
ALTER TABLE users DROP COLUMN locale;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN display_name;
