"""Faults put into the journal on purpose, one at a time: the model must notice each, or it is no test.

A mutant rewrites the text of statements on their way to SQLite, or swaps a function; it must have had the chance to
do harm, so that a statement that reads otherwise one day does not pass for a fault that was noticed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.journal.machine import JournalMachine
from tests.journal.machine_of_talks import TalksMachine
from wabot.journal import archiving, connections, receipts


class Fault(NamedTuple):
    """`mutant` stands where a statement says `genuine`."""

    genuine: str
    mutant: str


MUTANTS = {
    "a late settle counts": Fault("(:token IS NULL OR token = :token)", "1"),
    "promotion looks for no head": Fault(" LIMIT 1) AND NOT EXISTS (", " LIMIT 1) AND 1 OR 0 = ("),
    "the youngest is promoted": Fault(":contact ORDER BY id LIMIT 1)", ":contact ORDER BY id DESC LIMIT 1)"),
    "a doubtful send is no head": Fault("('queued', 'running', 'in_doubt') AND", "('queued', 'running') AND"),
    "some that ran are not recovered": Fault(
        "WHERE kind = 'send' AND state = 'running'", "WHERE kind = 'send' AND state = 'running' AND id % 2"
    ),
    "what Meta repeats is told again": Fault("NOT NULL DO NOTHING", "NOT NULL DO UPDATE SET version = version + 1"),
    "a bubble takes the place of the first": Fault(
        "UPDATE jobs SET due_at = max(due_at, min(", "UPDATE jobs SET since = since + 1, due_at = max(due_at, min("
    ),
    "the reply that waited is not absorbed": Fault(
        "error = 'joined the reply before it' WHERE", "error = 'joined the reply before it' WHERE 0 AND"
    ),
    "a settled reply promotes no other": Fault(
        "due_at = max(due_at, :now) WHERE contact_id", "due_at = max(due_at, :now) WHERE 0 AND contact_id"
    ),
    "what the archive lacks may be forgotten": Fault("AND m.archived >= m.version AND NOT EXISTS", "AND NOT EXISTS"),
    "what changed meanwhile is forgotten": Fault("AND archived >= version RETURNING", "RETURNING"),
    "stop leaves what waits": Fault("state = 'waiting' UNION ALL", "state = 'waiting' AND 0 UNION ALL"),
    "a failed attempt is forgotten": Fault("AND attempt = ? AND status = 'failed'", "AND attempt = ? AND 0"),
    "a copy that failed is forgotten": Fault("coalesce(wamid, shared_wamid) IS NOT NULL", "0"),
    "a lost answer is no doubt": Fault("iif(:doubtful, ", "iif(0 * :doubtful, "),
    "news of a request ends no doubt": Fault(
        "FROM json_each(doubts) WHERE value <> ?", "FROM json_each(doubts) WHERE 0 <> ?"
    ),
    "another live copy is overlooked": Fault(
        "SELECT wamid, status FROM copies WHERE", "SELECT wamid, status FROM copies WHERE 0 AND"
    ),
}

OF_TALKS = {
    "a pause leaves what was queued": Fault("WHERE m.origin IN ('ai'", "WHERE 0 AND m.origin IN ('ai'"),
    "a pause takes what staff queued": Fault("WHERE m.origin IN ('ai'", "WHERE 1 OR m.origin IN ('ai'"),
    "a pause leaves the reply that is being made": Fault(
        "UNION ALL SELECT id, state FROM jobs WHERE contact_id = ? AND",
        "UNION ALL SELECT id, state FROM jobs WHERE 0 = ? AND",
    ),
    "what came back is sent although a person stepped in": Fault(
        "silent_upto = coalesce((SELECT max(id) FROM jobs), silent_upto)", "silent_upto = silent_upto"
    ),
    "resuming ends no pause": Fault(
        "SET paused_until = NULL, paused_reason = NULL WHERE id = ?", "SET paused_reason = NULL WHERE id = ?"
    ),
    "a plan is kept too early": Fault("coalesce(send_at, 0) <= :now", "coalesce(send_at, 0) <= :now + 60"),
    "what comes back of a cancelled batch is tried again": Fault(
        "UPDATE jobs SET expires_at = ? WHERE id = ? AND state IN ('running', 'in_doubt', 'done')",
        "UPDATE jobs SET expires_at = ? WHERE id = ? AND state IN ('done')",
    ),
    "a cancelled plan is kept": Fault("SET cancelled_at = coalesce(cancelled_at, ?), next", "SET send_at = ?, next"),
    "the owner is told of one contact again at once": Fault("max(:now, coalesce(alerted_at, 0) + :seconds)", ":now"),
    "who waits is not reminded": Fault(
        "WHERE attention_at IS NOT NULL AND reminded_at IS NULL AND attention_at <=",
        "WHERE 0 AND attention_at IS NOT NULL AND reminded_at IS NULL AND attention_at <=",
    ),
    "the owner is told although staff came": Fault(
        "reminded_at = NULL, alert_due = NULL WHERE", "reminded_at = NULL WHERE"
    ),
    "who is forgotten did not stop": Fault(
        "SELECT stopped, stopped_at FROM contacts WHERE id = ?", "SELECT NULL, NULL FROM contacts WHERE id = ?"
    ),
    "what Meta repeats of the forgotten is heard": Fault(
        "INSERT OR IGNORE INTO forgotten_messages (hash, forgotten_at) VALUES (?, ?)",
        "INSERT OR IGNORE INTO forgotten_messages (hash, forgotten_at) VALUES ('-' || ?, ?)",
    ),
    "a plan keeps who is forgotten": Fault("SET number = '', content_id = NULL,", "SET content_id = content_id,"),
    "the owner keeps the name of who is forgotten": Fault(
        "UPDATE messages SET body = ?, raw = ?, version = version + 1 WHERE id = ?",
        "UPDATE messages SET body = coalesce(body, ?), raw = coalesce(raw, ?), version = version + 1 WHERE id = ?",
    ),
}


def mutate(monkeypatch: pytest.MonkeyPatch, genuine: str, mutant: str) -> list[str]:
    """Let every connection run `mutant` where `genuine` is written; the statements that were changed."""
    changed: list[str] = []

    class Mutated(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
            return super().execute(twisted(sql), parameters)

        def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:  # type: ignore[override]
            return super().executemany(twisted(sql), rows)

    def twisted(sql: str) -> str:
        if genuine in sql:
            changed.append(sql)
        return sql.replace(genuine, mutant)

    def open_mutated(database: str, *, uri: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(database, isolation_level=None, uri=uri, factory=Mutated)
        connection.row_factory = sqlite3.Row
        return connection

    monkeypatch.setattr(connections, "open_file", open_mutated)
    return changed


def run_the_model(machine: type[JournalMachine] = JournalMachine) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("fault", [*MUTANTS, *OF_TALKS])
def test_the_model_notices_when(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = mutate(monkeypatch, *{**MUTANTS, **OF_TALKS}[fault])
    with pytest.raises((AssertionError, sqlite3.Error, ValueError, Flaky)):
        run_the_model(TalksMachine if fault in OF_TALKS else JournalMachine)
    assert changed, "no statement reads so any more"


def test_the_model_notices_when_receipts_move_a_message_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "is_news", lambda _current, _told: True)
    with pytest.raises((AssertionError, Flaky)):
        run_the_model()


def test_the_model_notices_when_wamids_are_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "KEY_SECONDS", 0)
    with pytest.raises((AssertionError, Flaky)):
        run_the_model()
