"""The `outbox` command. It calls the running service, which is the only one that writes the journal."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp

from wabot import api_keys, running_address
from wabot.core.exceptions import WabotError
from wabot.settings.loading import Settings

ANSWER_SECONDS = 300
"""How long an answer may take: the service answers a retry of many sends when it is done."""


class NotReached(WabotError):
    """The service does not run, or refuses the request."""


async def outbox(settings: Settings, args: argparse.Namespace) -> int:
    """Runs `list`, `show`, `retry` or `cancel`. Returns the exit status. Raises NotReached."""
    ask = partial(_ask, settings, account=args.account)
    if args.verb == "list":
        names = ("kind", "message", "state", "number", "batch_id", "cursor", "limit")
        query = {name: str(getattr(args, name)) for name in names if getattr(args, name)}
        answer = await ask("GET", "/outbox", query)
        _print_json(answer) if args.json else _print_list(answer)
        return 0
    if args.verb == "retry" and not args.id:
        return await _retry_many(ask, args)
    method, path = ("GET", "") if args.verb == "show" else ("POST", f"/{args.verb}")
    _print_json(await ask(method, f"/outbox/{args.id}{path}"))
    return 0


async def _retry_many(ask: Callable[..., Awaitable[dict[str, Any]]], args: argparse.Namespace) -> int:
    names = ("batch_id", "error_code", "may_repeat")
    wanted = {name: getattr(args, name) for name in names if getattr(args, name)}
    answer = await ask("POST", "/outbox/retry", body=wanted)
    if args.json:
        _print_json(answer)
        return 0
    left = "; left, since they may arrive twice: {left} (--may-repeat tries these too)" if answer["left"] else ""
    _print(("tried again: {retried}" + left).format(**answer))
    return 0


async def _ask(
    settings: Settings,
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    *,
    body: dict[str, Any] | None = None,
    account: str,
) -> dict[str, Any]:
    server = settings.server
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104  we only ask there
    set_up = running_address.url_of(host, server.port)
    url = running_address.of_running(server.data_dir).get("wabot", set_up) + path
    key = api_keys.of_terminal(server)
    headers = {"X-API-Key": key} if key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            session.request(
                method,
                url,
                params={**(query or {}), **({"account": account} if account else {})},
                headers=headers,
                json=body,
            ) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotReached(f"wabot does not answer at {url.removesuffix(path)}: is it running?") from error
    if response.status >= 400:
        raise NotReached(str(answer.get("error", {}).get("message", response.status)))
    return answer


def _print_list(answer: dict[str, Any]) -> None:
    for job in answer["outbox"]:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["created_at"]))
        error = f"{job['error']} ({job['error_code']})" if job["error"] else ""
        became = f"{job['message_status']}  {error}" if job["kind"] == "send" else job["why"] or error
        _print(f"{job['outbox_id']:<16} {made}  {job['number'] or '?':<16} {job['state']:<9} {became}".rstrip())
    if "next_cursor" in answer:
        _print(f"more: --cursor {answer['next_cursor']}")


def _print_json(answer: dict[str, Any]) -> None:
    _print(json.dumps(answer, indent=2, ensure_ascii=False))


def _print(line: str) -> None:
    print(line)  # noqa: T201
