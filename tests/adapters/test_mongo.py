"""The archive, against a real server that speaks MongoDB's protocol."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener, CommandStartedEvent

from tests.adapters.archive_contract import ANA, OUR_NUMBER, ArchiveContract, document
from tests.mongo_fixtures import proxy
from wabot.adapters import mongo
from wabot.adapters.mongo import MongoArchive
from wabot.core.exceptions import ArchiveDown

COLLECTION = "user_chat"
MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def opened(uri: str, database: str) -> AsyncIterator[MongoArchive]:
    archive = MongoArchive(uri, database=database, collection=COLLECTION)
    try:
        yield archive
    finally:
        await archive.close()


@pytest.fixture
async def archive(mongo_uri: str, database: str) -> AsyncIterator[MongoArchive]:
    async with opened(mongo_uri, database) as archive:
        yield archive


@pytest.fixture
async def client(mongo_uri: str) -> AsyncIterator[AsyncIOMotorClient[dict[str, Any]]]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_uri)
    yield client
    client.close()


@pytest.fixture
def collection(client: AsyncIOMotorClient[dict[str, Any]], database: str) -> Any:
    """What is really there."""
    return client[database][COLLECTION]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(mongo, "SELECT_MS", 200)
    monkeypatch.setattr(mongo, "SOCKET_MS", 200)


class TestMongoArchive(ArchiveContract):
    """MongoDB keeps the contract."""


# Documents and indexes.


async def test_a_document_has_the_earlier_services_shape_and_our_own_fields(
    archive: MongoArchive, collection: Any
) -> None:
    await archive.record([document("wamid.1")])
    assert await collection.find_one() == {
        "_id": "wamid.1",
        "id": "wamid.1",
        "from": ANA,
        "to": OUR_NUMBER,
        "timestamp": "1700000000",
        "type": "text",
        "body": "body of wamid.1",
        "raw": {"type": "text", "text": {"body": "body of wamid.1"}},
        "participant_numbers": [OUR_NUMBER, ANA],
        "direction": "in",
        "origin": "person",
        "contact": "j-1",
        "status": "received",
        "status_times": {},
        "outbox_id": None,
        "error": None,
        "error_code": None,
        "version": 1,
    }


async def test_what_somebody_else_wrote_into_a_document_stays(archive: MongoArchive, collection: Any) -> None:
    await archive.record([document("wamid.1")])
    await collection.update_one({"_id": "wamid.1"}, {"$set": {"label": "urgent"}})
    await archive.record([document("wamid.1", body="edited")])
    found = await collection.find_one()
    assert (found["label"], found["body"]) == ("urgent", "edited")


async def test_the_indexes_that_history_needs_are_made(archive: MongoArchive, collection: Any) -> None:
    await archive.record([document("wamid.1")])
    keys = [index["key"] for index in (await collection.index_information()).values()]
    assert sorted(keys) == [
        [("_id", 1)],
        [("contact", 1), ("timestamp", -1)],
        [("id", 1)],
        [("participant_numbers", 1), ("timestamp", -1)],
    ]


async def test_an_index_that_cannot_be_made_is_no_reason_not_to_record(archive: MongoArchive, collection: Any) -> None:
    await collection.create_index("body", name="participant_numbers_1_timestamp_-1")
    assert await archive.record([document("wamid.1")]) == {}
    assert "contact_1_timestamp_-1" in await collection.index_information()


class Overheard(CommandListener):
    """What is asked of MongoDB, by command."""

    def __init__(self) -> None:
        self.commands: dict[str, Mapping[str, Any]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        self.commands[event.command_name] = event.command

    def succeeded(self, event: Any) -> None: ...
    def failed(self, event: Any) -> None: ...


async def test_what_is_recorded_is_on_the_disks_of_a_majority(
    mongo_uri: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal will forget it: neither a power cut nor an election may undo it."""
    overheard = Overheard()
    monkeypatch.setattr(mongo, "AsyncIOMotorClient", partial(AsyncIOMotorClient, event_listeners=[overheard]))
    async with opened(mongo_uri, database) as archive:
        await archive.record([document("wamid.1")])
        assert await archive.lacks({"wamid.1": 1}) == set()
    concern = overheard.commands["update"]["writeConcern"]
    assert (concern["w"], concern["j"]) == ("majority", True)
    assert overheard.commands["find"]["readConcern"] == {"level": "majority"}


