"""MongoDB as it is on bad days: silent, refusing one document, or another one than before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.business import ANA, BEN, EVA, business
from tests.faults.proxy import Fault, proxy
from tests.mongo_server import MongoServer, mongo_server
from tests.process import eventually
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta


@asynccontextmanager
async def documents(mongo: MongoServer) -> AsyncIterator[Any]:
    """The collection, for whoever must look."""
    from motor.motor_asyncio import AsyncIOMotorClient

    client: Any = AsyncIOMotorClient(mongo.uri)
    try:
        yield client["chat_db"]["user_chat"]
    finally:
        client.close()


async def has(collection: Any, *bodies: str) -> None:
    """Wait until it holds just these texts of people."""

    async def complete() -> bool:
        found = await collection.find({"direction": "in"}).to_list(None)
        return sorted(d["body"] for d in found) == sorted(bodies)

    await eventually(complete)


async def test_a_mongodb_that_says_nothing_holds_up_no_webhook_and_no_known_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wabot.adapters.mongo.SOCKET_MS", 500)
    monkeypatch.setattr("wabot.adapters.mongo.SELECT_MS", 500)
    async with mongo_server(tmp_path / "mongo") as mongo, proxy(mongo.port) as wire:
        uri = f"mongodb://127.0.0.1:{wire.port}/?directConnection=true"
        async with business(tmp_path / "data", mongo={"uri": uri}, first_contact={"answer": "ai"}) as wabot:
            await wabot.meta.say("Hi there", from_=ANA)
            await wabot.meta.until(lambda meta: len(meta.sent) == 1)
            async with documents(mongo) as collection:
                await has(collection, "Hi there")

            wire.always = Fault.SILENCE
            wire.cut()
            began = time.monotonic()
            for nth in range(20):
                assert (await wabot.meta.say(f"{nth}", from_=EVA))[1] == 200
            assert (await wabot.meta.say("hours?", from_=ANA))[1] == 200
            assert time.monotonic() - began < 1
            await wabot.meta.until(lambda meta: any(sent.to == ANA for sent in meta.sent[1:]))

            answer = (await wabot.post("/get", {"number": ANA})).json
            assert answer["partial"] is True
            assert [m["body"] for m in answer["messages"]][-2:] == [
                "Hello, and welcome! How can I help you?",
                "Hi there",
            ]

            async def known_to_be_down() -> bool:
                ready = await wabot.get("/readyz")
                return (ready.status, ready.json["mongo"]) == (200, "down")

            await eventually(known_to_be_down)
            wire.always = Fault.NONE
            wire.cut()
            async with documents(mongo) as collection:
                await has(collection, "Hi there", "hours?", *map(str, range(20)))


async def test_a_mongodb_that_says_nothing_costs_each_question_a_second_and_later_ones_nothing(tmp_path: Path) -> None:
    """Asked by many at once, through `/get` and by first messages of people whom the journal does not know."""
    people = [f"9192165{nth:05}" for nth in range(50)]
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    async with mongo_server(tmp_path / "mongo") as mongo, proxy(mongo.port) as wire:
        uri = f"mongodb://127.0.0.1:{wire.port}/?directConnection=true"
        async with business(tmp_path / "data", meta=meta, mongo={"uri": uri}) as wabot:

            async def mongo_is(word: str) -> bool:
                return bool((await wabot.get("/readyz")).json["mongo"] == word)

            async def ask() -> tuple[float, Any]:
                began = time.monotonic()
                answer = await wabot.post("/get", {"number": ANA})
                return time.monotonic() - began, answer.json.get("partial")

            await eventually(lambda: mongo_is("ok"))
            wire.always = Fault.SILENCE
            wire.cut()
            first = await asyncio.gather(*(ask() for _ in range(100)))
            assert {partial for _, partial in first} == {True}
            assert max(took for took, _ in first) < 3, "a second, on a machine that has time"
            assert await mongo_is("down"), "what a question finds out is known to all"

            later = await asyncio.gather(*(ask() for _ in range(100)))
            assert max(took for took, _ in later) < 0.9
            began = time.monotonic()
            for number in people:
                assert (await wabot.meta.say("Hi", from_=number))[1] == 200
            await wabot.meta.until(lambda meta: {sent.to for sent in meta.sent} == set(people))
            assert time.monotonic() - began < 5

            wire.always = Fault.NONE
            wire.cut()
            await eventually(lambda: mongo_is("ok"))
            assert (await ask())[1] is None


async def test_one_document_that_mongodb_refuses_keeps_no_other_back(tmp_path: Path) -> None:
    """A rule of the database's own, as its owner may have made it."""
    async with (
        mongo_server(tmp_path / "mongo") as mongo,
        documents(mongo) as collection,
        business(tmp_path / "data", mongo={"uri": mongo.uri}) as wabot,
    ):
        database = collection.database
        await database.drop_collection(collection.name)
        await database.create_collection(collection.name, validator={"body": {"$ne": "refuse me"}})
        said = [wabot.meta.say(f"Hi {nth}", from_=BEN) for nth in range(5)]
        await asyncio.gather(wabot.meta.say("refuse me", from_=ANA), *said)

        await has(collection, *(f"Hi {nth}" for nth in range(5)))

        answer = (await wabot.post("/get", {"number": ANA})).json
        assert [m["body"] for m in answer["messages"] if m["direction"] == "in"] == ["refuse me"]
        await wabot.meta.say("and on", from_=EVA)
        await has(collection, "and on", *(f"Hi {nth}" for nth in range(5)))


async def test_another_mongodb_gets_what_is_still_here_and_nothing_is_missing_from_get(tmp_path: Path) -> None:
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    async with (
        mongo_server(tmp_path / "first") as mongo,
        documents(mongo) as collection,
        business(tmp_path / "data", meta=meta, mongo={"uri": mongo.uri}),
    ):
        await meta.say("Hi", from_=ANA)
        await has(collection, "Hi")
        await meta.until(lambda _: len(meta.told) == 3)

    async with (
        mongo_server(tmp_path / "second") as mongo,
        documents(mongo) as collection,
        business(tmp_path / "data", meta=meta, mongo={"uri": mongo.uri}) as wabot,
    ):
        await meta.say("prices?", from_=ANA)
        await has(collection, "Hi", "prices?")
        await meta.until(lambda _: len(meta.sent) == 2)

        async def whole() -> bool:
            return bool((await wabot.post("/get", {"number": ANA})).json["count"] == 4)

        await eventually(whole)


@pytest.mark.parametrize("lost", [1, 7])
async def test_a_mongodb_that_lost_its_last_writes_gets_them_again(tmp_path: Path, lost: int) -> None:
    """A restored dump, or a power cut: it has most of what it had, so it is no stranger."""
    meta = Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    bodies = [f"Hi {nth}" for nth in range(10)]
    async with mongo_server(tmp_path / "mongo") as mongo, documents(mongo) as collection:
        async with business(tmp_path / "data", meta=meta, mongo={"uri": mongo.uri}):
            for nth, body in enumerate(bodies):
                await meta.say(body, from_=f"9192165{nth:05}")
            await has(collection, *bodies)
        for body in bodies[len(bodies) - lost :]:
            await collection.delete_one({"body": body})

        async with business(tmp_path / "data", meta=meta, mongo={"uri": mongo.uri}):
            await has(collection, *bodies)
