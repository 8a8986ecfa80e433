"""The archive in MongoDB: keeps history and results for good, in the document format of the earlier service."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wabot.adapters.mongo_documents import completed, is_theirs, whole, with_somebody, within
from wabot.core.exceptions import ArchiveDown
from wabot.core.history_span import ALWAYS, Span
from wabot.core.json_values import blanked, text_of
from wabot.lean_imports import without

with without("pymongo.pyopenssl_context"):  # costs 8 MB, and Python's own ssl is enough
    import pymongo
    from bson.errors import BSONError
    from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCursor
    from pymongo import DESCENDING, IndexModel, UpdateOne, WriteConcern
    from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
    from pymongo.read_concern import ReadConcern

SELECT_MS, SOCKET_MS = 2_000, 10_000
MAJORITY_MS = 8_000
"""How long a majority of a replica set may take to write a batch to disk; then the batch is recorded again."""

ASK_SECONDS = 1.0
"""How long a query waits for MongoDB's next answer."""

PAGE = 500
"""Documents of a history that are fetched per request."""

CLOSE_SECONDS = 1.0

_ANYBODY = frozenset({13, 50, 91, 112, 189, 8000, 10107, 11600, 11602, 13435, 13436, 14031})
"""Codes with which MongoDB refuses any write: no rights, no space, no primary, shutting down. All others concern the
document. https://www.mongodb.com/docs/manual/reference/error-codes/"""

_ONLY_THIS = frozenset({2, 9, 15, 22, 52, 57, 121, 10334, 17280, 17419, 17420})
"""Codes with which MongoDB refuses a whole command because of one document: values, depth, keys, size, a validator."""


_INDEXES = (
    *(IndexModel([(key, 1), ("timestamp", -1)]) for key in ("participant_numbers", "contact")),
    IndexModel([("id", 1)]),
)


