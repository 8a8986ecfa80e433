"""Posts to the owner's own programs, signed as the Standard Webhooks convention says."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from wabot.adapters.bounded_answer import read_bounded
from wabot.core.exceptions import WabotError
from wabot.core.standard_webhooks import signed_headers


class NoAnswer(WabotError):
    """There is no answer, or none of acceptable size; the text says why, and nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class Posted:
    """An answer: its HTTP status, and its body, up to the limit that was given."""

    status: int
    body: bytes


class SignedPost:
    """The owner's programs, over one client session. The caller closes it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(
        self, url: str, secret: str, body: bytes, *, id_: str, timestamp: int, seconds: float, limit: int
    ) -> Posted:
        """POST JSON, and read at most `limit` bytes of the answer within `seconds`. Raises NoAnswer.

        Redirects are not followed: their target is in no setting.
        """
        headers = {"Content-Type": "application/json", **signed_headers(secret, id_, timestamp, body)}
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=aiohttp.ClientTimeout(total=seconds), allow_redirects=False
            ) as response:
                answer = await read_bounded(response.content, limit)
                if len(answer) > limit:
                    raise NoAnswer("the answer is too large")
                return Posted(response.status, answer)
        except TimeoutError:
            raise NoAnswer(f"no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise NoAnswer(f"no connection ({type(error).__name__})") from error
