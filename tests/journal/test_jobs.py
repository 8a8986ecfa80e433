from __future__ import annotations

import asyncio
import json
import math
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from tests.journal.scene import ANA, BEN, DAY, EVA, NOW, POLICY, RULES, Scene, receipt, said, sent, template, text
from wabot.core.exceptions import Effect
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Status
from wabot.journal import jobs, timeouts
from wabot.journal.outbox_list import Query
from wabot.journal.queue import BULK


async def test_a_claim_takes_no_more_than_its_limit_and_no_job_twice(scene: Scene) -> None:
    await scene.batch(ANA, BEN, EVA)
    first = await scene.claim(limit=2)
    second = await scene.claim(limit=2)
    assert [len(first), len(second)] == [2, 1]
    assert len({job.id for job in first + second}) == 3
    assert await scene.claim() == []


async def test_claims_at_the_same_time_share_the_work(scene: Scene) -> None:
    await scene.batch(*(f"4917112345{n:02}" for n in range(50)))
    taken = await asyncio.gather(*(scene.claim(limit=7) for _ in range(8)))
    ids = [job.id for jobs in taken for job in jobs]
    assert len(ids) == len(set(ids)) == 50
    assert len({job.token for jobs in taken for job in jobs}) == 8


async def test_a_claim_is_committed_with_its_attempt_and_its_tag(scene: Scene) -> None:
    await scene.batch(ANA, name="hello")
    job = await scene.claim_one()
    assert (job.attempt, job.spent, job.batch_id) == (1, 0, "b1")
    assert job.tag == f"wabot:{scene.journal.name}-{job.id}:1"
    assert job.outgoing is not None
    assert job.outgoing.template == ("hello", "en_US")
    row = scene.job(job.id)
    assert (row["state"], row["attempt"], row["token"]) == ("running", 1, job.token)


async def test_nothing_is_claimed_before_it_is_due(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.RETRY, due_at=NOW + 5))
    assert await scene.claim() == []
    assert await scene.journal.next_due(Kind.SEND) == NOW + 5
    scene.now += 5
    again = await scene.claim_one()
    assert (again.attempt, again.spent, again.tag[-2:]) == (2, 1, ":2")


async def test_replies_overtake_bulk_and_bulk_fills_the_rest(scene: Scene) -> None:
    await scene.hear(said("wamid.1", EVA))
    await scene.batch(ANA, BEN)
    await scene.owe(EVA)
    jobs = await scene.claim(limit=2)
    assert [job.contact.wa_id for job in jobs] == [EVA, ANA]
    assert [scene.job(job.id)["priority"] for job in jobs] == [0, BULK]


async def test_the_longest_due_goes_first(scene: Scene) -> None:
    await scene.batch(ANA, BEN, EVA)
    for job, seconds in zip(await scene.claim(), (9, 3, 6), strict=True):
        await scene.settle(job, Outcome(Event.RETRY, due_at=NOW + seconds))
    scene.now += 10
    assert [job.contact.wa_id for job in await scene.claim()] == [BEN, EVA, ANA]


async def test_messages_to_one_contact_leave_in_the_order_they_were_queued(scene: Scene) -> None:
    for n in range(4):
        await scene.batch(ANA, batch_id=f"b{n}")
    left = []
    while jobs := await scene.claim():
        (job,) = jobs
        left.append(job.id)
        await scene.settle(job, sent(f"wamid.{job.id}"))
    assert left == sorted(left)
    assert len(left) == 4


@pytest.mark.parametrize(
    ("event", "blocks"),
    [
        (Event.RETRY, True),
        (Event.LOSE_TRACK, True),
        (Event.HOLD, False),
        (Event.GIVE_UP, False),
        (Event.EXPIRE, False),
        (Event.SUCCEED, False),
    ],
)
async def test_a_head_that_may_still_go_blocks_its_contact_and_nobody_else(
    scene: Scene, event: Event, blocks: bool
) -> None:
    await scene.batch(ANA)
    await scene.batch(ANA, BEN, batch_id="b2")
    head, other = await scene.claim()
    await scene.settle(other, sent("wamid.other"))
    await scene.settle(head, Outcome(event, due_at=NOW + 700, wamid="wamid.x"))
    following = await scene.claim()
    assert [job.contact.wa_id for job in following] == ([] if blocks else [ANA])


async def test_what_was_held_comes_back_behind_the_running_one_and_before_the_rest(scene: Scene) -> None:
    for n in range(3):
        await scene.batch(ANA, batch_id=f"b{n}")
    held = await scene.claim_one()
    await scene.settle(held, Outcome(Event.HOLD, due_at=NOW + 700, spent=False))
    second = await scene.claim_one()
    scene.now += 700
    await scene.journal.tend(scene.now)
    assert scene.state(held.id) is State.WAITING
    await scene.settle(second, sent("wamid.2"))
    assert (await scene.claim_one()).id == held.id


async def test_a_settle_with_another_token_changes_nothing(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    before = scene.job(job.id), scene.carried(job.id)
    stale = replace(job, token=job.token - 1)
    for event in (Event.RETRY, Event.HOLD, Event.LOSE_TRACK, Event.GIVE_UP, Event.EXPIRE):
        assert await scene.settle(stale, Outcome(event, due_at=NOW + 1, wamid="wamid.x")) is None
    assert (scene.job(job.id), scene.carried(job.id)) == before


async def test_a_settle_that_comes_twice_counts_once(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    assert await scene.settle(job, Outcome(Event.RETRY, due_at=NOW + 1)) is State.QUEUED
    assert await scene.settle(job, Outcome(Event.RETRY, due_at=NOW + 1)) is None
    assert scene.job(job.id)["spent"] == 1


async def test_a_late_settle_of_a_reply_leaves_the_next_one_alone(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"))
    stale = replace(running, token=running.token - 1)
    assert await scene.settle(stale, Outcome(Event.RETRY, due_at=scene.now)) is None
    assert scene.jobs(Kind.REPLY, "state") == [("running",), ("waiting",)]


async def test_a_reply_that_runs_again_answers_what_came_meanwhile_too(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    scene.now += 100
    await scene.hear(said("wamid.2", at=scene.now))
    await scene.settle(running, Outcome(Event.RETRY, due_at=scene.now + 1, code="assistant"))
    assert scene.jobs(Kind.REPLY, "state") == [("queued",), ("cancelled",)]
    scene.now += 1
    again = await scene.claim_one(Kind.REPLY)
    assert (again.id, again.since, again.upto, again.spent) == (running.id, 1, 2, 1)
    assert again.expires_at == NOW + 102 + RULES.reply_expires_seconds, "as long as the latest message needs"


async def test_a_restart_joins_the_reply_that_waited_to_the_one_that_ran(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"))
    await scene.restart()
    assert scene.jobs(Kind.REPLY, "state") == [("queued",), ("cancelled",)]
    assert (await scene.claim_one(Kind.REPLY)).upto == 2


async def test_what_a_reply_says_is_queued_in_its_own_commit_and_order(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    reply = await scene.claim_one(Kind.REPLY)
    commits = scene.journal.writer.commits
    await scene.settle(reply, Outcome(Event.SUCCEED, says=(text("one"), text("two"))))
    assert scene.journal.writer.commits == commits + 1
    rows = scene.rows("SELECT j.state, j.expires_at, m.body, m.origin, m.status FROM jobs j"
                      " JOIN messages m ON m.job_id = j.id ORDER BY j.id")  # fmt: skip
    assert [(row["state"], row["body"], row["origin"], row["status"]) for row in rows] == [
        ("queued", "one", "ai", "queued"),
        ("waiting", "two", "ai", "queued"),
    ]
    assert {row["expires_at"] for row in rows} == {reply.expires_at}


async def test_an_acceptance_is_written_to_the_message_too(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    scene.now += 3
    assert await scene.settle(job, sent("wamid.out")) is State.DONE
    message, row = scene.carried(job.id), scene.job(job.id)
    assert (message["wamid"], message["status"], message["timestamp"]) == ("wamid.out", "sent", scene.now)
    assert (message["version"], json.loads(message["status_times"])) == (2, {"sent": scene.now})
    assert (row["settled_at"], json.loads(row["answer"])) == (scene.now, {"messages": [{"id": "wamid.out"}]})


async def test_a_wamid_that_we_already_have_does_not_stop_the_settle(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.same")
    await scene.batch(BEN, batch_id="b2")
    job = await scene.claim_one()
    assert await scene.settle(job, sent("wamid.same")) is State.DONE
    shown = await scene.journal.outbox_one(job.id)
    assert shown is not None
    assert (shown["message_id"], shown["message_status"]) == ("wamid.same", "sent")
    assert shown["note"] == "Meta gave this message an id that another message has"
    assert shown["response"] == {"messages": [{"id": "wamid.same"}]}
    _, messages = await scene.journal.of_contact(BEN, 0, ())
    assert [(message["id"], message["status"]) for message in messages] == [("wamid.same", "sent")]


async def two_of_the_same_name(scene: Scene) -> list[int]:
    """Sends to Ana and Ben to which Meta gave the same wamid."""
    await scene.batch(ANA, BEN)
    claimed = await scene.claim()
    for job in claimed:
        assert await scene.settle(job, sent("wamid.same")) is State.DONE
    return [job.id for job in claimed]


async def test_receipts_with_a_wamid_that_two_messages_have_go_to_the_one_in_the_tag(scene: Scene) -> None:
    one, two = await two_of_the_same_name(scene)
    tag = f"wabot:{scene.journal.name}-{two}:1"
    await scene.told(receipt("wamid.same", Status.DELIVERED, tag=tag))
    assert [scene.carried(job)["status"] for job in (one, two)] == ["sent", "delivered"]
    await scene.told(receipt("wamid.same", Status.READ))
    assert [scene.carried(job)["status"] for job in (one, two)] == ["read", "delivered"]


async def test_a_send_that_got_the_wamid_of_another_message_bounces_by_itself(scene: Scene) -> None:
    one, two = await two_of_the_same_name(scene)
    await scene.told(receipt("wamid.same", Status.FAILED, code=131000, tag=f"wabot:{scene.journal.name}-{two}:1"))
    assert (scene.state(one), scene.state(two)) == (State.DONE, State.HELD)
    assert scene.carried(two)["shared_wamid"] is None


@pytest.mark.parametrize("word", ["held_for_quality_assessment", "paused"])
async def test_what_meta_took_and_holds_back_is_shown_until_its_first_receipt(scene: Scene, word: str) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    answer = {"messages": [{"id": "wamid.1", "message_status": word}]}
    await scene.settle(job, replace(sent("wamid.1"), answer=answer))

    async def pacing() -> object:
        (row,) = await scene.journal.outbox(Query())
        return row["pacing"]

    (result,) = await scene.journal.results("b1") or []
    assert (await pacing(), result.answer) == (word, answer)
    await scene.told(receipt("wamid.1", Status.SENT, pricing={"category": "marketing", "billable": True}))
    assert await pacing() is None


async def test_an_ordinary_acceptance_holds_nothing_back(scene: Scene) -> None:
    await scene.batch(ANA)
    answer = {"messages": [{"id": "wamid.1", "message_status": "accepted"}]}
    await scene.settle(await scene.claim_one(), replace(sent("wamid.1"), answer=answer))
    assert [row["pacing"] for row in await scene.journal.outbox(Query())] == [None]


async def test_a_claim_of_a_reply_costs_no_more_the_longer_the_talk(scene: Scene) -> None:
    async def steps(person: str) -> int:
        """How many steps SQLite's machine takes for the claim of a reply to somebody."""
        await scene.hear(said(f"{person}.last", person))
        scene.now += 2
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        def claim(db: sqlite3.Connection) -> int:
            db.set_progress_handler(count, 1)
            claimed = jobs.claim(db, Kind.REPLY, limit=1, now=scene.now, token=1, journal="j")
            db.set_progress_handler(None, 1)
            return len(claimed)

        assert await scene.journal.writer(claim) == 1
        return taken

    short = await steps(BEN)
    await scene.hear(*(said(f"wamid.{n}") for n in range(2000)))
    scene.now += 20
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED))
    assert await steps(ANA) < short + 50


async def test_a_refusal_fails_the_message_with_metas_reason(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.settle(job, Outcome(Event.GIVE_UP, error="Re-engagement message", code=131047))
    message = scene.carried(job.id)
    assert (message["status"], message["error"], message["error_code"]) == ("failed", "Re-engagement message", 131047)
    assert scene.job(job.id)["settled_at"] == NOW


@pytest.mark.parametrize(("code", "stopped"), [(131026, "unreachable"), (131050, "marketing")])
async def test_a_person_who_does_not_get_our_messages_is_remembered(scene: Scene, code: int, stopped: str) -> None:
    await scene.batch(ANA)
    await scene.settle(await scene.claim_one(), Outcome(Event.GIVE_UP, code=code, effect=Effect.SUPPRESS))
    assert scene.row("SELECT stopped FROM contacts") == {"stopped": stopped}


async def test_a_suppression_does_not_weaken_a_stop(scene: Scene) -> None:
    await scene.batch(ANA)
    job = await scene.claim_one()
    await scene.journal.set_stop(ANA, NOW, stop=True)
    await scene.settle(job, Outcome(Event.GIVE_UP, code=131026, effect=Effect.SUPPRESS))
    assert scene.row("SELECT stopped FROM contacts") == {"stopped": "all"}


async def test_a_doubt_that_no_receipt_ends_is_sent_again(scene: Scene) -> None:
    job = await scene.doubtful()
    scene.now += POLICY.hold_seconds - 0.1
    assert await scene.journal.tend(scene.now) == []
    scene.now += 0.1
    assert await scene.journal.tend(scene.now) == [(job.id, State.QUEUED)]
    again = await scene.claim_one()
    assert (again.id, again.attempt, again.spent) == (job.id, 2, 1)


async def test_a_doubt_is_parked_for_a_person_where_that_is_the_policy(scene: Scene) -> None:
    scene.policy = replace(POLICY, resend_in_doubt=False)
    await scene.restart()
    job = await scene.doubtful()
    await scene.batch(ANA, batch_id="b2")
    scene.now += POLICY.hold_seconds
    assert await scene.journal.tend(scene.now) == [(job.id, State.PARKED)]
    assert (await scene.claim_one()).batch_id == "b2", "what else is owed to its contact goes on"


async def test_doubts_that_use_up_every_try_fail(scene: Scene) -> None:
    job = await scene.doubtful()
    for _ in range(POLICY.attempts - 1):
        scene.now += POLICY.hold_seconds
        await scene.journal.tend(scene.now)
        again = await scene.claim_one()
        await scene.settle(again, Outcome(Event.LOSE_TRACK, due_at=scene.now + POLICY.hold_seconds))
    scene.now += POLICY.hold_seconds
    assert await scene.journal.tend(scene.now) == [(job.id, State.FAILED)]
    assert scene.carried(job.id)["error_code"] == "in_doubt"


@pytest.mark.parametrize("state", [State.QUEUED, State.WAITING, State.HELD])
async def test_what_waits_beyond_its_time_expires_and_lets_the_next_go(scene: Scene, state: State) -> None:
    await scene.hear(said("wamid.1"))
    if state is State.WAITING:
        await scene.owe(ANA)
        await scene.claim_one()
    job = await scene.owe(ANA, expires_at=NOW + 60)
    if state is State.HELD:
        await scene.settle(await scene.claim_one(), Outcome(Event.HOLD, due_at=NOW + DAY, spent=False))
    following = await scene.owe(ANA)
    assert scene.state(job) is state
    scene.now += 60
    await scene.journal.tend(scene.now)
    assert scene.state(job) is State.EXPIRED
    assert scene.carried(job)["error_code"] == "expired"
    assert scene.state(following) is (State.WAITING if state is State.WAITING else State.QUEUED)


async def test_a_reply_that_waits_too_long_expires(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += RULES.reply_expires_seconds
    await scene.journal.tend(scene.now)
    assert scene.jobs(Kind.REPLY, "state, error") == [("expired", "Too late to be of use")]


async def test_a_reply_behind_one_that_runs_does_not_expire_before_its_turn(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"))
    scene.now += 2 * RULES.reply_expires_seconds
    await scene.journal.tend(scene.now)
    assert scene.jobs(Kind.REPLY, "state") == [("running",), ("waiting",)]
    await scene.settle(running, Outcome(Event.SUCCEED))
    await scene.journal.tend(scene.now)
    assert scene.jobs(Kind.REPLY, "state") == [("done",), ("expired",)]


async def test_the_timers_wait_for_the_first_thing_that_time_brings_and_for_ever_where_nothing_waits(
    scene: Scene,
) -> None:
    assert await scene.journal.tend_at(NOW) == math.inf
    await scene.hear(said("wamid.1"))
    due = NOW + RULES.quiet_seconds
    assert await scene.journal.tend_at(NOW) == due, "then it is the reply's turn, which may be too late"
    assert await scene.journal.tend_at(due) == NOW + RULES.reply_expires_seconds
    assert await scene.journal.tend_at(NOW - DAY) == NOW - DAY, "the clock was set back"


async def test_however_much_is_due_at_once_is_done_in_steps_that_delay_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [f"4917112{n:05}" for n in range(120)]
    await scene.hear(*(said(f"w{number}", number) for number in numbers))
    await scene.batch(*numbers)
    for job in await scene.claim(limit=120):
        await scene.settle(job, Outcome(Event.HOLD, due_at=scene.now + 9, spent=False))
    steps = []
    tend = timeouts.tend

    def counted(*args: Any, **kw: Any) -> timeouts.Tended:
        steps.append(tend(*args, **kw))
        return steps[-1]

    monkeypatch.setattr(timeouts, "tend", counted)
    scene.now += RULES.reply_expires_seconds
    await scene.journal.tend(scene.now)
    assert [(step.released, step.expired) for step in steps] == [(50, 50), (50, 50), (20, 20)]
    assert {state for _, state in scene.jobs()} == {"queued"}


async def test_running_jobs_do_not_expire_in_our_hands(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    await scene.claim_one(Kind.REPLY)
    scene.now += 2 * RULES.reply_expires_seconds
    await scene.journal.tend(scene.now)
    assert scene.jobs(Kind.REPLY, "state") == [("running",)]


@pytest.mark.parametrize("poison", ["raw = 'not json'", "origin = 'nobody'"])
async def test_a_poisoned_row_fails_alone_and_lets_its_contact_go_on(scene: Scene, poison: str) -> None:
    await scene.batch(ANA, BEN)
    await scene.batch(ANA, batch_id="b2")
    await scene.journal.writer(lambda db: db.execute(f"UPDATE messages SET {poison} WHERE job_id = 1").rowcount)
    jobs = await scene.claim()
    assert [job.contact.wa_id for job in jobs] == [BEN]
    assert scene.state(1) is State.FAILED
    assert scene.carried(1)["error_code"] == "unreadable"
    assert (await scene.claim_one()).batch_id == "b2"


async def test_a_poisoned_row_is_still_told_to_readers_and_the_archive(scene: Scene) -> None:
    await scene.hear(said("wamid.1"), said("wamid.2"))
    await scene.journal.writer(
        lambda db: db.execute("UPDATE messages SET raw = '{', status_times = '{' WHERE id = 1").rowcount
    )
    documents = [document for _, _, document in await scene.journal.ahead_of_archive(0, 10)]
    assert [(document["id"], document["raw"]) for document in documents] == [
        ("wamid.1", "{"),
        ("wamid.2", {"id": "wamid.2"}),
    ]
    assert documents[0]["status_times"] == {}


async def test_a_paused_template_comes_with_the_claim(scene: Scene) -> None:
    await scene.batch(ANA, name="sale")
    await scene.settle(
        await scene.claim_one(),
        Outcome(Event.HOLD, due_at=NOW + 700, error="paused", effect=Effect.PAUSE_TEMPLATE, effect_seconds=700),
    )
    await scene.batch(BEN, EVA, batch_id="b2", name="sale")
    await scene.hear(said("wamid.1", ANA))
    await scene.owe(ANA, template("other"))
    jobs = await scene.claim()
    assert [(job.outgoing.template, job.pause is not None) for job in jobs if job.outgoing] == [
        (("other", "en_US"), False),
        (("sale", "en_US"), True),
        (("sale", "en_US"), True),
    ]


async def test_what_was_sent_lately_is_known_after_a_restart(scene: Scene) -> None:
    await scene.send_to(ANA, "wamid.1")
    scene.now += 10
    await scene.send_to(BEN, "wamid.2")
    await scene.send_to(ANA, "wamid.3")
    await scene.restart()
    assert await scene.journal.recently_sent(NOW + 5) == [(2, NOW + 10), (1, NOW + 10)]


async def test_what_is_released_at_once_goes_in_the_order_it_was_queued(scene: Scene) -> None:
    for n in range(2):
        await scene.batch(ANA, batch_id=f"b{n}")
    for wait in (800, 700):
        await scene.settle(await scene.claim_one(), Outcome(Event.HOLD, due_at=NOW + wait, spent=False))
    scene.now += 900
    await scene.journal.tend(scene.now)
    assert scene.jobs() == [(1, "queued"), (2, "waiting")]


async def test_what_expires_at_once_ends_at_once(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    jobs = [await scene.owe(ANA, expires_at=NOW + 60) for _ in range(3)]
    last = await scene.owe(ANA)
    scene.now += 60
    await scene.journal.tend(scene.now)
    assert [scene.state(job) for job in [*jobs, last]] == [*[State.EXPIRED] * 3, State.QUEUED]


async def test_bubbles_that_come_while_a_reply_runs_have_their_quiet_time_though_it_ends_sooner(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2"))
    scene.now += 1
    await scene.settle(running, Outcome(Event.SUCCEED))
    assert await scene.claim(Kind.REPLY) == []
    scene.now += 1
    assert len(await scene.claim(Kind.REPLY)) == 1
