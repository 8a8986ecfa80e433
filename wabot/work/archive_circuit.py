"""A circuit breaker around the archive: a request never waits for a MongoDB that is known to be down.

All users of the archive share one circuit. A failed query or a failed write of the archiver opens it. While it is open,
queries fail at once, and only the archiver keeps trying. The archiver closes it when the archive answers fast enough
for queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from wabot.core.exceptions import ArchiveDown
from wabot.core.history_span import ALWAYS, Span
from wabot.log import get_logger

RETRY_MAX_SECONDS = 5.0
"""The longest wait between two tries of the archiver while the archive is down."""

T = TypeVar("T")

log = get_logger()


class ReadableArchive(Protocol):
    """The archive, as queries need it. Raises ArchiveDown, after at most a second without an answer."""

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]: ...
    async def history(
        self, identities: Iterable[str | None], contact: str | None, limit: int, include: Sequence[str], *, span: Span
    ) -> list[dict[str, Any]]: ...
    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None: ...


class Circuit:
    """Whether the archive answers. `works`: the result of the last access, None before the first.

    `outages`: how often it was lost since the start.
    """

    def __init__(self) -> None:
        self.works: bool | None = None
        self.outages = 0
        self._lost = asyncio.Event()
        self.on_change: Callable[[bool, str], None] = lambda _works, _reason: None

    def open(self, reason: str) -> None:
        """The archive did not answer."""
        if self.works is not False:
            self.outages += 1
            self._lost.set()
            log.info("archive.lost", reason=reason)
            self.on_change(False, reason)
        self.works = False

    def close(self) -> None:
        """The archive answers."""
        if self.works is False:
            log.info("archive.found")
            self._lost.clear()
            self.on_change(True, "")
        self.works = True

    async def lost(self) -> None:
        """Wait until the archive does not answer; returns at once while that is so."""
        await self._lost.wait()


class Guarded:
    """The archive behind its circuit, for queries. Raises ArchiveDown."""

    def __init__(self, archive: ReadableArchive, circuit: Circuit) -> None:
        self._archive, self._circuit = archive, circuit

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]:
        """The latest messages with a contact, newest first."""
        return await self._ask(lambda: self._archive.recent(names, key, limit))

    async def history(
        self,
        identities: Iterable[str | None],
        contact: str | None,
        limit: int,
        include: Sequence[str],
        *,
        span: Span = ALWAYS,
    ) -> list[dict[str, Any]]:
        """The messages with somebody, newest first."""
        return await self._ask(lambda: self._archive.history(identities, contact, limit, include, span=span))

    async def find(self, identities: Iterable[str | None], contact: str | None, id_: str) -> dict[str, Any] | None:
        """The message with somebody that has this id."""
        return await self._ask(lambda: self._archive.find(identities, contact, id_))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if self._circuit.works is False:
            raise ArchiveDown("MongoDB does not answer (wabot retries in the background)")
        try:
            return await question()
        except ArchiveDown as error:
            self._circuit.open(str(error))
            raise
