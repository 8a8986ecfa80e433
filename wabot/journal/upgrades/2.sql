-- Version 1 → 2.

-- What was brought back from the archive stays the archive's own, whatever becomes of it here.
UPDATE messages SET archived = 4611686018427387904 WHERE id < 1;

-- Notices that come again are counted, not stored again.
ALTER TABLE notices ADD COLUMN hash BLOB;
ALTER TABLE notices ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX notices_hash ON notices (hash) WHERE hash IS NOT NULL;

-- Webhooks for a phone number id that is not configured, whole, until it is. `dropped`: those that made room for others.
CREATE TABLE foreign_webhooks (
    id              INTEGER PRIMARY KEY,
    received_at     REAL    NOT NULL,
    phone_number_id TEXT    NOT NULL,
    size            INTEGER NOT NULL,               -- bytes of raw
    raw             TEXT    NOT NULL
) STRICT;
CREATE INDEX foreign_webhooks_for ON foreign_webhooks (phone_number_id, id);
CREATE TABLE foreign_totals (
    webhooks INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    dropped  INTEGER NOT NULL
) STRICT;
INSERT INTO foreign_totals VALUES (0, 0, 0);