# The earlier service's documents.

OLD = {
    "id": "wamid.old",
    "from": ANA,
    "to": OUR_NUMBER,
    "timestamp": "1690000000",
    "type": "text",
    "body": "Have you tulips?",
    "raw": {"id": "wamid.old", "text": {"body": "Have you tulips?"}},
    "participant_numbers": [ANA, OUR_NUMBER],
}


async def test_the_earlier_services_documents_are_read(archive: MongoArchive, collection: Any) -> None:
    answer = {**OLD, "id": "wamid.answer", "from": OUR_NUMBER, "to": ANA, "timestamp": "1690000001", "body": "Yes."}
    await collection.insert_many([OLD.copy(), answer])
    told = await archive.history([ANA], None, 0, ())
    assert [(m["id"], m["direction"], m["status"]) for m in told] == [
        ("wamid.answer", "out", "sent"),
        ("wamid.old", "in", "received"),
    ]
    assert all(isinstance(m["_id"], str) and ObjectId.is_valid(m["_id"]) for m in told)
    recent = await archive.recent([ANA], "j-1", 20)
    assert [(m["origin"], m["body"]) for m in recent] == [("ai", "Yes."), ("person", "Have you tulips?")]


async def test_what_a_reply_needs_is_whole_whatever_a_document_holds(archive: MongoArchive, collection: Any) -> None:
    odd = {
        "id": 7,
        "from": None,
        "to": {"a": 1},
        "timestamp": datetime.datetime(2024, 1, 1),  # noqa: DTZ001  as MongoDB gives it
        "type": None,
        "body": ["no", "text"],
        "raw": {"at": datetime.datetime(2024, 1, 1), "key": ObjectId(), "nan": float("nan")},  # noqa: DTZ001
        "participant_numbers": [ANA],
        "direction": "sideways",
        "origin": {"unheard": "of"},
    }
    await collection.insert_one(odd)
    await collection.insert_one({"participant_numbers": [ANA], "id": "wamid.bare"})
    for told in await archive.recent([ANA], "j-1", 20):
        assert told["direction"] == "out"
        assert told["origin"] == "ai"
        assert told["type"] == "text"
        assert float(told["timestamp"]) == 0.0
        texts = (told["id"], told["from"], told["to"], told["body"])
        assert texts in [("7", "", "", ""), ("wamid.bare", "", "", "")]
        assert all(isinstance(value, str) for value in told["raw"].values())


# One document that is refused.


@pytest.mark.parametrize(
    "poison",
    [
        {"raw": {"text": "x" * 17 * MEBIBYTE}},
        {"raw": {"a\0b": 1}},
        {"raw": {"n": 1 << 70}},
        {"body": "\ud800"},
        {"raw": {"what": object()}},
    ],
    ids=["over 16 MB", "a NUL in a key", "a huge integer", "half a character", "no BSON"],
)
async def test_one_that_is_refused_lets_the_others_pass(archive: MongoArchive, poison: dict[str, Any]) -> None:
    documents = [document("a", at=1), document("b", at=2) | poison, document("c", at=3)]
    refused = await archive.record(documents)
    assert list(refused) == [1]
    assert [m["_id"] for m in await archive.history([ANA], None, 0, ())] == ["c", "a"]


async def test_several_that_are_refused_are_named_each(archive: MongoArchive) -> None:
    bad = {"raw": {"n": 1 << 70}}
    documents = [document(str(n)) | (bad if n in (0, 3, 6) else {}) for n in range(7)]
    assert sorted(await archive.record(documents)) == [0, 3, 6]


