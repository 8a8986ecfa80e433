"""Downloads the media of the messages that are being answered, with a bound on how much is in memory at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from wabot.core.conversation import Prompt
from wabot.core.exceptions import MediumMissing
from wabot.core.media import Medium, has_digest
from wabot.core.prompt_media import media_in, with_contents, without_media
from wabot.log import get_logger

log = get_logger()

MOST_BYTES = 32 << 20
"""The most bytes of media in memory, of all replies together."""
MOST_MEDIA = 10
"""The most media for one answer: the newest."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a medium can be downloaded; `size`: its bytes, None if Meta does not say."""

    url: str
    size: int | None
    sha256: str


class Library(Protocol):
    """Meta, as it keeps media. Raises MediumMissing, after a bounded time."""

    async def look_up(self, medium: Medium) -> Located: ...
    async def download(self, located: Located, largest: int) -> bytes: ...


class Room:
    """Bytes in memory. Those who need more than is free wait in their order."""

    def __init__(self, size: int = MOST_BYTES) -> None:
        self.size = self._free = size
        self._waiting = deque[tuple[int, asyncio.Future[None]]]()

    @asynccontextmanager
    async def of(self, need: int) -> AsyncIterator[None]:
        """Room for so many bytes, at most `size`."""
        if self._waiting or need > self._free:
            await self._wait(need)
        else:
            self._free -= need
        try:
            yield
        finally:
            self._give_back(need)

    async def _wait(self, need: int) -> None:
        mine = (need, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            await mine[1]
        except asyncio.CancelledError:
            if mine[1].cancelled():  # it never got the room, and no longer stands in the way of others
                self._waiting.remove(mine)
                need = 0
            self._give_back(need)
            raise

    def _give_back(self, need: int) -> None:
        self._free += need
        for waiter in [waiting for waiting in self._waiting if not waiting[1].done()]:
            if waiter[0] > self._free:
                return
            self._waiting.remove(waiter)
            self._free -= waiter[0]
            waiter[1].set_result(None)


class Attachments:
    """Puts the contents of media into prompts. `largest`: bytes of one file at most."""

    def __init__(self, library: Library, room: Room, *, largest: int) -> None:
        self._library, self._room, self._largest = library, room, min(largest, room.size)

    @asynccontextmanager
    async def of(self, prompt: Prompt) -> AsyncIterator[Prompt]:
        """The prompt with its media, or with a note for each that cannot be had. They are in memory until the end."""
        wanted = [medium for medium in media_in(prompt) if medium.sense][-MOST_MEDIA:]
        if not wanted:
            yield without_media(prompt)
            return
        located = await asyncio.gather(*(self._look_up(medium) for medium in wanted))
        fitting = self._fitting([(one, there) for one, there in zip(wanted, located, strict=True) if there])
        async with self._room.of(sum(size for _, _, size in fitting)):
            contents = await asyncio.gather(*(self._download(*one) for one in fitting))
            found = {one[0].id: content for one, content in zip(fitting, contents, strict=True) if content is not None}
            yield with_contents(prompt, found)

    async def _look_up(self, medium: Medium) -> Located | None:
        try:
            return await self._library.look_up(medium)
        except MediumMissing as error:
            log.warning("media.missing", medium=medium.kind, reason=str(error))
            return None

    def _fitting(self, found: Sequence[tuple[Medium, Located]]) -> list[tuple[Medium, Located, int]]:
        """Those of acceptable size, with their size: the newest, as many as fit into the room together."""
        left, fitting = self._room.size, list[tuple[Medium, Located, int]]()
        for medium, located in reversed(found):
            size = self._largest if located.size is None else located.size
            if size > min(self._largest, left):
                log.warning("media.missing", medium=medium.kind, reason=f"it has {size} bytes, which is too large")
                continue
            left -= size
            fitting.append((medium, located, size))
        return fitting

    async def _download(self, medium: Medium, located: Located, size: int) -> bytes | None:
        try:
            return await content_of(self._library, medium, located, size)
        except MediumMissing as error:
            log.warning("media.missing", medium=medium.kind, reason=str(error))
            return None


async def content_of(library: Library, medium: Medium, located: Located, largest: int) -> bytes:
    """The content of a medium, with the SHA-256 that Meta gave. Raises MediumMissing."""
    content = await library.download(located, largest)
    if not await asyncio.to_thread(_is_whole, content, medium.sha256, located.sha256):
        raise MediumMissing("its SHA-256 is not the one that Meta gave")
    return content


def _is_whole(content: bytes, *digests: str) -> bool:
    return all(has_digest(content, digest) for digest in digests)
