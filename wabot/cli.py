"""The terminal: run the service, the sandbox, and small commands for whoever keeps it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn

from wabot import log

log.quiet_warnings()  # before the imports below: what libraries tell programmers is not for this terminal

from wabot.core.errors import WabotError  # noqa: E402
from wabot.settings import Settings, SettingsError, load  # noqa: E402

FAILED, MISUSED = 1, 2
"""Misused: the settings or the arguments, which no other attempt changes, so that systemd leaves it at that. All else
may pass (a full disk, a busy file, an address in use) or waits for a person, and is tried again."""
_M_MMAP_THRESHOLD, _LARGE_BYTES = -3, 1 << 16


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit status."""
    args = _arguments(argv)
    try:
        settings = load(args.config, sandbox=args.sandbox)
        log.configure(settings.log)
        log.hide(settings.secrets())
        return _command(args, settings)
    except WabotError as error:
        for line in str(error).splitlines():
            print(f"wabot: {line}", file=sys.stderr)  # noqa: T201
        return MISUSED if isinstance(error, SettingsError) else FAILED
    except OSError as error:
        print(f"wabot: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def end(status: int) -> NoReturn:
    """Leave at once: all is written and closed, but Python would wait for a thread that waits for a model's answer."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _command(args: argparse.Namespace, settings: Settings) -> int:
    if args.command == "outbox":
        from wabot import remote  # noqa: PLC0415

        return asyncio.run(remote.outbox(settings, args))
    if args.command == "doctor":
        from wabot import parts  # noqa: PLC0415
        from wabot.doctor import terminal  # noqa: PLC0415

        return _run(terminal.run(settings, args, assistant=parts.assistant, archive=parts.mongo))
    if args.command == "backup":
        from wabot.journal import backup  # noqa: PLC0415

        target = backup.copy(settings.server.data_dir, args.file)
        print(f"wabot: the journal was copied to {target}")  # noqa: T201
        return 0
    return _run(_sandbox(settings) if args.sandbox else _serve(settings))


def _run(work: Coroutine[Any, Any, int]) -> int:
    """On uvloop, where there is one: it pays where threads wake the loop, and the journal's does."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


async def _serve(settings: Settings) -> int:
    from wabot import bootstrap  # noqa: PLC0415

    async with _stop_signal() as stop, bootstrap.run(settings) as running:
        log.hide([*settings.secrets(), *running.api_keys])
        _settle_in()
        if os.geteuid() == 0:
            log.get_logger().warning("root.used", remedy="run wabot as a user of its own, as deploy/wabot.service does")
        log.get_logger().info("wabot.started", url=running.url, pid=os.getpid())
        await stop.wait()
        log.get_logger().info("wabot.stopping")
    log.get_logger().info("wabot.stopped")
    return 0


def _settle_in() -> None:
    """What was loaded at start stays: the collector need not look at it again. What is large goes back when freed."""
    gc.collect()
    gc.freeze()
    # By itself glibc keeps what many large bodies took at once, for good. https://man7.org/linux/man-pages/man3/mallopt.3.html
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


async def _sandbox(settings: Settings) -> int:
    from wabot import bootstrap  # noqa: PLC0415

    async with _stop_signal() as stop, bootstrap.run_sandbox(settings) as (running, meta, meta_url):
        print(_WELCOME.format(url=running.url, meta=meta_url, data=settings.server.data_dir), flush=True)  # noqa: T201
        if sys.stdin is not None and sys.stdin.isatty():
            from wabot.sandbox.phone import chat  # noqa: PLC0415

            if settings.log.level == "info":  # a conversation is hard to follow between the lines of a log
                log.configure(settings.log.model_copy(update={"level": "warning"}))
            await _first(stop.wait(), _until_quit(meta, chat))
        else:
            await stop.wait()
    return 0


_WELCOME = """\
wabot sandbox: no account, no key, no database
  wabot        {url}        try: curl {url}/healthz
  "Meta"       {meta}        say something: curl {meta}/sandbox/say -d '{{"from": "919876500100", "text": "hi"}}'
  journal      {data}
"""


async def _until_quit(meta: Any, chat: Any) -> None:
    """The chat; where it merely runs out of lines, the service goes on."""
    if not await chat(meta, number="919876500100", stdin=sys.stdin, out=sys.stdout):
        await asyncio.Event().wait()


async def _first(*work: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.create_task(one) for one in work]
    _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _stop_signal() -> Any:
    """Set by SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    yield stop


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="wabot: a WhatsApp Cloud API auto-responder")
    parser.add_argument("--config", type=Path, metavar="PATH", help="instead of ./config.toml")
    parser.add_argument("--sandbox", action="store_true", help="a stand-in for Meta: no account, key or database")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="default: run the service")
    outbox = commands.add_parser("outbox", help="look at the outbox of the running service, retry or cancel a send")
    verbs = outbox.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="the newest sends, or the replies that are owed")
    for option in ("--state", "--number", "--batch-id", "--cursor"):
        listing.add_argument(option, default="")
    listing.add_argument("--kind", choices=("send", "reply", "event"), default="send", help="default: send")
    listing.add_argument("--message", choices=("undelivered", "unread"), default="", help="not delivered, or not read")
    listing.add_argument("--limit", type=int, default=50)
    for verb, text in (("show", "one send, whole"), ("retry", "try again"), ("cancel", "before it leaves")):
        verbs.add_parser(verb, help=text).add_argument("id", help="an outbox id")
    for command in verbs.choices.values():
        command.add_argument("--json", action="store_true", help="for programs")
    doctor = commands.add_parser("doctor", help="what is wrong, and what to do about it")
    doctor.add_argument("--fix", action="store_true", help="subscribe the app, and its webhook's fields, at Meta")
    doctor.add_argument("--url", default="", metavar="https://…", help="the public address of this wabot")
    doctor.add_argument("--json", action="store_true", help="for programs")
    backup = commands.add_parser("backup", help="a consistent copy of the journal, also while wabot runs")
    backup.add_argument("file", type=Path)
    return parser.parse_args(argv)
