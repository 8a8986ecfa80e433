"""The accounts of this process: one business number each, with its own journal, lanes and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wabot.core.exceptions import JournalDown, WabotError
from wabot.core.jobs import Kind
from wabot.doctor.doctor import Doctor
from wabot.journal.journal import Journal
from wabot.metrics import Metrics
from wabot.monitor.problem_sources import Watch
from wabot.monitor.rates import Rates
from wabot.monitor.readiness import Readiness
from wabot.service import Service
from wabot.settings.loading import Settings
from wabot.work.lane import Lane
from wabot.work.trial import Trial


class UnknownAccount(WabotError):
    """No account has this name."""


class AccountStopped(JournalDown):
    """The journal of an account could not be opened, so it does nothing until the next start."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one account from the others. `app_secret` None: its webhooks need no signature."""

    name: str
    phone_number_id: str
    business_account_id: str
    app_secret: bytes | None
    verify_token: str
    api_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """The running parts of one account. `loops`: its background loops; each runs until cancelled."""

    identity: Identity
    service: Service
    journal: Journal
    lanes: Mapping[Kind, Lane]
    readiness: Readiness
    metrics: Metrics
    watch: Watch
    rates: Rates
    trial: Trial
    settings: Settings
    doctor: Doctor
    loops: tuple[Callable[[], Awaitable[None]], ...]

    @property
    def name(self) -> str:
        """Its name in the settings; `main` is that of [whatsapp]."""
        return self.identity.name


@dataclass(frozen=True, slots=True)
class Stopped:
    """An account whose journal could not be opened: since when (Unix seconds), and why."""

    identity: Identity
    since: float
    reason: str


class Accounts:
    """All accounts by name. Those that are `stopped` keep no others from working.

    `default`: the account of a request that names none. `shared_opt_outs`: an opt-out from one account is one from all.
    """

    def __init__(
        self,
        running: Sequence[Account],
        stopped: Sequence[Stopped] = (),
        *,
        default: str,
        shared_opt_outs: bool = False,
    ) -> None:
        self.running = {account.name: account for account in running}
        self.stopped = {one.identity.name: one for one in stopped}
        self.default, self._shared_opt_outs = default, shared_opt_outs
        self.identities = [account.identity for account in running] + [one.identity for one in stopped]
        """Of all accounts, those that run first."""
        self._names = {one.phone_number_id: one.name for one in self.identities}

    def __iter__(self) -> Iterator[Account]:
        return iter(self.running.values())

    @property
    def several(self) -> bool:
        """Whether answers, metrics and log lines name the account."""
        return len(self.running) + len(self.stopped) > 1

    def label(self, account: Account) -> Mapping[str, str]:
        """What answers about an account carry."""
        return {"account": account.name} if self.several else {}

    def sharing_opt_outs_with(self, account: Account) -> list[Account]:
        """The accounts that are bound by what somebody wants of this one."""
        return list(self) if self._shared_opt_outs else [account]

    def named(self, name: str) -> Account:
        """The account of this name. Raises UnknownAccount, AccountStopped."""
        if (stopped := self.stopped.get(name)) is not None:
            raise AccountStopped(f"the account {name} is stopped: {stopped.reason}")
        if name not in self.running:
            raise UnknownAccount(f"no account is called {name[:32]!r}")
        return self.running[name]

    def of_number(self, phone_number_id: str) -> Account:
        """The account of this phone number id. Raises UnknownAccount, AccountStopped."""
        if (name := self._names.get(phone_number_id)) is None:
            raise UnknownAccount("no account has this phone number id")
        return self.named(name)

    async def state(self) -> tuple[bool, dict[str, Any]]:
        """Whether any account works, and the state of all: that of the first one, with the problems of each.

        A problem that several accounts have alike is named once, with all of them.
        """
        if not self.several:
            return await next(iter(self)).readiness.state()
        found = await asyncio.gather(*(account.readiness.state() for account in self))
        states = dict(zip(self.running, found, strict=True))
        problems = dict[tuple[str, str], dict[str, Any]]()
        for name, (_, state) in states.items():
            for problem in state["problems"]:
                known = problems.setdefault((problem["what"], problem["remedy"]), {**problem, "accounts": []})
                known["accounts"].append(name)
        for problem in problems.values():
            if len(problem["accounts"]) == 1:
                (problem["account"],) = problem.pop("accounts")
        shown = {name: {key: state[key] for key in state if key != "problems"} for name, (_, state) in states.items()}
        ready = any(ready for ready, _ in states.values())
        return ready, {
            **next(iter(shown.values())),
            "ready": ready,
            "last_webhook_at": max((one["last_webhook_at"] or 0.0 for one in shown.values()), default=0.0) or None,
            "accounts": shown | {name: {"ready": False, "journal": "down"} for name in self.stopped},
            "problems": [*map(_problem, self.stopped.values()), *problems.values()],
        }


def _problem(stopped: Stopped) -> dict[str, Any]:
    return {
        "what": f"The account {stopped.identity.name} is stopped: {stopped.reason}",
        "since": stopped.since,
        "remedy": "Solve this and restart wabot. The other accounts work; Meta repeats this one's webhooks for 7 days.",
        "account": stopped.identity.name,
    }
