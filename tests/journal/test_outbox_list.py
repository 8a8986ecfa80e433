"""What is in the outbox, narrowed in every way: each listing beside the rows that it must find."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

from tests.journal.scene import ANA, BEN, EVA, NOW, Scene, receipt, said, sent
from wabot.core.jobs import OF_CONTACTS, Event, Kind, Outcome, State
from wabot.core.messages import Status
from wabot.journal.outbox_list import Fate, Query

FATES: dict[Fate | None, Callable[[dict[str, Any]], bool]] = {
    None: lambda _: True,
    "undelivered": lambda job: (job["state"], job["status"]) == ("done", "sent") or job["state"] == "failed",
    "unread": lambda job: job["status"] in ("sent", "delivered"),
}
OWED = ("waiting", "queued", "running")


async def all_sorts(scene: Scene) -> None:
    """Sends and replies in every state, and messages with every status."""
    await scene.batch(*(f"4917112{n:05}" for n in range(14)), ANA, BEN)
    jobs = await scene.claim(limit=14)
    for job in jobs[:5]:
        await scene.settle(job, sent(f"w{job.id}"))
    for job, statuses in zip(jobs, ("delivered", "delivered read", "read played", "failed"), strict=False):
        for status in statuses.split():
            await scene.told(receipt(f"w{job.id}", Status(status), code=131026 if status == "failed" else None))
    ends = (
        Outcome(Event.GIVE_UP, error="declined", code=131047), Outcome(Event.HOLD, due_at=NOW + 9e4, error="paused"),
        Outcome(Event.LOSE_TRACK, due_at=NOW + 90), Outcome(Event.PARK), Outcome(Event.EXPIRE, code="expired"),
        Outcome(Event.RETRY, due_at=NOW + 9, error="busy"),
    )  # fmt: skip
    for job, outcome in zip(jobs[5:], ends, strict=False):
        await scene.settle(job, outcome)
    await scene.batch(ANA, BEN, EVA, batch_id="b2")
    ((last, *_),) = scene.jobs(columns="max(id)")
    await scene.journal.cancel(last, NOW)
    await scene.hear(*(said(f"m{n}", f"4917112{n:05}") for n in range(6)), said("m", ANA))
    scene.now += 3
    replies = await scene.claim(Kind.REPLY, limit=5)
    for job, event in zip(replies, (Event.SUCCEED, Event.GIVE_UP, Event.EXPIRE, Event.RETRY), strict=False):
        await scene.settle(job, Outcome(event, due_at=scene.now + 5))
    await scene.hear(said("more", f"4917112{4:05}"), said("stop", f"4917112{5:05}", body="stop"))


def expected(scene: Scene, query: Query) -> list[int]:
    """What a look at every row finds."""
    rows = scene.rows(
        "SELECT j.*, m.status, (SELECT group_concat(value) FROM identities WHERE contact_id = j.contact_id) AS names"
        " FROM jobs j LEFT JOIN messages m ON m.job_id = j.id ORDER BY j.id DESC"
    )
    states = OWED if query.kind is Kind.REPLY and query.state is None else (query.state,) if query.state else (*State,)
    return [
        row["id"]
        for row in rows
        if row["kind"] == query.kind
        and row["state"] in states
        and query.identity in row["names"]
        and query.batch_id in (row["batch_id"], "")
        and FATES[query.message](row)
    ]


async def listed(scene: Scene, query: Query) -> list[int]:
    return [int(job["outbox_id"].split("-")[1]) for job in await scene.journal.outbox(query)]


async def test_every_listing_finds_what_a_look_at_every_row_finds(scene: Scene) -> None:
    await all_sorts(scene)
    states = {(row["kind"], row["state"]) for row in scene.rows("SELECT kind, state FROM jobs")}
    assert states >= {("send", state) for state in State} | {("reply", state) for state in (*OWED, "done", "failed")}
    full = 0
    for kind, state, identity, batch_id in product(
        OF_CONTACTS, (None, *State), ("", ANA, "491711200004"), ("", "b1", "b2")
    ):
        for message in FATES if kind is Kind.SEND else (None,):
            query = Query(kind, state, identity, batch_id, message)
            found = expected(scene, query)
            full += bool(found)
            assert await listed(scene, query) == found, query
    assert full > 60, "too few of them find anything"


async def test_pages_of_every_listing_follow_one_another(scene: Scene) -> None:
    await all_sorts(scene)
    for kind, state, message in product(OF_CONTACTS, (None, State.FAILED, State.QUEUED), FATES):
        if kind is Kind.REPLY and message:
            continue
        pages, before = list[int](), None
        while page := await listed(scene, Query(kind, state, message=message, limit=2, before=before)):
            pages += page
            before = page[-1]
        assert pages == expected(scene, Query(kind, state, message=message))


async def test_what_is_undelivered_and_unread_is_what_the_customer_has_not_got_or_not_seen(scene: Scene) -> None:
    await scene.batch("49171120001", "49171120002", "49171120003", "49171120004", "49171120005", "49171120006")
    jobs = await scene.claim(limit=5)  # the sixth has not left
    for job, status in zip(jobs[:4], (None, "delivered", "read", "failed"), strict=True):
        await scene.settle(job, sent(f"w{job.id}"))
        if status:
            await scene.told(receipt(f"w{job.id}", Status(status), code=131026 if status == "failed" else None))
    await scene.settle(jobs[4], Outcome(Event.GIVE_UP, error="declined", code=131047))
    only_sent, delivered, _, failed, declined = (job.id for job in jobs)
    assert await listed(scene, Query(message="undelivered")) == [declined, failed, only_sent]
    assert await listed(scene, Query(message="undelivered", state=State.DONE)) == [only_sent]
    assert await listed(scene, Query(message="unread")) == [delivered, only_sent]


async def test_a_reply_has_no_message_that_could_be_undelivered_or_unread(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    assert len(await listed(scene, Query(Kind.REPLY))) == 1
    assert [await listed(scene, Query(Kind.REPLY, message=fate)) for fate in ("undelivered", "unread")] == [[], []]


async def test_a_message_whose_send_was_forgotten_takes_nobodys_place_in_a_page(scene: Scene) -> None:
    first, second, third = [await scene.send_to(number, f"w{number}") for number in (ANA, BEN, EVA)]
    await scene.journal.writer(lambda db: db.execute("DELETE FROM jobs WHERE id = ?", (second,)) and None)
    assert await listed(scene, Query(message="undelivered", limit=2)) == [third, first]
