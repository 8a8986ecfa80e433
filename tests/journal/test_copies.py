"""Two copies of one message: the answer to the first was lost, and a second was sent. Whatever comes then, in whatever
order, nobody gets a third while one is alive, and the message shows the best."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import permutations, product
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journal.scene import ANA, BEN, NOW, POLICY, Scene, receipt, sent, template
from wabot import journal
from wabot.core.jobs import Event, Job, Kind, Outcome, State
from wabot.core.messages import Receipt, Status
from wabot.journal import batch_results, batches, jobs, receipts, timeouts
from wabot.journal.batches import NewBatch, Recipient
from wabot.journal.receipts import ReceiptRules

SENT, DELIVERED, READ, FAILED = Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED
FURTHER = [SENT, FAILED, DELIVERED, READ]
"""One copy's way: each of these counts, whatever came before it on the left."""
BETTER = [SENT, DELIVERED, READ]
TRANSIENT, FINAL = 131000, 131047
PATIENCE = ReceiptRules("j", POLICY)
MONTH = 30 * 86400.0

FATES: list[tuple[Status, ...]] = [(), (SENT,), (FAILED,), (SENT, DELIVERED), (SENT, FAILED)]


class News(NamedTuple):
    """What comes: Meta's answer to the second attempt (`status` None), or a receipt of a copy."""

    copy: int
    status: Status | None


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    """A send whose first attempt was lost, and whose second is on its way."""
    schema = Path(journal.__path__[0], "schema.sql").read_text("utf-8")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.executescript(schema)
        db.execute("PRAGMA foreign_keys = ON")
        batches.queue_batch(db, NewBatch("b", None, "", [Recipient(ANA, ANA, template())]), NOW)
        first = claimed(db, NOW)
        jobs.settle(db, first, Outcome(Event.LOSE_TRACK, due_at=NOW + POLICY.hold_seconds), NOW, PATIENCE)
        timeouts.tend(db, policy=POLICY, now=NOW + POLICY.hold_seconds)
        yield db


def claimed(db: sqlite3.Connection, now: float) -> Job:
    (job,) = jobs.claim(db, Kind.SEND, limit=1, now=now, token=1, journal="j")
    return job


def wamid(copy: int) -> str:
    return f"wamid.{copy}"


@pytest.mark.parametrize("tagged", [True, False], ids=["failures with a tag", "failures without a tag"])
@pytest.mark.parametrize("code", [TRANSIENT, FINAL])
@pytest.mark.parametrize("answer", ["accepted", "cut", "killed"])
def test_whatever_comes_of_two_copies_the_best_is_shown_and_a_third_never_leaves_while_one_is_alive(
    db: sqlite3.Connection, answer: str, code: int, tagged: bool
) -> None:
    seen = set[State]()
    for one, two in product(FATES, FATES):
        news = [News(2, None), *(News(1, status) for status in one), *(News(2, status) for status in two)]
        for order in permutations(news):
            db.execute("SAVEPOINT start")
            seen.add(play(db, order, answer=answer, code=code, tagged=tagged))
            db.execute("ROLLBACK TO start")
            db.execute("RELEASE start")
    assert {State.DONE, State.IN_DOUBT if answer != "accepted" else State.DONE} <= seen
    assert (State.FAILED if code == FINAL else State.HELD) in seen


def play(db: sqlite3.Connection, order: Sequence[News], *, answer: str, code: int, tagged: bool) -> State:
    """One order of events; the send's state after it."""
    now = NOW + POLICY.hold_seconds
    job = claimed(db, now)
    told: dict[int, set[Status]] = {1: set(), 2: set()}
    known, over = set[int](), False
    for copy, status in order:
        now += 1
        if status is None:
            over = True
            answered(db, job, answer, now)
            if answer == "accepted":
                told[2].add(SENT)
                known.add(2)
        else:
            tag = f"wabot:j-{job.id}:{copy}" if tagged or status is not FAILED else None
            news = receipt(wamid(copy), status, tag=tag, at=now, code=code if status is FAILED else None)
            receipts.apply(db, news, now, PATIENCE)
            told[copy].add(status)
            known |= {copy} if tag else set()
        check(db, {copy: max(told[copy], key=FURTHER.index) for copy in known}, over=over, order=order)
    state: str = db.execute("SELECT state FROM jobs").fetchone()[0]
    return State(state)


def answered(db: sqlite3.Connection, job: Job, answer: str, now: float) -> None:
    match answer:
        case "accepted":
            jobs.settle(db, job, sent(wamid(2)), now, PATIENCE)
        case "cut":
            jobs.settle(db, job, Outcome(Event.LOSE_TRACK, due_at=now + POLICY.hold_seconds), now, PATIENCE)
        case _:
            jobs.recover(db, policy=POLICY, now=now)


def check(db: sqlite3.Connection, copies: dict[int, Status], *, over: bool, order: Sequence[News]) -> None:
    row = db.execute("SELECT j.state, m.wamid, m.status FROM jobs j JOIN messages m ON m.job_id = j.id").fetchone()
    state, status = State(row["state"]), Status(row["status"])
    alive = {wamid(copy): BETTER.index(status) for copy, status in copies.items() if status is not FAILED}
    if alive:
        assert state is State.DONE, order
        assert alive[row["wamid"]] == BETTER.index(status) == max(alive.values()), order
        (result,) = batch_results.results(db, "b") or []
        assert result.answer == {"messages": [{"id": row["wamid"]}]}, order
        db.execute("SAVEPOINT later")
        timeouts.tend(db, policy=POLICY, now=NOW + MONTH)
        assert jobs.claim(db, Kind.SEND, limit=1, now=NOW + MONTH, token=9, journal="j") == [], order
        db.execute("ROLLBACK TO later")
        db.execute("RELEASE later")
    else:
        assert state is not State.DONE, order
        assert state is not State.RUNNING or not over, order
        assert status in (Status.QUEUED, FAILED), order


async def resent(scene: Scene) -> tuple[Job, Job]:
    """A send to Ana whose first attempt was lost and whose second Meta took as wamid.2."""
    first = await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    second = await scene.claim_one()
    assert await scene.settle(second, sent("wamid.2")) is State.DONE
    return first, second


async def test_a_late_receipt_of_the_first_copy_keeps_a_third_from_going_out(scene: Scene) -> None:
    first, second = await resent(scene)
    await scene.told(receipt("wamid.1", DELIVERED, tag=first.tag))
    await scene.restart()
    await scene.told(receipt("wamid.2", FAILED, tag=second.tag, code=TRANSIENT))
    assert scene.state(first.id) is State.DONE
    assert (scene.carried(first.id)["wamid"], scene.carried(first.id)["status"]) == ("wamid.1", "delivered")
    scene.now += MONTH
    await scene.journal.tend(scene.now)
    assert await scene.claim() == []


async def test_the_response_names_the_copy_that_is_alive(scene: Scene) -> None:
    first, second = await resent(scene)
    await scene.told(receipt("wamid.1", SENT, tag=first.tag), receipt("wamid.2", FAILED, tag=second.tag, code=FINAL))
    (result,) = await scene.journal.results(f"doubt-{ANA}") or []
    shown = await scene.journal.outbox_one(first.id)
    assert shown is not None
    assert result.answer == shown["response"] == {"messages": [{"id": "wamid.1"}]}
    assert (result.state, result.error, shown["message_id"]) == (State.DONE, None, "wamid.1")


