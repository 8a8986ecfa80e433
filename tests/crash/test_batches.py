"""SIGKILL while a large batch is being queued: it is queued whole or not at all, and its key stands for it once."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from tests.process import ROOT, World, eventually, world
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta
from wabot.sandbox.templates import Library

KILLS = min(int(os.environ.get("WABOT_KILLS", "5")), 8)
SEED = int(os.environ.get("WABOT_SEED", "1"))
KILLED = ROOT / "tests" / "crash" / "launch_killed.py"
BEGUN = 6
"""The draft, four slices written down, the beginning; then four slices are queued."""


def request(count: int, characters: int) -> dict[str, Any]:
    """Recipients who all get something of their own, and one of them twice."""
    numbers = [f"4917112{n:05}" for n in range(count - 1)]
    recipients = [
        {"number": number, "components": [{"type": "body", "parameters": [{"type": "text", "text": number * 4}]}]}
        for number in [*numbers, numbers[0]]
    ]
    recipients[1]["components"][0]["parameters"][0]["text"] *= max(1, characters // 50)
    return {"recipients": recipients, "template": {"name": "hello_world"}}


async def ask(w: World, body: dict[str, Any]) -> tuple[int, Any]:
    return await w.post("/initiate-bulk", body, **{"Idempotency-Key": "k", "Prefer": "respond-async"})


def rows(w: World, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{w.journal.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


async def nothing_is_left_to_do(w: World) -> None:
    """Wait until all is queued, and what never began is forgotten."""
    await eventually(lambda: not rows(w, "SELECT 1 FROM batches WHERE next_position IS NOT NULL"))


def assert_whole(w: World, count: int, batch_id: str) -> None:
    """One batch, one send for each number, nothing left over."""
    assert rows(w, "SELECT id, next_position FROM batches") == [(batch_id, None)]
    jobs = rows(w, "SELECT count(*), count(DISTINCT contact_id), count(DISTINCT batch_id) FROM jobs")
    assert jobs == [(count - 1, count - 1, 1)]
    assert rows(w, "SELECT count(*), count(job_id), sum(duplicate) FROM recipients") == [(count, count, 1)]
    unread = "SELECT count(*) FROM contents WHERE id NOT IN (SELECT content_id FROM messages WHERE content_id NOT NULL)"
    assert rows(w, unread) == [(0,)]


@pytest.mark.parametrize("step", range(11))
async def test_a_kill_between_any_two_slices_loses_and_doubles_nothing(step: int, tmp_path: Path) -> None:
    anything = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0, templates=Library(lenient=True))
    async with world(tmp_path, meta=anything) as w:
        await w.start(launcher=(KILLED, "batch", str(step)))
        with suppress(ClientError):
            await ask(w, request(11, 5000))
        await w.wabot.ended()
        begun = {batch_id for batch_id, place in rows(w, "SELECT id, next_position FROM batches") if place != -1}
        assert bool(begun) == (step >= BEGUN)

        await w.start()
        status, answer = await ask(w, request(11, 5000))
        assert (status, answer["total"]) == (202, 11)
        assert begun <= {answer["batch_id"]}
        await w.post("/initiate-bulk", request(11, 5000), **{"Idempotency-Key": "k", "Prefer": "wait=20"})

        assert (await w.get(f"/batches/{answer['batch_id']}"))["successful"] == 11
        await nothing_is_left_to_do(w)
        assert_whole(w, 11, answer["batch_id"])
        to = {sent.to: str(sent.tag).rpartition(":")[0] for sent in w.meta.sent}
        assert len(to) == 10
        assert len({str(sent.tag).rpartition(":")[0] for sent in w.meta.sent}) == 10


async def test_a_kill_at_any_moment_of_a_large_batch_loses_and_doubles_nothing(tmp_path: Path) -> None:
    noise, body = random.Random(SEED), request(4000, 5000)
    for kill in range(KILLS):
        async with world(tmp_path / str(kill)) as w:
            await w.start()
            asking = asyncio.create_task(ask(w, body))
            await asyncio.sleep(noise.uniform(0.02, 0.8))
            await w.wabot.kill()
            heard = (await asyncio.gather(asking, return_exceptions=True))[0]

            await w.start()
            status, answer = await ask(w, body)

            assert (status, answer["total"]) == (202, 4000)
            if not isinstance(heard, BaseException):
                assert answer["batch_id"] == heard[1]["batch_id"]
            await nothing_is_left_to_do(w)
            assert_whole(w, 4000, answer["batch_id"])
