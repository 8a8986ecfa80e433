"""The command line: runs the service, the sandbox, and the operator's commands."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from wabot import __version__, log, memory, running_address

log.quiet_warnings()  # before the imports below, which would print warnings for programmers

from wabot.core.exceptions import WabotError  # noqa: E402
from wabot.ownership import open_to_all, whose  # noqa: E402
from wabot.settings.errors import SettingsError  # noqa: E402
from wabot.settings.journald import is_journald  # noqa: E402
from wabot.settings.loading import Settings, load  # noqa: E402
from wabot.settings.sources import config_here  # noqa: E402
from wabot.terminal import arguments, outbox_arguments  # noqa: E402

Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, int]]

FAILED, MISUSED = 1, 2
"""Exit statuses. MISUSED: wrong settings or arguments; systemd does not restart, since another try would not help.
FAILED: all else, such as a full disk, a locked file or an address in use; systemd restarts."""

_LOGGED = {"ask": "critical", "rehearse": "error"}
"""The commands that run parts of the service, whose log would stand between what they print: what of it they show."""
_ACCOUNT = "one of [[accounts]]; default: the first"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv`. Returns the exit status."""
    _fill_standard_streams()
    args = _arguments(argv)
    memory.share_one_pool()
    try:
        try:
            settings = _settings(args)
        except SettingsError as error:
            if args.command != "doctor":
                raise
            return _doctor_without_settings(error, args)
        level = "warning" if args.quiet else _LOGGED.get(args.command, settings.log.level)
        log.configure(settings.log.model_copy(update={"level": level}), journald=is_journald(1))
        log.hide(settings.secrets())
        return _command(args, settings)
    except WabotError as error:
        _complain(str(error))
        return MISUSED if isinstance(error, SettingsError) else FAILED
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough of it
        return 128 + signal.SIGPIPE
    except OSError as error:
        place = f"{whose(error.filename)}: " if isinstance(error.filename, str) else ""
        remedy = ": run this as wabot's user, or as root" if isinstance(error, PermissionError) else ""
        _complain(f"{place}{error.strerror or error}{remedy}")
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _fill_standard_streams() -> None:
    """Open /dev/null for each that is closed, as by `>&-`: the next file would take its number, and uvloop aborts."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _settings(args: argparse.Namespace) -> Settings:
    """The settings. A command needs fewer than the service.

    While Meta is not set up and a sandbox runs, it uses the sandbox's, with what the sandbox takes of config.toml.
    """
    settings = load(args.config, sandbox=args.sandbox, whole=args.command is None)
    if args.command is None:
        return settings
    if not args.sandbox and not settings.accounts and not settings.whatsapp.access_token:
        sandbox = load(args.config or config_here(), sandbox=True, whole=False)
        if running_address.of_running(sandbox.server.data_dir):
            args.sandbox, settings = True, sandbox
    if args.sandbox and (graph := running_address.of_running(settings.server.data_dir).get("graph")):
        pointed = settings.whatsapp.model_copy(update={"graph_api_base": graph})
        settings = settings.model_copy(update={"whatsapp": pointed})
    return settings


def _doctor_without_settings(error: SettingsError, args: argparse.Namespace) -> int:
    from wabot.doctor import terminal  # noqa: PLC0415

    return terminal.without_settings(error, as_json=args.json)


def _complain(text: str) -> None:
    priority = "<3>" if is_journald(2) else ""
    for line in text.splitlines():
        print(f"{priority}wabot: {line}", file=sys.stderr)  # noqa: T201


def end(status: int) -> NoReturn:
    """Exit at once. Everything is closed, but Python would wait for threads that wait for a model's answer."""
    log.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)


def _command(args: argparse.Namespace, settings: Settings) -> int:
    if args.command in arguments.NAMES:
        command: Command = getattr(import_module(f"wabot.terminal.{args.command}"), args.command)
        return asyncio.run(command(settings, args))
    if args.command == "doctor":
        from wabot.assembly import adapters  # noqa: PLC0415
        from wabot.doctor import terminal  # noqa: PLC0415

        return _run(terminal.run(settings, args, models=adapters.models, archive=adapters.mongo))
    if args.command == "ask":
        from wabot.assembly.ask import ask  # noqa: PLC0415

        return _run(ask(settings, args))
    if args.command == "rehearse":
        from wabot.rehearsal.command import rehearse  # noqa: PLC0415

        return rehearse(settings, args)
    if args.command in ("backup", "restore"):
        return _copy(args, settings)
    return _run(_work(args, settings))


def _copy(args: argparse.Namespace, settings: Settings) -> int:
    """Back up the journal, or put a backup in its place."""
    if args.command == "backup":
        from wabot.journal import backup  # noqa: PLC0415

        target = backup.copy(_data_dir(settings, args.account), args.file)
        print(f"wabot: the journal was copied to {target}")  # noqa: T201
        return 0
    from wabot.journal import restore  # noqa: PLC0415

    data_dir = _data_dir(settings, args.account)
    previous = restore.put_in_place(args.file, data_dir)
    names = {"file": args.file, "journal": data_dir, "previous": previous or "nothing"}
    print(_RESTORED.format(**names, account=f" --account {args.account}" if args.account else ""))  # noqa: T201
    return 0


def _data_dir(settings: Settings, account: str) -> Path:
    """The folder of an account's journal; "": of the default one. Raises SettingsError."""
    return settings.of_accounts()[settings.account_named(account)].server.data_dir


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run on uvloop if it is installed: it is faster when threads wake the loop, as the journal's thread does."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _work(args: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, int]:
    """What runs until it is stopped: the service, or the sandbox, or the service beside the sandbox."""
    if args.beside:
        return _beside(settings, args)
    if args.sandbox:
        return _sandbox(settings, args)
    for file in open_to_all([args.config or Path("config.toml"), Path(".env")]):
        log.get_logger().warning("settings.readable", file=str(file), remedy=f"chmod 600 {file}: it holds your secrets")
    return _serve(settings)