class MongoArchive:
    """One collection. Every method raises ArchiveDown if MongoDB does not answer; none waits for long."""

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
        # The journal deletes what is archived, so it must survive a power cut and an election.
        self._surely = self._collection.with_options(
            write_concern=WriteConcern(w="majority", j=True, wtimeout=MAJORITY_MS),
            read_concern=ReadConcern("majority"),
        )
        self._prepared = False

    async def close(self) -> None:
        """Close the connections. The driver notifies the server first; wait at most CLOSE_SECONDS for that."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._client.close()
            with contextlib.suppress(RuntimeError):  # the wait has timed out and the loop is closed
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="mongo.close", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await closed.wait()

    async def record(self, documents: Sequence[dict[str, Any]]) -> dict[int, str]:
        """Upsert documents by `_id`. Returns position → reason of those that MongoDB refuses."""
        await self._prepare()
        return await self._write(documents, range(len(documents)))

    async def ping(self) -> None:
        """Check whether it answers, with the timeouts of recording."""
        try:
            await self._client.admin.command("ping")
        except PyMongoError as error:
            raise _down(error) from error

    async def examine(self) -> list[str]:
        """Write, read and delete a test document. Returns the keys of indexes that could not be made."""
        await self._prepare()
        try:
            trial = {"_id": f"wabot-doctor-{secrets.token_hex(8)}"}
            await self._surely.insert_one(trial)
            found = await self._surely.find_one(trial)
            await self._surely.delete_one(trial)
            have = [tuple(index["key"]) async for index in self._collection.list_indexes()]
        except PyMongoError as error:
            raise _down(error) from error
        if found is None:
            raise ArchiveDown("MongoDB does not return what was written")
        wanted = [tuple(index.document["key"]) for index in _INDEXES]
        return [" ".join(keys) for keys in wanted if keys not in have]

    async def lacks(self, versions: Mapping[str, int]) -> set[str]:
        """Those of the documents (key → version) that are not stored durably, or only in an earlier version.

        A document without a version was recorded before versions existed; it counts as complete.
        """
        try:
            cursor = self._surely.find({"_id": {"$in": list(versions)}}, {"version": 1})
            found = {document["_id"]: document.get("version") async for document in cursor}
        except PyMongoError as error:
            raise _down(error) from error
        whole = {key for key, version in found.items() if not isinstance(version, int) or version >= versions[key]}
        return versions.keys() - whole

    async def forget(self, names: Sequence[str], keys: Sequence[str], only: Mapping[str, Any] | None = None) -> int:
        """Delete all messages with the person of these names or our `keys`; how many. `only`: see `history`."""
        people = {"$or": [{"participant_numbers": {"$in": list(names)}}, {"contact": {"$in": list(keys)}}]}
        gone, after = 0, dict[str, Any]()
        try:
            while True:
                query = {"$and": [people, after, *([only] if only else [])]}
                cursor = self._surely.find(query, {"participant_numbers": 1, "contact": 1}).sort("_id", 1).limit(PAGE)
                page = await cursor.to_list(PAGE)
                theirs = [one["_id"] for one in page if one.get("contact") in keys or is_theirs(one, names, "")]
                if theirs:
                    gone += (await self._surely.delete_many({"_id": {"$in": theirs}})).deleted_count
                if len(page) < PAGE:
                    return gone
                after = {"_id": {"$gt": page[-1]["_id"]}}
        except PyMongoError as error:
            raise _down(error) from error

    async def blank(self, told: Sequence[tuple[str, str]]) -> None:
        """Blank words in documents, if they are there: (key, words)."""
        try:
            for key, words in told:
                if document := await self._surely.find_one({"_id": key}, {"_id": 0, "body": 1, "raw": 1}):
                    await self._surely.update_one({"_id": key}, {"$set": blanked(document, words)})
        except PyMongoError as error:
            raise _down(error) from error

    async def recent(
        self, names: Sequence[str], key: str, limit: int, only: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The latest messages with the contact of these names or our `key`, newest first: received or accepted ones."""
        found = await self.history(names, key, limit, (), only=only)
        return [whole(document) for document in found if is_theirs(document, names, key)]

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
        only: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """The messages with somebody, newest first; `limit` 0 = all. `contact`: the key in our own documents.
        `only`: a condition that they must also meet.

        Messages that were received or that Meta accepted, and others whose status is in `include`.
        """
        names = [name for name in identities if name]
        shown: list[dict[str, Any]] = [{"id": {"$ne": None}}]
        if include:
            shown.append({"status": {"$in": list(include)}})
        query = {"$and": [with_somebody(names, contact), {"$or": shown}, *within(span), *([only] if only else [])]}
        # Sorted by one field, so that an index serves and MongoDB answers before it has read all of a long history.
        cursor = self._collection.find(query).sort("timestamp", DESCENDING).limit(limit)
        found: list[dict[str, Any]] = []
        while page := await self._next(cursor):
            found += [completed(document, names) for document in page]
        found.sort(key=lambda document: (document["timestamp"], document["_id"]), reverse=True)
        return found

    async def find(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        id_: str,
        only: Mapping[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """The message with somebody that has this id, Meta's or ours; None if there is none."""
        names = [name for name in identities if name]
        called = {"$or": [{"id": id_}, {"_id": id_}]}
        query = {"$and": [called, with_somebody(names, contact), *([only] if only else [])]}
        found = await self._next(self._collection.find(query).limit(1))
        return completed(found[0], names) if found else None

    async def _next(self, cursor: AsyncIOMotorCursor[dict[str, Any]]) -> list[dict[str, Any]]:
        """The next page. ASK_SECONDS bounds our wait, and also the driver's, so that its threads become free."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                with pymongo.timeout(ASK_SECONDS):
                    return await cursor.to_list(PAGE)
        except (PyMongoError, TimeoutError) as error:
            raise _down(error) from error

    async def _prepare(self) -> None:
        """Create the indexes when MongoDB is first reached, since it may be down when we start."""
        if self._prepared:
            return
        for index in _INDEXES:
            try:
                await self._collection.create_indexes([index])
            except OperationFailure:
                continue  # no permission, or a similar index exists: indexes are only for speed, so recording goes on
            except PyMongoError as error:
                raise _down(error) from error
        self._prepared = True

    async def _write(self, documents: Sequence[dict[str, Any]], positions: Sequence[int]) -> dict[int, str]:
        requests = [UpdateOne({"_id": d["_id"]}, {"$set": _fields(d)}, upsert=True) for d in documents]
        try:
            await self._surely.bulk_write(requests, ordered=False)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors") or []
            if error.details.get("writeConcernErrors") or any(one.get("code") in _ANYBODY for one in failed):
                raise _down(error) from error
            return {positions[one["index"]]: _why(one) for one in failed}
        except (BSONError, OverflowError, UnicodeError, RecursionError, OperationFailure) as error:
            # The driver or MongoDB refuses all documents because of one: find that one.
            if isinstance(error, OperationFailure) and error.code not in _ONLY_THIS:
                raise _down(error) from error
            if len(documents) == 1:
                return {positions[0]: type(error).__name__}
            refused: dict[int, str] = {}
            for document, position in zip(documents, positions, strict=True):
                refused |= await self._write([document], [position])
            return refused
        except PyMongoError as error:
            raise _down(error) from error
        return {}


def _why(refused: Mapping[str, Any]) -> str:
    """MongoDB's reason, for the log: without the values that it quotes."""
    return f"{str(refused.get('errmsg', '')).partition('{')[0].strip()[:200]} ({refused.get('code')})"


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "_id"}


def _down(error: Exception) -> ArchiveDown:
    if isinstance(error, OperationFailure):  # it answers: no such user, no rights, no room, no primary
        return ArchiveDown(
            f"MongoDB refuses ({text_of((error.details or {}).get('codeName')) or type(error).__name__})"
        )
    return ArchiveDown(f"MongoDB does not answer ({type(error).__name__})")
