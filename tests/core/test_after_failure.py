from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wabot.core.after_failure import (
    BOUNCE_SECONDS,
    STEP_ASIDE_SECONDS,
    after_bounce,
    after_failure,
    after_hold,
    backoff,
)
from wabot.core.exceptions import Blocked, DeliveryError, Effect, Refused, Scope, Unavailable, Unclear
from wabot.core.jobs import OPEN, Event, Halt, Outcome, Policy, State, move
from wabot.core.outage_detection import Blame, concerns

NOW = 1_700_000_000.0
DAY = 86400.0
POLICY = Policy(attempts=4, backoff_base_seconds=1.0, backoff_max_seconds=300.0, hold_seconds=90.0)

# Back-off.

_POLICIES = st.builds(
    lambda base, factor: Policy(backoff_base_seconds=base, backoff_max_seconds=base * factor),
    st.floats(0.01, 100),
    st.floats(1, 10_000),
)
_NOISE = st.floats(0, 1, exclude_max=True)


@given(spent=st.integers(-1, 10_000), policy=_POLICIES, noise=_NOISE)
def test_a_back_off_is_between_half_and_the_whole_of_its_ceiling(spent: int, policy: Policy, noise: float) -> None:
    ceiling = min(policy.backoff_base_seconds * 2.0 ** min(max(spent - 1, 0), 60), policy.backoff_max_seconds)
    assert ceiling / 2 <= backoff(spent, policy, noise) <= ceiling
    assert backoff(spent, policy, noise) >= policy.backoff_base_seconds / 2


@given(spent=st.integers(0, 1000), policy=_POLICIES)
def test_the_longer_it_fails_the_longer_we_wait(spent: int, policy: Policy) -> None:
    assert backoff(spent, policy, 0.0) <= backoff(spent + 1, policy, 0.0)


@given(policy=_POLICIES, one=_NOISE, other=_NOISE)
def test_noise_spreads_those_that_failed_together(policy: Policy, one: float, other: float) -> None:
    if abs(one - other) > 0.01:
        assert backoff(3, policy, one) != backoff(3, policy, other)


def test_a_back_off_doubles_up_to_the_maximum() -> None:
    policy = Policy(backoff_base_seconds=1, backoff_max_seconds=10)
    assert [backoff(spent, policy, 0.5) for spent in range(1, 7)] == [0.75, 1.5, 3.0, 6.0, 7.5, 7.5]


# What follows from a failed request.


def failed(error: DeliveryError, *, spent: int = 0, attempt: int = 1, policy: Policy = POLICY) -> Outcome:
    return after_failure(error, spent=spent, attempt=attempt, policy=policy, now=NOW, noise=0.5)


@pytest.mark.parametrize("spent", [0, 3, 9])
def test_what_may_have_happened_is_in_doubt_for_the_hold_however_often_it_was_tried(spent: int) -> None:
    outcome = failed(Unclear("cut", code="disconnect"), spent=spent)
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.LOSE_TRACK, NOW + 90, True)
    assert (outcome.error, outcome.code, outcome.halt) == ("cut", "disconnect", None)


@pytest.mark.parametrize("spent", [0, 3, 9])
def test_where_nobody_gets_through_the_send_waits_and_loses_nothing(spent: int) -> None:
    outcome = failed(Blocked("token", code=190, scope=Scope.NUMBER), spent=spent)
    assert (outcome.event, outcome.due_at, outcome.spent, outcome.halt) == (Event.RETRY, NOW, False, Halt.BLOCKED)


@pytest.mark.parametrize(
    ("scope", "effect"), [(Scope.TEMPLATE, Effect.PAUSE_TEMPLATE), (Scope.TEMPLATES, Effect.PAUSE_TEMPLATES)]
)
@pytest.mark.parametrize(("wait", "waited"), [(3600.0, 3600.0), (None, STEP_ASIDE_SECONDS)])
def test_a_send_of_a_paused_template_is_held_and_pauses_only_templates(
    scope: Scope, effect: Effect, wait: float | None, waited: float
) -> None:
    outcome = failed(Blocked("paused", code=132015, scope=scope, wait=wait), spent=9)
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.HOLD, NOW + waited, False)
    assert (outcome.effect, outcome.effect_seconds, outcome.halt) == (effect, waited, None)


