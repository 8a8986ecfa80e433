"""`python -m wabot.sandbox`: the stand-in alone, as a process of its own. Its first line of output is its URL."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from wabot.sandbox.behaviour import Behaviour, accept
from wabot.sandbox.meta import Meta, serve
from wabot.sandbox.templates import Library


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m wabot.sandbox", description="A stand-in for Meta's Cloud API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (default)")
    parser.add_argument("--webhook-url", help="where receipts and inbound messages are delivered")
    parser.add_argument("--token", default="sandbox-token", help="the access token that it accepts")
    parser.add_argument("--phone-number-id", default="100000000000001")
    parser.add_argument("--business-account-id", default="200000000000002")
    parser.add_argument("--app-secret", default="sandbox-secret", help="the secret that signs webhooks")
    parser.add_argument("--verify-token", default="sandbox-verify")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="how long each answer takes")
    parser.add_argument("--no-receipts", action="store_true")
    parser.add_argument("--receipt-delay", type=float, default=0.05, metavar="SECONDS", help="before each receipt")
    parser.add_argument("--throughput", type=float, metavar="N", help="messages per second, above them 130429")
    parser.add_argument("--pair-limit", action="store_true", help="keep Meta's limit per recipient (131056)")
    parser.add_argument("--people-a-day", type=int, metavar="N", help="the portfolio's limit outside of windows")
    late = parser.add_mutually_exclusive_group()
    late.add_argument("--no-window", action="store_true", help="accept free texts after the 24 hours too")
    late.add_argument("--refuse-late", action="store_true", help="refuse them at once, not by a receipt (131047)")
    parser.add_argument("--any-template", action="store_true", help="accept templates that it does not know")
    parser.add_argument("--by-number", action="store_true", help="numbers ending in 0001, 0002, … misbehave")
    return parser.parse_args(argv)


def build(args: argparse.Namespace) -> Meta:
    """The stand-in, as the arguments describe it."""
    behaviour = Behaviour(
        default=accept(delay=args.delay),
        by_number=args.by_number,
        throughput=args.throughput,
        pair_limit=args.pair_limit,
    )
    meta = Meta(
        access_token=args.token,
        phone_number_id=args.phone_number_id,
        business_account_id=args.business_account_id,
        app_secret=args.app_secret,
        verify_token=args.verify_token,
        webhook_url=args.webhook_url,
        behaviour=behaviour,
        templates=Library(lenient=args.any_template),
        window=None if args.no_window else "answer" if args.refuse_late else "receipt",
        receipts=not args.no_receipts,
        receipt_delay=args.receipt_delay,
    )
    meta.account.limit = args.people_a_day
    return meta


async def main(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner, url = await serve(build(args), args.host, args.port)
    try:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(arguments()))
