"""Shows a person that an answer is being made: read ticks, and "typing …" in the talk.

https://developers.facebook.com/documentation/business-messaging/whatsapp/typing-indicators
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

RENEW_SECONDS = 20.0
"""Meta shows "typing …" until our answer comes, and for 25 seconds at the most."""
WAIT_SECONDS = 1.0
"""How long an answer that is ready waits for Meta to have shown "typing …": it would be shown after the answer else."""

Show = Callable[[str], Awaitable[bool]]
"""Shows the ticks and "typing …" for the message with this wamid; False if Meta did not do it."""
Silence = Callable[[], Awaitable[bool]]
"""Whether the person is to get silence by now: they may opt out while the answer is made."""


class TypingIndicator:
    """Keeps "typing …" in a talk for as long as the answer takes. Best effort: Meta's refusals change nothing."""

    def __init__(self, show: Show, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._show, self._sleep = show, sleep

    @contextlib.asynccontextmanager
    async def while_answering(self, wamid: str | None, silence: Silence) -> AsyncIterator[None]:
        """Show it while the body runs, until there is to be `silence`.

        `wamid`: the newest of the messages being answered; None shows nothing.
        """
        if wamid is None:
            yield
            return
        shown = asyncio.Event()
        keeping = asyncio.create_task(self._keep(wamid, silence, shown))
        try:
            yield
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shown.wait(), WAIT_SECONDS)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, wamid: str, silence: Silence, shown: asyncio.Event) -> None:
        try:
            while not await silence() and await self._show(wamid):
                shown.set()
                await self._sleep(RENEW_SECONDS)
        finally:
            shown.set()