def test_what_was_declined_is_over_with_its_effect() -> None:
    outcome = failed(Refused("unknown template", code=132001, effect=Effect.PAUSE_TEMPLATE, wait=60.0))
    assert (outcome.event, outcome.error, outcome.code) == (Event.GIVE_UP, "unknown template", 132001)
    assert (outcome.effect, outcome.effect_seconds) == (Effect.PAUSE_TEMPLATE, 60.0)


@pytest.mark.parametrize(("spent", "waited"), [(0, 0.75), (1, 1.5), (2, 3.0)])
def test_meta_in_trouble_is_asked_again_with_back_off(spent: int, waited: float) -> None:
    outcome = failed(Unavailable("overload", code=2), spent=spent, attempt=50)
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.RETRY, NOW + waited, True)


@pytest.mark.parametrize(("tries", "last"), [(None, 3), (2, 1), (1, 0), (99, 3)])
def test_the_last_try_gives_up(tries: int | None, last: int) -> None:
    assert failed(Unavailable("overload", code=2, tries=tries), spent=last).event is Event.GIVE_UP
    if last:
        assert failed(Unavailable("overload", code=2, tries=tries), spent=last - 1).event is Event.RETRY


@pytest.mark.parametrize("scope", [Scope.NUMBER, Scope.CONTACT])
@pytest.mark.parametrize("spent", [0, 3, 99])
def test_what_everybody_meets_uses_up_no_try_and_never_gives_up(scope: Scope, spent: int) -> None:
    outcome = failed(Unavailable("too fast", code=130429, scope=scope), spent=spent)
    assert (outcome.event, outcome.spent) == (Event.RETRY, False)


def test_what_everybody_meets_backs_off_by_the_requests_made() -> None:
    error = Unavailable("out of reach", code="connect", scope=Scope.NUMBER)
    waits = [failed(error, attempt=attempt).due_at - NOW for attempt in (1, 2, 3, 20)]
    assert waits == [0.75, 1.5, 3.0, 225.0]


TROUBLE = Unavailable("It failed", code=131000, scope=Scope.META, tries=3)


@pytest.mark.parametrize("spent", [0, 2, 99])
def test_in_an_outage_nothing_is_spent_and_the_lane_probes(spent: int) -> None:
    outcome = after_failure(TROUBLE, spent=spent, attempt=50, policy=POLICY, now=NOW, noise=0.5, blame=Blame.META)
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.RETRY, NOW, False)
    assert outcome.halt is Halt.OUTAGE


@pytest.mark.parametrize("blame", [Blame.META, Blame.TROUBLE])
@pytest.mark.parametrize("spent", [0, 99])
def test_in_an_outage_what_may_have_happened_is_in_doubt_but_uses_up_no_try(spent: int, blame: Blame) -> None:
    lost = Unclear("no answer", code="timeout")
    outcome = after_failure(lost, spent=spent, policy=POLICY, now=NOW, noise=0.5, blame=blame)
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.LOSE_TRACK, NOW + 90, False)
    assert outcome.halt is (Halt.OUTAGE if blame is Blame.META else None)
    later = after_failure(lost, spent=spent, attempt=50, policy=POLICY, now=NOW, noise=0.5, blame=blame)
    assert later.due_at == NOW + 225, "each repetition may arrive: the longer it lasts the fewer there are"


@pytest.mark.parametrize("blame", [Blame.MESSAGE, Blame.UNKNOWN])
def test_what_is_in_doubt_without_an_outage_uses_up_a_try_since_each_may_arrive(blame: Blame) -> None:
    outcome = after_failure(Unclear("cut", code="cut"), spent=0, policy=POLICY, now=NOW, noise=0.5, blame=blame)
    assert (outcome.event, outcome.spent, outcome.halt) == (Event.LOSE_TRACK, True, None)


