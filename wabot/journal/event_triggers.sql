-- When each event for the owner's programs comes true, as triggers of the writing connection alone: they note it in the
-- transaction that makes it true, and event_writing.py makes rows of `events` of the notes before that is committed.
-- Without endpoints none of this is set up.

CREATE TEMP TABLE noted (
    id         INTEGER PRIMARY KEY,
    type       TEXT NOT NULL,
    contact_id INTEGER NOT NULL DEFAULT 0,
    message_id INTEGER,
    about      TEXT                                 -- JSON: how it stood at that moment, or what it is about
);

CREATE TEMP TRIGGER note_message_in AFTER INSERT ON main.messages WHEN NEW.id > 0 AND NEW.status <> 'queued'
BEGIN
    INSERT INTO noted (type, contact_id, message_id, about)
        SELECT iif(NEW.direction = 'in', 'message.received', 'message.sent'), NEW.contact_id, NEW.id,
               json_object('status', NEW.status, 'error', NULL)
        WHERE NEW.raw <> '{}';                      -- '{}': all that is known of it is that it was deleted
END;

-- A receipt can be faster than Meta's answer: then `sent` comes true with it. Who played a voice note has read it.
CREATE TEMP TRIGGER note_message_status AFTER UPDATE OF status ON main.messages
    WHEN NEW.status <> OLD.status AND NEW.direction = 'out' AND NEW.id > 0
BEGIN
    INSERT INTO noted (type, contact_id, message_id, about)
        SELECT 'message.sent', NEW.contact_id, NEW.id, json_object('status', 'sent', 'error', NULL)
        WHERE NEW.status = 'sent' OR (OLD.status IN ('queued', 'failed') AND NEW.status IN ('delivered', 'read', 'played'));
    INSERT INTO noted (type, contact_id, message_id, about)
        SELECT 'message.' || replace(NEW.status, 'played', 'read'), NEW.contact_id, NEW.id,
               json_object('status', NEW.status, 'error', NEW.error, 'error_code', NEW.error_code)
        WHERE NEW.status IN ('delivered', 'read', 'failed') OR (NEW.status = 'played' AND OLD.status <> 'read');
END;

CREATE TEMP TRIGGER note_wish AFTER UPDATE OF stopped ON main.contacts WHEN NEW.stopped IS NOT OLD.stopped
BEGIN
    INSERT INTO noted (type, contact_id)
        SELECT 'contact.opted_out', NEW.id
        WHERE NEW.stopped = 'all' OR (NEW.stopped = 'marketing' AND OLD.stopped IS NOT 'all');
    INSERT INTO noted (type, contact_id)
        SELECT 'contact.opted_in', NEW.id
        WHERE OLD.stopped IN ('all', 'marketing') AND coalesce(NEW.stopped, '') NOT IN ('all', 'marketing');
END;

CREATE TEMP TRIGGER note_handoff AFTER UPDATE OF attention_at ON main.contacts
    WHEN NEW.attention_at IS NOT NULL AND OLD.attention_at IS NULL
BEGIN
    INSERT INTO noted (type, contact_id, about)
        VALUES ('contact.handoff', NEW.id, json_object('reason', NEW.attention_reason));
END;

CREATE TEMP TRIGGER note_resumed AFTER UPDATE OF paused_until ON main.contacts
    WHEN NEW.paused_until IS NULL AND OLD.paused_until IS NOT NULL
BEGIN
    INSERT INTO noted (type, contact_id) VALUES ('contact.resumed', NEW.id);
END;

-- Whether a batch really is settled is looked at before the commit.
CREATE TEMP TRIGGER note_batch_job AFTER UPDATE OF settled_at ON main.jobs
    WHEN NEW.batch_id IS NOT NULL AND NEW.settled_at IS NOT NULL AND OLD.settled_at IS NULL
BEGIN
    INSERT INTO noted (type, about) SELECT 'batch.settled', NEW.batch_id
        WHERE NOT EXISTS (SELECT 1 FROM noted WHERE type = 'batch.settled' AND about = NEW.batch_id);
END;
CREATE TEMP TRIGGER note_batch_queued AFTER UPDATE OF next_position ON main.batches
    WHEN NEW.next_position IS NULL AND OLD.next_position IS NOT NULL
BEGIN
    INSERT INTO noted (type, about) SELECT 'batch.settled', NEW.id
        WHERE NOT EXISTS (SELECT 1 FROM noted WHERE type = 'batch.settled' AND about = NEW.id);
END;

-- What was paused before and ended by itself leaves its row behind: whether the pause is new is looked at, too.
CREATE TEMP TRIGGER note_new_pause AFTER INSERT ON main.paused_templates
BEGIN
    INSERT INTO noted (type, about) VALUES ('template.paused', json_object('name', NEW.name, 'language', NEW.language,
        'reason', NEW.reason, 'until', NEW.until, 'before', 0));
END;
CREATE TEMP TRIGGER note_next_pause AFTER UPDATE ON main.paused_templates
BEGIN
    INSERT INTO noted (type, about) VALUES ('template.paused', json_object('name', NEW.name, 'language', NEW.language,
        'reason', NEW.reason, 'until', NEW.until, 'before', OLD.until));
END;