async def _sandbox(settings: Settings, args: argparse.Namespace) -> int:
    """The stand-in for Meta, with wabot as a child process."""
    from wabot.sandbox_command import sandbox  # noqa: PLC0415

    options = ["--config", str(args.config)] if args.config else []
    async with _stop_signal() as stop:
        return await sandbox(settings, stop, keep=args.keep, options=options)


async def _beside(settings: Settings, args: argparse.Namespace) -> int:
    """wabot as the child process of a stand-in, with which it ends."""
    whatsapp = settings.whatsapp.model_copy(update={"graph_api_base": f"{args.beside}/v26.0"})
    pointed = settings.model_copy(update={"whatsapp": whatsapp})
    if settings.assistant.provider == "canned":  # answered by the stand-in, which can be slow, or fail
        model = {"provider": "openai", "base_url": f"{args.beside}/model", "model": "canned"}
        pointed = pointed.model_copy(update={"assistant": settings.assistant.model_copy(update=model)})
    threading.Thread(target=_end_with_the_standin, daemon=True).start()
    return await _serve(pointed, sandbox=True, fresh=not args.keep, wall=lambda: time.time() + args.ahead)


def _end_with_the_standin() -> None:
    """Nobody writes to our standard input: it ends when the stand-in does, perhaps by kill -9."""
    sys.stdin.buffer.read()
    os._exit(FAILED)


async def _serve(settings: Settings, **options: Any) -> int:
    from wabot.assembly import start_and_stop  # noqa: PLC0415

    async with _stop_signal() as stop, start_and_stop.run(settings, **options) as running:
        log.hide([*settings.secrets(), *running.api_keys])
        memory.settle_in()
        if not options:  # beside a stand-in, that one tells what it has started
            if os.geteuid() == 0:
                log.get_logger().warning(
                    "root.used", remedy="run wabot as a user of its own, as deploy/wabot.service does"
                )
            log.get_logger().info("wabot.started", version=__version__, url=running.url, pid=os.getpid())
        await stop.wait()
        log.get_logger().info("wabot.stopping")
    log.get_logger().info("wabot.stopped")
    return 0


_RESTORED = """\
wabot: {file} is the journal of {journal} now; {previous} was there before.
wabot: at the next start, sends that were open are parked: python run.py outbox list --state parked{account}"""


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
    """Parse the arguments. Common options may stand before or after the command."""
    everywhere = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    everywhere.add_argument("--config", type=Path, metavar="PATH", help="instead of ./config.toml")
    everywhere.add_argument("--sandbox", action="store_true", help="a stand-in for Meta: no account, key or database")
    everywhere.add_argument("--keep", action="store_true", help="the sandbox goes on with the journal of its last run")
    everywhere.add_argument("--beside", metavar="URL", default="", help=argparse.SUPPRESS)
    everywhere.add_argument("--ahead", type=float, default=0.0, help=argparse.SUPPRESS)
    everywhere.add_argument("--quiet", action="store_true", help=argparse.SUPPRESS)
    some = argparse.ArgumentParser(add_help=False, allow_abbrev=False, parents=[everywhere])
    some.add_argument("--json", action="store_true")
    some.add_argument("--account", default="")
    common, rest = some.parse_known_args(argv)
    parser = argparse.ArgumentParser(
        prog="run.py", description="wabot: a WhatsApp Cloud API auto-responder", parents=[everywhere]
    )
    parser.add_argument("--version", action="version", version=f"wabot {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help="default: run the service")
    check = outbox_arguments.add(commands, account=_ACCOUNT)
    arguments.add(commands, account=_ACCOUNT)
    _add_commands_of_its_own(commands)
    found = parser.parse_args(rest)
    for option in ("json", "account"):
        if getattr(common, option) and option not in found:
            parser.error(f"--{option} does not go with {found.command or 'the service itself'}")
    args = argparse.Namespace(**{**vars(found), **vars(common)})
    if args.keep and (args.command or not args.sandbox):
        parser.error("--keep goes with --sandbox, and with no command")
    if args.command == "outbox":
        check(args)
    return args


def _add_commands_of_its_own(commands: arguments.Commands) -> None:
    """The commands that do not need the running service."""
    doctor = commands.add_parser("doctor", help="what is wrong, and what to do about it")
    doctor.add_argument("--fix", action="store_true", help="subscribe the app, and its webhook's fields, at Meta")
    doctor.add_argument("--url", default="", metavar="https://…", help="the public address of this wabot")
    doctor.add_argument("--json", action="store_true", help="for programs")
    ask = commands.add_parser("ask", help="what the assistant would answer, and what it is shown; nothing is sent")
    ask.add_argument("question")
    ask.add_argument("--number", default="", metavar="N", help="as this contact, with their talk so far")
    ask.add_argument("--json", action="store_true", help="for programs")
    rehearse = commands.add_parser("rehearse", help="play talks from files, with a stand-in for Meta; nothing is sent")
    rehearse.add_argument("files", type=Path, nargs="+", metavar="FILE")
    rehearse.add_argument(
        "--model", choices=("real",), help="the configured model answers, whatever a talk has in its place"
    )
    backup = commands.add_parser("backup", help="a consistent copy of the journal, also while wabot runs")
    backup.add_argument("file", type=Path)
    restore = commands.add_parser("restore", help="put a backup in the journal's place; wabot must not run")
    restore.add_argument("file", type=Path)
    for command in (doctor, ask, rehearse, backup, restore):
        command.add_argument("--account", default="", metavar="NAME", help=_ACCOUNT)
