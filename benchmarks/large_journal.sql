-- Fills an empty journal, statement by statement; the parameters are those of large_journal.py.
-- Message i is the person's where i is even; the odd one after it is our answer, sent by the job i/2 + i/8 + 1, so that
-- every fifth id of a job is a reply's.

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :contacts)
INSERT INTO contacts (id, wa_id, bsuid, name, last_inbound_at, searched, created_at, stopped, stopped_at)
SELECT i + 1, :base + i, 'IN.' || (:base + i), :name, :start, :start, :start,
       iif(i % 50 = 49, 'marketing', NULL), iif(i % 50 = 49, :start, NULL)
FROM n;

INSERT INTO wishes (contact_id, what, stop, at) SELECT id, 'marketing', 1, :start FROM contacts WHERE id % 50 = 0;

INSERT INTO identities (value, contact_id) SELECT wa_id, id FROM contacts ORDER BY 1;

INSERT INTO identities (value, contact_id) SELECT bsuid, id FROM contacts ORDER BY 1;

WITH RECURSIVE
    n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :messages),
    told(i, ours, pair, luck) AS (SELECT i, i % 2, i / 2, i / 2 * 7919 % 100 FROM n),
    fate(i, ours, pair, status, contact_id) AS (
        SELECT i, ours, pair,
               CASE WHEN NOT ours THEN 'received' WHEN luck < 3 THEN 'failed' WHEN luck < 10 THEN 'sent'
                    WHEN luck < 40 THEN 'delivered' ELSE 'read' END,
               iif(pair % 100 = 0, :talker, 2 + pair * 2654435761 % (:contacts - 1))
        FROM told)
INSERT INTO messages (id, contact_id, direction, origin, wamid, timestamp, type, body, raw, person, business, status,
                      status_times, error, error_code, job_id, version, archived)
SELECT i + 1, contact_id, iif(ours, 'out', 'in'), iif(ours, 'ai', 'person'),
       iif(status = 'failed', NULL, 'wamid.HBgM' || hex(randomblob(16)) || 'AA=='),
       CAST(:start + i * :step AS INTEGER), 'text',
       iif(ours, 'Yes, we are open from nine to five, and there is one left.',
           'Are you open tomorrow, and is the blue one left?'),
       iif(ours,
           '{"type":"text","text":{"body":"Yes, we are open from nine to five, and there is one left."}}',
           '{"from":"919800000000","type":"text","timestamp":"1760000000","text":{"body":"Are you open tomorrow, and'
           || ' is the blue one left?"}}'),
       :base + contact_id - 1, '15550001111', status, iif(ours, '{"sent":1760000000.0}', '{}'),
       iif(status = 'failed', 'Message undeliverable', NULL), iif(status = 'failed', 131026, NULL),
       iif(ours, pair + pair / 4 + 1, NULL), 3, iif(i < :recorded, 3, 2)
FROM fate;

-- Those that were deleted since are deleted when the indexes are there: so these are as full as those of a journal that
-- grew message by message, and the next ones need no new page each.
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :deleted)
INSERT INTO messages (id, contact_id, direction, origin, wamid, timestamp, type, body, raw, person, status, archived)
SELECT :messages + i + 1, 2 + i * 2654435761 % (:contacts - 1), 'in', 'person',
       'wamid.HBgM' || hex(randomblob(16)) || 'AA==', CAST(:start + i * :span / :deleted AS INTEGER), 'text', '', '', '',
       'received', 1
FROM n;

WITH sends AS (
    SELECT job_id AS id, contact_id, timestamp AS at, status, error, error_code, job_id / :batch % 2 = 0 AS bulk
    FROM messages WHERE messages.id > :forgotten AND direction = 'out')
INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at, settled_at, attempt, spent, token, batch_id,
                  answer, error, error_code)
SELECT id, 'send', contact_id,
       CASE WHEN status <> 'failed' THEN 'done' WHEN id / 125 % 10 = 1 THEN 'parked'
            WHEN id / 125 % 10 = 2 THEN 'cancelled' WHEN id / 125 % 10 = 3 THEN 'expired' ELSE 'failed' END,
       bulk, at, at, at + id % 10 / 10.0, 1, 1, 4294967296, iif(bulk, printf('batch-%08d', id / :batch), NULL),
       '{"messaging_product":"whatsapp","messages":[{"id":"wamid.HBgMAA=="}]}', error, error_code
FROM sends;

INSERT INTO jobs (id, kind, contact_id, state, due_at, created_at, expires_at, settled_at, attempt, spent, token, since)
SELECT job_id + 1, 'reply', contact_id, iif(job_id % 100 = 4, 'failed', 'done'), timestamp, timestamp, timestamp + 3600,
       timestamp, 1, 1, 4294967296, id - 1
FROM messages WHERE id > :forgotten AND direction = 'out' AND job_id % 5 = 4;

-- Jobs that are deleted again, as the messages above.
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :deleted / 10)
INSERT INTO jobs (kind, contact_id, state, due_at, created_at, settled_at)
SELECT 'reply', 2 + i * 2654435761 % (:contacts - 1), 'done', :start, :start, :start FROM n;

-- What is open, in tenths: four queued; three behind a queued one, one behind that of a single contact; held; in doubt,
-- and replies.
WITH RECURSIVE
    n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :open),
    tenths(i, tenth, send) AS (SELECT i, i * 10 / :open, i * 20 / :open < 19 FROM n)
INSERT INTO jobs (id, kind, contact_id, state, priority, due_at, created_at, expires_at, batch_id, since, error,
                  error_code)
SELECT :last_job + :deleted + 1 + i, iif(send, 'send', 'reply'),
       2 + CASE WHEN tenth IN (4, 5, 6) THEN i - :open * 4 / 10 WHEN tenth = 7 THEN 1 ELSE i END,
       CASE WHEN tenth < 4 THEN 'queued' WHEN tenth < 8 THEN 'waiting' WHEN tenth = 8 THEN 'held'
            ELSE iif(send, 'in_doubt', 'queued') END,
       send, :due, :now, iif(send, NULL, :due + 3600), iif(send, printf('open-%04d', i / :batch), NULL),
       iif(send, NULL, :messages - 1), iif(tenth = 8, 'Paused', NULL), iif(tenth = 8, 132015, NULL)
FROM tenths;

INSERT INTO messages (contact_id, direction, origin, timestamp, type, body, raw, person, status, job_id)
SELECT contact_id, 'out', 'bulk', :now, 'template', '[template hello_world]',
       '{"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}', '', 'queued', id
FROM jobs WHERE id > :last_job + :deleted AND kind = 'send';

INSERT INTO batches (id, fingerprint, created_at)
SELECT batch_id, '', min(created_at) FROM jobs WHERE batch_id IS NOT NULL GROUP BY batch_id;

INSERT INTO recipients (batch_id, position, number, job_id)
SELECT batch_id, iif(id > :last_job, id - :last_job - :deleted - 1, id) % :batch, :base + contact_id, id
FROM jobs WHERE batch_id IS NOT NULL ORDER BY 1, 2;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :strays)
INSERT INTO receipts (wamid, status, timestamp, received_at)
SELECT printf('wamid.nobody.%08d', i), 'sent', :now, :now FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :strays)
INSERT INTO notices (received_at, field, reason, raw, hash)
SELECT :now, 'account_update', 'nothing to do', '{}', randomblob(32) FROM n;

INSERT INTO copies (job_id, wamid, attempt, status, status_times)
SELECT id, 'wamid.copy.' || id, 1, 'sent', '{}' FROM jobs WHERE kind = 'send' AND id % 100 = 1 ORDER BY id;
