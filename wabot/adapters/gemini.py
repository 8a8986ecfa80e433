"""Google's Gemini through the google-generativeai package.

Importing this module costs half a second and 64 MB, so it is imported only if Gemini is configured.
https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wabot.core.conversation import Prompt, Role
from wabot.core.exceptions import AssistantFailed
from wabot.core.media import Medium
from wabot.core.model_answers import ModelAnswer, read_arguments, token_count
from wabot.core.remedies import words_of_model
from wabot.core.tools import NO_TOOLS, Call, Round, Tool, ToolUse, gemini_schema

with warnings.catch_warnings():
    # At every start the package warns of its own end of life, and its parts warn of that of the Python version.
    warnings.simplefilter("ignore")
    from google.ai.generativelanguage import GenerativeServiceClient
    from google.api_core.client_options import ClientOptions
    from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.generativeai.generative_models import GenerativeModel
    from google.generativeai.types import RequestOptions
    from google.protobuf.json_format import ParseError

_ROLES = {Role.USER: "user", Role.ASSISTANT: "model"}
_OPENING = "(The business began this conversation.)"
_CUT_SHORT = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"})
"""Finish reasons after which the text, if any, must not be used."""


class Gemini:
    """Calls Gemini over REST, in at most `threads` threads: the package's asyncio client supports gRPC only.

    `base_url` (scheme and host, with a path if need be) replaces Google's own endpoint.
    """

    def __init__(
        self, *, api_key: str, model: str, base_url: str = "", timeout_seconds: float, threads: int = 8
    ) -> None:
        self._client = _client(api_key, base_url.rstrip("/"))
        self._model = model
        self._seconds = timeout_seconds
        # No retries here: the job decides about them. This timeout only frees the thread, since it counts time without
        # data; the timeout in `answer` counts everything and should end first.
        self._options = RequestOptions(timeout=timeout_seconds + 1, retry=None)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="gemini")

    async def answer(self, prompt: Prompt, use: ToolUse = NO_TOOLS) -> ModelAnswer:
        """The model's answer. Raises AssistantFailed, which never quotes the key or the prompt."""
        loop = asyncio.get_running_loop()
        try:
            # The wait for a free thread counts too; a request that has not begun by then is not made.
            async with asyncio.timeout(self._seconds):
                response = await loop.run_in_executor(self._threads, self._ask, prompt, use)
        except TimeoutError:
            raise AssistantFailed(f"no answer within {self._seconds:g} s") from None
        used = response.usage_metadata
        written = used.total_token_count - used.prompt_token_count  # with the thoughts, which are charged too
        tokens = token_count(used.prompt_token_count), token_count(written)
        if use.may_call and (calls := _calls(response)):
            return ModelAnswer("", *tokens, calls, said=response.candidates[0].content)
        try:
            return ModelAnswer(_text(response), *tokens)
        except AssistantFailed as failure:
            failure.tokens = tokens
            raise

    async def close(self) -> None:
        """Close the connections; threads that wait for an answer end with their timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.transport.close()

    def _ask(self, prompt: Prompt, use: ToolUse) -> Any:
        model = GenerativeModel(self._model, system_instruction=prompt.system or None)
        # Otherwise the model would use the client that `genai.configure` keeps for the whole process, and all
        # instances would share one key and endpoint.
        model._client = self._client
        try:
            contents = [*_contents(prompt), *(content for done in use.rounds for content in _round(done))]
            return model.generate_content(contents, **_tools(use), request_options=self._options)
        except GoogleAPICallError as error:
            if not error.code:
                raise AssistantFailed(type(error).__name__) from None
            raise AssistantFailed(words_of_model(int(error.code), error.message, prompt), int(error.code)) from None
        except (ParseError, UnicodeDecodeError):
            raise AssistantFailed("the answer is not JSON") from None
        except (OSError, GoogleAuthError, GoogleAPIError) as error:  # `requests` raises OSError
            raise AssistantFailed(f"no connection ({type(error).__name__})") from error


def _client(api_key: str, base_url: str) -> Any:
    """A client over HTTP. Without a key it uses no credentials (the default would search the machine for some)."""
    options = ClientOptions(api_endpoint=base_url or None, api_key=api_key or None)
    credentials = None if api_key else AnonymousCredentials()  # type: ignore[no-untyped-call]
    return GenerativeServiceClient(transport="rest", client_options=options, credentials=credentials)


def _contents(prompt: Prompt) -> list[dict[str, Any]]:
    """The turns in Gemini's format, in which the first one must be the user's."""
    contents = [{"role": _ROLES[turn.role], "parts": [turn.text, *map(_blob, turn.media)]} for turn in prompt.turns]
    if prompt.turns[0].role is Role.ASSISTANT:
        contents.insert(0, {"role": "user", "parts": [_OPENING]})
    return contents


def _blob(medium: Medium) -> dict[str, Any]:
    return {"inline_data": {"mime_type": medium.mime_type, "data": medium.content}}


def _tools(use: ToolUse) -> dict[str, Any]:
    if not use.tools:
        return {}
    functions = [{"name": tool.name, "description": tool.description, **_parameters(tool)} for tool in use.tools]
    mode = "AUTO" if use.may_call else "NONE"
    return {
        "tools": [{"function_declarations": functions}],
        "tool_config": {"function_calling_config": {"mode": mode}},
    }


def _parameters(tool: Tool) -> dict[str, Any]:
    """The parameters of a tool; Gemini refuses an object without properties."""
    schema = gemini_schema(tool.parameters)
    return {"parameters": schema} if schema.get("properties") else {}


def _round(done: Round) -> list[Any]:
    """The model's content with its calls, as it came, and one with their results."""
    results = [
        {"function_response": {"name": call.name, "response": {"error" if result.failed else "result": result.text}}}
        for call, result in zip(done.calls, done.results, strict=True)
    ]
    return [done.said, {"role": "user", "parts": results}]


def _calls(response: Any) -> tuple[Call, ...]:
    """The calls of tools in a response."""
    parts = response.candidates[0].content.parts if response.candidates else ()
    calls = [part.function_call for part in parts if part.function_call]
    return tuple(Call(str(index), call.name, _arguments(call)) for index, call in enumerate(calls))


def _arguments(call: Any) -> Mapping[str, Any] | None:
    """The arguments as JSON has them: protobuf turns all numbers into fractions."""
    return read_arguments(json.dumps(_whole(type(call).to_dict(call).get("args") or {})))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(response: Any) -> str:
    """The model's text. Raises AssistantFailed with the reason if there is none."""
    if not response.candidates:
        raise AssistantFailed(f"blocked ({response.prompt_feedback.block_reason.name})")
    candidate = response.candidates[0]
    reason = candidate.finish_reason.name
    if reason in _CUT_SHORT:
        raise AssistantFailed(f"blocked ({reason})")
    if said := "".join(part.text for part in candidate.content.parts).strip():
        return said
    raise AssistantFailed(f"empty answer ({reason})")
