from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, POLICY, Scene, receipt, said, sent
from wabot.core.exceptions import Refused
from wabot.core.jobs import Event, Job, Outcome, State
from wabot.core.messages import Person, Receipt, Status, Webhook

SENT, DELIVERED, READ, PLAYED, FAILED = Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED, Status.FAILED
TRANSIENT, FINAL, UNREACHABLE, TOMORROW = 131000, 131047, 131026, 131049
"""Meta's codes: try again, the window is closed, nobody there, not before tomorrow."""


async def brought_to(scene: Scene, state: State) -> Job:
    """A send to Ana that Meta has (attempt 1), while we believe that it is in `state`."""
    if state is State.PARKED:
        scene.policy = replace(POLICY, resend_in_doubt=False)
        await scene.restart()
    job = await scene.doubtful()
    if state in (State.QUEUED, State.RUNNING, State.HELD, State.FAILED, State.EXPIRED, State.PARKED):
        scene.now += POLICY.hold_seconds
        await scene.journal.tend(scene.now)
    events = {State.HELD: Event.HOLD, State.FAILED: Event.GIVE_UP, State.EXPIRED: Event.EXPIRE}
    if state is State.RUNNING or state in events:
        running = await scene.claim_one()
        if state in events:
            await scene.settle(running, Outcome(events[state], due_at=scene.now + DAY))
    if state is State.CANCELLED:
        scene.now += POLICY.hold_seconds
        await scene.journal.tend(scene.now)
        await scene.journal.cancel(job.id, scene.now)
    if state is State.WAITING:
        await brought_to_waiting(scene, job)
    assert scene.state(job.id) is state
    return job


async def brought_to_waiting(scene: Scene, job: Job) -> None:
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    await scene.settle(await scene.claim_one(), Outcome(Event.HOLD, due_at=scene.now + 700))
    await scene.batch(ANA, batch_id="another")
    await scene.claim_one()
    scene.now += 700
    await scene.journal.tend(scene.now)


@pytest.mark.parametrize("order", list(permutations([SENT, DELIVERED, READ])))
async def test_receipts_move_a_message_forward_only_in_whatever_order(scene: Scene, order: tuple[Status, ...]) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    for status in order:
        await scene.told(receipt("wamid.out", status))
    assert scene.carried(job)["status"] == "read"
    assert scene.state(job) is State.DONE


