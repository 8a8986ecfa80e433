"""A person is asked for: the assistant is silent, the contact is told, and the owner, each once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, EVA, NOW, RULES, Scene, sent, text
from tests.journal.scene import said as says
from tests.journal.test_forgetting import traces
from wabot.core.handoff import HandoffRules, Reason
from wabot.core.jobs import Event, Kind, Outcome
from wabot.core.messages import Direction, Person
from wabot.core.optout import folded
from wabot.journal import erasure, takeover

OWNER = "4930123456"
HANDOFF = HandoffRules(
    words=folded(("agent", "hablar con una persona")),
    notice="A colleague will answer.",
    resume_seconds=12 * 3600.0,
    unanswered_seconds=1800.0,
    unanswered_notice="Not forgotten.",
    alert_number=OWNER,
    alert_template="someone_waits",
)
RULES_NOW = replace(RULES, handoff=HANDOFF)


@pytest.fixture
async def desk(scene: Scene) -> Scene:
    await scene.journal.close()
    await scene.open(rules=RULES_NOW)
    return scene


def queued(scene: Scene, number: str = ANA) -> list[str]:
    """What was queued for somebody, oldest first."""
    return [
        row["body"]
        for row in scene.rows("SELECT body FROM messages WHERE direction = 'out' AND person = ? ORDER BY id", number)
    ]


def alerts(scene: Scene) -> list[list[str]]:
    """What the owner was told, oldest first: who and why."""
    rows = scene.rows("SELECT raw FROM messages WHERE person = ? AND direction = 'out' ORDER BY id", OWNER)
    found = []
    for row in rows:
        template = json.loads(row["raw"])["template"]
        assert template["name"] == "someone_waits"
        found.append([parameter["text"] for parameter in template["components"][0]["parameters"]])
    return found


async def pass_time(scene: Scene, seconds: float) -> None:
    """The timers work whenever something is due, and not before."""
    end = scene.now + seconds
    while (due := await scene.journal.tend_at(scene.now)) <= end:
        scene.now = max(scene.now, due)
        await scene.journal.tend(scene.now)
    scene.now = end


async def about(scene: Scene, number: str = ANA) -> dict[str, Any]:
    found = await scene.journal.contact(number, scene.now)
    assert found is not None
    return found


@pytest.mark.parametrize("word", ["agent", "Agent!", "Hablar con una persona"])
async def test_who_asks_for_a_person_gets_one_line_and_no_answer(desk: Scene, word: str) -> None:
    await desk.hear(says("wamid.0", body="Where is my order?"))
    taken = await desk.hear(says("wamid.1", body=word))
    assert (taken.replies, taken.handoffs) == (0, 1)
    assert queued(desk) == ["A colleague will answer."]
    assert [state for _, state in desk.jobs(Kind.REPLY)] == ["cancelled"]
    found = await about(desk)
    assert (found["assistant"]["state"], found["assistant"]["reason"]) == ("paused", "asked")
    assert found["attention"] == {"since": NOW, "reason": "asked"}
    await desk.hear(says("wamid.2", body=word))
    assert queued(desk) == ["A colleague will answer."]


async def test_a_sentence_with_the_word_is_answered_by_the_assistant(desk: Scene) -> None:
    assert (await desk.hear(says("wamid.1", body="Is your agent nice?"))).replies == 1


async def test_who_waits_is_told_once_and_the_owner_again(desk: Scene) -> None:
    await desk.hear(says("wamid.1", Person(ANA, None, "Ana\nAnders"), body="agent"))
    await pass_time(desk, 10)
    assert alerts(desk) == [[f"Ana Anders (+{ANA})", "asks for a person"]]
    await pass_time(desk, 8 * 3600)
    assert queued(desk) == ["A colleague will answer.", "Not forgotten."]
    assert alerts(desk)[1:] == [[f"Ana Anders (+{ANA})", "still waits for a person"]]


@pytest.mark.parametrize("before", ["a failure", "a handoff that nobody answered"])
async def test_who_asks_again_waits_anew(desk: Scene, before: str) -> None:
    await desk.hear(says("wamid.1", body="agent" if before != "a failure" else "Hello"))
    contact_id = desk.row("SELECT id FROM contacts")["id"]
    if before == "a failure":
        await desk.journal.writer(takeover.hand_off, contact_id, HANDOFF.begin(Reason.FAILURE), desk.now)
    await pass_time(desk, 13 * 3600)
    told = len(queued(desk)), len(alerts(desk))
    await desk.hear(says("wamid.2", body="agent", at=desk.now))
    assert (await about(desk))["attention"]["since"] == desk.now
    await pass_time(desk, 600)
    await desk.hear(says("wamid.3", body="agent", at=desk.now))  # who waits already is in no new queue
    await pass_time(desk, 3 * 3600)
    assert queued(desk)[told[0] :] == ["A colleague will answer.", "Not forgotten."]
    assert [why for _, why in alerts(desk)][told[1] :] == ["asks for a person", "still waits for a person"]


async def test_the_owner_is_told_again_when_the_contact_is_and_not_an_hour_later(desk: Scene) -> None:
    await desk.hear(says("wamid.1", body="agent"))
    await pass_time(desk, 1799)
    assert len(alerts(desk)) == 1
    await pass_time(desk, 2)
    assert queued(desk) == ["A colleague will answer.", "Not forgotten."]
    assert [why for _, why in alerts(desk)] == ["asks for a person", "still waits for a person"]
    await pass_time(desk, 11 * 3600)
    assert len(alerts(desk)) == 2


async def test_nobody_is_reminded_of_whom_staff_answered(desk: Scene) -> None:
    await desk.hear(says("wamid.1", body="agent"))
    await pass_time(desk, 60)
    await desk.hear(says("wamid.2", body="Eva here", direction=Direction.OUT, at=desk.now))
    found = await about(desk)
    assert (found["attention"], found["assistant"]["reason"]) == (None, "staff")
    assert found["assistant"]["until"] == desk.now + 12 * 3600
    await pass_time(desk, 3 * 3600)
    assert queued(desk) == ["A colleague will answer.", "Eva here"]
    assert len(alerts(desk)) == 1


async def test_nor_of_whom_the_owner_gave_back(desk: Scene) -> None:
    await desk.hear(says("wamid.1", body="agent"))
    await desk.journal.resume(ANA)
    await pass_time(desk, 3 * 3600)
    assert queued(desk) == ["A colleague will answer."]
    assert alerts(desk) == []


async def test_the_owner_gets_one_summary_in_ten_minutes(desk: Scene) -> None:
    await desk.hear(says("wamid.0", BEN, body="agent"))
    await pass_time(desk, 5)
    numbers = [f"49171000000{n}" for n in range(5)]
    for n, number in enumerate(numbers):
        await desk.hear(says(f"wamid.{n + 1}", Person(number, None, f"P{n}"), body="agent"))
        await pass_time(desk, 10)
    assert len(alerts(desk)) == 1
    await pass_time(desk, 600)
    assert len(alerts(desk)) == 2
    assert alerts(desk)[1] == [
        "P0 (+491710000000), P1 (+491710000001), P2 (+491710000002) and 2 more", "asks for a person"
    ]  # fmt: skip


async def test_the_owner_is_told_of_one_contact_once_an_hour(desk: Scene) -> None:
    await desk.hear(says("wamid.1", body="agent"))
    await pass_time(desk, 5)
    await desk.journal.resume(ANA)
    contact_id = desk.row("SELECT id FROM contacts WHERE wa_id = ?", ANA)["id"]
    await desk.journal.writer(takeover.hand_off, contact_id, HANDOFF.begin(Reason.FAILURE), desk.now)
    await pass_time(desk, 3000)
    assert len(alerts(desk)) == 1
    await pass_time(desk, 600)
    assert len(alerts(desk)) == 2


@pytest.mark.parametrize("body", ["Thanks, I will write to her", "agent"])
async def test_the_owners_own_number_is_never_answered(desk: Scene, body: str) -> None:
    taken = await desk.hear(says("wamid.1", OWNER, body=body))
    assert (taken.stored, taken.replies, taken.handoffs) == (1, 0, 0)
    await pass_time(desk, 3600)
    assert queued(desk, OWNER) == []


async def test_a_failure_asks_for_a_person_and_pauses_nothing(desk: Scene) -> None:
    await desk.hear(says("wamid.1"))
    contact_id = desk.row("SELECT id FROM contacts")["id"]
    await desk.journal.writer(takeover.hand_off, contact_id, HANDOFF.begin(Reason.FAILURE), desk.now)
    found = await about(desk)
    assert (found["assistant"]["state"], found["attention"]["reason"]) == ("on", "failure")
    await pass_time(desk, 4 * 3600)
    assert queued(desk) == []
    assert [why for _, why in alerts(desk)] == ["got no answer: the assistant does not work"]


async def test_an_echo_of_what_we_are_just_sending_is_not_staff(desk: Scene) -> None:
    await desk.hear(says("wamid.1"))
    desk.now += 5
    reply = await desk.claim_one(Kind.REPLY)
    await desk.settle(reply, Outcome(Event.SUCCEED, says=(text("We open at nine."),)))
    job = await desk.claim_one()
    await desk.hear(says("wamid.out", body="We open at nine.", direction=Direction.OUT, at=desk.now))
    assert (await about(desk))["assistant"]["state"] == "on"
    await desk.settle(job, sent("wamid.out"))
    await desk.hear(says("wamid.out", body="We open at nine.", direction=Direction.OUT, at=desk.now))
    assert (await about(desk))["assistant"]["state"] == "on"


async def test_an_echo_from_long_ago_pauses_nothing(desk: Scene) -> None:
    await desk.hear(says("wamid.1", body="Eva here", direction=Direction.OUT, at=NOW - 13 * 3600))
    assert (await about(desk))["assistant"]["state"] == "on"


async def test_without_the_settings_nobody_is_told(scene: Scene) -> None:
    await scene.journal.close()
    await scene.open(rules=replace(RULES, handoff=replace(HANDOFF, alert_template="", unanswered_seconds=0.0)))
    await scene.hear(says("wamid.1", EVA, body="agent"))
    await pass_time(scene, 8 * 3600)
    assert queued(scene, EVA) == ["A colleague will answer."]
    assert scene.rows("SELECT id FROM contacts WHERE wa_id = ?", OWNER) == []


async def test_who_is_forgotten_is_forgotten_in_what_the_owner_was_told(desk: Scene) -> None:
    await desk.hear(says("wamid.1", Person(ANA, name="Ana Anders"), body="agent"))
    await pass_time(desk, 1)
    await leave(desk)
    await desk.hear(says("wamid.2", Person(BEN, name="Ben Becker"), body="agent", at=desk.now))
    await pass_time(desk, 700)
    await leave(desk)
    assert [who for who, _ in alerts(desk)] == [f"Ana Anders (+{ANA})", f"Ben Becker (+{BEN})"]
    versions = [row["version"] for row in desk.rows("SELECT version FROM messages WHERE person = ?", OWNER)]
    await desk.journal.forget(ANA, desk.now, archive=False)
    assert [who for who, _ in alerts(desk)] == ["…", f"Ben Becker (+{BEN})"]
    assert traces(desk, "Ana Anders", ANA) == []
    again = [row["version"] for row in desk.rows("SELECT version FROM messages WHERE person = ?", OWNER)]
    assert again == [versions[0] + 1, versions[1]]


async def test_of_a_summary_only_who_is_forgotten_goes(desk: Scene) -> None:
    await summary(desk)
    await desk.journal.forget(ANA, desk.now, archive=False)
    assert [who for who, _ in alerts(desk)][1:] == [f"…, Ben Becker (+{BEN})"]
    assert traces(desk, "Ana Anders", ANA) == []
    assert [row["state"] for row in to_owner(desk)] == ["done", "queued"], "the owner is told of Ben"


async def test_an_alert_that_has_not_left_and_names_nobody_else_is_cancelled(desk: Scene) -> None:
    await summary(desk)
    for number in (ANA, BEN):
        await desk.journal.forget(number, desk.now, archive=False)
    assert [row["state"] for row in to_owner(desk)] == ["done", "cancelled"]
    assert traces(desk, "Becker", BEN) == []


async def test_alerts_to_an_earlier_number_and_of_a_number_that_was_lost_are_forgotten(desk: Scene) -> None:
    await desk.hear(says("wamid.1", Person(ANA, "IN.1", name="Ana Anders"), body="agent"))
    await pass_time(desk, 1)
    await leave(desk)
    await desk.journal.close()
    await desk.open(rules=replace(RULES, handoff=replace(HANDOFF, alert_number=EVA)))
    await desk.hear(says("wamid.2", Person(BEN, "IN.1", name="Ana Anders"), at=desk.now))
    await desk.journal.forget("IN.1", desk.now, archive=False)
    assert [who for who, _ in alerts(desk)] == ["…"]
    assert traces(desk, "Anders") == []


async def test_who_is_being_forgotten_is_in_no_alert_that_is_due(desk: Scene) -> None:
    await desk.hear(says("wamid.1", Person(ANA, name="Ana Anders"), body="agent"))
    await desk.journal.writer(erasure.begin, ANA, b"salt", desk.now)
    await pass_time(desk, 7200)
    assert alerts(desk) == []


async def test_the_archive_is_told_which_documents_name_who_is_forgotten(desk: Scene) -> None:
    await summary(desk)
    await desk.journal.forget(ANA, desk.now, archive=True)
    (owed,) = await desk.journal.owed_by_archive()
    alert = to_owner(desk)[1]["id"]
    assert owed.told == ((f"{desk.journal.name}-{alert}", f"Ana Anders (+{ANA})"),)
    await desk.journal.archive_forgot(owed.id, 1)
    assert traces(desk, "Ana Anders", ANA) == []


async def leave(scene: Scene) -> None:
    """What is queued goes to Meta."""
    while jobs := await scene.journal.claim(Kind.SEND, limit=9, now=scene.now):
        for job in jobs:
            outcome = Outcome(Event.SUCCEED, wamid=f"wamid.out.{job.id}", wa_id=job.contact.wa_id)
            await scene.journal.settle(job, outcome, scene.now)


async def summary(scene: Scene) -> None:
    """After an alert about Eva, one that names Ana and Ben and has not left."""
    await scene.hear(says("wamid.0", EVA, body="agent"))
    await pass_time(scene, 1)
    await leave(scene)
    for number, name in ((ANA, "Ana Anders"), (BEN, "Ben Becker")):
        await scene.hear(says(f"wamid.{name}", Person(number, name=name), body="agent", at=scene.now))
    await pass_time(scene, 700)
    assert [who for who, _ in alerts(scene)][1:] == [f"Ana Anders (+{ANA}), Ben Becker (+{BEN})"]


def to_owner(scene: Scene) -> list[Any]:
    """The sends to the owner, oldest first."""
    return scene.rows(
        "SELECT j.id, j.state FROM jobs j JOIN messages m ON m.job_id = j.id WHERE m.person = ? ORDER BY j.id", OWNER
    )
