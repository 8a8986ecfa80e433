"""Runs all checks in order, each with a time limit.

The terminal runs them on demand; the service runs them at its start and every hour, for `/readyz`. Then it calls no
model (that costs money) and sends nothing to anybody. What the findings mean is decided in core/health_checks.py.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from wabot.adapters.graph_api import GraphApi, Unreachable
from wabot.core import credential_shapes, health_checks, remedies
from wabot.core.conversation import Prompt, Role, Turn
from wabot.core.credential_shapes import Credentials
from wabot.core.exceptions import ArchiveDown, AssistantFailed
from wabot.core.health_checks import Check, State
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.doctor.event_endpoints import reach
from wabot.doctor.public_address import knock
from wabot.doctor.questions_to_meta import Meta
from wabot.settings.errors import SettingsError
from wabot.settings.loading import Settings

CHECK_SECONDS = 20.0
"""The time limit of each check: without an answer by then it is broken."""

MODEL_SECONDS = CHECK_SECONDS - 1.0
"""The time limit of each model: less, so that a slow one does not hide what the others say."""


class ArchiveToExamine(Protocol):
    """MongoDB, as doctor needs it. Raises ArchiveDown."""

    async def examine(self) -> Sequence[str]:
        """Write, read and delete a test document. Returns the keys of missing indexes."""


class Model(Protocol):
    """A model. Raises AssistantFailed."""

    async def answer(self, prompt: Prompt) -> ModelAnswer: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is examined.

    `journal`: makes the journal's check. `archive`: None without MongoDB. `models`: None if they must not be called;
    then `model` returns the check of their last real answers (None before the first). `on_limit`: called with Meta's
    messaging limit and the id of the portfolio whenever Meta names the limit.
    """

    session: aiohttp.ClientSession
    journal: Callable[[], Awaitable[Check]]
    archive: ArchiveToExamine | None
    models: Mapping[ModelName, Model] | None
    model: Callable[[], Check | None] = lambda: None
    on_limit: Callable[[float, str], None] = lambda _most, _portfolio: None


