"""The owner's tools: HTTP endpoints that a model may call while it makes an answer."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wabot.adapters.signed_post import NoAnswer, SignedPost
from wabot.core.exceptions import InvalidInput
from wabot.core.messages import Contact
from wabot.core.tools import Call, Result, Tool
from wabot.core.whatsapp_text import sendable
from wabot.json_schema import Schema

LARGEST_ANSWER = 64 * 1024
"""Bytes of a tool's answer; a larger one is refused."""
LONGEST_RESULT = 16_000
"""Characters of it that the model sees."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A tool and its address. `seconds`: how long a call may take."""

    tool: Tool
    url: str
    secret: str
    seconds: float


class OwnerTools:
    """Calls the endpoints. `tools`: what the model is told of them."""

    def __init__(self, endpoints: Sequence[Endpoint], post: SignedPost, *, clock: Callable[[], float]) -> None:
        self.tools = tuple(endpoint.tool for endpoint in endpoints)
        self._post, self._clock = post, clock
        self._endpoints = {one.tool.name: (one, Schema(one.tool.parameters)) for one in endpoints}

    async def call(self, call: Call, contact: Contact) -> Result:
        """What the tool says; never raises. Arguments that do not fit its schema never reach it."""
        known = self._endpoints.get(call.name)
        if known is None:
            return Result(f"there is no tool of this name; there are {', '.join(self._endpoints)}", failed=True)
        endpoint, schema = known
        if call.arguments is None:
            return Result("the arguments are no JSON object", failed=True)
        who = {"number": contact.wa_id, "bsuid": contact.bsuid, "name": contact.name}
        try:
            schema.refuse(call.arguments)
            body = json.dumps({"arguments": call.arguments, "contact": who}, allow_nan=False)
        except InvalidInput as error:
            return Result(f"the arguments do not fit: {error}", failed=True, logged="the arguments do not fit")
        except (ValueError, RecursionError):
            return Result("the arguments are no JSON, or nested too deeply", failed=True)
        return await self._ask(endpoint, body.encode())

    async def _ask(self, endpoint: Endpoint, body: bytes) -> Result:
        try:
            answer = await self._post.post(
                endpoint.url,
                endpoint.secret,
                body,
                id_=f"tool_{secrets.token_hex(16)}",
                timestamp=int(self._clock()),
                seconds=endpoint.seconds,
                limit=LARGEST_ANSWER,
            )
        except NoAnswer as error:
            return Result(str(error), failed=True)
        if not 200 <= answer.status < 300:
            return Result(f"the tool answered HTTP {answer.status}", failed=True)
        text = sendable(answer.body.decode(errors="replace")).strip()
        return Result(text if len(text) <= LONGEST_RESULT else text[: LONGEST_RESULT - 1] + "…")
