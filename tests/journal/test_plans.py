"""Every statement of normal work, as SQLite means to run it: through an index, without sorting what grows.

A recording connection collects the statements while a journal goes through all that it can do; a statement that is
new is checked without being listed anywhere.
"""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, POLICY, RULES, Scene, receipt, said, sent, template, text
from wabot.core.exceptions import Effect
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import ForeignPart, Notice, Person, Preference, Status, TemplateNews, Webhook
from wabot.core.outgoing import Origin
from wabot.core.owner_events import Endpoint
from wabot.journal import connections, contact_list_and_search, indexes, owner_alerts
from wabot.journal.bulk_retry import Retry
from wabot.journal.event_queue import EventQuery
from wabot.journal.event_writing import EventWriter
from wabot.journal.journal import Journal, open_journal
from wabot.journal.outbox_list import ASIDE, Query
from wabot.journal.retry_and_cancel import CannotMove
from wabot.journal.single_messages import NewSingle

NOT_VERBS = {"changed", "close", "sizes"}
"""Public methods of the journal that run no statement of normal work."""

NOT_NORMAL = ("PRAGMA", "BEGIN", "COMMIT", "CREATE")

SMALL = (
    "meta", "sqlite_master", "sqlite_sequence", "paused_templates", "foreign_totals", "forgettings", "priced_messages",
    "n VIRTUAL TABLE", "json_each VIRTUAL TABLE",
    "merges USING INDEX merges_waiting", "merges USING COVERING INDEX merges_waiting",
)  # fmt: skip
"""May be read whole: a handful of rows, or the statement's own parameter."""

EXCEPTIONS = {
    "(SELECT * FROM messages WHERE id > 0 AND id < ? ORDER BY id DESC LIMIT ?)": "as many rows as LIMIT says",
    "(SELECT id, timestamp FROM messages WHERE id > ? ORDER BY id LIMIT ?)": "as many rows as LIMIT says",
    "ORDER BY timestamp DESC, id DESC LIMIT 200) WHERE person = ?": "as many rows as LIMIT says",
    "(SELECT id, contact_id FROM messages WHERE id < 1 ORDER BY id DESC LIMIT ?)": "as many rows as LIMIT says",
    "FROM receipts WHERE wamid = ? ORDER BY timestamp": "sorts the receipts of one message: five at the most",
    "SELECT id, state FROM (SELECT id, state, expires_at FROM jobs WHERE": "as many rows as LIMIT says",
    "FROM priced_messages GROUP BY category, billable": "/metrics: a handful of rows for each month",
    "SELECT id FROM contacts UNION SELECT gone FROM merges": "read once, at the start, where media are kept",
    "FROM wishes w JOIN contacts c": "read once, at the start, where several numbers share the opt-outs",
    "WITH RECURSIVE a (id) AS": "the contacts that became part of two: a handful",
    "SELECT * FROM merges ORDER BY id DESC LIMIT ?": "/merges: a page of the newest",
    "(SELECT id, received_at FROM foreign_webhooks ORDER BY id LIMIT ?)": "the oldest rows, as many as LIMIT says",
    "SELECT id, direction, type, wamid, substr(body, 1, :longest)": "sorts what one prompt can hold, beside LIMIT",
    "SELECT count(*), min(id) FROM jobs WHERE kind = 'send' AND state = 'waiting'": "/metrics counts a partial index",
    "SELECT count(*) FROM messages INDEXED BY messages_ahead": "/metrics counts a partial index",
    "FROM (SELECT id, contact_id FROM messages WHERE id < ?": "/contacts: a step of the newest messages",
    "SELECT id FROM contacts WHERE": "/contacts: a search in all names and numbers",
    "FROM (SELECT id, contact_id, body FROM messages WHERE id < :before": "/contacts: a step of the newest messages",
    "coalesce(next_position, 0) >= 0 AND single = 0 ORDER BY created_at DESC": "/batches: a page of the newest",
    "FROM jobs j INDEXED BY jobs_ready WHERE kind = 'send'": "/outbox sorts what waits for its turn",
    "FROM jobs j INDEXED BY jobs_waiting WHERE kind = 'send'": "/outbox sorts what waits for its turn",
    "FROM jobs j INDEXED BY jobs_joinable": "/outbox sorts the replies that are owed: one for a contact at the most",
}

