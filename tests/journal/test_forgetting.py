"""A person is forgotten: nothing of what they said stays in the files of the journal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.journal.scene import ANA, BEN, DAY, NOW, Scene, receipt, said, sent, text
from wabot.core.jobs import Event, Kind, Outcome
from wabot.core.messages import ForeignPart, Notice, Person, Status, Stop, Webhook
from wabot.journal import batch_results, erasure
from wabot.journal.erasure import Erased
from wabot.journal.forgotten import REMEMBERED_SECONDS

SECRET = "my pin is tulip-seven"


def traces(scene: Scene, *words: str) -> list[str]:
    """Which of these words stand in which files of the data directory."""
    files = [file for file in Path(scene.data_dir).rglob("*") if file.is_file()]
    return [f"{file.name}: {word}" for file in files for word in words if word.encode() in file.read_bytes()]


async def forget(scene: Scene, identity: str = ANA, *, now: float = NOW) -> Erased:
    return await scene.journal.forget(identity, now, archive=False)


async def test_nothing_of_them_stays_in_any_file(scene: Scene) -> None:
    for n in range(300):
        await scene.hear(said(f"wamid.{n}", Person(ANA, "IN.7", "Ana Anders"), body=f"{SECRET} {n} {'x' * 500}"))
    await scene.hear(said("wamid.ben", BEN, body="Hello from Ben"))
    assert traces(scene, SECRET, "Ana Anders")
    erased = await forget(scene)
    assert (erased.known, erased.messages, erased.archived) == (True, 300, 0)
    assert erased.jobs == 1
    assert traces(scene, SECRET, ANA, "IN.7", "Ana Anders", "wamid.7") == []
    contact, messages = await scene.journal.of_contact(BEN, 0, ())
    assert contact is not None
    assert [message["body"] for message in messages] == ["Hello from Ben"]
    assert (await scene.journal.of_contact(ANA, 0, ()))[0] is None


async def test_an_answer_that_was_being_made_or_sent_leaves_nothing(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body=SECRET))
    (reply,) = await scene.journal.claim(Kind.REPLY, limit=1, now=NOW + 5)
    await forget(scene, now=NOW + 5)
    assert await scene.journal.settle(reply, Outcome(Event.SUCCEED, says=(text(SECRET),)), NOW + 6) is None
    await scene.journal.adopt(reply, [], NOW + 6)
    assert traces(scene, SECRET) == []


async def test_a_stop_holds_and_what_meta_repeats_is_ignored(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body=SECRET))
    await scene.hear(said("wamid.2", body="stop"))
    await forget(scene)
    again = await scene.hear(said("wamid.1", body=SECRET))
    assert (again.stored, again.replies) == (0, 0)
    await scene.journal.accept(Webhook(receipts=(receipt("wamid.2", Status.READ),)), NOW)
    assert traces(scene, SECRET, "wamid.2") == []
    fresh = await scene.hear(said("wamid.3", body="Hello again", at=NOW + 60))
    assert (fresh.stored, fresh.replies) == (1, 0)
    contact, _ = await scene.journal.of_contact(ANA, 0, ())
    assert contact is not None
    assert contact.stopped is Stop.ALL
    await scene.hear(said("wamid.4", body="start", at=NOW + 120))
    contact, _ = await scene.journal.of_contact(ANA, 0, ())
    assert contact is not None
    assert contact.stopped is None


async def test_bulk_does_not_reach_who_stopped_and_was_forgotten(scene: Scene) -> None:
    await scene.hear(said("wamid.2", body="stop"))
    await forget(scene)
    queued = await scene.batch(ANA, BEN)
    results = await scene.journal.results(queued.id)
    assert results is not None
    assert [(result.number, result.error_code) for result in results] == [(ANA, "opted_out"), (BEN, None)]


async def test_a_wamid_is_recognised_for_thirty_days(scene: Scene) -> None:
    await scene.hear(said("wamid.1"))
    await forget(scene)
    later = NOW + REMEMBERED_SECONDS + DAY
    while await scene.journal.prune(before=later, now=later):
        pass
    assert (await scene.hear(said("wamid.1"))).stored == 1


async def test_who_was_in_a_batch_twice_or_in_one_that_was_cancelled_is_in_neither(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_results, "RESULTS", 2)
    await scene.batch(BEN, ANA, BEN, ANA)
    await scene.journal.writer(
        lambda db: db.execute(
            "INSERT INTO recipients (batch_id, position, number, error, error_code)"
            " VALUES ('b0', 0, ?, 'Cancelled', 'cancelled')", (ANA,),
        ).rowcount
    )  # fmt: skip
    await forget(scene, ANA)
    assert traces(scene, ANA) == []
    assert {row["number"] for row in scene.rows("SELECT number FROM recipients")} == {"", BEN}


async def test_their_place_in_a_batch_stays_without_them(scene: Scene) -> None:
    queued = await scene.batch(ANA, BEN)
    erased = await forget(scene)
    assert (erased.messages, erased.jobs) == (1, 1)
    results = await scene.journal.results(queued.id)
    assert results is not None
    assert [(result.number, result.status, result.error_code) for result in results] == [
        ("", "failed", "forgotten"), (BEN, "queued", None),
    ]  # fmt: skip
    (job,) = await scene.journal.claim(Kind.SEND, limit=5, now=NOW + 1)
    await scene.journal.settle(job, sent("wamid.9"), NOW + 1)
    assert (await scene.journal.batch_counts(queued.id)).queued == 0


async def test_kept_webhooks_and_notices_lose_what_names_them_alone(scene: Scene) -> None:
    def part(*messages: tuple[str, str]) -> ForeignPart:
        listed = [{"from": number, "text": {"body": body}} for number, body in messages]
        value = {"metadata": {"phone_number_id": "77"}, "messages": listed, "contacts": [{"wa_id": ANA}]}
        payload = {"entry": [{"changes": [{"field": "messages", "value": value}]}]}
        return ForeignPart("77", json.dumps(payload))

    longer = f"{ANA}9"
    foreign = (part((ANA, SECRET), (BEN, "from Ben"), (longer, "from another")),)
    notices = (Notice("messages", "unreadable", f'{{"from": "{ANA}", "body": "{SECRET}"}}'), Notice("x", "y", "kept"))
    await scene.journal.accept(Webhook(foreign=foreign, notices=notices), NOW)
    await scene.hear(said("wamid.1", body=SECRET))
    await forget(scene)
    assert traces(scene, SECRET) == []
    assert traces(scene, "from Ben") != []
    assert traces(scene, "from another") != []
    assert [row["raw"] for row in scene.rows("SELECT raw FROM notices")] == ["kept"]
    (kept,) = scene.rows("SELECT size, raw FROM foreign_webhooks")
    assert kept["size"] == len(kept["raw"].encode()) == scene.rows("SELECT bytes FROM foreign_totals")[0]["bytes"]


async def test_a_crash_does_not_end_a_forgetting(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.hear(said("wamid.1", body=SECRET))

    class Killed(Exception):
        pass

    async def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(type(scene.journal), "_erase", die)
        with pytest.raises(Killed):
            await forget(scene)
    await scene.restart()
    assert ANA in scene.journal.leaving
    await scene.journal.go_on_forgetting(NOW, archive=False)
    assert traces(scene, SECRET, ANA) == []
    assert scene.journal.leaving == frozenset()


async def test_who_is_forgotten_twice_at_a_time_takes_nothing_of_others_along(scene: Scene) -> None:
    """A request, and what goes on with all that is unfinished: when the first ends, the names are gone."""
    notices = tuple(Notice("x", "y", f"kept {n}") for n in range(5))
    foreign = (ForeignPart("104", '{"from": "somebody else"}'),)
    await scene.journal.accept(Webhook(foreign=foreign, notices=notices), NOW)
    await scene.hear(said("wamid.1", body=SECRET))
    erased, _ = await asyncio.gather(forget(scene), scene.journal.go_on_forgetting(NOW, archive=False))
    await scene.journal.writer(erasure.look_through, erased.id, (0, 0))
    assert len(scene.rows("SELECT 1 FROM notices")) == 5
    assert "somebody else" in scene.row("SELECT raw FROM foreign_webhooks")["raw"]


async def test_who_asks_again_after_a_crash_is_answered_when_nothing_is_left(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body=SECRET))
    await scene.batch(ANA)
    salt = await scene.journal._known_salt()
    await scene.journal.writer(erasure.begin, ANA, salt, NOW)  # then it crashed
    await scene.restart()
    erased = await forget(scene)
    assert (erased.known, erased.messages) == (True, 2)
    assert traces(scene, SECRET, ANA) == []


async def test_who_wrote_again_before_they_were_forgotten_is_forgotten_whole(scene: Scene) -> None:
    await scene.hear(said("wamid.1", body=SECRET))
    await scene.journal.writer(erasure.begin, ANA, await scene.journal._known_salt(), NOW)
    await scene.hear(said("wamid.2", body=SECRET))
    assert (await forget(scene)).messages == 1
    assert traces(scene, SECRET, ANA) == []


async def test_who_was_merged_is_forgotten_whole(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA), body=SECRET))
    await scene.hear(said("wamid.2", Person(bsuid="IN.7"), body=SECRET))
    for kind in (Kind.REPLY,):
        for job in await scene.journal.claim(kind, limit=9, now=NOW + 5):
            await scene.journal.settle(job, Outcome(Event.SUCCEED), NOW + 5)
    await scene.hear(said("wamid.3", Person(ANA, "IN.7"), body=SECRET, at=NOW + 9))
    assert scene.rows("SELECT id FROM merges")
    erased = await forget(scene, "IN.7")
    assert erased.messages == 3
    assert traces(scene, SECRET, ANA, "IN.7") == []
    assert scene.rows("SELECT id FROM merges") == []


async def test_nobody_of_that_name_is_known(scene: Scene) -> None:
    assert (await forget(scene, BEN)).known is False
