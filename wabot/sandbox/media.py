"""Pictures, voice notes and files as Meta keeps them: uploaded or received, looked up, downloaded, deleted.

A look-up gives an address that works for five minutes, and only with the access token.
https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from wabot.core.message_check import MEDIA
from wabot.sandbox.graph import Call, Json, Refusal, Routes, invalid, unknown_object

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

URL_SECONDS = 300.0
"""How long the address of a look-up works."""
KEPT_SECONDS, RECEIVED_SECONDS = 30 * 86400.0, 7 * 86400.0
"""How long an uploaded file can be sent, and how long one that came in can be asked for."""

_MB = 1024 * 1024
LARGEST: Mapping[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png"), 5 * _MB),
    "image/webp": 500 * 1024,
    **dict.fromkeys(("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/opus"), 16 * _MB),
    **dict.fromkeys(("video/mp4", "video/3gpp", "video/3gp"), 16 * _MB),
}
"""Bytes at most, by MIME type; what else may be sent is a document."""
SENDABLE: Mapping[str, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/png"),
    "audio": ("audio/ogg", "audio/mpeg", "audio/amr", "audio/mp4", "audio/aac"),
    "video": ("video/mp4", "video/3gpp", "video/3gp"),
    "sticker": ("image/webp",),
}
"""MIME types that may be sent as each kind; a document may be anything. Graph stores other types too, and refuses them
only in a receipt: https://github.com/chatwoot/chatwoot/issues/12713"""
_DOCUMENT = 100 * _MB
_DOCUMENTS = ("text/", "application/")