INDEXES = {
    "INSERT INTO jobs (kind, contact_id, state, priority": {"jobs_head"},
    "INSERT INTO jobs (kind, contact_id, state, due_at": {"jobs_answering"},
    "LEFT JOIN messages m ON m.job_id = j.id WHERE j.kind = '": {
        "jobs_ready",
        "messages_job",
    },
    "SELECT min(at) FROM (SELECT min(due_at) AS at FROM jobs": {"jobs_ready"},
    "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE id": {"jobs_waiting", "jobs_head"},
    "UPDATE jobs SET state = :next, due_at = max(due_at, :now) WHERE contact_id": {"jobs_joinable", "jobs_answering"},
    "SELECT id, contact_id, spent FROM jobs WHERE state = 'in_doubt'": {"jobs_later"},
    "SELECT id, contact_id FROM jobs WHERE state = 'held'": {"jobs_later"},
    "FROM jobs WHERE expires_at <= ?": {"jobs_perishable"},
    "FROM (SELECT id, state, expires_at FROM jobs WHERE kind = 'reply'": {"jobs_ready"},
    "wamid IN (SELECT value FROM json_each(:quoted))": {"messages_wamid"},
    "SELECT contact_id, settled_at FROM jobs": {"jobs_settled"},
    "SELECT 1 FROM jobs WHERE batch_id = ?": {"jobs_open_of_batch"},
    "SELECT contact_id FROM jobs WHERE kind = 'reply' AND state = 'running'": {"jobs_running"},
    "FROM messages INDEXED BY messages_ahead WHERE archived < version AND id > ?": {"messages_ahead"},
    "j.contact_id = (SELECT contact_id FROM identities": {"jobs_of"},
    "FROM jobs j WHERE j.batch_id = :batch": {"jobs_of_batch"},
    "AND m.status = 'sent' UNION ALL": {"messages_unread"},
    "AND state = 'failed' AND state IN": {"jobs_aside"},
    "AND (created_at, id) < (SELECT created_at, id FROM batches": {"batches_listed"},
    "WHERE j.batch_id = :batch AND j.id > :after": {"jobs_of_batch"},
}
"""By a part of the statement: the indexes that must serve it."""

Statements = dict[str, Any]


class Recording(sqlite3.Connection):
    """A connection that remembers its statements, each with the parameters of its first run."""

    seen: Statements = {}  # noqa: RUF012  one for all connections

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        self.seen.setdefault(sql, parameters)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:  # type: ignore[override]
        rows = list(rows)
        if rows:
            self.seen.setdefault(sql, rows[0])
        return super().executemany(sql, rows)


def open_recording(database: str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None, cached_statements=256, uri=uri, factory=Recording)
    connection.row_factory = sqlite3.Row
    return connection


