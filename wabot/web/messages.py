"""One message to one person: queue it, and wait for its outcome as long as the caller wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from wabot import message_building
from wabot.core.outgoing import Origin, template_message
from wabot.journal.single_messages import Reason
from wabot.message_building import NotSendable, OneMessage
from wabot.web.answers import Refusal
from wabot.web.request_account import answer, service_of
from wabot.web.request_bodies import API_LIMIT, parse, validate
from wabot.web.request_log import LINE
from wabot.web.request_models import SendMessage
from wabot.web.request_preferences import headers_of, idempotency_key, preferred_wait


async def send(request: web.Request) -> web.Response:
    """POST /messages: queue one message to one person, then wait for its outcome."""
    try:
        asked = await parse(request, _asked, API_LIMIT)
        wait, preference = preferred_wait(request)
        service = service_of(request)
        single_id, known = await service.send(replace(asked, key=idempotency_key(request)))
    except NotSendable as error:
        reason = {"field": error.field, "message": str(error), "reason": str(error.reason)}
        raise Refusal(422, str(error), details=[reason]) from None
    if wait > 0:
        await service.wait(single_id, wait)
    line = await service.sent(single_id)
    outbox_id = line.get("outbox_id")  # none if the person was forgotten since
    request[LINE] = {"outbox_id": outbox_id}
    headers = headers_of(request, outbox_id and f"/outbox/{outbox_id}", preference, replayed=known)
    accepted = line["status"] == "queued" or preference == "respond-async"
    return answer(request, line, status=202 if accepted else 200, headers=headers)


def _asked(body: Mapping[str, Any]) -> OneMessage:
    """The message that a body asks for. Raises Refusal, NotSendable."""
    asked = _validated(body)
    if asked.text is not None:
        outgoing = message_building.text(asked.text, asked.reply_to)
    elif asked.template is not None:
        outgoing = template_message(asked.template.model_dump(), Origin.STAFF, asked.reply_to)
    else:
        outgoing = message_building.message(asked.message or {}, asked.reply_to)
    return OneMessage(asked.number, outgoing, body, quotes=asked.reply_to, takeover=asked.takeover)


def _validated(body: Mapping[str, Any]) -> SendMessage:
    """A request whose fields are not valid is one for which there is no message."""
    try:
        return validate(SendMessage, body)
    except Refusal as refusal:
        of = {True: Reason.INVALID_NUMBER, False: Reason.INVALID_MESSAGE}
        refusal.details = [{**each, "reason": str(of[each["field"] == "number"])} for each in refusal.details]
        raise


ROUTES = [web.post("/messages", send)]
