"""A row that makes no sense: it fails alone, once, and whatever stands behind it goes on."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, business
from tests.mongo_server import mongo_server
from tests.process import World, eventually, world
from wabot.journal.journal import Journal
from wabot.sandbox.behaviour import Answer


def poison(w: World, statement: str, *values: Any) -> None:
    """Change the journal of a wabot that does not run."""
    with closing(sqlite3.connect(w.journal)) as db, db:
        assert db.execute(statement, values).rowcount == 1, "nothing was poisoned"


async def queued_for(w: World, *numbers: str) -> None:
    """Start wabot, let it queue a template for each, one after the other, while Meta is away; and stop it."""
    await w.start()
    await w.close_meta()
    for number in numbers:
        status, _ = await w.post("/initiate-bulk", {"numbers": [number]}, Prefer="respond-async")
        assert status == 202
    assert await w.wabot.stop() == 0
    await w.open_meta()


def traces(w: World) -> list[str]:
    """The tracebacks in the log of the process that runs."""
    return [line["exception"] for line in w.wabot.lines if "exception" in line]


JUNK = {
    "content that is no JSON": ("raw", "{not json"),
    "content that is a list": ("raw", "[]"),
    "content that is a number": ("raw", "7"),
    "content with a template that is none": ("raw", '{"type": "template", "template": 7}'),
    "an origin that nobody knows": ("origin", "nonsense"),
}


@pytest.mark.parametrize(("column", "value"), JUNK.values(), ids=list(JUNK))
async def test_a_send_that_cannot_be_read_fails_alone(tmp_path: Path, column: str, value: str) -> None:
    async with world(tmp_path, tolerate_errors=True) as w:
        await queued_for(w, ANA, ANA, BEN)
        poison(w, f"UPDATE messages SET {column} = ? WHERE job_id = (SELECT min(id) FROM jobs)", value)

        await w.start()

        await w.meta.until(lambda meta: sorted(sent.to for sent in meta.sent) == sorted([ANA, BEN]))

        async def settled() -> bool:
            sends = (await w.get("/outbox"))["outbox"]
            states = [send["state"] for send in sends]
            return states[:2] == ["done", "done"] and states[2] in ("failed", "expired")

        await eventually(settled)
        assert len(traces(w)) <= 1
        assert len(await w.said_with(ANA, include=["failed"])) == 2
        await w.meta.say("Hi", from_=EVA)
        await w.meta.until(lambda meta: any(sent.to == EVA for sent in meta.sent))


async def test_a_send_without_its_message_fails_alone(tmp_path: Path) -> None:
    async with world(tmp_path, tolerate_errors=True) as w:
        await queued_for(w, ANA, ANA, BEN)
        poison(w, "DELETE FROM messages WHERE job_id = (SELECT min(id) FROM jobs)")
        await w.start()
        await w.meta.until(lambda meta: sorted(sent.to for sent in meta.sent) == sorted([ANA, BEN]))


async def test_a_state_that_nobody_knows_stops_nobody_else(tmp_path: Path) -> None:
    async with world(tmp_path, tolerate_errors=True) as w:
        await queued_for(w, ANA, BEN)
        poison(w, "UPDATE jobs SET state = 'nonsense' WHERE id = (SELECT min(id) FROM jobs)")
        await w.start()
        await w.meta.until(lambda meta: [sent.to for sent in meta.sent] == [BEN])
        assert (await w.get("/outbox"))["count"] == 2


async def test_a_talk_that_cannot_be_read_is_answered_with_the_fallback_and_told_of_once(tmp_path: Path) -> None:
    async with world(tmp_path, tolerate_errors=True, assistant={"fallback_text": "One moment."}) as w:
        await w.start()
        await w.meta.say("Hi", from_=ANA)
        await w.meta.until(lambda meta: len(meta.sent) == 1)
        assert await w.wabot.stop() == 0
        poison(w, "UPDATE messages SET origin = 'nonsense' WHERE direction = 'in'")
        await w.start()

        await w.meta.say("prices?", from_=ANA)
        await w.meta.say("Hi", from_=BEN)

        await w.meta.until(lambda meta: len(meta.sent) == 3)
        assert (w.texts(ANA), w.texts(BEN)) == (["[hello_world]", "One moment."], ["[hello_world]"])
        assert len(traces(w)) == 1
        assert re.search(r"ValueError: 'nonsense' is not a valid Origin", traces(w)[0])


async def test_a_message_that_cannot_be_read_keeps_no_other_from_the_archive(tmp_path: Path) -> None:
    async with (
        mongo_server(tmp_path / "mongo", started=False) as mongo,
        world(tmp_path / "w", mongo={"uri": mongo.uri}) as w,
    ):
        await w.start()
        for number in (ANA, BEN):
            await w.meta.say("Hi", from_=number)
        assert await w.wabot.stop() == 0
        poison(w, "UPDATE messages SET raw = '{', status_times = 'x' WHERE id = (SELECT min(id) FROM messages)")
        await mongo.start()

        await w.start()
        await w.meta.say("Hi", from_=EVA)

        async def archived() -> bool:
            text = await (await w.client.get(f"{w.wabot.url}/metrics")).text()
            return "wabot_archive_lag_messages 0.0" in text and (await w.get("/readyz"))["mongo"] == "ok"

        await eventually(archived)
        assert (await w.said_with(ANA))[0]["body"] == "Hi"


async def test_a_bug_in_the_timers_is_told_of_and_the_next_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without them no doubt would ever end, and nobody would see it."""
    tend, failures = Journal.tend, iter([ValueError("a poisoned row")])

    async def fails_once(self: Journal, now: float) -> Any:
        for failure in failures:
            raise failure
        return await tend(self, now)

    monkeypatch.setattr(Journal, "tend", fails_once)
    monkeypatch.setattr("wabot.assembly.start_and_stop.BROKEN_SECONDS", 0.1)
    async with business(tmp_path, delivery={"hold_seconds": 0.2}) as wabot:
        wabot.meta.behaviour.script(ANA, [Answer(accepts=False, cut=True)])
        await wabot.meta.say("Hi", from_=ANA)
        await wabot.meta.until(lambda meta: len(meta.sent) == 1)
    assert capsys.readouterr().out.count("ValueError: a poisoned row") == 1


async def test_a_bug_in_the_recorder_is_told_of_and_the_archive_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead, failures = Journal.ahead_of_archive, iter([ValueError("a poisoned row")])

    async def fails_once(self: Journal, after: int, limit: int) -> Any:
        for failure in failures:
            raise failure
        return await ahead(self, after, limit)

    monkeypatch.setattr(Journal, "ahead_of_archive", fails_once)
    monkeypatch.setattr("wabot.assembly.start_and_stop.BROKEN_SECONDS", 0.1)
    async with (
        mongo_server(tmp_path / "mongo") as mongo,
        business(tmp_path / "data", mongo={"uri": mongo.uri}) as wabot,
    ):
        await wabot.meta.say("Hi", from_=ANA)

        async def recorded() -> bool:
            return bool((await wabot.get("/readyz")).json["mongo"] == "ok")

        await eventually(recorded)
    assert capsys.readouterr().out.count("ValueError: a poisoned row") == 1