@dataclass(frozen=True)
class Found:
    """The plans by statement, those that are prepared at each run, the journal's indexes, the conditions of those of
    jobs in some states, and the tables of statistics that a clean end left behind.
    """

    plans: dict[str, list[str]]
    prepared_again: set[str]
    indexes: list[str]
    conditions: dict[str, str]
    statistics: list[str]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """What a journal with some thousand rows does when it has done all that a journal does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "open_file", open_recording)
        patch.setattr(Recording, "seen", {})
        called = set[str]()
        for verb in verbs():
            patch.setattr(Journal, verb, noting(verb, getattr(Journal, verb), called))
        yield asyncio.run(work(tmp_path_factory.mktemp("plans")))
        assert called == set(verbs()), "the scenario must use every verb"


async def work(data_dir: Path) -> Found:
    scene = Scene(data_dir, await open_journal(data_dir, rules=RULES, policy=POLICY))
    await people_and_their_names(scene)
    await bulk_and_replies(scene)
    await whatever_comes_of_a_send(scene)
    await questions(scene)
    await by_hand_and_by_time(scene)
    await taken_over(scene)
    await events(scene)
    await forgetting(scene)
    names = "SELECT name FROM sqlite_schema WHERE"
    names_of_indexes = [row["name"] for row in scene.rows(f"{names} type = 'index' AND sql IS NOT NULL")]
    statistics = [row["name"] for row in scene.rows(f"{names} name LIKE 'sqlite_stat%'")]
    partial = scene.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'jobs'")
    conditions = {
        row["name"]: " ".join(row["sql"].split("WHERE")[1].split()) for row in partial if " state " in row["sql"]
    }
    run = scene.journal._connection.run
    found = Found(await run(plans), await run(prepared_again), names_of_indexes, conditions, statistics)
    await scene.journal.close()
    return found


def verbs() -> list[str]:
    """What the journal can be asked to do."""
    functions = inspect.getmembers(Journal, inspect.iscoroutinefunction)
    return [name for name, _ in functions if not name.startswith("_") and name not in NOT_VERBS]


def noting(name: str, verb: Any, called: set[str]) -> Any:
    async def note(*args: Any, **kw: Any) -> Any:
        called.add(name)
        return await verb(*args, **kw)

    return note


async def people_and_their_names(scene: Scene) -> None:
    bsuid, other = "IN.1", "IN.2"
    await scene.hear(said("p1", Person(wa_id=ANA)), said("p2", Person(bsuid=bsuid)), said("p2b", ANA))
    await scene.hear(said("p3", Person(wa_id=ANA, bsuid=bsuid)), said("p4", Person(wa_id=ANA, bsuid=other)))
    await scene.hear(said("p5", ANA, moved_to=Person(wa_id=EVA), type="system", answerable=False))
    await scene.hear(said("p6", EVA, revokes="p5"), said("p7", BEN, body="stop"), said("p8", BEN, body="start"))
    preferences = tuple(Preference(Person(wa_id=BEN), stopped, 1.0) for stopped in (True, False))
    await scene.journal.accept(Webhook(preferences=preferences, notices=(Notice("a", "b", "c"),)), scene.now)
    others = tuple(ForeignPart(number, '{"entry": []}') for number in ("7", "8", "9"))
    await scene.journal.accept(Webhook(foreign=others), scene.now)
    await scene.journal.foreign_kept({"7"})
    await scene.journal.reclaim("8", scene.now)
    await scene.journal.reclaim_from(scene.journal, "9", scene.now)
    await scene.journal.apply_wishes([(Person(wa_id=ANA), 1.0, stop) for stop in (True, False)], scene.now)
    await scene.journal.wishes()
    await scene.hear(
        said("q1", Person(wa_id="5511")), said("q2", Person(bsuid="BR.1")), said("q3", Person(bsuid="BR.2"))
    )
    for number in ("5511", "BR.1"):
        await scene.owe(number)
    first, second = (await scene.claim())[-2:]
    await scene.hear(said("q4", Person(wa_id="5511", bsuid="BR.1")), said("q5", Person(bsuid="BR.1"), body="stop"))
    await scene.settle(first, sent("q6", wa_id="55911"))
    await scene.settle(second, Outcome(Event.GIVE_UP, effect=Effect.SUPPRESS, code=131026))
    (merge, *_) = await scene.journal.merges(10)
    await scene.journal.undo_merge(merge["id"], scene.now)
    await scene.hear(said("q8", Person(wa_id="5511", bsuid="BR.1")), said("q9", Person(wa_id="551", bsuid="BR.2")))
    await scene.hear(said("q10", Person(bsuid="BR.2"), revokes="q11", type="revoke", answerable=False))


async def bulk_and_replies(scene: Scene) -> None:
    numbers = [f"4917112{n:05}" for n in range(2000)]
    await scene.batch(*numbers, batch_id="big", key="k")
    await scene.batch(*numbers, batch_id="again")
    await scene.batch(ANA, batch_id="other", key="k")
    await scene.hear(*(said(f"m{n}", number) for n, number in enumerate(numbers[:500])))
    for job in await scene.claim(limit=200):
        await scene.settle(job, sent(f"w{job.id}"))
    scene.now += 3
    for job in await scene.claim(Kind.REPLY, limit=4):
        await scene.journal.talk(job, 20)
        await scene.journal.answers(job, 0.0)
        await scene.journal.more_waits(job)
        await scene.journal.gets_silence(job)
        await scene.journal.count_model_call("2026-01-01", 1)
        await scene.journal.model_calls("2026-01-01")
        await scene.journal.adopt(job, [], scene.now)
        await scene.hear(said(f"more{job.id}", job.contact.wa_id or ANA))
        retry = Outcome(Event.RETRY, due_at=scene.now)
        await scene.settle(job, retry if job.id % 2 else Outcome(Event.SUCCEED, says=(text(), text())))
    await scene.claim(Kind.REPLY, limit=4)


async def whatever_comes_of_a_send(scene: Scene) -> None:
    jobs = await scene.claim(limit=10)
    await scene.settle(jobs[0], Outcome(Event.LOSE_TRACK, due_at=scene.now))
    pause = {"effect": Effect.PAUSE_TEMPLATE, "effect_seconds": 9, "code": 132015}
    await scene.settle(jobs[1], Outcome(Event.HOLD, due_at=scene.now, **pause))
    await scene.settle(jobs[2], Outcome(Event.GIVE_UP, effect=Effect.SUPPRESS, code=131026))
    await scene.settle(jobs[3], sent("out", wa_id="5511"))
    await scene.told(receipt("early", Status.SENT))
    await scene.settle(jobs[4], sent("early"))
    await scene.told(receipt("proof", Status.SENT, tag=jobs[5].tag), receipt("proof", Status.FAILED, code=131000))
    await scene.settle(jobs[5], sent("proof"))
    await scene.told(receipt("early", Status.FAILED, code=131047))
    await scene.told(receipt("lost", Status.FAILED, code=131000, tag=jobs[0].tag, person=Person(bsuid="IN.9")))
    news = tuple(TemplateNews("t", "en", event) for event in ("PAUSED", "APPROVED"))
    await scene.journal.accept(Webhook(templates=news), scene.now)
    await scene.settle(jobs[6], Outcome(Event.LOSE_TRACK, due_at=scene.now))


async def questions(scene: Scene) -> None:
    journal = scene.journal
    one = NewSingle("one", "key", "print", EVA, template(origin=Origin.STAFF), "wamid.x")
    await journal.queue_single(one, scene.now)
    await journal.queue_single(replace(one, quotes=None), scene.now)
    await journal.single_result("one")
    await journal.knows_key("key")
    await journal.contact(EVA, scene.now)
    for question in (
        contact_list_and_search.Question(),
        contact_list_and_search.Question("49", attention=True),
        contact_list_and_search.Question("x"),
    ):
        await journal.contacts(question, scene.now)
    await journal.results("big")
    for cursor in (None, "big", "nothing"):
        await journal.batches(5, cursor)
    await journal.knows_key("big")
    await journal.stopped([EVA, ANA])
    await journal.batch_head("big")
    await journal.batch_counts("big")
    await journal.batch_settled("big", 0.0)
    await journal.next_due(Kind.SEND)
    await journal.remember_messaging_limit(2000, "portfolio")
    await journal.messaging_limit()
    await journal.written_first(1.0, 2.0)
    await journal.let_more_people_go(1, 2.0)
    await journal.recently_sent(1.0)
    await journal.of_contact(EVA, 5, ("queued",))
    await journal.time_of(EVA, f"{journal.name}-1")
    await journal.mark_archived([(row[0], row[1]) for row in await journal.ahead_of_archive(0, 100)])
    await journal.depths()
    await journal.held_by_pair_limit(1.0)
    await journal.not_arrived(1.0)
    await journal.priced("2026-11")
    await journal.priced_ever()
    await journal.knows_key("key")
    await journal.witnesses(50)
    await journal.forget_archived(1, await journal.forget_archived(1, None, 5000), 5000)
    await journal.archive_lag()
    await journal.ping()
    for kind, state, identity, batch_id, message in product(
        (Kind.REPLY, Kind.SEND), (None, *State), ("", EVA), ("", "big"), (None, "undelivered", "unread")
    ):
        await journal.outbox(Query(kind, state, identity, batch_id, message))
    await journal.outbox_one(1)


async def by_hand_and_by_time(scene: Scene) -> None:
    jobs = scene.rows("SELECT min(id) AS id FROM jobs WHERE kind = 'send' GROUP BY state")
    for verb in (scene.journal.cancel, scene.journal.retry):
        for row in jobs:
            with suppress(CannotMove):
                await verb(row["id"], scene.now)
    for retry in (Retry(), Retry(batch_id="big"), Retry(error_code=131047, may_repeat=True)):
        await scene.journal.retry_counts(retry)
        await scene.journal.retry_all(retry, scene.now)
    await scene.journal.kept_file(ANA, "1")
    (scene.data_dir / "media").mkdir(exist_ok=True)
    await scene.journal.drop_files_of_nobody()
    await scene.journal.begin_to_keep_media()
    await scene.journal.media_to_keep(scene.now)
    await scene.journal.media_are_kept(0)
    await scene.journal.has_message(1)
    await scene.journal.cancel_batch("again", scene.now)
    await scene.journal.set_stop(EVA, scene.now, stop=True)
    await scene.journal.set_stop(EVA, scene.now, stop=False)
    await scene.restart()
    await scene.journal.tend_at(scene.now)
    await scene.journal.tend(scene.now + DAY)
    ages = {"before": scene.now + 9 * DAY, "now": scene.now + 40 * DAY}
    await scene.journal.prune(**ages)
    ahead = await scene.journal.ahead_of_archive(0, 100)
    await scene.journal.mark_archived([(row[0], row[1]) for row in ahead])
    held, _ = await scene.journal.outdated(0, **ages, limit=200)
    await scene.journal.lost_by_archive([held[0].id])
    await scene.journal.forget_messages(held)
    await scene.journal.forget_adopted(**ages, limit=200)


async def taken_over(scene: Scene) -> None:
    for number in (EVA, ANA):
        await scene.journal.pause(number, scene.now + 60, "why", scene.now)
        await scene.journal.queue_single(
            NewSingle(f"to-{number}", None, "", number, template(origin=Origin.STAFF), None, 600.0), scene.now
        )
        await scene.journal.resume(number)


async def events(scene: Scene) -> None:
    endpoint, journal = Endpoint("http://a", "", ("*",)), scene.journal
    writer = EventWriter("main", [endpoint], clock=lambda: scene.now, noise=lambda: 0.5, wake=lambda _: None)
    await journal.tell_programs(writer, [endpoint.url], scene.now)
    await journal.write_event("lane.paused", {})
    await scene.hear(said("e1"), said("e2"), said("e3", EVA), said("e4", "4915112345678", body="stop"))
    await scene.batch(BEN, batch_id="told")
    await journal.events_due([endpoint.url])
    jobs = await journal.claim_events({endpoint.url: 5}, scene.now)
    for job, event in zip(jobs, (Event.SUCCEED, Event.GIVE_UP, Event.RETRY), strict=False):
        await journal.settle_event(job, Outcome(event, due_at=scene.now + 9), scene.now)
    for state, identity in product((None, State.FAILED), ("", EVA)):
        found = await journal.events(EventQuery(state, 5, None, identity))
        for each in found:
            with suppress(CannotMove):
                await journal.retry_event(each["id"], scene.now)
    await journal.hurry_events(scene.now)
    await journal.event_depths()
    journal.notify = lambda _kind, _due: None


async def forgetting(scene: Scene) -> None:
    (ana,) = scene.rows("SELECT id FROM contacts WHERE wa_id = ?", ANA)
    (send,) = scene.rows("SELECT id FROM jobs WHERE kind = 'send' AND contact_id <> ? LIMIT 1", ana["id"])
    await scene.journal.writer(owner_alerts.note, send["id"], [(ana["id"], "Ana")])
    for number in (ANA, "4930123456"):
        erased = await scene.journal.forget(number, scene.now, archive=True)
        assert {person.id for person in await scene.journal.owed_by_archive()} >= {erased.id}
        await scene.journal.archive_forgot(erased.id, 1)
        await scene.journal.archive_has_forgotten(erased.id, 1.0)
    await scene.hear(said("after-all", ANA))
    await scene.told(receipt("after-all", Status.SENT))
    await scene.batch(ANA, batch_id="after-all")
    await scene.journal.go_on_forgetting(scene.now, archive=False)
    await scene.journal.prune(before=scene.now + 40 * DAY, now=scene.now + 40 * DAY)


def plan_of(db: sqlite3.Connection, sql: str, parameters: Any) -> list[str]:
    return [row["detail"] for row in sqlite3.Connection.execute(db, f"EXPLAIN QUERY PLAN {sql}", parameters)]


def statements() -> Statements:
    """Those of normal work that were seen."""
    return {
        sql: values
        for sql, values in Recording.seen.items()
        if not sql.startswith(NOT_NORMAL) and "temp.noted" not in sql
    }


def plans(db: sqlite3.Connection) -> dict[str, list[str]]:
    return {sql: plan_of(db, sql, values) for sql, values in statements().items()}


def prepared_again(db: sqlite3.Connection) -> set[str]:
    """The statements that SQLite prepares at each run: it asks the authorizer whenever it prepares one."""
    asked: list[Any] = []
    db.set_authorizer(lambda *what: asked.append(what) or sqlite3.SQLITE_OK)  # type: ignore[func-returns-value]
    found = set[str]()
    for sql, values in statements().items():
        plan_of(db, sql, values)
        asked.clear()
        plan_of(db, sql, values)
        if asked:
            found.add(sql)
    db.set_authorizer(None)
    return found


def objections(plan: Sequence[str]) -> list[str]:
    """The lines of a plan that read a whole table, or sort."""
    fine = ("SCAN CONSTANT ROW", "SCAN 3 CONSTANT ROWS", *(f"SCAN {table}" for table in SMALL))
    return [line for line in plan if line.startswith(("SCAN", "USE TEMP B-TREE")) and not line.startswith(fine)]


def test_no_statement_reads_a_whole_table_or_sorts_what_grows(found: Found) -> None:
    assert len(found.plans) > 100
    bad = {sql: lines for sql, plan in found.plans.items() if (lines := objections(plan))}
    unexcused = {sql: lines for sql, lines in bad.items() if not any(part in sql for part in EXCEPTIONS)}
    assert unexcused == {}
    idle = [part for part in EXCEPTIONS if not any(part in sql for sql in bad)]
    assert idle == [], "an exception that nothing needs any more"


def test_a_listing_goes_through_all_jobs_only_where_most_of_them_are_in_it(found: Found) -> None:
    listings = {sql for sql in found.plans if "WHERE j.id IN (SELECT" in sql}
    assert len(listings) > 200
    walks = {sql for sql in listings if any("INTEGER PRIMARY KEY (rowid<?)" in line for line in found.plans[sql])}
    assert {sql.split("j.id IN ")[1].split(" AND j.id <")[0] for sql in walks} == {
        "(SELECT j.id FROM jobs j WHERE +j.kind = 'send'", "(SELECT j.id FROM jobs j WHERE +j.kind = 'reply'",
    }  # fmt: skip
    assert all("'done'" in sql or "+j.kind = 'send' AND j.id < :before ORDER BY" in sql for sql in walks)


def test_a_listing_by_what_became_of_messages_reads_no_send_that_still_waits(found: Found) -> None:
    by_message = {sql for sql in found.plans if "m.job_id IS NOT NULL AND m.status IN ('sent', 'delivered')" in sql}
    by_message -= {sql for sql in by_message if "EXISTS" in sql}
    assert by_message
    for state in ("waiting", "queued", "running", *ASIDE - {"failed"}):
        assert not any(f"+j.state = '{state}'" in sql for sql in by_message)


def test_a_statement_is_prepared_once(found: Found) -> None:
    """Where a parameter decides whether a partial index can be used, SQLite prepares it for each value anew."""
    assert {sql[:200] for sql in found.prepared_again} == set()


@pytest.mark.parametrize("part", INDEXES)
def test_the_index_that_was_made_for_a_statement_serves_it(found: Found, part: str) -> None:
    matching = {sql: "\n".join(plan) for sql, plan in found.plans.items() if part in sql}
    assert matching, "no statement reads so any more"
    for plan in matching.values():
        assert {name for name in INDEXES[part] if f"INDEX {name} " not in plan} == set()


def test_what_a_reply_answers_is_looked_for_among_the_latest_of_a_conversation(found: Found) -> None:
    """Of the whole conversation it takes as long as that is."""
    (plan,) = [plan for sql, plan in found.plans.items() if "substr(body, 1, :longest) AS body, raw" in sql]
    assert "SEARCH messages USING COVERING INDEX messages_of (contact_id=? AND timestamp>?)" in plan


def test_there_are_no_statistics_that_could_change_a_plan(found: Found) -> None:
    assert found.statistics == []


def test_every_index_has_a_use(found: Found) -> None:
    everything = " ".join(line for plan in found.plans.values() for line in plan)
    assert [name for name in found.indexes if f" {name} " not in f"{everything} "] == []


def test_the_statements_take_their_words_from_where_each_partial_index_on_jobs_has_its_condition(found: Found) -> None:
    assert len(found.conditions) == 10
    assert {name: getattr(indexes, name.removeprefix("jobs_").upper(), None) for name in found.conditions} == (
        found.conditions
    )
