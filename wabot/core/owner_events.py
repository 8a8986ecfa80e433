"""What happened, for the owner's own programs: the types, who wants which, and what follows from an answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wabot.core.after_failure import backoff
from wabot.core.jobs import Event, Outcome, Policy

TYPES = (
    "message.received", "message.sent", "message.delivered", "message.read", "message.failed", "contact.handoff",
    "contact.resumed", "contact.opted_out", "contact.opted_in", "batch.settled", "lane.paused", "lane.resumed",
    "template.paused", "account.alert",
)  # fmt: skip

KEPT_SECONDS = 3 * 86400.0
"""How long an event is tried after it was written."""
RETRIES = Policy(backoff_base_seconds=4.0, backoff_max_seconds=300.0)
"""The first retry follows within four seconds, the later ones within five minutes."""
GONE = 410
"""An endpoint that answers so wants nothing more."""
NOBODY = 0
"""In place of a contact's id: the event is about no contact."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of the owner's programs. `types`: those that it wants, "*" and "message.*" included."""

    url: str
    secret: str
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its address as people see it."""
        return shown_address(self.url)

    def wants(self, type_: str) -> bool:
        """Whether it is told of events of this type."""
        return any(is_within(type_, wanted) for wanted in self.types)


def shown_address(url: str) -> str:
    """An address without what may be a secret: user and password, and the query."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def is_within(type_: str, wanted: str) -> bool:
    """Whether a type is what `wanted` names: itself, or all that begins like "message.*"."""
    return wanted in (type_, "*") or (wanted.endswith(".*") and type_.startswith(wanted[:-1]))


def unknown(wanted: Iterable[str]) -> list[str]:
    """Those that name no type."""
    return [one for one in wanted if not any(is_within(type_, one) for type_ in TYPES)]


def after_failed_post(error: str, *, spent: int, now: float, expires_at: float, noise: float) -> Outcome:
    """The post failed for the `spent + 1`-th time: try again with growing delays, until it is too late."""
    if now >= expires_at:
        return Outcome(Event.GIVE_UP, error=error)
    due = now + backoff(spent + 1, RETRIES, noise)
    return Outcome(Event.RETRY, due_at=min(due, expires_at), error=error)
