from __future__ import annotations

import pytest

from tests.journal.scene import ANA, BEN, EVA, NOW, Scene, receipt, said, sent, text
from wabot.core.jobs import Event, Kind, Outcome, State
from wabot.core.messages import Person, Status, Stop

BSUID, OTHER = "IN.1A2B3C", "IN.9Z8Y7X"


def people(scene: Scene) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in scene.rows("SELECT id, wa_id, bsuid FROM contacts ORDER BY id")]


def moved(wamid: str, person: Person | str, new: Person) -> object:
    return said(wamid, person, type="system", body="changed", answerable=False, moved_to=new)


async def contact_of(scene: Scene, identity: str) -> int | None:
    contact, _ = await scene.journal.of_contact(identity, 0, ())
    return contact.id if contact else None


async def test_somebody_without_a_number_is_stored_found_and_answered_by_their_bsuid(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(bsuid=BSUID, name="Ana")))
    contact, (document,) = await scene.journal.of_contact(BSUID, 0, ())
    assert contact is not None
    assert (contact.wa_id, contact.bsuid, contact.address, contact.name) == (None, BSUID, BSUID, "Ana")
    assert document["from"] == BSUID
    scene.now += 2
    reply = await scene.claim_one(Kind.REPLY)
    await scene.settle(reply, Outcome(Event.SUCCEED, says=(text(),)))
    send = await scene.claim_one()
    assert (send.contact.wa_id, send.contact.bsuid) == (None, BSUID)


async def test_a_contact_is_completed_by_what_meta_says_later(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=BSUID, name="Ana")))
    await scene.hear(said("wamid.3", Person(bsuid=BSUID)))
    assert people(scene) == [(1, ANA, BSUID)]
    assert scene.row("SELECT name FROM contacts") == {"name": "Ana"}
    assert await contact_of(scene, ANA) == await contact_of(scene, BSUID) == 1


async def test_two_contacts_become_one_when_both_ids_show_up(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, name="")))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID, name="Ana")))
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID)))
    assert people(scene) == [(1, ANA, BSUID)]
    contact, documents = await scene.journal.of_contact(BSUID, 0, ())
    assert contact is not None
    assert contact.name == "Ana"
    assert {document["id"] for document in documents} == {"wamid.1", "wamid.2", "wamid.3"}
    assert scene.jobs(Kind.REPLY, "state, since, contact_id") == [("queued", 1, 1), ("cancelled", 2, 1)]


async def test_merged_messages_are_told_to_the_archive_anew(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid=BSUID)))
    rows = await scene.journal.ahead_of_archive(0, 10)
    await scene.journal.mark_archived((row[0], row[1]) for row in rows)
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID)))
    ahead = await scene.journal.ahead_of_archive(0, 10)
    assert [row[2]["id"] for row in ahead] == ["wamid.2", "wamid.3"]
    assert {row[2]["contact"] for row in ahead} == {f"{scene.journal.name}-1"}


async def test_a_known_person_under_a_number_of_somebody_else_gets_the_number_and_not_the_talk(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=BSUID)))
    await scene.hear(said("wamid.2", Person(wa_id=EVA), body="my secret"))
    await scene.hear(said("wamid.3", Person(wa_id=EVA, bsuid=BSUID)))
    assert people(scene) == [(1, EVA, BSUID), (2, None, None)]
    _, documents = await scene.journal.of_contact(EVA, 0, ())
    assert {document["id"] for document in documents} == {"wamid.1", "wamid.3"}


async def test_one_queue_comes_of_two_in_the_order_of_queueing(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid=BSUID)))
    ids = [await scene.owe(who) for who in (BSUID, ANA, BSUID, ANA)]
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID)))
    assert [scene.state(job) for job in ids] == ["queued", "waiting", "waiting", "waiting"]
    left = []
    for n in range(4):
        job = await scene.claim_one()
        left.append(job.id)
        await scene.settle(job, sent(f"wamid.out{n}"))
    assert left == ids


async def test_a_send_that_was_running_when_its_contact_was_merged_frees_the_joined_queue(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid=BSUID)))
    first = await scene.owe(BSUID)
    running = await scene.claim_one()
    second = await scene.owe(ANA)
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID)))
    assert (scene.state(first), scene.state(second)) == (State.RUNNING, State.WAITING)
    assert await scene.settle(running, sent("wamid.out")) is State.DONE
    assert scene.state(second) is State.QUEUED


async def test_a_reply_that_was_running_when_its_contact_was_merged_says_what_it_has_to_say(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)))
    scene.now += 2
    await scene.settle(await scene.claim_one(Kind.REPLY), Outcome(Event.SUCCEED))
    await scene.hear(said("wamid.2", Person(bsuid=BSUID)))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID), answerable=False))
    assert await scene.settle(running, Outcome(Event.SUCCEED, says=(text("hello"),))) is State.DONE
    send = await scene.claim_one()
    assert (send.contact.id, send.contact.wa_id) == (1, ANA)


@pytest.mark.parametrize("running_of", [ANA, BSUID])
async def test_a_queued_reply_stands_behind_the_running_one_of_the_other_half(scene: Scene, running_of: str) -> None:
    waiting_of = BSUID if running_of == ANA else ANA
    person = {ANA: Person(wa_id=ANA), BSUID: Person(bsuid=BSUID)}
    await scene.hear(said("wamid.1", person[running_of]))
    scene.now += 2
    running = await scene.claim_one(Kind.REPLY)
    await scene.hear(said("wamid.2", person[waiting_of]))
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID), answerable=False))
    scene.now += 2
    assert await scene.claim(Kind.REPLY) == []
    await scene.settle(running, Outcome(Event.RETRY, due_at=scene.now))
    assert sorted(scene.jobs(Kind.REPLY, "state")) == [("cancelled",), ("queued",)]
    again = await scene.claim_one(Kind.REPLY)
    assert (again.id, again.upto) == (running.id, 3)


