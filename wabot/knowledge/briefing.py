"""What the model is told in each reply: instructions, knowledge that fits, the date, and with whom it talks.

Files are looked at every LOOK_SECONDS, in a thread. What cannot be read is a problem in /readyz until it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, tzinfo

from wabot.core.conversation import Said
from wabot.core.outgoing import Origin
from wabot.core.passages import Passage
from wabot.core.system_prompt import System, right_now, system_prompt
from wabot.knowledge.files import Files, Texts, legible
from wabot.knowledge.search import Index
from wabot.log import get_logger
from wabot.offload import Offload

LOOK_SECONDS = 2.0
LAST_MESSAGES, LAST_CHARACTERS = 3, 1_000
"""By what is searched: so many of the person's last messages, and so much of each."""

log = get_logger()


class Briefing:
    """The system prompts of one account. `fault`: what cannot be read, or None; `on_fault` is called with it."""

    def __init__(
        self,
        files: Files,
        *,
        knowledge_characters: int,
        max_bubbles: int,
        zone: tzinfo,
        clock: Callable[[], float],
        handoff: bool = False,
        on_fault: Callable[[str | None], None] = lambda _fault: None,
    ) -> None:
        self._files, self._room, self._max_bubbles, self._handoff = files, knowledge_characters, max_bubbles, handoff
        self._zone, self._clock, self._on_fault = zone, clock, on_fault
        self.fault: str | None = None
        self._offload = Offload()
        self._texts, self._index = files.texts(), _index(files.texts(), knowledge_characters)

    async def system(self, name: str, said: Sequence[Said]) -> System:
        """The system prompt of a reply to somebody of this `name`, in the conversation `said`, oldest first."""
        shown, found = self._texts.knowledge, tuple[Passage, ...]()
        if self._index is not None:
            found = await self._offload(self._index.best, _last(said), self._room)
            shown = _by_file(found)
        now = right_now(f"{self._local_time():%A, %d %B %Y, %H:%M} ({self._zone})", name)
        text, own = (
            system_prompt(self._texts.instructions, each, self._max_bubbles, handoff=self._handoff, now=now)
            for each in (shown, {})
        )
        return System(text, len(own), found)

    @property
    def files(self) -> Sequence[tuple[str, int]]:
        """The files of the knowledge: the name of each, and how many characters it has."""
        return [(name, len(text)) for name, text in self._texts.knowledge.items()]

    @property
    def is_searched(self) -> bool:
        """Whether the knowledge is too long to be shown whole."""
        return self._index is not None

    @property
    def loops(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What is to run in the background: nothing, where there are no files."""
        return [self.run] if self._files.exist else []

    async def run(self) -> None:
        """Look at the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Read what has changed."""
        faults = await self._offload(self._files.look)
        self.fault = "; ".join(f"{legible(str(fault.filename))}: {fault.strerror}" for fault in faults) or None
        self._on_fault(self.fault)
        texts = self._files.texts()
        if texts != self._texts:
            self._texts, self._index = texts, await self._offload(_index, texts, self._room)
            log.info("knowledge.read", files=len(texts.knowledge), searched=self._index is not None)

    def _local_time(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), self._zone)


def _index(texts: Texts, room: int) -> Index | None:
    """What is searched; None if the knowledge can be shown whole."""
    return Index(texts.knowledge) if sum(map(len, texts.knowledge.values())) > room else None


def _last(said: Sequence[Said]) -> list[str]:
    """By what passages are searched for: what the person said last, the newest last."""
    persons = [f"{one.about} {one.body}"[:LAST_CHARACTERS] for one in said if one.origin is Origin.PERSON]
    return persons[-LAST_MESSAGES:]


def _by_file(found: Sequence[Passage]) -> Mapping[str, str]:
    """The text of each file: its passages, in their order."""
    files: dict[str, str] = {}
    for one in found:
        files[one.file] = f"{files[one.file]}\n\n{one.shown()}" if one.file in files else one.shown()
    return files
