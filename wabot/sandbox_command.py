"""The `--sandbox` option: a stand-in for Meta with a phone, and wabot beside it as a process that can be killed."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from wabot import log, running_address
from wabot.assembly import factories
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.chat import chat
from wabot.sandbox.meta import Meta, serve
from wabot.sandbox.phone import wabot_process
from wabot.sandbox.phone.page import PhonePage
from wabot.sandbox.phone.wabot_process import WabotProcess
from wabot.settings.loading import Settings

FROM_NUMBER = "919876500100"
"""The customer whom the chat begins with."""

_WELCOME = """\
wabot sandbox: no account, no key, no database
  wabot        {url}        try: curl {url}/healthz
  "Meta"       {meta}        say something: curl {meta}/sandbox/say -d '{{"from": "919876500100", "text": "hi"}}'
  phone        {meta}/       be a customer in your browser, and kill wabot with a button
  console      {url}/console
  journal      {data}        a new one at each start; with --keep the last one
"""


async def sandbox(settings: Settings, stop: asyncio.Event, *, keep: bool, options: Sequence[str]) -> int:
    """Run until `stop` is set or the user quits. `keep`: go on with the journal of the last run. The exit status.

    `options`: those of the command line that wabot needs too. With `keep` the stand-in, which remembers nothing of the
    last run, does not check the 24-hour window.
    """
    process = WabotProcess(find_url=lambda: _url_beside(meta_url, settings))
    meta = _standin(settings, window=not keep, clock=lambda: time.time() + process.ahead)
    process.on_start = partial(_point, meta)
    page = PhonePage(meta, process)
    runner, meta_url = await serve(meta, more=page.add_routes)
    types = sys.stdin is not None and sys.stdin.isatty()
    quiet = ["--quiet"] if types and settings.log.level == "info" else []  # a talk is hard to follow between log lines
    process.command = [sys.argv[0], "--sandbox", "--beside", meta_url, *quiet, *options]
    try:
        url = await process.start(keep=keep)
        if url is None:
            return process.returncode or 1
        log.flush()  # what was logged comes before what is printed
        print(_WELCOME.format(url=url, meta=meta_url, data=settings.server.data_dir), flush=True)  # noqa: T201
        await _first(stop.wait(), *([_until_quit(meta)] if types else []))
        return 0
    finally:
        await process.stop()
        await runner.cleanup()


def _url_beside(meta_url: str, settings: Settings) -> str | None:
    """The URL of the wabot that speaks with the stand-in at `meta_url`: another sandbox may run in this directory."""
    running = running_address.of_running(settings.server.data_dir)
    return running.get("wabot") if running.get("graph", "").startswith(f"{meta_url}/") else None


def _point(meta: Meta, url: str) -> None:
    """wabot listens at this URL now."""
    meta.webhook_url = f"{url}/webhook"
    meta.on_mended = lambda: meta.spawn(wabot_process.probe(url))


def _standin(settings: Settings, *, window: bool, clock: Any) -> Meta:
    """The stand-in for Meta that these settings speak with."""
    account = settings.whatsapp
    meta = Meta(
        access_token=account.access_token.get_secret_value(),
        phone_number_id=account.phone_number_id,
        app_secret=account.app_secret.get_secret_value(),
        verify_token=account.verify_token.get_secret_value(),
        business_account_id=account.business_account_id,
        window="receipt" if window else None,
        behaviour=Behaviour(by_number=True, throughput=80, pair_limit=True),
        clock=clock,
    )
    first = factories.template(settings)
    meta.templates.suppose(first["name"], first["language"], first["components"])
    return meta


async def _until_quit(meta: Meta) -> None:
    """Run the chat until the user quits. At the end of its input the service goes on."""
    if not await chat(meta, number=FROM_NUMBER, stdin=sys.stdin, out=sys.stdout):
        await asyncio.Event().wait()


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