async def test_two_contacts_with_something_in_flight_stay_two_until_one_of_them_has_ended(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid=BSUID)))
    await scene.owe(ANA)
    await scene.owe(BSUID)
    jobs = await scene.claim()
    assert len(jobs) == 2
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID)))
    assert len(people(scene)) == 2
    await scene.settle(jobs[0], sent("wamid.out"))
    await scene.hear(said("wamid.4", Person(wa_id=ANA, bsuid=BSUID)))
    assert people(scene) == [(1, ANA, BSUID)]


@pytest.mark.parametrize("stopped", [ANA, BSUID])
async def test_stop_outlives_a_merge_whichever_half_said_it(scene: Scene, stopped: str) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA)), said("wamid.2", Person(bsuid=BSUID)))
    await scene.journal.writer(lambda db: db.execute("UPDATE contacts SET stopped = 'unreachable'").rowcount)
    await scene.journal.set_stop(stopped, NOW, stop=True)
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=BSUID), answerable=False))
    assert scene.rows("SELECT stopped FROM contacts") == [{"stopped": Stop.ALL}]


async def test_a_number_that_was_passed_on_does_not_bring_its_former_owners_talk(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=BSUID), body="my secret"))
    await scene.hear(said("wamid.2", Person(wa_id=ANA, bsuid=OTHER)))
    assert people(scene) == [(1, None, BSUID), (2, ANA, OTHER)]
    _, documents = await scene.journal.of_contact(ANA, 0, ())
    assert [document["id"] for document in documents] == ["wamid.2"]
    await scene.hear(said("wamid.3", Person(bsuid=BSUID)))
    assert await contact_of(scene, BSUID) == 1


async def test_a_stranger_who_wrote_from_a_number_before_it_was_given_up_does_not_get_it(scene: Scene) -> None:
    ana = Person(wa_id=ANA, bsuid=BSUID)
    await scene.hear(said("wamid.1", ana), moved("wamid.2", ana, Person(wa_id=BEN, bsuid=BSUID)))
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=OTHER), at=NOW - 60))
    assert people(scene) == [(1, BEN, BSUID), (2, None, OTHER)]


async def test_a_number_may_be_passed_on_between_two_people_whom_we_know(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=BSUID)), said("wamid.2", Person(wa_id=BEN, bsuid=OTHER)))
    await scene.hear(said("wamid.3", Person(wa_id=ANA, bsuid=OTHER)))
    assert people(scene) == [(1, None, BSUID), (2, ANA, OTHER)]


async def test_a_change_of_number_takes_the_talk_along(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA))
    await scene.hear(moved("wamid.2", ANA, Person(wa_id=EVA)))  # type: ignore[arg-type]
    assert people(scene) == [(1, EVA, None)]
    _, documents = await scene.journal.of_contact(EVA, 0, ())
    assert {document["id"] for document in documents} == {"wamid.1", "wamid.2"}
    assert await contact_of(scene, ANA) is None
    await scene.hear(said("wamid.3", ANA))
    assert people(scene) == [(1, EVA, None), (2, ANA, None)], "the old number is somebody else's now"


async def test_a_change_of_number_to_one_that_we_know_makes_one_of_two(scene: Scene) -> None:
    await scene.hear(said("wamid.1", ANA), said("wamid.2", EVA))
    await scene.hear(moved("wamid.3", ANA, Person(wa_id=EVA)))  # type: ignore[arg-type]
    assert people(scene) == [(1, EVA, None)]
    assert scene.row("SELECT count(*) AS n FROM messages WHERE contact_id = 1") == {"n": 3}


async def test_a_change_of_bsuid_keeps_the_contact(scene: Scene) -> None:
    await scene.hear(said("wamid.1", Person(wa_id=ANA, bsuid=BSUID)))
    await scene.hear(moved("wamid.2", Person(wa_id=ANA, bsuid=BSUID), Person(bsuid=OTHER)))  # type: ignore[arg-type]
    assert people(scene) == [(1, ANA, OTHER)]
    assert await contact_of(scene, BSUID) == 1, "what is repeated from before finds them"


async def test_what_is_queued_goes_to_the_new_number(scene: Scene) -> None:
    await scene.batch(ANA)
    await scene.hear(moved("wamid.1", ANA, Person(wa_id=EVA)))  # type: ignore[arg-type]
    assert (await scene.claim_one()).contact.wa_id == EVA


async def test_the_spelling_that_meta_prefers_finds_the_same_contact(scene: Scene) -> None:
    asked, metas = "5511987654321", "551187654321"
    await scene.batch(asked)
    await scene.settle(await scene.claim_one(), sent("wamid.out", wa_id=metas))
    await scene.hear(said("wamid.1", metas))
    assert len(people(scene)) == 1
    assert await contact_of(scene, asked) == await contact_of(scene, metas)


async def test_a_batch_that_names_one_person_in_two_spellings_writes_in_order(scene: Scene) -> None:
    asked, metas = "5511987654321", "551187654321"
    await scene.send_to(asked, "wamid.0")
    await scene.journal.writer(lambda db: db.execute("INSERT INTO identities VALUES (?, 1)", (metas,)).rowcount)
    await scene.batch(asked, metas, batch_id="both")
    assert scene.jobs(Kind.SEND, "state") == [("done",), ("queued",), ("waiting",)]


async def test_a_receipt_does_not_make_a_contact(scene: Scene) -> None:
    await scene.told(receipt("wamid.unknown", Status.DELIVERED))
    assert people(scene) == []
