"""HTTP routes that control the stand-in: for people with curl, and for tests when it is a process of its own.

POST /sandbox/say {"from"?, "user_id"?, "name"?, "text" | "message", "wamid"?, "timestamp"?, "times"?, "attempts"?}
POST /sandbox/script {"number"?, "answers": [{"kind", ...}], "always"?}   number: digits, a BSUID or "*" (default)
POST /sandbox/person {"number", "name"?, "username"?, "hides_number"?, "wrote_at"?, "new_user_id"?, "new_number"?}
    change a customer; the last two are also delivered as webhooks
POST /sandbox/template {"name", "language", "status"?, "category"?, "reason"?}   Meta changes a template
POST /sandbox/limit {"people": N | null}   Meta changes the messaging limit
POST /sandbox/news {"field", "value"}   a webhook of any field, such as account_update
GET /sandbox/sent, /sandbox/attempts [?after=N]   accepted messages, or all requests; without the first N
POST /sandbox/mend    accept from now on what was refused, by script or by the number's last digits
POST /sandbox/clear   remove records and scripts, and undo /sandbox/mend
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from wabot.core.direct_request import is_direct, is_loopback
from wabot.sandbox import behaviour

if TYPE_CHECKING:
    from wabot.sandbox.ledger import Sent
    from wabot.sandbox.meta import Meta

    Handler = Callable[[Meta, web.Request], Awaitable[web.Response]]

KINDS: Mapping[str, Callable[..., behaviour.Answer]] = {
    "accept": behaviour.accept,
    "undelivered": behaviour.undelivered,
    "error": behaviour.error,
    "cut_before": behaviour.cut_before,
    "cut_after": behaviour.cut_after,
    "hang": behaviour.hang,
    "raw": lambda status, body="", **more: behaviour.raw(status, body.encode(), **more),
}
"""The kinds of answers, by name; their other fields are the arguments."""


PERSON = frozenset({"name", "username", "hides_number", "wrote_at", "blocked"})
"""The fields of a customer that can be set."""


def add_routes(app: web.Application, meta: Meta) -> None:
    """Add the routes above to the stand-in's app."""
    for path, handler in _ROUTES.items():
        app.router.add_post(f"/sandbox/{path}", partial(_guarded, handler, meta))
    app.router.add_get("/sandbox/sent", partial(_guarded, _sent, meta))
    app.router.add_get("/sandbox/attempts", partial(_guarded, _attempts, meta))


async def _guarded(handler: Handler, meta: Meta, request: web.Request) -> web.Response:
    """On a loopback address, serve only programs of this machine.

    A page in somebody's browser could otherwise write to wabot as a customer, for which the owner's model is paid, and
    read the answer. At any other address, access is up to the operator's network.
    """
    ends = [request.transport.get_extra_info(end) if request.transport else None for end in ("sockname", "peername")]
    ours, theirs = (end[0] if isinstance(end, tuple) else None for end in ends)
    if ours is not None and is_loopback(ours) and not is_direct(theirs, request.headers.items()):
        text = json.dumps({"error": {"message": "the sandbox serves only direct requests from this machine"}})
        return web.Response(status=403, text=text, content_type="application/json")
    return await handler(meta, request)


async def _say(meta: Meta, request: web.Request) -> web.Response:
    asked = await _body(request)
    said = asked.pop("message", None) or asked.pop("text", "")
    try:
        wamid, status = await meta.say(said, from_=asked.pop("from", None), **asked)
    except (TypeError, KeyError, RuntimeError) as error:
        raise _not_so(str(error)) from error
    return web.json_response({"id": wamid, "webhook_status": status})


async def _person(meta: Meta, request: web.Request) -> web.Response:
    asked = await _body(request)
    number = str(asked.pop("number", "")).removeprefix("+")
    unknown = asked.keys() - {*PERSON, "new_user_id", "new_number"}
    if not number or unknown:
        raise _not_so(f"no number, or unknown fields: {sorted(unknown)}")
    customer = meta.people.of(number)
    for name in asked.keys() & PERSON:
        setattr(customer, name, asked[name])
    if asked.get("new_number"):
        await meta.change_number(customer, str(asked["new_number"]).removeprefix("+"))
    elif asked.get("new_user_id"):
        await meta.change_user_id(customer)
    return web.json_response(dataclasses.asdict(customer))


async def _script(meta: Meta, request: web.Request) -> web.Response:
    asked = await _body(request)
    number = str(asked.get("number", behaviour.ANY)).removeprefix("+")
    answers = [_answer(fields) for fields in asked.get("answers", [])]
    if asked.get("always") and answers:
        meta.behaviour.always(number, answers[-1])
    else:
        meta.behaviour.script(number, answers)
    return web.json_response({"number": number, "answers": len(answers)})


async def _template(meta: Meta, request: web.Request) -> web.Response:
    asked = await _body(request)
    try:
        return web.json_response({"webhook_status": await meta.set_template(**asked)})
    except (TypeError, KeyError) as error:
        raise _not_so(str(error)) from error


async def _limit(meta: Meta, request: web.Request) -> web.Response:
    people = (await _body(request)).get("people", 0)
    if people is not None and not (isinstance(people, int) and people > 0):
        raise _not_so("people: a number above 0, or null")
    return web.json_response({"webhook_status": await meta.set_limit(people)})


async def _news(meta: Meta, request: web.Request) -> web.Response:
    asked = await _body(request)
    if not isinstance(asked.get("value"), dict):
        raise _not_so("value is missing")
    return web.json_response({"webhook_status": await meta.news(str(asked.get("field")), asked["value"])})


async def _sent(meta: Meta, request: web.Request) -> web.Response:
    return _records(request, meta.sent)


async def _attempts(meta: Meta, request: web.Request) -> web.Response:
    return _records(request, meta.attempts)


async def _mend(meta: Meta, _: web.Request) -> web.Response:
    meta.mend()
    return web.json_response({"success": True})


async def _clear(meta: Meta, _: web.Request) -> web.Response:
    meta.clear()
    meta.behaviour.clear()
    return web.json_response({"success": True})


_ROUTES: Mapping[str, Handler] = {
    "say": _say, "person": _person, "script": _script, "template": _template, "limit": _limit, "news": _news,
    "mend": _mend, "clear": _clear,
}  # fmt: skip


def _answer(fields: Any) -> behaviour.Answer:
    try:
        arguments = dict(fields)
        return KINDS[arguments.pop("kind")](**arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise _not_so(f"not an answer: {fields!r} ({error}); kinds: {', '.join(KINDS)}") from error


def _records(request: web.Request, records: list[Sent]) -> web.Response:
    after = request.query.get("after", "0")
    shown = records[int(after) if after.isdecimal() else 0 :]
    return web.json_response({"count": len(records), "messages": [dataclasses.asdict(record) for record in shown]})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise _not_so("not JSON") from error
    if not isinstance(body, dict):
        raise _not_so("not a JSON object")
    return body


def _not_so(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": {"message": message}}), content_type="application/json")
