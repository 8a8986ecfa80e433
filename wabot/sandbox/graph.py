"""The entry of the Graph API: parses the path into object and edge, checks the token, and words every error.

Every request is `/{version}/{object}/{edge}`; the version may be missing. The token comes in the `Authorization`
header or as `?access_token=`. Unknown paths are answered with Graph's JSON too, never with a page.
https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from wabot.sandbox import errors

if TYPE_CHECKING:
    from wabot.sandbox.meta import Meta

Json = dict[str, Any]

_DEEPER = ("message_qrdls",)
"""The edges that have named things below them."""
_VERSION = re.compile(r"v\d{1,3}\.\d")
_FIELD = re.compile(r"[^,(){}]+(?:[({][^(){}]*[)}]|\.\w+\([^()]*\))*")
LARGEST = 110 * 1024 * 1024
"""Bytes of a request: documents may have 100 MB.
https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media"""


class Refusal(Exception):
    """Graph refuses: the HTTP status and the JSON of the answer."""

    def __init__(
        self, code: int, details: str | None = "", *, http: int | None = None, message: str | None = None,
        subcode: int = 0, reason: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message or details)
        self.code = code
        self.http = http or errors.wording(code).http
        self.body = errors.answer(code, details, message=message, subcode=subcode, reason=reason)


def invalid(message: str) -> Refusal:
    """(#100): a parameter that is missing or wrong."""
    return Refusal(100, message=f"(#100) {message}")


@dataclass(frozen=True, slots=True)
class Call:
    """A request to Graph: `object` is the first word of the path, `edge` the second ("" if none), `rest` the third."""

    request: web.Request
    object: str
    edge: str = ""
    rest: str = ""

    @property
    def method(self) -> str:
        """GET, POST or DELETE."""
        return self.request.method

    @property
    def query(self) -> Mapping[str, str]:
        """The query string."""
        return self.request.query

    async def body(self) -> bytes:
        """The body. Raises Refusal if it cannot be read."""
        with _reading():
            return await self.request.read()

    async def fields(self) -> Json:
        """The parameters, from the query and from a body that is JSON or a form. Raises Refusal if it is neither."""
        kind = self.request.content_type
        if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            with _reading():
                return {**self.query, **await self.request.post()}
        body = await self.body()
        value = decoded(body) if body.strip() else {}
        if not isinstance(value, dict):
            raise invalid("The body is not a JSON object.")
        return {**self.query, **value}


@contextmanager
def _reading() -> Iterator[None]:
    """Refuses a body whose compression, framing or charset cannot be decoded, or that is too large."""
    try:
        yield
    except (ValueError, LookupError, web.RequestPayloadError, web.HTTPRequestEntityTooLarge) as error:
        raise invalid("The body of the request cannot be read.") from error


Handler = Callable[["Meta", Call], Awaitable[web.StreamResponse | Json]]
Routes = Mapping[tuple[str, str, str], Handler]
"""(kind of object, method, edge) → handler."""


def parse(request: web.Request) -> Call:
    """The request with its path parsed."""
    words = [word for word in request.path.split("/") if word]
    if words and _VERSION.fullmatch(words[0]):
        del words[0]
    if not 1 <= len(words) <= 3:
        raise Refusal(2500, http=400, message=f"Unknown path components: /{'/'.join(words[3:])}")
    return Call(request, *words)


def check_token(call: Call, accepted: Iterable[str]) -> None:
    """Raises Refusal: 104 without an access token, 190 with a wrong one."""
    header = call.request.headers.get("Authorization", "")
    token = call.query.get("access_token") or header.removeprefix("Bearer ").removeprefix("OAuth ").strip()
    if token not in accepted:
        raise Refusal(190 if token else 104)


async def answer(meta: Meta, call: Call, routes: Routes) -> web.StreamResponse | Json:
    """Graph's answer to a call with a valid token. Raises Refusal."""
    kind = meta.kind_of(call.object)
    if call.rest and call.edge not in _DEEPER:
        raise Refusal(2500, http=400, message=f"Unknown path components: /{call.rest}")
    handler = routes.get((kind, call.method, call.edge))
    if handler is not None:
        return await handler(meta, call)
    if kind and call.edge and any(edge == call.edge for _, _, edge in routes):
        raise Refusal(100, message=f"Unsupported {call.method.lower()} request.", subcode=33)
    if kind and call.edge:
        raise Refusal(2500, http=400, message=f"Unknown path components: /{call.edge}")
    raise unknown_object(call)


def unknown_object(call: Call) -> Refusal:
    """There is no such object, or the token has no right to see it; Graph does not say which."""
    return Refusal(
        100,
        message=f"Unsupported {call.method.lower()} request. Object with ID '{call.object}' does not exist, cannot be "
        "loaded due to missing permissions, or does not support this operation.",
        subcode=33,
    )


def select(
    node: Mapping[str, Any], fields: str | None, known: Iterable[str], default: Iterable[str], type_: str
) -> Json:
    """The asked `fields` ("a,b{c},d.format(X)") of a node, always with its id; those that have no value are left out.

    Raises Refusal for a field that such a node does not have.
    """
    names = [re.split(r"[.({]", field.strip())[0] for field in _FIELD.findall(fields)] if fields else list(default)
    for name in names:
        if name not in known:
            raise invalid(f"Tried accessing nonexisting field ({name}) on node type ({type_})")
    chosen = {name: node[name] for name in names if node.get(name) is not None}
    return chosen | ({"id": node["id"]} if "id" in node else {})


def page(entries: list[Json], call: Call) -> Json:
    """A list as Graph pages it: `limit` entries (25) from the cursor `after` on, and the address of the next page."""
    limit, after = call.query.get("limit", ""), call.query.get("after", "")
    begin = int(after) if after.isdecimal() else 0
    end = begin + (min(int(limit), 1000) if limit.isdecimal() and int(limit) else 25)
    if not entries[begin:]:
        return {"data": []}
    paging: Json = {"cursors": {"before": str(begin), "after": str(min(end, len(entries)))}}
    if end < len(entries):
        paging["next"] = str(call.request.url.update_query({"after": str(end)}))
    return {"data": entries[begin:end], "paging": paging}


def decoded(body: bytes) -> Any:
    """The value of a body that is JSON, else None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def answered(status: int, body: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json", headers=headers)
