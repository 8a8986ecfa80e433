"""Pictures, voice notes and files that people send: what a message says about one, and what a model can make of it.

https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wabot.core.json_values import dict_of, text_of

KINDS = frozenset({"image", "audio", "document", "video", "sticker"})
"""The message types that have a file."""

FOLDER = "media"
"""Where files are kept, if the owner wants that, beside the journal."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PICTURES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/heic", "image/heif"})


@dataclass(frozen=True, slots=True)
class Medium:
    """A file of a message that is being answered. `id`: Meta's; `sha256` as Meta gives it, hex or base64, or "".

    `content` is None until it was downloaded.
    """

    id: str
    kind: str
    mime_type: str
    sha256: str = ""
    filename: str = ""
    content: bytes | None = field(default=None, repr=False)

    @property
    def sense(self) -> str:
        """What a model needs to make something of it: "picture", "audio" or "pdf"; "" if no model gets it."""
        if self.mime_type in _PICTURES and self.kind in ("image", "document"):
            return "picture"
        if self.mime_type.startswith("audio/"):
            return "audio"
        return "pdf" if self.mime_type == "application/pdf" else ""

    @property
    def note(self) -> str:
        """What the model reads in its place if it cannot be had, or the model does not take it."""
        name = {"audio": "voice message", "document": f"document {self.filename}".strip()}.get(self.kind, self.kind)
        return f"[{name}: not available to you]"


@dataclass(frozen=True, slots=True)
class ToKeep:
    """Media of messages, as (message id, contact id, medium), oldest first.

    `upto`: the last message that was looked at; `more`: others follow.
    """

    media: list[tuple[int, int, Medium]]
    upto: int
    more: bool


def kept_prefix(contact_id: int) -> str:
    """How the names of a contact's kept files begin, by the journal's own id: all go when the person is forgotten."""
    return f"{contact_id}-"


def medium_of(message: Mapping[str, Any]) -> Medium | None:
    """The file of an entry of `messages[]`; None if it has none that can be asked for."""
    kind = text_of(message.get("type"))
    file = dict_of(message.get(kind)) if kind in KINDS else {}
    id_ = text_of(file.get("id"))
    if _ID.fullmatch(id_) is None:
        return None
    mime_type = text_of(file.get("mime_type")).partition(";")[0].strip().lower()
    return Medium(id_, kind, mime_type, text_of(file.get("sha256")), text_of(file.get("filename"))[:100])


def has_digest(content: bytes, sha256: str) -> bool:
    """Whether this is the SHA-256 of the content, in hex or in base64; "" fits all."""
    digest = hashlib.sha256(content).digest()
    written = (base64.b64encode(digest).decode(), base64.urlsafe_b64encode(digest).decode())
    given = sha256.strip()
    return not given or given.lower() == digest.hex() or given.rstrip("=") in {one.rstrip("=") for one in written}
