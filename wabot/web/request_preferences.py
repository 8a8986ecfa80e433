"""What a caller prefers of a request that queues messages: how long to wait, and to be done once (Idempotency-Key)."""

from __future__ import annotations

import re

from aiohttp import web

from wabot.web.answers import Refusal
from wabot.web.request_account import label

WAIT_SECONDS = web.AppKey("wait_seconds", float)

_RESPOND_ASYNC = re.compile(r"(?:^|,)\s*respond-async\s*(?:[;,]|$)", re.IGNORECASE)
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]+)\"?\s*(?:[;,]|$)", re.IGNORECASE)
KEY_LENGTH = 255
MAX_WAIT_SECONDS = 300.0


def preferred_wait(request: web.Request) -> tuple[float, str | None]:
    """Seconds to wait, and the preference that was honoured. https://www.rfc-editor.org/rfc/rfc7240"""
    prefer = ",".join(request.headers.getall("Prefer", []))
    if _RESPOND_ASYNC.search(prefer):
        return 0.0, "respond-async"
    found = _WAIT.search(prefer)
    if found is None:
        return request.app[WAIT_SECONDS], None
    seconds = min(float(found[1]), MAX_WAIT_SECONDS)
    return seconds, f"wait={seconds:.0f}"


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key: quoted, as the IETF draft has it, or bare."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    key = key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key or len(key) > KEY_LENGTH or not key.isprintable():
        raise Refusal(422, f"Idempotency-Key must have 1 to {KEY_LENGTH} printable characters")
    return key


def headers_of(request: web.Request, location: str | None, preference: str | None, *, replayed: bool) -> dict[str, str]:
    """The headers of the answer: where the outcome is, which preference was honoured, whether it was done before."""
    named = "".join(f"?account={name}" for name in label(request).values())
    headers = {"Location": f"{location}{named}"} if location is not None else {}
    if preference:
        headers["Preference-Applied"] = preference
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers
