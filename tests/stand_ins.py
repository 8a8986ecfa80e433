"""Stand-ins for model endpoints, over real sockets: told how to behave, they record what they are asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from multidict import CIMultiDict


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that arrived."""

    path: str
    headers: CIMultiDict[str]
    json: Any


@dataclass
class ModelStandIn:
    """How the endpoint behaves from now on, and what it was asked so far.

    `text` is what the model says ("" is an empty answer). `payload`, if given, is answered as it stands instead
    of the usual shape. `delay` is in seconds; `cut` drops the connection in the middle of the answer; `status`
    other than 200 gives an error for `reason`, or one that quotes the request, as careless endpoints do. `calls`:
    before it says its text, it calls tools in rounds, each a list of (name, arguments).
    """

    text: str = "Hello from the model"
    delay: float = 0.0
    status: int = 200
    reason: str = ""
    payload: bytes | dict[str, Any] | None = None
    cut: bool = False
    refuses_media: bool = False
    calls: list[list[tuple[str, Any]]] = field(default_factory=list)
    input_tokens: int = 120
    output_tokens: int = 7
    asked: list[Asked] = field(default_factory=list)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        """The endpoint itself, for `aiohttp_server`."""
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        app.on_shutdown.append(self._release)
        return app

    def shape(self, text: str) -> dict[str, Any]:
        """`text` as this kind of endpoint answers it."""
        raise NotImplementedError

    def shape_of_calls(self, calls: list[tuple[str, Any]]) -> dict[str, Any]:
        """Calls of tools, (name, arguments), as this kind of endpoint makes them."""
        raise NotImplementedError

    def results(self) -> list[str]:
        """The results of tools in the last request, as texts."""
        raise NotImplementedError

    async def _release(self, _: web.Application) -> None:
        """Nobody waits for a slow answer when the test is over."""
        self._released.set()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.path, CIMultiDict(request.headers), await request.json()))
        if self.delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), self.delay)
        if self.cut:
            return await self._cut(request)
        if self.refuses_media and any(mark in body for mark in (b"input_audio", b"image_url", b"inlineData")):
            refusal = {"error": {"code": 400, "message": "this model takes text only", "status": "INVALID_ARGUMENT"}}
            return web.json_response(refusal, status=400)
        if self.status != 200:
            headers = {"Location": "/elsewhere"} if self.status in (301, 302, 307, 308) else None
            reason = self.reason or f"{body.decode()} {dict(request.headers)}"
            error = {"error": {"code": self.status, "message": reason, "status": "ERROR"}}
            return web.json_response(error, status=self.status, headers=headers)
        if isinstance(self.payload, bytes):
            return web.Response(body=self.payload, content_type="application/json")
        if self.calls and self.payload is None:
            return web.json_response(self.shape_of_calls(self.calls.pop(0)))
        return web.json_response(self.shape(self.text) if self.payload is None else self.payload)

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"choi')
        assert request.transport is not None
        request.transport.close()
        return response


class OpenAIStandIn(ModelStandIn):
    """`POST …/chat/completions`."""

    def shape(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": self.input_tokens, "completion_tokens": self.output_tokens}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"object": "chat.completion", "choices": choices, "usage": usage}

    def shape_of_calls(self, calls: list[tuple[str, Any]]) -> dict[str, Any]:
        called = [
            {
                "id": f"call_{index}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for index, (name, arguments) in enumerate(calls)
        ]
        message = {"role": "assistant", "content": None, "tool_calls": called}
        usage = {"prompt_tokens": self.input_tokens, "completion_tokens": self.output_tokens}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage}

    def results(self) -> list[str]:
        return [message["content"] for message in self.asked[-1].json["messages"] if message["role"] == "tool"]


class GeminiStandIn(ModelStandIn):
    """`POST …/v1beta/models/{model}:generateContent`."""

    def shape(self, text: str) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": text}] if text else []}
        usage = {
            "promptTokenCount": self.input_tokens, "candidatesTokenCount": self.output_tokens - 2,
            "thoughtsTokenCount": 2, "totalTokenCount": self.input_tokens + self.output_tokens,
        }  # fmt: skip
        return {"candidates": [{"index": 0, "content": content, "finishReason": "STOP"}], "usageMetadata": usage}

    def shape_of_calls(self, calls: list[tuple[str, Any]]) -> dict[str, Any]:
        parts = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
        return {"candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}

    def results(self) -> list[str]:
        responses = [
            part["functionResponse"]["response"]
            for content in self.asked[-1].json["contents"]
            for part in content["parts"]
            if "functionResponse" in part
        ]
        return [found["result"] if "result" in found else f"Error: {found['error']}" for found in responses]
