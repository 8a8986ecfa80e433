"""The business of a rehearsal: the real service with its journal in a folder of its own, and Meta's stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from wabot.accounts import Account
from wabot.assembly import factories
from wabot.assembly.adapters import Clients, models, ranked
from wabot.assembly.start_and_stop import at_work
from wabot.core.model_answers import ModelName
from wabot.core.tools import Tool
from wabot.journal.connections import OnLoop
from wabot.rehearsal.models import Model, Noted, Notes, Real, RehearsedTools, Script
from wabot.rehearsal.tables import TalkError
from wabot.rehearsal.talk import MAY_CHANGE, Talk
from wabot.rehearsal.virtual_time import VirtualTime
from wabot.rehearsal.wire import ToMeta, ToWabot
from wabot.sandbox.behaviour import Behaviour
from wabot.sandbox.meta import Meta
from wabot.service import Service
from wabot.settings.loading import Settings
from wabot.settings.overlay import overlaid
from wabot.settings.sections import SANDBOX
from wabot.work.models import RankedModel

GRAPH = "http://meta.rehearsal/v26.0"
KNOWLEDGE = "knowledge"
REST_SECONDS = 3.0
"""For so long nothing must be left to do until a turn is over: receipts and alerts come a moment later."""
LONGEST_TURN = 2 * 3600.0
"""A turn without `wait` ends after so many seconds, whatever is left to do."""
_ALERT = [{"type": "body", "parameters": [{"type": "text", "text": "who"}, {"type": "text", "text": "why"}]}]
"""What the template of an alert is sent with."""
_LATER = frozenset({"held"})
"""The states of sends that are not to be done now."""


def settings_for(talk: Talk, settings: Settings, folder: Path) -> Settings:
    """The owner's settings as the talk changes them, with nothing that leads out of the rehearsal.

    Raises SettingsError.
    """
    chosen: dict[str, dict[str, Any]] = {"server": {"data_dir": folder / "data"}, "assistant": {}}
    chosen["whatsapp"] = {**SANDBOX["whatsapp"], "graph_api_base": GRAPH}
    if talk.knowledge:
        chosen["assistant"]["knowledge_dir"] = _written(folder / KNOWLEDGE, talk.knowledge)
    if talk.prompt:
        chosen["assistant"]["prompt_file"] = _written(folder / "prompt", {"prompt.md": talk.prompt}) / "prompt.md"
    place = f"{talk.file}: settings"
    return overlaid(settings, [chosen, dict(talk.settings)], keep=MAY_CHANGE, where=place)


def _written(folder: Path, texts: Mapping[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


class Stage:
    """A business that can be started, stopped and started again. `script`: the models' answers; None: real models."""

    def __init__(self, talk: Talk, settings: Settings, script: Script | None, notes: Notes) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTime)  # noqa: S101
        self.loop, self.settings, self.script, self.notes, self.tools = loop, settings, script, notes, talk.tools
        starts = talk.starts
        zone = factories.time_zone(settings)
        self._starts = (starts if starts.tzinfo else starts.replace(tzinfo=zone)).timestamp()
        self._noise, dice = Random(1), Random(2)  # noqa: S311  the same in every run
        secret = settings.whatsapp.app_secret.get_secret_value()
        self._to_wabot = ToWabot(secret)
        self.meta = Meta(
            access_token=settings.whatsapp.access_token.get_secret_value(),
            phone_number_id=settings.whatsapp.phone_number_id,
            business_account_id=settings.whatsapp.business_account_id,
            app_secret=secret,
            behaviour=Behaviour(by_number=False, throughput=80, pair_limit=True, clock=self.now),
            caller=self._to_wabot,
            clock=self.now,
            draw=dice.randbytes,
        )
        self.meta.media.base = GRAPH.rpartition("/")[0]
        first = factories.template(settings)
        self.meta.templates.suppose(first["name"], first["language"], first["components"])
        if alert := settings.handoff.alert_template:
            self.meta.templates.suppose(alert, first["language"], _ALERT)
        self.stack = AsyncExitStack()
        self.account: Account | None = None

    def now(self) -> float:
        """Unix seconds, in the talk."""
        return self._starts + self.loop.time()

    @property
    def service(self) -> Service:
        """The operations of wabot. Raises TalkError while it is stopped."""
        if self.account is None:
            raise TalkError("wabot is stopped: only contacts can write now")
        return self.account.service

    def change_knowledge(self, texts: Mapping[str, str]) -> None:
        """The owner changes files of the knowledge. Raises TalkError if they are not the talk's own."""
        folder = self.settings.server.data_dir.parent / KNOWLEDGE
        if texts and self.settings.assistant.knowledge_dir != folder:
            raise TalkError("only the talk's own [knowledge] can change")
        if texts:
            _written(folder, texts)

    async def start(self) -> None:
        """Start wabot; Meta delivers what it missed."""
        clients = _Clients(self)
        accounts, intake = await self.stack.enter_async_context(
            at_work(self.settings, clock=self.now, noise=self._noise.random, connect=OnLoop(), adapters=clients)
        )
        self.account = accounts.named(accounts.default)
        await self._to_wabot.back(intake)

    async def stop(self) -> None:
        """Stop wabot."""
        self._to_wabot.away()
        self.account = None
        await self.stack.aclose()

    async def rest(self) -> None:
        """Until wabot has done all that is to be done now."""
        ends = self.loop.time() + LONGEST_TURN
        quiet_since: float | None = None
        while self.account is not None and self.loop.time() < ends:
            journal = self.account.journal
            seen = journal.changes
            if await self._has_work(self.account):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = self.loop.time()
            if quiet_since is not None and self.loop.time() >= quiet_since + REST_SECONDS:
                return
            await journal.changed(seen, REST_SECONDS if quiet_since is not None else 60.0)

    @staticmethod
    async def _has_work(account: Account) -> bool:
        return any(depth.count and depth.state not in _LATER for depth in await account.journal.depths())


class _Clients(Clients):
    """wabot's own clients, of which those of Meta reach the stand-in. No archive, and no programs of the owner's."""

    def __init__(self, stage: Stage) -> None:
        session: Any = ToMeta(stage.meta)
        super().__init__({"": stage.settings}, session, None, stage.stack)
        self._stage = stage

    async def models(self, settings: Settings) -> list[RankedModel]:
        """The models of the script, under the names of the configured ones; or these themselves."""
        stage, each = self._stage, ranked(settings)
        if stage.script is not None:
            found: dict[ModelName, Model] = {name: stage.script.model(name) for name in each}
        else:
            session = await stage.stack.enter_async_context(aiohttp.ClientSession())
            real = models(settings, session, stage.stack)
            found = {name: Real(model, stage.loop) for name, model in real.items()}
        return [
            RankedModel(name, one.timeout_seconds, Noted(name, found[name], stage.notes)) for name, one in each.items()
        ]

    def tools(self, settings: Settings) -> RehearsedTools | None:
        """The owner's tools, of which the talk has the answers."""
        tools = tuple(Tool(one.name, one.description, one.parameters) for one in settings.assistant.tools)
        return RehearsedTools(tools, self._stage.tools, self._stage.notes) if tools else None
