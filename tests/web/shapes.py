"""What the contract says of every answer, and ways to look at it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any
from urllib.parse import urlsplit

from tests.business import EVA, Answer, Business
from wabot.web.answers import CODES


def refusal(answer: Answer, status: int) -> str:
    """The message of an error that has the one shape of all errors, and this status."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    error = answer.json["error"]
    assert list(error) == ["code", "message", "details"]
    assert error["code"] == CODES[status]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["details"], list)
    assert "Traceback" not in answer.body.decode()
    return str(error["message"])


def rows(b: Business, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the journal's file says, read from outside."""
    path = b.settings.server.data_dir / "wabot.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


async def queue(b: Business, *numbers: str) -> dict[str, Any]:
    """A batch, as far as it got without waiting for what Meta does not take."""
    wait = "respond-async" if EVA in numbers else "wait=5"
    answer = await b.post("/initiate-bulk", {"numbers": list(numbers)}, headers={"Prefer": wait})
    return dict(answer.json)


async def tried(b: Business, count: int = 1) -> None:
    """Wait until sends came back from Meta and wait for another try."""
    await b.meta.until(lambda meta: len(meta.attempts) >= count)
    while any(lane["state"] == "running" for lane in (await b.get("/outbox")).json["outbox"]):
        await asyncio.sleep(0.01)


async def idle(b: Business) -> bool:
    """Whether nobody's message is on its way."""
    replies, sends = [(await b.get("/outbox", params={"kind": kind})).json["outbox"] for kind in ("reply", "send")]
    return not replies and all(
        one["settled_at"] or one["state"] == "waiting" or one["due_at"] > time.time() for one in sends
    )


class Wire:
    """A bare connection, for what no decent client says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    async def say(self, text: str | bytes) -> None:
        """Send these very bytes; a server that hung up is no surprise here."""
        try:
            self._writer.write(text if isinstance(text, bytes) else text.encode("latin-1"))
            await self._writer.drain()
        except ConnectionError:
            pass

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next final answer on this connection; one to HEAD has no body."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers: Mapping[str, str] = {k.title(): v for k, _, v in (line.partition(": ") for line in head[1:]) if k}
            if head[0].split()[1] == "100":
                return await self.answer(head_only=head_only)
            body = await self.reader.readexactly(0 if head_only else int(headers.get("Content-Length", 0)))
        is_json = headers.get("Content-Type", "").startswith("application/json")
        return Answer(int(head[0].split()[1]), headers, body, json.loads(body) if is_json and body else None)

    async def ended(self) -> bool:
        """Wait for the server to hang up."""
        async with asyncio.timeout(10):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return True

    def hang_up(self) -> None:
        """Close at once."""
        self._writer.transport.abort()


@asynccontextmanager
async def wire(b: Business) -> AsyncIterator[Wire]:
    """A bare connection to wabot."""
    address = urlsplit(b.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
