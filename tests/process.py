"""`python run.py` as its users run it: a process of its own, between a stand-in for Meta and whatever else there is.

`async with world(tmp_path) as w:` serves the stand-in; `await w.start()` starts wabot on the world's one data
directory, as often as the test likes. On the way out everything is ended, and whatever a process wrote that a user
should never see (an error, a traceback, a warning of Python's) fails the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from tests.business import KEY, SECTIONS
from wabot.core.messages import Receipt
from wabot.sandbox import payloads
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.ledger import Sent
from wabot.sandbox.meta import Meta, serve

ROOT = Path(__file__).resolve().parents[1]
BESIDE_OTHERS = 2 if "PYTEST_XDIST_WORKER" in os.environ else 1
"""By how much a limit on CPU time is wider where other tests share cores and caches; alone (`-n0`) it is 1."""

RUN = ROOT / "run.py"
PATIENCE = 20.0
"""Seconds to wait for what takes a fraction of one on an idle machine."""

UNSEEMLY = re.compile(r"Traceback|\w+Warning\b|never (?:awaited|retrieved)")

Line = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any setting of wabot's that somebody has in theirs.

    What makes each of the hundreds of starts longer is left out as well: that nothing compiled may be kept, and the
    certificates of the world, of which aiohttp reads all when it is imported, and to which no test speaks.
    """
    flat = "PORT ACCESS_TOKEN PHONE_NUMBER_ID BUSINESS_ACCOUNT_ID VERIFY_TOKEN APP_SECRET GRAPH_API_BASE"
    ours = {*flat.split(), "GOOGLE_API_KEY", "MONGO_URI", "DATABASE_NAME", "COLLECTION_NAME"}
    ours.add("PYTHONDONTWRITEBYTECODE")
    kept = {name: text for name, text in os.environ.items() if name not in ours and not name.startswith("WABOT_")}
    return kept | {"PYTHONUNBUFFERED": "1", "SSL_CERT_FILE": os.devnull} | more


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def toml(table: Mapping[str, Mapping[str, Any]]) -> str:
    """A configuration file; of all values only those whose JSON is TOML too."""
    lines = []
    for section, values in table.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value, default=str)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


