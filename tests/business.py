"""The whole of wabot at work for a test: the real service with its journal, on sockets, and a stand-in for Meta.

`async with business(tmp_path) as b:` is a started wabot; leaving it is a clean stop. Start it again with the same
directory and `meta=b.meta` to see what a restart makes of it. Sections of the settings are keyword arguments:
`business(tmp_path, server={"retention_days": 1}, assistant={"quiet_seconds": 0.2})`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from wabot.assembly import start_and_stop
from wabot.journal.journal import Journal
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta, serve
from wabot.settings.loading import Settings

ANA, BEN, EVA = "919216598210", "919876543210", "491711234567"
"""Numbers that the stand-in accepts without further ado."""

KEY = "the-key-of-the-tests"
"""Opens every wabot of the tests."""

SECTIONS: dict[str, dict[str, Any]] = {
    "server": {"port": 0, "api_keys": [KEY]},
    "api": {"wait_seconds": 5},
    "whatsapp": {
        "access_token": "sandbox-token",
        "phone_number_id": "100000000000001",
        "verify_token": "sandbox-verify",
        "app_secret": "sandbox-secret",
    },
    "assistant": {"provider": "canned", "quiet_seconds": 0, "quiet_max_seconds": 0},
    "delivery": {"messages_per_second": 0, "backoff_base_seconds": 0.05, "backoff_max_seconds": 0.2, "hold_seconds": 1},
}
"""Where a test's settings differ from the defaults: nobody waits for long, and no limit of ours is in the way."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `json` is None where the body is none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


@dataclass(frozen=True, slots=True)
class Business:
    """A started wabot: where it listens, a client that speaks to it, Meta, and its insides for whoever must look."""

    url: str
    client: ClientSession
    meta: Meta
    settings: Settings
    running: start_and_stop.Running

    @property
    def journal(self) -> Journal:
        return self.running.account.journal

    async def get(self, path: str, **request: Any) -> Answer:
        """GET, with what aiohttp's client takes (`params`, `headers`, …)."""
        return await self.ask("GET", path, **request)

    async def post(self, path: str, value: Any = None, **request: Any) -> Answer:
        """POST `value` as JSON, or `data=` as it is."""
        return await self.ask("POST", path, **({"json": value} if "data" not in request else {}), **request)

    async def ask(self, method: str, path: str, **request: Any) -> Answer:
        """Any request."""
        async with self.client.request(method, path, **request) as response:
            body = await response.read()
            value = await response.json() if body and response.content_type == "application/json" else None
            return Answer(response.status, response.headers, body, value)


def settings(
    data_dir: Path,
    *,
    accounts: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Mapping[str, Any]] = (),
    **sections: Mapping[str, Any],
) -> Settings:
    """A test's settings: SECTIONS, with `sections` over them key by key."""
    table = {name: dict(values) for name, values in SECTIONS.items()}
    table["server"]["data_dir"] = data_dir
    for name, values in sections.items():
        table[name] = {**table.get(name, {}), **values}
    if "quiet_seconds" in sections.get("assistant", {}) and "quiet_max_seconds" not in sections["assistant"]:
        table["assistant"]["quiet_max_seconds"] = max(15, table["assistant"]["quiet_seconds"])
    return Settings(**table, accounts=accounts, events=events)  # type: ignore[arg-type]


@asynccontextmanager
async def business(
    data_dir: Path,
    *,
    meta: Meta | None = None,
    sandbox: bool = False,
    examine: bool = False,
    events: Sequence[Mapping[str, Any]] = (),
    **sections: Mapping[str, Any],
) -> AsyncIterator[Business]:
    """wabot with its journal in `data_dir`, started, and a client that has its key.

    `meta` None: a new one that accepts everything at once. `sandbox`: wabot is open to this machine.
    `examine`: doctor looks at it in the background.
    """
    meta = meta or Meta(behaviour=Behaviour(), receipt_delay=0.0)
    async with AsyncExitStack() as stack:
        runner, meta_url = await serve(meta)
        stack.push_async_callback(runner.cleanup)
        whatsapp = {"graph_api_base": f"{meta_url}/v26.0", **sections.pop("whatsapp", {})}
        chosen = settings(data_dir, whatsapp=whatsapp, events=events, **sections)
        running = await stack.enter_async_context(start_and_stop.run(chosen, sandbox=sandbox, examine=examine))
        meta.webhook_url = f"{running.url}/webhook"
        client = await stack.enter_async_context(ClientSession(running.url, headers={"X-API-Key": KEY}))
        yield Business(running.url, client, meta, chosen, running)
