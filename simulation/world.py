"""Puts a run together: one seed, one world."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from simulation.archive import Archive
from simulation.audit import Audit
from simulation.colleagues import Colleagues
from simulation.customers import Customers
from simulation.disk import Disk
from simulation.faults import Faults
from simulation.forgettings import Forgettings
from simulation.messaging_limit import MessagingLimit
from simulation.meta import Courier, Moods, Weather, graph
from simulation.model import Model
from simulation.operators import Operators
from simulation.outbox_watch import OutboxWatch
from simulation.programs import Programs
from simulation.requests import Requests
from simulation.schedules import Schedules
from simulation.supervisor import Supervisor
from simulation.takeovers import Takeovers
from simulation.timeline import START, actor, run_to_its_end
from simulation.trace import Trace
from simulation.wires import Front, Response, Server, Session
from simulation.witness import Finding, Witness
from simulation.worlds import GRAPH, KEY, MODEL, PROGRAM, WORLDS, settings
from wabot.adapters.openai import OpenAI
from wabot.adapters.signed_post import SignedPost
from wabot.adapters.whatsapp import WhatsApp
from wabot.core.model_answers import ModelName
from wabot.sandbox.meta import Meta
from wabot.settings.loading import Settings
from wabot.template_list import TemplateList
from wabot.work.models import RankedModel

DAY = 86400.0
REST_SECONDS = 4 * 3600.0
"""After the faults, until nothing is open any more."""


@dataclass(frozen=True)
class Plan:
    """What a run is made of. `without`: kinds of faults and actors that are left out."""

    seed: int
    days: float = 1.0
    people: int = 12
    world: str = "usual"
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """What came of it."""

    plan: Plan
    finding: Finding | None
    digest: str
    day: float
    lines: list[str]
    crashes: int


class Adapters:
    """wabot's own clients, on cut sockets."""

    def __init__(self, session: Any, archive: Any) -> None:
        self._archive, self._session = archive, session

    def archive(self, name: str, numbers: Any) -> Any:
        """The archive."""
        return self._archive

    def whatsapp(self, settings: Settings) -> WhatsApp:
        """The client of the messages endpoint."""
        meta = settings.whatsapp
        token = meta.access_token.get_secret_value()
        return WhatsApp(
            self._session, graph_api_base=meta.graph_api_base, phone_number_id=meta.phone_number_id, access_token=token
        )

    def templates(self, settings: Settings) -> TemplateList:
        """Nobody lists templates here."""
        return TemplateList(None, clock=lambda: 0.0)

    async def models(self, settings: Settings) -> list[RankedModel]:
        """The model."""
        chosen = settings.assistant
        model = OpenAI(
            self._session, base_url=chosen.base_url, api_key="", model=chosen.model,
            timeout_seconds=chosen.timeout_seconds,
        )  # fmt: skip
        return [RankedModel(ModelName(chosen.provider, chosen.model), chosen.timeout_seconds, model)]

    def tools(self, settings: Settings) -> None:
        """None."""

    def attachments(self, settings: Settings) -> None:
        """None."""

    def media_keeper(self, settings: Settings, journal: Any, clock: Any) -> None:
        """None."""

    def signed_post(self) -> SignedPost:
        """The client of the owner's programs."""
        return SignedPost(self._session)

    def doctor(self, settings: Settings, watch: Any, on_limit: Any) -> Any:
        """Nobody asks it here."""
        return None


