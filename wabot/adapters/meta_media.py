"""Looks up and downloads media at Meta, with the access token, and from Meta's own hosts only.

https://developers.facebook.com/documentation/business-messaging/whatsapp/business-phone-numbers/media
"""

from __future__ import annotations

import json
from http import HTTPStatus

import aiohttp
from yarl import URL

from wabot.adapters.bounded_answer import read_bounded
from wabot.core.exceptions import MediumMissing, Missing
from wabot.core.json_values import dict_of, text_of
from wabot.core.media import Medium
from wabot.work.attachments import Located

LOOK_UP_SECONDS, DOWNLOAD_SECONDS = 10.0, 20.0
LARGEST_ANSWER = 64 * 1024

HOSTS = ("fbsbx.com", "fbcdn.net", "facebook.com", "whatsapp.net", "whatsapp.com")
"""The domains at which Meta keeps media: `lookaside.fbsbx.com`, `scontent.….fbcdn.net`, `mmg.whatsapp.net`."""


class MetaMedia:
    """The media of one business number. The caller closes the session."""

    def __init__(
        self, session: aiohttp.ClientSession, *, graph_api_base: str, phone_number_id: str, access_token: str
    ) -> None:
        self._session, self._base, self._number = session, URL(graph_api_base), phone_number_id
        self._headers = {"Authorization": f"Bearer {access_token}"}

    async def look_up(self, medium: Medium) -> Located:
        """Where a medium can be downloaded now. Raises MediumMissing."""
        url = (self._base / medium.id).with_query(phone_number_id=self._number)
        answer = await self._get(url, LARGEST_ANSWER, LOOK_UP_SECONDS)
        try:
            found = dict_of(json.loads(answer))
        except (ValueError, RecursionError):
            found = {}
        size = found.get("file_size")
        if not (address := text_of(found.get("url"))):
            raise MediumMissing("Meta does not say where it is")
        known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        return Located(address, size if known else None, text_of(found.get("sha256")))

    async def download(self, located: Located, largest: int) -> bytes:
        """The content, of at most `largest` bytes. Raises MediumMissing."""
        try:
            url = URL(located.url)
        except ValueError:
            raise MediumMissing("its address is none") from None
        if not self._is_metas(url):
            raise MediumMissing("its address is not Meta's")
        return await self._get(url, largest, DOWNLOAD_SECONDS)

    def _is_metas(self, url: URL) -> bool:
        """Whether the token may be sent there."""
        if (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port):
            return True
        host = (url.host or "").rstrip(".")
        ours = any(host == domain or host.endswith(f".{domain}") for domain in HOSTS)
        return ours and url.scheme == "https" and url.port == 443 and url.user is None

    async def _get(self, url: URL, largest: int, seconds: float) -> bytes:
        try:
            async with self._session.get(
                url, headers=self._headers, timeout=aiohttp.ClientTimeout(total=seconds), allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise MediumMissing(f"Meta answered HTTP {response.status}", _by_status(response.status))
                content = await read_bounded(response.content, largest)
                if len(content) > largest:
                    raise MediumMissing(f"it has more than {largest} bytes")
                return content
        except TimeoutError:
            raise MediumMissing(f"no answer within {seconds:g} s", Missing.LATER) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise MediumMissing(f"no connection ({type(error).__name__})", Missing.OUTAGE) from error


def _by_status(status: int) -> Missing:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Missing.OUTAGE
    return Missing.LATER if status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS else Missing.GONE