async def test_a_receipt_that_is_no_news_changes_nothing(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", READ, at=NOW + 1))
    before = scene.carried(job)
    await scene.told(
        receipt("wamid.out", READ, at=NOW + 9), receipt("wamid.out", DELIVERED), receipt("wamid.out", SENT)
    )
    assert scene.carried(job) == before
    assert json.loads(before["status_times"]) == {"sent": NOW, "read": NOW + 1}


async def test_a_receipt_counts_a_version_for_the_archive(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    version = scene.carried(job)["version"]
    await scene.told(receipt("wamid.out", DELIVERED))
    assert scene.carried(job)["version"] > version


async def test_a_voice_message_can_be_played(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", PLAYED), receipt("wamid.out", READ))
    assert scene.carried(job)["status"] == "played"


@pytest.mark.parametrize("tagged", [True, False])
async def test_receipts_that_overtake_the_answer_are_not_lost(scene: Scene, tagged: bool) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    tag = job.tag if tagged else None
    await scene.told(receipt("wamid.out", SENT, tag=tag), receipt("wamid.out", DELIVERED, tag=tag))
    assert scene.state(job.id) is (State.DONE if tagged else State.RUNNING)
    settled = await scene.settle(job, sent("wamid.out"))
    assert settled is (None if tagged else State.DONE)
    assert (scene.carried(job.id)["wamid"], scene.carried(job.id)["status"]) == ("wamid.out", "delivered")
    assert json.loads(scene.job(job.id)["answer"]) == {"messages": [{"id": "wamid.out"}]}
    assert scene.rows("SELECT * FROM receipts") == []


async def test_a_receipt_that_settles_a_running_send_lets_the_next_one_go(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.batch(ANA, batch_id="b2")
    job = await scene.claim_one()
    await scene.told(receipt("wamid.out", SENT, tag=job.tag))
    assert (await scene.claim_one()).batch_id == "b2"


@pytest.mark.parametrize(
    "state",
    [
        State.WAITING,
        State.QUEUED,
        State.RUNNING,
        State.IN_DOUBT,
        State.HELD,
        State.FAILED,
        State.PARKED,
        State.CANCELLED,
        State.EXPIRED,
    ],
)
async def test_a_receipt_proves_acceptance_whatever_we_believed(scene: Scene, state: State) -> None:
    job = await brought_to(scene, state)
    await scene.told(receipt("wamid.proof", DELIVERED, tag=job.tag, at=NOW + 5))
    row, message = scene.job(job.id), scene.carried(job.id)
    assert (row["state"], row["settled_at"], row["error"]) == ("done", scene.now, None)
    assert (message["wamid"], message["status"], message["timestamp"]) == ("wamid.proof", "delivered", NOW + 5)
    assert (message["error"], message["error_code"]) == (None, None)
    assert not any(claimed.id == job.id for claimed in await scene.claim())


async def test_the_tag_of_any_attempt_is_proof(scene: Scene) -> None:
    job = await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    again = await scene.claim_one()
    assert (job.tag[-2:], again.tag[-2:]) == (":1", ":2")
    await scene.told(receipt("wamid.first", SENT, tag=job.tag))
    assert scene.carried(job.id)["wamid"] == "wamid.first"
    assert await scene.settle(again, sent("wamid.second")) is None
    assert scene.carried(job.id)["wamid"] == "wamid.first"


@pytest.mark.parametrize("tag", ["wabot:{other}-1:1", "wabot:{name}-999:1", "somebody else's", "wabot:{name}-1:x", ""])
async def test_a_tag_that_is_not_ours_proves_nothing(scene: Scene, tag: str) -> None:
    job = await scene.doubtful()
    tag = tag.format(name=scene.journal.name, other="0" * 8)
    await scene.told(receipt("wamid.x", SENT, tag=tag))
    assert scene.state(job.id) is State.IN_DOUBT


BSUID, OTHER = "IN.13491208655302741918", "IN.99999999999999999999"


@pytest.mark.parametrize(
    ("asked", "person"),
    [
        (ANA, None),
        (ANA, Person(wa_id=ANA)),
        (ANA, Person(bsuid=BSUID)),
        (ANA, Person(wa_id=ANA, bsuid=BSUID)),
        ("5511987654321", Person(wa_id="551187654321")),
        ("551187654321", Person(wa_id="5511987654321", bsuid=BSUID)),
        ("525512345678", Person(wa_id="5215512345678")),
        ("541123456789", Person(wa_id="5491123456789")),
        ("22901951234567", Person(wa_id="229951234567")),
    ],
)
async def test_a_tag_proves_a_send_to_the_person_whom_the_receipt_names(
    scene: Scene, asked: str, person: Person | None
) -> None:
    job = await scene.doubtful(asked)
    await scene.told(receipt("wamid.proof", DELIVERED, tag=job.tag, person=person))
    assert scene.state(job.id) is State.DONE


@pytest.mark.parametrize("status", [SENT, DELIVERED, FAILED])
@pytest.mark.parametrize(
    "person", [Person(wa_id=BEN), Person(wa_id=EVA, bsuid=OTHER), Person(bsuid=OTHER), Person(wa_id=ANA[:-1] + "1")]
)
async def test_a_tag_that_names_a_send_to_somebody_else_proves_nothing(
    scene: Scene, status: Status, person: Person
) -> None:
    await scene.hear(said("wamid.ana", Person(wa_id=ANA, bsuid=BSUID)))
    job = await scene.doubtful()
    code = TRANSIENT if status is FAILED else None
    await scene.told(receipt("wamid.lost", status, tag=job.tag, person=person, code=code))
    assert scene.state(job.id) is State.IN_DOUBT
    assert scene.carried(job.id)["wamid"] is None
    await scene.told(receipt("wamid.proof", SENT, tag=job.tag, person=Person(bsuid=BSUID)))
    assert scene.carried(job.id)["wamid"] == "wamid.proof"


@pytest.mark.parametrize("named", [Person(wa_id=ANA), Person(bsuid=BSUID), Person(wa_id=EVA)])
async def test_a_tag_proves_the_send_of_a_person_who_has_moved_or_was_merged_since(scene: Scene, named: Person) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID)))
    job = await scene.doubtful(ANA)
    await scene.owe(BSUID)
    running = await scene.claim_one()
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=BSUID)))  # both have something in flight: one merge waits
    moved = Person(wa_id=EVA, bsuid=BSUID)
    await scene.hear(said("wamid.3", ANA, moved_to=moved, type="system", answerable=False))
    await scene.told(receipt("wamid.proof", DELIVERED, tag=job.tag, person=named))
    assert scene.state(job.id) is State.DONE
    await scene.settle(running, sent("wamid.other"))
    assert scene.rows("SELECT 1 FROM merges WHERE done_at IS NULL") == []