async def test_a_copy_that_bounced_is_no_response(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    await scene.told(receipt("wamid.1", FAILED, code=TRANSIENT))
    shown = await scene.journal.outbox_one(job)
    assert shown is not None
    assert (shown["response"], shown["copies"]) == (None, [{"message_id": "wamid.1", "status": "failed"}])


async def test_what_is_delivered_after_all_is_not_sent_again(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    await scene.told(receipt("wamid.1", FAILED, code=TRANSIENT))
    assert scene.state(job) is State.HELD
    await scene.told(receipt("wamid.1", DELIVERED))
    assert scene.state(job) is State.DONE
    assert (scene.carried(job)["status"], scene.carried(job)["error"]) == ("delivered", None)


async def test_delivered_after_failed_reads_delivered(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), sent("wamid.1"))
    await scene.told(receipt("wamid.1", FAILED, code=FINAL), receipt("wamid.1", DELIVERED))
    (result,) = await scene.journal.results("b1") or []
    assert (result.state, result.error, result.error_code) == (State.DONE, None, None)
    assert scene.carried(1)["error_code"] is None


@pytest.mark.parametrize("code", [TRANSIENT, FINAL])
@pytest.mark.parametrize("killed", [True, False])
async def test_a_failure_that_came_before_the_answer_was_cut_is_as_good_as_an_answer(
    scene: Scene, code: int, killed: bool
) -> None:
    await scene.batch(ANA)
    await scene.batch(ANA, batch_id="next")
    job = await scene.claim_one()
    await scene.told(receipt("wamid.1", FAILED, tag=job.tag, code=code))
    assert scene.state(job.id) is State.RUNNING
    expected = State.FAILED if code == FINAL else State.QUEUED
    if killed:
        await scene.restart()
    else:
        assert await scene.settle(job, Outcome(Event.LOSE_TRACK, due_at=scene.now + 90)) is expected
    assert scene.state(job.id) is expected
    assert (scene.carried(job.id)["status"] == "failed") == (code == FINAL)


async def test_a_late_answer_is_kept_only_where_its_copy_is_shown(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.told(receipt("wamid.1", SENT, tag=job.tag), receipt("wamid.1", FAILED, tag=job.tag, code=TRANSIENT))
    assert scene.state(job.id) is State.HELD
    assert await scene.settle(job, sent("wamid.1")) is None
    assert (scene.state(job.id), scene.job(job.id)["answer"]) == (State.HELD, None)
    scene.now += 60
    await scene.journal.tend(scene.now)
    again = await scene.claim_one()
    assert await scene.settle(again, sent("wamid.2")) is State.DONE
    assert await scene.settle(job, sent("wamid.1")) is None
    assert scene.job(job.id)["answer"] == '{"messages": [{"id": "wamid.2"}]}'


async def test_a_late_answer_proves_its_attempt_though_another_is_on_its_way(scene: Scene) -> None:
    first = await scene.doubtful()
    scene.now += POLICY.hold_seconds
    await scene.journal.tend(scene.now)
    second = await scene.claim_one()
    await scene.told(receipt("wamid.1", SENT, tag=first.tag), receipt("wamid.1", FAILED, tag=first.tag, code=TRANSIENT))
    assert scene.job(first.id)["due_at"] >= scene.now + POLICY.hold_seconds, "the second may still be answered"
    assert await scene.settle(second, sent("wamid.2")) is None
    assert scene.state(first.id) is State.DONE
    assert scene.carried(first.id)["wamid"] == "wamid.2"


async def test_a_send_that_is_tried_again_by_hand_does_not_take_an_old_receipt_for_its_own(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    tag = f"wabot:{scene.journal.name}-{job}:1"
    await scene.told(receipt("wamid.1", FAILED, code=FINAL, tag=tag))
    await scene.journal.retry(job, scene.now)
    await scene.told(receipt("wamid.1", SENT, tag=tag), receipt("wamid.1", FAILED, code=FINAL, tag=tag))
    assert scene.state(job) is State.QUEUED
    await scene.settle(await scene.claim_one(), sent("wamid.2"))
    assert (scene.carried(job)["wamid"], scene.carried(job)["status"]) == ("wamid.2", "sent")


async def test_copies_go_with_their_job(scene: Scene) -> None:
    job = await scene.send_to(ANA, "wamid.1")
    await scene.send_to(BEN, "wamid.b")
    await scene.told(receipt("wamid.1", FAILED, code=TRANSIENT), receipt("wamid.b", FAILED, code=TRANSIENT))
    await scene.journal.writer(lambda db: db.execute("DELETE FROM jobs WHERE id = ?", (job,)).rowcount)
    assert [row["wamid"] for row in scene.rows("SELECT wamid FROM copies")] == ["wamid.b"]


async def test_the_ordinary_send_has_no_row_of_copies(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.1")
    job = await scene.doubtful(BEN)
    told: list[Receipt] = [receipt("wamid.1", status) for status in BETTER]
    await scene.told(*told, receipt("wamid.b", SENT, tag=job.tag))
    assert scene.rows("SELECT * FROM copies") == []


@pytest.mark.parametrize("state", [State.RUNNING, State.IN_DOUBT])
async def test_a_failure_finds_what_was_said_of_its_copy_before_anybody_knew_whose_it_was(
    scene: Scene, state: State
) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    lost = Outcome(Event.LOSE_TRACK, due_at=scene.now + 90)
    if state is State.IN_DOUBT:
        await scene.settle(job, lost)
    await scene.told(receipt("wamid.1", DELIVERED))
    await scene.told(receipt("wamid.1", FAILED, tag=job.tag, code=TRANSIENT))
    if state is State.RUNNING:
        await scene.settle(job, lost)
    assert scene.state(job.id) is State.DONE
    assert scene.carried(job.id)["status"] == DELIVERED
