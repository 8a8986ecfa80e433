"""The conditions of the partial indexes on jobs, one for each, and the conditions that narrow them further.

SQLite uses a partial index only where a statement repeats its condition: https://sqlite.org/partialindex.html
So every statement that needs one takes its words from here: HEAD is the condition of `jobs_head` in schema.sql, and so
on. An index of what IS NOT NULL has no constant, since any comparison of the column is enough.
"""

from __future__ import annotations

READY = "state = 'queued'"
HEAD = "kind = 'send' AND state IN ('queued', 'running', 'in_doubt')"
WAITING = "kind = 'send' AND state = 'waiting'"
JOINABLE = "kind = 'reply' AND state IN ('queued', 'waiting')"
ANSWERING = "kind = 'reply' AND state = 'running'"
RUNNING = "state = 'running'"
LATER = "state IN ('in_doubt', 'held')"
PERISHABLE = "kind = 'send' AND expires_at IS NOT NULL AND state IN ('waiting', 'queued', 'held')"
OPEN_OF_BATCH = "batch_id IS NOT NULL AND state IN ('waiting', 'queued', 'running', 'in_doubt', 'held')"
ASIDE = "state IN ('in_doubt', 'held', 'failed', 'cancelled', 'expired', 'parked')"

QUEUED_HEAD = f"{HEAD} AND state = 'queued'"
HEAD_IN_FLIGHT = f"{HEAD} AND state <> 'queued'"
QUEUED_REPLY = f"{JOINABLE} AND state = 'queued'"
WAITING_REPLY = f"{JOINABLE} AND state = 'waiting'"
DOUBTFUL = f"state = 'in_doubt' AND {LATER}"
HELD = f"state = 'held' AND {LATER}"
