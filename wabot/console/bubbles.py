"""Messages as a talk shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wabot.core.json_values import dict_of, text_of
from wabot.core.media import KINDS

_TICKS = {"queued": "…", "sent": "✓", "delivered": "✓✓", "read": "✓✓", "played": "✓✓", "failed": "!"}


@dataclass(frozen=True, slots=True)
class Bubble:
    """A message. `ticks` and `status`: how far one of ours came. `media`: the id of its file, `kind`: what it is."""

    id: str | None
    out: bool
    body: str
    at: str
    kind: str
    status: str
    ticks: str
    origin: str
    error: str | None
    code: int | str | None
    outbox_id: str | None
    media: str | None
    mime_type: str


def bubble(message: Mapping[str, Any]) -> Bubble:
    """A message of `/get` as a bubble."""
    kind, out = str(message["type"]), message["direction"] == "out"
    file = dict_of(_raw(message.get("raw")).get(kind)) if kind in KINDS else {}
    return Bubble(
        message.get("id"),
        out,
        str(message.get("body") or ""),
        str(message.get("timestamp") or 0),
        kind,
        str(message.get("status") or ""),
        _TICKS.get(str(message.get("status")), "") if out else "",
        str(message.get("origin") or ""),
        message.get("error"),
        message.get("error_code"),
        message.get("outbox_id"),
        None if out else text_of(file.get("id")) or None,
        text_of(file.get("mime_type")),
    )


def _raw(raw: Any) -> Mapping[str, Any]:
    """The message as Meta sent it: the journal has it as JSON, the archive as an object."""
    return dict_of(json.loads(raw) if isinstance(raw, str) else raw)
