"""What is watched, and what it makes a problem of: for each trouble its name, its words and its remedy.

Those who meet a trouble (lanes, the model's answers, the archive's circuit, webhooks, news of the account) say so here
and know nothing of problems. Disk and journal are looked at often, all that doctor examines at the start and hourly.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from wabot.core import doctor_checks, remedies
from wabot.core.account import AccountNews, Standing
from wabot.core.doctor_checks import Check, State
from wabot.core.errors import AssistantFailed, JournalDown
from wabot.core.jobs import Halt, Outcome
from wabot.log import get_logger
from wabot.monitor.problems import Problems
from wabot.work.lane import Lane

WARNING_SECONDS = 86400.0
"""How long a warning of Meta's is a problem: Meta does not say when it is over."""
LOOK_SECONDS = 10.0
EXAMINE_SECONDS = 3600.0
EXAMINE_AGAIN_SECONDS = 600.0
"""While doctor finds something broken: what was mended is soon seen to be. It asks Meta about seven questions each
time, and Meta takes 200 an hour: https://developers.facebook.com/documentation/business-messaging/whatsapp/about-the-platform"""
DOUBT_SECONDS = 30.0
"""How far apart examinations are that failures ask for; those that a person asks for may be ASKED_SECONDS apart."""
ASKED_SECONDS = 1.0

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
"""What a check is about, for those who do not know doctor's names."""

BY_DOCTOR = "doctor"
_SIGNATURE = (
    "Compare whatsapp.app_secret with the app's App settings > Basic, and restart wabot: Meta's webhooks are refused"
    " until they are the same. If they are, somebody else sent this one, and the problem ends with Meta's next webhook."
)
_FOREIGN = (
    "If one is your number, correct whatsapp.phone_number_id; else name them in whatsapp.ignore_phone_number_ids. Then"
    " restart wabot. They are kept for 7 days."
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
        self._check_problems: dict[str, str] = {}
        self._examine_at = self._examined_soon_at = 0.0
        self._soon = asyncio.Event()
        self._refused_by_disk = False
        self._warned: Mapping[str, str] = {}
        self._warning_ends_at = 0.0

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

    def job_settled(self, outcome: Outcome) -> None:
        """A send may have failed by its template: the first-contact one is doctor's to examine."""
        if outcome.code in _TEMPLATE_CODES and "template" not in self.problems:
            self.examine_soon()

    def template_changed(self) -> None:
        """Meta says that a template was approved, paused or rejected."""
        self.examine_soon()

    def webhook_refused(self) -> None:
        """A webhook came whose signature is missing or wrong."""
        self.problems.begin("signature", "Webhooks are refused: their signature is missing or wrong", _SIGNATURE)

    def webhook_arrived(self) -> None:
        """Meta signed one, and it said something: doctor's own says nothing, and proves nothing of Meta's secret."""
        self.last_webhook_at = self._clock()
        self.problems.end("signature")
        self.problems.end("signature", by=BY_DOCTOR)

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
            self.problems.begin("mongo", reason, remedies.MONGO, by="recorder")

    def account_said(self, news: AccountNews) -> None:
        """Meta restricts the account, lifts that, or warns. While it is blocked altogether, the lane is paused."""
        if news.standing is Standing.RESTRICTED:
            remedy = remedies.of_sends(None, blocked=True).remedy
            self.problems.begin("account", news.reason, remedy, by="news", next_probe=news.until)
        elif news.standing is Standing.LIFTED:
            self.problems.end("account", by="news")
        elif news.standing is Standing.WARNED:
            self._warning_ends_at = self._clock() + WARNING_SECONDS
            self.problems.begin("warning", news.reason, remedies.OF_WARNING, by="news")

    # What is looked at

    def last_answer(self) -> Check | None:
        """What the model's last real answer was like: calling it to find out would cost money."""
        return self._model

    async def look(self) -> None:
        """The disk, the journal and what is kept of other numbers' webhooks."""
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
        check = doctor_checks.disk(usage.free, usage.total, str(self._data_dir))
        self._heed(check, by="look")

    def _look_at_journal(self) -> None:
        """What it refuses for want of room is the disk's problem, also for the moment until that is forgotten."""
        reason = self._journal.refused_lately
        self._refused_by_disk = reason is not None and ("disk" in self.problems or self._refused_by_disk)
        if reason is None or self._refused_by_disk:
            self.problems.end("journal")
        else:
            remedy = f"See that {self._data_dir} has room and works, and that no other program holds wabot.db."
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
            if (check.name == "webhook" or check.problem == "signature") and self._heard_within(EXAMINE_SECONDS):
                continue  # Meta gets through, whatever this machine sees of its own address, and signs as we do
            self._heed(check, by=BY_DOCTOR)
        self._warn({check.name: f"{check.detail}. {check.remedy}" for check in checks if check.state is State.WARNING})

    async def run(self, doctor: Doctor) -> None:
        """Look and examine until cancelled."""
        while True:
            self._soon.clear()
            await self.look()
            if not 0 < self._examine_at - self._clock() <= EXAMINE_SECONDS:  # the clock may have been set back
                self._examine_at = self._clock() + EXAMINE_SECONDS
                await self.examine(doctor)
                if self._check_problems or not doctor.reached:
                    self._examine_at = min(self._examine_at, self._clock() + EXAMINE_AGAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, max(self._examine_at - self._clock(), 0.0))):
                    await self._soon.wait()

    def examine_soon(self, apart: float = DOUBT_SECONDS) -> None:
        """Something happened that doctor can explain: examine now, or `apart` seconds after the last time this was so.

        With ASKED_SECONDS, a person asks for it: what was broken may be mended.
        """
        now = self._clock()
        at = min(max(now, self._examined_soon_at + apart), now + apart)
        if at < self._examine_at:
            self._examine_at = self._examined_soon_at = at
            self._soon.set()

    def _heard_within(self, seconds: float) -> bool:
        return self.last_webhook_at is not None and self._clock() - self.last_webhook_at < seconds

    def _heed(self, check: Check, *, by: str) -> None:
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
        """What is no problem yet, once each."""
        for name, detail in warnings.items():
            if name not in self._warned:
                log.warning("doctor.warned", check=name, detail=detail)
        self._warned = warnings