def test_what_may_be_an_outage_spends_nothing_and_backs_off_by_the_requests_made() -> None:
    outcomes = [
        after_failure(TROUBLE, spent=2, attempt=attempt, policy=POLICY, now=NOW, noise=0.5, blame=Blame.UNKNOWN)
        for attempt in (3, 4, 5, 20)
    ]
    assert {(outcome.event, outcome.spent, outcome.halt) for outcome in outcomes} == {(Event.RETRY, False, None)}
    assert [outcome.due_at - NOW for outcome in outcomes] == [3.0, 6.0, 12.0, 225.0]


def test_a_trouble_of_its_own_spends_a_try_and_the_last_one_gives_up() -> None:
    outcome = failed(TROUBLE, spent=1)
    assert (outcome.event, outcome.spent) == (Event.RETRY, True)
    assert failed(TROUBLE, spent=2).event is Event.GIVE_UP


def test_a_wait_that_meta_names_is_kept() -> None:
    assert failed(Unavailable("maintenance", code=131057, wait=60.0)).due_at == NOW + 60
    assert failed(Unavailable("maintenance", code=131057, wait=0.1)).due_at == NOW + 0.75


def test_a_long_wait_lets_what_else_is_owed_to_the_contact_pass() -> None:
    outcome = failed(Unavailable("marketing limit", code=131049, scope=Scope.CONTACT, wait=DAY, tries=3))
    assert (outcome.event, outcome.due_at, outcome.spent) == (Event.HOLD, NOW + DAY, True)
    assert failed(Unavailable("", scope=Scope.CONTACT, wait=DAY, tries=3), spent=2).event is Event.GIVE_UP
    assert failed(Unavailable("", wait=STEP_ASIDE_SECONDS - 1)).event is Event.RETRY


def test_an_error_that_has_no_rule_is_a_bug() -> None:
    with pytest.raises(TypeError):
        failed(DeliveryError("odd"))


_KINDS = st.one_of(
    st.builds(Unclear, st.text()),
    st.builds(Blocked, st.text(), scope=st.sampled_from(Scope), wait=st.none() | st.floats(0, 1e6)),
    st.builds(Refused, st.text(), scope=st.sampled_from(Scope), effect=st.sampled_from(Effect)),
    st.builds(
        Unavailable,
        st.text(),
        scope=st.sampled_from(Scope),
        wait=st.none() | st.floats(0, 1e6),
        tries=st.none() | st.integers(1, 9),
    ),
)


@given(error=_KINDS, spent=st.integers(0, 20), attempt=st.integers(1, 200), noise=_NOISE, blame=st.sampled_from(Blame))
def test_whatever_failed_the_outcome_can_be_applied_to_a_running_send(
    error: DeliveryError, spent: int, attempt: int, noise: float, blame: Blame
) -> None:
    blame = blame if concerns(error) else Blame.MESSAGE
    outcome = after_failure(error, spent=spent, attempt=attempt, policy=POLICY, now=NOW, noise=noise, blame=blame)
    after = move(State.RUNNING, outcome.event)
    assert outcome.error == error.reason
    if after in OPEN and outcome.halt is None:
        assert outcome.due_at >= NOW + POLICY.backoff_base_seconds / 2, "at once is too soon"
    if outcome.halt is not None:
        assert isinstance(error, Blocked) or blame is Blame.META


# What follows when no receipt came.


@pytest.mark.parametrize(("spent", "event"), [(1, Event.RETRY), (3, Event.RETRY), (4, Event.GIVE_UP)])
def test_a_doubt_that_nobody_ended_is_sent_again_as_often_as_allowed(spent: int, event: Event) -> None:
    outcome = after_hold(spent=spent, policy=POLICY, now=NOW)
    assert (outcome.event, outcome.spent) == (event, False)
    move(State.IN_DOUBT, outcome.event)


@pytest.mark.parametrize("spent", [1, 4, 9])
def test_a_doubt_waits_for_a_person_where_twice_must_not_be(spent: int) -> None:
    policy = Policy(attempts=4, resend_in_doubt=False)
    assert after_hold(spent=spent, policy=policy, now=NOW).event is Event.PARK


# What follows from a `failed` receipt.


def bounced(error: DeliveryError, *, spent: int = 1, undecided: bool = False, policy: Policy = POLICY) -> Outcome:
    return after_bounce(error, spent=spent, policy=policy, now=NOW, noise=0.5, undecided=undecided)