async def test_the_tag_of_somebody_elses_send_says_nothing_of_the_attempt_either(scene: Scene) -> None:
    """Its wamid is one that we show: that it failed is true, and which attempt of ours that was is not known."""
    bens = await scene.doubtful(BEN)
    job = await scene.send_to(ANA, "wamid.out")
    told = receipt("wamid.out", FAILED, tag=bens.tag, person=Person(wa_id=ANA), code=FINAL)
    await scene.told(told)
    assert scene.state(job) is State.FAILED
    assert scene.state(bens.id) is State.IN_DOUBT


async def test_a_doubt_that_a_failed_receipt_ends_is_tried_again(scene: Scene) -> None:
    job = await scene.doubtful()
    taken = await scene.told(receipt("wamid.x", FAILED, tag=job.tag, code=TRANSIENT))
    assert [str(error) for error in taken.failures] == [f"error {TRANSIENT} ({TRANSIENT})"]
    assert scene.state(job.id) is State.QUEUED
    assert scene.job(job.id)["due_at"] > NOW
    assert scene.job(job.id)["spent"] == 1


async def test_a_doubt_that_a_failed_receipt_ends_for_good_lets_the_next_go(scene: Scene) -> None:
    job = await scene.doubtful()
    await scene.batch(ANA, batch_id="b2")
    taken = await scene.told(receipt("wamid.x", FAILED, tag=job.tag, code=UNREACHABLE))
    assert isinstance(taken.failures[0], Refused)
    assert scene.state(job.id) is State.FAILED
    assert (scene.carried(job.id)["status"], scene.carried(job.id)["error_code"]) == ("failed", UNREACHABLE)
    assert scene.row("SELECT stopped FROM contacts") == {"stopped": "unreachable"}
    assert (await scene.claim_one()).batch_id == "b2"


async def test_a_failed_receipt_of_an_earlier_attempt_does_not_end_the_doubt_of_a_later_one(scene: Scene) -> None:
    job = await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    again = await scene.claim_one()
    await scene.settle(again, Outcome(Event.LOSE_TRACK, due_at=scene.now + POLICY.hold_seconds))
    await scene.told(receipt("wamid.first", FAILED, tag=job.tag, code=TRANSIENT))
    assert scene.state(job.id) is State.IN_DOUBT
    await scene.told(receipt("wamid.second", SENT, tag=again.tag))
    assert scene.carried(job.id)["wamid"] == "wamid.second"