async def test_why_one_was_refused_is_told_without_what_it_says(archive: MongoArchive, collection: Any) -> None:
    await collection.create_index("body", unique=True)
    refused = await archive.record(
        [document("a"), document("b", body="body of a"), document("c", body="secret \ud800"), document("d")]
    )
    assert sorted(refused) == [1, 2]
    reasons = " ".join(refused.values())
    assert "duplicate key" in reasons or "11000" in reasons
    assert "body of a" not in reasons
    assert "secret" not in reasons


async def test_a_rule_of_the_databases_refuses_only_what_breaks_it(
    archive: MongoArchive, client: AsyncIOMotorClient[dict[str, Any]], database: str
) -> None:
    await client[database].create_collection(COLLECTION, validator={"body": {"$ne": "forbidden"}})
    refused = await archive.record([document("a"), document("b", body="forbidden"), document("c")])
    assert list(refused) == [1]
    assert "121" in refused[1]


# A server that does not answer.


async def recorded(archive: MongoArchive, *documents: dict[str, Any]) -> bool:
    """Record as soon as the driver has seen that the server is there: it looks twice a second."""
    for _ in range(20):
        try:
            return await archive.record(documents) == {}
        except ArchiveDown:
            await asyncio.sleep(0.1)
    return False


async def asking(archive: MongoArchive) -> None:
    """Every way of asking says that it is down."""
    with pytest.raises(ArchiveDown):
        await archive.record([document("a")])
    with pytest.raises(ArchiveDown):
        await archive.history([ANA], None, 0, ())
    with pytest.raises(ArchiveDown):
        await archive.recent([ANA], "j-1", 5)
    with pytest.raises(ArchiveDown):
        await archive.lacks({"a": 1})
    with pytest.raises(ArchiveDown):
        await archive.ping()


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_is_down_at_start_is_found_when_it_comes(
    mongo_uri: str, database: str, collection: Any
) -> None:
    async with proxy(mongo_uri, opened=False) as way, opened(way.uri, database) as archive:
        await asking(archive)
        await way.open()
        assert await recorded(archive, document("a"))
        assert await collection.count_documents({}) == 1
        assert len(await collection.index_information()) == 4


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_goes_away_is_down_until_it_is_back(mongo_uri: str, database: str) -> None:
    async with proxy(mongo_uri) as way, opened(way.uri, database) as archive:
        await archive.record([document("a")])
        await way.close()
        await asking(archive)
        await way.open()
        assert await recorded(archive, document("b"))
        assert await archive.lacks({"a": 1}) == set()


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_does_not_answer_is_not_waited_for(mongo_uri: str, database: str) -> None:
    async with proxy(mongo_uri) as way, opened(way.uri, database) as archive:
        await archive.record([document("a")])
        way.silent = True
        began = time.monotonic()
        with pytest.raises(ArchiveDown):
            await archive.record([document("b")])
        assert time.monotonic() - began < 3
        way.silent = False
        assert await recorded(archive, document("b"))


async def test_closing_waits_for_no_server_and_stops_nobody(mongo_uri: str, database: str) -> None:
    async with proxy(mongo_uri) as way:
        archive = MongoArchive(way.uri, database=database, collection=COLLECTION)
        await archive.record([document("a")])
        way.silent = True
        began, beats = time.monotonic(), 0
        closing = asyncio.create_task(archive.close())
        while not closing.done():
            await asyncio.sleep(0.05)
            beats += 1
        assert time.monotonic() - began < mongo.CLOSE_SECONDS + 0.5
        assert beats >= 10, "others work meanwhile"


@pytest.mark.usefixtures("impatient")
async def test_why_a_server_is_down_is_told_without_its_address(database: str) -> None:
    async with opened("mongodb://user:secret@127.0.0.1:9/?directConnection=true", database) as archive:
        with pytest.raises(ArchiveDown) as raised:
            await archive.lacks({"a": 1})
    assert str(raised.value) == "MongoDB does not answer (ServerSelectionTimeoutError)"


def test_a_mongodb_that_refuses_is_not_said_to_be_away() -> None:
    refused = OperationFailure("Authentication failed.", 18, {"codeName": "AuthenticationFailed"})
    assert str(mongo._down(refused)) == "MongoDB refuses (AuthenticationFailed)"
