"""What went over the wire: every webhook and every Graph call with its answer, as much as fits, to read and replay."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from wabot.core.complaint import part, parts, text_of
from wabot.core.json_values import dict_of

ENTRIES, LONGEST = 400, 20_000
"""How many exchanges are kept, and how many characters of each body."""
_QUIET = ("/phone", "/sandbox", "/favicon.ico", "/model")
"""What is not Meta's: this page, the control routes, the model."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. `kind`: webhook or graph. `status` 0: no answer. `at`: Unix seconds.

    `about`: what it is, in few words.
    """

    number: int
    kind: str
    method: str
    path: str
    about: str
    status: int
    asked: str
    answered: str
    at: float
    ms: float
    body: bytes = b""

    def shown(self) -> dict[str, Any]:
        """As JSON for the page."""
        return {name: value for name, value in asdict(self).items() if name != "body"}


class Wire:
    """The latest exchanges. `on_news` is called with each."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=ENTRIES)
        self._count = 0
        self.on_news: Callable[[Exchange], None] = lambda _exchange: None

    def all(self) -> list[dict[str, Any]]:
        """All that are kept, oldest first."""
        return [exchange.shown() for exchange in self._exchanges]

    def find(self, number: int) -> Exchange | None:
        """The exchange of this number, if it is still kept."""
        return next((exchange for exchange in self._exchanges if exchange.number == number), None)

    def webhook(self, url: str, body: bytes, status: int, answer: Any, seconds: float) -> None:
        """Meta called the webhook."""
        answered = "" if answer is None else json.dumps(answer)
        path, began = url.partition("://")[2].partition("/")[2], time.monotonic() - seconds
        self._add("webhook", "POST", path, status=status, body=body, answered=answered, began=began)

    @web.middleware
    async def graph(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Notes the calls of Graph."""
        if request.path == "/" or request.path.startswith(_QUIET):
            response: web.StreamResponse = await handler(request)
            return response
        began, status, answered = time.monotonic(), 0, ""
        try:
            response = await handler(request)
            cut = request.transport is None or request.transport.is_closing()
            status, answered = (0, "") if cut else (response.status, _text(getattr(response, "body", b"")))
            return response
        finally:
            body = await request.read() if _is_json(request) and status else b""
            path = request.path_qs[1:]
            self._add("graph", request.method, path, status=status, body=body, answered=answered, began=began)

    def _add(self, kind: str, method: str, path: str, *, status: int, body: bytes, answered: str, began: float) -> None:
        self._count += 1
        exchange = Exchange(
            self._count, kind, method, "/" + path, _about(kind, path, body), status, _text(body), answered[:LONGEST],
            time.time(), round((time.monotonic() - began) * 1000, 1), body,
        )  # fmt: skip
        self._exchanges.append(exchange)
        self.on_news(exchange)


def _about(kind: str, path: str, body: bytes) -> str:
    """What a request is, for people who read a list of them."""
    try:
        asked = dict_of(json.loads(body))
    except ValueError:
        asked = {}
    if kind == "webhook":
        changes = [{**part(change, "value"), "field": change.get("field")} for entry in parts(asked, "entry")
                   for change in parts(entry, "changes")]  # fmt: skip
        return ", ".join(dict.fromkeys(filter(None, map(_news, changes)))) or "webhook"
    if "status" in asked:
        return "read, and typing …" if "typing_indicator" in asked else "read"
    if path.partition("?")[0].endswith("/messages") and asked:
        return f"send {_said(asked)}"
    return ""


def _news(value: Mapping[str, Any]) -> str:
    """What one change of a webhook tells."""
    said = [f"message {_said(message)}" for message in parts(value, "messages")]
    echoes = [f"staff wrote {_said(message)}" for message in parts(value, "message_echoes")]
    receipts = [f"receipt: {text_of(status, 'status')}" for status in parts(value, "statuses")]
    return ", ".join(dict.fromkeys([*said, *echoes, *receipts])) or text_of(value, "field")


def _said(message: Mapping[str, Any]) -> str:
    """The words of a message, or of what kind it is."""
    kind = text_of(message, "type") or "text"
    content = part(message, kind)
    words = text_of(content, "body") or text_of(content, "name")
    return f"“{words[:40]}{'…' if len(words) > 40 else ''}”" if kind == "text" and words else f"{kind} {words}".strip()


def _is_json(request: web.Request) -> bool:
    return request.method == "POST" and request.content_type == "application/json"


def _text(body: Any) -> str:
    """A body as readable JSON, else as text."""
    if not isinstance(body, bytes | bytearray):
        return ""
    text = bytes(body).decode(errors="replace")
    with contextlib.suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[:LONGEST] + " …"
