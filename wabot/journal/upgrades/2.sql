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

-- Contacts whose ids never come back (AUTOINCREMENT), and no window that a message dated in the future keeps open.
CREATE TABLE contacts_2 (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    wa_id           TEXT,
    bsuid           TEXT,
    name            TEXT    NOT NULL DEFAULT '',
    last_inbound_at REAL,                           -- Meta's time of their last message: opens the 24-hour window
    stopped         TEXT CHECK (stopped IN ('all', 'marketing', 'unreachable')),
    stopped_at      REAL,
    searched        INTEGER NOT NULL DEFAULT 0,     -- the archive was asked for earlier talk
    created_at      REAL    NOT NULL
) STRICT;
INSERT INTO contacts_2
    SELECT id, wa_id, bsuid, name, min(last_inbound_at, CAST(strftime('%s', 'now') AS REAL)), stopped, stopped_at,
           searched, created_at
    FROM contacts;
DROP TABLE contacts;
ALTER TABLE contacts_2 RENAME TO contacts;
ALTER TABLE messages ADD COLUMN asked_by INTEGER;
CREATE INDEX messages_asked_by ON messages (asked_by) WHERE asked_by IS NOT NULL;

-- What people said last of what they want to get: `stopped` above follows from it. `at` is Meta's time of their word.
CREATE TABLE wishes (
    contact_id INTEGER NOT NULL REFERENCES contacts,
    what       TEXT    NOT NULL CHECK (what IN ('all', 'marketing')),
    stop       INTEGER NOT NULL,                    -- 1: no more of it; 0: again
    at         REAL    NOT NULL,
    PRIMARY KEY (contact_id, what)
) STRICT, WITHOUT ROWID;

