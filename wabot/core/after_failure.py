"""What to do after a failed request to Meta or the model, a hold without a receipt, or a `failed` receipt."""

from __future__ import annotations

from wabot.core.exceptions import AssistantFailed, Blocked, DeliveryError, Effect, Refused, Scope, Unavailable, Unclear
from wabot.core.jobs import Event, Halt, Outcome, Policy
from wabot.core.outage_detection import Blame

STEP_ASIDE_SECONDS = 600.0
"""A send that must wait at least this long is held, so that other sends to its contact can pass."""

BOUNCE_SECONDS = 30.0
"""The least wait before a retry if Meta accepted a message and then failed it for reasons on Meta's side."""


def backoff(spent: int, policy: Policy, noise: float) -> float:
    """Seconds to wait after the `spent`-th try failed: doubles up to the maximum, with equal jitter.

    `noise` is in [0, 1). Half of the delay is fixed, so that it is never near zero.
    """
    exponent = min(max(spent, 1) - 1, 62)
    ceiling = min(policy.backoff_base_seconds * 2.0**exponent, policy.backoff_max_seconds)
    return ceiling / 2 + noise * ceiling / 2


def after_failure(
    error: DeliveryError,
    *,
    spent: int,
    policy: Policy,
    now: float,
    noise: float,
    attempt: int = 1,
    blame: Blame = Blame.MESSAGE,
) -> Outcome:
    """What to do after a failed request, the `attempt`-th of a send that had used up `spent` tries before.

    `blame`: whose fault it is, if the error may be part of an outage. In an outage the lane pauses and probes, and no
    try is used up, however long it lasts. What may have happened is in doubt even then: it waits for its receipt, and
    for its back-off, so that few copies arrive.
    """
    match error:
        case Unclear():
            metas_fault = blame in (Blame.META, Blame.TROUBLE)
            wait = max(policy.hold_seconds, backoff(attempt, policy, noise) if metas_fault else 0.0)
            return Outcome(
                Event.LOSE_TRACK, due_at=now + wait, spent=not metas_fault, error=error.reason, code=error.code,
                halt=Halt.OUTAGE if blame is Blame.META else None,
            )  # fmt: skip
        case Blocked(scope=Scope.NUMBER):
            return Outcome(Event.RETRY, due_at=now, spent=False, error=error.reason, code=error.code, halt=Halt.BLOCKED)
        case Blocked():
            wait = max(error.wait or 0.0, STEP_ASIDE_SECONDS)
            effect = Effect.PAUSE_TEMPLATE if error.scope is Scope.TEMPLATE else Effect.PAUSE_TEMPLATES
            return Outcome(
                Event.HOLD, due_at=now + wait, spent=False, error=error.reason, code=error.code,
                effect=effect, effect_seconds=wait,
            )  # fmt: skip
        case Unavailable():
            return _after_unavailable(
                error, spent=spent, attempt=attempt, policy=policy, now=now, noise=noise, blame=blame
            )
        case Refused():
            return Outcome(
                Event.GIVE_UP, error=error.reason, code=error.code, effect=error.effect,
                effect_seconds=error.wait or 0.0,
            )  # fmt: skip
    raise TypeError(f"no rule for {error!r}")


def _after_unavailable(
    error: Unavailable, *, spent: int, attempt: int, policy: Policy, now: float, noise: float, blame: Blame
) -> Outcome:
    if blame is Blame.META:
        return Outcome(Event.RETRY, due_at=now, spent=False, error=error.reason, code=error.code, halt=Halt.OUTAGE)
    uses_up_a_try = _is_own_fault(error, blame)
    if uses_up_a_try and spent + 1 >= min(policy.attempts, error.tries or policy.attempts):
        return Outcome(Event.GIVE_UP, error=error.reason, code=error.code)
    grows_with_requests = not uses_up_a_try and error.scope is not Scope.CONTACT
    failed = max(spent + 1, attempt) if grows_with_requests else spent + 1
    wait = max(error.wait or 0.0, backoff(failed, policy, noise))
    event = Event.HOLD if wait >= STEP_ASIDE_SECONDS else Event.RETRY
    return Outcome(event, due_at=now + wait, spent=uses_up_a_try, error=error.reason, code=error.code)


def _is_own_fault(error: Unavailable, blame: Blame) -> bool:
    """Whether only this message fails: neither is the number or the pair throttled, nor may it be an outage."""
    hits_others = error.scope in (Scope.NUMBER, Scope.CONTACT) and error.tries is None
    return blame is Blame.MESSAGE and not hits_others


def after_model_failure(
    error: AssistantFailed, *, spent: int, policy: Policy, now: float, noise: float
) -> Outcome | None:
    """The model failed at a reply for which `spent` tries were used up before: when to ask it again.

    None: it was asked as often as allowed, so the contact gets the fallback text.
    """
    if spent + 1 >= policy.attempts:
        return None
    due = now + backoff(spent + 1, policy, noise)
    return Outcome(Event.RETRY, due_at=due, error=str(error), code="assistant")


def after_hold(*, spent: int, policy: Policy, now: float) -> Outcome:
    """What to do when the hold ends without a receipt; `spent` includes the try in doubt."""
    if not policy.resend_in_doubt:
        return Outcome(Event.PARK, spent=False)
    if spent >= policy.attempts:
        return Outcome(Event.GIVE_UP, spent=False)
    return Outcome(Event.RETRY, due_at=now, spent=False)


def after_bounce(
    error: DeliveryError,
    *,
    spent: int,
    policy: Policy,
    now: float,
    noise: float,
    attempt: int = 1,
    undecided: bool = False,
) -> Outcome:
    """What to do when Meta accepted a send and then sent a `failed` receipt: a new attempt, or give up.

    The receipt proves that this attempt was not delivered, so a new one cannot arrive twice, unless the result of
    another attempt is `undecided`: then the new attempt waits for `hold_seconds`. `spent` includes the attempt that
    bounced. A Blocked error uses up no try: that try is given back, and the back-off grows with the number of requests,
    of which this was the `attempt`-th.
    """
    blocked = isinstance(error, Blocked)
    if isinstance(error, Refused | Unclear) or (not blocked and spent >= _tries_of_a_bounce(error, policy)):
        return Outcome(Event.GIVE_UP, error=error.reason, code=error.code)
    if undecided and not policy.resend_in_doubt:
        return Outcome(Event.PARK, error=error.reason, code=error.code)
    wait = backoff(max(spent, attempt) if blocked else spent, policy, noise)
    if isinstance(error, Unavailable | Blocked) and error.wait:
        wait = max(wait, error.wait)
    if error.scope is Scope.META:  # in an outage every attempt may be accepted and then fail: make the tries last
        wait = max(wait, BOUNCE_SECONDS)
    if blocked and error.scope is not Scope.NUMBER:  # if the whole number is blocked, the lane pauses instead
        wait = max(wait, STEP_ASIDE_SECONDS)
    if undecided:
        wait = max(wait, policy.hold_seconds)
    return Outcome(Event.BOUNCE, due_at=now + wait, spent=not blocked, error=error.reason, code=error.code)


def _tries_of_a_bounce(error: DeliveryError, policy: Policy) -> int:
    few = error.tries if isinstance(error, Unavailable) and error.scope is not Scope.META else None
    return min(few or policy.attempts, policy.attempts)
