-- The journal: all state of this machine. Times are Unix seconds. indexes.py repeats the
-- conditions of the partial indexes on jobs, for the statements that use them. There are no statistics (ANALYZE) here,
-- so that SQLite's plans are everywhere those that the tests saw.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A person. Messages go to wa_id or bsuid; `identities` has all their numbers and BSUIDs.
-- AUTOINCREMENT: the id of a contact that was merged into another must not come back as somebody else's.
CREATE TABLE contacts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    wa_id           TEXT,
    bsuid           TEXT,
    name            TEXT    NOT NULL DEFAULT '',
    last_inbound_at REAL,                           -- Meta's time of their last message: opens the 24-hour window
    stopped         TEXT CHECK (stopped IN ('all', 'marketing', 'unreachable')),
    stopped_at      REAL,
    searched        INTEGER NOT NULL DEFAULT 0,     -- when the archive was asked for old messages; 0: ask it
    created_at      REAL    NOT NULL,
    paused_until    REAL,                           -- the assistant is silent until then: a person answers. 1e18: until
                                                    -- it is resumed
    paused_reason   TEXT,
    silent_upto     INTEGER NOT NULL DEFAULT 0,     -- what the assistant wanted to say in jobs up to this id is not said
    attention_at    REAL,                           -- since when a person is needed
    attention_reason TEXT,
    reminded_at     REAL,                           -- when contact and owner were told again that a person is awaited
    alert_due       REAL,                           -- when the owner is to be told of it
    alerted_at      REAL                            -- when the owner was told last
) STRICT;
CREATE INDEX contacts_unanswered ON contacts (attention_at) WHERE attention_at IS NOT NULL AND reminded_at IS NULL;
CREATE INDEX contacts_alerts ON contacts (alert_due) WHERE alert_due IS NOT NULL;
CREATE INDEX contacts_paused ON contacts (paused_until) WHERE paused_until IS NOT NULL;

