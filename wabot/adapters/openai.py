"""A model behind any OpenAI-compatible endpoint: Ollama, vLLM, OpenRouter, OpenAI, Gemini's own.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from wabot.adapters.bounded_answer import read_bounded
from wabot.core.conversation import Prompt, Turn
from wabot.core.exceptions import AssistantFailed
from wabot.core.json_values import dict_of, text_of
from wabot.core.media import Medium
from wabot.core.model_answers import ModelAnswer, read_arguments, token_count
from wabot.core.remedies import words_of_model
from wabot.core.tools import NO_TOOLS, Call, Round, ToolUse

MAX_ANSWER_BYTES = 1024 * 1024
MAX_REASON_BYTES = 65_536


class OpenAI:
    """`POST {base_url}/chat/completions`. The caller closes the session."""

    def __init__(
        self, session: aiohttp.ClientSession, *, base_url: str, api_key: str, model: str, timeout_seconds: float
    ) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._model = model
        self._seconds = timeout_seconds

    async def answer(self, prompt: Prompt, use: ToolUse = NO_TOOLS) -> ModelAnswer:
        """The model's answer. Raises AssistantFailed, which never quotes the key or the prompt."""
        try:
            answer = await self._ask(prompt, use)
        except TimeoutError:
            raise AssistantFailed(f"no answer within {self._seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise AssistantFailed(f"no connection ({type(error).__name__})") from error
        return _read(answer)

    async def close(self) -> None:
        """Nothing to close: the session belongs to the caller."""

    def _body(self, prompt: Prompt, use: ToolUse) -> bytes:
        messages: list[Any] = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages += [{"role": turn.role.value, "content": _content(turn)} for turn in prompt.turns]
        for done in use.rounds:
            messages += _round(done)
        return json.dumps({"model": self._model, "messages": messages, "stream": False, **_tools(use)}).encode()

    async def _ask(self, prompt: Prompt, use: ToolUse) -> bytes:
        has_media = any(turn.media for turn in prompt.turns)  # megabytes are encoded in a thread
        body = await asyncio.to_thread(self._body, prompt, use) if has_media else self._body(prompt, use)
        async with self._session.post(
            self._url,
            data=io.BytesIO(body),
            headers={"Content-Type": "application/json", **self._headers},
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            allow_redirects=False,  # a redirect would send the conversation to a host that is not configured
        ) as response:
            if response.status != HTTPStatus.OK:
                said = await response.content.read(MAX_REASON_BYTES)
                raise AssistantFailed(words_of_model(response.status, _said(said), prompt), response.status)
            answer = await read_bounded(response.content, MAX_ANSWER_BYTES)
            if len(answer) > MAX_ANSWER_BYTES:
                raise AssistantFailed("the answer is too large")
            return answer


def _content(turn: Turn) -> Any:
    """The text of a turn; with media, a list of parts."""
    if not turn.media:
        return turn.text
    return [{"type": "text", "text": turn.text}, *map(_part_of, turn.media)]


def _part_of(medium: Medium) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages"""
    data = base64.b64encode(medium.content or b"").decode()
    if medium.sense == "audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": _FORMATS.get(medium.mime_type, "ogg")}}
    url = f"data:{medium.mime_type};base64,{data}"
    if medium.sense == "picture":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": medium.filename or "document.pdf", "file_data": url}}


_FORMATS = {
    "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/aac": "aac", "audio/amr": "amr",
    "audio/wav": "wav", "audio/x-wav": "wav",
}  # fmt: skip
"""OpenAI itself takes wav and mp3 only; others take what WhatsApp sends, which is Opus in Ogg."""


def _tools(use: ToolUse) -> dict[str, Any]:
    if not use.tools:
        return {}
    functions = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in use.tools
    ]
    return {
        "tools": [{"type": "function", "function": function} for function in functions],
        "tool_choice": "auto" if use.may_call else "none",
    }


def _round(done: Round) -> list[Any]:
    """The model's message with its calls, as it came, and a message for the result of each."""
    pairs = zip(done.calls, done.results, strict=True)
    results = [{"role": "tool", "tool_call_id": call.id, "content": result.for_model} for call, result in pairs]
    return [done.said, *results]


def _said(answer: bytes) -> object:
    """The endpoint's error message: `{"error": {"message": …}}`, the same in a list (Gemini), or `{"error": "…"}`."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    error = dict_of(found[0] if isinstance(found, list) and found else found).get("error")
    return dict_of(error).get("message", error)


def _read(answer: bytes) -> ModelAnswer:
    """A chat completion."""
    try:
        completion = json.loads(answer)
    except (ValueError, RecursionError):
        raise AssistantFailed("the answer is not JSON") from None
    usage = dict_of(dict_of(completion).get("usage"))
    tokens = token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens"))
    if calls := _calls(completion):
        return ModelAnswer("", *tokens, calls, said=completion["choices"][0]["message"])
    try:
        return ModelAnswer(_text(completion), *tokens)
    except AssistantFailed as failure:
        failure.tokens = tokens
        raise


def _calls(completion: Any) -> tuple[Call, ...]:
    """The calls of tools in a chat completion."""
    match completion:
        case {"choices": [{"message": {"tool_calls": [*calls]}}, *_]}:
            return tuple(_call(index, dict_of(call)) for index, call in enumerate(calls))
    return ()


def _call(index: int, call: Mapping[str, Any]) -> Call:
    function = dict_of(call.get("function"))
    arguments = function.get("arguments")
    found = arguments if isinstance(arguments, dict) else read_arguments(arguments)  # Ollama's own are an object
    return Call(text_of(call.get("id")) or str(index), text_of(function.get("name")), found)


def _text(completion: object) -> str:
    """The model's text."""
    match completion:
        case {"choices": [{"finish_reason": "content_filter"}, *_]}:
            raise AssistantFailed("blocked (content_filter)")
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            text = content
        case {"choices": [{"message": {"content": list(parts)}}, *_]}:
            text = "".join(_part(part) for part in parts)
        case _:
            raise AssistantFailed("no text in the answer")
    if said := _without_thoughts(text).strip():
        return said
    raise AssistantFailed("empty answer")


def _part(part: object) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
    return ""


def _without_thoughts(text: str) -> str:
    """`text` without the `<think>…</think>` parts that local reasoning models put before or between their texts.

    Some chat templates drop the opening tag. If the closing tag is missing, all that follows counts as thought.
    """
    said, *thoughts = text.split("<think>")
    return said.rpartition("</think>")[2] + "".join(rest.partition("</think>")[2] for rest in thoughts)
