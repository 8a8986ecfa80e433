-- Version 1 → 2.

-- What was brought back from the archive stays the archive's own, whatever becomes of it here.
UPDATE messages SET archived = 4611686018427387904 WHERE id < 1;

-- Notices that come again are counted, not stored again.
ALTER TABLE notices ADD COLUMN hash BLOB;
ALTER TABLE notices ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX notices_hash ON notices (hash) WHERE hash IS NOT NULL;