CREATE TABLE identities (
    value      TEXT PRIMARY KEY,                    -- digits of a phone number, or a BSUID
    contact_id INTEGER NOT NULL REFERENCES contacts
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_of ON identities (contact_id);

-- Messages. Those with ids below 1 were copied back from the archive: they are older than all others.
CREATE TABLE messages (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    contact_id   INTEGER NOT NULL REFERENCES contacts,
    direction    TEXT    NOT NULL CHECK (direction IN ('in', 'out')),
    origin       TEXT    NOT NULL,
    wamid        TEXT,
    timestamp    REAL    NOT NULL,                  -- in: Meta's; out: queued at, then accepted at. Whole seconds, as
                                                    -- Meta's are: within one second the ids give the order
    type         TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    raw          TEXT    NOT NULL,                  -- in: Meta's object; out: the content that we ask Meta to send
    person       TEXT    NOT NULL,                  -- the address of the other side at that time
    business     TEXT    NOT NULL DEFAULT '',
    status       TEXT    NOT NULL,
    status_times TEXT    NOT NULL DEFAULT '{}',
    error        TEXT,
    error_code   ANY,
    job_id       INTEGER,                           -- out: the send that carries it
    version      INTEGER NOT NULL DEFAULT 1,        -- grows with every change
    archived     INTEGER NOT NULL DEFAULT 0,        -- the version that the archive has; 2^62: it is the archive's own
    shared_wamid TEXT,                              -- out: Meta gave it the wamid of another message; `wamid` is NULL
    pricing      TEXT,                              -- out: what Meta charges for, of its receipts, as JSON
    asked_by     INTEGER,                           -- in: the reply that answers it, where a merge made that unclear;
                                                    -- 0: it was answered. NULL: all since `jobs.since`
    content_id   INTEGER REFERENCES contents        -- bulk: where the whole content is; `raw` is the head of it then
) STRICT;
CREATE UNIQUE INDEX messages_wamid ON messages (wamid) WHERE wamid IS NOT NULL;
CREATE UNIQUE INDEX messages_job ON messages (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX messages_of ON messages (contact_id, timestamp, id);
CREATE INDEX messages_asked_by ON messages (asked_by) WHERE asked_by IS NOT NULL;
CREATE INDEX messages_ahead ON messages (id) WHERE archived < version;
CREATE INDEX messages_unread ON messages (status, job_id) WHERE job_id IS NOT NULL AND status IN ('sent', 'delivered');

-- Replies and sends: see core/jobs.py. AUTOINCREMENT: the id of a deleted job must not come back, since ids give the
-- order and are in Meta's tags.
CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT    NOT NULL CHECK (kind IN ('reply', 'send')),
    contact_id INTEGER NOT NULL REFERENCES contacts,
    state      TEXT    NOT NULL,
    priority   INTEGER NOT NULL DEFAULT 0,          -- 0 a reply or what comes of one, 1 bulk
    due_at     REAL    NOT NULL,
    created_at REAL    NOT NULL,
    expires_at REAL,
    settled_at REAL,
    attempt    INTEGER NOT NULL DEFAULT 0,          -- requests made; names the tag
    spent      INTEGER NOT NULL DEFAULT 0,          -- of these, those that used up a try
    token      INTEGER NOT NULL DEFAULT 0,          -- of the last claim; a settle with another changes nothing
    since      INTEGER,                             -- reply: the first message that it answers
    batch_id   TEXT,
    answer     TEXT,                                -- Meta's own, as JSON
    error      TEXT,
    error_code ANY,
    doubts     TEXT    NOT NULL DEFAULT '[]'        -- attempts that Meta may have accepted or not;
                                                    -- 0: one that this journal does not have
) STRICT;
CREATE INDEX jobs_of ON jobs (contact_id);
CREATE INDEX jobs_ready ON jobs (kind, priority, due_at, id) WHERE state = 'queued';
CREATE UNIQUE INDEX jobs_head ON jobs (contact_id)
    WHERE kind = 'send' AND state IN ('queued', 'running', 'in_doubt');
CREATE INDEX jobs_waiting ON jobs (contact_id) WHERE kind = 'send' AND state = 'waiting';
CREATE UNIQUE INDEX jobs_joinable ON jobs (contact_id) WHERE kind = 'reply' AND state IN ('queued', 'waiting');
CREATE UNIQUE INDEX jobs_answering ON jobs (contact_id) WHERE kind = 'reply' AND state = 'running';
CREATE INDEX jobs_running ON jobs (kind, id) WHERE state = 'running';
CREATE INDEX jobs_later ON jobs (state, due_at) WHERE state IN ('in_doubt', 'held');
CREATE INDEX jobs_perishable ON jobs (expires_at)  -- replies are found by their turn: every one expires
    WHERE kind = 'send' AND expires_at IS NOT NULL AND state IN ('waiting', 'queued', 'held');
CREATE INDEX jobs_settled ON jobs (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX jobs_of_batch ON jobs (batch_id, id) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_open_of_batch ON jobs (batch_id)
    WHERE batch_id IS NOT NULL AND state IN ('waiting', 'queued', 'running', 'in_doubt', 'held');
-- What the outbox is listed by: the states that few jobs are in, and what has not come as far as it can (below).
CREATE INDEX jobs_aside ON jobs (kind, state, id)
    WHERE state IN ('in_doubt', 'held', 'failed', 'cancelled', 'expired', 'parked');

CREATE TABLE batches (
    id          TEXT PRIMARY KEY,
    key         TEXT UNIQUE,                        -- the caller's Idempotency-Key
    fingerprint TEXT NOT NULL,
    created_at  REAL NOT NULL,
    next_position INTEGER,                          -- the first recipient that is not queued (or cancelled) yet; -1:
                                                    -- still a draft; NULL: all are
    cancelled_at REAL,                              -- when a person cancelled it
    single INTEGER NOT NULL DEFAULT 0,              -- 1: one message to one person, by POST /messages; not listed
    send_at REAL,                                   -- scheduled: when it is to be queued
    category TEXT,                                  -- of its template, in Meta's words; NULL: not known
    template TEXT,                                  -- its name; NULL: of one message, or of an earlier version
    language TEXT                                   -- of its template
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_created ON batches (created_at);
CREATE INDEX batches_listed ON batches (created_at, id) WHERE single = 0;

-- The results of a batch, in the order asked.
CREATE TABLE recipients (
    batch_id   TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    number     TEXT    NOT NULL,
    job_id     INTEGER,
    duplicate  INTEGER NOT NULL DEFAULT 0,
    error      TEXT,
    error_code TEXT,
    content_id INTEGER,                             -- what to send them, until it is queued
    same_as    INTEGER,                             -- duplicate: the position at which the number stands first
    PRIMARY KEY (batch_id, position)
) STRICT, WITHOUT ROWID;

-- Receipts for messages that we do not know (yet): stored until Meta's answer to the send is stored.
CREATE TABLE receipts (
    wamid       TEXT NOT NULL,
    status      TEXT NOT NULL,
    timestamp   REAL NOT NULL,
    error       TEXT,
    received_at REAL NOT NULL,
    pricing     TEXT,
    PRIMARY KEY (wamid, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_received ON receipts (received_at);

-- The copies of a send that its message does not show: where an answer was lost, Meta may have accepted several. The
-- message shows the best; the others, and those that failed and were sent afresh, are here. An ordinary send has none.
CREATE TABLE copies (
    job_id       INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    wamid        TEXT    NOT NULL,
    attempt      INTEGER,                           -- the one in its receipts' tag; NULL: it was shown before
    status       TEXT    NOT NULL,
    status_times TEXT    NOT NULL,
    error        TEXT,                              -- Meta's, as JSON
    pricing      TEXT,
    PRIMARY KEY (job_id, wamid)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_wamid ON copies (wamid);

-- Other news from Meta, as it arrived; also webhooks that could not be read.
CREATE TABLE notices (
    id          INTEGER PRIMARY KEY,
    received_at REAL NOT NULL,
    field       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    hash        BLOB,                               -- SHA-256 of the whole notice: repetitions are counted
    times       INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE UNIQUE INDEX notices_hash ON notices (hash) WHERE hash IS NOT NULL;

-- Templates whose sends wait or are refused; '*' stands for all names, or for all languages.
CREATE TABLE paused_templates (
    name     TEXT    NOT NULL,
    language TEXT    NOT NULL,
    until    REAL    NOT NULL,
    refuse   INTEGER NOT NULL,                      -- 1: decline its sends meanwhile; 0: hold them
    reason   TEXT    NOT NULL,
    code     ANY,
    PRIMARY KEY (name, language)
) STRICT, WITHOUT ROWID;

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

-- The latest wishes of people about what they get: contacts.stopped follows from them. `at` is Meta's time of the wish.
CREATE TABLE wishes (
    contact_id INTEGER NOT NULL REFERENCES contacts,
    what       TEXT    NOT NULL CHECK (what IN ('all', 'marketing')),
    stop       INTEGER NOT NULL,                    -- 1: no more of it; 0: again
    at         REAL    NOT NULL,
    PRIMARY KEY (contact_id, what)
) STRICT, WITHOUT ROWID;

-- Contacts that turned out to be one person, with all that is needed to undo the merge. While both have something in
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

-- Numbers and BSUIDs that a contact had and lost: earlier messages under one are not those of its present owner.
CREATE TABLE passed_on (
    value TEXT PRIMARY KEY,
    until REAL NOT NULL                             -- Meta's time: earlier messages are of the former owner
) STRICT, WITHOUT ROWID;

-- The content of bulk messages, stored once for all recipients and found by its SHA-256.
CREATE TABLE contents (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    head TEXT,                                      -- a long content without a template's components
    raw  TEXT NOT NULL                              -- the content that we ask Meta to send
) STRICT;
CREATE INDEX messages_content ON messages (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX recipients_content ON recipients (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX batches_unfinished ON batches (next_position) WHERE next_position IS NOT NULL;

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