async def test_a_failure_that_may_pass_is_a_fresh_attempt_of_the_same_job(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", FAILED, code=TOMORROW))
    row, message = scene.job(job), scene.carried(job)
    assert (row["state"], row["settled_at"]) == ("held", None)
    assert row["due_at"] >= NOW + DAY
    assert (message["status"], message["wamid"], message["error_code"]) == ("queued", None, TOMORROW)
    scene.now += DAY
    await scene.journal.tend(scene.now)
    again = await scene.claim_one()
    assert (again.id, again.attempt) == (job, 2)
    await scene.settle(again, sent("wamid.again"))
    assert (scene.carried(job)["status"], scene.carried(job)["error"]) == ("sent", None)


async def test_a_failure_that_cannot_pass_ends_the_message_in_metas_words(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", FAILED, code=FINAL))
    message = scene.carried(job)
    assert (message["status"], message["error"], message["error_code"]) == ("failed", f"error {FINAL}", FINAL)
    assert message["wamid"] == "wamid.out"
    assert scene.state(job) is State.FAILED
    await scene.told(receipt("wamid.out", SENT))
    assert scene.carried(job)["status"] == "failed", "a late `sent` does not undo it"


async def test_bounces_end(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.0")
    attempts = 1
    while True:
        await scene.told(receipt(f"wamid.{attempts - 1}", FAILED, code=130429))
        if scene.state(job) is State.FAILED:
            break
        scene.now += DAY
        await scene.journal.tend(scene.now)
        await scene.settle(await scene.claim_one(), sent(f"wamid.{attempts}"))
        attempts += 1
    assert attempts <= POLICY.attempts
    assert scene.carried(job)["status"] == "failed"


async def test_failed_does_not_undo_delivered(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", DELIVERED), receipt("wamid.out", FAILED, code=TRANSIENT))
    assert (scene.carried(job)["status"], scene.state(job)) == ("delivered", State.DONE)


async def test_a_sent_that_comes_after_its_failed_does_not_take_the_fresh_attempt_away(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.settle(job, sent("wamid.out"))
    await scene.told(receipt("wamid.out", FAILED, code=TRANSIENT, tag=job.tag))
    assert scene.state(job.id) is State.HELD
    await scene.told(receipt("wamid.out", SENT, tag=job.tag))
    assert scene.state(job.id) is State.HELD
    assert scene.carried(job.id)["wamid"] is None


async def test_a_sent_that_comes_after_its_failed_does_not_settle_a_doubt_that_ended(scene: Scene) -> None:
    job = await scene.doubtful()
    await scene.told(receipt("wamid.x", FAILED, tag=job.tag, code=TRANSIENT))
    await scene.told(receipt("wamid.x", SENT, tag=job.tag))
    assert scene.state(job.id) is State.QUEUED


@pytest.mark.parametrize("first", [SENT, FAILED])
async def test_a_send_that_failed_while_its_answer_was_on_the_way_is_tried_again(scene: Scene, first: Status) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    told = [receipt("wamid.x", SENT, tag=job.tag), receipt("wamid.x", FAILED, tag=job.tag, code=TRANSIENT)]
    await scene.told(*(told if first is SENT else reversed(told)))
    await scene.settle(job, sent("wamid.x"))
    assert scene.state(job.id) is State.HELD


async def test_a_receipt_without_a_tag_waits_for_whoever_gets_its_wamid_even_by_receipt(scene: Scene) -> None:
    job = await scene.doubtful()
    await scene.told(receipt("wamid.x", READ))
    await scene.told(receipt("wamid.x", SENT, tag=job.tag))
    assert scene.carried(job.id)["status"] == "read"
    assert scene.rows("SELECT * FROM receipts") == []


async def test_failed_receipts_come_twice_and_count_once(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    failed = receipt("wamid.out", FAILED, code=TRANSIENT, tag=f"wabot:{scene.journal.name}-{job}:1")
    await scene.told(failed)
    before = scene.job(job), scene.carried(job)
    assert (await scene.told(failed, failed)).failures == []
    assert (scene.job(job), scene.carried(job)) == before


async def test_a_failure_tells_of_a_person_who_cannot_be_reached(scene: Scene) -> None:
    await scene.hear(said("wamid.in", BEN))
    await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", FAILED, code=UNREACHABLE))
    assert scene.rows("SELECT wa_id, stopped FROM contacts ORDER BY id") == [
        {"wa_id": BEN, "stopped": None},
        {"wa_id": ANA, "stopped": "unreachable"},
    ]


async def test_the_failure_of_a_message_whose_job_was_pruned_is_still_told(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.journal.writer(lambda db: db.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount)
    await scene.told(receipt("wamid.out", FAILED, code=TRANSIENT))
    assert scene.carried(job)["status"] == "failed"


PRICING = {"category": "utility", "billable": True, "type": "regular", "pricing_model": "PMP"}


async def pricing_of(scene: Scene, number: str = ANA) -> list[object]:
    _, messages = await scene.journal.of_contact(number, 0, ())
    return [message["pricing"] for message in messages]


@pytest.mark.parametrize("status", [SENT, DELIVERED, READ])
async def test_what_meta_charges_for_is_kept_with_its_message(scene: Scene, status: Status) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    version = scene.carried(job)["version"]
    await scene.told(receipt("wamid.out", status, pricing=PRICING), receipt("wamid.out", PLAYED))
    assert await pricing_of(scene) == [PRICING]
    assert scene.carried(job)["version"] > version, "the archive gets it too"


async def test_the_pricing_of_a_receipt_that_is_late_is_kept_and_moves_nothing_back(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.told(receipt("wamid.out", READ), receipt("wamid.out", DELIVERED, pricing=PRICING))
    assert (await pricing_of(scene), scene.carried(job)["status"]) == ([PRICING], "read")
    version = scene.carried(job)["version"]
    await scene.told(receipt("wamid.out", SENT, pricing={**PRICING, "category": "marketing"}))
    assert (await pricing_of(scene), scene.carried(job)["version"]) == ([PRICING], version)


@pytest.mark.parametrize("tagged", [True, False])
async def test_the_pricing_of_a_receipt_that_overtakes_the_answer_is_kept(scene: Scene, tagged: bool) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.told(receipt("wamid.out", SENT, tag=job.tag if tagged else None, pricing=PRICING))
    await scene.settle(job, sent("wamid.out"))
    assert await pricing_of(scene) == [PRICING]


async def test_a_fresh_attempt_is_charged_for_by_its_own_receipts(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    await scene.told(receipt("wamid.1", SENT, pricing=PRICING), receipt("wamid.1", FAILED, code=TRANSIENT))
    scene.now += DAY
    await scene.journal.tend(scene.now)
    await scene.settle(await scene.claim_one(), sent("wamid.2"))
    assert scene.carried(job)["pricing"] is None


COUNTED = "SELECT month, category, billable, count FROM priced_messages ORDER BY month, category, billable"
OCTOBER, NOVEMBER = 1_793_491_199.0, 1_793_491_200.0
"""The last second of October 2026 in UTC, and the next."""


def counted(scene: Scene) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in scene.rows(COUNTED)]


async def test_a_message_counts_once_in_the_month_of_its_first_receipt_with_a_pricing(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.1")
    priced = [receipt("wamid.1", SENT, at=OCTOBER, pricing=PRICING)] * 2
    await scene.told(*priced, receipt("wamid.1", DELIVERED, at=NOVEMBER, pricing=PRICING), receipt("wamid.1", READ))
    await scene.told(*priced)
    assert counted(scene) == [("2026-10", "utility", 1, 1)]
    await scene.send_to(BEN, "wamid.2")
    free = {"category": "service", "type": "free_entry_point"}
    await scene.told(receipt("wamid.2", SENT), receipt("wamid.2", READ, at=NOVEMBER, pricing=free))
    await scene.send_to(EVA, "wamid.3")
    await scene.told(receipt("wamid.3", READ), receipt("wamid.3", SENT, at=OCTOBER, pricing={"type": "regular"}))
    assert counted(scene) == [("2026-10", "unknown", 1, 1), ("2026-10", "utility", 1, 1), ("2026-11", "service", 0, 1)]


async def test_what_was_counted_early_or_of_a_copy_is_not_counted_again(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.told(*[receipt("wamid.early", SENT, pricing=PRICING)] * 2)
    assert counted(scene) == []
    await scene.settle(job, sent("wamid.early"))
    await scene.told(*[receipt("wamid.copy", SENT, tag=job.tag, pricing=PRICING)] * 2)
    await scene.told(receipt("wamid.copy", READ, pricing=PRICING), receipt("wamid.early", READ, pricing=PRICING))
    assert [each[-1] for each in counted(scene)] == [2]


async def test_what_failed_or_was_not_ours_costs_nothing(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.1")
    await scene.told(receipt("wamid.1", FAILED, code=FINAL, pricing=PRICING), receipt("wamid.x", SENT, pricing=PRICING))
    assert counted(scene) == []


async def test_receipts_for_strangers_are_kept_once(scene: Scene) -> None:
    await scene.told(receipt("wamid.?", SENT), receipt("wamid.?", SENT), receipt("wamid.?", FAILED, code=FINAL))
    rows = scene.rows("SELECT status, error, received_at FROM receipts ORDER BY status")
    assert [row["status"] for row in rows] == ["failed", "sent"]
    assert json.loads(rows[0]["error"])["code"] == FINAL
    assert {row["received_at"] for row in rows} == {NOW}


async def test_a_damaged_row_does_not_refuse_its_receipt(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.out")
    await scene.journal.writer(lambda db: db.execute("UPDATE messages SET status_times = '{'").rowcount)
    await scene.told(receipt("wamid.out", READ))
    assert scene.carried(job)["status"] == "read"


async def test_marketing_that_met_the_limit_of_a_person_in_the_united_states_is_given_up(scene: Scene) -> None:
    await scene.batch("15550002222", "491711234567")
    for n, job in enumerate(await scene.claim()):
        await scene.settle(job, Outcome(Event.SUCCEED, wamid=f"wamid.limit.{n}"))
        failed = Receipt(f"wamid.limit.{n}", Status.FAILED, NOW, error={"code": 131049, "title": "Not delivered"})
        await scene.journal.accept(Webhook(receipts=(failed,)), scene.now)
    states = {row["person"]: row["state"] for row in scene.rows(
        "SELECT m.person, j.state FROM messages m JOIN jobs j ON j.id = m.job_id"
    )}  # fmt: skip
    assert states == {"15550002222": State.FAILED, "491711234567": State.HELD}
