"""The `--sandbox` option: wabot with a stand-in for Meta, and a chat with it in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from wabot import log
from wabot.assembly import start_and_stop
from wabot.settings.loading import Settings

FROM_NUMBER = "919876500100"
"""The customer whom the chat begins with."""

_WELCOME = """\
wabot sandbox: no account, no key, no database
  wabot        {url}        try: curl {url}/healthz
  "Meta"       {meta}        say something: curl {meta}/sandbox/say -d '{{"from": "919876500100", "text": "hi"}}'
  journal      {data}        a new one at each start; with --keep the last one
"""


async def sandbox(settings: Settings, stop: asyncio.Event, *, keep: bool) -> int:
    """Run until `stop` is set or the user quits. `keep`: go on with the journal of the last run. Returns 0."""
    async with start_and_stop.run_sandbox(settings, keep=keep) as (running, meta, meta_url):
        log.flush()  # what was logged comes before what is printed
        print(_WELCOME.format(url=running.url, meta=meta_url, data=settings.server.data_dir), flush=True)  # noqa: T201
        if sys.stdin is not None and sys.stdin.isatty():
            from wabot.sandbox.chat import chat  # noqa: PLC0415

            if settings.log.level == "info":  # a conversation is hard to follow between the lines of a log
                log.configure(settings.log.model_copy(update={"level": "warning"}))
            await _first(stop.wait(), _until_quit(meta, chat))
        else:
            await stop.wait()
    return 0


async def _until_quit(meta: Any, chat: Any) -> None:
    """Run the chat until the user quits. At the end of its input the service goes on."""
    if not await chat(meta, number=FROM_NUMBER, stdin=sys.stdin, out=sys.stdout):
        await asyncio.Event().wait()


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
