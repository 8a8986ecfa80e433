"""Why a job waits, in plain words, for the person who asks."""

from __future__ import annotations

from wabot.core.jobs import Kind, State

_BEHIND = {
    Kind.REPLY: "Waits behind the reply that is being made for the same person",
    Kind.SEND: "Waits behind an older message to the same person",
    Kind.EVENT: "Waits behind an older event about the same person",
}
_NOW = {
    Kind.REPLY: "Is being answered now", Kind.SEND: "Is being handed to Meta now", Kind.EVENT: "Is being told now",
}  # fmt: skip
_QUIET = "Quiet window: the person may still be writing"
_NOT_YET = "Is not due yet"
_NEXT = "Is due, and next as soon as the lane has room"
_IN_DOUBT = "Meta may have it: waits for its receipt"
_PARKED = "It may have been sent: waits for a person to retry or to cancel it"


def why(
    kind: Kind, state: str, *, due_at: float, now: float, attempts: int, error: str | None, paused: str | None
) -> str | None:
    """Why a job waits, or what is done with it now; None if it is settled or its state is unknown.

    `error`: of its last attempt. `paused`: why its lane is paused, if it is.
    """
    fixed: dict[str, str] = {
        State.WAITING: _BEHIND[kind], State.RUNNING: _NOW[kind], State.IN_DOUBT: _IN_DOUBT, State.PARKED: _PARKED,
        State.HELD: f"Is held: {error}" if error else "Is held",
    }  # fmt: skip
    return _why_queued(kind, due_at <= now, attempts, error, paused) if state == State.QUEUED else fixed.get(state)


def _why_queued(kind: Kind, due: bool, attempts: int, error: str | None, paused: str | None) -> str:
    if paused:
        return f"The {kind} lane is paused: {paused}"
    if error:
        return f"Is tried again: {error}"
    if due:
        return _NEXT
    return _QUIET if kind is Kind.REPLY and not attempts else _NOT_YET
