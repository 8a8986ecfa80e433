from __future__ import annotations

from dataclasses import replace

import pytest

from wabot.core.jobs import Event, Job, Kind, Outcome, Pause, State, move
from wabot.core.may_send import check
from wabot.core.messages import SERVICE_WINDOW_SECONDS, Contact, Stop
from wabot.core.outgoing import Origin, Outgoing

NOW = 1_700_000_000.0
ATTEMPTS = 3
TEXT = Outgoing({"type": "text", "text": {"body": "Hi"}}, "Hi", Origin.AI)
TEMPLATE = Outgoing({"type": "template", "template": {"name": "offer"}}, "[template offer]", Origin.BULK)
CONTACT = Contact(1, wa_id="919216598210", last_inbound_at=NOW - 60)
JOB = Job(7, Kind.SEND, CONTACT, token=1, attempt=1, spent=0, created_at=NOW, outgoing=TEXT)
PAUSE = Pause(NOW + 3600, refuse=False, reason="The template rests", code=132015)


def told(job: Job, *, now: float = NOW) -> tuple[Event, int | str | None] | None:
    outcome = check(job, now, attempts=ATTEMPTS)
    if outcome is None:
        return None
    assert not outcome.spent, "no request was made"
    assert outcome.error
    move(State.RUNNING, outcome.event)
    return outcome.event, outcome.code


def of(origin: Origin, *, stopped: Stop | None, template: bool = False) -> Job:
    outgoing = replace(TEMPLATE if template else TEXT, origin=origin)
    return replace(JOB, outgoing=outgoing, contact=replace(CONTACT, stopped=stopped))


@pytest.mark.parametrize("outgoing", [TEXT, TEMPLATE])
def test_a_send_that_nothing_speaks_against_may_leave(outgoing: Outgoing) -> None:
    assert told(replace(JOB, outgoing=outgoing)) is None


def test_a_send_without_a_message_is_over() -> None:
    assert told(replace(JOB, outgoing=None)) == (Event.GIVE_UP, "no_message")


def test_a_send_to_somebody_who_lost_their_number_is_over() -> None:
    assert told(replace(JOB, contact=replace(CONTACT, wa_id=None))) == (Event.GIVE_UP, "passed_on")


def test_a_send_that_is_too_late_expires_at_its_very_second() -> None:
    job = replace(JOB, expires_at=NOW)
    assert told(job, now=NOW - 0.001) is None
    assert told(job) == (Event.EXPIRE, "expired")


def test_the_window_closes_24_hours_after_their_own_message() -> None:
    assert told(JOB, now=NOW - 60 + SERVICE_WINDOW_SECONDS - 1) is None
    assert told(JOB, now=NOW - 60 + SERVICE_WINDOW_SECONDS) == (Event.EXPIRE, "window_closed")


def test_nobody_is_written_to_freely_who_never_wrote() -> None:
    assert told(replace(JOB, contact=replace(CONTACT, last_inbound_at=None))) == (Event.EXPIRE, "window_closed")


def test_a_template_needs_no_window() -> None:
    assert told(replace(JOB, outgoing=TEMPLATE, contact=Contact(1, wa_id="919216598210"))) is None


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("template", [True, False])
def test_who_opted_out_gets_nothing_but_the_confirmation(origin: Origin, template: bool) -> None:
    tells_owner = origin is Origin.SERVICE and template
    expected = None if origin is Origin.CONFIRMATION or tells_owner else (Event.GIVE_UP, "opted_out")
    assert told(of(origin, stopped=Stop.ALL, template=template)) == expected


@pytest.mark.parametrize("origin", list(Origin))
def test_who_could_not_be_reached_gets_all_but_bulk(origin: Origin) -> None:
    expected = (Event.GIVE_UP, "unreachable") if origin is Origin.BULK else None
    job = replace(of(origin, stopped=Stop.UNREACHABLE, template=True), category="UTILITY")
    assert told(job) == expected


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("category", ["MARKETING", "UTILITY", "AUTHENTICATION", "SOMETHING_NEW", None])
def test_who_stopped_marketing_gets_no_template_that_may_be_marketing_unless_it_answers_them(
    origin: Origin, category: str | None
) -> None:
    unasked = origin in (Origin.BULK, Origin.STAFF)
    expected = (Event.GIVE_UP, "opted_out") if unasked and category not in ("UTILITY", "AUTHENTICATION") else None
    assert told(replace(of(origin, stopped=Stop.MARKETING, template=True), category=category)) == expected


def test_who_stopped_marketing_gets_what_staff_writes_to_them() -> None:
    assert told(of(Origin.STAFF, stopped=Stop.MARKETING)) is None


def test_who_opted_out_is_told_so_though_the_window_is_closed_too() -> None:
    job = replace(JOB, contact=replace(CONTACT, stopped=Stop.ALL, last_inbound_at=None))
    assert told(job) == (Event.GIVE_UP, "opted_out")


def test_a_send_that_used_up_its_tries_is_over() -> None:
    assert told(replace(JOB, spent=ATTEMPTS - 1)) is None
    assert told(replace(JOB, spent=ATTEMPTS)) == (Event.GIVE_UP, "attempts")


def test_a_send_of_a_resting_template_waits_until_it_is_over() -> None:
    job = replace(JOB, outgoing=TEMPLATE, pause=PAUSE)
    assert check(job, NOW, attempts=ATTEMPTS) == Outcome(
        Event.HOLD, due_at=NOW + 3600, spent=False, error="The template rests", code=132015
    )
    assert told(job, now=NOW + 3600) is None


def test_a_send_of_a_template_that_meta_does_not_know_is_declined_meanwhile() -> None:
    pause = replace(PAUSE, refuse=True, code=132001)
    assert told(replace(JOB, outgoing=TEMPLATE, pause=pause)) == (Event.GIVE_UP, 132001)
    assert told(replace(JOB, outgoing=TEMPLATE, pause=pause), now=NOW + 3600) is None


def test_what_expires_while_its_template_rests_expires() -> None:
    assert told(replace(JOB, outgoing=TEMPLATE, pause=PAUSE, expires_at=NOW)) == (Event.EXPIRE, "expired")