class Doctor:
    """Runs examinations. `url`: the public address, if the settings do not have it."""

    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        *,
        clock: Callable[[], float],
        url: str = "",
    ) -> None:
        self._settings, self._around, self._clock = settings, around, clock
        self._address = url or settings.server.public_url
        whatsapp = settings.whatsapp
        token = whatsapp.access_token.get_secret_value()
        graph = GraphApi(around.session, base=whatsapp.graph_api_base, access_token=token)
        self._meta = Meta(graph, settings, clock=clock)

    @property
    def reached(self) -> bool:
        """Whether Meta answered the last time."""
        return self._meta.reached

    async def examine(self, *, fix: bool = False) -> list[Check]:
        """Every check once; with `fix`, the app and its webhook's fields are subscribed before that is checked."""
        await self._bounded("token", self._meta.meet)
        if fix:
            await self._bounded("subscription", lambda: self._meta.subscribe(self._callback()))
        checks: dict[str, Callable[[], Awaitable[Check]]] = {
            "disk": self._disk,
            "clock": self._clock_check,
            "journal": self._around.journal,
            "number": self._meta.number,
            "account": self._meta.account,
            "subscription": self._meta.subscription,
            "template": self._meta.template,
            "token": self._meta.token,  # after the others, which may find that it is refused by now
            "webhook": self._webhook,
            "mongo": self._mongo,
            "model": self._model,
            "events": self._events,
        }
        found = {name: await self._bounded(name, check) for name, check in checks.items()}
        if self._meta.most_people is not None:
            self._around.on_limit(self._meta.most_people, self._meta.portfolio)
        found["settings"] = self._settings_check(found["token"], found["number"])
        return [found[name] for name in health_checks.NAMES]

    async def _bounded(self, name: str, check: Callable[[], Awaitable[Check]]) -> Check:
        """The result of a check, within its time limit."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await check()
        except TimeoutError:
            return health_checks.broken(
                name, f"no answer within {CHECK_SECONDS:g} s", "Run it again; look at the network."
            )
        except Unreachable as error:
            if name != "token":
                return health_checks.skipped(name, str(error))
            host = self._settings.whatsapp.graph_api_base
            return health_checks.broken(
                name, str(error), f"Check that this machine reaches {host}: DNS, firewall, proxy."
            )

    def _settings_check(self, token: Check, number: Check) -> Check:
        """What would be refused at the start, the app secret, what has a wrong form, and half of what alerts take."""
        try:
            self._settings.refuse_unsafe()
        except SettingsError as error:
            return health_checks.broken("settings", "; ".join(error.problems), "Put it into config.toml.")
        meta = self._settings.whatsapp
        given = Credentials(
            access_token=meta.access_token.get_secret_value(),
            phone_number_id=meta.phone_number_id,
            business_account_id=meta.business_account_id,
            app_secret=meta.app_secret.get_secret_value(),
            verify_token=meta.verify_token.get_secret_value(),
        )
        known = {check.name for check in (token, number) if check.state in (State.OK, State.WARNING)}
        known |= {"secret"} if self._meta.secret_accepted else set()
        found = credential_shapes.check(given, known=known)
        if self._meta.secret_accepted is False and found.state is not State.BROKEN:
            return self._meta.secret()
        handoff = self._settings.handoff
        alerts = health_checks.alerts(handoff.alert_number, handoff.alert_template)
        return alerts if alerts is not None and found.state is State.OK else found

    async def _disk(self) -> Check:
        folder = self._settings.server.data_dir.absolute()
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        usage = await asyncio.to_thread(shutil.disk_usage, nearest)
        return health_checks.disk(usage.free, usage.total, str(folder))

    async def _clock_check(self) -> Check:
        return health_checks.clock(self._meta.skew)

    async def _webhook(self) -> Check:
        address = self._callback()
        if not address:
            remedy = "Set server.public_url, or pass --url https://…"
            return health_checks.skipped("webhook", "the public address is not known", remedy)
        whatsapp = self._settings.whatsapp
        return await knock(
            self._around.session,
            address,
            verify_token=whatsapp.verify_token.get_secret_value(),
            app_secret=whatsapp.app_secret.get_secret_value(),
        )

    async def _mongo(self) -> Check:
        if self._around.archive is None:
            return health_checks.skipped("mongo", "embedded: the journal is the archive")
        try:
            missing = await self._around.archive.examine()
        except ArchiveDown as error:
            return health_checks.broken("mongo", str(error), remedies.MONGO)
        if missing:
            detail = f"indexes are missing: {', '.join(missing)}"
            return health_checks.warning("mongo", detail, "Give the user of mongo.uri the right to create indexes.")
        return health_checks.ok("mongo", "writes, reads and has its indexes")

    async def _model(self) -> Check:
        if self._around.models is None:
            return self._around.model() or health_checks.skipped("model", "no answer was asked for yet")
        failures = await asyncio.gather(*map(_failure, self._around.models.values()))
        return remedies.check_of_models(dict(zip(self._around.models, failures, strict=True)))

    async def _events(self) -> Check:
        return await reach(self._around.session, [endpoint.url for endpoint in self._settings.events])

    def _callback(self) -> str:
        """The public address of our webhook, from the settings, `--url` or Meta; "" if unknown."""
        address = self._address or self._meta.callback
        return f"{address.rstrip('/').removesuffix('/webhook')}/webhook" if address else ""


async def _failure(model: Model) -> AssistantFailed | None:
    """Why a model does not answer a short question; None if it does."""
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await model.answer(Prompt("", (Turn(Role.USER, "Answer with one word: hello."),)))
    except TimeoutError:
        return AssistantFailed(f"no answer within {MODEL_SECONDS:g} s")
    except AssistantFailed as failure:
        return failure
    return None
