"""A circuit breaker around the archive: nobody who waits for an answer waits for a MongoDB that is known to be away.

There is one for all who use the archive, so that what one of them finds out all others know. A question that fails
opens it, as does a failure of the recorder's; from then on questions are refused at once, and only the recorder goes
on asking. It closes the circuit when the archive answers as quickly as a question needs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from wabot.core.errors import ArchiveDown
from wabot.log import get_logger

T = TypeVar("T")

log = get_logger()


class ReadableArchive(Protocol):
    """The archive, as questions need it. Raises ArchiveDown, after a second of silence at the latest."""

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]: ...
    async def history(
        self, identities: Iterable[str | None], contact: str | None, limit: int, include: Sequence[str]
    ) -> list[dict[str, Any]]: ...


class Circuit:
    """Whether the archive answers. `works`: as it was last seen, None before it was asked."""

    def __init__(self) -> None:
        self.works: bool | None = None
        self.on_change: Callable[[bool, str], None] = lambda _works, _reason: None

    def open(self, reason: str) -> None:
        """It did not answer."""
        if self.works is not False:
            log.info("archive.lost", reason=reason)
            self.on_change(False, reason)
        self.works = False

    def close(self) -> None:
        """It answers."""
        if self.works is False:
            log.info("archive.found")
            self.on_change(True, "")
        self.works = True


class Guarded:
    """The archive behind its circuit, for all that somebody waits for. Raises ArchiveDown."""

    def __init__(self, archive: ReadableArchive, circuit: Circuit) -> None:
        self._archive, self._circuit = archive, circuit

    async def recent(self, names: Sequence[str], key: str, limit: int) -> list[dict[str, Any]]:
        """What is known of a contact, newest first."""
        return await self._ask(lambda: self._archive.recent(names, key, limit))

    async def history(
        self, identities: Iterable[str | None], contact: str | None, limit: int, include: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The messages with somebody, newest first."""
        return await self._ask(lambda: self._archive.history(identities, contact, limit, include))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if self._circuit.works is False:
            raise ArchiveDown("MongoDB does not answer (it is asked again in the background)")
        try:
            return await question()
        except ArchiveDown as error:
            self._circuit.open(str(error))
            raise
