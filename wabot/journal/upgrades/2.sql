-- Version 1 → 2.

-- What was brought back from the archive stays the archive's own, whatever becomes of it here.
UPDATE messages SET archived = 4611686018427387904 WHERE id < 1;

-- Receipts by attempt: the copies of a send; what Meta calls a message whose wamid another has; what it charges for.
ALTER TABLE messages ADD COLUMN shared_wamid TEXT;
ALTER TABLE messages ADD COLUMN pricing TEXT;
ALTER TABLE receipts ADD COLUMN pricing TEXT;
CREATE TABLE copies (
    job_id       INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    wamid        TEXT    NOT NULL,
    attempt      INTEGER,
    status       TEXT    NOT NULL,
    status_times TEXT    NOT NULL,
    error        TEXT,
    pricing      TEXT,
    PRIMARY KEY (job_id, wamid)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_wamid ON copies (wamid);
