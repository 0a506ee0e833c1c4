-- +goose Up
ALTER TABLE users ADD COLUMN presence_hidden BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_seen_at    BIGINT; -- by the others; not kept up while it is hidden

-- Whom an event is for: 0 is those who take part in the chat, 1 the user alone,
-- 2 both.
ALTER TABLE events ADD COLUMN audience SMALLINT NOT NULL DEFAULT 0;
UPDATE events SET audience = CASE type WHEN 'participant.removed' THEN 2 ELSE 1 END
WHERE type IN ('participant.removed', 'message.hidden', 'chat.settings', 'chat.deleted');
-- For those who come back, and ask what there was in their chats. They hold what is
-- asked for and no more, so that no event itself is looked at. The types are those
-- of the version before, which knows no audience and may still write.
CREATE INDEX events_chat ON events (chat_id, id)
	WHERE audience <> 1 AND type NOT IN ('message.hidden', 'chat.settings', 'chat.deleted');
CREATE INDEX events_user ON events (user_id, id) WHERE audience > 0 AND type <> 'session.ended';

-- What the places in the log are worth, in its one row.
CREATE TABLE feed (
	epoch  TEXT   COLLATE "C" NOT NULL, -- another one, if the log has been put back to what it was
	pruned BIGINT NOT NULL              -- the last event that was removed for its age
);
INSERT INTO feed VALUES (left(replace(gen_random_uuid()::text, '-', ''), 12), 0);

-- +goose Down
DROP TABLE feed;
DROP INDEX events_user;
DROP INDEX events_chat;
ALTER TABLE events DROP COLUMN audience;
ALTER TABLE users DROP COLUMN last_seen_at;
ALTER TABLE users DROP COLUMN presence_hidden;
