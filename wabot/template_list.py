"""The templates of a WhatsApp Business Account (WABA): what Meta listed last, refreshed when its webhooks say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from wabot.core.exceptions import WabotError
from wabot.core.templates import Template
from wabot.log import get_logger

AGE_SECONDS = 3600.0
"""A list that is older is read again: webhooks may not be subscribed, or be lost."""
AFRESH_SECONDS = 60.0
"""How often Meta is asked afresh about one template at the most."""
FAILED_SECONDS = 10.0
"""For so long after Meta did not answer, no send waits for it again."""
MOST_NAMES = 1000
"""For how many names it is remembered when Meta was asked about them."""

Ask = Callable[[str], Awaitable[list[Template] | None]]
"""The templates of one name ("": of all), from Meta; None if it cannot be asked."""

log = get_logger()


class CannotAsk(WabotError):
    """Meta cannot be asked for its templates, and has not listed them before."""


class TemplateList:
    """The templates, shared by all accounts of one WABA. `ask` None: there is nobody to ask."""

    def __init__(self, ask: Ask | None, *, clock: Callable[[], float]) -> None:
        self._ask, self._clock = ask, clock
        self._known: dict[str, list[Template]] = {}
        self._whole_at: float | None = None
        self._fresh, self._fresh_names = False, set[str]()
        self._asked: dict[str, tuple[float, bool]] = {}
        self._failed_at = float("-inf")
        self._news = 0
        self._turn = asyncio.Lock()

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask."""
        return self._ask is not None

    async def all(self, *, refresh: bool = False) -> list[Template]:
        """All templates, by name and language; `refresh`: as Meta lists them now, if it can be asked.

        Raises CannotAsk.
        """
        reads = self._news_and_time()
        if refresh or not self._is_fresh():
            async with self._turn:
                has_failed = 0 <= self._clock() - self._failed_at < FAILED_SECONDS
                if refresh or (reads == self._news_and_time() and not has_failed):  # else they were just read
                    await self._read_all()
        if self._whole_at is None:
            raise CannotAsk("Meta cannot be asked for the templates")
        return sorted(
            (each for versions in self._known.values() for each in versions), key=lambda t: (t.name, t.language)
        )

    async def of(self, name: str) -> list[Template] | None:
        """The templates of a name in all languages; None if they are not known and Meta cannot be asked."""
        if self._is_fresh() or self._is_fresh_name(name):
            return self._known.get(name, [])
        return await self.afresh(name)

    async def afresh(self, name: str) -> list[Template] | None:
        """The same, asked of Meta now, or within the last AFRESH_SECONDS."""
        async with self._turn:
            now = self._clock()
            at, answered = self._asked.get(name, (float("-inf"), False))
            if 0 <= now - at < AFRESH_SECONDS:
                return self._known.get(name, []) if answered else None
            if self._ask is None or 0 <= now - self._failed_at < FAILED_SECONDS:
                return None
            return await self._read_one(name, self._ask)

    async def category(self, name: str, language: str) -> str | None:
        """The category of a template, as Meta said last; None if it is not known."""
        versions = await self.of(name) or self._known.get(name) or []
        return next((each.category for each in versions if each.language == language), None) or None

    def changed(self) -> None:
        """Meta said that a template has changed: ask about them when they are needed next."""
        self._news += 1
        self._fresh = False
        self._fresh_names.clear()
        self._asked.clear()

    def _is_fresh(self) -> bool:
        """Whether the whole list is as Meta's, as far as we know."""
        return self._fresh and self._whole_at is not None and 0 <= self._clock() - self._whole_at < AGE_SECONDS

    def _is_fresh_name(self, name: str) -> bool:
        return name in self._fresh_names and 0 <= self._clock() - self._asked[name][0] < AGE_SECONDS

    def _news_and_time(self) -> tuple[int, float | None]:
        return self._news, self._whole_at

    async def _read_all(self) -> None:
        news, found = self._news, await self._ask("") if self._ask is not None else None
        now = self._clock()
        if found is None:
            self._failed_at = now
            return
        self._known = _by_name(found)
        self._whole_at, self._fresh = now, news == self._news
        self._fresh_names.clear()
        log.info("templates.read", count=len(found))

    async def _read_one(self, name: str, ask: Ask) -> list[Template] | None:
        news, found = self._news, await ask(name)
        now = self._clock()
        if news == self._news:  # else it may have changed while Meta answered
            self._asked.pop(name, None)
            self._asked[name] = now, found is not None
            while len(self._asked) > MOST_NAMES:
                self._fresh_names.discard(gone := next(iter(self._asked)))
                del self._asked[gone]
        if found is None:
            self._failed_at = now
            return None
        self._known.pop(name, None)
        self._known.update(_by_name(found))
        if name in self._known and news == self._news:
            self._fresh_names.add(name)
        return self._known.get(name, [])


def _by_name(templates: Iterable[Template]) -> dict[str, list[Template]]:
    found: dict[str, list[Template]] = {}
    for each in templates:
        found.setdefault(each.name, []).append(each)
    return found