_JPEG = (
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP////////////////////////////////////////////////////////////////////////////////"
    "//////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)
_SAMPLE_TYPES = {
    "image": "image/jpeg", "sticker": "image/webp", "audio": "audio/ogg", "video": "video/mp4",
    "document": "application/pdf",
}  # fmt: skip
_SAMPLES: Mapping[str, bytes] = {
    "image": base64.b64decode(_JPEG),
    "sticker": b"RIFF\x1a\x00\x00\x00WEBPVP8L\r\x00\x00\x00/\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00",
    "audio": b"OggS\x00\x02" + bytes(22),
    "video": b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
    "document": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Root 1 0 R>>\n%%EOF\n",
}
"""Sample files, for inbound messages without content."""


@dataclass(frozen=True, slots=True)
class Media:
    """A stored file. `until`: when it expires, in Unix seconds."""

    id: str
    content: bytes
    mime_type: str
    until: float

    @property
    def sha256(self) -> str:
        """The SHA-256 in hex, as a look-up gives it; webhooks give base64."""
        return hashlib.sha256(self.content).hexdigest()


def unsuitable(kind: str, mime_type: str) -> str | None:
    """Why a file of `mime_type` cannot be sent as a `kind`, in Meta's words; None if it can."""
    known = SENDABLE.get(kind)
    if known is None or mime_type.partition(";")[0] in known:
        return None
    return f"Unsupported {kind.title()} mime type {mime_type}. Please use one of {', '.join(known)}."


class Store:
    """All files, by id. `base`: the address of the stand-in, once it is served; `uploads`: resumable uploads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.base = ""
        self.uploads: dict[str, bytes] = {}
        self._clock = clock
        self._files: dict[str, Media] = {}
        self._lost = set[str]()
        self._key = secrets.token_bytes(16)

    def keep(self, content: bytes, mime_type: str, *, id_: str | None = None, seconds: float = KEPT_SECONDS) -> Media:
        """Store a file."""
        media = Media(id_ or str(secrets.randbits(50)), content, mime_type, self._clock() + seconds)
        self._files[media.id] = media
        return media

    def get(self, id_: str) -> Media | None:
        """The file with this id; None if there is none, or it has expired."""
        media = self._files.get(id_) if id_ not in self._lost else None
        return media if media is not None and self._clock() < media.until else None

    def lose(self, id_: str) -> None:
        """The file with this id cannot be had from now on."""
        self._lost.add(id_)

    def delete(self, id_: str) -> None:
        """Delete a file."""
        self._files.pop(id_, None)

    def url(self, media: Media) -> str:
        """An address to download it from, for the next five minutes."""
        expires = int(self._clock() + URL_SECONDS)
        query = f"mid={media.id}&ext={expires}&hash={self._hash(media.id, str(expires))}"
        return f"{self.base}/whatsapp_business/attachments/?{query}"

    def at(self, query: Mapping[str, str]) -> Media | None:
        """The file of such an address; None if it is not one, has expired, or the file is gone."""
        id_, expires = query.get("mid", ""), query.get("ext", "")
        if not secrets.compare_digest(
            self._hash(id_, expires), query.get("hash", "").encode("ascii", "replace").decode()
        ):
            return None
        return self.get(id_) if float(expires) > self._clock() else None

    def received(self, said: Mapping[str, Any], content: bytes | None = None) -> Json:
        """A message whose file can be downloaded: `content`, or a sample where the store has none of that id."""
        kind = said.get("type")
        file = said.get(str(kind))
        if kind not in MEDIA or not isinstance(file, dict):
            return dict(said)
        media = self.get(str(file.get("id"))) if content is None else None
        if media is None:
            type_ = str(file.get("mime_type") or _SAMPLE_TYPES[kind])
            data = _SAMPLES[kind] if content is None else content
            media = self.keep(data, type_, id_=file.get("id"), seconds=RECEIVED_SECONDS)
        digest = base64.b64encode(hashlib.sha256(media.content).digest()).decode()
        more = {"id": media.id, "mime_type": media.mime_type, "sha256": digest}
        return {**said, kind: {**file, **more} | ({"url": self.url(media)} if self.base else {})}

    def _hash(self, id_: str, expires: str) -> str:
        return hashlib.sha256(self._key + f"{id_}.{expires}".encode()).hexdigest()


async def upload(meta: Meta, call: Call) -> Json:
    """POST /{number}/media: a form with `file`, `type` and `messaging_product`."""
    form = await call.fields()
    if form.get("messaging_product") != "whatsapp":
        raise invalid("The parameter messaging_product is required.")
    file = form.get("file")
    if not isinstance(file, web.FileField):
        raise invalid("The parameter file is required.")
    mime_type = str(form.get("type") or file.content_type).partition(";")[0].strip().lower()
    content = file.file.read()
    most = LARGEST.get(mime_type, _DOCUMENT if mime_type.startswith(_DOCUMENTS) else 0)
    if not most or mime_type == "application/octet-stream":
        known = ", ".join(sorted(LARGEST))
        raise invalid(f"Param file must be a file with one of the following types: {known}, text or a document. "
                      f"Received file of type '{mime_type}'.")  # fmt: skip
    if not 0 < len(content) <= most:
        raise Refusal(131053, f"A file of type {mime_type} may have {most} bytes; this one has {len(content)}.")
    return {"id": meta.media.keep(content, mime_type).id}


def _named(meta: Meta, call: Call) -> Media:
    media = meta.media.get(call.object)
    if media is None or call.query.get("phone_number_id", meta.phone_number_id) != meta.phone_number_id:
        raise unknown_object(call)
    return media


async def look_up(meta: Meta, call: Call) -> Json:
    """GET /{media}: where to download it, and what it is."""
    media = _named(meta, call)
    return {
        "messaging_product": "whatsapp", "url": meta.media.url(media), "mime_type": media.mime_type,
        "sha256": media.sha256, "file_size": len(media.content), "id": media.id,
    }  # fmt: skip


async def delete(meta: Meta, call: Call) -> Json:
    """DELETE /{media}."""
    meta.media.delete(_named(meta, call).id)
    return {"success": True}


async def download(meta: Meta, call: Call) -> web.StreamResponse:
    """GET of a look-up's address: 404 without the token, or after it has expired."""
    media = meta.media.at(call.query)
    if media is None:
        return web.Response(status=404)
    return web.Response(body=media.content, content_type=media.mime_type.partition(";")[0])


async def begin_upload(meta: Meta, call: Call) -> Json:
    """POST /{app}/uploads: start a resumable upload of an example or a profile picture.

    https://developers.facebook.com/docs/graph-api/guides/upload
    """
    if not call.query.get("file_length", "").isdecimal() or not call.query.get("file_type"):
        raise invalid("The parameters file_length and file_type are required.")
    id_ = f"upload:{secrets.token_urlsafe(24)}"
    meta.media.uploads[id_] = b""
    return {"id": id_}


async def continue_upload(meta: Meta, call: Call) -> Json:
    """POST /upload:…, with the header `file_offset`: store the bytes, and answer with a handle."""
    offset = call.request.headers.get("file_offset", "0")
    there = meta.media.uploads[call.object]
    if not offset.isdecimal() or int(offset) != len(there):
        raise invalid(f"Param file_offset must be {len(there)}.")
    meta.media.uploads[call.object] = there + await call.body()
    return {"h": f"4::{secrets.token_urlsafe(24)}"}


async def show_upload(meta: Meta, call: Call) -> Json:
    """GET /upload:…: how many bytes were received."""
    return {"id": call.object, "file_offset": len(meta.media.uploads[call.object])}


ROUTES: Routes = {
    ("app", "POST", "uploads"): begin_upload,
    ("upload", "POST", ""): continue_upload,
    ("upload", "GET", ""): show_upload,
    ("number", "POST", "media"): upload,
    ("media", "GET", ""): look_up,
    ("media", "DELETE", ""): delete,
    ("whatsapp_business", "GET", "attachments"): download,
}
