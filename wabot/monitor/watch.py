"""What is watched, and what it makes a problem of: for each trouble its name, its words and its remedy.

Those who meet a trouble (lanes, the model's answers, the archive's circuit, webhooks, news of the account) say so here
and know nothing of problems. Disk and journal are looked at often, all that doctor examines at the start and hourly.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from wabot.core import doctor_checks, remedies
from wabot.core.account import AccountNews, Standing
from wabot.core.doctor_checks import Check, State
from wabot.core.errors import AssistantFailed, JournalDown
from wabot.core.jobs import Halt
from wabot.log import get_logger
from wabot.monitor.problems import Problems
from wabot.work.lane import Lane

LOOK_SECONDS = 10.0
EXAMINE_SECONDS = 3600.0

BY_DOCTOR = "doctor"
_SIGNATURE = (
    "Compare whatsapp.app_secret with App settings > Basic: Meta's webhooks are refused until they are the same."
    " If they are, somebody else sends them, and this ends with Meta's next one."
)
_MONGO = "See that MongoDB runs, and mongo.uri: address, user, rights. Meanwhile the journal keeps everything."
_FOREIGN = (
    "If one is your number, correct whatsapp.phone_number_id; else name them in whatsapp.ignore_phone_number_ids. They"
    " are kept for 7 days."
)

log = get_logger()


class Journal(Protocol):
    """The journal, as far as it is watched."""

    @property
    def refused_lately(self) -> str | None: ...
    async def foreign_kept(self, ignored: Set[str]) -> Any: ...


class Doctor(Protocol):
    """Examines everything. `reached`: whether Meta answered the last time."""

    @property
    def reached(self) -> bool: ...
    async def examine(self) -> list[Check]: ...


class Watch:
    """Turns what happens into problems. `last_webhook_at`: Unix seconds of Meta's last one since the start, or None."""

    def __init__(
        self,
        journal: Journal,
        *,
        data_dir: Path,
        ignored_numbers: Set[str],
        clock: Callable[[], float],
    ) -> None:
        self.problems = Problems(clock)
        self.last_webhook_at: float | None = None
        self._journal, self._data_dir = journal, data_dir.absolute()
        self._ignored_numbers, self._clock = ignored_numbers, clock
        self._model: Check | None = None
        self._lane_problems: dict[str, str] = {}
        self._warned: Mapping[str, str] = {}

    # What others meet

    def lane_changed(self, lane: Lane) -> None:
        """A lane paused, probed in vain, or goes on."""
        name, pause = str(lane.kind), lane.paused
        trouble = remedies.of_sends(pause.code, blocked=pause.halt is Halt.BLOCKED) if pause is not None else None
        before = self._lane_problems.pop(name, None)
        if before is not None and (trouble is None or trouble.name != before):
            self.problems.end(before, by=name)
        if pause is not None and trouble is not None:
            self._lane_problems[name] = trouble.name
            what = f"Nothing is sent: {pause.reason}" + (f" ({pause.code})" if pause.code is not None else "")
            self.problems.begin(trouble.name, what, trouble.remedy, by=name, next_probe=lane.next_probe)

    def webhook_refused(self) -> None:
        """A webhook came whose signature is missing or wrong."""
        self.problems.begin("signature", "Webhooks are refused: their signature is missing or wrong", _SIGNATURE)

    def webhook_arrived(self) -> None:
        """Meta signed one, and it said something: doctor's own says nothing, and proves nothing of Meta's secret."""
        self.last_webhook_at = self._clock()
        self.problems.end("signature")

    def model_answered(self, failure: AssistantFailed | None) -> None:
        """The model gave a text, or `failure`."""
        if failure is None:
            self._model = doctor_checks.ok("model", "its last answer was well")
            self.problems.end("model")
        else:
            remedy = remedies.of_model(failure)
            self._model = doctor_checks.broken("model", str(failure), remedy)
            self.problems.begin("model", f"The model does not answer: {failure}", remedy)

    def archive_changed(self, works: bool, reason: str) -> None:
        """MongoDB was lost, or found again."""
        if works:
            self.problems.end("mongo", by="recorder")
        else:
            self.problems.begin("mongo", f"MongoDB does not answer: {reason}", _MONGO, by="recorder")

    def account_said(self, news: AccountNews) -> None:
        """Meta restricts the account, or lifts that. While it is blocked altogether, the lane is paused."""
        if news.standing is Standing.RESTRICTED:
            remedy = remedies.of_sends(None, blocked=True).remedy
            self.problems.begin("account", news.reason, remedy, by="news", next_probe=news.until)
        elif news.standing is Standing.LIFTED:
            self.problems.end("account", by="news")

    # What is looked at

    def last_answer(self) -> Check | None:
        """What the model's last real answer was like: calling it to find out would cost money."""
        return self._model

    async def look(self) -> None:
        """The disk, the journal and what is kept of other numbers' webhooks."""
        self._look_at_disk()
        if (reason := self._journal.refused_lately) is not None:
            remedy = f"See that {self._data_dir} has room and works, and that no other program holds wabot.db."
            self.problems.begin("journal", f"The journal cannot be written: {reason}", remedy)
        else:
            self.problems.end("journal")
        await self._look_at_foreign()

    def _look_at_disk(self) -> None:
        try:
            usage = shutil.disk_usage(self._data_dir)
        except OSError:
            return
        check = doctor_checks.disk(usage.free, usage.total, str(self._data_dir))
        self._heed(check, by="look")

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
        """All checks of doctor's, once."""
        checks = await doctor.examine()
        if doctor.reached:
            self.problems.end("graph", by=BY_DOCTOR)
        else:
            outage = remedies.of_sends(None, blocked=False)
            self.problems.begin(outage.name, "Meta cannot be reached", outage.remedy, by=BY_DOCTOR)
        for check in checks:
            if check.name == "model" or (check.name == "token" and not doctor.reached):
                continue  # said where it was met
            if check.name == "webhook" and self._heard_within(EXAMINE_SECONDS):
                continue  # Meta gets through, whatever this machine sees of its own address
            self._heed(check, by=BY_DOCTOR)
        self._warn({check.name: f"{check.detail}. {check.remedy}" for check in checks if check.state is State.WARNING})

    async def run(self, doctor: Doctor) -> None:
        """Look and examine until cancelled."""
        examine_at = self._clock()
        while True:
            await self.look()
            if not 0 < examine_at - self._clock() <= EXAMINE_SECONDS:  # the clock may have been set back
                await self.examine(doctor)
                examine_at = self._clock() + EXAMINE_SECONDS
            await asyncio.sleep(LOOK_SECONDS)

    def _heard_within(self, seconds: float) -> bool:
        return self.last_webhook_at is not None and self._clock() - self.last_webhook_at < seconds

    def _heed(self, check: Check, *, by: str) -> None:
        if check.state is State.BROKEN:
            self.problems.begin(check.name, f"{check.name}: {check.detail}", check.remedy, by=by)
        else:
            self.problems.end(check.name, by=by)

    def _warn(self, warnings: Mapping[str, str]) -> None:
        """What is no problem yet, once each."""
        for name, detail in warnings.items():
            if name not in self._warned:
                log.warning("doctor.warned", check=name, detail=detail)
        self._warned = warnings