-- Contacts that turned out to be one person, with all that it takes to part them again. While both had something in
-- flight (`done_at` is NULL), only their names and wishes are joined.
CREATE TABLE merges (
    id        INTEGER PRIMARY KEY,
    keep      INTEGER NOT NULL,
    gone      INTEGER NOT NULL,
    why       TEXT    NOT NULL,
    asked_at  REAL    NOT NULL,
    done_at   REAL,
    undone_at REAL,
    keep_was  TEXT    NOT NULL,                     -- both rows as they were, as JSON
    gone_was  TEXT    NOT NULL,
    names     TEXT    NOT NULL,                     -- what moved from one to the other, as JSON lists
    messages  TEXT    NOT NULL DEFAULT '[]',
    jobs      TEXT    NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX merges_waiting ON merges (keep, gone) WHERE done_at IS NULL;
CREATE INDEX merges_kept ON merges (keep, gone);
CREATE INDEX merges_undone ON merges (gone, keep) WHERE undone_at IS NOT NULL;

-- Names that somebody had and lost: what was said under one before is not the talk of whoever has it now.
CREATE TABLE passed_on (
    value TEXT PRIMARY KEY,
    until REAL NOT NULL                             -- Meta's time: what was said under it before is the former one's
) STRICT, WITHOUT ROWID;
INSERT INTO wishes
    SELECT id, stopped, 1, coalesce(stopped_at, 0) FROM contacts WHERE stopped IN ('all', 'marketing');

-- Bulk messages share their contents, and a large batch is queued in slices.
CREATE TABLE contents (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    head TEXT,
    raw  TEXT NOT NULL
) STRICT;
ALTER TABLE messages ADD COLUMN content_id INTEGER REFERENCES contents;
ALTER TABLE recipients ADD COLUMN content_id INTEGER;
ALTER TABLE recipients ADD COLUMN same_as INTEGER;
ALTER TABLE batches ADD COLUMN next_position INTEGER;
CREATE INDEX messages_content ON messages (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX recipients_content ON recipients (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX batches_unfinished ON batches (next_position) WHERE next_position IS NOT NULL;

-- Templates are paused in a language. Which one was not written down, so that pauses in force are for all.
CREATE TABLE paused_templates_2 (
    name     TEXT    NOT NULL,
    language TEXT    NOT NULL,
    until    REAL    NOT NULL,
    refuse   INTEGER NOT NULL,                      -- 1: decline its sends meanwhile; 0: hold them
    reason   TEXT    NOT NULL,
    code     ANY,
    PRIMARY KEY (name, language)
) STRICT, WITHOUT ROWID;
INSERT INTO paused_templates_2 SELECT name, '*', until, refuse, reason, code FROM paused_templates;
DROP TABLE paused_templates;
ALTER TABLE paused_templates_2 RENAME TO paused_templates;

-- What the outbox is listed by: the states that few jobs are in, and what has not come as far as it can.
CREATE INDEX jobs_aside ON jobs (kind, state, id)
    WHERE state IN ('in_doubt', 'held', 'failed', 'cancelled', 'expired', 'parked');
DROP INDEX jobs_perishable;
CREATE INDEX jobs_perishable ON jobs (expires_at)  -- replies are found by their turn: every one expires
    WHERE kind = 'send' AND expires_at IS NOT NULL AND state IN ('waiting', 'queued', 'held');
CREATE INDEX messages_unread ON messages (status, job_id) WHERE job_id IS NOT NULL AND status IN ('sent', 'delivered');

-- The attempts of a send of which nobody knows whether Meta accepted them. Of those before nobody wrote it down: where
-- there were several, or the last is in doubt, one may have been.
ALTER TABLE jobs ADD COLUMN doubts TEXT NOT NULL DEFAULT '[]';
UPDATE jobs SET doubts = '[0]' WHERE kind = 'send'
    AND (state IN ('in_doubt', 'parked') OR (attempt > 1 AND state IN ('waiting', 'queued', 'held', 'failed')));

-- A person may cancel a batch.
ALTER TABLE batches ADD COLUMN cancelled_at REAL;

-- A person answers a contact instead of the assistant, or is needed.
ALTER TABLE contacts ADD COLUMN paused_until REAL;
ALTER TABLE contacts ADD COLUMN paused_reason TEXT;
ALTER TABLE contacts ADD COLUMN silent_upto INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN attention_at REAL;
ALTER TABLE contacts ADD COLUMN attention_reason TEXT;
ALTER TABLE contacts ADD COLUMN reminded_at REAL;
ALTER TABLE contacts ADD COLUMN alert_due REAL;
ALTER TABLE contacts ADD COLUMN alerted_at REAL;
CREATE INDEX contacts_unanswered ON contacts (attention_at) WHERE attention_at IS NOT NULL AND reminded_at IS NULL;
CREATE INDEX contacts_alerts ON contacts (alert_due) WHERE alert_due IS NOT NULL;
CREATE INDEX contacts_paused ON contacts (paused_until) WHERE paused_until IS NOT NULL;

-- One message to one person is a batch of its own, which is not listed.
ALTER TABLE batches ADD COLUMN single INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN send_at REAL;  -- scheduled: when it is to be queued
ALTER TABLE batches ADD COLUMN category TEXT; -- of its template, in Meta's words; NULL: not known
ALTER TABLE batches ADD COLUMN template TEXT; -- its name; NULL: of one message, or of an earlier version
ALTER TABLE batches ADD COLUMN language TEXT; -- of its template
CREATE INDEX batches_listed ON batches (created_at, id) WHERE single = 0;

-- What stays of people who were forgotten: hashes of their numbers and BSUIDs, so that a STOP holds, and for 30 days of
-- their wamids, so that what Meta repeats is ignored. The salt is in a file beside the journal (see forgotten.py).
CREATE TABLE forgotten_people (
    hash         TEXT PRIMARY KEY,
    stopped      TEXT,                              -- as contacts.stopped was, and since when
    stopped_at   REAL,
    passed_until REAL                               -- as passed_on.until was
) STRICT, WITHOUT ROWID;
CREATE TABLE forgotten_messages (
    hash         TEXT PRIMARY KEY,
    forgotten_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX forgotten_messages_since ON forgotten_messages (forgotten_at);

-- People who are being forgotten: what is to be removed, as JSON lists, until it is. `erased_at`: when all of them was
-- gone from here, free pages and WAL included; `archived`: how many documents the archive removed, NULL until it has.
CREATE TABLE forgettings (
    id         INTEGER PRIMARY KEY,
    known      INTEGER NOT NULL,                    -- 1: the journal knew them
    names      TEXT    NOT NULL,                    -- numbers and BSUIDs; emptied when both have forgotten
    shared     TEXT    NOT NULL,                    -- those of them that were somebody else's before
    contacts   TEXT    NOT NULL,                    -- ids, also of contacts that were merged into these
    messages   INTEGER NOT NULL DEFAULT 0,          -- how many went
    jobs       INTEGER NOT NULL DEFAULT 0,
    erased_at  REAL,
    archived   INTEGER,
    media      INTEGER NOT NULL DEFAULT 0,          -- kept files that went
    told       TEXT    NOT NULL DEFAULT '[]'        -- what the archive has to blank: documents, and words in each
) STRICT;

-- Whom messages to the owner named, and in which words: these go when the person is forgotten.
CREATE TABLE alerts (
    contact_id INTEGER NOT NULL,
    job_id     INTEGER NOT NULL,                    -- the send to the owner
    words      TEXT    NOT NULL,
    PRIMARY KEY (contact_id, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_of_job ON alerts (job_id);

-- What Meta charges for, counted when the first receipt of a message with a pricing comes. `month`: of UTC, "2026-10".
CREATE TABLE priced_messages (
    month    TEXT    NOT NULL,
    category TEXT    NOT NULL,
    billable INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    PRIMARY KEY (month, category, billable)
) STRICT, WITHOUT ROWID;

-- What happened, for the owner's programs: a row for each endpoint of [[events]], and one body for all of them. They move
-- as jobs do (core/jobs.py), in order per endpoint and contact.
CREATE TABLE event_bodies (
    id         INTEGER PRIMARY KEY,
    webhook_id TEXT NOT NULL,                       -- the same for each try
    body       TEXT NOT NULL                        -- JSON
) STRICT;
CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint   TEXT    NOT NULL,                    -- its URL
    contact_id INTEGER NOT NULL,                    -- 0: about no contact
    type       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    due_at     REAL    NOT NULL,
    created_at REAL    NOT NULL,
    expires_at REAL    NOT NULL,                    -- when the last try is made
    settled_at REAL,
    attempt    INTEGER NOT NULL DEFAULT 0,
    token      INTEGER NOT NULL DEFAULT 0,          -- of the last claim; a settle with another changes nothing
    error      TEXT,
    body_id    INTEGER NOT NULL REFERENCES event_bodies
) STRICT;
CREATE INDEX events_ready ON events (endpoint, due_at, id) WHERE state = 'queued';
CREATE UNIQUE INDEX events_head ON events (endpoint, contact_id) WHERE state IN ('queued', 'running');
CREATE INDEX events_waiting ON events (endpoint, contact_id, id) WHERE state = 'waiting';
CREATE INDEX events_open ON events (endpoint, created_at) WHERE state IN ('waiting', 'queued', 'running');
CREATE INDEX events_settled ON events (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX events_in_state ON events (state, id);
CREATE INDEX events_of ON events (contact_id);
CREATE INDEX events_body ON events (body_id);
