"""The outbox from the terminal: asks the running service, which alone writes the journal."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import aiohttp

from wabot import keys
from wabot.core.errors import WabotError
from wabot.settings import Settings


class NotReached(WabotError):
    """The service does not run, or does not answer as it should."""


async def outbox(settings: Settings, args: argparse.Namespace) -> int:
    """`list`, `show`, `retry` or `cancel`; the exit status."""
    if args.verb == "list":
        wanted = {"state": args.state, "number": args.number, "batch_id": args.batch_id, "cursor": args.cursor}
        query = {key: value for key, value in wanted.items() if value} | {"limit": str(args.limit)}
        _print_list(await _ask(settings, "GET", "/outbox", query))
        return 0
    method, path = ("GET", "") if args.verb == "show" else ("POST", f"/{args.verb}")
    _print(json.dumps(await _ask(settings, method, f"/outbox/{args.id}{path}"), indent=2, ensure_ascii=False))
    return 0


async def _ask(settings: Settings, method: str, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
    server = settings.server
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104  we only ask there
    url = f"http://{f'[{host}]' if ':' in host else host}:{server.port}{path}"
    key = keys.of_terminal(server)
    headers = {"X-API-Key": key} if key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.request(method, url, params=query, headers=headers) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotReached(f"wabot does not answer at {url.removesuffix(path)}: is it running?") from error
    if response.status >= 400:
        raise NotReached(str(answer.get("error", {}).get("message", response.status)))
    return answer


def _print_list(answer: dict[str, Any]) -> None:
    for send in answer["outbox"]:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(send["created_at"]))
        why = f"  {send['error']} ({send['error_code']})" if send["error"] else ""
        _print(f"{send['outbox_id']:<16} {made}  {send['number']:<16} {send['state']:<9} {send['message_status']}{why}")
    if "next_cursor" in answer:
        _print(f"more: --cursor {answer['next_cursor']}")


def _print(line: str) -> None:
    print(line)  # noqa: T201
