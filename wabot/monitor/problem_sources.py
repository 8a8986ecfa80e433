"""Turns failures into problems: the name, text and remedy of each.

Other parts (lanes, the model, the archive's circuit, webhooks) report their failures here and know nothing of problems.
Disk and journal are checked often; doctor runs at the start and every hour.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from wabot.core import health_checks, remedies
from wabot.core.account_news import WARNING_SECONDS, AccountNews, Standing
from wabot.core.exceptions import AssistantFailed, JournalDown
from wabot.core.health_checks import Check, State
from wabot.core.jobs import Halt, Outcome
from wabot.core.model_answers import ModelAnswer, ModelName
from wabot.log import get_logger
from wabot.monitor.check_schedule import DOUBT_SECONDS, EXAMINE_SECONDS, CheckSchedule
from wabot.monitor.problem_list import Problems
from wabot.work.lane import Lane

LOOK_SECONDS = 10.0

_TEMPLATE_CODES = range(132000, 132100)
"""https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"""
_TITLES = {
    "settings": "Settings",
    "disk": "Disk",
    "clock": "This machine's clock",
    "journal": "Journal",
    "token": "Access token",
    "number": "Phone number",
    "account": "WhatsApp account",
    "subscription": "Webhooks",
    "template": "First-contact template",
    "webhook": "Public address",
    "mongo": "MongoDB",
    "events": "Events",
}
"""The subject of each check, in words for people."""

BY_DOCTOR = "doctor"
_SIGNATURE = (
    "Compare whatsapp.app_secret with the app's App settings > Basic, and restart wabot: Meta's webhooks are refused"
    " until they are the same. If they are, somebody else sent this one, and the problem ends with Meta's next webhook."
)
_FOREIGN = (
    "If one is your number, correct whatsapp.phone_number_id; else list them in whatsapp.ignore_phone_number_ids. Then"
    " restart wabot. The webhooks are kept for 7 days."
)

log = get_logger()


class Journal(Protocol):
    """The journal, as the watch needs it."""

    @property
    def refused_lately(self) -> str | None: ...
    async def foreign_kept(self, ignored: Set[str]) -> Any: ...


class Doctor(Protocol):
    """Runs all checks. `reached`: whether Meta answered last time."""

    @property
    def reached(self) -> bool: ...
    async def examine(self) -> list[Check]: ...


def _problem_of(name: ModelName) -> str:
    return name.setting.replace("assistant", "model", 1)


class Watch:
    """Turns events into problems. `last_webhook_at`: Unix seconds of Meta's last webhook since the start, or None.

    `account`: whose settings the remedies name, if these are not [whatsapp].
    """

    def __init__(
        self,
        journal: Journal,
        *,
        data_dir: Path,
        ignored_numbers: Set[str],
        clock: Callable[[], float],
        account: str = "",
    ) -> None:
        self.problems = Problems(clock, account)
        self.last_webhook_at: float | None = None
        self._journal, self._data_dir = journal, data_dir.absolute()
        self._ignored_numbers, self._clock = ignored_numbers, clock
        self._models = dict[ModelName, AssistantFailed | None]()
        self._lane_problems: dict[str, str] = {}
        self._check_problems: dict[str, str] = {}
        self._schedule = CheckSchedule(clock)
        self._refused_by_disk = False
        self._warned: Mapping[str, str] = {}
        self._warning_ends_at = 0.0

    # Reports of other parts

    def lane_changed(self, lane: Lane) -> None:
        """A lane paused, its probe failed, or it resumed."""
        name, pause = str(lane.kind), lane.paused
        trouble = remedies.of_sends(pause.code, blocked=pause.halt is Halt.BLOCKED) if pause is not None else None
        before = self._lane_problems.pop(name, None)
        if before is not None and (trouble is None or trouble.name != before):
            self.problems.end(before, by=name)
        if pause is not None and trouble is not None:
            self._lane_problems[name] = trouble.name
            what = f"Nothing is sent: {pause.reason}" + (f" ({pause.code})" if pause.code is not None else "")
            self.problems.begin(trouble.name, what, trouble.remedy, by=name, next_probe=lane.next_probe)

    def job_settled(self, outcome: Outcome) -> None:
        """If a send failed because of its template, doctor examines the first-contact template soon."""
        if outcome.code in _TEMPLATE_CODES and "template" not in self.problems:
            self.examine_soon()

    def template_changed(self) -> None:
        """Meta approved, paused or rejected a template."""
        self.examine_soon()

    def webhook_refused(self) -> None:
        """A webhook had no valid signature."""
        self.problems.begin("signature", "Webhooks are refused: their signature is missing or wrong", _SIGNATURE)

    def webhook_arrived(self) -> None:
        """A signed webhook with content came. (Doctor's own, without content, proves nothing about Meta's secret.)"""
        self.last_webhook_at = self._clock()
        self.problems.end("signature")
        self.problems.end("signature", by=BY_DOCTOR)

    def model_answered(self, name: ModelName, _seconds: float, _answer: ModelAnswer) -> None:
        """A model answered."""
        self._models[name] = None
        self.problems.end(_problem_of(name))

    def model_failed(self, name: ModelName, _seconds: float, failure: AssistantFailed) -> None:
        """A model failed."""
        self._models[name] = failure
        remedy = remedies.of_model(failure, name.setting)
        self.problems.begin(_problem_of(name), f"The model {name} does not answer: {failure}", remedy)

    def archive_changed(self, works: bool, reason: str) -> None:
        """MongoDB stopped answering, or answers again."""
        if works:
            self.problems.end("mongo", by="archiver")
        else:
            self.problems.begin("mongo", reason, remedies.MONGO, by="archiver")

    def knowledge_read(self, fault: str | None) -> None:
        """The owner's files for the model were looked at; `fault`: which cannot be read any more, and why."""
        if fault is None:
            self.problems.end("knowledge")
        else:
            what = f"The assistant goes on with an old text, or without: {fault}"
            self.problems.begin("knowledge", what, remedies.KNOWLEDGE)

    def account_said(self, news: AccountNews) -> None:
        """Meta restricted the account, lifted that, or warned. (A blocked account pauses the lane: `lane_changed`.)"""
        if news.standing is Standing.RESTRICTED:
            remedy = remedies.of_sends(None, blocked=True).remedy
            self.problems.begin("account", news.reason, remedy, by="news", next_probe=news.until)
        elif news.standing is Standing.LIFTED:
            self.problems.end("account", by="news")
        elif news.standing is Standing.WARNED:
            self._warning_ends_at = self._clock() + WARNING_SECONDS
            self.problems.begin("warning", news.reason, remedies.OF_WARNING, by="news")

    def endpoint_off(self, name: str) -> None:
        """An endpoint of [[events]] answered 410."""
        what = f"The endpoint {name} wants no more events: it answered HTTP 410"
        self.problems.begin(f"events {name}", what, remedies.OF_ENDPOINT)

    # Regular checks

    def last_answer(self) -> Check | None:
        """The check of the models' last real answers, since a call just for the check would cost money."""
        return remedies.check_of_models(self._models) if self._models else None

    async def look(self) -> None:
        """Check the disk, the journal, and webhooks kept for other numbers; end an old warning of Meta's."""
        if self._clock() >= self._warning_ends_at:
            self.problems.end("warning", by="news")
        self._look_at_disk()
        self._look_at_journal()
        await self._look_at_foreign()

    def _look_at_disk(self) -> None:
        try:
            usage = shutil.disk_usage(self._data_dir)
        except OSError:
            return
        check = health_checks.disk(usage.free, usage.total, str(self._data_dir))
        self._report(check, by="look")

    def _look_at_journal(self) -> None:
        """Errors because of a full disk count as the disk's problem, also shortly after the disk has room again."""
        reason = self._journal.refused_lately
        self._refused_by_disk = reason is not None and ("disk" in self.problems or self._refused_by_disk)
        if reason is None or self._refused_by_disk:
            self.problems.end("journal")
        else:
            remedy = (
                f"Check that the disk of {self._data_dir} has room and works, and that nothing else locks wabot.db."
            )
            self.problems.begin("journal", f"{reason[0].upper()}{reason[1:]}", remedy)

    async def _look_at_foreign(self) -> None:
        try:
            kept = await self._journal.foreign_kept(self._ignored_numbers)
        except JournalDown:
            return
        if not kept.webhooks:
            self.problems.end("foreign")
            return
        dropped = f", {kept.dropped} more had no room" if kept.dropped else ""
        what = f"Webhooks came for phone number ids that are not ours ({', '.join(kept.numbers)}): {kept.webhooks} kept"
        self.problems.begin("foreign", f"{what}{dropped}", _FOREIGN)

    async def examine(self, doctor: Doctor) -> None:
        """Run doctor once, and turn its results into problems."""
        checks = await doctor.examine()
        if doctor.reached:
            self.problems.end("graph", by=BY_DOCTOR)
        else:
            outage = remedies.of_sends(None, blocked=False)
            self.problems.begin(outage.name, "Meta cannot be reached", outage.remedy, by=BY_DOCTOR)
        for check in checks:
            if check.name == "model" or (check.name == "token" and not doctor.reached):
                continue  # reported by other parts already
            if (check.name == "webhook" or check.problem == "signature") and self._heard_within(EXAMINE_SECONDS):
                continue  # Meta gets through with our secret, even if this machine cannot reach its own address
            self._report(check, by=BY_DOCTOR)
        self._warn({check.name: f"{check.detail}. {check.remedy}" for check in checks if check.state is State.WARNING})

    async def run(self, doctor: Doctor, *, after: float = 0.0) -> None:
        """Check regularly until cancelled: for the first time in `after` seconds, or when an event needs it."""
        await self._schedule.pause(after)
        while True:
            await self.look()
            if self._schedule.is_due():
                self._schedule.started()
                await self.examine(doctor)
                self._schedule.ended(broken=bool(self._check_problems) or not doctor.reached)
            await self._schedule.wait(LOOK_SECONDS)

    def examine_soon(self, apart: float = DOUBT_SECONDS) -> None:
        """Run doctor now, or `apart` seconds after the last such run, because an event needs its explanation.

        With ASKED_SECONDS a person asks for it, who may have solved a problem.
        """
        self._schedule.soon(apart)

    def _heard_within(self, seconds: float) -> bool:
        return self.last_webhook_at is not None and self._clock() - self.last_webhook_at < seconds

    def _report(self, check: Check, *, by: str) -> None:
        name = check.problem or check.name
        before = self._check_problems.pop(check.name, name)
        if check.state is not State.BROKEN or before != name:
            self.problems.end(before, by=by)
        if check.state is State.BROKEN:
            self._check_problems[check.name] = name
            detail = check.detail
            title = _TITLES.get(check.name, "")
            what = detail if detail.startswith(title) else f"{title}: {detail}"
            self.problems.begin(name, what, check.remedy, by=by)

    def _warn(self, warnings: Mapping[str, str]) -> None:
        """Log each new warning once."""
        for name, detail in warnings.items():
            if name not in self._warned:
                log.warning("doctor.warned", check=name, detail=detail)
        self._warned = warnings
