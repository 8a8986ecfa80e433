"""The arguments of the `outbox` command. Apart from the command, so that no other command loads what it needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


_EXAMPLES = """\
examples:
  run.py outbox list --message undelivered
  run.py outbox show 3f2a9c01-17
  run.py outbox retry --failed --batch 8cc2edcd48b7381d
"""


def add(commands: Commands, *, account: str) -> Callable[[argparse.Namespace], None]:
    """Add the outbox commands; returns what checks their arguments. `account`: the help of --account."""
    outbox = commands.add_parser(
        "outbox",
        help="look at the outbox, retry or cancel a send",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = outbox.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="the newest sends, or the replies that wait")
    for option in ("--state", "--number", "--cursor"):
        listing.add_argument(option, default="")
    listing.add_argument("--batch", "--batch-id", dest="batch_id", default="", metavar="ID", help="those of a batch")
    listing.add_argument("--kind", choices=("send", "reply", "event"), default="send", help="default: send")
    listing.add_argument("--message", choices=("undelivered", "unread"), default="", help="not delivered, or not read")
    listing.add_argument("--limit", type=int, default=50)
    for verb, text in (("show", "one send, whole"), ("cancel", "before it leaves")):
        verbs.add_parser(verb, help=text).add_argument("id", help="an outbox id")
    retry = verbs.add_parser("retry", help="try again what failed, is held or is parked: one send, or many")
    retry.add_argument("id", nargs="?", default="", help="an outbox id; or else, for many:")
    retry.add_argument("--failed", action="store_true", help="all that failed")
    retry.add_argument("--batch", "--batch-id", dest="batch_id", default="", metavar="ID", help="those of a batch")
    retry.add_argument("--error-code", default="", help="those with this code")
    retry.add_argument("--may-repeat", action="store_true", help="also those that may then arrive twice")
    for command in verbs.choices.values():
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("--account", default="", metavar="NAME", help=account)
    return partial(_check, retry)


def _check(retry: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error unless `retry` got either an id, or options for many sends."""
    many = args.verb == "retry" and (args.failed or args.batch_id or args.error_code or args.may_repeat)
    if args.verb == "retry" and bool(args.id) == bool(many):
        retry.error("give an outbox id, or else --failed, --batch, --error-code or --may-repeat for many")
