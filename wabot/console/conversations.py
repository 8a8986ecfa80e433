"""Conversations: the list with a search, a talk as bubbles, and what a person can do in it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from wabot import message_building
from wabot.accounts import Account
from wabot.console import bubbles, rendering, template_form
from wabot.console.serving import to
from wabot.core.jobs import Kind
from wabot.core.outgoing import Origin, template_message
from wabot.core.phone_numbers import identify
from wabot.journal.contact_list_and_search import Question
from wabot.journal.outbox_list import Query
from wabot.message_building import OneMessage
from wabot.web.answers import Refusal
from wabot.web.auth import ACCOUNTS
from wabot.web.request_account import account_of

FILES = ("image", "video", "audio", "document")
"""What a person can send by its link."""
LISTED, WAITING, SHOWN = 40, 100, 50
"""Contacts on a page, those who wait for a person above them, and messages of a talk on a page."""


async def page(request: web.Request) -> web.StreamResponse:
    """GET /console/conversations, and /console/conversations/{number}: the list, and one talk beside it."""
    account, number = account_of(request), request.match_info.get("number")
    values = await _list(account, request.query)
    if number is None:
        return rendering.page(request, "conversations.html", {**values, "contact": None, "open": False})
    talk = await _talk(account, identify(number), request)
    return rendering.page(request, "conversations.html", {**values, **talk, **await _writing(account, talk, request)})


async def list_fragment(request: web.Request) -> web.StreamResponse:
    """GET /console/conversations/list: the list alone."""
    values = await _list(account_of(request), request.query)
    return rendering.page(request, "contact_list.html", {**values, "selected": request.query.get("selected", "")})


async def talk_fragment(request: web.Request) -> web.StreamResponse:
    """GET /console/conversations/{number}/talk: the messages and the state of the contact."""
    account, identity = account_of(request), identify(request.match_info["number"])
    return rendering.page(request, "talk.html", await _talk(account, identity, request))


async def medium(request: web.Request) -> web.StreamResponse:
    """GET /console/conversations/{number}/media/{id}: a file that was kept."""
    account, identity = account_of(request), identify(request.match_info["number"])
    found = await account.journal.kept_file(identity, request.match_info["id"])
    if found is None:
        raise Refusal(404, "this file was not kept: see media.keep")
    response = web.FileResponse(found)
    if not response.content_type.startswith(("image/", "audio/", "video/")) or "svg" in response.content_type:
        response.headers["Content-Disposition"] = "attachment"  # what customers send is never a page of ours
    return response


async def write(request: web.Request) -> web.StreamResponse:
    """POST /console/conversations/{number}/write: a text, a file by its link, or a template if the window is closed."""
    account, number, form = account_of(request), request.match_info["number"], await request.post()
    takeover = "takeover" in form
    if "template" in form:
        chosen = await template_form.read(account, form)
        message = OneMessage(number, template_message(chosen, Origin.STAFF), {"template": chosen}, takeover=takeover)
    elif "link" in form:
        asked = _file(form)
        message = OneMessage(number, message_building.message(asked, None), {"message": asked}, takeover=takeover)
    else:
        text = str(form.get("text", "")).strip()
        reply_to = str(form.get("reply_to", "")) or None
        said = message_building.text(text, reply_to)
        message = OneMessage(number, said, {"text": text, "reply_to": reply_to}, quotes=reply_to, takeover=takeover)
    await account.service.send(replace(message, key=_key(form, message)))
    return _back(request, "sent_later" if account.lanes[Kind.SEND].paused else "sent")


def _key(form: Mapping[str, Any], message: OneMessage) -> str | None:
    """The same form with the same words is the same message: a second click sends nothing.

    Other words are another message: who goes back in the browser may get the old form again.
    """
    return f"console-{form['key']}-{message.fingerprint[:16]}" if form.get("key") else None


def _file(form: Mapping[str, Any]) -> dict[str, Any]:
    """Meta's message object of a file that lies in the web. Raises Refusal."""
    kind, link, caption = str(form.get("kind", "")), str(form["link"]).strip(), str(form.get("caption", "")).strip()
    if kind not in FILES or not link.startswith(("https://", "http://")):
        raise Refusal(422, "A file needs its kind and its address in the web, from which Meta fetches it.")
    return {"type": kind, kind: {"link": link, **({"caption": caption} if caption and kind != "audio" else {})}}


