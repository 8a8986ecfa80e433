"""A stand-in for a model behind an OpenAI-compatible endpoint: the canned answers, as slow or broken as one likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from wabot.adapters.canned import Canned
from wabot.core.complaint import parts, text_of
from wabot.core.conversation import Prompt, Role, Turn
from wabot.sandbox.phone.trouble import Trouble

PATH = "/model"
NAME = "canned"
SLOW_SECONDS = 8.0


def route(trouble: Trouble) -> web.RouteDef:
    """POST /model/chat/completions."""
    return web.post(f"{PATH}/chat/completions", _answering(trouble))


def _answering(trouble: Trouble) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        said = parts(json.loads(await request.read()), "messages")
        if trouble.model == "fails":
            return web.json_response({"error": {"message": "The model is overloaded."}}, status=503)
        if trouble.model == "refuses the key":
            return web.json_response({"error": {"message": "Incorrect API key provided."}}, status=401)
        if trouble.model == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        turns = [
            Turn(Role.USER if each.get("role") == "user" else Role.ASSISTANT, _text(each))
            for each in said
            if each.get("role") != "system"
        ]
        found = await Canned().answer(Prompt("", tuple(turns or [Turn(Role.USER, "")])))
        message = {"role": "assistant", "content": found.text}
        return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    return answer


def _text(message: Mapping[str, object]) -> str:
    """The text of a message, which may come in parts beside pictures."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(filter(None, (text_of(each, "text") for each in parts(message, "content"))))
