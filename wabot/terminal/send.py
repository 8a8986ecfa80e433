"""The `send` command: one message to one person."""

from __future__ import annotations

import argparse
from typing import Any

from wabot.settings.loading import Settings
from wabot.terminal import printing, templates
from wabot.terminal.service_calls import Refused, ServiceCalls


async def send(settings: Settings, args: argparse.Namespace) -> int:
    """Send it, and print what became of it. Returns 1 if it failed. Raises NotRunning, Refused."""
    calls = ServiceCalls(settings, args.account)
    body: dict[str, Any] = {"number": args.number, **({"takeover": True} if args.takeover else {})}
    if args.text is not None:
        body["text"] = args.text
    else:
        template = await templates.named(calls, args.template, args.language)
        body["template"] = {
            "name": args.template,
            "language": template.language,
            "components": templates.components(template, _values(args.value)),
        }
    headers = {"Prefer": f"wait={args.wait}"} if args.wait is not None else {}
    answer = await calls("POST", "/messages", body=body, headers=headers)
    printing.as_json(answer) if args.json else printing.line(_in_words(answer))
    return 1 if answer["status"] == "failed" else 0


def _values(pairs: list[str]) -> dict[str, str]:
    """`--value 1=Ana` by name. Raises Refused."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Refused(f"--value {pair}: write it as NAME=VALUE", 422)
        found[name.strip()] = value
    return found


def _in_words(answer: dict[str, Any]) -> str:
    number, outbox_id = answer["number"], answer.get("outbox_id", "")
    if answer["status"] == "sent":
        return f"{number}: sent ({outbox_id})"
    if answer["status"] == "queued":
        return f"{number}: queued, and will be sent; look: outbox show {outbox_id}"
    return f"{number}: failed: {answer['error']} ({answer['error_code']})"