@pytest.mark.parametrize("spent", [1, 4])
def test_what_meta_declined_by_receipt_is_final(spent: int) -> None:
    for error in (Refused("undeliverable", code=131026), Unclear("odd")):
        outcome = bounced(error, spent=spent)
        assert (outcome.event, outcome.error, outcome.code) == (Event.GIVE_UP, error.reason, error.code)


@pytest.mark.parametrize(
    ("error", "waited"),
    [
        (Unavailable("unknown", code=131000, tries=3), 0.75),
        (Unavailable("marketing limit", code=131049, wait=DAY, tries=3), DAY),
        (Blocked("billing", code=131042, scope=Scope.NUMBER), 0.75),
        (Blocked("quality", code=131048, scope=Scope.TEMPLATES), STEP_ASIDE_SECONDS),
        (Blocked("paused", code=132015, scope=Scope.TEMPLATE, wait=10_800.0), 10_800.0),
    ],
)
def test_what_failed_for_now_by_receipt_is_sent_again_later(error: DeliveryError, waited: float) -> None:
    outcome = bounced(error)
    assert (outcome.event, outcome.due_at) == (Event.BOUNCE, NOW + waited)
    assert (outcome.error, outcome.code) == (error.reason, error.code)


def test_trouble_of_metas_that_comes_by_receipt_is_no_reason_to_hurry_nor_to_give_up_early() -> None:
    waits = [bounced(TROUBLE, spent=spent) for spent in (1, 2, 3)]
    assert [outcome.due_at - NOW for outcome in waits] == [BOUNCE_SECONDS] * 3
    assert bounced(TROUBLE, spent=4).event is Event.GIVE_UP


def test_a_bounce_gives_up_after_the_last_try() -> None:
    assert bounced(Unavailable("overload", code=2), spent=4).event is Event.GIVE_UP
    assert bounced(Unavailable("unknown", code=131000, tries=3), spent=3).event is Event.GIVE_UP
    assert bounced(Unavailable("unknown", code=131000, tries=3), spent=2).event is Event.BOUNCE


@pytest.mark.parametrize("scope", [Scope.NUMBER, Scope.TEMPLATE, Scope.TEMPLATES])
def test_what_nobody_gets_through_takes_no_try_when_a_receipt_says_it(scope: Scope) -> None:
    outcome = bounced(Blocked("billing", code=131042, scope=scope), spent=9)
    assert (outcome.event, outcome.spent) == (Event.BOUNCE, False)
    assert bounced(Unavailable("overload", code=2)).spent


def test_a_bounce_waits_for_the_fate_of_another_attempt() -> None:
    error = Unavailable("overload", code=2)
    assert bounced(error, undecided=True).due_at == NOW + POLICY.hold_seconds
    parks = Policy(attempts=4, resend_in_doubt=False)
    assert bounced(error, undecided=True, policy=parks).event is Event.PARK
    assert bounced(error, policy=parks).event is Event.BOUNCE


def test_what_nobody_gets_through_backs_off_by_the_requests_made() -> None:
    def waited(attempt: int) -> float:
        blocked = Blocked("billing", code=131042, scope=Scope.NUMBER)
        outcome = after_bounce(blocked, spent=1, attempt=attempt, policy=POLICY, now=NOW, noise=0.0)
        assert (outcome.event, outcome.spent) == (Event.BOUNCE, False)
        return (outcome.due_at or 0.0) - NOW

    assert [waited(attempt) for attempt in (1, 2, 3, 60)] == [0.5, 1.0, 2.0, POLICY.backoff_max_seconds / 2]


@given(error=_KINDS, spent=st.integers(1, 20), noise=_NOISE)
def test_a_bounce_never_says_it_again_at_once(error: DeliveryError, spent: int, noise: float) -> None:
    outcome = after_bounce(error, spent=spent, policy=POLICY, now=NOW, noise=noise)
    after = move(State.DONE, outcome.event)
    assert after in (State.HELD, State.FAILED)
    if after is State.HELD:
        assert outcome.due_at >= NOW + POLICY.backoff_base_seconds / 2