@dataclass
class Process:
    """A started process. `lines`: its log; `said`: everything it wrote, as it came; `url`: where it listens."""

    child: asyncio.subprocess.Process
    spawned_at: float
    url: str = ""
    lines: list[Line] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def spawn(
        cls, arguments: Sequence[str | Path], *, cwd: Path, clock: Callable[[], float], **env: str
    ) -> Process:
        """Start it; nothing is waited for."""
        spawned_at = clock()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, arguments),
            cwd=cwd,
            env=environment(**env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        process = cls(child, spawned_at)
        process._readers = [asyncio.create_task(process._read(stream)) for stream in (child.stdout, child.stderr)]
        return process

    @property
    def pid(self) -> int:
        return self.child.pid

    def events(self, name: str) -> list[Line]:
        """The lines of the log that tell of `name`."""
        return [line for line in self.lines if line.get("event") == name]

    async def until(self, predicate: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until `predicate` holds, asked after every line."""
        async with asyncio.timeout(timeout):
            while not predicate():
                if all(reader.done() for reader in self._readers):
                    raise AssertionError(f"it ended ({await self.child.wait()}):\n" + "".join(self.said[-30:]))
                self._news.clear()
                await self._news.wait()

    async def event(self, name: str, timeout: float = PATIENCE) -> Line:
        """The first line that tells of `name`, once it is there."""
        await self.until(lambda: bool(self.events(name)), timeout)
        return self.events(name)[0]

    async def event_text(self, name: str, timeout: float = PATIENCE) -> None:
        """Wait until a line mentions `name`, where the log is written for people."""
        await self.until(lambda: any(name in text for text in self.said), timeout)

    async def started(self) -> None:
        """Wait until it listens."""
        self.url = (await self.event("wabot.started"))["url"]

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is flushed."""
        if self.child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.child.kill()
        await self.ended()

    async def stop(self, timeout: float = 12.0) -> int:
        """SIGTERM; its exit status."""
        self.child.terminate()
        return await self.ended(timeout)

    async def ended(self, timeout: float = PATIENCE) -> int:
        """Wait for its end; its exit status."""
        async with asyncio.timeout(timeout):
            await asyncio.gather(*self._readers)
            return await self.child.wait()

    @property
    def complaints(self) -> list[str]:
        """What no user should have to read."""
        bad = [json.dumps(line) for line in self.lines if line.get("level") in ("error", "critical")]
        return bad + [text for text in self.said if UNSEEMLY.search(text)]

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while raw := await stream.readline():
            text = raw.decode(errors="replace")
            self.said.append(text)
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if isinstance(line, dict):
                    self.lines.append(line)
            self._news.set()
        self._news.set()


@dataclass
class World:
    """Everything around wabot: Meta, the data directory, the settings, and the processes so far."""

    meta: Meta
    place: Path
    sections: dict[str, dict[str, Any]]
    client: ClientSession
    processes: list[Process] = field(default_factory=list)
    runner: web.AppRunner | None = None
    meta_port: int = 0

    @property
    def wabot(self) -> Process:
        """The process that was started last."""
        return self.processes[-1]

    @property
    def config(self) -> Path:
        return self.place / "config.toml"

    @property
    def journal(self) -> Path:
        return self.place / "data" / "wabot.db"

    async def open_meta(self) -> None:
        """Meta can be reached, always at the same address."""
        self.runner, url = await serve(self.meta, port=self.meta_port)
        self.meta_port = int(url.rpartition(":")[2])

    async def close_meta(self) -> None:
        """Meta cannot be reached: connections are refused."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def spawn(
        self, *, launcher: Sequence[str | Path] = (RUN,), arguments: Sequence[str] = (), **env: str
    ) -> Process:
        """Start wabot; it is not yet there when this returns."""
        whatsapp = {"graph_api_base": f"http://127.0.0.1:{self.meta_port}/v26.0", **self.sections["whatsapp"]}
        self.config.write_text(toml({**self.sections, "whatsapp": whatsapp}), "utf-8")
        self.config.chmod(0o600)
        command = [*launcher, "--config", self.config, *arguments]
        process = await Process.spawn(command, cwd=self.place, clock=self.meta._clock, **env)
        self.processes.append(process)
        return process

    async def start(self, **options: Any) -> Process:
        """Start wabot and wait until it listens; Meta knows its address from then on."""
        process = await self.spawn(**options)
        await process.started()
        self.meta.webhook_url = f"{process.url}/webhook"
        return process

    async def restart(self, **options: Any) -> Process:
        """SIGTERM, and again."""
        assert await self.wabot.stop() == 0
        return await self.start(**options)

    async def get(self, path: str, **query: Any) -> Any:
        """A question to wabot: the JSON that it answers 200 with."""
        async with self.client.get(f"{self.wabot.url}{path}", params=query) as response:
            assert response.status == 200, (response.status, await response.text())
            return await response.json()

    async def post(self, path: str, value: Any, **headers: str) -> tuple[int, Any]:
        """(HTTP status, JSON)"""
        async with self.client.post(f"{self.wabot.url}{path}", json=value, headers=headers) as response:
            return response.status, await response.json()

    async def said_with(self, number: str, **more: Any) -> list[dict[str, Any]]:
        """What `/get` tells of somebody, oldest first."""
        status, answer = await self.post("/get", {"number": number, **more})
        assert status == 200, answer
        return list(reversed(answer["messages"]))

    async def tell(self, sent: Sent, status: str = "delivered", *, code: int | None = None) -> int:
        """Meta tells the receipt of a send, by hand; the HTTP status that came back."""
        receipt = payloads.receipt(
            sent.wamid, status, self.meta._clock(), wa_id=sent.to, user_id=None, tag=sent.tag, code=code
        )
        return (await self.meta.deliver(self.meta.envelope(statuses=[receipt])))[0]

    def texts(self, number: str | None = None) -> list[str]:
        """What Meta accepted, of texts the text and of templates `[name]`, in the order it came."""
        return [readable(sent) for sent in self.meta.sent if number in (None, sent.to)]

    def told(self, number: str, status: str) -> list[Receipt]:
        """The receipts of a kind that wabot took."""
        return [r for r in self.meta.told if r.person and r.person.wa_id == number and r.status == status]


def readable(sent: Sent) -> str:
    """What a person sees of a message."""
    if sent.type == "template":
        return f"[{sent.payload['template']['name']}]"
    return str(sent.payload[sent.type].get("body"))


@contextlib.asynccontextmanager
async def world(
    place: Path, *, meta: Meta | None = None, tolerate_errors: bool = False, **sections: Mapping[str, Any]
) -> AsyncIterator[World]:
    """A world whose settings are those of a test (tests/business.py) with `sections` over them, key by key."""
    place.mkdir(parents=True, exist_ok=True)
    table = {name: dict(values) for name, values in SECTIONS.items()}
    table["server"]["data_dir"] = place / "data"
    table["log"] = {"format": "json"}
    for name, values in sections.items():
        table[name] = {**table.get(name, {}), **values}
    quiet = table["assistant"]
    quiet["quiet_max_seconds"] = max(quiet["quiet_max_seconds"], quiet["quiet_seconds"])
    meta = meta or Meta(behaviour=Behaviour(by_number=False), receipt_delay=0.0)
    async with ClientSession(headers={"X-API-Key": KEY}) as client:
        world = World(meta, place, table, client)
        await world.open_meta()
        try:
            yield world
            for process in world.processes:
                await process.kill()
                assert tolerate_errors or process.complaints == []
        finally:
            for process in world.processes:
                await process.kill()
            await world.close_meta()


@contextlib.asynccontextmanager
async def served(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """An application on a socket: its address."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def eventually(predicate: Callable[[], Any], timeout: float = PATIENCE, what: str = "") -> None:
    """Wait until `predicate`, which may be a coroutine function, holds: for what tells nobody when it changes."""
    async with asyncio.timeout(timeout):
        while True:
            holds = predicate()
            if await holds if asyncio.iscoroutine(holds) else holds:
                return
            await asyncio.sleep(0.02)
