"""Questions to Meta's Graph API: about token, number, account and templates. It sends no messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from wabot.adapters.bounded_answer import read_bounded
from wabot.core.exceptions import WabotError

SECONDS = 10.0
ANSWER_LIMIT = 4 << 20


class Unreachable(WabotError):
    """There is no answer, or it is not Graph's JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of Graph. `data`: the JSON object; `error`: its error, or None; `date`: its time in Unix seconds."""

    data: Mapping[str, Any]
    error: Mapping[str, Any] | None
    date: float | None


class GraphApi:
    """Graph, called with one token. The caller closes the session."""

    def __init__(self, session: aiohttp.ClientSession, *, base: str, access_token: str) -> None:
        self._session, self._base, self._token = session, base, access_token
        self._timeout = aiohttp.ClientTimeout(total=SECONDS)

    async def get(self, path: str, *, token: str = "", **params: str) -> Answer:
        """`GET {base}/{path}`, with our own token unless another is given. Raises Unreachable."""
        return await self._ask("GET", path, params, token)

    async def post(self, path: str, *, token: str = "", **params: str) -> Answer:
        """`POST {base}/{path}`. Raises Unreachable."""
        return await self._ask("POST", path, params, token)

    async def _ask(self, method: str, path: str, params: Mapping[str, str], token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token or self._token}"}
        try:
            async with self._session.request(
                method,
                f"{self._base}/{path}",
                params=params,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,  # the token goes to the configured host only
            ) as response:
                body = await read_bounded(response.content, ANSWER_LIMIT)
                # What is longer is no JSON then.
                data, date = json.loads(body[:ANSWER_LIMIT]), _seconds(response.headers.get("Date"))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"Meta cannot be reached ({type(error).__name__})") from error
        except (ValueError, RecursionError) as error:
            raise Unreachable("what answers there is not Meta's Graph API") from error
        if not isinstance(data, dict):
            raise Unreachable("what answers there is not Meta's Graph API")
        error_ = data.get("error")
        return Answer(data, error_ if isinstance(error_, dict) else None, date)


def _seconds(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