class World:
    """Everything in a run."""

    def __init__(self, plan: Plan, data_dir: Path) -> None:
        weights = WORLDS[plan.world]
        self.plan, self._weights = plan, weights
        self._loop = asyncio.get_running_loop()
        self.trace = Trace(self._loop.time)
        self.data_dir = data_dir
        self.witness = Witness(self._loop.time, self.trace)
        self.weather, self.front = Weather(), Front()
        self.settings = settings(self.dice("settings"), data_dir, weights)
        self.disk = Disk(self.dice("disk"))
        self.meta = self._meta()
        self.model = Model(self.dice("model"), self.witness.prompted)
        self.programs = Programs(self, self.dice("programs"))
        has_archive = self.dice("has archive").random() < 0.6 if weights.archive is None else weights.archive
        self.archive = Archive(self.dice("archive")) if has_archive else None
        servers: dict[str, Server] = {GRAPH: self._graph, MODEL: self.model, PROGRAM: self.programs}
        self.supervisor = Supervisor(
            self.settings, self.disk, self.front, Adapters(Session(servers, self._heard), self.archive),
            dice=self.dice("supervisor"), noise=self.dice("noise"), trace=self.trace,
        )  # fmt: skip
        self.faults = Faults(self, plan.without, weights)
        self.supervisor.on_crash = self.faults.note_crash
        self.customers = Customers(self, self.dice("customers"), weights, count=plan.people)
        self.operators = Operators(self, self.dice("operators"), weights, key=KEY)
        self.takeovers, self.schedules = Takeovers(self), Schedules(self)
        self.witness.may_be_silent = self.takeovers.may_be_silent
        self.colleagues = Colleagues(self, self.dice("colleagues"), weights)
        self.forgettings = Forgettings(self, self.dice("forgettings"), weights)
        self.outbox_watch = OutboxWatch(self, weights.look_seconds)
        self.requests, self.audit = Requests(self), Audit(self)
        self.messaging_limit = MessagingLimit(self, self.dice("messaging limit"), weights)
        self.meta.subscribe(self.requests)
        self.meta.subscribe(self.messaging_limit)
        self._saying = asyncio.Event()
        self.witness.on_said = self._saying.set
        self.witness.disk_is_well = lambda: self.faults.calm(
            self._loop.time(), self._loop.time(), margin=60.0, kinds=("disk full", "disk fails", "disk slow")
        )

    def dice(self, name: str) -> Random:
        """Chance for one part of the world, so that leaving out another changes nothing for it."""
        return Random(f"{self.plan.seed}/{name}")

    def now(self) -> float:
        """Unix seconds, as they truly are."""
        return START + self._loop.time()

    async def something_is_said(self) -> None:
        """Until somebody writes."""
        self._saying.clear()
        await self._saying.wait()

    def _meta(self) -> Meta:
        whatsapp, dice = self.settings.whatsapp, self.dice("meta")
        secret = whatsapp.app_secret.get_secret_value()
        courier = Courier(self.front, secret, self.weather, self.dice("courier"), self.trace, self.witness)
        return Meta(
            access_token=whatsapp.access_token.get_secret_value(),
            phone_number_id=whatsapp.phone_number_id,
            app_secret=secret,
            webhook_url="http://wabot/webhook",
            behaviour=Moods(
                self.weather,
                dice,
                throughput=int(self.settings.delivery.messages_per_second),
                pair_limit=True,
                clock=self.now,
            ),
            caller=courier,
            clock=self.now,
            draw=dice.randbytes,
        )

    def _heard(self, response: Response) -> None:
        self.witness.heard(response.body)

    async def _graph(self, request: Any) -> Any:
        if self.weather.unreachable:
            self.requests.may_not_arrive(request.body, hopeless=self.weather.unreachable == 1.0)
        return await graph(self.meta, self.weather, self._graph_dice, request)

    async def live(self) -> None:
        """Let it all happen; then, once the faults are over, see it come to rest."""
        self._graph_dice = self.dice("graph")
        done = asyncio.Event()
        self.witness.on_finding = done.set
        self.supervisor.start()
        self.customers.start()
        self.faults.start()
        self.audit.start()
        self.outbox_watch.start()
        self.messaging_limit.start()
        if "operators" not in self.plan.without:
            self.operators.start()
        if "colleagues" not in self.plan.without:
            self.colleagues.start()
        if "forgettings" not in self.plan.without:
            self.forgettings.start()
        actor(self._then_rest(done))
        await done.wait()
        await self.supervisor.kill()

    async def _then_rest(self, done: asyncio.Event) -> None:
        busy = min(self.plan.days, self._weights.busy_days)
        await asyncio.sleep(busy * DAY)
        self.customers.quiet = self.operators.quiet = self.colleagues.quiet = self.forgettings.quiet = True
        await asyncio.sleep((self.plan.days - busy) * DAY)
        self.faults.ending.set()
        await asyncio.sleep(REST_SECONDS)
        await self.audit.at_rest()
        done.set()


def settings_of(seed: int) -> Settings:
    """The settings of a seed's world."""
    return settings(Random(f"{seed}/settings"), Path("/nowhere"), WORLDS["usual"])


def run(plan: Plan) -> Run:
    """One run, from the beginning to its end or its first finding."""
    directory = Path(tempfile.mkdtemp(prefix="wabot-simulation-", dir="/dev/shm"))
    try:
        return run_to_its_end(lambda: _run(plan, directory / "data"))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _run(plan: Plan, data_dir: Path) -> Run:
    world = World(plan, data_dir)
    await world.live()
    day = asyncio.get_running_loop().time() / DAY
    return Run(
        plan, world.witness.finding, world.trace.digest, day, list(world.trace.lines), len(world.supervisor.crashes)
    )
