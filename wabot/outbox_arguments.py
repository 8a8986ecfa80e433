"""The arguments of the `outbox` command. Apart from the command, so that no other command loads what it needs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add(commands: Commands, *, account: str) -> Callable[[argparse.Namespace], None]:
    """Add the outbox commands; returns what checks their arguments. `account`: the help of --account."""
    outbox = commands.add_parser("outbox", help="look at the outbox of the running service, retry or cancel a send")
    verbs = outbox.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="the newest sends, or the replies that wait")
    for option in ("--state", "--number", "--batch-id", "--cursor"):
        listing.add_argument(option, default="")
    listing.add_argument("--kind", choices=("send", "reply", "event"), default="send", help="default: send")
    listing.add_argument("--message", choices=("undelivered", "unread"), default="", help="not delivered, or not read")
    listing.add_argument("--limit", type=int, default=50)
    for verb, text in (("show", "one send, whole"), ("cancel", "before it leaves")):
        verbs.add_parser(verb, help=text).add_argument("id", help="an outbox id")
    retry = verbs.add_parser("retry", help="try again what failed, is held or is parked: one send, or many")
    retry.add_argument("id", nargs="?", default="", help="an outbox id; or else, for many:")
    retry.add_argument("--batch-id", default="", help="those of a batch")
    retry.add_argument("--error-code", default="", help="those with this code")
    retry.add_argument("--may-repeat", action="store_true", help="also those that may then arrive twice")
    for command in verbs.choices.values():
        command.add_argument("--json", action="store_true", help="for programs")
        command.add_argument("--account", default="", metavar="NAME", help=account)
    return partial(_check, retry)


def _check(retry: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with an error unless `retry` got either an id, or options for many sends."""
    if args.verb == "retry" and bool(args.id) == bool(args.batch_id or args.error_code or args.may_repeat):
        retry.error("give an outbox id, or else --batch-id, --error-code or --may-repeat for many")
