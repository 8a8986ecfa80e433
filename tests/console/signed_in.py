"""A browser's part, without a browser: a session that keeps cookies, and forms as pages have them."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlencode

from aiohttp import ClientSession, CookieJar

from tests.business import KEY, Business

_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the console."""

    status: int
    path: str
    html: str
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """What one reads, without tags."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.html)).split())


class Visitor:
    """Somebody with a browser."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def get(self, path: str, **request: object) -> Page:
        async with self.session.get(path, **request) as answer:  # type: ignore[arg-type]
            return Page(answer.status, answer.url.path, await answer.text(), answer.headers)

    async def post(
        self,
        path: str,
        values: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Send a form with the token of this session."""
        token = _TOKEN.search((await self.get("/console")).html)
        form = urlencode({"form_token": token[1] if token else "", **(values or {})}, doseq=True).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        async with self.session.post(path, data=io.BytesIO(form), headers=headers) as answer:
            return Page(answer.status, answer.url.path, await answer.text(), answer.headers)

    async def sign_in(self, key: str, onward: str = "") -> Page:
        async with self.session.post("/console/sign-in", data={"key": key, "next": onward}) as answer:
            return Page(answer.status, answer.url.path, await answer.text(), answer.headers)


@asynccontextmanager
async def visitor(b: Business, key: str | None = KEY) -> AsyncIterator[Visitor]:
    """Somebody at wabot's console, signed in with a key; None: not yet."""
    async with ClientSession(b.url, cookie_jar=CookieJar(unsafe=True)) as session:
        found = Visitor(session)
        if key is not None:
            assert (await found.sign_in(key)).status == 200
        yield found
