"""The archive in MongoDB: history and results for good, in the shape of the earlier service's documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import DESCENDING, IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, InvalidOperation, PyMongoError

from wabot.core.errors import ArchiveDown
from wabot.core.messages import Contact, Direction, Status

SELECT_MS, SOCKET_MS = 2_000, 10_000


class MongoArchive:
    """One collection. Every method raises ArchiveDown where MongoDB does not answer; nothing here waits for long."""

    def __init__(self, uri: str, *, database: str, collection: str) -> None:
        self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            uri,
            serverSelectionTimeoutMS=SELECT_MS,
            connectTimeoutMS=SELECT_MS,
            socketTimeoutMS=SOCKET_MS,
            maxPoolSize=8,
            appname="wabot",
        )
        self._collection = self._client[database][collection]
        self._prepared = False

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents by `_id`; the positions of those that MongoDB refuses, each with its reason."""
        await self._prepare()
        return await self._write(documents, range(len(documents)))

    async def recent(self, contact: Contact, limit: int) -> list[dict[str, Any]]:
        """What is known of a contact, newest first, whole: accepted or received messages only."""
        found = await self.history([contact.wa_id, contact.bsuid], None, limit, ())
        return [_whole(document, contact) for document in found]

    async def history(
        self, identities: Iterable[str | None], contact: str | None, limit: int, include: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The messages with somebody, newest first; `limit` 0 = all. `contact` is the key that our documents carry.

        Received ones and those that Meta accepted, and of the others those whose status is in `include`.
        """
        names = [name for name in identities if name]
        people: list[dict[str, Any]] = [{"participant_numbers": {"$in": names}}]
        if contact is not None:
            people.append({"contact": contact})
        shown: list[dict[str, Any]] = [{"id": {"$ne": None}}]
        if include:
            shown.append({"status": {"$in": list(include)}})
        query = {"$and": [{"$or": people}, {"$or": shown}]}
        try:
            cursor = self._collection.find(query).sort([("timestamp", DESCENDING), ("_id", DESCENDING)]).limit(limit)
            return [_told(document, names) async for document in cursor]
        except PyMongoError as error:
            raise _down(error) from error

    async def _prepare(self) -> None:
        """Indexes, made when MongoDB is first reached: it may be down when we start."""
        if self._prepared:
            return
        indexes = [IndexModel([(key, 1), ("timestamp", -1)]) for key in ("participant_numbers", "contact")]
        try:
            await self._collection.create_indexes([*indexes, IndexModel([("id", 1)])])
        except PyMongoError as error:
            raise _down(error) from error
        self._prepared = True

    async def _write(self, documents: Sequence[dict[str, Any]], positions: Sequence[int]) -> dict[int, str]:
        requests = [UpdateOne({"_id": d["_id"]}, {"$set": _fields(d)}, upsert=True) for d in documents]
        try:
            await self._collection.bulk_write(requests, ordered=False)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors") or []
            if not failed:
                raise _down(error) from error
            return {positions[e["index"]]: str(e.get("errmsg", ""))[:200] for e in failed}
        except (InvalidDocument, InvalidOperation, OverflowError, UnicodeError) as error:
            # Not MongoDB refuses but the driver, and then all at once: find the guilty one.
            if len(documents) == 1:
                return {positions[0]: f"{type(error).__name__}: {error}"[:200]}
            refused: dict[int, str] = {}
            for document, position in zip(documents, positions, strict=True):
                refused |= await self._write([document], [position])
            return refused
        except PyMongoError as error:
            raise _down(error) from error
        return {}


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "_id"}


def _told(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """With all that `/get` promises: the earlier service's documents have an ObjectId, and no direction."""
    inbound = str(document.get("from")) in names
    return {
        "direction": str(Direction.IN if inbound else Direction.OUT),
        "status": str(Status.RECEIVED if inbound else Status.SENT),
        "error": None,
        **document,
        "_id": str(document["_id"]),
        "timestamp": str(document.get("timestamp") or "0"),
    }


def _whole(document: Mapping[str, Any], contact: Contact) -> dict[str, Any]:
    """A document with all that we need; the earlier service's lack our own fields."""
    sent_by_them = document.get("from") in (contact.wa_id, contact.bsuid)
    direction = document.get("direction") or (Direction.IN if sent_by_them else Direction.OUT)
    return {
        "id": document.get("id"),
        "from": str(document.get("from") or ""),
        "to": str(document.get("to") or ""),
        "timestamp": str(document.get("timestamp") or "0"),
        "type": str(document.get("type") or "text"),
        "body": str(document.get("body") or ""),
        "raw": document.get("raw") or {},
        "direction": str(direction),
        "origin": document.get("origin") or ("person" if direction == Direction.IN else "ai"),
    }


def _down(error: Exception) -> ArchiveDown:
    return ArchiveDown(f"MongoDB does not answer ({type(error).__name__})")
