"""What went over the wire: every webhook and every Graph call with its answer, as much as fits, to read and replay."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

ENTRIES, LONGEST = 400, 20_000
"""How many exchanges are kept, and how many characters of each body."""
_QUIET = ("/phone", "/sandbox", "/favicon.ico", "/model")
"""What is not Meta's: this page, the control routes, the model."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer. `kind`: webhook or graph. `status` 0: no answer. `at`: Unix seconds."""

    number: int
    kind: str
    method: str
    path: str
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
            self._count, kind, method, "/" + path, status, _text(body), answered[:LONGEST], time.time(),
            round((time.monotonic() - began) * 1000, 1), body,
        )  # fmt: skip
        self._exchanges.append(exchange)
        self.on_news(exchange)


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