async def act(request: web.Request) -> web.StreamResponse:
    """POST /console/conversations/{number}/{verb}: pause, resume, opt-out, opt-in, forget."""
    act = _VERBS.get(request.match_info["verb"])
    if act is None:
        raise Refusal(404, "no such action")
    return await act(request, account_of(request), request.match_info["number"])


async def _pause(request: web.Request, account: Account, number: str) -> web.Response:
    await account.service.pause(number, 12, None)
    return _back(request, "paused")


async def _resume(request: web.Request, account: Account, number: str) -> web.Response:
    await account.service.resume(number)
    return _back(request, "resumed")


def _set_stop(*, stop: bool) -> Callable[[web.Request, Account, str], Awaitable[web.Response]]:
    async def act(request: web.Request, account: Account, number: str) -> web.Response:
        for bound in request.app[ACCOUNTS].sharing_opt_outs_with(account):
            await bound.service.set_stop(number, stop=stop)
        return _back(request, "stopped" if stop else "started")

    return act


async def _forget(request: web.Request, account: Account, number: str) -> web.Response:
    erased = await account.service.forget(number)
    done = "forgotten" if erased.archived is not None else "forgotten_later"
    return to("/console/conversations", request, done=done)


_VERBS: Mapping[str, Callable[[web.Request, Account, str], Awaitable[web.Response]]] = {
    "pause": _pause, "resume": _resume, "opt-out": _set_stop(stop=True), "opt-in": _set_stop(stop=False),
    "forget": _forget,
}  # fmt: skip


def _back(request: web.Request, done: str) -> web.Response:
    return to(f"/console/conversations/{request.match_info['number']}", request, done=done)


async def _list(account: Account, asked: Mapping[str, str]) -> dict[str, Any]:
    """The contacts: on the first page those who wait for a person come first, on each those nobody has answered."""
    search, waiting_only, cursor = asked.get("search", "")[:200], "waiting" in asked, asked.get("cursor")
    before = int(cursor) if cursor and cursor.lstrip("-").isdigit() else None
    found, onward = await account.service.contacts(Question(search, waiting_only, LISTED, before))
    first: Sequence[Mapping[str, Any]] = ()
    if before is None and not search and not waiting_only:
        first, _ = await account.service.contacts(Question(attention=True, limit=WAITING))
    known = {(each["number"], each["bsuid"]) for each in first}
    others = [each for each in found if (each["number"], each["bsuid"]) not in known]
    return {
        "now": account.service.now(),
        "search": search,
        "waiting_only": waiting_only,
        "contacts": [*first, *sorted(others, key=_was_answered)],
        "cursor": onward,
        "selected": "",
    }


async def _talk(account: Account, identity: str, request: web.Request) -> dict[str, Any]:
    """One contact with a page of the messages, oldest first, and the replies that are still to be made.

    `before`: the message after which the page begins.
    """
    contact = await account.service.contact(identity)
    if contact is None:
        raise Refusal(404, "nobody of this number is known")
    before = request.query.get("before") or None
    history = await account.service.history(identity, SHOWN, ("queued", "failed"), before=before)
    shown = [bubbles.bubble(message) for message in reversed(history.messages)]
    return {
        "now": account.service.now(),
        "contact": contact,
        "selected": identity,
        "bubbles": shown,
        "partial": history.partial,
        "before": before,
        "older": (shown[0].id or shown[0].outbox_id) if len(shown) == SHOWN else None,
        "owed": () if before else await account.service.outbox(Query(kind=Kind.REPLY, identity=identity, limit=1)),
        "window": contact["window_closes_at"],
    }


async def _writing(account: Account, talk: Mapping[str, Any], request: web.Request) -> dict[str, Any]:
    """What a person can write in a talk: Meta is asked for its templates where nothing else would be delivered.

    `reply_to`: the message that is going to be quoted.
    """
    templates = () if talk["window"] else await template_form.approved(account)
    template, fields = template_form.chosen(templates, request.query.get("template", ""))
    quoted = request.query.get("reply_to")
    return {
        "open": True,
        "key": secrets.token_urlsafe(16),
        "reply_to": next((one for one in talk["bubbles"] if one.id and one.id == quoted), None),
        "files": FILES,
        "templates": templates,
        "template": template,
        "fields": fields,
    }


def _was_answered(contact: Mapping[str, Any]) -> bool:
    last = contact["last_message"]
    return last is None or last["direction"] == "out"
